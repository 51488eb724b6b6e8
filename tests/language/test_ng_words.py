"""Words that a text may not have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgnn.errors import InputError
from imgnn.language.ng_words import NgWords


@pytest.mark.parametrize(
    ("words", "text", "found"),
    [
        (["ass"], "What an ass!", "ass"),
        (["ass"], "A first-class Assam", None),
        (["ass"], "aßß, passé, ass2, assé", None),
        (["ass"], "このassめ", "ass"),  # no kana stands within a Latin word
        (["ass"], "an_ass_here", "ass"),
        (["ＢＡＤ Dog"], "a bad  dog.", "ＢＡＤ Dog"),
        (["bad dog"], "a bad dogma", None),
        (["STRASSE"], "die Straße", "STRASSE"),
        (["f**k"], "oh F**K you", "f**k"),
        (["!!"], "What!!", "!!"),
        (["バカ"], "バカンスに行く", "バカ"),  # other scripts: anywhere
        (["ﾊﾞｶ"], "バ\u200bカ", "ﾊﾞｶ"),
        (["猫"], "三毛猫", "猫"),
        (["か"], "が", None),
        (["dog", "dogs"], "dogs and a dog", "dogs"),
        (["cat", "dog"], "a dog, a cat", "dog"),
        (["猫", "猫舌"], "猫舌だ", "猫舌"),
        (["猫", "猫舌"], "猫", "猫"),
        (["bad", "bad idea"], "a bad ideal", "bad"),
        (["猫"], "", None),
        ([" ", ""], "a  b", None),
    ],
)
def test_a_word_is_found_where_it_stands(words, text, found):
    assert NgWords(words).found(text) == found


@given(st.lists(st.text("猫犬舌", min_size=1, max_size=3), max_size=5), st.text("猫犬舌", max_size=8))
def test_what_is_found_is_what_looking_for_each_finds(words, text):
    places = [(text.find(word), -len(word), word) for word in words if word in text]
    assert NgWords(words).found(text) == (min(places)[2] if places else None)


def test_a_list_has_a_word_a_line(tmp_path):
    path = tmp_path / "ng.txt"
    path.write_text("\ufeff# not these\n\n猫  \n  #dog\r\nbad idea\n", encoding="utf-8")
    words = NgWords.load(path)
    assert len(words) == 2
    assert (words.found("三毛猫"), words.found("A bad idea"), words.found("not these dogs #dog")) == (
        "猫",
        "bad idea",
        None,
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "no such file: "),
        (b"", "has no word: one a line is wanted"),
        (b"# nothing\n\n", "has no word: one a line is wanted"),
        ("猫".encode("shift_jis"), "is no text in UTF-8: byte 1 is 0x94"),
    ],
)
def test_a_list_that_is_none_is_one_line(tmp_path, data, message):
    path = tmp_path / "ng.txt"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        NgWords.load(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_folder_is_no_list(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*: Is a directory"):
        NgWords.load(tmp_path)
