"""From light to pixels, for the pictures that are computed as light: blends, tone, grain."""

import numpy as np
from PIL import Image

Array = np.ndarray


def smooth(low: float, high: float, value: Array) -> Array:
    """0 below `low`, 1 above `high`, and no corner in between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(first: Array, second: Array, share: Array) -> Array:
    """`share` of the second colour, one number per point."""
    return first + (second - first) * share[..., None]


def develop(light: Array, random: np.random.Generator, scale: int = 1, grain: float = 0.004) -> Image.Image:
    """Linear light `(height, width, 3)` -> picture: filmic tone curve, `scale` times smaller, a little grain."""
    height, width = light.shape[0] // scale, light.shape[1] // scale
    # The curve of Narkowicz (ACES, fitted): a soft shoulder keeps the sun from turning into a white hole.
    tone = light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14)
    tone = np.clip(tone, 0, 1) ** (1 / 2.2)
    tone = tone.reshape(height, scale, width, scale, 3).mean((1, 3))
    tone = tone + random.normal(0, grain, (height, width, 1))
    return Image.fromarray((tone * 255).clip(0, 255).round().astype("uint8"))
