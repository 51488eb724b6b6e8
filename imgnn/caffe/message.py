"""One message of Caffe's protocol, whichever form it was read from."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from imgnn.caffe.schema import SCHEMA, Field


class Unknown(NamedTuple):
    """A field that the schema does not know.

    Attributes:
        name: as the prototxt has it; "field 211" from a binary file, which has no names.
        line: in the prototxt; None from a binary file.
    """

    name: str
    line: int | None


class Message:
    """A message whose fields are attributes, as in protobuf.

    An absent scalar gives its default, an absent message an empty one, a repeated field a list; a name that
    is not in the schema is an AttributeError. Enums are given by name ("MAX", "ACROSS_CHANNELS").
    The data of a BlobProto (`raw_data`: bytes) are one-dimensional NumPy arrays when they come from a binary file.

    Attributes:
        kind: name of the message in the schema ("LayerParameter").
        line: where it begins in the prototxt; None from a binary file.
        unknown: the fields that the schema does not know, in order, each name once.
    """

    __slots__ = ("_values", "kind", "line", "unknown")

    kind: str
    line: int | None
    unknown: list[Unknown]

    def __init__(self, kind: str, values: Mapping[str, Any] | None = None, *, line: int | None = None) -> None:
        self.kind = kind
        self.line = line
        self.unknown = []
        self._values: dict[str, Any] = {}
        for name, value in (values or {}).items():
            self.set(name, value)

    def __getattr__(self, name: str) -> Any:
        field = None if name.startswith("_") else SCHEMA[self.kind].get(name)
        if field is None:
            raise AttributeError(f"a Caffe {self.kind} has no field {name!r}")
        if name in self._values:
            return self._values[name]
        if field.repeated:
            return []
        if field.is_message:
            return Message(field.kind)
        return field.default

    def has(self, name: str) -> bool:
        """Whether the field is there (a repeated one: whether it has an item)."""
        value = self._values.get(name)
        return value is not None and (not isinstance(value, list) or bool(value))

    def get(self, name: str) -> Any:
        """The value of a field that is there, None of one that is not: no default."""
        return self._values.get(name)

    def set(self, name: str, value: Any) -> None:
        """Give a field its value; a repeated field takes a list.

        Raises:
            AttributeError: the schema has no such field.
        """
        if name not in SCHEMA[self.kind]:
            raise AttributeError(f"a Caffe {self.kind} has no field {name!r}")
        self._values[name] = value

    def add(self, name: str, value: Any) -> None:
        """Append an item to a repeated field."""
        self._values.setdefault(name, []).append(value)

    def present(self) -> Iterator[tuple[Field, Any]]:
        """The fields that are there, with their values, in the order they were first met."""
        for name, value in self._values.items():
            if self.has(name):
                yield SCHEMA[self.kind][name], value

    def note_unknown(self, name: str, line: int | None = None) -> None:
        """Remember a field that the schema does not know; a name is kept once, and a few dozen names at most."""
        if len(self.unknown) < 64 and all(each.name != name for each in self.unknown):
            self.unknown.append(Unknown(name, line))

    def __repr__(self) -> str:
        where = "" if self.line is None else f" of line {self.line}"
        return f"<Caffe {self.kind}{where}: {', '.join(self._values) or 'empty'}>"
