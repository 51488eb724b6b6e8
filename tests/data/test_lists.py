"""What may stand in a list file, in the class words and in the record beside it."""

import json

import pytest

from imgnn.data.lists import Watched, read_list, read_words, write_record
from imgnn.errors import InputError

DIGITS = "9" * 5_000  # more than int() takes


def refusal(path) -> str:
    with pytest.raises(InputError) as raised:
        read_list(path)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.fixture
def listed(tmp_path):
    """A list with its record."""
    path = tmp_path / "pets_train.txt"
    path.write_text("a.jpg 0\n", encoding="utf-8")
    write_record(tmp_path / "pets.json", {path.name: "0"}, tmp_path / "photos", Watched(None, 1, "0"), {})
    return path


@pytest.mark.parametrize("label", [DIGITS, "0" * 5_000, "2147483648", "1_0", "+1", "٣", "²"])
def test_a_label_is_a_few_digits(listed, label):
    listed.write_text(f"a.jpg 0\nb.jpg {label}\n", encoding="utf-8")
    assert f"{listed.name}, line 2: a line is `path label`" in refusal(listed)


def test_a_label_may_begin_with_zeros_and_be_as_large_as_caffes(listed):
    listed.write_text("a.jpg 007\nb.jpg 2147483647\n", encoding="utf-8")
    assert read_list(listed).labels == (7, 2147483647)


def test_class_words_that_begin_with_a_number_of_thousands_of_digits_are_names(tmp_path):
    (tmp_path / "words.txt").write_text(f"{DIGITS} cat\n", encoding="utf-8")
    assert read_words(tmp_path / "words.txt") == {0: f"{DIGITS} cat"}


def test_a_record_tells_where_the_pictures_are(listed):
    assert read_list(listed).root == listed.parent / "photos"


@pytest.mark.parametrize("name", ["root", "lists", "folders", "pictures", "tree"])
@pytest.mark.parametrize("value", [None, 1.5])
def test_a_record_in_which_something_is_missing_is_told(listed, name, value):
    file = listed.with_name("pets.json")
    record = json.loads(file.read_text(encoding="utf-8")) | {name: value}
    file.write_text(json.dumps(record), encoding="utf-8")
    if (name, value) == ("folders", None):  # the whole root
        assert read_list(listed).root == listed.parent / "photos"
    else:
        assert refusal(listed) == f"{file} is a damaged record of lists: {name!r} is {value!r}"


def test_a_thousand_brackets_beside_a_list_are_no_record(listed):
    listed.with_name("pets.json").write_text("[" * 100_000, encoding="utf-8")
    assert read_list(listed).record is None
