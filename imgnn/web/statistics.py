"""What is told of a run's data and its training, read from the run's folder."""

import itertools
import json
from bisect import bisect
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from imgnn.data.boke import Odai
from imgnn.data.boke_checks import BokeFacts, Statistics, statistics
from imgnn.data.items import Boke
from imgnn.language.tokenizers import load_tokenizer
from imgnn.language.vocabulary import Vocabulary
from imgnn.runs import is_file
from imgnn.training.run_folder import AVERAGE_LOSS, LOG, VOCABULARY
from imgnn.web import api
from imgnn.web.voices import Run

# The least number of each bar.
OF_A_PICTURE = (1, 2, 3, 4, 5, 6, 11, 21, 51)
LENGTHS = tuple(range(1, 41))
UNKNOWN = "unknown"


@lru_cache(1)  # a run's pictures do not change while it is open, and 25,000 boke take 0.4 s
def count(run: Run) -> Statistics:
    """What the texts of a run come to.

    Raises:
        InputError: its vocabulary is damaged, or its tokenizer is not installed.
    """
    tokenizer = load_tokenizer(run.tokenizer)
    vocabulary = Vocabulary.load(run.folder / VOCABULARY)
    odai = [
        Odai(
            each.name,
            tuple(Boke(text, star=star) for text, star in zip(each.sentences, each.stars, strict=True)),
            run.split_of(each),
            each.tokens or (None,) * len(each.sentences),
        )
        for each in run.pictures
    ]
    return statistics(odai, tokenizer.tokenize, vocabulary)


def data_of(run: Run) -> api.Data:
    """The statistics of a run; its logs are read anew, of a training that goes on.

    Raises:
        InputError: a file of it is damaged, or its tokenizer is not installed.
    """
    told = count(run)
    train, val = told.splits.get("train"), told.splits.get("val")
    epochs = [row for row in lines_of(run) if row.get("kind") == "epoch"]
    return api.Data(
        model=run.name,
        kind=run.kind,
        vocabulary=told.vocabulary,
        train=part_of(train),
        val=part_of(val),
        boke_per_image=bars(OF_A_PICTURE, train.per_image if train else (), val.per_image if val else ()),
        lengths=bars(LENGTHS, train.lengths if train else (), val.lengths if val else ()),
        stars=star_bars(train, val),
        average_loss=average_loss_of(run),
        average_loss_floor=number(epochs[-1].get("average_loss_floor")) if epochs else None,
        epochs=[
            api.Epoch(epoch=place, **{name: number(row.get(name)) for name in ("loss", "val_loss", "floor")})
            for place, row in enumerate(epochs, 1)
        ],
    )


def part_of(facts: BokeFacts | None) -> api.Part:
    """How much there is of a split; None: nothing."""
    return api.Part(boke=facts.boke, images=facts.images) if facts else api.Part(boke=0, images=0)


def bars(edges: Sequence[int], train: Sequence[int], val: Sequence[int]) -> list[api.Bar]:
    """A histogram in wider bars, from the first to the last that has any.

    Args:
        edges: the least number of each bar; what is below the first counts with it.
        train, val: at index i, how often there is i.
    """
    counts = [[0, 0] for _ in edges]
    for column, numbers in enumerate((train, val)):
        for value, count in enumerate(numbers):
            counts[max(0, bisect(edges, value) - 1)][column] += count
    labels = [str(least) if end == least + 1 else f"{least}-{end - 1}" for least, end in itertools.pairwise(edges)]
    found = [
        api.Bar(label=label, train=own[0], val=own[1])
        for label, own in zip([*labels, f"{edges[-1]}+"], counts, strict=True)
    ]
    while found and not (found[-1].train or found[-1].val):
        found.pop()
    return found


def star_bars(train: BokeFacts | None, val: BokeFacts | None) -> list[api.Bar]:
    """How many boke have how many stars; nothing where nobody was asked for any."""
    columns = [dict(facts.stars) if facts else {} for facts in (train, val)]
    labels = max((list(each) for each in columns), key=len)
    if not labels:
        return []
    found = [api.Bar(label=label, train=columns[0].get(label, 0), val=columns[1].get(label, 0)) for label in labels]
    unrated = [facts.unrated if facts else 0 for facts in (train, val)]
    return [*found, api.Bar(label=UNKNOWN, train=unrated[0], val=unrated[1])] if any(unrated) else found


def lines_of(run: Run) -> list[dict[str, Any]]:
    """The lines of a run's log that are whole; of a training that goes on the last one may not be."""
    found = []
    if is_file(run.folder / LOG):
        with (run.folder / LOG).open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    row = json.loads(line)
                except ValueError:
                    continue
                if isinstance(row, dict):
                    found.append(row)
    return found


def average_loss_of(run: Run) -> list[float]:
    """What is in a run's average_loss.log; nothing if there is none, or it is of another form."""
    try:
        losses = json.loads((run.folder / AVERAGE_LOSS).read_text(encoding="utf-8"))["average_loss"]
        return [float(each) for each in losses]
    except (OSError, ValueError, LookupError, TypeError):
        return []


def number(value: Any) -> float | None:
    """A number of a log, if it is one."""
    return float(value) if isinstance(value, int | float) else None
