"""What a dream raises, and the step that follows its gradient.

Objectives are lowered (`objectives.py`), so what is raised has a minus. Each layer is a term of its own, called
`LAYER` or `LAYER:CHANNEL`, so that one sees what it comes to.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from keras import ops

from imgnn.backend import Evaluate, Parts, Tensor
from imgnn.optimize.objectives import Features, Objective, Scene, Sums, Term, dream_loss, tv_loss
from imgnn.optimize.optimizers import UNBOUNDED, mean_size
from imgnn.options import LayerChoice


def norm_objective(choices: Sequence[LayerChoice]) -> Objective:
    """How much the layers fire: `sum over layers of weight * |a|` is raised, the norm of all their activations.

    Source: google/deepdream, which raises `½ |a|²` of one layer: the same direction. With several, each layer's
    gradient `a` is divided by its norm, as crowsonkb/deep_dream does.
    """
    return of_layers(choices, lambda choice: dream_loss([replace(choice, weight=1.0)]).terms["dream"][1])


def mean_objective(choices: Sequence[LayerChoice]) -> Objective:
    """How much the layers fire on the mean: `sum over layers of weight * mean(a)` is raised.

    Source: TensorFlow's DeepDream guide (tensorflow.org/tutorials/generative/deepdream), and its older tutorial for
    single channels.
    """

    def term(choice: LayerChoice) -> Term:
        def sums(features: Features, scene: Scene) -> Sums:
            values = chosen(features[choice.name], choice)
            return {
                "sum": ops.sum(counted(values, choice, scene)),
                "numbers": ops.sum(counted(ops.ones_like(values), choice, scene)),
            }

        return Term(sums, lambda found: -found["sum"] / found["numbers"])

    return of_layers(choices, term)


def guide_objective(choices: Sequence[LayerChoice], guide: Features) -> Objective:
    """How much the layers see of what they see in another picture, wherever it is there.

    `sum over layers of weight * (sum over positions of x · y) / |Y|` is raised: x the activations at a position, y
    those at the position of the guide for which `x · y` is largest, Y all of those y. The gradient at a layer is Y.

    Args:
        guide: layer -> `(1, h, w, channels)`, the guide's activations; its size need not be the picture's.

    Source: google/deepdream, `objective_guide`. Its gradient is not divided by the norm: for one layer it is the same.
    """

    def term(choice: LayerChoice) -> Term:
        there = ops.stop_gradient(guide[choice.name])
        vectors = ops.reshape(there, (-1, there.shape[-1]))  # (positions, channels)

        def sums(features: Features, scene: Scene) -> Sums:
            values = features[choice.name]
            best = best_match(ops.stop_gradient(values), vectors)
            return {
                "products": ops.sum(counted(values * best, choice, scene)),
                "squares": ops.sum(counted(ops.square(best), choice, scene)),
            }

        return Term(sums, lambda found: -found["products"] / ops.sqrt(found["squares"] + 1e-12))

    return of_layers(choices, term)


def best_match(values: Tensor, vectors: Tensor) -> Tensor:
    """At each position, which of the vectors has the largest dot product with the activations there.

    Args:
        values: `(1, h, w, channels)`.
        vectors: `(n, channels)`.

    Returns:
        `(1, h, w, channels)`, of the vectors.
    """
    columns = ops.transpose(vectors)
    # Row by row: all products at once, of two large pictures, would be gigabytes.
    best = ops.map(lambda row: ops.argmax(ops.matmul(row, columns), axis=-1), values[0])
    return ops.take(vectors, best, axis=0)[None]


def enhance_objective(choices: Sequence[LayerChoice], gain: float, tv_weight: float) -> Objective:
    """How far the layers are from what they see in the picture that is dreamed on, made stronger.

    `sum over layers of weight * |a - t|² / |b|² + tv_weight * TV(picture) / TV(base)` is lowered; b are the activations
    for the base, `t = gain * b`; for a single channel the others are to stay as they are. Of the scene it wants
    `photo:LAYER`, b, and `factor:tv`, `1 / TV(base)`.

    Source: cs.stackexchange.com/q/56406, "Google DeepDream elaborated"; the form, a target for the activations and a
    regulariser: Understanding Deep Image Representations by Inverting Them, arXiv:1412.0035, eq. 1.
    """

    def term(choice: LayerChoice) -> Term:
        def sums(features: Features, scene: Scene) -> Sums:
            base = ops.stop_gradient(scene[f"photo:{choice.name}"])
            gains = np.full(base.shape[-1], gain, "float32")
            if choice.channel is not None:
                gains[np.arange(base.shape[-1]) != choice.channel] = 1.0
            distance = features[choice.name] - base * ops.convert_to_tensor(gains)
            return {
                "distance": ops.sum(counted(ops.square(distance), choice, scene)),
                "base": ops.sum(counted(ops.square(base), choice, scene)),
            }

        return Term(sums, lambda found: found["distance"] / (found["base"] + 1e-12))

    return of_layers(choices, term) + tv_weight * tv_loss()


def of_layers(choices: Sequence[LayerChoice], term: Callable[[LayerChoice], Term]) -> Objective:
    """A term for each layer, by its weight."""
    return Objective({choice.label: (choice.weight, term(choice)) for choice in choices})


def chosen(values: Tensor, choice: LayerChoice) -> Tensor:
    """The channel of a choice, or all of them."""
    return values if choice.channel is None else values[..., choice.channel : choice.channel + 1]


def counted(values: Tensor, choice: LayerChoice, scene: Scene) -> Tensor:
    """Values of a layer, 0 where another tile has them."""
    counts = scene.get(f"counts:{choice.name}")
    return values if counts is None else values * counts


class Ascent:
    """Each step moves the picture by the same amount on the mean, along the gradient.

    `x <- x - step_size * g / mean |g|`, g the gradient of a loss: up, for what is raised.

    Args:
        step_size: grey levels, the mean over all numbers.
        bounds: what no number of `x` may leave; a step ends at them.

    Source: google/deepdream, `make_step`.
    """

    def __init__(self, step_size: float = 1.5, bounds: tuple[float, float] = UNBOUNDED) -> None:
        self.step_size, self.bounds = step_size, bounds

    def step(self, x: Tensor, evaluate: Evaluate) -> tuple[Tensor, Tensor, Parts]:
        """Evaluate at `x` and move."""
        loss, parts, gradient = evaluate(x)
        # A gradient of nothing but zeros, of a channel that is silent everywhere, moves nothing.
        move = gradient * (self.step_size / ops.maximum(mean_size(gradient), 1e-30))
        return ops.clip(x - move, *self.bounds), loss, parts

    def state(self) -> dict[str, Tensor]:
        """It remembers nothing."""
        return {}

    def restore(self, state: Mapping[str, np.ndarray]) -> None: ...
