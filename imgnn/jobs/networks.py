"""`imgnn networks`: which networks there are, which of them are on this machine, and one network layer by layer."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from imgnn.home import ASSETS
from imgnn.jobs.named import find_network
from imgnn.networks import applications, registry, weights
from imgnn.networks.applications import Application
from imgnn.networks.registry import NetworkSpec
from imgnn.runs import Reporter, Silent

if TYPE_CHECKING:
    from imgnn.networks.network import Network
    from imgnn.networks.table import LayerTable

State = Literal["in the package", "here", "download", "by hand", "none needed"]


@dataclass(frozen=True)
class Listed:
    """One network of the registry, and where its weights are.

    Attributes:
        path: of the converted file; where it will be if it is not here.
        state: "in the package"; "here"; "download" on first use; "by hand", where the authors give no direct address.
    """

    spec: NetworkSpec
    path: Path
    state: State


def list_networks() -> Iterator[Listed]:
    """The networks of the registry, in its order. Wakes no Keras."""
    yield from (listed(registry.find(name)) for name in registry.names())


def listed(spec: NetworkSpec) -> Listed:
    """A network of the registry, and where its weights are."""
    path = weights.converted_path(spec.name)
    state: State = "download"
    if spec.packaged:
        path, state = ASSETS / spec.packaged, "in the package"
    elif spec.weights is None:
        state = "none needed"
    elif path.is_file():
        state = "here"
    elif not spec.weights.url:
        state = "by hand"
    return Listed(spec, path, state)


def finer(name: str) -> str:
    """What to tell a user who named no network and got mini: that another one does better, and what it costs."""
    there = listed(registry.find(name))
    published = there.spec.weights
    size = weights.readable_size(published.size) if published else ""
    cost = {"here": "it is on this machine", "by hand": f"{size} to get by hand"}.get(there.state, f"{size} to get")
    return f"Made with mini, the network in the package. Finer: --network {name} ({cost})"


def list_applications() -> Iterator[tuple[Application, bool]]:
    """The networks of keras.applications, and whether their weights are on this machine. Wakes no Keras."""
    for application in applications.APPLICATIONS.values():
        yield application, applications.is_present(application)


def origin(name: str, network: "Network") -> dict[str, str]:
    """Who made a network, under which licence, and where its weights are: a line of text for each that is known.

    Keys: "paper", "licence", "published" (accuracy), "page", "weights", "note".
    """
    spec = find_network(name).spec
    if spec is not None:
        where, published = listed(spec), spec.weights
        told = {"paper": spec.paper, "published": spec.accuracy, "note": spec.note}
        if spec.packaged:
            told |= {"licence": "Apache-2.0, as imgnn itself", "weights": f"in the package: {where.path}"}
        if published is not None:
            size = weights.readable_size(published.size)
            told |= {"licence": published.licence, "page": published.page}
            told["weights"] = {
                "here": f"here: {where.path}",
                "by hand": f"to get by hand from that page ({size}), then imgnn convert {published.file}",
            }.get(where.state, f"{size} to get from {published.url}")
    else:
        told = {key: str(network.source.get(key) or "") for key in ("paper", "licence")}
        if name.startswith(applications.PREFIX):
            application = applications.find(name)
            path = application.weights_path()
            told["weights"] = f"here: {path}" if applications.is_present(application) else "Keras gets them"
        else:
            told["weights"] = f"here: {name}"
    order = ("paper", "licence", "published", "page", "weights", "note")
    return {key: told[key] for key in order if told.get(key)}


def describe_network(
    name: str, size: tuple[int, int] | None = None, reporter: Reporter | None = None
) -> "tuple[Network, LayerTable]":
    """A network and the table of its layers, for pictures of `size` (height, width) or the published one.

    The registry's networks need no weights for it, and get none.

    Raises:
        UnknownNameError, InputError, WeightsError: there is no such network or file.
        InputError: the size is too small.
    """
    from imgnn.networks.files import unallocated
    from imgnn.networks.table import layer_table

    network = without_weights(name, reporter or Silent())
    return network, unallocated(lambda: layer_table(network, size))


def without_weights(name: str, reporter: Reporter) -> "Network":
    """The network called `name`, with weights only if it is a file."""
    from imgnn.jobs.load import load_network
    from imgnn.networks import applications
    from imgnn.networks.files import unallocated
    from imgnn.networks.names import network_of

    named = find_network(name)
    if named.kind == "application":
        return unallocated(lambda: applications.load(name, weights=None))
    if named.spec is None:
        return load_network(name, reporter=reporter)
    spec = named.spec
    return unallocated(lambda: network_of(spec))
