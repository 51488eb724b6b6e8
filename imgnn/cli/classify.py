"""`imgnn classify`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from imgnn.cli import console
from imgnn.cli.parsing import (
    COUNT,
    RESULT,
    Crops,
    JsonLines,
    Network,
    Oversample,
    Run,
    chosen_network,
    option,
    was_given,
)
from imgnn.cli.rows import Form, Lists, Output, Pictures, Rows, chosen_format, find, row_of
from imgnn.options import ClassifyOptions

if TYPE_CHECKING:
    from imgnn.jobs.classify import Classified
    from imgnn.networks.predict import Prediction

COLUMNS = ("file", "rank", "class_index", "wnid", "words", "prob")


def classify(
    context: typer.Context,
    images: Pictures = None,
    lists: Lists = None,
    network: Network = ClassifyOptions.network,
    run: Run = None,
    top: Annotated[int, option(RESULT, "Classes shown, most probable first.", **COUNT)] = ClassifyOptions.top,
    oversample: Oversample = ClassifyOptions.oversample,
    batch: Crops = ClassifyOptions.batch,
    form: Form = None,
    json: JsonLines = False,
    output: Output = None,
) -> None:
    """Name what is in a picture: the most probable classes of a network.

    \b
    Example:
      imgnn classify boat.jpg --run photos_run
      ls photos/fish/*.jpg | imgnn classify - --run photos_run --json > fish.jsonl
      # with SqueezeNet, 5 MB to download
      imgnn classify cat.jpg holiday/ --top 3
    """
    network = chosen_network(network if was_given(context, "network") else None, run) or network
    options = ClassifyOptions(network=network, top=top, oversample=oversample, batch=batch)
    form = chosen_format(form, json, output)
    files = find(images, lists)

    from imgnn.jobs.classify import classify_images  # Keras wakes here, not at --help

    reporter = console.reporter()
    try:
        Writer(form, output, network).add_all(classify_images(files, options, reporter), len(files), reporter)
    finally:
        reporter.end()


class Writer(Rows):
    """Puts classes where they are wanted: on stdout, or in a file."""

    def __init__(self, form: str, output: Path | None, network: str) -> None:
        super().__init__(form, output, COLUMNS)
        self.network = network

    def add(self, result: "Classified") -> None:
        """One picture that could be read."""
        path = console.shown(result.path)
        if self.form == "table" and console.out.is_terminal:
            show(result)
        elif self.form == "table":
            for each in result.predictions:
                self.put(f"{path}\t{each.prob:.3f}\t{each.words or number_of(each)}")
        elif self.form == "csv":
            for rank, each in enumerate(result.predictions, 1):
                self.put(row_of((path, rank, each.class_index, each.wnid, each.words, round(each.prob, 6))))
        else:
            self.put_json(as_json(result, self.network))


def number_of(prediction: "Prediction") -> str:
    """A class by its numbers."""
    wnid, index = prediction.wnid, prediction.class_index
    return f"{wnid}, {index}" if wnid else f"class {index}"


def as_json(result: "Classified", network: str) -> dict[str, object]:
    """The fields of one line of `--json`; docs/classify.md describes them."""
    return {
        "file": console.shown(result.path),
        "network": network,
        "predictions": [
            {"class_index": each.class_index, "prob": round(each.prob, 6), "wnid": each.wnid, "words": each.words}
            for each in result.predictions
        ],
    }


def show(result: "Classified") -> None:
    """The path, then a line for each class, cut to the screen's width."""
    lines = [Text(console.shown(result.path), style="bold")]
    for each in result.predictions:
        number = number_of(each)
        tail = Text(f"  ({number})" if each.words else "", style="dim")
        line = Text.assemble("  ", (f"{each.prob:.3f}", "cyan"), "  ", each.words or number)
        line.truncate(console.out.width - len(tail), overflow="ellipsis")
        lines.append(line + tail)
    for line in lines:
        console.out.print(line, soft_wrap=True, highlight=False)
