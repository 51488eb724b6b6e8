"""The page under load: so many clients that ask for boke at once, on this machine.

    python benchmarks/serve_load.py RUN [--caption RUN] [--clients 50] [--seconds 60]

RUN is a run of `imgnn train boke` or `imgnn train caption` whose pictures are there. Each client asks for the boke of
one picture and, when it has its answer, for the next; beside, one client looks at the page's state every 100 ms: it is
to be answered at once whatever the models do. Memory is the server's resident set. Prints Markdown, and exits 1 if any
answer was an error.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import requests


@dataclass
class Answers:
    """What clients were answered: seconds of each answer, codes and how often."""

    seconds: list[float] = field(default_factory=list)
    codes: Counter[int] = field(default_factory=Counter)

    def ask(self, session: requests.Session, method: str, address: str, **options: object) -> requests.Response:
        """Ask, and note how it went."""
        began = time.perf_counter()
        answer = session.request(method, address, timeout=180, **options)  # type: ignore[arg-type]
        self.seconds.append(time.perf_counter() - began)
        self.codes[answer.status_code] += 1
        return answer

    def percentile(self, share: float) -> float:
        """Seconds within which so many answers came."""
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(share * len(self.seconds)))]


def generate(address: str, client: int, split: str, total: int, until: float, answers: Answers) -> None:
    """One client: a picture after the other, each from its own place on."""
    session, place = requests.Session(), client * 7919 % total
    while time.monotonic() < until:
        wanted = {"split": split, "offset": place, "count": 1, "n": 3, "seed": client}
        made = answers.ask(session, "POST", f"{address}api/generate", json=wanted)
        if made.ok and not made.json()["items"]:
            raise SystemExit(f"no picture from {place} on: are the pictures of the run there?")
        place = (place + 1) % total


def at_once(picture: Path, counts: Sequence[int]) -> list[tuple[int, float]]:
    """Seconds until so many clients, who ask at once for a caption of one picture, all have their answer.

    Of a server with the package's model of captions, after an answer that nobody waits for.

    Raises:
        SystemExit: an answer was an error.
    """
    answers, found = Answers(), []

    def ask(address: str) -> None:
        with picture.open("rb") as file:
            answers.ask(requests.Session(), "POST", f"{address}api/playground", files={"picture": file})

    with tempfile.TemporaryDirectory() as folder:
        process, address = serve([], folder)
        try:
            for count in (1, *counts):
                threads = [threading.Thread(target=ask, args=(address,)) for _ in range(count)]
                began = time.perf_counter()
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                found.append((count, time.perf_counter() - began))
        finally:
            process.terminate()
            process.wait(60)
    if set(answers.codes) != {200}:
        raise SystemExit(f"answers that were errors: {dict(answers.codes)}")
    return found[1:]


def look(address: str, until: float, answers: Answers) -> None:
    """One that only looks."""
    session = requests.Session()
    while time.monotonic() < until:
        answers.ask(session, "GET", f"{address}api/state")
        time.sleep(0.1)


def resident(process: int) -> float:
    """MB of memory that a process holds; Linux alone tells."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def measure(address: str, process: int, clients: int, seconds: float) -> tuple[Answers, Answers, list[float]]:
    """Answers to those who generate and to the one who looks, and the memory, every tenth of the time."""
    state = requests.get(f"{address}api/state", timeout=30).json()
    pictures = state["models"][0]["pictures"]
    split = "val" if pictures["val"] else "train"
    once = Answers()
    generate(address, 0, split, pictures[split], time.monotonic() + 3, once)  # what is traced, is
    made, seen, until = Answers(), Answers(), time.monotonic() + seconds
    threads = [
        threading.Thread(target=generate, args=(address, number, split, pictures[split], until, made))
        for number in range(clients)
    ]
    threads.append(threading.Thread(target=look, args=(address, until, seen)))
    memory = [resident(process)]
    for thread in threads:
        thread.start()
    while time.monotonic() < until:
        time.sleep(seconds / 10)
        memory.append(resident(process))
    for thread in threads:
        thread.join()
    return made, seen, memory


def serve(runs: Sequence[str], folder: str) -> tuple[subprocess.Popen[str], str]:
    """A server with its models loaded, and its address."""
    models = [word for run in runs for word in ("--model", run)]
    words = ("--folder", folder, "--port", "0", "--requests-per-minute", "0")
    command = [sys.executable, "-m", "imgnn", "serve", *models, *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    while address and requests.get(f"{address}api/state", timeout=30).json()["status"] == "loading":
        time.sleep(0.2)
    return process, address


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--caption", help="a run of captions beside it")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        process, address = serve([words.run, *([words.caption] if words.caption else [])], folder)
        try:
            made, seen, memory = measure(address, process.pid, words.clients, words.seconds)
        finally:
            process.terminate()
            process.wait(60)
    errors = sum(count for answers in (made, seen) for code, count in answers.codes.items() if code != 200)
    print(
        f"{words.clients} clients for {words.seconds:g} s, {len(made.seconds) / words.seconds:.1f} answers a second\n"
    )
    print("| | answers | errors | median | p95 | longest |\n|---|---|---|---|---|---|")
    for name, answers in (("generate, one picture", made), ("state, beside", seen)):
        wrong = len(answers.seconds) - answers.codes[200]
        times = (statistics.median(answers.seconds), answers.percentile(0.95), max(answers.seconds))
        print(f"| {name} | {len(answers.seconds)} | {wrong} | " + " | ".join(f"{each:.3f} s" for each in times) + " |")
    print("\nmemory, MB: " + ", ".join(f"{each:.0f}" for each in memory))
    sys.exit(1 if errors else 0)


if __name__ == "__main__":
    main()
