"""mosaic.jpg: two fish in whirling water, in small stones and gold.

A plan says which part of the picture a place belongs to, its colour and which way its border runs. The stones are
squares that move apart until each has the same room, turned along the nearest border, as Hausner lays them
(Simulating Decorative Mosaics, 2001): rounds of a Voronoi diagram in which distance is the longer side of an oriented
square.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage, spatial

from drawing.texture import HEIGHT, SCALE, WIDTH, Plane, finish, light_relief, soft_noise

H, W = HEIGHT * SCALE, WIDTH * SCALE
STONE = 21.0  # side of a stone, in pixels
GROUT = 1.7  # half of the gap between two
ROUNDS = 20

GOLD = [(236, 184, 74), (250, 208, 104), (216, 154, 50), (255, 226, 140)]
DEEP = [(16, 52, 104), (22, 74, 132), (12, 40, 84), (30, 92, 150)]
CLEAR = [(44, 140, 168), (70, 172, 186), (32, 116, 156), (110, 200, 200)]
FOAM = [(226, 236, 226), (198, 222, 220), (240, 244, 236)]
RED = [(206, 62, 36), (226, 90, 44), (184, 42, 34), (240, 122, 58)]
ORANGE = [(246, 158, 62), (252, 184, 90), (234, 132, 48)]
WHITE = [(248, 240, 224), (236, 222, 200), (252, 248, 238)]
BLACK = [(30, 26, 34), (46, 38, 46)]
BORDER = [(150, 40, 40), (170, 54, 44), (128, 30, 40)]


@dataclass
class Plan:
    """Which part a pixel belongs to (parts do not share a stone), and which of `palettes` it is coloured from."""

    part: NDArray[np.int64]
    palettes: list[list[tuple[int, int, int]]]


def fish_parts(
    middle: tuple[float, float], turn: float, size: float
) -> list[tuple[NDArray, list[tuple[int, int, int]]]]:
    """Polygons of a fish that bends like a comma, back to front: tail, fins, body, back, face, eye."""
    t = np.linspace(0, 1, 60)
    heading = turn + 1.5 * (t - 0.5)
    spine = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], 1), 0) / 60
    spine = (spine - spine.mean(0)) * size
    across = np.stack([-np.sin(heading), np.cos(heading)], 1) * size
    girth = 0.18 * np.sin(np.pi * np.clip(0.09 + 0.91 * t, 0, 1) ** 0.72) ** 0.75 + 0.012

    def strip(first: float, last: float, left: float, right: float) -> NDArray:
        """The part of the body from head (0) to tail (1), between two lines along it (-1..1)."""
        inside = (t >= first) & (t <= last)
        edge = girth[inside, None] * across[inside]
        return np.concatenate([spine[inside] + left * edge, (spine[inside] + right * edge)[::-1]]) + middle

    def fan(at: float, side: float, reach: float, spread: float, back: float) -> NDArray:
        """A fin: a fan of two lobes from a place of the body."""
        k = int(at * 59)
        ahead, out = np.array([np.cos(heading[k]), np.sin(heading[k])]) * size, across[k] * (side or 1)
        turns = np.linspace(-spread, spread, 30)
        length = reach * (0.72 + 0.28 * np.cos(turns / spread * np.pi * 2 + np.pi))
        points = [length[i] * (np.cos(back + w) * ahead + np.sin(back + w) * out) for i, w in enumerate(turns)]
        root = spine[k] + (0.8 * girth[k] * out if side else 0)
        return np.concatenate([[root], root + points]) + middle

    eye = np.linspace(0, 2 * np.pi, 24)[:, None]
    circle = np.concatenate([np.cos(eye), np.sin(eye)], 1)
    at = spine[8] + 0.35 * girth[8] * across[8] + middle
    parts = [
        (fan(0.95, 0.0, 0.34, 0.60, 0.0), ORANGE),
        (fan(0.33, 1.0, 0.27, 0.50, 0.75), ORANGE),
        (fan(0.33, -1.0, 0.27, 0.50, 0.75), ORANGE),
    ]
    parts += [
        (strip(0, 1, -1, 1), WHITE),
        (strip(0.0, 0.30, -1, 0.2), RED),
        (strip(0.36, 0.66, -1, 0.75), RED),
        (strip(0.72, 0.96, -0.9, 1), RED),
    ]
    return [*parts, (at + circle * 0.06 * size, GOLD), (at + circle * 0.032 * size, BLACK)]


def plan_picture(random: np.random.Generator) -> Plan:
    """The composition, before any stone."""
    y, x = np.mgrid[0:H, 0:W].astype("float32")
    wander = soft_noise(random, (H, W), 130, 2)
    # Water: rings about three hearts, in bands; a band of foam here and there.
    hearts = np.array([[0.50, 0.50, 1.0], [0.03, 0.98, 0.8], [0.98, 0.04, 0.8]])
    far = np.stack([np.hypot(x - u * W, y - v * H) * s for u, v, s in hearts])
    nearest = far.min(0) + 9 * wander
    band = np.floor(nearest / 42).astype(int)
    kinds = np.array([3, 0, 1, 0, 2, 1, 0, 1, 2, 0, 1, 0, 2, 1])[np.clip(band, 0, 13)]
    palettes = [DEEP, CLEAR, FOAM, GOLD]
    part = band * 3 + far.argmin(0)
    table = [palettes[kinds[part == k][0]] if (part == k).any() else DEEP for k in range(part.max() + 1)]
    drawing = Image.fromarray(part.astype("int32"))
    pen = ImageDraw.Draw(drawing)
    for middle, turn, size in (((0.36 * W, 0.40 * H), 2.5, 400), ((0.65 * W, 0.61 * H), 2.5 + np.pi, 400)):
        for points, palette in fish_parts(middle, turn, size):
            pen.polygon([tuple(map(float, each)) for each in points], fill=len(table))
            table.append(palette)
    rim = np.minimum(np.minimum(x, W - 1 - x), np.minimum(y, H - 1 - y))
    part = np.asarray(drawing).astype("int64")
    for edge, palette in ((2 * STONE, GOLD), (STONE, BORDER)):
        part = np.where(rim < edge, len(table), part)
        table.append(palette)
    return Plan(part, table)


def directions(part: NDArray) -> Plane:
    """The way of the nearest border of a part, in radians, for each pixel."""
    edge = np.zeros((H, W), bool)
    edge[:, 1:] |= part[:, 1:] != part[:, :-1]
    edge[1:] |= part[1:] != part[:-1]
    gap = ndimage.gaussian_filter(ndimage.distance_transform_edt(~edge), 3)
    down, right = np.gradient(gap)
    # Doubled angles can be smoothed: a way and its opposite are one.
    twice = 2 * np.arctan2(down, right)
    return np.arctan2(ndimage.gaussian_filter(np.sin(twice), 7), ndimage.gaussian_filter(np.cos(twice), 7)) / 2


def nearest_stones(stones: NDArray, plan: Plan, way: Plane, step: int) -> NDArray:
    """For each `step`-th pixel the stone that it belongs to."""
    y, x = np.mgrid[0:H:step, 0:W:step]
    places = np.stack([x.ravel(), y.ravel()], 1).astype("float64")
    _, near = spatial.cKDTree(stones).query(places, k=7)
    turn = way[stones[:, 1].astype(int), stones[:, 0].astype(int)]
    home = plan.part[stones[:, 1].astype(int), stones[:, 0].astype(int)]
    offset = places[:, None] - stones[near]
    c, s = np.cos(turn)[near], np.sin(turn)[near]
    far = np.maximum(np.abs(offset[..., 0] * c + offset[..., 1] * s), np.abs(offset[..., 1] * c - offset[..., 0] * s))
    far += 0.15 * np.linalg.norm(offset, axis=-1)
    far += 1000 * (home[near] != plan.part[y, x].ravel()[:, None])
    return np.take_along_axis(near, far.argmin(1)[:, None], 1).reshape(y.shape)


def lay_stones(random: np.random.Generator, plan: Plan, way: Plane) -> NDArray:
    """Where the stones lie: (stones, 2) as x, y."""
    count = int(H * W / STONE**2 * 1.08)
    stones = random.uniform(0, 1, (count, 2)) * [W - 1, H - 1]
    step = 3
    y, x = np.mgrid[0:H:step, 0:W:step]
    for _ in range(ROUNDS):
        owner = nearest_stones(stones, plan, way, step)
        size = np.bincount(owner.ravel(), minlength=count)
        middle = (
            np.stack([np.bincount(owner.ravel(), axis.ravel(), count) for axis in (x, y)], 1)
            / np.maximum(size, 1)[:, None]
        )
        stones = np.where((size > 0)[:, None], middle, stones).clip([0, 0], [W - 1, H - 1])
    return stones


def draw() -> Image.Image:
    """The picture, uint8 RGB, 512 wide and 384 high."""
    random = np.random.default_rng(17)
    plan = plan_picture(random)
    way = directions(plan.part)
    stones = lay_stones(random, plan, way)
    owner = nearest_stones(stones, plan, way, 1)

    home = plan.part[stones[:, 1].astype(int), stones[:, 0].astype(int)]
    colour = np.array([plan.palettes[k][int(random.integers(len(plan.palettes[k])))] for k in home], float)
    colour = colour * random.normal(1, 0.07, (len(stones), 1)) + random.normal(0, 5, (len(stones), 3))
    golden = np.array([plan.palettes[k] is GOLD for k in home])

    edge = np.zeros((H, W), bool)
    edge[:, 1:] |= owner[:, 1:] != owner[:, :-1]
    edge[1:] |= owner[1:] != owner[:-1]
    gap = ndimage.distance_transform_edt(~edge) + 0.35 * soft_noise(random, (H, W), 5)
    # Each stone is a little pillow, not quite level, with a rough face; gold lies under glass and throws light back.
    y, x = np.mgrid[0:H, 0:W].astype("float32")
    tilt = random.normal(0, 1, (len(stones), 2))[owner]
    offset = np.stack([x, y], -1) - stones[owner]
    grain = soft_noise(random, (H, W), 4, 2)
    relief = 4.0 * (1 - np.exp(-np.clip(gap - GROUT, 0, None) / 2.6)) + 0.08 * (tilt * offset).sum(-1) + 0.22 * grain
    face = colour[owner] * (1 + 0.035 * grain + 0.05 * soft_noise(random, (H, W), 9))[..., None]
    glint = np.clip(0.5 + 0.5 * tilt[..., 0] - 0.4 * tilt[..., 1], 0, 1.6) * golden[owner]
    face = face * (0.86 + 0.30 * glint)[..., None] + 26 * (glint**2)[..., None]
    stone = light_relief(face, relief, 0.42, 45)
    mortar = np.array([74, 66, 62]) * (1 + 0.10 * grain)[..., None]
    cover = np.clip(gap - GROUT + 0.5, 0, 1)[..., None]
    return finish(mortar * (1 - cover) + stone * cover)
