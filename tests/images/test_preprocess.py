import numpy as np
import pytest

from imgnn.errors import InputError
from imgnn.images.preprocess import classifier_crops, deprocess, preprocess
from imgnn.images.preprocessing import Preprocessing

CAFFE = Preprocessing((224, 224))
RGB = Preprocessing(
    (224, 224), mean=(123.675, 116.28, 103.53), channel_order="RGB", scale=(1 / 58.395, 1 / 57.12, 1 / 57.375)
)
GREY = Preprocessing((28, 28), mean=(0.0,), channel_order="GREY", scale=(1 / 256,))
EVERY_COLOUR_ONCE = np.stack(np.meshgrid(*[np.arange(0, 256, 5)] * 3), -1).reshape(52, -1, 3).astype("uint8")


def test_caffe_s_x_is_bgr_minus_mean():
    red = np.full((1, 2, 3), [255, 0, 10], "uint8")
    np.testing.assert_array_equal(preprocess(red, CAFFE)[0, 0, 0], [10 - 104, 0 - 117, 255 - 123])


@pytest.mark.parametrize("preprocessing", [CAFFE, Preprocessing((8, 8), mean=(1.5, 2, 3), scale=(0.017,) * 3)])
def test_x_is_opencv_s_blob(random, preprocessing):
    cv2 = pytest.importorskip("cv2")
    images = random.integers(0, 256, (2, 9, 13, 3), dtype="uint8")
    blob = cv2.dnn.blobFromImages(images, scalefactor=preprocessing.scale[0], mean=preprocessing.mean, swapRB=True)
    # float32 of 0.017 rounds otherwise than its double.
    np.testing.assert_allclose(preprocess(images, preprocessing), blob.transpose(0, 2, 3, 1), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("preprocessing", [CAFFE, RGB, Preprocessing((8, 8), scale=(1 / 127.5,) * 3)])
def test_deprocess_gives_the_image_back(preprocessing):
    x = preprocess(EVERY_COLOUR_ONCE, preprocessing)
    assert (x.dtype, x.shape) == (np.float32, (1, *EVERY_COLOUR_ONCE.shape))
    np.testing.assert_array_equal(deprocess(x, preprocessing)[0], EVERY_COLOUR_ONCE)
    np.testing.assert_array_equal(deprocess(x[0], preprocessing), EVERY_COLOUR_ONCE)


def test_grey_is_opencv_s_and_comes_back_as_grey(random):
    cv2 = pytest.importorskip("cv2")
    image = random.integers(0, 256, (9, 7, 3), dtype="uint8")
    x = preprocess(image, GREY)
    assert x.shape == (1, 9, 7, 1)
    wanted = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    assert np.abs(x[0, ..., 0] * 256 - wanted).max() <= 0.51
    back = deprocess(x, GREY)[0]
    assert (back == back[..., :1]).all()
    np.testing.assert_allclose(back[..., 0], wanted, atol=1)


def test_what_left_the_range_is_clipped_and_what_is_no_number_is_black():
    x = np.array([[[[-300.0, 0.4, 900.0], [np.nan, np.inf, -np.inf]]]], "float32")
    np.testing.assert_array_equal(deprocess(x, CAFFE)[0, 0], [[255, 117, 0], [0, 255, 0]])


def test_a_list_of_images_is_a_batch():
    images = [np.zeros((4, 5, 3), "uint8"), np.ones((4, 5, 3), "uint8")]
    assert preprocess(images, CAFFE).shape == (2, 4, 5, 3)
    with pytest.raises(InputError, match=r"one size .* \[\(4, 5, 3\), \(6, 5, 3\)\]"):
        preprocess([images[0], np.zeros((6, 5, 3), "uint8")], CAFFE)


@pytest.mark.parametrize(
    ("preprocessing", "words"),
    [
        (Preprocessing((8, 8), channel_order="GREY"), "GREY wants 1 numbers as mean"),
        (Preprocessing((8, 8), mean=(1.0, 2.0)), "BGR wants 3 numbers as mean"),
        (Preprocessing((8, 8), scale=(0.0,)), "scale of 0"),
    ],
)
def test_constants_that_do_not_fit_are_told(preprocessing, words):
    with pytest.raises(InputError, match=words):
        preprocess(np.zeros((4, 4, 3), "uint8"), preprocessing)


def test_axes_that_do_not_fit_are_told():
    with pytest.raises(InputError, match=r"images are \(n, height, width, 3\), not \(4, 4\)"):
        preprocess(np.zeros((4, 4), "uint8"), CAFFE)
    with pytest.raises(InputError, match=r"x is \(n, height, width, 3\), not \(1, 4, 4, 1\)"):
        deprocess(np.zeros((1, 4, 4, 1)), CAFFE)


def test_the_square_crop_keeps_shapes():
    image = np.zeros((30, 60, 3), "uint8")
    image[:, 15:45] = 200  # the centre square
    crops = classifier_crops(image, Preprocessing((10, 10)))
    assert (crops.shape, crops.dtype) == ((1, 10, 10, 3), np.uint8)
    assert (crops == 200).all()


def test_caffe_s_crop_squeezes_the_whole_picture_and_cuts_the_middle():
    ramp = np.repeat(np.linspace(0, 255, 64).astype("uint8")[None, :, None], 32, 0).repeat(3, 2)
    crops = classifier_crops(ramp, Preprocessing((24, 24), crop="caffe", resize=32))
    assert crops.shape == (1, 24, 24, 3)
    squeezed = ramp.reshape(32, 32, 2, 3).mean(2)[:24]
    assert np.abs(crops[0] - squeezed[:, 4:28]).max() <= 1


def caffe_oversample(image: np.ndarray, crop: int) -> np.ndarray:
    """The ten crops by the description in Caffe's python/caffe/io.py, one slice after the other."""
    end = image.shape[0] - crop
    middle = end // 2
    views = [
        image[:crop, :crop],
        image[:crop, end:],
        image[end:, :crop],
        image[end:, end:],
        image[middle : middle + crop, middle : middle + crop],
    ]
    return np.stack([*views, *[view[:, ::-1] for view in views]])


@pytest.mark.parametrize("crop", ["square", "caffe"])
def test_oversample_is_caffe_s_ten_crops_in_its_order(random, crop):
    image = random.integers(0, 256, (256, 256, 3), dtype="uint8")
    crops = classifier_crops(image, Preprocessing((227, 227), crop=crop), oversample=True)
    np.testing.assert_array_equal(crops, caffe_oversample(image, 227))


def test_a_network_larger_than_resize_gets_the_same_margin():
    crops = classifier_crops(np.zeros((400, 400, 3), "uint8"), Preprocessing((299, 299)), oversample=True)
    assert crops.shape == (10, 299, 299, 3)
