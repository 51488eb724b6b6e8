"""Bytes into pixels: every format that is read, upright, in sRGB, eight bits; what is told of bytes that are none."""

import codecs
import contextlib
import io
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin, UnidentifiedImageError

from imgnn.errors import ImgnnError, InputError, PictureError, missing
from imgnn.runs import is_folder

# The sensors of telephones have up to 200 megapixels; decoded, that is 600 MB. A file of a few
# kilobytes can claim far more (a decompression bomb).
MAX_PIXELS = 200_000_000
# What is read. Not Pillow's whole list: EPS would start Ghostscript, and some formats have no sign by
# which they are known, so that any file may be taken for one.
READS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF", "ICO", "QOI")
# EXIF orientation -> what brings the picture upright. Source: Exif 2.32, tag 0x0112.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# The first bytes of what is met under a picture's name, and of pictures.
SIGNS: tuple[tuple[str, str], ...] = (
    (r"\xff\xd8\xff", "a JPEG picture"),
    (r"\x89PNG", "a PNG picture"),
    (r"GIF8", "a GIF picture"),
    (r"RIFF....WEBP", "a WebP picture"),
    (r"BM....\0\0\0\0", "a BMP picture"),
    (r"II\*\0|MM\0\*|II\+\0|MM\0\+", "a TIFF picture"),
    (r"PF\n", "a PFM picture in colour, which is not read here"),
    (r"P[1-6]\s|Pf\n", "a PNM picture"),
    (r"....ftypavi", "an AVIF picture"),
    (r"....jP  |\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (r"qoif", "a QOI picture"),
    (r"....ftyp(hei|hev|mif|msf)", "a HEIC picture, which is not read here"),
    (r"....ftyp", "a film"),
    (r"(?i:\s*(<!--.*?-->\s*)?<(!doctype\s+html|html|head|body|script))", "an HTML page"),
    (r"\s*<svg|\s*<\?xml.*<svg", "an SVG drawing, which is not read here"),
    (r"\s*<\?xml", "an XML file"),
    (r"\s*[{\[]\s*[\"{\[]", "a JSON file"),
    (r"%PDF", "a PDF document"),
    (r"%!PS", "a PostScript document, which is not read here"),
    (r"PK\x03\x04|PK\x05\x06", "a ZIP archive"),
    (r"\x1f\x8b", "a gzip archive"),
    (r"8BPS", "a Photoshop document, which is not read here"),
    (r"version https://git-lfs", "a pointer of Git LFS: the picture itself was not fetched"),
    (r"\x89HDF", "an HDF5 file"),
    (r"\x93NUMPY", "a NumPy array"),
)


def read_image(file: BinaryIO, name: str | Path, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """`load_image` from an open file, or bytes in a BytesIO; errors call it `name`."""
    with decoding(file, name, max_pixels=max_pixels) as picture:
        return np.array(srgb(upright(picture)))


@contextlib.contextmanager
def decoding(file: BinaryIO, name: str | Path, *, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """Pillow's picture of a file, its first frame decoded to the last pixel, as the file has it.

    Whatever fails in the block counts as a fault of the picture.

    Raises:
        PictureError: it is no picture, damaged or too large.
    """
    with quiet_pillow:
        try:
            picture = Image.open(file, formats=formats())
            width, height = picture.size
            if width * height > max_pixels:
                raise PictureError(
                    f"{name} is {width} pixels wide and {height} high; pictures of at most "
                    f"{max_pixels / 1e6:g} megapixels are read",
                    kind="too_large",
                )
            picture.load()
            yield picture
        except Exception as error:  # damage raises whatever it happens to meet: SyntaxError, struct.error, ...
            raise refusal(file, name, error) from error


@cache
def formats() -> tuple[str, ...]:
    """Those of `READS` that this Pillow was built with (AVIF and JPEG 2000 are optional)."""
    Image.init()
    return tuple(kind for kind in READS if kind in Image.OPEN)


def upright(picture: Image.Image) -> Image.Image:
    """The picture turned as its EXIF (or XMP) orientation says."""
    try:
        method = UPRIGHT.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF is no reason to refuse the pixels
        method = None
    return picture if method is None else picture.transpose(method)


def srgb(picture: Image.Image) -> Image.Image:
    """The picture in mode RGB, in the colours of sRGB, transparency laid on white."""
    profile = picture.info.get("icc_profile")
    picture, alpha = eight_bits(picture)
    if alpha is None and (picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info):
        clear = (picture.convert("LA") if picture.mode == "La" else picture).convert("RGBA")
        alpha = clear.getchannel("A")
        # Premultiplied or keyed colours are settled by the conversion; grey stays grey for its profile.
        picture = clear.convert("L" if picture.mode in ("LA", "La", "L", "1") else "RGB")
    elif picture.mode in ("P", "1", "YCbCr", "HSV", "RGBX"):
        picture = picture.convert("L" if picture.mode == "1" else "RGB")
    picture = managed(picture, profile)
    if alpha is None:
        return picture
    paper = Image.new("RGB", picture.size, "white")
    paper.paste(picture, mask=alpha)
    return paper


def eight_bits(picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """A picture of 16 or 32 bits a pixel scaled to 8, with the mask of its transparent grey; others as they are."""
    if not picture.mode.startswith(("I", "F")):
        return picture, None
    values = np.asarray(picture)
    if values.dtype.kind == "f":
        # A float picture is linear in 0..1 or holds 0..255; what is not a number is black.
        values = np.nan_to_num(values, nan=0.0, posinf=np.inf, neginf=0.0)
        grey = np.clip(values * (255.0 if values.max() <= 1.0 else 1.0), 0, 255)
    else:
        full = 65535 if values.max() <= 65535 else 2**31 - 1
        grey = np.clip(values.astype("float64"), 0, full) * (255.0 / full)
        if getattr(picture, "tag_v2", {}).get(ExifTags.Base.PhotometricInterpretation) == 0:
            grey = 255.0 - grey  # a TIFF whose 0 is white; with 8 bits Pillow minds it itself
    mask = None
    key = picture.info.get("transparency")
    if isinstance(key, int):
        mask = Image.fromarray(np.where(values == key, 0, 255).astype("uint8"))
    return Image.fromarray(np.rint(grey).astype("uint8")), mask


def managed(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """A picture in mode L, RGB, CMYK or LAB as RGB in sRGB, through its ICC profile if that is of any use."""
    if picture.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        return converted(picture, ImageCms.ImageCmsProfile(lab))
    if profile:
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            space = source.profile.xcolor_space.strip()
            if space == "RGB" and picture.mode == "L":
                picture = picture.convert("RGB")
            if {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space) == picture.mode:
                # From sRGB to sRGB would only round once more; a profile's name does not tell.
                return picture if picture.mode == "RGB" and changes_nothing(source) else converted(picture, source)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def changes_nothing(source: ImageCms.ImageCmsProfile) -> bool:
    """Whether an RGB profile is sRGB's: a cube of colours comes through within a level."""
    levels = np.linspace(0, 255, 9).astype("uint8")
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    through = np.asarray(converted(Image.fromarray(colours), source))
    return bool(np.abs(through.astype(int) - colours).max() <= 1)


def converted(picture: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    """Through Little CMS to sRGB."""
    target = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    result = ImageCms.profileToProfile(
        picture, source, target, renderingIntent=ImageCms.Intent.PERCEPTUAL, outputMode="RGB"
    )
    if result is None:  # only when it works in place
        raise ImageCms.PyCMSError("no picture came back")
    return result


@contextlib.contextmanager
def open_file(path: Path) -> Iterator[io.BufferedReader]:
    """The file, opened to read bytes.

    Raises:
        InputError: it is missing, a folder, or may not be read.
    """
    if is_folder(path):
        raise InputError(f"{path} is a folder; a picture file is expected")
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise missing(path) from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    with file:
        yield file


def refusal(file: BinaryIO, name: str | Path, error: Exception) -> ImgnnError:
    """What to say of a file that Pillow could not read: what it is, and what is wrong with it."""
    if isinstance(error, ImgnnError):
        return error
    if isinstance(error, Image.DecompressionBombError):
        return PictureError(f"{name} is too large: {error}", kind="too_large")
    if isinstance(error, MemoryError):
        return PictureError(f"{name} does not fit into the memory of this machine", kind="too_large")
    try:
        file.seek(0)
        found = describe(file.read(4096))
    except OSError as unread:
        return InputError(f"cannot read {name}: {unread.strerror or unread}")
    if not found.endswith(" picture"):
        return PictureError(f"{name} is not a picture: it is {found}", kind="not_image")
    if isinstance(error, UnidentifiedImageError) and found == "a TIFF picture" and (kind := tiff_kind(file)):
        return PictureError(
            f"{name} is a TIFF of a kind that is not read here: {kind}",
            hint="save it as grey or RGB of 8 or 16 bits, or as a PNG",
            kind="not_image",
        )
    # Pillow's words for a file that it does not know at all show the file object, and help nobody.
    reason = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
    if re.search(r"truncated|unexpected end|not enough|EOF", f"{type(error).__name__}{reason}", re.IGNORECASE):
        return PictureError(f"{name} is {found} that ends too early{reason}", kind="truncated")
    return PictureError(f"{name} is damaged: it begins as {found}{reason}", kind="damaged")


def tiff_kind(file: BinaryIO) -> str | None:
    """What the pixels of a TIFF are: "32-bit floats in 3 channels"; None if its tags are damaged.

    Source: TIFF 6.0, sections 8 (baseline tags) and 19 (SampleFormat).
    """
    try:
        file.seek(0)
        start = file.read(16)
        tags = TiffImagePlugin.ImageFileDirectory_v2(start if b"+" in start[2:4] else start[:8])  # +: BigTIFF
        file.seek(tags.next)
        tags.load(file)
        width, height, (bits,), compression = tags[256], tags[257], set(tags[258]), tags[259]
        channels, (form,) = tags.get(277, 1), set(tags.get(339, (1,)))
        least = min(width, height, channels)  # TypeError, where a tag holds bytes
    except Exception:  # as in load_image
        return None
    words = {1: "integers", 2: "signed integers", 3: "floats"}
    if form not in words or bits not in (8, 16, 24, 32, 64) or least < 1:
        return None
    packed = "" if compression in TiffImagePlugin.COMPRESSION_INFO else f", compression {compression}"
    return f"{bits}-bit {words[form]} in {channels} channel{'s' if channels > 1 else ''}{packed}"


def describe(start: bytes) -> str:
    """What a file is, by its first bytes: "a JPEG picture", "an HTML page", "a text"."""
    if not start:
        return "an empty file"
    for sign, name in SIGNS:
        if re.match(sign.encode("latin-1"), start, re.DOTALL):
            return name
    if not start.strip(b"\0"):
        return "a file of zeros"
    with contextlib.suppress(UnicodeDecodeError):
        # Incremental: the last character may be cut in two.
        text = codecs.getincrementaldecoder("utf-8")().decode(start)
        if all(c.isprintable() or c in "\t\r\n\f" for c in text):
            return "a text"
    return "of no format known here"


class QuietPillow:
    """While anyone is inside, Pillow's warnings are dropped and its own size limit is ours.

    Both are settings of the whole process, and pictures are read in several threads: the first who enters
    changes them, the last who leaves puts back what was there.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0
        self.undo: Callable[[], object] = lambda: None

    def __enter__(self) -> None:
        with self.lock:
            if self.inside == 0:
                stack = contextlib.ExitStack()
                stack.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", module=r"PIL\.")
                stack.callback(setattr, Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
                # Pillow refuses at twice this number: beyond what `load_image` refuses in words, and still
                # a guard for what hides inside a file (the frames of an icon).
                Image.MAX_IMAGE_PIXELS = MAX_PIXELS
                self.undo = stack.close
            self.inside += 1

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self.undo()


quiet_pillow = QuietPillow()
