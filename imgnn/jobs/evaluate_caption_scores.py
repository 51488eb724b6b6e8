"""Sentences for pictures, and what they are worth: of a model, a result file, a baseline."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgnn.data.captions import Captioned
from imgnn.language.meteor import meteor
from imgnn.language.metrics import CiderD, Tokens, bleu, distinct, div_n, novel, perplexity, rouge_l

MODEL, RESULTS, RETRIEVAL, PEOPLE = "model", "results", "retrieval", "people"
# Words that no sentence ends with: it was broken off. Those of ImageCaptioning.pytorch, with "and", "is", "are".
BAD_ENDINGS = frozenset(
    ("a", "an", "the", "this", "that", "his", "her", "and", "with", "in", "on", "of", "at", "to", "for", "is", "are")
)


@dataclass(frozen=True)
class Fit:
    """How well a model foresees the references.

    Attributes:
        nats: per token.
        image_gain: nats per token that the right picture saves over another one; None of one picture.
        words: that the model knows.
    """

    nats: float
    image_gain: float | None
    words: int

    @property
    def perplexity(self) -> float:
        """As many words, all equally probable, would be as hard to foresee."""
        return perplexity(self.nats)


@dataclass(frozen=True)
class Said:
    """A sentence for each picture.

    Attributes:
        name: whose they are: `MODEL` or `RESULTS`.
        images: those that could be read, or that the result file has.
        captions: as text.
        log_probs: of each sentence, by the model; () without one.
        fit: None without a model.
        nearest: of each picture, the first caption of the training picture most like it; None: none was looked for.
        skipped: pictures that could not be read, and why.
    """

    name: str
    images: tuple[Captioned, ...]
    tokens: tuple[Tokens, ...]
    captions: tuple[str, ...]
    log_probs: tuple[float, ...] = ()
    fit: Fit | None = None
    nearest: tuple[Tokens, ...] | None = None
    skipped: tuple[tuple[Path, str], ...] = ()


@dataclass(frozen=True, eq=False)
class Judged:
    """What a sentence for each picture got.

    Attributes:
        name: whose they are: `MODEL`, `RESULTS`, `RETRIEVAL` or `PEOPLE`.
        bleu: BLEU-1 to BLEU-4 of all together, 0..1.
        rouge_l, cider_d: the means, 0..1 and 0..10.
        meteor: 0..1; None: it was not asked for, or cannot run here.
        novel: the share that is not word for word in the training captions; None: there are none.
        each: `(pictures, 3)`: CIDEr-D, BLEU-4, ROUGE-L of each sentence.
        images: over which CIDEr-D's document frequencies were counted.
    """

    name: str
    tokens: tuple[Tokens, ...]
    bleu: tuple[float, ...]
    rouge_l: float
    cider_d: float
    meteor: float | None
    novel: float | None
    each: np.ndarray
    images: int

    @property
    def distinct(self) -> int:
        """How many different sentences there are."""
        return distinct(self.tokens)

    @property
    def words(self) -> int:
        """How many different words they use."""
        return len({word for tokens in self.tokens for word in tokens})

    @property
    def mean_length(self) -> float:
        """Words of a sentence."""
        return sum(map(len, self.tokens)) / len(self.tokens)

    def div(self, n: int) -> float:
        """Different n-grams of all sentences for each of their words; it falls as sentences are more, and so compares
        on the same pictures alone."""
        return div_n(self.tokens, n)

    @property
    def ends_badly(self) -> float:
        """The share of sentences, 0..1, that end with one of `BAD_ENDINGS`."""
        return sum(bool(tokens) and tokens[-1] in BAD_ENDINGS for tokens in self.tokens) / len(self.tokens)


def judge(
    name: str, tokens: Sequence[Tokens], cider: CiderD, training: Set[tuple[str, ...]], *, with_meteor: bool
) -> Judged:
    """Judge a sentence for each picture.

    Args:
        cider: with the references.
        training: captions; none: what is new cannot be told.

    Raises:
        InputError: there is no picture.
    """
    references = cider.references
    of_all, bleu_of_each = bleu(tokens, references)
    rouge, rouge_of_each = rouge_l(tokens, references)
    cider_of_each = cider.score(tokens)
    return Judged(
        name=name,
        tokens=tuple(tokens),
        bleu=of_all,
        rouge_l=rouge,
        cider_d=float(cider_of_each.mean()),
        meteor=meteor(tokens, references) if with_meteor else None,
        novel=novel(tokens, training) if training else None,
        each=np.stack([cider_of_each, bleu_of_each[:, 3], rouge_of_each], axis=1),
        images=cider.document_frequency.images,
    )
