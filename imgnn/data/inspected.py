"""Inspections that are kept: a picture that did not change is decoded once."""

import json
import os
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path

import PIL

from imgnn import __version__
from imgnn.data.kept_file import PATIENCE, KeptFile, stamp
from imgnn.data.spread import spread
from imgnn.errors import InterruptedRun
from imgnn.home import home
from imgnn.images.inspection import Inspection, inspect_file
from imgnn.runs import Reporter, Silent, one_interrupt

FILE = "inspections.sqlite"  # in IMGNN_HOME
BUNDLE = 16  # pictures that a worker takes at once: a task of Dask's costs as much as decoding one
TOGETHER = 256  # inspections that are written at once; a power cut loses no more

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
    reporter.begin("inspecting", len(missing), "pictures")
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


def row(path: Path, stamped: tuple[int, int] | None, inspection: Inspection) -> Row:
    """An inspection as it is kept: what differs from the defaults, in JSON."""
    size, modified = stamped or (0, 0)
    facts = {name: value for name, value in asdict(inspection).items() if value != DEFAULTS[name]}
    return os.fsencode(path), size, modified, json.dumps(facts)


class Kept(KeptFile):
    """The file of inspections."""

    what = "What was found out about the pictures is"

    def __init__(self, reporter: Reporter) -> None:
        super().__init__(home() / FILE, reporter, patience=PATIENCE)

    def prepare(self, database: sqlite3.Connection) -> None:
        """Empty it if it is of another edition."""
        if database.execute("PRAGMA user_version").fetchone()[0] != EDITION:
            with database:
                database.execute("BEGIN IMMEDIATE")
                database.execute("DROP TABLE IF EXISTS inspections")
                database.execute(
                    "CREATE TABLE inspections (path BLOB PRIMARY KEY, size INTEGER, modified INTEGER, facts TEXT)"
                    " WITHOUT ROWID"
                )
                database.execute(f"PRAGMA user_version = {EDITION}")

    def read(self, paths: Sequence[Path], stamps: Sequence[tuple[int, int] | None]) -> list[Inspection | None]:
        """What is known of each file; None if nothing is, or the file was changed since."""
        found: list[Inspection | None] = [None] * len(paths)
        asked = "SELECT facts FROM inspections WHERE path = ? AND size = ? AND modified = ?"
        try:
            for index, (path, stamped) in enumerate(zip(paths, stamps, strict=True)):
                if stamped and (facts := self.find(asked, (os.fsencode(path), *stamped))):
                    found[index] = Inspection(**json.loads(facts[0]))
        except (ValueError, TypeError) as error:
            self.give_up(error)
        return found

    def write(self, rows: Sequence[Row]) -> None:
        """Keep inspections."""
        self.write_rows("inspections", rows)
