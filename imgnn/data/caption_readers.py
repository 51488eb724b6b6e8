"""A reader for each form that caption data sets come in; `caption_files` tells of the forms.

Each puts what a file says into `Found`, by the name of the picture. The form is told by what is in the file.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imgnn.data.captions import part_of
from imgnn.data.lists import find_pictures, lines_of
from imgnn.errors import InputError, missing
from imgnn.images.decode import describe
from imgnn.runs import is_file

# What the picture, its sentences and its split are called in JSON and in headers; compared without regard to case.
IMAGE_NAMES = ("image", "file", "file_name", "filename", "file_path", "filepath", "path", "image_name", "image_path")
CAPTION_NAMES = ("captions", "caption", "sentences", "sentence", "comment", "text")
SPLIT_NAMES = ("split", "set", "subset", "partition")
ID_NAMES = ("id", "image_id", "cocoid")

COCO_FILE = re.compile(r"captions_((train|val|test).*)")
TOKEN = re.compile(r"(.+?)#(\d{1,9})(?:\s+(.*))?")  # of a line without a tab; the name then holds no "#1 "
TABBED = re.compile(r"([^\t]+)#(\d{1,9})\s*\t(.*)")
STRAY = re.compile(r"(\.(?:jpe?g|png))\.\d+$", re.IGNORECASE)  # Flickr8k has a caption of x.jpg under x.jpg.1
DELIMITERS = "\t|;,"
HEAD = 1 << 16  # bytes by which the form is told


@dataclass
class Draft:
    """A picture while its captions are being read."""

    captions: list[str] = field(default_factory=list)
    split: str | None = None
    image_id: int | str | None = None
    number: int | None = None


class Found:
    """What readers find, joined by the name of the picture."""

    def __init__(self) -> None:
        self.drafts: dict[str, Draft] = {}
        self.empty = 0

    def add(
        self,
        name: str,
        captions: Iterable[str],
        where: str,
        *,
        split: object = None,
        image_id: int | str | None = None,
        number: int | None = None,
    ) -> None:
        """Captions of a picture; those without a word are counted and dropped, and white space becomes one space.

        Raises:
            InputError: the picture has no name, or is in two splits; `where` begins the message.
        """
        name = picture_name(name, where)
        draft = self.drafts.setdefault(name, Draft())
        for caption in captions:
            if words := tidy(caption):
                draft.captions.append(words)
            else:
                self.empty += 1
        if split is not None:
            part = part_of(str(split), where)
            if draft.split not in (None, part):
                raise InputError(f"{where}: {name} is in {part}, and in {draft.split} before")
            draft.split = part
        draft.image_id = image_id if draft.image_id is None else draft.image_id
        draft.number = number if draft.number is None else draft.number


def clean(text: str) -> str:
    """A text that can be written: JSON may hold halves of characters, and zeros."""
    text = text.replace("\0", " ")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def tidy(text: str) -> str:
    """A sentence that can be written, its white space (line breaks, too) as one space; "" if there is no word."""
    return " ".join(clean(text).split())


def picture_name(name: str, where: str) -> str:
    """What a picture is called, with "/" between the parts.

    Raises:
        InputError: nothing; `where` begins the message.
    """
    name = clean(name).strip(" \t\r\n").replace("\\", "/")
    if not name:
        raise InputError(f"{where}: a picture without a name")
    return name


def read_file(path: Path, form: str | None, found: Found) -> str:
    """Read one file, and tell its form.

    Raises:
        InputError: it is none of these forms, or broken.
    """
    form = form or form_of(path)
    if form in ("json", *JSON_READERS):
        data = load_json(path)
        form = json_form(data, path) if form == "json" else form
        JSON_READERS[form](data, path, found)
    else:
        READERS[form](path, found)
    return form


def form_of(path: Path) -> str:
    """The form of a file by its first lines; "json" for one that has to be read to tell.

    Raises:
        InputError: it cannot be read, is empty, or is no text.
    """
    lines = head_of(path)
    if lines[0].lstrip()[0] in "{[":
        with suppress(ValueError, RecursionError):
            record = json.loads(lines[0])
            if isinstance(record, dict) and (len(lines) > 1 or value_of(record, IMAGE_NAMES) is not None):
                return "jsonl"
        return "json"
    if delimiter_of(lines[0]) is None and any(TABBED.fullmatch(line) or TOKEN.fullmatch(line) for line in lines[:5]):
        return "flickr"
    return "csv"


def head_of(path: Path, what: str = "captions") -> list[str]:
    """The lines that a file begins with, but for empty ones; the last may be cut.

    Args:
        what: is expected to be in it.

    Raises:
        InputError: it cannot be read, is empty, or is no text.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except FileNotFoundError:
        raise missing(path) from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path} is no file of {what}: it is {describe(head)}")
    lines = [line for line in re.split(r"[\r\n]+", head.decode("utf-8-sig", "replace")) if line.strip()]
    if not lines:
        raise InputError(f"{path} is empty")
    return lines


def load_json(path: Path) -> Any:
    """What is in a JSON file.

    Raises:
        InputError: it cannot be read, or is broken; with the line.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise missing(path) from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {error.lineno}, column {error.colno}: broken JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, a number of 5,000 digits, a thousand brackets
        raise InputError(f"{path} is no JSON: {error}") from error


def json_form(data: Any, path: Path) -> str:
    """Which of the JSON forms it is.

    Raises:
        InputError: none.
    """
    if isinstance(data, list):
        first = data[0] if data else None
        if isinstance(first, dict) and value_of(first, IMAGE_NAMES) is not None:
            return "neuraltalk2"
        if isinstance(first, dict) and {"image_id", "caption"} <= set(first):
            raise InputError(f"{path} is a result file of COCO's: sentences, but not the pictures they belong to")
        raise InputError(f"{path} is no file of captions: {keys_of(first, 'a list of objects')}")
    if isinstance(data, dict) and "images" in data:
        return "coco" if "annotations" in data else "karpathy"
    raise InputError(f"{path} is no file of captions: {keys_of(data, 'an object')} and no list `images`")


def keys_of(found: Any, what: str) -> str:
    """Words for what is in the place of a data set."""
    if not isinstance(found, dict):
        return f"it is not {what} with pictures and captions"
    return f"{what} with the keys {', '.join(list(found)[:8]) or 'none'}"


def objects(found: Any, what: str, path: Path) -> list[dict[str, Any]]:
    """A list of JSON objects.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise InputError(f"{path}: {what} is to be a list of objects")
    return found


def value_of(record: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The first of several keys that a record has, without regard to case; None if it has none."""
    for name in names:
        if name in record:
            return record[name]
    folded = {key.strip().lower(): value for key, value in record.items()}
    return next((folded[name] for name in names if name in folded), None)


def sentences(found: Any, where: str) -> list[str]:
    """Sentences: one, a list of them, or Karpathy's objects with `raw` or `tokens`.

    Raises:
        InputError: it is something else.
    """
    result = []
    for each in found if isinstance(found, list) else [found]:
        if isinstance(each, dict):
            each = each.get("raw") or each.get("tokens")
            each = " ".join(map(str, each)) if isinstance(each, list) else each
        if not isinstance(each, str):
            raise InputError(f"{where}: a caption is to be a text; found {each!r:.60}")
        result.append(each)
    return result


def identity(found: Any) -> int | str | None:
    """An id, if it is one."""
    return found if isinstance(found, int | str) and not isinstance(found, bool) else None


def read_karpathy(data: Any, path: Path, found: Found) -> None:
    """{"images": [{"filepath", "filename", "imgid", "split", "cocoid", "sentences": [{"raw", "tokens"}]}]}

    Raises:
        InputError: it is something else.
    """
    if not isinstance(data, dict) or "images" not in data:
        raise InputError(f"{path} is no dataset.json: {keys_of(data, 'an object')}, and no list `images`")
    for index, image in enumerate(objects(data["images"], "`images`", path)):
        where = f"{path}, images[{index}]"
        if not isinstance(image.get("filename"), str) or "sentences" not in image:
            raise InputError(f"{where} has no `filename` and `sentences`: {keys_of(image, 'an object')}")
        number = image.get("imgid")
        found.add(
            f"{image['filepath']}/{image['filename']}" if "filepath" in image else image["filename"],
            sentences(image["sentences"], where),
            where,
            split=image.get("split"),
            image_id=identity(image.get("cocoid")),
            number=number if isinstance(number, int) else None,
        )


def read_coco(data: Any, path: Path, found: Found) -> None:
    """{"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}, in a file that tells the split:
    captions_val2017.json, whose pictures lie in the folder val2017. A picture may also tell its split itself.

    Raises:
        InputError: it is something else, or an annotation is of a picture that is not there.
    """
    if not isinstance(data, dict) or not {"images", "annotations"} <= set(data):
        raise InputError(f"{path} has no `images` and `annotations`: {keys_of(data, 'an object')}")
    captions: dict[int | str | None, list[str]] = {}
    annotations = objects(data["annotations"], "`annotations`", path)
    if annotations and "caption" not in annotations[0]:
        raise InputError(f"{path} has annotations, but no captions: {keys_of(annotations[0], 'objects')}")
    for index, annotation in enumerate(annotations):
        where = f"{path}, annotations[{index}]"
        captions.setdefault(identity(annotation.get("image_id")), []).extend(
            sentences(annotation.get("caption"), where)
        )
    named = COCO_FILE.fullmatch(path.stem)
    for index, image in enumerate(objects(data["images"], "`images`", path)):
        where = f"{path}, images[{index}]"
        name, split, image_id = image.get("file_name"), image.get("split"), identity(image.get("id"))
        if not isinstance(name, str) or image_id is None:
            raise InputError(f"{where} has no `file_name` and `id`: {keys_of(image, 'an object')}")
        if named and split is None:
            name, split = name if "/" in name else f"{named.group(1)}/{name}", named.group(2)
        found.add(name, captions.pop(image_id, ()), where, split=split, image_id=image_id)
    if captions:
        first = next(iter(captions))
        count = sum(map(len, captions.values()))
        raise InputError(f"{path}: {count:,} captions are of no picture in it: the first image_id is {first!r}")


def read_records(data: Any, path: Path, found: Found) -> None:
    """neuraltalk2's [{"file_path", "captions", "id"}], and the like.

    Raises:
        InputError: it is something else.
    """
    for index, record in enumerate(objects(data, "the file", path)):
        read_record(record, f"{path}, item {index}", found)


def read_jsonl(path: Path, found: Found) -> None:
    """A JSON object on each line.

    Raises:
        InputError: a line is broken.
    """
    for number, line in lines_of(path):
        where = f"{path}, line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}: broken JSON: {error}") from error
        if not isinstance(record, dict):
            raise InputError(f"{where}: an object with a picture and captions is expected; found {line:.60}")
        read_record(record, where, found)


def read_record(record: Mapping[str, Any], where: str, found: Found) -> None:
    """A picture with one or more sentences, whatever the keys are called.

    Raises:
        InputError: it has none of the usual keys.
    """
    name, captions = value_of(record, IMAGE_NAMES), value_of(record, CAPTION_NAMES)
    if not isinstance(name, str) or captions is None:
        raise InputError(f"{where}: {keys_of(record, 'an object')}; `image` and `captions` are expected")
    found.add(
        name,
        sentences(captions, where),
        where,
        split=value_of(record, SPLIT_NAMES),
        image_id=identity(value_of(record, ID_NAMES)),
    )


def read_tokens(path: Path, found: Found) -> None:
    """`name.jpg#n<TAB>caption`; a space may stand for the tab, and captions come in the order of their n.

    Raises:
        InputError: a line is something else.
    """
    captions: dict[str, list[tuple[int, str]]] = {}
    for number, line in lines_of(path):
        match = TABBED.fullmatch(line) or TOKEN.fullmatch(line)
        if match is None:
            raise InputError(f"{path}, line {number}: `name.jpg#0<TAB>caption` is expected; found {line!r:.80}")
        name, order, caption = match.groups()
        captions.setdefault(STRAY.sub(r"\1", name), []).append((int(order), caption or ""))
    for name, numbered in captions.items():
        numbered.sort(key=lambda pair: pair[0])
        found.add(name, [caption for _, caption in numbered], str(path))


def read_table(path: Path, found: Found) -> None:
    """Columns, found by their usual names; a caption on each line.

    Raises:
        InputError: there are no such columns, or a line has more or fewer than the header.
    """
    _, head = next(lines_of(path), (0, ""))
    delimiter = delimiter_of(head)
    header, rows = table_of(path, delimiter or ",")
    image, caption, split = (column_of(header, names) for names in (IMAGE_NAMES, CAPTION_NAMES, SPLIT_NAMES))
    if image is None or caption is None:
        raise InputError(
            f"{path} is no file of captions: columns image and caption are expected, it begins {head!r:.80}"
        )
    for where, row in rows:
        found.add(row[image], [row[caption]], where, split=None if split is None else row[split] or None)


def table_of(path: Path, delimiter: str) -> tuple[list[str], Iterator[tuple[str, list[str]]]]:
    """The header of a table, in lower case, and its rows, each with its place in words.

    Raises:
        InputError: a line has more or fewer columns than the header, or a quote is not closed.
    """
    rows = rows_of(path, delimiter)
    header = [cell.strip().lower() for cell in next(rows, (0, []))[1]]
    return header, whole_rows(path, delimiter, len(header), rows)


def whole_rows(
    path: Path, delimiter: str, columns: int, rows: Iterable[tuple[int, list[str]]]
) -> Iterator[tuple[str, list[str]]]:
    """The rows that follow a header.

    Raises:
        InputError: one has more or fewer columns.
    """
    place = f"{path}, line"
    for number, row in rows:
        where = f"{place} {number}"
        if delimiter == "|" and len(row) == columns - 1:
            # Flickr30k's results.csv lacks a bar once: `2199200615.jpg| 4   A dog runs across the grass .`
            row = [*row[:-1], *row[-1].split(None, 1)]
        if len(row) != columns:
            hint = "a text that has commas wants quotes" if delimiter == "," and len(row) > columns else None
            raise InputError(f"{where}: {len(row)} columns; the header has {columns}", hint=hint)
        yield where, row


def has_captions(header: Sequence[str]) -> bool:
    """Whether there are columns for pictures and captions."""
    return column_of(header, IMAGE_NAMES) is not None and column_of(header, CAPTION_NAMES) is not None


def delimiter_of(head: str, wanted: Callable[[list[str]], object] = has_captions) -> str | None:
    """What is between the columns of a header; None if it has not those that are `wanted`."""
    for delimiter in DELIMITERS:
        if wanted([cell.strip().strip('"').lower() for cell in head.split(delimiter)]):
            return delimiter
    return None


def column_of(header: Sequence[str], names: Sequence[str]) -> int | None:
    """The column that has one of several names."""
    return next((header.index(name) for name in names if name in header), None)


def rows_of(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table, each with the number of its last line.

    Between commas or semicolons quotes may hold anything. Between tabs or bars people write quotes as they please: only
    a cell that is quoted whole, with those within it doubled, loses them.

    Raises:
        InputError: a quote is not closed.
    """
    if delimiter in "\t|":
        for number, line in lines_of(path):
            yield number, [unquoted(cell) for cell in line.split(delimiter)]
        return
    number = 0

    def lines() -> Iterator[str]:
        nonlocal number
        for number, line in lines_of(path):  # noqa: B007  `number` is told below
            yield f"{line}\n"

    try:
        for row in csv.reader(lines(), delimiter=delimiter, strict=True):
            yield number, row
    except csv.Error as error:
        raise InputError(f"{path}, line {number}: broken quotes: {error}") from error


def unquoted(cell: str) -> str:
    """A cell without the quotes around it."""
    inside = cell.strip()[1:-1]
    whole = len(cell.strip()) > 1 and cell.strip()[0] == cell.strip()[-1] == '"'
    return inside.replace('""', '"') if whole and '"' not in inside.replace('""', "") else cell


def read_texts(folder: Path, found: Found) -> None:
    """x.jpg with x.txt beside it.

    Raises:
        InputError: no picture has a text.
    """
    pictures = find_pictures(folder)
    texts = {picture: picture.with_suffix(".txt") for picture in pictures}
    if not any(map(is_file, texts.values())):
        raise InputError(
            f"no captions in the folder {folder}: neither a file of a usual name, as dataset.json or captions.jsonl, "
            "nor x.txt beside x.jpg",
            hint="name the file, not the folder",
        )
    for picture, text in texts.items():
        captions = [line for _, line in lines_of(text)] if is_file(text) else []
        found.add(picture.relative_to(folder).as_posix(), captions, str(text))


JSON_READERS: dict[str, Callable[[Any, Path, Found], None]] = {
    "karpathy": read_karpathy,
    "coco": read_coco,
    "neuraltalk2": read_records,
}
READERS: dict[str, Callable[[Path, Found], None]] = {
    "flickr": read_tokens,
    "jsonl": read_jsonl,
    "csv": read_table,
    "folder": read_texts,
}
