import json
from pathlib import Path

import keras
import numpy as np
import pytest
import scipy.optimize
from keras import ops

from imgnn.backend import value_and_grad
from imgnn.optimize.optimizers import LBFGS, Adam


def rosenbrock(x):
    loss = ops.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
    return loss, {}


def losses_of(optimizer, function, start, steps, dtype="float64"):
    evaluate, x, losses = value_and_grad(function), ops.convert_to_tensor(np.array(start), dtype), []
    for _ in range(steps):
        x, loss, _ = optimizer.step(x, evaluate)
        losses.append(float(loss))
    return ops.convert_to_numpy(x), losses


def test_lbfgs_steps_as_torch_does():
    golden = json.loads((Path(__file__).parents[1] / "golden" / "lbfgs.json").read_text())
    # Torch's first step is g / |g|_1, for a large gradient: 1 / n on the mean. No step is cut.
    optimizer = LBFGS(history=golden["history"], first_step=1 / len(golden["start"]), longest_step=1e9)
    _, losses = losses_of(optimizer, rosenbrock, golden["start"], len(golden["losses"]))
    # Keras hands numbers to Torch and JAX in float32; later the curve bends so sharply that their last digits matter.
    count, digits = (len(losses), 1e-6) if keras.backend.backend() == "tensorflow" else (20, 1e-5)
    np.testing.assert_allclose(losses[:count], golden["losses"][:count], rtol=digits)


def test_lbfgs_finds_the_minimum_that_scipy_finds(random):
    # A quadratic with a condition number of 1000, whose minimum is known.
    scales, minimum = np.geomspace(1, 1000, 30), random.standard_normal(30)

    def quadratic(x):
        return ops.sum(ops.convert_to_tensor(scales, x.dtype) * (x - ops.convert_to_tensor(minimum, x.dtype)) ** 2), {}

    found, _ = losses_of(LBFGS(first_step=0.01), quadratic, np.zeros(30), 300)
    peer = scipy.optimize.minimize(
        lambda x: ((scales * (x - minimum) ** 2).sum(), 2 * scales * (x - minimum)),
        np.zeros(30),
        jac=True,
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-9},
    ).x
    np.testing.assert_allclose(found, peer, atol=1e-5)


def test_lbfgs_never_steps_further_than_it_may():
    # Nearly flat, then steep: the curve seen so far promises a minimum 1000 away.
    start, moves = np.array([10.0, 10.0]), []
    evaluate = value_and_grad(lambda x: (ops.sum(ops.log(ops.cosh(x - 3)) + 1e-6 * x**2), {}))
    optimizer, x = LBFGS(first_step=1.0, longest_step=2.0), ops.convert_to_tensor(start, "float64")
    for _ in range(12):
        before = ops.convert_to_numpy(x)
        x, _, _ = optimizer.step(x, evaluate)
        moves.append(np.abs(ops.convert_to_numpy(x) - before).mean())
    assert max(moves) == pytest.approx(2.0)


def test_lbfgs_keeps_going_where_the_loss_curves_downwards():
    # cos near its top: nothing can be learnt of a minimum until the slope has changed its sense.
    found, _ = losses_of(LBFGS(first_step=0.5), lambda x: (ops.sum(ops.cos(x)), {}), np.full(3, 0.1), 30)
    np.testing.assert_allclose(found, np.full(3, np.pi), atol=1e-4)


def test_adam_steps_as_the_paper_writes_them(random):
    start = random.standard_normal(6)
    found, _ = losses_of(Adam(0.1), rosenbrock, start, 5)
    x, m, v = start.copy(), 0.0, 0.0
    epsilon = 0.03 * np.abs(scipy.optimize.rosen_der(x)).mean()
    for t in range(1, 6):
        g = scipy.optimize.rosen_der(x)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        x = x - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + epsilon)
    np.testing.assert_allclose(found, x, rtol=1e-7)


@pytest.mark.parametrize("optimizer", [LBFGS(first_step=0.1), Adam(0.1)], ids=["lbfgs", "adam"])
def test_a_step_at_the_minimum_stays_there(optimizer):
    found, losses = losses_of(optimizer, lambda x: (ops.sum(x**2), {}), np.zeros(4), 3)
    np.testing.assert_array_equal(found, 0)
    assert losses == [0.0, 0.0, 0.0]


def test_adams_strides_fade_over_the_steps_it_is_told_of():
    adam, x = Adam(8.0, steps=4), ops.zeros((1,))
    strides = []
    for _ in range(4):
        moved, _, _ = adam.step(x, lambda x: (ops.sum(x), {}, ops.ones((1,))))
        strides.append(float(x[0] - moved[0]))
        x = moved
    # A constant gradient: each stride is the rate, 8 times half a cosine, and 1 + epsilon.
    np.testing.assert_allclose(strides, (4 + 4 * np.cos(np.pi * np.arange(4) / 4)) / 1.03, rtol=1e-5)


@pytest.mark.parametrize("optimizer", [LBFGS, Adam], ids=["lbfgs", "adam"])
def test_no_number_leaves_its_bounds_and_the_others_find_their_minimum(optimizer):
    minimum = np.array([-3.0, 0.5, 9.0])
    settings = {"first_step": 0.1} if optimizer is LBFGS else {"learning_rate": 0.3, "steps": 200}
    found, _ = losses_of(
        optimizer(**settings, bounds=(0.0, 1.0)),
        lambda x: (ops.sum((x - ops.convert_to_tensor(minimum)) ** 2), {}),
        np.full(3, 0.7),
        200,
    )
    np.testing.assert_allclose(found, [0.0, 0.5, 1.0], atol=1e-3)


def test_a_factor_before_the_loss_changes_nothing_for_adam(random):
    start = random.standard_normal(6)
    ways = [losses_of(Adam(0.1), lambda x, by=by: (by * rosenbrock(x)[0], {}), start, 20)[0] for by in (1.0, 1e-9)]
    np.testing.assert_allclose(*ways, rtol=1e-6)
