"""`imgnn convert`: a .caffemodel becomes one self-describing .keras file."""

import contextlib
import difflib
import math
import mmap
import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from imgnn import __version__
from imgnn.caffe.graph import before, build_free, build_graph, net_blobs
from imgnn.caffe.layer import Transform
from imgnn.caffe.layout import Loaded, assign_blobs
from imgnn.caffe.net import Net, read_net
from imgnn.caffe.verify import Verification, verify
from imgnn.caffe.wire import read_binaryproto
from imgnn.errors import ConversionError, ImgnnError, InputError, OptionError, WeightsError, missing
from imgnn.images.files import load_image
from imgnn.images.mean import channel_mean, load_mean
from imgnn.images.preprocess import classifier_crops, preprocess
from imgnn.images.preprocessing import Preprocessing
from imgnn.networks import registry, weights
from imgnn.networks.compare import first_difference
from imgnn.networks.files import Put, load_network_file, read_facts, save_network, unallocated, usual_resize
from imgnn.networks.names import known_roles, lower_part, network_of
from imgnn.networks.network import Network
from imgnn.networks.registry import LayerRoles, NetworkSpec
from imgnn.options import ConvertOptions
from imgnn.runs import Held, Reporter, Silent, check_folder, is_file, is_folder

Blobs = Mapping[str, Sequence[np.ndarray]]

LARGE = 1 << 24  # bytes of an array after which the pages of the source are given back
CANDIDATES = 20  # prototxts of a folder that are tried for a hint
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
    kin: NetworkSpec | None = None  # of a network of its own: the one of the registry whose layers it has
    renamed: dict[str, str] = field(default_factory=dict)  # the network's layer -> what the file calls it
    is_published: bool = False  # the registry's network with the published number of outputs
    is_authentic: bool = False  # and the file's bytes are those that its authors published


def convert_caffemodel(
    caffemodel: str | Path,
    prototxt: str | Path | None = None,
    output: str | Path | None = None,
    options: ConvertOptions | None = None,
    reporter: Reporter | None = None,
) -> Conversion:
    """Convert a .caffemodel to one .keras file that holds graph, weights, preprocessing, names and source.

    The graph is the registry's if the file is recognised as one of its networks (by its layers' names and sizes, and
    what its definition says they do, or by `options.network`), else the prototxt's, else the caffemodel's own.

    Args:
        output: default: IMGNN_HOME for a network of the registry that takes no other's place there, else
            STEM.keras in the current folder.

    Raises:
        ConversionError: a layer has no place in a Keras model, or the input size is not known.
        WeightsError: the file is damaged, or does not fit the network.
        InputError: a file is missing or is another kind of file, or `output` cannot be written; told before the work.
    """
    options, held = options or ConvertOptions(), Held(reporter or Silent())
    caffemodel, prototxt, output = Path(caffemodel), optional_path(prototxt), optional_path(output)
    if is_folder(caffemodel):
        raise InputError(f"{caffemodel} is a folder, not a .caffemodel file")
    if not is_file(caffemodel):
        raise missing(caffemodel)
    if output is not None:
        output = output_file(output, caffemodel)
    picture = None if options.verify is None else load_image(options.verify)
    with ThreadPoolExecutor(1) as pool:
        hashed = pool.submit(weights.digest, caffemodel)
        plan, rows, target = unallocated(lambda: write(caffemodel, prototxt, output, options, held, hashed))
    held.release()
    conversion = Conversion(
        path=target,
        network=plan.network.name,
        spec=plan.spec,
        is_kept=target == weights.converted_path(plan.network.name),
        rows=tuple(rows),
        parameters=plan.network.model.count_params(),
        sha256=hashed.result(),
    )
    if picture is None:
        return conversion
    held.begin("verifying", None)
    try:
        return replace(conversion, verification=check(plan, target, caffemodel, picture))
    finally:
        held.end()


def optional_path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def output_file(output: Path, caffemodel: Path) -> Path:
    """The file that `--output` means: in a folder, STEM.keras.

    Raises:
        InputError: it has another suffix, or cannot be written there.
    """
    if is_folder(output):
        output = output / f"{caffemodel.stem}.keras"
    elif output.suffix != ".keras":
        hint = f"-o {shlex.quote(str(output.with_suffix('.keras')))}"
        raise OptionError(f"the converted file is a .keras file; {output} was given", hint=hint)
    check_folder(output)
    return output


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
    plan.network = with_words(with_preprocessing(plan, options, reporter), options)
    target = choose_target(plan, caffemodel, output, sha256, reporter)
    check_folder(target)
    if plan.spec is not None and (not plan.is_published or (output is None and not is_kept(plan.spec, target))):
        # A variant is not what its registry's name promises, wherever it goes, nor under that licence.
        facts = {key: value for key, value in plan.network.source.items() if key != "licence"}
        plan.network = replace(plan.network, name=caffemodel.stem, source=facts)
    source = {
        **plan.network.source,
        "file": caffemodel.name,
        "bytes": caffemodel.stat().st_size,
        "sha256": "",  # known when the weights are written: hashing needs no Python and goes on beside
        **({"prototxt": plan.prototxt.name} if plan.prototxt else {}),
        "converted_by": f"imgnn {__version__}",
    }
    plan.network = replace(plan.network, source=source)
    rows: list[Loaded] = []

    def fill(put: Put) -> None:
        def put_and_release(variable: Any, array: np.ndarray) -> None:
            put(variable, array)
            if array.nbytes >= LARGE:
                release(plan.blobs)

        rows.extend(assign_blobs(plan.network.model, plan.network.layers, plan.blobs, assign=put_and_release))
        source["sha256"] = sha256.result()

    reporter.begin(f"converting {caffemodel.name}", None)
    try:
        save_network(plan.network, target, fill=fill)
    except WeightsError as error:
        if plan.prototxt is None or plan.spec is not None:
            raise
        raise does_not_fit(plan.prototxt, caffemodel, str(error)) from error
    finally:
        reporter.end()
    found = {own: theirs for own, theirs in plan.renamed.items() if own != theirs}
    rows = [replace(row, why=f"the file calls it {found[row.layer]}") if row.layer in found else row for row in rows]
    return plan, rows, target


def does_not_fit(prototxt: Path, caffemodel: Path, why: str) -> WeightsError:
    """The error for a prototxt of other weights."""
    return WeightsError(
        f"{prototxt.name} is not the prototxt of {caffemodel.name}: {why}",
        hint=f"imgnn convert {shlex.quote(str(caffemodel))}, with the prototxt that came with it, or without any",
    )


# Which network it is -------------------------------------------------------------------------------------------


def make_plan(caffemodel: Path, prototxt: Path | None, options: ConvertOptions, reporter: Reporter) -> Plan:
    """Choose where the graph comes from: the registry, the prototxt, or the caffemodel itself."""
    alone = read_net(None, caffemodel) if prototxt is None or options.network else None
    net = alone or read_net(prototxt, caffemodel)
    if options.network:
        if options.until:
            raise OptionError("--until cuts a net that a prototxt describes; with --network the net is known")
        plan = named_plan(registry.find(options.network), net, prototxt, reporter)
        plan.is_authentic = is_authentic(caffemodel, registry.find(options.network))
        if prototxt is not None and (place := difference(plan.network, read_net(prototxt, caffemodel))):
            reporter.note(f"{prototxt.name} differs ({place}) from {plan.network.name}, which --network names")
        return plan
    blobs = all_blobs(net)
    if options.until is None and (found := recognise(net, blobs, reporter)) is not None:
        spec, network = found
        authentic = is_authentic(caffemodel, spec)
        place = None
        if prototxt is not None and not is_same_net(network, net):
            place = "its layers' names or its input's size"
        elif prototxt is not None or not authentic:
            place = difference(network, net)
        if place is None:
            is_published = is_whole(network, spec)
            return Plan(network, blobs, net, prototxt, spec, is_published=is_published, is_authentic=authentic)
        described = prototxt or caffemodel
        reporter.note(f"{described.name} differs from the published {spec.title} ({place}) and is followed")
        if prototxt is None:
            net = of_size(net, network)
    if prototxt is None:
        prototxt, net = own_definition(caffemodel, net, options.until, reporter)
    if options.until is not None:
        net = before(net, options.until)
    for note in net.notes:
        reporter.note(note)
    network = build_free(net, name=caffemodel.stem, assign=False)
    blobs, weighted = all_blobs(net), weighted_layers(network)
    if prototxt is not None and weighted and blobs.keys().isdisjoint(weighted):
        raise does_not_fit(prototxt, caffemodel, f"none of its {len(weighted)} layers with weights is in the file")
    kin = find_kin(net, blobs)
    roles = known_roles(network, kin.roles if kin else LayerRoles())
    return Plan(replace(network, roles=roles, source={"title": net.name}), blobs, net, prototxt, kin=kin)


def is_authentic(caffemodel: Path, spec: NetworkSpec) -> bool:
    """Whether the bytes are known to be the published ones."""
    published = spec.weights
    return bool(published and weights.known_hash(published) and weights.mismatch(caffemodel, published) is None)


def difference(network: Network, net: Net) -> str | None:
    """Where the definition in a file computes something else than the network of the registry; None: nowhere.

    The size of the input does not count. What a caffemodel holds besides its blobs need not be whole, and says
    nothing if it cannot be built; in a prototxt (whose layers have lines) that is a difference.
    """
    try:
        described = build_graph(of_size(net, network, force=True), assign=False)
    except ImgnnError as error:
        return str(error) if any(layer.line for layer in net.layers) else None
    return first_difference(network, described)


def of_size(net: Net, network: Network, *, force: bool = False) -> Net:
    """The net with the network's input size, where it says none of its own (or in any case)."""
    if len(net.inputs) != 1:
        return net
    [(blob, shape)] = net.inputs.items()
    _, height, width, channels = network.model.inputs[0].shape
    return replace(net, inputs={blob: shape if shape and not force else (1, channels, height, width)})


def own_definition(caffemodel: Path, net: Net, until: str | None, reporter: Reporter) -> tuple[Path | None, Net]:
    """For a net that nobody knows: the prototxt beside it if the weights fit it, else what the caffemodel says."""
    beside = caffemodel.with_suffix(".prototxt")
    if beside.is_file():
        described = read_net(beside, caffemodel)
        if (wrong := misfit(before(described, until) if until else described)) is None:
            reporter.note(f"{caffemodel.name} is no network of the registry; built as {beside} beside it says")
            return beside, described
        reporter.note(f"{beside} is of other weights ({wrong}); built as {caffemodel.name} says")
    if None in net.inputs.values():
        raise ConversionError(
            f"{caffemodel} is no network of the registry and does not say the size of its input",
            hint=f"imgnn convert {shlex.quote(str(caffemodel))} " + fitting_prototxt(caffemodel),
        )
    return None, net


def misfit(net: Net) -> str | None:
    """Where the layers of a net and the weights that it was given do not agree; None: they do."""
    network, blobs = build_graph(net, assign=False), all_blobs(net)
    weighted = weighted_layers(network)
    if blobs.keys().isdisjoint(weighted):
        return f"none of its {len(weighted)} layers with weights is in the file"
    wrong = [n for n, count in weighted.items() if n in blobs and count != count_numbers(blobs[n], network, n)]
    return f"layer {wrong[0]} does not fit" if wrong else None


def fitting_prototxt(caffemodel: Path) -> str:
    """The prototxt in the same folder that the weights fit, to be typed; of several the one called most alike."""

    def likeness(path: Path) -> float:
        return -difflib.SequenceMatcher(None, path.stem, caffemodel.stem).ratio()

    for path in sorted(caffemodel.parent.glob("*.prototxt"), key=likeness)[:CANDIDATES]:
        with contextlib.suppress(ImgnnError):
            if misfit(read_net(path, caffemodel)) is None:
                return shlex.quote(str(path))
    return "X.prototxt, with its deploy prototxt (or --network NAME)"


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

    Another number of outputs (Places, flickr style) makes the classifier as wide. A file that holds only the lower
    layers gives the network as far as they go.
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
        if list(weighted).index(missing[0]) != len(weighted) - len(missing) or len(missing) == len(weighted):
            shown = ", ".join(missing[:4]) + (f" and {len(missing) - 4} more" if len(missing) > 4 else "")
            raise WeightsError(
                f"{len(missing)} of the {len(weighted)} layers of {spec.name} are not in the file: {shown}",
                hint="without --network, and with its prototxt, the file is built as what it is",
            )
        network = lower_part(network, spec, missing[0])
        last = list(weighted)[-len(missing) - 1]
        reporter.note(f"the file holds {spec.title} up to {last}; the network ends before {missing[0]}")
    else:
        network = network_of(spec, classes=outputs(blobs[spec.roles.classifier[0]]))
    return Plan(
        network, blobs, net, prototxt, spec, renamed=renamed, is_published=not missing and is_whole(network, spec)
    )


def find_kin(net: Net, blobs: Blobs) -> NetworkSpec | None:
    """The network of the registry that has the layers of the file, each as large, though it has others as well.

    Only those are looked at whose first layers for style (`relu1_1`, `relu2_1`) the net has: to build all is slow.
    """
    known = {name for layer in net.layers for name in (layer.name, *layer.tops)}
    for spec in map(registry.find, registry.names()):
        own = [name for name in blobs if name not in spec.roles.classifier]
        if spec.weights is None or not own or not known.issuperset(spec.roles.style[:2]):
            continue
        network = network_of(spec)
        weighted = weighted_layers(network)
        if all(name in weighted and weighted[name] == count_numbers(blobs[name], network, name) for name in own):
            return spec
    return None


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


def with_preprocessing(plan: Plan, options: ConvertOptions, reporter: Reporter) -> Network:
    """Settle how a picture becomes the input: the options, the file's data layer, the registry, Caffe's habit.

    What comes first in this list wins, each for what it says.
    """
    network, transform = plan.network, plan.net.transform
    prepared, mean_image = network.preprocessing, None
    shapes = [tuple(each.shape) for each in network.model.inputs]
    takes_picture = len(shapes) == 1 and len(shapes[0]) == 4 and shapes[0][-1] in (1, 3)
    told = transform is not None and bool(transform.mean_value)
    if prepared is None and takes_picture:
        prepared = habit(shapes[0][-1], *plan.net.inputs.values())
        if plan.kin is not None:
            prepared = replace(prepared, mean=plan.kin.preprocessing.mean)
    elif prepared is not None and plan.spec is None:
        prepared, told = replace(prepared, resize=usual_resize(prepared.size)), True
    if prepared is None:
        if options.mean or options.scale is not None or options.rgb:
            raise InputError(
                f"{network.name} does not take a picture: {shapes}; --mean, --scale and --rgb have no meaning"
            )
        return network
    if transform is not None and not plan.is_authentic:
        prepared = as_trained(prepared, transform)
    if options.rgb:
        if prepared.channel_order == "GREY":
            raise InputError(f"{network.name} takes grey pictures; --rgb has no meaning")
        if prepared.channel_order == "BGR":  # the same mean, the other way round
            prepared = replace(prepared, channel_order="RGB", mean=prepared.mean[::-1], scale=prepared.scale[::-1])
    if options.scale is not None:
        if not math.isfinite(options.scale) or options.scale == 0:
            raise OptionError(f"--scale is a factor other than 0; {options.scale:g} was given")
        prepared = replace(prepared, scale=(options.scale,) * len(prepared.mean))
    if options.mean is not None:
        mean, mean_image = read_mean(options.mean, len(prepared.mean), is_rgb=options.rgb)
        prepared = replace(prepared, mean=mean)
    elif not told and (plan.spec is None or not plan.is_published):
        numbers = ", ".join(f"{each:g}" for each in prepared.mean)
        spec = plan.spec or plan.kin
        whose = f"{spec.title}'s" if spec else "Caffe's usual one"
        reporter.note(
            f"the files do not say which mean was taken away: assumed is {whose}, "
            f"{prepared.channel_order} minus {numbers} (--mean says otherwise)"
        )
    if options.mean is None and transform is not None and transform.mean_file:
        reporter.note(f"its data layer names a mean image: --mean {Path(transform.mean_file).name} uses it")
    return replace(network, preprocessing=prepared, mean_image=mean_image)


def habit(channels: int, declared: tuple[int, ...] | None) -> Preprocessing:
    """What most Caffe networks were trained with: BGR, 0..255, minus ImageNet's mean; one channel: as it is.

    The size is that of the input as the files declare it, `(number, channels, height, width)`, else 224.
    """
    size = (declared[2], declared[3]) if declared else (224, 224)
    if channels == 1:
        return Preprocessing(size, (0.0,), "GREY", (1.0,), resize=usual_resize(size))
    return Preprocessing(size, resize=usual_resize(size))


def as_trained(prepared: Preprocessing, transform: Transform) -> Preprocessing:
    """What the file's own data layer says wins: its mean values and its scale."""
    channels, values = len(prepared.mean), transform.mean_value
    if len(values) in (1, channels):
        prepared = replace(prepared, mean=tuple(values) * (channels // len(values)))
    if transform.scale != 1.0:
        prepared = replace(prepared, scale=(transform.scale,) * channels)
        if not values and not transform.mean_file:
            prepared = replace(prepared, mean=(0.0,) * channels)
    return prepared


def with_words(network: Network, options: ConvertOptions) -> Network:
    """The network with the class words of `--words`, a line for each class.

    Raises:
        InputError: the file cannot be read, or has another number of lines than the network has classes.
    """
    if options.words is None:
        return network
    try:
        lines = Path(options.words).read_text(encoding="utf-8-sig").rstrip().splitlines()
    except FileNotFoundError:
        raise missing(options.words) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the class words in {options.words}: {error}") from error
    classes = network.model.outputs[0].shape[-1]
    if len(network.model.outputs) != 1 or len(lines) != classes:
        raise InputError(f"--words wants a line for each of {classes} classes; {options.words} has {len(lines)}")
    return replace(network, words=tuple(line.strip() for line in lines))


def read_mean(mean: str, channels: int, *, is_rgb: bool = False) -> tuple[tuple[float, ...], np.ndarray | None]:
    """`--mean`: a .binaryproto, .npy or picture, or numbers ("104,117,123"): channel means, and the mean image.

    Numbers and arrays are in the network's own channel order; one number is for all channels.
    """
    numbers = mean.replace(",", " ").split()
    image = None
    if numbers and all(is_number(each) for each in numbers):
        values = tuple(float(each) for each in numbers)
        values = values * channels if len(values) == 1 else values
    else:
        path = Path(mean).expanduser()
        if not path.is_file():
            raise InputError(f"--mean takes numbers, as 104,117,123, or a file; {mean!r} is neither")
        array = read_binaryproto(path).transpose(1, 2, 0) if path.suffix == ".binaryproto" else load_mean(path)
        if is_rgb and path.suffix not in (".binaryproto", ".npy"):
            array = array[..., ::-1]  # load_mean turns pictures to BGR
        values = channel_mean(array)
        image = np.ascontiguousarray(array.transpose(2, 0, 1)) if array.shape[:2] != (1, 1) else None
    if len(values) != channels:
        raise InputError(f"the network wants a mean of {channels} channels; {mean} has {len(values)}")
    if not all(map(math.isfinite, values)):
        raise InputError(f"a mean is made of numbers; {mean} gives {', '.join(f'{each:g}' for each in values)}")
    return values, image


def is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def choose_target(plan: Plan, caffemodel: Path, output: Path | None, sha256: Future[str], reporter: Reporter) -> Path:
    """Where the file goes. A published network goes where it is found by name; others must not take that name.

    Bytes that are not known to be the published ones go there only if nothing else is there.
    """
    if output is not None:
        if plan.spec is not None and is_kept(plan.spec, output) and not plan.is_published:
            command = f"imgnn convert {shlex.quote(str(caffemodel))} --network {plan.spec.name}"
            raise WeightsError(
                f"{caffemodel} is not the whole of {plan.spec.title}, or has other classes",
                hint=f"{command} makes a file of its own of it",
            )
        return output
    beside = Path(f"{caffemodel.stem}.keras")
    if plan.spec is None or not plan.is_published:
        return beside
    kept = weights.converted_path(plan.spec.name)
    if not plan.is_authentic and kept.is_file() and kept_sha256(kept) != sha256.result():
        reporter.note(f"{plan.spec.name} is here already, from another file: {kept} stays, this one goes to {beside}")
        return beside
    if not plan.is_authentic and plan.spec.weights and weights.known_hash(plan.spec.weights):
        reporter.note(f"taken as {plan.spec.title} though its bytes are not the published ones")
    weights.made_folder(kept.parent)
    return kept


def is_kept(spec: NetworkSpec, target: Path) -> bool:
    """Whether the target is where the network is found by name."""
    return target == weights.converted_path(spec.name)


def kept_sha256(kept: Path) -> str | None:
    """Of the caffemodel that a kept file was made of; None if it is too damaged to tell."""
    try:
        return read_facts(kept)["source"]["sha256"]
    except (ImgnnError, KeyError, TypeError):
        return None


# The second opinion, and the pages of memory --------------------------------------------------------------------


def check(plan: Plan, converted: Path, caffemodel: Path, picture: np.ndarray) -> Verification:
    """The written file, loaded again, against the second opinion, on an image."""
    network = load_network_file(converted)
    if network.preprocessing is None:
        raise ConversionError(f"{network.name} does not take one picture: nothing to verify it with")
    x = preprocess(classifier_crops(picture, network.preprocessing), network.preprocessing, network.mean_image)
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
