"""Lists of addresses as they are met: texts, CSV, TSV, JSON, Parquet, ImageNet's lists, pages and cans of boke."""

import csv
import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from imgnn.data.addresses import BadUrl, parse_url
from imgnn.data.boke_pages import CAN, read_can, read_page
from imgnn.data.items import Listed
from imgnn.data.lists import file_digest
from imgnn.data.synsets import WNID
from imgnn.errors import InputError, missing
from imgnn.images.decode import describe
from imgnn.runs import is_folder

# Columns that are taken where none is named, the first that is there.
URL_COLUMNS = ("url", "image_url", "image", "link", "img_url", "src", "uri")
LABEL_COLUMNS = ("label", "class", "category", "class_name", "wnid", "synset")
SPLIT_COLUMNS = ("_split", "split", "subset")
TABLES = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class Reading:
    """How lists are read.

    Attributes:
        url_column, label_column: of tables; a name, or a number from 1 on. None: found by their usual names.
        label: every picture's class. None: what the list says, else (of a plain list) the list's name.
        words: label -> the class's name.
        synsets: only these, of ImageNet's lists; empty: all.
    """

    url_column: str | None = None
    label_column: str | None = None
    label: str | None = None
    words: Mapping[str, str] = field(default_factory=dict)
    synsets: frozenset[str] = frozenset()

    def name(self, label: str) -> str:
        """The class's name."""
        if self.label is not None:
            label = self.label
        return self.words.get((label.lstrip("0") or "0") if label.isascii() and label.isdecimal() else label, label)


class Source:
    """One list, not read yet.

    Args:
        path: the file; for what came from elsewhere, the file that it was put into.
        name: what to call it.
        base: the address of a page, for what is relative in it.
        stem: the class of a plain list; None: what the name says.
    """

    def __init__(self, path: Path, name: str | None = None, base: str | None = None, stem: str | None = None) -> None:
        self.name, self.base = name or str(path), base
        if is_folder(path):
            path = self.can_of(path)
        self.path = path
        self.stem = re.sub(r"(\.(txt|lst|urls|gz|list))+$", "", path.name) if stem is None else stem

    @staticmethod
    def can_of(folder: Path) -> Path:
        """The CSV of a can of boke."""
        if not (folder / "boke.csv").is_file():
            raise InputError(
                f"{folder} is a folder; a list of addresses is expected, or a folder with boke.csv (ボケ缶)"
            )
        return folder / "boke.csv"

    def digest(self, reading: Reading) -> str:
        """A hash of the list and of how it is read: what was read once need not be read again."""
        try:
            contents = file_digest(self.path)
        except FileNotFoundError:
            raise missing(self.path) from None
        except OSError as error:
            raise InputError(f"cannot read {self.path}: {error.strerror or error}") from error
        told = (reading.url_column, reading.label_column, reading.label, sorted(reading.words.items()))
        rest = json.dumps([contents, self.stem, *told, sorted(reading.synsets), self.base])
        return hashlib.sha256(rest.encode()).hexdigest()

    def lines(self, reading: Reading) -> Iterator[Listed]:
        """Every line, with its address settled.

        Raises:
            InputError: the list cannot be read, is none, or has no column of addresses.
        """
        try:
            for listed in self.raw(reading):
                if listed.boke is None and reading.synsets and listed.label not in reading.synsets:
                    continue
                yield settled(listed, reading)
        except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as error:
            raise InputError(f"cannot read {self.path}: {getattr(error, 'strerror', None) or error}") from error

    def raw(self, reading: Reading) -> Iterator[Listed]:
        """Every line as the list has it."""
        with self.path.open("rb") as file:
            start = file.read(4096)
        suffixes = [suffix.lower() for suffix in self.path.suffixes]
        if start[:2] == b"\x1f\x8b":
            with gzip.open(self.path) as unpacked:
                start = unpacked.read(4096)
        kind = next((suffix for suffix in reversed(suffixes) if suffix in (*TABLES, ".jsonl", ".json", ".ndjson")), "")
        what = describe(start)
        if start[:4] == b"PAR1":
            yield from table(parquet_rows(self.path), self.path, reading)
        elif what == "an HTML page" or re.match(rb"\s*<!DOCTYPE\s", start, re.IGNORECASE):
            with self.text() as text:
                yield from read_page(text.read(), self.name, self.base)
        elif kind in (".json", ".jsonl", ".ndjson") or what == "a JSON file":
            with self.text() as text:
                yield from table(json_rows(text, self.path), self.path, reading)
        elif (kind in TABLES and not is_plain(start, kind, reading)) or looks_like_table(start, reading):
            yield from self.delimited(delimiter_of(start, kind), reading)
        elif what.endswith(("picture", "film", "archive", "document", "file", "array")) or b"\0" in start:
            raise InputError(f"{self.path} is {what}; a list of addresses is expected")
        else:
            with self.path.open("rb") as raw:
                lines: Iterable[bytes] = gzip.GzipFile(fileobj=raw) if raw.read(2) == b"\x1f\x8b" else raw
                raw.seek(0)
                yield from plain(lines, self.stem)

    def text(self) -> IO[str]:
        """The file as text, unpacked."""
        with self.path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        opened: Any = gzip.open if packed else open
        text: IO[str] = opened(self.path, "rt", encoding="utf-8-sig", errors="replace", newline="")
        return text

    def delimited(self, delimiter: str, reading: Reading) -> Iterator[Listed]:
        """A CSV or TSV; a can of boke by its columns. One without a header has the columns "1", "2", ..."""
        with self.text() as text:
            rows = csv.DictReader(text, delimiter=delimiter, restval="")
            header = rows.fieldnames
            if not header:
                raise InputError(f"{self.path} is empty; a table with a header is expected")
            addresses = [index for index, name in enumerate(header) if "://" in name]
            if addresses:
                text.seek(0)
                names = [str(index) for index in range(1, len(header) + 1)]
                rows = csv.DictReader(text, names, delimiter=delimiter, restval="")
                reading = replace(reading, url_column=reading.url_column or names[addresses[0]])
                yield from table(rows, self.path, reading, names, first=1)
            elif set(CAN) <= set(header) and reading.url_column is None:
                yield from read_can(rows, self.path.parent)
            else:
                yield from table(rows, self.path, reading, header, first=2)


def settled(listed: Listed, reading: Reading) -> Listed:
    """A line whose address is in its final form, or refused, and whose class has its name."""
    url, refusal = listed.url, listed.refusal
    if listed.boke is None or not url.startswith("file:"):
        try:
            url = str(parse_url(url))
        except BadUrl as error:
            refusal = refusal or str(error)
            url = url.strip() or f"(empty, line {listed.line})"
    # JSON can hold half a letter, which no file system and no database takes.
    url, label = (each.encode("utf-8", "replace").decode() for each in (url, reading.name(listed.label)))
    if not refusal and (url, label) == (listed.url, listed.label):
        return listed
    return Listed(url, listed.line, label, listed.split, refusal, listed.boke)


def plain(lines: Iterable[bytes], stem: str) -> Iterator[Listed]:
    """An address on each line, or `n02123045_12<TAB>http://...` as ImageNet's lists have it, or `class<TAB>http://...`.

    Empty lines and those that begin with "#" are passed over.
    """
    for number, raw in enumerate(lines, 1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError:
            line = raw.decode("latin-1").strip()  # as in ImageNet's list of 2011
        if not line or line.startswith("#"):
            continue
        label, tab, url = line.partition("\t")
        if not tab:
            yield Listed(line, number, stem)
            continue
        if "://" in label and "://" not in url:
            label, url = url, label
        wnid = re.fullmatch(rf"({WNID.pattern})_[0-9]+", label.strip())
        yield Listed(url.strip(), number, wnid[1] if wnid else label.strip())


def is_plain(start: bytes, kind: str, reading: Reading) -> bool:
    """Whether a .tsv is a list of `class<TAB>address` and has no header."""
    return kind == ".tsv" and b"://" in start.split(b"\n")[0] and not (reading.url_column or reading.label_column)


def delimiter_of(start: bytes, kind: str) -> str:
    """What stands between the columns of a table: what its first line has most of."""
    line = start.split(b"\n")[0].decode("utf-8", "replace")
    usual = TABLES.get(kind, ",")
    return max((usual, ",", "\t", ";"), key=lambda each: (line.count(each), each == usual))


def looks_like_table(start: bytes, reading: Reading) -> bool:
    """Whether a text without a telling name has a header with a column of addresses."""
    header = start.split(b"\n")[0].decode("utf-8-sig", "replace").strip()
    names = [name.strip().strip('"').lower() for name in re.split(r"[,\t]", header)]
    wanted = {reading.url_column.lower()} if reading.url_column else {*URL_COLUMNS}
    return (
        "://" not in header
        and (len(names) > 1 or names[0] in wanted)
        and bool(wanted & set(names) or set(CAN) <= set(names))
    )


def table(
    rows: Iterable[Mapping[str, Any] | str],
    path: Path,
    reading: Reading,
    names: Sequence[str] | None = None,
    first: int = 1,
) -> Iterator[Listed]:
    """Rows with named columns; a row may also be the bare address (JSON).

    Args:
        names: of the columns; None: those of the first row.
        first: the line of the first row.

    Raises:
        InputError: there is no such column.
    """
    url_column = label_column = split_column = None
    for number, row in enumerate(rows, first):
        if isinstance(row, str):
            yield Listed(row, number)
            continue
        if url_column is None:
            found = list(names or row)
            url_column = column(reading.url_column, URL_COLUMNS, found, path, "--url-column")
            label_column = column(reading.label_column, LABEL_COLUMNS, found, path, "--label-column")
            split_column = column(None, SPLIT_COLUMNS, found, path, "")
            if url_column is None:
                columns = ", ".join(map(repr, found))
                raise InputError(
                    f"{path} has no column of addresses ({', '.join(URL_COLUMNS)}); it has {columns}",
                    hint="--url-column NAME",
                )
        yield Listed(
            cell(row, url_column),
            number,
            cell(row, label_column),
            cell(row, split_column) or None if split_column else None,
        )


def cell(row: Mapping[str, Any], name: str | None) -> str:
    """What a row has in a column, as text; "" if nothing. 3.0, as tables make of 3, is "3"."""
    value = row.get(name) if name is not None else None
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def column(named: str | None, usual: Sequence[str], found: Sequence[str], path: Path, option: str) -> str | None:
    """The column that is meant.

    Raises:
        InputError: one was named that is not there.
    """
    if named is not None:
        if named in found:
            return named
        if named.isdecimal() and 1 <= int(named) <= len(found):
            return found[int(named) - 1]
        raise InputError(f"{path} has no column {named!r}; it has {', '.join(map(repr, found))}", hint=f"{option} NAME")
    lower = {name.strip().lower(): name for name in reversed(found)}
    return next((lower[name] for name in usual if name in lower), None)


def json_rows(text: IO[str], path: Path) -> Iterator[Mapping[str, Any] | str]:
    """JSON Lines, or one JSON list: objects, or bare addresses.

    Raises:
        InputError: a line is no JSON.
    """
    first = ""
    while first.isspace() or not first:
        first = text.read(1)
        if not first:
            return
    rest = io.StringIO(first + text.read()) if first == "[" else None
    lines: Iterable[tuple[int, Any]]
    try:
        if rest is not None:
            lines = enumerate(json.load(rest), 1)
        else:
            lines = ((n, json.loads(line)) for n, line in enumerate(rejoined(first, text), 1) if line.strip())
        for number, value in lines:
            if not isinstance(value, (dict, str)):
                raise InputError(f"{path}, line {number}: an object or an address is expected, not {value!r}")
            yield value
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is no JSON: {error.msg} in {error.doc[:60]!r}") from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, a thousand brackets
        raise InputError(f"{path} is no JSON: {error}") from error


def rejoined(first: str, text: IO[str]) -> Iterator[str]:
    """The lines of a text of which one letter was read."""
    for line in text:
        yield first + line
        first = ""


def parquet_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of a Parquet file.

    Raises:
        InputError: pyarrow is not installed, or cannot read it.
    """
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise InputError(
            f"{path} is a Parquet file: reading it needs pyarrow", hint="pip install 'imgnn[parquet]'"
        ) from None
    try:
        for batch in parquet.ParquetFile(path).iter_batches():
            yield from batch.to_pylist()
    except (arrow.ArrowException, OSError, ValueError, OverflowError) as error:  # the last two: a date of no year
        raise InputError(f"cannot read {path}: {' '.join(str(error).split())}") from error
