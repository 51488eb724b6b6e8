"""`imgnn style`."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from imgnn.cli import console
from imgnn.cli.early import check_output, check_pictures
from imgnn.cli.parsing import (
    CHOSEN,
    COUNT,
    NETWORK,
    NUMBER,
    POSITIVE,
    RESULT,
    SECONDS,
    UNSAID,
    Json,
    Network,
    Precision,
    TileSize,
    option,
    options_of,
    parse_numbers,
    parse_seconds,
    refuse_together,
    refuse_without,
    settings_of,
    was_given,
)
from imgnn.options import StyleOptions, option_name
from imgnn.runs import counted, duration

PICTURE, WEIGHTS = "The picture", "Weights"
STEPS, WORK = "The optimisation", "The work"


def parse_axis(text: str) -> tuple[str, tuple[Any, ...]]:
    """`style-weight=10,100` -> an option and its values. Anything else is a usage error."""
    name, _, values = text.partition("=")
    own = {option_name(field.name)[2:]: field for field in fields(StyleOptions)}
    if values and name not in own:
        raise typer.BadParameter(f"there is no option --{name} to vary")
    if values and "tuple" in str(own[name].type):
        raise typer.BadParameter(f"--{name} has values with commas in them, and cannot be varied")
    if not values:
        raise typer.BadParameter(f"OPTION=VALUE,VALUE,... is expected, as style-weight=10,100,1000, not {text!r}")
    if own[name].type is bool:
        raise typer.BadParameter(f"--grid takes options with values, not --{name}")
    kind = getattr(own[name].type, "__name__", str(own[name].type).split(" |")[0])
    number: Callable[[str], Any] = parse_seconds if name == "max-time" else {"int": int, "float": float}.get(kind, str)
    try:
        return own[name].name, tuple(number(word.strip()) for word in values.split(","))
    except ValueError:
        raise typer.BadParameter(f"the values of {name} are numbers, not {values!r}") from None


WEIGHT: dict[str, Any] = {**NUMBER, "rich_help_panel": WEIGHTS}


def style(
    context: typer.Context,
    content: Annotated[
        Path | None, typer.Argument(metavar="CONTENT", help="The photo whose content is kept.", show_default=False)
    ] = None,
    styles: Annotated[
        list[Path] | None, typer.Argument(metavar="STYLE", help="The pictures to paint it like.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        option(
            RESULT,
            "The picture made: .png, .jpg, .webp, .tif. \\[default: CONTENT-STYLE.png, in this folder]",
            "--output",
            "-o",
            metavar="IMAGE",
            **UNSAID,
        ),
    ] = None,
    size: Annotated[
        int, option(PICTURE, "The long side; the shape is the content's.", metavar="PIXELS", min=1)
    ] = StyleOptions.size,
    init: Annotated[
        str,
        option(
            PICTURE,
            "What to start from: the photo, noise, the style, or a picture of its own.",
            metavar="content|random|style|IMAGE",
        ),
    ] = StyleOptions.init,
    colours: Annotated[
        Literal["style", "original", "luminance", "match", "histogram"],
        option(
            PICTURE,
            "Whose colours: the style's (style); the photo's, put back (original) or never touched (luminance); "
            "the style's brought near the photo's first (match, histogram).",
            metavar="WAY",
        ),
    ] = StyleOptions.colours,
    masks: Annotated[
        list[Path] | None,
        option(
            PICTURE,
            "Where a style is painted: white. One for each style, in their order.",
            "--mask",
            metavar="IMAGE",
            **UNSAID,
        ),
    ] = None,
    seed: Annotated[
        int,
        option(PICTURE, "The same one draws the same noise and shifts: --init random, --jitter.", metavar="N", min=0),
    ] = StyleOptions.seed,
    content_weight: Annotated[
        float, typer.Option(help="More keeps more of the photo.", **WEIGHT)
    ] = StyleOptions.content_weight,
    style_weight: Annotated[
        float, typer.Option(help="More takes more of the style.", **WEIGHT)
    ] = StyleOptions.style_weight,
    tv_weight: Annotated[
        Any,
        typer.Option(
            help="More makes it smoother (total variation). \\[default: 0.001; of mini 0]",
            show_default=False,
            **WEIGHT,
        ),
    ] = StyleOptions.tv_weight,
    style_blend: Annotated[
        Any,
        option(
            WEIGHTS,
            "How much of each style, as 3,1. \\[default: the same of all]",
            parser=parse_numbers,
            metavar="A,B,...",
            **UNSAID,
        ),
    ] = None,
    style_scale: Annotated[
        float, typer.Option(help="Size of the style against the picture: larger strokes.", **{**WEIGHT, **POSITIVE})
    ] = StyleOptions.style_scale,
    dream: Annotated[
        Any,
        option(
            WEIGHTS,
            "Layers, or LAYER:CHANNEL, that are amplified beside: DeepDream.",
            **{**CHOSEN, "metavar": "LAYER[:CHANNEL],..."},
        ),
    ] = None,
    dream_weight: Annotated[
        float, typer.Option(help="The pull of --dream, as a share of the style's.", **WEIGHT)
    ] = StyleOptions.dream_weight,
    network: Network = StyleOptions.network,
    content_layers: Annotated[
        Any, option(NETWORK, "Where the content is compared. \\[default: the network's own]", **CHOSEN)
    ] = None,
    style_layers: Annotated[
        Any,
        option(
            NETWORK,
            "Where the style is compared; =2 doubles a layer's weight. \\[default: the network's own]",
            **CHOSEN,
        ),
    ] = None,
    pooling: Annotated[Literal["max", "average"], option(NETWORK, "What pooling layers take.")] = StyleOptions.pooling,
    normalise_gradients: Annotated[
        bool,
        option(NETWORK, "Divide each layer's gradient by its L1 norm; with --tv-weight 1e-5.", "--normalise-gradients"),
    ] = StyleOptions.normalise_gradients,
    min_size: Annotated[
        int, option(STEPS, "The long side it begins with; √2 larger each time.", metavar="PIXELS", min=16)
    ] = StyleOptions.min_size,
    initial_iterations: Annotated[
        int, option(STEPS, "Evaluations of the loss at the first of several sizes.", **COUNT)
    ] = StyleOptions.initial_iterations,
    iterations: Annotated[
        int, option(STEPS, "Evaluations of the loss at each further size, or the only one.", **COUNT)
    ] = StyleOptions.iterations,
    optimizer: Annotated[
        Literal["lbfgs", "adam"] | None,
        option(STEPS, "What moves the picture. \\[default: lbfgs; adam with fourier or jitter]", **UNSAID),
    ] = StyleOptions.optimizer,
    learning_rate: Annotated[
        Any,
        option(
            STEPS,
            "How far a step goes: a factor with lbfgs, grey levels with adam. "
            "\\[default: 1; adam 5, 0.05 with fourier]",
            **POSITIVE,
            **UNSAID,
        ),
    ] = StyleOptions.learning_rate,
    history: Annotated[int, option(STEPS, "Steps that lbfgs remembers.", **COUNT)] = StyleOptions.history,
    average: Annotated[
        float, option(STEPS, "Take the mean of the iterates: 0.99 keeps that much a step.", metavar="0..1")
    ] = StyleOptions.average,
    parameter: Annotated[
        Literal["pixels", "fourier"], option(STEPS, "What is optimised; fourier cures grids.", "--param")
    ] = StyleOptions.parameter,
    jitter: Annotated[
        int, option(STEPS, "Shift before each look, at most.", metavar="PIXELS", min=0)
    ] = StyleOptions.jitter,
    tolerance: Annotated[
        float,
        option(STEPS, "A size ends when 30 evaluations lower the loss by less than this share; 0: never.", **NUMBER),
    ] = StyleOptions.tolerance,
    max_time: Annotated[
        Any, option(STEPS, "For the optimisation: 90s, 5m, 1h. Every size gets its share.", **SECONDS, **UNSAID)
    ] = None,
    precision: Precision = StyleOptions.precision,
    tile_size: TileSize = StyleOptions.tile_size,
    preview: Annotated[
        int | None, option(WORK, "Show the picture so far in OUTPUT.preview.png.", metavar="STEPS", min=1, **UNSAID)
    ] = StyleOptions.preview,
    keep_every: Annotated[
        int | None, option(WORK, "Keep the picture so far: OUTPUT_0100.png, ...", metavar="STEPS", min=1, **UNSAID)
    ] = StyleOptions.keep_every,
    log: Annotated[
        Path | None,
        option(WORK, "Write every step's loss and its parts, a JSON object a line.", metavar="FILE", **UNSAID),
    ] = None,
    dry_run: Annotated[bool, option(WORK, "Only say sizes, steps, time and memory.", "--dry-run")] = False,
    resume: Annotated[
        bool, option(WORK, "Go on where this command was stopped: with the same options again.", "--resume")
    ] = False,
    rerun: Annotated[
        Path | None,
        option(WORK, "Do again what made this picture; other options change it.", metavar="IMAGE", **UNSAID),
    ] = None,
    grid: Annotated[
        list[str] | None,
        option(
            WORK,
            "A sheet over values of an option: style-weight=10,100,1000. Twice: rows and columns.",
            metavar="OPTION=A,B,...",
            **UNSAID,
        ),
    ] = None,
    verbose: Annotated[
        bool, option(WORK, "Also show the weights of the layers, as Gatys writes them.", "--verbose", "-v")
    ] = False,
    json: Json = False,
) -> None:
    """Paint a photo like another picture.

    Ctrl-C saves the best picture so far, and --resume goes on from there.
    The picture keeps every setting in its metadata, for --rerun.

    \b
    Example:
      imgnn style photo.jpg painting.jpg -o out.png
      imgnn style photo.jpg painting.jpg mosaic.jpg --size 256 --colours original
      imgnn style photo.jpg painting.jpg --size 1024 --dry-run
    """
    given = {name: value for name, value in context.params.items() if was_given(context, name)}
    check_pictures(each for each in (content, *(styles or ()), *(masks or ())) if each is not None)
    check_output(output)
    reporter = console.reporter(log, append=resume)
    if rerun is None:
        if content is None or not styles:
            raise typer.BadParameter("CONTENT and at least one STYLE are expected")
        options = options_of(StyleOptions, context)
    else:
        from imgnn.jobs.style_state import read_run

        content, styles, options = read_run(rerun, content, styles, reporter)
        options = replace(options, **settings_of(StyleOptions, given))
        output = output or Path(f"{rerun.stem}-again{rerun.suffix}")
    options.check(len(styles))
    output = output or Path("-".join(path.stem for path in (content, *styles)) + ".png")
    axes = dict(parsed := [parse_axis(each) for each in grid or ()])
    if len(axes) < len(parsed):
        raise typer.BadParameter("each is to vary another option", param_hint="--grid")
    if options.dream == () and "dream_weight" in {*given, *axes}:
        refuse_without("--dream-weight", "--dream")
    for alone, others in (("dry_run", ("grid", "resume", "verbose", "log")), ("grid", ("verbose", "log"))):
        if alone in given and (beside := next((each for each in others if each in given), None)):
            refuse_together(option_name(alone), option_name(beside))
    if dry_run:
        from imgnn.jobs.style_probe import probe

        estimate = probe(content, styles, options, reporter)
        if json:
            facts = console.as_json(estimate, memory={"peak": estimate.bytes})
            del facts["bytes"]
            console.print_json(facts)
        else:
            console.out.print(str(estimate), highlight=False)
    elif axes:
        from imgnn.jobs.style_grid import draw_grid

        path = draw_grid(content, styles, output, options, axes, reporter, resume=resume)
        console.print_json({"path": console.shown(path)}) if json else console.show_path(path)
    else:
        from imgnn.jobs.style import stylise

        result = stylise(content, styles, output, options, reporter, resume=resume, verbose=verbose)
        if json:
            console.print_json(console.as_json(result))
        else:
            of = f"{result.steps:,} of " if result.steps < result.planned else ""
            steps = f"{of}{counted(result.planned, 'step')}"
            console.note(f"{steps} in {duration(result.seconds)}, loss {result.loss:.4g}{ENDED[result.ended]}")
            console.tell_finer(context, "vgg19")
            console.show_path(result.path)


ENDED = {"done": "", "plateau": "; it fell no more", "time": "; the time was up"}
