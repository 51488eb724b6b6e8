"""How the words of a command line become values: what several commands share."""

import contextlib
import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar

import typer

from imgnn.cli.early import known_network
from imgnn.errors import InputError
from imgnn.options import SMALLEST_TILE, LayerChoice
from imgnn.training.run_folder import as_network

Options = TypeVar("Options")

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


def option(panel: str, help: str, *names: str, **more: Any) -> Any:
    """A `typer.Option` in a panel."""
    return typer.Option(*names, help=help, rich_help_panel=panel, **more)


# Options that several commands have. A value is shown as N (whole), NUMBER, 0..1, PIXELS, TIME, IMAGE, FILE, FOLDER;
# a default that is no plain value stands in the help, as [default: the network's own].
SHARE: dict[str, Any] = {"parser": parse_share, "metavar": "0..1"}
PART: dict[str, Any] = {"parser": parse_part, "metavar": "0..1"}
NUMBER: dict[str, Any] = {"parser": parse_weight, "metavar": "NUMBER"}
POSITIVE: dict[str, Any] = {"parser": parse_positive, "metavar": "NUMBER"}
SECONDS: dict[str, Any] = {"parser": parse_seconds, "metavar": "TIME"}
COUNT: dict[str, Any] = {"metavar": "N", "min": 1}
UNSAID: dict[str, Any] = {"show_default": False}
# Panels of the help that several commands have
RESULT, NETWORK, PICTURES, MACHINE = "The result", "The network", "The pictures", "The machine"
NAMED: dict[str, Any] = {
    "metavar": "NETWORK",
    "help": "A name of imgnn networks, a run of imgnn finetune, or a .keras or .caffemodel file.",
    "callback": known_network,
    "rich_help_panel": NETWORK,
}
Network = Annotated[str, typer.Option("--network", **NAMED)]
Json = Annotated[bool, option(RESULT, "The result as JSON.", "--json")]
JsonLines = Annotated[bool, option(RESULT, "A JSON object for each picture, a line.", "--json")]
Precision = Annotated[
    Literal["auto", "float32", "bfloat16"], option(MACHINE, "What the network computes in; auto: what is faster here.")
]
TileSize = Annotated[
    int | None,
    option(
        MACHINE,
        "Look at tiles of this side. \\[default: when memory asks for it]",
        metavar="PIXELS",
        min=SMALLEST_TILE,
        **UNSAID,
    ),
]
Run = Annotated[
    Path | None, option(NETWORK, "A run of imgnn finetune: its best network.", "--run", metavar="RUN", **UNSAID)
]
Oversample = Annotated[
    bool, option(NETWORK, "Average over ten crops: four corners, centre, and mirrored.", "--oversample")
]
Crops = Annotated[int, option(MACHINE, "Crops that go through the network at once.", "--batch", **COUNT)]
Root = Annotated[
    Path | None,
    option(
        PICTURES,
        "The folder that paths in lists start from. \\[default: the lists' own]",
        metavar="FOLDER",
        file_okay=False,
        **UNSAID,
    ),
]
Workers = Annotated[
    int | None, option(MACHINE, "Pictures read at once. \\[default: one for each core]", metavar="N", min=1, **UNSAID)
]
MACHINES = "Many machines"
Dask = Annotated[
    str | None,
    option(
        MACHINES,
        "A Dask scheduler, as tcp://10.0.0.5:8786, whose workers do it; they see the folder.",
        metavar="ADDRESS",
        **UNSAID,
    ),
]
CHOSEN: dict[str, Any] = {"parser": parse_layers, "metavar": "A,B=2,...", "show_default": False}


def refuse_together(option: str, other: str) -> NoReturn:
    """The usage error of two words of the command line of which one makes the other useless."""
    raise typer.BadParameter(f"{option} does not go with {other}")


def refuse_without(option: str, needed: str) -> NoReturn:
    """The usage error of an option that is of use only beside another one."""
    raise typer.BadParameter(f"{option} goes with {needed}")


def chosen_network(network: str | None, run: Path | None) -> str | None:
    """What `--network` or `--run` names, as the jobs take it; None if neither was given. Both are a usage error.

    Raises:
        InputError: there is no run in the folder.
    """
    if network is not None and run is not None:
        refuse_together("--run", "--network")
    return as_network(run) if run is not None else network


def settings_of(kind: type[Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """What of a command's parameters is a field of a job's options; several that were not given are none: ()."""
    named = [field for field in fields(kind) if field.name in params]
    return {each.name: tuple(params[each.name] or ()) if each.default == () else params[each.name] for each in named}


def options_of(kind: type[Options], context: typer.Context, **otherwise: Any) -> Options:
    """A job's options, as the command line has them.

    Args:
        otherwise: fields that no parameter is called like, or that are not as they were typed.
    """
    return kind(**{**settings_of(kind, context.params), **otherwise})


def free_run(stem: str) -> Path:
    """A folder for a new run, in this one: `STEM_run`; `STEM_run_2` if there is one, and so on."""
    names = itertools.chain([f"{stem}_run"], (f"{stem}_run_{number}" for number in itertools.count(2)))
    return next(Path(name) for name in names if not Path(name).exists())


def was_given(context: typer.Context, name: str) -> bool:
    """Whether a parameter is on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
