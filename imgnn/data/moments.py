"""The sums that a mean is made of: whole numbers, the same in whatever order and wherever they are added."""

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from imgnn.data.lists import Entry
from imgnn.errors import InputError, MissingError, PictureError, missing
from imgnn.images.decode import open_file, read_image
from imgnn.images.preprocess import fit
from imgnn.images.structure import block_factor, detail_of, reduce_picture
from imgnn.runs import write_aside

FORMAT, VERSION = "imgnn mean part", 1
CLASSES_FIT = 128 << 20  # bytes that the sums of all classes may take; more classes are kept smaller
THUMB = 8  # pixels, the side of the thumbnail that tells how far a picture is from the mean


@dataclass(frozen=True)
class View:
    """How a picture is looked at.

    Attributes:
        size: `(height, width)`, pixels.
        crop: "caffe" or "square", as `images.preprocess.fit` has it.
        shrink: pixels, the side of the blocks in which the sums of a class are kept.
    """

    size: tuple[int, int]
    crop: Literal["caffe", "square"]
    shrink: int = 1

    @property
    def class_size(self) -> tuple[int, int]:
        """Of a class's sums."""
        return -(-self.size[0] // self.shrink), -(-self.size[1] // self.shrink)

    @property
    def block_size(self) -> tuple[int, int]:
        """Of the local detail."""
        factor = block_factor(self.size)
        return -(-self.size[0] // factor), -(-self.size[1] // factor)

    @property
    def thumb_size(self) -> tuple[int, int]:
        factor = -(-max(self.block_size) // THUMB)
        return -(-self.block_size[0] // factor), -(-self.block_size[1] // factor)


def shrink_for(size: tuple[int, int], classes: int) -> int:
    """The smallest blocks with which the sums of so many classes fit: 1, 2, 4, ..."""
    shrink = 1
    while classes * math.prod(View(size, "caffe", shrink).class_size) * 24 > CLASSES_FIT and shrink < max(size):
        shrink *= 2
    return shrink


@dataclass
class ClassSums:
    """Of the pictures of one class.

    Attributes:
        count: pictures.
        pixels: `(*class_size, 3)`, RGB.
        detail, squares: `(*block_size)`, of the local detail and of its squares.
    """

    count: int
    pixels: np.ndarray
    detail: np.ndarray
    squares: np.ndarray

    def add(self, other: "ClassSums") -> None:
        self.count += other.count
        self.pixels += other.pixels
        self.detail += other.detail
        self.squares += other.squares


@dataclass
class Moments:
    """Of any number of pictures.

    Attributes:
        pixels: uint64 `(*size, 3)`, RGB.
        squares: uint64 `(3,)`, over all pixels.
        classes: label -> its own sums.
    """

    view: View
    pixels: np.ndarray
    squares: np.ndarray
    classes: dict[int, ClassSums] = field(default_factory=dict)

    @classmethod
    def none(cls, view: View) -> "Moments":
        """Of no picture."""
        return cls(view, np.zeros((*view.size, 3), "uint64"), np.zeros(3, "uint64"))

    @property
    def count(self) -> int:
        return sum(each.count for each in self.classes.values())

    def add(self, other: "Moments") -> None:
        """Take in the sums of other pictures."""
        self.pixels += other.pixels
        self.squares += other.squares
        for label, sums in other.classes.items():
            mine = self.classes.get(label)
            if mine is None:
                mine = self.classes[label] = ClassSums(
                    0,
                    np.zeros((*self.view.class_size, 3), "uint64"),
                    np.zeros(self.view.block_size, "int64"),
                    np.zeros(self.view.block_size, "int64"),
                )
            mine.add(sums)

    def mean(self) -> np.ndarray:
        """The mean picture, float64 `(*size, 3)`, RGB."""
        return self.pixels / self.count

    def class_mean(self, label: int) -> np.ndarray:
        """The same of a class, float64 `(*class_size, 3)`."""
        ones = block_sums(np.ones((*self.view.size, 1), "uint64"), self.view.shrink)
        return self.classes[label].pixels / (ones * np.uint64(self.classes[label].count))

    def detail(self) -> tuple[np.ndarray, np.ndarray]:
        """The sums of the local detail and of its squares, over all classes."""
        parts = list(self.classes.values())
        return np.sum([each.detail for each in parts], axis=0), np.sum([each.squares for each in parts], axis=0)

    def channels(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of R, G and B over every pixel of every picture."""
        return channel_moments(self.pixels, self.squares, self.count * math.prod(self.view.size))


def channel_moments(pixels: np.ndarray, squares: np.ndarray, count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel, from whole numbers to the last bit."""
    sums = [int(each) for each in pixels.sum(axis=(0, 1))]
    spreads = [count * int(square) - total * total for total, square in zip(sums, squares, strict=True)]
    return tuple(total / count for total in sums), tuple(math.sqrt(spread / count**2) for spread in spreads)


def block_sums(array: np.ndarray, side: int) -> np.ndarray:
    """The sums over blocks of `side` x `side`; what is left at the end makes smaller ones."""
    if side == 1:
        return array
    down = np.add.reduceat(array, range(0, array.shape[0], side), axis=0)
    return np.add.reduceat(down, range(0, array.shape[1], side), axis=1)


@dataclass
class Measured:
    """What became of some entries of a list.

    Attributes:
        moments: of those that could be read.
        bytes: int64 `(n,)`, the sizes of the files; -1 where there is none.
        hashes: uint8 `(n, 32)`, SHA-256 of the files that were used.
        thumbs: uint8 `(n, *thumb_size, 3)`.
        problems: place among the entries -> (kind, words).
    """

    moments: Moments
    bytes: np.ndarray
    hashes: np.ndarray
    thumbs: np.ndarray
    problems: dict[int, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def nothing(cls, view: View, entries: int) -> "Measured":
        """Before anything was looked at."""
        return cls(
            Moments.none(view),
            np.full(entries, -1, "int64"),
            np.zeros((entries, 32), "uint8"),
            np.zeros((entries, *view.thumb_size, 3), "uint8"),
        )

    def put(self, places: Sequence[int] | np.ndarray, other: "Measured") -> None:
        """Take in what became of the entries at some places."""
        self.moments.add(other.moments)
        self.bytes[places], self.hashes[places], self.thumbs[places] = other.bytes, other.hashes, other.thumbs
        self.problems.update({int(places[place]): problem for place, problem in other.problems.items()})


def measure(entries: Sequence[Entry], root: str, view: View) -> Measured:
    """Read pictures and add them up; one that cannot be read is a problem, never the end.

    Args:
        entries: few enough that their sums fit into 32 bits; those of a class side by side are faster.
        root: the folder that their paths start from.
    """
    found = Measured.nothing(view, len(entries))
    found.moments.pixels = found.moments.pixels.astype("uint32")  # half as much to send
    factor = block_factor(view.size)
    pixels = {label: np.zeros((*view.size, 3), "uint32") for label in {entry.label for entry in entries}}
    squares = np.zeros((*view.size, 3), "uint32")
    small = np.zeros((len(entries), *view.block_size, 3), "uint8")
    for place, entry in enumerate(entries):
        path = Path(root, entry.path)
        try:
            with open_file(path) as file:
                data = file.read()
            found.bytes[place] = len(data)
            image = fit(read_image(io.BytesIO(data), entry.path), view.size, view.crop)
        except PictureError as error:
            found.problems[place] = error.kind, str(error)
            continue
        except (InputError, OSError) as error:
            words = str(error).replace(str(path), entry.path)
            found.problems[place] = "missing" if isinstance(error, MissingError) else "unreadable", words
            continue
        found.hashes[place] = np.frombuffer(hashlib.sha256(data).digest(), "uint8")
        pixels[entry.label] += image
        wide = image.astype("uint16")
        squares += wide * wide
        small[place] = reduce_picture(image, factor)
        found.thumbs[place] = reduce_picture(small[place], -(-max(view.block_size) // THUMB))

    labels = np.array([entry.label for entry in entries])
    labels[list(found.problems)] = -1
    detail = detail_of(small)
    for label, total in pixels.items():
        mine = detail[labels == label]
        if len(mine):
            found.moments.pixels += total
            found.moments.classes[label] = ClassSums(
                len(mine), block_sums(total, view.shrink), mine.sum(axis=0), (mine * mine).sum(axis=0)
            )
    found.moments.squares += squares.sum(axis=(0, 1), dtype="uint64")
    return found


# Sums in a file


def save_measured(path: Path, head: Mapping[str, Any], measured: Measured) -> None:
    """Write sums, with what there is to know of them; the file appears whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    labels = sorted(measured.moments.classes)
    classes = [measured.moments.classes[label] for label in labels]
    view = measured.moments.view
    facts = {
        "format": FORMAT,
        "version": VERSION,
        "view": {"size": view.size, "crop": view.crop, "shrink": view.shrink},
        "problems": {str(place): problem for place, problem in sorted(measured.problems.items())},
        **head,
    }
    arrays = {
        "head": np.frombuffer(json.dumps(facts, ensure_ascii=True).encode(), "uint8"),
        "pixels": measured.moments.pixels,
        "squares": measured.moments.squares,
        "labels": np.array(labels, "int64"),
        "counts": np.array([each.count for each in classes], "int64"),
        "bytes": measured.bytes,
        "hashes": measured.hashes,
        "thumbs": measured.thumbs,
    }
    for name in ("pixels", "detail", "squares"):
        arrays[f"class_{name}"] = np.array([getattr(each, name) for each in classes])
    with write_aside(path) as aside, aside.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def load_measured(path: Path) -> tuple[dict[str, Any], Measured]:
    """Read what `save_measured` wrote: the head, and the sums.

    Raises:
        InputError: there is no such file, it is something else, damaged, or of a later imgnn.
    """
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            head = json.loads(file["head"].tobytes())
            if head["format"] != FORMAT:
                raise ValueError(f"it says that it is {head['format']!r}")
            if head["version"] > VERSION:
                raise InputError(f"{path} was written by a later imgnn; this one reads version {VERSION}")
            told = head.pop("view")
            view = View((int(told["size"][0]), int(told["size"][1])), told["crop"], int(told["shrink"]))
            moments = Moments(view, file["pixels"], file["squares"])
            rows = zip(
                file["counts"], *(file[f"class_{name}"] for name in ("pixels", "detail", "squares")), strict=True
            )
            for label, (count, *sums) in zip(file["labels"], rows, strict=True):
                moments.classes[int(label)] = ClassSums(int(count), *(each.copy() for each in sums))
            check_shapes(moments)
            problems = {int(place): (str(kind), str(words)) for place, (kind, words) in head.pop("problems").items()}
            return head, Measured(moments, file["bytes"], file["hashes"], file["thumbs"], problems)
    except FileNotFoundError:
        raise missing(path) from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        # NumPy would have us load what is no array "unsafely": that is not what helps.
        words = "it is no archive of arrays" if "pickle" in str(error) else error
        raise InputError(
            f"{path} is no part of a mean, or damaged: {words}", hint="imgnn mean LIST --shard I/N writes one"
        ) from error


def check_shapes(found: Moments) -> None:
    """Refuse sums that are not of their view.

    Raises:
        ValueError: some are not.
    """
    view = found.view
    pairs = [(found.pixels, (*view.size, 3)), (found.squares, (3,))]
    for each in found.classes.values():
        pairs += [(each.pixels, (*view.class_size, 3)), (each.detail, view.block_size), (each.squares, view.block_size)]
    for array, wanted in pairs:
        if array.shape != wanted or array.dtype.kind not in "iu":
            raise ValueError(f"sums of {wanted} are expected, not {array.dtype} {array.shape}")
