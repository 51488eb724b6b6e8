"""Style transfer by several networks, judged by layers of networks that they do not look at.

    python benchmarks/style_networks.py --contents PHOTO... --styles PAINTING... [--judge vgg19=FILE] [--out FOLDER]

Every photo is painted like every painting by every network, at several content weights. The pictures as they are saved
are then looked at by two judges, VGG-19 (its three lowest blocks do) and GoogLeNet:

    style   = mean over layers of |G - A|² / |A|²,   G = Fᵀ F / (channels * height * width), |.| the Frobenius norm
    content = |F - P|² / |P|²,                       of one layer

F the activations for the picture, P those for the photo, A the painting's G; photo and painting are scaled as they were
for the work. What paints more keeps less of the photo. So networks are compared at equal content: that of the
reference's picture at its default weight. The style that another network has there is interpolated between its own
pictures, logarithm over logarithm. Where the curve is convex that is a little in the reference's favour, the less the
closer together the weights are; beyond the pictures at both ends nothing is guessed.

FOLDER gets the pictures, `sheet.jpg`, `results.md` (which is printed, too) and `results.json`. What lies there already,
made with the same settings and weights, is not painted again.
"""

import argparse
import hashlib
import itertools
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import peers
from benchmarks.style_sizes import label

NETWORKS = ("mini", "squeezenet-v1.1", "googlenet")
REFERENCE = "squeezenet-v1.1"
FACTORS = (0.25, 1.0, 4.0)  # of the default content weight
SAME = 1e-9  # style distance; what float32 leaves, squared


@dataclass(frozen=True)
class Judge:
    """A network that looks at the pictures, and at which of its layers."""

    name: str
    style: tuple[str, ...]
    content: str


# mini learned from both, but from other layers: VGG-19's relu1_2, 2_2, 3_2 and GoogLeNet's inception_3b and 4d.
JUDGES = (
    Judge("vgg19", ("relu1_1", "relu2_1", "relu3_1"), "relu3_1"),
    Judge("googlenet", ("conv2/3x3", "inception_3a/output"), "inception_3a/output"),
)


@dataclass(frozen=True)
class Seen:
    """What a judge sees in a picture: the Gram matrix of each layer for the style, activations for the content."""

    grams: Mapping[str, np.ndarray]
    content: np.ndarray


@dataclass(frozen=True)
class Score:
    """How far a picture is from the painting, and from the photo; `layers`: the style, layer by layer."""

    style: float
    content: float
    layers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Painted:
    """One picture.

    Attributes:
        pair: photo and painting.
        network: as it is called in the tables.
        factor: of the default content weight.
        path: the file.
        seconds: on the clock, from the paths to the file; TensorFlow has been started before.
        processor: seconds of processor time, which other work on the machine changes little.
        scores: judge -> what it says.
    """

    pair: str
    network: str
    factor: float
    path: str
    seconds: float
    processor: float
    scores: Mapping[str, Score]


# Pure functions.


def relative(values: np.ndarray, target: np.ndarray) -> float:
    """`|values - target|² / |target|²`."""
    values, target = values.astype("float64"), target.astype("float64")
    return float(np.square(values - target).sum() / np.square(target).sum())


def style_distances(picture: Seen, painting: Seen) -> dict[str, float]:
    """Of each layer, relative to the painting's."""
    return {name: relative(picture.grams[name], target) for name, target in painting.grams.items()}


def score(picture: Seen, photo: Seen, painting: Seen) -> Score:
    """Both distances of a picture."""
    layers = style_distances(picture, painting)
    return Score(statistics.fmean(layers.values()), relative(picture.content, photo.content), layers)


def style_at(scores: Sequence[Score], content: float) -> float | None:
    """The style distance at a content distance, interpolated log-log; None where no two pictures enclose it."""
    points = sorted({(each.content, each.style) for each in scores})
    if not points[0][0] <= content <= points[-1][0]:
        return None
    contents, styles = np.log(points).T
    return math.exp(np.interp(math.log(content), contents, styles))


def beyond(scores: Sequence[Score], content: float) -> str:
    """Which weights would enclose a content distance that these do not."""
    nearer = max(each.content for each in scores) < content
    return "all nearer to the photo" if nearer else "all farther from the photo"


def ratios(painted: Sequence[Painted], judge: str, reference: str) -> dict[str, dict[str, float | str]]:
    """Network -> pair -> style distance of that of the reference's default picture, at the same content distance.

    Where a network's pictures do not enclose that content distance, words say so.
    """
    found: dict[str, dict[str, float | str]] = {}
    for (network, pair), scores in grouped(painted, judge).items():
        wanted = grouped(painted, judge)[reference, pair][1.0]
        style = style_at(list(scores.values()), wanted.content)
        told = beyond(list(scores.values()), wanted.content) if style is None else style / wanted.style
        found.setdefault(network, {})[pair] = told
    return found


def grouped(painted: Sequence[Painted], judge: str) -> dict[tuple[str, str], dict[float, Score]]:
    """(Network, pair) -> factor -> score."""
    found: dict[tuple[str, str], dict[float, Score]] = {}
    for each in painted:
        found.setdefault((each.network, each.pair), {})[each.factor] = each.scores[judge]
    return found


def by_layer(painted: Sequence[Painted], judge: Judge) -> dict[str, list[float]]:
    """Network -> the median style distance of each of the judge's layers, at the default weight.

    One layer may outweigh the others: relu1_1 of VGG-19 is hardly more than colour and brightness.
    """
    found: dict[str, list[Mapping[str, float]]] = {}
    for each in painted:
        if each.factor == 1:
            found.setdefault(each.network, []).append(each.scores[judge.name].layers)
    return {
        network: [statistics.median(own[name] for own in layers) for name in judge.style]
        for network, layers in found.items()
    }


def median_of(values: Sequence[float | str]) -> float | None:
    """Of those that are numbers."""
    numbers = [value for value in values if not isinstance(value, str)]
    return statistics.median(numbers) if numbers else None


def not_nearer(painted: Sequence[Painted], photos: Mapping[tuple[str, str], float]) -> list[str]:
    """The pictures that a judge finds no nearer to the painting than the photo itself.

    Args:
        photos: (pair, judge) -> the photo's own style distance.
    """
    return [
        f"{Path(each.path).name}, says {judge}"
        for each in painted
        for judge, own in each.scores.items()
        if own.style >= photos[each.pair, judge]
    ]


def heading(cells: Sequence[str]) -> list[str]:
    """The first two lines of a table."""
    return [row(cells), "|" + "---|" * len(cells)]


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


# With networks.


class Eye:
    """A judge with its network."""

    def __init__(self, judge: Judge, file: str) -> None:
        from imgnn.jobs.load import load_network

        self.judge, self.network = judge, load_network(file)

    def look(self, image: np.ndarray) -> Seen:
        """What it sees in uint8 `(height, width, 3)`, in float32."""
        from keras import ops

        from imgnn.images.preprocess import preprocess
        from imgnn.jobs.load import preprocessing_of
        from imgnn.networks.features import cut
        from imgnn.optimize.objectives import gram_matrix

        judge = self.judge
        model = cut(self.network, [*judge.style, judge.content], image.shape[:2])
        features = model(preprocess(image, preprocessing_of(self.network)))
        grams = {name: ops.convert_to_numpy(gram_matrix(features[name]))[0] for name in judge.style}
        return Seen(grams, ops.convert_to_numpy(features[judge.content]))


@dataclass(frozen=True)
class Painter:
    """A network that paints.

    Attributes:
        given: how it was named.
        called: in tables and file names.
        name: its own: that of a judge, if it is the same network.
        digest: of weights and layers. A network that is trained on makes other pictures under the same name.
    """

    given: str
    called: str
    name: str
    digest: str


def called(network: str) -> str:
    """A network's name, or that of its file or folder: fit for the name of a file."""
    return Path(label(network)).name


def painter(given: str) -> Painter:
    """A network by name or file."""
    from imgnn.jobs.load import load_network
    from imgnn.networks.feature_network import weights_digest

    network = load_network(given)
    facts = f"{weights_digest(network.model)} {network.roles} {network.preprocessing}"
    return Painter(given, called(given), network.name, hashlib.sha256(facts.encode()).hexdigest()[:8])


def paint(folder: Path, content: Path, style: Path, network: Painter, factor: float, size: int) -> dict[str, Any]:
    """Paint a picture if it is not there yet: its path, seconds on the clock and of the processor."""
    from imgnn.jobs.style import stylise
    from imgnn.jobs.style_grid import is_done
    from imgnn.jobs.style_state import State
    from imgnn.options import StyleOptions

    options = StyleOptions(network=network.given, size=size, content_weight=factor * StyleOptions.content_weight)
    name = f"{content.stem}-{style.stem}_{size}_{network.called}-{network.digest}_x{factor:g}"
    path, times = folder / f"{name}.png", folder / f"{name}.json"
    if not (times.is_file() and is_done(State(path, content, [style], options))):
        times.unlink(missing_ok=True)
        clock, processor = time.perf_counter(), time.process_time()
        stylise(content, [style], path, options)
        spent = {"seconds": time.perf_counter() - clock, "processor": time.process_time() - processor}
        times.write_text(json.dumps(spent))
    return {"path": str(path), **json.loads(times.read_text())}


class Comparison:
    """All pictures, and what the judges say of them."""

    def __init__(self, given: argparse.Namespace, judges: Mapping[str, str]) -> None:
        self.given = given
        self.pictures = given.out / "pictures"
        self.pictures.mkdir(parents=True, exist_ok=True)
        self.eyes = [Eye(judge, judges[judge.name]) for judge in JUDGES]
        self.painters = [painter(name) for name in given.networks]
        self.pairs = list(itertools.product(given.contents, given.styles))
        self.painted: list[Painted] = []
        self.photos: dict[tuple[str, str], float] = {}  # (pair, judge) -> the style distance of the photo itself

    def work(self) -> None:
        """Paint and judge, pair by pair; networks take turns, so that the machine's moods are shared."""
        from imgnn.images.files import load_image

        for content, style in self.pairs:
            pair = named(content, style)
            photo, painting = (self.at_size(each) for each in (content, style))
            targets = {}
            for eye in self.eyes:
                name, of_photo, of_painting = eye.judge.name, eye.look(photo), eye.look(painting)
                again = style_distances(eye.look(self.at_size(style)), of_painting)
                if max(again.values()) > SAME:
                    raise SystemExit(f"{name} finds {style} unlike itself: {again}")
                targets[name] = of_photo, of_painting
                self.photos[pair, name] = score(of_photo, of_photo, of_painting).style
            for factor, network in itertools.product(self.given.weights, self.painters):
                made = paint(self.pictures, content, style, network, factor, self.given.size)
                image = load_image(made["path"])
                scores = {eye.judge.name: score(eye.look(image), *targets[eye.judge.name]) for eye in self.eyes}
                self.painted.append(Painted(pair, network.called, factor, **made, scores=scores))
                told = ", ".join(f"{name} {each.style:.3g} {each.content:.3g}" for name, each in scores.items())
                print(f"{pair}, {network.called} x{factor:g}: {made['seconds']:.1f} s; {told}", file=sys.stderr)

    def at_size(self, path: Path) -> np.ndarray:
        """A picture as it is scaled for the work at the last size."""
        from imgnn.images.files import load_image
        from imgnn.images.resize import fit_long_side, resize

        image = load_image(path)
        return resize(image, fit_long_side(image.shape[:2], self.given.size))

    def sheet(self) -> np.ndarray:
        """The pictures at the default weight, with their distances by the first judge below."""
        from imgnn.images.files import load_image
        from imgnn.images.sheet import contact_sheet

        judge = JUDGES[0].name
        defaults = {(each.pair, each.network): each for each in self.painted if each.factor == 1}
        rows, captions = [], []
        for content, style in self.pairs:
            pair = named(content, style)
            own = [defaults[pair, network.called] for network in self.painters]
            rows.append([*map(self.at_size, (content, style)), *(load_image(each.path) for each in own)])
            told = [f"style {each.scores[judge].style:.3f}, content {each.scores[judge].content:.2f}" for each in own]
            captions.append([f"style {self.photos[pair, judge]:.3f}", "", *told])
        labels = [f"content\n(distances: {judge})", "style", *(network.called for network in self.painters)]
        return contact_sheet(rows, column_labels=labels, captions=captions)

    def report(self) -> str:
        """The tables, in Markdown."""
        size, default = self.given.size, [each for each in self.painted if each.factor == 1]
        lines = [
            peers.machine(),
            "",
            f"{len(self.pairs)} pairs of photo and painting, {size} pixels. Distances are squared and relative: style "
            "of Gram matrices (mean over layers), content of activations; at the default content weight.",
            "",
            *heading(["network", "seconds", "of processor", *self.columns()]),
        ]
        for network in self.painters:
            own = [each for each in default if each.network == network.called]
            times = (statistics.median(getattr(each, name) for each in own) for name in ("seconds", "processor"))
            distances = [
                number(statistics.median(getattr(each.scores[eye.judge.name], kind) for each in own))
                + self.mark(network, eye.judge)
                for eye in self.eyes
                for kind in ("style", "content")
            ]
            lines.append(row([network.called, *(f"{each:.1f}" for each in times), *distances]))
        photos = [
            cell
            for eye in self.eyes
            for cell in (number(statistics.median(self.photos[pair, eye.judge.name] for pair in self.names())), "0")
        ]
        lines += [row(["the photo itself", "", "", *photos]), "", "Medians over the pairs; seconds are of the whole"]
        lines[-1] += " job, without the start of TensorFlow."
        for eye in self.eyes:
            lines += ["", *self.at_equal_content(eye.judge)]
        if any(self.mark(network, eye.judge) for network in self.painters for eye in self.eyes):
            lines += ["", "\\* judged by itself: these layers, or their neighbours, are what it lowered. Not fair."]
        if any(network.name == "mini" for network in self.painters):
            lines += ["", "mini learned from both judges, from other layers than those that judge."]
        lines += ["", "Each pair at the default weight, style / content:", "", *self.by_pair(), ""]
        failed = not_nearer(self.painted, self.photos)
        lines.append("Every picture is nearer to its painting than the photo is.")
        if failed:
            lines[-1] = "No nearer to the painting than the photo itself: " + "; ".join(failed) + "."
        return "\n".join(lines)

    def at_equal_content(self, judge: Judge) -> list[str]:
        """How far networks are from the painting at the content distance of the reference, of the reference's way."""
        reference = called(self.given.reference)
        found = ratios(self.painted, judge.name, reference)
        others = [network for network in self.painters if network.called != reference]
        lines = [
            f"By {judge.name} ({', '.join(judge.style)}; content {judge.content}): style distance at the content "
            f"distance of {reference}'s default picture, divided by that picture's. Less than 1 is better.",
            "",
            *heading(["pair", *(network.called + self.mark(network, judge) for network in others)]),
        ]
        for pair in self.names():
            cells = [found[network.called][pair] for network in others]
            lines.append(row([pair, *(each if isinstance(each, str) else f"{each:.2f}" for each in cells)]))
        ends = []
        for network in others:
            cells = list(found[network.called].values())
            known, middle = sum(not isinstance(each, str) for each in cells), median_of(cells)
            ends.append("" if middle is None else f"**{middle:.2f}** ({known} of {len(cells)} pairs)")
        lines.append(row(["median", *ends]))
        lines += ["", "Style distance layer by layer, at the default weight:", "", *heading(["network", *judge.style])]
        layers = by_layer(self.painted, judge)
        for network in self.painters:
            name = network.called + self.mark(network, judge)
            lines.append(row([name, *map(number, layers[network.called])]))
        return lines

    def by_pair(self) -> list[str]:
        """Every distance at the default weight."""
        lines = heading(["pair", "judge", "the photo itself", *(network.called for network in self.painters)])
        for pair, eye in itertools.product(self.names(), self.eyes):
            scores = grouped(self.painted, eye.judge.name)
            cells = [
                f"{own.style:.3g} / {own.content:.3g}{self.mark(network, eye.judge)}"
                for network in self.painters
                for own in (scores[network.called, pair][1.0],)
            ]
            lines.append(row([pair, eye.judge.name, f"{number(self.photos[pair, eye.judge.name])} / 0", *cells]))
        return lines

    def mark(self, network: Painter, judge: Judge) -> str:
        """What is put behind the figures of a network that judges itself."""
        return "\\*" if network.name == judge.name else ""

    def columns(self) -> list[str]:
        return [f"{kind}, {eye.judge.name}" for eye in self.eyes for kind in ("style", "content")]

    def names(self) -> list[str]:
        return [named(*pair) for pair in self.pairs]


def named(content: Path, style: Path) -> str:
    """What a pair is called."""
    return f"{content.stem} like {style.stem}"


def judge_files(given: Sequence[str]) -> dict[str, str]:
    """Judge -> where its network is: `NAME=FILE`, or by its name.

    Raises:
        ValueError: nothing judges under this name.
    """
    files = {judge.name: judge.name for judge in JUDGES}
    for each in given:
        name, _, file = each.partition("=")
        if name not in files or not file:
            raise ValueError(f"--judge {each}: NAME=FILE is expected, NAME one of {', '.join(files)}")
        files[name] = file
    return files


def check(given: argparse.Namespace) -> None:
    """Refuse what would fail after hours.

    Raises:
        ValueError: two files would be called the same, or there is nothing to compare with.
    """
    for what in ("contents", "styles", "networks"):
        names = [called(each) if what == "networks" else each.stem for each in getattr(given, what)]
        if len(set(names)) < len(names):
            raise ValueError(f"--{what}: two of them have the same name")
    if given.reference not in given.networks:
        raise ValueError(f"--networks lacks the reference, {given.reference}")
    if 1.0 not in given.weights:
        raise ValueError("--weights lacks 1, the default content weight")


def main(given: argparse.Namespace, judges: Mapping[str, str]) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from imgnn import start

    start.quiet()
    from imgnn.images.files import save_image

    comparison = Comparison(given, judges)
    comparison.work()
    save_image(given.out / "sheet.jpg", comparison.sheet())
    report = comparison.report()
    (given.out / "results.md").write_text(report + "\n")
    facts = {
        "machine": peers.machine(),
        "size": given.size,
        "judges": [asdict(judge) for judge in JUDGES],
        "networks": [asdict(each) for each in comparison.painters],
        "photos": [{"pair": pair, "judge": name, "style": far} for (pair, name), far in comparison.photos.items()],
        "pictures": [asdict(each) for each in comparison.painted],
        "ratios": {judge.name: ratios(comparison.painted, judge.name, called(given.reference)) for judge in JUDGES},
    }
    (given.out / "results.json").write_text(json.dumps(facts, indent=1))
    print(report)
    if not_nearer(comparison.painted, comparison.photos):
        sys.exit(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contents", type=Path, nargs="+", required=True, metavar="PHOTO")
    parser.add_argument("--styles", type=Path, nargs="+", required=True, metavar="PAINTING")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), help="names of imgnn, or files")
    parser.add_argument("--reference", default=REFERENCE, help="the network that the others are measured by")
    parser.add_argument("--judge", action="append", default=[], metavar="NAME=FILE", help="where a judge's network is")
    parser.add_argument("--weights", type=float, nargs="+", default=list(FACTORS), help="of the default content weight")
    parser.add_argument("--size", type=int, default=256, help="pixels, the long side")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "style-networks")
    words = parser.parse_args()
    try:
        check(words)
        where = judge_files(words.judge)
    except ValueError as error:
        parser.error(str(error))
    main(words, where)
