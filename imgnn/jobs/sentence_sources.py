"""Where the batches of sentences come from: features that were computed once, or the pictures themselves."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import keras
import numpy as np

from imgnn import backend
from imgnn.data.batches import Pictures, epoch_order
from imgnn.data.spread import spread
from imgnn.images.preprocess import classifier_crops
from imgnn.jobs.caption_data import CaptionMaterial
from imgnn.jobs.features import padded
from imgnn.jobs.picture_features import rounded
from imgnn.jobs.sentence_data import Material, Part
from imgnn.options import TrainCaptionOptions, TrainSentenceOptions
from imgnn.training.joint_trainer import JointTrainer
from imgnn.training.sentences import SentenceBatch

Given = tuple[int, np.ndarray, SentenceBatch, np.random.Generator]


class Source(Protocol):
    """Where batches come from.

    Attributes:
        steps: batches in an epoch.
    """

    steps: int

    def epoch(self, epoch: int, first: int) -> Iterator[Given]:
        """The step's number, what the trainer takes, the batch, and random numbers of its own, from step `first` on."""

    def val_features(self) -> np.ndarray:
        """The features of the validation pictures, `(pictures, numbers)`."""


class CachedSource:
    """Batches of sentences beside the features of their pictures."""

    def __init__(self, material: Material, options: TrainSentenceOptions) -> None:
        self.material, self.options = material, options
        self.steps = material.train.sentences.steps(options.batch, self.chosen(0))

    def chosen(self, epoch: int) -> np.ndarray | None:
        """The numbers of the sentences of an epoch, `(sentences,)`; None: all."""
        return None

    def epoch(self, epoch: int, first: int) -> Iterator[Given]:
        """Features of pictures, and of half of them those of the mirror image, if there are any."""
        part, seed, chosen = self.material.train, self.options.seed, self.chosen(epoch)
        self.steps = part.sentences.steps(self.options.batch, chosen)
        batches = part.sentences.epoch(batch=self.options.batch, seed=seed, epoch=epoch, first=first, only=chosen)
        for step, batch in enumerate(batches, first):
            random = np.random.default_rng([seed, epoch, step])
            features = part.features[batch.rows]
            if part.mirrored is not None:
                turned = random.random(len(features)) < 0.5
                features[turned] = part.mirrored[batch.rows[turned]]
            yield step, features.astype("float32"), batch, random

    def val_features(self) -> np.ndarray:
        return self.material.val.features


class PictureSource:
    """Batches of pictures, each with all its captions.

    Args:
        room: bytes that pictures may take which are kept in memory.
    """

    def __init__(
        self, material: CaptionMaterial, options: TrainCaptionOptions, trainer: JointTrainer, *, room: int
    ) -> None:
        self.material, self.options, self.trainer = material, options, trainer
        train, val = material.train, material.val
        share = len(train.images) / (len(train.images) + len(val.images))
        self.train = self.pictures(train, int(room * share))
        self.val = self.pictures(val, int(room * (1 - share)))
        each = max(1, round(len(train.sentences) / len(train.images)))  # captions of a picture
        self.at_once = max(1, min(options.batch // each, len(train.images)))
        self.steps = -(-len(train.images) // self.at_once)
        self.captions: list[list[int]] = [[] for _ in train.images]
        for number, row in enumerate(train.sentences.rows):
            self.captions[row].append(number)

    def pictures(self, part: Part, room: int) -> Pictures:
        """The pictures of a split, scaled as the network wants them."""
        preprocessing = self.trainer.network.pictures
        files: list[Path] = [self.material.captions.file(image) for image in part.images]
        return Pictures(files, lambda image: classifier_crops(image, preprocessing)[0], room=room)

    def epoch(self, epoch: int, first: int) -> Iterator[Given]:
        """Pixels uint8 `(pictures, height, width, 3)`, half of them mirrored, and their captions."""
        seed, size = self.options.seed, self.at_once
        order = epoch_order(len(self.train), seed, epoch)
        wanted = (int(row) for row in order[first * size :])
        seen = spread(self.train.frame, wanted, workers=self.options.workers, ahead=2 * size)
        for step in range(first, self.steps):
            random = np.random.default_rng([seed, epoch, step])
            found = [(row, frame) for row, frame in itertools.islice(seen, size) if frame is not None]
            numbers = [number for row, _ in found for number in self.captions[row]]
            if not numbers:
                continue
            if len(numbers) > self.options.batch:  # some of them now, others another time
                numbers = random.permutation(numbers)[: self.options.batch].tolist()
            batch = self.material.train.sentences.gather(np.array(numbers), self.options.batch)
            place = {row: number for number, (row, _) in enumerate(found)}
            batch.rows[: len(numbers)] = [place[row] for row in batch.rows[: len(numbers)]]
            turn = (random.random(len(found)) < 0.5) & self.options.mirror
            pixels = np.stack(
                [frame[:, ::-1] if turned else frame for (_, frame), turned in zip(found, turn, strict=True)]
            )
            yield step, padded(pixels, size), batch, random

    def val_features(self) -> np.ndarray:
        """The features as the network gives them now, float16 `(pictures, numbers)`."""
        size, found = self.at_once, []
        frames = spread(self.val.frame, range(len(self.val)), workers=self.options.workers, ahead=2 * size)
        while group := [frame for _, frame in itertools.islice(frames, size)]:
            # They could be read when the training began; one that cannot any more is black.
            blank = np.zeros(self.trainer.looking.inputs[0].shape[1:], "uint8")
            pixels = np.stack([blank if frame is None else frame for frame in group])
            pixels = padded(pixels, size).astype("float32")
            with self.trainer.computing():
                found.append(keras.ops.convert_to_numpy(self.trainer.look(pixels))[: len(group)])
        return rounded(np.concatenate(found))


def room_for(share: float) -> int:
    """Bytes: a share of the machine's memory."""
    return int(share * (backend.memory() or 0))
