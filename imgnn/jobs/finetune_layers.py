"""Which layers of a network a training loads, keeps and changes: told in a few lines, however deep it is."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

from imgnn.jobs.finetune_data import Setup
from imgnn.networks.names import graph
from imgnn.training.recipes import Stage

MOST = 16  # blocks; of more, neighbours that differ in their rates alone are put together

Range = tuple[float, float]  # lowest and highest


@dataclass(frozen=True)
class Block:
    """Layers that follow each other and are treated alike.

    Attributes:
        layers: Caffe's names of those with weights; a batch normalisation counts with the layer that it follows.
        parameters: their weights, counted.
        loaded: they came with the network; otherwise they are new.
        rates: for each stage the factors of the layers' learning rate; None: they are frozen.
    """

    layers: tuple[str, ...]
    parameters: int
    loaded: bool
    rates: tuple[Range | None, ...]

    @property
    def state(self) -> tuple[bool, ...]:
        """Whether it was loaded, and in which stages it is trained."""
        return self.loaded, *(rate is not None for rate in self.rates)


def blocks_of(setup: Setup, most: int = MOST) -> list[Block]:
    """The layers with weights, the lowest first, in blocks."""
    caffe = {own: name for name, own in setup.network.layers.items()}
    blocks: list[Block] = []
    for node in graph(setup.network.model):
        if not getattr(node.layer, "weights", None):
            continue
        name = caffe.get(node.name, node.name)
        parameters = sum(math.prod(variable.shape) for variable in node.layer.weights)
        rates = tuple(rate_of(node.layer, stage) for stage in setup.stages)
        block = Block((name,), parameters, node.name in setup.loaded, rates)
        if blocks and isinstance(node.layer, keras.layers.BatchNormalization):
            # Its statistics stay as they are in every recipe: it belongs to the layer that it follows.
            last = blocks.pop()
            block = replace(last, parameters=last.parameters + parameters)
        blocks.append(block)
    modules = merged(blocks, lambda block: (module_of(block.layers[0]), block.state))
    even = merged(modules, lambda block: (block.state, block.rates))
    return even if len(even) <= most else merged(even, lambda block: block.state)


def module_of(name: str) -> str:
    """The module that a layer belongs to: `inception_4e` of `inception_4e/3x3`; else the layer itself."""
    return name.partition("/")[0]


def titles(blocks: Sequence[Block]) -> list[str]:
    """A name for each block: `loss3/classifier`, `inception_4e/*`, `conv1/7x7_s2 ... inception_5b/*`."""
    sizes = Counter(module_of(name) for block in blocks for name in block.layers)

    def title(block: Block) -> str:
        own = Counter(module_of(name) for name in block.layers)
        ends = []
        for name in (block.layers[0], block.layers[-1]):
            module = module_of(name)
            ends.append(f"{module}/*" if own[module] == sizes[module] > 1 else name)
        return " ... ".join(dict.fromkeys(ends))

    return [title(block) for block in blocks]


def rate_of(layer: keras.Layer, stage: Stage) -> Range | None:
    """The factor of a layer's learning rate in a stage; None: it is frozen."""
    if stage.trained is not None and layer.name not in stage.trained:
        return None
    factor = stage.rates.get(layer.name, 1.0)
    return (factor, factor) if factor else None


def merged(blocks: Sequence[Block], key: Callable[[Block], Any]) -> list[Block]:
    """Neighbours with the same key, which implies the same state, put together."""
    return [joined(list(group)) for _, group in itertools.groupby(blocks, key)]


def joined(blocks: Sequence[Block]) -> Block:
    """Blocks of one state as one."""
    rates: list[Range | None] = []
    for every in zip(*(block.rates for block in blocks), strict=True):
        known = [rate for rate in every if rate is not None]
        rates.append((min(low for low, _ in known), max(high for _, high in known)) if known else None)
    layers = tuple(name for block in blocks for name in block.layers)
    return Block(layers, sum(block.parameters for block in blocks), blocks[0].loaded, tuple(rates))
