"""`imgnn classify`: the most probable classes of pictures."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgnn.data.spread import cores, spread
from imgnn.errors import InputError
from imgnn.images.files import check_any_readable, find_images, load_image
from imgnn.images.preprocess import VIEWS, classifier_crops
from imgnn.images.preprocessing import Preprocessing
from imgnn.jobs.load import load_network, preprocessing_of
from imgnn.networks.network import Network
from imgnn.networks.predict import Prediction, check_classifier, compute_prob, top_classes
from imgnn.options import ClassifyOptions
from imgnn.runs import Reporter, Silent


@dataclass(frozen=True)
class Classified:
    """One picture and what the network sees in it.

    Attributes:
        path: as it was given, or found in a folder.
        predictions: the most probable first; empty if the picture could not be read.
        error: why it could not be read, else None.
    """

    path: Path
    predictions: tuple[Prediction, ...] = ()
    error: InputError | None = None


def classify_images(
    paths: Iterable[str | Path], options: ClassifyOptions | None = None, reporter: Reporter | None = None
) -> Iterator[Classified]:
    """Classify pictures, in their order; each result comes as soon as its batch is through.

    The files are decoded by a few threads while the network computes, and only the crops of the next
    batches are kept: a folder of any size needs the same memory.

    Args:
        paths: as `find_images` takes them: files, folders, patterns.
        options: which network, how many classes, one crop or ten.
        reporter: hears of the network's download and how many pictures are done.

    Returns:
        An iterator over one result for each picture. A picture that cannot be read is a result with its
        `error`, never the end; only if it was the one picture named does the error come itself.

    Raises:
        InputError: no picture was named, or none of them can be opened, or the network is no classifier.
        UnknownNameError, WeightsError, DownloadError: the network cannot be had.
    """
    options = options or ClassifyOptions()
    reporter = reporter or Silent()
    files = find_images(paths)
    check_any_readable(files)  # a mistyped name should not wait for a network
    network = load_network(options.network, reporter=reporter)
    check_classifier(network)
    return results(files, network, preprocessing_of(network), options, reporter)


def results(
    files: list[Path], network: Network, preprocessing: Preprocessing, options: ClassifyOptions, reporter: Reporter
) -> Iterator[Classified]:
    """The stream behind `classify_images`, after everything that can be checked was."""
    stream = prob_of_files(
        files, network, preprocessing, task="classifying", oversample=options.oversample, batch=options.batch,
        reporter=reporter,
    )  # fmt: skip
    for path, prob in stream:
        if isinstance(prob, np.ndarray):
            yield Classified(path, tuple(top_classes(prob, network.words, options.top)))
        elif len(files) == 1:
            raise prob
        else:
            yield Classified(path, error=prob)


def prob_of_files(
    files: Sequence[Path],
    network: Network,
    preprocessing: Preprocessing,
    *,
    task: str,
    oversample: bool,
    batch: int,
    reporter: Reporter,
) -> Iterator[tuple[Path, np.ndarray | InputError]]:
    """Every file in turn with the probability of each class, float32 `(classes,)`, or why it cannot be read.

    Args:
        task: what the work is called where its progress is shown.
        oversample: average over ten crops instead of the centre alone.
        batch: crops that go through the network at once.
    """
    views = VIEWS if oversample else 1
    at_once = max(1, batch // views)
    if len(files) > at_once:
        reporter.begin(task, len(files), "pictures")
    done = 0
    stream = read_crops(files, preprocessing, oversample, ahead=2 * at_once)
    while group := list(itertools.islice(stream, at_once)):
        crops = [crop for _, crop in group if isinstance(crop, np.ndarray)]
        prob = iter(compute_prob(network, np.concatenate(crops), views=views, batch=batch) if crops else ())
        for path, crop in group:
            done += 1
            reporter.advance(done)
            yield path, crop if isinstance(crop, InputError) else next(prob)
    reporter.end()


def read_crops(
    files: Sequence[Path], preprocessing: Preprocessing, oversample: bool, *, ahead: int
) -> Iterator[tuple[Path, np.ndarray | InputError]]:
    """The crops of every file in turn, decoded by threads that are at most `ahead` pictures in front."""

    def crops(path: Path) -> np.ndarray | InputError:
        try:
            return classifier_crops(load_image(path), preprocessing, oversample=oversample)
        except InputError as error:
            return error

    # Each thread may hold one whole decoded picture: few of them.
    yield from spread(crops, files, workers=min(4, cores()), ahead=ahead)
