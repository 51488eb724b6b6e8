"""`imgnn networks`: which networks there are, which of them are on this machine, and one network layer by layer."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from imgnn.networks import registry, weights
from imgnn.networks.registry import NetworkSpec
from imgnn.runs import Reporter, Silent

if TYPE_CHECKING:
    from imgnn.networks.network import Network
    from imgnn.networks.table import LayerTable

State = Literal["here", "download", "by hand", "none needed"]


@dataclass(frozen=True)
class Listed:
    """One network of the registry, and where its weights are.

    Attributes:
        path: of the converted file; where it will be if it is not here.
        state: "here"; "download" on first use; "by hand", where the authors give no direct address.
    """

    spec: NetworkSpec
    path: Path
    state: State


def list_networks() -> Iterator[Listed]:
    """The networks of the registry, in its order. Wakes no Keras."""
    for spec in map(registry.find, registry.names()):
        path = weights.converted_path(spec.name)
        state: State = "download"
        if spec.weights is None:
            state = "none needed"
        elif path.is_file():
            state = "here"
        elif not spec.weights.url:
            state = "by hand"
        yield Listed(spec, path, state)


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

    network = find_network(name, reporter or Silent())
    return network, unallocated(lambda: layer_table(network, size))


def find_network(name: str, reporter: Reporter) -> "Network":
    """The network called `name`, with weights only if it is a file."""
    from imgnn.jobs.load import load_network
    from imgnn.networks import applications
    from imgnn.networks.files import unallocated
    from imgnn.networks.names import network_of

    if name.startswith(applications.PREFIX):
        return unallocated(lambda: applications.load(name, weights=None))
    path = Path(name)
    if path.suffix in (".keras", ".caffemodel") or path.is_file():
        return load_network(name, reporter=reporter)
    spec = registry.find(name)
    return unallocated(lambda: network_of(spec))
