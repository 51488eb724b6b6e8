"""Style transfer at one size: what the picture should become, and how far it is from that."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from imgnn import backend
from imgnn.backend import Parts, Tensor, value_and_grad
from imgnn.errors import InputError
from imgnn.images.masks import pool_mask
from imgnn.images.resize import fit_long_side, resize
from imgnn.jobs.load import preprocessing_of
from imgnn.networks import registry
from imgnn.networks.features import cut, look
from imgnn.networks.network import Network
from imgnn.networks.registry import NetworkSpec
from imgnn.optimize.evaluate import Picture, build_picture, compute_features, halve_tile, tile_for
from imgnn.optimize.objectives import NOWHERE, Objective, Scene, content_loss, dream_loss, style_loss, tv_loss
from imgnn.optimize.parameters import FourierPixels, Parameter, Pixels, to_pixels, to_x
from imgnn.optimize.scales import Size
from imgnn.options import StyleOptions
from imgnn.runs import Reporter

TERMS = ("content", "style", "tv", "dream")


@dataclass(frozen=True)
class Subject:
    """What is painted, like what, and who judges.

    Attributes:
        photo, paintings: uint8 `(height, width, 3)`, RGB, as large as their files.
        masks: float32 `(height, width)` of the photo, 0..1, one for each painting; none: everywhere.
        original: the photo before its colours were changed.
        start: the picture of a file that is begun with, if `options.init` names one.
        names: the files, for messages: the photo's first.
        shares: how much of each painting; they add up to 1.
        network: sees them.
        content, style: its layers, with their factors.
        precision: what it computes in.
        options: as asked for.
    """

    photo: np.ndarray
    original: np.ndarray
    start: np.ndarray | None
    paintings: tuple[np.ndarray, ...]
    masks: tuple[np.ndarray, ...]
    names: tuple[Path, ...]
    shares: tuple[float, ...]
    network: Network
    content: Mapping[str, float]
    style: Mapping[str, float]
    precision: Any
    options: StyleOptions

    @property
    def tv_weight(self) -> float:
        """As asked for; else what suits the network."""
        if self.options.tv_weight is not None:
            return self.options.tv_weight
        spec = registry.SPECS.get(self.network.name)
        return spec.tv_weight if spec else NetworkSpec.tv_weight

    @property
    def layers(self) -> tuple[str, ...]:
        """All that are looked at, each once."""
        options = self.options
        content = self.content if options.content_weight else ()
        style = self.style if options.style_weight else ()
        return tuple(dict.fromkeys([*content, *style, *(choice.name for choice in options.dream)]))

    def size(self, side: int) -> Size:
        """The picture's, when its long side is `side` pixels."""
        return fit_long_side(self.photo.shape[:2], side)

    def extents(self, side: int) -> list[Size]:
        """The paintings' sizes then."""
        scaled = max(1, round(side * self.options.style_scale))
        return [fit_long_side(each.shape[:2], scaled) for each in self.paintings]


class Canvas:
    """A picture of one size.

    Args:
        subject: what it is made of.
        side: its long side, pixels.
        dreaming: whether the layers of `options.dream` take part.
        reporter: told when a tile had to be made smaller.
        tile: side of the tiles, pixels, that another one came to; None: as the memory asks for.
    """

    def __init__(
        self, subject: Subject, side: int, *, dreaming: bool, reporter: Reporter, tile: int | None = None
    ) -> None:
        self.subject, self.options, self.reporter = subject, subject.options, reporter
        self.size = subject.size(side)
        self.parameter: Parameter = FourierPixels(self.size) if self.options.parameter == "fourier" else Pixels()
        self.photo = resize(subject.photo, self.size)
        self.paintings = [
            resize(each, extent) for each, extent in zip(subject.paintings, subject.extents(side), strict=True)
        ]
        self.tile = tile or first_tile(subject, side)
        self.masks = [pool_mask(mask, self.size) for mask in subject.masks]
        self.factors: dict[str, Tensor] = {}
        self.steps = 0  # evaluations before this one: of the jitter's numbers
        self.dreaming = dreaming
        self.tv = value_and_grad((subject.tv_weight * tv_loss()).of_pixels)
        self.picture: Any = None  # a `Picture`; none until it is built
        self.fitting(lambda: None)

    def evaluate(self, values: Tensor) -> tuple[Tensor, Parts, Tensor]:
        """The loss at the values of the parameter, its parts, and its gradient by the values.

        Args:
            values: of the parameter: pixels `(1, height, width, 3)`, or Fourier coefficients.

        Returns:
            A number, numbers by name, and a tensor of the values' shape.
        """
        pixels = self.parameter.pixels(values)
        scene: Scene = self.factors
        shift = (0, 0)
        if self.options.jitter:
            random = np.random.default_rng((self.options.seed, *self.size, self.steps))
            shift = tuple(random.integers(-self.options.jitter, self.options.jitter + 1, 2).tolist())
            pixels = ops.roll(pixels, shift, (1, 2))
            if self.options.content_weight:
                photo = ops.roll(to_pixels(self.photo), shift, (1, 2))
                seen = self.fitting(lambda: self.features(photo, tuple(self.subject.content)))
                scene = {**scene, **{f"photo:{name}": each for name, each in seen.items()}}
        self.steps += 1
        loss, parts, gradient = self.fitting(lambda: self.picture(pixels, scene))
        if self.options.jitter:
            gradient = ops.roll(gradient, (-shift[0], -shift[1]), (1, 2))
            if self.subject.tv_weight:
                # Not of the shifted picture, in which opposite borders are neighbours.
                more, own, slope = self.tv(self.parameter.pixels(values), self.factors)
                loss, parts, gradient = loss + more, {**parts, **own}, gradient + slope
        return loss, parts, self.parameter.pull(values, gradient)

    def measure(self, pixels: Tensor, factors: Scene) -> tuple[Tensor, Parts]:
        """The loss and its parts at pixels `(1, height, width, 3)`."""
        return self.fitting(lambda: self.picture.measure(pixels, factors))

    def fitting(self, work: Callable[[], Any]) -> Any:
        """What `work` gives; each time the memory does not suffice for it, with tiles of half the side."""
        while True:
            try:
                if self.picture is None:
                    self.picture = self.build()
                return work()
            except Exception as error:
                self.tile = halve_tile(error, self.subject.network, self.size, self.tile)
                self.picture = None
                if self.options.normalise_gradients:
                    raise in_one_piece() from error
                self.reporter.note(f"not enough memory: going on with tiles of {self.tile} pixels")

    def build(self) -> Picture:
        """What evaluates the picture, with the targets of photo and paintings."""
        options, subject = self.options, self.subject
        objective = Objective() if options.jitter else subject.tv_weight * tv_loss()
        scene: dict[str, Any] = {}
        if options.content_weight:
            targets = self.features(to_pixels(self.photo), tuple(subject.content))
            if self.tile:  # a part of it for each tile
                scene |= {f"photo:{name}": each for name, each in targets.items()}
            objective += options.content_weight * content_loss(
                targets, subject.content, strength=options.content_weight if options.normalise_gradients else None
            )
        if options.style_weight:
            grams = [self.grams(each) for each in self.paintings]
            targets = {name: ops.stack([each[name] for each in grams]) for name in subject.style}
            shares: Sequence[float] = subject.shares
            if self.masks:
                scene |= self.regions()
                # Each has a place of its own: equal shares mean the full strength for each.
                shares = [share * len(shares) for share in shares]
            else:
                targets = {
                    name: ops.tensordot(ops.convert_to_tensor(np.array(shares, "float32")), each, 1)[None]
                    for name, each in targets.items()
                }
                shares = (1.0,)
            objective += options.style_weight * style_loss(
                targets, subject.style, shares, strength=options.style_weight if options.normalise_gradients else None
            )
        if self.dreaming:
            objective += 1.0 * dream_loss(options.dream)
        return self.evaluator(objective, subject.layers, self.size, scene)

    def evaluator(self, objective: Objective, layers: Sequence[str], size: Size, scene: Scene = NOWHERE) -> Any:
        """Of pictures of a size, as a whole or in tiles."""
        return build_picture(self.subject.network, layers, size, self.see, objective, scene, self.tile)

    def see(self, layers: Sequence[str], size: Size) -> Callable[[Tensor], Mapping[str, Tensor]]:
        """Pixels `(1, *size, 3)` -> features."""
        network, preprocessing = self.subject.network, preprocessing_of(self.subject.network)
        features = look(network, layers, size, precision=self.subject.precision, pooling=self.options.pooling)
        return lambda pixels: features(to_x(pixels, preprocessing))

    def features(self, pixels: Tensor, layers: Sequence[str]) -> dict[str, Any]:
        """The features of a whole picture: pixels `(1, height, width, 3)` -> layer -> `(1, h, w, channels)`."""
        return compute_features(self.subject.network, layers, pixels, self.see, self.tile)

    def grams(self, painting: np.ndarray) -> dict[str, Tensor]:
        """The Gram matrices of a painting: layer -> `(channels, channels)`."""
        layers = tuple(self.subject.style)
        nothing = style_loss(dict.fromkeys(layers, ()))
        pixels = to_pixels(painting)
        if self.tile is None:
            with backend.forward_only():
                sums = nothing.sums(self.see(layers, painting.shape[:2])(pixels))["style"]
        else:
            sums = self.evaluator(nothing, layers, painting.shape[:2]).totals(ops.convert_to_numpy(pixels))["style"]
        return {
            name: sums[f"products:{name}:0"] / (sums[f"area:{name}:0"] * sums[f"products:{name}:0"].shape[-1])
            for name in layers
        }

    def regions(self) -> dict[str, np.ndarray]:
        """How much of each position of the style layers belongs to each style: float32 `(1, h, w, styles)`, 0..1."""
        sizes = {
            name: each.shape[1:3]
            for name, each in cut(self.subject.network, tuple(self.subject.style), self.size).output.items()
        }
        return {
            f"regions:{name}": np.stack([pool_mask(mask, size) for mask in self.masks], axis=-1)[None]
            for name, size in sizes.items()
        }

    def weigh_dream(self, values: Tensor) -> None:
        """Let the dream pull by `options.dream_weight` of what the style pulls at these values, as of `evaluate`."""
        lengths = {}
        for alone in ("style", "dream"):
            self.factors = {f"factor:{name}": ops.convert_to_tensor(float(name == alone)) for name in TERMS}
            lengths[alone] = float(ops.sqrt(ops.sum(ops.square(self.evaluate(values)[2]))))
        factor = self.options.dream_weight * lengths["style"] / lengths["dream"] if lengths["dream"] else 0.0
        if not factor:
            names = " and ".join(map(str, self.options.dream))
            self.reporter.note(f"{names} does not fire here: nothing is dreamed at this size")
        self.factors = {f"factor:{name}": ops.convert_to_tensor(factor if name == "dream" else 1.0) for name in TERMS}


def first_tile(subject: Subject, side: int) -> int | None:
    """The side of the tiles, pixels; None where the picture and its paintings are looked at as a whole.

    Raises:
        InputError: tiles are needed, and a layer sees the whole picture at once.
    """
    if not subject.layers:
        return None
    options = subject.options
    looks = [(subject.layers, subject.size(side))]
    if options.style_weight:
        looks += [(tuple(subject.style), extent) for extent in subject.extents(side)]
    wanted = [tile_for(subject.network, *look, subject.precision, options.tile_size) for look in looks]
    tile = min((each for each in wanted if each), default=None)
    if tile and options.normalise_gradients:
        raise in_one_piece()
    return tile


def in_one_piece() -> InputError:
    """Tiles have no part in it."""
    return InputError("--normalise-gradients wants the picture in one piece", hint="a smaller --size")
