"""A sheet of pictures over the values of one option or two: which weight, which network, seen at a glance."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from imgnn.errors import ImgnnError, InputError, InterruptedRun
from imgnn.images.files import check_apart, check_writable, load_image, read_settings, save_or_spare
from imgnn.images.sheet import contact_sheet
from imgnn.jobs.style import check, stylise
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
        raise InputError(f"a sheet has rows and columns, for two options at most; {len(axes)} were given")
    check_writable(output)
    check_apart(output, [Path(each) for each in (content, *styles, *options.files)])
    names, values = list(axes), list(axes.values())
    for combination in itertools.product(*values):  # all of them, before the first is painted
        check(replace(options, **dict(zip(names, combination, strict=True))), [Path(each) for each in styles])
    rows, failures = [], []
    for row in values[0] if len(axes) == 2 else (None,):
        cells = []
        for column in values[-1]:
            own = dict(zip(names, (row, column) if len(axes) == 2 else (column,), strict=True))
            words = [f"{option_name(name)[2:]}={Path(short(value)).name}" for name, value in own.items()]
            path = output.with_name(f"{output.stem}_{'_'.join(words)}{output.suffix}")
            chosen = replace(options, **own)
            if not (resume and is_done(path, Path(content), [Path(each) for each in styles], chosen)):
                reporter.note(", ".join(words))
                half = State(path, Path(content), [Path(each) for each in styles], chosen).path
                try:
                    stylise(content, styles, path, chosen, reporter, resume=resume and is_file(half))
                except InterruptedRun:
                    raise
                except ImgnnError as error:  # the others may do better
                    reporter.note(f"{', '.join(words)}: {error}")
                    failures.append(error)
            cells.append(load_image(path) if is_file(path) else BLANK)
        rows.append(cells)
    if len(failures) == math.prod(map(len, values)):
        raise failures[-1]
    labels = [[f"{option_name(name)[2:]} {short(value)}" for value in axis] for name, axis in axes.items()]
    save_or_spare(
        output,
        contact_sheet(rows, column_labels=labels[-1], row_labels=labels[0] if len(labels) == 2 else ()),
        {"command": "style --grid", "axes": {name: list(axis) for name, axis in axes.items()}},
    )
    return output


def is_done(path: Path, content: Path, styles: Sequence[Path], options: StyleOptions) -> bool:
    """Whether a picture lies there that was made of these files with these options, to its end."""
    if not is_file(path):
        return False
    settings = read_settings(path)
    wanted = State(path, content, styles, options).settings()
    return settings.get("ended") in ("done", "plateau", "time") and all(
        settings.get(name) == value for name, value in wanted.items()
    )


def short(value: Any) -> str:
    """A value as one would type it: 10, not 10.0."""
    return f"{value:g}" if isinstance(value, float) else str(value)
