"""A run of `imgnn finetune` under way: stage by stage, epoch by epoch, from checkpoint to checkpoint."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from imgnn import backend
from imgnn.data.batches import all_batches
from imgnn.errors import InputError
from imgnn.jobs.finetune_data import FEATURES, CachedSource, Material, PictureSource, Setup, Source
from imgnn.jobs.finetune_report import report
from imgnn.networks.files import load_network_file, save_network
from imgnn.networks.network import Network
from imgnn.networks.predict import compute_prob
from imgnn.options import FinetuneOptions
from imgnn.runs import Reporter, Stop, is_file, percent
from imgnn.training import health, training_run
from imgnn.training.checkpoint import load_checkpoint
from imgnn.training.recipes import SVM, Stage
from imgnn.training.run_folder import BEST, LAST, PREDICTIONS, Kind
from imgnn.training.run_log import RunLog
from imgnn.training.scores import Scores
from imgnn.training.svm import choose_strength, fit_svm
from imgnn.training.trainer import Parts, Trainer, cross_entropy, divide, log_softmax
from imgnn.training.training_run import STEP_ROWS, TrainingRun

START = "start.keras"  # the network before the first epoch, from which a run is resumed; removed at its end


@dataclass(frozen=True)
class Finetuned:
    """What a run came to.

    Attributes:
        folder: of the run.
        scores: of the best network on the validation pictures; None without them.
        epoch: the one with the best validation; without one the last.
        epochs: done in all.
        seconds: from the command's start.
        pictures: trained on, without those that could not be read.
        skipped: picture -> why it could not be read; validation included.
        warnings: what was said of the training's health.
    """

    folder: Path
    classes: tuple[str, ...]
    scores: Scores | None
    epoch: int
    epochs: int
    seconds: float
    pictures: int
    skipped: dict[str, str]
    warnings: tuple[str, ...]


@dataclass
class Position(training_run.Position):
    """Where a training stands: all numbers that go into a checkpoint."""

    stage: int = 0
    epoch: int = 0  # of the stage, from 0
    epochs: int = 0  # done in the run
    right: float = 0.0  # sums over the epoch so far
    seen: float = 0.0
    best: float | None = None  # validation accuracy
    best_loss: float = math.inf
    top: float | None = None  # the best of the stage, from which it waits
    top_loss: float = math.inf


class Training(TrainingRun):
    """A run under way: its network, its pictures, its position, its files.

    Args:
        stop: whether somebody asked to.
        began: when the command did, of `time.monotonic()`.
        resume: go on where the folder's last checkpoint stands.
    """

    kind: Kind = "classifier"
    smaller = "a smaller --batch, --size or --memory"
    options: FinetuneOptions
    position: Position

    def __init__(
        self, setup: Setup, folder: Path, reporter: Reporter, stop: Stop, began: float, *, resume: bool = False
    ) -> None:
        super().__init__(folder, reporter, stop, began)
        self.setup, self.options, self.network = setup, setup.options, setup.network
        self.material = Material(setup, folder, reporter, self.warn, stop)
        self.position = Position()
        self.pending: dict[str, np.ndarray] = {}  # of a checkpoint, for the trainer that is to be made
        self.best: dict[str, np.ndarray] | None = None  # weights that are not in best.keras yet
        self.trainer: Trainer | None = None  # of the stage; the svm has none
        if resume:
            self.load()
        self.log = RunLog(folder, step=self.position.steps, epochs=self.position.epochs)

    # From beginning to end

    def run(self) -> None:
        """Train what is left of all stages.

        Raises:
            InterruptedRun: Ctrl-C; a checkpoint was written.
            DivergedError: the loss is no longer finite.
            InputError: the memory does not suffice, or the pictures do not.
        """
        with self.ending_well():
            while True:
                stage = self.setup.stages[self.position.stage]
                if self.position.epoch < stage.rounds:  # a run that is resumed may be past it
                    self.run_stage(stage)
                if self.position.stage + 1 == len(self.setup.stages):
                    break
                self.position = replace(
                    self.position, stage=self.position.stage + 1, epoch=0, step=0, waited=0, top=None
                )

    def epoch_number(self) -> int:
        return self.position.epochs + 1

    def at_once(self) -> str:
        return f"{self.options.batch} pictures of {self.material.preprocessing.size[0]} pixels"

    def place(self, step: int) -> str:
        stages = self.setup.stages
        stage = f", stage {stages[self.position.stage].name}" if len(stages) > 1 else ""
        return super().place(step) + stage

    def run_stage(self, stage: Stage) -> None:
        with self.setup.devices.scope():
            parts = divide(self.network, stage.trained)
            # What needs several tensors of the frozen part (Dropout in its middle) is trained on pictures.
            cached = stage.cached and parts.above is not None and len(parts.above.inputs) == 1
            if stage.name == SVM:
                self.solve_svm(parts)
                (self.folder / FEATURES).unlink(missing_ok=True)
                return
            trainer = self.trainer = Trainer(
                parts.above if cached else parts.whole,
                optimizer=stage.optimizer,
                paces=stage.paces(parts.trained),
                weight_decay=stage.weight_decay,
                coupled=stage.coupled,
                clip=stage.clip,
                smoothing=self.options.smoothing,
                precision=self.setup.precision,
                devices=self.setup.devices,
            )
        if self.pending:
            trainer.restore({**trainer.state(), **self.pending})
            self.pending = {}
        with trainer.computing():
            source: Source
            source = CachedSource(self.material, parts) if cached else PictureSource(self.material, stage)
            self.train_stage(stage, source, trainer)
        self.position.epoch = stage.epochs  # also where patience ended it
        self.save()
        (self.folder / FEATURES).unlink(missing_ok=True)

    def train_stage(self, stage: Stage, source: Source, trainer: Trainer) -> None:
        """The epochs of a stage, from where the position stands.

        Raises:
            Stopped: somebody asked for it.
            DivergedError: the loss is no longer finite.
        """
        position, log = self.position, self.log
        count = source.steps
        schedule = stage.schedule_of(count * stage.epochs)
        every = max(1, count // STEP_ROWS)
        look = min(health.LONGEST, max(health.LOOK, 2 * schedule.risen))
        losses: list[float] = []
        from_start = position.epoch == position.step == 0
        self.reporter.begin(stage.name, stage.epochs * count * source.batch, "pictures")
        started, seen_here = time.monotonic(), 0
        for epoch in range(position.epoch, stage.epochs):
            if self.has_waited("validation", stage.name):
                break
            epoch_began, seen_before = time.monotonic(), seen_here
            for x, targets, weights in source.epoch(position.stage, epoch, position.step):
                if epoch == 0 and position.step == 0 and weights.any():
                    self.look_first(trainer, x)
                rate = stage.learning_rate * schedule(epoch * count + position.step)
                loss, accuracy = trainer.step(x, targets, weights, rate)
                position.step += 1
                position.steps += 1
                seen_here += len(targets)
                speed = seen_here / max(1e-9, time.monotonic() - started)
                if weight := float(weights.sum()):
                    position.loss += loss * weight
                    position.right += accuracy * weight
                    position.seen += weight
                    losses.append(loss)
                if from_start and epoch * count + position.step == look:
                    self.warn(health.check_fall(losses, trainer.classes))
                if position.step % every == 0:
                    log.add(
                        "step", step=position.steps, epoch=position.epochs + 1, stage=stage.name, loss=loss,
                        accuracy=accuracy, learning_rate=rate, images_per_second=round(speed, 1),
                    )  # fmt: skip
                mean = position.loss / max(1e-9, position.seen)
                self.reporter.advance(
                    (epoch * count + position.step) * source.batch,
                    loss=mean,
                    accuracy=position.right / max(1e-9, position.seen),
                    epoch=epoch + 1,
                    **{"pictures/s": speed},
                )
                self.after_step()
            rate = stage.learning_rate * schedule((epoch + 1) * count - 1)
            seconds = time.monotonic() - epoch_began
            speed = (seen_here - seen_before) / max(1e-9, seconds)
            self.end_epoch(source, trainer, stage.name, rate, seconds, speed)
        self.reporter.end()

    def end_epoch(
        self, source: Source, trainer: Trainer, stage: str, rate: float, seconds: float, speed: float = 0.0
    ) -> None:
        """Judge an epoch, write it down, and keep what is best.

        Args:
            stage: its name.
            rate: the learning rate of its last step.
            seconds: that it took; `speed`: pictures in each of them.

        Raises:
            InputError: of the pictures too few could be read, found out in the first epoch.
        """
        position, log = self.position, self.log
        if position.epochs == 0:
            files = self.setup.train.files
            self.material.check_read({i for i, file in enumerate(files) if str(file) not in self.material.bad})
        facts: dict[str, float] = {"loss": position.loss / position.seen, "accuracy": position.right / position.seen}
        logits, labels = source.validate(trainer)
        position.epochs += 1
        better = position.best is None
        here = position.top is None  # the best of the stage so far, which patience counts from
        if len(labels):
            facts["val_loss"] = float(cross_entropy(logits, labels).mean())
            facts["val_accuracy"] = float((logits.argmax(axis=1) == labels).mean())
            # Of two equally accurate ones the one that is surer of it.
            now = (facts["val_accuracy"], -facts["val_loss"])
            better = better or now > (position.best or 0.0, -position.best_loss)
            here = here or now > (position.top or 0.0, -position.top_loss)
            if better:
                position.best, position.best_loss = now[0], -now[1]
            if here:
                position.top, position.top_loss = now[0], -now[1]
        else:
            better = here = True
        log.add(
            "epoch", epoch=position.epochs, stage=stage, step=position.steps, **facts, learning_rate=rate,
            images_per_second=round(speed, 1), seconds=round(seconds, 2),
        )  # fmt: skip
        position.epoch, position.step = position.epoch + 1, 0
        position.loss = position.right = position.seen = 0.0
        position.waited = 0 if here else position.waited + 1
        if better:
            position.best_epoch = position.epochs
        if isinstance(source, PictureSource):
            if better:
                self.write_best()
            self.save()
        elif better:  # epochs of a few milliseconds: it is written when the stage ends, or a checkpoint is
            self.best = self.weights_now()
        self.draw_now_and_then()

    def look_first(self, trainer: Trainer, x: Any) -> None:
        """What the very first batch says of the network."""
        logits = trainer.logits(x)
        self.warn(health.check_logits(logits))
        if self.position.stage == 0:
            self.warn(health.check_start(float(-log_softmax(logits).mean()), trainer.classes))

    def warn(self, messages: list[str]) -> None:
        for message in messages:
            self.warnings.append(message)
            self.reporter.note(f"Warning: {message}")

    # The support vector machine

    def solve_svm(self, parts: Parts) -> None:
        """Fit the classifier in one go, on the features.

        Raises:
            InputError: they have height and width.
        """
        position, log = self.position, self.log
        features, val = self.material.features(parts)
        x = features.values.reshape(len(features.values), -1)
        if len(features.values.shape) != 2:
            raise InputError("the svm recipe wants features without height and width: descriptors")
        labels = self.material.labels[features.indices]
        classes = len(self.setup.train.classes)
        self.reporter.begin("solving the SVM", None)
        strength, tried = choose_strength(x, labels, features.indices, classes, seed=self.options.seed)
        kernel, bias = fit_svm(x, labels, classes, strength)
        self.reporter.end()
        classifier = self.network.model.get_layer(self.network.layers[self.network.roles.classifier[0]])
        classifier.kernel.assign(kernel)
        classifier.bias.assign(bias)
        facts: dict[str, float] = {
            "loss": math.nan,
            "accuracy": float(((x @ kernel + bias).argmax(1) == labels).mean()),
        }
        if val is not None and len(val.values):
            scores, val_labels = val.values @ kernel + bias, np.array(self.setup.val.labels)[val.indices]  # type: ignore[union-attr]
            facts["val_accuracy"] = float((scores.argmax(1) == val_labels).mean())
            facts["val_loss"] = float(cross_entropy(scores, val_labels).mean())
            position.best = facts["val_accuracy"]
        position.epochs, position.best_epoch, position.epoch = position.epochs + 1, position.epochs + 1, 1
        log.add("epoch", epoch=position.epochs, stage=SVM, step=0, **facts, learning_rate=0.0, C=strength)
        told = ", ".join(f"C {each:g}: {percent(accuracy)}" for each, accuracy in tried.items())
        self.reporter.note(f"Cross-validation: {told}; {strength:g} is taken")
        self.best = self.weights_now()
        self.save()

    # Checkpoints

    def weights_now(self) -> dict[str, np.ndarray]:
        """The weights that this run has changed, by their paths: arrays of the variables' shapes."""
        every = {variable.path: variable for variable in self.network.model.weights}
        return {path: keras.ops.convert_to_numpy(every[path].value) for path in self.changed()}

    def changed(self) -> set[str]:
        """The paths of variables that a stage so far has trained."""
        trained: set[str] = set()
        for stage in self.setup.stages[: self.position.stage + 1]:
            for layer in self.network.model.layers:
                if stage.trained is None or layer.name in stage.trained:
                    trained |= {variable.path for variable in layer.weights}
        return trained

    def assign(self, weights: Mapping[str, np.ndarray]) -> None:
        """Put weights, as of `weights_now`, into the network; what they do not name stays."""
        for variable in self.network.model.weights:
            if variable.path in weights:
                variable.assign(weights[variable.path])

    def keep_best(self) -> None:
        """Write best.keras, if there is a better network than the one in it."""
        if self.best is None:
            return
        now = self.weights_now()
        self.assign(self.best)
        try:
            self.write_best()
        finally:
            self.assign(now)
        self.best = None

    def write_best(self) -> None:
        """Write the network as it is now as the best; in the file no layer is frozen, and all compute in float32."""
        frozen = [layer for layer in self.network.model.layers if not layer.trainable]
        for layer in frozen:
            layer.trainable = True
        try:
            with backend.computing_in(self.network.model.layers, "float32"):
                save_network(self.network, self.folder / BEST)
        finally:
            for layer in frozen:
                layer.trainable = False

    def save(self) -> None:
        """Write a checkpoint; not of weights that are no numbers any more."""
        self.keep_best()
        arrays = {f"weights/{path}": value for path, value in self.weights_now().items()}
        arrays |= {f"random/{name}": keras.ops.convert_to_numpy(state.value) for name, state in self.generators()}
        if self.trainer is not None:
            state = self.trainer.state()
            arrays |= {f"trainer/{name}": value for name, value in state.items() if name.startswith("optimizer/")}
        if not all(np.isfinite(value).all() for value in arrays.values()):
            return
        self.write_checkpoint(arrays, bad=self.material.bad)

    def generators(self) -> list[tuple[str, Any]]:
        """What Dropout layers draw from: the layer, and its generator's state."""
        drawing = [layer for layer in self.network.model.layers if getattr(layer, "seed_generator", None) is not None]
        return [(layer.name, layer.seed_generator.state) for layer in drawing]

    def load(self) -> None:
        """Take up the last checkpoint."""
        if not is_file(self.folder / LAST):
            return  # it stopped before there was one: begin with the first step
        arrays, facts = load_checkpoint(self.folder / LAST)
        self.position = Position(**facts["position"])
        self.material.bad, self.warnings = dict(facts["bad"]), list(facts["warnings"])
        kinds: dict[str, dict[str, np.ndarray]] = {"weights": {}, "random": {}, "trainer": {}}
        for name, value in arrays.items():
            kind, _, rest = name.partition("/")
            kinds[kind][rest] = value
        self.assign(kinds["weights"])
        for name, generator in self.generators():
            generator.assign(kinds["random"][name])
        if self.position.stage + 1 == len(self.setup.stages) and self.position.epoch >= self.setup.stages[-1].rounds:
            self.reporter.note(f"{self.folder} is trained to its end: it is only judged again")
        if self.position.epoch < self.setup.stages[self.position.stage].rounds:  # else that trainer is not needed
            self.pending = kinds["trainer"]

    # The end

    def tell_kept(self, last: str, best: str) -> None:
        """That the last stage was in vain: the best epoch is one of an earlier stage."""
        kept = f"the network kept is that of epoch {self.position.best_epoch}, of {best}"
        self.reporter.note(f"{last} brought nothing better: {kept}")

    def finish(self) -> Finetuned:
        """Judge the best network in float32, write the report, and leave nothing that only training needs."""
        log, position, setup = self.log, self.position, self.setup
        log.draw()
        last = log.epochs[-1]["stage"]
        of = next((row["stage"] for row in log.epochs if row["epoch"] == position.best_epoch), last)
        if of != last:
            self.tell_kept(last, of)
        best = load_network_file(self.folder / BEST)
        scores = self.judge(best) if setup.val is not None else None
        (self.folder / START).unlink(missing_ok=True)
        done = Finetuned(
            folder=self.folder,
            classes=setup.train.classes,
            scores=scores,
            epoch=position.best_epoch,
            epochs=position.epochs,
            seconds=self.seconds(),
            pictures=len(setup.train) - len(self.material.bad.keys() & {str(file) for file in setup.train.files}),
            skipped=dict(self.material.bad),
            warnings=tuple(self.warnings),
        )
        if self.options.report:
            report(self.folder, best, scores, log.rows, self.material.bad, done.seconds, self.reporter)
        return done

    def judge(self, best: Network) -> Scores | None:
        """What the best network says of the validation pictures, in float32."""
        val = self.setup.val
        assert val is not None  # noqa: S101
        pictures = self.material.pictures(val, "none")
        plain = replace(best, mean_image=None)
        prob, kept = [], []
        self.reporter.begin("validating", len(val), "pictures")
        for batch in all_batches(pictures, batch=self.options.batch, workers=self.options.workers):
            there = batch.weights > 0
            if there.any():
                x = self.material.x_of(batch.views[there])
                prob.append(compute_prob(plain, x, batch=self.options.batch))
                kept += list(batch.indices[there])
            self.reporter.advance(int(batch.indices[-1]) + 1)
        self.reporter.end()
        if not kept:
            return None
        files = tuple(str(val.files[i]) for i in kept)
        scores = Scores(files, np.array([val.labels[i] for i in kept]), np.concatenate(prob), val.classes)
        scores.write_predictions(self.folder / PREDICTIONS)
        return scores
