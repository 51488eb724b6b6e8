"""Features of pictures that are kept: a network looks at a picture once."""

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from imgnn.data.kept_file import PATIENCE, KeptFile, stamp
from imgnn.data.lists import file_digest
from imgnn.data.spread import spread
from imgnn.home import home
from imgnn.runs import Reporter, Silent, Stop, Stopped

FOLDER = "features"  # in IMGNN_HOME
VERSION = 1
TOGETHER = 256  # hashes that are written at once; where more are missing, the progress is shown

Key = tuple[bytes, int]  # the picture's SHA-256, and 1 for its mirror image


def key_of(facts: Sequence[object]) -> str:
    """A name for the file of one kind of feature: the same for the same facts of network, layers and preprocessing."""
    return hashlib.sha256(repr((VERSION, *facts)).encode()).hexdigest()[:16]


class FeatureCache(KeptFile):
    """The features of one kind, a SQLite file in IMGNN_HOME/features.

    Pictures are known by their contents, wherever they lie. Values are kept as float16, and are to be used as float16
    when they are fresh, too: then what is read is what was computed. What is computed once more may differ in the last
    digits: in a batch of another size a network may add in another order.

    Args:
        name: of the network, for people who look into the folder.
        key: of `key_of`.
    """

    what = "Features are"

    def __init__(self, name: str, key: str, reporter: Reporter) -> None:
        super().__init__(home() / FOLDER / f"{name}-{key}.sqlite", reporter, patience=PATIENCE)

    def prepare(self, database: sqlite3.Connection) -> None:
        """Make the tables if they are not there."""
        with database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS features (hash BLOB, view INTEGER, feature BLOB, PRIMARY KEY (hash, view))"
            )
            database.execute(
                "CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, size INTEGER, modified INTEGER, hash BLOB)"
            )

    def digests(
        self,
        paths: Sequence[Path],
        *,
        workers: int | None = None,
        reporter: Reporter | None = None,
        stop: Stop | None = None,
    ) -> list[bytes | None]:
        """The SHA-256 of every file, remembered by size and time; None of one that cannot be read.

        Args:
            workers: threads that read; None: one for each core.
            reporter: who hears of the progress where many files have to be read; None: nobody.

        Raises:
            Stopped: `stop` said so; the hashes so far are kept.
        """
        stamps = [stamp(path) for path in paths]
        found = [self.remembered(path, stamped) for path, stamped in zip(paths, stamps, strict=True)]
        missing = [number for number, digest in enumerate(found) if digest is None and stamps[number]]

        def hash_of(number: int) -> bytes | None:
            with suppress(OSError):
                return bytes.fromhex(file_digest(paths[number]))
            return None

        if reporter is None or len(missing) <= TOGETHER:
            reporter = Silent()
        reporter.begin("hashing", len(missing), "pictures")
        fresh: list[tuple[object, ...]] = []
        try:
            for done, (number, digest) in enumerate(spread(hash_of, missing, workers=workers), 1):
                found[number] = digest
                if digest and (stamped := stamps[number]):
                    fresh.append((path_key(paths[number]), *stamped, digest))
                if len(fresh) >= TOGETHER:
                    self.write_rows("files", fresh)
                    fresh.clear()
                reporter.advance(done)
                if stop and stop():
                    raise Stopped
        finally:
            self.write_rows("files", fresh)
            reporter.end()
        return found

    def remembered(self, path: Path, stamped: tuple[int, int] | None) -> bytes | None:
        """The hash of a file that did not change since it was computed."""
        if stamped is None:
            return None
        row = self.find(
            "SELECT hash FROM files WHERE path = ? AND size = ? AND modified = ?", (path_key(path), *stamped)
        )
        return row[0] if row else None

    def read(self, keys: Iterable[Key]) -> dict[Key, np.ndarray]:
        """What is known of pictures: float16 `(numbers,)`."""
        found: dict[Key, np.ndarray] = {}
        for key in keys:
            if row := self.find("SELECT feature FROM features WHERE hash = ? AND view = ?", key):
                found[key] = np.frombuffer(row[0], "<f2")
        return found

    def write(self, features: Mapping[Key, np.ndarray]) -> None:
        """Keep features, in one transaction."""
        self.write_rows("features", [(*key, value.astype("<f2").tobytes()) for key, value in features.items()])


def path_key(path: Path) -> bytes:
    """What a file is called in the cache: a name need not be text."""
    return os.fsencode(path.absolute())
