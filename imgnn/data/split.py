"""Train, val and test: each class in its shares, what belongs together on one side, and the same in every run."""

import hashlib
import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence

from imgnn.errors import InputError

PARTS = ("train", "val", "test")


def split(
    paths: Sequence[str],
    labels: Sequence[int],
    groups: Sequence[int],
    shares: Sequence[float],
    *,
    seed: int = 0,
    fixed: Sequence[int | None] | None = None,
) -> list[int]:
    """The part that each picture goes to.

    Every class is cut by the shares, rounded so that no picture is lost and each part has at least one if there are
    enough. Groups of several pictures come first, the largest before the others, and go where there is room; single
    pictures fill what is left. Where a picture lands is drawn from a hash of seed and path: when pictures
    are added to a folder, few of the others move.

    Args:
        paths: by which the pictures are drawn; all different.
        labels: class of each.
        groups: a number of each; pictures with the same one are never separated (but by `fixed`).
        shares: of the parts, with the sum 1.
        fixed: the part of those that have theirs already; its group goes with the first of them.

    Raises:
        InputError: a part would have no picture at all.
    """
    counts = Counter(labels)
    # room[label][part]: how many pictures of a class a part still wants; less than 0 if it has more than its share
    room = {label: whole_shares(count, shares) for label, count in counts.items()}
    parts: list[int | None] = list(fixed) if fixed is not None else [None] * len(paths)
    taken = {label: [0] * len(shares) for label in counts}
    members: dict[int, list[int]] = defaultdict(list)
    for index in sorted(range(len(paths)), key=paths.__getitem__):  # their order is not to matter
        members[groups[index]].append(index)

    def put(indices: Sequence[int], part: int) -> None:
        for index in indices:
            parts[index] = part
            room[labels[index]][part] -= 1
            taken[labels[index]][part] += 1

    def empty_parts(label: int) -> list[int]:
        return [part for part, count in enumerate(taken[label]) if not count]

    together: list[list[int]] = []  # groups of several
    alone: dict[int, list[int]] = defaultdict(list)  # label -> pictures
    for indices in members.values():
        settled = [part for index in indices if (part := parts[index]) is not None]
        for index in indices:
            if (part := parts[index]) is not None:
                put([index], part)
        free = [index for index in indices if parts[index] is None]
        if settled:
            put(free, settled[0])
        elif len(free) > 1:
            together.append(free)
        else:
            alone[labels[free[0]]].append(free[0])

    drawn = [draw(path, seed) for path in paths]
    left = Counter(labels[indices[0]] for indices in together)  # groups of each class that have no part yet
    together.sort(key=lambda indices: (-len(indices), min(drawn[index] for index in indices)))
    for indices in together:
        wanted = Counter(labels[index] for index in indices)
        label = labels[indices[0]]
        empty = empty_parts(label)
        # The last groups of a class are kept for the parts that have none.
        allowed = empty if empty and left[label] + len(alone[label]) <= len(empty) else range(len(shares))
        left[label] -= 1
        fitting = [part for part in allowed if all(room[each][part] >= count for each, count in wanted.items())]
        if fitting:
            part = chosen(drawn[min(indices, key=lambda index: drawn[index])], [shares[part] for part in fitting])
            put(indices, fitting[part])
        else:
            put(indices, max(allowed, key=lambda part: sum(room[each][part] for each in wanted)))
    for label, indices in alone.items():
        weights = [max(0, count) for count in room[label]]
        amounts = whole_shares(len(indices), weights if any(weights) else shares)
        if len(indices) >= len(empty := empty_parts(label)):
            for part in (part for part in empty if not amounts[part]):
                giver = max(
                    (each for each in range(len(shares)) if amounts[each]),
                    key=lambda each: taken[label][each] + amounts[each],
                )
                amounts[giver] -= 1
                amounts[part] = 1
        indices.sort(key=lambda index: drawn[index])
        for part, (start, end) in enumerate(itertools.pairwise([0, *itertools.accumulate(amounts)])):
            put(indices[start:end], part)

    result = [part for part in parts if part is not None]
    if missing := set(range(len(shares))) - set(result):
        count = f"{len(paths):,} picture{'s' if len(paths) != 1 else ''}"
        raise InputError(f"{count} cannot be split into {len(shares)} lists: {PARTS[min(missing)]} would have none")
    return result


def whole_shares(count: int, shares: Sequence[float]) -> list[int]:
    """A number cut by shares into whole ones with the same sum: each is rounded down, and the largest remainders get
    one more. A share above 0 gets at least 1 if there are enough."""
    total = sum(shares)
    exact = [count * share / total for share in shares]
    result = [int(each + 1e-9) for each in exact]
    by_remainder = sorted(range(len(shares)), key=lambda part: (result[part] - exact[part], part))
    for part in by_remainder[: count - sum(result)]:
        result[part] += 1
    wanting = [part for part, share in enumerate(shares) if share > 0 and not result[part]]
    if count >= sum(share > 0 for share in shares):
        for part in wanting:
            result[result.index(max(result))] -= 1
            result[part] = 1
    return result


def draw(path: str, seed: int) -> float:
    """A number from 0 to 1 that seed and path decide."""
    drawn = hashlib.blake2b(f"{seed}\0{path}".encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(drawn, "big") / 2**64


def chosen(number: float, weights: Sequence[float]) -> int:
    """The index that a number from 0 to 1 falls on, where each has a stretch as long as its weight."""
    ends = list(itertools.accumulate(weights))
    return next((index for index, end in enumerate(ends) if number * ends[-1] < end), len(ends) - 1)
