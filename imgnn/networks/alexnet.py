"""AlexNet as Berkeley trained it in Caffe, and its twin CaffeNet, which pools before it normalises.

Paper: ImageNet Classification with Deep Convolutional Neural Networks, Krizhevsky, Sutskever, Hinton, NIPS 2012.
Prototxts: BVLC/caffe, models/bvlc_alexnet/deploy.prototxt and models/bvlc_reference_caffenet/deploy.prototxt.
Places-CNN and Flickr Style are CaffeNet with another number of classes.
"""

from typing import Any

import keras

from imgnn.networks.layers import conv, dropout, inner_product, lrn, max_pool, relu, softmax

Shape = tuple[int | None, int | None, int]


def build_caffenet(
    input_shape: Shape = (227, 227, 3), classes: int = 1000, include_top: bool = True, groups: int = 2
) -> keras.Model:
    """BVLC Reference CaffeNet: AlexNet on one GPU, with pooling before normalisation.

    Differences from the paper: that order; trained without the colour augmentation.

    Args:
        input_shape: `(height, width, 3)`; the fully connected layers want 199 to 230 pixels a side,
            height and width may be None without them.
        classes: outputs of `fc8`.
        include_top: end at `prob`; otherwise at `pool5`.
        groups: of conv2, conv4 and conv5; 1 for training from nothing, as Chainer's example has it: published weights
            do not fit then.
    """
    data = x = keras.Input(input_shape, name="data")
    x = conv(x, 96, 11, stride=4, name="conv1")
    x = relu(x, name="relu1")
    x = max_pool(x, 3, stride=2, name="pool1")
    x = lrn(x, name="norm1")
    x = conv(x, 256, 5, pad=2, group=groups, name="conv2")
    x = relu(x, name="relu2")
    x = max_pool(x, 3, stride=2, name="pool2")
    x = lrn(x, name="norm2")
    x = _conv3_to_pool5(x, groups)
    if include_top:
        x = _fully_connected(x, classes)
    return keras.Model(data, x, name="caffenet")


def build_alexnet(
    input_shape: Shape = (227, 227, 3), classes: int = 1000, include_top: bool = True, groups: int = 2
) -> keras.Model:
    """BVLC AlexNet: the paper's network on one GPU; its two towers live on as groups.

    Differences from the paper: 227 pixels, which its own numbers need; trained without the colour
    augmentation and with biases that begin at 0.1, not 1.

    Args:
        input_shape: as for `build_caffenet`.
        classes: outputs of `fc8`.
        include_top: end at `prob`; otherwise at `pool5`.
        groups: as for `build_caffenet`.
    """
    data = x = keras.Input(input_shape, name="data")
    x = conv(x, 96, 11, stride=4, name="conv1")
    x = relu(x, name="relu1")
    x = lrn(x, name="norm1")
    x = max_pool(x, 3, stride=2, name="pool1")
    x = conv(x, 256, 5, pad=2, group=groups, name="conv2")
    x = relu(x, name="relu2")
    x = lrn(x, name="norm2")
    x = max_pool(x, 3, stride=2, name="pool2")
    x = _conv3_to_pool5(x, groups)
    if include_top:
        x = _fully_connected(x, classes)
    return keras.Model(data, x, name="alexnet")


def _conv3_to_pool5(x: Any, groups: int) -> Any:
    x = conv(x, 384, 3, pad=1, name="conv3")
    x = relu(x, name="relu3")
    x = conv(x, 384, 3, pad=1, group=groups, name="conv4")
    x = relu(x, name="relu4")
    x = conv(x, 256, 3, pad=1, group=groups, name="conv5")
    x = relu(x, name="relu5")
    return max_pool(x, 3, stride=2, name="pool5")


def _fully_connected(x: Any, classes: int) -> Any:
    x = inner_product(x, 4096, name="fc6")
    x = relu(x, name="relu6")
    x = dropout(x, 0.5, name="drop6")
    x = inner_product(x, 4096, name="fc7")
    x = relu(x, name="relu7")
    x = dropout(x, 0.5, name="drop7")
    x = inner_product(x, classes, name="fc8")
    return softmax(x, name="prob")
