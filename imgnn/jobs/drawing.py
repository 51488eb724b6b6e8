"""Drawing what a channel of a network looks for, from nothing: what is raised, and the two ways to keep it a picture.

The regularisers of arXiv:1506.06579 (`optimize/regularise.py`); or coefficients in which all scales move alike, and a
shaken picture (`optimize/fourier.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from imgnn.backend import Evaluate, Tensor, value_and_grad
from imgnn.errors import InputError
from imgnn.images.preprocess import constants
from imgnn.images.preprocessing import Preprocessing
from imgnn.jobs.load import preprocessing_of
from imgnn.networks.features import of_size
from imgnn.networks.network import Network
from imgnn.optimize.fourier import Fourier
from imgnn.optimize.optimizers import Adam, Optimizer
from imgnn.optimize.parameters import to_image, to_x
from imgnn.optimize.regularise import PRESETS, RegularisedAscent

FOURIER_STEPS = 256
LEARNING_RATE = 0.05  # of Adam on the coefficients, as in Lucid
SHAKE, ZOOM = 1 / 14, 0.05  # at most: of the side, 16 pixels of 224; of the size, up and down
# What is started from: the first from which a way leads up. Behind a ReLU many channels do not fire on a plain picture.
CONTRASTS = (1.0, 10.0, 80.0)  # times Lucid's noise: standard deviations of about 0.8, 8 and 50 grey levels
DEVIATIONS = (0.0, 10.0, 50.0)  # grey levels of noise about the mean; Yosinski has 10
SHOWN = 100.0  # grey levels about the mean that one pixel in 200 of a picture of a preset A to D goes beyond


@dataclass(frozen=True)
class Goal:
    """What is raised: a channel of a tensor of the network.

    Attributes:
        name: for the user.
        tensor: symbolic, `(batch, channels)` or `(batch, h, w, channels)`.
        channel: counted from 0.
        class_index: if it is a class.
    """

    name: str
    tensor: Any
    channel: int
    class_index: int | None = None

    @property
    def one_hot(self) -> Tensor:
        """float32 `(channels,)`: 1 for the channel, 0 for the others."""
        return ops.one_hot(self.channel, self.tensor.shape[-1], dtype="float32")


@dataclass
class Drawing:
    """An optimisation that has not begun.

    Attributes:
        start: the values it begins with.
        alive: whether a way leads up from there.
        steps: evaluations that are usual.
        image: `values -> image`, uint8.
    """

    start: Tensor
    alive: bool
    evaluate: Evaluate
    optimizer: Optimizer
    steps: int
    image: Callable[[Tensor], np.ndarray]


# `(pixels, one_hot) -> score`; pixels `(1, height, width, 3)`, RGB, 0..255
Score = Callable[[Tensor, Tensor], Tensor]
Draw = Callable[[Goal, int], Drawing]


def score_of(network: Network, tensor: Any, size: tuple[int, int]) -> Score:
    """The mean of a channel of `tensor` over its map, for pictures of one size.

    Raises:
        InputError: the network wants another size.
    """
    preprocessing = preprocessing_of(network)
    try:
        model = of_size(network, {"scores": tensor}, size)
    except InputError as error:
        wanted = preprocessing.size
        raise InputError(
            f"for this, {network.name} wants a picture of {wanted[0]} x {wanted[1]} pixels, not {size[0]} x {size[1]}",
            hint="leave out --size, or take a network without a fully connected layer, as squeezenet",
        ) from error

    def score(pixels: Tensor, one_hot: Tensor) -> Tensor:
        scores = model(to_x(pixels, preprocessing))["scores"]
        return ops.sum(ops.mean(ops.reshape(scores, (-1, scores.shape[-1])), axis=0) * one_hot)

    return score


def drawer(preset: str, score: Score, size: tuple[int, int], preprocessing: Preprocessing) -> Draw:
    """`(goal, seed) -> drawing` with a preset; what is compiled serves every goal of the same tensor."""
    if preset == "fourier":
        return fourier_drawer(score, size)
    return regularised_drawer(preset, score, size, preprocessing)


def fourier_drawer(score: Score, size: tuple[int, int], steps: int = FOURIER_STEPS) -> Draw:
    """Adam on Fourier coefficients; each step looks at the picture shifted and scaled a little, at random.

    What is found has to be there wherever one looks from: that takes away the fine patterns that please a network and
    no eye.

    Source: Lucid, optvis/render.py and transform.py, which pads and rotates as well; the edges are mirrored here.
    """
    fourier = Fourier.of(size)

    def loss(values: Tensor, rows: Tensor, columns: Tensor, one_hot: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        seen = ops.einsum("ih,bhwc->biwc", rows, fourier.to_pixels(values))
        return -score(ops.einsum("jw,bhwc->bhjc", columns, seen), one_hot), {}

    run = value_and_grad(loss)

    def draw(goal: Goal, seed: int) -> Drawing:
        random, one_hot = np.random.default_rng(seed), goal.one_hot

        def evaluate(values: Tensor) -> Any:
            scale = random.uniform(1 - ZOOM, 1 + ZOOM)
            looks = [resampling(side, scale, random.uniform(-SHAKE, SHAKE) * side) for side in size]
            return run(values, *map(ops.convert_to_tensor, looks), one_hot)

        start, alive = first_alive([contrast * fourier.start(seed) for contrast in CONTRASTS], evaluate)
        return Drawing(
            start,
            alive,
            evaluate,
            Adam(LEARNING_RATE),
            steps,
            lambda values: to_image(ops.convert_to_numpy(fourier.to_pixels(values))[0]),
        )

    return draw


def resampling(side: int, scale: float, shift: float) -> np.ndarray:
    """`(side, side)`: what takes a row of pixels to the same row scaled about its middle and shifted, linearly.

    Beyond its ends the row goes on mirrored.
    """
    middle = (side - 1) / 2
    position = (np.arange(side) - middle) / scale + middle + shift
    first = np.floor(position).astype(int)
    matrix = np.zeros((side, side), "float32")
    for place, weight in ((first, 1 - (position - first)), (first + 1, position - first)):
        inside = np.mod(place, 2 * side)
        np.add.at(matrix, (np.arange(side), np.minimum(inside, 2 * side - 1 - inside)), weight)
    return matrix


def regularised_drawer(preset: str, score: Score, size: tuple[int, int], preprocessing: Preprocessing) -> Draw:
    """One of Yosinski's presets, from the mean picture.

    What they make has a contrast of a few grey levels, and is shown with more, as the authors show theirs.
    """
    by = PRESETS[preset]
    mean = mean_pixel(preprocessing)
    centre = ops.convert_to_tensor(mean)
    run = value_and_grad(lambda values, one_hot: (-score(values + centre, one_hot), {}))

    def image(values: Tensor) -> np.ndarray:
        found = np.asarray(ops.convert_to_numpy(values))
        contrast = np.percentile(np.abs(found).max(axis=-1), 99.5)
        return to_image((found * max(1.0, SHOWN / max(contrast, 1e-3)) + mean)[0])

    def draw(goal: Goal, seed: int) -> Drawing:
        one_hot = goal.one_hot
        noise = np.random.default_rng(seed).normal(0.0, 1.0, (1, *size, 3)).astype("float32")

        def evaluate(values: Tensor) -> Any:
            return run(values, one_hot)

        start, alive = first_alive([deviation * noise for deviation in DEVIATIONS], evaluate)
        ascent = RegularisedAscent(by, (-mean, 255.0 - mean))
        return Drawing(start, alive, evaluate, ascent, by.iterations, image)

    return draw


def first_alive(starts: Sequence[np.ndarray], evaluate: Evaluate) -> tuple[Tensor, bool]:
    """The first of the starts at which there is a gradient, and True; the last and False, if there is none at any.

    Args:
        starts: values of what is optimised, of one shape.
    """
    for start in starts:
        values = ops.convert_to_tensor(start)
        if np.any(ops.convert_to_numpy(evaluate(values)[2])):
            return values, True
    return values, False


def mean_pixel(preprocessing: Preprocessing) -> np.ndarray:
    """The mean of the pictures the network was trained on, float32 `(3,)`, RGB, 0..255."""
    mean, _ = constants(preprocessing)
    return np.broadcast_to(mean[::-1] if preprocessing.channel_order == "BGR" else mean, (3,)).astype("float32")
