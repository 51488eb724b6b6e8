"""`imgnn mean` beside a loop of OpenCV's imread, resize and a float32 sum, as Caffe's compute_image_mean has it.

The loop computes the mean and nothing else: no deviations, no hashes, no class means, no search for common features.
Whole commands. A part of `python -m benchmarks`.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks import peers
from benchmarks.comparison import Row, Setting

LEVELS = 0.05  # grey levels that the two means may be apart: the loop's sums are float32
LOOP = """
import sys
import cv2, numpy
total, count = numpy.zeros((256, 256, 3), "float32"), 0
for line in open(sys.argv[1]):
    picture = cv2.imread(line.rpartition(" ")[0])
    total += cv2.resize(picture, (256, 256))
    count += 1
numpy.save(sys.argv[2], (total / count).transpose(2, 0, 1))
"""


def write_list(pictures: Sequence[Path], path: Path) -> None:
    """A list file with a label for each folder."""
    folders = sorted({picture.parent for picture in pictures})
    path.write_text("".join(f"{picture} {folders.index(picture.parent)}\n" for picture in pictures), encoding="utf-8")


def rows(setting: Setting) -> Iterator[Row]:
    """Seconds and MB of both commands.

    Raises:
        SystemExit: the two means differ.
    """
    pictures = setting.pictures()
    listed = setting.once("mean.txt", lambda path: write_list(pictures, path))
    ours = peers.timed([sys.executable, "-m", "imgnn", "mean", listed, "-o", setting.work / "ours_mean"])
    what, peer = f"{len(pictures):,} pictures to their mean of 256 x 256", "OpenCV, a loop"
    if not setting.has("OpenCV"):
        yield Row(what, "s", ours.seconds, peer)
        return
    theirs = peers.timed([sys.executable, "-c", LOOP, listed, setting.work / "theirs_mean.npy"])
    means = [np.load(setting.work / f"{whose}_mean.npy") for whose in ("ours", "theirs")]
    if not (apart := float(np.abs(means[0] - means[1]).max())) <= LEVELS:
        raise SystemExit(f"the two means differ by {apart:.2g} grey levels")
    yield Row(what, "s", ours.seconds, peer, theirs.seconds)
    yield Row("memory", "MB", ours.peak, peer, theirs.peak)
