"""What the network of a run is good for besides classifying: dreams, paintings, features, and Keras without imgnn."""

import csv
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

import imgnn.networks.layers  # noqa: F401  registers Caffe's layers, all that plain Keras lacks
from imgnn.images.files import load_image
from imgnn.images.preprocess import classifier_crops
from imgnn.images.preprocessing import Preprocessing
from imgnn.jobs.dream import dream_picture
from imgnn.jobs.finetune import finetune
from imgnn.jobs.load import load_network
from imgnn.jobs.style import stylise
from imgnn.networks.features import cut, look
from imgnn.networks.files import save_network
from imgnn.networks.registry import LayerRoles
from imgnn.options import DreamOptions, FinetuneOptions, StyleOptions
from imgnn.training.run_folder import BEST, PREDICTIONS
from tests.training.painted import paint_classes
from tests.training.small import SIZE, small_network

MEAN, SCALE = 110.0, 1 / 60
ROLES = LayerRoles(
    style=("conv1",), content=("mix/output",), dream=("mix/output",), features=("mix/output",), classifier=("fc3",),
    head=("mix/output", "fc2"),
)  # fmt: skip


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> str:
    """The file of a network that has a layer for everything."""
    preprocessing = Preprocessing(SIZE, mean=(MEAN,) * 3, scale=(SCALE,) * 3, resize=14)
    path = tmp_path_factory.mktemp("network") / "small.keras"
    save_network(replace(small_network(preprocessing, dropout=0.0), roles=ROLES), path)
    return str(path)


@pytest.fixture(scope="module")
def runs(network, tmp_path_factory):
    """`head`: a new classifier on descriptors, all below as it was. `caffe`: its own one anew, and all trained."""
    folder = tmp_path_factory.mktemp("runs")
    pictures = paint_classes(folder / "colours")
    options = FinetuneOptions(network=network, batch=8, precision="float32", report=False)
    finetune(pictures, folder / "head", replace(options, epochs=3))
    finetune(pictures, folder / "caffe", replace(options, recipe="caffe", learning_rate=0.02, epochs=2))
    return {name: folder / name for name in ("head", "caffe")}


def pixels_of(path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_a_run_whose_lower_layers_stayed_dreams_as_the_network_did(runs, network, tiny_image, tmp_path):
    options = DreamOptions(octaves=2, iterations=2, precision="float32")
    for name, used in {"before": network, **runs}.items():
        dream_picture(tiny_image, tmp_path / f"{name}.png", replace(options, network=str(used)))
    before, head, trained = (pixels_of(tmp_path / f"{name}.png") for name in ("before", *runs))
    np.testing.assert_array_equal(head, before)
    assert (trained != before).any()
    assert (before != pixels_of(tiny_image)).any()


def test_a_run_whose_lower_layers_stayed_paints_as_the_network_did(runs, network, tiny_image, tmp_path):
    options = StyleOptions(size=60, min_size=60, initial_iterations=3, optimizer="adam", precision="float32")
    painting = tmp_path / "painting.png"
    Image.fromarray(np.tile(np.array([[[250, 40, 0]], [[0, 90, 240]]], "uint8").repeat(4, 0), (6, 60, 1))).save(
        painting
    )
    for name, used in {"before": network, **runs}.items():
        stylise(tiny_image, [painting], tmp_path / f"{name}.png", replace(options, network=str(used)))
    before, head, trained = (pixels_of(tmp_path / f"{name}.png") for name in ("before", *runs))
    np.testing.assert_array_equal(head, before)
    assert (trained != before).any()
    assert (before != pixels_of(tiny_image)).any()


@pytest.mark.parametrize("recipe", ["head", "caffe"])
def test_a_run_is_cut_at_the_layers_that_describe_a_picture(recipe, runs, network, random):
    run, before = load_network(runs[recipe]), load_network(network)
    assert run.roles.features == before.roles.features == ("mix/output",)
    x = random.normal(0, 1, (2, 20, 28, 3)).astype("float32")
    found, expected = (
        keras.ops.convert_to_numpy(look(each, each.roles.features, (20, 28))(x)["mix/output"]) for each in (run, before)
    )
    assert found.shape == (2, 9, 13, 10)
    assert np.allclose(found, expected) == (recipe == "head")
    assert list(cut(run, run.roles.features, (20, 28)).output) == ["mix/output"]


@pytest.mark.parametrize("recipe", ["head", "caffe"])
def test_plain_keras_gives_the_probabilities_of_the_predictions(recipe, runs):
    folder = runs[recipe]
    model = keras.models.load_model(folder / BEST)
    settings = load_network(folder).preprocessing
    classes = sorted(("red", "green", "blue"))
    with (folder / PREDICTIONS).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    images = np.concatenate([classifier_crops(load_image(row["path"]), settings) for row in rows])
    prob = model.predict((images[..., ::-1] - MEAN) * SCALE, verbose=0)  # blue, green, red
    for row, each in zip(rows, prob, strict=True):
        assert classes[each.argmax()] == row["predicted"]
        assert each[classes.index(row["label"])] == pytest.approx(float(row["prob"]), abs=1e-5)
