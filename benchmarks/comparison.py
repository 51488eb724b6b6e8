"""What the parts of `python -m benchmarks` share: a row of figures, and what a part is told.

A part is one of the scripts beside this file. Its function `rows(setting)` measures once, both sides in turn, and gives
the figures; rounds, medians and tables are made by `__main__.py` and `report.py`. Of the steps of one process the
fastest counts: what else the machine does can only make them slower.
"""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "imgnn" / "assets" / "examples"
DRAWN = 512  # of each of the four classes: enough for a fetch of 2,000 pictures
INSTALL = {
    "PyTorch": "pip install torch",
    "OpenCV": "pip install opencv-python-headless",
    "img2dataset": "pip install img2dataset",
}


@dataclass(frozen=True)
class Row:
    """A figure of one round, and the peer's beside it.

    Attributes:
        what: what was measured.
        unit: "s", "ms" or "MB", of which less is better, or something per second, of which more is.
        ours: imgnn's.
        peer: what is beside it; "" where there is none.
        theirs: the peer's; None where it is not installed.
        size: of a curve: how much there was to do, counted in `of`.
        of: "pixels", "captions", ...; "" of a row that belongs to no curve.
    """

    what: str
    unit: str
    ours: float
    peer: str = ""
    theirs: float | None = None
    size: float | None = None
    of: str = ""


class Skipped(Exception):
    """A part that cannot run here; the words say what to install."""


@dataclass
class Setting:
    """What a part is told.

    Attributes:
        work: a folder for what is made for the measurements; empty at first, the same in every round.
        python: a Python that has PyTorch, if `missing` does not name it.
        missing: peers that are not installed -> how they are.
        photos: pictures of one's own in place of the package's; none: those.
        quick: little of everything: whether it works.
    """

    work: Path
    python: str = sys.executable
    missing: Mapping[str, str] = field(default_factory=dict)
    photos: Sequence[Path] = ()
    quick: bool = False

    def has(self, peer: str) -> bool:
        """Whether a peer is installed."""
        return peer not in self.missing

    def once(self, name: str, make: Callable[[Path], object]) -> Path:
        """A file or folder in the work folder, made in the first round."""
        path = self.work / name
        if not path.exists():
            make(path)
        return path

    def example(self, name: str) -> Path:
        """One of the package's pictures; of one's own photos the first, the second for a painting."""
        if not self.photos:
            return EXAMPLES / f"{name}.jpg"
        return self.photos[min(int(name == "painting"), len(self.photos) - 1)]

    def pictures(self) -> list[Path]:
        """Many JPEGs: one's own, or boats, fish, houses and trees that are drawn."""
        if self.photos:
            return list(self.photos)
        from imgnn.data.drawn_classes import write_classes

        folder = self.once("drawn", lambda path: write_classes(path, 16 if self.quick else DRAWN))
        return sorted(folder.glob("*/*.jpg"))


def find_missing(python: str) -> dict[str, str]:
    """Peers that are not installed, each with one sentence that says how it is.

    Args:
        python: where PyTorch is looked for.
    """
    found = {
        "PyTorch": not subprocess.run([python, "-c", "import torch"], stderr=subprocess.DEVNULL).returncode,
        "OpenCV": importlib.util.find_spec("cv2") is not None,
        "img2dataset": img2dataset(python) is not None,
    }
    return {name: f"{name} is not installed: {INSTALL[name]}" for name, there in found.items() if not there}


def img2dataset(python: str) -> str | None:
    """Where the command is: beside the peers' Python, or on the PATH."""
    return shutil.which("img2dataset", path=str(Path(python).parent)) or shutil.which("img2dataset")
