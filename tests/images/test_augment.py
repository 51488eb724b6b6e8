"""Training pictures are varied within the bounds that are told, and the same again from the same numbers."""

import numpy as np
import pytest
from PIL import Image

from imgnn.images.augment import ASPECTS, SPARE, Augmentation, augment, change_colours, frame_of, mix, random_crop
from imgnn.images.preprocess import LUMA


def views(frame, size, augmentation, count, seed=0):
    random = np.random.default_rng(seed)
    return [augment(frame, size, augmentation, random) for _ in range(count)]


def ramps(height, width):
    """A picture that says where each of its pixels is: red across, green down, 0..255."""
    picture = np.zeros((height, width, 3), "float32")
    picture[..., 0] = np.linspace(0, 255, width)
    picture[..., 1] = np.linspace(0, 255, height)[:, None]
    return picture


PLAIN = Augmentation(crop="random", mirror=False)


# What is kept of a picture


@pytest.mark.parametrize(
    ("crop", "shape"),
    [("caffe", (64, 64, 3)), ("random", (round(48 * SPARE), round(48 * SPARE) * 2, 3))],
)
def test_a_frame_is_as_large_as_its_crops_need(random, crop, shape):
    image = random.integers(0, 256, (200, 400, 3), dtype="uint8")
    frame = frame_of(image, (48, 48), 64, crop, "square")
    assert (frame.shape, frame.dtype) == (shape, np.uint8)


def test_a_small_picture_is_not_enlarged_for_random_crops(random):
    image = random.integers(0, 256, (30, 50, 3), dtype="uint8")
    assert frame_of(image, (48, 48), 64, "random", "square") is image


def test_caffes_frame_is_never_smaller_than_what_is_cut_from_it(random):
    # Inception v3 takes 299 pixels, and keeps the 256 of the others as its `resize`.
    frame = frame_of(random.integers(0, 256, (50, 70, 3), dtype="uint8"), (299, 299), 256, "caffe", "square")
    assert frame.shape == (342, 342, 3)
    assert augment(frame, (299, 299), Augmentation(crop="caffe"), random).shape == (299, 299, 3)


def test_caffe_scales_the_whole_picture_where_its_network_does(random):
    image = np.zeros((60, 120, 3), "uint8")
    image[:, 100:] = 255  # what lies outside the centred square
    assert frame_of(image, (48, 48), 64, "caffe", "caffe").max() == 255
    assert frame_of(image, (48, 48), 64, "caffe", "square").max() == 0


# Crops


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("crop", ["none", "caffe", "random"])
def test_a_view_has_the_size_of_the_network_and_the_type_of_the_frame(random, crop, dtype):
    size = (20, 24)
    frame = (255 * random.random((*size, 3) if crop == "none" else (32, 40, 3))).astype(dtype)
    for view in views(frame, size, Augmentation(crop=crop, colour=0.4 if dtype == "uint8" else 0.0), 5):
        assert (view.shape, view.dtype, view.flags["C_CONTIGUOUS"]) == ((*size, 3), dtype, True)
        assert 0 <= view.min() <= view.max() <= 255


def test_the_same_numbers_give_the_same_view(random):
    frame = random.integers(0, 256, (32, 40, 3), dtype="uint8")
    first, again = (views(frame, (24, 24), Augmentation(colour=0.3), 4, seed=9) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], first[1])


def test_every_second_view_is_mirrored(random):
    frame = random.integers(0, 256, (8, 8, 3), dtype="uint8")
    seen = views(frame, (8, 8), Augmentation(crop="none"), 1000)
    mirrored = sum(np.array_equal(view, frame[:, ::-1]) for view in seen)
    assert mirrored + sum(np.array_equal(view, frame) for view in seen) == 1000
    assert 450 < mirrored < 550  # 500 and three deviations
    for view in views(frame, (8, 8), Augmentation(crop="none", mirror=False), 20):
        np.testing.assert_array_equal(view, frame)


def test_caffes_crops_are_cut_at_every_place_alike():
    # The picture says where a crop begins: row and column of its first pixel.
    frame = np.zeros((6, 7, 3), "uint8")
    frame[..., 0], frame[..., 1] = np.mgrid[:6, :7]
    seen = views(frame, (4, 4), Augmentation(crop="caffe", mirror=False), 1200)
    for view in seen[:20]:
        top, left = view[0, 0, :2]
        np.testing.assert_array_equal(view, frame[top : top + 4, left : left + 4])
    places, counts = np.unique([view[0, 0, :2] for view in seen], axis=0, return_counts=True)
    assert len(places) == 3 * 4
    assert counts.min() > 60  # 100 each, on the average


def test_a_random_crop_takes_its_share_of_the_area_in_its_shape():
    # Where the ends of a crop lie is read off the ramps: half a pixel of the view lies inside each end.
    frame, size = ramps(200, 240), (50, 50)
    areas, shapes = [], []
    for view in views(frame, size, Augmentation(area=0.35, mirror=False), 300):
        width, height = (np.ptp(view[..., channel]) / 255 / 0.98 for channel in (0, 1))
        areas.append(width * height)
        shapes.append(width * 240 / (height * 200))
    assert 0.34 < min(areas) < 0.4
    assert 0.9 < max(areas) <= 1.03
    assert ASPECTS[0] - 0.02 < min(shapes) < 0.8
    assert 1.25 < max(shapes) < ASPECTS[1] + 0.02


def test_a_random_crop_is_pillows_resize_of_that_part(random):
    frame = random.integers(0, 256, (40, 60, 3), dtype="uint8")
    # The whole, by numbers that leave no choice: all of the area, in the frame's own shape.
    square = frame[:, :40]
    view = random_crop(square, (24, 24), 1.0, np.random.default_rng(0))
    expected = np.asarray(Image.fromarray(square).resize((24, 24), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(view, expected)


def test_floating_pixels_are_cropped_as_whole_ones_are(random):
    frame = random.integers(0, 256, (40, 60, 3), dtype="uint8")
    whole = views(frame, (24, 24), PLAIN, 5)
    floating = views(frame.astype("float32"), (24, 24), PLAIN, 5)
    np.testing.assert_allclose(floating, whole, atol=1.01)  # Pillow rounds twice: across, and down


def test_of_a_panorama_a_square_is_taken():
    for view in views(ramps(20, 2000), (20, 20), Augmentation(area=0.9, mirror=False), 5):
        assert np.ptp(view[..., 0]) / 255 == pytest.approx(19 / 1999, rel=0.01)


# Colours


def test_colours_change_by_no_more_than_they_may():
    grey = np.full((4, 4, 3), 100, "uint8")  # without contrast or saturation, so that brightness alone shows
    random = np.random.default_rng(0)
    factors = [change_colours(grey, 0.3, random).mean() / 100 for _ in range(300)]
    assert 0.69 < min(factors) < 0.73
    assert 1.27 < max(factors) < 1.31


def test_grey_stays_grey_however_saturated(random):
    grey = np.repeat(random.integers(0, 256, (8, 8, 1), dtype="uint8"), 3, axis=2)
    changed = change_colours(grey, 0.8, np.random.default_rng(1)).astype(int)
    assert np.ptp(changed, axis=2).max() <= 1


def test_without_strength_colours_stay(random):
    picture = random.integers(0, 256, (8, 8, 3), dtype="uint8")
    np.testing.assert_array_equal(change_colours(picture, 0.0, np.random.default_rng(1)), picture)


def test_contrast_and_saturation_leave_the_mean_brightness(random):
    picture = random.uniform(80, 160, (16, 16, 3)).astype("float32")
    numbers = np.random.default_rng(4)
    brightness = np.random.default_rng(4).uniform(0.6, 1.4, 3)[0]
    changed = change_colours(picture, 0.4, numbers)
    assert (changed @ LUMA).mean() == pytest.approx(brightness * (picture @ LUMA).mean(), rel=1e-3)


# Two pictures in one


def batch_of(count=4, side=16):
    """Pictures in one value each, 10, 20, 30..., each of a class of its own."""
    values = 10 * np.arange(1, count + 1, dtype="uint8")
    return np.tile(values[:, None, None, None], (1, side, side, 3)), np.eye(count, dtype="float32")


@pytest.mark.parametrize("way", ["mixup", "cutmix"])
def test_mixed_targets_are_shares_of_two_classes(way):
    pictures, targets = batch_of()
    alphas = {"mixup": 0.0, "cutmix": 0.0, way: 1.0}
    _, mixed = mix(pictures, targets, np.random.default_rng(2), **alphas)
    np.testing.assert_allclose(mixed.sum(axis=1), 1, rtol=1e-6)
    assert ((mixed > 0).sum(axis=1) == 2).all()
    assert mixed.dtype == np.float32


def test_mixup_shows_as_much_of_a_picture_as_the_target_says():
    pictures, targets = batch_of()
    mixed, shares = mix(pictures, targets, np.random.default_rng(2), mixup=1.0, cutmix=0.0)
    np.testing.assert_allclose(mixed[:, 0, 0, 0], shares @ [10, 20, 30, 40], atol=0.5)
    assert mixed.dtype == np.uint8


def test_cutmix_shows_as_many_pixels_of_a_picture_as_the_target_says():
    pictures, targets = batch_of()
    for seed in range(20):
        mixed, shares = mix(pictures, targets, np.random.default_rng(seed), mixup=0.0, cutmix=1.0)
        counted = [[(picture[..., 0] == value).mean() for value in (10, 20, 30, 40)] for picture in mixed]
        np.testing.assert_allclose(counted, shares, atol=1e-6)


def test_mixing_leaves_the_pictures_it_was_given():
    pictures, targets = batch_of()
    for alphas in ({"mixup": 1.0, "cutmix": 0.0}, {"mixup": 0.0, "cutmix": 1.0}):
        mix(pictures, targets, np.random.default_rng(2), **alphas)
    np.testing.assert_array_equal(pictures, batch_of()[0])


def test_of_two_ways_to_mix_both_are_taken():
    pictures, targets = batch_of()
    ways = set()
    for seed in range(20):
        mixed, _ = mix(pictures, targets, np.random.default_rng(seed), mixup=1.0, cutmix=1.0)
        ways.add("mixup" if np.ptp(mixed[0]) == 0 else "cutmix")
    assert ways == {"mixup", "cutmix"}


def test_nothing_is_mixed_unless_it_is_asked_for_or_with_nothing_to_mix():
    pictures, targets = batch_of()
    assert mix(pictures, targets, np.random.default_rng(0), mixup=0.0, cutmix=0.0)[0] is pictures
    alone = pictures[:1]
    assert mix(alone, targets[:1], np.random.default_rng(0), mixup=1.0, cutmix=0.0)[0] is alone
