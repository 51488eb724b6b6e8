"""A small writer of .caffemodel bytes: the same net in every form that Caffe and its forks have written.

Written from the encoding of Protocol Buffers (protobuf.dev/programming-guides/encoding) and the schema table; what it
writes, OpenCV's importer reads too (test_wire.py), so reader and writer cannot share a mistake unseen.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from imgnn.caffe.message import Message
from imgnn.caffe.prototxt import parse_prototxt
from imgnn.caffe.schema import ENUMS, SCHEMA, V1_TYPES

Numbers = Literal["float", "double", "float16"]


def encode_net(
    net: Message | str,
    blobs: Mapping[str, Sequence[np.ndarray]] | None = None,
    *,
    version: Literal[1, 2] = 2,
    packed: bool = True,
    numbers: Numbers = "float",
    legacy_shape: bool = False,
) -> bytes:
    """The bytes of a .caffemodel.

    Args:
        net: a NetParameter, or the text of a prototxt (V2, `layer`).
        blobs: layer name -> its blobs, in Caffe's axes.
        version: 1 writes `layers` with the types as enum, 2 writes `layer`.
        packed: False writes a tag before every number, as the first Caffes did.
        numbers: "double" writes double_data, "float16" the raw_data of OpenCV's shrunk models.
        legacy_shape: num/channels/height/width in place of `shape`; missing axes in front are 1.
    """
    net = parse_prototxt(net) if isinstance(net, str) else net
    out = b""
    for field, value in net.present():
        if field.name != "layer":
            out += encode_field(field.name, value, "NetParameter")
    for layer in net.layer:
        message = to_v1(layer) if version == 1 else layer
        body = encode_message(message)
        for blob in (blobs or {}).get(layer.name, ()):
            encoded = encode_blob(blob, packed=packed, numbers=numbers, legacy_shape=legacy_shape)
            body += length_delimited(SCHEMA[message.kind]["blobs"].number, encoded)
        out += length_delimited(2 if version == 1 else 100, body)
    return out


def encode_blob(
    array: np.ndarray, *, packed: bool = True, numbers: Numbers = "float", legacy_shape: bool = False
) -> bytes:
    """The bytes of a BlobProto."""
    array = np.asarray(array)
    if legacy_shape:
        dims = (1,) * (4 - array.ndim) + array.shape
        out = b"".join(tag(number, 0) + varint(dim) for number, dim in enumerate(dims, 1))
    else:
        out = length_delimited(7, length_delimited(1, b"".join(map(varint, array.shape))))
    if numbers == "float16":
        return out + tag(10, 0) + varint(2) + length_delimited(12, array.astype("<f2").tobytes())
    number, wire, dtype = (8, 1, "<f8") if numbers == "double" else (5, 5, "<f4")
    if packed:
        return out + length_delimited(number, array.astype(dtype).tobytes())
    return out + b"".join(tag(number, wire) + each.tobytes() for each in array.astype(dtype).ravel())


def encode_message(message: Message) -> bytes:
    """The bytes of any message of the schema."""
    return b"".join(encode_field(field.name, value, message.kind) for field, value in message.present())


def encode_field(name: str, value: Any, kind: str) -> bytes:
    field = SCHEMA[kind][name]
    out = b""
    for each in value if isinstance(value, list) else [value]:
        if field.is_message:
            out += length_delimited(field.number, encode_message(each))
        elif field.kind in ("string", "bytes"):
            out += length_delimited(field.number, each.encode() if isinstance(each, str) else bytes(each))
        elif field.kind in ("float", "floats"):
            out += tag(field.number, 5) + struct.pack("<f", each)
        elif field.kind == "doubles":
            out += tag(field.number, 1) + struct.pack("<d", each)
        else:
            numbers = {text: number for number, text in ENUMS.get(field.kind, {}).items()}
            out += tag(field.number, 0) + varint(numbers[each] if field.kind in ENUMS else int(each))
    return out


def to_v1(layer: Message) -> Message:
    """A V2 layer as V1 wrote it; KeyError for a type or a parameter that V1 had not."""
    types = {word: v1 for v1, word in V1_TYPES.items()}
    v1 = Message("V1LayerParameter", {"type": types[layer.type]}, line=layer.line)
    for field, value in layer.present():
        if field.name == "param":
            v1.set("blobs_lr", [each.lr_mult for each in value])
            v1.set("weight_decay", [each.decay_mult for each in value])
        elif field.name not in ("type", "phase"):
            v1.set(field.name, value)
    return v1


def length_delimited(number: int, body: bytes) -> bytes:
    return tag(number, 2) + varint(len(body)) + body


def tag(number: int, wire: int) -> bytes:
    return varint(number << 3 | wire)


def varint(value: int) -> bytes:
    value &= 0xFFFF_FFFF_FFFF_FFFF  # negative numbers: two's complement in 64 bits
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
