"""The facts of the networks: complete, light, and true to the graphs they speak of."""

import subprocess
import sys

import pytest

from imgnn.errors import UnknownNameError
from imgnn.networks import registry
from imgnn.networks.names import network_of
from tests.networks.prototxts import NETWORKS, deploy


def test_every_network_that_the_manual_names_is_there():
    assert registry.names() == ["mini", *NETWORKS, "random"]


@pytest.mark.parametrize("name", registry.names())
def test_a_network_has_its_facts(name):
    spec = registry.find(name)
    assert spec.title and spec.paper and spec.builder and spec.parameters
    assert len(spec.preprocessing.mean) == 3
    assert spec.roles.style and spec.roles.content and spec.roles.dream and spec.roles.features
    if spec.weights:
        assert spec.weights.licence and spec.weights.size and spec.weights.file and spec.weights.page
        assert spec.weights.url or spec.note  # without an address the user is told what to do
        assert spec.roles.classifier and spec.accuracy


@pytest.mark.parametrize("name", NETWORKS)
def test_roles_name_layers_or_blobs_of_the_prototxt(name):
    tops = deploy(name, registry.find(name).preprocessing.size).tops
    roles = registry.find(name).roles
    used = [*roles.style, *roles.content, *roles.dream, *roles.features, *roles.classifier]
    assert set(used) <= {*tops, *tops.values()}


@pytest.mark.parametrize("name", NETWORKS)
def test_tops_are_the_blobs_whose_names_differ(name):
    net = deploy(name, registry.find(name).preprocessing.size)
    writers = {
        layer: top for layer, top in net.tops.items() if layer in net.weights and not layer.startswith(("bn", "sc"))
    }
    assert registry.find(name).tops == {layer: top for layer, top in writers.items() if layer != top}


def test_names_are_found_whatever_their_case():
    assert registry.find("SqueezeNet_v1.1").name == "squeezenet-v1.1"
    assert registry.find("squeezenet").name == "squeezenet-v1.1"
    assert registry.find("VGG-19").name == "vgg19"


def test_aliases_are_written_as_find_looks_for_them_and_belong_to_one_network():
    every = [alias for spec in registry.SPECS.values() for alias in (spec.name, *spec.aliases)]
    assert len(every) == len(set(every))
    assert all(alias == alias.casefold().replace("_", "-") for alias in every)


def test_an_unknown_network_offers_the_near_ones():
    with pytest.raises(UnknownNameError, match="did you mean 'vgg19'") as caught:
        registry.find("vgg9")
    assert caught.value.hint == "imgnn networks lists them"


def test_class_words_are_those_of_the_synset_list(shared):
    lines = (shared / "data" / "imagenet" / "synset_words.txt").read_text().splitlines()
    assert [f"{word.wnid} {word.words}" for word in registry.class_words("imagenet")] == lines


def test_class_281_is_the_tabby():
    tabby = registry.class_words("imagenet")[281]
    assert (tabby.wnid, tabby.words, tabby.short) == ("n02123045", "tabby, tabby cat", "tabby")


def test_an_unknown_table_of_words_is_an_error():
    with pytest.raises(UnknownNameError, match="no table of class words is called 'places'"):
        registry.class_words("places")


def test_the_registry_is_light():
    code = (
        "import sys; from imgnn.networks import registry; registry.class_words('imagenet'); "
        "print({'keras', 'numpy', 'tensorflow'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_a_network_knows_its_words_and_where_it_comes_from():
    network = network_of("squeezenet-v1.1")
    assert network.words[281] == "n02123045 tabby, tabby cat"
    assert network.source["licence"] == "BSD 2-Clause"
    assert network.tensor("conv1") is network.model.get_layer("relu_conv1").output
    assert network.tensor("conv1@raw") is network.model.get_layer("conv1").output
    assert network.tensor("fire2/concat") is network.model.get_layer("fire2__concat").output
