"""Style transfer with VGG-19 at 512 pixels beside neural-style-pt: time, memory, and how low the loss comes.

    python benchmarks/style_vgg19.py SHARED NEURAL_STYLE_PT --peer-python VENV/bin/python

SHARED holds weights and photos, NEURAL_STYLE_PT is a checkout of github.com/ProGamerGov/neural-style-pt, VENV has
PyTorch, torchvision and Pillow. Both programs get the same weights, the same two pictures and neural-style's defaults,
but begin from the photo and have no TV: neural-style-pt's is of another kind. The peer's long run is made once
and kept in the work folder, with everything else. Prints Markdown.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import peers
from benchmarks.comparison import Row, Setting

SIZE, ITERATIONS = 512, 500
CONTENT, STYLE = "tubingen.jpg", "starry_night_google.jpg"
PEER_STEPS, PEER_WARM, OWN_STEPS, OWN_WARM = 8, 3, 5, 2  # of each repeat; those that warm up are not counted
KEEP_EVERY = 10  # steps between two pictures of ours whose loss is looked at
# Ours: as it comes; with more time at the last size; and at that size alone, which is neural-style-pt's very task.
OWN_RUNS: dict[str, tuple[object, ...]] = {
    "imgnn style": (),
    "imgnn style --iterations 200": ("--iterations", 200, "--tolerance", 0),
    "imgnn style --iterations 200 --min-size 512": ("--iterations", 200, "--tolerance", 0, "--min-size", SIZE),
}


@dataclass(frozen=True)
class Files:
    """What the work folder holds."""

    folder: Path

    @property
    def arrays(self) -> Path:
        return self.folder / "vgg19.npz"

    @property
    def torch(self) -> Path:
        return self.folder / "vgg19.pth"

    @property
    def keras(self) -> Path:
        return self.folder / "home" / "networks" / "vgg19.keras"

    @property
    def content(self) -> Path:
        return self.folder / "content.png"

    @property
    def style(self) -> Path:
        return self.folder / "style.png"


def prepare_files(shared: Path, folder: Path, python: str) -> Files:
    """The weights in three forms, and the pictures at their last size."""
    files = Files(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not files.keras.is_file():
        blobs = peers.vgg19_blobs(shared / "weights" / "vgg19_conv1_to_conv3.caffemodel")
        peers.save_npz(blobs, files.arrays)
        peers.call(python, "state_dict", files.arrays, files.torch)
        peers.save_keras(blobs, files.keras)
    for name, path in ((CONTENT, files.content), (STYLE, files.style)):
        save_scaled(shared / "photos" / name, path, SIZE)
    return files


def save_scaled(picture: Path, path: Path, size: int) -> None:
    """A picture whose long side has `size` pixels, the other a multiple of 16 of them."""
    with Image.open(picture) as file:
        width, height = (int(size / max(file.size) * side) for side in file.size)
        image = file.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    # Where a side is odd Caffe's pools round up, neural-style-pt's down: with multiples of 16 they agree.
    image.crop((0, 0, width // 16 * 16, height // 16 * 16)).save(path)


def prepare_random(setting: Setting) -> Files:
    """Random weights, and the example's photo and painting."""
    files = Files(setting.once("style", Path.mkdir))
    if not files.keras.is_file():
        blobs = peers.vgg19_blobs(None)
        peers.save_npz(blobs, files.arrays)
        for name, path in (("photo", files.content), ("painting", files.style)):
            save_scaled(setting.example(name), path, 128 if setting.quick else SIZE)
        peers.save_keras(blobs, files.keras)
        if setting.has("PyTorch"):
            check_difference(files, setting.python)
    return files


def check_difference(files: Files, python: str) -> float:
    """How far relu5_1 of both is apart.

    Raises:
        SystemExit: too far.
    """
    if (apart := difference(files, python)) > 1e-4:
        raise SystemExit(f"the two networks differ: relu5_1 by {apart:.1e} of its largest value")
    return apart


def difference(files: Files, python: str) -> float:
    """How far relu5_1 of both programs is apart, as a share of the largest activation."""
    from keras import ops

    from imgnn.networks.features import cut
    from imgnn.networks.files import load_network_file

    x = np.random.default_rng(0).uniform(-120, 130, (1, 64, 64, 3)).astype("float32")
    np.save(files.folder / "x.npy", x)
    peers.call(python, "relu5_1", files.arrays, files.folder / "x.npy", files.folder / "relu5_1.npy")
    theirs = np.load(files.folder / "relu5_1.npy")
    ours = ops.convert_to_numpy(cut(load_network_file(files.keras), ["relu5_1"], (64, 64))(x)["relu5_1"])
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def work_of_evaluation(height: int, width: int) -> float:
    """Floating point operations of one loss and its gradient by the pixels, up to relu5_1.

    A convolution takes as many for the gradient by its input as forwards; so does a Gram matrix.
    """
    total = 0.0
    for name, (channels, filters) in peers.convolutions().items():
        block, number = int(name[4]), int(name[6])
        positions = (height >> block - 1) * (width >> block - 1)
        total += 2 * 2 * 9 * channels * filters * positions
        if number == 1:
            total += 2 * 2 * filters * filters * positions
        if name == "conv5_1":
            break
    return total


def matmul_rate(precision: str) -> Callable[[], float]:
    """Operations a second of a product of two matrices of 4096 x 4096, measured at each call."""
    from keras import ops

    from imgnn.backend import compiled

    n = 4096
    a, b = (ops.convert_to_tensor(each, precision) for each in np.random.default_rng(0).normal(0, 1, (2, n, n)))
    product = compiled(lambda a, b: ops.sum(ops.matmul(a, b)[:1, :1]))
    float(product(a, b))

    def measure() -> float:
        began = time.perf_counter()
        float(product(a, b))
        return 2 * n**3 / (time.perf_counter() - began)

    return measure


def own_steps(
    files: Files, precision: Any, chosen: Callable[[list[float]], float] = statistics.median
) -> tuple[Callable[[], float], Callable[[], float]]:
    """What measures our seconds for one evaluation, and for one step of L-BFGS, the evaluation in it.

    Args:
        chosen: of the seconds of several.
    """
    from imgnn.jobs.style import build_optimizer
    from imgnn.jobs.style_canvas import Canvas, to_pixels
    from imgnn.jobs.style_plan import prepare
    from imgnn.options import StyleOptions
    from imgnn.runs import Silent

    size = max(size_of(files.content))
    options = StyleOptions(network=str(files.keras), size=size, tv_weight=0.0, precision=precision)
    canvas = Canvas(prepare(files.content, [files.style], options, Silent()), size, dreaming=False, reporter=Silent())
    optimizer = build_optimizer(options, ITERATIONS, canvas.parameter.bounds)
    values = canvas.parameter.values(to_pixels(canvas.photo))

    def evaluate() -> None:
        float(canvas.evaluate(values)[0])

    def step() -> None:
        nonlocal values
        values, loss, _ = optimizer.step(values, canvas.evaluate)
        float(loss)

    def seconds(action: Callable[[], None]) -> float:
        for _ in range(OWN_WARM):
            action()
        times = []
        for _ in range(OWN_STEPS):
            began = time.perf_counter()
            action()
            times.append(time.perf_counter() - began)
        return chosen(times)

    return lambda: seconds(evaluate), lambda: seconds(step)


def neural_style_words(files: Files) -> list[object]:
    """The peer's command line."""
    words = ["-model_file", files.torch, "-content_image", files.content, "-style_image", files.style]
    return [*words, "-image_size", SIZE, "-init", "image", "-tv_weight", 0]


def own_run(files: Files, *words: object) -> tuple[list[tuple[float, Path]], peers.Process]:
    """Run `imgnn style`: the pictures it kept, each with the seconds after which it was there, and what it took."""
    output = Path(tempfile.mkdtemp(dir=files.folder)) / "out.png"
    command = [sys.executable, "-m", "imgnn", "style", files.content, files.style, "-o", output, "--network", "vgg19"]
    began = time.time()
    process = peers.timed([*command, "--size", SIZE, "--tv-weight", 0, "--keep-every", KEEP_EVERY, *words])
    pictures = [*sorted(output.parent.glob("out_*.png")), output]
    return [(path.stat().st_mtime - began, path) for path in pictures], process


def heading(files: Files, program: Path, python: str) -> None:
    """What is compared, on what machine; and that both compute the same.

    Raises:
        SystemExit: they do not.
    """
    import keras
    import tensorflow

    apart = check_difference(files, python)
    told = peers.call(python, "versions")
    commit = subprocess.check_output(["git", "-C", str(program), "rev-parse", "--short", "HEAD"], text=True).strip()
    height, width = size_of(files.content)
    print(
        f"{peers.machine()}\n\n"
        f"neural-style-pt at {commit}, PyTorch {told['torch']}, {told['threads']} threads; "
        f"imgnn on TensorFlow {tensorflow.__version__}, Keras {keras.__version__}\n\n"
        f"{CONTENT} like {STYLE}, {height} x {width} pixels (height x width). VGG-19: conv1_1 to conv3_4 as published, "
        f"above them seeded random kernels, the same in both: relu5_1 differs by {apart:.0e} of its largest value.\n"
    )


def compare_speed(files: Files, program: Path, python: str, repeats: int) -> float:
    """Print how long an iteration takes, and how long it would at the speed of a plain matrix product.

    Returns:
        The peer's seconds for one.
    """
    own = {name: (*own_steps(files, name), matmul_rate(name)) for name in ("float32", "bfloat16")}
    theirs: list[float] = []
    ours: dict[str, list[tuple[float, ...]]] = {name: [] for name in own}
    for _ in range(repeats):
        words = [*neural_style_words(files), "-output_image", files.folder / "short.png"]
        run = peers.neural_style(python, program, *words, "-num_iterations", PEER_STEPS, "-save_iter", 0)
        theirs.append(statistics.median(np.diff(run.seconds)[PEER_WARM - 1 :]))
        for name, measures in own.items():
            ours[name].append(tuple(measure() for measure in measures))
    work, peer = work_of_evaluation(*size_of(files.content)), statistics.median(theirs)
    print(
        f"An evaluation of loss and gradient is {work / 1e9:.0f} GFLOP; its floor is the time of matrix products of as "
        f"many. Medians of {repeats} interleaved repeats; matrix products at their best.\n\n"
        "| | evaluation | with the step of L-BFGS | floor | floor / evaluation |\n|---|---|---|---|---|\n"
        f"| neural-style-pt, float32 | | {peer:.2f} s | | |"
    )
    for name, found in ours.items():
        evaluation, step, _ = (statistics.median(each) for each in zip(*found, strict=True))
        rate = max(each[2] for each in found)
        print(
            f"| imgnn, {name} | {evaluation:.2f} s | {step:.2f} s "
            f"| {work / rate:.2f} s ({rate / 1e9:.0f} GFLOP/s) | {work / rate / evaluation:.0%} |"
        )
    return peer


def compare_losses(files: Files, program: Path, python: str, iteration: float) -> None:
    """Print how low the loss comes, in what time.

    Args:
        iteration: the peer's seconds for one: its long run may have been made when the machine was busier.
    """
    names = [f"neural_style{end}.png" for end in ("_100", "_200", "")]
    counts = (100, 200, ITERATIONS)
    words = [*neural_style_words(files), "-num_iterations", ITERATIONS, "-save_iter", 100]
    long = peers.kept_neural_style(
        files.folder / f"neural_style_{ITERATIONS}.json",
        python,
        program,
        *(*words, "-output_image", files.folder / names[-1]),
    )

    def judged(*pictures: Path) -> list[dict[str, float]]:
        parts = peers.call(python, "picture_losses", files.arrays, files.content, files.style, *pictures)
        return [{"both": each["content"] + each["style"], **each} for each in parts]

    def row(*cells: object, loss: dict[str, float]) -> None:
        numbers = [f"{loss[name]:.4g}" for name in ("both", "content", "style", "tv")]
        print(f"| {' | '.join([*map(str, cells), *numbers])} |", flush=True)

    start, *theirs = judged(files.content, *(files.folder / name for name in names))
    told = long.losses[0]["total"], long.losses[-1]["total"]
    print(
        f"\nThe loss of pictures as they are saved, by one function in float32. neural-style-pt itself tells "
        f"{told[0]:.4g} at iteration 1 and {told[1]:.4g} at iteration {ITERATIONS}, of pixels neither rounded nor kept "
        f"within 0..255. Its seconds are {iteration:.2f} for each iteration; the run was made on {long.where}.\n\n"
        "| | seconds | processor | memory | loss | content | style | TV |\n|---|---|---|---|---|---|---|---|"
    )
    row("the photo", "", "", "", loss=start)
    for count, loss in zip(counts, theirs, strict=True):
        spent = (f"{long.processor:.0f} s", f"{long.peak:.0f} MB") if count == ITERATIONS else ("", "")
        row(f"neural-style-pt, {count} iterations", f"{count * iteration:.0f} s", *spent, loss=loss)
    for name, more in OWN_RUNS.items():
        pictures, process = own_run(files, *more)
        losses = judged(*(path for _, path in pictures))
        row(name, f"{process.seconds:.0f} s", f"{process.processor:.0f} s", f"{process.peak:.0f} MB", loss=losses[-1])
        for count, aim in zip(counts, theirs, strict=True):
            there = [at for (at, _), loss in zip(pictures, losses, strict=True) if loss["both"] <= aim["both"]]
            reached = f"{there[0]:.0f} s" if there else "not"
            print(f"| … as low as neural-style-pt's after {count} | {reached} | | | | | | |")


def size_of(picture: Path) -> tuple[int, int]:
    """Its `(height, width)`, pixels."""
    with Image.open(picture) as file:
        return file.height, file.width


def evaluation(folder: str, precision: str) -> float:
    """Our seconds for an evaluation: the work of one process."""
    return own_steps(Files(Path(folder)), precision, min)[0]()


def rows(setting: Setting) -> Iterator[Row]:
    """Seconds of an evaluation on both sides, with random weights; and memory."""
    files = prepare_random(setting)
    height, width = size_of(files.content)
    words = (files.arrays, files.content, files.style)
    for precision in peers.precisions():
        ours = peers.timed([sys.executable, __file__, "--own", files.folder, precision])
        what, peer = f"{width} x {height} pixels, {precision}", f"PyTorch, {precision}"
        if setting.has("PyTorch"):
            command = peers.peer_side(setting.python, "style_seconds", *words, precision, PEER_WARM, OWN_STEPS)
            theirs = peers.timed(command)
            yield Row(what, "s", ours.answer(), peer, min(theirs.answer()))
            yield Row(f"{what}, memory", "MB", ours.peak, peer, theirs.peak)
        else:
            yield Row(what, "s", ours.answer(), peer)


def own() -> None:
    """Print what `evaluation` gives."""
    from imgnn import start

    start.quiet()
    print(json.dumps(evaluation(*sys.argv[2:])))


def main(shared: Path, program: Path, python: str, folder: Path, repeats: int) -> None:
    os.environ["IMGNN_HOME"] = str(folder / "home")
    from imgnn import start

    start.quiet()
    files = prepare_files(shared, folder, python)
    heading(files, program, python)
    compare_losses(files, program, python, compare_speed(files, program, python, repeats))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--own"]:
        own()
        sys.exit()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("program", type=Path, metavar="NEURAL_STYLE_PT")
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "peers-benchmark")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    main(given.shared.resolve(), given.program.resolve(), given.peer_python, given.work.resolve(), given.repeats)
