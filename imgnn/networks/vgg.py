"""VGG-16 and VGG-19: 3x3 convolutions, nothing else.

Paper: Very Deep Convolutional Networks for Large-Scale Image Recognition, arXiv:1409.1556, columns D and E.
Prototxts: VGG_ILSVRC_16_layers_deploy and VGG_ILSVRC_19_layers_deploy, gists of Karen Simonyan.
"""

import keras

from imgnn.networks.layers import conv, dropout, inner_product, max_pool, relu, softmax

Shape = tuple[int | None, int | None, int]


def build_vgg16(input_shape: Shape = (224, 224, 3), classes: int = 1000, include_top: bool = True) -> keras.Model:
    """VGG-16, column D of the paper's table 1.

    Args:
        input_shape: `(height, width, 3)`; the fully connected layers want 193 to 224 pixels a side
            (Caffe's pooling rounds up), height and width may be None without them.
        classes: outputs of `fc8`.
        include_top: end at `prob`; otherwise at `pool5`.
    """
    return _build("vgg16", (2, 2, 3, 3, 3), input_shape, classes, include_top)


def build_vgg19(input_shape: Shape = (224, 224, 3), classes: int = 1000, include_top: bool = True) -> keras.Model:
    """VGG-19, column E of the paper's table 1: a fourth convolution in blocks 3, 4 and 5.

    Args:
        input_shape: as for `build_vgg16`.
        classes: outputs of `fc8`.
        include_top: end at `prob`; otherwise at `pool5`.
    """
    return _build("vgg19", (2, 2, 4, 4, 4), input_shape, classes, include_top)


def _build(name: str, lengths: tuple[int, ...], input_shape: Shape, classes: int, include_top: bool) -> keras.Model:
    """`lengths`: how many convolutions each of the five blocks has."""
    data = x = keras.Input(input_shape, name="data")
    for block, (length, filters) in enumerate(zip(lengths, (64, 128, 256, 512, 512), strict=True), start=1):
        for number in range(1, length + 1):
            x = conv(x, filters, 3, pad=1, name=f"conv{block}_{number}")
            x = relu(x, name=f"relu{block}_{number}")
        x = max_pool(x, 2, stride=2, name=f"pool{block}")
    if include_top:
        x = inner_product(x, 4096, name="fc6")
        x = relu(x, name="relu6")
        x = dropout(x, 0.5, name="drop6")
        x = inner_product(x, 4096, name="fc7")
        x = relu(x, name="relu7")
        x = dropout(x, 0.5, name="drop7")
        x = inner_product(x, classes, name="fc8")
        x = softmax(x, name="prob")
    return keras.Model(data, x, name=name)
