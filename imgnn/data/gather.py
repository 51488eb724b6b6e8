"""Pictures with their labels: out of class folders, by mlimages' rules, or out of lists."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from imgnn.data.findings import Finding
from imgnn.data.journal import Journal, find_journal
from imgnn.data.lists import find_pictures, is_listable, lines_of, load_record, read_list, staleness
from imgnn.data.outcomes import OK
from imgnn.data.split import PARTS
from imgnn.errors import InputError
from imgnn.options import LabelOptions
from imgnn.runs import Reporter, is_file

SPLITS = {"training": "train", "valid": "val", "validation": "val", "dev": "val", "testing": "test"}  # other words
ROOT = "ROOT"  # mlimages' name for the class of the pictures that lie in no class folder


@dataclass(frozen=True)
class Picture:
    """A picture that may be listed.

    Attributes:
        path: as the list has it.
        file: where it is.
        label: its class.
        part: the number of the list that it is in already; None: it is in none.
        settled: whether it stays there, whatever is found: it is in the list that others are added to.
    """

    path: str
    file: Path
    label: int
    part: int | None = None
    settled: bool = False


@dataclass
class Source:
    """Pictures with labels, from wherever.

    Attributes:
        root: the folder that paths start from.
        parts: names of the lists that they are in already; () if they are in none, ("",) for a single one.
        words: label -> name of the class.
        empty: class folders without pictures.
        findings: what was found while reading.
        whole: whether every picture below the root was looked at.
    """

    root: Path
    pictures: list[Picture] = field(default_factory=list)
    parts: tuple[str, ...] = ()
    words: dict[int, str] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    whole: bool = False


def name_of(label: int, words: Mapping[int, str]) -> str:
    """The name of a class; without words, its number."""
    return words.get(label, str(label))


def read_folder(folder: Path, output: Path, options: LabelOptions) -> Source:
    """The pictures of class folders, by mlimages' rules, after those of the list they are added to.

    First-level folders, sorted without regard to case, are the classes; pictures within them at any depth belong to
    them; those that lie in no folder are the last class, ROOT.

    Raises:
        InputError: there is no picture; the list to add to is of another folder.
    """
    source = read_settled(output, folder, options) if options.add else Source(options.root or folder)
    check_within(folder, source.root)
    prefix = folder.resolve().relative_to(source.root.resolve())
    source.whole = prefix == Path()
    listed = {picture.path for picture in source.pictures}
    found: dict[str, list[Picture]] = {}
    for file in find_pictures(folder):
        inside = file.relative_to(folder)
        name = inside.parts[0] if len(inside.parts) > 1 else ROOT
        path = (prefix / inside).as_posix()
        found.setdefault(name, [])
        if path not in listed:
            found[name].append(Picture(path, file, 0))
    if not found:
        raise InputError(f"no picture in the folder {folder}, nor in the folders within it")
    if options.label is not None:
        source.words.setdefault(options.label, folder.resolve().name)
        labels = dict.fromkeys(found, options.label)
    else:
        folders = sorted(each.name for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
        source.empty = [name for name in folders if name not in found]
        labels = number_classes(found, source)
    for name in sorted(labels, key=lambda name: (labels[name], name)):
        source.pictures += [replace(picture, label=labels[name]) for picture in found[name]]
    # A folder whose name no list can hold is no class; its pictures are told one by one.
    source.pictures += [each for name in sorted(set(found) - set(labels)) for each in found[name]]
    return source


def number_classes(names: Iterable[str], source: Source) -> dict[str, int]:
    """The label of each class folder: the one that it has, or the next."""
    known = {name: label for label, name in source.words.items()}
    taken = {*source.words, *(picture.label for picture in source.pictures)}
    result: dict[str, int] = {}
    for name in class_order(filter(is_listable, names)):
        result[name] = known.get(name.strip(), max(taken, default=-1) + 1)
        taken.add(result[name])
        source.words[result[name]] = name.strip()
    return result


def class_order(names: Iterable[str]) -> list[str]:
    """Class folders in the order of their labels: mlimages' (without regard to case, ROOT at the end); but where all
    are whole numbers, as in the lists of Flickr Style, by these: 2 comes before 10."""
    found = list(names)
    if all(name.isascii() and name.isdecimal() for name in found if name != ROOT):
        return sorted(found, key=lambda name: (name == ROOT, int(name) if name != ROOT else 0, name))
    return sorted(found, key=lambda name: (name == ROOT, name.casefold(), name))


def take_given_split(source: Source, folder: Path) -> None:
    """Put pictures that were fetched into the parts that their list has them in.

    Raises:
        InputError: nothing was fetched into the folder, or its list has no split.
    """
    with Journal(find_journal(folder), read_only=True) as journal:
        given = {row["file"]: str(row["split"] or "").strip().lower() for row in journal.rows(only=OK)}
        listed = journal.path
    parts = {file: SPLITS.get(name, name) for file, name in given.items()}
    source.parts = tuple(part for part in PARTS if part in set(parts.values()))
    if len(source.parts) < 2:
        raise InputError(
            f"the lists in {listed} have no column `split` with train, val or test", hint="--split 0.8/0.2"
        )
    numbers = {part: number for number, part in enumerate(source.parts)}
    for index, picture in enumerate(source.pictures):
        part = parts.get(picture.file.relative_to(folder).as_posix())
        if part not in numbers:
            raise InputError(f"{listed} does not tell the part of {picture.file}: {part or 'nothing'}")
        source.pictures[index] = replace(picture, part=numbers[part])


def read_settled(output: Path, folder: Path, options: LabelOptions) -> Source:
    """The lists that pictures are added to.

    Raises:
        InputError: there is none, or it is not split as asked for.
    """
    record = load_record(output.with_suffix(".json"))
    files = [output.with_name(name) for name in record["lists"]] if record else [output]
    if not is_file(files[0]):
        raise InputError(f"there is no list {output} to add to", hint="leave --add away to make it")
    if options.split and len(files) != len(options.split):
        parts = f"is split into {len(files)}" if len(files) > 1 else "is not split"
        raise InputError(
            f"{output} {parts}; {len(options.split)} parts were asked for", hint="leave --add away to split all anew"
        )
    source = Source(folder, parts=tuple(part_name(each, output) for each in files))
    for part, file in enumerate(files):
        listed = read_list(file, None if record else options.root or folder)
        if options.root and options.root.resolve() != listed.root.resolve():
            raise InputError(f"paths in {file} start from {listed.root}, not from {options.root}")
        source.root = listed.root
        source.words.update(listed.words)
        source.pictures += [
            Picture(entry.path, listed.file(entry), entry.label, part, settled=True) for entry in listed.entries
        ]
    if not source.words:
        source.words = guess_words(source.pictures)
    return source


def guess_words(pictures: Iterable[Picture]) -> dict[int, str]:
    """Class words of a list that came without: the first folder of its pictures, where all of a class share it."""
    folders: dict[int, set[str]] = {}
    for picture in pictures:
        folders.setdefault(picture.label, set()).add(picture.path.partition("/")[0] if "/" in picture.path else ROOT)
    return {label: next(iter(names)) for label, names in folders.items() if len(names) == 1}


def check_within(folder: Path, root: Path) -> None:
    """See to it that paths can start from the root.

    Raises:
        InputError: the folder is not in it.
    """
    if not folder.resolve().is_relative_to(root.resolve()):
        raise InputError(f"paths in the list start from {root}; {folder} does not lie there")


def recorded_shares(output: Path) -> tuple[float, ...]:
    """The shares by which the lists to add to were split.

    Raises:
        InputError: nothing tells.
    """
    record = load_record(output.with_suffix(".json")) or {}
    if shares := record.get("options", {}).get("split"):
        return tuple(shares)
    raise InputError(f"how {output} was split is not known", hint="--split 0.8/0.1/0.1")


def read_lists(paths: Sequence[Path], options: LabelOptions, reporter: Reporter) -> Source:
    """The pictures of lists, with what Caffe would stumble over in their lines.

    Raises:
        InputError: a line is not `path label`; the lists have different roots; no picture is where it should be.
    """
    source = Source(options.root or Path())
    for part, path in enumerate(paths):
        listed = read_list(path, options.root)
        if part and listed.root.resolve() != source.root.resolve():
            raise InputError(
                f"the lists' pictures are at different places: {source.root} and {listed.root}", hint="--root FOLDER"
            )
        if options.root is None and (stale := staleness(listed)):
            reporter.note(stale)
        source.root = listed.root
        for label, name in listed.words.items():
            if source.words.setdefault(label, name) != name:
                raise InputError(f"class {label} has two names: {source.words[label]!r} and {name!r}, in {path}")
        source.pictures += [Picture(each.path, listed.file(each), each.label, part) for each in listed.entries]
        if blanks := [number for number, line in lines_of(path) if line != line.rstrip()]:
            detail = f"{len(blanks):,} lines, the first is {blanks[0]}"
            source.findings.append(Finding("trailing_blanks", path.name, detail=detail))
    source.parts = tuple(part_name(path, None) for path in paths) if len(paths) > 1 else ("",)
    if len(set(source.parts)) < len(source.parts):
        raise InputError(f"the lists' names have to end differently, as _train and _val: {', '.join(map(str, paths))}")
    if not any(is_file(picture.file) for picture in source.pictures):
        first = source.pictures[0].file
        raise InputError(f"none of the pictures of {paths[0]} is there: {first}", hint="--root FOLDER")
    return source


def part_name(path: Path, output: Path | None) -> str:
    """`train` of `flowers_train.txt`; "" of the list itself."""
    if output is not None:
        return path.stem.removeprefix(output.stem).removeprefix("_")
    return path.stem.rpartition("_")[2]
