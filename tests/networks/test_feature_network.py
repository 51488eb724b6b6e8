"""One vector of a picture: the means of maps over all places, side by side."""

import numpy as np
import pytest
from keras import ops

from imgnn.errors import InputError, UnknownNameError
from imgnn.networks.feature_network import FEATURE, feature_network, weights_digest
from imgnn.networks.features import look
from imgnn.networks.files import load_network_file, save_network
from tests.training.small import SIZE, small_network

LARGER = (20, 16)


def x_of(size, count=2):
    return np.random.default_rng(1).normal(0, 1, (count, *size, 3)).astype("float32")


def vectors(network, x):
    return ops.convert_to_numpy(network.model(x, training=False))


def maps(name, x):
    return ops.convert_to_numpy(look(small_network(), [name], x.shape[1:3])(x)[name])


@pytest.mark.parametrize("size", [SIZE, LARGER])
def test_of_a_map_the_mean_over_all_places_is_taken(size):
    x = x_of(size)
    made = feature_network(small_network(), ["conv1", "mix/output"], size)
    expected = np.concatenate([maps(name, x).mean(axis=(1, 2)) for name in ("conv1", "mix/output")], axis=1)
    found = vectors(made, x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_layer_that_sees_everything_is_taken_as_it_is_and_before_its_dropout():
    network, x = small_network(), x_of(SIZE)
    made = feature_network(network, ["fc2"], SIZE)
    drop = network.model.get_layer("drop2")
    expected = ops.convert_to_numpy(type(network.model)(network.model.input, drop.input)(x))
    np.testing.assert_allclose(vectors(made, x), expected, rtol=1e-5, atol=1e-6)
    assert (expected > 0).any()
    assert [layer.rate for layer in made.model.layers if isinstance(layer, type(drop))] == [0]


def test_it_is_a_network_with_a_layer_called_feature(tmp_path):
    made = feature_network(small_network(), ["mix/output"], LARGER)
    assert made.tensor(FEATURE).shape == (None, 10)
    assert "fc2" not in made.layers
    assert (made.preprocessing.size, made.preprocessing.crop, made.preprocessing.resize) == (LARGER, "caffe", 20)
    save_network(made, tmp_path / "network.keras")
    again = load_network_file(tmp_path / "network.keras")
    assert again.preprocessing == made.preprocessing
    np.testing.assert_allclose(vectors(again, x_of(LARGER)), vectors(made, x_of(LARGER)), atol=1e-6)
    assert weights_digest(again.model) == weights_digest(made.model)


def test_of_a_network_that_describes_its_feature_can_be_asked_for():
    made = feature_network(small_network(), ["mix/output"], LARGER)
    again = feature_network(made, [FEATURE], LARGER)
    np.testing.assert_allclose(vectors(again, x_of(LARGER)), vectors(made, x_of(LARGER)), atol=1e-6)
    assert weights_digest(again.model) == weights_digest(made.model)


def test_the_network_given_stays_as_it_is():
    network = small_network()
    before = weights_digest(network.model)
    made = feature_network(network, ["mix/output"], LARGER)
    for variable in made.model.weights:
        variable.assign(np.zeros(variable.shape, "float32"))
    assert weights_digest(network.model) == before


def test_the_digest_knows_every_weight_that_the_layers_need():
    def digest(changed=None, layer="conv1"):
        network = small_network()
        if changed:
            bias = network.model.get_layer(changed).weights[-1]
            bias.assign(np.asarray(bias) + np.float32(1e-3))
        return weights_digest(feature_network(network, [layer], SIZE).model)

    assert len(digest()) == 64
    assert digest() == digest() == digest("fc2")  # above conv1, and not asked for
    assert digest("conv1") != digest()
    assert digest("fc2", layer="fc2") != digest(layer="fc2")


def test_a_layer_that_is_not_there_is_told():
    with pytest.raises(UnknownNameError, match="no layer is called 'fc7'"):
        feature_network(small_network(), ["fc7"], SIZE)


def test_a_layer_that_wants_another_size_is_told():
    with pytest.raises(InputError, match="small takes no pictures of 20 x 16 pixels"):
        feature_network(small_network(), ["fc2"], LARGER)


def test_a_network_that_says_nothing_of_pixels_is_told():
    network = type(small_network())("bare", small_network().model, None, {}, {})
    with pytest.raises(InputError, match="bare does not say how a picture becomes its input"):
        feature_network(network, ["conv1"], SIZE)
