"""The record of a mean: what it was computed of, by which a stale mean is told. Light: no pixels."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from imgnn.data.lists import Entry, ListFile, contents_digest, file_digest
from imgnn.errors import InputError, missing
from imgnn.runs import is_file

FORMAT, VERSION = "imgnn mean", 1


def read_mean_record(path: Path) -> dict[str, Any]:
    """What `imgnn mean` wrote as PREFIX.json.

    Raises:
        InputError: there is no such file, it is something else, or of a later imgnn.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise missing(path, hint="imgnn mean LIST makes it") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError:
        record = None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise InputError(f"{path} is no record of a mean", hint="imgnn mean LIST makes one")
    if record["version"] > VERSION:
        raise InputError(f"{path} was written by a later imgnn; this one reads version {VERSION}")
    return record


def check_mean(
    path: Path, listed: ListFile, *, size: tuple[int, int] | None = None, crop: str | None = None
) -> dict[str, Any]:
    """See to it that a mean is the one of a list, as list and pictures are now.

    The list may be the one that `imgnn mean` was given, or the one of the pictures used that it wrote. Names and sizes
    of the picture files are looked at, not what is in them.

    Args:
        path: PREFIX.json.
        size, crop: what the mean is wanted for; None: any.

    Returns:
        The record.

    Raises:
        InputError: it is the mean of something else, or was changed; the hint is the command that makes it anew.
    """
    record = read_mean_record(path)
    whole, used = record["list"], record["used"]
    prefix = path.with_suffix("")
    hint = f"imgnn mean {listed.path} -o {prefix}"
    digest = file_digest(listed.path)
    of = next((each for each in (whole, used) if each["sha256"] == digest), None)
    if of is None:
        if listed.path.name in (whole["name"], used["name"]):
            raise InputError(f"{listed.path} was changed since the mean {path} was computed of it", hint=hint)
        raise InputError(f"{path} is the mean of another list, {whole['name']}, not of {listed.path}", hint=hint)
    if files_digest(listed.root, listed.entries) != of["files"]:
        raise InputError(
            f"some pictures of {listed.path} were changed, added or lost since the mean {path} was computed of them",
            hint=hint,
        )
    if size is not None and tuple(record["size"]) != size:
        height, width = record["size"]
        raise InputError(
            f"the mean {path} is {height} x {width} pixels; {size[0]} x {size[1]} is wanted",
            hint=f"{hint} --size {size[0]}x{size[1]}",
        )
    if crop is not None and record["crop"] != crop:
        raise InputError(
            f"the mean {path} was computed with --crop {record['crop']}; {crop} is wanted", hint=f"{hint} --crop {crop}"
        )
    for name, sha256 in record["files"].items():
        file = path.with_name(name)
        if not is_file(file) or file_digest(file) != sha256:
            raise InputError(f"{file} is not the mean that {path} tells of", hint=hint)
    return record


def files_digest(root: Path, entries: Iterable[Entry]) -> str:
    """A hash of the paths and sizes of pictures; of one that is not there the size is -1."""
    return contents_digest((entry.path, str(size_of(root / entry.path))) for entry in entries)


def size_of(path: Path) -> int:
    """Bytes; -1 where there is no such file."""
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return -1
