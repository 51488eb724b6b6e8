"""The learning rate over a training, as a share of the largest."""

import math
from dataclasses import dataclass
from typing import Literal

Kind = Literal["constant", "step", "cosine", "one-cycle"]

# One cycle as fastai has it: a quarter of the way up from 1/25 (div), then down to 1/100,000 of the largest.
# Source: Super-Convergence, arXiv:1708.07120; fastai, callback/schedule.py.
RISE, START, END = 0.25, 1 / 25, 1e-5


@dataclass(frozen=True)
class Schedule:
    """Which share of the learning rate is taken at a step.

    Attributes:
        kind: "constant"; "step": times `gamma` every `every` steps, as Caffe's policy of this name; "cosine" down to
            0; "one-cycle" up and down again.
        steps: of the whole training.
        every: steps between two steps of "step".
        gamma: their factor.
        warmup: steps at the beginning over which the rate rises in a line from nothing; not of "one-cycle".
    """

    kind: Kind
    steps: int
    every: int = 0
    gamma: float = 0.1
    warmup: int = 0

    @property
    def risen(self) -> int:
        """The step at which the rate has come up."""
        return math.ceil(RISE * self.steps) if self.kind == "one-cycle" else self.warmup

    def __call__(self, step: int) -> float:
        """The share at a step, counted from 0: 0..1."""
        if self.kind == "one-cycle":
            return one_cycle(step / max(1, self.steps))
        if step < self.warmup:
            return (step + 1) / self.warmup
        if self.kind == "step":
            return self.gamma ** (step // max(1, self.every))
        if self.kind == "cosine":
            return cosine(1.0, 0.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        return 1.0


def one_cycle(done: float) -> float:
    """The share of the largest rate when a share `done` of the steps is done."""
    if done < RISE:
        return cosine(START, 1.0, done / RISE)
    return cosine(1.0, END, (done - RISE) / (1 - RISE))


def cosine(start: float, end: float, done: float) -> float:
    """Half a wave from `start` to `end`."""
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, done))) / 2
