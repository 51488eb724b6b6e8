"""A caption model without training, whose sentences and their probabilities can be told by hand.

Its network sees how bright the left and the right half of a picture are, 0..1. The decoder says "left" as often as the
left half is bright, "right" as the right one is, and at every step the same: what it says first goes on.
"""

import math
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from imgnn.images.preprocessing import Preprocessing
from imgnn.jobs.picture_features import feature_extractor
from imgnn.jobs.sentence_model import save_decoder
from imgnn.language.decoder import Decoder, DecoderSpec
from imgnn.language.vocabulary import MARKS, Vocabulary
from imgnn.networks.files import save_network
from imgnn.networks.network import Network
from imgnn.training.run_folder import DECODER, VOCABULARY, write_config

SIDE = 16
WORDS = (*MARKS, "left", "right", "dark")
END, UNK, LEFT, RIGHT, DARK = 1, 2, 3, 4, 5
GAIN = 8.0  # logits of a word whose half is white: 8 * tanh(tanh(1)) = 5.1; of "dark" and the end 0
OPEN = 20.0  # the bias of a gate that is open


def make_network(gain: float = 1.0) -> Network:
    """`halves`: the mean brightness of the left and the right half, 0..1, times a gain."""
    data = keras.Input((SIDE, SIDE, 3), name="data")
    x = keras.layers.Flatten(name="flatten")(data)
    model = keras.Model(data, keras.layers.Dense(2, name="halves")(x))
    kernel = np.zeros((SIDE, SIDE, 3, 2), "float32")
    kernel[:, : SIDE // 2, :, 0] = kernel[:, SIDE // 2 :, :, 1] = gain / (255 * 3 * SIDE * SIDE / 2)
    model.get_layer("halves").set_weights([kernel.reshape(-1, 2), np.zeros(2, "float32")])
    preprocessing = Preprocessing((SIDE, SIDE), mean=(0.0,) * 3, channel_order="RGB", crop="caffe", resize=SIDE)
    return Network("halves", model, preprocessing, {"halves": "halves"}, {"halves": ("halves", 0)})


def make_decoder(words: int = len(WORDS), *, end: float = 0.0) -> Decoder:
    """An LSTM whose gates stay open: its cell keeps tanh of what the picture gave it, and the words say nothing to it.

    Args:
        end: logit of END.
    """
    decoder = Decoder(DecoderSpec(vocabulary=words, feature=2, embedding=2, hidden=2))
    weights = {name: np.zeros_like(value) for name, value in decoder.weights().items()}
    weights["standard/scale"] += 1
    weights["picture/kernel"] = np.eye(2, dtype="float32")
    weights["recurrent_0/kernel"][:, 4:6] = np.eye(2)  # i, f, c, o: two units each
    weights["recurrent_0/bias"][[0, 1, 2, 3, 6, 7]] = OPEN
    weights["output/kernel"][:, LEFT : RIGHT + 1] = GAIN * np.eye(2)
    weights["output/bias"][[0, UNK]] = -30
    weights["output/bias"][END] = end
    decoder.assign(weights)
    return decoder


def log_prob_of(left: float, right: float, end: float = 0.0) -> dict[str, float]:
    """What the decoder says of every next word, computed without it."""
    logits = {
        "left": GAIN * math.tanh(math.tanh(left)), "right": GAIN * math.tanh(math.tanh(right)), "dark": 0.0, "END": end
    }  # fmt: skip
    total = math.log(sum(map(math.exp, logits.values())))
    return {word: value - total for word, value in logits.items()}


def make_model(
    folder: Path, words: tuple[str, ...] = WORDS, *, end: float = 0.0, gain: float = 1.0, from_file: bool = False
) -> Path:
    """The folder of a run with this model; its network lies beside the folder, as halves.keras.

    Args:
        end, gain: of the decoder and of the network; a network that is there is taken as it is.
        from_file: its features came from a file: what made them is not known.
    """
    folder.mkdir(parents=True)
    network = folder.parent / "halves.keras"
    if not network.exists():
        save_network(make_network(gain), network)
    spec = feature_extractor(str(network), ("halves",), precision="float32").spec
    if from_file:
        spec = type(spec)(**{**vars(spec), "weights": "", "preprocessing": {}})
    write_config(folder, {"kind": "caption"})
    vocabulary = Vocabulary(words, (0,) * len(words))
    vocabulary.save(folder / VOCABULARY)
    save_decoder(folder / DECODER, make_decoder(len(words), end=end), spec, vocabulary, {})
    return folder


def paint_halves(path: Path, left: int, right: int, shape: tuple[int, int] = (20, 30)) -> Path:
    """A picture whose halves have these greys, 0..255."""
    pixels = np.full((*shape, 3), right, "uint8")
    pixels[:, : shape[1] // 2] = left
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path
