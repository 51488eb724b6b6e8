"""Draws the two pictures of the README's first command: harbour.png (content) and strokes.png (style).

    python examples/draw.py

Seeded: the same pixels each time. Needs Pillow and NumPy alone.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

FOLDER = Path(__file__).parent
HEIGHT, WIDTH = 384, 512
SCALE = 2  # drawn larger, then scaled down: smooth edges


def gradient(top: tuple[int, int, int], bottom: tuple[int, int, int], height: int, width: int) -> Image.Image:
    """From one colour to another, top to bottom."""
    t = np.linspace(0.0, 1.0, height)[:, None, None]
    rows = (1 - t) * np.array(top) + t * np.array(bottom)
    return Image.fromarray(np.broadcast_to(rows, (height, width, 3)).round().astype("uint8"))


def ridge(random: np.random.Generator, base: float, rise: float, width: int) -> list[tuple[float, float]]:
    """The outline of a chain of hills: a sum of a few sines."""
    x = np.linspace(0, 2 * np.pi, 200)
    y = sum(random.uniform(0.3, 1) / k * np.sin(k * x + random.uniform(0, 6)) for k in (1, 2, 3, 5, 8))
    return [(float(a), float(base - rise * b)) for a, b in zip(x / (2 * np.pi) * width, y, strict=True)]


def draw_harbour() -> Image.Image:
    """Evening at the sea: sky, hills, a lighthouse, two boats and their reflections."""
    random = np.random.default_rng(7)
    height, width = HEIGHT * SCALE, WIDTH * SCALE
    sea = int(height * 0.6)
    picture = Image.new("RGB", (width, height))
    picture.paste(gradient((58, 92, 150), (250, 196, 130), sea, width), (0, 0))

    glow = Image.new("L", (width, height))
    centre, radius = (int(width * 0.68), int(height * 0.42)), int(height * 0.07)
    box = (centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius)
    ImageDraw.Draw(glow).ellipse([box[0] - radius, box[1] - radius, box[2] + radius, box[3] + radius], fill=150)
    glow = glow.filter(ImageFilter.GaussianBlur(radius))
    glow.paste(0, (0, sea, width, height))
    picture.paste((255, 226, 160), mask=glow)
    draw = ImageDraw.Draw(picture)
    draw.ellipse(box, fill=(255, 240, 200))
    for base, rise, colour in ((0.52, 0.06, (118, 118, 150)), (0.56, 0.045, (84, 88, 118)), (0.6, 0.03, (52, 62, 84))):
        outline = ridge(random, base * height, rise * height, width)
        draw.polygon([*outline, (width, sea), (0, sea)], fill=colour)

    x, foot = int(width * 0.16), int(height * 0.6)
    draw.polygon(
        [(0, foot - 30), (x - 60, foot - 70), (x + 90, foot - 40), (x + 150, foot), (0, foot)], fill=(40, 44, 56)
    )
    tower = int(height * 0.27)
    draw.polygon(
        [(x - 26, foot - 50), (x + 26, foot - 50), (x + 17, foot - tower), (x - 17, foot - tower)], fill=(236, 232, 222)
    )
    for k in (1, 3):
        y = foot - 50 - (tower - 50) * k // 5
        draw.polygon([(x - 24, y), (x + 24, y), (x + 22, y - 34), (x - 22, y - 34)], fill=(190, 52, 44))
    draw.rectangle([x - 12, foot - tower - 30, x + 12, foot - tower], fill=(255, 226, 120))
    draw.polygon([(x - 22, foot - tower - 28), (x + 22, foot - tower - 28), (x, foot - tower - 58)], fill=(150, 40, 36))

    for boat, size in ((0.5, 1.0), (0.82, 0.65)):
        x, y = int(width * boat), int(sea + 34 * size)
        draw.polygon(
            [(x - 70 * size, y - 22 * size), (x + 80 * size, y - 22 * size), (x + 50 * size, y), (x - 50 * size, y)],
            fill=(70, 40, 34),
        )
        draw.polygon(
            [(x - 2, y - 30 * size), (x - 2, y - 190 * size), (x + 72 * size, y - 30 * size)], fill=(246, 240, 226)
        )
        draw.polygon(
            [(x - 10, y - 30 * size), (x - 10, y - 160 * size), (x - 58 * size, y - 30 * size)], fill=(214, 120, 74)
        )

    # The sea mirrors what is above it, darker and broken by waves.
    pixels = np.asarray(picture).astype("float32")
    depth = np.arange(height - sea)
    source = np.clip(sea - 1 - depth + (3 + depth / 40) * np.sin(depth / 5.0), 0, sea - 1).astype(int)
    shift = ((2 + depth / 12) * np.sin(depth / 3.1 + np.sin(depth / 17.0) * 3)).astype(int)
    columns = (np.arange(width)[None, :] + shift[:, None]) % width
    water = pixels[source[:, None], columns] * 0.62 + np.array([8, 30, 52])
    keep = np.asarray(picture)[sea:].sum(-1, keepdims=True) > 0  # the hulls
    pixels[sea:] = np.where(keep, pixels[sea:], water)
    small = Image.fromarray(pixels.clip(0, 255).astype("uint8")).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    grain = random.normal(0, 2.5, (HEIGHT, WIDTH, 1))
    return Image.fromarray((np.asarray(small) + grain).clip(0, 255).round().astype("uint8"))


def draw_village() -> Image.Image:
    """Noon in the hills: a row of houses, trees, a windmill, a balloon."""
    random = np.random.default_rng(11)
    height, width = HEIGHT * SCALE, WIDTH * SCALE
    picture = gradient((96, 164, 214), (232, 232, 214), height, width)
    draw = ImageDraw.Draw(picture)
    for base, rise, colour in ((0.55, 0.1, (126, 160, 134)), (0.66, 0.07, (96, 142, 86)), (0.78, 0.04, (138, 168, 82))):
        draw.polygon([*ridge(random, base * height, rise * height, width), (width, height), (0, height)], fill=colour)

    x, y, radius = int(0.3 * width), int(0.2 * height), 84
    for wide, colour in ((84, (214, 64, 52)), (60, (244, 196, 74)), (28, (70, 104, 168))):
        draw.ellipse([x - wide, y - radius, x + wide, y + radius], fill=colour)
    draw.line([(x - 30, y + 76), (x - 14, y + 128)], fill=(70, 60, 50), width=4)
    draw.line([(x + 30, y + 76), (x + 14, y + 128)], fill=(70, 60, 50), width=4)
    draw.rectangle([x - 18, y + 126, x + 18, y + 154], fill=(122, 84, 48))

    x, foot, hub = int(0.8 * width), int(0.7 * height), int(0.42 * height)
    draw.polygon([(x - 56, foot), (x + 56, foot), (x + 32, hub), (x - 32, hub)], fill=(238, 230, 214))
    draw.polygon([(x - 38, hub), (x + 38, hub), (x, hub - 46)], fill=(120, 60, 48))
    draw.rectangle([x - 16, foot - 60, x + 16, foot], fill=(110, 74, 50))
    for turn in np.array([20, 110, 200, 290]) * np.pi / 180:
        along = np.array([np.cos(turn), np.sin(turn)])
        across = np.array([-along[1], along[0]])
        corners = [along * 30, along * 170, along * 170 + across * 34, along * 30 + across * 34]
        draw.polygon([(x + a, hub + b) for a, b in corners], fill=(206, 196, 176))
        draw.line([(x, hub), (x + along[0] * 176, hub + along[1] * 176)], fill=(84, 62, 48), width=8)

    walls = ((242, 226, 190), (222, 168, 120), (236, 236, 230), (198, 120, 96), (240, 208, 140))
    roofs = ((168, 62, 46), (120, 58, 50), (92, 76, 96), (150, 84, 46), (176, 70, 52))
    left = int(0.04 * width)
    for wall, roof in zip(walls, roofs, strict=True):
        wide, high, foot = (
            int(random.uniform(100, 140)),
            int(random.uniform(90, 170)),
            int(random.uniform(0.8, 0.84) * height),
        )
        draw.rectangle([left, foot - high, left + wide, foot], fill=wall)
        draw.polygon(
            [(left - 12, foot - high), (left + wide + 12, foot - high), (left + wide / 2, foot - high - 70)], fill=roof
        )
        for row in range(high // 60):
            for column in (0.22, 0.62):
                a, b = left + column * wide, foot - high + 16 + 60 * row
                draw.rectangle([a, b, a + 0.18 * wide, b + 34], fill=(70, 92, 118))
        left += wide + int(random.uniform(8, 30))
    for _ in range(26):
        a, b = random.uniform(0, width), random.uniform(0.84, 0.97) * height
        size = random.uniform(24, 52)
        draw.rectangle([a - 5, b, a + 5, b + size], fill=(92, 66, 46))
        green = np.array([70, 120, 58]) + random.integers(-22, 30, 3)
        draw.ellipse([a - size, b - 1.5 * size, a + size, b + 0.4 * size], fill=tuple(map(int, green)))
    small = picture.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    grain = random.normal(0, 2.5, (HEIGHT, WIDTH, 1))
    return Image.fromarray((np.asarray(small) + grain).clip(0, 255).round().astype("uint8"))


def draw_strokes() -> Image.Image:
    """Short strokes of paint along a field of whirls, blue with yellow at the whirls' hearts."""
    random = np.random.default_rng(3)
    height, width = HEIGHT * SCALE, WIDTH * SCALE
    hearts = np.array([[0.3, 0.28], [0.62, 0.5], [0.22, 0.78], [0.88, 0.2], [0.85, 0.85]]) * [width, height]
    spins, reach = np.array([1, -1, 1, -1, 1]), np.array([150, 190, 120, 100, 140]) * SCALE / 2
    picture = gradient((16, 34, 92), (10, 58, 98), height, width)
    draw = ImageDraw.Draw(picture)
    blues = np.array([[18, 42, 120], [30, 72, 160], [52, 110, 190], [104, 160, 205], [24, 92, 110], [10, 24, 70]])
    golds = np.array([[250, 214, 92], [240, 178, 48], [255, 238, 170], [228, 140, 36]])
    for _ in range(9000):
        x, y = random.uniform(-20, width + 20), random.uniform(-20, height + 20)
        length, thickness = random.uniform(26, 60), int(random.uniform(5, 11))
        offset = np.array([x, y]) - hearts
        distance = np.linalg.norm(offset, axis=1)
        near = np.exp(-((distance / reach) ** 2))
        ring = np.cos(distance[near.argmax()] / 17.0)  # light and dark rings about each heart
        palette = golds if near.max() + 0.12 * ring > random.uniform(0.45, 0.8) else blues
        colour = palette[random.integers(len(palette))] + 14 * ring + random.normal(0, 9, 3)
        points = []
        for _ in range(7):
            offset = np.array([x, y]) - hearts
            weight = np.exp(-((np.linalg.norm(offset, axis=1) / (1.8 * reach)) ** 2)) * spins
            flow = (weight[:, None] * np.stack([-offset[:, 1], offset[:, 0]], 1)).sum(0) + np.array(
                [14.0, 5 * np.sin(x / 90)]
            )
            flow = flow / (np.linalg.norm(flow) + 1e-6)
            points.append((x, y))
            x, y = x + flow[0] * length / 7, y + flow[1] * length / 7
        draw.line(points, fill=tuple(int(c) for c in colour.clip(0, 255)), width=thickness, joint="curve")
    return picture.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    draw_harbour().save(FOLDER / "harbour.png", optimize=True)
    draw_strokes().save(FOLDER / "strokes.png", optimize=True)
