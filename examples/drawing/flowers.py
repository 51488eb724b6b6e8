"""A bunch of flowers from above: many petals, many colours, a picture to guide a dream.

Leaves first, then the flowers from small to large, a few small ones last, as a florist binds them.
"""

import numpy as np
from PIL import Image

from drawing import bloom
from drawing.light import Array, develop, mix
from drawing.noise import fractal, tile
from drawing.petals import Canvas, Place, lean, petal
from drawing.texture import save

HEIGHT, WIDTH, SCALE = 384, 512, 2

CORAL, PEACH = np.array([0.62, 0.015, 0.03]), np.array([0.95, 0.22, 0.07])
MAGENTA, PINK = np.array([0.30, 0.005, 0.10]), np.array([0.74, 0.07, 0.30])
CREAM, BLUSH = np.array([0.80, 0.20, 0.16]), np.array([0.94, 0.60, 0.46])
GOLD, LEMON = np.array([0.80, 0.28, 0.01]), np.array([0.98, 0.66, 0.04])
WHITE, GREY = np.array([0.92, 0.90, 0.84]), np.array([0.55, 0.58, 0.50])
SCARLET, FLAME = np.array([0.42, 0.006, 0.006]), np.array([0.80, 0.040, 0.012])
COBALT, SKY = np.array([0.05, 0.06, 0.45]), np.array([0.18, 0.30, 0.85])
VIOLET, LILAC = np.array([0.16, 0.03, 0.32]), np.array([0.46, 0.24, 0.72])
YOLK, BROWN = np.array([0.85, 0.42, 0.02]), np.array([0.11, 0.045, 0.018])

# The large flowers, placed by hand: x, y, radius in pixels of the finished picture, kind.
LARGE = [
    (150, 148, 92, "dahlia", CORAL, PEACH),
    (352, 118, 88, "rose", CREAM, BLUSH),
    (300, 282, 84, "sunflower", GOLD, LEMON),
    (452, 262, 76, "dahlia", MAGENTA, PINK),
    (66, 300, 78, "poppy", SCARLET, FLAME),
    (482, 70, 60, "poppy", SCARLET, FLAME),
    (182, 318, 56, "rose", MAGENTA, PINK),
    (30, 62, 58, "daisy", GREY, WHITE),
    (248, 40, 50, "daisy", VIOLET, LILAC),
    (398, 362, 50, "daisy", GREY, WHITE),
]
FILLERS = [
    ("small", COBALT, SKY),
    ("small", VIOLET, LILAC),
    ("daisy", GREY, WHITE),
    ("small", CREAM, BLUSH),
    ("daisy", COBALT, SKY),
]


def put(canvas: Canvas, place: Place, kind: str, base: Array, tip: Array) -> None:
    """One flower."""
    if kind == "dahlia":
        bloom.dahlia(canvas, place, base, tip)
    elif kind == "rose":
        bloom.rose(canvas, place, base, tip)
    elif kind == "poppy":
        bloom.poppy(canvas, place, base, tip)
    elif kind == "sunflower":
        bloom.daisy(canvas, place, base, tip, BROWN, 21, 0.40)
    elif kind == "daisy":
        bloom.daisy(canvas, place, base, tip, YOLK)
    else:
        bloom.small(canvas, place, base, tip, YOLK)


def leaves(canvas: Canvas, count: int, bright: float) -> None:
    """Leaves in all directions."""
    height, width = canvas.light.shape[:2]
    for _ in range(count):
        x, y = canvas.random.uniform(0, width), canvas.random.uniform(0, height)
        size = canvas.random.uniform(0.10, 0.22) * height
        green = mix(np.array([0.05, 0.13, 0.03]), np.array([0.20, 0.30, 0.06]), canvas.random.random(1))[0]
        turn = canvas.random.uniform(0, 2 * np.pi)
        wide = canvas.random.uniform(0.14, 0.30)
        green = green * bright * canvas.random.uniform(0.6, 1.2)
        petal(canvas, Place(x, y, size, np.eye(2)), turn, 0, 1, wide, green * 0.7, green, 0.1, -0.7, shadow=0.5)


def draw() -> Image.Image:
    """The bunch."""
    random = np.random.default_rng(8)
    height, width = HEIGHT * SCALE, WIDTH * SCALE
    field = tile(random, 768, 768)
    down, right = np.mgrid[0:height, 0:width] / height
    ground = np.array([0.010, 0.022, 0.012]) * (1 + 0.4 * fractal(field, right * 3, down * 3))[..., None]
    canvas = Canvas(ground, field, random)
    leaves(canvas, 150, 0.35)
    leaves(canvas, 130, 0.8)

    def sprinkle(count: int, small: float, large: float) -> None:
        for _ in range(count):
            kind, base, tip = FILLERS[random.integers(len(FILLERS))]
            size = random.uniform(small, large) * SCALE * (1.6 if kind == "daisy" else 1)
            put(
                canvas,
                Place(random.uniform(0, width), random.uniform(0, height), size, lean(random, 0.4)),
                kind,
                base,
                tip,
            )

    sprinkle(110, 9, 16)
    leaves(canvas, 26, 1.0)
    for x, y, size, kind, base, tip in sorted(LARGE, key=lambda flower: flower[2]):
        put(canvas, Place(x * SCALE, y * SCALE, size * SCALE, lean(random, 0.25)), kind, base, tip)
    # The light falls from the upper left, and fades towards the other corner.
    fade = 0.98 - 0.26 * (right * 0.75 + down) + 0.10 * np.exp(-((right - 0.55) ** 2 + (down - 0.4) ** 2) / 0.2)
    return develop(canvas.light * fade[..., None] * np.array([1.0, 0.96, 0.88]), random, SCALE)


if __name__ == "__main__":
    save("flowers", draw())
