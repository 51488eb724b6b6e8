import numpy as np
import pytest
from keras import ops
from scipy import ndimage, signal

from imgnn.optimize.transforms import double, gaussian_smooth, halve, laplacian_normalise

SIZES = [(16, 24), (17, 23), (9, 10)]
KERNEL = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256


def numpy(tensor):
    return np.asarray(ops.convert_to_numpy(tensor), "float64")


def halved(plane):
    """By SciPy: every second value of the smoothed plane; of an even side TensorFlow keeps those with odd numbers."""
    smoothed = signal.convolve2d(plane, KERNEL, mode="same")
    return smoothed[(plane.shape[0] + 1) % 2 :: 2, (plane.shape[1] + 1) % 2 :: 2]


def doubled(plane, size):
    """By SciPy: the values with zeros between them, smoothed."""
    spread = np.zeros(size)
    spread[(size[0] + 1) % 2 :: 2, (size[1] + 1) % 2 :: 2] = plane
    return 4 * signal.convolve2d(spread, KERNEL, mode="same")


def normalised(gradient, levels):
    """`lap_normalize` of TensorFlow's DeepDream tutorial, in NumPy, recursively."""
    if levels == 0:
        return gradient / np.sqrt(np.mean(gradient**2))
    size = gradient.shape[:2]
    low = np.stack([halved(gradient[..., c]) for c in range(3)], -1)
    high = gradient - np.stack([doubled(low[..., c], size) for c in range(3)], -1)
    low = normalised(low, levels - 1)
    return np.stack([doubled(low[..., c], size) for c in range(3)], -1) + high / np.sqrt(np.mean(high**2))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_halve_and_double_are_scipys_filters(size, random):
    plane = random.normal(size=size)
    small = halved(plane)
    planes = ops.convert_to_tensor(plane[None, ..., None].astype("float32"))
    np.testing.assert_allclose(numpy(halve(planes))[0, ..., 0], small, atol=1e-6)
    again = double(ops.convert_to_tensor(small[None, ..., None].astype("float32")), size)
    np.testing.assert_allclose(numpy(again)[0, ..., 0], doubled(small, size), atol=1e-6)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("levels", [0, 1, 3])
def test_laplacian_normalise_is_the_tutorials(size, levels, random):
    gradient = random.normal(size=(*size, 3)).cumsum(0).cumsum(1).astype("float32")
    found = numpy(laplacian_normalise(ops.convert_to_tensor(gradient[None]), levels))[0]
    np.testing.assert_allclose(found, normalised(gradient.astype("float64"), levels), atol=2e-4)


def test_the_pyramid_is_tensorflows(random):
    """The padding "SAME" of its convolution and of the transpose, which the tutorial uses."""
    tf = pytest.importorskip("tensorflow")
    for size in SIZES:
        planes = random.normal(size=(3, *size, 1)).astype("float32")
        kernel = KERNEL[..., None, None].astype("float32")
        low = tf.nn.conv2d(planes, kernel, 2, "SAME")
        np.testing.assert_allclose(numpy(halve(ops.convert_to_tensor(planes))), low.numpy(), atol=1e-6)
        high = tf.nn.conv2d_transpose(low, 4 * kernel, planes.shape, 2, "SAME")
        found = double(ops.convert_to_tensor(low.numpy()), size)
        np.testing.assert_allclose(numpy(found), high.numpy(), atol=1e-6)


def test_a_gradient_of_zeros_stays_one():
    assert not numpy(laplacian_normalise(ops.zeros((1, 8, 8, 3)), 2)).any()


@pytest.mark.parametrize("sigma", [0.5, 1.7, 3.0])
def test_gaussian_smooth_is_scipys(sigma, random):
    gradient = random.normal(size=(1, 20, 31, 3)).astype("float32")
    wanted = ndimage.gaussian_filter(gradient.astype("float64"), (0, sigma, sigma, 0))
    np.testing.assert_allclose(numpy(gaussian_smooth(ops.convert_to_tensor(gradient), sigma)), wanted, atol=1e-6)


def test_a_gaussian_wider_than_the_picture_leaves_nearly_its_mean(random):
    gradient = random.normal(size=(1, 5, 7, 3)).astype("float32")
    found = numpy(gaussian_smooth(ops.convert_to_tensor(gradient), 50.0))
    np.testing.assert_allclose(found, np.broadcast_to(gradient.mean((1, 2), keepdims=True), found.shape), atol=0.3)
    assert found.std(axis=(1, 2)).max() < 0.1
