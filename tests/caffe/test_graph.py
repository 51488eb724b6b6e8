"""From a net's text to a Keras model: values, names, outputs, and what is refused. Every layer type: test_sweep.py."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import cv2
import keras
import numpy as np
import pytest

from imgnn.caffe.graph import before, build_free, build_graph, net_blobs
from imgnn.caffe.layer import Layer, Transform
from imgnn.caffe.net import Net, read_net
from imgnn.caffe.prototxt import parse_prototxt
from imgnn.errors import ConversionError, UnknownNameError, WeightsError
from tests.caffe.encode import encode_net
from tests.caffe.oracle import header

Blobs = Mapping[str, Sequence[np.ndarray]]
IMAGE = (1, 3, 6, 8)


def net_of(text: str, blobs: Blobs | None = None, **inputs: tuple[int, ...] | None) -> Net:
    """A net of these lines, in which `conv: Convolution data -> conv { num_output: 2 }` is a layer."""
    layers = []
    for number, line in enumerate(text.strip().splitlines(), 1):
        head, brace, settings = line.strip().partition("{")
        name, _, rest = head.partition(":")
        kind, *words = rest.split()
        at = words.index("->")
        params = parse_prototxt(f"layer {{ {settings.rpartition('}')[0] if brace else ''} }}").layer[0]
        own = tuple((blobs or {}).get(name, ()))
        layers.append(Layer(name, kind, tuple(words[:at]), tuple(words[at + 1 :]), params, own, number))
    return Net("tiny", inputs or {"data": IMAGE}, tuple(layers))


CONV = "convolution_param { num_output: 2 kernel_size: 1 }"
IN_PLACE = f"""
    conv1: Convolution data -> conv1 {{ {CONV} }}
    relu1: ReLU conv1 -> conv1
    drop1: Dropout conv1 -> conv1
    fc: InnerProduct conv1 -> fc {{ inner_product_param {{ num_output: 4 }} }}
    prob: Softmax fc -> prob
"""


def names_of(model: keras.Model) -> list[str]:
    return [layer.name for layer in model.layers]


def outputs_of(model: keras.Model) -> list[str]:
    return [tensor._keras_history.operation.name for tensor in model.outputs]


# Names, blobs, outputs -----------------------------------------------------------------------------------------


def test_an_in_place_blob_has_its_value_at_the_end_and_the_raw_one_stays_reachable():
    network = build_graph(net_of(IN_PLACE))
    assert network.blobs == {"data": ("data", 0), "conv1": ("drop1", 0), "fc": ("fc", 0), "prob": ("prob", 0)}
    assert network.tensor("conv1") is network.model.get_layer("drop1").output
    assert network.tensor("conv1@raw") is network.model.get_layer("conv1").output
    assert network.tensor("relu1") is network.model.get_layer("relu1").output
    assert network.tensor("data") is network.model.inputs[0]


def test_the_model_is_flat_and_its_layers_bear_caffes_names():
    network = build_graph(net_of(IN_PLACE))
    assert names_of(network.model) == ["data", "conv1", "relu1", "drop1", "fc__flatten", "fc", "prob"]
    assert network.layers == {name: name for name in ("conv1", "relu1", "drop1", "fc", "prob")}
    assert network.model.output_shape == (None, 4)


def test_names_that_would_be_the_same_in_keras_get_a_number():
    settings = "convolution_param { num_output: 1 kernel_size: 3 stride: 2 pad: 1 }"
    names = ("a/b", "a__b", "a__b_2", "a.b", "data", "a/b/pad", "über")
    text = "\n".join(f"{name}: Convolution data -> {name} {{ {settings} }}" for name in names)
    network = build_graph(net_of(text))
    assert network.layers == {
        "a/b": "a__b",
        "a__b": "a__b_3",  # a__b_2 is the name of another layer
        "a__b_2": "a__b_2",
        "a.b": "a_b",
        "data": "data_2",  # the input was there first
        "a/b/pad": "a__b__pad_2",  # a__b__pad pads a__b
        "über": "layer_ber",
    }
    assert network.tensor("a__b") is network.model.get_layer("a__b_3").output


def test_the_outputs_are_the_blobs_that_nobody_reads_in_the_nets_order():
    network = build_graph(
        net_of(f"""
            conv: Convolution data -> conv {{ {CONV} }}
            cut: Slice conv -> left right {{ slice_param {{ axis: 3 slice_point: 2 }} }}
            relu: ReLU right -> right
            pool: Pooling conv -> pool {{ pooling_param {{ global_pooling: true }} }}
        """)
    )
    assert outputs_of(network.model) == ["cut", "relu", "pool"]
    assert network.blobs["left"] == ("cut", 0)
    assert network.tensor("left").shape == (None, 6, 2, 2)
    assert network.tensor("cut@raw").shape == (None, 6, 2, 2)


def test_several_inputs_of_any_rank_become_inputs_of_the_model():
    text = "both: Eltwise image other -> both\nfc: InnerProduct vector -> fc { inner_product_param { num_output: 2 } }"
    network = build_graph(net_of(text, image=IMAGE, other=IMAGE, vector=(1, 7)))
    assert {tensor.name: tensor.shape for tensor in network.model.inputs} == {
        "image": (None, 6, 8, 3),
        "other": (None, 6, 8, 3),
        "vector": (None, 7),
    }
    values = [np.ones((2, 6, 8, 3)), np.full((2, 6, 8, 3), 2.0), np.ones((2, 7))]
    both, _ = network.model.predict(values, verbose=0)
    np.testing.assert_array_equal(both, np.full((2, 6, 8, 3), 3.0))


def test_a_convolution_of_several_blobs_uses_its_kernel_for_each(random):
    kernel, bias = random.normal(size=(2, 3, 1, 1)), np.array([1.0, -1.0])
    text = f"conv: Convolution one two -> first second {{ {CONV} }}"
    network = build_graph(net_of(text, {"conv": [kernel, bias]}, one=IMAGE, two=IMAGE))
    x = random.normal(size=(1, 6, 8, 3)).astype("float32")
    first, second = network.model.predict([x, x], verbose=0)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first[0, 0, 0], kernel[:, :, 0, 0] @ x[0, 0, 0] + bias, rtol=1e-5)


# Sizes ---------------------------------------------------------------------------------------------------------


def test_an_input_of_unknown_size_takes_its_channels_from_the_first_kernel(random):
    text = f"scale: Power data -> data {{ power_param {{ scale: 0.1 }} }}\nconv: Convolution data -> conv {{ {CONV} }}"
    network = build_graph(net_of(text, {"conv": [np.ones((2, 5, 1, 1)), np.zeros(2)]}, data=None))
    assert network.model.input_shape == (None, None, None, 5)
    assert network.model.predict(np.ones((1, 4, 9, 5)), verbose=0).shape == (1, 4, 9, 2)


@pytest.mark.parametrize(
    "text",
    [
        f"conv: Convolution data -> conv {{ {CONV} }}",  # no weights to ask
        "fc: InnerProduct data -> fc { inner_product_param { num_output: 4 } }",
    ],
)
def test_an_input_of_unknown_size_that_nothing_tells_is_an_error_with_a_way_out(text):
    with pytest.raises(ConversionError, match="do not say the shape of the input 'data'") as error:
        build_graph(net_of(text, data=None))
    assert error.value.hint is not None
    assert "deploy prototxt" in error.value.hint


def test_a_dense_layer_after_a_free_size_asks_for_the_size():
    text = f"conv: Convolution data -> conv {{ {CONV} }}\n" + (
        "fc: InnerProduct conv -> fc { inner_product_param { num_output: 4 } }"
    )
    with pytest.raises(
        ConversionError, match=r"layer fc \(InnerProduct, line 2\): its kernel fits one input size only"
    ):
        build_graph(net_of(text, {"conv": [np.ones((2, 3, 1, 1)), np.zeros(2)]}, data=None))


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ("shape { dim: 0 dim: -1 }", (None, 144)),
        ("shape { dim: -1 dim: 144 }", (None, 144)),
        ("shape { dim: 1 dim: 144 }", (None, 144)),  # the batch of the prototxt
        ("shape { dim: 0 dim: 12 dim: 3 dim: 4 }", (None, 3, 4, 12)),  # stored channels last
        ("shape { dim: 48 } axis: 1 num_axes: 2", None),
        ("shape { dim: 18 } axis: 1 num_axes: 2", (None, 18, 8)),
        ("shape { dim: 1 } axis: -1 num_axes: 0", (None, 3, 6, 8, 1)),
        ("shape { dim: -1 dim: 6 dim: 8 }", None),
        ("shape { dim: 2 dim: 72 }", None),
        ("shape { dim: 0 dim: 100 }", None),
    ],
)
def test_reshape_keeps_the_batch_free_or_says_why_not(settings, shape):
    net = net_of(f"r: Reshape data -> r {{ reshape_param {{ {settings} }} }}")
    if shape is None:
        with pytest.raises(ConversionError, match=r"layer r \(Reshape, line 1\)"):
            build_graph(net)
    else:
        assert build_graph(net).model.output_shape == shape


def test_flatten_and_reshape_have_caffes_order(random):
    x = random.normal(size=(2, 6, 8, 3)).astype("float32")
    flat = build_graph(net_of("f: Flatten data -> f")).model.predict(x, verbose=0)
    np.testing.assert_array_equal(flat, x.transpose(0, 3, 1, 2).reshape(2, -1))
    again = build_graph(
        net_of("f: Flatten data -> f\nr: Reshape f -> r { reshape_param { shape { dim: 0 dim: 3 dim: 6 dim: 8 } } }")
    )
    np.testing.assert_array_equal(again.model.predict(x, verbose=0), x)


# Weights -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("legacy", [False, True])
def test_a_transposed_kernel_is_turned_back(legacy, random):
    kernel = random.normal(size=(4, 4)).astype("float32")  # square, so that only the flag tells
    blob = kernel.reshape(1, 1, 4, 4) if legacy else kernel
    text = "fc: InnerProduct data -> fc { inner_product_param { num_output: 4 transpose: true bias_term: false } }"
    network = build_graph(net_of(text, {"fc": [blob]}, data=(1, 4)))
    x = random.normal(size=(2, 4)).astype("float32")
    np.testing.assert_allclose(network.model.predict(x, verbose=0), x @ kernel, rtol=1e-5, atol=1e-6)


def test_weights_stay_initial_where_the_file_has_none_and_where_nobody_asked():
    net = net_of(f"conv: Convolution data -> conv {{ {CONV} }}")
    filled = replace(net.layers[0], blobs=(np.full((2, 3, 1, 1), 9.0), np.zeros(2)))
    assert not (build_graph(net).model.get_weights()[0] == 9).any()
    assert not (build_graph(replace(net, layers=(filled,)), assign=False).model.get_weights()[0] == 9).any()
    assert (build_graph(replace(net, layers=(filled,))).model.get_weights()[0] == 9).all()


def test_blobs_of_another_shape_name_the_layer():
    net = net_of(f"conv: Convolution data -> conv {{ {CONV} }}", {"conv": [np.ones((2, 5, 1, 1)), np.zeros(2)]})
    with pytest.raises(WeightsError, match="layer conv wants a kernel"):
        build_graph(net)


def test_net_blobs_gives_views():
    kernel = np.ones((3, 5), "float32")
    text = "fc: InnerProduct data -> fc { inner_product_param { num_output: 5 transpose: true } }"
    net = net_of(text, {"fc": [kernel, np.zeros(5)]}, data=(1, 3))
    assert np.shares_memory(net_blobs(net)["fc"][0], kernel)


# What has no place ---------------------------------------------------------------------------------------------


def test_an_unknown_type_is_named_with_its_line_and_the_way_to_the_part_before_it():
    net = net_of(f"conv: Convolution data -> conv {{ {CONV} }}\nbox: PriorBox conv -> box\nrelu: ReLU box -> relu")
    with pytest.raises(
        ConversionError, match=r"layer box \(PriorBox, line 2\) is of a type that has no place"
    ) as error:
        build_graph(net)
    assert error.value.hint == "--until box imports the part before it"
    network = build_graph(before(net, "box"))
    assert list(network.layers) == ["conv"]
    assert network.model.output_shape == (None, 6, 8, 2)


def test_before_a_layer_that_is_not_there_offers_the_near_ones():
    with pytest.raises(UnknownNameError, match="did you mean 'relu1'"):
        before(net_of(IN_PLACE), "relu")
    with pytest.raises(ConversionError, match="no layers before conv1"):
        before(net_of(IN_PLACE), "conv1")


# The shape of an SSD: two maps, one through a layer of its own type, and prior boxes that only the end wants.
SSD = f"""
    conv4: Convolution data -> conv4 {{ {CONV} }}
    norm: Normalize conv4 -> norm
    conf4: Convolution norm -> conf4 {{ {CONV} }}
    perm4: Permute conf4 -> perm4 {{ permute_param {{ order: 0 order: 2 order: 3 order: 1 }} }}
    flat4: Flatten perm4 -> flat4
    prior4: PriorBox norm data -> prior4
    fc7: Convolution conv4 -> fc7 {{ {CONV} }}
    conf7: Convolution fc7 -> conf7 {{ {CONV} }}
    perm7: Permute conf7 -> perm7 {{ permute_param {{ order: 0 order: 2 order: 3 order: 1 }} }}
    flat7: Flatten perm7 -> flat7
    prior7: PriorBox fc7 data -> prior7
    conf: Concat flat4 flat7 -> conf {{ concat_param {{ axis: 1 }} }}
    priors: Concat prior4 prior7 -> priors {{ concat_param {{ axis: 2 }} }}
    info: Power im_info -> scaled
    clip: Proposal scaled -> rois
    detection_out: DetectionOutput conf priors -> detection_out
"""


def test_what_needs_a_layer_without_a_place_is_left_out_in_front_of_the_last_one():
    cut = before(net_of(SSD, data=IMAGE, im_info=(1, 3)), "detection_out")
    assert [layer.name for layer in cut.layers] == ["conv4", "fc7", "conf7", "perm7", "flat7", "info"]
    assert cut.notes[-1] == (
        "left out with --until: norm (Normalize), prior4 (PriorBox), prior7 (PriorBox), clip (Proposal), "
        "and 5 layers that read them"
    )
    network = build_graph(cut)
    assert {name: tuple(network.tensor(name).shape) for name in ("fc7", "flat7")} == {
        "fc7": (None, 6, 8, 2),
        "flat7": (None, 96),
    }


def test_an_input_that_only_what_is_left_out_reads_is_no_input():
    text = f"conv: Convolution data -> conv {{ {CONV} }}\nrois: Python conv im_info -> rois\nprob: Softmax rois -> prob"
    cut = before(net_of(f"{text}\nend: ReLU prob -> end", data=IMAGE, im_info=(1, 3)), "end")
    assert (list(cut.inputs), [layer.name for layer in cut.layers]) == (["data"], ["conv"])
    assert cut.notes[-1] == "left out with --until: rois (Python), and the layer that reads them"


def test_what_is_computed_anew_under_a_lost_name_is_kept():
    text = f"norm: Normalize data -> x\nconv: Convolution data -> x {{ {CONV} }}\nrelu: ReLU x -> x\nend: ReLU x -> x"
    assert [layer.name for layer in before(net_of(text), "end").layers] == ["conv", "relu"]


def test_the_hint_names_the_layer_before_which_most_remains():
    with pytest.raises(ConversionError, match=r"layer norm \(Normalize, line 2\)") as error:
        build_graph(net_of(SSD, data=IMAGE, im_info=(1, 3)))
    assert error.value.hint == "--until detection_out imports the part before it"


def test_blobs_of_layers_that_are_left_out_are_not_forgotten():
    blobs = {"norm": [np.ones(2, "float32")], "fc7": [np.ones((2, 2, 3, 3), "float32"), np.zeros(2)]}
    cut = before(net_of(SSD, blobs, data=IMAGE, im_info=(1, 3)), "fc7")
    assert ([layer.name for layer in cut.layers], list(cut.inputs)) == (["conv4"], ["data"])
    assert list(cut.unused_blobs) == ["norm", "fc7"]


# Sizes that nothing fixes --------------------------------------------------------------------------------------


def test_a_net_of_convolutions_takes_any_size():
    net = net_of(f"""
        conv: Convolution data -> conv {{ {CONV} }}
        pool: Pooling conv -> pool {{ pooling_param {{ kernel_size: 2 stride: 2 }} }}
    """)
    network = build_free(net)
    assert network.model.input_shape == (None, None, None, 3)
    x = np.random.default_rng(0).normal(size=(1, 6, 8, 3)).astype("float32")
    network.model.set_weights(weights := [np.ones_like(each) for each in network.model.get_weights()])
    fixed = build_graph(net).model
    fixed.set_weights(weights)
    np.testing.assert_allclose(network.model(x), fixed(x), rtol=1e-6)
    assert network.model(np.zeros((1, 13, 21, 3), "float32")).shape == (1, 7, 11, 2)


@pytest.mark.parametrize(
    "line",
    [
        "fc: InnerProduct data -> fc { inner_product_param { num_output: 4 } }",
        "shape: Reshape data -> shape { reshape_param { shape { dim: 0 dim: 6 dim: 24 } } }",
        "half: Slice data -> one two { slice_param { axis: 2 } }",
        "flat: Flatten data -> flat",  # as many values as pixels
        "rows: InnerProduct data -> rows { inner_product_param { num_output: 4 axis: 3 } }",
        "map: Scale data -> map { scale_param { axis: 2 num_axes: 2 } }",
    ],
)
def test_a_net_that_fixes_its_size_keeps_it(line):
    assert build_free(net_of(line)).model.input_shape == (None, 6, 8, 3)


def test_the_classes_of_a_net_of_any_size_stay_known():
    head = f"conv: Convolution data -> conv {{ {CONV} }}\npool: Pooling conv -> pool"
    head += " { pooling_param { pool: AVE global_pooling: true } }"
    maps = build_free(net_of(f"{head}\nprob: Softmax pool -> prob")).model
    assert (maps.input_shape, maps.output_shape) == ((None, None, None, 3), (None, 1, 1, 2))
    flat = build_free(net_of(f"{head}\nflat: Flatten pool -> flat\nprob: Softmax flat -> prob")).model
    assert (flat.input_shape, flat.output_shape) == ((None, None, None, 3), (None, 2))
    window = "pool: Pooling data -> pool { pooling_param { kernel_h: 6 kernel_w: 8 } }"  # one pixel at this size only
    cut = build_free(net_of(f"{window}\nflat: Flatten pool -> flat")).model
    assert (cut.input_shape, cut.output_shape) == ((None, 6, 8, 3), (None, 3))


def test_what_takes_no_picture_keeps_its_size():
    line = f"conv: Convolution data -> conv {{ {CONV} }}"
    assert build_free(net_of(line, data=(1, 5, 6, 8))).model.input_shape == (None, 6, 8, 5)
    assert build_free(net_of(line.replace("data", "a", 1), a=IMAGE, b=IMAGE)).model.inputs[0].shape == (None, 6, 8, 3)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("c: Concat data data -> c { concat_param { axis: 0 } }", "axis 0 is the batch"),
        ("c: Convolution data -> c { convolution_param { num_output: 2 kernel_size: 9 } }", "negative"),
        ("c: Convolution data -> c { convolution_param { num_output: 2 } }", "kernel is 0; at least 1"),
        (
            "c: Convolution data -> c { convolution_param { num_output: 4 kernel_size: 1 group: 2 } }",
            "number of groups",
        ),
        ("c: Convolution data -> c { convolution_param { num_output: 2 kernel_size: [1, 1, 1] } }", "3 axes"),
        ("p: Pooling data -> p { pooling_param { kernel_size: 9 } }", r"window of \(9, 9\) does not fit|negative"),
        ("p: Pooling data -> p { pooling_param { kernel_size: 2 pad: 2 } }", "may be all padding"),
        ("p: Pooling data -> p { pooling_param { pool: STOCHASTIC kernel_size: 2 } }", "STOCHASTIC"),
        ("p: Pooling data -> p mask { pooling_param { kernel_size: 2 } }", "where the maxima were"),
        ("n: LRN data -> n { lrn_param { local_size: 4 } }", "odd local_size; it is 4"),
        ("e: Eltwise data -> e", "wants 2 input blobs; it has 1"),
        ("e: Eltwise data data -> e { eltwise_param { coeff: 2 } }", "one coeff per input, 2; it has 1"),
        ("s: Slice data -> a b { slice_param { axis: 1 } }", "3 values do not divide into 2 equal parts"),
        ("s: Slice data -> a b { slice_param { slice_point: 3 } }", "cuts 3 values"),
        ("r: Reduction data -> r", "axis 0 is the batch"),
        ("r: Permute data -> r { permute_param { order: 1 order: 0 } }", "moves the batch"),
        ("r: Softmax data -> r { softmax_param { axis: 4 } }", "axis 4 of a blob that has 4"),
        ("r: ReLU conv -> r", "reads the blob 'conv', which no layer before it gives"),
    ],
)
def test_what_a_keras_model_cannot_do_is_said_with_layer_type_and_line(line, message):
    name, kind = line.split(":")[0], line.split()[1]
    with pytest.raises(ConversionError, match=message) as error:
        build_graph(net_of(line))
    assert str(error.value).startswith(f"layer {name} ({kind}, line 1)")


# The finished model --------------------------------------------------------------------------------------------

MIXED = f"""
    bn: BatchNorm data -> data
    scale: Scale data -> data {{ scale_param {{ bias_term: true }} }}
    conv1: Convolution data -> conv1 {{ convolution_param {{ num_output: 4 kernel_size: 3 stride: 2 pad: 1 }} }}
    relu1: PReLU conv1 -> conv1
    conv2: Convolution conv1 -> conv2 {{ convolution_param {{ num_output: 4 kernel_size: 3 pad: 1 group: 2 }} }}
    norm: LRN conv2 -> norm
    sum: Eltwise conv1 norm -> sum {{ eltwise_param {{ coeff: 1 coeff: -0.5 }} }}
    split: Split sum -> one two
    pool: Pooling one -> pool {{ pooling_param {{ pool: AVE kernel_size: 3 stride: 2 pad: 1 }} }}
    up: Deconvolution pool -> up {{ convolution_param {{ num_output: 4 kernel_size: 4 stride: 2 pad: 1 group: 4 }} }}
    crop: Crop up two -> crop {{ crop_param {{ axis: 2 }} }}
    cut: Slice crop -> left right {{ slice_param {{ axis: 1 }} }}
    fc: InnerProduct left -> fc {{ inner_product_param {{ num_output: 5 }} }}
    prob: Softmax fc -> prob
    out: Convolution right -> out {{ {CONV} }}
"""


def test_a_finished_model_reloads_in_plain_keras_and_gives_the_same(tmp_path, random):
    network = build_graph(net_of(MIXED))
    network.model.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    x = random.normal(size=(2, 6, 8, 3)).astype("float32")
    for one, other in zip(network.model.predict(x, verbose=0), again.predict(x, verbose=0), strict=True):
        np.testing.assert_array_equal(one, other)
    assert names_of(again) == names_of(network.model)


def test_a_finished_model_trains_a_step(random):
    model = build_graph(net_of(MIXED)).model
    before = model.get_weights()
    model.compile(keras.optimizers.Adam(0.01), ["categorical_crossentropy", "mse"])
    targets = [np.eye(5)[[0, 3]], np.zeros((2, 3, 4, 2))]
    model.fit(random.normal(size=(2, 6, 8, 3)).astype("float32"), targets, verbose=0)
    moved = [(one != other).any() for one, other in zip(before, model.get_weights(), strict=True)]
    assert all(moved)


@pytest.mark.parametrize(("settings", "kept"), [("", 0.999), ("moving_average_fraction: 0.9", 0.9)])
def test_batch_norm_keeps_as_much_of_its_statistics_as_caffe_does(settings, kept):
    model = build_graph(net_of(f"bn: BatchNorm data -> bn {{ batch_norm_param {{ {settings} }} }}")).model
    model(np.ones((2, 6, 8, 3), "float32"), training=True)
    np.testing.assert_allclose(model.get_weights()[0], 1 - kept, rtol=1e-4)  # the mean: it was 0, the batch's is 1


def test_batch_norm_that_asks_for_the_batch_gets_it(random):
    text = "bn: BatchNorm data -> bn { batch_norm_param { use_global_stats: false } }"
    values = build_graph(net_of(text)).model.predict(random.normal(5, 3, (4, 6, 8, 3)), verbose=0)
    np.testing.assert_allclose(values.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(values.std(axis=(0, 1, 2)), 1, atol=1e-3)


@pytest.mark.parametrize(
    ("transform", "shape", "mean"),
    [
        (Transform((104.0, 117.0, 123.0), 0.5), IMAGE, (104, 117, 123)),
        (Transform((128.0,)), IMAGE, (128, 128, 128)),
        (Transform((), 0.00390625), (1, 1, 28, 28), (0,)),
        (Transform((1.0, 2.0, 3.0), 0.0078), (1, 3, 0, 0), (1, 2, 3)),  # no crop_size: of any size
        # The numbers of a mean image are not in the prototxt; the scale is.
        (Transform((), 0.017, mean_file="mean.binaryproto"), IMAGE, (104, 117, 123)),
        (Transform((), 0.017, mean_file="mean.binaryproto"), (1, 1, 28, 28), (0,)),
        (Transform((1.0, 2.0, 3.0)), (1, 1, 28, 28), None),
        (None, IMAGE, None),
    ],
)
def test_preprocessing_is_what_the_data_layer_said(transform, shape, mean):
    net = replace(net_of("relu: ReLU data -> relu", data=shape), transform=transform)
    found = build_graph(net).preprocessing
    assert (found and found.mean) == mean
    if found and transform:
        assert found.size == ((224, 224) if 0 in shape else shape[2:])
        assert found.resize == 256
        assert found.scale == (transform.scale,) * shape[1]
        assert found.channel_order == ("BGR" if shape[1] == 3 else "GREY")


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_bilinear_filler_upsamples_as_opencv_does(tmp_path, random, factor):
    # FCN's recipe (Caffe's filler.hpp): kernel 2 f - f % 2, stride f, pad ceil((f - 1) / 2).
    settings = f"kernel_size: {2 * factor - factor % 2} stride: {factor} pad: {math.ceil((factor - 1) / 2)}"
    text = f"""{header(data=(1, 2, 5, 6))}
        layer {{ name: "up" type: "Deconvolution" bottom: "data" top: "up" convolution_param {{
            num_output: 2 group: 2 {settings} bias_term: false weight_filler {{ type: "bilinear" }} }} }}"""
    (tmp_path / "net.prototxt").write_text(text)
    x = random.random((1, 5, 6, 2), "float32")
    found = build_graph(read_net(tmp_path / "net.prototxt", None)).model.predict(x, verbose=0)[0]
    expected = cv2.resize(x[0], None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    inner = slice(factor, -factor)  # at the border Caffe has zeros outside, OpenCV the outermost pixels
    np.testing.assert_allclose(found[inner, inner], expected[inner, inner], atol=1e-5)


def test_towers_with_one_set_of_parameters_answer_the_same(tmp_path, random):
    layers = "".join(
        f"""layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}"
            param {{ name: "w" }} param {{ name: "b" }} {CONV} }}\n"""
        for name, bottom in (("conv", "left"), ("conv_p", "right"))
    )
    text = header(left=IMAGE, right=IMAGE) + layers
    blobs = {"conv": [random.normal(size=(2, 3, 1, 1)).astype("float32"), np.float32([1, -1])]}
    (tmp_path / "net.prototxt").write_text(text)
    (tmp_path / "net.caffemodel").write_bytes(encode_net(text, blobs))
    model = build_graph(read_net(tmp_path / "net.prototxt", tmp_path / "net.caffemodel")).model
    x = random.normal(size=(1, 6, 8, 3)).astype("float32")
    left, right = model.predict([x, x], verbose=0)
    np.testing.assert_array_equal(left, right)
    np.testing.assert_allclose(left[0, 0, 0], blobs["conv"][0][:, :, 0, 0] @ x[0, 0, 0] + [1, -1], rtol=1e-5)


# What is damaged, or means something else -----------------------------------------------------------------------


def test_of_two_layers_with_one_name_the_first_gets_the_weights(random):
    kernel, bias = random.random((2, 3, 1, 1), "float32"), random.random(2, "float32")
    network = build_graph(net_of(f"c: Convolution data -> c {{ {CONV} }}\nc: ReLU c -> c", {"c": (kernel, bias)}))
    assert network.layers == {"c": "c", "c_2": "c_2"}
    np.testing.assert_array_equal(network.model.get_layer("c").weights[0][0, 0], kernel[:, :, 0, 0].T)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("e: Eltwise data data -> e { eltwise_param { operation: 7 } }", "operation is 7; SUM and PROD and MAX"),
        ("n: LRN data -> n { lrn_param { norm_region: SAME_MAP } }", "norm_region is SAME_MAP; ACROSS_CHANNELS and"),
        ("p: Pooling data -> p { pooling_param { kernel_size: 2 round_mode: ROUND } }", "round_mode is ROUND"),
        ("r: Reduction data -> r { reduction_param { operation: MAX axis: 1 } }", "operation is MAX; SUM and ASUM"),
        ("p: Pooling data -> p { pooling_param { kernel_size: 2 stride: 0 } }", "stride is 0; at least 1"),
        ("d: Deconvolution data -> d { convolution_param { num_output: 2 kernel_size: 2 group: 0 } }", "group is 0"),
        ("d: Deconvolution data -> d { convolution_param { num_output: 2 kernel_size: 2 stride: 0 } }", "stride is 0"),
        (
            "c: Convolution data -> c { convolution_param { num_output: 4000000000 kernel_size: 1 } }",
            "num_output is 4000",
        ),
        ("i: InnerProduct data -> i { inner_product_param { num_output: 4000000000 } }", "num_output is 4000000000"),
        ("t: Tile data -> t { tile_param { tiles: 1000000000 } }", "(6, 8, 3000000000) is larger than Caffe's blobs"),
        (
            "d: Deconvolution data -> d { convolution_param { num_output: 2 kernel_size: 2 stride: 90000 } }",
            "larger than",
        ),
        ("r: Reshape data -> r { reshape_param { shape { dim: 0 dim: 4000000000 dim: -1 } } }", "do not fill"),
        ("a: ArgMax data -> a { argmax_param { top_k: 0 } }", "top_k is 0"),
        ("l: Log data -> l { log_param { base: 1 } }", "base is 1.0; "),
        ("r: ReLU data ->", "writes no blob"),
    ],
)
def test_a_setting_that_caffe_does_not_have_is_named_and_never_guessed(line, message):
    with pytest.raises(ConversionError) as caught:
        build_graph(net_of(line))
    name, kind = line.partition(":")[0], line.split()[1]
    assert str(caught.value).startswith(f"layer {name} ({kind}, line 1): ")
    assert message in str(caught.value)
    assert caught.value.hint == f"--until {name} imports the part before it"


@pytest.mark.parametrize("shape", [(1, 4, 6), (1, 2, 3, 4, 5)])
def test_a_dense_layer_takes_blobs_of_any_rank_in_caffes_order(shape, random):
    rows = math.prod(shape[1:])
    kernel, x = random.random((3, rows), "float32"), random.random(shape, "float32")
    line = "i: InnerProduct data -> i { inner_product_param { num_output: 3 bias_term: false } }"
    network = build_graph(net_of(line, {"i": (kernel,)}, data=shape))
    np.testing.assert_allclose(network.model.predict_on_batch(x), x.reshape(1, rows) @ kernel.T, rtol=1e-5)
