"""A network cut at named layers: `x` -> `features`, a dict of activations."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from imgnn.errors import InputError
from imgnn.networks.network import Network


def count_activations(network: Network, names: Sequence[str], size: tuple[int, int]) -> int:
    """How many numbers the layers on the way to `names` give for one picture of `size`, `(height, width)`.

    `cut` tells whether they can be computed at this size at all.
    """
    way = keras.Model(network.model.inputs[0], [network.tensor(name) for name in dict.fromkeys(names)])
    every = of_size(network, {layer.name: layer.output for layer in way.layers}, size)
    return sum(math.prod(each.shape[1:]) for each in every.outputs)


def cut(network: Network, names: Sequence[str], size: tuple[int, int]) -> keras.Model:
    """The part of a network that leads to some of its layers, for pictures of one size.

    The layers are the network's own, so a cut costs no memory for weights; the size is free, since
    convolutions do not care. Make one cut per size.

    Args:
        network: a flat network.
        names: Caffe blobs or layers, as `Network.tensor` reads them.
        size: `(height, width)` of the pictures, pixels.

    Returns:
        A model that takes `x`, float32 `(batch, height, width, channels)`, and gives a dict: each of `names` ->
        `(batch, h, w, channels)`.

    Raises:
        UnknownNameError: the network has no such layer.
        InputError: the layer cannot be computed at this size, or gives no map over the picture.
    """
    if len(network.model.inputs) != 1:
        raise InputError(f"{network.name} takes {len(network.model.inputs)} inputs; one picture was expected")
    model = of_size(network, {name: network.tensor(name) for name in dict.fromkeys(names)}, size)
    for name, output in model.output.items():
        if len(output.shape) != 4 or 0 in output.shape[1:3]:
            raise InputError(
                f"layer {name} of {network.name} gives no map over a picture of {size[0]} x {size[1]} pixels; "
                f"its output is {tuple(output.shape[1:])}",
                hint="a larger --size, or an earlier layer",
            )
    return model


def of_size(network: Network, outputs: Mapping[str, Any], size: tuple[int, int]) -> keras.Model:
    """The network's own layers between its input and some of its tensors, for pictures of this size."""
    entry = network.model.inputs[0]
    part = keras.Model(entry, dict(outputs))
    x = keras.Input((*size, entry.shape[-1]), dtype="float32", name="x")
    try:
        return keras.models.clone_model(part, input_tensors=x, clone_function=lambda layer: layer)
    except ValueError as error:
        raise InputError(
            f"{network.name} cannot give {', '.join(outputs)} for a picture of {size[0]} x {size[1]} pixels: "
            "a layer on the way there wants another size",
            hint=f"layers before the first fully connected one take any size: {network.layers_command} lists them",
        ) from error
