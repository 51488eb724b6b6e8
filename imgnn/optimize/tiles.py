"""Where a picture is cut into tiles, so that what is computed on them is exactly what the whole would give."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from imgnn.networks.table import Reach


@dataclass(frozen=True)
class Span:
    """A stretch of one axis.

    Attributes:
        start, stop: the window of pixels that is looked at.
        places: layer -> (first, last + 1) of the positions that are this tile's own, counted within the window; its
            neighbours have the others.
        offsets: layer -> where the window begins, in positions of the layer.
    """

    start: int
    stop: int
    places: Mapping[str, tuple[int, int]]
    offsets: Mapping[str, int]


@dataclass(frozen=True)
class Tile:
    """A window of the picture, down and across."""

    down: Span
    across: Span

    @property
    def window(self) -> tuple[slice, slice, slice, slice]:
        """The tile's pixels in `(batch, height, width, channels)`."""
        return np.s_[:, self.down.start : self.down.stop, self.across.start : self.across.stop, :]

    @property
    def size(self) -> tuple[int, int]:
        """Of the window: `(height, width)`."""
        return self.down.stop - self.down.start, self.across.stop - self.across.start

    def of_layer(self, name: str, size: tuple[int, int]) -> tuple[slice, slice, slice, slice]:
        """Where its features, of `size`, lie in those of the whole picture."""
        top, left = self.down.offsets[name], self.across.offsets[name]
        return np.s_[:, top : top + size[0], left : left + size[1], :]

    def own(self, name: str) -> tuple[slice, slice, slice, slice]:
        """Which of its features are the tile's own."""
        (top, bottom), (left, right) = self.down.places[name], self.across.places[name]
        return np.s_[:, top:bottom, left:right, :]

    def counts(self, name: str, size: tuple[int, int]) -> np.ndarray:
        """float32 `(1, *size, 1)`: 1 at the positions that are the tile's own."""
        counts = np.zeros((1, *size, 1), "float32")
        counts[self.own(name)] = 1.0
        return counts


def cut_tiles(size: tuple[int, int], reaches: tuple[Reach, Reach], side: int) -> list[Tile]:
    """Tiles that cover a picture; their windows have one size, so one compiled function serves them all.

    A window begins at a multiple of every layer's jump, and is longer than its own part by what the values there see
    on either side. At the picture's border it ends where the picture does, and the layers pad it as they pad the whole.

    Args:
        size: `(height, width)`, pixels.
        reaches: what the layers see, down and across.
        side: of a window, pixels, at most; smaller where as many do, larger when what a value sees does not fit.
    """
    downs, acrosses = (list(cut_axis(n, reach, side)) for n, reach in zip(size, reaches, strict=True))
    return [Tile(down, across) for down in downs for across in acrosses]


def cut_axis(length: int, reach: Reach, side: int) -> Iterator[Span]:
    """The spans of one axis."""
    step = math.lcm(*reach.jumps.values())
    before, after = -(-reach.before // step) * step, max(reach.after, 0)
    # A window is as long as the axis, modulo the step: then the layers round its odd end as they round the axis's.
    windows = range(length % step, length, step)
    fitting = [window for window in windows if before + after + step <= window <= max(side, before + after + 2 * step)]

    def core_of(window: int) -> int:
        return (window - before - after) // step * step

    # The smallest window with which there are no more tiles than with the largest: the less they overlap.
    tiles = -(-length // core_of(fitting[-1])) if fitting else 1
    window = next((each for each in fitting if -(-length // core_of(each)) == tiles), length)
    core = core_of(window) if window < length else length
    for first in range(0, length, core):
        last = min(first + core, length)
        start = max(min(first - before, length - window), 0)
        places = {}
        for name, jump in reach.jumps.items():
            # The last tile has all that is left, however the layers round.
            places[name] = (first - start) // jump, (last - start) // jump if last < length else 1 << 30
        yield Span(start, start + window, places, {name: start // jump for name, jump in reach.jumps.items()})
