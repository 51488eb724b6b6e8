"""A sheet of pictures over the values of one option or two: which weight, which network, seen at a glance."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from imgnn.errors import ImgnnError, InterruptedRun, OptionError
from imgnn.images.files import check_apart, check_writable, load_image, read_settings, save_or_spare
from imgnn.images.sheet import contact_sheet
from imgnn.jobs.style import stylise
from imgnn.jobs.style_state import State
from imgnn.options import StyleOptions, option_name
from imgnn.runs import Reporter, Silent, is_file

BLANK = np.full((96, 128, 3), 255, "uint8")  # of values with which nothing can be painted


def draw_grid(
    content: str | Path,
    styles: Sequence[str | Path],
    output: str | Path,
    options: StyleOptions,
    axes: Mapping[str, Sequence[Any]],
    reporter: Reporter | None = None,
    *,
    resume: bool = False,
) -> Path:
    """Paint the photo once for each combination of values, and lay the pictures out on one sheet, `output`.

    Each picture is kept beside it, under its values: `out_style-weight=10.png`.

    Args:
        axes: option -> its values; the first option goes down if there are two, the last across.
        resume: do not paint again what lies there, made with the same options.

    Raises:
        InputError: more than two options, or values that cannot be meant.
        ImgnnError: what `stylise` raises, if it does for every combination; of some it is told, and their cells are
            empty.
    """
    reporter, output = reporter or Silent(), Path(output)
    if len(axes) > 2:
        raise OptionError(f"a sheet has rows and columns, for two options at most; {len(axes)} were given")
    check_writable(output)
    photo, paintings = Path(content), [Path(each) for each in styles]
    check_apart(output, [photo, *paintings, *options.files])
    combinations = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    for own in combinations:  # all of them, before the first is painted
        replace(options, **own).check(len(paintings))
    cells, failures = [], []
    for own in combinations:
        words = [f"{option_name(name)[2:]}={Path(short(value)).name}" for name, value in own.items()]
        path = output.with_name(f"{output.stem}_{'_'.join(words)}{output.suffix}")
        state = State(path, photo, paintings, replace(options, **own))
        if not (resume and is_done(state)):
            reporter.note(", ".join(words))
            try:
                stylise(photo, paintings, path, state.options, reporter, resume=resume and is_file(state.path))
            except InterruptedRun:
                raise
            except ImgnnError as error:  # the others may do better
                reporter.note(f"{', '.join(words)}: {error}")
                failures.append(error)
        cells.append(load_image(path) if is_file(path) else BLANK)
    if len(failures) == len(combinations):
        raise failures[-1]
    columns = len(list(axes.values())[-1])
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    labels = [[f"{option_name(name)[2:]} {short(value)}" for value in axis] for name, axis in axes.items()]
    save_or_spare(
        output,
        contact_sheet(rows, column_labels=labels[-1], row_labels=labels[0] if len(labels) == 2 else ()),
        {"command": "style --grid", "axes": {name: list(axis) for name, axis in axes.items()}},
    )
    return output


def is_done(state: State) -> bool:
    """Whether the picture lies there, made of these files with these options, to its end."""
    if not is_file(state.output):
        return False
    settings = read_settings(state.output)
    return settings.get("ended") in ("done", "plateau", "time") and all(
        settings.get(name) == value for name, value in state.settings().items()
    )


def short(value: Any) -> str:
    """A value as one would type it: 10, not 10.0."""
    return f"{value:g}" if isinstance(value, float) else str(value)
