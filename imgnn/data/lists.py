"""List files: a line `path label` for each picture. What Caffe's tools and mlimages read and write.

Beside the list `flowers_train.txt` there may be

    flowers_class_def.txt   the class words, a line `label name` each
    flowers.json            the record: where the pictures are, and hashes by which a stale list is told
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from imgnn.data.journal import journal_digest
from imgnn.errors import InputError, missing
from imgnn.images.decode import describe
from imgnn.images.files import is_image
from imgnn.runs import is_file, is_folder, write_aside

FORMAT, VERSION = "imgnn list", 1
LARGEST = 2**31 - 1  # Caffe keeps a label as a C int
# Nothing else than digits, and few of them: int() would also take "1_0", "+1" and "٣", and fails at 5,000 digits.
LABEL = re.compile(r"[0-9]{1,10}")
READ = {"root": str, "lists": dict, "folders": list | None, "pictures": int, "tree": str}  # of a record
WORDS_SUFFIX = "_class_def.txt"  # mlimages' name for the class words


@dataclass(frozen=True)
class Entry:
    """One picture of a list.

    Attributes:
        path: from the list's root, with "/" between its parts; it may hold spaces.
        label: its class, 0 or more.
    """

    path: str
    label: int


@dataclass(frozen=True)
class ListFile:
    """A list that was read.

    Attributes:
        path: the list file.
        root: the folder that the entries' paths start from.
        entries: in the file's order.
        words: label -> name of the class; empty if no file tells.
        record: what `imgnn label` wrote of the list; None if somebody else made it.
    """

    path: Path
    root: Path
    entries: tuple[Entry, ...]
    words: Mapping[int, str] = field(default_factory=dict)
    record: Mapping[str, Any] | None = None

    def file(self, entry: Entry) -> Path:
        """Where the picture of an entry is."""
        return self.root / entry.path

    def name(self, label: int) -> str:
        """The class's name; without words, its number."""
        return self.words.get(label, str(label))

    @property
    def labels(self) -> tuple[int, ...]:
        """Every label that occurs, in order."""
        return tuple(sorted({entry.label for entry in self.entries}))


def read_list(path: str | Path, root: str | Path | None = None) -> ListFile:
    """Read a list file with what lies beside it.

    A line is cut at its last space or tab, after white space at its end was dropped; the path before it may hold
    spaces, and `\\` in it is read as `/`. Empty lines are passed over.

    Args:
        root: the folder that the paths start from. None: the one that the record names, else the list's own.

    Raises:
        InputError: there is no such file, it is no text, it is empty, or a line is not `path label` with a label of
            0 or more; the line is named.
    """
    path = Path(path)
    entries: list[Entry] = []
    for number, line in lines_of(path):
        name, label = cut(line)
        if not name or not (LABEL.fullmatch(label) and int(label) <= LARGEST):
            found = f"the label {label!r}" if name else f"{line.strip()!r}"
            raise InputError(
                f"{path}, line {number}: a line is `path label`, the label a whole number from 0 on; found {found}"
            )
        entries.append(Entry(name.replace("\\", "/"), int(label)))
    if not entries:
        raise InputError(f"{path} is empty; a list has a line `path label` for each picture")
    record = read_record(path)
    if root is None and record is not None:
        root = path.parent / record["root"]
    words_file = family_file(path, WORDS_SUFFIX)
    return ListFile(
        path=path,
        root=Path(root) if root is not None else path.parent,
        entries=tuple(entries),
        words=read_words(words_file) if words_file else {},
        record=record,
    )


def cut(line: str) -> tuple[str, str]:
    """`path label` -> its two parts; the label is empty if there is but one."""
    name, _, label = line.rstrip().replace("\t", " ").rpartition(" ")
    return name.strip(), label


def is_listable(path: str) -> bool:
    """Whether a path can be written in a list, and is read as the same again."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return cut(f"{path} 0") == (path, "0") and not path.startswith("\ufeff") and not set(path) & set("\\\r\n")


def write_list(path: Path, entries: Iterable[Entry]) -> None:
    """Write a list; the file appears whole or not at all."""
    with write_aside(path) as aside, aside.open("wb") as file:
        file.writelines(map(line_of, entries))


def line_of(entry: Entry) -> bytes:
    """As a list has it."""
    return f"{entry.path} {entry.label}\n".encode()


def list_digest(entries: Iterable[Entry]) -> str:
    """SHA-256 of the list that these would make."""
    result = hashlib.sha256()
    for entry in entries:
        result.update(line_of(entry))
    return result.hexdigest()


def read_words(path: Path) -> dict[int, str]:
    """Class words: a line `label name` each, as mlimages writes them; or the names alone, the first being class 0.

    Raises:
        InputError: the file cannot be read, or names a label twice.
    """
    words: dict[int, str] = {}
    lines = [line.strip() for _, line in lines_of(path)]
    numbered = all(LABEL.fullmatch(line.split(None, 1)[0]) and len(line.split(None, 1)) == 2 for line in lines)
    for index, line in enumerate(lines):
        label, name = (int(line.split(None, 1)[0]), line.split(None, 1)[1]) if numbered else (index, line)
        if label in words:
            raise InputError(f"{path} names class {label} twice: {words[label]!r} and {name!r}")
        words[label] = name
    return words


def write_words(path: Path, words: Mapping[int, str]) -> None:
    """Write the class words."""
    with write_aside(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{label} {name}\n" for label, name in sorted(words.items()))


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text that are not empty, with their numbers from 1 on.

    Raises:
        InputError: there is no such file, it may not be read, or is no UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="strict") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except FileNotFoundError:
        raise missing(path) from None
    except UnicodeDecodeError as error:
        with path.open("rb") as raw:
            found = describe(raw.read(512))
        what = f"it is {found}" if "known" not in found else f"{error.reason} at byte {error.start}"
        raise InputError(f"{path} is no text in UTF-8: {what}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


# The record


def family(path: Path) -> Iterator[str]:
    """The names that files beside a list may begin with: of `a_b_train.txt` a_b_train, a_b and a."""
    stem = path.stem
    while stem:
        yield stem
        stem = stem.rpartition("_")[0]


def family_file(path: Path, suffix: str) -> Path | None:
    """The file beside a list whose name ends so: `flowers_class_def.txt` of `flowers_train.txt`."""
    found = (path.with_name(stem + suffix) for stem in family(path))
    return next((each for each in found if is_file(each)), None)


@dataclass(frozen=True)
class Watched:
    """Pictures by which a list is found to be stale, as they are at one moment: to be taken before they are read.

    Attributes:
        folders: from the root; pictures that come, go or change in one of them make the list stale, those in folders
            within them do not. None: the whole root, at any depth.
        pictures, tree: how many there are, and a hash of their paths and sizes.
    """

    folders: Sequence[str] | None
    pictures: int
    tree: str

    @classmethod
    def now(cls, root: Path, folders: Sequence[str] | None) -> "Watched":
        return cls(folders, *tree_digest(root, folders))


def write_record(
    path: Path,
    lists: Mapping[str, str],
    root: Path,
    watched: Watched,
    facts: Mapping[str, Any],
    replaces: Mapping[str, str] | None = None,
) -> None:
    """Write the record of lists: their hashes, and what is known of the pictures.

    Args:
        path: `flowers.json`; the lists lie beside it, and are called `flowers.txt` or `flowers_....txt`.
        lists: name -> SHA-256 of each.
        root: the folder that paths start from.
        facts: whatever else is worth keeping.
        replaces: the lists as they are until these are written; None: they are.
    """
    record = {
        "format": FORMAT,
        "version": VERSION,
        "root": os.path.relpath(root, path.parent).replace(os.sep, "/"),
        "lists": lists,
        **({"replaces": replaces} if replaces is not None else {}),
        **asdict(watched),
        **facts,
    }
    with write_aside(path) as aside:
        aside.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read_record(path: Path) -> dict[str, Any] | None:
    """The record that names a list file; None if there is none.

    Raises:
        InputError: it was written by a later version of imgnn.
    """
    return next((record for record in records_beside(path) if path.name in record["lists"]), None)


def records_beside(path: Path) -> Iterator[dict[str, Any]]:
    """The records whose family a file may belong to, those with the longest name first.

    Raises:
        InputError: one was written by a later version of imgnn.
    """
    found = (load_record(path.with_name(f"{stem}.json")) for stem in family(path))
    return (record for record in found if record is not None)


def load_record(path: Path) -> dict[str, Any] | None:
    """The record in a file; None if there is none, or it is something else.

    Raises:
        InputError: it was written by a later version of imgnn, or something is missing in it.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        return None
    if found.get("version") != VERSION:
        raise InputError(f"{path} is a record of version {found.get('version')}; this imgnn reads {VERSION}")
    if wrong := next((name for name, kind in READ.items() if not isinstance(found.get(name), kind)), None):
        raise InputError(f"{path} is a damaged record of lists: {wrong!r} is {found.get(wrong)!r:.60}",
                         hint="imgnn label writes it again, once the file is taken away")  # fmt: skip
    return found


def staleness(listed: ListFile) -> str | None:
    """Why a list does not fit its pictures any more, in words; None if it does, or has no record.

    Cheap: names and sizes of the files in the folder are looked at, not what is in them.
    """
    record = listed.record
    if record is None:
        return None
    if record["lists"][listed.path.name] != file_digest(listed.path):
        return f"{listed.path} was changed since imgnn label wrote it"
    if not is_folder(listed.root):
        return f"the pictures of {listed.path} are not at {listed.root} any more"
    count, tree = tree_digest(listed.root, record["folders"])
    if tree != record["tree"]:
        then, now = record["pictures"], count
        change = f"{then:,} pictures then, {now:,} now" if then != now else f"some of {now:,} have another name or size"
        return f"{listed.root} was changed since {listed.path} was made of it: {change}"
    if record.get("journal") not in (None, journal_digest(listed.root)):
        return f"{listed.path} was made of {listed.root} before imgnn fetch was there again"
    return None


def find_pictures(folder: Path) -> list[Path]:
    """Every picture file in a folder and the folders within it, sorted by path; hidden ones are passed over.

    A file counts that is named or begins like a picture. Links to folders are followed once. What was made of a list
    that lies in the folder (its mean, its sheets) is passed over too.

    Raises:
        InputError: the folder, or one within it, may not be read.
    """
    found: list[Path] = []
    seen: set[str] = set()
    made = made_of_lists(folder)

    def refuse(error: OSError) -> None:
        raise InputError(f"cannot read the folder {error.filename}: {error.strerror}") from error

    for inside, folders, files in os.walk(folder, followlinks=True, onerror=refuse):
        real = os.path.realpath(inside)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        if Path(inside) == folder and made is not None:
            folders[:] = [each for each in folders if not made.fullmatch(each)]
            files = [each for each in files if not made.fullmatch(each)]
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        found += [path for path in (Path(inside, name) for name in files if not name.startswith(".")) if is_image(path)]
    return sorted(found)


def made_of_lists(folder: Path) -> re.Pattern[str] | None:
    """The names of what is made of the lists in a folder: their means and sheets. None if there is no list."""
    stems = [path.stem for path in folder.glob("*.json") if load_record(path)]
    if not stems:
        return None
    return re.compile(rf"({'|'.join(map(re.escape, stems))})(_[^/]+)?_(mean(_[a-z]+)?\.png|sheets)")


def folders_of(entries: Iterable[Entry]) -> list[str]:
    """The folders that pictures of a list lie in, from its root."""
    return sorted({entry.path.rpartition("/")[0] for entry in entries})


def tree_digest(root: Path, folders: Sequence[str] | None) -> tuple[int, str]:
    """How many pictures lie in a folder, and a hash of their paths and sizes.

    Args:
        folders: only those right in these, from the root; None: all, at any depth.
    """
    if folders is None:
        pictures = find_pictures(root)
    else:
        within = (sorted((root / folder).iterdir()) for folder in folders if is_folder(root / folder))
        pictures = [path for each in within for path in each if not path.name.startswith(".") and is_image(path)]
    result = hashlib.sha256()
    for path in pictures:
        name = os.path.relpath(path, root).replace(os.sep, "/")
        result.update(f"{name}\0{path.stat().st_size}\n".encode("utf-8", "surrogateescape"))
    return len(pictures), result.hexdigest()


def contents_digest(hashes: Iterable[tuple[str, str]]) -> str:
    """One hash for many pictures, given as (path, SHA-256 of the file), whatever their order."""
    result = hashlib.sha256()
    for path, sha256 in sorted(hashes):
        result.update(f"{path}\0{sha256}\n".encode("utf-8", "surrogateescape"))
    return result.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
