import numpy as np
import pytest
from keras import ops

from imgnn.backend import value_and_grad
from imgnn.optimize.fourier import COLOURS, Fourier

SIZES = [(8, 8), (7, 12), (9, 5), (1, 4)]


def lucid(random, size, decay=1.0):
    """A picture of noise as Lucid's `fft_image` makes it, before colours and sigmoid, in NumPy."""
    height, width = size
    frequency = np.sqrt(np.fft.fftfreq(height)[:, None] ** 2 + np.fft.rfftfreq(width) ** 2)
    scale = 1 / np.maximum(frequency, 1 / max(width, height)) ** decay * np.sqrt(width * height)
    real, imaginary = random.normal(0, 0.01, (2, *frequency.shape))
    return np.fft.irfft2(scale * (real + 1j * imaginary), s=size) / 4


def planes(fourier, values):
    """What `to_pixels` computes before colours and sigmoid: undone by the inverse of both."""
    share = np.asarray(ops.convert_to_numpy(fourier.to_pixels(ops.convert_to_tensor(values))), "float64") / 255
    return np.log(share / (1 - share)) @ np.linalg.inv(COLOURS.T)


@pytest.mark.parametrize("size", SIZES)
def test_from_pixels_is_the_inverse_of_to_pixels(size, random):
    pixels = random.uniform(1, 254, (1, *size, 3)).astype("float32")
    fourier = Fourier.of(size)
    values = fourier.from_pixels(pixels)
    assert (values.shape, values.dtype) == ((1, *size, 3), np.float32)
    np.testing.assert_allclose(fourier.to_pixels(ops.convert_to_tensor(values)), pixels, atol=0.01)


def test_black_and_white_come_back_as_near_as_a_sigmoid_comes():
    pixels = np.zeros((1, 4, 4, 3), "float32")
    pixels[:, 2:] = 255
    fourier = Fourier.of((4, 4))
    back = fourier.to_pixels(ops.convert_to_tensor(fourier.from_pixels(pixels)))
    np.testing.assert_allclose(back, np.clip(pixels, 1, 254), atol=0.01)


def test_each_number_is_a_wave_of_its_frequency():
    # The definition of the Hartley transform: cas(2 pi (u y / height + v x / width)), cas = cos + sin.
    (height, width), (u, v) = (7, 12), (2, 5)
    fourier = Fourier.of((height, width))
    values = np.zeros((1, height, width, 3), "float32")
    values[0, u, v, 1] = 0.5
    angle = 2 * np.pi * (u * np.arange(height)[:, None] / height + v * np.arange(width) / width)
    frequency = np.hypot(2 / 7, 5 / 12)
    wave = 0.5 * np.sqrt(2) / 4 / frequency / np.sqrt(height * width) * (np.cos(angle) + np.sin(angle))
    np.testing.assert_allclose(planes(fourier, values)[0, :, :, 1], wave, atol=1e-5)


def test_colours_are_those_of_lucid():
    # lucid/optvis/param/color.py
    published = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
    largest = max(np.linalg.norm(column) for column in published.T)
    values = np.zeros((1, 1, 1, 3), "float32")
    values[..., 1] = 1.0
    pixels = Fourier.of((1, 1)).to_pixels(ops.convert_to_tensor(values))
    wanted = 255 / (1 + np.exp(-np.sqrt(2) / 4 * published[:, 1] / largest))
    np.testing.assert_allclose(np.asarray(pixels)[0, 0, 0], wanted, rtol=1e-5)


@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_noise_has_the_spectrum_of_lucids_noise(random, decay):
    size = (24, 33)
    fourier = Fourier.of(size, decay)
    ours = np.concatenate([planes(fourier, fourier.start(seed))[0].transpose(2, 0, 1) for seed in range(100)])
    theirs = np.stack([lucid(random, size, decay) for _ in range(300)])
    power = [np.mean(np.abs(np.fft.rfft2(each)) ** 2, axis=0) for each in (ours, theirs)]
    # Column 0 is left out: of the two halves of a number there, Lucid's inverse transform takes one.
    np.testing.assert_allclose(power[0][:, 1:].mean(axis=0), power[1][:, 1:].mean(axis=0), rtol=0.15)
    assert ours.std() == pytest.approx(theirs.std(), rel=0.1)


def test_the_gradient_is_that_of_finite_differences(random):
    fourier = Fourier.of((5, 6))
    slope = random.normal(size=(1, 5, 6, 3)).astype("float32")

    def loss(values):
        return ops.sum(fourier.to_pixels(values) * ops.convert_to_tensor(slope)), {}

    values, towards = 10 * fourier.start(1), random.normal(size=(1, 5, 6, 3)).astype("float32")
    _, _, gradient = value_and_grad(loss)(ops.convert_to_tensor(values))
    ahead, behind = (float(loss(ops.convert_to_tensor(values + step * towards))[0]) for step in (0.01, -0.01))
    assert np.sum(np.asarray(ops.convert_to_numpy(gradient)) * towards) == pytest.approx((ahead - behind) / 0.02, 5e-3)


def test_the_same_seed_starts_from_the_same_grey():
    fourier = Fourier.of((32, 48))
    np.testing.assert_array_equal(fourier.start(3), fourier.start(3))
    assert (fourier.start(3) != fourier.start(4)).any()
    pixels = np.asarray(fourier.to_pixels(ops.convert_to_tensor(fourier.start(3))))
    assert (pixels.shape, np.abs(pixels - 127.5).max() < 25) == ((1, 32, 48, 3), True)


def test_the_numbers_are_frozen_and_compare_by_size():
    assert Fourier.of((3, 4)) == Fourier.of((3, 4)) != Fourier.of((4, 3))
