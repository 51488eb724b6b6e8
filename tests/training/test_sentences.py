"""Sentences in batches: each once, padded as little as can be, in an order that a restart meets again."""

import itertools
from collections import Counter

import numpy as np
import pytest

from imgnn.errors import InputError
from imgnn.language.vocabulary import END, START
from imgnn.training.sentences import Sentences, choose_lengths

TEXT = [[3, 4, 5], [3], [4, 5, 6, 7, 8], [6], [7, 3], [8, 8, 8, 8], [5, 4]]


def sentences(text=TEXT, longest=10, **options):
    return Sentences([100 + number for number in range(len(text))], text, longest=longest, **options)


def drawn(random, count=300):
    """Sentences of 1 to 12 words; the first word is the sentence's number."""
    return [[10 + number, *random.integers(3, 10, random.integers(0, 12))] for number in range(count)]


def unpacked(batches):
    """Row, tokens and targets of each sentence that weighs something."""
    found = []
    for batch in batches:
        for row, tokens, targets, weights in zip(batch.rows, batch.tokens, batch.targets, batch.weights, strict=True):
            size = int(weights.sum())
            assert weights.tolist() == [1.0] * size + [0.0] * (len(weights) - size)
            if size:
                found.append((int(row), tokens[:size].tolist(), targets[:size].tolist()))
    return found


def same(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("rows", "tokens", "targets"))


def test_a_sentence_is_read_from_start_and_ends_with_end():
    (batch,) = sentences([[3, 4, 5]]).all(2)
    assert batch.tokens[0].tolist() == [START, 3, 4, 5]
    assert batch.targets[0].tolist() == [3, 4, 5, END]
    assert batch.weights.tolist() == [[1, 1, 1, 1], [0, 0, 0, 0]]
    assert batch.rows[0] == 100
    assert [str(each.dtype) for each in (batch.tokens, batch.targets, batch.weights)] == ["int32", "int32", "float32"]


def test_a_sentence_that_is_cut_does_not_tell_of_an_end():
    found = {row: (tokens, targets) for row, tokens, targets in unpacked(sentences(longest=4).all(3))}
    assert found[102] == ([START, 4, 5, 6], [4, 5, 6, 7])  # five words
    assert found[105] == ([START, 8, 8, 8, 8], [8, 8, 8, 8, END])  # four
    assert sentences(longest=4).tokens == 4 + 2 + 4 + 2 + 3 + 5 + 3


@pytest.mark.parametrize("batch", [1, 2, 7, 64])
def test_an_epoch_has_every_sentence_once(batch, random):
    text = drawn(random)
    data = sentences(text)
    expected = Counter(
        (100 + n, tuple([*words, END] if len(words) <= 10 else words[:10])) for n, words in enumerate(text)
    )
    for batches in (data.epoch(batch=batch, seed=1, epoch=2), data.all(batch)):
        found = unpacked(batches)
        assert Counter((row, tuple(targets)) for row, _, targets in found) == expected
        assert all(tokens == [START, *targets[:-1]] for _, tokens, targets in found)
    assert len(list(data.epoch(batch=batch, seed=1, epoch=2))) == data.steps(batch)
    assert sum(float(each.weights.sum()) for each in data.all(batch)) == data.tokens


def test_batches_have_few_shapes(random):
    data = sentences(drawn(random))
    shapes = {each.tokens.shape for each in data.epoch(batch=16, seed=1, epoch=0)}
    assert len(data.lengths) == 6
    assert shapes == {(16, length) for length in data.lengths}


def test_what_fills_a_batch_weighs_nothing():
    data = sentences()
    for each in data.epoch(batch=4, seed=1, epoch=0):
        filled = each.weights.sum(axis=1) == 0
        assert (each.rows[filled] == 0).all()
        assert (each.weights[~filled, 0] == 1).all()
    assert sum(int((each.weights.sum(axis=1) > 0).sum()) for each in data.all(4)) == len(data) == 7


def test_sentences_chosen_by_hand_are_padded_to_the_longest_of_them():
    data = sentences(lengths=(2, 4, 6))
    batch = data.gather(np.array([1, 6, 0]), 4)
    assert batch.targets.tolist() == [[3, END, END, END], [5, 4, END, END], [3, 4, 5, END], [END] * 4]
    assert batch.weights.sum(axis=1).tolist() == [2, 3, 4, 0]
    assert batch.rows.tolist() == [101, 106, 100, 0]


@pytest.mark.parametrize("first", [0, 1, 5, 20, 10_000])
def test_an_epoch_goes_on_where_it_stopped(first, random):
    data = sentences(drawn(random))
    whole = list(data.epoch(batch=8, seed=3, epoch=4))
    rest = list(data.epoch(batch=8, seed=3, epoch=4, first=first))
    assert len(rest) == max(0, len(whole) - first)
    assert all(same(one, other) for one, other in zip(whole[first:], rest, strict=True))


def test_the_order_depends_on_seed_and_epoch_alone(random):
    text = drawn(random)

    def rows(seed, epoch):
        data = sentences(text)
        list(data.epoch(batch=8, seed=99, epoch=99))  # another one before
        return [row for row, _, _ in unpacked(data.epoch(batch=8, seed=seed, epoch=epoch))]

    assert rows(1, 1) == rows(1, 1)
    orders = [rows(seed, epoch) for seed, epoch in itertools.product((1, 2), (0, 1, 2))]
    for one, other in itertools.combinations(orders, 2):
        assert one != other


def test_lengths_are_mixed_in_an_epoch_and_rise_in_a_judgement(random):
    data = sentences(drawn(random))
    mixed = [each.tokens.shape[1] for each in data.epoch(batch=8, seed=1, epoch=0)]
    assert mixed != sorted(mixed)
    judged = [each.tokens.shape[1] for each in data.all(8)]
    assert judged == sorted(judged)


def test_no_sentence_is_an_error():
    with pytest.raises(InputError, match="there is no sentence to train on"):
        Sentences([], [], longest=5)


# Lengths


def padding(sizes, lengths):
    return sum(min(length for length in lengths if length >= size) - size for size in sizes)


@pytest.mark.parametrize("buckets", [1, 2, 3, 6])
@pytest.mark.parametrize("seed", range(8))
def test_no_other_lengths_leave_less_to_be_padded(seed, buckets):
    random = np.random.default_rng(seed)
    sizes = random.choice(random.integers(2, 30, random.integers(1, 9)), 40)
    chosen = choose_lengths(sizes, buckets)
    assert chosen == sorted(set(chosen))
    assert len(chosen) <= buckets
    there = sorted(set(sizes.tolist()))
    others = itertools.combinations(there, min(buckets, len(there)))
    assert padding(sizes, chosen) == min(padding(sizes, each) for each in others if each[-1] == there[-1])


def test_sentences_of_one_length_need_one():
    assert choose_lengths(np.array([5, 5, 5])) == [5]
    assert choose_lengths(np.array([2, 9])) == [2, 9]


def test_alone_a_batch_has_sentences_of_one_length_padded_to_few(random):
    data = sentences(drawn(random), longest=20, alone=True)
    assert len(data.lengths) < len(set(data.sizes.tolist()))  # several lengths share one shape
    batches = list(data.epoch(batch=8, seed=0, epoch=0))
    assert {batch.tokens.shape[1] for batch in batches} == set(data.lengths)
    assert all(len({int(size) for size in batch.weights.sum(axis=1) if size}) == 1 for batch in batches)
    counts = Counter(data.sizes.tolist())
    assert len(batches) == data.steps(8) == sum(-(-count // 8) for count in counts.values())
    assert sorted(row for row, *_ in unpacked(batches)) == sorted(data.rows.tolist())


def test_some_sentences_alone_make_an_epoch(random):
    data = sentences(drawn(random, 40))
    only = np.array([3, 7, 21])
    found = unpacked(data.epoch(batch=2, seed=0, epoch=4, only=only))
    assert sorted(row - 100 for row, *_ in found) == [3, 7, 21]
    assert data.steps(2, only) == len(list(data.epoch(batch=2, seed=0, epoch=4, only=only)))


def test_a_sentence_weighs_what_it_is_told_to():
    data = sentences([[3, 4], [5]], weights=[0.25, 2.0], lengths=(3,))
    (batch,) = data.all(2)
    weights = {int(row): each.tolist() for row, each in zip(batch.rows, batch.weights, strict=True)}
    assert weights == {100: [0.25] * 3, 101: [2.0, 2.0, 0.0]}
