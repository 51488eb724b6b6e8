"""A checkpoint is whole or it is not there; whatever else lies in its place is told in words."""

import io
import json
import math

import numpy as np
import pytest

from imgnn.errors import InputError
from imgnn.training import checkpoint
from imgnn.training.checkpoint import FACTS, VERSION, load_checkpoint, save_checkpoint

ARRAYS = {"weights/conv1/kernel": np.arange(6, dtype="float32").reshape(2, 3), "trainer/random/0": np.uint32([7, 8])}


@pytest.fixture
def saved(tmp_path):
    save_checkpoint(tmp_path / "last.npz", ARRAYS, {"position": {"step": 12}, "bad": {"größe.jpg": "no picture"}})
    return tmp_path / "last.npz"


def test_what_was_saved_is_loaded(saved):
    arrays, facts = load_checkpoint(saved)
    assert arrays.keys() == ARRAYS.keys()
    for name, value in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], value)
        assert arrays[name].dtype == value.dtype
    assert facts == {"version": VERSION, "position": {"step": 12}, "bad": {"größe.jpg": "no picture"}}


def test_a_loss_that_nothing_has_beaten_yet_is_infinite(tmp_path):
    save_checkpoint(tmp_path / "last.npz", {}, {"best_loss": math.inf})
    assert load_checkpoint(tmp_path / "last.npz")[1]["best_loss"] == math.inf


def test_a_checkpoint_takes_the_place_of_the_one_before(saved):
    save_checkpoint(saved, {"a": np.ones(3)}, {})
    assert list(load_checkpoint(saved)[0]) == ["a"]
    assert [file.name for file in saved.parent.iterdir()] == ["last.npz"]


def test_a_missing_checkpoint_is_told(tmp_path):
    with pytest.raises(InputError, match="there is no checkpoint"):
        load_checkpoint(tmp_path / "last.npz")


@pytest.mark.parametrize("length", [0, 10, 100, -1])
def test_a_checkpoint_that_was_cut_is_told(saved, length):
    saved.write_bytes(saved.read_bytes()[:length])
    with pytest.raises(InputError, match=r"last\.npz is damaged, or no checkpoint"):
        load_checkpoint(saved)


def test_a_changed_byte_is_noticed(saved):
    data = bytearray(saved.read_bytes())
    data[data.index(ARRAYS["weights/conv1/kernel"].tobytes()) + 5] ^= 1
    saved.write_bytes(data)
    with pytest.raises(InputError, match="is damaged"):
        load_checkpoint(saved)


def array_file():
    buffer = io.BytesIO()
    np.save(buffer, np.ones(3))
    return buffer.getvalue()


def archive_with(facts):
    buffer = io.BytesIO()
    np.savez(buffer, **({} if facts is None else {FACTS: np.array(facts)}), other=np.ones(3))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"hello", array_file(), archive_with(None), archive_with("no json"), archive_with("[1]"), archive_with("{}")],
    ids=["text", "one array", "no facts", "no JSON", "a list", "no version"],
)
def test_another_kind_of_file_is_told(tmp_path, content):
    (tmp_path / "last.npz").write_bytes(content)
    with pytest.raises(InputError, match="is damaged, or no checkpoint"):
        load_checkpoint(tmp_path / "last.npz")


def test_a_pickle_is_not_opened(tmp_path):
    np.savez(tmp_path / "last.npz", facts=np.array(json.dumps({"version": 1})), evil=np.array([object()]))
    with pytest.raises(InputError, match="is damaged"):
        load_checkpoint(tmp_path / "last.npz")


def test_a_checkpoint_of_a_later_imgnn_is_told(tmp_path):
    save_checkpoint(tmp_path / "last.npz", {}, {"version": VERSION + 1})
    with pytest.raises(InputError, match=f"of version {VERSION + 1}, this imgnn reads up to {VERSION}"):
        load_checkpoint(tmp_path / "last.npz")


def test_a_full_disk_leaves_the_checkpoint_that_was_there(saved, monkeypatch):
    before = saved.read_bytes()

    def fail(file, **arrays):
        file.write(b"a beginning")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.np, "savez", fail)
    with pytest.raises(InputError, match=r"cannot write .*last\.npz: No space left on device"):
        save_checkpoint(saved, {"a": np.ones(3)}, {})
    assert saved.read_bytes() == before
    assert [file.name for file in saved.parent.iterdir()] == ["last.npz"]
