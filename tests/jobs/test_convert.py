"""A .caffemodel becomes one file: recognised or built, complete, and right to the digit."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from imgnn.caffe.layer import Layer
from imgnn.caffe.message import Message
from imgnn.caffe.net import Net
from imgnn.errors import ConversionError, InputError, UnknownNameError, WeightsError
from imgnn.jobs import convert
from imgnn.jobs.convert import convert_caffemodel
from imgnn.jobs.convert_plan import recognise
from imgnn.jobs.load import load_network
from imgnn.networks import registry
from imgnn.networks.files import load_network_file, read_facts, read_mean_image, unallocated
from imgnn.networks.names import network_of
from imgnn.networks.registry import class_words
from imgnn.options import ConvertOptions
from imgnn.runs import Silent
from tests.caffe.encode import encode_blob, encode_net
from tests.networks import prototxts

NET = """
name: "little" input: "data" input_shape { dim: 1 dim: 3 dim: 9 dim: 7 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "odd" type: "Odd" bottom: "conv" top: "odd" }
layer { name: "fc" type: "InnerProduct" bottom: "odd" top: "fc" inner_product_param { num_output: 5 } }
"""
PLAIN = NET.replace('layer { name: "odd" type: "Odd" bottom: "conv" top: "odd" }\n', "").replace('"odd"', '"conv"')
BLOBS = {
    "conv": [np.arange(108, dtype="float32").reshape(4, 3, 3, 3), np.ones(4, "float32")],
    "fc": [np.arange(5 * 4 * 7 * 5, dtype="float32").reshape(5, 140), np.zeros(5, "float32")],
}


class Listener(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Files without -o go to the current folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def little(tmp_path) -> Path:
    """A net of its own, which describes itself."""
    path = tmp_path / "little.caffemodel"
    path.write_bytes(encode_net(PLAIN, BLOBS))
    return path


def squeezenet(path: Path, random, *, rename: tuple[str, str] = ("", ""), classes: int = 1000) -> Path:
    """SqueezeNet v1.1 with random numbers, perhaps with another classifier."""
    net = prototxts.deploy("squeezenet-v1.1", (227, 227), classes)
    blobs = {name.replace(*rename): arrays for name, arrays in prototxts.random_blobs(net, random).items()}
    path.write_bytes(encode_net(net.text.replace(*rename), blobs))
    return path


# Real files.


def test_squeezenet_is_recognised_and_kept_where_it_is_found_by_name(shared, home):
    source = shared / "weights" / "squeezenet_v1.1.caffemodel"
    result = convert_caffemodel(source)
    assert (result.network, result.is_kept, result.path) == (
        "squeezenet-v1.1", True, home / "networks" / "squeezenet-v1.1.keras",
    )  # fmt: skip
    assert (result.count("loaded"), len(result.rows), result.parameters) == (26, 26, 1_235_496)
    facts = read_facts(result.path)
    assert facts["source"]["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert (facts["source"]["file"], facts["source"]["licence"]) == ("squeezenet_v1.1.caffemodel", "BSD 2-Clause")
    assert facts["words"][281] == f"n02123045 {class_words('imagenet')[281].words}"
    assert facts["preprocessing"]["mean"] == [104.0, 117.0, 123.0]


def test_every_blob_agrees_with_opencv(shared):
    pytest.importorskip("cv2")
    options = ConvertOptions(verify=shared / "photos" / "cat.jpg")
    verified = convert_caffemodel(shared / "weights" / "squeezenet_v1.1.caffemodel", options=options).verification
    assert verified.oracle.startswith("OpenCV 4")
    assert len(verified.rows) > 60
    assert verified.worst.relative_error <= 1e-5


def test_an_old_googlenet_is_recognised_and_its_shapes_are_told(shared):
    result = convert_caffemodel(shared / "weights" / "bvlc_googlenet.caffemodel")
    assert (result.network, result.parameters) == ("googlenet", 6_998_552)
    assert result.count("loaded") + result.count("reshaped") == len(result.rows) == 58


def test_a_finished_model_trains_in_plain_keras(shared, random):
    path = convert_caffemodel(shared / "weights" / "squeezenet_v1.1.caffemodel").path
    model = keras.saving.load_model(path)
    model.compile("sgd", "mse")
    x = random.random((1, 227, 227, 3), "float32")
    model.fit(x, np.zeros(model.output_shape[1:], "float32")[None], verbose=0)


def test_mtcnn_is_built_from_its_prototxt_and_left_over_weights_are_told(shared, tmp_path):
    samples = shared / "caffe_samples"
    result = convert_caffemodel(samples / "det2.caffemodel", samples / "det2.prototxt")
    assert (result.path, result.network, result.spec) == (Path("det2.keras"), "det2", None)
    assert [(row.layer, row.why) for row in result.rows if row.status == "skipped"] == [
        ("conv5-3", "the network has no such layer")
    ]


def test_a_prototxt_beside_it_is_used_and_told(shared):
    listener = Listener()
    convert_caffemodel(shared / "weights" / "vgg19_conv1_to_conv3.caffemodel", reporter=listener)
    assert any("built as" in note and "vgg19_conv1_to_conv3.prototxt beside it says" in note for note in listener.notes)


def test_a_prototxt_beside_it_of_other_weights_is_not_used(shared):
    listener = Listener()
    result = convert_caffemodel(shared / "caffe_samples" / "upconv_7_rgb_scale2.0x.caffemodel", reporter=listener)
    assert any("is of other weights (layer conv1_layer does not fit)" in note for note in listener.notes)
    assert result.count("loaded") == 7


# Recognition.


def stand_in(name: str, order: list[str] | None = None, called: str = "") -> tuple[Net, dict[str, list[np.ndarray]]]:
    """The net of a registry's network as a file would give it; its blobs take no memory."""
    network = network_of(name)
    nothing = np.zeros((), "float32")
    blobs = {}
    for caffe, own in network.layers.items():
        if weights := network.model.get_layer(own).weights:
            blobs[caffe] = [np.broadcast_to(nothing, w.shape) for w in weights]
            if isinstance(network.model.get_layer(own), keras.layers.BatchNormalization):
                blobs[caffe].append(np.zeros(1, "float32"))
    layers = [Layer(each, "", (), (), Message("LayerParameter")) for each in order or network.layers]
    return Net(called, {}, tuple(layers)), blobs


@pytest.mark.parametrize("name", [name for name in registry.names() if registry.find(name).weights])
def test_every_network_of_the_registry_is_recognised(name):
    spec, _ = unallocated(lambda: recognise(*stand_in(name), Silent()))
    assert spec.name == name


def test_caffenet_and_alexnet_are_told_apart_by_name_where_only_weights_are_left():
    weighted = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    spec, _ = unallocated(lambda: recognise(*stand_in("alexnet", weighted, called="AlexNet"), Silent()))
    assert spec.name == "alexnet"
    listener = Listener()
    unallocated(lambda: recognise(*stand_in("alexnet", weighted), listener))
    assert listener.notes == [
        "caffenet and alexnet have the same weights; taken as caffenet (--network says otherwise)"
    ]


def test_googlenet_with_its_auxiliary_heads_is_recognised_and_the_heads_are_left_over():
    def run():
        net, blobs = stand_in("googlenet")
        heads = {f"loss{n}/{part}": [np.zeros(1, "float32")] for n in (1, 2) for part in ("conv", "fc", "classifier")}
        return recognise(net, {**blobs, **heads}, Silent())

    assert unallocated(run)[0].name == "googlenet"


def test_half_a_network_is_not_recognised():
    def run():
        net, blobs = stand_in("vgg16")
        return recognise(net, {name: blobs[name] for name in list(blobs)[:8]}, Silent())

    assert unallocated(run) is None


# A definition that differs, and files that are not the published ones.


def altered(tmp_path, random, old: str, new: str) -> tuple[Path, Path]:
    """SqueezeNet v1.1 whose definition says something else: caffemodel and prototxt."""
    net = prototxts.deploy("squeezenet-v1.1", (227, 227), 1000)
    text = net.text.replace(old, new)
    assert text != net.text
    source = tmp_path / "altered.caffemodel"
    source.write_bytes(encode_net(text, prototxts.random_blobs(net, random)))
    (tmp_path / "given.prototxt").write_text(text)
    return source, tmp_path / "given.prototxt"


@pytest.mark.parametrize("is_given", [True, False])
def test_a_net_that_pools_otherwise_is_built_as_it_says(tmp_path, random, home, is_given):
    source, prototxt = altered(tmp_path, random, "pool: MAX", "pool: AVE")
    listener = Listener()
    result = convert_caffemodel(source, prototxt if is_given else None, reporter=listener)
    assert (result.spec, result.path) == (None, Path("altered.keras"))
    assert "AveragePool" in type(load_network_file(result.path).model.get_layer("pool1")).__name__
    described = prototxt.name if is_given else source.name
    assert any(
        f"{described} differs from the published SqueezeNet v1.1 (layer pool1" in note and "is followed" in note
        for note in listener.notes
    )


def test_a_net_that_is_wired_otherwise_is_built_as_it_says(tmp_path, random):
    source, _ = altered(
        tmp_path, random,
        'bottom: "fire2/expand1x1" bottom: "fire2/expand3x3"', 'bottom: "fire2/expand3x3" bottom: "fire2/expand1x1"',
    )  # fmt: skip
    listener = Listener()
    assert convert_caffemodel(source, reporter=listener).spec is None
    assert any("what goes into layer fire3/squeeze1x1" in note for note in listener.notes)


def test_a_prototxt_with_a_layer_that_has_no_place_is_not_taken_for_the_published_one(tmp_path, random):
    source, prototxt = altered(tmp_path, random, 'name: "pool1" type: "Pooling"', 'name: "pool1" type: "Odd"')
    with pytest.raises(ConversionError, match=r"layer pool1 \(Odd"):
        convert_caffemodel(source, prototxt)


def test_names_without_weights_and_dropout_do_not_make_another_network(tmp_path, random):
    source, _ = altered(tmp_path, random, '"relu_conv1"', '"relu0"')
    assert convert_caffemodel(source).spec.name == "squeezenet-v1.1"


def test_a_network_of_ones_own_does_not_take_the_place_of_the_published_one(shared, tmp_path, random, home):
    published = shared / "weights" / "squeezenet_v1.1.caffemodel"
    listener = Listener()
    kept = convert_caffemodel(published, reporter=listener).path
    assert listener.notes == ["taken as SqueezeNet v1.1 though its bytes are not the published ones"]
    assert convert_caffemodel(published).path == kept  # the same file again
    result = convert_caffemodel(squeezenet(tmp_path / "mine.caffemodel", random), reporter=listener)
    assert (result.path, result.network, result.is_kept) == (Path("mine.keras"), "mine", False)
    assert read_facts(kept)["source"]["file"] == "squeezenet_v1.1.caffemodel"
    assert "licence" not in read_facts(result.path)["source"]
    assert f"{kept} stays, this one goes to mine.keras" in listener.notes[-1]


def test_bytes_that_are_known_replace_what_is_kept(tmp_path, random, home, monkeypatch):
    kept = convert_caffemodel(squeezenet(tmp_path / "mine.caffemodel", random)).path
    published = squeezenet(tmp_path / "published.caffemodel", random)
    monkeypatch.setattr(convert.weights, "mismatch", lambda path, _: None if path == published else "other bytes")
    assert convert_caffemodel(published).path == kept
    assert read_facts(kept)["source"]["file"] == "published.caffemodel"


def test_what_the_data_layer_of_a_variant_says_wins_over_the_registry(tmp_path, random):
    net = prototxts.deploy("squeezenet-v1.1", (227, 227), 205)
    transform = "transform_param { crop_size: 227 mean_value: 90 mean_value: 91 mean_value: 92 scale: 0.5 }"
    data = f'layer {{ name: "data" type: "Data" top: "data" top: "label" {transform} data_param {{ batch_size: 4 }} }}'
    first = net.text.index("layer")
    text = 'name: "Places"\n' + data + net.text[first:]
    (tmp_path / "places.caffemodel").write_bytes(encode_net(text, prototxts.random_blobs(net, random)))
    listener = Listener()
    network = load_network_file(convert_caffemodel(tmp_path / "places.caffemodel", reporter=listener).path)
    assert (network.preprocessing.mean, network.preprocessing.scale) == ((90.0, 91.0, 92.0), (0.5,) * 3)
    assert not any("assumed" in note for note in listener.notes)


# Other numbers of outputs, other names of the classifier.


def test_a_places_version_is_recognised_and_does_not_take_the_place_of_the_published_one(tmp_path, random, home):
    source = squeezenet(tmp_path / "places.caffemodel", random, classes=205)
    listener = Listener()
    result = convert_caffemodel(source, reporter=listener)
    assert (result.spec.name, result.path, result.is_kept) == ("squeezenet-v1.1", Path("places.keras"), False)
    network = load_network_file(result.path)
    assert "licence" not in network.source
    assert "assumed is SqueezeNet v1.1's, BGR minus 104, 117, 123" in listener.notes[-1]
    assert (network.name, network.model.output_shape[-1], network.words) == ("places", 205, None)


def test_a_classifier_of_another_name_is_found_by_its_role(tmp_path, random):
    source = squeezenet(tmp_path / "style.caffemodel", random, rename=("conv10", "conv10_flickr"), classes=20)
    result = convert_caffemodel(source, options=ConvertOptions(network="squeezenet"))
    assert {row.layer: row.why for row in result.rows if row.why} == {"conv10": "the file calls it conv10_flickr"}
    assert load_network_file(result.path).model.output_shape[-1] == 20


def test_a_network_without_its_classifier_is_built_without_it(tmp_path, random):
    net = prototxts.deploy("squeezenet-v1.1", (227, 227), 1000)
    blobs = prototxts.random_blobs(net, random)
    del blobs["conv10"]
    (tmp_path / "headless.caffemodel").write_bytes(encode_net(net.text, blobs))
    listener = Listener()
    result = convert_caffemodel(
        tmp_path / "headless.caffemodel", options=ConvertOptions("squeezenet"), reporter=listener
    )
    assert listener.notes[0] == "the file holds SqueezeNet v1.1 up to fire9/expand3x3; the network ends before conv10"
    assert (result.path, len(result.rows)) == (Path("headless.keras"), 25)


def test_a_file_that_holds_the_lower_layers_gives_the_network_as_far_as_they_go(shared, home):
    source = shared / "weights" / "vgg19_conv1_to_conv3.caffemodel"
    options, listener = ConvertOptions("vgg19", verify=shared / "photos" / "cat.jpg"), Listener()
    result = convert_caffemodel(source, options=options, reporter=listener)
    assert listener.notes[0] == "the file holds VGG-19 up to conv3_4; the network ends before conv4_1"
    assert (result.network, result.path, result.count("loaded")) == (source.stem, Path(f"{source.stem}.keras"), 8)
    assert result.verification.ok()
    network = load_network_file(result.path)
    assert network.model.output.name == network.tensor("pool3").name
    assert (network.preprocessing.mean, network.words) == (registry.VGG_MEAN, None)
    assert network.roles.style == ("relu1_1", "relu2_1", "relu3_1")


def test_a_part_never_takes_the_place_of_the_whole_network(shared, home, monkeypatch):
    monkeypatch.setenv("IMGNN_WEIGHTS_URL", str(shared / "weights" / "vgg19_conv1_to_conv3.caffemodel"))
    with pytest.raises(WeightsError, match="is not the whole of VGG-19"):
        load_network("vgg19")
    assert not list((home / "networks").glob("*.keras"))


def test_a_net_of_vggs_layers_is_prepared_and_looked_at_as_vgg_is(shared):
    listener = Listener()
    network = load_network_file(
        convert_caffemodel(shared / "weights" / "vgg19_conv1_to_conv3.caffemodel", reporter=listener).path
    )
    assert any("assumed is VGG-19's, BGR minus 103.939, 116.779, 123.68" in note for note in listener.notes)
    assert network.preprocessing.mean == registry.VGG_MEAN
    assert network.roles.style == ("relu1_1", "relu2_1", "relu3_1")


def test_a_file_with_a_hole_is_not_taken_for_a_lower_part(tmp_path, random):
    net = prototxts.deploy("squeezenet-v1.1", (227, 227), 1000)
    blobs = prototxts.random_blobs(net, random)
    del blobs["fire5/squeeze1x1"]
    (tmp_path / "hole.caffemodel").write_bytes(encode_net(net.text, blobs))
    with pytest.raises(WeightsError, match=r"1 of the 26 layers of squeezenet-v1\.1 are not in the file: fire5/squ"):
        convert_caffemodel(tmp_path / "hole.caffemodel", options=ConvertOptions("squeezenet"))


def test_a_prototxt_of_other_weights_is_named(little, tmp_path):
    (tmp_path / "other.prototxt").write_text(PLAIN.replace('"conv"', '"c1"').replace('"fc"', '"f1"'))
    with pytest.raises(WeightsError, match="none of its 2 layers with weights is in the file") as caught:
        convert_caffemodel(little, tmp_path / "other.prototxt")
    assert str(caught.value).startswith("other.prototxt is not the prototxt of little.caffemodel: ")


def test_what_cannot_be_read_or_written_is_told_before_the_work(little, tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "read_net", None)  # the work
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(InputError, match=r"text\.jpg is not a picture: it is a text"):
        convert_caffemodel(little, options=ConvertOptions(verify=tmp_path / "text.jpg"))
    with pytest.raises(InputError, match="there is no folder"):
        convert_caffemodel(little, output="nowhere/a.keras")
    with pytest.raises(InputError, match=r"is a folder, not a \.caffemodel file"):
        convert_caffemodel(tmp_path)


def test_paths_may_be_text(little):
    assert convert_caffemodel("little.caffemodel", output="text.keras").path == Path("text.keras")


def test_a_file_of_another_network_names_the_layers_that_are_not_in_it(little):
    with pytest.raises(WeightsError, match="19 of the 19 layers of vgg19 are not in the file: conv1_1, conv1_2, "):
        convert_caffemodel(little, options=ConvertOptions(network="vgg19"))
    with pytest.raises(UnknownNameError, match="no network is called 'vgg91'; did you mean 'vgg19'"):
        convert_caffemodel(little, options=ConvertOptions(network="vgg91"))


# Nets of their own.


def test_a_net_that_describes_itself_needs_no_prototxt(little, random):
    result = convert_caffemodel(little, options=ConvertOptions(mean="10,20,30", scale=0.5))
    network = load_network_file(result.path)
    x = random.random((1, 9, 7, 3), "float32")
    # Computed by hand, in Caffe's axes.
    patches = np.lib.stride_tricks.sliding_window_view(x[0].transpose(2, 0, 1), (3, 3), axis=(1, 2))
    conv = np.maximum(np.einsum("chwij,ocij->ohw", patches, BLOBS["conv"][0]) + 1.0, 0.0)
    np.testing.assert_allclose(network.model(x)[0], BLOBS["fc"][0] @ conv.ravel(), rtol=1e-5)
    assert (network.preprocessing.mean, network.preprocessing.scale) == ((10.0, 20.0, 30.0), (0.5,) * 3)


def test_what_is_not_known_of_the_pictures_is_told(little):
    listener = Listener()
    convert_caffemodel(little, reporter=listener)
    assert any("assumed is Caffe's usual one, BGR minus 104, 117, 123" in note for note in listener.notes)


def test_until_imports_the_part_before_a_layer_that_has_no_place(tmp_path):
    (tmp_path / "odd.caffemodel").write_bytes(encode_net(NET, BLOBS))
    with pytest.raises(ConversionError, match=r"layer odd \(Odd"):
        convert_caffemodel(tmp_path / "odd.caffemodel")
    result = convert_caffemodel(tmp_path / "odd.caffemodel", options=ConvertOptions(until="odd"))
    assert {row.layer: row.status for row in result.rows} == {"conv": "loaded", "fc": "skipped"}


SSD = (
    """
name: "ssd" input: "data" input_shape { dim: 1 dim: 3 dim: 16 dim: 16 }
layer { name: "conv4_3" type: "Convolution" bottom: "data" top: "conv4_3" convolution_param {
    num_output: 8 kernel_size: 3 pad: 1 } }
layer { name: "relu4_3" type: "ReLU" bottom: "conv4_3" top: "conv4_3" }
layer { name: "conv4_3_norm" type: "Normalize" bottom: "conv4_3" top: "conv4_3_norm" norm_param {
    across_spatial: false scale_filler { type: "constant" value: 20 } channel_shared: false } }
layer { name: "pool4" type: "Pooling" bottom: "conv4_3" top: "pool4" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "fc7" type: "Convolution" bottom: "pool4" top: "fc7" convolution_param { num_output: 8 kernel_size: 1 } }
"""
    + "".join(
        f"""
layer {{ name: "{source}_conf" type: "Convolution" bottom: "{source}" top: "{source}_conf" convolution_param {{
    num_output: 6 kernel_size: 3 pad: 1 }} }}
layer {{ name: "{source}_perm" type: "Permute" bottom: "{source}_conf" top: "{source}_perm" permute_param {{
    order: 0 order: 2 order: 3 order: 1 }} }}
layer {{ name: "{source}_flat" type: "Flatten" bottom: "{source}_perm" top: "{source}_flat" }}
layer {{ name: "{source}_prior" type: "PriorBox" bottom: "{source}" bottom: "data" top: "{source}_prior" }}
"""
        for source in ("conv4_3_norm", "fc7")
    )
    + """
layer { name: "mbox_conf" type: "Concat" bottom: "conv4_3_norm_flat" bottom: "fc7_flat" top: "mbox_conf" }
layer { name: "mbox_prior" type: "Concat" bottom: "conv4_3_norm_prior" bottom: "fc7_prior" top: "mbox_prior"
    concat_param { axis: 2 } }
layer { name: "rows" type: "Reshape" bottom: "mbox_conf" top: "rows" reshape_param {
    shape { dim: 0 dim: -1 dim: 3 } } }
layer { name: "prob" type: "Softmax" bottom: "rows" top: "prob" softmax_param { axis: 2 } }
layer { name: "detection_out" type: "DetectionOutput" bottom: "prob" bottom: "mbox_prior" top: "detection_out" }
"""
)


@pytest.mark.parametrize("is_given", [True, False])
def test_of_a_detector_until_its_last_layer_what_can_be_computed_is_imported(tmp_path, random, shared, is_given):
    shapes = {"conv4_3": (8, 3, 3, 3), "fc7": (8, 8, 1, 1), "conv4_3_norm_conf": (6, 8, 3, 3), "fc7_conf": (6, 8, 3, 3)}
    blobs = {name: [random.normal(size=shape), np.zeros(shape[0])] for name, shape in shapes.items()}
    source = tmp_path / "ssd.caffemodel"
    source.write_bytes(encode_net(SSD, {**blobs, "conv4_3_norm": [np.full(8, 20.0)]}))
    source.with_suffix(".prototxt").write_text(SSD)
    prototxt = source.with_suffix(".prototxt") if is_given else None
    with pytest.raises(ConversionError, match=r"layer conv4_3_norm \(Normalize, line \d+\) is of a type"):
        convert_caffemodel(source, prototxt)
    options, listener = ConvertOptions(until="detection_out", verify=shared / "photos" / "cat.jpg"), Listener()
    result = convert_caffemodel(source, prototxt, options=options, reporter=listener)
    assert {row.layer: row.status for row in result.rows} == {
        **dict.fromkeys(["conv4_3", "fc7", "fc7_conf"], "loaded"),
        **dict.fromkeys(["conv4_3_norm", "conv4_3_norm_conf"], "skipped"),
    }
    assert (
        "left out with --until: conv4_3_norm (Normalize), conv4_3_norm_prior (PriorBox), fc7_prior (PriorBox), "
        "and 7 layers that read them"
    ) in listener.notes
    assert result.verification.ok()
    network = load_network_file(result.path)
    assert [output.shape for output in network.model.outputs] == [(None, 384)]  # fc7_flat


def test_a_layer_without_blobs_is_missing_and_told(tmp_path):
    (tmp_path / "half.caffemodel").write_bytes(encode_net(PLAIN, {"conv": BLOBS["conv"]}))
    result = convert_caffemodel(tmp_path / "half.caffemodel")
    assert {row.layer: row.status for row in result.rows} == {"conv": "loaded", "fc": "missing"}


def test_without_the_size_of_the_input_the_prototxt_is_asked_for(shared):
    samples = shared / "caffe_samples"
    with pytest.raises(ConversionError, match="does not say the size of its input") as caught:
        convert_caffemodel(samples / "lenet_iter_10000.caffemodel")
    assert caught.value.hint == (  # the one in its folder that fits
        f"imgnn convert {samples / 'lenet_iter_10000.caffemodel'} {samples / 'lenet.prototxt'}"
    )
    assert convert_caffemodel(samples / "lenet_iter_10000.caffemodel", samples / "lenet.prototxt").parameters == 431_080


def test_a_mean_image_gives_channel_means_and_is_kept_whole(little, tmp_path, random):
    mean = random.random((3, 16, 16)).astype("float32") * 255
    (tmp_path / "mean.binaryproto").write_bytes(encode_blob(mean[None], legacy_shape=True))
    result = convert_caffemodel(little, options=ConvertOptions(mean=str(tmp_path / "mean.binaryproto")))
    np.testing.assert_allclose(load_network_file(result.path).preprocessing.mean, mean.mean(axis=(1, 2)), rtol=1e-6)
    np.testing.assert_array_equal(read_mean_image(result.path), mean)


def test_one_mean_is_for_all_channels_and_rgb_turns_the_order(little):
    result = convert_caffemodel(little, options=ConvertOptions(mean="127.5", scale=0.5, rgb=True))
    prepared = load_network_file(result.path).preprocessing
    assert (prepared.mean, prepared.scale, prepared.channel_order) == ((127.5,) * 3, (0.5,) * 3, "RGB")
    assumed = load_network_file(convert_caffemodel(little, options=ConvertOptions(rgb=True)).path).preprocessing
    assert (assumed.mean, assumed.channel_order) == ((123.0, 117.0, 104.0), "RGB")


def test_crops_of_a_small_network_are_cut_from_a_small_picture(little):
    assert load_network_file(convert_caffemodel(little).path).preprocessing.resize == 10  # 9 x 7, and an eighth


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ConvertOptions(mean="nan,1,2"), "a mean is made of numbers"),
        (ConvertOptions(scale=0.0), "a factor other than 0"),
        (ConvertOptions(scale=float("inf")), "a factor other than 0"),
        (ConvertOptions(words=Path("nowhere.txt")), "no such file: nowhere.txt"),
    ],
)
def test_numbers_and_files_without_sense_are_refused(little, options, message):
    with pytest.raises(InputError, match=message):
        convert_caffemodel(little, options=options)


def test_class_words_of_ones_own_are_kept(little, tmp_path):
    (tmp_path / "words.txt").write_text("n02123045 tabby\ndog\nbird\nfish\nhorse\n")
    path = convert_caffemodel(little, options=ConvertOptions(words=tmp_path / "words.txt")).path
    assert load_network_file(path).words == ("n02123045 tabby", "dog", "bird", "fish", "horse")
    (tmp_path / "words.txt").write_text("cat\ndog\n")
    with pytest.raises(InputError, match=r"a line for each of 5 classes; .*words\.txt has 2"):
        convert_caffemodel(little, options=ConvertOptions(words=tmp_path / "words.txt"))


def test_a_mean_of_other_channels_is_refused(little):
    with pytest.raises(InputError, match="wants a mean of 3 channels; 1,2 has 2"):
        convert_caffemodel(little, options=ConvertOptions(mean="1,2"))


# Where it goes, and what is left of a failure.


def test_output_may_be_a_file_or_a_folder(little, tmp_path):
    (tmp_path / "out").mkdir()
    assert convert_caffemodel(little, output=tmp_path / "a.keras").path == tmp_path / "a.keras"
    assert convert_caffemodel(little, output=tmp_path / "out").path == tmp_path / "out" / "little.keras"
    with pytest.raises(InputError, match=r"cannot write .*a\.keras: there is no folder") as caught:
        convert_caffemodel(little, output=tmp_path / "nowhere" / "a.keras")
    assert caught.value.hint == f"mkdir -p {tmp_path / 'nowhere'}"
    with pytest.raises(InputError, match=r"is a \.keras file") as caught:
        convert_caffemodel(little, output=tmp_path / "a.h5")
    assert caught.value.hint == f"-o {tmp_path / 'a.keras'}"


def test_a_failure_leaves_no_file(little, tmp_path):
    wrong = PLAIN.replace("num_output: 4", "num_output: 6")
    (tmp_path / "wrong.prototxt").write_text(wrong)
    before = set(tmp_path.iterdir())
    with pytest.raises(WeightsError, match=r"layer conv wants a kernel \(6, 3, 3, 3\); the file holds \(4, 3, 3, 3\)"):
        convert_caffemodel(little, tmp_path / "wrong.prototxt")
    assert set(tmp_path.iterdir()) == before


def test_pages_of_a_mapped_file_can_be_given_back(tmp_path, random):
    import mmap

    (tmp_path / "numbers").write_bytes(random.random(1 << 16).tobytes())
    with (tmp_path / "numbers").open("rb") as file:
        numbers = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), "f8")
    before = numbers.copy()
    convert.release({"a": [numbers[:100], numbers[100:]], "b": [before]})
    np.testing.assert_array_equal(numbers, before)


# A file as large as VGG-19's, converted by a process of its own.

MEASURED = """
import json, sys, time
from pathlib import Path
from imgnn.jobs.convert import convert_caffemodel
result = convert_caffemodel(Path(sys.argv[1]))
status = Path("/proc/self/status").read_text()  # getrusage would count what the parent had, too
used = int(status.partition("VmHWM:")[2].split()[0])
print(json.dumps([result.network, result.parameters, time.process_time(), used]))
"""


def write_vgg19(path: Path, random) -> None:
    """575 MB of random numbers in the form of VGG-19's file."""
    from tests.caffe.encode import length_delimited, tag, varint

    net = prototxts.deploy("vgg19", (224, 224), 1000)
    with path.open("wb") as file:
        file.write(length_delimited(1, b"VGG_ILSVRC_19_layers"))
        for name, shapes in net.weights.items():
            kind = b"InnerProduct" if name.startswith("fc") else b"Convolution"
            body = length_delimited(1, name.encode()) + length_delimited(2, kind)
            for shape in shapes:
                body += length_delimited(7, encode_blob(random.standard_normal(shape, "float32") * 0.01))
            file.write(tag(100, 2) + varint(len(body)) + body)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_575_megabytes_convert_in_eight_seconds_and_1600_megabytes_of_memory(tmp_path, random):
    write_vgg19(tmp_path / "big.caffemodel", random)
    assert (tmp_path / "big.caffemodel").stat().st_size > 574e6
    run = subprocess.run(
        [sys.executable, "-c", MEASURED, tmp_path / "big.caffemodel"], capture_output=True, text=True, check=True
    )
    name, parameters, seconds, kilobytes = json.loads(run.stdout)
    assert (name, parameters) == ("vgg19", 143_667_240)
    assert seconds <= 8.0  # of the processor: the clock would also count what else the machine has to do
    assert kilobytes * 1024 <= 1.6e9
