"""How long `imgnn convert` takes as a whole command, and how much memory at most; and loading the file again.

    python benchmarks/convert.py [X.caffemodel ...]

Without arguments a file of VGG-19's size (575 MB of random numbers) is made and converted. Each command runs
in a process of its own, in an empty IMGNN_HOME; the first one pays for reading TensorFlow from the disk.
Prints a Markdown table with the machine and the date.
"""

import datetime
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import peers
from benchmarks.comparison import Row, Setting

MAKE = """
import sys, pathlib, numpy
from imgnn import start
start.quiet()
from tests.jobs.test_convert import write_vgg19
write_vgg19(pathlib.Path(sys.argv[1]), numpy.random.default_rng(0))
"""
LOAD = "import sys, pathlib; from imgnn.networks import files; files.load_network_file(pathlib.Path(sys.argv[1]))"
PLAIN = "import sys; import imgnn.networks.layers, keras; keras.saving.load_model(sys.argv[1])"
IMPORT = "import keras"


def measure(words: list[str], home: Path) -> tuple[float, float, float]:
    """Seconds on the clock, seconds of processor time, peak memory in MB."""
    began = time.perf_counter()
    process = subprocess.Popen(words, env={**os.environ, "IMGNN_HOME": str(home)}, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"failed: {' '.join(words)}")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def make_random(path: Path) -> None:
    """A file of VGG-19's size; by a process of its own, whose memory would else be counted with each that follows."""
    subprocess.run([sys.executable, "-c", MAKE, str(path)], check=True, cwd=Path(__file__).parents[1])


def rows(setting: Setting) -> Iterator[Row]:
    """Seconds and memory of the command on a file of VGG-19's size, and of loading what it wrote."""
    file, target = setting.once("random.caffemodel", make_random), setting.work / "converted.keras"
    run = peers.timed([sys.executable, "-m", "imgnn", "convert", file, "-o", target])
    what = f"`imgnn convert`, {file.stat().st_size / 1e6:.0f} MB"
    yield Row(what, "s", run.seconds)
    yield Row(f"{what}, memory", "MB", run.peak)
    ours, theirs = (peers.timed([sys.executable, "-c", text, target]) for text in (LOAD, PLAIN))
    peer = "keras.saving.load_model"
    yield Row("start Python and load it", "s", ours.seconds, peer, theirs.seconds)
    yield Row("start Python and load it, memory", "MB", ours.peak, peer, theirs.peak)


def report(what: str, words: list[str], home: Path) -> None:
    seconds, processor, memory = measure(words, home)
    print(f"| {what} | {seconds:.1f} s | {processor:.1f} s | {memory:.0f} MB |", flush=True)


def main(files: list[str]) -> None:
    python = [sys.executable, "-c"]
    print(f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {datetime.date.today()}\n")
    print("| | time | processor | peak memory |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        report("import keras", [*python, IMPORT], home)
        if not files:
            files = [str(Path(folder) / "random.caffemodel")]
            make_random(Path(files[0]))
        for file in files:
            target = str(Path(folder) / "out.keras")
            name = f"{Path(file).name}, {Path(file).stat().st_size / 1e6:.0f} MB"
            report(f"imgnn convert {name}", [sys.executable, "-m", "imgnn", "convert", file, "-o", target], home)
            report("load it", [*python, LOAD, target], home)
            report("load it with keras.saving.load_model", [*python, PLAIN, target], home)


if __name__ == "__main__":
    main(sys.argv[1:])
