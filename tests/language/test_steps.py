"""One picture against another: contrastive decoding with probabilities that are computed by hand."""

import numpy as np
import pytest

from imgnn.errors import InputError
from imgnn.language.beam import BeamOptions, beam_search
from imgnn.language.sample import SampleOptions, sample
from imgnn.language.steps import DeviceStep, HostStep, contrast
from imgnn.language.vocabulary import END, START, UNK
from tests.language.tables import A, B, C, Table
from tests.language.test_beam import Recurrent

# The first picture, and the other: C is improbable for the first, and yet more so for the other.
OWN = {A: 0.6, B: 0.3, END: 0.08, C: 0.02}
OTHER = {A: 0.8, B: 0.1, END: 0.0995, C: 0.0005}


def two_pictures(own=OWN, other=OTHER):
    tables = [Table.after(START=row) for row in (own, other)]
    table = Table.after()
    table.log_prob = np.concatenate([each.log_prob for each in tables])
    return table


def first_prob(weight, plausible=0.1, table=None):
    """The probability of each token after START, `(vocabulary,)`."""
    table = table or two_pictures()
    step = contrast(table, weight, plausible)
    log_prob, _ = HostStep(step).log_prob(np.array([START]), (table.state(0), table.state(1)))
    assert log_prob.dtype == np.float32
    return np.exp(log_prob[0])


@pytest.mark.parametrize(
    ("weight", "plausible", "expected"),
    [
        # p / q ** weight, of the tokens of at least 0.1 * 0.6
        (1, 0.1, {A: 0.6 / 0.8, B: 0.3 / 0.1, END: 0.08 / 0.0995}),
        (0.5, 0.1, {A: 0.6 / 0.8**0.5, B: 0.3 / 0.1**0.5, END: 0.08 / 0.0995**0.5}),
        (1, 0.4, {A: 0.6 / 0.8, B: 0.3 / 0.1}),
        (1, 1, {A: 1}),
        # Nothing is cut: what is improbable for both wins.
        (1, 0, {A: 0.6 / 0.8, B: 0.3 / 0.1, END: 0.08 / 0.0995, C: 0.02 / 0.0005}),
        # Its own probabilities, cut or not.
        (0, 0, OWN),
        (0, 0.1, {A: 0.6, B: 0.3, END: 0.08}),
    ],
)
def test_a_token_counts_by_how_much_more_probable_it_is_for_the_one_picture(weight, plausible, expected):
    wanted = np.zeros(6)
    wanted[list(expected)] = np.array(list(expected.values())) / sum(expected.values())
    np.testing.assert_allclose(first_prob(weight, plausible), wanted, rtol=1e-5)


def test_a_token_that_is_impossible_for_the_other_picture_is_no_infinity():
    prob = first_prob(0.5, table=two_pictures(other={A: 1.0}))
    # p / q ** weight with q = 2 ** -126, the least normal number of float32
    np.testing.assert_allclose(prob[[A, B]], [0.6 / (0.38 * 2**63), 0.3 / 0.38], rtol=1e-4)


def test_both_states_go_on():
    table = Table.drawn(3, images=2, steps=3, vocabulary=5)
    run = HostStep(contrast(table, 1.0, 0.0))
    state = (table.state(0), table.state(1))
    for place, token in enumerate([START, A, B]):
        found, state = run.log_prob(np.array([token]), state)
        ratio = np.exp(table.log_prob[0, place, token] - table.log_prob[1, place, token])
        np.testing.assert_allclose(np.exp(found[0]), ratio / ratio.sum(), rtol=1e-4)


def test_implausible_tokens_are_not_drawn():
    table = two_pictures()
    step, state = contrast(table, 1.0), (table.state(0), table.state(1))
    (found,) = sample(step, state, images=1, options=SampleOptions(n=500, temperature=3.0, max_length=1))
    assert {each.tokens for each in found} == {(A,), (B,), ()}


def test_where_the_rules_leave_nothing_plausible_the_sentence_goes_on_all_the_same():
    # UNK is never said; of the others, all too improbable beside it, B is the most above the other picture.
    table = two_pictures(own={UNK: 0.97, A: 0.02, B: 0.01}, other={A: 0.9, B: 0.1})
    step, state = contrast(table, 1.0), (table.state(0), table.state(1))
    (found,) = sample(step, state, images=1, options=SampleOptions(n=200, temperature=0.0, max_length=3))
    assert {(each.tokens, each.finished) for each in found} == {((B,), True)}
    (best,) = beam_search(step, state, images=1, options=BeamOptions(beam_width=2, n=1))
    assert (best[0].tokens, best[0].finished) == ((B,), True)


def test_a_keras_model_is_contrasted_alike_compiled_and_as_it_is():
    model = Recurrent(2)
    hidden, cell = model.state(6)
    state = ((hidden[:3], cell[:3]), (hidden[3:], cell[3:]))
    step = contrast(model, 0.7)
    options = BeamOptions(beam_width=3, max_length=6)
    compiled, plain = (beam_search(each, state, images=3, options=options) for each in (DeviceStep(step), step))
    assert [[each.tokens for each in beam] for beam in compiled] == [[each.tokens for each in beam] for beam in plain]
    own = beam_search(model, state[0], images=3, options=options)
    assert [beam[0].tokens for beam in own] != [beam[0].tokens for beam in plain]


@pytest.mark.parametrize("numbers", [(-0.1, 0.1), (float("nan"), 0.1), (float("inf"), 0.1), (1.0, 1.1), (1.0, -0.1)])
def test_numbers_out_of_range_are_one_line(numbers):
    with pytest.raises(InputError, match="the weight is 0 or more and plausible 0 to 1, not"):
        contrast(two_pictures(), *numbers)
