"""Writes style.json: losses, gradients and L-BFGS steps of PyTorch, in float64, and what neural-style-pt tells.

    PEER/bin/python tests/golden/make_style.py SHARED NEURAL_STYLE_PT

SHARED holds real weights and photos, NEURAL_STYLE_PT is a checkout of github.com/ProGamerGov/neural-style-pt; PEER has
PyTorch, torchvision and Pillow. Of imgnn only the reader of weights is used.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import PIL
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))
from benchmarks import peers

SEED = 20261121
MAPS = {"a": (5, 7, 4), "b": (3, 4, 6)}  # layer -> (height, width, channels)
PAINTED = {"a": (6, 4, 4), "b": (3, 2, 6)}
STEPS, HISTORY = 8, 100
# At 256 pixels the sides are multiples of 16: where one is odd, Caffe rounds its pools up and neural-style-pt down.
CONTENT, STYLE, START, SIZE = "tubingen.jpg", "shipwreck.jpg", "golden_gate.jpg", 256
CONTENT_LAYERS, STYLE_LAYERS = ["relu3_2"], ["relu1_1", "relu2_1", "relu3_1"]


def activations(random, shapes):
    """Normal numbers after a ReLU, as (1, height, width, channels)."""
    return {name: np.maximum(random.standard_normal((1, *shape)), 0) for name, shape in shapes.items()}


def gram(features):
    """`F F^T / (N M)` of (1, height, width, channels): N channels, M positions."""
    flat = features.reshape(-1, features.shape[-1])
    return flat.T @ flat / flat.numel()


def losses():
    """mean((F - P)^2) and mean((G - A)^2) of each layer, and their gradients at the activations of `a`."""
    random, result = np.random.default_rng(SEED), {}
    found, photo, painting = (
        {name: torch.tensor(each, requires_grad=True) for name, each in activations(random, shapes).items()}
        for shapes in (MAPS, MAPS, PAINTED)
    )
    result["gram"] = gram(found["a"]).tolist()
    for term, loss in (
        ("content", {name: (found[name] - photo[name]).square().mean() for name in MAPS}),
        ("style", {name: (gram(found[name]) - gram(painting[name])).square().mean() for name in MAPS}),
    ):
        (gradient,) = torch.autograd.grad(loss["a"], found["a"])
        result[term] = {name: each.item() for name, each in loss.items()}
        result[f"{term}_gradient"] = gradient.flatten().tolist()
    return result


def tv_gradient():
    """What TVLoss of jcjohnson/neural-style adds to the gradient of a picture (1, 4, 5, 3), 0..255."""
    picture = torch.tensor(np.random.default_rng(SEED).uniform(0, 255, (1, 4, 5, 3)))
    corner, gradient = picture[:, :-1, :-1], torch.zeros_like(picture)
    across, down = corner - picture[:, :-1, 1:], corner - picture[:, 1:, :-1]
    gradient[:, :-1, :-1] += across + down
    gradient[:, :-1, 1:] -= across
    gradient[:, 1:, :-1] -= down
    return gradient.flatten().tolist()


def lbfgs():
    """torch.optim.LBFGS as neural-style-pt calls it, on sum of log cosh(A x - b) + sum of x^4 / 4."""
    random = np.random.default_rng(SEED)
    a, b, start = (random.standard_normal(shape) for shape in ((6, 6), 6, 6))
    x = torch.tensor(start, requires_grad=True)
    # Exactly neural-style-pt's arguments: no line search, and no tolerance ends it.
    optimizer = torch.optim.LBFGS([x], max_iter=STEPS, tolerance_change=-1, tolerance_grad=-1)
    assert optimizer.param_groups[0]["history_size"] == HISTORY
    seen = []

    def closure():
        optimizer.zero_grad()
        loss = (torch.tensor(a) @ x - torch.tensor(b)).cosh().log().sum() + (x**4).sum() / 4
        loss.backward()
        seen.append((x.tolist(), loss.item()))
        return loss

    optimizer.step(closure)
    positions, found = zip(*seen, strict=True)
    return {"a": a.tolist(), "b": b.tolist(), "history": HISTORY, "positions": positions, "losses": found}


def neural_style(shared, program):
    """The losses of neural-style-pt's first iteration, with its own weights 5 and 100, of real layers of VGG-19."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "vgg19.pth"
        blobs = peers.read_blobs(shared / "weights" / "vgg19_conv1_to_conv3.caffemodel")
        peers.state_dict(str(peers.save_npz(blobs, Path(folder) / "blobs.npz")), str(model))
        pictures = {"-content_image": CONTENT, "-style_image": STYLE, "-init_image": START}
        run = peers.neural_style(
            sys.executable,
            program,
            *(word for option, name in pictures.items() for word in (option, shared / "photos" / name)),
            *("-model_file", model, "-image_size", SIZE, "-init", "image", "-tv_weight", 0),
            *("-content_layers", ",".join(CONTENT_LAYERS), "-style_layers", ",".join(STYLE_LAYERS)),
            *("-num_iterations", 1, "-save_iter", 0, "-output_image", Path(folder) / "out.png"),
        )
    commit = subprocess.check_output(["git", "-C", str(program), "rev-parse", "HEAD"], text=True).strip()
    return {
        "commit": commit,
        "content_image": CONTENT,
        "style_image": STYLE,
        "init_image": START,
        "image_size": SIZE,
        "content": {name: run.layers[f"Content {i}"] for i, name in enumerate(CONTENT_LAYERS, 1)},
        "style": {name: run.layers[f"Style {i}"] for i, name in enumerate(STYLE_LAYERS, 1)},
    }


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    golden = {
        "torch": torch.__version__,
        "pillow": PIL.__version__,
        "seed": SEED,
        **losses(),
        "tv_gradient": tv_gradient(),
        "lbfgs": lbfgs(),
        "neural_style": neural_style(Path(sys.argv[1]), Path(sys.argv[2])),
    }
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(value)}" for name, value in golden.items())
    Path(__file__).with_name("style.json").write_text("{\n" + lines + "\n}\n")
