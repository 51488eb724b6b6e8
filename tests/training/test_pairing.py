"""Which boke are learnt, and how little they can cost: against counting by hand, and against a brute search."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize

from imgnn.training.pairing import average_loss_floor, batches_of, choose, draw, entropy_floor, star_weights

ROWS = [0, 0, 0, 1, 2, 2]
STARS = [3, 10, None, None, 0, 7]


def floor(pictures, texts, weights=None, often=None, batch=4):
    ones = np.ones(len(texts))
    return entropy_floor(
        pictures,
        texts,
        ones if weights is None else np.array(weights),
        ones if often is None else np.array(often),
        batches_of(np.array([len(text) for text in texts]), [np.arange(len(texts))], batch),
    )


def test_many_takes_every_boke_and_so_do_stars_and_sampled():
    for pairing in ("many", "stars", "sampled"):
        assert choose(ROWS, STARS, pairing, 0).tolist() == [0, 1, 2, 3, 4, 5]


def test_best_takes_the_boke_with_the_most_stars_and_the_first_of_equals():
    assert choose(ROWS, STARS, "best", 0).tolist() == [1, 3, 5]
    assert choose([0, 0], [None, 0], "best", 0).tolist() == [1]  # unknown is less than none
    assert choose([0, 0], [5, 5], "best", 0).tolist() == [0]


def test_one_takes_one_boke_of_each_picture_by_the_seed():
    chosen = choose(ROWS, STARS, "one", 3)
    assert [ROWS[number] for number in chosen] == [0, 1, 2]
    assert chosen.tolist() == choose(ROWS, STARS, "one", 3).tolist()
    assert len({tuple(choose(ROWS, STARS, "one", seed).tolist()) for seed in range(40)}) == 6  # 3 * 1 * 2 ways


def test_each_epoch_draws_anew_and_every_boke_as_often():
    drawn = np.array([draw(ROWS, 0, epoch) for epoch in range(3000)])
    assert np.array(ROWS)[drawn].tolist() == [[0, 1, 2]] * 3000
    share = np.bincount(drawn.ravel(), minlength=6) / 3000
    np.testing.assert_allclose(share, [1 / 3, 1 / 3, 1 / 3, 1, 1 / 2, 1 / 2], atol=0.04)


def test_stars_weigh_by_their_logarithm_and_one_on_average():
    weights = star_weights([0, 2, 98, None])
    np.testing.assert_allclose(weights / weights[0], [1, 2, math.log2(100), 1])
    assert weights.mean() == pytest.approx(1)


def test_one_boke_to_a_picture_can_be_learnt_to_nothing():
    assert floor([0, 1, 2], [[5, 1], [6, 1], [5, 1]]).per_token == 0


def test_ten_boke_to_a_picture_cost_the_logarithm_of_ten_each():
    texts = [[3 + number, 7, 7, 1] for number in range(10)]
    found = floor([0] * 10, texts)
    assert found.per_token == pytest.approx(math.log(10) / 4)
    assert found.first_token == pytest.approx(math.log(10))


def test_what_texts_begin_with_alike_costs_nothing_at_first():
    found = floor([0] * 4, [[3, 4, 1], [3, 5, 1], [3, 6, 1], [8, 1]])
    assert found.first_token == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert found.per_token == pytest.approx(4 * math.log(4) / 11)


def test_equal_texts_of_a_picture_are_one():
    assert floor([0, 0, 1], [[3, 1], [3, 1], [4, 1]]).per_token == 0
    assert floor([0, 0, 0], [[3, 1], [3, 1], [4, 1]]).per_token == pytest.approx(
        (2 * math.log(3 / 2) + math.log(3)) / 6
    )


def test_no_answer_to_a_picture_costs_less_than_the_floor(random):
    """The least of the weighted loss over all distributions, looked for by SciPy."""
    texts, weights = [[3, 1], [4, 5, 1], [6, 1]], [0.5, 2.0, 1.2]
    tokens = sum(weight * len(text) for weight, text in zip(weights, texts, strict=True))

    def cost(logits):
        return -np.dot(weights, logits - np.logaddexp.reduce(logits)) / tokens

    found = minimize(cost, random.normal(size=3), method="BFGS")
    assert floor([0, 0, 0], texts, weights).per_token == pytest.approx(found.fun, abs=1e-6)


def test_boke_that_are_drawn_anew_cost_as_much_as_all_of_them_and_every_picture_alike():
    texts = [[3, 1], [4, 1], [5, 1], [6, 1]]
    found = floor([0, 0, 0, 1], texts, often=[1 / 3, 1 / 3, 1 / 3, 1.0])
    assert found.per_token == pytest.approx(math.log(3) / 4)  # two texts in an epoch, of two tokens each


def seeds_loss(costs, lengths, batch, random):
    """What butsugiri/bokete writes: batches of one length each; what their texts cost on average, by all texts."""
    total = 0.0
    for length in set(lengths):
        members = random.permutation(np.flatnonzero(lengths == length))
        for start in range(0, len(members), batch):
            total += costs[members[start : start + batch]].mean()
    return total / len(costs)


def test_the_floor_of_the_average_loss_is_what_the_best_decoder_gets_there(random):
    """Pictures of 1 to 5 texts, of which the best decoder knows the shares; over many ways to make batches."""
    pictures = np.repeat(np.arange(30), random.integers(1, 6, 30))
    texts = [[10 + number, *[7] * random.integers(0, 3), 1] for number in range(len(pictures))]
    lengths = np.array([len(text) for text in texts])
    shares = np.ceil(np.bincount(lengths) / 4)[lengths] / np.bincount(lengths)[lengths]  # batches that a text counts as
    costs = np.log(np.bincount(pictures, weights=shares)[pictures] / shares)
    mean = np.mean([seeds_loss(costs, lengths, 4, random) for _ in range(400)])
    ones, batches = np.ones(len(texts)), batches_of(lengths, [np.arange(len(texts))], 4)
    found = average_loss_floor(pictures.tolist(), texts, ones, ones, batches)
    assert found == pytest.approx(mean, rel=0.02)


def test_batches_of_boke_that_are_drawn_anew_are_counted_as_they_come():
    """A length that is rare is in few epochs: of three texts of 5 tokens one comes in each third epoch or so."""
    lengths = np.array([2, 2, 5, 2, 2, 2])
    assert batches_of(lengths, [np.arange(6)], 2).tolist() == [0, 0, 3, 0, 0, 1]
    assert batches_of(lengths, [np.array([0, 3]), np.array([1, 3, 4]), np.array([2, 3])], 2).tolist() == [
        0, 0, pytest.approx((1 + 2 + 1) / 3), 0, 0, pytest.approx(1 / 3),
    ]  # fmt: skip


def test_the_floor_of_boke_that_are_drawn_anew_is_what_the_best_decoder_gets_on_average(random):
    """As above, with one text of each picture in an epoch: most lengths do not come in every one."""
    pictures = np.repeat(np.arange(12), random.integers(2, 6, 12))
    texts = [[10 + number, *[7] * random.integers(0, 9), 1] for number in range(len(pictures))]
    lengths, often = np.array([len(text) for text in texts]), 1 / np.bincount(pictures)[pictures]
    epochs = [draw(pictures.tolist(), 0, epoch) for epoch in range(3000)]
    shares = np.zeros(len(texts))  # batches that a text counts as, on average
    for epoch in epochs:
        counts = np.bincount(lengths[epoch], minlength=lengths.max() + 1)
        shares[epoch] += (np.ceil(counts / 4) / np.maximum(counts, 1))[lengths[epoch]] / len(epochs)
    costs = np.log(np.bincount(pictures, weights=shares)[pictures] / shares)
    mean = np.mean([seeds_loss(costs[epoch], lengths[epoch], 4, random) for epoch in epochs])
    found = average_loss_floor(pictures.tolist(), texts, often, often, batches_of(lengths, epochs, 4))
    assert found == pytest.approx(mean, rel=0.02)
