import numpy as np
import pytest
from PIL import Image

from imgnn.errors import InputError
from imgnn.images.heat import colours, overlay


@pytest.fixture
def image(random):
    return random.integers(0, 256, (30, 40, 3), dtype="uint8")


def spread(picture):
    """How far the channels of a pixel lie apart: 0 is grey."""
    return np.ptp(picture.astype(int), axis=-1)


def grey(image):
    """As Pillow has it."""
    return np.asarray(Image.fromarray(image).convert("L"))


def test_what_is_cold_is_grey_and_dark(image):
    cold = overlay(image, np.zeros((3, 4)))
    assert (cold.dtype, cold.shape) == (np.uint8, image.shape)
    assert spread(cold).max() == 0
    assert cold.mean() < image.mean() / 2
    assert np.corrcoef(cold[..., 0].ravel(), grey(image).ravel())[0, 1] > 0.99, "the picture is to be seen"


def test_what_is_hot_has_a_colour_and_is_where_the_heat_is(image):
    heat = np.zeros((3, 4))
    heat[0, 3] = 1
    hot = overlay(image, heat)
    assert spread(hot)[:8, 33:].mean() > 50  # top right
    assert spread(hot)[15:, :20].max() < 5
    assert hot[:8, 33:].mean() > 2 * hot[15:, :20].mean()


def test_the_picture_is_still_to_be_seen_where_it_is_hot(image):
    hot = overlay(image, np.ones((3, 4)))
    assert np.corrcoef(hot[..., 0].ravel(), grey(image).ravel())[0, 1] > 0.99


def test_colours_rise_in_brightness_so_that_they_read_in_grey():
    """The points are those of inferno: matplotlib's own colours lie near everywhere."""
    import matplotlib

    values = np.linspace(0, 1, 101)
    found = colours(values)
    assert (np.diff(found @ [0.299, 0.587, 0.114]) > 0).all()
    inferno = 255 * matplotlib.colormaps["inferno"](values)[:, :3]
    assert np.abs(found - inferno).max() < 25
    np.testing.assert_allclose(found[[0, -1]], inferno[[0, -1]], atol=1)


@pytest.mark.parametrize("heat", [np.zeros(4), np.zeros((3, 4, 1))])
def test_heat_of_another_form_is_refused(image, heat):
    with pytest.raises(InputError, match=r"heat \(h, w\) are expected"):
        overlay(image, heat)
