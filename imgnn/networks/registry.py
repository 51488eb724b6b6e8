"""The facts of the networks, as data. Imports no Keras."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from imgnn.errors import UnknownNameError


@dataclass(frozen=True)
class Preprocessing:
    """How an image (uint8 RGB, 0..255) becomes what the network was trained on.

    `x = (image[..., channel_order] - mean) * scale`

    Attributes:
        size: `(height, width)` that the classifier wants, pixels.
        mean: one number per channel, in `channel_order`, on the scale 0..255.
        channel_order: Caffe's networks want BGR; GREY has one channel.
        scale: one factor per channel, applied after the mean.
        crop: how a photo is cut to `size`: "square" takes the largest centred square and scales it;
            "caffe" scales the whole picture to `resize` squared, unproportionally, and cuts the centre.
        resize: side in pixels before the centre (or the ten crops of --oversample) is cut.
    """

    size: tuple[int, int]
    mean: tuple[float, ...] = (104.0, 117.0, 123.0)
    channel_order: Literal["BGR", "RGB", "GREY"] = "BGR"
    scale: tuple[float, ...] = (1.0, 1.0, 1.0)
    crop: Literal["square", "caffe"] = "square"
    resize: int = 256


@dataclass(frozen=True)
class LayerRoles:
    """The layers that the recipes use when none is named: Caffe's names."""

    style: tuple[str, ...] = ()
    content: tuple[str, ...] = ()
    dream: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    classifier: tuple[str, ...] = ()  # what finetune replaces; its number of outputs may differ in a weights file


@dataclass(frozen=True)
class PublishedWeights:
    """Where a network's weights were published, and how to know them.

    Attributes:
        url: the authors' address: a default, never a must (`IMGNN_WEIGHTS_URL` or a local file replaces it).
        size: about so many bytes, for the progress bar and the message before a download.
        sha256, sha1, git_blob: the hash that the model card gives; several may be known. None known:
            the sha256 of the first download is recorded and a change is told.
        licence: as the authors put it.
    """

    url: str
    size: int
    licence: str
    sha256: str | None = None
    sha1: str | None = None
    git_blob: str | None = None  # sha1("blob " + size + "\0" + bytes)


@dataclass(frozen=True)
class NetworkSpec:
    """One network: its builder and its facts. A network without mean and source is unfinished.

    Attributes:
        name: what `--network` takes.
        title: as its authors write it.
        builder: "module:function"; called with `input_shape=(height, width, channels)` (None for a free
            size), `classes` and `include_top`; gives a flat Keras model without trained weights.
        classes: outputs of the published version.
        weights: None for a network that needs none (seeded random filters).
        words: the packaged table of class words ("imagenet").
        accuracy: as published, ILSVRC-2012 validation, centre crop.
    """

    name: str
    title: str
    builder: str
    paper: str
    preprocessing: Preprocessing
    roles: LayerRoles
    weights: PublishedWeights | None
    classes: int = 1000
    words: str | None = "imagenet"
    accuracy: str = ""
    aliases: tuple[str, ...] = field(default=())

    def build(self, **options: Any) -> Any:
        """Call the builder: a Keras model. Imports Keras."""
        module, _, function = self.builder.partition(":")
        build: Callable[..., Any] = getattr(importlib.import_module(module), function)
        return build(**options)


SPECS: Mapping[str, NetworkSpec] = {}


def names() -> list[str]:
    """The networks of the registry, in its order."""
    return list(SPECS)


def find(name: str) -> NetworkSpec:
    """The network called `name` (or one of its aliases); case and "_" against "-" do not matter.

    Raises:
        UnknownNameError: there is none; near names are offered.
    """
    wanted = name.casefold().replace("_", "-")
    for spec in SPECS.values():
        if wanted in (spec.name, *spec.aliases):
            return spec
    raise UnknownNameError("network", name, names(), hint="imgnn networks lists them")
