"""A network by whatever name a command was given: the registry's, `keras:NAME`, a file, the folder of a run."""

import math
import shlex
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from imgnn import backend
from imgnn.errors import InputError, WeightsError
from imgnn.home import ASSETS
from imgnn.images.preprocessing import Preprocessing
from imgnn.jobs.convert import convert_caffemodel
from imgnn.jobs.named import find_network
from imgnn.networks import applications, names, weights
from imgnn.networks.features import cut
from imgnn.networks.files import load_network_file
from imgnn.networks.network import Network
from imgnn.networks.registry import NetworkSpec
from imgnn.options import ConvertOptions, LayerChoice
from imgnn.runs import Reporter, Silent, is_file
from imgnn.training.run_folder import BEST, read_config


def load_network(name_or_path: str | Path, *, reporter: Reporter | None = None) -> Network:
    """The network that `--network` means, with its weights.

    A network of the registry is taken from IMGNN_HOME; the first time, its published weights are
    downloaded, checked and converted. A `.caffemodel` is converted and not kept. Of a run its best network is
    taken. What stands for what: `named.find_network`.

    Raises:
        UnknownNameError: no network is called so.
        InputError: there is no such file, it is another kind of file, or the run has no network yet.
        WeightsError: no weights on this machine and no way to get them, or they are damaged.
    """
    reporter, named = reporter or Silent(), find_network(name_or_path)
    if named.kind == "application":
        return applications.load(named.name)
    if named.spec is not None:
        return load_registered(named.spec, reporter)
    if named.kind == "caffemodel":
        network = load_caffemodel(named.path, reporter)
    elif named.kind == "run":
        network = load_run(named.path, reporter)
    else:
        network = load_network_file(named.path, reporter=reporter)
    return replace(network, file=named.name)


def load_registered(spec: NetworkSpec, reporter: Reporter) -> Network:
    """A network of the registry: from the package, from IMGNN_HOME, or without weights that were learned."""
    if spec.packaged:
        return load_packaged(spec)
    return names.network_of(spec) if spec.weights is None else load_published(spec, reporter)


def load_run(folder: Path, reporter: Reporter) -> Network:
    """The network that a run trained: the one with the best validation.

    Raises:
        InputError: there is none yet, or a later imgnn made the run.
        WeightsError: its file is damaged.
    """
    read_config(folder, "classifier")
    best = folder / BEST
    if not is_file(best):
        hint = f"imgnn finetune --resume {shlex.quote(str(folder))}"
        raise InputError(f"{folder} has no trained network yet: there is no {BEST} in it", hint=hint)
    return load_network_file(best, reporter=reporter)


def load_published(spec: NetworkSpec, reporter: Reporter) -> Network:
    """A network of the registry: from IMGNN_HOME, where it is put first if it is not there."""
    kept = weights.converted_path(spec.name)
    if not kept.is_file():
        with weights.exclusive(kept, reporter=reporter):
            if not kept.is_file():  # another process may have been at it
                source = weights.obtain(spec, reporter=reporter)
                convert_caffemodel(source, None, kept, ConvertOptions(network=spec.name), reporter)
                if spec.weights is not None and not isinstance(weights.address(spec.weights), Path):
                    source.unlink()  # downloaded; the converted file holds the same numbers
    return load_network_file(kept, reporter=reporter)


def load_packaged(spec: NetworkSpec) -> Network:
    """A network of the registry whose weights are in the package.

    Raises:
        WeightsError: they are not, or not whole.
    """
    network = names.network_of(spec)
    path = ASSETS / (spec.packaged or "")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            for layer in network.model.layers:
                if layer.weights:
                    layer.set_weights([stored[f"{layer.name}/{kind}"] for kind in ("kernel", "bias")])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"{path}, which came with imgnn, cannot be read: {error}", hint="pip install --force-reinstall imgnn"
        ) from error
    return network


def load_caffemodel(path: Path, reporter: Reporter) -> Network:
    """A network from Caffe's files, by way of a temporary `.keras` file."""
    with tempfile.TemporaryDirectory(prefix="imgnn-") as folder:
        converted = Path(folder) / f"{path.stem}.keras"
        convert_caffemodel(path, None, converted, ConvertOptions(), reporter)
        return load_network_file(converted, reporter=reporter)


def preprocessing_of(network: Network) -> Preprocessing:
    """How a picture becomes its input.

    Raises:
        InputError: nobody knows.
    """
    return network.pictures


def layers_for(network: Network, role: Literal["content", "style", "dream"], option: str) -> tuple[str, ...]:
    """The layers that the network itself names for a role.

    Args:
        option: which names others.

    Raises:
        InputError: it names none.
    """
    layers: tuple[str, ...] = getattr(network.roles, role)
    if not layers:
        raise InputError(
            f"{network.name} does not say which of its layers to take for the {role}",
            hint=f"name some with {option}; {network.layers_command} lists them",
        )
    return layers


def check_channels(network: Network, choices: Sequence[LayerChoice], size: tuple[int, int]) -> None:
    """Refuse what the network cannot look at in a picture of this size, and channels that are not there.

    Raises:
        UnknownNameError: there is no such layer.
        InputError: it gives no map at this size, or has no such channel.
    """
    outputs = cut(network, [choice.name for choice in choices], size).output
    for choice in choices:
        channels = outputs[choice.name].shape[-1]
        if choice.channel is not None and choice.channel >= channels:
            raise InputError(
                f"layer {choice.name} of {network.name} has channels 0 to {channels - 1}, not {choice.channel}"
            )


def check_memory(name: Path, size: tuple[int, int], copies: int) -> None:
    """Refuse a picture of which not even what an optimiser remembers has room in the memory, however small the tiles.

    Args:
        name: of the picture, for the message.
        size: `(height, width)` that is wanted, pixels.
        copies: pictures of float32 that are held beside the network's activations.

    Raises:
        InputError: the hint names a size that fits.
    """
    wanted, there = 4.0 * 3 * math.prod(size) * copies, backend.memory()
    if there is not None and wanted > there:
        fitting = int(max(size) * math.sqrt(0.8 * there / wanted)) // 64 * 64
        raise InputError(
            f"{name} at {size[0]} x {size[1]} pixels wants about {wanted / 1e9:.0f} GB of memory; "
            f"this machine has {there / 1e9:.0f} GB",
            hint=f"--size {max(fitting, 64)}",
        )
