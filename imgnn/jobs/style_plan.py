"""What is settled before a style run: pictures, network, layers and their weights, the sizes to go through."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from imgnn import backend
from imgnn.errors import InputError
from imgnn.images import colours
from imgnn.images.files import load_image
from imgnn.images.masks import load_mask
from imgnn.jobs.load import check_channels, check_memory, layers_for, load_network, preprocessing_of
from imgnn.jobs.style_canvas import Subject
from imgnn.networks.features import cut, look
from imgnn.networks.network import Network
from imgnn.optimize.calibrate import SIDE, layer_weights
from imgnn.optimize.parameters import to_x
from imgnn.options import STARTS, LayerChoice, StyleOptions
from imgnn.runs import Reporter

DREAMLESS = 0.4  # of the first size's steps are made before the dream joins: it is weighed against what they leave
NEURAL_STYLE = ("vgg16", "vgg19", "keras:vgg16", "keras:vgg19")  # whose weights neural-style's were found with


@dataclass(frozen=True)
class Stage:
    """One piece of the way.

    Attributes:
        side: the long side, pixels.
        steps: evaluations of the loss.
        dreaming: whether the dream takes part.
    """

    side: int
    steps: int
    dreaming: bool = False


def prepare(content: Path, styles: Sequence[Path], options: StyleOptions, reporter: Reporter) -> Subject:
    """Load what is needed, and see that it fits together.

    Raises:
        InputError, UnknownNameError, WeightsError: it does not.
    """
    photo, paintings = load_image(content), [load_image(path) for path in styles]
    start = None
    if options.init not in STARTS:
        start = load_image(Path(options.init).expanduser())
    network = load_network(options.network, reporter=reporter)
    preprocessing_of(network)
    subject = Subject(
        photo=photo,
        original=photo,
        start=start,
        paintings=tuple(paintings),
        masks=tuple(load_mask(path, photo.shape[:2], like=content) for path in options.masks),
        names=(content, *styles),
        shares=options.shares(len(styles)),
        network=network,
        content=dict.fromkeys(layers_of(network, "content", options.content_layers), 1.0),
        style=dict.fromkeys(layers_of(network, "style", options.style_layers), 1.0),
        precision=backend.precision_of(options.precision),
        options=options,
    )
    check_sizes(subject)
    check_dream(subject, reporter)
    return coloured(weighted(subject))


def weighted(subject: Subject) -> Subject:
    """The subject with the factors of its layers: those of its network, times those of the options."""
    network, options = subject.network, subject.options
    content, style = dict(subject.content), dict(subject.style)
    # Normalised gradients know no scale that a factor would have to take away.
    if network.name not in NEURAL_STYLE and not options.normalise_gradients:
        names = tuple(dict.fromkeys([*content, *style]))
        seen = look(network, names, (SIDE, SIDE), pooling=options.pooling)
        with backend.forward_only():
            content, style = layer_weights(
                lambda pixels: seen(to_x(pixels, preprocessing_of(network))), [*content], [*style]
            )
    for choice in options.content_layers or ():
        content[choice.name] *= choice.weight
    for choice in options.style_layers or ():
        style[choice.name] *= choice.weight
    return replace(subject, content=content, style=style)


def coloured(subject: Subject) -> Subject:
    """The subject with the colours of its pictures as `options.colours` wants them before the first step."""
    photo, paintings, start, kind = subject.photo, subject.paintings, subject.start, subject.options.colours
    if kind == "luminance":
        photo = colours.luminance(photo)
        start = None if start is None else colours.luminance(start)
        paintings = tuple(colours.match_luminance(colours.luminance(each), photo) for each in paintings)
    elif kind in ("match", "histogram"):
        change = {"match": colours.match_mean_covariance, "histogram": colours.match_histogram}[kind]
        paintings = tuple(change(each, photo) for each in paintings)
    return replace(subject, photo=photo, paintings=paintings, start=start)


def plan(subject: Subject) -> list[Stage]:
    """The sizes to go through: from the smallest that is allowed, √2 larger each, to the last."""
    options = subject.options
    sides = [options.size]
    while (side := round(sides[0] / math.sqrt(2))) >= options.min_size and fits(subject, side):
        sides.insert(0, side)
    stages = [Stage(side, options.iterations, bool(options.dream)) for side in sides]
    first = options.initial_iterations if len(sides) > 1 else options.iterations
    stages[0] = replace(stages[0], steps=first)
    if options.dream:
        before = max(1, round(DREAMLESS * first))
        stages[:1] = [Stage(sides[0], before), Stage(sides[0], max(1, first - before), True)]
    return stages


def fits(subject: Subject, side: int) -> bool:
    """Whether the network can look at the pictures at this size."""
    try:
        check_size(subject, side)
    except InputError:
        return False
    return True


def check_sizes(subject: Subject) -> None:
    """Refuse pictures that the network cannot look at in the size that is wanted.

    Raises:
        InputError: it cannot.
    """
    size = subject.size(subject.options.size)
    if min(size) < 2:
        raise InputError(f"{subject.names[0]} would be {size[0]} x {size[1]} pixels: too few", hint="a larger --size")
    check_size(subject, subject.options.size)
    check_memory(subject.names[0], size, copies(subject.options))


def copies(options: StyleOptions) -> int:
    """How many pictures of float32 a run holds beside the network's activations, at most."""
    return 8 + 2 * min(options.history, options.iterations)


def check_dream(subject: Subject, reporter: Reporter) -> None:
    """Refuse channels that are not there; tell of layers whose dream the style or the content will undo.

    Raises:
        InputError: a layer has no such channel.
    """
    if not subject.options.dream:
        return
    check_channels(subject.network, subject.options.dream, subject.size(subject.options.size))
    for choice in subject.options.dream:
        tensor = subject.network.tensor(choice.name)
        for role, own in (("style", subject.style), ("content", subject.content)):
            if any(subject.network.tensor(name) is tensor for name in own):
                reporter.note(
                    f"{choice.name} is a layer of the {role} too, which will undo what it dreams; "
                    f"{subject.network.layers_command} lists others"
                )


def check_size(subject: Subject, side: int) -> None:
    """Refuse a size at which the network cannot look at the photo or at a painting.

    Raises:
        InputError: it cannot; a layer is too deep for it, or the picture too narrow.
    """
    cut(subject.network, subject.layers, subject.size(side))
    for path, extent in zip(subject.names[1:], subject.extents(side), strict=True):
        try:
            cut(subject.network, tuple(subject.style), extent)
        except InputError as error:
            raise InputError(
                f"style {path}: {error}", hint="a style whose sides are more alike, or a larger --size"
            ) from None


def describe(subject: Subject, stages: Sequence[Stage]) -> str:
    """What is going to be done, in a line."""
    size = subject.size(subject.options.size)
    sides = list(dict.fromkeys(max(subject.size(stage.side)) for stage in stages))
    way = f", by way of {', '.join(map(str, sides[:-1]))}" if len(sides) > 1 else ""
    steps = sum(stage.steps for stage in stages)
    where = backend.place(subject.precision)
    return f"{subject.network.name}, {size[0]} x {size[1]} pixels (height x width){way}; {steps} steps {where}"


def gatys_weights(subject: Subject) -> list[str]:
    """The weights of the layers, and what they are in the paper's units.

    arXiv:1508.06576 has `½ sum (F - P)²` for the content and `sum (FFᵀ - AAᵀ)² / (4 N² M²)` for a style layer of N
    channels and M positions: neural-style's `w mean (F - P)²` is `2 w / (N M)` times the one, its
    `w mean (G - A)²` is `4 w / N²` times the other.
    """
    options, lines = subject.options, []
    layers = cut(subject.network, subject.layers, subject.size(options.size)).output
    for name, weight in subject.content.items() if options.content_weight else ():
        _, height, width, channels = layers[name].shape
        own = options.content_weight * weight
        lines.append(f"content {name}: weight {own:.4g}; in Gatys' units {2 * own / (channels * height * width):.4g}")
    for name, weight in subject.style.items() if options.style_weight else ():
        own = options.style_weight * weight
        lines.append(f"style {name}: weight {own:.4g}; in Gatys' units {4 * own / layers[name].shape[3] ** 2:.4g}")
    return lines


def layers_of(
    network: Network, role: Literal["content", "style"], chosen: Sequence[LayerChoice] | None
) -> tuple[str, ...]:
    """The layers chosen for a role, or those that the network itself names for it."""
    if chosen is not None:
        return tuple(choice.name for choice in chosen)
    return layers_for(network, role, f"--{role}-layers")
