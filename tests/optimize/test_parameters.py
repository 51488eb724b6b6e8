import numpy as np
import pytest
from keras import ops

from imgnn.images.preprocess import preprocess
from imgnn.images.preprocessing import Preprocessing
from imgnn.optimize.parameters import Pixels


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing((8, 8)),
        Preprocessing((8, 8), mean=(123.7, 116.3, 103.5), channel_order="RGB", scale=(0.017, 0.018, 0.019)),
        Preprocessing((8, 8), mean=(128.0,), channel_order="GREY", scale=(0.1,)),
    ],
    ids=["caffe", "scaled", "grey"],
)
def test_pixels_are_the_picture_whatever_the_network_wants(preprocessing, random):
    image = random.integers(0, 256, (5, 7, 3), dtype="uint8")
    x, pixels = preprocess(image, preprocessing), Pixels.of(preprocessing)
    values = pixels.from_x(x)
    np.testing.assert_allclose(ops.convert_to_numpy(pixels.to_x(ops.convert_to_tensor(values))), x, atol=1e-4)
    order = {"RGB": image, "BGR": image[..., ::-1]}.get(preprocessing.channel_order)
    if order is None:
        order = image @ np.array([[0.299], [0.587], [0.114]])  # ITU-R BT.601
    np.testing.assert_allclose(values[0], order, atol=1e-3)
