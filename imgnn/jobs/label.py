"""`imgnn label`: list files of pictures in class folders, weeded and split."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from imgnn.data.checks import Checked, check_classes, check_labels, check_pictures
from imgnn.data.findings import KEEPABLE, NOTES_SUFFIX, QUARANTINE_SUFFIX, Finding, write_findings
from imgnn.data.gather import Source, name_of, read_folder, read_lists, recorded_shares, take_given_split
from imgnn.data.inspected import inspect_files
from imgnn.data.journal import journal_digest, unfinished
from imgnn.data.lists import (
    WORDS_SUFFIX,
    Entry,
    Watched,
    contents_digest,
    file_digest,
    folders_of,
    is_listable,
    list_digest,
    load_record,
    write_list,
    write_record,
    write_words,
)
from imgnn.data.split import PARTS, split
from imgnn.errors import InputError, OptionError, missing, offer
from imgnn.images.inspection import Inspection
from imgnn.options import LabelOptions
from imgnn.runs import Reporter, Silent, check_folder, is_file, is_folder

CROWD, CROWD_SHARE = 20, 0.05  # pictures, and share of all, over which a group of near duplicates is remarked on


@dataclass(frozen=True)
class ClassCount:
    """One class.

    Attributes:
        counts: its pictures in each list.
    """

    label: int
    name: str
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Labelled:
    """What became of a folder or of lists.

    Attributes:
        pictures: how many were looked at.
        lists: the list files with their number of pictures; without an output the sources, with what would be left.
        others: the other files that were written.
        classes: by label.
        findings: those of pictures in their order, then those of classes.
        checked: whether the pictures were decoded.
    """

    pictures: int
    lists: Mapping[Path, int]
    others: tuple[Path, ...]
    classes: tuple[ClassCount, ...]
    findings: tuple[Finding, ...]
    checked: bool

    @property
    def left_out(self) -> int:
        """How many pictures are in no list."""
        return self.pictures - sum(self.lists.values())


def label_pictures(
    sources: Sequence[Path],
    output: Path | None = None,
    options: LabelOptions | None = None,
    reporter: Reporter | None = None,
) -> Labelled:
    """Make list files of a folder of class folders, or look through lists that are there.

    Args:
        sources: one folder, or list files of the same pictures' root (train, val, test), whose copies among each
            other are found too.
        output: the list to write; of a split, `flowers.txt` stands for `flowers_train.txt` and so on. Class words,
            quarantine, notes and record lie beside it. None: beside a folder under its name; of lists, nothing is
            written.

    Raises:
        InputError: there is no picture, or none is left; a line of a list is not `path label`; a file would be
            replaced that is none of ours.
        InterruptedRun: Ctrl-C; nothing is written, and what was inspected is kept.
    """
    options, reporter = options or LabelOptions(), reporter or Silent()
    check_options(sources, output, options)
    if is_folder(sources[0]):
        output = output or default_output(sources[0])
        source = read_folder(sources[0], output, options)
        if options.given_split:
            take_given_split(source, sources[0])
        elif len(source.parts) > 1 and not options.split:
            options = replace(options, split=recorded_shares(output))
    else:
        source = read_lists(sources, options, reporter)
    files = [named(output, name) for name in list_names(source, options)] if output else list(sources)
    if output:
        check_output(output, files, sources, options)

    # Before they are read: what comes meanwhile makes the list stale.
    folders = None if source.whole else folders_of(Entry(each.path, each.label) for each in source.pictures)
    watched = Watched.now(source.root, folders) if output else None
    journal = journal_digest(source.root)
    if waiting := unfinished(source.root):
        reporter.note(f"{waiting:,} addresses of {source.root} were not asked yet: imgnn fetch -o {source.root}")
    if options.split and not options.add:  # all is distributed anew
        source.pictures = [replace(picture, part=None) for picture in source.pictures]
    inspections = inspect(source, options, reporter) if options.check else None
    checked = check_pictures(
        source.pictures,
        inspections,
        source.words,
        keep=options.keep,
        min_side=options.min_side,
        near=options.near,
    )
    if not checked.kept:
        raise nothing_left(source, checked)
    if crowded := note_on_groups(checked.groups):
        reporter.note(crowded)
    lists = distribute(source, checked, files, options)
    classes = count_classes(source, list(lists.values()))
    findings = [*source.findings, *checked.findings]
    findings += check_classes({each.label: sum(each.counts) for each in classes}, source.words, source.empty)
    if options.label is None:
        findings += check_labels([each.label for each in classes])
    others: list[Path] = []
    if output and watched:
        hashes = None
        if inspections is not None:
            hashes = {each.path: known.sha256 for each, known in zip(source.pictures, inspections, strict=True)}
        others = write_files(output, lists, source, findings, classes, hashes, options, watched, journal)
    return Labelled(
        pictures=len(source.pictures),
        lists={file: len(entries) for file, entries in lists.items()},
        others=tuple(others),
        classes=classes,
        findings=tuple(findings),
        checked=options.check,
    )


def check_options(sources: Sequence[Path], output: Path | None, options: LabelOptions) -> None:
    """Refuse what does not go together.

    Raises:
        InputError: as of `label_pictures`.
    """
    for source in sources:
        if not is_folder(source) and not is_file(source):
            raise missing(source, "file or folder")
    folders = sum(map(is_folder, sources))
    if folders and len(sources) > 1:
        raise InputError(f"one folder, or one or more lists, are labelled; found {folders} of {len(sources)} folders")
    if not folders and options.label is not None:
        raise OptionError(f"--label is for a folder; {sources[0]} has its labels")
    if options.given_split and (not folders or options.add):
        raise OptionError("--split given is for a folder that imgnn fetch filled, and goes without --add")
    if not folders and options.add:
        raise InputError(f"--add adds the pictures of a folder; {sources[0]} is none")
    if not folders and options.split and output is None:
        raise InputError("the parts of a list are written to another name", hint="-o NAME.txt")
    if wrong := set(options.keep) - set(KEEPABLE):
        near = offer(min(wrong), KEEPABLE)
        raise OptionError(f"what can be kept is {', '.join(KEEPABLE)}; found {', '.join(sorted(wrong))}{near}")
    if output is not None and (is_folder(output) or output.suffix in ("", ".json")):
        raise OptionError(f"the list is a text, as flowers.txt; found {output}")


# What it is called


def default_output(folder: Path) -> Path:
    """`flowers.txt` beside the folder `flowers`.

    Raises:
        InputError: the folder has no name.
    """
    named = folder if folder.name not in ("", "..") else folder.resolve()
    if not named.name:
        raise InputError(f"{folder} has no name that a list could have", hint="-o NAME.txt")
    return named.parent / f"{named.name}.txt"


def named(output: Path, part: str) -> Path:
    """`flowers.txt` and train -> `flowers_train.txt`."""
    return output.with_name(f"{output.stem}_{part}{output.suffix}") if part else output


def list_names(source: Source, options: LabelOptions) -> tuple[str, ...]:
    """The parts that are written: "" is the whole."""
    if options.split:
        return PARTS[: len(options.split)] if not options.add else source.parts
    return source.parts or ("",)


def check_output(output: Path, files: Sequence[Path], sources: Sequence[Path], options: LabelOptions) -> None:
    """See to it that nothing is replaced but what `imgnn label` wrote.

    Raises:
        InputError: it would be.
    """
    check_folder(output)
    record_file = output.with_suffix(".json")
    record = load_record(record_file)
    if record is None and is_file(record_file):
        raise InputError(f"{record_file} would be replaced, and is no record of a list", hint="another name with -o")
    known = record["lists"] if record else {}
    before = (record or {}).get("replaces", {})  # of a label that was stopped while it wrote
    going = [*files, *(output.with_name(name) for name in known)]  # an older split is taken away
    for source in sources:
        if any(is_file(source) and is_file(file) and file.samefile(source) for file in going):
            raise InputError(f"{source} would be replaced by what is made of it", hint="another name with -o")
    for file in files if not options.add else ():
        if is_file(file) and file_digest(file) not in (known.get(file.name), before.get(file.name)):
            what = "was changed since imgnn label wrote it" if file.name in known else "is none of imgnn label's"
            raise InputError(
                f"{file} would be replaced, and {what}", hint="another name with -o, or --add to keep its entries"
            )


# What is done


def inspect(source: Source, options: LabelOptions, reporter: Reporter) -> list[Inspection]:
    """Every picture inspected; a file that is listed twice, once."""
    files = list(dict.fromkeys(picture.file for picture in source.pictures))
    known = inspect_files(files, workers=options.workers, dask=options.dask, folder=source.root, reporter=reporter)
    found = dict(zip(files, known, strict=True))
    return [found[picture.file] for picture in source.pictures]


def distribute(
    source: Source, checked: Checked, files: Sequence[Path], options: LabelOptions
) -> dict[Path, list[Entry]]:
    """The entries of each list: where its pictures are already, or as the split has it.

    Raises:
        InputError: a list has no picture.
    """
    kept = [source.pictures[index] for index in checked.kept]
    if options.split:
        parts = split(
            [picture.path for picture in kept],
            [picture.label for picture in kept],
            checked.groups,
            options.split,
            seed=options.seed,
            fixed=[picture.part for picture in kept],
        )
    else:
        parts = [picture.part or 0 for picture in kept]
    lists: dict[Path, list[Entry]] = {file: [] for file in files}
    for picture, part in zip(kept, parts, strict=True):
        lists[files[part]].append(Entry(picture.path, picture.label))
    for file, entries in lists.items():
        if not entries:
            raise InputError(f"no picture is left for {file}", hint=f"--keep {','.join(KEEPABLE)} keeps what it names")
    return lists


def nothing_left(source: Source, checked: Checked) -> InputError:
    """What to say when every picture was left out."""
    kinds = Counter(finding.kind for finding in checked.findings if finding.left_out)
    told = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
    hint = f"--keep {','.join(kind for kind in kinds if kind in KEEPABLE)}" if set(kinds) & set(KEEPABLE) else None
    return InputError(f"no picture is left of {len(source.pictures):,} in {source.root}: {told}", hint=hint)


def note_on_groups(groups: Sequence[int]) -> str | None:
    """What to say when so many pictures hang together that the split suffers; None if they do not."""
    largest = max(Counter(groups).values())
    if largest <= max(CROWD, CROWD_SHARE * len(groups)):
        return None
    return (
        f"{largest:,} of {len(groups):,} pictures are nearly the same, and stay together in a split; "
        "of drawings and digits the look tells little: --near 2 joins fewer"
    )


def count_classes(source: Source, entries: Sequence[Sequence[Entry]]) -> tuple[ClassCount, ...]:
    """The classes with their pictures in each list."""
    counts = [Counter(entry.label for entry in part) for part in entries]
    labels = sorted({picture.label for picture in source.pictures if is_listable(picture.path)} | set(source.words))
    return tuple(
        ClassCount(label, name_of(label, source.words), tuple(each[label] for each in counts)) for label in labels
    )


def write_files(
    output: Path,
    lists: Mapping[Path, Sequence[Entry]],
    source: Source,
    findings: Sequence[Finding],
    classes: Sequence[ClassCount],
    hashes: Mapping[str, str] | None,
    options: LabelOptions,
    watched: Watched,
    journal: str | None,
) -> list[Path]:
    """Write the lists and what lies beside them. Lists of an earlier split go.

    The record comes first, and knows of the older lists too: whoever is stopped in between can begin again.

    Args:
        hashes: path -> SHA-256 of the picture; None if they were not looked into.

    Returns:
        The files beside the lists.
    """
    beside = {
        ending: output.with_name(output.stem + ending) for ending in (WORDS_SUFFIX, QUARANTINE_SUFFIX, NOTES_SUFFIX)
    }
    record = output.with_suffix(".json")
    written = load_record(record) or {}
    older = {**written.get("lists", {}), **written.get("replaces", {})}
    words = {label: name for label, name in source.words.items() if is_listable(name)}
    if words:
        write_words(beside[WORDS_SUFFIX], words)
    write_findings(beside[QUARANTINE_SUFFIX], (each for each in findings if each.left_out))
    write_findings(beside[NOTES_SUFFIX], (each for each in findings if not each.left_out))
    facts: dict[str, Any] = {
        "options": {
            "label": options.label,
            "split": "given" if options.given_split else list(options.split),
            "seed": options.seed,
            "check": options.check,
            "keep": sorted(options.keep),
            "min_side": options.min_side,
            "near": options.near,
        },
        "counts": {path.name: len(entries) for path, entries in lists.items()},
        "classes": [{"label": each.label, "name": each.name, "counts": list(each.counts)} for each in classes],
        "findings": dict(sorted(Counter(each.kind for each in findings).items())),
        "left_out": sum(each.left_out for each in findings),
        "contents": None,
        "journal": journal,
    }
    if hashes is not None:
        facts["contents"] = {
            path.name: contents_digest((entry.path, hashes[entry.path]) for entry in entries)
            for path, entries in lists.items()
        }
    digests = {path.name: list_digest(entries) for path, entries in lists.items()}
    write_record(record, digests, source.root, watched, facts, replaces=older)
    for path, entries in lists.items():
        write_list(path, entries)
    write_record(record, digests, source.root, watched, facts)
    for name in set(older) - {path.name for path in lists}:
        output.with_name(name).unlink(missing_ok=True)
    return [*([beside[WORDS_SUFFIX]] if words else []), beside[QUARANTINE_SUFFIX], beside[NOTES_SUFFIX], record]
