"""`imgnn mean`: the mean picture of a data set, and what there is to see in it."""

import functools
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from imgnn import __version__
from imgnn.data import gather, lists
from imgnn.data.lists import Entry, read_list
from imgnn.data.moments import Measured, View, load_measured, measure, save_measured, shrink_for
from imgnn.data.spread import spread
from imgnn.errors import InputError, InterruptedRun, missing
from imgnn.jobs.mean_results import (
    PARTIAL,
    MeanResult,
    Source,
    check_prefix,
    named,
    note_dropped,
    prefix_of,
    write_results,
)
from imgnn.options import LabelOptions, MeanOptions
from imgnn.runs import Reporter, Silent, is_file, is_folder, one_interrupt

CHUNK = 32  # pictures that are measured at once
PROCESSES_FROM = 512  # pictures: with fewer, threads are done before processes have begun
SAVE_EVERY = 30.0  # seconds, between two writings of the sums so far


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


# What is said
