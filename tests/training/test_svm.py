import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from imgnn.training import svm
from imgnn.training.svm import STRENGTHS, choose_strength, fit_svm

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "svm.json").read_text(encoding="utf-8"))
FEATURES, LABELS = np.array(GOLDEN["features"]), np.array(GOLDEN["labels"])


@pytest.mark.parametrize("strength", ["0.01", "1.0", "100.0"])
def test_kernel_and_bias_are_those_of_liblinear(strength):
    kernel, bias = fit_svm(FEATURES, LABELS, 3, float(strength), tolerance=1e-9)
    expected = GOLDEN["three"][strength]
    np.testing.assert_allclose(kernel, expected["kernel"], atol=1e-4)
    np.testing.assert_allclose(bias, expected["bias"], atol=1e-4)
    assert kernel.dtype == bias.dtype == np.float32


def test_of_two_classes_each_is_the_others_opposite():
    expected = GOLDEN["two"]["1.0"]
    kernel, bias = fit_svm(FEATURES, (LABELS == 2).astype(int), 2, 1.0, tolerance=1e-9)
    np.testing.assert_allclose(kernel[:, 1:], expected["kernel"], atol=1e-4)
    np.testing.assert_allclose(bias[1:], expected["bias"], atol=1e-4)
    np.testing.assert_allclose(kernel[:, 0], -kernel[:, 1], atol=1e-4)


@pytest.mark.parametrize("strength", ["0.01", "1.0", "100.0"])
def test_it_ends_close_enough_to_judge_as_liblinear_does(strength):
    kernel, bias = fit_svm(FEATURES, LABELS, 3, float(strength))
    expected = FEATURES @ np.array(GOLDEN["three"][strength]["kernel"]) + GOLDEN["three"][strength]["bias"]
    found = FEATURES @ kernel + bias
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 59 / 60


def test_features_of_half_the_precision_do(random):
    whole, half = (fit_svm(FEATURES.astype(kind), LABELS, 3, 1.0)[0] for kind in ("float32", "float16"))
    np.testing.assert_allclose(half, whole, atol=5e-3)


def test_features_are_not_copied(random):
    features = random.normal(0, 1, (500, 2000)).astype("float32")
    tracemalloc.start()
    try:
        fit_svm(features, np.arange(500) % 2, 2, 1.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < features.nbytes / 2


def test_a_class_without_a_picture_is_never_said():
    kernel, bias = fit_svm(FEATURES, LABELS, 4, 1.0)
    assert not (FEATURES @ kernel + bias).argmax(axis=1).max() > 2


def test_the_strength_is_one_of_those_tried_and_the_best_of_them():
    chosen, tried = choose_strength(FEATURES, LABELS, np.arange(60), 3)
    assert tuple(tried) == STRENGTHS
    assert tried[chosen] == max(tried.values())
    assert 0.5 < tried[chosen] <= 1


def test_of_strengths_that_are_as_good_the_smallest_is_taken():
    corners = 10 * np.eye(3)[LABELS]
    chosen, tried = choose_strength(corners, LABELS, np.arange(60), 3)
    assert set(tried.values()) == {1.0}
    assert chosen == min(STRENGTHS)


def test_the_views_of_one_picture_stay_together(random):
    # Features without meaning: who sees the other view of a picture knows its class, and nobody else does.
    features, labels = random.normal(0, 1, (40, 60)), np.arange(40) % 2
    twice, of_both = np.repeat(features, 2, axis=0), np.repeat(labels, 2)
    _, together = choose_strength(twice, of_both, np.repeat(np.arange(40), 2), 2)
    _, apart = choose_strength(twice, of_both, np.arange(80), 2)
    assert max(together.values()) < 0.75
    assert max(apart.values()) > 0.85


def test_the_same_seed_makes_the_same_folds():
    first, again = (choose_strength(FEATURES, LABELS, np.arange(60), 3, seed=1)[1] for _ in range(2))
    assert first == again


def test_fewer_pictures_than_folds_are_no_failure():
    chosen, _ = choose_strength(FEATURES[:3], LABELS[:3], np.arange(3), 3)
    assert chosen in STRENGTHS


def test_the_end_does_not_depend_on_the_beginning(random):
    first, _ = fit_svm(FEATURES, LABELS, 3, 1.0, tolerance=1e-9)
    again, _ = fit_svm(FEATURES, LABELS, 3, 1.0, tolerance=1e-9, start=random.normal(0, 5, (7, 3)))
    np.testing.assert_allclose(first, again, atol=1e-5)


def test_of_many_rows_a_part_chooses_the_strength(monkeypatch):
    monkeypatch.setattr(svm, "MOST_ROWS", 30)
    fitted = []
    monkeypatch.setattr(svm, "fit_svm", lambda x, *rest, **more: fitted.append(len(x)) or fit_svm(x, *rest, **more))
    chosen, tried = choose_strength(FEATURES, LABELS, np.arange(60), 3)
    assert set(fitted) == {24}  # four folds of five
    assert tried[chosen] == max(tried.values())
