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
from typing import Any

import numpy as np
from keras import ops

from imgnn import __version__, backend
from imgnn.errors import DivergedError, ImgnnError, InputError, InterruptedRun
from imgnn.images import colours
from imgnn.images.files import check_apart, check_format_takes, check_writable, save_image, save_or_spare
from imgnn.images.resize import resize
from imgnn.jobs.style_canvas import Canvas, Subject
from imgnn.jobs.style_plan import describe, gatys_weights, plan, prepare
from imgnn.jobs.style_state import State, at_home
from imgnn.optimize.evaluate import if_it_fits
from imgnn.optimize.loop import Ending, Run, minimise
from imgnn.optimize.optimizers import LBFGS, Adam, Optimizer
from imgnn.optimize.parameters import LEVELS, to_image, to_pixels
from imgnn.optimize.scales import Size
from imgnn.options import StyleOptions
from imgnn.runs import Onward, Reporter, Silent, one_interrupt

NOISE = 20.0  # grey levels, the standard deviation of what `init="random"` starts from
STATE_EVERY, STATE_SHARE = 10.0, 0.05  # seconds between two states on the disk; the share of the time to write them


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
    options.check(len(style_paths))
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
