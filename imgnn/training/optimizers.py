"""Keras's optimisers with a learning rate and a weight decay of its own for every variable."""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
from keras import ops

from imgnn import backend

Tensor = Any


@dataclass(frozen=True)
class Pace:
    """How one variable is trained: Caffe's lr_mult and decay_mult."""

    rate: float = 1.0  # of the learning rate
    decay: float = 1.0  # of the weight decay


class _Paced:
    """Mixed into an optimiser of Keras: each variable at its pace.

    `coupled` weight decay is added to the gradient, as Caffe does (its momentum remembers it); otherwise the weights
    shrink by `learning_rate * weight_decay` beside (AdamW: arXiv:1711.05101).
    """

    def pace(self, paces: Mapping[str, Pace], weight_decay: float, *, coupled: bool) -> Any:
        """Say how variables are trained, by their path; one that is not named is trained as `Pace()` says."""
        self.paces, self.decay_of_weights, self.coupled = dict(paces), weight_decay, coupled
        return self

    def build(self, variables: Sequence[Any]) -> None:
        super().build(variables)  # type: ignore[misc]
        self.in_order = [self.paces.get(variable.path, Pace()) for variable in variables]

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        # By number: on TensorFlow it is not Keras's variable that comes here, and has no path.
        pace = self.in_order[self._get_variable_index(variable)]  # type: ignore[attr-defined]
        rate = learning_rate * pace.rate
        if decay := self.decay_of_weights * pace.decay:
            if self.coupled:
                gradient = gradient + ops.multiply(variable, decay)
            else:
                self.assign_sub(variable, ops.multiply(variable, rate * decay))  # type: ignore[attr-defined]
        super().update_step(gradient, variable, rate)  # type: ignore[misc]


class PacedSGD(_Paced, keras.optimizers.SGD):
    """Momentum SGD; Caffe's, if the weight decay is coupled: `V = momentum V - rate (g + decay W); W += V`."""


class FusedAdam(keras.optimizers.Adam):
    """Adam, whose step over a variable is one operation where TensorFlow has it: Keras's own is ten, each of which goes
    through the memory once more."""

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        if backend.name() != "tensorflow":
            super().update_step(gradient, variable, learning_rate)
            return
        number = self._get_variable_index(variable)
        backend.apply_adam(
            variable,
            self._momentums[number],
            self._velocities[number],
            gradient,
            steps=self.iterations + 1,
            learning_rate=learning_rate,
            betas=(self.beta_1, self.beta_2),
            epsilon=self.epsilon,
        )


class PacedAdam(_Paced, FusedAdam):
    """Adam; AdamW, if the weight decay is not coupled."""


def build_optimizer(
    kind: Literal["sgd", "adam"],
    paces: Mapping[str, Pace],
    *,
    momentum: float = 0.9,
    beta: float = 0.99,
    weight_decay: float = 0.0,
    coupled: bool = False,
    clip: float | None = None,
) -> Any:
    """An optimiser whose `learning_rate` is assigned before each step.

    Args:
        beta: Adam's second one: how long it remembers the squares of gradients.
    """
    if kind == "adam":
        made = PacedAdam(learning_rate=0.0, beta_1=momentum, beta_2=beta, global_clipnorm=clip)
    else:
        made = PacedSGD(learning_rate=0.0, momentum=momentum, global_clipnorm=clip)
    return made.pace(paces, weight_decay, coupled=coupled)


def match_rate(name: str, rates: Sequence[tuple[str, float]]) -> float:
    """The factor that a layer is given: of the last pattern, as `inception_5*`, that its name fits; 1 if none."""
    return next((factor for pattern, factor in reversed(rates) if fnmatch.fnmatchcase(name, pattern)), 1.0)
