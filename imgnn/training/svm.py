"""A linear support vector machine: a classifier on features, solved in one go."""

from collections.abc import Mapping

import numpy as np

STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)  # of C, from which cross-validation chooses
FOLDS = 5
TOLERANCE = 1e-4  # the gradient at the end, of the one at weights of 0
MOST_ROWS = 4000  # from which C is chosen; the classifier itself is fitted to all


def fit_svm(
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    strength: float,
    *,
    start: np.ndarray | None = None,
    tolerance: float = TOLERANCE,
) -> tuple[np.ndarray, np.ndarray]:
    """One class against the others, squared hinge loss: `|w|^2 / 2 + C sum max(0, 1 - y (w x + b))^2`, b penalised too.

    The problem is convex, its second derivative piecewise constant: Newton's method finds the end in few steps, each
    of which solves for its direction by conjugate gradients, for all classes at once.

    Args:
        features: float `(n, d)`; what is not float32 is copied.
        labels: int `(n,)`, 0..classes - 1.
        strength: C.
        start: `(d + 1, classes)`, weights to begin with.
        tolerance: the gradient at the end, of the one at weights of 0.

    Returns:
        kernel float32 `(d, classes)` and bias float32 `(classes,)`.

    Sources: LIBLINEAR: A Library for Large Linear Classification, Fan et al., JMLR 9 (2008), its L2-loss SVM, which
    treats the bias as the weight of a feature that is 1; A Modified Finite Newton Method for Fast Solution of Large
    Scale Linear SVMs, Keerthi and DeCoste, JMLR 6 (2005).
    """
    x = np.asarray(features, "float32")
    signs = np.where(labels[:, None] == np.arange(classes), 1, -1).astype("float32")
    weights = np.zeros((x.shape[1] + 1, classes)) if start is None else start.astype("float64")
    at_zero = np.linalg.norm(2 * strength * transposed(x, signs), axis=0)
    for _ in range(100):
        slack = np.maximum(0, 1 - signs * scores_of(x, weights))
        gradient = weights - 2 * strength * transposed(x, signs * slack)
        size = np.linalg.norm(gradient, axis=0)
        open_ = size > tolerance * np.maximum(at_zero, 1e-300)
        if not open_.any():
            break
        step = solve(x, slack > 0, strength, -gradient * open_)
        share = line_search(x, signs, weights, step, strength)
        if not share.any():  # as far as float32 tells
            break
        weights = weights + step * share
    return weights[:-1].astype("float32"), weights[-1].astype("float32")


# The features stay float32: twice as fast as float64, and no copy of them is made. What is added up over many steps,
# weights and directions, is float64.


def scores_of(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Float32 `(n, classes)`: features and a 1 behind them, times weights `(d + 1, classes)`."""
    rounded = weights.astype("float32")
    return x @ rounded[:-1] + rounded[-1]


def transposed(x: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Float64 `(d + 1, classes)`: the transpose of features and a 1 behind them, times float32 `(n, classes)`."""
    return np.concatenate([x.T @ values, values.sum(axis=0, keepdims=True)]).astype("float64")


def solve(x: np.ndarray, active: np.ndarray, strength: float, right: np.ndarray) -> np.ndarray:
    """The p with `p + 2 C X^T (active X p) = right`, a column for each class, by conjugate gradients, roughly.

    Args:
        active: bool `(n, classes)`.
    """
    found = np.zeros_like(right)
    residual, direction = right.copy(), right.copy()
    square = (residual**2).sum(axis=0)
    enough = 1e-4 * square  # a hundredth of the length
    for _ in range(250):
        if (square <= enough).all():
            break
        curved = direction + 2 * strength * transposed(x, active * scores_of(x, direction))
        length = square / np.maximum((direction * curved).sum(axis=0), 1e-300)
        length = np.where(square > enough, length, 0.0)
        found += length * direction
        residual -= length * curved
        now = (residual**2).sum(axis=0)
        direction = residual + np.where(square > enough, now / np.maximum(square, 1e-300), 0.0) * direction
        square = now
    return found


def line_search(x: np.ndarray, signs: np.ndarray, weights: np.ndarray, step: np.ndarray, strength: float) -> np.ndarray:
    """How much of each class's step is taken: all of it, or a half, a quarter, ... until the objective falls; or 0."""
    scores, moved = scores_of(x, weights), scores_of(x, step)

    def objective(share: np.ndarray) -> np.ndarray:
        slack = np.maximum(0, 1 - signs * (scores + share.astype("float32") * moved))
        return 0.5 * ((weights + share * step) ** 2).sum(axis=0) + strength * (slack**2).sum(axis=0, dtype="float64")

    share, before = np.ones(weights.shape[1]), objective(np.zeros(weights.shape[1]))
    worse = objective(share) > before
    for _ in range(30):
        if not worse.any():
            break
        share = np.where(worse, share / 2, share)
        worse = objective(share) > before
    return np.where(worse, 0.0, share)


def choose_strength(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray, classes: int, *, seed: int = 0
) -> tuple[float, Mapping[float, float]]:
    """The C with the best accuracy in cross-validation; of equal ones the smallest, which forgives most.

    Args:
        groups: `(n,)`: rows with the same number (views of one picture) stay together.

    Returns:
        C, and the accuracy of each that was tried.
    """
    random = np.random.default_rng(seed)
    if len(labels) > MOST_ROWS:
        rows = np.sort(random.permutation(len(labels))[:MOST_ROWS])
        features, labels, groups = features[rows], labels[rows], groups[rows]
    names = np.unique(groups)
    folds = dict(zip(names, random.permutation(len(names)) % FOLDS, strict=True))
    fold = np.array([folds[group] for group in groups])
    right = dict.fromkeys(STRENGTHS, 0)
    for number in range(FOLDS):
        held = fold == number
        if not held.any() or held.all():
            continue
        start = None
        for strength in STRENGTHS:  # from one to the next the solution moves little
            kernel, bias = fit_svm(features[~held], labels[~held], classes, strength, start=start, tolerance=1e-2)
            start = np.concatenate([kernel, bias[None]])
            right[strength] += int(((features[held] @ kernel + bias).argmax(1) == labels[held]).sum())
    accuracy = {strength: count / len(labels) for strength, count in right.items()}
    return max(STRENGTHS, key=lambda strength: (accuracy[strength], -strength)), accuracy
