"""painting.jpg: two moons over a lake, in thick oil strokes that follow the whirls of the night.

First a plan: for each pixel its part of the picture, its colour, and the way the brush goes there. Then strokes over
it, from a wide brush to a fine one, each with the furrows of its bristles and a ridge of paint at its edge; at the
end a light from the upper left falls on that relief.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from drawing.texture import HEIGHT, SCALE, WIDTH, Plane, finish, light_relief, save, shades, soft_noise

H, W = HEIGHT * SCALE, WIDTH * SCALE
SKY, LAKE, FAR_HILLS, HILLS, BANK, TREES = range(6)  # back to front
FINE = 14  # pixels: a brush that goes only where the plan needs it

NIGHT = [(9, 16, 66), (20, 40, 122), (30, 72, 164), (58, 116, 190), (22, 52, 136), (96, 160, 200), (16, 30, 98)]
GLOW = [(255, 246, 190), (255, 222, 96), (250, 178, 44), (232, 128, 44), (150, 112, 120), (44, 92, 170)]
WATER = [(10, 26, 78), (18, 58, 120), (32, 98, 150), (14, 40, 100), (60, 140, 170)]
FAR = [(34, 40, 104), (54, 70, 140), (74, 62, 120), (40, 88, 140)]
NEAR = [(14, 40, 72), (22, 74, 84), (50, 104, 88), (20, 54, 92)]
GRASS = [(60, 46, 30), (150, 90, 30), (212, 148, 44), (92, 84, 36), (238, 186, 70)]
LEAVES = [(8, 16, 30), (14, 36, 40), (30, 62, 44), (10, 24, 36), (60, 70, 36)]

# Lights in the sky: x and y in parts of the picture, radius in pixels.
MOONS = [(0.27, 0.25, 62), (0.64, 0.18, 36)]
STARS = [(0.07, 0.09, 13), (0.47, 0.07, 12), (0.46, 0.36, 15), (0.06, 0.42, 12), (0.85, 0.30, 14), (0.93, 0.08, 12)]


@dataclass
class Plan:
    """For each pixel its part, the brush's way (radians), the colour (three channels), the need of fine strokes."""

    part: Plane
    angle: Plane
    colour: Plane
    detail: Plane


def along(height_of: Plane) -> Plane:
    """The way along the contour lines of a field."""
    down, right = np.gradient(height_of)
    return np.arctan2(-right, down).astype("float32")


def plan_picture(random: np.random.Generator) -> Plan:
    """The composition, before any stroke."""
    y, x = np.mgrid[0:H, 0:W].astype("float32")
    wander = soft_noise(random, (H, W), 150, 2)

    # The sky: the contour lines of one field give the way of the brush, its value the band of colour.
    field = y + 26 * wander + 30 * np.sin(x / 130)
    for u, v, size in ((0.50, 0.24, 105), (0.80, 0.33, 70), (0.10, 0.50, 60)):
        field += 1.9 * size * np.exp(-((x - u * W) ** 2 + (y - v * H) ** 2) / size**2)
    colour = shades(NIGHT, 0.5 + 0.5 * np.sin(field / 26 + 0.4 * wander))
    colour += (y / H)[..., None] * np.array([6, 46, 30])
    angle = along(field)
    detail = np.full((H, W), 0.14, "float32")
    for u, v, radius in [*MOONS, *STARS]:
        right, down = x - u * W, y - v * H
        near = np.hypot(right, down) * (1 + 0.07 * wander) / (3.2 * radius)
        weight = np.clip(1.7 - 1.7 * near, 0, 1)[..., None]
        colour += weight * (
            shades(GLOW, np.clip(near**1.2 + 0.06 * np.sin(22 * near), 0, 1).astype("float32")) - colour
        )
        # Round the light goes the brush, inwards a little, and slips into the sky's own way outside.
        turn, weight = np.arctan2(right, -down) + 0.22, np.clip(2.2 - 1.7 * near, 0, 1)
        angle = np.arctan2(
            (1 - weight) * np.sin(angle) + weight * np.sin(turn), (1 - weight) * np.cos(angle) + weight * np.cos(turn)
        )
        detail = np.maximum(detail, np.exp(-((2.2 * near) ** 2)) * min(1, 22 / radius))
    part = np.full((H, W), SKY)

    def put(where: Plane, name: int, way: Plane, colours: Plane) -> None:
        part[where] = name
        angle[where] = way[where]
        colour[where] = colours[where]

    def bands(palette: list[tuple[int, int, int]], value: Plane) -> Plane:
        return shades(palette, (0.5 + 0.5 * np.sin(value + 0.8 * wander)).astype("float32"))

    shore = 0.66 * H
    water = bands(WATER, y / 9)
    for u, _, radius in MOONS:  # their light on the water: a column, broken by waves
        width = radius * (0.55 + (y - shore) / 190)
        shine = np.exp(-(((x - u * W) / width) ** 2)) * (0.55 + 0.45 * np.sin(y / 6.5 + wander))
        water += shine[..., None] * (shades(GLOW, 0.1 + 0.5 * np.abs(x - u * W) / width) - water)
    put(y > shore, LAKE, 0.10 * np.sin(x / 60 + y / 30), water)

    ridge = 0.53 * H + 34 * np.sin(x / 170 + 1.2) + 16 * np.sin(x / 61) + 60 * (x / W - 0.5)
    put((y > ridge) & (y < shore), FAR_HILLS, along(y - ridge + 5 * wander), bands(FAR, (y - ridge) / 14))
    ridge = (
        0.62 * H
        - 52 * np.exp(-(((x - 0.98 * W) / 250) ** 2))
        + 26 * np.sin(x / 120 + 4)
        - 30 * np.exp(-((x / 170) ** 2))
    )
    put((y > ridge) & (y < shore + 6 * wander), HILLS, along(y - ridge + 8 * wander), bands(NEAR, (y - ridge) / 11))
    ridge = 0.93 * H - 150 * np.clip(x / W - 0.42, 0, 1) ** 0.8 + 12 * np.sin(x / 70)
    put(y > ridge, BANK, along(y - ridge + 10 * wander) - 0.5, bands(GRASS, (y - ridge) / 13 + x / 90))

    for u, foot, top, wide in ((0.81, 0.92, 0.10, 58), (0.915, 0.96, 0.28, 50), (0.715, 0.92, 0.46, 34)):
        t = np.clip((y / H - top) / (foot - top), 0, 1)  # 0 at the tip
        lean = 13 * np.sin(y / 55 + 9 * u) * t + 10 * np.sin(y / 21) * (1 - t)
        across = (x - u * W - lean) / (wide * t**0.75 * (1.1 - 0.6 * t**6) * (1 + 0.10 * np.sin(y / 13 + 5 * u)) + 0.01)
        inside = (np.abs(across) < 1) & (y / H > top) & (y / H < foot)
        put(
            inside,
            TREES,
            np.pi / 2 + 0.35 * across + 0.35 * np.sin(y / 34 + 2 * across),
            bands(LEAVES, 4 * across + y / 60),
        )
    # The fine brush goes along outlines, and into the trees and the lights.
    detail[:, 1:] = np.maximum(detail[:, 1:], 0.8 * (part[:, 1:] != part[:, :-1]))
    detail[part == TREES] = 0.3
    return Plan(part, angle, colour.astype("float32"), ndimage.maximum_filter(detail, 9))


def stroke_paths(plan: Plan, starts: Plane, length: float, steps: int) -> Plane:
    """Where each brush goes: (strokes, steps, 2) as x, y. It stays where it is once it would leave its part."""
    here = starts.copy()
    rows, columns = here[:, 1].astype(int), here[:, 0].astype(int)
    home = plan.part[rows, columns]
    heading = np.stack([np.cos(plan.angle[rows, columns]), np.sin(plan.angle[rows, columns])], 1)
    path = [here.copy()]
    for _ in range(steps - 1):
        turn = plan.angle[rows, columns]
        way = np.stack([np.cos(turn), np.sin(turn)], 1)
        way *= np.where((way * heading).sum(1) < 0, -1, 1)[:, None]  # never back
        heading = 0.4 * heading + 0.6 * way
        there = (here + heading * length / steps).clip([0, 0], [W - 1, H - 1])
        r, c = there[:, 1].astype(int), there[:, 0].astype(int)
        stays = plan.part[r, c] == home
        here = np.where(stays[:, None], there, here)
        rows, columns = here[:, 1].astype(int), here[:, 0].astype(int)
        path.append(here.copy())
    return np.stack(path, 1)


def paint_strokes(
    random: np.random.Generator, plan: Plan, width: float, length: float, count: int, canvas: Plane, relief: Plane
) -> None:
    """One layer of `count` strokes of one brush, onto `canvas` and into `relief`."""
    starts = random.uniform([0, 0], [W - 1, H - 1], (count, 2)).astype("float32")
    if width < FINE:
        starts = starts[random.uniform(size=count) < plan.detail[starts[:, 1].astype(int), starts[:, 0].astype(int)]]
    parts = plan.part[starts[:, 1].astype(int), starts[:, 0].astype(int)]
    starts = starts[np.argsort(parts, kind="stable")]  # what stands in front is painted last
    for path in stroke_paths(plan, starts, length, 12):
        lengths = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
        if lengths[-1] < width:
            continue
        wide = width * random.uniform(0.7, 1.2)
        s = np.arange(0, lengths[-1], 0.6)
        line = np.stack([np.interp(s, lengths, path[:, k]) for k in (0, 1)], 1)
        tangent = np.gradient(line, axis=0)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-6
        v = np.linspace(-1, 1, max(int(wide / 0.6), 4))
        bristles = random.normal(size=v.size // 2 + 2).repeat(2)[: v.size]
        t = (s / s[-1])[:, None]
        # A brush that is round at both ends, and dry towards its last third: bristles lift off one by one.
        rounded = np.minimum(s, s[-1] - s)[:, None] / (0.5 * wide)
        inside = (v[None] ** 2 + np.clip(1 - rounded, 0, 1) ** 2 < 1) & (
            bristles[None] > -3 + 2.6 * np.clip(3 * t - 2, 0, 1)
        )
        points = line[:, None] + 0.5 * wide * v[None, :, None] * np.stack([-tangent[:, 1], tangent[:, 0]], 1)[:, None]
        c, r = points[..., 0][inside].astype(int), points[..., 1][inside].astype(int)
        keep = (c >= 0) & (c < W) & (r >= 0) & (r < H)
        r, c = r[keep], c[keep]
        middle = line[len(line) // 2].astype(int)
        colour = plan.colour[middle[1], middle[0]] * random.normal(1, 0.09) + random.normal(0, 9, 3)
        streaks = np.broadcast_to(bristles[None] * 7, inside.shape)[inside][keep]
        canvas[r, c] = colour + streaks[:, None]
        furrows = np.broadcast_to(0.5 * bristles[None] + 1.6 * np.abs(v[None]) ** 3 + 0.8 * t, inside.shape)[inside][
            keep
        ]
        relief[r, c] = 0.35 * relief[r, c] + furrows * wide**0.5


def draw() -> Image.Image:
    """Two moons, stars, hills, a lake and cypresses: blues, with yellow and orange where there is light."""
    random = np.random.default_rng(5)
    plan = plan_picture(random)
    canvas, relief = plan.colour.copy(), np.zeros((H, W), "float32")
    for width, length, count in ((48, 210, 1300), (28, 150, 2600), (18, 100, 4300), (10, 60, 13000)):
        paint_strokes(random, plan, width, length, count, canvas, relief)
    return finish(light_relief(canvas, relief, 0.22, 34))


if __name__ == "__main__":
    save("painting", draw())
