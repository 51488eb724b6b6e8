"""`imgnn fetch` beside img2dataset, pictures served by nginx on this machine: seconds, rate, memory; and how it grows.

    python benchmarks/fetch_nginx.py PICTURES --peer VENV/bin/img2dataset

PICTURES is a folder of JPEGs, of which the first 2,000 are served; VENV has img2dataset 1.47. Commands are run in turn,
whole, from an empty folder; a second round has them scale to 256 pixels with white borders. With `--grow 50000` so many
small pictures are made, and fetched in steps of more and more. Prints Markdown.
"""

import argparse
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import comparison, peers
from benchmarks.comparison import Row, Setting, Skipped

COUNT = 2000
CONFIGURATION = """
worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; keepalive_requests 1000000; types {{ image/jpeg jpg; }}
  server {{ listen 127.0.0.1:{port} backlog=1024; root {folder}/www; }}
}}
"""


@contextmanager
def nginx(folder: Path) -> Iterator[str]:
    """Serves `folder/www`; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "nginx.conf").write_text(CONFIGURATION.format(folder=folder, port=port))
    subprocess.run(["nginx", "-c", folder / "nginx.conf"], check=True, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        subprocess.run(["nginx", "-c", folder / "nginx.conf", "-s", "quit"], check=True, stderr=subprocess.DEVNULL)


def timed(words: list[object]) -> tuple[float, float, float]:
    """Seconds, seconds of processors, and megabytes at most, of a command with its children."""
    began = time.perf_counter()
    process = subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if status:
        raise SystemExit(f"{words}: {process.stderr.read().decode()[-2000:] if process.stderr else ''}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def imgnn(urls: Path, folder: Path, *more: object) -> list[object]:
    return [sys.executable, "-m", "imgnn", "fetch", urls, "-o", folder, "--allow-private", "--json", *more]


def img2dataset(peer: str | Path, urls: Path, folder: Path, *more: str) -> list[object]:
    return [
        peer, f"--url_list={urls}", f"--output_folder={folder}", "--processes_count=2", "--thread_count=64",
        f"--number_sample_per_shard={COUNT // 2}", "--enable_wandb=False", *more,
    ]  # fmt: skip


def own_rate_of_peer(folder: Path) -> float:
    """Pictures a second as img2dataset counts them: without starting up."""
    stats = [json.loads(path.read_text()) for path in folder.glob("*_stats.json")]
    seconds = max(each["end_time"] for each in stats) - min(each["start_time"] for each in stats)
    return sum(each["successes"] for each in stats) / seconds


def own_rate(folder: Path) -> float:
    """Pictures a second from the first answer to the last, as the journal has them."""
    import sqlite3

    with sqlite3.connect(folder / "fetch.sqlite") as journal:
        count, first, last = journal.execute(
            "SELECT count(*), min(finished - seconds), max(finished) FROM urls WHERE outcome = 'ok'"
        ).fetchone()
    return count / (last - first)


def compare(pictures: Path, peer: Path, folder: Path, rounds: int) -> None:
    """Both commands in turn."""
    (folder / "www").mkdir(parents=True)
    found = sorted(pictures.glob("*.jpg"))[:COUNT]
    for index, path in enumerate(found):
        shutil.copyfile(path, folder / "www" / f"{index:05d}.jpg")
    size = sum(path.stat().st_size for path in found)
    print(f"{len(found):,} JPEGs of {size / len(found) / 1000:.1f} kB\n")
    print("| | command, s | processors, s | MB | its own rate, pictures/s |\n|---|---|---|---|---|")
    with nginx(folder) as address:
        urls = folder / "urls.txt"
        urls.write_text("".join(f"{address}/{index:05d}.jpg\n" for index in range(len(found))))
        out = folder / "out"
        kinds = {
            "img2dataset, originals": (img2dataset(peer, urls, out, "--disable_all_reencoding=True"), own_rate_of_peer),
            "imgnn, originals, each decoded": (imgnn(urls, out), own_rate),
            "img2dataset, 256 with border": (img2dataset(peer, urls, out, "--image_size=256"), own_rate_of_peer),
            "imgnn, 256 with border": (imgnn(urls, out, "--resize", 256), own_rate),
        }
        measured: dict[str, list[tuple[float, ...]]] = {name: [] for name in kinds}
        for _ in range(rounds):
            for name, (words, rate) in kinds.items():
                shutil.rmtree(out, ignore_errors=True)
                measured[name].append((*timed(words), rate(out)))
        for name, values in measured.items():
            seconds, busy, memory, rate = (statistics.median(each) for each in zip(*values, strict=True))
            print(f"| {name} | {seconds:.2f} | {busy:.2f} | {memory:.0f} | {rate:,.0f} |", flush=True)
        for ours, theirs in ((1, 0), (3, 2)):
            names = list(kinds)
            pairs = zip(measured[names[ours]], measured[names[theirs]], strict=True)
            whole, rates = zip(*((their[0] / our[0], our[3] / their[3]) for our, their in pairs), strict=True)
            print(
                f"\n{names[ours]}: the command {statistics.median(whole):.2f} times as fast, "
                f"its rate {statistics.median(rates):.2f} times (medians of {rounds} pairs)"
            )


def rows(setting: Setting) -> Iterator[Row]:
    """Seconds and memory of both commands, and pictures a second as they count them.

    Raises:
        Skipped: there is no nginx.
    """
    if not shutil.which("nginx"):
        raise Skipped("nginx is not installed: apt install nginx")
    folder, found = setting.work / "fetch", setting.pictures()[:COUNT]
    peer, peer_name = comparison.img2dataset(setting.python), "img2dataset"
    if not folder.exists():
        (folder / "www").mkdir(parents=True)
        for index, path in enumerate(found):
            shutil.copyfile(path, folder / "www" / f"{index:05d}.jpg")
    with nginx(folder) as address:
        urls, out = folder / "urls.txt", folder / "out"
        urls.write_text("".join(f"{address}/{index:05d}.jpg\n" for index in range(len(found))))
        for what, own, theirs in (
            ("the bytes as they came", (), ("--disable_all_reencoding=True",)),
            ("256 pixels with a border", ("--resize", 256), ("--image_size=256",)),
        ):
            shutil.rmtree(out, ignore_errors=True)
            ours, rate = peers.timed(imgnn(urls, out, *own)), own_rate(out)
            other, other_rate = None, None
            if peer:
                shutil.rmtree(out)
                other, other_rate = peers.timed(img2dataset(peer, urls, out, *theirs)), own_rate_of_peer(out)
            yield Row(f"the command, {what}", "s", ours.seconds, peer_name, other and other.seconds)
            yield Row(f"its own rate, {what}", "pictures/s", rate, peer_name, other_rate)
            yield Row(f"memory of one process, {what}", "MB", ours.peak, peer_name, other and other.peak)


def grow(folder: Path, most: int) -> None:
    """More and more addresses: seconds and memory of each step."""
    (folder / "www").mkdir(parents=True)
    random = np.random.default_rng(0)
    for index in range(most):
        small = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype="uint8"))
        small.resize((64, 64), Image.Resampling.BICUBIC).save(folder / "www" / f"{index}.jpg", quality=90)
    print("| addresses | s | s for 1,000 | MB |\n|---|---|---|---|")
    with nginx(folder) as address:
        for count in sorted({2000, 5000, 10_000, 20_000, most}):
            urls = folder / "urls.txt"
            urls.write_text("".join(f"{address}/{index}.jpg\n" for index in range(count)))
            shutil.rmtree(folder / "out", ignore_errors=True)
            seconds, _, memory = timed(imgnn(urls, folder / "out"))
            print(f"| {count:,} | {seconds:.1f} | {seconds / count * 1000:.2f} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--peer", type=Path, required=True, help="img2dataset")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--grow", type=int, default=0, help="so many small pictures")
    words = parser.parse_args()
    print(f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}, Python {platform.python_version()}\n")
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch).chmod(0o755)  # nginx's worker is another user
        compare(words.pictures, words.peer, Path(scratch, "compare"), words.rounds)
        if words.grow:
            print()
            grow(Path(scratch, "grow"), words.grow)
