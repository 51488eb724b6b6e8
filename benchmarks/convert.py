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
from pathlib import Path

MAKE = """
import sys, pathlib, numpy
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
            # In a process of its own: the memory of this one would be counted with each that it starts.
            subprocess.run([*python, MAKE, *files], check=True, cwd=Path(__file__).parents[1])
        for file in files:
            target = str(Path(folder) / "out.keras")
            name = f"{Path(file).name}, {Path(file).stat().st_size / 1e6:.0f} MB"
            report(f"imgnn convert {name}", [sys.executable, "-m", "imgnn", "convert", file, "-o", target], home)
            report("load it", [*python, LOAD, target], home)
            report("load it with keras.saving.load_model", [*python, PLAIN, target], home)


if __name__ == "__main__":
    main(sys.argv[1:])
