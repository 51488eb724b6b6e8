"""Masks: where in a picture something is to happen. float32 `(height, width)`, 0 (black: not here) to 1 (white)."""

from pathlib import Path

import numpy as np

from imgnn.errors import InputError
from imgnn.images.files import load_image
from imgnn.images.preprocess import LUMA
from imgnn.images.resize import resize

TOLERANCE = 0.01  # share of a side: what a mask drawn over a resized copy may be off


def load_mask(path: str | Path, size: tuple[int, int], *, like: str | Path) -> np.ndarray:
    """A black-and-white picture as a mask of `size`; grey counts in part.

    Args:
        path: any picture that `load_image` reads; of a coloured one its brightness counts.
        size: `(height, width)` of the picture it masks, pixels.
        like: that picture's name, for messages.

    Returns:
        float32 `size`, 0..1: where the mask is larger, the average over each pixel's area.

    Raises:
        InputError: it cannot be read, its sides are in another proportion than `size`, or it is all black.
    """
    image = load_image(path)
    if not same_shape(image.shape[:2], size):
        raise InputError(
            f"mask {path} is {image.shape[0]} x {image.shape[1]} pixels (height x width); "
            f"{like} is {size[0]} x {size[1]}: the same shape is expected"
        )
    if not image.any():
        raise InputError(f"mask {path} is all black: white is expected where the picture is to be changed")
    return pool_mask(image @ LUMA / 255, size)


def pool_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The mask of a layer's map: how much of each position's area is masked.

    Args:
        mask: float `(height, width)`, 0..1.
        size: `(height, width)` wanted.

    Returns:
        float32 `size`, 0..1.
    """
    return np.clip(resize(mask, size, "box"), 0, 1)  # float32 may end at 1.0000001


def same_shape(one: tuple[int, ...], other: tuple[int, int]) -> bool:
    """Whether two sizes are in the same proportion, but for `TOLERANCE` and the rounding of the second to pixels."""
    long, short = (0, 1) if other[0] >= other[1] else (1, 0)
    wanted = other[long] * one[short] / one[long]
    return abs(wanted - other[short]) <= TOLERANCE * other[short] + 0.5
