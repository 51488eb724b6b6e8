"""Pictures with sentences, their splits, and where the pictures are looked for."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from imgnn.data.captions import Captioned, CaptionSet, find_root, hold_out, part_of, picture_folders, result_key
from imgnn.errors import InputError


def pictures(count, split="train"):
    return [Captioned(f"{number}.jpg", (f"picture {number}",), split) for number in range(count)]


def data_set(images, **facts):
    return CaptionSet(Path("x.json"), Path("photos"), tuple(images), "karpathy", **facts)


# The data


def test_a_picture_lies_where_its_name_says_or_right_in_the_folder():
    image = Captioned("val2014/COCO_val2014_000000391895.jpg", ("a man",), "test", 391895)
    assert data_set([image]).file(image) == Path("photos/val2014/COCO_val2014_000000391895.jpg")
    assert data_set([image], flat=True).file(image) == Path("photos/COCO_val2014_000000391895.jpg")


def test_results_call_a_picture_by_its_id_or_else_by_its_name():
    assert Captioned("a/x.y.jpg", (), "test").key == "x.y"
    assert Captioned("a/x.jpg", (), "test", 7).key == 7
    assert Captioned("a/x.jpg", (), "test", 0).key == 0
    assert Captioned("val2014/COCO_val2014_000000391895.jpg", (), "test").key == 391895
    assert Captioned("000000391895.jpg", (), "test", "mine").key == "mine"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("val2014/COCO_val2014_000000391895.jpg", 391895),
        ("000000391895.jpg", 391895),
        ("1000268201_693b08cb0e.jpg", "1000268201_693b08cb0e"),
        ("1000000391895.jpg", "1000000391895"),
        ("photo.of.me.png", "photo.of.me"),
    ],
)
def test_a_picture_without_an_id_is_called_as_coco_calls_it(name, key):
    assert result_key(name) == key


def test_a_part_has_the_pictures_of_one_split():
    both = data_set([*pictures(2), *pictures(1, "val")])
    assert both.part("val").images == tuple(pictures(1, "val"))
    assert len(both.part("test")) == 0


def test_the_digest_is_that_of_names_splits_and_captions():
    image = Captioned("a.jpg", ("one", "two"), "val", 3)
    expected = hashlib.sha256(b"a.jpg\0val\0one\0two\n").hexdigest()
    assert data_set([image]).digest == expected


def test_the_digest_knows_the_same_data_in_another_order_and_form():
    images = pictures(3)
    known = data_set(images).digest
    assert data_set(images[::-1], flat=True).digest == known
    assert data_set([replace(each, image_id=5) for each in images]).digest == known
    for changed in ({"name": "9.jpg"}, {"split": "val"}, {"captions": ("another",)}):
        assert data_set([replace(images[0], **changed), *images[1:]]).digest != known


# Splits


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("train", "train"),
        ("restval", "train"),
        ("val", "val"),
        ("dev", "val"),
        ("Validation ", "val"),
        ("test", "test"),
    ],
)
def test_words_for_splits(word, part):
    assert part_of(word, "x") == part


def test_a_word_that_is_no_split_is_told():
    with pytest.raises(InputError, match=r"x\.json, item 3: a split is train, val or test .*; found 'trian'"):
        part_of("trian", "x.json, item 3")


def test_the_same_share_of_pictures_is_held_out_in_whatever_order_they_come():
    drawn = hold_out(pictures(20), 0.1, seed=0)
    assert sorted(each.split for each in drawn) == ["train"] * 18 + ["val"] * 2
    again = hold_out(pictures(20)[::-1], 0.1, seed=0)
    assert set(drawn) == set(again) != set(hold_out(pictures(20), 0.1, seed=1))


def test_other_splits_than_train_are_left_alone():
    drawn = hold_out([*pictures(4, "test"), *pictures(10)], 0.1, seed=0)
    assert [each.split for each in drawn[:4]] == ["test"] * 4
    assert sum(each.split == "val" for each in drawn) == 1
    assert hold_out(pictures(3, "test"), 0.5, seed=0) == pictures(3, "test")


def test_without_a_share_nothing_is_held_out():
    assert hold_out(pictures(1), 0, seed=0) == pictures(1)


@pytest.mark.parametrize(
    ("count", "share", "message"),
    [
        (1, 0.1, "1 picture cannot be split into train and val"),
        (9, 1, "the share of val is from 0 to less than 1, not 1"),
        (9, -0.1, "from 0 to less than 1"),
        (9, float("nan"), "from 0 to less than 1"),
    ],
)
def test_a_share_that_leaves_a_part_empty_is_refused(count, share, message):
    with pytest.raises(InputError, match=message):
        hold_out(pictures(count), share, seed=0)


# Where the pictures are


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def test_names_start_from_the_folder_that_has_most_of_them(tmp_path):
    some, all_of_them = touch(tmp_path / "some", "0.jpg"), touch(tmp_path / "all", "0.jpg", "1.jpg")
    assert find_root(["0.jpg", "1.jpg"], [some, all_of_them]) == (all_of_them, False)
    assert find_root(["0.jpg", "1.jpg", "2.jpg"], [some, all_of_them]) == (all_of_them, False)
    assert find_root(["7.jpg"], [some, all_of_them]) is None
    assert find_root(["7.jpg"], []) is None


def test_pictures_are_found_without_the_folders_of_their_names(tmp_path):
    folder = touch(tmp_path, "0.jpg", "1.jpg")
    assert find_root(["val2014/0.jpg", "train2014/1.jpg"], [folder]) == (folder, True)
    touch(tmp_path, "val2014/0.jpg", "train2014/1.jpg")
    assert find_root(["val2014/0.jpg", "train2014/1.jpg"], [folder]) == (folder, False)


def test_usual_folders_are_looked_into(tmp_path):
    touch(tmp_path, "images/0.jpg", "Flicker8k_Dataset/0.jpg", "other/0.jpg")
    assert picture_folders([tmp_path, tmp_path]) == [tmp_path, tmp_path / "images", tmp_path / "Flicker8k_Dataset"]
