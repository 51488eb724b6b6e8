"""A learning-rate range test: which rate lowers the loss fastest.

Source: Cyclical Learning Rates for Training Neural Networks, arXiv:1506.01186, section 3.3; fastai's `lr_find`.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from imgnn.errors import DivergedError

LOWEST, HIGHEST, STEPS = 1e-7, 10.0, 100
WORSE = 4.0  # times the best loss so far, at which it ends
SMOOTH = 0.9  # how much of the mean so far is kept at each step


@dataclass(frozen=True)
class RateTest:
    """What a range test found.

    Attributes:
        rates: learning rate of each step.
        losses: smoothed loss at each.
        chosen: the rate to train with; None where the loss never fell.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    chosen: float | None


def find_rate(step: Callable[[float], float], *, steps: int = STEPS) -> RateTest:
    """Raise the learning rate from step to step until the loss runs away.

    Args:
        step: trains one step at a rate, and gives the loss before it.
    """
    rates: list[float] = []
    losses: list[float] = []
    mean, best = 0.0, math.inf
    for number, rate in enumerate(exponential(steps)):
        try:
            loss = step(rate)
        except DivergedError:
            break
        if math.isnan(loss):
            continue
        mean = SMOOTH * mean + (1 - SMOOTH) * loss
        smoothed = mean / (1 - SMOOTH ** (len(losses) + 1))
        rates.append(rate)
        losses.append(smoothed)
        best = min(best, smoothed)
        if number > 10 and smoothed > WORSE * best:
            break
    return RateTest(tuple(rates), tuple(losses), steepest(rates, losses))


def exponential(steps: int) -> Iterator[float]:
    """Rates from the lowest to the highest, each the same factor above the one before."""
    return (LOWEST * (HIGHEST / LOWEST) ** (step / (steps - 1)) for step in range(steps))


def steepest(rates: list[float], losses: list[float]) -> float | None:
    """The rate at which the loss falls fastest, over the logarithm of the rate, before it is lowest."""
    if len(losses) < 10:
        return None
    end = int(np.argmin(losses)) + 1
    if end < 5 or losses[end - 1] > 0.98 * losses[0]:
        return None
    slope = np.gradient(np.array(losses[:end]), np.log(rates[:end]))
    return rates[int(np.argmin(slope))]
