"""A network of random filters: seeded, the same on every machine, and nothing to download.

That style transfer works with filters that never saw a picture is the finding of
What does it take to generate natural textures?, Ustyuzhaninov et al., arXiv:1606.00021, and
A Powerful Generative Model Using Random Weights for the Deep Image Representation, He et al., arXiv:1606.04801.
"""

import keras
import numpy as np

from imgnn.networks.layers import average_pool, conv, relu

Shape = tuple[int | None, int | None, int]

BLOCKS = ((32, 32), (64, 64), (128, 128), (128,))
SEED = 20161125


def build_random(input_shape: Shape = (256, 256, 3), classes: int = 0, include_top: bool = False) -> keras.Model:
    """VGG's pattern with fewer and random filters: 3x3 convolutions, ReLU, 2x2 pooling.

    Every kernel is drawn from PCG64 at a fixed seed and scaled after He et al. (arXiv:1502.01852), so that
    activations neither grow nor fade. Half of the first filters sum to zero (edges), half do not
    (colours); all later ones do, or else they would mostly see how bright it is: activations after a
    ReLU have a large mean, and Gram matrices would hold little else. Pooling averages: no kernel has
    learned to bring out a maximum, and gradients are smoother.

    Args:
        input_shape: `(height, width, 3)`; height and width may be None.
        classes, include_top: there is no classifier; every builder takes these.
    """
    data = x = keras.Input(input_shape, name="data")
    for block, widths in enumerate(BLOCKS, start=1):
        if block > 1:
            x = average_pool(x, 2, stride=2, name=f"pool{block - 1}")
        for number, filters in enumerate(widths, start=1):
            x = conv(x, filters, 3, pad=1, name=f"conv{block}_{number}")
            x = relu(x, name=f"relu{block}_{number}")
    model = keras.Model(data, x, name="random")
    fill(model)
    return model


def fill(model: keras.Model) -> None:
    """Write the seeded kernels into `model`; biases are zero."""
    random = np.random.Generator(np.random.PCG64(SEED))
    for layer in model.layers:
        if not isinstance(layer, keras.layers.Conv2D):
            continue
        kernel, bias = layer.get_weights()
        drawn = random.standard_normal(kernel.shape)  # (3, 3, in, out)
        spread = np.sqrt(2 / np.prod(kernel.shape[:3]))
        if kernel.shape[2] == 3:
            half = kernel.shape[3] // 2
            drawn[..., :half] -= drawn[..., :half].mean(axis=(0, 1), keepdims=True)
        else:
            drawn -= drawn.mean(axis=(0, 1, 2), keepdims=True)
            spread /= np.sqrt(1 - 1 / np.pi)  # what a ReLU of a normal number keeps of its square without its mean
        drawn *= spread
        layer.set_weights([drawn.astype("float32"), np.zeros_like(bias)])
