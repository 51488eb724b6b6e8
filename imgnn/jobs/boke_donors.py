"""Pictures that lend a sentence to another one: which are far from it, and which are near."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from keras import ops

from imgnn.language.decoder import Decoder
from imgnn.runs import is_file

SHARES = 5  # parts of the pictures by distance, of which one lends
SAME = 1e-3  # a distance below it is the same picture, perhaps saved once more


class Donor(NamedTuple):
    """The picture that a boke was written for.

    Attributes:
        file: None if it is not where it was.
        distance: 1 - cosine of `directions_of`, 0..2.
    """

    name: str
    file: Path | None
    distance: float


@dataclass(frozen=True)
class Lenders:
    """Pictures that can lend.

    Attributes:
        names: as one calls them.
        files: where they are, or were.
        features: float16 `(m, numbers)`.
        directions: float32 `(m, numbers)`, of `directions_of`.
    """

    names: Sequence[str]
    files: Sequence[Path]
    features: np.ndarray
    directions: np.ndarray

    def donor(self, number: int, distance: float) -> Donor:
        """The picture of a number, as a result names it."""
        file = self.files[number]
        return Donor(self.names[number], file if is_file(file) else None, float(distance))

    def distances(self, direction: np.ndarray) -> np.ndarray:
        """Of each from a picture with this direction: float32 `(m,)`, 1 - cosine, 0..2."""
        return 1 - self.directions @ direction

    def nearest(self, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Their numbers, the nearest first, and their distances in this order, without the picture itself.

        Args:
            direction: `(numbers,)`, of `directions_of`.

        Returns:
            `(k,)` numbers and float32 `(k,)` distances, 0..2; k is below m where pictures are (nearly) this one.
        """
        distances = self.distances(direction)
        order = np.argsort(distances, kind="stable")
        order = order[distances[order] > SAME]
        return order, distances[order]

    def donors(
        self, direction: np.ndarray, distance: Literal["far", "middle"], least: int, seeds: Sequence[int]
    ) -> list[tuple[int, float]]:
        """The fifth of them that may lend, in an order that the seeds draw: number and distance.

        Args:
            direction: `(numbers,)`, of `directions_of`.
            distance: "far", the last fifth by distance; "middle", the fifth around the median.
            least: so many, where there are as many at all, even if a fifth is less.
            seeds: of NumPy's generator; the same ones draw the same order.
        """
        order, distances = self.nearest(direction)
        count = min(len(order), max(least, -(-len(order) // SHARES)))
        start = len(order) - count if distance == "far" else (len(order) - count) // 2
        chosen = np.random.default_rng(seeds).permutation(np.arange(start, start + count))
        return [(int(order[place]), float(distances[place])) for place in chosen]


def directions_of(features: np.ndarray, decoder: Decoder) -> np.ndarray:
    """Which way pictures differ from the mean of those that a decoder was trained on, in the units it looks in.

    Features after a ReLU have no negative numbers, so that none is far from another; around their mean they are.

    Args:
        features: `(n, numbers)`.
        decoder: whose mean and scale of each number are meant.

    Returns:
        float32 `(n, numbers)` of length 1; zeros for the mean itself.
    """
    mean, scale = (ops.convert_to_numpy(each.value) for each in (decoder.standard.mean, decoder.standard.scale))
    found = (features.astype("float32") - mean) * scale
    return found / np.maximum(np.linalg.norm(found, axis=-1, keepdims=True), np.finfo("float32").tiny)
