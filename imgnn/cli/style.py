"""`imgnn style`."""

import contextlib
import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from imgnn.cli import console
from imgnn.options import StyleOptions

PICTURE, WEIGHTS, LAYERS, STEPS = "The picture", "Weights", "The network and its layers", "The optimisation"


def parse_weight(text: str) -> float:
    """`0.05`: 0 or more, and finite, which "inf" and "nan" are not. Anything else is a usage error."""
    with contextlib.suppress(ValueError):
        if math.isfinite(weight := float(text)) and weight >= 0:
            return weight
    raise typer.BadParameter(f"a number, 0 or more, is expected, not {text!r}")


WEIGHT: dict[str, Any] = {"parser": parse_weight, "metavar": "FLOAT", "rich_help_panel": WEIGHTS}


def style(
    content: Annotated[
        Path, typer.Argument(metavar="CONTENT", help="The photo whose content is kept.", show_default=False)
    ],
    styles: Annotated[
        list[Path], typer.Argument(metavar="STYLE", help="The pictures to paint it like.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The picture made: .png, .jpg, .webp, .tif. [default: CONTENT-STYLE.png, in this folder]",
            rich_help_panel=PICTURE,
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        int, typer.Option(help="Long side in pixels; the shape is the content's.", min=1, rich_help_panel=PICTURE)
    ] = StyleOptions.size,
    init: Annotated[
        Literal["content", "random", "style"], typer.Option(help="What to start from.", rich_help_panel=PICTURE)
    ] = StyleOptions.init,
    seed: Annotated[int, typer.Option(help="Of --init random.", min=0, rich_help_panel=PICTURE)] = StyleOptions.seed,
    content_weight: Annotated[
        float, typer.Option(help="More keeps more of the photo.", **WEIGHT)
    ] = StyleOptions.content_weight,
    style_weight: Annotated[
        float, typer.Option(help="More takes more of the style.", **WEIGHT)
    ] = StyleOptions.style_weight,
    tv_weight: Annotated[
        float, typer.Option(help="More makes it smoother (total variation).", **WEIGHT)
    ] = StyleOptions.tv_weight,
    style_blend: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="How much of each style, as 3,1. [default: the same of all]",
            rich_help_panel=WEIGHTS,
            show_default=False,
        ),
    ] = None,
    network: Annotated[
        str,
        typer.Option(
            "--network", "-n", help="A name of imgnn networks, or a .keras or .caffemodel file.", rich_help_panel=LAYERS
        ),
    ] = StyleOptions.network,
    content_layers: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Where the content is compared. [default: the network's own]",
            rich_help_panel=LAYERS,
            show_default=False,
        ),
    ] = None,
    style_layers: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Where the style is compared. [default: the network's own]",
            rich_help_panel=LAYERS,
            show_default=False,
        ),
    ] = None,
    iterations: Annotated[
        int, typer.Option(help="Evaluations of the loss.", min=1, rich_help_panel=STEPS)
    ] = StyleOptions.iterations,
    optimizer: Annotated[
        Literal["adam", "lbfgs"], typer.Option(help="How to move.", rich_help_panel=STEPS)
    ] = StyleOptions.optimizer,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="How far: grey levels with adam, a factor with lbfgs. [default: 20; 1]",
            rich_help_panel=STEPS,
            show_default=False,
        ),
    ] = StyleOptions.learning_rate,
    json: Annotated[bool, typer.Option("--json", help="The result as one JSON document on stdout.")] = False,
) -> None:
    """Paint a photo like another picture.

    Ctrl-C stops early and saves the best picture so far. The picture keeps every setting in its metadata.

    \b
    Example:
      imgnn style photo.jpg painting.jpg -o out.png --size 768
    """
    options = StyleOptions(
        network=network,
        size=size,
        iterations=iterations,
        content_weight=content_weight,
        style_weight=style_weight,
        tv_weight=tv_weight,
        style_blend=parse_numbers("--style-blend", style_blend),
        content_layers=parse_words("--content-layers", content_layers),
        style_layers=parse_words("--style-layers", style_layers),
        init=init,
        optimizer=optimizer,
        learning_rate=learning_rate,
        seed=seed,
    )
    output = output or Path("-".join(path.stem for path in (content, *styles)) + ".png")
    from imgnn.jobs.style import stylise

    result = stylise(content, styles, output, options, console.reporter())
    if json:
        console.print_json({**asdict(result), "path": console.shown(result.path)})
    else:
        console.note(f"{result.steps} steps in {result.seconds:.1f} s, loss {result.loss:.4g}")
        console.out.print(console.shown(result.path), markup=False, highlight=False, soft_wrap=True)


def parse_words(option: str, text: str | None) -> tuple[str, ...] | None:
    """`conv1,fire2/concat` -> its names; None stays None. An empty name is a usage error."""
    if text is None:
        return None
    words = tuple(word.strip() for word in text.split(","))
    if not all(words):
        raise typer.BadParameter(f"names with commas between them are expected, not {text!r}", param_hint=option)
    return words


def parse_numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    """`3,1` -> its numbers; None stays None. Anything else is a usage error."""
    try:
        return None if text is None else tuple(float(word) for word in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"numbers with commas between them are expected, not {text!r}", param_hint=option
        ) from None
