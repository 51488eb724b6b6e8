"""The training of a decoder under way: epoch by epoch, from checkpoint to checkpoint.

What captions and boke share. How an epoch is judged, and what is kept of it, each says for itself (`caption_run`,
`boke_run`).
"""

import math
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from imgnn import backend
from imgnn.errors import DivergedError
from imgnn.jobs.sentence_data import Material
from imgnn.jobs.sentence_model import Speaker, save_decoder
from imgnn.jobs.sentence_sources import CachedSource, Source
from imgnn.language.decoder import Decoder, DecoderSpec
from imgnn.language.metrics import perplexity
from imgnn.options import TrainSentenceOptions
from imgnn.runs import Reporter, Stop, is_file, write_json
from imgnn.training import health, training_run
from imgnn.training.checkpoint import load_checkpoint
from imgnn.training.likelihood import Likelihood, other_pictures
from imgnn.training.run_folder import DECODER, LAST, METRICS, SKIPPED
from imgnn.training.run_log import Row, RunLog
from imgnn.training.schedule import Schedule
from imgnn.training.sentence_trainer import SentenceTrainer
from imgnn.training.sentences import SentenceBatch
from imgnn.training.training_run import STEP_ROWS, TrainingRun

WARMUP = 50  # steps over which the learning rate rises
AT_LEAST = 128  # sentences that are judged at once


@dataclass(frozen=True)
class TrainedSentences:
    """What a run came to, of captions or boke.

    Attributes:
        folder: of the run.
        perplexity: of the validation sentences, in the epoch that is kept.
        image_gain: nats per token that the right picture saves over another one, there.
        distinct: different ones among the sentences that it wrote there for so many `pictures`.
        epoch: the one whose decoder is kept.
        epochs: done in all.
        seconds: from the command's start.
        tokens_per_second: of training.
        skipped: picture -> why it could not be read.
        warnings: what is wrong with what it said in the last epoch.
    """

    folder: Path
    perplexity: float
    image_gain: float
    distinct: int
    pictures: int
    epoch: int
    epochs: int
    seconds: float
    tokens_per_second: float
    skipped: dict[str, str]
    warnings: tuple[str, ...]


@dataclass
class Position(training_run.Position):
    """Where a training stands: all numbers that go into a checkpoint."""

    epoch: int = 0  # done
    tokens: float = 0.0  # sums over the epoch so far
    batches: float = 0.0  # what sentences of a batch cost on average, summed over batches
    best: float = -1.0  # CIDEr-D of the best epoch
    best_loss: float = 0.0  # of val, there
    trained: float = 0.0  # seconds of steps, and tokens in them
    trained_tokens: float = 0.0
    ranked: list[tuple[float, int]] = field(default_factory=list)  # CIDEr-D and epoch of those to be averaged


class SentenceTraining(TrainingRun):
    """A run under way: its decoder, its material, its position, its files.

    Args:
        resume: go on where the folder's last checkpoint stands.
    """

    smaller = "a smaller --batch, --hidden or --embedding"
    measure: str  # by which the best epoch is told
    said = "caption"  # what it writes, as `health.check_sentences` names it
    columns: tuple[str, ...]  # of log.csv
    curves: Callable[[Sequence[Row], Path], None]  # draws curves.png
    options: TrainSentenceOptions
    position: Position

    def __init__(
        self,
        material: Material,
        spec: DecoderSpec,
        options: TrainSentenceOptions,
        folder: Path,
        reporter: Reporter,
        stop: Stop,
        began: float,
        *,
        resume: bool = False,
    ) -> None:
        super().__init__(folder, reporter, stop, began)
        self.material, self.options = material, options
        self.source, self.feature = self.first_source(), material.spec
        self.precision = backend.precision_of(options.precision)
        reporter.note(backend.where(self.precision))
        self.decoder = Decoder(spec, dropout=options.dropout, precision=self.precision, seed=options.seed)
        self.decoder.begin_with(material.vocabulary.counts)
        self.decoder.standardise(material.train.features)
        self.trainer = SentenceTrainer(self.decoder, **self.training_options())
        self.speaker, self.likelihood = Speaker([self.decoder]), Likelihood([self.decoder])
        self.position = Position()
        # An epoch of another source has another number of steps: the learning rate goes by those of the first.
        self.steps = self.source.steps
        total = self.steps * options.epochs
        self.schedule = Schedule(options.schedule, total, warmup=min(WARMUP, total // 10))
        self.known = frozenset(tokens for said in material.train.tokens for tokens in said)
        if resume:
            self.load()
        self.log = RunLog(
            folder, step=self.position.steps, epochs=self.position.epoch, columns=self.columns, curves=self.curves
        )

    # What captions and boke say for themselves

    def first_source(self) -> Source:
        """Where batches come from, at first."""
        return CachedSource(self.material, self.options)

    def prepare_epoch(self) -> None:
        """Before an epoch begins, or goes on."""

    def mixed(self, x: np.ndarray, batch: SentenceBatch, random: np.random.Generator) -> SentenceBatch:
        """The batch as it is trained on; `x` is what the trainer takes of its pictures."""
        return batch

    @abstractmethod
    def judge(self) -> tuple[dict[str, Any], list[tuple[str, ...]]]:
        """What the epoch came to, with `losses` and `distinct` in it, and the sentences that it writes for val.

        Raises:
            DivergedError: as of `losses`.
        """

    @abstractmethod
    def is_better(self, facts: Mapping[str, Any]) -> bool:
        """Whether the epoch is the best so far."""

    @abstractmethod
    def epoch_line(self, facts: Mapping[str, Any]) -> str:
        """What the epoch came to, for the user."""

    @abstractmethod
    def keep_epoch(self, facts: dict[str, Any], said: Sequence[tuple[str, ...]], *, better: bool) -> None:
        """Write what is to be kept of the epoch."""

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
            InputError: the memory does not suffice.
        """
        position = self.position
        if self.material.bad:
            lines = "".join(f"{name}\t{why}\n" for name, why in self.material.bad.items())
            (self.folder / SKIPPED).write_text(lines, encoding="utf-8")
        self.begin_bar()
        with self.ending_well():
            while position.epoch < self.options.epochs and not self.has_waited(self.measure, "training"):
                self.prepare_epoch()
                began = time.monotonic()
                self.train_epoch()
                self.end_epoch(began)
        self.log.draw()

    def epoch_number(self) -> int:
        return self.position.epoch + 1

    def at_once(self) -> str:
        return f"{self.options.batch} sentences"

    def failed_step(self) -> int:
        return min(self.position.step + 1, self.source.steps)  # all were done where validation tells of it

    def begin_bar(self) -> None:
        """The progress of all epochs, as many steps each as one has now."""
        self.reporter.begin("training", self.options.epochs * self.source.steps, "steps")

    def train_epoch(self) -> None:
        """The steps that are left of an epoch.

        Raises:
            Stopped: somebody asked for it.
            DivergedError: the loss is no longer finite.
        """
        position, log, source = self.position, self.log, self.source
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
                    self.after_step()
        finally:
            position.trained += time.monotonic() - began
            position.trained_tokens += tokens_here

    def losses(self, features: np.ndarray) -> dict[str, float]:
        """What the validation sentences cost, beside their own pictures and beside others.

        Args:
            features: of the validation pictures, `(pictures, numbers)`.

        Returns:
            `val_loss`, nats per token; `perplexity`, its exponential; `image_gain`, nats per token.

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
        return {"val_loss": loss, "perplexity": perplexity(loss), "image_gain": shuffled - loss}

    def end_epoch(self, began: float) -> None:
        """Judge an epoch, write it down, and keep what is best.

        Args:
            began: when the epoch did, or this process with it.
        """
        position = self.position
        facts, said = self.judge()
        better = self.is_better(facts)
        if better:
            position.best_loss, position.best_epoch, position.waited = facts["val_loss"], position.epoch + 1, 0
        else:
            position.waited += 1
        if len(said) > 1:  # one picture has no other to be taken for
            self.warnings = health.check_sentences(facts["distinct"], len(said), facts["image_gain"], self.said)
        rate, loss = self.rate(), position.loss / position.tokens
        position.epoch += 1
        self.log.add(
            "epoch", epoch=position.epoch, stage=self.stage, step=position.steps, loss=loss, learning_rate=rate,
            **facts,
            tokens_per_second=round(position.trained_tokens / max(1e-9, position.trained)),
            seconds=round(time.monotonic() - began, 2),
        )  # fmt: skip
        self.reporter.note(f"epoch {position.epoch}: loss {loss:.3f}, {self.epoch_line(facts)}")
        if position.epoch <= 3:
            for warning in self.warnings:
                self.reporter.note(f"Warning: {warning}")
        position.step, position.loss, position.tokens, position.batches = 0, 0.0, 0.0, 0.0
        self.keep_epoch(facts, said, better=better)
        self.save()
        self.draw_now_and_then()

    def keep_decoder(self, facts: Mapping[str, Any], epochs: Sequence[int]) -> None:
        """Write the decoder as it is now as the best, and how good it is.

        Args:
            epochs: the one that it is of, or those whose mean it is.
        """
        known = {"epochs": list(epochs), "metrics": facts}
        save_decoder(self.folder / DECODER, self.decoder, self.feature, self.material.vocabulary, known)
        write_json(self.folder / METRICS, {"epochs": list(epochs), **facts})

    def summary(self, kept: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of `TrainedSentences`.

        Args:
            kept: the facts of the epoch that is kept.
        """
        return {
            **{name: kept[name] for name in ("perplexity", "image_gain", "distinct")},
            "folder": self.folder,
            "pictures": len(self.material.val.images),
            "epoch": self.position.best_epoch,
            "epochs": self.position.epoch,
            "seconds": self.seconds(),
            "tokens_per_second": self.log.epochs[-1]["tokens_per_second"],
            "skipped": dict(self.material.bad),
            "warnings": tuple(self.warnings),
        }

    # Checkpoints

    def save(self) -> None:
        self.write_checkpoint(self.trainer.state(), stage=self.stage)

    def keep_best(self) -> None:
        """Nothing: an epoch that is the best is written at its end."""

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
