"""A decoder in training together with the network that looks at the pictures."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

from imgnn import backend
from imgnn.errors import InputError
from imgnn.language.decoder import Decoder
from imgnn.networks.network import Network
from imgnn.training.optimizers import Pace, build_optimizer
from imgnn.training.sentence_trainer import SentenceTrainer
from imgnn.training.sentences import SentenceBatch
from imgnn.training.trainer import Prepare


class JointTrainer(SentenceTrainer):
    """Trains a decoder and, more slowly, the network whose feature it reads; a picture goes through once a batch.

    What it is given in the place of features are pixels, uint8 `(pictures, height, width, 3)`; the rows of a batch are
    pictures among them.

    Args:
        decoder: of this network's feature.
        network: of `networks.feature_network.feature_network`; statistics of batch normalisation stay as they are.
        pace: the network's learning rate, as a share of the decoder's.
        precision: what the network computes in.
    """

    def __init__(self, decoder: Decoder, network: Network, *, pace: float, precision: str, **options: Any) -> None:
        super().__init__(decoder, **options)
        self.network, self.precision = network, precision
        for layer in network.model.layers:
            layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
        paces = {variable.path: Pace(rate=pace) for variable in network.model.trainable_variables}
        if not paces:
            raise InputError(f"{network.name} has no weights that could be trained")
        pixels = keras.Input((*network.pictures.size, 3), dtype="float32")
        x = Prepare(network.pictures)(pixels)
        self.looking = keras.Model(pixels, network.model(x))
        self.look = backend.answering(self.looking)
        self.optimizer = build_optimizer("adam", paces, beta=0.999, weight_decay=self.weight_decay, clip=self.clip)
        self.optimizer.build(self.build_model(1).trainable_variables)  # in the model's order, which JAX goes by

    def build_model(self, length: int) -> Any:
        """Pixels, rows and tokens -> logits."""
        rows, tokens = keras.Input((), dtype="int32"), keras.Input((length,), dtype="int32")
        features = ops.cast(ops.take(self.looking.outputs[0], rows, axis=0), "float32")
        return keras.Model([self.looking.inputs[0], rows, tokens], self.decoder.model(length)([features, tokens]))

    def inputs(self, x: np.ndarray, batch: SentenceBatch) -> list[np.ndarray]:
        return [x.astype("float32"), batch.rows.astype("int32"), batch.tokens]

    @contextmanager
    def computing(self) -> Iterator[None]:
        """The network in the precision asked for."""
        with backend.computing_in(self.network.model.layers, self.precision):
            yield

    def variables(self) -> dict[str, Any]:
        network = {f"network/{number}": each for number, each in enumerate(self.network.model.trainable_variables)}
        return super().variables() | network
