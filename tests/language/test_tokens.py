"""English to tokens as coco-caption has them, and back."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgnn.language.tokens import detokenize, tokenize
from tests.language.texts import shared_texts

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "captions.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("text", "tokens"), GOLDEN["tokens"])
def test_tokens_are_those_of_the_stanford_tokenizer(text, tokens):
    assert " ".join(tokenize(text)) == tokens


def test_no_token_of_76_336_captions_differs(shared):
    for name, texts in shared_texts(shared).items():
        tokens = "\n".join(" ".join(tokenize(text)) for text in texts)
        assert (name, hashlib.sha256(tokens.encode()).hexdigest()) == (name, GOLDEN["shared"][name]["sha256"])


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        (" \n\t ", []),
        ("... -- !", []),
        ("Two lines\nof\ttext.", ["two", "lines", "of", "text"]),
        ("cafe\u0301", ["café"]),  # written as two characters
        ("soft\u00adhyphen and zero\u200bwidth", ["softhyphen", "and", "zero", "width"]),
    ],
)
def test_white_space_and_what_has_no_width_part_words_or_vanish(text, tokens):
    assert tokenize(text) == tokens


@given(st.text())
def test_any_text_gives_tokens_without_white_space(text):
    assert all(token and token.split() == [token] for token in tokenize(text))


WORDS = [
    "a",
    "dog",
    "dog's",
    "can't",
    "cannot",
    "it's",
    "u.s.",
    "no",
    "5",
    "!",
    ",",
    "'",
    "(his)",
    "50%",
    "$5",
    "and/or",
]


@given(st.lists(st.sampled_from(WORDS)))
def test_a_sentence_of_tokens_has_the_same_tokens(words):
    tokens = tokenize(" ".join(words))
    assert tokenize(detokenize(tokens)) == tokens


@pytest.mark.parametrize(
    "sentence",
    [
        "a man can't see the dog's toys",
        "they're gonna say it's 50% of $5 (or #1)",
        "'tis said that y'all cannot",
        "a black-and-white u.s. flag at 5 o'clock",
    ],
)
def test_what_was_parted_is_joined(sentence):
    assert detokenize(tokenize(sentence)) == sentence


def test_words_that_only_begin_like_a_pair_are_left_apart():
    assert detokenize(["a", "can", "nothing", "has", "got", "tanks"]) == "a can nothing has got tanks"
