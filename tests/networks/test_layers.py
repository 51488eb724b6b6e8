"""Each of Caffe's layers on data that fit the screen; numbers by hand or by a plain formula."""

import keras
import numpy as np
import pytest

from imgnn.networks import layers as L

# Every kind of layer: makes a tensor (or a list) of `x` through a layer called `n`.
EVERY_LAYER = [
    lambda x, n: L.conv(x, 4, 3, name=n, pad=1),
    lambda x, n: L.conv(x, 4, 3, name=n, stride=2, pad=1, group=2),
    lambda x, n: L.conv(x, 8, (3, 2), name=n, group=4, bias=False),
    lambda x, n: L.conv(x, 4, 3, name=n, stride=2, dilation=2, pad=2),
    lambda x, n: L.conv(x, 4, 3, name=n, stride=(2, 1), group=4),
    lambda x, n: L.deconv(x, 4, 4, name=n, stride=2, pad=1),
    lambda x, n: L.deconv(x, 4, 4, name=n, stride=2, pad=1, group=4),
    lambda x, n: L.deconv(x, 2, 3, name=n, stride=3, dilation=2, group=2, bias=False),
    lambda x, n: L.max_pool(x, 3, name=n, stride=2),
    lambda x, n: L.max_pool(x, 3, name=n, stride=2, pad=1),
    lambda x, n: L.average_pool(x, 3, name=n, stride=2, pad=1),
    lambda x, n: L.average_pool(x, 2, name=n, stride=2, ceil=False),
    lambda x, n: L.global_average_pool(x, name=n),
    lambda x, n: L.global_max_pool(x, name=n),
    lambda x, n: L.lrn(x, name=n),
    lambda x, n: L.lrn(x, name=n, size=3, alpha=0.5, beta=0.5, within=True),
    lambda x, n: L.batch_norm(x, name=n),
    lambda x, n: L.scale(x, name=n),
    lambda x, n: L.Scale((3, 1, 2), name=n)(x),
    lambda x, n: L.Bias(name=n)(x),
    lambda x, n: L.MVN((1, 2), name=n)(x),
    lambda x, n: L.inner_product(x, 5, name=n),
    lambda x, n: L.relu(x, name=n, slope=0.1),
    lambda x, n: L.prelu(x, name=n),
    lambda x, n: L.prelu(x, name=n, shared=True),
    lambda x, n: L.dropout(x, 0.5, name=n),
    lambda x, n: L.softmax(x, name=n),
    lambda x, n: L.activation(x, "softplus", name=n),
    lambda x, n: L.Power(2.0, 0.5, 3.0, name=n)(x),
    lambda x, n: L.Exp(2.0, 0.5, 1.0, name=n)(x),
    lambda x, n: L.Log(10.0, 0.1, 9.0, name=n)(x),
    lambda x, n: L.AbsVal(name=n)(x),
    lambda x, n: L.WeightedSum([1.0, -2.0], name=n)([x, x]),
    lambda x, n: L.Apply("multiply", [0, 3], name=n)([x, x[:, 0, 0]]),
    lambda x, n: L.Slice(-1, [1, 3], name=n)(x),
    lambda x, n: L.Crop([1, 2], [1, 0], name=n)([x, x[:, 1:4, 2:]]),
    lambda x, n: L.flatten(x, name=n),
    lambda x, n: L.Tile(-1, 2, name=n)(x),
    lambda x, n: L.Reduction("MEAN", [1, 2], 2.0, name=n)(x),
    lambda x, n: L.ArgMax(-1, 2, "both", name=n)(x),
]


def model_of(build, shape=(6, 7, 4)) -> keras.Model:
    x = keras.Input(shape)
    return keras.Model(x, build(x))


def run(build, array) -> np.ndarray:
    """What a layer makes of one array `(batch, height, width, channels)`."""
    return model_of(build, array.shape[1:]).predict(np.asarray(array, "float32"), verbose=0)


def image(rows) -> np.ndarray:
    """One picture with one channel."""
    return np.asarray(rows, "float32")[None, :, :, None]


# Names and stock layers ----------------------------------------------------------------------------------------


def test_layers_bear_caffes_names_and_helpers_say_whom_they_help():
    x = keras.Input((8, 8, 4))
    y = L.conv(x, 2, 3, name="fire2/squeeze", stride=2, pad=1)
    model = keras.Model(x, L.inner_product(y, 3, name="fc"))
    names = [layer.name for layer in model.layers[1:]]
    assert names == ["fire2__squeeze__pad", "fire2__squeeze", "fc__flatten", "fc"]


@pytest.mark.parametrize(
    ("build", "stock"),
    [
        (lambda x: L.conv(x, 2, 3, name="y", pad=1), keras.layers.Conv2D),
        (lambda x: L.max_pool(x, 2, name="y", stride=2), keras.layers.MaxPooling2D),
        (lambda x: L.max_pool(x, 3, name="y", pad=1), keras.layers.MaxPooling2D),
        (lambda x: L.average_pool(x, 2, name="y", stride=2), keras.layers.AveragePooling2D),
        (lambda x: L.average_pool(x, 7, name="y"), keras.layers.AveragePooling2D),
    ],
)
def test_a_stock_layer_serves_where_its_numbers_are_the_same(build, stock):
    layers = model_of(build, (9, 9, 4)).layers
    assert type(layers[-1]) is stock
    assert len(layers) == 2  # and no padding layer


# Pooling -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "kernel", "stride", "pad", "ceil", "size"),
    [
        (112, 3, 2, 0, True, 56),  # GoogLeNet's pool1: rounded up
        (55, 3, 2, 0, True, 27),  # AlexNet's
        (13, 3, 2, 0, True, 6),
        (14, 3, 2, 1, True, 8),
        (4, 2, 3, 1, True, 2),
        (3, 2, 2, 1, True, 2),  # a third window would begin in the padding: clipped
        (112, 3, 2, 0, False, 55),
        (1, 2, 2, 0, True, 1),
    ],
)
def test_pooled_sizes_follow_caffes_rule(length, kernel, stride, pad, ceil, size):
    assert L.pooled_size(length, kernel, stride, pad, ceil=ceil, clip=pad > 0) == size
    model = model_of(lambda x: L.max_pool(x, kernel, name="p", stride=stride, pad=pad, ceil=ceil), (length, length, 1))
    assert model.output_shape == (None, size, size, 1)


def test_a_maximum_ignores_the_padding_even_of_negative_values():
    pooled = run(lambda x: L.max_pool(x, 3, name="p", stride=2, pad=1), image([[-1, -2], [-3, -4]]))
    np.testing.assert_array_equal(pooled[0, ..., 0], [[-1, -2], [-3, -4]])


def test_a_mean_counts_the_padding_but_nothing_beyond_it():
    # One row 1..6, windows of 3 every 2 with a pad of 1: (0 1 2) (2 3 4) (4 5 6) and (6 0), cut at 6 + 1.
    row = image([[1, 2, 3, 4, 5, 6]])
    pooled = run(lambda x: L.average_pool(x, (1, 3), name="p", stride=(1, 2), pad=(0, 1)), row)
    np.testing.assert_allclose(pooled[0, 0, :, 0], [1, 3, 5, 3], rtol=1e-6)


def test_a_mean_of_a_window_partly_outside_divides_by_what_is_inside():
    pooled = run(lambda x: L.average_pool(x, 3, name="p", stride=2), image(np.arange(16.0).reshape(4, 4)))
    np.testing.assert_allclose(pooled[0, ..., 0], [[5, 6.5], [11, 12.5]], rtol=1e-6)


@pytest.mark.parametrize("pool", [L.max_pool, L.average_pool])
@pytest.mark.parametrize("pad", [0, 1])
@pytest.mark.parametrize("size", [(9, 12), (8, 7)])
def test_pooling_of_an_unknown_size_gives_what_it_gives_of_a_known_one(pool, pad, size, random):
    x = random.normal(size=(2, *size, 3)).astype("float32")
    free = model_of(lambda x: pool(x, 3, name="p", stride=2, pad=pad), (None, None, 3))
    known = model_of(lambda x: pool(x, 3, name="p", stride=2, pad=pad), (*size, 3))
    np.testing.assert_array_equal(free.predict(x, verbose=0), known.predict(x, verbose=0))


def test_a_window_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"window of \(5, 5\) does not fit into \(3, 3\)"):
        model_of(lambda x: L.max_pool(x, 5, name="p", stride=2), (3, 3, 1))


# Convolution ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [1, 2, 4])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), ((2, 1), 1), (2, 2)])
def test_convolution_is_the_sum_it_is_defined_as(group, stride, dilation, random):
    model = model_of(lambda x: L.conv(x, 8, 3, name="c", stride=stride, pad=2, dilation=dilation, group=group))
    kernel = random.normal(size=(3, 3, 4 // group, 8)).astype("float32")
    bias = random.normal(size=8).astype("float32")
    model.get_layer("c").set_weights([kernel, bias])
    x = random.normal(size=(2, 6, 7, 4)).astype("float32")
    padded = np.pad(x.astype("float64"), ((0, 0), (2, 2), (2, 2), (0, 0)))
    (down, across), inner, outer = L.pair(stride), 4 // group, 8 // group
    height, width = ((length + 4 - 2 * dilation - 1) // s + 1 for length, s in ((6, down), (7, across)))
    wanted = np.zeros((2, height, width, 8)) + bias
    for i, j in np.ndindex(3, 3):
        window = padded[:, i * dilation :: down, j * dilation :: across][:, :height, :width]
        for g in range(group):
            filters = slice(g * outer, (g + 1) * outer)
            wanted[..., filters] += window[..., g * inner : (g + 1) * inner] @ kernel[i, j, :, filters]
    np.testing.assert_allclose(model.predict(x, verbose=0), wanted, atol=1e-5)


@pytest.mark.parametrize("group", [1, 2, 4])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), ((3, 2), 1), (2, 2), (4, 1)])
def test_deconvolution_paints_each_value_with_the_kernel(group, stride, dilation, random):
    model = model_of(lambda x: L.deconv(x, 4, 3, name="d", stride=stride, pad=1, dilation=dilation, group=group))
    inner, outer = 4 // group, 4 // group
    kernel = random.normal(size=(3, 3, outer, 4)).astype("float32")
    bias = random.normal(size=4).astype("float32")
    model.get_layer("d").set_weights([kernel, bias])
    x = random.normal(size=(2, 6, 7, 4)).astype("float32")
    down, across = L.pair(stride)
    canvas = np.zeros((2, down * 5 + 2 * dilation + 1, across * 6 + 2 * dilation + 1, 4))
    for row, column, i, j in np.ndindex(6, 7, 3, 3):
        for g in range(group):
            channels = slice(g * inner, (g + 1) * inner)
            painted = x[:, row, column, channels] @ kernel[i, j, :, channels].T
            canvas[:, row * down + i * dilation, column * across + j * dilation, g * outer : (g + 1) * outer] += painted
    np.testing.assert_allclose(model.predict(x, verbose=0), canvas[:, 1:-1, 1:-1] + bias, atol=1e-5)
    assert model.output_shape == (None, *canvas[:, 1:-1, 1:-1].shape[1:])


@pytest.mark.parametrize("group", [3, 6])
def test_both_ways_to_a_grouped_deconvolution_come_to_the_same(group, random):
    layer = L.Deconvolution(6, 4, 2, 1, groups=group)
    x = random.normal(size=(2, 5, 3, 6)).astype("float32")
    layer(x)
    one, other = (keras.ops.convert_to_numpy(way(x)) for way in (layer._transposed, layer._spread))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_padding_of_a_strided_convolution_lies_on_both_sides():
    model = model_of(lambda x: L.conv(x, 1, 3, name="c", stride=2, pad=1, bias=False), (4, 4, 1))
    model.get_layer("c").set_weights([np.ones((3, 3, 1, 1))])
    # padding="same" would sum rows and columns 0..2 and 2..4 instead.
    np.testing.assert_allclose(model.predict(np.ones((1, 4, 4, 1)), verbose=0)[0, ..., 0], [[4, 6], [6, 9]])


# Normalisation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("beta", "k"), [(0.75, 1.0), (0.5, 2.0), (0.75, 2.0)])
def test_lrn_divides_by_the_squares_of_neighbouring_channels(beta, k, random):
    x = random.normal(size=(1, 2, 3, 7)).astype("float32")
    wanted = np.empty(x.shape)
    for c in range(7):
        squares = (x[..., max(c - 1, 0) : c + 2].astype("float64") ** 2).sum(axis=-1)
        wanted[..., c] = x[..., c] / (k + 0.3 / 3 * squares) ** beta
    np.testing.assert_allclose(
        run(lambda x: L.lrn(x, name="n", size=3, alpha=0.3, beta=beta, k=k), x), wanted, rtol=2e-6
    )


def test_lrn_within_a_channel_takes_the_mean_of_squares_padding_counted():
    x = image(np.arange(1.0, 10.0).reshape(3, 3))
    out = run(lambda x: L.lrn(x, name="n", size=3, alpha=0.9, within=True, k=5.0), x)  # k is 1 there all the same
    assert out[0, 0, 0, 0] == pytest.approx(1 / (1 + 0.9 * (1 + 4 + 16 + 25) / 9) ** 0.75)
    assert out[0, 1, 1, 0] == pytest.approx(5 / (1 + 0.9 * 285 / 9) ** 0.75)


def test_lrn_keeps_its_digits_in_half_precision():
    x = np.full((1, 1, 1, 5), 300.0)  # 300 squared is beyond float16
    layer = L.LRN(dtype="mixed_float16")
    plain = keras.ops.convert_to_numpy(L.LRN()(x))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(x)), plain, rtol=1e-3)


def test_mvn_leaves_mean_0_and_deviation_1_per_channel(random):
    x = run(lambda x: L.MVN((1, 2), name="m")(x), random.normal(3, 5, (2, 8, 9, 3)))
    np.testing.assert_allclose(x.mean(axis=(1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(x.std(axis=(1, 2)), 1, atol=1e-6)


def test_mvn_of_a_flat_picture_has_a_finite_gradient():
    model = model_of(lambda x: L.MVN((1, 2), name="m")(L.conv(x, 1, 1, name="c")), (4, 4, 1))
    model.compile("sgd", "mse")
    model.fit(np.ones((1, 4, 4, 1)), np.ones((1, 4, 4, 1)), verbose=0)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_scale_multiplies_and_adds_along_its_axes(random):
    model = model_of(lambda x: L.Scale((3, 1), name="s")(x))
    assert [weight.shape for weight in model.weights] == [(6, 4), (6, 4)]  # ascending: height, channels
    factor, bias = random.normal(size=(2, 6, 4)).astype("float32")
    model.get_layer("s").set_weights([factor, bias])
    x = random.normal(size=(1, 6, 7, 4)).astype("float32")
    wanted = x * factor[:, None, :] + bias[:, None, :]
    np.testing.assert_allclose(model.predict(x, verbose=0), wanted, rtol=1e-5, atol=1e-6)


# One value at a time, several values ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "wanted"),
    [
        (L.Power(2.0, 3.0, 1.0), lambda x: (1 + 3 * x) ** 2),
        (L.Exp(), np.exp),
        (L.Exp(2.0, 3.0, 1.0), lambda x: 2 ** (1 + 3 * x)),
        (L.Log(), np.log),
        (L.Log(10.0, 3.0, 1.0), lambda x: np.log10(1 + 3 * x)),
        (L.AbsVal(), np.abs),
        (L.WeightedSum([2.0]), lambda x: 2 * x),
    ],
)
def test_elementwise_layers_are_their_formulas(layer, wanted):
    x = np.array([[0.25, 0.5, 1.0, 2.0]], "float32")
    inputs = [x] if isinstance(layer, L.WeightedSum) else x
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(inputs)), wanted(x), rtol=1e-6)


def test_relu_keeps_its_slope_and_prelu_has_one_per_channel():
    x = np.full((1, 2, 2, 2), -2.0, "float32")
    np.testing.assert_allclose(run(lambda x: L.relu(x, name="r", slope=0.25), x), -0.5)
    model = model_of(lambda x: L.prelu(x, name="r"), (2, 2, 2))
    model.get_layer("r").set_weights([np.array([[[0.5, 1.0]]])])
    np.testing.assert_allclose(model.predict(x, verbose=0)[0, 0, 0], [-1, -2])


def test_of_equal_values_argmax_names_the_last_as_caffe_does():
    out = L.ArgMax(-1, 3, "both")(np.array([[1.0, 7.0, 7.0, 2.0]], "float32"))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(out), [[[2, 7], [1, 7], [3, 2]]])


def test_slice_cuts_at_its_points():
    pieces = L.Slice(-1, [1, 3])(np.arange(5.0)[None])
    assert [keras.ops.convert_to_numpy(piece).tolist() for piece in pieces] == [[[0]], [[1, 2]], [[3, 4]]]


def test_crop_cuts_the_first_to_the_size_of_the_second():
    out = L.Crop([1, 2], [1, 2])([image(np.arange(20.0).reshape(4, 5)), image(np.zeros((2, 3)))])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(out)[0, ..., 0], [[7, 8, 9], [12, 13, 14]])


def test_flatten_keeps_caffes_order():
    x = np.arange(12.0).reshape(1, 2, 3, 2)
    np.testing.assert_array_equal(run(lambda x: L.flatten(x, name="f"), x), x.transpose(0, 3, 1, 2).reshape(1, -1))


# All of them ---------------------------------------------------------------------------------------------------


@pytest.fixture(params=["float32", "mixed_bfloat16"])
def everything(request) -> keras.Model:
    """One model with every layer above, each behind the same convolution, one output each."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    try:
        x = keras.Input((6, 7, 4))
        start = keras.layers.Conv2D(4, 1, name="start")(x)
        values = [build(start, f"layer{number}") for number, build in enumerate(EVERY_LAYER)]
        outputs = [keras.layers.Flatten()(value[0] if isinstance(value, list) else value) for value in values]
    finally:
        keras.config.set_dtype_policy(before)
    return keras.Model(x, outputs)


def test_every_layer_reloads_in_plain_keras_and_gives_the_same(everything, tmp_path, random):
    for weight in everything.weights:
        weight.assign(random.uniform(0.5, 1.5, weight.shape))
    everything.save(tmp_path / "layers.keras")
    again = keras.models.load_model(tmp_path / "layers.keras")
    x = random.uniform(-1, 1, (2, 6, 7, 4)).astype("float32")
    wanted, found = everything.predict(x, verbose=0), again.predict(x, verbose=0)
    for number, (one, other) in enumerate(zip(wanted, found, strict=True)):
        np.testing.assert_array_equal(other, one, err_msg=f"layer{number}")


def test_every_layer_trains(everything, random):
    trained = keras.layers.Concatenate()(everything.outputs[:-1])
    model = keras.Model(everything.inputs, trained)  # without ArgMax: the place of a maximum has no slope
    before = model.get_weights()
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model.fit(random.uniform(-1, 1, (2, 6, 7, 4)).astype("float32"), np.ones((2, trained.shape[-1])), verbose=0)
    after = model.get_weights()
    assert all(np.isfinite(weight).all() for weight in after)
    still = [w.path for w, one, other in zip(model.weights, before, after, strict=True) if (one == other).all()]
    assert still == []


def test_a_model_cut_and_cloned_at_another_size_shares_its_layers(random):
    def build(x):
        x = L.conv(x, 4, 3, name="c", stride=2, pad=1, group=2)
        x = L.lrn(L.max_pool(x, 3, name="p", stride=2), name="n")
        return L.scale(L.deconv(L.average_pool(x, 3, name="a", stride=2, pad=1), 4, 4, name="d", stride=2), name="s")

    fixed = model_of(build, (32, 32, 4))
    free = keras.models.clone_model(
        fixed, input_tensors=keras.Input((None, None, 4)), clone_function=lambda layer: layer
    )
    other = model_of(build, (45, 38, 4))
    other.set_weights(fixed.get_weights())
    x = random.normal(size=(1, 45, 38, 4)).astype("float32")
    np.testing.assert_array_equal(free.predict(x, verbose=0), other.predict(x, verbose=0))
    assert free.get_layer("c") is fixed.get_layer("c")
