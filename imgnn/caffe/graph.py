"""A Caffe net of any shape becomes one flat Keras functional model.

How values are stored: a blob of four axes `(n, c, h, w)` is channels last, `(n, h, w, c)`; a blob of any
other rank keeps Caffe's axes. So the rank alone tells, and `_Place.axis` is the one place where a Caffe
axis becomes a Keras axis. A layer whose result depends on the order of the values (Flatten, Reshape) goes
to Caffe's order first, through a helper layer `NAME__nchw`. The batch is free: no layer may touch its axis.

Each rule builds one type of layer, after the C++ source of the same name in BVLC/caffe, src/caffe/layers.
"""

import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NoReturn

import keras
import numpy as np

from imgnn import backend
from imgnn.caffe.layer import Layer, Transform
from imgnn.caffe.layout import assign_blobs
from imgnn.caffe.message import Message
from imgnn.caffe.net import Net
from imgnn.errors import ConversionError, UnknownNameError
from imgnn.images.preprocessing import Preprocessing
from imgnn.networks import layers as emit
from imgnn.networks.layers import Tensor
from imgnn.networks.network import HELPERS, Network, keras_name

TO_KERAS = (0, 3, 1, 2)  # the Keras axis of each Caffe axis of a blob with four axes
TO_CAFFE = (0, 2, 3, 1)  # and back
LARGEST = (1 << 31) - 1  # numbers in a blob (Blob::Reshape in blob.cpp)
DEPLOY = "give the deploy prototxt, which says the input size"


@backend.standard()
def build_graph(net: Net, *, name: str | None = None, assign: bool = True) -> Network:
    """The net as a flat Keras model, with its Caffe names and weights.

    The outputs of the model are the blobs that no layer reads, in the net's order.

    Args:
        name: the network's name; default: the net's own.
        assign: put the net's blobs into the model; layers without blobs keep Keras' initial weights.

    Raises:
        ConversionError: a layer type or setting that has no place in a Keras model; names layer, type and line.
        WeightsError: a blob does not have the shape that its layer wants.
    """
    layers = list(unfold(net.layers))
    if not layers:
        raise ConversionError(f"{net.name} has no layers")
    if unknown := [layer for layer in layers if layer.type not in RULES]:
        # Before the last of them the most remains; `before` leaves out the others.
        message = f"{_where(unknown[0])} is of a type that has no place here"
        raise ConversionError(message, hint=_import_before(unknown[-1]))
    names = _Names([*net.inputs, *(layer.name for layer in layers)])
    blobs = {blob: (names.take(blob), 0) for blob in net.inputs}
    inputs = {blob: _input(net, layers, blob, name) for blob, (name, _) in blobs.items()}
    values: dict[str, Tensor] = dict(inputs)
    unread: dict[str, Tensor] = {}
    known: dict[str, str] = {}
    batches = frozenset(shape[0] for shape in net.inputs.values() if shape)
    for layer in layers:
        if missing := [blob for blob in layer.bottoms if blob not in values]:
            raise ConversionError(f"{_where(layer)} reads the blob {missing[0]!r}, which no layer before it gives")
        keras_layer = names.take(layer.name)
        # Of two layers with one name the first has the weights, as in Caffe; the later is listed by its Keras name.
        known[layer.name if layer.name not in known else keras_layer] = keras_layer
        place = _Place(layer, keras_layer, [values[blob] for blob in layer.bottoms], batches)
        tops = _build(place)
        for blob in layer.bottoms:
            unread.pop(blob, None)
        for index, blob in enumerate(layer.tops):
            several = isinstance(tops, list)
            values[blob] = unread[blob] = tops[index] if several else tops
            blobs[blob] = (keras_layer, index if several else 0)
    outputs = list(unread.values())
    # One value stands alone: Keras warns whoever calls a model of [x] with x.
    ends = (each if len(each) > 1 else each[0] for each in (list(inputs.values()), outputs))
    model = keras.Model(*ends, name=keras_name(net.name))
    if assign:
        assign_blobs(model, known, net_blobs(net))
    preprocessing = _preprocessing(net.transform, list(inputs.values()))
    return Network(name or net.name, model, preprocessing, known, blobs)


def build_free(net: Net, *, name: str | None = None, assign: bool = True) -> Network:
    """The net for pictures of any size where nothing in it fixes the size, else for the size that it declares."""
    fixed = build_graph(net, name=name, assign=assign)
    [shape, *others] = net.inputs.values()
    if others or shape is None or len(shape) != 4 or shape[1] not in (1, 3):  # no picture, whose size we would keep
        return fixed
    try:
        free = build_graph(replace(net, inputs=dict.fromkeys(net.inputs, (*shape[:2], 0, 0))), name=name, assign=assign)
    except ConversionError:
        return fixed
    if any(output.shape[-1] is None for output in free.model.outputs):  # its number of values depends on the size
        return fixed
    return replace(free, preprocessing=fixed.preprocessing)


def before(net: Net, until: str) -> Net:
    """The part of a net that comes before a layer.

    Layers of a type that has no place here are left out, and with them all that read them: what remains of an SSD
    before its `detection_out` is the network and its heads, without the prior boxes. A note says so.

    Raises:
        UnknownNameError: no layer is called `until`.
        ConversionError: nothing remains.
    """
    names = [layer.name for layer in net.layers]
    if until not in names:
        raise UnknownNameError("layer", until, names)
    layers: list[Layer] = []
    unknown: list[Layer] = []
    lost: set[str] = set()  # blobs that are not computed
    dependent = 0
    for layer in net.layers[: names.index(until)]:
        if layer.type in RULES and lost.isdisjoint(layer.bottoms):
            layers.append(layer)
            lost.difference_update(layer.tops)
            continue
        lost.update(layer.tops)
        if layer.type in RULES:
            dependent += 1
        else:
            unknown.append(layer)
    if not layers:
        raise ConversionError(f"{net.name} has no layers before {until}")
    notes = net.notes
    if unknown:
        which = ", ".join(f"{layer.name} ({layer.type})" for layer in unknown)
        readers = {0: "", 1: ", and the layer that reads them"}.get(
            dependent, f", and {dependent} layers that read them"
        )
        notes += (f"left out with --until: {which}{readers}",)
    read = {bottom for layer in layers for bottom in layer.bottoms}
    kept = {layer.name for layer in layers}
    return replace(
        net,
        inputs={blob: shape for blob, shape in net.inputs.items() if blob in read},
        layers=tuple(layers),
        notes=notes,
        unused_blobs={
            **net.unused_blobs,
            **{layer.name: layer.blobs for layer in net.layers if layer.blobs and layer.name not in kept},
        },
    )


def net_blobs(net: Net) -> dict[str, tuple[np.ndarray, ...]]:
    """Layer name -> blobs as `caffe.layout` expects them: a `transpose`d InnerProduct is turned back (a view)."""
    blobs = {}
    for layer in unfold(net.layers):
        own = layer.blobs
        if own and layer.type == "InnerProduct" and layer.params.inner_product_param.transpose:
            rows, units = own[0].size // own[0].shape[-1], own[0].shape[-1]  # legacy blobs are 1x1xMxN
            own = (own[0].reshape(rows, units).T, *own[1:])
        if own:
            blobs[layer.name] = own
    return blobs


def unfold(layers: Iterable[Layer]) -> Iterator[Layer]:
    """One layer per bottom, where a convolution applies its blobs to several: NAME, NAME_2, ..."""
    for layer in layers:
        if layer.type not in ("Convolution", "Deconvolution") or len(layer.bottoms) < 2:
            yield layer
            continue
        for number, (bottom, top) in enumerate(zip(layer.bottoms, layer.tops, strict=False), 1):
            name = layer.name if number == 1 else f"{layer.name}_{number}"
            yield replace(layer, name=name, bottoms=(bottom,), tops=(top,))


class _Names:
    """Keras names for Caffe's: where two would be the same, or a helper's, the later one gets `_2`, `_3`."""

    def __init__(self, caffe_names: Iterable[str]) -> None:
        self._wanted = {keras_name(name) for name in caffe_names}
        self._taken: set[str] = set()

    def take(self, caffe_name: str) -> str:
        base = keras_name(caffe_name)
        later = (f"{base}_{number}" for number in itertools.count(2))
        names = itertools.chain([base], (name for name in later if name not in self._wanted))
        free = next(name for name in names if name not in self._taken and not self._is_helper(name))
        self._taken.add(free)
        return free

    def _is_helper(self, name: str) -> bool:
        return any(name.endswith(end) and name.removesuffix(end) in self._wanted for end in HELPERS)


def _where(layer: Layer) -> str:
    line = f", line {layer.line}" if layer.line else ""
    return f"layer {layer.name} ({layer.type}{line})"


def _import_before(layer: Layer) -> str:
    return f"--until {layer.name} imports the part before it"


# Inputs --------------------------------------------------------------------------------------------------------


def _input(net: Net, layers: Sequence[Layer], blob: str, name: str) -> Tensor:
    """The Keras input of a blob: without its batch; of any size if the files do not say."""
    shape = net.inputs[blob]
    if shape is None:
        return keras.Input((None, None, _channels(layers, blob)), name=name)
    sizes = [size if size > 0 else None for size in shape]
    if len(sizes) == 4:
        sizes = [sizes[axis] for axis in TO_CAFFE]
    return keras.Input(tuple(sizes[1:]), name=name)


# What a value may pass through on its way to the first convolution without a change of its channels.
SAME_CHANNELS = {"AbsVal", "BatchNorm", "Bias", "Dropout", "LRN", "MVN", "Pooling", "Power", "ReLU", "Scale", "Split"}


def _channels(layers: Sequence[Layer], blob: str) -> int:
    """How many channels an input without a shape has: the kernel of the first convolution knows."""
    reached = {blob}
    for layer in layers:
        if reached.isdisjoint(layer.bottoms):
            continue
        if layer.type == "Convolution" and layer.blobs and layer.blobs[0].ndim == 4:
            return int(layer.blobs[0].shape[1]) * layer.params.convolution_param.group
        if layer.type not in SAME_CHANNELS:
            break
        reached.update(layer.tops)
    raise ConversionError(f"the files do not say the shape of the input {blob!r}", hint=DEPLOY)


def _preprocessing(transform: Transform | None, inputs: Sequence[Tensor]) -> Preprocessing | None:
    """What a data layer's transform says of the pictures; None without one, or if the input is not a picture.

    A size that the files leave free is 224, and a mean image, whose numbers they do not hold, is ImageNet's mean.
    """
    if transform is None or len(inputs) != 1 or len(inputs[0].shape) != 4:
        return None
    _, height, width, channels = inputs[0].shape
    unread = Preprocessing.mean if transform.mean_file and channels == 3 else (0.0,)
    means = transform.mean_value or unread
    if channels not in (1, 3) or len(means) not in (1, channels):
        return None
    mean = tuple(means) * (channels // len(means))
    size = (height or 224, width or 224)
    order: Literal["BGR", "GREY"] = "BGR" if channels == 3 else "GREY"
    return Preprocessing(size, mean, order, (transform.scale,) * channels, resize=max(256, *size))


# One layer -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """A layer at the moment it is built.

    Attributes:
        name: of the Keras layer whose output is the layer's own value.
        bottoms: the values it reads.
        batches: the batch sizes that the net's inputs declare; a Reshape may name them.
    """

    layer: Layer
    name: str
    bottoms: list[Tensor]
    batches: frozenset[int]

    @property
    def x(self) -> Tensor:
        return self.bottoms[0]

    @property
    def rank(self) -> int:
        return len(self.x.shape)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Of the first bottom, in Caffe's order; None for the batch and for sizes that are not fixed."""
        return tuple(self.x.shape[axis] for axis in TO_KERAS) if self.rank == 4 else tuple(self.x.shape)

    def fail(self, message: str, *, hint: str | None = None) -> NoReturn:
        raise ConversionError(f"{_where(self.layer)}: {message}", hint=hint or _import_before(self.layer))

    def choice(self, params: Message, field: str, *known: str) -> str:
        """The value of an enum; one that Caffe does not know would be computed as something else."""
        value = str(getattr(params, field))
        if value not in known:
            self.fail(f"{field} is {value}; {' and '.join(known)} have a place here")
        return value

    def positive(self, **settings: int) -> None:
        """See to it that counts are counts."""
        for name, value in settings.items():
            if value < 1:
                self.fail(f"{name} is {value}; at least 1 is expected")

    def caffe_axis(self, axis: int) -> int:
        """Counted from the front, as Caffe does; never the batch."""
        if not -self.rank <= axis < self.rank:
            self.fail(f"axis {axis} of a blob that has {self.rank}")
        if axis % self.rank == 0:
            self.fail(f"axis {axis} is the batch, which a Keras model leaves free")
        return axis % self.rank

    def axis(self, axis: int) -> int:
        """The Keras axis."""
        return self.stored(self.caffe_axis(axis))

    def stored(self, axis: int) -> int:
        return TO_KERAS[axis] if self.rank == 4 else axis

    def spatial(self) -> None:
        if self.rank != 4:
            self.fail(f"wants a blob (number, channels, height, width); its input has {self.rank} axes")

    def in_caffes_order(self) -> Tensor:
        """The first bottom, its axes as Caffe has them."""
        return keras.layers.Permute((3, 1, 2), name=f"{self.name}__nchw")(self.x) if self.rank == 4 else self.x


def _build(place: _Place) -> Any:
    """The layer's tensor, or a list if it has several of its own."""
    layer = place.layer
    wanted = BOTTOMS.get(layer.type, (1, 1))
    if not wanted[0] <= len(layer.bottoms) <= wanted[1]:
        place.fail(f"wants {wanted[0]} input blobs; it has {len(layer.bottoms)}")
    if not layer.tops:
        place.fail("writes no blob")
    try:
        tops = RULES[layer.type](place)
    except (ValueError, ArithmeticError, TypeError) as error:  # Keras refuses sizes that do not fit
        place.fail(_reason(error))
    for top in tops if isinstance(tops, list) else [tops]:
        if (_product(top.shape[1:]) or 0) > LARGEST:
            place.fail(f"its output {tuple(top.shape[1:])} is larger than Caffe's blobs can be")
    return tops


def _reason(error: Exception) -> str:
    """The line of Keras' message that says what is wrong: in bold, behind where it was noticed."""
    text = re.sub(r"\x1b\[\d+m", "", str(error))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("Exception encountered")]
    return lines[0].strip() if lines else type(error).__name__


def _pair(place: _Place, params: Message, name: str, stem: str = "", default: int = 0) -> tuple[int, int]:
    """A setting for height and width: STEM_h and STEM_w, or NAME once for both, or once each."""
    stem = stem or name
    if name != "dilation" and (params.has(f"{stem}_h") or params.has(f"{stem}_w")):
        return getattr(params, f"{stem}_h"), getattr(params, f"{stem}_w")
    given = getattr(params, name) if params.has(name) else default
    numbers = list(given) if isinstance(given, list) else [given]
    if len(numbers) > 2:
        place.fail(f"{name} has {len(numbers)} axes; images have two")
    return numbers[0], numbers[-1]


def _convolution(place: _Place, function: Callable[..., Tensor]) -> Tensor:
    params = place.layer.params.convolution_param
    place.spatial()
    if place.caffe_axis(params.axis) != 1:
        place.fail(f"its channels are on axis {params.axis}; images have them on axis 1")
    kernel = _pair(place, params, "kernel_size", "kernel")
    stride, dilation = _pair(place, params, "stride", default=1), _pair(place, params, "dilation", default=1)
    place.positive(kernel=min(kernel), stride=min(stride), dilation=min(dilation), group=params.group)
    _check_kernel(place, params.num_output, place.x.shape[-1] or 1, *kernel)
    return function(
        place.x,
        params.num_output,
        kernel,
        name=place.name,
        stride=stride,
        pad=_pair(place, params, "pad"),
        dilation=dilation,
        group=params.group,
        bias=params.bias_term,
    )


def _check_kernel(place: _Place, units: int, *sizes: int) -> None:
    """A damaged number must not ask for all the memory there is: no caffemodel is larger than 2 GiB."""
    place.positive(num_output=units)
    if math.prod((units, *sizes)) > 1 << 29:
        place.fail(
            f"num_output is {units}: a kernel of {'x'.join(map(str, (units, *sizes)))}; "
            f"a caffemodel holds at most {1 << 29:,} numbers"
        )


def _pooling(place: _Place) -> Tensor:
    params = place.layer.params.pooling_param
    place.spatial()
    if params.pool not in ("MAX", "AVE"):
        place.fail(f"{params.pool} pooling is random; MAX and AVE have a place here")
    if len(place.layer.tops) > 1:
        place.fail("the second output, where the maxima were, has no place here")
    average = params.pool == "AVE"
    if params.global_pooling:
        return (emit.global_average_pool if average else emit.global_max_pool)(place.x, name=place.name)
    kernel, stride = _pair(place, params, "kernel_size", "kernel"), _pair(place, params, "stride", default=1)
    place.positive(kernel=min(kernel), stride=min(stride))
    pad = _pair(place, params, "pad")
    if kernel[0] <= pad[0] or kernel[1] <= pad[1]:
        place.fail(
            f"its windows are {kernel[0]}x{kernel[1]}, its padding {pad[0]}, {pad[1]}: a window may be all padding"
        )
    return (emit.average_pool if average else emit.max_pool)(
        place.x,
        kernel,
        name=place.name,
        stride=stride,
        pad=pad,
        ceil=place.choice(params, "round_mode", "CEIL", "FLOOR") == "CEIL",
    )


def _inner_product(place: _Place) -> Tensor:
    """From `axis` on, everything is one vector; the axes before it are kept."""
    params = place.layer.params.inner_product_param
    units, bias, name = params.num_output, params.bias_term, place.name
    axis = place.caffe_axis(params.axis)
    values = _product(place.shape[axis:])
    if values is None:
        place.fail("its kernel fits one input size only, and the size is not known", hint=DEPLOY)
    _check_kernel(place, units, values)
    if axis == 1:
        return emit.inner_product(place.x, units, name=name, bias=bias)
    if place.rank == 4 and axis == 3:  # the result has four axes again: (n, c, h, units), stored (n, h, units, c)
        _, height, _, channels = place.x.shape
        shape = (height, units, channels)
        return emit.AlongWidth("nhwc,wu->nhuc", shape, bias_axes="u" if bias else None, name=name)(place.x)
    if place.rank > 4:
        place.fail(f"axis {axis} of a blob that has {place.rank}")
    x = place.in_caffes_order()
    if axis < place.rank - 1:
        x = keras.layers.Reshape((*x.shape[1:axis], math.prod(x.shape[axis:])), name=f"{name}__rows")(x)
    return keras.layers.Dense(units, use_bias=bias, name=name)(x)


def _lrn(place: _Place) -> Tensor:
    params = place.layer.params.lrn_param
    place.spatial()
    if params.local_size % 2 == 0:
        place.fail(f"wants an odd local_size; it is {params.local_size}")
    within = place.choice(params, "norm_region", "ACROSS_CHANNELS", "WITHIN_CHANNEL") == "WITHIN_CHANNEL"
    place.positive(local_size=params.local_size)
    settings = {"size": params.local_size, "alpha": params.alpha, "beta": params.beta, "k": params.k}
    return emit.lrn(place.x, name=place.name, within=within, **settings)


def _batch_norm(place: _Place) -> Tensor:
    params = place.layer.params.batch_norm_param
    axis = place.axis(1)
    if params.has("use_global_stats") and not params.use_global_stats:
        return emit.BatchStatistics(axis, params.eps, name=place.name)(place.x)  # even while testing
    momentum = params.moving_average_fraction
    return emit.batch_norm(place.x, name=place.name, epsilon=params.eps, axis=axis, momentum=momentum)


def _mvn(place: _Place) -> Tensor:
    params = place.layer.params.mvn_param
    axes = [place.stored(axis) for axis in range(1 if params.across_channels else 2, place.rank)]
    return emit.MVN(sorted(axes), params.normalize_variance, params.eps, name=place.name)(place.x)


def _scale(place: _Place) -> Tensor:
    params = place.layer.params.scale_param
    if len(place.bottoms) == 1:
        return emit.Scale(_along(place, params), params.bias_term, name=place.name)(place.x)
    if not params.bias_term:
        return _apply(place, params, "multiply", place.name)
    product = _apply(place, params, "multiply", f"{place.name}__by")
    end = params.axis % place.rank + len(place.bottoms[1].shape)
    axes = [place.axis(axis) for axis in range(params.axis % place.rank, end)]
    return emit.Bias(axes, name=place.name)(product)


def _bias(place: _Place) -> Tensor:
    params = place.layer.params.bias_param
    if len(place.bottoms) == 2:
        return _apply(place, params, "add", place.name)
    return emit.Bias(_along(place, params), name=place.name)(place.x)


def _along(place: _Place, params: Message) -> list[int]:
    """The Keras axes that the weights of a Scale or Bias have, in Caffe's order."""
    if params.num_axes == 0:
        return []  # one number for all
    start = place.caffe_axis(params.axis)
    end = place.rank if params.num_axes == -1 else start + params.num_axes
    return [place.axis(axis) for axis in range(start, end)]


def _apply(place: _Place, params: Message, operation: str, name: str) -> Tensor:
    """The first bottom by the second, whose axes are those from `axis` on."""
    by = place.bottoms[1]
    start, count = params.axis % place.rank, len(by.shape)
    if start + count > place.rank:
        place.fail(f"{count} axes from axis {start} on, of a blob that has {place.rank}")
    order = TO_CAFFE if count == 4 else range(count)
    return emit.Apply(operation, [place.stored(start + axis) for axis in order], name=name)([place.x, by])


def _eltwise(place: _Place) -> Tensor:
    params, name = place.layer.params.eltwise_param, place.name
    for other in place.bottoms[1:]:
        sizes = zip(place.x.shape, other.shape, strict=False)
        if len(other.shape) != place.rank or any(a != b for a, b in sizes if None not in (a, b)):
            place.fail(f"its inputs differ: {tuple(place.x.shape)} and {tuple(other.shape)} (in Keras' order)")
    operation = place.choice(params, "operation", "SUM", "PROD", "MAX")
    if operation == "PROD":
        return keras.layers.Multiply(name=name)(place.bottoms)
    if operation == "MAX":
        return keras.layers.Maximum(name=name)(place.bottoms)
    coefficients = list(params.coeff)
    if not coefficients or set(coefficients) == {1.0}:
        return emit.add(place.bottoms, name=name)
    if len(coefficients) != len(place.bottoms):
        place.fail(f"wants one coeff per input, {len(place.bottoms)}; it has {len(coefficients)}")
    return emit.WeightedSum(coefficients, name=name)(place.bottoms)


def _concat(place: _Place) -> Tensor:
    params = place.layer.params.concat_param
    axis = place.axis(params.concat_dim if params.has("concat_dim") else params.axis)
    return emit.concat(place.bottoms, name=place.name, axis=axis) if len(place.bottoms) > 1 else _same(place)


def _slice(place: _Place) -> Any:
    params, pieces = place.layer.params.slice_param, len(place.layer.tops)
    axis = place.axis(params.slice_dim if params.has("slice_dim") else params.axis)
    points, size = list(params.slice_point), place.x.shape[axis]
    if pieces == 1:
        return _same(place)
    if not points:
        if size is None or size % pieces:
            place.fail(f"{size or 'an unknown number of'} values do not divide into {pieces} equal parts")
        points = list(range(size // pieces, size, size // pieces))
    edges = [0, *points] if size is None else [0, *points, size]
    if len(points) != pieces - 1 or any(a >= b for a, b in itertools.pairwise(edges)):
        place.fail(f"cuts {size} values at {points} into {pieces} parts")
    return emit.Slice(axis, points, name=place.name)(place.x)


def _same(place: _Place) -> Tensor:
    return keras.layers.Identity(name=place.name)(place.x)


def _flatten(place: _Place) -> Tensor:
    params = place.layer.params.flatten_param
    start, end = place.caffe_axis(params.axis), place.caffe_axis(params.end_axis)
    if start > end:
        place.fail(f"its axis {start} is behind its end_axis {end}")
    if (start, end) == (1, place.rank - 1):
        return emit.flatten(place.x, name=place.name)
    merged = place.shape[start : end + 1]
    return _shaped(place, (*place.shape[1:start], _product(merged), *place.shape[end + 1 :]))


def _reshape(place: _Place) -> Tensor:
    """`shape` replaces num_axes axes from `axis` on: 0 keeps the size at its place, -1 is what is left."""
    params, shape = place.layer.params.reshape_param, place.shape
    start = params.axis if params.axis >= 0 else place.rank + params.axis + 1  # -1 is behind the last axis
    end = place.rank if params.num_axes == -1 else start + params.num_axes
    given = list(params.shape.dim)
    if not 0 <= start <= end <= place.rank or given.count(-1) > 1:
        place.fail(f"cannot put {given} in place of the axes {start} to {end} of a blob that has {place.rank}")
    if any(size == 0 and start + index >= end for index, size in enumerate(given)):
        place.fail(f"{given} keeps the size of an axis that is not replaced")
    middle = [size or shape[start + index] for index, size in enumerate(given)]
    if start == 0:
        # The first size must mean the batch: 0, the batch of the prototxt, or -1 where all else is as before.
        whole = end > 0 and bool(given) and given[0] in (0, -1, *place.batches)
        if not whole or (given[0] == -1 and _product([*middle[1:], *shape[end:]]) != _product(shape[1:])):
            place.fail(f"{given} changes the batch, which a Keras model leaves free")
        sizes = [*middle[1:], *shape[end:]]
    else:
        sizes = [*shape[1:start], *middle, *shape[end:]]
    return _shaped(place, sizes)


def _product(sizes: Sequence[int | None]) -> int | None:
    return None if None in sizes else math.prod(size for size in sizes if size is not None)


def _shaped(place: _Place, sizes: Sequence[int | None]) -> Tensor:
    """The same values, in Caffe's order, in an item of these sizes; None and -1 are what is left."""
    open_sizes = [index for index, size in enumerate(sizes) if size in (None, -1)]
    if len(open_sizes) > 1:
        place.fail(f"cannot tell {len(open_sizes)} sizes of its output {tuple(sizes)}", hint=DEPLOY)
    shape = [-1 if size is None else size for size in sizes]
    whole, known = _product(place.shape[1:]), math.prod(size for size in shape if size != -1)
    if whole is None and not open_sizes:
        place.fail("its output has a fixed size, and that of its input is not known", hint=DEPLOY)
    if whole is not None and (whole % known if open_sizes else whole != known):
        place.fail(f"{place.shape[1:]} has {whole} values; they do not fill {tuple(shape)}")
    if whole is not None and open_sizes:
        shape[open_sizes[0]] = whole // known
    pixel = place.rank == 4 and place.x.shape[1:3] == (1, 1)  # one pixel: both orders are the same
    x = place.x if pixel else place.in_caffes_order()
    if len(shape) != 3:
        return keras.layers.Reshape(shape, name=place.name)(x)
    channels, height, width = shape
    if (height, width) == (1, 1):
        return keras.layers.Reshape((1, 1, channels), name=place.name)(x)
    x = keras.layers.Reshape(shape, name=f"{place.name}__reshape")(x)
    return keras.layers.Permute((2, 3, 1), name=place.name)(x)


def _permute(place: _Place) -> Tensor:
    given = list(place.layer.params.permute_param.order)
    order = given + [axis for axis in range(place.rank) if axis not in given]
    if sorted(order) != list(range(place.rank)):
        place.fail(f"{given} is not an order of {place.rank} axes")
    if order[0] != 0:
        place.fail("moves the batch, which a Keras model leaves where it is")
    if place.rank == 4:
        order = [TO_KERAS[order[axis]] for axis in TO_CAFFE]
    return keras.layers.Permute(order[1:], name=place.name)(place.x)


def _crop(place: _Place) -> Tensor:
    params = place.layer.params.crop_param
    start, offsets = place.caffe_axis(params.axis), list(params.offset) or [0]
    if len(place.bottoms[1].shape) != place.rank:
        place.fail(f"its inputs have {place.rank} and {len(place.bottoms[1].shape)} axes")
    count = place.rank - start
    if len(offsets) not in (1, count):
        place.fail(f"wants one offset, or one for each of {count} axes; it has {len(offsets)}")
    offsets = offsets * count if len(offsets) == 1 else offsets
    axes = [place.axis(axis) for axis in range(start, place.rank)]
    return emit.Crop(axes, offsets, name=place.name)(place.bottoms)


def _softmax(place: _Place) -> Tensor:
    axis = place.axis(place.layer.params.softmax_param.axis)
    return emit.softmax(place.x, name=place.name, axis=-1 if axis == place.rank - 1 else axis)


def _reduction(place: _Place) -> Tensor:
    params = place.layer.params.reduction_param
    start = place.caffe_axis(params.axis)
    axes = [place.stored(axis) for axis in range(start, place.rank)]
    x = place.x
    if place.rank == 4 and start == 3:  # what remains are three axes, and those keep Caffe's order
        x, axes = place.in_caffes_order(), [3]
    operation = place.choice(params, "operation", "SUM", "ASUM", "SUMSQ", "MEAN")
    return emit.Reduction(operation, sorted(axes), params.coeff, name=place.name)(x)


def _argmax(place: _Place) -> Tensor:
    """Along an axis; or over all values of an image, then (n, 1, top_k), or (n, 2, top_k) with the values too."""
    params, name = place.layer.params.argmax_param, place.name
    place.positive(top_k=params.top_k)
    if params.has("axis"):
        gives = "values" if params.out_max_val else "places"
        return emit.ArgMax(place.axis(params.axis), params.top_k, gives, name=name)(place.x)
    if place.rank > 4:
        place.fail(f"of a blob that has {place.rank} axes wants an axis")
    x = emit.flatten(place.x, name=f"{name}__rows")
    both = emit.ArgMax(-1, params.top_k, "both" if params.out_max_val else "places", name=f"{name}__places")(x)
    if place.rank == 4:  # Caffe's (n, 1 or 2, top_k, 1)
        return keras.layers.Reshape((params.top_k, 1, 2 if params.out_max_val else 1), name=name)(both)
    if params.out_max_val:
        return keras.layers.Permute((2, 1), name=name)(both)
    return keras.layers.Reshape((1, params.top_k), name=name)(both)


def _tile(place: _Place) -> Tensor:
    params = place.layer.params.tile_param
    if params.tiles < 1:
        place.fail(f"tiles is {params.tiles}")
    return emit.Tile(place.axis(params.axis), params.tiles, name=place.name)(place.x)


def _power_like(kind: type, param: str, *fields: str) -> Callable[[_Place], Tensor]:
    """Power, Exp and Log: one class each, its settings named as Caffe's."""

    def rule(place: _Place) -> Tensor:
        params = getattr(place.layer.params, param)
        settings = {field: getattr(params, field) for field in fields}
        base = settings.get("base", -1.0)
        if base != -1.0 and (base <= 0 or (kind is emit.Log and base == 1)):
            place.fail(f"base is {base}; -1 (which is e) or a positive number, of a Log not 1, is expected")
        return kind(**settings, name=place.name)(place.x)

    return rule


RULES: dict[str, Callable[[_Place], Any]] = {
    "AbsVal": lambda place: emit.AbsVal(name=place.name)(place.x),
    "ArgMax": _argmax,
    "BNLL": lambda place: emit.activation(place.x, "softplus", name=place.name),
    "BatchNorm": _batch_norm,
    "Bias": _bias,
    "Concat": _concat,
    "Convolution": lambda place: _convolution(place, emit.conv),
    "Crop": _crop,
    "Deconvolution": lambda place: _convolution(place, emit.deconv),
    "Dropout": lambda place: emit.dropout(place.x, place.layer.params.dropout_param.dropout_ratio, name=place.name),
    "ELU": lambda place: keras.layers.ELU(place.layer.params.elu_param.alpha, name=place.name)(place.x),
    "Eltwise": _eltwise,
    "Exp": _power_like(emit.Exp, "exp_param", "base", "scale", "shift"),
    "Flatten": _flatten,
    "InnerProduct": _inner_product,
    "LRN": _lrn,
    "Log": _power_like(emit.Log, "log_param", "base", "scale", "shift"),
    "MVN": _mvn,
    "PReLU": lambda place: emit.prelu(place.x, name=place.name, shared=place.layer.params.prelu_param.channel_shared),
    "Permute": _permute,
    "Pooling": _pooling,
    "Power": _power_like(emit.Power, "power_param", "power", "scale", "shift"),
    "ReLU": lambda place: emit.relu(place.x, name=place.name, slope=place.layer.params.relu_param.negative_slope),
    "Reduction": _reduction,
    "Reshape": _reshape,
    "Scale": _scale,
    "Sigmoid": lambda place: emit.activation(place.x, "sigmoid", name=place.name),
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _same,
    "TanH": lambda place: emit.activation(place.x, "tanh", name=place.name),
    "Tile": _tile,
}

BOTTOMS = {  # at least and at most; one, where nothing is said
    "Bias": (1, 2),
    "Concat": (1, 1 << 16),
    "Crop": (2, 2),
    "Eltwise": (2, 1 << 16),
    "Scale": (1, 2),
}
