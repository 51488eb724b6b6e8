"""One input at a time: a result or the error that the reader promises, soon, and in little memory."""

import json
import re
import resource
import time
import traceback
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import imgnn

PACKAGE = Path(imgnn.__file__).parent
FACTOR = 4  # bytes of memory for each byte of an input, at most, and a fixed floor
FLOOR = 1 << 20  # bytes that Python may take for any input: its objects are large
NATIVE_FLOOR = 24 << 20  # bytes that the whole process may grow by; the allocators take much at a time
SECONDS = 1.0  # of the processor, for an input of up to a megabyte; others work on the same machine
EVERY = 64  # one input in so many is traced: tracing makes everything slow


class Watch:
    """Feeds a reader, and keeps the shortest input of each kind of finding.

    A finding is an exception that the reader does not promise, more than `SECONDS`, or more memory than an input of
    this size deserves: by tracemalloc for one input in `EVERY`, and for each by the growth of the process's peak.

    Args:
        read: takes the bytes.
        raises: the errors that its docstring promises.
        floor: bytes of memory for any input, on both scales, in place of `FLOOR` and `NATIVE_FLOOR`; of pictures.
        folder: where findings are kept, a file for each and its words beside it.
    """

    def __init__(
        self, read: Callable[[bytes], object], raises: tuple[type[Exception], ...], floor: int | None, folder: Path
    ) -> None:
        self.read, self.raises, self.folder = read, raises, folder
        self.traced_floor, self.native_floor = floor or FLOOR, floor or NATIVE_FLOOR
        self.inputs = 0
        self.shortest: dict[str, int] = {}
        self.most = {"slowest": 0.0, "traced_bytes": 0, "grown_bytes": 0}

    def __call__(self, data: bytes) -> None:
        self.inputs += 1
        before, start = peak_of_process(), time.process_time()
        self.once(data)
        seconds, grown = time.process_time() - start, peak_of_process() - before
        allowed = FACTOR * len(data)
        if seconds > SECONDS * max(1, len(data) / 1e6):
            start = time.process_time()
            self.once(data)  # again: the first time something may have been imported
            seconds = min(seconds, time.process_time() - start)
            if seconds > SECONDS * max(1, len(data) / 1e6):
                self.keep("slow", data, f"{seconds:.1f} s for {len(data):,} bytes")
        if grown > allowed + self.native_floor:
            self.keep("memory-process", data, f"the process grew by {grown:,} bytes for {len(data):,}")
        traced = self.trace(data) if self.inputs % EVERY == 0 else 0
        if traced > allowed + self.traced_floor:
            self.keep("memory-python", data, f"{traced:,} bytes of Python objects for {len(data):,}")
        self.note(slowest=seconds, traced_bytes=traced, grown_bytes=grown)

    def once(self, data: bytes) -> None:
        """Read it; what is not promised is kept."""
        try:
            self.read(data)
        except self.raises:
            pass
        except Exception as error:
            self.keep(f"{type(error).__name__}-{place_of(error)}", data, traceback.format_exc())

    def trace(self, data: bytes) -> int:
        """Bytes of Python's memory (and NumPy's) that reading takes at its peak."""
        tracemalloc.start()
        try:
            self.once(data)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def keep(self, kind: str, data: bytes, words: str) -> None:
        kind = re.sub(r"[^\w.-]", "_", kind)
        if len(data) < self.shortest.get(kind, len(data) + 1):
            self.shortest[kind] = len(data)
            (self.folder / kind).write_bytes(data)
            (self.folder / f"{kind}.txt").write_text(words, encoding="utf-8", errors="backslashreplace")

    def note(self, **found: float) -> None:
        """The most of everything, in a file: libFuzzer ends the process without a word."""
        if any(value > self.most[name] for name, value in found.items()):
            self.most = {name: max(found[name], value) for name, value in self.most.items()}
            (self.folder / "most.json").write_text(json.dumps(self.most), encoding="utf-8")


def peak_of_process() -> int:
    """Bytes that the process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def place_of(error: BaseException) -> str:
    """File and line of ours where an exception went through last."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(PACKAGE)] or frames
    return f"{Path(ours[-1].filename).name}-{ours[-1].lineno}"
