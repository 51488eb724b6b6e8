"""Every blob of real, published nets against OpenCV 4's Caffe importer, at their own size and at odd ones."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from PIL import Image

from imgnn.caffe.graph import build_graph
from imgnn.caffe.net import read_net
from imgnn.caffe.verify import verify


@dataclass(frozen=True)
class Real:
    """Attributes:
    sizes: its own, and odd ones that its fully connected part (if any) takes.
    scale: what the pixels, minus 117, are multiplied by.
    """

    path: str
    sizes: list[tuple[int, int]]
    prototxt: str | None = None
    scale: float = 1.0


NETS = {
    "googlenet": Real("weights/bvlc_googlenet", [(224, 224), (225, 231), (247, 223)]),
    "squeezenet": Real("weights/squeezenet_v1.1", [(227, 227), (225, 231), (97, 131)]),
    "vgg19": Real("weights/vgg19_conv1_to_conv3", [(224, 224), (225, 231), (97, 131)]),
    "det1": Real("caffe_samples/det1", [(12, 12), (35, 47), (97, 131)], scale=1 / 128),
    "det2": Real("caffe_samples/det2", [(24, 24), (23, 25), (25, 23)], scale=1 / 128),
    "lenet": Real("caffe_samples/lenet_iter_10000", [(28, 28), (27, 25), (25, 27)], "caffe_samples/lenet", 1 / 256),
    "waifu2x": Real("caffe_samples/upconv_7_rgb_scale2.0x", [(156, 156), (61, 75), (97, 131)], scale=1 / 256),
}


def photo(path, size: tuple[int, int], channels: int, scale: float) -> np.ndarray:
    """`(1, height, width, channels)`, BGR or grey."""
    height, width = size
    image = Image.open(path).convert("RGB" if channels == 3 else "L").resize((width, height))
    pixels = np.asarray(image, "float32").reshape(1, height, width, channels)[..., ::-1]
    return (pixels - 117) * np.float32(scale)


@pytest.mark.parametrize(("name", "size"), [(name, size) for name, real in NETS.items() for size in real.sizes])
def test_every_blob_of_a_published_net_is_what_opencv_computes(name, size, shared):
    pytest.importorskip("cv2")
    real = NETS[name]
    caffemodel = shared / f"{real.path}.caffemodel"
    prototxt = shared / f"{real.prototxt or real.path}.prototxt"
    net = read_net(prototxt, caffemodel)
    [(blob, shape)] = net.inputs.items()
    net = replace(net, inputs={blob: (1, shape[1], *size)})
    x = photo(shared / "photos" / "cat.jpg", size, shape[1], real.scale)
    result = verify(build_graph(net), net, x, prototxt=prototxt, caffemodel=caffemodel)
    assert result.oracle.startswith("OpenCV 4"), result.reason
    assert len(result.rows) == len(net.layers)
    assert result.ok(1e-5), result.worst
