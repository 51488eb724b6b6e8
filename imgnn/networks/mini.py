"""mini, our own network: a small VGG whose trained weights are in the package.

`tools/train_mini.py` trained it to answer, on photos, as VGG-19, SqueezeNet v1.1 and GoogLeNet do, and to name what
people say of these photos. `docs/mini.md` is its model card.
"""

import keras

from imgnn.networks.layers import conv, max_pool, relu

Shape = tuple[int | None, int | None, int]

STAGES = ((32, 2), (64, 2), (96, 3), (160, 3), (256, 3))  # channels, convolutions


def build_mini(input_shape: Shape = (224, 224, 3), classes: int = 0, include_top: bool = False) -> keras.Model:
    """Five stages of 3x3 convolutions, each followed by its ReLU; 2x2 max pooling between the stages.

    A layer of stage 5 sees 196 pixels of the picture. A plain net, without shortcuts and normalisation: these give the
    best strokes in style transfer.

    Args:
        input_shape: `(height, width, 3)`; height and width may be None.
        classes, include_top: there is no classifier; every builder takes these.
    """
    data = x = keras.Input(input_shape, name="data")
    for stage, (channels, length) in enumerate(STAGES, start=1):
        if stage > 1:
            x = max_pool(x, 2, stride=2, name=f"pool{stage - 1}")
        for number in range(1, length + 1):
            x = conv(x, channels, 3, pad=1, name=f"conv{stage}_{number}")
            x = relu(x, name=f"relu{stage}_{number}")
    return keras.Model(data, x, name="mini")
