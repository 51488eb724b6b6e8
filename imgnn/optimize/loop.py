"""Evaluate, move, report: until the steps are done, the user says stop, or the numbers run away."""

import math
from dataclasses import dataclass
from typing import Literal

from imgnn.backend import Evaluate, Tensor
from imgnn.optimize.optimizers import Optimizer
from imgnn.runs import Reporter


@dataclass(frozen=True)
class Outcome:
    """Where an optimisation ended.

    Attributes:
        values: the values with the lowest loss of all that were evaluated.
        loss: their loss.
        step: the evaluation that found them, counted from 1; 0 if there was none.
        steps: how many evaluations were made.
        ended: "done"; "interrupted" by Ctrl-C; "diverged": the last loss was not finite.
    """

    values: Tensor
    loss: float
    step: int
    steps: int
    ended: Literal["done", "interrupted", "diverged"] = "done"


def minimise(start: Tensor, evaluate: Evaluate, optimizer: Optimizer, steps: int, reporter: Reporter) -> Outcome:
    """Lower a loss step by step.

    Without a line search the loss may rise now and then; the best values are kept, not the last.

    Args:
        start: the values to begin with.
        evaluate: `backend.value_and_grad` of the loss.
        steps: evaluations of the loss; the last one is not followed by a move.
        reporter: told the loss and its parts at each step.
    """
    values, best, lowest, found, done = start, start, math.inf, 0, 0
    ended: Literal["done", "interrupted", "diverged"] = "done"
    reporter.begin("Optimising", steps, "steps")
    try:
        while done < steps:
            here = values
            values, loss, parts = optimizer.step(here, evaluate)
            loss = float(loss)
            done += 1
            if not math.isfinite(loss):
                ended = "diverged"
                break
            if loss < lowest:
                best, lowest, found = here, loss, done
            reporter.advance(done, loss=loss, **{name: float(part) for name, part in parts.items()})
    except KeyboardInterrupt:
        ended = "interrupted"
    reporter.end()
    return Outcome(best, lowest, found, done, ended)
