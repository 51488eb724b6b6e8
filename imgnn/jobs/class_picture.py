"""What a network takes for a class, drawn from nothing; and what a second network says of it.

The recipe of Deep Inside Convolutional Networks (Simonyan, Vedaldi, Zisserman, arXiv:1312.6034): a picture is moved
until the score of a class, before the softmax, is high. `jobs/drawing.py` is how.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from imgnn import __version__, backend
from imgnn.errors import DivergedError, ImgnnError, InputError, InterruptedRun, OptionError, UnknownNameError
from imgnn.images.files import check_writable, save_or_spare
from imgnn.images.preprocess import classifier_crops, preprocess
from imgnn.jobs.drawing import Goal, drawer, score_of
from imgnn.jobs.load import load_network, preprocessing_of
from imgnn.networks import registry, weights
from imgnn.networks.features import of_size
from imgnn.networks.logits import PASSES, logits_of
from imgnn.networks.network import Network
from imgnn.networks.predict import ClassNames, check_classifier, class_name, classes, words_of
from imgnn.optimize.evaluate import if_it_fits
from imgnn.optimize.loop import Run, minimise
from imgnn.optimize.regularise import PRESETS
from imgnn.options import ClassPictureOptions
from imgnn.runs import Reporter, Silent, one_interrupt


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
    look = None if goal.class_index is None else look_of(network, size)
    if not drawing.alive:
        raise InputError(
            f"{goal.name} of {network.name} fires on nothing that a picture starts from: no way leads up",
            hint="another --seed, or a convolution before its ReLU: LAYER@raw:CHANNEL",
        )
    steps = options.iterations or drawing.steps
    reporter.note(
        f"{network.name}, {goal.name}: {size[0]} x {size[1]} pixels, {steps} steps, preset {options.preset}, "
        f"{backend.place('float32')}"
    )
    started = time.perf_counter()
    with one_interrupt() as hear_no_more:
        reporter.begin("drawing", steps, "steps")
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
        own = None if look is None or goal.class_index is None else verdict(network, look, image, goal.class_index)
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
        OptionError: a number is out of its range.
        UnknownNameError: no preset is called so.
    """
    if options.preset not in (*PRESETS, "fourier"):
        raise UnknownNameError("preset", options.preset, (*PRESETS, "fourier"))
    for name, value in (("iterations", options.iterations), ("size", options.size)):
        if value is not None and value < 1:
            raise OptionError(f"--{name} is at least 1, not {value}")


def find_goal(network: Network, target: str) -> Goal:
    """What `target` means: a class by index, wnid or any of its words, else LAYER:CHANNEL.

    A channel is raised where it is: the mean over its map. (One unit in the middle would draw a single spot, as
    large as what it sees; the mean draws the whole picture, and is the number by which `draw_channels` ranks.)

    Raises:
        InputError: it means several classes, or the layer has no such channel.
        UnknownNameError: there is no such class or layer.
    """
    found = [] if network.words is None else ClassNames(network.words).find(target)
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


def class_scores(network: Network) -> Any:
    """What is raised for a class: its logit, or what that is the mean of.

    Where the classes are maps that are averaged at last (SqueezeNet, NIN), it is the maps before their ReLU: from a
    class that fires nowhere no gradient comes through a ReLU.
    """
    value = logits_of(network.model)
    for operation in reversed(network.model.operations):
        if not isinstance(operation, keras.layers.Layer) or operation.output is not value:
            continue
        passes = type(operation).__name__ in (*PASSES, "ReLU")
        if not passes or operation.input.shape[-1] != value.shape[-1]:
            break
        value = operation.input
    return value


# What networks say of it ---------------------------------------------------------------------------------------


def look_of(network: Network, size: tuple[int, int]) -> Callable[[np.ndarray], np.ndarray]:
    """Images of a size -> the logits of a classifier, `(classes,)`; of one that gives a map of them, their mean.

    Raises:
        InputError: it does not take this size.
    """
    model = of_size(network, {"logits": logits_of(network.model)}, size)

    def look(image: np.ndarray) -> np.ndarray:
        x = preprocess(image, preprocessing_of(network), network.mean_image)
        logits = ops.convert_to_numpy(model(ops.convert_to_tensor(x))["logits"])
        mean: np.ndarray = logits.reshape(-1, logits.shape[-1]).mean(axis=0)
        return mean

    return look


def verdict(network: Network, look: Callable[[np.ndarray], np.ndarray], image: np.ndarray, class_index: int) -> Verdict:
    """What a classifier says of a picture; `look` is its `look_of`."""
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
    told = if_it_fits(lambda: verdict(judge, look_of(judge, crop.shape[:2]), crop, index))
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
