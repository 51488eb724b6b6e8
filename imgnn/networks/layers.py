"""Caffe's layers in Keras: what Keras lacks, and one short function per layer for the builders.

The functions (`conv`, `max_pool`, `lrn`...) take a tensor and give a tensor. They pad explicitly and on both
sides as Caffe does, name the Keras layer after the Caffe layer (`keras_name`), and choose the stock Keras
layer wherever it gives the same numbers at every input size. A helper layer in front carries the name of
the layer it serves: `conv1__pad`, `fc6__flatten`.

The classes are registered with Keras: `import imgnn.networks.layers` before `keras.models.load_model`.
All of it is channels last and works through `keras.ops`, at sizes known or unknown (None) when built.

Source: BVLC/caffe, src/caffe/layers and caffe.proto: the rules and the defaults, not the code.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
from keras import ops

from imgnn.networks.network import keras_name

Tensor: TypeAlias = Any
Shape: TypeAlias = tuple[int | None, ...]
Pair: TypeAlias = int | tuple[int, int]

LAST = "channels_last"  # whatever ~/.keras/keras.json says
LOWEST = -3.4028234663852886e38  # Caffe's -FLT_MAX: what lies outside a picture when a maximum is sought

register = keras.saving.register_keras_serializable(package="imgnn")


def pair(value: Pair) -> tuple[int, int]:
    """`(height, width)` of a setting that may be one number for both."""
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


# Convolution ---------------------------------------------------------------------------------------------------


@register
class GroupedConv2D(keras.layers.Conv2D):
    """Convolution in groups, and with stride and dilation at once; kernel `(kh, kw, in / groups, filters)`.

    Keras has `groups=` itself, but on the CPU a training step through it is 9 times slower than through
    split, convolutions and concatenation (measured on conv2 of AlexNet). One channel per group goes through
    the depthwise convolution, where a split into hundreds would be slow. What the backends cannot stride
    (dilated, or depthwise with two different strides) is computed at stride 1 and thinned out.
    """

    def __init__(self, filters: int, kernel_size: Pair, strides: Pair = 1, dilation_rate: Pair = 1, **options: Any):
        super().__init__(filters, kernel_size, dilation_rate=dilation_rate, **options)
        self.strides = pair(strides)  # past Keras' check, which refuses it with a dilation

    def convolution_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        depthwise = self.groups > 1 and self.groups == inputs.shape[-1]
        down, across = self.strides
        thin = (max(self.strides) > 1 and max(self.dilation_rate) > 1) or (depthwise and down != across)
        options = {
            "strides": (1, 1) if thin else self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "data_format": LAST,
        }
        outputs = _grouped(inputs, kernel, self.groups, **options)
        return outputs[:, ::down, ::across] if thin else outputs


def _grouped(x: Tensor, kernel: Tensor, groups: int, *, strides: tuple[int, int], **options: Any) -> Tensor:
    """Convolve each group of channels with its own filters."""
    if groups == 1:
        return ops.conv(x, kernel, strides=strides, **options)
    if groups == x.shape[-1]:
        height, width, _, filters = kernel.shape
        kernel = ops.reshape(kernel, (height, width, groups, filters // groups))
        return ops.depthwise_conv(x, kernel, strides=strides[0] if strides[0] == strides[1] else strides, **options)
    pieces = zip(ops.split(x, groups, axis=-1), ops.split(kernel, groups, axis=-1), strict=True)
    return ops.concatenate([ops.conv(part, own, strides=strides, **options) for part, own in pieces], axis=-1)


@register
class Deconvolution(keras.layers.Conv2DTranspose):
    """Transposed convolution of output size `stride * (in - 1) + kernel - 2 * pad`; groups, dilation.

    The kernel is `(kh, kw, filters / groups, in)`. With a dilation, zeros are put between the pixels and the kernel is
    turned round: the same numbers through an ordinary convolution. So it is with many channels in groups; with few,
    for the stride, one dense kernel that is zero between the groups is faster (FCN's upscore, 21 channels, stride 32:
    19 times; 512 channels, stride 2: 10 times slower).
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Pair,
        strides: Pair = 1,
        pad: Pair = 0,
        dilation_rate: Pair = 1,
        groups: int = 1,
        **options: Any,
    ):
        super().__init__(filters, kernel_size, **options)
        self.strides, self.dilation_rate = pair(strides), pair(dilation_rate)  # past Keras' check, as above
        self.pad = pair(pad)
        self.groups = groups

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[-1]
        if channels is None or channels % self.groups or self.filters % self.groups:
            raise ValueError(f"{channels} channels and {self.filters} filters do not divide into {self.groups} groups")
        shape = (*self.kernel_size, self.filters // self.groups, channels)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=self.kernel_initializer)
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer=self.bias_initializer)

    def call(self, inputs: Tensor) -> Tensor:
        is_dense = self.groups == 1 or inputs.shape[-1] <= 4 * math.prod(self.strides)
        plain = is_dense and self.dilation_rate == (1, 1)
        outputs = self._transposed(inputs) if plain else self._spread(inputs)
        return outputs if self.bias is None else outputs + self.bias

    def _transposed(self, inputs: Tensor) -> Tensor:
        kernel = ops.convert_to_tensor(self.kernel)
        if self.groups > 1:
            _, _, filters, channels = kernel.shape
            own = np.kron(np.eye(self.groups), np.ones((filters, channels // self.groups)))
            kernel = ops.tile(kernel, (1, 1, self.groups, 1)) * ops.cast(own, kernel.dtype)
        outputs = ops.conv_transpose(inputs, kernel, strides=self.strides, padding="valid", data_format=LAST)
        # Where the stride exceeds the kernel, Keras adds an empty margin that Caffe does not have.
        ends = [-(p + max(s - k, 0)) or None for p, s, k in zip(self.pad, self.strides, self.kernel_size, strict=True)]
        return outputs[:, self.pad[0] : ends[0], self.pad[1] : ends[1]]

    def _spread(self, inputs: Tensor) -> Tensor:
        (down, across), channels = self.strides, inputs.shape[-1]
        _, height, width, _ = ops.shape(inputs)
        x = ops.reshape(inputs, (-1, height, 1, width, 1, channels))
        x = ops.pad(x, ((0, 0), (0, 0), (0, down - 1), (0, 0), (0, across - 1), (0, 0)))
        x = ops.reshape(x, (-1, height * down, width * across, channels))
        x = x[:, : height * down - (down - 1), : width * across - (across - 1)]
        reach = [d * (k - 1) for d, k in zip(self.dilation_rate, self.kernel_size, strict=True)]
        x = ops.pad(x, ((0, 0), (reach[0], reach[0]), (reach[1], reach[1]), (0, 0)))
        (top, left), (bottom, right) = self.pad, (-self.pad[0] or None, -self.pad[1] or None)
        kernel = ops.flip(ops.convert_to_tensor(self.kernel), axis=(0, 1))
        parts = [ops.transpose(part, (0, 1, 3, 2)) for part in ops.split(kernel, self.groups, axis=-1)]
        kernel = ops.concatenate(parts, axis=-1)  # (kh, kw, in / groups, filters)
        options = {"padding": "valid", "dilation_rate": self.dilation_rate, "data_format": LAST}
        return _grouped(x, kernel, self.groups, strides=(1, 1), **options)[:, top:bottom, left:right]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        n, *sizes, _ = input_shape
        settings = zip(sizes, self.kernel_size, self.strides, self.pad, self.dilation_rate, strict=True)
        out = [None if i is None else s * (i - 1) + d * (k - 1) + 1 - 2 * p for i, k, s, p, d in settings]
        return (n, *out, self.filters)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for absent in ("padding", "output_padding", "data_format"):
            config.pop(absent)
        return {**config, "pad": self.pad, "groups": self.groups}


def conv(
    x: Tensor,
    filters: int,
    kernel: Pair,
    *,
    name: str,
    stride: Pair = 1,
    pad: Pair = 0,
    dilation: Pair = 1,
    group: int = 1,
    bias: bool = True,
) -> Tensor:
    """Convolution; output size `floor((in + 2 * pad - dilation * (kernel - 1) - 1) / stride) + 1`.

    Args:
        x: `(batch, h, w, channels)`, as of all layers here that have a kernel.
        filters: channels that come out.
        kernel, stride, pad, dilation: pixels, a number for both axes or `(vertical, horizontal)`, as in the prototxt;
            `pad` is zeros on each side, the same on both.
        group: so many convolutions side by side, each of its share of the channels.
    """
    name, kernel, stride, pad, dilation = keras_name(name), pair(kernel), pair(stride), pair(pad), pair(dilation)
    padding = "valid"
    if pad != (0, 0):
        halves = all(2 * p == d * (k - 1) for p, k, d in zip(pad, kernel, dilation, strict=True))
        if stride == (1, 1) and halves:
            padding = "same"  # with a stride Keras pads the right side only, a pixel away from Caffe
        else:
            x = keras.layers.ZeroPadding2D(pad, data_format=LAST, name=f"{name}__pad")(x)
    options: dict[str, Any] = {"padding": padding, "dilation_rate": dilation, "use_bias": bias, "data_format": LAST}
    if group == 1 and (max(stride) == 1 or max(dilation) == 1):
        return keras.layers.Conv2D(filters, kernel, stride, name=name, **options)(x)
    return GroupedConv2D(filters, kernel, stride, groups=group, name=name, **options)(x)


def deconv(
    x: Tensor,
    filters: int,
    kernel: Pair,
    *,
    name: str,
    stride: Pair = 1,
    pad: Pair = 0,
    dilation: Pair = 1,
    group: int = 1,
    bias: bool = True,
) -> Tensor:
    """Transposed convolution; output size `stride * (in - 1) + dilation * (kernel - 1) + 1 - 2 * pad`.

    Args:
        pad: is cut off on each side of what comes out; the others as of `conv`.
    """
    options: dict[str, Any] = {"dilation_rate": dilation, "groups": group, "use_bias": bias}
    return Deconvolution(filters, kernel, stride, pad, name=keras_name(name), **options)(x)


# Pooling -------------------------------------------------------------------------------------------------------


def pooled_size(length: Any, kernel: int, stride: int, pad: int, *, ceil: bool, clip: bool) -> Any:
    """Caffe's output size of pooling along one axis; `length` is a number, or a tensor where it is not known yet.

    Rounded up (Caffe's default) the last window may lie partly outside. With `clip`, which Caffe does
    if there is padding on either axis, a last window that would begin in the padding is left out.
    """
    if not ceil:
        return (length + 2 * pad - kernel) // stride + 1
    out = -((kernel - length - 2 * pad) // stride) + 1
    if not clip:
        return out
    begins = -((-length - pad) // stride)  # how many windows begin before the padding at the end
    return min(out, begins) if isinstance(length, int) else ops.minimum(out, begins)


class _Pool(keras.layers.Layer):
    """Caffe's windows: `ceil` rounds the output size up, `pad` lies on both sides."""

    def __init__(self, pool_size: Pair, strides: Pair, pad: Pair = 0, ceil: bool = True, **options: Any):
        super().__init__(**options)
        self.pool_size, self.strides, self.pad, self.ceil = pair(pool_size), pair(strides), pair(pad), ceil

    def _sizes(self, shape: Sequence[Any]) -> list[Any]:
        settings = zip(shape[1:3], self.pool_size, self.strides, self.pad, strict=True)
        rule = {"ceil": self.ceil, "clip": max(self.pad) > 0}
        return [None if i is None else pooled_size(i, k, s, p, **rule) for i, k, s, p in settings]

    def _beyond(self, x: Tensor) -> list[Any]:
        """How far the last window reaches beyond the padded picture: pixels, down and across."""
        shape = ops.shape(x)
        settings = zip(shape[1:3], self._sizes(shape), self.pool_size, self.strides, self.pad, strict=True)
        beyond = [(out - 1) * s + k - i - 2 * p for i, out, k, s, p in settings]
        return [max(b, 0) if isinstance(b, int) else ops.maximum(b, 0) for b in beyond]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        sizes = self._sizes(input_shape)
        if any(size is not None and size < 1 for size in sizes):
            raise ValueError(f"a window of {self.pool_size} does not fit into {tuple(input_shape[1:3])}")
        return (input_shape[0], *sizes, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        own = {"pool_size": self.pool_size, "strides": self.strides, "pad": self.pad, "ceil": self.ceil}
        return {**super().get_config(), **own}


@register
class MaxPool(_Pool):
    """The largest value in each of Caffe's windows."""

    def call(self, inputs: Tensor) -> Tensor:
        (down, across), beyond = self.pad, self._beyond(inputs)
        padding = "valid"
        if self._is_same(inputs.shape, beyond):
            padding = "same"  # the backend pads by itself, without a copy
        elif max(self.pad) > 0 or not all(isinstance(b, int) and b == 0 for b in beyond):
            pads = ((0, 0), (down, down + beyond[0]), (across, across + beyond[1]), (0, 0))
            inputs = ops.pad(inputs, pads, constant_values=LOWEST)
        return ops.max_pool(inputs, self.pool_size, self.strides, padding, data_format=LAST)

    def _is_same(self, shape: Sequence[Any], beyond: list[Any]) -> bool:
        """Whether padding="same" means these windows at this size: as many, and the odd pixel at the end."""
        if None in shape[1:3]:
            return False
        lengths, sizes = shape[1:3], self._sizes(shape)
        for axis, (before, more) in enumerate(zip(self.pad, beyond, strict=True)):
            length, stride, out = lengths[axis], self.strides[axis], sizes[axis]
            total = max((out - 1) * stride + self.pool_size[axis] - length, 0)
            if out != -(-length // stride) or (before, before + more) != (total // 2, total - total // 2):
                return False
        return True


@register
class AveragePool(_Pool):
    """The mean of each of Caffe's windows: padding counts as zeros, what lies beyond it does not count."""

    def call(self, inputs: Tensor) -> Tensor:
        (down, across), beyond = self.pad, self._beyond(inputs)
        exact = all(isinstance(b, int) and b == 0 for b in beyond)
        padded = inputs
        if max(self.pad) > 0 or not exact:
            padded = ops.pad(inputs, ((0, 0), (down, down + beyond[0]), (across, across + beyond[1]), (0, 0)))
        options = {"strides": self.strides, "padding": "valid", "data_format": LAST}
        means = ops.average_pool(padded, self.pool_size, **options)
        if exact:
            return means
        _, height, width, _ = ops.shape(inputs)
        counted = ops.ones((1, height + 2 * down, width + 2 * across, 1), dtype=means.dtype)
        counted = ops.pad(counted, ((0, 0), (0, beyond[0]), (0, beyond[1]), (0, 0)))
        return means / ops.average_pool(counted, self.pool_size, **options)  # the counted part of each window


def _stock_padding(kernel: Pair, stride: Pair, pad: Pair, ceil: bool, average: bool) -> str | None:
    """The `padding` with which stock pooling equals Caffe's at every size; None if there is none."""
    windows = list(zip(pair(kernel), pair(stride), pair(pad), strict=True))
    if all(p == 0 and (s == 1 or not ceil) for _, s, p in windows):
        return "valid"
    if all((k, s, p) == (2, 2, 0) for k, s, p in windows):  # and ceil: an odd last row is a window of its own
        return "same"
    if not average and all(s == 1 and 2 * p == k - 1 for k, s, p in windows):
        return "same"  # not for a mean: Keras does not count the padding
    return None


def max_pool(x: Tensor, kernel: Pair, *, name: str, stride: Pair = 1, pad: Pair = 0, ceil: bool = True) -> Tensor:
    """The largest value in each window.

    Args:
        kernel, stride, pad: as of `conv`; the padding never is the largest value.
        ceil: the output size is rounded up, as Caffe does: a last window may lie partly outside.
    """
    name, kernel, stride, pad = keras_name(name), pair(kernel), pair(stride), pair(pad)
    padding = _stock_padding(kernel, stride, pad, ceil, average=False)
    if padding is None:
        return MaxPool(kernel, stride, pad, ceil, name=name)(x)
    return keras.layers.MaxPooling2D(kernel, stride, padding, data_format=LAST, name=name)(x)


def average_pool(x: Tensor, kernel: Pair, *, name: str, stride: Pair = 1, pad: Pair = 0, ceil: bool = True) -> Tensor:
    """The mean of each window; zeros of the padding count, what lies beyond it does not.

    Args:
        kernel, stride, pad, ceil: as of `max_pool`.
    """
    name, kernel, stride, pad = keras_name(name), pair(kernel), pair(stride), pair(pad)
    padding = _stock_padding(kernel, stride, pad, ceil, average=True)
    if padding is None:
        return AveragePool(kernel, stride, pad, ceil, name=name)(x)
    return keras.layers.AveragePooling2D(kernel, stride, padding, data_format=LAST, name=name)(x)


def global_average_pool(x: Tensor, *, name: str) -> Tensor:
    """The mean of each channel, `(batch, 1, 1, channels)`."""
    return keras.layers.GlobalAveragePooling2D(keepdims=True, data_format=LAST, name=keras_name(name))(x)


def global_max_pool(x: Tensor, *, name: str) -> Tensor:
    """The largest value of each channel, `(batch, 1, 1, channels)`."""
    return keras.layers.GlobalMaxPooling2D(keepdims=True, data_format=LAST, name=keras_name(name))(x)


@register
class Descriptor(keras.layers.Layer):
    """What a layer sees in a whole picture, as one vector of length 1.

    The mean of each channel over all positions, its signed square root, and the whole divided by its Euclidean length:
    a channel that fires ten times as often as another does not outweigh it ten times, and layers with activations of
    other sizes can stand side by side. A picture in which nothing fires gives zeros. In float32.

    Takes `(batch, h, w, channels)` or `(batch, channels)`; gives `(batch, channels)`.

    Source: Improving the Fisher Kernel for Large-Scale Image Classification, Perronnin, Sanchez, Mensink, ECCV 2010,
    sections 3.1 and 3.2.
    """

    SMALLEST = 1e-12  # a root's slope is infinite at 0

    def call(self, inputs: Tensor) -> Tensor:
        x = ops.cast(inputs, "float32")
        if len(x.shape) == 4:
            x = ops.mean(x, axis=(1, 2))
        x = ops.sign(x) * ops.sqrt(ops.maximum(ops.absolute(x), self.SMALLEST))
        return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis=-1, keepdims=True), self.SMALLEST))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], input_shape[-1])


# Normalisation -------------------------------------------------------------------------------------------------


@register
class LRN(keras.layers.Layer):
    """Local response normalisation: `x / (k + alpha / n * sum of squares) ** beta` over n neighbours.

    The neighbours are `size` channels, or with `within` the `size * size` pixels of the same channel, padded
    with zeros that count (there k is 1, as in Caffe). Always in float32: squares overflow the small types.

    Source: ImageNet Classification with Deep Convolutional Neural Networks, section 3.3. Caffe divides alpha
    by n, the paper and `tf.nn.lrn` do not.
    """

    def __init__(
        self,
        size: int = 5,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 1.0,
        within: bool = False,
        **options: Any,
    ):
        super().__init__(**options)
        self.size, self.alpha, self.beta, self.k, self.within = size, alpha, beta, k, within

    def call(self, inputs: Tensor) -> Tensor:
        x = ops.cast(inputs, "float32")
        total = self._within(ops.square(x)) if self.within else self._across(ops.square(x))
        d = (1.0 if self.within else self.k) + total
        if self.beta == 0.75:
            root = ops.rsqrt(d)
            y = x * root * ops.sqrt(root)  # several times faster than a power
        else:
            y = x * ops.power(d, -self.beta)
        return ops.cast(y, self.compute_dtype)

    def _across(self, squares: Tensor) -> Tensor:
        channels = squares.shape[-1]
        sums = ops.matmul(ops.reshape(squares, (-1, channels)), _band(channels, self.size) * (self.alpha / self.size))
        return ops.reshape(sums, ops.shape(squares))

    def _within(self, squares: Tensor) -> Tensor:
        before = (self.size - 1) // 2
        squares = ops.pad(squares, ((0, 0), (before, before), (before, before), (0, 0)))
        return self.alpha * ops.average_pool(squares, self.size, 1, "valid", data_format=LAST)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        own = {"size": self.size, "alpha": self.alpha, "beta": self.beta, "k": self.k, "within": self.within}
        return {**super().get_config(), **own}


@functools.lru_cache(maxsize=32)
def _band(channels: int, size: int) -> np.ndarray:
    """`(channels, channels)`, 1 where two channels are neighbours: a product with it sums over the neighbours."""
    distance = np.abs(np.subtract.outer(np.arange(channels), np.arange(channels)))
    return (distance <= (size - 1) // 2).astype("float32")


def lrn(
    x: Tensor,
    *,
    name: str,
    size: int = 5,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    within: bool = False,
) -> Tensor:
    """Local response normalisation across channels, or within each: the formula is at `LRN`.

    Args:
        size: channels (`within`: pixels of a side) that are added up, odd.
        alpha, beta, k: AlexNet's; the prototxt's own default of alpha is 1.
    """
    return LRN(size, alpha, beta, k, within, name=keras_name(name))(x)


def batch_norm(x: Tensor, *, name: str, epsilon: float = 1e-5, axis: int = -1, momentum: float = 0.999) -> Tensor:
    """Caffe's BatchNorm: the stored mean and variance only; gamma and beta are a Scale layer of their own.

    Args:
        epsilon: is added to the variance.
        axis: of the channels.
        momentum: Caffe's moving_average_fraction: what is kept of the stored statistics in a training step.
    """
    options: dict[str, Any] = {"momentum": momentum, "epsilon": epsilon, "center": False, "scale": False}
    return keras.layers.BatchNormalization(axis, **options, name=keras_name(name))(x)


@register
class BatchStatistics(keras.layers.Layer):
    """Caffe's BatchNorm with `use_global_stats: false`: by the mean and variance of the batch at hand, always."""

    def __init__(self, axis: int = -1, epsilon: float = 1e-5, **options: Any):
        super().__init__(**options)
        self.axis, self.epsilon = axis, epsilon

    def call(self, inputs: Tensor) -> Tensor:
        rank = len(inputs.shape)
        others = [axis for axis in range(rank) if axis != self.axis % rank]
        mean, variance = ops.moments(inputs, axes=others, keepdims=True)
        return (inputs - mean) / ops.sqrt(variance + self.epsilon)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis, "epsilon": self.epsilon}


@register
class MVN(keras.layers.Layer):
    """Mean taken away and, with `normalize_variance`, divided by standard deviation + eps, per image over `axes`."""

    def __init__(self, axes: Sequence[int], normalize_variance: bool = True, eps: float = 1e-9, **options: Any):
        super().__init__(**options)
        self.axes, self.normalize_variance, self.eps = tuple(axes), normalize_variance, eps

    def call(self, inputs: Tensor) -> Tensor:
        x = inputs - ops.mean(inputs, axis=self.axes, keepdims=True)
        if not self.normalize_variance:
            return x
        variance = ops.mean(ops.square(x), axis=self.axes, keepdims=True)
        # The tiny floor only guards the gradient: sqrt has none at 0, where a picture is flat.
        return x / (ops.sqrt(ops.maximum(variance, 1e-36)) + self.eps)

    def get_config(self) -> dict[str, Any]:
        own = {"axes": self.axes, "normalize_variance": self.normalize_variance, "eps": self.eps}
        return {**super().get_config(), **own}


# Weights per channel -------------------------------------------------------------------------------------------


@register
class Scale(keras.layers.Layer):
    """`x * scale + bias`, one factor (and bias) for each position along `axes`, the same elsewhere.

    Args:
        axes: Keras axes of the input, in the order of the axes of Caffe's blob; the variables have them ascending.
    """

    multiplies = True

    def __init__(self, axes: Sequence[int] = (-1,), bias: bool = True, **options: Any):
        super().__init__(**options)
        self.axes, self.use_bias = tuple(axes), bias

    def build(self, input_shape: Shape) -> None:
        axes = sorted(axis % len(input_shape) for axis in self.axes)
        shape = tuple(input_shape[axis] for axis in axes)
        if 0 in axes or None in shape:
            raise ValueError(f"weights along axes {axes} of {input_shape} need sizes that are fixed")
        self._broadcast = tuple(input_shape[axis] if axis in axes else 1 for axis in range(len(input_shape)))
        self.scale = self.add_weight(name="scale", shape=shape, initializer="ones") if self.multiplies else None
        self.bias = self.add_weight(name="bias", shape=shape, initializer="zeros") if self.use_bias else None

    def call(self, inputs: Tensor) -> Tensor:
        if self.scale is not None:
            inputs = inputs * ops.reshape(self.scale, self._broadcast)
        if self.bias is not None:
            inputs = inputs + ops.reshape(self.bias, self._broadcast)
        return inputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axes": self.axes, "bias": self.use_bias}


@register
class Bias(Scale):
    """`x + bias`, one for each position along `axes`."""

    multiplies = False


def scale(x: Tensor, *, name: str, bias: bool = True, axes: Sequence[int] = (-1,)) -> Tensor:
    """A factor and a bias per channel: what follows Caffe's BatchNorm.

    Args:
        axes: along which each position has its own; their sizes have to be known.
    """
    return Scale(axes, bias, name=keras_name(name))(x)


def inner_product(x: Tensor, units: int, *, name: str, bias: bool = True) -> Tensor:
    """Fully connected; a spatial value is flattened first, in the order height, width, channels.

    Caffe's order is channels, height, width: `caffe.layout` reorders the rows of the kernel instead.
    """
    name = keras_name(name)
    if len(x.shape) > 2:
        x = keras.layers.Flatten(data_format=LAST, name=f"{name}__flatten")(x)
    return keras.layers.Dense(units, use_bias=bias, name=name)(x)


@register
class AlongWidth(keras.layers.EinsumDense):
    """Fully connected along the width of an image: `(n, h, w, c)` -> `(n, h, units, c)`; kernel (w, units)."""

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        outputs = ops.einsum(self.equation, inputs, self.kernel)
        # Not ops.add, which takes a bias (units, 1) for one per row where the image has `units` rows (Keras 3.15).
        return outputs if self.bias is None else outputs + ops.convert_to_tensor(self.bias)


# One value at a time -------------------------------------------------------------------------------------------


@register
class Power(keras.layers.Layer):
    """`(shift + scale * x) ** power`."""

    def __init__(self, power: float = 1.0, scale: float = 1.0, shift: float = 0.0, **options: Any):
        super().__init__(**options)
        self.power, self.scale, self.shift = power, scale, shift

    def call(self, inputs: Tensor) -> Tensor:
        x = inputs * self.scale + self.shift
        return x if self.power == 1.0 else ops.power(x, self.power)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "power": self.power, "scale": self.scale, "shift": self.shift}


@register
class Exp(keras.layers.Layer):
    """`base ** (shift + scale * x)`; base -1 stands for e."""

    def __init__(self, base: float = -1.0, scale: float = 1.0, shift: float = 0.0, **options: Any):
        super().__init__(**options)
        self.base, self.scale, self.shift = base, scale, shift

    def call(self, inputs: Tensor) -> Tensor:
        factor = 1.0 if self.base == -1.0 else math.log(self.base)
        return ops.exp(inputs * (factor * self.scale) + factor * self.shift)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "base": self.base, "scale": self.scale, "shift": self.shift}


@register
class Log(keras.layers.Layer):
    """Logarithm of `shift + scale * x` to a base; base -1 stands for e."""

    def __init__(self, base: float = -1.0, scale: float = 1.0, shift: float = 0.0, **options: Any):
        super().__init__(**options)
        self.base, self.scale, self.shift = base, scale, shift

    def call(self, inputs: Tensor) -> Tensor:
        factor = 1.0 if self.base == -1.0 else 1.0 / math.log(self.base)
        return ops.log(inputs * self.scale + self.shift) * factor

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "base": self.base, "scale": self.scale, "shift": self.shift}


@register
class AbsVal(keras.layers.Layer):
    """`|x|`."""

    def call(self, inputs: Tensor) -> Tensor:
        return ops.absolute(inputs)


def relu(x: Tensor, *, name: str, slope: float = 0.0) -> Tensor:
    """`max(x, 0) + slope * min(x, 0)`."""
    return keras.layers.ReLU(negative_slope=slope, name=keras_name(name))(x)


def prelu(x: Tensor, *, name: str, shared: bool = False) -> Tensor:
    """ReLU whose slope is learned, one per channel or one for all; channels are the last axis of a spatial value."""
    axes = range(1, len(x.shape))
    channel = (len(x.shape) - 1) if len(x.shape) == 4 else 1
    return keras.layers.PReLU(shared_axes=[a for a in axes if shared or a != channel] or None, name=keras_name(name))(x)


def dropout(x: Tensor, rate: float, *, name: str) -> Tensor:
    """While training, a part `rate` of the values is 0 and the rest is raised in turn."""
    return keras.layers.Dropout(rate, name=keras_name(name))(x)


def softmax(x: Tensor, *, name: str, axis: int = -1) -> Tensor:
    """Positive values that add up to 1 along `axis` (of Keras)."""
    return keras.layers.Softmax(axis, name=keras_name(name))(x)


def activation(x: Tensor, function: str, *, name: str) -> Tensor:
    """One of Keras' activations: "sigmoid", "tanh", "softplus" (Caffe's BNLL)."""
    return keras.layers.Activation(function, name=keras_name(name))(x)


# Several values ------------------------------------------------------------------------------------------------


@register
class WeightedSum(keras.layers.Layer):
    """The sum of its inputs, each times a coefficient."""

    def __init__(self, coefficients: Sequence[float], **options: Any):
        super().__init__(**options)
        self.coefficients = tuple(coefficients)

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        terms = [x * c for x, c in zip(inputs, self.coefficients, strict=True)]
        return functools.reduce(ops.add, terms)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "coefficients": self.coefficients}


@register
class Apply(keras.layers.Layer):
    """Its first input times ("multiply") or plus ("add") its second, whose axes are the axes `axes` of the first."""

    def __init__(self, operation: str, axes: Sequence[int], **options: Any):
        super().__init__(**options)
        self.operation, self.axes = operation, tuple(axes)

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        x, by = inputs
        order = [int(place) for place in np.argsort(self.axes)]
        sizes = iter(ops.shape(ops.transpose(by, order)))
        shape = [next(sizes) if axis in self.axes else 1 for axis in range(len(x.shape))]
        by = ops.reshape(ops.transpose(by, order), shape)
        return x * by if self.operation == "multiply" else x + by

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        shape, by = input_shape
        for axis, size in zip(self.axes, by, strict=True):
            if axis and None not in (shape[axis], size) and shape[axis] != size:
                raise ValueError(f"{tuple(by)} does not match the axes {self.axes} of {tuple(shape)}")
        return shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "operation": self.operation, "axes": self.axes}


@register
class Slice(keras.layers.Layer):
    """Cuts a value into pieces along one axis, at `points`; gives a list."""

    def __init__(self, axis: int, points: Sequence[int], **options: Any):
        super().__init__(**options)
        self.axis, self.points = axis, tuple(points)

    def call(self, inputs: Tensor) -> list[Tensor]:
        before = (slice(None),) * (self.axis % len(inputs.shape))
        ends = zip((0, *self.points), (*self.points, None), strict=True)
        return [inputs[(*before, slice(start, end))] for start, end in ends]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis, "points": self.points}


@register
class Crop(keras.layers.Layer):
    """Cuts its first input to the size of its second along `axes`, from `offsets` on."""

    def __init__(self, axes: Sequence[int], offsets: Sequence[int], **options: Any):
        super().__init__(**options)
        self.axes, self.offsets = tuple(axes), tuple(offsets)

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        x, reference = inputs
        sizes = ops.shape(reference)
        starts = dict(zip(self.axes, self.offsets, strict=True))
        return x[tuple(slice(starts[a], starts[a] + sizes[a]) if a in starts else slice(None) for a in range(x.ndim))]

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        shape, reference = input_shape
        for axis, offset in zip(self.axes, self.offsets, strict=True):
            have, want = shape[axis], reference[axis]
            if have is not None and want is not None and offset + want > have:
                raise ValueError(f"{want} from {offset} on do not fit into {have} (axis {axis} of {shape})")
        return tuple(reference[axis] if axis in self.axes else size for axis, size in enumerate(shape))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axes": self.axes, "offsets": self.offsets}


def concat(values: Sequence[Tensor], *, name: str, axis: int = -1) -> Tensor:
    """The values one after the other, by default along the channels."""
    return keras.layers.Concatenate(axis, name=keras_name(name))(list(values))


def add(values: Sequence[Tensor], *, name: str) -> Tensor:
    """The sum: Caffe's Eltwise as ResNet uses it."""
    return keras.layers.Add(name=keras_name(name))(list(values))


def flatten(x: Tensor, *, name: str) -> Tensor:
    """All but the batch in one axis, in Caffe's order channels, height, width."""
    name = keras_name(name)
    if len(x.shape) == 4 and x.shape[1:3] != (1, 1):
        x = keras.layers.Permute((3, 1, 2), name=f"{name}__nchw")(x)
    return keras.layers.Flatten(data_format=LAST, name=name)(x)


# The shape of one value ----------------------------------------------------------------------------------------


@register
class Tile(keras.layers.Layer):
    """The value repeated along one axis."""

    def __init__(self, axis: int, tiles: int, **options: Any):
        super().__init__(**options)
        self.axis, self.tiles = axis, tiles

    def call(self, inputs: Tensor) -> Tensor:
        axis = self.axis % len(inputs.shape)
        return ops.tile(inputs, [self.tiles if a == axis else 1 for a in range(len(inputs.shape))])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis, "tiles": self.tiles}


REDUCTIONS: dict[str, Callable[..., Tensor]] = {
    "SUM": ops.sum,
    "ASUM": lambda x, axis: ops.sum(ops.absolute(x), axis=axis),
    "SUMSQ": lambda x, axis: ops.sum(ops.square(x), axis=axis),
    "MEAN": ops.mean,
}


@register
class Reduction(keras.layers.Layer):
    """One number for all values along `axes`: SUM, ASUM (absolute), SUMSQ (squares) or MEAN, times `coeff`."""

    def __init__(self, operation: str, axes: Sequence[int], coeff: float = 1.0, **options: Any):
        super().__init__(**options)
        self.operation, self.axes, self.coeff = operation, tuple(axes), coeff

    def call(self, inputs: Tensor) -> Tensor:
        return REDUCTIONS[self.operation](inputs, axis=self.axes) * self.coeff

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "operation": self.operation, "axes": self.axes, "coeff": self.coeff}


@register
class ArgMax(keras.layers.Layer):
    """The `top_k` largest values along `axis`: their places as float32 numbers, or the values themselves.

    Of equal values Caffe takes the last one first; so does this.

    Args:
        gives: "places", "values", or "both", stacked in a new last axis.
    """

    def __init__(self, axis: int = -1, top_k: int = 1, gives: str = "places", **options: Any):
        super().__init__(**options)
        self.axis, self.top_k, self.gives = axis, top_k, gives

    def call(self, inputs: Tensor) -> Tensor:
        x = ops.flip(ops.moveaxis(inputs, self.axis, -1), axis=-1)
        values, places = ops.top_k(x, self.top_k)
        values = ops.moveaxis(values, -1, self.axis)
        if self.gives == "values":
            return values
        places = ops.cast(ops.shape(x)[-1] - 1 - ops.moveaxis(places, -1, self.axis), "float32")
        return places if self.gives == "places" else ops.stack([places, ops.cast(values, "float32")], axis=-1)

    def compute_output_spec(self, inputs: Tensor) -> keras.KerasTensor:
        shape = list(inputs.shape)
        if shape[self.axis] is not None and shape[self.axis] < self.top_k:
            raise ValueError(f"the {self.top_k} largest of {shape[self.axis]} values along axis {self.axis} of {shape}")
        shape[self.axis] = self.top_k
        if self.gives == "values":
            return keras.KerasTensor(shape, dtype=self.compute_dtype)
        return keras.KerasTensor(shape if self.gives == "places" else [*shape, 2], dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis, "top_k": self.top_k, "gives": self.gives}
