"""What a training of boke works on."""

from dataclasses import dataclass

import numpy as np

from imgnn.jobs.boke_texts import BokeTexts
from imgnn.jobs.sentence_data import Material, Part, extractor_for, look
from imgnn.jobs.sentence_sources import CachedSource
from imgnn.language.vocabulary import Vocabulary
from imgnn.options import TrainBokeOptions
from imgnn.runs import Reporter, Stop
from imgnn.training.pairing import Floor, batches_of, choose, draw, entropy_floor, star_weights
from imgnn.training.sentences import Sentences

DRAWS = 100  # epochs of pairing "sampled" by which its batches are counted


@dataclass(frozen=True)
class BokeMaterial(Material):
    """All that a training of boke needs.

    Attributes:
        floor: the least that the training sentences can cost.
    """

    texts: BokeTexts
    floor: Floor


class PairedSource(CachedSource):
    """Batches of boke beside the features of their pictures; of pairing "sampled" one of each picture in an epoch."""

    options: TrainBokeOptions

    def chosen(self, epoch: int) -> np.ndarray | None:
        if self.options.pairing != "sampled":
            return None
        return draw(self.material.train.sentences.rows.tolist(), self.options.seed, epoch)


def prepare_material(
    texts: BokeTexts, vocabulary: Vocabulary, options: TrainBokeOptions, reporter: Reporter, stop: Stop
) -> BokeMaterial:
    """Boke as ids, and the features of their pictures, of the cache or computed now.

    Raises:
        InputError: no picture of a split can be read.
        Stopped: `stop` said so.
    """
    extractor = extractor_for(options, reporter)
    bad: dict[str, str] = {}

    def part(split: str) -> Part:
        odai = texts.boke.part(split).odai
        files = [texts.boke.file(each) for each in odai]
        images, features, mirrored = look(
            extractor, odai, files, split, bad, mirror=options.mirror, reporter=reporter, stop=stop
        )
        said = tuple(texts.tokens[each.name] for each in images)
        paired = options.pairing if split == "train" else "many"
        rows = [row for row, each in enumerate(images) for _ in each.boke]
        stars = [each.star for odai in images for each in odai.boke]
        chosen = choose(rows, stars, paired, options.seed)
        ids = [vocabulary.encode(each) for lines in said for each in lines]
        sentences = Sentences(
            [rows[number] for number in chosen],
            [ids[number] for number in chosen],
            longest=options.longest,
            # The average loss is then what it is in butsugiri/bokete, whose batches are so.
            alone=split == "train",
            weights=star_weights([stars[number] for number in chosen]).tolist() if paired == "stars" else None,
        )
        return Part(images, said, features, mirrored, sentences)

    train, val = part("train"), part("val")
    floor = floor_of(train, options)
    return BokeMaterial(vocabulary, extractor.spec, extractor, train, val, bad, texts, floor)


def floor_of(train: Part, options: TrainBokeOptions) -> Floor:
    """The least that the training sentences can cost; pictures that look the same to the network are one."""
    sentences = train.sentences
    _, alike = np.unique(train.features, axis=0, return_inverse=True)
    often, epochs = np.ones(len(sentences)), [np.arange(len(sentences))]
    if options.pairing == "sampled":
        rows = sentences.rows.tolist()
        often = 1 / np.bincount(sentences.rows)[sentences.rows]
        epochs = [draw(rows, options.seed, epoch) for epoch in range(DRAWS)]
    batches = batches_of(sentences.sizes, epochs, options.batch)
    return entropy_floor(alike[sentences.rows].tolist(), sentences.targets, sentences.weights, often, batches)
