"""What the commands that answer for each picture have in common: which pictures, and where the answers go."""

import csv
import io
import json as json_format
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from imgnn.cli import console
from imgnn.cli.parsing import PICTURES, RESULT, UNSAID, option, refuse_together
from imgnn.errors import InputError, InterruptedRun, missing
from imgnn.runs import Reporter, check_folder, write_aside

Pictures = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="IMAGE",
        help="Pictures, folders, patterns as 'photos/*.jpg', or - for a list on standard input.",
        show_default=False,
    ),
]
Lists = Annotated[
    list[Path] | None,
    option(PICTURES, "A file with the path of a picture on each line.", "--list", "-l", metavar="FILE", **UNSAID),
]
Output = Annotated[
    Path | None,
    option(
        RESULT,
        "Write the result here: .csv, .json, .jsonl. \\[default: on standard output]",
        "--output",
        "-o",
        metavar="FILE",
        **UNSAID,
    ),
]
Form = Annotated[
    str | None,
    option(
        RESULT,
        "table, csv, jsonl (an object for each picture, a line) or json (one list of them). "
        "\\[default: by the suffix of --output, else table]",
        "--format",
        metavar="FORM",
        **UNSAID,
    ),
]
FORMS = ("table", "csv", "jsonl", "json")
FILED = {".csv": "csv", ".jsonl": "jsonl", ".json": "json"}  # by the suffix of --output


# Which pictures


def find(images: Sequence[str] | None, lists: Sequence[Path] | None) -> list[Path]:
    """The picture files that IMAGE... and --list mean. None of both is a usage error.

    Raises:
        InputError: there are none, none can be opened, or a list, a folder or a pattern gives none.
    """
    if not images and not lists:
        raise typer.BadParameter("which pictures: IMAGE... or --list FILE is expected")
    from imgnn.images.files import check_any_readable, find_images  # Pillow wakes here, not at --help

    files = find_images([*named(images or ()), *(path for file in lists or () for path in listed(read_bytes(file)))])
    check_any_readable(files)
    return files


def named(words: Iterable[str]) -> Iterator[str]:
    """The paths meant: `-` stands for standard input, a path on each line (or ended by NUL: `find -print0`)."""
    for word in words:
        if word == "-":
            yield from listed(sys.stdin.buffer.read())
        else:
            yield word


def listed(text: bytes) -> Iterator[str]:
    """The paths in a list."""
    lines = text.split(b"\0") if b"\0" in text else text.splitlines()
    return (os.fsdecode(line) for line in lines if line)


def read_bytes(file: Path) -> bytes:
    """The content of a list.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise missing(file) from None
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from error


# Where the answers go


def chosen_format(form: str | None, json: bool, output: Path | None, forms: Sequence[str] = FORMS) -> str:
    """The form of the result. Options that do not go together are a usage error.

    Args:
        forms: those that there are. All go into a file but `table`, for the screen, and `sidecar`, beside the pictures.

    Raises:
        InputError: `output` cannot be made.
    """
    if form is not None and form not in forms:
        raise typer.BadParameter(f"{form!r} is none of {', '.join(forms)}", param_hint="--format")
    if json and form not in (None, "json", "jsonl"):
        refuse_together("--json", f"--format {form}")
    filed = FILED.get(output.suffix.lower()) if output else None
    if json and form is None and filed == "csv":
        refuse_together("--json", f"--output {output}")
    form = form or filed or ("jsonl" if json else "table")
    if output is not None and form in ("table", "sidecar"):
        names = ", ".join(name for name in forms if name not in ("table", "sidecar"))
        raise typer.BadParameter(f"--output takes --format {names}, not {form}")
    if output is not None:
        check_folder(output)
    return form


class Rows:
    """Answers as rows: on stdout as they come, or at the end in a file.

    Args:
        form: one of `FORMS`, or of a command's own.
        output: the file; None: stdout.
        columns: the row above those of a CSV file.
        is_list: the rows are the items of one JSON list.
    """

    def __init__(self, form: str, output: Path | None, columns: Sequence[str], *, is_list: bool = False) -> None:
        self.form, self.output, self.is_list = form, output, is_list or form == "json"
        self.wait = self.is_list or output is not None  # nothing is written before the end, on stdout neither
        self.header = [row_of(columns)] if form == "csv" else []  # that nobody saw yet
        self.rows: list[str] = []  # that wait for the end

    def add(self, result: Any) -> None:
        """One picture that could be read: `put` its rows."""
        raise NotImplementedError

    def add_all(self, results: Iterable[Any], count: int, reporter: Reporter) -> None:
        """Every picture as its result comes; those that were added are kept, also after Ctrl-C.

        Args:
            count: of all pictures.

        Raises:
            InputError: some could not be read; all others were added.
            InterruptedRun: Ctrl-C.
        """
        failed = done = 0
        try:
            for result in results:
                if console.out.is_terminal and self.output is None:
                    reporter.end()  # the results, on the same screen, show how far it is
                done += 1
                if result.error:
                    failed += 1
                    reporter.note(f"Skipped: {result.error}")
                    if self.form in ("json", "jsonl"):  # who reads it is to know of all pictures
                        self.put_json({"file": console.shown(result.path), "error": str(result.error)})
                else:
                    self.add(result)
        except KeyboardInterrupt:
            raise InterruptedRun(f"{done:,} of {count:,} pictures are done") from None
        finally:
            reporter.end()
            if done:
                self.close()
        if failed:
            raise InputError(f"{failed} of {done} pictures could not be read")

    def put(self, row: str) -> None:
        """A row that ends here."""
        if self.wait:
            self.rows.append(row)
        else:
            print(*self.header, row, sep="\n", file=console.out.file, flush=True)
            self.header = []

    def put_json(self, fields: Mapping[str, Any]) -> None:
        """A row that is a JSON object."""
        self.put(json_format.dumps(fields, ensure_ascii=False))

    def close(self) -> None:
        """Write what waited."""
        rows = ["[" + ",\n ".join(self.rows) + "]"] if self.is_list else [*self.header, *self.rows]
        text = "".join(f"{row}\n" for row in rows)
        if self.output is None:
            print(text, end="", file=console.out.file, flush=True)
        else:
            with write_aside(self.output) as aside:
                aside.write_text(text, encoding="utf-8", newline="")
            console.show_path(self.output)


def row_of(values: Sequence[object]) -> str:
    """A line of CSV, without its end."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(values)
    return line.getvalue()
