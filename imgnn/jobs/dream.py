"""DeepDream: a picture in which a network's layers see more of what they see already.

The recipe of google/deepdream: the picture is moved along the gradient of how much a layer fires, small first. What a
size brought, the detail, is scaled up and laid on the picture at the next.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from keras import ops

from imgnn import backend
from imgnn.errors import DivergedError, InputError, InterruptedRun, OptionError
from imgnn.images.files import check_apart, check_format_takes, check_writable, load_image, save_or_spare
from imgnn.images.resize import fit_long_side, resize
from imgnn.images.video import FrameWriter, check_video
from imgnn.jobs.dreamer import LBFGS_HISTORY, Dreamer, Ending, Watch, build_see
from imgnn.jobs.load import check_channels, check_memory, layers_for, load_network
from imgnn.networks.features import cut
from imgnn.networks.network import Network
from imgnn.optimize.dreaming import enhance_objective, guide_objective, mean_objective, norm_objective
from imgnn.optimize.evaluate import compute_features, if_it_fits, tile_for
from imgnn.optimize.parameters import to_image, to_pixels
from imgnn.optimize.scales import Size, enlarge, octave_sizes
from imgnn.options import DreamOptions, LayerChoice
from imgnn.runs import Onward, Reporter, Silent, one_interrupt


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
