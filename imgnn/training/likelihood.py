"""How probable decoders find sentences that they did not write."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

from imgnn import backend
from imgnn.language.decoder import Decoder
from imgnn.language.steps import log_shares
from imgnn.training.sentences import SentenceBatch, Sentences


class Likelihood:
    """Reads sentences word by word with one decoder, or with the mean of the probabilities of several.

    Args:
        decoders: of one vocabulary.
        weights: of each decoder's probabilities, above 0; None: the same for all.

    Raises:
        InputError: no decoder, or weights that do not fit them.
    """

    def __init__(self, decoders: Sequence[Decoder], weights: Sequence[float] | None = None) -> None:
        self.decoders, self.log_share = decoders, log_shares(len(decoders), weights)
        self.answers: dict[tuple[int, int], Callable[[Any], Any]] = {}  # by decoder and length: each is traced once

    def log_probs(self, features: Sequence[np.ndarray], batch: SentenceBatch) -> np.ndarray:
        """The log-probability of each target after the words before it, `(n, t)`; nothing is dropped.

        Args:
            features: for each decoder, `(n, numbers)` of the batch's pictures.
        """
        found = []
        for number, (decoder, each) in enumerate(zip(self.decoders, features, strict=True)):
            key = number, batch.tokens.shape[1]
            if key not in self.answers:
                self.answers[key] = backend.answering(decoder.model(key[1]))
            logits = self.answers[key]([each.astype("float32"), batch.tokens])
            entropy = ops.sparse_categorical_crossentropy(batch.targets, logits, from_logits=True)
            found.append(self.log_share[number] - ops.convert_to_numpy(entropy).astype("float64"))
        return np.logaddexp.reduce(found, axis=0)

    def nats_per_token(
        self,
        features: Sequence[np.ndarray],
        sentences: Sentences,
        pictures: np.ndarray | None = None,
        *,
        batch: int = 128,
    ) -> float:
        """What sentences cost: the mean of -log p of their words and ENDs; a word that is not known counts as UNK.

        Args:
            features: for each decoder, `(pictures, numbers)`, where `sentences.rows` point to.
            pictures: `pictures[row]` is shown for the sentences of `row`; None: their own.
            batch: sentences at once.
        """
        total = count = 0.0
        for each in sentences.all(batch):
            rows = each.rows if pictures is None else pictures[each.rows]
            total -= float((self.log_probs([values[rows] for values in features], each) * each.weights).sum())
            count += float(each.weights.sum())
        return total / count


def other_pictures(count: int) -> np.ndarray:
    """Another picture for each of `count`, drawn at random, each one once and always the same: what a sentence costs
    beside it shows how much the right one tells. (Of pictures sorted by class, the neighbour would nearly always be of
    the same class, and the one half of them away of another.)

    Returns:
        int `(count,)`, one circle of them all; a single picture stays its own.
    """
    circle = np.random.default_rng(0).permutation(count)
    others = np.empty(count, int)
    others[circle] = np.roll(circle, 1)
    return others
