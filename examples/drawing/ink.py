"""ink.jpg: bamboo in the mist, in ink on paper, after the manner of sumi-e.

Three layers of one motif: far away the ink ran into the wet paper, near by the brush was almost dry, and its bristles
left the paper white where they parted. Ink is kept as density, 0 for bare paper and 1 for black; a stroke over a
stroke darkens it.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import ndimage

from drawing.texture import HEIGHT, SCALE, WIDTH, Plane, finish, soft_noise

H, W = HEIGHT * SCALE, WIDTH * SCALE
PAPER, INK, RED = np.array([240.0, 231, 212]), np.array([26.0, 27, 32]), np.array([196.0, 52, 36])


class Sheet:
    """A sheet of paper that takes strokes."""

    def __init__(self, random: np.random.Generator):
        self.random = random
        self.density = np.zeros((H, W), "float32")
        self.bristles = soft_noise(random, (256, 512), 5, 2)

    def stroke(
        self, start: np.ndarray, turn: float, length: float, bend: float, girth: Callable, load: float, dry: float
    ) -> None:
        """One pull of the brush.

        Args:
            start: x and y where it is set down; `turn` (radians) is the way it goes, `bend` how far it turns in all.
            girth: half of the width in pixels, as a function of the way done (0..1).
            load: the density of the ink; `dry` says from 0 to 1 how soon the bristles part.
        """
        side = int(length + 24)
        left, top = int(start[0]) - side, int(start[1]) - side
        rows, columns = slice(max(top, 0), min(top + 2 * side, H)), slice(max(left, 0), min(left + 2 * side, W))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        y, x = np.mgrid[rows, columns].astype("float32")
        x, y = x - start[0], y - start[1]
        x, y = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        # Along an arc of a circle: the way done, and how far beside it.
        radius = length / (bend if abs(bend) > 1e-3 else 1e-3)
        sign = np.sign(radius)
        across = sign * (abs(radius) - np.hypot(x, y - radius))
        along = abs(radius) * np.arctan2(x, sign * (radius - y)) / length
        wide = girth(np.clip(along, 0, 1))
        inside = np.clip(wide - np.abs(across) + 0.5, 0, 1) * ((along >= 0) & (along <= 1))
        beside = across / np.maximum(wide, 1)
        seed = self.random.uniform(0, 256, 2)
        hairs = ndimage.map_coordinates(
            self.bristles, [beside * 26 + seed[0], along * length / 14 + seed[1]], order=1, mode="grid-wrap"
        )
        parted = np.clip(1.9 - 3.4 * dry * along - 1.2 * dry + hairs, 0, 1) if dry else 1.0
        pooled = 0.90 + 0.12 * np.abs(beside) ** 3 + 0.22 * (along > 0.9) * along  # ink dries darkest at the rim
        ink = np.clip(load * pooled * (1 + 0.12 * hairs), 0, 0.97) * inside * parted
        self.density[rows, columns] = 1 - (1 - self.density[rows, columns]) * (1 - ink)

    def leaf(self, start: np.ndarray, turn: float, length: float, load: float, dry: float) -> None:
        """Pressed down, and lifted to a long tip."""
        wide = length * self.random.uniform(0.10, 0.14)
        self.stroke(
            start,
            turn,
            length,
            self.random.normal(0, 0.22),
            lambda t: wide * (t + 0.02) ** 0.45 * (1 - t) ** 0.75 * 1.75,
            load,
            dry,
        )

    def leaves(self, at: np.ndarray, size: float, load: float, dry: float) -> None:
        """A bunch that hangs from a twig, like the sign 个."""
        middle = self.random.normal(np.pi / 2, 0.5)
        for offset in np.linspace(-0.85, 0.85, int(self.random.integers(3, 6))):
            length = size * self.random.uniform(0.65, 1.15) * (1 - 0.25 * abs(offset))
            self.leaf(
                at + self.random.normal(0, 3, 2),
                middle + offset + self.random.normal(0, 0.12),
                length,
                load * self.random.uniform(0.5, 1.15),
                0.7 * dry,
            )

    def stalk(self, foot: float, lean: float, wide: float, load: float, dry: float) -> list[np.ndarray]:
        """One cane from below the picture to above it; gives its nodes."""
        at, turn, nodes = np.array([foot, H + 30.0]), -np.pi / 2 + lean, []
        while at[1] > -40:
            length = wide * self.random.uniform(4.2, 6.4)
            half = wide / 2

            def girth(t: Plane, half: float = half) -> Plane:
                return half * (0.90 + 0.22 * (2 * t - 1) ** 6 + 0.04 * np.cos(9 * t))

            self.stroke(
                at, turn, length * 0.975, self.random.normal(0, 0.02), girth, load * self.random.uniform(0.8, 1.1), dry
            )
            step = length * np.array([np.cos(turn), np.sin(turn)])
            at = at + step
            across = np.array([-np.sin(turn), np.cos(turn)])
            mark = at - 0.62 * wide * across + 2 * step / length
            self.stroke(
                mark,
                turn + np.pi / 2,
                1.24 * wide,
                -0.5,
                lambda t: 0.085 * wide * (1.3 - np.sin(np.pi * t)) + 0.8,
                min(1.0, load * 1.5),
                0,
            )
            nodes.append(at.copy())
            turn += self.random.normal(0, 0.012)
        return nodes

    def twig(self, at: np.ndarray, turn: float, length: float, size: float, load: float, dry: float) -> None:
        """A thin branch with its leaves."""
        bend = 0.5 * np.sign(np.cos(turn))
        self.stroke(at, turn, length, bend, lambda t: 2.6 - 1.6 * t, min(1.0, 1.1 * load), 0.15 * dry)
        for t in (0.3, 0.55, 0.8, 1.0):
            way = turn + bend * t / 2
            self.leaves(
                at + t * length * np.array([np.cos(way), np.sin(way)]), size * self.random.uniform(0.7, 1.1), load, dry
            )


def grove(
    random: np.random.Generator,
    canes: list[tuple[float, float, float]],
    size: float,
    load: float,
    dry: float,
    twigs: float,
) -> Plane:
    """One layer: canes (foot, lean, width), and leaves at their nodes. Gives the density."""
    sheet = Sheet(random)
    for foot, lean, wide in canes:
        nodes = sheet.stalk(foot, lean, wide, load * 0.8, dry)
        for node in nodes:
            for side in (0, np.pi):
                if random.random() < twigs:
                    turn = side + random.uniform(-0.85, 0.55) * (1 if side == 0 else -1)
                    sheet.twig(node, turn, size * random.uniform(0.9, 1.9), size, load * random.uniform(0.7, 1.2), dry)
    return sheet.density


def wash(density: Plane, random: np.random.Generator, reach: float, run: float) -> Plane:
    """What wet paper makes of it: the ink runs in uneven fingers, and stays darkest where it stops."""
    y, x = np.mgrid[0:H, 0:W].astype("float32")
    fingers = [run * soft_noise(random, (H, W), cell, 2) for cell in (22, 22)]
    moved = ndimage.map_coordinates(density, [y + fingers[0], x + fingers[1]], order=1, mode="nearest")
    soft = ndimage.gaussian_filter(moved, reach)
    rim = np.clip(soft - ndimage.gaussian_filter(soft, 2.5 * reach), 0, None)
    return np.clip(soft + 0.7 * rim, 0, 1) * (1 + 0.16 * soft_noise(random, (H, W), 60, 3))


def over(below: Plane, above: Plane) -> Plane:
    """Ink on ink."""
    return 1 - (1 - below) * (1 - np.clip(above, 0, 1))


def paper(random: np.random.Generator) -> Plane:
    """Long fibres, and a tooth on which ink stays; mean 0."""
    tooth = 0.6 * soft_noise(random, (H, W), 3) + 0.6 * soft_noise(random, (H, W), 11, 2)
    fibres = np.zeros((H, W), "float32")
    for turn in (0, 1):
        fine = random.normal(size=(H, W)).astype("float32")
        fibres += ndimage.gaussian_filter(fine, (1.0, 16) if turn else (16, 1.0))
    return (tooth + 2.5 * fibres).astype("float32")


def seal(pixels: Plane) -> None:
    """A red stamp: a bamboo leaf in a square, of our own cutting."""
    side = 58
    y, x = np.mgrid[0:side, 0:side] / (side - 1) * 2 - 1
    leaf = (np.abs(x + 0.25 * np.sin(2.4 * y)) < 0.24 * (1 - y**2)) & (np.abs(x + 0.25 * np.sin(2.4 * y)) > 0.05)
    leaf |= (np.abs(np.abs(x) - 0.62) < 0.10 * (1 - y**4)) & (np.abs(y) < 0.7)
    stamped = (np.maximum(np.abs(x), np.abs(y)) < 0.97) & ~leaf
    region = pixels[H - 118 : H - 118 + side, W - 108 : W - 108 + side]
    region += (0.86 * stamped)[..., None] * (RED - region)


def draw() -> Image.Image:
    """The picture, uint8 RGB, 512 wide and 384 high."""
    random = np.random.default_rng(33)
    y, x = np.mgrid[0:H, 0:W].astype("float32")
    far = grove(
        random,
        [(90, 0.03, 34), (300, -0.05, 26), (520, 0.04, 30), (690, -0.02, 24), (930, 0.03, 36)],
        95,
        0.34,
        0,
        0.55,
    )
    middle = grove(random, [(210, 0.06, 34), (610, -0.06, 38), (850, 0.02, 30)], 112, 0.52, 0.08, 0.5)
    near = grove(random, [(330, -0.10, 50), (760, 0.07, 58)], 142, 0.95, 0.30, 0.55)
    mist = np.clip(0.5 + 0.45 * soft_noise(random, (H, W), 240, 2) + 0.5 * (y / H - 0.5), 0, 1)
    ink = 0.02 + 0.11 * wash((soft_noise(random, (H, W), 190, 3) > 0.1).astype("float32"), random, 16, 10)
    ink = over(ink, wash(far, random, 5, 5) * (1 - 0.7 * mist))
    ink = over(ink, wash(middle, random, 1.8, 2) * (1 - 0.35 * mist))
    ink = over(ink, ndimage.gaussian_filter(near, 0.7))
    # Splashes from the brush.
    drops = np.zeros((H, W), "float32")
    for _ in range(70):
        u, v, radius = random.uniform(0, W), random.uniform(0, H), random.exponential(0.9) + 0.6
        rows, columns = slice(int(max(v - 14, 0)), int(v + 14)), slice(int(max(u - 14, 0)), int(u + 14))
        spot = np.clip(radius + 0.5 - np.hypot(x[rows, columns] - u, y[rows, columns] - v), 0, 1)
        drops[rows, columns] = np.maximum(drops[rows, columns], spot * random.uniform(0.3, 0.9))
    ink = over(ink, drops)

    grain = paper(random)
    pixels = PAPER * (1 + 0.022 * grain)[..., None]
    sun = np.hypot(x - 0.52 * W, y - 0.30 * H) + 5 * soft_noise(random, (H, W), 40, 2)
    red = np.clip((118 - sun) / 5, 0, 1) * (0.62 + 0.16 * soft_noise(random, (H, W), 50, 3)) + 0.25 * np.exp(
        -(((sun - 116) / 5) ** 2)
    )
    pixels += (np.clip(red, 0, 0.95) * (1 + 0.05 * grain))[..., None] * (RED - pixels)
    ink = np.clip(ink * (1 + 0.10 * grain * (1 - ink)), 0, 1)
    pixels += ink[..., None] * (INK - pixels)
    seal(pixels)
    return finish(pixels)
