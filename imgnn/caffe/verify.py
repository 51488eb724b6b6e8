"""A converted network against a second opinion, blob by blob.

The second opinion is OpenCV 4's Caffe importer, which shares no line with us: it reads the same
prototxt and caffemodel by itself. Where it is missing (OpenCV 5 has no such importer), refuses the
net, or is known to compute another thing than Caffe, our NumPy reference of Caffe's layers answers
for the whole net, and the result says why.
"""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from imgnn.caffe.net import Layer, Net
from imgnn.caffe.reference import raw_name, run_reference
from imgnn.errors import ConversionError
from imgnn.networks.network import Network

TOLERANCE = 1e-5  # float32, added in another order


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
        reason: why it was not OpenCV; None when it was.
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
    x: np.ndarray | Mapping[str, np.ndarray],
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
        prototxt, caffemodel: what OpenCV reads, files or their bytes; without both the NumPy reference answers.

    Raises:
        ConversionError: neither oracle knows the net, or no layer is left to compare.
    """
    inputs = dict(x) if isinstance(x, Mapping) else dict(zip(net.inputs, [x], strict=True))
    layers = [layer for layer in net.layers if layer.name in network.layers]
    if not layers:
        raise ConversionError(f"no layer of {net.name} is in the network {network.name}: nothing to compare")
    caffe_inputs = {name: _to_caffe(np.asarray(value, np.float32)) for name, value in inputs.items()}
    expected, oracle, reason = _ask(replace(net, layers=tuple(layers)), caffe_inputs, prototxt, caffemodel)
    computed = compute_values(network, layers, inputs)
    rows = tuple(
        _compare(layer, index, expected[raw_name(layer.name, index)], computed[raw_name(layer.name, index)], oracle)
        for layer in layers
        for index in range(len(layer.tops))
    )
    return Verification(rows, oracle, reason)


def run_opencv(
    prototxt: bytes, caffemodel: bytes, inputs: Mapping[str, np.ndarray], layers: Sequence[Layer]
) -> dict[str, np.ndarray]:
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


def _ask(
    net: Net, inputs: Mapping[str, np.ndarray], prototxt: Path | bytes | None, caffemodel: Path | bytes | None
) -> tuple[dict[str, np.ndarray], str, str | None]:
    """Each layer's own outputs by `raw_name`, who computed them, and why it was not OpenCV."""
    if prototxt is None or caffemodel is None:
        reason = "OpenCV reads a prototxt and a caffemodel, and one of them is not here"
    elif not (reason := _distrust(net)):
        try:
            values = run_opencv(_bytes(prototxt), _bytes(caffemodel), inputs, net.layers)
            return values, f"OpenCV {importlib.import_module('cv2').__version__}", None
        except ConversionError as error:
            reason = str(error)
    return run_reference(net, inputs), "NumPy reference", reason


def _bytes(source: Path | bytes) -> bytes:
    return source if isinstance(source, bytes) else source.read_bytes()


def _distrust(net: Net) -> str:
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
    return ""


def compute_values(
    network: Network, layers: Sequence[Layer], inputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Our outputs of each layer by `raw_name`, with Caffe's axes: one model with all of them, evaluated once.

    Args:
        inputs: blob name -> float32 array with Keras' axes.
    """
    last = {top: layer.name for layer in layers for top in layer.tops}
    tensors = {}
    for layer in layers:
        own = network.model.get_layer(network.layers[layer.name]).output
        own = own if isinstance(own, list | tuple) else [own]
        for index, top in enumerate(layer.tops):
            value = own[index % len(own)]  # a Split is one value here
            tensors[raw_name(layer.name, index)] = network.tensor(top) if last[top] == layer.name else value
    model = keras.Model(network.model.inputs, tensors)
    outputs = model([keras.ops.convert_to_tensor(inputs[name]) for name in inputs], training=False)
    return {name: _to_caffe(keras.ops.convert_to_numpy(value)) for name, value in outputs.items()}


def _to_caffe(value: np.ndarray) -> np.ndarray:
    """Axes `(batch, height, width, channels)` -> `(batch, channels, height, width)`; other ranks are Caffe's."""
    return value.transpose(0, 3, 1, 2) if value.ndim == 4 else value


def _compare(layer: Layer, index: int, expected: np.ndarray, computed: np.ndarray, oracle: str) -> BlobRow:
    error = largest_difference(expected, computed)
    size = float(np.max(np.abs(expected), initial=0.0, where=np.isfinite(expected)))
    relative = error / size if size else (0.0 if error == 0 else np.inf)
    return BlobRow(layer.name, layer.type, layer.tops[index], expected.shape, error, relative, oracle)


def largest_difference(expected: np.ndarray, computed: np.ndarray) -> float:
    """The largest absolute difference; equal infinities and NaNs agree, different shapes are infinitely apart."""
    if expected.shape != computed.shape:
        return float("inf")
    apart = (expected != computed) & ~(np.isnan(expected) & np.isnan(computed))
    difference = np.abs(expected[apart].astype(np.float64) - computed[apart])
    return float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0))
