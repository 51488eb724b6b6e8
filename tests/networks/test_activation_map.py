import keras
import numpy as np
import pytest
from keras import layers

from imgnn.errors import InputError
from imgnn.networks.activation_map import class_activation
from imgnn.networks.layers import Descriptor
from imgnn.networks.network import Network

SIZE, CLASSES = (12, 16), 4


def network_of(head, size=SIZE):
    """Two convolutions, 6 channels of 5 x 7 places for 12 x 16 pixels; then `head`."""
    keras.utils.set_random_seed(3)
    data = keras.Input((*size, 3), name="data")
    first = layers.Conv2D(5, 3, strides=2, activation="relu", name="conv1")(data)
    second = layers.Conv2D(6, 3, padding="same", activation="relu", name="conv2")(first)
    return Network("tiny", keras.Model(data, head(first, second)), None, {}, {})


def mean_and_dense(first, second):
    x = layers.GlobalAveragePooling2D(name="pool")(second)
    return layers.Softmax(name="prob")(layers.Dense(CLASSES, name="fc")(x))


def softmax_inside(first, second):
    x = layers.GlobalAveragePooling2D(name="pool")(second)
    return layers.Dense(CLASSES, activation="softmax", name="fc")(x)


def conv_and_mean(first, second):
    x = layers.Conv2D(CLASSES, 1, name="conv3")(layers.Dropout(0.5, name="drop")(second))
    x = layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
    return layers.Softmax(name="prob")(x)


def in_caffes_order(first, second):
    x = layers.Flatten(name="flat")(layers.Permute((3, 1, 2), name="nchw")(second))
    return layers.Softmax(name="prob")(layers.Dense(CLASSES, name="fc")(x))


def descriptors(first, second):
    # The deeper one first: the order in which they are joined says nothing.
    x = [Descriptor(name=f"descriptor{number}")(each) for number, each in ((2, second), (1, first))]
    x = layers.Dense(CLASSES, name="fc")(layers.Concatenate(name="descriptors")(x))
    return layers.Softmax(name="prob")(x)


@pytest.fixture
def x(random):
    return random.normal(size=(3, *SIZE, 3)).astype("float32")


def values(network, name, x):
    return np.asarray(keras.Model(network.model.inputs[0], network.model.get_layer(name).output).predict_on_batch(x))


def scaled(maps):
    """What speaks for the class, the strongest place 1."""
    maps = np.maximum(maps, 0)
    return maps / maps.max(axis=(1, 2), keepdims=True)


CHOSEN = [2, 0, 3]


@pytest.mark.parametrize("head", [mean_and_dense, softmax_inside])
def test_behind_a_mean_it_is_cam(head, x):
    """CAM, arXiv:1512.04150, eq. 2: the channels, each by the classifier's own weight."""
    network = network_of(head)
    kernel = np.asarray(network.model.get_layer("fc").kernel)  # (channels, classes)
    cam = np.einsum("nhwc,cn->nhw", values(network, "conv2", x), kernel[:, CHOSEN])
    found = class_activation(network, x, CHOSEN)
    assert (found.shape, found.dtype) == ((3, 5, 7), np.float32)
    np.testing.assert_allclose(found, scaled(cam), rtol=1e-4, atol=1e-5)


def test_where_the_last_map_has_a_channel_for_each_class_it_is_that_channel(x):
    """Network in Network, arXiv:1312.4400, section 3.2, and so SqueezeNet: a mean over a map for each class."""
    network = network_of(conv_and_mean)
    own = np.stack([values(network, "conv3", x)[n, ..., c] for n, c in enumerate(CHOSEN)])
    np.testing.assert_allclose(class_activation(network, x, CHOSEN), scaled(own), rtol=1e-4, atol=1e-5)


def test_before_a_fully_connected_layer_a_channel_weighs_the_mean_of_its_places(x):
    network = network_of(in_caffes_order)
    kernel = np.asarray(network.model.get_layer("fc").kernel).reshape(6, 5, 7, CLASSES)
    maps = np.einsum("nhwc,cn->nhw", values(network, "conv2", x), kernel.mean(axis=(1, 2))[:, CHOSEN])
    np.testing.assert_allclose(class_activation(network, x, CHOSEN), scaled(maps), rtol=1e-4, atol=1e-5)


def test_of_several_descriptors_the_deepest_layer_is_shown(x):
    """The slope of the score by each channel's mean, found by steps in float64; the other layer stays as it is."""
    network = network_of(descriptors)
    maps, kernel = values(network, "conv2", x).astype("float64"), np.asarray(network.model.get_layer("fc").kernel)

    def score(means, chosen):
        roots = np.sign(means) * np.sqrt(np.abs(means))
        return roots / np.linalg.norm(roots) @ kernel[:6, chosen].astype("float64")

    step, expected = 1e-6, []
    for each, chosen in zip(maps, CHOSEN, strict=True):
        means = each.mean(axis=(0, 1))
        assert (means > 1e-3).all(), "a root has no slope at 0"
        slopes = [score(means + d, chosen) - score(means - d, chosen) for d in step * np.eye(6)]
        expected.append(each @ slopes)
    np.testing.assert_allclose(class_activation(network, x, CHOSEN), scaled(np.array(expected)), rtol=1e-3, atol=1e-4)


def test_pictures_do_not_see_each_other(random):
    """Also where they go through the network in several batches."""
    x = random.normal(size=(18, *SIZE, 3)).astype("float32")
    network, chosen = network_of(mean_and_dense), np.arange(18) % CLASSES
    alone = class_activation(network, x[17:], chosen[17:])
    np.testing.assert_allclose(class_activation(network, x, chosen)[17:], alone, rtol=1e-4, atol=1e-5)


def test_where_nothing_speaks_for_a_class_nothing_is_hot(x):
    network = network_of(mean_and_dense)
    layer = network.model.get_layer("fc")
    layer.set_weights([-np.abs(layer.get_weights()[0]), layer.get_weights()[1]])
    assert not class_activation(network, x, CHOSEN).any()


def test_a_network_of_any_size_gives_a_map_of_the_pictures_size(random):
    network = network_of(mean_and_dense, size=(None, None))
    x = random.normal(size=(1, 20, 32, 3)).astype("float32")
    assert class_activation(network, x, [1]).shape == (1, 9, 15)


def test_the_network_is_left_as_it_was(x):
    network = network_of(descriptors)
    before, names = network.model.predict_on_batch(x), [layer.name for layer in network.model.layers]
    class_activation(network, x, CHOSEN)
    class_activation(network, x, CHOSEN)
    np.testing.assert_array_equal(network.model.predict_on_batch(x), before)
    assert [layer.name for layer in network.model.layers] == names
    assert network.tensor("conv2").shape == (None, 5, 7, 6)


def test_a_network_without_a_map_is_refused_in_words(random):
    data = keras.Input((4, 4, 3), name="data")
    x = layers.Softmax()(layers.Dense(2)(layers.Flatten()(data)))
    flat = Network("flat", keras.Model(data, x), None, {}, {})
    with pytest.raises(InputError, match="flat has no layer with a map over the picture"):
        class_activation(flat, random.normal(size=(1, 4, 4, 3)), [0])


def test_each_picture_needs_a_class(x):
    with pytest.raises(InputError, match="a class for each of 3 pictures was expected; 2 were received"):
        class_activation(network_of(mean_and_dense), x, [0, 1])
