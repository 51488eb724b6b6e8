"""The journal of a fetch: one SQLite file that knows of every address what became of it.

Beside it, in the folder of the pictures,

    fetch.sqlite      the journal
    .fetch-parts/     pictures on their way: written here first, moved when the journal knows of them

A process may be killed at any moment. What the journal says holds: `open` moves the parts that it knows of to their
place, and drops the others, whose addresses are simply asked again.
"""

import contextlib
import hashlib
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from imgnn.data.items import Listed, Result, Waiting, file_stem, part_name, safe_name
from imgnn.data.outcomes import LOST, OK
from imgnn.errors import InputError
from imgnn.runs import is_file, is_folder

VERSION = 1
NAME = "fetch.sqlite"
PARTS = ".fetch-parts"

SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE sources (id INTEGER PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL, part TEXT NOT NULL,
  UNIQUE (digest, part));
CREATE TABLE classes (label TEXT PRIMARY KEY, folder TEXT NOT NULL UNIQUE COLLATE NOCASE) WITHOUT ROWID;
CREATE TABLE urls (
  id INTEGER PRIMARY KEY,        -- the order of the lists
  url TEXT NOT NULL UNIQUE,
  label TEXT NOT NULL,           -- '' without a class
  split TEXT,                    -- as the list has it
  source INTEGER NOT NULL, line INTEGER NOT NULL,
  outcome TEXT,                  -- NULL: not asked yet
  detail TEXT, status INTEGER, final_url TEXT,
  file TEXT,                     -- from the folder of the journal
  sha256 TEXT,                   -- of the bytes that came
  bytes INTEGER, height INTEGER, width INTEGER, format TEXT,
  tries INTEGER NOT NULL DEFAULT 0, seconds REAL, finished REAL
);
CREATE INDEX urls_by_outcome ON urls (outcome, label, id);
CREATE INDEX urls_by_sha256 ON urls (sha256) WHERE sha256 IS NOT NULL;
CREATE TABLE repeats (url INTEGER NOT NULL, source INTEGER NOT NULL, line INTEGER NOT NULL, label TEXT NOT NULL,
  PRIMARY KEY (source, line, url)) WITHOUT ROWID;
CREATE TABLE boke (url INTEGER NOT NULL, number TEXT NOT NULL, text TEXT NOT NULL, star INTEGER, page TEXT NOT NULL,
  category TEXT, credit TEXT, PRIMARY KEY (url, number, text)) WITHOUT ROWID;
CREATE TABLE removals (file TEXT PRIMARY KEY) WITHOUT ROWID;  -- to be deleted, and not yet
"""

COLUMNS = (
    "url", "label", "split", "outcome", "detail", "status", "final_url", "file", "sha256", "bytes", "height", "width",
    "format", "tries", "seconds",
)  # fmt: skip


class Journal:
    """A journal that is open.

    Args:
        path: the SQLite file.
        read_only: it must exist, and nothing is mended.

    Raises:
        InputError: it is no journal, of a later version, or may not be read.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path, self.folder, self.read_only = path, path.parent, read_only
        self.parts = self.folder / (PARTS + path.stem.removeprefix("fetch"))
        try:
            try:
                self.connect("?mode=ro" if read_only else "")
            except sqlite3.OperationalError:
                if not read_only:
                    raise
                self.connect("?immutable=1")  # a folder that one may not write, after a fetch that was killed
            self.prepare(read_only)
        except sqlite3.Error as error:
            raise InputError(f"{path} is no journal of imgnn fetch, or is damaged: {error}") from error

    def connect(self, how: str) -> None:
        self.db = sqlite3.connect(
            f"file:{quote(str(self.path))}{how}", uri=True, isolation_level=None, check_same_thread=False
        )
        self.db.row_factory = sqlite3.Row
        self.db.execute("SELECT count(*) FROM sqlite_master")

    def prepare(self, read_only: bool) -> None:
        if not read_only:
            self.db.execute("PRAGMA journal_mode = WAL")
            self.db.execute("PRAGMA synchronous = NORMAL")  # a kill loses nothing; a power cut at most the last second
        tables = {row[0] for row in self.db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables and not read_only:
            with self.transaction():
                for statement in SCHEMA.split(";\n"):
                    self.db.execute(statement)
                self.db.execute("INSERT INTO facts VALUES ('version', ?)", (VERSION,))
        elif "urls" not in tables or "facts" not in tables:
            raise sqlite3.DatabaseError("it has other tables")
        if (version := self.fact("version")) != VERSION:
            raise InputError(f"{self.path} is a journal of version {version}; this imgnn knows {VERSION}")
        if not read_only:
            self.parts.mkdir(exist_ok=True)
            self.mend()

    def mend(self) -> None:
        """Finish what a killed process had begun: see the module."""
        for part in self.parts.iterdir():
            number = part.name.partition("-")[0]
            row = self.db.execute("SELECT file FROM urls WHERE id = ? AND outcome = ?", (number, OK)).fetchone()
            known = row is not None and part.name == part_name(int(number), row["file"])
            if known and not (self.folder / row["file"]).exists():
                self.move(part, row["file"])
            else:
                part.unlink()
        self.remove_files()

    def close(self) -> None:
        if not self.read_only:
            with contextlib.suppress(OSError, InputError):
                self.mend()  # what cannot be done now is done when it is opened again
                self.parts.rmdir()
            with contextlib.suppress(sqlite3.Error):
                self.db.execute("PRAGMA journal_mode = DELETE")  # so that it can be read where one may not write
        self.db.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block is written, or nothing.

        Raises:
            InputError: the disk is full, or another process holds the journal.
        """
        try:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self.db.execute("ROLLBACK")
                raise
            self.db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise InputError(f"cannot write {self.path}: {error}") from error

    def fact(self, name: str) -> Any:
        """A fact about the journal itself; None if it is not known."""
        row = self.db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def set_fact(self, name: str, value: Any) -> None:
        self.db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    # Listing

    def knows_source(self, digest: str, shard: tuple[int, int] = (1, 1)) -> bool:
        """Whether every line of a source with these contents, or of this part of it, is in the journal."""
        found = self.db.execute(
            "SELECT 1 FROM sources WHERE digest = ? AND part IN ('1/1', ?)", (digest, part_words(shard))
        )
        return found.fetchone() is not None

    def add_source(self, name: str, digest: str, lines: Iterable[Listed], shard: tuple[int, int] = (1, 1)) -> None:
        """Take a source in, all of it or nothing.

        An address that is in the journal already is noted as a repeat: it is asked once, and belongs to the class that
        named it first.

        Args:
            shard: `(i, n)`: only the addresses are taken of which it is the turn of part i of n, and every part gives
                an address the same place in the order.
        """
        with self.transaction():
            source = self.db.execute(
                "INSERT INTO sources (name, digest, part) VALUES (?, ?, ?)", (name, digest, part_words(shard))
            ).lastrowid
            following = self.fact("next") or 1
            for id, listed in enumerate(lines, following):
                following = id + 1
                if shard == (1, 1) or is_turn_of(shard, listed.url):
                    self.add(id, listed, source or 0)
            self.set_fact("next", following)

    def add(self, id: int, listed: Listed, source: int) -> None:
        row = (id, listed.url, listed.label, listed.split, source, listed.line)
        outcome = "bad_url" if listed.refusal else None
        made = self.db.execute(
            "INSERT INTO urls (id, url, label, split, source, line, outcome, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (url) DO NOTHING",
            (*row, outcome, listed.refusal),
        ).rowcount
        if not made:
            (id, same) = self.db.execute(
                "SELECT id, source != ? AND label = ? FROM urls WHERE url = ?", (source, listed.label, listed.url)
            ).fetchone()
            # Many lines under one picture are the rule; and a list that has grown brings its old lines again.
            if listed.boke is None and not same:
                self.db.execute("INSERT INTO repeats VALUES (?, ?, ?, ?)", (id, source, listed.line, listed.label))
        if (boke := listed.boke) is not None:
            self.db.execute(
                "INSERT OR IGNORE INTO boke SELECT ?, ?, ?, ?, name, ?, ? FROM sources WHERE id = ?",
                (id, boke.number, boke.text, boke.star, boke.category, boke.credit, source),
            )

    def ask_again(self, outcomes: Sequence[str]) -> int:
        """Put addresses back among those that wait; how many.

        Args:
            outcomes: of those; and LOST for pictures whose file is not there any more.
        """
        marks = ",".join("?" * len(outcomes))
        again = "UPDATE urls SET outcome = NULL, detail = NULL, sha256 = NULL, file = NULL WHERE"
        lost = [(id,) for id, _ in self.lost_files()] if LOST in outcomes else []
        with self.transaction():
            self.db.executemany(f"{again} id = ?", lost)
            return len(lost) + self.db.execute(f"{again} outcome IN ({marks})", outcomes).rowcount

    # Fetching

    def needs_network(self) -> bool:
        """Whether an address waits that is not a file of a can."""
        waits = "SELECT 1 FROM urls WHERE outcome IS NULL AND url NOT LIKE 'file:%' LIMIT 1"
        return self.db.execute(waits).fetchone() is not None

    def waiting(self, after: int, count: int, label: str | None = None) -> list[Waiting]:
        """The next addresses that wait, in their order.

        Args:
            after: an id; 0 for the first.
            label: of this class only.
        """
        # Of all classes by their ids: the index has those of each class in order, and would be sorted every time.
        which = "NOT INDEXED WHERE" if label is None else "WHERE label = :label AND"
        found = self.db.execute(
            f"SELECT id, url, label FROM urls {which} outcome IS NULL AND id > :after ORDER BY id LIMIT :count",
            {"after": after, "count": count, "label": label},
        )
        return [Waiting(*row) for row in found]

    def settle(self, results: Sequence[Result], *, many: int) -> list[tuple[str, str, int]]:
        """Write results down, and put their files in place.

        The same bytes of several addresses: the first address in the order keeps them, the others are duplicates. Of
        `many` addresses or more, it is a picture that stands for one that is gone, and none keeps it. So the end does
        not depend on the order in which the answers come.

        Args:
            many: 0: there is no such number.

        Returns:
            How the counts change: `(outcome, label, +1 or -1)`.
        """
        changes: list[tuple[str, str, int]] = []
        moves: list[tuple[Path, str]] = []
        with self.transaction():
            for result in results:
                changes += self.write(result, many, moves)
        try:
            for part, file in moves:
                if part.exists():  # else it was replaced, in the same breath, by an address before it
                    self.move(part, file)
            self.remove_files()
        except OSError as error:  # what is not moved is moved when the journal is opened again
            raise InputError(f"cannot write {error.filename2 or error.filename}: {error.strerror}") from error
        return changes

    def write(self, result: Result, many: int, moves: list[tuple[Path, str]]) -> list[tuple[str, str, int]]:
        """One result of `settle`."""
        row = self.db.execute("SELECT url, label, tries FROM urls WHERE id = ?", (result.id,)).fetchone()
        outcome, detail, file = result.outcome, result.detail, None
        changes: list[tuple[str, str, int]] = []
        if result.sha256 is not None:
            same = self.db.execute(
                "SELECT id, url, label, outcome, file FROM urls WHERE sha256 = ? AND id != ? ORDER BY id",
                (result.sha256, result.id),
            ).fetchall()
            if many and (len(same) + 1 >= many or any(other["outcome"] == "placeholder" for other in same)):
                outcome, detail = "placeholder", f"the same bytes came from {many} addresses or more"
                for other in same:
                    changes += self.demote(other, outcome, detail)
            elif outcome == OK and same and same[0]["id"] < result.id:
                outcome, detail = "duplicate", f"of {same[0]['url']}"
            elif outcome == OK:
                for other in same:
                    changes += self.demote(other, "duplicate", f"of {row['url']}")
                file = f"{self.class_folder(row['label'])}{file_stem(row['url'])}{result.suffix}"
        if result.part:
            part = self.parts / result.part
            if file is None:
                part.unlink(missing_ok=True)
            else:
                moves.append((part, file))
        self.db.execute(
            "UPDATE urls SET outcome = ?, detail = ?, status = ?, final_url = ?, file = ?, sha256 = ?, bytes = ?, "
            "height = ?, width = ?, format = ?, tries = ?, seconds = ?, finished = ? WHERE id = ?",
            (
                outcome, detail or None, result.status, result.final_url, file, result.sha256, result.bytes,
                result.height, result.width, result.format, row["tries"] + result.tries, round(result.seconds, 3),
                round(result.finished, 1), result.id,
            ),
        )  # fmt: skip
        return [*changes, (outcome, row["label"], 1)]

    def demote(self, row: sqlite3.Row, outcome: str, detail: str) -> list[tuple[str, str, int]]:
        """Give another outcome to a row with the same bytes, and its file up."""
        if row["outcome"] == outcome and outcome == "placeholder":
            return []
        if row["file"]:
            self.db.execute("INSERT OR IGNORE INTO removals VALUES (?)", (row["file"],))
            (self.parts / part_name(row["id"], row["file"])).unlink(missing_ok=True)
        self.db.execute(
            "UPDATE urls SET outcome = ?, detail = ?, file = NULL WHERE id = ?", (outcome, detail, row["id"])
        )
        return [(row["outcome"], row["label"], -1), (outcome, row["label"], 1)]

    def move(self, part: Path, file: str) -> None:
        """A part to its place."""
        target = self.folder / file
        try:
            part.replace(target)
        except FileNotFoundError:  # the first of its class
            target.parent.mkdir(parents=True, exist_ok=True)
            part.replace(target)

    def remove_files(self) -> None:
        """Delete what was given up."""
        files = [row[0] for row in self.db.execute("SELECT file FROM removals")]
        if files:
            for file in files:
                (self.folder / file).unlink(missing_ok=True)
            with self.transaction():
                self.db.execute("DELETE FROM removals")

    def class_folder(self, label: str) -> str:
        """The folder of a class, with a "/" at its end: its name as far as a file system takes it, and no other's."""
        if not label:
            return ""
        row = self.db.execute("SELECT folder FROM classes WHERE label = ?", (label,)).fetchone()
        if row:
            return f"{row[0]}/"
        safe = safe_name(label, 80) or "class"
        safe = f"_{safe}" if re.fullmatch(r"(?i)fetch.*\.sqlite.*|boke\.jsonl", safe) else safe  # our own files
        folder, count = safe, 1
        while self.db.execute("SELECT 1 FROM classes WHERE folder = ?", (folder,)).fetchone():
            count += 1
            folder = f"{safe}-{count}"
        self.db.execute("INSERT INTO classes VALUES (?, ?)", (label, folder))
        return f"{folder}/"

    # Reading

    def class_folders(self) -> dict[str, str]:
        """Label -> the folder of its pictures."""
        return dict(self.db.execute("SELECT label, folder FROM classes").fetchall())

    def story(self, what: str) -> list[dict[str, Any]]:
        """Everything that is known of an address, or of a file: `cats/tom-0123456789ab.jpg`, or only its name.

        Returns:
            One dict for each address that is meant: the columns, and `source`, `line`, `repeats`, `boke`.
        """
        found = self.db.execute(
            "SELECT u.*, s.name AS list FROM urls u JOIN sources s ON s.id = u.source "
            "WHERE u.url = :what OR u.final_url = :what OR u.file = :what OR u.file LIKE '%/' || :what ORDER BY u.id",
            {"what": what},
        ).fetchall()
        stories = []
        for row in found:
            repeats = self.db.execute(
                "SELECT s.name, r.line, r.label FROM repeats r JOIN sources s ON s.id = r.source WHERE r.url = ?",
                (row["id"],),
            )
            lines = self.db.execute("SELECT text, star FROM boke WHERE url = ? ORDER BY number", (row["id"],))
            stories.append(
                {**dict(row), "repeats": [tuple(each) for each in repeats], "boke": [tuple(each) for each in lines]}
            )
        return stories

    def missing_parts(self) -> list[str]:
        """Which parts of lists that were fetched in parts are not here: "part 3/3 of big.txt"."""
        found: dict[tuple[str, str], set[str]] = {}
        for name, digest, part in self.db.execute("SELECT name, digest, part FROM sources ORDER BY id"):
            found.setdefault((name, digest), set()).add(part)
        missing = []
        for (name, _), parts in found.items():
            count = int(next(iter(parts)).partition("/")[2])
            absent = [f"{index}/{count}" for index in range(1, count + 1) if f"{index}/{count}" not in parts]
            missing += [f"part {part} of {name}" for part in absent if "1/1" not in parts]
        return missing

    def lost_files(self) -> list[tuple[int, str]]:
        """Pictures that were kept and are not there any more: id and file."""
        rows = self.db.execute("SELECT id, file FROM urls WHERE outcome = ?", (OK,))
        return [(row["id"], row["file"]) for row in rows if not (self.folder / row["file"]).is_file()]

    def repeats(self) -> tuple[int, int]:
        """How many lines named an address that was known already, and how many of them under another class."""
        row = self.db.execute(
            "SELECT count(*), coalesce(sum(r.label != u.label), 0) FROM repeats r JOIN urls u ON u.id = r.url"
        ).fetchone()
        return row[0], row[1]

    def counts(self) -> dict[str, int]:
        """Outcome -> how many; "waiting" for those that were not asked."""
        rows = self.db.execute("SELECT coalesce(outcome, 'waiting'), count(*) FROM urls GROUP BY outcome")
        return dict(rows.fetchall())

    def counts_by_class(self) -> dict[str, dict[str, int]]:
        """Label -> outcome -> how many."""
        found: dict[str, dict[str, int]] = {}
        for label, outcome, count in self.db.execute(
            "SELECT label, coalesce(outcome, 'waiting'), count(*) FROM urls GROUP BY label, outcome ORDER BY min(id)"
        ):
            found.setdefault(label, {})[outcome] = count
        return found

    def digest(self) -> str:
        """A hash of what was fetched: every file with its bytes' hash, its address and its class."""
        result = hashlib.sha256()
        for row in self.db.execute("SELECT url, label, file, sha256 FROM urls WHERE outcome = ? ORDER BY id", (OK,)):
            result.update("\0".join(row).encode() + b"\n")
        return result.hexdigest()

    def rows(self, *, only: str | None = None) -> Iterator[Mapping[str, Any]]:
        """Every address with what is known of it, in order."""
        where, words = ("WHERE outcome = ?", (only,)) if only else ("", ())
        for row in self.db.execute(f"SELECT {', '.join(COLUMNS)} FROM urls {where} ORDER BY id", words):
            yield {**dict(row), "outcome": row["outcome"] or "waiting"}


def part_words(shard: tuple[int, int]) -> str:
    """`2/4`."""
    return f"{shard[0]}/{shard[1]}"


def is_turn_of(shard: tuple[int, int], url: str) -> bool:
    """Whether an address is one of part i of n."""
    index, parts = shard
    return int(hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()[:8], 16) % parts == index - 1


def find_journal(folder: Path) -> Path:
    """The journal of a folder of fetched pictures: its own, or the only one of a part.

    Raises:
        InputError: there is none, or there are several parts.
    """
    if is_file(path := folder / NAME):
        return path
    parts = sorted(folder.glob("fetch-*-of-*.sqlite")) if is_folder(folder) else []
    if len(parts) == 1:
        return parts[0]
    if parts:
        raise InputError(
            f"{folder} holds the journals of {len(parts)} parts", hint=f"imgnn fetch --merge {folder} -o {folder}"
        )
    raise InputError(f"{folder} holds no {NAME}: nothing was fetched into it", hint="imgnn fetch LIST -o FOLDER")


def unfinished(folder: Path) -> int:
    """How many addresses of a folder wait that its last fetch meant to ask; 0 if nothing was fetched into it."""
    if not is_file(folder / NAME):
        return 0
    with Journal(folder / NAME, read_only=True) as journal:
        return 0 if journal.fact("limit") is not None else journal.counts().get("waiting", 0)


def journal_digest(folder: Path) -> str | None:
    """What was fetched into a folder, as `Journal.digest`; None if nothing was."""
    if not is_file(folder / NAME):
        return None
    with Journal(folder / NAME, read_only=True) as journal:
        return journal.digest()
