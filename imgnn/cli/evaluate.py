"""`imgnn evaluate`: a group, with a command for each kind of thing that is judged."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from imgnn.cli import console, evaluate_boke, evaluate_caption
from imgnn.cli.early import check_there
from imgnn.cli.parsing import (
    COUNT,
    NAMED,
    RESULT,
    UNSAID,
    Crops,
    Json,
    Oversample,
    Root,
    Run,
    chosen_network,
    option,
    refuse_without,
)
from imgnn.options import EvaluateOptions
from imgnn.runs import percent

if TYPE_CHECKING:
    import numpy as np

    from imgnn.jobs.evaluate import Evaluated

CLASSES, WORST = 30, 15  # classes in the table; of more, the worst
MATRIX = 10  # classes of which the confusion matrix is shown
PAIRS = 10  # mistakes that are shown

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")


@app.callback()
def evaluate() -> None:
    """Tell how good a network or a model is, where the truth is known.

    \b
    Example:
      imgnn evaluate classify photos_val.txt --run photos_run
      imgnn evaluate caption captions.jsonl --model captions_run
      imgnn evaluate boke boke.jsonl --model boke_run
    """


@app.command()
def classify(
    sources: Annotated[
        list[Path], typer.Argument(metavar="LIST", help="List files, or folders of class folders.", show_default=False)
    ],
    run: Run = None,
    network: Annotated[str | None, typer.Option("--network", show_default=False, **NAMED)] = None,
    root: Root = EvaluateOptions.root,
    top: Annotated[
        int, option(RESULT, "Right also if the class is among so many most probable ones: top-5.", **COUNT)
    ] = EvaluateOptions.top,
    oversample: Oversample = EvaluateOptions.oversample,
    batch: Crops = EvaluateOptions.batch,
    output: Annotated[
        Path | None,
        option(RESULT, "A table with a row for each picture: .csv.", "--output", "-o", metavar="FILE", **UNSAID),
    ] = None,
    json: Json = False,
) -> None:
    """Tell how often a classifier is right, class by class, and what it confuses.

    LIST has a line `path label` for each picture; or it is a folder of class
    folders, which are called like the network's classes.

    \b
    Example:
      imgnn evaluate classify photos_val.txt --run photos_run
      imgnn evaluate classify photos_val.txt --run photos_run -o predictions.csv
      imgnn evaluate classify photos_val.txt --run photos_run --oversample --json
    """
    chosen = chosen_network(network, run)
    if chosen is None:
        raise typer.BadParameter("which network: --run RUN or --network NAME is expected")
    if root is not None and all(each.is_dir() for each in sources):
        refuse_without("--root", "a list: a folder has its own pictures")
    check_there(sources)
    options = EvaluateOptions(network=chosen, root=root, top=top, oversample=oversample, batch=batch)

    from imgnn.jobs.evaluate import evaluate_classifier  # Keras wakes here, not at --help

    reporter = console.reporter()
    result = console.ending(reporter, lambda: evaluate_classifier(sources, options, reporter, output=output))
    console.note_skipped(result.skipped)
    if json:
        console.print_json(as_json(result) | {"path": console.shown(output) if output else None})
    else:
        show(result)
        if output is not None:
            console.show_path(output)
    console.refuse_skipped(result.skipped, len(result.scores.files))


def as_json(result: "Evaluated") -> dict[str, object]:
    """The fields of `--json`; docs/evaluate.md describes them."""
    scores = result.scores
    pictures = scores.confusion.sum(axis=1)
    recall, precision = scores.recall, scores.precision
    return {
        "network": result.network,
        "pictures": len(scores.files),
        "accuracy": scores.accuracy,
        "top": result.top,
        "top_accuracy": result.top_accuracy,
        "loss": scores.loss,
        "classes": [
            {
                "class_index": index,
                "words": line,
                "pictures": int(pictures[index]),
                "recall": number(recall[index]),
                "precision": number(precision[index]),
            }
            for index, line in enumerate(scores.classes)
        ],
        "confusion": scores.confusion.tolist(),
        "most_confused": [
            {"true": true, "predicted": predicted, "count": count}
            for true, predicted, count in scores.most_confused(PAIRS)
        ],
        "skipped": console.skipped_json(result.skipped),
    }


def number(value: float) -> float | None:
    """A number for JSON, which knows no nan."""
    return None if math.isnan(value) else float(value)


def show(result: "Evaluated") -> None:
    """The numbers of all pictures, the classes, the confusion matrix, and the mistakes made most often."""
    scores, names = result.scores, result.names
    rows = [("accuracy", percent(scores.accuracy))]
    if (top := result.top_accuracy) is not None:
        rows.append((f"top-{result.top}", percent(top)))
    skipped = f", {len(result.skipped):,} skipped" if result.skipped else ""
    rows += [("loss", f"{scores.loss:.4f}"), ("pictures", f"{len(scores.files):,}{skipped}")]
    for name, value in rows:
        console.out.print(Text.assemble((f" {name:<10}", "dim"), (value, "bold")), highlight=False)
    show_classes(result)
    if len(names) <= MATRIX:
        show_matrix(scores.confusion, names)
    if pairs := scores.most_confused(PAIRS):
        console.out.print(" Most confused", style="dim")
        console.print_table(pairs_table(pairs, scores.confusion.sum(axis=1), names))


def show_classes(result: "Evaluated") -> None:
    """A row for each class with pictures; of many classes, those that are found least often."""
    scores, names = result.scores, result.names
    pictures, recall, precision = scores.confusion.sum(axis=1), scores.recall, scores.precision
    seen = [index for index in range(len(names)) if pictures[index]]
    shown: Sequence[int] = range(len(names)) if len(names) <= CLASSES else seen
    if len(shown) > CLASSES:
        shown = sorted(shown, key=lambda index: (recall[index], -pictures[index], index))[:WORST]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("", justify="right", style="dim")
    table.add_column("Class")
    for heading in ("Pictures", "Recall", "Precision"):
        table.add_column(heading, justify="right")
    for index in shown:
        table.add_row(
            str(index),
            console.Name(names[index]),
            f"{pictures[index]:,}",
            percent(recall[index]),
            percent(precision[index]),
        )
    console.print_table(table)
    told = ""
    if len(shown) < len(seen):
        told = f" The {len(shown)} of {len(seen):,} classes that are found least often; --json has all"
    elif len(seen) < len(names) > CLASSES:
        told = f" {len(names) - len(seen):,} more classes have no picture here"
    if told:
        console.out.print(Text(f"{told}\n", style="dim"), highlight=False, soft_wrap=True)


def show_matrix(confusion: "np.ndarray", names: Sequence[str]) -> None:
    """The confusion matrix: the classes' names above it where they fit, else their numbers."""
    screen = console.out.width
    table = matrix_table(confusion, names, names)
    if width(table).maximum > screen:
        table = matrix_table(confusion, names, [str(index) for index in range(len(names))])
    if console.out.is_terminal and width(table).minimum > screen:
        console.out.print(
            " The confusion matrix does not fit on this screen; --json has it\n", style="dim", soft_wrap=True
        )
        return
    told = " Confusion: a row for each class, a column for what its pictures were taken for"
    console.out.print(told, style="dim", soft_wrap=True)
    console.print_table(table)


def width(table: Table) -> Measurement:
    """The columns that a table needs: at least, with names cut; and with whole ones."""
    return console.out.measure(table, options=console.out.options.update(max_width=10_000))


def matrix_table(confusion: "np.ndarray", names: Sequence[str], headings: Sequence[str]) -> Table:
    """A row for each class, a column for what its pictures were taken for."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("", justify="right", style="dim", no_wrap=True)
    table.add_column("")
    for heading in headings:
        table.add_column(Text(heading), justify="right", no_wrap=True)
    for true, row in enumerate(confusion):
        cells: list[Any] = [str(true), console.Name(names[true])]
        for predicted, count in enumerate(row):
            style = "bold" if true == predicted else "" if count else "dim"
            cells.append(Text(f"{count:,}" if count else "·", style=style))
        table.add_row(*cells)
    return table


def pairs_table(pairs: Sequence[tuple[int, int, int]], pictures: "np.ndarray", names: Sequence[str]) -> Table:
    """The mistakes made most often: `12 of 60  roses  taken for  tulips`."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    for justify in ("right", "left", "left", "left"):
        table.add_column(justify=justify)
    for true, predicted, count in pairs:
        table.add_row(
            f" {count:,} of {pictures[true]:,}",
            console.Name(names[true]),
            Text("taken for", style="dim"),
            console.Name(names[predicted]),
        )
    return table


app.command()(evaluate_caption.caption)
app.command()(evaluate_boke.boke)
