"""What is found about the pictures of a data set: the kinds, and the files that name the pictures."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from imgnn.data.lists import lines_of
from imgnn.errors import InputError
from imgnn.runs import write_aside

UNEVEN = 10  # times as many pictures as the smallest class: the largest then rules what is learned
FEW = 3  # pictures, less than which a class can be neither learned nor split

QUARANTINE_SUFFIX = "_quarantine.txt"  # pictures that were left out, and why
NOTES_SUFFIX = "_notes.txt"  # what was noticed of pictures that were not, and of classes
FINDINGS_SUFFIXES = (QUARANTINE_SUFFIX, NOTES_SUFFIX)

# What a picture is left out for; the first that holds is the reason.
LEFT_OUT = (
    "unwritable_name",  # a list cannot hold its path: line breaks, `\\`, blanks at an end, no UTF-8
    "missing",  # listed, and not there
    "unreadable",  # the system refuses it
    "not_image",
    "truncated",  # its end is missing
    "damaged",
    "too_large",  # over 200 megapixels
    "placeholder",  # stands for a picture that is gone: a known one, or the same bytes under many names
    "tiny",
    "blank",  # of one colour
    "conflict",  # the same bytes in several classes: all of them, for which is right?
    "leak",  # the same bytes in several lists: all but one
    "duplicate",  # the same bytes twice: all but the first
    "repeated",  # the same path twice in a list
)
# Those that `--keep` keeps: the pictures are sound, and somebody may want them.
KEEPABLE = LEFT_OUT[LEFT_OUT.index("placeholder") :]
# What is only told of a picture.
TOLD = (
    "near_leak",  # nearly the same in several lists
    "near_duplicate",  # nearly the same as another: the two stay on one side of a split
    "wrong_extension",
    "animated",  # the first frame counts
    "cmyk",
    "16_bit",
    "alpha",  # transparent
    "turned",  # by its EXIF
    "spaces",  # in the path
)
# And of a class, or of a list.
OF_CLASSES = (
    "trailing_blanks",  # after the labels
    "labels_from_1",
    "label_gap",
    "empty_class",
    "few",  # fewer than FEW pictures
    "imbalance",  # over UNEVEN times as many pictures as another
)
KINDS = LEFT_OUT + TOLD + OF_CLASSES


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        kind: one of `KINDS`.
        path: of the picture; of a class its name.
        left_out: whether the picture is left out for it.
        other: the picture that it is a copy of, or like.
        detail: in words.
    """

    kind: str
    path: str
    left_out: bool = False
    other: str = ""
    detail: str = ""


def write_findings(path: Path, findings: Iterable[Finding]) -> None:
    """Write a line `path<TAB>kind<TAB>other<TAB>detail` for each finding; what is empty at the end is left away."""
    with write_aside(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
        for each in findings:
            cells = (printable(cell) for cell in (each.path, each.kind, each.other, each.detail))
            file.write("\t".join(cells).rstrip("\t") + "\n")


def read_findings(path: Path) -> Iterator[Finding]:
    """The findings of a quarantine list or of notes.

    Raises:
        InputError: a line has no kind that is known.
    """
    for number, line in lines_of(path):
        cells = [*line.split("\t"), "", "", ""]
        if cells[1] not in KINDS:
            raise InputError(f"{path}, line {number}: a line is `path`, a tab and a finding; found {line!r}")
        yield Finding(cells[1], cells[0], other=cells[2], detail=cells[3])


def printable(text: str) -> str:
    """The text in one cell of a line; what would break it, or is no UTF-8, as an escape."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return text.replace("\t", "\\t").replace("\r", "\\r").replace("\n", "\\n")
