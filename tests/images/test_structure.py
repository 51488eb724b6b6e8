import numpy as np
import pytest

from imgnn.images.structure import block_factor, detail_of, draw_structure, find_structure


def photos(random, count):
    """Pictures of 64 x 64 without a common feature: clouds and grain, each with a light side of its own."""
    clouds = random.integers(0, 120, (count, 8, 8, 3)).repeat(8, axis=1).repeat(8, axis=2)
    return (clouds + random.integers(0, 60, (count, 64, 64, 3)) + np.linspace(0, 60, 64)[None, :, None, None]).astype(
        "uint8"
    )


def look(pictures):
    detail = detail_of(pictures)
    return find_structure(len(pictures), detail.sum(axis=0), (detail**2).sum(axis=0))


def test_detail_is_a_block_less_its_surroundings(random):
    small = random.integers(0, 256, (2, 9, 7, 3), dtype="uint8")
    grey = np.pad(small.sum(axis=-1).astype(int), ((0, 0), (2, 2), (2, 2)), "edge")
    wanted = [
        [[25 * each[y + 2, x + 2] - each[y : y + 5, x : x + 5].sum() for x in range(7)] for y in range(9)]
        for each in grey
    ]
    np.testing.assert_array_equal(detail_of(small), wanted)


@pytest.mark.parametrize("count", [20, 100, 1000])
def test_unrelated_pictures_have_nothing_in_common(random, count):
    found = look(photos(random, count))
    assert not found.visible
    assert found.where == ""


@pytest.mark.parametrize(
    ("place", "where"),
    [
        (np.s_[2:9, 3:12], "top left"),
        (np.s_[55:60, 48:60], "bottom right"),
        (np.s_[28:36, 28:36], "centre"),
        (np.s_[:2], "top left, top, top right"),
    ],
)
def test_a_mark_on_three_pictures_in_ten_is_seen_where_it_is(random, place, where):
    pictures = photos(random, 300)
    pictures[:90][(slice(None), *(place if isinstance(place, tuple) else (place,)))] = 255
    found = look(pictures)
    assert found.visible
    assert found.where == where


def test_a_frame_is_along_the_border(random):
    pictures = photos(random, 200)
    framed = pictures[:80]
    framed[:, :2] = framed[:, -2:] = framed[:, :, :2] = framed[:, :, -2:] = 0
    assert look(pictures).where == "along the border"


def test_a_picture_that_comes_again_and_again_is_everywhere(random):
    assert look(np.repeat(photos(random, 1), 30, axis=0)).where == "everywhere"


def test_blank_pictures_have_no_detail():
    assert look(np.full((30, 64, 64, 3), 7, "uint8")).strength == 0


def test_of_few_pictures_nothing_is_said(random):
    assert look(photos(random, 19)) is None


def test_the_blocks_are_at_most_64():
    assert [block_factor(size) for size in ((256, 256), (224, 224), (227, 300), (64, 64), (10, 10))] == [4, 4, 5, 1, 1]


def test_the_drawing_is_grey_but_for_the_mark():
    mean = np.full((256, 256, 3), 90.0) + np.linspace(0, 50, 256)[:, None, None]
    mean[20:30, 20:30] += 6
    drawn = draw_structure(mean)
    assert np.abs(drawn[100:, 100:].astype(int) - 128).max() <= 20
    assert drawn[25, 25].min() > 220
