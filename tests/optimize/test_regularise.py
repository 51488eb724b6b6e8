import math

import numpy as np
import pytest
from keras import ops

from imgnn.optimize.regularise import (
    PRESETS,
    Regularisation,
    RegularisedAscent,
    blur,
    contributions,
    learning_rate,
    pixel_norms,
    without_small,
)


@pytest.fixture
def values(random):
    return random.normal(0, 20, (1, 6, 7, 3)).astype("float32")


@pytest.fixture
def gradient(random):
    return random.normal(0, 0.1, (1, 6, 7, 3)).astype("float32")


def moved(by, values, gradient, *, times=1, bounds=(-math.inf, math.inf)):
    """Where an ascent along a straight objective comes to."""
    x, ascent = ops.convert_to_tensor(values), RegularisedAscent(by, bounds)
    slope = ops.convert_to_tensor(-gradient)  # of the loss, which is lowered
    for _ in range(times):
        x, loss, parts = ascent.step(x, lambda x: (ops.sum(x * slope), {"part": 1.0}, slope))
    return ops.convert_to_numpy(x), float(loss), parts


def test_a_step_climbs_and_decays(values, gradient):
    there, loss, parts = moved(Regularisation(1, learning_rate=100, decay=0.3), values, gradient)
    np.testing.assert_allclose(there, (values + 100 * gradient) * 0.7, rtol=1e-4, atol=1e-5)
    assert loss == pytest.approx(-np.sum(values * gradient), rel=1e-4)
    assert parts == {"part": 1.0}


def test_progress_is_what_the_step_would_make_of_a_straight_objective(values, gradient):
    there, _, _ = moved(Regularisation(1, progress=2.0), values, gradient)
    assert np.sum((there - values) * gradient) == pytest.approx(2.0, rel=1e-3)


def test_the_learning_rate_has_a_most():
    tiny = np.full((1, 1, 1, 3), 1e-6, "float32")
    assert learning_rate(Regularisation(1, learning_rate=100, progress=2.0), tiny) == 100
    assert learning_rate(Regularisation(1, learning_rate=100, progress=2.0), 0 * tiny) == 100
    assert learning_rate(Regularisation(1, learning_rate=7.0), tiny) == 7.0


def test_blur_is_a_gaussian_with_mirrored_borders(values):
    # Stated anew: the weights exp(-d²/2r²) as far as four radii, their sum 1, the picture mirrored beyond its borders.
    radius, reach = 1.0, 4
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / radius) ** 2)
    weights /= weights.sum()
    padded = np.pad(values[0].astype("float64"), ((reach, reach), (reach, reach), (0, 0)), mode="symmetric")
    wanted = np.zeros(values.shape[1:])
    for y in range(wanted.shape[0]):
        for x in range(wanted.shape[1]):
            window = padded[y : y + 2 * reach + 1, x : x + 2 * reach + 1]
            wanted[y, x] = np.einsum("i,j,ijc->c", weights, weights, window)
    np.testing.assert_allclose(blur(values, radius)[0], wanted, atol=1e-4)


def test_it_blurs_at_the_first_step_and_every_few(values, gradient):
    by = Regularisation(1, learning_rate=0.0, blur=1.0, blur_every=4)
    once = blur(values, 1.0)
    for times, wanted in ((1, once), (4, once), (5, blur(once, 1.0))):
        np.testing.assert_allclose(moved(by, values, gradient, times=times)[0], wanted, atol=1e-4)


def test_pixels_of_small_norm_are_taken_away():
    values = np.array([[[3, 4, 0], [0, 0, 1], [0, 2, 0], [6, 0, 8]]], "float32")[None]
    np.testing.assert_allclose(pixel_norms(values)[0, 0, :, 0], [5, 1, 2, 10])
    there, _, _ = moved(Regularisation(1, learning_rate=0, norm_percentile=50), values, 0 * values)
    np.testing.assert_allclose(there, [[[[3, 4, 0], [0, 0, 0], [0, 0, 0], [6, 0, 8]]]])


def test_pixels_that_contribute_little_are_taken_away_whatever_their_sign():
    values = np.array([[[3, 4, 0], [0, 0, 1], [0, 2, 0], [6, 0, 8]]], "float32")[None]
    gradient = np.array([[[1, -1, 9], [0, 0, 7], [0, -4, 0], [1, 1, -1]]], "float32")[None]
    np.testing.assert_allclose(contributions(values, gradient)[0, 0, :, 0], [1, 7, 8, 2])
    there, _, _ = moved(Regularisation(1, learning_rate=0, contribution_percentile=75), values, gradient)
    np.testing.assert_allclose(there, [[[[0, 0, 0], [0, 0, 0], [0, 2, 0], [0, 0, 0]]]])


@pytest.mark.parametrize("percentile", [20, 50, 90])
def test_so_many_of_a_hundred_pixels_go(random, percentile):
    values = random.normal(size=(1, 20, 25, 3)).astype("float32")
    kept = without_small(values, pixel_norms(values), percentile).any(axis=-1)
    assert kept.mean() == pytest.approx(1 - percentile / 100)


def test_a_step_ends_at_the_bounds(values, gradient):
    low, high = np.array([-1.0, -2, -3]), np.array([3.0, 2, 1])
    there, _, _ = moved(Regularisation(1), 100 * values, gradient, bounds=(low, high))
    np.testing.assert_allclose(there.min(axis=(0, 1, 2)), low)
    np.testing.assert_allclose(there.max(axis=(0, 1, 2)), high)


def test_a_restored_ascent_goes_on_as_it_would_have(values, gradient):
    by = Regularisation(1, blur=1.0, blur_every=3)
    unbroken, _, _ = moved(by, values, gradient, times=4)
    x, first, second = values, RegularisedAscent(by), RegularisedAscent(by)
    slope = ops.convert_to_tensor(-gradient)
    for ascent in (first, first, second, second):
        if ascent is second and second.steps == 0:
            second.restore(first.state())
        x, _, _ = ascent.step(x, lambda x: (0.0, {}, slope))
    np.testing.assert_array_equal(ops.convert_to_numpy(x), unbroken)


def test_presets_are_those_of_the_paper():
    # Table 1 of arXiv:1506.06579 and running-optimize-image.md: decay, blur, every, norm, contribution; steps, rate.
    table = {name: (p.decay, p.blur, p.norm_percentile, p.contribution_percentile) for name, p in PRESETS.items()}
    assert table == {"A": (0, 0.5, 50, 0), "B": (0.3, 0, 20, 0), "C": (1e-4, 1.0, 0, 0), "D": (0, 0.5, 0, 90)}
    policy = {name: (p.iterations, p.learning_rate, p.progress) for name, p in PRESETS.items()}
    assert policy == {"A": (500, 100, 2), "B": (750, 100, None), "C": (1000, 100, None), "D": (1000, 1e8, 2)}
    assert {p.blur_every for p in PRESETS.values()} == {4}
