"""A sky full of cumulus: the picture to dream over, for a network sees much in clouds.

A cloud is a heap of puffs, round above and cut off flat where the air is no longer cold enough, kept as a coarse grid
of how deep inside a puff each point lies. Rays go through it from near to far; where they are near a puff's skin, fine
billows are added. How much sunlight gets to a point is summed up in the grid beforehand.
"""

import numpy as np
from PIL import Image
from scipy.ndimage import map_coordinates

from drawing.light import Array, develop, mix, smooth
from drawing.noise import fractal, look_up, tile
from drawing.texture import save

HEIGHT, WIDTH, SCALE = 384, 512, 1
HORIZON, FOCAL = 0.88, 0.82  # of the height, of the width
CELL = 0.1  # kilometres
LOW, HIGH = np.array([-16.0, 0.9, 1.5]), np.array([16.0, 4.9, 30.0])  # the box of the clouds: right, up, away
SUN = np.array([-0.84, 0.42, 0.02]) / np.linalg.norm([-0.84, 0.42, 0.02])
SUNLIGHT, SKYLIGHT = np.array([1.0, 0.79, 0.50]) * 2.2, np.array([0.145, 0.21, 0.35])
BASE = 1.25  # where the clouds begin


def heap(random: np.random.Generator) -> Array:
    """How deep inside a puff each cell of the grid lies: 1 at the middle, 0 at the skin, below 0 outside."""
    shape = tuple(((HIGH - LOW) / CELL).astype(int))
    depth = np.full(shape, -1.0, "float32")
    clouds = [
        (-3.1, 8.6, 1.9, 3.5),
        (3.6, 10.5, 1.9, 2.2),
        (0.4, 15.0, 2.6, 2.5),
        (-10.5, 15.5, 2.4, 2.8),
        (10.8, 15.0, 2.2, 2.7),
    ]
    clouds += [
        (0.1, 3.4, 0.45, 0.3),
        (-0.82, 1.95, 0.16, 0.07),
        (1.0, 2.3, 0.3, 0.12),
        (1.9, 4.6, 0.3, 0.15),
        (-0.5, 5.5, 0.5, 0.3),
    ]
    for _ in range(34):
        z = random.uniform(11, 29)
        clouds.append((random.uniform(-0.65, 0.65) * z, z, random.uniform(0.5, 1.5), random.uniform(0.4, 1.3)))
    for x, z, wide, tall in clouds:
        for _ in range(int(40 + 45 * wide * tall)):
            out = random.uniform(0, 1) ** 0.6
            turn = random.uniform(0, 2 * np.pi)
            up = tall * (1 - out**1.6) * random.uniform(0, 1) ** 0.8
            size = random.uniform(0.2, 0.42) * (0.15 + 0.62 * wide**0.8) * (1.1 - 0.35 * up / tall)
            centre = np.array([x + wide * out * np.cos(turn), BASE + 0.1 + up, z + 0.8 * wide * out * np.sin(turn)])
            start = np.clip(np.floor((centre - 2 * size - LOW) / CELL).astype(int), 0, shape)
            stop = np.clip(np.ceil((centre + 2 * size - LOW) / CELL).astype(int), 0, shape)
            axes = [LOW[k] + CELL * np.arange(start[k], stop[k]) - centre[k] for k in range(3)]
            i, j, k = np.ix_(*axes)
            box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
            depth[box] = np.maximum(depth[box], 1 - np.sqrt(i**2 + j**2 + k**2) / size)
    return depth


def place(points: Array) -> Array:
    """Kilometres, shape (3, n) -> cells of the grid."""
    return (points - LOW[:, None]) / CELL


def shadow(depth: Array) -> Array:
    """Kilometres of cloud between each cell and the sun."""
    dense = smooth(-0.05, 0.35, depth)
    total = np.zeros_like(depth)
    cells = np.ogrid[tuple(slice(n) for n in depth.shape)]
    for reach in np.geomspace(1.0, 26, 12):
        there = [np.clip(cells[k] + reach * SUN[k], 0, depth.shape[k] - 1) for k in range(3)]
        total += map_coordinates(dense, np.broadcast_arrays(*there), order=1) * reach * 0.28 * CELL
    return total


def skin(billows: Array, points: Array) -> Array:
    """What the fine billows add to the depth: folded noise, round with sharp creases between, as on a cauliflower."""
    coarse = np.abs(look_up(billows, *(points / 1.05)))
    fine = np.abs(look_up(billows, *(points / 0.41 + 3))) + 0.55 * np.abs(look_up(billows, *(points / 0.17 + 7)))
    return 0.40 * coarse + 0.19 * fine + 0.07 * look_up(billows, *(points / 0.075)) - 0.50


def clouds(random: np.random.Generator, direction: Array, behind: Array) -> Array:
    """The light along rays of `direction` (n, 3; z is 1), in front of the light `behind` (n, 3)."""
    depth = heap(random)
    shade = shadow(depth)
    billows = tile(random, 96, 96, 96)
    clear = np.ones(len(direction), "float32")
    light = np.zeros((len(direction), 3))
    start = random.uniform(0, 1, len(direction))  # each ray by its own steps: noise instead of rings
    away, step = LOW[2], 0.0065
    while away < HIGH[2]:
        rays = np.nonzero(clear > 0.01)[0]
        z = away * (1 + step * start[rays])
        points = direction[rays].T * z
        inside = (points[1] > BASE - 0.15) & (points[1] < HIGH[1])
        rays, points, z = rays[inside], points[:, inside], z[inside]
        deep = map_coordinates(depth, place(points), order=1, cval=-1)
        near = deep > -0.55
        rays, points, z, deep = rays[near], points[:, near], z[near], deep[near]
        if len(rays):
            bumps = skin(billows, points)
            cut = smooth(BASE - 0.10, BASE + 0.06, points[1] + 0.08 * bumps)
            dense = smooth(0.0, 0.10 + 0.5 / away**1.4, deep + bumps) * cut
            some = dense > 0.004
            rays, points, z, dense, deep, bumps = (
                rays[some],
                points[:, some],
                z[some],
                dense[some],
                deep[some],
                bumps[some],
            )
            facing = bumps - skin(billows, points + 0.09 * SUN[:, None])  # above 0: the skin falls off towards the sun
            veil = map_coordinates(shade, place(points), order=1, mode="nearest")
            sunny = (0.82 * np.exp(-5.5 * veil) + 0.22 * np.exp(-1.2 * veil)) * np.clip(0.62 + 2.2 * facing, 0.06, 1.6)
            high = np.clip((points[1] - BASE) / 2.4, 0, 1)
            sky = np.clip(0.30 + 0.42 * high + 0.6 * bumps, 0.12, 1)
            glow = (
                sunny[:, None] * SUNLIGHT
                + sky[:, None] * SKYLIGHT
                + (1 - high)[:, None] * np.array([0.055, 0.05, 0.035])
            )
            haze = 1 - np.exp(-z / 62)
            glow = mix(glow, np.array([0.58, 0.64, 0.76]), haze)
            share = 1 - np.exp(-dense * 26 * z * step)
            light[rays] += glow * (clear[rays] * share)[:, None]
            clear[rays] *= 1 - share
        away *= 1 + step
    return light + behind * clear[:, None]


def air(up: Array) -> Array:
    """The blue behind the clouds, at the elevations `up`, in focal lengths."""
    pale, blue, deep = np.array([0.66, 0.76, 0.85]), np.array([0.17, 0.37, 0.74]), np.array([0.035, 0.12, 0.42])
    return mix(mix(pale, blue, smooth(-0.02, 0.30, up)), deep, smooth(0.15, 0.95, up)) * 0.85


def fields(random: np.random.Generator, x: Array, z: Array) -> Array:
    """The plain under the sky at these points in kilometres: fields, woods, the shadows of the clouds."""
    field = tile(random, 512, 512)
    patch = np.floor(x * 1.7 + 0.3 * np.floor(z * 0.8)), np.floor(z * 0.8)
    colour = random.random((64, 64))[patch[0].astype(int) % 64, patch[1].astype(int) % 64]
    land = mix(np.array([0.10, 0.16, 0.035]), np.array([0.34, 0.30, 0.09]), smooth(0.25, 0.9, colour))
    land *= (1 + 0.22 * fractal(field, x * 3, z * 1.2, octaves=5))[..., None]
    woods = smooth(0.35, 0.7, fractal(field, x / 2.2, z / 2.6 + 3, octaves=6, gain=0.6))
    land = mix(land, np.array([0.028, 0.058, 0.022]), woods)
    sunny = smooth(-0.35, 0.55, fractal(field, x / 5 + 1, z / 6, octaves=3))
    trees = smooth(1.35, 1.6, look_up(field, x * 11, z * 5)) * (1 - woods)
    land = mix(land, np.array([0.022, 0.045, 0.018]), 0.85 * trees)
    land = land * (0.30 + 1.25 * sunny[..., None] * np.array([1.0, 0.93, 0.78]))
    return mix(land, np.array([0.50, 0.62, 0.76]), 1 - np.exp(-z / 22))


def draw() -> Image.Image:
    """Fair weather over a plain."""
    random = np.random.default_rng(12)
    height, width = HEIGHT * SCALE, WIDTH * SCALE
    focal, horizon = FOCAL * width, int(HORIZON * height)
    across = (np.arange(width) + 0.5 - width / 2) / focal
    up = (horizon - np.arange(height) - 0.5) / focal
    picture = np.repeat(air(up)[:, None], width, axis=1)
    x, y = np.broadcast_arrays(across, up[:horizon, None])
    direction = np.stack([x, y, np.ones_like(x)], -1).reshape(-1, 3).astype("float32")
    picture[:horizon] = clouds(random, direction, picture[:horizon].reshape(-1, 3)).reshape(horizon, width, 3)
    z = 0.09 / -up[horizon:, None]
    picture[horizon:] = fields(random, across * z, np.broadcast_to(z, (height - horizon, width)))
    return develop(picture, random, SCALE)


if __name__ == "__main__":
    save("sky", draw())
