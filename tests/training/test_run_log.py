"""The log of a run: every line a JSON object, and nothing after the checkpoint that a resumed run begins with."""

import csv
import json
import math
import shutil

import pytest

from imgnn.training.run_log import COLUMNS, RunLog, read_log


def rows_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def folder(tmp_path):
    """The log of two epochs of two steps."""
    log = RunLog(tmp_path)
    for epoch in (1, 2):
        for step in (2 * epoch - 1, 2 * epoch):
            log.add("step", step=step, epoch=epoch, stage="head", loss=1 / step, accuracy=0.5, learning_rate=0.1)
        log.add(
            "epoch", epoch=epoch, stage="head", step=2 * epoch, loss=1 / epoch, accuracy=0.5, val_loss=2 / epoch,
            val_accuracy=0.25, learning_rate=0.1, images_per_second=9.0, seconds=3.0,
        )  # fmt: skip
    return tmp_path


def test_every_line_is_a_json_object_with_its_kind(folder):
    rows = rows_of(folder)
    assert [row["kind"] for row in rows] == ["step", "step", "epoch", "step", "step", "epoch"]
    first = rows[0].copy()
    assert first.pop("time") > 1.7e9
    assert first == {
        "kind": "step", "step": 1, "epoch": 1, "stage": "head", "loss": 1.0, "accuracy": 0.5, "learning_rate": 0.1
    }  # fmt: skip


def test_a_log_that_is_read_again_is_the_same(folder):
    log = RunLog(folder, step=4, epochs=2)
    assert log.rows == read_log(folder / "log.jsonl") == rows_of(folder)


def test_what_came_after_the_checkpoint_is_cut_on_resume(folder):
    RunLog(folder, step=3, epochs=1)
    assert [(row["kind"], row["step"]) for row in rows_of(folder)] == [
        ("step", 1), ("step", 2), ("epoch", 2), ("step", 3)
    ]  # fmt: skip


def test_an_epoch_that_ended_at_the_checkpoints_step_but_was_not_done_is_cut(folder):
    # The steps of epoch 2 were saved, its validation was not.
    RunLog(folder, step=4, epochs=1)
    assert [row["kind"] for row in rows_of(folder)] == ["step", "step", "epoch", "step", "step"]


def test_a_run_without_a_checkpoint_begins_its_log_anew(folder):
    assert RunLog(folder).rows == []
    assert (folder / "log.jsonl").read_text(encoding="utf-8") == ""


@pytest.mark.parametrize("cut", [1, 2, 30])
def test_a_last_line_that_was_cut_by_a_kill_is_left_out(folder, cut):
    path = folder / "log.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    kept = 6 if cut == 1 else 5  # without its line's end it is whole
    log = RunLog(folder, step=4, epochs=2)
    assert len(log.rows) == kept
    log.add("step", step=5, epoch=3, stage="head", loss=0.1)
    assert len(rows_of(folder)) == kept + 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_null(tmp_path, value):
    log = RunLog(tmp_path)
    log.add("epoch", epoch=1, stage="svm", step=0, loss=value, accuracy=0.5)
    # JSON knows neither NaN nor Infinity: RFC 8259, section 6.
    (line,) = (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line, parse_constant=pytest.fail)["loss"] is None


def test_the_table_has_a_row_for_each_epoch(folder):
    RunLog(folder, step=4, epochs=2).draw()
    with (folder / "log.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["epoch"], row["stage"], row["val_loss"]) for row in rows] == [
        ("1", "head", "2.0"),
        ("2", "head", "1.0"),
    ]


def test_the_table_is_the_same_after_the_log_was_read_again(tmp_path):
    log = RunLog(tmp_path)
    log.add("epoch", epoch=1, stage="svm", step=0, loss=math.nan, accuracy=0.5, learning_rate=0.0)
    log.draw()
    before = (tmp_path / "log.csv").read_text(encoding="utf-8")
    RunLog(tmp_path, step=0, epochs=1).draw()
    assert (tmp_path / "log.csv").read_text(encoding="utf-8") == before
    assert before.splitlines()[1] == "1,svm,0,,0.5,,,0.0,,"


def test_what_is_drawn_lies_beside_the_log(folder):
    RunLog(folder, step=4, epochs=2).draw()
    names = {path.name for path in folder.iterdir()}
    assert names == {"log.jsonl", "log.csv", "curves.png", "events"}


def test_a_run_without_a_whole_epoch_has_no_curves(tmp_path):
    log = RunLog(tmp_path)
    log.add("step", step=1, epoch=1, stage="head", loss=1.0)
    log.draw()
    assert not (tmp_path / "curves.png").exists()
    assert (tmp_path / "log.csv").read_text(encoding="utf-8") == ",".join(COLUMNS) + "\n"


def losses_of(folder):
    """`[(step, loss)]` of the epochs, as TensorBoard reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "events"))
    events.Reload()
    return [(each.step, each.value) for each in events.Scalars("train/loss")]


def test_events_grow_by_the_lines_that_came_since_they_were_drawn(folder):
    log = RunLog(folder, step=4, epochs=2)
    log.draw()
    (file,) = (folder / "events").iterdir()
    before = file.read_bytes()
    log.add("epoch", epoch=3, stage="head", step=6, loss=0.25)
    log.draw()
    log.draw()
    assert file.read_bytes().startswith(before)
    assert losses_of(folder) == [(2, 1.0), (4, 0.5), (6, 0.25)]


def test_events_after_the_checkpoint_are_gone_after_a_resume(folder):
    RunLog(folder, step=4, epochs=2).draw()
    log = RunLog(folder, step=2, epochs=1)
    log.draw()
    log.add("epoch", epoch=2, stage="head", step=4, loss=0.75)
    log.draw()
    assert losses_of(folder) == [(2, 1.0), (4, 0.75)]


def test_events_that_somebody_removed_are_written_again(folder):
    log = RunLog(folder, step=4, epochs=2)
    log.draw()
    shutil.rmtree(folder / "events")
    log.draw()
    assert losses_of(folder) == [(2, 1.0), (4, 0.5)]
