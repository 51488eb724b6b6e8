"""A network that gives one vector for a picture: what a sentence is written from."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import keras
import numpy as np

from imgnn import backend
from imgnn.networks.head import before_dropout, copy_weights, fresh_layer, trunk
from imgnn.networks.network import Network

FEATURE = "feature"  # what the vector is called, as a layer


def feature_network(network: Network, layers: Sequence[str], size: tuple[int, int]) -> Network:
    """A network that ends with one vector for each picture: the values of some layers, side by side.

    The network given is left as it is; the new one has copies of its weights, so that it can be trained.

    Args:
        layers: Caffe's names; of one that is a map over the picture the mean over all places is taken.
        size: `(height, width)` of the pictures, pixels.

    Returns:
        Its model takes `x` and gives float32 `(n, numbers)`; as preprocessing the whole picture is scaled to `size`,
        its shape not kept (`crop="caffe"` with no margin): what stands at its edges is told of, too.

    Raises:
        InputError: the network says nothing of pixels, or a layer cannot be computed at this size.
        UnknownNameError: there is no such layer.
    """
    preprocessing = replace(network.pictures, size=size, crop="caffe", resize=max(size))
    with backend.standard():
        cuts = [before_dropout(network.tensor(name)) for name in layers]
        entry, outputs = trunk(network, cuts, size, fresh_layer(0, 0.0))
        vectors = [flat(output) for output in outputs]
        x = vectors[0] if len(vectors) == 1 else keras.layers.Concatenate()(vectors)
        own = FEATURE
        while own in {layer.name for layer in network.model.layers}:  # it describes pictures already
            own += "_"
        model = keras.Model(entry, keras.layers.Activation("linear", name=own)(x), name=network.model.name)
    copy_weights(network.model, model, but=set())
    there = {layer.name for layer in model.layers}
    return replace(
        network,
        model=model,
        layers={**{name: layer for name, layer in network.layers.items() if layer in there}, FEATURE: own},
        blobs={**{name: place for name, place in network.blobs.items() if place[0] in there}, FEATURE: (own, 0)},
        preprocessing=preprocessing,
        words=None,
    )


def flat(tensor: keras.KerasTensor) -> keras.KerasTensor:
    """The mean over all places of a map, `(n, channels)`; what is no map as it is."""
    return keras.layers.GlobalAveragePooling2D(dtype="float32")(tensor) if len(tensor.shape) == 4 else tensor


def weights_digest(model: keras.Model) -> str:
    """SHA-256 of all weights in the model's order: the same network, however its file was made."""
    digest = hashlib.sha256()
    for variable in model.weights:
        digest.update(repr(tuple(variable.shape)).encode())
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(variable.value), "<f4").tobytes())
    return digest.hexdigest()
