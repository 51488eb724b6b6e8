"""A run of `imgnn train boke` under way: how its epochs are judged, and what is kept of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgnn.data.known_pictures import KnownPicture, KnownPictures
from imgnn.jobs.boke_data import BokeMaterial, PairedSource
from imgnn.jobs.boke_texts import GIVEN
from imgnn.jobs.sentence_run import SentenceTraining, TrainedSentences
from imgnn.language.metrics import distinct, novel
from imgnn.language.sample import SampleOptions
from imgnn.options import BokeOptions, TrainBokeOptions
from imgnn.runs import write_json
from imgnn.training.boke_curves import draw_boke_curves
from imgnn.training.checkpoint import load_checkpoint
from imgnn.training.pairing import rank
from imgnn.training.run_folder import AVERAGE_LOSS, DECODER, Kind

KIND: Kind = "boke"
JUDGED = 200  # validation pictures, at most, that a boke is written for in each epoch
COLUMNS = (
    *("epoch", "step", "loss", "floor", "average_loss", "average_loss_floor", "val_loss", "perplexity", "image_gain"),
    *("distinct", "novel", "learning_rate", "tokens_per_second", "seconds"),
)


@dataclass(frozen=True)
class TrainedBoke(TrainedSentences):
    """What a run came to.

    Attributes:
        loss: nats per token of training, in the last epoch, with dropout.
        floor: the least that it can be: what it costs to choose between the boke of a picture.
        average_loss, average_loss_floor: the same in the unit of butsugiri/bokete.
        val_loss: nats per token of the validation boke, in the epoch that is kept.
        novel: the share of what it drew there that no picture of the training has.
    """

    loss: float
    floor: float
    average_loss: float
    average_loss_floor: float
    val_loss: float
    novel: float


class BokeTraining(SentenceTraining):
    """A run under way."""

    kind, measure, said, columns = KIND, "loss of val", "boke", COLUMNS
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

    def judge(self) -> tuple[dict[str, Any], list[tuple[str, ...]]]:
        material, said = self.material, self.speak()
        return {
            "floor": material.floor.per_token,
            "average_loss": self.position.batches / self.texts_of_epoch(),
            "average_loss_floor": material.floor.average_loss,
            **self.losses(material.val.features),
            "distinct": distinct(said),
            "novel": novel(said, self.known),
        }, said

    def is_better(self, facts: Mapping[str, Any]) -> bool:
        return not self.position.best_epoch or facts["val_loss"] < self.position.best_loss

    def epoch_line(self, facts: Mapping[str, Any]) -> str:
        return (
            f"at least {facts['floor']:.3f}, average {facts['average_loss']:.3f}, val {facts['val_loss']:.3f}, "
            f"image gain {facts['image_gain']:.3f}"
        )

    def keep_epoch(self, facts: dict[str, Any], said: Sequence[tuple[str, ...]], *, better: bool) -> None:
        self.write_average_loss()
        if better or self.options.keep == "last":
            self.keep_decoder(facts, [self.position.epoch])

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
        losses = [row["average_loss"] for row in self.log.epochs]
        write_json(self.folder / AVERAGE_LOSS, {"average_loss": losses})

    def finish(self) -> TrainedBoke:
        """Tell of the best epoch."""
        _, known = load_checkpoint(self.folder / DECODER)
        best, last = known["metrics"], self.log.epochs[-1]
        return TrainedBoke(
            **{
                **self.summary(best),
                "pictures": min(JUDGED, len(self.material.val.images)),
                "epoch": known["epochs"][0],
            },
            **{name: last[name] for name in ("loss", "floor", "average_loss", "average_loss_floor")},
            **{name: best[name] for name in ("val_loss", "novel")},
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
