"""Octaves: the sizes at which a picture is dreamed, small to large, and how pixels go from one to the next."""

import numpy as np
from scipy import ndimage

Size = tuple[int, int]


def octave_sizes(size: Size, octaves: int, scale: float) -> list[Size]:
    """The sizes to go through, smallest first; the last is `size`, each other one the next divided by `scale`.

    Args:
        size: `(height, width)`, pixels.
        octaves: how many, at least 1.
        scale: above 1.
    """
    sizes = [size]
    while len(sizes) < octaves:
        height, width = sizes[0]
        sizes.insert(0, (max(1, round(height / scale)), max(1, round(width / scale))))
    return sizes


def zoom(pixels: np.ndarray, size: Size) -> np.ndarray:
    """The pixels at another size, as google/deepdream scales them: linear, corners on corners, not antialiased.

    Args:
        pixels: float32 `(height, width, 3)`.

    Returns:
        float32 `(*size, 3)`.
    """
    if pixels.shape[:2] == size:
        return pixels
    factors = (size[0] / pixels.shape[0], size[1] / pixels.shape[1], 1)
    # "nearest" where the notebook has SciPy's "constant": a corner that rounding puts beyond the border is not black.
    scaled: np.ndarray = ndimage.zoom(pixels, factors, order=1, mode="nearest")
    return scaled


def enlarge(pixels: np.ndarray, share: float) -> np.ndarray:
    """The picture a step nearer: its middle, `1 - share` of each side, at the size of the whole.

    Args:
        pixels: float32 `(height, width, 3)`.
        share: 0..1; google/deepdream's film has 0.05.
    """
    height, width = pixels.shape[:2]
    offset = (height * share / 2, width * share / 2, 0)
    nearer: np.ndarray = ndimage.affine_transform(pixels, (1 - share, 1 - share, 1), offset, order=1, mode="nearest")
    return nearer
