import contextlib
import os
import sqlite3
import time
import warnings

import pytest
from PIL import Image

from imgnn.data import inspected
from imgnn.data.inspected import FILE, Kept, inspect_files
from imgnn.errors import InterruptedRun
from imgnn.images.inspection import inspect_file
from imgnn.runs import Silent


@pytest.fixture
def pictures(tmp_path):
    """Eight pictures and a text that calls itself one."""
    for number in range(8):
        Image.new("RGB", (40 + number, 40), (number, 99, 0)).save(tmp_path / f"{number}.png")
    (tmp_path / "text.png").write_text("no picture")
    return sorted(tmp_path.glob("*.png"))


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files that were decoded."""
    seen = []

    def watched(path, **options):
        seen.append(path.name)
        return inspect_file(path, **options)

    monkeypatch.setattr(inspected, "inspect_file", watched)
    return seen


class Listener(Silent):
    def __init__(self, stop_at=None):
        self.notes, self.stop_at = [], stop_at

    def note(self, message):
        self.notes.append(message)

    def advance(self, done, **facts):
        if done == self.stop_at:
            raise KeyboardInterrupt


def test_an_inspection_is_what_decoding_the_file_gives(pictures):
    expected = [inspect_file(path, looks=True) for path in pictures]
    assert inspect_files(pictures) == expected  # decoded
    assert inspect_files(pictures) == expected  # kept
    assert expected[-1].problem == "not_image"


@pytest.mark.parametrize("bundle", [1, 4, 9, 99])
def test_pictures_may_go_to_the_workers_in_bundles(pictures, monkeypatch, bundle):
    monkeypatch.setattr(inspected, "BUNDLE", bundle)
    assert [each.width for each in inspect_files(pictures)] == [*range(40, 48), 0]


def test_a_picture_is_decoded_once(pictures, decoded):
    inspect_files(pictures)
    decoded.clear()
    inspect_files(pictures)
    assert decoded == []


def test_a_picture_that_was_changed_is_decoded_again(pictures, decoded):
    inspect_files(pictures)
    decoded.clear()
    Image.new("RGB", (99, 99)).save(pictures[3])
    stamp = pictures[5].stat()
    os.utime(pictures[5], ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
    assert inspect_files(pictures)[3].height == 99
    assert sorted(decoded) == [pictures[3].name, pictures[5].name]


def test_a_file_that_is_not_there_is_unreadable_and_asked_for_again(pictures, decoded, tmp_path):
    missing = tmp_path / "missing.png"
    for _ in range(2):
        assert inspect_files([missing])[0].problem == "unreadable"
    assert decoded == [missing.name] * 2


def test_after_an_interrupt_what_was_inspected_is_known(pictures, decoded):
    with pytest.raises(InterruptedRun, match="5 of 9 pictures were inspected, and need not be the next time"):
        inspect_files(pictures, workers=1, reporter=Listener(stop_at=5))
    decoded.clear()
    inspect_files(pictures)
    assert set(decoded) == {path.name for path in pictures[5:]}


def test_a_damaged_file_is_made_anew(pictures, decoded, home):
    (home / FILE).write_bytes(b"no database " * 999)
    listener = Listener()
    inspect_files(pictures, reporter=listener)
    decoded.clear()
    inspect_files(pictures, reporter=listener)
    assert (decoded, listener.notes) == ([], [])


def test_what_another_edition_found_out_is_not_believed(pictures, decoded, monkeypatch):
    inspect_files(pictures)
    decoded.clear()
    monkeypatch.setattr(inspected, "EDITION", inspected.EDITION ^ 1)
    inspect_files(pictures)
    assert len(decoded) == len(pictures)


def test_a_home_that_cannot_be_written_is_told_and_no_matter(pictures, monkeypatch, tmp_path):
    monkeypatch.setenv("IMGNN_HOME", str(pictures[0]))  # a file
    listener = Listener()
    assert len(inspect_files(pictures, reporter=listener)) == len(pictures)
    assert len(listener.notes) == 1


def test_two_processes_write_at_once(pictures, home):
    one, other = Kept(Silent()), Kept(Silent())
    one.write([(b"a", 1, 1, "{}")])
    other.write([(b"b", 1, 1, "{}"), (b"a", 1, 1, '{"height": 7}')])
    one.close(), other.close()
    with contextlib.closing(sqlite3.connect(home / FILE)) as database:
        found = database.execute("SELECT path, facts FROM inspections ORDER BY path").fetchall()
    assert found == [(b"a", '{"height": 7}'), (b"b", "{}")]


def test_a_file_that_another_process_does_not_let_go_is_told_and_no_matter(pictures, home, monkeypatch):
    monkeypatch.setattr(inspected, "PATIENCE", 0.05)
    inspect_files(pictures[:1])
    listener = Listener()
    with contextlib.closing(sqlite3.connect(home / FILE, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        assert len(inspect_files(pictures, reporter=listener)) == len(pictures)
    assert listener.notes == [f"What was found out about the pictures is not kept in {home / FILE}: database is locked"]
    assert len(inspect_files(pictures[:1])) == 1  # nothing was taken away


def slow_inspection(path, *, looks=False):
    time.sleep(0.2)
    return inspect_file(path, looks=looks)


def test_a_cluster_finds_the_same_though_a_worker_is_lost(pictures, monkeypatch):
    distributed = pytest.importorskip("distributed")
    expected = inspect_files(pictures)
    monkeypatch.setattr(inspected, "EDITION", inspected.EDITION ^ 1)  # forget them
    monkeypatch.setattr(inspected, "inspect_file", slow_inspection)
    monkeypatch.setattr(inspected, "BUNDLE", 1)

    class Killer(Silent):
        def advance(self, done, **facts):
            if done == 2:
                next(iter(cluster.workers.values())).process.process._process.kill()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
            found = inspect_files(
                pictures, dask=cluster.scheduler_address, folder=pictures[0].parent, reporter=Killer()
            )
    assert found == expected
