"""The parts of `python -m benchmarks`: what each measures, and which peers it wants."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmarks import (
    caption,
    commands,
    convert,
    dream_googlenet,
    fetch_nginx,
    finetune_step,
    growth,
    mean_opencv,
    start,
    style_vgg19,
    weight,
)
from benchmarks.comparison import Row, Setting


@dataclass(frozen=True)
class Part:
    """What `rows` measures once.

    Attributes:
        about: what it measures, for the list.
        peers: those of `comparison.INSTALL` that it stands beside.
        once: it is the same in every round, and whatever else the machine does.
    """

    rows: Callable[[Setting], Iterable[Row]]
    about: str
    peers: tuple[str, ...] = ()
    once: bool = False


PARTS = {
    "style": Part(style_vgg19.rows, "an evaluation of style transfer's loss and gradient, VGG-19", ("PyTorch",)),
    "dream": Part(dream_googlenet.rows, "DeepDream with GoogLeNet, the whole program", ("PyTorch",)),
    "finetune": Part(finetune_step.rows, "a training step of SqueezeNet and of CaffeNet", ("PyTorch",)),
    "caption": Part(caption.rows, "training, decoding and features of captions", ("PyTorch",)),
    "fetch": Part(fetch_nginx.rows, "2,000 pictures from an nginx on this machine", ("img2dataset",)),
    "mean": Part(mean_opencv.rows, "the mean picture of a data set, the whole command", ("OpenCV",)),
    "convert": Part(convert.rows, "a .caffemodel of VGG-19's size, the whole command; loading the file"),
    "start": Part(start.rows, "from the prompt to a command's first progress, Keras as it comes beside it"),
    "mistakes": Part(start.mistakes, "from the prompt to what is said of a mistake"),
    "commands": Part(commands.rows, "commands as they come, from prompt to result"),
    "weight": Part(weight.rows, "megabytes of what pip installs, and what each package is for", once=True),
    "growth": Part(growth.rows, "time against pixels, pictures, captions, file size, clients"),
}
