"""`imgnn dream`."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from imgnn.cli import console
from imgnn.cli.early import check_output, check_pictures, known_network
from imgnn.cli.parsing import (
    CHOSEN,
    COUNT,
    NETWORK,
    NUMBER,
    POSITIVE,
    RESULT,
    UNSAID,
    Json,
    Network,
    Precision,
    TileSize,
    option,
    options_of,
    refuse_together,
    refuse_without,
    was_given,
)
from imgnn.options import ClassPictureOptions, DreamOptions, option_name
from imgnn.runs import counted, duration, percent

PICTURE, RAISED, STEPS = "The picture", "What is raised", "The way up"
FILM, KNOWS, WORK = "A film", "What the network knows", "The work"

# What every kind of picture takes, and what each takes beside; the first of a kind's own options chooses it.
ANY = {"context", "output", "network", "seed", "json"}
DREAM = {"image", "log", *(field.name for field in fields(DreamOptions))}
TAKES: dict[str, set[str]] = {
    "target": {"target", "preset", "judge", "iterations", "size", "log"},
    "neuron": {"neuron", "preset", "iterations", "size", "log"},
    "top_channels": {"top_channels", "image", "layers"},
    "zoom": {"zoom", "zoom_scale", *DREAM} - {"preview"},
    "dream": DREAM,
}


def dream(
    context: typer.Context,
    image: Annotated[
        Path | None, typer.Argument(metavar="IMAGE", help="The picture to dream on.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        option(
            RESULT,
            "The picture made: .png, .jpg, .webp, .tif; of a film .mp4, .gif, .webp, or a folder of frames. "
            "\\[default: IMAGE-dream.png or CLASS-dream.png, film .webp, channels IMAGE-channels.png; in this folder]",
            "--output",
            "-o",
            metavar="IMAGE",
            **UNSAID,
        ),
    ] = None,
    size: Annotated[
        int | None,
        option(
            PICTURE,
            "The long side; of a class both. \\[default: the picture's own; the network's]",
            metavar="PIXELS",
            min=1,
            **UNSAID,
        ),
    ] = DreamOptions.size,
    seed: Annotated[
        int,
        option(
            PICTURE,
            "The same one draws the same shifts, and the same noise that --class starts from.",
            metavar="N",
            min=0,
        ),
    ] = DreamOptions.seed,
    network: Network = DreamOptions.network,
    layers: Annotated[
        Any,
        option(
            NETWORK,
            "What is amplified: LAYER, LAYER:CHANNEL; =2 doubles a weight. \\[default: the network's own]",
            **{**CHOSEN, "metavar": "A,B:3=2,..."},
        ),
    ] = None,
    objective: Annotated[
        Literal["norm", "mean", "enhance"],
        option(RAISED, "The norm of all activations, their mean, or --gain times those of the picture."),
    ] = DreamOptions.objective,
    guide: Annotated[Path | None, option(RAISED, "Dream of what is in this one.", metavar="IMAGE", **UNSAID)] = None,
    gain: Annotated[
        float,
        option(RAISED, "With --objective enhance: how many times as strong activations become.", metavar="NUMBER"),
    ] = DreamOptions.gain,
    tv_weight: Annotated[
        float, option(RAISED, "With --objective enhance: more makes it smoother (total variation).", **NUMBER)
    ] = DreamOptions.tv_weight,
    octaves: Annotated[int, option(STEPS, "Sizes, smallest first.", **COUNT)] = DreamOptions.octaves,
    octave_scale: Annotated[
        float, option(STEPS, "From one octave's size to the next, above 1.", metavar="NUMBER")
    ] = DreamOptions.octave_scale,
    iterations: Annotated[
        int, option(STEPS, "Steps at each size; with --class all of them, by default the preset's.", **COUNT)
    ] = DreamOptions.iterations,
    optimizer: Annotated[
        Literal["ascent", "adam", "lbfgs"], option(STEPS, "What moves the picture.")
    ] = DreamOptions.optimizer,
    step_size: Annotated[
        Any,
        option(
            STEPS,
            "How far a step goes: grey levels, with lbfgs a factor. \\[default: 1.5; lbfgs 1]",
            **POSITIVE,
            **UNSAID,
        ),
    ] = DreamOptions.step_size,
    jitter: Annotated[
        int | None,
        option(
            STEPS, "Shift before each look, at most. \\[default: 32; 0 with lbfgs]", metavar="PIXELS", min=0, **UNSAID
        ),
    ] = DreamOptions.jitter,
    laplacian: Annotated[
        int,
        option(
            STEPS,
            "Laplacian pyramid in which all scales of the gradient are made equally strong: 4.",
            metavar="LEVELS",
            min=0,
        ),
    ] = DreamOptions.laplacian,
    smooth: Annotated[
        float, option(STEPS, "Smooth the gradient by a Gaussian of this many pixels.", **NUMBER)
    ] = DreamOptions.smooth,
    precision: Precision = DreamOptions.precision,
    tile_size: TileSize = DreamOptions.tile_size,
    zoom: Annotated[
        int | None, option(FILM, "A film: dream, come nearer, dream again.", metavar="FRAMES", min=1, **UNSAID)
    ] = None,
    zoom_scale: Annotated[
        float, option(FILM, "With --zoom: how much nearer each frame is, of the sides.", metavar="0..1")
    ] = 0.05,
    target: Annotated[
        str | None,
        option(
            KNOWS,
            "Draw what a class looks like: goldfish, n01443537, 1. No IMAGE.",
            "--class",
            metavar="NAME|INDEX",
            **UNSAID,
        ),
    ] = None,
    neuron: Annotated[
        str | None, option(KNOWS, "Draw what a channel fires on. No IMAGE.", metavar="LAYER:CHANNEL", **UNSAID)
    ] = None,
    preset: Annotated[
        Literal["A", "B", "C", "D", "fourier"],
        option(KNOWS, "What keeps --class and --neuron to a picture: the papers' A to D, or fourier."),
    ] = ClassPictureOptions.preset,
    judge: Annotated[
        str | None,
        option(
            KNOWS,
            "Which other network tells whether it sees the class. \\[default: one on this machine]",
            metavar="NETWORK",
            callback=known_network,
            **UNSAID,
        ),
    ] = ClassPictureOptions.judge,
    top_channels: Annotated[
        int | None,
        option(
            KNOWS,
            "A sheet of the channels of a layer that fire most on IMAGE, and what each looks for.",
            metavar="N",
            min=1,
            **UNSAID,
        ),
    ] = None,
    preview: Annotated[
        int | None, option(WORK, "Show the picture so far in OUTPUT.preview.png.", metavar="STEPS", min=1, **UNSAID)
    ] = DreamOptions.preview,
    log: Annotated[
        Path | None, option(WORK, "Write the objective of every step, a JSON object a line.", metavar="FILE", **UNSAID)
    ] = None,
    json: Json = False,
) -> None:
    """Amplify what the layers of a network see in a picture: DeepDream.

    Ctrl-C stops early and saves the picture so far.

    \b
    Example:
      imgnn dream sky.jpg
      imgnn dream sky.jpg --layers relu3_3 --guide flowers.jpg
      imgnn dream sky.jpg --layers relu3_3 --top-channels 4
      # with GoogLeNet, 54 MB to download
      imgnn dream --class goldfish
    """
    given = {name for name in context.params if was_given(context, name)}
    kind = kind_of(given)
    only = next((name for name in ("gain", "tv_weight") if name in given), None)
    if only and objective != "enhance":
        refuse_without(option_name(only), "--objective enhance")
    check_pictures(each for each in (image, guide) if each is not None)
    if zoom is None:
        check_output(output)
    reporter = console.reporter(log)
    result: Any
    if kind in ("target", "neuron"):
        from imgnn.jobs.class_picture import draw_class

        wanted = target or neuron or ""
        if target and "network" not in given:
            network = ClassPictureOptions.network  # one that knows classes
        drawing = ClassPictureOptions(
            wanted, network, preset, iterations if "iterations" in given else None, size, seed, judge
        )
        result = draw_class(output or Path(f"{file_stem(wanted)}-dream.png"), drawing, reporter)
        told = [f"{counted(result.steps, 'step')} in {duration(result.seconds)}, score {result.score:.4g}"]
        told += [
            f"{each.network}: {percent(each.prob)} {result.target}, rank {each.rank}"
            for each in (result.own, result.judge)
            if each is not None
        ]
    elif image is None:
        raise typer.BadParameter("IMAGE is expected, the picture to dream on; only --class and --neuron need none")
    elif kind == "top_channels":
        from imgnn.jobs.channels import draw_channels

        if layers and (len(layers) > 1 or str(layers[0]) != layers[0].name):
            raise typer.BadParameter("--top-channels looks at one layer: --layers LAYER")
        layer = layers[0].name if layers else None
        result = draw_channels(
            image, output or Path(f"{image.stem}-channels.png"), top_channels or 1, layer, network, reporter, seed=seed
        )
        told = [
            f"{each.layer}:{each.channel}  {each.strength:.4g}, most at row {each.place[0]}, column {each.place[1]}"
            for each in result.channels
        ]
    else:
        options = options_of(DreamOptions, context)
        options.check()
        if zoom is not None:
            from imgnn.jobs.dream import dream_zoom

            film = output or Path(f"{image.stem}-dream.webp")
            result = dream_zoom(image, film, zoom, zoom_scale, options, reporter)
            told = [f"{counted(result.frames, 'frame')} in {duration(result.seconds)}"]
        else:
            from imgnn.jobs.dream import dream_picture

            result = dream_picture(image, output or Path(f"{image.stem}-dream.png"), options, reporter)
            told = [f"{counted(result.steps, 'step')} in {duration(result.seconds)}"]
            told += [f"{name}: {value:.4g} -> {result.after[name]:.4g}" for name, value in result.before.items()]
    if json:
        console.print_json(console.as_json(result))
    else:
        for line in told:
            console.note(line)
        if kind != "target":
            console.tell_finer(context, "googlenet")
        console.show_path(result.path)


def kind_of(given: set[str]) -> str:
    """Which kind of picture the options given mean: a key of `TAKES`. Some of two kinds are a usage error."""
    kind = next((kind for kind in TAKES if kind in given), "dream")
    other = sorted(given - ANY - TAKES[kind])
    if other and kind == "dream":
        kinds = [word(each) for each, takes in TAKES.items() if other[0] in takes]
        refuse_without(word(other[0]), " or ".join(kinds))
    if other:
        refuse_together(word(other[0]), word(kind))
    return kind


def word(name: str) -> str:
    """A parameter as it is typed."""
    return "IMAGE" if name == "image" else option_name(name)


def file_stem(target: str) -> str:
    """A class or a channel as part of a file's name: "inception_4c-output-11"."""
    return re.sub(r"[^\w.-]+", "-", target).strip("-.") or "class"
