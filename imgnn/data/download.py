"""One address: asked politely, within its deadline and caps, and every way it can fail told apart."""

import asyncio
import contextlib
import re
import secrets
import ssl
import time
import zlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import aiohttp
import certifi
from yarl import URL

from imgnn import __version__
from imgnn.data.addresses import BadUrl, BlockedAddress, Proxies, Resolver, parse_url
from imgnn.data.robots import LONGEST, Robots, refused_by_tag
from imgnn.errors import InputError
from imgnn.images.decode import describe

IN_MEMORY = 1 << 20  # bytes of one answer that are kept in memory; more goes to a file
SITES = 4096  # whose robots.txt are remembered
HOPS = 10  # redirects
START = 512  # bytes by which a web page is known
PICTURE_NAME = re.compile(r"(?i)\.(jpe?g|png|gif|webp|bmp|tiff?|avif)$")


@dataclass(frozen=True)
class Manners:
    """How servers are asked; the defaults are those of `FetchOptions`.

    Attributes:
        timeout: seconds to connect, and without a single byte.
        deadline: seconds for one try, all in all.
        max_bytes: of an answer, unpacked.
        robots: whether robots.txt and X-Robots-Tag are honoured.
        allow_private: whether addresses of private networks may be asked.
        allow_renames: whether a redirect from `a.jpg` to another name may bring the picture.
        contact: who is asking, for the server's log: a mail or web address.
    """

    timeout: float
    deadline: float
    max_bytes: int
    robots: bool
    allow_private: bool
    allow_renames: bool
    contact: str

    @property
    def user_agent(self) -> str:
        """Who we are."""
        return f"imgnn/{__version__} ({self.contact or 'fetches pictures for data sets; honours robots.txt'})"


class Failed(Exception):
    """A try that came to nothing.

    Args:
        outcome: a name of `OUTCOMES`.
        wait: seconds that the server asks to wait; None if it does not.
        again: whether another try in the same run may help.

    Attributes:
        place: the address that failed: the one that was asked, or where it redirected to.
    """

    def __init__(
        self,
        outcome: str,
        detail: str,
        *,
        status: int | None = None,
        wait: float | None = None,
        again: bool = True,
    ) -> None:
        super().__init__(detail)
        self.outcome, self.detail, self.status, self.wait, self.again = outcome, detail, status, wait, again
        self.place = ""


@dataclass(frozen=True)
class Answer:
    """What a server sent.

    Attributes:
        data: the bytes, or the file that holds them.
        final: the address that sent them, after redirects.
    """

    data: bytes | Path
    status: int
    final: str


class Downloader:
    """A client with one pool of connections, one memory of host names and one of robots.txt.

    Args:
        spill: the folder for answers too large for memory.
    """

    def __init__(self, manners: Manners, spill: Path) -> None:
        self.manners, self.spill, self.proxies = manners, spill, Proxies()
        self.robots: OrderedDict[str, asyncio.Task[Robots]] = OrderedDict()
        self.resolver = Resolver(
            allow_private=manners.allow_private, trusted=self.proxies.hosts(), timeout=manners.timeout
        )
        connector = aiohttp.TCPConnector(limit=0, resolver=self.resolver, use_dns_cache=False, keepalive_timeout=5)
        self.session = aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": manners.user_agent, "Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # it would unpack without an end
            timeout=aiohttp.ClientTimeout(sock_connect=manners.timeout, sock_read=manners.timeout),
        )

    async def __aenter__(self) -> "Downloader":
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in self.robots.values():
            task.cancel()
        await self.session.close()

    async def fetch(self, address: str, *, pictures: bool = True) -> Answer:
        """Ask for an address.

        Args:
            pictures: whether a picture is expected: anything that begins as something else is not read to its end.

        Raises:
            Failed: with the outcome.
        """
        places = [address]  # and where it redirects to
        try:
            async with asyncio.timeout(self.manners.deadline):
                return await self.follow(parse_url(address), pictures, places)
        except Exception as error:
            failed = self.as_failure(error)
            if failed is None:
                raise
            failed.place = places[-1]
            raise failed from None

    def as_failure(self, error: Exception) -> Failed | None:
        """What an exception says of an address; None if it says something of this program."""
        if isinstance(error, Failed):
            return error
        if isinstance(error, TimeoutError):  # of aiohttp too
            return Failed("timeout", str(error) or f"not done within {self.manners.deadline:g} s")
        if isinstance(error, BadUrl):
            return Failed("bad_url", str(error))
        if isinstance(error, BlockedAddress):
            return Failed("blocked_address", f"{error}: a private address (--allow-private)")
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            return Failed("dns", f"{error.host}: {error.os_error.strerror or error.os_error}")
        if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
            inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
            return Failed("tls", str(getattr(inner, "verify_message", None) or getattr(inner, "reason", None) or inner))
        if isinstance(error, aiohttp.ClientPayloadError):
            return Failed("truncated", f"the connection ended before the answer did ({short(error)})")
        if isinstance(error, zlib.error):
            return Failed("damaged", f"the gzip around it is damaged: {error}")
        if isinstance(error, (aiohttp.ClientError, OSError)):
            return Failed("connection", short(error))
        return None

    async def follow(self, url: URL, pictures: bool, places: list[str]) -> Answer:
        """Ask, and go where redirects lead; each place is looked at as the first was, and noted in `places`."""
        first, seen = url, {url}
        for _ in range(HOPS + 1):
            self.check_host(url)
            await self.check_robots(url)
            async with self.get(url) as response:
                where = response.headers.get("Location")
                if response.status not in (301, 302, 303, 307, 308) or where is None:
                    if pictures and not self.manners.allow_renames:
                        check_name(first, url)
                    return Answer(await self.read(response, pictures), response.status, str(url))
            url = parse_url(str(url.join(parse_location(where))))
            if url in seen:
                raise Failed("redirects", f"redirects lead round in a circle, back to {url}")
            seen.add(url)
            places.append(str(url))
        raise Failed("redirects", f"more than {HOPS} redirects")

    def check_host(self, url: URL) -> None:
        """See to it that a host may be asked, as far as its name tells.

        Raises:
            BlockedAddress: it is a number within a private network, or our own proxy.
        """
        self.resolver.check_literal(url)
        if (url.host, url.port) in self.resolver.trusted and not self.manners.allow_private:
            raise BlockedAddress(f"{url.host}, the proxy of the environment,")

    def get(self, url: URL) -> Any:
        """One request, redirects not followed; a context manager of the answer."""
        secure = tls_context() if url.scheme == "https" else True
        return self.session.get(url, allow_redirects=False, proxy=self.proxies.of(url), ssl=secure)

    async def check_robots(self, url: URL) -> None:
        """See to it that the site lets us.

        Raises:
            Failed: it does not, or it cannot be asked whether it does.
        """
        if not self.manners.robots:
            return
        robots = await self.robots_of(url)
        if robots.failure:
            raise Failed(robots.failure, robots.words, again=False)
        if not robots.allows(str(url)):
            raise Failed("opted_out", "robots.txt disallows it")

    def pause_of(self, address: str) -> float:
        """Seconds between two requests that a site asks for, as far as it was heard; 0 if it does not."""
        if not self.manners.robots or not address.startswith("http"):
            return 0.0
        task = self.robots.get(str(parse_url(address).origin()))
        return task.result().pause if task and task.done() and not task.cancelled() and not task.exception() else 0.0

    async def robots_of(self, url: URL) -> Robots:
        """The rules of an address's site, asked for once."""
        site = str(url.origin())
        if site not in self.robots:
            self.robots[site] = asyncio.create_task(self.ask_robots(url.origin() / "robots.txt"))
            if len(self.robots) > SITES:
                self.robots.popitem(last=False)  # the oldest; whoever waits for it holds it
        # Shielded: who runs out of time does not take the answer away from the others.
        return await asyncio.shield(self.robots[site])

    async def ask_robots(self, url: URL) -> Robots:
        """Its robots.txt, or what is to be thought if there is none."""
        try:
            async with asyncio.timeout(self.manners.timeout):
                for _ in range(6):  # RFC 9309 asks to follow five redirects
                    self.check_host(url)
                    async with self.get(url) as response:
                        where = response.headers.get("Location")
                        if response.status not in (301, 302, 303, 307, 308) or where is None:
                            return Robots(response.status, await beginning(response))
                    url = parse_url(str(url.join(parse_location(where))))
        except TimeoutError:
            return Robots(None)
        except (BlockedAddress, BadUrl, Failed, aiohttp.ClientError, OSError, zlib.error):
            # The same fault will meet the picture, and then it has the right name.
            pass
        return Robots(404)  # also of redirects round in a circle

    async def read(self, response: aiohttp.ClientResponse, pictures: bool) -> bytes | Path:
        """The answer's body, if it is worth reading.

        Raises:
            Failed: its status or its headers tell otherwise, or its first bytes, or it is too long.
        """
        check_status(response.status, response.reason, response.headers)
        if self.manners.robots and (tag := refused_by_tag(response.headers.getall("X-Robots-Tag", []))):
            raise Failed("opted_out", f"X-Robots-Tag: {tag}", status=response.status)
        if (response.content_length or 0) > self.manners.max_bytes:
            raise Failed("too_large", f"{response.content_length:,} bytes", status=response.status)
        data, spilled, looked = bytearray(), None, not pictures
        try:
            async for chunk in unpacked(response, self.manners.max_bytes):
                data += chunk
                if not looked and len(data) >= START:
                    check_start(bytes(data[:START]), response)
                    looked = True
                if len(data) > IN_MEMORY and spilled is None:
                    spilled = self.spill / f"answer-{secrets.token_hex(8)}"
                if spilled is not None and len(data) > IN_MEMORY:
                    append(spilled, data)
                    data.clear()
            if not looked:
                check_start(bytes(data), response)
        except BaseException:
            if spilled is not None:
                spilled.unlink(missing_ok=True)
            raise
        if spilled is None:
            return bytes(data)
        append(spilled, data)
        return spilled


def append(path: Path, data: bytearray) -> None:
    """Put an answer away.

    Raises:
        InputError: the disk is full. Not an OSError: those are the network's.
    """
    try:
        with path.open("ab") as file:
            file.write(data)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


async def beginning(response: aiohttp.ClientResponse) -> str:
    """As much of a robots.txt as is read."""
    data = b""
    try:
        async for chunk in unpacked(response, LONGEST):
            data += chunk
    except Failed:  # longer than that
        pass
    return data.decode("utf-8", "replace")


async def unpacked(response: aiohttp.ClientResponse, most: int) -> AsyncIterator[bytes]:
    """The body in pieces, without the gzip or deflate that some servers put around what was not asked so.

    Raises:
        Failed: it is longer than `most` bytes, or packed otherwise.
    """
    packing = response.headers.get("Content-Encoding", "identity").strip().lower()
    if packing not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise Failed("not_image", f"packed as {packing}, which was not asked for", status=response.status)
    inflate = zlib.decompressobj(wbits=47 if "gzip" in packing else 15) if packing not in ("", "identity") else None
    length = 0
    async for chunk in response.content.iter_any():
        while chunk:
            piece = chunk if inflate is None else inflate.decompress(chunk, 1 << 16)
            chunk = b"" if inflate is None else inflate.unconsumed_tail
            length += len(piece)
            if length > most:
                raise Failed("too_large", f"more than {most:,} bytes", status=response.status)
            yield piece


def check_status(status: int, reason: str | None, headers: Mapping[str, Any]) -> None:
    """Tell answers apart that bring nothing.

    Raises:
        Failed: it is one.
    """
    if 200 <= status < 300:
        return
    words = f"{status} {reason or ''}".strip()
    wait = retry_after(headers.get("Retry-After", ""))
    if status in (404, 410):
        outcome = "gone"
    elif status == 429 or (status == 503 and wait is not None):
        outcome = "rate_limited"
    elif status in (408, 425) or status >= 500:
        outcome = "server_error"
    elif 300 <= status < 400:
        outcome = "redirects"
    else:
        outcome = "forbidden"
    raise Failed(outcome, words, status=status, wait=wait)


def check_start(start: bytes, response: aiohttp.ClientResponse) -> None:
    """Do not read a web page to its end.

    Raises:
        Failed: it begins as something that is no picture.
    """
    found = describe(start)
    if not found.endswith(" picture") and found != "of no format known here":
        raise Failed("not_image", f"it is {found}", status=response.status)


def check_name(asked: URL, final: URL) -> None:
    """The rule of mlimages: a redirect from one picture's name to another leads to what stands for it.

    Raises:
        Failed: it does.
    """
    wanted, found = PurePosixPath(asked.path).name, PurePosixPath(final.path).name
    if wanted != found and PICTURE_NAME.search(wanted):
        raise Failed("placeholder", f"a redirect to another name, {found or final}")


def parse_location(where: str) -> URL:
    """A redirect's Location, which may be relative."""
    try:
        return URL(where, encoded=where.isascii() and " " not in where)
    except ValueError as error:
        raise BadUrl(f"a redirect to {where!r}: {error}") from error


def retry_after(text: str) -> float | None:
    """`120`, or a date -> seconds from now; None if it is neither."""
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    return None


@cache
def tls_context() -> ssl.SSLContext:
    """The certificates of the system and, for bare machines that have none, of the package certifi."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def short(error: BaseException) -> str:
    """An error in one line."""
    inner = getattr(error, "os_error", None) or error
    words = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return " ".join(words.split())[:200]
