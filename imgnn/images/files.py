"""Picture files <-> `image`: uint8 `(height, width, 3)`, RGB in sRGB, as the eye sees the picture."""

import glob
import itertools
import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin

from imgnn.errors import InputError, OptionError
from imgnn.images.decode import MAX_PIXELS, READS, describe, formats, open_file, quiet_pillow, read_image, refusal
from imgnn.runs import check_folder, is_file, is_folder, write_aside

WRITES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}

LONGEST = {"JPEG": 65_500, "WEBP": 16_383}  # pixels, the longest side that libjpeg and libwebp write

SETTINGS = "imgnn"  # the key of the settings in a PNG; in EXIF they are the user comment
ASCII = b"ASCII\0\0\0"  # the sign of EXIF's user comment for its character code


def load_image(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The picture in a file, as the eye sees it.

    Turned as its EXIF orientation says; its ICC profile converted to sRGB (a broken profile is ignored);
    transparency laid on white; grey, palette, bilevel and CMYK become RGB; 16 bits are scaled to 8; of an
    animation the first frame.

    Args:
        path: JPEG, PNG, GIF, WebP, TIFF, BMP, PNM, JPEG 2000, AVIF, ICO or QOI; the bytes decide, not the name.
        max_pixels: a larger picture is refused before it is decoded.

    Returns:
        uint8 `(height, width, 3)`, sRGB, contiguous.

    Raises:
        InputError: there is no such file, or it may not be read.
        PictureError: it is no picture, damaged or too large.
    """
    with open_file(Path(path)) as file:
        return read_image(file, path, max_pixels=max_pixels)


def save_image(
    path: str | Path, image: np.ndarray, *, settings: Mapping[str, Any] | None = None, quality: int = 95
) -> None:
    """Write a picture; the file appears whole or not at all.

    Args:
        path: its suffix chooses the format: .png, .jpg, .jpeg, .webp, .tif, .tiff.
        image: uint8 `(height, width, 3)`, sRGB; the file is marked so.
        settings: kept in the file, to be read back with `read_settings`: what JSON can hold; other
            values (paths) as text.
        quality: 1..100, of JPEG and WebP; PNG and TIFF lose nothing.

    Raises:
        InputError: no format has this suffix, the folder is missing or may not be written, the picture has
            another form, or is larger than the format allows.
    """
    path = Path(path)
    check_writable(path)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(f"a picture to save is uint8 (height, width, 3), not {image.dtype} {image.shape}: {path}")
    check_format_takes(path, image.shape[:2])
    kind = WRITES[path.suffix.lower()]
    text = None if settings is None else json.dumps(dict(settings), default=str)
    options: dict[str, Any] = {}
    if kind == "PNG":
        chunks = PngImagePlugin.PngInfo()
        chunks.add(b"sRGB", b"\0")  # rendering intent: perceptual
        if text is not None:
            chunks.add_itxt(SETTINGS, text)
        options["pnginfo"] = chunks
    else:
        exif = Image.Exif()
        details = exif.get_ifd(ExifTags.IFD.Exif)
        details[ExifTags.Base.ColorSpace] = 1  # sRGB
        if text is not None and kind == "TIFF":
            exif[ExifTags.Base.ImageDescription] = text  # Pillow writes no EXIF part into a compressed TIFF
        elif text is not None:
            details[ExifTags.Base.UserComment] = ASCII + text.encode("ascii")
        options["exif"] = exif
    if kind in ("JPEG", "WEBP"):
        options["quality"] = quality
    if kind == "JPEG":
        options["subsampling"] = 0  # full colour: painted edges are coloured edges
    if kind == "TIFF":
        options["compression"] = "tiff_adobe_deflate"
    with write_aside(path) as aside, quiet_pillow:
        try:
            Image.fromarray(image).save(aside, kind, **options)
        except ValueError as error:  # JPEG holds 64 KiB of EXIF
            raise InputError(f"cannot write {path} as {kind}: {error}", hint="save it as .png") from error


def save_or_spare(path: Path, image: np.ndarray, settings: Mapping[str, Any]) -> None:
    """`save_image`; where that cannot be, into the folder for temporary files: minutes of work are in the picture.

    Raises:
        InputError: it cannot be; the hint tells where the picture is now.
    """
    try:
        save_image(path, image, settings=settings)
    except InputError as error:
        try:
            handle, name = tempfile.mkstemp(prefix=f"{path.stem}-", suffix=".png")  # which takes any size
            os.close(handle)
        except OSError:
            raise error from None
        try:
            save_image(name, image, settings=settings)
        except InputError:
            Path(name).unlink(missing_ok=True)
            raise error from None
        raise InputError(str(error), hint=f"the picture was saved to {name}") from error


def check_writable(path: str | Path) -> None:
    """See to it that `save_image(path, ...)` will find a format and a folder: to be called before long work.

    Raises:
        InputError: no format has this suffix, the folder is missing, or neither it nor the file may be written.
    """
    path = Path(path)
    if is_folder(path):
        raise InputError(f"{path} is a folder; the name of a picture file is expected")
    if path.suffix.lower() not in WRITES:
        found = f"{path.suffix!r}" if path.suffix else "no suffix"
        raise OptionError(f"pictures are written as {', '.join(WRITES)}; {found} was received: {path}")
    check_folder(path)


def check_format_takes(path: Path, size: tuple[int, ...]) -> None:
    """Refuse a picture of `size`, `(height, width)`, that is too large for the format of `path`.

    Raises:
        InputError: it is.
    """
    kind = WRITES[path.suffix.lower()]
    if max(size) > LONGEST.get(kind, max(size)):
        raise InputError(
            f"cannot write {path}: a side of {kind} has at most {LONGEST[kind]} pixels, not {max(size)}",
            hint="save it as .png",
        )


def check_apart(output: Path, pictures: Sequence[Path]) -> None:
    """See to it that the result does not take the place of a picture it is made of.

    Raises:
        InputError: it would.
    """
    for picture in pictures:
        if is_file(output) and is_file(picture) and output.samefile(picture):
            raise InputError(f"{output} would be replaced by what is made of it", hint="another name with -o")


def read_settings(path: str | Path) -> dict[str, Any]:
    """The settings that `save_image` put into a file; empty if it holds none.

    Raises:
        InputError: the file cannot be read, or is no picture.
    """
    path = Path(path)
    with open_file(path) as file, quiet_pillow:
        try:
            picture = Image.open(file, formats=formats())
            text = picture.info.get(SETTINGS)
            exif = picture.getexif()
            if text is None:
                text = exif.get(ExifTags.Base.ImageDescription) if picture.format == "TIFF" else None
            if text is None:
                comment = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment, b"")
                text = comment.removeprefix(ASCII).decode("ascii") if isinstance(comment, bytes) else comment
            found = json.loads(text)
        except (json.JSONDecodeError, UnicodeDecodeError):
            return {}  # somebody else's comment
        except Exception as error:
            raise refusal(file, path, error) from error
    return found if isinstance(found, dict) else {}


@cache
def read_suffixes() -> frozenset[str]:
    """The suffixes of the formats that are read."""
    return frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in READS)


def is_image(path: str | Path) -> bool:
    """Whether a file is named or begins like a picture; it is not decoded."""
    path = Path(path)
    try:
        if not path.is_file():
            return False
        if path.suffix.lower() in read_suffixes():
            return True
        with path.open("rb") as file:
            return describe(file.read(512)).endswith(" picture")
    except (OSError, ValueError):
        return False


def find_images(paths: Iterable[str | Path]) -> list[Path]:
    """The picture files that are meant: a file is itself, a folder the pictures right in it.

    A pattern that no shell expanded ("photos/*.jpg") is what it matches. Hidden files are passed over, folders within
    are not entered; `2.jpg` comes before `10.jpg`. A named file is not looked at: whether it is a picture is told when
    it is read.

    Raises:
        InputError: there are none, a folder or a pattern gives none, or a folder may not be read.
    """
    found: list[Path] = []
    for path in itertools.chain.from_iterable(map(expanded, paths)):
        if not is_folder(path):
            found.append(path)
            continue
        try:
            inside = [each for each in path.iterdir() if not each.name.startswith(".") and is_image(each)]
        except OSError as error:
            raise InputError(f"cannot read the folder {path}: {error.strerror or error}") from error
        if not inside:
            raise InputError(
                f"no picture in the folder {path} (the folders within it are not entered)",
                hint=f"a pattern enters them: '{path}/*/*.jpg'",
            )
        found += sorted(inside, key=natural_order)
    if not found:
        raise InputError("no picture was named")
    return found


def expanded(path: str | Path) -> list[Path]:
    """What a pattern matches, pictures and folders, folder by folder; any other path is itself.

    Raises:
        InputError: it matches nothing.
    """
    if not glob.has_magic(str(path)) or is_file(Path(path)) or is_folder(Path(path)):
        return [Path(path)]
    matches = map(Path, glob.glob(str(path), recursive=True))  # noqa: PTH207  Path.glob takes no absolute pattern
    found = [each for each in matches if is_folder(each) or is_image(each)]
    if not found:
        raise InputError(f"no picture matches {path}")
    return sorted(found, key=lambda each: (str(each.parent), natural_order(each)))


def check_readable(path: str | Path) -> None:
    """See to it that a file can be opened; it is not looked at.

    Raises:
        InputError: it is missing, a folder, or may not be read.
    """
    with open_file(Path(path)):
        pass


def check_any_readable(paths: Sequence[str | Path]) -> None:
    """See to it that at least one file can be opened.

    Raises:
        InputError: none can; the error of the first.
    """
    first = None
    for path in paths:
        try:
            check_readable(path)
            return
        except InputError as error:
            first = first or error
    if first:
        raise first


def natural_order(path: Path) -> list[tuple[int, int | str]]:
    """A key to sort by: numbers by value, letters without regard to case."""
    parts = re.split(r"([0-9]+)", path.name)
    return [(0, int(part)) if part.isascii() and part.isdecimal() else (1, part.casefold()) for part in parts]
