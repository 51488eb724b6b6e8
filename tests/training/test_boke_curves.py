"""The curves of a boke training, and of several beside each other."""

import numpy as np
import pytest
from PIL import Image

from imgnn.training import boke_curves
from imgnn.training.boke_curves import Curve, draw_boke_curves, draw_experiment

LOSS, AVERAGE, GAIN, RATE = range(4)


def epoch(number, floor=0.5, **values):
    losses = {"loss": 4.0 / number, "val_loss": 5.0 / number, "average_loss": 9.0 / number}
    floors = {"floor": floor, "average_loss_floor": 2 * floor}
    row = {"kind": "epoch", "epoch": number, "step": 10 * number, "learning_rate": 0.001, "image_gain": 0.1 * number}
    return {**row, **losses, **floors, **values}


@pytest.fixture
def axes_of(tmp_path, monkeypatch):
    """Draw; gives the figure's axes."""
    figures, png_of = [], boke_curves.png_of
    monkeypatch.setattr(boke_curves, "png_of", lambda figure: figures.append(figure) or png_of(figure))

    def run(draw, what):
        draw(what, tmp_path / "curves.png")
        Image.open(tmp_path / "curves.png").verify()
        return figures[-1].axes

    return run


def lines(axes):
    return {line.get_label(): line.get_ydata() for line in axes.lines}


def test_losses_stand_over_the_least_that_they_can_be(axes_of):
    axes = axes_of(draw_boke_curves, [epoch(1), epoch(2), epoch(4)])
    assert list(lines(axes[LOSS])["train, with dropout"]) == [4.0, 2.0, 1.0]
    assert list(lines(axes[LOSS])["val"]) == [5.0, 2.5, 1.25]
    assert set(lines(axes[LOSS])["at least 0.500"]) == {0.5}
    assert list(lines(axes[AVERAGE])["train"]) == [9.0, 4.5, 2.25]
    assert set(lines(axes[AVERAGE])["at least 1.000"]) == {1.0}
    for place in (LOSS, AVERAGE):
        low, high = axes[place].get_ylim()
        assert low == 0 and high > 5


def test_values_that_are_missing_leave_a_gap(axes_of):
    axes = axes_of(draw_boke_curves, [epoch(1), epoch(2, val_loss=None), epoch(3)])
    assert np.isnan(lines(axes[LOSS])["val"]).tolist() == [False, True, False]


def test_an_epoch_that_has_not_ended_can_be_drawn(axes_of):
    steps = [{"kind": "step", "step": number, "loss": 4.0, "learning_rate": 0.001} for number in (1, 2)]
    assert len(axes_of(draw_boke_curves, steps)) == 4


def test_the_experiment_has_a_curve_for_each_arm_and_a_floor_where_there_is_one(axes_of):
    curves = [Curve("many", [epoch(1), epoch(2)]), Curve("one", [epoch(1, 0.0), epoch(2, 0.0), epoch(3, 0.0)])]
    token, average = axes_of(draw_experiment, curves)
    assert list(lines(token)["many"]) == [4.0, 2.0] and list(lines(token)["one"]) == pytest.approx([4, 2, 4 / 3])
    floors = [line.get_ydata() for line in average.lines if line.get_linestyle() == "--"]
    assert [list(each) for each in floors if np.isfinite(each).any()] == [[1.0, 1.0]]
    assert token.get_yscale() == average.get_yscale() == "log"
