"""`imgnn finetune --lr-find`: with which learning rate the loss falls, found out by raising it from step to step."""

import itertools
import math
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from imgnn.errors import InputError, OptionError
from imgnn.images.files import check_apart
from imgnn.jobs.finetune import prepare, read_pictures
from imgnn.jobs.finetune_data import Material, Setup, Source, endless, sample
from imgnn.jobs.finetune_run import Training
from imgnn.options import FinetuneOptions
from imgnn.runs import Reporter, Silent, Stop, Stopped, check_folder, is_folder, stop_at_once
from imgnn.training.curves import draw_lr_curve
from imgnn.training.lr_find import STEPS, RateTest, find_rate
from imgnn.training.recipes import Stage
from imgnn.training.trainer import Trainer

RATE_BATCHES = 16  # of pictures, which the test goes through again and again


def find_learning_rate(
    source: Path, path: Path, options: FinetuneOptions | None = None, reporter: Reporter | None = None
) -> RateTest:
    """Train with a learning rate that rises from step to step, and draw what it does to the loss.

    Of recipes with several stages it is the last one, which trains on pictures; those before it are gone through as
    they are. Where layers have factors of their own, the rate found is what `--learning-rate` means: that of factor 1.

    Args:
        path: of the drawing, a PNG.

    Raises:
        InputError: the recipe has no learning rate; else as of `finetune`.
        UnknownNameError, WeightsError, DownloadError: the network cannot be had.
    """
    options, reporter = options or FinetuneOptions(), reporter or Silent()
    options.check()
    if options.recipe == "svm":
        raise OptionError("the svm recipe is solved in one go: it has no learning rate")
    if is_folder(path):
        raise InputError(f"{path} is a folder; the name of a picture (.png) is wanted")
    check_folder(path)
    train, val = read_pictures(source, options, reporter)
    check_apart(path, train.files)
    setup = prepare(train, val, options, reporter)
    with tempfile.TemporaryDirectory(prefix="imgnn-") as scratch, stop_at_once("nothing was written") as stop:
        climb = Climb(setup, Path(scratch), reporter, stop)
        found = climb.find()
    if found.chosen is None and (rate := below_runaway(found)):
        reporter.note("No rate lowers the loss much further; a tenth of the one at which it runs away is taken")
        found = replace(found, chosen=rate)
    draw_lr_curve(found.rates, found.losses, found.chosen, path, raw=climb.raw[: len(found.rates)])
    return found


def below_runaway(test: RateTest) -> float | None:
    """A tenth of the last rate at which the loss was not yet twice what it is for most; None if it never ran away."""
    if not 0 < len(test.rates) < STEPS:
        return None
    calm = 2 * float(np.median(test.losses))
    return max((rate for rate, loss in zip(test.rates, test.losses, strict=True) if loss <= calm), default=0.0) / 10


class Climb(Training):
    """The stages of a run on some of its pictures, the last of them with a learning rate that rises.

    Attributes:
        raw: the loss of each step.
    """

    def __init__(self, setup: Setup, folder: Path, reporter: Reporter, stop: Stop) -> None:
        count = RATE_BATCHES * setup.options.batch
        train = sample(setup.train, count, setup.options.seed) if count < len(setup.train) else setup.train
        setup = replace(setup, train=train, val=None)
        super().__init__(setup, folder, reporter, stop, time.monotonic())
        self.material = Material(setup, None, reporter, self.warn, stop)  # of which nothing is written
        self.raw: list[float] = []
        self.found = RateTest((), (), None)

    def find(self) -> RateTest:
        """The test."""
        try:
            for number, stage in enumerate(self.setup.stages):
                self.position = replace(self.position, stage=number, epoch=0, step=0, waited=0)
                if stage.epochs:
                    self.run_stage(stage)
        finally:
            self.reporter.end()
        return self.found

    def train_stage(self, stage: Stage, source: Source, trainer: Trainer) -> None:
        if stage is not self.setup.stages[-1]:
            super().train_stage(stage, source, trainer)
            return
        batches = endless(source)
        self.reporter.note(f"Raising the learning rate of the stage {stage.name}")
        self.reporter.begin("trying learning rates", STEPS, "steps")
        steps = itertools.count(1)

        def step(rate: float) -> float:
            loss, _ = trainer.step(*next(batches), rate)
            if not math.isnan(loss):  # of a batch that could not be read
                self.raw.append(loss)
            self.reporter.advance(next(steps), loss=loss, learning_rate=rate)
            if self.stop():
                raise Stopped
            return loss

        self.found = find_rate(step)
        self.reporter.end()

    def save(self) -> None:
        """There is nothing to go on with."""
