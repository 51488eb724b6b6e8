"""Losses, gradients and steps against PyTorch and neural-style-pt: `tests/golden/make_style.py` made the numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
from keras import ops
from PIL import Image

from imgnn.backend import value_and_grad
from imgnn.jobs.load import load_network
from imgnn.networks.features import look
from imgnn.optimize.objectives import content_loss, gram_matrix, style_loss, tv_loss
from imgnn.optimize.optimizers import LBFGS
from imgnn.optimize.parameters import to_x
from imgnn.options import StyleOptions

MAPS = {"a": (5, 7, 4), "b": (3, 4, 6)}  # as in make_style.py
PAINTED = {"a": (6, 4, 4), "b": (3, 2, 6)}


def doubles(numbers):
    return ops.convert_to_tensor(np.array(numbers), "float64")


@pytest.fixture(scope="module")
def golden():
    return json.loads((Path(__file__).parents[1] / "golden" / "style.json").read_text())


@pytest.fixture
def activations(golden):
    """Of the picture, the photo and the painting: layer -> `(1, height, width, channels)`, float64."""
    random = np.random.default_rng(golden["seed"])
    return [
        {name: doubles(np.maximum(random.standard_normal((1, *shape)), 0)) for name, shape in shapes.items()}
        for shapes in (MAPS, MAPS, PAINTED)
    ]


def test_gram_matrix_is_that_of_pytorch(golden, activations):
    # Keras multiplies matrices in float32 with Torch, whatever they are of.
    np.testing.assert_allclose(ops.convert_to_numpy(gram_matrix(activations[0]["a"]))[0], golden["gram"], rtol=1e-6)


@pytest.mark.parametrize("term", ["content", "style"])
def test_a_layers_loss_and_its_gradient_are_those_of_pytorch(term, golden, activations):
    found, photo, painting = activations
    for name in MAPS:
        objective = {
            "content": lambda name: content_loss({name: photo[name]}),
            "style": lambda name: style_loss({name: gram_matrix(painting[name])}),
        }[term](name)
        evaluate = value_and_grad(lambda x, objective=objective, name=name: objective(x, {name: x}))
        loss, _, gradient = evaluate(found[name])
        assert float(loss) == pytest.approx(golden[term][name], rel=1e-5)
        if name == "a":
            wanted = np.reshape(golden[f"{term}_gradient"], gradient.shape)
            np.testing.assert_allclose(ops.convert_to_numpy(gradient), wanted, rtol=1e-4, atol=1e-8)


def test_the_gradient_of_tv_is_that_of_neural_style(golden):
    picture = np.random.default_rng(golden["seed"]).uniform(0, 255, (1, 4, 5, 3))
    _, _, gradient = value_and_grad(lambda x: tv_loss()(x, {}))(doubles(picture))
    np.testing.assert_allclose(ops.convert_to_numpy(gradient).ravel(), golden["tv_gradient"], atol=1e-9)


def test_lbfgs_goes_the_way_that_torchs_does(golden):
    known = golden["lbfgs"]
    a, b = doubles(known["a"]), doubles(known["b"])

    def function(x):
        return ops.sum(ops.log(ops.cosh(ops.matmul(a, x) - b))) + ops.sum(x**4) / 4, {}

    evaluate, x = value_and_grad(function), doubles(known["positions"][0])
    # Torch's first step is g / |g|_1: one sixth on the mean, of six numbers. No step is cut.
    optimizer = LBFGS(history=known["history"], first_step=1 / 6, longest_step=1e9)
    for position, wanted in zip(known["positions"], known["losses"], strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(x), position, atol=1e-6)
        x, loss, _ = optimizer.step(x, evaluate)
        assert float(loss) == pytest.approx(wanted, rel=1e-6)


def test_the_losses_of_photos_are_those_that_neural_style_pt_prints(shared, golden):
    known = golden["neural_style"]
    network = load_network(shared / "weights" / "vgg19_conv1_to_conv3.caffemodel")

    def pixels(key, size=None):
        """A photo as the peer resizes it: bilinear, its long side the size asked for, fractions cut off."""
        with Image.open(shared / "photos" / known[key]) as picture:
            extent = size or tuple(int(known["image_size"] / max(picture.size) * side) for side in picture.size)
            image = picture.convert("RGB").resize(extent, Image.Resampling.BILINEAR)
        return ops.convert_to_tensor(np.asarray(image, "float32")[None]), extent

    def features(pixels):
        layers = (*known["content"], *known["style"])
        return look(network, layers, pixels.shape[1:3])(to_x(pixels, network.preprocessing))

    content, size = pixels("content_image")
    photo, painting = features(content), features(pixels("style_image")[0])
    start = pixels("init_image", size)[0]
    seen = features(start)
    for name, wanted in known["content"].items():
        loss, _ = (StyleOptions.content_weight * content_loss({name: photo[name]}))(start, seen)
        assert float(ops.stop_gradient(loss)) == pytest.approx(wanted, rel=1e-4)
    for name, wanted in known["style"].items():
        loss, _ = (StyleOptions.style_weight * style_loss({name: gram_matrix(painting[name])}))(start, seen)
        assert float(ops.stop_gradient(loss)) == pytest.approx(wanted, rel=1e-4)
