"""Contact sheets: many pictures on one page, with the words that tell them apart."""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from imgnn.errors import InputError
from imgnn.images.resize import fit_long_side, resize

PAPER, INK = (255, 255, 255), (40, 40, 40)
SIDES = (160, 384)  # pixels, the long side of a cell that nobody chose: less cannot be labelled, more fills the screen
SMALLEST = 12  # pixels, letters


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]],
    *,
    column_labels: Sequence[str] = (),
    row_labels: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
    cell: tuple[int, int] | None = None,
) -> np.ndarray:
    """Pictures in rows and columns, each as large as its cell allows, none distorted or cut.

    A label may have several lines. One that is too long for its cell loses its middle: the end of a file's name
    often tells more than that.

    Args:
        rows: uint8 `(height, width, 3)` each, of any sizes; a row may be shorter than the others.
        column_labels: above the columns, one for each.
        row_labels: on the left of the rows, one for each.
        captions: below the pictures, in the order of `rows`.
        cell: `(height, width)` into which each picture is fitted, pixels; None: the shape of the pictures, at most
            384 pixels.

    Returns:
        uint8 `(height, width, 3)`, on white.

    Raises:
        InputError: there are no pictures, one is not uint8 `(height, width, 3)`, or the labels are not as many as
            what they name.
    """
    check(rows, column_labels, row_labels, captions)
    cell = cell or shape_of([image for row in rows for image in row])
    words = Lettering(max(SMALLEST, round(max(cell) / 22)))
    gap = max(4, words.size // 2)
    fitted = [[fit(image, cell) for image in row] for row in rows]

    # Columns are as wide as the cell, for the labels; rows as high as their highest picture.
    width = cell[1]
    heights = [max((image.shape[0] for image in row), default=0) for row in fitted]
    below = [max(map(words.height, row), default=0) + 2 * gap for row in captions] or [0] * len(rows)
    left = gap + (min(width, max(map(words.width, row_labels))) + gap if row_labels else 0)
    top = gap + (max(map(words.height, column_labels)) + gap // 2 if column_labels else 0)
    right, bottom = left + max(map(len, rows)) * (width + gap), top + sum(heights) + sum(below) + gap * len(rows)
    paper = Image.new("RGB", (right, bottom), PAPER)
    draw = ImageDraw.Draw(paper)

    for column, label in enumerate(column_labels):
        # A label of one line stands right above its pictures, also where another has two.
        above = top - gap // 2 - words.height(label)
        words.write(draw, label, (left + column * (width + gap), above), width, "centre")
    for index, row in enumerate(fitted):
        if row_labels:
            middle = top + (heights[index] - words.height(row_labels[index])) // 2
            words.write(draw, row_labels[index], (gap, middle), left - 2 * gap, "left")
        for column, image in enumerate(row):
            x, spare = left + column * (width + gap), heights[index] - image.shape[0]
            # A picture stands on its caption; where there is none, in the middle.
            paper.paste(
                Image.fromarray(image), (x + (width - image.shape[1]) // 2, top + (spare if captions else spare // 2))
            )
            if captions:
                words.write(draw, captions[index][column], (x, top + heights[index] + gap // 2), width, "centre")
        top += heights[index] + below[index] + gap
    return np.array(paper)


@dataclass(frozen=True)
class Lettering:
    """Words in one size, drawn with the letters that Pillow brings along.

    Attributes:
        size: pixels.
    """

    size: int

    @property
    def font(self) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
        return load_font(self.size)

    def width(self, label: str) -> int:
        """Of the longest line, pixels."""
        return max(math.ceil(self.font.getlength(line)) for line in lines_of(label))

    def height(self, label: str) -> int:
        """Of all lines, pixels."""
        return len(lines_of(label)) * self.leading

    @property
    def leading(self) -> int:
        """From one line to the next, pixels."""
        return round(self.size * 1.3)

    def write(self, draw: ImageDraw.ImageDraw, label: str, corner: tuple[int, int], width: int, align: str) -> None:
        """Draw a label into a box of `width`, whose top left is `corner` (x, y)."""
        x, y = corner
        for line in lines_of(label):
            line = self.shorten(line, width)
            shift = (width - self.font.getlength(line)) / 2 if align == "centre" else 0
            draw.text((x + round(shift), y), line, fill=INK, font=self.font)
            y += self.leading

    def shorten(self, line: str, width: int) -> str:
        """The line if it fits into `width` pixels, else as much of both its ends as does."""
        if self.font.getlength(line) <= width:
            return line
        for kept in range(len(line) - 1, 0, -1):
            short = f"{line[: (kept + 1) // 2]}…{line[len(line) - kept // 2 :]}"
            if self.font.getlength(short) <= width:
                return short
        return "…"


@cache
def load_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own letters; unpacked anew at each call, so kept."""
    return ImageFont.load_default(size)


def lines_of(label: str) -> list[str]:
    """The lines of a label in the letters that Pillow's font has, which are those of ASCII: é as e, 犬 as ?."""
    plain = unicodedata.normalize("NFKD", label.replace("×", "x"))
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return plain.encode("ascii", "replace").decode("ascii").split("\n")


def fit(image: np.ndarray, cell: tuple[int, int]) -> np.ndarray:
    """The picture as large as fits into a cell."""
    factor = min(cell[0] / image.shape[0], cell[1] / image.shape[1])
    return resize(image, (max(1, round(image.shape[0] * factor)), max(1, round(image.shape[1] * factor))))


def shape_of(images: Sequence[np.ndarray]) -> tuple[int, int]:
    """The cell that holds each of the pictures when their long sides are made alike."""
    side = int(np.clip(max(max(image.shape[:2]) for image in images), *SIDES))
    sizes = [fit_long_side(image.shape[:2], side) for image in images]
    return max(height for height, _ in sizes), max(width for _, width in sizes)


def check(
    rows: Sequence[Sequence[np.ndarray]],
    column_labels: Sequence[str],
    row_labels: Sequence[str],
    captions: Sequence[Sequence[str]],
) -> None:
    """Refuse what makes no sheet.

    Raises:
        InputError: as of `contact_sheet`.
    """
    if not any(map(len, rows)):
        raise InputError("a contact sheet has at least one picture; none was received")
    for image in (image for row in rows for image in row):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise InputError(f"a picture on a sheet is uint8 (height, width, 3), not {image.dtype} {image.shape}")
    columns = max(map(len, rows))
    for labels, count, what in ((column_labels, columns, "columns"), (row_labels, len(rows), "rows")):
        if labels and len(labels) != count:
            raise InputError(f"a contact sheet has a label for each of {count} {what}, not {len(labels)}")
    if captions and [len(each) for each in captions] != [len(row) for row in rows]:
        raise InputError("a contact sheet has a caption for each picture, row by row, or none")
