"""A run of `imgnn train caption` under way: epoch by epoch, from checkpoint to checkpoint."""

import json
import math
import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from imgnn import backend
from imgnn.data.caption_files import result_keys, write_results
from imgnn.errors import DivergedError, InterruptedRun
from imgnn.jobs.caption_data import Material
from imgnn.jobs.caption_model import Speaker, save_decoder
from imgnn.jobs.caption_sources import CachedSource, PictureSource, Source, room_for
from imgnn.language.beam import BeamOptions
from imgnn.language.decoder import Decoder, DecoderSpec
from imgnn.language.metrics import bleu, distinct, novel
from imgnn.language.tokens import detokenize
from imgnn.networks.feature_network import FEATURE, weights_digest
from imgnn.networks.files import save_network
from imgnn.options import CaptionOptions, TrainCaptionOptions
from imgnn.runs import Reporter, Stop, Stopped, is_file, write_aside
from imgnn.training import health
from imgnn.training.caption_curves import draw_caption_curves
from imgnn.training.checkpoint import load_checkpoint, save_checkpoint
from imgnn.training.joint_trainer import JointTrainer
from imgnn.training.likelihood import Likelihood, other_pictures
from imgnn.training.run_folder import CAPTIONS, DECODER, LAST, METRICS, NETWORK, SKIPPED
from imgnn.training.run_log import RunLog
from imgnn.training.schedule import Schedule
from imgnn.training.sentence_trainer import SentenceTrainer
from imgnn.training.sentences import SentenceBatch

DRAW_EVERY = 20.0  # seconds between two drawings of curves
STEP_ROWS = 20  # lines of single steps in the log, for each epoch
WARMUP = 50  # steps over which the learning rate rises
JUDGED = BeamOptions(  # how validation captions are written: as imgnn caption does
    beam_width=CaptionOptions(models=()).width,
    length_penalty=CaptionOptions.length_penalty,
    max_length=CaptionOptions.max_length,
    no_repeat_ngram=CaptionOptions.no_repeat_ngram,
)
ROOM = 0.25  # share of the machine's memory for pictures that are kept, once the network is trained, too
EPOCHS = "epochs"  # folder of weights that wait to be averaged; removed at the end
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
        epoch: the best.
        averaged: epochs whose mean is better than the best one; 0: none.
        epochs: done in all.
        seconds: from the command's start.
        tokens_per_second: of training.
        skipped: pictures that could not be read.
        warnings: what is wrong with what it said in the last epoch.
    """

    folder: Path
    cider_d: float
    bleu_4: float
    distinct: int
    pictures: int
    image_gain: float
    perplexity: float
    epoch: int
    averaged: int
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
    best_loss: float = 0.0  # of val, there
    best_epoch: int = 0
    waited: int = 0  # epochs since
    seconds: float = 0.0  # of training before this process
    trained: float = 0.0  # seconds of steps, and tokens in them
    trained_tokens: float = 0.0
    ranked: list[tuple[float, int]] = field(default_factory=list)  # CIDEr-D and epoch of those to be averaged


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
        self.precision = backend.precision_of(options.precision)
        self.decoder = Decoder(spec, dropout=options.dropout, precision=self.precision, seed=options.seed)
        self.decoder.begin_with(material.vocabulary.counts)
        self.decoder.standardise(material.train.features)
        self.trainer = SentenceTrainer(self.decoder, **self.training_options())
        self.source: Source = CachedSource(material, options)
        self.speaker, self.likelihood = Speaker([self.decoder]), Likelihood([self.decoder])
        self.feature = material.spec
        self.position = Position()
        self.warnings: list[str] = []
        # An epoch with the pictures has another number of steps: the learning rate goes by steps of the decoder alone.
        self.steps = self.source.steps
        total = self.steps * options.epochs
        self.schedule = Schedule(options.schedule, total, warmup=min(WARMUP, total // 10))
        self.known = frozenset(tokens for captions in material.train.tokens for tokens in captions)
        self.saved = self.drawn = time.monotonic()
        self.log: RunLog | None = None

    def training_options(self) -> dict[str, Any]:
        """What both trainers are told."""
        options = self.options
        return {
            "clip": options.clip or None,
            "weight_decay": options.weight_decay,
            "smoothing": options.smoothing,
        }

    @property
    def stage(self) -> str:
        """What is trained: "decoder", or "joint": the network, too."""
        return "joint" if isinstance(self.trainer, JointTrainer) else "decoder"

    def rate(self) -> float:
        """The learning rate of the next step."""
        position = self.position
        done = position.epoch * self.steps + position.step * self.steps // self.source.steps
        return self.options.learning_rate * self.schedule(done)

    def begin_joint(self) -> None:
        """From here on the network of the feature is trained, too."""
        options, material = self.options, self.material
        assert material.extractor is not None  # noqa: S101  check_options() asked for it
        network = material.extractor.network
        self.trainer = JointTrainer(
            self.decoder,
            network,
            pace=options.network_rate / options.learning_rate,
            precision=self.precision,
            **self.training_options(),
        )
        self.source = PictureSource(material, options, self.trainer, room=room_for(ROOM))

    def run(self) -> TrainedCaption:
        """Train what is left of all epochs, and sum up."""
        position, options = self.position, self.options
        self.log = RunLog(
            self.folder, step=position.steps, epochs=position.epoch, columns=COLUMNS, curves=draw_caption_curves
        )
        if self.material.bad:
            lines = "".join(f"{name}\t{why}\n" for name, why in self.material.bad.items())
            (self.folder / SKIPPED).write_text(lines, encoding="utf-8")
        self.begin_bar()
        try:
            while position.epoch < options.epochs:
                if options.patience is not None and position.waited >= options.patience:
                    self.reporter.note(f"No better CIDEr-D in {position.waited} epochs: training ends")
                    break
                if position.epoch == options.finetune_after and self.stage == "decoder":
                    self.begin_joint()
                    self.begin_bar()
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
        return self.finish()

    def begin_bar(self) -> None:
        """The progress of all epochs, as many steps each as one has now."""
        self.reporter.begin("training", self.options.epochs * self.source.steps, "steps")

    def train_epoch(self) -> None:
        """The steps that are left of an epoch."""
        position, options, log, source = self.position, self.options, self.log, self.source
        assert log is not None  # noqa: S101  run() made it
        every = max(1, source.steps // STEP_ROWS)
        began, tokens_here = time.monotonic(), 0.0
        try:
            with self.trainer.computing():
                for step, x, batch, random in source.epoch(position.epoch, position.step):
                    rate = self.rate()
                    loss = self.trainer.step(x, self.mixed(x, batch, random), rate)
                    count = float(batch.weights.sum())
                    position.step, position.steps = step + 1, position.steps + 1
                    position.loss, position.tokens = position.loss + loss * count, position.tokens + count
                    tokens_here += count
                    speed = tokens_here / max(1e-9, time.monotonic() - began)
                    if position.step % every == 0:
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

    def mixed(self, x: np.ndarray, batch: SentenceBatch, random: np.random.Generator) -> SentenceBatch:
        """The batch with a share of its words as the decoder itself would have said them: scheduled sampling.

        The share grows in a line over the epochs. All words are drawn at once, after the caption's own words, not one
        after the other.

        Source: Scheduled Sampling, arXiv:1506.03099; at once: Parallel Scheduled Sampling, arXiv:1906.04331.
        """
        done = (self.position.epoch + self.position.step / self.source.steps) / self.options.epochs
        share = self.options.scheduled_sampling * done
        if not share:
            return batch
        said = self.trainer.draw(x, batch, random)
        tokens = batch.tokens.copy()
        taken = random.random(tokens[:, 1:].shape) < share
        tokens[:, 1:] = np.where(taken, said[:, :-1], tokens[:, 1:])
        return replace(batch, tokens=tokens)

    # Judging

    def end_epoch(self, began: float) -> None:
        """Judge an epoch, write it down, and keep what is best.

        Args:
            began: when the epoch did, or this process with it.
        """
        position, log = self.position, self.log
        assert log is not None  # noqa: S101
        rate = self.rate()
        facts, said = self.judge()
        position.epoch += 1
        # The loss decides between equals: CIDEr-D is 0 until a few words in a row are right.
        better = (facts["cider_d"], -facts["val_loss"]) > (position.best, -position.best_loss)
        if better:
            position.best, position.best_loss = facts["cider_d"], facts["val_loss"]
            position.best_epoch, position.waited = position.epoch, 0
        else:
            position.waited += 1
        log.add(
            "epoch", epoch=position.epoch, stage=self.stage, step=position.steps, loss=position.loss / position.tokens,
            learning_rate=rate, **facts,
            tokens_per_second=round(position.trained_tokens / max(1e-9, position.trained)),
            seconds=round(time.monotonic() - began, 2),
        )  # fmt: skip
        self.reporter.note(f"epoch {position.epoch}: loss {position.loss / position.tokens:.3f}, {words_of(facts)}")
        pictures = len(self.material.val.images)
        if pictures > 1:  # one has no other to be taken for
            self.warnings = health.check_sentences(facts["distinct"], pictures, facts["image_gain"])
        if position.epoch <= 3:
            for warning in self.warnings:
                self.reporter.note(f"Warning: {warning}")
        position.step, position.loss, position.tokens = 0, 0.0, 0.0
        if better:
            self.keep(facts, said, [position.epoch])
        self.rank(facts["cider_d"])
        self.save()
        self.draw_now_and_then()

    def judge(self) -> tuple[dict[str, Any], list[tuple[str, ...]]]:
        """How good the decoder is on the validation pictures, and the caption of each.

        Raises:
            DivergedError: the last step made its weights infinite, or no numbers.
        """
        part, features = self.material.val, self.source.val_features()
        batch = self.options.batch
        with np.errstate(invalid="ignore"):
            loss = self.likelihood.nats_per_token([features], part.sentences, batch=batch)
        if not math.isfinite(loss):
            raise DivergedError("the loss of val is no longer finite", hint="a smaller --learning-rate")
        others = other_pictures(len(part.images))
        shuffled = self.likelihood.nats_per_token([features], part.sentences, others, batch=batch)
        said = self.speak(features)
        facts = {
            "val_loss": loss,
            "perplexity": math.exp(min(loss, 50.0)),
            "image_gain": shuffled - loss,
            "cider_d": float(self.material.judge.score(said).mean()),
            "bleu_4": round(bleu(said, part.tokens)[0][3], 6),  # 1e-293 stands for 0
            "distinct": distinct(said),
            "novel": novel(said, self.known),
        }
        return facts, said

    def speak(self, features: np.ndarray) -> list[tuple[str, ...]]:
        """The caption of each picture."""
        said = []
        for start in range(0, len(features), AT_ONCE):
            for beam in self.speaker.search([features[start : start + AT_ONCE]], JUDGED):
                said.append(tuple(self.material.vocabulary.decode(beam[0].tokens)) if beam else ())
        return said

    def keep(self, facts: dict[str, Any], said: Sequence[tuple[str, ...]], epochs: Sequence[int]) -> None:
        """Write the decoder as it is now as the best, and what it says; the network, too, if it is trained."""
        if isinstance(self.trainer, JointTrainer):
            network = self.trainer.network
            save_network(network, self.folder / NETWORK)
            self.feature = replace(
                self.feature, network=NETWORK, layers=(FEATURE,), weights=weights_digest(network.model)
            )
        save_decoder(
            self.folder / DECODER,
            self.decoder,
            self.feature,
            self.material.vocabulary,
            {"epochs": list(epochs), "metrics": facts},
        )
        with write_aside(self.folder / METRICS) as aside:
            aside.write_text(json.dumps({"epochs": list(epochs), **facts}, indent=1) + "\n", encoding="utf-8")
        captions = self.material.captions
        keys = dict(zip((image.name for image in captions.images), result_keys(captions), strict=True))
        pairs = zip(self.material.val.images, said, strict=True)
        write_results(self.folder / CAPTIONS, [(keys[image.name], detokenize(tokens)) for image, tokens in pairs])

    def rank(self, cider_d: float) -> None:
        """Keep the weights of the epoch if it is among the best that are to be averaged."""
        position, count = self.position, self.options.average
        if not count or self.stage == "joint":  # the mean of networks would be another feature
            return
        position.ranked = sorted([*position.ranked, (cider_d, position.epoch)], reverse=True)
        kept, dropped = position.ranked[:count], position.ranked[count:]
        position.ranked = kept
        if position.epoch in (epoch for _, epoch in kept):
            (self.folder / EPOCHS).mkdir(exist_ok=True)
            save_checkpoint(self.epoch_file(position.epoch), self.decoder.weights(), {})
        for _, epoch in dropped:
            self.epoch_file(epoch).unlink(missing_ok=True)

    def epoch_file(self, epoch: int) -> Path:
        """Where an epoch's weights wait to be averaged."""
        return self.folder / EPOCHS / f"{epoch}.npz"

    def average(self) -> None:
        """Take the mean of the best epochs' weights, if it is better than each of them."""
        epochs = [epoch for _, epoch in self.position.ranked if is_file(self.epoch_file(epoch))]
        if len(epochs) > 1 and self.stage == "decoder":
            every = [load_checkpoint(self.epoch_file(epoch))[0] for epoch in epochs]
            self.decoder.assign({name: np.mean([each[name] for each in every], axis=0) for name in every[0]})
            facts, said = self.judge()
            assert self.log is not None  # noqa: S101  run() made it
            self.log.add("average", epoch=self.position.epoch, epochs=sorted(epochs), **facts)
            self.reporter.note(f"mean of epochs {', '.join(map(str, sorted(epochs)))}: {words_of(facts)}")
            if facts["cider_d"] > self.position.best:
                self.keep(facts, said, sorted(epochs))
        shutil.rmtree(self.folder / EPOCHS, ignore_errors=True)

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
        position = facts["position"]
        position["ranked"] = [tuple(each) for each in position["ranked"]]
        self.position, self.warnings = Position(**position), list(facts["warnings"])
        if facts["stage"] == "joint":
            self.begin_joint()
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
            hint=f"imgnn train caption --resume {shlex.quote(str(self.folder))}",
        )

    # The end

    def finish(self) -> TrainedCaption:
        """Draw the curves, and tell of the best epoch."""
        log, position = self.log, self.position
        assert log is not None  # noqa: S101
        log.draw()
        self.average()
        _, known = load_checkpoint(self.folder / DECODER)
        best = known["metrics"]
        return TrainedCaption(
            folder=self.folder,
            cider_d=best["cider_d"],
            bleu_4=best["bleu_4"],
            distinct=best["distinct"],
            pictures=len(self.material.val.images),
            image_gain=best["image_gain"],
            perplexity=best["perplexity"],
            epoch=position.best_epoch,
            averaged=len(known["epochs"]) if len(known["epochs"]) > 1 else 0,
            epochs=position.epoch,
            seconds=position.seconds + time.monotonic() - self.began,
            tokens_per_second=log.epochs[-1]["tokens_per_second"],
            skipped=len(self.material.bad),
            warnings=tuple(self.warnings),
        )


def words_of(facts: Mapping[str, Any]) -> str:
    """What an epoch came to, in a line."""
    return (
        f"val {facts['val_loss']:.3f}, CIDEr-D {facts['cider_d']:.3f}, image gain {facts['image_gain']:.3f}, "
        f"{facts['distinct']:,} distinct"
    )
