"""`image` <-> `x`: the one place that goes between a picture and what a network was trained on."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from imgnn.errors import InputError
from imgnn.images.preprocessing import Preprocessing
from imgnn.images.resize import centre_square, resize_linear

CHANNELS = {"RGB": 3, "BGR": 3, "GREY": 1}

# R, G, B -> grey, as OpenCV, and so Caffe, read a picture as grey. Source: ITU-R BT.601.
LUMA = np.array([0.299, 0.587, 0.114], "float32")

VIEWS = 10  # what oversampling looks at: four corners and the centre, and their mirror images


def preprocess(
    images: np.ndarray | Sequence[np.ndarray], preprocessing: Preprocessing, mean_image: np.ndarray | None = None
) -> np.ndarray:
    """Images as the network's input: channel order, minus mean, times scale.

    The size is left as it is: convolutions take any, and `classifier_crops` makes the one that a
    classifier wants.

    Args:
        images: `(height, width, 3)`, or several of one size: `(n, height, width, 3)` or a list; RGB, 0..255,
            uint8 or float.
        mean_image: `(channels, height, width)` in the network's channel order, taken away instead of the channel
            means: its middle, of the images' size, from every image. A smaller one is scaled to that size.

    Returns:
        `x`: float32 `(n, height, width, channels)`; n is 1 for one image.

    Raises:
        InputError: the images have other axes or different sizes, or mean and scale do not fit the channels.
    """
    try:
        stacked = np.asarray(images, "float32")
    except ValueError:
        shapes = sorted({np.shape(each) for each in images})
        raise InputError(f"images of one size are expected in a batch, not of {shapes}") from None
    if stacked.ndim == 3:
        stacked = stacked[None]
    if stacked.ndim != 4 or stacked.shape[3] != 3:
        raise InputError(f"images are (n, height, width, 3), not {np.shape(images)}")
    mean, scale = constants(preprocessing)
    if preprocessing.channel_order == "GREY":
        stacked = (stacked @ LUMA)[..., None]
    elif preprocessing.channel_order == "BGR":
        stacked = stacked[..., ::-1]
    if mean_image is not None:
        mean = centre_of(mean_image, stacked.shape[1:3])
    return np.ascontiguousarray((stacked - mean) * scale)


def centre_of(mean_image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """What of a mean image belongs to a picture of `size`: `(height, width, channels)`.

    Caffe cuts picture and mean at the same place, the middle when it tests (data_transformer.cpp).
    """
    mean, (height, width) = mean_image.transpose(1, 2, 0), size
    top, left = (mean.shape[0] - height) // 2, (mean.shape[1] - width) // 2
    if top < 0 or left < 0:
        return resize_linear(mean, size).reshape(height, width, -1)
    return mean[top : top + height, left : left + width]


def deprocess(x: Any, preprocessing: Preprocessing) -> np.ndarray:
    """The picture that gives this `x`: `deprocess(preprocess(image))` is the image again.

    Args:
        x: float `(n, height, width, channels)`, or one without n.

    Returns:
        uint8 RGB, rounded, clipped to 0..255; `(n, height, width, 3)`, or without n if `x` was.
        What is not a number becomes 0.

    Raises:
        InputError: `x` has other axes or channels.
    """
    x = np.asarray(x, "float32")
    mean, scale = constants(preprocessing)
    if x.ndim not in (3, 4) or x.shape[-1] != mean.size:
        raise InputError(f"x is (n, height, width, {mean.size}), not {x.shape}")
    pixels = np.clip(np.rint(np.nan_to_num(x / scale + mean, nan=0.0)), 0, 255).astype("uint8")
    if preprocessing.channel_order == "GREY":
        return np.repeat(pixels, 3, axis=-1)
    return np.ascontiguousarray(pixels[..., ::-1] if preprocessing.channel_order == "BGR" else pixels)


def constants(preprocessing: Preprocessing) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale, float32 `(channels,)`; one number stands for all channels."""
    channels = CHANNELS[preprocessing.channel_order]
    made = []
    for name, values in (("mean", preprocessing.mean), ("scale", preprocessing.scale)):
        if len(set(values)) == 1:
            values = values[:1] * channels
        if len(values) != channels:
            raise InputError(
                f"{preprocessing.channel_order} wants {channels} numbers as {name}; the network has {values}"
            )
        made.append(np.asarray(values, "float32"))
    if not made[1].all():
        raise InputError(f"a scale of 0 leaves nothing of a picture: {preprocessing.scale}")
    return made[0], made[1]


def fit(image: np.ndarray, size: tuple[int, int], crop: Literal["caffe", "square"]) -> np.ndarray:
    """A photo of any shape at one size: what a mean is computed of, and what crops are cut from.

    Args:
        image: uint8 `(height, width, 3)`.
        size: `(height, width)` wanted.
        crop: "caffe" scales the whole picture, its shape not kept, as Caffe's convert_imageset does; "square" the
            largest centred square.

    Returns:
        uint8 `(*size, 3)`.
    """
    return resize_linear(centre_square(image) if crop == "square" else image, size)


def side_before_crop(size: tuple[int, int], resize: int) -> int:
    """The side of the square that crops of `size` are cut from: `resize`; of a network that wants more than that, the
    margin that 256 leaves around 224."""
    return resize if resize >= max(size) else round(max(size) * 8 / 7)


def classifier_crops(image: np.ndarray, preprocessing: Preprocessing, *, oversample: bool = False) -> np.ndarray:
    """What a classifier sees of a picture: its centre, or ten views of it.

    With `crop="square"` the centre is the largest centred square, scaled to `size`. With "caffe" the whole
    picture is scaled to `resize` squared, its shape not kept, and the middle is cut, as Caffe's own
    examples do. Scaled with `resize_linear`, the way the networks' training pictures were.

    Args:
        image: uint8 `(height, width, 3)`.
        preprocessing: the network's own.
        oversample: cut the four corners and the centre, then their mirror images, in Caffe's order (top left,
            top right, bottom left, bottom right, centre), from the picture (of "square": from its centred
            square) scaled to `resize`. The probabilities of the views are to be averaged.

    Returns:
        uint8 `(1 or 10, *size, 3)`.

    Source: BVLC Caffe, python/caffe/io.py and classifier.py.
    """
    height, width = preprocessing.size
    if preprocessing.crop == "square" and not oversample:
        return fit(image, (height, width), "square")[None]
    side = side_before_crop(preprocessing.size, preprocessing.resize)
    image = fit(image, (side, side), preprocessing.crop)
    down, right = side - height, side - width
    corners = [(top, left) for top in (0, down) for left in (0, right)] if oversample else []
    views = [image[top : top + height, left : left + width] for top, left in [*corners, (down // 2, right // 2)]]
    stacked = np.stack(views)
    return np.concatenate([stacked, stacked[:, :, ::-1]]) if oversample else stacked
