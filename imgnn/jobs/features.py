"""What the frozen part of a network gives of pictures: computed once, trained on many times."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from imgnn import backend
from imgnn.data.batches import Pictures, all_batches
from imgnn.errors import InputError
from imgnn.runs import Reporter, Stop, Stopped
from imgnn.training.trainer import every_layer


@dataclass(frozen=True)
class Features:
    """Features of pictures, some of which may be there in several views.

    Attributes:
        values: `(rows, ...)`; float16 where float32 would take more than the memory that is meant for it.
        indices: int `(rows,)`: the picture that each row is of.
    """

    values: np.ndarray
    indices: np.ndarray


def look_at(
    below: Any,
    pictures: Pictures,
    reporter: Reporter,
    *,
    mirrored: bool,
    batch: int,
    precision: str,
    room: int,
    stop: Stop,
    task: str,
    workers: int | None = None,
    check: Callable[[np.ndarray], None] | None = None,
) -> Features:
    """The features of every picture that can be read, in the list's order, and of its mirror image.

    Args:
        below: pixels `(n, height, width, 3)` -> one tensor, as `training/trainer.py` divides a network.
        reporter: hears of the pictures, as `task`.
        mirrored: the features of each batch's mirror images follow its own.
        precision: "float32" or "bfloat16", what the layers compute in.
        room: bytes that the features may take.
        workers: threads that decode; None: one for each core.
        check: is shown the first batch of pixels, uint8 or float32 `(n, height, width, 3)`.

    Raises:
        InputError: the features of all pictures do not fit into the memory.
        Stopped: `stop` said so.
    """
    views = 2 if mirrored else 1
    kind, shape = kind_of(below, views * len(pictures), room), tuple(below.outputs[0].shape[1:])
    layers = [layer for layer in every_layer(below) if layer.dtype_policy.compute_dtype == "float32"]
    see = backend.answering(below)
    values, indices = np.empty((views * len(pictures), *shape), kind), np.empty(views * len(pictures), int)
    done = 0
    reporter.begin(task, len(pictures), "pictures")
    with backend.computing_in(layers, precision):
        for number, some in enumerate(all_batches(pictures, batch=batch, workers=workers)):
            there = np.flatnonzero(some.weights)
            if len(there):
                pixels = some.views[there]
                if check and number == 0:
                    check(pixels)
                for turned in (pixels, pixels[:, :, ::-1])[:views]:
                    rows = slice(done, done + len(there))
                    seen = see(padded(turned.astype("float32"), batch))
                    values[rows] = keras.ops.convert_to_numpy(seen)[: len(there)]
                    indices[rows] = some.indices[there]
                    done += len(there)
            reporter.advance(int(some.indices[-1]) + 1)
            if stop():
                raise Stopped
    reporter.end()
    return Features(values[:done], indices[:done])


def padded(values: np.ndarray, count: int) -> np.ndarray:
    """`(n, ...)` with zeros behind, `(count, ...)`: one shape, so that the backend traces once. More stays as it is."""
    missing = count - len(values)
    return values if missing <= 0 else np.concatenate([values, np.zeros((missing, *values.shape[1:]), values.dtype)])


def kind_of(below: Any, rows: int, room: int) -> str:
    """How features are kept: "float32", or "float16" where that would take more than `room` bytes.

    Raises:
        InputError: there is no room for them in either.
    """
    numbers = rows * math.prod(below.outputs[0].shape[1:])
    if 2 * numbers > room:
        raise InputError(
            f"the features of {rows:,} views of pictures take {2 * numbers / 1e9:.1f} GB; "
            f"{room / 1e9:.1f} GB of memory are meant for them",
            hint="--memory 0.5; or --recipe one-cycle --head-epochs 0, which keeps none",
        )
    return "float32" if 4 * numbers <= room else "float16"
