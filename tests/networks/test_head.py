"""A new head: the layers below stay what they were, the file is a network like any other."""

import keras
import numpy as np
import pytest
from keras import ops

from imgnn.backend import value_and_grad
from imgnn.errors import InputError, UnknownNameError
from imgnn.images.preprocessing import Preprocessing
from imgnn.networks import layers
from imgnn.networks.files import load_network_file, save_network
from imgnn.networks.head import ENLARGED, WEIGHT_DEVIATION, enlarged_size, head_layers, initialise, replace_head
from imgnn.networks.layers import Descriptor
from imgnn.networks.names import caffe_names, guess_roles, network_of
from imgnn.networks.network import Network
from tests.training.small import CLASSES, SIZE, small_network, with_head


def x_of(count=3, size=SIZE, seed=1):
    return np.random.default_rng(seed).normal(0, 1, (count, *size, 3)).astype("float32")


def answer(network, x):
    return ops.convert_to_numpy(network.model(x, training=False))


def activations(network, name, x):
    return ops.convert_to_numpy(keras.Model(network.model.input, network.tensor(name))(x, training=False))


# Descriptors


def test_a_descriptor_is_the_signed_root_of_the_means_with_length_one(random):
    features = random.normal(0, 5, (3, 4, 6, 7)).astype("float32")
    means = features.mean(axis=(1, 2))
    roots = np.sign(means) * np.sqrt(np.abs(means))
    expected = roots / np.linalg.norm(roots, axis=1, keepdims=True)
    np.testing.assert_allclose(ops.convert_to_numpy(Descriptor()(features)), expected, rtol=1e-5)


def test_a_descriptor_takes_a_vector_too(random):
    vector = random.normal(0, 5, (3, 7)).astype("float32")
    of_map = Descriptor()(vector[:, None, None])
    np.testing.assert_array_equal(ops.convert_to_numpy(Descriptor()(vector)), ops.convert_to_numpy(of_map))


def test_a_picture_in_which_nothing_fires_has_a_descriptor_of_zeros_and_a_slope(random):
    wanted = random.normal(size=(2, 4)).astype("float32")

    def distance(x):
        y = Descriptor()(x)
        return ops.sum(ops.square(y - wanted)), {"y": y}

    _, parts, gradient = value_and_grad(distance)(ops.zeros((2, 3, 3, 4)))
    np.testing.assert_array_equal(ops.convert_to_numpy(parts["y"]), np.zeros((2, 4)))
    assert np.isfinite(ops.convert_to_numpy(gradient)).all()


# The network's own classifier, anew


def test_a_new_classifier_has_an_output_for_each_class():
    network = with_head()
    assert network.model.output.shape == (None, 4)
    assert network.words == CLASSES
    assert network.roles.classifier == ("fc3",)
    np.testing.assert_allclose(answer(network, x_of()).sum(axis=1), 1, rtol=1e-6)


def test_the_trunk_gives_what_it_gave_to_the_last_bit():
    old = small_network()
    new = replace_head(old, CLASSES)
    for name in ("conv1", "mix/output", "fc2"):
        np.testing.assert_array_equal(activations(new, name, x_of()), activations(old, name, x_of()))


def test_the_old_network_is_left_as_it_is():
    old = small_network()
    config, weights, prob = old.model.get_config(), old.model.get_weights(), answer(old, x_of())
    for new in (replace_head(old, CLASSES), replace_head(old, CLASSES, layers=("mix/output", "fc2"))):
        for layer in new.model.layers:
            layer.set_weights([np.zeros_like(each) for each in layer.get_weights()])
    enlarged_size(old, ("mix/output",))
    assert old.model.get_config() == config
    assert old.words is None
    for before, now in zip(weights, old.model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, now)
    np.testing.assert_array_equal(answer(old, x_of()), prob)


def test_the_new_kernel_is_small_and_the_same_for_the_same_seed():
    kernels = [replace_head(small_network(), range(40), seed=seed).model.get_layer("fc3").kernel for seed in (1, 1, 2)]
    first, again, other = (ops.convert_to_numpy(kernel) for kernel in kernels)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.std() == pytest.approx(WEIGHT_DEVIATION, rel=0.1)


def test_dropout_draws_from_the_seed_and_drops_what_was_asked_for():
    drops = [with_head(drops=0.5).model.get_layer(name) for name in ("drop1", "drop2")]
    assert [layer.rate for layer in drops] == [0.5, 0.5]
    assert [layer.seed for layer in drops] == [6, 7]  # the seed is 5; no two drop the same
    assert with_head(dropout=0.2).model.get_layer("drop1").rate == 0.2


def squeezed(kernel: float = 1.0) -> Network:
    """SqueezeNet's end: a convolution, its ReLU, the mean over positions; `kernel`: of the layer below."""
    data = keras.Input((4, 4, 3), name="data")
    x = layers.relu(layers.conv(data, 5, 1, name="conv1"), name="relu1")
    x = layers.relu(layers.conv(x, 6, 1, name="conv10"), name="relu_conv10")
    x = layers.global_average_pool(x, name="pool10")
    model = keras.Model(data, layers.softmax(x, name="prob"))
    model.get_layer("conv1").kernel.assign(np.full((1, 1, 3, 5), kernel, "float32"))
    names, blobs = caffe_names(model)
    return Network("squeezed", model, Preprocessing((4, 4)), names, blobs, roles=guess_roles(model))


def test_the_relu_behind_a_classifier_is_left_out():
    old = squeezed()
    new = replace_head(old, ("a", "b"))
    assert [layer.name for layer in new.model.layers] == ["data", "conv1", "relu1", "conv10", "pool10", "prob"]
    assert new.blobs["conv10"] == ("conv10", 0)
    assert "relu_conv10" not in new.layers


def losses_of(network, steps=50):
    """Of a classifier whose outputs are all below 0 at first, trained on bright pictures and dark ones."""
    classifier = network.model.get_layer("conv10")
    classifier.kernel.assign(np.full(classifier.kernel.shape, -0.01, "float32"))
    x = np.abs(x_of(4, (4, 4)))
    x[:2] *= 4
    y = np.eye(classifier.filters, dtype="float32")[[0, 0, 1, 1]][:, None, None]
    network.model.compile(keras.optimizers.SGD(0.005), "categorical_crossentropy")
    return [float(network.model.train_on_batch(x, y)) for _ in range(steps)]


def test_a_classifier_that_a_relu_would_kill_learns_without_it():
    dead = losses_of(squeezed())
    assert dead[-1] == dead[0]
    alive = losses_of(replace_head(squeezed(), ("bright", "dark")))
    assert alive[-1] < 0.9 * alive[0]


def test_a_classifier_with_an_activation_of_its_own_loses_it():
    data = keras.Input((4, 4, 3))
    x = keras.layers.Flatten()(keras.layers.Conv2D(4, 3, name="conv")(data))
    model = keras.Model(data, keras.layers.Dense(10, activation="softmax", name="answer")(x))
    names = {layer.name: layer.name for layer in model.layers}
    old = Network("keras", model, Preprocessing((4, 4)), names, {}, roles=guess_roles(model))
    new = replace_head(old, CLASSES)
    assert [type(layer).__name__ for layer in new.model.layers[-2:]] == ["Dense", "Softmax"]
    assert new.model.get_layer("answer").activation is keras.activations.linear


def test_an_end_like_that_of_mobilenet_has_one_softmax():
    data = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(10, 4, name="conv_preds")(data)
    x = keras.layers.Reshape((10,), name="reshape")(x)
    model = keras.Model(data, keras.layers.Activation("softmax", name="predictions")(x))
    names = {layer.name: layer.name for layer in model.layers}
    old = Network("mobile", model, Preprocessing((4, 4)), names, {}, roles=guess_roles(model))
    new = replace_head(old, CLASSES)
    assert [layer.name for layer in new.model.layers[1:]] == ["conv_preds", "reshape", "prob"]
    assert new.model.output.shape == (None, 4)


def test_operations_between_the_layers_are_kept():
    data = keras.Input((4, 4, 3))
    x = ops.relu6(keras.layers.Flatten()(data) + 3.0)  # as in MobileNet v3
    model = keras.Model(data, keras.layers.Dense(10, activation="softmax", name="predictions")(x))
    names = {layer.name: layer.name for layer in model.layers}
    old = Network("operations", model, Preprocessing((4, 4)), names, {}, roles=guess_roles(model))
    new = replace_head(old, CLASSES)
    x = np.clip(x_of(size=(4, 4)).reshape(3, -1) + 3, 0, 6)
    logits = x @ ops.convert_to_numpy(new.model.get_layer("predictions").kernel)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(answer(new, x_of(size=(4, 4))), expected, rtol=1e-5)


def test_a_network_without_a_classifier_is_told_what_to_do():
    data = keras.Input((8, 8, 3), name="data")
    model = keras.Model(data, layers.relu(layers.conv(data, 4, 3, name="conv1"), name="relu1"))
    bare = Network("bare", model, Preprocessing((8, 8)), *caffe_names(model))
    with pytest.raises(InputError, match="bare has no classifier") as raised:
        replace_head(bare, CLASSES)
    assert "imgnn networks bare" in raised.value.hint
    assert replace_head(bare, CLASSES, layers=("conv1",)).roles.classifier == ("classifier",)


def test_a_network_whose_end_is_no_chain_is_refused():
    data = keras.Input((8, 8, 3), name="data")
    x = keras.layers.Flatten()(layers.conv(data, 4, 3, name="conv1"))
    both = keras.layers.Add()([keras.layers.Dense(5, name="one")(x), keras.layers.Dense(5, name="two")(x)])
    model = keras.Model(data, keras.layers.Softmax()(both))
    names = {layer.name: layer.name for layer in model.layers}
    network = Network("forked", model, Preprocessing((8, 8)), names, {}, roles=guess_roles(model))
    with pytest.raises(InputError, match="no classifier that could be replaced"):
        replace_head(network, CLASSES)


# A classifier on descriptors


def test_a_head_on_descriptors_multiplies_them_by_its_kernel():
    network = with_head(on=("mix/output", "fc2"))
    seen = [activations(small_network(), name, x_of()) for name in ("mix/output", "fc2")]
    descriptors = [ops.convert_to_numpy(Descriptor()(each)) for each in seen]
    kernel, bias = (ops.convert_to_numpy(v) for v in network.model.get_layer("fc3").weights)
    logits = np.concatenate(descriptors, axis=1) @ kernel + bias
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(answer(network, x_of()), expected, rtol=1e-5)


def test_layers_that_no_descriptor_needs_are_not_there():
    network = with_head(on=("mix/output",))
    assert "fc2" not in network.layers
    assert not any(layer.name in ("fc2", "relu2", "drop1", "drop2") for layer in network.model.layers)
    assert network.tensor("mix/output/descriptor").shape == (None, 10)


def test_a_descriptor_looks_at_what_dropout_has_not_touched():
    # The blob fc2 is what drop2, in place, left of it.
    assert small_network().blobs["fc2"] == ("drop2", 0)
    inputs = with_head(on=("fc2",)).model.get_layer("fc2__descriptor").input
    assert inputs._keras_history.operation.name == "relu2"


def test_dropout_of_a_head_on_descriptors_is_of_the_descriptors():
    network = with_head(on=("mix/output", "fc2"), dropout=0.3)
    drops = [layer for layer in network.model.layers if isinstance(layer, keras.layers.Dropout)]
    assert {layer.name: layer.rate for layer in drops} == {"drop1": 0.0, "descriptors__drop": 0.3}


def test_an_unknown_layer_is_named_with_its_neighbours():
    with pytest.raises(UnknownNameError, match="no layer is called 'mix/outptu'; did you mean 'mix/output'"):
        replace_head(small_network(), CLASSES, layers=("mix/outptu",))


# What is kept


@pytest.mark.parametrize("on", [(), ("mix/output", "fc2")])
def test_the_layers_of_the_other_recipes_exist(on):
    network = with_head(on=on)
    for role in ("style", "features", "classifier", "head"):
        for name in getattr(network.roles, role):
            assert network.tensor(name) is not None
    assert network.roles.style == ("conv1", "mix/output")
    assert network.roles.features


@pytest.mark.parametrize("on", [(), ("mix/output", "fc2")])
def test_the_file_of_a_new_head_answers_the_same(tmp_path, on):
    network = with_head(on=on)
    save_network(network, tmp_path / "new.keras")
    loaded = load_network_file(tmp_path / "new.keras")
    np.testing.assert_array_equal(answer(loaded, x_of()), answer(network, x_of()))
    assert (loaded.words, loaded.roles, loaded.layers) == (network.words, network.roles, network.layers)
    plain = keras.models.load_model(tmp_path / "new.keras")
    np.testing.assert_array_equal(ops.convert_to_numpy(plain(x_of())), answer(network, x_of()))


def test_a_finetuned_network_can_be_finetuned_again():
    once = with_head(on=("mix/output", "fc2"))
    again = replace_head(once, ("left", "right"))
    assert again.model.output.shape == (None, 2)
    assert head_layers(again) == ("mix/output", "fc2")


# Pictures of another size


def test_a_convolutional_network_takes_another_size_and_says_so():
    new = replace_head(small_network(), CLASSES, layers=("mix/output",), size=(20, 16))
    assert new.model.input.shape == (None, 20, 16, 3)
    assert new.preprocessing.size == (20, 16)
    assert new.preprocessing.resize == 23  # 8 / 7 of the larger side, as 256 of 224
    assert answer(new, x_of(size=(20, 16))).shape == (3, 4)


def test_a_fully_connected_layer_wants_its_own_size():
    with pytest.raises(InputError, match="small takes no pictures of 16 x 16 pixels") as raised:
        replace_head(small_network(), CLASSES, size=(16, 16))
    assert raised.value.hint == "leave --size away"


def test_a_head_that_pools_more_than_there_is_wants_a_larger_picture():
    nin = network_of("nin")
    with pytest.raises(InputError, match="nin takes no pictures of 128 x 128 pixels"):
        replace_head(nin, CLASSES, size=(128, 128))


def test_pictures_are_enlarged_for_descriptors_of_maps_alone():
    network = network_of("squeezenet-v1.1")
    assert enlarged_size(network, ("fire8/concat", "fire9/concat")) == (320, 320)
    new = replace_head(network, CLASSES, layers=("fire9/concat",), size=(320, 320))  # though its layers were called
    assert new.tensor("fire9/concat").shape == (None, 19, 19, 512)
    assert round(227 * ENLARGED / 32) * 32 == round(224 * ENLARGED / 32) * 32 == 320
    small = small_network()
    assert enlarged_size(small, ("fc2",)) == SIZE


# The published networks


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("squeezenet-v1.1", ["drop9", "conv10", "pool10", "prob"]),
        ("googlenet", ["pool5__drop_7x7_s1", "loss3__classifier__flatten", "loss3__classifier", "prob"]),
        ("nin", ["relu11", "cccp8-1024", "pool4", "prob"]),
    ],
)
def test_the_end_of_a_published_network_stays_but_for_its_classes(name, end):
    new = replace_head(network_of(name), CLASSES)
    assert [layer.name for layer in new.model.layers[-4:]] == end
    assert new.model.output.shape[-1] == 4


@pytest.mark.parametrize("name", ["squeezenet-v1.1", "googlenet", "nin"])
def test_every_layer_that_a_published_network_names_for_its_head_exists(name):
    network = network_of(name)
    assert head_layers(network)
    new = replace_head(network, CLASSES, layers=head_layers(network))
    assert new.model.output.shape == (None, 4)
    assert new.roles.head == network.roles.head


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet", "caffenet", "resnet50"])
def test_a_large_published_network_takes_both_heads(name):
    network = network_of(name)
    for on in ((), head_layers(network)):
        new = replace_head(network, CLASSES, layers=on)
        size = network.preprocessing.size
        assert answer(new, x_of(1, size)).reshape(-1).shape == (4,)


def test_the_features_of_a_real_network_are_left_by_its_new_head(shared):
    path = shared / "weights" / "squeezenet_v1.1.caffemodel"
    if not path.is_file():
        pytest.skip(f"no {path}")
    from imgnn.jobs.load import load_network

    old = load_network(str(path))
    new = replace_head(old, CLASSES)
    x = 50 * x_of(1, (227, 227))
    np.testing.assert_array_equal(activations(new, "fire9/concat", x), activations(old, "fire9/concat", x))


# From nothing


def test_random_weights_have_the_variance_that_keeps_activations_through_relus():
    data = keras.Input((8, 8, 3), name="data")
    x = layers.conv(data, 64, 5, name="conv1")
    x = layers.relu(layers.conv(x, 64, 3, group=2, name="conv2"), name="relu2")
    model = keras.Model(data, layers.softmax(layers.inner_product(x, 100, name="fc3"), name="prob"))
    made = initialise(Network("made", model, Preprocessing((8, 8)), {}, {}), seed=1)
    assert made.preprocessing.scale == (1 / 64, 1 / 64, 1 / 64)
    deviations = {layer.name: ops.convert_to_numpy(layer.kernel).std() for layer in model.layers if layer.weights}
    # Inputs of a unit: 5 * 5 * 3; of a group of 32 channels 3 * 3 * 32.
    assert deviations["conv1"] == pytest.approx(np.sqrt(2 / 75), rel=0.05)
    assert deviations["conv2"] == pytest.approx(np.sqrt(2 / 288), rel=0.05)
    assert deviations["fc3"] == pytest.approx(0.01, rel=0.05)


def test_random_weights_are_the_same_for_the_same_seed():
    networks = [small_network(seed=seed) for seed in (1, 2, 3)]
    for network, seed in zip(networks, (7, 7, 8), strict=True):
        initialise(network, seed)
    first, again, other = (network.model.get_layer("fc2").get_weights() for network in networks)
    np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])
    assert not first[1].any()  # biases
