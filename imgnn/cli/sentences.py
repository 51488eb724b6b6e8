"""What several commands about sentences for pictures have: options."""

from pathlib import Path
from typing import Annotated, Any, Literal

from imgnn.cli.parsing import COUNT, MACHINE, NETWORK, NUMBER, UNSAID, option, parse_numbers
from imgnn.errors import missing
from imgnn.runs import is_folder


def existing_folder(path: Path | None) -> Path | None:
    """A folder that is there, or none that was named; told before Keras wakes.

    Raises:
        InputError: it is not.
    """
    if path is not None and not is_folder(path):
        raise missing(path, "folder")
    return path


# A data set
DATA = "The data"
FORMS = Literal["karpathy", "coco", "flickr", "neuraltalk2", "csv", "jsonl", "folder"]
Form = Annotated[
    FORMS | None,
    option(
        DATA,
        "How DATA is written: karpathy, coco, flickr, neuraltalk2, csv, jsonl, folder. \\[default: by what is in it]",
        metavar="FORM",
        **UNSAID,
    ),
]
Images = Annotated[
    Path | None,
    option(
        DATA,
        "The folder that pictures' names start from. \\[default: found beside DATA]",
        metavar="FOLDER",
        callback=existing_folder,
        **UNSAID,
    ),
]
SkipMissing = Annotated[bool, option(DATA, "Leave out pictures that are not there.", "--skip-missing")]
Split = Annotated[
    Literal["train", "val", "test", "all"] | None,
    option(DATA, "The pictures judged. \\[default: test, or val if there is none]", **UNSAID),
]
Limit = Annotated[
    int | None, option(DATA, "Only so many pictures, the first ones. \\[default: all]", **COUNT, **UNSAID)
]

# How sentences are written
MODELS, CAPTIONS, SEARCH = "The model", "The captions", "By beam search"
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
# Of commands that take a model in the package where none is named
FROM_PACKAGE = "\\[default: the one of captions in the package]"
NetworkOrFile = Annotated[
    str | None,
    option(
        NETWORK,
        "mini or googlenet: the model in the package on this network. With --model, where its network is now. "
        "\\[default: mini; where it was]",
        metavar="NAME|FILE",
        **UNSAID,
    ),
]
MaxLength = Annotated[int, option(CAPTIONS, "Tokens of a caption at most, the end is one.", **COUNT)]
MinLength = Annotated[int, option(CAPTIONS, "Words of a caption at least.", metavar="N", min=0)]
NoRepeatNgram = Annotated[
    int, option(CAPTIONS, "So many words in a row do not come twice; 0: they may.", metavar="N", min=0)
]
Unk = Annotated[bool, option(CAPTIONS, "Let <UNK> be said, for a word that is not known.", "--unk")]
Beam = Annotated[
    int | None,
    option(SEARCH, "Sentences that are followed. \\[default: 3; 20 for several captions]", **COUNT, **UNSAID),
]
LengthPenalty = Annotated[
    float, option(SEARCH, "The order is that of log_prob / length ** this; 0: short ones win.", **NUMBER)
]
Batch = Annotated[int, option(MACHINE, "Pictures that are captioned at once.", **COUNT)]
