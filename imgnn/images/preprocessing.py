"""The facts of preprocessing: what a network was trained on. Imports no NumPy."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Preprocessing:
    """How an image (uint8 RGB, 0..255) becomes what the network was trained on.

    `x = (image[..., channel_order] - mean) * scale`

    Attributes:
        size: `(height, width)` that the classifier wants, pixels.
        mean: one number per channel, in `channel_order`, on the scale 0..255.
        channel_order: Caffe's networks want BGR; GREY has one channel.
        scale: one factor per channel, applied after the mean.
        crop: how a photo is cut to `size`: "square" takes the largest centred square and scales it;
            "caffe" scales the whole picture to `resize` squared, unproportionally, and cuts the centre.
        resize: side in pixels before the centre (or the ten crops of --oversample) is cut.
    """

    size: tuple[int, int]
    mean: tuple[float, ...] = (104.0, 117.0, 123.0)
    channel_order: Literal["BGR", "RGB", "GREY"] = "BGR"
    scale: tuple[float, ...] = (1.0, 1.0, 1.0)
    crop: Literal["square", "caffe"] = "square"
    resize: int = 256
