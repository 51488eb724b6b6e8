"""A run of `imgnn train caption` under way: how its epochs are judged, and what is kept of them."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from imgnn.data.caption_files import result_keys, write_results
from imgnn.data.known_pictures import KnownPicture, KnownPictures
from imgnn.jobs.caption_data import CaptionMaterial
from imgnn.jobs.picture_features import FeatureExtractor, feature_extractor
from imgnn.jobs.sentence_model import KIND
from imgnn.jobs.sentence_run import SentenceTraining, TrainedSentences
from imgnn.jobs.sentence_sources import PictureSource, room_for
from imgnn.language.beam import BeamOptions
from imgnn.language.metrics import bleu, distinct, novel
from imgnn.language.tokens import detokenize
from imgnn.networks.feature_network import FEATURE, weights_digest
from imgnn.networks.files import save_network
from imgnn.options import CaptionOptions, TrainCaptionOptions
from imgnn.runs import is_file
from imgnn.training.caption_curves import draw_caption_curves
from imgnn.training.checkpoint import load_checkpoint, save_checkpoint
from imgnn.training.joint_trainer import JointTrainer
from imgnn.training.run_folder import CAPTIONS, DECODER, NETWORK
from imgnn.training.sentences import SentenceBatch

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
class TrainedCaption(TrainedSentences):
    """What a run came to.

    Attributes:
        cider_d, bleu_4: of the validation pictures, in the best epoch.
        averaged: epochs whose mean is better than the best one; 0: none.
    """

    cider_d: float
    bleu_4: float
    averaged: int


class CaptionTraining(SentenceTraining):
    """A run under way."""

    kind, measure, columns = KIND, "CIDEr-D", COLUMNS
    curves = staticmethod(draw_caption_curves)
    material: CaptionMaterial
    options: TrainCaptionOptions

    @property
    def stage(self) -> str:
        """What is trained: "decoder", or "joint": the network, too."""
        return "joint" if isinstance(self.trainer, JointTrainer) else "decoder"

    def prepare_epoch(self) -> None:
        """From the epoch that was asked for on, the network of the feature is trained, too."""
        options, material, after = self.options, self.material, self.options.finetune_after
        if after is None or self.position.epoch < after or self.stage == "joint":
            return
        assert material.extractor is not None  # noqa: S101  check_options() asked for it
        self.trainer = JointTrainer(
            self.decoder,
            material.extractor.network,
            pace=options.network_rate / options.learning_rate,
            precision=self.precision,
            **self.training_options(),
        )
        self.source = PictureSource(material, options, self.trainer, room=room_for(ROOM))
        self.begin_bar()

    def run(self) -> TrainedCaption:
        """Train what is left of all epochs, and sum up."""
        known_pictures(self.material).save(self.folder)
        self.train()
        return self.finish()

    def mixed(self, x: np.ndarray, batch: SentenceBatch, random: np.random.Generator) -> SentenceBatch:
        """The batch with a share of its words as the decoder itself would have said them: scheduled sampling.

        The share grows in a line over the epochs. All words are drawn at once, after the caption's own words, not one
        after the other.

        Args:
            x: what the trainer takes of the batch's pictures: features `(n, numbers)`, or pixels.

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

    def judge(self) -> tuple[dict[str, Any], list[tuple[str, ...]]]:
        features = self.source.val_features()
        losses, said = self.losses(features), self.speak(features)
        return {
            **losses,
            "cider_d": float(self.material.judge.score(said).mean()),
            "bleu_4": round(bleu(said, self.material.val.tokens)[0][3], 6),  # 1e-293 stands for 0
            "distinct": distinct(said),
            "novel": novel(said, self.known),
        }, said

    def is_better(self, facts: Mapping[str, Any]) -> bool:
        # The loss decides between equals: CIDEr-D is 0 until a few words in a row are right.
        return (facts["cider_d"], -facts["val_loss"]) > (self.position.best, -self.position.best_loss)

    def epoch_line(self, facts: Mapping[str, Any]) -> str:
        return (
            f"val {facts['val_loss']:.3f}, CIDEr-D {facts['cider_d']:.3f}, image gain {facts['image_gain']:.3f}, "
            f"{facts['distinct']:,} distinct"
        )

    def keep_epoch(self, facts: dict[str, Any], said: Sequence[tuple[str, ...]], *, better: bool) -> None:
        if better:
            self.position.best = facts["cider_d"]
            self.keep(facts, said, [self.position.epoch])
        self.rank(facts["cider_d"])

    def speak(self, features: np.ndarray) -> list[tuple[str, ...]]:
        """The tokens of each picture's caption.

        Args:
            features: `(pictures, numbers)`.
        """
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
        self.keep_decoder(facts, epochs)
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
            self.log.add("average", epoch=self.position.epoch, epochs=sorted(epochs), **facts)
            self.reporter.note(f"mean of epochs {', '.join(map(str, sorted(epochs)))}: {self.epoch_line(facts)}")
            if facts["cider_d"] > self.position.best:
                self.keep(facts, said, sorted(epochs))
        shutil.rmtree(self.folder / EPOCHS, ignore_errors=True)

    # The end

    def finish(self) -> TrainedCaption:
        """Draw the curves, and tell of the best epoch."""
        self.average()
        _, known = load_checkpoint(self.folder / DECODER)
        if known["feature"]["network"] == NETWORK:  # it sees pictures otherwise than the one that it began as
            seeing = feature_extractor(str(self.folder / NETWORK), (FEATURE,), reporter=self.reporter)
            known_pictures(self.material, seeing).save(self.folder)
        best = known["metrics"]
        return TrainedCaption(
            **self.summary(best),
            cider_d=best["cider_d"],
            bleu_4=best["bleu_4"],
            averaged=len(known["epochs"]) if len(known["epochs"]) > 1 else 0,
        )


def known_pictures(material: CaptionMaterial, extractor: FeatureExtractor | None = None) -> KnownPictures:
    """The pictures of a training for its folder.

    Args:
        extractor: what gives their features; None: they are those it is trained on.
    """
    captions = material.captions
    pictures = [
        KnownPicture(
            image.name, str(captions.file(image).absolute()), image.split, image.captions, (None,) * len(image.captions)
        )
        for image in (*material.train.images, *material.val.images)
    ]
    if extractor is None:
        features = np.concatenate([material.train.features, material.val.features])
        return KnownPictures.shuffled(pictures, lambda rows: features[rows])
    return KnownPictures.shuffled(
        pictures, lambda rows: extractor.extract([Path(pictures[row].file) for row in rows]).values
    )
