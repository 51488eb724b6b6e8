"""Where in a picture a class was seen: Grad-CAM."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from imgnn import backend
from imgnn.backend import Parts, Tensor
from imgnn.errors import InputError
from imgnn.networks.logits import logits_of
from imgnn.networks.network import Network

BATCH = 16  # pictures that go through the network at once


def class_activation(network: Network, x: np.ndarray, class_indices: Sequence[int] | np.ndarray) -> np.ndarray:
    """Which places of a picture speak for a class: Grad-CAM at the last layer that still is a map over the picture.

    The channels of that layer are added up, each by its weight: the mean over all places of what one more unit there
    would add to the class's score before the softmax. What speaks against the class is left out.

    Args:
        network: a classifier of one picture.
        x: float32 `(n, height, width, channels)`, preprocessed.
        class_indices: n of them, the class that is looked for in each picture.

    Returns:
        float32 `(n, h, w)`, as large as the layer's map. Each picture's strongest place is 1; all are 0 where
        nothing speaks for the class.

    Raises:
        InputError: the network has no such layer, or the classes are not as many as the pictures.

    Source: Grad-CAM, arXiv:1610.02391, eq. 1 and 2. Where the classifier takes the mean of the map it equals CAM,
    arXiv:1512.04150, up to a factor.
    """
    if len(x) != len(class_indices):
        raise InputError(f"a class for each of {len(x)} pictures was expected; {len(class_indices)} were received")
    scores, output = logits_of(network.model), network.model.outputs[0]
    if len(scores.shape) == 4 and tuple(scores.shape[1:3]) != (1, 1) and scores.shape != output.shape:
        scores = output  # the mean of the probabilities of many places: no score stands for the picture
    made_by = producers(keras.Model(network.model.inputs, scores))
    spatial = last_map(network, made_by, scores)
    cuts = [spatial, *beside(made_by, spatial, scores)]
    front = keras.Model(network.model.inputs[0], cuts)
    tail = keras.Model(cuts, scores)

    def class_score(maps: Tensor, others: Sequence[Tensor], chosen: Tensor) -> tuple[Tensor, Parts]:
        found = ops.reshape(tail([maps, *others], training=False), ops.shape(chosen))
        # A picture's score depends on no other picture, so that their sum has the gradient of each.
        return ops.sum(ops.cast(found, "float32") * chosen), {}

    evaluate = backend.value_and_grad(class_score)
    heat = []
    for start in range(0, len(x), BATCH):
        maps, *others = keras.tree.flatten(front.predict_on_batch(x[start : start + BATCH]))
        chosen = np.eye(scores.shape[-1], dtype="float32")[np.asarray(class_indices[start : start + BATCH])]
        given = [ops.convert_to_tensor(each) for each in (maps, *others, chosen)]
        gradient = ops.convert_to_numpy(evaluate(given[0], given[1:-1], given[-1])[2])
        weights = gradient.astype("float32").mean(axis=(1, 2), keepdims=True)  # (n, 1, 1, channels)
        heat.append(np.maximum((weights * maps.astype("float32")).sum(axis=-1), 0))
    found = np.concatenate(heat)
    return found / np.maximum(found.max(axis=(1, 2), keepdims=True), np.finfo("float32").tiny)


def producers(model: keras.Model) -> dict[int, Any]:
    """The `id` of each symbolic value of a flat model -> the layer that computes it, in the order of computation."""
    return {id(value): layer for layer in model.operations for value in keras.tree.flatten(layer.output)}


def sources(made_by: Mapping[int, Any], value: Any) -> list[Any]:
    """The symbolic values that one is computed from; none of the picture itself."""
    layer = made_by[id(value)]
    return [] if isinstance(layer, keras.layers.InputLayer) else keras.tree.flatten(layer.input)


def last_map(network: Network, made_by: Mapping[int, Any], scores: Any) -> Any:
    """The last value on the way to `scores` that has places: four axes, more than one of height or width.

    Where the scores look at several layers, it is the one nearest to the output.

    Raises:
        InputError: there is none.
    """
    maps, waiting, seen = [], [scores], set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        # Before a fully connected layer the axes may be put into Caffe's order: no map any more.
        permuted = isinstance(made_by[id(value)], keras.layers.Permute)
        if len(value.shape) == 4 and tuple(value.shape[1:3]) != (1, 1) and not permuted:
            maps.append(value)
        else:
            waiting += sources(made_by, value)
    maps = [value for value in maps if sources(made_by, value)]
    if not maps:
        raise InputError(
            f"{network.name} has no layer with a map over the picture: where it sees a class cannot be told",
            hint=f"{network.layers_command} lists its layers",
        )
    order = list(made_by)
    return max(maps, key=lambda value: order.index(id(value)))


def beside(made_by: Mapping[int, Any], spatial: Any, scores: Any) -> list[Any]:
    """The values that `scores` is computed from beside `spatial`, none of which depends on it."""
    after = {id(spatial)}
    for value, layer in made_by.items():
        given = [] if isinstance(layer, keras.layers.InputLayer) else keras.tree.flatten(layer.input)
        if any(id(each) in after for each in given):
            after.add(value)
    found, waiting, seen = [], [scores], {id(spatial)}
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if id(value) in after:
            waiting += sources(made_by, value)
        else:
            found.append(value)
    return found
