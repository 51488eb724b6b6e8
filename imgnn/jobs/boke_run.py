"""A run of `imgnn train boke` under way: how its epochs are judged, and what is kept of them."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imgnn.data.known_pictures import KnownPicture, KnownPictures
from imgnn.jobs.boke_data import BokeMaterial, PairedSource
from imgnn.jobs.boke_texts import GIVEN
from imgnn.jobs.sentence_model import save_decoder
from imgnn.jobs.sentence_run import SentenceTraining
from imgnn.language.metrics import distinct, novel
from imgnn.language.sample import SampleOptions
from imgnn.options import BokeOptions, TrainBokeOptions
from imgnn.runs import write_aside
from imgnn.training import health
from imgnn.training.boke_curves import draw_boke_curves
from imgnn.training.checkpoint import load_checkpoint
from imgnn.training.pairing import rank
from imgnn.training.run_folder import AVERAGE_LOSS, DECODER, METRICS, Kind

KIND: Kind = "boke"
JUDGED = 200  # validation pictures, at most, that a boke is written for in each epoch
COLUMNS = (
    *("epoch", "step", "loss", "floor", "average_loss", "average_loss_floor", "val_loss", "perplexity", "image_gain"),
    *("distinct", "novel", "learning_rate", "tokens_per_second", "seconds"),
)


@dataclass(frozen=True)
class TrainedBoke:
    """What a run came to.

    Attributes:
        folder: of the run.
        loss: nats per token of training, in the last epoch, with dropout.
        floor: the least that it can be: what it costs to choose between the boke of a picture.
        average_loss, average_loss_floor: the same in the unit of butsugiri/bokete.
        val_loss: nats per token of the validation boke, in the epoch that is kept; perplexity: its exponential.
        image_gain: nats per token that the right picture saves over another one, there.
        distinct, novel: of the boke that it drew there for so many `pictures`, how many are different, and the share
            that no picture of the training has.
        epoch: the one whose decoder is kept.
        epochs: done in all.
        seconds: from the command's start.
        tokens_per_second: of training.
        skipped: picture -> why it could not be read.
        warnings: what is wrong with what it said in the last epoch.
    """

    folder: Path
    loss: float
    floor: float
    average_loss: float
    average_loss_floor: float
    val_loss: float
    perplexity: float
    image_gain: float
    distinct: int
    novel: float
    pictures: int
    epoch: int
    epochs: int
    seconds: float
    tokens_per_second: float
    skipped: dict[str, str]
    warnings: tuple[str, ...]


class BokeTraining(SentenceTraining):
    """A run under way."""

    kind, measure, columns = KIND, "loss of val", COLUMNS
    curves = staticmethod(draw_boke_curves)
    material: BokeMaterial
    source: PairedSource
    options: TrainBokeOptions

    def first_source(self) -> PairedSource:
        return PairedSource(self.material, self.options)

    def training_options(self) -> dict[str, Any]:
        """With batches of one length each, tokens of short texts, and their ends, would weigh more than others."""
        sentences, chosen = self.material.train.sentences, self.source.chosen(0)
        sizes = sentences.sizes if chosen is None else sentences.sizes[chosen]
        return {**super().training_options(), "tokens": float(sizes.sum()) / self.source.steps}

    def run(self) -> TrainedBoke:
        """Train what is left of all epochs, and sum up."""
        known_pictures(self.material).save(self.folder)
        self.train()
        return self.finish()

    def end_epoch(self, began: float) -> None:
        position, material = self.position, self.material
        said = self.speak()
        facts: dict[str, Any] = {
            "floor": material.floor.per_token,
            "average_loss": position.batches / self.texts_of_epoch(),
            "average_loss_floor": material.floor.average_loss,
            **self.losses(material.val.features),
            "distinct": distinct(said),
            "novel": novel(said, self.known),
        }
        better = not position.best_epoch or facts["val_loss"] < position.best_loss
        if better:
            position.best_loss, position.best_epoch, position.waited = facts["val_loss"], position.epoch + 1, 0
        else:
            position.waited += 1
        if len(material.val.images) > 1:  # one has no other to be taken for
            self.warnings = health.check_sentences(facts["distinct"], len(said), facts["image_gain"], "boke")
        self.log_epoch(began, facts, words_of(facts))
        self.write_average_loss()
        if better or self.options.keep == "last":
            known = {"epochs": [position.epoch], "metrics": facts}
            save_decoder(self.folder / DECODER, self.decoder, material.spec, material.vocabulary, known)
            with write_aside(self.folder / METRICS) as aside:
                aside.write_text(json.dumps({"epochs": [position.epoch], **facts}, indent=1) + "\n", encoding="utf-8")
        self.save()
        self.draw_now_and_then()

    def texts_of_epoch(self) -> int:
        """Boke that an epoch trains on."""
        chosen = self.source.chosen(self.position.epoch)
        return len(self.material.train.sentences) if chosen is None else len(chosen)

    def speak(self) -> list[tuple[str, ...]]:
        """A boke for each of the first validation pictures, drawn as `imgnn boke` draws."""
        features = self.material.val.features[:JUDGED]
        drawing = SampleOptions(
            max_length=self.options.longest + 1,
            temperature=BokeOptions.temperature,
            top_p=BokeOptions.top_p,
            seed=self.options.seed,
        )
        drawn = self.speaker.sample([features], drawing, range(len(features)))
        return [tuple(self.material.vocabulary.decode(each[0].tokens)) for each in drawn]

    def write_average_loss(self) -> None:
        """Write the losses as butsugiri/bokete has them; see `training/pairing.py` for what they are."""
        assert self.log is not None  # noqa: S101  train() made it
        losses = [row["average_loss"] for row in self.log.epochs]
        with write_aside(self.folder / AVERAGE_LOSS) as aside:
            aside.write_text(json.dumps({"average_loss": losses}, indent=1) + "\n", encoding="utf-8")

    def finish(self) -> TrainedBoke:
        """Tell of the best epoch."""
        position, log = self.position, self.log
        assert log is not None  # noqa: S101  train() made it
        _, known = load_checkpoint(self.folder / DECODER)
        best, last = known["metrics"], log.epochs[-1]
        return TrainedBoke(
            folder=self.folder,
            loss=last["loss"],
            floor=last["floor"],
            average_loss=last["average_loss"],
            average_loss_floor=last["average_loss_floor"],
            val_loss=best["val_loss"],
            perplexity=best["perplexity"],
            image_gain=best["image_gain"],
            distinct=best["distinct"],
            novel=best["novel"],
            pictures=min(JUDGED, len(self.material.val.images)),
            epoch=known["epochs"][0],
            epochs=position.epoch,
            seconds=position.seconds + time.monotonic() - self.began,
            tokens_per_second=last["tokens_per_second"],
            skipped=dict(self.material.bad),
            warnings=tuple(self.warnings),
        )


def known_pictures(material: BokeMaterial) -> KnownPictures:
    """The pictures of a training for its folder."""
    boke, given = material.texts.boke, material.texts.tokenizer.name == GIVEN
    pictures = []
    for odai in (*material.train.images, *material.val.images):
        best = sorted(range(len(odai.boke)), key=lambda place: rank(odai.boke[place].star), reverse=True)
        pictures.append(
            KnownPicture(
                odai.name,
                str(boke.file(odai).absolute()),
                odai.split,
                tuple(odai.boke[place].text for place in best),
                tuple(odai.boke[place].star for place in best),
                tuple(odai.tokens[place] for place in best) if given else None,
            )
        )
    features = np.concatenate([material.train.features, material.val.features])
    return KnownPictures.shuffled(pictures, lambda rows: features[rows])


def words_of(facts: Mapping[str, Any]) -> str:
    """What an epoch came to, in a line."""
    return (
        f"at least {facts['floor']:.3f}, average {facts['average_loss']:.3f}, val {facts['val_loss']:.3f}, "
        f"image gain {facts['image_gain']:.3f}"
    )
