"""The comparison of butsugiri/bokete again: many boke of a picture, whose loss stays up, against one of each."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from imgnn.data.boke import BokeSet, Odai
from imgnn.errors import InputError, OptionError
from imgnn.jobs.boke_run import KIND, TrainedBoke
from imgnn.jobs.boke_texts import BokeTexts, read_texts
from imgnn.jobs.sentence_data import whole
from imgnn.jobs.train_boke import resume_boke, train_boke
from imgnn.options import TrainBokeOptions, option_name
from imgnn.runs import Reporter, Silent, check_folder, is_file, is_folder, write_aside, write_json
from imgnn.training.boke_curves import Curve, draw_experiment
from imgnn.training.run_folder import CONFIG, LOG, read_config, stored_options
from imgnn.training.run_log import read_log

MANY, FEW = 30_000, 300  # boke: what the author trained on
JUDGED = 300  # validation pictures
FIGURE, TABLE = "experiment.png", "experiment.json"
ANY_TIME = ("save_every", "workers")  # options that a run may go on without: its result is the same
# What it is done with where nothing else is said: the author's code drops nothing and keeps every token. At a constant
# rate the loss of 300 boke jumps now and then, when it is nearly nothing; it has to come down at the end.
DEFAULTS: dict[str, Any] = {
    "epochs": 100,
    "patience": None,
    "keep": "last",
    "dropout": 0.0,
    "minimum": 1,
    "learning_rate": 5e-3,
    "schedule": "cosine",
}


@dataclass(frozen=True)
class Arm:
    """One side of the comparison.

    Attributes:
        name: "many", "one" or "few".
        pictures, boke: that are trained on.
        result: what came of it.
        first: the average loss of the first epoch.
    """

    name: str
    pictures: int
    boke: int
    first: float
    result: TrainedBoke


def run_experiment(
    sources: Sequence[Path],
    folder: Path,
    options: TrainBokeOptions,
    reporter: Reporter | None = None,
    *,
    command: str = "",
) -> list[Arm]:
    """Train on three choices from a data set, and put their curves into one figure.

        many  30,000 boke (or all) of the pictures that have the most
        one   300 boke, one of each picture
        few   300 boke of as few pictures as have them: as many texts as "one", as many to a picture as "many"

    Each has its list of boke and its run in the folder. The same again goes on where it stopped.

    Raises:
        InputError: the data set has no picture with several boke; a run in the folder was begun with other options;
            and as of `train_boke`.
        InterruptedRun, DivergedError: as of `train_boke`.
    """
    reporter = reporter or Silent()
    if options.pairing != "many":
        raise OptionError("--experiment does not go with --pairing: it compares how boke and pictures are paired")
    check_folder(folder)
    if is_file(folder):
        raise InputError(f"{folder} is a file; a folder for the experiment is wanted")
    texts = read_texts(sources, options, reporter)
    chosen = choose_arms(texts)
    # The lists of the arms are of a form of their own, with whole paths, and all arms are made of the same tokens.
    options = replace(options, form=None, images=None, tokenizer=texts.tokenizer.name)
    folder.mkdir(exist_ok=True)
    arms = []
    for name, odai in chosen.items():
        reporter.note(f"{name}: {sum(len(each.boke) for each in odai):,} boke of {len(odai):,} pictures")
        data, run = folder / f"{name}.jsonl", folder / name
        begun = is_folder(run) and is_file(run / CONFIG)
        if begun:
            check_same(run, options)
        write_arm(data, texts.boke, odai)
        if begun:
            result = resume_boke(run, reporter)
        else:
            result = train_boke([data], run, options, reporter, command=command)
        first = next(row["average_loss"] for row in read_log(run / LOG) if row["kind"] == "epoch")
        arms.append(Arm(name, len(odai), sum(len(each.boke) for each in odai), first, result))
    curves = [Curve(words_of(arm), read_log(arm.result.folder / LOG)) for arm in arms]
    draw_experiment(curves, folder / FIGURE)
    write_json(folder / TABLE, [{**asdict(arm), "result": {**asdict(arm.result), "folder": arm.name}} for arm in arms])
    return arms


def check_same(run: Path, options: TrainBokeOptions) -> None:
    """Refuse to go on with a run under other options: it would go on under its own.

    Raises:
        InputError: which option differs.
    """
    begun = read_config(run, KIND)["options"]
    for name, value in stored_options(replace(options, network=whole(options.network))).items():
        if name not in ANY_TIME and begun.get(name) != value:
            raise InputError(
                f"{run} was begun with {option_name(name)} {begun.get(name)}, not {value}",
                hint="another -o begins anew, and so does removing the folder",
            )


def words_of(arm: Arm) -> str:
    """An arm as its curve is labelled."""
    return f"{arm.boke:,} boke of {arm.pictures:,} pictures"


def choose_arms(texts: BokeTexts) -> dict[str, list[Odai]]:
    """The training pictures of each arm, with the boke that are meant.

    Raises:
        InputError: no picture has several boke.
    """
    train = sorted(texts.boke.part("train").odai, key=lambda odai: len(odai.boke), reverse=True)
    if len(train[0].boke) < 2:
        raise InputError(f"every picture of {texts.boke.source} has one boke: there is nothing to compare")
    one: list[Odai] = []
    seen: set[str] = set()
    for odai in train:
        number = next((at for at, each in enumerate(odai.boke) if each.text not in seen), None)
        if number is not None and len(one) < FEW:
            seen.add(odai.boke[number].text)
            one.append(part_of(odai, slice(number, number + 1)))
    return {"many": first_boke(train, MANY), "one": one, "few": first_boke(train, len(one))}


def first_boke(train: Sequence[Odai], count: int) -> list[Odai]:
    """The first pictures, with so many boke."""
    found: list[Odai] = []
    for odai in train:
        if count <= 0:
            break
        found.append(part_of(odai, slice(0, count)))
        count -= len(odai.boke)
    return found


def part_of(odai: Odai, meant: slice) -> Odai:
    """A picture with some of its boke."""
    return Odai(odai.name, odai.boke[meant], odai.split, odai.tokens[meant])


def write_arm(path: Path, boke: BokeSet, train: Sequence[Odai]) -> None:
    """Write the boke of an arm, and those that all are judged by."""
    with write_aside(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
        for odai in (*train, *boke.part("val").odai[:JUDGED]):
            for each, tokens in zip(odai.boke, odai.tokens, strict=True):
                known = {
                    "boke": each.text,
                    "star": each.star,
                    "images": [{"path": str(boke.file(odai).absolute())}],
                    "split": odai.split,
                    **({} if tokens is None else {"parsed": tokens}),
                }
                file.write(json.dumps(known, ensure_ascii=False) + "\n")
