"""Whether a text is new, against comparing it with every known one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgnn.language.novelty import Novelty, count_different

KNOWN = [
    "The cat reads the paper.",
    "猫が新聞を読んでる",
    "部長、それは会議室です",
    "No.",
    "犬",
    "猫が新聞を読んでる！",
]


@pytest.mark.parametrize(
    ("text", "copied"),
    [
        ("The cat reads the paper.", True),
        ("ＴＨＥ　ＣＡＴ reads -- 'the paper'!?", True),
        ("猫が、新聞を読んでる…", True),
        ("no", True),
        ("The cat reads a paper.", False),
        ("猫が新聞を読んでる😀", False),
        ("", False),
        ("!?", False),
    ],
)
def test_a_copy_differs_in_case_width_and_punctuation_at_most(text, copied):
    assert Novelty([*KNOWN, ""]).copied(text) is copied


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("猫が新聞を読む", (1, 5 / 9)),  # of 6 and 8 pairs, 猫が が新 新聞 聞を を読 are in both; the first of two
        ("部長！それは会議室です！", (2, 1.0)),
        ("NO", (3, 1.0)),
        ("not", (3, 1 / 2)),  # no, ot
        ("犬", (4, 1.0)),
        ("犬犬", None),  # its pair is another than the one character
        ("xyz", None),
        ("", None),
    ],
)
def test_the_nearest_text_shares_most_of_its_pairs(text, nearest):
    assert Novelty(KNOWN).nearest(text) == nearest


def test_of_no_texts_none_is_near():
    assert Novelty([]).nearest("cat") is None
    assert Novelty(["", "!"]).nearest("cat") is None
    assert not Novelty([]).copied("cat")


def jaccard(first, second):
    first, second = ({each[i : i + 2] for i in range(max(1, len(each) - 1)) if each} for each in (first, second))
    return len(first & second) / max(1, len(first | second))


LETTERS = st.text("ab猫犬", max_size=7)


@settings(deadline=None)  # the library regex is imported in the first
@given(st.lists(LETTERS, max_size=12), LETTERS)
def test_the_nearest_text_is_the_one_that_comparing_all_finds(texts, text):
    similarity = [jaccard(each, text) for each in texts]
    best = max(similarity, default=0)
    assert Novelty(texts).nearest(text) == ((similarity.index(best), best) if best else None)


def test_texts_that_differ_in_case_width_spaces_and_punctuation_alone_are_counted_once():
    assert count_different(["Dark left!", "dark  left", "ＤＡＲＫ left", "dark right", "！？", "…", "…"]) == 4
    assert count_different([]) == 0
