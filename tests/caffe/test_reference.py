"""The NumPy reference against OpenCV 4's Caffe importer, and against Caffe's rules by hand where that errs."""

import numpy as np
import pytest

from imgnn.caffe.net import read_net
from imgnn.caffe.reference import run_reference
from imgnn.errors import ConversionError, InputError, WeightsError
from tests.caffe.cases import SWEEPS
from tests.caffe.oracle import Files, disagreements, header, random_inputs, write_net


@pytest.fixture
def run(tmp_path):
    """`run(text, x, blobs...)`: the first top of a net of one layer that reads `data`."""

    def run(layer: str, x, *blobs) -> np.ndarray:
        from tests.caffe.encode import encode_net

        x = np.asarray(x, "float32")
        text = header(data=x.shape) + f'layer {{ name: "it" bottom: "data" top: "out" {layer} }}'
        files = Files(tmp_path / "net.prototxt", tmp_path / "net.caffemodel")
        files.prototxt.write_text(text)
        files.caffemodel.write_bytes(encode_net(text, {"it": [np.asarray(blob, "float32") for blob in blobs]}))
        return run_reference(files.read(), {"data": x})["out"]

    return run


@pytest.mark.parametrize("sweep", [each for each in SWEEPS if not each.opencv], ids=lambda sweep: sweep.title)
def test_every_layer_is_what_opencv_computes(sweep, tmp_path, random):
    pytest.importorskip("cv2")
    files = write_net(tmp_path, sweep.prototxt(), random)
    net = files.read()
    inputs = random_inputs(net, random, low=sweep.low)
    assert disagreements(net, files.opencv(inputs), run_reference(net, inputs)) == []


def test_lrn_adds_k_and_divides_alpha_by_the_window(run):
    x = np.array([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)
    y = run('type: "LRN" lrn_param { local_size: 3 alpha: 0.6 beta: 0.5 k: 2 }', x)
    # Krizhevsky et al. 2012, section 3.3, with Caffe's alpha / n: 2 + 0.2 * (1 + 4), 2 + 0.2 * (1 + 4 + 9), ...
    np.testing.assert_allclose(y.ravel(), [1 / 3**0.5, 2 / 4.8**0.5, 3 / 4.6**0.5])


def test_inner_product_transposed_reads_its_blob_as_inputs_by_outputs(run):
    y = run(
        'type: "InnerProduct" inner_product_param { num_output: 2 transpose: true }',
        [[1, 10]],
        [[1, 2], [3, 4]],
        [5, 6],
    )
    np.testing.assert_array_equal(y, [[1 + 30 + 5, 2 + 40 + 6]])


def test_pooling_rounds_up_unless_told_to_round_down(run):
    x = np.arange(25.0).reshape(1, 1, 5, 5)
    up = run('type: "Pooling" pooling_param { kernel_size: 2 stride: 2 }', x)
    down = run('type: "Pooling" pooling_param { kernel_size: 2 stride: 2 round_mode: FLOOR }', x)
    np.testing.assert_array_equal(up[0, 0], [[6, 8, 9], [16, 18, 19], [21, 23, 24]])
    np.testing.assert_array_equal(down[0, 0], [[6, 8], [16, 18]])


def test_average_counts_the_padding_but_not_what_lies_beyond(run):
    y = run('type: "Pooling" pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }', np.ones((1, 1, 4, 4)))
    # Windows begin at -1, 1, 3 and the last ends at 4 + 1: lengths 3, 3, 2, of which 2, 3, 1 are ones.
    along = np.array([2 / 3, 3 / 3, 1 / 2])
    np.testing.assert_allclose(y[0, 0], np.outer(along, along))


def test_a_last_window_that_begins_in_the_padding_is_left_out(run):
    settings = 'type: "Pooling" pooling_param {{ kernel_size: 2 stride: 2 pad: {} }}'
    assert run(settings.format(1), np.zeros((1, 1, 5, 5))).shape == (1, 1, 3, 3)  # not ceil(5 / 2) + 1 = 4
    assert run(settings.format(0), np.zeros((1, 1, 5, 5))).shape == (1, 1, 3, 3)


def test_batch_norm_divides_by_its_scale_factor_and_takes_zero_for_none(run):
    x = np.full((1, 1, 1, 1), 5.0)
    settings = 'type: "BatchNorm" batch_norm_param { eps: 1 }'
    assert run(settings, x, [4], [6], [2]).item() == pytest.approx((5 - 4 / 2) / (6 / 2 + 1) ** 0.5)
    assert run(settings, x, [4], [6], [0]).item() == 5


def test_mvn_adds_eps_to_the_standard_deviation(run):
    y = run('type: "MVN" mvn_param { eps: 0.5 }', np.array([1.0, 3.0]).reshape(1, 1, 1, 2))
    np.testing.assert_allclose(y.ravel(), [-1 / 1.5, 1 / 1.5])


def test_arg_max_prefers_the_last_of_equal_values(run):
    x = [[3, 7, 7, 1]]
    np.testing.assert_array_equal(run('type: "ArgMax" argmax_param { top_k: 3 }', x), [[[2, 1, 0]]])
    both = run('type: "ArgMax" argmax_param { top_k: 2 out_max_val: true }', x)
    np.testing.assert_array_equal(both, [[[2, 1], [7, 7]]])
    np.testing.assert_array_equal(run('type: "ArgMax" argmax_param { axis: 1 }', x), [[2]])


def test_reduction_takes_all_axes_from_its_axis_on(run):
    x = np.array([[1.0, -2.0], [3.0, 4.0]])
    settings = 'type: "Reduction" reduction_param {{ operation: {} axis: 1 coeff: 2 }}'
    expected = {"SUM": [-2, 14], "ASUM": [6, 14], "SUMSQ": [10, 50], "MEAN": [-1, 7]}
    for operation, numbers in expected.items():
        np.testing.assert_array_equal(run(settings.format(operation), x), numbers)
    assert run('type: "Reduction"', x) == 6  # axis 0: one number without an axis


def test_tile_and_bias(run):
    np.testing.assert_array_equal(run('type: "Tile" tile_param { tiles: 2 }', [[1, 2]]), [[1, 2, 1, 2]])
    np.testing.assert_array_equal(run('type: "Bias"', [[1, 2]], [10, 20]), [[11, 22]])


def test_a_layers_own_output_stays_beside_the_blob_that_an_in_place_layer_changed(tmp_path, random):
    text = header(data=(1, 2, 3, 3)) + (
        'layer { name: "double" type: "Power" bottom: "data" top: "it" power_param { scale: 2 } }'
        'layer { name: "cut" type: "ReLU" bottom: "it" top: "it" }'
    )
    net = write_net(tmp_path, text, random).read()
    x = random_inputs(net, random)["data"]
    values = run_reference(net, {"data": x})
    np.testing.assert_allclose(values["double@raw"], 2 * x)
    np.testing.assert_allclose(values["it"], np.maximum(2 * x, 0))
    assert values["cut@raw"] is values["it"]


def test_a_missing_blob_and_a_missing_input_are_named(tmp_path):
    path = tmp_path / "net.prototxt"
    settings = "convolution_param { num_output: 1 kernel_size: 1 }"
    layer = f'layer {{ name: "c1" type: "Convolution" bottom: "data" top: "c1" {settings} }}'
    path.write_text(header(data=(1, 2, 3, 3)) + layer)
    net = read_net(path, None)
    with pytest.raises(InputError, match="missing: data"):
        run_reference(net, {})
    with pytest.raises(WeightsError, match=r"layer c1 \(Convolution.*needs blob 0; the file holds 0"):
        run_reference(net, {"data": np.zeros((1, 2, 3, 3))})


def test_an_unknown_layer_type_is_named(run):
    with pytest.raises(ConversionError, match=r"layer it \(Warp.*no such layer type"):
        run('type: "Warp"', [[1]])
