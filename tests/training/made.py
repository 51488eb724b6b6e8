"""Runs without training: a network whose answer can be computed by hand, in the folder of a run."""

from pathlib import Path

import keras
import numpy as np
from PIL import Image

from imgnn.images.preprocessing import Preprocessing
from imgnn.networks.files import save_network
from imgnn.networks.layers import conv, relu, softmax
from imgnn.networks.network import Network
from imgnn.networks.registry import LayerRoles
from imgnn.training.run_folder import BEST, write_config

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
GAIN = 4.0  # logits of a picture in one colour: 4, 0, 0


def make_network(words=tuple(COLOURS)) -> Network:
    """Class k is how much of channel k (red, green, blue) there is; further classes are never seen.

    `prob = softmax(GAIN * mean colour / 255)`, by a 1 x 1 convolution, its ReLU, the mean over positions and a matrix.
    """
    data = keras.Input((8, 8, 3), name="data")
    x = relu(conv(data, 3, 1, name="conv1"), name="relu1")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(data, softmax(keras.layers.Dense(len(words), name="fc")(x), name="prob"))
    model.get_layer("conv1").set_weights([np.eye(3, dtype="float32")[None, None] / 255, np.zeros(3, "float32")])
    kernel = np.zeros((3, len(words)), "float32")
    kernel[:, :3] = GAIN * np.eye(3)
    bias = np.where(np.arange(len(words)) < 3, 0.0, -100.0).astype("float32")
    model.get_layer("fc").set_weights([kernel, bias])
    names = [layer.name for layer in model.layers[1:]]
    return Network(
        "colours",
        model,
        Preprocessing((8, 8), mean=(0.0,) * 3, channel_order="RGB", resize=10),
        layers=dict(zip(names, names, strict=True)),
        blobs={"conv1": ("relu1", 0)},
        words=tuple(words),
        roles=LayerRoles(style=("conv1",), content=("conv1",), dream=("conv1",), classifier=("fc",)),
    )


def make_run(folder: Path, words=tuple(COLOURS), *, trained: bool = True) -> Path:
    """The folder of a run with this network, or with none yet."""
    folder.mkdir(parents=True)
    write_config(folder, {"kind": "classifier", "network": "random", "recipe": "head", "classes": list(words)})
    if trained:
        save_network(make_network(words), folder / BEST)
    return folder


def paint(path: Path, colour: tuple[int, int, int]) -> Path:
    """A picture in one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 30), colour).save(path)
    return path


def prob_of(colour: tuple[int, int, int], classes: int = 3) -> np.ndarray:
    """What the network says of a picture in one colour, in NumPy."""
    raised = np.exp(GAIN * np.asarray(colour, "float64") / 255)
    return np.pad(raised / raised.sum(), (0, classes - 3))
