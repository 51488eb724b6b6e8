"""Paints the pictures of README.md, docs/style.md and docs/dream.md, with the networks whose weights are at hand.

    python examples/paint.py [VGG19.caffemodel]

networks.jpg: four pictures, each in a style, a row for each network. colours.jpg: the ways to keep the photo's colours.
dream.jpg: the sky dreamed by three networks, and mixed into a style. classes.jpg: what a goldfish looks like.
Contents and styles are those in the package, which draw.py draws. How long each row takes is printed.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from imgnn.home import ASSETS
from imgnn.images.files import load_image, save_image
from imgnn.images.sheet import contact_sheet
from imgnn.jobs.class_picture import draw_class
from imgnn.jobs.dream import dream_picture
from imgnn.jobs.style import stylise
from imgnn.options import ClassPictureOptions, DreamOptions, LayerChoice, StyleOptions

FOLDER = Path(__file__).parent
DRAWN = ASSETS / "examples"
PHOTO, PAINTING, SKY = DRAWN / "photo.jpg", DRAWN / "painting.jpg", DRAWN / "sky.jpg"
PAIRS = (("photo", "painting"), ("still_life", "mosaic"), ("cat", "glass"), ("photo", "ink"))
SIDE = 384  # pixels
CELL = (180, 240)
QUALITY = 65  # a sheet is at most 300 KB


def painted(folder: Path, content: Path, style: Path, **options) -> np.ndarray:
    """A picture in a style."""
    stylise(content, [style], folder / "out.png", StyleOptions(size=SIDE, **options))
    return load_image(folder / "out.png")


def draw_networks(folder: Path, networks: dict[str, str]) -> None:
    """A row for each network; the columns are contents, each in a style."""
    pairs = [(DRAWN / f"{content}.jpg", DRAWN / f"{style}.jpg") for content, style in PAIRS]
    rows = [[load_image(content) for content, _ in pairs], [load_image(style) for _, style in pairs]]
    for name, network in networks.items():
        began = time.perf_counter()
        rows.append([painted(folder, content, style, network=network) for content, style in pairs])
        print(f"{name}: {(time.perf_counter() - began) / len(pairs):.1f} s a picture of {SIDE} pixels", flush=True)
    sheet = contact_sheet(rows, row_labels=["content", "style", *networks], cell=CELL)
    save_image(FOLDER / "networks.jpg", sheet, quality=QUALITY)


def draw_colours(folder: Path) -> None:
    """One style, and whose colours it has."""
    ways = ("style", "original", "luminance", "match", "histogram")
    pictures = [painted(folder, PHOTO, PAINTING, network="googlenet", colours=way) for way in ways]
    sheet = contact_sheet([pictures], column_labels=ways, cell=CELL)
    save_image(FOLDER / "colours.jpg", sheet, quality=QUALITY)


def draw_dreams(folder: Path) -> None:
    """The sky dreamed by networks, and a dream inside a style."""
    pictures, labels = [], []
    for network, layer in (
        ("mini", "relu4_3"),
        ("mini", "relu5_3"),
        ("googlenet", "inception_4c/output"),
        ("googlenet", "inception_3b/output"),
        ("squeezenet-v1.1", "fire8/concat"),
    ):
        options = DreamOptions(network=network, layers=(LayerChoice(layer),))
        dream_picture(SKY, folder / "out.png", options)
        pictures.append(load_image(folder / "out.png"))
        labels.append(f"{network}\n{layer}")
    dream = (LayerChoice("inception_4c/output"),)
    pictures.append(painted(folder, PHOTO, PAINTING, network="googlenet", dream=dream, dream_weight=0.5))
    labels.append("googlenet, painting\n--dream inception_4c/output --dream-weight 0.5")
    sheet = contact_sheet([pictures[:3], pictures[3:]], captions=[labels[:3], labels[3:]], cell=(216, 288))
    save_image(FOLDER / "dream.jpg", sheet, quality=QUALITY)


def draw_classes(folder: Path) -> None:
    """Three classes by two networks."""
    classes, rows = ("goldfish", "stupa", "zebra"), []
    networks = ("googlenet", "squeezenet-v1.1")
    for network in networks:
        row = []
        for name in classes:
            draw_class(folder / "out.png", ClassPictureOptions(target=name, network=network))
            row.append(load_image(folder / "out.png"))
        rows.append(row)
    save_image(
        FOLDER / "classes.jpg",
        contact_sheet(rows, column_labels=classes, row_labels=networks, cell=(227, 227)),
        quality=QUALITY,
    )


def main() -> None:
    networks = {"mini": "mini", "squeezenet-v1.1": "squeezenet-v1.1", "googlenet": "googlenet"}
    if len(sys.argv) > 1:
        networks["vgg19, conv1 to conv3"] = sys.argv[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_networks(folder, networks)
        draw_colours(folder)
        draw_dreams(folder)
        draw_classes(folder)


if __name__ == "__main__":
    main()
