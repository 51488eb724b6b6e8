import numpy as np
import pytest
from scipy import ndimage

from imgnn.optimize.scales import enlarge, octave_sizes, zoom


def test_octaves_are_those_of_the_notebook():
    """sky1024px.jpg, 575 x 1024, through SciPy's zoom by 1 / 1.4, three times, as google/deepdream makes them."""
    octave, shapes = np.zeros((575, 1024)), [(575, 1024)]
    for _ in range(3):
        octave = ndimage.zoom(octave, 1 / 1.4, order=1)
        shapes.insert(0, octave.shape)
    assert octave_sizes((575, 1024), 4, 1.4) == shapes == [(210, 373), (294, 522), (411, 731), (575, 1024)]


def test_one_octave_is_the_picture_and_no_side_is_less_than_a_pixel():
    assert octave_sizes((30, 40), 1, 1.4) == [(30, 40)]
    assert octave_sizes((2, 40), 4, 4.0)[0] == (1, 1)


@pytest.mark.parametrize("size", [(14, 21), (29, 44)], ids=str)
def test_zoom_lays_corners_on_corners(size, random):
    pixels = random.uniform(0, 255, (20, 30, 3)).astype("float32")
    rows, columns = (np.linspace(0, have - 1, want) for have, want in zip((20, 30), size, strict=True))
    wanted = np.stack(
        [ndimage.map_coordinates(pixels[..., c], np.meshgrid(rows, columns, indexing="ij"), order=1) for c in range(3)],
        axis=-1,
    )
    found = zoom(pixels, size)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    np.testing.assert_array_equal(found[[0, 0, -1, -1], [0, -1, 0, -1]], pixels[[0, 0, -1, -1], [0, -1, 0, -1]])


def test_zoom_to_the_same_size_changes_nothing(random):
    pixels = random.uniform(0, 255, (5, 7, 3)).astype("float32")
    np.testing.assert_array_equal(zoom(pixels, (5, 7)), pixels)


def test_enlarge_brings_the_middle_nearer():
    """A ramp, of which each pixel tells where it was: the middle stays, the borders come from 5 % further in."""
    ramp = np.broadcast_to(np.arange(101, dtype="float32")[None, :, None], (101, 101, 3))
    found = enlarge(ramp, 0.1)
    np.testing.assert_allclose(found[50, :, 0], 0.9 * np.arange(101) + 5.05, atol=1e-4)
    np.testing.assert_allclose(enlarge(ramp.transpose(1, 0, 2), 0.1)[:, 50, 0], 0.9 * np.arange(101) + 5.05, atol=1e-4)
