"""A reader for each form that boke come in; `boke` tells of the forms.

Each puts what a file says into `FoundBoke`, by the name of the picture. The form is told by what is in the file.
"""

import ast
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from imgnn.data.boke_pages import CAN, read_page
from imgnn.data.caption_files import FORMS as CAPTION_FORMS
from imgnn.data.caption_files import read_captions
from imgnn.data.caption_readers import (
    CAPTION_NAMES,
    IMAGE_NAMES,
    SPLIT_NAMES,
    TABBED,
    TOKEN,
    column_of,
    delimiter_of,
    head_of,
    keys_of,
    load_json,
    objects,
    picture_name,
    sentences,
    table_of,
    tidy,
    value_of,
)
from imgnn.data.captions import part_of
from imgnn.data.items import Boke
from imgnn.data.lists import lines_of
from imgnn.errors import InputError
from imgnn.runs import is_file, is_folder

# What things are called in JSON and in headers; compared without regard to case.
PICTURES = (
    *("image", "odai_photo_file_name", "odai_photo_url", *IMAGE_NAMES),
    *("picture", "photo", "img", "image_url", "largeurl", "url"),
)
TEXTS = ("boke", "text", *CAPTION_NAMES, "txt")
STARS = ("star", "stars", "rate_sum", "ratesum", "is_laugh", "score", "likes")
NUMBERS = ("id", "number", "boke_id")
CREDITS = ("odai_photo_by", "credit")
COLUMNS = (PICTURES, TEXTS, STARS, SPLIT_NAMES, NUMBERS, ("category",), CREDITS)
MARKS = ("<BOS>", "<EOS>")  # around the tokens of butsugiri's `parsed`
PARQUET = b"PAR1"  # what such a file begins with
MOST = 10**12  # stars; more is something else


@dataclass(slots=True)
class Draft:
    """A picture while its boke are being read.

    Attributes:
        boke: by their text.
        tokens: of those texts that come with them.
    """

    boke: dict[str, Boke] = field(default_factory=dict)
    tokens: dict[str, tuple[str, ...]] = field(default_factory=dict)
    split: str | None = None


class FoundBoke:
    """What readers find, joined by the name of the picture.

    Args:
        base: the folder that names start from, if the pictures lie where the files are.

    Attributes:
        part: the split of what tells none itself.
        left_out: reason -> how many boke, as in `boke.BokeSet`.
        two_splits: names of pictures that are in two; they stay in the first.
        folders: where captions found their pictures.
        pages: name of a picture of a saved page -> the name under which it was found.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.part: str | None = None
        self.drafts: dict[str, Draft] = {}
        self.left_out: Counter[str] = Counter()
        self.two_splits: set[str] = set()
        self.folders: list[Path] = []
        self.pages: dict[str, str] = {}

    def add(
        self,
        name: str | None,
        text: Any,
        where: str,
        *,
        star: Any = None,
        tokens: tuple[str, ...] | None = None,
        split: Any = None,
        number: Any = None,
        category: Any = None,
        credit: Any = None,
    ) -> None:
        """A boke of a picture; one without a picture or a text, and one that the picture has, are counted and dropped.

        Raises:
            InputError: something is not what it should be; `where` begins the message.
        """
        text = text_of(text, where)
        star = star_of(star, where)
        if not text:
            self.left_out["empty"] += 1
            return
        if not name:
            self.left_out["no_picture"] += 1
            return
        boke = Boke(text, fact(number) or "", star, fact(category), fact(credit))
        if name not in self.drafts:
            name = picture_name(name, where)
        draft = self.draft(name)
        part = self.part if split is None or split == "" else part_of(str(split), where)
        if part:
            self.settle(name, draft, part)
        self.put(draft, boke, tokens)

    def draft(self, name: str) -> Draft:
        """The picture of a name."""
        known = self.drafts.get(name)
        if known is None:
            known = self.drafts[name] = Draft()
        return known

    def settle(self, name: str, draft: Draft, split: str | None) -> None:
        """A picture's split, if it has none yet."""
        if split and draft.split not in (None, split):
            self.two_splits.add(name)
        draft.split = draft.split or split

    def put(self, draft: Draft, boke: Boke, tokens: tuple[str, ...] | None) -> None:
        """A boke of a picture, once; of several stars the most count."""
        known = draft.boke.get(boke.text)
        if known is not None:
            self.left_out["repeated"] += 1
            stars = [each for each in (known.star, boke.star) if each is not None]
            boke = known if not stars or known.star == max(stars) else boke
        draft.boke[boke.text] = boke
        if tokens is not None:
            draft.tokens.setdefault(boke.text, tokens)

    def join(self, other: "FoundBoke", names: Mapping[str, str]) -> None:
        """Take in what was found elsewhere; a picture whose split is known keeps it.

        Args:
            names: what the other's pictures are called here.
        """
        self.left_out.update(other.left_out)
        self.two_splits |= {names[name] for name in other.two_splits}
        for theirs, found in other.drafts.items():
            draft = self.draft(names[theirs])
            self.settle(names[theirs], draft, found.split)
            for text, boke in found.boke.items():
                self.put(draft, boke, found.tokens.get(text))


# Values


def text_of(found: Any, where: str) -> str:
    """A boke; "" if there is none.

    Raises:
        InputError: it is no text.
    """
    if found is None:
        return ""
    if not isinstance(found, str):
        raise InputError(f"{where}: a boke is to be a text; found {found!r:.60}")
    return tidy(found)


def star_of(found: Any, where: str) -> int | None:
    """Stars; None if it is not told. "1,234" is a number too, and so are 3.0 and true.

    Raises:
        InputError: it is no number.
    """
    if found is None or found == "":
        return None
    try:
        number = float(found.replace(",", "") if isinstance(found, str) else found)
    except (TypeError, ValueError, OverflowError):
        number = math.inf
    if math.isnan(number):  # what pandas writes for nothing
        return None
    if not abs(number) <= MOST:
        raise InputError(f"{where}: stars are a number; found {found!r:.60}")
    return round(number)


def fact(found: Any) -> str | None:
    """A number, category or credit; None if it is not told."""
    if not isinstance(found, str | int) or found == "":
        return None
    found = str(found)
    return found if found.isascii() and found.isalnum() else tidy(found)


def file_name(address: str) -> str:
    """The file of an address: x.jpg of https://host/photo/x.jpg?size=400. A name that is none stays."""
    if "://" not in address and not address.startswith("//"):
        return address
    try:
        return PurePosixPath(unquote(urlsplit(address).path)).name
    except ValueError:  # a bracket that is not closed
        return address.rpartition("/")[2]


# Files


def read_file(path: Path, form: str | None, found: FoundBoke) -> str:
    """Read one file, or a folder of captions, and tell its form.

    Raises:
        InputError: it is none of the forms, or broken.
    """
    if form is None and not is_folder(path):
        form = form_of(path)
    if form in READERS:
        READERS[form](path, found)
        return form
    captions = read_captions(path, form=form, need_images=False, val_share=0)
    found.folders.append(captions.root)
    found.left_out["empty"] += captions.empty
    for image in captions.images:
        for caption in image.captions:
            found.add(image.name, caption, str(path), split=found.part or image.split)
    return captions.form


def form_of(path: Path) -> str:
    """The form of a file by its first lines.

    Raises:
        InputError: it cannot be read, is empty, or of no form known here.
    """
    if starts(path, PARQUET):
        return json_form(path)
    lines = head_of(path, "boke")
    head = lines[0].strip()
    if head[0] in "{[":
        return json_form(path)
    if delimiter := delimiter_of(head, table_form):
        return table_form(table_of(path, delimiter)[0]) or "csv"
    if head[0] == "<":
        return "page"
    if all(nameless(line) for line in lines[:5]):
        return "nishika"
    if any(TABBED.fullmatch(line) or TOKEN.fullmatch(line) for line in lines[:5]):
        return "flickr"
    raise InputError(f"{path} is no file of boke: columns image and text are expected, it begins {head!r:.80}")


def starts(path: Path, mark: bytes) -> bool:
    """Whether a file begins so."""
    try:
        with path.open("rb") as file:
            return file.read(len(mark)) == mark
    except OSError:
        return False


def json_form(path: Path) -> str:
    """The form of a JSON file, of JSON lines, or of a Parquet file, by the first object in it.

    Raises:
        InputError: it is none that is known, or broken.
    """
    _, record = next(records_of(path), ("", None))
    if isinstance(record, dict):
        if "bokes" in record:
            return "yryo1005" if "image_link" in record else "hairhair"
        if {"odaiId", "text"} <= set(record):
            return "boketedb"
        if "boke" in record and {"images", "image_url"} & set(record):
            return "butsugiri"
        if value_of(record, PICTURES) is not None and value_of(record, TEXTS) is not None:
            return "jsonl"
        if "images" in record:
            return "coco" if "annotations" in record else "karpathy"
        raise InputError(f"{path} is no file of boke: {keys_of(record, 'an object')}")
    raise InputError(f"{path} is no file of boke: objects with a picture and boke are expected")


def table_form(header: Sequence[str]) -> str | None:
    """The form of a table by its columns; None if it has none for pictures and texts."""
    if set(CAN) <= set(header):
        return "can"
    if {"txt", "images"} <= set(header):
        return "teratsyk"
    if column_of(header, PICTURES) is None or column_of(header, TEXTS) is None:
        return None
    return "nishika" if "odai_photo_file_name" in header else "csv"


def nameless(line: str) -> list[str] | None:
    """The cells of a line `picture<TAB>0 or 1<TAB>text`; None if it is something else."""
    cells = line.split("\t", 2)
    return cells if len(cells) == 3 and cells[1].strip() in ("0", "1") else None


# JSON


def records_of(path: Path) -> Iterator[tuple[str, Any]]:
    """What is in a file of JSON lines, of a list, or of a single object; each with its place in words.

    Raises:
        InputError: it is broken.
    """
    if starts(path, PARQUET):
        yield from zip(repeat(str(path)), rows_of_parquet(path), strict=False)
        return
    lines = lines_of(path)
    _, head = next(lines, (0, "{"))
    if is_object(head):
        for number, line in lines_of(path):
            where = f"{path}, line {number}"
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{where}: broken JSON: {error}") from error
            yield where, record
        return
    data = load_json(path)
    if isinstance(data, list):
        yield from ((f"{path}, item {index}", record) for index, record in enumerate(data))
    else:
        yield str(path), data


def is_object(line: str) -> bool:
    """Whether a line is a whole JSON object."""
    if not line.lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def rows_of_parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of a Parquet file.

    Raises:
        InputError: pyarrow is not installed, or the file is damaged.
    """
    from imgnn.data.sources import parquet_rows  # most data sets are none

    yield from parquet_rows(path)


def dicts_of(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a file.

    Raises:
        InputError: there is something else in it.
    """
    for where, record in records_of(path):
        if not isinstance(record, dict):
            raise InputError(f"{where}: an object with a picture and boke is expected; found {record!r:.60}")
        yield where, record


def read_butsugiri(path: Path, found: FoundBoke) -> None:
    """{"boke", "star", "images": [{"path", "url"}], "image_url", "parsed": ["<BOS>", ..., "<EOS>"]} on each line.

    Raises:
        InputError: it is something else.
    """
    for where, record in dicts_of(path):
        if "boke" not in record:
            raise InputError(f"{where}: {keys_of(record, 'an object')}; `boke` and `images` are expected")
        found.add(
            picture_of(record, where),
            record["boke"],
            where,
            star=record.get("star"),
            tokens=tokens_of(record.get("parsed"), where),
            split=record.get("split"),
            number=record.get("number"),
            category=record.get("category"),
            credit=record.get("credit"),
        )


def picture_of(record: Mapping[str, Any], where: str) -> str | None:
    """The picture of a record as Scrapy has it: the path of the first of `images`, or the file of its address.

    Raises:
        InputError: it is no text, or `images` no list of objects.
    """
    images = record.get("images") or []
    if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
        raise InputError(f"{where}: `images` is to be a list of objects; found {images!r:.60}")
    addresses = record.get("image_urls") or [None]
    first = images[0] if images else {}
    found = first.get("path") or first.get("url") or record.get("image_url")
    found = found or (addresses[0] if isinstance(addresses, list) else None)
    if found is not None and not isinstance(found, str):
        raise InputError(f"{where}: the name of a picture is to be a text; found {found!r:.60}")
    return found if found is None or first.get("path") else file_name(found)


def tokens_of(found: Any, where: str) -> tuple[str, ...] | None:
    """The tokens that come with a boke, without the marks around them.

    Raises:
        InputError: it is no list of texts.
    """
    if found is None:
        return None
    if not isinstance(found, list) or not all(isinstance(token, str) for token in found):
        raise InputError(f"{where}: `parsed` is to be a list of texts; found {found!r:.60}")
    return tuple(word for token in found if token not in MARKS and (word := tidy(token)))


def read_hairhair(path: Path, found: FoundBoke) -> None:
    """{"number", "image_urls", "images": [{"path", "url"}], "bokes": [{"text", "star", "number"}]} on each line.

    Raises:
        InputError: it is something else.
    """
    for where, record in dicts_of(path):
        add_bokes(record, picture_of(record, where), "text", path, where, found)


def read_yryo1005(path: Path, found: FoundBoke) -> None:
    """boke_data/NUMBER.json: {"image_link", "bokes": [{"boke", "star", "date"}]}; its picture is NUMBER.jpg.

    Raises:
        InputError: it is something else.
    """
    for where, record in dicts_of(path):
        add_bokes(record, f"{path.stem}.jpg", "boke", path, where, found)


def add_bokes(record: Mapping[str, Any], name: str | None, key: str, path: Path, where: str, found: FoundBoke) -> None:
    """All boke of one picture."""
    if "bokes" not in record:
        raise InputError(f"{where}: {keys_of(record, 'an object')}; `bokes` is expected")
    for boke in objects(record["bokes"], "`bokes`", path):
        found.add(name, boke.get(key), where, star=boke.get("star"), number=boke.get("number"))


def read_boketedb(path: Path, found: FoundBoke) -> None:
    """boke_N.parquet: odaiId, text, rateSum, category, isNG; the picture is that of odai_N.parquet beside it.

    Boke that are marked as not to be shown (isNG) are left out.

    Raises:
        InputError: it is something else, or pyarrow is not installed.
    """
    names: dict[Any, str] = {}
    odai = path.with_name(path.name.replace("boke_", "odai_", 1))
    if odai != path and is_file(odai):
        names = {
            row.get("id"): file_name(address)
            for row in rows_of_parquet(odai)
            if isinstance(address := row.get("largeUrl"), str)
        }
    for row in rows_of_parquet(path):
        if not {"odaiId", "text"} <= set(row):
            raise InputError(f"{path} has no columns odaiId and text: {keys_of(row, 'a table')}")
        if row.get("isNG"):
            found.left_out["marked"] += 1
            continue
        number = row["odaiId"]
        found.add(
            names.get(number) or f"{number}.jpg",
            row["text"],
            str(path),
            star=row.get("rateSum"),
            number=row.get("id"),
            category=row.get("category"),
        )


def read_records(path: Path, found: FoundBoke) -> None:
    """A picture with one or more boke in each record, whatever the keys are called.

    Raises:
        InputError: it has none of the usual keys.
    """
    for where, record in dicts_of(path):
        folded = {key.strip().lower(): value for key, value in reversed(record.items())}
        name, texts, star, split, number, category, credit = (
            next((folded[name] for name in names if name in folded), None) for names in COLUMNS
        )
        if not isinstance(name, str) or texts is None:
            raise InputError(f"{where}: {keys_of(record, 'an object')}; `image` and `boke` are expected")
        for text in sentences(texts, where):
            found.add(
                file_name(name),
                text,
                where,
                star=star,
                split=split,
                number=number,
                category=category,
                credit=credit,
            )


# Tables


def read_table(path: Path, found: FoundBoke) -> None:
    """Columns, found by their usual names; a boke on each line.

    Raises:
        InputError: there are no such columns, or a line has more or fewer than the header.
    """
    _, head = next(lines_of(path), (0, ""))
    header, rows = table_of(path, delimiter_of(head, table_form) or ",")
    picture, text, star, split, number, category, credit = (column_of(header, names) for names in COLUMNS)
    if picture is None or text is None:
        raise InputError(f"{path} is no file of boke: columns image and text are expected, it begins {head!r:.80}")
    name = Canned(path.parent, found.base) if table_form(header) == "can" else file_name

    def cell(row: Sequence[str], column: int | None) -> str | None:
        return None if column is None else row[column]

    for where, row in rows:
        found.add(
            name(row[picture]),
            row[text],
            where,
            star=cell(row, star),
            split=cell(row, split),
            number=cell(row, number),
            category=cell(row, category),
            credit=cell(row, credit),
        )


class Canned:
    """What the pictures of a can are called: addresses that begin with a "/" start from the can.

    Args:
        base: the folder that names start from; the can is in it, or is it.
    """

    def __init__(self, can: Path, base: Path) -> None:
        self.can = can
        prefix = can.relative_to(base).as_posix() if can.is_relative_to(base) else "."
        self.prefix = "" if prefix == "." else f"{prefix}/"
        self.names: dict[str, str] = {}

    def __call__(self, address: str) -> str:
        known = self.names.get(address)
        if known is None:
            name = address.strip().lstrip("/")
            beside = f"images/{name.rpartition('/')[2]}"
            if name and name != beside and not is_file(self.can / name):
                name = beside
            known = self.names[address] = f"{self.prefix}{name}" if name else ""
        return known


def read_nishika(path: Path, found: FoundBoke) -> None:
    """The contest's train.csv (odai_photo_file_name, text, is_laugh), or its lines without a header:
    `picture<TAB>0 or 1<TAB>text`. What is funny has one star.

    Raises:
        InputError: it is something else.
    """
    if not all(nameless(line) for line in head_of(path, "boke")[:5]):
        read_table(path, found)
        return
    for number, line in lines_of(path):
        where = f"{path}, line {number}"
        cells = nameless(line)
        if cells is None:
            raise InputError(f"{where}: `picture<TAB>0 or 1<TAB>text` is expected; found {line!r:.80}")
        name, star, text = cells
        found.add(name, text, where, star=star)


def read_teratsyk(path: Path, found: FoundBoke) -> None:
    """A page on each line: `txt`, its boke with commas between, and `images`, its pictures as Python writes a list.

    A boke that has a comma makes two; a line with more or fewer boke than pictures is left out, as nobody knows which
    belong together. All boke of a line with one picture are that one's.

    Raises:
        InputError: it is something else.
    """
    _, head = next(lines_of(path), (0, ""))
    header, rows = table_of(path, delimiter_of(head, table_form) or ",")
    txt, images = column_of(header, ("txt",)), column_of(header, ("images",))
    if txt is None or images is None:
        raise InputError(f"{path} has no columns txt and images; it begins {head!r:.80}")
    for where, row in rows:
        try:
            pictures = ast.literal_eval(row[images].strip() or "[]")
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
            raise InputError(f"{where}: `images` is to be a list of objects; found {row[images]!r:.60}") from error
        if not isinstance(pictures, list):
            raise InputError(f"{where}: `images` is to be a list of objects; found {row[images]!r:.60}")
        names = [picture_of({"images": [picture]}, where) for picture in pictures]
        texts = row[txt].split(",")
        if len(names) == 1:
            names *= len(texts)
        if len(names) != len(texts):
            found.left_out["unpaired" if names else "no_picture"] += len(texts)
            continue
        for name, text in zip(names, texts, strict=True):
            found.add(name, text, where)


# Pages


def read_saved(path: Path, found: FoundBoke) -> None:
    """A page that was saved; its pictures are called as the files of their addresses, and are looked for beside it,
    or where browsers put them: of x.html in x_files.

    Raises:
        InputError: no boke is found in it.
    """
    try:
        html = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if "<" not in html:  # of which Beautiful Soup would warn
        raise InputError(f"{path} is no web page")
    beside = path.with_name(f"{path.stem}_files")
    for listed in read_page(html, str(path)):
        name, boke = file_name(listed.url), listed.boke
        assert boke is not None  # noqa: S101  a page's lines are boke
        if name not in found.pages and is_file(beside / name) and path.is_relative_to(found.base):
            found.pages[name] = (beside.relative_to(found.base) / name).as_posix()
        found.add(
            found.pages.get(name, name),
            boke.text,
            f"{path}, boke {listed.line}",
            star=boke.star,
            number=boke.number,
            category=boke.category,
        )


READERS: dict[str, Callable[[Path, FoundBoke], None]] = {
    "butsugiri": read_butsugiri,
    "can": read_table,
    "hairhair": read_hairhair,
    "yryo1005": read_yryo1005,
    "boketedb": read_boketedb,
    "teratsyk": read_teratsyk,
    "nishika": read_nishika,
    "page": read_saved,
    "jsonl": read_records,
    "csv": read_table,
}
FORMS = (*READERS, *(form for form in CAPTION_FORMS if form not in READERS))
