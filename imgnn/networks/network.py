"""A network ready for use: a flat Keras model that knows its Caffe names and its preprocessing."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from imgnn.errors import InputError, UnknownNameError
from imgnn.images.preprocessing import Preprocessing
from imgnn.networks.registry import LayerRoles

# A layer of Caffe's may need several of Keras': those before it are called after it, with one of these ends.
HELPERS = ("__pad", "__flatten", "__nchw", "__rows", "__reshape", "__places", "__by")
RAW = "@raw"  # `conv1@raw`: what the layer itself gives, before in-place layers change its blob


def keras_name(caffe_name: str) -> str:
    """The Keras layer name for a Caffe layer: `inception_3a/1x1` is `inception_3a__1x1`.

    Keras refuses "/" in names, and its torch backend "." as well. Other characters that a backend or HDF5
    stumbles over become "_". Two Caffe names may collide; whoever names the layers of a whole net adds `_2`, `_3`
    and records the pairs in `Network.layers`.
    """
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in caffe_name.replace("/", "__"))
    return safe if safe[:1].isalnum() else f"layer{safe}"


@dataclass(frozen=True)
class Network:
    """A Keras model with what is needed to use it.

    Attributes:
        name: the registry's name, or the file's stem.
        model: flat functional model; takes `x`, float32 `(batch, height, width, channels)`.
        preprocessing: how an image becomes `x`; None if nothing is known (several inputs, no image). Who cannot do
            without asks for `pictures`.
        layers: Caffe layer name -> Keras layer name.
        blobs: Caffe blob name -> (Keras layer name, index of its output) that holds the blob's value at
            the end, after in-place layers (post-ReLU).
        words: one per class, in the order of the output; None if not known.
        roles: the layers that style, content, dream and features use by default.
        source: file name, sha256, licence, paper, who converted it: plain strings, kept in the file.
        mean_image: the whole mean of the pictures it was trained on, float32 `(channels, height, width)` in the
            order of `preprocessing.channel_order`; classifiers then subtract its middle, not the channel means.
        file: the file that the user named it by; None if it goes by its name.
    """

    name: str
    model: keras.Model
    preprocessing: Preprocessing | None
    layers: Mapping[str, str]
    blobs: Mapping[str, tuple[str, int]]
    words: tuple[str, ...] | None = None
    roles: LayerRoles = field(default_factory=LayerRoles)
    source: Mapping[str, Any] = field(default_factory=dict)
    mean_image: np.ndarray | None = field(default=None, compare=False, repr=False)
    file: str | None = None

    @property
    def pictures(self) -> Preprocessing:
        """How a picture becomes its input.

        Raises:
            InputError: nobody knows.
        """
        if self.preprocessing is None:
            raise InputError(f"{self.name} does not say how a picture becomes its input")
        return self.preprocessing

    @property
    def layers_command(self) -> str:
        """What lists its layers, ready to be typed."""
        return f"imgnn networks {shlex.quote(self.file or self.name)}"

    def tensor(self, name: str) -> Any:
        """The symbolic output called `name`: a Caffe blob, a Caffe layer, a Keras layer, or `LAYER@raw`.

        A blob wins over a layer of the same name, so `conv1` is what Caffe's blob holds at the end
        (after its in-place ReLU) and `conv1@raw` is the convolution itself.

        Raises:
            UnknownNameError: nothing is called so; near names are offered.
        """
        if name in self.blobs:
            layer, index = self.blobs[name]
        else:
            bare = name.removesuffix(RAW)
            layer, index = self.layers.get(bare, bare), 0
        try:
            output = self.model.get_layer(layer).output
        except ValueError:
            known = {*self.blobs, *self.layers}
            raise UnknownNameError("layer", name, known, hint=f"{self.layers_command} lists them") from None
        return output[index] if isinstance(output, list | tuple) else output
