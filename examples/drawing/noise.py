"""Smooth random fields, the raw material of mountains, clouds and water.

A field is a *tile*: white noise with only one band of wavelengths left in it, periodic, as wide as we like. It is
looked up at any point, and octaves of it are summed. Filtered by frequency it shows no grid, as lattice noise does.
"""

import numpy as np
from scipy.ndimage import map_coordinates

Array = np.ndarray
WAVELENGTH = 12  # texels of one wave: coarse enough to be cheap, fine enough for linear interpolation


def tile(random: np.random.Generator, *shape: int) -> Array:
    """Noise of one wavelength, mean 0 and deviation 1, periodic along each axis."""
    frequencies = np.meshgrid(*(np.fft.fftfreq(n) for n in shape), indexing="ij", sparse=True)
    radius = np.sqrt(sum(f**2 for f in frequencies)) * WAVELENGTH
    spectrum = np.fft.fftn(random.normal(size=shape)) * np.exp(-(((radius - 1) / 0.45) ** 2))
    field = np.fft.ifftn(spectrum).real
    return ((field - field.mean()) / field.std()).astype("float32")


def look_up(field: Array, *points: Array) -> Array:
    """The tile at these points, one array per axis, in wavelengths."""
    return map_coordinates(field, [p * WAVELENGTH for p in points], order=1, mode="grid-wrap")


def fractal(field: Array, *points: Array, octaves: int = 5, gain: float = 0.5) -> Array:
    """Octaves of a tile, each twice as fine and `gain` as strong: clouds, soil, grain. Deviation near 1."""
    total, strength, power = np.zeros(np.broadcast(*points).shape, "float32"), 1.0, 0.0
    for octave in range(octaves):
        # An odd shift and a factor that is not quite two keep the octaves from lining up.
        total += strength * look_up(field, *(p * 2.03**octave + 17.3 * octave for p in points))
        power += strength**2
        strength *= gain
    return total / power**0.5


def ridged(field: Array, *points: Array, octaves: int = 8, gain: float = 0.5) -> Array:
    """Octaves folded at zero, 0 to 1: sharp crests, and finer crests only where there are crests already."""
    total, strength, weight = np.zeros(np.broadcast(*points).shape, "float32"), 1.0, 1.0
    for octave in range(octaves):
        value = look_up(field, *(p * 2.03**octave + 17.3 * octave for p in points))
        crest = np.clip(1 - np.abs(value) / 1.6, 0, 1) ** 2
        total += strength * weight * crest
        weight = np.clip(crest * 1.8, 0, 1)
        strength *= gain
    return total * (1 - gain)
