"""What every way of decoding keeps to: which tokens may come next, and how a sentence comes out."""

from dataclasses import dataclass

import numpy as np

from imgnn.errors import DivergedError, InputError
from imgnn.language.vocabulary import END, START, UNK


@dataclass(frozen=True)
class Rules:
    """What a sentence may be, however it is looked for.

    Raises:
        InputError: a number out of its range.
    """

    max_length: int = 20  # tokens at most, END among them: so many steps are made
    min_length: int = 0  # words at least: END does not come before
    no_repeat_ngram: int = 0  # so many tokens in a row do not come twice in a sentence; 0: they may
    ban: tuple[int, ...] = (UNK,)  # tokens that are never said, as START never is

    def __post_init__(self) -> None:
        if self.max_length < 1:
            raise InputError(f"a sentence has room for at least 1 token, not {self.max_length}")
        if not 0 <= self.min_length < self.max_length:
            raise InputError(
                f"at least {self.min_length} words do not fit into {self.max_length} tokens, of which one is END"
            )
        if self.no_repeat_ngram < 0:
            raise InputError(f"n-grams have 1 token or more (0: repeats are let be), not {self.no_repeat_ngram}")

    @property
    def most_forbidden(self) -> int:
        """How many tokens `forbidden` names for one sentence, at most."""
        n = self.no_repeat_ngram
        return len(self.ban) + 2 + (max(0, self.max_length - n) if n else 0)

    def forbidden(self, sentences: np.ndarray) -> np.ndarray:
        """The tokens that may not come next.

        Args:
            sentences: `(rows, length)`, the tokens so far, without START.

        Returns:
            `(rows, at most most_forbidden)`, token ids; -1 stands for none.
        """
        rows, length = sentences.shape
        never = np.broadcast_to(np.array((START, *self.ban)), (rows, 1 + len(self.ban)))
        end = np.full((rows, 1), END if length < self.min_length else -1)
        n = self.no_repeat_ngram
        if not n or length < n:
            return np.concatenate([never, end], axis=1)
        ngrams = np.lib.stride_tricks.sliding_window_view(sentences, n, axis=1)  # (rows, length - n + 1, n)
        now = sentences[:, None, length - n + 1 :]  # the n - 1 tokens that the next one completes to an n-gram
        repeats = np.where((ngrams[:, :, :-1] == now).all(axis=2), ngrams[:, :, -1], -1)
        return np.concatenate([never, end, repeats], axis=1)


@dataclass(frozen=True)
class Hypothesis:
    """A sentence, and how probable the model finds it.

    Attributes:
        tokens: without START and END.
        log_probs: of each token, natural logarithm; of END too, as the last, if it was reached.
        finished: whether END was reached; otherwise the sentence stops in the middle.
        score: what sentences are ordered by, the larger the better.
    """

    tokens: tuple[int, ...]
    log_probs: tuple[float, ...]
    finished: bool
    score: float

    @property
    def log_prob(self) -> float:
        """Of the whole sentence."""
        return sum(self.log_probs)


Beams = list[list[Hypothesis]]  # for each image its sentences


def make_hypothesis(tokens: np.ndarray, log_probs: np.ndarray, length_penalty: float = 0.0) -> Hypothesis:
    """A sentence of the tokens so far `(length,)`, END perhaps as the last; see `BeamOptions` for its score."""
    finished = bool(tokens.size and tokens[-1] == END)
    each = tuple(log_probs.tolist())
    words = tuple(tokens[:-1].tolist() if finished else tokens.tolist())
    return Hypothesis(words, each, finished, sum(each) / max(1, len(each)) ** length_penalty)


def check_numbers(log_prob: np.ndarray, step: int) -> None:
    """See to it that a model still answers.

    Raises:
        DivergedError: there is no number where one should be.
    """
    if np.isnan(log_prob).any():
        raise DivergedError(
            f"the model says nan for token {step + 1} of a sentence",
            hint="its weights or the picture's feature hold nan",
        )
