"""A sheet of pictures over the values of one option or two: which weight, which network, seen at a glance."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from imgnn.errors import InputError
from imgnn.images.files import check_apart, check_writable, load_image, read_settings, save_or_spare
from imgnn.images.sheet import contact_sheet
from imgnn.jobs.style import check, stylise
from imgnn.jobs.style_state import State
from imgnn.options import StyleOptions
from imgnn.runs import Reporter, Silent, is_file


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

    Each picture is kept beside it, under its values: `out_style_weight=10.png`.

    Args:
        axes: option -> its values; the first option goes down if there are two, the last across.
        resume: do not paint again what lies there, made with the same options.

    Raises:
        InputError: more than two options, or what `stylise` refuses.
    """
    reporter, output = reporter or Silent(), Path(output)
    if len(axes) > 2:
        raise InputError(f"a sheet has rows and columns, for two options at most; {len(axes)} were given")
    check_writable(output)
    check_apart(output, [Path(each) for each in (content, *styles, *options.masks)])
    names, values = list(axes), list(axes.values())
    for combination in itertools.product(*values):  # all of them, before the first is painted
        check(replace(options, **dict(zip(names, combination, strict=True))), [Path(each) for each in styles])
    rows = []
    for row in values[0] if len(axes) == 2 else (None,):
        cells = []
        for column in values[-1]:
            own = dict(zip(names, (row, column) if len(axes) == 2 else (column,), strict=True))
            words = [f"{option(name)}={Path(short(value)).name}" for name, value in own.items()]
            path = output.with_name(f"{output.stem}_{'_'.join(words)}{output.suffix}")
            chosen = replace(options, **own)
            if not (resume and is_done(path, Path(content), [Path(each) for each in styles], chosen)):
                reporter.note(", ".join(words))
                half = State(path, Path(content), [Path(each) for each in styles], chosen).path
                stylise(content, styles, path, chosen, reporter, resume=resume and is_file(half))
            cells.append(load_image(path))
        rows.append(cells)
    labels = [[f"{option(name)} {short(value)}" for value in axis] for name, axis in axes.items()]
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
    return settings.get("ended") != "interrupted" and all(settings.get(name) == value for name, value in wanted.items())


def short(value: Any) -> str:
    """A value as one would type it: 10, not 10.0."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def option(name: str) -> str:
    """A field of the options as the command line names it."""
    return name.replace("_", "-")
