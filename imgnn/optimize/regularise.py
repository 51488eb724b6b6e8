"""Gradient ascent towards a picture that a neuron likes, kept to what a photo could be: Yosinski's regularisers.

    values <- R((values + learning_rate * gradient) * (1 - decay))

R blurs the picture and takes away pixels that do little. The values are grey levels about the mean picture, so that
0 is "nothing here".

Source: Understanding Neural Networks Through Deep Visualization, Yosinski et al., arXiv:1506.06579, section 3; the
learning rates and what is not in the paper: yosinski/deep-visualization-toolbox, doc/running-optimize-image.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from keras import ops
from scipy.ndimage import gaussian_filter

from imgnn.backend import Evaluate, Parts, Tensor
from imgnn.optimize.optimizers import UNBOUNDED


@dataclass(frozen=True)
class Regularisation:
    """One row of table 1 of the paper, with its learning policy.

    Attributes:
        iterations: evaluations that its authors give it.
        learning_rate: grey levels for a gradient of 1.
        progress: how much the objective is to rise in a step, if it were straight; the learning rate is then the
            one that does, and `learning_rate` the most it may be. None: it stays.
        decay: share of the picture that is taken away in each step.
        blur: standard deviation of the Gaussian, pixels.
        blur_every: steps from one blur to the next.
        norm_percentile: so many of 100 pixels are set to 0, those of the smallest norm.
        contribution_percentile: the same of those that contribute least to the objective.
    """

    iterations: int
    learning_rate: float = 100.0
    progress: float | None = None
    decay: float = 0.0
    blur: float = 0.0
    blur_every: int = 4
    norm_percentile: float = 0.0
    contribution_percentile: float = 0.0


PRESETS: Mapping[str, Regularisation] = {
    "A": Regularisation(500, progress=2.0, blur=0.5, norm_percentile=50),
    "B": Regularisation(750, decay=0.3, norm_percentile=20),
    "C": Regularisation(1000, decay=1e-4, blur=1.0),
    "D": Regularisation(1000, learning_rate=1e8, progress=2.0, blur=0.5, contribution_percentile=90),
}


class RegularisedAscent:
    """An `Optimizer` that lowers a loss with one of the `PRESETS`.

    Args:
        regularisation: what is done to the picture in each step.
        bounds: lowest and highest grey level about the mean, one number or one per channel; a step ends at them.

    Its arrays are in main memory: the percentiles and the blur of one picture cost little beside the network.
    """

    def __init__(
        self, regularisation: Regularisation, bounds: tuple[float | np.ndarray, float | np.ndarray] = UNBOUNDED
    ) -> None:
        self.regularisation, self.bounds = regularisation, bounds
        self.steps = 0

    def step(self, x: Tensor, evaluate: Evaluate) -> tuple[Tensor, Tensor, Parts]:
        """Evaluate at `x`, `(1, height, width, channels)`, and move."""
        loss, parts, slope = evaluate(x)
        by, gradient = self.regularisation, -np.asarray(ops.convert_to_numpy(slope))
        values = np.asarray(ops.convert_to_numpy(x)) + learning_rate(by, gradient) * gradient
        values = values * (1 - by.decay)
        if by.blur and self.steps % by.blur_every == 0:
            values = blur(values, by.blur)
        if by.norm_percentile:
            values = without_small(values, pixel_norms(values), by.norm_percentile)
        if by.contribution_percentile:
            values = without_small(values, contributions(values, gradient), by.contribution_percentile)
        self.steps += 1
        return ops.convert_to_tensor(np.clip(values, *self.bounds).astype("float32")), loss, parts

    def state(self) -> dict[str, np.ndarray]:
        return {"steps": np.array(self.steps)}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        self.steps = int(state["steps"])


def learning_rate(by: Regularisation, gradient: np.ndarray) -> float:
    """That of one step: constant, or what makes the wanted progress, `progress / |g|²`, and no more than the most."""
    if by.progress is None:
        return by.learning_rate
    return min(by.learning_rate, by.progress / max(float(np.sum(np.square(gradient, dtype="float64"))), 1e-30))


def blur(values: np.ndarray, radius: float) -> np.ndarray:
    """Each channel of `(1, height, width, channels)` through a Gaussian of this standard deviation, in pixels."""
    return gaussian_filter(values, (0, radius, radius, 0))


def pixel_norms(values: np.ndarray) -> np.ndarray:
    """The norm of each pixel over its channels, `(1, height, width, 1)`."""
    return np.linalg.norm(values, axis=-1, keepdims=True)


def contributions(values: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """How much the objective would change without a pixel, if it were straight: `|sum over channels of x g|`."""
    return np.abs(np.sum(values * gradient, axis=-1, keepdims=True))


def without_small(values: np.ndarray, sizes: np.ndarray, percentile: float) -> np.ndarray:
    """The values with those pixels set to 0 whose size is below the percentile of all sizes."""
    return np.where(sizes < np.percentile(sizes, percentile), np.float32(0), values)
