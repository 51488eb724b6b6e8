"""`imgnn mean`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table
from rich.text import Text

from imgnn.cli import console
from imgnn.cli.parsing import (
    MACHINES,
    PICTURES,
    RESULT,
    UNSAID,
    Dask,
    Json,
    Root,
    Workers,
    option,
    parse_shard,
    parse_size,
    refuse_together,
    refuse_without,
    was_given,
)
from imgnn.options import MeanOptions, option_name

if TYPE_CHECKING:
    from imgnn.jobs.mean import MeanResult


def mean(
    context: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(metavar="LIST", help="A list file, or a folder of class folders; with --merge the parts."),
    ],
    output: Annotated[
        Path | None,
        option(
            RESULT,
            "What the files' names begin with. \\[default: LIST_mean, beside LIST]",
            "--output",
            "-o",
            metavar="PREFIX",
        ),
    ] = None,
    root: Root = MeanOptions.root,
    json: Json = False,
    size: Annotated[
        Any,
        option(
            PICTURES,
            "Pixels that every picture is brought to. \\[default: 256]",
            parser=parse_size,
            metavar="SIDE|HxW",
            **UNSAID,
        ),
    ] = None,
    crop: Annotated[
        Literal["caffe", "square"],
        option(PICTURES, "caffe: the whole picture, squeezed; square: its largest centred square."),
    ] = MeanOptions.crop,
    workers: Workers = MeanOptions.workers,
    shard: Annotated[
        Any, option(MACHINES, "Read part I of N alone, into PREFIX.npz.", parser=parse_shard, metavar="I/N", **UNSAID)
    ] = None,
    merge: Annotated[bool, option(MACHINES, "Put the parts of --shard together.", "--merge")] = False,
    dask: Dask = MeanOptions.dask,
) -> None:
    """Compute the mean picture of a data set, and list the pictures it is made of.

    It is what Caffe's networks subtract from each picture; a watermark or a frame
    that many pictures share shows in it, and is pointed out. The same command
    again goes on where it stopped.

    \b
    Example:
      imgnn mean photos_train.txt
      imgnn mean photos/ -o photos_mean --size 224 --crop square
      imgnn mean photos_train.txt --shard 1/2 -o part1
      imgnn mean photos_train.txt --shard 2/2 -o part2
      imgnn mean --merge part1.npz part2.npz -o both_mean
    """
    if merge and output is None:
        refuse_without("--merge", "--output")
    for name in ("size", "crop", "workers", "shard", "dask") if merge else ():
        if was_given(context, name):
            refuse_together("--merge", option_name(name))
    if not merge and len(sources) > 1:
        raise typer.BadParameter(f"one list or folder is expected, not {len(sources)}; --merge takes several parts")
    options = MeanOptions(root=root, size=size or MeanOptions.size, crop=crop, workers=workers, dask=dask, shard=shard)

    from imgnn.jobs.mean import compute_mean, merge_means  # NumPy and Pillow wake here, not at --help

    reporter = console.reporter()
    try:
        if merge and output is not None:
            result = merge_means(sources, output, options, reporter)
        else:
            result = compute_mean(sources[0], output, options, reporter)
    finally:
        reporter.end()
    if json:
        console.print_json({"path": console.shown(result.files[-1]), **(result.record or {})})
    else:
        show(result)


def show(result: "MeanResult") -> None:
    """The channels' numbers, how many pictures they are of, and the files."""
    if result.record is not None:
        record = result.record
        table = Table("", "blue", "green", "red", box=None, pad_edge=False, header_style="bold")
        for column in table.columns[1:]:
            column.justify = "right"
        for name in ("mean", "deviation"):
            table.add_row(name, *(f"{value:.2f}" for value in record["bgr"][name]))
        console.print_table(table)
        height, width = record["size"]
        used, listed = record["used"]["pictures"], record["list"]["pictures"]
        console.out.print(
            Text(f"\n{used:,} of {listed:,} pictures, {height} x {width}, {record['crop']}\n"), highlight=False
        )
    for path in result.files:
        console.show_path(path)
