"""Small decoders with drawn weights, and what they say by formulas in float64 NumPy."""

import numpy as np

from imgnn.language.decoder import Decoder, DecoderSpec

TINY = {"vocabulary": 7, "feature": 3, "embedding": 4, "hidden": 4}


def drawn(seed=0, *, size=0.7, dropout=0.0, precision="float32", **form) -> Decoder:
    """A decoder all of whose weights are drawn anew, biases and the features' mean among them."""
    decoder = Decoder(DecoderSpec(**{**TINY, **form}), dropout=dropout, precision=precision)
    random = np.random.default_rng(seed)
    decoder.assign({name: random.normal(0, size, each.shape) for name, each in decoder.weights().items()})
    return decoder


def tanh_and_sigmoid(x):
    return np.tanh(x), 1 / (1 + np.exp(-x))


def lstm(x, kernel, recurrent, bias):
    """`(t, in)` -> `(t, units)`: i, f, o = sigmoid, g = tanh; c = f c + i g; h = o tanh c."""
    h = c = np.zeros(len(recurrent))
    hidden = []
    for each in x:
        z = each @ kernel + h @ recurrent + bias
        g = tanh_and_sigmoid(z)[0].reshape(4, -1)[2]
        i, f, _, o = tanh_and_sigmoid(z)[1].reshape(4, -1)
        c = f * c + i * g
        h = o * np.tanh(c)
        hidden.append(h)
    return np.array(hidden)


def gru(x, kernel, recurrent, bias, recurrent_bias):
    """`(t, in)` -> `(t, units)`: h = z h + (1 - z) tanh(W x + b + r * (U h + d))."""
    h = np.zeros(len(recurrent))
    hidden = []
    for each in x:
        ahead, back = (each @ kernel + bias).reshape(3, -1), (h @ recurrent + recurrent_bias).reshape(3, -1)
        z, r = tanh_and_sigmoid(ahead[:2] + back[:2])[1]
        h = z * h + (1 - z) * np.tanh(ahead[2] + r * back[2])
        hidden.append(h)
    return np.array(hidden)


def logits(spec, weights, features, tokens):
    """What comes after each token, `(n, t, vocabulary)`."""
    weights = {name: np.asarray(value, "float64") for name, value in weights.items()}
    said = []
    for feature, row in zip(np.asarray(features, "float64"), tokens, strict=True):
        seen = (feature - weights["standard/mean"]) * weights["standard/scale"]
        picture = seen @ weights["picture/kernel"] + weights["picture/bias"]
        x = weights["words/embeddings"][row]
        if spec.inject == "first":
            x = np.concatenate([picture[None], x])
        else:
            x = np.concatenate([x[:1] + picture, x[1:]])
        for number in range(spec.layers):
            own = [f"recurrent_{number}/{each}" for each in ("kernel", "recurrent_kernel", "bias", "recurrent_bias")]
            x = {"lstm": lstm, "gru": gru}[spec.cell](x, *(weights[name] for name in own if name in weights))
        kernel = weights["words/embeddings"].T if spec.tied else weights["output/kernel"]
        said.append(x[-len(row) :] @ kernel + weights["output/bias"])
    return np.array(said)


def log_softmax(x):
    """Along the last axis."""
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))
