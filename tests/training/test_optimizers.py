"""Each variable at its pace: Caffe's update Keras's and PyTorch's optimisers where these say the same."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from imgnn.training.optimizers import Pace, build_optimizer, match_rate

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "training.json").read_text(encoding="utf-8"))
PROBLEM = {name: np.array(value) for name, value in GOLDEN["problem"].items()}


def variable(name, values):
    made = keras.Variable(np.array(values, "float32"), name=name)
    made._path = f"layer/{name}"
    return made


def descend(optimizer, variables, gradient_of, rates):
    """The values of the variables after each step; `gradient_of` takes and gives arrays."""
    optimizer.build(variables)
    values = []
    for rate in rates:
        optimizer.learning_rate = rate
        gradients = [gradient_of(ops.convert_to_numpy(each.value)).astype("float32") for each in variables]
        optimizer.apply([ops.convert_to_tensor(each) for each in gradients], variables)
        values.append([ops.convert_to_numpy(each.value).copy() for each in variables])
    return np.array(values)


def bowl(w):
    """The slope of what tests/golden/make_training.py lowers."""
    return PROBLEM["scales"] * (w - PROBLEM["goal"])


def test_a_step_is_caffes_by_its_formula_with_lr_mult_and_decay_mult():
    # V = momentum V - rate lr_mult (g + decay decay_mult W); W += V. caffe.berkeleyvision.org/tutorial/solver.html
    paces = {"layer/kernel": Pace(10.0, 1.0), "layer/bias": Pace(20.0, 0.0)}
    rates, decay = [0.01, 0.01, 0.001, 0.001, 0.02], 0.05
    variables = [variable("kernel", PROBLEM["start"]), variable("bias", PROBLEM["start"])]
    optimizer = build_optimizer("sgd", paces, weight_decay=decay, coupled=True)
    found = descend(optimizer, variables, bowl, rates)
    for number, (lr_mult, decay_mult) in enumerate([(10, 1), (20, 0)]):
        w, v = PROBLEM["start"].copy(), np.zeros(4)
        for step, rate in enumerate(rates):
            v = 0.9 * v - rate * lr_mult * (bowl(w) + decay * decay_mult * w)
            w = w + v
            np.testing.assert_allclose(found[step, number], w, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("golden", "kind", "options"),
    [
        ("sgd", "sgd", {"coupled": True}),
        ("adam", "adam", {"coupled": True}),
        ("adamw", "adam", {"coupled": False}),
    ],
)
def test_at_a_constant_rate_the_weights_are_torchs(golden, kind, options):
    optimizer = build_optimizer(kind, {}, weight_decay=float(PROBLEM["decay"]), **options)
    optimizer.epsilon = 1e-12 if kind == "adam" else None  # Keras adds it elsewhere than Torch
    found = descend(optimizer, [variable("kernel", PROBLEM["start"])], bowl, [float(PROBLEM["rate"])] * 40)
    np.testing.assert_allclose(found[:, 0], GOLDEN[golden], atol=2e-5)


def test_decay_that_is_not_coupled_shrinks_weights_without_a_slope():
    paces = {"layer/kernel": Pace(2.0, 1.0), "layer/bias": Pace(1.0, 0.0)}
    variables = [variable("kernel", [1.0, -2.0]), variable("bias", [1.0, -2.0])]
    optimizer = build_optimizer("sgd", paces, weight_decay=0.1, coupled=False)
    found = descend(optimizer, variables, np.zeros_like, [0.5, 0.5, 0.25])
    shrunk = (1 - 2 * 0.5 * 0.1) ** 2 * (1 - 2 * 0.25 * 0.1)
    np.testing.assert_allclose(found[-1, 0], [shrunk, -2 * shrunk], rtol=1e-6)
    np.testing.assert_array_equal(found[-1, 1], [1, -2])


@pytest.mark.skipif(not hasattr(keras.optimizers, "MultiOptimizer"), reason="Keras 3.15 brought it")
@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_paces_are_separate_optimisers_of_keras(kind):
    data = np.random.default_rng(2).normal(size=(16, 5)).astype("float32")
    targets = np.random.default_rng(3).normal(size=(16, 2)).astype("float32")

    def model():
        data = keras.Input((5,))
        x = keras.layers.Dense(4, activation="tanh", name="low", kernel_initializer=initial(1))(data)
        return keras.Model(data, keras.layers.Dense(2, name="high", kernel_initializer=initial(2))(x))

    def initial(seed):
        return keras.initializers.RandomNormal(seed=seed)

    def keras_optimizer(rate):
        if kind == "sgd":
            return keras.optimizers.SGD(rate, momentum=0.9)
        return keras.optimizers.Adam(rate, beta_1=0.9, beta_2=0.99)

    ours, theirs = model(), model()
    before = ours.get_weights()
    mine = build_optimizer(kind, {"low/kernel": Pace(0.1), "low/bias": Pace(0.1)})
    slow = keras.optimizers.OptimizerMap(keras_optimizer(0.01), {"low/.*": keras_optimizer(0.001)})
    multi = keras.optimizers.MultiOptimizer(slow)
    ours.compile(mine, "mse")
    theirs.compile(multi, "mse")
    mine.build(ours.trainable_variables)
    for _ in range(10):
        mine.learning_rate = 0.01
        ours.train_on_batch(data, targets)
        theirs.train_on_batch(data, targets)
    for own, other, first in zip(ours.get_weights(), theirs.get_weights(), before, strict=True):
        assert not np.array_equal(own, first)
        np.testing.assert_allclose(own, other, rtol=1e-5, atol=1e-7)


def test_a_variable_that_nobody_names_is_trained_plainly():
    found = descend(build_optimizer("sgd", {}), [variable("kernel", [1.0])], np.ones_like, [0.25])
    np.testing.assert_array_equal(found[0], [[0.75]])


def test_a_pace_of_nothing_leaves_a_variable_as_it_is():
    paces = {"layer/kernel": Pace(0.0)}
    for kind in ("sgd", "adam"):
        optimizer = build_optimizer(kind, paces, weight_decay=0.1, coupled=True)
        found = descend(optimizer, [variable("kernel", [1.0, 3.0])], np.ones_like, [0.5] * 3)
        np.testing.assert_array_equal(found[-1], [[1, 3]])


@pytest.mark.parametrize(
    ("name", "factor"),
    [("inception_5b/1x1", 1.0), ("inception_3a/1x1", 0.1), ("conv1", 0.0), ("Conv1", 1.0), ("loss3/classifier", 1.0)],
)
def test_of_the_patterns_that_fit_a_layer_the_last_counts(name, factor):
    rates = (("inception_*", 0.1), ("conv*", 0.0), ("inception_5?/*", 1.0))
    assert match_rate(name, rates) == factor


def test_without_patterns_no_factor_changes():
    assert match_rate("conv1", ()) == 1.0
