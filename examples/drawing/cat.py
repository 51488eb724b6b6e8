"""cat.jpg: a ginger cat before a window at dusk, drawn hair by hair.

A plan says for every pixel of the cat which colour the fur has, which way it grows and how long it is. Then hairs are
drawn over it, those far from the nose first, so that each lies over the ones that it grows over. Lengths are in half
head widths, with the middle of the head at (0, 0) and y down; what is on the right of the face is also on the left.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from drawing.texture import Plane, soft_noise

HEIGHT, WIDTH, SCALE = 512, 384, 2
H, W = HEIGHT * SCALE, WIDTH * SCALE
UNIT = 0.285 * W  # pixels
MIDDLE = np.array([0.5 * W, 0.40 * H])

GINGER, STRIPE, CREAM, WHITE = ((206, 122, 52), (128, 58, 20), (240, 204, 152), (250, 242, 230))
EYE = (0.415, -0.06)
NOSE = (0.0, 0.33)


def ramp(low: float, high: float, value: Plane) -> Plane:
    """0 below `low`, 1 above `high` (or the other way round), smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def spot(x: Plane, y: Plane, at: tuple[float, float], wide: float, high: float) -> Plane:
    """1 in the middle of a soft spot, on both sides of the face."""
    return np.exp(-(((np.abs(x) - at[0]) / wide) ** 2) - ((y - at[1]) / high) ** 2)


def pixels_of(points: NDArray) -> list[tuple[float, float]]:
    """Points in head units -> places in the picture."""
    return [(float(a), float(b)) for a, b in np.asarray(points) * UNIT + MIDDLE]


def outline(points: list[tuple[float, float]], rounds: int = 4) -> NDArray:
    """A closed curve about these corners, which cuts them round and round (Chaikin)."""
    curve = np.array(points, float)
    for _ in range(rounds):
        following = np.roll(curve, -1, axis=0)
        curve = np.stack([0.75 * curve + 0.25 * following, 0.25 * curve + 0.75 * following], 1).reshape(-1, 2)
    return curve


def mirrored(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The right half of an outline, from top to bottom -> all of it."""
    return [*points, *((-a, b) for a, b in reversed(points) if a != 0)]


HEAD = mirrored(
    [(0, -0.80), (0.34, -0.80), (0.72, -0.66), (0.95, -0.22), (1.08, 0.22), (0.92, 0.56), (0.50, 0.78), (0, 0.84)]
)
BODY = mirrored([(0, -0.1), (0.6, 0.1), (0.74, 0.62), (0.90, 1.05), (1.10, 1.6), (1.24, 2.2), (1.26, 2.7), (0, 2.7)])
EAR = [
    (0.16, -0.62),
    (0.24, -0.84),
    (0.56, -1.24),
    (0.78, -1.44),
    (0.88, -1.38),
    (1.02, -0.90),
    (1.00, -0.30),
    (0.70, -0.36),
]
INNER_EAR = [(0.38, -0.72), (0.58, -1.08), (0.77, -1.29), (0.90, -0.88), (0.88, -0.46)]


def filled(*shapes: NDArray) -> NDArray[np.bool_]:
    """Where these outlines are, on both sides of the face."""
    mask = Image.new("1", (W, H))
    pen = ImageDraw.Draw(mask)
    for shape in shapes:
        for side in (1, -1):
            pen.polygon(pixels_of(shape * [side, 1]), fill=1)
    return np.asarray(mask)


@dataclass
class Coat:
    """The fur of one part, over the whole picture: where it is, its colour, which way (x, y) it grows, and how long."""

    where: NDArray[np.bool_]
    colour: Plane
    way: Plane
    length: Plane
    hairs: int


def tint(colour: Plane, other: tuple[int, int, int], amount: Plane) -> Plane:
    """`colour`, so far on the way to `other`."""
    return colour + amount[..., None] * (np.array(other, "float32") - colour)


def coats(random: np.random.Generator) -> list[Coat]:
    """Body, ears and head: back to front."""
    rows, columns = np.mgrid[0:H, 0:W].astype("float32")
    x, y = (columns - MIDDLE[0]) / UNIT, (rows - MIDDLE[1]) / UNIT
    wander = 0.10 * soft_noise(random, (H, W), 90, 3)
    side = np.abs(x)
    plain = np.broadcast_to(np.array(GINGER, "float32"), (H, W, 3))

    # The body: stripes hang over the shoulders, the chest is white, the head throws its shadow.
    stripes = ramp(0.25, 0.75, np.cos((y - 0.55 * side + wander) * 11)) * ramp(0.35, 0.8, side + wander)
    body = tint(plain, STRIPE, 0.75 * stripes)
    bib = ramp(0.52, 0.28, side + 0.8 * wander - 0.08 * np.sin(5 * y)) * ramp(0.4, 0.7, y)
    body = tint(tint(body, CREAM, 0.45 * ramp(0.95, 0.5, side + wander)), WHITE, bib)
    light = 0.95 - 0.34 * x / 1.4 - 0.12 * (y - 1)
    light *= 1 - 0.62 * np.exp(-((x - 0.12) ** 2) / 0.8 - ((y - 0.78) / 0.34) ** 2)
    light += 0.35 * ramp(0.95, 1.35, x + wander) * ramp(2.4, 0.9, y)  # the window behind, at the rim
    way = np.stack([0.42 * x + 0.5 * wander, 0.9 + 0 * x], -1)
    length = 0.20 + 0.10 * ramp(0.8, 0.3, side)
    parts = [Coat(filled(outline(BODY)), body * light[..., None], way, length, 15000)]

    ear = tint(plain, STRIPE, 0.35 * ramp(-0.95, -1.45, y) + 0.2)
    ear = ear * (0.92 - 0.25 * x)[..., None]
    way = np.stack([0.50 * np.sign(x) + 0.25 * wander, -1.0 + 0 * x], -1)
    parts.append(Coat(filled(outline(EAR)), ear, way, 0.09 + 0 * x, 4500))

    # The head: an M on the forehead, bands over the cheeks, pale about eyes and mouth.
    brow = np.cos((side + 0.25 * wander) * 2 * np.pi / (0.17 - 0.09 * (y + 0.3)))
    brow = brow * ramp(-0.20, -0.36, y) * ramp(0.60, 0.42, side)
    cheek = np.cos((y - 0.34 * side + 0.7 * wander) * 15) * ramp(0.56, 0.76, side + 0.4 * wander)
    face = tint(plain, STRIPE, 0.9 * np.clip(ramp(-0.1, 0.6, brow) + ramp(0.1, 0.8, cheek), 0, 1))
    face = tint(face, (226, 150, 78), 0.7 * spot(x, y, (0, 0.05), 0.15, 0.35))
    face = tint(
        face, CREAM, 0.9 * np.clip(spot(x, y, (0.42, -0.30), 0.16, 0.07) + spot(x, y, (0.36, 0.20), 0.2, 0.09), 0, 1)
    )
    muzzle = np.maximum(
        ramp(1.25, 0.75, np.hypot((side - 0.17) / 0.34, (y - 0.49) / 0.26)),
        ramp(1.2, 0.8, np.hypot(x / 0.3, (y - 0.72) / 0.16)),
    )
    blaze = ramp(0.10, 0.03, side + 0.3 * wander - 0.10 * (y - 0.1)) * ramp(-0.15, 0.2, y)
    face = tint(face, WHITE, np.clip(muzzle + 0.85 * blaze, 0, 1))
    # A dome, lit from the upper left; the muzzle stands out of it.
    rise = np.sqrt(np.clip(1.25 - (x / 1.1) ** 2 - (y / 0.92) ** 2, 0.03, None)) + 0.30 * np.exp(
        -(((side - 0.13) / 0.2) ** 2) - ((y - 0.46) / 0.17) ** 2
    )
    rise += 0.10 * np.exp(-((x / 0.13) ** 2) - ((y - 0.15) / 0.3) ** 2) - 0.10 * spot(x, y, EYE, 0.22, 0.16)
    down, right = np.gradient(rise, 1 / UNIT)
    light = (0.46 * right + 0.50 * down + 0.75) / np.sqrt(1 + right**2 + down**2)
    light = 0.36 + 0.86 * np.clip(light, 0, 1.2) + 0.38 * ramp(0.86, 1.05, x + 0.3 * wander) * ramp(0.6, -0.1, y)
    way = np.stack([x - NOSE[0], (y - 0.12) * 0.9], -1)
    way /= np.linalg.norm(way, axis=-1, keepdims=True) + 0.12
    way[..., 1] += 0.55 * ramp(0.3, 0.7, y) + 0.25 * ramp(0.55, 1.0, side)
    length = (
        0.045
        + 0.05 * ramp(0.3, 0.8, np.hypot(x, y))
        + 0.11 * ramp(0.78, 1.02, side) * ramp(-0.2, 0.2, y)
        + 0.05 * ramp(0.6, 0.8, y)
    )
    parts.append(Coat(filled(outline(HEAD)), face * light[..., None], way, length, 34000))
    return parts


def paint_hairs(picture: Image.Image, coat: Coat, random: np.random.Generator) -> None:
    """One part of the cat: a dark ground, and its hairs."""
    ground = Image.fromarray((coat.colour * 0.72).clip(0, 255).astype("uint8"))
    picture.paste(ground, mask=Image.fromarray(coat.where).convert("L").filter(ImageFilter.GaussianBlur(3)))
    rows, columns = np.nonzero(coat.where)
    chosen = random.choice(len(rows), coat.hairs)
    rows, columns = rows[chosen], columns[chosen]
    far = np.hypot((columns - MIDDLE[0]) / UNIT, (rows - MIDDLE[1]) / UNIT - NOSE[1])
    order = np.argsort(-far + random.normal(0, 0.04, far.shape))
    rows, columns = rows[order], columns[order]
    tufts = soft_noise(random, (H, W), 16, 2)  # neighbours lie alike, and shine alike
    turn = 0.22 * tufts[rows, columns] + random.normal(0, 0.16, rows.shape)
    way = coat.way[rows, columns]
    way = way / np.linalg.norm(way, axis=-1, keepdims=True)
    way = np.stack(
        [way[:, 0] * np.cos(turn) - way[:, 1] * np.sin(turn), way[:, 0] * np.sin(turn) + way[:, 1] * np.cos(turn)], 1
    )
    root = np.stack([columns, rows], 1).astype(float)
    reach = (coat.length[rows, columns] * UNIT * random.uniform(0.6, 1.3, rows.shape))[:, None]
    bend = random.normal(0, 0.14, rows.shape)[:, None] * np.stack([-way[:, 1], way[:, 0]], 1)
    middle, tip = root + reach * (0.5 * way + 0.3 * bend), root + reach * (way + bend)
    shade = (1 + 0.10 * np.roll(tufts, 40, 1)[rows, columns] + random.normal(0, 0.10, rows.shape))[:, None]
    colour = (coat.colour[rows, columns] * shade).clip(0, 255)
    lighter = (1.10 * colour + 8).clip(0, 255).astype(int)
    colour = colour.astype(int)
    pen = ImageDraw.Draw(picture)
    for a, b, c, dark, bright in zip(root, middle, tip, colour, lighter, strict=True):
        pen.line([tuple(a), tuple(b)], fill=tuple(dark), width=2)
        pen.line([tuple(b), tuple(c)], fill=tuple(bright), width=1)


def paint_window(random: np.random.Generator) -> Image.Image:
    """What is far behind the cat: lights of a garden at dusk, out of focus."""
    rows, columns = np.mgrid[0:H, 0:W].astype("float32")
    t = rows / H + 0.10 * soft_noise(random, (H, W), 300, 2)
    stops = np.array([[30, 62, 84], [34, 84, 92], [52, 92, 80], [30, 52, 54]], float)
    pixels = np.stack([np.interp(t, [0, 0.35, 0.7, 1], channel) for channel in stops.T], -1)
    for _ in range(46):
        at, radius = (random.uniform(0, W), random.uniform(0, 0.8) * H), random.uniform(18, 58)
        colour = np.array(
            [(250, 206, 120), (252, 170, 92), (150, 214, 170), (120, 190, 214), (255, 236, 190)][
                int(random.integers(5))
            ]
        )
        far = np.hypot(columns - at[0], rows - at[1]) / radius
        disc = ramp(1.06, 0.94, far) * (0.55 + 0.45 * far**4) * random.uniform(0.06, 0.34)
        pixels += disc[..., None] * (colour - 0.5 * pixels)
    pixels *= (1.05 - 0.35 * np.hypot(columns / W - 0.5, rows / H - 0.45))[..., None]
    return Image.fromarray(pixels.clip(0, 255).astype("uint8")).filter(ImageFilter.GaussianBlur(3))


def paint_ears(picture: Image.Image, random: np.random.Generator) -> None:
    """The rosy inside, and the pale hairs that stand before it."""
    mask = Image.fromarray(filled(outline(INNER_EAR))).convert("L").filter(ImageFilter.GaussianBlur(7))
    picture.paste((196, 116, 96), mask=mask.point(lambda value: int(0.85 * value)))
    deep = (
        Image.fromarray(filled(outline(INNER_EAR) * 0.72 + np.array([0.205, -0.20])))
        .convert("L")
        .filter(ImageFilter.GaussianBlur(14))
    )
    picture.paste((112, 54, 48), mask=deep.point(lambda value: int(0.8 * value)))
    pen = ImageDraw.Draw(picture)
    for side in (-1, 1):
        for t in np.sort(random.uniform(0, 1, 90)):
            root = np.array([0.40 + 0.12 * t, -0.62 - 0.50 * t]) + random.normal(0, 0.015, 2)
            tip = root + np.array([0.16 + 0.14 * (1 - t), -0.16 - 0.1 * random.random()]) * random.uniform(0.6, 1.2)
            bow = (root + tip) / 2 + [0.0, -0.05]
            shade = tuple(int(value * random.uniform(0.80, 1.0)) for value in (246, 222, 190))
            pen.line(pixels_of(np.array([root, bow, tip]) * [side, 1]), fill=shade, width=2, joint="curve")


def paint_eyes(picture: Image.Image) -> Image.Image:
    """Two green eyes, with the window in them."""
    rows, columns = np.mgrid[0:H, 0:W].astype("float32")
    pixels = np.asarray(picture).astype("float32")
    for side in (-1, 1):
        x, y = side * (columns - MIDDLE[0]) / UNIT - EYE[0], (rows - MIDDLE[1]) / UNIT - EYE[1]
        pupil = np.hypot(x / 0.094, y / 0.178)
        x, y = x + 0.08 * y, y + 0.15 * x  # the outer corner is higher
        lids = np.maximum(np.hypot(x / 0.250, (y - 0.055) / 0.250), np.hypot(x / 0.250, (y + 0.050) / 0.262))
        pixels = tint(pixels, (44, 22, 14), 0.92 * ramp(1.17, 1.07, lids))
        open_eye = ramp(1.03, 0.98, lids)
        radius = np.hypot(x, y)
        iris = np.stack(
            [
                np.interp(radius, [0.06, 0.13, 0.19, 0.225], channel)
                for channel in np.array([(214, 190, 70), (146, 176, 78), (86, 138, 76), (30, 60, 44)], float).T
            ],
            -1,
        )
        rays = 1 + 0.10 * np.sin(np.arctan2(y, x) * 34 + 4 * np.sin(np.arctan2(y, x) * 7))
        iris = (
            iris
            * rays[..., None]
            * (0.62 + 0.55 * ramp(-0.16, 0.08, y) + 0.25 * ramp(0.0, 0.2, y + 0.3 * side * x))[..., None]
        )
        iris = tint(iris, (8, 10, 10), ramp(1.06, 0.94, pupil))
        pixels = pixels + open_eye[..., None] * (iris - pixels)
        x, y = side * x, y  # the window is on the same side in both
        pixels = tint(
            pixels,
            (255, 255, 250),
            0.95 * open_eye * ramp(1.1, 0.9, np.hypot((x + 0.075) / 0.056, (y + 0.085) / 0.056)),
        )
        pixels = tint(
            pixels, (190, 226, 230), 0.35 * open_eye * ramp(1.2, 0.8, np.hypot((x - 0.075) / 0.03, (y - 0.08) / 0.06))
        )
    return Image.fromarray(pixels.clip(0, 255).astype("uint8"))


def paint_mouth(picture: Image.Image, random: np.random.Generator) -> None:
    """Nose, mouth and whiskers."""
    pen = ImageDraw.Draw(picture)
    nose = outline(mirrored([(0, 0.245), (0.09, 0.24), (0.135, 0.28), (0.05, 0.37), (0, 0.39)]), 3)
    pen.polygon(pixels_of(nose), fill=(206, 118, 108))
    pen.polygon(pixels_of(nose * [0.75, 0.5] + [-0.012, 0.132]), fill=(226, 146, 134))
    for side in (-1, 1):
        pen.ellipse(
            [*pixels_of([[side * 0.062 - 0.026, 0.315]])[0], *pixels_of([[side * 0.062 + 0.026, 0.348]])[0]],
            fill=(96, 40, 38),
        )
        bow = np.linspace(0, 1, 12)
        lip = np.stack([side * 0.22 * bow, 0.49 + 0.075 * np.sin(np.pi * bow) - 0.035 * bow], 1)
        pen.line(pixels_of(lip), fill=(110, 58, 48), width=4, joint="curve")
        for row in range(4):
            for column in range(4):
                at = [side * (0.14 + 0.06 * column + 0.02 * (row % 2)), 0.405 + 0.035 * row - 0.008 * column]
                a, b = pixels_of([at])[0]
                pen.ellipse([a - 2, b - 2, a + 2, b + 2], fill=(150, 104, 84))
    pen.line(pixels_of([[0, 0.385], [0, 0.50]]), fill=(120, 64, 54), width=4)
    softened = picture.filter(ImageFilter.GaussianBlur(1.2))
    picture.paste(softened)
    pen = ImageDraw.Draw(picture)
    for side in (-1, 1):
        for row in range(7):
            t = np.linspace(0, 1, 24)
            root = np.array([side * random.uniform(0.17, 0.34), 0.41 + 0.022 * row])
            reach, drop = random.uniform(0.85, 1.2), -0.16 + 0.075 * row
            curve = np.stack([root[0] + side * reach * t, root[1] + drop * t + 0.20 * t**2 * (0.4 + 0.1 * row)], 1)
            for first, (a, b) in enumerate(pairwise(curve)):
                pen.line(
                    pixels_of(np.array([a, b])), fill=(252, 248, 240), width=3 if first < 8 else 2 if first < 17 else 1
                )
        for row in range(3):
            t = np.linspace(0, 1, 16)
            curve = np.stack(
                [side * (0.36 + 0.05 * row + 0.22 * t + 0.08 * row * t), -0.36 - 0.42 * t + 0.14 * t**2], 1
            )
            pen.line(pixels_of(curve), fill=(250, 240, 224), width=1, joint="curve")


def draw() -> Image.Image:
    """The picture, uint8 RGB, 384 wide and 512 high."""
    random = np.random.default_rng(23)
    picture = paint_window(random)
    body, ears, head = coats(random)
    paint_hairs(picture, body, random)
    paint_hairs(picture, ears, random)
    paint_ears(picture, random)
    paint_hairs(picture, head, random)
    picture = paint_eyes(picture)
    paint_mouth(picture, random)
    return picture.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
