"""A language model as decoding sees it: the tokens of one step in, the probabilities of the next ones out.

A step function is `(tokens, state) -> (log_prob, state)`: `tokens` int32 `(n,)`, `log_prob` float32 `(n, vocabulary)`
after the log-softmax, `state` tensors in tuples or dicts, each `(n, ...)`. The first tokens are START. Decoding calls
it through `HostStep` (NumPy) or `DeviceStep` (compiled), which do the same.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import Variable, ops, tree

from imgnn.backend import Tensor, compiled
from imgnn.errors import InputError

State = Any
Step = Callable[[Tensor, State], tuple[Tensor, State]]

FLOOR = float(np.log(np.finfo("float32").tiny))  # -87.3: what is less probable is 0 in float32, without a logarithm
IMPLAUSIBLE = 1000.0  # taken from a log_prob: its probability is 0, but -inf would say that there is no such token


class HostStep:
    """A step function that is called as it is, with NumPy arrays."""

    def __init__(self, step: Step) -> None:
        self.step = step

    def rows(self, state: State, indices: np.ndarray) -> State:
        """The state of some rows, in this order, some perhaps twice."""
        return tree.map_structure(lambda each: np.asarray(each)[indices], state)

    def log_prob(self, tokens: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """What comes next: float32 `(n, vocabulary)`, and the next state."""
        log_prob, state = self.step(tokens, state)
        return np.asarray(log_prob), state

    def best(
        self, count: int, tokens: np.ndarray, parents: np.ndarray, state: State
    ) -> tuple[np.ndarray, np.ndarray, State]:
        """The most probable next tokens, the lower id first where two are equal (Torch does not promise it).

        Args:
            count: how many, at most; no more than there are tokens.
            tokens: int32 `(n,)`.
            parents: int32 `(n,)`, the row of `state` that each row goes on from.

        Returns:
            `log_prob` and token ids, `(n, count)` each, and the next state.
        """
        log_prob, state = self.log_prob(tokens, self.rows(state, parents))
        ids = np.argsort(-log_prob, axis=1, kind="stable")[:, :count]
        return np.take_along_axis(log_prob, ids, axis=1), ids, state


class DeviceStep(HostStep):
    """A step function of `keras.ops`, compiled once for each number of rows; its state stays on the device.

    Keep it for all pictures: tracing takes longer than a step.

    Args:
        variables: of Keras, that the function reads.
    """

    def __init__(self, step: Step, variables: Sequence[Any] = ()) -> None:
        super().__init__(compiled(step, variables))
        self.traceable, self.variables = step, variables
        self.find_best: dict[int, Callable[..., Any]] = {}  # by how many

    def rows(self, state: State, indices: np.ndarray) -> State:
        return tree.map_structure(lambda each: ops.take(each, indices, axis=0), state)

    def log_prob(self, tokens: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        log_prob, state = self.step(ops.convert_to_tensor(tokens, "int32"), state)
        return ops.convert_to_numpy(log_prob), state

    def best(
        self, count: int, tokens: np.ndarray, parents: np.ndarray, state: State
    ) -> tuple[np.ndarray, np.ndarray, State]:
        def find(tokens: Tensor, parents: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
            log_prob, state = self.traceable(tokens, self.rows(state, parents))
            return *ops.top_k(log_prob, min(count, log_prob.shape[-1])), state

        if count not in self.find_best:  # only as many go to the processor as are looked at
            self.find_best[count] = compiled(find, self.variables)
        tokens, parents = (ops.convert_to_tensor(each, "int32") for each in (tokens, parents))
        values, ids, state = self.find_best[count](tokens, parents, state)
        return ops.convert_to_numpy(values), ops.convert_to_numpy(ids), state


def driver(step: Step | HostStep) -> HostStep:
    """What calls the step function; a plain one is taken for one of NumPy."""
    return step if isinstance(step, HostStep) else HostStep(step)


def log_shares(models: int, weights: Sequence[float] | None = None) -> np.ndarray:
    """How much each of several models counts in their mean.

    Args:
        weights: of each, above 0; None: the same for all.

    Returns:
        float64 `(models,)`: logarithms of shares whose sum is 1.

    Raises:
        InputError: no models, or weights that do not fit them.
    """
    share = np.ones(models) if weights is None else np.asarray(weights, float)
    if not models or share.shape != (models,):
        raise InputError(f"{len(share)} weights for {models} models")
    if not (np.isfinite(share) & (share > 0)).all():
        raise InputError(f"the weights of models are above 0, not {', '.join(f'{each:g}' for each in share)}")
    return np.log(share / share.sum())


def ensemble(steps: Sequence[Step], weights: Sequence[float] | None = None) -> Step:
    """Several models as one that says the mean of their probabilities.

    Args:
        steps: step functions with the same vocabulary, of NumPy or of `keras.ops`.
        weights: as of `log_shares`.

    Returns:
        A step function; its state is the tuple of theirs.

    Raises:
        InputError: as of `log_shares`; at the first step: vocabularies of different sizes.
    """
    log_share = log_shares(len(steps), weights).astype("float32")[:, None, None]

    def step(tokens: Tensor, state: State) -> tuple[Tensor, State]:
        answers = [each(tokens, own) for each, own in zip(steps, state, strict=True)]
        sizes = [answer.shape[-1] for answer, _ in answers]
        if len(set(sizes)) > 1:
            raise InputError(f"models of one vocabulary are wanted; theirs have {', '.join(map(str, sizes))} tokens")
        log_prob = ops.logsumexp(ops.add(ops.stack([answer for answer, _ in answers]), log_share), axis=0)
        return log_prob, tuple(own for _, own in answers)

    return step


def contrast(step: Step, weight: float | Variable, plausible: float = 0.1) -> Step:
    """A model that says what it finds probable of one picture, and improbable of another.

    `log_prob` of the one less `weight` times that of the other, normalised. That alone would prefer what no picture
    makes probable; so a token counts that is nearly as probable, for the one picture, as its most probable token. The
    others are 1000 less: they are drawn, or come first in a beam, only where the rules leave nothing else.

    Args:
        step: a step function, of NumPy or of `keras.ops`.
        weight: 0 or more; 0: the one picture's own probabilities, cut; 1: the paper's. A variable may change later.
        plausible: how probable a token is at least, as a share of the most probable one's, 0..1; 0: all count.

    Returns:
        A step function; its state is a pair: of the one picture, and of the other.

    Raises:
        InputError: a number out of its range.

    Source: Contrastive Decoding, arXiv:2210.15097, eq. 2 and 3, where the other is a smaller model instead of another
    picture.
    """
    if not 0 <= weight < np.inf or not 0 <= plausible <= 1:
        raise InputError(f"the weight is 0 or more and plausible 0 to 1, not {weight:g} and {plausible:g}")
    with np.errstate(divide="ignore"):
        share = float(np.log(plausible))

    def contrasted(tokens: Tensor, state: State) -> tuple[Tensor, State]:
        own, other = state
        own_log_prob, own = step(tokens, own)
        other_log_prob, other = step(tokens, other)
        log_prob = ops.subtract(own_log_prob, weight * ops.maximum(other_log_prob, FLOOR))
        counts = ops.greater_equal(own_log_prob, ops.max(own_log_prob, axis=-1, keepdims=True) + share)
        return ops.log_softmax(ops.where(counts, log_prob, log_prob - IMPLAUSIBLE), axis=-1), (own, other)

    return contrasted
