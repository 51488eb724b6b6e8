"""Words by number: counted, told apart, written and read back."""

import json

import pytest

from imgnn.errors import InputError
from imgnn.language.vocabulary import END, MARKS, START, UNK, Vocabulary, build_vocabulary

SENTENCES = [text.split() for text in ("a dog runs", "a cat runs", "the dog and a cat", "bees", "")]


def test_the_frequent_words_come_first_and_equal_ones_by_the_alphabet():
    found = build_vocabulary(SENTENCES, minimum=1)
    assert found.words == (*MARKS, "a", "cat", "dog", "runs", "and", "bees", "the")
    assert found.counts == (0, 5, 0, 3, 2, 2, 2, 1, 1, 1)
    assert (START, END, UNK) == (0, 1, 2)


def test_rare_words_are_unknown_and_counted_as_such():
    found = build_vocabulary(SENTENCES, minimum=2)
    assert found.words == (*MARKS, "a", "cat", "dog", "runs")
    assert found.counts == (0, 5, 3, 3, 2, 2, 2)
    assert sum(found.counts) == sum(len(each) + 1 for each in SENTENCES)
    assert len(found) == 7


def test_sentences_may_come_one_by_one():
    assert build_vocabulary(iter(SENTENCES), minimum=2) == build_vocabulary(SENTENCES, minimum=2)


def test_words_become_ids_and_words_again():
    found = build_vocabulary(SENTENCES, minimum=2)
    assert found.encode(["a", "fast", "dog", "runs"]) == [3, UNK, 5, 6]
    assert found.decode([3, UNK, 5, 6, END]) == ["a", "<UNK>", "dog", "runs", "<END>"]
    assert found.decode(found.encode(["cat"])) == ["cat"]


def test_a_vocabulary_is_written_and_read(tmp_path):
    found = build_vocabulary([["犬", "naïve", '"']], minimum=1)
    found.save(tmp_path / "vocabulary.json")
    assert Vocabulary.load(tmp_path / "vocabulary.json") == found
    assert "犬" in (tmp_path / "vocabulary.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no vocabulary, or damaged"),
        ("[]", "is no vocabulary, or damaged"),
        ('{"format": "another"}', "its format is 'another'"),
        ('{"format": "imgnn vocabulary", "version": "one", "words": [], "counts": []}', "is no vocabulary, or damaged"),
        ('{"format": "imgnn vocabulary", "version": 1, "words": 5, "counts": []}', "is no vocabulary, or damaged"),
        ('{"format": "imgnn vocabulary", "version": 1, "words": ["a", "b"], "counts": [1, 2]}', "first words are a, b"),
        ('{"format": "imgnn vocabulary", "version": 1, "words": ["<START>", "<END>", "<UNK>"], "counts": [1]}', "dam"),
        ('{"format": "imgnn vocabulary", "version": 9, "words": [], "counts": []}', "is a vocabulary of version 9"),
        ("\udcff", "is no vocabulary, or damaged"),
    ],
)
def test_another_file_is_told_in_words(tmp_path, text, message):
    path = tmp_path / "vocabulary.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=message):
        Vocabulary.load(path)


def test_a_file_that_is_not_there_is_told_in_words(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*vocabulary.json: No such file"):
        Vocabulary.load(tmp_path / "vocabulary.json")


def test_a_later_imgnn_is_told_apart(tmp_path):
    path = tmp_path / "vocabulary.json"
    build_vocabulary(SENTENCES, minimum=1).save(path)
    known = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**known, "version": 2}), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        Vocabulary.load(path)
    assert caught.value.hint == "pip install --upgrade imgnn"
