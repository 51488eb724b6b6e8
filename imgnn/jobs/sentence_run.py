"""The training of a decoder under way: epoch by epoch, from checkpoint to checkpoint.

What captions and boke share. How an epoch is judged, and what is kept of it, each says for itself (`caption_run`,
`boke_run`).
"""

import math
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from imgnn import backend
from imgnn.errors import DivergedError, InterruptedRun
from imgnn.jobs.sentence_data import Material
from imgnn.jobs.sentence_model import Speaker
from imgnn.jobs.sentence_sources import CachedSource, Source
from imgnn.language.decoder import Decoder, DecoderSpec
from imgnn.options import TrainSentenceOptions
from imgnn.runs import Reporter, Stop, Stopped, is_file
from imgnn.training.checkpoint import load_checkpoint, save_checkpoint
from imgnn.training.likelihood import Likelihood, other_pictures
from imgnn.training.run_folder import LAST, MAKERS, SKIPPED, Kind
from imgnn.training.run_log import Row, RunLog
from imgnn.training.schedule import Schedule
from imgnn.training.sentence_trainer import SentenceTrainer
from imgnn.training.sentences import SentenceBatch

DRAW_EVERY = 20.0  # seconds between two drawings of curves
STEP_ROWS = 20  # lines of single steps in the log, for each epoch
WARMUP = 50  # steps over which the learning rate rises
AT_LEAST = 128  # sentences that are judged at once


@dataclass
class Position:
    """Where a training stands: all numbers that go into a checkpoint."""

    epoch: int = 0  # done
    step: int = 0  # of the epoch
    steps: int = 0  # of the run
    loss: float = 0.0  # sums over the epoch so far
    tokens: float = 0.0
    batches: float = 0.0  # what sentences of a batch cost on average, summed over batches
    best: float = -1.0  # CIDEr-D of the best epoch
    best_loss: float = 0.0  # of val, there
    best_epoch: int = 0
    waited: int = 0  # epochs since
    seconds: float = 0.0  # of training before this process
    trained: float = 0.0  # seconds of steps, and tokens in them
    trained_tokens: float = 0.0
    ranked: list[tuple[float, int]] = field(default_factory=list)  # CIDEr-D and epoch of those to be averaged


class SentenceTraining:
    """A run under way: its decoder, its material, its position, its files."""

    kind: Kind
    measure: str  # by which the best epoch is told
    columns: tuple[str, ...]  # of log.csv
    curves: Callable[[Sequence[Row], Path], None]  # draws curves.png

    def __init__(
        self,
        material: Material,
        spec: DecoderSpec,
        options: TrainSentenceOptions,
        folder: Path,
        reporter: Reporter,
        stop: Stop,
        began: float,
    ) -> None:
        self.material, self.options, self.folder = material, options, folder
        self.reporter, self.stop, self.began = reporter, stop, began
        self.source, self.feature = self.first_source(), material.spec
        self.precision = backend.precision_of(options.precision)
        reporter.note(backend.where(self.precision))
        self.decoder = Decoder(spec, dropout=options.dropout, precision=self.precision, seed=options.seed)
        self.decoder.begin_with(material.vocabulary.counts)
        self.decoder.standardise(material.train.features)
        self.trainer = SentenceTrainer(self.decoder, **self.training_options())
        self.speaker, self.likelihood = Speaker([self.decoder]), Likelihood([self.decoder])
        self.position = Position()
        self.warnings: list[str] = []
        # An epoch of another source has another number of steps: the learning rate goes by those of the first.
        self.steps = self.source.steps
        total = self.steps * options.epochs
        self.schedule = Schedule(options.schedule, total, warmup=min(WARMUP, total // 10))
        self.known = frozenset(tokens for said in material.train.tokens for tokens in said)
        self.saved = self.drawn = time.monotonic()
        self.log: RunLog | None = None

    # What captions and boke say for themselves

    def first_source(self) -> Source:
        """Where batches come from, at first."""
        return CachedSource(self.material, self.options)

    def prepare_epoch(self) -> None:
        """Before an epoch begins, or goes on."""

    def mixed(self, x: np.ndarray, batch: SentenceBatch, random: np.random.Generator) -> SentenceBatch:
        """The batch as it is trained on."""
        return batch

    def end_epoch(self, began: float) -> None:
        """Judge an epoch, write it down, and keep what is best.

        Args:
            began: when the epoch did, or this process with it.
        """
        raise NotImplementedError

    # The way

    def training_options(self) -> dict[str, Any]:
        """What every trainer is told."""
        options = self.options
        return {
            "clip": options.clip or None,
            "weight_decay": options.weight_decay,
            "smoothing": options.smoothing,
        }

    @property
    def stage(self) -> str:
        """What is trained."""
        return "decoder"

    def done(self) -> int:
        """Steps that are done, as many to an epoch as the first source has."""
        position = self.position
        return position.epoch * self.steps + position.step * self.steps // self.source.steps

    def rate(self) -> float:
        """The learning rate of the next step."""
        return self.options.learning_rate * self.schedule(self.done())

    def train(self) -> None:
        """Train what is left of all epochs.

        Raises:
            InterruptedRun: Ctrl-C; a checkpoint was written.
            DivergedError: the loss is no longer finite.
        """
        position, options = self.position, self.options
        self.log = RunLog(
            self.folder, step=position.steps, epochs=position.epoch, columns=self.columns, curves=self.curves
        )
        if self.material.bad:
            lines = "".join(f"{name}\t{why}\n" for name, why in self.material.bad.items())
            (self.folder / SKIPPED).write_text(lines, encoding="utf-8")
        self.begin_bar()
        try:
            while position.epoch < options.epochs:
                if options.patience is not None and position.waited >= options.patience:
                    self.reporter.note(f"No better {self.measure} in {position.waited} epochs: training ends")
                    break
                self.prepare_epoch()
                began = time.monotonic()
                self.train_epoch()
                self.end_epoch(began)
        except Stopped:
            self.interrupted()
        except DivergedError as error:
            self.log.draw()
            step = min(position.step + 1, self.source.steps)  # all were done where validation tells of it
            where = f"step {step} of epoch {position.epoch + 1}, in {self.folder}"
            raise DivergedError(f"{error}, at {where}", hint=error.hint) from error
        finally:
            self.reporter.end()
        self.log.draw()

    def begin_bar(self) -> None:
        """The progress of all epochs, as many steps each as one has now."""
        self.reporter.begin("training", self.options.epochs * self.source.steps, "steps")

    def train_epoch(self) -> None:
        """The steps that are left of an epoch."""
        position, options, log, source = self.position, self.options, self.log, self.source
        assert log is not None  # noqa: S101  train() made it
        began, tokens_here = time.monotonic(), 0.0
        try:
            with self.trainer.computing():
                for step, x, batch, random in source.epoch(position.epoch, position.step):
                    rate = self.rate()
                    loss = self.trainer.step(x, self.mixed(x, batch, random), rate)
                    weight = float(batch.weights.sum())
                    position.step, position.steps = step + 1, position.steps + 1
                    position.loss, position.tokens = position.loss + loss * weight, position.tokens + weight
                    position.batches += loss * weight / float(batch.weights[:, 0].sum())
                    tokens_here += np.count_nonzero(batch.weights)
                    speed = tokens_here / max(1e-9, time.monotonic() - began)
                    if position.step % max(1, source.steps // STEP_ROWS) == 0:
                        log.add(
                            "step", step=position.steps, epoch=position.epoch + 1, stage=self.stage, loss=loss,
                            learning_rate=rate, tokens_per_second=round(speed),
                        )  # fmt: skip
                    self.reporter.advance(
                        position.epoch * source.steps + position.step,
                        loss=position.loss / position.tokens,
                        epoch=position.epoch + 1,
                        **{"tokens/s": speed},
                    )
                    if self.stop():
                        raise Stopped
                    if time.monotonic() - self.saved > options.save_every:
                        self.save()
                    self.draw_now_and_then()
        finally:
            position.trained += time.monotonic() - began
            position.trained_tokens += tokens_here

    def losses(self, features: np.ndarray) -> dict[str, float]:
        """What the validation sentences cost, beside their own pictures and beside others.

        Args:
            features: of the validation pictures.

        Raises:
            DivergedError: the last step made the decoder's weights infinite, or no numbers.
        """
        part, batch = self.material.val, max(AT_LEAST, self.options.batch)
        with np.errstate(invalid="ignore"):
            loss = self.likelihood.nats_per_token([features], part.sentences, batch=batch)
        if not math.isfinite(loss):
            raise DivergedError("the loss of val is no longer finite", hint="a smaller --learning-rate")
        others = other_pictures(len(part.images))
        shuffled = self.likelihood.nats_per_token([features], part.sentences, others, batch=batch)
        return {"val_loss": loss, "perplexity": math.exp(min(loss, 50.0)), "image_gain": shuffled - loss}

    def log_epoch(self, began: float, facts: dict[str, Any], words: str) -> None:
        """Write an epoch down, which is the next one from here on.

        Args:
            began: as of `end_epoch`.
            facts: what it came to.
            words: the same, for the user.
        """
        position, log = self.position, self.log
        assert log is not None  # noqa: S101  train() made it
        rate, loss = self.rate(), position.loss / position.tokens
        position.epoch += 1
        log.add(
            "epoch", epoch=position.epoch, stage=self.stage, step=position.steps, loss=loss, learning_rate=rate,
            **facts,
            tokens_per_second=round(position.trained_tokens / max(1e-9, position.trained)),
            seconds=round(time.monotonic() - began, 2),
        )  # fmt: skip
        self.reporter.note(f"epoch {position.epoch}: loss {loss:.3f}, {words}")
        if position.epoch <= 3:
            for warning in self.warnings:
                self.reporter.note(f"Warning: {warning}")
        position.step, position.loss, position.tokens, position.batches = 0, 0.0, 0.0, 0.0

    def draw_now_and_then(self) -> None:
        """Curves and events, while it trains."""
        if self.log is not None and time.monotonic() - self.drawn > DRAW_EVERY:
            self.log.draw()
            self.drawn = time.monotonic()

    # Checkpoints

    def save(self) -> None:
        """Write a checkpoint."""
        position = replace(self.position, seconds=self.position.seconds + time.monotonic() - self.began)
        save_checkpoint(
            self.folder / LAST,
            self.trainer.state(),
            {"position": asdict(position), "warnings": self.warnings, "stage": self.stage},
        )
        self.saved = time.monotonic()

    def load(self) -> None:
        """Take up the last checkpoint."""
        if not is_file(self.folder / LAST):
            return  # it stopped before there was one: begin with the first step
        arrays, facts = load_checkpoint(self.folder / LAST)
        known = {each.name for each in fields(Position)}
        position = {name: value for name, value in facts["position"].items() if name in known}
        position["ranked"] = [tuple(each) for each in position["ranked"]]
        self.position, self.warnings = Position(**position), list(facts["warnings"])
        if facts["stage"] != self.stage:
            self.prepare_epoch()
        self.trainer.restore(arrays)

    def interrupted(self) -> NoReturn:
        """Save, and leave.

        Raises:
            InterruptedRun: always.
        """
        self.reporter.end()
        self.reporter.note("Stopping: a checkpoint is being written")
        self.save()
        if self.log is not None:
            self.log.draw()
        raise InterruptedRun(
            f"saved at step {self.position.step} of epoch {self.position.epoch + 1}, in {self.folder}",
            hint=f"{MAKERS[self.kind]} --resume {shlex.quote(str(self.folder))}",
        )
