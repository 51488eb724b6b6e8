"""What is told before Keras starts, which takes seconds: a mistyped name should not wait for it.

The jobs see to all of it again, for whoever calls them without the command line.
"""

from collections.abc import Iterable
from pathlib import Path

from imgnn.errors import missing
from imgnn.training.run_folder import Kind, read_config


def check_there(paths: Iterable[Path], what: str = "file or folder") -> None:
    """Refuse data that are not there.

    Raises:
        InputError: the first of them.
    """
    for path in paths:
        if not path.exists():
            raise missing(path, what)


def check_run(folder: str | Path, *kinds: Kind) -> None:
    """Refuse a folder that is no run of these kinds.

    Raises:
        InputError: why it is none; as of `read_config`.
    """
    read_config(folder, *kinds)


def check_pictures(paths: Iterable[Path]) -> None:
    """Refuse pictures that cannot be opened.

    Raises:
        InputError: why the first of them cannot.
    """
    from imgnn.images.files import check_readable  # Pillow wakes here, not at --help

    for path in paths:
        check_readable(path)


def check_output(path: Path | None) -> None:
    """Refuse a picture that cannot be written: its folder, or its suffix.

    Raises:
        InputError: why it cannot.
    """
    from imgnn.images.files import check_writable

    if path is not None:
        check_writable(path)


def known_network(name: str | None) -> str | None:
    """The callback of `--network`: its value, if it stands for a network that is known or for a file that is there.

    Raises:
        UnknownNameError, InputError: as of `find_network`.
    """
    from imgnn.jobs.named import find_network

    if name is not None:
        find_network(name)
    return name
