import numpy as np
import pytest
from PIL import Image

from imgnn.errors import InputError
from imgnn.images.masks import load_mask, pool_mask


@pytest.fixture
def mask(tmp_path):
    """Writes a mask of a size: white on the left half."""

    def write(height, width, name="m.png"):
        picture = Image.new("L", (width, height))
        picture.paste(255, (0, 0, width // 2, height))
        picture.save(tmp_path / name)
        return tmp_path / name

    return write


def test_white_is_1_and_black_is_0(mask):
    loaded = load_mask(mask(40, 60), (40, 60), like="photo.jpg")
    assert (loaded.dtype, loaded.shape) == (np.float32, (40, 60))
    np.testing.assert_allclose(loaded[:, :30], 1, atol=1e-6)
    np.testing.assert_array_equal(loaded[:, 30:], 0)
    assert loaded.max() <= 1


def test_grey_counts_in_part(tmp_path):
    Image.new("L", (6, 4), 51).save(tmp_path / "m.png")
    np.testing.assert_allclose(load_mask(tmp_path / "m.png", (4, 6), like="photo.jpg"), 0.2, rtol=1e-5)


def test_a_mask_of_whole_blocks_is_their_mean(random):
    mask = random.random((12, 20), dtype="float32")
    np.testing.assert_allclose(pool_mask(mask, (3, 5)), mask.reshape(3, 4, 5, 4).mean((1, 3)), rtol=1e-5)


@pytest.mark.parametrize("size", [(5, 7), (1, 1), (12, 3), (31, 40)])
def test_a_mask_is_pooled_as_pillow_does(random, size):
    mask = random.random((12, 20), dtype="float32")
    expected = Image.fromarray(mask).resize(size[::-1], Image.Resampling.BOX)
    np.testing.assert_allclose(pool_mask(mask, size), expected, atol=1e-6)


def test_a_mask_takes_the_size_of_the_picture(mask):
    loaded = load_mask(mask(80, 120), (40, 60), like="photo.jpg")
    np.testing.assert_allclose(loaded[:, :30], 1, atol=1e-6)
    assert loaded.shape == (40, 60)
    assert load_mask(mask(20, 30), (40, 60), like="photo.jpg").mean() == pytest.approx(0.5)


@pytest.mark.parametrize(("drawn", "size"), [((200, 300), (85, 128)), ((600, 90), (128, 19)), ((90, 600), (19, 128))])
def test_rounding_to_pixels_is_no_other_shape(mask, drawn, size):
    load_mask(mask(*drawn), size, like="photo.jpg")


def test_a_mask_may_be_off_by_one_per_cent(mask):
    load_mask(mask(404, 600), (400, 600), like="photo.jpg")
    with pytest.raises(InputError):
        load_mask(mask(408, 600), (400, 600), like="photo.jpg")


def test_a_mask_of_another_shape_is_refused(mask, tmp_path):
    with pytest.raises(InputError) as caught:
        load_mask(mask(300, 200), (400, 600), like="photo.jpg")
    assert str(caught.value) == (
        f"mask {tmp_path}/m.png is 300 x 200 pixels (height x width); photo.jpg is 400 x 600: "
        "the same shape is expected"
    )


def test_a_black_mask_is_refused(tmp_path):
    Image.new("L", (6, 4)).save(tmp_path / "m.png")
    with pytest.raises(InputError, match="all black"):
        load_mask(tmp_path / "m.png", (4, 6), like="photo.jpg")


def test_a_missing_mask_is_one_line(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_mask(tmp_path / "m.png", (4, 6), like="photo.jpg")
