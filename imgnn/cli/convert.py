"""`imgnn convert`."""

import importlib.util
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from imgnn.cli import console
from imgnn.cli.early import check_pictures, check_there
from imgnn.cli.parsing import NETWORK, RESULT, UNSAID, Json, option
from imgnn.errors import ConversionError
from imgnn.options import ConvertOptions

if TYPE_CHECKING:
    from imgnn.caffe.verify import Verification
    from imgnn.jobs.convert import Conversion

COLOURS = {"loaded": "green", "reshaped": "green", "filled": "green", "skipped": "yellow", "missing": "red"}


def convert(
    caffemodel: Annotated[Path, typer.Argument(metavar="X.caffemodel", help="The weights.", show_default=False)],
    prototxt: Annotated[
        Path | None,
        typer.Argument(
            metavar="X.prototxt", help="The definition, if the network is none of ours.", show_default=False
        ),
    ] = None,
    network: Annotated[
        str | None,
        option(NETWORK, "The name of imgnn networks that it is. \\[default: recognised]", metavar="NAME", **UNSAID),
    ] = ConvertOptions.network,
    output: Annotated[
        Path | None,
        option(
            RESULT,
            "The .keras file to write. \\[default: in IMGNN_HOME, one that is not recognised in this folder]",
            "--output",
            "-o",
            metavar="FILE",
            **UNSAID,
        ),
    ] = None,
    mean: Annotated[
        str | None,
        option(
            NETWORK,
            "Mean image (.binaryproto, .npy, picture), or numbers: 104,117,123 or 127.5. "
            "\\[default: the network's own]",
            metavar="FILE|NUMBERS",
            **UNSAID,
        ),
    ] = ConvertOptions.mean,
    scale: Annotated[
        float | None,
        option(
            NETWORK, "Factor after the mean is taken away. \\[default: the network's own]", metavar="NUMBER", **UNSAID
        ),
    ] = ConvertOptions.scale,
    rgb: Annotated[bool, option(NETWORK, "It was trained on RGB, not on Caffe's BGR.", "--rgb")] = ConvertOptions.rgb,
    words: Annotated[
        Path | None,
        option(
            NETWORK,
            "A line for each class: 'n02123045 tabby' or 'tabby'. \\[default: the network's own]",
            metavar="FILE",
            **UNSAID,
        ),
    ] = ConvertOptions.words,
    until: Annotated[
        str | None, option(NETWORK, "Import only what comes before this layer.", metavar="LAYER")
    ] = ConvertOptions.until,
    verify: Annotated[
        Path | None,
        option(RESULT, "Compare every blob with OpenCV (or our reference) on this picture.", metavar="IMAGE"),
    ] = ConvertOptions.verify,
    json: Json = False,
) -> None:
    """Turn a .caffemodel into one Keras file that explains itself.

    A network that imgnn knows is recognised and kept under its name,
    where every command finds it; any other is built from its prototxt.

    \b
    Example:
      imgnn convert edges.caffemodel edges.prototxt --verify cat.jpg
      imgnn dream cat.jpg --network edges.keras --layers contours
      # with files of yours
      imgnn convert squeezenet_v1.1.caffemodel
      imgnn convert mine.caffemodel mine.prototxt --mean mine_mean.binaryproto
    """
    check_there((each for each in (caffemodel, prototxt) if each is not None), "file")
    check_pictures([] if verify is None else [verify])

    from imgnn.jobs.convert import convert_caffemodel  # Keras wakes here, not at --help

    options = ConvertOptions(network=network, until=until, mean=mean, scale=scale, rgb=rgb, words=words, verify=verify)
    result = convert_caffemodel(caffemodel, prototxt, output, options, console.reporter())
    if json:
        console.print_json(as_json(result))
    else:
        show(result, caffemodel)
    if result.verification and not result.verification.ok():
        worst = result.verification.worst
        raise ConversionError(
            f"blob {worst.blob} differs from {worst.oracle} by {worst.relative_error:.1e} of its largest value; "
            f"the file was written nevertheless: {result.path}"
        )


def show(result: "Conversion", caffemodel: Path) -> None:
    """What became of each layer, the comparison, and where the file is."""
    console.print_table(blob_table(result))
    counts = [f"{count} {word}" for word in COLOURS if (count := result.count(word))]
    console.out.print(f" {', '.join(counts)}; {result.parameters:,} parameters", highlight=False, soft_wrap=True)
    for why in sorted({row.why for row in result.rows if row.why}):
        names = [row.layer for row in result.rows if row.why == why]
        few = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        console.out.print(Text(f" {few}: {why}", style="dim"), soft_wrap=True)
    if result.verification:
        console.out.print()
        show_verification(result.verification)
    console.out.print()
    if result.spec:
        console.out.print(Text(f" {caffemodel.name} is {result.spec.title}"), soft_wrap=True, highlight=False)
    console.show_path(result.path)
    console.tell_next(next_command(result))


def blob_table(result: "Conversion") -> Table:
    """A row for each layer with weights."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("Layer")
    table.add_column("In the file", overflow="fold")
    table.add_column("In Keras", overflow="fold")
    table.add_column("")
    for row in result.rows:
        status = Text(row.status, style=COLOURS[row.status])
        table.add_row(console.Name(row.layer), shapes(row.blob_shapes), shapes(row.keras_shapes), status)
    return table


def shapes(each: Sequence[tuple[int, ...]]) -> str:
    """`64x3x7x7, 64`."""
    return ", ".join("x".join(map(str, shape)) or "1" for shape in each) or "-"


def show_verification(verification: "Verification") -> None:
    """A row for each blob, or layer where several work in place on one; the worst is named."""
    from imgnn.caffe.verify import REFERENCE, TOLERANCE

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold underline")
    table.add_column("Output of")
    table.add_column("Type", no_wrap=True)
    table.add_column("Shape", no_wrap=True)
    for heading in ("Max error", "Relative"):
        table.add_column(heading, justify="right", no_wrap=True)
    written = Counter(row.blob for row in verification.rows)
    for row in verification.rows:
        name = row.blob if written[row.blob] == 1 else row.layer
        style = "" if row.relative_error <= TOLERANCE else "bold red"
        errors = [Text(f"{value:.1e}", style=style) for value in (row.max_error, row.relative_error)]
        table.add_row(console.Name(name), row.type, shapes([row.shape]), *errors)
    console.print_table(table)
    worst, reason = verification.worst, f" ({verification.reason})" if verification.reason else ""
    console.out.print(
        Text(f" against {verification.oracle}{reason}: at most {worst.relative_error:.1e}, in {worst.blob}"),
        soft_wrap=True,
    )
    if verification.oracle == REFERENCE and importlib.util.find_spec("cv2") is None:
        console.note("OpenCV, for a second opinion by others: pip install 'opencv-python-headless<5'")


def next_command(result: "Conversion") -> str:
    """A command to go on with."""
    from imgnn.options import StyleOptions

    name = result.network if result.is_kept else shlex.quote(str(result.path))
    if result.spec is None:
        return f"imgnn networks {name}"
    option = "" if name == StyleOptions.network else f" --network {name}"
    return f"imgnn style content.jpg style.jpg -o out.png{option}"


def as_json(result: "Conversion") -> dict[str, Any]:
    """The fields of `--json`; docs/convert.md describes them."""
    verified = result.verification
    return {
        "path": console.shown(result.path),
        "network": result.network,
        "recognised": result.spec.name if result.spec else None,
        "parameters": result.parameters,
        "sha256": result.sha256,
        "layers": [
            {
                "layer": row.layer,
                "status": row.status,
                "blobs": [list(shape) for shape in row.blob_shapes],
                "keras": [list(shape) for shape in row.keras_shapes],
                "why": row.why or None,
            }
            for row in result.rows
        ],
        "verification": verified
        and {
            "oracle": verified.oracle,
            "reason": verified.reason,
            "ok": verified.ok(),
            "blobs": [
                {
                    "blob": row.blob,
                    "layer": row.layer,
                    "type": row.type,
                    "shape": list(row.shape),
                    "max_error": row.max_error,
                    "relative_error": row.relative_error,
                }
                for row in verified.rows
            ],
        },
    }
