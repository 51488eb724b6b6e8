"""The pictures of a run, and what was said of them."""

import numpy as np
import pytest

from imgnn.data import known_pictures
from imgnn.data.known_pictures import FEATURES, SENTENCES, KnownPicture, KnownPictures
from imgnn.errors import InputError


def picture(number):
    return KnownPicture(f"a/{number}.jpg", f"/x/a/{number}.jpg", "train", (f"こっちを見るな {number}", "no"), (7, None))


def known(count=4):
    features = np.arange(2.0 * count, dtype="float16").reshape(count, 2)
    return KnownPictures.shuffled([picture(number) for number in range(count)], lambda rows: features[rows])


def test_they_come_back_as_they_were_saved(tmp_path):
    known().save(tmp_path)
    found = KnownPictures.load(tmp_path)
    assert found.pictures == known().pictures
    np.testing.assert_array_equal(found.features, known().features)
    assert sorted(path.name for path in tmp_path.iterdir()) == [SENTENCES, FEATURES]


def test_each_keeps_its_features_however_they_are_shuffled():
    found = known(50)
    numbers = [int(each.name[2:-4]) for each in found.pictures]
    assert sorted(numbers) == list(range(50)) != numbers
    assert found.features[:, 0].tolist() == [2 * number for number in numbers]


def test_of_very_many_the_features_of_some_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(known_pictures, "MOST", 3)
    known(10).save(tmp_path)
    found = KnownPictures.load(tmp_path)
    assert (len(found.pictures), found.features.shape) == (10, (3, 2))


def test_a_run_without_them_is_told(tmp_path):
    with pytest.raises(InputError, match=r"does not know its pictures: there is no pictures\.jsonl in it"):
        KnownPictures.load(tmp_path)
    known().save(tmp_path)
    (tmp_path / FEATURES).unlink()
    with pytest.raises(InputError, match=r"there is no pictures\.npz in it"):
        KnownPictures.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        (SENTENCES, "{", r"pictures\.jsonl, line 1, is damaged"),
        (SENTENCES, "[]\n", r"pictures\.jsonl, line 1, is damaged"),
        (SENTENCES, '{"name": "a"}\n', r"pictures\.jsonl, line 1, is damaged"),
        (SENTENCES, "", r"pictures\.npz is damaged: \(4, 2\) numbers for 0 pictures"),
        (FEATURES, "PK", r"pictures\.npz is damaged"),
        (FEATURES, "PK\3\4 and no more", r"pictures\.npz is damaged"),
    ],
)
def test_damaged_files_are_one_line(tmp_path, name, content, told):
    known().save(tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=told):
        KnownPictures.load(tmp_path)
