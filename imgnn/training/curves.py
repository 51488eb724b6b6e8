"""The curves of a run: pictures by matplotlib, and a line of block characters for the terminal."""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgnn.runs import write_aside

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, Any]]

BLOCKS = "▁▂▃▄▅▆▇█"
FEW = 30  # epochs: so many points are drawn as dots
MANY = 400  # steps: more than that are averaged in groups
MARGIN = 0.12  # inches
WIDE, NARROW = (8.0, 8.6), (4.4, 7.4)  # width and height, inches: for a screen, for a telephone
DPI = 120


@dataclass(frozen=True)
class Theme:
    """The colours of a picture of curves; train and val are also told apart in grey and by the colour-blind."""

    paper: str
    ink: str
    faint: str  # axes, grid, the losses of single steps
    train: str
    val: str


LIGHT = Theme(paper="#ffffff", ink="#1f2933", faint="#c3cad3", train="#8795a6", val="#0b63c5")
DARK = Theme(paper="#171b21", ink="#e6eaf0", faint="#3c4653", train="#8f9dae", val="#5cb0ff")


def draw_curves(rows: Rows, path: Path, *, theme: Theme = LIGHT, size: tuple[float, float] = WIDE) -> None:
    """Draw loss, accuracy and learning rate of a run over its epochs: train and val, the stages, the best epoch.

    Args:
        rows: of log.jsonl. Those of the kind "epoch" are the curves; those of the kind "step", where there are any,
            are drawn thin behind them. Values that are missing or not finite leave a gap.
        path: of the PNG, 960 pixels wide.
        size: width and height in inches of 120 pixels; letters keep theirs, so that less is to be read in small.

    Raises:
        InputError: the file cannot be written.
    """
    with write_aside(path) as aside:
        aside.write_bytes(png_of(curves_figure(rows, theme, size)))


def curves_figure(rows: Rows, theme: Theme = LIGHT, size: tuple[float, float] = WIDE) -> "Figure":
    """What `draw_curves` draws: three axes, loss, accuracy and learning rate."""
    epochs = [row for row in rows if row.get("kind", "epoch") == "epoch"]
    steps = [row for row in rows if row.get("kind") == "step"]
    places, last = places_of(epochs, steps)

    figure = new_figure(size, theme)
    loss, accuracy, rate = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1.3))
    best = best_epoch(rows)
    for axes, name, title in ((loss, "loss", "loss"), (accuracy, "accuracy", "accuracy, %")):
        factor = 100 if name == "accuracy" else 1
        draw_steps(axes, places, factor * column(steps, name), theme)
        for key, label, colour in ((name, "train", theme.train), (f"val_{name}", "val", theme.val)):
            values = factor * column(epochs, key)
            if key == "val_accuracy" and best is not None:
                label = f"val, best {100 * best[key]:.1f} % at epoch {best['epoch']}"
                dot = {"markersize": 9, "markeredgecolor": theme.paper, "zorder": 5}
                axes.plot([best["epoch"]], [100 * best[key]], "o", color=colour, **dot)
            if np.isfinite(values).any():
                draw_line(axes, column(epochs, "epoch"), values, label, colour)
        dress(axes, title, theme)
        set_limits(axes, epochs, steps, name, factor)
        if axes.get_legend_handles_labels()[1]:
            place = "upper right" if name == "loss" else "lower right"
            axes.legend(frameon=False, labelcolor=theme.ink, loc=place, fontsize=10)
    draw_rate(rate, epochs, steps, places, theme)
    mark_stages((loss, accuracy, rate), epochs, theme)
    set_epochs(rate, last, theme)
    return figure


def draw_lr_curve(
    rates: Sequence[float],
    losses: Sequence[float],
    chosen: float | None,
    path: Path,
    *,
    raw: Sequence[float] = (),
    theme: Theme = LIGHT,
) -> None:
    """Draw a learning-rate range test: the loss over the rates that were tried, and the rate that was chosen.

    Args:
        rates: rising.
        losses: smoothed, one for each rate; what is not finite leaves a gap.
        chosen: is marked; None: no rate was.
        raw: the losses of the single steps, thin behind the curve.

    Raises:
        InputError: the file cannot be written.
    """
    figure = new_figure((8, 4.4), theme)
    axes = figure.subplots()
    x, y = np.asarray(rates, "float64"), finite(losses)
    if len(raw):
        axes.plot(x, finite(raw), color=theme.faint, linewidth=1, label="each step")
    axes.plot(x, y, color=theme.val, linewidth=2.2, label="smoothed")
    axes.set_xscale("log")
    dress(axes, "loss", theme)
    axes.set_xlabel("learning rate", color=theme.ink)
    known = y[np.isfinite(y)]
    if len(known):
        # Where it diverges the loss goes up without end; what is worth seeing is the way down.
        begin = float(np.median(known[:5]))
        drop = begin - known.min()
        top = min(known.max(), begin + drop) if drop > 0.05 * begin else min(known.max(), 2 * begin)
        margin = 0.08 * (top - known.min()) or 0.1
        axes.set_ylim(known.min() - margin, top + margin)
    if chosen is not None:
        axes.axvline(chosen, color=theme.ink, linewidth=1, linestyle=(0, (4, 3)))
        there = np.isfinite(y)
        if there.any():
            height = float(np.interp(math.log(chosen), np.log(x[there]), known))
            axes.plot([chosen], [height], "o", color=theme.ink, markersize=7, zorder=5)
        right = chosen > math.sqrt(x[0] * x[-1])
        axes.annotate(
            f"{chosen:.2g}",
            (chosen, 1),
            xycoords=("data", "axes fraction"),
            xytext=(-6 if right else 6, -6),
            textcoords="offset points",
            ha="right" if right else "left",
            va="top",
            color=theme.ink,
            fontsize=12,
            fontweight="bold",
        )
    if len(raw):
        axes.legend(frameon=False, labelcolor=theme.ink, loc="lower left", fontsize=10)
    with write_aside(path) as aside:
        aside.write_bytes(png_of(figure))


def sparkline(values: Sequence[float], width: int) -> str:
    """Values as a line of block characters, lowest ▁ to highest █: `sparkline([3, 2, 1, 1], 10)` is "█▅▁▁".

    Args:
        values: what is missing (None) or not finite becomes a space.
        width: characters, at most; more values than that are averaged in groups.
    """
    known = finite(values)
    if len(known) > width:
        groups = np.array_split(known, width)
        known = np.array([group[there].mean() if (there := np.isfinite(group)).any() else math.nan for group in groups])
    there = np.isfinite(known)
    if not there.any():
        return " " * len(known)
    low, high = known[there].min(), known[there].max()
    share = (known - low) / (high - low) if high > low else np.where(there, 0.0, math.nan)
    return "".join(BLOCKS[round(each * (len(BLOCKS) - 1))] if np.isfinite(each) else " " for each in share)


# The parts of a picture ----------------------------------------------------------------------------------------


def places_of(epochs: Rows, steps: Rows) -> tuple[np.ndarray, float]:
    """Where steps lie between the ends of epochs, which are the whole numbers on the axis; and where the axis ends.

    Returns:
        float64 `(steps,)`, epochs; and the last epoch's number.
    """
    marks = [0, *(row["epoch"] for row in epochs)]
    if not steps:
        return np.zeros(0), marks[-1]
    ends = [0, *(row["step"] for row in epochs)]
    if steps[-1]["step"] > ends[-1]:  # an epoch that was not finished
        ends, marks = [*ends, steps[-1]["step"]], [*marks, marks[-1] + 1]
    return np.interp([row["step"] for row in steps], ends, marks), marks[-1]


def column(rows: Rows, name: str) -> np.ndarray:
    """The values of one name, float64 `(rows,)`; nan where a row has none or one that is not finite."""
    return finite([row.get(name) for row in rows])


def finite(values: Sequence[float | None]) -> np.ndarray:
    """Float64; nan for None and for what is not finite."""
    found = np.array([math.nan if value is None else value for value in values], "float64")
    return np.where(np.isfinite(found), found, math.nan)


def new_figure(size: tuple[float, float], theme: Theme) -> "Figure":
    """An empty figure, width and height in inches, that knows nothing of pyplot and its state."""
    from matplotlib.figure import Figure  # 0.3 seconds that no other command should wait for

    figure = Figure(size, dpi=DPI, facecolor=theme.paper, layout="constrained")
    figure.set_layout_engine("constrained", w_pad=MARGIN, h_pad=MARGIN)
    return figure


def png_of(figure: "Figure") -> bytes:
    """A figure as the bytes of a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    file = io.BytesIO()
    FigureCanvasAgg(figure).print_png(file)
    return file.getvalue()


def dress(axes: "Axes", title: str, theme: Theme, *, room: float = 0) -> None:
    """Title on the left, with `room` below it (points), a faint grid of horizontal lines, no frame but the floor."""
    axes.set_facecolor(theme.paper)
    axes.set_title(title, loc="left", color=theme.ink, fontsize=12, fontweight="bold", pad=6 + room)
    axes.grid(axis="y", color=theme.faint, linewidth=0.7, alpha=0.6)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(theme.faint)
    axes.tick_params(which="both", colors=theme.ink, length=0, labelsize=10)


def draw_line(axes: "Axes", x: np.ndarray, y: np.ndarray, label: str, colour: str) -> None:
    """A curve through `(points,)`; a few points, or one that stands between two gaps of nan, are dots as well."""
    alone = np.isfinite(y) & ~np.isfinite(np.roll(y, 1)) & ~np.isfinite(np.roll(y, -1))
    dots = "o" if len(y) <= FEW or alone.any() else ""
    axes.plot(x, y, color=colour, label=label, linewidth=2.2, marker=dots, markersize=4.5)


def draw_losses(axes: "Axes", epochs: Rows, steps: Rows, places: np.ndarray, theme: Theme) -> None:
    """What the next token costs in a training of sentences, beside what it costs in val."""
    x = column(epochs, "epoch")
    draw_steps(axes, places, column(steps, "loss"), theme)
    draw_line(axes, x, column(epochs, "loss"), "train, with dropout", theme.train)
    draw_line(axes, x, column(epochs, "val_loss"), "val", theme.val)
    dress(axes, "nats per token", theme)


def draw_steps(axes: "Axes", x: np.ndarray, y: np.ndarray, theme: Theme) -> None:
    """The values of single steps, behind the curves; of very many, the means of neighbours."""
    if np.isfinite(y).any():
        if len(y) > MANY:
            size = math.ceil(len(y) / MANY)
            x, y = (each[: len(each) // size * size].reshape(-1, size).mean(axis=1) for each in (x, y))
        axes.plot(x, y, color=theme.faint, linewidth=0.8, zorder=1)


def set_limits(axes: "Axes", epochs: Rows, steps: Rows, name: str, factor: float) -> None:
    """Show all epochs; of steps, not the few that are far out."""
    values = factor * np.concatenate([column(epochs, name), column(epochs, f"val_{name}")])
    ends, behind = values[np.isfinite(values)], factor * column(steps, name)
    behind = behind[np.isfinite(behind)]
    if name == "accuracy":
        lows = [*ends, *(np.percentile(behind, [5]) if len(behind) else ())]
        axes.set_ylim(10 * math.floor(min(lows, default=0) / 10) - 2, 102)
        return
    tops = [*ends, *(np.percentile(behind, [95]) if len(behind) else ())]
    axes.set_ylim(0, 1.08 * max(tops, default=1) or 1)


def draw_gain(axes: "Axes", epochs: Rows, theme: Theme) -> None:
    """What pictures add to sentences, on an axis that has 0 on it."""
    gain = column(epochs, "image_gain")
    draw_line(axes, column(epochs, "epoch"), gain, "", theme.val)
    dress(axes, "image gain: nats per token that the right picture saves", theme)
    ends = np.nan_to_num([0.0, *gain])
    axes.set_ylim(1.2 * ends.min(), 1.2 * ends.max() or 1)


def draw_rate(axes: "Axes", epochs: Rows, steps: Rows, places: np.ndarray, theme: Theme) -> None:
    """The learning rate: of each step where they are known."""
    x, y = column(epochs, "epoch"), column(epochs, "learning_rate")
    of_steps = column(steps, "learning_rate")
    if np.isfinite(of_steps).any():
        x, y = places, of_steps
        axes.plot(x, y, color=theme.ink, linewidth=1.5)
    elif np.isfinite(y).any():
        draw_line(axes, x, y, "", theme.ink)
    dress(axes, "learning rate", theme)
    if np.isfinite(y).any():
        axes.set_ylim(0, 1.15 * float(np.nanmax(y)) or 1)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 3))
    axes.yaxis.get_offset_text().set_color(theme.ink)


def best_epoch(rows: Rows) -> Mapping[str, Any] | None:
    """The epoch with the best val accuracy, of several the one with the smallest val loss; None without validation."""
    known = [row for row in rows if row.get("kind", "epoch") == "epoch" and row.get("val_accuracy") is not None]
    known = [row for row in known if math.isfinite(row["val_accuracy"])]
    return max(known, key=lambda row: (row["val_accuracy"], -(row.get("val_loss") or 0.0)), default=None)


def mark_stages(every: Sequence["Axes"], epochs: Rows, theme: Theme) -> None:
    """A line where a stage begins, with its name on the first picture; nothing where there is one only."""
    stages = [row.get("stage") for row in epochs]
    if len(set(stages)) < 2:
        return
    begins = [0, *(place for place in range(1, len(stages)) if stages[place] != stages[place - 1])]
    dress(every[0], every[0].get_title("left"), theme, room=18)
    for place in begins:
        x = epochs[place]["epoch"] - 1  # an epoch's numbers are drawn where it ends
        for axes in every if place else ():
            axes.axvline(x, color=theme.ink, linewidth=1, linestyle=(0, (2, 3)), alpha=0.7)
        every[0].annotate(
            str(stages[place]),
            (x, 1.02),
            xycoords=("data", "axes fraction"),
            va="bottom",
            color=theme.ink,
            fontsize=10,
            style="italic",
        )


def set_epochs(axes: "Axes", last: float, theme: Theme) -> None:
    """Whole numbers on the common axis, from before the first epoch to the last."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(0, 1.02 * max(last, 1))
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    axes.set_xlabel("epoch", color=theme.ink)
