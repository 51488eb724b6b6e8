"""What is optimised: the numbers that stand for a picture, and how they become its pixels."""

from typing import Protocol

import numpy as np
from keras import ops

from imgnn.backend import Tensor, value_and_grad
from imgnn.images.preprocess import LUMA, constants
from imgnn.images.preprocessing import Preprocessing
from imgnn.optimize.fourier import Fourier

LEVELS = (0.0, 255.0)  # what a pixel of a file can be: a loss that is lowered by brighter ones is lost when it is saved


class Parameter(Protocol):
    """Numbers that stand for a picture; pixels are `(1, height, width, 3)`, RGB, 0..255."""

    bounds: tuple[float, float]  # what no number may leave

    def pixels(self, values: Tensor) -> Tensor:
        """The picture that the numbers stand for."""

    def values(self, pixels: Tensor) -> Tensor:
        """The numbers that stand for a picture."""

    def pull(self, values: Tensor, gradient: Tensor) -> Tensor:
        """The gradient by the numbers, of that by the pixels."""


class Pixels:
    """The pixels themselves."""

    bounds = LEVELS

    def pixels(self, values: Tensor) -> Tensor:
        return values

    def values(self, pixels: Tensor) -> Tensor:
        return pixels

    def pull(self, values: Tensor, gradient: Tensor) -> Tensor:
        return gradient


class FourierPixels:
    """Decorrelated Fourier coefficients (`fourier.py`): a step changes all scales alike, not the finest alone.

    Args:
        size: `(height, width)`, pixels.
    """

    bounds = (-np.inf, np.inf)  # the sigmoid keeps the pixels within 0..255

    def __init__(self, size: tuple[int, int]) -> None:
        self.fourier = Fourier.of(size)
        self._pull = value_and_grad(lambda values, slope: (ops.sum(slope * self.pixels(values)), {}))

    def pixels(self, values: Tensor) -> Tensor:
        return self.fourier.to_pixels(values)

    def values(self, pixels: Tensor) -> Tensor:
        return ops.convert_to_tensor(self.fourier.from_pixels(pixels))

    def pull(self, values: Tensor, gradient: Tensor) -> Tensor:
        return self._pull(values, gradient)[2]


def to_x(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """The network's `x` of pixels `(1, height, width, 3)`, RGB, 0..255: `images.preprocess`, on the device."""
    mean, scale = (ops.convert_to_tensor(each) for each in constants(preprocessing))
    if preprocessing.channel_order == "GREY":
        pixels = ops.sum(pixels * ops.convert_to_tensor(LUMA), axis=-1, keepdims=True)
    elif preprocessing.channel_order == "BGR":
        pixels = ops.flip(pixels, axis=-1)
    return (pixels - mean) * scale


def to_pixels(image: np.ndarray) -> Tensor:
    """An image as pixels: float32 `(1, height, width, 3)`."""
    return ops.convert_to_tensor(np.asarray(image, "float32")[None])


def to_image(pixels: np.ndarray) -> np.ndarray:
    """Pixels as an image: uint8, rounded, within 0..255."""
    return np.clip(np.rint(pixels), 0, 255).astype("uint8")
