"""Heat over a picture: numbers as colours, with the picture still to be seen."""

import numpy as np

from imgnn.errors import InputError
from imgnn.images.preprocess import LUMA
from imgnn.images.resize import resize

# Cold to hot, from dark to light, so that it reads in grey as well: points of matplotlib's inferno.
COLOURS = np.array(
    [(0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164)], "float32"
)
COLD = 0.45  # brightness of the picture where nothing is hot
STRENGTH = 0.7  # of the colour where it is hottest


def overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """The picture in grey, dark where it is cold and in colours where it is hot.

    Args:
        image: uint8 `(height, width, 3)`.
        heat: float `(h, w)`, 0..1, over the same picture; of any size.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        InputError: the arrays have other axes.
    """
    if image.ndim != 3 or image.shape[2] != 3 or heat.ndim != 2:
        raise InputError(f"a picture (height, width, 3) and heat (h, w) are expected, not {image.shape}, {heat.shape}")
    hot = np.clip(resize(heat.astype("float32"), (image.shape[0], image.shape[1]), "bicubic"), 0, 1)[..., None]
    grey = (image @ LUMA)[..., None]
    picture = (COLD + (1 - COLD) * hot) * grey
    share = STRENGTH * hot
    return np.rint((1 - share) * picture + share * colours(hot[..., 0])).astype("uint8")


def colours(values: np.ndarray) -> np.ndarray:
    """Numbers 0..1 of any shape -> float32 RGB, 0..255, `(..., 3)`."""
    places = np.linspace(0, 1, len(COLOURS))
    return np.stack([np.interp(values, places, channel) for channel in COLOURS.T], axis=-1).astype("float32")
