"""Network in Network for ImageNet: 1x1 convolutions after each convolution, and no fully connected layer.

Paper: Network In Network, arXiv:1312.4400.
Prototxt: nin_imagenet, gist d802a5849de39225bcc6 of Min Lin. Three layers have a blob of another name
there: `conv4-1024` fills `conv4`, `cccp7-1024` fills `cccp7`, `cccp8-1024` fills `cccp8`; `NetworkSpec.tops` says so.
"""

import keras

from imgnn.networks.layers import average_pool, conv, dropout, max_pool, relu, softmax

Shape = tuple[int | None, int | None, int]


def build_nin(input_shape: Shape = (224, 224, 3), classes: int = 1000, include_top: bool = True) -> keras.Model:
    """Network in Network, trained on ImageNet by its author.

    Differences from the paper, which shows CIFAR: four blocks, a first stride of 4, dropout only before the
    last block; `pool4` averages 6 x 6 instead of everything, so that a large picture gives a map of answers.

    Args:
        input_shape: `(height, width, 3)`; height and width may be None.
        classes: outputs of `cccp8-1024`.
        include_top: end at `prob`; otherwise at `cccp7`.
    """
    data = x = keras.Input(input_shape, name="data")
    x = conv(x, 96, 11, stride=4, name="conv1")
    x = relu(x, name="relu0")
    x = conv(x, 96, 1, name="cccp1")
    x = relu(x, name="relu1")
    x = conv(x, 96, 1, name="cccp2")
    x = relu(x, name="relu2")
    x = max_pool(x, 3, stride=2, name="pool0")

    x = conv(x, 256, 5, pad=2, name="conv2")
    x = relu(x, name="relu3")
    x = conv(x, 256, 1, name="cccp3")
    x = relu(x, name="relu5")
    x = conv(x, 256, 1, name="cccp4")
    x = relu(x, name="relu6")
    x = max_pool(x, 3, stride=2, name="pool2")

    x = conv(x, 384, 3, pad=1, name="conv3")
    x = relu(x, name="relu7")
    x = conv(x, 384, 1, name="cccp5")
    x = relu(x, name="relu8")
    x = conv(x, 384, 1, name="cccp6")
    x = relu(x, name="relu9")
    x = max_pool(x, 3, stride=2, name="pool3")
    x = dropout(x, 0.5, name="drop")

    x = conv(x, 1024, 3, pad=1, name="conv4-1024")
    x = relu(x, name="relu10")
    x = conv(x, 1024, 1, name="cccp7-1024")
    x = relu(x, name="relu11")
    if include_top:
        x = conv(x, classes, 1, name="cccp8-1024")
        x = relu(x, name="relu12")
        x = average_pool(x, 6, stride=1, name="pool4")
        x = softmax(x, name="prob")
    return keras.Model(data, x, name="nin")
