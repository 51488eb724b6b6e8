"""The decorrelated picture: numbers of which each stands for one frequency and one direction of colour.

A step of an optimiser on pixels changes mostly the finest detail. On these numbers, scaled as the spectrum of photos
falls and mixed as their colours vary together, it changes all scales and colours alike.
"""

from dataclasses import dataclass, field

import numpy as np
from keras import ops

from imgnn.backend import Tensor

# Columns: directions in which the colours of photos vary, with how much; brightness, blue-red, green-purple, about.
COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]], "float32")
COLOURS /= np.linalg.norm(COLOURS, axis=0).max()

NOISE = 0.01  # standard deviation of the numbers that a picture starts from
EXTREMES = (1.0, 254.0)  # pixels beyond have no number to stand for them: a sigmoid comes to 0 and 255 nowhere


@dataclass(frozen=True)
class Fourier:
    """Decorrelated Fourier coefficients of a picture, float32 `(1, height, width, 3)`: as many as it has pixels.

    `pixels = 255 * sigmoid(colours @ hartley(scale * values))`

    Attributes:
        size: `(height, width)`, pixels.
        scale: `(height, width)`, the factor of each frequency.

    Source: Lucid (tensorflow/lucid, optvis/param/spatial.py and color.py); Feature Visualization, Olah et al., 2017,
    doi:10.23915/distill.00007, "Preconditioning and Parameterization". Lucid takes the complex half spectrum and an
    inverse real Fourier transform; here it is the Hartley transform, real numbers of the whole spectrum, which is its
    own inverse. The factors are such that noise gives pictures of the same spectrum.
    """

    size: tuple[int, int]
    scale: np.ndarray = field(compare=False, repr=False)

    @classmethod
    def of(cls, size: tuple[int, int], decay: float = 1.0) -> "Fourier":
        """The coefficients of pictures of one size.

        Args:
            size: `(height, width)`, pixels; any.
            decay: the spectrum falls with this power of the frequency; that of photos about with 1.
        """
        height, width = size
        frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))  # cycles per pixel
        # The mean of the picture, of frequency 0, gets the factor of the longest wave that fits. A number of the half
        # spectrum is two of the whole: sqrt(2). Lucid divides by 4, so that the sigmoid is not too steep.
        falling = np.maximum(frequency, 1 / max(size)) ** -decay
        return cls((height, width), (np.sqrt(2) / 4 * falling).astype("float32"))

    def to_pixels(self, values: Tensor) -> Tensor:
        """Pixels `(1, height, width, 3)`, RGB, 0..255, of coefficients; differentiable."""
        waves = ops.transpose(values, (0, 3, 1, 2)) * ops.convert_to_tensor(self.scale)
        real, imaginary = ops.fft2((waves, ops.zeros_like(waves)))
        planes = (real - imaginary) / float(np.sqrt(self.scale.size))  # the Hartley transform
        mixed = ops.matmul(ops.transpose(planes, (0, 2, 3, 1)), ops.convert_to_tensor(COLOURS.T))
        return 255.0 * ops.sigmoid(mixed)

    def from_pixels(self, pixels: Tensor) -> np.ndarray:
        """Coefficients of pixels `(1, height, width, 3)`, RGB; clipped to 1..254, where the sigmoid has an inverse."""
        share = np.clip(np.asarray(ops.convert_to_numpy(pixels), "float64"), *EXTREMES) / 255
        mixed = np.log(share / (1 - share)) @ np.linalg.inv(COLOURS.T.astype("float64"))
        spectrum = np.fft.fft2(mixed, axes=(1, 2))
        waves = (spectrum.real - spectrum.imag) / np.sqrt(self.scale.size)
        return (waves / self.scale[None, :, :, None]).astype("float32")

    def start(self, seed: int) -> np.ndarray:
        """Coefficients of faint noise around middle grey."""
        return np.random.default_rng(seed).normal(0.0, NOISE, (1, *self.size, 3)).astype("float32")
