"""`imgnn convert`: a .caffemodel becomes one self-describing .keras file."""

import mmap
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from imgnn import __version__
from imgnn.caffe.graph import build_graph, net_blobs
from imgnn.caffe.layout import Loaded, assign_blobs
from imgnn.caffe.net import Net, read_net
from imgnn.caffe.verify import Verification, verify
from imgnn.caffe.wire import read_binaryproto
from imgnn.errors import ConversionError, InputError, WeightsError
from imgnn.images.files import load_image
from imgnn.images.mean import channel_mean, load_mean
from imgnn.images.preprocess import classifier_crops, preprocess
from imgnn.images.preprocessing import Preprocessing
from imgnn.networks import registry, weights
from imgnn.networks.files import Put, load_network_file, save_network, unallocated
from imgnn.networks.names import guess_roles, network_of
from imgnn.networks.network import Network
from imgnn.networks.registry import NetworkSpec, class_words
from imgnn.options import ConvertOptions
from imgnn.runs import Reporter, Silent

Blobs = Mapping[str, Sequence[np.ndarray]]

LARGE = 1 << 24  # bytes of an array after which the pages of the source are given back
EXTRA = 0.25  # of a network's layers: so many more in the file (GoogLeNet's two auxiliary heads) are no other network


@dataclass(frozen=True)
class Conversion:
    """What became of a .caffemodel.

    Attributes:
        path: the file that was written.
        network: its name.
        spec: the network of the registry that it was recognised as; None for a network of its own.
        is_kept: whether it is in IMGNN_HOME, where every command finds it by name.
        rows: every layer with weights, and what became of its blobs.
        parameters: learned numbers, with BatchNorm's statistics.
        sha256: of the .caffemodel.
        verification: the comparison with the second opinion, if it was asked for.
    """

    path: Path
    network: str
    spec: NetworkSpec | None
    is_kept: bool
    rows: tuple[Loaded, ...]
    parameters: int
    sha256: str
    verification: Verification | None = None

    def count(self, status: str) -> int:
        """How many layers have this status."""
        return sum(row.status == status for row in self.rows)


@dataclass
class Plan:
    """What will be built and how it gets its weights: everything that is decided before the work."""

    network: Network
    blobs: Blobs
    net: Net
    prototxt: Path | None
    spec: NetworkSpec | None = None
    mean_image: np.ndarray | None = None
    renamed: dict[str, str] = field(default_factory=dict)  # the network's layer -> what the file calls it
    is_published: bool = False  # the registry's network with the published number of outputs


def convert_caffemodel(
    caffemodel: Path,
    prototxt: Path | None = None,
    output: Path | None = None,
    options: ConvertOptions | None = None,
    reporter: Reporter | None = None,
) -> Conversion:
    """Convert a .caffemodel to one .keras file that holds graph, weights, preprocessing, names and source.

    The graph is the registry's if the file is recognised as one of its networks (by its layers' names and sizes, or
    by `options.network`), else the prototxt's, else the one that the caffemodel itself describes.

    Args:
        output: default: IMGNN_HOME for a network of the registry, else STEM.keras in the current folder.

    Raises:
        ConversionError: a layer has no place in a Keras model, or the input size is not known.
        WeightsError: the file is damaged, or does not fit the network.
        InputError: a file is missing, or `output` cannot be written.
    """
    options, reporter = options or ConvertOptions(), reporter or Silent()
    if output is not None and output.suffix != ".keras" and not output.is_dir():
        raise InputError(f"the converted file is a .keras file; {output} was given", hint=f"-o {output.stem}.keras")
    if not caffemodel.is_file():
        raise InputError(f"there is no file {caffemodel}")
    with ThreadPoolExecutor(1) as pool:
        hashed = pool.submit(weights.digest, caffemodel)
        plan, rows, target = unallocated(lambda: write(caffemodel, prototxt, output, options, reporter, hashed))
    conversion = Conversion(
        path=target,
        network=plan.network.name,
        spec=plan.spec,
        is_kept=target == weights.converted_path(plan.network.name),
        rows=tuple(rows),
        parameters=plan.network.model.count_params(),
        sha256=hashed.result(),
    )
    if options.verify is None:
        return conversion
    reporter.begin("verify", None)
    try:
        return replace(conversion, verification=check(plan, target, caffemodel, options.verify))
    finally:
        reporter.end()


def write(
    caffemodel: Path,
    prototxt: Path | None,
    output: Path | None,
    options: ConvertOptions,
    reporter: Reporter,
    sha256: Future[str],
) -> tuple[Plan, list[Loaded], Path]:
    """Read, build and write; the new model's variables hold nothing here (`unallocated`)."""
    plan = make_plan(caffemodel, prototxt, options, reporter)
    plan = with_preprocessing(plan, options, reporter)
    source = {
        **plan.network.source,
        "file": caffemodel.name,
        "bytes": caffemodel.stat().st_size,
        "sha256": "",  # known when the weights are written: hashing needs no Python and goes on beside
        **({"prototxt": plan.prototxt.name} if plan.prototxt else {}),
        "converted_by": f"imgnn {__version__}",
    }
    # A variant is not what its registry's name promises, wherever it goes.
    name = caffemodel.stem if plan.spec is not None and not plan.is_published else plan.network.name
    plan.network = replace(plan.network, name=name, source=source)
    target = choose_target(plan, caffemodel, output)
    rows: list[Loaded] = []

    def fill(put: Put) -> None:
        def put_and_release(variable: Any, array: np.ndarray) -> None:
            put(variable, array)
            if array.nbytes >= LARGE:
                release(plan.blobs)

        rows.extend(assign_blobs(plan.network.model, plan.network.layers, plan.blobs, assign=put_and_release))
        source["sha256"] = sha256.result()

    reporter.begin(f"convert {caffemodel.name}", None)
    try:
        save_network(plan.network, target, fill=fill, mean_image=plan.mean_image)
    finally:
        reporter.end()
    found = {own: theirs for own, theirs in plan.renamed.items() if own != theirs}
    rows = [replace(row, why=f"the file calls it {found[row.layer]}") if row.layer in found else row for row in rows]
    return plan, rows, target


# Which network it is -------------------------------------------------------------------------------------------


def make_plan(caffemodel: Path, prototxt: Path | None, options: ConvertOptions, reporter: Reporter) -> Plan:
    """Choose where the graph comes from: the registry, the prototxt, or the caffemodel itself."""
    alone = read_net(None, caffemodel) if prototxt is None or options.network else None
    net = alone or read_net(prototxt, caffemodel)
    if options.network:
        if options.until:
            raise InputError("--until cuts a net that a prototxt describes; with --network the net is known")
        return named_plan(registry.find(options.network), net, prototxt, reporter)
    blobs = all_blobs(net)
    if options.until is None and (found := recognise(net, blobs, reporter)) is not None:
        spec, network = found
        if prototxt is None or is_same_net(network, net):
            return Plan(network, blobs, net, prototxt, spec, is_published=is_whole(network, spec))
        reporter.note(f"{prototxt.name} differs from the published {spec.title} and is followed")
    if prototxt is None:
        prototxt, net = own_definition(caffemodel, net, reporter)
    for note in net.notes:
        reporter.note(note)
    network = build_graph(net, until=options.until, name=caffemodel.stem, assign=False)
    network = replace(network, roles=guess_roles(network.model), source={"title": net.name})
    return Plan(network, all_blobs(net), net, prototxt)


def own_definition(caffemodel: Path, net: Net, reporter: Reporter) -> tuple[Path | None, Net]:
    """For a net that nobody knows: the prototxt beside it if the weights fit it, else what the caffemodel says."""
    beside = caffemodel.with_suffix(".prototxt")
    if beside.is_file():
        described = read_net(beside, caffemodel)
        network, blobs = build_graph(described, assign=False), all_blobs(described)
        wrong = [
            name
            for name, count in weighted_layers(network).items()
            if name in blobs and count != count_numbers(blobs[name], network, name)
        ]
        if not wrong:
            reporter.note(f"{caffemodel.name} is no network of the registry; built as {beside} beside it says")
            return beside, described
        reporter.note(f"{beside} is of other weights (layer {wrong[0]} does not fit); built as {caffemodel.name} says")
    if None in net.inputs.values():
        raise ConversionError(
            f"{caffemodel} is no network of the registry and does not say the size of its input",
            hint=f"imgnn convert {caffemodel} X.prototxt, with its deploy prototxt (or --network NAME)",
        )
    return None, net


def all_blobs(net: Net) -> dict[str, Sequence[np.ndarray]]:
    """The blobs of the net's layers, then those of layers that it does not have: they shall be told of."""
    return {**net_blobs(net), **net.unused_blobs}


def recognise(net: Net, blobs: Blobs, reporter: Reporter) -> tuple[NetworkSpec, Network] | None:
    """The network of the registry whose layers with weights are all in the file, with as many numbers each.

    Of several (VGG-16's layers are all in VGG-19) the one that leaves least over; of two equal ones (CaffeNet and
    AlexNet swap two layers without weights) the one in whose order the file has its layers, or whose name it bears.
    """
    order = {layer.name: number for number, layer in enumerate(net.layers)}
    numbers = sum(blob.size for arrays in blobs.values() for blob in arrays)
    candidates = [
        spec
        for spec in map(registry.find, registry.names())
        if spec.weights is not None and all(name in blobs for name in spec.roles.classifier)
    ]
    # The nearest in size first, those of the same size together: ResNet-50 fits its file and the larger need no look.
    candidates.sort(key=lambda spec: (abs(spec.parameters - numbers), spec.parameters))
    found: list[tuple[float, bool, bool, NetworkSpec, Network]] = []
    for spec in candidates:
        if any(extra == 0 and one.parameters != spec.parameters for extra, _, _, one, _ in found):
            break
        network = network_of(spec, classes=outputs(blobs[spec.roles.classifier[0]]))
        weighted = weighted_layers(network)
        if any(count != count_numbers(blobs.get(name, ()), network, name) for name, count in weighted.items()):
            continue
        extra = len(set(blobs) - set(weighted)) / len(weighted)
        places = [order[name] for name in network.layers if name in order]
        named = net.name.casefold() in (spec.title.casefold(), spec.name, *spec.aliases)
        if extra <= EXTRA:
            found.append((extra, places != sorted(places), not named, spec, network))
    if not found:
        return None
    found.sort(key=lambda each: each[:3])
    if len(found) > 1 and found[0][:3] == found[1][:3]:
        reporter.note(
            f"{found[0][3].name} and {found[1][3].name} have the same weights; taken as {found[0][3].name} "
            "(--network says otherwise)"
        )
    return found[0][3:]


def named_plan(spec: NetworkSpec, net: Net, prototxt: Path | None, reporter: Reporter) -> Plan:
    """The network that --network names, filled from whatever the file calls its classifier.

    Another number of outputs (Places, flickr style) makes the classifier as wide; no classifier at all
    gives the network without its fully connected part.
    """
    if spec.weights is None:
        raise InputError(f"{spec.name} has no weights to convert")
    blobs = all_blobs(net)
    network = network_of(spec)
    weighted = weighted_layers(network)
    renamed = {}
    for own in spec.roles.classifier:
        strangers = [name for name in blobs if name not in weighted and may_be(own, blobs[name], network)]
        if own not in blobs and len(strangers) == 1:
            renamed[own] = strangers[0]
            blobs = {own if name == strangers[0] else name: value for name, value in blobs.items()}
    missing = [name for name in weighted if name not in blobs]
    if missing:
        network = network_of(spec, include_top=False)
        if any(name not in blobs for name in weighted_layers(network)):
            shown = ", ".join(missing[:4]) + (f" and {len(missing) - 4} more" if len(missing) > 4 else "")
            raise WeightsError(
                f"{len(missing)} of the {len(weighted)} layers of {spec.name} are not in the file: {shown}",
                hint="without --network, and with its prototxt, the file is built as what it is",
            )
        reporter.note(f"the file has no {', '.join(missing)}: {spec.name} without its classifier")
    else:
        network = network_of(spec, classes=outputs(blobs[spec.roles.classifier[0]]))
    return Plan(
        network, blobs, net, prototxt, spec, renamed=renamed, is_published=not missing and is_whole(network, spec)
    )


def weighted_layers(network: Network) -> dict[str, int]:
    """Caffe layer -> how many numbers it has, for the layers that have any."""
    counts = {name: network.model.get_layer(layer).count_params() for name, layer in network.layers.items()}
    return {name: count for name, count in counts.items() if count}


def count_numbers(blobs: Sequence[np.ndarray], network: Network, name: str) -> int:
    """How many numbers a layer's blobs bring; the third blob of a BatchNorm is a factor of the other two."""
    is_norm = isinstance(network.model.get_layer(network.layers[name]), keras.layers.BatchNormalization)
    return sum(blob.size for blob in (blobs[:2] if is_norm else blobs))


def may_be(own: str, blobs: Sequence[np.ndarray], network: Network) -> bool:
    """Whether the blobs could be those of the classifier `own` with another number of outputs."""
    kernel = network.model.get_layer(network.layers[own]).weights[0]
    inputs = int(np.prod(kernel.shape[:-1]))
    return len(blobs) == 2 and blobs[0].size == inputs * blobs[1].size


def outputs(blobs: Sequence[np.ndarray]) -> int:
    """How many classes the blobs of a classifier give: one for each number of its bias, or row of its kernel."""
    if len(blobs) > 1:
        return int(blobs[1].size)
    return next((size for size in blobs[0].shape if size != 1), 1)


def is_whole(network: Network, spec: NetworkSpec) -> bool:
    """Whether it has the published number of outputs."""
    return int(network.model.outputs[0].shape[-1]) == spec.classes


def is_same_net(network: Network, net: Net) -> bool:
    """Whether a prototxt describes what the builder builds: the same layers and the same size."""
    sizes = [shape[-2:] for shape in net.inputs.values() if shape]
    return {layer.name for layer in net.layers} == set(network.layers) and sizes in (
        [],
        [tuple(network.model.inputs[0].shape[1:3])],
    )


# What is known about it ----------------------------------------------------------------------------------------


def with_preprocessing(plan: Plan, options: ConvertOptions, reporter: Reporter) -> Plan:
    """Settle how a picture becomes the input: --mean and --scale, what the files say, Caffe's habit, in that order."""
    network = plan.network
    preprocessing = network.preprocessing
    if plan.spec is not None and plan.is_published and plan.spec.words:
        words = tuple(f"{word.wnid} {word.words}" for word in class_words(plan.spec.words))
        network = replace(network, words=words)
    shapes = [tuple(each.shape) for each in network.model.inputs]
    takes_picture = len(shapes) == 1 and len(shapes[0]) == 4 and shapes[0][-1] in (1, 3)
    if preprocessing is None and takes_picture:
        preprocessing = habit(shapes[0])
        if options.mean is None:
            reporter.note(
                "the files do not say how a picture is prepared: taken as "
                f"{preprocessing.channel_order} minus {', '.join(f'{m:g}' for m in preprocessing.mean)} "
                "(--mean and --scale say otherwise)"
            )
    if preprocessing is None and (options.mean or options.scale):
        raise InputError(f"{network.name} does not take a picture: {shapes}; --mean and --scale have no meaning")
    if preprocessing is not None and options.scale is not None:
        preprocessing = replace(preprocessing, scale=(options.scale,) * len(preprocessing.mean))
    if preprocessing is not None and options.mean is not None:
        mean, plan.mean_image = read_mean(options.mean, len(preprocessing.mean))
        preprocessing = replace(preprocessing, mean=mean)
    plan.network = replace(network, preprocessing=preprocessing)
    return plan


def habit(shape: tuple[int | None, ...]) -> Preprocessing:
    """What most Caffe networks were trained with: BGR, 0..255, minus ImageNet's mean; one channel: as it is."""
    _, height, width, channels = shape
    size = (height or 224, width or 224)
    if channels == 1:
        return Preprocessing(size, (0.0,), "GREY", (1.0,), resize=max(256, *size))
    return Preprocessing(size, resize=max(256, *size))


def read_mean(mean: str, channels: int) -> tuple[tuple[float, ...], np.ndarray | None]:
    """`--mean`: a .binaryproto, .npy or picture, or numbers ("104,117,123"): channel means, and the mean image."""
    numbers = mean.replace(",", " ").split()
    if all(is_number(each) for each in numbers):
        values, image = tuple(float(each) for each in numbers), None
    else:
        path = Path(mean).expanduser()
        array = read_binaryproto(path).transpose(1, 2, 0) if path.suffix == ".binaryproto" else load_mean(path)
        values = channel_mean(array)
        image = array.transpose(2, 0, 1) if array.shape[:2] != (1, 1) else None
    if len(values) != channels:
        raise InputError(f"the network wants a mean of {channels} channels; {mean} has {len(values)}")
    return values, image


def is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def choose_target(plan: Plan, caffemodel: Path, output: Path | None) -> Path:
    """Where the file goes. A published network goes where it is found by name; variants must not take that name."""
    if output is not None:
        return output / f"{caffemodel.stem}.keras" if output.is_dir() else output
    if plan.spec is not None and plan.is_published:
        kept = weights.converted_path(plan.spec.name)
        weights.made_folder(kept.parent)
        return kept
    return Path(f"{caffemodel.stem}.keras")


# The second opinion, and the pages of memory --------------------------------------------------------------------


def check(plan: Plan, converted: Path, caffemodel: Path, picture: Path) -> Verification:
    """The written file, loaded again, against the second opinion, on a picture."""
    network = load_network_file(converted)
    if network.preprocessing is None:
        raise ConversionError(f"{network.name} does not take one picture: nothing to verify it with")
    x = preprocess(classifier_crops(load_image(picture), network.preprocessing), network.preprocessing)
    net, prototxt = plan.net, plan.prototxt
    beside = caffemodel.with_suffix(".prototxt")
    if plan.spec is not None and prototxt is None and beside.is_file():
        net, prototxt = read_net(beside, caffemodel), beside  # with it OpenCV can answer
    return verify(network, net, x, prototxt=prototxt, caffemodel=caffemodel)


def release(blobs: Blobs) -> None:
    """Give the pages of the mapped file back: what was copied is not wanted again, and all of it would be in memory."""
    for base in {id(each): each for arrays in blobs.values() for array in arrays if (each := mapped(array))}.values():
        base.madvise(mmap.MADV_DONTNEED)


def mapped(array: np.ndarray) -> mmap.mmap | None:
    """The map that an array is a view of; None if it is none, or where the system has no madvise."""
    base: Any = array
    while isinstance(base, np.ndarray | memoryview):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    return base if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED") else None
