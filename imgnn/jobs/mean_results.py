"""What `imgnn mean` writes and says: the mean in three forms, its record, sheets, and lists of what was used."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imgnn import __version__
from imgnn.caffe.mean import write_binaryproto
from imgnn.data import lists, mean_record, moments
from imgnn.data.lists import WORDS_SUFFIX, Entry, family_file, folders_of, write_list, write_record, write_words
from imgnn.data.moments import Measured
from imgnn.errors import InputError
from imgnn.images.files import load_image, save_image
from imgnn.images.mean import caffe_order, save_mean
from imgnn.images.sheet import contact_sheet
from imgnn.images.structure import Structure, draw_structure, find_structure
from imgnn.options import MeanOptions
from imgnn.runs import Reporter, check_folder, is_file, is_folder, write_aside, write_json

FURTHEST = 24  # pictures on the sheet of those that are least like the mean
COLUMNS = 6  # pictures in a row of a sheet
PARTIAL = ".partial.npz"  # the sums so far
LISTS = ("used_in_mean", "dropped_from_mean")  # endings
SUFFIXES = (".png", ".npy", ".binaryproto", ".json", ".npz")  # that nobody means as the end of a prefix


@dataclass(frozen=True)
class Source:
    """The pictures that a mean is to be of.

    Attributes:
        name: of the list file, or "photos/" of a folder.
        sha256: of the list, as it is or as it would be.
        root: the folder that the entries' paths start from.
        entries: all of them, also of a shard.
        words: label -> class.
        stale: why the list does not fit its pictures any more; None if it does.
        labelled: the hash of the pictures as `imgnn label` saw them; None if it did not look into them.
    """

    name: str
    sha256: str
    root: Path
    entries: tuple[Entry, ...]
    words: Mapping[int, str]
    stale: str | None = None
    labelled: str | None = None

    def class_name(self, label: int) -> str:
        return self.words.get(label, str(label))


@dataclass(frozen=True)
class MeanResult:
    """What was made.

    Attributes:
        record: as in PREFIX.json; None of a shard.
        files: in the order in which one looks at them.
    """

    record: dict[str, Any] | None
    files: tuple[Path, ...]


def prefix_of(source: Path, output: str | Path | None, options: MeanOptions) -> Path:
    """What the files' names begin with."""
    if output is not None:
        output = Path(output)
        return output.with_suffix("") if output.suffix.lower() in SUFFIXES else output
    if is_folder(source):
        beside = Path(os.path.abspath(source)) if source.name in ("", "..") else source  # noqa: PTH100  links stay
        name = beside.name
    else:
        beside, name = source, source.stem
    shard = f"_{options.shard[0]}of{options.shard[1]}" if options.shard else ""
    return beside.parent / f"{name}_mean{shard}"


def named(prefix: Path, ending: str) -> Path:
    """A file of this prefix."""
    return prefix.with_name(prefix.name + ending)


def list_stem(prefix: Path) -> str:
    """`flowers_train_mean` -> `flowers_train`: the lists of what was used and dropped are called after the list."""
    return prefix.name.removesuffix("_mean")


def check_prefix(prefix: Path, source: Path | None = None) -> None:
    """See to it that the results can be written, and take the place of nothing else.

    Raises:
        InputError: there is no such folder, or one of the files would be something else's.
    """
    if not prefix.name:
        raise InputError(f"{prefix} is a folder; what the files' names begin with is expected", hint="-o NAME_mean")
    check_folder(named(prefix, "_structure.png"))
    record = named(prefix, ".json")
    if is_file(record):
        try:
            mean_record.read_mean_record(record)
        except InputError:
            raise InputError(
                f"{record} would be replaced, and is no record of a mean", hint=f"-o {prefix}_mean"
            ) from None
    if source is None:
        return
    used = prefix.with_name(f"{list_stem(prefix)}_used_in_mean.txt")
    if is_file(used) and is_file(source) and used.samefile(source):
        raise InputError(f"{source} would be replaced by the list of what was used of it", hint="another name with -o")
    if is_folder(source) and prefix.resolve().is_relative_to(source.resolve()):
        raise InputError(f"{prefix} would lie among the pictures of {source}", hint="another place with -o")


def write_results(pictures: Source, measured: Measured, prefix: Path, reporter: Reporter) -> MeanResult:
    """Compute everything from the sums, then write it; the record, which has the hashes of the rest, comes last."""
    entries, sums = pictures.entries, measured.moments
    used = [place for place in range(len(entries)) if place not in measured.problems]
    contents = lists.contents_digest((entries[place].path, measured.hashes[place].tobytes().hex()) for place in used)
    stale = pictures.stale
    if stale is None and not measured.problems and pictures.labelled not in (None, contents):
        # Of the same names and sizes: only who has read them all can tell.
        stale = f"some pictures of {pictures.name} have other contents than imgnn label saw"
        reporter.note(f"{stale}; the mean is of those that are there now")
    mean = sums.mean()
    structure = find_structure(sums.count, *sums.detail())
    classes = {label: find_structure(each.count, each.detail, each.squares) for label, each in sums.classes.items()}
    far = furthest(measured.thumbs, used)
    settings = {
        "format": mean_record.FORMAT,
        "imgnn": __version__,
        "list": pictures.sha256,
        "contents": contents,
        "size": list(sums.view.size),
        "crop": sums.view.crop,
    }

    files = [named(prefix, ending) for ending in (".png", ".npy", ".binaryproto")]
    save_image(files[0], to_picture(mean), settings=settings)
    save_mean(files[1], mean)
    write_binaryproto(files[2], caffe_order(mean))
    extra = {
        "_classes.png": draw_classes(pictures, sums) if len(sums.classes) > 1 else None,
        "_furthest.png": draw_furthest(pictures, far, reporter),
        "_structure.png": draw_structure(mean) if structure and structure.visible else None,
    }
    for ending, sheet in extra.items():
        path = named(prefix, ending)
        if sheet is None:
            path.unlink(missing_ok=True)  # of an earlier mean
        else:
            save_image(path, sheet, settings=settings)
            files.append(path)

    used_list, dropped_list = (prefix.with_name(f"{list_stem(prefix)}_{what}.txt") for what in LISTS)
    write_list(used_list, (entries[place] for place in used))
    files.append(used_list)
    words_file = used_list.with_name(used_list.stem + WORDS_SUFFIX)
    if pictures.words and family_file(used_list, WORDS_SUFFIX) in (None, words_file):  # else they lie beside already
        write_words(words_file, pictures.words)
        files.append(words_file)
    if measured.problems:
        write_dropped(dropped_list, entries, measured.problems)
        files.append(dropped_list)
    else:
        dropped_list.unlink(missing_ok=True)
    record_path = named(prefix, ".json")
    if is_folder(pictures.root):
        files.append(used_list.with_suffix(".json"))
        facts = {"mean": record_path.name, "contents": {used_list.name: contents}}
        watched = lists.Watched.now(pictures.root, folders_of(entries))
        write_record(files[-1], {used_list.name: lists.file_digest(used_list)}, pictures.root, watched, facts)

    rgb, deviation = sums.channels()
    record = {
        "format": mean_record.FORMAT,
        "version": mean_record.VERSION,
        "imgnn": __version__,
        "list": {
            "name": pictures.name,
            "sha256": pictures.sha256,
            "pictures": len(entries),
            "files": digest_of(pictures, measured, range(len(entries))),
            "stale": stale,
        },
        "root": os.path.relpath(pictures.root, prefix.parent).replace(os.sep, "/"),
        "size": list(sums.view.size),
        "crop": sums.view.crop,
        "used": {
            "name": used_list.name,
            "sha256": lists.file_digest(used_list),
            "pictures": len(used),
            "files": digest_of(pictures, measured, used),
            "contents": contents,
        },
        "dropped": {
            "name": dropped_list.name if measured.problems else None,
            "pictures": len(measured.problems),
            "reasons": reasons(measured),
        },
        "rgb": {"mean": rgb, "deviation": deviation},
        "bgr": {"mean": rgb[::-1], "deviation": deviation[::-1]},
        "structure": as_json(structure),
        "classes": [
            {
                "label": label,
                "name": pictures.class_name(label),
                "pictures": sums.classes[label].count,
                "rgb": class_channels(sums, label),
                "structure": as_json(classes[label]),
            }
            for label in sorted(sums.classes)
        ],
        "furthest": [{"path": entries[place].path, "distance": round(distance, 4)} for place, distance in far],
        "files": {path.name: lists.file_digest(path) for path in files[1:3]},
    }
    write_json(record_path, record)
    files.append(record_path)

    note_dropped(measured, reporter, dropped_list)
    note_structure(pictures, structure, classes, prefix, reporter)
    return MeanResult(record, tuple(files))


def write_dropped(path: Path, entries: Sequence[Entry], problems: Mapping[int, tuple[str, str]]) -> None:
    """A line for each picture that was left out: its path, the reason, the same in words; tabs between them."""
    with write_aside(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
        for place, (kind, words) in sorted(problems.items()):
            file.write(f"{entries[place].path}\t{kind}\t{' '.join(words.split())}\n")


def furthest(thumbs: np.ndarray, used: Sequence[int]) -> list[tuple[int, float]]:
    """The places of the pictures least like the mean, and how far they are: grey levels, RMS over their thumbnails."""
    places = np.array(used)
    mean = sum_of(thumbs, places) / len(places)
    distances = np.concatenate(
        [
            np.sqrt(((thumbs[block] - mean) ** 2).mean(axis=(1, 2, 3)))
            for block in np.array_split(places, -(-len(places) // 4096))
        ]
    )
    order = np.argsort(-distances, kind="stable")[:FURTHEST]
    return [(int(places[each]), float(distances[each])) for each in order]


def sum_of(thumbs: np.ndarray, places: np.ndarray) -> np.ndarray:
    return sum(thumbs[block].sum(axis=0, dtype="int64") for block in np.array_split(places, -(-len(places) // 4096)))


def draw_classes(pictures: Source, sums: moments.Moments) -> np.ndarray:
    """The mean of each class, with its name and how many pictures it has."""
    side = 160 if len(sums.classes) <= 60 else 96
    labels = sorted(sums.classes)
    means = [to_picture(sums.class_mean(label)) for label in labels]
    captions = [f"{pictures.class_name(label)}\n{sums.classes[label].count:,} pictures" for label in labels]
    return sheet(means, captions, side, columns=COLUMNS if len(labels) <= 36 else 12)


def draw_furthest(pictures: Source, far: Sequence[tuple[int, float]], reporter: Reporter) -> np.ndarray | None:
    """The pictures furthest from the mean, with name and distance; None where they cannot be read any more."""
    try:
        images = [load_image(pictures.root / pictures.entries[place].path) for place, _ in far]
    except InputError as error:
        reporter.note(f"no sheet of the furthest pictures: {error}")
        return None
    captions = [f"{pictures.entries[place].path}\n{distance:.1f}" for place, distance in far]
    return sheet(images, captions, 160, columns=COLUMNS)


def sheet(images: Sequence[np.ndarray], captions: Sequence[str], side: int, columns: int) -> np.ndarray:
    """Pictures in rows."""
    starts = range(0, len(images), columns)
    return contact_sheet(
        [images[start : start + columns] for start in starts],
        captions=[captions[start : start + columns] for start in starts],
        cell=(side, side),
    )


def to_picture(mean: np.ndarray) -> np.ndarray:
    """A mean as uint8, rounded."""
    return np.rint(mean).astype("uint8")


def class_channels(sums: moments.Moments, label: int) -> list[float]:
    """R, G and B of a class, on the mean."""
    each = sums.classes[label]
    count = each.count * sums.view.size[0] * sums.view.size[1]
    return [int(total) / count for total in each.pixels.sum(axis=(0, 1))]


def digest_of(pictures: Source, measured: Measured, places: Sequence[int] | range) -> str:
    """As `mean_record.files_digest`, of the files as they were when they were read."""
    return lists.contents_digest((pictures.entries[place].path, str(measured.bytes[place])) for place in places)


def reasons(measured: Measured) -> dict[str, int]:
    """How many pictures were dropped for which reason, the most frequent first."""
    return dict(Counter(kind for kind, _ in measured.problems.values()).most_common())


def as_json(structure: Structure | None) -> dict[str, Any] | None:
    if structure is None:
        return None
    return {
        "strength": round(structure.strength, 4),
        "chance": round(structure.chance, 4),
        "visible": structure.visible,
        "where": structure.where or None,
    }


def note_dropped(measured: Measured, reporter: Reporter, path: Path | None = None) -> None:
    """How many pictures were left out, and why."""
    if measured.problems:
        told = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in reasons(measured).items())
        reporter.note(f"dropped {told}" + (f": see {path}" if path else ""))


def note_structure(
    pictures: Source,
    structure: Structure | None,
    classes: Mapping[int, Structure | None],
    prefix: Path,
    reporter: Reporter,
) -> None:
    """A feature that pictures have in common is pointed out: a network would learn it."""
    overall = structure.strength if structure and structure.visible else 0.0
    if structure and structure.visible:
        reporter.note(
            f"many pictures have something in common, {structure.where} (a watermark, a frame, a date?): "
            f"see {named(prefix, '_structure.png')}"
        )
    # A class has a feature of its own where it is far stronger than in all pictures together.
    own = [
        f"{pictures.class_name(label)} ({each.where})"
        for label, each in sorted(classes.items())
        if len(classes) > 1 and each and each.visible and each.strength > 2 * overall
    ]
    if own:
        more = f" and {len(own) - 3:,} more classes" if len(own) > 3 else ""
        reporter.note(
            f"the pictures of {', '.join(own[:3])}{more} have something in common that the others have not: "
            "a network would learn it in place of the class"
        )
