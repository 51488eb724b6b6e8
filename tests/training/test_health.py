import math

import numpy as np
import pytest

from imgnn.training.health import LOOK, check_fall, check_logits, check_pixels, check_start


def test_pixels_around_0_are_well(random):
    assert check_pixels(random.normal(5, 60, (4, 8, 8, 3))) == []


@pytest.mark.parametrize("mean", [500.0, -120.0])
def test_pixels_far_from_0_tell_of_a_wrong_mean(random, mean):
    (warning,) = check_pixels(random.normal(mean, 60, (4, 8, 8, 3)))
    assert "far from 0" in warning
    assert f"{mean:.0f}"[:2] in warning


def test_pixels_that_are_all_the_same_are_told():
    assert "the same" in check_pixels(np.full((4, 8, 8, 3), 7.0))[0]


def test_a_head_that_knows_nothing_begins_with_ln_c():
    for classes in (2, 10, 1000):
        assert check_start(math.log(classes), classes) == []


@pytest.mark.parametrize("loss", [30.0, 0.01])
def test_another_first_loss_is_told_with_the_one_expected(loss):
    (warning,) = check_start(loss, 20)
    assert f"the first loss is {loss:.2f}" in warning
    assert "ln 20 = 3.00" in warning


def test_a_first_loss_that_is_no_number_is_told():
    assert check_start(math.nan, 20) == ["the first loss is no number"]


def test_a_head_that_says_the_same_of_every_picture_is_told(random):
    logits = random.normal(0, 1, (6, 3))
    assert check_logits(logits) == []
    assert "the same for every picture" in check_logits(np.repeat(logits[:1], 6, axis=0))[0]
    assert check_logits(logits[:1]) == []  # of one picture nobody knows


def test_a_loss_that_falls_is_well():
    assert check_fall(list(np.linspace(3.0, 2.0, LOOK)), 20) == []


def test_before_enough_steps_nothing_is_said():
    assert check_fall(list(np.linspace(2.0, 9.0, LOOK - 1)), 20) == []


@pytest.mark.parametrize(("end", "advice"), [(3.1, "different"), (9.0, "smaller")])
def test_a_loss_that_rises_is_told(end, advice):
    (warning,) = check_fall(list(np.linspace(3.0, end, LOOK)), 20)
    assert f"Try a {advice} --learning-rate" in warning


def test_a_loss_that_is_low_already_may_wander():
    assert check_fall([0.01, 0.02] * (LOOK // 2 - 1) + [0.03, 0.03], 20) == []
