"""What a network knows: a picture of a class, drawn from nothing, and the channels that fire on a photo.

The recipe of Deep Inside Convolutional Networks (Simonyan, Vedaldi, Zisserman, arXiv:1312.6034): a picture is moved
until the score of a class, before the softmax, is high. What keeps it a picture is one of two things: the
regularisers of arXiv:1506.06579 (`optimize/regularise.py`), or coefficients in which all scales move alike, and a
shaken picture (`optimize/fourier.py`).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from imgnn import __version__, backend
from imgnn.backend import Evaluate, Tensor, value_and_grad
from imgnn.errors import DivergedError, ImgnnError, InputError, InterruptedRun, UnknownNameError
from imgnn.images.files import check_apart, check_writable, load_image, save_or_spare
from imgnn.images.preprocess import classifier_crops, constants, preprocess
from imgnn.images.preprocessing import Preprocessing
from imgnn.images.resize import fit_long_side, resize
from imgnn.images.sheet import contact_sheet
from imgnn.jobs.load import layers_for, load_network, preprocessing_of
from imgnn.networks import registry, weights
from imgnn.networks.features import cut, of_size
from imgnn.networks.network import Network
from imgnn.networks.predict import PASSES, check_classifier, class_name, classes
from imgnn.optimize.evaluate import if_it_fits
from imgnn.optimize.fourier import Fourier
from imgnn.optimize.loop import Run, minimise
from imgnn.optimize.optimizers import Adam, Optimizer
from imgnn.optimize.parameters import to_image, to_x
from imgnn.optimize.regularise import PRESETS, RegularisedAscent
from imgnn.options import ClassPictureOptions, LayerChoice
from imgnn.runs import Reporter, Silent, one_interrupt

FOURIER_STEPS = 256
LEARNING_RATE = 0.05  # of Adam on the coefficients, as in Lucid
SHAKE, ZOOM = 1 / 14, 0.05  # at most: of the side, 16 pixels of 224; of the size, up and down
# What is started from: the first from which a way leads up. Behind a ReLU many channels do not fire on a plain picture.
CONTRASTS = (1.0, 10.0, 80.0)  # times Lucid's noise: standard deviations of about 0.8, 8 and 50 grey levels
DEVIATIONS = (0.0, 10.0, 50.0)  # grey levels of noise about the mean; Yosinski has 10
SHOWN = 100.0  # grey levels about the mean that one pixel in 200 of a picture of a preset A to D goes beyond

CHANNEL_SIDE, CHANNEL_STEPS = 128, 64  # of the small picture of a channel: pixels, evaluations
PHOTO_SIDE = 384  # pixels, the long side at which a photo's channels are looked at
PER_ROW = 6  # channels in a row of the sheet


@dataclass(frozen=True)
class Verdict:
    """What a classifier says of the picture.

    Attributes:
        network: its name.
        logit: of the class, before the softmax.
        prob: of the class, 0..1.
        rank: of the class among all, 1 is the most probable.
        best: the words of the most probable class; its index as text where there are none.
    """

    network: str
    logit: float
    prob: float
    rank: int
    best: str


@dataclass(frozen=True)
class ClassPictureResult:
    """What a run made.

    Attributes:
        path: the picture.
        size: its `(height, width)`, pixels.
        network: the name of the network that drew it.
        target: the words of the class, "goldfish, Carassius auratus", or LAYER:CHANNEL.
        class_index: None for a channel.
        score: of the picture saved: what was raised.
        own: what the network itself says of it; None for a channel.
        judge: what the second network says; None for a channel, or if there is none that knows the class.
        steps: evaluations that were made.
        seconds: they took, without loading.
    """

    path: Path
    size: tuple[int, int]
    network: str
    target: str
    class_index: int | None
    score: float
    own: Verdict | None
    judge: Verdict | None
    steps: int
    seconds: float


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


@dataclass(frozen=True)
class Goal:
    """What is raised: a channel of a tensor of the network.

    Attributes:
        name: for the user.
        tensor: symbolic, `(batch, channels)` or `(batch, h, w, channels)`.
        channel: counted from 0.
        class_index: if it is a class.
    """

    name: str
    tensor: Any
    channel: int
    class_index: int | None = None

    @property
    def one_hot(self) -> Tensor:
        """1 for the channel, 0 for the others."""
        return ops.one_hot(self.channel, self.tensor.shape[-1], dtype="float32")


@dataclass
class Drawing:
    """An optimisation that has not begun.

    Attributes:
        start: the values it begins with.
        alive: whether a way leads up from there.
        steps: evaluations that are usual.
        image: `values -> image`, uint8.
    """

    start: Tensor
    alive: bool
    evaluate: Evaluate
    optimizer: Optimizer
    steps: int
    image: Callable[[Tensor], np.ndarray]


# `(pixels, one_hot) -> score`; pixels `(1, height, width, 3)`, RGB, 0..255
Score = Callable[[Tensor, Tensor], Tensor]
Draw = Callable[[Goal, int], Drawing]


# A class -------------------------------------------------------------------------------------------------------


def draw_class(
    output: str | Path, options: ClassPictureOptions, reporter: Reporter | None = None
) -> ClassPictureResult:
    """Draw what a network takes for a class, or what one of its channels fires on, into the file `output`.

    Every setting is kept in the file (`images.files.read_settings`). Of a class that a network knows well many
    pictures get a high score; whether one looks like the class is asked of a second network, which had no part in it.

    Args:
        output: .png, .jpg, .webp or .tif, as large as the network's input or `options.size`; an older file is replaced.

    Raises:
        InputError: an option is not what it should be, or the target means several classes.
        UnknownNameError: no network, layer, class or preset has this name.
        WeightsError, DownloadError: the network's weights are not to be had.
        InterruptedRun: Ctrl-C; the picture so far was saved.
        DivergedError: the score is no longer finite; the best picture before was saved.
    """
    output, reporter = Path(output), reporter or Silent()
    check(options)
    check_writable(output)
    network = load_network(options.network, reporter=reporter)
    preprocessing = preprocessing_of(network)
    goal = find_goal(network, options.target)
    judge = None if goal.class_index is None else find_judge(network, options.judge, reporter)
    size = preprocessing.size if options.size is None else (options.size, options.size)
    score = score_of(network, goal.tensor, size)
    try:
        drawing = drawer(options.preset, score, size, preprocessing)(goal, options.seed)
    except Exception as error:
        if not backend.is_out_of_memory(error):
            raise
        raise InputError(
            f"{size[0]} x {size[1]} pixels of {network.name} do not fit into the memory", hint="a smaller --size"
        ) from error
    # Made before the long work: a network may see a class in pictures of one size only.
    look = None if goal.class_index is None else logits_of(network, size)
    if not drawing.alive:
        raise InputError(
            f"{goal.name} of {network.name} fires on nothing that a picture starts from: no way leads up",
            hint="another --seed, or a convolution before its ReLU: LAYER@raw:CHANNEL",
        )
    steps = options.iterations or drawing.steps
    reporter.note(
        f"{network.name}, {goal.name}: {size[0]} x {size[1]} pixels, {steps} steps, preset {options.preset}, "
        f"on the {backend.device()}"
    )
    started = time.perf_counter()
    with one_interrupt() as hear_no_more:
        reporter.begin("Drawing", steps, "steps")
        try:
            run = minimise(Run.start(drawing.start), drawing.evaluate, drawing.optimizer, steps, reporter)
        finally:
            reporter.end()
        hear_no_more()
        seconds = time.perf_counter() - started
        if not run.found:
            if run.ended == "interrupted":
                raise InterruptedRun("stopped before the first step; nothing was saved")
            raise DivergedError(f"the score is not finite at the first step; nothing was saved to {output}")
        # The shaking makes a single score a matter of luck: the last picture, in which it has come furthest.
        values = run.best if run.ended == "diverged" else run.values
        image = drawing.image(values)
        reached = score(ops.convert_to_tensor(image[None].astype("float32")), goal.one_hot)
        own = None if goal.class_index is None or look is None else verdict(network, look, image, goal.class_index)
        second = None if goal.class_index is None else second_verdict(network, judge, image, goal, reporter)
        result = ClassPictureResult(
            output,
            size,
            network.name,
            goal.name,
            goal.class_index,
            float(ops.convert_to_numpy(reached)),
            own,
            second,
            run.steps,
            seconds,
        )
        kept = ("class_index", "score", "own", "steps")
        facts = {name: value for name, value in asdict(result).items() if name in kept}
        facts |= {"drawn": goal.name, "judged": asdict(second) if second else None}
        facts |= {"height": size[0], "width": size[1], "seconds": round(seconds, 1)}
        facts |= {"network_source": dict(network.source)}
        settings = {"command": "dream", **asdict(options), **facts, "backend": backend.name(), "imgnn": __version__}
        save_or_spare(output, image, settings)
    if run.ended == "interrupted":
        raise InterruptedRun(f"stopped at step {run.steps} of {steps}; the picture so far was saved to {output}")
    if run.ended == "diverged":
        raise DivergedError(
            f"the score ran away at step {run.steps} of {steps}; the best picture before was saved to {output}",
            hint=f"--iterations {run.found}, or another --preset",
        )
    return result


def check(options: ClassPictureOptions) -> None:
    """Refuse what cannot be meant, before anything is loaded.

    Raises:
        InputError: a number is out of its range.
        UnknownNameError: no preset is called so.
    """
    if options.preset not in (*PRESETS, "fourier"):
        raise UnknownNameError("preset", options.preset, (*PRESETS, "fourier"))
    for name, value in (("iterations", options.iterations), ("size", options.size)):
        if value is not None and value < 1:
            raise InputError(f"--{name} is at least 1, not {value}")


def find_goal(network: Network, target: str) -> Goal:
    """What `target` means: a class by index, wnid or any of its words, else LAYER:CHANNEL.

    A channel is raised where it is: the mean over its map. (One unit in the middle would draw a single spot, as
    large as what it sees; the mean draws the whole picture, and is the number by which `draw_channels` ranks.)

    Raises:
        InputError: it means several classes, or the layer has no such channel.
        UnknownNameError: there is no such class or layer.
    """
    found = [] if network.words is None else classes_called(network.words, target)
    name, _, number = target.rpartition(":")
    if not found and name and number.isdecimal():
        tensor, channel = network.tensor(name), int(number)
        if len(tensor.shape) not in (2, 4) or channel >= tensor.shape[-1]:
            raise InputError(
                f"{name} of {network.name} has no channel {channel}: its output is {tuple(tensor.shape[1:])}",
                hint=network.layers_command,
            )
        return Goal(f"{name}:{channel}", tensor, channel)
    check_classifier(network)
    if target.isdecimal():
        if int(target) >= classes(network):
            raise InputError(f"{network.name} has the classes 0 to {classes(network) - 1}, not {target}")
        found = [int(target)]
    if len(found) > 1:
        raise InputError(
            f"{target!r} is the name of {len(found)} classes: "
            + " and ".join(f"{index} ({' '.join(filter(None, class_name(network.words, index)))})" for index in found),
            hint=f"the number instead: {found[0]}",
        )
    if not found and target in {*network.blobs, *network.layers}:
        raise InputError(f"{target} is a layer of {network.name}: LAYER:CHANNEL is expected", hint=f"{target}:0")
    if not found:
        if network.words is None:
            raise InputError(
                f"{network.name} does not know the words of its classes; a number from 0 to "
                f"{classes(network) - 1} was expected, not {target!r}"
            )
        known = {name for line in network.words for name in words_of(line)}
        raise UnknownNameError("class", target, known, hint=f"a number from 0 to {classes(network) - 1} will do, too")
    index = found[0]
    return Goal(class_name(network.words, index)[1] or f"class {index}", class_scores(network), index, index)


def words_of(line: str) -> list[str]:
    """All that a class may be called by: its wnid, each of its words, all of them."""
    wnid, words = class_name((line,), 0)
    each = [word.strip() for word in (words or "").split(",")]
    return [name for name in (wnid, *each, words) if name]


def classes_called(lines: Sequence[str], name: str) -> list[int]:
    """The classes that have this name; case does not matter."""
    wanted = name.strip().casefold()
    return [index for index, line in enumerate(lines) if wanted in map(str.casefold, words_of(line))]


def class_logits(network: Network) -> Any:
    """What goes into the network's last softmax or sigmoid, symbolic; its output if it ends in neither."""
    value = network.model.outputs[0]
    for operation in reversed(network.model.operations):
        if not isinstance(operation, keras.layers.Layer) or operation.output is not value:
            continue
        function = getattr(getattr(operation, "activation", None), "__name__", "")
        if isinstance(operation, keras.layers.Softmax) or function in ("softmax", "sigmoid"):
            if isinstance(operation, keras.layers.Dense):  # both in one, as keras.applications has it
                logits = ops.matmul(operation.input, operation.kernel)
                return logits if operation.bias is None else logits + operation.bias
            return operation.input
        if type(operation).__name__ not in PASSES:
            break
        value = operation.input
    return network.model.outputs[0]


def class_scores(network: Network) -> Any:
    """What is raised for a class: its logit, or what that is the mean of.

    Where the classes are maps that are averaged at last (SqueezeNet, NIN), it is the maps before their ReLU: from a
    class that fires nowhere no gradient comes through a ReLU.
    """
    value = class_logits(network)
    for operation in reversed(network.model.operations):
        if not isinstance(operation, keras.layers.Layer) or operation.output is not value:
            continue
        passes = type(operation).__name__ in (*PASSES, "ReLU")
        if not passes or operation.input.shape[-1] != value.shape[-1]:
            break
        value = operation.input
    return value


def score_of(network: Network, tensor: Any, size: tuple[int, int]) -> Score:
    """The mean of a channel of `tensor` over its map, for pictures of one size.

    Raises:
        InputError: the network wants another size.
    """
    preprocessing = preprocessing_of(network)
    try:
        model = of_size(network, {"scores": tensor}, size)
    except InputError as error:
        wanted = preprocessing.size
        raise InputError(
            f"for this, {network.name} wants a picture of {wanted[0]} x {wanted[1]} pixels, not {size[0]} x {size[1]}",
            hint="leave out --size, or take a network without a fully connected layer, as squeezenet",
        ) from error

    def score(pixels: Tensor, one_hot: Tensor) -> Tensor:
        scores = model(to_x(pixels, preprocessing))["scores"]
        return ops.sum(ops.mean(ops.reshape(scores, (-1, scores.shape[-1])), axis=0) * one_hot)

    return score


# The two ways to draw ------------------------------------------------------------------------------------------


def drawer(preset: str, score: Score, size: tuple[int, int], preprocessing: Preprocessing) -> Draw:
    """`(goal, seed) -> drawing` with a preset; what is compiled serves every goal of the same tensor."""
    if preset == "fourier":
        return fourier_drawer(score, size)
    return regularised_drawer(preset, score, size, preprocessing)


def fourier_drawer(score: Score, size: tuple[int, int], steps: int = FOURIER_STEPS) -> Draw:
    """Adam on Fourier coefficients; each step looks at the picture shifted and scaled a little, at random.

    What is found has to be there wherever one looks from: that takes away the fine patterns that please a network and
    no eye.

    Source: Lucid, optvis/render.py and transform.py, which pads and rotates as well; the edges are mirrored here.
    """
    fourier = Fourier.of(size)

    def loss(values: Tensor, rows: Tensor, columns: Tensor, one_hot: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        seen = ops.einsum("ih,bhwc->biwc", rows, fourier.to_pixels(values))
        return -score(ops.einsum("jw,bhwc->bhjc", columns, seen), one_hot), {}

    run = value_and_grad(loss)

    def draw(goal: Goal, seed: int) -> Drawing:
        random, one_hot = np.random.default_rng(seed), goal.one_hot

        def evaluate(values: Tensor) -> Any:
            scale = random.uniform(1 - ZOOM, 1 + ZOOM)
            looks = [resampling(side, scale, random.uniform(-SHAKE, SHAKE) * side) for side in size]
            return run(values, *map(ops.convert_to_tensor, looks), one_hot)

        start, alive = first_alive([contrast * fourier.start(seed) for contrast in CONTRASTS], evaluate)
        return Drawing(
            start,
            alive,
            evaluate,
            Adam(LEARNING_RATE),
            steps,
            lambda values: to_image(ops.convert_to_numpy(fourier.to_pixels(values))[0]),
        )

    return draw


def resampling(side: int, scale: float, shift: float) -> np.ndarray:
    """`(side, side)`: what takes a row of pixels to the same row scaled about its middle and shifted, linearly.

    Beyond its ends the row goes on mirrored.
    """
    middle = (side - 1) / 2
    position = (np.arange(side) - middle) / scale + middle + shift
    first = np.floor(position).astype(int)
    matrix = np.zeros((side, side), "float32")
    for place, weight in ((first, 1 - (position - first)), (first + 1, position - first)):
        inside = np.mod(place, 2 * side)
        np.add.at(matrix, (np.arange(side), np.minimum(inside, 2 * side - 1 - inside)), weight)
    return matrix


def regularised_drawer(preset: str, score: Score, size: tuple[int, int], preprocessing: Preprocessing) -> Draw:
    """One of Yosinski's presets, from the mean picture.

    What they make has a contrast of a few grey levels, and is shown with more, as the authors show theirs.
    """
    by = PRESETS[preset]
    mean = mean_pixel(preprocessing)
    centre = ops.convert_to_tensor(mean)
    run = value_and_grad(lambda values, one_hot: (-score(values + centre, one_hot), {}))

    def image(values: Tensor) -> np.ndarray:
        found = np.asarray(ops.convert_to_numpy(values))
        contrast = np.percentile(np.abs(found).max(axis=-1), 99.5)
        return to_image((found * max(1.0, SHOWN / max(contrast, 1e-3)) + mean)[0])

    def draw(goal: Goal, seed: int) -> Drawing:
        one_hot = goal.one_hot
        noise = np.random.default_rng(seed).normal(0.0, 1.0, (1, *size, 3)).astype("float32")

        def evaluate(values: Tensor) -> Any:
            return run(values, one_hot)

        start, alive = first_alive([deviation * noise for deviation in DEVIATIONS], evaluate)
        ascent = RegularisedAscent(by, (-mean, 255.0 - mean))
        return Drawing(start, alive, evaluate, ascent, by.iterations, image)

    return draw


def first_alive(starts: Sequence[np.ndarray], evaluate: Evaluate) -> tuple[Tensor, bool]:
    """The first of the starts at which there is a gradient, and True; the last and False, if there is none at any."""
    for start in starts:
        values = ops.convert_to_tensor(start)
        if np.any(ops.convert_to_numpy(evaluate(values)[2])):
            return values, True
    return values, False


def mean_pixel(preprocessing: Preprocessing) -> np.ndarray:
    """The mean of the pictures the network was trained on, float32 `(3,)`, RGB, 0..255."""
    mean, _ = constants(preprocessing)
    return np.broadcast_to(mean[::-1] if preprocessing.channel_order == "BGR" else mean, (3,)).astype("float32")


# What networks say of it ---------------------------------------------------------------------------------------


def logits_of(network: Network, size: tuple[int, int]) -> Callable[[np.ndarray], np.ndarray]:
    """Images of a size -> the logits of a classifier, `(classes,)`; of one that gives a map of them, their mean.

    Raises:
        InputError: it does not take this size.
    """
    model = of_size(network, {"logits": class_logits(network)}, size)

    def look(image: np.ndarray) -> np.ndarray:
        x = preprocess(image, preprocessing_of(network), network.mean_image)
        logits = ops.convert_to_numpy(model(ops.convert_to_tensor(x))["logits"])
        mean: np.ndarray = logits.reshape(-1, logits.shape[-1]).mean(axis=0)
        return mean

    return look


def verdict(network: Network, look: Callable[[np.ndarray], np.ndarray], image: np.ndarray, class_index: int) -> Verdict:
    """What a classifier says of a picture; `look` is its `logits_of`."""
    logits = look(image)
    prob = np.exp(logits - logits.max())
    prob /= prob.sum()
    best = int(prob.argmax())
    return Verdict(
        network.name,
        float(logits[class_index]),
        float(prob[class_index]),
        int(np.sum(prob > prob[class_index])) + 1,
        class_name(network.words, best)[1] or str(best),
    )


def second_verdict(
    network: Network, judge: Network | None, image: np.ndarray, goal: Goal, reporter: Reporter
) -> Verdict | None:
    """What the second network says, of the picture as it sees pictures; None if it does not know the class."""
    if judge is None or goal.class_index is None:
        return None
    index = same_class(network, goal.class_index, judge)
    if index is None:
        reporter.note(f"{judge.name} has no class that is {goal.name}: it does not judge the picture")
        return None
    crop = classifier_crops(image, preprocessing_of(judge))[0]
    told = if_it_fits(lambda: verdict(judge, logits_of(judge, crop.shape[:2]), crop, index))
    if told is None:
        reporter.note(f"{judge.name} cannot judge the picture: the memory does not suffice")
    return told


def same_class(network: Network, class_index: int, judge: Network) -> int | None:
    """The index that a class of one network has in another: by wnid or words; by number, if neither has any."""
    if network.words is None or judge.words is None:
        return class_index if classes(network) == classes(judge) else None
    wnid, words = class_name(network.words, class_index)
    for index in range(len(judge.words)):
        other_wnid, other_words = class_name(judge.words, index)
        if (wnid and wnid == other_wnid) or (not (wnid and other_wnid) and words == other_words):
            return index
    return None


def find_judge(network: Network, name: str | None, reporter: Reporter) -> Network | None:
    """The second network: the one named, or one whose weights are on this machine, of another family if there is one.

    Raises:
        InputError, UnknownNameError, WeightsError: as `load_network`, of the one named; it is no classifier.
    """
    if name is not None:
        judge = load_network(name, reporter=reporter)
        check_classifier(judge)
        preprocessing_of(judge)
        return judge
    # Of a network that came from a file only its name tells which it is.
    own = registry.SPECS.get(network.name)
    there = [
        spec
        for spec in registry.SPECS.values()
        if spec.name != network.name and spec.weights and weights.converted_path(spec.name).is_file()
    ]
    there.sort(key=lambda spec: own is not None and spec.builder.partition(":")[0] == own.builder.partition(":")[0])
    for spec in there:
        try:
            return load_network(spec.name, reporter=reporter)
        except ImgnnError as error:  # nobody asked for this one
            reporter.note(f"{spec.name} cannot judge the picture: {error}")
    reporter.note(
        "no second network is on this machine to judge the picture; imgnn classify with another one fetches it"
    )
    return None


# The channels of a photo ---------------------------------------------------------------------------------------


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
        sheet = contact_sheet(rows, captions=captions, cell=cell_of(size))
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
    """The channels with the largest mean, less that of noise; the strongest first."""
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
        activation: `(h, w)` of the channel, of the whole picture.
    """
    # A few units fire far more than all others: the strongest hundredth is shown alike.
    share = np.maximum(activation, 0) / max(float(np.percentile(activation, 99)), 1e-6)
    share = resize(np.minimum(share, 1).astype("float32"), image.shape[:2], "bilinear")
    return np.rint(image * (0.12 + 0.88 * np.clip(share, 0, 1)[..., None])).astype("uint8")


def channel_drawings(
    network: Network, layer: str, channels: Sequence[FiringChannel], seed: int, reporter: Reporter
) -> Iterator[np.ndarray]:
    """A small picture of what each channel is looking for, one after the other.

    Raises:
        KeyboardInterrupt: Ctrl-C.
    """
    size = (CHANNEL_SIDE, CHANNEL_SIDE)
    tensor = network.tensor(layer)
    draw = fourier_drawer(score_of(network, tensor, size), size, CHANNEL_STEPS)
    reporter.begin("Drawing channels", len(channels) * CHANNEL_STEPS, "steps")
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


def cell_of(size: tuple[int, int]) -> tuple[int, int]:
    """The cell of the sheet that a photo fills: 240 pixels on its long side."""
    return fit_long_side(size, 240)
