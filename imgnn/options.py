"""Every knob and its default: one frozen dataclass per job. Imports no Keras.

`None` means "the network's own"; the job resolves it once.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class ClassifyOptions:
    """What `imgnn classify` may be told."""

    network: str = "squeezenet-v1.1"  # a name of the registry, or a .keras or .caffemodel file
    top: int = 5  # classes shown for each picture, most probable first
    oversample: bool = False  # average over ten crops (corners, centre, mirrored) instead of the centre alone
    batch: int = 16  # crops that go through the network at once: more is faster until the memory is full


@dataclass(frozen=True)
class StyleOptions:
    """What `imgnn style` may be told. The three weights have no unit: see `optimize/objectives.py`."""

    network: str = "squeezenet-v1.1"  # a name of the registry, or a .keras or .caffemodel file
    size: int = 512  # pixels, the long side of the result; the shape is the content's
    iterations: int = 300  # evaluations of the loss and its gradient
    content_weight: float = 0.05
    style_weight: float = 1.0
    tv_weight: float = 5.0  # smoothness: larger takes away grain, and at last the strokes
    style_blend: tuple[float, ...] | None = None  # share of each style picture; None: the same for all
    content_layers: tuple[str, ...] | None = None
    style_layers: tuple[str, ...] | None = None
    init: Literal["content", "random", "style"] = "content"  # what the picture is before the first step
    # L-BFGS comes to a lower loss, and stays nearer to where it began; Adam's first strides make broader strokes.
    optimizer: Literal["adam", "lbfgs"] = "adam"
    learning_rate: float | None = None  # None: 20 for Adam (grey levels a step), 1 for L-BFGS (a factor)
    seed: int = 0  # of the noise that `init="random"` starts from


@dataclass(frozen=True)
class ConvertOptions:
    """What `imgnn convert` may be told."""

    network: str | None = None  # a name of the registry; None: recognised, or built from the prototxt
    until: str | None = None  # the layer before which the import ends
    mean: str | None = None  # a .binaryproto, .npy or picture; or numbers, "104,117,123" or "127.5" for all channels
    scale: float | None = None  # factor after the mean is taken away; not 0
    rgb: bool = False  # trained on RGB; Caffe's own networks take BGR
    words: Path | None = None  # a file with a line for each class, "n02123045 tabby, tabby cat" or plain "tabby"
    verify: Path | None = None  # the picture with which every blob is compared with a second opinion
