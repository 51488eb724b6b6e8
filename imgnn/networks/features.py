"""A network cut at named layers: `x` -> `features`, a dict of activations."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import keras
from keras import ops

from imgnn import backend
from imgnn.backend import Tensor
from imgnn.errors import InputError
from imgnn.networks import layers as caffe_layers
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


def look(
    network: Network,
    names: Sequence[str],
    size: tuple[int, int],
    *,
    precision: Literal["float32", "bfloat16"] = "float32",
    pooling: Literal["max", "average"] = "max",
) -> Callable[[Tensor], dict[str, Tensor]]:
    """`x` -> `features`, as `cut` gives them, in another precision or with other pooling.

    Args:
        precision: what the layers compute in; the features that come out are float32.
        pooling: "average" puts the mean of each window where the network takes the largest value. (Gatys et al.,
            arXiv:1508.06576, found that it gives slightly more pleasing pictures.)

    Returns:
        A function of `x`, float32 `(batch, height, width, channels)`; layer -> float32 `(batch, h, w, channels)`.

    Raises:
        UnknownNameError, InputError: as `cut`.
    """
    model = cut(network, names, size)
    if pooling == "average":
        entry = keras.Input(model.inputs[0].shape[1:], dtype="float32", name="x")
        model = keras.models.clone_model(model, input_tensors=entry, clone_function=averaging)

    def see(x: Tensor) -> dict[str, Tensor]:
        with backend.computing_in(model.layers, precision):
            features = model(x)
        return {name: ops.cast(values, "float32") for name, values in features.items()}

    return see


def averaging(layer: Any) -> Any:
    """The same layer; of one that takes the largest value of each window, one that takes the mean."""
    config = layer.get_config()
    if isinstance(layer, caffe_layers.MaxPool):
        return caffe_layers.AveragePool.from_config(config)
    if isinstance(layer, keras.layers.MaxPooling2D):
        return keras.layers.AveragePooling2D.from_config(config)
    return layer


def of_size(network: Network, outputs: Mapping[str, Any], size: tuple[int, int]) -> keras.Model:
    """The network's own layers between its input and some of its tensors, for pictures of this size.

    Args:
        outputs: symbolic values of `network.model`, by the names that the result is to have.
        size: `(height, width)`, pixels.

    Raises:
        InputError: a layer on the way wants another size.
    """
    entry = network.model.inputs[0]
    part = keras.Model(entry, dict(outputs))
    x = keras.Input((*size, entry.shape[-1]), dtype="float32", name="x")
    try:
        return keras.models.clone_model(part, input_tensors=x, clone_function=lambda layer: layer)
    except ValueError as error:
        raise InputError(
            f"{network.name} cannot give {', '.join(outputs)} for a picture of {size[0]} x {size[1]} pixels: "
            "a layer on the way there wants another size",
            hint="a larger --size; layers before the first fully connected one take any that is not tiny: "
            f"{network.layers_command} lists them",
        ) from error
