"""What a picture file is, found out by decoding all of it: what `imgnn fetch` and `imgnn label` judge by."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image

from imgnn.errors import InputError, PictureError
from imgnn.images.decode import MAX_PIXELS, UPRIGHT, decoding, open_file

LOOK = 32  # pixels, the side of the grey picture that looks are compared by
# The 8 lowest waves of the discrete cosine transform (type II) along `LOOK` pixels: `(8, LOOK)`. SciPy's would do, and
# takes longer to import than a hundred pictures take to be inspected.
WAVES = np.cos(np.pi / LOOK * np.outer(np.arange(8), np.arange(LOOK) + 0.5)).astype("float32")
BLANK = 1.0  # levels, the standard deviation of `LOOK`'s pixels below which there is nothing to see


@dataclass(frozen=True)
class Inspection:
    """The facts of one file.

    Attributes:
        sha256: of its bytes.
        bytes: its size.
        problem: why it is no picture to work with: "not_image", "truncated", "damaged", "too_large",
            "unreadable"; None if every pixel was decoded. With a problem the fields below have their defaults.
        detail: the same in words.
        format: Pillow's name of it: "JPEG", "PNG".
        height, width: upright, pixels.
        mode: Pillow's: "RGB", "L", "CMYK", "I;16".
        frames: of an animation.
        turned: whether its EXIF orientation asks for a turn.
        alpha: whether it has transparency.
        deviation: of the grey picture's pixels, 0..255; near 0 it is blank.
        look: 64 bits that are alike for pictures that look alike; see `look_of`. None if it was not asked for.
        sha1: of its bytes; some placeholders are known by that alone (`data/placeholders.py`).
    """

    sha256: str = ""
    bytes: int = 0
    problem: str | None = None
    detail: str = ""
    format: str = ""
    height: int = 0
    width: int = 0
    mode: str = ""
    frames: int = 1
    turned: bool = False
    alpha: bool = False
    deviation: float = 0.0
    look: int | None = None
    sha1: str = ""

    @property
    def blank(self) -> bool:
        """Whether it is of one colour, but for noise."""
        return self.problem is None and self.deviation < BLANK


def inspect_file(path: str | Path, *, looks: bool = False, max_pixels: int = MAX_PIXELS) -> Inspection:
    """Decode a file and tell what it is; never raises for what the file holds."""
    try:
        with open_file(Path(path)) as file:
            data = file.read()
    except (InputError, OSError) as error:
        return Inspection(problem="unreadable", detail=str(error))
    return inspect_bytes(data, path, looks=looks, max_pixels=max_pixels)


def inspect_bytes(
    data: bytes,
    name: str | Path,
    *,
    looks: bool = False,
    max_pixels: int = MAX_PIXELS,
    use: Callable[[Image.Image], object] | None = None,
) -> Inspection:
    """The same for bytes in memory; words call them `name`.

    Args:
        looks: also compute `deviation` and `look`, which takes about as long as decoding.
        use: is handed the decoded picture, as Pillow has it.
    """
    file: BinaryIO = io.BytesIO(data)
    sha256, sha1 = hashlib.sha256(data).hexdigest(), hashlib.sha1(data, usedforsecurity=False).hexdigest()
    try:
        with decoding(file, name, max_pixels=max_pixels) as picture:
            try:
                orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
            except Exception:  # damaged EXIF is no reason to refuse the pixels
                orientation = 1
            width, height = picture.size
            if orientation in (5, 6, 7, 8):  # on its side
                width, height = height, width
            grey = small_grey(picture) if looks else None
            if use is not None:
                use(picture)
            return Inspection(
                sha256=sha256,
                bytes=len(data),
                format=picture.format or "",
                height=height,
                width=width,
                mode=picture.mode,
                frames=getattr(picture, "n_frames", 1),
                turned=orientation in UPRIGHT,
                alpha=picture.has_transparency_data,
                deviation=0.0 if grey is None else float(grey.std()),
                look=None if grey is None else look_of(grey),
                sha1=sha1,
            )
    except PictureError as error:
        return Inspection(sha256=sha256, sha1=sha1, bytes=len(data), problem=error.kind, detail=str(error))


def small_grey(picture: Image.Image) -> np.ndarray:
    """The picture in grey, float32 `(32, 32)`, 0..255, its shape not kept."""
    if picture.mode.startswith(("I", "F")):  # 16 bits and more: to 0..255 by what is there
        values = np.asarray(picture, "float32")
        span = float(values.max() - values.min()) or 1.0
        picture = Image.fromarray(((values - values.min()) * (255.0 / span)).astype("uint8"))
    grey = picture.convert("L") if picture.mode != "L" else picture
    return np.asarray(grey.resize((LOOK, LOOK), Image.Resampling.BOX), "float32")


def look_of(grey: np.ndarray) -> int:
    """64 bits of how a picture looks: which of its 8 x 8 lowest frequencies are above their median.

    Copies of a picture in another size, format or quality differ in few bits, other pictures in about 32.

    Args:
        grey: `(32, 32)`.

    Source: pHash, as Zauner describes it (Implementation and Benchmarking of Perceptual Image Hash Functions, 2010).
    """
    lowest = (WAVES @ grey @ WAVES.T).ravel()
    bits = lowest > np.median(lowest[1:])  # the first is the mean brightness
    return int(np.packbits(bits).view(">u8")[0])
