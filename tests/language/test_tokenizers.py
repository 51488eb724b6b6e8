"""Texts to tokens and back: characters, words with spaces, Japanese words."""

import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imgnn.errors import InputError, UnknownNameError
from imgnn.language import tokenizers, tokens
from imgnn.language.tokenizers import (
    TOKENIZERS,
    Chars,
    Given,
    Sudachi,
    Words,
    choose_tokenizer,
    join,
    load_tokenizer,
    normalise,
)

FAMILY = "👩\u200d👩\u200d👧"  # one sign of five characters

# Texts as people write them, and worse: what parts words, joins signs, opens and closes.
SIGNS = [
    "a",
    "Z",
    "é",
    "ß",
    "5",
    "犬",
    "か",
    "ナ",
    "ー",
    "。",
    "「",
    "」",
    "、",
    *"?!.,:;\"'’“”()/-$#%…",
    " ",
    "\u3000",
    "\n",
]
SIGNS += ["don't", "1,000", "ǰ", "J\u030c", "e\u0301", "か\u3099", "\u0301", "กำ", "한국", "نمی\u200cدانم", "\u0600"]
SIGNS += ["😀", FAMILY, "🇯🇵", "🇯", "🏻", "❤\ufe0f", "\u200d", "ﾊﾞ", "Σ", "İ", "™"]
written = st.lists(st.sampled_from(SIGNS)).map("".join) | st.text()


@pytest.fixture(scope="module")
def sudachi():
    pytest.importorskip("sudachipy")
    return Sudachi()


# One spelling


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("ｗｗ　Ｇｏｏｄ！？", "ww Good!?"),
        ("ﾊﾞﾅﾅ", "バナナ"),
        (" a \t b\r\nc\u2028d\x85e ", "a b c d e"),
        ("a\0b\x1b[31mc\u202ed\ufeffe\u200bf\xad\ud800", "ab[31mcdef"),
        (FAMILY, FAMILY),
        ("", ""),
    ],
)
def test_a_text_has_one_spelling(text, normal):
    assert normalise(text) == normal


@settings(deadline=None)
@given(written)
def test_a_normal_text_stays_as_it_is_and_can_be_written(text):
    normal = normalise(text)
    assert normalise(normal) == normal == unicodedata.normalize("NFKC", normal)
    normal.encode()
    assert not any(unicodedata.category(each) == "Cc" for each in normal)


# Characters


def test_characters_are_those_one_sees():
    assert Chars().tokenize(f"ガ e\u0301{FAMILY}🇯🇵Aｗ") == ["ガ", " ", "é", FAMILY, "🇯🇵", "A", "w"]


@settings(deadline=None)
@given(written)
def test_characters_give_the_text_again(text):
    tokens = Chars().tokenize(text)
    assert Chars().detokenize(tokens) == normalise(text)
    assert Chars().tokenize(Chars().detokenize(tokens)) == tokens


# Words


@pytest.mark.parametrize(
    ("text", "tokens", "again"),
    [
        ("Don’t touch it!", "don't|touch|it|!", "don't touch it!"),
        ("My well-known dog, 10:30...", "my|well-known|dog|,|10:30|...", "my well-known dog, 10:30..."),
        ("“You”, he said, and/or “I”.", '"|you|"|,|he|said|,|and|/|or|"|i|"|.', '"you", he said, and/or "i".'),
        ("The dogs' bowl ($5, 50% off)", "the|dogs|'|bowl|(|$|5|,|50|%|off|)", "the dogs' bowl ($5, 50% off)"),
        ("What?! 😀❤\ufe0f no", "what|?|!|😀|❤\ufe0f|no", "what?! 😀 ❤\ufe0f no"),
        ("犬がGood！", "犬|が|good|!", "犬がgood!"),
        ("안녕, 하세요", "안녕|,|하세요", "안녕, 하세요"),
        ("Привет - мир", "привет|-|мир", "привет - мир"),
        ("", "", ""),
    ],
)
def test_words_are_parted_and_joined_as_one_writes_them(text, tokens, again):
    assert "|".join(Words().tokenize(text)) == tokens
    assert Words().detokenize(Words().tokenize(text)) == again


@settings(deadline=None)
@given(written)
@example(". ..")
@example("犬 🏻 \u3099")
@example("' ' a ' b ''")
@example("\u0600 a")
@example("\u0600\u0600 \u0600")
def test_words_joined_are_the_same_words(text):
    tokens = Words().tokenize(text)
    assert Words().tokenize(Words().detokenize(tokens)) == tokens


@settings(deadline=None)
@given(written)
@example("\u0600 a")
@example("\u0600\u0600 \u0600")
def test_words_leave_nothing_out_but_spaces(text):
    same_quotes = text.translate(tokenizers.SAME_QUOTES)
    lower = normalise(normalise(same_quotes).lower())
    assert "".join(Words().tokenize(text)) == lower.replace(" ", "")


# Japanese


def test_japanese_words_are_short_units(sudachi):
    # The division of units A that Sudachi's own README shows.
    assert sudachi.tokenize("国家公務員") == ["国家", "公務", "員"]
    assert sudachi.tokenize("猫が　寝てる。") == ["猫", "が", " ", "寝", "てる", "。"]


@settings(deadline=None)
@given(text=written)
def test_japanese_words_give_the_text_again(sudachi, text):
    assert sudachi.detokenize(sudachi.tokenize(text)) == normalise(text)


def test_japanese_words_may_be_asked_for_by_several_threads(sudachi):
    texts = ["国家公務員の猫が寝ている"] * 2000
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(sudachi.tokenize, texts))
    assert found == [sudachi.tokenize(texts[0])] * 2000


def test_version_of_japanese_words_names_both_packages(sudachi):
    from sudachipy import __version__

    assert sudachi.version.startswith(f"sudachipy {__version__}, sudachidict-")


def test_a_text_that_is_too_long_for_sudachi_is_one_line(sudachi):
    with pytest.raises(InputError, match=r"SudachiPy does not take '猫猫.*49149 bytes"):
        sudachi.tokenize("猫" * 20_000)


def test_missing_sudachi_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "sudachipy", None)
    with pytest.raises(InputError, match="SudachiPy, which is not installed") as caught:
        load_tokenizer("sudachi")
    assert caught.value.hint == "pip install 'imgnn[ja]'"


def test_missing_dictionary_is_one_line(monkeypatch, sudachi):
    for size in ("small", "core"):
        monkeypatch.setitem(sys.modules, f"sudachidict_{size}", None)
    with pytest.raises(InputError, match="no dictionary") as caught:
        load_tokenizer("sudachi")
    assert caught.value.hint == "pip install 'imgnn[ja]'"


# Tokens of others


def test_tokens_of_an_unknown_analyser_are_joined_by_their_script():
    assert join(["iPhone", "が", "壊れ", "た", "!?", "「", "え", "」"]) == "iPhoneが壊れた!?「え」"
    assert join(["That", "'s", "fine", "!"]) == "That 's fine!"
    assert Given().detokenize(Given().tokenize("犬 Good")) == "犬 Good"


def test_captions_are_cut_as_they_are_measured():
    ptb = load_tokenizer("ptb")
    text = "A man can't (really) fly."
    assert ptb.tokenize(text) == tokens.tokenize(text)
    assert ptb.detokenize(ptb.tokenize(text)) == "a man can't (really) fly"


# Which one


@pytest.mark.parametrize("name", ["chars", "words", "ptb", "given"])
def test_a_tokenizer_is_found_by_its_name(name):
    assert load_tokenizer(name).name == name
    assert load_tokenizer(name).version


def test_an_unknown_tokenizer_is_one_line():
    with pytest.raises(UnknownNameError, match="no tokenizer is called 'char'; did you mean 'chars'") as caught:
        load_tokenizer("char")
    assert all(name in caught.value.hint for name in TOKENIZERS)


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        (["A dog, again."], "words"),
        (["Ещё собака", "σκύλος"], "words"),
        (["개가 또 왔다"], "words"),
        (["また犬だ", "OK"], "chars"),
        (["又是狗"], "chars"),
        (["A dog called ポチ"], "words"),
        (["หมาอีกแล้ว"], "chars"),
        (["123 !", ""], "chars"),
        ([], "chars"),
    ],
)
def test_texts_with_spaces_between_words_are_cut_into_words(texts, name):
    assert choose_tokenizer(texts) == name
