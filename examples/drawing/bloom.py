"""Kinds of flowers, petal by petal."""

import numpy as np

from drawing.light import Array, mix
from drawing.petals import Canvas, Place, ball, petal


def seeds(canvas: Canvas, place: Place, radius: float, count: int, size: float, inner: Array, outer: Array) -> None:
    """The heart of a flower: florets in the spiral of the sunflower, each a golden angle from the last."""
    for k in range(count - 1, -1, -1):
        out = radius * np.sqrt((k + 0.5) / count)
        colour = mix(inner, outer, np.array((k / count) ** 1.5)) * canvas.random.uniform(0.75, 1.2)
        ball(canvas, place, out * np.cos(2.39996 * k), out * np.sin(2.39996 * k), size, colour)


def dahlia(canvas: Canvas, place: Place, base: Array, tip: Array, count: int = 110) -> None:
    """Ring within ring of small hollow petals, all the way in."""
    for k in range(count - 1, -1, -1):
        share = np.sqrt((k + 0.5) / count)
        vary = canvas.random.uniform(0.86, 1.12)
        heart = mix(tip * 0.55, base, np.array(share**0.7))
        end = 0.10 + 0.90 * share * canvas.random.uniform(0.94, 1.04)
        wide = (0.05 + 0.115 * share) * canvas.random.uniform(0.9, 1.1)
        start = max(0.0, end - 0.16 - 0.42 * share)
        petal(canvas, place, 2.39996 * k, start, end, wide, heart * 0.6 * vary, tip * vary, 0.35, 0.65, shadow=0.40)


def daisy(
    canvas: Canvas, place: Place, base: Array, tip: Array, heart: Array, count: int = 17, core: float = 0.26
) -> None:
    """Two rows of long rays about a disc."""
    for row in (1.0, 0.9):
        for k in range(count):
            turn = 2 * np.pi * (k + 0.5 * (row < 1)) / count + canvas.random.normal(0, 0.06)
            end, wide = row * canvas.random.uniform(0.90, 1.04), 2.5 / count * canvas.random.uniform(0.85, 1.1)
            vary = canvas.random.uniform(0.88, 1.08)
            petal(canvas, place, turn, 0.12, end, wide, base * vary, tip * vary, 0.55, 0.35, shadow=0.33)
    seeds(canvas, place, core, 130, core * 0.14, heart * 0.55, heart)


def poppy(canvas: Canvas, place: Place, base: Array, tip: Array) -> None:
    """Four or five wide crumpled petals, a dark heart, a wreath of stamens."""
    for row, count, wide in ((1.0, 3, 0.66), (0.86, 3, 0.58)):
        for k in range(count):
            turn = 2 * np.pi * (k + 0.5 * (row < 1)) / count + canvas.random.normal(0, 0.12)
            vary = canvas.random.uniform(0.85, 1.1)
            petal(canvas, place, turn, 0.0, row, wide, base * vary, tip * vary, 0.75, 0.55, 0.10, 0.5)
    for _ in range(5):
        petal(
            canvas,
            place,
            canvas.random.uniform(0, 6.3),
            0.0,
            0.34,
            0.15,
            base * 0.05,
            base * 0.10,
            0.3,
            0.1,
            shadow=0.1,
        )
    for _ in range(60):
        turn, out = canvas.random.uniform(0, 6.3), canvas.random.uniform(0.16, 0.30)
        ball(canvas, place, out * np.cos(turn), out * np.sin(turn), 0.022, np.array([0.10, 0.07, 0.09]))
    seeds(canvas, place, 0.12, 26, 0.035, np.array([0.32, 0.36, 0.12]), np.array([0.16, 0.22, 0.07]))


def rose(canvas: Canvas, place: Place, base: Array, tip: Array) -> None:
    """Broad petals, each ring tighter than the one about it."""
    for ring, (end, count) in enumerate(
        ((1.0, 7), (0.86, 7), (0.72, 6), (0.59, 6), (0.47, 5), (0.36, 5), (0.26, 4), (0.17, 4), (0.1, 3))
    ):
        for k in range(count):
            turn = 2 * np.pi * (k + 0.4 * ring) / count + canvas.random.normal(0, 0.12)
            vary, out = canvas.random.uniform(0.9, 1.08), end * canvas.random.uniform(0.95, 1.04)
            deep = mix(tip, base, np.array(0.9 * (1 - end)))
            petal(
                canvas,
                place,
                turn,
                max(0, out - 0.5),
                out,
                0.5 * end + 0.02,
                base * 0.4 * vary,
                deep * vary,
                0.45,
                0.8,
                0.03,
                0.5,
            )


def small(canvas: Canvas, place: Place, base: Array, tip: Array, heart: Array) -> None:
    """Five round petals: forget-me-not, phlox."""
    for k in range(5):
        petal(canvas, place, 2 * np.pi * k / 5, 0.05, 1.0, 0.44, base, tip, 0.6, 0.3, 0.03, 0.4)
    ball(canvas, place, 0, 0, 0.17, heart)
