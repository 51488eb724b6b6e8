"""A small set of drawn pictures in class folders: what `imgnn demo` shows the commands for data on.

Boats, fish, houses and trees, each in another colour, size, place and light, with a sentence that tells what is drawn.
"""

import csv
import itertools
import json
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 96  # pixels
FINE = 3  # drawn so many times as large, then scaled down: smooth edges
COUNT = 24  # of each class
COLOURS = {
    "red": (196, 58, 48),
    "blue": (52, 98, 176),
    "yellow": (228, 178, 52),
    "white": (238, 234, 224),
    "green": (62, 138, 84),
    "orange": (226, 124, 44),
}
SKIES = {"clear": ((92, 156, 214), (198, 224, 240)), "grey": ((128, 138, 150), (198, 202, 206)),
         "evening": ((92, 84, 140), (246, 178, 120))}  # fmt: skip

# A funny line is one of each column, in their order: a model that learned some of them says others that are new.
BOKE = {
    "boats": (
        ("the captain", "this boat", "the sea", "his sail"),
        ("called in sick", "is only parked here", "forgot the way home", "is afraid of water"),
        ("again", "since monday", "says the fish", "for tax reasons"),
    ),
    "fish": (
        ("his teacher", "my uncle", "nobody here", "the small one"),
        ("left the tap on", "missed the bus", "forgot to blink", "is holding his breath"),
        ("again", "on purpose", "under water", "like his father"),
    ),
    "houses": (
        ("the roof", "this house", "the chimney", "the door"),
        ("is only a hat", "moved here for the view", "has seen everything", "is not at home"),
        ("today", "says the cat", "until friday", "if you ask nicely"),
    ),
    "trees": (
        ("this tree", "the wind", "autumn", "the tall one"),
        ("is growing a beard", "never leaves", "was a bad decision", "is a bush on tiptoe"),
        ("again", "for the photo", "without asking", "says the squirrel"),
    ),
}

Random = np.random.Generator
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Drawn:
    """A picture that was written, and what people would say of it."""

    file: Path
    captions: tuple[str, ...]


def write_classes(folder: Path, count: int = COUNT, seed: int = 0) -> list[Drawn]:
    """Draw `count` pictures of each class into FOLDER/CLASS/000.jpg; the same seed draws the same ones.

    Raises:
        OSError: they cannot be written.
    """
    written: list[Drawn] = []
    for kind in DRAWERS:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        written += [write_drawn(folder / kind / f"{index:03}.jpg", kind, seed, index) for index in range(count)]
    return written


def write_drawn(file: Path, kind: str, seed: int, index: int = 0) -> Drawn:
    """Draw one picture of a class; `index` tells those of a seed apart."""
    random = np.random.default_rng((seed, list(DRAWERS).index(kind), index))
    picture, captions = DRAWERS[kind](random)
    finished(picture, random).save(file, quality=90)
    return Drawn(file, captions)


def write_captions(path: Path, drawn: Sequence[Drawn]) -> None:
    """A data set of captions of them, JSON lines: `id`, and `file` from where PATH is."""
    with path.open("w", encoding="utf-8") as file:
        for number, each in enumerate(drawn, 1):
            name = each.file.relative_to(path.parent).as_posix()
            file.write(json.dumps({"id": number, "file": name, "captions": each.captions}) + "\n")


def write_boke(path: Path, drawn: Sequence[Drawn]) -> None:
    """Funny lines under them, JSON lines that `imgnn train boke` reads: `image`, `text`, `star`."""
    with path.open("w", encoding="utf-8") as file:
        for each, text, star in boke_of(drawn):
            name = each.file.relative_to(path.parent).as_posix()
            file.write(json.dumps({"image": name, "text": text, "star": star}) + "\n")


def write_can(folder: Path, drawn: Sequence[Drawn]) -> None:
    """The same as a can of boke (ボケ缶), which `imgnn fetch` reads: `boke.csv`, and the pictures beside it.

    Raises:
        OSError: it cannot be written.
    """
    (folder / "images").mkdir(parents=True)
    names = {each: f"{each.file.parent.name}-{each.file.name}" for each in drawn}
    for each, name in names.items():
        shutil.copy(each.file, folder / "images" / name)
    with (folder / "boke.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("id", "odai_photo_url", "text", "rate_sum"))
        table.writerows(
            (number, f"/images/{names[each]}", text, star)
            for number, (each, text, star) in enumerate(boke_of(drawn), 1)
        )


def boke_of(drawn: Sequence[Drawn]) -> Iterator[tuple[Drawn, str, int]]:
    """Two funny lines under each picture, and how many stars they have; the same ones each time."""
    random = np.random.default_rng(0)
    for each in drawn:
        lines = [" ".join(parts) for parts in itertools.product(*BOKE[each.file.parent.name])]
        for text in random.choice(lines, 2, replace=False):
            yield each, str(text), int(random.integers(0, 50))


def finished(picture: Image.Image, random: Random) -> Image.Image:
    """A part of it, scaled down, in another light, with a little grain; now and then the right is on the left."""
    side = picture.width * random.uniform(0.8, 1)
    left, top = random.uniform(0, picture.width - side), random.uniform(0, picture.width - side)
    if random.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    soft = picture.filter(ImageFilter.GaussianBlur(FINE / 3))
    small = soft.resize((SIDE, SIDE), Image.Resampling.LANCZOS, (left, top, left + side, top + side))
    values = np.asarray(small, "float32") * random.uniform(0.85, 1.12) + random.normal(0, 4, (SIDE, SIDE, 3))
    return Image.fromarray(np.clip(values, 0, 255).astype("uint8"))


def one(random: Random, options: Sequence[Any]) -> Any:
    """One of them, each as probable as the others."""
    return options[int(random.integers(len(options)))]


def a(words: str) -> str:
    """`an orange boat`."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def scene(random: Random, ground: Colour) -> tuple[Image.Image, ImageDraw.ImageDraw, float, str]:
    """Sky above ground: the picture, its pen, the height of the horizon in pixels, and the name of the sky."""
    side = SIDE * FINE
    sky = one(random, list(SKIES))
    top, bottom = (np.array(each) for each in SKIES[sky])
    horizon = side * random.uniform(0.5, 0.66)
    t = np.clip(np.arange(side) / horizon, 0, 1)[:, None, None]
    rows = np.broadcast_to((1 - t) * top + t * bottom, (side, side, 3)).round().astype("uint8")
    picture = Image.fromarray(rows)
    pen = ImageDraw.Draw(picture)
    for _ in range(int(random.integers(0, 3))):  # clouds
        x, y, wide = random.uniform(0, side), random.uniform(0.05, 0.3) * side, random.uniform(0.1, 0.2) * side
        for part in (-0.6, 0, 0.6):
            pen.ellipse(box(x + part * wide, y, wide * 0.6, wide * 0.24), fill=tuple((bottom * 0.4 + 150).astype(int)))
    pen.rectangle((0, horizon, side, side), fill=ground)
    for _ in range(40):  # waves, or grass
        x, y = random.uniform(0, side), random.uniform(horizon, side)
        shade = tuple(int(c * random.uniform(0.8, 1.15)) for c in ground)
        pen.line((x, y, x + random.uniform(4, 22), y), fill=shade, width=2)
    return picture, pen, horizon, sky


def box(x: float, y: float, wide: float, high: float) -> tuple[float, float, float, float]:
    """The rectangle about a middle, half as wide and as high as said on each side."""
    return (x - wide, y - high, x + wide, y + high)


def draw_boat(random: Random) -> tuple[Image.Image, tuple[str, ...]]:
    """A sailing boat on the sea."""
    picture, pen, horizon, sky = scene(random, (48, 104, 138))
    side = picture.width
    hull, sail = one(random, list(COLOURS)), one(random, ["white", "red", "yellow", "orange"])
    x, y = side * random.uniform(0.35, 0.65), horizon + side * random.uniform(0.05, 0.14)
    size = side * random.uniform(0.2, 0.32)
    lean = random.uniform(-0.12, 0.12) * size
    pen.line((x, y, x + lean, y - 1.5 * size), fill=(70, 50, 40), width=5)
    pen.polygon([(x + 6, y - 8), (x + lean + 4, y - 1.45 * size), (x + 0.8 * size, y - 0.2 * size)], fill=COLOURS[sail])
    if random.random() < 0.6:
        pen.polygon([(x - 6, y - 8), (x + lean - 4, y - 1.2 * size), (x - 0.6 * size, y - 0.2 * size)],
                    fill=COLOURS[sail])  # fmt: skip
    pen.polygon([(x - size, y - 0.1 * size), (x + size, y - 0.1 * size), (x + 0.7 * size, y + 0.22 * size),
                 (x - 0.75 * size, y + 0.22 * size)], fill=COLOURS[hull])  # fmt: skip
    pen.line((x - 0.7 * size, y + 0.3 * size, x + 0.7 * size, y + 0.3 * size), fill=(214, 228, 234), width=4)
    return picture, (
        f"{a(hull)} boat with {a(sail)} sail on the sea",
        f"a sailing boat under {a(sky)} sky",
        f"a boat with {a(sail)} sail",
    )


def draw_fish(random: Random) -> tuple[Image.Image, tuple[str, ...]]:
    """A fish under water."""
    side = SIDE * FINE
    deep = np.array(one(random, [(24, 92, 120), (20, 70, 112), (40, 116, 124)]))
    t = np.linspace(0, 1, side)[:, None, None]
    rows = np.broadcast_to((1 - t) * (deep + 60) + t * deep, (side, side, 3)).round().astype("uint8")
    picture = Image.fromarray(rows)
    pen = ImageDraw.Draw(picture)
    for _ in range(6):  # weeds
        x, high = random.uniform(0, side), random.uniform(0.1, 0.3) * side
        bend = random.uniform(-20, 20)
        pen.line((x, side, x + bend, side - high / 2, x - bend, side - high), fill=(30, 110, 70), width=6)
    colour, stripe = one(random, list(COLOURS)), one(random, ["white", "blue", "yellow", "red"])
    x, y, size = side * random.uniform(0.4, 0.6), side * random.uniform(0.35, 0.65), side * random.uniform(0.18, 0.3)
    way = 1 if random.random() < 0.5 else -1
    pen.polygon([(x - 0.8 * way * size, y), (x - 1.6 * way * size, y - 0.55 * size),
                 (x - 1.4 * way * size, y), (x - 1.6 * way * size, y + 0.55 * size)], fill=COLOURS[colour])  # fmt: skip
    pen.polygon([(x - 0.3 * way * size, y - 0.5 * size), (x + 0.3 * way * size, y - 0.5 * size),
                 (x - 0.2 * way * size, y - 0.95 * size)], fill=COLOURS[colour])  # fmt: skip
    pen.ellipse(box(x, y, size, 0.6 * size), fill=COLOURS[colour])
    if is_striped := stripe != colour and random.random() < 0.6:
        for place in (-0.35, 0.1):
            high = 0.6 * size * math.sqrt(1 - place**2) * 0.97
            pen.ellipse(box(x + place * way * size, y, 0.09 * size, high), fill=COLOURS[stripe])
    pen.ellipse(box(x + 0.6 * way * size, y - 0.15 * size, 0.13 * size, 0.13 * size), fill=(245, 245, 240))
    pen.ellipse(box(x + 0.63 * way * size, y - 0.15 * size, 0.06 * size, 0.06 * size), fill=(20, 20, 24))
    for bubble in range(int(random.integers(0, 4))):
        pen.ellipse(box(x + 1.2 * way * size, y - (0.4 + 0.35 * bubble) * size, 7, 7), outline=(220, 240, 244), width=2)
    looks = f"with {stripe} stripes" if is_striped else "in the water"
    return picture, (f"{a(colour)} fish {looks}", "a fish swimming under water", f"{a(colour)} fish")


def draw_house(random: Random) -> tuple[Image.Image, tuple[str, ...]]:
    """A house in a field."""
    picture, pen, horizon, sky = scene(random, (104, 142, 72))
    side = picture.width
    wall, roof = one(random, ["white", "yellow", "red", "blue"]), one(random, [(128, 58, 44), (72, 70, 78)])
    x, y = side * random.uniform(0.38, 0.62), horizon + side * random.uniform(0.06, 0.18)
    wide, high = side * random.uniform(0.16, 0.26), side * random.uniform(0.24, 0.34)
    if chimney := random.random() < 0.6:
        pen.rectangle((x + 0.4 * wide, y - 1.75 * high, x + 0.65 * wide, y - high), fill=(112, 72, 60))
    pen.rectangle((x - wide, y - high, x + wide, y), fill=COLOURS[wall])
    pen.polygon([(x - 1.2 * wide, y - high), (x + 1.2 * wide, y - high), (x, y - 1.75 * high)], fill=roof)
    pen.rectangle((x - 0.18 * wide, y - 0.55 * high, x + 0.18 * wide, y), fill=(94, 62, 44))
    for place in (-0.6, 0.6):
        pen.rectangle(box(x + place * wide, y - 0.6 * high, 0.17 * wide, 0.15 * high), fill=(72, 96, 122),
                      outline=(240, 236, 226), width=3)  # fmt: skip
    detail = "with a chimney" if chimney else "in a field"
    return picture, (f"a {wall} house {detail}", f"a house under {a(sky)} sky", f"a {wall} house with a door")


def draw_tree(random: Random) -> tuple[Image.Image, tuple[str, ...]]:
    """A tree in a meadow: a fir, or one with a round crown."""
    picture, pen, horizon, sky = scene(random, (118, 156, 84))
    side = picture.width
    x, y = side * random.uniform(0.35, 0.65), horizon + side * random.uniform(0.06, 0.2)
    size = side * random.uniform(0.16, 0.24)
    pen.rectangle((x - 0.12 * size, y - 1.2 * size, x + 0.12 * size, y), fill=(92, 66, 44))
    if fir := random.random() < 0.4:
        name = "green"
        for level in range(4):
            foot, wide = y - (0.5 + 0.6 * level) * size, (1.05 - 0.2 * level) * size
            pen.polygon([(x - wide, foot), (x + wide, foot), (x, foot - 1.1 * size)], fill=(34, 92 + 9 * level, 62))
    else:
        name = one(random, ["green", "orange", "yellow", "red"])
        for _ in range(26):
            angle, far = random.uniform(0, 2 * math.pi), size * math.sqrt(random.random()) * 0.8
            shade = tuple(int(c * random.uniform(0.8, 1.15)) for c in COLOURS[name])
            wide = size * random.uniform(0.25, 0.42)
            pen.ellipse(box(x + far * math.cos(angle), y - 1.75 * size + far * math.sin(angle), wide, wide), fill=shade)
    what = "fir" if fir else f"tree with {name} leaves"
    return picture, (f"a {what} in a meadow", f"a tree under {a(sky)} sky", f"{a(name)} tree in the grass")


DRAWERS: dict[str, Callable[[Random], tuple[Image.Image, tuple[str, ...]]]] = {
    "boats": draw_boat,
    "fish": draw_fish,
    "houses": draw_house,
    "trees": draw_tree,
}
