"""Pictures to train a classifier on, with those to judge it by: from lists, or from class folders."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from imgnn.data.gather import ROOT, SPLITS, class_order
from imgnn.data.lists import (
    Entry,
    ListFile,
    contents_digest,
    file_digest,
    find_pictures,
    read_list,
    staleness,
)
from imgnn.data.split import split
from imgnn.errors import InputError
from imgnn.runs import Reporter, is_folder

MOST_EMPTY = 0.5  # of a list's labels that may have no picture before it is taken for a mistake


@dataclass(frozen=True)
class Labelled:
    """Pictures with labels.

    Attributes:
        source: the list file or folder they come from.
        files: where they are.
        names: as the list or the folder has them: the same wherever it lies.
        labels: 0..len(classes) - 1, one for each.
        classes: names of all classes, in the order of the labels.
        digest: SHA-256 by which the same pictures are known again.
        listed: the list file; None of a folder.
    """

    source: Path
    files: tuple[Path, ...]
    names: tuple[str, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    digest: str
    listed: ListFile | None = None

    def __len__(self) -> int:
        return len(self.files)

    def part(self, indices: Sequence[int]) -> "Labelled":
        """Some of the pictures."""
        names, labels = tuple(self.names[i] for i in indices), tuple(self.labels[i] for i in indices)
        return replace(
            self,
            files=tuple(self.files[i] for i in indices),
            names=names,
            labels=labels,
            digest=digest_of(names, labels),
        )


def digest_of(names: Sequence[str], labels: Sequence[int]) -> str:
    """A hash of names and labels."""
    return contents_digest((name, str(label)) for name, label in zip(names, labels, strict=True))


def read_training(
    source: Path, *, val: Path | None, share: float, root: Path | None, seed: int, reporter: Reporter
) -> tuple[Labelled, Labelled | None]:
    """The pictures to train on, and those to judge by.

    Those to judge by are, in this order: `val`; the folder `val` beside the folder `train`, which `source` is or has in
    it; the list `X_val.txt` beside `X_train.txt`, or `val.txt` beside `train.txt`;
    a share of each class, drawn by `seed`, the same in each run.

    Args:
        source: a list file; a folder of class folders; a folder with `train` and `val` in it.
        share: 0..1; 0: all are trained on, and nothing judges.

    Raises:
        InputError: there is nothing to train on, or labels and classes do not fit.
    """
    folders = split_folders(source) if is_folder(source) else {}
    beside = None
    if "train" in folders:
        train = read_classes(folders["train"])
        beside = folders.get("val")
    elif is_folder(source):
        train = read_classes(source)
        beside = split_folders(source.resolve().parent).get("val") if source.resolve().name == "train" else None
    else:
        train = read_labelled_list(source, root, reporter)
        if source.stem == "train" or source.stem.endswith("_train"):
            candidate = source.with_name(f"{source.stem.removesuffix('train')}val{source.suffix}")
            beside = candidate if candidate.is_file() else None
    check_classes(train, reporter)
    judged: Labelled | None = None
    if val is not None or beside is not None:
        path = val or beside
        assert path is not None  # noqa: S101  mypy does not see it
        judged = read_judged(path, train, root, reporter)
    elif share > 0:
        train, judged = hold_out(train, share, seed)
        reporter.note(f"{len(judged):,} of {len(train) + len(judged):,} pictures are kept for validation")
    if judged is not None and (both := set(train.files) & set(judged.files)):
        reporter.note(f"{len(both):,} pictures are trained on and judged by: the validation will flatter")
    return train, judged


def split_folders(folder: Path) -> dict[str, Path]:
    """The folders `train`, `val` and `test` in a folder, by their usual names; a class may be called so too, but holds
    no folders."""
    found = {}
    for each in sorted(folder.iterdir()):
        name = SPLITS.get(each.name.lower(), each.name.lower())
        if name in ("train", "val", "test") and is_folder(each) and any(map(is_folder, each.iterdir())):
            found[name] = each
    return found


def read_classes(folder: Path) -> Labelled:
    """The pictures of class folders; see `imgnn label`, whose rules these are.

    Raises:
        InputError: there is no picture.
    """
    pictures: dict[str, list[Path]] = {}
    for file in find_pictures(folder):
        inside = file.relative_to(folder)
        pictures.setdefault(inside.parts[0] if len(inside.parts) > 1 else ROOT, []).append(file)
    if not pictures:
        raise InputError(f"no picture in the folder {folder}, nor in the folders within it")
    if set(pictures) == {ROOT}:
        raise InputError(
            f"the pictures of {folder} lie in no class folders: a folder for each class is expected",
            hint="imgnn label makes lists with labels of another kind",
        )
    classes = tuple(class_order(pictures))
    files = tuple(file for name in classes for file in pictures[name])
    labels = tuple(label for label, name in enumerate(classes) for _ in pictures[name])
    names = tuple(file.relative_to(folder).as_posix() for file in files)
    return Labelled(folder, files, names, labels, classes, digest_of(names, labels))


def read_labelled_list(
    path: Path, root: Path | None, reporter: Reporter, classes: tuple[str, ...] | None = None
) -> Labelled:
    """The pictures of a list, with the class words that lie beside it.

    Args:
        classes: that are known already, whichever of them the list has; None: it tells them.

    Raises:
        InputError: as of `read_list`; a label has no name, or none of the pictures is there.
    """
    listed = read_list(path, root)
    if stale := staleness(listed):
        reporter.note(stale)
    labels = tuple(entry.label for entry in listed.entries)
    if listed.words and (unknown := sorted(set(labels) - set(listed.words))):
        raise InputError(
            f"{path}: the class words name {min(listed.words)} to {max(listed.words)}; label {unknown[0]} "
            f"of {line_with(listed, unknown[0])} is none of them"
        )
    count = max((*labels, *listed.words)) + 1
    used = len(set(labels) | set(listed.words))
    if classes is None and used < MOST_EMPTY * count:
        raise InputError(
            f"{path}: labels go up to {count - 1}, but only {used} of them occur: labels count the classes from 0 on",
            hint="imgnn label makes a list from class folders",
        )
    files = tuple(listed.file(entry) for entry in listed.entries)
    if not any(file.is_file() for file in files):
        raise InputError(f"none of the pictures of {path} is there: {files[0]}", hint="--root FOLDER")
    if classes is None:
        classes = tuple(listed.name(label) for label in range(count))
    names = tuple(entry.path for entry in listed.entries)
    return Labelled(path, files, names, labels, classes, file_digest(path), listed)


def line_with(listed: ListFile, label: int) -> str:
    """The first picture with a label."""
    entry: Entry = next(entry for entry in listed.entries if entry.label == label)
    return entry.path


def read_judged(path: Path, train: Labelled, root: Path | None, reporter: Reporter) -> Labelled:
    """Pictures of the same classes: folders by their names, lists by their numbers.

    Raises:
        InputError: a class is not one of those trained on.
    """
    if is_folder(path):
        found = read_classes(path)
        unknown = [name for name in found.classes if name not in train.classes]
        if unknown:
            raise InputError(f"the class {unknown[0]} of {path} is none of {train.source}'s")
        labels = tuple(train.classes.index(found.classes[label]) for label in found.labels)
        return Labelled(path, found.files, found.names, labels, train.classes, digest_of(found.names, labels))
    listed = read_labelled_list(path, root, reporter, train.classes)
    if too_large := [label for label in listed.labels if label >= len(train.classes)]:
        raise InputError(
            f"{path} has the label {too_large[0]}; {train.source} has the classes 0 to {len(train.classes) - 1}"
        )
    assert listed.listed is not None  # noqa: S101  it was just read from a list
    known = dict(enumerate(train.classes)) if train.listed is None else train.listed.words
    for label, name in listed.listed.words.items():
        if known.get(label, name) != name:
            raise InputError(f"class {label} is {train.classes[label]} in {train.source}, and {name} in {path}")
    return listed


def check_classes(train: Labelled, reporter: Reporter) -> None:
    """Refuse what nothing can be learned from, and tell of classes without a picture.

    Raises:
        InputError: there is only one class.
    """
    counts = Counter(train.labels)
    if len(counts) < 2:
        only = train.classes[train.labels[0]]
        raise InputError(f"{train.source} has one class only, {only}: two or more are needed to tell them apart")
    empty = [name for label, name in enumerate(train.classes) if not counts[label]]
    if empty:
        more = f" and {len(empty) - 3} more" if len(empty) > 3 else ""
        reporter.note(f"No picture is trained on of {', '.join(empty[:3])}{more}: the network will not know it")


def hold_out(labelled: Labelled, share: float, seed: int) -> tuple[Labelled, Labelled]:
    """A share of each class for validation, the rest for training.

    Raises:
        InputError: a part would have no picture.
    """
    parts = split(labelled.names, labelled.labels, range(len(labelled)), (1 - share, share), seed=seed)
    train = [index for index, part in enumerate(parts) if part == 0]
    return labelled.part(train), labelled.part([index for index, part in enumerate(parts) if part == 1])


def class_weights(labels: Sequence[int]) -> Mapping[int, float]:
    """Label -> weight of a picture of it, so that all classes weigh the same; the mean over all pictures is 1."""
    counts = Counter(labels)
    return {label: len(labels) / (len(counts) * count) for label, count in counts.items()}
