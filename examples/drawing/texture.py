"""What the drawn pictures share: soft noise, light on a relief, a palette, the file."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

FOLDER = Path(__file__).parents[2] / "imgnn" / "assets" / "examples"
HEIGHT, WIDTH = 384, 512
SCALE = 2  # drawn larger, then scaled down: smooth edges

Plane = NDArray[np.float32]


def soft_noise(random: np.random.Generator, shape: tuple[int, int], cell: float, octaves: int = 1) -> Plane:
    """Noise with spots of about `cell` pixels, mean 0 and deviation 1; each further octave halves spot and weight."""
    total = np.zeros(shape, "float32")
    for octave in range(octaves):
        size = cell / 2**octave
        grid = random.normal(size=[int(n / size) + 4 for n in shape]).astype("float32")
        rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]] / size + 1
        total += ndimage.map_coordinates(grid, [rows, columns], order=3) / 2**octave
    return (total - total.mean()) / total.std()


def light_relief(pixels: Plane, relief: Plane, strength: float, shine: float = 0.0) -> Plane:
    """`pixels` (height, width, 3) as lit from the upper left, where `relief` (height, width) stands out of the picture.

    Args:
        strength: how steep the relief is taken to be; 0 leaves the pixels as they are.
        shine: grey values added where the slope throws the light back at the eye, as wet paint does.
    """
    down, right = np.gradient(relief * strength)
    normal = np.stack([-right, -down, np.ones_like(relief)], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    light = np.array([-0.5, -0.62, 0.6]) / np.linalg.norm([-0.5, -0.62, 0.6])
    half = (light + np.array([0, 0, 1])) / np.linalg.norm(light + np.array([0, 0, 1]))  # between the light and the eye
    diffuse = (normal @ light) / light[2]  # 1 where the relief is flat
    gloss = np.clip(normal @ half, 0, 1) ** 40 - half[2] ** 40
    return pixels * np.clip(diffuse, 0.3, 1.7)[..., None] + shine * np.clip(gloss, 0, 1)[..., None]


def shades(palette: list[tuple[int, int, int]], t: Plane) -> Plane:
    """The colour at `t` (0..1, any shape) on the way from the first of `palette` to the last: shape (..., 3)."""
    stops = np.linspace(0, 1, len(palette))
    return np.stack([np.interp(t, stops, channel) for channel in np.array(palette, float).T], -1).astype("float32")


def finish(pixels: Plane) -> Image.Image:
    """Float pixels, drawn `SCALE` times too large -> the picture."""
    large = Image.fromarray(pixels.clip(0, 255).round().astype("uint8"))
    return large.resize((large.width // SCALE, large.height // SCALE), Image.Resampling.LANCZOS)


def save(name: str, picture: Image.Image) -> None:
    """Into the package, as `NAME.jpg`."""
    picture.save(FOLDER / f"{name}.jpg", quality=92, optimize=True)
