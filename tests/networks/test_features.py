import keras
import numpy as np
import pytest
from keras import layers

from imgnn.errors import InputError, UnknownNameError
from imgnn.networks.features import cut, look
from imgnn.networks.names import network_of
from imgnn.networks.network import Network


@pytest.fixture
def network():
    """Two convolutions and a classifier, for 16 x 16 pixels."""
    x = data = keras.Input((16, 16, 3), name="data")
    x = layers.Conv2D(4, 3, name="conv1")(x)
    x = layers.ReLU(name="relu1")(x)
    x = layers.MaxPooling2D(2, name="pool1")(x)
    x = layers.Conv2D(5, 3, name="fire_conv2")(x)
    x = layers.Dense(2, name="fc")(layers.Flatten(name="flat")(x))
    names = {"conv1": "conv1", "relu1": "relu1", "pool1": "pool1", "fire/conv2": "fire_conv2", "fc": "fc"}
    blobs = {"conv1": ("relu1", 0), "fire/conv2": ("fire_conv2", 0)}
    return Network("tiny", keras.Model(data, x), None, names, blobs)


def test_a_cut_gives_what_the_whole_network_computes(network, random):
    x = random.random((2, 16, 16, 3), dtype="float32")
    names = ("fire/conv2", "conv1", "conv1@raw")
    features = cut(network, names, (16, 16))(x)
    assert tuple(features) == names
    for name in names:
        whole = keras.Model(network.model.input, network.tensor(name))(x)
        np.testing.assert_array_equal(features[name], whole)


def test_a_cut_takes_any_size(network, random):
    x = random.random((1, 31, 20, 3), dtype="float32")
    features = cut(network, ("conv1", "fire/conv2"), (31, 20))(x)
    kernel, bias = network.model.get_layer("conv1").get_weights()
    top_left = np.maximum(np.einsum("hwc,hwco->o", x[0, :3, :3], kernel) + bias, 0)
    np.testing.assert_allclose(features["conv1"][0, 0, 0], top_left, rtol=1e-4, atol=1e-6)
    assert features["fire/conv2"].shape == (1, 12, 7, 5)


def test_cuts_share_the_weights_and_leave_the_network_alone(network, random):
    small, large = cut(network, ("conv1",), (8, 8)), cut(network, ("conv1",), (40, 40))
    own = network.model.get_layer("conv1")
    assert small.get_layer("conv1") is large.get_layer("conv1") is own
    assert [layer.name for layer in small.layers][1:] == ["conv1", "relu1"]
    assert network.tensor("conv1").shape == (None, 14, 14, 4)
    assert network.model(random.random((1, 16, 16, 3), dtype="float32")).shape == (1, 2)


def test_a_layer_that_is_not_there_is_named_with_the_near_ones(network):
    with pytest.raises(UnknownNameError, match=r"no layer is called 'fire/conv3'; did you mean 'fire/conv2'"):
        cut(network, ("fire/conv3",), (16, 16))


def test_a_layer_behind_a_fully_connected_one_is_refused_in_words(network):
    with pytest.raises(InputError, match="tiny cannot give fc for a picture of 20 x 24 pixels"):
        cut(network, ("fc",), (20, 24))
    with pytest.raises(InputError, match="layer fc of tiny gives no map over a picture"):
        cut(network, ("fc",), (16, 16))


def test_a_picture_too_small_for_the_layer_is_refused_in_words(network):
    with pytest.raises(InputError, match="tiny cannot give fire/conv2 for a picture of 3 x 3 pixels"):
        cut(network, ("fire/conv2",), (3, 3))


def test_a_network_of_two_inputs_takes_no_picture():
    inputs = [keras.Input((4, 4, 3)), keras.Input((4, 4, 3))]
    network = Network("pair", keras.Model(inputs, layers.Add(name="sum")(inputs)), None, {}, {})
    with pytest.raises(InputError, match="pair takes 2 inputs"):
        cut(network, ("sum",), (4, 4))


@pytest.mark.parametrize("name", ["squeezenet-v1.1", "vgg16"])
def test_average_pooling_takes_the_mean_of_each_window(name, random):
    """Of the first pooling layer, at a size where no window is cut short."""
    network, size = network_of(name), (43, 51) if name == "squeezenet-v1.1" else (32, 40)
    before, after = {"squeezenet-v1.1": ("conv1", "pool1"), "vgg16": ("conv1_2", "pool1")}[name]
    seen = look(network, (before, after), size, pooling="average")(random.random((1, *size, 3), dtype="float32"))
    maps, side, step = np.asarray(seen[before])[0], *((3, 2) if name == "squeezenet-v1.1" else (2, 2))
    windows = np.lib.stride_tricks.sliding_window_view(maps, (side, side), axis=(0, 1))[::step, ::step]
    np.testing.assert_allclose(np.asarray(seen[after])[0], windows.mean(axis=(-2, -1)), rtol=1e-4, atol=1e-6)


def test_bfloat16_gives_float32_features_near_those_of_float32(random):
    network, x = network_of("random"), random.normal(0, 50, (1, 40, 40, 3)).astype("float32")
    exact, near = (look(network, ("relu4",), (40, 40), precision=kind)(x)["relu4"] for kind in ("float32", "bfloat16"))
    exact, near = np.asarray(exact), np.asarray(near)
    assert near.dtype == np.float32
    error = np.linalg.norm(near - exact) / np.linalg.norm(exact)
    assert 1e-4 < error < 2e-2, "eight bits of mantissa, and not twenty-four"
