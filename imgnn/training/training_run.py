"""The life of a training, whatever is trained: what it does after each step, and how it ends before its time.

What an epoch is, how it is judged and what is kept of it, each training says for itself (`jobs/finetune_run.py`,
`jobs/sentence_run.py`).
"""

import shlex
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from imgnn import backend
from imgnn.errors import DivergedError, InputError, InterruptedRun
from imgnn.options import FinetuneOptions, TrainSentenceOptions
from imgnn.runs import Reporter, Stop, Stopped
from imgnn.training.checkpoint import save_checkpoint
from imgnn.training.run_folder import LAST, MAKERS, Kind
from imgnn.training.run_log import RunLog

DRAW_EVERY = 20.0  # seconds between two drawings of curves
STEP_ROWS = 20  # lines of single steps in the log, for each epoch


@dataclass
class Position:
    """Where a training stands: all numbers that go into a checkpoint."""

    step: int = 0  # of the epoch
    steps: int = 0  # of the run
    loss: float = 0.0  # sum over the epoch so far
    best_epoch: int = 0
    waited: int = 0  # epochs since
    seconds: float = 0.0  # of training before this process


class TrainingRun(ABC):
    """A training under way: its position, its log, who may stop it, and where it is saved.

    Args:
        folder: of the run.
        stop: whether somebody asked to.
        began: when the command did, of `time.monotonic()`.

    Attributes:
        smaller: the options that make it need less memory.
        warnings: what was said of the training's health.
    """

    kind: Kind
    smaller: str
    options: FinetuneOptions | TrainSentenceOptions
    position: Position
    log: RunLog

    def __init__(self, folder: Path, reporter: Reporter, stop: Stop, began: float) -> None:
        self.folder, self.reporter, self.stop, self.began = folder, reporter, stop, began
        self.warnings: list[str] = []
        self.saved = self.drawn = time.monotonic()

    # What each says for itself

    @abstractmethod
    def epoch_number(self) -> int:
        """The epoch that is under way, from 1."""

    @abstractmethod
    def at_once(self) -> str:
        """What a step computes with, for whoever has too little memory for it."""

    @abstractmethod
    def save(self) -> None:
        """Write a checkpoint."""

    @abstractmethod
    def keep_best(self) -> None:
        """Write what is the best so far, if it is not in a file yet."""

    # The way

    def seconds(self) -> float:
        """Of the training, that of earlier processes included."""
        return self.position.seconds + time.monotonic() - self.began

    def has_waited(self, measure: str, what: str) -> bool:
        """Whether validation has not been better for as many epochs as `--patience` allows.

        Args:
            measure: what is not better; `what` ends: for the user, who is told.
        """
        if self.options.patience is None or self.position.waited < self.options.patience:
            return False
        self.reporter.note(f"No better {measure} in {self.position.waited} epochs: {what} ends")
        return True

    def after_step(self) -> None:
        """Save and draw when it is time to.

        Raises:
            Stopped: somebody asked for it.
        """
        if self.stop():
            raise Stopped
        if time.monotonic() - self.saved > self.options.save_every:
            self.save()
        self.draw_now_and_then()

    def draw_now_and_then(self) -> None:
        """Curves and events, while it trains."""
        if time.monotonic() - self.drawn > DRAW_EVERY:
            self.log.draw()
            self.drawn = time.monotonic()

    def write_checkpoint(self, arrays: Mapping[str, np.ndarray], **facts: Any) -> None:
        """Write arrays of any shapes, with the position and the warnings, for `--resume`."""
        position = asdict(replace(self.position, seconds=self.seconds()))
        save_checkpoint(self.folder / LAST, arrays, {"position": position, "warnings": self.warnings, **facts})
        self.saved = time.monotonic()

    # The end before its time

    @contextmanager
    def ending_well(self) -> Iterator[None]:
        """Where it trains: whatever ends it, what it has come to is saved, and the user told what to do.

        Raises:
            InterruptedRun: somebody asked for it; a checkpoint was written.
            DivergedError: the loss is no longer finite; where that was.
            InputError: the memory does not suffice.
        """
        try:
            yield
        except Stopped:
            self.reporter.end()
            self.reporter.note("Stopping: a checkpoint is being written")
            self.save()
            self.log.draw()
            raise InterruptedRun(
                f"saved at {self.place(self.position.step)}, in {self.folder}",
                hint=f"{MAKERS[self.kind]} --resume {shlex.quote(str(self.folder))}",
            ) from None
        except DivergedError as error:
            self.keep_best()
            self.log.draw()
            where = f"{self.place(self.failed_step())}, in {self.folder}"
            raise DivergedError(f"{error}, at {where}", hint=error.hint) from error
        except Exception as error:
            if not backend.is_out_of_memory(error):
                raise
            raise InputError(f"the memory does not suffice for {self.at_once()} at once", hint=self.smaller) from error
        finally:
            self.reporter.end()

    def place(self, step: int) -> str:
        """Where a step of the epoch under way is, for the user."""
        return f"step {step} of epoch {self.epoch_number()}"

    def failed_step(self) -> int:
        """The step after the last good one, from 1."""
        return self.position.step + 1
