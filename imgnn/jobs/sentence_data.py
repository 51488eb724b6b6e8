"""What a training of sentences works on: sentences as ids, pictures as features. Captions and boke share it."""

import hashlib
import platform
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imgnn import __version__, backend
from imgnn.errors import InputError, UnknownNameError
from imgnn.jobs.picture_features import FeatureExtractor, FeatureSpec, feature_extractor
from imgnn.language.decoder import DecoderSpec
from imgnn.language.vocabulary import Vocabulary
from imgnn.networks import registry
from imgnn.options import TrainSentenceOptions
from imgnn.runs import Reporter, Stop, interrupted_with, is_file
from imgnn.training.run_folder import MAKERS, Kind, is_run, stored_options
from imgnn.training.sentences import Sentences

Tokens = tuple[tuple[str, ...], ...]  # of the sentences of a picture


@dataclass(frozen=True)
class Part:
    """One split.

    Attributes:
        images: those that could be read, as the data set has them.
        tokens: of each image, the tokens of each sentence.
        features: float16 `(images, numbers)`.
        mirrored: of their mirror images; None where these are not looked at.
        sentences: all sentences as ids.
    """

    images: tuple[Any, ...]
    tokens: tuple[Tokens, ...]
    features: np.ndarray
    mirrored: np.ndarray | None
    sentences: Sentences


@dataclass(frozen=True)
class Material:
    """All that a training needs.

    Attributes:
        spec: of the features.
        extractor: None where the features came from a file.
        bad: picture -> why it could not be read.
    """

    vocabulary: Vocabulary
    spec: FeatureSpec
    extractor: FeatureExtractor | None
    train: Part
    val: Part
    bad: dict[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of all features: it tells of the pictures, of the network, and of what could be read."""
        digest = hashlib.sha256()
        for part in (self.train, self.val):
            for values in (part.features, part.mirrored):
                if values is not None:
                    digest.update(values.tobytes())
        return digest.hexdigest()


def extractor_for(options: TrainSentenceOptions, reporter: Reporter) -> FeatureExtractor:
    """What looks at the pictures of a training.

    Raises:
        InputError, UnknownNameError, WeightsError, DownloadError: as of `feature_extractor`.
    """
    return feature_extractor(
        options.network,
        options.layers,
        size=options.size,
        precision=options.precision,
        workers=options.workers,
        reporter=reporter,
    )


def look(
    extractor: FeatureExtractor,
    images: Sequence[Any],
    files: Sequence[Path],
    split: str,
    bad: dict[str, str],
    *,
    mirror: bool,
    reporter: Reporter,
    stop: Stop,
) -> tuple[tuple[Any, ...], np.ndarray, np.ndarray | None]:
    """The features of a split's pictures.

    Args:
        images: as the data set has them, with a `name`; `files` of the same.
        bad: gains those that cannot be read, name -> why.
        mirror: those of the mirror images, too; of train alone, which is trained on them.

    Returns:
        The images that can be read; their features, float16 `(readable, numbers)`; the mirrored ones or None.

    Raises:
        InputError: none of them can be read.
        Stopped: `stop` said so.
    """
    seen = extractor.extract(files, task=f"features ({split})", stop=stop)
    for number, why in seen.bad.items():
        reporter.note(f"Skipped: {why}")
        bad[images[number].name] = why
    kept = [number for number in range(len(files)) if number not in seen.bad]
    if not kept:
        raise InputError(f"none of the {len(files):,} pictures of {split} can be read: {seen.bad[0]}")
    features = seen.values[kept] if seen.bad else seen.values
    mirrored = None
    if mirror and split == "train":
        turned = extractor.extract(
            [files[number] for number in kept], mirrored=True, task="features (mirrored)", stop=stop
        )
        mirrored = turned.values
        for number in turned.bad:  # it went away in between
            mirrored[number] = features[number]
    return tuple(images[number] for number in kept), features, mirrored


def features_are_kept() -> AbstractContextManager[None]:
    """Where pictures are looked at before a training: what was seen until Ctrl-C is not lost."""
    return interrupted_with("the features so far are kept, and need not be computed again")


def check_same_pictures(material: Material, config: Mapping[str, Any], folder: Path, source: Path) -> None:
    """See that a run goes on with the pictures and the network that it was begun with.

    Raises:
        InputError: it would not.
    """
    if material.spec.weights != config["feature"]["weights"]:
        raise InputError(f"{material.spec.network} has other weights than when {folder} was begun")
    if material.digest != config["features_sha256"]:
        raise InputError(
            f"the pictures of {source}, or what {material.spec.network} gives of them, are not those that {folder} was "
            "begun with",
            hint=f"{MAKERS[config['kind']]} without --resume begins anew",
        )


def sentences_of(tokens: Sequence[Sequence[Sequence[str]]], vocabulary: Vocabulary, longest: int) -> Sentences:
    """The sentences of images as ids; one without a token is left out."""
    pairs = [(row, vocabulary.encode(each)) for row, said in enumerate(tokens) for each in said if each]
    return Sentences([row for row, _ in pairs], [ids for _, ids in pairs], longest=longest)


def whole(network: str) -> str:
    """A network's name as it is; of a file, or of a run's folder, the whole path: a model is used in other folders."""
    path = Path(network).expanduser()
    if not is_file(path):
        try:
            registry.find(network)
            return network
        except UnknownNameError:
            if not is_run(path):
                return network
    return str(path.resolve())


def spec_of(material: Material, options: TrainSentenceOptions, **more: Any) -> DecoderSpec:
    """The decoder's form."""
    return DecoderSpec(
        vocabulary=len(material.vocabulary),
        feature=material.spec.numbers,
        embedding=options.embedding,
        hidden=options.hidden,
        layers=options.depth,
        cell=options.cell,
        tied=options.tied,
        **more,
    )


def facts_of(
    kind: Kind, material: Material, spec: DecoderSpec, options: TrainSentenceOptions, command: str
) -> dict[str, Any]:
    """What config.json says of every run, whatever its sentences are."""
    return {
        "kind": kind,
        "imgnn": __version__,
        "command": command,
        "network": options.network,
        "feature": asdict(material.spec),
        "features_sha256": material.digest,
        "decoder": asdict(spec),
        "options": stored_options(options),
        "machine": f"{platform.machine()}, {backend.device()}, Keras on {backend.name()}",
        "precision": backend.precision_of(options.precision),
    }
