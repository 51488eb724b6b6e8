"""The curves of a caption training."""

import math

import numpy as np
import pytest
from PIL import Image

from imgnn.errors import InputError
from imgnn.training import caption_curves
from imgnn.training.caption_curves import draw_caption_curves
from imgnn.training.curves import DARK, LIGHT

LOSS, CIDER, GAIN, RATE = range(4)


def epoch(number, **values):
    row = {"kind": "epoch", "epoch": number, "step": 10 * number, "stage": "decoder", "learning_rate": 0.001}
    judged = {"val_loss": 4.0 / number, "cider_d": 0.1 * number, "image_gain": 0.05 * number}
    return {**row, "loss": 3.0 / number, **judged, **values}


def step(number, **values):
    return {"kind": "step", "step": number, "loss": 2.0, "learning_rate": 0.001, "stage": "decoder", **values}


@pytest.fixture
def draw(tmp_path, monkeypatch):
    """Draw rows; gives the figure's axes."""
    figures, png_of = [], caption_curves.png_of
    monkeypatch.setattr(caption_curves, "png_of", lambda figure: figures.append(figure) or png_of(figure))

    def run(rows, **options):
        draw_caption_curves(rows, tmp_path / "curves.png", **options)
        return figures[-1].axes

    return run


def line(axes, label):
    """The points of a curve."""
    (found,) = [each for each in axes.lines if each.get_label().startswith(label)]
    return found.get_xydata().tolist()


def test_losses_scores_and_gain_are_drawn_over_the_epochs(draw):
    axes = draw([epoch(1), epoch(2)])
    assert line(axes[LOSS], "train") == [[1, 3.0], [2, 1.5]]
    assert line(axes[LOSS], "val") == [[1, 4.0], [2, 2.0]]
    assert line(axes[CIDER], "val") == [[1, 0.1], [2, 0.2]]
    assert any(each.get_xydata().tolist() == [[1, 0.05], [2, 0.1]] for each in axes[GAIN].lines)
    assert axes[GAIN].get_ylim()[0] == 0 < axes[GAIN].get_ylim()[1]


@pytest.mark.parametrize(("last", "best"), [(1.0, 2), (0.9, 4)])
def test_the_best_epoch_is_named_and_of_two_that_with_the_smaller_loss(draw, last, best):
    scores, losses = (0.5, 0.9, 0.7, 0.9), (2.0, 1.0, 0.5, last)
    rows = [epoch(n, cider_d=scores[n - 1], val_loss=losses[n - 1]) for n in (1, 2, 3, 4)]
    axes = draw(rows)
    assert [text.get_text() for text in axes[CIDER].get_legend().get_texts()] == [f"val, best 0.900 at epoch {best}"]
    assert axes[CIDER].get_ylim() == pytest.approx((0, 1.15 * 0.9))


def test_a_gain_below_nothing_is_seen(draw):
    axes = draw([epoch(1, image_gain=-0.5), epoch(2, image_gain=0.1)])
    low, high = axes[GAIN].get_ylim()
    assert low < -0.5 and high > 0.1


def test_a_step_stands_between_the_ends_of_its_epoch(draw):
    rows = [*map(step, range(1, 11)), epoch(1), *map(step, range(11, 15)), epoch(2, step=14), step(16)]
    behind = draw(rows)[LOSS].lines[0].get_xdata()
    np.testing.assert_allclose(behind[:10], np.arange(1, 11) / 10)
    np.testing.assert_allclose(behind[10:14], [1.25, 1.5, 1.75, 2])
    assert behind[14] == 3  # of an epoch that was not finished: nobody knows how long it would have been


def test_the_stage_in_which_the_network_is_trained_is_marked(draw):
    rows = [epoch(1), epoch(2), epoch(3, stage="joint")]
    assert {text.get_text(): text.xy[0] for text in draw(rows)[LOSS].texts} == {"decoder": 0, "joint": 2}
    assert not draw(rows[:2])[LOSS].texts


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [step(1), step(2)],
        [epoch(1)],
        [epoch(1, loss=None, val_loss=None, cider_d=None, image_gain=None), epoch(2, val_loss=math.inf)],
        [epoch(number) for number in range(1, 201)],
        [epoch(1, loss=0.0, val_loss=0.0, cider_d=0.0, image_gain=0.0, learning_rate=0.0)],
        [step(1, loss=math.nan, learning_rate=None), epoch(1)],
    ],
    ids=["nothing", "no epoch", "one epoch", "no numbers", "200 epochs", "zeros", "a step without numbers"],
)
def test_every_run_can_be_drawn(draw, rows, tmp_path):
    draw(rows)
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size == (960, 1032)


def test_a_picture_of_curves_is_light_or_dark(draw, tmp_path):
    for theme in (LIGHT, DARK):
        draw([epoch(1), epoch(2)], theme=theme)
        with Image.open(tmp_path / "curves.png") as picture:
            pixels = np.asarray(picture.convert("RGB")).astype("int32") @ [1 << 16, 1 << 8, 1]
        assert {theme.paper, theme.train, theme.val} <= {f"#{colour:06x}" for colour in np.unique(pixels)}


def test_a_folder_that_is_missing_is_told_in_one_line(tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        draw_caption_curves([epoch(1)], tmp_path / "missing" / "curves.png")
