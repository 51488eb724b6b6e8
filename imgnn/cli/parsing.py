"""How the words of a command line become values: what several commands share."""

import contextlib
import itertools
import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from imgnn.errors import InputError
from imgnn.options import LayerChoice
from imgnn.training.run_folder import as_network

UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}


def parse_weight(text: str) -> float:
    """`0.05`: 0 or more, and finite, which "inf" and "nan" are not. Anything else is a usage error."""
    with contextlib.suppress(ValueError):
        if math.isfinite(weight := float(text)) and weight >= 0:
            return weight
    raise typer.BadParameter(f"a number, 0 or more, is expected, not {text!r}")


def parse_positive(text: str) -> float:
    """`0.05`: above 0, and finite. Anything else is a usage error."""
    with contextlib.suppress(ValueError):
        if 0 < (number := float(text)) < math.inf:
            return number
    raise typer.BadParameter(f"a number above 0 is expected, not {text!r}")


def parse_seconds(text: str) -> float:
    """`90`, `90s`, `5m`, `1h` -> seconds. Anything else is a usage error."""
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = text[len(number) :].strip()
    if unit not in UNITS:
        raise typer.BadParameter(f"a time such as 90s, 5m or 1h is expected, not {text!r}")
    return parse_weight(number) * UNITS[unit]


def parse_share(text: str) -> float:
    """`0.9` or `90%` -> a share. Anything else is a usage error."""
    text = str(text)  # Typer hands a default over as it is
    number = parse_weight(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if number > 1:
        raise typer.BadParameter(f"a share from 0 to 1 is expected, as 0.9 or 90%, not {text!r}")
    return number


def parse_part(text: str) -> float:
    """`0.2`: 0 or more, and below 1. Anything else is a usage error."""
    if (share := parse_weight(text)) < 1:
        return share
    raise typer.BadParameter(f"a number from 0 to 1, less than 1, is expected, not {text!r}")


def parse_layers(text: str) -> tuple[LayerChoice, ...]:
    """`conv1,fire2/concat=0.5` -> its layers. An empty name is a usage error."""
    try:
        return tuple(LayerChoice.parse(word) for word in text.split(","))
    except InputError as error:
        raise typer.BadParameter(str(error)) from None


def parse_numbers(text: str) -> tuple[float, ...]:
    """`3,1` -> its numbers. Anything else is a usage error."""
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"numbers with commas between them are expected, not {text!r}") from None


def parse_size(text: str) -> tuple[int, int]:
    """`256` or `240x320` (height, width) -> pixels. Anything else is a usage error."""
    found = re.fullmatch(r"([0-9]{1,5})(?:[x×]([0-9]{1,5}))?", text)
    size = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if min(size) < 1:
        raise typer.BadParameter(f"a size is a side, 256, or HEIGHTxWIDTH, 240x320, not {text!r}")
    return size


def parse_shard(text: str) -> tuple[int, int]:
    """`2/3` -> which part of how many. Anything else is a usage error."""
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise typer.BadParameter(f"a part is written 1/3, 2/3 or 3/3, not {text!r}")
    return int(found[1]), int(found[2])


# Options that several commands have.
SHARE: dict[str, Any] = {"parser": parse_share, "metavar": "0..1"}
UNSAID: dict[str, Any] = {"show_default": False}
MACHINE = "The machine"
Precision = Annotated[
    Literal["auto", "float32", "bfloat16"],
    typer.Option(help="What the network computes in; auto: what is faster here.", rich_help_panel=MACHINE),
]
TileSize = Annotated[
    int | None,
    typer.Option(
        help="Look at tiles of this side. \\[default: when memory asks for it]",
        min=128,
        rich_help_panel=MACHINE,
        show_default=False,
    ),
]
Run = Annotated[
    Path | None,
    typer.Option("--run", metavar="RUN", help="A run of imgnn finetune: its best network.", show_default=False),
]
MACHINES = "Many machines"
Dask = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="A Dask scheduler, as tcp://10.0.0.5:8786, whose workers do it; they see the folder.",
        rich_help_panel=MACHINES,
        show_default=False,
    ),
]
CHOSEN: dict[str, Any] = {"parser": parse_layers, "metavar": "A,B=2,...", "show_default": False}


def chosen_network(network: str | None, run: Path | None) -> str | None:
    """What `--network` or `--run` names, as the jobs take it; None if neither was given. Both are a usage error.

    Raises:
        InputError: there is no run in the folder.
    """
    if network is not None and run is not None:
        raise typer.BadParameter("--run names the network already; --network another one")
    return as_network(run) if run is not None else network


def free_run(stem: str) -> Path:
    """A folder for a new run, in this one: `STEM_run`; `STEM_run_2` if there is one, and so on."""
    names = itertools.chain([f"{stem}_run"], (f"{stem}_run_{number}" for number in itertools.count(2)))
    return next(Path(name) for name in names if not Path(name).exists())


def was_given(context: typer.Context, name: str) -> bool:
    """Whether a parameter is on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
