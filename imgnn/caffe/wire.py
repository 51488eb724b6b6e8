"""The binary form: .caffemodel and .binaryproto, mapped into memory and read without protobuf.

Only the structure is walked. The numbers of a blob stay in the file until somebody uses them: `data` is a
view of the mapped bytes, so a file of 575 MB is read in milliseconds. The views keep the map alive.

The bytes may come from anywhere. Every length is checked against the bytes that are there, nothing is allocated by
what a length or a shape claims, nothing recurses deeper than the schema is nested, and a file of millions of tiny
fields is refused before it becomes millions of Python objects.

Source: the encoding of Protocol Buffers, https://protobuf.dev/programming-guides/encoding/
"""

import math
import mmap
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from imgnn.caffe.message import Message
from imgnn.caffe.schema import ARRAYS, ENUMS, SCHEMA, Field
from imgnn.caffe.sniff import sniff
from imgnn.errors import WeightsError, missing

# Wire types.
_VARINT, _FIXED64, _LENGTH, _GROUP, _GROUP_END, _FIXED32 = range(6)
_FIXED_SIZE = {_FIXED64: 8, _FIXED32: 4}

# The largest published nets have some ten thousand fields; their numbers are arrays and count as one.
MAX_FIELDS = 200_000
MAX_STRING = 1 << 20  # bytes
MAX_GROUP_DEPTH = 100  # as protobuf
MAX_AXES = 32  # as Caffe's Blob
MAX_DIM = 2**31 - 1  # as Caffe's Blob

_BY_NUMBER: Mapping[str, Mapping[int, Field]] = {
    kind: {field.number: field for field in fields.values() if field.number} for kind, fields in SCHEMA.items()
}
_RAW_TYPES = {"DOUBLE": "<f8", "FLOAT": "<f4", "FLOAT16": "<f2"}
_DAMAGED = "The file is cut short, damaged, or something else: compare its size and hash, or download it again."


def read_caffemodel(path: Path) -> Message:
    """Read the structure of a .caffemodel: a NetParameter, V1 (`layers`) or V2 (`layer`).

    Returns:
        The message; the arrays in its blobs are read-only views of the mapped file, which must not change meanwhile.

    Raises:
        WeightsError: missing, empty, cut short, damaged, or no .caffemodel.
    """
    net = _Reader(_map(path), str(path)).message("NetParameter")
    if not net.has("layer") and not net.has("layers"):
        raise WeightsError(f"expected a .caffemodel, found no layer in it: {path}", hint=_DAMAGED)
    return net


def read_binaryproto(path: Path) -> np.ndarray:
    """Read a mean image as Caffe's compute_image_mean writes it.

    Returns:
        float32 `(channels, height, width)`, channels in the order BGR, on the scale of the pixels.

    Raises:
        WeightsError: missing, cut short, damaged, or not one image.
    """
    array = blob_array(_Reader(_map(path), str(path)).message("BlobProto"), f"mean image {path}")
    if array.ndim == 4 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 3 or not array.size:
        raise WeightsError(f"expected a mean image (channels, height, width), found the shape {array.shape}: {path}")
    return array


def blob_array(blob: Message, where: str = "blob") -> np.ndarray:
    """The numbers of a BlobProto in its shape: float32, read-only.

    A float32 blob is a view, which may be unaligned or strided; double and float16 are converted. The legacy
    num/channels/height/width go before `shape`, as in Caffe's Blob::FromProto.

    Args:
        where: what to call it in an error: "blob 0 of layer conv1".

    Raises:
        WeightsError: the shape is no shape, or does not fit the numbers that are there.
    """
    if any(blob.has(name) for name in ("num", "channels", "height", "width")):
        shape = (blob.num, blob.channels, blob.height, blob.width)
    else:
        shape = tuple(blob.shape.dim)
    if len(shape) > MAX_AXES or not all(0 <= dim <= MAX_DIM for dim in shape):
        told = shape if len(shape) <= MAX_AXES else f"{len(shape)} axes"
        raise WeightsError(f"expected at most {MAX_AXES} axes of 0 to {MAX_DIM}, found {told}: {where}", hint=_DAMAGED)
    numbers = _numbers(blob, where)
    if math.prod(shape) != numbers.size:
        raise WeightsError(
            f"the shape {shape} wants {math.prod(shape):,} numbers, found {numbers.size:,}: {where}", hint=_DAMAGED
        )
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # a double beyond float32 becomes infinite, as in Caffe
            array = numbers.astype("<f4", copy=False).reshape(shape)
    except ValueError:  # no numbers, but axes that are together too long for NumPy
        raise WeightsError(f"expected a shape of some size, found {shape}: {where}", hint=_DAMAGED) from None
    array.flags.writeable = False
    return array


def _numbers(blob: Message, where: str) -> np.ndarray:
    if len(blob.raw_data):
        if blob.raw_data_type not in _RAW_TYPES:
            raise WeightsError(f"expected raw data of {', '.join(_RAW_TYPES)}, found {blob.raw_data_type}: {where}")
        raw, dtype = np.frombuffer(blob.raw_data, "u1"), np.dtype(_RAW_TYPES[blob.raw_data_type])
        if raw.size % dtype.itemsize:
            raise WeightsError(f"expected whole {dtype.itemsize}-byte numbers, found {raw.size:,} bytes: {where}")
        return raw.view(dtype)
    if len(blob.double_data):
        return np.asarray(blob.double_data, "<f8")
    return np.asarray(blob.data, "<f4")


def _map(path: Path) -> mmap.mmap:
    """Map a file, unless its first bytes say that it is something else."""
    try:
        if not path.exists():
            raise missing(path)
        if not path.is_file():
            raise WeightsError(f"expected a .caffemodel or .binaryproto; this is not a file: {path}")
        if not path.stat().st_size:
            raise WeightsError(f"expected a .caffemodel or .binaryproto, found an empty file: {path}", hint=_DAMAGED)
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror or error}") from error
    if other := sniff(mapped[:1024], "binary"):
        message = f"expected a .caffemodel or .binaryproto, found {other.name}: {path}"
        raise WeightsError(message, hint=other.advice)
    return mapped


class _Reader:
    """Walks a buffer field by field, by the schema."""

    def __init__(self, data: mmap.mmap | bytes, where: str) -> None:
        self.data = data
        self.where = where
        self.fields_left = MAX_FIELDS

    def message(self, kind: str, at: int = 0, end: int | None = None, into: Message | None = None) -> Message:
        """Read the message of this kind in `data[at:end]`; `into` is one to merge with, as protobuf does."""
        message = Message(kind) if into is None else into
        end = len(self.data) if end is None else end
        arrays: dict[str, list[np.ndarray]] = {}
        while at < end:
            start = at
            tag, at = self.varint(at, end)
            number, wire = tag >> 3, tag & 7
            if not number or wire > _FIXED32 or wire == _GROUP_END:
                self.fail(f"expected a field of a {kind}, found a tag that Caffe has not", start)
            self.spend(start)
            field = _BY_NUMBER[kind].get(number)
            if field is not None and wire not in _wire_types(field):
                if kind in ("NetParameter", "BlobProto"):
                    self.fail(f"expected {field.name} of a {kind}, found another type of value", start)
                field = None  # a fork gave the number to another field
            if field is not None and field.kind in ARRAYS:
                array, at = self.array(field, wire, start, at, end)
                arrays.setdefault(field.name, []).append(array)
            elif field is not None:
                at = self.value(message, field, wire, at, end)
            else:
                message.note_unknown(f"field {number}")
                at = self.skip(wire, number, at, end)
        for name, parts in arrays.items():
            message.set(name, parts[0] if len(parts) == 1 else np.concatenate(parts))
        return message

    def value(self, message: Message, field: Field, wire: int, at: int, end: int) -> int:
        """Read one value (or a packed list) into the message; gives the place behind it."""
        if wire == _LENGTH:
            at, end = self.span(at, end, f"{message.kind}.{field.name}")
            if field.is_message:
                known = None if field.repeated else message.get(field.name)
                self.put(message, field, self.message(field.kind, at, end, into=known))
            elif field.kind == "string":
                if end - at > MAX_STRING:
                    self.fail(f"expected {message.kind}.{field.name}, found a string of {end - at:,} bytes", at)
                self.put(message, field, self.data[at:end].decode("utf-8", "backslashreplace"))
            elif field.kind == "bytes":
                self.put(message, field, np.frombuffer(self.data, "u1", end - at, at))
            else:
                while at < end:
                    self.spend(at)
                    value, at = self.scalar(field, at, end)
                    self.put(message, field, value)
            return end
        value, at = self.scalar(field, at, end)
        self.put(message, field, value)
        return at

    @staticmethod
    def put(message: Message, field: Field, value: Any) -> None:
        if field.repeated:
            message.add(field.name, value)
        else:
            message.set(field.name, value)

    def scalar(self, field: Field, at: int, end: int) -> tuple[Any, int]:
        if field.kind == "float":
            if at + 4 > end:
                self.fail("expected the 4 bytes of a float, found the end", at)
            (value,) = struct.unpack_from("<f", self.data, at)
            # The shortest number that means this float32: 0.999, as the prototxt says, not 0.9990000128746033.
            return float(str(np.float32(value))), at + 4
        value, at = self.varint(at, end)
        if field.kind == "bool":
            return bool(value), at
        if field.kind != "uint":
            value = value - (1 << 64) if value >> 63 else value
        return (ENUMS[field.kind].get(value, str(value)) if field.kind in ENUMS else value), at

    def array(self, field: Field, wire: int, start: int, at: int, end: int) -> tuple[np.ndarray, int]:
        """A view of many numbers: one packed block, or as many tagged ones as stand in a row."""
        dtype = np.dtype(ARRAYS[field.kind])
        if wire == _LENGTH:
            at, end = self.span(at, end, field.name)
            if (end - at) % dtype.itemsize:
                self.fail(f"expected {field.name} in whole {dtype.itemsize}-byte numbers, found {end - at:,} bytes", at)
            return np.frombuffer(self.data, dtype, (end - at) // dtype.itemsize, at), end
        step = at - start + dtype.itemsize
        most = (end - start) // step
        if not most:
            self.fail(f"expected the {dtype.itemsize} bytes of a number, found the end", at)
        tags = np.ndarray((most, at - start), "u1", self.data, start, strides=(step, 1))
        count, chunk = 1, 64
        while count < most:
            other = (tags[count : count + chunk] != tags[0]).any(axis=1)
            if other.any():
                count += int(other.argmax())
                break
            count, chunk = count + len(other), min(chunk * 8, 1 << 20)
        return np.ndarray((count,), dtype, self.data, at, strides=(step,)), start + count * step

    def skip(self, wire: int, number: int, at: int, end: int) -> int:
        """The place behind a field that is not wanted."""
        open_groups: list[int] = []
        while True:
            if wire == _VARINT:
                _, at = self.varint(at, end)
            elif wire == _LENGTH:
                _, at = self.span(at, end, f"field {number}")
            elif wire in _FIXED_SIZE:
                at += _FIXED_SIZE[wire]
                if at > end:
                    self.fail(f"expected field {number}, found the end", end)
            elif wire == _GROUP and len(open_groups) < MAX_GROUP_DEPTH:
                open_groups.append(number)
            elif wire == _GROUP_END and open_groups and open_groups[-1] == number:
                open_groups.pop()
            else:
                self.fail("expected a field, found a group that is nested too deep or not opened", at)
            if not open_groups:
                return at
            tag, at = self.varint(at, end)
            self.spend(at)
            number, wire = tag >> 3, tag & 7

    def span(self, at: int, end: int, name: str) -> tuple[int, int]:
        """Read a length; gives begin and end of what it counts."""
        size, at = self.varint(at, end)
        if size > end - at:
            self.fail(f"{name} wants {size:,} bytes, found {end - at:,}", at)
        return at, at + size

    def varint(self, at: int, end: int) -> tuple[int, int]:
        value = 0
        for place in range(at, min(end, at + 10)):
            byte = self.data[place]
            value |= (byte & 127) << 7 * (place - at)
            if byte < 128:
                return value & 0xFFFF_FFFF_FFFF_FFFF, place + 1
        return self.fail("expected a number of at most 10 bytes, found no end of it", at)

    def spend(self, at: int) -> None:
        self.fields_left -= 1
        if self.fields_left < 0:
            self.fail(f"expected a network of at most {MAX_FIELDS:,} fields, found more", at)

    def fail(self, what: str, at: int) -> NoReturn:
        raise WeightsError(f"{what}, at byte {at:,} of {len(self.data):,}: {self.where}", hint=_DAMAGED)


def _wire_types(field: Field) -> tuple[int, ...]:
    """How a field may be written: single, or also packed when it is repeated."""
    if field.is_message or field.kind in ("string", "bytes"):
        return (_LENGTH,)
    single = {"float": _FIXED32, "floats": _FIXED32, "doubles": _FIXED64}.get(field.kind, _VARINT)
    return (single, _LENGTH) if field.repeated or field.kind in ARRAYS else (single,)
