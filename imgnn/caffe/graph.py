"""A Caffe net of any shape becomes one flat Keras functional model.

How values are stored: a blob of four axes `(n, c, h, w)` is channels last, `(n, h, w, c)`; a blob of any
other rank keeps Caffe's axes. So the rank alone tells, and `_Place.axis` is the one place where a Caffe
axis becomes a Keras axis. A layer whose result depends on the order of the values (Flatten, Reshape) goes
to Caffe's order first, through a helper layer `NAME.nchw`. Batches are free: no layer may touch that axis.

Each function in `RULES` builds one type of layer, after the C++ source of the same name in BVLC/caffe.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import keras
import numpy as np

from imgnn.caffe.layout import assign_blobs
from imgnn.caffe.message import Message
from imgnn.caffe.net import Layer, Net
from imgnn.errors import ConversionError, UnknownNameError
from imgnn.networks import layers as L
from imgnn.networks.layers import Tensor
from imgnn.networks.network import Network, keras_name
from imgnn.networks.registry import Preprocessing

HELPERS = (".pad", ".flatten", ".nchw", ".rows", ".reshape", ".places", ".by")  # suffixes of helper layers
TO_KERAS = (0, 3, 1, 2)  # the Keras axis of each Caffe axis of a blob with four
TO_CAFFE = (0, 2, 3, 1)  # and back
DEPLOY = "give the deploy prototxt, which says the input size"


def build_graph(net: Net, *, until: str | None = None, name: str | None = None, assign: bool = True) -> Network:
    """The net as a flat Keras model, with its Caffe names and weights.

    The outputs of the model are the blobs that no layer reads, in the net's order.

    Args:
        until: the layer to stop before; the layers in front of it become the model.
        name: the network's name; default: the net's own.
        assign: put the net's blobs into the model. Layers without blobs keep Keras' initial weights.

    Raises:
        ConversionError: a layer type or setting that has no place in a Keras model; names layer, type and line.
        UnknownNameError: no layer is called `until`.
        WeightsError: a blob does not have the shape that its layer wants.
    """
    layers = list(_unfold(net.layers))
    if until is not None:
        names = [layer.name for layer in net.layers]
        if until not in names:
            raise UnknownNameError("layer", until, names)
        layers = layers[: next(i for i, layer in enumerate(layers) if layer.name == until)]
    if not layers:
        raise ConversionError(f"{net.name or 'the net'} has no layers" + (f" before {until}" if until else ""))

    free = _Names([*net.inputs, *(layer.name for layer in layers)])
    values = {blob: _input(net, layers, blob, shape, free.take(blob)) for blob, shape in net.inputs.items()}
    blobs = {blob: (tensor.node_name, 0) for blob, tensor in ()} if False else {}
    batches = {shape[0] for shape in net.inputs.values() if shape}
    inputs = list(values.values())
    unread: dict[str, Tensor] = {}
    known: dict[str, str] = {}
    for layer in layers:
        bottoms = []
        for blob in layer.bottoms:
            if blob not in values:
                raise ConversionError(f"{_where(layer)} reads blob {blob!r}, which no layer before it gives")
            bottoms.append(values[blob])
            unread.pop(blob, None)
        known[layer.name] = free.take(layer.name)
        tops = _emit(layer, known[layer.name], bottoms, batches)
    raise NotImplementedError
