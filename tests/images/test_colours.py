import numpy as np
import pytest
from PIL import Image
from scipy.linalg import sqrtm

from imgnn.errors import InputError
from imgnn.images.colours import (
    keep_colours,
    luminance,
    match_histogram,
    match_luminance,
    match_mean_covariance,
)


@pytest.fixture
def muted(random) -> np.ndarray:
    """60 x 80, correlated colours that stay well within 0..255 whatever they are mapped to."""
    mix = np.array([[9, 2, 1], [5, 8, 0], [2, 3, 9]])
    return (random.standard_normal((60, 80, 3)) @ mix.T + (140, 110, 90)).astype("float32")


@pytest.fixture
def vivid(random) -> np.ndarray:
    """50 x 70, other colours than `muted`."""
    mix = np.array([[12, -4, 2], [3, 10, 1], [-6, 2, 15]])
    return (random.standard_normal((50, 70, 3)) @ mix.T + (100, 130, 150)).astype("float32")


# --- After the optimisation


# Source: JPEG File Interchange Format 1.02, page 3: BT.601 in full range.
JFIF = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]])
JFIF_BACK = np.array([[1, 0, 1.402], [1, -0.34414, -0.71414], [1, 1.772, 0]])


def test_brightness_and_colours_are_exchanged_as_in_jfif(random):
    result, content = random.integers(0, 256, (2, 20, 30, 3), dtype="uint8")
    y, chroma = (result @ JFIF.T)[..., :1], (content @ JFIF.T)[..., 1:]
    expected = np.concatenate([y, chroma], axis=-1) @ JFIF_BACK.T
    # Half a level for the rounding, and what four digits of the matrix leave open.
    np.testing.assert_allclose(keep_colours(result, content), np.clip(expected, 0, 255), atol=0.55)


def test_brightness_and_colours_are_exchanged_as_by_pillow(random):
    result, content = random.integers(0, 256, (2, 20, 30, 3), dtype="uint8")
    y, _, _ = Image.fromarray(result).convert("YCbCr").split()
    _, cb, cr = Image.fromarray(content).convert("YCbCr").split()
    expected = np.asarray(Image.merge("YCbCr", (y, cb, cr)).convert("RGB"), "int32")
    # Pillow cuts Y, Cb and Cr to bytes, and a level in Cb is 1.772 in blue.
    assert np.abs(keep_colours(result, content) - expected).max() <= 3


def test_a_picture_with_its_own_colours_is_itself(random):
    image = random.integers(0, 256, (20, 30, 3), dtype="uint8")
    kept = keep_colours(image, image)
    assert kept.dtype == np.uint8
    np.testing.assert_array_equal(kept, image)


def test_the_colours_of_a_grey_picture_are_grey(random):
    image = random.integers(0, 256, (20, 30, 3), dtype="uint8")
    grey = np.asarray(Image.fromarray(image).convert("L"), "int32")  # Pillow's L is Y of BT.601, rounded
    kept = keep_colours(image, np.full_like(image, 77))
    assert np.abs(kept - grey[..., None]).max() <= 1


def test_colours_are_kept_between_pictures_of_one_size_only():
    with pytest.raises(InputError, match="of one size, not of 4 x 6 and 6 x 4 pixels"):
        keep_colours(np.zeros((4, 6, 3), "uint8"), np.zeros((6, 4, 3), "uint8"))


# --- Before the optimisation: mean and covariance


def colours_of(image):
    return image.reshape(-1, 3).astype("float64")


def test_mean_and_covariance_become_those_of_the_content(muted, vivid):
    matched = match_mean_covariance(vivid, muted)
    assert matched.dtype == np.float32
    assert matched.shape == vivid.shape
    np.testing.assert_allclose(colours_of(matched).mean(0), colours_of(muted).mean(0), atol=1e-3)
    np.testing.assert_allclose(np.cov(colours_of(matched).T), np.cov(colours_of(muted).T), rtol=1e-3, atol=0.05)


def test_the_map_is_made_of_symmetric_roots(muted, vivid):
    # Σc^½ Σs^-½ (x - μs) + μc, with SciPy's roots.
    style, content = colours_of(vivid), colours_of(muted)
    change = sqrtm(np.cov(content.T, bias=True)) @ np.linalg.inv(sqrtm(np.cov(style.T, bias=True)))
    expected = (style - style.mean(0)) @ change.T + content.mean(0)
    np.testing.assert_allclose(colours_of(match_mean_covariance(vivid, muted)), expected, atol=0.01)


def test_a_style_with_the_colours_of_the_content_stays(muted):
    np.testing.assert_allclose(match_mean_covariance(muted, muted), muted, atol=0.01)


def test_a_grey_style_varies_along_one_line_of_colours(random, muted):
    grey = np.repeat(random.integers(0, 256, (40, 40, 1), dtype="uint8"), 3, axis=-1)
    matched = colours_of(match_mean_covariance(grey, muted))
    spread = np.linalg.svd(matched - matched.mean(0), compute_uv=False)
    assert spread[0] > 100
    assert spread[1] < 1e-3 * spread[0]


def test_the_noise_of_a_grey_style_is_not_made_colourful(random, vivid):
    # What JPEG leaves in a grey picture: channels that differ by a level here and there, with a variance of 2/3.
    grey = random.integers(40, 216, (40, 40, 1)).repeat(3, axis=-1)
    noise = random.integers(-1, 2, grey.shape)
    with_noise, without = (match_mean_covariance(each.astype("uint8"), vivid) for each in (grey + noise, grey))
    widest = np.sqrt(np.linalg.eigvalsh(np.cov(colours_of(vivid).T))[-1])
    assert (with_noise - without).std() < widest * np.sqrt(2 / 3) / 4


@pytest.mark.parametrize("match", [match_mean_covariance, match_luminance])
def test_a_style_of_one_colour_becomes_the_mean_of_the_content(match, muted):
    muted = luminance(muted) if match is match_luminance else muted
    flat = np.full((5, 6, 3), (200, 10, 10) if match is match_mean_covariance else 10, "uint8")
    expected = np.broadcast_to(muted.mean((0, 1)), flat.shape)
    np.testing.assert_allclose(match(flat, muted), expected, atol=1e-2)


def test_a_content_of_one_colour_leaves_only_that(muted):
    flat = np.full((5, 6, 3), (200, 10, 30), "uint8")
    np.testing.assert_allclose(match_mean_covariance(muted, flat), np.broadcast_to(flat[0, 0], muted.shape), atol=1e-3)


def test_what_leaves_the_range_is_clipped(random):
    style = random.integers(0, 256, (40, 40, 3), dtype="uint8")
    black_and_white = np.where(random.random((40, 40, 1)) < 0.9, 0, 255).repeat(3, axis=-1).astype("uint8")
    matched = match_mean_covariance(style, black_and_white)
    assert (matched.min(), matched.max() <= 255) == (0, True)


# --- Histograms


def test_pixels_take_the_values_of_the_same_rank(random):
    # Of two pictures of one size without equal values, the k-th smallest becomes the k-th smallest.
    style, content = (random.permutation(1200).reshape(20, 20, 3).astype("float32") / 5 for _ in range(2))
    matched = match_histogram(style, content)
    for channel in range(3):
        order = np.argsort(style[..., channel], axis=None)
        np.testing.assert_allclose(matched[..., channel].ravel()[order], np.sort(content[..., channel], axis=None))


def test_the_distribution_becomes_that_of_the_content(random):
    style = random.integers(0, 256, (90, 110, 3), dtype="uint8")
    content = np.clip(random.normal(120, 30, (80, 70, 3)), 0, 255).astype("uint8")
    matched = match_histogram(style, content)
    assert matched.dtype == np.float32
    for channel in range(3):
        levels = np.arange(256) + 0.5
        shares = [
            np.searchsorted(np.sort(each[..., channel], axis=None), levels) / each[..., channel].size
            for each in (matched, content)
        ]
        # No rank can be better met than by the step of one level in either picture.
        steps = max(
            np.bincount(each[..., channel].ravel()).max() / each[..., channel].size for each in (style, content)
        )
        assert np.abs(shares[0] - shares[1]).max() <= steps
        assert abs(matched[..., channel].mean() - content[..., channel].mean()) < 0.1


def test_a_picture_with_its_own_histogram_is_itself(random):
    image = random.integers(0, 256, (20, 30, 3), dtype="uint8")
    np.testing.assert_allclose(match_histogram(image, image), image, atol=1e-4)


def test_a_flat_style_becomes_the_median(random):
    content = random.integers(0, 256, (31, 31, 3), dtype="uint8")
    matched = match_histogram(np.full((4, 4, 3), 9, "uint8"), content)
    assert np.abs(matched[0, 0] - np.median(content, (0, 1))).max() <= 1


# --- Luminance


def test_luminance_is_that_of_pillow(random):
    image = random.integers(0, 256, (20, 30, 3), dtype="uint8")
    grey = luminance(image)
    assert (grey.dtype, grey.shape) == (np.float32, (20, 30, 3))
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])
    assert np.abs(grey[..., 0] - np.asarray(Image.fromarray(image).convert("L"), "float32")).max() <= 0.51


def test_brightness_and_contrast_become_those_of_the_content(muted, vivid):
    matched = match_luminance(luminance(vivid), luminance(muted))
    assert matched.shape == vivid.shape
    assert matched.mean() == pytest.approx(luminance(muted).mean(), abs=1e-2)
    assert matched.std() == pytest.approx(luminance(muted).std(), rel=1e-4)


@pytest.mark.parametrize("function", [keep_colours, match_mean_covariance, match_histogram, match_luminance])
def test_other_axes_than_those_of_a_picture_are_refused(function):
    with pytest.raises(InputError, match=r"\(height, width, 3\) is expected, not \(4, 4\)"):
        function(np.zeros((4, 4), "uint8"), np.zeros((4, 4, 3), "uint8"))
