"""Sentences of models for pictures, and of the training pictures that look most like them; here Keras is needed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from keras import ops

from imgnn.data.captions import Captioned, CaptionSet
from imgnn.data.features_mat import read_features_mat
from imgnn.errors import InputError
from imgnn.jobs.caption import decoding_of
from imgnn.jobs.caption_data import given_features
from imgnn.jobs.evaluate_caption_scores import MODEL, Fit, Said
from imgnn.jobs.features import padded
from imgnn.jobs.sentence_data import sentences_of
from imgnn.jobs.sentence_model import SentenceModel, Speaker, extractors_of
from imgnn.language.beam import BeamOptions
from imgnn.language.decoder import Decoder
from imgnn.language.metrics import Tokens
from imgnn.language.tokens import detokenize, tokenize
from imgnn.language.vocabulary import MARKS
from imgnn.options import CaptionOptions, EvaluateCaptionOptions, TrainCaptionOptions
from imgnn.runs import Reporter
from imgnn.training.likelihood import Likelihood, other_pictures

AT_ONCE = 4096  # training pictures that all pictures are compared with at once


class Looker:
    """Gives the features that models look at, of a file or of their networks.

    Raises:
        InputError, WeightsError, DownloadError: a network cannot be had, or the file has not the features of a model.
    """

    def __init__(
        self,
        captions: CaptionSet,
        models: Sequence[SentenceModel],
        caption: CaptionOptions,
        path: Path | None,
        reporter: Reporter,
    ) -> None:
        self.captions, self.path, self.given = captions, path, None
        if path is None:
            self.extractors = extractors_of(models, caption, reporter)
            return
        self.given = read_features_mat(path)
        for model in models:
            if self.given.shape[1] != model.feature.numbers:
                raise InputError(
                    f"{path} has {self.given.shape[1]:,} numbers for a picture; "
                    f"{model.folder} was trained on {model.feature.numbers:,}"
                )

    def look(self, images: Sequence[Captioned], models: int, task: str) -> tuple[list[np.ndarray], dict[int, str]]:
        """Features float16 `(images, numbers)` for each of the first models, and which pictures cannot be read."""
        if self.given is not None:
            return [given_features(images, self.given, self.path)] * models, {}
        files = [self.captions.file(image) for image in images]
        seen = {id(each): each.extract(files, task=task) for each in self.extractors[:models]}
        bad = {number: why for each in seen.values() for number, why in each.bad.items()}
        return [seen[id(each)].values for each in self.extractors[:models]], bad


def said_by_models(
    captions: CaptionSet,
    images: Sequence[Captioned],
    words: Mapping[str, Sequence[Tokens]],
    models: Sequence[SentenceModel],
    caption: CaptionOptions,
    options: EvaluateCaptionOptions,
    reporter: Reporter,
) -> Said:
    """What models say of pictures, how well they foresee the references, and what is said of pictures like these.

    Args:
        words: name of a picture -> the tokens of its captions.

    Raises:
        InputError: no picture can be read; a feature is missing.
        WeightsError, DownloadError: the network of a model cannot be had.
    """
    beam = decoding_of(replace(caption, n=1))
    assert isinstance(beam, BeamOptions)  # noqa: S101  check_options() saw to it
    decoders = [model.decoder for model in models]
    speaker = Speaker(decoders, caption.weights)
    looker = Looker(captions, models, caption, options.features, reporter)
    features, bad = looker.look(images, len(models), "features")
    kept = [number for number in range(len(images)) if number not in bad]
    if not kept:
        raise InputError(f"none of the {len(images):,} pictures can be read: {next(iter(bad.values()))}")
    skipped = tuple((captions.file(images[number]), why) for number, why in sorted(bad.items()))
    images, features = tuple(images[number] for number in kept), [each[kept] for each in features]

    vocabulary = models[0].vocabulary
    tokens, log_probs = [], []
    batch = min(caption.batch, len(images))
    reporter.begin("captioning", len(images), "pictures")
    for start in range(0, len(images), batch):
        # Pictures that are missing in the last batch are of no interest; without them it would be traced anew.
        shown = [padded(each[start : start + batch], batch) for each in features]
        for hypotheses in speaker.search(shown, beam)[: len(images) - start]:
            tokens.append(tuple(vocabulary.decode(hypotheses[0].tokens)) if hypotheses else ())
            log_probs.append(hypotheses[0].log_prob if hypotheses else -math.inf)
        reporter.advance(len(tokens))
    reporter.end()

    longest = models[0].config.get("options", {}).get("longest", TrainCaptionOptions.longest)
    references = sentences_of([words[image.name] for image in images], vocabulary, longest)
    likelihood = Likelihood(decoders, caption.weights)
    nats = likelihood.nats_per_token(features, references)
    gain = None
    if len(images) > 1:
        gain = likelihood.nats_per_token(features, references, other_pictures(len(images))) - nats
    nearest = None
    if options.baselines:
        nearest = said_of_nearest(looker, images, features[0], decoders[0], reporter)
    return Said(
        MODEL, images, tuple(tokens), tuple(map(detokenize, tokens)), tuple(log_probs),
        Fit(nats, gain, len(vocabulary) - len(MARKS)), nearest, skipped,
    )  # fmt: skip


def said_of_nearest(
    looker: Looker, images: Sequence[Captioned], features: np.ndarray, decoder: Decoder, reporter: Reporter
) -> tuple[Tokens, ...] | None:
    """Of each picture, the first caption of the training picture that is most like it: what needs no decoder.

    Args:
        features: of the pictures, for the first model.
        decoder: of that model.

    Returns:
        None if there is no other training picture.
    """
    judged = {image.name for image in images}
    training = [image for image in looker.captions.part("train").images if image.name not in judged]
    if not training:
        reporter.note("There are no training pictures: none is looked for that is like those judged")
        return None
    (values,), bad = looker.look(training, 1, "features (train)")
    if bad:
        reporter.note(f"{len(bad):,} training pictures cannot be read, and are left out: {next(iter(bad.values()))}")
    kept = [number for number in range(len(training)) if number not in bad]
    if not kept:
        return None
    mean, scale = (ops.convert_to_numpy(each.value) for each in (decoder.standard.mean, decoder.standard.scale))
    places = nearest_rows(features, values[kept], mean, scale)
    return tuple(tuple(tokenize(training[kept[place]].captions[0])) for place in places)


def nearest_rows(features: np.ndarray, others: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Of each feature, the one among others whose angle to it is the smallest, both standardised.

    Args:
        features: `(n, numbers)`; others: `(m, numbers)`.
        mean, scale: `(numbers,)`, as `Decoder.standardise` sets them.

    Returns:
        int `(n,)`; of equals the first.
    """

    def directions(values: np.ndarray) -> np.ndarray:
        values = (values.astype("float32") - mean) * scale
        return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)

    own = directions(features)
    best, places = np.full(len(own), -np.inf), np.zeros(len(own), int)
    for start in range(0, len(others), AT_ONCE):
        cosines = own @ directions(others[start : start + AT_ONCE]).T
        nearest = cosines.argmax(axis=1)
        found = cosines[np.arange(len(own)), nearest]
        places[found > best] = start + nearest[found > best]
        best = np.maximum(best, found)
    return places
