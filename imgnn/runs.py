"""The life of a long job: what it reports while it runs. Light: no Keras, no NumPy.

A job is handed a `Reporter` and tells it what happens; the command line draws bars, a test
records, the web page will stream. Library modules never print.
"""

import contextlib
import json
import math
import os
import re
import secrets
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NoReturn, Protocol

from imgnn.errors import ImgnnError, InputError, InterruptedRun


class Reporter(Protocol):
    """Who listens to a job."""

    def note(self, message: str) -> None:
        """Say one thing that the user should know (a default that was chosen, a file that was skipped)."""

    def begin(self, task: str, total: float | None, unit: str = "") -> None:
        """A piece of work starts: `total` in `unit` ("bytes", "images", "steps"); None if not known."""

    def advance(self, done: float, **facts: float) -> None:
        """So much of the current piece is done, counted from its start; `facts` (loss) are shown beside."""

    def end(self) -> None:
        """The current piece of work is over."""


class Silent:
    """A reporter that says nothing: the default of every job."""

    def note(self, message: str) -> None: ...

    def begin(self, task: str, total: float | None, unit: str = "") -> None: ...

    def advance(self, done: float, **facts: float) -> None: ...

    def end(self) -> None: ...


class Held:
    """Keeps the notes back until `release`: of work that fails, the error is all that is said."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.notes: list[str] = []
        self.begin, self.advance, self.end = reporter.begin, reporter.advance, reporter.end

    def note(self, message: str) -> None:
        self.notes.append(message)

    def release(self) -> None:
        """Say what was kept back."""
        for message in self.notes:
            self.reporter.note(message)
        self.notes.clear()


class Onward:
    """A reporter that counts on where an earlier piece of the same work stopped."""

    def __init__(self, reporter: Reporter, before: float) -> None:
        self.reporter, self.before = reporter, before
        self.note, self.begin, self.end = reporter.note, reporter.begin, reporter.end

    def advance(self, done: float, **facts: float) -> None:
        self.reporter.advance(self.before + done, **facts)


class Logged:
    """Writes the facts of every step into a file, and passes all on to another reporter.

    A JSON object a line: how many steps there will be, `{"steps": 160}`, when they begin, and then of each
    `{"step": 12, "seconds": 3.4, "loss": 5.6e5, ...}`, seconds since the command began.

    Args:
        path: an older log of this name is replaced when the steps begin.
        append: it is not, and the lines follow its own.

    Raises:
        InputError: there is another kind of file, or no folder for it.
    """

    def __init__(self, reporter: Reporter, path: Path, *, append: bool = False) -> None:
        check_folder(path)
        self.reporter, self.path, self.began = reporter, path, time.monotonic()
        self.note, self.end = reporter.note, reporter.end
        self.full, self.mode = False, "a" if append else "w"
        try:
            with path.open("rb") as file:
                if file.read(1) not in (b"{", b""):
                    raise InputError(f"{path} would be replaced, and is no log", hint="another name with --log")
        except OSError as error:
            if path.exists():
                raise InputError(f"cannot write {path}: {error.strerror or error}") from error

    def begin(self, task: str, total: float | None, unit: str = "") -> None:
        if unit == "steps":
            self.write(steps=total)
        self.reporter.begin(task, total, unit)

    def advance(self, done: float, **facts: float) -> None:
        if facts:
            self.write(step=done, seconds=round(time.monotonic() - self.began, 3), **facts)
        self.reporter.advance(done, **facts)

    def write(self, **facts: float | None) -> None:
        """One more line, as long as there is room for it."""
        if self.full:
            return
        try:
            with self.path.open(self.mode, encoding="utf-8") as file:
                file.write(json.dumps(facts) + "\n")
            self.mode = "a"
        except OSError as error:  # no reason to stop
            self.full = True
            self.note(f"{self.path} is not written any more: {error.strerror or error}")


def duration(seconds: float) -> str:
    """Seconds as one reads them: "42 s", "3 min 5 s", "2 h 10 min"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def percent(share: float | None) -> str:
    """A share as one reads it: "91.2 %"; nothing to divide is a dash."""
    return "-" if share is None or math.isnan(share) else f"{100 * share:.1f} %"


def amount(number: float) -> str:
    """Bytes as one reads them: "23.9 MB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            break
        number /= 1000
    return f"{number:.3g} {unit}" if number < 1000 else f"{math.ceil(number):,} {unit}"


def counted(number: int, what: str) -> str:
    """`1 class`, `2,100 pictures`."""
    return f"{number:,} {what}{'' if number == 1 else 'es' if what.endswith('s') else 's'}"


def is_set(variable: str) -> bool:
    """Whether an environment variable says yes: anything but nothing, 0, false, no and off."""
    return os.environ.get(variable, "").casefold() not in ("", "0", "false", "no", "off")


def is_file(path: Path) -> bool:
    """`path.is_file()`, also where that may not be asked, or the name is one that no file can have."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """`path.is_dir()` in the same way."""
    try:
        return path.is_dir()
    except OSError:
        return False


def check_folder(path: Path) -> None:
    """See to it that a file `path` can be made: to be called before long work.

    Raises:
        InputError: its folder is missing, or may not be written.
    """
    if not is_folder(path.parent):
        hint = f"mkdir -p {shlex.quote(str(path.parent))}"
        raise InputError(f"cannot write {path}: there is no folder {path.parent}", hint=hint)
    if len(os.fsencode(path.name)) > 255:
        raise InputError(f"cannot write {path}: the name is too long", hint="a shorter name with -o")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(f"cannot write {path}: the folder {path.parent} may not be written")


def check_version(found: int, known: int, what: str, error: type[ImgnnError] = InputError) -> None:
    """See to it that no later imgnn wrote a file.

    Args:
        found: the version of its format; `known`: the last one that this imgnn reads.
        what: the file with its verb, "x.keras is".
        error: what is raised.

    Raises:
        ImgnnError: a later imgnn did.
    """
    if found > known:
        raise error(f"{what} of version {found}, this imgnn reads up to {known}", hint="pip install --upgrade imgnn")


@contextlib.contextmanager
def one_interrupt() -> Iterator[Callable[[], None]]:
    """Let the first Ctrl-C interrupt the block, and none after it: what the work has come to is being saved then.

    Gives a function to be called when the work is done: from there on not even a first one interrupts the saving.
    Outside the main thread, which alone hears Ctrl-C, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def deafen(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def interrupt(*_: object) -> NoReturn:
        deafen()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield deafen
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)


class Stop(Protocol):
    """Whether someone asked a long job to stop."""

    def __call__(self) -> bool: ...


class Stopped(Exception):
    """Somebody asked, and the work came to a place where it can be taken up again."""


@contextlib.contextmanager
def stop_after_step() -> Iterator[Stop]:
    """Let Ctrl-C (and SIGTERM) only be noticed, so that a step that has begun is finished before the job stops.

    Gives a function that says whether to stop. A third Ctrl-C interrupts wherever the job is. Outside the main thread,
    which alone hears signals, it always says no.
    """
    asked = 0
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def note(*_: object) -> None:
        nonlocal asked
        asked += 1
        if asked > 2:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked > 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


@contextlib.contextmanager
def interrupted_with(told: str) -> Iterator[None]:
    """Where `Stopped` ends the whole command: an interrupt.

    Args:
        told: what has become of the work.

    Raises:
        InterruptedRun: it was stopped.
    """
    try:
        yield
    except Stopped:
        raise InterruptedRun(told) from None


@contextlib.contextmanager
def stop_at_once(told: str) -> Iterator[Stop]:
    """Let Ctrl-C end work of which nothing is saved, after the step that it is at.

    Gives what `stop_after_step` gives; whoever asks it raises `Stopped`.

    Raises:
        InterruptedRun: it was pressed; it says `told`.
    """
    with stop_after_step() as stop, interrupted_with(told):
        yield stop


@contextlib.contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends well it is renamed to `path`.

    If the block fails, the temporary file is removed and `path` is as it was. The temporary
    name keeps the suffix, by which most writers choose the format.

    Raises:
        InputError: the disk is full, the folder is missing or may not be written.
    """
    path = path.resolve() if path.is_symlink() else path  # a link stays one, and what it names is replaced
    aside = path.with_name(f".{secrets.token_hex(4)}{path.suffix}")
    try:
        yield aside
        aside.replace(path)
    except OSError as error:
        # HDF5 tells where in its code it failed, and last what the system said.
        told = re.findall(r"error message = '(.+?)'", str(error))
        raise InputError(f"cannot write {path}: {told[-1] if told else error.strerror or error}") from error
    finally:
        aside.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON document that people may read, whole or not at all.

    Raises:
        InputError: as of `write_aside`.
    """
    with write_aside(path) as aside:
        text = json.dumps(value, ensure_ascii=False, indent=1)
        # A name whose bytes are no UTF-8 has lone surrogates: they become what JSON writes for them.
        aside.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def lock(file: IO[Any], *, wait: bool = False) -> bool:
    """Lock an open file until it is closed, or the process ends, however it ends.

    Args:
        wait: for another process that has it.

    Returns:
        False if another has it. Windows and some network drives lock nothing: there, True.
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True
