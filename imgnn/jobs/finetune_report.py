"""The page of a run: what it was, how it went, what it confuses, and where it looks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imgnn.errors import InputError
from imgnn.images.files import load_image
from imgnn.images.preprocess import classifier_crops, preprocess
from imgnn.networks.activation_map import class_activation
from imgnn.networks.network import Network
from imgnn.runs import Reporter
from imgnn.training.report import ReportPicture, report_picture, write_report
from imgnn.training.run_folder import REPORT, read_config
from imgnn.training.scores import Scores

SHOWN = 12  # pictures with the highest losses


def report(
    folder: Path,
    network: Network,
    scores: Scores | None,
    rows: Sequence[Mapping[str, Any]],
    skipped: Mapping[str, str],
    seconds: float,
    reporter: Reporter,
) -> None:
    """Write report.html of a run.

    Args:
        network: the best one.
        rows: of the log.
        skipped: picture -> why it could not be read.
        seconds: that the run took.
    """
    reporter.begin("writing the report", None)
    pictures = top_losses(network, scores) if scores is not None else []
    config = {**read_config(folder), "seconds": seconds}
    write_report(folder / REPORT, config, rows, scores, pictures, skipped=tuple(skipped.items()))
    reporter.end()


def top_losses(network: Network, scores: Scores) -> list[ReportPicture]:
    """The validation pictures that the network is most wrong about, and where it looked when it said so."""
    worst = scores.top_losses(SHOWN)
    images = [classifier_crops(load_image(scores.files[index]), network.pictures)[0] for index in worst]
    try:
        x = preprocess(images, network.pictures, network.mean_image)
        heat: Sequence[np.ndarray | None] = list(class_activation(network, x, scores.predicted[worst]))
    except InputError:  # a network without maps
        heat = [None] * len(worst)
    return [report_picture(scores, index, image, each) for index, image, each in zip(worst, images, heat, strict=True)]
