"""What a picture is optimised for: losses of its pixels and activations, which add and scale.

    loss = 0.05 * content_loss(of_photo) + 1.0 * style_loss(of_painting) + 0.1 * tv_loss()

Each loss is a share without a unit, near 1 for a picture that has nothing of what is asked, 0 for one that
has it all. So the same weight means about the same with every network, layer and picture size.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from keras import ops

from imgnn.errors import InputError

Tensor = Any
Features = Mapping[str, Tensor]
Term = Callable[[Tensor, Features], Tensor]


@dataclass(frozen=True)
class Objective:
    """A sum of named, weighted terms: `2.0 * a + b` is an objective again.

    Attributes:
        terms: name -> (weight, `(picture, features) -> scalar`); `picture` is `(batch, height, width, channels)`
            on the scale 0..255, `features` the network's activations for it, by layer.
    """

    terms: Mapping[str, tuple[float, Term]]

    def __add__(self, other: "Objective") -> "Objective":
        same = self.terms.keys() & other.terms.keys()
        if same:
            raise ValueError(f"two terms are called {', '.join(sorted(same))}")
        return Objective({**self.terms, **other.terms})

    def __rmul__(self, factor: float) -> "Objective":
        return Objective({name: (factor * weight, term) for name, (weight, term) in self.terms.items()})

    def __call__(self, picture: Tensor, features: Features) -> tuple[Tensor, dict[str, Tensor]]:
        """The whole loss, and its weighted terms by name. A term of weight 0 is not computed."""
        parts = {name: weight * term(picture, features) for name, (weight, term) in self.terms.items() if weight}
        return sum(parts.values()), parts


def gram_matrix(features: Tensor) -> Tensor:
    """Which channels of a layer fire together, wherever in the image they do.

    Args:
        features: `(batch, height, width, channels)`, activations of one layer after its ReLU.

    Returns:
        `(batch, channels, channels)`, divided by `height * width` so that images of any
        size compare. (The paper does not divide; `style_loss` counts on it.)

    Raises:
        InputError: `features` does not have four axes.

    Source: A Neural Algorithm of Artistic Style, arXiv:1508.06576, eq. 3.
    """
    if len(features.shape) != 4:
        raise InputError(f"a Gram matrix wants (batch, height, width, channels), not {tuple(features.shape)}")
    batch, height, width, channels = features.shape
    flat = ops.reshape(features, (batch, height * width, channels))
    return ops.matmul(ops.transpose(flat, (0, 2, 1)), flat) / (height * width)


def content_loss(targets: Features) -> Objective:
    """How far the activations are from those of the photo, as a share of these.

    `mean over layers of |F - P|² / |P|²`

    Args:
        targets: layer -> `(1, h, w, channels)`, the photo's activations P.

    Departs from arXiv:1508.06576, eq. 1 (`½|F - P|²`), by the division: see the module.
    """
    return Objective({"content": (1.0, _distance(targets, lambda activations: activations))})


def style_loss(targets: Features) -> Objective:
    """How far the Gram matrices are from those of the painting, as a share of these.

    `mean over layers of |G - A|² / |A|²`, G and A as in `gram_matrix`

    Args:
        targets: layer -> `(1, channels, channels)`, the painting's Gram matrices A.

    Departs from arXiv:1508.06576, eq. 4, and from neural-style (`mean((G - A)²)`) by the division. Activations
    of different layers and networks differ by orders of magnitude, their Gram matrices by the square of that;
    divided by the target's own norm, each layer has a say and no weight per layer is needed.
    """
    return Objective({"style": (1.0, _distance(targets, gram_matrix))})


def tv_loss() -> Objective:
    """Total variation: how much each pixel differs from its neighbours to the right and below.

    `½ (mean of (x - x_right)² + mean of (x - x_below)²) / 255²`, over all pairs of neighbours

    The squares are neural-style's (its PyTorch port has absolute values). It sums, which smooths a larger
    picture more, and leaves out the last row and column, where dots then grow.
    """

    def term(picture: Tensor, features: Features) -> Tensor:
        across = ops.mean(ops.square(picture[:, :, 1:] - picture[:, :, :-1]))
        down = ops.mean(ops.square(picture[:, 1:] - picture[:, :-1]))
        return (across + down) / (2 * 255.0**2)

    return Objective({"tv": (1.0, term)})


def _distance(targets: Features, of: Callable[[Tensor], Tensor]) -> Term:
    """The mean over layers of `|of(features) - target|² / |target|²`."""
    targets = {name: ops.stop_gradient(ops.convert_to_tensor(target)) for name, target in targets.items()}
    # A layer that is silent for the target (all zero after its ReLU) is compared as it is.
    norms = {name: float(ops.sum(ops.square(target))) or 1.0 for name, target in targets.items()}

    def term(picture: Tensor, features: Features) -> Tensor:
        distances = [ops.sum(ops.square(of(features[name]) - targets[name])) / norms[name] for name in targets]
        return sum(distances) / len(distances)

    return term
