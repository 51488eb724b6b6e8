"""GoogLeNet (Inception v1) as Berkeley trained it in Caffe.

Paper: Going Deeper with Convolutions, arXiv:1409.4842, table 1.
Prototxt: BVLC/caffe, models/bvlc_googlenet/deploy.prototxt, without the two auxiliary classifiers, which
only training uses. Differences from the paper, by Berkeley: another initialisation (Xavier), no relighting
and no aspect-ratio jitter in training.
"""

from typing import Any

import keras

from imgnn.networks.layers import (
    average_pool,
    concat,
    conv,
    dropout,
    inner_product,
    lrn,
    max_pool,
    relu,
    softmax,
)

Shape = tuple[int | None, int | None, int]


def build_googlenet(input_shape: Shape = (224, 224, 3), classes: int = 1000, include_top: bool = True) -> keras.Model:
    """BVLC GoogLeNet.

    Args:
        input_shape: `(height, width, 3)`; the classifier wants 223 to 254 pixels a side (`pool5/7x7_s1`
            must see 7 x 7), height and width may be None without it.
        classes: outputs of `loss3/classifier`.
        include_top: end at `prob`; otherwise at `inception_5b/output`.
    """
    data = x = keras.Input(input_shape, name="data")
    x = conv(x, 64, 7, stride=2, pad=3, name="conv1/7x7_s2")
    x = relu(x, name="conv1/relu_7x7")
    x = max_pool(x, 3, stride=2, name="pool1/3x3_s2")
    x = lrn(x, name="pool1/norm1")
    x = conv(x, 64, 1, name="conv2/3x3_reduce")
    x = relu(x, name="conv2/relu_3x3_reduce")
    x = conv(x, 192, 3, pad=1, name="conv2/3x3")
    x = relu(x, name="conv2/relu_3x3")
    x = lrn(x, name="conv2/norm2")
    x = max_pool(x, 3, stride=2, name="pool2/3x3_s2")

    x = _inception(x, "inception_3a", 64, (96, 128), (16, 32), 32)
    x = _inception(x, "inception_3b", 128, (128, 192), (32, 96), 64)
    x = max_pool(x, 3, stride=2, name="pool3/3x3_s2")
    x = _inception(x, "inception_4a", 192, (96, 208), (16, 48), 64)
    x = _inception(x, "inception_4b", 160, (112, 224), (24, 64), 64)
    x = _inception(x, "inception_4c", 128, (128, 256), (24, 64), 64)
    x = _inception(x, "inception_4d", 112, (144, 288), (32, 64), 64)
    x = _inception(x, "inception_4e", 256, (160, 320), (32, 128), 128)
    x = max_pool(x, 3, stride=2, name="pool4/3x3_s2")
    x = _inception(x, "inception_5a", 256, (160, 320), (32, 128), 128)
    x = _inception(x, "inception_5b", 384, (192, 384), (48, 128), 128)

    if include_top:
        x = average_pool(x, 7, stride=1, name="pool5/7x7_s1")
        x = dropout(x, 0.4, name="pool5/drop_7x7_s1")
        x = inner_product(x, classes, name="loss3/classifier")
        x = softmax(x, name="prob")
    return keras.Model(data, x, name="googlenet")


def _inception(x: Any, name: str, one: int, three: tuple[int, int], five: tuple[int, int], pool: int) -> Any:
    """Four views of `x`, side by side: 1x1, 3x3, 5x5 (each behind a 1x1 that reduces) and a projected pooling."""
    a = conv(x, one, 1, name=f"{name}/1x1")
    a = relu(a, name=f"{name}/relu_1x1")

    b = conv(x, three[0], 1, name=f"{name}/3x3_reduce")
    b = relu(b, name=f"{name}/relu_3x3_reduce")
    b = conv(b, three[1], 3, pad=1, name=f"{name}/3x3")
    b = relu(b, name=f"{name}/relu_3x3")

    c = conv(x, five[0], 1, name=f"{name}/5x5_reduce")
    c = relu(c, name=f"{name}/relu_5x5_reduce")
    c = conv(c, five[1], 5, pad=2, name=f"{name}/5x5")
    c = relu(c, name=f"{name}/relu_5x5")

    d = max_pool(x, 3, stride=1, pad=1, name=f"{name}/pool")
    d = conv(d, pool, 1, name=f"{name}/pool_proj")
    d = relu(d, name=f"{name}/relu_pool_proj")
    return concat([a, b, c, d], name=f"{name}/output")
