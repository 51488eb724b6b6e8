"""Which networks there are, where they are, and what they are made of."""

import pytest

from imgnn.errors import InputError, UnknownNameError
from imgnn.jobs.networks import describe_network, finer, list_networks
from imgnn.networks import registry, weights


def test_every_network_is_listed_with_where_its_weights_are(home):
    (home / "networks").mkdir()
    weights.converted_path("vgg19").write_bytes(b"")
    states = {each.spec.name: each.state for each in list_networks()}
    assert list(states) == registry.names()
    assert (states["mini"], states["vgg19"], states["vgg16"], states["resnet50"], states["random"]) == (
        "in the package", "here", "download", "by hand", "none needed",
    )  # fmt: skip


def test_what_is_finer_than_mini_costs_a_download_or_nothing(home):
    told = "Made with mini, the network in the package. Finer: --network"
    assert finer("squeezenet") == f"{told} squeezenet (5.0 MB to get)"
    assert finer("resnet50") == f"{told} resnet50 (102 MB to get by hand)"
    (home / "networks").mkdir()
    weights.converted_path("squeezenet-v1.1").write_bytes(b"")
    assert finer("squeezenet") == f"{told} squeezenet (it is on this machine)"


def test_a_network_is_described_without_its_weights():
    network, table = describe_network("vgg19")
    assert network.name == "vgg19"
    # 143.67 million parameters and 19.6 GFLOPs: Very Deep Convolutional Networks, table 2; He et al. 2015, section 3.3.
    assert table.parameters == 143_667_240
    assert table.macs == pytest.approx(19.6e9, rel=0.01)


def test_a_size_that_does_not_fit_is_said_with_the_sizes_that_do():
    _, table = describe_network("vgg19", (300, 400))
    assert table.rows[-1].name == "pool5"
    assert "fc6 wants 7 x 7 x 512 and would get 10 x 13 x 512" in table.notes[0]
    assert "heights of 193 to 224 and widths of 193 to 224 fit" in table.notes[0]


def test_a_converted_file_is_described(shared, tmp_path):
    from imgnn.jobs.convert import convert_caffemodel

    samples = shared / "caffe_samples"
    path = convert_caffemodel(samples / "det1.caffemodel", samples / "det1.prototxt", tmp_path / "det1.keras").path
    _, table = describe_network(str(path))
    assert table.row("conv1").kernel == (3, 3)
    assert table.parameters == 6_632


def test_keras_applications_are_described_without_a_download():
    _, table = describe_network("keras:mobilenet")
    assert table.parameters == 4_231_976  # keras.io/api/applications: 4.3 million, with BatchNorm's 21,888 statistics


def test_what_is_no_network_is_told():
    with pytest.raises(UnknownNameError, match="did you mean"):
        describe_network("vgg18")
    with pytest.raises(InputError, match="no such file"):
        describe_network("nowhere.keras")
