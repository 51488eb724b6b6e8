"""How strongly the layers of a network answer to a picture, so that the same weight means the same with each.

Activations of different layers and networks differ by orders of magnitude, their Gram losses by the fourth power of
that. neural-style's weights were found with VGG-19; here each layer of another network gets a factor that brings its
losses, for one and the same standard picture, to where VGG-19's are.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache

import numpy as np
from keras import ops

from imgnn.backend import Tensor
from imgnn.optimize.objectives import Features, gram_matrix

SIDE = 256  # pixels, of the standard picture

# What VGG-19's losses are of the size of, unweighted: mean(A²) summed over its five style layers, and mean(P²) of its
# content layer. The first is that of neural-style's own logs; the second is chosen by eye (docs/style.md).
STYLE = 1.6e5
CONTENT = 8e4


def layer_weights(
    see: Callable[[Tensor], Features], content: Sequence[str], style: Sequence[str]
) -> tuple[dict[str, float], dict[str, float]]:
    """The factors of content and of style layers: layer -> weight.

    Each layer has the same share of the loss: `weight * mean(P²) = CONTENT / number of content layers` and
    `weight * mean(A²) = STYLE / number of style layers`, P and A the activations and Gram matrix for `dead_leaves`.

    Args:
        see: pixels `(1, SIDE, SIDE, 3)` -> features of all these layers.
    """
    features = see(ops.convert_to_tensor(dead_leaves()[None].astype("float32")))
    strengths: Mapping[str, float] = {name: float(ops.mean(ops.square(features[name]))) for name in content}
    grams = {name: float(ops.mean(ops.square(gram_matrix(features[name])))) for name in style}
    # A layer that is silent for the standard picture is compared as it is.
    return (
        {name: CONTENT / len(content) / (strengths[name] or 1.0) for name in content},
        {name: STYLE / len(style) / (grams[name] or 1.0) for name in style},
    )


@cache
def dead_leaves(side: int = SIDE, seed: int = 0) -> np.ndarray:
    """A picture with the statistics of a photo: discs of all sizes and colours, the later ones above the earlier.

    Radii follow `r^-3` between 4 pixels and half the side, which gives the picture a power spectrum of `1 / f²`, edges
    and plain areas, as photos have.

    Returns:
        uint8 `(side, side, 3)`.

    Source: Occlusion Models for Natural Images: A Statistical Study of a Scale-Invariant Dead Leaves Model, Lee,
    Mumford, Huang, International Journal of Computer Vision 41, 2001.
    """
    random = np.random.default_rng(seed)
    fine = 2 * side  # drawn at twice the size, so that edges come out smooth
    image = np.zeros((fine, fine, 3), "float32")
    smallest, largest = 8.0, fine / 2
    rows, columns = np.mgrid[:fine, :fine]
    for _ in range(3000):
        # The inverse of the cumulated distribution of r^-3 between the two ends.
        radius = (smallest**-2 + random.random() * (largest**-2 - smallest**-2)) ** -0.5
        y, x = random.uniform(-radius, fine + radius, 2)
        # Things of the world differ in brightness far more than in colour.
        colour = random.normal(115, 60) + random.normal(0, 20, 3)
        top, bottom = max(int(y - radius), 0), max(int(y + radius) + 2, 0)
        left, right = max(int(x - radius), 0), max(int(x + radius) + 2, 0)
        near = (rows[top:bottom, left:right] - y) ** 2 + (columns[top:bottom, left:right] - x) ** 2 <= radius**2
        image[top:bottom, left:right][near] = colour
    image = image.reshape(side, 2, side, 2, 3).mean((1, 3))
    return np.clip(np.rint(image), 0, 255).astype("uint8")
