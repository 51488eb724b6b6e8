"""Which channels of a layer fire on a photo, where, and what each is looking for: on one sheet."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from keras import ops

from imgnn import __version__, backend
from imgnn.backend import Tensor
from imgnn.errors import InputError, InterruptedRun
from imgnn.images.files import check_apart, check_writable, load_image, save_or_spare
from imgnn.images.resize import fit_long_side, resize
from imgnn.images.sheet import contact_sheet
from imgnn.jobs.drawing import CONTRASTS, Goal, fourier_drawer, score_of
from imgnn.jobs.load import layers_for, load_network, preprocessing_of
from imgnn.networks.features import cut
from imgnn.networks.network import Network
from imgnn.optimize.fourier import Fourier
from imgnn.optimize.loop import Run, minimise
from imgnn.optimize.parameters import to_x
from imgnn.options import ClassPictureOptions, LayerChoice
from imgnn.runs import Reporter, Silent, one_interrupt

CHANNEL_SIDE, CHANNEL_STEPS = 128, 64  # of the small picture of a channel: pixels, evaluations
PHOTO_SIDE = 384  # pixels, the long side at which a photo's channels are looked at
PER_ROW, CELL_SIDE = 6, 240  # channels in a row of the sheet; pixels, the long side of the photo there


@dataclass(frozen=True)
class FiringChannel:
    """A channel that fires on a photo.

    Attributes:
        layer, channel: which one.
        strength: its mean activation over the photo, less the one over noise of a photo's spectrum.
        peak: its largest activation.
        place: `(y, x)` where that is, pixels of the photo: the middle of what the unit stands for.
    """

    layer: str
    channel: int
    strength: float
    peak: float
    place: tuple[int, int]


@dataclass(frozen=True)
class ChannelsResult:
    """The channels that fire most, the strongest first, and the sheet `path` that shows them."""

    path: Path
    network: str
    channels: tuple[FiringChannel, ...]
    seconds: float


def draw_channels(
    photo: str | Path,
    output: str | Path,
    count: int = 6,
    layer: str | None = None,
    network_name: str = ClassPictureOptions.network,
    reporter: Reporter | None = None,
    *,
    seed: int = 0,
) -> ChannelsResult:
    """Show which channels of a layer fire on a photo: where, and what each is looking for, on one sheet `output`.

    Channels are ranked by their mean activation over the photo, less the one over noise with the spectrum of a photo.
    By the plain mean some come first that fire on anything: channel 219 of GoogLeNet's inception_4c/output is among
    the first eight of two quite different photos, and gives noise two thirds of what it gives them.

    Args:
        photo: looked at with 384 pixels on its long side.
        count: of channels, the strongest first.
        layer: None: the first of those that the network dreams with.
        seed: of the noise, and of the small pictures.

    Raises:
        InputError: the photo cannot be read, the layer gives no map or has fewer channels.
        UnknownNameError: no network or layer has this name.
        WeightsError, DownloadError: the network's weights are not to be had.
        InterruptedRun: Ctrl-C; the sheet was saved without the small pictures that were not drawn.
    """
    photo, output, reporter = Path(photo), Path(output), reporter or Silent()
    if count < 1:
        raise InputError(f"at least 1 channel is to be shown, not {count}")
    check_writable(output)
    check_apart(output, [photo])
    image = load_image(photo)
    network = load_network(network_name, reporter=reporter)
    layer = layer or layers_for(network, "dream", "--layers")[0]
    size = fit_long_side(image.shape[:2], PHOTO_SIDE)
    small = resize(image, size)
    started = time.perf_counter()
    activations, noise = activations_of(network, layer, small, seed)
    if count > activations.shape[-1]:
        raise InputError(f"{layer} of {network.name} has {activations.shape[-1]} channels; {count} were asked for")
    channels = strongest(layer, activations, noise, count, image.shape[:2])
    lit = [light(small, activations[..., each.channel]) for each in channels]
    drawn: list[np.ndarray] = []
    with one_interrupt() as hear_no_more:
        try:
            for drawing in channel_drawings(network, layer, channels, seed, reporter):
                drawn.append(drawing)
        except KeyboardInterrupt:
            pass
        hear_no_more()
        rows, captions = [], []
        for first in range(0, count, PER_ROW):
            part = slice(first, first + PER_ROW)
            rows += [lit[part], drawn[part]]
            captions += [[f"{each.layer}:{each.channel}  {each.strength:.1f}" for each in channels[part]]]
            captions += [[""] * len(drawn[part])]
        sheet = contact_sheet(rows, captions=captions, cell=fit_long_side(size, CELL_SIDE))
        seconds = time.perf_counter() - started
        facts = {
            "command": "dream",
            "photo": str(photo),
            "network": network.name,
            "seed": seed,
            "channels": [asdict(each) for each in channels],
            "network_source": dict(network.source),
            "backend": backend.name(),
            "imgnn": __version__,
        }
        save_or_spare(output, sheet, facts)
    if len(drawn) < count:
        raise InterruptedRun(f"stopped at channel {len(drawn) + 1} of {count}; the sheet was saved to {output}")
    return ChannelsResult(output, network.name, channels, seconds)


def activations_of(network: Network, layer: str, image: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """What a layer makes of a picture, `(h, w, channels)`, and the mean of each channel over noise, `(channels,)`.

    The noise has the spectrum of photos and about their contrast, and the size of the picture: borders count alike.
    """
    model, size = cut(network, [layer], image.shape[:2]), image.shape[:2]
    fourier, preprocessing = Fourier.of(size), preprocessing_of(network)

    def look(pixels: Tensor) -> np.ndarray:
        return np.asarray(ops.convert_to_numpy(model(to_x(pixels, preprocessing))[layer]))[0]

    starts = [CONTRASTS[-1] * fourier.start(seed + each) for each in range(2)]
    noises = [fourier.to_pixels(ops.convert_to_tensor(start)) for start in starts]
    activations = look(ops.convert_to_tensor(image[None].astype("float32")))
    return activations, np.mean([look(noise) for noise in noises], axis=(0, 1, 2))


def strongest(
    layer: str, activations: np.ndarray, noise: np.ndarray, count: int, size: tuple[int, int]
) -> tuple[FiringChannel, ...]:
    """The channels with the largest mean, less that of noise; the strongest first.

    Args:
        activations: `(h, w, channels)`; `noise`: `(channels,)`.
        count: so many channels at most.
        size: `(height, width)` of the picture, pixels, in which places are told.
    """
    strength = activations.mean(axis=(0, 1)) - noise
    found = []
    for channel in np.argsort(-strength, kind="stable")[:count]:
        own = activations[..., channel]
        place = np.unravel_index(own.argmax(), own.shape)
        y, x = (int((index + 0.5) * side / cells) for index, side, cells in zip(place, size, own.shape, strict=True))
        found.append(FiringChannel(layer, int(channel), float(strength[channel]), float(own.max()), (y, x)))
    return tuple(found)


def light(image: np.ndarray, activation: np.ndarray) -> np.ndarray:
    """The picture, dark where a channel is silent, as it is where it fires most.

    Args:
        image: uint8 `(height, width, 3)`.
        activation: `(h, w)` of the channel, of the whole picture.
    """
    # A few units fire far more than all others: the strongest hundredth is shown alike.
    share = np.maximum(activation, 0) / max(float(np.percentile(activation, 99)), 1e-6)
    share = resize(np.minimum(share, 1).astype("float32"), image.shape[:2], "bilinear")
    return np.rint(image * (0.12 + 0.88 * np.clip(share, 0, 1)[..., None])).astype("uint8")


def channel_drawings(
    network: Network, layer: str, channels: Sequence[FiringChannel], seed: int, reporter: Reporter
) -> Iterator[np.ndarray]:
    """A small picture, uint8 `(side, side, 3)`, of what each channel is looking for, one after the other.

    Raises:
        KeyboardInterrupt: Ctrl-C.
    """
    size = (CHANNEL_SIDE, CHANNEL_SIDE)
    tensor = network.tensor(layer)
    draw = fourier_drawer(score_of(network, tensor, size), size, CHANNEL_STEPS)
    reporter.begin("drawing channels", len(channels) * CHANNEL_STEPS, "steps")
    try:
        for index, each in enumerate(channels):
            drawing = draw(Goal(str(LayerChoice(layer, each.channel)), tensor, each.channel), seed)
            run = minimise(Run.start(drawing.start), drawing.evaluate, drawing.optimizer, drawing.steps, Silent())
            if run.ended == "interrupted":
                raise KeyboardInterrupt
            yield drawing.image(run.best if run.ended == "diverged" else run.values)
            reporter.advance((index + 1) * CHANNEL_STEPS)
    finally:
        reporter.end()
