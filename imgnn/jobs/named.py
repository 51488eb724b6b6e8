"""What the name of a network means. Light: a mistyped one should not wait for Keras."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from imgnn.errors import InputError, UnknownNameError, missing
from imgnn.networks import applications, registry
from imgnn.networks.registry import NetworkSpec
from imgnn.runs import is_file, is_folder
from imgnn.training.run_folder import is_run

LISTED = "imgnn networks lists them"


@dataclass(frozen=True)
class Named:
    """What `--network NAME` means.

    Attributes:
        kind: "application": `keras:NAME`; "caffemodel"; "file" of Keras, or of something else that is refused when it
            is opened; "run" of imgnn finetune, a folder; "registered".
        name: as it was given.
        path: of a file or a run.
        spec: of a network of the registry.
    """

    kind: Literal["application", "caffemodel", "file", "run", "registered"]
    name: str
    path: Path
    spec: NetworkSpec | None = None


def find_network(name_or_path: str | Path) -> Named:
    """What a name stands for: `keras:NAME`, a file, a name of the registry, or the folder of a run, in this order.

    A folder with the name of a network of the registry has to be written with a "/": `./googlenet`.

    Raises:
        UnknownNameError: no network is called so; near names are offered, also of runs in this folder.
        InputError: there is no such file, or it is a folder that is no run.
    """
    name, path = str(name_or_path), Path(name_or_path).expanduser()
    if name.startswith(applications.PREFIX):
        applications.find(name)
        return Named("application", name, path)
    if is_file(path):
        return Named("caffemodel" if path.suffix == ".caffemodel" else "file", name, path)
    try:
        return Named("registered", name, path, registry.find(name))
    except UnknownNameError:
        if is_run(path):
            return Named("run", name, path)
        if is_folder(path):
            raise InputError(f"{name} is a folder, not the file of a network") from None
        if path.suffix[1:2].isalpha():  # "squeezenet-v1.2" is no file
            raise missing(name) from None
        if len(path.parts) > 1:
            raise missing(name, hint="imgnn networks lists the networks by name") from None
        raise UnknownNameError("network", name, [*registry.names(), *runs_beside()], hint=LISTED) from None


def runs_beside() -> list[str]:
    """The runs in the folder where imgnn is called: one of them may be meant."""
    try:
        return [each.name for each in Path().iterdir() if is_run(each)]
    except OSError:  # a folder that may not be read
        return []
