"""Pictures that a small network learns in a second: each class is a colour, with noise over it."""

from pathlib import Path

import numpy as np
from PIL import Image

from imgnn.images.preprocessing import Preprocessing
from imgnn.networks.files import save_network
from tests.training.made import COLOURS
from tests.training.small import SIZE, small_network


def paint_classes(folder: Path, counts=None, *, seed: int = 7) -> Path:
    """A folder for each class, `red/0.png` and so on: 10 pictures of each unless `counts` says otherwise."""
    random = np.random.default_rng(seed)
    for name, count in (counts or dict.fromkeys(COLOURS, 10)).items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            noise = random.normal(0, 40, (16, 20, 3))
            picture = np.clip(np.array(COLOURS[name]) * 0.5 + 60 + noise, 0, 255).astype("uint8")
            Image.fromarray(picture).save(folder / name / f"{number}.png")
    return folder


def write_lines(path: Path, folder: Path, label_of) -> Path:
    """A list of a folder's pictures, as text, so that labels may be anything; `label_of` takes a class's name."""
    files = sorted(folder.glob("*/*.png"))
    lines = [f"{file.relative_to(path.parent).as_posix()} {label_of(file.parent.name)}\n" for file in files]
    path.write_text("".join(lines))
    return path


def save_small(path: Path) -> str:
    """The small network of random weights, as a file that `--network` takes."""
    network = small_network(Preprocessing(SIZE, mean=(110.0,) * 3, scale=(1 / 60,) * 3, resize=14), dropout=0.0)
    save_network(network, path)
    return str(path)
