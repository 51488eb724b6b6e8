"""Options that several commands about captions have."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from imgnn.cli.parsing import MACHINE, UNSAID, parse_numbers, parse_weight


def option(panel: str, help: str, *names: str, **more: Any) -> Any:
    """A `typer.Option` in a panel."""
    return typer.Option(*names, help=help, rich_help_panel=panel, **more)


# A data set
DATA = "The data"
FORMS = Literal["karpathy", "coco", "flickr", "neuraltalk2", "csv", "jsonl", "folder"]
Form = Annotated[FORMS | None, option(DATA, "Of DATA. \\[default: by what is in it]", **UNSAID)]
Images = Annotated[
    Path | None,
    option(
        DATA,
        "The folder that pictures' names start from. \\[default: found beside DATA]",
        exists=True,
        file_okay=False,
        **UNSAID,
    ),
]
SkipMissing = Annotated[bool, option(DATA, "Leave out pictures that are not there.", "--skip-missing")]

# How sentences are written
MODELS, CAPTIONS, SEARCH = "The models", "The captions", "By beam search"
Models = Annotated[
    list[str] | None,
    option(
        MODELS,
        "A run of imgnn train caption. Several: the mean of their probabilities.",
        "--model",
        "-m",
        metavar="RUN",
        **UNSAID,
    ),
]
Weights = Annotated[
    Any,
    option(
        MODELS, "How much each model counts. \\[default: the same]", parser=parse_numbers, metavar="2,1,...", **UNSAID
    ),
]
NetworkFile = Annotated[
    str | None,
    option(
        MODELS, "Where the network that a model looks with is now. \\[default: where it was]", metavar="FILE", **UNSAID
    ),
]
MaxLength = Annotated[int, option(CAPTIONS, "Tokens at most, the end is one.", min=1)]
MinLength = Annotated[int, option(CAPTIONS, "Words at least.", min=0)]
NoRepeatNgram = Annotated[int, option(CAPTIONS, "So many words in a row do not come twice; 0: they may.", min=0)]
Unk = Annotated[bool, option(CAPTIONS, "Let <UNK> be said, for a word that is not known.", "--unk")]
Beam = Annotated[
    int | None,
    option(SEARCH, "Sentences that are followed. \\[default: 3; 20 for several captions]", min=1, **UNSAID),
]
LengthPenalty = Annotated[
    float,
    option(
        SEARCH,
        "The order is that of log_prob / length ** this; 0: short ones win.",
        parser=parse_weight,
        metavar="FLOAT",
    ),
]
Batch = Annotated[int, option(MACHINE, "Pictures that are captioned at once.", min=1)]
