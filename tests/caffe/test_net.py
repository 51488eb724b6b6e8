"""Nets of every age and phase become the same plain list of layers."""

import numpy as np
import pytest

from imgnn.caffe.filler import Filled, bilinear
from imgnn.caffe.net import Transform, read_net
from imgnn.caffe.schema import ENUMS, V1_TYPES
from imgnn.errors import ConversionError, InputError, WeightsError
from tests.caffe.encode import encode_net

TRAIN_VAL = """
name: "tiny"
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
        transform_param { crop_size: 32 mirror: true } data_param { source: "train" batch_size: 64 } }
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
        transform_param { crop_size: 28 scale: 0.017 mean_value: 104 mean_value: 117 mean_value: 123 }
        data_param { source: "val" batch_size: 50 } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "drop" type: "Dropout" bottom: "conv" top: "conv" include { phase: TRAIN } }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc" inner_product_param { num_output: 10 } }
layer { name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy" include { phase: TEST } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""


@pytest.fixture
def net(tmp_path):
    """Read a net from the text of its prototxt, the bytes of its caffemodel, or both."""

    def net(text: str | None = None, weights: bytes | None = None, **options):
        paths = []
        for name, data in (("net.prototxt", text and text.encode()), ("net.caffemodel", weights)):
            paths.append(None if data is None else tmp_path / name)
            if data is not None:
                (tmp_path / name).unlink(missing_ok=True)  # an earlier net may have it mapped
                (tmp_path / name).write_bytes(data)
        return read_net(*paths, **options)

    return net


def chain(found) -> list[str]:
    return [f"{each.name}:{','.join(each.bottoms)}>{','.join(each.tops)}" for each in found.layers]


def test_a_train_val_net_becomes_the_deploy_net(net):
    found = net(TRAIN_VAL)
    assert found.inputs == {"data": (50, 3, 28, 28)}
    assert chain(found) == ["conv:data>conv", "relu:conv>conv", "fc:conv>fc", "prob:fc>prob"]
    assert found.layers[-1].type == found.layers[-1].params.type == "Softmax"
    assert found.transform == Transform(mean_value=(104, 117, 123), scale=0.017, crop_size=28)
    assert found.notes == (
        "layer loss (SoftmaxWithLoss) became prob (Softmax)",
        "layer accuracy (Accuracy) was cut",
        "data layer data (Data) is the input data",
    )


def test_the_other_phase_has_its_own_layers(net):
    found = net(TRAIN_VAL, phase="TRAIN")
    assert found.inputs == {"data": (64, 3, 32, 32)}
    assert "drop:conv>conv" in chain(found)


def test_a_deploy_net_stays_as_it_is(net, shared):
    for name, count in {"bvlc_googlenet": 142, "squeezenet_v1.1": 66, "vgg19_conv1_to_conv3": 19}.items():
        found = read_net(shared / f"weights/{name}.prototxt", shared / f"weights/{name}.caffemodel")
        assert (len(found.layers), found.notes, found.unused_blobs, found.transform) == (count, (), {}, None)
        learned = [each for each in found.layers if each.type in ("Convolution", "InnerProduct")]
        assert all(len(each.blobs) == 2 and each.line for each in learned)


INPUTS = {
    "input: 'a' input_dim: 1 input_dim: 3 input_dim: 5 input_dim: 7": {"a": (1, 3, 5, 7)},
    "input: 'a' input_shape { dim: 1 dim: 3 dim: 5 dim: 7 }": {"a": (1, 3, 5, 7)},
    "input: 'a' input: 'b' input_dim: [1,3,5,7, 2,4,6,8]": {"a": (1, 3, 5, 7), "b": (2, 4, 6, 8)},
    "input: 'a' input: 'b' input_shape { dim: [2,3] } input_shape { dim: 4 }": {"a": (2, 3), "b": (4,)},
    "input: 'a'": {"a": None},
    "layer { name: 'i' type: 'Input' top: 'a' top: 'b' input_param { shape { dim: [1,2] } } }": {
        "a": (1, 2),
        "b": (1, 2),
    },
    "layer { name: 'i' type: 'Input' top: 'a' top: 'b' input_param { shape { dim: 1 } shape { dim: 2 } } }": {
        "a": (1,),
        "b": (2,),
    },
    "layer { name: 'i' type: 'Input' top: 'a' }": {"a": None},
    "layer { name: 'i' type: 'DummyData' top: 'a' dummy_data_param { shape { dim: [1,3,5,7] } } }": {"a": (1, 3, 5, 7)},
    "layer { name: 'i' type: 'DummyData' top: 'a' dummy_data_param { num: 1 channels: 3 height: 5 width: 7 } }": {
        "a": (1, 3, 5, 7)
    },
    "layers { name: 'i' type: MEMORY_DATA top: 'a' top: 'label'"
    " memory_data_param { batch_size: 1 channels: 3 height: 5 width: 7 } }": {"a": (1, 3, 5, 7)},
    "layer { name: 'i' type: 'ImageData' top: 'a' top: 'label'"
    " image_data_param { batch_size: 9 new_height: 5 new_width: 7 } }": {"a": (9, 3, 5, 7)},
    "layer { name: 'i' type: 'HDF5Data' top: 'a' top: 'label' hdf5_data_param { source: 'x' } }": {"a": None},
    "layer { name: 'i' type: 'Python' top: 'a' python_param { module: 'm' layer: 'l' } }": {"a": None},
}


@pytest.mark.parametrize("text", INPUTS)
def test_every_way_to_say_an_input(net, text):
    wanted = INPUTS[text]
    word = "layers" if text.startswith("layers") else "layer"
    kind = "CONVOLUTION" if word == "layers" else "'Convolution'"
    first = f"{word} {{ name: 'conv' type: {kind} bottom: 'a' top: 'conv' }}"
    second = f"{word} {{ name: 'conv2' type: {kind} bottom: 'b' top: 'conv2' }}" if "b" in wanted else ""
    assert net(f"{text}\n{first}\n{second}").inputs == wanted


def test_version_1_is_the_same_net(net, random):
    text = TRAIN_VAL.replace("mean_value: 104", "mean_file: 'mean.binaryproto' mean_value: 104")
    blobs = {"conv": [random.normal(size=(4, 3, 3, 3)).astype("f4"), np.zeros(4, "f4")]}
    one, two = (net(None, encode_net(text, blobs, version=version)) for version in (1, 2))
    assert (one.inputs, chain(one), one.notes, one.transform) == (two.inputs, chain(two), two.notes, two.transform)
    for left, right in zip(one.layers, two.layers, strict=True):
        assert (left.type, left.params.kind) == (right.type, "LayerParameter")
        assert all(np.array_equal(a, b) for a, b in zip(left.blobs, right.blobs, strict=True))
    assert one.layers[0].params.convolution_param.kernel_size == [3]


def test_version_1_in_text(net):
    found = net("""
      input: "data"
      layers { name: "c" type: CONVOLUTION bottom: "data" top: "c" blobs_lr: 1 blobs_lr: 2 weight_decay: 1
               weight_decay: 0 convolution_param { num_output: 1 kernel_size: 1 } }
      layers { name: "r" type: RELU bottom: "c" top: "c" }
      layers { name: "l" type: SOFTMAX_LOSS bottom: "c" }
    """)
    assert [each.type for each in found.layers] == ["Convolution", "ReLU", "Softmax"]
    assert [(each.lr_mult, each.decay_mult) for each in found.layers[0].params.param] == [(1, 1), (2, 0)]


def test_the_types_of_version_1_have_the_numbers_of_caffe():
    # src/caffe/proto/caffe.proto, V1LayerParameter.LayerType; names from upgrade_proto.cpp.
    numbers = {4: "Convolution", 14: "InnerProduct", 15: "LRN", 17: "Pooling", 18: "ReLU", 21: "SoftmaxWithLoss"}
    numbers |= {9: "HDF5Data", 11: "Im2col", 23: "TanH", 25: "Eltwise", 34: "MVN", 35: "AbsVal", 39: "Deconvolution"}
    assert {number: V1_TYPES[ENUMS["LayerType"][number]] for number in numbers} == numbers
    assert len(ENUMS["LayerType"]) == 40


def test_the_transform_of_an_old_data_layer_is_found(net):
    # As in the published CaffeNet, whose data layer has scale and mean in data_param.
    found = net("""
      layers { name: "data" type: DATA top: "data" top: "label"
               data_param { batch_size: 50 mean_file: "mean.binaryproto" crop_size: 227 scale: 0.5 } }
      layers { name: "c" type: CONVOLUTION bottom: "data" top: "c" }
    """)
    assert found.transform == Transform(scale=0.5, crop_size=227, mean_file="mean.binaryproto")
    assert found.inputs == {"data": (50, 3, 227, 227)}


def test_the_first_convolution_tells_the_channels(net):
    text = """
      layer { name: "data" type: "Data" top: "data" transform_param { crop_size: 8 } }
      layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { group: 2 } }
    """
    assert net(text, encode_net(text, {"c": [np.zeros((4, 2, 3, 3), "f4")]})).inputs == {"data": (1, 4, 8, 8)}


@pytest.mark.parametrize(
    ("rules", "options", "is_in"),
    [
        ("", {}, True),
        ("include { phase: TEST }", {}, True),
        ("include { phase: TRAIN }", {}, False),
        ("include { phase: TRAIN } include { phase: TEST }", {}, True),
        ("exclude { phase: TEST }", {}, False),
        ("exclude { phase: TRAIN }", {}, True),
        ("exclude { phase: TEST }", {"phase": "TRAIN"}, True),
        ("include { min_level: 1 }", {}, False),
        ("include { min_level: 1 }", {"level": 2}, True),
        ("include { max_level: 1 }", {"level": 2}, False),
        ("include { stage: 'a' stage: 'b' }", {"stages": ["a"]}, False),
        ("include { stage: 'a' stage: 'b' }", {"stages": ["b", "a"]}, True),
        ("include { not_stage: 'a' }", {"stages": ["a"]}, False),
        ("exclude { stage: 'a' }", {}, True),
        ("phase: TRAIN", {}, True),  # how it runs, not whether
    ],
)
def test_include_and_exclude_follow_caffes_rule(net, rules, options, is_in):
    # src/caffe/net.cpp, Net::StateMeetsRule.
    text = f"input: 'data' layer {{ name: 'r' type: 'ReLU' bottom: 'data' top: 'r' {rules} }}"
    assert [each.name for each in net(text, **options).layers] == ["r"] * is_in


def test_the_state_of_the_net_counts_too(net):
    text = "input: 'data' state { stage: 'deploy' level: 3 }"
    text += "layer { name: 'r' type: 'ReLU' bottom: 'data' top: 'r' include { stage: 'deploy' min_level: 3 } }"
    assert len(net(text).layers) == 1


HEADS = """
input: "data"
layer { name: "c1" type: "Convolution" bottom: "data" top: "c1" }
layer { name: "aux/pool" type: "Pooling" bottom: "c1" top: "aux/pool" }
layer { name: "aux/fc" type: "InnerProduct" bottom: "aux/pool" top: "aux/fc" }
layer { name: "aux/loss" type: "SoftmaxWithLoss" bottom: "aux/fc" bottom: "label" top: "aux/loss" loss_weight: 0.3 }
layer { name: "aux/top-1" type: "Accuracy" bottom: "aux/fc" bottom: "label" top: "aux/top-1" }
layer { name: "c2" type: "Convolution" bottom: "c1" top: "c2" }
layer { name: "fc" type: "InnerProduct" bottom: "c2" top: "fc" }
layer { name: "loss3/loss3" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss3" loss_weight: 1 }
"""
LABELLED = "layer { name: 'data' type: 'Data' top: 'data' top: 'label' }" + HEADS.replace('input: "data"', "")


def test_auxiliary_heads_go_with_their_losses(net):
    found = net(LABELLED)
    assert [each.name for each in found.layers] == ["c1", "c2", "fc", "prob"]
    assert any("aux/loss, with aux/pool, aux/fc" in note for note in found.notes)


def test_heads_with_labels_of_their_own_are_answers(net):
    # A multi-task net (MTCNN) weighs its losses too.
    text = LABELLED.replace('"aux/fc" bottom: "label"', '"aux/fc" bottom: "other"').replace("top: 'label'", "$&")
    text = text.replace("$&", "top: 'label' top: 'other'").replace("'Data'", "'HDF5Data'")
    found = net(text)
    assert list(found.inputs) == ["data"]
    assert [each.name for each in found.layers] == ["c1", "aux/pool", "aux/fc", "aux/loss", "c2", "fc", "loss3/loss3"]
    assert [each.type for each in found.layers if "loss" in each.name] == ["Softmax", "Softmax"]
    assert found.layers[-1].tops == ("loss3",)


def test_labels_go_with_the_layers_that_need_only_them(net):
    found = net("""
      layer { name: "h" type: "HDF5Data" top: "labels" top: "data" }
      layer { name: "slice" type: "Slice" bottom: "labels" top: "x" top: "y" }
      layer { name: "hush" type: "Silence" bottom: "y" }
      layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" }
      layer { name: "loss" type: "EuclideanLoss" bottom: "fc" bottom: "x" top: "loss" }
    """)
    assert (list(found.inputs), chain(found)) == (["data"], ["fc:data>fc"])


def test_an_autoencoder_keeps_its_answer_and_not_its_target(net):
    found = net("""
      layer { name: "d" type: "Data" top: "data" }
      layer { name: "flat" type: "Flatten" bottom: "data" top: "flat" }
      layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" }
      layer { name: "loss" type: "SigmoidCrossEntropyLoss" bottom: "fc" bottom: "flat" top: "entropy" loss_weight: 1 }
      layer { name: "sig" type: "Sigmoid" bottom: "fc" top: "sig" }
      layer { name: "l2" type: "EuclideanLoss" bottom: "sig" bottom: "flat" top: "l2" loss_weight: 0 }
    """)
    assert chain(found) == ["fc:data>fc", "sig:fc>sig"]
    assert "layer loss (SigmoidCrossEntropyLoss) was cut: the net has its Sigmoid already" in found.notes


def test_the_second_top_of_a_softmax_loss_is_its_softmax(net):
    text = TRAIN_VAL.replace('top: "loss" }', 'top: "loss" top: "p" softmax_param { axis: 2 } }')
    answer = net(text).layers[-1]
    assert (answer.name, answer.tops, answer.params.softmax_param.axis) == ("prob", ("p",), 2)


def test_a_name_that_is_taken_is_not_given_again(net):
    text = TRAIN_VAL.replace('"relu"', '"prob"')
    assert (net(text).layers[-1].name, net(text).layers[-1].tops) == ("loss", ("loss",))


def test_an_accuracy_alone_leaves_the_classifier(net):
    found = net(TRAIN_VAL[: TRAIN_VAL.index('layer { name: "loss"')])
    assert [each.name for each in found.layers] == ["conv", "relu", "fc"]


def test_data_of_the_other_phase_stands_in(net):
    text = TRAIN_VAL.replace("include { phase: TEST }\n", "include { phase: TRAIN }\n")
    found = net(text)
    assert found.inputs == {"data": (64, 3, 32, 32)}
    assert "data layer data of another phase stands for the input data" in found.notes


def test_a_snapshot_alone_is_enough(shared):
    lenet = read_net(None, shared / "caffe_samples/lenet_iter_10000.caffemodel")
    assert [each.name for each in lenet.layers] == ["conv1", "pool1", "conv2", "pool2", "ip1", "relu1", "ip2", "prob"]
    assert lenet.transform == Transform(scale=0.00390625)
    # det1: sliced labels, losses and Caffe's own Split layers; what is left are the layers of its prototxt.
    alone = read_net(None, shared / "caffe_samples/det1.caffemodel")
    both = read_net(shared / "caffe_samples/det1.prototxt", shared / "caffe_samples/det1.caffemodel")
    assert {each.name for each in both.layers} - {"prob1"} == {each.name for each in alone.layers} - {"prob"}
    assert list(alone.inputs) == ["data12face"]


def test_a_caffemodel_without_data_layer_has_an_input(shared):
    found = read_net(None, shared / "weights/bvlc_googlenet.caffemodel")
    assert (found.inputs, len(found.layers)) == ({"data": None}, 142)


def test_weights_without_a_layer_are_told(shared):
    found = read_net(shared / "caffe_samples/det2.prototxt", shared / "caffe_samples/det2.caffemodel")
    assert [each.shape for each in found.unused_blobs["conv5-3"]] == [(10, 128), (10,)]
    assert "weights of layers that the net does not have were not used: conv5-3" in found.notes


def test_an_unknown_field_is_noted_once(net, tmp_path):
    fork = "layer { name: 'r' type: 'ReLU' bottom: 'data' top: 'r'\n bn_param { x: 1 } }\n"
    found = net(f"input: 'data'\n{fork * 7}other: 1")
    place = tmp_path / "net.prototxt"
    assert found.notes == (
        f"line 16: field 'other' is unknown to Caffe and was not used ({place})",
        f"lines 3, 5, 7, 9, 11 and 2 more: field 'bn_param' is unknown to Caffe and was not used ({place})",
    )


def test_ceil_mode_is_the_older_round_mode(net):
    text = "input: 'data' layer {{ name: 'p' type: 'Pooling' bottom: 'data' top: 'p' pooling_param {{ {} }} }}"
    for said, meant in {"ceil_mode: false": "FLOOR", "ceil_mode: true": "CEIL", "round_mode: 1": "FLOOR"}.items():
        assert net(text.format(said)).layers[0].params.pooling_param.round_mode == meant


def test_a_split_that_reads_nothing_is_none_of_caffes_own(net):
    found = net("input: 'a' layer { name: 'a_a_0_split' type: 'Split' top: 'a_a_0_split_0' }")
    assert found.inputs.keys() == {"a", "a_a_0_split_0"}  # as of any layer that brings data in


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layer { type: 'ReLU' } layers { type: RELU }", "expected `layer` (V2) or `layers` (V1), found both"),
        ("layers { layer { name: 'c' type: 'conv' } }", "expected a net of V1 or V2, found one of V0"),
        ("\nlayer { name: 'c' }", "expected a type for layer 'c', found none"),
        ("layer { name: 'c' type: 'SoftmaxWithLoss' }", "expected a blob that layer 'c' (SoftmaxWithLoss) judges"),
        (
            "input: 'data'\n\nlayer { name: 'r' type: 'ReLU' bottom: 'dat' top: 'r' }",
            "layer r reads the blob 'dat', which no layer before it writes; is it 'data'?",
        ),
        ("input: 'a' input_dim: 3", "expected 4 input_dim for each of 1 inputs, found 1"),
        ("input: 'a' input_shape {} input_shape {}", "expected an input_shape for each of 1 inputs, found 2"),
        (
            "layer { name: 'r' type: 'ReLU' include {} exclude {} }",
            "expected include or exclude rules for layer r, found both",
        ),
    ],
)
def test_layers_that_make_no_net_are_told(net, text, message):
    with pytest.raises(ConversionError) as caught:
        net(text)
    assert message in str(caught.value) and "net.prototxt" in str(caught.value)


def test_the_way_out_of_version_0_is_named(net):
    with pytest.raises(ConversionError) as caught:
        net("layers { layer { name: 'c' type: 'conv' } }")
    assert "upgrade_net_proto_text" in str(caught.value.hint) and "upgrade_net_proto_binary" in str(caught.value.hint)


def test_a_blob_that_does_not_fit_is_named_with_its_layer(net, tmp_path):
    weights = bytearray(encode_net(TRAIN_VAL, {"conv": [np.zeros((2, 3), "f4")]}))
    at = weights.index(bytes([7 << 3 | 2, 4, 1 << 3 | 2, 2, 2, 3]))
    weights[at + 5] = 4
    with pytest.raises(
        WeightsError, match=r"\(2, 4\) wants 8 numbers, found 6: blob 0 of layer conv, .*net.caffemodel"
    ):
        net(TRAIN_VAL, bytes(weights))


def test_no_file_at_all_is_an_input_error():
    with pytest.raises(InputError, match="found neither"):
        read_net(None, None)


# What the file lacks: fillers, shared parameters, and what a snapshot says of training.


def conv(settings: str = "", bias: str = "bias_term: false") -> str:
    return f"""layer {{ name: 'l' type: 'Convolution' bottom: 'data' top: 'l'
        convolution_param {{ num_output: 2 kernel_size: 1 {bias} {settings} }} }}"""


@pytest.mark.parametrize(
    ("layer", "shapes", "numbers"),
    [  # include/caffe/filler.hpp; the defaults are those of the layers' LayerSetUp
        ("type: 'PReLU'", [(3,)], [0.25]),
        ("type: 'PReLU' prelu_param { channel_shared: true filler { value: 0.1 } }", [()], [0.1]),
        ("type: 'Scale' scale_param { filler { value: 2.606 } }", [(3,)], [2.606]),
        ("type: 'Scale' scale_param { bias_term: true bias_filler { value: 3 } }", [(3,), (3,)], [1, 3]),
        ("type: 'Scale' scale_param { num_axes: 0 }", [()], [1]),
        ("type: 'Scale' scale_param { filler { type: 'xavier' } }", [], []),
        ("type: 'Bias'", [(3,)], [0]),
        ("type: 'Bias' bias_param { filler { value: -7 } }", [(3,)], [-7]),
        (conv("weight_filler { value: 2 }"), [(2, 3, 1, 1)], [2]),
        (conv("weight_filler { value: 2 } bias_filler { value: 5 }", ""), [(2, 3, 1, 1), (2,)], [2, 5]),
        (conv("weight_filler { value: 2 } bias_filler { type: 'gaussian' }", ""), [], []),
        (conv("weight_filler { type: 'msra' }"), [], []),
        (conv(), [], []),  # Caffe's zeros, which nobody means
        ("type: 'InnerProduct' inner_product_param { num_output: 2 }", [], []),
        ("type: 'ReLU'", [], []),
    ],
)
def test_a_layer_without_blobs_has_what_its_filler_says(net, layer, shapes, numbers):
    text = layer if layer.startswith("layer") else f"layer {{ name: 'l' bottom: 'data' top: 'l' {layer} }}"
    blobs = net("input: 'data' input_dim: [1, 3, 6, 8]" + text).layers[0].blobs
    assert [blob.shape for blob in blobs] == shapes
    for blob, number in zip(blobs, numbers, strict=True):
        assert isinstance(blob, Filled)
        np.testing.assert_array_equal(blob, np.full(blob.shape, number, "f4"))


@pytest.mark.parametrize("filler", ["constant", "bilinear"])
@pytest.mark.parametrize("size", ["kernel_size: 4000000000", "kernel_h: 4000000000 kernel_w: 3", "num_output: 0"])
def test_a_kernel_that_is_damaged_is_not_filled(net, filler, size):
    settings = f"num_output: 2 kernel_size: 5 {size} bias_term: false weight_filler {{ type: '{filler}' }}"
    layer = f"layer {{ name: 'l' type: 'Deconvolution' bottom: 'data' top: 'l' convolution_param {{ {settings} }} }}"
    assert net("input: 'data' input_dim: [1, 3, 6, 8]" + layer).layers[0].blobs == ()


def test_the_channels_that_a_filler_needs_are_followed_through_the_net(net):
    found = net("""
      input: 'data' input_dim: [1, 3, 6, 8]
      layer { name: 'c' type: 'Convolution' bottom: 'data' top: 'c' convolution_param { num_output: 4 kernel_size: 1 } }
      layer { name: 'p' type: 'Pooling' bottom: 'c' top: 'p' }
      layer { name: 'both' type: 'Concat' bottom: 'c' bottom: 'p' top: 'both' }
      layer { name: 'slope' type: 'PReLU' bottom: 'both' top: 'both' }
      layer { name: 'moved' type: 'Permute' bottom: 'both' top: 'moved' }
      layer { name: 'lost' type: 'PReLU' bottom: 'moved' top: 'moved' }
    """)
    assert {each.name: each.blobs[0].shape for each in found.layers if each.blobs} == {"slope": (8,)}


@pytest.mark.parametrize(
    ("size", "tent"),
    [
        (1, [1]),
        (2, [0.5, 0.5]),
        (3, [0.5, 1, 0.5]),
        (4, [0.25, 0.75, 0.75, 0.25]),
        (5, [1 / 3, 2 / 3, 1, 2 / 3, 1 / 3]),
    ],
)
def test_a_bilinear_kernel_is_a_tent_in_both_directions(size, tent):
    # By hand: a tent that falls to 0 over ceil(size / 2) pixels, seen at the middle of each pixel.
    np.testing.assert_allclose(bilinear(size), np.outer(tent, tent), rtol=1e-6)


def test_blobs_in_the_file_win_over_fillers(net):
    text = "input: 'data' input_dim: [1, 3, 6, 8] layer { name: 'l' type: 'PReLU' bottom: 'data' top: 'l' }"
    (blob,) = net(text, encode_net(text, {"l": [np.float32([1, 2, 3])]})).layers[0].blobs
    assert not isinstance(blob, Filled)
    np.testing.assert_array_equal(blob, [1, 2, 3])


TOWERS = """
input: "a" input_dim: [1, 3, 6, 8] input: "b" input_dim: [1, 3, 6, 8]
layer { name: "c" type: "Convolution" bottom: "a" top: "c" param { name: "w" } param { name: "bias" }
        convolution_param { num_output: 2 kernel_size: 1 } }
layer { name: "c_p" type: "Convolution" bottom: "b" top: "c_p" param { name: "w" } param { OTHER }
        convolution_param { num_output: 2 kernel_size: 1 } }
"""
SHARED = "parameters that Caffe shares are copies here, equal until training unties them: "


@pytest.mark.parametrize("owner", ["c", "c_p"])
def test_parameters_of_one_name_are_found_wherever_the_file_has_them(net, owner):
    text = TOWERS.replace("OTHER", 'name: "bias"')
    found = net(text, encode_net(text, {owner: [np.full((2, 3, 1, 1), 9.0), np.ones(2)]}))
    for layer in found.layers:
        assert [blob.flat[0] for blob in layer.blobs] == [9, 1]
    assert found.notes == (SHARED + "c and c_p",)


def test_each_blob_is_shared_by_itself(net):
    text = TOWERS.replace("OTHER", "lr_mult: 2")
    found = net(text, encode_net(text, {"c": [np.full((2, 3, 1, 1), 9.0), np.ones(2)]}))
    kernel, bias = found.layers[1].blobs
    assert (kernel.flat[0], bias.tolist()) == (9, [0, 0])  # its own bias begins with its filler's 0
    assert isinstance(bias, Filled) and not isinstance(kernel, Filled)


def test_a_convolution_of_two_blobs_is_told_to_be_copied(net):
    found = net("""
      input: "a" input_dim: [1, 3, 6, 8] input: "b" input_dim: [1, 3, 6, 8]
      layer { name: "c" type: "Convolution" bottom: "a" bottom: "b" top: "c1" top: "c2" }
    """)
    assert found.notes == (SHARED + "c (of 2 inputs)",)


SNAPSHOT = """
layer { name: "data" type: "Data" top: "data" top: "label" PHASE transform_param { crop_size: 4 } }
layer { name: "bn" type: "BatchNorm" bottom: "data" top: "bn" PHASE batch_norm_param { use_global_stats: false } }
"""


@pytest.mark.parametrize(("phase", "uses_stored"), [("TRAIN", True), ("TEST", False)])
def test_a_snapshot_of_training_answers_with_its_stored_statistics(net, phase, uses_stored):
    text = SNAPSHOT.replace("PHASE", f"phase: {phase}")
    weights = encode_net(text, {"bn": [np.ones(3), np.ones(3), np.ones(1)]})
    alone, described = net(None, weights), net(text, weights)
    assert alone.layers[0].params.batch_norm_param.use_global_stats is uses_stored
    assert any("the stored statistics are used: bn" in note for note in alone.notes) is uses_stored
    assert described.layers[0].params.batch_norm_param.use_global_stats is False  # what a prototxt says is meant


def test_a_mean_image_that_is_named_is_asked_for(net):
    found = net("""
      layer { name: "data" type: "Data" top: "data" transform_param { mean_file: "m.binaryproto" scale: 0.5 } }
      layer { name: "c" type: "Convolution" bottom: "data" top: "c" }
    """)
    assert found.transform == Transform(scale=0.5, mean_file="m.binaryproto")
    assert any("m.binaryproto, which is not read: --mean FILE gives it" in note for note in found.notes)


def test_the_transform_of_an_input_layer_counts_as_well(net):
    found = net("""
      layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 3, 4, 4] } }
              transform_param { mean_value: 127.5 scale: 0.0078125 mirror: true } }
      layer { name: "r" type: "ReLU" bottom: "data" top: "r" }
    """)
    assert found.transform == Transform(mean_value=(127.5,), scale=0.0078125)
