"""What a classifier said of pictures whose classes are known, and the numbers that sum it up."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from imgnn.errors import InputError
from imgnn.runs import write_aside

TOP = 5  # classes among which the true one is looked for, as in ImageNet's contest
SMALLEST = 1.17549435e-38  # a probability, where its logarithm is taken: Caffe's FLT_MIN in SoftmaxWithLoss
COLUMNS = ("path", "label", "predicted", "prob", "loss")


@dataclass(frozen=True, eq=False)
class Scores:
    """The probabilities that a classifier gave to pictures, beside the truth.

    Attributes:
        files: the pictures' names, n of them.
        labels: int `(n,)`, the true class of each, counted from 0.
        prob: float32 `(n, classes)`.
        classes: their names, in the order of the network's output.

    Raises:
        InputError: they are not as many of each, or a label is none of the classes.
    """

    files: tuple[str, ...]
    labels: np.ndarray
    prob: np.ndarray
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        n, count = len(self.files), len(self.classes)
        if self.labels.shape != (n,) or self.prob.shape != (n, count):
            raise InputError(
                f"{n} pictures of {count} classes have labels ({n},) and probabilities ({n}, {count}); "
                f"{self.labels.shape} and {self.prob.shape} were received"
            )
        outside = (self.labels < 0) | (self.labels >= count)
        if outside.any():
            first = int(np.argmax(outside))
            raise InputError(f"label {self.labels[first]} of {self.files[first]} is none of the {count} classes")

    @cached_property
    def predicted(self) -> np.ndarray:
        """Int `(n,)`: the most probable class of each picture; of two equal ones the first."""
        return self.prob.argmax(axis=1)

    @cached_property
    def true_prob(self) -> np.ndarray:
        """Float32 `(n,)`: what the true class of each picture was given."""
        return self.prob[np.arange(len(self.files)), self.labels]

    @property
    def accuracy(self) -> float:
        """The share of pictures whose most probable class is the true one, 0..1; nan without pictures."""
        return mean(self.predicted == self.labels)

    def top_accuracy(self, top: int) -> float | None:
        """The share of pictures whose true class is among the `top` most probable, 0..1; None if that is all of them.

        As `networks.predict.top_classes` has it: of two equally probable classes the first comes first.
        """
        if len(self.classes) <= top:
            return None
        best = np.argsort(-self.prob, axis=1, kind="stable")[:, :top]
        return mean((best == self.labels[:, None]).any(axis=1))

    @property
    def top5(self) -> float | None:
        """`top_accuracy` of five classes."""
        return self.top_accuracy(TOP)

    @cached_property
    def losses(self) -> np.ndarray:
        """Float64 `(n,)`: the cross-entropy of each picture, `-log p` of its true class (natural; at most 87.3)."""
        return -np.log(np.maximum(self.true_prob.astype("float64"), SMALLEST))

    @property
    def loss(self) -> float:
        """The mean of `losses`; nan without pictures."""
        return mean(self.losses)

    @cached_property
    def confusion(self) -> np.ndarray:
        """Int `(classes, classes)`: how many pictures of the row's class were taken for the column's."""
        counts = np.zeros((len(self.classes), len(self.classes)), "int64")
        np.add.at(counts, (self.labels, self.predicted), 1)
        return counts

    @property
    def recall(self) -> np.ndarray:
        """Float64 `(classes,)`: of the pictures of a class, the share that was found; nan where there is none."""
        return divide(self.confusion.diagonal(), self.confusion.sum(axis=1))

    @property
    def precision(self) -> np.ndarray:
        """Float64 `(classes,)`: of the pictures taken for a class, the share that is; nan where there is none."""
        return divide(self.confusion.diagonal(), self.confusion.sum(axis=0))

    def most_confused(self, count: int) -> list[tuple[int, int, int]]:
        """The mistakes made most often: at most `count` times (true class, predicted class, pictures), most first.

        Classes are numbers; mistakes made equally often come in their order.
        """
        wrong = self.confusion.copy()
        np.fill_diagonal(wrong, 0)
        true, predicted = np.nonzero(wrong)
        pictures = wrong[true, predicted]
        order = np.argsort(-pictures, kind="stable")[:count]
        return [(int(true[each]), int(predicted[each]), int(pictures[each])) for each in order]

    def top_losses(self, count: int) -> list[int]:
        """The pictures that it was most wrong about: at most `count` places in `files`, the largest loss first."""
        return [int(each) for each in np.argsort(-self.losses, kind="stable")[:count]]

    def write_predictions(self, path: Path) -> None:
        """Write a table (CSV) of all pictures: path, label, predicted, prob, loss.

        Classes by name; `prob` is that of the true class.

        Raises:
            InputError: the file cannot be written.
        """
        with (
            write_aside(path) as aside,
            aside.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
        ):
            table = csv.writer(file, lineterminator="\n")
            table.writerow(COLUMNS)
            for name, label, predicted, prob, loss in zip(
                self.files, self.labels, self.predicted, self.true_prob, self.losses, strict=True
            ):
                table.writerow((name, self.classes[label], self.classes[predicted], f"{prob:.6g}", f"{loss:.6g}"))


def mean(values: Sequence[float] | np.ndarray) -> float:
    """The mean; nan of nothing."""
    return float(np.mean(values)) if len(values) else float("nan")


def divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Shares as float64; nan of nothing."""
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
