"""`imgnn mean`: the mean picture of a data set, and what there is to see in it."""

import functools
import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from imgnn import __version__
from imgnn.caffe.mean import write_binaryproto
from imgnn.data import gather, lists, mean_record, moments
from imgnn.data.lists import (
    WORDS_SUFFIX,
    Entry,
    family_file,
    folders_of,
    read_list,
    write_list,
    write_record,
    write_words,
)
from imgnn.data.moments import Measured, View, load_measured, measure, save_measured, shrink_for
from imgnn.data.spread import spread
from imgnn.errors import InputError, InterruptedRun, missing
from imgnn.images.files import load_image, save_image
from imgnn.images.mean import caffe_order, save_mean
from imgnn.images.sheet import contact_sheet
from imgnn.images.structure import Structure, draw_structure, find_structure
from imgnn.options import LabelOptions, MeanOptions
from imgnn.runs import Reporter, Silent, check_folder, is_file, is_folder, one_interrupt, write_aside, write_json

CHUNK = 32  # pictures that are measured at once
PROCESSES_FROM = 512  # pictures: with fewer, threads are done before processes have begun
SAVE_EVERY = 30.0  # seconds, between two writings of the sums so far
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


def compute_mean(
    source: str | Path,
    output: str | Path | None = None,
    options: MeanOptions | None = None,
    reporter: Reporter | None = None,
) -> MeanResult:
    """Read every picture of a list once, and write its mean and what belongs to it.

    Sums are whole numbers: the result is the same to the last bit for any number of workers, on one machine or many,
    in one go or resumed.

    Args:
        source: a list file, or a folder: its first-level folders are the classes.
        output: what the files' names begin with; None: beside the list, `flowers_train_mean`.

    Raises:
        InputError: list, folder or options are not what they should be, none of the pictures can be read, or the
            result cannot be written.
        InterruptedRun: Ctrl-C; the same command goes on from there.
    """
    source = Path(source)
    options = options or MeanOptions()
    reporter = reporter or Silent()
    if options.shard and not 1 <= options.shard[0] <= options.shard[1]:
        raise InputError(f"a shard is I/N with I from 1 to N, not {options.shard[0]}/{options.shard[1]}")
    prefix = prefix_of(source, output, options)
    check_prefix(prefix, source)
    pictures = open_folder(source, reporter) if is_folder(source) else open_list(source, options.root)
    if not is_folder(pictures.root):
        raise missing(pictures.root, "folder", hint=f"imgnn mean {source} --root FOLDER: where its pictures are")
    view = View(options.size, options.crop)
    view = replace(view, shrink=shrink_for(options.size, len({entry.label for entry in pictures.entries})))
    if pictures.stale:
        reporter.note(f"{pictures.stale}; the mean is computed of what is there now")
    measured = read_pictures(pictures, view, prefix, options, reporter)
    if options.shard is None:
        result = write_results(pictures, measured, prefix, reporter)
    else:
        path = named(prefix, ".npz")
        save_measured(path, head_of(pictures, options), measured)
        note_dropped(measured, reporter)
        result = MeanResult(None, (path,))
    named(prefix, PARTIAL).unlink(missing_ok=True)
    return result


def merge_means(
    parts: Sequence[str | Path],
    output: str | Path,
    options: MeanOptions | None = None,
    reporter: Reporter | None = None,
) -> MeanResult:
    """Put the parts that `--shard` wrote together: the same files, to the last byte, as without shards.

    Args:
        output: as of `compute_mean`.
        options: `root` alone counts: where the pictures are now, for the sheet of the furthest.

    Raises:
        InputError: a part is missing, there twice, or of another list or another size.
    """
    options = options or MeanOptions()
    reporter = reporter or Silent()
    prefix = prefix_of(Path(), output, options)
    check_prefix(prefix)
    first: dict[str, Any] = {}
    seen: dict[int, Path] = {}
    for path in map(Path, parts):
        head, part = load_measured(path)
        if "chunks" in head:
            raise InputError(f"{path} is a pass that was interrupted, not a part", hint="finish it first")
        number, count = head["shard"] or (1, 1)
        if not first:
            first, view = head, part.moments.view
            entries: list[Entry | None] = [None] * head["list"]["pictures"]
            measured = Measured.nothing(view, len(entries))
        elif difference := tell_apart(head, part.moments.view, first, view):
            raise InputError(f"{path} does not belong to {seen[min(seen)]}: {difference}")
        if number in seen:
            raise InputError(f"{path} is part {number} of {count}, and so is {seen[number]}")
        seen[number] = path
        places = np.arange(number - 1, len(entries), count)
        entries[number - 1 :: count] = [Entry(name, label) for name, label in head["entries"]]
        measured.put(places, part)
    if not first:
        raise InputError("no part was named", hint="imgnn mean --merge part1.npz part2.npz -o PREFIX")
    count = first["shard"][1] if first["shard"] else 1
    if missing := [str(number) for number in range(1, count + 1) if number not in seen]:
        raise InputError(
            f"part {', '.join(missing)} of {count} is missing",
            hint=f"imgnn mean {first['list']['name']} --shard {missing[0]}/{count} writes it",
        )
    pictures = Source(
        first["list"]["name"],
        first["list"]["sha256"],
        options.root or Path(first["root"]),
        tuple(each for each in entries if each is not None),
        {int(label): name for label, name in first["words"].items()},
        first["stale"],
        first["labelled"],
    )
    return write_results(pictures, measured, prefix, reporter)


def tell_apart(head: Mapping[str, Any], view: View, first: Mapping[str, Any], wanted: View) -> str | None:
    """In what a part differs from the first one, in words; None if they belong together."""
    if head["list"] != first["list"]:
        mine, other = head["list"]["name"], first["list"]["name"]
        return f"it is of another list, {mine}, not {other}" if mine != other else f"{mine} was changed in between"
    if (view.size, view.crop) != (wanted.size, wanted.crop):
        mine, other = (f"{each.size[0]} x {each.size[1]}, {each.crop}" for each in (view, wanted))
        return f"its pictures are {mine}, not {other}"
    if (head["shard"] or (1, 1))[1] != (first["shard"] or (1, 1))[1]:
        mine, other = (f"{each['shard'][0]}/{each['shard'][1]}" for each in (head, first))
        return f"it is part {mine}, not one of {first['shard'][1]}"
    if head["imgnn"] != first["imgnn"]:
        return f"it was made by imgnn {head['imgnn']}, not {first['imgnn']}"
    return None


# What is read


def open_list(path: Path, root: Path | None) -> Source:
    """A list file."""
    listed = read_list(path, root)
    stale = lists.staleness(listed) if is_folder(listed.root) else None
    contents = (listed.record or {}).get("contents")
    labelled = contents.get(path.name) if isinstance(contents, dict) else None
    return Source(path.name, lists.file_digest(path), listed.root, listed.entries, listed.words, stale, labelled)


def open_folder(folder: Path, reporter: Reporter) -> Source:
    """Every picture in a folder, with the classes that `imgnn label` would give it."""
    found = gather.read_folder(folder, folder, LabelOptions())
    entries = tuple(Entry(each.path, each.label) for each in found.pictures if lists.is_listable(each.path))
    if left := len(found.pictures) - len(entries):
        reporter.note(f"{left:,} pictures were left out: no list can hold their names")
    digest = hashlib.sha256("".join(f"{each.path} {each.label}\n" for each in entries).encode()).hexdigest()
    return Source(f"{folder.resolve().name}/", digest, folder, entries, found.words)


def read_pictures(pictures: Source, view: View, prefix: Path, options: MeanOptions, reporter: Reporter) -> Measured:
    """Measure all pictures, or those of the shard; go on from what an interrupted pass left."""
    number, count = options.shard or (1, 1)
    entries = pictures.entries[number - 1 :: count]
    if not entries:
        raise InputError(f"a list of {len(pictures.entries)} pictures has no part {number} of {count}")
    # A class after the other: the sums of a chunk are those of few classes.
    order = np.argsort([entry.label for entry in entries], kind="stable")
    chunks = [order[start : start + CHUNK] for start in range(0, len(order), CHUNK)]
    head = head_of(pictures, options)
    partial = named(prefix, PARTIAL)
    done, measured = resume(partial, head, view, reporter) or (0, Measured.nothing(view, len(entries)))
    state = {"done": done, "pictures": sum(map(len, chunks[:done])), "saved": time.monotonic()}

    def save() -> None:
        save_measured(partial, {**head, "chunks": state["done"]}, measured)
        state["saved"] = time.monotonic()

    def take(places: np.ndarray, found: Measured) -> None:
        measured.put(places, found)
        state["done"] += 1
        state["pictures"] += len(places)
        if time.monotonic() - state["saved"] > SAVE_EVERY:
            save()

    reporter.begin("reading pictures", len(entries), "pictures")
    reporter.advance(state["pictures"])
    work = functools.partial(measure, root=str(pictures.root.resolve()), view=view)
    things = (tuple(entries[place] for place in places) for places in chunks[done:])
    results = spread(
        work,
        things,
        workers=options.workers,
        processes=len(entries) >= PROCESSES_FROM,
        dask=options.dask,
        folder=pictures.root,
    )
    # Sums are added in a thread of their own: Ctrl-C, which only the main one hears, cannot come in the middle.
    with one_interrupt() as deafen, ThreadPoolExecutor(1) as book:
        try:
            for places, (_, found) in zip(chunks[done:], results, strict=True):
                book.submit(take, places, found).result()
                reporter.advance(state["pictures"])
            deafen()
        except BaseException as error:
            book.shutdown()
            if state["done"] > done:
                save()
            if not isinstance(error, KeyboardInterrupt):
                raise
            reporter.end()
            raise InterruptedRun(
                f"{state['pictures']:,} of {len(entries):,} pictures were read",
                hint=f"the same command again: it goes on with {partial}" if state["done"] else None,
            ) from None
    reporter.end()
    if not measured.moments.count:
        partial.unlink(missing_ok=True)
        _, words = measured.problems[0]
        raise InputError(
            f"none of the {len(entries):,} pictures of {pictures.name} could be read; the first: {words}",
            hint="--root FOLDER, if they are somewhere else",
        )
    return measured


def resume(path: Path, head: Mapping[str, Any], view: View, reporter: Reporter) -> tuple[int, Measured] | None:
    """What an interrupted pass over the same pictures left: how many chunks, and their sums; None if there is none."""
    if not is_file(path):
        return None
    try:
        found, measured = load_measured(path)
    except InputError:
        found = {}
    done = found.pop("chunks", 0)
    same = {name: found.get(name) for name in head} == json.loads(json.dumps(head)) and measured.moments.view == view
    if not same:
        reporter.note(f"{path} is of another pass; begun anew")
        return None
    reporter.note(f"going on with the sums in {path}")
    return done, measured


def head_of(pictures: Source, options: MeanOptions) -> dict[str, Any]:
    """What a file of sums says of the pictures that they are of."""
    number, count = options.shard or (1, 1)
    return {
        "imgnn": __version__,
        "list": {"name": pictures.name, "sha256": pictures.sha256, "pictures": len(pictures.entries)},
        "root": str(pictures.root.resolve()),
        "words": {str(label): name for label, name in pictures.words.items()},
        "stale": pictures.stale,
        "labelled": pictures.labelled,
        "shard": list(options.shard) if options.shard else None,
        "entries": [[entry.path, entry.label] for entry in pictures.entries[number - 1 :: count]],
    }


# What is written


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


# What is said


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
