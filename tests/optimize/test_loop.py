import math

import numpy as np
import pytest
from keras import ops

from imgnn.backend import value_and_grad
from imgnn.optimize.loop import Run, minimise
from imgnn.optimize.optimizers import LBFGS, Adam
from imgnn.runs import Silent


class Recorder(Silent):
    """Remembers what it is told; presses Ctrl-C at one step."""

    def __init__(self, stop=None):
        self.steps, self.stop = [], stop

    def advance(self, done, **facts):
        self.steps.append((done, facts))
        if done == self.stop:
            raise KeyboardInterrupt


def bowl(x):
    loss = ops.sum(x**2)
    return loss, {"bowl": loss}


def run(optimizer, steps, reporter, function=bowl, **options):
    return minimise(Run.start(ops.ones((4,))), value_and_grad(function), optimizer, steps, reporter, **options)


@pytest.mark.parametrize("optimizer", [LBFGS(first_step=0.1), Adam(0.1)], ids=["lbfgs", "adam"])
def test_three_steps_lower_the_loss(optimizer):
    recorder = Recorder()
    outcome = run(optimizer, 3, recorder)
    losses = [facts["loss"] for _, facts in recorder.steps]
    assert losses[0] > losses[1] > losses[2] == outcome.loss
    assert (outcome.steps, outcome.ended) == (3, "done")


def test_the_values_given_back_are_those_of_the_lowest_loss():
    # Steps too long: down, and up again.
    outcome = run(Adam(0.9), 3, recorder := Recorder())
    losses = [facts["loss"] for _, facts in recorder.steps]
    assert losses[1] < losses[0] and losses[1] < losses[2]
    assert outcome.loss == losses[1] == pytest.approx(float(ops.sum(outcome.best**2)))


def test_the_parts_of_the_loss_are_reported():
    run(Adam(), 1, recorder := Recorder())
    assert recorder.steps == [(1, {"loss": 4.0, "bowl": 4.0})]


def test_an_interrupt_keeps_the_best_so_far():
    outcome = run(Adam(0.1), 10, recorder := Recorder(stop=4))
    assert (outcome.ended, outcome.steps) == ("interrupted", 4)
    assert outcome.loss == recorder.steps[-1][1]["loss"] < 4.0


def test_a_loss_that_is_not_finite_ends_it_and_the_best_is_kept():
    outcome = run(Adam(2.5), 10, Silent(), lambda x: (ops.sum(ops.log(x + 1)), {}))
    assert (outcome.ended, outcome.steps) == ("diverged", 2)
    np.testing.assert_array_equal(ops.convert_to_numpy(outcome.best), np.ones(4))


def test_nothing_finite_at_all_is_told_by_an_infinite_loss():
    outcome = run(Adam(), 10, Silent(), lambda x: (ops.sum(ops.log(x - 2)), {}))
    assert (outcome.ended, outcome.steps, outcome.loss) == ("diverged", 1, math.inf)


def test_a_loss_that_rises_and_stays_there_has_run_away():
    outcome = run(Adam(1e9), 100, Silent())
    assert (outcome.ended, outcome.steps, outcome.loss) == ("diverged", 20, 4.0)


def test_it_ends_where_the_loss_falls_no_more():
    flat = run(Adam(1e-9), 1000, Silent(), tolerance=1e-3)
    assert (flat.ended, flat.steps) == ("plateau", 30)
    assert run(Adam(1e-9), 120, Silent()).ended == "done"


def test_it_ends_when_the_time_is_up():
    outcome = run(Adam(0.1), 1000, Silent(), deadline=0.0)
    assert (outcome.ended, outcome.steps) == ("time", 1)


def test_the_mean_of_the_iterates_weighs_the_last_most():
    seen = []
    outcome = run(Adam(0.1), 5, Silent(), average=0.6, watch=lambda run: seen.append(run.values))
    values = [np.ones(4), *(ops.convert_to_numpy(each) for each in seen[:-1])]
    mean = values[0]
    for count, each in enumerate(values[1:], start=2):
        keep = min(0.6, 1 - 1 / count)
        mean = keep * mean + (1 - keep) * each
    np.testing.assert_allclose(ops.convert_to_numpy(outcome.result), mean, rtol=1e-6)


def test_a_run_that_fell_no_more_is_not_gone_on_with():
    flat = run(Adam(1e-9), 1000, Silent(), tolerance=1e-3)
    kept = {name: np.asarray(ops.convert_to_numpy(each)) for name, each in flat.state().items()}
    again = minimise(Run.restore(kept), value_and_grad(bowl), Adam(1e-9), 1000, Silent(), tolerance=1e-3)
    assert (again.ended, again.steps) == ("plateau", 30)


@pytest.mark.parametrize("make", [lambda: LBFGS(first_step=0.1, history=3), lambda: Adam(0.1, steps=20)])
@pytest.mark.parametrize("stop", [1, 2, 7])
def test_a_run_stopped_and_restored_ends_where_an_unbroken_one_ends(make, stop):
    def valley(x):
        loss = ops.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (0.3 - x[:-1]) ** 2)
        return loss, {}

    unbroken = run(make(), 20, Silent(), valley, average=0.5)
    optimizer = make()
    half = run(optimizer, stop, Silent(), valley, average=0.5)
    to_numpy = lambda state: {k: np.asarray(ops.convert_to_numpy(v)) for k, v in state.items()}  # noqa: E731
    kept, again = (to_numpy(half.state()), to_numpy(optimizer.state())), make()
    again.restore(kept[1])
    ended = minimise(Run.restore(kept[0]), value_and_grad(valley), again, 20, Silent(), average=0.5)
    for name, value in unbroken.state().items():
        np.testing.assert_array_equal(np.asarray(ended.state()[name]), np.asarray(value), err_msg=name)
