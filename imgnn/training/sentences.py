"""Sentences in batches, for training a decoder: of about the same length each, in an order that can be resumed."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from imgnn.data.batches import epoch_order
from imgnn.errors import InputError
from imgnn.language.vocabulary import END, START

BUCKETS = 6  # lengths that batches come in: each is traced once, and little is padded


@dataclass(frozen=True)
class SentenceBatch:
    """Some sentences at once.

    Attributes:
        rows: the picture of each, `(n,)`, as a row of the features.
        tokens: int32 `(n, t)`: START and the words.
        targets: int32 `(n, t)`: the words and END; what comes after each token.
        weights: float32 `(n, t)`: what a sentence weighs, mostly 1; 0 where there is no target any more.
    """

    rows: np.ndarray
    tokens: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


class Sentences:
    """Sentences as ids, sorted into buckets of lengths.

    Args:
        rows: the picture of each sentence.
        sentences: ids of the words, without START and END; longer ones are cut.
        longest: words of a sentence at most.
        lengths: tokens that batches are padded to, END among them, rising; None: chosen here.
        alone: a batch has sentences of one length only, padded all the same.
        weights: of each sentence, above 0; None: 1.

    Raises:
        InputError: there is no sentence.
    """

    def __init__(
        self,
        rows: Sequence[int],
        sentences: Sequence[Sequence[int]],
        *,
        longest: int,
        lengths: Sequence[int] | None = None,
        weights: Sequence[float] | None = None,
        alone: bool = False,
    ) -> None:
        if not len(sentences):
            raise InputError("there is no sentence to train on")
        self.rows = np.asarray(rows, int)
        self.weights = np.ones(len(sentences)) if weights is None else np.asarray(weights, float)
        cut = [sentence[:longest] for sentence in sentences]
        # A sentence that was cut has no END: what comes after its last word is not told.
        self.targets = [
            [*kept, END] if len(kept) == len(whole) else list(kept) for kept, whole in zip(cut, sentences, strict=True)
        ]
        self.sizes = np.array([len(targets) for targets in self.targets])
        self.lengths = tuple(lengths or choose_lengths(self.sizes))
        self.padded = np.searchsorted(self.lengths, self.sizes)
        self.bucket = self.sizes if alone else self.padded

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def tokens(self) -> int:
        """Words and ENDs, all in all."""
        return int(self.sizes.sum())

    def steps(self, batch: int, only: np.ndarray | None = None) -> int:
        """Batches of `batch` sentences in an epoch; `only`: `(sentences,)`, as of `epoch`."""
        buckets = self.bucket if only is None else self.bucket[only]
        return sum(math.ceil(count / batch) for count in np.bincount(buckets))

    def epoch(
        self, *, batch: int, seed: int, epoch: int, first: int = 0, only: np.ndarray | None = None
    ) -> Iterator[SentenceBatch]:
        """The batches of one epoch, in an order of its own, from batch `first` on: every sentence once.

        A batch that its bucket does not fill is filled with sentences that weigh nothing, so that all have one shape.

        Args:
            only: the numbers of the sentences that are meant; None: all.
        """
        order = epoch_order(len(self), seed, epoch)
        if only is not None:
            order = order[np.isin(order, only)]
        groups = []
        for bucket in np.unique(self.bucket):
            inside = order[self.bucket[order] == bucket]
            groups += [inside[start : start + batch] for start in range(0, len(inside), batch)]
        for number in epoch_order(len(groups), seed + 1, epoch)[first:]:
            yield self.gather(groups[number], batch)

    def all(self, batch: int) -> Iterator[SentenceBatch]:
        """Every sentence once, shortest first."""
        order = np.argsort(self.sizes, kind="stable")
        for bucket in np.unique(self.bucket):
            inside = order[self.bucket[order] == bucket]
            for start in range(0, len(inside), batch):
                yield self.gather(inside[start : start + batch], batch)

    def gather(self, chosen: np.ndarray, batch: int) -> SentenceBatch:
        """Some sentences, as long as the longest's bucket; there are `batch` rows, of which the last weigh nothing.

        Args:
            chosen: the numbers of at most `batch` sentences, `(n,)`.
        """
        length = self.lengths[self.padded[chosen].max()]
        tokens, targets = np.full((2, batch, length), END, "int32")
        weights = np.zeros((batch, length), "float32")
        tokens[:, 0] = START
        rows = np.zeros(batch, int)
        rows[: len(chosen)] = self.rows[chosen]
        for place, number in enumerate(chosen):
            ids = self.targets[number]
            targets[place, : len(ids)] = ids
            tokens[place, 1 : len(ids)] = ids[:-1]
            weights[place, : len(ids)] = self.weights[number]
        return SentenceBatch(rows, tokens, targets, weights)


def choose_lengths(sizes: np.ndarray, buckets: int = BUCKETS) -> list[int]:
    """The lengths that leave the least to be padded: each sentence is padded to the next of them."""
    counts = np.bincount(sizes)
    ends = np.flatnonzero(counts).tolist()
    total, weighted = np.cumsum(counts), np.cumsum(counts * np.arange(len(counts)))

    def waste(after: int, end: int) -> int:
        before = (total[after], weighted[after]) if after >= 0 else (0, 0)
        return int(end * (total[end] - before[0]) - (weighted[end] - before[1]))

    # best[k][j]: the least padding of all sentences up to ends[j] with k + 1 lengths, ends[j] the last.
    best = [[waste(-1, end) for end in ends]]
    back: list[list[int]] = [[-1] * len(ends)]
    for _ in range(min(buckets, len(ends)) - 1):
        row, origin = [], []
        for j, end in enumerate(ends):
            found = [best[-1][i] + waste(ends[i], end) for i in range(j)] or [best[-1][j]]
            origin.append(int(np.argmin(found)) if j else -1)
            row.append(min(found))
        best.append(row)
        back.append(origin)
    level, place, chosen = len(best) - 1, len(ends) - 1, []
    while place >= 0 and level >= 0:
        chosen.append(ends[place])
        place, level = back[level][place], level - 1
    return sorted(chosen)
