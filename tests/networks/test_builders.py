"""Every builder against OpenCV's Caffe importer, blob by blob, and against the graph that its prototxt gives."""

import re

import keras
import numpy as np
import pytest
from keras import ops

from imgnn.caffe.graph import build_graph
from imgnn.caffe.layout import assign_blobs
from imgnn.caffe.net import read_net
from imgnn.home import ASSETS
from imgnn.images.files import load_image
from imgnn.images.preprocess import preprocess
from imgnn.networks import registry
from imgnn.networks.files import unallocated
from imgnn.networks.names import caffe_names, network_of
from tests.caffe.encode import encode_net
from tests.networks.prototxts import NETWORKS, Prototxt, deploy, random_blobs

cv2 = pytest.importorskip("cv2")

TOLERANCE = 1e-5  # largest difference / largest value

FIRST_RANDOM = [-0.095969, 0.02598393, -0.00994906]

ODD = [(97, 131), (225, 181)]
# 60 to 140 million weights, the same code as a smaller sister, or both: the whole of these takes minutes.
BIG = ("alexnet", "vgg16", "vgg19", "resnet101", "resnet152")


def fast_and_slow(*big: str) -> list:
    """All networks, those named marked slow."""
    return [pytest.param(name, marks=pytest.mark.slow) if name in big else name for name in NETWORKS]


def opencv(net: Prototxt, blobs: dict, x: np.ndarray) -> dict[str, np.ndarray]:
    """What each layer of the prototxt gives for `x` `(1, height, width, 3)`, channels last."""
    model = cv2.dnn.readNetFromCaffe(
        np.frombuffer(net.text.encode(), "uint8"), np.frombuffer(encode_net(net.text, blobs), "uint8")
    )
    model.enableFusion(False)
    model.enableWinograd(False)
    model.setInput(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    known = model.getLayerNames()
    names = [layer if layer in known else top for layer, top in net.tops.items()]  # some it calls by their blob
    outputs = [each[0] for each in model.forwardAndRetrieve(names)]
    return {name: y.transpose(0, 2, 3, 1) if y.ndim == 4 else y for name, y in zip(net.tops, outputs, strict=True)}


def every_layer(model: keras.Model, layers: dict[str, str], x: np.ndarray) -> dict[str, np.ndarray]:
    """What each layer of our model gives for `x`."""
    names = list(layers)
    whole = keras.Model(model.input, [model.get_layer(layers[name]).output for name in names])
    return {name: ops.convert_to_numpy(y) for name, y in zip(names, whole(x), strict=True)}


def pictures(size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    return random.uniform(-120, 130, (1, *size, 3)).astype("float32") / 60


def check_against_opencv(name: str, size: tuple[int, int], classes: int | None, random: np.random.Generator) -> None:
    net = deploy(name, size, classes)
    blobs, x = random_blobs(net, random), pictures(size, random)
    spec = registry.find(name)
    model = spec.build(input_shape=(*size, 3), classes=classes or 0, include_top=classes is not None)
    layers, _ = caffe_names(model)
    rows = assign_blobs(model, layers, blobs)
    assert {row.status for row in rows} == {"loaded"}
    assert [row.layer for row in rows] == list(net.weights)

    theirs, ours = opencv(net, blobs, x), every_layer(model, layers, x)
    assert list(ours) == list(theirs)
    for layer, expected in theirs.items():
        received = ours[layer].reshape(expected.shape)  # a Softmax of 1 x 1 pixels, whether said or not
        error = np.abs(received - expected).max() / np.abs(expected).max()
        assert error <= TOLERANCE, f"{layer} of {name} at {size}: {error:.2g}"


@pytest.mark.parametrize("name", fast_and_slow(*BIG))
def test_every_layer_is_as_opencv_computes_it_at_the_published_size(name, random):
    check_against_opencv(name, registry.find(name).preprocessing.size, 1000, random)


@pytest.mark.parametrize("size", ODD, ids=str)
@pytest.mark.parametrize("name", fast_and_slow("vgg16", "vgg19", "resnet101", "resnet152"))
def test_every_layer_is_as_opencv_computes_it_at_odd_sizes(name, size, random):
    whole = name.startswith("squeezenet")  # needs no fixed size for its classifier
    check_against_opencv(name, size, 1000 if whole else None, random)


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_a_big_network_is_as_opencv_computes_it_on_a_small_picture(name, random):
    check_against_opencv(name, (75, 99), None, random)


def settings(layer: keras.layers.Layer) -> dict:
    """A layer's settings; axis -1 and axis 3 are the same one."""
    return {key: value for key, value in layer.get_config().items() if key not in ("axis", "axes")}


@pytest.mark.parametrize("name", NETWORKS)
def test_builder_and_graph_of_the_prototxt_are_the_same_network(name, tmp_path):
    spec = registry.find(name)
    classes = 7
    (tmp_path / "deploy.prototxt").write_text(deploy(name, spec.preprocessing.size, classes).text)
    net = read_net(tmp_path / "deploy.prototxt", None)
    read = unallocated(lambda: build_graph(net, assign=False))
    built = unallocated(lambda: network_of(name, classes=classes))
    assert dict(built.layers) == dict(read.layers)
    assert dict(built.blobs) == dict(read.blobs)

    def shapes(model):
        return {layer.name: (layer.output.shape, [tuple(w.shape) for w in layer.weights]) for layer in model.layers}

    assert shapes(built.model) == shapes(read.model)
    for layer in built.model.layers:
        assert settings(layer) == settings(read.model.get_layer(layer.name))


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_of_all_layers_have_the_shapes_that_caffe_gives_them(name):
    spec = registry.find(name)
    net = deploy(name, spec.preprocessing.size)
    numbers = sum(np.prod(shape) for shapes in net.weights.values() for shape in shapes[:2] if len(shapes) < 3)
    assert numbers == spec.parameters


@pytest.mark.parametrize(
    ("name", "file"), [("googlenet", "bvlc_googlenet.prototxt"), ("squeezenet-v1.1", "squeezenet_v1.1.prototxt")]
)
def test_our_table_of_facts_tells_the_published_prototxt(name, file, shared, tmp_path):
    (tmp_path / "ours.prototxt").write_text(deploy(name, registry.find(name).preprocessing.size).text)

    def links(path):
        return [(layer.name, layer.type, layer.bottoms, layer.tops) for layer in read_net(path, None).layers]

    assert links(tmp_path / "ours.prototxt") == links(shared / "weights" / file)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_builder_takes_any_size_without_its_classifier(name):
    model = unallocated(lambda: registry.find(name).build(input_shape=(None, None, 3), include_top=False))
    assert model.output.shape[:3] == (None, None, None)
    assert all(type(layer).__module__.startswith(("keras", "imgnn")) for layer in model.layers)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)  # flat


@pytest.mark.parametrize("name", registry.names())
def test_layers_have_names_that_every_backend_takes(name):
    names = [layer.name for layer in unallocated(lambda: network_of(name)).model.layers]
    assert [each for each in names if not re.fullmatch("[A-Za-z0-9_-]+", each)] == []


@pytest.mark.parametrize("name", ["caffenet", "squeezenet-v1.1", "nin"])
def test_a_version_with_other_classes_is_built_by_the_same_builder(name):
    network = network_of(name, classes=205)
    assert network.model.output.shape[-1] == 205
    assert network.words is None


def test_random_filters_are_the_same_every_time():
    first, second = (registry.find("random").build(input_shape=(None, None, 3)) for _ in range(2))
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    # The stream of NumPy's PCG64 is fixed by its seed, so these are the numbers on every machine and backend.
    assert first.get_weights()[0].ravel()[:3] == pytest.approx(FIRST_RANDOM, abs=1e-6)


def test_activations_of_random_filters_are_as_large_at_every_scale():
    network = network_of("random", input_shape=(None, None, 3))
    # A picture, not noise: that would fade from scale to scale.
    x = preprocess(load_image(ASSETS / "examples" / "photo.jpg"), network.preprocessing)
    model = keras.Model(network.model.input, [network.tensor(name) for name in network.roles.style])
    spread = [activation.std() for activation in model.predict_on_batch(x)]
    assert 0.3 < min(spread) <= max(spread) < 3
