"""A file that is kept: damage costs what was in it, and nothing more."""

import contextlib
import sqlite3

import pytest

from imgnn.data.kept_file import KeptFile, stamp
from imgnn.runs import Silent


class Heights(KeptFile):
    what = "Heights are"

    def prepare(self, database):
        database.execute("CREATE TABLE IF NOT EXISTS heights (name TEXT PRIMARY KEY, metres INTEGER)")

    def metres(self, name):
        return self.find("SELECT metres FROM heights WHERE name = ?", (name,))


class Listener(Silent):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


@pytest.fixture
def listener():
    return Listener()


@pytest.fixture
def kept(tmp_path, listener):
    """Opens the file, as often as it is called."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(
            contextlib.closing(Heights(tmp_path / "home" / "heights.sqlite", listener, patience=0.05))
        )


def test_a_row_takes_the_place_of_one_with_its_key(kept, listener):
    kept().write_rows("heights", [("Fuji", 1), ("Rigi", 1798)])
    kept().write_rows("heights", [("Fuji", 3776)])
    kept().write_rows("heights", [])
    assert [kept().metres(name) for name in ("Fuji", "Rigi", "Etna")] == [(3776,), (1798,), None]
    assert listener.notes == []


def test_what_is_no_database_is_made_anew_with_its_journal(kept, listener):
    path = kept().path
    journal = path.with_name(path.name + "-journal")
    path.write_bytes(b"no database " * 99)
    journal.write_bytes(b"half a transaction")
    one = kept()
    assert not journal.exists()
    one.write_rows("heights", [("Fuji", 3776)])
    assert (kept().metres("Fuji"), listener.notes) == ((3776,), [])


def test_damage_that_is_met_late_is_told_once_and_taken_away(kept, listener):
    one = kept()
    one.write_rows("heights", [(str(number), number) for number in range(2000)])
    whole = one.path.read_bytes()
    one.close()
    one.path.write_bytes(whole[:8192] + b"\xa5" * (len(whole) - 8192))
    one = kept()
    assert [one.metres(str(number)) for number in range(1000, 1010)] == [None] * 10
    one.write_rows("heights", [("Fuji", 3776)])
    assert listener.notes == [f"Heights are not kept in {one.path}: database disk image is malformed"]
    assert not one.path.exists()


def test_what_another_process_holds_is_given_up_and_left_as_it_is(kept, listener):
    one = kept()
    one.write_rows("heights", [("Fuji", 3776)])
    with contextlib.closing(sqlite3.connect(one.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert one.metres("Fuji") is None
    assert listener.notes == [f"Heights are not kept in {one.path}: database is locked"]
    assert kept().metres("Fuji") == (3776,)


def test_a_stamp_is_size_and_time(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"four")
    assert stamp(path) == (4, path.stat().st_mtime_ns)
    assert stamp(tmp_path / "missing") is stamp(tmp_path / "no\0name") is None
