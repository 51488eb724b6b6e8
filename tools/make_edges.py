"""Makes the small net in Caffe's files that `imgnn convert` is tried on: its kernels are formulas, nobody trained them.

    python tools/make_edges.py            # imgnn/assets/examples/edges.caffemodel and edges.prototxt
    python tools/make_edges.py FOLDER

`edges` finds bars and steps of light in eight directions, and steps from blue to yellow and from green to red;
`contours` those of them that go on in their direction, as the cells of the eye's cortex do that these are drawn after.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from tests.caffe.encode import encode_net  # noqa: E402

PROTOTXT = """\
name: "edges"
layer {
  name: "data" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 3 dim: 224 dim: 224 } }
  transform_param { mean_value: 104 mean_value: 117 mean_value: 123 }
}
layer {
  name: "edges" type: "Convolution" bottom: "data" top: "edges"
  convolution_param { num_output: 24 kernel_size: 7 pad: 3 }
}
layer { name: "relu_edges" type: "ReLU" bottom: "edges" top: "edges" }
layer {
  name: "pool" type: "Pooling" bottom: "edges" top: "pool"
  pooling_param { pool: MAX kernel_size: 3 stride: 2 }
}
layer {
  name: "contours" type: "Convolution" bottom: "pool" top: "contours"
  convolution_param { num_output: 8 kernel_size: 9 pad: 4 }
}
layer { name: "relu_contours" type: "ReLU" bottom: "contours" top: "contours" }
"""
ANGLES = np.pi * np.arange(8) / 8
LIGHT = (0.114, 0.587, 0.299)  # of blue, green and red: how bright they are to the eye (Rec. 601)
BLUE_YELLOW, GREEN_RED = (1.0, -0.5, -0.5), (0.0, -1.0, 1.0)


def gabor(angle: float, phase: float, wave: float, spread: float) -> np.ndarray:
    """A 7 x 7 kernel: a wave across `angle`, fading; `wave` and `spread` in pixels. It sums to 0, its sizes to 1."""
    y, x = np.mgrid[-3:4, -3:4]
    across, along = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kernel = np.exp(-(across**2 + (0.6 * along) ** 2) / (2 * spread**2)) * np.cos(2 * np.pi * across / wave + phase)
    kernel -= kernel.mean()
    return kernel / np.abs(kernel).sum()


def edges() -> np.ndarray:
    """`(24, 3, 7, 7)`: bars, steps, and steps of colour."""
    kernels = [np.multiply.outer(LIGHT, gabor(angle, phase, 4.5, 1.8)) for phase in (0, np.pi / 2) for angle in ANGLES]
    for colours in (BLUE_YELLOW, GREEN_RED):
        for angle in (0, np.pi / 2):
            step = np.multiply.outer(colours, gabor(angle, np.pi / 2, 8.0, 2.4))
            kernels += [step, -step]
    return np.array(kernels, "float32")


def contours() -> np.ndarray:
    """`(8, 24, 9, 9)`: of each direction, the bars that continue each other, and none that cross them."""
    y, x = np.mgrid[-4:5, -4:5]
    kernels = np.zeros((len(ANGLES), 24, 9, 9), "float32")
    for index, angle in enumerate(ANGLES):
        line = np.exp(-((x * np.cos(angle) + y * np.sin(angle)) ** 2) / (2 * 0.9**2))
        kernels[index, index] = line
        kernels[index, (index + 4) % 8] = -0.5 * line  # at right angles
        kernels[index] /= np.abs(kernels[index]).sum()
    return kernels


def main() -> None:
    words = argparse.ArgumentParser(description="Make the small net in Caffe's files again.")
    package = ROOT / "imgnn" / "assets" / "examples"
    words.add_argument("folder", type=Path, nargs="?", default=package, help="where they are written")
    folder = words.parse_args().folder
    blobs = {name: [kernel, np.zeros(len(kernel))] for name, kernel in (("edges", edges()), ("contours", contours()))}
    (folder / "edges.prototxt").write_text(PROTOTXT, encoding="utf-8")
    (folder / "edges.caffemodel").write_bytes(encode_net(PROTOTXT, blobs))
    print(folder / "edges.caffemodel")


if __name__ == "__main__":
    main()
