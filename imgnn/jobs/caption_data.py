"""What a training of captions works on."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgnn.data.caption_files import read_captions
from imgnn.data.captions import Captioned, CaptionSet
from imgnn.data.features_mat import read_features_mat
from imgnn.errors import InputError
from imgnn.jobs.picture_features import FeatureSpec
from imgnn.jobs.sentence_data import Material, Part, Tokens, extractor_for, look, sentences_of
from imgnn.language.metrics import CiderD
from imgnn.language.tokens import tokenize
from imgnn.language.vocabulary import Vocabulary, build_vocabulary
from imgnn.options import TrainCaptionOptions
from imgnn.runs import Reporter, Stop

GIVEN_SIZE = 224  # pixels: what Karpathy's features were taken at


@dataclass(frozen=True)
class CaptionMaterial(Material):
    """All that a training of captions needs.

    Attributes:
        judge: of the validation captions.
    """

    captions: CaptionSet
    judge: CiderD


def read_data(source: Path, options: TrainCaptionOptions, reporter: Reporter) -> CaptionSet:
    """The captions, with pictures that are there.

    Raises:
        InputError: as of `read_captions`; or there is nothing to train on or to judge by.
    """
    captions = read_captions(
        source,
        form=options.form,
        images=options.images,
        need_images=options.features is None,
        skip_missing=options.skip_missing,
        val_share=options.val_share,
        seed=options.seed,
        reporter=reporter,
    )
    for split, hint in (("train", None), ("val", "--val-share 0.1")):
        if not len(captions.part(split)):
            raise InputError(f"{source} has no pictures of the split {split}", hint=hint)
    return captions


def tokens_of(captions: CaptionSet) -> dict[str, Tokens]:
    """The tokens of each caption, by the picture's name; a word is kept in memory once."""
    return {
        image.name: tuple(tuple(map(sys.intern, tokenize(caption))) for caption in image.captions)
        for image in captions.images
        if image.split != "test"
    }


def words_of(captions: CaptionSet, tokens: Mapping[str, Tokens], minimum: int) -> Vocabulary:
    """The vocabulary of the training captions.

    Raises:
        InputError: no word is seen often enough.
    """
    train = captions.part("train")
    found = build_vocabulary((each for image in train.images for each in tokens[image.name]), minimum)
    if len(found) == 3:
        raise InputError(
            f"no word is seen {minimum} times in the training captions of {captions.source}: the vocabulary is empty",
            hint="--minimum 1",
        )
    return found


def prepare_material(
    captions: CaptionSet,
    tokens: Mapping[str, Tokens],
    vocabulary: Vocabulary,
    options: TrainCaptionOptions,
    reporter: Reporter,
    stop: Stop,
) -> CaptionMaterial:
    """Captions as ids, and the features of their pictures: of the cache, of a file, or computed now.

    Raises:
        InputError: no picture of a split can be read, or the file of features does not fit.
        Stopped: `stop` said so.
    """
    extractor, given = None, None
    if options.features is not None:
        given = read_features_mat(options.features)
        spec = FeatureSpec(
            network=options.network, weights="", layers=options.layers or (), size=options.size or GIVEN_SIZE,
            preprocessing={}, numbers=given.shape[1],
        )  # fmt: skip
    else:
        extractor = extractor_for(options, reporter)
        spec = extractor.spec
    bad: dict[str, str] = {}

    def part(split: str) -> Part:
        images = captions.part(split).images
        mirrored = None
        if given is not None:
            features = given_features(images, given, options.features)
        else:
            assert extractor is not None  # noqa: S101
            files = [captions.file(image) for image in images]
            images, features, mirrored = look(
                extractor, images, files, split, bad, mirror=options.mirror, reporter=reporter, stop=stop
            )
        said = tuple(tokens[image.name] for image in images)
        return Part(images, said, features, mirrored, sentences_of(said, vocabulary, options.longest))

    train, val = part("train"), part("val")
    return CaptionMaterial(vocabulary, spec, extractor, train, val, bad, captions, CiderD(val.tokens, keep=True))


def given_features(images: Sequence[Captioned], given: np.ndarray, path: Path | None) -> np.ndarray:
    """The rows of a file of features that belong to pictures: by Karpathy's `imgid`, else by their place.

    Args:
        given: `(rows, numbers)`, all that the file at `path` has.

    Returns:
        float16 `(images, numbers)`.

    Raises:
        InputError: there is no row for a picture.
    """
    rows = [image.number for image in images]
    if any(row is None or row >= len(given) for row in rows):
        raise InputError(
            f"{path} holds features of {len(given):,} pictures; "
            f"{next(i.name for i in images if i.number is None or i.number >= len(given))} is none of them",
            hint="features go with a dataset.json, whose imgid is their column",
        )
    return given[np.array(rows, int)].astype("float16")
