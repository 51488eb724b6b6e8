import json
from pathlib import Path

import numpy as np
import pytest

from imgnn.training.schedule import END, START, Schedule

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "training.json").read_text(encoding="utf-8"))


def shares(schedule):
    return [schedule(step) for step in range(schedule.steps)]


@pytest.mark.parametrize("kind", ["one-cycle", "cosine", "step"])
def test_a_schedule_goes_as_that_of_torch(kind):
    expected = GOLDEN[kind]
    np.testing.assert_allclose(shares(Schedule(kind, len(expected), every=8)), expected, rtol=1e-9, atol=1e-12)


def test_a_constant_rate_is_constant():
    assert shares(Schedule("constant", 5)) == [1.0] * 5


def test_one_cycle_begins_low_is_highest_after_a_quarter_and_ends_lower():
    schedule = Schedule("one-cycle", 100)
    assert schedule(0) == pytest.approx(START)
    assert max(range(100), key=schedule) == 25
    assert schedule(25) == 1.0
    assert schedule(100) == pytest.approx(END)


@pytest.mark.parametrize("kind", ["constant", "step", "cosine"])
def test_a_warmup_rises_in_a_line_to_the_whole_rate(kind):
    schedule = Schedule(kind, 100, every=50, warmup=4)
    assert [schedule(step) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_after_a_warmup_the_cosine_still_ends_at_nothing():
    assert Schedule("cosine", 100, warmup=10)(100) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("kind", ["constant", "step", "cosine", "one-cycle"])
def test_a_training_of_no_or_one_step_has_a_rate(kind):
    for steps in (0, 1):
        assert 0 < Schedule(kind, steps)(0) <= 1


def test_steps_beyond_the_last_do_not_rise_again():
    assert Schedule("cosine", 10)(15) == 0
    assert Schedule("one-cycle", 10)(15) == END
