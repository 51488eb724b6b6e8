"""Caffe's blobs as Keras weights: the order of the axes, and the dense layer that follows a spatial value.

One table row per weight says which shape the blob must have and how it is turned round. The blobs stay
views of the file until a layer is assigned, one layer at a time.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np

from imgnn.caffe.filler import Filled
from imgnn.errors import WeightsError
from imgnn.networks.layers import Scale

LARGE = 1 << 20  # numbers
CACHED = 16  # outputs of a kernel: their numbers fill one line of the cache, side by side

Status = Literal["loaded", "reshaped", "filled", "skipped", "missing"]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Loaded:
    """What became of one layer's blobs.

    Attributes:
        layer: Caffe's name.
        status: "reshaped" holds the same numbers under a legacy shape (1x1xMxN); "filled" is a layer without blobs
            whose filler says its numbers; "skipped" blobs have no layer here; "missing" is a layer without
            blobs, which keeps its initial weights.
        why: in words, unless loaded.
    """

    layer: str
    status: Status
    blob_shapes: tuple[Shape, ...] = ()
    keras_shapes: tuple[Shape, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class _Part:
    """One weight: the shape its blob has in Caffe, and how the blob (of a kernel: some of its outputs) becomes it."""

    name: str
    shape: Shape
    turn: Callable[[np.ndarray], np.ndarray]


def assign_blobs(
    model: keras.Model,
    layers: Mapping[str, str],
    blobs: Mapping[str, Sequence[np.ndarray]],
    *,
    assign: Callable[[Any, np.ndarray], Any] = lambda weight, array: weight.assign(array),
) -> list[Loaded]:
    """Put the blobs into the model, layer by layer.

    Args:
        model: built by `caffe.graph` or by a builder of `networks`.
        layers: Caffe layer name -> Keras layer name.
        blobs: Caffe layer name -> its blobs.
        assign: what is done with a weight and its array; the converter writes it straight into a file.

    Returns:
        One row per layer that has weights, in the model's order, then one per layer of the file without a place.

    Raises:
        WeightsError: a blob does not fit; nothing is assigned to that layer.
    """
    own = {layer.name: layer for layer in model.layers}
    rows = []
    for name, keras_name in layers.items():
        layer = own.get(keras_name)
        if layer is None or not layer.weights:
            continue
        wanted = tuple(tuple(weight.shape) for weight in layer.weights)
        if not blobs.get(name):
            rows.append(Loaded(name, "missing", (), wanted, "the file has no blobs for it; initial weights are kept"))
            continue
        helper = own.get(f"{keras_name}__flatten")
        flattened = tuple(helper.input.shape[1:]) if helper is not None else None
        arrays = keras_arrays(layer, blobs[name], flattened=flattened, caffe_name=name)
        for weight, array in zip(layer.weights, arrays, strict=True):
            assign(weight, array)
        found = tuple(tuple(blob.shape) for blob in blobs[name] if not isinstance(blob, Filled))
        if len(found) < len(blobs[name]):
            rows.append(Loaded(name, "filled", found, wanted, "not in the file; its filler gives it, as in Caffe"))
            continue
        parts = _parts(layer, flattened)
        same = all(blob.shape == part.shape for blob, part in zip(blobs[name], parts, strict=False))
        why = "" if same else "the same numbers under another shape"
        rows.append(Loaded(name, "loaded" if same else "reshaped", found, wanted, why))
    placed = {row.layer for row in rows}
    for name, arrays_of in blobs.items():
        if name not in placed and arrays_of:
            why = "the network has no such layer" if name not in layers else "this layer has no weights here"
            rows.append(Loaded(name, "skipped", tuple(tuple(blob.shape) for blob in arrays_of), (), why))
    return rows


def keras_arrays(
    layer: keras.layers.Layer, blobs: Sequence[np.ndarray], *, caffe_name: str, flattened: Shape | None = None
) -> Iterator[np.ndarray]:
    """The weights of `layer` in the order of `layer.weights`, from Caffe's blobs, one after the other.

    Args:
        layer: built.
        blobs: as Caffe keeps them: kernel `(out, in / group, kh, kw)`, then bias; legacy 1x1xMxN too.
        caffe_name: of the layer, for whoever is told that a blob does not fit.
        flattened: `(height, width, channels)` of the value that a dense layer flattens: its kernel's rows are
            in the order channels, height, width in Caffe and height, width, channels here.

    Raises:
        WeightsError: before the first: a blob is missing, left over or of another shape.
    """
    parts = _parts(layer, flattened)
    if isinstance(layer, keras.layers.BatchNormalization):
        blobs = _without_factor(blobs, caffe_name)
    if len(blobs) != len(parts):
        names = ", ".join(f"{part.name} {part.shape}" for part in parts) or "none"
        found = ", ".join(str(tuple(blob.shape)) for blob in blobs) or "none"
        raise WeightsError(
            f"layer {caffe_name} wants {len(parts)} blobs: {names}; the file holds {len(blobs)}: {found}"
        )
    for part, blob in zip(parts, blobs, strict=True):
        if not _fits(tuple(blob.shape), part.shape):
            raise WeightsError(
                f"layer {caffe_name} wants a {part.name} {part.shape}; the file holds {tuple(blob.shape)}",
                hint="these weights belong to another network, or to another version of it",
            )
    for part, blob in zip(parts, blobs, strict=True):
        yield _turned(part, blob.reshape(part.shape))


def _turned(part: _Part, blob: np.ndarray) -> np.ndarray:
    """The weight as an array of its own.

    A kernel's first axis (out) becomes its last, and a large one is turned a few outputs at a time, which the
    processor's cache holds: 8 times faster than at once for the 411 MB of VGG's fc6.
    """
    if part.name != "kernel" or blob.size < LARGE:
        return np.asarray(part.turn(blob), order="C")
    turned = np.empty((*part.turn(blob[:1]).shape[:-1], len(blob)), blob.dtype)
    for start in range(0, len(blob), CACHED):
        turned[..., start : start + CACHED] = part.turn(blob[start : start + CACHED])
    return turned


def _fits(found: Shape, wanted: Shape) -> bool:
    """Whether a blob holds the numbers wanted, in their order, though it may have other axes."""
    if found == wanted:
        return True
    if math.prod(found) != math.prod(wanted):
        return False
    if max(*found, *wanted, 1) == math.prod(wanted):
        return True  # a vector, wherever its axes of 1 are
    rows, wanted_rows = _without_ones_in_front(found), _without_ones_in_front(wanted)
    if rows == wanted_rows:
        return True  # the old format wrote every shape with four axes
    # A dense kernel (out, in) and the convolution (out, channels, kh, kw) that it can become hold the same rows.
    return rows[0] == wanted_rows[0] and 2 in (len(rows), len(wanted_rows))


def _without_ones_in_front(shape: Shape) -> Shape:
    return tuple(itertools.dropwhile(lambda size: size == 1, shape))


def _parts(layer: keras.layers.Layer, flattened: Shape | None) -> list[_Part]:
    """What each of the layer's weights wants from the file, in the order of `layer.weights`."""
    if isinstance(layer, keras.layers.Dense | keras.layers.EinsumDense):
        return [_dense(layer.weights[0], flattened), *(_vector(weight) for weight in layer.weights[1:])]
    if isinstance(layer, keras.layers.Conv2D | keras.layers.Conv2DTranspose):
        return [_kernel(layer.weights[0]), *(_vector(weight) for weight in layer.weights[1:])]
    if isinstance(layer, Scale):
        return [_along(weight, layer) for weight in layer.weights]
    return [_vector(weight) for weight in layer.weights]


def _kernel(weight: Any) -> _Part:
    """Convolution (kh, kw, in / group, out); the same turn serves the transposed one (kh, kw, out / group, in)."""
    height, width, inner, outer = weight.shape
    return _Part("kernel", (outer, inner, height, width), lambda blob: blob.transpose(2, 3, 1, 0))


def _dense(weight: Any, flattened: Shape | None) -> _Part:
    rows, units = weight.shape
    if flattened is None or len(flattened) != 3 or flattened[:2] == (1, 1):  # no other rank is turned
        return _Part("kernel", (units, rows), lambda blob: blob.T)
    height, width, channels = flattened

    def turn(blob: np.ndarray) -> np.ndarray:
        return blob.reshape(-1, channels, height * width).transpose(2, 1, 0).reshape(rows, -1)

    return _Part("kernel", (units, rows), turn)


def _vector(weight: Any) -> _Part:
    """Bias, slope, mean: Keras' axes of size 1 are for broadcasting, Caffe has none (a shared slope: no axis)."""
    name, shape = weight.name, tuple(weight.shape)
    bare = tuple(size for size in shape if size != 1) or (1,)
    return _Part(name, bare, lambda blob: blob.reshape(shape))


def _along(weight: Any, layer: Scale) -> _Part:
    """Scale and Bias: the blob has the layer's axes in Caffe's order, the weight has them ascending."""
    order = [int(place) for place in np.argsort(layer.axes)]  # the place in the blob of each axis of the weight
    shape = tuple(weight.shape[order.index(place)] for place in range(len(order)))
    return _Part(weight.name, shape, lambda blob: blob.transpose(order))


def _without_factor(blobs: Sequence[np.ndarray], name: str) -> list[np.ndarray]:
    """Mean and variance of a BatchNorm: Caffe stores sums, and the factor to divide them by (0 leaves zeros)."""
    if len(blobs) in (4, 5):
        raise WeightsError(
            f"layer {name} wants 3 blobs (mean, variance, factor); the file holds {len(blobs)}, the order of NVIDIA's "
            "old fork, which keeps scale and bias in its BatchNorm",
            hint="convert it with BVLC's Caffe first: a BatchNorm and a Scale layer",
        )
    if len(blobs) != 3 or blobs[2].size != 1:
        found = ", ".join(str(tuple(blob.shape)) for blob in blobs) or "none"
        raise WeightsError(f"layer {name} wants 3 blobs: mean, variance, factor (1,); the file holds {found}")
    factor = float(blobs[2].reshape(()))
    return [blob * np.float32(0.0 if factor == 0.0 else 1.0 / factor) for blob in blobs[:2]]
