"""Features of pictures that are kept: a network looks at a picture once."""

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from imgnn.data.inspected import PATIENCE, stamp
from imgnn.data.lists import file_digest
from imgnn.home import home
from imgnn.runs import Reporter

FOLDER = "features"  # in IMGNN_HOME
VERSION = 1

Key = tuple[bytes, int]  # the picture's SHA-256, and 1 for its mirror image


def key_of(facts: Sequence[object]) -> str:
    """A name for the file of one kind of feature: the same for the same facts of network, layers and preprocessing."""
    return hashlib.sha256(repr((VERSION, *facts)).encode()).hexdigest()[:16]


class FeatureCache:
    """The features of one kind, a SQLite file in IMGNN_HOME/features. Whatever is wrong with it, work goes on without.

    Pictures are known by their contents, wherever they lie. Values are kept as float16, and are to be used as float16
    when they are fresh, too: then it makes no difference where they come from.

    Args:
        name: of the network, for people who look into the folder.
        key: of `key_of`.
    """

    database: sqlite3.Connection | None = None

    def __init__(self, name: str, key: str, reporter: Reporter) -> None:
        self.reporter, self.path = reporter, home() / FOLDER / f"{name}-{key}.sqlite"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self.database = opened(self.path)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:  # damaged, or no database at all
                for ending in ("", "-journal"):
                    with suppress(FileNotFoundError):
                        Path(f"{self.path}{ending}").unlink()
                self.database = opened(self.path)
        except (OSError, sqlite3.Error) as error:
            self.give_up(error)

    def digests(self, paths: Sequence[Path]) -> list[bytes | None]:
        """The SHA-256 of every file, remembered by size and time; None of one that cannot be read."""
        found: list[bytes | None] = []
        fresh = []
        for path in paths:
            stamped, named = stamp(path), os.fsencode(path.absolute())
            digest = self.remembered(named, stamped) if stamped else None
            if stamped and digest is None:
                with suppress(OSError):
                    digest = bytes.fromhex(file_digest(path))
                    fresh.append((named, *stamped, digest))
            found.append(digest)
        self.write_rows("files", fresh)
        return found

    def remembered(self, named: bytes, stamped: tuple[int, int]) -> bytes | None:
        """The hash of a file that did not change since it was computed."""
        if self.database is None:
            return None
        asked = "SELECT hash FROM files WHERE path = ? AND size = ? AND modified = ?"
        try:
            row = self.database.execute(asked, (named, *stamped)).fetchone()
        except sqlite3.Error as error:
            self.give_up(error)
            return None
        return row[0] if row else None

    def read(self, keys: Iterable[Key]) -> dict[Key, np.ndarray]:
        """What is known of pictures: float16 `(numbers,)`."""
        found: dict[Key, np.ndarray] = {}
        if self.database is None:
            return found
        try:
            for key in keys:
                row = self.database.execute("SELECT feature FROM features WHERE hash = ? AND view = ?", key).fetchone()
                if row:
                    found[key] = np.frombuffer(row[0], "<f2")
        except sqlite3.Error as error:
            self.give_up(error)
        return found

    def write(self, features: Mapping[Key, np.ndarray]) -> None:
        """Keep features, in one transaction."""
        self.write_rows("features", [(*key, value.astype("<f2").tobytes()) for key, value in features.items()])

    def write_rows(self, table: str, rows: Sequence[tuple[object, ...]]) -> None:
        if self.database is None or not rows:
            return
        try:
            with self.database:
                marks = ", ".join("?" for _ in rows[0])
                self.database.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)
        except sqlite3.Error as error:
            self.give_up(error)

    def give_up(self, error: Exception) -> None:
        """Go on without; damage that is met late is taken away for the next time."""
        self.close()
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
        self.reporter.note(f"Features are not kept in {self.path}: {error}")

    def close(self) -> None:
        if self.database is not None:
            self.database.close()
            self.database = None

    def __del__(self) -> None:  # from Python 3.13 on it warns of a database that nobody closed
        self.close()


def opened(path: Path) -> sqlite3.Connection:
    """The database, its tables made if they are not there."""
    database = sqlite3.connect(path, timeout=PATIENCE, check_same_thread=False)
    try:
        with database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS features (hash BLOB, view INTEGER, feature BLOB, PRIMARY KEY (hash, view))"
            )
            database.execute(
                "CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, size INTEGER, modified INTEGER, hash BLOB)"
            )
    except BaseException:
        database.close()
        raise
    return database
