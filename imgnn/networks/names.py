"""From a builder's model to a `Network`: Caffe's names of its layers and blobs, read off the graph."""

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import keras

from imgnn import backend
from imgnn.errors import InputError
from imgnn.networks.network import HELPERS, Network
from imgnn.networks.registry import LayerRoles, NetworkSpec, class_words, find

# What a prototxt runs in place: the blob then holds this layer's output. All nets of the registry do.
IN_PLACE = ("ReLU", "Dropout", "BatchNormalization", "Scale")
# What is no map to look at: the picture itself, its margins, and other axes in the place of height and width.
NO_MAPS = ("InputLayer", "ZeroPadding2D", "Cropping2D", "Permute", "Reshape")


@dataclass(frozen=True)
class Node:
    """One layer of a functional model, and where its inputs come from.

    Attributes:
        name: the Keras layer.
        layer: the layer itself (an operation of `keras.ops` in some models).
        args, kwargs: the arguments of its call; each tensor is replaced by a `Source`.
        call: which of the layer's calls, for a layer that is used more than once.
    """

    name: str
    layer: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    call: int = 0

    @property
    def sources(self) -> list["Source"]:
        """The tensors it takes, in order."""
        return list(_sources([*self.args, *self.kwargs.values()]))


@dataclass(frozen=True)
class Source:
    """A tensor: which layer gives it, at which of the layer's calls, as which of its outputs."""

    layer: str
    call: int = 0
    index: int = 0


def graph(model: keras.Model) -> list[Node]:
    """The layers of a functional model in the order of a prototxt: branch by branch, each before its users.

    Keras itself sorts by depth, which tears the branches of an Inception module apart.

    Raises:
        InputError: the model has no graph (a subclass of `keras.Model` with its own `call`).
    """
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs)
    try:
        config = model.get_config()
        described = {layer["name"]: layer for layer in config["layers"]}
    except (NotImplementedError, KeyError, TypeError) as error:
        raise InputError(
            f"expected a functional Keras model, got {type(model).__name__} {model.name!r} without a graph"
        ) from error
    layers = {operation.name: operation for operation in model.operations}
    nodes: dict[tuple[str, int], Node] = {}
    for name, description in described.items():
        calls = description["inbound_nodes"] or [{"args": (), "kwargs": {}}]
        for number, call in enumerate(calls):
            args, kwargs = _replace(call["args"]), _replace(call["kwargs"])
            nodes[name, number] = Node(name, layers[name], tuple(args), kwargs, number)

    ordered: dict[tuple[str, int], Node] = {}
    pending = [(end.layer, end.call) for end in reversed(_tensors(config["output_layers"]))]
    while pending:
        key = pending[-1]
        missing = [(s.layer, s.call) for s in nodes[key].sources if (s.layer, s.call) not in ordered]
        if missing:
            pending.append(missing[0])
            continue
        ordered.setdefault(key, nodes[key])
        pending.pop()
    return list(ordered.values())


def _tensors(described: Any) -> list[Source]:
    """`["prob", 0, 0]`, or a list or dict of such, as a flat list."""
    if isinstance(described, list | tuple) and len(described) == 3 and isinstance(described[0], str):
        return [Source(*described)]
    values = described.values() if isinstance(described, dict) else described
    return [source for value in values for source in _tensors(value)]


def _replace(value: Any) -> Any:
    """A call's arguments out of a model's config, with a `Source` for each tensor."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            return Source(*value["config"]["keras_history"])
        return {key: _replace(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_replace(each) for each in value)
    return value


def _sources(values: Any) -> Iterator[Source]:
    for value in values:
        if isinstance(value, Source):
            yield value
        elif isinstance(value, list | tuple):
            yield from _sources(value)


def helper_of(name: str, names: Mapping[str, Any] | set[str]) -> str | None:
    """The layer that `name` serves (`conv1__pad` serves `conv1`); None if it is a layer in its own right."""
    return next((name.removesuffix(end) for end in HELPERS if name.endswith(end) and name[: -len(end)] in names), None)


def caffe_names(
    model: keras.Model, tops: Mapping[str, str] | None = None
) -> tuple[dict[str, str], dict[str, tuple[str, int]]]:
    """Caffe's layers and blobs of a builder's model.

    A blob is called after the layer that writes it first. While a value goes into nothing but a ReLU,
    Dropout, BatchNorm or Scale, that layer works in place and the blob is what comes out of it.

    Args:
        model: made by one of the builders, whose layer names are Caffe's with "__" for "/".
        tops: Caffe layer -> blob, where the prototxt gives the two different names.

    Returns:
        Caffe layer -> Keras layer, and blob -> (Keras layer, index of its output), both in the prototxt's order.
    """
    nodes = graph(model)
    known = {node.name for node in nodes}
    users: dict[str, list[Node]] = {name: [] for name in known}
    for node in nodes:
        for source in node.sources:
            users[source.layer].append(node)

    layers, blobs, followed = {}, {}, set()
    for node in nodes:
        if helper_of(node.name, known):
            continue
        name = node.name.replace("__", "/")
        if node.sources:  # a prototxt's input is a blob and no layer
            layers[name] = node.name
        if node.name in followed:
            continue
        end = node.name
        while len(users[end]) == 1 and type(users[end][0].layer).__name__ in IN_PLACE:
            end = users[end][0].name
            followed.add(end)
        blobs[(tops or {}).get(name, name)] = (end, 0)
    return layers, blobs


def network_of(
    spec: NetworkSpec | str,
    *,
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    **options: Any,
) -> Network:
    """The network of a registry's entry, built and named, with random weights (or its seeded ones).

    Args:
        spec: the entry, or its name.
        input_shape: `(height, width, 3)`, None for a free side; the published size by default.
        classes: outputs, when they are not the published ones; the class words are not known then.
        options: what else its builder takes.

    Raises:
        UnknownNameError: no network is called so.
    """
    spec = find(spec) if isinstance(spec, str) else spec
    shape = input_shape or (*spec.preprocessing.size, 3)
    classes = spec.classes if classes is None else classes
    with backend.standard():
        model = spec.build(input_shape=shape, classes=classes, **options)
    layers, blobs = caffe_names(model, spec.tops)
    words = None
    if spec.words and classes == spec.classes:
        words = tuple(map(str, class_words(spec.words)))
    source = {"title": spec.title, "paper": spec.paper}
    if spec.weights:
        source["licence"] = spec.weights.licence
    return Network(
        name=spec.name,
        model=model,
        preprocessing=spec.preprocessing,
        layers=layers,
        blobs=blobs,
        words=words,
        roles=spec.roles,
        source=source,
    )


def lower_part(network: Network, spec: NetworkSpec, end: str) -> Network:
    """What comes before the layer `end` in a network that `network_of` made of `spec`; it shares the layers."""
    first = network.layers[end]
    kept = list(
        itertools.takewhile(lambda node: first not in (node.name, helper_of(node.name, {first})), graph(network.model))
    )
    read = {source.layer for node in kept for source in node.sources}
    outputs = [node.layer.output for node in kept if node.name not in read]
    model = keras.Model(network.model.inputs, outputs if len(outputs) > 1 else outputs[0], name=network.model.name)
    layers, blobs = caffe_names(model, spec.tops)
    part = replace(network, model=model, layers=layers, blobs=blobs, words=None)
    return replace(part, roles=known_roles(part, spec.roles))


def known_roles(network: Network, roles: LayerRoles) -> LayerRoles:
    """Those of `roles` that the network has; for a role that is left with none, a guess."""
    guessed = asdict(guess_roles(network.model))
    known = network.layers.keys() | network.blobs.keys()
    own = {role: tuple(name for name in names if name in known) for role, names in asdict(roles).items()}
    return LayerRoles(**{role: names or guessed[role] for role, names in own.items()})


def guess_roles(model: keras.Model) -> LayerRoles:
    """Layers for the recipes of a model that nobody wrote a row for: the last layer of each resolution.

    Style takes the last layer of every scale but the deepest, content and dream the deepest of these; features come
    from the last layer with a kernel but one, the classifier is the last one. What comes before the first kernel is
    the picture still, and an operation (`x + y`) has no name to be called by.
    """
    last: dict[int, str] = {}  # width of its map -> the last layer
    weighted = []
    nodes = graph(model)
    known, widths = {node.name for node in nodes}, _widths(model, nodes)
    for node in nodes:
        if not isinstance(node.layer, keras.layers.Layer):
            continue
        width, type_name = widths.get(node.name, 1), type(node.layer).__name__
        if any(len(weight.shape) > 1 for weight in node.layer.weights):
            weighted.append(node.name)
        if weighted and width > 1 and type_name not in NO_MAPS and not helper_of(node.name, known):
            last[width] = node.name
    scales = [last[width] for width in sorted(last, reverse=True)]
    deep = scales[-2:-1] or scales[-1:]
    return LayerRoles(
        style=tuple(scales[:-1] or scales),
        content=tuple(deep),
        dream=tuple(deep),
        features=tuple(weighted[-2:-1]),
        classifier=tuple(weighted[-1:]),
    )


def _widths(model: keras.Model, nodes: list[Node]) -> dict[str, int]:
    """Keras layer -> the width of its map; of a model for pictures of any size, at a width of 224."""
    outputs: dict[str, Any] = {node.name: getattr(node.layer, "output", None) for node in nodes}
    maps = {name: value for name, value in outputs.items() if len(getattr(value, "shape", ())) == 4}
    pictures = [keras.KerasTensor((None, *(size or 224 for size in each.shape[1:]))) for each in model.inputs]
    with contextlib.suppress(ValueError):  # it does not take that size
        maps = keras.Model(model.inputs, maps).compute_output_spec(pictures if len(pictures) > 1 else pictures[0])
    return {name: value.shape[2] or 1 for name, value in maps.items()}
