"""What the benchmarks against other programs share: the same weights for both sides, and how a peer is run.

The lower half of this file is the peers' side: it needs PyTorch and NumPy only, and is run by a Python of its own,
`python benchmarks/peers.py FUNCTION ARGUMENTS`.
"""

import datetime
import inspect
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))  # VGG-19: convolutions of a block, channels of each
MEAN = (103.939, 116.779, 123.68)  # BGR, of VGG and of neural-style
GOOGLENET_MEAN = (104.0, 117.0, 123.0)  # BGR

Blobs = Mapping[str, Sequence[np.ndarray]]


def convolutions() -> dict[str, tuple[int, int]]:
    """VGG-19's layers with weights, below the fully connected ones: name -> (channels in, channels out)."""
    found, channels = {}, 3
    for block, (length, filters) in enumerate(BLOCKS, 1):
        for number in range(1, length + 1):
            found[f"conv{block}_{number}"] = (channels, filters)
            channels = filters
    return found


def read_blobs(caffemodel: Path) -> dict[str, list[np.ndarray]]:
    """Layer -> its blobs, float32, in Caffe's axes: kernel `(out, in, height, width)`, bias."""
    from imgnn.caffe.wire import blob_array, read_caffemodel

    net = read_caffemodel(caffemodel)
    return {layer.name: [blob_array(blob) for blob in layer.blobs] for layer in [*net.layer, *net.layers]}


def vgg19_blobs(caffemodel: Path | None, seed: int = 0) -> dict[str, list[np.ndarray]]:
    """VGG-19's blobs: those of the file; for the layers it lacks, random ones that keep the losses' proportions.

    Random kernels are normal with a variance of `2 / (9 * channels in)`, biases 0: what a ReLU halves is put back
    (Delving Deep into Rectifiers, arXiv:1502.01852, eq. 10). From conv4_2 on they are half as large: activations of the
    trained network shrink there, and the style loss of relu5_1 is 5e-5 of relu4_1's (563 and 11347409 in the log of
    neural-style-pt's INSTALL.md; here 2e-5). At full size relu5_1 would be nearly all that is optimised.
    """
    stored, random = read_blobs(caffemodel) if caffemodel else {}, np.random.default_rng(seed)
    blobs = {}
    for name, (channels, filters) in convolutions().items():
        gain = 1.0 if name <= "conv4_1" else 0.5
        kernel = random.normal(0, gain * np.sqrt(2 / (9 * channels)), (filters, channels, 3, 3)).astype("float32")
        blobs[name] = stored.get(name) or [kernel, np.zeros(filters, "float32")]
    return blobs


def random_blobs(name: str, classes: int = 1000, seed: int = 0) -> dict[str, list[np.ndarray]]:
    """Blobs of a network of the registry, in Caffe's axes: they cost the same time as trained ones.

    The first kernel is a 64th of He et al.'s: activations are about 1, not as large as pixels.
    """
    from tests.networks import prototxts

    drawn = prototxts.random_blobs(prototxts.deploy(name, (227, 227), classes), np.random.default_rng(seed))
    blobs = {layer: [kernel, 0 * bias] for layer, (kernel, bias) in drawn.items()}
    next(iter(blobs.values()))[0] /= 64
    return blobs


def save_random(name: str, folder: Path) -> None:
    """A network with such weights in a new folder, for both sides: NAME.npz and NAME.keras."""
    from imgnn.caffe.layout import assign_blobs
    from imgnn.networks import names
    from imgnn.networks.files import save_network

    folder.mkdir(parents=True)
    network, blobs = names.network_of(name), random_blobs(name)
    assign_blobs(network.model, network.layers, blobs)
    save_npz(blobs, folder / f"{name}.npz")
    save_network(network, folder / f"{name}.keras")


def save_npz(blobs: Blobs, path: Path) -> Path:
    """The blobs as plain arrays, `LAYER:0` the kernel, `LAYER:1` the bias: what the peers' side reads."""
    arrays: dict[str, Any] = {f"{name}:{i}": each for name, own in blobs.items() for i, each in enumerate(own)}
    np.savez(path, **arrays)
    return path


def save_keras(blobs: Blobs, path: Path) -> Path:
    """VGG-19 up to pool5 with these weights, as a file of imgnn's."""
    from imgnn.caffe.layout import assign_blobs
    from imgnn.networks import names, registry
    from imgnn.networks.files import save_network, unallocated

    spec = registry.find("vgg19")
    network = unallocated(lambda: names.lower_part(names.network_of(spec), spec, "fc6"))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_network(network, path, fill=lambda put: assign_blobs(network.model, network.layers, blobs, assign=put))
    return path


def machine() -> str:
    """The processor, its cores, how busy they are, and the date."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    units = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return (
        f"{model or platform.processor()} ({', '.join(units)}), {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}, {datetime.date.today()}"
    )


@dataclass(frozen=True)
class Process:
    """What a program took: seconds on the clock, seconds of processor time, MB of memory at most; and its stdout."""

    seconds: float
    processor: float
    peak: float
    output: str

    def answer(self) -> Any:
        """What it printed last, as JSON."""
        return json.loads(self.output.splitlines()[-1])


# Runs a program and tells, in a last line, what it took. A process's peak of memory counts from its parent's at the
# fork: between a benchmark that has TensorFlow loaded and the program there has to be one that is small.
LAUNCHER = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
print()  # the program may not have ended its last line
print(status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
"""


def precisions() -> list[str]:
    """Ours: float32, and what "auto" means on this machine if that is another."""
    from imgnn import backend

    return list(dict.fromkeys(("float32", backend.precision_of("auto"))))


def launched(command: Sequence[object], errors: int | None = None) -> "subprocess.Popen[str]":
    """A program whose last line is the launcher's."""
    words = [sys.executable, "-S", "-c", LAUNCHER, *map(str, command)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True)


def usage_of(line: str, command: Sequence[object]) -> tuple[float, float]:
    """Seconds of processor time and MB at most, of the launcher's line.

    Raises:
        SystemExit: the program failed.
    """
    status, processor, peak = map(float, line.split())
    if status:
        raise SystemExit(f"ended with status {status:.0f}: {' '.join(map(str, command))}")
    return processor, peak


def timed(command: Sequence[object]) -> Process:
    """Run a program to its end; what it writes to stderr is not shown."""
    began = time.perf_counter()
    process = launched(command, subprocess.DEVNULL)
    assert process.stdout is not None
    *output, last = process.stdout.read().splitlines()
    process.wait()
    seconds = time.perf_counter() - began
    return Process(seconds, *usage_of(last, command), "\n".join(output).strip())


def peer_side(python: str | Path, function: str, *words: object) -> list[object]:
    """The command that calls a function of the peers' side, whose answer comes as JSON."""
    return [python, __file__, function, *words]


def call(python: str | Path, function: str, *words: object) -> Any:
    """What a function of the peers' side gives, in the peer's Python."""
    command = [str(word) for word in peer_side(python, function, *words)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


@dataclass
class Run:
    """A run of neural-style-pt.

    Attributes:
        seconds: since its start, when each iteration was done.
        losses: of each iteration: "content", "style", of its layers together, "total" with TV.
        layers: of the first iteration: "Content 1", "Style 1", ...
        processor: seconds of processor time.
        peak: its memory at most, MB.
        where: the machine.
    """

    seconds: list[float] = field(default_factory=list)
    losses: list[dict[str, float]] = field(default_factory=list)
    layers: dict[str, float] = field(default_factory=dict)
    processor: float = 0.0
    peak: float = 0.0
    where: str = ""


def neural_style(python: str | Path, folder: Path, *words: object) -> Run:
    """Run a checkout of neural-style-pt on the CPU, and note what it tells of each iteration."""
    command = [str(python), "-u", str(folder / "neural_style.py"), "-gpu", "c", "-backend", "mkl", "-disable_check"]
    run, began = Run(where=machine()), time.perf_counter()
    process = launched([*command, "-print_iter", "1", *words])
    assert process.stdout is not None
    line = ""
    for line in process.stdout:
        name, _, value = line.strip().partition(" loss: ")
        if line.startswith("Iteration"):
            run.losses.append({"content": 0.0, "style": 0.0})
        elif name == "Total":
            run.losses[-1]["total"] = float(value)
            run.seconds.append(time.perf_counter() - began)
        elif value:
            run.losses[-1][name.split()[0].lower()] += float(value)
            run.layers.setdefault(name, float(value))
    process.wait()
    run.processor, run.peak = usage_of(line, command)
    return run


def kept_neural_style(cache: Path, python: str | Path, folder: Path, *words: object) -> Run:
    """The same; a run that was made before is read from `cache`."""
    if not cache.is_file():
        cache.write_text(json.dumps(asdict(neural_style(python, folder, *words))))
    return Run(**json.loads(cache.read_text()))


# What both sides call.


def seconds_of(action: Callable[[], object], count: int, warm: int = 0) -> list[float]:
    """Seconds of each of `count` calls, after some that warm up."""
    seconds = []
    for _ in range(warm + count):
        began = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - began)
    return seconds[warm:]


def search_by_rows(
    step: Callable[[int, Any], tuple[np.ndarray, Any]], state: Any, width: int, length: int
) -> list[tuple[list[int], float]]:
    """A beam search as it is written down first: a picture's hypotheses one after the other, each with a state.

    Each hypothesis goes on with its `width` most probable words; the `width` best of all are kept. END is a word like
    others: sentences have `length` of them.

    Args:
        step: a word and a state -> log-probabilities of the next word `(vocabulary,)`, and the next state.
        state: before START, which is word 0.

    Returns:
        Sentences and the sums of their log-probabilities, the best first.
    """
    beam: list[tuple[list[int], float, Any]] = [([], 0.0, state)]
    for _ in range(length):
        candidates = []
        for words, total, own in beam:
            log_prob, after = step(words[-1] if words else 0, own)
            most = min(width, len(log_prob))
            for word in np.argpartition(log_prob, -most)[-most:]:
                candidates.append(([*words, int(word)], total + float(log_prob[word]), after))
        beam = sorted(candidates, key=lambda each: -each[1])[:width]
    return [(words, total) for words, total, _ in beam]


def timed_searches(search: Callable[[np.ndarray], Any], rows: np.ndarray) -> dict[str, Any]:
    """`seconds` of each row's search, after one that warms up, and the `sentences` found."""
    search(rows[0])
    seconds, found = [], []
    for row in rows:
        began = time.perf_counter()
        found.append(search(row))
        seconds.append(time.perf_counter() - began)
    return {"seconds": seconds, "sentences": found}


# The peers' side: PyTorch.


def versions() -> dict[str, str]:
    """What computes."""
    import torch

    return {"python": platform.python_version(), "torch": torch.__version__, "threads": str(torch.get_num_threads())}


def state_dict(npz: str, path: str) -> None:
    """Blobs as the weights file that neural-style-pt reads: `features.N.weight`, N counts ReLUs and pools too."""
    import torch

    blobs, state, place, block = np.load(npz), {}, 0, "1"
    for name in convolutions():
        if name[4] != block:
            place, block = place + 1, name[4]  # a pool
        if f"{name}:0" not in blobs:  # a file that ends early
            break
        state[f"features.{place}.weight"] = torch.from_numpy(blobs[f"{name}:0"])
        state[f"features.{place}.bias"] = torch.from_numpy(blobs[f"{name}:1"])
        place += 2  # the convolution and its ReLU
    torch.save(state, path)


def vgg19_features(npz: str | Mapping[str, np.ndarray], x: Any, wanted: Sequence[str]) -> dict[str, Any]:
    """VGG-19's activations after their ReLUs: `x` is `(1, 3, height, width)`, BGR minus mean."""
    import torch
    import torch.nn.functional as F

    blobs, found, block = np.load(npz) if isinstance(npz, str) else npz, {}, "1"
    for name in convolutions():
        if name[4] != block:
            x, block = F.max_pool2d(x, 2, 2), name[4]
        kernel, bias = (torch.from_numpy(blobs[f"{name}:{i}"]).to(x.dtype) for i in (0, 1))
        x = F.relu(F.conv2d(x, kernel, bias, padding=1))
        found[name.replace("conv", "relu")] = x
        if set(wanted) <= set(found):
            break
    return {name: found[name] for name in wanted}


def relu5_1(npz: str, x: str, output: str) -> None:
    """relu5_1 of an array in a file: both `(1, height, width, channels)`, as imgnn has them."""
    import torch

    with torch.no_grad():
        seen = vgg19_features(npz, torch.from_numpy(np.load(x)).permute(0, 3, 1, 2), ["relu5_1"])["relu5_1"]
    np.save(output, seen.permute(0, 2, 3, 1).numpy())


def picture_losses(npz: str, content: str, style: str, *pictures: str) -> list[dict[str, float]]:
    """neural-style's losses of pictures in files, in float32, all of one size: `content`, `style`, `tv`.

    `content = 5 mean((F - P)²)` at relu4_2; `style = 100 sum over relu1_1 ... relu5_1 of mean((G - A)²)` with
    `G = F Fᵀ / (N M)`; `tv` for itself: `½ sum of (x - x_right)² + (x - x_below)²`.
    """
    import torch

    layers = [f"relu{block}_1" for block in range(1, 6)]

    def see(path: str) -> Any:
        return vgg19_features(npz, picture_tensor(path), ["relu4_2", *layers])

    def gram(features: Any) -> Any:
        flat = features.flatten(2)[0]
        return flat @ flat.T / flat.numel()

    losses = []
    with torch.no_grad():
        photo, painting = see(content)["relu4_2"], {name: gram(each) for name, each in see(style).items()}
        for path in pictures:
            seen, x = see(path), picture_tensor(path)
            corner = x[:, :, :-1, :-1]
            losses.append(
                {
                    "content": 5 * float((seen["relu4_2"] - photo).square().mean()),
                    "style": 100 * sum(float((gram(seen[name]) - painting[name]).square().mean()) for name in layers),
                    "tv": 0.5
                    * float((corner - x[:, :, :-1, 1:]).square().sum() + (corner - x[:, :, 1:, :-1]).square().sum()),
                }
            )
    return losses


def style_seconds(npz: str, content: str, style: str, precision: str, warm: str, count: str) -> list[float]:
    """Seconds of neural-style's loss, as of `picture_losses`, and its gradient by the pixels of the photo.

    Args:
        precision: "float32", or "bfloat16" for what autocast chooses to compute in it.
    """
    import torch

    layers, blobs = [f"relu{block}_1" for block in range(1, 6)], dict(np.load(npz))
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")

    def gram(features: Any) -> Any:
        flat = features.flatten(2)[0]
        return flat @ flat.T / flat.numel()

    with torch.no_grad(), autocast:
        photo = vgg19_features(blobs, picture_tensor(content), ["relu4_2"])["relu4_2"]
        painting = {name: gram(each) for name, each in vgg19_features(blobs, picture_tensor(style), layers).items()}
    x = picture_tensor(content).requires_grad_()

    def evaluate() -> None:
        with autocast:
            seen = vgg19_features(blobs, x, ["relu4_2", *layers])
            style_loss = sum((gram(seen[name]) - painting[name]).float().square().mean() for name in layers)
            loss = 5 * (seen["relu4_2"] - photo).float().square().mean() + 100 * style_loss
        torch.autograd.grad(loss, x)

    return seconds_of(evaluate, int(count), int(warm))


def picture_tensor(path: str, mean: Sequence[float] = MEAN) -> Any:
    """A picture as Caffe's networks take it: float32 `(1, 3, height, width)`, BGR minus mean."""
    import torch
    from PIL import Image

    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"), "float32")
    return torch.from_numpy(pixels[:, :, ::-1] - np.array(mean, "float32")).permute(2, 0, 1)[None]


def googlenet_features(blobs: Any, x: Any, last: str = "4c") -> Any:
    """An inception's output of BVLC GoogLeNet, `(n, channels, h, w)`: `x` is `(n, 3, height, width)`, BGR minus mean.

    Args:
        last: "3a" ... "5b".

    Source: bvlc_googlenet's prototxt (BVLC/caffe): pooling that rounds up, LRN over 5 channels.
    """
    import torch
    import torch.nn.functional as F

    def conv(x: Any, name: str, stride: int = 1) -> Any:
        kernel, bias = blobs[f"{name}:0"], blobs[f"{name}:1"]
        return F.relu(F.conv2d(x, kernel, bias.flatten(), stride, padding=kernel.shape[-1] // 2))

    def pool(x: Any) -> Any:
        return F.max_pool2d(x, 3, 2, ceil_mode=True)

    def lrn(x: Any) -> Any:
        return F.local_response_norm(x, 5, alpha=1e-4, beta=0.75, k=1.0)

    def inception(x: Any, name: str) -> Any:
        ways = [
            conv(x, f"{name}/1x1"),
            conv(conv(x, f"{name}/3x3_reduce"), f"{name}/3x3"),
            conv(conv(x, f"{name}/5x5_reduce"), f"{name}/5x5"),
            conv(F.max_pool2d(x, 3, 1, padding=1), f"{name}/pool_proj"),
        ]
        return torch.cat(ways, 1)

    x = lrn(pool(conv(x, "conv1/7x7_s2", stride=2)))
    x = pool(lrn(conv(conv(x, "conv2/3x3_reduce"), "conv2/3x3")))
    for number in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        x = inception(pool(x) if number in ("4a", "5a") else x, f"inception_{number}")
        if number == last:
            break
    return x


def torch_blobs(npz: str) -> dict[str, Any]:
    """All arrays of a file, as tensors."""
    import torch

    return {name: torch.from_numpy(each) for name, each in np.load(npz).items()}


def inception_4c(npz: str, x: str, output: str) -> None:
    """inception_4c/output of an array in a file: both `(1, height, width, channels)`, as imgnn has them."""
    import torch

    with torch.no_grad():
        seen = googlenet_features(torch_blobs(npz), torch.from_numpy(np.load(x)).permute(0, 3, 1, 2))
    np.save(output, seen.permute(0, 2, 3, 1).numpy())


def deepdream(npz: str, photo: str, output: str, seed: str = "0") -> dict[str, float]:
    """The dream of google/deepdream (dream.ipynb) with its defaults, from a picture to a picture.

    4 octaves of 1.4, 10 steps each of `1.5 g / mean |g|`, g the gradient of `½ |a|²` at inception_4c/output; a shift of
    at most 32 pixels each step. As there, octaves are scaled by linear interpolation from corner to corner.

    Returns:
        `seconds` of the loop, without reading and writing.
    """
    import torch
    import torch.nn.functional as F
    from PIL import Image

    mean = torch.tensor(GOOGLENET_MEAN).view(1, 3, 1, 1)
    random, blobs = np.random.default_rng(int(seed)), torch_blobs(npz)
    start = picture_tensor(photo, GOOGLENET_MEAN)

    def zoom(x: Any, size: tuple[int, int]) -> Any:
        return F.interpolate(x, size, mode="bilinear", align_corners=True)

    began = time.perf_counter()
    octaves = [start]
    for _ in range(3):
        height, width = octaves[-1].shape[2:]
        octaves.append(zoom(octaves[-1], (round(height / 1.4), round(width / 1.4))))
    detail = torch.zeros_like(octaves[-1])
    for octave in reversed(octaves):
        x = octave + zoom(detail, octave.shape[2:])
        for _ in range(10):
            shift = [int(each) for each in random.integers(-32, 33, 2)]
            x = x.roll(shift, (3, 2)).requires_grad_()
            (gradient,) = torch.autograd.grad(googlenet_features(blobs, x).square().sum() / 2, x)
            x = (x.detach() + 1.5 / gradient.abs().mean() * gradient).roll([-each for each in shift], (3, 2))
            x = x.clamp(-mean, 255 - mean)
        detail = x - octave
    seconds = time.perf_counter() - began
    image = (x + mean)[0].permute(1, 2, 0).flip(2).round().to(torch.uint8)
    Image.fromarray(image.numpy()).save(output)
    return {"seconds": seconds}


def dream_strengths(npz: str, *pictures: str) -> list[float]:
    """The mean of the squares of inception_4c/output, of pictures in files: what a dream raises."""
    import torch

    blobs = torch_blobs(npz)
    with torch.no_grad():
        seen = (googlenet_features(blobs, picture_tensor(path, GOOGLENET_MEAN)) for path in pictures)
        return [float(each.square().mean()) for each in seen]


def squeezenet_logits(blobs: Any, x: Any, drop: bool) -> Any:
    """What SqueezeNet v1.1's softmax takes, `(n, classes)`: `x` is `(n, 3, height, width)`, BGR minus mean.

    Source: SqueezeNet_v1.1/deploy.prototxt (DeepScale/SqueezeNet); conv10 without its ReLU, as of a new classifier.
    """
    import torch
    import torch.nn.functional as F

    def conv(x: Any, name: str, **options: Any) -> Any:
        return F.relu(F.conv2d(x, blobs[f"{name}:0"], blobs[f"{name}:1"], **options), inplace=True)

    def pool(x: Any) -> Any:
        return F.max_pool2d(x, 3, 2, ceil_mode=True)

    def fire(x: Any, number: int) -> Any:
        x = conv(x, f"fire{number}/squeeze1x1")
        return torch.cat([conv(x, f"fire{number}/expand1x1"), conv(x, f"fire{number}/expand3x3", padding=1)], 1)

    x = pool(conv(x, "conv1", stride=2))
    x = pool(fire(fire(x, 2), 3))
    x = pool(fire(fire(x, 4), 5))
    for number in range(6, 10):
        x = fire(x, number)
    x = F.dropout(x, 0.5, drop)
    return F.conv2d(x, blobs["conv10:0"], blobs["conv10:1"]).mean((2, 3))


def caffenet_logits(blobs: Any, x: Any, drop: bool) -> Any:
    """What CaffeNet's softmax takes, `(n, classes)`: `x` is `(n, 3, 227, 227)`, BGR minus mean.

    Source: models/bvlc_reference_caffenet/deploy.prototxt (BVLC/caffe).
    """
    import torch.nn.functional as F

    def conv(x: Any, name: str, **options: Any) -> Any:
        return F.relu(F.conv2d(x, blobs[f"{name}:0"], blobs[f"{name}:1"], **options), inplace=True)

    def pool(x: Any) -> Any:
        return F.max_pool2d(x, 3, 2, ceil_mode=True)

    def lrn(x: Any) -> Any:
        return F.local_response_norm(x, 5, alpha=1e-4, beta=0.75, k=1.0)

    def inner_product(x: Any, name: str) -> Any:
        return F.linear(x, blobs[f"{name}:0"], blobs[f"{name}:1"])

    x = lrn(pool(conv(x, "conv1", stride=4)))
    x = lrn(pool(conv(x, "conv2", padding=2, groups=2)))
    x = conv(conv(x, "conv3", padding=1), "conv4", padding=1, groups=2)
    x = pool(conv(x, "conv5", padding=1, groups=2)).flatten(1)
    for name in ("fc6", "fc7"):
        x = F.dropout(F.relu(inner_product(x, name), inplace=True), 0.5, drop)
    return inner_product(x, "fc8")


LOGITS = {"squeezenet-v1.1": squeezenet_logits, "caffenet": caffenet_logits}


class Training:
    """A network in training, by SGD with momentum 0.9.

    Args:
        network: a name in `LOGITS`.
        npz: its blobs.
        batch: a file with `pixels`, uint8 `(n, height, width, 3)`, RGB; `labels`, `(n,)`; `mean`, `(3,)`, BGR.
        order: of the arrays in memory, "contiguous_format" or "channels_last".
        precision: "float32", or "bfloat16" for what autocast chooses to compute in it.
    """

    def __init__(
        self, network: str, npz: str, batch: str, rate: float, order: str, precision: str, drop: bool = True
    ) -> None:
        import torch

        self.logits_of, self.drop, self.order = LOGITS[network], drop, getattr(torch, order)
        self.autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")
        given = np.load(batch)
        self.pixels, self.labels = (torch.from_numpy(given[name]) for name in ("pixels", "labels"))
        self.mean = torch.from_numpy(given["mean"]).float().view(1, 3, 1, 1)
        self.blobs = {name: self.ordered(each).requires_grad_() for name, each in torch_blobs(npz).items()}
        # `fused`: all of a weight's step in one pass through memory.
        self.optimizer = torch.optim.SGD(self.blobs.values(), rate, momentum=0.9, fused=True)

    def ordered(self, array: Any) -> Any:
        """The same array, in the order of memory asked for if it has four axes."""
        return array.contiguous(memory_format=self.order) if array.ndim == 4 else array.contiguous()

    def step(self) -> tuple[float, float]:
        """From pixels to new weights: loss and accuracy of the batch before the step."""
        import torch.nn.functional as F

        x = self.ordered(self.pixels.permute(0, 3, 1, 2).flip(1).float() - self.mean)
        self.optimizer.zero_grad()
        with self.autocast:
            logits = self.logits_of(self.blobs, x, self.drop)
        loss = F.cross_entropy(logits.float(), self.labels)
        loss.backward()
        self.optimizer.step()
        return loss.item(), (logits.argmax(1) == self.labels).float().mean().item()


def training_seconds(
    network: str, npz: str, batch: str, rate: str, order: str, precision: str, warm: str, count: str
) -> list[float]:
    """Seconds of each of `count` training steps, after some that warm up."""
    return seconds_of(Training(network, npz, batch, float(rate), order, precision).step, int(count), int(warm))


def trained_blobs(network: str, npz: str, batch: str, rate: str, output: str, count: str) -> list[float]:
    """The losses of some steps in float32, nothing dropped; the blobs after them go to a file."""
    training = Training(network, npz, batch, float(rate), "contiguous_format", "float32", drop=False)
    losses = [training.step()[0] for _ in range(int(count))]
    np.savez(output, **{name: each.detach().numpy() for name, each in training.blobs.items()})
    return losses


class Captioning:
    """A decoder like imgnn's with one LSTM, in training by Adam: the picture, START, then words.

    Args:
        npz: weights by imgnn's names. The gates stand in the same order, `i, f, g, o`; there is one bias of them, so
            that of PyTorch's two the other one stays 0.
        batch: a file with `x`, float32 `(n, numbers)`; `tokens` and `targets`, `(n, t)`.
        precision: "float32", or "bfloat16" for what autocast chooses to compute in it.
        drop: share of values dropped before the LSTM and after it.
    """

    def __init__(self, npz: str, batch: str, rate: float, precision: str, drop: float) -> None:
        import torch
        from torch import nn

        own = torch_blobs(npz)
        self.drop, self.given = drop, torch_blobs(batch)
        self.autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")
        self.words = nn.Embedding.from_pretrained(own["words/embeddings"], freeze=False)
        self.picture, self.output = linear(own, "picture"), linear(own, "output")
        self.lstm = recurrent(own, nn.LSTM, batch_first=True)
        self.lstm.bias_hh_l0.requires_grad_(False)
        layers = nn.ModuleList([self.words, self.picture, self.lstm, self.output])
        self.trained = [each for each in layers.parameters() if each.requires_grad]
        # `fused`: all of a weight's step in one pass through memory.
        self.steps, self.optimizer = 0, torch.optim.Adam(self.trained, rate, fused=True)

    def step(self) -> float:
        """The loss of the batch before the step, nats per token."""
        import torch
        import torch.nn.functional as F

        self.steps += 1
        # Keras adds its epsilon to the root that is not corrected (arXiv:1412.6980, the form before section 2.1).
        self.optimizer.param_groups[0]["eps"] = 1e-7 / math.sqrt(1 - 0.999**self.steps)
        self.optimizer.zero_grad()
        with self.autocast:
            x = torch.cat([self.picture(self.given["x"])[:, None], self.words(self.given["tokens"])], 1)
            hidden, _ = self.lstm(F.dropout(x, self.drop))
            logits = self.output(F.dropout(hidden[:, 1:], self.drop))
        loss = F.cross_entropy(logits.float().flatten(0, 1), self.given["targets"].long().flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained, 5.0)
        self.optimizer.step()
        return loss.item()


def linear(own: Mapping[str, Any], name: str) -> Any:
    """A fully connected layer with imgnn's weights of that name."""
    import torch

    kernel, bias = own[f"{name}/kernel"], own[f"{name}/bias"]
    layer = torch.nn.Linear(*kernel.shape)
    with torch.no_grad():
        layer.weight.copy_(kernel.T)
        layer.bias.copy_(bias)
    return layer


def recurrent(own: Mapping[str, Any], kind: Any, **options: Any) -> Any:
    """`nn.LSTM` or `nn.LSTMCell` with imgnn's weights."""
    import torch

    kernel, back, bias = (own[f"recurrent_0/{name}"] for name in ("kernel", "recurrent_kernel", "bias"))
    layer = kind(len(kernel), len(back), **options)
    with torch.no_grad():
        for parameter, value in zip(layer.parameters(), (kernel.T, back.T, bias, bias * 0), strict=True):
            parameter.copy_(value)
    return layer


def captioning_losses(npz: str, batch: str, rate: str, count: str) -> list[float]:
    """The losses of some steps in float32, nothing dropped."""
    training = Captioning(npz, batch, float(rate), "float32", 0.0)
    return [training.step() for _ in range(int(count))]


def captioning_seconds(
    npz: str, batch: str, rate: str, precision: str, drop: str, warm: str, count: str
) -> list[float]:
    """Seconds of each of `count` training steps, after some that warm up."""
    return seconds_of(Captioning(npz, batch, float(rate), precision, float(drop)).step, int(count), int(warm))


def captions_by_rows(npz: str, features: str, width: str, length: str, count: str) -> dict[str, Any]:
    """Sentences for the first `count` rows of a file, one row of one picture at a time, by `search_by_rows`.

    Returns:
        `seconds` of each picture, after one that warms up; `sentences`, the beam of each.
    """
    import torch

    own = torch_blobs(npz)
    words, picture, output = own["words/embeddings"], linear(own, "picture"), linear(own, "output")
    cell = recurrent(own, torch.nn.LSTMCell)
    with torch.no_grad():

        def step(word: int, state: Any) -> tuple[np.ndarray, Any]:
            state = cell(words[word : word + 1], state)
            return output(state[0]).log_softmax(1)[0].numpy(), state

        def search(row: np.ndarray) -> list[Any]:
            return search_by_rows(step, cell(picture(torch.from_numpy(row[None]))), int(width), int(length))

        return timed_searches(search, np.load(features)[: int(count)])


def googlenet_vectors(npz: str, pixels: str, output: str) -> None:
    """What pool5/7x7_s1 gives of uint8 RGB pixels `(n, 224, 224, 3)` in a file: `(n, 1024)`, to a file, in float32."""
    np.save(output, Describing(npz, pixels, "contiguous_format", "float32").look().numpy())


def googlenet_seconds(npz: str, pixels: str, order: str, precision: str, warm: str, count: str) -> list[float]:
    """Seconds of each of `count` looks at the pixels of a file, after some that warm up."""
    return seconds_of(Describing(npz, pixels, order, precision).look, int(count), int(warm))


class Describing:
    """GoogLeNet up to pool5/7x7_s1, for pixels of a file; order and precision as of `Training`."""

    def __init__(self, npz: str, pixels: str, order: str, precision: str) -> None:
        import torch

        self.order, self.precision = getattr(torch, order), precision
        self.pixels, self.mean = torch.from_numpy(np.load(pixels)), torch.tensor(GOOGLENET_MEAN).view(1, 3, 1, 1)
        blobs = torch_blobs(npz).items()
        self.blobs = {
            name: each.contiguous(memory_format=self.order) if each.ndim == 4 and name.endswith(":0") else each
            for name, each in blobs
        }

    def look(self) -> Any:
        """From pixels to vectors."""
        import torch

        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bfloat16"):
            x = self.pixels.permute(0, 3, 1, 2).flip(1).float() - self.mean
            seen = googlenet_features(self.blobs, x.contiguous(memory_format=self.order), "5b")
            return seen.float().mean((2, 3))


if __name__ == "__main__":
    here = {name: each for name, each in globals().items() if inspect.isfunction(each)}
    json.dump(here[sys.argv[1]](*sys.argv[2:]), sys.stdout)
