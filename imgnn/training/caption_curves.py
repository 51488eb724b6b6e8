"""The curves of a caption training: what it costs to tell the next word, how good sentences are, what pictures add."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
    mark_stages,
    new_figure,
    places_of,
    png_of,
    set_epochs,
)

Rows = Sequence[Mapping[str, Any]]


def draw_caption_curves(rows: Rows, path: Path, *, theme: Theme = LIGHT, size: tuple[float, float] = WIDE) -> None:
    """Draw nats per token, CIDEr-D, the image gain and the learning rate over the epochs.

    Args:
        rows: of log.jsonl, of the kinds "epoch" and "step".

    Raises:
        InputError: the file cannot be written.
    """
    epochs = [row for row in rows if row["kind"] == "epoch"]
    steps = [row for row in rows if row["kind"] == "step"]
    places, last = places_of(epochs, steps)

    figure = new_figure(size, theme)
    loss, cider, gain, rate = figure.subplots(4, 1, sharex=True, height_ratios=(3, 3, 1.6, 1.3))
    x = column(epochs, "epoch")
    draw_losses(loss, epochs, steps, places, theme)
    known = np.concatenate([column(epochs, "loss"), column(epochs, "val_loss")])
    if np.isfinite(known).any():
        low, high = np.nanmin(known), np.nanmax(known)
        loss.set_ylim(max(0.0, low - 0.15 * (high - low) - 0.05), high + 0.15 * (high - low) + 0.05)
    values = column(epochs, "cider_d")
    label = "val"
    if np.isfinite(values).any():
        best = int(np.lexsort((column(epochs, "val_loss"), -values))[0])  # of equals that with the smaller loss
        label = f"val, best {values[best]:.3f} at epoch {int(x[best])}"
        cider.plot([x[best]], [values[best]], "o", color=theme.val, markersize=9, markeredgecolor=theme.paper, zorder=5)
    draw_line(cider, x, values, label, theme.val)
    dress(cider, "CIDEr-D", theme)
    cider.set_ylim(0, 1.15 * np.nanmax(values, initial=0) or 1)
    draw_gain(gain, epochs, theme)
    draw_rate(rate, epochs, steps, places, theme)
    for axes, place in ((loss, "upper right"), (cider, "lower right")):
        axes.legend(frameon=False, labelcolor=theme.ink, loc=place, fontsize=10)
    mark_stages((loss, cider, gain, rate), epochs, theme)
    set_epochs(rate, last, theme)
    with write_aside(path) as aside:
        aside.write_bytes(png_of(figure))
