"""Pictures in batches, for training: decoded by threads while the network computes, in an order that can be resumed.

What a picture looks like in an epoch depends on the seed, the epoch and the picture alone, never on which thread was
first. So a run that starts again in the middle of an epoch meets the very same batches.
"""

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgnn.data.spread import spread
from imgnn.errors import InputError
from imgnn.images.files import load_image

Prepare = Callable[[np.ndarray], np.ndarray]
View = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Pictures:
    """The pictures of a list, each brought to a frame; as many frames as fit are kept in memory.

    Args:
        files: the picture files.
        prepare: image -> frame, an array; called once for a picture that is kept.
        room: bytes that kept frames may take.

    Attributes:
        bad: number of a picture that could not be read -> why. It grows while pictures are read.
    """

    def __init__(self, files: Sequence[Path], prepare: Prepare, *, room: int = 0) -> None:
        self.files, self.prepare, self.room = tuple(files), prepare, room
        self.bad: dict[int, str] = {}
        self.kept: dict[int, np.ndarray] = {}
        self.lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.files)

    def frame(self, index: int) -> np.ndarray | None:
        """One picture's frame; None if it cannot be read: the reason is in `bad` then."""
        if index in self.bad:
            return None
        if (frame := self.kept.get(index)) is not None:
            return frame
        try:
            frame = self.prepare(load_image(self.files[index]))
        except (InputError, OSError) as error:
            with self.lock:
                self.bad[index] = str(error)
            return None
        with self.lock:
            if frame.nbytes <= self.room and index not in self.kept:
                self.room -= frame.nbytes
                self.kept[index] = frame
        return frame


@dataclass(frozen=True)
class Batch:
    """Some pictures at once.

    Attributes:
        step: number of the batch in its epoch, from 0 on.
        indices: the pictures' numbers, `(n,)`.
        views: `(n, height, width, 3)`; black where a picture could not be read.
        weights: float32 `(n,)`, 1; 0 where a picture could not be read.
    """

    step: int
    indices: np.ndarray
    views: np.ndarray
    weights: np.ndarray


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order in which an epoch goes through `count` things."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def training_batches(
    pictures: Pictures, view: View, *, batch: int, seed: int, epoch: int, first: int = 0, workers: int | None = None
) -> Iterator[Batch]:
    """The batches of one epoch, all of the same size: the few pictures that would not fill one wait for another epoch.

    Args:
        view: a frame and random numbers of its own -> what the network is to see.
        batch: pictures in one; at most as many as there are.
        epoch: which one, counted from 0.
        first: the batch to begin with; those before it were trained on already.
        workers: threads; None: as many as there are cores.
    """
    order = epoch_order(len(pictures), seed, epoch)
    steps = len(pictures) // batch

    def see(index: int) -> np.ndarray | None:
        frame = pictures.frame(index)
        return None if frame is None else view(frame, np.random.default_rng([seed, epoch, index]))

    wanted = (int(index) for index in order[first * batch : steps * batch])
    seen = spread(see, wanted, workers=workers, ahead=2 * batch)
    for step in range(first, steps):
        yield gather(step, list(itertools.islice(seen, batch)))


def all_batches(pictures: Pictures, *, batch: int, workers: int | None = None) -> Iterator[Batch]:
    """Every picture once, in the list's order, as its frame is; the last batch may be smaller."""
    seen = spread(pictures.frame, range(len(pictures)), workers=workers, ahead=2 * batch)
    for step in itertools.count():
        if not (some := list(itertools.islice(seen, batch))):
            return
        yield gather(step, some)


def gather(step: int, seen: Sequence[tuple[int, np.ndarray | None]]) -> Batch:
    """Views of single pictures as a batch."""
    there = next((view for _, view in seen if view is not None), None)
    blank = np.zeros_like(there) if there is not None else np.zeros((1, 1, 3), "uint8")
    return Batch(
        step=step,
        indices=np.array([index for index, _ in seen]),
        views=np.stack([blank if view is None else view for _, view in seen]),
        weights=np.array([0.0 if view is None else 1.0 for _, view in seen], "float32"),
    )
