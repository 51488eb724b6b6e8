import csv
import json
from pathlib import Path

import numpy as np
import pytest

from imgnn.errors import InputError
from imgnn.training.scores import Scores

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "scores.json").read_text(encoding="utf-8"))


@pytest.fixture
def scores():
    """Five pictures: two dogs taken for cats, a cat taken for a dog, two cats found."""
    prob = [[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.3, 0.5, 0.2], [0.9, 0.1, 0.0], [0.4, 0.25, 0.35]]
    return Scores(
        ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"),
        np.array([1, 1, 0, 0, 0]),
        np.array(prob, "float32"),
        ("cat", "dog", "owl"),
    )


@pytest.fixture
def golden():
    """What tests/golden/make_scores.py asked scikit-learn about."""
    labels, prob = np.array(GOLDEN["labels"]), np.array(GOLDEN["prob"], "float32")
    return Scores(tuple(f"{n}.jpg" for n in range(len(labels))), labels, prob, tuple("abcdefgh"))


@pytest.mark.parametrize("name", ["accuracy", "top5", "loss", "confusion", "recall", "precision"])
def test_the_numbers_are_those_of_scikit_learn(golden, name):
    np.testing.assert_allclose(getattr(golden, name), GOLDEN[name], rtol=1e-6)


def test_a_row_of_the_confusion_matrix_is_the_true_class(scores):
    assert scores.confusion.tolist() == [[2, 1, 0], [2, 0, 0], [0, 0, 0]]


def test_recall_and_precision_are_unknown_where_there_are_no_pictures(scores):
    np.testing.assert_allclose(scores.recall, [2 / 3, 0, np.nan])
    np.testing.assert_allclose(scores.precision, [2 / 4, 0, np.nan])


def test_there_is_no_top5_of_five_classes():
    prob = np.full((1, 5), 0.2, "float32")
    assert Scores(("a",), np.array([0]), prob, tuple("abcde")).top5 is None
    six = np.array([[0.3, 0.2, 0.2, 0.1, 0.1, 0.1]], "float32")
    assert Scores(("a",), np.array([4]), six, tuple("abcdef")).top5 == 1.0
    assert Scores(("a",), np.array([5]), six, tuple("abcdef")).top5 == 0.0  # the sixth, of those that are equal


@pytest.mark.parametrize(("top", "share"), [(1, 0.0), (2, 0.5), (3, None)])
def test_the_true_class_is_looked_for_among_as_many_as_are_asked_for(top, share):
    prob = np.array([[0.2, 0.5, 0.3], [0.6, 0.2, 0.2]], "float32")
    assert Scores(("a", "b"), np.array([2, 2]), prob, tuple("abc")).top_accuracy(top) == share


def test_mistakes_are_listed_by_how_often_they_were_made(scores):
    assert scores.most_confused(9) == [(1, 0, 2), (0, 1, 1)]
    assert scores.most_confused(1) == [(1, 0, 2)]


def test_the_worst_picture_comes_first(scores):
    assert scores.top_losses(2) == [0, 1]
    assert scores.losses[0] == pytest.approx(-np.log(0.2))


def test_a_class_that_was_given_no_probability_at_all_has_a_finite_loss():
    sure = Scores(("a",), np.array([1]), np.array([[1.0, 0.0]], "float32"), ("cat", "dog"))
    assert sure.loss == pytest.approx(87.3365, abs=1e-4)  # Caffe's -log(FLT_MIN)


def test_predictions_become_a_table_that_others_read(scores, tmp_path):
    odd = Scores(('with, comma and "quotes".jpg', *scores.files[1:]), scores.labels, scores.prob, scores.classes)
    odd.write_predictions(tmp_path / "predictions.csv")
    with (tmp_path / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == list(odd.files)
    assert rows[0] == {
        "path": 'with, comma and "quotes".jpg',
        "label": "dog",
        "predicted": "cat",
        "prob": "0.2",
        "loss": "1.60944",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.csv"]


def test_no_pictures_are_no_failure():
    none = Scores((), np.zeros(0, "int64"), np.zeros((0, 3), "float32"), ("a", "b", "c"))
    assert np.isnan([none.accuracy, none.loss]).all()
    assert none.confusion.sum() == 0
    assert none.most_confused(3) == none.top_losses(3) == []


def test_what_does_not_belong_together_is_refused(scores):
    with pytest.raises(InputError, match=r"5 pictures of 2 classes have labels \(5,\) and probabilities \(5, 2\)"):
        Scores(scores.files, scores.labels, scores.prob, ("cat", "dog"))
    with pytest.raises(InputError, match=r"label 3 of a\.jpg is none of the 3 classes"):
        Scores(scores.files, np.array([3, 1, 0, 0, 0]), scores.prob, scores.classes)
