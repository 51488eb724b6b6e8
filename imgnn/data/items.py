"""What goes into a journal and comes out of it, and the names of its files. No database: workers need these alone."""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

HASH = 12  # hex digits of the address's hash in a file's name: 48 bits


@dataclass(frozen=True, slots=True)
class Boke:
    """A funny line that somebody wrote under a picture.

    Attributes:
        number: the site's own, "" if it tells none.
        star: how many stars it got; None if the page does not tell.
    """

    text: str
    number: str = ""
    star: int | None = None
    category: str | None = None
    credit: str | None = None  # who took the picture


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of a source.

    Attributes:
        url: the address; `file:` only from a source that brings its pictures along.
        line: where it stands, from 1 on.
        label: the class, "" without one.
        refusal: why it cannot be asked (it is no address).
        boke: the line under the picture, if the source is one of boke.
    """

    url: str
    line: int
    label: str = ""
    split: str | None = None
    refusal: str | None = None
    boke: Boke | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """An address that is to be asked."""

    id: int
    url: str
    label: str
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an address.

    Attributes:
        outcome: a name of `OUTCOMES`.
        part: the file among the parts, if there is a picture: `part_name` of its name to be.
        suffix: of the file to be.
        seconds: how long the last try took.
    """

    id: int
    outcome: str
    detail: str = ""
    status: int | None = None
    final_url: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    height: int | None = None
    width: int | None = None
    format: str | None = None
    part: str | None = None
    suffix: str = ""
    tries: int = 1
    seconds: float = 0.0
    finished: float = 0.0  # seconds since 1970


def part_name(id: int, file: str) -> str:
    """What a picture is called among the parts once the journal knows of it."""
    return f"{id}-{PurePosixPath(file).name}"


def file_stem(url: str) -> str:
    """The name of an address's file, without suffix: what it is called there, and a hash by which it is no other's."""
    base = PurePosixPath(unquote(urlsplit(url).path)).name
    stem = safe_name(re.sub(r"(?i)\.(jpe?g|jp2|png|gif|webp|avif|bmp|tiff?|php|aspx?|cgi)$", "", base), 60)
    short = hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()[:HASH]
    return f"{stem}-{short}" if stem else short


def safe_name(text: str, longest: int) -> str:
    """A name that every file system takes: letters of any script, digits, `-`, `_`, `.` and spaces within.

    Args:
        longest: bytes in UTF-8.
    """
    text = unicodedata.normalize("NFC", text)
    text = "".join(each if each.isalnum() or each in "-_. " else "_" for each in text)
    text = text.encode()[:longest].decode("utf-8", "ignore").strip(" .")
    return f"_{text}" if re.fullmatch(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", text) else text
