"""A journal in other forms: CSV, JSON, JSON Lines, Parquet, and the pictures as tar files (webdataset)."""

import csv
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from imgnn.data.gather import class_order
from imgnn.data.journal import COLUMNS, Journal
from imgnn.data.outcomes import OK
from imgnn.errors import InputError
from imgnn.runs import Reporter, Silent, check_folder, write_aside

FORMS = (".csv", ".json", ".jsonl", ".parquet", ".tar")
PER_TAR = 10_000  # pictures in one tar file, as webdataset's readers like them
WHOLE = ("status", "bytes", "height", "width", "tries")  # columns of whole numbers


def export(journal: Journal, path: Path, reporter: Reporter | None = None, *, per_tar: int = PER_TAR) -> list[Path]:
    """Write a journal in the form that the suffix names: .csv, .json, .jsonl or .parquet; or its pictures as .tar.

    Tables have a row for each address, in the order of the lists. A tar has, for each picture, `000000012.jpg`, its
    class as `000000012.cls` (the number that `imgnn label` gives it) and everything that is known of it as
    `000000012.json`; the same journal gives the same bytes. More than `per_tar` pictures become several files,
    `name-000000.tar`, `name-000001.tar`, ...

    Returns:
        The files.

    Raises:
        InputError: another suffix, no folder, no pyarrow; or a picture of the journal is missing.
    """
    reporter = reporter or Silent()
    form = path.suffix.lower()
    if form not in FORMS:
        raise InputError(f"a journal is exported as {', '.join(FORMS)}, not {form or 'a file without suffix'}: {path}")
    check_folder(path)
    if form == ".tar":
        return export_tar(journal, path, reporter, per_tar)
    with write_aside(path) as aside:
        if form == ".parquet":
            write_parquet(journal, aside)
        else:
            with aside.open("w", encoding="utf-8", newline="") as file:
                if form == ".csv":
                    table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                    table.writeheader()
                    table.writerows(journal.rows())
                elif form == ".jsonl":
                    file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in journal.rows())
                else:
                    json.dump(list(journal.rows()), file, ensure_ascii=False, indent=1)
    return [path]


def write_parquet(journal: Journal, path: Path) -> None:
    """The journal as Parquet, in pieces: any number of rows needs the same memory."""
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise InputError("a Parquet file needs pyarrow", hint="pip install 'imgnn[parquet]'") from None
    kinds = {name: arrow.int64() for name in WHOLE} | {"seconds": arrow.float64()}
    schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in COLUMNS])
    with parquet.ParquetWriter(path, schema) as writer:
        for rows in pieces(journal.rows(), 50_000):
            writer.write_table(arrow.Table.from_pylist(rows, schema))


def pieces(rows: Iterator[Mapping[str, Any]], size: int) -> Iterator[list[Mapping[str, Any]]]:
    """Rows in lists of at most so many."""
    piece: list[Mapping[str, Any]] = []
    for row in rows:
        piece.append(row)
        if len(piece) == size:
            yield piece
            piece = []
    if piece:
        yield piece


def export_tar(journal: Journal, path: Path, reporter: Reporter, per_tar: int) -> list[Path]:
    """The pictures as tar files."""
    counts = journal.counts()
    filled = {label for label, found in journal.counts_by_class().items() if OK in found}
    labels = {folder: label for label, folder in journal.class_folders().items() if label in filled}
    classes = {labels[folder]: index for index, folder in enumerate(class_order(labels))}
    reporter.begin("packing", counts.get(OK, 0), "pictures")
    written: list[Path] = []
    several = counts.get(OK, 0) > per_tar
    for number, rows in enumerate(pieces(journal.rows(only=OK), per_tar)):
        target = path.with_name(f"{path.stem}-{number:06d}.tar") if several else path
        with write_aside(target) as aside, tarfile.open(aside, "w", format=tarfile.USTAR_FORMAT) as tar:
            for index, row in enumerate(rows, number * per_tar):
                add_sample(tar, f"{index:09d}", row, journal.folder, classes)
                reporter.advance(index + 1)
        written.append(target)
    reporter.end()
    return written


def add_sample(
    tar: tarfile.TarFile, key: str, row: Mapping[str, Any], folder: Path, classes: Mapping[str, int]
) -> None:
    """One picture and what is known of it."""
    try:
        data = (folder / row["file"]).read_bytes()
    except OSError as error:
        raise InputError(f"{folder / row['file']} is in the journal, and cannot be read: {error.strerror}") from error
    members = {PurePosixPath(row["file"]).suffix: data}
    if row["label"]:
        members[".cls"] = str(classes[row["label"]]).encode()
    facts = {name: row[name] for name in COLUMNS if name not in ("seconds", "tries", "outcome", "detail")}
    members[".json"] = json.dumps(facts, ensure_ascii=False).encode()
    for suffix, content in members.items():
        entry = tarfile.TarInfo(key + suffix)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
