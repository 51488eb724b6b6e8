"""keras.applications as `keras:NAME`: the preprocessing is Keras' own, and missing weights are one clear error."""

import importlib

import keras
import numpy as np
import pytest

from imgnn.errors import DownloadError, UnknownNameError, WeightsError
from imgnn.networks import applications
from imgnn.networks.applications import APPLICATIONS
from imgnn.networks.features import cut

MODULES = {
    "VGG16": "vgg16",
    "VGG19": "vgg19",
    "InceptionV3": "inception_v3",
    "InceptionResNetV2": "inception_resnet_v2",
    "Xception": "xception",
    "MobileNet": "mobilenet",
    "MobileNetV2": "mobilenet_v2",
    "MobileNetV3": "mobilenet_v3",
    "DenseNet": "densenet",
    "NASNet": "nasnet",
    "EfficientNetB": "efficientnet",
    "EfficientNetV2": "efficientnet_v2",
    "ConvNeXt": "convnext",
}


def module_of(function: str):
    """The module of keras.applications whose preprocess_input belongs to `function`."""
    if function.startswith("ResNet"):
        name = "resnet_v2" if function.endswith("V2") else "resnet"
    else:
        name = MODULES[max((prefix for prefix in MODULES if function.startswith(prefix)), key=len)]
    return importlib.import_module(f"keras.applications.{name}")


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    """An empty place for Keras' files."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path


def test_all_functions_of_keras_applications_are_there():
    functions = {name for name in dir(keras.applications) if name[0].isupper()}
    assert {application.function for application in APPLICATIONS.values()} == functions


@pytest.mark.parametrize("name", APPLICATIONS)
def test_preprocessing_is_what_keras_does(name, random):
    application = APPLICATIONS[name]
    prep = application.preprocessing
    image = random.integers(0, 256, (1, 5, 7, 3)).astype("float32")
    expected = module_of(application.function).preprocess_input(image.copy(), data_format="channels_last")
    ordered = image[..., ::-1] if prep.channel_order == "BGR" else image
    received = (ordered - np.array(prep.mean, "float32")) * np.array(prep.scale, "float32")
    np.testing.assert_allclose(received, expected, atol=1e-4)


@pytest.mark.parametrize("name", ["inception_v3", "resnet50", "mobilenet_v2", "vgg16"])
def test_roles_name_layers_that_exist(name):
    network = applications.load(name, include_top=name != "vgg16", weights=None)
    roles = network.roles
    top = () if name == "vgg16" else (*roles.features, *roles.classifier)
    for layer in (*roles.style, *roles.content, *roles.dream, *top):
        assert network.tensor(layer) is not None
    assert roles.style and roles.content and roles.dream


@pytest.mark.parametrize(
    "name",
    [
        "efficientnet_b0",
        "mobilenet_v3_small",
        pytest.param("convnext_tiny", marks=pytest.mark.slow),
        pytest.param("nasnet_mobile", marks=pytest.mark.slow),
        pytest.param("densenet121", marks=pytest.mark.slow),
    ],
)
def test_guessed_roles_can_be_cut_and_are_not_the_picture_itself(name):
    network = applications.load(f"keras:{name}", weights=None)
    kinds = [type(network.model.get_layer(each)).__name__ for each in network.roles.style]
    assert not {"Rescaling", "Normalization", "InputLayer"} & set(kinds)
    look = cut(network, (*network.roles.style, *network.roles.content, *network.roles.dream), (224, 224))
    assert len(look.outputs) >= 3


def test_layers_have_the_same_names_however_many_networks_were_built_before():
    keras.layers.Activation("relu")
    keras.layers.Conv2D(1, 1)
    first, second = (applications.load("keras:inception_v3", weights=None) for _ in range(2))
    names = [layer.name for layer in second.model.layers]
    assert names == [layer.name for layer in first.model.layers]
    assert len(set(names)) == len(names)
    assert names[1:4] == ["conv2d", "batch_normalization", "activation"]


def test_an_application_knows_its_classes_and_size():
    network = applications.load("keras:MobileNetV2", weights=None)
    assert network.name == "keras:mobilenet_v2"
    assert network.model.input.shape == (None, 224, 224, 3)
    assert network.words[281] == "n02123045 tabby, tabby cat"


def test_an_unknown_application_offers_the_near_ones():
    with pytest.raises(UnknownNameError, match="did you mean 'keras:inception_v3'"):
        applications.load("keras:inception_v4")


def test_without_network_and_weights_one_error_names_the_file(keras_home):
    with pytest.raises(WeightsError, match="IMGNN_OFFLINE forbids the network") as caught:
        applications.load("keras:mobilenet_v2")
    assert "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5" in str(caught.value)
    assert "put the file there yourself" in caught.value.hint


def test_the_file_looked_for_is_the_one_that_keras_fetches(monkeypatch):
    fetched = []

    def get_file(name, *_, **__):
        fetched.append(name)
        raise Exception(f"URL fetch failure on https://example.org/{name}: None -- [Errno -2] Name not known")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    monkeypatch.setenv("IMGNN_OFFLINE", "0")
    for name in ("mobilenet", "mobilenet_v3_small", "vgg16"):
        for include_top in (True, False):
            with pytest.raises(DownloadError) as caught:
                applications.load(name, include_top=include_top)
            assert str(caught.value) == (
                f"no weights for 'keras:{name}' on this machine: example.org cannot be reached (Name not known)"
            )
            assert f"get https://example.org/{fetched[-1]} elsewhere" in caught.value.hint
            assert fetched[-1] == APPLICATIONS[name].weights_path(include_top).name


def test_weights_in_keras_cache_are_used_offline(keras_home, random):
    made = applications.load("keras:mobilenet", weights=None).model
    path = APPLICATIONS["mobilenet"].weights_path()
    path.parent.mkdir(parents=True)
    made.save_weights(path.with_suffix(".weights.h5"))
    again = applications.load("keras:mobilenet", weights=path.with_suffix(".weights.h5")).model
    for one, other in zip(made.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_damaged_weights_file_is_one_error(tmp_path):
    path = tmp_path / "broken.weights.h5"
    path.write_bytes(b"not hdf5")
    with pytest.raises(WeightsError, match="keras:mobilenet"):
        applications.load("keras:mobilenet", weights=path)
