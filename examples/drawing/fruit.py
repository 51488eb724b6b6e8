"""The things of the still life: their shapes, as distances to the skin, and their colours."""

from collections.abc import Callable

import numpy as np

from drawing.light import Array, mix, smooth
from drawing.noise import fractal, look_up

JUG = np.array(
    [[0.00, 0.42], [0.10, 0.46], [0.45, 0.72], [0.85, 0.78], [1.25, 0.62], [1.62, 0.37], [1.85, 0.34], [2.1, 0.44]]
)


def tilt(forward: float, sideways: float, spin: float = 0.0) -> Array:
    """A rotation: about the upright, then over to the back, then to the right (radians)."""
    (a, b), (c, d), (e, f) = ((np.cos(t), np.sin(t)) for t in (forward, sideways, spin))
    return (
        np.array([[e, 0, f], [0, 1, 0], [-f, 0, e]])
        @ np.array([[1, 0, 0], [0, a, b], [0, -b, a]])
        @ np.array([[c, d, 0], [-d, c, 0], [0, 0, 1]])
    )


def round_skin(radius: Callable[[Array, Array], Array], safety: float = 0.75) -> Callable[[Array], Array]:
    """A thing whose skin lies `radius(cosine from the top, angle about the axis)` from its centre."""

    def distance(p: Array) -> Array:
        size = np.sqrt((p**2).sum(0)) + 1e-9
        return (size - radius(p[1] / size, np.arctan2(p[2], p[0]))) * safety

    return distance


def apple_radius(c: Array, turn: Array) -> Array:
    dip = 0.36 * np.exp(-(1 - c) / 0.085) + 0.13 * np.exp(-(1 + c) / 0.05)
    return 0.55 * (0.98 + 0.07 * c - dip + 0.018 * np.cos(5 * turn) * np.clip(0.2 - c, 0, 1))


def pear_distance(p: Array) -> Array:
    """Two balls, melted together."""
    x, y, z = p
    below = np.sqrt(x**2 + y**2 + z**2) - 0.54
    above = np.sqrt((x - 0.05) ** 2 + (y - 0.66) ** 2 + z**2) - 0.22
    blend = np.clip(0.5 + 0.5 * (above - below) / 0.42, 0, 1)
    return (above + (below - above) * blend - 0.42 * blend * (1 - blend)) * 0.9


def jug_distance(p: Array) -> Array:
    """A vessel turned on the wheel, hollow at the mouth."""
    out, y = np.hypot(p[0], p[2]), p[1] + 1.05
    fine = np.linspace(0, 2.1, 120)
    bend = np.interp(fine, JUG[:, 0], JUG[:, 1])
    bend = np.convolve(np.pad(bend, 8, mode="edge"), np.hanning(19)[1:-1] / np.hanning(19).sum(), mode="valid")
    outer = out - np.interp(y, fine, bend)
    wall = np.maximum(outer, np.where(y > 0.3, -outer - 0.06, -1))
    return np.maximum(wall * 0.7, np.abs(y - 1.05) - 1.05)


def arrange(thing: Callable, field: Array, random: np.random.Generator) -> list:
    """Everything on the table, from left to right."""

    def apple_colour(p: Array) -> Array:
        c, turn = p[1] / np.sqrt((p**2).sum(0)), np.arctan2(p[2], p[0])
        streak = fractal(field, turn * 2.2, c * 0.35, octaves=4, gain=0.7)
        blush = smooth(-1.1, 1.0, 1.2 * np.cos(turn + 2.4) + 0.55 * streak + 0.4 * c + 0.35)
        skin = mix(np.array([0.52, 0.40, 0.075]), np.array([0.42, 0.022, 0.016]), blush)
        skin = mix(skin, np.array([0.22, 0.008, 0.012]), smooth(0.0, 2.2, streak) * blush)
        skin = mix(skin, np.array([0.36, 0.30, 0.06]), smooth(0.80, 0.99, c + 0.03 * streak))
        dots = smooth(2.0, 2.6, look_up(field, turn * 3.4, c * 3.4))
        return mix(skin, np.array([0.62, 0.44, 0.22]), 0.7 * dots)

    def green_colour(p: Array) -> Array:
        c, turn = p[1] / np.sqrt((p**2).sum(0)), np.arctan2(p[2], p[0])
        streak = fractal(field, turn * 1.6 + 9, c * 0.5, octaves=4)
        skin = mix(np.array([0.24, 0.33, 0.045]), np.array([0.50, 0.50, 0.11]), smooth(-1.5, 1.5, streak))
        dots = smooth(1.9, 2.5, look_up(field, turn * 3.7, c * 3.7))
        return mix(skin, np.array([0.66, 0.62, 0.30]), 0.6 * dots)

    def pear_colour(p: Array) -> Array:
        x, y, z = p
        spots = fractal(field, x * 2 + 0.7 * z, y * 2 + 0.5 * z, octaves=5, gain=0.7)
        skin = mix(np.array([0.40, 0.36, 0.055]), np.array([0.56, 0.42, 0.09]), smooth(-1.5, 1.5, spots))
        skin = mix(skin, np.array([0.50, 0.15, 0.04]), 0.7 * smooth(0.1, 0.7, x + 0.12 * spots - 0.2 * y))
        freckle = smooth(1.5, 2.4, look_up(field, x * 9 + 5 * z, y * 9 + 4 * z))
        return mix(skin, np.array([0.24, 0.14, 0.04]), 0.6 * freckle)

    def pores(c: Array, turn: Array) -> Array:
        return look_up(field, turn * 8 * np.sqrt(np.clip(1 - c * c, 0.02, 1)), np.arccos(np.clip(c, -1, 1)) * 8)

    def orange_radius(c: Array, turn: Array) -> Array:
        return 0.53 * (1 - 0.03 * c * c - 0.05 * np.exp(-(1 - c) / 0.02)) + 0.0009 * pores(c, turn)

    def orange_colour(p: Array) -> Array:
        c, turn = p[1] / np.sqrt((p**2).sum(0)), np.arctan2(p[2], p[0])
        skin = mix(np.array([0.62, 0.19, 0.012]), np.array([0.78, 0.30, 0.02]), smooth(-1.5, 2, pores(c, turn)))
        return mix(skin, np.array([0.22, 0.20, 0.04]), smooth(0.985, 0.997, c))

    def lemon_radius(c: Array, turn: Array) -> Array:
        return 0.36 * (1 + 0.26 * c * c + 0.20 * np.exp(-(1 - np.abs(c)) / 0.025)) + 0.0008 * pores(c, turn)

    def lemon_colour(p: Array) -> Array:
        c, turn = p[1] / np.sqrt((p**2).sum(0)), np.arctan2(p[2], p[0])
        return mix(np.array([0.62, 0.36, 0.010]), np.array([0.74, 0.47, 0.020]), smooth(-1.5, 2, pores(c, turn)))

    def glaze(p: Array) -> Array:
        turn, y = np.arctan2(p[2], p[0]), p[1] + 1.05
        white = np.array([0.62, 0.62, 0.58]) * (1 + 0.05 * fractal(field, turn, y, octaves=4))[:, None]
        share = (turn * 8 / (2 * np.pi)) % 1 - 0.5  # eight flowers go round
        u, v = share * 0.58, y - 0.86
        out, way = np.hypot(u, v), np.arctan2(v, u)
        flower = smooth(0.012, -0.012, out - 0.17 * np.abs(np.cos(2.5 * (way - np.pi / 2))) ** 0.6) * smooth(
            0.03, 0.045, out
        )
        vine = smooth(0.016, 0.006, np.abs(np.abs(v) - 0.25 - 0.05 * np.cos(2 * np.pi * share)))
        leaves = smooth(0.012, -0.012, np.hypot((np.abs(u) - 0.21) * 1.7, (np.abs(v) - 0.12) * 0.8) - 0.07)
        rings = ((0.26, 0.030), (0.34, 0.011), (1.36, 0.011), (1.43, 0.032), (2.03, 0.04))
        bands = sum(smooth(wide, 0.6 * wide, np.abs(y - at)) for at, wide in rings)
        cobalt = np.array([0.022, 0.050, 0.24]) * (1 + 0.25 * fractal(field, turn * 3, y * 3, octaves=3))[:, None]
        return mix(white, cobalt, np.clip(flower + vine + leaves + bands, 0, 1) * 0.92)

    berries = np.array([[random.normal(0, 0.36), 0, random.normal(0, 0.24)] for _ in range(400)])
    kept: list[Array] = []
    for berry in berries:  # they lie on the table or on each other, and never in each other
        for level in (0.0, 0.24):
            spot = berry + np.array([0, level, 0])
            inside = abs(spot[0]) < 0.62 - level and abs(spot[2]) < 0.44 - 0.7 * level
            if inside and all(np.linalg.norm(spot - other) > 0.25 for other in kept) and len(kept) < 24:
                kept.append(spot)
                break
    grapes = np.array(kept)

    def grape_distance(p: Array) -> Array:
        return np.min([np.sqrt(((p - g[:, None]) ** 2).sum(0)) - 0.152 for g in grapes], axis=0)

    def grape_colour(p: Array) -> Array:
        gaps = np.array([((p - g[:, None]) ** 2).sum(0) for g in grapes])
        each = gaps.argmin(0)
        bloom = smooth(-0.8, 2.2, fractal(field, p[0] * 3 + each, p[1] * 3 + p[2] * 2, octaves=4))
        skin = mix(np.array([0.060, 0.012, 0.045]), np.array([0.12, 0.018, 0.035]), (each % 5) / 4)
        return mix(skin, np.array([0.26, 0.25, 0.36]), 0.45 * bloom)

    def stem(p: Array) -> Array:
        y = np.clip(p[1], -0.16, 0.16)
        return np.sqrt((p[0] - 0.5 * y**2) ** 2 + (p[1] - y) ** 2 + p[2] ** 2) - 0.018 - 0.05 * np.clip(y, 0, 1)

    def bark(p: Array) -> Array:
        return np.broadcast_to(np.array([0.075, 0.045, 0.020]), (p.shape[1], 3))

    things = [
        thing(np.array([-1.28, 1.06, 0.9]), 1.35, jug_distance, glaze, tilt(0, 0, 0.3), 1.0),
        thing(np.array([0.02, 0.53, 0.55]), 0.62, round_skin(apple_radius), apple_colour, tilt(0.15, -0.12, 1.3), 0.9),
        thing(np.array([1.12, 0.52, 1.0]), 1.0, pear_distance, pear_colour, tilt(0.05, 0.10, 0.2), 0.6),
        thing(
            np.array([0.66, 0.50, -0.42]), 0.62, round_skin(orange_radius, 0.85), orange_colour, tilt(-0.5, 0.3), 0.8
        ),
        thing(np.array([2.0, 0.50, 0.30]), 0.62, round_skin(apple_radius), green_colour, tilt(-0.25, -0.25, 2.2), 0.9),
        thing(
            np.array([1.62, 0.34, -0.75]), 0.62, round_skin(lemon_radius, 0.8), lemon_colour, tilt(0.25, 1.5, 0), 0.7
        ),
        thing(np.array([-0.62, 0.15, -0.62]), 0.9, grape_distance, grape_colour, np.eye(3), 0.9),
    ]
    for centre, turn in (
        ((0.06, 0.98, 0.57), (0.15, 0.25)),
        ((1.22, 1.46, 1.02), (0.1, 0.35)),
        ((1.88, 0.94, 0.19), (-0.2, -0.5)),
    ):
        things.append(thing(np.array(centre), 0.26, stem, bark, tilt(*turn), 0.2))
    return things
