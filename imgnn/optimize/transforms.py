"""What is done to a gradient by the picture before it is followed. All of it stays on the device."""

import numpy as np
from keras import ops

from imgnn.backend import Tensor

BINOMIAL = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]).astype("float32")[:, :, None, None] / 256
SILENCE = 1e-10  # a level of a smaller root mean square holds nothing that could be brought up to 1


def laplacian_normalise(gradient: Tensor, levels: int) -> Tensor:
    """The gradient with all scales of detail made equally strong: coarse shapes grow as fast as fine ones.

    It is split into a Laplacian pyramid, each level is divided by its root mean square, and the levels are added again.

    Args:
        gradient: `(1, height, width, channels)`.
        levels: how many times it is halved; 4 is usual. 0: it is only divided by its root mean square.

    Returns:
        The same shape.

    Source: `lap_normalize` of TensorFlow's DeepDream tutorial (tensorflow/examples/tutorials/deepdream). The pyramid:
    The Laplacian Pyramid as a Compact Image Code, Burt and Adelson, 1983.
    """
    rest = ops.transpose(gradient, (3, 1, 2, 0))  # (channels, height, width, 1): the same filter for each channel
    details = []
    for _ in range(levels):
        smaller = halve(rest)
        details.append(rest - double(smaller, rest.shape[1:3]))
        rest = smaller
    merged = unit(rest)
    for detail in reversed(details):
        merged = double(merged, detail.shape[1:3]) + unit(detail)
    return ops.transpose(merged, (3, 1, 2, 0))


def gaussian_smooth(gradient: Tensor, sigma: float) -> Tensor:
    """The gradient through a Gaussian: what is finer than about `sigma` pixels is not followed.

    Args:
        gradient: `(1, height, width, channels)`; beyond its borders it is mirrored.
        sigma: the standard deviation, pixels, above 0; the filter ends at four of them, or at the picture's side.

    Returns:
        The same shape.
    """
    planes = ops.transpose(gradient, (3, 1, 2, 0))
    for axis in (1, 2):
        radius = min(int(4 * sigma + 0.5), planes.shape[axis])
        weights = np.exp(-0.5 * np.square(np.arange(-radius, radius + 1) / sigma))
        kernel = (weights / weights.sum()).astype("float32").reshape((-1, 1, 1, 1) if axis == 1 else (1, -1, 1, 1))
        planes = ops.conv(mirrored(planes, axis, radius), kernel, padding="valid", data_format="channels_last")
    return ops.transpose(planes, (3, 1, 2, 0))


def mirrored(planes: Tensor, axis: int, margin: int) -> Tensor:
    """With `margin` more values at either end of an axis, mirrored at the border: `b a | a b c | c b`."""
    length = planes.shape[axis]
    first = ops.flip(ops.take(planes, np.arange(margin), axis=axis), axis=axis)
    last = ops.flip(ops.take(planes, np.arange(length - margin, length), axis=axis), axis=axis)
    return ops.concatenate([first, planes, last], axis=axis)


def halve(planes: Tensor) -> Tensor:
    """Every second value of the smoothed planes: `(n, height, width, 1)` at half the size, rounded up."""
    margins = [margins_of(length) for length in planes.shape[1:3]]
    padded = ops.pad(planes, [(0, 0), *margins, (0, 0)])
    return ops.conv(padded, BINOMIAL, strides=2, padding="valid", data_format="channels_last")


def double(planes: Tensor, size: tuple[int, int]) -> Tensor:
    """The transpose of `halve`, times 4: planes as smooth as these, `(n, *size, 1)`."""
    (top, _), (left, _) = (margins_of(length) for length in size)
    whole = ops.conv_transpose(planes, 4 * BINOMIAL, strides=2, padding="valid", data_format="channels_last")
    return whole[:, top : top + size[0], left : left + size[1]]


def margins_of(length: int) -> tuple[int, int]:
    """Zeros before and after an axis that is halved: those of TensorFlow's padding "SAME"."""
    return (1, 2) if length % 2 == 0 else (2, 2)


def unit(planes: Tensor) -> Tensor:
    """Divided by the root mean square."""
    return planes / ops.maximum(ops.sqrt(ops.mean(ops.square(planes))), SILENCE)
