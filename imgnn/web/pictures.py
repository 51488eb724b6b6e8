"""Uploads that come in, and pictures that go out."""

import io
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import numpy as np
from PIL import Image

from imgnn.data.known_pictures import KnownPicture
from imgnn.errors import InputError, PictureError
from imgnn.images.decode import describe, read_image
from imgnn.images.files import load_image
from imgnn.images.resize import fit_long_side, resize
from imgnn.runs import is_file
from imgnn.web.api import MAX_PICTURE, MAX_UPLOAD_PIXELS, SHOWN, Kind, Split

FORMATS = ("a JPEG picture", "a PNG picture", "a WebP picture", "a GIF picture")  # of an upload, by its first bytes
LARGEST = 2048  # pixels, the long side of an upload as it is kept: no network looks closer
KEPT = 64  # known pictures as they are sent, in memory: some 100 KB each
QUALITY = 88


def read_upload(file: BinaryIO, size: int | None) -> np.ndarray:
    """The picture of an upload, decoded to the last pixel: what is kept and looked at is never the client's bytes.

    Args:
        size: bytes.

    Returns:
        uint8 `(height, width, 3)`, its long side at most `LARGEST`.

    Raises:
        PictureError: it is too large, of a format that is not taken, or damaged.
    """
    if size is None or size > MAX_PICTURE:
        raise PictureError(f"a picture has at most {MAX_PICTURE >> 20} MiB", kind="too_large")
    start = file.read(4096)
    file.seek(0)
    found = describe(start)
    if found not in FORMATS:
        raise PictureError(f"a JPEG, PNG, WebP or GIF picture is expected; this is {found}", kind="not_image")
    return at_most(read_image(file, "the picture", max_pixels=MAX_UPLOAD_PIXELS), LARGEST)


def at_most(image: np.ndarray, side: int) -> np.ndarray:
    """An image whose long side has no more than so many pixels."""
    if max(image.shape[:2]) <= side:
        return image
    return np.rint(resize(image, fit_long_side(image.shape[:2], side))).clip(0, 255).astype("uint8")


@dataclass(frozen=True)
class Shown:
    """A picture as it is sent.

    Attributes:
        jpeg: its bytes.
        size: `(height, width)`, pixels.
        tag: another one when the file is another one.
    """

    jpeg: bytes
    size: tuple[int, int]
    tag: str


class Catalogue:
    """The pictures that the models know. A client names them by number: no path of its own gets anywhere.

    Args:
        known: of each model; the first one's are those that Generate goes through.
    """

    def __init__(self, known: Sequence[tuple[Kind, Sequence[KnownPicture]]]) -> None:
        self.pictures: list[KnownPicture] = []
        self.numbers: dict[tuple[Kind, str], int] = {}
        self.parts: dict[Split, list[int]] = {"train": [], "val": []}
        for order, (kind, pictures) in enumerate(known):
            for each in pictures:
                self.numbers[kind, each.name] = len(self.pictures)
                if order == 0:
                    self.parts["val" if each.split == "val" else "train"].append(len(self.pictures))
                self.pictures.append(each)
        self.kept: OrderedDict[int, Shown] = OrderedDict()
        self.lock = Lock()

    def __contains__(self, number: int) -> bool:
        return 0 <= number < len(self.pictures)

    def file(self, number: int) -> Path:
        """Where a picture is, or was."""
        return Path(self.pictures[number].file)

    def address(self, kind: Kind, name: str) -> str | None:
        """Where the page gets a picture that a model calls so; None if its file is gone."""
        number = self.numbers.get((kind, name))
        return address(number) if number is not None and is_file(self.file(number)) else None

    def shown(self, number: int) -> Shown:
        """A picture as it is sent: small, and encoded anew.

        Raises:
            InputError: its file is gone, or cannot be read.
        """
        try:
            facts = self.file(number).stat()
        except OSError:
            raise InputError("the file of this picture is not there any more") from None
        tag = f'"{number:x}-{facts.st_mtime_ns:x}-{facts.st_size:x}"'
        with self.lock:
            found = self.kept.get(number)
            if found is not None and found.tag == tag:
                self.kept.move_to_end(number)
                return found
        try:
            image = at_most(load_image(self.file(number)), SHOWN)
        except InputError:  # its words hold the path
            raise InputError("the file of this picture cannot be read") from None
        shown = Shown(jpeg_of(image), (image.shape[0], image.shape[1]), tag)
        with self.lock:
            self.kept[number] = shown
            while len(self.kept) > KEPT:
                self.kept.popitem(last=False)
        return shown


def address(number: int) -> str:
    """Where the page gets a known picture."""
    return f"/api/pictures/{number}"


def jpeg_of(image: np.ndarray) -> bytes:
    """An image as the bytes of a JPEG file."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()
