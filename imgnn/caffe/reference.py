"""Caffe's layers in plain NumPy, float64: the second opinion where OpenCV has none.

Written from the rules of Caffe's C++ layers (BVLC/caffe, src/caffe/layers/*.cpp, named function by
function) and from nothing of ours, so that a mistake in our Keras graph cannot hide here as well.
Slow and plain on purpose: SqueezeNet on one 227 x 227 image takes about half a second.

Arrays have Caffe's axes: `(batch, channels, height, width)` for an image, and any other rank.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from imgnn.caffe.message import Message
from imgnn.caffe.net import Layer, Net
from imgnn.errors import ConversionError, InputError, WeightsError
from imgnn.networks.network import RAW

Array = np.ndarray
Bottoms = Sequence[Array]
Rule = Callable[[Layer, Bottoms], Sequence[Array]]

FLT_MAX = float(np.finfo(np.float32).max)


def run_reference(net: Net, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Every value that Caffe would compute, layer after layer, in float64.

    Args:
        net: its layers have their blobs.
        inputs: input blob name -> array with Caffe's axes; any size that the net allows.

    Returns:
        Blob name -> its value at the end, after in-place layers; and for each layer `LAYER@raw`, what
        the layer itself gave (its first top; the others are `LAYER@raw.1`, `LAYER@raw.2`, ...).

    Raises:
        InputError: an input is missing.
        WeightsError: a layer has fewer blobs than its type needs.
        ConversionError: a layer type, or a setting of one, that is not written here.
    """
    if missing := [name for name in net.inputs if name not in inputs]:
        raise InputError(f"{net.name} wants the inputs {', '.join(net.inputs)}; missing: {', '.join(missing)}")
    values = {name: np.asarray(inputs[name], np.float64) for name in net.inputs}
    for layer in net.layers:
        rule = RULES.get(layer.type)
        if rule is None:
            raise ConversionError(f"{_where(layer)}: the NumPy reference has no such layer type")
        if absent := [name for name in layer.bottoms if name not in values]:
            raise ConversionError(f"{_where(layer)} reads {absent[0]!r}, which no layer before it gives")
        with np.errstate(all="ignore"):  # the logarithm of a negative number is NaN, as in C++
            tops = rule(layer, [values[name] for name in layer.bottoms])
        for index, (name, value) in enumerate(zip(layer.tops, tops, strict=True)):
            values[name] = values[raw_name(layer.name, index)] = value
    return values


def raw_name(layer: str, index: int = 0) -> str:
    """The key of a layer's own output number `index`, before in-place layers change its blob."""
    return f"{layer}{RAW}" + (f".{index}" if index else "")


def _where(layer: Layer) -> str:
    line = f", line {layer.line}" if layer.line else ""
    return f"layer {layer.name} ({layer.type}{line})"


def _blob(layer: Layer, index: int) -> Array:
    try:
        return np.asarray(layer.blobs[index], np.float64)
    except IndexError:
        raise WeightsError(f"{_where(layer)} needs blob {index}; the file holds {len(layer.blobs)}") from None


def _canonical(axis: int, rank: int) -> int:
    """A negative axis counts from the end (Blob::CanonicalAxisIndex)."""
    return axis + rank if axis < 0 else axis


def _along(vector: Array, rank: int, axis: int) -> Array:
    """Reshape `vector` so that it broadcasts along `axis` (and the axes after it, as far as it has any)."""
    return vector.reshape((1,) * axis + vector.shape + (1,) * (rank - axis - vector.ndim))


# ---------------------------------------------------------------------------------------------- convolution


def _pair(params: Message, name: str, default: int, apart: str | None = None) -> tuple[int, int]:
    """A setting for height and width: APART_h and APART_w, or NAME as one number, or as one for each axis."""
    if apart and (params.has(f"{apart}_h") or params.has(f"{apart}_w")):
        return getattr(params, f"{apart}_h"), getattr(params, f"{apart}_w")
    given = getattr(params, name)
    numbers = list(given) if isinstance(given, list | tuple) else [given]
    return (numbers[0], numbers[-1]) if numbers else (default, default)


def convolution_settings(layer: Layer) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Kernel, stride, pad, dilation."""
    params = layer.params.convolution_param
    return (
        _pair(params, "kernel_size", 1, "kernel"),
        _pair(params, "stride", 1, "stride"),
        _pair(params, "pad", 0, "pad"),
        _pair(params, "dilation", 1),
    )


def _add_bias(layer: Layer, y: Array) -> Array:
    if layer.params.convolution_param.bias_term:
        y += _blob(layer, 1).reshape(-1, 1, 1)
    return y


def _convolve(layer: Layer, x: Array) -> Array:
    """base_conv_layer.cpp, conv_layer.cpp: rounds the size down; blob (out, in / group, kernel_h, kernel_w).

    The sum over kernel positions of one matrix product each: needs no im2col buffer.
    """
    (kernel_h, kernel_w), (stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w) = convolution_settings(layer)
    params = layer.params.convolution_param
    batch, channels, height, width = x.shape
    group, filters = params.group, params.num_output
    kernel = _blob(layer, 0).reshape(group, filters // group, channels // group, kernel_h, kernel_w)
    out_h = (height + 2 * pad_h - dilation_h * (kernel_h - 1) - 1) // stride_h + 1
    out_w = (width + 2 * pad_w - dilation_w * (kernel_w - 1) - 1) // stride_w + 1
    if out_h < 1 or out_w < 1:
        raise ConversionError(f"{_where(layer)}: its kernel is larger than its padded input {height} x {width}")
    x = np.pad(x, ((0, 0), (0, 0), (pad_h, pad_h), (pad_w, pad_w)))
    y = np.zeros((batch, group, filters // group, out_h * out_w))
    for i in range(kernel_h):
        for j in range(kernel_w):
            top, left = i * dilation_h, j * dilation_w
            seen = x[:, :, top : top + stride_h * out_h : stride_h, left : left + stride_w * out_w : stride_w]
            y += kernel[:, :, :, i, j] @ seen.reshape(batch, group, channels // group, out_h * out_w)
    return _add_bias(layer, y.reshape(batch, filters, out_h, out_w))


def _deconvolve(layer: Layer, x: Array) -> Array:
    """deconv_layer.cpp: convolution's transpose; blob (in, out / group, kernel_h, kernel_w)."""
    (kernel_h, kernel_w), (stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w) = convolution_settings(layer)
    params = layer.params.convolution_param
    batch, channels, height, width = x.shape
    group, filters = params.group, params.num_output
    kernel = _blob(layer, 0).reshape(group, channels // group, filters // group, kernel_h, kernel_w)
    full_h = stride_h * (height - 1) + dilation_h * (kernel_h - 1) + 1
    full_w = stride_w * (width - 1) + dilation_w * (kernel_w - 1) + 1
    if full_h <= 2 * pad_h or full_w <= 2 * pad_w:
        raise ConversionError(f"{_where(layer)}: nothing is left of {full_h} x {full_w} when its padding is cut off")
    x = x.reshape(batch, group, channels // group, height * width)
    y = np.zeros((batch, filters, full_h, full_w))
    for i in range(kernel_h):
        for j in range(kernel_w):
            part = kernel[:, :, :, i, j].swapaxes(1, 2) @ x
            rows = slice(i * dilation_h, i * dilation_h + stride_h * (height - 1) + 1, stride_h)
            columns = slice(j * dilation_w, j * dilation_w + stride_w * (width - 1) + 1, stride_w)
            y[:, :, rows, columns] += part.reshape(batch, filters, height, width)
    return _add_bias(layer, y[:, :, pad_h : full_h - pad_h, pad_w : full_w - pad_w])


def _inner_product(layer: Layer, bottoms: Bottoms) -> list[Array]:
    """inner_product_layer.cpp: the axes from `axis` on are one vector; blob (out, in), or (in, out) if `transpose`."""
    params = layer.params.inner_product_param
    x, units = bottoms[0], params.num_output
    axis = _canonical(params.axis, x.ndim)
    kernel = _blob(layer, 0)
    kernel = kernel.reshape(-1, units).T if params.transpose else kernel.reshape(units, -1)
    y = x.reshape(*x.shape[:axis], -1) @ kernel.T
    return [y + _blob(layer, 1).reshape(units) if params.bias_term else y]


# -------------------------------------------------------------------------------------------------- pooling


def _windows(size: int, kernel: int, stride: int, pad: int, *, clip: bool, floor: bool) -> list[tuple[int, int, int]]:
    """pooling_layer.cpp: along one axis, each window's start and end in the input, and its length for an average.

    The size rounds up unless `floor`; `clip`: a last window that would start in the padding is left out. An
    average counts the padding that its window covers, though nothing beyond `size + pad`.
    """
    steps = (size + 2 * pad - kernel) / stride
    count = (math.floor(steps) if floor else math.ceil(steps)) + 1
    if clip and (count - 1) * stride >= size + pad:
        count -= 1
    windows = []
    for start in (index * stride - pad for index in range(count)):
        end = min(start + kernel, size + pad)
        windows.append((max(start, 0), min(end, size), end - start))
    return windows


def _pool(x: Array, method: str, rows: list[tuple[int, int, int]], columns: list[tuple[int, int, int]]) -> Array:
    """Pool the rows, then the columns: the same as pooling the rectangles, since MAX and sums both nest."""
    for axis, windows in ((2, rows), (3, columns)):
        parts = []
        for start, end, length in windows:
            window = x[:, :, start:end] if axis == 2 else x[:, :, :, start:end]
            if method == "MAX":  # a window wholly outside stays at Caffe's first value
                parts.append(window.max(axis=axis, initial=-FLT_MAX))
            else:  # and an average of nothing is 0 / 0
                parts.append(window.sum(axis=axis) / (length or math.nan))
        x = np.stack(parts, axis=axis)
    return x


def _pooling(layer: Layer, bottoms: Bottoms) -> list[Array]:
    params, x = layer.params.pooling_param, bottoms[0]
    if params.pool not in ("MAX", "AVE") or len(layer.tops) > 1:
        raise ConversionError(f"{_where(layer)}: the NumPy reference pools by MAX and AVE, without a mask")
    if params.global_pooling:
        kernel, stride, pad = x.shape[2:4], (1, 1), (0, 0)
    else:
        kernel = _pair(params, "kernel_size", 1, "kernel")
        stride, pad = _pair(params, "stride", 1, "stride"), _pair(params, "pad", 0, "pad")
    rows, columns = (
        _windows(*each, clip=any(pad), floor=params.round_mode == "FLOOR")
        for each in zip(x.shape[2:4], kernel, stride, pad, strict=True)
    )
    if not rows or not columns:
        raise ConversionError(f"{_where(layer)}: its kernel {kernel} is larger than its padded input {x.shape[2:4]}")
    return [_pool(x, params.pool, rows, columns)]


# -------------------------------------------------------------------------------------------- normalisation


def _lrn(layer: Layer, bottoms: Bottoms) -> list[Array]:
    """lrn_layer.cpp: alpha is divided by the number of summed squares; within a channel, k is 1."""
    params, x = layer.params.lrn_param, bottoms[0]
    size, radius = params.local_size, (params.local_size - 1) // 2
    if size % 2 == 0:
        raise ConversionError(f"{_where(layer)}: Caffe wants an odd local_size, this is {size}")
    if params.norm_region == "WITHIN_CHANNEL":
        rows, columns = (_windows(each, size, 1, radius, clip=True, floor=False) for each in x.shape[2:4])
        return [x * (1 + params.alpha * _pool(x**2, "AVE", rows, columns)) ** -params.beta]
    squares = np.pad(x**2, ((0, 0), (radius, radius), (0, 0), (0, 0)))
    sums = np.lib.stride_tricks.sliding_window_view(squares, size, axis=1).sum(axis=-1)
    return [x * (params.k + params.alpha / size * sums) ** -params.beta]


def _batch_norm(layer: Layer, bottoms: Bottoms) -> list[Array]:
    """batch_norm_layer.cpp: stored sums are divided by blob 2, or taken as 0 when it is 0."""
    params, x = layer.params.batch_norm_param, bottoms[0]
    if params.has("use_global_stats") and not params.use_global_stats:
        others = tuple(axis for axis in range(x.ndim) if axis != 1)
        mean, variance = x.mean(axis=others), x.var(axis=others)
    else:
        factor = _blob(layer, 2).item()
        factor = 1 / factor if factor else 0.0
        mean, variance = _blob(layer, 0).reshape(-1) * factor, _blob(layer, 1).reshape(-1) * factor
    return [(x - _along(mean, x.ndim, 1)) / np.sqrt(_along(variance, x.ndim, 1) + params.eps)]


def _mvn(layer: Layer, bottoms: Bottoms) -> list[Array]:
    """mvn_layer.cpp: eps is added to the standard deviation, not to the variance."""
    params, x = layer.params.mvn_param, bottoms[0]
    axes = tuple(range(1 if params.across_channels else 2, x.ndim))
    centred = x - x.mean(axis=axes, keepdims=True)
    if not params.normalize_variance:
        return [centred]
    return [centred / (np.sqrt((centred**2).mean(axis=axes, keepdims=True)) + params.eps)]


def _operand(layer: Layer, params: Message, bottoms: Bottoms, index: int) -> Array:
    """What Scale or Bias applies: blob `index` in the shape the settings ask for, ready to broadcast."""
    rank = bottoms[0].ndim
    axis = _canonical(params.axis, rank)
    end = rank if params.num_axes == -1 else axis + params.num_axes
    return _along(_blob(layer, index).reshape(bottoms[0].shape[axis:end]), rank, axis)


def _scale(layer: Layer, bottoms: Bottoms) -> list[Array]:
    """scale_layer.cpp: the factors are blob 0 or the second bottom; the bias is the blob after them."""
    params, x = layer.params.scale_param, bottoms[0]
    axis = _canonical(params.axis, x.ndim)
    if len(bottoms) == 1:
        y = x * _operand(layer, params, bottoms, 0)
        return [y + _operand(layer, params, bottoms, 1) if params.bias_term else y]
    y = x * _along(bottoms[1], x.ndim, axis if bottoms[1].ndim else 0)
    return [y + _along(_blob(layer, 0).reshape(bottoms[1].shape), x.ndim, axis) if params.bias_term else y]


def _bias(layer: Layer, bottoms: Bottoms) -> list[Array]:
    params, x = layer.params.bias_param, bottoms[0]
    if len(bottoms) == 1:
        return [x + _operand(layer, params, bottoms, 0)]
    return [x + _along(bottoms[1], x.ndim, _canonical(params.axis, x.ndim) if bottoms[1].ndim else 0)]


# ----------------------------------------------------------------------------------------- value by value


def _prelu(layer: Layer, bottoms: Bottoms) -> list[Array]:
    x, slope = bottoms[0], _blob(layer, 0).reshape(-1)
    slope = slope if layer.params.prelu_param.channel_shared else _along(slope, x.ndim, 1)
    return [np.maximum(x, 0) + slope * np.minimum(x, 0)]


def _exp(layer: Layer, bottoms: Bottoms) -> list[Array]:
    """base ** (shift + scale * x), base e when it is -1 (exp_layer.cpp)."""
    params = layer.params.exp_param
    base = math.e if params.base == -1 else params.base
    return [base ** (params.shift + params.scale * bottoms[0])]


def _log(layer: Layer, bottoms: Bottoms) -> list[Array]:
    """log(shift + scale * x) to `base`, e when it is -1 (log_layer.cpp)."""
    params = layer.params.log_param
    return [np.log(params.shift + params.scale * bottoms[0]) / (1 if params.base == -1 else math.log(params.base))]


def _relu(layer: Layer, x: Array) -> Array:
    return np.maximum(x, 0) + layer.params.relu_param.negative_slope * np.minimum(x, 0)


def _elu(layer: Layer, x: Array) -> Array:
    return np.where(x > 0, x, layer.params.elu_param.alpha * np.expm1(np.minimum(x, 0)))


def _power(layer: Layer, x: Array) -> Array:
    params = layer.params.power_param
    return (params.shift + params.scale * x) ** params.power


def _eltwise(layer: Layer, bottoms: Bottoms) -> list[Array]:
    params = layer.params.eltwise_param
    if params.operation == "PROD":
        return [math.prod(bottoms[1:], start=bottoms[0])]
    if params.operation == "MAX":
        return [np.maximum.reduce(list(bottoms))]
    coefficients = list(params.coeff) or [1.0] * len(bottoms)
    return [sum(factor * x for factor, x in zip(coefficients, bottoms, strict=True))]


def _softmax(layer: Layer, bottoms: Bottoms) -> list[Array]:
    x = bottoms[0]
    axis = _canonical(layer.params.softmax_param.axis, x.ndim)
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return [powers / powers.sum(axis=axis, keepdims=True)]


# ----------------------------------------------------------------------------------------------- reductions


def _reduction(layer: Layer, bottoms: Bottoms) -> list[Array]:
    """reduction_layer.cpp: all axes from `axis` on become one number."""
    params, x = layer.params.reduction_param, bottoms[0]
    axes = tuple(range(_canonical(params.axis, x.ndim), x.ndim))
    reduced = {
        "SUM": lambda: x.sum(axis=axes),
        "ASUM": lambda: np.abs(x).sum(axis=axes),
        "SUMSQ": lambda: (x**2).sum(axis=axes),
        "MEAN": lambda: x.mean(axis=axes),
    }[params.operation]()
    return [np.asarray(params.coeff * reduced)]


def _argmax(layer: Layer, bottoms: Bottoms) -> list[Array]:
    """argmax_layer.cpp: pairs (value, index) are sorted downwards, so of equal values the LAST index wins.

    Without an axis each image is one vector, and the result is (batch, 1 or 2, top_k), of rank 4 for a bottom
    of rank 4; indices come first, values second.
    """
    params, x = layer.params.argmax_param, bottoms[0]
    has_axis = params.has("axis")
    axis = _canonical(params.axis, x.ndim) if has_axis else 1
    if not has_axis:
        rank = max(x.ndim, 3)
        x = x.reshape(x.shape[0], -1)
    size = x.shape[axis]
    # Reversed, a stable rising sort of the negated values puts the last index first.
    order = size - 1 - np.argsort(-np.flip(x, axis), axis=axis, kind="stable")
    order = np.take(order, range(params.top_k), axis=axis)
    values = np.take_along_axis(x, order, axis=axis)
    if has_axis:
        return [values if params.out_max_val else order.astype(np.float64)]
    parts = [order, values] if params.out_max_val else [order]
    return [np.stack(parts, axis=1).astype(np.float64).reshape(len(x), len(parts), params.top_k, *[1] * (rank - 3))]


# ------------------------------------------------------------------------------------------- moving values


def _concat(layer: Layer, bottoms: Bottoms) -> list[Array]:
    params = layer.params.concat_param
    axis = params.concat_dim if params.has("concat_dim") else params.axis
    return [np.concatenate(bottoms, axis=axis)]


def _slice(layer: Layer, bottoms: Bottoms) -> list[Array]:
    params = layer.params.slice_param
    axis = params.slice_dim if params.has("slice_dim") else params.axis
    where = list(params.slice_point) or len(layer.tops)  # a number: that many equal parts
    return np.split(bottoms[0], where, axis=axis)


def _flatten(layer: Layer, bottoms: Bottoms) -> list[Array]:
    params, x = layer.params.flatten_param, bottoms[0]
    start, end = _canonical(params.axis, x.ndim), _canonical(params.end_axis, x.ndim)
    return [x.reshape(*x.shape[:start], math.prod(x.shape[start : end + 1]), *x.shape[end + 1 :])]


def _reshape(layer: Layer, bottoms: Bottoms) -> list[Array]:
    """reshape_layer.cpp: `shape` replaces num_axes axes from `axis` on; 0 keeps its axis, -1 is what is left.

    A negative `axis` counts one further than elsewhere: -1 is behind the last.
    """
    params, x = layer.params.reshape_param, bottoms[0]
    start = params.axis if params.axis >= 0 else x.ndim + params.axis + 1
    end = x.ndim if params.num_axes == -1 else start + params.num_axes
    middle = [size or x.shape[start + index] for index, size in enumerate(params.shape.dim)]
    return [x.reshape(*x.shape[:start], *middle, *x.shape[end:])]


def _permute(layer: Layer, bottoms: Bottoms) -> list[Array]:
    """permute_layer.cpp of the SSD fork: the axes in `order` first, then the others as they were."""
    x, order = bottoms[0], list(layer.params.permute_param.order)
    return [x.transpose(order + [axis for axis in range(x.ndim) if axis not in order])]


def _crop(layer: Layer, bottoms: Bottoms) -> list[Array]:
    """crop_layer.cpp: from `axis` on, the size of the second bottom, beginning at the offset."""
    params, (x, like) = layer.params.crop_param, bottoms
    axis = _canonical(params.axis, x.ndim)
    offsets = list(params.offset) or [0]
    if len(offsets) == 1:
        offsets = offsets * (x.ndim - axis)
    region = [slice(None)] * axis
    region += [slice(at, at + size) for at, size in zip(offsets, like.shape[axis:], strict=True)]
    return [x[tuple(region)]]


def _tile(layer: Layer, bottoms: Bottoms) -> list[Array]:
    params, x = layer.params.tile_param, bottoms[0]
    times = [1] * x.ndim
    times[params.axis] = params.tiles
    return [np.tile(x, times)]


def _each(rule: Callable[[Layer, Array], Array]) -> Rule:
    """A rule for one array, applied to each bottom (Caffe's convolution layers share their blobs so)."""
    return lambda layer, bottoms: [rule(layer, x) for x in bottoms]


RULES: Mapping[str, Rule] = {
    "AbsVal": _each(lambda layer, x: np.abs(x)),
    "ArgMax": _argmax,
    "BNLL": _each(lambda layer, x: np.logaddexp(x, 0)),  # log(1 + exp(x)) that does not overflow
    "BatchNorm": _batch_norm,
    "Bias": _bias,
    "Concat": _concat,
    "Convolution": _each(_convolve),
    "Crop": _crop,
    "Deconvolution": _each(_deconvolve),
    "Dropout": _each(lambda layer, x: x),  # scaled while training, not now
    "ELU": _each(_elu),
    "Eltwise": _eltwise,
    "Exp": _exp,
    "Flatten": _flatten,
    "InnerProduct": _inner_product,
    "LRN": _lrn,
    "Log": _log,
    "MVN": _mvn,
    "PReLU": _prelu,
    "Permute": _permute,
    "Pooling": _pooling,
    "Power": _each(_power),
    "ReLU": _each(_relu),
    "Reduction": _reduction,
    "Reshape": _reshape,
    "Scale": _scale,
    "Sigmoid": _each(lambda layer, x: 0.5 * np.tanh(0.5 * x) + 0.5),
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": lambda layer, bottoms: [bottoms[0]] * len(layer.tops),
    "TanH": _each(lambda layer, x: np.tanh(x)),
    "Tile": _tile,
}
