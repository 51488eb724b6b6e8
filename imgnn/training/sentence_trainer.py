"""A decoder in training, step by step."""

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import numpy as np
from keras import ops

from imgnn import backend
from imgnn.errors import DivergedError
from imgnn.language.decoder import Decoder
from imgnn.training.optimizers import build_optimizer
from imgnn.training.sentences import SentenceBatch
from imgnn.training.trainer import Stateful

Tensor = Any


class SmoothedEntropy(keras.losses.Loss):
    """Cross-entropy of the next token, in nats; a share of each target's certainty is spread over all tokens."""

    def __init__(self, smoothing: float = 0.0) -> None:
        super().__init__(reduction="sum", dtype="float32")
        self.smoothing = smoothing

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        entropy = ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)
        if not self.smoothing:
            return entropy
        uniform = ops.logsumexp(y_pred, axis=-1) - ops.mean(y_pred, axis=-1)
        return (1 - self.smoothing) * entropy + self.smoothing * uniform


class SentenceTrainer(Stateful):
    """Trains a decoder, one batch after the other.

    Args:
        clip: the largest norm of all gradients together; None: any.
        weight_decay: of Adam, apart from the gradient (AdamW).
        smoothing: of the targets, 0..1.
        tokens: that a batch has on average: every token of an epoch weighs the same then; None: every batch does,
            whose tokens share its weight.
    """

    def __init__(
        self,
        decoder: Decoder,
        *,
        clip: float | None = 5.0,
        weight_decay: float = 0.0,
        smoothing: float = 0.0,
        tokens: float | None = None,
    ) -> None:
        self.decoder, self.clip, self.weight_decay, self.tokens = decoder, clip, weight_decay, tokens
        self.optimizer = build_optimizer("adam", {}, beta=0.999, weight_decay=weight_decay, clip=clip)
        self.loss = SmoothedEntropy(smoothing)
        self.optimizer.build(decoder.trainable)
        self.models: dict[int, Any] = {}  # by length: each is traced for its own
        self.answers: dict[int, Any] = {}

    def model(self, length: int) -> Any:
        """The decoder for sentences of `length` tokens, compiled; all of them have the same weights and optimiser."""
        if length not in self.models:
            model = self.build_model(length)
            model.compile(self.optimizer, loss=self.loss, jit_compile=backend.jitted())
            self.models[length] = model
        return self.models[length]

    def build_model(self, length: int) -> Any:
        """What `inputs` gives -> logits."""
        return self.decoder.model(length)

    def inputs(self, x: np.ndarray, batch: SentenceBatch) -> list[np.ndarray]:
        """What the model takes.

        Args:
            x: features float32 `(n, numbers)`, of the batch's pictures.
        """
        return [x, batch.tokens]

    def step(self, x: np.ndarray, batch: SentenceBatch, learning_rate: float) -> float:
        """Train on one batch.

        Args:
            x: features float32 `(n, numbers)`, of the batch's pictures.

        Returns:
            Nats per token of the batch before the step, with dropout (and smoothing, where there is any).

        Raises:
            DivergedError: the loss is no number any more.
        """
        self.optimizer.learning_rate = learning_rate
        total = float(batch.weights.sum())
        usual = self.tokens or total
        told = self.model(batch.tokens.shape[1]).train_on_batch(
            self.inputs(x, batch), batch.targets, sample_weight=batch.weights / usual, return_dict=True
        )
        loss = float(told["loss"]) * usual / total
        if not math.isfinite(loss):
            raise DivergedError("the loss is no longer finite", hint="a smaller --learning-rate")
        return loss

    def draw(self, x: np.ndarray, batch: SentenceBatch, random: np.random.Generator) -> np.ndarray:
        """A token after each token, as probable as the decoder finds it: int32 `(n, t)`."""
        length = batch.tokens.shape[1]
        if length not in self.answers:
            self.answers[length] = backend.answering(self.model(length))
        logits = self.answers[length](self.inputs(x, batch))
        # The largest of scores with Gumbel noise is a draw from their softmax.
        noise = -np.log(-np.log(random.random(tuple(logits.shape), "float32") + 1e-20) + 1e-20)
        return ops.convert_to_numpy(ops.argmax(ops.add(logits, noise), axis=-1)).astype("int32")

    def computing(self) -> AbstractContextManager[None]:
        """What steps are made in."""
        return nullcontext()

    def variables(self) -> dict[str, Any]:
        named = {f"weights/{name}": variable for name, variable in self.decoder.variables().items()}
        named |= {f"random/{layer.name}": layer.seed_generator.state for layer in self.decoder.drop if layer.rate}
        return named | {f"optimizer/{number}": each for number, each in enumerate(self.optimizer.variables)}
