"""What a classifier says of pictures: the most probable classes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from imgnn.errors import InputError
from imgnn.images.preprocess import preprocess
from imgnn.networks.logits import prob_layer
from imgnn.networks.network import Network

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Prediction:
    """One class that a network believes it sees.

    Attributes:
        class_index: counted from 0, in the order of the network's output.
        prob: 0..1.
        wnid: the WordNet id of the synset, "n02123045"; None if the network does not know it.
        words: "tabby, tabby cat"; None if the network does not know them.
    """

    class_index: int
    prob: float
    wnid: str | None = None
    words: str | None = None


def compute_prob(network: Network, pictures: np.ndarray, *, views: int = 1, batch: int = 16) -> np.ndarray:
    """The probability of every class.

    A network that does not end in a softmax or sigmoid gives logits, and gets its softmax here.

    Args:
        network: a classifier.
        pictures: uint8 images `(n, height, width, 3)`, which are preprocessed here, or float `x`
            `(n, height, width, channels)`, which is taken as it is; of the size that the network wants.
        views: so many consecutive pictures are views of one (ten crops): their probabilities are averaged.
        batch: pictures that go through the network at once.

    Returns:
        float32 `(n / views, classes)`, 0..1.

    Raises:
        InputError: the network is no classifier or knows no preprocessing, or the pictures have another
            size than it wants.
    """
    check_classifier(network)
    x = pictures
    if pictures.dtype == np.uint8:
        x = preprocess(pictures, network.pictures, network.mean_image)
    check_input(network, x.shape)
    if len(x) % views:
        raise InputError(f"{len(x)} pictures are not a multiple of {views} views")
    scores = [
        np.asarray(network.model.predict_on_batch(x[start : start + batch])).reshape(-1, classes(network))
        for start in range(0, len(x), batch)
    ]
    prob = np.concatenate(scores).astype("float32")
    if prob_layer(network.model) is None:
        raised = np.exp(prob - prob.max(axis=1, keepdims=True))
        prob = raised / raised.sum(axis=1, keepdims=True)
    return prob.reshape(-1, views, prob.shape[1]).mean(axis=1)


def top_classes(prob: np.ndarray, words: Sequence[str] | None, top_k: int) -> list[Prediction]:
    """The most probable classes of a picture, the first one first; of two equal ones, that with the lower index.

    Args:
        prob: `(classes,)`, 0..1.
        words: of each class; None: not known.
        top_k: at most so many; no more than there are classes.
    """
    best = np.argsort(-prob, kind="stable")[:top_k]
    return [Prediction(int(each), float(prob[each]), *class_name(words, int(each))) for each in best]


def class_name(words: Sequence[str] | None, class_index: int) -> tuple[str | None, str | None]:
    """The wnid and the words of a class.

    A line of a synset file, "n02123045 tabby, tabby cat", is taken apart; any other is all words.
    """
    if words is None or class_index >= len(words):
        return None, None
    found = re.fullmatch(r"(n\d{8})[\s:]+(.+)", words[class_index])
    return (found[1], found[2]) if found else (None, words[class_index])


def words_of(line: str) -> list[str]:
    """All that a class may be called by: its wnid, each of its words, all of them."""
    wnid, words = class_name((line,), 0)
    each = [word.strip() for word in (words or "").split(",")]
    return [name for name in (wnid, *each, words) if name]


class ClassNames:
    """Finds classes by what they are called: the whole line, the wnid, or any of the words; case does not matter."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.whole: dict[str, list[int]] = {}
        self.parts: dict[str, list[int]] = {}
        for index, line in enumerate(lines):
            self.whole.setdefault(line.casefold(), []).append(index)
            for name in {word.casefold() for word in words_of(line)}:
                self.parts.setdefault(name, []).append(index)

    def find(self, name: str) -> list[int]:
        """The classes that a name may mean; of one that is a class's whole line, this one alone."""
        name = name.strip()
        wnid, _ = class_name((name,), 0)
        return self.whole.get(name.casefold()) or self.parts.get((wnid or name).casefold(), [])


def classes(network: Network) -> int:
    """How many classes the network's output has."""
    return int(network.model.outputs[0].shape[-1])


def check_classifier(network: Network) -> None:
    """See to it that one picture gives one row of scores.

    Raises:
        InputError: it does not; the message names the outputs.
    """
    shapes = output_shapes(network)
    one_row = [len(shape) == 2 or (len(shape) == 4 and shape[1:3] == (1, 1)) for shape in shapes]
    if len(network.model.inputs) != 1 or one_row != [True] or not shapes[0][-1]:
        raise InputError(
            f"{network.name} is no classifier: expected one row of scores for a picture, found "
            + " and ".join(" x ".join("?" if size is None else str(size) for size in shape[1:]) for shape in shapes)
            + " values",
            hint=f"another --network (imgnn networks), or imgnn finetune to teach it classes of yours, and --run; "
            f"{network.layers_command} lists its layers",
        )


def input_shape(network: Network) -> Shape:
    """The shape of the (first) input; where the model takes any size, the one that the network was made for."""
    shape = tuple(network.model.inputs[0].shape)
    if network.preprocessing is not None and shape[1:3] == (None, None):
        return (shape[0], *network.preprocessing.size, shape[3])
    return shape


def output_shapes(network: Network) -> list[Shape]:
    """The shape of each output, `(batch, ...)`, for an input of `input_shape`."""
    if len(network.model.inputs) != 1 or input_shape(network) == tuple(network.model.inputs[0].shape):
        return [tuple(each.shape) for each in network.model.outputs]
    outputs = network.model.compute_output_spec(keras.KerasTensor(input_shape(network)))
    return [tuple(each.shape) for each in keras.tree.flatten(outputs)]


def check_input(network: Network, shape: tuple[int, ...]) -> None:
    """See to it that the network takes `x` of this shape.

    Raises:
        InputError: it does not.
    """
    wanted = input_shape(network)
    fits = len(wanted) == len(shape) and all(want in (None, have) for want, have in zip(wanted, shape, strict=True))
    if not fits:
        raise InputError(f"{network.name} wants pictures of the form {wanted}; {shape} was received")
