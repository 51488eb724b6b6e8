"""A converted network against a second opinion, blob by blob.

The second opinion is OpenCV 4's Caffe importer, which shares no line with us: it reads the same caffemodel
by itself, and the prototxt too where there is one. Where it is missing (OpenCV 5 has no such importer),
refuses the net, or is known to compute another thing than Caffe, our NumPy reference of Caffe's layers
answers for the whole net, and the result says why. Where the two opinions differ by a hair, the reference,
which computes in float64, settles whose rounding it was.
"""

import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from imgnn.caffe.graph import unfold
from imgnn.caffe.message import Message
from imgnn.caffe.net import Layer, Net
from imgnn.caffe.reference import raw_name, run_reference
from imgnn.caffe.schema import ENUMS
from imgnn.errors import ConversionError, InputError
from imgnn.networks.network import Network

TOLERANCE = 1e-5  # float32, added in another order
REFERENCE = "NumPy reference"

Values = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class BlobRow:
    """One value of the network beside the oracle's.

    Attributes:
        layer, type: the Caffe layer that gives it.
        blob: the layer's top.
        shape: Caffe's: `(batch, channels, height, width)` for an image.
        max_error: the largest absolute difference; infinite if the shapes differ, or only one side is NaN.
        relative_error: `max_error` divided by the oracle's largest absolute value.
        oracle: who answered.
    """

    layer: str
    type: str
    blob: str
    shape: tuple[int, ...]
    max_error: float
    relative_error: float
    oracle: str


@dataclass(frozen=True)
class Verification:
    """The whole comparison, in the net's order.

    Attributes:
        rows: one for each top of each layer.
        oracle: "OpenCV 4.x.y" or "NumPy reference".
        reason: why it was not OpenCV, or not for every row; None when it was.
    """

    rows: tuple[BlobRow, ...]
    oracle: str
    reason: str | None = None

    @property
    def worst(self) -> BlobRow:
        """The row with the largest relative error."""
        return max(self.rows, key=lambda row: row.relative_error)

    def ok(self, tolerance: float = TOLERANCE) -> bool:
        """Every blob agrees to `tolerance`, relative to its largest absolute value."""
        return self.worst.relative_error <= tolerance


def verify(
    network: Network,
    net: Net,
    x: np.ndarray | Values,
    *,
    prototxt: Path | bytes | None = None,
    caffemodel: Path | bytes | None = None,
) -> Verification:
    """Compare every layer of `network` with an oracle that computes `net`, on the same input.

    Each layer's own output is compared, so a wrong layer is named even if an in-place layer after it hides
    the mistake; the last layer of a blob is compared through `network.blobs`, so a wrong name is seen too.

    Args:
        network: what was built from `net`; it may end earlier (`--until`).
        net: the Caffe net with its blobs.
        x: the input, `(batch, height, width, channels)`; for several inputs a dict by blob name. Values of
            another rank than 4 keep Caffe's axes.
        prototxt, caffemodel: files or their bytes, for OpenCV. Without the caffemodel the reference answers;
            without a prototxt, or if OpenCV refuses it (a train_val net), OpenCV is given one written from `net`.

    Raises:
        InputError: an input is missing.
        ConversionError: neither oracle knows the net, or no layer is left to compare.
    """
    given = dict(x) if isinstance(x, Mapping) else dict(zip(net.inputs, [x], strict=False))
    if missing := [name for name in net.inputs if name not in given]:
        raise InputError(f"{net.name} wants the inputs {', '.join(net.inputs)}; missing: {', '.join(missing)}")
    inputs = {name: np.asarray(given[name], np.float32) for name in net.inputs}
    net = replace(net, layers=tuple(unfold(net.layers)))
    layers = [layer for layer in net.layers if layer.name in network.layers]
    if not layers:
        raise ConversionError(f"no layer of {net.name} is in the network {network.name}: nothing to compare")
    net = replace(net, layers=tuple(_needed_by(layers, net.layers)))
    caffe_inputs = {name: _to_caffe(value) for name, value in inputs.items()}
    computed = compute_values(network, net, inputs)
    answer, reason = _ask_opencv(net, layers, caffe_inputs, prototxt, caffemodel)
    if answer is None:
        exact = run_reference(net, caffe_inputs)
        return Verification(tuple(_compare(layers, exact, computed, REFERENCE)), REFERENCE, reason)
    oracle = f"OpenCV {importlib.import_module('cv2').__version__}"
    result = Verification(tuple(_compare(layers, answer, computed, oracle)), oracle)
    return result if result.ok() else _settle(result, layers, run_reference(net, caffe_inputs), answer, computed)


def _needed_by(layers: Sequence[Layer], every: Sequence[Layer]) -> list[Layer]:
    """The layers, and those that give what they read, in the net's order."""
    names = {layer.name for layer in layers}
    needed: list[Layer] = []
    read: set[str] = set()
    for layer in reversed(every):
        if layer.name in names or not read.isdisjoint(layer.tops):
            needed.append(layer)
            read.update(layer.bottoms)
    return needed[::-1]


def run_opencv(prototxt: bytes, caffemodel: bytes, inputs: Values, layers: Sequence[Layer]) -> dict[str, np.ndarray]:
    """What OpenCV's Caffe importer computes: each layer's own outputs, by the keys of `run_reference`.

    Args:
        inputs: blob name -> float32 array with Caffe's axes; another size than the prototxt's is fine.
        layers: those wanted.

    Raises:
        ConversionError: OpenCV is not installed, has no Caffe importer, or refuses the net.
    """
    try:
        import cv2
    except ImportError:
        raise ConversionError("OpenCV is not installed", hint="pip install 'opencv-python-headless>=4.9,<5'") from None
    version = f"OpenCV {cv2.__version__}"
    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        raise ConversionError(f"{version} has no Caffe importer, 4.x has")
    # OpenCV makes one layer of each top of a Convolution, and names it after the top.
    names = {layer.name: layer.tops if layer.type == "Convolution" else (layer.name,) for layer in layers}
    wanted = [name for each in names.values() for name in each]
    log_level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(0)  # what it would write to stderr is in the error, too
    try:
        net = cv2.dnn.readNetFromCaffe(np.frombuffer(prototxt, np.uint8), np.frombuffer(caffemodel, np.uint8))
        net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
        net.setPreferableTarget(cv2.dnn.DNN_TARGET_CPU)
        net.enableFusion(False)
        net.enableWinograd(False)
        if unknown := set(wanted) - set(net.getLayerNames()):
            raise ConversionError(f"{version} leaves out layer {min(unknown)}")
        for name, value in inputs.items():
            net.setInput(np.ascontiguousarray(value, np.float32), name)
        outputs = dict(zip(wanted, net.forwardAndRetrieve(wanted), strict=True))
    except cv2.error as error:
        raise ConversionError(f"{version} refuses the net: {' '.join(error.err.split())}") from None
    finally:
        cv2.utils.logging.setLogLevel(log_level)
    values = {}
    for layer in layers:
        tops = [value for name in names[layer.name] for value in outputs[name]]
        if len(tops) < len(layer.tops):  # more are the places of maxima, which nobody asked for
            raise ConversionError(f"{version} gives {len(tops)} of the {len(layer.tops)} tops of layer {layer.name}")
        values.update({raw_name(layer.name, index): value for index, value in enumerate(tops)})
    return values


def write_prototxt(net: Net, inputs: Values) -> str:
    """The deploy prototxt of a net, for inputs of these shapes: what OpenCV reads when there is none."""
    lines = [f"name: {json.dumps(net.name)}"]
    for name, value in inputs.items():
        lines.append(f"input: {json.dumps(name)} input_shape {{ {' '.join(f'dim: {size}' for size in value.shape)} }}")
    for layer in net.layers:
        words = [("name", layer.name), ("type", layer.type)]
        words += [("bottom", name) for name in layer.bottoms] + [("top", name) for name in layer.tops]
        settings = [" ".join(f"{field}: {json.dumps(word)}" for field, word in words)]
        for field, value in layer.params.present():
            if field.is_message and not field.repeated and field.name.endswith("_param"):
                settings.append(f"{field.name} {{ {' '.join(_write_fields(value))} }}")
        lines.append(f"layer {{ {' '.join(settings)} }}")
    return "\n".join(lines) + "\n"


def _write_fields(message: Message) -> Iterator[str]:
    for field, value in message.present():
        for each in value if field.repeated else [value]:
            if field.is_message:
                yield f"{field.name} {{ {' '.join(_write_fields(each))} }}"
            else:
                yield f"{field.name}: {each if field.kind in ENUMS else _write_scalar(each)}"


def _write_scalar(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool | str) else repr(value)


def _ask_opencv(
    net: Net,
    layers: Sequence[Layer],
    inputs: Values,
    prototxt: Path | bytes | None,
    caffemodel: Path | bytes | None,
) -> tuple[Values | None, str | None]:
    """The outputs of `layers` by `raw_name`; or None, and why."""
    if caffemodel is None:
        return None, "OpenCV reads a caffemodel, and there is none"
    if doubt := _distrust(net):
        return None, doubt
    texts = [_bytes(prototxt)] if prototxt is not None else []
    reason = None
    for text in [*texts, write_prototxt(net, inputs).encode()]:
        try:
            return run_opencv(text, _bytes(caffemodel), inputs, layers), None
        except ConversionError as error:
            reason = str(error)
    return None, reason


def _bytes(source: Path | bytes) -> bytes:
    return source if isinstance(source, bytes) else source.read_bytes()


def _distrust(net: Net) -> str | None:
    """The first layer that OpenCV computes otherwise than Caffe without a word, if any."""
    for layer in net.layers:
        params = layer.params
        convolution, lrn, log = params.convolution_param, params.lrn_param, params.log_param
        is_dilated = max(convolution.dilation, default=1) > 1
        errs = {
            "Convolution": is_dilated and convolution.group == convolution.num_output > 1,  # 3x3, pad 1: wrong
            "Deconvolution": is_dilated,  # ignored
            "InnerProduct": params.inner_product_param.transpose,  # ignored
            "LRN": lrn.k != 1 or not lrn.has("alpha"),  # k is ignored; an absent alpha is 1e-4, in Caffe 1
            "Log": (log.base, log.scale, log.shift) != (-1, 1, 0),  # ignored
            "MVN": params.mvn_param.eps > 1e-8,  # added to the variance
            "Pooling": params.pooling_param.round_mode == "FLOOR",  # refused, in words that mislead
        }
        if errs.get(layer.type):
            return f"OpenCV computes layer {layer.name} ({layer.type}) otherwise than Caffe"
    return None


def compute_values(network: Network, net: Net, inputs: Values) -> dict[str, np.ndarray]:
    """Our outputs of each layer by `raw_name`, with Caffe's axes: one model with all of them, evaluated once.

    Args:
        net: its layers that `network` names are computed.
        inputs: blob name -> float32 array with Keras' axes.
    """
    last = {top: layer.name for layer in net.layers for top in layer.tops}
    tensors = {}
    for layer in net.layers:
        if layer.name not in network.layers:
            continue
        own = network.model.get_layer(network.layers[layer.name]).output
        own = own if isinstance(own, list | tuple) else [own]
        for index, top in enumerate(layer.tops):
            value = own[index % len(own)]  # a Split is one value here
            tensors[raw_name(layer.name, index)] = network.tensor(top) if last[top] == layer.name else value
    model = keras.Model(network.model.inputs, tensors)
    outputs = model([keras.ops.convert_to_tensor(value) for value in inputs.values()], training=False)
    return {name: _to_caffe(keras.ops.convert_to_numpy(value)) for name, value in outputs.items()}


def _to_caffe(value: np.ndarray) -> np.ndarray:
    """Axes `(batch, height, width, channels)` -> `(batch, channels, height, width)`; other ranks are Caffe's."""
    return value.transpose(0, 3, 1, 2) if value.ndim == 4 else value


def _compare(layers: Sequence[Layer], expected: Values, computed: Values, oracle: str) -> Iterator[BlobRow]:
    for layer in layers:
        for index, top in enumerate(layer.tops):
            wanted, found = expected[raw_name(layer.name, index)], computed[raw_name(layer.name, index)]
            error = largest_difference(wanted, found)
            size = float(np.max(np.abs(wanted), initial=0.0, where=np.isfinite(wanted)))
            relative = error / size if size else (0.0 if error == 0 else np.inf)
            yield BlobRow(layer.name, layer.type, top, wanted.shape, error, relative, oracle)


def _settle(
    result: Verification, layers: Sequence[Layer], exact: Values, answer: Values, computed: Values
) -> Verification:
    """Where we and OpenCV differ, ask float64: a blob to which we are nearer than OpenCV is compared with it."""
    rows, settled = [], []
    ours, theirs = (_compare(layers, exact, values, REFERENCE) for values in (computed, answer))
    for row, our, their in zip(result.rows, ours, theirs, strict=True):
        if row.relative_error > TOLERANCE and our.relative_error < their.relative_error:
            settled.append(f"{row.blob} ({their.relative_error:.1e})")
            row = our
        rows.append(row)
    if not settled:
        return result
    reason = f"{result.oracle} is further than we are from the same sums in float64 at {', '.join(settled)}"
    return Verification(tuple(rows), result.oracle, reason)


def largest_difference(expected: np.ndarray, computed: np.ndarray) -> float:
    """The largest absolute difference; equal infinities and NaNs agree, different shapes are infinitely apart."""
    if expected.shape != computed.shape:
        return float("inf")
    apart = (expected != computed) & ~(np.isnan(expected) & np.isnan(computed))
    difference = np.abs(expected[apart].astype(np.float64) - computed[apart])
    return float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0))
