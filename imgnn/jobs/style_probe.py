"""What a style run would take, found out by a few steps of it."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imgnn import backend
from imgnn.jobs.style import first_picture
from imgnn.jobs.style_canvas import Canvas, Subject, first_tile
from imgnn.jobs.style_plan import Stage, copies, plan, prepare
from imgnn.networks.table import reach
from imgnn.optimize.evaluate import needed_memory
from imgnn.optimize.parameters import to_pixels
from imgnn.optimize.scales import Size
from imgnn.optimize.tiles import cut_tiles
from imgnn.options import StyleOptions
from imgnn.runs import Reporter, Silent, amount, counted, duration

PROBES = 3  # evaluations at a size
PROBED = 300  # pixels: sizes above it are reckoned from those below


@dataclass(frozen=True)
class Estimate:
    """What a run would take.

    Attributes:
        network, device, precision: what computes.
        sizes: `(height, width)` of the pictures it goes through.
        steps: evaluations of the loss, at each of them.
        tile: the side of the tiles at the last size, pixels; None: in one piece.
        seconds: of the optimisation, preparations included.
        bytes: of main memory at its peak, of the whole process.
    """

    network: str
    device: str
    precision: str
    sizes: tuple[Size, ...]
    steps: tuple[int, ...]
    tile: int | None
    seconds: float
    bytes: int

    def __str__(self) -> str:
        way = "\n".join(
            f"  {height} x {width}: {counted(steps, 'step')}"
            for (height, width), steps in zip(self.sizes, self.steps, strict=True)
        )
        tile = f", in tiles of {self.tile} pixels" if self.tile else ""
        return (
            f"{self.network} {backend.place(self.precision, self.device)}{tile}\n"
            f"{way}  (height x width, pixels)\n"
            f"about {duration(self.seconds)}, and {amount(self.bytes)} of memory"
        )


def probe(
    content: str | Path, styles: Sequence[str | Path], options: StyleOptions, reporter: Reporter | None = None
) -> Estimate:
    """What `stylise` would take: nothing is written.

    The sizes up to 300 pixels are tried, a few steps each; time grows with the number of pixels from there on.

    Raises:
        InputError, UnknownNameError, WeightsError: as `stylise`.
    """
    reporter = reporter or Silent()
    style_paths = [Path(path) for path in styles]
    options.check(len(style_paths))
    subject = prepare(Path(content), style_paths, options, reporter)
    stages = plan(subject)
    reporter.begin("probing", None)
    try:
        tried = {side: measure(subject, stage, reporter) for side, stage in sides_to_try(stages).items()}
    finally:
        reporter.end()
    largest = max(tried)
    preparing, step = tried[largest]
    # The targets grow with the picture as a step does; tracing, the rest of the preparations, does not.
    tracing = max(preparing - 2 * step, 0.0)
    seconds = 0.0
    for stage in stages:
        own = step * work(subject, stage.side) / work(subject, largest)
        before, here = tried.get(stage.side, (tracing + 2 * own, own))
        seconds += before + stage.steps * here
    if options.max_time is not None:
        seconds = min(seconds, options.max_time)
    last = subject.size(options.size)
    tile = first_tile(subject, options.size)
    network = needed(subject, last) * (min(1.0, tile**2 / (last[0] * last[1])) if tile else 1.0)
    kept = 4.0 * 3 * last[0] * last[1] * copies(options)
    # What the process has by now, above what the probe's own activations took, stays.
    own = max(backend.peak_memory() - needed(subject, subject.size(largest)), 0)
    return Estimate(
        network=subject.network.name,
        device=backend.device(),
        precision=subject.precision,
        sizes=tuple(subject.size(stage.side) for stage in stages),
        steps=tuple(stage.steps for stage in stages),
        tile=tile,
        seconds=round(seconds, 1),
        bytes=int(own + network + kept),
    )


def sides_to_try(stages: Sequence[Stage]) -> dict[int, Stage]:
    """The stages that are small enough to be tried, or the smallest; one of each side."""
    sides = {stage.side: stage for stage in stages}
    return {side: stage for side, stage in sides.items() if side <= PROBED} or {min(sides): sides[min(sides)]}


def measure(subject: Subject, stage: Stage, reporter: Reporter) -> tuple[float, float]:
    """Seconds that a size takes before its second step, and for each further one."""
    began = time.perf_counter()
    canvas = Canvas(subject, stage.side, dreaming=stage.dreaming, reporter=reporter)
    pixels = first_picture(subject, canvas.photo)
    values = canvas.parameter.values(to_pixels(pixels))
    float(canvas.evaluate(values)[0])
    ready = time.perf_counter()
    for _ in range(PROBES):
        float(canvas.evaluate(values)[0])
    step = (time.perf_counter() - ready) / PROBES
    return ready - began - step, step


def needed(subject: Subject, size: Size) -> float:
    """Bytes that the network's activations take."""
    return needed_memory(subject.network, subject.layers, size, subject.precision)


def work(subject: Subject, side: int) -> float:
    """What an evaluation of a picture with this long side takes, in units of a pixel looked at in one piece.

    In tiles it is that of all windows, which overlap, and a second look.
    """
    size, tile = subject.size(side), first_tile(subject, side)
    if tile is None:
        return float(math.prod(size))
    tiles = cut_tiles(size, reach(subject.network, subject.layers, size), tile)
    return 4 / 3 * sum(math.prod(each.size) for each in tiles)
