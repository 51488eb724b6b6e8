"""The network that writes a sentence: a picture's feature, then word by word what comes next.

Source: Show and Tell, arXiv:1411.4555: the picture is what the LSTM reads first, before START. With `inject="add"` its
projection is added to the embedding of START instead, and costs no step of its own.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from imgnn import backend
from imgnn.errors import InputError, WeightsError

Tensor = Any
State = Any

BLOCK = 4096  # features that are looked at together
SMALLEST_DEVIATION = 1e-6  # of features that are kept as float16; less is rounding


@dataclass(frozen=True)
class DecoderSpec:
    """The form of a decoder: what its weights have to fit."""

    vocabulary: int  # tokens, START, END and UNK among them
    feature: int  # numbers that tell of a picture
    embedding: int = 512  # of a word, and of the picture
    hidden: int = 512  # units of each recurrent layer
    layers: int = 1
    cell: Literal["lstm", "gru"] = "lstm"
    inject: Literal["first", "add"] = "first"
    tied: bool = False  # the embedding serves as the output's kernel too: arXiv:1608.05859


def multiply(x: Tensor, kernel: Any, dtype: str) -> Tensor:
    """A product computed in another type, as float32."""
    return ops.cast(ops.matmul(ops.cast(x, dtype), ops.cast(kernel, dtype)), "float32")


class Standard(keras.layers.Layer):
    """`(x - mean) * scale`, which are not trained."""

    def build(self, shape: Sequence[int | None]) -> None:
        self.mean = self.add_weight(shape=(shape[-1],), initializer="zeros", trainable=False, name="mean")
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", trainable=False, name="scale")

    def call(self, x: Tensor) -> Tensor:
        return (x - self.mean) * self.scale


class Output(keras.layers.Layer):
    """Scores of all words: a product and a bias, float32; the product perhaps with the embedding, transposed."""

    def __init__(self, units: int, embedding: Any, *, kernel_initializer: Any, **options: Any) -> None:
        super().__init__(**options)
        self.units, self.embedding, self.initializer = units, embedding, kernel_initializer

    def build(self, shape: Sequence[int | None]) -> None:
        if self.embedding is None:
            self.kernel = self.add_weight(shape=(shape[-1], self.units), initializer=self.initializer, name="kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", autocast=False, name="bias")

    def call(self, x: Tensor) -> Tensor:
        kernel = self.kernel if self.embedding is None else ops.transpose(self.embedding.embeddings)
        return multiply(x, kernel, self.compute_dtype) + self.bias


class Recurrent(keras.layers.Layer):
    """An LSTM or GRU. The inputs of all steps are multiplied at once; only what depends on the last step waits for it.

    Gates stand in the order of Keras's own layers: `i, f, c, o` of an LSTM, `z, r, h` of a GRU (`reset_after`). The
    forget gate's bias begins at 1. Products are computed in the layer's compute type, the state is kept in float32.

    Source: Learning to Forget, doi:10.1162/089976600300015015; the GRU: arXiv:1406.1078, in cuDNN's form.
    """

    def __init__(self, units: int, cell: Literal["lstm", "gru"], *, seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.units, self.cell, self.seed = units, cell, seed
        self.gates = 4 if cell == "lstm" else 3

    def build(self, shape: Sequence[int | None]) -> None:
        wide = self.gates * self.units
        self.kernel = self.add_weight(
            shape=(shape[-1], wide), initializer=keras.initializers.GlorotUniform(self.seed), name="kernel"
        )
        self.recurrent = self.add_weight(
            shape=(self.units, wide), initializer=keras.initializers.Orthogonal(seed=self.seed), name="recurrent_kernel"
        )
        self.bias = self.add_weight(shape=(wide,), initializer="zeros", autocast=False, name="bias")
        if self.cell == "lstm":
            start = np.zeros(wide, "float32")
            start[self.units : 2 * self.units] = 1.0
            self.bias.assign(start)
        else:
            self.recurrent_bias = self.add_weight(
                shape=(wide,), initializer="zeros", autocast=False, name="recurrent_bias"
            )

    def project(self, x: Tensor) -> Tensor:
        """What the inputs say to the gates, biases included: `(..., in)` -> float32 `(..., 4 * units)`.

        A GRU's are `z, r, h`, and the recurrent bias of `h` apart, since `r` multiplies it.
        """
        z = multiply(x, self.kernel, self.compute_dtype) + self.bias
        if self.cell == "lstm":
            return z
        gates, fresh = self.recurrent_bias[: 2 * self.units], self.recurrent_bias[2 * self.units :]
        z_fresh = z[..., 2 * self.units :]
        return ops.concatenate([z[..., : 2 * self.units] + gates, z_fresh, ops.zeros_like(z_fresh) + fresh], axis=-1)

    def begin(self, count: Tensor) -> tuple[Tensor, ...]:
        """The state before the first step."""
        zeros = ops.zeros((count, self.units), "float32")
        return (zeros, zeros) if self.cell == "lstm" else (zeros,)

    def step(self, z: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The next state: hidden `(n, units)` first, then the cell of an LSTM."""
        h = state[0]
        back = multiply(h, self.recurrent, self.compute_dtype)
        if self.cell == "lstm":
            i, f, c, o = ops.split(z + back, 4, axis=-1)
            c = ops.sigmoid(f) * state[1] + ops.sigmoid(i) * ops.tanh(c)
            return ops.sigmoid(o) * ops.tanh(c), c
        update, reset, fresh, fresh_bias = ops.split(z, 4, axis=-1)
        update_back, reset_back, fresh_back = ops.split(back, 3, axis=-1)
        update, reset = ops.sigmoid(update + update_back), ops.sigmoid(reset + reset_back)
        return (update * h + (1 - update) * ops.tanh(fresh + reset * (fresh_back + fresh_bias)),)

    def call(self, x: Tensor) -> Tensor:
        """`(n, t, in)` -> hidden states float32 `(n, t, units)`; t is known when it is traced."""
        z = self.project(x)
        state = self.begin(ops.shape(x)[0])
        hidden = []
        for each in ops.unstack(z, axis=1):
            state = self.step(each, state)
            hidden.append(state[0])
        return ops.stack(hidden, axis=1)


class Decoder:
    """The layers of a decoder, for training (all words of a sentence at once) and for decoding (one after the other).

    Args:
        spec: its form.
        dropout: share of values dropped while training: of what goes into each recurrent layer, and out of the last.
        precision: what the large products are computed in; weights, states and the softmax stay in float32.
        seed: of the weights before training, and of what is dropped.

    Attributes:
        mean, scale: `(numbers,)`, of the features it is trained on: `(feature - mean) * scale` is what it looks at.
    """

    def __init__(self, spec: DecoderSpec, *, dropout: float = 0.0, precision: str = "float32", seed: int = 0) -> None:
        if spec.tied and spec.embedding != spec.hidden:
            raise InputError(
                f"an embedding that serves the output too has as many numbers as there are units: "
                f"{spec.embedding} is not {spec.hidden}"
            )
        self.spec = spec
        policy = {"bfloat16": "mixed_bfloat16"}.get(precision, precision)
        seeds = itertools.count(1000 * seed)
        uniform = keras.initializers.GlorotUniform
        # A network that is trained along has layers of its own, perhaps a "picture" too: paths tell whose is which.
        with backend.standard(), keras.name_scope("decoder"):
            self.standard = Standard(name="standard")
            self.picture = keras.layers.Dense(spec.embedding, kernel_initializer=uniform(next(seeds)), name="picture")
            self.words = keras.layers.Embedding(
                spec.vocabulary,
                spec.embedding,
                embeddings_initializer=keras.initializers.RandomUniform(-0.05, 0.05, seed=next(seeds)),
                name="words",
            )
            self.recurrent = [
                Recurrent(spec.hidden, spec.cell, seed=next(seeds), dtype=policy, name=f"recurrent_{number}")
                for number in range(spec.layers)
            ]
            self.output = Output(
                spec.vocabulary,
                self.words if spec.tied else None,
                kernel_initializer=uniform(next(seeds)),
                dtype=policy,
                name="output",
            )
            self.drop = [
                keras.layers.Dropout(dropout, seed=next(seeds), name=f"dropout_{number}")
                for number in range(spec.layers + 1)
            ]
            self.models: dict[int, Any] = {}  # by length
            self.model(1)  # builds the layers

    # Training

    def model(self, length: int) -> Any:
        """Features float32 `(n, numbers)` and tokens int32 `(n, length)`, the first of which is START -> logits.

        The logits of what comes after each token are float32 `(n, length, vocabulary)`. All lengths share the weights.
        """
        if length not in self.models:
            with backend.standard():
                feature = keras.Input((self.spec.feature,), dtype="float32")
                tokens = keras.Input((length,), dtype="int32")
                self.models[length] = keras.Model([feature, tokens], self.logits(feature, tokens))
        return self.models[length]

    def logits(self, feature: Tensor, tokens: Tensor) -> Tensor:
        """The same, as a function of tensors."""
        picture, x = self.picture(self.standard(feature))[:, None], self.words(tokens)
        if self.spec.inject == "first":
            x = ops.concatenate([picture, x], axis=1)
        else:
            x = ops.concatenate([x[:, :1] + picture, x[:, 1:]], axis=1)
        for drop, layer in zip(self.drop, self.recurrent, strict=False):
            x = layer(drop(x))
        return self.output(self.drop[-1](x[:, -tokens.shape[1] :]))

    # Decoding, as imgnn/language/steps.py wants it

    def begin(self, feature: Tensor) -> State:
        """The state before START, of features float32 `(n, numbers)`."""
        picture = self.picture(self.standard(feature))
        state = tuple(layer.begin(ops.shape(feature)[0]) for layer in self.recurrent)
        # What is added to START's embedding waits for it; the steps after it add zeros.
        return self.advance(picture, state)[1] if self.spec.inject == "first" else (picture, state)

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """What comes after the tokens: int32 `(n,)` -> log-probabilities float32 `(n, vocabulary)`, and the state."""
        x = self.words(tokens)
        if self.spec.inject == "add":
            picture, state = state
            x, state = self.advance(x + picture, state)
            state = (ops.zeros_like(picture), state)
        else:
            x, state = self.advance(x, state)
        return ops.log_softmax(self.output(x)), state

    def advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One step of all recurrent layers: what the last one gives, `(n, hidden)`, and their states."""
        new = []
        for layer, each in zip(self.recurrent, state, strict=True):
            new.append(layer.step(layer.project(x), each))
            x = new[-1][0]
        return x, tuple(new)

    # Weights

    @property
    def trainable(self) -> list[Any]:
        """The variables that training changes."""
        return self.model(1).trainable_variables

    def variables(self) -> dict[str, Any]:
        """All variables, by names that files keep: "recurrent_0/kernel"."""
        layers = [self.standard, self.picture, self.words, *self.recurrent, self.output]
        named = {id(each): (f"{layer.name}/{each.name}", each) for layer in reversed(layers) for each in layer.weights}
        return dict(reversed(named.values()))  # what two layers share goes by the name of the first

    def weights(self) -> dict[str, np.ndarray]:
        """Their values."""
        return {name: ops.convert_to_numpy(variable.value) for name, variable in self.variables().items()}

    def assign(self, weights: Mapping[str, np.ndarray]) -> None:
        """Give it these values.

        Raises:
            WeightsError: one is missing, is too many, or has another shape; nothing was assigned then.
        """
        variables = self.variables()
        for name in weights:
            if name not in variables:
                raise WeightsError(f"{name} has no place in this decoder")
        for name, variable in variables.items():
            if name not in weights:
                raise WeightsError(f"{name} is missing in the decoder's weights")
            if tuple(weights[name].shape) != tuple(variable.shape):
                raise WeightsError(f"{name} wants {tuple(variable.shape)}; found {tuple(weights[name].shape)}")
        for name, variable in variables.items():
            variable.assign(np.asarray(weights[name], "float32"))

    def begin_with(self, counts: Sequence[int]) -> None:
        """Let the output's bias be the logarithm of how often each token was seen: the first loss is their entropy.

        Source: karpathy/neuraltalk, driver.py, who reports a perplexity of 170 in place of 2,500 at the start.
        """
        share = np.maximum(np.asarray(counts, "float64"), 0.1)
        self.output.bias.assign(np.log(share / share.sum()).astype("float32"))

    def standardise(self, features: np.ndarray) -> None:
        """Look at features as they differ from the mean of these, in units of their deviation.

        A number that is the same in all of them is not looked at: how much another value would mean is not known.
        """
        mean = features.mean(axis=0, dtype="float64")
        squares = np.zeros_like(mean)
        for start in range(0, len(features), BLOCK):  # COCO's features are not to be there twice
            squares += np.square(features[start : start + BLOCK] - mean).sum(axis=0)
        deviation = np.sqrt(squares / len(features))
        varies = deviation > SMALLEST_DEVIATION
        self.standard.mean.assign(mean.astype("float32"))
        self.standard.scale.assign((varies / np.where(varies, deviation, 1)).astype("float32"))
