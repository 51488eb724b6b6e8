"""What each recipe trains, how fast, and what the user may change of it."""

import itertools
import math

import pytest

from imgnn.errors import UnknownNameError
from imgnn.networks.files import load_network_file, save_network
from imgnn.options import FinetuneOptions
from imgnn.training.recipes import WARMUP, plan
from imgnn.training.trainer import divide
from tests.training.small import with_head

TRUNK = ("conv1", "mix__1x1", "mix__3x3", "fc2")


def stages_of(recipe, network=None, **options):
    return plan(network or with_head(), FinetuneOptions(recipe=recipe, **options))


def described():
    """A head on descriptors of everything below the classifier."""
    return with_head(on=("mix/output", "fc2"))


def paces_of(stage, network):
    return {path: (pace.rate, pace.decay) for path, pace in stage.paces(divide(network, stage.trained).trained).items()}


# The recipes


def test_head_trains_the_classifier_alone_on_cached_features():
    (stage,) = stages_of("head")
    assert stage.trained == ("fc3",)
    assert stage.cached
    assert stage.epochs == FinetuneOptions.head_epochs
    assert (stage.optimizer, stage.schedule, stage.crop) == ("adam", "cosine", "none")


def test_on_descriptors_of_length_1_the_head_learns_faster():
    (plain,), (unit,) = stages_of("head"), stages_of("head", described())
    assert (plain.learning_rate, unit.learning_rate) == (0.001, 0.03)


def test_svm_is_solved_and_not_trained():
    (stage,) = stages_of("svm", described())
    assert (stage.name, stage.epochs, stage.trained, stage.cached) == ("svm", 0, ("fc3",), True)


def test_caffe_trains_as_finetune_flickr_style_does():
    # models/finetune_flickr_style: base_lr 0.001, times 0.1 at a fifth of the steps (stepsize 20000 of 100000),
    # momentum 0.9, weight_decay 0.0005; lr_mult 1 and 2, of fc8_flickr 10 and 20; decay_mult 1 and 0.
    network = with_head()
    (stage,) = stages_of("caffe", network)
    assert (stage.learning_rate, stage.weight_decay, stage.coupled) == (0.001, 0.0005, True)
    assert (stage.optimizer, stage.crop, stage.cached) == ("sgd", "caffe", False)
    schedule = stage.schedule_of(100_000)
    assert (schedule.kind, schedule.every, schedule.gamma) == ("step", 20_000, 0.1)
    paces = paces_of(stage, network)
    for layer in TRUNK:
        assert paces[f"{layer}/kernel"] == (1, 1)
        assert paces[f"{layer}/bias"] == (2, 0)
    assert (paces["fc3/kernel"], paces["fc3/bias"]) == ((10, 1), (20, 0))


def test_one_cycle_trains_the_head_first_and_the_lowest_layers_slowest():
    first, second = stages_of("one-cycle")
    assert (first.name, first.trained) == ("head", ("fc3",))
    assert (second.trained, second.schedule) == ((*TRUNK, "fc3"), "one-cycle")
    rates = [second.rates.get(name, 1.0) for name in second.trained]
    assert rates == sorted(rates)
    assert rates[0] == pytest.approx(1 / 100)
    assert rates[-1] == 1
    factors = [above / below for below, above in itertools.pairwise(rates)]
    assert factors == [pytest.approx(factors[0])] * 4  # evenly


def test_gradual_unfreezes_group_by_group_from_the_top():
    stages = stages_of("gradual")
    assert [stage.name for stage in stages] == ["head", "top 1 of 3", "top 2 of 3", "top 3 of 3"]
    assert [stage.trained for stage in stages] == [
        ("fc3",), ("mix__3x3", "fc2", "fc3"), (*TRUNK, "fc3"), (*TRUNK, "fc3")
    ]  # fmt: skip
    assert [stage.cached for stage in stages] == [True, False, False, False]
    assert stages[2].rates == pytest.approx(
        {"fc2": 1 / 2.6, "mix__3x3": 1 / 2.6, "mix__1x1": 1 / 2.6**2, "conv1": 1 / 2.6**2}
    )


def test_from_scratch_trains_everything_at_one_rate():
    network = with_head()
    (stage,) = stages_of("head", network, from_scratch=True)
    assert stage.trained is None
    assert not stage.cached
    assert {rate for path, (rate, _) in paces_of(stage, network).items() if path.endswith("kernel")} == {1}


def test_batch_normalisation_is_no_layer_that_is_trained():
    for recipe in ("caffe", "one-cycle", "gradual"):
        for stage in stages_of(recipe):
            assert "bn1" not in stage.trained


@pytest.mark.parametrize("recipe", ["caffe", "one-cycle", "gradual"])
def test_a_network_that_was_trained_and_saved_has_the_same_stages(tmp_path, recipe):
    # Training marks layers that stay as not trainable, and Keras keeps that in the file.
    network = with_head()
    before = stages_of(recipe, network)
    divide(network, ("fc3",))
    save_network(network, tmp_path / "best.keras")
    assert stages_of(recipe, load_network_file(tmp_path / "best.keras")) == before


# What the user says


def test_what_is_frozen_and_what_lies_below_is_not_trained():
    for recipe in ("caffe", "one-cycle"):
        assert stages_of(recipe, freeze="conv1")[-1].trained == ("mix__1x1", "mix__3x3", "fc2", "fc3")
        assert stages_of(recipe, freeze="mix/output")[-1].trained == ("fc2", "fc3")
    assert stages_of("caffe", freeze="mix/3x3@raw")[0].trained == ("fc2", "fc3")
    assert stages_of("caffe", freeze="data")[0].trained == (*TRUNK, "fc3")
    assert stages_of("gradual", freeze="fc2")[-1].trained == ("fc3",)


def test_a_layer_that_is_not_there_cannot_be_frozen():
    with pytest.raises(UnknownNameError, match="no layer is called 'mix/outptu'; did you mean 'mix/output'"):
        stages_of("caffe", freeze="mix/outptu")


def test_patterns_of_caffes_names_change_the_rates_that_a_recipe_gives():
    network = with_head()
    (stage,) = stages_of("caffe", network, rates=(("mix/*", 0.5), ("fc3", 2.0), ("mix/3x3", 0.0)))
    paces = paces_of(stage, network)
    assert {path: rate for path, (rate, _) in paces.items()} == {
        "conv1/kernel": 1, "conv1/bias": 2, "mix__1x1/kernel": 0.5, "mix__1x1/bias": 1, "mix__3x3/kernel": 0,
        "mix__3x3/bias": 0, "fc2/kernel": 1, "fc2/bias": 2, "fc3/kernel": 20, "fc3/bias": 40,
    }  # fmt: skip


def test_numbers_of_the_user_take_the_place_of_the_last_stages():
    said = {
        "epochs": 3, "learning_rate": 0.5, "schedule": "constant", "optimizer": "adam", "weight_decay": 0.25,
        "crop": "none",
    }  # fmt: skip
    first, second = stages_of("one-cycle", head_epochs=7, **said)
    assert {name: getattr(second, name) for name in said} == said
    assert (first.epochs, first.learning_rate, first.weight_decay) == (7, 0.001, 1e-4)


def test_zero_is_a_number_too():
    (stage,) = stages_of("caffe", weight_decay=0.0, epochs=0)
    assert (stage.weight_decay, stage.epochs) == (0.0, 0)


def test_cached_features_are_of_the_middle_of_pictures_whatever_the_crop():
    assert stages_of("head", crop="random")[0].crop == "none"


# The schedule


def test_a_trained_trunk_is_warmed_up_and_a_head_alone_is_not():
    head, whole = stages_of("one-cycle", schedule="constant")
    assert head.schedule_of(1000).warmup == 0
    assert whole.schedule_of(1000).warmup == math.ceil(WARMUP * 1000)
    assert whole.schedule_of(1000)(0) < 0.1


def test_a_stage_of_few_steps_still_has_a_schedule():
    for steps in (1, 2, 7):
        schedule = stages_of("caffe")[0].schedule_of(steps)
        assert 0 < schedule(steps - 1) <= 1
