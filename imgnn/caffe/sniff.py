"""What a file is that should have been a Caffe file, told from its first bytes."""

from typing import Literal, NamedTuple


class Format(NamedTuple):
    """What a file seems to be.

    Attributes:
        name: with its article, for a sentence: "an HTML page".
        advice: what helps the user who has such a file in place of a Caffe file.
    """

    name: str
    advice: str


_BOTH = "imgnn convert X.caffemodel X.prototxt: the weights first, then the definition"

PROTOTXT = Format("text", _BOTH)
BINARY = Format("binary data", _BOTH)

_UNPACK = "Unpack it first, and give the file inside."
_SIGNATURES = {
    b"version https://git-lfs": Format(
        "a Git LFS pointer, not the file it stands for", "Run `git lfs pull` in the repository it came from."
    ),
    b"\x89HDF\r\n\x1a\n": Format(
        "an HDF5 file",
        "Weights that Caffe saved as HDF5 are not read: save them again with snapshot_format BINARYPROTO.",
    ),
    b"\xff\xd8\xff": Format("a JPEG picture", _BOTH),
    b"\x89PNG\r\n\x1a\n": Format("a PNG picture", _BOTH),
    b"PK\x03\x04": Format("a zip archive", _UNPACK),
    b"\x1f\x8b": Format("a gzip archive", _UNPACK),
    b"7z\xbc\xaf\x27\x1c": Format("a 7z archive", _UNPACK),
    b"\xfd7zXZ\x00": Format("an xz archive", _UNPACK),
}
_PAGES = (b"<!doctype", b"<html", b"<head", b"<?xml")
_CONTROL = bytes(set(range(32)) - set(b"\t\n\v\f\r"))


def sniff(head: bytes, wanted: Literal["binary", "text"]) -> Format | None:
    """Say what a file is if it is not what was wanted; None if it may be.

    Args:
        head: its first kilobyte or so, not empty.
        wanted: "binary" for a .caffemodel or .binaryproto, "text" for a prototxt.
    """
    for signature, known in _SIGNATURES.items():
        if head.startswith(signature):
            return known
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_PAGES):
        return Format("an HTML page", "The download met an error or a login page: open its address in a browser.")
    # A caffemodel's tags and lengths are control characters, of which text has none.
    is_text = not head.translate(None, delete=bytes(set(range(256)) - set(_CONTROL)))
    if wanted == "binary":
        return PROTOTXT if is_text else None
    is_utf16 = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    return None if is_text or is_utf16 else BINARY
