"""Features that are kept: a picture is known by its contents, and whatever happens to the file, work goes on."""

import contextlib
import hashlib
import os
import shutil
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from imgnn.data import feature_cache
from imgnn.data.feature_cache import FOLDER, FeatureCache, key_of
from imgnn.data.kept_file import stamp
from imgnn.data.lists import file_digest
from imgnn.runs import Silent, Stopped

KEY = key_of(("a network", ("fc7",), 224))
ONE, OTHER = bytes(range(32)), bytes(range(1, 33))


class Listener(Silent):
    def __init__(self):
        self.notes, self.heard = [], []

    def note(self, message):
        self.notes.append(message)

    def begin(self, task, total, unit=""):
        self.heard.append((task, total, unit))

    def advance(self, done, **facts):
        self.heard.append(done)

    def end(self):
        self.heard.append("end")


@pytest.fixture
def listener():
    return Listener()


@contextlib.contextmanager
def cache(listener=None, name="net", key=KEY):
    found = FeatureCache(name, key, listener or Listener())
    try:
        yield found
    finally:
        found.close()


def value(*numbers):
    return np.array(numbers, "float16")


@pytest.fixture
def hashed(monkeypatch):
    """The names of the files that were read, in any order: threads read them."""
    seen = []

    def watched(path):
        seen.append(path.name)
        return file_digest(path)

    monkeypatch.setattr(feature_cache, "file_digest", watched)
    return seen


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{number}.jpg" for number in range(3)]
    for number, path in enumerate(paths):
        path.write_bytes(b"picture %d" % number)
    return paths


# Features


def test_what_is_kept_is_found_again_as_float16(home):
    kept = {(ONE, 0): value(0, -1.5, 6e-8), (OTHER, 0): value(65504, 1e-3, 2)}
    with cache() as one:
        one.write(kept)
    with cache() as other:
        found = other.read([(OTHER, 0), (ONE, 0), (ONE[::-1], 0)])
    assert found.keys() == kept.keys()
    for key, values in kept.items():
        assert found[key].dtype == np.float16
        np.testing.assert_array_equal(found[key], values)
    assert [path.name for path in (home / FOLDER).iterdir()] == [f"net-{KEY}.sqlite"]


def test_a_picture_and_its_mirror_image_are_two():
    with cache() as one:
        one.write({(ONE, 0): value(1), (ONE, 1): value(2)})
        assert {view: float(each[0]) for (_, view), each in one.read([(ONE, 0), (ONE, 1)]).items()} == {0: 1, 1: 2}


def test_each_kind_of_feature_has_its_file():
    facts = ("a network", ("fc7",), 224)
    keys = {key_of(each) for each in (facts, ("other", *facts[1:]), (*facts[:2], 320), ("a network", ("fc6",), 224))}
    assert len(keys) == 4
    assert key_of(facts) == KEY
    with cache() as one, cache(key=key_of(("other",))) as other:
        one.write({(ONE, 0): value(1)})
        assert other.read([(ONE, 0)]) == {}


# Files


def test_a_file_is_known_by_its_contents(files, tmp_path):
    shutil.copy(files[0], tmp_path / "copy.jpg")
    with cache() as one:
        found = one.digests([*files, tmp_path / "copy.jpg", tmp_path / "missing.jpg"])
    assert [each.hex() for each in found[:4]] == [file_digest(path) for path in [*files, files[0]]]
    assert found[4] is None


def test_a_file_is_read_once(files, hashed):
    with cache() as one:
        first = one.digests(files)
    assert sorted(hashed) == [path.name for path in files]
    hashed.clear()
    with cache() as other:
        assert other.digests(files) == first
    assert hashed == []


def test_a_file_that_was_changed_is_read_again(files, hashed):
    with cache() as one:
        before = one.digests(files)
        hashed.clear()
        files[1].write_bytes(b"another one")
        stamp = files[2].stat()
        files[2].write_bytes(b"PICTURE 2")  # of the same size
        os.utime(files[2], ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
        after = one.digests(files)
    assert sorted(hashed) == [files[1].name, files[2].name]
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, False]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_any_number_of_threads_gives_the_hashes_in_the_order_of_the_files(files, workers):
    with cache() as one:
        found = one.digests([*files[::-1], files[0]], workers=workers)
    assert [each.hex() for each in found] == [hashlib.sha256(b"picture %d" % n).hexdigest() for n in (2, 1, 0, 0)]


def test_only_where_many_files_are_read_the_progress_is_told(files, listener, monkeypatch):
    with cache() as one:
        one.digests(files[:1], reporter=listener)
        assert listener.heard == []
        monkeypatch.setattr(feature_cache, "TOGETHER", 1)
        one.digests(files, reporter=listener)
    assert listener.heard == [("hashing", 2, "pictures"), 1, 2, "end"]


def test_after_a_stop_what_was_hashed_is_known(files, hashed):
    steps = iter([False, True])
    with cache() as one, pytest.raises(Stopped):
        one.digests(files, workers=1, stop=lambda: next(steps))
    hashed.clear()
    with cache() as other:
        assert None not in other.digests(files)
    assert hashed == [files[2].name]


def test_hashes_are_written_while_others_are_computed(files, hashed, monkeypatch):
    monkeypatch.setattr(feature_cache, "TOGETHER", 2)
    asked = []
    with cache() as one, cache() as other:

        def stop():
            asked.append(sum(other.remembered(path, stamp(path)) is not None for path in files))
            return False

        one.digests(files, stop=stop)
    assert asked == [0, 2, 2]


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_a_name_need_not_be_text(files, tmp_path, hashed):
    path = tmp_path / os.fsdecode(b"\xff[1].jpg")
    shutil.copy(files[0], path)
    with cache() as one:
        assert one.digests([path]) == one.digests([path]) == one.digests([files[0]])
    assert len(hashed) == 2


# What can go wrong


def test_a_file_that_is_no_database_is_made_anew(home, listener, files):
    path = home / FOLDER / f"net-{KEY}.sqlite"
    path.parent.mkdir()
    path.write_bytes(b"no database " * 999)
    with cache(listener) as one:
        one.write({(ONE, 0): value(1)})
    with cache(listener) as other:
        assert (ONE, 0) in other.read([(ONE, 0)])
    assert listener.notes == []


def test_damage_that_is_met_late_is_told_and_taken_away(listener):
    with cache(listener) as one:
        one.write({(bytes([number]), 0): np.zeros(500, "float16") for number in range(100)})
        path = one.path
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xa5" * (len(whole) - 8192))
    with cache(listener) as one:
        one.read([(bytes([number]), 0) for number in range(100)])
    assert listener.notes == [f"Features are not kept in {path}: database disk image is malformed"]
    with cache(listener) as one:
        one.write({(ONE, 0): value(1)})
        assert (ONE, 0) in one.read([(ONE, 0)])
    assert len(listener.notes) == 1


def test_a_home_that_cannot_be_written_is_told_and_no_matter(files, listener, monkeypatch):
    monkeypatch.setenv("IMGNN_HOME", str(files[0]))  # a file
    with cache(listener) as one:
        one.write({(ONE, 0): value(1)})
        assert one.read([(ONE, 0)]) == {}
        assert [each.hex() for each in one.digests(files)] == [file_digest(path) for path in files]
    (note,) = listener.notes
    assert note.startswith(f"Features are not kept in {files[0]}")


def test_a_cache_that_another_process_does_not_let_go_is_told_and_no_matter(files, listener, monkeypatch):
    monkeypatch.setattr(feature_cache, "PATIENCE", 0.05)
    with cache(listener) as one:
        one.write({(ONE, 0): value(1)})
        path = one.path
    with cache(listener) as one, contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        one.write({(OTHER, 0): value(2)})
        assert one.read([(ONE, 0)]) == {}
        assert len(one.digests(files)) == 3
    assert listener.notes == [f"Features are not kept in {path}: database is locked"]
    with cache(listener) as one:
        assert one.read([(ONE, 0), (OTHER, 0)]).keys() == {(ONE, 0)}  # nothing was taken away


def test_two_processes_write_at_once():
    with cache() as one, cache() as other:
        one.write({(ONE, 0): value(1)})
        other.write({(ONE, 0): value(1), (OTHER, 0): value(2)})
        assert one.read([(ONE, 0), (OTHER, 0)]).keys() == {(ONE, 0), (OTHER, 0)}


def test_another_thread_may_go_on():
    with cache() as one, ThreadPoolExecutor(1) as pool:
        pool.submit(one.write, {(ONE, 0): value(1)}).result()
        assert (ONE, 0) in one.read([(ONE, 0)])


def test_a_cache_that_is_dropped_is_closed():
    one = FeatureCache("net", KEY, Silent())
    database = one.database
    del one
    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        database.execute("SELECT 1")
