"""What a Caffe net is made of, whichever files and version it came from."""

from dataclasses import dataclass, field

import numpy as np

from imgnn.caffe.message import Message


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer, in the terms of V2 (V1's are upgraded).

    Attributes:
        type: V2's word: "Convolution", "InnerProduct".
        bottoms, tops: names of the blobs it reads and writes; the same name in both is an in-place layer.
        params: the LayerParameter: `layer.params.convolution_param.stride`.
        blobs: its learned arrays in Caffe's axes, float32, read-only views of the mapped file where the bytes allow;
            empty when there is no weights file or it has none for this layer, unless `filler.py` has.
        line: where the layer begins in the prototxt; None from a caffemodel alone.
    """

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    params: Message
    blobs: tuple[np.ndarray, ...] = field(default=(), repr=False)
    line: int | None = None


@dataclass(frozen=True)
class Transform:
    """What a data layer did to the pictures, as far as its fields say: `(pixel - mean) * scale`.

    Attributes:
        mean_value: one number per channel in the order of the channels (BGR); one for all; or none.
        mean_file: the mean image it names, if any; it is not read.
        crop_size: side of the square in pixels; None if nothing was cropped.
    """

    mean_value: tuple[float, ...] = ()
    scale: float = 1.0
    crop_size: int | None = None
    mean_file: str | None = None
