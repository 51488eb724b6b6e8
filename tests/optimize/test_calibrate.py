import numpy as np
import pytest
from keras import ops

from imgnn.optimize.calibrate import CONTENT, STYLE, dead_leaves, layer_weights


def test_each_layer_has_the_same_share_of_the_loss(random):
    """Whatever the scale of its activations: F a thousand times as large, a million times the content loss."""
    colours = random.uniform(0.5, 1.5, (3, 4)).astype("float32")

    def see(pixels):
        here = ops.matmul(pixels / 255, ops.convert_to_tensor(colours))
        return {"faint": here / 100, "loud": 1000 * here[:, ::2, ::2]}

    content, style = layer_weights(see, ["faint", "loud"], ["faint", "loud"])
    features = {
        name: np.asarray(each, "float64")
        for name, each in see(ops.convert_to_tensor(dead_leaves()[None].astype("float32"))).items()
    }
    for name, values in features.items():
        flat = values.reshape(-1, 4)
        gram = flat.T @ flat / flat.size
        assert content[name] * np.mean(values**2) == pytest.approx(CONTENT / 2, rel=1e-3)
        assert style[name] * np.mean(gram**2) == pytest.approx(STYLE / 2, rel=1e-3)


def test_the_standard_picture_falls_off_as_photos_do():
    """Power over frequency: a slope of about -2 in logarithms (Field, 1987: photos have -1.6 to -2.5)."""
    grey = dead_leaves().mean(axis=2) - dead_leaves().mean()
    power = np.abs(np.fft.fft2(grey)) ** 2
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256)) * 256
    rings = [(4, 8), (8, 16), (16, 32), (32, 64)]
    means = [power[(frequency >= low) & (frequency < high)].mean() for low, high in rings]
    slope = np.polyfit(np.log([6, 12, 24, 48]), np.log(means), 1)[0]
    assert -3.0 < slope < -1.6


def test_the_standard_picture_is_always_the_same():
    assert dead_leaves.__wrapped__().tobytes() == dead_leaves().tobytes()
