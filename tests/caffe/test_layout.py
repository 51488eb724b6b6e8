"""Caffe's axes to Keras's, on arrays whose every number says where it came from."""

import keras
import numpy as np
import pytest

from imgnn.caffe import layout
from imgnn.caffe.filler import Filled
from imgnn.caffe.layout import assign_blobs
from imgnn.errors import WeightsError
from imgnn.networks import layers as L


def keras_arrays(layer, blobs, **more):
    """All of them at once."""
    return list(layout.keras_arrays(layer, blobs, caffe_name=layer.name, **more))


def numbered(*shape: int) -> np.ndarray:
    """An array that says where each of its numbers is."""
    return np.arange(np.prod(shape, dtype=int), dtype="float32").reshape(shape)


def build(function, shape) -> keras.Model:
    x = keras.Input(shape)
    return keras.Model(x, function(x))


def test_a_kernel_goes_from_out_in_height_width_to_height_width_in_out():
    layer = build(lambda x: L.conv(x, 6, (2, 3), name="c", group=2), (5, 5, 4)).get_layer("c")
    blob = numbered(6, 2, 2, 3)
    kernel, bias = keras_arrays(layer, [blob, numbered(6)])
    assert kernel.shape == (2, 3, 2, 6)
    assert kernel[1, 2, 0, 5] == blob[5, 0, 1, 2]
    np.testing.assert_array_equal(bias, numbered(6))


def test_a_transposed_kernel_has_its_inputs_first_in_caffe():
    layer = build(lambda x: L.deconv(x, 6, 2, name="d", group=2), (5, 5, 4)).get_layer("d")
    blob = numbered(4, 3, 2, 2)  # (in, out / group, kh, kw)
    kernel, _ = keras_arrays(layer, [blob, numbered(6)])
    assert kernel.shape == (2, 2, 3, 4)
    assert kernel[0, 1, 2, 3] == blob[3, 2, 0, 1]


def test_a_dense_layer_after_a_picture_reads_it_in_keras_order(random):
    model = build(lambda x: L.inner_product(x, 4, name="fc"), (2, 3, 5))
    blob, bias = random.normal(size=(4, 30)).astype("float32"), numbered(4)
    assign_blobs(model, {"fc": "fc"}, {"fc": [blob, bias]})
    x = random.normal(size=(1, 2, 3, 5)).astype("float32")
    as_caffe = x.transpose(0, 3, 1, 2).reshape(1, -1) @ blob.T + bias
    np.testing.assert_allclose(model.predict(x, verbose=0), as_caffe, rtol=1e-5, atol=1e-5)


def test_a_large_kernel_is_turned_in_pieces_to_the_same():
    layer = build(lambda x: L.inner_product(x, 1030, name="fc", bias=False), (32, 32, 1)).get_layer("fc")
    blob = numbered(1030, 1024)  # more than a million numbers, and a last piece that is not whole
    np.testing.assert_array_equal(keras_arrays(layer, [blob], flattened=(32, 32, 1))[0], blob.T)


@pytest.mark.parametrize(("factor", "mean"), [(4.0, 0.5), (1.0, 2.0), (0.0, 0.0)])
def test_batch_norm_divides_its_sums_by_the_factor(factor, mean):
    layer = build(lambda x: L.batch_norm(x, name="bn"), (2, 2, 3)).get_layer("bn")
    found = keras_arrays(layer, [np.full(3, 2.0, "float32"), np.full(3, 8.0, "float32"), np.float32([factor])])
    np.testing.assert_array_equal(found, [np.full(3, mean), np.full(3, 4 * mean)])


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ((4, 2, 1, 3), (4, 2, 3, 1)),  # height and width exchanged
        ((4, 2, 3, 3), (4, 3, 2, 3)),
        ((4, 2, 3, 3), (4, 2, 9, 1)),
    ],
)
def test_as_many_numbers_in_another_order_do_not_fit(shape, found):
    layer = build(lambda x: L.conv(x, shape[0], shape[2:], name="c", bias=False), (5, 5, shape[1])).get_layer("c")
    with pytest.raises(WeightsError, match="wants a kernel"):
        keras_arrays(layer, [numbered(*found)])


@pytest.mark.parametrize("found", [(4, 18), (1, 1, 4, 18)])
def test_a_dense_kernel_fits_the_convolution_that_it_can_become(found):
    layer = build(lambda x: L.conv(x, 4, 3, name="c", bias=False), (5, 5, 2)).get_layer("c")
    kernel = keras_arrays(layer, [numbered(*found)])[0]
    np.testing.assert_array_equal(kernel, numbered(4, 2, 3, 3).transpose(2, 3, 1, 0))


@pytest.mark.parametrize("shape", [(3,), (1, 3, 1, 1), (1, 1, 1, 3)])
def test_a_vector_may_have_axes_of_one(shape):
    layer = build(lambda x: L.batch_norm(x, name="bn"), (2, 2, 3)).get_layer("bn")
    mean, _ = keras_arrays(layer, [numbered(*shape), numbered(*shape), np.ones((1, 1, 1, 1), "float32")])
    np.testing.assert_array_equal(mean, [0, 1, 2])


def test_scale_along_all_axes_of_a_picture_is_turned_too():
    layer = build(lambda x: L.Scale((3, 1, 2), bias=False, name="s")(x), (2, 3, 5)).get_layer("s")
    blob = numbered(5, 2, 3)
    np.testing.assert_array_equal(keras_arrays(layer, [blob])[0], blob.transpose(1, 2, 0))


@pytest.mark.parametrize("shape", [(1,), (), (1, 1, 1, 1)])
def test_a_shared_slope_may_have_any_axes_of_one(shape):
    layer = build(lambda x: L.prelu(x, name="p", shared=True), (2, 2, 3)).get_layer("p")
    np.testing.assert_array_equal(keras_arrays(layer, [np.full(shape, 0.3)]), [np.full((1, 1, 1), 0.3)])


def test_the_rows_tell_what_became_of_every_blob():
    def two(x):
        return L.inner_product(L.relu(L.conv(x, 2, 1, name="a/b"), name="relu"), 3, name="fc")

    model = build(two, (1, 1, 4))
    blobs = {
        "a/b": [numbered(2, 4, 1, 1), numbered(1, 1, 1, 2)],  # a bias as the first Caffes wrote it
        "relu": [numbered(1)],
        "loss": [numbered(7)],
    }
    rows = assign_blobs(model, {"a/b": "a__b", "relu": "relu", "fc": "fc"}, blobs)
    assert [(row.layer, row.status) for row in rows] == [
        ("a/b", "reshaped"),
        ("fc", "missing"),
        ("relu", "skipped"),
        ("loss", "skipped"),
    ]
    assert all(row.why for row in rows)
    assert rows[0].blob_shapes == ((2, 4, 1, 1), (1, 1, 1, 2))
    assert rows[0].keras_shapes == ((1, 1, 4, 2), (2,))
    np.testing.assert_array_equal(model.get_layer("a__b").get_weights()[1], [0, 1])


@pytest.mark.parametrize(
    ("blobs", "message"),
    [
        ([numbered(4, 3, 3, 3), numbered(4)], r"c wants a kernel \(4, 2, 3, 3\); the file holds \(4, 3, 3, 3\)"),
        ([numbered(4, 2, 3, 3), numbered(5)], r"c wants a bias \(4,\); the file holds \(5,\)"),
        ([numbered(4, 2, 3, 3)], r"c wants 2 blobs: .*; the file holds 1: \(4, 2, 3, 3\)"),
        ([numbered(2, 4, 3, 3), numbered(4)], r"c wants a kernel \(4, 2, 3, 3\); the file holds \(2, 4, 3, 3\)"),
    ],
)
def test_a_blob_of_another_shape_is_an_error_with_both_shapes(blobs, message):
    model = build(lambda x: L.conv(x, 4, 3, name="c"), (5, 5, 2))
    before = model.get_weights()
    with pytest.raises(WeightsError, match=message):
        assign_blobs(model, {"c": "c"}, {"c": blobs})
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("count", [4, 5])
def test_nvidias_batch_norm_is_told_in_words(count):
    layer = build(lambda x: L.batch_norm(x, name="bn"), (2, 2, 3)).get_layer("bn")
    with pytest.raises(WeightsError, match="NVIDIA's old fork"):
        keras_arrays(layer, [numbered(3)] * count)


def test_what_a_filler_gave_has_its_own_status():
    model = build(lambda x: L.conv(x, 2, 1, name="c"), (1, 1, 3))
    kernel, bias = np.full((2, 3, 1, 1), 0.5, "float32"), np.ones(2, "float32").view(Filled)
    (row,) = assign_blobs(model, {"c": "c"}, {"c": [kernel, bias]})
    assert (row.status, row.blob_shapes, bool(row.why)) == ("filled", ((2, 3, 1, 1),), True)
    np.testing.assert_array_equal(model.predict(np.ones((1, 1, 1, 3)), verbose=0), [[[[2.5, 2.5]]]])
