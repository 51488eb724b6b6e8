"""Pictures as vectors, for captions: by a network once, from IMGNN_HOME ever after."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from imgnn import backend
from imgnn.data.feature_cache import FeatureCache, Key, key_of
from imgnn.data.spread import cores, spread
from imgnn.errors import InputError, UnknownNameError, WeightsError
from imgnn.images.files import load_image
from imgnn.images.preprocess import classifier_crops, preprocess
from imgnn.jobs.features import padded
from imgnn.jobs.load import load_network
from imgnn.networks.feature_network import feature_network, weights_digest
from imgnn.networks.network import Network
from imgnn.runs import Reporter, Silent, Stop, Stopped

BATCH = 32  # pictures that go through the network at once
TOGETHER = 256  # features that are read or written at once
LARGEST = float(np.finfo("float16").max)


@dataclass(frozen=True)
class FeatureSpec:
    """How a picture becomes a vector: what a caption model was trained on, and has to be given again.

    Attributes:
        network: as the user named it.
        weights: SHA-256 of the network's weights, as far as the layers need them.
        layers: Caffe's names, side by side.
        size: pixels, both sides, that the whole picture is scaled to, its shape not kept.
        preprocessing: facts of `Preprocessing`, for people; the network brings its own.
        numbers: in the vector.
    """

    network: str
    weights: str
    layers: tuple[str, ...]
    size: int
    preprocessing: dict[str, Any]
    numbers: int


@dataclass(frozen=True)
class Extracted:
    """What a network gives of pictures.

    Attributes:
        values: float16 `(n, numbers)`; zeros where a picture could not be read.
        bad: number of a picture that could not be read -> why.
    """

    values: np.ndarray
    bad: dict[int, str]


class FeatureExtractor:
    """Gives the vectors of pictures.

    Args:
        network: of `networks.feature_network.feature_network`.
        called: as the user named it.
        workers: threads that read and decode; None: one for each core, four at most.
    """

    def __init__(
        self,
        network: Network,
        called: str,
        layers: Sequence[str],
        *,
        precision: str,
        reporter: Reporter,
        workers: int | None = None,
    ) -> None:
        self.network, self.reporter, self.precision = network, reporter, backend.precision_of(precision)
        self.workers = workers or min(4, cores())
        facts = asdict(network.pictures)
        self.spec = FeatureSpec(
            network=called,
            weights=weights_digest(network.model),
            layers=tuple(layers),
            size=network.pictures.size[0],
            preprocessing={name: list(value) if isinstance(value, tuple) else value for name, value in facts.items()},
            numbers=int(network.model.outputs[0].shape[-1]),
        )
        key = key_of((self.spec.weights, *layers, self.spec.size, sorted(facts.items()), self.precision))
        self.cache = FeatureCache(network.name, key, reporter)
        self.answer = backend.answering(network.model)

    def extract(
        self, files: Sequence[Path], *, mirrored: bool = False, task: str = "features", stop: Stop | None = None
    ) -> Extracted:
        """The vectors of pictures, in their order.

        Args:
            mirrored: of their mirror images.

        Raises:
            Stopped: `stop` said so; what was hashed and seen is kept.
        """
        values = np.zeros((len(files), self.spec.numbers), "float16")
        bad: dict[int, str] = {}
        digests = self.cache.digests(files, workers=self.workers, reporter=self.reporter, stop=stop)
        keys = [(digest, int(mirrored)) if digest else None for digest in digests]
        missing = []
        for start in range(0, len(keys), TOGETHER):
            part = keys[start : start + TOGETHER]
            known = self.cache.read(key for key in part if key)
            for number, key in enumerate(part, start):
                if key in known:
                    values[number] = known[key]
                else:
                    missing.append(number)
        if not missing:
            return Extracted(values, bad)
        if len(missing) > 1:
            self.reporter.begin(task, len(missing), "pictures")
        fresh: dict[Key, np.ndarray] = {}
        try:
            for done, (number, found) in enumerate(self.compute(files, missing, mirrored), 1):
                if isinstance(found, InputError):
                    bad[number] = str(found)
                else:
                    values[number] = found
                    if key := keys[number]:
                        fresh[key] = found
                if len(fresh) >= TOGETHER:
                    self.cache.write(fresh)
                    fresh.clear()
                self.reporter.advance(done)
                if stop and stop():
                    raise Stopped
        finally:
            self.cache.write(fresh)
            self.reporter.end()
        return Extracted(values, bad)

    def compute(
        self, files: Sequence[Path], wanted: Sequence[int], mirrored: bool
    ) -> Iterator[tuple[int, np.ndarray | InputError]]:
        """Vectors of pictures by number, decoded by threads while the network looks at those before.

        Args:
            wanted: the places in `files` that are meant.

        Returns:
            Place and float16 `(numbers,)`, or why the picture cannot be read, in the order of `wanted`.
        """
        preprocessing = self.network.pictures

        def crop(number: int) -> np.ndarray | InputError:
            try:
                pixels = classifier_crops(load_image(files[number]), preprocessing)[0]
                return pixels[:, ::-1] if mirrored else pixels
            except InputError as error:
                return error

        batch = min(BATCH, 1 << max(0, math.ceil(math.log2(max(1, len(wanted))))))
        seen = spread(crop, wanted, workers=self.workers, ahead=2 * batch)
        while group := list(itertools.islice(seen, batch)):
            pixels = [each for _, each in group if not isinstance(each, InputError)]
            rows = iter(self.vectors(np.stack(pixels), batch) if pixels else ())
            for number, each in group:
                yield number, each if isinstance(each, InputError) else next(rows)

    def vectors(self, pixels: np.ndarray, batch: int) -> np.ndarray:
        """uint8 `(n, size, size, 3)` -> float16 `(n, numbers)`."""
        x = padded(preprocess(pixels, self.network.pictures), batch)
        with backend.computing_in(self.network.model.layers, self.precision):
            found = keras.ops.convert_to_numpy(self.answer(x))[: len(pixels)]
        return rounded(found)


def rounded(values: np.ndarray) -> np.ndarray:
    """Numbers as features are kept: float16 of the same shape, what is beyond its range being the largest in it."""
    return np.clip(values, -LARGEST, LARGEST).astype("float16")


def feature_extractor(
    called: str,
    layers: Sequence[str] | None = None,
    *,
    size: int | None = None,
    precision: str = "auto",
    workers: int | None = None,
    reporter: Reporter | None = None,
) -> FeatureExtractor:
    """What gives the vectors of a network that the user named.

    Args:
        layers: Caffe's names; None: those that the network itself names for features.
        size: pixels, both sides; None: the network's own.
        workers: as of `FeatureExtractor`.

    Raises:
        InputError, UnknownNameError, WeightsError, DownloadError: the network or a layer cannot be had.
    """
    reporter = reporter or Silent()
    network = load_network(called, reporter=reporter)
    if network.preprocessing is None:
        raise InputError(f"{called} does not say how a picture becomes its input")
    chosen = tuple(dict.fromkeys(layers or network.roles.features))
    if not chosen:
        raise InputError(
            f"{called} does not say which layers to look at", hint=f"--layers A,B; {network.layers_command} lists them"
        )
    size = size or network.preprocessing.size[0]
    found = feature_network(network, chosen, (size, size))
    return FeatureExtractor(found, called, chosen, precision=precision, reporter=reporter, workers=workers)


def extractor_of(
    spec: FeatureSpec,
    *,
    network: str | None = None,
    precision: str = "auto",
    workers: int | None = None,
    reporter: Reporter | None = None,
) -> FeatureExtractor:
    """What gives the very vectors that a model was trained on.

    Args:
        network: where the model's network is now; None: where it was. Its weights are compared; those of features that
            came from a file are not known, and the name is believed.
        workers: as of `FeatureExtractor`.

    Raises:
        WeightsError: the network has other weights, takes pictures otherwise, or lacks a layer.
        InputError, DownloadError: it cannot be had.
    """
    called, reporter = network or spec.network, reporter or Silent()
    try:
        made = feature_extractor(
            called, spec.layers, size=spec.size, precision=precision, workers=workers, reporter=reporter
        )
    except UnknownNameError as error:
        raise WeightsError(f"the model was trained on {spec.network}: {error}", hint=error.hint) from error
    if not spec.weights:
        if made.spec.numbers != spec.numbers:
            raise WeightsError(
                f"the model was trained on features of {spec.numbers:,} numbers; "
                f"{', '.join(spec.layers)} of {called} gives {made.spec.numbers:,}",
                hint="--network FILE names the network that the features came from",
            )
        reporter.note(
            f"The model's features came from a file: that they are those of {', '.join(spec.layers)} of {called} "
            "is believed, not checked"
        )
    elif made.spec.weights != spec.weights:
        other = "with other weights" if called == spec.network else f"and not on {called}"
        raise WeightsError(
            f"the model was trained on {spec.network} {other} (SHA-256 {spec.weights[:12]}..., "
            f"here {made.spec.weights[:12]}...)",
            hint="--network FILE names the very network",
        )
    elif made.spec.preprocessing != spec.preprocessing:
        raise WeightsError(
            f"the model was trained on pictures prepared otherwise than {called} prepares them now: "
            f"{spec.preprocessing}, here {made.spec.preprocessing}",
            hint="--network FILE names the very network",
        )
    return made
