"""Fruit and a jug on a table by a window: a small ray tracer.

Each thing says how far a point is from its skin; a ray walks that far, again and again, until it touches (sphere
tracing). How narrowly a ray to the window misses a thing says how much of the window it hides: the soft shadows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from drawing import fruit
from drawing.light import Array, develop, mix, smooth
from drawing.noise import fractal, look_up, tile
from drawing.texture import save

HEIGHT, WIDTH, SCALE = 384, 512, 2
EYE, AIM, FOCAL = np.array([0.3, 2.5, -7.6]), np.array([0.24, 0.80, 0.2]), 1.52  # FOCAL in widths
WINDOW = np.array([-5.2, 5.4, -3.4])  # the middle of the window, left of us and high
DAYLIGHT, ROOM = np.array([1.0, 0.86, 0.64]) * 1.75, np.array([0.085, 0.085, 0.105])


@dataclass
class Thing:
    """A thing on the table: where it stands, how far a point is from it, what it looks like there."""

    centre: Array
    reach: float  # the radius of a ball about the centre that holds all of it
    distance: Callable[[Array], Array]  # (3, n), from the centre, -> (n,)
    colour: Callable[[Array], Array]  # (3, n) -> (n, 3)
    turn: Array  # rotation, (3, 3)
    gloss: float = 0.5

    def local(self, points: Array) -> Array:
        return self.turn @ (points - self.centre[:, None])


def march(thing: Thing, origin: Array, way: Array, steps: int = 48) -> tuple[Array, Array]:
    """How far each ray goes until it touches the thing (inf: never), and how narrowly it misses (distance over way)."""
    far = np.full(way.shape[1], np.inf)
    miss = np.full(way.shape[1], np.inf)
    offset = origin - thing.centre[:, None]
    middle = -(offset * way).sum(0)
    past = (offset**2).sum(0) - middle**2
    ball = thing.reach * 1.35
    rays = np.nonzero((past < ball**2) & (middle > -ball))[0]
    start = np.maximum(middle[rays] - np.sqrt(ball**2 - past[rays]), 0.01)
    end = middle[rays] + np.sqrt(ball**2 - past[rays])
    for _ in range(steps):
        d = thing.distance(thing.local(origin[:, rays] + way[:, rays] * start))
        miss[rays] = np.minimum(miss[rays], d / start)
        touch = d < 0.0012 * np.maximum(start, 1)
        far[rays[touch]] = start[touch]
        start = start + np.maximum(d, 0.002) * 0.85
        on = ~touch & (start < end)
        rays, start, end = rays[on], start[on], end[on]
    return far, miss


def normal_of(thing: Thing, points: Array) -> Array:
    """The way out of the skin: distances at the four corners of a tetrahedron."""
    corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]]) * 0.003
    at = thing.local(points)
    slope = sum(np.outer(c, thing.distance(at + c[:, None])) for c in corners)
    slope = thing.turn.T @ slope
    return slope / np.linalg.norm(slope, axis=0)


def window_share(things: list[Thing], points: Array, normal: Array) -> Array:
    """How much of the window each point sees, 0..1."""
    way = WINDOW[:, None] - points
    way = way / np.linalg.norm(way, axis=0)
    open_share = np.ones(points.shape[1])
    for thing in things:
        far, miss = march(thing, points + 0.02 * normal, way, steps=26)
        open_share = np.minimum(open_share, np.where(np.isfinite(far), 0, smooth(0.0, 0.17, miss)))
    return open_share


def nearness(things: list[Thing], points: Array, normal: Array) -> Array:
    """How open the room is before each point, 0..1: dark where things touch."""
    open_share = np.ones(points.shape[1])
    for thing in things:
        close = np.nonzero(((points - thing.centre[:, None]) ** 2).sum(0) < (thing.reach + 0.9) ** 2)[0]
        for reach in (0.12, 0.4):
            d = thing.distance(thing.local(points[:, close] + reach * normal[:, close]))
            open_share[close] *= 1 - 0.55 * np.clip(1 - d / reach, 0, 1)
    floor = np.clip(points[1] / 0.5 + np.clip(normal[1], 0, 1), 0, 1)
    return open_share * (0.35 + 0.65 * floor)


def mirrored(way: Array) -> Array:
    """What a polished skin shows in this direction: the panes of the window, and the dim room."""
    to_window = WINDOW / np.linalg.norm(WINDOW)
    right = np.cross([0, 1, 0], to_window)
    right /= np.linalg.norm(right)
    u, v, ahead = right @ way, np.cross(to_window, right) @ way, to_window @ way
    pane = smooth(0.30, 0.25, np.abs(u)) * smooth(0.36, 0.31, np.abs(v)) * (ahead > 0)
    pane = pane * smooth(0.008, 0.03, np.abs(u)) * smooth(0.008, 0.03, np.abs(v - 0.06))
    return pane[:, None] * DAYLIGHT * 6 + (0.4 + 0.6 * smooth(-0.2, 0.9, way[1]))[:, None] * ROOM


def table(field: Array, points: Array) -> Array:
    """Oak boards that run from left to right."""
    x, z = points[0], points[2]
    board = np.floor(z / 1.15 + 0.35)
    along, across = x + 7.7 * board, z / 1.15 + 0.35 - board
    rings = look_up(field, along / 9, across * 0.7 + 3.3 * board) * 5 + across * 3
    grain = 0.5 + 0.35 * np.sin(rings * 4 + 0.9 * fractal(field, along / 2, across * 5, octaves=3))
    grain += 0.2 * fractal(field, along / 3, across * 6, octaves=4)
    pores = fractal(field, along * 0.9, z * 22, octaves=3, gain=0.7)
    dark, pale = np.array([0.085, 0.034, 0.014]), np.array([0.23, 0.105, 0.042])
    wood = mix(dark, pale, np.clip(0.25 + 0.5 * grain + 0.17 * pores, 0, 1))
    wood = wood * (0.9 + 0.16 * np.sin(board * 2.3))[:, None]
    return wood * (1 - 0.75 * smooth(0.022, 0.006, np.minimum(across, 1 - across)))[:, None]


def wall(field: Array, x: Array, y: Array) -> Array:
    """The plaster behind, with the light of the window fading over it."""
    plaster = 1 + 0.10 * fractal(field, x / 2, y / 2, octaves=6, gain=0.65)
    pool = np.exp(-(((x - 1.6) / 3.6) ** 2) - ((y - 2.0) / 2.6) ** 2)
    return (np.array([0.018, 0.018, 0.018]) + pool[:, None] * np.array([0.19, 0.125, 0.062])) * plaster[:, None]


def lit(colour: Array, points: Array, normal: Array, way: Array, gloss: float, things: list[Thing]) -> Array:
    """The light from a skin of this colour towards us."""
    to_window = WINDOW[:, None] - points
    to_window = to_window / np.linalg.norm(to_window, axis=0)
    open_share = window_share(things, points, normal)
    sun = smooth(-0.12, 1.0, (normal * to_window).sum(0)) * 0.95 * open_share
    around = nearness(things, points, normal) * (0.6 + 0.4 * normal[1])
    bounce = np.clip(-normal[1], 0, 1) * smooth(1.0, 0.0, points[1])
    light = colour * (sun[:, None] * DAYLIGHT + around[:, None] * ROOM * 1.3 + bounce[:, None] * [0.32, 0.17, 0.07])
    facing = -(way * normal).sum(0)
    mirror = way + 2 * facing * normal
    fresnel = 0.04 + 0.6 * (1 - np.clip(facing, 0, 1)) ** 5
    return light + gloss * fresnel[:, None] * mirrored(mirror) * (0.25 + 0.75 * open_share)[:, None] * around[:, None]


def draw() -> Image.Image:
    """The table, the wall behind it, and what stands there."""
    random = np.random.default_rng(3)
    field = tile(random, 768, 768)
    things = fruit.arrange(Thing, field, random)
    height, width = HEIGHT * SCALE, WIDTH * SCALE
    ahead = (AIM - EYE) / np.linalg.norm(AIM - EYE)
    right = np.cross([0, 1, 0], ahead)
    right /= np.linalg.norm(right)
    rows, columns = np.mgrid[0:height, 0:width].reshape(2, -1)
    u, v = (columns + 0.5 - width / 2) / (FOCAL * width), (height / 2 - rows - 0.5) / (FOCAL * width)
    way = ahead[:, None] + right[:, None] * u + np.cross(ahead, right)[:, None] * v
    way /= np.linalg.norm(way, axis=0)
    eye = np.broadcast_to(EYE[:, None], way.shape)

    far = np.stack([march(thing, eye, way)[0] for thing in things])
    first, nearest = far.argmin(0), far.min(0)
    board = np.where(way[1] < 0, -EYE[1] / np.minimum(way[1], -1e-6), np.inf)
    board = np.where(EYE[2] + board * way[2] < 3.2, board, np.inf)  # where the table ends
    back = (3.6 - EYE[2]) / way[2]
    light = wall(field, EYE[0] + back * way[0], EYE[1] + back * way[1])
    on_table = np.nonzero((board < nearest) & np.isfinite(board))[0]
    points = EYE[:, None] + way[:, on_table] * board[on_table]
    up = np.broadcast_to(np.array([[0.0], [1.0], [0.0]]), points.shape)
    light[on_table] = lit(table(field, points), points, up, way[:, on_table], 0.5, things)
    for k, thing in enumerate(things):
        seen = np.nonzero((first == k) & (nearest < board))[0]
        points = EYE[:, None] + way[:, seen] * nearest[seen]
        colour = thing.colour(thing.local(points))
        light[seen] = lit(colour, points, normal_of(thing, points), way[:, seen], thing.gloss, things)
    return develop(light.reshape(height, width, 3), random, SCALE)


if __name__ == "__main__":
    save("still_life", draw())
