"""Weights on this machine: where they are kept, and how a published file gets there whole.

    IMGNN_HOME            the folder of everything kept; default: the platform's cache folder
      networks/NAME.keras      a converted network, where every command finds it
      downloads/FILE           a published file on its way (FILE.part), until it is converted
      downloads/FILE.sha256    what the first download was, for files whose authors give no hash
    IMGNN_OFFLINE=1       forbids the network
    IMGNN_WEIGHTS_URL     a mirror (http, https), a folder or a file that replaces the authors' address

Imports no Keras.
"""

import contextlib
import errno
import hashlib
import os
import random
import shutil
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from imgnn import __version__
from imgnn.errors import DownloadError, WeightsError
from imgnn.home import home
from imgnn.networks.registry import NetworkSpec, PublishedWeights
from imgnn.runs import Reporter, Silent, is_set, lock

CHUNK = 1 << 18  # bytes, at most, between two looks at the clock
WORTHWHILE = 1 << 20  # bytes; an attempt that brought so much does not count as a failed one
NEARLY = 0.98  # of the size on the model card, which is rounded
SPARE = 64 << 20  # bytes over twice the expected size, after which a server is thought to send without end
RETRIED = {408, 425, 429, 500, 502, 503, 504}  # HTTP answers that may be better in a while


@dataclass(frozen=True)
class Patience:
    """How long a download waits, and how often it begins again.

    Attributes:
        attempts: how often it is tried; attempts that brought a megabyte are not counted.
        pause: seconds before the second attempt, doubled before each further one.
        longest_pause: seconds; also the most that a server's Retry-After is obeyed.
        connect: seconds until the server has to answer the telephone.
        read: seconds without a single byte.
        slowest: bytes per second; less than this over `window` seconds is a stall.
        window: seconds.
    """

    attempts: int = 5
    pause: float = 0.5
    longest_pause: float = 30.0
    connect: float = 10.0
    read: float = 30.0
    slowest: float = 1024.0
    window: float = 30.0


def converted_path(name: str) -> Path:
    """Where the converted network called `name` is kept, whether or not it is there."""
    return home() / "networks" / f"{name}.keras"


def is_offline() -> bool:
    """Whether IMGNN_OFFLINE forbids the network."""
    return is_set("IMGNN_OFFLINE")


def file_name(published: PublishedWeights) -> str:
    """`VGG_ILSVRC_19_layers.caffemodel`: the authors' name for it, else the last part of the address."""
    return published.file or unquote(urlsplit(published.url).path).rpartition("/")[2]


def readable_size(size: float) -> str:
    """`575 MB`, `4.9 MB`, `23 kB`: decimal units, as the model cards and download pages use them."""
    for unit, worth in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= worth:
            return f"{size / worth:.1f} {unit}" if size < 10 * worth else f"{size / worth:.0f} {unit}"
    return f"{size:.0f} bytes"


def no_weights(spec: NetworkSpec, why: str = "") -> WeightsError:
    """The error for a network that is not here; its hint names the two ways out."""
    if (published := spec.weights) is None:
        raise ValueError(f"{spec.name} needs no weights")
    where = published.url or f"linked from {published.page}"
    hint = ("unset IMGNN_OFFLINE, and it is downloaded; or " if is_offline() and published.url else "") + (
        f"imgnn convert {file_name(published)}, once you have it ({readable_size(published.size)}, {where}); "
        "or set IMGNN_WEIGHTS_URL to a mirror, or to a folder with the file"
    )
    return WeightsError(f"no weights for '{spec.name}' on this machine" + (f": {why}" if why else ""), hint=hint)


def obtain(spec: NetworkSpec, *, reporter: Reporter | None = None, patience: Patience | None = None) -> Path:
    """The published file of a network: the user's own (IMGNN_WEIGHTS_URL), or downloaded.

    Raises:
        WeightsError: "no weights for 'vgg19' on this machine", and why: no network, not found, not whole.
    """
    reporter = reporter or Silent()
    if spec.weights is None:
        raise ValueError(f"{spec.name} needs no weights")
    source = address(spec.weights)
    if isinstance(source, Path):
        if not source.is_file():
            raise no_weights(spec, f"IMGNN_WEIGHTS_URL points to {source}, and there is no such file")
        problem = mismatch(source, spec.weights)
        if problem:
            reporter.note(
                f"{source} is not the file that the authors published ({problem}); taken because you named it"
            )
        return source
    target = home() / "downloads" / file_name(spec.weights)
    if target.is_file() and known_hash(spec.weights) and mismatch(target, spec.weights) is None:
        return target  # come whole, and left when the work was interrupted
    if not source:
        raise no_weights(spec, "its authors give no address that a program can download from")
    if is_offline():
        raise no_weights(spec, "IMGNN_OFFLINE forbids the network")
    try:
        return download(spec.weights, target, url=source, reporter=reporter, patience=patience)
    except DownloadError as error:
        raise no_weights(spec, str(error)) from error


def address(published: PublishedWeights) -> str | Path:
    """Where to take the file from: the authors' address ("" if they give none), or IMGNN_WEIGHTS_URL's.

    A base address gets the file's name appended; so does a folder. An address or path that
    ends in .caffemodel is taken as it is.
    """
    mirror = os.environ.get("IMGNN_WEIGHTS_URL", "")
    name = file_name(published)
    if not mirror:
        return published.url
    parts = urlsplit(mirror)
    if parts.scheme in ("http", "https"):
        return mirror if parts.path.endswith(".caffemodel") else f"{mirror.rstrip('/')}/{name}"
    path = Path(url2pathname(parts.path)) if parts.scheme == "file" else Path(mirror).expanduser()
    return path if path.suffix == ".caffemodel" else path / name


def digest(path: Path, kind: str = "sha256") -> str:
    """The hash of a file: "sha256", "sha1", or "git_blob", which is sha1("blob SIZE\\0" + bytes)."""
    with path.open("rb") as file:
        return digest_of(iter(lambda: file.read(1 << 22), b""), path.stat().st_size, kind)


def digest_of(chunks: Iterable[bytes], size: int, kind: str = "sha256") -> str:
    """The same for bytes in memory."""
    result = hashlib.new("sha1" if kind == "git_blob" else kind, usedforsecurity=False)
    if kind == "git_blob":
        result.update(b"blob %d\0" % size)
    for chunk in chunks:
        result.update(chunk)
    return result.hexdigest()


def known_hash(published: PublishedWeights) -> tuple[str, str] | None:
    """The strongest hash that the model card gives, as (kind, digits); None if it gives none."""
    for kind in ("sha256", "sha1", "git_blob"):
        if wanted := getattr(published, kind):
            return kind, wanted
    return None


def mismatch(path: Path, published: PublishedWeights) -> str | None:
    """How a file differs: "sha1 expected 405fc5ac..., found 27b6f275..."; None if its hash fits, or none is known."""
    if (known := known_hash(published)) is None:
        return None
    kind, wanted = known
    found = digest(path, kind)
    return None if found == wanted.casefold() else f"{kind.replace('_', ' ')} expected {wanted}, found {found}"


@contextlib.contextmanager
def exclusive(path: Path, *, reporter: Reporter | None = None) -> Iterator[None]:
    """Only one process at a time is in this block for the same `path`; the others wait.

    The lock is on `.NAME.lock` beside the path. (Where nothing can be locked, nobody waits: two processes do the work
    twice, and the last rename wins.)

    Raises:
        WeightsError: the folder cannot be made, or may not be written.
    """
    try:
        file = (made_folder(path.parent) / f".{path.name}.lock").open("a")
    except OSError as error:
        raise WeightsError(
            f"cannot write into {path.parent}: {error.strerror}", hint="IMGNN_HOME names another place for weights"
        ) from error
    with file:
        if not lock(file):
            (reporter or Silent()).note(f"waiting for another imgnn that is getting {path.name}")
            lock(file, wait=True)
        yield


def made_folder(folder: Path) -> Path:
    """The folder, which now exists."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(
            f"cannot make the folder {folder}: {error.strerror}", hint="IMGNN_HOME names another place for weights"
        ) from error
    return folder


def download(
    published: PublishedWeights,
    target: Path,
    *,
    url: str | None = None,
    reporter: Reporter | None = None,
    patience: Patience | None = None,
) -> Path:
    """Bring a published file to `target`, whole or not at all.

    The bytes go to `target.part`, which a later call continues (HTTP Range, guarded by If-Range
    where the server gives an ETag or a date). A cut, a stall, a busy server are tried again, a few
    times. Whatever the server said of its length, the hash decides. Then the file is renamed.

    Args:
        target: where the file shall be; if it is there already, with the right hash, nothing is fetched.
        url: taken instead of the authors' address.

    Raises:
        DownloadError: not found, no connection, cut too often, a web page instead of a model.
        WeightsError: the bytes are not those that were published; they are removed.
    """
    reporter, patience = reporter or Silent(), patience or Patience()
    with exclusive(target, reporter=reporter):
        if target.is_file() and mismatch(target, published) is None:
            return target
        made_folder(target.parent)
        part = target.with_name(target.name + ".part")
        transfer = Transfer(url or published.url, part, published, reporter, patience)
        try:
            transfer.run()
        finally:
            reporter.end()
        if problem := mismatch(part, published):
            transfer.forget()
            raise WeightsError(
                f"{transfer.url} does not give the published file: {problem}",
                hint="try later, or name a mirror or your own copy in IMGNN_WEIGHTS_URL",
            )
        remember(part, target, published, reporter)
        part.replace(target)
        transfer.forget()
    return target


def remember(part: Path, target: Path, published: PublishedWeights, reporter: Reporter) -> None:
    """For a file with no published hash: keep the sha256 of its first download, tell when it changes."""
    if known_hash(published) is not None:
        return
    record = target.with_name(target.name + ".sha256")
    found = digest(part)
    first = record.read_text("utf-8").split()[0] if record.is_file() else None
    if first is None:
        record.write_text(f"{found}  {target.name}\n", "utf-8")  # the format of sha256sum --check
    elif first != found:
        reporter.note(
            f"{target.name} has changed since it was first downloaded here: sha256 was {first}, is {found}. "
            f"Its authors give no hash; if you trust the new file, remove {record}"
        )


class Transfer:
    """One file on its way; it survives cuts by continuing where it stopped."""

    def __init__(
        self, url: str, part: Path, published: PublishedWeights, reporter: Reporter, patience: Patience
    ) -> None:
        self.url, self.part, self.published = url, part, published
        self.reporter, self.patience = reporter, patience
        self.version = part.with_name(part.name + ".version")  # ETag or date of the bytes in `part`

    def run(self) -> None:
        """Try until the file is complete, or `patience` ends."""
        import requests
        import urllib3

        failures = 0
        with requests.Session() as session:
            session.headers.update({"User-Agent": f"imgnn/{__version__}", "Accept-Encoding": "identity"})
            while True:
                before, detail, wait = self.have(), "", None
                try:
                    if self.attempt(session):
                        return
                    raise Interrupted("the server ended early")
                except Interrupted as error:
                    why, wait = str(error), error.wait
                except requests.TooManyRedirects as error:
                    raise DownloadError(f"{self.url} is redirected without end") from error
                except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
                    raise DownloadError(f"{self.url} is redirected to what is no web address: {error}") from error
                except (requests.Timeout, urllib3.exceptions.TimeoutError):
                    why = f"{host(self.url)} does not answer"
                except requests.exceptions.SSLError as error:
                    raise DownloadError(f"{host(self.url)} cannot prove who it is: {reason(error)}") from error
                except requests.ConnectionError as error:
                    why, detail = f"{host(self.url)} cannot be reached", f" ({reason(error)})"
                    if before == 0 and isinstance(innermost(error), socket.gaierror):  # no such name, or no network
                        raise DownloadError(why + detail) from error
                except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                    why, detail = f"{host(self.url)} cut the connection", f" ({reason(error)})"
                failures = 0 if self.have() - before >= WORTHWHILE else failures + 1
                if failures >= self.patience.attempts:
                    raise DownloadError(f"{why}{detail}; tried {failures} times")
                pause = min(self.patience.pause * 2 ** max(0, failures - 1), self.patience.longest_pause)
                pause = min(wait, self.patience.longest_pause) if wait is not None else pause * random.uniform(0.8, 1.2)
                at = f" at {readable_size(self.have())}" if self.have() else ""
                tries = f"try {failures + 1} of {self.patience.attempts}"
                self.reporter.note(f"{why}{at}; {tries} in {pause:.1f} s")
                time.sleep(pause)

    def attempt(self, session: Any) -> bool:
        """One request. True when the file is complete, by the server's word or by its hash."""
        have = self.have()
        validator = self.version.read_text("utf-8") if self.version.is_file() else ""
        if have and not validator and known_hash(self.published) is None:
            have = 0  # nothing would tell if the rest belonged to another version
        headers = {"Range": f"bytes={have}-"} | ({"If-Range": validator} if validator else {}) if have else {}
        timeout = (self.patience.connect, self.patience.read)
        with session.get(self.url, headers=headers, stream=True, timeout=timeout) as response:
            if response.status_code == 416:
                return self.all_there(response)
            self.check_status(response)
            if response.status_code == 200:
                have = 0  # the server begins from the start, whatever was asked
            elif first_byte(response.headers) != have:
                self.forget()
                raise Interrupted("the server sends another part of the file than was asked for")
            length = response.headers.get("Content-Length", "")
            rest = int(length) if length.isdecimal() and "Content-Encoding" not in response.headers else None
            self.check_room(rest if rest is not None else self.published.size - have)
            if have == 0:
                self.version.write_text(strong_validator(response.headers), "utf-8")
            total = have + rest if rest is not None else self.published.size
            self.reporter.begin(f"downloading {file_name(self.published)}", total, "bytes")
            with self.part.open("r+b" if have else "wb") as file:
                file.truncate(have)
                file.seek(have)
                got = self.copy(response.raw, file, have)
        complete = rest is None or got == rest
        if known_hash(self.published) is None or (complete and self.have() >= NEARLY * self.published.size):
            return complete
        return mismatch(self.part, self.published) is None  # a length may lie, a hash does not

    def copy(self, raw: Any, file: IO[bytes], have: int) -> int:
        """The body into the file; how many bytes came. A stall ends it."""
        # read1 gives what has arrived; read would wait for a whole chunk, drop by drop.
        read = getattr(raw, "read1", raw.read)
        most = 2 * self.published.size + SPARE
        got, mark, since = 0, 0, time.monotonic()
        while chunk := read(CHUNK, decode_content=True):
            if have + got == 0:
                check_beginning(chunk, self.url)
            try:
                file.write(chunk)
            except OSError as error:
                raise disk_error(error, self.part) from error
            got += len(chunk)
            self.reporter.advance(have + got)
            if have + got > most:
                self.forget()
                raise DownloadError(
                    f"{self.url} sends without end: {readable_size(have + got)} so far, "
                    f"about {readable_size(self.published.size)} expected"
                )
            if (passed := time.monotonic() - since) >= self.patience.window:
                if got - mark < self.patience.slowest * passed:
                    raise Interrupted(f"the server stalls ({(got - mark) / passed:.0f} bytes per second)")
                mark, since = got, time.monotonic()
        return got

    def all_there(self, response: Any) -> bool:
        """After "range not satisfiable": there is nothing more to send, so what we have is all, or wrong."""
        whole = response.headers.get("Content-Range", "").rpartition("/")[2]
        if self.part.is_file() and (not whole.isdecimal() or int(whole) == self.have()):
            return True  # the hash decides
        self.forget()
        return False

    def check_status(self, response: Any) -> None:
        status = response.status_code
        if status in (200, 206):
            return
        words = f"{status} {response.reason or ''}".strip()
        if status in RETRIED:
            after = response.headers.get("Retry-After", "")
            raise Interrupted(f"the server is busy ({words})", wait=float(after) if after.isdecimal() else None)
        raise DownloadError(
            f"the server answers {words} for {response.url}",
            hint="name a mirror, or a folder with your own copy, in IMGNN_WEIGHTS_URL",
        )

    def check_room(self, wanted: int) -> None:
        free = shutil.disk_usage(self.part.parent).free
        if free < wanted:
            raise DownloadError(
                f"{readable_size(wanted)} more are needed in {self.part.parent}, and {readable_size(free)} are free",
                hint="IMGNN_HOME names another place for weights",
            )

    def have(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def forget(self) -> None:
        """Remove what was begun."""
        self.part.unlink(missing_ok=True)
        self.version.unlink(missing_ok=True)


class Interrupted(Exception):
    """An attempt ended early, and another may do better; `wait` is what the server asked for, in seconds."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.wait = wait


def check_beginning(chunk: bytes, url: str) -> None:
    """A caffemodel never begins with "<" (in protobuf that is the end of a group), a web page does."""
    beginning = chunk[:200].lstrip().lower()
    if beginning.startswith((b"<", b"version https://git-lfs")):
        what = "a web page" if beginning.startswith(b"<") else "a Git LFS pointer"
        raise DownloadError(
            f"{url} gives {what}, not a caffemodel",
            hint="name a mirror, or a folder with your own copy, in IMGNN_WEIGHTS_URL",
        )


def first_byte(headers: Mapping[str, str]) -> int | None:
    """Where a partial answer begins: `Content-Range: bytes 100-999/1000` is 100."""
    first = headers.get("Content-Range", "").removeprefix("bytes").strip().partition("-")[0]
    return int(first) if first.isdecimal() else None


def strong_validator(headers: Mapping[str, str]) -> str:
    """What If-Range may carry (RFC 9110, 13.1.5): a strong ETag, else the date; "" if there is neither."""
    tag = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


def disk_error(error: OSError, path: Path) -> DownloadError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return DownloadError(
        f"the disk is full: {path}" if full else f"cannot write {path}: {error.strerror}",
        hint="make room and run it again (it continues where it stopped), or name another place in IMGNN_HOME",
    )


def host(url: str) -> str:
    return urlsplit(url).netloc or url


def reason(error: BaseException) -> str:
    """The innermost reason of a network error, in few words."""
    error = innermost(error)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def innermost(error: BaseException) -> BaseException:
    """What an error came from in the end."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error
