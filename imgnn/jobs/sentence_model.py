"""A trained sentence model, of captions or boke: a folder that tells what it was made of, and writes sentences."""

import itertools
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from imgnn import backend
from imgnn.errors import InputError, WeightsError
from imgnn.jobs.picture_features import FeatureExtractor, FeatureSpec, extractor_of
from imgnn.language.beam import BeamOptions, beam_search
from imgnn.language.decoder import Decoder, DecoderSpec
from imgnn.language.rules import Beams
from imgnn.language.sample import SampleOptions, sample
from imgnn.language.steps import DeviceStep, ensemble
from imgnn.language.tokenizers import Tokenizer, load_tokenizer
from imgnn.language.vocabulary import START, Vocabulary
from imgnn.options import CaptionOptions
from imgnn.runs import Reporter, is_file
from imgnn.training.checkpoint import load_checkpoint, save_checkpoint
from imgnn.training.run_folder import DECODER, MAKERS, NETWORK, VOCABULARY, Kind, packaged_model, read_config

KIND: Kind = "caption"


@dataclass(frozen=True)
class SentenceModel:
    """A decoder with what is needed to use it.

    Attributes:
        folder: of the run.
        kind: of the run, "caption" or "boke".
        tokenizer: what its tokens were made by, and are joined by.
        feature: how a picture becomes what the decoder looks at.
    """

    folder: Path
    kind: Kind
    config: Mapping[str, Any]
    vocabulary: Vocabulary
    tokenizer: Tokenizer
    feature: FeatureSpec
    decoder: Decoder


def load_caption_model(folder: str | Path, *, precision: str = "float32") -> SentenceModel:
    """The model of captions in a run's folder; as `load_sentence_model`."""
    return load_sentence_model(folder, "caption", precision=precision)


def load_sentence_model(folder: str | Path, *kinds: Kind, precision: str = "float32") -> SentenceModel:
    """The model in a run's folder: the epoch with the best validation.

    Args:
        kinds: of run that are wanted; none: captions or boke.

    Raises:
        InputError: there is no such run, it is of another kind, it has no decoder yet, a later imgnn made it, or its
            tokenizer is not installed.
        WeightsError: its files do not fit each other.
    """
    folder = Path(folder)
    config = read_config(folder, *(kinds or ("boke", "caption")))
    kind: Kind = config["kind"]
    if not is_file(folder / DECODER):
        raise InputError(
            f"{folder} has no trained decoder yet: there is no {DECODER} in it",
            hint=f"{MAKERS[kind]} --resume {shlex.quote(str(folder))}",
        )
    # Captions were all cut into words by one rule before there was a choice.
    tokenizer = load_tokenizer(config["tokenizer"]["name"] if "tokenizer" in config else "ptb")
    vocabulary = Vocabulary.load(folder / VOCABULARY)
    weights, facts = load_checkpoint(folder / DECODER)
    try:
        spec = DecoderSpec(**facts["decoder"])
        feature = FeatureSpec(**{**facts["feature"], "layers": tuple(facts["feature"]["layers"])})
        if feature.network == NETWORK:  # one that was trained along lies beside
            feature = replace(feature, network=str(folder / NETWORK))
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder / DECODER} is of another imgnn: {error}") from error
    if facts.get("words") != vocabulary.digest:
        raise WeightsError(
            f"{folder / DECODER} was trained on other words than those of {VOCABULARY} beside it: "
            f"{spec.vocabulary:,} of them, here {len(vocabulary):,}"
        )
    decoder = Decoder(spec, precision=precision)
    try:
        decoder.assign(weights)
    except WeightsError as error:
        raise WeightsError(f"{folder / DECODER} does not fit itself: {error}") from error
    return SentenceModel(folder, kind, config, vocabulary, tokenizer, feature, decoder)


def load_caption_models(options: CaptionOptions) -> list[SentenceModel]:
    """The models that are to write sentences together, or the one, in the precision asked for.

    Raises:
        InputError: their words differ; or none was named, and none that came with imgnn looks through the network.
        WeightsError: the files of a model do not fit each other.
    """
    precision = backend.precision_of(options.precision)
    folders = options.models or (packaged_model(options.network),)
    models = [load_caption_model(folder, precision=precision) for folder in folders]
    check_vocabularies(models)
    return models


def check_vocabularies(models: Sequence[SentenceModel]) -> None:
    """See to it that models say the same words by the same numbers.

    Raises:
        InputError: they do not; the message names the first difference.
    """
    first = models[0]
    for model in models[1:]:
        pairs = itertools.zip_longest(first.vocabulary.words, model.vocabulary.words)
        for number, (one, other) in enumerate(pairs):
            if one != other:
                told = [repr(word) if word is not None else "none" for word in (one, other)]
                raise InputError(
                    f"{first.folder} and {model.folder} have different words: number {number} is {told[0]} and "
                    f"{told[1]}; the mean of models wants the same words in the same order",
                    hint="models that were trained on the same captions, with the same --minimum",
                )


def extractors_of(
    models: Sequence[SentenceModel], options: CaptionOptions, reporter: Reporter
) -> list[FeatureExtractor]:
    """What gives the features of each model; models with the same feature share one.

    Raises:
        WeightsError, InputError, DownloadError: as of `extractor_of`.
    """
    made: list[tuple[FeatureSpec, FeatureExtractor]] = []
    for spec in (model.feature for model in models):
        if all(spec != other for other, _ in made):
            extractor = extractor_of(spec, network=options.network, precision=options.precision, reporter=reporter)
            made.append((spec, extractor))
    return [next(extractor for spec, extractor in made if spec == model.feature) for model in models]


def save_decoder(
    path: Path, decoder: Decoder, feature: FeatureSpec, vocabulary: Vocabulary, facts: Mapping[str, Any]
) -> None:
    """Write a decoder's weights, its form, the feature it looks at, and a hash of its words.

    Raises:
        InputError: the file cannot be written.
    """
    known = {"decoder": asdict(decoder.spec), "feature": asdict(feature), "words": vocabulary.digest, **facts}
    save_checkpoint(path, decoder.weights(), known)


class Speaker:
    """Writes sentences for features with one decoder, or with the mean of several.

    Args:
        decoders: of one vocabulary.
        weights: of each decoder's probabilities; None: the same for all.
    """

    def __init__(self, decoders: Sequence[Decoder], weights: Sequence[float] | None = None) -> None:
        self.decoders = decoders
        alone = len(decoders) == 1
        step = decoders[0].step if alone else ensemble([each.step for each in decoders], weights)
        self.step = DeviceStep(step, [variable for each in decoders for variable in each.variables().values()])

    def begin(self, features: Sequence[np.ndarray]) -> Any:
        """The state before the first word: features `(n, numbers)` of the same pictures for each decoder."""
        states = tuple(
            decoder.begin(ops.convert_to_tensor(each.astype("float32")))
            for decoder, each in zip(self.decoders, features, strict=True)
        )
        return states[0] if len(states) == 1 else states

    def search(self, features: Sequence[np.ndarray], options: BeamOptions) -> Beams:
        """Sentences by beam search, of each picture; `features` as of `begin`."""
        return beam_search(self.step, self.begin(features), images=len(features[0]), options=options)

    def sample(self, features: Sequence[np.ndarray], options: SampleOptions, keys: Sequence[int]) -> Beams:
        """Sentences drawn at random, of each picture.

        Args:
            features: as of `begin`.
            keys: a number for each picture, which with the options' seed decides what is drawn for it.
        """
        return sample(self.step, self.begin(features), images=len(features[0]), options=options, keys=keys)

    def follow(self, features: Sequence[np.ndarray], tokens: np.ndarray) -> np.ndarray:
        """How probable each token of given sentences is after those before it.

        Args:
            features: `(n, numbers)` for each decoder.
            tokens: `(n, t)`, a sentence for each row of the features, without START.

        Returns:
            log_prob, float32 `(n, t)`.
        """
        state = self.begin(features)
        found = np.zeros(tokens.shape, "float32")
        last, rows = np.full(len(tokens), START, "int32"), np.arange(len(tokens))
        for place, following in enumerate(tokens.T.astype("int32")):
            log_prob, state = self.step.log_prob(last, state)
            found[:, place] = log_prob[rows, following]
            last = following
        return found
