"""What is near in the landscape: the water's ripples, and the plants at our feet."""

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import map_coordinates

from drawing.light import Array, mix, smooth
from drawing.noise import fractal


def bilinear(field: Array, *points: Array) -> Array:
    """A field between its samples, and as at its edge beyond it."""
    return map_coordinates(field, points, order=1, mode="nearest")


def water(field: Array, mirror: Array, column: Array, reach: Array, focal: float) -> Array:
    """The mirrored land, broken by ripples; `mirror` has one row per pixel over the horizon, `reach` is in metres."""
    rows = np.arange(len(reach))[:, None] + 0.5
    reach = np.repeat(reach, len(column), axis=1)
    x = column * reach
    gusts = smooth(-0.3, 1.2, fractal(field, x / 160, reach / 420, octaves=3))  # gusts roughen some of the lake
    total = np.zeros((*x.shape, 3))
    samples = 6
    for k in range(samples):
        # Far ripples are finer than a pixel: several of them are averaged in each.
        depth = reach * (1 + (k - samples / 2) / samples / rows)
        slope = fractal(field, x / 2.6 + 0.3 * k, depth / 1.1, octaves=4, gain=0.6) * (0.006 + 0.012 * gusts)
        row = np.abs(rows + 2 * slope * focal)
        columns = np.arange(x.shape[1])[None, :] + slope * focal * 0.25
        total += np.stack([bilinear(mirror[..., c], row, columns) for c in range(3)], -1)
    # Fresnel: looked at from above, water shows its own depth; at a flat angle it is a mirror.
    steep = 1 / np.hypot(1, 1 / np.maximum(rows / focal, 1e-4))
    share = 0.02 + 0.98 * (1 - steep) ** 5 + 0 * x
    return mix(np.broadcast_to(np.array([0.012, 0.040, 0.052]), total.shape), total / samples * 0.9, share)


class Brush:
    """Strokes over a picture of light, at any size: points in pixels of the finished picture, colours as light 0..1."""

    def __init__(self, width: int, height: int, scale: int):
        self.scale = scale
        self.image = Image.new("RGBA", (width, height))
        self.draw = ImageDraw.Draw(self.image)

    def stroke(self, points: Array, colour: Array, thick: float) -> None:
        """A line that grows thinner towards its end."""
        parts = len(points) - 1
        for k in range(parts):
            wide = max(1, round(thick * self.scale * (1 - 0.9 * k / parts)))
            self.draw.line([tuple(p * self.scale) for p in points[k : k + 2]], fill=paint(colour), width=wide)

    def spot(self, centre: Array, wide: float, high: float, colour: Array) -> None:
        """A small ellipse: a petal, a bud."""
        (x, y), a, b = centre * self.scale, wide * self.scale, high * self.scale
        self.draw.ellipse([x - a, y - b, x + a, y + b], fill=paint(colour))

    def over(self, picture: Array) -> Array:
        """The picture with the strokes on it."""
        pixels = np.asarray(self.image) / 255.0
        return mix(picture, pixels[..., :3] ** 2, pixels[..., 3])


def paint(colour: Array) -> tuple[int, int, int, int]:
    """Light as eight bits, by its root: dark greens keep their steps."""
    red, green, blue = (int(255 * c) for c in np.sqrt(np.clip(colour, 0, 1)))
    return red, green, blue, 255


def spruce(brush: Brush, random: np.random.Generator, x: float, top: float, foot: float) -> None:
    """A spruce before us, lit from the right: whorls of drooping branches, each with its hanging twigs."""
    tall = foot - top
    brush.stroke(np.stack([np.full(12, x), np.linspace(foot, top, 12)], 1), np.array([0.020, 0.016, 0.012]), tall / 50)
    level = 0.0
    while level < 0.97:
        level += random.uniform(0.010, 0.022)
        for _ in range(7):
            turn = random.uniform(-1, 1)  # from left over the front to the right
            reach = tall * (0.02 + 0.21 * level**0.85) * random.uniform(0.6, 1.05) * np.sign(turn) * abs(turn) ** 0.5
            t = np.linspace(0, 1, 9)
            branch = np.stack([x + reach * t, top + tall * level + abs(reach) * (0.42 * t - 0.22 * t**3)], 1)
            branch[:, 1] += tall * 0.03 * (1 - abs(turn)) * t  # those that come towards us hang lower
            brush.stroke(branch, np.array([0.012, 0.016, 0.010]), 0.9)
            for point, along in zip(branch, t, strict=True):
                sunny = np.clip(0.25 + 0.75 * turn + 0.35 * along + random.normal(0, 0.25), 0, 1) ** 2
                colour = mix(np.array([0.010, 0.022, 0.014]), np.array([0.17, 0.15, 0.035]), np.array(sunny * 0.8))
                for _ in range(3):
                    size = tall * 0.016 * random.uniform(0.5, 1.3) * (1.1 - 0.4 * along)
                    way = np.array([np.sign(reach) * random.uniform(0.1, 0.9), random.uniform(0.2, 1.0)])
                    brush.stroke(np.stack([point, point + way * size]), colour * random.uniform(0.6, 1.3), 0.7)


def grass(brush: Brush, random: np.random.Generator, width: float, height: float) -> None:
    """The meadow on the near bank, from its edge down to our feet, with lupins and daisies."""
    flowers = [np.array(c) for c in ((0.30, 0.08, 0.42), (0.42, 0.10, 0.36), (0.16, 0.10, 0.50))]
    for row in np.linspace(0, 1, 60):
        base = height * (0.905 + 0.16 * row)
        for _ in range(110):
            x = random.uniform(-0.02, 1.02) * width
            bank = height * (0.075 * np.cos(2.4 * x / width + 0.5) ** 2 - 0.045) * (1 - row)
            foot = np.array([x, base - bank + random.normal(0, 1.5)])
            tall = (9 + 26 * row) * random.uniform(0.4, 1.1)
            lean = tall * random.normal(0.12, 0.3)
            t = np.linspace(0, 1, 4)[:, None]
            blade = foot + t * np.array([0, -tall]) + t**2 * np.array([lean, abs(lean) * 0.4])
            warm = random.uniform(0, 1) ** 1.6
            colour = mix(np.array([0.030, 0.052, 0.012]), np.array([0.42, 0.28, 0.06]), np.array(warm))
            colour = colour * (0.45 + 0.55 * row) * random.uniform(0.5, 1.2)
            brush.stroke(blade, colour, 0.8 + 1.1 * row)
            kind = random.uniform()
            if kind < 0.018:  # a lupin: a spike of buds, wide below
                for k in np.linspace(0, 1, 12):
                    side = random.uniform(-1, 1) * (0.15 + 0.85 * k)
                    bud = blade[-1] + tall * np.array([0.085 * side, 0.5 * k - 0.3])
                    light = (0.6 + 0.5 * side) * random.uniform(0.7, 1.4) + 0.35
                    brush.spot(bud, 0.045 * tall, 0.04 * tall, flowers[int(kind * 1e5) % 3] * light)
            elif kind < 0.03:  # a daisy
                size = 0.055 * tall
                for turn in np.arange(0, 6.28, 0.7):
                    petal = blade[-1] + size * np.array([np.cos(turn), 0.6 * np.sin(turn)])
                    brush.spot(petal, 0.55 * size, 0.4 * size, np.array([0.9, 0.78, 0.62]) * random.uniform(0.6, 1))
                brush.spot(blade[-1], 0.5 * size, 0.4 * size, np.array([0.8, 0.45, 0.03]))


def plant(picture: Array, random: np.random.Generator, scale: int) -> Array:
    """The picture with the near bank: three spruces and a meadow."""
    height, width = picture.shape[0], picture.shape[1]
    brush = Brush(width, height, scale)
    for x, top, foot in ((0.945, 0.30, 0.93), (0.865, 0.09, 0.95), (0.035, 0.47, 0.93)):
        spruce(brush, random, x * width / scale, top * height / scale, foot * height / scale)
    grass(brush, random, width / scale, height / scale)
    return brush.over(picture)
