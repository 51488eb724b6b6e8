"""DeepDream: a picture in which a network's layers see more of what they see already.

The recipe of google/deepdream: the picture is moved along the gradient of how much a layer fires, small first. What a
size brought, the detail, is scaled up and laid on the picture at the next.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from keras import ops

from imgnn import __version__, backend
from imgnn.backend import Evaluate, Parts, Precision, Tensor
from imgnn.errors import DivergedError, ImgnnError, InputError, InterruptedRun, OptionError
from imgnn.images.files import check_apart, check_format_takes, check_writable, load_image, save_image, save_or_spare
from imgnn.images.resize import fit_long_side, resize
from imgnn.images.video import FrameWriter, check_video
from imgnn.jobs.load import check_channels, check_memory, layers_for, load_network, preprocessing_of
from imgnn.networks.features import cut, look
from imgnn.networks.network import Network
from imgnn.optimize.dreaming import (
    Ascent,
    enhance_objective,
    guide_objective,
    mean_objective,
    norm_objective,
)
from imgnn.optimize.evaluate import (
    ANY_SIZE,
    Picture,
    See,
    build_picture,
    compute_features,
    halve_tile,
    if_it_fits,
    tile_for,
)
from imgnn.optimize.objectives import NOWHERE, Objective, Scene, tv_loss
from imgnn.optimize.optimizers import LBFGS, Adam, Optimizer
from imgnn.optimize.parameters import LEVELS, to_image, to_pixels, to_x
from imgnn.optimize.scales import Size, enlarge, octave_sizes, zoom
from imgnn.optimize.transforms import gaussian_smooth, laplacian_normalise
from imgnn.options import DreamOptions, LayerChoice
from imgnn.runs import Onward, Reporter, Silent, one_interrupt

STEP_SIZE, JITTER = 1.5, 32  # google/deepdream's
LBFGS_HISTORY = 100  # steps

Ending = Literal["done", "interrupted", "diverged"]


@dataclass(frozen=True)
class DreamResult:
    """What a run made.

    Attributes:
        path: the picture.
        size: its `(height, width)`, pixels.
        network: the name of the network that looked at it.
        layers: those that were raised.
        steps: evaluations of the objective that were made, at all sizes.
        before, after: layer -> its term of the objective, weighted, of the picture as it was and as it is saved; also
            "tv", of `objective="enhance"`. All are raised, but those of "enhance", which are lowered. Nothing, if the
            memory did not suffice to look once more.
        seconds: it took, without loading.
    """

    path: Path
    size: Size
    network: str
    layers: tuple[str, ...]
    steps: int
    before: Mapping[str, float]
    after: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class ZoomResult:
    """The film `path` of so many `frames`; the rest as in `DreamResult`."""

    path: Path
    size: Size
    network: str
    layers: tuple[str, ...]
    frames: int
    seconds: float


def dream_picture(
    image: str | Path, output: str | Path, options: DreamOptions | None = None, reporter: Reporter | None = None
) -> DreamResult:
    """Dream on the picture `image`, into the file `output`.

    Every setting is kept in the file (`images.files.read_settings`).

    Args:
        output: .png, .jpg, .webp or .tif, as large as `image` or `options.size`; an older file is replaced.

    Raises:
        InputError: a picture, a layer or an option is not what it should be; or no layer fires on the picture.
        UnknownNameError: no network or layer has this name.
        WeightsError, DownloadError: the network's weights are not to be had.
        InterruptedRun: Ctrl-C; the picture so far was saved.
        DivergedError: the gradient is no longer finite; the picture before was saved.
    """
    options, reporter, image, output = options or DreamOptions(), reporter or Silent(), Path(image), Path(output)
    options.check()
    check_writable(output)
    preview = output.with_name(f"{output.stem}.preview{output.suffix}")
    for written in (output, preview) if options.preview else (output,):
        check_apart(written, [image, *([options.guide] if options.guide else [])])
    pixels, dreamer = prepare(image, options, reporter)
    check_format_takes(output, dreamer.size)
    started = time.perf_counter()
    with one_interrupt() as hear_no_more:
        reporter.begin("dreaming", dreamer.steps, "steps")
        try:
            watch = Watch(preview, options.preview, reporter) if options.preview else None
            dreamt = dreamer.dream(pixels, options.seed, reporter, watch)
        finally:
            reporter.end()
        hear_no_more()
        if not dreamt.steps and dreamt.ended == "interrupted":
            raise InterruptedRun("stopped before the first step; nothing was saved")
        if not dreamt.steps and dreamt.ended == "diverged":
            raise diverged("the gradient is not finite at the first step; nothing was saved")
        if np.array_equal(dreamt.pixels, pixels):
            raise silent(dreamer, image)
        made = to_image(dreamt.pixels)
        seconds = time.perf_counter() - started
        result = DreamResult(
            output,
            dreamer.size,
            dreamer.network.name,
            tuple(map(str, dreamer.choices)),
            dreamt.steps,
            if_it_fits(lambda: dreamer.measure(pixels, pixels)) or {},
            if_it_fits(lambda: dreamer.measure(pixels, made)) or {},
            seconds,
        )
        facts = {
            "image": str(image),
            **dreamer.facts,
            "steps": result.steps,
            "before": result.before,
            "after": result.after,
            "seconds": round(seconds, 1),
            "ended": dreamt.ended,
        }
        save_or_spare(output, made, {"command": "dream", **asdict(options), **facts})
        if options.preview:
            preview.unlink(missing_ok=True)
    told = f"step {dreamt.steps} of {dreamer.steps}"
    if dreamt.failure is not None:
        message = f"{dreamt.failure}; the picture so far was saved to {output}"
        raise InputError(message, hint=dreamt.failure.hint) from dreamt.failure
    if dreamt.ended == "interrupted":
        raise InterruptedRun(f"stopped at {told}; the picture so far was saved to {output}")
    if dreamt.ended == "diverged":
        raise diverged(f"the gradient is not finite after {told}; the picture so far was saved to {output}")
    return result


def dream_zoom(
    image: str | Path,
    output: str | Path,
    frames: int,
    zoom_scale: float = 0.05,
    options: DreamOptions | None = None,
    reporter: Reporter | None = None,
) -> ZoomResult:
    """A film that falls into a dream: each frame is dreamed on, then enlarged about its middle for the next.

    Args:
        output: .mp4, .gif, .webp, or without suffix a folder of frames.
        frames: how many; frame n, counted from 0, has the seed `options.seed + n`.
        zoom_scale: by how much it comes nearer in a frame, 0..1, a share of the sides.

    Raises:
        As `dream_picture`; of a run that was stopped or diverged, the frames so far were saved.
    """
    options, reporter, image, output = options or DreamOptions(), reporter or Silent(), Path(image), Path(output)
    options.check()
    if frames < 1:
        raise OptionError(f"--zoom is at least 1 frame, not {frames}")
    if not 0 < zoom_scale < 1:
        raise OptionError(f"--zoom-scale is a number between 0 and 1; {zoom_scale} was given")
    check_video(output)
    check_apart(output, [image, *([options.guide] if options.guide else [])])
    pixels, dreamer = prepare(image, options, reporter)
    started = time.perf_counter()
    done = 0
    ended: Ending = "done"
    with one_interrupt() as hear_no_more, FrameWriter(output) as film:
        reporter.begin("dreaming", frames * dreamer.steps, "steps")
        try:
            while done < frames:
                dreamt = dreamer.dream(pixels, options.seed + done, Onward(reporter, done * dreamer.steps))
                if dreamt.failure is not None:
                    raise dreamt.failure
                ended = dreamt.ended
                if ended != "done":
                    break
                if np.array_equal(dreamt.pixels, pixels):
                    raise silent(dreamer, image)
                film.write(to_image(dreamt.pixels))
                done += 1
                pixels = enlarge(dreamt.pixels, zoom_scale)
        except KeyboardInterrupt:  # between two frames
            ended = "interrupted"
        finally:
            reporter.end()
        hear_no_more()
    before = "the one before is" if done == 1 else f"the {done} before are"
    saved = f"{before} in {output}" if done else "nothing was saved"
    if ended == "interrupted":
        raise InterruptedRun(f"stopped in frame {done + 1} of {frames}; {saved}")
    if ended == "diverged":
        raise diverged(f"the gradient is no longer finite in frame {done + 1} of {frames}; {saved}")
    layers = tuple(map(str, dreamer.choices))
    seconds = time.perf_counter() - started
    return ZoomResult(output, dreamer.size, dreamer.network.name, layers, frames, seconds)


@dataclass(frozen=True)
class Dreamt:
    """What a dream came to.

    Attributes:
        pixels: float32 `(height, width, 3)`, RGB; of one that was stopped, as large as of one that was not.
        steps: evaluations that were made, at all sizes.
        ended: "done", "interrupted" by Ctrl-C or by `failure`, or "diverged": the gradient is not finite.
        failure: the memory gave out on the way.
    """

    pixels: np.ndarray
    steps: int
    ended: Ending
    failure: ImgnnError | None = None


@dataclass(frozen=True)
class Watch:
    """Who shows the picture so far, in the file `path`, every so many steps."""

    path: Path
    every: int
    reporter: Reporter

    def __call__(self, step: int, pixels: Callable[[], np.ndarray]) -> None:
        if step % self.every == 0:
            try:
                save_image(self.path, to_image(pixels()))
            except InputError as error:  # a full disk is no reason to stop
                self.reporter.note(str(error))


class Dreamer:
    """Dreams on pictures of one size; what is compiled for one serves the next.

    Args:
        network: looks at them.
        choices: the layers that are raised.
        sizes: octaves, `(height, width)`, smallest first.
        objective: what is lowered.
        precision: what the network computes in.
        options: as asked for.
        reporter: told when a tile had to be made smaller.
    """

    def __init__(
        self,
        network: Network,
        choices: tuple[LayerChoice, ...],
        sizes: list[Size],
        objective: Objective,
        precision: Precision,
        options: DreamOptions,
        reporter: Reporter,
    ) -> None:
        self.network, self.choices, self.sizes, self.objective = network, choices, sizes, objective
        self.precision, self.options, self.reporter = precision, options, reporter
        self.layers = tuple(dict.fromkeys(choice.name for choice in choices))
        # What is raised is lowered with a minus.
        self.sign = 1.0 if options.objective == "enhance" else -1.0
        # L-BFGS wants an objective that is the same function at each step.
        own = 0 if options.optimizer == "lbfgs" else JITTER
        self.jitter = own if options.jitter is None else options.jitter
        self.tile = options.tile_size  # as asked for, or as the memory taught
        self.pictures: dict[Any, Picture] = {}  # by size, or ANY_SIZE
        self.sights: dict[Any, See] = {}

    @property
    def size(self) -> Size:
        """Of the picture: the last octave's."""
        return self.sizes[-1]

    @property
    def steps(self) -> int:
        """Evaluations that a dream takes."""
        return len(self.sizes) * self.options.iterations

    @property
    def facts(self) -> dict[str, object]:
        """What was settled on, for the file."""
        return {
            "raised": list(map(str, self.choices)),
            "octave_sizes": self.sizes,
            "pixels_of_jitter": self.jitter,
            "computed_in": self.precision,
            "network_source": dict(self.network.source),
            "backend": backend.name(),
            "imgnn": __version__,
        }

    def dream(self, image: np.ndarray, seed: int, reporter: Reporter, watch: Watch | None = None) -> Dreamt:
        """Dream on pixels `(height, width, 3)`, 0..255, of the size that this one is for.

        Args:
            watch: is shown the picture so far, as large as it will be, after each step.

        Raises:
            InputError: the memory does not suffice.
        """
        bases = [np.asarray(image, "float32")]
        for size in reversed(self.sizes[:-1]):
            bases.insert(0, zoom(bases[0], size))
        random, done = np.random.default_rng(seed), 0
        ended: Ending = "done"
        failure: ImgnnError | None = None

        def so_far() -> np.ndarray:
            whole: np.ndarray = bases[-1] + zoom(detail_of(*place), self.size)
            return whole

        # The octave and the picture there, together: Ctrl-C comes whenever it likes.
        place = bases[0], to_pixels(bases[0])
        try:
            for base in bases:
                place = base, to_pixels(base + zoom(detail_of(*place), base.shape[:2]))
                optimizer, evaluate = self.build_optimizer(), self.seen_from(base, random)
                for _ in range(self.options.iterations):
                    x, loss, parts = optimizer.step(place[1], evaluate)
                    if not (math.isfinite(loss) and bool(ops.all(ops.isfinite(x)))):
                        ended = "diverged"
                        break
                    place, done = (base, x), done + 1
                    reporter.advance(done, **self.tell(loss, parts))
                    if watch is not None:
                        watch(done, so_far)
                if ended == "diverged":
                    break
        except KeyboardInterrupt:
            ended = "interrupted"
        except ImgnnError as error:
            if not done:
                raise
            ended, failure = "interrupted", error
        return Dreamt(so_far(), done, ended, failure)

    def seen_from(self, base: np.ndarray, random: np.random.Generator) -> Evaluate:
        """The loss at pixels of an octave, and its gradient with all that is done to it; each time from elsewhere."""
        scene = self.scene(base)

        def evaluate(x: Tensor) -> tuple[Tensor, Parts, Tensor]:
            if not self.jitter:
                loss, parts, gradient = self.look(x, scene)
            else:
                down, right = random.integers(-self.jitter, self.jitter + 1, 2).tolist()
                there = self.scene(np.roll(base, (down, right), (0, 1))) if scene else scene
                loss, parts, gradient = self.look(ops.roll(x, (down, right), (1, 2)), there)
                gradient = ops.roll(gradient, (-down, -right), (1, 2))
            if self.options.smooth:
                gradient = gaussian_smooth(gradient, self.options.smooth)
            if self.options.laplacian:
                gradient = laplacian_normalise(gradient, self.options.laplacian)
            return loss, parts, gradient

        return evaluate

    def picture(self, size: Size) -> Picture:
        """What evaluates the objective for pixels of an octave; compiled when it is first called.

        All octaves that are looked at in one piece share it.
        """
        tile = self.tile_of(size)
        key = size if tile else ANY_SIZE
        if key not in self.pictures:
            self.pictures[key] = build_picture(self.network, self.layers, key, self.see, self.objective, tile=tile)
        return self.pictures[key]

    def tile_of(self, size: Size) -> int | None:
        """The side of the tiles of an octave, pixels; None: in one piece."""
        return tile_for(self.network, self.layers, size, self.precision, self.tile)

    def look(self, x: Tensor, scene: Scene) -> tuple[Tensor, Parts, Tensor]:
        """The loss at pixels of any octave."""
        size: Size = tuple(x.shape[1:3])
        return self.fitting(size, lambda: self.picture(size)(x, scene))

    def fitting(self, size: Size, work: Callable[[], Any]) -> Any:
        """What `work` gives on pixels of this size; where the memory does not suffice, in tiles of half the side."""
        while True:
            try:
                return work()
            except Exception as error:
                self.tile = halve_tile(error, self.network, size, self.tile)
                self.pictures.clear()
                self.reporter.note(f"not enough memory: going on with tiles of {self.tile} pixels")

    def see(self, layers: Sequence[str], size: Size) -> See:
        """Pixels `(1, *size, 3)`, RGB, 0..255 -> features of the layers; kept, a film asks often."""
        if size not in self.sights:
            self.sights[size] = build_see(self.network, layers, size, self.precision)
        return self.sights[size]

    def scene(self, base: np.ndarray) -> Scene:
        """What the objective wants to know of the picture that is dreamed on."""
        if self.options.objective != "enhance":
            return NOWHERE
        pixels, size = to_pixels(base), base.shape[:2]
        seen = self.fitting(
            size, lambda: compute_features(self.network, self.layers, pixels, self.see, self.tile_of(size))
        )
        variation = tv_loss().of_pixels(pixels)[0]
        return {**{f"photo:{name}": each for name, each in seen.items()}, "factor:tv": 1 / ops.maximum(variation, 1.0)}

    def measure(self, base: np.ndarray, image: np.ndarray) -> dict[str, float]:
        """The terms of the objective for an image of the full size, dreamed on a base."""
        scene = self.scene(base)
        _, parts = self.fitting(self.size, lambda: self.picture(self.size).measure(to_pixels(image), scene))
        return {name: self.sign * float(part) for name, part in parts.items()}

    def tell(self, loss: Tensor, parts: Parts) -> dict[str, float]:
        """What the reporter is told of a step: the objective, and its terms if there are several."""
        terms = {name: self.sign * float(part) for name, part in parts.items()} if len(parts) > 1 else {}
        return {"loss" if self.sign > 0 else "objective": self.sign * float(loss), **terms}

    def build_optimizer(self) -> Optimizer:
        """A new one, as asked for."""
        rate = self.options.step_size
        if self.options.optimizer == "lbfgs":
            return LBFGS(1.0 if rate is None else rate, history=LBFGS_HISTORY, bounds=LEVELS)
        rate = STEP_SIZE if rate is None else rate
        if self.options.optimizer == "adam":
            return Adam(rate, steps=self.options.iterations, bounds=LEVELS)
        return Ascent(rate, bounds=LEVELS)


def build_see(network: Network, layers: Sequence[str], size: Size, precision: Precision) -> See:
    """Pixels `(1, *size, 3)`, RGB, 0..255 -> features of the layers."""
    features, preprocessing = look(network, layers, size, precision=precision), preprocessing_of(network)
    return lambda pixels: features(to_x(pixels, preprocessing))


def detail_of(base: np.ndarray, x: Tensor) -> np.ndarray:
    """What dreaming brought: the picture less the one it was begun on, float32 `(height, width, 3)`."""
    detail: np.ndarray = ops.convert_to_numpy(x)[0] - base
    return detail


def prepare(image: Path, options: DreamOptions, reporter: Reporter) -> tuple[np.ndarray, Dreamer]:
    """Load what is needed, and see that it fits together: the picture at its size, and who dreams on it.

    Raises:
        InputError, UnknownNameError, WeightsError: it does not.
    """
    photo = load_image(image)
    guide = None if options.guide is None else load_image(options.guide)
    network = load_network(options.network, reporter=reporter)
    choices = options.layers or tuple(map(LayerChoice, layers_for(network, "dream", "--layers")))
    layers = tuple(dict.fromkeys(choice.name for choice in choices))
    side = options.size or max(photo.shape[:2])
    size = fit_long_side(photo.shape[:2], side)
    check_channels(network, choices, size)
    check_memory(image, size, 8 + (2 * min(LBFGS_HISTORY, options.iterations) if options.optimizer == "lbfgs" else 0))
    sizes = [each for each in octave_sizes(size, options.octaves, options.octave_scale) if fits(network, layers, each)]
    precision = backend.precision_of(options.precision)
    if guide is not None:
        # No larger than the picture: at another scale a network sees other things.
        guide = resize(guide, fit_long_side(guide.shape[:2], min(side, max(guide.shape[:2]))))
        extent = guide.shape[:2]
        try:
            there = compute_features(
                network,
                layers,
                to_pixels(guide),
                lambda layers, size: build_see(network, layers, size, precision),
                tile_for(network, layers, extent, precision, options.tile_size),
            )
        except InputError as error:
            raise InputError(f"guide {options.guide}: {error}", hint="a larger guide, or an earlier layer") from None
        objective = guide_objective(choices, {name: ops.convert_to_tensor(each) for name, each in there.items()})
    elif options.objective == "enhance":
        objective = enhance_objective(choices, options.gain, options.tv_weight)
    else:
        objective = {"norm": norm_objective, "mean": mean_objective}[options.objective](choices)
    dreamer = Dreamer(network, choices, sizes, objective, precision, options, reporter)
    reporter.note(describe(dreamer))
    return resize(photo, size).astype("float32"), dreamer


def fits(network: Network, layers: Sequence[str], size: Size) -> bool:
    """Whether the network can look at pictures of this size."""
    try:
        cut(network, layers, size)
    except InputError:
        return False
    return True


def describe(dreamer: Dreamer) -> str:
    """What is going to be done, in a line."""
    (height, width), smaller = dreamer.size, dreamer.sizes[:-1]
    way = f", by way of {', '.join(f'{h} x {w}' for h, w in smaller)}" if smaller else ""
    return (
        f"{dreamer.network.name}, {', '.join(map(str, dreamer.choices))}: {height} x {width} pixels (height x width)"
        f"{way}; {dreamer.steps} steps {backend.place(dreamer.precision)}"
    )


def diverged(message: str) -> DivergedError:
    """The gradient ran away."""
    return DivergedError(message, hint="smaller =WEIGHTs in --layers, or --precision float32")


def silent(dreamer: Dreamer, image: Path) -> InputError:
    """Nothing was there to amplify."""
    layers = " and ".join(each.label for each in dreamer.choices)
    return InputError(
        f"{layers} of {dreamer.network.name} does not fire on {image}: the picture would stay as it is",
        hint=f"another layer; {dreamer.network.layers_command} lists them",
    )
