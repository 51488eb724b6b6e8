"""A network small enough to train in a test, with one of everything that training treats in its own way."""

import keras
import numpy as np

from imgnn.images.preprocessing import Preprocessing
from imgnn.networks import layers
from imgnn.networks.head import replace_head
from imgnn.networks.names import caffe_names
from imgnn.networks.network import Network
from imgnn.networks.registry import LayerRoles

CLASSES = ("cat", "dog", "owl", "bee")
SIZE = (12, 12)


def small_network(preprocessing: Preprocessing | None = None, *, dropout: float = 0.5, seed: int = 3) -> Network:
    """conv1, its batch normalisation, two branches, and two layers that see everything, all random."""
    preprocessing = preprocessing or Preprocessing(SIZE, scale=(1 / 60,) * 3, resize=14)
    channels = 1 if preprocessing.channel_order == "GREY" else 3
    data = keras.Input((*SIZE, channels), name="data")
    x = layers.conv(data, 8, 3, stride=2, name="conv1")
    x = layers.relu(layers.batch_norm(x, name="bn1"), name="relu1")
    left = layers.relu(layers.conv(x, 4, 1, name="mix/1x1"), name="mix/relu_1x1")
    right = layers.relu(layers.conv(x, 6, 3, pad=1, name="mix/3x3"), name="mix/relu_3x3")
    x = layers.concat([left, right], name="mix/output")
    x = layers.dropout(x, dropout, name="drop1")
    x = layers.relu(layers.inner_product(x, 16, name="fc2"), name="relu2")
    x = layers.dropout(x, dropout, name="drop2")
    x = layers.inner_product(x, 10, name="fc3")
    model = keras.Model(data, layers.softmax(x, name="prob"), name="small")
    random = np.random.default_rng(seed)
    for variable in model.weights:
        spread = 0.1 if len(variable.shape) == 1 else np.sqrt(2 / np.prod(variable.shape[:-1]))
        drawn = random.normal(1 if variable.name in ("gamma", "moving_variance") else 0, spread, variable.shape)
        variable.assign(drawn.astype("float32"))
    names, blobs = caffe_names(model)
    roles = LayerRoles(
        style=("conv1", "mix/output"), features=("fc2",), classifier=("fc3",), head=("mix/output", "fc2")
    )
    return Network("small", model, preprocessing, names, blobs, roles=roles)


def with_head(*, on=(), dropout: float | None = None, drops: float = 0.5, preprocessing=None) -> Network:
    """The small network with a classifier for four classes: its own anew, or one on descriptors of layers."""
    return replace_head(small_network(preprocessing, dropout=drops), CLASSES, layers=on, dropout=dropout, seed=5)


def pixels(count: int = 8, seed: int = 1) -> np.ndarray:
    """Pictures as training gets them: float32 `(count, 12, 12, 3)`, 0..255."""
    return np.random.default_rng(seed).integers(0, 256, (count, *SIZE, 3)).astype("float32")


def targets_of(labels) -> np.ndarray:
    """float32 `(n, 4)`."""
    return np.eye(len(CLASSES), dtype="float32")[np.asarray(labels)]
