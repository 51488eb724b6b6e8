"""Evaluate, move, report: until the steps are done, the user says stop, or the numbers run away."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from keras import ops

from imgnn.backend import Evaluate, Tensor
from imgnn.optimize.optimizers import Optimizer, tensor
from imgnn.runs import Reporter

Ending = Literal["done", "interrupted", "diverged", "plateau", "time"]

PATIENCE = 30  # evaluations over which the loss must have fallen by the tolerance
RUNAWAY = 20  # evaluations of which none came below the first, and the last is half as much again: steps too long


@dataclass
class Run:
    """Where an optimisation is, or ended.

    Attributes:
        values: where the next evaluation is made.
        best: the values with the lowest loss of all that were evaluated.
        loss: their loss.
        found: the evaluation that found them, counted from 1; 0 if there was none.
        steps: evaluations made.
        first: the first loss.
        mark: the lowest loss when it was last looked at whether it still falls.
        mean: the mean of the iterates, exponentially weighted; None if it is not asked for.
        ended: "done"; "interrupted" by Ctrl-C; "diverged": the loss is not finite, or rose and stayed there;
            "plateau": it fell no more; "time": there was no more of it.
    """

    values: Tensor
    best: Tensor
    loss: float = math.inf
    found: int = 0
    steps: int = 0
    first: float = math.inf
    mark: float = math.inf
    mean: Tensor | None = None
    ended: Ending = "done"

    @classmethod
    def start(cls, values: Tensor) -> "Run":
        """A run that has not begun."""
        return cls(values, values)

    @property
    def result(self) -> Tensor:
        """What it came to: the mean of the iterates, or the best of them; of one that ran away, the best."""
        return self.best if self.mean is None or self.ended == "diverged" else self.mean

    def state(self) -> dict[str, Tensor]:
        """All of it, by name; nothing is copied."""
        kept = {"values": self.values, "best": self.best}
        if self.mean is not None:
            kept["mean"] = self.mean
        flat = float(self.ended == "plateau")
        return kept | {"numbers": np.array([self.loss, self.found, self.steps, self.first, self.mark, flat])}

    @classmethod
    def restore(cls, state: Mapping[str, np.ndarray]) -> "Run":
        """The run that was kept."""
        loss, found, steps, first, mark, flat = (float(number) for number in state["numbers"])
        mean = tensor(state["mean"]) if "mean" in state else None
        ended: Ending = "plateau" if flat else "done"
        return cls(
            tensor(state["values"]), tensor(state["best"]), loss, int(found), int(steps), first, mark, mean, ended
        )


def minimise(
    run: Run,
    evaluate: Evaluate,
    optimizer: Optimizer,
    steps: int,
    reporter: Reporter,
    *,
    average: float = 0.0,
    tolerance: float = 0.0,
    deadline: float = math.inf,
    watch: Callable[[Run], None] = lambda run: None,
) -> Run:
    """Lower a loss step by step.

    Without a line search the loss may rise now and then; the best values are kept, not the last.

    Args:
        run: where to begin, and what is changed.
        evaluate: `values -> (loss, parts, gradient)`.
        steps: evaluations of the loss, those of `run` counted; the last one is not followed by a move.
        reporter: told the loss and its parts at each step.
        average: how much of the mean of the iterates is kept in a step, 0..1 (CKP's `--avg-decay`); 0: no mean.
        tolerance: it ends when the loss has fallen by less than this share of it in 30 evaluations.
        deadline: it ends when `time.monotonic()` has come to this.
        watch: called after each step.
    """
    if run.ended == "plateau":  # what a resumed run was remembered with
        return run
    run.ended = "done"
    try:
        while run.steps < steps:
            if time.monotonic() >= deadline and run.steps:
                run.ended = "time"
                break
            here = run.values
            values, loss, parts = optimizer.step(here, evaluate)
            loss = float(loss)
            if not math.isfinite(loss):
                run.steps, run.ended = run.steps + 1, "diverged"
                break
            run.values, run.steps = values, run.steps + 1
            if run.steps == 1:
                run.first = run.mark = loss
            if loss < run.loss:
                run.best, run.loss, run.found = here, loss, run.steps
            if average:
                run.mean = average_of(run, here, average)
            if run.steps == min(RUNAWAY, max(steps, 10)) and run.found == 1 and loss > 1.5 * abs(run.first):
                run.ended = "diverged"
                break
            if run.steps % PATIENCE == 0:
                if run.mark - run.loss < tolerance * abs(run.loss):
                    run.ended = "plateau"
                run.mark = run.loss
            reporter.advance(run.steps, loss=loss, **{name: float(part) for name, part in parts.items()})
            watch(run)
            if run.ended == "plateau":
                break
    except KeyboardInterrupt:
        run.ended = "interrupted"
    return run


def average_of(run: Run, here: Tensor, keep: float) -> Tensor:
    """The mean of the iterates with `here` in it; the first few weigh as many, so that it does not lag at the start."""
    keep = min(keep, 1.0 - 1.0 / run.steps)
    return here if run.mean is None else ops.add(keep * run.mean, (1.0 - keep) * here)
