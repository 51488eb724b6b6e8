"""Which boke of a picture a decoder learns, and how far its loss can fall.

Ten people answer one picture with ten different lines. A decoder that sees the picture alone cannot tell which of them
comes: however long it learns, it pays the entropy of the choice. It is why the loss of butsugiri/bokete stayed high
with 30,000 boke of 2,000 pictures, and fell with 300 of 300. The ways out are here as pairings:

    many      every boke of every picture
    one       one boke of each picture, drawn at random
    best      of each picture the boke with the most stars
    sampled   one of each picture, drawn anew in each epoch
    stars     every boke, weighed by its stars
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from imgnn.options import Pairing


@dataclass(frozen=True)
class Floor:
    """What texts cost, at least, for a decoder that knows by heart which texts each picture has, and how often.

    Attributes:
        per_token: nats per token.
        first_token: nats of the first token alone: there every decoder has to choose between texts.
        average_loss: in the unit of average_loss.log, see `average_loss_floor`.
    """

    per_token: float
    first_token: float
    average_loss: float


def choose(rows: Sequence[int], stars: Sequence[int | None], pairing: Pairing, seed: int) -> np.ndarray:
    """The texts that are trained on.

    Args:
        rows: the picture of each text.
        stars: of each text; None: not known, which is less than 0 of them.

    Returns:
        Their numbers, rising. Of "sampled" all: `draw` says which of them an epoch has.
    """
    if pairing == "one":
        return draw(rows, seed, 0)
    if pairing != "best":
        return np.arange(len(rows))
    best: dict[int, int] = {}
    for number, row in enumerate(rows):
        if row not in best or rank(stars[number]) > rank(stars[best[row]]):
            best[row] = number
    return np.array(sorted(best.values()), int)


def rank(stars: int | None) -> int:
    """Stars to compare by."""
    return -1 if stars is None else stars


def draw(rows: Sequence[int], seed: int, epoch: int) -> np.ndarray:
    """One text of each picture, drawn at random by seed and epoch: their numbers, rising, `(pictures,)`.

    Args:
        rows: the picture's number of each text.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(rows))
    _, first = np.unique(np.asarray(rows)[order], return_index=True)
    found: np.ndarray = np.sort(order[first])
    return found


def star_weights(stars: Sequence[int | None]) -> np.ndarray:
    """What each text weighs by its stars, float64 `(texts,)` with a mean of 1: log(2 + stars).

    A text without a star counts, too, and one with 10,000 some thirteen times as much; stars that are not known count
    as none. (The Neural Joking Machine, arXiv:1805.11850, weighs by stars, too; the logarithm is ours: stars of a site
    are spread over four powers of ten.)
    """
    weights = np.log([2.0 + max(0, rank(each)) for each in stars])
    result: np.ndarray = weights / weights.mean()
    return result


def batches_of(lengths: np.ndarray, epochs: Sequence[np.ndarray], batch: int) -> np.ndarray:
    """How many batches of each length an epoch has, on average: float64 `(longest + 1,)`, at index i of i tokens.

    Batches have texts of one length each, `batch` of them or, the last of a length, what is left.

    Args:
        lengths: of each text, tokens with END.
        epochs: the numbers of the texts of each epoch, or of some that stand for all.
    """
    counts = np.array([np.bincount(lengths[each], minlength=lengths.max() + 1) for each in epochs])
    found: np.ndarray = np.ceil(counts / batch).mean(axis=0)
    return found


def entropy_floor(
    pictures: Sequence[int], texts: Sequence[Sequence[int]], weights: np.ndarray, often: np.ndarray, batches: np.ndarray
) -> Floor:
    """The least that these texts can cost beside these pictures.

    The best answer to a picture gives each of its texts the share of its weight; then a text of share p costs -log p,
    all in all `sum(w * log(W / w))` over the texts of a picture, where W is the sum of its w. Equal texts of a picture
    are one text, and equal pictures, by number, are one picture.

    Args:
        pictures: of each text.
        texts: tokens with END, as the decoder is asked for them.
        weights: of each text in the loss, `(texts,)`.
        often: how often each is in an epoch, on average: 0..1, `(texts,)`.
        batches: of `batches_of`.

    Source: the loss is least at the empirical distribution (Gibbs' inequality).
    """
    weights = weights * often
    tokens = float(sum(weight * len(text) for weight, text in zip(weights, texts, strict=True)))
    return Floor(
        per_token=least(pictures, [tuple(text) for text in texts], weights) / tokens,
        first_token=least(pictures, [text[0] for text in texts], weights) / float(weights.sum()),
        average_loss=average_loss_floor(pictures, texts, weights, often, batches),
    )


def least(pictures: Sequence[int], answers: Sequence[Hashable], weights: np.ndarray) -> float:
    """The sum over pictures of `sum(w * log(W / w))`."""
    found: dict[int, dict[Hashable, float]] = defaultdict(lambda: defaultdict(float))
    for picture, answer, weight in zip(pictures, answers, weights, strict=True):
        found[picture][answer] += weight
    total = 0.0
    for each in found.values():
        whole = sum(each.values())
        total += sum(weight * math.log(whole / weight) for weight in each.values())
    return total


def average_loss_floor(
    pictures: Sequence[int], texts: Sequence[Sequence[int]], weights: np.ndarray, often: np.ndarray, batches: np.ndarray
) -> float:
    """The least that `average_loss` of butsugiri/bokete can be, on average over the ways to make batches.

    It is the sum over batches of what the texts of a batch cost on average, divided by the number of texts: a text
    weighs 1 / (texts in its batch), and all texts of a length share that length's batches.

    Args:
        weights: of each text in the loss, times how often it is there.
    """
    lengths = np.array([len(text) for text in texts])
    masses = np.bincount(lengths, weights=weights)
    shares = weights * batches[lengths] / masses[lengths]
    return least(pictures, [tuple(text) for text in texts], shares) / float(often.sum())
