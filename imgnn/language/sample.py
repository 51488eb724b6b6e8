"""Sentences drawn at random, as often as the model finds them probable."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imgnn.errors import InputError
from imgnn.language.rules import Beams, Rules, check_numbers, make_hypothesis
from imgnn.language.steps import HostStep, State, Step, driver
from imgnn.language.vocabulary import END, START

COLD = 1e-6  # temperatures below leave float32 nothing but the most probable token


@dataclass(frozen=True)
class SampleOptions(Rules):
    """What `sample` may be told. Temperature, top_k and top_p act in this order."""

    n: int = 1  # sentences for each image
    temperature: float = 1.0  # log_prob is divided by it: below 1 more of the probable, 0 the most probable alone
    top_k: int = 0  # only so many of the most probable tokens are drawn from; 0: all
    top_p: float = 1.0  # only the most probable tokens that together reach this probability, 0..1; 1: all
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n < 1:
            raise InputError(f"at least 1 sentence is wanted of each image, not {self.n}")
        if self.temperature < 0 or self.top_k < 0 or self.seed < 0:
            raise InputError(
                f"temperature, top_k and seed are 0 or more, not {self.temperature:g}, {self.top_k} and {self.seed}"
            )
        if not 0 < self.top_p <= 1:
            raise InputError(f"top_p is a probability above 0, not {self.top_p:g}")


def sample(
    step: Step | HostStep,
    state: State,
    *,
    images: int,
    options: SampleOptions | None = None,
    keys: Sequence[int] | None = None,
) -> Beams:
    """`n` sentences of each image, in the order in which they are drawn; two may be the same.

    Args:
        step: a step function; see `imgnn.language.steps`.
        state: before the first step, of each image: `(images, ...)`.
        images: how many.
        keys: a number for each image, 0 or more. What is drawn depends on it and the seed, so that a picture gets the
            same sentences alone and among others. None: its place, from 0.

    Returns:
        Sentences whose log_probs, and score, their sum, are the model's own, without temperature and truncation.

    Raises:
        DivergedError: the model answers with nan.

    Source: top_p: The Curious Case of Neural Text Degeneration, arXiv:1904.09751; the token that crosses it is kept.
    """
    options = options or SampleOptions()
    run = driver(step)
    rows = images * options.n
    # A number for each token to come: independent of what the other sentences of the batch do.
    uniform = np.array(
        [
            np.random.default_rng((options.seed, key, number)).random(options.max_length)
            for key in (range(images) if keys is None else keys)
            for number in range(options.n)
        ]
    ).reshape(rows, options.max_length)

    state = run.rows(state, np.repeat(np.arange(images), options.n))
    tokens = np.full((rows, options.max_length), START, "int32")
    log_probs = np.zeros((rows, options.max_length), "float32")
    lengths = np.zeros(rows, int)
    last, on = np.full(rows, START, "int32"), np.arange(rows)  # the rows that go on
    for length in range(options.max_length):
        if not len(on):
            break
        log_prob, state = run.log_prob(last, state)
        check_numbers(log_prob, length)
        allowed = log_prob[on]
        forbidden = options.forbidden(tokens[on, :length])
        row, place = np.nonzero(forbidden >= 0)
        allowed[row, forbidden[row, place]] = -np.inf
        possible = allowed.max(axis=1) > -np.inf  # a sentence stops where the rules leave no token
        on, allowed = on[possible], allowed[possible]
        drawn = draw(allowed, uniform[on, length], options)
        tokens[on, length] = last[on] = drawn
        log_probs[on, length] = log_prob[on, drawn]
        lengths[on] = length + 1
        on = on[drawn != END]
    sentences = [make_hypothesis(tokens[each, :end], log_probs[each, :end]) for each, end in enumerate(lengths)]
    return [sentences[start : start + options.n] for start in range(0, rows, options.n)]


def draw(log_prob: np.ndarray, uniform: np.ndarray, options: SampleOptions) -> np.ndarray:
    """A token of each row.

    Args:
        log_prob: float32 `(n, vocabulary)`, not necessarily of sum 1; -inf: impossible, but not all of a row.
        uniform: `(n,)`, 0 <= u < 1: the token is the one at which the probabilities, added up, exceed it.

    Returns:
        int `(n,)`.
    """
    if options.temperature < COLD:
        return log_prob.argmax(axis=1)
    log_prob = (log_prob - log_prob.max(axis=1, keepdims=True)) / options.temperature
    if options.top_k or options.top_p < 1:
        log_prob = np.where(log_prob < least_kept(log_prob, options)[:, None], -np.inf, log_prob)
    total = np.exp(log_prob).cumsum(axis=1, dtype="float64")
    # The first token whose total lies above; one of probability 0 adds nothing and is never it.
    return (total <= uniform[:, None] * total[:, -1:]).sum(axis=1)


def least_kept(log_prob: np.ndarray, options: SampleOptions) -> np.ndarray:
    """The log_prob `(n,)` below which top_k and top_p cut a row off; tokens that are equal stay together."""
    # NumPy sorts values several times faster than it finds their order.
    ordered = -np.sort(-log_prob, axis=1)[:, : options.top_k or None]
    prob = np.exp(ordered).cumsum(axis=1, dtype="float64")
    crossing = (prob < options.top_p * prob[:, -1:]).sum(axis=1)
    return ordered[np.arange(len(ordered)), crossing]
