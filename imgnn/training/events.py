"""The log of a run as TensorBoard shows it. Written without TensorFlow, so the same with every backend.

    events/events.out.tfevents.imgnn   one file: TFRecords, each an Event message with one Summary value

Sources: tensorflow/core/util/event.proto and framework/summary.proto (the fields), lib/io/record_writer.h (the
record: length, its CRC, the message, its CRC), RFC 3720 appendix B.4 (CRC-32C).
"""

import functools
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from imgnn.errors import InputError
from imgnn.runs import write_aside

FILE = "events.out.tfevents.imgnn"  # TensorBoard looks for "tfevents" in a name
FIRST = b"brain.Event:2"  # what the first record of a file says: the format's version

# What is shown of a row of the log, and under which name.
EPOCH_TAGS = {
    "loss": "train/loss",
    "accuracy": "train/accuracy",
    "learning_rate": "train/learning_rate",
    "val_loss": "val/loss",
    "val_accuracy": "val/accuracy",
    "cider_d": "val/cider_d",
    "bleu_4": "val/bleu_4",
    "image_gain": "val/image_gain",
}
STEP_TAGS = {
    name: f"step/{name}" for name in ("loss", "accuracy", "learning_rate", "images_per_second", "tokens_per_second")
}


def write_events(folder: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write the events of all rows of a log; events that are there already are replaced, so that none is shown twice.

    Args:
        folder: of the events; made where it is missing.
        rows: of log.jsonl, of the kinds "step" and "epoch"; others, and values that are missing, are passed over.
            `time` in a row is when it was written, Unix seconds; without it: now.

    Returns:
        The file.

    Raises:
        InputError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    path = folder / FILE
    begin = record(field(1, time.time()) + field(3, FIRST))
    with write_aside(path) as aside:
        aside.write_bytes(begin + b"".join(records(rows)))
    for older in folder.glob("*tfevents*"):
        if older != path:
            older.unlink(missing_ok=True)
    return path


def append_events(folder: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add rows to the events that `write_events` wrote: a TensorBoard that is open shows them at once.

    Raises:
        InputError: the file cannot be written.
    """
    path = folder / FILE
    try:
        with path.open("ab") as file:
            file.write(b"".join(records(rows)))
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def records(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """A record for each value of each row."""
    for row in rows:
        tags = {"step": STEP_TAGS, "epoch": EPOCH_TAGS}.get(row.get("kind", ""), {})
        for name, tag in tags.items():
            if row.get(name) is not None:
                value = field(1, tag.encode()) + field(2, float(row[name]), "f")  # Summary.Value
                event = field(1, float(row.get("time", time.time()))) + field(2, int(row["step"]))
                yield record(event + field(5, field(1, value)))


def field(number: int, value: float | bytes, kind: str = "d") -> bytes:
    """One field of a protobuf message: a whole number as varint, a float as `kind` (struct's letter), bytes."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | (1 if kind == "d" else 5)) + struct.pack(f"<{kind}", value)


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def record(message: bytes) -> bytes:
    """A TFRecord: the length, its checksum, the message, its checksum."""
    length = struct.pack("<Q", len(message))
    return length + checksum(length) + message + checksum(message)


def checksum(data: bytes) -> bytes:
    """CRC-32C, masked as TensorFlow does: rotated by 15 bits, plus a constant."""
    crc, table = 0xFFFFFFFF, crc_table()
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


@functools.cache
def crc_table() -> tuple[int, ...]:
    """CRC-32C of each byte, by Castagnoli's polynomial with its bits reversed."""
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)
