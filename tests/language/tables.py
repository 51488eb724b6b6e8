"""Language models that are tables, so that every sentence's probability can be looked up."""

from itertools import product

import numpy as np

from imgnn.language.vocabulary import END

A, B, C = 3, 4, 5  # words


def log(prob):
    with np.errstate(divide="ignore"):
        return np.log(np.asarray(prob, "float32"))


class Table:
    """What comes next depends on the picture, the place in the sentence and the token before.

    Args:
        prob: `(images, steps, vocabulary before, vocabulary)`.
    """

    def __init__(self, prob):
        self.log_prob = log(prob)
        self.calls = 0

    @classmethod
    def drawn(cls, seed, images=1, steps=4, vocabulary=5):
        return cls(np.random.default_rng(seed).dirichlet(np.ones(vocabulary), (images, steps, vocabulary)))

    @classmethod
    def after(cls, *, steps=20, vocabulary=6, **rows):
        """One picture; `START={A: 0.6, B: 0.4}, A={END: 1}` and so on, the same at each place."""
        prob = np.zeros((1, steps, vocabulary, vocabulary))
        prob[..., END] = 1.0
        for before, row in rows.items():
            before = {"START": 0, "A": A, "B": B, "C": C}[before]
            prob[:, :, before] = 0.0
            for token, each in row.items():
                prob[:, :, before, token] = each
        return cls(prob)

    def state(self, *pictures):
        pictures = np.array(pictures or range(len(self.log_prob)))
        return {"picture": pictures, "place": np.zeros_like(pictures)}

    def __call__(self, tokens, state):
        self.calls += 1
        picture, place = state["picture"], state["place"]
        return self.log_prob[picture, place, tokens], {"picture": picture, "place": place + 1}

    def each_log_prob(self, picture, sentence):
        before = (0, *sentence[:-1])
        return [float(self.log_prob[picture, place, before[place], token]) for place, token in enumerate(sentence)]

    def all_finished(self, picture, longest):
        """Every sentence that END closes, with its length at most `longest`: (words, log_prob)."""
        words = [token for token in range(self.log_prob.shape[-1]) if token != END]
        for length in range(longest):
            for sentence in product(words, repeat=length):
                yield sentence, sum(self.each_log_prob(picture, (*sentence, END)))
