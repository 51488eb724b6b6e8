"""`imgnn classify`."""

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from imgnn.cli import console
from imgnn.cli.parsing import Run, chosen_network, was_given
from imgnn.errors import InputError
from imgnn.options import ClassifyOptions

if TYPE_CHECKING:
    from imgnn.jobs.classify import Classified


def classify(
    context: typer.Context,
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGE", help="Pictures, folders of pictures, or - for a list on standard input."),
    ],
    network: Annotated[
        str, typer.Option("--network", "-n", help="A name of `imgnn networks`, a run, a .keras or .caffemodel file.")
    ] = ClassifyOptions.network,
    run: Run = None,
    top: Annotated[int, typer.Option(help="Classes shown, most probable first.", min=1)] = ClassifyOptions.top,
    oversample: Annotated[
        bool, typer.Option("--oversample", help="Average over ten crops: four corners, centre, and mirrored.")
    ] = ClassifyOptions.oversample,
    batch: Annotated[
        int, typer.Option(help="Crops that go through the network at once.", min=1)
    ] = ClassifyOptions.batch,
    json: Annotated[bool, typer.Option("--json", help="One JSON object for each picture, on its own line.")] = False,
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
    paths = list(named(images))

    from imgnn.jobs.classify import classify_images  # Keras wakes here, not at --help

    reporter = console.reporter()
    failed = total = 0
    try:
        for result in classify_images(paths, options, reporter):
            if console.out.is_terminal:
                reporter.end()  # the results, on the same screen, show how far it is
            total += 1
            if result.error:
                failed += 1
                reporter.note(f"Skipped: {result.error}")
            elif json:
                console.print_json(as_json(result, network))
            else:
                show(result)
    finally:
        reporter.end()
    if failed:
        raise InputError(f"{failed} of {total} pictures could not be read")


def named(words: list[str]) -> Iterator[str]:
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
    """The path, then a line for each class; cut to the screen's width, whole in a pipe."""
    lines = [Text(console.shown(result.path), style="bold")]
    for each in result.predictions:
        number = f"{each.wnid}, {each.class_index}" if each.wnid else f"class {each.class_index}"
        tail = Text(f"  ({number})" if each.words else "", style="dim")
        line = Text.assemble("  ", (f"{each.prob:.3f}", "cyan"), "  ", each.words or number)
        if console.out.is_terminal:
            line.truncate(console.out.width - len(tail), overflow="ellipsis")
        lines.append(line + tail)
    for line in lines:
        console.out.print(line, soft_wrap=True, highlight=False)
