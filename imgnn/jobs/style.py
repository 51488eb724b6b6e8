"""Neural style transfer: the content of a photo, painted like another picture.

The recipe of A Neural Algorithm of Artistic Style (arXiv:1508.06576): the pixels are moved until a network sees in
them the activations of the photo and the Gram matrices of the painting. It is done small first: what is found at one
size is the start of the next, √2 larger (`jobs/style_canvas.py` is one size).
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
from keras import ops

from imgnn import __version__, backend
from imgnn.errors import DivergedError, ImgnnError, InputError, InterruptedRun, OptionError, missing
from imgnn.images import colours
from imgnn.images.files import (
    check_apart,
    check_format_takes,
    check_writable,
    load_image,
    save_image,
    save_or_spare,
)
from imgnn.images.masks import load_mask
from imgnn.images.resize import resize
from imgnn.jobs.load import check_channels, check_memory, layers_for, load_network, preprocessing_of
from imgnn.jobs.style_canvas import Canvas, Subject
from imgnn.jobs.style_state import State, at_home
from imgnn.networks.features import cut, look
from imgnn.networks.network import Network
from imgnn.optimize.calibrate import SIDE, layer_weights
from imgnn.optimize.evaluate import SMALLEST_TILE, if_it_fits
from imgnn.optimize.loop import Ending, Run, minimise
from imgnn.optimize.optimizers import LBFGS, Adam, Optimizer
from imgnn.optimize.parameters import LEVELS, to_image, to_pixels, to_x
from imgnn.optimize.scales import Size
from imgnn.options import STARTS, LayerChoice, StyleOptions, option_name
from imgnn.runs import Onward, Reporter, Silent, is_file, one_interrupt

NOISE = 20.0  # grey levels, the standard deviation of what `init="random"` starts from
DREAMLESS = 0.4  # of the first size's steps are made before the dream joins: it is weighed against what they leave
NEURAL_STYLE = ("vgg16", "vgg19", "keras:vgg16", "keras:vgg19")  # whose weights neural-style's were found with
STATE_EVERY, STATE_SHARE = 10.0, 0.05  # seconds between two states on the disk; the share of the time to write them


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


@dataclass(frozen=True)
class StyleResult:
    """What a run made.

    Attributes:
        path: the picture.
        size: its `(height, width)`, pixels.
        network: the name of the network that looked at it.
        steps: evaluations of the loss that were made, at all sizes.
        planned: those that were planned.
        loss: of the picture saved, whose colours are rounded, computed in float32.
        parts: its terms, weighted.
        seconds: the optimisation took, without loading.
        ended: why the last size ended: "done", "plateau", "time".
    """

    path: Path
    size: Size
    network: str
    steps: int
    planned: int
    loss: float
    parts: Mapping[str, float]
    seconds: float
    ended: Ending


def stylise(
    content: str | Path,
    styles: Sequence[str | Path],
    output: str | Path,
    options: StyleOptions | None = None,
    reporter: Reporter | None = None,
    *,
    resume: bool = False,
    verbose: bool = False,
) -> StyleResult:
    """Paint the picture `content` like the pictures `styles`, into the file `output`.

    Every setting is kept in the file (`images.files.read_settings`). What a stopped run had come to is kept beside it,
    until it is done.

    Args:
        content: the photo; the result has its shape.
        styles: the pictures to paint it like, at least one.
        output: .png, .jpg, .webp or .tif; an older file of this name is replaced.
        resume: go on where a run with the same options was stopped.
        verbose: tell the weights of the layers, too, as they are and as the paper would write them.

    Raises:
        InputError: a picture, a layer or an option is not what it should be; told before the long work.
        UnknownNameError: no network or layer has this name.
        WeightsError, DownloadError: the network's weights are not to be had.
        InterruptedRun: Ctrl-C; the best picture so far was saved.
        DivergedError: the loss is no longer finite, or does not come down; the best picture before was saved.
        (Of any other failure on the way, too, the best picture so far was saved.)
    """
    options, reporter = options or StyleOptions(), reporter or Silent()
    content, output, style_paths = Path(content), Path(output), [Path(path) for path in styles]
    check(options, style_paths)
    check_writable(output)
    check_apart(output, (content, *style_paths, *options.files))
    state = State(output, content, style_paths, options)
    state.check_apart((content, *style_paths, *options.files))
    if resume:
        state.load()
    subject = prepare(content, style_paths, options, reporter)
    check_format_takes(output, subject.size(options.size))
    work = Work(subject, state, reporter)
    reporter.note(describe(subject, work.stages))
    if verbose:
        for line in gatys_weights(subject):
            reporter.note(line)
    with one_interrupt() as hear_no_more:
        work.paint()
        hear_no_more()
        return work.finish()


@dataclass
class Place:
    """Where a run is.

    Attributes:
        index: of the stage.
        done: evaluations made before it.
        canvas, run, optimizer: its own.
    """

    index: int
    done: int
    canvas: Canvas
    run: Run
    optimizer: Optimizer

    @property
    def steps(self) -> int:
        """Evaluations made, at all sizes."""
        return self.done + self.run.steps

    def pixels(self) -> np.ndarray:
        """The best so far: float32 `(height, width, 3)`, at the size that is worked at."""
        pixels: np.ndarray = ops.convert_to_numpy(self.canvas.parameter.pixels(self.run.result))[0]
        return pixels

    def state(self) -> dict[str, dict[str, Any]]:
        """All that going on from here takes, by kind and name; nothing is copied."""
        return {"run": self.run.state(), "optimizer": self.optimizer.state(), "factors": dict(self.canvas.factors)}


class Work:
    """One run, from the smallest size to the last."""

    def __init__(self, subject: Subject, state: State, reporter: Reporter) -> None:
        self.subject, self.options, self.stages = subject, subject.options, plan(subject)
        self.state, self.reporter = state, reporter
        self.place: Place | None = None
        self.failure: ImgnnError | None = None
        self.began = time.monotonic() - state.seconds
        self.due = time.monotonic() + STATE_EVERY  # when the state is written next
        self.remembered: tuple[int, int, dict[str, dict[str, Any]]] | None = None

    def paint(self) -> None:
        """Go through the stages; where it ended, and how, is in `place`."""
        self.reporter.begin("optimising", sum(stage.steps for stage in self.stages), "steps")
        try:
            for index in range(self.state.index, len(self.stages)):
                self.place = self.enter(index)
                self.remember(self.place)
                self.lower(self.place)
                if self.place.run.ended in ("interrupted", "diverged"):
                    break
        except KeyboardInterrupt:  # while a size was prepared
            if self.place is not None:
                self.place.run.ended = "interrupted"
        except Exception as error:  # the work so far is kept
            if backend.is_out_of_memory(error):
                self.failure = InputError("the memory gave out", hint="a smaller --size")
            elif isinstance(error, ImgnnError):
                self.failure = error
            if self.place is None or self.failure is None:
                raise
            self.place.run.ended = "interrupted"
        finally:
            self.reporter.end()

    def enter(self, index: int) -> Place:
        """A stage, with what was found at the one before or what the disk kept."""
        stage, before = self.stages[index], self.place
        canvas = Canvas(self.subject, stage.side, dreaming=stage.dreaming, reporter=self.reporter)
        optimizer = build_optimizer(self.options, stage.steps, canvas.parameter.bounds)
        if self.state.arrays is not None:
            arrays, self.state.arrays = self.state.arrays, None
            run = Run.restore(arrays["run"])
            optimizer.restore(arrays["optimizer"])
            canvas.factors = {name: ops.convert_to_tensor(each) for name, each in arrays["factors"].items()}
        else:
            if before is None:
                pixels = first_picture(self.subject, canvas.photo)
            else:
                pixels = np.clip(resize(before.pixels(), canvas.size, "bicubic"), *LEVELS)
            run = Run.start(canvas.parameter.values(to_pixels(pixels)))
            if stage.dreaming:
                canvas.weigh_dream(run.values)
        canvas.steps = run.steps
        return Place(index, self.state.done if before is None else before.steps, canvas, run, optimizer)

    def lower(self, place: Place) -> None:
        """Lower the loss at a stage."""
        deadline = math.inf
        if self.options.max_time is not None:
            # Each stage has its share of what is left, by the pixels that it will look at.
            shares = [stage.steps * math.prod(self.subject.size(stage.side)) for stage in self.stages[place.index :]]
            now = time.monotonic()
            deadline = now + max(self.began + self.options.max_time - now, 0) * shares[0] / sum(shares)
        minimise(
            place.run,
            place.canvas.evaluate,
            place.optimizer,
            self.stages[place.index].steps,
            Onward(self.reporter, place.done),
            average=self.options.average,
            tolerance=self.options.tolerance,
            deadline=deadline,
            watch=lambda run: self.watch(place),
        )

    def watch(self, place: Place) -> None:
        """Keep what is asked for, after each step."""
        self.remember(place)
        try:
            if self.options.preview and place.steps % self.options.preview == 0:
                save_image(self.state.preview, self.picture(place))
            if self.options.keep_every and place.steps % self.options.keep_every == 0:
                save_image(self.state.numbered(place.steps), self.picture(place))
        except InputError as error:  # a full disk is no reason to stop
            self.reporter.note(str(error))
        if time.monotonic() >= self.due:
            self.write()

    def remember(self, place: Place) -> None:
        """Note where the run is between two steps: Ctrl-C may come in the midst of one."""
        self.remembered = place.index, place.done, place.state()

    def write(self) -> bool:
        """Write what was last remembered to the disk; one that is full is no reason to stop. Whether it is there."""
        if self.remembered is None:
            return False
        index, done, kinds = self.remembered
        began = time.monotonic()
        arrays = {
            kind: {name: np.asarray(ops.convert_to_numpy(each)) for name, each in state.items()}
            for kind, state in kinds.items()
        }
        try:
            self.state.save(index, done, time.monotonic() - self.began, arrays)
        except InputError as error:
            self.reporter.note(f"what was done so far is not kept: {error}")
            self.due = math.inf
            return False
        now = time.monotonic()
        self.due = now + max(STATE_EVERY, (now - began) / STATE_SHARE)
        return True

    def picture(self, place: Place) -> np.ndarray:
        """The best so far as it is saved: uint8, at the size and with the colours asked for."""
        size, pixels = self.subject.size(self.options.size), place.pixels()
        image = to_image(pixels if place.canvas.size == size else resize(pixels, size, "bicubic"))
        if self.options.colours in ("original", "luminance"):
            return colours.keep_colours(image, resize(self.subject.original, size))
        return image

    def finish(self) -> StyleResult:
        """Save the picture, and say how it ended.

        Raises:
            InterruptedRun, DivergedError, or what it failed with: it did not end by itself.
        """
        output, place = self.state.output, self.place
        if place is None or not (place.run.found or place.done):
            if self.failure is not None:
                raise self.failure
            if place is None or place.run.ended == "interrupted":
                raise InterruptedRun("stopped before the first step; nothing was saved")
            raise DivergedError(
                f"the loss is not finite at the first step; nothing was saved to {output}", hint="smaller weights"
            )
        seconds, run = time.monotonic() - self.began, place.run
        size, total = self.subject.size(self.options.size), sum(stage.steps for stage in self.stages)
        loss, parts = if_it_fits(lambda: self.judge(place)) or (run.loss, {})
        facts = {
            "content_factors": dict(self.subject.content),
            "style_factors": dict(self.subject.style),
            "shares": self.subject.shares,
            "computed_in": self.subject.precision,
            "height": size[0],
            "width": size[1],
            "steps": place.steps,
            "loss": loss,
            "parts": parts,
            "seconds": round(seconds, 1),
            "ended": run.ended,
            "network_source": dict(self.subject.network.source),
            "backend": backend.name(),
            "imgnn": __version__,
        }
        self.save(place, facts)
        if run.ended == "interrupted":
            kept = self.write()
            so_far = f"the best picture so far was saved to {output}"
            if self.failure is not None:
                raise InputError(f"{self.failure}; {so_far}", hint=self.failure.hint) from self.failure
            raise InterruptedRun(
                f"stopped at step {place.steps} of {total}; {so_far}",
                hint="the same command with --resume goes on from here" if kept else None,
            )
        self.state.remove()
        if run.ended == "diverged":
            raise DivergedError(
                f"the loss ran away at step {place.steps} of {total}; the best picture before was saved to {output}",
                hint="a smaller --learning-rate, or none: then it is the optimiser's own"
                if self.options.learning_rate
                else "smaller weights",
            )
        name = self.subject.network.name
        return StyleResult(output, size, name, place.steps, total, loss, parts, seconds, run.ended)

    def judge(self, place: Place) -> tuple[float, dict[str, float]]:
        """The loss of the picture as it is saved, colours rounded, in float32; of a stopped one at its own size."""
        own, factors = place.canvas, place.canvas.factors
        exact = replace(self.subject, precision="float32", options=replace(self.options, jitter=0))
        canvas = Canvas(exact, max(own.size), dreaming=own.dreaming, reporter=self.reporter, tile=own.tile)
        loss, parts = canvas.measure(to_pixels(to_image(place.pixels())), factors)
        return float(loss), {name: float(part) for name, part in parts.items()}

    def save(self, place: Place, facts: Mapping[str, Any]) -> None:
        """Write the picture, with all that it was made of.

        Raises:
            InputError: as `save_or_spare`.
        """
        settings = {"command": "style", **asdict(at_home(self.options)), **self.state.facts, **facts}
        save_or_spare(self.state.output, self.picture(place), settings)


def prepare(content: Path, styles: Sequence[Path], options: StyleOptions, reporter: Reporter) -> Subject:
    """Load what is needed, and see that it fits together.

    Raises:
        InputError, UnknownNameError, WeightsError: it does not.
    """
    photo, paintings = load_image(content), [load_image(path) for path in styles]
    start = None
    if options.init not in STARTS:
        path = Path(options.init).expanduser()
        if not is_file(path):
            raise missing(options.init, hint=f"--init is {', '.join(STARTS)} or a picture")
        start = load_image(path)
    network = load_network(options.network, reporter=reporter)
    preprocessing_of(network)
    subject = Subject(
        photo=photo,
        original=photo,
        start=start,
        paintings=tuple(paintings),
        masks=tuple(load_mask(path, photo.shape[:2], like=content) for path in options.masks),
        names=(content, *styles),
        shares=shares_of(options.style_blend, len(styles)),
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


def check(options: StyleOptions, styles: Sequence[Path]) -> None:
    """Refuse what cannot be meant, before anything is loaded.

    Raises:
        OptionError: an option is out of its range, or does not fit the others.
    """
    if not styles:
        raise OptionError("at least one style picture is expected")
    numbers = dict.fromkeys(("size", "iterations", "initial_iterations", "history", "preview", "keep_every"), 1)
    numbers |= {"seed": 0, "jitter": 0, "min_size": 16, "tile_size": SMALLEST_TILE}
    for name, least in numbers.items():
        value = getattr(options, name)
        if value is not None and value < least:
            raise OptionError(f"{option_name(name)} is at least {least}, not {value}")
    for name in ("content_weight", "style_weight", "tv_weight", "dream_weight"):
        weight = getattr(options, name)
        if weight is not None and not 0 <= weight < math.inf:
            raise OptionError(f"{option_name(name)} is a number, 0 or more; {weight} was given")
    if not (options.content_weight or options.style_weight):
        raise OptionError("--content-weight and --style-weight are both 0: nothing would be asked for")
    if options.dream and not options.style_weight:
        raise OptionError("--dream pulls by a share of the style: it wants a --style-weight above 0")
    for name, allowed in choices():
        value = getattr(options, name)
        if value not in allowed:
            words = ", ".join(str(each) for each in allowed if each is not None)
            raise OptionError(f"{option_name(name)} is one of {words}, not {value!r}")
    for choice in (*(options.content_layers or ()), *(options.style_layers or ())):
        if choice.weight < 0:
            raise OptionError(f"the weight of a layer is 0 or more; {choice} was given")
        if choice.channel is not None:
            raise OptionError(f"content and style are compared in whole layers, not in a channel: {choice}")
    fractions = {"average": options.average, "tolerance": options.tolerance}
    for name, value in fractions.items():
        if not 0 <= value < 1:
            raise OptionError(f"--{name} is a number from 0 to below 1; {value} was given")
    if not 0 < options.style_scale < math.inf:
        raise OptionError(f"--style-scale is a number above 0; {options.style_scale} was given")
    if options.masks and len(options.masks) != len(styles):
        wanted = "1 --mask goes with 1 style" if len(styles) == 1 else f"{len(styles)} styles want {len(styles)} --mask"
        raise OptionError(f"{wanted}; number given: {len(options.masks)}")
    if options.masks and options.jitter:
        raise OptionError("--jitter shifts the picture under its --mask: one or the other")
    if options.learning_rate is not None and not 0 < options.learning_rate < math.inf:
        raise OptionError(f"--learning-rate is a number above 0; {options.learning_rate} was given")
    shares_of(options.style_blend, len(styles))


def choices() -> list[tuple[str, tuple[Any, ...]]]:
    """The options that are words, with what they may be; None among them where it is the default."""
    found = []
    for name, kind in get_type_hints(StyleOptions).items():
        literals = [each for each in (kind, *get_args(kind)) if get_origin(each) is Literal]
        if literals:
            found.append((name, (*get_args(literals[0]), *([None] if type(None) in get_args(kind) else []))))
    return found


def shares_of(blend: tuple[float, ...] | None, count: int) -> tuple[float, ...]:
    """The share of each of `count` styles; they add up to 1.

    Raises:
        OptionError: there are more or fewer numbers than styles, or they cannot be shares.
    """
    blend = blend or (1.0,) * count
    if len(blend) != count:
        wanted = "1 style picture takes 1 number" if count == 1 else f"{count} style pictures take {count} numbers"
        raise OptionError(f"{wanted} in --style-blend; {len(blend)} were received")
    if not all(math.isfinite(each) and each >= 0 for each in blend) or not any(blend):
        given = ",".join(f"{each:g}" for each in blend)
        raise OptionError(f"the numbers of --style-blend are 0 or more, and not all 0; {given} was received")
    return tuple(each / sum(blend) for each in blend)


def layers_of(
    network: Network, role: Literal["content", "style"], chosen: Sequence[LayerChoice] | None
) -> tuple[str, ...]:
    """The layers chosen for a role, or those that the network itself names for it."""
    if chosen is not None:
        return tuple(choice.name for choice in chosen)
    return layers_for(network, role, f"--{role}-layers")


def first_picture(subject: Subject, photo: np.ndarray) -> np.ndarray:
    """What the optimisation starts from: `(height, width, 3)`, the size of the photo."""
    if subject.options.init == "content":
        return photo
    if subject.options.init == "random":
        return np.random.default_rng(subject.options.seed).normal(128.0, NOISE, photo.shape).astype("float32")
    return cover(subject.paintings[0] if subject.start is None else subject.start, photo.shape[:2])


def cover(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The picture scaled until it covers `size`, and cut to it around its middle."""
    height, width = size
    factor = max(height / image.shape[0], width / image.shape[1])
    scaled = resize(image, (max(height, round(image.shape[0] * factor)), max(width, round(image.shape[1] * factor))))
    top, left = (scaled.shape[0] - height) // 2, (scaled.shape[1] - width) // 2
    return scaled[top : top + height, left : left + width]


def build_optimizer(options: StyleOptions, steps: int, bounds: tuple[float, float]) -> Optimizer:
    """The optimiser asked for, at its own learning rate if none is given."""
    pixels = options.parameter == "pixels"
    smooth = pixels and not options.jitter  # L-BFGS wants a loss that is the same function at each step
    if (options.optimizer or ("lbfgs" if smooth else "adam")) == "adam":
        # A step of Fourier coefficients is as large as Lucid's; one of pixels is in grey levels.
        own = Adam().learning_rate if pixels else 0.05
        return Adam(own if options.learning_rate is None else options.learning_rate, steps=steps, bounds=bounds)
    rate = LBFGS().learning_rate if options.learning_rate is None else options.learning_rate
    if pixels:
        return LBFGS(rate, history=options.history, bounds=bounds)
    return LBFGS(rate, history=options.history, first_step=0.01, longest_step=0.1)
