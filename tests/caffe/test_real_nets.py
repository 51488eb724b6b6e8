"""Every blob of real, published nets against OpenCV 4's Caffe importer, at their own size and at odd ones."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgnn.caffe.graph import build_graph
from imgnn.caffe.net import read_net
from imgnn.caffe.verify import verify
from imgnn.errors import WeightsError


@dataclass(frozen=True)
class Real:
    """One of the shared nets.

    Attributes:
        caffemodel: path in the shared folder.
        sizes: its own, and odd ones that its fully connected part (if any) takes.
        prototxt: path; None: the caffemodel alone says what the net is.
        scale: what the pixels, minus 117, are multiplied by.
    """

    caffemodel: str
    sizes: list[tuple[int, int]]
    prototxt: str | None
    scale: float = 1.0


NETS = {
    "googlenet": Real(
        "weights/bvlc_googlenet.caffemodel",
        [(224, 224), (225, 231), (247, 223)],
        "weights/bvlc_googlenet.prototxt",
    ),
    "squeezenet": Real(
        "weights/squeezenet_v1.1.caffemodel",
        [(227, 227), (225, 231), (97, 131)],
        "weights/squeezenet_v1.1.prototxt",
    ),
    "vgg19": Real(
        "weights/vgg19_conv1_to_conv3.caffemodel",
        [(224, 224), (225, 231), (97, 131)],
        "weights/vgg19_conv1_to_conv3.prototxt",
    ),
    "det1": Real(
        "caffe_samples/det1.caffemodel",
        [(12, 12), (35, 47), (97, 131)],
        "caffe_samples/det1.prototxt",
        1 / 128,
    ),
    "det2": Real(
        "caffe_samples/det2.caffemodel",
        [(24, 24), (23, 25), (25, 23)],
        "caffe_samples/det2.prototxt",
        1 / 128,
    ),
    "lenet": Real(
        "caffe_samples/lenet_iter_10000.caffemodel",
        [(28, 28), (27, 25), (25, 27)],
        "caffe_samples/lenet.prototxt",
        1 / 256,
    ),
    # Its prototxt is of a wider version, which these weights do not fit.
    "waifu2x": Real(
        "caffe_samples/upconv_7_rgb_scale2.0x.caffemodel",
        [(156, 156), (61, 75), (97, 131)],
        None,
        1 / 256,
    ),
}


def photo(path: Path, size: tuple[int, int], channels: int, scale: float) -> np.ndarray:
    """`(1, height, width, channels)`, BGR or grey."""
    height, width = size
    image = Image.open(path).convert("RGB" if channels == 3 else "L").resize((width, height))
    pixels = np.asarray(image, "float32").reshape(1, height, width, channels)[..., ::-1]
    return (pixels - 117) * np.float32(scale)


@pytest.mark.parametrize(("name", "size"), [(name, size) for name, real in NETS.items() for size in real.sizes])
def test_every_blob_of_a_published_net_is_what_opencv_computes(name, size, shared):
    pytest.importorskip("cv2")
    real = NETS[name]
    caffemodel = shared / real.caffemodel
    prototxt = shared / real.prototxt if real.prototxt else None
    net = read_net(prototxt, caffemodel)
    [blob] = net.inputs
    channels = net.layers[0].blobs[0].shape[1]
    net = replace(net, inputs={blob: (1, channels, *size)})
    x = photo(shared / "photos" / "cat.jpg", size, channels, real.scale)
    result = verify(build_graph(net), net, x, prototxt=prototxt, caffemodel=caffemodel)
    assert result.oracle.startswith("OpenCV 4"), result.reason
    assert len(result.rows) == len(net.layers)
    assert result.ok(1e-5), result.worst
    # The softmax of large logits magnifies the last bits: there OpenCV's own rounding may exceed 1e-5.
    assert {row.type for row in result.rows if row.oracle != result.oracle} <= {"Softmax"}


def test_weights_that_do_not_fit_the_prototxt_are_an_error(shared):
    folder = shared / "caffe_samples"
    net = read_net(folder / "upconv_7_rgb_scale2.0x.prototxt", folder / "upconv_7_rgb_scale2.0x.caffemodel")
    with pytest.raises(WeightsError, match=r"layer conv1_layer wants a kernel \(16, 3, 3, 3\); the file holds \(32, 3"):
        build_graph(net)
