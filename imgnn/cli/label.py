"""`imgnn label`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from imgnn.cli import console
from imgnn.cli.parsing import RESULT, UNSAID, Dask, Json, Workers, option, options_of, refuse_together, was_given
from imgnn.options import LabelOptions, option_name
from imgnn.runs import counted

if TYPE_CHECKING:
    from imgnn.data.findings import Finding
    from imgnn.jobs.label import ClassCount, Labelled
    from imgnn.jobs.label_sheets import Sheets

LABELS, SPLIT, CHECKS = "The labels", "The split", "The checks"
GIVEN = "given"
ROWS = 20  # classes in the table; of more, the largest and the smallest

LISTING = ("number", "add", "split", "check", "keep", "min_side", "near", "dask")  # that --show has no use for


def parse_shares(text: str) -> tuple[float, ...] | str:
    """`0.8/0.1/0.1` or `80/10/10` -> shares with the sum 1; `given`. Anything else is a usage error."""
    if text == GIVEN:
        return GIVEN
    try:
        shares = [float(word) for word in text.split("/")]
    except ValueError:
        shares = []
    whole = next((each for each in (1, 100) if abs(sum(shares) - each) < 1e-6 * each), None)
    if len(shares) not in (2, 3) or whole is None or min(shares) <= 0:
        raise typer.BadParameter(f"two or three shares with the sum 1 are expected, as 0.8/0.1/0.1, not {text!r}")
    return tuple(share / whole for share in shares)


def parse_kinds(text: str) -> tuple[str, ...]:
    """`tiny,blank` -> its words; which of them there are is looked up by the job."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def label(
    context: typer.Context,
    source: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER|LIST", help="A folder of class folders; or lists, to be looked through."),
    ],
    output: Annotated[
        Path | None,
        option(
            RESULT,
            "The list to write; of --show, the folder for the sheets. "
            "\\[default: FOLDER.txt, beside FOLDER; LIST_sheets, beside LIST]",
            "--output",
            "-o",
            metavar="FILE",
            **UNSAID,
        ),
    ] = None,
    show: Annotated[
        bool, option(RESULT, "Only draw a contact sheet of each class of a list, or of a quarantine list.", "--show")
    ] = False,
    json: Json = False,
    number: Annotated[
        int | None, option(LABELS, "The label of all pictures.", "--label", metavar="N", min=0, **UNSAID)
    ] = LabelOptions.label,
    add: Annotated[
        bool, option(LABELS, "Add to the list that is there; what is in it stays.", "--add")
    ] = LabelOptions.add,
    root: Annotated[
        Path | None,
        option(
            LABELS,
            "The folder that paths in the list start from. \\[default: the one labelled]",
            metavar="FOLDER",
            **UNSAID,
        ),
    ] = LabelOptions.root,
    split: Annotated[
        Any,
        option(
            SPLIT,
            "Shares of train, val and test, as 0.8/0.1/0.1, or of train and val; copies stay together. "
            "given: the parts of the list that was fetched.",
            parser=parse_shares,
            metavar="A/B/C",
            **UNSAID,
        ),
    ] = None,
    seed: Annotated[
        int,
        option(
            SPLIT, "The same one draws the same split, and the same pictures for a contact sheet.", metavar="N", min=0
        ),
    ] = LabelOptions.seed,
    check: Annotated[
        bool, option(CHECKS, "Decode every picture; what is known from the last time is kept.")
    ] = LabelOptions.check,
    keep: Annotated[
        Any,
        option(
            CHECKS,
            "Findings that leave no picture out: placeholder, tiny, blank, conflict, leak, duplicate, repeated.",
            parser=parse_kinds,
            metavar="KIND,...",
            **UNSAID,
        ),
    ] = None,
    min_side: Annotated[
        int, option(CHECKS, "A picture is tiny whose shorter side has less.", metavar="PIXELS", min=1)
    ] = LabelOptions.min_side,
    near: Annotated[
        int,
        option(
            CHECKS,
            "How far two pictures' looks, 64 bits each, may differ if they are nearly the same.",
            metavar="BITS",
            min=0,
            max=12,
        ),
    ] = LabelOptions.near,
    workers: Workers = LabelOptions.workers,
    dask: Dask = LabelOptions.dask,
) -> None:
    """Make list files of class folders: class words, train/val/test, bad pictures left out.

    Every folder right in FOLDER is a class. FOLDER.txt has a line `path label`
    for each picture; copies, damaged, tiny and blank ones are listed in
    FOLDER_quarantine.txt instead. No picture is moved or deleted.

    \b
    Example:
      imgnn label photos
      imgnn label photos --split 0.8/0.2
      imgnn label photos_train.txt photos_val.txt
      imgnn label --show photos_train.txt
    """
    options = options_of(
        LabelOptions, context, label=number, split=split if split and split != GIVEN else (), given_split=split == GIVEN
    )
    if show:
        if len(source) > 1:
            raise typer.BadParameter(f"--show takes one list, not {len(source)}")
        if idle := [name for name in LISTING if was_given(context, name)]:
            refuse_together("--show", "--label" if idle[0] == "number" else option_name(idle[0]))
        from imgnn.jobs.label_sheets import draw_sheets  # NumPy wakes here, not at --help

        sheets = draw_sheets(source[0], output, options, console.reporter())
        console.print_json(sheets_as_json(sheets)) if json else print_sheets(sheets)
        return
    from imgnn.jobs.label import label_pictures

    result = label_pictures(source, output, options, console.reporter())
    console.print_json(as_json(result)) if json else print_result(result)


def as_json(result: "Labelled") -> dict[str, object]:
    """The fields of `--json`; docs/label.md describes them."""
    from imgnn.data.findings import printable

    return {
        "pictures": result.pictures,
        "lists": {console.shown(path): count for path, count in result.lists.items()},
        "files": [console.shown(path) for path in result.others],
        "classes": [
            {"class_index": each.label, "words": each.name, "counts": list(each.counts)} for each in result.classes
        ],
        "left_out": result.left_out,
        "findings": [
            {
                "kind": each.kind,
                "path": printable(each.path),
                "left_out": each.left_out,
                "other": printable(each.other) or None,
                "detail": each.detail,
            }
            for each in result.findings
        ],
    }


def sheets_as_json(sheets: "Sheets") -> dict[str, object]:
    """The same of `--show`."""
    files = [console.shown(path) for path in sheets.files]
    return {"files": files, "pictures": sheets.pictures, "skipped": console.skipped_json(sheets.skipped)}


def print_result(result: "Labelled") -> None:
    """What was found, the classes, and the files."""
    if result.findings:
        console.print_table(findings_table(result.findings))
    console.print_table(class_table(result.classes, list(result.lists)))
    words = f"{counted(result.pictures, 'picture')}, {counted(len(result.classes), 'class')}"
    words += f", {result.left_out:,} left out" if result.left_out else ""
    words += "" if result.checked else "; not decoded: copies and damage were not looked for"
    console.out.print(Text(words), soft_wrap=True, highlight=False)
    for path in (*result.lists, *result.others) if result.others else ():
        console.show_path(path)
    if not result.others:
        console.note("Nothing was written; -o NAME.txt writes what is left.")


def findings_table(findings: Sequence["Finding"]) -> Table:
    """A row for each kind of finding: what is left out first."""
    from imgnn.data.findings import KINDS, OF_CLASSES, printable

    rows: dict[tuple[str, bool], list[Finding]] = {}
    for each in findings:
        rows.setdefault((each.kind, each.left_out), []).append(each)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("Finding", no_wrap=True)
    table.add_column("Count", justify="right")
    table.add_column("", no_wrap=True)
    table.add_column("The first")
    for (kind, left_out), found in sorted(rows.items(), key=lambda row: (not row[0][1], KINDS.index(row[0][0]))):
        fate = (
            Text("left out", style="yellow")
            if left_out
            else Text("told" if kind in OF_CLASSES else "kept", style="dim")
        )
        first = printable(found[0].path)
        if kind in OF_CLASSES and found[0].detail:
            first += f": {found[0].detail}"
        table.add_row(kind, f"{len(found):,}", fate, console.Name(first))
    return table


def class_table(classes: Sequence["ClassCount"], lists: Sequence[Path]) -> Table:
    """A row for each class: its pictures in each list. Of many classes, the largest and the smallest."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("", justify="right", style="dim")
    table.add_column("Class")
    for path in lists:
        table.add_column(path.stem if len(lists) == 1 else path.stem.rpartition("_")[2], justify="right")
    by_size = sorted(classes, key=lambda each: (-sum(each.counts), each.label))
    dropped = by_size[ROWS // 2 : -ROWS // 2] if len(classes) > ROWS else []
    rows = by_size if dropped else list(classes)
    for each in rows:
        if each in dropped[1:]:
            continue
        if dropped and each is dropped[0]:
            table.add_row("", Text(f"and {len(dropped):,} between", style="dim"), *("…" for _ in lists))
        else:
            table.add_row(str(each.label), console.Name(each.name), *(f"{count:,}" for count in each.counts))
    if len(classes) > 1:
        table.add_section()
        table.add_row(
            "", "all", *(f"{sum(counts):,}" for counts in zip(*(each.counts for each in classes), strict=True))
        )
    return table


def print_sheets(sheets: "Sheets") -> None:
    """The files of the sheets."""
    for path in sheets.files:
        console.show_path(path)
    if sheets.skipped:
        console.note(f"{len(sheets.skipped):,} that cannot be read are not shown")
