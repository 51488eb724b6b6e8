"""Every layer type in many settings: the Keras graph against OpenCV 4, and against the NumPy reference."""

import pytest

from imgnn.caffe.graph import build_graph
from imgnn.caffe.reference import run_reference
from tests.caffe.cases import SWEEPS
from tests.caffe.oracle import disagreements, keras_values, random_inputs, write_net


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
