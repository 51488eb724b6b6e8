"""A network in training: which part of it, step by step."""

import contextlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from imgnn import backend
from imgnn.errors import DivergedError
from imgnn.images.preprocess import LUMA, constants
from imgnn.images.preprocessing import Preprocessing
from imgnn.networks.logits import logits_of
from imgnn.networks.names import graph
from imgnn.networks.network import Network
from imgnn.training.optimizers import Pace, build_optimizer

Tensor = Any


class Prepare(keras.layers.Layer):
    """Pixels to `x`, on the device: `(image[..., channel_order] - mean) * scale`. A part of no saved network.

    Takes `(n, height, width, 3)`, RGB, 0..255; gives float32 `(n, height, width, channels)`.
    """

    def __init__(self, preprocessing: Preprocessing, **options: Any):
        super().__init__(**options)
        self.order = preprocessing.channel_order
        self.mean, self.factor = constants(preprocessing)

    def call(self, inputs: Tensor) -> Tensor:
        x = ops.cast(inputs, "float32")
        if self.order == "GREY":
            x = ops.matmul(x, LUMA[:, None])
        elif self.order == "BGR":
            x = ops.flip(x, axis=-1)
        return (x - self.mean) * self.factor


@dataclass(frozen=True)
class Parts:
    """A network divided where training begins.

    Attributes:
        below: pixels `(n, height, width, 3)` -> the tensors that the trained part takes: None if it is trained whole.
        above: these tensors -> logits.
        whole: pixels -> logits.
        trained: layers whose variables change.
    """

    below: Any
    above: Any
    whole: Any
    trained: tuple[Any, ...]


def divide(network: Network, trained: Sequence[str] | None) -> Parts:
    """The part of a network that stays as it is, and the part that training changes.

    What lies above a trained layer belongs to the trained part, and so does Dropout that training makes random: both
    differ from step to step. Statistics of batch normalisation stay as they are, whichever part they are in.

    Args:
        network: one that `networks/head.py` made: it ends with a softmax.
        trained: Keras's names of the layers whose variables change; None: of all.
    """
    model = network.model
    names = {layer.name for layer in model.layers} if trained is None else set(trained)
    for layer in model.layers:
        layer.trainable = layer.name in names and not isinstance(layer, keras.layers.BatchNormalization)
    changing = tuple(layer for layer in model.layers if layer.trainable_weights)

    nodes = graph(model)
    live: set[str] = set()
    cuts: dict[str, Any] = {}
    for node in nodes:
        sources = [source.layer for source in node.sources]
        drops = isinstance(node.layer, keras.layers.Dropout) and node.layer.rate > 0
        if node.layer in changing or drops or live & set(sources):
            live.add(node.name)
            cuts |= {name: model.get_layer(name).output for name in sources if name not in live}

    logits = logits_of(model)
    pixels = keras.Input((*model.inputs[0].shape[1:3], 3), dtype="float32", name="pixels")
    x = Prepare(network.pictures, name="prepare")(pixels)

    def from_pixels(outputs: Any) -> Any:
        return keras.Model(pixels, keras.Model(model.inputs[0], outputs)(x))

    entry = model.inputs[0]
    frozen = [tensor for tensor in cuts.values() if tensor is not entry]
    return Parts(
        below=from_pixels(frozen) if len(frozen) == len(cuts) and frozen else None,
        above=keras.Model(list(cuts.values()), logits) if len(frozen) == len(cuts) and frozen else None,
        whole=from_pixels(logits),
        trained=changing,
    )


class Stateful(ABC):
    """What a training knows between two steps, as arrays."""

    @abstractmethod
    def variables(self) -> dict[str, Any]:
        """What steps change, by name: weights, the optimiser's memory, the states of random generators."""

    def state(self) -> dict[str, np.ndarray]:
        """Everything that steps change: a copy of each variable, of its shape, by the names of `variables`."""
        return {name: ops.convert_to_numpy(variable.value) for name, variable in self.variables().items()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what `state` gave.

        Raises:
            KeyError, ValueError: it is of another training.
        """
        for name, variable in self.variables().items():
            variable.assign(state[name])


class Trainer(Stateful):
    """Trains a model that gives logits, one batch after the other.

    Args:
        model: inputs -> logits `(n, classes)`, or `(n, 1, 1, classes)`; the layers that are to change are trainable.
        optimizer: "sgd" (momentum 0.9) or "adam".
        paces: how a variable is trained, by its path.
        weight_decay, coupled: see `training/optimizers.py`.
        clip: the largest norm of all gradients together.
        smoothing: of the targets, 0..1: that share of certainty is spread over all classes (arXiv:1512.00567, 7).
        precision: what layers compute in; the classifier and the loss stay in float32.
        devices: over which batches are spread.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        optimizer: Literal["sgd", "adam"] = "sgd",
        paces: Mapping[str, Pace] | None = None,
        weight_decay: float = 0.0,
        coupled: bool = False,
        clip: float | None = None,
        smoothing: float = 0.0,
        precision: str = "float32",
        devices: backend.Devices | None = None,
    ) -> None:
        self.classes = int(model.outputs[0].shape[-1])
        self.devices, self.precision = devices, precision
        logits = model.outputs[0]
        if len(logits.shape) > 2:
            logits = keras.layers.Flatten(dtype="float32")(logits)
        self.model = keras.Model(model.inputs if len(model.inputs) > 1 else model.inputs[0], logits)
        self.optimizer = build_optimizer(optimizer, paces or {}, weight_decay=weight_decay, coupled=coupled, clip=clip)
        self.model.compile(
            self.optimizer,
            loss=keras.losses.CategoricalCrossentropy(
                from_logits=True, label_smoothing=smoothing, reduction="sum_over_batch_size", dtype="float32"
            ),
            weighted_metrics=[keras.metrics.CategoricalAccuracy(name="accuracy", dtype="float32")],
            jit_compile=backend.jitted(),
        )
        self.optimizer.build(self.model.trainable_variables)
        self.answer = backend.answering(self.model)

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """Layers in the precision asked for; from the last one with a kernel on, which gives the logits, in float32."""
        layers = list(every_layer(self.model))
        last = max((number for number, layer in enumerate(layers) if hasattr(layer, "kernel")), default=len(layers))
        below = [layer for layer in layers[:last] if layer.dtype_policy.compute_dtype == "float32"]
        with backend.computing_in(below, self.precision):
            yield

    def step(self, x: Any, targets: np.ndarray, weights: np.ndarray, learning_rate: float) -> tuple[float, float]:
        """Train on one batch.

        Args:
            x: pixels, or what the frozen part gave of them: an array, or a list of arrays.
            targets: float32 `(n, classes)`, each row with the sum 1.
            weights: float32 `(n,)`; a picture with 0 does not count.

        Returns:
            Loss and accuracy of the batch before the step.

        Raises:
            DivergedError: the loss is no number any more.
        """
        self.optimizer.learning_rate = learning_rate
        if not weights.any():
            return math.nan, math.nan
        # Their mean is 1 here, before they are spread over devices, each of which sees a part of them only.
        weights = (weights * (len(weights) / weights.sum())).astype("float32")
        told = backend.train_on_batch(self.model, x, targets, weights, self.devices)
        loss, accuracy = float(told["loss"]), float(told["accuracy"])
        if not math.isfinite(loss):
            raise DivergedError(
                "the loss is no longer finite", hint="a smaller --learning-rate; imgnn finetune --lr-find"
            )
        return loss, accuracy

    def logits(self, x: Any) -> np.ndarray:
        """float32 `(n, classes)`, as the network answers: nothing is dropped."""
        return ops.convert_to_numpy(self.answer(x))

    def variables(self) -> dict[str, Any]:
        weights = {id(variable) for variable in self.model.weights}
        drawn = [variable for variable in self.model.variables if id(variable) not in weights]
        named = [(variable.path, variable) for variable in self.model.trainable_variables]
        named += [(f"random/{number}", each) for number, each in enumerate(drawn)]
        named += [(f"optimizer/{number}", each) for number, each in enumerate(self.optimizer.variables)]
        return dict(named)


def every_layer(model: keras.Model) -> Iterator[Any]:
    """The network's layers in a model, and in models within it; not `Prepare`, whose pixels stay float32."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from every_layer(layer)
        elif not isinstance(layer, Prepare):
            yield layer


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """The logarithm of the softmax of each row: `(n, classes)` -> `(n, classes)`."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """-log of the probability of the right class, `(n,)`."""
    return -log_softmax(logits)[np.arange(len(labels)), labels]
