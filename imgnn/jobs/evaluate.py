"""`imgnn evaluate`: how often a classifier is right about pictures whose classes are known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgnn.data.gather import ROOT
from imgnn.data.labelled import read_classes
from imgnn.data.lists import WORDS_SUFFIX, family_file, read_list, staleness
from imgnn.errors import InputError, UnknownNameError
from imgnn.images.files import check_any_readable, check_apart
from imgnn.jobs.classify import prob_of_files
from imgnn.jobs.load import load_network, preprocessing_of
from imgnn.networks.network import Network
from imgnn.networks.predict import ClassNames, check_classifier, class_name, classes, words_of
from imgnn.options import EvaluateOptions
from imgnn.runs import Reporter, Silent, check_folder, is_file, is_folder
from imgnn.training.scores import Scores


@dataclass(frozen=True)
class Evaluated:
    """What a network said of the pictures, beside the truth.

    Attributes:
        network: as it was named.
        scores: of the pictures that could be read; its classes are the network's own lines of words.
        top: classes among which the true one was looked for.
        skipped: pictures that could not be read, and why.
    """

    network: str
    scores: Scores
    top: int
    skipped: tuple[tuple[Path, InputError], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' words, without the wnid that may stand before them."""
        return tuple(class_name((line,), 0)[1] or line for line in self.scores.classes)

    @property
    def top_accuracy(self) -> float | None:
        """The share of pictures whose class is among the `top` most probable, 0..1; None if that is all of them."""
        return self.scores.top_accuracy(self.top)


@dataclass(frozen=True)
class Truth:
    """Pictures and their classes, as a list or a folder has them.

    Attributes:
        origin: the file that names the classes, or the folder; for messages.
        words: label -> name of the class; empty if nothing tells.
        numbered: whether labels are class indices: those of a list are, those of class folders are not.
    """

    origin: Path
    numbered: bool
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    words: Mapping[int, str]


def evaluate_classifier(
    sources: Sequence[str | Path],
    options: EvaluateOptions,
    reporter: Reporter | None = None,
    *,
    output: Path | None = None,
) -> Evaluated:
    """Classify every picture of lists or class folders, and count how often the network is right.

    The class of a picture is the one with its name, where both sides have names; of a list without class words it is
    the one with its number.

    Args:
        sources: list files, and folders whose first-level folders are the classes.
        options: the network, one crop or ten.
        reporter: hears how many pictures are done, and of names that stand at another number.
        output: a table (CSV) to be written: path, label, predicted, prob, loss.

    Raises:
        InputError: a list or folder is not what it should be, the network is no classifier or lacks a class, or no
            picture can be read.
        UnknownNameError: there is no such network, or a folder is called like none of its classes.
        WeightsError, DownloadError: the network cannot be had.
    """
    reporter = reporter or Silent()
    if output is not None:
        check_folder(output)
        check_apart(output, [Path(source) for source in sources])
    truths = [read_truth(Path(source), options.root, reporter) for source in sources]
    files = [file for truth in truths for file in truth.files]
    check_any_readable(files)  # a wrong root should not wait for a network
    network = load_network(options.network, reporter=reporter)
    check_classifier(network)
    preprocessing = preprocessing_of(network)
    lines = class_lines(network)
    indices = [index for truth in truths for index in class_indices(truth, lines, options.network, reporter)]

    stream = prob_of_files(
        files,
        network,
        preprocessing,
        task="evaluating",
        oversample=options.oversample,
        batch=options.batch,
        reporter=reporter,
    )
    read, labels, prob, skipped = [], [], [], []
    for (path, found), index in zip(stream, indices, strict=True):
        if isinstance(found, InputError):
            skipped.append((path, found))
        else:
            read.append(str(path))
            labels.append(index)
            prob.append(found)
    if not read:
        raise InputError(f"none of {len(files):,} pictures could be read; the first: {skipped[0][1]}")
    scores = Scores(tuple(read), np.array(labels), np.stack(prob), lines)
    if output is not None:
        scores.write_predictions(output)
    return Evaluated(options.network, scores, options.top, tuple(skipped))


# What is true


def read_truth(path: Path, root: Path | None, reporter: Reporter) -> Truth:
    """The pictures of a list, or of class folders.

    Raises:
        InputError: it is neither, or none of its pictures is there.
    """
    if is_folder(path):
        found = read_classes(path)
        return Truth(path, False, found.files, found.labels, dict(enumerate(found.classes)))
    listed = read_list(path, root)
    if root is None and (stale := staleness(listed)):
        reporter.note(stale)
    files = tuple(listed.file(entry) for entry in listed.entries)
    if not any(map(is_file, files)):
        raise InputError(f"none of the pictures of {path} is there: {files[0]}", hint="--root FOLDER")
    origin = family_file(path, WORDS_SUFFIX) or path
    return Truth(origin, True, files, tuple(entry.label for entry in listed.entries), listed.words)


def class_indices(truth: Truth, lines: Sequence[str], called: str, reporter: Reporter) -> list[int]:
    """The network's class of every picture.

    Args:
        lines: the network's class words.
        called: the network, as the user named it.

    Raises:
        InputError: the network has no such class.
        UnknownNameError: a folder is called like none of its classes.
    """
    # Of a network trained on a list without class words the names are numbers, too.
    named = tuple(lines) != numbers(len(lines))
    names = ClassNames(lines) if named or not truth.numbered else None
    found: dict[int, int] = {}
    moved: str | None = None
    for label in sorted(set(truth.labels)):
        name = truth.words.get(label)
        if names is None or name is None:
            found[label] = in_range(label, truth, len(lines), called)
            continue
        meant = names.find(name)
        if not truth.numbered:
            found[label] = folder_class(name, meant, truth.origin, lines, called)
        elif label in meant:
            found[label] = label
        else:
            told = f"class {label} is {name} in {truth.origin}, and "
            told += f"{lines[label]} in {called}" if label < len(lines) else f"{called} ends at {len(lines) - 1}"
            if len(meant) != 1:
                hint = f"no {truth.origin.name} beside the list, if its numbers are right"
                raise InputError(told, hint=hint)
            found[label] = meant[0]
            moved = moved or told
    if moved:
        reporter.note(f"{moved}: classes are matched by name")
    return [found[label] for label in truth.labels]


def in_range(label: int, truth: Truth, count: int, called: str) -> int:
    """A label that is a class.

    Raises:
        InputError: it is not; the first picture that has it is named.
    """
    if label >= count:
        file = truth.files[truth.labels.index(label)]
        raise InputError(f"{file} has the label {label}; {called} has the classes 0 to {count - 1}")
    return label


def folder_class(name: str, meant: Sequence[int], folder: Path, lines: Sequence[str], called: str) -> int:
    """The class that a folder is called like.

    Args:
        meant: the classes with the folder's name.

    Raises:
        UnknownNameError: there is none.
        InputError: there are several, or the pictures lie in no class folder.
    """
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise InputError(
            f"{folder / name}: {len(meant)} classes of {called} are called so: "
            + " and ".join(lines[index] for index in meant[:3]),
            hint="call the folder by the wnid, or by all of the class's words",
        )
    if name == ROOT:
        raise InputError(f"pictures lie right in {folder}; a folder for each class is expected")
    known = {name for line in lines for name in (line, *words_of(line))}
    hint = f"a folder for one of: {', '.join(lines)}" if len(lines) <= 10 else None
    raise UnknownNameError(f"class of {called}", name, known, hint=hint)


def class_lines(network: Network) -> tuple[str, ...]:
    """A line for each class, in the order of the output: its words; its number, if the network knows none."""
    words, unknown = network.words or (), numbers(classes(network))
    return (*words[: len(unknown)], *unknown[len(words) :])


def numbers(count: int) -> tuple[str, ...]:
    """The names of classes that have none: "0", "1", ..."""
    return tuple(map(str, range(count)))
