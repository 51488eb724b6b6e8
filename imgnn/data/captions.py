"""Pictures with sentences: what a caption data set is, whatever file it came from."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Protocol, TypeVar

from imgnn.data.gather import SPLITS
from imgnn.data.lists import contents_digest
from imgnn.data.split import PARTS, split
from imgnn.errors import InputError
from imgnn.runs import is_file

# Where the pictures of the data sets that are passed around lie, from the folder of their file or the one above.
FOLDERS = (
    "",
    "images",
    "Images",
    "Flicker8k_Dataset",  # Flickr8k's own spelling
    "Flickr8k_Dataset",
    "flickr30k-images",
    "flickr30k_images",
    "boke_image",  # yryo1005's
)
SAMPLE = 20  # pictures that a folder is judged by
COCO_NUMBER = re.compile(r"(?:^|_)([0-9]{12})$")  # COCO_val2014_000000391895, and 000000391895 of 2017


class Shared(Protocol):
    """A dataclass of a picture that belongs to a split."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def name(self) -> str: ...

    @property
    def split(self) -> str: ...


Each = TypeVar("Each", bound=Shared)


@dataclass(frozen=True)
class Captioned:
    """One picture and its sentences.

    Attributes:
        name: as the data set has it, with "/" between its parts: "val2014/COCO_val2014_000000391895.jpg".
        captions: as they were written; of a data set that has tokens alone, these joined by spaces.
        split: "train", "val" or "test".
        image_id: COCO's id, for result files; None if the data set has none.
        number: Karpathy's `imgid`, the column of `vgg_feats.mat`; None if the data set has none.
    """

    name: str
    captions: tuple[str, ...]
    split: str
    image_id: int | str | None = None
    number: int | None = None

    @property
    def key(self) -> int | str:
        """What a result file calls the picture: its id, or else what `result_key` makes of its name."""
        return result_key(self.name) if self.image_id is None else self.image_id


@dataclass(frozen=True)
class CaptionSet:
    """Pictures with sentences.

    Attributes:
        source: the file or folder they were read from.
        root: the folder that names start from.
        images: in the file's order, each name once.
        form: one of `caption_files.FORMS`.
        flat: whether the pictures lie in `root` itself, without the folders that their names have.
        empty: captions without a word that were left out while reading.
    """

    source: Path
    root: Path
    images: tuple[Captioned, ...]
    form: str
    flat: bool = False
    empty: int = 0

    def __len__(self) -> int:
        return len(self.images)

    def file(self, image: Captioned) -> Path:
        """Where a picture is."""
        return picture_file(self.root, image.name, self.flat)

    def part(self, split: str) -> "CaptionSet":
        """The pictures of one split."""
        return replace(self, images=tuple(image for image in self.images if image.split == split))

    @cached_property
    def digest(self) -> str:
        """SHA-256 by which the same names, captions and splits are known again, in whatever order and form."""
        return contents_digest((image.name, "\0".join((image.split, *image.captions))) for image in self.images)


def result_key(name: str) -> int | str:
    """What a result file calls a picture of which only the name is known: COCO's number, if the name ends with one, or
    else the name without folders and suffix."""
    stem = PurePosixPath(name).stem
    found = COCO_NUMBER.search(stem)
    return int(found[1]) if found else stem


def picture_file(root: Path, name: str, flat: bool) -> Path:
    """Where the picture of a name is."""
    return root / (PurePosixPath(name).name if flat else name)


def part_of(word: str, where: str) -> str:
    """The split that a data set's word for it means: "restval" (COCO's validation pictures that Karpathy trains on) is
    train, "dev" is val.

    Raises:
        InputError: it is none; `where` begins the message.
    """
    folded = word.strip().lower()
    part = SPLITS.get(folded, "train" if folded == "restval" else folded)
    if part not in PARTS:
        raise InputError(f"{where}: a split is train, val or test (restval, dev); found {word!r}")
    return part


def hold_out(images: Sequence[Each], val_share: float, seed: int) -> list[Each]:
    """The same pictures, some of those that are trained on moved to val.

    Pictures are drawn, not sentences: all of one picture stay on one side. The same seed draws the same ones.

    Args:
        images: those of other splits than train stay as they are.
        val_share: 0 to less than 1, of the pictures of train; 0: none is moved.

    Raises:
        InputError: the share leaves nothing to train on, or there is one picture.
    """
    if not 0 <= val_share < 1:
        raise InputError(f"the share of val is from 0 to less than 1, not {val_share}")
    pool = [index for index, image in enumerate(images) if image.split == "train"]
    result = list(images)
    if not val_share or not pool:
        return result
    if len(pool) == 1:
        raise InputError("1 picture cannot be split into train and val")
    names = [images[index].name for index in pool]
    drawn = split(names, [0] * len(pool), range(len(pool)), (1 - val_share, val_share), seed=seed)
    for index, part in zip(pool, drawn, strict=True):
        if part:
            result[index] = replace(images[index], split="val")
    return result


def find_root(names: Sequence[str], folders: Sequence[Path]) -> tuple[Path, bool] | None:
    """The folder that names start from: the one in which most of a sample are.

    Args:
        folders: where to look; of equals the first counts.

    Returns:
        The folder, and whether the pictures lie in it without the folders of their names; None if no folder has any.
    """
    sample = names[:: max(1, len(names) // SAMPLE)]
    best, most = None, 0
    for flat in (False, True):
        for folder in folders:
            count = sum(is_file(picture_file(folder, name, flat)) for name in sample)
            if count > most:
                best, most = (folder, flat), count
    return best


def picture_folders(bases: Sequence[Path]) -> list[Path]:
    """The folders in which pictures may be, of those that exist."""
    found = (base / folder for base in bases for folder in FOLDERS)
    return list(dict.fromkeys(folder for folder in found if folder.is_dir()))
