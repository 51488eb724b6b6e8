"""Caption data sets as files, in the forms that are met.

    karpathy     dataset.json: pictures with their split and sentences
    coco         captions_train2017.json and captions_val2017.json: pictures and annotations, joined by number
    flickr       Flickr8k.token.txt, results_20130124.token: a line `name.jpg#n<TAB>caption` each
    neuraltalk2  a JSON list of {"file_path", "captions"}
    jsonl        a line {"image", "captions" or "caption", "split"} each
    csv          columns image, caption and perhaps split, with a header; commas, tabs, semicolons or bars between them
    folder       x.jpg with x.txt beside it, a caption on each line

Here a data set is found, read, completed with splits and pictures, and written; and so are the result files that COCO's
scorers read. `caption_readers` has the reader of each form.
"""

import csv
import gc
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from imgnn.data.caption_readers import COCO_FILE, STRAY, Found, identity, load_json, objects, read_file
from imgnn.data.captions import Captioned, CaptionSet, Each, find_root, hold_out, picture_file, picture_folders
from imgnn.data.lists import lines_of
from imgnn.errors import InputError
from imgnn.runs import Reporter, Silent, is_file, is_folder, write_aside

FORMS = ("karpathy", "coco", "flickr", "neuraltalk2", "jsonl", "csv", "folder")

# What a data set's file is called, in a folder that is given in its place; the first that is there counts.
USUAL = (
    ("karpathy", "dataset.json"),
    ("karpathy", "dataset_*.json"),
    ("jsonl", "captions.jsonl"),
    ("jsonl", "metadata.jsonl"),
    ("coco", "annotations/captions_*.json"),
    ("coco", "captions_*.json"),
    ("flickr", "Flickr8k.token.txt"),
    ("flickr", "Flickr8k_text/Flickr8k.token.txt"),
    ("flickr", "results*.token"),
    ("flickr", "*.token.txt"),
    ("csv", "results.csv"),
    ("csv", "captions.csv"),
    ("csv", "captions.tsv"),
    ("csv", "captions.txt"),  # Kaggle's copy of Flickr8k
)
# Files that list the pictures of a split, beside the captions: Flickr_8k.trainImages.txt.
SPLIT_FILES = {"train": "trainImages.txt", "val": "devImages.txt", "test": "testImages.txt"}


def read_captions(
    source: str | Path,
    *,
    form: str | None = None,
    images: Path | None = None,
    need_images: bool = True,
    skip_missing: bool = False,
    val_share: float = 0.1,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> CaptionSet:
    """Read a caption data set.

    Splits are, in this order: those the data set tells; those of lists of pictures beside it (`*trainImages.txt`,
    `*devImages.txt`, `*testImages.txt`; pictures in none are left out); else all is train. Where there is no val, a
    share of train is drawn by `seed`.

    Args:
        source: a file, or a folder with a file of a usual name (`USUAL`), or with texts beside pictures.
        form: one of `FORMS`; None: told by what is in the file.
        images: the folder that the pictures' names start from, or in which they lie; None: looked for near the file.
        need_images: whether pictures that are not there are an error.
        skip_missing: leave them out instead, as long as there are others.
        val_share: 0 to less than 1, of train; 0: none is drawn.
        reporter: told what is left out or drawn.

    Raises:
        InputError: no such file, none of these forms, broken (with its line), empty, or without its pictures.
    """
    source, reporter = Path(source), reporter or Silent()
    if form is not None and form not in FORMS:
        raise InputError(f"no form of caption files is called {form!r}; there are {', '.join(FORMS)}")
    files, form = find_files(source, form)
    found = Found()
    with no_collection():
        forms = [read_file(file, form, found) for file in files]
    pictures = settle(found, source, files, reporter)
    bases = bases_of(source, files)
    root, flat = place_of([picture.name for picture in pictures], source, bases, images, need_images)
    if need_images:
        there = [is_file(picture_file(root, picture.name, flat)) for picture in pictures]
        pictures = those_there(pictures, there, source, root, skip_missing, reporter)
    pictures = share_out(pictures, val_share, seed, reporter)
    return CaptionSet(source, root, tuple(pictures), forms[0], flat, found.empty)


def bases_of(source: Path, files: Sequence[Path]) -> list[Path]:
    """Near which folders the pictures of a data set are looked for: its own, its first file's, and the one above."""
    bases = [source] if is_folder(source) else []
    if files[0] != source or not bases:
        bases += [files[0].parent, files[0].resolve().parent.parent]
    return bases


def place_of(
    names: Sequence[str], source: Path, bases: Sequence[Path], images: Path | None, need_images: bool
) -> tuple[Path, bool]:
    """The folder that names start from, and whether the pictures lie in it without the folders of their names.

    Raises:
        InputError: no picture is anywhere near, and they are needed.
    """
    folders = [images] if images else picture_folders(bases)
    place = find_root(names, folders)
    if place is None and need_images:
        tried = ", ".join(str(folder) for folder in folders)
        raise InputError(
            f"the pictures of {source} were not found: {names[0]} is not in {tried}", hint="--images FOLDER"
        )
    return place or (images or bases[0], False)


@contextmanager
def no_collection() -> Iterator[None]:
    """Without Python's search for cycles in memory: it would go through millions of new objects, again and again, and
    take more than half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def find_files(source: Path, form: str | None) -> tuple[list[Path], str | None]:
    """The files of a data set, and the form if that is clear.

    Raises:
        InputError: there is none, or several of which the user has to name one.
    """
    if not is_folder(source):
        if form == "folder":
            raise InputError(f"{source} is no folder: the form 'folder' is a folder of pictures and texts")
        return [source, *coco_validation(source)], form
    for kind, pattern in USUAL:
        files = sorted(source.glob(pattern)) if form in (None, kind) else []
        files = [file for file in files if is_file(file)]
        if kind == "coco":
            files = [file for file in files if COCO_FILE.fullmatch(file.stem)]
            data_sets = len({coco_year(file) for file in files})  # train and val of a year are one
        else:
            data_sets = len(files)
        if data_sets > 1:
            names = ", ".join(str(file.relative_to(source)) for file in files[:3])
            raise InputError(f"several caption files in {source}: {names}", hint="name the file, not the folder")
        if files:
            return files, kind if kind == "coco" else form
    if form not in (None, "folder"):
        raise InputError(f"no {form} file of a usual name in the folder {source}", hint="name the file, not the folder")
    return [source], "folder"


def coco_year(file: Path) -> str:
    """2017 of captions_train2017.json."""
    found = COCO_FILE.fullmatch(file.stem)
    return found.group(1).removeprefix(found.group(2)) if found else ""


def coco_validation(file: Path) -> list[Path]:
    """captions_val2017.json beside captions_train2017.json."""
    if not (found := COCO_FILE.fullmatch(file.stem)) or found.group(2) != "train":
        return []
    beside = file.with_name(f"captions_val{coco_year(file)}{file.suffix}")
    return [beside] if is_file(beside) else []


def settle(found: Found, source: Path, files: Sequence[Path], reporter: Reporter) -> list[Captioned]:
    """Every picture that has captions, with the split that is told of it, or "".

    Raises:
        InputError: there is no caption, or only some of the pictures have a split.
    """
    drafts = {name: draft for name, draft in found.drafts.items() if draft.captions}
    if not drafts:
        raise InputError(
            f"no caption in {source}: it has {len(found.drafts):,} pictures, {found.empty:,} empty captions"
        )
    if found.empty:
        reporter.note(f"{found.empty:,} captions are empty, and are left out")
    if bare := len(found.drafts) - len(drafts):
        reporter.note(f"{bare:,} pictures have no caption, and are left out")
    told = any(draft.split for draft in drafts.values())
    listed = {} if told or not is_file(files[0]) else read_split_files(split_files_beside(files[0]))
    splits = {name: listed.get(name) or listed.get(name.rpartition(".")[0]) for name in drafts}
    if any(splits.values()):
        if outside := [name for name, part in splits.items() if part is None]:
            reporter.note(f"{len(outside):,} of {len(drafts):,} pictures are in no split, and are left out")
        drafts = {name: draft for name, draft in drafts.items() if splits[name]}
    else:
        splits = {name: draft.split for name, draft in drafts.items()}
        if told and (without := [name for name, part in splits.items() if part is None]):
            raise InputError(f"{len(without):,} pictures of {source} have no split, the others do: {without[0]}")
    return [
        Captioned(name, tuple(draft.captions), splits[name] or "", draft.image_id, draft.number)
        for name, draft in drafts.items()
    ]


def those_there(
    pictures: list[Each], there: Sequence[bool], source: object, root: Path, skip_missing: bool, reporter: Reporter
) -> list[Each]:
    """The pictures whose files are there.

    Args:
        there: of each picture, whether its file is.

    Raises:
        InputError: some are not, and are not to be skipped.
    """
    if all(there):
        return pictures
    count = f"{len(there) - sum(there):,} of {len(pictures):,} pictures"
    if not skip_missing:
        raise InputError(
            f"{count} of {source} are not in {root}: the first is {pictures[there.index(False)].name}",
            hint="--skip-missing leaves them out",
        )
    reporter.note(f"{count} are not in {root}, and are left out")
    return [picture for picture, found in zip(pictures, there, strict=True) if found]


def share_out(pictures: list[Each], val_share: float, seed: int, reporter: Reporter) -> list[Each]:
    """The same pictures, all of train if none has a split, and val drawn from train if there is none.

    Raises:
        InputError: as of `hold_out`.
    """
    if any(picture.split == "val" for picture in pictures):
        return pictures
    before = pictures if pictures[0].split else [replace(picture, split="train") for picture in pictures]
    result = hold_out(before, val_share, seed)
    if drawn := sum(picture.split == "val" for picture in result):
        reporter.note(f"{drawn:,} of {len(pictures):,} pictures are kept for validation")
    return result


def split_files_beside(file: Path) -> dict[str, Path]:
    """The lists of pictures beside a file of captions: those that are called as it is, or else the only ones there.

    Raises:
        InputError: there are several, and none is called so.
    """
    own = {part: file.with_name(f"{base_of(file)}.{ending}") for part, ending in SPLIT_FILES.items()}
    if found := {part: each for part, each in own.items() if is_file(each)}:
        return found
    for part, ending in SPLIT_FILES.items():
        lists = [each for each in sorted(file.parent.glob(f"*{ending}")) if is_file(each)]
        if len(lists) > 1:
            raise InputError(
                f"{lists[0]} and {lists[1].name}: which one goes with {file.name}?",
                hint=f"the one that is called {own[part].name} does",
            )
        if lists:
            found[part] = lists[0]
    return found


def base_of(file: Path) -> str:
    """Flickr8k of Flickr8k.token.txt."""
    return file.stem.removesuffix(".token")


def read_split_files(files: Mapping[str, Path]) -> dict[str, str]:
    """The split of each picture that is listed.

    Raises:
        InputError: a picture is in two of them.
    """
    parts: dict[str, str] = {}
    for part, file in files.items():
        for number, line in lines_of(file):
            name = line.strip(" \t").replace("\\", "/")
            if parts.setdefault(name, part) != part:
                raise InputError(f"{file}, line {number}: {name} is in {parts[name]} too")
    return parts


# Writing


def write_captions(captions: CaptionSet, path: Path, form: str | None = None) -> None:
    """Write a data set; it is read as the same pictures, captions and splits again.

    Args:
        path: of "flickr" the file of the captions; the splits become lists beside it (x.trainImages.txt, ...).
        form: one of `FORMS` but "folder"; None: by the suffix, where .json is "karpathy" and .txt "flickr". "csv" has
            tabs if the suffix is .tsv.

    Raises:
        InputError: no such form; a name that it cannot hold; the file cannot be written.
    """
    form = form or SUFFIXES.get(path.suffix.lower())
    if form not in WRITERS:
        found = f"the form {form!r}" if form else f"the suffix {path.suffix!r}"
        raise InputError(f"{path}: captions are written as {', '.join(WRITERS)} ({', '.join(SUFFIXES)}); found {found}")
    for image in captions.images if form in ("csv", "flickr") else ():
        if set(image.name) & set("\t\r\n"):
            raise InputError(f"{path}: a name with a line break or tab has no place in {form}: {image.name!r}")
    try:
        WRITERS[form](captions, path)
    except UnicodeEncodeError as error:
        raise InputError(f"{path}: a name or caption is no Unicode: {error.object!r:.80}") from error


def write_json(path: Path, data: Any) -> None:
    """Write a JSON file."""
    with write_aside(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n")  # 10 times as fast as dump


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a text."""
    with write_aside(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)


def write_karpathy(captions: CaptionSet, path: Path) -> None:
    """dataset.json."""
    images, sentid = [], 0
    for imgid, image in enumerate(captions.images):
        sentids = range(sentid, sentid + len(image.captions))
        sentid += len(image.captions)
        folder, slash, name = image.name.rpartition("/")
        images.append(
            {
                **({"filepath": folder} if slash else {}),
                "filename": name,
                "imgid": imgid if image.number is None else image.number,
                "split": image.split,
                "sentids": [*sentids],
                **({} if image.image_id is None else {"cocoid": image.image_id}),
                "sentences": [
                    # Karpathy's tokens: words in lower case, without punctuation, cut at hyphens.
                    {"tokens": re.findall(r"\w+", raw.lower()), "raw": raw, "imgid": imgid, "sentid": each}
                    for raw, each in zip(image.captions, sentids, strict=True)
                ],
            }
        )
    write_json(path, {"dataset": captions.source.stem, "images": images})


def write_coco(captions: CaptionSet, path: Path) -> None:
    """One file; each picture tells its split, which COCO's own do not."""
    keys = result_keys(captions)
    images = [
        {"id": key, "file_name": image.name, "split": image.split}
        for key, image in zip(keys, captions.images, strict=True)
    ]
    pairs = [(key, text) for key, image in zip(keys, captions.images, strict=True) for text in image.captions]
    annotations = [{"id": number, "image_id": key, "caption": text} for number, (key, text) in enumerate(pairs, 1)]
    write_json(path, {"images": images, "annotations": annotations})


def result_keys(captions: CaptionSet) -> list[int | str]:
    """What annotations and results call the pictures: their keys, or 1, 2, 3... if some are the same."""
    keys = [image.key for image in captions.images]
    return keys if len(set(keys)) == len(keys) else [*range(1, len(keys) + 1)]


def write_records(captions: CaptionSet, path: Path) -> None:
    """neuraltalk2's list."""
    write_json(path, [{"file_path": image.name, **facts_of(image)} for image in captions.images])


def write_jsonl(captions: CaptionSet, path: Path) -> None:
    """An object a line."""
    records = ({"image": image.name, **facts_of(image)} for image in captions.images)
    write_lines(path, (json.dumps(record, ensure_ascii=False) for record in records))


def facts_of(image: Captioned) -> dict[str, Any]:
    """A picture as JSON, but for its name."""
    facts = {"captions": image.captions, "split": image.split, "id": image.image_id}
    return {key: value for key, value in facts.items() if value is not None}


def write_table(captions: CaptionSet, path: Path) -> None:
    """A caption a line."""
    with write_aside(path) as aside, aside.open("w", encoding="utf-8", newline="") as file:
        delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow(("image", "caption", "split"))
        writer.writerows((image.name, text, image.split) for image in captions.images for text in image.captions)


def write_tokens(captions: CaptionSet, path: Path) -> None:
    """Flickr8k's captions, and the lists of its splits."""
    for image in captions.images:
        if STRAY.search(image.name) or image.name.startswith("\ufeff"):
            raise InputError(f"{path}: this name has no place in flickr: {image.name!r}")
    texts = ((image.name, number, text) for image in captions.images for number, text in enumerate(image.captions))
    write_lines(path, (f"{name}#{number}\t{text}" for name, number, text in texts))
    for part, ending in SPLIT_FILES.items():
        names = [image.name for image in captions.images if image.split == part]
        listed = path.with_name(f"{base_of(path)}.{ending}")
        if names or is_file(listed):  # an older one would be read with the new captions
            write_lines(listed, names)


WRITERS: dict[str, Callable[[CaptionSet, Path], None]] = {
    "karpathy": write_karpathy,
    "coco": write_coco,
    "flickr": write_tokens,
    "neuraltalk2": write_records,
    "jsonl": write_jsonl,
    "csv": write_table,
}
SUFFIXES = {".json": "karpathy", ".jsonl": "jsonl", ".csv": "csv", ".tsv": "csv", ".txt": "flickr"}


# Results


def write_results(path: Path, results: Iterable[tuple[int | str, str]]) -> None:
    """Write a sentence for each picture, as COCO's scorers read it: [{"image_id", "caption"}].

    Raises:
        InputError: a picture has two, or the file cannot be written.
    """
    found = [{"image_id": image_id, "caption": caption} for image_id, caption in results]
    joined(found, path)
    write_json(path, found)


def read_results(path: Path) -> dict[int | str, str]:
    """A result file: the id of each picture with its sentence.

    Raises:
        InputError: it is no result file, or has a picture twice.
    """
    return joined(objects(load_json(path), "a result file", path), path)


def joined(records: Sequence[Mapping[str, Any]], path: Path) -> dict[int | str, str]:
    """id -> sentence.

    Raises:
        InputError: an item lacks one of them, or an id is there twice.
    """
    result: dict[int | str, str] = {}
    for index, record in enumerate(records):
        image_id, caption = identity(record.get("image_id")), record.get("caption")
        if image_id is None or not isinstance(caption, str):
            raise InputError(f"{path}, item {index}: {{'image_id', 'caption'}} is expected; found {dict(record)!r:.80}")
        if image_id in result:
            raise InputError(f"{path}, item {index}: the picture {image_id!r} has two sentences")
        result[image_id] = caption
    return result
