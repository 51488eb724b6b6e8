"""Whether two networks compute the same, whatever their layers are called."""

from typing import Any

import keras

from imgnn.networks.names import graph
from imgnn.networks.network import Network

# Settings that do not change what comes out: axis -1 and axis 3 are the same one.
NO_MATTER = ("name", "axis", "axes", "dtype", "trainable", "kernel_initializer", "bias_initializer")


def first_difference(network: Network, other: Network) -> str | None:
    """The first layer of `network` that `other` has not, or has otherwise, or feeds otherwise; None: the same.

    A layer with weights is known by its name, which the weights are found by. What lies between two of them is
    compared by kind, settings and order, so that its names do not matter. Dropout and a last Softmax, which
    a net in training lacks, are passed over, and so is what `other` has beside (auxiliary heads).
    """
    known: dict[Any, int] = {}
    mine, theirs = (_Signs(each, known) for each in (network, other))
    for name in mine.fed:
        if mine.fed[name] == theirs.fed.get(name):
            continue
        own, others = network.layers, other.layers
        if name in theirs.fed and mine.kinds[name] == theirs.kinds[name]:  # then something before it
            for before, layer in own.items():
                if before in others and mine.kinds.get(before) != theirs.kinds.get(before):
                    return f"layer {before}: {_words(network.model, layer)}, not {_words(other.model, others[before])}"
            return f"what goes into layer {name}"
        return f"layer {name}"
    return None if mine.ends <= theirs.ends else "what comes out"


class _Signs:
    """A number for what each layer computes, the same in both networks if it is the same.

    Attributes:
        kinds: Caffe's layer -> kind and settings.
        fed: Caffe's layer with weights -> kind, settings and what goes into it.
        ends: what the outputs are.
    """

    def __init__(self, network: Network, known: dict[Any, int]) -> None:
        self.known = known
        self.kinds: dict[str, int] = {}
        self.fed: dict[str, int] = {}
        names = {keras_name: caffe for caffe, keras_name in network.layers.items()}
        signs: dict[str, int] = {}
        self.ends: set[int] = set()
        for node in graph(network.model):
            before = [(signs[source.layer], source.index) for source in node.sources]
            kind = self.number(_kind(node.layer))
            is_end = any(node.layer.output is output for output in network.model.outputs)
            caffe = names.get(node.name, node.name)
            self.kinds[caffe] = kind
            if not before:
                signs[node.name] = self.number("input")
            elif isinstance(node.layer, keras.layers.Dropout) or (
                is_end and isinstance(node.layer, keras.layers.Softmax)
            ):
                signs[node.name] = before[0][0]
            elif node.layer.weights:
                self.fed[caffe] = self.number((kind, *before))
                signs[node.name] = self.number(("weights of", caffe))
            else:
                signs[node.name] = self.number((kind, *before))
            if is_end:
                self.ends.add(signs[node.name])

    def number(self, what: Any) -> int:
        return self.known.setdefault(what, len(self.known))


def _kind(layer: Any) -> tuple[str, str]:
    """Its class and settings."""
    config = {key: value for key, value in layer.get_config().items() if key not in NO_MATTER}
    return type(layer).__name__, "" if isinstance(layer, keras.layers.InputLayer | keras.layers.Dropout) else str(
        config
    )


def _words(model: keras.Model, name: str) -> str:
    return type(model.get_layer(name)).__name__
