"""Caffe's names, read off a builder's graph."""

import keras

from imgnn.networks import layers
from imgnn.networks.names import caffe_names, helper_of


def test_only_the_ends_that_we_give_make_a_helper():
    names = {"conv1", "conv1__pad", "conv1__bn", "conv1__scale"}
    assert helper_of("conv1__pad", names) == "conv1"
    assert helper_of("conv1__bn", names) is None
    assert helper_of("other__pad", names) is None


def test_layers_called_after_another_are_layers_of_their_own():
    data = keras.Input((8, 8, 3), name="data")
    x = layers.conv(data, 4, 3, name="conv1", stride=2, pad=1)
    x = layers.scale(layers.batch_norm(x, name="conv1/bn"), name="conv1/scale")
    known, _ = caffe_names(keras.Model(data, x))
    assert list(known) == ["conv1", "conv1/bn", "conv1/scale"]
