import numpy as np
import pytest
from keras import ops

from imgnn.backend import value_and_grad
from imgnn.images.preprocess import preprocess
from imgnn.images.preprocessing import Preprocessing
from imgnn.optimize.parameters import FourierPixels, Pixels, to_x


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing((8, 8)),
        Preprocessing((8, 8), mean=(123.7, 116.3, 103.5), channel_order="RGB", scale=(0.017, 0.018, 0.019)),
        Preprocessing((8, 8), mean=(128.0,), channel_order="GREY", scale=(0.1,)),
    ],
    ids=["caffe", "scaled", "grey"],
)
def test_pixels_become_x_as_images_do(preprocessing, random):
    image = random.integers(0, 256, (5, 7, 3), dtype="uint8")
    pixels = ops.convert_to_tensor(image[None].astype("float32"))
    np.testing.assert_allclose(
        ops.convert_to_numpy(to_x(pixels, preprocessing)), preprocess(image, preprocessing), atol=1e-4
    )


@pytest.mark.parametrize("parameter", [Pixels(), FourierPixels((6, 9))], ids=["pixels", "fourier"])
def test_values_stand_for_the_pixels_that_they_were_made_of(parameter, random):
    pixels = random.uniform(2, 253, (1, 6, 9, 3)).astype("float32")
    values = parameter.values(ops.convert_to_tensor(pixels))
    np.testing.assert_allclose(ops.convert_to_numpy(parameter.pixels(values)), pixels, atol=0.05)


@pytest.mark.parametrize("parameter", [Pixels(), FourierPixels((6, 9))], ids=["pixels", "fourier"])
def test_a_gradient_by_the_pixels_is_pulled_back_to_the_values(parameter, random):
    weights = ops.convert_to_tensor(random.standard_normal((1, 6, 9, 3)).astype("float32"))
    values = parameter.values(ops.convert_to_tensor(random.uniform(50, 200, (1, 6, 9, 3)).astype("float32")))
    _, _, wanted = value_and_grad(lambda v: (ops.sum(weights * parameter.pixels(v) ** 2), {}))(values)
    slope = 2 * weights * parameter.pixels(values)
    np.testing.assert_allclose(
        ops.convert_to_numpy(parameter.pull(values, slope)), ops.convert_to_numpy(wanted), rtol=1e-3, atol=1e-2
    )
