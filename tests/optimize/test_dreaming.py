from dataclasses import replace

import numpy as np
import pytest
from keras import ops

from imgnn.backend import value_and_grad
from imgnn.networks.features import cut, look
from imgnn.networks.names import network_of
from imgnn.networks.table import reach
from imgnn.optimize.dreaming import (
    Ascent,
    best_match,
    enhance_objective,
    guide_objective,
    mean_objective,
    norm_objective,
)
from imgnn.optimize.evaluate import Tiled, Whole
from imgnn.optimize.parameters import to_x
from imgnn.optimize.tiles import cut_tiles
from imgnn.options import LayerChoice

A, B = LayerChoice("a", weight=2.0), LayerChoice("b", channel=1)


@pytest.fixture
def features(random):
    """Two layers, one of them with negative values too."""
    return {
        "a": random.uniform(0, 3, (1, 4, 5, 6)).astype("float32"),
        "b": random.normal(0, 40, (1, 2, 3, 4)).astype("float32"),
    }


def value(objective, features, scene=None, picture=None):
    tensors = {name: ops.convert_to_tensor(each) for name, each in features.items()}
    loss, parts = objective(ops.zeros((1, 8, 8, 3)) if picture is None else picture, tensors, scene or {})
    return float(loss), {name: float(part) for name, part in parts.items()}


def slope(objective, features, layer, scene=None):
    """The gradient of the loss at one layer."""

    def loss(x):
        tensors = {name: ops.convert_to_tensor(each) for name, each in features.items()}
        return objective(ops.zeros((1, 8, 8, 3)), {**tensors, layer: x}, scene or {})

    return ops.convert_to_numpy(value_and_grad(loss)(ops.convert_to_tensor(features[layer]))[2])


def test_the_norm_of_each_layer_is_raised_by_its_weight(features):
    a, b = np.linalg.norm(features["a"]), np.linalg.norm(features["b"][..., 1])
    loss, parts = value(norm_objective([A, B]), features)
    assert loss == pytest.approx(-2 * a - b, rel=1e-5)
    assert parts == pytest.approx({"a": -2 * a, "b:1": -b}, rel=1e-5)
    np.testing.assert_allclose(slope(norm_objective([A, B]), features, "a"), -2 * features["a"] / a, rtol=1e-4)


def test_the_gradient_of_the_norm_has_the_direction_of_the_notebooks(features):
    """`dst.diff[:] = dst.data`: the activations themselves."""
    found = slope(norm_objective([LayerChoice("b")]), features, "b")
    np.testing.assert_allclose(-found / np.abs(found).mean(), features["b"] / np.abs(features["b"]).mean(), rtol=1e-4)


def test_the_mean_of_each_layer_is_raised_by_its_weight(features):
    loss, parts = value(mean_objective([A, B]), features)
    assert parts == pytest.approx({"a": -2 * features["a"].mean(), "b:1": -features["b"][..., 1].mean()}, rel=1e-4)
    assert loss == pytest.approx(sum(parts.values()), rel=1e-4)


def test_the_guide_pulls_as_in_the_notebook(features, random):
    guide = random.normal(size=(1, 3, 7, 6)).astype("float32")
    # objective_guide of google/deepdream, with its own names; channels first there.
    x, y = features["a"].reshape(-1, 6).T, guide.reshape(-1, 6).T
    diff = y[:, x.T.dot(y).argmax(1)].T.reshape(features["a"].shape)
    objective = guide_objective([LayerChoice("a")], {"a": ops.convert_to_tensor(guide)})
    length = np.linalg.norm(diff)
    np.testing.assert_allclose(-slope(objective, features, "a"), diff / length, rtol=1e-4, atol=1e-6)
    assert value(objective, features)[0] == pytest.approx(-np.sum(features["a"] * diff) / length, rel=1e-4)


def test_the_best_match_is_the_vector_with_the_largest_product():
    values = np.array([[[[2.0, 1.0], [-1.0, 0.5]]]], "float32")
    vectors = np.array([[1, 0], [0, 3], [-9, 0]], "float32")
    found = best_match(ops.convert_to_tensor(values), ops.convert_to_tensor(vectors))
    np.testing.assert_array_equal(ops.convert_to_numpy(found), [[[[0, 3], [-9, 0]]]])


def test_enhance_measures_the_way_to_what_is_gain_times_as_strong(features, random):
    base = {name: random.uniform(0, 5, each.shape).astype("float32") for name, each in features.items()}
    picture = random.uniform(0, 255, (1, 8, 8, 3)).astype("float32")
    scene = {f"photo:{name}": ops.convert_to_tensor(each) for name, each in base.items()} | {"factor:tv": 0.01}
    _, parts = value(enhance_objective([A, B], 3.0, 0.5), features, scene, picture)
    other = base["b"] * [1, 3, 1, 1]  # the channel alone is to be stronger
    corner = picture[:, :-1, :-1]
    variation = 0.5 * (np.sum((corner - picture[:, :-1, 1:]) ** 2) + np.sum((corner - picture[:, 1:, :-1]) ** 2))
    assert parts == pytest.approx(
        {
            "a": 2 * np.sum((features["a"] - 3 * base["a"]) ** 2) / np.sum(base["a"] ** 2),
            "b:1": np.sum((features["b"] - other) ** 2) / np.sum(base["b"] ** 2),
            "tv": 0.5 * 0.01 * variation,
        },
        rel=1e-4,
    )
    there = {"a": 3 * base["a"], "b": other.astype("float32")}
    assert value(enhance_objective([A, B], 3.0, 0.0), there, scene)[0] == pytest.approx(0, abs=1e-6)


def test_a_layer_without_its_weight_is_what_its_term_is_called():
    assert (A.label, B.label) == ("a", "b:1")


@pytest.mark.parametrize("kind", ["norm", "mean", "guide", "enhance"])
def test_tiles_give_what_the_whole_gives(kind, random):
    """Also for these objectives; float32 adds in another order, nothing more."""
    network, size = network_of("random"), (150, 203)
    choices = [LayerChoice("relu1", weight=2.0), LayerChoice("relu3", 5 if kind != "guide" else None)]
    layers = [choice.name for choice in choices]
    pixels, base = (ops.convert_to_tensor(random.uniform(0, 255, (1, *size, 3)).astype("float32")) for _ in "ab")

    def see_at(size):
        features = look(network, layers, size)
        return lambda pixels: features(to_x(pixels, network.preprocessing))

    photo = {f"photo:{name}": np.asarray(ops.convert_to_numpy(each)) for name, each in see_at(size)(base).items()}
    objective = {
        "norm": lambda: norm_objective(choices),
        "mean": lambda: mean_objective(choices),
        "guide": lambda: guide_objective(choices, see_at((20, 30))(pixels[:, :20, :30])),
        "enhance": lambda: enhance_objective(choices, 2.0, 0.1),
    }[kind]()
    scene = {**photo, "factor:tv": ops.convert_to_tensor(np.float32(1e-8))} if kind == "enhance" else {}
    whole = Whole(see_at(size), objective, {key: ops.convert_to_tensor(each) for key, each in scene.items()})
    tiles = cut_tiles(size, reach(network, layers, size), 96)
    window = tuple(each.stop - each.start for each in (tiles[0].down, tiles[0].across))
    sizes = {layer: each.shape[1:3] for layer, each in cut(network, layers, window).output.items()}
    tiled = Tiled(see_at(window), objective, tiles, sizes, {key: scene[key] for key in photo if scene})
    factor = {key: each for key, each in scene.items() if key not in photo}
    (loss, _, gradient), (own, _, pulled) = whole(pixels), tiled(pixels, factor)
    gradient, pulled = ops.convert_to_numpy(gradient), ops.convert_to_numpy(pulled)
    assert len(tiles) > 1
    assert float(own) == pytest.approx(float(loss), rel=1e-4)
    np.testing.assert_allclose(pulled, gradient, atol=1e-4 * np.abs(gradient).max())


def test_ascent_moves_by_the_step_size_on_the_mean_and_stays_within_the_bounds():
    gradient = np.array([[1.0, -3.0], [0.0, 4.0]], "float32")
    evaluate = lambda x: (1.0, {}, ops.convert_to_tensor(gradient))  # noqa: E731
    x, loss, _ = Ascent(1.5, bounds=(0.0, 255.0)).step(ops.convert_to_tensor(np.full((2, 2), 2.0, "float32")), evaluate)
    # mean |g| = 2; a loss falls against its gradient
    np.testing.assert_allclose(ops.convert_to_numpy(x), [[1.25, 4.25], [2.0, 0.0]])
    assert loss == 1.0


def test_a_gradient_of_zeros_moves_nothing():
    evaluate = lambda x: (0.0, {}, ops.zeros_like(x))  # noqa: E731
    x, _, _ = Ascent().step(ops.ones((1, 2)), evaluate)
    np.testing.assert_array_equal(ops.convert_to_numpy(x), [[1, 1]])


def test_a_silent_layer_has_no_gradient_and_no_nan(features):
    silent = {**features, "a": np.zeros_like(features["a"])}
    assert not slope(norm_objective([replace(A, weight=1.0)]), silent, "a").any()
