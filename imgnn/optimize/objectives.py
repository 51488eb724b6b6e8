"""What a picture is optimised for: losses of its pixels and activations, which add and scale.

    loss = 5.0 * content_loss(of_photo) + 100.0 * style_loss(of_painting) + 1e-3 * tv_loss()

The numbers are neural-style's (jcjohnson/neural-style): its weights mean the same here.

What a term needs of the features is a sum over positions (of squares, of products of channels), so a picture may be
looked at tile by tile, the sums added, and the loss and its gradient are those of the whole picture (`evaluate.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keras import ops

from imgnn.errors import InputError
from imgnn.options import LayerChoice

Tensor = Any
Features = Mapping[str, Tensor]
Sums = dict[str, Tensor]

# What is known of the place that features come from, beside them; each key with `:LAYER` behind it.
#   photo   (1, h, w, channels)  activations of the photo there; without it the whole picture's are meant
#   counts  (1, h, w, 1)         1 where a position counts, 0 where another tile has it
#   regions (1, h, w, styles)    how much of a position belongs to each style, 0..1
# and `factor:TERM`, a scalar by which a term of the objective is multiplied.
Scene = Mapping[str, Tensor]
NOWHERE: Scene = {}


@dataclass(frozen=True)
class Term:
    """One loss of features.

    Attributes:
        sums: `(features, scene) -> sums over positions`, which add up over the tiles of a picture.
        loss: those of the whole picture -> scalar.
    """

    sums: Callable[[Features, Scene], Sums]
    loss: Callable[[Sums], Tensor]


@dataclass(frozen=True)
class Objective:
    """A sum of named, weighted terms: `2.0 * a + b` is an objective again; `0.0 * a` has no terms.

    Attributes:
        terms: name -> (weight, term of the features).
        of_picture: name -> (weight, `picture -> scalar`); `picture` is `(1, height, width, 3)`, RGB, 0..255.
    """

    terms: Mapping[str, tuple[float, Term]] = field(default_factory=dict)
    of_picture: Mapping[str, tuple[float, Callable[[Tensor], Tensor]]] = field(default_factory=dict)

    def __add__(self, other: "Objective") -> "Objective":
        same = {*self.terms, *self.of_picture} & {*other.terms, *other.of_picture}
        if same:
            raise ValueError(f"two terms are called {', '.join(sorted(same))}")
        return Objective({**self.terms, **other.terms}, {**self.of_picture, **other.of_picture})

    def __rmul__(self, factor: float) -> "Objective":
        if not factor:
            return Objective()
        return Objective(
            {name: (factor * weight, term) for name, (weight, term) in self.terms.items()},
            {name: (factor * weight, term) for name, (weight, term) in self.of_picture.items()},
        )

    def __call__(self, picture: Tensor, features: Features, scene: Scene = NOWHERE) -> tuple[Tensor, dict[str, Tensor]]:
        """The whole loss, and its weighted terms by name."""
        loss, parts = self.of_sums(self.sums(features, scene), scene)
        more, own = self.of_pixels(picture, scene)
        return loss + more, {**parts, **own}

    def sums(self, features: Features, scene: Scene = NOWHERE) -> dict[str, Sums]:
        """What the terms need of the features of a tile: term -> its sums."""
        return {name: term.sums(features, scene) for name, (_, term) in self.terms.items()}

    def of_sums(self, sums: Mapping[str, Sums], scene: Scene = NOWHERE) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of the features of the whole picture, and its terms."""
        return total({name: self.terms[name][0] * self.terms[name][1].loss(each) for name, each in sums.items()}, scene)

    def of_pixels(self, picture: Tensor, scene: Scene = NOWHERE) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of the pixels themselves, and its terms."""
        return total({name: weight * term(picture) for name, (weight, term) in self.of_picture.items()}, scene)


def gram_matrix(features: Tensor) -> Tensor:
    """Which channels of a layer fire together, wherever in the image they do.

    Args:
        features: `(batch, height, width, channels)`, activations of one layer after its ReLU.

    Returns:
        `(batch, channels, channels)`, divided by `height * width * channels`, as neural-style does, so that
        pictures of any size compare. (The paper does not divide.)

    Raises:
        InputError: `features` does not have four axes.

    Source: A Neural Algorithm of Artistic Style, arXiv:1508.06576, eq. 3.
    """
    if len(features.shape) != 4:
        raise InputError(f"a Gram matrix wants (batch, height, width, channels), not {tuple(features.shape)}")
    batch, height, width, channels = features.shape
    flat = ops.reshape(features, (batch, height * width, channels))
    return ops.matmul(ops.transpose(flat, (0, 2, 1)), flat) / (height * width * channels)


def content_loss(
    targets: Features, weights: Mapping[str, float] | None = None, *, strength: float | None = None
) -> Objective:
    """How far the activations are from those of the photo.

    `sum over layers of weight * mean of (F - P)²`

    Args:
        targets: layer -> `(1, h, w, channels)`, the photo's activations P; `photo:LAYER` of a scene replaces them.
        weights: layer -> factor; None: 1 each.
        strength: the gradient at each layer is scaled to an L1 norm of this times the layer's weight, whatever factor
            is before the loss (neural-style's `-normalize_gradients`); None: it is left as it is.

    Source: neural-style's ContentLoss. arXiv:1508.06576, eq. 1, has `½ sum (F - P)²`: `½ h w channels` times as much.
    """
    weights = weights or dict.fromkeys(targets, 1.0)

    def sums(features: Features, scene: Scene) -> Sums:
        found = {}
        for name, target in targets.items():
            values = features[name] if strength is None else of_gradient(features[name], strength * weights[name])
            squares = ops.square(values - ops.stop_gradient(scene.get(f"photo:{name}", target)))
            counts = scene.get(f"counts:{name}")
            found[f"squares:{name}"] = ops.sum(squares if counts is None else squares * counts)
            found[f"numbers:{name}"] = count(values, counts) * values.shape[-1]
        return found

    def loss(found: Sums) -> Tensor:
        return sum(weights[name] * found[f"squares:{name}"] / found[f"numbers:{name}"] for name in targets)

    return Objective({"content": (1.0, Term(sums, loss))})


def style_loss(
    targets: Mapping[str, Sequence[Tensor] | Tensor],
    weights: Mapping[str, float] | None = None,
    shares: Sequence[float] = (1.0,),
    *,
    strength: float | None = None,
) -> Objective:
    """How far the Gram matrices are from those of the painting.

    `sum over layers of weight * mean of (G - A)²`, G and A as in `gram_matrix`. With regions, one for each style,
    `G = sum over positions of m F Fᵀ / (channels * sum of m)`, m how much of a position belongs to the region; the loss
    of each counts by its share of the picture, so that a small region is painted as strongly as a large one.

    Args:
        targets: layer -> `(regions, channels, channels)`, the paintings' Gram matrices A. Several regions want
            `regions:LAYER` in the scene.
        weights: layer -> factor; None: 1 each.
        shares: how much each region counts.
        strength: as for `content_loss`.

    Source: neural-style's StyleLoss. arXiv:1508.06576, eq. 4, has `1 / (4 N² M²) sum (G - A)²` without division in G,
    N channels and M positions: `N² / 4` times as much. Guided Grams: Controlling Perceptual Factors in Neural Style
    Transfer, arXiv:1611.07865, section 4.1.
    """
    weights = weights or dict.fromkeys(targets, 1.0)

    def sums(features: Features, scene: Scene) -> Sums:
        found = {}
        for name in targets:
            values = features[name] if strength is None else of_gradient(features[name], strength * weights[name])
            counts, regions = scene.get(f"counts:{name}"), scene.get(f"regions:{name}")
            channels = values.shape[-1]
            flat = ops.reshape(values, (-1, channels))
            for index in range(len(shares)):
                mask = counts
                if regions is not None:
                    mask = regions[..., index : index + 1] * (1.0 if counts is None else counts)
                masked = flat if mask is None else flat * ops.reshape(mask, (-1, 1))
                found[f"products:{name}:{index}"] = ops.matmul(ops.transpose(masked), flat)
                found[f"area:{name}:{index}"] = count(values, mask)
            found[f"area:{name}"] = count(values, counts)
        return found

    def loss(found: Sums) -> Tensor:
        distance: Tensor = 0.0
        for name, target in targets.items():
            for index, share in enumerate(shares):
                area = found[f"area:{name}:{index}"]
                channels = found[f"products:{name}:{index}"].shape[-1]
                gram = found[f"products:{name}:{index}"] / (channels * ops.maximum(area, 1e-6))
                here = share * area / found[f"area:{name}"]
                distance = distance + weights[name] * here * ops.mean(
                    ops.square(gram - ops.stop_gradient(target[index]))
                )
        return distance

    return Objective({"style": (1.0, Term(sums, loss))})


def dream_loss(choices: Sequence[LayerChoice]) -> Objective:
    """How little the layers fire: `- sum over layers of weight * |a|`, the norm of all their activations.

    The gradient at a layer is `weight * a / |a|`: each layer pulls by its weight, however large its activations are.
    For one layer it has the direction of `½ |a|²`, which google/deepdream climbs.
    """

    def sums(features: Features, scene: Scene) -> Sums:
        found = {}
        for choice in choices:
            values = features[choice.name]
            values = values if choice.channel is None else values[..., choice.channel : choice.channel + 1]
            counts = scene.get(f"counts:{choice.name}")
            found[str(choice)] = ops.sum(ops.square(values) if counts is None else ops.square(values) * counts)
        return found

    def loss(found: Sums) -> Tensor:
        return -sum(choice.weight * ops.sqrt(found[str(choice)] + 1e-12) for choice in choices)

    return Objective({"dream": (1.0, Term(sums, loss))})


def tv_loss() -> Objective:
    """Total variation: how much each pixel differs from its neighbours to the right and below.

    `½ sum of (x - x_right)² + (x - x_below)²`, over the pixels that have both, on the scale 0..255

    Source: the loss of which neural-style's TVLoss is the gradient; its PyTorch port has absolute values instead. It
    sums where the other losses take means: the same weight smooths a larger picture more.
    """

    def loss(picture: Tensor) -> Tensor:
        corner = picture[:, :-1, :-1]
        across, down = corner - picture[:, :-1, 1:], corner - picture[:, 1:, :-1]
        return 0.5 * (ops.sum(ops.square(across)) + ops.sum(ops.square(down)))

    return Objective(of_picture={"tv": (1.0, loss)})


def of_gradient(values: Tensor, norm: float) -> Tensor:
    """The values as they are; the gradient that comes back through them is scaled to this L1 norm."""

    @ops.custom_gradient
    def identity(values: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
        def back(*args: Any, upstream: Tensor | None = None) -> Tensor:
            # Torch hands the values in, too, and the gradient by name.
            coming = args[0] if upstream is None else upstream
            return norm * coming / (ops.sum(ops.abs(coming)) + 1e-8)

        return ops.copy(values), back

    return identity(values)


def total(parts: dict[str, Tensor], scene: Scene) -> tuple[Tensor, dict[str, Tensor]]:
    """The sum of some terms, and the terms, each multiplied by the scene's factor for it."""
    parts = {name: part * scene.get(f"factor:{name}", 1.0) for name, part in parts.items()}
    return sum(parts.values()), parts


def count(values: Tensor, mask: Tensor | None) -> Tensor:
    """How many positions of `(1, h, w, channels)` count: all, or the sum of the mask."""
    if mask is not None:
        return ops.sum(mask)
    _, height, width, _ = ops.shape(values)
    return ops.cast(height * width, values.dtype)
