"""What a run is trained on: pictures varied anew in every epoch, or what the frozen part of a network gave of them."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from imgnn import backend
from imgnn.data.batches import Batch, Pictures, all_batches, epoch_order, training_batches
from imgnn.data.labelled import Labelled, class_weights
from imgnn.errors import InputError
from imgnn.images.augment import Augmentation, augment, frame_of, mix
from imgnn.images.preprocess import centre_of, classifier_crops, constants, preprocess, side_before_crop
from imgnn.jobs.features import Features, look_at, padded
from imgnn.networks.network import Network
from imgnn.options import FinetuneOptions
from imgnn.runs import Reporter, Stop, Stopped, is_file, write_aside
from imgnn.training import health
from imgnn.training.checkpoint import DAMAGED
from imgnn.training.recipes import Stage
from imgnn.training.run_folder import SKIPPED
from imgnn.training.trainer import Parts, Trainer

FEATURES = "features.npz"  # what the frozen part gave of every picture; removed at the end of a run

# A batch to train on: pixels or features, targets (n, classes), weights (n,).
Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass
class Setup:
    """Everything a run needs before its first step."""

    train: Labelled
    val: Labelled | None
    network: Network
    stages: list[Stage]
    options: FinetuneOptions
    precision: str
    devices: backend.Devices
    loaded: set[str]  # Keras's names of the layers whose weights came with the network


class Material:
    """The pictures of a run, as its network takes them.

    Args:
        folder: of the run; None: nothing is written.
        warn: is told what is wrong with the pixels.

    Attributes:
        labels: of the pictures trained on.
        class_weights: how much a picture of each class counts.
        stop: whether somebody asked to.
        room: bytes for what is kept from epoch to epoch.
        bad: picture -> why it could not be read.
    """

    def __init__(
        self, setup: Setup, folder: Path | None, reporter: Reporter, warn: Callable[[list[str]], None], stop: Stop
    ) -> None:
        self.setup, self.folder, self.reporter, self.warn, self.stop = setup, folder, reporter, warn, stop
        self.options, self.network = setup.options, setup.network
        self.preprocessing = self.network.pictures
        self.room = int((backend.memory() or 4 << 30) * self.options.memory)
        self.bad: dict[str, str] = {}
        self.labels = np.array(setup.train.labels)
        weights = class_weights(setup.train.labels) if self.options.balance else {}
        self.class_weights = np.array([weights.get(label, 1.0) for label in range(len(setup.train.classes))], "float32")

    def pictures(self, labelled: Labelled, crop: str, *, room: int = 0) -> Pictures:
        """The pictures of a list as frames; those known to be bad are not read again."""
        preprocessing, mean = self.preprocessing, self.mean_of_frame(crop)

        def prepare_frame(image: np.ndarray) -> np.ndarray:
            if crop == "none":
                frame = classifier_crops(image, preprocessing)[0]
            else:
                frame = frame_of(image, preprocessing.size, preprocessing.resize, crop, preprocessing.crop)
            return frame if mean is None else frame - mean

        pictures = Pictures(labelled.files, prepare_frame, room=room)
        pictures.bad |= {i: self.bad[str(file)] for i, file in enumerate(labelled.files) if str(file) in self.bad}
        return pictures

    def mean_of_frame(self, crop: str) -> np.ndarray | None:
        """How the mean image differs from its channels' means, at the frame's size; None without a mean image.

        Args:
            crop: of the stage: "caffe" has frames larger than what the network takes.

        Returns:
            float32 `(height, width, channels)`, RGB, differences of pixel values of 0..255.
        """
        if self.network.mean_image is None:
            return None
        size = self.preprocessing.size
        if crop == "caffe":
            size = (side_before_crop(size, self.preprocessing.resize),) * 2
        mean = centre_of(self.network.mean_image, size) - constants(self.preprocessing)[0]
        return mean[..., ::-1].astype("float32") if self.preprocessing.channel_order == "BGR" else mean

    def x_of(self, pixels: np.ndarray) -> np.ndarray:
        """A batch as the network gets it: what training/trainer.py's Prepare computes on the device.

        Args:
            pixels: `(n, height, width, 3)`, RGB, 0..255.

        Returns:
            float32 `(n, height, width, channels)`.
        """
        return preprocess(pixels, self.preprocessing)

    def tell_bad(self, pictures: Pictures) -> None:
        """Name pictures that could not be read, once, and write them down."""
        new = {str(pictures.files[i]): why for i, why in sorted(pictures.bad.items())}
        for path, why in new.items():
            if path not in self.bad:
                self.reporter.note(f"Skipped: {why}")
        if not new.keys() - self.bad.keys():
            return
        self.bad |= new
        if self.folder is not None:
            with write_aside(self.folder / SKIPPED) as aside:
                aside.write_text("".join(f"{path}\t{why}\n" for path, why in self.bad.items()), encoding="utf-8")

    def features(self, parts: Parts) -> tuple[Features, Features | None]:
        """What the frozen part gives of the pictures: from the run's file, or computed now.

        Raises:
            InputError: no picture could be read, or the features do not fit into the memory.
            Stopped: `stop` said so.
        """
        file = self.folder / FEATURES if self.folder is not None else None
        if file is not None and is_file(file):
            with contextlib.suppress(*DAMAGED):
                train, judged = load_features(file)
                if judged is None and self.setup.val is not None:
                    judged = self.look(parts, self.setup.val, "features (val)", mirrored=False)
                    save_features(file, train, judged)
                return train, judged
        train = self.look(parts, self.setup.train, "features", mirrored=self.options.mirror)
        self.check_read(set(train.indices))
        if file is not None:  # before the others are looked at: this is what takes long
            save_features(file, train, None)
        val = self.setup.val
        judged = self.look(parts, val, "features (val)", mirrored=False) if val is not None else None
        if file is not None:
            save_features(file, train, judged)
        return train, judged

    def check_read(self, read: Set[int]) -> None:
        """See that there is still something to tell apart after what could not be read was left out.

        Raises:
            InputError: no picture is left, or those of one class.
        """
        if not read:
            raise InputError(f"none of the pictures of {self.setup.train.source} could be read")
        left = {int(label) for label in self.labels[sorted(read)]}
        lost = [self.setup.train.classes[label] for label in sorted(set(self.labels.tolist()) - left)]
        if len(left) < 2:
            raise InputError(
                f"of {self.setup.train.source} only pictures of {self.setup.train.classes[left.pop()]} could be read: "
                "two classes or more are needed to tell them apart"
            )
        if lost:
            self.warn([f"none of the pictures of {', '.join(lost[:3])} could be read: the network will not know it"])

    def look(self, parts: Parts, labelled: Labelled, task: str, *, mirrored: bool) -> Features:
        """The features of some pictures."""
        return self.look_at(parts, self.pictures(labelled, "none"), task, mirrored=mirrored, batch=self.options.batch)

    def look_at(self, parts: Parts, pictures: Pictures, task: str, *, mirrored: bool, batch: int) -> Features:
        """The same, `batch` pictures at once."""
        found = look_at(
            parts.below,
            pictures,
            self.reporter,
            mirrored=mirrored,
            batch=batch,
            precision=self.setup.precision,
            room=self.room,
            stop=self.stop,
            task=task,
            workers=self.options.workers,
            check=lambda pixels: self.warn(health.check_pixels(self.x_of(pixels))),
        )
        self.tell_bad(pictures)
        return found


class Source(Protocol):
    """Where the batches of a stage come from.

    Attributes:
        batch: pictures in one.
        steps: batches in an epoch.
    """

    batch: int
    steps: int

    def epoch(self, stage: int, epoch: int, first: int) -> Iterator[Rows]:
        """The batches of an epoch from step `first` on; `stage` and `epoch` are counted from 0."""

    def validate(self, trainer: Trainer) -> tuple[np.ndarray, np.ndarray]:
        """Logits `(n, classes)` and labels `(n,)` of the validation pictures that can be read; empty without them.

        Raises:
            Stopped: somebody asked for it, where it takes long.
        """


class PictureSource:
    """Batches of a stage that is trained on pictures, varied anew in every epoch."""

    def __init__(self, material: Material, stage: Stage) -> None:
        options, setup = material.options, material.setup
        self.material = material
        self.classes = len(setup.train.classes)
        share = len(setup.train) / (len(setup.train) + len(setup.val or ()))
        self.pictures = material.pictures(setup.train, stage.crop, room=int(material.room * share))
        self.val = material.pictures(setup.val, "none", room=int(material.room * (1 - share))) if setup.val else None
        self.augmentation = Augmentation(crop=stage.crop, mirror=options.mirror, colour=options.colour)
        self.batch = batch_size(options.batch, len(setup.train), len(setup.devices), material.reporter)
        self.steps = len(setup.train) // self.batch
        self.checked = False

    def epoch(self, stage: int, epoch: int, first: int) -> Iterator[Rows]:
        """Pixels, targets and weights."""
        material, options = self.material, self.material.options
        size, number = material.preprocessing.size, epoch_number(stage, epoch)

        def view(frame: np.ndarray, random: np.random.Generator) -> np.ndarray:
            return augment(frame, size, self.augmentation, random)

        for batch in training_batches(
            self.pictures, view, batch=self.batch, seed=options.seed, epoch=number, first=first, workers=options.workers
        ):
            yield self.rows(batch, number)
            material.tell_bad(self.pictures)

    def rows(self, batch: Batch, epoch: int) -> Rows:
        """A batch with what it is to become."""
        material, options = self.material, self.material.options
        if not self.checked and batch.weights.any():
            self.checked = True
            material.warn(health.check_pixels(material.x_of(batch.views)))
        targets = np.eye(self.classes, dtype="float32")[material.labels[batch.indices]]
        random = np.random.default_rng([options.seed, epoch, batch.step, 1])
        views = batch.views
        if batch.weights.all():  # no picture is mixed with one that could not be read
            views, targets = mix(views, targets, random, mixup=options.mixup, cutmix=options.cutmix)
        return views, targets, batch.weights * (targets @ material.class_weights)

    def validate(self, trainer: Trainer) -> tuple[np.ndarray, np.ndarray]:
        material, labelled = self.material, self.material.setup.val
        if self.val is None or labelled is None:
            return np.zeros((0, self.classes)), np.zeros(0, int)
        logits, kept = [], []
        for batch in all_batches(self.val, batch=self.batch, workers=material.options.workers):
            if material.stop():
                raise Stopped
            there = batch.weights > 0
            if there.any():
                logits.append(trainer.logits(padded(batch.views, self.batch))[: len(there)][there])
                kept += list(batch.indices[there])
        material.tell_bad(self.val)
        return np.concatenate([np.zeros((0, self.classes)), *logits]), np.array(labelled.labels)[kept]


class CachedSource:
    """Batches of a stage that is trained on what the frozen part gave of each picture."""

    def __init__(self, material: Material, parts: Parts) -> None:
        options, setup = material.options, material.setup
        self.material = material
        self.classes = len(setup.train.classes)
        self.train, self.val = material.features(parts)
        self.batch = batch_size(options.batch, len(self.train.values), len(setup.devices), material.reporter)
        self.steps = len(self.train.values) // self.batch

    def epoch(self, stage: int, epoch: int, first: int) -> Iterator[Rows]:
        """Features, targets and weights."""
        material = self.material
        order = epoch_order(len(self.train.values), material.options.seed, epoch_number(stage, epoch))
        for step in range(first, self.steps):
            rows = order[step * self.batch : (step + 1) * self.batch]
            indices = self.train.indices[rows]
            targets = np.eye(self.classes, dtype="float32")[material.labels[indices]]
            yield self.train.values[rows].astype("float32"), targets, targets @ material.class_weights

    def validate(self, trainer: Trainer) -> tuple[np.ndarray, np.ndarray]:
        val, labelled = self.val, self.material.setup.val
        if val is None or labelled is None or not len(val.values):
            return np.zeros((0, self.classes)), np.zeros(0, int)
        size = max(self.batch, 256)
        starts = range(0, len(val.values), size)
        pieces = [val.values[start : start + size].astype("float32") for start in starts]
        logits = [trainer.logits(padded(piece, size))[: len(piece)] for piece in pieces]
        return np.concatenate(logits), np.array(labelled.labels)[val.indices]


def endless(source: Source) -> Iterator[Rows]:
    """The batches of one epoch after the other."""
    for epoch in itertools.count():
        yield from source.epoch(0, epoch, 0)


def epoch_number(stage: int, epoch: int) -> int:
    """An epoch's number in the run, so that no two stages draw the same."""
    return stage * 100_000 + epoch


def batch_size(wanted: int, count: int, devices: int, reporter: Reporter) -> int:
    """Pictures in one step: as asked for, no more than there are, and the same for each device.

    Raises:
        InputError: there are fewer pictures than devices.
    """
    if count < devices:
        raise InputError(f"{count} pictures cannot be spread over {devices} devices")
    batch = min(wanted, count) // devices * devices or devices
    if batch != wanted and wanted > count:
        reporter.note(f"There are {count} pictures only: all in one batch, in place of {wanted}")
    return batch


def sample(labelled: Labelled, count: int, seed: int) -> Labelled:
    """`count` pictures, drawn at random by the seed; each more than once where there are too few."""
    order = np.random.default_rng(seed).permutation(len(labelled))
    return labelled.part([int(index) for index in np.resize(order, count)])


def save_features(path: Path, train: Features, val: Features | None) -> None:
    """Keep features until the run is done."""
    arrays: dict[str, Any] = {"train": train.values, "train_indices": train.indices}
    if val is not None:
        arrays |= {"val": val.values, "val_indices": val.indices}
    with write_aside(path) as aside, aside.open("wb") as file:
        np.savez(file, **arrays)


def load_features(path: Path) -> tuple[Features, Features | None]:
    """What `save_features` kept."""
    with np.load(path, allow_pickle=False) as stored:
        train = Features(stored["train"], stored["train_indices"])
        val = Features(stored["val"], stored["val_indices"]) if "val" in stored.files else None
    return train, val
