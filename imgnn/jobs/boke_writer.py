"""A decoder as boke need it: sentences drawn or looked for, away from what another picture makes probable."""

from collections.abc import Sequence

import numpy as np
from keras import Variable

from imgnn.jobs.sentence_model import Speaker
from imgnn.language.beam import BeamOptions, beam_search
from imgnn.language.decoder import Decoder
from imgnn.language.rules import Beams, Hypothesis
from imgnn.language.sample import SampleOptions, sample
from imgnn.language.steps import DeviceStep, State, contrast
from imgnn.language.vocabulary import END


class BokeWriter:
    """Writes with one decoder.

    In all its methods `features` and `others` are `(n, numbers)`: a row for each picture, and what it is contrasted
    with; `weight` is how strongly (0: not at all, and `others` are not looked at).
    """

    def __init__(self, decoder: Decoder) -> None:
        self.speaker = Speaker([decoder])
        # A variable: with a number each weight would be traced anew.
        self.weight = Variable(0.0, trainable=False, dtype="float32")
        variables = [*decoder.variables().values(), self.weight]
        self.against = DeviceStep(contrast(decoder.step, self.weight), variables)

    def begin(self, features: np.ndarray, others: np.ndarray, weight: float) -> tuple[DeviceStep, State]:
        """What is followed, and the state before the first token."""
        state = self.speaker.begin([features])
        if not weight:
            return self.speaker.step, state
        self.weight.assign(weight)
        return self.against, (state, self.speaker.begin([others]))

    def draw(
        self, features: np.ndarray, others: np.ndarray, weight: float, options: SampleOptions, keys: Sequence[int]
    ) -> Beams:
        """Sentences at random; see `language.sample`. With a weight their log_probs are not the model's own."""
        step, state = self.begin(features, others, weight)
        return sample(step, state, images=len(features), options=options, keys=keys)

    def search(self, features: np.ndarray, others: np.ndarray, weight: float, options: BeamOptions) -> Beams:
        """The most probable sentences; see `language.beam`. With a weight their log_probs are not the model's own."""
        step, state = self.begin(features, others, weight)
        return beam_search(step, state, images=len(features), options=options)

    def log_probs(self, features: np.ndarray, sentences: Sequence[Hypothesis]) -> np.ndarray:
        """How probable the model itself finds sentences that came to an end, one for each row: float32 `(n,)`."""
        longest = max(len(each.tokens) for each in sentences)
        tokens = np.full((len(sentences), longest + 1), END)
        for row, each in zip(tokens, sentences, strict=True):
            row[: len(each.tokens)] = each.tokens
        said = np.arange(longest + 1) <= np.array([[len(each.tokens)] for each in sentences])
        return (self.speaker.follow([features], tokens) * said).sum(axis=1)
