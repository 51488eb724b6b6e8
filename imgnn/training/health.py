"""Whether a training is on a good way, said in words before hours are spent."""

import math
from collections.abc import Sequence

import numpy as np

LOOK, LONGEST = 20, 500  # steps after which a training is judged, at least and at most
FALL = 0.005  # of the loss, which it is expected to lose by then
SMALLEST_GAIN = 0.02  # nats per token that pictures are expected to save in captions


def check_pixels(x: np.ndarray) -> list[str]:
    """What is wrong with a batch as the network gets it.

    Caffe's networks are used to values around 0 with a deviation of 50 to 80; half of one range says that a mean or a
    scale is another network's.

    Args:
        x: float32 `(n, height, width, channels)`.
    """
    mean, deviation = float(x.mean()), float(x.std())
    if deviation == 0:
        return ["every pixel of the first batch is the same: are these pictures?"]
    if abs(mean) > 1.5 * deviation:
        return [
            f"after the mean is taken away, pictures are {mean:.3g} ± {deviation:.3g}: far from 0. "
            "Is it the mean of these pictures, on the scale 0..255?"
        ]
    return []


def check_start(loss: float, classes: int) -> list[str]:
    """What the very first loss says: a classifier that knows nothing has ln C.

    Args:
        loss: of the new head, before the first step.
    """
    expected = math.log(classes)
    if not math.isfinite(loss):
        return ["the first loss is no number"]
    if abs(loss - expected) > 0.5 * expected + 0.5:
        return [
            f"the first loss is {loss:.2f}; a head that knows nothing has ln {classes} = {expected:.2f}. "
            "The network's activations may be on another scale: try a smaller --learning-rate"
        ]
    return []


def check_logits(logits: np.ndarray) -> list[str]:
    """Whether the head says the same of every picture: it is dead, or what it looks at is.

    Args:
        logits: float32 `(n, classes)`, of different pictures.
    """
    if len(logits) > 1 and float(logits.std(axis=0).max()) < 1e-7:
        return ["the head gives the same for every picture: its inputs, or a ReLU behind it, are dead"]
    return []


def check_fall(losses: Sequence[float], classes: int) -> list[str]:
    """Whether the loss falls in the first steps.

    Args:
        losses: of each step so far.
    """
    if len(losses) < LOOK:
        return []
    half = len(losses) // 2
    before, after = float(np.mean(losses[:half])), float(np.mean(losses[half:]))
    stands, wild = after > (1 - FALL) * before, after > 1.5 * math.log(classes)
    if (stands and after > 0.5 * math.log(classes)) or wild:
        what = "is far above chance" if wild else "does not fall"
        more = "smaller" if wild or after > 1.2 * before else "different"
        return [
            f"the loss {what}: {before:.3f} in the first {half} steps, {after:.3f} in the next. "
            f"Try a {more} --learning-rate; imgnn finetune --lr-find draws what it does to the loss"
        ]
    return []


def check_sentences(distinct: int, pictures: int, image_gain: float, said: str = "caption") -> list[str]:
    """Whether a decoder tells pictures apart, or says the same of all.

    Args:
        distinct: different captions.
        pictures: that they were written for.
        image_gain: nats per token that the right picture saves over another.
        said: what it writes, "caption" or "boke".
    """
    several = f"{said}s" if said == "caption" else said
    if pictures > 10 and distinct <= max(1, pictures // 50):
        return [
            f"{distinct} different {several if distinct > 1 else said} for {pictures:,} pictures: the decoder does "
            f"not tell them apart yet. If it stays so, are the features right? (imgnn train {said} DATA --check)"
        ]
    if image_gain < SMALLEST_GAIN:
        gain = 0.0 if abs(image_gain) < 0.0005 else image_gain
        return [
            f"the right picture saves {gain:.3f} nats per token over another: the {several} hardly depend on the "
            f"pictures yet. If it stays so, do {several} and pictures belong together?"
        ]
    return []
