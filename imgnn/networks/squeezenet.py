"""SqueezeNet v1.0 and v1.1: AlexNet's accuracy in 5 MB.

Paper: SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size, arXiv:1602.07360.
Prototxts: DeepScale/SqueezeNet, SqueezeNet_v1.0/deploy.prototxt and SqueezeNet_v1.1/deploy.prototxt.
Fully convolutional: any picture that is not tiny fits.
"""

from typing import Any

import keras

from imgnn.networks.layers import concat, conv, dropout, global_average_pool, max_pool, relu, softmax

Shape = tuple[int | None, int | None, int]


def build_squeezenet_v1_0(
    input_shape: Shape = (227, 227, 3), classes: int = 1000, include_top: bool = True
) -> keras.Model:
    """SqueezeNet v1.0, the paper's table 1.

    Difference from the paper: none that shows; `conv10` is padded by 1, as the prototxt has it.

    Args:
        input_shape: `(height, width, 3)`; height and width may be None.
        classes: outputs of `conv10`.
        include_top: end at `prob`; otherwise at `fire9/concat`.
    """
    data = x = keras.Input(input_shape, name="data")
    x = conv(x, 96, 7, stride=2, name="conv1")
    x = relu(x, name="relu_conv1")
    x = max_pool(x, 3, stride=2, name="pool1")
    x = _fire(x, "fire2", 16, 64)
    x = _fire(x, "fire3", 16, 64)
    x = _fire(x, "fire4", 32, 128)
    x = max_pool(x, 3, stride=2, name="pool4")
    x = _fire(x, "fire5", 32, 128)
    x = _fire(x, "fire6", 48, 192)
    x = _fire(x, "fire7", 48, 192)
    x = _fire(x, "fire8", 64, 256)
    x = max_pool(x, 3, stride=2, name="pool8")
    x = _fire(x, "fire9", 64, 256)
    if include_top:
        x = _classifier(x, classes, pad=1)
    return keras.Model(data, x, name="squeezenet-v1.0")


def build_squeezenet_v1_1(
    input_shape: Shape = (227, 227, 3), classes: int = 1000, include_top: bool = True
) -> keras.Model:
    """SqueezeNet v1.1: 2.4 times less work than v1.0 for the same accuracy; it pools earlier.

    Args:
        input_shape: `(height, width, 3)`; height and width may be None.
        classes: outputs of `conv10`.
        include_top: end at `prob`; otherwise at `fire9/concat`.
    """
    data = x = keras.Input(input_shape, name="data")
    x = conv(x, 64, 3, stride=2, name="conv1")
    x = relu(x, name="relu_conv1")
    x = max_pool(x, 3, stride=2, name="pool1")
    x = _fire(x, "fire2", 16, 64)
    x = _fire(x, "fire3", 16, 64)
    x = max_pool(x, 3, stride=2, name="pool3")
    x = _fire(x, "fire4", 32, 128)
    x = _fire(x, "fire5", 32, 128)
    x = max_pool(x, 3, stride=2, name="pool5")
    x = _fire(x, "fire6", 48, 192)
    x = _fire(x, "fire7", 48, 192)
    x = _fire(x, "fire8", 64, 256)
    x = _fire(x, "fire9", 64, 256)
    if include_top:
        x = _classifier(x, classes, pad=0)
    return keras.Model(data, x, name="squeezenet-v1.1")


def _fire(x: Any, name: str, squeeze: int, expand: int) -> Any:
    """A 1x1 that squeezes the channels, then 1x1 and 3x3 side by side that widen them again."""
    x = conv(x, squeeze, 1, name=f"{name}/squeeze1x1")
    x = relu(x, name=f"{name}/relu_squeeze1x1")
    a = conv(x, expand, 1, name=f"{name}/expand1x1")
    a = relu(a, name=f"{name}/relu_expand1x1")
    b = conv(x, expand, 3, pad=1, name=f"{name}/expand3x3")
    b = relu(b, name=f"{name}/relu_expand3x3")
    return concat([a, b], name=f"{name}/concat")


def _classifier(x: Any, classes: int, pad: int) -> Any:
    x = dropout(x, 0.5, name="drop9")
    x = conv(x, classes, 1, pad=pad, name="conv10")
    x = relu(x, name="relu_conv10")
    x = global_average_pool(x, name="pool10")
    return softmax(x, name="prob")
