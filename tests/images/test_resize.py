import numpy as np
import pytest
from PIL import Image

from imgnn.errors import InputError
from imgnn.images.resize import FILTERS, centre_square, fit_long_side, resize, resize_linear, two_taps


@pytest.mark.parametrize("name", FILTERS)
def test_an_image_is_scaled_as_pillow_scales_it(random, name):
    image = random.integers(0, 256, (37, 53, 3), dtype="uint8")
    wanted = Image.fromarray(image).resize((20, 11), FILTERS[name])
    np.testing.assert_array_equal(resize(image, (11, 20), name), wanted)


def test_fine_stripes_become_grey_when_they_shrink():
    image = np.zeros((64, 64, 3), "uint8")
    image[:, ::2] = 255
    assert np.abs(resize(image, (8, 8), "bilinear").astype(int) - 128).max() <= 5


def test_floats_keep_their_range():
    step = np.zeros((4, 16, 3), "float32")
    step[:, 8:] = [300.0, -300.0, 1e-3]
    scaled = resize(step, (8, 40))
    assert scaled.dtype == np.float32
    assert scaled[..., 0].max() > 310  # Lanczos overshoots an edge
    assert scaled[..., 1].min() < -310
    np.testing.assert_allclose(scaled[..., 0], -scaled[..., 1], rtol=1e-6)


def test_floats_are_scaled_as_bytes_are(random):
    image = random.integers(0, 256, (31, 45, 3), dtype="uint8")
    inside = resize(image.astype("float32"), (20, 70), "bilinear")
    assert np.abs(inside - resize(image, (20, 70), "bilinear")).max() <= 1.0


def test_one_channel_stays_one_channel(random):
    grey = random.random((9, 7), dtype="float32")
    assert resize(grey, (3, 2)).shape == (3, 2)
    assert resize(grey[..., None], (3, 2)).shape == (3, 2, 1)
    np.testing.assert_array_equal(resize(grey, (3, 2)), resize(grey[..., None], (3, 2))[..., 0])


def test_the_same_size_gives_the_same_picture_and_not_the_same_memory(random):
    image = random.integers(0, 256, (5, 6, 3), dtype="uint8")
    same = resize(image, (5, 6))
    np.testing.assert_array_equal(same, image)
    assert not np.shares_memory(same, image)


@pytest.mark.parametrize(
    ("shape", "size", "name", "words"),
    [
        ((4, 4, 3), (0, 4), "box", "cannot be scaled to 0 x 4"),
        ((4, 4, 3), (2, 2), "sinc", "lanczos, bicubic, bilinear, box, not 'sinc'"),
        ((1, 4, 4, 3), (2, 2), "box", r"not \(1, 4, 4, 3\)"),
        ((0, 4, 3), (2, 2), "box", r"not \(0, 4, 3\)"),
    ],
)
def test_a_mistake_is_told(shape, size, name, words):
    with pytest.raises(InputError, match=words):
        resize(np.zeros(shape, "uint8"), size, name)


@pytest.mark.parametrize("size", [(224, 224), (227, 227), (256, 256), (181, 300), (359, 200), (720, 500), (360, 360)])
@pytest.mark.parametrize("shape", [(360, 360, 3), (301, 333, 3), (37, 53, 3)])
def test_linear_is_opencv_s(random, size, shape):
    cv2 = pytest.importorskip("cv2")
    image = random.integers(0, 256, shape, dtype="uint8")
    off = np.abs(resize_linear(image, size).astype(int) - cv2.resize(image, size[::-1]))
    # Where OpenCV's vector code ends in the middle of a row, its plain code rounds the rest otherwise.
    assert off.max() <= 1
    assert (off > 0).mean() < 1e-3


@pytest.mark.parametrize(
    ("shape", "size"), [((5, 7), (9, 4)), ((40, 50), (75, 61)), ((1, 1), (3, 2)), ((70, 3), (64, 5))]
)
def test_linear_is_the_plain_formula(random, shape, size):
    image = random.integers(0, 256, (*shape, 3), dtype="uint8")
    wanted = np.zeros((*size, 3), int)
    above, below, top, bottom = two_taps(shape[0], size[0], mixed=True)
    left, right, near, far = two_taps(shape[1], size[1])
    for y in range(size[0]):
        for x in range(size[1]):
            first, second = (
                (image[row, left[x]].astype(int) * near[x] + image[row, right[x]].astype(int) * far[x]) >> 4
                for row in (above[y], below[y])
            )
            wanted[y, x] = ((first * top[y] >> 16) + (second * bottom[y] >> 16) + 2) >> 2
    np.testing.assert_array_equal(resize_linear(image, size), wanted)


def test_linear_leaves_the_size_that_is_wanted_alone(random):
    image = random.integers(0, 256, (5, 6, 3), dtype="uint8")
    same = resize_linear(image, (5, 6))
    np.testing.assert_array_equal(same, image)
    assert not np.shares_memory(same, image)


def test_linear_averages_blocks_before_it_would_skip_pixels(random):
    image = random.integers(0, 256, (80, 120, 3), dtype="uint8")
    blocks = image.reshape(20, 4, 30, 4, 3).mean(axis=(1, 3))
    assert np.abs(resize_linear(image, (20, 30)) - blocks).max() <= 0.5
    stripes = np.zeros((900, 900, 3), "uint8")
    stripes[:, ::2] = 255
    assert np.abs(resize_linear(stripes, (224, 224)).astype(int) - 128).max() <= 1


def test_linear_takes_the_smallest_pictures():
    dot = np.full((1, 1, 3), [10, 20, 30], "uint8")
    np.testing.assert_array_equal(resize_linear(dot, (3, 2)), np.broadcast_to(dot, (3, 2, 3)))


def test_the_long_side_fits():
    assert fit_long_side((734, 979), 384) == (288, 384)
    assert fit_long_side((979, 734), 384) == (384, 288)
    assert fit_long_side((10, 20), 40) == (20, 40)
    assert fit_long_side((1, 5000), 100) == (1, 100)


def test_the_centre_square_is_the_middle():
    image = np.arange(3 * 6).reshape(3, 6)
    np.testing.assert_array_equal(centre_square(image), image[:, 1:4])
    np.testing.assert_array_equal(centre_square(image.T), image.T[1:4])
