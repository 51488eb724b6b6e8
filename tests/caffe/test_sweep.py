"""Every layer type in many settings: the Keras graph against OpenCV 4, and against the NumPy reference."""

from dataclasses import replace

import pytest

from imgnn.caffe.graph import build_graph
from imgnn.caffe.reference import run_reference
from imgnn.caffe.verify import verify
from tests.caffe.cases import NETS, SWEEPS
from tests.caffe.oracle import channels_last, disagreements, keras_values, random_inputs, write_net


@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda sweep: sweep.title)
def test_every_layer_is_what_caffe_computes(sweep, tmp_path, random):
    files = write_net(tmp_path, sweep.prototxt(), random)
    net = files.read()
    inputs = random_inputs(net, random, low=sweep.low)
    computed = keras_values(build_graph(net), net, inputs)
    assert disagreements(net, run_reference(net, inputs), computed) == []
    if not sweep.opencv:
        pytest.importorskip("cv2")
        assert disagreements(net, files.opencv(inputs), computed) == []


SPATIAL = ("Convolution", "Deconvolution", "Pooling", "LRN", "MVN", "Crop")
ANY_SIZE = [sweep for sweep in SWEEPS if sweep.type in SPATIAL]


@pytest.mark.parametrize("sweep", ANY_SIZE, ids=lambda sweep: sweep.title)
def test_a_graph_built_for_any_size_computes_the_same(sweep, tmp_path, random):
    files = write_net(tmp_path, sweep.prototxt(), random)
    net = files.read()
    inputs = random_inputs(net, random)
    free = replace(net, inputs={name: (*shape[:2], -1, -1) for name, shape in net.inputs.items()})
    assert disagreements(net, run_reference(net, inputs), keras_values(build_graph(free), net, inputs)) == []


@pytest.mark.parametrize("text", NETS.values(), ids=NETS)
def test_layers_together_are_what_caffe_computes(text, tmp_path, random):
    files = write_net(tmp_path, text, random)
    net = files.read()
    network = build_graph(net)
    inputs = random_inputs(net, random)
    turned = channels_last(inputs)
    assert verify(network, net, turned).ok()
    pytest.importorskip("cv2")
    result = verify(network, net, turned, prototxt=files.prototxt, caffemodel=files.caffemodel)
    assert result.ok(), result.worst
    assert result.oracle.startswith("OpenCV") or "gives 1 of the 2 tops of layer split" in result.reason
