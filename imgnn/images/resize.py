"""Other sizes. Sizes are `(height, width)`, in pixels."""

from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from PIL import Image

from imgnn.errors import InputError

Filter = Literal["lanczos", "bicubic", "bilinear", "box"]

FILTERS = {
    "lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "box": Image.Resampling.BOX,
}

STRIP = 32  # rows that `resize_linear` works on at once


def resize(image: np.ndarray, size: tuple[int, int], filter: Filter = "lanczos") -> np.ndarray:
    """The picture at another size, antialiased: when it shrinks, the filter grows with the step.

    Args:
        image: `(height, width)` or `(height, width, channels)`. uint8 is rounded and clipped to 0..255; every
            other type is computed as float32 and keeps its range (Lanczos and bicubic overshoot at edges).
        size: `(height, width)` wanted.
        filter: "lanczos" is the sharpest, "box" the plain average over an area.

    Returns:
        uint8 if `image` was, else float32.

    Raises:
        InputError: `image` is empty or has other axes, `size` is not positive, no filter is called so.
    """
    height, width = size
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise InputError(f"a picture of shape (height, width, channels) is expected, not {image.shape}")
    if height < 1 or width < 1:
        raise InputError(f"a picture cannot be scaled to {height} x {width} pixels")
    if filter not in FILTERS:
        raise InputError(f"a filter is one of {', '.join(get_args(Filter))}, not {filter!r}")
    if image.dtype != np.uint8:
        image = np.asarray(image, "float32")
    if image.shape[:2] == (height, width):
        return image.copy()
    if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3:
        return np.asarray(Image.fromarray(image).resize((width, height), FILTERS[filter]))
    # Pillow's float pictures (mode F) have one channel, and are not clipped.
    channels = image[..., None] if image.ndim == 2 else image
    scaled = [
        np.asarray(Image.fromarray(np.ascontiguousarray(channel)).resize((width, height), FILTERS[filter]))
        for channel in np.moveaxis(channels, -1, 0)
    ]
    return scaled[0] if image.ndim == 2 else np.stack(scaled, -1)


def resize_linear(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The picture at another size as Caffe's tools scale it, to the last bit: cv::resize with INTER_LINEAR.

    Two pixels are mixed per axis, whatever the step, so a picture that shrinks by more than two would be
    full of aliases: it is first averaged over whole blocks of pixels, down to less than twice the size
    wanted. The networks were trained on pictures of about 500 pixels shrunk to 256 without more
    smoothing than this; an antialiased filter changes their probabilities by several hundredths.

    Args:
        image: uint8 `(height, width, 3)`.
        size: `(height, width)` wanted.

    Source: OpenCV, modules/imgproc/src/resize.cpp: weights of 11 bits, the sum cut as its vector code cuts it.
    """
    blocks = [max(1, have // want) for have, want in zip(image.shape, size, strict=False)]
    if max(blocks) > 1:
        image = np.asarray(Image.fromarray(image).reduce((blocks[1], blocks[0])))
    if image.shape[:2] == tuple(size):
        return image.astype("uint8")
    height, width, channels = image.shape
    above, below, top, bottom = two_taps(height, size[0], mixed=True)
    left, _, _, far = two_taps(width, size[1])
    top, bottom = top[:, None], bottom[:, None]
    # near * a + far * b = 2048 a + far (b - a), and >> 4 of it, in parts that fit into 16 bits.
    places = (left[:, None] * channels + np.arange(channels)).ravel()
    far_high, far_low = (np.repeat(part, channels).astype("int16") for part in (far >> 4, far & 15))
    scaled = np.empty((size[0], size[1] * channels), "uint8")
    # Strip by strip, which stays in the processor's cache: many times as fast as the whole at once.
    for start in range(0, size[0], STRIP):
        strip = slice(start, start + STRIP)
        first = above[start]
        pixels = image[first : below[strip][-1] + 1].reshape(-1, width * channels)
        pairs = pixels.astype("uint16")  # each value, and its right neighbour above it
        pairs[:, :-channels] |= pairs[:, channels:] << 8
        pairs = pairs.take(places, 1)
        mixed = (pairs & 255).view("int16")
        step = (pairs >> 8).view("int16")
        step -= mixed
        mixed <<= 7
        mixed += step * far_low >> 4
        step *= far_high
        mixed += step
        rows = mixed.astype("int32")  # of 15 bits: the products below fit into 32
        upper, lower = rows.take(above[strip] - first, 0), rows.take(below[strip] - first, 0)
        upper *= top[strip]
        upper >>= 16
        lower *= bottom[strip]
        lower >>= 16
        upper += lower
        upper += 2
        upper >>= 2
        scaled[strip] = upper
    return scaled.reshape(*size, channels)


@lru_cache(1024)
def two_taps(have: int, want: int, *, mixed: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """For every pixel wanted: the two it lies between, and their weights, which add up to 2048; not to be written.

    Beyond the border there is only the border's own pixel. OpenCV gives it the whole weight in a row; in a column it is
    `mixed` with itself, and both products are cut.
    """
    position = ((np.arange(want) + 0.5) * (have / want) - 0.5).astype("float32")
    first = np.floor(position)
    weight = position - first
    first = first.astype("int64")
    if not mixed:
        weight[(first < 0) | (first >= have - 1)] = 0.0
    near = np.rint((1 - weight) * 2048).astype("int32")
    return np.clip(first, 0, have - 1), np.clip(first + 1, 0, have - 1), near, 2048 - near


def fit_long_side(size: tuple[int, int], side: int) -> tuple[int, int]:
    """The size of the same shape whose longer side is `side`; no side is less than 1."""
    height, width = size
    longest = max(height, width)
    return max(1, round(height * side / longest)), max(1, round(width * side / longest))


def centre_square(image: np.ndarray) -> np.ndarray:
    """The largest square in the middle of `(height, width, ...)`: a view; an odd pixel is left at the end."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]
