"""How time grows with the work: pixels, pictures, captions, bytes, clients.

Each curve is measured in a process of its own, after what is traced or loaded once has been: what is left is the work
itself. A line through the logarithms has the exponent for its slope: 1 is time in proportion to the work.

    python benchmarks/growth.py CURVE FOLDER SIZE ...      prints [[size, seconds], ...]

A part of `python -m benchmarks`, which gives the curves' pictures and files (see `rows`).
"""

import json
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import peers, serve_load
from benchmarks.comparison import Row, Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Points = Sequence[tuple[float, float]]
REPEATS = 3  # of a short piece of work; the fastest counts
LAYERS = 4  # fully connected ones of the file that is converted


# The curves: each is the work of one process.


def style(folder: str, *sides: int) -> Points:
    """Seconds of an evaluation of `imgnn style`, against pixels."""
    from imgnn.jobs.style_canvas import Canvas, to_pixels
    from imgnn.jobs.style_plan import prepare
    from imgnn.options import StyleOptions
    from imgnn.runs import Silent

    points = []
    for side in sides:
        options = StyleOptions(size=side)
        subject = prepare(Path(folder, "photo"), [Path(folder, "painting")], options, Silent())
        canvas = Canvas(subject, side, dreaming=False, reporter=Silent())
        values = canvas.parameter.values(to_pixels(canvas.photo))
        seconds = peers.seconds_of(lambda canvas=canvas, values=values: float(canvas.evaluate(values)[0]), REPEATS, 1)
        points.append((math.prod(canvas.size), min(seconds)))
    return points


def dream(folder: str, *sides: int) -> Points:
    """Seconds of ten steps of `imgnn dream` at one octave, against pixels."""
    from imgnn.jobs.dream import prepare
    from imgnn.options import DreamOptions
    from imgnn.runs import Silent

    points = []
    for side in sides:
        pixels, dreamer = prepare(Path(folder, "photo"), DreamOptions(size=side, octaves=1), Silent())
        seconds = peers.seconds_of(lambda d=dreamer, p=pixels: d.dream(p, 0, Silent()), REPEATS, 1)
        points.append((math.prod(dreamer.size), min(seconds)))
    return points


def pictures_of(folder: str, count: int, place: int = 0) -> list[Path]:
    """So many of the pictures, from a place on.

    Raises:
        SystemExit: the folder's list has fewer.
    """
    files = [Path(line.rpartition(" ")[0]) for line in Path(folder, "pictures.txt").read_text().splitlines()]
    if place + count > len(files):
        raise SystemExit(f"{folder}/pictures.txt lists {len(files)} pictures; {place + count} are wanted")
    return files[place : place + count]


def classify(folder: str, *counts: int) -> Points:
    """Seconds of `imgnn classify` with SqueezeNet, against pictures."""
    from imgnn.jobs.classify import results
    from imgnn.jobs.load import load_network, preprocessing_of
    from imgnn.options import ClassifyOptions
    from imgnn.runs import Silent

    network = load_network(Path(folder, "squeezenet-v1.1.keras"))

    def look(count: int) -> None:
        files = pictures_of(folder, count)
        assert len(list(results(files, network, preprocessing_of(network), ClassifyOptions(), Silent()))) == count

    look(counts[0])
    return [(count, seconds(lambda count=count: look(count))) for count in counts]


def features(folder: str, *counts: int) -> Points:
    """Seconds of the descriptors that `imgnn finetune` learns from first, with SqueezeNet, against pictures."""
    from imgnn.jobs.picture_features import feature_extractor

    # Those that were seen are known: every size takes pictures of its own.
    extractor, place, points = feature_extractor(str(Path(folder, "squeezenet-v1.1.keras"))), 0, []
    for count in (counts[0], *counts):
        files = pictures_of(folder, count, place)
        points.append((count, seconds(lambda files=files: extractor.extract(files))))
        place += count
    return points[1:]


def in_new_home(action: Callable[[], object]) -> float:
    """Seconds of something that remembers pictures, with nothing remembered."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["IMGNN_HOME"] = home
        return seconds(action)


def write_part(folder: str, count: int) -> Path:
    """A list of so many pictures."""
    path = Path(folder, f"first_{count}.txt")
    lines = Path(folder, "pictures.txt").read_text().splitlines()
    path.write_text("".join(f"{line}\n" for line in lines[:count]))
    return path


def mean(folder: str, *counts: int) -> Points:
    """Seconds of `imgnn mean`, against pictures."""
    from imgnn.jobs.mean import compute_mean

    def work(count: int) -> float:
        path = write_part(folder, count)
        return in_new_home(lambda: compute_mean(path, Path(folder) / f"mean_{count}"))

    work(counts[0])
    return [(count, work(count)) for count in counts]


def label(folder: str, *counts: int) -> Points:
    """Seconds of `imgnn label` on a list that nothing is known of, against pictures."""
    from imgnn.jobs.label import label_pictures

    def work(count: int) -> float:
        path = write_part(folder, count)
        return in_new_home(lambda: label_pictures([path]))

    work(counts[0])
    return [(count, work(count)) for count in counts]


def train(folder: str, *counts: int) -> Points:
    """Seconds of an epoch of `imgnn train caption`, 512 units, features that are kept, against captions."""
    from benchmarks.caption import BATCH, DROP, FEATURE, RATE, VOCABULARY, drawn_lengths, spec
    from imgnn import backend
    from imgnn.language.decoder import Decoder
    from imgnn.training.sentence_trainer import SentenceTrainer
    from imgnn.training.sentences import Sentences

    random = np.random.default_rng(0)
    decoder = Decoder(spec(), dropout=DROP, precision=backend.precision_of("auto"), seed=1)
    trainer = SentenceTrainer(decoder, clip=5.0)

    def epoch(count: int) -> float:
        lengths = random.permutation(drawn_lengths())[:count]
        x = random.normal(0, 1, (count // 5, FEATURE)).astype("float16")
        captions = [random.integers(3, VOCABULARY, length).tolist() for length in lengths]
        sentences = Sentences((random.permutation(count) % len(x)).tolist(), captions, longest=30)

        def pass_over() -> None:
            for batch in sentences.epoch(batch=BATCH, seed=0, epoch=0):
                trainer.step(x[batch.rows].astype("float32"), batch, RATE)

        return peers.seconds_of(pass_over, 1, warm=1)[0]  # the first traces the decoder for each length

    return [(count, epoch(count)) for count in counts]


def evaluate(folder: str, *counts: int) -> Points:
    """Seconds of BLEU, ROUGE-L and CIDEr-D in `imgnn evaluate caption`, five references each, against pictures."""
    from imgnn.jobs.evaluate_caption_scores import judge
    from imgnn.language.metrics import CiderD

    random = np.random.default_rng(0)
    share = 1 / np.arange(1, 2001)  # of each word, as of words in English: Zipf's law

    def sentence() -> tuple[str, ...]:
        return tuple(map(str, random.choice(2000, 11, p=share / share.sum())))

    points = []
    for count in counts:
        said, references = [sentence() for _ in range(count)], [[sentence() for _ in range(5)] for _ in range(count)]
        taken = peers.seconds_of(
            lambda s=said, known=references: judge("", s, CiderD(known), set(), with_meteor=False), 1
        )
        points.append((count, taken[0]))
    return points


def convert(folder: str, *units: int) -> Points:
    """Seconds of `imgnn convert` on fully connected nets, against bytes."""
    from imgnn.jobs.convert import convert_caffemodel

    points = []
    for count in (units[0], *units):
        caffemodel, prototxt = (Path(folder, f"units_{count}.{end}") for end in ("caffemodel", "prototxt"))
        work = seconds(lambda c=caffemodel, p=prototxt: convert_caffemodel(c, p, Path(folder, "converted.keras")))
        points.append((caffemodel.stat().st_size, work))
    return points[1:]


def write_nets(folder: Path, units: Sequence[int]) -> None:
    """Fully connected nets for `convert`: so many units in each of `LAYERS` layers."""
    from tests.caffe.encode import encode_net

    random = np.random.default_rng(0)
    for count in units:
        text = f'name: "net"\ninput: "data"\ninput_shape {{ dim: 1 dim: {count} dim: 1 dim: 1 }}\n'
        blobs, bottom = {}, "data"
        for number in range(LAYERS):
            top = f"fc{number}"
            text += f'layer {{ name: "{top}" type: "InnerProduct" bottom: "{bottom}" top: "{top}" '
            text += f"inner_product_param {{ num_output: {count} }} }}\n"
            blobs[top] = [random.standard_normal((count, count), "float32"), np.zeros(count, "float32")]
            bottom = top
        (folder / f"units_{count}.prototxt").write_text(text)
        (folder / f"units_{count}.caffemodel").write_bytes(encode_net(text, blobs))


def serve(folder: str, *counts: int) -> Points:
    """Seconds until so many clients, who ask at once for a caption of one picture, all have it."""
    return serve_load.at_once(Path(folder, "photo"), counts)


def seconds(action: Callable[[], object]) -> float:
    """Of one call."""
    return peers.seconds_of(action, 1)[0]


@dataclass(frozen=True)
class Curve:
    """A curve.

    Attributes:
        what: the work, for the table.
        of: what sizes are counted in.
        sizes: what the function is given; of some it is the side of a picture, or the units of a layer.
        quick: how many of the sizes are taken with --quick.
    """

    measure: Callable[..., Points]
    what: str
    of: str
    sizes: tuple[int, ...]
    quick: int = 3


CURVES = {
    "style": Curve(style, "`style`: loss and gradient", "pixels", (128, 192, 256, 384, 512, 768, 1024)),
    "dream": Curve(dream, "`dream`: ten steps", "pixels", (128, 192, 256, 384, 512, 768)),
    "classify": Curve(classify, "`classify`, SqueezeNet", "pictures", (32, 64, 128, 256, 512)),
    "features": Curve(features, "`finetune`: descriptors, SqueezeNet", "pictures", (32, 64, 128, 256, 512)),
    "mean": Curve(mean, "`mean`", "pictures", (125, 250, 500, 1000, 2000)),
    "label": Curve(label, "`label`", "pictures", (125, 250, 500, 1000, 2000)),
    "train": Curve(train, "`train caption`: an epoch", "captions", (320, 640, 1280, 2560, 5120)),
    "evaluate": Curve(evaluate, "`evaluate caption`: the scores", "pictures", (250, 500, 1000, 2000, 4000)),
    "convert": Curve(convert, "`convert`, fully connected nets", "bytes", (512, 1024, 2048, 4096)),
    "serve": Curve(serve, "`serve`: a caption for each", "clients", (1, 2, 4, 8, 16, 32)),
}


def sizes_of(curve: Curve, setting: Setting) -> list[int]:
    """The sizes that a setting has pictures for; with --quick the first."""
    sizes = list(curve.sizes[: curve.quick] if setting.quick else curve.sizes)
    if curve.measure in (classify, features, mean, label):
        # `features` takes other pictures for each size.
        there = len(setting.pictures()) // (4 if curve.measure is features else 1)
        sizes = [size for size in sizes if size <= there] or [there // 2, there]
    return sizes


def prepare(folder: Path, setting: Setting) -> None:
    """What the curves read."""
    from benchmarks.mean_opencv import write_list

    peers.save_random("squeezenet-v1.1", folder)
    for name in ("photo", "painting"):
        (folder / name).symlink_to(setting.example(name).resolve())
    # Of all classes from the first on.
    pictures = setting.pictures()
    write_list(
        [pictures[index] for index in np.random.default_rng(0).permutation(len(pictures))], folder / "pictures.txt"
    )
    write_nets(folder, sizes_of(CURVES["convert"], setting))


def rows(setting: Setting) -> Iterator[Row]:
    """All points of all curves."""
    folder = setting.once("growth", lambda path: prepare(path, setting))
    for name, curve in CURVES.items():
        words = [sys.executable, __file__, name, folder, *sizes_of(curve, setting)]
        for size, taken in peers.timed(words).answer():
            yield Row(curve.what, "s", taken, size=size, of=curve.of)


# What they say


@dataclass(frozen=True)
class Fit:
    """`seconds = factor * size ** exponent`; `error`: the exponent's standard error, 0 of fewer than three points."""

    exponent: float
    error: float
    factor: float


def fit(points: Sequence[tuple[float, float]]) -> Fit:
    """The line of least squares through the logarithms.

    Args:
        points: sizes and seconds; at least two sizes.
    """
    x, y = np.log(np.array(points, "float64")).T
    around = x - x.mean()
    exponent = float(around @ y / (around @ around))
    left = y - y.mean() - exponent * around
    error = math.sqrt(float(left @ left) / (len(x) - 2) / float(around @ around)) if len(x) > 2 else 0.0
    return Fit(exponent, error, math.exp(float(y.mean() - exponent * x.mean())))


def points_of(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """(What, counted in) -> sizes and median seconds."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in rows:
        found.setdefault((row["what"], row["of"]), []).append((row["size"], statistics.median(row["ours"])))
    return found


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each curve: from where to where, and the exponent."""
    lines = ["| | from | to | exponent | from the last two |", "|---|---|---|---|---|"]
    for (what, of), points in points_of(rows).items():
        line, last = fit(points), fit(points[-2:])
        ends = [f"{amount(size, of)}: {taken:#.2g} s".replace(". s", " s") for size, taken in (points[0], points[-1])]
        lines.append(
            f"| {what} | {ends[0]} | {ends[1]} | {line.exponent:.2f} ± {line.error:.2f} | {last.exponent:.2f} |"
        )
    return lines


def amount(size: float, of: str) -> str:
    """A size in words."""
    if of == "bytes":
        return f"{size / 1e6:,.0f} MB"
    return f"{size:,.0f} {of if size > 1 else of.removesuffix('s')}"


def figure_of(rows: Sequence[Mapping[str, Any]]) -> "Figure":
    """The curves, each over what its sizes are counted in, logarithm over logarithm; their fits are the lines."""
    from matplotlib import ticker
    from matplotlib.figure import Figure

    curves = points_of(rows)
    counted = list(dict.fromkeys(of for _, of in curves))
    figure = Figure(figsize=(3.1 * len(counted), 3.6))
    axes = figure.subplots(1, len(counted), sharey=True, squeeze=False)
    for axis, of in zip(axes[0], counted, strict=True):
        for (what, own), points in curves.items():
            if own != of:
                continue
            line, (sizes, taken) = fit(points), zip(*points, strict=True)
            (dots,) = axis.plot(sizes, taken, "o", markersize=4, label=f"{what.replace('`', '')}: {line.exponent:.2f}")
            ends = np.array([sizes[0], sizes[-1]], "float64")
            axis.plot(ends, line.factor * ends**line.exponent, color=dots.get_color(), linewidth=1)
        axis.set(xscale="log", yscale="log", xlabel=of)
        axis.xaxis.set_minor_formatter(ticker.NullFormatter())
        axis.grid(alpha=0.3)
        axis.legend(fontsize=6.5, loc="upper center", bbox_to_anchor=(0.5, -0.17), frameon=False)
    axes[0, 0].set_ylabel("seconds")
    figure.suptitle("Time against the work; the number is the exponent", fontsize=10)
    return figure


def draw(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Save the figure as a picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure_of(rows).savefig(path, dpi=110, bbox_inches="tight", metadata={"Software": None})


if __name__ == "__main__":
    from imgnn import start

    if len(sys.argv) < 4 or sys.argv[1] not in CURVES:
        raise SystemExit(f"growth.py CURVE FOLDER SIZE ...; the curves are {', '.join(CURVES)}")
    start.quiet()
    print(json.dumps(CURVES[sys.argv[1]].measure(sys.argv[2], *map(int, sys.argv[3:]))))
