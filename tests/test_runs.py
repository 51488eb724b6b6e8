import errno
import json
import os

import pytest

from imgnn.errors import InputError, WeightsError
from imgnn.runs import Held, Logged, Silent, check_folder, check_version, duration, lock, write_aside, write_json


def test_a_file_written_aside_appears_whole(tmp_path):
    path = tmp_path / "out.txt"
    with write_aside(path) as aside:
        assert aside.suffix == ".txt"
        aside.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert [each.name for each in tmp_path.iterdir()] == ["out.txt"]


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(ValueError, match="half way"), write_aside(path) as aside:
        aside.write_text("ne")
        raise ValueError("half way")
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["out.txt"]


def test_of_hdf5_only_what_the_system_said_is_told(tmp_path):
    path = tmp_path / "out.keras"
    words = "Can't write data (file write failed: errno = 28, error message = 'No space left on device', flags = 13)"
    with pytest.raises(InputError) as caught, write_aside(path):
        raise OSError(words)
    assert str(caught.value) == f"cannot write {path}: No space left on device"


def test_notes_are_held_until_the_work_has_succeeded():
    class Listener(Silent):
        def __init__(self):
            self.notes = []

        def note(self, message):
            self.notes.append(message)

    listener = Listener()
    held = Held(listener)
    held.note("one")
    assert listener.notes == []
    held.release()
    assert listener.notes == ["one"]


def test_a_folder_that_may_not_be_written_is_told_beforehand(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="there is no folder") as caught:
        check_folder(tmp_path / "no where" / "out.txt")
    assert caught.value.hint == f"mkdir -p '{tmp_path / 'no where'}'"
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(InputError, match="may not be written"):
        check_folder(tmp_path / "out.txt")


def test_a_folder_that_is_missing_is_told(tmp_path):
    path = tmp_path / "nowhere" / "out.txt"
    with pytest.raises(InputError, match="No such file or directory") as caught, write_aside(path) as aside:
        aside.write_text("x")
    assert str(caught.value) == f"cannot write {path}: No such file or directory"


def test_a_log_tells_how_many_steps_there_will_be_and_then_of_each(tmp_path):
    (tmp_path / "steps.jsonl").write_text('{"step": 99}\n')
    log = Logged(Silent(), tmp_path / "steps.jsonl")
    log.begin("downloading", 5e6, "bytes")
    log.advance(1e6)
    log.begin("dreaming", 160, "steps")
    log.advance(1, objective=2.5)
    first, second = (json.loads(line) for line in log.path.read_text().splitlines())
    assert (first, second["step"], second["objective"]) == ({"steps": 160}, 1, 2.5)


def test_a_log_that_cannot_be_written_any_more_is_told_once_and_stops_nothing(tmp_path):
    class Listener(Silent):
        def __init__(self):
            self.notes, self.steps = [], []

        def note(self, message):
            self.notes.append(message)

        def advance(self, done, **facts):
            self.steps.append(done)

    (tmp_path / "logs").mkdir()
    log = Logged(listener := Listener(), tmp_path / "logs" / "steps.jsonl")
    log.advance(1, loss=2.0)
    assert json.loads(log.path.read_text())["loss"] == 2.0
    log.path.unlink()
    (tmp_path / "logs").rmdir()
    log.advance(2, loss=1.0)
    log.advance(3, loss=0.5)
    assert listener.steps == [1, 2, 3]
    assert listener.notes == [f"{log.path} is not written any more: No such file or directory"]


def test_json_of_any_name_is_read_again(tmp_path):
    value = {"name": "夏", "bytes that are no UTF-8": os.fsdecode(b"\xff.jpg"), "tables": [1, None]}
    write_json(tmp_path / "x.json", value)
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert "夏" in text


def test_a_lock_is_given_to_one_at_a_time_and_given_back_when_the_file_is_closed(tmp_path):
    pytest.importorskip("fcntl")
    path = tmp_path / ".lock"
    with path.open("a") as first, path.open("a") as second:
        assert lock(first)
        assert not lock(second)
        first.close()
        assert lock(second)


def test_a_drive_that_locks_nothing_stops_nobody(tmp_path, monkeypatch):
    pytest.importorskip("fcntl")

    def none(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    with (tmp_path / ".lock").open("a") as file:
        assert lock(file)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s"), (3599.7, "1 h 0 min"), (7800, "2 h 10 min")],
)
def test_time_is_told_as_one_reads_it(seconds, words):
    assert duration(seconds) == words


def test_a_file_of_a_later_imgnn_is_told_with_both_versions():
    check_version(2, 2, "x.keras is")
    with pytest.raises(WeightsError, match=r"^x\.keras is of version 3, this imgnn reads up to 2$") as caught:
        check_version(3, 2, "x.keras is", WeightsError)
    assert caught.value.hint == "pip install --upgrade imgnn"
