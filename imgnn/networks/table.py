"""Every layer of a network at a size: shape, kernel, stride, pad, receptive field, parameters, MACs.

The arithmetic is that of every lesson on convolutions: along one side, N pixels padded by P, a filter of F and a
stride of S give (N + 2P - F)/S + 1 (rounded down in a convolution, up in Caffe's pooling). Nothing is
computed on the network itself: a table of VGG-19 at 4000 x 3000 costs nothing.
"""

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from imgnn.errors import InputError
from imgnn.networks.names import Node, Source, graph, helper_of
from imgnn.networks.network import Network

Pair = tuple[int, int]
Shape = tuple[int | None, ...]

CAFFE_TYPES = {
    "InputLayer": "Input",
    "Conv2D": "Convolution",
    "GroupedConv2D": "Convolution",
    "DepthwiseConv2D": "Convolution",
    "SeparableConv2D": "Convolution",
    "Conv2DTranspose": "Deconvolution",
    "MaxPool": "Pooling MAX",
    "MaxPooling2D": "Pooling MAX",
    "GlobalMaxPooling2D": "Pooling MAX",
    "AveragePool": "Pooling AVE",
    "AveragePooling2D": "Pooling AVE",
    "GlobalAveragePooling2D": "Pooling AVE",
    "Dense": "InnerProduct",
    "BatchNormalization": "BatchNorm",
    "Concatenate": "Concat",
    "Add": "Eltwise",
    "WeightedSum": "Eltwise",
    "Multiply": "Eltwise",
    "Maximum": "Eltwise",
}
ROLES = ("style", "content", "dream", "features", "classifier")


@dataclass(frozen=True)
class LayerRow:
    """One layer. Pairs are `(height, width)`.

    Attributes:
        name: Caffe's name.
        type: Caffe's type; of a layer that Caffe does not have, Keras'.
        shape: `(height, width, channels)` of its output, or `(units,)`.
        kernel, stride, pad: of a window; None where there is none.
        receptive_field: how many pixels of the picture one value sees, borders aside. None where that is unknown.
        jump: how many pixels of the picture lie between two neighbouring values.
        parameters: learned numbers (the statistics of BatchNorm are not learned).
        macs: multiplications with an addition, for one picture.
        roles: what the recipes use it for by default: "style", "content", "dream", "features", "classifier".
    """

    name: str
    type: str
    shape: tuple[int, ...]
    kernel: Pair | None = None
    stride: Pair | None = None
    pad: Pair | None = None
    receptive_field: Pair | None = None
    jump: tuple[float, float] | None = None
    parameters: int = 0
    macs: int = 0
    roles: tuple[str, ...] = ()


@dataclass(frozen=True)
class LayerTable(Sequence[LayerRow]):
    """The rows of a network at a size, in the prototxt's order.

    Attributes:
        size: `(height, width)` of the picture.
        rows: one for each layer; those that the size does not fit are left out.
        notes: what does not fit, and which sizes would.
    """

    size: Pair
    rows: tuple[LayerRow, ...]
    notes: tuple[str, ...] = field(default=())

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def parameters(self) -> int:
        """Learned numbers of all rows."""
        return sum(row.parameters for row in self.rows)

    @property
    def macs(self) -> int:
        """Multiplications with an addition, of all rows."""
        return sum(row.macs for row in self.rows)

    def row(self, name: str) -> LayerRow:
        """The row of the layer called `name`."""
        return next(row for row in self.rows if row.name == name)


@dataclass(frozen=True)
class Sizes:
    """Which sides of a picture a network takes, in pixels; `largest` None: any from `smallest` on."""

    smallest: int
    largest: int | None

    def __str__(self) -> str:
        return f"{self.smallest} or more" if self.largest is None else f"{self.smallest} to {self.largest}"

    def __contains__(self, side: int) -> bool:
        return self.smallest <= side and (self.largest is None or side <= self.largest)


def layer_table(network: Network, size: Pair | None = None) -> LayerTable:
    """The table of `network` for pictures of `size`, by default the published one.

    Where the size does not fit the fully connected layers the table ends before them, and a note
    says what they want and which sizes give it.

    Args:
        size: `(height, width)`, pixels.

    Raises:
        InputError: the size is so small that a layer of the convolutional part is left with nothing.
    """
    nodes = graph(network.model)
    native = native_size(network)
    size = size or native
    values, misfit = _propagate(nodes, size)
    notes = []
    if misfit and misfit.empty:
        height, width = fitting_sizes(network)
        raise InputError(
            f"{_size(size)} is too small for {network.name}: nothing is left at layer {_caffe(network, misfit.layer)}",
            hint=f"from {height.smallest} x {width.smallest} on it works",
        )
    if misfit:
        notes.append(_why(network, misfit, size))

    names = {keras_name: caffe for caffe, keras_name in network.layers.items()}
    known = {node.name for node in nodes}
    rows = []
    for node in nodes:
        value = values.get(Source(node.name))
        if value is None or helper_of(node.name, known):
            continue
        name = names.get(node.name, node.name)
        window = value.window
        rows.append(
            LayerRow(
                name=name,
                type=CAFFE_TYPES.get(type(node.layer).__name__, type(node.layer).__name__),
                shape=tuple(value.shape[1:]),  # type: ignore[arg-type]
                kernel=window and window.kernel,
                stride=window and window.stride,
                pad=window and window.pad,
                receptive_field=value.sees,
                jump=value.jump,
                parameters=_parameters(node.layer),
                macs=value.macs,
                roles=tuple(role for role in ROLES if name in _role(network, role)),
            )
        )
    return LayerTable(size, tuple(rows), tuple(notes))


def fitting_sizes(network: Network) -> tuple[Sizes, Sizes]:
    """The heights and the widths that `network` takes, each with the other side as published.

    With fully connected layers these are the sides whose last map is as large as at the published
    size; without them every side from the smallest on.
    """
    nodes = graph(network.model)
    native = native_size(network)

    def fits(side: int, axis: int) -> bool:
        size = (side, native[1]) if axis == 0 else (native[0], side)
        return _propagate(nodes, size)[1] is None

    has_dense = any(type(node.layer).__name__ == "Dense" for node in nodes)
    found = []
    for axis in (0, 1):
        # Caffe's sizes never shrink when a side grows, so what fits is one stretch: halve towards both its ends.
        smallest = _edge(lambda side, axis=axis: fits(side, axis), native[axis], 0)  # type: ignore[misc]
        largest = None
        if has_dense and not fits(4 * native[axis], axis):
            largest = _edge(lambda side, axis=axis: fits(side, axis), native[axis], 4 * native[axis])  # type: ignore[misc]
        found.append(Sizes(smallest, largest))
    return found[0], found[1]


def _edge(fits: Callable[[int], bool], good: int, bad: int) -> int:
    """The last fitting number on the way from `good`, which fits, to `bad`, which does not."""
    while abs(good - bad) > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good


def native_size(network: Network) -> Pair:
    """The size that the model was built for; where that is free, the size of its preprocessing."""
    _, height, width, *_ = network.model.inputs[0].shape
    published = network.preprocessing.size if network.preprocessing else (224, 224)
    return height or published[0], width or published[1]


# How a value came about, layer by layer ------------------------------------------------------------------------


@dataclass(frozen=True)
class Window:
    """What slides over the picture: `(height, width)` each."""

    kernel: Pair
    stride: Pair = (1, 1)
    pad: Pair = (0, 0)
    dilation: Pair = (1, 1)
    spreads: bool = False  # a deconvolution: the stride is that of its output


@dataclass(frozen=True)
class Value:
    """The output of one layer. Shape with the batch; `sees` and `jump` along height and width."""

    shape: Shape
    sees: Pair | None
    jump: tuple[float, float] | None
    window: Window | None = None
    macs: int = 0


@dataclass(frozen=True)
class Misfit:
    """The first layer that a size does not fit: `wants` is the shape that it was built for, `gets` what came."""

    layer: str
    wants: Shape = ()
    gets: Shape = ()
    empty: bool = False


def _propagate(nodes: list[Node], size: Pair) -> tuple[dict[Source, Value], Misfit | None]:
    """The values of all layers at `size`, and the first layer that does not fit; those after it are left out."""
    values: dict[Source, Value] = {}
    misfit: Misfit | None = None
    for node in nodes:
        if any(source not in values for source in node.sources):
            continue  # comes after the misfit
        if not node.sources:
            shape: Shape = (None, *size, *node.layer.output.shape[3:])
            values[Source(node.name)] = Value(shape, (1, 1), (1.0, 1.0))
            continue
        before = [values[source] for source in node.sources]
        kind = type(node.layer).__name__
        if kind in ("Flatten", "Dense") and (wants := node.layer.input.shape)[1:] != before[0].shape[1:]:
            if None not in wants[1:]:
                misfit = misfit or Misfit(node.name, wants[1:], before[0].shape[1:])
                continue
        shapes = _output_shapes(node, values)
        if shapes is None or any(length is not None and length < 1 for shape in shapes for length in shape):
            return values, Misfit(node.name, empty=True)
        window = _window(node, before[0], values)
        sees, jump = _seen(before, window, kind)
        macs = _macs(node.layer, before[0].shape, shapes[0])
        pad_of = _helper_pad(node, nodes)
        if window and pad_of:
            window = Window(window.kernel, window.stride, pad_of, window.dilation, window.spreads)
        for index, each in enumerate(shapes):
            values[Source(node.name, node.call, index)] = Value(each, sees, jump, window, macs)
    return values, misfit
