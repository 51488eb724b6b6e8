"""Options that the commands of `imgnn train` have in common, and what they do with them."""

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer

from imgnn.cli import console
from imgnn.cli.parsing import (
    MACHINE,
    UNSAID,
    free_run,
    parse_part,
    parse_positive,
    parse_seconds,
    parse_weight,
    was_given,
)
from imgnn.cli.sentences import DATA, option
from imgnn.errors import InputError
from imgnn.options import TrainSentenceOptions, option_name
from imgnn.runs import Reporter
from imgnn.training.run_folder import Kind, read_config

RUN, FEATURE, DECODER, TRAINING = "The run", "The feature", "The decoder", "Training"
Options = TypeVar("Options", bound=TrainSentenceOptions)
Done = TypeVar("Done")

Json = Annotated[bool, typer.Option("--json", help="The result as one JSON object on stdout.")]
Output = Annotated[
    Path | None,
    option(RUN, "The run's folder. \\[default: DATA_run, in this folder]", "--output", "-o", metavar="RUN", **UNSAID),
]
Resume = Annotated[Path | None, option(RUN, "Go on with a run that was stopped; alone.", metavar="RUN", **UNSAID)]
Check = Annotated[bool, option(RUN, "Only tell what is in DATA, and what is wrong with it.", "--check")]
Seed = Annotated[int, option(RUN, "Of everything that is drawn at random.", min=0)]
SaveEvery = Annotated[
    Any,
    option(
        RUN,
        "Between two checkpoints within an epoch: 90s, 5m. \\[default: 60s]",
        parser=parse_seconds,
        metavar="TIME",
        **UNSAID,
    ),
]
ValShare = Annotated[
    float,
    option(DATA, "The part that is kept to judge by, where DATA has no split.", parser=parse_part, metavar="0..1"),
]
Network = Annotated[
    str, option(FEATURE, "A name of imgnn networks, a run, a .keras or .caffemodel file.", "--network", "-n")
]
Layers = Annotated[
    str | None,
    option(
        FEATURE,
        "Layers whose values, side by side, tell of a picture: fc7. \\[default: what suits the network]",
        metavar="A,B,...",
        **UNSAID,
    ),
]
Size = Annotated[int | None, option(FEATURE, "Pixels, both sides. \\[default: the network's own]", min=16, **UNSAID)]
Mirror = Annotated[bool, option(FEATURE, "Train on mirrored pictures, too.", "--mirror/--no-mirror")]
Cell = Annotated[Literal["lstm", "gru"], option(DECODER, "The recurrent layer.")]
Depth = Annotated[int, option(DECODER, "Recurrent layers.", min=1)]
Hidden = Annotated[int, option(DECODER, "Units of each.", min=1)]
Embedding = Annotated[int, option(DECODER, "Numbers for a token, and for the picture.", min=1)]
Tied = Annotated[bool, option(DECODER, "The tokens' embedding is the output's kernel, too.", "--tied")]
Epochs = Annotated[int, option(TRAINING, "Times through the sentences.", min=1)]
Batch = Annotated[int, option(TRAINING, "Sentences in one step.", min=1)]
LearningRate = Annotated[float, option(TRAINING, "The largest, of Adam.", parser=parse_positive, metavar="FLOAT")]
Schedule = Annotated[Literal["constant", "cosine", "one-cycle"], option(TRAINING, "How it goes on.")]
Dropout = Annotated[float, option(TRAINING, "Share of values that are dropped.", parser=parse_part, metavar="0..1")]
Clip = Annotated[
    float,
    option(TRAINING, "The largest norm of all gradients together; 0: any.", parser=parse_weight, metavar="FLOAT"),
]
WeightDecay = Annotated[float, option(TRAINING, "How much weights shrink.", parser=parse_weight, metavar="FLOAT")]
Smoothing = Annotated[
    float, option(TRAINING, "Share of the target that goes to all tokens alike.", parser=parse_part, metavar="0..1")
]
Workers = Annotated[
    int | None, option(MACHINE, "Pictures read at once. \\[default: one for each core]", min=1, **UNSAID)
]


def given_in(context: typer.Context) -> list[str]:
    """The names of the parameters that are on the command line."""
    return [name for name in context.params if was_given(context, name)]


def options_in(context: typer.Context, kind: type[Options], usual: Mapping[str, Any] | None = None) -> Options:
    """What the command line says of a training; the rest is `usual`, or the default."""
    names = {field.name for field in fields(kind)}
    said = {name: context.params[name] for name in given_in(context) if name in names}
    if "layers" in said:
        said["layers"] = tuple(word.strip() for word in said["layers"].split(","))
        if not all(said["layers"]):
            raise typer.BadParameter(f"names with commas between them are expected, not {context.params['layers']!r}")
    if said.get("patience") == 0:
        said["patience"] = None
    return kind(**{**(usual or {}), **said})


def check_together(given: Sequence[str], alone: Mapping[str, Sequence[str]], sources: str) -> None:
    """Refuse options of which one says what the others are for.

    Args:
        given: parameters that are on the command line.
        alone: a parameter that needs few others -> those that it takes.
        sources: the parameter of the data.
    """
    first = next((name for name in alone if name in given), None)
    if first is None:
        return
    if others := [name for name in given if name not in (first, *alone[first])]:
        if others == [sources]:
            raise typer.BadParameter("the run knows its data: no DATA goes with it", param_hint="--resume")
        other = next(name for name in others if name != sources)
        raise typer.BadParameter(f"does not go with {option_name(other)}", param_hint=option_name(first))


def check_sources(sources: Sequence[Path]) -> None:
    """Refuse data that are not there, before Keras wakes.

    Raises:
        InputError: which.
    """
    for source in sources:
        if not source.exists():
            raise InputError(f"no such file or folder: {console.shown(source)}")


def check_run(folder: Path, kind: Kind) -> None:
    """Refuse a folder that is no run of this kind, before Keras wakes."""
    read_config(folder, kind)


def run_name(source: Path) -> Path:
    """`flickr8k_run` for flickr8k/ and flickr8k.json, in this folder; `flickr8k_run_2` if there is one."""
    return free_run(source.resolve().name if source.is_dir() else source.name.partition(".")[0])


def typed() -> str:
    """The command as it was typed, for the record."""
    return shlex.join(["imgnn", *sys.argv[1:]])


def ending(reporter: Reporter, work: Callable[[], Done]) -> Done:
    """The result of long work, after whose progress nothing is left on the screen."""
    try:
        return work()
    finally:
        reporter.end()
