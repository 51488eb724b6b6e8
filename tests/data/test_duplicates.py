import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from imgnn.data.duplicates import NEAR, connected, near_pairs
from imgnn.images.inspection import inspect_bytes


def brute_force(looks, distance):
    """Every pair, compared bit by bit."""
    return [
        (i, j, bits)
        for j in range(len(looks))
        for i in range(j)
        if (bits := (int(looks[i]) ^ int(looks[j])).bit_count()) <= distance
    ]


def neighbours(random, count):
    """Looks of which many are near each other: few, with up to four bits turned over."""
    few = random.integers(0, 2**64, 20, dtype="uint64")
    looks = random.choice(few, count)
    for _ in range(4):
        looks ^= np.uint64(1) << random.integers(0, 64, count, dtype="uint64")
    return np.unique(looks)


@pytest.mark.parametrize("distance", [0, 1, 2, 6, 7, 12])
def test_the_same_pairs_are_found_as_by_comparing_each_with_each(random, distance):
    looks = random.permutation(neighbours(random, 400))
    found = [tuple(map(int, each)) for each in zip(*near_pairs(looks, distance), strict=True)]
    assert sorted(found) == sorted(brute_force(looks, distance))
    assert distance < 2 or found


def test_many_pictures_with_one_look_are_paired_with_the_first():
    first, second, bits = near_pairs(np.array([9, 7, 7, 7, 9, 3], "uint64"), 1)
    assert list(zip(first.tolist(), second.tolist(), bits.tolist(), strict=True)) == [
        (0, 4, 0),
        (1, 2, 0),
        (1, 3, 0),
        (1, 5, 1),
    ]


def test_no_pictures_have_no_pairs():
    first, second, bits = near_pairs(np.array([], "uint64"))
    assert len(first) == len(second) == len(bits) == len(connected(0, first, second)) == 0


def test_a_hundred_thousand_looks_are_no_matter(random):
    looks = random.integers(0, 2**64, 100_000, dtype="uint64")
    looks[-50:] = looks[:50] ^ np.uint64(0b111)
    first, second, bits = near_pairs(looks)
    assert (first.tolist(), second.tolist()) == (list(range(50)), list(range(99_950, 100_000)))
    assert set(bits.tolist()) == {3}


def test_a_group_is_whatever_pairs_connect():
    groups = connected(6, np.array([0, 3, 1]), np.array([3, 5, 4]))
    assert groups[0] == groups[3] == groups[5]
    assert groups[1] == groups[4]
    assert len(set(groups.tolist())) == 3


def look(picture, quality=90):
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return inspect_bytes(file.getvalue(), "picture", looks=True).look


def cropped(picture, share):
    width, height = picture.size
    dx, dy = round(width * share / 2), round(height * share / 2)
    return picture.crop((dx, dy, width - dx, height - dy))


COPIES = {
    "half as large": lambda picture: look(picture.resize((picture.width // 2, picture.height // 2))),
    "JPEG of quality 50": lambda picture: look(picture, 50),
    "brighter": lambda picture: look(ImageEnhance.Brightness(picture).enhance(1.3)),
    "grey": lambda picture: look(picture.convert("L")),
    "3 % cut off": lambda picture: look(cropped(picture, 0.03)),
}


def test_copies_of_photos_look_the_same_and_other_photos_do_not(shared):
    photos = [Image.open(path).convert("RGB") for path in sorted((shared / "data/flowers/train/daisy").glob("*.jpg"))]
    looks = [look(photo) for photo in photos]
    for what, copy in COPIES.items():
        near = [(look_of_it ^ copy(photo)).bit_count() <= NEAR for photo, look_of_it in zip(photos, looks, strict=True)]
        assert np.mean(near) >= 0.9, what
    assert len(near_pairs(np.array(looks, "uint64"))[0]) == 0
