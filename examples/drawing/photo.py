"""A mountain lake in the evening: the picture to paint in other styles.

The land is a height field, seen in perspective. Along each column of the picture the ground is sampled from near to
far; the first sample that stands higher on the screen than all before it is what the eye sees. The lake shows the same
land from a camera as far below the water as ours is above it.
"""

import numpy as np
from PIL import Image

from drawing import foreground
from drawing.light import Array, develop, mix, smooth
from drawing.noise import fractal, look_up, ridged, tile
from drawing.texture import save

HEIGHT, WIDTH, SCALE = 384, 512, 2
HORIZON = 0.57  # of the height
FOCAL = 0.85  # of the width
EYE = 14.0  # metres above the water
SUN = np.array([0.86, 0.36, -0.24]) / np.linalg.norm([0.86, 0.36, -0.24])  # right, up, away
SUNLIGHT = np.array([1.0, 0.54, 0.22]) * 4.0
SKYLIGHT = np.array([0.20, 0.29, 0.50]) * 0.62


class Land:
    """Heights in metres over the water, at x to the right and z away from us."""

    def __init__(self, random: np.random.Generator):
        self.field = tile(random, 768, 768)
        self.trees = random.random((256, 256)).astype("float32")
        self.map_step = 30.0
        x, z = np.meshgrid(np.arange(-9000, 9000, self.map_step), np.arange(0, 16000, self.map_step), indexing="ij")
        self.map = self.ground(x.astype("float32"), z.astype("float32"), octaves=6)

    def ground(self, x: Array, z: Array, octaves: int = 10) -> Array:
        """The bare ground."""
        bend = 90 * look_up(self.field, x / 900, z / 900) + 25 * look_up(self.field, x / 230, z / 230 + 5)
        shore = np.maximum(z - 1050, np.abs(x + 40) * 1.05 - 300 - 0.12 * z) + bend  # beyond 0 is land
        rise = smooth(150, 4200, shore)
        warp = 0.16 * look_up(self.field, x / 2100 + 3, z / 2100)
        crests = ridged(self.field, x / 5200 + 0.31 + warp, z / 5200 + 0.62 + warp, octaves=octaves, gain=0.5)
        hero = np.exp(-(((x + 900) / 1700) ** 2) - ((z - 5600) / 1700) ** 2)
        hills = 26 * smooth(0, 260, shore) * (1 + 0.5 * look_up(self.field, x / 500, z / 500))
        return np.clip(shore, -40, 60) * 0.2 + hills + rise * crests * (1050 + 700 * hero) + 420 * hero * rise

    def forest(self, x: Array, z: Array, ground: Array) -> Array:
        """Metres of spruce over the ground: a cone in each cell of the wood, none above the tree line."""
        cell = 7.5
        i, k = np.floor(x / cell).astype(int), np.floor(z / cell).astype(int)
        size = self.trees[i & 255, k & 255]
        dx = x / cell - i - 0.5 - 0.4 * (self.trees[(i + 91) & 255, k & 255] - 0.5)
        dz = z / cell - k - 0.5 - 0.4 * (self.trees[i & 255, (k + 37) & 255] - 0.5)
        cone = np.clip(1 - np.hypot(dx, dz) / 0.52, 0, 1)
        line = 330 + 110 * look_up(self.field, x / 420, z / 420)
        dense = smooth(-0.5, 0.3, look_up(self.field, x / 160, z / 160 + 9) + smooth(120, 20, ground) + 0.35)
        grows = (ground > 2.5) & (ground < line)
        return np.where(grows, cone * (9 + 20 * size) * dense * smooth(1.0, 0.55, ground / line), 0)

    def surface(self, x: Array, z: Array) -> tuple[Array, Array]:
        """Ground with its trees, and the trees alone."""
        ground = self.ground(x, z)
        trees = self.forest(x, z, ground)
        return ground + trees, trees

    def shadow(self, x: Array, y: Array, z: Array) -> Array:
        """1 where the sun is seen, 0 behind a mountain, soft at the edge."""
        clear = np.full(x.shape, np.inf, "float32")
        flat = np.hypot(SUN[0], SUN[2])
        for reach in np.geomspace(60, 5000, 36):
            a, b = x + reach * SUN[0] / flat, z + reach * SUN[2] / flat
            i, k = (a + 9000) / self.map_step, np.clip(b, 0, None) / self.map_step
            high = foreground.bilinear(self.map, i, k)
            clear = np.minimum(clear, (y + reach * SUN[1] / flat - high) / reach)
        return smooth(-0.03, 0.05, clear)


def sky(field: Array, x: Array, up: Array) -> Array:
    """The evening sky at these screen points; `up` is the elevation over the horizon, in focal lengths."""
    blue, peach, gold = np.array([0.05, 0.14, 0.38]), np.array([0.66, 0.42, 0.34]), np.array([1.15, 0.58, 0.22])
    colour = mix(mix(gold, peach, smooth(-0.02, 0.16, up)), blue, smooth(0.0, 0.55, up) ** 0.75)
    colour = colour + np.array([0.5, 0.26, 0.1]) * (smooth(-0.7, 0.9, x) * smooth(0.5, -0.1, up))[..., None] * 0.5
    # Clouds lie on a plane high above: far ones crowd together towards the horizon.
    far = 1 / (up + 0.10)
    a, b = x * far * 0.7 + 2.2, far * 1.1 + 0.7
    warp = 0.06 * fractal(field, a * 1.3 + 8, b * 1.3, octaves=4)
    thick = fractal(field, a + warp, b + warp, octaves=7, gain=0.56)
    towards_sun = fractal(field, a + warp + 0.05, b + warp - 0.035, octaves=7, gain=0.56)
    cover = smooth(0.05, 1.7, thick) * smooth(0.0, 0.1, up)
    lit = np.clip(0.5 + 0.75 * (thick - towards_sun), 0, 1.25) * (1 - 0.35 * cover)
    cloud = mix(np.array([0.36, 0.30, 0.40]), np.array([1.35, 0.82, 0.50]), lit)
    return mix(colour, cloud, cover * 0.92)


def shade(land: Land, x: Array, z: Array) -> Array:
    """The light that comes from the ground at these points."""
    y, trees = land.surface(x, z)
    step = 0.0012 * z + 0.4
    normal = np.stack([y - land.surface(x + step, z)[0], step, y - land.surface(x, z + step)[0]], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    spots = fractal(land.field, x / 90, z / 90, octaves=5, gain=0.7)
    strata = look_up(land.field, y / 45 + 0.3 * spots, x / 3000)
    rock = mix(np.array([0.17, 0.15, 0.145]), np.array([0.36, 0.30, 0.26]), smooth(-1.6, 1.6, strata + spots))
    meadow = mix(np.array([0.10, 0.115, 0.035]), np.array([0.20, 0.17, 0.06]), smooth(-1, 1, spots))
    colour = mix(rock, meadow, smooth(0.55, 0.80, normal[..., 1] + 0.06 * spots) * smooth(900, 500, y + 90 * spots))
    snow = smooth(0.36, 0.56, normal[..., 1] + 0.08 * spots) * smooth(560, 950, y + 130 * spots)
    colour = mix(colour, np.array([0.86, 0.88, 0.92]), snow)
    wood = mix(np.array([0.018, 0.036, 0.020]), np.array([0.055, 0.062, 0.022]), smooth(4, 24, trees))
    colour = mix(colour, wood, smooth(0.3, 2.0, trees))
    colour = mix(colour, np.array([0.26, 0.22, 0.17]), smooth(3.0, 1.2, y))  # the pebbles of the shore
    sun = np.clip(normal @ SUN, 0, 1) * land.shadow(x, y, z)
    ambient = 0.55 + 0.45 * normal[..., 1]
    light = colour * (sun[..., None] * SUNLIGHT + ambient[..., None] * SKYLIGHT)
    far = np.hypot(x, z)
    haze = mix(np.array([0.22, 0.27, 0.42]), np.array([0.72, 0.46, 0.32]), smooth(-3500, 5000, x))
    return mix(light, haze, (1 - np.exp(-far / 19000)) * np.exp(-y / 2600))


def view(land: Land, heights: Array, column: Array, z: Array, eye: float, up: Array) -> Array:
    """What is seen from `eye` metres at the elevations `up` (one per row): land, or sky where there is none."""
    highest = np.maximum.accumulate((heights - eye) / z, axis=1)
    seen = np.stack([np.searchsorted(row, up) for row in highest], 1)  # (rows, columns): index of the sample
    light = sky(land.field, *np.broadcast_arrays(column, up[:, None]))
    rows, columns = np.nonzero(seen < len(z))
    distance = z[seen[rows, columns]]
    light[rows, columns] = shade(land, column[columns] * distance, distance)
    return light


def draw() -> Image.Image:
    """The lake, from the sky down to the grass at our feet."""
    random = np.random.default_rng(5)
    height, width = HEIGHT * SCALE, WIDTH * SCALE
    focal, horizon = FOCAL * width, int(HORIZON * height)
    land = Land(random)
    column = ((np.arange(width) + 0.5 - width / 2) / focal).astype("float32")
    z = np.geomspace(180, 14000, 2600).astype("float32")
    ground = land.surface(column[:, None] * z, np.broadcast_to(z, (width, len(z))))[0]
    heights = np.where(ground > 0, ground, -1e4)
    up = (horizon - np.arange(height) - 0.5) / focal
    picture = view(land, heights, column, z, EYE, up)

    # Water: wherever the first land from above lies farther away than the water does.
    below = -up[horizon:]
    reach = EYE / below[:, None]
    highest = np.maximum.accumulate((heights - EYE) / z, axis=1)
    first = np.stack([np.searchsorted(row, -below) for row in highest], 1)
    wet = np.append(z, np.inf)[first] > reach * 1.01
    mirror = view(land, heights, column, z, -EYE, np.arange(0.5, height) / focal)
    lake = foreground.water(land.field, mirror, column, reach, focal)
    picture[horizon:] = np.where(wet[..., None], lake, picture[horizon:])
    picture = foreground.plant(picture, random, SCALE)
    return develop(picture, random, SCALE)


if __name__ == "__main__":
    save("photo", draw())
