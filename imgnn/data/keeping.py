"""From the bytes that came to a picture file: decoded, judged, scaled if that is asked for, put among the parts."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from imgnn.data.items import Result, file_stem, part_name
from imgnn.data.lists import file_digest
from imgnn.data.outcomes import OK
from imgnn.data.placeholders import placeholder_of
from imgnn.errors import InputError
from imgnn.images.decode import quiet_pillow, srgb, upright
from imgnn.images.inspection import inspect_bytes
from imgnn.options import FileFormat, ResizeMode

FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
SUFFIXES = {"JPEG": ".jpg", "TIFF": ".tif", "JPEG2000": ".jp2", "PPM": ".ppm"}  # the others are called as their format
WHITE = (255, 255, 255)


@dataclass(frozen=True)
class Keeping:
    """What is kept of a picture; the defaults are those of `FetchOptions`.

    Attributes:
        parts: the folder of pictures on their way.
        min_side: pixels; a picture whose shorter side has less is too small.
        max_pixels: of the decoded picture; more is too large.
        max_aspect: long side by short side; more is too small a strip to be of use. 0: any.
        size: pixels, the side that pictures are scaled to; None: the bytes are kept as they came.
        mode: how, in img2dataset's words: "border" (whole, on white, square), "keep_ratio" (the shorter side is
            `size`), "keep_ratio_largest" (the longer one), "center_crop" (the middle, square).
        only_if_bigger: smaller pictures are not enlarged.
        format: what scaled pictures are written as; None with `size` None: as they came.
        quality: 1..100, of JPEG and WebP.
        known: further SHA-256 of pictures that stand for one that is gone.
    """

    parts: Path
    min_side: int
    max_pixels: int
    max_aspect: float
    size: int | None
    mode: ResizeMode
    only_if_bigger: bool
    format: FileFormat | None
    quality: int
    known: frozenset[str]

    @property
    def converts(self) -> bool:
        """Whether pictures are written anew."""
        return self.size is not None or self.format is not None


def keep_all(answers: Sequence[tuple[bytes | Path, int, str]], keeping: Keeping) -> list[Result | Exception]:
    """`keep` for several, given as data, id and address; of one that raises, what it raises."""
    found: list[Result | Exception] = []
    for data, id, url in answers:
        try:
            found.append(keep(data, id, url, keeping))
        except Exception as error:
            found.append(error)
    return found


def keep(data: bytes | Path, id: int, url: str, keeping: Keeping) -> Result:
    """Judge what came from an address, and keep it if it is a picture.

    Args:
        data: the bytes, or the file that they were put into because there were many of them.

    Raises:
        OSError: the disk is full.
    """
    if isinstance(data, Path):
        spilled, data = data, data.read_bytes()
        spilled.unlink()
    opened: list[Image.Image] = []
    seen = inspect_bytes(data, "it", max_pixels=keeping.max_pixels, use=opened.append)
    if seen.problem:
        return Result(id, seen.problem, seen.detail, bytes=seen.bytes)
    kept = Result(
        id, OK, sha256=seen.sha256, bytes=seen.bytes, height=seen.height, width=seen.width, format=seen.format
    )
    shorter, longer = sorted((seen.height, seen.width))
    if what := ("one that was named" if seen.sha256 in keeping.known else placeholder_of(seen.sha1, seen.sha256)):
        return replace(kept, outcome="placeholder", detail=f"known by its hash: {what}", sha256=None)
    if shorter < keeping.min_side:
        return replace(kept, outcome="too_small", detail=f"{seen.width} x {seen.height} pixels", sha256=None)
    if keeping.max_aspect and longer > keeping.max_aspect * shorter:
        return replace(kept, outcome="too_small", detail=f"a strip, {seen.width} x {seen.height} pixels", sha256=None)
    if keeping.converts:
        form = keeping.format or "jpg"
        suffix, format = f".{form}", FORMATS[form]
    else:
        suffix, format = SUFFIXES.get(seen.format, f".{seen.format.lower()}"), seen.format
    part = keeping.parts / part_name(id, file_stem(url) + suffix)
    if not keeping.converts:
        write_bytes(part, data)
        return replace(kept, part=part.name, suffix=suffix)
    try:
        with quiet_pillow:
            picture = srgb(upright(opened[0]))
            if (target := scaled_size(picture.size, keeping)) and target[0] * target[1] > keeping.max_pixels:
                detail = f"a strip, {seen.width} x {seen.height} pixels: scaled, {target[0]:,} x {target[1]:,}"
                return replace(kept, outcome="too_small", detail=detail, sha256=None)
            picture = scaled(picture, target, keeping)
            # Into a file, not into memory: so Pillow lets the other threads go on.
            picture.save(part, format, **({} if form == "png" else {"quality": keeping.quality}))
    except Exception as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:  # the disk's, not the picture's
            raise
        return Result(id, "damaged", f"it cannot be written as {format}: {error}", bytes=seen.bytes)
    return replace(kept, height=picture.height, width=picture.width, format=format, part=part.name, suffix=suffix)


def write_bytes(path: Path, data: bytes) -> None:
    """`path.write_bytes(data)` without the questions that Python asks of a file first: each lets go of its lock."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        while data:
            data = data[os.write(file, data) :]
    finally:
        os.close(file)


def scaled_size(size: tuple[int, int], keeping: Keeping) -> tuple[int, int] | None:
    """Width and height that a picture is scaled to, before a square is made of it; None: it is not scaled."""
    side = min(size) if keeping.mode in ("keep_ratio", "center_crop") else max(size)
    if keeping.size is None or (keeping.only_if_bigger and side <= keeping.size):
        return None
    if keeping.mode == "center_crop":
        return keeping.size, keeping.size
    factor = keeping.size / side
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def scaled(picture: Image.Image, target: tuple[int, int] | None, keeping: Keeping) -> Image.Image:
    """A picture in one of img2dataset's modes: smaller by the mean over areas, larger by Lanczos."""
    if target is None:
        return picture
    box = (0.0, 0.0, float(picture.width), float(picture.height))
    if keeping.mode == "center_crop":
        side = min(picture.size)
        left, top = (picture.width - side) / 2, (picture.height - side) / 2
        box = (left, top, left + side, top + side)
    smaller = target[0] < box[2] - box[0]
    picture = picture.resize(target, Image.Resampling.BOX if smaller else Image.Resampling.LANCZOS, box)
    if keeping.mode == "border" and keeping.size is not None:
        paper = Image.new("RGB", (keeping.size, keeping.size), WHITE)
        paper.paste(picture, ((keeping.size - target[0]) // 2, (keeping.size - target[1]) // 2))
        return paper
    return picture


def sha256_of(file: Path) -> str:
    """The hash of a picture that the user says stands for one that is gone."""
    try:
        return file_digest(file)
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from error
