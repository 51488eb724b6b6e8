"""What `imgnn style` takes, by network and by size.

    python benchmarks/style_sizes.py content.jpg style.jpg [NETWORK ...]

First table: the whole command from prompt to picture, 512 pixels, in a process of its own; medians of three rounds over
all networks. Second table: one evaluation of loss and gradient by size, per megapixel, in one piece and in tiles of 512
pixels, with the peak memory of the process; each in a process of its own.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import peers

ROUNDS = 3
SIDES = (256, 512, 1024, 2048)
TILE = 512


def whole_commands(content: str, style: str, networks: list[str]) -> None:
    """The first table."""
    print("| network | prompt to picture, 512 pixels | peak memory |\n|---|---|---|")
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in networks}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            for name, runs in found.items():
                words = ("style", content, style, "--network", name, "-o", f"{folder}/out.png")
                process = peers.timed((sys.executable, "-m", "imgnn", *words))
                runs.append((process.seconds, process.peak))
    for name, runs in found.items():
        seconds, peak = (statistics.median(each) for each in zip(*runs, strict=True))
        print(f"| {label(name)} | {seconds:.1f} s | {peak / 1000:.2f} GB |", flush=True)


def by_size(content: str, style: str, networks: list[str]) -> None:
    """The second table."""
    print(f"\n| network | size | evaluation | a megapixel | in tiles of {TILE} | a megapixel | memory | in tiles |")
    print("|---|---|---|---|---|---|---|---|")
    for name in networks:
        for side in SIDES:
            cells = []
            for tile in (0, TILE):
                if tile >= side:
                    continue
                told = subprocess.run(
                    [sys.executable, __file__, "--one", content, style, name, str(side), str(tile)],
                    stdout=subprocess.PIPE,
                    text=True,
                )
                cells.append(json.loads(told.stdout.splitlines()[-1]) if told.returncode == 0 else None)
            texts, memory = [], []
            for cell in [*cells, *[None] * (2 - len(cells))]:
                texts += [f"{cell[0]:.2f} s", f"{cell[0] / cell[2]:.2f} s"] if cell else ["", ""]
                memory.append(f"{cell[1] / 1e9:.1f} GB" if cell else "")
            print(f"| {label(name)} | {side} | {' | '.join(texts + memory)} |", flush=True)


def label(network: str) -> str:
    """A network's name, or that of its file."""
    return Path(network).stem if Path(network).suffix in (".keras", ".caffemodel") else network


def one(content: str, style: str, network: str, side: str, tile: str) -> None:
    """Print seconds of an evaluation, peak bytes, megapixels: the work of one process."""
    import resource

    from imgnn import start

    start.quiet()
    from imgnn.jobs.style_canvas import Canvas, to_pixels
    from imgnn.jobs.style_plan import prepare
    from imgnn.options import StyleOptions
    from imgnn.runs import Silent

    options = StyleOptions(network=network, size=int(side), tile_size=int(tile) or 1 << 20)
    canvas = Canvas(
        prepare(Path(content), [Path(style)], options, Silent()), int(side), dreaming=False, reporter=Silent()
    )
    values = canvas.parameter.values(to_pixels(canvas.photo))
    float(canvas.evaluate(values)[0])
    times = []
    for _ in range(5 if int(side) < 1000 else 3):
        began = time.perf_counter()
        float(canvas.evaluate(values)[0])
        times.append(time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps([statistics.median(times), peak, canvas.size[0] * canvas.size[1] / 1e6]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(*sys.argv[2:])
    elif len(sys.argv) < 3:
        sys.exit(__doc__)
    else:
        print(f"{peers.machine()}\n")
        names = sys.argv[3:] or ["squeezenet-v1.1", "googlenet"]
        whole_commands(sys.argv[1], sys.argv[2], names)
        by_size(sys.argv[1], sys.argv[2], names)
