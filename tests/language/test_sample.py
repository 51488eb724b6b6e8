"""Sampling: what is drawn is drawn as often as it is probable, and again with the same seed."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
from scipy.stats import chisquare

from imgnn.errors import DivergedError, InputError
from imgnn.language.beam import BeamOptions, beam_search
from imgnn.language.sample import SampleOptions, sample
from imgnn.language.steps import DeviceStep
from imgnn.language.vocabulary import END, UNK
from tests.language.tables import A, B, C, Table
from tests.language.test_beam import Recurrent

MANY = 4000


def drawn(table, *pictures, keys=None, **options):
    state = table.state(*pictures)
    return sample(table, state, images=len(state["picture"]), keys=keys, options=SampleOptions(**options))


def tokens(beam):
    return [each.tokens for each in beam]


def agree(counts, prob):
    """Whether counts are what these probabilities give in 999 of 1,000 cases."""
    prob = np.array(prob) / np.sum(prob)
    assert sum(counts) == MANY
    assert all(count == 0 for count, each in zip(counts, prob, strict=True) if each == 0)
    seen = prob > 0
    return seen.sum() == 1 or chisquare(np.array(counts)[seen], prob[seen] * MANY).pvalue > 1e-3


# How often


@pytest.mark.parametrize(
    ("options", "prob"),
    [
        ({}, [4, 3, 2, 1]),
        ({"temperature": 0.5}, [16, 9, 4, 1]),
        ({"temperature": 2.0}, np.sqrt([4, 3, 2, 1])),
        ({"top_k": 2}, [4, 3, 0, 0]),
        ({"top_k": 99}, [4, 3, 2, 1]),
        ({"top_p": 0.6}, [4, 3, 0, 0]),  # 0.4 does not reach 0.6: the one that crosses it is kept
        ({"top_p": 0.95}, [4, 3, 2, 1]),
        ({"top_p": 1e-6}, [4, 0, 0, 0]),
        ({"top_k": 3, "top_p": 0.75}, [4, 3, 0, 0]),  # of the three, 4 + 3 have 7/9 = 0.78
        ({"temperature": 0.5, "top_p": 0.75}, [16, 9, 0, 0]),  # 16/30 = 0.53, 25/30 = 0.83
        ({"temperature": 0.0}, [4, 0, 0, 0]),
        ({"temperature": 1e-3}, [4, 0, 0, 0]),
        ({"ban": (A,)}, [0, 3, 2, 1]),
        ({"ban": (A,), "top_k": 2}, [0, 3, 2, 0]),
    ],
)
def test_words_are_drawn_as_often_as_they_are_probable(options, prob):
    table = Table.after(START={B: 0.3, A: 0.4, UNK: 0.2, C: 0.1})
    (found,) = drawn(table, n=MANY, max_length=1, **{"ban": (), **options})
    counts = Counter(each.tokens[0] for each in found)
    assert agree([counts[word] for word in (A, B, UNK, C)], prob)


def test_sentences_are_drawn_as_often_as_they_are_probable():
    table = Table.after(START={A: 0.5, B: 0.5}, A={A: 0.3, B: 0.2, END: 0.5}, B={A: 0.6, END: 0.4})
    (found,) = drawn(table, n=MANY, max_length=3)
    counts = Counter((*each.tokens, END) if each.finished else each.tokens for each in found)
    possible = [(A, END), (B, END)] + [(*pair, last) for pair in product((A, B), repeat=2) for last in (A, B, END)]
    prob = [np.exp(sum(table.each_log_prob(0, sentence))) for sentence in possible]
    assert sum(prob) == pytest.approx(1)
    assert agree([counts[sentence] for sentence in possible], prob)


def test_log_probs_are_the_models_own_whatever_is_cut_off():
    table = Table.drawn(1, steps=5, vocabulary=8)
    (found,) = drawn(table, n=20, temperature=0.7, top_k=4, top_p=0.9, max_length=5)
    for each in found:
        said = (*each.tokens, END) if each.finished else each.tokens
        assert each.log_probs == pytest.approx(table.each_log_prob(0, said))
        assert each.score == each.log_prob == pytest.approx(sum(table.each_log_prob(0, said)))


@pytest.mark.parametrize("temperature", [0.0, 1e-4])
def test_without_temperature_sampling_is_greedy(temperature):
    table = Table.drawn(2, images=6, steps=6, vocabulary=9)
    found = drawn(table, n=1, temperature=temperature, max_length=6)
    greedy = beam_search(table, table.state(), images=6, options=BeamOptions(beam_width=1, max_length=6))
    assert [tokens(beam) for beam in found] == [tokens(beam) for beam in greedy]


# The same again


def test_the_same_seed_draws_the_same_and_another_seed_other_sentences():
    table = Table.drawn(3, images=2, steps=6, vocabulary=9)
    assert drawn(table, n=5, seed=1, max_length=6) == drawn(table, n=5, seed=1, max_length=6)
    assert drawn(table, n=5, seed=1, max_length=6) != drawn(table, n=5, seed=2, max_length=6)


def test_a_picture_gets_the_same_sentences_alone_and_among_others():
    table = Table.drawn(3, images=4, steps=6, vocabulary=9)
    together = drawn(table, n=3, keys=(11, 12, 13, 14), max_length=6)
    assert drawn(table, 2, n=3, keys=(13,), max_length=6) == [together[2]]
    assert drawn(table, 3, 0, n=3, keys=(14, 11), max_length=6) == [together[3], together[0]]
    assert drawn(table, 2, n=2, keys=(13,), max_length=6) == [together[2][:2]]


def test_two_pictures_that_look_the_same_are_not_told_the_same():
    table = Table.drawn(3, steps=6, vocabulary=9)
    first, second = drawn(table, 0, 0, n=4, max_length=6)
    assert first != second


# Rules


def test_rules_hold_in_every_sample():
    table = Table.drawn(4, steps=7, vocabulary=8)
    (found,) = drawn(table, n=300, max_length=7, min_length=2, no_repeat_ngram=2, ban=(UNK, 7))
    for each in found:
        assert not {0, END, UNK, 7} & set(each.tokens)
        pairs = list(zip(each.tokens, each.tokens[1:], strict=False))
        assert len(set(pairs)) == len(pairs)
        assert not each.finished or len(each.tokens) >= 2
    assert {each.finished for each in found} == {True, False}
    assert max(len(each.tokens) for each in found) == 7


def test_a_sentence_stops_where_the_rules_leave_no_token():
    table = Table.after(START={A: 0.5, B: 0.5}, A={B: 0.5, END: 0.5}, B={A: 0.5, END: 0.5})
    (found,) = drawn(table, n=20, min_length=5, no_repeat_ngram=1)
    assert {(each.tokens, each.finished) for each in found} == {((A, B), False), ((B, A), False)}


# On the device


def test_a_keras_model_is_sampled_alike_compiled_and_as_it_is():
    model = Recurrent(1)
    options = SampleOptions(n=4, max_length=8)
    compiled, plain = (sample(step, model.state(3), images=3, options=options) for step in (DeviceStep(model), model))
    assert [tokens(beam) for beam in compiled] == [tokens(beam) for beam in plain]


# What is refused


def test_a_model_that_answers_nan_is_told_of():
    table = Table.drawn(0)
    table.log_prob[:] = np.nan
    with pytest.raises(DivergedError, match="nan for token 1"):
        drawn(table, n=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "at least 1 sentence"),
        ({"temperature": -1.0}, "not -1, 0 and 0"),
        ({"top_k": -1}, "not 1, -1 and 0"),
        ({"seed": -1}, "not 1, 0 and -1"),
        ({"top_p": 0.0}, "above 0, not 0"),
        ({"top_p": 1.5}, "not 1.5"),
        ({"min_length": 20}, "at least 20 words"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        SampleOptions(**options)
