"""How good sentences are: BLEU, ROUGE-L and CIDEr-D against references, how diverse and new; and how good a model is,
by what it finds probable.

The definitions are those of coco-caption (tylin/coco-caption, salaniz/pycocoevalcap), whose numbers are published.
A sentence is a sequence of tokens, as `imgnn.language.tokens.tokenize` makes it; a hypothesis is what is judged, and
each image has one, with one reference or more.
"""

import gzip
import json
import math
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgnn.errors import InputError, missing
from imgnn.runs import check_version, write_aside

FORMAT, VERSION = "imgnn document frequencies", 1
ORDERS = 4  # n-grams of 1 to 4 tokens
FEW = 100  # images: CIDEr-D that takes document frequencies from fewer is not to be compared
BETA = 1.2  # ROUGE-L: how much more recall weighs than precision
SIGMA = 6.0  # CIDEr-D: tokens of difference in length
TINY, SMALL = 1e-15, 1e-9  # BLEU: keep what is 0 of 0 from failing
# Nats per token from which on perplexity stays what it is, 5e21: a model that finds what is so impossible has learnt
# nothing, whatever the number; the exponential of 710 would be none, and infinity cannot stand in JSON.
HOPELESS = 50.0
UNSEEN = 0.1  # times that a token which was never seen counts as seen: as the decoder begins

Tokens = Sequence[str]
Ngram = tuple[str, ...]


def count_ngrams(tokens: Tokens, orders: int = ORDERS) -> Counter[Ngram]:
    """How often each n-gram occurs, of 1 to `orders` tokens."""
    counts: Counter[Ngram] = Counter()
    for n in range(1, orders + 1):
        counts.update(zip(*(tokens[start:] for start in range(n)), strict=False))
    return counts


def check(hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> None:
    """See to it that every image has its hypothesis and a reference.

    Raises:
        InputError: it has not, or there is no image.
    """
    if len(hypotheses) != len(references):
        raise InputError(
            f"{len(hypotheses):,} sentences are to be judged by the references of {len(references):,} images"
        )
    check_references(references)


def check_references(references: Sequence[Sequence[Tokens]]) -> None:
    """See to it that every image has a reference.

    Raises:
        InputError: one has none, or there is no image.
    """
    if not references:
        raise InputError("there is no image whose sentence could be judged")
    if not all(references):
        missing = sum(not each for each in references)
        raise InputError(f"{missing:,} of {len(references):,} images have no reference to judge a sentence by")


# BLEU


def bleu(
    hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]], n: int = ORDERS
) -> tuple[tuple[float, ...], np.ndarray]:
    """How many n-grams of the hypotheses are in a reference, with a penalty if the hypotheses are shorter.

    The length of an image's references is that of the one closest to the hypothesis, the shorter of two.

    Returns:
        BLEU-1 to BLEU-n, 0..1, of all images together (counts are summed first), and `(images, n)`: of each alone.

    Raises:
        InputError: an image has no reference or no hypothesis, or there is none.

    Source: Papineni et al. 2002, BLEU; coco-caption's bleu_scorer.py with "closest".
    """
    check(hypotheses, references)
    # Of each image: n-grams that are right, n-grams, length, length of the closest reference.
    right, total = np.zeros((2, len(hypotheses), n))
    lengths = np.zeros((len(hypotheses), 2))
    for image, (hypothesis, refs) in enumerate(zip(hypotheses, references, strict=True)):
        most: Counter[Ngram] = Counter()
        for reference in refs:
            most |= count_ngrams(reference, n)
        for ngram, count in count_ngrams(hypothesis, n).items():
            right[image, len(ngram) - 1] += min(count, most[ngram])
        length = len(hypothesis)
        total[image] = [max(0, length - order) for order in range(n)]
        lengths[image] = length, min((abs(len(each) - length), len(each)) for each in refs)[1]
    of_all = bleu_of(right.sum(axis=0), total.sum(axis=0), lengths.sum(axis=0))
    return tuple(of_all.tolist()), bleu_of(right, total, lengths)


def bleu_of(right: np.ndarray, total: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """BLEU-1 to BLEU-n of counts.

    Args:
        right, total: `(..., n)`; lengths: `(..., 2)`, hypothesis and reference.
    """
    precision = (right + TINY) / (total + SMALL)
    mean = np.cumprod(precision, axis=-1) ** (1 / np.arange(1, right.shape[-1] + 1))
    ratio = (lengths[..., :1] + TINY) / (lengths[..., 1:] + SMALL)
    return mean * np.exp(np.minimum(0, 1 - 1 / ratio))


# ROUGE-L


def rouge_l(hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> tuple[float, np.ndarray]:
    """How long a subsequence the hypothesis has in common with a reference.

    Precision and recall are each the best over the references, not of the same one.

    Returns:
        The mean over the images, 0..1, and `(images,)`: of each.

    Raises:
        InputError: an image has no reference or no hypothesis, or there is none.

    Source: Lin 2004, ROUGE; coco-caption's rouge.py.
    """
    check(hypotheses, references)
    scores = np.zeros(len(hypotheses))
    for image, (hypothesis, refs) in enumerate(zip(hypotheses, references, strict=True)):
        common = [common_length(hypothesis, reference) for reference in refs]
        if any(common):
            precision = max(common) / len(hypothesis)
            recall = max(length / max(1, len(reference)) for length, reference in zip(common, refs, strict=True))
            scores[image] = (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)
    return float(scores.mean()), scores


def common_length(first: Tokens, second: Tokens) -> int:
    """The length of the longest subsequence that two sequences have in common."""
    row = [0] * (len(second) + 1)  # of the tokens of `first` so far, with so many of `second`
    for token in first:
        before = 0
        for column, other in enumerate(second, 1):
            above = row[column]
            if token == other:
                row[column] = before + 1
            elif row[column - 1] > above:
                row[column] = row[column - 1]
            before = above
    return row[-1]


# CIDEr-D


@dataclass(frozen=True)
class DocumentFrequency:
    """In how many images' references an n-gram occurs: the fewer, the more it says.

    Attributes:
        images: how many there are.
        counts: n-gram -> images; those of one image are left out, as an unknown one counts as 1.
    """

    images: int
    counts: Mapping[Ngram, int]

    @classmethod
    def of(cls, references: Sequence[Sequence[Tokens]]) -> "DocumentFrequency":
        """The frequencies in a corpus: the references of each image."""
        counts: Counter[Ngram] = Counter()
        for refs in references:
            counts.update({ngram for reference in refs for ngram in count_ngrams(reference)})
        return cls(len(references), {ngram: count for ngram, count in counts.items() if count > 1})

    def save(self, path: Path) -> None:
        """Write JSON, compressed where the name ends in .gz.

        Raises:
            InputError: it cannot be written.
        """
        counts = {" ".join(ngram): count for ngram, count in sorted(self.counts.items())}
        record = {"format": FORMAT, "version": VERSION, "images": self.images, "counts": counts}
        data = (json.dumps(record, ensure_ascii=False) + "\n").encode()
        with write_aside(path) as aside:
            aside.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)

    @classmethod
    def load(cls, path: Path) -> "DocumentFrequency":
        """Read what `save` wrote.

        Raises:
            InputError: there is no such file, it is something else, or of a later imgnn.
        """
        try:
            data = path.read_bytes()
            record = json.loads(gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data)
        except FileNotFoundError:
            raise missing(path) from None
        except (EOFError, ValueError, zlib.error, gzip.BadGzipFile):
            record = None
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise InputError(f"{path} holds no document frequencies")
        check_version(record["version"], VERSION, f"{path} holds document frequencies")
        return cls(record["images"], {tuple(ngram.split(" ")): count for ngram, count in record["counts"].items()})


@dataclass(frozen=True)
class Vector:
    """A sentence as CIDEr-D sees it.

    Attributes:
        weights: n-gram -> count times inverse document frequency.
        norms: of the n-grams of 1, 2... tokens.
        length: in pairs of tokens, as coco-caption counts.
    """

    weights: Mapping[Ngram, float]
    norms: tuple[float, ...]
    length: int


class CiderD:
    """CIDEr-D of hypotheses for the same images, as often as one likes: n-grams are counted once.

    The document frequencies are those of the references themselves, as in coco-caption, unless they are given: of few
    images (`FEW`) they say little, and of one image every score is 0.

    Args:
        references: of each image, one sentence or more.
        document_frequency: of another corpus.
        keep: what is known of the references, for many scores: about 5 kB for a reference of ten words.

    Raises:
        InputError: an image has no reference, or there is none.

    Source: Vedantam et al. 2015, CIDEr, arXiv:1411.5726; coco-caption's cider_scorer.py, whose "CIDEr" is CIDEr-D.
    """

    def __init__(
        self,
        references: Sequence[Sequence[Tokens]],
        document_frequency: DocumentFrequency | None = None,
        *,
        keep: bool = False,
    ) -> None:
        check_references(references)
        self.references = references
        self.document_frequency = document_frequency or DocumentFrequency.of(references)
        self.highest = math.log(max(1, self.document_frequency.images))
        self.kept = [self.vectors(each) for each in references] if keep else None

    def score(self, hypotheses: Sequence[Tokens]) -> np.ndarray:
        """The score of each image's hypothesis, 0..10.

        Returns:
            `(images,)`.

        Raises:
            InputError: there are not as many hypotheses as images.
        """
        check(hypotheses, self.references)
        references = map(self.vectors, self.references) if self.kept is None else self.kept
        pairs = zip(map(self.vector, hypotheses), references, strict=True)
        return np.array([similarity(hypothesis, own) for hypothesis, own in pairs], float)

    def vectors(self, sentences: Iterable[Tokens]) -> list[Vector]:
        """Sentences as they are compared."""
        return [self.vector(tokens) for tokens in sentences]

    def vector(self, tokens: Tokens) -> Vector:
        """n-grams of a sentence, weighted by how often they occur in it and how seldom elsewhere."""
        frequencies = self.document_frequency.counts
        weights, squares = {}, [0.0] * ORDERS
        for ngram, count in count_ngrams(tokens).items():
            weights[ngram] = weight = count * (self.highest - math.log(frequencies.get(ngram, 1)))
            squares[len(ngram) - 1] += weight * weight
        return Vector(weights, tuple(map(math.sqrt, squares)), max(0, len(tokens) - 1))


def similarity(hypothesis: Vector, references: Sequence[Vector]) -> float:
    """Ten times the mean, over references and orders, of the cosine of two vectors; a longer count than the
    reference's gains nothing, and another length loses."""
    result = 0.0
    for reference in references:
        products = [0.0] * ORDERS
        for ngram, weight in hypothesis.weights.items():
            if other := reference.weights.get(ngram):
                products[len(ngram) - 1] += min(weight, other) * other
        cosines = sum(
            product / (norm * other)
            for product, norm, other in zip(products, hypothesis.norms, reference.norms, strict=True)
            if product
        )
        result += cosines * math.exp(-((hypothesis.length - reference.length) ** 2) / (2 * SIGMA**2))
    return 10 * result / (ORDERS * len(references))


# Diversity


def div_n(captions: Sequence[Tokens], n: int) -> float:
    """Distinct n-grams of some captions for each of their words, 0..1: Div-1, Div-2.

    The captions are those for one image (then the mean over the images is what is reported) or all there are. Of all,
    it depends on how many there are, as words come again: it compares between models on the same images alone.

    Source: Luo & Shakhnarovich 2020, Analysis of diversity-accuracy tradeoff in image captioning, arXiv:2002.11848.
    """
    words = sum(map(len, captions))
    ngrams = {ngram for tokens in captions for ngram in count_ngrams(tokens, n) if len(ngram) == n}
    return len(ngrams) / max(1, words)


def distinct(captions: Iterable[Tokens]) -> int:
    """How many different captions there are."""
    return len(set(map(tuple, captions)))


def novel(captions: Sequence[Tokens], training: Set[tuple[str, ...]]) -> float:
    """The share of captions, 0..1, that are not word for word among the training captions; of none, 0."""
    return sum(tuple(tokens) not in training for tokens in captions) / max(1, len(captions))


# What a model finds probable


def perplexity(nats: float) -> float:
    """As many tokens, all equally probable, would be as hard to foresee.

    Args:
        nats: per token, the mean of -log p; what is above `HOPELESS` counts as that.
    """
    return math.exp(min(nats, HOPELESS))


def unigram_nats(sentences: Iterable[Sequence[int]], counts: Sequence[float]) -> float:
    """What all sentences cost, in nats, where a token is as probable as it is frequent, whatever is before it.

    Args:
        sentences: ids of tokens.
        counts: of each token, by its id, in the sentences of the training.
    """
    seen = np.maximum(np.asarray(counts, "float64"), UNSEEN)
    log_share = np.log(seen / seen.sum())
    return -float(sum(log_share[np.asarray(ids, int)].sum() for ids in sentences))


@dataclass(frozen=True)
class Share:
    """On how many pictures something is so, beside what chance would give: one half.

    Attributes:
        value: 0..1; where neither is more probable, half a picture is counted.
        pictures: that it was asked of.
    """

    value: float
    pictures: int

    @property
    def chance(self) -> float:
        """How far from one half chance gets, 19 times of 20: two standard deviations of the binomial distribution."""
        return min(0.5, 1 / math.sqrt(self.pictures))


def share_of_own(rows: np.ndarray, saved: np.ndarray) -> Share:
    """On how many pictures their sentences, taken together, cost less than they would on another.

    Args:
        rows: the picture of each sentence, from 0 on.
        saved: nats that its own picture saves.
    """
    gains = np.bincount(rows, saved)
    return Share(float((gains > 0).mean() + (gains == 0).mean() / 2), len(gains))


def share_of_stars(rows: np.ndarray, cost: np.ndarray, stars: Sequence[int | None]) -> Share | None:
    """How often, of two sentences on one picture, the one with more stars costs less; each picture counts the same.

    Args:
        rows: the picture of each sentence, rising.
        cost: nats per token of each.
        stars: of each; None: nobody was asked.

    Returns:
        None: no picture has sentences with different numbers of stars.
    """
    liked = np.array([math.nan if each is None else each for each in stars], float)
    shares = []
    for here in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows)) + 1):
        more = liked[here, None] > liked[here]  # (a, b): a has more stars than b; nan never has
        if more.any():
            dearer = (cost[here] - cost[here, None])[more]
            shares.append(float((dearer > 0).mean() + (dearer == 0).mean() / 2))
    return Share(float(np.mean(shares)), len(shares)) if shares else None
