"""The range test on problems whose best rate is known."""

import math

import numpy as np
import pytest

from imgnn.errors import DivergedError
from imgnn.training.lr_find import HIGHEST, LOWEST, STEPS, WORSE, find_rate


class Bowl:
    """`curvature / 2 * |w|^2` by plain gradient descent: it diverges at rates above 2 / curvature."""

    def __init__(self, curvature):
        self.curvature, self.w, self.rates = curvature, np.ones(10), []

    def __call__(self, rate):
        self.rates.append(rate)
        loss = self.curvature / 2 * float(self.w @ self.w)
        if not math.isfinite(loss):
            raise DivergedError("the loss is no longer finite")
        self.w = self.w - rate * self.curvature * self.w
        return loss


@pytest.mark.parametrize("curvature", [1.0, 30.0, 1000.0])
def test_the_rate_that_is_chosen_is_below_the_largest_that_converges(curvature):
    found = find_rate(Bowl(curvature))
    assert 0.02 / curvature < found.chosen < 2 / curvature


def test_the_rate_follows_the_curvature():
    one, other = (find_rate(Bowl(curvature)).chosen for curvature in (10.0, 100.0))
    assert one / other == pytest.approx(10, rel=0.3)


def test_rates_grow_by_one_factor_from_the_lowest_to_the_highest():
    bowl = Bowl(0.01)  # converges at all of them
    rates = np.array(find_rate(bowl).rates)
    assert len(rates) == STEPS
    assert (rates[0], rates[-1]) == (pytest.approx(LOWEST), pytest.approx(HIGHEST))
    np.testing.assert_allclose(rates[1:] / rates[:-1], (HIGHEST / LOWEST) ** (1 / (STEPS - 1)))


def test_it_ends_when_the_loss_runs_away():
    bowl = Bowl(1000.0)
    found = find_rate(bowl)
    assert len(bowl.rates) < STEPS
    assert found.losses[-2] <= WORSE * min(found.losses) < found.losses[-1]


def test_it_ends_without_an_error_when_the_loss_is_no_number_any_more():
    def step(rate):
        if rate > 0.01:
            raise DivergedError("the loss is no longer finite")
        return 3.0 - 100 * rate

    found = find_rate(step)
    assert max(found.rates) <= 0.01
    assert found.chosen is not None


def test_a_loss_that_never_falls_has_no_rate():
    assert find_rate(lambda rate: 3.0).chosen is None
    assert find_rate(lambda rate: 3.0 + rate).chosen is None


def test_steps_without_a_picture_are_passed_over():
    bowl, calls = Bowl(10.0), []

    def step(rate):
        calls.append(rate)
        return math.nan if len(calls) % 7 == 3 else bowl(rate)

    found = find_rate(step)
    assert np.isfinite(found.losses).all()
    assert found.chosen == pytest.approx(find_rate(Bowl(10.0)).chosen, rel=0.5)
