"""Bytes that nobody meant, for a minute: every reader of others' files gives a result or the error that it promises."""

import importlib.util
import json
import subprocess
import sys

import pytest

from fuzz.targets import ROOT, TARGETS
from fuzz.watch import Watch
from imgnn.errors import InputError

SECONDS = 2  # for each target; a process takes one or two more to begin, and several on a busy machine

needs_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="atheris is not installed: pip install 'imgnn[fuzz]' (Linux on x86-64, Python 3.11 to 3.14)",
)


@needs_atheris
@pytest.mark.parametrize("name", TARGETS)
def test_whatever_bytes_there_are_a_reader_does_what_it_promises(name, tmp_path):
    command = [sys.executable, "-m", "fuzz", name, "--seconds", str(SECONDS), "--findings", tmp_path, "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    result = json.loads(ran.stdout)
    told = [file.read_text(encoding="utf-8") for file in tmp_path.rglob("*.txt")]
    assert result["findings"] == [], "\n".join(told or [ran.stderr])
    assert result["inputs"] >= 100 and result["edges"] >= 20  # it ran, and what is read was instrumented


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_is_read_as_one_without_a_finding(name, tmp_path):
    target = TARGETS[name]
    watch = Watch(target.read, target.raises, target.floor, tmp_path)
    for seed in target.seeds():
        watch(seed)
    assert watch.inputs > 1 and watch.shortest == {}


def kinds(tmp_path, read, *, inputs=(b"long input", b"short")) -> list[str]:
    """What is found in a reader; the shortest input of each kind is kept."""
    watch = Watch(read, (InputError,), None, tmp_path)
    for data in inputs:
        watch(data)
    assert all((tmp_path / kind).read_bytes() == b"short" for kind in watch.shortest)
    return sorted(watch.shortest)


def test_an_error_that_is_promised_is_no_finding(tmp_path):
    def read(data):
        raise InputError("not what it should be")

    assert kinds(tmp_path, read) == []


def test_any_other_error_is_a_finding_with_its_place(tmp_path):
    def read(data):
        return {}[data]

    (found,) = kinds(tmp_path, read)
    assert found.startswith("KeyError-test_fuzz.py-")
    assert "Traceback" in (tmp_path / f"{found}.txt").read_text(encoding="utf-8")


def test_slow_reading_is_a_finding(tmp_path, monkeypatch):
    monkeypatch.setattr("fuzz.watch.SECONDS", 0.01)
    assert kinds(tmp_path, lambda data: sum(range(2_000_000))) == ["slow"]


def test_memory_beyond_what_an_input_deserves_is_a_finding(tmp_path, monkeypatch):
    monkeypatch.setattr("fuzz.watch.EVERY", 1)
    assert kinds(tmp_path, lambda data: bytes(2 << 20)) == ["memory-python"]
    assert kinds(tmp_path, lambda data: bytes(1000)) == []
