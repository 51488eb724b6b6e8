import math
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from imgnn.errors import InputError
from imgnn.training.curves import DARK, LIGHT, curves_figure, draw_curves, draw_lr_curve, sparkline


def epoch(number, **values):
    row = {"kind": "epoch", "epoch": number, "step": 10 * number, "stage": "head", "learning_rate": 0.01}
    return {**row, "loss": 2.0 / number, "accuracy": 1 - 0.5 / number, **values}


def step(number, **values):
    return {"kind": "step", "step": number, "loss": 1.0, "accuracy": 0.5, "learning_rate": 0.01, **values}


def line(figure, axes, label):
    """The points of a curve."""
    (found,) = [each for each in figure.axes[axes].lines if each.get_label().startswith(label)]
    return found.get_xydata().tolist()


def colours(path):
    """The colours of a picture, as #rrggbb."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype("int32") @ [1 << 16, 1 << 8, 1]
    return {f"#{colour:06x}" for colour in np.unique(pixels)}


def test_train_and_val_are_drawn_over_the_epochs():
    figure = curves_figure([epoch(1, val_loss=3.0, val_accuracy=0.25), epoch(2, val_loss=2.0, val_accuracy=0.75)])
    assert line(figure, 0, "train") == [[1, 2.0], [2, 1.0]]
    assert line(figure, 0, "val") == [[1, 3.0], [2, 2.0]]
    assert line(figure, 1, "train") == [[1, 50.0], [2, 75.0]]
    assert line(figure, 1, "val") == [[1, 25.0], [2, 75.0]]


def test_the_best_epoch_is_named_and_the_first_of_two():
    figure = curves_figure([epoch(n, val_accuracy=value) for n, value in enumerate((0.5, 0.9, 0.7, 0.9), start=1)])
    labels = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert labels == ["train", "val, best 90.0 % at epoch 2"]


def test_a_step_stands_between_the_ends_of_its_epoch():
    rows = [*map(step, range(1, 11)), epoch(1), *map(step, range(11, 21)), epoch(2), step(25)]
    behind = curves_figure(rows).axes[0].lines[0].get_xdata()
    np.testing.assert_allclose(behind[:20], np.arange(1, 21) / 10)
    assert behind[20] == 3  # of an epoch that was not finished: nobody knows how long it would have been


def test_very_many_steps_are_averaged():
    rows = [*(step(n, loss=n % 2) for n in range(1, 10_001)), epoch(1, step=10_000)]
    values = curves_figure(rows).axes[0].lines[0].get_ydata()
    assert len(values) == 400
    np.testing.assert_allclose(values, 0.5, atol=0.1)


def test_a_stage_is_marked_where_it_begins():
    rows = [epoch(1), epoch(2), epoch(3, stage="all"), epoch(4, stage="all")]
    figure = curves_figure(rows)
    assert {text.get_text(): text.xy[0] for text in figure.axes[0].texts} == {"head": 0, "all": 2}
    assert not curves_figure(rows[:2]).axes[0].texts


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [step(1), step(2)],
        [epoch(1)],
        [epoch(1, loss=None, accuracy=None), epoch(2, loss=math.nan), epoch(3, loss=math.inf, val_accuracy=math.nan)],
        [epoch(number, val_loss=1.0, val_accuracy=0.5) for number in range(1, 201)],
        [epoch(1, loss=0.0, accuracy=0.0, learning_rate=0.0)],
        [step(1, loss=math.nan, accuracy=None, learning_rate=None), epoch(1)],
    ],
    ids=["nothing", "no epoch", "one epoch", "no numbers", "200 epochs", "zeros", "a step without numbers"],
)
def test_every_run_can_be_drawn(rows, tmp_path):
    draw_curves(rows, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size == (960, 1032)


def test_a_picture_of_curves_is_light_or_dark(tmp_path):
    rows = [epoch(1, val_loss=1.0), epoch(2, val_loss=1.0)]
    for theme in (LIGHT, DARK):
        draw_curves(rows, tmp_path / "curves.png", theme=theme)
        assert {theme.paper, theme.train, theme.val} <= colours(tmp_path / "curves.png")
    draw_curves([epoch(1), epoch(2)], tmp_path / "curves.png")
    assert LIGHT.val not in colours(tmp_path / "curves.png")


def test_the_rate_that_was_chosen_is_marked(tmp_path):
    rates = np.geomspace(1e-5, 1, 50)
    losses = 2 - np.log10(rates * 1e5) / 5
    losses[-2:] = math.nan
    draw_lr_curve(rates, losses, 1e-2, tmp_path / "chosen.png")
    draw_lr_curve(rates, losses, None, tmp_path / "none.png", raw=losses)
    assert LIGHT.val in colours(tmp_path / "chosen.png") & colours(tmp_path / "none.png")
    chosen, none = (np.asarray(Image.open(tmp_path / f"{name}.png").convert("L")) for name in ("chosen", "none"))
    height, width = chosen.shape
    middle = (slice(height // 4, 3 * height // 4), slice(width // 2, 3 * width // 4))  # 1e-2 of 1e-5..1 is at 0.6
    dark = [(each[middle] < 60).sum() for each in (chosen, none)]
    assert dark[0] > 100 > dark[1] == 0
    draw_lr_curve(rates, np.full(50, math.nan), None, tmp_path / "none.png")


def test_a_folder_that_is_missing_is_told_in_one_line(tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        draw_curves([epoch(1)], tmp_path / "missing" / "curves.png")


def test_drawing_leaves_pyplot_alone():
    """Its state belongs to the user's notebook; and without a screen its import may fail."""
    code = """if True:
        import pathlib, sys, tempfile
        from imgnn.training import curves
        assert "matplotlib" not in sys.modules, "it is imported when something is drawn"
        curves.draw_curves([], pathlib.Path(tempfile.mkdtemp()) / "curves.png")
        assert "matplotlib.pyplot" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_sparkline_goes_from_low_to_high():
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([3, 2, 1, 1], 10) == "█▅▁▁"
    assert sparkline([1, 1], 10) == "▁▁"
    assert sparkline([], 10) == ""


def test_a_sparkline_has_gaps_where_nothing_is_known():
    assert sparkline([1, math.nan, None, math.inf, 2], 9) == "▁   █"
    assert sparkline([math.nan] * 20, 5) == "     "


def test_a_sparkline_averages_what_is_too_long():
    assert sparkline([0, 0, 7, 7, 0, math.nan], 3) == "▁█▁"
    assert len(sparkline(range(1000), 30)) == 30
