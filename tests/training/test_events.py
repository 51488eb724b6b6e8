import struct

import numpy as np
import pytest

from imgnn.errors import InputError
from imgnn.training.events import append_events, checksum, write_events

ROWS = [
    {"kind": "step", "step": 1, "epoch": 1, "loss": 2.5, "accuracy": 0.25, "learning_rate": 0.01, "time": 1700000000.5},
    {"kind": "step", "step": 300, "epoch": 1, "loss": 2.0, "images_per_second": 41.5, "time": 1700000001.0},
    {
        "kind": "epoch",
        "step": 300,
        "epoch": 1,
        "loss": 2.25,
        "accuracy": 0.5,
        "learning_rate": 0.01,
        "val_loss": 1.5,
        "val_accuracy": 0.75,
        "time": 1700000002.0,
    },
]
NEXT = {"kind": "epoch", "step": 600, "epoch": 2, "loss": 1.25, "accuracy": 0.625, "learning_rate": 0.001}


def read(folder):
    """Tag -> [(step, value)], as TensorBoard reads them."""
    return {
        tag: [(each.step, each.value) for each in scalars]
        for tag, scalars in accumulated(folder, lambda a, t: a.Scalars(t))
    }


def accumulated(folder, take):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return [(tag, take(events, tag)) for tag in events.Tags()["scalars"]]


def test_tensorboard_reads_every_row(tmp_path):
    write_events(tmp_path / "events", ROWS)
    assert read(tmp_path / "events") == {
        "step/loss": [(1, 2.5), (300, 2.0)],
        "step/accuracy": [(1, 0.25)],
        "step/learning_rate": [(1, pytest.approx(0.01))],
        "step/images_per_second": [(300, 41.5)],
        "train/loss": [(300, 2.25)],
        "train/accuracy": [(300, 0.5)],
        "train/learning_rate": [(300, pytest.approx(0.01))],
        "val/loss": [(300, 1.5)],
        "val/accuracy": [(300, 0.75)],
    }


def test_a_row_is_shown_at_its_own_time(tmp_path):
    write_events(tmp_path, ROWS)
    times = dict(accumulated(tmp_path, lambda events, tag: [each.wall_time for each in events.Scalars(tag)]))
    assert times["step/loss"] == [1700000000.5, 1700000001.0]


def test_no_row_is_shown_twice_after_a_resume(tmp_path):
    (tmp_path / "events.out.tfevents.1700000000.host").write_bytes(b"of another writer")
    write_events(tmp_path, [*ROWS, NEXT])
    write_events(tmp_path, ROWS)
    assert read(tmp_path)["train/loss"] == [(300, 2.25)]
    assert len(list(tmp_path.iterdir())) == 1


def test_rows_are_added_while_tensorboard_looks(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write_events(tmp_path, ROWS)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    append_events(tmp_path, [NEXT])
    events.Reload()
    assert [(each.step, each.value) for each in events.Scalars("train/loss")] == [(300, 2.25), (600, 1.25)]


def test_a_loss_that_is_no_number_is_shown_as_such(tmp_path):
    write_events(tmp_path, [{**NEXT, "loss": float("nan")}])
    ((step, value),) = read(tmp_path)["train/loss"]
    assert step == 600
    assert np.isnan(value)


def test_the_checksum_is_that_of_the_rfc():
    """RFC 3720, B.4: 32 bytes of zeros have the CRC-32C 0x8a9136aa; of TensorFlow's masking see lib/hash/crc32c.h."""
    (masked,) = struct.unpack("<I", checksum(bytes(32)))
    rotated = (masked - 0xA282EAD8) & 0xFFFFFFFF
    assert (rotated >> 17 | rotated << 15) & 0xFFFFFFFF == 0x8A9136AA


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot make the folder"):
        write_events(tmp_path / "file" / "events", ROWS)
    with pytest.raises(InputError, match="cannot write"):
        append_events(tmp_path / "missing", ROWS)
