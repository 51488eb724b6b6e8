"""From the prompt to a command's first progress: where the seconds go. Two parts of `python -m benchmarks`.

A child process runs the command and stops when its progress counts for the first time, or at the answer. It tells when
Keras's import began and ended. Beside it: the same with Keras imported as it comes, without `imgnn/start.py`.
"""

import contextlib
import functools
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import peers
from benchmarks.comparison import EXAMPLES, Row, Setting

PEER = "Keras as it comes"
PARTS = ("the command line", "Keras", "up to the first progress or the answer")


def rows(setting: Setting) -> Iterator[Row]:
    """Seconds of each command's parts."""
    pictures = setting.pictures()[:8]
    list_file = setting.once("few.txt", lambda path: path.write_text(listed(pictures), encoding="utf-8"))
    photo, painting, output = setting.example("photo"), setting.example("painting"), setting.work / "out.png"
    save = functools.partial(peers.save_random, "squeezenet-v1.1")
    network = setting.once("start", save) / "squeezenet-v1.1.keras"
    captions = setting.once("said.jsonl", lambda path: path.write_text(said(pictures), encoding="utf-8"))
    commands: dict[str, list[object]] = {
        "--help": ["--help"],
        "classify": ["classify", photo, "--network", network],
        "caption": ["caption", photo],
        "boke": ["boke", photo],
        "dream": ["dream", photo, "-o", output],
        "style": ["style", photo, painting, "-o", output],
        "convert": ["convert", EXAMPLES / "edges.caffemodel", "-o", setting.work / "edges.keras"],
        "finetune": ["finetune", list_file, "-o", setting.work / "finetuned"],
        "train caption": ["train", "caption", captions, "-o", setting.work / "captioned"],
    }
    for name, words in commands.items():
        parts, plain = started(words), started(words, plain=True)
        for part, seconds in parts.items():
            theirs = plain[part] if part in ("Keras", "in all") else None
            yield Row(f"`imgnn {name}`: {part}", "s", seconds, PEER if theirs is not None else "", theirs)


def mistakes(setting: Setting) -> Iterator[Row]:
    """Seconds from the prompt to the end of a mistyped command, and those of the processor, which others hardly change.

    Raises:
        SystemExit: it was no mistake.
    """
    photo, nowhere = setting.example("photo"), setting.work / "nowhere"
    commands: dict[str, list[object]] = {
        "style foto.jpg ink.jpg`: no such picture": ["style", nowhere / "foto.jpg", nowhere / "ink.jpg"],
        "classify photo.jpg --network vgg99`: no such network": ["classify", photo, "--network", "vgg99"],
        "dream photo.jpg -o nowhere/out.png`: cannot be written": ["dream", photo, "-o", nowhere / "out.png"],
        "finetune list.txt`: no such list": ["finetune", nowhere / "list.txt"],
    }
    for typed, words in commands.items():
        began, busy = time.perf_counter(), processor()
        told = subprocess.run([sys.executable, "-m", "imgnn", *map(str, words)], capture_output=True, text=True)
        seconds, busy = time.perf_counter() - began, processor() - busy
        if told.returncode not in (1, 2) or "Error" not in told.stderr:
            raise SystemExit(f"imgnn {typed}: exit {told.returncode}, {told.stderr}")
        yield Row(f"`imgnn {typed}", "s", seconds)
        yield Row(f"`imgnn {words[0]}`, of the processor", "s", busy)


def processor() -> float:
    """Seconds of processor time of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def listed(pictures: list[Path]) -> str:
    """A list of pictures and labels: their folders' names, or two that alternate."""
    folders = len({path.parent for path in pictures}) > 1
    labels = [path.parent.name if folders else f"class{number % 2}" for number, path in enumerate(pictures)]
    return "".join(f"{path} {label}\n" for path, label in zip(pictures, labels, strict=True))


def said(pictures: list[Path]) -> str:
    """A caption for each picture, JSON lines."""
    return "".join(
        json.dumps({"image": str(path), "captions": ["a picture of something", "something in a picture"]}) + "\n"
        for path in pictures
    )


def started(words: list[object], *, plain: bool = False) -> dict[str, float]:
    """Seconds of a command's parts up to its first progress or its answer; "in all" is their sum.

    Args:
        plain: with Keras imported as it comes.
    """
    kind = "plain" if plain else "lean"
    command = [sys.executable, "-m", "benchmarks.start", kind, repr(time.time()), *map(str, words)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    if not result.stdout:
        raise SystemExit(f"{' '.join(map(str, words))}: {result.stderr}")
    began, *marks = json.loads(result.stdout.splitlines()[-1])
    names = PARTS[: len(marks)]
    seconds = dict(zip(names, (b - a for a, b in zip([began, *marks], marks, strict=False)), strict=True))
    return {**seconds, "in all": marks[-1] - began} if len(marks) > 1 else seconds


def main() -> None:
    """The child's side: `python -m benchmarks.start lean|plain BEGAN WORD...`."""
    kind, began, *words = sys.argv[1:]
    marks, stdout = [float(began)], os.dup(1)
    os.dup2(2, 1)  # the result is not what is wanted
    from imgnn import start
    from imgnn.cli import app, console

    lean = start.leanly if kind == "lean" else contextlib.nullcontext

    @contextlib.contextmanager
    def timed() -> Iterator[None]:
        marks.append(time.time())
        with lean():
            yield
        marks.append(time.time())

    def advance(self: object, done: float, **facts: float) -> None:
        if done:
            leave()

    def leave() -> None:
        marks.append(time.time())
        os.write(stdout, json.dumps(marks).encode())
        os._exit(0)

    start.leanly = timed
    console.BarReporter.advance = console.LineReporter.advance = advance  # type: ignore[method-assign]
    with contextlib.suppress(SystemExit):
        app.app(words)
    leave()


if __name__ == "__main__":
    main()
