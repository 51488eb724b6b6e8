"""What the tests of nets share: nets from text, random blobs of the right shapes, and the opinions side by side."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from imgnn.caffe.net import Layer, Net, read_net
from imgnn.caffe.reference import RULES, convolution_settings, raw_name
from imgnn.caffe.verify import compute_values, largest_difference, run_opencv
from imgnn.networks.network import Network
from tests.caffe.encode import encode_net


@dataclass(frozen=True)
class Files:
    """A net as Caffe would have left it on disk."""

    prototxt: Path
    caffemodel: Path

    def read(self) -> Net:
        return read_net(self.prototxt, self.caffemodel)

    def opencv(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Every layer's outputs as OpenCV computes them, by the keys of `run_reference`."""
        return run_opencv(self.prototxt.read_bytes(), self.caffemodel.read_bytes(), inputs, self.read().layers)


def header(**shapes: tuple[int, ...]) -> str:
    """The prototxt lines that declare the inputs: `header(data=(1, 3, 7, 7))`."""
    dims = {name: " ".join(f"dim: {size}" for size in shape) for name, shape in shapes.items()}
    return 'name: "tiny"\n' + "".join(f'input: "{name}" input_shape {{ {dims[name]} }}\n' for name in shapes)


def write_net(folder: Path, text: str, random: np.random.Generator, **encoding) -> Files:
    """Write the prototxt `text`, and a caffemodel with random blobs of the shapes that it needs."""
    files = Files(folder / "net.prototxt", folder / "net.caffemodel")
    files.prototxt.write_text(text)
    blobs = random_blobs(read_net(files.prototxt, None), random)
    files.caffemodel.write_bytes(encode_net(text, blobs, **encoding))
    return files


def random_inputs(net: Net, random: np.random.Generator, *, low: float = -2.0) -> dict[str, np.ndarray]:
    """Noise between `low` and 2, of the shapes that the net declares."""
    return {name: random.uniform(low, 2, shape).astype("float32") for name, shape in net.inputs.items()}


def random_blobs(net: Net, random: np.random.Generator) -> dict[str, list[np.ndarray]]:
    """Layer name -> blobs that fit, for a net without any; of such size that values neither grow nor fade."""
    values: dict[str, np.ndarray] = {name: np.ones(shape) for name, shape in net.inputs.items()}
    blobs = {}
    for layer in net.layers:
        bottoms = [values[name] for name in layer.bottoms]
        if made := _blobs_for(layer, bottoms, random):
            blobs[layer.name] = [blob.astype("float32") for blob in made]
        tops = RULES[layer.type](replace(layer, blobs=tuple(made)), bottoms)
        values.update(zip(layer.tops, tops, strict=True))
    return blobs


def _blobs_for(layer: Layer, bottoms: list[np.ndarray], random: np.random.Generator) -> list[np.ndarray]:
    shape = bottoms[0].shape
    if layer.type in ("Convolution", "Deconvolution"):
        params = layer.params.convolution_param
        first, second = params.num_output, shape[1]
        if layer.type == "Deconvolution":
            first, second = second, first
        kernel = (first, second // params.group, *convolution_settings(layer)[0])
        fan_in = shape[1] // params.group * math.prod(kernel[2:])
        weights = random.normal(0, math.sqrt(2 / fan_in), kernel)
        return [weights, random.normal(0, 0.1, params.num_output)][: 1 + params.bias_term]
    if layer.type == "InnerProduct":
        params = layer.params.inner_product_param
        size = math.prod(shape[params.axis :])
        weights = random.normal(0, math.sqrt(2 / size), (params.num_output, size))
        return [
            weights.T if params.transpose else weights,
            random.normal(0, 0.1, params.num_output),
        ][: 1 + params.bias_term]
    if layer.type == "PReLU":
        return [random.uniform(0.1, 0.5, 1 if layer.params.prelu_param.channel_shared else shape[1])]
    if layer.type == "BatchNorm":
        factor = 3.0  # the first two are sums over this many batches
        mean, variance = random.normal(0, 1, shape[1]), random.uniform(0.5, 2, shape[1])
        return [factor * mean, factor * variance, np.array([factor])]
    if layer.type in ("Scale", "Bias"):
        params = layer.params.scale_param if layer.type == "Scale" else layer.params.bias_param
        end = len(shape) if params.num_axes == -1 else params.axis % len(shape) + params.num_axes
        size = shape[params.axis : end] if len(bottoms) == 1 else bottoms[1].shape
        both = [random.uniform(0.5, 2, size), random.normal(0, 1, size)]
        if layer.type == "Bias":
            return both[1:] if len(bottoms) == 1 else []
        return both[len(bottoms) - 1 : 1 + params.bias_term]
    return []


def relative_error(expected: np.ndarray, computed: np.ndarray) -> float:
    """The largest absolute difference, divided by the largest absolute value expected."""
    return largest_difference(expected, computed) / (np.abs(expected[np.isfinite(expected)]).max(initial=0) or 1.0)


def disagreements(
    net: Net, expected: Mapping[str, np.ndarray], computed: Mapping[str, np.ndarray], tolerance: float = 1e-5
) -> list[str]:
    """One line for each layer whose own outputs differ."""
    lines = []
    for layer in net.layers:
        for index in range(len(layer.tops)):
            key = raw_name(layer.name, index)
            wanted, found = np.asarray(expected[key]), np.asarray(computed[key])
            error = relative_error(wanted, found)
            if not error <= tolerance:
                lines.append(f"{key} ({layer.type}) {wanted.shape} {found.shape}: relative error {error:.2g}")
    return lines


def keras_values(network: Network, net: Net, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What our graph computes from the same inputs, by the keys of `run_reference`."""
    return compute_values(network, net, channels_last(inputs))


def channels_last(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Images with Keras' axes; other values as they are."""
    return {name: x.transpose(0, 2, 3, 1) if x.ndim == 4 else x for name, x in inputs.items()}
