"""What a recipe does, stage by stage."""

import fnmatch
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import keras

from imgnn.errors import UnknownNameError
from imgnn.networks.names import graph
from imgnn.networks.network import Network
from imgnn.options import FinetuneOptions
from imgnn.training.optimizers import Pace, match_rate
from imgnn.training.schedule import Kind, Schedule

SVM = "svm"
GROUPS = 3  # parts of a trunk that `gradual` unfreezes one by one
SLOWER = 2.6  # from each of them to the next lower one: Universal Language Model Fine-tuning, arXiv:1801.06146, 3.2
WARMUP = 0.05  # of the steps, over which the rate rises: a fresh head sends large gradients down at first
LOWEST = 1 / 100  # rate of the lowest layers in `one-cycle`, of the head's: fastai's fine_tune


@dataclass(frozen=True)
class Stage:
    """One part of a training.

    Attributes:
        name: as the log has it.
        trained: Keras's names of the layers whose variables change; None: of all.
        cached: the frozen part looks at every picture once, and the rest is trained on what it gave.
        epochs: 0 for what is solved in one go (`svm`).
        learning_rate: the largest, of a layer with factor 1.
        rates: Keras layer -> its factor; 1 if it is not named.
        schedule: how the rate goes over the stage.
        optimizer: "sgd" or "adam"; its memory begins anew with the stage.
        weight_decay: of kernels, and of biases unless `caffe`.
        coupled: decay is added to the gradient (see training/optimizers.py).
        clip: the largest norm of all gradients together; None: any.
        caffe: biases learn twice as fast and do not decay, as Caffe's own examples have it.
        crop: how training pictures are cut.
    """

    name: str
    trained: tuple[str, ...] | None
    cached: bool
    epochs: int
    learning_rate: float
    schedule: Kind
    optimizer: Literal["sgd", "adam"]
    rates: Mapping[str, float]
    weight_decay: float = 0.0
    coupled: bool = False
    caffe: bool = False
    clip: float | None = None
    crop: Literal["none", "caffe", "random"] = "random"

    @property
    def rounds(self) -> int:
        """How often the log is told of it: its epochs, and once of what is solved in one go."""
        return 1 if self.name == SVM else self.epochs

    def schedule_of(self, steps: int) -> Schedule:
        """The schedule of a stage of so many steps; "step" goes down after each fifth of them, as in flickr_style."""
        warmup = 0 if self.cached else math.ceil(WARMUP * steps)
        return Schedule(self.schedule, steps, every=max(1, math.ceil(steps / 5)), warmup=warmup)

    def paces(self, layers: Sequence[Any]) -> dict[str, Pace]:
        """How each variable of the layers is trained, by its path."""
        result = {}
        for layer in layers:
            rate = self.rates.get(layer.name, 1.0)
            for variable in layer.trainable_weights:
                is_bias = variable.path.rpartition("/")[2] == "bias"
                own = Pace(2 * rate, 0.0) if self.caffe and is_bias else Pace(rate, 1.0)
                result[variable.path] = own
        return result


def weighted_layers(network: Network) -> list[str]:
    """Keras's names of the layers with weights that training may change, the lowest first."""
    # Not by `trainable_weights`: a file that an earlier stage wrote says of the layers it froze that they have none.
    return [
        node.name
        for node in graph(network.model)
        if getattr(node.layer, "weights", None) and not isinstance(node.layer, keras.layers.BatchNormalization)
    ]


def on_descriptors(options: FinetuneOptions) -> bool:
    """Whether a recipe's new classifier looks at the descriptors of several layers, when nobody says otherwise."""
    return options.recipe != "caffe" and not options.from_scratch


def plan(network: Network, options: FinetuneOptions) -> list[Stage]:
    """The stages of a recipe for a network with its new head.

    Raises:
        UnknownNameError: there is no layer of the name in `options.freeze`, or that fits a pattern of `options.rates`.
    """
    layers = weighted_layers(network)
    classifier = network.layers[network.roles.classifier[0]]
    trunk = [name for name in layers if name != classifier]
    if options.freeze is not None:
        trunk = above(network, options.freeze, trunk)
    # On unit vectors the classifier's weights have far to go, and hardly anything goes wrong on the way; behind a
    # network's last layer, where activations are in the tens, a hundredth of that rate does.
    unit = any(name.endswith("__descriptor") for name in (layer.name for layer in network.model.layers))
    head = Stage(
        name="head",
        trained=(classifier,),
        cached=True,
        epochs=options.head_epochs,
        learning_rate=0.03 if unit else 0.001,
        schedule="cosine",
        optimizer="adam",
        rates={},
        weight_decay=1e-4,
        coupled=True,
        crop="none",
    )
    if options.from_scratch:
        whole = Stage(
            name="scratch",
            trained=None,
            cached=False,
            epochs=30,
            clip=1.0,  # the first steps of random weights are wild
            learning_rate=0.01,
            schedule="step",
            optimizer="sgd",
            rates={},
            weight_decay=5e-4,
            coupled=True,
            caffe=True,
        )
        return [chosen(whole, network, options)]
    if options.recipe == "head":
        return [chosen(head, network, options)]
    if options.recipe == "svm":
        return [replace(head, name=SVM, epochs=0)]
    if options.recipe == "caffe":
        # models/finetune_flickr_style/solver.prototxt and train_val.prototxt
        whole = Stage(
            name="caffe",
            trained=(*trunk, classifier),
            cached=False,
            epochs=20,
            learning_rate=0.001,
            schedule="step",
            optimizer="sgd",
            rates={classifier: 10.0},
            weight_decay=5e-4,
            coupled=True,
            caffe=True,
            crop="caffe",
        )
        return [chosen(whole, network, options)]
    # A fresh head on unit vectors has far to go, if no stage of its own came first.
    fresh = {classifier: 50.0} if unit and not options.head_epochs else {}
    tuned = Stage(
        name="all",
        trained=(*trunk, classifier),
        cached=False,
        epochs=8,
        learning_rate=0.02,
        schedule="one-cycle",
        optimizer="sgd",
        rates={**spread_rates(trunk), **fresh},
        weight_decay=1e-4,
    )
    if options.recipe == "one-cycle":
        return [head, chosen(tuned, network, options)]
    stages = [head]
    size = math.ceil(len(trunk) / GROUPS)
    for group in range(1, GROUPS + 1):
        unfrozen = trunk[max(0, len(trunk) - group * size) :]
        depths = {name: (len(trunk) - 1 - trunk.index(name)) // size + 1 for name in unfrozen}
        stage = replace(
            tuned,
            name=f"top {group} of {GROUPS}",
            trained=(*unfrozen, classifier),
            epochs=4,
            rates={**{name: SLOWER**-depth for name, depth in depths.items()}, **fresh},
        )
        stages.append(chosen(stage, network, options))
    return stages


def chosen(stage: Stage, network: Network, options: FinetuneOptions) -> Stage:
    """A stage with what the user said of it."""
    said: dict[str, Any] = {
        "epochs": options.epochs,
        "learning_rate": options.learning_rate,
        "schedule": options.schedule,
        "optimizer": options.optimizer,
        "weight_decay": options.weight_decay,
        "crop": None if stage.cached else options.crop,
    }
    rates = dict(stage.rates)
    for pattern, _ in options.rates:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in network.layers):
            raise UnknownNameError("layer", pattern, network.layers, hint=f"{network.layers_command} lists them")
    if options.rates:
        rates |= {
            layer: rates.get(layer, 1.0) * match_rate(name, options.rates) for name, layer in network.layers.items()
        }
    return replace(stage, rates=rates, **{name: value for name, value in said.items() if value is not None})


def spread_rates(trunk: Sequence[str]) -> dict[str, float]:
    """Factors that grow evenly, from layer to layer, up to the head's 1."""
    return {name: LOWEST ** (1 - number / max(1, len(trunk))) for number, name in enumerate(trunk)}


def above(network: Network, freeze: str, trunk: Sequence[str]) -> list[str]:
    """The layers of a trunk that come after one of them, or after the layer that gives a blob.

    Raises:
        UnknownNameError: there is no such layer.
    """
    tensor = network.tensor(freeze)
    last = tensor._keras_history.operation.name
    order = [node.name for node in graph(network.model)]
    if last not in order:
        raise UnknownNameError("layer", freeze, network.layers, hint=f"{network.layers_command} lists them")
    return [name for name in trunk if order.index(name) > order.index(last)]
