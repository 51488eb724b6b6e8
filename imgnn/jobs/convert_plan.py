"""Which network a .caffemodel is: one of the registry, by its layers' names and sizes, or one of its own."""

import contextlib
import difflib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import keras
import numpy as np

from imgnn.caffe.graph import before, build_free, build_graph, net_blobs
from imgnn.caffe.net import Net, read_net
from imgnn.errors import ConversionError, ImgnnError, InputError, OptionError, WeightsError
from imgnn.networks import registry, weights
from imgnn.networks.compare import first_difference
from imgnn.networks.names import known_roles, lower_part, network_of
from imgnn.networks.network import Network
from imgnn.networks.registry import LayerRoles, NetworkSpec
from imgnn.options import ConvertOptions
from imgnn.runs import Reporter

Blobs = Mapping[str, Sequence[np.ndarray]]
CANDIDATES = 20  # prototxts of a folder that are tried for a hint
EXTRA = 0.25  # of a network's layers: so many more in the file (GoogLeNet's two auxiliary heads) are no other network


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


def does_not_fit(prototxt: Path, caffemodel: Path, why: str) -> WeightsError:
    """The error for a prototxt of other weights."""
    return WeightsError(
        f"{prototxt.name} is not the prototxt of {caffemodel.name}: {why}",
        hint=f"imgnn convert {shlex.quote(str(caffemodel))}, with the prototxt that came with it, or without any",
    )


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
