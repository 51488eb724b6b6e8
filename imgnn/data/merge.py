"""Several journals into one: of parts that other machines fetched, or of folders that grew apart."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from imgnn.data.items import Result, part_name
from imgnn.data.journal import Journal
from imgnn.data.outcomes import OK
from imgnn.errors import InputError, missing
from imgnn.runs import Reporter, is_folder

BATCH = 500
SAME = ("status", "final_url", "sha256", "bytes", "height", "width", "format", "tries")  # of a row and of a `Result`


def journals_of(places: Sequence[Path]) -> list[Path]:
    """The journals that are meant: a file is itself, a folder all that are in it.

    Raises:
        InputError: there is no such file or folder, or a folder holds none.
    """
    found: list[Path] = []
    for place in places:
        if not place.exists():
            raise missing(place, "file or folder")
        inside = sorted(place.glob("fetch*.sqlite")) if is_folder(place) else [place]
        if not inside:
            raise InputError(f"{place} holds no journal of imgnn fetch", hint="imgnn fetch LIST -o FOLDER")
        found += inside
    return found


def merge(target: Journal, journals: Sequence[Path], reporter: Reporter, *, many: int) -> None:
    """Take over what other journals know, with their pictures, which stay where they are too.

    An address that several know of has the outcome of the one that brought a picture. Duplicates are told across all
    of them, so that the end is that of one journal that fetched everything.

    Args:
        many: as of `Journal.settle`.

    Raises:
        InputError: a journal cannot be read, its pictures are of another form, or one of them is missing.
    """
    for path in journals:
        if path.resolve() == target.path.resolve():
            continue
        with Journal(path, read_only=True) as other:
            if (form := target.fact("form")) is None:
                target.set_fact("form", other.fact("form"))
            elif form != other.fact("form"):
                raise InputError(f"{path} holds pictures kept in another form than those of {target.path}")
            take_over(target, other, reporter, many)


def take_over(target: Journal, other: Journal, reporter: Reporter, many: int) -> None:
    """One journal."""
    ids = take_over_lists(target, other)
    counts = other.counts()
    reporter.begin(f"merging {other.path}", sum(counts.values()), "addresses")
    batch: list[Result] = []
    settled = {row["id"]: row["outcome"] for row in target.db.execute("SELECT id, outcome FROM urls")}
    for number, row in enumerate(other.db.execute("SELECT * FROM urls ORDER BY id"), 1):
        id, outcome = ids[row["id"]], row["outcome"]
        # A picture takes the place of a failure; anything, that of nothing.
        if outcome is not None and (settled[id] is None or (outcome == OK and settled[id] not in (OK, "duplicate"))):
            part = None
            if outcome == OK:
                part = part_name(id, row["file"])
                bring(other.folder / row["file"], target.parts / part)
            batch.append(
                Result(
                    id,
                    outcome,
                    detail=row["detail"] or "",
                    part=part,
                    suffix=Path(row["file"]).suffix if part else "",
                    seconds=row["seconds"] or 0.0,
                    finished=row["finished"] or 0.0,
                    **{name: row[name] for name in SAME},
                )
            )
        if len(batch) >= BATCH:
            target.settle(batch, many=many)
            batch.clear()
        reporter.advance(number)
    target.settle(batch, many=many)
    if other.folder.resolve() == target.folder.resolve():
        remove_others(target, other)
    reporter.end()


def remove_others(target: Journal, other: Journal) -> None:
    """Of a part in the same folder: take away the pictures that are kept no more, or under another name now."""
    kept = {row["file"] for row in target.rows(only=OK)}
    with target.transaction():
        for row in other.db.execute("SELECT id, file FROM urls WHERE outcome = ?", (OK,)):
            if row["file"] not in kept:
                target.db.execute("INSERT OR IGNORE INTO removals VALUES (?)", (row["file"],))
    target.remove_files()


def take_over_lists(target: Journal, other: Journal) -> dict[int, int]:
    """The lines of the lists; gives an address's id there -> its id here."""
    ids: dict[int, int] = {}
    with target.transaction():
        sources: dict[int, int] = {}
        for row in other.db.execute("SELECT * FROM sources ORDER BY id"):
            target.db.execute("INSERT OR IGNORE INTO sources (name, digest, part) VALUES (?, ?, ?)", tuple(row)[1:])
            (sources[row["id"]],) = target.db.execute(
                "SELECT id FROM sources WHERE digest = ? AND part = ?", (row["digest"], row["part"])
            ).fetchone()
        following = max(target.fact("next") or 1, other.fact("next") or 1)
        for row in other.db.execute("SELECT id, url, label, split, source, line FROM urls ORDER BY id"):
            known = target.db.execute("SELECT id FROM urls WHERE url = ?", (row["url"],)).fetchone()
            if known is None:
                id = row["id"]
                if target.db.execute("SELECT 1 FROM urls WHERE id = ?", (id,)).fetchone():  # of other lists
                    id, following = following, following + 1
                target.db.execute(
                    "INSERT INTO urls (id, url, label, split, source, line) VALUES (?, ?, ?, ?, ?, ?)",
                    (id, row["url"], row["label"], row["split"], sources[row["source"]], row["line"]),
                )
            ids[row["id"]] = id if known is None else known["id"]
        target.set_fact("next", following)
        for row in other.db.execute("SELECT * FROM repeats"):
            target.db.execute(
                "INSERT OR IGNORE INTO repeats VALUES (?, ?, ?, ?)",
                (ids[row["url"]], sources[row["source"]], row["line"], row["label"]),
            )
        for row in other.db.execute("SELECT * FROM boke"):
            target.db.execute(
                "INSERT OR IGNORE INTO boke VALUES (?, ?, ?, ?, ?, ?, ?)", (ids[row["url"]], *tuple(row)[1:])
            )
    return ids


def bring(source: Path, target: Path) -> None:
    """A picture to another place, without its bytes where the file system can.

    Raises:
        InputError: it is missing, or cannot be written.
    """
    try:
        target.unlink(missing_ok=True)
        try:
            target.hardlink_to(source)
        except OSError:
            shutil.copyfile(source, target)
    except OSError as error:
        raise InputError(f"cannot copy {source}, which its journal names: {error.strerror or error}") from error
