"""The drawn class folders of `imgnn demo`."""

import json

import numpy as np

from imgnn.data.drawn_classes import DRAWERS, SIDE, write_boke, write_can, write_captions, write_classes
from imgnn.data.labelled import read_classes
from imgnn.images.files import load_image


def test_each_class_is_a_folder_of_so_many_pictures(tmp_path):
    written = write_classes(tmp_path / "photos", count=3)
    found = read_classes(tmp_path / "photos")
    assert sorted(found.classes) == sorted(DRAWERS)
    assert sorted(found.files) == sorted(each.file for each in written)
    assert all(load_image(each.file).shape == (SIDE, SIDE, 3) for each in written)


def test_the_same_seed_draws_the_same_pictures_and_another_one_others(tmp_path):
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        write_classes(tmp_path / name, count=2, seed=seed)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.jpg"))
    for file in files:
        one = load_image(tmp_path / "one" / file)
        np.testing.assert_array_equal(one, load_image(tmp_path / "same" / file))
        assert (one != load_image(tmp_path / "other" / file)).any()


def test_no_two_pictures_of_a_set_are_alike(tmp_path):
    written = write_classes(tmp_path)
    assert len({each.file.read_bytes() for each in written}) == len(written) == 4 * 24


def test_captions_name_the_colour_that_is_seen(tmp_path):
    def share_of_red(path):
        red, green, blue = np.moveaxis(load_image(path).astype(int), -1, 0)
        return np.mean((red > 110) & (green < 100) & (blue < 90))

    fish = [each for each in write_classes(tmp_path) if each.file.parent.name == "fish"]
    red = [share_of_red(each.file) for each in fish if each.captions[2] == "a red fish"]
    blue = [
        share_of_red(each.file) for each in fish if each.captions == ("a blue fish in the water", *each.captions[1:])
    ]
    assert min(red) > 0.04 > max(blue)


def test_captions_become_a_data_set_that_is_read_back(tmp_path):
    from imgnn.data.caption_files import read_captions

    drawn = write_classes(tmp_path / "photos", count=4)
    write_captions(tmp_path / "captions.jsonl", drawn)
    read = read_captions(tmp_path / "captions.jsonl")
    assert {read.file(image) for image in read.images} == {each.file for each in drawn}
    assert len({image.key for image in read.images}) == len(drawn)  # result files name pictures by it
    assert json.loads((tmp_path / "captions.jsonl").read_text().splitlines()[0])["file"] == "photos/boats/000.jpg"


def test_boke_become_a_data_set_that_is_read_back(tmp_path):
    from imgnn.data.boke import read_boke

    drawn = write_classes(tmp_path / "photos", count=4)
    write_boke(tmp_path / "boke.jsonl", drawn)
    read = read_boke([tmp_path / "boke.jsonl"])
    assert len(read) == len(drawn)
    assert all(len(odai.boke) == 2 for odai in read.odai)


def test_a_can_of_boke_has_the_same_lines_under_the_same_pictures(tmp_path):
    from imgnn.data.boke import read_boke

    drawn = write_classes(tmp_path / "photos", count=3)
    write_boke(tmp_path / "boke.jsonl", drawn)
    write_can(tmp_path / "can", drawn)
    plain, canned = (read_boke([tmp_path / name]) for name in ("boke.jsonl", "can"))

    def lines(data):
        return {data.file(odai).read_bytes(): [boke.text for boke in odai.boke] for odai in data.odai}

    assert lines(canned) == lines(plain)


def test_there_are_more_funny_lines_than_a_model_is_taught(tmp_path):
    drawn = write_classes(tmp_path)
    write_boke(tmp_path / "boke.jsonl", drawn)
    taught = {json.loads(line)["text"] for line in (tmp_path / "boke.jsonl").read_text().splitlines()}
    assert len(taught) < 4 * 4**3 * 0.7  # of each class there are 4 x 4 x 4
