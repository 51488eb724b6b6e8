"""Captions beside PyTorch and beside a search of one row at a time: training, an epoch, decoding, features.

    python benchmarks/caption.py SHARED --peer-python VENV/bin/python [--part decoding] [--quick]

SHARED holds weights and pictures of flowers, VENV has PyTorch. The parts:

    training   tokens a second of `SentenceTrainer`, an LSTM of 512 units, 2,600 words; `peers.Captioning` is the peer's
    boke       the same of 100 units, 2,500 characters and 16 lines at once, as butsugiri/bokete has them
    epoch      30,000 captions as long as Flickr8k's, from features that are kept
    decoding   beam search of width 20 for 20 words, of 100 pictures at once, beside one picture and one row at a time
    features   pictures a second of GoogLeNet up to pool5/7x7_s1; `peers.Describing` is the peer's

Both sides have the same weights; that they compute the same is looked at before anything is timed. Every run is a
process of its own, ours and the peer's in turn. Prints Markdown.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import peers
from benchmarks.comparison import Row, Setting
from benchmarks.finetune_step import PEERS, work_of_layers
from benchmarks.style_vgg19 import matmul_rate

VOCABULARY, FEATURE, UNITS, BATCH, LENGTH, DROP, RATE = 2600, 1024, 512, 128, 12, 0.5, 0.001
BOKE = (2500, 1024, 100, 16, 21)  # the first five of these, of boke
WARM = 3  # steps of each process that are not counted
COMPARED = 3  # steps whose losses are compared, nothing dropped
WIDTH, WORDS = 20, 20  # of the beam; of each sentence
LAYER, SIZE, PICTURES = "pool5/7x7_s1", 224, 32  # GoogLeNet's feature; pixels; pictures that are looked at together
MOST_APART = {"loss": 1e-4, "log_prob": 1e-4, "features": 1e-3}  # shares: of a loss, a sum, the largest feature
# Captions of Flickr8k's training pictures by their tokens, 2, 3, ... 26, counted with `imgnn.language.tokens`; the 38
# longer ones (up to 36) are counted with those of 26.
FLICKR8K = (
    *(15, 126, 346, 861, 1959, 2536, 2928, 3317, 3321, 3131, 2777, 2322, 1847),
    *(1327, 977, 662, 515, 366, 204, 136, 110, 74, 52, 33, 58),
)


@dataclass(frozen=True)
class Amounts:
    """How much is measured."""

    repeats: int = 5
    steps: int = 20  # of training in each process
    share: int = 1  # one of so many captions of the epoch
    pictures: int = 100  # that are captioned
    by_rows: int = 5  # of them, where it is slow; the rest is reckoned from these
    looks: int = 10  # at a batch of pictures
    files: int = 512  # JPEGs


QUICK = Amounts(repeats=1, steps=5, share=20, pictures=10, by_rows=1, looks=2, files=64)


@dataclass(frozen=True)
class Files:
    """What the work folder holds."""

    folder: Path

    @property
    def decoder(self) -> Path:
        return self.folder / "decoder.npz"

    @property
    def batch(self) -> Path:
        return self.folder / "caption-batch.npz"

    @property
    def speaker(self) -> Path:
        return self.folder / "speaker.npz"

    @property
    def features(self) -> Path:
        return self.folder / "caption-features.npy"

    @property
    def blobs(self) -> Path:
        return self.folder / "googlenet.npz"

    @property
    def network(self) -> Path:
        return self.folder / "googlenet.keras"

    @property
    def pixels(self) -> Path:
        return self.folder / "googlenet-pixels.npy"


# Weights and data, the same for both sides


def spec(vocabulary: int = VOCABULARY, feature: int = FEATURE, units: int = UNITS) -> Any:
    """The decoder's form."""
    from imgnn.language.decoder import DecoderSpec

    return DecoderSpec(vocabulary, feature, units, units)


def outspoken(weights: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Weights that prefer some words to others, as trained ones do, and never say START, END or UNK.

    So every sentence has as many words as are let be, every search makes all its steps, and candidates are far enough
    apart that the order in which float32 numbers are added does not decide between them.
    """
    bias = weights["output/bias"].copy()
    bias[:3] = -100.0
    louder = {"words/embeddings": 20.0, "output/kernel": 15.0}
    return {**weights, **{name: factor * weights[name] for name, factor in louder.items()}, "output/bias": bias}


def drawn_lengths(share: int = 1) -> np.ndarray:
    """Words of each caption of an epoch like Flickr8k's, or of one in `share` of them."""
    return np.repeat(np.arange(2, 2 + len(FLICKR8K)), FLICKR8K)[::share]


def prepare_decoder(
    files: Files,
    vocabulary: int = VOCABULARY,
    feature: int = FEATURE,
    units: int = UNITS,
    size: int = BATCH,
    length: int = LENGTH,
) -> None:
    """Weights before training, and others to decode with; a batch to train on; features of pictures."""
    from imgnn.language.decoder import Decoder
    from imgnn.training.sentences import Sentences

    random = np.random.default_rng(0)
    weights: dict[str, Any] = Decoder(spec(vocabulary, feature, units), seed=1).weights()
    np.savez(files.decoder, **weights)
    np.savez(files.speaker, **outspoken(weights))
    words = random.integers(3, vocabulary, (size, length - 1)).tolist()
    batch = next(Sentences(range(size), words, longest=length).all(size))
    x = random.normal(0, 1, (size, feature)).astype("float32")
    np.savez(files.batch, x=x, tokens=batch.tokens, targets=batch.targets, weights=batch.weights, rows=batch.rows)
    np.save(files.features, random.normal(0, 1, (Amounts.pictures, feature)).astype("float32"))


def prepare_googlenet(shared: Path, files: Files) -> None:
    """GoogLeNet's weights for both sides, and pixels of flowers."""
    from imgnn.jobs.load import load_network
    from imgnn.networks.files import save_network

    caffemodel = shared / "weights" / "bvlc_googlenet.caffemodel"
    peers.save_npz(peers.read_blobs(caffemodel), files.blobs)
    network = load_network(caffemodel)
    save_network(network, files.network)
    prepare_pixels(network, flowers_of(shared), files)


def prepare_pixels(network: Any, pictures: Sequence[Path], files: Files) -> None:
    """A batch of pictures as the network takes them."""
    from imgnn.images.files import load_image
    from imgnn.images.preprocess import classifier_crops

    crops = [classifier_crops(load_image(path), network.preprocessing)[0] for path in pictures[:PICTURES]]
    np.save(files.pixels, np.resize(np.stack(crops), (PICTURES, *crops[0].shape)))


def flowers_of(shared: Path) -> list[Path]:
    """The JPEGs."""
    return sorted((shared / "data" / "flowers" / "train").glob("*/*.jpg"))


# Our side


def decoder_of(weights: Path, precision: str, drop: float = 0.0) -> Any:
    """The decoder with the weights of a file."""
    from imgnn import backend
    from imgnn.language.decoder import Decoder

    given = np.load(weights)
    feature, units = given["picture/kernel"].shape
    form = spec(len(given["output/bias"]), feature, units)
    decoder = Decoder(form, dropout=drop, precision=backend.precision_of(precision))
    decoder.assign(given)
    return decoder


def step_of(files: Files, precision: str, drop: float) -> Callable[[], float]:
    """A training step on the batch, which gives its loss."""
    from imgnn.training.sentence_trainer import SentenceTrainer
    from imgnn.training.sentences import SentenceBatch

    given = np.load(files.batch)
    batch = SentenceBatch(*(given[name] for name in ("rows", "tokens", "targets", "weights")))
    trainer, x = SentenceTrainer(decoder_of(files.decoder, precision, drop), clip=5.0), given["x"]
    return lambda: trainer.step(x, batch, RATE)


def trained(folder: str, precision: str, count: str) -> list[float]:
    """Seconds of each training step: the work of one process."""
    return peers.seconds_of(step_of(Files(Path(folder)), precision, DROP), int(count), WARM)


def epochs(folder: str, precision: str, share: str) -> dict[str, float]:
    """Seconds of two epochs, the first of which traces the decoder for each length: the work of one process.

    Returns:
        `first`, `later`; `tokens` of an epoch.
    """
    from imgnn.training.sentence_trainer import SentenceTrainer
    from imgnn.training.sentences import Sentences

    random, lengths = np.random.default_rng(0), drawn_lengths(int(share))
    captions = [random.integers(3, VOCABULARY, length).tolist() for length in lengths]
    pictures = len(lengths) // 5  # each has five captions
    features = random.normal(0, 1, (pictures, FEATURE)).astype("float16")  # as they are kept
    sentences = Sentences((random.permutation(len(lengths)) % pictures).tolist(), captions, longest=30)
    trainer = SentenceTrainer(decoder_of(Files(Path(folder)).decoder, precision, DROP), clip=5.0)

    def epoch(number: int) -> float:
        began = time.perf_counter()
        for batch in sentences.epoch(batch=BATCH, seed=0, epoch=number):
            trainer.step(features[batch.rows].astype("float32"), batch, RATE)
        return time.perf_counter() - began

    return {"first": epoch(0), "later": epoch(1), "tokens": sentences.tokens}


def told(beams: Any) -> list[list[tuple[list[int], float]]]:
    """Sentences and the sums of their log-probabilities, as JSON takes them."""
    return [[(list(each.tokens), each.log_prob) for each in beam] for beam in beams]


def searched(folder: str, precision: str, count: str, together: str) -> dict[str, Any]:
    """Beam search as `imgnn caption` does it: the work of one process.

    Args:
        count: pictures; so many of them are captioned in one search as `together` says.

    Returns:
        `seconds` of each search, after one that warms up; the `sentences`, the beam of each picture.
    """
    from imgnn.jobs.sentence_model import Speaker
    from imgnn.language.beam import BeamOptions

    speaker = Speaker([decoder_of(Files(Path(folder)).speaker, precision)])
    options = BeamOptions(beam_width=WIDTH, max_length=WORDS)
    parts = np.load(Files(Path(folder)).features)[: int(count)].reshape(-1, int(together), FEATURE)
    found = peers.timed_searches(lambda rows: told(speaker.search([rows], options)), parts)
    return {**found, "sentences": [beam for beams in found["sentences"] for beam in beams]}


def searched_by_rows(folder: str, precision: str, count: str) -> dict[str, Any]:
    """The same sentences, one row of one picture at a time, by a compiled step: the work of one process.

    Returns:
        As of `searched`, a search for each picture.
    """
    from keras import ops

    from imgnn.backend import compiled

    decoder = decoder_of(Files(Path(folder)).speaker, precision)
    variables = list(decoder.variables().values())
    begin, advance = compiled(decoder.begin, variables), compiled(decoder.step, variables)

    def step(word: int, state: Any) -> tuple[np.ndarray, Any]:
        log_prob, state = advance(ops.convert_to_tensor([word], "int32"), state)
        return ops.convert_to_numpy(log_prob)[0], state

    def search(row: np.ndarray) -> Any:
        return peers.search_by_rows(step, begin(ops.convert_to_tensor(row[None])), WIDTH, WORDS)

    return peers.timed_searches(search, np.load(Files(Path(folder)).features)[: int(count)])


def describer_at(folder: str, precision: str) -> Any:
    """What gives GoogLeNet's features, with an empty IMGNN_HOME: nothing is known of any picture."""
    from imgnn.jobs.picture_features import feature_extractor

    home, network = Path(folder) / "caption-home", Files(Path(folder)).network
    shutil.rmtree(home, ignore_errors=True)
    os.environ["IMGNN_HOME"] = str(home)
    return feature_extractor(str(network), [LAYER], size=SIZE, precision=precision)


def looked(folder: str, precision: str, count: str) -> list[float]:
    """Seconds of each look at the same pixels: the work of one process."""
    extractor, pixels = describer_at(folder, precision), np.load(Files(Path(folder)).pixels)
    return peers.seconds_of(lambda: extractor.vectors(pixels, PICTURES), int(count), WARM)


def looked_at_files(folder: str, precision: str, shared: str, count: str) -> dict[str, float]:
    """Seconds for JPEGs, read, scaled, looked at and their features kept; then once more: the work of one process.

    Returns:
        `first`, `again`, where the features come from IMGNN_HOME; `pictures`.
    """
    extractor, files = describer_at(folder, precision), flowers_of(Path(shared))[: int(count)]
    extractor.vectors(np.load(Files(Path(folder)).pixels), PICTURES)  # traces
    first, again = peers.seconds_of(lambda: extractor.extract(files), 2)
    return {"first": first, "again": again, "pictures": len(files)}


# The comparison


def work_of_training(form: Any, batch: int, length: int) -> int:
    """Floating point operations of the matrix products of a training step; `a b + c` counts as two.

    The gradients by a kernel and by what it multiplies take as many as the product; nobody asks for those by the
    picture's feature and by the state before the first step. The LSTM makes one step for the picture and one for each
    token.
    """
    steps, gates = length + 1, 4 * form.hidden
    inputs, states = 3 * steps * form.embedding * gates, (3 * steps - 1) * form.hidden * gates
    logits = 3 * length * form.hidden * form.vocabulary
    return 2 * batch * (2 * form.feature * form.embedding + inputs + states + logits)


def own_side(function: Callable[..., Any], *words: object) -> list[object]:
    """The command that calls a function of this file in a process of its own; its answer comes as JSON."""
    return [sys.executable, __file__, "--own", function.__name__, *words]


def interleaved(
    commands: Mapping[str, Sequence[object]], repeats: int, between: Mapping[str, Callable[[], float]] | None = None
) -> tuple[dict[str, list[peers.Process]], dict[str, float]]:
    """Run commands in turn, several times; and measure something after each turn, of which the largest is kept."""
    runs: dict[str, list[peers.Process]] = {label: [] for label in commands}
    rates = dict.fromkeys(between or {}, 0.0)
    for _ in range(repeats):
        for label, command in commands.items():
            runs[label].append(peers.timed(command))
        for label, measure in (between or {}).items():
            rates[label] = max(rates[label], measure())
    return runs, rates


def medians(runs: Sequence[peers.Process]) -> list[float]:
    """The median of the seconds that each of several processes answered, in rising order."""
    return sorted(statistics.median(run.answer()) for run in runs)


def spread(values: Sequence[float], digits: int) -> str:
    """The median, and the range where there is one."""
    middle = f"{statistics.median(values):,.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def print_rates(
    unit: str, count: int, digits: int, work: float, commands: Mapping[str, Sequence[object]], repeats: int
) -> None:
    """Run both sides and print how many of something are done in a second, memory, and the floor of ours.

    Args:
        count: units in each of the seconds that the commands answer; they take `work` operations.
    """
    floors = {f"imgnn, {precision}": matmul_rate(precision) for precision in peers.precisions()}
    runs, rates = interleaved(commands, repeats, floors)
    best = max(count / statistics.median(medians(each)) for label, each in runs.items() if "PyTorch, float32" in label)
    print(
        f"\n| | {unit}/s | of PyTorch's in float32 | memory | floor: {unit}/s | of the floor |\n"
        "|---|---|---|---|---|---|"
    )
    for label, each in runs.items():
        reached = [count / seconds for seconds in medians(each)]
        middle = statistics.median(reached)
        cells = [spread(reached, digits), f"{middle / best:.2f}", f"{max(run.peak for run in each):.0f} MB"]
        if rate := rates.get(label):
            floor = rate / work * count
            cells += [f"{floor:,.{digits}f} ({rate / 1e9:.0f} GFLOP/s)", f"{middle / floor:.0%}"]
        else:
            cells += ["", ""]
        print(f"| {label} | {' | '.join(cells)} |", flush=True)


def check_losses(files: Files, python: str) -> tuple[list[float], float]:
    """Our losses of some steps, and how far PyTorch's are from them, as a share.

    Raises:
        SystemExit: the two sides do not train alike.
    """
    theirs = peers.call(python, "captioning_losses", files.decoder, files.batch, RATE, COMPARED)
    step = step_of(files, "float32", 0.0)
    ours = [step() for _ in range(COMPARED)]
    apart = max(abs(mine - their) / their for mine, their in zip(ours, theirs, strict=True))
    if not apart <= MOST_APART["loss"]:
        raise SystemExit(f"the two trainings differ: losses {ours}, PyTorch's {theirs}")
    return ours, apart


def compare_training(files: Files, python: str, amounts: Amounts, title: str = "Training") -> None:
    """Print tokens a second.

    Raises:
        SystemExit: the two sides do not train alike.
    """
    ours, apart = check_losses(files, python)
    form, (size, length) = decoder_of(files.decoder, "float32").spec, np.load(files.batch)["tokens"].shape
    work, tokens = work_of_training(form, size, length), size * length
    print(
        f"\n## {title}\n\n{form.hidden} units, embeddings of {form.embedding}, {form.vocabulary:,} words, features of "
        f"{form.feature:,}; {size} sentences of {length} tokens, half of the values dropped, Adam, gradients clipped "
        f"at 5. In float32, nothing dropped, the losses of {COMPARED} steps differ by {apart:.0e}: "
        f"{', '.join(f'{loss:.4f}' for loss in ours)}. A token is {work / tokens / 1e6:.1f} MFLOP; the floor is the "
        f"time of matrix products of as many, at their best. Medians of {amounts.repeats} interleaved repeats."
    )
    words = [files.decoder, files.batch, RATE]
    commands: dict[str, Sequence[object]] = {
        f"PyTorch, {label}": peers.peer_side(python, "captioning_seconds", *words, precision, DROP, WARM, amounts.steps)
        for label, precision in {"float32": "float32", "bfloat16 (autocast)": "bfloat16"}.items()
    }
    for precision in peers.precisions():
        commands[f"imgnn, {precision}"] = own_side(trained, files.folder, precision, amounts.steps)
    print_rates("tokens", tokens, 0, work, commands, amounts.repeats)


def measure_epoch(files: Files, amounts: Amounts) -> None:
    """Print the seconds of an epoch."""
    captions = len(drawn_lengths(amounts.share))
    print(
        f"\n## An epoch\n\n{captions:,} captions as long as Flickr8k's, from features of {captions // 5:,} pictures "
        f"that are kept, batches of {BATCH}. The first epoch traces the decoder for each of its lengths. Medians of "
        f"{amounts.repeats} runs.\n\n| | first epoch | later | tokens/s, later |\n|---|---|---|---|"
    )
    commands = {
        f"imgnn, {precision}": own_side(epochs, files.folder, precision, amounts.share)
        for precision in peers.precisions()
    }
    for label, each in interleaved(commands, amounts.repeats)[0].items():
        found = [run.answer() for run in each]
        first, later = ([one[name] for one in found] for name in ("first", "later"))
        rate = spread([one["tokens"] / one["later"] for one in found], 0)
        print(f"| {label} | {spread(first, 1)} s | {spread(later, 1)} s | {rate} |", flush=True)


def difference(found: Sequence[Any], others: Sequence[Any]) -> float:
    """How far the sums of log-probabilities of the same sentences are apart, as a share.

    Args:
        found, others: beams of the same pictures, as of `told`.

    Returns:
        The largest; infinite if a sentence or its place in the beam is another.
    """
    apart = 0.0
    for beam, other in zip(found, others, strict=True):
        if [words for words, _ in beam] != [words for words, _ in other]:
            return float("inf")
        for (_, mine), (_, theirs) in zip(beam, other, strict=True):
            apart = max(apart, abs(mine - theirs) / abs(theirs))
    return apart


def compare_decoding(files: Files, python: str, amounts: Amounts) -> None:
    """Print pictures a second of beam search in four ways.

    Raises:
        SystemExit: in float32 they do not find the same sentences.
    """
    few, many = amounts.by_rows, amounts.pictures
    peer, rows = "PyTorch, one row at a time, float32", "the same loop, imgnn's step, float32"
    commands: dict[str, Sequence[object]] = {
        peer: peers.peer_side(python, "captions_by_rows", files.speaker, files.features, WIDTH, WORDS, few),
        rows: own_side(searched_by_rows, files.folder, "float32", few),  # in bfloat16 it is slower
    }
    for precision in peers.precisions():
        commands |= {
            f"imgnn, one picture at a time, {precision}": own_side(searched, files.folder, precision, few, 1),
            f"imgnn, {many} pictures at once, {precision}": own_side(searched, files.folder, precision, many, many),
        }
    runs, _ = interleaved(commands, amounts.repeats)
    found = {label: each[0].answer()["sentences"][:few] for label, each in runs.items()}
    apart = max(difference(found[peer], beams) for label, beams in found.items() if label.endswith("float32"))
    if not apart <= MOST_APART["log_prob"]:
        raise SystemExit(f"the searches do not find the same sentences: {apart}")
    print(
        f"\n## Decoding\n\nBeam search of width {WIDTH}, sentences of {WORDS} words, all steps are made. In float32 "
        f"the {WIDTH} sentences of each of the {few} pictures compared are the same in every way, the sums of their "
        f"log-probabilities within {apart:.0e}. One row at a time: a step for each hypothesis of each picture, "
        "compiled in TensorFlow (called as it is, it is slower), eager in PyTorch; measured on "
        f"{few} of the pictures, as is one picture at a time, and reckoned for {many}. "
        f"Medians of {amounts.repeats} interleaved repeats.\n\n"
        f"| | a picture | {many} pictures | times as fast as PyTorch's rows | … as imgnn's rows |\n"
        "|---|---|---|---|---|"
    )
    seconds = {}
    for label, each in runs.items():
        together = many if "at once" in label else 1
        seconds[label] = [statistics.median(run.answer()["seconds"]) / together for run in each]
    for label, taken in seconds.items():
        middle, *slow = (statistics.median(some) for some in (taken, seconds[peer], seconds[rows]))
        cells = [f"{spread([1000 * one for one in taken], 1)} ms", f"{middle * many:.1f} s"]
        print(f"| {label} | {' | '.join(cells + [f'{one / middle:.1f}' for one in slow])} |", flush=True)


def check_vectors(files: Files, python: str) -> tuple[Any, float]:
    """What gives our features, and how far PyTorch's are from them, as a share of the largest.

    Raises:
        SystemExit: too far.
    """
    theirs_at = files.folder / "vectors.npy"
    peers.call(python, "googlenet_vectors", files.blobs, files.pixels, theirs_at)
    extractor, theirs = describer_at(str(files.folder), "float32"), np.load(theirs_at)
    ours = extractor.vectors(np.load(files.pixels), PICTURES).astype("float32")
    apart = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
    if not apart <= MOST_APART["features"]:
        raise SystemExit(f"the two networks differ: {LAYER} by {apart:.1e} of its largest value")
    return extractor, apart


def compare_features(shared: Path, files: Files, python: str, amounts: Amounts) -> None:
    """Print pictures a second of GoogLeNet.

    Raises:
        SystemExit: the two sides' features differ.
    """
    extractor, apart = check_vectors(files, python)
    work = PICTURES * sum(work_of_layers(extractor.network.model).values())
    print(
        f"\n## Features\n\nGoogLeNet up to {LAYER}, {SIZE} x {SIZE} pixels, batches of {PICTURES}, from uint8 pixels "
        f"in main memory; a picture is {work / PICTURES / 1e9:.1f} GFLOP. In float32 the features differ by "
        f"{apart:.0e} of the largest; ours are rounded to float16. Medians of {amounts.repeats} interleaved repeats."
    )
    commands: dict[str, Sequence[object]] = {
        label: peers.peer_side(python, "googlenet_seconds", files.blobs, files.pixels, *how, WARM, amounts.looks)
        for label, how in PEERS.items()
    }
    for precision in peers.precisions():
        commands[f"imgnn, {precision}"] = own_side(looked, files.folder, precision, amounts.looks)
    print_rates("pictures", PICTURES, 1, work, commands, amounts.repeats)

    words = (peers.precisions()[-1], shared, amounts.files)
    runs, _ = interleaved({"files": own_side(looked_at_files, files.folder, *words)}, amounts.repeats)
    found = [run.answer() for run in runs["files"]]
    first, again = (spread([one["pictures"] / one[name] for one in found], 1) for name in ("first", "again"))
    print(
        f"\nFrom {found[0]['pictures']} JPEGs of flowers, read, scaled and looked at in {words[0]}, the features kept: "
        f"{first} pictures/s; again, from what was kept: {again}.",
        flush=True,
    )


def prepare_random(setting: Setting) -> Files:
    """Everything for both sides, with random weights and the package's pictures; and a look at whether they agree."""
    from imgnn.networks.files import load_network_file

    files = Files(setting.work / "caption")
    if not files.folder.exists():
        peers.save_random("googlenet", files.folder)
        prepare_decoder(files)
        prepare_pixels(load_network_file(files.network), setting.pictures(), files)
        if setting.has("PyTorch"):
            check_losses(files, setting.python)
            check_vectors(files, setting.python)
    return files


def rows(setting: Setting) -> Iterator[Row]:
    """Tokens a second in training, milliseconds of a beam search, pictures a second of features; memory.

    Raises:
        SystemExit: in float32 the two searches do not find the same sentences.
    """
    files, amounts = prepare_random(setting), QUICK if setting.quick else Amounts()
    python = setting.python if setting.has("PyTorch") else ""

    def beside(
        what: str, unit: str, count: int, ours: Sequence[object], peer: str, words: Sequence[object]
    ) -> Iterator[Row]:
        own = peers.timed(ours)
        rate = count / min(own.answer())
        if not python:
            yield Row(what, unit, rate, peer)
            return
        theirs = peers.timed(peers.peer_side(python, *words))  # type: ignore[arg-type]
        yield Row(what, unit, rate, peer, count / min(theirs.answer()))
        yield Row(f"{what}, memory", "MB", own.peak, peer, theirs.peak)

    for precision in peers.precisions():
        words = ("captioning_seconds", files.decoder, files.batch, RATE, precision, DROP, WARM, amounts.steps)
        ours = own_side(trained, files.folder, precision, amounts.steps)
        yield from beside(f"training, {precision}", "tokens/s", BATCH * LENGTH, ours, f"PyTorch, {precision}", words)
    for precision in peers.precisions():
        words = ("googlenet_seconds", files.blobs, files.pixels, "channels_last", precision, WARM, amounts.looks)
        ours = own_side(looked, files.folder, precision, amounts.looks)
        peer = f"PyTorch, {precision}, channels_last"
        yield from beside(f"features, {precision}", "pictures/s", PICTURES, ours, peer, words)
    few, many = amounts.by_rows, amounts.pictures
    theirs, beams = None, []
    if python:
        words = (files.speaker, files.features, WIDTH, WORDS, few)
        found = peers.timed(peers.peer_side(python, "captions_by_rows", *words)).answer()
        theirs, beams = 1000 * min(found["seconds"]), found["sentences"]
    for together, count in ((1, few), (many, many)):
        found = peers.timed(own_side(searched, files.folder, "float32", count, together)).answer()
        if python and difference(found["sentences"][:few], beams) > MOST_APART["log_prob"]:
            raise SystemExit("the two searches do not find the same sentences")
        # The peer has nothing that takes pictures together: beside many at once stands nothing.
        peer, beside_it = ("PyTorch, one hypothesis at a time, float32", theirs) if together == 1 else ("", None)
        what = f"a picture's beam search, {together} at once, float32"
        yield Row(what, "ms", 1000 * min(found["seconds"]) / together, peer, beside_it)


def main(shared: Path, python: str, folder: Path, parts: Sequence[str], amounts: Amounts) -> None:
    from imgnn import start

    start.quiet()
    import keras
    import tensorflow

    folder.mkdir(parents=True, exist_ok=True)
    files, others = Files(folder), peers.call(python, "versions")
    print(
        f"{peers.machine()}\n\nPyTorch {others['torch']}, {others['threads']} threads; "
        f"TensorFlow {tensorflow.__version__}, Keras {keras.__version__}",
        flush=True,
    )
    if set(parts) - {"features", "boke"}:
        prepare_decoder(files)
    if "training" in parts:
        compare_training(files, python, amounts)
    if "boke" in parts:
        small = Files(folder / "boke")
        small.folder.mkdir(exist_ok=True)
        prepare_decoder(small, *BOKE)
        compare_training(small, python, amounts, "Training of boke")
    if "epoch" in parts:
        measure_epoch(files, amounts)
    if "decoding" in parts:
        compare_decoding(files, python, amounts)
    if "features" in parts:
        prepare_googlenet(shared, files)
        compare_features(shared, files, python, amounts)


def own() -> None:
    """The work of one process: print what a function of this file gives."""
    from imgnn import start

    start.quiet()
    functions = (trained, epochs, searched, searched_by_rows, looked, looked_at_files)
    function = {each.__name__: each for each in functions}[sys.argv[2]]
    print(json.dumps(function(*sys.argv[3:])))


PARTS = ("training", "boke", "epoch", "decoding", "features")

if __name__ == "__main__":
    if sys.argv[1:2] == ["--own"]:
        own()
        sys.exit()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "peers-benchmark")
    parser.add_argument("--part", choices=PARTS, action="append", help="may be given several times; default: all")
    parser.add_argument("--quick", action="store_true", help="little of everything, once: whether it works")
    parser.add_argument("--repeats", type=int)
    given = parser.parse_args()
    amounts = QUICK if given.quick else Amounts()
    if given.repeats:
        amounts = replace(amounts, repeats=given.repeats)
    main(given.shared.resolve(), given.peer_python, given.work.resolve(), given.part or PARTS, amounts)
