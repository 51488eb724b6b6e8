"""Whether a text is new: the same one, or the most similar one, among those that are known."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np

from imgnn.language.tokenizers import caseless, pattern


class Novelty:
    """Known texts, and how near others come to them.

    Two texts are the same if they differ in case, width, spaces and punctuation alone, not in an emoji. How similar
    they are is told by their pairs of neighbouring characters, each counted once: those that are in both texts, divided
    by those that are in either (Jaccard, 0..1). Of a text of one character, that is its only pair.

    Args:
        texts: what is known, the training texts for instance.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.folded = [fold(text) for text in texts]
        self.known = frozenset(self.folded) - {""}

    @cached_property
    def index(self) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Pair -> places of the texts that have it; `(texts,)`: how many pairs each has."""
        own = [pairs_of(text) for text in self.folded]
        counts = np.array([len(each) for each in own], int)
        having: dict[str, list[int]] = {}
        for place, pairs in enumerate(own):
            for pair in pairs:
                having.setdefault(pair, []).append(place)
        return {pair: np.array(places) for pair, places in having.items()}, counts

    def copied(self, text: str) -> bool:
        """Whether a text is the same as a known one; an empty one is not."""
        return fold(text) in self.known

    def nearest(self, text: str) -> tuple[int, float] | None:
        """The known text that is most similar, the first of equal ones.

        Returns:
            Its place among the texts, and the similarity, 0..1; None: no known text has a pair of it.
        """
        having, counts = self.index
        own = pairs_of(fold(text))
        known = [having[pair] for pair in own if pair in having]
        if not known:
            return None
        both = np.bincount(np.concatenate(known), minlength=len(counts))
        similarity = both / (counts + len(own) - both)
        best = int(similarity.argmax())
        return best, float(similarity[best])


def count_different(texts: Iterable[str]) -> int:
    """How many texts are not the same as one before them; one without a letter is the same as its like alone."""
    return len({fold(text) or text for text in texts})


def fold(text: str) -> str:
    """The letters, digits and emoji of a text, in one case and width."""
    return pattern(r"[^\p{L}\p{M}\p{N}\p{So}]+").sub("", caseless(text))


def pairs_of(text: str) -> set[str]:
    """The different pairs of neighbouring characters; of one character alone, itself."""
    return {first + second for first, second in pairwise(text)} or set(text)
