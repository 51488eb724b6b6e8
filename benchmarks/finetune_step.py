"""A training step of whole networks beside PyTorch, and what it costs to read the pictures: images a second, memory.

    python benchmarks/finetune_step.py SHARED --peer-python VENV/bin/python

SHARED holds weights and pictures of flowers, VENV has PyTorch. SqueezeNet v1.1 with its published weights and CaffeNet
with random ones, both with a new classifier for 20 classes, all of it trained: batches of 32 pictures, SGD with
momentum 0.9. A step begins with uint8 pixels in main memory and ends with new weights; `peers.Training` is the peer's,
`imgnn.training.trainer.Trainer`, as `imgnn finetune` calls it, is ours. Prints Markdown.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import peers
from benchmarks.comparison import Row, Setting
from benchmarks.style_vgg19 import matmul_rate

NETWORKS = ("squeezenet-v1.1", "caffenet")
SIZE, BATCH, CLASSES, RATE = (227, 227), 32, 20, 0.001
WARM, STEPS = 3, 10  # of each process; those that warm up are not counted
COMPARED = 2  # steps, after which the weights of both are looked at
MOST_APART = {"loss": 1e-5, "weights": 1e-3, "change": 2e-2}  # see `differences`
EPOCHS = 4  # over the flowers; the first of them decodes
# Of CaffeNet's layers: what is before it, in Caffe's axes, the deviation of its kernel, and its bias, before training:
# models/bvlc_reference_caffenet/train_val.prototxt (BVLC/caffe).
CAFFENET = {
    "conv1": ((96, 3, 11, 11), 0.01, 0),
    "conv2": ((256, 48, 5, 5), 0.01, 1),
    "conv3": ((384, 256, 3, 3), 0.01, 0),
    "conv4": ((384, 192, 3, 3), 0.01, 1),
    "conv5": ((256, 192, 3, 3), 0.01, 1),
    "fc6": ((4096, 9216), 0.005, 1),
    "fc7": ((4096, 4096), 0.005, 1),
    "fc8": ((CLASSES, 4096), 0.01, 0),
}
PEERS = {  # order of the arrays in memory, precision
    "PyTorch, float32, contiguous": ("contiguous_format", "float32"),
    "PyTorch, float32, channels_last": ("channels_last", "float32"),
    "PyTorch, bfloat16 (autocast), channels_last": ("channels_last", "bfloat16"),
}


# The networks, the same for both sides


def blobs_of(name: str, shared: Path | None, seed: int = 0) -> dict[str, list[np.ndarray]]:
    """A network's blobs in Caffe's axes, with a new classifier; without `shared` they are all random."""
    random = np.random.default_rng(seed)

    def drawn(shape: tuple[int, ...], deviation: float, bias: float) -> list[np.ndarray]:
        kernel = random.normal(0, deviation, shape).astype("float32")
        return [kernel, np.full(shape[0], bias, "float32")]

    if name == "caffenet":
        return {layer: drawn(*filler) for layer, filler in CAFFENET.items()}
    weights = shared and shared / "weights" / "squeezenet_v1.1.caffemodel"
    stored = peers.read_blobs(weights) if weights else peers.random_blobs(name)
    blobs = {layer: [own[0], own[1].ravel()] for layer, own in stored.items() if own}
    return {**blobs, "conv10": drawn((CLASSES, 512, 1, 1), 0.01, 0)}


def headed(name: str) -> Any:
    """The network with a head of its own kind for the classes; its weights are not those of the comparison yet."""
    from imgnn.networks import names
    from imgnn.networks.head import replace_head

    return replace_head(names.network_of(name), [str(number) for number in range(CLASSES)])


def prepare_files(shared: Path | None, folder: Path) -> None:
    """The weights for both sides, and a batch of noise with labels."""
    from imgnn.caffe.layout import assign_blobs
    from imgnn.networks.files import save_network

    folder.mkdir(parents=True, exist_ok=True)
    for name in NETWORKS:
        network, blobs = headed(name), blobs_of(name, shared)
        assign_blobs(network.model, network.layers, blobs)
        peers.save_npz(blobs, folder / f"{name}-{CLASSES}.npz")
        save_network(network, folder / f"{name}-{CLASSES}.keras")
        random = np.random.default_rng(1)
        np.savez(
            folder / f"{name}-batch.npz",
            pixels=random.integers(0, 256, (BATCH, *SIZE, 3), "uint8"),
            labels=random.integers(0, CLASSES, BATCH),
            mean=np.array(network.preprocessing.mean),
        )


# Our side


def load(name: str, folder: Path, precision: str, *, drop: bool = True) -> tuple[Any, Any]:
    """The network of the work folder, and what trains all of it."""
    import keras

    from imgnn import backend
    from imgnn.networks.files import load_network_file
    from imgnn.training.trainer import Trainer, divide

    network = load_network_file(folder / f"{name}-{CLASSES}.keras")
    for layer in network.model.layers:
        if isinstance(layer, keras.layers.Dropout) and not drop:
            layer.rate = 0.0
    whole = divide(network, None).whole
    return network, Trainer(whole, optimizer="sgd", precision=backend.precision_of(precision))


def load_batch(name: str, folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """What a step takes: pixels, targets, weights, learning rate."""
    given = np.load(folder / f"{name}-batch.npz")
    targets = np.eye(CLASSES, dtype="float32")[given["labels"]]
    return given["pixels"], targets, np.ones(BATCH, "float32"), RATE


def steps(name: str, folder: str, precision: str) -> list[float]:
    """Seconds of each training step: the work of one process."""
    _, trainer = load(name, Path(folder), precision)
    batch = load_batch(name, Path(folder))
    with trainer.computing():
        return peers.seconds_of(lambda: trainer.step(*batch), STEPS, WARM)


def epoch_seconds(flowers: str, use: Callable[[np.ndarray], object]) -> tuple[int, list[float]]:
    """How many pictures an epoch delivers as random crops, and the seconds of each of several epochs.

    Args:
        use: called with the pixels of each batch.
    """
    from imgnn.data.batches import Pictures, training_batches
    from imgnn.images.augment import Augmentation, augment, frame_of

    def frame(image: np.ndarray) -> np.ndarray:
        return frame_of(image, SIZE, 256, "random", "square")

    def view(frame: np.ndarray, random: np.random.Generator) -> np.ndarray:
        return augment(frame, SIZE, Augmentation(), random)

    pictures = Pictures(sorted(Path(flowers).glob("*/*.jpg")), frame, room=1 << 30)
    seconds = []
    for epoch in range(EPOCHS):
        began = time.perf_counter()
        for batch in training_batches(pictures, view, batch=BATCH, seed=0, epoch=epoch):
            use(batch.views)
        seconds.append(time.perf_counter() - began)
    return len(pictures) // BATCH * BATCH, seconds


def delivered(flowers: str) -> dict[str, float]:
    """Pictures a second of the delivery alone, in the first epoch and in later ones: the work of one process."""
    count, (first, *later) = epoch_seconds(flowers, lambda pixels: None)
    return {"first": count / first, "later": count / statistics.median(later)}


def trained(name: str, folder: str, flowers: str) -> dict[str, float]:
    """The same of a training, and of its steps alone: the work of one process."""
    _, trainer = load(name, Path(folder), "auto")
    batch = load_batch(name, Path(folder))
    with trainer.computing():
        seconds = peers.seconds_of(lambda: trainer.step(*batch), STEPS, WARM)
        count, (first, *later) = epoch_seconds(flowers, lambda pixels: trainer.step(pixels, *batch[1:]))
        seconds += peers.seconds_of(lambda: trainer.step(*batch), STEPS)
    alone = BATCH / statistics.median(seconds)
    return {"first": count / first, "later": count / statistics.median(later), "alone": alone}


# The comparison


def differences(name: str, folder: Path, python: str) -> dict[str, float]:
    """How far both are apart after the same steps in float32, nothing dropped.

    Returns:
        "loss": of a step, as a share of it. "weights": in a kernel or bias, as a share of its largest number. "change":
        the length of what is apart in a kernel or bias, as a share of the length of what the steps changed in it; the
        rounding of the weights themselves is 1e-3 and more of that. Each is the largest there is.
    """
    from imgnn.caffe.layout import assign_blobs

    before, batch, after = (folder / f"{name}-{end}.npz" for end in (CLASSES, "batch", "after"))
    theirs = peers.call(python, "trained_blobs", name, before, batch, RATE, after, COMPARED)
    network, trainer = load(name, folder, "float32", drop=False)
    ours = [trainer.step(*load_batch(name, folder))[0] for _ in range(COMPARED)]
    own = network.model.get_weights()
    found = []
    for file in (before, after):
        arrays = np.load(file)
        blobs = {key[:-2]: [arrays[key], arrays[f"{key[:-2]}:1"]] for key in arrays if key.endswith(":0")}
        assign_blobs(network.model, network.layers, blobs)
        found.append(network.model.get_weights())
    weights, change = [], []
    for mine, start, end in zip(own, *found, strict=True):
        weights.append(float(np.abs(mine - end).max() / np.abs(end).max()))
        change.append(float(np.linalg.norm(mine - end) / np.linalg.norm(end - start)))
    loss = [abs(mine - their) / their for mine, their in zip(ours, theirs, strict=True)]
    return {"loss": max(loss), "weights": max(weights), "change": max(change)}


def work_of_layers(model: Any) -> dict[str, int]:
    """Floating point operations of each layer with a kernel, forwards, for one picture; `a b + c` counts as two."""
    return {
        layer.name: 2 * math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1])
        for layer in model.layers
        if hasattr(layer, "kernel")
    }


def work_of_step(model: Any) -> int:
    """The same of a training step, for one picture.

    A layer's gradients by its kernel and by its input take as many operations as the layer; nobody asks for the one by
    the pixels.
    """
    forwards = list(work_of_layers(model).values())
    return 3 * sum(forwards) - forwards[0]


def own_side(function: str, *words: object) -> list[object]:
    """The command that calls a function of this file in a process of its own; its answer comes as JSON."""
    return [sys.executable, __file__, "--own", function, *words]


def compare_steps(name: str, folder: Path, python: str, repeats: int) -> None:
    """Print images a second and memory of both, and the floor of ours."""
    from imgnn import backend
    from imgnn.networks.files import load_network_file

    files = [folder / f"{name}-{end}.npz" for end in (CLASSES, "batch")]
    commands = {
        label: peers.peer_side(python, "training_seconds", name, *files, RATE, *how, WARM, STEPS)
        for label, how in PEERS.items()
    }
    floors = {}
    for precision in dict.fromkeys(("float32", backend.precision_of("auto"))):
        commands[label := f"imgnn, {precision}"] = own_side("steps", name, folder, precision)
        floors[label] = matmul_rate(precision)
    runs: dict[str, list[peers.Process]] = {label: [] for label in commands}
    rates: dict[str, list[float]] = {label: [] for label in floors}
    for _ in range(repeats):
        for label, command in commands.items():
            runs[label].append(peers.timed(command))
        for label, measure in floors.items():
            rates[label].append(measure())
    seconds = {
        label: statistics.median(statistics.median(run.answer()) for run in each) for label, each in runs.items()
    }
    work = BATCH * work_of_step(load_network_file(folder / f"{name}-{CLASSES}.keras").model)
    peer = min(seconds[label] for label, (_, precision) in PEERS.items() if precision == "float32")
    print(
        f"\n{name}: a step is {work / 1e9:.0f} GFLOP.\n\n"
        "| | images/s | a step | of PyTorch's in float32 | memory | floor | floor / step |\n"
        "|---|---|---|---|---|---|---|"
    )
    for label, each in runs.items():
        cells = [f"{BATCH / seconds[label]:.1f}", f"{seconds[label]:.3f} s", f"{seconds[label] / peer:.2f}"]
        cells.append(f"{statistics.median(run.peak for run in each):.0f} MB")
        if label in floors:
            rate = max(rates[label])
            floor = work / rate
            cells += [f"{floor:.3f} s ({rate / 1e9:.0f} GFLOP/s)", f"{floor / seconds[label]:.0%}"]
        else:
            cells += ["", ""]
        print(f"| {label} | {' | '.join(cells)} |", flush=True)


def compare_delivery(shared: Path, folder: Path, repeats: int) -> None:
    """Print how many pictures a second are read, and what reading them costs a training."""
    flowers = shared / "data" / "flowers" / "train"
    commands = {"read and cropped, nothing trained": own_side("delivered", flowers)}
    for name in NETWORKS:
        commands[f"training {name}"] = own_side("trained", name, folder, flowers)
    found: dict[str, list[dict[str, float]]] = {label: [] for label in commands}
    for _ in range(repeats):
        for label, command in commands.items():
            found[label].append(peers.timed(command).answer())
    print(
        f"\nJPEGs of {flowers.relative_to(shared)} in random crops, pictures/s. The first epoch decodes; later ones "
        "find frames in memory. Then the steps alone, in the same process, and what share of their rate is left.\n\n"
        "| | first epoch | later | steps alone | first / alone | later / alone |\n|---|---|---|---|---|---|"
    )
    for label, each in found.items():
        rate = {key: statistics.median(one[key] for one in each) for key in each[0]}
        cells = [f"{rate[key]:.1f}" for key in rate]
        alone = rate.get("alone")
        cells += [f"{rate[key] / alone:.0%}" for key in ("first", "later")] if alone else [""] * 3
        print(f"| {label} | {' | '.join(cells)} |", flush=True)


def check_differences(name: str, folder: Path, python: str) -> dict[str, float]:
    """How far both are apart after a few steps: of the losses, and of what changed in the weights (`differences`).

    Raises:
        SystemExit: they are too far apart.
    """
    apart = differences(name, folder, python)
    if any(apart[what] > most for what, most in MOST_APART.items()):
        raise SystemExit(f"the two trainings of {name} differ: {apart}")
    return apart


def heading(folder: Path, python: str) -> None:
    """What is compared, on what machine; and that both compute the same.

    Raises:
        SystemExit: they do not.
    """
    import keras
    import tensorflow

    told = peers.call(python, "versions")
    print(
        f"{peers.machine()}\n\nPyTorch {told['torch']}, {told['threads']} threads; "
        f"TensorFlow {tensorflow.__version__}, Keras {keras.__version__}\n\n"
        f"{SIZE[0]} x {SIZE[1]} pixels, batches of {BATCH}, {CLASSES} classes, SGD with momentum 0.9, all layers "
        f"trained. How far both are apart after {COMPARED} steps in float32, nothing dropped:\n"
    )
    for name in NETWORKS:
        apart = check_differences(name, folder, python)
        print(
            f"- {name}: the loss {apart['loss']:.0e}, the weights {apart['weights']:.0e} of their largest, what "
            f"changed in them {apart['change']:.0e} of the change",
            flush=True,
        )


def rows(setting: Setting) -> Iterator[Row]:
    """Seconds of a training step on both sides, with random weights; and memory."""
    folder, there = setting.work / "finetune", setting.has("PyTorch")
    networks = NETWORKS[:1] if setting.quick else NETWORKS
    if not folder.exists():
        prepare_files(None, folder)
        for name in networks if there else ():
            check_differences(name, folder, setting.python)
    for name in networks:
        files = [folder / f"{name}-{end}.npz" for end in (CLASSES, "batch")]
        for precision in peers.precisions():
            what, peer = f"{name}, {precision}", f"PyTorch, {precision}, channels_last"
            ours = peers.timed(own_side("steps", name, folder, precision))
            own = min(ours.answer())
            if not there:
                yield Row(what, "s", own, peer)
                continue
            words = (name, *files, RATE, "channels_last", precision, WARM, STEPS)
            theirs = peers.timed(peers.peer_side(setting.python, "training_seconds", *words))
            yield Row(what, "s", own, peer, min(theirs.answer()))
            yield Row(f"{what}, memory", "MB", ours.peak, peer, theirs.peak)


def main(shared: Path, python: str, folder: Path, repeats: int) -> None:
    from imgnn import start

    start.quiet()
    prepare_files(shared, folder)
    heading(folder, python)
    print(f"\nMedians of {repeats} interleaved repeats, each a process of its own; dropout as in training.")
    for name in NETWORKS:
        compare_steps(name, folder, python, repeats)
    compare_delivery(shared, folder, repeats)


def own() -> None:
    """The work of one process: print what a function of this file gives."""
    from imgnn import start

    start.quiet()
    function = {"steps": steps, "delivered": delivered, "trained": trained}[sys.argv[2]]
    print(json.dumps(function(*sys.argv[3:])))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--own"]:
        own()
        sys.exit()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "peers-benchmark")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    main(given.shared.resolve(), given.peer_python, given.work.resolve(), given.repeats)
