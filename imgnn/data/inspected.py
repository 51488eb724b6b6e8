"""Inspections that are kept: a picture that did not change is decoded once."""

import json
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path

import PIL

from imgnn import __version__
from imgnn.data.spread import spread
from imgnn.errors import InterruptedRun
from imgnn.home import home
from imgnn.images.inspection import Inspection, inspect_file
from imgnn.runs import Reporter, Silent, one_interrupt

FILE = "inspections.sqlite"  # in IMGNN_HOME
BUNDLE = 16  # pictures that a worker takes at once: a task of Dask's costs as much as decoding one
TOGETHER = 256  # inspections that are written at once; a power cut loses no more
PATIENCE = 10.0  # seconds that another process may write

DEFAULTS = asdict(Inspection())
# What another imgnn or Pillow found out may be told otherwise now.
EDITION = zlib.crc32(repr((__version__, PIL.__version__, [field.name for field in fields(Inspection)])).encode())
EDITION &= 0x7FFFFFFF  # SQLite keeps it as a signed number

Row = tuple[bytes, int, int, str]


def inspect_files(
    paths: Sequence[Path],
    *,
    workers: int | None = None,
    dask: str | None = None,
    folder: Path | None = None,
    reporter: Reporter | None = None,
) -> list[Inspection]:
    """Every file inspected, with its look; from IMGNN_HOME if neither its size nor its time changed.

    Args:
        workers, dask, folder: as of `data.spread.spread`.

    Raises:
        InterruptedRun: Ctrl-C; what was inspected so far is kept.
        InputError: as of `spread`.
    """
    reporter = reporter or Silent()
    absolute = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100  links are not followed
    stamps = [stamp(path) for path in absolute]
    kept = Kept(reporter)
    found = kept.read(absolute, stamps)
    missing = [index for index, inspection in enumerate(found) if inspection is None]
    if not missing:
        kept.close()
        return [each for each in found if each is not None]
    reporter.begin("inspect", len(missing), "pictures")
    fresh: list[Row] = []
    done = 0
    with one_interrupt() as no_more:
        try:
            results = spread(
                partial(inspect_each, inspect_file),
                [
                    [absolute[index] for index in missing[start : start + BUNDLE]]
                    for start in range(0, len(missing), BUNDLE)
                ],
                workers=workers,
                dask=dask,
                folder=folder,
            )
            pairs = (pair for paths, inspections in results for pair in zip(paths, inspections, strict=True))
            for done, (index, (path, inspection)) in enumerate(zip(missing, pairs, strict=True), 1):
                found[index] = inspection
                # A disk that could not be read may be read the next time.
                if stamps[index] is not None and inspection.problem != "unreadable":
                    fresh.append(row(path, stamps[index], inspection))
                if len(fresh) >= TOGETHER:
                    kept.write(fresh)
                    fresh.clear()
                reporter.advance(done)
        except KeyboardInterrupt:
            raise InterruptedRun(
                f"{done:,} of {len(missing):,} pictures were inspected, and need not be the next time"
            ) from None
        finally:
            no_more()
            kept.write(fresh)
            kept.close()
            reporter.end()
    return [each for each in found if each is not None]


def inspect_each(inspect: Callable[..., Inspection], paths: Sequence[Path]) -> list[Inspection]:
    """A bundle of files, where a worker is."""
    return [inspect(path, looks=True) for path in paths]


def stamp(path: Path) -> tuple[int, int] | None:
    """Size and time of a file, by which it is seen that it was not changed; None if there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns


def row(path: Path, stamped: tuple[int, int] | None, inspection: Inspection) -> Row:
    """An inspection as it is kept: what differs from the defaults, in JSON."""
    size, modified = stamped or (0, 0)
    facts = {name: value for name, value in asdict(inspection).items() if value != DEFAULTS[name]}
    return os.fsencode(path), size, modified, json.dumps(facts)


class Kept:
    """The file of inspections. Whatever is wrong with it, the work goes on without.

    Two processes may use it at once: each writes in short transactions, and waits for the other.
    """

    def __init__(self, reporter: Reporter) -> None:
        self.reporter, self.path = reporter, home() / FILE
        self.database: sqlite3.Connection | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self.database = opened(self.path)
            except sqlite3.OperationalError:  # locked, or a disk that is full
                raise
            except sqlite3.DatabaseError:  # damaged, or no database at all
                for ending in ("", "-journal"):
                    with suppress(FileNotFoundError):
                        Path(f"{self.path}{ending}").unlink()
                self.database = opened(self.path)
        except (OSError, sqlite3.Error) as error:
            self.give_up(error)

    def read(self, paths: Sequence[Path], stamps: Sequence[tuple[int, int] | None]) -> list[Inspection | None]:
        """What is known of each file; None if nothing is, or the file was changed since."""
        found: list[Inspection | None] = [None] * len(paths)
        if self.database is None:
            return found
        asked = "SELECT facts FROM inspections WHERE path = ? AND size = ? AND modified = ?"
        try:
            for index, (path, stamped) in enumerate(zip(paths, stamps, strict=True)):
                if stamped and (facts := self.database.execute(asked, (os.fsencode(path), *stamped)).fetchone()):
                    found[index] = Inspection(**json.loads(facts[0]))
        except (sqlite3.Error, ValueError, TypeError) as error:
            self.give_up(error)
        return found

    def write(self, rows: Iterable[Row]) -> None:
        """Keep inspections."""
        if self.database is None:
            return
        try:
            with self.database:
                self.database.executemany("INSERT OR REPLACE INTO inspections VALUES (?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            self.give_up(error)

    def give_up(self, error: Exception) -> None:
        """Go on without; damage that is met late is taken away for the next time."""
        self.close()
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
        self.reporter.note(f"What was found out about the pictures is not kept in {self.path}: {error}")

    def close(self) -> None:
        if self.database is not None:
            self.database.close()
            self.database = None


def opened(path: Path) -> sqlite3.Connection:
    """The database, emptied if it is of another edition."""
    database = sqlite3.connect(path, timeout=PATIENCE)
    try:
        if database.execute("PRAGMA user_version").fetchone()[0] != EDITION:
            with database:
                database.execute("BEGIN IMMEDIATE")
                database.execute("DROP TABLE IF EXISTS inspections")
                database.execute(
                    "CREATE TABLE inspections (path BLOB PRIMARY KEY, size INTEGER, modified INTEGER, facts TEXT)"
                    " WITHOUT ROWID"
                )
                database.execute(f"PRAGMA user_version = {EDITION}")
    except BaseException:
        database.close()
        raise
    return database
