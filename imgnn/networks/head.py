"""A new head on a network: everything below its classifier stays, what names the classes is made anew."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from imgnn import backend
from imgnn.errors import InputError
from imgnn.networks import registry
from imgnn.networks.layers import Descriptor
from imgnn.networks.names import Node, graph
from imgnn.networks.network import Network, keras_name

PROB = "prob"  # the softmax that a new head ends with
WEIGHT_DEVIATION = 0.01  # of a new classifier's kernel: Caffe's gaussian filler in finetune_flickr_style
PIXELS = 64.0  # grey levels, by which the pixels of photos deviate from their mean
CLASSIFIER_NAME = "classifier"  # where a network does not name its own
# A larger picture than the network was trained on shows the same things to more positions: with the descriptors of
# several layers, 320 in the place of 224 or 227 pixels was worth 2 to 5 % of accuracy. See docs/finetune.md.
ENLARGED = 10 / 7


def head_layers(network: Network) -> tuple[str, ...]:
    """The layers that a new classifier looks at while the trunk is frozen; () where nobody knows any."""
    if network.roles.head:
        return network.roles.head
    known = registry.SPECS.get(network.name)  # a file that was converted before there was this role
    return tuple(name for name in known.roles.head if name in network.blobs) if known else ()


def enlarged_size(network: Network, layers: Sequence[str]) -> tuple[int, int]:
    """The size of pictures for a head on `layers`: larger than the network's own where all of them take any size."""
    size = network.pictures.size
    larger = (round(size[0] * ENLARGED / 32) * 32, round(size[1] * ENLARGED / 32) * 32)
    try:
        _, outputs = trunk(network, [network.tensor(name) for name in layers], larger, keep)
    except InputError:
        return size
    return larger if all(len(each.shape) == 4 for each in outputs) else size


def keep(layer: Any) -> Any:
    """The layer itself: a part that is only looked at."""
    return layer


def replace_head(
    network: Network,
    classes: Sequence[str],
    *,
    layers: Sequence[str] = (),
    size: tuple[int, int] | None = None,
    dropout: float | None = None,
    seed: int = 0,
) -> Network:
    """The same network with a classifier of its own for other classes.

    Without `layers` the network's own classifier is made anew, by name and with the right number of outputs, as
    Caffe does with a layer that is renamed; what follows it stays, but for a ReLU: a fresh classifier behind it may
    give nothing but zeros, and never learn (SqueezeNet's conv10). With `layers` a fully connected classifier looks at
    the descriptors (`layers.Descriptor`) of several of them at once. The source of that idea: Head2Toe,
    arXiv:2201.03529.

    The network given is left as it is; the new one has copies of its weights.

    Args:
        classes: their names, in the order of the outputs.
        layers: Caffe's names of the layers that the classifier looks at; none: what the old one looked at.
        size: `(height, width)` of the pictures, pixels; None: the network's own.
        dropout: share of the values that each Dropout layer drops while training; None: as the network has it. Of a
            classifier on descriptors: of these, none by default, and elsewhere nothing is dropped.
        seed: of the new kernel, and of what Dropout layers drop.

    Raises:
        InputError: the network has no classifier that could be replaced, or takes no pictures of this size.
        UnknownNameError: there is no such layer.
    """
    size = size or network.pictures.size
    old = network.roles.classifier[0] if network.roles.classifier else CLASSIFIER_NAME
    with backend.standard():
        if layers:
            cuts = [before_dropout(network.tensor(name)) for name in layers]
        else:
            cuts = [from_classifier(network)[0].layer.input]
        entry, outputs = trunk(network, cuts, size, fresh_layer(seed, 0.0 if layers else dropout))
        new: list[tuple[str, Any]] = []
        if layers:
            vectors = []
            for name, output in zip(layers, outputs, strict=True):
                vectors.append(Descriptor(name=keras_name(f"{name}/descriptor"))(output))
                new.append((f"{name}/descriptor", vectors[-1]))
            x = vectors[0] if len(vectors) == 1 else keras.layers.Concatenate(name="descriptors")(vectors)
            if dropout:
                x = keras.layers.Dropout(dropout, seed=seed, name="descriptors__drop")(x)
            x = keras.layers.Dense(len(classes), name=keras_name(old), kernel_initializer=small(seed))(x)
            new.append((old, x))
        else:
            x = outputs[0]
            chain = from_classifier(network)
            before = chain[0].layer.kernel.shape[-1]
            for node in chain:
                if is_relu(node.layer) or is_softmax(node.layer):
                    continue
                with taking(network, size):
                    x = remade(node, before, len(classes), seed)(x)
                new.append((caffe_name(network, node.name), x))
        if not isinstance(x._keras_history.operation, keras.layers.Softmax):
            x = keras.layers.Softmax(name=PROB)(x)
            new.append((PROB, x))
        model = keras.Model(entry, x, name=network.model.name)
    copy_weights(network.model, model, but={keras_name(name) for name, _ in new})
    return named(network, model, new, classes, size, old)


def named(
    network: Network, model: keras.Model, new: list[tuple[str, Any]], classes: Sequence[str], size: Any, old: str
) -> Network:
    """The new model as a `Network`: the names that are left of the old one, and those of the head."""
    there = {layer.name for layer in model.layers}
    layers = {name: layer for name, layer in network.layers.items() if layer in there}
    blobs = {name: place for name, place in network.blobs.items() if place[0] in there}
    for name, tensor in new:
        layer = tensor._keras_history.operation.name
        layers[name], blobs[name] = layer, (layer, 0)
    roles = replace(network.roles, classifier=(old,), head=head_layers(network))
    known = layers.keys() | blobs.keys()
    left = {role: tuple(name for name in getattr(roles, role) if name in known) for role in roles.__dataclass_fields__}
    left["features"] = left["features"] or left["head"][-1:]
    preprocessing = network.pictures
    if size != preprocessing.size:
        preprocessing = replace(preprocessing, size=size, resize=round(max(size) * 8 / 7))
    return replace(
        network,
        model=model,
        preprocessing=preprocessing,
        layers=layers,
        blobs=blobs,
        words=tuple(classes),
        roles=replace(roles, **left),
        file=None,
    )


def trunk(
    network: Network, cuts: Sequence[Any], size: tuple[int, int], make: Callable[[Any], Any]
) -> tuple[Any, list[Any]]:
    """The tensors `cuts` of a network, computed by layers that `make` gives, from pictures of another size.

    Returns:
        The symbolic input, and the tensors.

    Raises:
        InputError: a layer on the way wants another size.
    """
    part = keras.Model(network.model.inputs[0], list(cuts))
    x = keras.Input((*size, network.model.inputs[0].shape[-1]), name="data")
    with taking(network, size):
        outputs = keras.models.clone_model(part, input_tensors=x, clone_function=make).outputs
    return x, list(outputs)


@contextmanager
def taking(network: Network, size: tuple[int, int]) -> Iterator[None]:
    """Where layers are called on what pictures of a size become: one that does not take it is told in words.

    Raises:
        InputError: there is one.
    """
    try:
        yield
    except ValueError as error:
        raise InputError(
            f"{network.name} takes no pictures of {size[0]} x {size[1]} pixels: a layer wants another size",
            hint="leave --size away" if network.preprocessing and size != network.preprocessing.size else None,
        ) from error


def fresh_layer(seed: int, dropout: float | None) -> Callable[[Any], Any]:
    """Copies layers by their settings; Dropout draws from `seed` and drops the share asked for."""
    count = 0

    def fresh(layer: Any) -> Any:
        nonlocal count
        config = layer.get_config()
        if isinstance(layer, keras.layers.Dropout):
            count += 1
            config["seed"] = seed + count
            config["rate"] = config["rate"] if dropout is None else dropout
        copy = type(layer).from_config(config)
        if getattr(layer, "weights", None):  # an operation, as x + 3, has none
            copy.build(layer.input.shape)  # as it was: fc6 is not to be made anew for pictures of another size
        return copy

    return fresh


def before_dropout(tensor: Any) -> Any:
    """A blob is called after the layer that wrote it first; Dropout behind it is none of a descriptor's business."""
    layer = tensor._keras_history.operation
    return before_dropout(layer.input) if isinstance(layer, keras.layers.Dropout) else tensor


def from_classifier(network: Network) -> list[Node]:
    """The classifier and what follows it, one after the other.

    Raises:
        InputError: the network has no classifier, or its end is no chain.
    """
    names = [network.layers.get(name, name) for name in network.roles.classifier]
    nodes = graph(network.model)
    starts = [number for number, node in enumerate(nodes) if names and node.name == names[0]]
    chain = nodes[starts[0] :] if starts else []
    for before, node in itertools.pairwise(chain):
        if [source.layer for source in node.sources] != [before.name]:
            chain = []
            break
    if not chain or not hasattr(chain[0].layer, "kernel"):
        raise InputError(
            f"{network.name} has no classifier that could be replaced",
            hint=f"--layers LAYER,LAYER: what a new one is to look at; {network.layers_command} lists them",
        )
    return chain


def caffe_name(network: Network, layer: str) -> str:
    """Caffe's name of a Keras layer."""
    return next((name for name, own in network.layers.items() if own == layer), layer)


def is_softmax(layer: Any) -> bool:
    """Whether it is a softmax by another name than the layer that every head ends with."""
    return isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.softmax


def is_relu(layer: Any) -> bool:
    """Whether a layer does nothing but rectify."""
    return isinstance(layer, keras.layers.ReLU) or (
        isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.relu
    )


def remade(node: Node, before: int, classes: int, seed: int) -> Any:
    """A layer of the head anew; the classifier itself with another number of outputs, and no activation of its own."""
    config = node.layer.get_config()
    if hasattr(node.layer, "kernel"):
        config["filters" if "filters" in config else "units"] = classes
        config["kernel_initializer"] = small(seed)
        config["bias_initializer"] = keras.initializers.Zeros()
        if "activation" in config:
            config["activation"] = None
    if isinstance(node.layer, keras.layers.Reshape):  # MobileNet's, to (1000,)
        config["target_shape"] = [classes if length == before else length for length in config["target_shape"]]
    return type(node.layer).from_config(config)


def small(seed: int) -> Any:
    """The initializer of a new classifier's kernel."""
    return keras.initializers.RandomNormal(stddev=WEIGHT_DEVIATION, seed=seed)


def copy_weights(source: keras.Model, target: keras.Model, *, but: set[str]) -> None:
    """Give the layers of a model the weights of those of the same name in another, but for some."""
    known = {layer.name: layer for layer in source.layers}
    for layer in target.layers:
        given_weights = known[layer.name].weights if layer.name in known and layer.name not in but else ()
        for variable, given in zip(layer.weights if given_weights else (), given_weights, strict=True):
            variable.assign(given.value)


def initialise(network: Network, seed: int) -> Network:
    """Random weights for training from nothing, the same for the same seed; and pixels of a size that suits them.

    Kernels are normal: of convolutions with a variance of `2 / inputs of a unit`, which keeps activations through ReLUs
    as large as they are; of fully connected layers with half of that, Caffe's "xavier" filler (with all of it,
    AlexNet's loss ran away). Biases are 0, the classifier's kernel is small. Pixels, which deviate by about 64 from
    their mean, are divided by so much.

    Returns:
        The same network with that preprocessing.

    Sources: Delving Deep into Rectifiers, arXiv:1502.01852, eq. 10; BVLC Caffe, include/caffe/filler.hpp.
    """
    random = np.random.default_rng(seed)
    kernels = [v for layer in network.model.layers for v in layer.trainable_weights if len(v.shape) > 1]
    for kernel in kernels:
        gain = 2 if len(kernel.shape) > 2 else 1
        deviation = WEIGHT_DEVIATION if kernel is kernels[-1] else math.sqrt(gain / math.prod(kernel.shape[:-1]))
        kernel.assign(random.normal(0, deviation, kernel.shape).astype("float32"))
    for layer in network.model.layers:
        for variable in layer.trainable_weights:
            if variable.name == "bias":
                variable.assign(np.zeros(variable.shape, "float32"))
    scale = (1 / PIXELS,) * len(network.pictures.mean)
    return replace(network, preprocessing=replace(network.pictures, scale=scale))
