"""Files of what was found out before: a SQLite file that is good to have, and never a reason to fail."""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from imgnn.runs import Reporter

PATIENCE = 10.0  # seconds that another process may write


def stamp(path: Path) -> tuple[int, int] | None:
    """Size and time of a file, by which it is seen that it was not changed; None if there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns


class KeptFile:
    """A SQLite file of what need not be found out again. Whatever is wrong with it, the work goes on without.

    Two processes may use it at once: each writes in short transactions, and waits for the other.

    Args:
        patience: seconds that it waits.

    Attributes:
        what: is in it, with its verb: "Features are". For the note that they are not kept.
        keeping: whether what is found out now is written; if not, what is there is read still.
        database: None once it was closed or given up.
    """

    what: str
    keeping: bool = True
    database: sqlite3.Connection | None = None

    def __init__(self, path: Path, reporter: Reporter, *, patience: float) -> None:
        self.path, self.reporter = path, reporter
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self.database = self.connect(patience)
            except sqlite3.OperationalError:  # locked, or a disk that is full
                raise
            except sqlite3.DatabaseError:  # damaged, or no database at all
                self.remove()
                self.database = self.connect(patience)
        except (OSError, sqlite3.Error) as error:
            self.give_up(error)

    def prepare(self, database: sqlite3.Connection) -> None:
        """Make the tables that are missing."""
        raise NotImplementedError

    def connect(self, patience: float) -> sqlite3.Connection:
        """The database with its tables."""
        database = sqlite3.connect(self.path, timeout=patience, check_same_thread=False)
        try:
            self.prepare(database)
        except BaseException:
            database.close()
            raise
        return database

    def find(self, query: str, values: Sequence[object]) -> tuple[Any, ...] | None:
        """The first row that a query gives; None if there is none."""
        if self.database is None:
            return None
        try:
            row: tuple[Any, ...] | None = self.database.execute(query, values).fetchone()
        except sqlite3.Error as error:
            self.give_up(error)
            return None
        return row

    def write_rows(self, table: str, rows: Sequence[Sequence[object]]) -> None:
        """Keep rows, in one transaction, in the place of those with the same key."""
        if self.database is None or not self.keeping or not rows:
            return
        marks = ", ".join("?" for _ in rows[0])
        try:
            with self.database:
                self.database.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)
        except sqlite3.Error as error:
            self.give_up(error)

    def give_up(self, error: Exception) -> None:
        """Go on without; damage that is met late is taken away for the next time."""
        self.close()
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            with suppress(OSError):
                self.remove()
        self.reporter.note(f"{self.what} not kept in {self.path}: {error}")

    def remove(self) -> None:
        """Take the file away, and what a writer that was killed left beside it."""
        for ending in ("", "-journal"):
            Path(f"{self.path}{ending}").unlink(missing_ok=True)

    def close(self) -> None:
        if self.database is not None:
            self.database.close()
            self.database = None

    def __del__(self) -> None:  # from Python 3.13 on it warns of a database that nobody closed
        self.close()
