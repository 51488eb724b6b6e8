"""The mean of a data set, kept as a file: what Caffe subtracts from every picture.

(Caffe's own `.binaryproto` is read in `imgnn.caffe.wire`; it comes out as an array in the same order as a `.npy`.
It is written in `imgnn.caffe.mean`.)
"""

from pathlib import Path

import numpy as np

from imgnn.errors import InputError, missing
from imgnn.images.files import load_image
from imgnn.runs import write_aside


def load_mean(path: str | Path) -> np.ndarray:
    """A mean image or mean pixel, in Caffe's channel order.

    Args:
        path: a picture (turned to BGR), or a `.npy` that holds BGR already: one number for each channel,
            `(channels, height, width)` as Caffe's examples ship it, or `(height, width, channels)`.

    Returns:
        float32 `(height, width, channels)`, BGR, 0..255; `(1, 1, channels)` for a mean pixel.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    path = Path(path)
    if path.suffix.lower() != ".npy":
        return load_image(path)[..., ::-1].astype("float32")
    try:
        mean = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise missing(path) from None
    except (OSError, ValueError, EOFError) as error:
        # Some tools write a pickle under this name; to load one is to run it.
        raise InputError(
            f"{path} is no .npy array of numbers: {error}", hint="np.save(path, mean) writes one"
        ) from error
    if mean.dtype.kind not in "iuf":
        raise InputError(f"{path} holds {mean.dtype}; numbers are expected")
    mean = mean.astype("float32")
    if mean.ndim == 1:
        mean = mean[None, None]
    elif mean.ndim == 3 and mean.shape[0] in (1, 3) and mean.shape[2] not in (1, 3):
        mean = mean.transpose(1, 2, 0)
    if mean.ndim != 3 or mean.shape[2] not in (1, 3):
        raise InputError(f"a mean is (height, width, channels) with 1 or 3 channels; {path} holds {mean.shape}")
    return mean


def channel_mean(mean: np.ndarray) -> tuple[float, ...]:
    """One number for each channel of `(height, width, channels)`, computed in double precision."""
    return tuple(float(value) for value in mean.reshape(-1, mean.shape[-1]).mean(axis=0, dtype="float64"))


def save_mean(path: Path, mean: np.ndarray) -> None:
    """Write a mean image as Caffe's examples ship theirs; the file appears whole or not at all.

    Args:
        path: a `.npy`.
        mean: `(height, width, 3)`, RGB; turned into float64 `(3, height, width)`, BGR.

    Raises:
        InputError: it cannot be written.
    """
    with write_aside(path) as aside:
        np.save(aside, caffe_order(mean).astype("float64"), allow_pickle=False)


def caffe_order(mean: np.ndarray) -> np.ndarray:
    """`(height, width, 3)` RGB as Caffe has it: `(3, height, width)`, BGR."""
    return np.ascontiguousarray(mean[..., ::-1].transpose(2, 0, 1))
