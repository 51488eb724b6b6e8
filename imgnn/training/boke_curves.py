"""The curves of a boke training: what the next token costs, the least that it can cost, and what pictures add."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgnn.runs import write_aside
from imgnn.training.curves import (
    LIGHT,
    WIDE,
    Theme,
    column,
    draw_gain,
    draw_line,
    draw_losses,
    draw_rate,
    dress,
    new_figure,
    places_of,
    png_of,
    set_epochs,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Rows = Sequence[Mapping[str, Any]]


def draw_boke_curves(rows: Rows, path: Path, *, theme: Theme = LIGHT, size: tuple[float, float] = WIDE) -> None:
    """Draw nats per token, the average loss, the image gain and the learning rate over the epochs.

    Args:
        rows: of log.jsonl, of the kinds "epoch" and "step".

    Raises:
        InputError: the file cannot be written.
    """
    epochs = [row for row in rows if row["kind"] == "epoch"]
    steps = [row for row in rows if row["kind"] == "step"]
    places, last = places_of(epochs, steps)

    figure = new_figure(size, theme)
    loss, average, gain, rate = figure.subplots(4, 1, sharex=True, height_ratios=(3, 3, 1.6, 1.3))
    x = column(epochs, "epoch")
    draw_losses(loss, epochs, steps, places, theme)
    draw_floor(loss, column(epochs, "floor"), theme)
    draw_line(average, x, column(epochs, "average_loss"), "train", theme.train)
    draw_floor(average, column(epochs, "average_loss_floor"), theme)
    dress(average, "average_loss, as butsugiri/bokete has it", theme)
    draw_gain(gain, epochs, theme)
    draw_rate(rate, epochs, steps, places, theme)
    for axes, names in ((loss, ("loss", "val_loss")), (average, ("average_loss",))):
        known = np.concatenate([column(epochs, name) for name in names])
        axes.set_ylim(0, 1.12 * np.nanmax(known, initial=0) or 1)
        axes.legend(frameon=False, labelcolor=theme.ink, loc="upper right", fontsize=10)
    set_epochs(rate, last, theme)
    with write_aside(path) as aside:
        aside.write_bytes(png_of(figure))


def draw_floor(axes: "Axes", floor: np.ndarray, theme: Theme) -> None:
    """The least that the training texts can cost, as a line that no curve of training goes below."""
    if len(floor) and np.isfinite(floor[-1]):
        line: dict[str, Any] = {"color": theme.ink, "linewidth": 1.2, "linestyle": (0, (4, 3))}
        axes.axhline(floor[-1], label=f"at least {floor[-1]:.3f}", **line)


@dataclass(frozen=True)
class Curve:
    """A run to be compared with others.

    Attributes:
        label: what it was trained on.
        rows: of its log.jsonl.
    """

    label: str
    rows: Rows


def draw_experiment(curves: Sequence[Curve], path: Path, *, theme: Theme = LIGHT) -> None:
    """Draw the losses of several runs into one picture, each with the least that it can be.

    Raises:
        InputError: the file cannot be written.
    """
    figure = new_figure((8.0, 6.4), theme)
    token, average = figure.subplots(2, 1, sharex=True)
    colours = (theme.val, theme.train, theme.ink)
    last = 1
    for curve, colour in zip(curves, itertools.cycle(colours), strict=False):
        epochs = [row for row in curve.rows if row["kind"] == "epoch"]
        last = max(last, len(epochs))
        x = column(epochs, "epoch")
        for axes, name, floor in ((token, "loss", "floor"), (average, "average_loss", "average_loss_floor")):
            draw_line(axes, x, column(epochs, name), curve.label, colour)
            least = np.where(column(epochs, floor) > 0, column(epochs, floor), np.nan)
            axes.plot(x, least, color=colour, linewidth=1.2, linestyle=(0, (4, 3)))
    dress(token, "nats per token; dashed: the least that it can be", theme)
    dress(average, "average_loss, as butsugiri/bokete has it", theme)
    for axes in (token, average):  # the way from 1 to 0.01 is as long as that from 100 to 1
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    token.legend(frameon=False, labelcolor=theme.ink, loc="best", fontsize=10)
    set_epochs(average, last, theme)
    with write_aside(path) as aside:
        aside.write_bytes(png_of(figure))
