"""The folder of a training run: its files by name, and the config by which it is known. Light: no Keras.

config.json       what was trained, of what, and how: FORMAT below
log.jsonl         a line for each step and each epoch; log.csv has the epochs alone, events/ both for TensorBoard
curves.png        loss, accuracy and learning rate
best.keras        the network with the best validation, a file of networks/files.py
last.npz          where --resume goes on
skipped.txt       pictures that could not be read: path, tab, reason
predictions.csv   what the network says of each validation picture
report.html       all of it on one page

A run of `imgnn train caption` (kind "caption") has other files in the place of best.keras and predictions.csv:

best.npz          the decoder of the epoch with the best CIDEr-D
vocabulary.json   its words
network.keras     the network of the feature, if it was trained along
metrics.json      how good it is on val
captions.json     what the best decoder says of each validation picture, COCO's result file
pictures.jsonl    its pictures and what was said of them; pictures.npz their features: data/known_pictures.py

A run of `imgnn train boke` (kind "boke") has, in the place of captions.json:

average_loss.log  the loss of each epoch as butsugiri/bokete writes it, JSON

The runs of captions in the package have config.json, best.npz, vocabulary.json, metrics.json and, without names and
sentences, pictures.jsonl and pictures.npz.
"""

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_type_hints

from imgnn.errors import InputError, UnknownNameError, missing
from imgnn.home import ASSETS
from imgnn.networks import registry
from imgnn.options import FinetuneOptions, TrainSentenceOptions
from imgnn.runs import check_folder, check_version, is_file, is_folder, write_json

FORMAT, VERSION = "imgnn run", 1
Kind = Literal["classifier", "caption", "boke"]
Options = TypeVar("Options", bound=FinetuneOptions | TrainSentenceOptions)
MAKERS: dict[str, str] = {  # what writes them
    "classifier": "imgnn finetune",
    "caption": "imgnn train caption",
    "boke": "imgnn train boke",
}

CONFIG = "config.json"
LOG = "log.jsonl"
LOG_CSV = "log.csv"
EVENTS = "events"
CURVES = "curves.png"
BEST = "best.keras"
LAST = "last.npz"
SKIPPED = "skipped.txt"
PREDICTIONS = "predictions.csv"
REPORT = "report.html"
DECODER = "best.npz"
VOCABULARY = "vocabulary.json"
NETWORK = "network.keras"
CAPTIONS = "captions.json"
METRICS = "metrics.json"
AVERAGE_LOSS = "average_loss.log"

# Models of captions in the package: the network that they look through, and the folder of their run.
PACKAGED = {"mini": ASSETS / "captions-mini", "googlenet": ASSETS / "captions-googlenet"}


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Write the config of a run, whole or not at all; format and version are put in front.

    Raises:
        InputError: the file cannot be written.
    """
    write_json(folder / CONFIG, {"format": FORMAT, "version": VERSION, **config})


def read_config(folder: str | Path, *kinds: Kind) -> dict[str, Any]:
    """The config of the run in a folder.

    Args:
        kinds: of run that are wanted; none: any.

    Raises:
        InputError: there is no such folder, no run in it or one of another kind, its config is damaged, or a later
            imgnn wrote it.
    """
    maker = " or ".join(MAKERS[kind] for kind in kinds or MAKERS)
    folder = Path(folder)
    path = folder / CONFIG
    if is_file(folder):
        raise InputError(f"{folder} is a file, not a run")
    if not is_folder(folder):
        raise missing(folder, "folder", hint=f"the folder that {maker} wrote")
    if not is_file(path):
        raise InputError(
            f"{folder} is no run of imgnn: there is no {CONFIG} in it", hint=f"the folder that {maker} wrote"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT or not isinstance(config.get("version"), int):
        raise InputError(f"{folder} is no run of imgnn: its {CONFIG} belongs to something else")
    check_version(config["version"], VERSION, f"{folder} is a run")
    found = str(config.get("kind"))
    if kinds and found not in kinds:
        hint = f"{maker} makes one"
        raise InputError(f"{folder} is a run of {MAKERS.get(found, repr(found))}; one of {maker} is wanted", hint=hint)
    return config


def stored_options(options: FinetuneOptions | TrainSentenceOptions) -> dict[str, Any]:
    """Options as a run's config has them: paths from the root, so that it can be resumed from anywhere."""
    found: dict[str, Any] = json.loads(json.dumps(asdict(options), default=lambda path: str(path.resolve())))
    return found


def options_from(stored: Mapping[str, Any], kind: type[Options]) -> Options:
    """The options that `stored_options` wrote down.

    Raises:
        InputError: another version of imgnn wrote them.
    """
    paths = {name for name, hint in get_type_hints(kind).items() if Path in (hint, *get_args(hint))}
    values: dict[str, Any] = {
        name: Path(value) if name in paths and value is not None else as_tuple(value) for name, value in stored.items()
    }
    try:
        return kind(**values)
    except TypeError as error:
        raise InputError(f"the run's options are of another imgnn: {error}") from error


def as_tuple(value: Any) -> Any:
    """A list, and those in it, as tuples, which options have; anything else as it is."""
    return tuple(map(as_tuple, value)) if isinstance(value, list) else value


def check_run_folder(folder: Path, kind: Kind, *, early: str) -> None:
    """See that a run's folder can be made: before hours of training.

    Args:
        kind: of the run.
        early: the file that is written before the config, and may be there.

    Raises:
        InputError: it cannot, or holds a run.
    """
    if is_file(folder / CONFIG):
        hint = f"{MAKERS[kind]} --resume {shlex.quote(str(folder))}; or another -o"
        raise InputError(f"{folder} holds a run already", hint=hint)
    if is_file(folder):
        raise InputError(f"{folder} is a file; a folder for the run is wanted")
    if is_folder(folder) and any(path.name != early for path in folder.iterdir()):
        raise InputError(f"{folder} is not empty; a run has a folder of its own", hint="another -o")
    check_folder(folder)
    if is_folder(folder):
        check_folder(folder / CONFIG)


def is_run(path: str | Path) -> bool:
    """Whether a path is the folder of a run, perhaps of a later imgnn."""
    try:
        config = json.loads((Path(path) / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("format") == FORMAT


def usual_mode(kind: Kind, donors: Sequence[Path] | None) -> Literal["model", "mismatch"]:
    """The mode of `imgnn boke` where none is named: "model" with a run of boke, unless there are donors."""
    return "mismatch" if donors or kind == "caption" else "model"


def packaged_model(network: str | None = None) -> Path:
    """The model of captions that came with imgnn, for when none is named.

    Args:
        network: by which pictures are looked at, as the user named it; None: mini.

    Raises:
        InputError: none of them looks through this network, or it is a file.
        UnknownNameError: no network is called so.
    """
    try:
        name = registry.find(network or "mini").name
    except UnknownNameError as error:
        if not Path(str(network)).suffix:
            raise
        raise InputError(
            f"which model looks through {network}? Without --model, --network is {' or '.join(PACKAGED)}",
            hint="--model RUN; imgnn convert takes a .caffemodel in, and then --network finds it by its name",
        ) from error
    if name not in PACKAGED:
        raise InputError(
            f"no model of captions on {network} came with imgnn; there are some on {' and '.join(PACKAGED)}",
            hint=f"--model RUN; imgnn train caption DATA --network {shlex.quote(str(network))} makes one",
        )
    return PACKAGED[name]


def as_network(folder: str | Path) -> str:
    """A run as `--network` takes it: `./googlenet` where the folder is called like a network of the registry.

    Raises:
        InputError: as of `read_config`.
    """
    read_config(folder, "classifier")
    try:
        registry.find(str(folder))
    except UnknownNameError:
        return str(folder)
    return f"{os.curdir}{os.sep}{folder}"
