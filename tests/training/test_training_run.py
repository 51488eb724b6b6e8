"""How a training ends before its time, without one: a life of a few lines."""

import time

import pytest

from imgnn.errors import DivergedError, InputError, InterruptedRun
from imgnn.options import TrainCaptionOptions
from imgnn.runs import Silent
from imgnn.training import training_run
from imgnn.training.training_run import Position, TrainingRun


class Drawn:
    """A log that counts how often it is drawn."""

    def __init__(self) -> None:
        self.times = 0

    def draw(self) -> None:
        self.times += 1


class Life(TrainingRun):
    kind = "caption"
    smaller = "a smaller --batch"

    def __init__(self, folder, reporter=None, stop=lambda: False, **options):
        super().__init__(folder, reporter or Silent(), stop, time.monotonic())
        self.options, self.position, self.log = TrainCaptionOptions(**options), Position(step=2), Drawn()
        self.kept = []

    def epoch_number(self):
        return 4

    def at_once(self):
        return "7 sentences"

    def save(self):
        self.kept.append("checkpoint")

    def keep_best(self):
        self.kept.append("best")


def test_who_asks_for_it_finds_a_checkpoint_and_the_command_that_goes_on(tmp_path):
    life = Life(tmp_path, stop=lambda: True)
    with pytest.raises(InterruptedRun) as caught, life.ending_well():
        life.after_step()
    assert str(caught.value) == f"saved at step 2 of epoch 4, in {tmp_path}"
    assert caught.value.hint == f"imgnn train caption --resume {tmp_path}"
    assert (life.kept, life.log.times) == (["checkpoint"], 1)


def test_a_loss_that_is_no_number_is_told_with_the_step_that_made_it_so(tmp_path):
    life = Life(tmp_path)
    with pytest.raises(DivergedError) as caught, life.ending_well():
        raise DivergedError("the loss is gone", hint="--learning-rate 0.1")
    assert str(caught.value) == f"the loss is gone, at step 3 of epoch 4, in {tmp_path}"
    assert caught.value.hint == "--learning-rate 0.1"
    assert life.kept == ["best"]  # the checkpoint is older, and good


def test_what_a_training_has_to_say_for_itself_cannot_be_forgotten(tmp_path):
    class Forgetful(Life):
        save = TrainingRun.save

    with pytest.raises(TypeError, match="save"):
        Forgetful(tmp_path)


def test_too_little_memory_is_told_with_what_did_not_fit(tmp_path):
    with pytest.raises(InputError) as caught, Life(tmp_path).ending_well():
        raise MemoryError
    told = (str(caught.value), caught.value.hint)
    assert told == ("the memory does not suffice for 7 sentences at once", "a smaller --batch")


def test_a_programming_error_stays_one(tmp_path):
    life = Life(tmp_path)
    with pytest.raises(ZeroDivisionError), life.ending_well():
        raise ZeroDivisionError
    assert life.kept == []


@pytest.mark.parametrize(("waited", "patience", "ends"), [(4, 5, False), (5, 5, True), (9, None, False)])
def test_patience_ends_it_after_so_many_epochs(tmp_path, waited, patience, ends):
    notes = []
    reporter = Silent()
    reporter.note = notes.append
    life = Life(tmp_path, reporter, patience=patience)
    life.position.waited = waited
    assert life.has_waited("CIDEr-D", "training") is ends
    assert notes == (["No better CIDEr-D in 5 epochs: training ends"] if ends else [])


def test_it_is_saved_and_drawn_when_it_is_time_to(tmp_path, monkeypatch):
    life = Life(tmp_path, save_every=60.0)
    life.after_step()
    assert (life.kept, life.log.times) == ([], 0)
    life.saved -= 61
    life.drawn -= training_run.DRAW_EVERY + 1
    life.after_step()
    assert (life.kept, life.log.times) == (["checkpoint"], 1)
