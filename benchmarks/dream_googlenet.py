"""DeepDream with GoogLeNet beside the loop of google/deepdream in PyTorch: seconds, processor time, memory.

    python benchmarks/dream_googlenet.py SHARED --peer-python VENV/bin/python

SHARED holds weights and photos, VENV has PyTorch and Pillow. (Caffe itself, for which google/deepdream is written, can
no longer be installed from a package index; `peers.deepdream` is its loop, with the same weights, in float32.) Both do
4 octaves of 10 steps at inception_4c/output on a photo of 1024 x 575 pixels. Prints Markdown.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import peers
from benchmarks.comparison import Row, Setting

PHOTO = "sky1024px.jpg"
DREAM = """
import json, sys
from imgnn import start
start.quiet()
from imgnn.jobs.dream import dream_picture
from imgnn.options import DreamOptions
options = DreamOptions(precision=sys.argv[3], network=sys.argv[4])
print(json.dumps({"seconds": dream_picture(*sys.argv[1:3], options).seconds}))
"""


def difference(weights: Path, folder: Path, python: str) -> float:
    """How far inception_4c/output of both is apart, as a share of the largest activation."""
    from keras import ops

    from imgnn.jobs.load import load_network
    from imgnn.networks.features import cut

    x = np.random.default_rng(0).uniform(-120, 130, (1, 75, 90, 3)).astype("float32")
    np.save(folder / "x.npy", x)
    peers.call(python, "inception_4c", folder / "googlenet.npz", folder / "x.npy", folder / "4c.npy")
    theirs = np.load(folder / "4c.npy")
    network = load_network(weights)
    ours = ops.convert_to_numpy(cut(network, ["inception_4c/output"], (75, 90))(x)["inception_4c/output"])
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def rows(setting: Setting) -> Iterator[Row]:
    """Seconds of the whole program on both sides, with random weights, and of its steps alone; and memory."""
    folder = setting.once("googlenet", lambda path: peers.save_random("googlenet", path))
    npz, network, photo = folder / "googlenet.npz", folder / "googlenet.keras", setting.example("sky")
    if setting.has("PyTorch") and not (folder / "4c.npy").is_file():
        check_difference(network, folder, setting.python)
    peer, theirs = "PyTorch, float32", None
    if setting.has("PyTorch"):
        theirs = peers.timed(peers.peer_side(setting.python, "deepdream", npz, photo, folder / "theirs.png"))
    for precision in peers.precisions():
        words = (photo, folder / "ours.png", precision, network)
        ours = peers.timed([sys.executable, "-c", DREAM, *words])
        yield Row(f"the whole program, {precision}", "s", ours.seconds, peer, theirs and theirs.seconds)
        steps = theirs and theirs.answer()["seconds"]
        yield Row(f"the 40 steps, {precision}", "s", ours.answer()["seconds"], peer, steps)
        yield Row(f"memory, {precision}", "MB", ours.peak, peer, theirs and theirs.peak)


def check_difference(weights: Path, folder: Path, python: str) -> float:
    """How far inception_4c/output of both is apart.

    Raises:
        SystemExit: too far.
    """
    if (apart := difference(weights, folder, python)) > 1e-4:
        raise SystemExit(f"the two networks differ: inception_4c/output by {apart:.1e} of its largest value")
    return apart


def main(shared: Path, python: str, folder: Path, repeats: int) -> None:
    os.environ["IMGNN_HOME"], os.environ["IMGNN_WEIGHTS_URL"] = str(folder / "home"), str(shared / "weights")
    from imgnn import start

    start.quiet()
    import keras
    import tensorflow

    folder.mkdir(parents=True, exist_ok=True)
    photo, caffemodel = shared / "photos" / PHOTO, shared / "weights" / "bvlc_googlenet.caffemodel"
    peers.save_npz(peers.read_blobs(caffemodel), folder / "googlenet.npz")
    apart = check_difference(caffemodel, folder, python)

    peer = "google/deepdream in PyTorch, float32"
    outputs = {peer: folder / "deepdream.png"}
    commands = {peer: peers.peer_side(python, "deepdream", folder / "googlenet.npz", photo, outputs[peer])}
    for precision in ("float32", "bfloat16"):
        outputs[name := f"imgnn dream, {precision}"] = folder / f"imgnn_{precision}.png"
        commands[name] = [sys.executable, "-c", DREAM, photo, outputs[name], precision, "googlenet"]
    runs: dict[str, list[peers.Process]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            runs[name].append(peers.timed(command))
    strengths = peers.call(python, "dream_strengths", folder / "googlenet.npz", photo, *outputs.values())

    told = peers.call(python, "versions")
    print(
        f"{peers.machine()}\n\nPyTorch {told['torch']}, {told['threads']} threads; "
        f"TensorFlow {tensorflow.__version__}, Keras {keras.__version__}\n\n"
        f"{PHOTO}; inception_4c/output of both differs by {apart:.0e} of its largest value. "
        f"Medians of {repeats} interleaved runs, each a process of its own. "
        f"The mean of a² is {strengths[0]:.0f} for the photo\n"
    )
    print("| | whole program | the loop | processor | memory | mean of a² |\n|---|---|---|---|---|---|")
    for (name, each), strength in zip(runs.items(), strengths[1:], strict=True):
        seconds, processor, peak, loop = (
            statistics.median(values)
            for values in (
                [run.seconds for run in each],
                [run.processor for run in each],
                [run.peak for run in each],
                [json.loads(run.output)["seconds"] for run in each],
            )
        )
        print(f"| {name} | {seconds:.1f} s | {loop:.1f} s | {processor:.0f} s | {peak:.0f} MB | {strength:.0f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "peers-benchmark")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    main(given.shared.resolve(), given.peer_python, given.work.resolve(), given.repeats)
