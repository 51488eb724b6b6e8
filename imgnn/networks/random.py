"""A network of random filters: seeded, the same on every machine, and nothing to download.

That style transfer works with filters that never saw a picture is the finding of
What does it take to generate natural textures?, Ustyuzhaninov et al., arXiv:1606.00021, and
A Powerful Generative Model Using Random Weights for the Deep Image Representation, He et al., arXiv:1606.04801.
"""

import keras
import numpy as np

from imgnn.networks.layers import average_pool, conv, relu

Shape = tuple[int | None, int | None, int]

LEVELS = 5  # 7, 14, 28, 56 and 112 pixels of the picture under one filter
FILTERS = 32
SEED = 20161125


def build_random(input_shape: Shape = (256, 256, 3), classes: int = 0, include_top: bool = False) -> keras.Model:
    """One layer of random 7x7 filters, at five scales: the picture is halved four times.

    As in arXiv:1606.00021 the layers stand side by side, not on top of each other: what random
    filters make of random filters tells brightness from little else. There the scales are filters
    of 3 to 55 pixels; here they are smaller pictures, which costs a hundredth.

    Every kernel is drawn from PCG64 at a fixed seed and scaled after He et al. (arXiv:1502.01852), so that
    activations are as large as the input. Half of the filters sum to zero (strokes), half do not (colours).

    Args:
        input_shape: `(height, width, 3)`; height and width may be None.
        classes, include_top: there is no classifier; every builder takes these.
    """
    data = x = keras.Input(input_shape, name="data")
    outputs = []
    for level in range(1, LEVELS + 1):
        if level > 1:
            x = average_pool(x, 2, stride=2, name=f"pool{level - 1}")
        outputs.append(relu(conv(x, FILTERS, 7, pad=3, name=f"conv{level}"), name=f"relu{level}"))
    model = keras.Model(data, outputs, name="random")
    fill(model)
    return model


def fill(model: keras.Model) -> None:
    """Write the seeded kernels into `model`; biases are zero."""
    random = np.random.Generator(np.random.PCG64(SEED))
    for layer in model.layers:
        if not isinstance(layer, keras.layers.Conv2D):
            continue
        kernel, bias = layer.get_weights()
        drawn = random.standard_normal(kernel.shape)  # (7, 7, 3, FILTERS)
        strokes = drawn[..., : FILTERS // 2]
        strokes -= strokes.mean(axis=(0, 1), keepdims=True)
        drawn *= np.sqrt(2 / np.prod(kernel.shape[:3]))
        layer.set_weights([drawn.astype("float32"), np.zeros_like(bias)])
