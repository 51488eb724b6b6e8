"""ResNet-50, -101 and -152 as their authors published them for Caffe.

Paper: Deep Residual Learning for Image Recognition, arXiv:1512.03385, table 1.
Prototxts: KaimingHe/deep-residual-networks, prototxt/ResNet-{50,101,152}-deploy.prototxt. Where torchvision and
Keras differ: the stride sits in the first 1x1 of a block, pooling rounds up, and normalisation is two layers,
BatchNorm (statistics, epsilon 1e-5) and Scale (learned), so that the published blobs fit one by one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from imgnn.networks.layers import (
    add,
    average_pool,
    batch_norm,
    conv,
    inner_product,
    max_pool,
    relu,
    scale,
    softmax,
)

Shape = tuple[int | None, int | None, int]


def build_resnet50(input_shape: Shape = (224, 224, 3), classes: int = 1000, include_top: bool = True) -> keras.Model:
    """ResNet-50. Only here has `conv1` a bias.

    Args:
        input_shape: `(height, width, 3)`; the classifier wants 195 to 226 pixels a side (`pool5` must
            see 7 x 7), height and width may be None without it.
        classes: outputs of `fc1000`.
        include_top: end at `prob`; otherwise at `res5c`.
    """
    units = {2: "abc", 3: "abcd", 4: "abcdef", 5: "abc"}
    return _build("resnet50", units, input_shape, classes, include_top, first_bias=True)


def build_resnet101(input_shape: Shape = (224, 224, 3), classes: int = 1000, include_top: bool = True) -> keras.Model:
    """ResNet-101; stages 3 and 4 number their units: `res4a`, `res4b1` ... `res4b22`.

    Args:
        input_shape: as for `build_resnet50`.
        classes: outputs of `fc1000`.
        include_top: end at `prob`; otherwise at `res5c`.
    """
    units = {2: "abc", 3: _numbered(4), 4: _numbered(23), 5: "abc"}
    return _build("resnet101", units, input_shape, classes, include_top)


def build_resnet152(input_shape: Shape = (224, 224, 3), classes: int = 1000, include_top: bool = True) -> keras.Model:
    """ResNet-152: `res3a`, `res3b1` ... `res3b7`, `res4a`, `res4b1` ... `res4b35`.

    Args:
        input_shape: as for `build_resnet50`.
        classes: outputs of `fc1000`.
        include_top: end at `prob`; otherwise at `res5c`.
    """
    units = {2: "abc", 3: _numbered(8), 4: _numbered(36), 5: "abc"}
    return _build("resnet152", units, input_shape, classes, include_top)


def _numbered(count: int) -> list[str]:
    return ["a", *(f"b{number}" for number in range(1, count))]


def _build(
    name: str,
    units: Mapping[int, Sequence[str]],
    input_shape: Shape,
    classes: int,
    include_top: bool,
    first_bias: bool = False,
) -> keras.Model:
    """`units`: for each stage, the letters of its units."""
    data = x = keras.Input(input_shape, name="data")
    x = conv(x, 64, 7, stride=2, pad=3, bias=first_bias, name="conv1")
    x = batch_norm(x, name="bn_conv1")
    x = scale(x, name="scale_conv1")
    x = relu(x, name="conv1_relu")
    x = max_pool(x, 3, stride=2, name="pool1")
    for stage, letters in units.items():
        width = 64 * 2 ** (stage - 2)
        for letter in letters:
            projected = letter == "a"
            x = _unit(x, f"{stage}{letter}", width, stride=2 if projected and stage > 2 else 1, projected=projected)
    if include_top:
        x = average_pool(x, 7, stride=1, name="pool5")
        x = inner_product(x, classes, name="fc1000")
        x = softmax(x, name="prob")
    return keras.Model(data, x, name=name)


def _unit(x: Any, name: str, width: int, *, stride: int, projected: bool) -> Any:
    """1x1, 3x3, 1x1, added to the input; the first unit of a stage projects its input to the new width."""
    shortcut = x
    if projected:
        shortcut = _normalised(x, 4 * width, 1, f"{name}_branch1", stride=stride)
    x = _normalised(x, width, 1, f"{name}_branch2a", stride=stride)
    x = relu(x, name=f"res{name}_branch2a_relu")
    x = _normalised(x, width, 3, f"{name}_branch2b", pad=1)
    x = relu(x, name=f"res{name}_branch2b_relu")
    x = _normalised(x, 4 * width, 1, f"{name}_branch2c")
    x = add([shortcut, x], name=f"res{name}")
    return relu(x, name=f"res{name}_relu")


def _normalised(x: Any, filters: int, kernel: int, name: str, *, stride: int = 1, pad: int = 0) -> Any:
    x = conv(x, filters, kernel, stride=stride, pad=pad, bias=False, name=f"res{name}")
    x = batch_norm(x, name=f"bn{name}")
    return scale(x, name=f"scale{name}")
