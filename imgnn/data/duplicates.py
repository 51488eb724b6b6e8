"""Pictures that look alike, found among many without comparing each with each."""

from itertools import combinations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

# Bits of 64 in which the looks of two near duplicates may differ. Copies made smaller, compressed or brightened differ
# in 0 to 6; of 17 million pairs of different photos none did. docs/label.md has the figures.
NEAR = 6


def near_pairs(looks: np.ndarray, distance: int = NEAR) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every two pictures whose looks differ in few bits.

    Cut into `distance + 2` bands, two looks so near agree in two of the bands at least. So looks are sorted by
    every two bands in turn, and only neighbours with the same two are compared: exact, and of 100,000 pictures a
    second's work.

    Args:
        looks: uint64 `(n,)`; see `images.inspection.look_of`.
        distance: bits, at most 62.

    Returns:
        Three arrays `(pairs,)`: first and second picture (first < second), and the bits in which they differ. Where
        many have the same look, each is paired with the first of them alone, and the others with that.
    """
    looks = np.asarray(looks, "uint64")
    unique, firsts, which = np.unique(looks, return_index=True, return_inverse=True)
    bands = [
        np.bitwise_or.reduce(np.uint64(1) << bits.astype("uint64"))
        for bits in np.array_split(np.arange(64), distance + 2)
    ]
    found = [pairs_alike(unique, one | other, distance) for one, other in combinations(bands, 2)]
    # A pair is found by each two bands in which it agrees.
    left, right = np.unique(np.concatenate(found), axis=0).T
    one, other = firsts[left], firsts[right]
    again = np.flatnonzero(firsts[which] != np.arange(len(looks)))
    first = np.concatenate([np.minimum(one, other), firsts[which[again]]])
    second = np.concatenate([np.maximum(one, other), again])
    order = np.lexsort((second, first))
    first, second = first[order], second[order]
    return first, second, np.bitwise_count(looks[first] ^ looks[second]).astype(int)


def pairs_alike(looks: np.ndarray, mask: np.uint64, distance: int) -> np.ndarray:
    """Pairs `(pairs, 2)` that agree in all bits of a mask, and differ in at most `distance` of the others."""
    keys = looks & mask
    order = np.argsort(keys, kind="stable")
    keys, looks = keys[order], looks[order]
    found = [np.empty((0, 2), "int64")]
    here = np.arange(len(looks))
    step = 0
    while len(here):  # each with the next of the same key, then with the one after that, ...
        step += 1
        here = here[here + step < len(looks)]
        here = here[keys[here] == keys[here + step]]
        near = here[np.bitwise_count(looks[here] ^ looks[here + step]) <= distance]
        found.append(np.sort(np.stack([order[near], order[near + step]], axis=1), axis=1))
    return np.concatenate(found)


def connected(count: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The group `(count,)` of each picture: those that pairs connect, over however many steps, share a number."""
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(count, count))
    return connected_components(graph, directed=False)[1]
