"""Which places of a picture speak for which word of its caption: `imgnn caption --explain`."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgnn.images.files import load_image
from imgnn.images.heat import overlay
from imgnn.images.preprocess import CHANNELS, classifier_crops, deprocess
from imgnn.images.sheet import contact_sheet, shape_of
from imgnn.jobs.load import preprocessing_of
from imgnn.jobs.picture_features import BATCH, FeatureExtractor
from imgnn.jobs.sentence_model import Speaker
from imgnn.language.vocabulary import Vocabulary

CELLS = 8  # of a side; a patch covers two by two of them, so that there are 7 x 7 places for it
FULL = (0.1, 1.0)  # nats that are drawn in the hottest colour: those of the caption's strongest place, within these
COLUMNS = 4  # of a sheet


@dataclass(frozen=True)
class Evidence:
    """What each word of a caption owes to each place of the picture.

    Attributes:
        image: the picture, uint8 `(height, width, 3)`.
        words: of the caption.
        maps: float32 `(words, 8, 8)` over the whole picture: by how many nats the word is less probable where the place
            is covered; 0 where it is not less.
        nats: float32 `(words,)`, the largest of each map.
    """

    image: np.ndarray
    words: tuple[str, ...]
    maps: np.ndarray
    nats: np.ndarray


def explain(
    speaker: Speaker, extractors: Sequence[FeatureExtractor], vocabulary: Vocabulary, path: Path, tokens: Sequence[int]
) -> Evidence:
    """Cover the picture place by place, and see by how much each word of a caption becomes less probable.

    A patch of the network's mean colour, a quarter of the picture's side, stands at 7 x 7 places in turn. The words
    before a word stay those of the caption. A place's evidence is the mean over the patches that cover it.

    Args:
        extractors: for each of the speaker's decoders.
        tokens: ids of the caption, without START and END.

    Raises:
        InputError: the picture cannot be read.

    Source: Visualizing and Understanding Convolutional Networks, arXiv:1311.2901, section 4.2, for each word.
    """
    image = load_image(path)
    seen = {id(each): look_at_covered(each, image) for each in extractors}
    features = [seen[id(each)] for each in extractors]
    log_probs = speaker.follow(features, np.tile(tokens, (len(features[0]), 1)))  # (1 + places, words)
    less = (log_probs[0] - log_probs[1:]).T.reshape(len(tokens), CELLS - 1, CELLS - 1)
    sums = np.zeros((len(tokens), CELLS, CELLS), "float32")
    count = np.zeros((CELLS, CELLS), "float32")
    for down in (0, 1):
        for right in (0, 1):
            covered = (slice(down, down + CELLS - 1), slice(right, right + CELLS - 1))
            sums[:, *covered] += less
            count[covered] += 1
    maps = np.maximum(sums / count, 0)
    return Evidence(image, tuple(vocabulary.decode(tokens)), maps, maps.max(axis=(1, 2)))


def look_at_covered(extractor: FeatureExtractor, image: np.ndarray) -> np.ndarray:
    """The features of a picture, and of it with each place covered: `(1 + places, numbers)`."""
    preprocessing = preprocessing_of(extractor.network)
    pixels = classifier_crops(image, preprocessing)[0]
    mean = deprocess(np.zeros((1, 1, CHANNELS[preprocessing.channel_order])), preprocessing)
    rows, columns = (np.rint(np.linspace(0, side, CELLS + 1)).astype(int) for side in pixels.shape[:2])
    views = [pixels]
    for down in range(CELLS - 1):
        for right in range(CELLS - 1):
            covered = pixels.copy()
            covered[rows[down] : rows[down + 2], columns[right] : columns[right + 2]] = mean
            views.append(covered)
    parts = (views[start : start + BATCH] for start in range(0, len(views), BATCH))
    return np.concatenate([extractor.vectors(np.stack(part), BATCH) for part in parts])


def draw(evidence: Evidence, caption: str) -> np.ndarray:
    """A sheet, `(height, width, 3)`: the picture with its caption, then one for each word: its places and its nats.

    A word's strongest place is the hottest, if it has a nat, or most of all words; of others it is colder. Articles and
    words that those before them leave no doubt of ("an airplane") owe the picture little.
    """
    height, width = shape_of([evidence.image])
    lines = textwrap.wrap(caption, 36 * width // max(height, width)) or ["-"]
    pictures, captions = [evidence.image], ["\n".join(lines)]
    hottest = np.clip(evidence.nats.max(initial=0), *FULL)
    for word, each, nats in zip(evidence.words, evidence.maps, evidence.nats, strict=True):
        pictures.append(overlay(evidence.image, each / max(nats, hottest)))
        captions.append(f"{word}  {nats:.2f}")
    rows = [slice(start, start + COLUMNS) for start in range(0, len(pictures), COLUMNS)]
    return contact_sheet(
        [pictures[row] for row in rows], captions=[captions[row] for row in rows], cell=(height, width)
    )
