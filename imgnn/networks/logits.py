"""How a classifier ends: the layer that makes probabilities, and what stands before it."""

from typing import Any

import keras

from imgnn import backend

# What a value may pass through and still be a probability.
PASSES = ("Flatten", "Reshape", "Permute", "Dropout", "GlobalAveragePooling2D", "AveragePooling2D", "AveragePool")


def prob_layer(model: keras.Model) -> Any:
    """The softmax or sigmoid that the output of a model comes out of, perhaps through layers of `PASSES`.

    Args:
        model: flat, or a `Sequential`; its first output counts.

    Returns:
        The layer, which may be a dense or convolutional one with its activation; None where the output is no
        probability.
    """
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs)
    value = model.outputs[0]
    for operation in reversed(model.operations):  # sorted, so that each comes before those that read it
        if not isinstance(operation, keras.layers.Layer) or operation.output is not value:
            continue
        function = getattr(getattr(operation, "activation", None), "__name__", "")
        if isinstance(operation, keras.layers.Softmax) or function in ("softmax", "sigmoid"):
            return operation
        if type(operation).__name__ not in PASSES:
            return None
        value = operation.input
    return None


def logits_of(model: keras.Model) -> Any:
    """The scores of the classes before the softmax or sigmoid that a model ends with, symbolic.

    Where the classifier's own layer brings its softmax along, as in keras.applications, they come out of a copy of it
    that does not.

    Returns:
        `(batch, classes)`, or `(batch, h, w, classes)` where the probabilities are of places; the model's output where
        it is no probability.
    """
    layer = prob_layer(model)
    if layer is None:
        return model.outputs[0]
    if isinstance(layer, (keras.layers.Softmax, keras.layers.Activation)):
        return layer.input
    with backend.standard():
        bare = type(layer).from_config({**layer.get_config(), "activation": None})
        scores = bare(layer.input)
    bare.set_weights(layer.get_weights())
    return scores
