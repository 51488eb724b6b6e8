import math

import numpy as np
import pytest
from keras import ops

from imgnn.backend import value_and_grad
from imgnn.optimize.loop import minimise
from imgnn.optimize.optimizers import LBFGS, Adam
from imgnn.runs import Silent


class Recorder(Silent):
    """Remembers what it is told; presses Ctrl-C at one step."""

    def __init__(self, stop=None):
        self.steps, self.ended, self.stop = [], False, stop

    def begin(self, task, total, unit=""):
        self.total = total

    def advance(self, done, **facts):
        self.steps.append((done, facts))
        if done == self.stop:
            raise KeyboardInterrupt

    def end(self):
        self.ended = True


def bowl(x):
    loss = ops.sum(x**2)
    return loss, {"bowl": loss}


def run(optimizer, steps, reporter, function=bowl):
    return minimise(ops.ones((4,)), value_and_grad(function), optimizer, steps, reporter)


@pytest.mark.parametrize("optimizer", [LBFGS(first_step=0.1), Adam(0.1)], ids=["lbfgs", "adam"])
def test_three_steps_lower_the_loss(optimizer):
    recorder = Recorder()
    outcome = run(optimizer, 3, recorder)
    losses = [facts["loss"] for _, facts in recorder.steps]
    assert losses[0] > losses[1] > losses[2] == outcome.loss
    assert (outcome.steps, outcome.ended, recorder.total, recorder.ended) == (3, "done", 3, True)


def test_the_values_given_back_are_those_of_the_lowest_loss():
    # Steps too long: down, and up again.
    outcome = run(Adam(0.9), 3, recorder := Recorder())
    losses = [facts["loss"] for _, facts in recorder.steps]
    assert losses[1] < losses[0] and losses[1] < losses[2]
    assert outcome.loss == losses[1] == pytest.approx(float(ops.sum(outcome.values**2)))


def test_the_parts_of_the_loss_are_reported():
    run(Adam(), 1, recorder := Recorder())
    assert recorder.steps == [(1, {"loss": 4.0, "bowl": 4.0})]


def test_an_interrupt_keeps_the_best_so_far():
    outcome = run(Adam(0.1), 10, recorder := Recorder(stop=4))
    assert (outcome.ended, outcome.steps, recorder.ended) == ("interrupted", 4, True)
    assert outcome.loss == recorder.steps[-1][1]["loss"] < 4.0


def test_a_loss_that_is_not_finite_ends_it_and_the_best_is_kept():
    outcome = run(Adam(2.5), 10, Silent(), lambda x: (ops.sum(ops.log(x + 1)), {}))
    assert (outcome.ended, outcome.steps) == ("diverged", 2)
    np.testing.assert_array_equal(ops.convert_to_numpy(outcome.values), np.ones(4))


def test_nothing_finite_at_all_is_told_by_an_infinite_loss():
    outcome = run(Adam(), 10, Silent(), lambda x: (ops.sum(ops.log(x - 2)), {}))
    assert (outcome.ended, outcome.steps, outcome.loss) == ("diverged", 1, math.inf)
