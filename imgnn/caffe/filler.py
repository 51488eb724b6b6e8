"""The blobs that a layer has in Caffe though the file holds none for it: shared by name, or given by its filler.

A filler is what a layer begins with before it is trained. Constant and bilinear ones give the same numbers every
time, and nets count on them: an upsampling Deconvolution, a Scale that multiplies by one number. Random ones do not;
their layers stay without blobs, and so do Convolution and InnerProduct whose prototxt names no filler (Caffe begins
with zeros, which nobody means).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from imgnn.caffe.layer import Layer
from imgnn.caffe.message import Message

Shape = tuple[int, ...]

LARGEST = 1 << 24  # numbers that a filler gives; FCN's upsampling kernel has 1.8 million


class Filled(np.ndarray):
    """A blob that no file holds: its layer's filler gives it."""


def complete(
    layers: Sequence[Layer], every_layer: Sequence[Layer], inputs: Mapping[str, Shape | None]
) -> tuple[Layer, ...]:
    """The layers with the blobs that the file lacks: those shared by name first, then what constant fillers give.

    Args:
        layers: in an order they can be computed in.
        every_layer: those among which parameters are shared, in the net's order: of one name the first owns it.
        inputs: blob name -> shape in Caffe's axes.
    """
    shared: dict[str, np.ndarray] = {}
    for layer in every_layer:
        for param, blob in zip(layer.params.param, layer.blobs, strict=False):
            if param.name:
                shared.setdefault(param.name, blob)
    channels = {blob: shape[1] if shape and len(shape) > 1 else None for blob, shape in inputs.items()}
    completed = []
    for layer in layers:
        bottoms = [channels.get(blob) for blob in layer.bottoms]
        blobs = _blobs(layer, shared, next(iter(bottoms), None))
        completed.append(replace(layer, blobs=blobs))
        channels.update(zip(layer.tops, _channels(layer, bottoms), strict=False))
    return tuple(completed)


def sharing_note(layers: Sequence[Layer]) -> list[str]:
    """At most one note: which layers have the same parameters in Caffe, and copies of them here."""
    users: dict[str, list[str]] = {}
    for layer in layers:
        for param in layer.params.param:
            if param.name and layer.name not in users.setdefault(param.name, []):
                users[param.name].append(layer.name)
    groups = dict.fromkeys(" and ".join(names) for names in users.values() if len(names) > 1)
    groups |= dict.fromkeys(
        f"{layer.name} (of {len(layer.bottoms)} inputs)"
        for layer in layers
        if layer.type in ("Convolution", "Deconvolution") and len(layer.bottoms) > 1
    )
    if not groups:
        return []
    return [f"parameters that Caffe shares are copies here, equal until training unties them: {', '.join(groups)}"]


def _blobs(layer: Layer, shared: dict[str, np.ndarray], channels: int | None) -> tuple[np.ndarray, ...]:
    """What the file holds, and behind it what is shared; fillers only where the file holds nothing, as in Caffe."""
    blobs = list(layer.blobs)
    names = [param.name for param in layer.params.param]
    fillers = [] if blobs else list(_fillers(layer, channels))
    for index in range(len(blobs), max(len(names), len(fillers))):
        name = names[index] if index < len(names) else ""
        blob = shared.get(name) if name else None
        if blob is None and index < len(fillers):
            blob = _fill(*fillers[index])
        if blob is None:
            return layer.blobs
        if name:
            shared.setdefault(name, blob)
        blobs.append(blob)
    return tuple(blobs)


# Fillers -------------------------------------------------------------------------------------------------------

Known = tuple[Message | None, Shape | None]  # no filler: what the layer begins with has no meaning; no shape: unknown


def _fillers(layer: Layer, channels: int | None) -> Iterator[Known]:
    """The filler and the shape of each of a layer's blobs.

    Args:
        channels: of its first bottom, if they are known.
    """
    params = layer.params
    if layer.type in ("Convolution", "Deconvolution"):
        said = params.convolution_param
        yield said.weight_filler if said.has("weight_filler") else None, _kernel(layer, channels)
        if said.bias_term:
            yield said.bias_filler, (said.num_output,)
    elif layer.type == "InnerProduct":
        said = params.inner_product_param
        yield said.weight_filler if said.has("weight_filler") else None, None
        if said.bias_term:
            yield said.bias_filler, (said.num_output,)
    elif layer.type == "PReLU":
        said = params.prelu_param
        each = (channels,) if channels else None
        yield said.filler if said.has("filler") else _constant(0.25), () if said.channel_shared else each
    elif layer.type == "Scale":
        said = params.scale_param
        shape = _along(said, channels)
        if len(layer.bottoms) == 1:
            yield said.filler if said.has("filler") else _constant(1.0), shape
        if said.bias_term:  # of the second bottom's shape, if there is one
            yield said.bias_filler, shape if len(layer.bottoms) == 1 else None
    elif layer.type == "Bias" and len(layer.bottoms) == 1:
        yield params.bias_param.filler, _along(params.bias_param, channels)


def _constant(value: float) -> Message:
    return Message("FillerParameter", {"value": value})


def _fill(filler: Message | None, shape: Shape | None) -> Filled | None:
    """The numbers; None if they would be random, the shape is not known, or is damaged."""
    if filler is None or shape is None or filler.type not in ("constant", "bilinear"):
        return None
    if min(shape, default=1) < 1 or math.prod(shape) > LARGEST:
        return None
    if filler.type == "constant":
        return np.full(shape, filler.value, np.float32).view(Filled)
    if len(shape) != 4 or shape[2] != shape[3]:
        return None  # refused by Caffe
    return np.broadcast_to(bilinear(shape[-1]), shape).view(Filled)


def bilinear(size: int) -> np.ndarray:
    """The square kernel with which a Deconvolution upsamples bilinearly: a tent, `(size, size)`.

    Source: include/caffe/filler.hpp, BilinearFiller.
    """
    reach = math.ceil(size / 2)
    tent = 1 - np.abs(np.arange(size) / reach - (size - 1) / (2 * reach))
    return np.outer(tent, tent).astype(np.float32)


# Shapes, as far as fillers need them -----------------------------------------------------------------------------

# Their tops have the channels of their first bottom.
_SAME_CHANNELS = {
    *("AbsVal", "BNLL", "BatchNorm", "Bias", "Dropout", "ELU", "Eltwise", "Exp", "LRN", "Log", "MVN", "PReLU"),
    *("Pooling", "Power", "ReLU", "Scale", "Sigmoid", "Softmax", "Split", "TanH"),
}


def _channels(layer: Layer, bottoms: Sequence[int | None]) -> list[int | None]:
    """The channels (axis 1) of each top; None where it takes more than channels to know."""
    params = layer.params
    found: int | None = None
    if layer.type in ("Convolution", "Deconvolution"):
        found = params.convolution_param.num_output
    elif layer.type == "InnerProduct" and params.inner_product_param.axis == 1:
        found = params.inner_product_param.num_output
    elif layer.type == "Concat" and params.concat_param.axis == params.concat_param.concat_dim == 1:
        found = None if None in bottoms else sum(each or 0 for each in bottoms)
    elif layer.type in _SAME_CHANNELS:
        found = bottoms[0] if bottoms else None
    return [found] * len(layer.tops)


def _kernel(layer: Layer, channels: int | None) -> Shape | None:
    said = layer.params.convolution_param
    sides = (said.kernel_h, said.kernel_w) if said.has("kernel_h") or said.has("kernel_w") else tuple(said.kernel_size)
    if not channels or not 1 <= len(sides) <= 2 or min(sides) < 1 or said.group < 1:
        return None
    first, second = (said.num_output, channels) if layer.type == "Convolution" else (channels, said.num_output)
    return (first, second // said.group, sides[0], sides[-1])


def _along(said: Message, channels: int | None) -> Shape | None:
    """The shape of a Scale's or Bias' blobs: one number, or one for each channel."""
    if said.num_axes == 0:
        return ()
    return (channels,) if channels and (said.axis, said.num_axes) == (1, 1) else None
