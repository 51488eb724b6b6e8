"""Neural style transfer: the content of a photo, painted like another picture.

The recipe of A Neural Algorithm of Artistic Style (arXiv:1508.06576): the pixels are moved until a network sees in
them the activations of the photo and the Gram matrices of the painting.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from keras import ops

from imgnn import __version__, backend
from imgnn.backend import Tensor, value_and_grad
from imgnn.errors import DivergedError, InputError, InterruptedRun
from imgnn.images.files import check_writable, load_image, save_image
from imgnn.images.preprocess import deprocess, preprocess
from imgnn.images.resize import fit_long_side, resize
from imgnn.jobs.load import load_network
from imgnn.networks.features import count_activations, cut
from imgnn.networks.network import Network
from imgnn.optimize.loop import minimise
from imgnn.optimize.objectives import content_loss, gram_matrix, style_loss, tv_loss
from imgnn.optimize.optimizers import LBFGS, Adam, Optimizer
from imgnn.optimize.parameters import Pixels
from imgnn.options import StyleOptions
from imgnn.runs import Reporter, Silent, is_file, one_interrupt

LEVELS = (0.0, 255.0)  # what a pixel of a file can be: a loss that is lowered by brighter ones is lost when it is saved
NOISE = 20.0  # grey levels, the standard deviation of what `init="random"` starts from


@dataclass(frozen=True)
class StyleResult:
    """What a run made.

    Attributes:
        path: the picture.
        size: its `(height, width)`, pixels.
        network: the name of the network that looked at it.
        steps: evaluations of the loss that were made.
        loss: of the picture saved, whose colours are rounded, and clipped to 0..255.
        seconds: the optimisation took, without loading.
    """

    path: Path
    size: tuple[int, int]
    network: str
    steps: int
    loss: float
    seconds: float


def stylise(
    content: str | Path,
    styles: Sequence[str | Path],
    output: str | Path,
    options: StyleOptions | None = None,
    reporter: Reporter | None = None,
) -> StyleResult:
    """Paint the picture `content` like the pictures `styles`, into the file `output`.

    Every setting is kept in the file (`images.files.read_settings`).

    Raises:
        InputError: a picture, a layer or an option is not what it should be; told before the long work.
        UnknownNameError: no network or layer has this name.
        WeightsError, DownloadError: the network's weights are not to be had.
        InterruptedRun: Ctrl-C; the best picture so far was saved.
        DivergedError: the loss is no longer finite; the best picture before was saved.
    """
    options, reporter = options or StyleOptions(), reporter or Silent()
    content, output, style_paths = Path(content), Path(output), [Path(path) for path in styles]
    check(options, style_paths)
    check_writable(output)
    check_apart(output, (content, *style_paths))
    photo, paintings = load_image(content), [load_image(path) for path in style_paths]
    network = load_network(options.network, reporter=reporter)
    preprocessing = network.preprocessing
    if preprocessing is None:
        raise InputError(f"{network.name} does not say how a picture becomes its input")
    content_layers = options.content_layers or own_layers(network, "content")
    style_layers = options.style_layers or own_layers(network, "style")
    shares = shares_of(options.style_blend, len(styles))

    size = fit_long_side(photo.shape[:2], options.size)
    if min(size) < 2:
        raise InputError(f"{content} would be {size[0]} x {size[1]} pixels: too few", hint="a larger --size")
    look = cut(network, (*content_layers, *style_layers), size)
    check_memory(network, (*content_layers, *style_layers), size, content)
    sizes = [fit_long_side(each.shape[:2], options.size) for each in paintings]
    for path, extent in zip(style_paths, sizes, strict=True):
        check_painting(network, style_layers, extent, path)
    photo = resize(photo, size)
    paintings = [resize(each, extent) for each, extent in zip(paintings, sizes, strict=True)]

    def see(image: np.ndarray, layers: Sequence[str]) -> Mapping[str, Tensor]:
        return cut(network, layers, image.shape[:2])(preprocess(image, preprocessing))

    loss = (
        options.content_weight * content_loss(see(photo, content_layers))
        + options.style_weight * style_loss(blended_grams([see(each, style_layers) for each in paintings], shares))
        + options.tv_weight * tv_loss()
    )
    pixels = Pixels.of(preprocessing)
    evaluate = value_and_grad(lambda values: loss(values, look(pixels.to_x(values))))
    start = pixels.from_x(preprocess(first_picture(options, photo, paintings[0]), preprocessing))
    pixel_size = f"{size[0]} x {size[1]} pixels (height x width)"
    reporter.note(f"{network.name}, {pixel_size}, {options.iterations} steps on the {backend.device()}")
    started = time.perf_counter()
    with one_interrupt() as hear_no_more:
        outcome = minimise(
            ops.convert_to_tensor(start), evaluate, build_optimizer(options), options.iterations, reporter
        )
        hear_no_more()
        seconds = time.perf_counter() - started
        if not math.isfinite(outcome.loss):
            if outcome.ended == "interrupted":
                raise InterruptedRun("stopped before the first step; nothing was saved")
            raise DivergedError(
                f"the loss is not finite at the first step; nothing was saved to {output}", hint="smaller weights"
            )
        image = deprocess(ops.convert_to_numpy(pixels.to_x(outcome.values)), preprocessing)[0]
        saved, _, _ = evaluate(ops.convert_to_tensor(pixels.from_x(preprocess(image, preprocessing))))
        facts = {
            "content": str(content),
            "styles": [str(path) for path in style_paths],
            "content_layers": content_layers,
            "style_layers": style_layers,
            "style_blend": shares,
            "height": size[0],
            "width": size[1],
            "steps": outcome.steps,
            "step": outcome.step,
            "loss": float(saved),
            "seconds": round(seconds, 1),
            "network_source": dict(network.source),
            "backend": backend.name(),
            "imgnn": __version__,
        }
        save_image(output, image, settings={"command": "style", **asdict(options), **facts})
    if outcome.ended == "interrupted":
        best = f"the best picture so far, of step {outcome.step},"
        if outcome.step == 1:
            best = "nothing better than the start was found yet, which was"
        raise InterruptedRun(f"stopped at step {outcome.steps} of {options.iterations}; {best} saved to {output}")
    if outcome.ended == "diverged":
        raise DivergedError(
            f"the loss is no longer finite at step {outcome.steps}; the best picture before it was saved to {output}",
            hint="smaller weights",
        )
    return StyleResult(output, size, network.name, outcome.steps, float(saved), seconds)


def check(options: StyleOptions, styles: Sequence[Path]) -> None:
    """Refuse what cannot be meant, before anything is loaded.

    Raises:
        InputError: an option is out of its range, or does not fit the others.
    """
    if not styles:
        raise InputError("at least one style picture is expected")
    if options.size < 1 or options.iterations < 1:
        raise InputError(
            f"size and iterations are at least 1, not {options.size} pixels and {options.iterations} iterations"
        )
    weights = {"content": options.content_weight, "style": options.style_weight, "tv": options.tv_weight}
    for name, weight in weights.items():
        if not math.isfinite(weight) or weight < 0:
            raise InputError(f"--{name}-weight is a number, 0 or more; {weight} was given")
    if not any(weights.values()):
        raise InputError("--content-weight, --style-weight and --tv-weight are all 0: nothing would be asked for")
    if options.learning_rate is not None and not 0 < options.learning_rate < math.inf:
        raise InputError(f"--learning-rate is a number above 0; {options.learning_rate} was given")
    shares_of(options.style_blend, len(styles))


def check_apart(output: Path, pictures: Sequence[Path]) -> None:
    """See to it that the result does not take the place of a picture it is made of.

    Raises:
        InputError: it would.
    """
    for picture in pictures:
        if is_file(output) and is_file(picture) and output.samefile(picture):
            raise InputError(f"{output} would be replaced by what is made of it", hint="another name with -o")


def check_memory(
    network: Network, layers: Sequence[str], size: tuple[int, int], picture: Path, *, copies: int = 2
) -> None:
    """Refuse a picture whose activations cannot be held by this machine, before it starts to try.

    Each activation is kept for the gradient, beside the gradient itself: float32, twice. (Measured with
    SqueezeNet v1.1 at 512 to 1536 pixels: the process then has 0.9 to 1.1 times that, and 0.6 GB for TensorFlow.)

    Raises:
        InputError: it wants more than there is; the hint names a size that fits.
    """
    wanted = 4.0 * copies * count_activations(network, layers, size)
    there = backend.memory()
    if there is None or backend.device() != "cpu" or wanted < there:
        return
    fitting = int(max(size) * math.sqrt(0.8 * there / wanted)) // 64 * 64
    raise InputError(
        f"{picture} at {size[0]} x {size[1]} pixels wants about {wanted / 1e9:.0f} GB of memory; "
        f"this machine has {there / 1e9:.0f} GB",
        hint=f"--size {max(fitting, 64)}, or a smaller network",
    )


def check_painting(network: Network, layers: Sequence[str], size: tuple[int, int], path: Path) -> None:
    """Refuse a painting that the network cannot take: too large for the memory, or too narrow.

    Raises:
        InputError: it cannot.
    """
    try:
        cut(network, layers, size)
    except InputError as error:
        raise InputError(
            f"style {path}: {error}", hint="a style whose sides are more alike, or a larger --size"
        ) from None
    check_memory(network, layers, size, path, copies=1)


def shares_of(blend: tuple[float, ...] | None, count: int) -> tuple[float, ...]:
    """The share of each of `count` styles; they add up to 1.

    Raises:
        InputError: there are more or fewer numbers than styles, or they cannot be shares.
    """
    blend = blend or (1.0,) * count
    if len(blend) != count:
        wanted = "1 style picture takes 1 number" if count == 1 else f"{count} style pictures take {count} numbers"
        raise InputError(f"{wanted} in --style-blend; {len(blend)} were received")
    if not all(math.isfinite(each) and each >= 0 for each in blend) or not any(blend):
        raise InputError(f"the numbers of --style-blend are 0 or more, and not all 0; {blend} was received")
    return tuple(each / sum(blend) for each in blend)


def own_layers(network: Network, role: Literal["content", "style"]) -> tuple[str, ...]:
    """The layers that the network itself names for a role.

    Raises:
        InputError: it names none.
    """
    layers: tuple[str, ...] = getattr(network.roles, role)
    if not layers:
        raise InputError(
            f"{network.name} does not say which of its layers are good for {role}",
            hint=f"name some with --{role}-layers; {network.layers_command} lists them",
        )
    return layers


def blended_grams(paintings: Sequence[Mapping[str, Tensor]], shares: Sequence[float]) -> dict[str, Tensor]:
    """The Gram matrices of a painting that is so much of each: layer -> their weighted mean."""
    return {
        layer: sum(share * gram_matrix(each[layer]) for each, share in zip(paintings, shares, strict=True))
        for layer in paintings[0]
    }


def first_picture(options: StyleOptions, photo: np.ndarray, painting: np.ndarray) -> np.ndarray:
    """What the optimisation starts from: `(height, width, 3)`, the size of the photo."""
    if options.init == "content":
        return photo
    if options.init == "style":
        return cover(painting, photo.shape[:2])
    noise = np.random.default_rng(options.seed).normal(128.0, NOISE, photo.shape)
    return noise.astype("float32")


def cover(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The picture scaled until it covers `size`, and cut to it around its middle."""
    height, width = size
    factor = max(height / image.shape[0], width / image.shape[1])
    scaled = resize(image, (max(height, round(image.shape[0] * factor)), max(width, round(image.shape[1] * factor))))
    top, left = (scaled.shape[0] - height) // 2, (scaled.shape[1] - width) // 2
    return scaled[top : top + height, left : left + width]


def build_optimizer(options: StyleOptions) -> Optimizer:
    """The optimiser asked for, at its own learning rate if none is given."""
    if options.optimizer == "adam":
        rate = Adam().learning_rate if options.learning_rate is None else options.learning_rate
        return Adam(rate, steps=options.iterations, bounds=LEVELS)
    rate = LBFGS().learning_rate if options.learning_rate is None else options.learning_rate
    return LBFGS(rate, bounds=LEVELS)
