"""What decoders find sentences to cost, beside the formulas in NumPy."""

import math

import numpy as np
import pytest

from imgnn.errors import InputError
from imgnn.language.vocabulary import END, START
from imgnn.training.likelihood import Likelihood, other_pictures
from imgnn.training.sentences import Sentences
from tests.language.decoders import drawn, log_softmax, logits

ROWS, SENTENCES = [0, 0, 1, 2], [[3], [4, 5, 6], [5, 3], [6, 6, 3, 4]]
SENTENCES_OF_THREE = Sentences(ROWS, SENTENCES, longest=10)


def cost(decoders, shares, features):
    """Nats per token of all sentences, one after the other; `features[decoder][picture]`."""
    nats, count = 0.0, 0
    for row, words in zip(ROWS, SENTENCES, strict=True):
        targets = [*words, END]
        prob = 0.0
        for decoder, share, each in zip(decoders, shares, features, strict=True):
            said = logits(decoder.spec, decoder.weights(), each[[row]], [[START, *words]])[0]
            prob = prob + share * np.exp(log_softmax(said)[range(len(targets)), targets])
        nats -= np.log(prob).sum()
        count += len(targets)
    return nats / count


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_nats_per_token_are_those_of_the_formulas(random, batch):
    decoder, features = drawn(1), random.normal(0, 1, (3, 3)).astype("float16")
    found = Likelihood([decoder]).nats_per_token([features], SENTENCES_OF_THREE, batch=batch)
    assert found == pytest.approx(cost([decoder], [1.0], [features]), rel=1e-5)


def test_several_decoders_give_the_mean_of_their_probabilities(random):
    decoders = [drawn(1), drawn(2, feature=5, hidden=6)]
    features = [random.normal(0, 1, (3, numbers)).astype("float16") for numbers in (3, 5)]
    found = Likelihood(decoders, (3, 1)).nats_per_token(features, SENTENCES_OF_THREE)
    assert found == pytest.approx(cost(decoders, [0.75, 0.25], features), rel=1e-5)


def test_sentences_may_be_shown_other_pictures(random):
    decoder, features = drawn(1), random.normal(0, 1, (3, 3)).astype("float16")
    found = Likelihood([decoder]).nats_per_token([features], SENTENCES_OF_THREE, np.array([2, 0, 1]))
    assert found == pytest.approx(cost([decoder], [1.0], [features[[2, 0, 1]]]), rel=1e-5)


def test_a_decoder_that_knows_nothing_costs_the_logarithm_of_its_words(random):
    decoder = drawn(size=0.0)
    found = Likelihood([decoder]).nats_per_token([random.normal(0, 1, (3, 3))], SENTENCES_OF_THREE)
    assert found == pytest.approx(math.log(7), rel=1e-6)


def test_weights_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="1 weights for 2 models"):
        Likelihood([drawn(1), drawn(2)], [1.0])
    with pytest.raises(InputError, match="above 0, not 1, -1"):
        Likelihood([drawn(1), drawn(2)], [1.0, -1.0])


@pytest.mark.parametrize("count", [2, 3, 10, 11])
def test_every_picture_is_replaced_by_another(count):
    others = other_pictures(count)
    assert sorted(others) == [*range(count)]
    assert (others != np.arange(count)).all()
    assert (others == other_pictures(count)).all()


def test_a_single_picture_stays_its_own():
    assert other_pictures(1).tolist() == [0]


def test_pictures_sorted_by_class_are_shown_one_of_their_class_as_often_as_there_are():
    # Ten classes of a hundred: of 999 others 99 are of the same class. Half of all away there was none.
    classes = np.repeat(np.arange(10), 100)
    assert (classes[other_pictures(1000)] == classes).mean() == pytest.approx(99 / 999, abs=0.03)
