"""The check of a conversion: it passes what is right, names what is wrong, and says who judged."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from imgnn.caffe import verify as module
from imgnn.caffe.graph import before, build_graph
from imgnn.caffe.message import Message
from imgnn.caffe.net import read_net
from imgnn.caffe.reference import run_reference
from imgnn.caffe.verify import verify, write_prototxt
from imgnn.errors import ConversionError, InputError
from tests.caffe.cases import SWEEPS
from tests.caffe.oracle import header, write_net

TEXT = (
    header(data=(1, 3, 9, 11))
    + """
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
        convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "cut" type: "Slice" bottom: "conv1" top: "left" top: "right" slice_param { slice_point: 2 } }
layer { name: "pool" type: "Pooling" bottom: "left" top: "pool" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "ip" type: "InnerProduct" bottom: "pool" top: "ip" inner_product_param { num_output: 5 } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""
)
LAYERS = ["conv1", "relu1", "cut", "cut", "pool", "ip", "prob"]


@pytest.fixture
def x(random):
    return random.normal(size=(1, 9, 11, 3)).astype("float32")


@pytest.fixture
def files(tmp_path, random):
    return write_net(tmp_path, TEXT, random)


def test_a_right_conversion_passes_blob_by_blob(files, x):
    cv2 = pytest.importorskip("cv2")
    net = files.read()
    result = verify(build_graph(net), net, x, prototxt=files.prototxt, caffemodel=files.caffemodel)
    assert (result.oracle, result.reason) == (f"OpenCV {cv2.__version__}", None)
    assert [row.layer for row in result.rows] == LAYERS
    assert [row.blob for row in result.rows][:5] == ["conv1", "conv1", "left", "right", "pool"]
    assert result.rows[0].shape == (1, 4, 7, 9)
    assert result.ok() and result.worst.relative_error <= 1e-6


def test_without_a_caffemodel_the_reference_answers_and_says_why(files, x):
    net = files.read()
    result = verify(build_graph(net), net, {"data": x})
    assert (result.oracle, result.reason) == ("NumPy reference", "OpenCV reads a caffemodel, and there is none")
    assert result.ok()


def test_without_a_prototxt_opencv_reads_one_written_from_the_net(files, x):
    pytest.importorskip("cv2")
    net = read_net(None, files.caffemodel)
    result = verify(build_graph(net), net, x, caffemodel=files.caffemodel)
    assert result.oracle.startswith("OpenCV 4")
    assert [row.layer for row in result.rows] == LAYERS
    assert result.ok()


@pytest.mark.parametrize("sweep", [each for each in SWEEPS if not each.opencv], ids=lambda sweep: sweep.title)
def test_a_prototxt_written_from_a_net_says_the_same(sweep, tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(sweep.prototxt())
    net = read_net(path, None)
    path.write_text(write_prototxt(net, {name: np.zeros(shape) for name, shape in net.inputs.items()}))
    again = read_net(path, None)
    assert again.inputs == net.inputs
    for old, new in zip(net.layers, again.layers, strict=True):
        assert (new.name, new.type, new.bottoms, new.tops) == (old.name, old.type, old.bottoms, old.tops)
        assert _settings(new.params) == _settings(old.params)


def _settings(message) -> dict:
    """All that a message holds, by field name."""
    return {
        field.name: _settings(value) if isinstance(value, Message) else value
        for field, value in message.present()
        if field.name not in ("name", "type", "bottom", "top")
    }


@pytest.mark.parametrize("layer", ["conv1", "ip"])
def test_a_wrong_kernel_is_named(layer, files, x):
    net = files.read()
    network = build_graph(net)
    kernel = network.model.get_layer(layer).weights[0]
    kernel.assign(kernel + 0.01)
    for options in ({}, {"prototxt": files.prototxt, "caffemodel": files.caffemodel}):
        result = verify(network, net, x, **options)
        first = next(row for row in result.rows if row.relative_error > 1e-5)
        assert first.layer == layer
        assert not result.ok()
        assert result.worst.relative_error > 1e-3


def test_a_blob_under_the_wrong_name_is_seen(files, x):
    net = files.read()
    network = build_graph(net)
    blobs = {**network.blobs, "left": network.blobs["right"], "right": network.blobs["left"]}
    result = verify(replace(network, blobs=blobs), net, x)
    assert {row.blob for row in result.rows if row.relative_error > 1e-5} == {"left", "right"}


def test_a_network_cut_early_is_compared_as_far_as_it_goes(files, x):
    net = files.read()
    result = verify(build_graph(before(net, "pool")), net, x, prototxt=files.prototxt, caffemodel=files.caffemodel)
    assert [row.layer for row in result.rows] == LAYERS[:4]
    assert result.ok()


@pytest.mark.parametrize(
    "layer",
    [
        'type: "LRN" lrn_param { k: 2 }',
        'type: "InnerProduct" inner_product_param { num_output: 9 transpose: true }',
        'type: "Pooling" pooling_param { kernel_size: 2 stride: 2 round_mode: FLOOR }',
        'type: "MVN" mvn_param { eps: 0.1 }',
        'type: "Tile" tile_param { tiles: 2 }',
    ],
)
def test_where_opencv_errs_or_refuses_the_reference_answers(layer, tmp_path, random, x):
    text = header(data=(1, 3, 9, 11)) + f'layer {{ name: "it" bottom: "data" top: "it" {layer} }}'
    files = write_net(tmp_path, text, random)
    net = files.read()
    result = verify(build_graph(net), net, x, prototxt=files.prototxt, caffemodel=files.caffemodel)
    assert result.oracle == "NumPy reference" and result.reason.startswith("OpenCV")
    assert result.ok()


def test_without_opencv_or_with_version_5_the_reference_answers(files, x, monkeypatch):
    net = files.read()
    network = build_graph(net)
    options = {"prototxt": files.prototxt, "caffemodel": files.caffemodel}
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert verify(network, net, x, **options).reason == "OpenCV is not installed"

    class Five:
        __version__ = "5.0.0"
        dnn = object()

    monkeypatch.setitem(sys.modules, "cv2", Five())
    assert verify(network, net, x, **options).reason == "OpenCV 5.0.0 has no Caffe importer, 4.x has"


def test_what_opencv_rounds_more_coarsely_is_settled_in_float64(files, x, monkeypatch):
    net = files.read()
    exact = run_reference(net, {"data": x.transpose(0, 3, 1, 2)})
    coarse = {**exact, "prob@raw": exact["prob@raw"] * 1.001}
    monkeypatch.setattr(module, "run_opencv", lambda *_: coarse)
    result = verify(build_graph(net), net, x, caffemodel=files.caffemodel)
    assert [row.oracle for row in result.rows if row.layer == "prob"] == ["NumPy reference"]
    assert result.reason.endswith("in float64 at prob (1.0e-03)")
    assert result.ok()


def test_nan_and_other_shapes_never_pass():
    nan = np.array([1.0, np.nan])
    assert module.largest_difference(nan, nan) == 0
    assert module.largest_difference(nan, np.array([1.0, 2.0])) == np.inf
    assert module.largest_difference(np.zeros((2, 3)), np.zeros((3, 2))) == np.inf


def test_nothing_to_compare_is_an_error(files, x):
    net = files.read()
    with pytest.raises(ConversionError, match="nothing to compare"):
        verify(replace(build_graph(net), layers={}), net, x)


def test_a_missing_input_is_named(files, x):
    net = files.read()
    with pytest.raises(InputError, match="wants the inputs data; missing: data"):
        verify(build_graph(net), net, {"image": x})


def test_layers_that_the_network_does_not_name_still_count(files, x):
    net = files.read()
    network = build_graph(net)
    some = {name: network.layers[name] for name in ("conv1", "prob")}
    for options in ({}, {"caffemodel": files.caffemodel}):
        result = verify(replace(network, layers=some), net, x, **options)
        assert [row.layer for row in result.rows] == ["conv1", "prob"]
        assert result.ok()
