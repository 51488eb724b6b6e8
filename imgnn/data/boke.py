"""Pictures with boke, funny lines: what a boke data set is, and where it is found. Its forms are

    butsugiri  a line {"boke", "star", "images": [{"path", "url"}], "image_url"} each, perhaps with `parsed`, its
               tokens; train.json, dev.json and test.json in a folder. boke.jsonl of `imgnn fetch` is one, too
    can        ボケ缶: boke.csv and images/, or a folder with several of them
    hairhair   a line {"images", "bokes": [{"text", "star", "number"}]} each
    yryo1005   boke_data/NUMBER.json and boke_image/NUMBER.jpg
    boketedb   BoketeDBv3: boke_N.parquet and odai_N.parquet
    teratsyk   a table with `txt`, lines with commas between, and `images`
    nishika    train.csv with odai_photo_file_name, text and is_laugh; or lines `picture<TAB>0 or 1<TAB>text`
    page       pages of bokete.jp that were saved
    jsonl      a line {"image", "text", "star", "split"} each; also in a JSON list
    csv        columns image, text, and perhaps star and split

and all of `caption_files`: a caption is a boke without stars. `boke_readers` has the reader of each form.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path, PurePosixPath

from imgnn.data.boke_readers import FORMS, FoundBoke, read_file
from imgnn.data.caption_files import bases_of, no_collection, place_of, share_out, those_there
from imgnn.data.caption_files import find_files as find_captions
from imgnn.data.captions import part_of, picture_file
from imgnn.data.items import Boke
from imgnn.data.lists import contents_digest
from imgnn.errors import InputError
from imgnn.runs import Reporter, Silent, is_file, is_folder

__all__ = ["FORMS", "REASONS", "Boke", "BokeSet", "Odai", "read_boke"]

# Why boke are left out, in words.
REASONS = {
    "empty": "without a text",
    "repeated": "that their picture has already",
    "rated_down": "with less than 0 stars",
    "marked": "that the data set marks as not to be shown",
    "no_picture": "without a picture",
    "unpaired": "of pages with another number of pictures",
    "missing": "whose picture is not there",
}

# What a data set's files are called, in a folder that is given in their place; the first that are there count. Then
# those of splits, then captions and saved pages.
USUAL = (
    ("can", "boke.csv"),
    ("can", "*/boke.csv"),
    ("butsugiri", "boke.jsonl"),
    ("yryo1005", "boke_data/[0-9]*.json"),
    ("yryo1005", "[0-9]*.json"),
    ("boketedb", "boke_*.parquet"),
    ("boketedb", "*/boke_*.parquet"),
)
TRAIN = "train"  # the file of a split, with dev.json beside train.json
OTHERS = ("dev", "val", "valid", "validation", "test")
PARSED = ".parsed"  # of a file with tokens, which holds what the one without them does
SUFFIXES = (".json.parsed", ".parsed", ".json", ".jsonl", ".jl", ".csv", ".tsv")  # that such files have


@dataclass(frozen=True)
class Odai:
    """A picture and the boke that were made on it.

    Attributes:
        name: as the data set has it, with "/" between its parts: "full/0a1b.jpg"; or the whole path of a picture that
            lies elsewhere.
        boke: in the order of the data, each text once.
        split: "train", "val" or "test".
        tokens: of each boke, those that came with it; None where none did.
    """

    name: str
    boke: tuple[Boke, ...]
    split: str
    tokens: tuple[tuple[str, ...] | None, ...]


@dataclass(frozen=True)
class BokeSet:
    """Pictures with boke.

    Attributes:
        source: the file or folder they were read from; of several the first.
        root: the folder that names start from.
        odai: in the order of the data, each name once.
        form: one of `FORMS`; of several the first.
        flat: whether the pictures lie in `root` itself, without the folders that their names have.
        left_out: reason, a key of `REASONS` -> how many boke were left out for it.
    """

    source: Path
    root: Path
    odai: tuple[Odai, ...]
    form: str
    flat: bool
    left_out: dict[str, int]

    def __len__(self) -> int:
        return len(self.odai)

    def file(self, odai: Odai) -> Path:
        """Where a picture is."""
        return file_of(self.root, odai.name, self.flat)

    def part(self, split: str) -> "BokeSet":
        """The pictures of one split."""
        return replace(self, odai=tuple(odai for odai in self.odai if odai.split == split))

    @cached_property
    def digest(self) -> str:
        """SHA-256 by which the same names, boke, stars, tokens and splits are known again, in whatever order of the
        pictures and form."""
        return contents_digest(
            (odai.name, "\0".join((odai.split, *map(line_of, odai.boke, odai.tokens)))) for odai in self.odai
        )


def line_of(boke: Boke, tokens: Sequence[str] | None) -> str:
    """A boke as its set's digest has it."""
    return "\n".join((boke.text, "" if boke.star is None else str(boke.star), *(tokens or ())))


def file_of(root: Path, name: str, flat: bool) -> Path:
    """Where the picture of a name is; one that is a whole path is there."""
    return picture_file(root, name, flat and not PurePosixPath(name).is_absolute())


@dataclass(frozen=True)
class Part:
    """What was found in one source, and where its pictures are."""

    found: FoundBoke
    form: str
    root: Path
    flat: bool


def read_boke(
    sources: Sequence[Path],
    *,
    form: str | None = None,
    images: Path | None = None,
    need_images: bool = True,
    skip_missing: bool = False,
    val_share: float = 0.1,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> BokeSet:
    """Read boke data sets as one.

    The same text under the same picture counts once, with the most stars that it has anywhere. What has less than 0
    was rated down, and is left out.

    Splits are those that the data tell, in a column or by their files (train.json, dev.json). A picture that is in two
    stays in the first; one that tells none is of train. Where there is no val, a share of train is drawn by `seed`.

    Args:
        sources: files, or folders with files of usual names (`USUAL`, train.json).
        form: one of `FORMS`; None: told by what is in each file.
        images: the folder that the pictures' names start from, or in which they lie; None: looked for near the file.
        need_images: whether pictures that are not there are an error.
        skip_missing: leave them out instead, as long as there are others.
        val_share: 0 to less than 1, of train; 0: none is drawn.
        reporter: told what is left out or drawn.

    Raises:
        InputError: no such file, none of these forms, broken (with its line), empty, or without its pictures.
    """
    reporter = reporter or Silent()
    if form is not None and form not in FORMS:
        raise InputError(f"no form of boke files is called {form!r}; there are {', '.join(FORMS)}")
    if not sources:
        raise InputError("no boke data set is named")
    seen: set[Path] = set()
    with no_collection():
        parts = [read_part(Path(source), form, images, need_images, seen) for source in sources]
        found = joined(parts)
        odai = settled(found)
    root, flat, left_out = parts[0].root, parts[0].flat, found.left_out
    label = ", ".join(map(str, sources))
    if not odai:
        raise InputError(f"no boke in {label}: {reasons_of(left_out) or 'there is nothing in it'}")
    if need_images:
        there = [is_file(file_of(root, each.name, flat)) for each in odai]
        left_out["missing"] = sum(len(each.boke) for each, here in zip(odai, there, strict=True) if not here)
        odai = those_there(odai, there, label, root, skip_missing, reporter)
    if told := reasons_of(left_out):
        reporter.note(f"{left_out.total():,} boke are left out: {told}")
    if two := found.two_splits:
        reporter.note(f"pictures in two splits, which stay in the first: {len(two):,}, as {min(two)}")
    odai = share_out(odai, val_share, seed, reporter)
    return BokeSet(Path(sources[0]), root, tuple(odai), parts[0].form, flat, dict(+left_out))


def reasons_of(left_out: Mapping[str, int]) -> str:
    """How many boke were left out for which reason, in words."""
    return ", ".join(f"{left_out[reason]:,} {words}" for reason, words in REASONS.items() if left_out.get(reason))


def read_part(source: Path, form: str | None, images: Path | None, need_images: bool, seen: set[Path]) -> Part:
    """Read one source, and find its pictures.

    Args:
        seen: files that were read; they are passed over, and others are added.

    Raises:
        InputError: as of `read_boke`.
    """
    files = find_files(source, form)
    found = FoundBoke(source if is_folder(source) else source.parent)
    for file in files:
        if (real := file.resolve()) in seen:
            continue
        seen.add(real)
        found.part = part_of(word_of(file), str(file)) if len(files) > 1 and word_of(files[0]) == TRAIN else None
        form = read_file(file, form, found)  # the others are of the same
    names = [name for name in found.drafts if not PurePosixPath(name).is_absolute()]
    bases = [*found.folders, *bases_of(source, files)]
    root, flat = place_of(names, source, bases, images, need_images and bool(names))
    return Part(found, form or "", root, flat)


def find_files(source: Path, form: str | None) -> list[Path]:
    """The files of a data set. A folder without any of boke is one of captions.

    Raises:
        InputError: train.json is there in several forms.
    """
    if not is_folder(source):
        return [source, *splits_beside(source)]
    for kind, pattern in USUAL:
        files = sorted(source.glob(pattern)) if form in (None, kind) else []
        if files := [file for file in files if is_file(file)]:
            return files
    files = [file for suffix in SUFFIXES if is_file(file := source / f"{TRAIN}{suffix}")]
    if len(files) > 1 and files[0].suffix != PARSED:
        raise InputError(
            f"{files[0]} and {files[1].name}: which one is the data set?", hint="name the file, not the folder"
        )
    if files:
        return [files[0], *splits_beside(files[0])]
    pages = sorted(file for file in source.iterdir() if file.suffix.lower() in (".html", ".htm"))
    if pages and (form == "page" or (form is None and find_captions(source, None)[0] == [source])):
        return pages
    return [source]


def splits_beside(file: Path) -> list[Path]:
    """dev.json and test.json beside train.json."""
    if word_of(file) != TRAIN:
        return []
    ending = file.name.removeprefix(TRAIN)
    return [other for word in OTHERS if is_file(other := file.with_name(word + ending))]


def word_of(file: Path) -> str:
    """train of train.json.parsed."""
    return file.name.partition(".")[0]


def joined(parts: Sequence[Part]) -> FoundBoke:
    """What was found in all sources, each picture once.

    Pictures are called as the first source calls them; those that are not in its folder, by their whole path.
    """
    first = parts[0]
    if len(parts) == 1:
        return first.found
    result = FoundBoke(first.found.base)
    root = os.path.realpath(first.root)
    real = cache(os.path.realpath)
    known: dict[str, str] = {}  # where a picture is -> what it is called
    for part in parts:
        alike = os.path.realpath(part.root) == root and part.flat == first.flat
        names = {}
        for name in part.found.drafts:
            folder, base = os.path.split(file_of(part.root, name, part.flat))
            path = Path(real(folder), base)
            if alike or PurePosixPath(name).is_absolute():
                own = name
            elif path.is_relative_to(root) and not first.flat:
                own = path.relative_to(root).as_posix()
            else:
                own = path.as_posix()
            names[name] = known.setdefault(str(path), own)
        result.join(part.found, names)
    return result


def settled(found: FoundBoke) -> list[Odai]:
    """The pictures that have boke, without those that were rated down; one that tells no split is of train."""
    result = []
    for name, draft in found.drafts.items():
        kept = [boke for boke in draft.boke.values() if boke.star is None or boke.star >= 0]
        found.left_out["rated_down"] += len(draft.boke) - len(kept)
        if kept:
            tokens = tuple(draft.tokens.get(boke.text) for boke in kept)
            result.append(Odai(name, tuple(kept), draft.split or TRAIN, tokens))
    return result
