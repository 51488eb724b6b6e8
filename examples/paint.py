"""Paints the pictures of docs/style.md and docs/dream.md, with the networks whose weights are at hand.

    python examples/paint.py [VGG19.caffemodel]

networks.jpg: a harbour in two styles, a row for each network. colours.jpg: the ways to keep the photo's colours.
dream.jpg: the harbour dreamed by two networks, and mixed into a style. classes.jpg: what a goldfish looks like.
Content and first style are drawn by draw.py, the second style is the standard picture of imgnn/optimize/calibrate.py.
"""

import sys
import tempfile
import time
from pathlib import Path

from imgnn.images.files import load_image, save_image
from imgnn.images.sheet import contact_sheet
from imgnn.jobs.class_picture import draw_class
from imgnn.jobs.dream import dream_picture
from imgnn.jobs.style import stylise
from imgnn.optimize.calibrate import dead_leaves
from imgnn.options import ClassPictureOptions, DreamOptions, LayerChoice, StyleOptions

FOLDER = Path(__file__).parent
HARBOUR, STROKES = FOLDER / "harbour.png", FOLDER / "strokes.png"
SIDE = 384  # pixels


def painted(folder: Path, style: Path, **options) -> tuple:
    """The harbour in a style, and the seconds that it took."""
    started = time.perf_counter()
    stylise(HARBOUR, [style], folder / "out.png", StyleOptions(size=SIDE, **options))
    return load_image(folder / "out.png"), time.perf_counter() - started


def draw_networks(folder: Path, networks: dict[str, str]) -> None:
    """A row for each network, a column for each style, below each picture the time."""
    leaves = folder / "leaves.png"
    save_image(leaves, dead_leaves(512))
    rows, captions = [], []
    for name, network in networks.items():
        pictures = [painted(folder, style, network=network) for style in (STROKES, leaves)]
        rows.append([image for image, _ in pictures])
        captions.append([f"{seconds:.0f} s" for _, seconds in pictures])
        print(name, captions[-1], flush=True)
    first = [load_image(STROKES), load_image(leaves)]
    sheet = contact_sheet(
        [first, *rows],
        column_labels=["strokes", "leaves"],
        row_labels=["the style", *networks],
        captions=[["", ""], *captions],
        cell=(288, 384),
    )
    save_image(FOLDER / "networks.jpg", sheet, quality=88)


def draw_colours(folder: Path) -> None:
    """One style, and whose colours it has."""
    ways = ("style", "original", "luminance", "match", "histogram")
    pictures = [painted(folder, STROKES, network="googlenet", colours=way)[0] for way in ways]
    sheet = contact_sheet([pictures], column_labels=ways, cell=(216, 288))
    save_image(FOLDER / "colours.jpg", sheet, quality=88)


def draw_dreams(folder: Path) -> None:
    """The harbour dreamed by two networks, one channel alone, and a dream inside a style."""
    pictures, labels = [], []
    for network, layer in (
        ("googlenet", "inception_4c/output"),
        ("googlenet", "inception_3b/output"),
        ("squeezenet-v1.1", "fire8/concat"),
    ):
        options = DreamOptions(network=network, layers=(LayerChoice(layer),))
        dream_picture(HARBOUR, folder / "out.png", options)
        pictures.append(load_image(folder / "out.png"))
        labels.append(f"{network}\n{layer}")
    dream = (LayerChoice("inception_4c/output"),)
    pictures.append(painted(folder, STROKES, network="googlenet", dream=dream, dream_weight=0.5)[0])
    labels.append("googlenet, strokes\n--dream inception_4c/output --dream-weight 0.5")
    sheet = contact_sheet([pictures[:2], pictures[2:]], captions=[labels[:2], labels[2:]], cell=(288, 384))
    save_image(FOLDER / "dream.jpg", sheet, quality=88)


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
        quality=88,
    )


def main() -> None:
    networks = {"random": "random", "squeezenet-v1.1": "squeezenet-v1.1", "googlenet": "googlenet"}
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
