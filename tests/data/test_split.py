from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgnn.data.split import split, whole_shares
from imgnn.errors import InputError

SHARES = (0.8, 0.1, 0.1)


def paths_of(count):
    return [f"{index}.jpg" for index in range(count)]


def counts(labels, parts):
    """Label -> pictures in each part."""
    return {
        label: [
            sum(each == label and part == number for each, part in zip(labels, parts, strict=True))
            for number in range(3)
        ]
        for label in set(labels)
    }


def test_each_class_is_cut_by_the_shares():
    labels = [0] * 100 + [1] * 20
    parts = split(paths_of(120), labels, range(120), SHARES)
    assert counts(labels, parts) == {0: [80, 10, 10], 1: [16, 2, 2]}


@pytest.mark.parametrize(
    ("count", "expected"),
    [(10, [8, 1, 1]), (5, [3, 1, 1]), (3, [1, 1, 1]), (2, [2, 0, 0]), (1, [1, 0, 0]), (15, [12, 2, 1]), (0, [0, 0, 0])],
)
def test_no_picture_is_lost_in_rounding_and_no_part_is_empty_without_need(count, expected):
    assert whole_shares(count, SHARES) == expected


@given(st.integers(0, 10_000), st.lists(st.floats(0.01, 1), min_size=2, max_size=3))
def test_shares_are_rounded_by_less_than_one(count, shares):
    exact = [count * share / sum(shares) for share in shares]
    found = whole_shares(count, shares)
    assert sum(found) == count
    raised = sum(1 for number in exact if number < 1)  # to 1, at the cost of the largest
    assert all(abs(number - share) < 1 + raised for number, share in zip(found, exact, strict=True))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=12, max_size=80), st.integers(0, 9))
def test_groups_stay_on_one_side_and_counts_stay_near(pictures, seed):
    labels = [label for label, _ in pictures]
    groups = [label * 100 + group for label, group in pictures]  # within a class
    try:
        parts = split(paths_of(len(pictures)), labels, groups, SHARES, seed=seed)
    except InputError:  # every class is one or two groups
        return
    sides = {}
    for group, part in zip(groups, parts, strict=True):
        assert sides.setdefault(group, part) == part
    for label, found in counts(labels, parts).items():
        sizes = Counter(group for group in groups if group // 100 == label).values()
        for number, share in zip(found, whole_shares(sum(sizes), SHARES), strict=True):
            assert abs(number - share) <= 2 * max(sizes)
        if len(sizes) >= 3:
            assert min(found) > 0


@given(st.lists(st.integers(0, 2), min_size=30, max_size=60), st.randoms())
def test_the_order_of_the_pictures_does_not_matter(labels, random):
    paths = paths_of(len(labels))
    groups = [index // 2 for index in range(len(labels))]
    once = dict(zip(paths, split(paths, labels, groups, SHARES), strict=True))
    order = list(range(len(labels)))
    random.shuffle(order)
    again = split([paths[i] for i in order], [labels[i] for i in order], [groups[i] for i in order], SHARES)
    assert dict(zip((paths[i] for i in order), again, strict=True)) == once


def test_another_seed_draws_others():
    labels = [0] * 100
    assert split(paths_of(100), labels, range(100), SHARES) != split(paths_of(100), labels, range(100), SHARES, seed=1)


def test_few_pictures_move_when_some_are_added():
    before = split(paths_of(1000), [0] * 1000, range(1000), SHARES)
    after = split(paths_of(1050), [0] * 1050, range(1050), SHARES)
    assert sum(one != other for one, other in zip(before, after, strict=False)) <= 30


def test_pictures_that_have_a_part_keep_it_and_draw_their_group_along():
    fixed = [2, None, None, 0] + [None] * 16
    groups = [0, 0, *range(1, 19)]
    parts = split(paths_of(20), [0] * 20, groups, SHARES, fixed=fixed)
    assert (parts[0], parts[1], parts[3]) == (2, 2, 0)
    assert Counter(parts) == {0: 16, 1: 2, 2: 2}


def test_a_part_without_pictures_is_refused():
    with pytest.raises(InputError, match="2 pictures cannot be split into 3 lists: val would have none"):
        split(["a", "b"], [0, 1], [0, 1], SHARES)
