"""A run of `imgnn train caption` under way: epoch by epoch, from checkpoint to checkpoint."""

import math
import shlex
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from imgnn import backend
from imgnn.data.caption_files import write_results
from imgnn.errors import DivergedError, InterruptedRun
from imgnn.jobs.caption_data import Material, Part
from imgnn.jobs.caption_model import Speaker, save_decoder
from imgnn.language.beam import BeamOptions
from imgnn.language.decoder import Decoder, DecoderSpec
from imgnn.language.metrics import bleu, distinct, novel
from imgnn.language.tokens import detokenize
from imgnn.options import TrainCaptionOptions
from imgnn.runs import Reporter, Stop, Stopped, is_file
from imgnn.training import health
from imgnn.training.caption_curves import draw_caption_curves
from imgnn.training.checkpoint import load_checkpoint, save_checkpoint
from imgnn.training.run_folder import CAPTIONS, DECODER, LAST, SKIPPED
from imgnn.training.run_log import RunLog
from imgnn.training.schedule import Schedule
from imgnn.training.sentence_trainer import SentenceTrainer
from imgnn.training.sentences import SentenceBatch

DRAW_EVERY = 20.0  # seconds between two drawings of curves
STEP_ROWS = 20  # lines of single steps in the log, for each epoch
WARMUP = 50  # steps over which the learning rate rises
JUDGED = BeamOptions(beam_width=3, length_penalty=0.7, max_length=24)  # how validation captions are written
AT_ONCE = 512  # pictures that are captioned in one search
COLUMNS = (
    *("epoch", "stage", "step", "loss", "val_loss", "perplexity", "image_gain", "cider_d", "bleu_4", "distinct"),
    *("novel", "learning_rate", "tokens_per_second", "seconds"),
)


@dataclass(frozen=True)
class TrainedCaption:
    """What a run came to.

    Attributes:
        folder: of the run.
        cider_d, bleu_4: of the validation pictures, in the best epoch.
        distinct: different captions among theirs.
        pictures: of validation.
        image_gain: nats per token that the right picture saves over another one.
        perplexity: of the validation captions.
        epoch: the best; 0: the mean of several.
        epochs: done in all.
        seconds: from the command's start.
        tokens_per_second: of training.
        skipped: pictures that could not be read.
        warnings: what was said of the training's health.
    """

    folder: Path
    cider_d: float
    bleu_4: float
    distinct: int
    pictures: int
    image_gain: float
    perplexity: float
    epoch: int
    epochs: int
    seconds: float
    tokens_per_second: float
    skipped: int
    warnings: tuple[str, ...]


@dataclass
class Position:
    """Where a training stands: all numbers that go into a checkpoint."""

    epoch: int = 0  # done
    step: int = 0  # of the epoch
    steps: int = 0  # of the run
    loss: float = 0.0  # sums over the epoch so far
    tokens: float = 0.0
    best: float = -1.0  # CIDEr-D
    best_epoch: int = 0
    waited: int = 0  # epochs since
    seconds: float = 0.0  # of training before this process
    trained: float = 0.0  # seconds of steps, and tokens in them
    trained_tokens: float = 0.0


class CaptionTraining:
    """A run under way: its decoder, its material, its position, its files."""

    def __init__(
        self,
        material: Material,
        spec: DecoderSpec,
        options: TrainCaptionOptions,
        folder: Path,
        reporter: Reporter,
        stop: Stop,
        began: float,
    ) -> None:
        self.material, self.options, self.folder = material, options, folder
        self.reporter, self.stop, self.began = reporter, stop, began
        self.decoder = Decoder(
            spec, dropout=options.dropout, precision=backend.precision_of(options.precision), seed=options.seed
        )
        self.decoder.begin_with(material.vocabulary.counts)
        self.decoder.standardise(material.train.features)
        self.trainer = SentenceTrainer(
            self.decoder,
            clip=options.clip or None,
            weight_decay=options.weight_decay,
            smoothing=options.smoothing,
        )
        self.speaker = Speaker([self.decoder])
        self.position = Position()
        self.warnings: list[str] = []
        self.steps = material.train.sentences.steps(options.batch)
        total = self.steps * options.epochs
        self.schedule = Schedule(options.schedule, total, warmup=min(WARMUP, total // 10))
        self.saved = self.drawn = time.monotonic()
        self.log: RunLog | None = None

    def run(self) -> TrainedCaption:
        """Train what is left of all epochs, and sum up."""
        position, options = self.position, self.options
        self.log = RunLog(
            self.folder, step=position.steps, epochs=position.epoch, columns=COLUMNS, curves=draw_caption_curves
        )
        if self.material.bad:
            lines = "".join(f"{name}\t{why}\n" for name, why in self.material.bad.items())
            (self.folder / SKIPPED).write_text(lines, encoding="utf-8")
        try:
            while position.epoch < options.epochs:
                if options.patience is not None and position.waited >= options.patience:
                    self.reporter.note(f"No better CIDEr-D in {position.waited} epochs: training ends")
                    break
                self.train_epoch()
                self.end_epoch()
        except Stopped:
            self.interrupted()
        except DivergedError as error:
            self.log.draw()
            where = f"step {position.step + 1} of epoch {position.epoch + 1}, in {self.folder}"
            raise DivergedError(f"{error}, at {where}", hint=error.hint) from error
        finally:
            self.reporter.end()
        return self.finish()

    def train_epoch(self) -> None:
        """The steps that are left of an epoch."""
        position, options, part, log = self.position, self.options, self.material.train, self.log
        assert log is not None  # noqa: S101  run() made it
        every = max(1, self.steps // STEP_ROWS)
        batches = part.sentences.epoch(
            batch=options.batch, seed=options.seed, epoch=position.epoch, first=position.step
        )
        self.reporter.begin(f"epoch {position.epoch + 1} of {options.epochs}", self.steps, "steps")
        began, tokens_here = time.monotonic(), 0.0
        for batch in batches:
            rate = options.learning_rate * self.schedule(position.steps)
            random = np.random.default_rng([options.seed, position.epoch, position.step])
            features = self.features_of(part, batch, random)
            loss = self.trainer.step(features, self.mixed(features, batch, random), rate)
            count = float(batch.weights.sum())
            position.step, position.steps = position.step + 1, position.steps + 1
            position.loss, position.tokens = position.loss + loss * count, position.tokens + count
            tokens_here += count
            speed = tokens_here / max(1e-9, time.monotonic() - began)
            if position.step % every == 0:
                log.add(
                    "step", step=position.steps, epoch=position.epoch + 1, stage="decoder", loss=loss,
                    learning_rate=rate, tokens_per_second=round(speed),
                )  # fmt: skip
            self.reporter.advance(position.step, loss=position.loss / position.tokens, **{"tokens/s": speed})
            if self.stop():
                raise Stopped
            if time.monotonic() - self.saved > options.save_every:
                self.save()
            self.draw_now_and_then()
        self.reporter.end()
        position.trained += time.monotonic() - began
        position.trained_tokens += tokens_here

    def features_of(self, part: Part, batch: SentenceBatch, random: np.random.Generator) -> np.ndarray:
        """The features of a batch's pictures, float32 `(n, numbers)`; of half of them the mirror image's."""
        features = part.features[batch.rows]
        if part.mirrored is not None:
            turned = random.random(len(features)) < 0.5
            features[turned] = part.mirrored[batch.rows[turned]]
        return features.astype("float32")

    def mixed(self, features: np.ndarray, batch: SentenceBatch, random: np.random.Generator) -> SentenceBatch:
        """The batch with a share of its words as the decoder itself would have said them: scheduled sampling.

        The share grows in a line over the epochs. All words are drawn at once, after the caption's own words, not one
        after the other.

        Source: Scheduled Sampling, arXiv:1506.03099; at once: Parallel Scheduled Sampling, arXiv:1906.04331.
        """
        share = self.options.scheduled_sampling * self.position.steps / (self.steps * self.options.epochs)
        if not share:
            return batch
        said = self.trainer.draw(features, batch.tokens, random)
        tokens = batch.tokens.copy()
        taken = random.random(tokens[:, 1:].shape) < share
        tokens[:, 1:] = np.where(taken, said[:, :-1], tokens[:, 1:])
        return replace(batch, tokens=tokens)

    # Judging

    def end_epoch(self) -> None:
        """Judge an epoch, write it down, and keep what is best."""
        position, log = self.position, self.log
        assert log is not None  # noqa: S101
        began = time.monotonic()
        facts = self.judge()
        position.epoch += 1
        better = facts["cider_d"] > position.best
        if better:
            position.best, position.best_epoch, position.waited = facts["cider_d"], position.epoch, 0
        else:
            position.waited += 1
        log.add(
            "epoch", epoch=position.epoch, stage="decoder", step=position.steps, loss=position.loss / position.tokens,
            learning_rate=self.options.learning_rate * self.schedule(position.steps - 1), **facts,
            tokens_per_second=round(position.trained_tokens / max(1e-9, position.trained)),
            seconds=round(time.monotonic() - began, 2),
        )  # fmt: skip
        self.reporter.note(
            f"epoch {position.epoch}: loss {position.loss / position.tokens:.3f}, val {facts['val_loss']:.3f}, "
            f"CIDEr-D {facts['cider_d']:.3f}, BLEU-4 {facts['bleu_4']:.3f}, image gain {facts['image_gain']:.3f}, "
            f"{facts['distinct']:,} captions for {len(self.material.val.images):,} pictures"
        )
        if position.epoch <= 3:
            self.warn(health.check_sentences(facts["distinct"], len(self.material.val.images), facts["image_gain"]))
        position.step, position.loss, position.tokens = 0, 0.0, 0.0
        if better:
            self.keep(facts)
        self.save()
        self.draw_now_and_then()

    def judge(self) -> dict[str, Any]:
        """How good the decoder is on the validation pictures."""
        part = self.material.val
        loss = self.loss_of(part, np.arange(len(part.images)))
        # Another picture for every caption: what the decoder does not learn from pictures stays the same.
        shuffled = self.loss_of(part, np.roll(np.arange(len(part.images)), len(part.images) // 2 or 1))
        self.said = self.speak(part)
        training = (tokens for captions in self.material.train.tokens for tokens in captions)
        return {
            "val_loss": loss,
            "perplexity": math.exp(min(loss, 50.0)),
            "image_gain": shuffled - loss,
            "cider_d": float(self.material.judge.score(self.said).mean()),
            "bleu_4": bleu(self.said, part.tokens)[0][3],
            "distinct": distinct(self.said),
            "novel": novel(self.said, training),
        }

    def loss_of(self, part: Part, pictures: np.ndarray) -> float:
        """Nats per token of all captions; `pictures[row]` is shown for the captions of `row`."""
        total = count = 0.0
        for batch in part.sentences.all(self.options.batch):
            features = part.features[pictures[batch.rows]].astype("float32")
            total += self.trainer.nats(features, batch)
            count += float(batch.weights.sum())
        return total / count

    def speak(self, part: Part) -> list[tuple[str, ...]]:
        """The caption of each picture."""
        said = []
        for start in range(0, len(part.images), AT_ONCE):
            for beam in self.speaker.search([part.features[start : start + AT_ONCE]], JUDGED):
                said.append(tuple(self.material.vocabulary.decode(beam[0].tokens)) if beam else ())
        return said

    def keep(self, facts: dict[str, Any]) -> None:
        """Write the decoder as it is now as the best, and what it says."""
        save_decoder(
            self.folder / DECODER,
            self.decoder,
            self.material.spec,
            {"epoch": self.position.best_epoch, "metrics": facts},
        )
        pairs = zip(self.material.val.images, self.said, strict=True)
        write_results(self.folder / CAPTIONS, [(image.key, detokenize(tokens)) for image, tokens in pairs])

    def warn(self, messages: Sequence[str]) -> None:
        for message in messages:
            self.warnings.append(message)
            self.reporter.note(f"Warning: {message}")

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
            self.folder / LAST, self.trainer.state(), {"position": asdict(position), "warnings": self.warnings}
        )
        self.saved = time.monotonic()

    def load(self) -> None:
        """Take up the last checkpoint."""
        if not is_file(self.folder / LAST):
            return  # it stopped before there was one: begin with the first step
        arrays, facts = load_checkpoint(self.folder / LAST)
        self.position, self.warnings = Position(**facts["position"]), list(facts["warnings"])
        self.trainer.restore(arrays)

    def interrupted(self) -> NoReturn:
        """Save, and leave.

        Raises:
            InterruptedRun: always.
        """
        self.reporter.end()
        self.save()
        if self.log is not None:
            self.log.draw()
        raise InterruptedRun(
            f"saved at step {self.position.step} of epoch {self.position.epoch + 1}, in {self.folder}",
            hint=f"imgnn train caption --resume {shlex.quote(str(self.folder))}",
        )

    # The end

    def finish(self) -> TrainedCaption:
        """Draw the curves, and tell of the best epoch."""
        log, position = self.log, self.position
        assert log is not None  # noqa: S101
        log.draw()
        best = next(row for row in log.epochs if row["epoch"] == position.best_epoch)
        return TrainedCaption(
            folder=self.folder,
            cider_d=best["cider_d"],
            bleu_4=best["bleu_4"],
            distinct=best["distinct"],
            pictures=len(self.material.val.images),
            image_gain=best["image_gain"],
            perplexity=best["perplexity"],
            epoch=position.best_epoch,
            epochs=position.epoch,
            seconds=position.seconds + time.monotonic() - self.began,
            tokens_per_second=log.epochs[-1]["tokens_per_second"],
            skipped=len(self.material.bad),
            warnings=tuple(self.warnings),
        )
