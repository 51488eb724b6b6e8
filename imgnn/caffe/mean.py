"""A mean image in the form that Caffe reads: the one thing that is written in Caffe's bytes.

It is read back by `wire.read_binaryproto`.
"""

from pathlib import Path

import numpy as np

from imgnn.caffe.schema import SCHEMA
from imgnn.runs import write_aside


def write_binaryproto(path: Path, mean: np.ndarray) -> None:
    """Write a mean image as Caffe's compute_image_mean does, byte for byte; the file appears whole or not at all.

    Args:
        mean: `(channels, height, width)`, BGR; kept as float32.

    Raises:
        InputError: it cannot be written.
    """
    fields = SCHEMA["BlobProto"]
    channels, height, width = mean.shape
    out = b""
    for name, value in (("num", 1), ("channels", channels), ("height", height), ("width", width)):
        out += varint(fields[name].number << 3) + varint(value)
    data = mean.astype("<f4").tobytes()
    out += varint(fields["data"].number << 3 | 2) + varint(len(data)) + data  # 2: a length, then so many bytes
    with write_aside(path) as aside:
        aside.write_bytes(out)


def varint(value: int) -> bytes:
    """Seven bits in a byte, the lowest first; the eighth says that more follow."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
