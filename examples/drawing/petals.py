"""A petal: one curved, veined, shaded leaf of colour, laid over what is there, with its shadow. And small balls."""

from dataclasses import dataclass

import numpy as np

from drawing.light import Array, mix, smooth
from drawing.noise import look_up

LIGHT = np.array([-0.55, -0.70])  # from above, left; picture axes: right, down


@dataclass
class Canvas:
    """Light `(height, width, 3)`, and what every petal needs: noise for veins and creases."""

    light: Array
    field: Array
    random: np.random.Generator


@dataclass
class Place:
    """Where a flower is: its middle and radius in pixels, how it leans (a 2x2 map of the flower's own plane)."""

    x: float
    y: float
    size: float
    lean: Array


def lean(random: np.random.Generator, most: float) -> Array:
    """A flower seen at an angle: shorter along one direction; then turned about its middle."""
    a, b, flat = random.uniform(0, np.pi), random.uniform(0, 2 * np.pi), 1 - random.uniform(0, most)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    spin = np.array([[np.cos(b), -np.sin(b)], [np.sin(b), np.cos(b)]])
    return turn @ np.diag([1.0, flat]) @ turn.T @ spin


def petal(
    canvas: Canvas,
    place: Place,
    turn: float,
    start: float,
    end: float,
    wide: float,
    base: Array,
    tip: Array,
    shape: float = 0.6,
    hollow: float = 0.5,
    notch: float = 0.0,
    shadow: float = 0.45,
) -> None:
    """One petal, from `start` to `end` on the flower's radius (1 is the rim).

    Args:
        turn: its direction, radians.
        wide: half its width, in radii.
        base, tip: its colours at the two ends.
        shape: where it is widest, 0 (at the middle) .. 1 (at the tip).
        hollow: how much its edges stand up, above 0, or fall away, below 0.
        notch: how ragged the tip is.
        shadow: how dark the shadow is that it throws.
    """
    along = place.lean @ np.array([np.cos(turn), np.sin(turn)]) * place.size
    across = place.lean @ np.array([-np.sin(turn), np.cos(turn)]) * place.size
    corners = np.array([along * t + across * s * wide for t in (start, end) for s in (-1.3, 1.3)])
    corners += np.array([place.x, place.y])
    margin = 0.07 * place.size + 3  # the shadow falls beyond the petal
    height, width = canvas.light.shape[:2]
    left, top = np.floor(corners.min(0) - margin).astype(int).clip(0)
    right, bottom = np.minimum(np.ceil(corners.max(0) + margin).astype(int), [width, height])
    if right <= left or bottom <= top:
        return
    y, x = np.mgrid[top:bottom, left:right]
    into = np.linalg.inv(np.stack([along, across], 1) + 1e-6 * np.eye(2))
    long = max((end - start) * float(np.linalg.norm(along)), 2.0)  # pixels
    seed = canvas.random.uniform(0, 40)

    def outline(x: Array, y: Array) -> tuple[Array, Array, Array]:
        """Along 0..1, across -1..1, and how far inside the edge, in pixels."""
        u, v = x - place.x, y - place.y
        t = (into[0, 0] * u + into[0, 1] * v - start) / (end - start)
        s = (into[1, 0] * u + into[1, 1] * v) / wide
        s = s + 0.10 * look_up(canvas.field, t * 0.5 + seed, np.zeros_like(t))
        peak = 0.5 + 0.35 * shape
        inside = np.where(t < peak, t / peak, (1 - t) / (1 - peak)).clip(0, 1)
        profile = np.sqrt(np.clip(1 - (1 - inside) ** 2.2, 0, 1))
        profile = profile * (1 + notch * look_up(canvas.field, t * 1.3 + seed, s * 1.1))
        return t, s, (profile - np.abs(s)) * wide * np.linalg.norm(across)

    patch = canvas.light[top:bottom, left:right]
    reach = 0.045 * place.size
    dark = outline(x + LIGHT[0] * reach, y + LIGHT[1] * reach)[2]
    patch *= 1 - shadow * smooth(-reach, 1.6 * reach, dark)[..., None]
    t, s, edge = outline(x, y)
    veins = (
        look_up(canvas.field, s * 1.9 + seed, t * 0.22 + seed) * 0.5
        + look_up(canvas.field, s * 4.5, t * 0.35 + seed) * 0.35
    )
    colour = mix(base, tip, smooth(0.05, 0.95, t + 0.12 * veins))
    towards = (
        np.array([along, across]) @ LIGHT / (np.linalg.norm([along, across], axis=1) + 1e-9)
    )  # of tip, of right edge
    slope = hollow * s * -towards[1] + 0.45 * hollow * (t - 0.5) * -towards[0]
    crease = -0.16 * np.exp(-((s / 0.10) ** 2)) * smooth(1.0, 0.5, t)
    rim = 0.15 * np.exp(-((edge / max(1.4, 0.02 * long)) ** 2))
    shade = 0.90 + 0.85 * slope + crease + rim + 0.10 * veins - 0.34 * smooth(0.45, 0.0, t)
    ink = np.clip(edge + 0.5, 0, 1) * ((t > 0) & (t < 1))
    # Light that went through a petal is deeper in colour: the weak channels lose more of it.
    depth = 1.9 - 0.9 * colour / colour.max(-1, keepdims=True)
    canvas.light[top:bottom, left:right] = mix(patch, colour * np.clip(shade, 0.12, 1.7)[..., None] ** depth, ink)


def ball(canvas: Canvas, place: Place, x: float, y: float, size: float, colour: Array) -> None:
    """A small round thing at (x, y) of the flower's plane, `size` in radii: a stamen, a floret, a bud."""
    u, v = place.lean @ np.array([x, y]) * place.size
    radius = max(size * place.size, 0.8)
    height, width = canvas.light.shape[:2]
    left, top = np.floor([place.x + u - radius - 1, place.y + v - radius - 1]).astype(int).clip(0)
    right, bottom = min(int(place.x + u + radius + 3), width), min(int(place.y + v + radius + 3), height)
    if right <= left or bottom <= top:
        return
    b, a = np.mgrid[top:bottom, left:right]
    a, b = (a - place.x - u) / radius, (b - place.y - v) / radius
    out = np.hypot(a, b)
    shade = 0.75 + 0.6 * (a * LIGHT[0] + b * LIGHT[1]) + 0.5 * np.exp(-((a + 0.35) ** 2 + (b + 0.4) ** 2) / 0.08)
    patch = canvas.light[top:bottom, left:right]
    canvas.light[top:bottom, left:right] = mix(
        patch, colour * np.clip(shade, 0.1, 2)[..., None], np.clip((1 - out) * radius + 0.5, 0, 1)
    )
