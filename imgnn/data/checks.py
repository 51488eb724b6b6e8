"""What is wrong with the pictures of a data set, or worth knowing before a network learns from them."""

import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from imgnn.data.duplicates import NEAR, connected, near_pairs
from imgnn.data.findings import FEW, LEFT_OUT, UNEVEN, Finding
from imgnn.data.gather import Picture, name_of
from imgnn.data.lists import is_listable
from imgnn.data.placeholders import placeholder_of
from imgnn.images.inspection import Inspection

COPIES = 5  # the same bytes under so many names are what a server sends for what is gone
FLAT = 4.0  # levels, the standard deviation below which the look is made of noise, and tells nothing


@dataclass(frozen=True)
class Checked:
    """What the checks came to.

    Attributes:
        kept: the numbers of the pictures that are not left out.
        groups: of every picture kept, the group of those that are the same or nearly so, and belong on one side of
            a split.
        findings: by picture, in their order.
    """

    kept: list[int]
    groups: list[int]
    findings: list[Finding]


@dataclass
class Reasons:
    """Why pictures are left out: one finding each, the first."""

    pictures: Sequence[Picture]
    keep: Collection[str]
    found: dict[int, list[Finding]] = field(default_factory=lambda: defaultdict(list))
    out: set[int] = field(default_factory=set)

    def add(self, index: int, kind: str, detail: str = "", other: str = "") -> None:
        """Leave a picture out, or only tell, if it is settled or its kind is kept."""
        left_out = kind in LEFT_OUT and kind not in self.keep and not self.pictures[index].settled
        self.found[index].append(Finding(kind, self.pictures[index].path, left_out, other, detail))
        if left_out:
            self.out.add(index)

    def rest(self) -> list[int]:
        """The pictures that are not left out so far."""
        return [index for index in range(len(self.pictures)) if index not in self.out]


def check_pictures(
    pictures: Sequence[Picture],
    inspections: Sequence[Inspection] | None,
    words: Mapping[int, str],
    *,
    keep: Collection[str] = (),
    min_side: int = 32,
    near: int = NEAR,
) -> Checked:
    """Look for what is wrong with pictures, alone and among each other.

    Args:
        inspections: one for each, with its look; None: only what the names tell is checked.
        words: label -> name of the class, for the details.
        keep: kinds of `KEEPABLE` that do not leave a picture out.
        min_side: pixels; a picture is tiny whose shorter side has less.
        near: bits of 64 in which the looks of two pictures that are nearly the same may differ.
    """
    reasons = Reasons(pictures, keep)
    for index, picture in enumerate(pictures):
        if not is_listable(picture.path):
            reasons.add(index, "unwritable_name")
    known = inspections or [Inspection()] * len(pictures)
    if inspections:
        for index in reasons.rest():
            if problem := known[index].problem:
                missing = problem == "unreadable" and not pictures[index].file.exists()
                file = os.path.abspath(pictures[index].file)  # noqa: PTH100  as it was inspected
                detail = (
                    "" if missing else known[index].detail.replace(f"{file} is ", "", 1).replace(f": {file}", "", 1)
                )
                reasons.add(index, "missing" if missing else problem, detail)
        check_contents(reasons, known, min_side)
    else:
        for index in reasons.rest():
            if not pictures[index].file.exists():
                reasons.add(index, "missing")
    check_copies(reasons, known, words)
    kept = reasons.rest()
    for index in kept:
        if " " in pictures[index].path:
            reasons.add(index, "spaces")
    groups = check_likeness(reasons, known, words, near) if inspections else list(range(len(kept)))
    findings = [finding for index in sorted(reasons.found) for finding in reasons.found[index]]
    return Checked(kept, groups, findings)


def check_contents(reasons: Reasons, known: Sequence[Inspection], min_side: int) -> None:
    """What is found out about each picture by itself, and placeholders by their number."""
    names = defaultdict(set)
    for index in reasons.rest():
        names[known[index].sha256].add(reasons.pictures[index].path)
    for index in reasons.rest():
        inspection = known[index]
        if inspection.problem:  # of a settled one
            continue
        copies = len(names[inspection.sha256])
        side = min(inspection.height, inspection.width)
        if what := placeholder_of(inspection.sha256, inspection.sha1):
            reasons.add(index, "placeholder", what)
        elif copies >= COPIES:
            reasons.add(index, "placeholder", f"{copies} files with the same bytes")
        elif side < min_side:
            reasons.add(index, "tiny", f"{inspection.width} x {inspection.height} pixels")
        elif inspection.blank:
            reasons.add(index, "blank")
        for kind, detail in curiosities(reasons.pictures[index].path, inspection):
            if index not in reasons.out:
                reasons.add(index, kind, detail)


def curiosities(path: str, inspection: Inspection) -> Iterator[tuple[str, str]]:
    """What is only told of a picture: kind and detail."""
    suffix = PurePosixPath(path).suffix.lower()
    kind = "JPEG" if inspection.format == "MPO" else inspection.format  # a JPEG with a second one behind it
    if Image.registered_extensions().get(suffix) != kind:
        yield "wrong_extension", f"{kind}, with {suffix or 'no suffix'}"
    if inspection.frames > 1 and inspection.format != "MPO":
        yield "animated", f"{inspection.frames} frames"
    if inspection.mode == "CMYK":
        yield "cmyk", ""
    if inspection.mode.startswith(("I", "F")):
        yield "16_bit", inspection.mode
    if inspection.alpha:
        yield "alpha", ""
    if inspection.turned:
        yield "turned", ""


def check_copies(reasons: Reasons, known: Sequence[Inspection], words: Mapping[int, str]) -> None:
    """The same bytes, or the same path, more than once: in several classes, in several lists, or just twice."""
    pictures = reasons.pictures
    same = defaultdict(list)
    for index in reasons.rest():
        same[known[index].sha256 or str(pictures[index].file)].append(index)
    sizes = Counter(picture.part for picture in pictures)
    for copies in (each for each in same.values() if len(each) > 1):
        labels = {pictures[index].label for index in copies}
        if len(labels) > 1:
            for index in copies:
                label = pictures[index].label
                other = next(pictures[each] for each in copies if pictures[each].label != label)
                detail = f"{name_of(label, words)} and {name_of(other.label, words)}"
                reasons.add(index, "conflict", detail, other.path)
            continue
        # Kept is the one that is settled; then that of the smallest list, which costs the training least.
        first = min(copies, key=lambda index: (not pictures[index].settled, sizes[pictures[index].part], index))
        for index in (each for each in copies if each != first):
            if apart(pictures[index], pictures[first]):
                reasons.add(index, "leak", other=pictures[first].path)
            elif pictures[index].path == pictures[first].path:
                reasons.add(index, "repeated")
            else:
                reasons.add(index, "duplicate", other=pictures[first].path)


def apart(one: Picture, other: Picture) -> bool:
    """Whether two pictures are in different lists."""
    return one.part != other.part and None not in (one.part, other.part)


def check_likeness(reasons: Reasons, known: Sequence[Inspection], words: Mapping[int, str], near: int) -> list[int]:
    """Pictures that are nearly the same, told; and the groups of those that are left.

    Copies that are kept belong together too.
    """
    pictures, kept = reasons.pictures, reasons.rest()
    seen = [
        number for number, index in enumerate(kept) if known[index].look is not None and known[index].deviation >= FLAT
    ]
    first, second, bits = near_pairs(np.array([known[kept[number]].look for number in seen], "uint64"), near)
    nearest: dict[int, tuple[bool, int, int]] = {}  # picture -> whether in the same list, bits, an earlier picture
    for one, other, differ in zip(first, second, bits, strict=True):
        one, other = kept[seen[one]], kept[seen[other]]
        if known[one].sha256 != known[other].sha256:  # which was told already
            found = (not apart(pictures[one], pictures[other]), int(differ), one)
            nearest[other] = min(nearest.get(other, found), found)
    for other, (together, differ, one) in nearest.items():
        detail = f"{differ} of 64 bits differ"
        if pictures[one].label != pictures[other].label:
            detail += f"; {name_of(pictures[one].label, words)} and {name_of(pictures[other].label, words)}"
        reasons.add(other, "near_duplicate" if together else "near_leak", detail, pictures[one].path)
    same: dict[str, int] = {}
    copies = [
        (same.setdefault(known[index].sha256 or pictures[index].path, number), number)
        for number, index in enumerate(kept)
    ]
    numbers = np.array(seen, "int64")
    links = np.concatenate([np.stack([numbers[first], numbers[second]], axis=1), np.array(copies).reshape(-1, 2)])
    return [int(group) for group in connected(len(kept), links[:, 0], links[:, 1])]


def check_classes(counts: Mapping[int, int], words: Mapping[int, str], empty: Iterable[str]) -> list[Finding]:
    """What is to be said of the classes.

    Args:
        counts: label -> pictures that are kept; 0 for a class that lost all.
        empty: names of folders without a picture, which are no classes.
    """
    found = [Finding("empty_class", name, detail="no picture, and so no label") for name in empty]
    found += [Finding("empty_class", name_of(label, words)) for label, count in counts.items() if not count]
    for label, count in counts.items():
        if 0 < count < FEW:
            found.append(Finding("few", name_of(label, words), detail=f"{count} picture{'s' if count > 1 else ''}"))
    there = {label: count for label, count in counts.items() if count}
    largest, smallest = (max(there, key=there.__getitem__), min(there, key=there.__getitem__)) if there else (0, 0)
    if there and there[largest] > UNEVEN * there[smallest]:
        detail = f"{there[largest]:,} pictures, against {there[smallest]:,} of {name_of(smallest, words)}"
        found.append(Finding("imbalance", name_of(largest, words), detail=detail))
    return found


def check_labels(labels: Collection[int]) -> list[Finding]:
    """What Caffe stumbles over: labels that begin with 1, or leave some out. It takes as many outputs as the largest
    label asks for."""
    if not labels:
        return []
    found = []
    start = 1 if min(labels) == 1 else 0
    if start:
        found.append(Finding("labels_from_1", f"1 to {max(labels)}", detail="Caffe and Keras count from 0"))
    absent = [label for label in range(start, max(labels)) if label not in labels]
    if absent:
        detail = f"{len(absent):,} of {max(labels) + 1 - start:,} labels, the first is {absent[0]}"
        found.append(Finding("label_gap", f"{min(labels)} to {max(labels)}", detail=detail))
    return found
