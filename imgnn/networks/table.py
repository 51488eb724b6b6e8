"""Every layer of a network at a size: shape, kernel, stride, pad, receptive field, parameters, MACs.

The arithmetic is that of every lesson on convolutions: along one side, N pixels padded by P, a filter of F and a
stride of S give (N + 2P - F)/S + 1 (rounded down in a convolution, up in Caffe's pooling). Nothing is
computed on the network itself: a table of VGG-19 at 4000 x 3000 costs nothing.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from imgnn.errors import InputError
from imgnn.networks.names import Node, Source, graph, helper_of
from imgnn.networks.network import RAW, Network

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
# Layers whose every value depends on the whole map that they are given.
SEES_ALL = {
    *("MVN", "BatchStatistics", "Reduction", "ArgMax", "Flatten", "Dense", "Reshape", "Permute", "Softmax"),
    *("GlobalAveragePooling2D", "GlobalMaxPooling2D", "GroupNormalization", "LayerNormalization", "UpSampling2D"),
    *("UnitNormalization", "SpectralNormalization", "Resizing", "Apply", "Slice", "Crop", "Tile", "Attention"),
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

    Where the size does not fit the classifier the table ends before it, and a note says what it
    wants and which sizes give it.

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
    if misfit:
        done = {source.layer for source in values}
        if any(hasattr(node.layer, "kernel_size") and node.name not in done for node in nodes):
            height, width = fitting_sizes(network)
            raise InputError(
                f"{_size(size)} is too small for {network.name}: "
                f"nothing is left for layer {_caffe(network, misfit.layer)}",
                hint=f"from {height.smallest} x {width.smallest} on it works",
            )
        notes.append(_why(network, misfit, size))

    names = {keras_name: caffe for caffe, keras_name in network.layers.items()}
    known, marks = {node.name for node in nodes}, _marks(network)
    rows = []
    for node in nodes:
        value = values.get(Source(node.name))
        if value is None or helper_of(node.name, known):
            continue
        window = value.window
        rows.append(
            LayerRow(
                name=names.get(node.name, node.name),
                type=CAFFE_TYPES.get(type(node.layer).__name__, type(node.layer).__name__),
                shape=tuple(value.shape[1:]),  # type: ignore[arg-type]
                kernel=window.kernel if window else None,
                stride=window.stride if window else None,
                pad=window.pad if window else None,
                receptive_field=value.sees,
                jump=value.jump,
                parameters=_parameters(node.layer),
                macs=value.macs,
                roles=marks.get(node.name, ()),
            )
        )
    return LayerTable(size, tuple(rows), tuple(notes))


@dataclass(frozen=True)
class Reach:
    """Which pixels the values of some layers depend on, along one axis.

    The value at position j of a layer of jump s stands for the pixels from `j * s` to `(j + 1) * s`, and sees `before`
    more on the one side and `after` more on the other; of several layers the furthest count.

    Attributes:
        jumps: layer -> pixels between two neighbouring values.
        before, after: pixels.
    """

    jumps: Mapping[str, int]
    before: int
    after: int


def reach(network: Network, names: Sequence[str], size: Pair) -> tuple[Reach, Reach]:
    """What the layers `names` see of a picture of `size`, down and across.

    Raises:
        InputError: a layer does not slide over the picture: it depends on all of it (a mean over the map), or on
            more than can be known here.
    """
    values, _ = _propagate(graph(network.model), size)
    jumps: list[dict[str, int]] = [{}, {}]
    around = [(0, 0), (0, 0)]
    for name in names:
        layer, index = network.blobs.get(name) or (network.layers.get(name.removesuffix(RAW), name), 0)
        value = values.get(Source(layer, 0, index))
        if value is None or value.jump is None or value.around is None or any(jump % 1 for jump in value.jump):
            raise InputError(f"layer {name} of {network.name} sees the whole picture at once, not a part of it")
        for axis in (0, 1):
            jump, (first, last) = int(value.jump[axis]), value.around[axis]
            jumps[axis][name] = jump
            around[axis] = _furthest([around[axis], (first, last - jump)])
    return Reach(jumps[0], *around[0]), Reach(jumps[1], *around[1])


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
    pictures = [each.shape for each in network.model.inputs if len(each.shape) == 4]
    _, height, width, _ = pictures[0] if pictures else (None, 1, 1, None)
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
    loose: bool = False  # padded by Keras ("same"): at some sizes by less in front than `pad`


@dataclass(frozen=True)
class Value:
    """The output of one layer. Shape with the batch; `sees` and `jump` along height and width.

    `around`: for both axes, how many pixels before the place of a value it sees, and how many from there on.
    """

    shape: Shape
    sees: Pair | None
    jump: tuple[float, float] | None
    around: tuple[Pair, Pair] | None = None
    window: Window | None = None
    macs: int = 0


@dataclass(frozen=True)
class Misfit:
    """The first layer that a size does not fit: `wants` is the shape that it was built for, `gets` what came."""

    layer: str
    wants: Shape
    gets: Shape


def _propagate(nodes: list[Node], size: Pair) -> tuple[dict[Source, Value], Misfit | None]:
    """The values of all layers at `size`, and the first layer that does not fit; what needs it is left out."""
    by_name = {node.name: node for node in nodes}
    values: dict[Source, Value] = {}
    misfit: Misfit | None = None
    for node in nodes:
        here = Source(node.name, node.call)
        if any(source not in values for source in node.sources):
            continue  # comes after the misfit
        if not node.sources:
            shape = node.layer.output.shape
            picture = Value((None, *size, *shape[3:]), (1, 1), (1.0, 1.0), ((0, 1), (0, 1)))
            values[here] = picture if len(shape) == 4 else Value(shape, None, None)
            continue
        before = [values[source] for source in node.sources]
        wants = keras.tree.flatten(node.layer.input)[0].shape[1:]
        fixed = isinstance(node.layer, keras.layers.Flatten | keras.layers.Dense) and None not in wants
        shapes = _output_shapes(node, values)
        if (fixed and wants != before[0].shape[1:]) or shapes is None:
            misfit = misfit or Misfit(node.name, wants, before[0].shape[1:])
            continue
        source = by_name[node.sources[0].layer].layer
        window = _window(node.layer, before[0], source)
        sees, jump = _seen(before, node.layer, window)
        around = _around(before, node.layer, window)
        macs = _macs(node.layer, before[0].shape, shapes[0])
        for index, shape in enumerate(shapes):
            values[Source(node.name, node.call, index)] = Value(shape, sees, jump, around, window, macs)
    return values, misfit


def _output_shapes(node: Node, values: Mapping[Source, Value]) -> list[Shape] | None:
    """What the layer makes of its inputs' shapes; None if they are too small for it."""

    def symbolic(value: Any) -> Any:
        if isinstance(value, Source):
            return keras.KerasTensor(values[value].shape)
        if isinstance(value, list | tuple):
            return type(value)(symbolic(each) for each in value)
        return value

    try:
        kwargs = {key: symbolic(value) for key, value in node.kwargs.items()}
        output = node.layer.compute_output_spec(*symbolic(node.args), **kwargs)
    except ValueError:  # Keras refuses sizes below 1, and so do our layers
        return None
    shapes = [each.shape for each in keras.tree.flatten(output)]
    return None if any(length is not None and length < 1 for shape in shapes for length in shape) else shapes


def _window(layer: Any, before: Value, source: Any) -> Window | None:
    """The window of `layer` over its input; `source` is the layer that gives it."""
    spread = isinstance(layer, keras.layers.Conv2DTranspose)
    if type(layer).__name__ == "LRN":
        return Window((layer.size, layer.size), pad=_pair((layer.size - 1) // 2)) if layer.within else None
    if len(before.shape) == 4 and (hasattr(layer, "kernel_size") or hasattr(layer, "pool_size")):
        kernel = _pair(layer.kernel_size if hasattr(layer, "kernel_size") else layer.pool_size)
        dilation = _pair(getattr(layer, "dilation_rate", 1))
        pad, loose = getattr(layer, "pad", None), False
        if pad is None and isinstance(source, keras.layers.ZeroPadding2D):
            pad = tuple(side[0] for side in source.padding)
        if pad is None:
            half = tuple(d * (k - 1) // 2 for k, d in zip(kernel, dilation, strict=True))
            loose = getattr(layer, "padding", "") == "same"
            pad = half if loose else (0, 0)
        return Window(kernel, _pair(layer.strides), _pair(pad), dilation, spread, loose)
    if isinstance(layer, keras.layers.GlobalAveragePooling2D | keras.layers.GlobalMaxPooling2D | keras.layers.Flatten):
        return Window(before.shape[1:3]) if len(before.shape) == 4 else None  # type: ignore[arg-type]
    if isinstance(layer, keras.layers.Dense) and isinstance(source, keras.layers.Flatten):
        return before.window  # a fully connected layer is a convolution as large as its input
    return None


def _seen(before: Sequence[Value], layer: Any, window: Window | None) -> tuple[Pair | None, tuple[float, float] | None]:
    """Receptive field and jump after `layer`: r + (F - 1) * j, j * S; of several inputs the widest view counts."""
    if isinstance(layer, keras.Model) or any(value.sees is None or value.jump is None for value in before):
        return None, None
    sees = tuple(max(value.sees[axis] for value in before) for axis in (0, 1))  # type: ignore[index]
    jump = tuple(max(value.jump[axis] for value in before) for axis in (0, 1))  # type: ignore[index]
    if isinstance(layer, keras.layers.UpSampling2D):
        return sees, tuple(j / s for j, s in zip(jump, _pair(layer.size), strict=True))  # type: ignore[return-value]
    if window is None or isinstance(layer, keras.layers.Dense):
        return sees, jump  # type: ignore[return-value]
    after = []
    for r, j, k, s, d in zip(sees, jump, window.kernel, window.stride, window.dilation, strict=True):
        if window.spreads:
            after.append((r + (math.ceil((d * (k - 1) + 1) / s) - 1) * j, j / s))
        else:
            after.append((r + d * (k - 1) * j, j * s))
    (down, down_jump), (across, across_jump) = after
    return (int(down), int(across)), (down_jump, across_jump)


def _around(before: Sequence[Value], layer: Any, window: Window | None) -> tuple[Pair, Pair] | None:
    """How far around its place a value sees, as `Value.around` has it; None where it sees all, or it is not known."""
    if type(layer).__name__ in SEES_ALL or isinstance(layer, keras.Model) or (window and window.spreads):
        return None
    if any(value.around is None or value.jump is None for value in before):
        return None
    found = []
    for axis in (0, 1):
        first, last = _furthest([value.around[axis] for value in before])  # type: ignore[index]
        if window is not None:
            jump = int(max(value.jump[axis] for value in before))  # type: ignore[index]
            pad, wide = window.pad[axis], window.dilation[axis] * (window.kernel[axis] - 1)
            least = max(wide + 1 - window.stride[axis], 0) // 2 if window.loose else pad
            first, last = first + pad * jump, last + (wide - least) * jump
        found.append((first, last))
    return found[0], found[1]


def _furthest(pairs: Sequence[Pair]) -> Pair:
    return max(first for first, _ in pairs), max(last for _, last in pairs)


def _macs(layer: Any, before: Shape, after: Shape) -> int:
    """Multiplications with an addition: as often as its kernels are laid down, all their numbers."""
    if isinstance(layer, keras.layers.Conv2DTranspose):
        places = before[1:3]
    elif hasattr(layer, "kernel_size"):
        places = after[1:3]
    elif isinstance(layer, keras.layers.Dense):
        places = after[1:-1]
    else:
        return 0
    often = math.prod(place or 1 for place in places)
    return often * sum(math.prod(w.shape) for w in layer.weights if len(w.shape) > 1)


def _parameters(layer: Any) -> int:
    """Learned numbers: without the statistics of BatchNorm and of Keras' Normalization."""
    if isinstance(layer, keras.layers.Normalization):
        return 0
    return sum(math.prod(w.shape) for w in getattr(layer, "weights", ()) if not w.name.startswith("moving_"))


def _pair(value: Any) -> Pair:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


# Words ---------------------------------------------------------------------------------------------------------


def _why(network: Network, misfit: Misfit, size: Pair) -> str:
    height, width = fitting_sizes(network)
    return (
        f"{_caffe(network, misfit.layer)} wants {_size(misfit.wants)} and would get {_size(misfit.gets)} "
        f"from a picture of {_size(size)}, so the table ends before it; heights of {height} and widths of {width} fit "
        "(each layer makes (N + 2P - F)/S + 1 of a side N)"
    )


def _size(shape: Sequence[int | None]) -> str:
    return " x ".join(str(length) for length in shape)


def _caffe(network: Network, keras_name: str) -> str:
    """Caffe's name of a Keras layer, or of the layer that it helps."""
    names = {keras: caffe for caffe, keras in network.layers.items()}
    return names.get(helper_of(keras_name, names) or keras_name, keras_name)


def _marks(network: Network) -> dict[str, tuple[str, ...]]:
    """Keras layer -> the roles it plays by default."""
    marks: dict[str, tuple[str, ...]] = {}
    for role in ROLES:
        for name in getattr(network.roles, role):
            layer = network.layers.get(name) or network.blobs.get(name, (name, 0))[0]
            marks[layer] = (*marks.get(layer, ()), role)
    return marks
