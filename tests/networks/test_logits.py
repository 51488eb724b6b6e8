import keras
import numpy as np
import pytest
from keras import layers

from imgnn.networks.logits import logits_of, prob_layer


def model_of(*ends, size=(4, 4)):
    """Three channels of a map, and what `ends` make of them."""
    keras.utils.set_random_seed(5)
    return keras.Sequential([keras.Input((*size, 3)), *ends])


def log_share(prob):
    """Logits as far as probabilities tell them: less the mean of each row."""
    logs = np.log(prob)
    return logs - logs.mean(axis=-1, keepdims=True)


MEAN = layers.GlobalAveragePooling2D


@pytest.mark.parametrize(
    "ends",
    [
        [MEAN(), layers.Softmax()],
        [MEAN(), layers.Activation("sigmoid")],
        [MEAN(), layers.Dense(3, activation="softmax")],
        [MEAN(keepdims=True), layers.Conv2D(5, 1, activation="softmax"), layers.Flatten()],
        [MEAN(), layers.Softmax(), layers.Reshape((1, 1, 3)), layers.Dropout(0.5)],
    ],
)
def test_what_comes_out_of_a_softmax_or_sigmoid_is_a_probability(ends):
    assert prob_layer(model_of(*ends)) in ends


@pytest.mark.parametrize("last", [layers.Dense(3), layers.ReLU(), layers.Activation("tanh")])
def test_anything_else_is_a_logit(last):
    model = model_of(MEAN(), layers.Softmax(), last)
    assert prob_layer(model) is None
    assert logits_of(model) is model.outputs[0]


def test_logits_are_what_the_softmax_is_given():
    softmax = layers.Softmax()
    assert logits_of(model_of(MEAN(), layers.Dense(5), softmax, layers.Flatten())) is softmax.input


@pytest.mark.parametrize(
    ("ends", "shape"),
    [
        ([MEAN(), layers.Dense(5, activation="softmax")], (2, 5)),
        ([MEAN(), layers.Dense(5, activation="softmax", use_bias=False)], (2, 5)),
        ([MEAN(keepdims=True), layers.Conv2D(5, 1, activation="softmax"), layers.Flatten()], (2, 1, 1, 5)),
        ([layers.Conv2D(5, 4, activation="softmax", bias_initializer="uniform")], (2, 1, 1, 5)),
    ],
)
def test_a_layer_with_its_softmax_gives_what_stands_before_it(ends, shape, random):
    model = model_of(*ends)
    x = random.normal(size=(2, 4, 4, 3)).astype("float32")
    logits = keras.Model(model.inputs[0], logits_of(model)).predict_on_batch(x)
    assert logits.shape == shape
    assert logits.sum(axis=-1) != pytest.approx(1)
    flat = logits.reshape(2, 5)
    wanted = log_share(model.predict_on_batch(x).reshape(2, 5))
    np.testing.assert_allclose(flat - flat.mean(axis=-1, keepdims=True), wanted, atol=1e-5)


def test_of_probabilities_of_places_the_logits_are_of_places_too():
    model = model_of(layers.Conv2D(5, 1, activation="softmax"), MEAN())
    assert logits_of(model).shape == (None, 4, 4, 5)
