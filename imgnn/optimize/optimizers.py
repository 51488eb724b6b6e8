"""Optimisers of one tensor behind one call: `x, loss, parts = optimizer.step(x, evaluate)`.

All their arrays stay on the device. A step costs one evaluation of the loss and its gradient.
"""

import math
from collections import deque
from collections.abc import Mapping
from typing import Protocol

import numpy as np
from keras import ops

from imgnn.backend import Evaluate, Parts, Tensor, compiled

UNBOUNDED = (-math.inf, math.inf)


class Optimizer(Protocol):
    """Moves `x` downhill."""

    def step(self, x: Tensor, evaluate: Evaluate) -> tuple[Tensor, Tensor, Parts]:
        """Evaluate at `x` and move: the next `x`, and the loss and its parts at the one received."""

    def state(self) -> dict[str, Tensor]:
        """All that it remembers, by name; nothing is copied."""

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Remember this instead: the next step is the one that would have followed, to the last bit."""


class Adam:
    """Each number moves by about the learning rate, in the direction its gradient keeps to.

    Args:
        learning_rate: of the first step, in units of `x`: grey levels, of pixels.
        steps: how many there will be. The rate falls to nothing over them, half a cosine: great strides at
            first, which find the strokes, small ones at last, which find the lowest loss. None: it stays.
        bounds: what no number of `x` may leave; a step ends at them.

    Source: Adam, arXiv:1412.6980, algorithm 1, with its constants but for the last: what keeps the division finite is
    there 1e-8, as large as the gradients here. It is a share of the first gradient's size, so that the size of the
    picture and a factor before the whole loss change nothing. The cosine: arXiv:1608.03983, eq. 5.
    """

    EPSILON = 0.03  # of the mean absolute value of the first gradient

    def __init__(
        self, learning_rate: float = 5.0, steps: int | None = None, bounds: tuple[float, float] = UNBOUNDED
    ) -> None:
        self.learning_rate = learning_rate
        self.bounds = bounds
        self.total = steps
        self.steps = 0
        self.epsilon: Tensor = 0.0
        self.mean: Tensor = 0.0
        self.square: Tensor = 0.0

    def step(self, x: Tensor, evaluate: Evaluate) -> tuple[Tensor, Tensor, Parts]:
        loss, parts, gradient = evaluate(x)
        left = 1.0 if self.total is None else 0.5 + 0.5 * math.cos(math.pi * self.steps / self.total)
        if self.steps == 0:
            self.epsilon = self.EPSILON * mean_size(gradient) + 1e-30
        self.steps += 1
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.square = 0.999 * self.square + 0.001 * ops.square(gradient)
        mean = self.mean / (1 - 0.9**self.steps)
        square = self.square / (1 - 0.999**self.steps)
        move = left * self.learning_rate * mean / (ops.sqrt(square) + self.epsilon)
        return ops.clip(x - move, *self.bounds), loss, parts

    def state(self) -> dict[str, Tensor]:
        return {"steps": self.steps, "epsilon": self.epsilon, "mean": self.mean, "square": self.square}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        self.steps = int(state["steps"])
        if self.steps:
            self.epsilon, self.mean, self.square = (tensor(state[name]) for name in ("epsilon", "mean", "square"))


class LBFGS:
    """Steps along the curve of the loss as the last few steps and their gradients tell it; no line search.

    Args:
        learning_rate: length of a step; 1 trusts the curve.
        history: how many steps are remembered, two tensors like `x` each.
        first_step: how far the first step moves, in units of `x`, on the mean: nothing is known yet of the curve.
        longest_step: no step moves further than this on the mean (times a learning rate above 1), however flat the
            curve seems.
        bounds: what no number of `x` may leave; a step ends at them, and is remembered as it was made.

    Source: Nocedal and Wright, Numerical Optimization, algorithms 7.4 and 7.5. The form without a line search is that
    of Torch's `optim.lbfgs`, which neural-style uses; two things differ. Its first step, `min(1, 1 / |g|_1)` times the
    gradient, is below the precision of a float32 grey level for a picture of half a million numbers. And its steps
    have no bound: where the curve is misjudged, the loss may jump by ten orders of magnitude before it comes back.
    """

    def __init__(
        self,
        learning_rate: float = 1.0,
        history: int = 100,
        first_step: float = 1.0,
        longest_step: float = 10.0,
        bounds: tuple[float, float] = UNBOUNDED,
    ) -> None:
        self.learning_rate = learning_rate
        self.bounds = bounds
        self.first_step = first_step
        self.longest_step = longest_step
        self.history = history
        self.moves: deque[Tensor] = deque(maxlen=history)
        self.changes: deque[Tensor] = deque(maxlen=history)  # of the gradient, by the moves
        self.last: tuple[Tensor, Tensor] | None = None  # the last move, and the gradient before it
        self.direction = compiled(_lbfgs_direction)

    def step(self, x: Tensor, evaluate: Evaluate) -> tuple[Tensor, Tensor, Parts]:
        loss, parts, gradient = evaluate(x)
        if self.last is not None:
            move, change = self.last[0], gradient - self.last[1]
            if float(ops.sum(move * change)) > 0:  # the loss curves upwards, as it does near a minimum
                self.moves.append(move)
                self.changes.append(change)
        if self.moves:
            # Zeros say nothing; with them the compiled function meets a few lengths of history only.
            missing = min(-len(self.moves) % 10, self.history - len(self.moves))
            padding = (ops.zeros_like(x),) * missing
            direction = self.direction(gradient, (*padding, *self.moves), (*padding, *self.changes))
            longest = self.longest_step * max(1.0, self.learning_rate) / (mean_size(direction) + 1e-30)
            move = direction * ops.where(longest < self.learning_rate, longest, self.learning_rate)
        else:
            move = -gradient * (self.learning_rate * self.first_step / (mean_size(gradient) + 1e-30))
        there = ops.clip(x + move, *self.bounds)
        self.last = (there - x, gradient)
        return there, loss, parts

    def state(self) -> dict[str, Tensor]:
        kept = [*self.moves, *self.changes, *(self.last or ())]
        return {"pairs": len(self.moves), **{f"{i}": each for i, each in enumerate(kept)}}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        pairs, kept = int(state["pairs"]), [tensor(state[f"{i}"]) for i in range(len(state) - 1)]
        self.moves = deque(kept[:pairs], maxlen=self.history)
        self.changes = deque(kept[pairs : 2 * pairs], maxlen=self.history)
        self.last = (kept[-2], kept[-1]) if len(kept) > 2 * pairs else None


def tensor(values: np.ndarray) -> Tensor:
    """Numbers of a file, on the device."""
    return ops.convert_to_tensor(values)


def mean_size(values: Tensor) -> Tensor:
    """The mean of the absolute values."""
    return ops.mean(ops.abs(values))


def _lbfgs_direction(gradient: Tensor, moves: tuple[Tensor, ...], changes: tuple[Tensor, ...]) -> Tensor:
    """`-H g`, H the inverse Hessian that fits the moves and the changes of the gradient; oldest first."""
    curvatures = [ops.sum(move * change) for move, change in zip(moves, changes, strict=True)]
    inverse = [ops.where(curvature > 0, 1 / (curvature + 1e-30), 0.0) for curvature in curvatures]
    rest = -gradient
    shares = []
    for move, change, factor in reversed(list(zip(moves, changes, inverse, strict=True))):
        share = factor * ops.sum(move * rest)
        rest = rest - share * change
        shares.append(share)
    direction = rest * (curvatures[-1] / (ops.sum(ops.square(changes[-1])) + 1e-30))
    for move, change, factor, share in zip(moves, changes, inverse, reversed(shares), strict=True):
        direction = direction + (share - factor * ops.sum(change * direction)) * move
    return direction
