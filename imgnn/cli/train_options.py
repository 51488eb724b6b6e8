"""Options that the commands of `imgnn train` have in common, and what they do with them."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer

from imgnn.cli.parsing import (
    COUNT,
    NETWORK,
    NUMBER,
    PART,
    POSITIVE,
    RESULT,
    SECONDS,
    UNSAID,
    free_run,
    option,
    refuse_together,
    was_given,
)
from imgnn.cli.sentences import DATA
from imgnn.options import TrainSentenceOptions, option_name

RUN, DECODER, TRAINING = "The run", "The decoder", "Training"
Options = TypeVar("Options", bound=TrainSentenceOptions)
Done = TypeVar("Done")

Output = Annotated[
    Path | None,
    option(
        RESULT, "The run's folder. \\[default: DATA_run, in this folder]", "--output", "-o", metavar="RUN", **UNSAID
    ),
]
Resume = Annotated[
    Path | None,
    option(RUN, "Go on with a run that was stopped; it knows its data and options.", metavar="RUN", **UNSAID),
]
Check = Annotated[bool, option(RUN, "Only tell what is in DATA, and what is wrong with it.", "--check")]
Seed = Annotated[int, option(RUN, "The same one draws the same: weights, orders, splits.", metavar="N", min=0)]
SaveEvery = Annotated[
    Any,
    option(
        RUN,
        "Time between two checkpoints within an epoch: 90s, 5m. \\[default: 60s]",
        **SECONDS,
        **UNSAID,
    ),
]
ValShare = Annotated[float, option(DATA, "The part that is kept for validation, where DATA has no split.", **PART)]
Layers = Annotated[
    str | None,
    option(
        NETWORK,
        "Layers whose values, side by side, tell of a picture: fc7. \\[default: what suits the network]",
        metavar="A,B,...",
        **UNSAID,
    ),
]
Size = Annotated[
    int | None,
    option(
        NETWORK,
        "Both sides of the pictures. \\[default: the network's own]",
        metavar="PIXELS",
        min=16,
        **UNSAID,
    ),
]
Mirror = Annotated[bool, option(NETWORK, "Train on mirrored pictures, too.", "--mirror/--no-mirror")]
Cell = Annotated[Literal["lstm", "gru"], option(DECODER, "The recurrent layer.")]
Depth = Annotated[int, option(DECODER, "Recurrent layers.", **COUNT)]
Hidden = Annotated[int, option(DECODER, "Units of each recurrent layer.", **COUNT)]
Embedding = Annotated[int, option(DECODER, "Numbers for a token, and for the picture.", **COUNT)]
Tied = Annotated[bool, option(DECODER, "The tokens' embedding is the output's kernel, too.", "--tied")]
Epochs = Annotated[int, option(TRAINING, "Epochs: times through the sentences.", **COUNT)]
Batch = Annotated[int, option(TRAINING, "Sentences in one step.", **COUNT)]
LearningRate = Annotated[float, option(TRAINING, "The largest learning rate, of Adam.", **POSITIVE)]
Schedule = Annotated[
    Literal["constant", "cosine", "one-cycle"],
    option(TRAINING, "Learning-rate schedule: constant, cosine, one-cycle.", metavar="SCHEDULE"),
]
Dropout = Annotated[float, option(TRAINING, "Share of values that are dropped.", **PART)]
Clip = Annotated[
    float, option(TRAINING, "Gradient clipping: the largest norm of all gradients together; 0: any.", **NUMBER)
]
WeightDecay = Annotated[float, option(TRAINING, "Weight decay: how much weights shrink.", **NUMBER)]
Smoothing = Annotated[
    float, option(TRAINING, "Label smoothing: share of the target that goes to all tokens alike.", **PART)
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
            refuse_together("--resume", "DATA")
        other = next(name for name in others if name != sources)
        refuse_together(option_name(first), option_name(other))


def run_name(source: Path) -> Path:
    """`flickr8k_run` for flickr8k/ and flickr8k.json, in this folder; `flickr8k_run_2` if there is one."""
    return free_run(source.resolve().name if source.is_dir() else source.name.partition(".")[0])


def typed() -> str:
    """The command as it was typed, for the record."""
    return shlex.join(["imgnn", *sys.argv[1:]])
