"""Who dreams: on pictures of one size, octave by octave, with what is compiled for one serving the next."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from keras import ops

from imgnn import __version__, backend
from imgnn.backend import Evaluate, Parts, Precision, Tensor
from imgnn.errors import ImgnnError, InputError
from imgnn.images.files import save_image
from imgnn.jobs.load import preprocessing_of
from imgnn.networks.features import look
from imgnn.networks.network import Network
from imgnn.optimize.dreaming import Ascent
from imgnn.optimize.evaluate import ANY_SIZE, Picture, See, build_picture, compute_features, halve_tile, tile_for
from imgnn.optimize.objectives import NOWHERE, Objective, Scene, tv_loss
from imgnn.optimize.optimizers import LBFGS, Adam, Optimizer
from imgnn.optimize.parameters import LEVELS, to_image, to_pixels, to_x
from imgnn.optimize.scales import Size, zoom
from imgnn.optimize.transforms import gaussian_smooth, laplacian_normalise
from imgnn.options import DreamOptions, LayerChoice
from imgnn.runs import Reporter

STEP_SIZE, JITTER = 1.5, 32  # google/deepdream's
LBFGS_HISTORY = 100  # steps
Ending = Literal["done", "interrupted", "diverged"]


@dataclass(frozen=True)
class Dreamt:
    """What a dream came to.

    Attributes:
        pixels: float32 `(height, width, 3)`, RGB; of one that was stopped, as large as of one that was not.
        steps: evaluations that were made, at all sizes.
        ended: "done", "interrupted" by Ctrl-C or by `failure`, or "diverged": the gradient is not finite.
        failure: the memory gave out on the way.
    """

    pixels: np.ndarray
    steps: int
    ended: Ending
    failure: ImgnnError | None = None


@dataclass(frozen=True)
class Watch:
    """Who shows the picture so far, in the file `path`, every so many steps."""

    path: Path
    every: int
    reporter: Reporter

    def __call__(self, step: int, pixels: Callable[[], np.ndarray]) -> None:
        if step % self.every == 0:
            try:
                save_image(self.path, to_image(pixels()))
            except InputError as error:  # a full disk is no reason to stop
                self.reporter.note(str(error))


class Dreamer:
    """Dreams on pictures of one size; what is compiled for one serves the next.

    Args:
        network: looks at them.
        choices: the layers that are raised.
        sizes: octaves, `(height, width)`, smallest first.
        objective: what is lowered.
        precision: what the network computes in.
        options: as asked for.
        reporter: told when a tile had to be made smaller.
    """

    def __init__(
        self,
        network: Network,
        choices: tuple[LayerChoice, ...],
        sizes: list[Size],
        objective: Objective,
        precision: Precision,
        options: DreamOptions,
        reporter: Reporter,
    ) -> None:
        self.network, self.choices, self.sizes, self.objective = network, choices, sizes, objective
        self.precision, self.options, self.reporter = precision, options, reporter
        self.layers = tuple(dict.fromkeys(choice.name for choice in choices))
        # What is raised is lowered with a minus.
        self.sign = 1.0 if options.objective == "enhance" else -1.0
        # L-BFGS wants an objective that is the same function at each step.
        own = 0 if options.optimizer == "lbfgs" else JITTER
        self.jitter = own if options.jitter is None else options.jitter
        self.tile = options.tile_size  # as asked for, or as the memory taught
        self.pictures: dict[Any, Picture] = {}  # by size, or ANY_SIZE
        self.sights: dict[Any, See] = {}

    @property
    def size(self) -> Size:
        """Of the picture: the last octave's."""
        return self.sizes[-1]

    @property
    def steps(self) -> int:
        """Evaluations that a dream takes."""
        return len(self.sizes) * self.options.iterations

    @property
    def facts(self) -> dict[str, object]:
        """What was settled on, for the file."""
        return {
            "raised": list(map(str, self.choices)),
            "octave_sizes": self.sizes,
            "pixels_of_jitter": self.jitter,
            "computed_in": self.precision,
            "network_source": dict(self.network.source),
            "backend": backend.name(),
            "imgnn": __version__,
        }

    def dream(self, image: np.ndarray, seed: int, reporter: Reporter, watch: Watch | None = None) -> Dreamt:
        """Dream on pixels `(height, width, 3)`, 0..255, of the size that this one is for.

        Args:
            watch: is shown the picture so far, as large as it will be, after each step.

        Raises:
            InputError: the memory does not suffice.
        """
        bases = [np.asarray(image, "float32")]
        for size in reversed(self.sizes[:-1]):
            bases.insert(0, zoom(bases[0], size))
        random, done = np.random.default_rng(seed), 0
        ended: Ending = "done"
        failure: ImgnnError | None = None

        def so_far() -> np.ndarray:
            whole: np.ndarray = bases[-1] + zoom(detail_of(*place), self.size)
            return whole

        # The octave and the picture there, together: Ctrl-C comes whenever it likes.
        place = bases[0], to_pixels(bases[0])
        try:
            for base in bases:
                place = base, to_pixels(base + zoom(detail_of(*place), base.shape[:2]))
                optimizer, evaluate = self.build_optimizer(), self.seen_from(base, random)
                for _ in range(self.options.iterations):
                    x, loss, parts = optimizer.step(place[1], evaluate)
                    if not (math.isfinite(loss) and bool(ops.all(ops.isfinite(x)))):
                        ended = "diverged"
                        break
                    place, done = (base, x), done + 1
                    reporter.advance(done, **self.tell(loss, parts))
                    if watch is not None:
                        watch(done, so_far)
                if ended == "diverged":
                    break
        except KeyboardInterrupt:
            ended = "interrupted"
        except ImgnnError as error:
            if not done:
                raise
            ended, failure = "interrupted", error
        return Dreamt(so_far(), done, ended, failure)

    def seen_from(self, base: np.ndarray, random: np.random.Generator) -> Evaluate:
        """The loss at pixels of an octave, and its gradient with all that is done to it; each time from elsewhere."""
        scene = self.scene(base)

        def evaluate(x: Tensor) -> tuple[Tensor, Parts, Tensor]:
            if not self.jitter:
                loss, parts, gradient = self.look(x, scene)
            else:
                down, right = random.integers(-self.jitter, self.jitter + 1, 2).tolist()
                there = self.scene(np.roll(base, (down, right), (0, 1))) if scene else scene
                loss, parts, gradient = self.look(ops.roll(x, (down, right), (1, 2)), there)
                gradient = ops.roll(gradient, (-down, -right), (1, 2))
            if self.options.smooth:
                gradient = gaussian_smooth(gradient, self.options.smooth)
            if self.options.laplacian:
                gradient = laplacian_normalise(gradient, self.options.laplacian)
            return loss, parts, gradient

        return evaluate

    def picture(self, size: Size) -> Picture:
        """What evaluates the objective for pixels of an octave; compiled when it is first called.

        All octaves that are looked at in one piece share it.
        """
        tile = self.tile_of(size)
        key = size if tile else ANY_SIZE
        if key not in self.pictures:
            self.pictures[key] = build_picture(self.network, self.layers, key, self.see, self.objective, tile=tile)
        return self.pictures[key]

    def tile_of(self, size: Size) -> int | None:
        """The side of the tiles of an octave, pixels; None: in one piece."""
        return tile_for(self.network, self.layers, size, self.precision, self.tile)

    def look(self, x: Tensor, scene: Scene) -> tuple[Tensor, Parts, Tensor]:
        """The loss at pixels of any octave."""
        size: Size = tuple(x.shape[1:3])
        return self.fitting(size, lambda: self.picture(size)(x, scene))

    def fitting(self, size: Size, work: Callable[[], Any]) -> Any:
        """What `work` gives on pixels of this size; where the memory does not suffice, in tiles of half the side."""
        while True:
            try:
                return work()
            except Exception as error:
                self.tile = halve_tile(error, self.network, size, self.tile)
                self.pictures.clear()
                self.reporter.note(f"not enough memory: going on with tiles of {self.tile} pixels")

    def see(self, layers: Sequence[str], size: Size) -> See:
        """Pixels `(1, *size, 3)`, RGB, 0..255 -> features of the layers; kept, a film asks often."""
        if size not in self.sights:
            self.sights[size] = build_see(self.network, layers, size, self.precision)
        return self.sights[size]

    def scene(self, base: np.ndarray) -> Scene:
        """What the objective wants to know of the picture that is dreamed on."""
        if self.options.objective != "enhance":
            return NOWHERE
        pixels, size = to_pixels(base), base.shape[:2]
        seen = self.fitting(
            size, lambda: compute_features(self.network, self.layers, pixels, self.see, self.tile_of(size))
        )
        variation = tv_loss().of_pixels(pixels)[0]
        return {**{f"photo:{name}": each for name, each in seen.items()}, "factor:tv": 1 / ops.maximum(variation, 1.0)}

    def measure(self, base: np.ndarray, image: np.ndarray) -> dict[str, float]:
        """The terms of the objective for an image of the full size, dreamed on a base."""
        scene = self.scene(base)
        _, parts = self.fitting(self.size, lambda: self.picture(self.size).measure(to_pixels(image), scene))
        return {name: self.sign * float(part) for name, part in parts.items()}

    def tell(self, loss: Tensor, parts: Parts) -> dict[str, float]:
        """What the reporter is told of a step: the objective, and its terms if there are several."""
        terms = {name: self.sign * float(part) for name, part in parts.items()} if len(parts) > 1 else {}
        return {"loss" if self.sign > 0 else "objective": self.sign * float(loss), **terms}

    def build_optimizer(self) -> Optimizer:
        """A new one, as asked for."""
        rate = self.options.step_size
        if self.options.optimizer == "lbfgs":
            return LBFGS(1.0 if rate is None else rate, history=LBFGS_HISTORY, bounds=LEVELS)
        rate = STEP_SIZE if rate is None else rate
        if self.options.optimizer == "adam":
            return Adam(rate, steps=self.options.iterations, bounds=LEVELS)
        return Ascent(rate, bounds=LEVELS)


def build_see(network: Network, layers: Sequence[str], size: Size, precision: Precision) -> See:
    """Pixels `(1, *size, 3)`, RGB, 0..255 -> features of the layers."""
    features, preprocessing = look(network, layers, size, precision=precision), preprocessing_of(network)
    return lambda pixels: features(to_x(pixels, preprocessing))


def detail_of(base: np.ndarray, x: Tensor) -> np.ndarray:
    """What dreaming brought: the picture less the one it was begun on, float32 `(height, width, 3)`."""
    detail: np.ndarray = ops.convert_to_numpy(x)[0] - base
    return detail
