"""`imgnn finetune --dry-run`: what a finetuning would take, found out by a few steps of it."""

import math
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from imgnn import backend
from imgnn.data.batches import Pictures
from imgnn.data.labelled import Labelled
from imgnn.data.spread import spread
from imgnn.jobs.features import Features, kind_of
from imgnn.jobs.finetune import ShowSetup, config_of, head_of, prepare, read_pictures
from imgnn.jobs.finetune_data import Material, PictureSource, Setup, Source, endless, sample
from imgnn.jobs.finetune_run import START, Training
from imgnn.options import FinetuneOptions
from imgnn.runs import Reporter, Silent, Stop, Stopped, stop_at_once
from imgnn.training.recipes import Stage
from imgnn.training.run_folder import check_run_folder, write_config
from imgnn.training.svm import MOST_ROWS
from imgnn.training.trainer import Parts, Trainer
from imgnn.training.training_run import DRAW_EVERY

Warn = Callable[[list[str]], None]

LOOKED = 32  # pictures in a batch that the frozen part is tried with
BATCHES = 3  # of them; the first is slow, since the network is traced
MANY = 50  # training steps at most, and for no longer than
BUDGET = 3.0  # seconds after the first one, which is slow as well


@dataclass(frozen=True)
class PlannedStage:
    """One stage, and what it would take.

    Attributes:
        steps: in each epoch.
        parameters: that it trains.
        cached: on features that are computed once, not on pictures.
        seconds: all in all.
    """

    name: str
    epochs: int
    steps: int
    parameters: int
    cached: bool
    seconds: float


@dataclass(frozen=True)
class PlannedClass:
    """A class, and how many pictures it has."""

    name: str
    train: int
    val: int


@dataclass(frozen=True)
class Memory:
    """Main memory, bytes.

    Attributes:
        weights: of the network, in float32.
        optimizer: what the optimiser remembers of the weights it trains.
        kept: frames of pictures, or features, that are kept from epoch to epoch.
        peak: of the whole process, all of these and the activations of a step with them.
    """

    weights: int
    optimizer: int
    kept: int
    peak: int


@dataclass(frozen=True)
class Plan:
    """What a run would take.

    Attributes:
        size: `(height, width)` of the pictures as the network sees them, pixels.
        head: the layers that the new classifier looks at; (): what the old one looked at.
        train, val: pictures.
        parameters: of the network.
        seconds: from the first picture to the report.
        disk: bytes of the run's folder; `disk_features`: and of features.npz, while it runs; `disk_free`: on its disk.
        skipped: picture -> why it cannot be read; warnings: what else was found on the way.
    """

    network: str
    recipe: str
    device: str
    devices: int
    precision: str
    size: tuple[int, int]
    head: tuple[str, ...]
    train: int
    val: int
    classes: tuple[PlannedClass, ...]
    parameters: int
    stages: tuple[PlannedStage, ...]
    seconds: float
    memory: Memory
    disk: int
    disk_features: int
    disk_free: int
    skipped: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def dry_run(
    source: Path,
    folder: Path,
    options: FinetuneOptions | None = None,
    reporter: Reporter | None = None,
    *,
    show_layers: ShowSetup | None = None,
) -> Plan:
    """What `finetune` would take: nothing is left behind.

    It is the run in miniature, a few batches of each stage with a learning rate of 0, in a temporary folder. What
    comes once is taken as it is, what comes with each picture or step is multiplied.

    Args:
        folder: of the run; its disk is looked at.
        show_layers: called with the `Setup` before the probe.

    Raises:
        InputError, UnknownNameError, WeightsError, DownloadError: as of `finetune`.
    """
    options, reporter = options or FinetuneOptions(), reporter or Silent()
    options.check()
    check_run_folder(folder, "classifier", early=START)
    train, val = read_pictures(source, options, reporter)
    began = time.monotonic()
    setup = prepare(train, val, options, reporter)
    preparing = time.monotonic() - began
    if show_layers:
        show_layers(setup)
    reporter.begin("probing", None)
    try:
        with tempfile.TemporaryDirectory(prefix="imgnn-") as scratch, stop_at_once("nothing was written") as stop:
            write_config(Path(scratch), config_of(setup, ""))
            probe = Probe(setup, Path(scratch), reporter, stop)
            stages = tuple(probe.try_stage(number) for number in range(len(setup.stages)))
            ending = probe.try_end()
            disk = sum(file.stat().st_size for file in Path(scratch).rglob("*") if file.is_file())
    finally:
        reporter.end()
    drawn = min(sum(stage.epochs for stage in stages), sum(stage.seconds for stage in stages) / DRAW_EVERY)
    model, tally = setup.network.model, probe.tally
    weights = sum(4 * math.prod(variable.shape) for variable in model.weights)
    return Plan(
        network=setup.network.name,
        recipe="from scratch" if options.from_scratch else options.recipe,
        device=backend.device(),
        devices=len(setup.devices),
        precision=setup.precision,
        size=probe.material.preprocessing.size,
        head=head_of(setup),
        train=len(train),
        val=len(val or ()),
        classes=counts(train, val),
        parameters=model.count_params(),
        stages=stages,
        seconds=round(preparing + sum(stage.seconds for stage in stages) + ending + drawn * probe.drawing, 1),
        memory=Memory(weights, tally.optimizer, tally.kept, backend.peak_memory() + tally.kept),
        disk=disk,
        disk_features=tally.features,
        disk_free=shutil.disk_usage(folder.resolve().parent).free,
        skipped=dict(probe.material.bad),
        warnings=tuple(probe.warnings),
    )


def counts(train: Labelled, val: Labelled | None) -> tuple[PlannedClass, ...]:
    """The pictures of each class."""
    of_train, of_val = Counter(train.labels), Counter(val.labels if val else ())
    return tuple(PlannedClass(name, of_train[label], of_val[label]) for label, name in enumerate(train.classes))


class Watch:
    """Takes the time whenever a piece of work reports, and passes its notes on."""

    def __init__(self, reporter: Reporter) -> None:
        self.note = reporter.note
        self.times: dict[str, list[float]] = {}  # of each task: its beginning, and each batch

    def begin(self, task: str, total: float | None, unit: str = "") -> None:
        self.task = task
        self.times[task] = [time.monotonic()]

    def advance(self, done: float, **facts: float) -> None:
        self.times[self.task].append(time.monotonic())

    def end(self) -> None: ...


def rhythm(times: list[float]) -> tuple[float, float]:
    """Of the times of several steps: what the first one took longer than the others, and what each of these took."""
    first, *others = np.diff(times)
    each = float(np.median(others)) if others else 0.0
    return max(0.0, float(first) - each), each


@dataclass
class Tally:
    """What a stage took, and what it would take with all pictures and epochs.

    Attributes:
        probed: seconds that went into trying.
        reckoned: seconds that this stands for.
        reading: seconds for a picture to be decoded and brought to a frame, the last time they were measured.
        steps: in an epoch.
        cached: whether features are kept.
        kept: bytes of frames or features that are kept, at most; `features` of these alone.
        optimizer: bytes of what it remembers, at most.
    """

    probed: float = 0.0
    reckoned: float = 0.0
    reading: float = 0.0
    steps: int = 0
    cached: bool = False
    kept: int = 0
    features: int = 0
    optimizer: int = 0


class Few(Material):
    """A few of a run's pictures; what all of them would take is written down.

    Args:
        whole: the setup of the run; `setup` has the few.
        watch: the reporter.

    Attributes:
        least: rows of features; where the few pictures give less, they are repeated.
    """

    def __init__(
        self, setup: Setup, whole: Setup, folder: Path, watch: Watch, warn: Warn, stop: Stop, tally: Tally
    ) -> None:
        super().__init__(setup, folder, watch, warn, stop)
        self.whole, self.watch, self.tally = whole, watch, tally
        self.least = self.options.batch

    def look(self, parts: Parts, labelled: Labelled, task: str, *, mirrored: bool) -> Features:
        """The features of the few."""
        began, tally = time.monotonic(), self.tally
        every = self.whole.train if labelled is self.setup.train else self.whole.val
        count, batch = len(every or ()), min(LOOKED, self.options.batch)
        rows = count * (2 if mirrored else 1)
        kind = kind_of(parts.below, rows, self.room)
        some = self.pictures(labelled.part(range(min(len(labelled), LOOKED * BATCHES))), "none", room=self.room)
        tally.reading = self.time_reading(some)
        found = self.look_at(parts, some, task, mirrored=mirrored, batch=batch)
        once, each = rhythm(self.watch.times[task])
        tally.features += rows * math.prod(found.values.shape[1:]) * np.dtype(kind).itemsize
        tally.kept, tally.cached = max(tally.kept, tally.features), True
        tally.probed += time.monotonic() - began
        tally.reckoned += together(tally.reading * count, once + each * count / batch)
        if not len(found.values):
            return found
        wanted = np.resize(np.arange(len(found.values)), max(len(found.values), self.least))
        return Features(found.values[wanted], found.indices[wanted])

    def read_frames(self, source: PictureSource) -> tuple[float, float]:
        """Bring the few to frames; seconds for all pictures in a run's first epoch, and in each further one."""
        tally, room = self.tally, source.pictures.room
        tally.reading = self.time_reading(source.pictures)
        if source.val is not None:
            self.time_reading(source.val)
        kept = [frame.nbytes for frame in source.pictures.kept.values()]
        own, pictures = len(self.whole.train), len(self.whole.train) + len(self.whole.val or ())
        wanted = float(np.mean(kept)) * own if kept else math.inf
        if kept:
            tally.kept = max(tally.kept, int(min(wanted * pictures / own, self.room)))
        return tally.reading * pictures, tally.reading * pictures * (1 - min(1.0, room / wanted))

    def time_reading(self, pictures: Pictures) -> float:
        """Seconds for each picture to be decoded and brought to a frame, by all threads."""
        began, done = time.monotonic(), 0
        for _ in spread(pictures.frame, range(len(pictures)), workers=self.options.workers):
            done += 1
            if time.monotonic() - began > BUDGET:
                break
        return (time.monotonic() - began) / max(1, done)


class Probe(Training):
    """A run in miniature: each stage with a few pictures and steps.

    Attributes:
        whole: the setup of the run itself.
        drawing: seconds for the curves, once.
    """

    def __init__(self, setup: Setup, folder: Path, reporter: Reporter, stop: Stop) -> None:
        # With fewer pictures than a batch has places, all of them are one.
        options = replace(setup.options, batch=min(setup.options.batch, len(setup.train)), save_every=math.inf)
        train = sample(setup.train, max(options.batch, LOOKED * BATCHES), options.seed)
        val = sample(setup.val, 2 * options.batch, options.seed) if setup.val else None
        self.watch, self.tally, self.whole = Watch(reporter), Tally(), setup
        small = replace(setup, train=train, val=val, options=options)
        super().__init__(small, folder, self.watch, stop, time.monotonic())
        self.few = self.material = Few(small, setup, folder, self.watch, self.warn, stop, self.tally)
        self.drawing = 0.0

    def try_stage(self, number: int) -> PlannedStage:
        """A few batches of a stage."""
        stage, tally = self.whole.stages[number], self.tally
        self.position = replace(self.position, stage=number, epoch=0, step=0, waited=0)
        tally.probed = tally.reckoned = 0.0
        tally.steps, tally.cached = 0, False
        began = time.monotonic()
        self.run_stage(stage)
        once = time.monotonic() - began - tally.probed  # building, and saving at the end
        layers = [layer for layer in self.network.model.layers if stage.trained is None or layer.name in stage.trained]
        return PlannedStage(
            name=stage.name,
            epochs=stage.epochs,
            steps=tally.steps,
            parameters=sum(math.prod(each.shape) for layer in layers for each in layer.trainable_weights),
            cached=tally.cached,
            seconds=round(once + tally.reckoned, 2),
        )

    def try_end(self) -> float:
        """Seconds for what comes after the last stage: the curves, the judgement, the report."""
        began = time.monotonic()
        self.log.draw()  # matplotlib wakes
        drawn = time.monotonic()
        self.log.draw()
        self.drawing = time.monotonic() - drawn
        done = self.finish()
        seconds = time.monotonic() - began - 2 * self.drawing
        if self.whole.val is not None and done.scores is not None:
            _, each = rhythm(self.watch.times["validating"])
            further = len(self.whole.val) - len(done.scores.files)
            seconds += further * (each / self.options.batch + self.tally.reading)
        return max(0.0, seconds)

    def tell_kept(self, last: str, best: str) -> None:
        """Nothing: no stage was trained, so none was in vain."""

    def solve_svm(self, parts: Parts) -> None:
        """Fit to as many features as the run will have; the choice of C looks at no more than these."""
        views = 2 if self.options.mirror else 1
        self.few.least = min(views * len(self.whole.train), MOST_ROWS)
        super().solve_svm(parts)

    def train_stage(self, stage: Stage, source: Source, trainer: Trainer) -> None:
        """A few steps, and the end of an epoch."""
        began, position, tally = time.monotonic(), self.position, self.tally
        on_pictures = isinstance(source, PictureSource)
        first, again = self.few.read_frames(source) if isinstance(source, PictureSource) else (0.0, 0.0)
        times, seen = [time.monotonic()], 0.0
        for number, (x, targets, weights) in enumerate(endless(source)):
            if number == 0:
                self.look_first(trainer, x)
            loss, accuracy = trainer.step(x, targets, weights, 0.0)
            seen += float(weights.sum())
            if self.stop():
                raise Stopped
            times.append(time.monotonic())
            if number == MANY or (number > 1 and times[-1] - times[1] > BUDGET):
                break
        once, each = rhythm(times)
        position.loss, position.right, position.seen = loss * seen, accuracy * seen, seen
        saving, validation = self.time_end(stage, source, trainer)
        rows = len(self.whole.train) * (2 if self.options.mirror and not on_pictures else 1)
        tally.steps = rows // source.batch
        remembered = sum(4 * math.prod(variable.shape) for variable in trainer.optimizer.variables)
        tally.optimizer = max(tally.optimizer, remembered)
        tally.probed += time.monotonic() - began
        # On pictures everything is saved after each epoch.
        computing = once + stage.epochs * (tally.steps * each + validation + (saving if on_pictures else 0.0))
        tally.reckoned += together(first + (stage.epochs - 1) * again, computing) if stage.epochs else 0.0

    def time_end(self, stage: Stage, source: Source, trainer: Trainer) -> tuple[float, float]:
        """Seconds for a checkpoint with the best network; and for the validation of all pictures."""
        self.end_epoch(source, trainer, stage.name, 0.0, 0.0)  # traces what is timed now
        began = time.monotonic()
        _, labels = source.validate(trainer)
        validated = time.monotonic()
        self.best = self.weights_now()
        self.save()
        saving = time.monotonic() - validated
        if not len(labels) or self.whole.val is None:
            return saving, 0.0
        size = source.batch if isinstance(source, PictureSource) else max(source.batch, 256)
        calls = math.ceil(len(self.whole.val) / size) / math.ceil(len(labels) / size)
        return saving, (validated - began) * calls


def together(reading: float, computing: float) -> float:
    """Seconds of threads that read while the network computes: on a processor they take turns."""
    return reading + computing if backend.device() == "cpu" else max(reading, computing)
