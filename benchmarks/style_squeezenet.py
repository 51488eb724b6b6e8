"""How long a step of `imgnn style` takes, and how much of it is the optimiser.

    python benchmarks/style_squeezenet.py content.jpg style.jpg squeezenet_v1.1.caffemodel

Prints a table: milliseconds for one evaluation of loss and gradient, for one whole step, seconds for 300 steps.
"""

import sys
import time
from pathlib import Path

from imgnn import backend

backend.quiet()

from keras import ops  # noqa: E402

from imgnn.images.files import load_image  # noqa: E402
from imgnn.images.preprocess import preprocess  # noqa: E402
from imgnn.images.resize import fit_long_side, resize  # noqa: E402
from imgnn.jobs.load import load_network  # noqa: E402
from imgnn.jobs.style import build_optimizer  # noqa: E402
from imgnn.networks.features import cut  # noqa: E402
from imgnn.optimize.objectives import content_loss, gram_matrix, style_loss, tv_loss  # noqa: E402
from imgnn.optimize.parameters import Pixels  # noqa: E402
from imgnn.options import StyleOptions  # noqa: E402

REPEATS = 40


def milliseconds(action) -> float:
    """Of one call; the first ones, which compile, are not counted."""
    for _ in range(3):
        action()
    started = time.perf_counter()
    for _ in range(REPEATS):
        action()
    return (time.perf_counter() - started) / REPEATS * 1e3


def main(content: str, style: str, weights: str) -> None:
    network = load_network(Path(weights))
    print(f"{network.name}, {backend.name()} on the {backend.device()}")
    print("| size | evaluation | step, adam | step, lbfgs | 300 steps, adam | 300 steps, lbfgs |")
    print("|---|---|---|---|---|---|")
    for side in (384, 512):
        photo, painting = (
            preprocess(resize(image, fit_long_side(image.shape[:2], side)), network.preprocessing)
            for image in map(load_image, (content, style))
        )
        targets = cut(network, network.roles.style, painting.shape[1:3])(painting)
        loss = (
            StyleOptions.content_weight * content_loss(cut(network, network.roles.content, photo.shape[1:3])(photo))
            + StyleOptions.style_weight * style_loss({name: gram_matrix(each) for name, each in targets.items()})
            + StyleOptions.tv_weight * tv_loss()
        )
        look = cut(network, (*network.roles.content, *network.roles.style), photo.shape[1:3])
        pixels = Pixels.of(network.preprocessing)
        evaluate = backend.value_and_grad(lambda x, loss=loss, look=look, pixels=pixels: loss(x, look(pixels.to_x(x))))
        start = ops.convert_to_tensor(pixels.from_x(photo))
        bare = milliseconds(lambda evaluate=evaluate, start=start: float(evaluate(start)[0]))
        steps = []
        for name in ("adam", "lbfgs"):
            optimizer, x = build_optimizer(StyleOptions(optimizer=name)), start

            def step() -> None:
                nonlocal x
                x, value, _ = optimizer.step(x, evaluate)  # noqa: B023
                float(value)

            steps.append(milliseconds(step))
        cells = [f"{each:.0f} ms" for each in (bare, *steps)] + [f"{each * 0.3:.1f} s" for each in steps]
        print(f"| {photo.shape[1]} x {photo.shape[2]} | {' | '.join(cells)} |")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
