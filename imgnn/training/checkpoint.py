"""What a training knows between two steps, in one file: enough to go on as if nothing had happened."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imgnn.errors import InputError
from imgnn.runs import check_version, is_file, write_aside

FACTS = "facts"  # the key of the JSON among the arrays
VERSION = 1
# What NumPy, or who looks into the arrays, makes of a file that was cut.
DAMAGED = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile)


def save_checkpoint(path: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Write arrays and facts, whole or not at all.

    Args:
        arrays: of any shapes and types, by name; none is called `facts`.
        facts: what JSON can say.

    Raises:
        InputError: the disk is full, or the folder may not be written.
    """
    text = json.dumps({"version": VERSION, **facts})
    with write_aside(path) as aside, aside.open("wb") as file:
        everything: Any = {FACTS: np.array(text), **arrays}  # Any: mypy takes names for NumPy's own arguments
        np.savez(file, **everything)


def load_checkpoint(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the facts, as `save_checkpoint` was given them.

    Raises:
        InputError: there is no such file, it is damaged, or of a later imgnn.
    """
    if not is_file(path):
        raise InputError(f"there is no checkpoint {path}")
    try:
        # Opened here: NumPy leaves a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        facts = json.loads(str(arrays.pop(FACTS)))
        version = int(facts["version"])
    except DAMAGED as error:
        raise InputError(f"{path} is damaged, or no checkpoint: {error}") from error
    check_version(version, VERSION, f"{path} is")
    return arrays, facts
