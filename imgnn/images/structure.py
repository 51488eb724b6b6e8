"""Whether the mean of many pictures shows a feature that they have in common: a watermark, a frame, a date.

The mean of unrelated photos is smooth. Each picture's local detail (a block less its surroundings) differs at every
place from picture to picture, so its mean is near 0: of N pictures it strays from there by the detail's own standard
deviation over √N. A feature that many pictures have at the same place does not average out.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

BLOCKS = 64  # on the long side, at most: a picture's detail is looked at in blocks of its pixels
BOX = 5  # blocks, the side of what counts as the surroundings of one
STRONGEST = 8  # blocks whose strength is the mean's: a single one is easily chance
FEWEST = 20  # pictures; of fewer nothing can be told

# Measured on photos without a common feature (docs/mean.md): the mean of the 8 strongest of 4,096 blocks was at most
# 4.1 standard errors in 2,000 draws of 20 to 2,000 pictures, and 0.08 standard deviations of 5,763 pictures.
CHANCE = 4.3  # standard errors
SHARE = 0.05  # standard deviations that photos may have in common beyond chance: a horizon, a lawn at the bottom

BORDER = 3  # blocks, the width of what is called the border
ROWS, COLUMNS = ("top", "", "bottom"), ("left", "", "right")


@dataclass(frozen=True)
class Structure:
    """What the mean of some pictures shows.

    Attributes:
        strength: of the local detail in the strongest blocks: the mean over all pictures, in standard deviations of one
            picture.
        chance: what unrelated pictures, so many, stay below.
        where: "top left", "along the border", ...; empty if nothing is visible.
    """

    strength: float
    chance: float
    where: str = ""

    @property
    def visible(self) -> bool:
        """Whether pictures without a common feature would not give this."""
        return self.strength > self.chance + SHARE


def block_factor(size: tuple[int, int]) -> int:
    """Pixels, the side of a block in a picture of this size."""
    return -(-max(size) // BLOCKS)


def detail_of(small: np.ndarray) -> np.ndarray:
    """How much each block of some pictures differs from its surroundings, in whole numbers.

    Args:
        small: uint8 `(n, rows, columns, 3)`, the blocks.

    Returns:
        int64 `(n, rows, columns)`: 25 times the block's R + G + B, less the sum of the 5 x 5 blocks around it.
    """
    red, green, blue = np.moveaxis(small, -1, 0).astype("int32")
    grey = red + green + blue
    half, (rows, columns) = BOX // 2, grey.shape[1:]
    padded = np.pad(grey, ((0, 0), (half, half), (half, half)), "edge")
    down = sum_shifted(padded, rows, axis=1)
    return BOX**2 * grey.astype("int64") - sum_shifted(down, columns, axis=2)


def sum_shifted(array: np.ndarray, length: int, axis: int) -> np.ndarray:
    """The sums of 5 neighbours along an axis."""
    total = array.take(range(length), axis)
    for shift in range(1, BOX):
        total += array.take(range(shift, shift + length), axis)
    return total


def find_structure(count: int, detail: np.ndarray, squares: np.ndarray) -> Structure | None:
    """Judge the local detail of `count` pictures.

    Args:
        detail, squares: `(rows, columns)`, the sums of `detail_of` and of its squares.

    Returns:
        None if there are fewer than 20 pictures.
    """
    if count < FEWEST:
        return None
    mean = detail / count
    # At least one level: where all pictures are the same nothing would divide.
    deviation = np.sqrt(np.maximum(squares / count - mean**2, float(BOX**4)))
    strength = np.abs(mean) / deviation
    chance = CHANCE / np.sqrt(count)
    found = Structure(float(np.sort(strength, axis=None)[-STRONGEST:].mean()), float(chance))
    if not found.visible:
        return found
    return Structure(found.strength, found.chance, place_of(np.where(strength > chance + SHARE, strength, 0.0)))


def place_of(strength: np.ndarray) -> str:
    """Where in a picture most of the strength is, in words."""
    rows, columns = strength.shape
    strong = strength > 0
    sides = [strong[:BORDER].any(axis=0), strong[-BORDER:].any(axis=0)]
    sides += [strong[:, :BORDER].any(axis=1), strong[:, -BORDER:].any(axis=1)]
    if strength[BORDER:-BORDER, BORDER:-BORDER].sum() < strength.sum() / 3 and all(each.mean() > 0.5 for each in sides):
        return "along the border"
    zones = {}
    for row, high in enumerate(ROWS):
        for column, wide in enumerate(COLUMNS):
            inside = strength[
                row * rows // 3 : (row + 1) * rows // 3, column * columns // 3 : (column + 1) * columns // 3
            ]
            zones[f"{high} {wide}".strip() or "centre"] = float(inside.sum())
    named = [name for name, sum_ in zones.items() if sum_ >= max(zones.values()) / 3]
    return "everywhere" if len(named) > 5 else ", ".join(named)


def draw_structure(mean: np.ndarray) -> np.ndarray:
    """The mean without its smooth part, its contrast stretched: what is common stands out of grey.

    Args:
        mean: float64 `(height, width, 3)`, 0..255.

    Returns:
        uint8 of the same shape, grey where there is nothing.
    """
    from scipy.ndimage import uniform_filter

    side = BOX * block_factor(mean.shape[:2])
    high = mean - uniform_filter(mean, (side, side, 0), mode="nearest")
    top = max(float(np.quantile(np.abs(high), 0.999)), 1e-6)
    return np.clip(np.rint(128 + high * (127 / top)), 0, 255).astype("uint8")


def reduce_picture(image: np.ndarray, factor: int) -> np.ndarray:
    """The means of a picture's blocks, uint8."""
    return np.asarray(Image.fromarray(image).reduce(factor))
