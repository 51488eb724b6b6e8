"""Options as JSON, for the record of a run: what was typed comes back when it goes on."""

import json
import types
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from imgnn.errors import InputError
from imgnn.options import LayerChoice

Options = TypeVar("Options")


def to_json(options: Any) -> dict[str, Any]:
    """Options as JSON has them; paths from the root, so that a run can go on from anywhere."""
    found: dict[str, Any] = json.loads(json.dumps(asdict(options), default=lambda path: str(path.resolve())))
    return found


def from_json(kind: type[Options], stored: Mapping[str, Any]) -> Options:
    """The options of which `to_json` made this; what is not there has its default.

    Raises:
        InputError: another imgnn wrote them, which has other options.
    """
    if unknown := set(stored) - {field.name for field in fields(kind)}:  # type: ignore[arg-type]
        raise InputError(f"the options are of another imgnn: there is no {', '.join(sorted(unknown))} any more")
    hints = get_type_hints(kind)
    return kind(**{name: _of_type(hints[name], value) for name, value in stored.items()})


def _of_type(hint: Any, value: Any) -> Any:
    """A field of this type, of what JSON made of it."""
    if value is None:
        return None
    args = get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):
        return _of_type(next(each for each in args if each is not type(None)), value)
    if get_origin(hint) is tuple:
        each = args[:1] * len(value) if args[1:] == (...,) else args
        return tuple(map(_of_type, each, value))
    if hint is LayerChoice:
        return LayerChoice(**value)
    return Path(value) if hint is Path else value
