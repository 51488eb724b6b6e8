"""Beam search against searches that take every sentence, or one hypothesis at a time."""

import keras
import numpy as np
import pytest
from keras import ops

from imgnn.errors import DivergedError, InputError
from imgnn.language.beam import BeamOptions, beam_search
from imgnn.language.steps import DeviceStep, ensemble
from imgnn.language.vocabulary import END, START, UNK
from tests.language.tables import A, B, C, Table


def search(table, *pictures, **options):
    state = table.state(*pictures)
    return beam_search(table, state, images=len(state["picture"]), options=BeamOptions(**options))


def sentences(beam):
    return [each.tokens for each in beam]


def one_by_one(table, picture, width, longest, alpha):
    """Beam search as it is told in a sentence: no bound, no arrays."""
    live, finished = [((), 0.0)], []
    for place in range(longest):
        grown = [
            ((*words, token), total + float(each))
            for words, total in live
            for token, each in enumerate(table.log_prob[picture, place, words[-1] if words else START])
            if token not in (START, UNK)
        ]
        grown = sorted(grown, key=lambda each: -each[1])[:width]
        finished += [(words[:-1], total / len(words) ** alpha) for words, total in grown if words[-1] == END]
        live = [each for each in grown if each[0][-1] != END]
    if not finished:
        finished = [(words, total / len(words) ** alpha) for words, total in live]
    return sorted(finished, key=lambda each: -each[1])[:width]


def repeats(sentence, n):
    ngrams = list(zip(*(sentence[i:] for i in range(n)), strict=False))
    return len(set(ngrams)) < len(ngrams)


# Which sentences are found


@pytest.mark.parametrize("alpha", [0.0, 0.7, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(5))
def test_a_beam_that_is_wide_enough_finds_what_an_exhaustive_search_finds(seed, alpha):
    table = Table.drawn(seed)
    scored = [
        (log_prob / (len(words) + 1) ** alpha, words)
        for words, log_prob in table.all_finished(0, 4)
        if START not in words
    ]
    # 27 sentences of three words go into the last step, and each of them four ways.
    (found,) = search(table, beam_width=108, max_length=4, length_penalty=alpha, ban=())
    assert sentences(found) == [words for _, words in sorted(scored, reverse=True)]
    np.testing.assert_allclose([each.score for each in found], sorted((score for score, _ in scored), reverse=True))


@pytest.mark.parametrize(
    ("rules", "holds"),
    [
        ({"ban": (UNK, A)}, lambda words: not {UNK, A} & set(words)),
        ({"min_length": 2}, lambda words: len(words) >= 2),
        ({"no_repeat_ngram": 1}, lambda words: not repeats(words, 1)),
        ({"no_repeat_ngram": 2}, lambda words: not repeats(words, 2)),
        ({"no_repeat_ngram": 3}, lambda words: not repeats(words, 3)),
        (
            {"min_length": 1, "no_repeat_ngram": 2},
            lambda words: words and not repeats(words, 2),
        ),
    ],
)
def test_a_rule_takes_away_the_sentences_that_break_it_and_no_other(rules, holds):
    table = Table.drawn(9, steps=5)
    kept = [words for words, _ in table.all_finished(0, 5) if START not in words and holds(words)]
    (found,) = search(table, beam_width=324, max_length=5, **{"ban": (), **rules})
    assert sorted(sentences(found)) == sorted(kept)


@pytest.mark.parametrize("alpha", [0.0, 0.7, 2.0])
@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_stopping_early_and_many_pictures_at_once_change_nothing(width, alpha):
    table = Table.drawn(3, images=20, steps=8, vocabulary=9)
    found = search(table, beam_width=width, max_length=8, length_penalty=alpha)
    for picture, beam in enumerate(found):
        expected = one_by_one(table, picture, width, 8, alpha)
        assert sentences(beam) == [words for words, _ in expected]
        np.testing.assert_allclose([each.score for each in beam], [score for _, score in expected], rtol=1e-6)


@pytest.mark.parametrize("options", [{}, {"no_repeat_ngram": 1}, {"groups": 2}, {"length_penalty": 1.0}])
def test_a_picture_gets_the_same_sentences_alone_and_among_others(options):
    table = Table.drawn(4, images=7, steps=6, vocabulary=8)
    together = search(table, beam_width=4, max_length=6, **options)
    assert together == [search(table, picture, beam_width=4, max_length=6, **options)[0] for picture in range(7)]
    assert search(table, 5, 2, beam_width=4, max_length=6, **options) == [together[5], together[2]]


def test_a_beam_of_one_is_greedy():
    table = Table.drawn(5, images=10, steps=8, vocabulary=7)
    for picture, (found,) in enumerate(search(table, beam_width=1, max_length=8, ban=(), length_penalty=1.0)):
        words = [START]
        while END not in words and len(words) <= 8:
            row = table.log_prob[picture, len(words) - 1, words[-1]].copy()
            row[START] = -np.inf
            words.append(int(row.argmax()))
        assert found.tokens == tuple(words[1:-1] if found.finished else words[1:])
        assert found.finished == (words[-1] == END)


def test_two_beams_find_the_sentence_that_greedy_search_misses():
    table = Table.after(START={A: 0.6, B: 0.4}, A={A: 0.2, B: 0.3, END: 0.5}, B={A: 0.1, END: 0.9})
    assert sentences(search(table, beam_width=1)[0]) == [(A,)]  # 0.30
    (best, second) = search(table, beam_width=2)[0]
    assert (best.tokens, second.tokens) == ((B,), (A,))
    assert best.log_prob == pytest.approx(np.log(0.36))
    assert best.log_probs == pytest.approx(np.log([0.4, 0.9]))


def test_a_length_penalty_prefers_longer_sentences():
    table = Table.after(START={A: 0.6, B: 0.4}, A={END: 0.5, C: 0.5}, B={C: 0.9, END: 0.1}, C={END: 1.0})
    # A: 0.30, ln -1.20, 2 tokens; B C: 0.36, ln -1.02, 3 tokens; A C: 0.30, 3 tokens.
    assert sentences(search(table, beam_width=3)[0]) == [(B, C), (A,), (A, C)]
    assert sentences(search(table, beam_width=3, length_penalty=1.0)[0]) == [(B, C), (A, C), (A,)]


def test_of_equal_sentences_the_lower_token_and_the_earlier_hypothesis_come_first():
    table = Table.after(START={C: 0.5, B: 0.5}, B={A: 0.5, C: 0.5}, C={A: 0.5, B: 0.5})
    (found,) = search(table, beam_width=3, max_length=2)
    assert sentences(found) == [(B, A), (B, C), (C, A)]


def test_the_n_best_are_given():
    table = Table.drawn(6)
    (all_kept,) = search(table, beam_width=6, max_length=4)
    assert len(all_kept) == 6
    assert search(table, beam_width=6, max_length=4, n=2) == [all_kept[:2]]
    assert beam_search(table, table.state(), images=0) == []


# When it ends


def test_what_never_ends_is_given_unfinished():
    table = Table.after(START={A: 0.6, B: 0.4}, A={A: 1.0}, B={B: 1.0})
    (found,) = search(table, beam_width=2, max_length=3)
    assert [(each.tokens, each.finished) for each in found] == [((A, A, A), False), ((B, B, B), False)]
    assert found[0].log_probs == pytest.approx([np.log(0.6), 0, 0])


def test_a_finished_sentence_goes_before_all_unfinished():
    table = Table.after(START={A: 0.9, B: 0.1}, A={A: 1.0}, B={END: 1.0})
    assert sentences(search(table, beam_width=2)[0]) == [(B,)]


def test_a_sentence_stops_where_the_rules_leave_no_token():
    table = Table.after(START={A: 0.6, B: 0.4}, A={B: 0.5, END: 0.5}, B={A: 0.5, END: 0.5})
    (found,) = search(table, beam_width=2, min_length=5, no_repeat_ngram=1)
    assert [(each.tokens, each.finished) for each in found] == [((A, B), False), ((B, A), False)]
    (nothing,) = search(table, beam_width=2, ban=(A, B), min_length=1, length_penalty=0.5)
    assert [(each.tokens, each.finished, each.score) for each in nothing] == [((), False, 0.0)]


def test_the_search_ends_when_nothing_better_can_come():
    rest = {A: 0.05, END: 0.95}
    table = Table.after(START={A: 0.5, B: 0.5}, A=rest, B=rest)
    search(table, beam_width=2)
    assert table.calls == 2


# Groups


def test_a_group_avoids_what_earlier_groups_say_at_the_same_place():
    # ln 0.6 - ln 0.3 = 0.69: with less the second group says A too, with more B.
    table = Table.after(START={A: 0.6, B: 0.3, C: 0.1})
    assert sentences(search(table, beam_width=2, groups=2, diversity=0.6)[0]) == [(A,)]
    (found,) = search(table, beam_width=2, groups=2, diversity=0.8)
    assert sentences(found) == [(A,), (B,)]
    assert found[1].log_prob == pytest.approx(np.log(0.3))  # the model's own
    # ln 0.6 - ln 0.1 = 1.79: the third group meets A and B once each, and all three of them at 2.
    assert sentences(search(table, beam_width=3, groups=3, diversity=2.0)[0]) == [(A,), (B,), (C,)]


def test_groups_begin_with_different_words_when_the_diversity_is_large():
    table = Table.drawn(7, images=5, steps=6, vocabulary=12)
    for beam in search(table, beam_width=4, groups=4, diversity=100.0, min_length=1, max_length=6):
        assert len({each.tokens[0] for each in beam}) == len(beam)


def test_of_fewer_sentences_than_were_found_each_group_gives_its_best_first():
    table = Table.drawn(11, images=8, steps=6, vocabulary=12)
    found = search(table, beam_width=12, groups=3, n=3, diversity=100.0, min_length=1, max_length=6)
    alone = search(table, beam_width=4, n=1, min_length=1, max_length=6)  # the first group, from which nothing is taken
    for beam, (best,) in zip(found, alone, strict=True):
        assert best.tokens in sentences(beam)
        # With the width's 12 sentences in one order, the first group would give all three.
        assert len({each.tokens[0] for each in beam}) > 1
        assert [each.score for each in beam] == sorted((each.score for each in beam), reverse=True)


def test_groups_without_diversity_are_one_narrow_beam():
    table = Table.drawn(8, images=5, steps=6, vocabulary=12)
    narrow = search(table, beam_width=2, max_length=6)
    assert search(table, beam_width=6, groups=3, diversity=0.0, max_length=6) == narrow
    assert search(table, beam_width=2, groups=1, diversity=9.0, max_length=6) == narrow


# Ensembles


def found_by(step, state, images):
    return beam_search(step, state, images=images, options=BeamOptions(beam_width=3, max_length=4))


def test_a_model_with_itself_is_the_model():
    table = Table.drawn(10, images=3)
    twice = found_by(ensemble([table, table], [1, 3]), (table.state(), table.state()), 3)
    for beam, expected in zip(twice, found_by(table, table.state(), 3), strict=True):
        assert sentences(beam) == sentences(expected)
        np.testing.assert_allclose([each.score for each in beam], [each.score for each in expected], rtol=1e-5)


def test_an_ensemble_says_the_mean_of_probabilities():
    first = Table.after(START={A: 0.9, B: 0.1})
    second = Table.after(START={A: 0.2, B: 0.8})
    tokens, state = np.array([START]), (first.state(), second.state())
    log_prob, _ = ensemble([first, second])(tokens, state)
    np.testing.assert_allclose(np.exp(log_prob)[0, [A, B, C]], [0.55, 0.45, 0], atol=1e-6)
    log_prob, _ = ensemble([first, second], [1, 3])(tokens, state)
    np.testing.assert_allclose(np.exp(log_prob)[0, [A, B, C]], [0.375, 0.625, 0], atol=1e-6)


def test_an_ensemble_wants_one_vocabulary_and_a_weight_for_each():
    tables = [Table.drawn(0), Table.drawn(0, vocabulary=6)]
    with pytest.raises(InputError, match="theirs have 5, 6 tokens"):
        found_by(ensemble(tables), tuple(table.state() for table in tables), 1)
    with pytest.raises(InputError, match="1 weights for 2 models"):
        ensemble(tables, [1.0])
    with pytest.raises(InputError, match="above 0, not 1, 0"):
        ensemble(tables, [1.0, 0.0])
    with pytest.raises(InputError, match="0 weights for 0 models"):
        ensemble([])


# On the device


class Recurrent:
    """An LSTM of a few units that has read nothing: what it says is random, and its own."""

    def __init__(self, seed, vocabulary=30, units=8):
        draw = keras.initializers.RandomNormal(stddev=1.5, seed=seed)
        self.cell = keras.layers.LSTMCell(units, kernel_initializer=draw, recurrent_initializer=draw)
        self.cell.build((None, units))
        self.embedding, self.kernel = draw((vocabulary, units)), draw((units, vocabulary))
        self.units = units

    def state(self, images):
        hidden = np.random.default_rng(0).normal(size=(images, self.units)).astype("float32")
        return ops.convert_to_tensor(hidden), ops.zeros((images, self.units))

    def __call__(self, tokens, state):
        output, state = self.cell(ops.take(self.embedding, tokens, axis=0), state)
        return ops.log_softmax(ops.matmul(output, self.kernel)), tuple(state)


@pytest.mark.parametrize("options", [{}, {"no_repeat_ngram": 2, "min_length": 3}, {"groups": 2, "length_penalty": 0.7}])
def test_a_keras_model_is_searched_alike_compiled_and_as_it_is(options):
    model = Recurrent(1)
    options = BeamOptions(beam_width=4, max_length=8, **options)
    compiled, plain = (
        beam_search(step, model.state(5), images=5, options=options) for step in (DeviceStep(model), model)
    )
    assert len({each.tokens for beam in plain for each in beam}) > 10
    for beam, expected in zip(compiled, plain, strict=True):
        assert sentences(beam) == sentences(expected)
        np.testing.assert_allclose([each.score for each in beam], [each.score for each in expected], rtol=1e-4)


def test_an_ensemble_of_keras_models_is_compiled_too():
    models = Recurrent(1), Recurrent(2)
    both = ensemble(models)
    state = models[0].state(3), models[1].state(3)
    compiled, plain = (beam_search(step, state, images=3) for step in (DeviceStep(both), both))
    assert [sentences(beam) for beam in compiled] == [sentences(beam) for beam in plain]


# What is refused


def test_a_model_that_answers_nan_is_told_of():
    table = Table.drawn(0)
    table.log_prob[0, 1] = np.nan
    with pytest.raises(DivergedError, match="nan for token 2"):
        search(table, beam_width=2, max_length=4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_width": 0}, "a beam of 0"),
        ({"beam_width": 5, "groups": 2}, "a beam of 5 is not shared evenly by 2 groups"),
        ({"length_penalty": -1.0}, "not -1 and 0.5"),
        ({"n": 0}, "not 0"),
        ({"max_length": 0}, "at least 1 token, not 0"),
        ({"min_length": 20}, "at least 20 words do not fit into 20 tokens"),
        ({"no_repeat_ngram": -1}, "not -1"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        BeamOptions(**options)
