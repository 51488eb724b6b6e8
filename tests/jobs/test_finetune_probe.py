"""A run in miniature, on coloured pictures and a network of four layers."""

import os
import signal

import numpy as np
import pytest

from imgnn.errors import InputError, InterruptedRun
from imgnn.jobs import finetune_probe, finetune_rate
from imgnn.jobs.finetune import finetune, prepare, read_pictures
from imgnn.jobs.finetune_layers import MOST, blocks_of, titles
from imgnn.jobs.finetune_probe import dry_run, rhythm, sample, together
from imgnn.jobs.finetune_rate import below_runaway, find_learning_rate
from imgnn.options import FinetuneOptions
from imgnn.runs import Silent
from imgnn.training.lr_find import LOWEST, STEPS, RateTest
from imgnn.training.run_log import read_log
from tests.training.painted import paint_classes, save_small

# The small network: conv1 with mean and variance of its batch normalisation, two branches, and fc2, which sees 5 x 5
# positions of 10 channels.
CONV1, MIX, FC2 = 3 * 3 * 3 * 8 + 8 + 2 * 8, (8 * 4 + 4) + (3 * 3 * 8 * 6 + 6), 5 * 5 * 10 * 16 + 16
HEAD = (10 + 16) * 3 + 3  # on the descriptors of the branches' output and of fc2
OWN = 16 * 3 + 3  # behind fc2


class Heard(Silent):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return save_small(tmp_path_factory.mktemp("network") / "small.keras")


@pytest.fixture(scope="module")
def painted(tmp_path_factory):
    """15, 10 and 5 pictures of three classes; 6 of them are to judge by."""
    return paint_classes(tmp_path_factory.mktemp("data") / "colours", {"red": 15, "green": 10, "blue": 5})


@pytest.fixture
def options(small):
    def make(**others):
        quick = {"network": small, "batch": 8, "head_epochs": 3, "precision": "float32", "report": False}
        return FinetuneOptions(**{**quick, **others})

    return make


@pytest.fixture
def plan(painted, options, tmp_path):
    def make(**others):
        return dry_run(painted, tmp_path / "run", options(**others))

    return make


def test_a_plan_counts_pictures_classes_and_steps(plan, tmp_path):
    found = plan()
    assert (found.train, found.val) == (24, 6)
    assert [(each.name, each.train, each.val) for each in found.classes] == [
        ("blue", 4, 1),
        ("green", 8, 2),
        ("red", 12, 3),
    ]
    (stage,) = found.stages
    assert (stage.name, stage.epochs, stage.cached) == ("head", 3, True)
    assert stage.steps == 2 * 24 // 8, "each picture and its mirror image"
    assert found.head == ("mix/output", "fc2")
    assert list(tmp_path.iterdir()) == []


def test_a_plan_counts_weights_and_bytes(plan):
    found = plan()
    assert found.parameters == CONV1 + MIX + FC2 + HEAD
    assert found.stages[0].parameters == HEAD
    assert found.memory.weights == 4 * found.parameters
    # Adam keeps two moments of each weight, and a few counters.
    assert 0 <= found.memory.optimizer - 2 * 4 * HEAD < 64
    # float32 descriptors of 24 pictures, each twice, and of 6 to judge by
    assert found.memory.kept == found.disk_features == (2 * 24 + 6) * (10 + 16) * 4
    assert found.memory.peak > found.memory.weights
    assert found.disk > 4 * found.parameters


def test_a_stage_on_pictures_keeps_frames_and_trains_everything(plan):
    found = plan(recipe="caffe", epochs=5)
    (stage,) = found.stages
    assert (stage.steps, stage.cached, found.disk_features) == (24 // 8, False, 0)
    assert stage.parameters == CONV1 - 2 * 8 + MIX + FC2 + OWN, "all but the statistics of the batch normalisation"
    assert found.memory.kept == (24 + 6) * 14 * 14 * 3, "Caffe crops out of 14 x 14 pixels"
    assert 0 <= found.memory.optimizer - 4 * stage.parameters < 64


def test_more_epochs_take_longer_in_proportion(plan, monkeypatch):
    clock = iter(range(1_000_000))
    monkeypatch.setattr(finetune_probe.time, "monotonic", lambda: float(next(clock)))  # each look at it is a second
    monkeypatch.setattr(finetune_probe, "BUDGET", 1e9)
    few, many = (plan(recipe="caffe", epochs=epochs).stages[0].seconds for epochs in (10, 20))
    more = plan(recipe="caffe", epochs=40).stages[0].seconds
    assert many > few
    assert more - many == pytest.approx(2 * (many - few))


def test_the_probe_tries_what_the_run_does(painted, options, plan, tmp_path):
    """Not how long it takes, which no test can know: the stages, steps and epochs are those of the run's log."""
    chosen = {"recipe": "one-cycle", "epochs": 2}
    planned = plan(**chosen)
    finetune(painted, tmp_path / "run", options(**chosen))
    rows = [row for row in read_log(tmp_path / "run" / "log.jsonl") if row["kind"] == "epoch"]
    assert [row["stage"] for row in rows] == [stage.name for stage in planned.stages for _ in range(stage.epochs)]
    assert rows[-1]["step"] == sum(stage.epochs * stage.steps for stage in planned.stages)


def test_svm_is_planned_as_solved_in_one_go(plan):
    (stage,) = plan(recipe="svm").stages
    assert (stage.name, stage.epochs, stage.steps, stage.parameters) == ("svm", 0, 0, HEAD)
    assert stage.seconds > 0


def test_features_that_do_not_fit_are_refused_as_the_run_does(plan):
    with pytest.raises(InputError, match="GB of memory are meant for them"):
        plan(memory=1e-9)


def test_a_sample_is_drawn_from_everywhere_and_repeats_what_is_too_little(painted, options):
    train, _ = read_pictures(painted, options(), Silent())
    assert len(set(sample(train, 10, 0).files)) == 10
    assert len(set(sample(train, 10, 0).labels)) > 1
    assert len(sample(train, 60, 0)) == 60
    assert set(sample(train, 60, 0).files) == set(train.files)


def test_the_first_of_several_steps_tells_what_comes_once():
    assert rhythm([0.0, 5.0, 6.0, 7.0, 8.0]) == (4.0, 1.0)
    assert rhythm([0.0, 2.0]) == (2.0, 0.0)


def test_on_a_processor_reading_and_computing_take_turns(monkeypatch):
    monkeypatch.setattr(finetune_probe.backend, "device", lambda: "cpu")
    assert together(2.0, 3.0) == 5.0
    monkeypatch.setattr(finetune_probe.backend, "device", lambda: "gpu")
    assert together(2.0, 3.0) == 3.0


def test_ctrl_c_ends_a_dry_run_and_leaves_nothing(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(finetune_probe.tempfile, "tempdir", str(tmp_path))
    rhythm = finetune_probe.rhythm

    def pressed(times):
        os.kill(os.getpid(), signal.SIGINT)
        return rhythm(times)

    monkeypatch.setattr(finetune_probe, "rhythm", pressed)
    with pytest.raises(InterruptedRun, match="nothing was written"):
        plan()
    assert list(tmp_path.iterdir()) == []


# The learning rate


def test_the_rate_that_is_found_lies_where_the_loss_falls(painted, options, tmp_path):
    path = tmp_path / "rates.png"
    found = find_learning_rate(painted, path, options())
    lowest = found.rates[int(np.argmin(found.losses))]
    assert found.chosen is not None
    assert LOWEST < found.chosen < lowest
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [file.name for file in tmp_path.iterdir()] == ["rates.png"]


def test_of_several_stages_the_last_is_tested_after_the_others(painted, options, tmp_path):
    heard = Heard()
    found = find_learning_rate(painted, tmp_path / "rates.png", options(recipe="gradual", head_epochs=40), heard)
    assert "Raising the learning rate of the stage top 3 of 3" in heard.notes
    assert found.losses[0] < 0.8 * np.log(3), "the head knows the classes already"


@pytest.mark.parametrize("task", ["features", "head", "trying learning rates"])
def test_ctrl_c_ends_a_learning_rate_test_and_leaves_nothing(task, painted, options, tmp_path, monkeypatch):
    monkeypatch.setattr(finetune_rate.tempfile, "tempdir", str(tmp_path))

    class Pressing(Heard):
        def begin(self, name, total, unit=""):
            if name == task:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(InterruptedRun, match="nothing was written"):
        find_learning_rate(painted, tmp_path / "rates.png", options(recipe="one-cycle"), Pressing())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_and_a_training_picture_are_not_drawn_over(painted, options, tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        find_learning_rate(painted, tmp_path, options())
    with pytest.raises(InputError, match="would be replaced"):
        find_learning_rate(painted, painted / "red" / "0.png", options())


def test_where_the_loss_only_rises_a_tenth_of_the_last_good_rate_is_taken():
    assert below_runaway(RateTest((0.01, 0.1, 1.0, 2.0), (0.5, 0.5, 0.6, 9.0), None)) == 0.1
    assert below_runaway(RateTest(tuple(range(STEPS)), (0.5,) * STEPS, None)) is None
    assert below_runaway(RateTest((), (), None)) is None


# The layers, in blocks


def blocks(painted, options):
    train, val = read_pictures(painted, options, Silent())
    setup = prepare(train, val, options, Silent())
    found = blocks_of(setup)
    return dict(zip(titles(found), found, strict=True))


def test_layers_of_one_state_are_one_block(painted, options):
    found = blocks(painted, options())
    assert list(found) == ["conv1 ... fc2", "fc3"]
    trunk, head = found.values()
    assert (trunk.loaded, trunk.rates, trunk.parameters) == (True, (None,), CONV1 + MIX + FC2)
    assert (head.loaded, head.rates, head.parameters) == (False, ((1.0, 1.0),), HEAD)


def test_blocks_are_divided_where_training_is(painted, options):
    found = blocks(painted, options(recipe="caffe", freeze="mix/output", rates=(("fc2", 0.5),)))
    assert {name: block.rates for name, block in found.items()} == {
        "conv1 ... mix/*": (None,),
        "fc2": ((0.5, 0.5),),
        "fc3": ((10.0, 10.0),),
    }


def test_a_module_that_is_divided_is_named_by_its_layers(painted, options):
    found = blocks(painted, options(recipe="caffe", rates=(("mix/3x3", 2.0),)))
    assert list(found) == ["conv1", "mix/*", "fc2", "fc3"]
    assert found["mix/*"].rates == ((1.0, 2.0),)
    found = blocks(painted, options(recipe="caffe", freeze="mix/1x1"))
    assert next(iter(found)) == "conv1 ... mix/1x1"


def test_a_batch_normalisation_belongs_to_the_layer_before_it(painted, options):
    found = blocks(painted, options(recipe="one-cycle"))
    assert found["conv1"].layers == ("conv1",)
    assert found["conv1"].parameters == CONV1


@pytest.mark.parametrize(
    ("network", "pattern"), [("googlenet", "*3x3"), ("googlenet", "inception_*a/*"), ("resnet-50", "*branch2b")]
)
def test_a_deep_network_fits_on_a_screen(painted, options, network, pattern):
    found = blocks(painted, options(network=network, from_scratch=True, rates=((pattern, 2.0),)))
    assert len(found) <= MOST
    rates = [rate for block in found.values() for rate in block.rates[0]]
    assert (min(rates), max(rates)) == (1.0, 2.0)
