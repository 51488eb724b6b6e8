"""What is optimised: the numbers that stand for a picture, and how they become the network's `x`."""

from dataclasses import dataclass

import numpy as np
from keras import ops

from imgnn.backend import Tensor
from imgnn.images.preprocess import preprocess
from imgnn.images.preprocessing import Preprocessing


@dataclass(frozen=True)
class Pixels:
    """The pixels themselves, `(1, height, width, channels)` on the scale 0..255, in the network's channel order.

    Every network wants its own `x`; on the scale of the picture a step of the optimiser and a difference
    between neighbours mean the same with all of them.

    Attributes:
        black: what a black pixel is as `x`, one number per channel.
        white: the same for a white one. All between lie on the straight line.
    """

    black: np.ndarray
    white: np.ndarray

    @classmethod
    def of(cls, preprocessing: Preprocessing) -> "Pixels":
        """The pixels of a network with this preprocessing."""
        ends = preprocess(np.array([[[[0, 0, 0], [255, 255, 255]]]], "uint8"), preprocessing)
        return cls(black=ends[0, 0, 0], white=ends[0, 0, 1])

    def to_x(self, values: Tensor) -> Tensor:
        """`x` of pixels; differentiable."""
        scale = ops.convert_to_tensor((self.white - self.black) / 255)
        return values * scale + ops.convert_to_tensor(self.black)

    def from_x(self, x: np.ndarray) -> np.ndarray:
        """Pixels of `x`."""
        return (x - self.black) * (255 / (self.white - self.black))
