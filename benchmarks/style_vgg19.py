"""Style transfer with VGG-19 at 512 pixels beside neural-style-pt: time, memory, and how low the loss comes.

    python benchmarks/style_vgg19.py SHARED NEURAL_STYLE_PT --peer-python VENV/bin/python

SHARED holds weights and photos, NEURAL_STYLE_PT is a checkout of github.com/ProGamerGov/neural-style-pt, VENV has
PyTorch, torchvision and Pillow. Both programs get the same weights, the same two pictures and neural-style's defaults,
but begin from the photo and have no TV: neural-style-pt's is of another kind. The peer's long run is made once
and kept in the work folder, with everything else. Prints Markdown.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import peers

SIZE, ITERATIONS = 512, 500
CONTENT, STYLE = "tubingen.jpg", "starry_night_google.jpg"
PEER_STEPS, PEER_WARM, OWN_STEPS, OWN_WARM = 8, 3, 5, 2  # of each repeat; those that warm up are not counted
SAVE_EVERY = 10  # steps between two pictures of ours whose loss is looked at


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
        with Image.open(shared / "photos" / name) as picture:
            width, height = (int(SIZE / max(picture.size) * side) for side in picture.size)
            image = picture.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
        # Where a side is odd Caffe's pools round up, neural-style-pt's down: with multiples of 16 they agree.
        image.crop((0, 0, width // 16 * 16, height // 16 * 16)).save(path)
    return files


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


def own_steps(files: Files, precision: Any) -> tuple[Callable[[], float], Callable[[], float]]:
    """What measures our seconds for one evaluation, and for one step of L-BFGS, the evaluation in it."""
    from imgnn.jobs.style import build_optimizer, prepare
    from imgnn.jobs.style_canvas import Canvas, to_pixels
    from imgnn.options import StyleOptions
    from imgnn.runs import Silent

    options = StyleOptions(network="vgg19", size=SIZE, tv_weight=0.0, precision=precision)
    canvas = Canvas(prepare(files.content, [files.style], options, Silent()), SIZE, dreaming=False, reporter=Silent())
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
        return statistics.median(times)

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
    process = peers.timed([*command, "--size", SIZE, "--tv-weight", 0, "--save-every", SAVE_EVERY, *words])
    pictures = [*sorted(output.parent.glob("out_*.png")), output]
    return [(path.stat().st_mtime - began, path) for path in pictures], process


def main(shared: Path, program: Path, python: str, folder: Path, repeats: int) -> None:
    os.environ["IMGNN_HOME"] = str(folder / "home")
    from imgnn import backend

    backend.quiet()
    import keras
    import tensorflow

    files = prepare_files(shared, folder, python)
    apart = difference(files, python)
    if apart > 1e-4:
        raise SystemExit(f"the two networks differ: relu5_1 by {apart:.1e} of its largest value")
    with Image.open(files.content) as picture:
        width, height = picture.size

    told = peers.call(python, "versions")
    print(f"{peers.machine()}\n")
    print(
        f"neural-style-pt at {commit(program)[:7]}, PyTorch {told['torch']}, {told['threads']} threads; "
        f"imgnn on TensorFlow {tensorflow.__version__}, Keras {keras.__version__}\n"
    )
    print(
        f"{height} x {width} pixels (height x width); VGG-19: conv1_1 to conv3_4 as published, above them seeded "
        f"random kernels, the same in both (relu5_1 differs by {apart:.0e} of its largest value)\n"
    )

    precisions = ("float32", "bfloat16")
    own = {name: own_steps(files, name) for name in precisions}
    rates = {name: matmul_rate(name) for name in precisions}
    times: dict[str, list[float]] = {}
    peak = 0.0
    for _ in range(repeats):
        run = peers.neural_style(
            python, program, *neural_style_words(files), "-num_iterations", PEER_STEPS, "-save_iter", 0,
            "-output_image", files.folder / "short.png",
        )  # fmt: skip
        peak = run.peak
        times.setdefault("neural-style-pt", []).append(statistics.median(np.diff(run.seconds)[PEER_WARM - 1 :]))
        for name in precisions:
            evaluate, step = own[name]
            times.setdefault(f"evaluation {name}", []).append(evaluate())
            times.setdefault(f"step {name}", []).append(step())
            times.setdefault(f"rate {name}", []).append(rates[name]())
    middle = {name: statistics.median(each) for name, each in times.items()}
    work = work_of_evaluation(height, width)

    print(f"Medians of {repeats} interleaved repeats; an evaluation is {work / 1e9:.0f} GFLOP\n")
    print("| | evaluation | step of L-BFGS | matrix products alone | share of it reached |")
    print("|---|---|---|---|---|")
    print(f"| neural-style-pt, float32 | | {middle['neural-style-pt']:.2f} s | | |")
    for name in precisions:
        floor = work / max(times[f"rate {name}"])
        evaluation = middle[f"evaluation {name}"]
        print(
            f"| imgnn, {name} | {evaluation:.2f} s | {middle[f'step {name}']:.2f} s "
            f"| {floor:.2f} s ({max(times[f'rate {name}']) / 1e9:.0f} GFLOP/s) | {floor / evaluation:.0%} |"
        )
    del own

    long = peers.kept_neural_style(
        folder / f"neural_style_{ITERATIONS}.json", python, program, *neural_style_words(files),
        "-num_iterations", ITERATIONS, "-save_iter", 100, "-output_image", folder / "neural_style.png",
    )  # fmt: skip
    print(
        f"\nThe same loss, of pictures as they are saved, by one function in float32 (neural-style-pt: {long.where})\n"
    )
    print("| | seconds | processor | memory | content | style | both | TV |\n|---|---|---|---|---|---|---|---|")

    def judged(*pictures: Path) -> list[dict[str, float]]:
        found: list[dict[str, float]] = peers.call(
            python, "picture_losses", files.arrays, files.content, files.style, *pictures
        )
        return found

    def row(name: str, seconds: float, processor: str, memory: str, loss: dict[str, float]) -> None:
        both = loss["content"] + loss["style"]
        cells = [f"{loss['content']:.4g}", f"{loss['style']:.4g}", f"{both:.4g}", f"{loss['tv']:.3g}"]
        print(f"| {name} | {seconds:.0f} | {processor} | {memory} | {' | '.join(cells)} |", flush=True)

    start, *theirs = judged(files.content, *(folder / f"neural_style{end}.png" for end in ("_100", "_200", "")))
    row("the photo", 0, "", "", start)
    for count, loss in zip((100, 200, ITERATIONS), theirs, strict=True):
        end = count == ITERATIONS
        row(
            f"neural-style-pt, {count} iterations",
            long.seconds[count - 1],
            f"{long.processor:.0f} s" if end else "",
            f"{long.peak:.0f} MB" if end else "",
            loss,
        )
    aims = [
        (f"neural-style-pt's after {count}", loss) for count, loss in zip((100, 200, ITERATIONS), theirs, strict=True)
    ]
    for name, words in (("imgnn style", ()), ("imgnn style --iterations 300", ("--iterations", 300, "--tolerance", 0))):
        pictures, process = own_run(files, *words)
        losses = judged(*(path for _, path in pictures))
        row(name, process.seconds, f"{process.processor:.0f} s", f"{process.peak:.0f} MB", losses[-1])
        for aim, wanted in aims:
            reached = [
                at
                for (at, _), loss in zip(pictures, losses, strict=True)
                if loss["content"] + loss["style"] <= wanted["content"] + wanted["style"]
            ]
            print(f"| — it came below {aim} | {f'{reached[0]:.0f}' if reached else 'never'} | | | | | | |")
    print(f"\nPeak memory of neural-style-pt in a short run: {peak:.0f} MB")


def commit(program: Path) -> str:
    """Which version of the peer."""
    return subprocess.check_output(["git", "-C", str(program), "rev-parse", "HEAD"], text=True).strip()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("program", type=Path, metavar="NEURAL_STYLE_PT")
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "imgnn-benchmark")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    main(given.shared.resolve(), given.program.resolve(), given.peer_python, given.work.resolve(), given.repeats)
