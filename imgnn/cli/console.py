"""What is printed, and where: results on stdout; progress, notes and errors on stderr."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import typer
from rich.console import Console, ConsoleOptions, RenderResult
from rich.errors import LiveError
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from imgnn.cli.parsing import was_given
from imgnn.errors import ImgnnError, InputError
from imgnn.runs import Logged, Reporter, is_set

Done = TypeVar("Done")
SKIPPED = 10  # pictures that could not be read, named one by one

out = Console()
err = Console(stderr=True)


def debugging() -> bool:
    """Whether `--debug` or IMGNN_DEBUG asked for tracebacks and log chatter."""
    return is_set("IMGNN_DEBUG")


def show_error(error: ImgnnError) -> None:
    """One line for the message, one for the hint; no markup (a path may hold "["), no wrapping."""
    err.print(Text.assemble((f"{error.label}: ", "bold red"), error.told()), soft_wrap=True)
    if error.hint:
        err.print(Text.assemble(("Try: ", "bold"), error.hint), soft_wrap=True)


def shown(path: Path) -> str:
    """The path as text; bytes that are no UTF-8 are marked, not fatal."""
    return os.fsencode(path).decode("utf-8", "replace")


def show_path(path: Path) -> None:
    """The path of a picture, on stdout."""
    out.print(shown(path), markup=False, highlight=False, soft_wrap=True)


def note(message: str) -> None:
    """One line on stderr."""
    err.print(Text(message, style="dim"), soft_wrap=True)


@contextmanager
def waiting_for_keras() -> Iterator[None]:
    """On a screen a line that moves while Keras starts, seconds, and is gone afterwards."""
    status = err.status("Starting Keras", spinner="line")
    with suppress(LiveError):  # another line moves already
        if err.is_terminal and not debugging():
            status.start()
    try:
        yield
    finally:
        status.stop()


def tell_next(*commands: str) -> None:
    """What one may type next, on stderr: stdout ends with what was made."""
    for command in commands:
        err.print(Text.assemble(("Next: ", "bold"), command), soft_wrap=True)


def print_facts(facts: Iterable[tuple[str, str, str]], width: int) -> None:
    """A line for each fact: its name in so many columns, its value, what it means."""
    for name, value, told in facts:
        line = Text.assemble((f" {name:<{width}}", "dim"), (f"{value:>8}", "bold"), (f"  {told}", "dim"))
        out.print(line, highlight=False, soft_wrap=True)


def print_dim(lines: Iterable[str]) -> None:
    """How something was counted, below the numbers."""
    for text in lines:
        out.print(Text(f" {text}", style="dim"), highlight=False, soft_wrap=True)


def ending(reporter: Reporter, work: Callable[[], Done]) -> Done:
    """The result of long work, after whose progress nothing is left on the screen."""
    try:
        return work()
    finally:
        reporter.end()


def note_skipped(skipped: Sequence[tuple[Path, object]]) -> None:
    """Pictures that could not be read, the first ones by name."""
    for _, why in skipped[:SKIPPED]:
        note(f"Skipped: {why}")
    if len(skipped) > SKIPPED:
        note(f"and {len(skipped) - SKIPPED:,} more; --json names them all")


def refuse_skipped(skipped: Sequence[tuple[Path, object]], read: int) -> None:
    """The end of a command that could not read all of its pictures, when everything else is shown.

    Raises:
        InputError: there are such pictures, beside so many that were read.
    """
    if skipped:
        raise InputError(f"{len(skipped):,} of {len(skipped) + read:,} pictures could not be read")


def tell_finer(context: typer.Context, name: str) -> None:
    """One line, where neither network nor model was named: which network does better than mini."""
    if any(context.params.get(each) and was_given(context, each) for each in ("network", "models", "rerun", "resume")):
        return
    from imgnn.jobs.networks import finer

    note(finer(name))


def print_json(value: Any) -> None:
    """One JSON document on one line of stdout, so that several can follow each other."""
    print(json.dumps(value, ensure_ascii=False), file=out.file, flush=True)


def as_json(result: Any, **more: Any) -> dict[str, Any]:
    """The fields of a job's result, for `--json`: what it made is `path`, and its seconds have one digit."""
    fields = {("path" if name == "folder" else name): value for name, value in asdict(result).items()}
    if "path" in fields:
        fields["path"] = shown(fields["path"])
    if "skipped" in fields:
        fields["skipped"] = skipped_json(fields["skipped"].items())
    return {**fields, "seconds": round(result.seconds, 1), **more}


def skipped_json(skipped: Iterable[tuple[str | Path, object]]) -> list[dict[str, str]]:
    """Pictures that could not be read, for `--json`."""
    return [{"file": shown(Path(path)), "reason": str(why)} for path, why in skipped]


class Name:
    """A name in a table; where its column is too narrow it loses its middle: its end tells it from its neighbours."""

    SHORTEST = 12  # columns

    def __init__(self, name: str, style: str = "") -> None:
        self.name, self.style = name, style

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(min(self.SHORTEST, len(self.name)), len(self.name))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        name, width = self.name, options.max_width
        if len(name) > width:
            start = (width - 1) // 3
            name = f"{name[:start]}…{name[len(name) - (width - 1 - start) :]}"
        yield Text(name, self.style)


def print_table(table: Table) -> None:
    """A table on stdout; in a pipe it is as wide as it needs to be."""
    if out.is_terminal:
        out.print(table)
    else:
        wanted = out.measure(table, options=out.options.update(max_width=10_000)).maximum
        Console(file=out.file, width=max(out.width, wanted)).print(table)


def reporter(log: Path | None = None, *, append: bool = False) -> Reporter:
    """Bars on a terminal, a line now and then in a pipe; and every step in the file `log`."""
    shown: Reporter = BarReporter() if err.is_terminal else LineReporter()
    return shown if log is None else Logged(shown, log, append=append)


class FactsColumn(ProgressColumn):
    """The facts of the last step: `loss 1.23e+04`; on a narrow screen the first alone."""

    WIDE = 110  # columns; below it the parts of a loss would be broken over lines

    def render(self, task: Task) -> Text:
        facts = task.fields.get("facts", {})
        return Text(format_facts(facts if err.width >= self.WIDE else dict(list(facts.items())[:1])), style="cyan")


def headed(task: str) -> str:
    """A piece of work at the head of a line: "Reading pictures"."""
    return task[:1].upper() + task[1:]


def format_facts(facts: Mapping[str, float]) -> str:
    """`loss 123.4`: four digits are enough to see which way it goes."""
    return "  ".join(f"{name} {value:.4g}" for name, value in facts.items())


class BarReporter:
    """Draws one Rich bar for each piece of work."""

    def __init__(self) -> None:
        self.progress: Progress | None = None

    def note(self, message: str) -> None:
        (self.progress.console if self.progress else err).print(Text(message, style="dim"), soft_wrap=True)

    def begin(self, task: str, total: float | None, unit: str = "") -> None:
        self.end()
        amount: list[ProgressColumn] = (
            [DownloadColumn(), TransferSpeedColumn()] if unit == "bytes" else [MofNCompleteColumn()]
        )
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            *(amount if total is not None or unit == "bytes" else []),
            FactsColumn(),
            TimeElapsedColumn(),
            *([TextColumn("left"), TimeRemainingColumn()] if total is not None else []),
            console=err,
            transient=True,  # the command's own last line tells how it ended
        )
        self.progress.add_task(headed(task), total=total)
        self.progress.start()

    def advance(self, done: float, **facts: float) -> None:
        if self.progress:
            bar = self.progress.tasks[0]
            self.progress.update(bar.id, completed=done, facts=facts or bar.fields.get("facts", {}))

    def end(self) -> None:
        if self.progress:
            self.progress.stop()
            self.progress = None


class LineReporter:
    """Writes plain lines: where a piece of work starts, how far it is every ten seconds, how it ended."""

    EVERY = 10.0  # seconds

    def __init__(self) -> None:
        self.task: str | None = None
        self.total: float | None = None
        self.unit = ""
        self.done = 0.0
        self.facts: Mapping[str, float] = {}
        self.started = self.shown = 0.0

    def note(self, message: str) -> None:
        err.print(Text(message), soft_wrap=True)

    def begin(self, task: str, total: float | None, unit: str = "") -> None:
        self.end()
        self.task, self.total, self.unit, self.done, self.facts = headed(task), total, unit, 0.0, {}
        self.started = self.shown = time.monotonic()

    def advance(self, done: float, **facts: float) -> None:
        if self.task is None:
            return
        self.done, self.facts = done, facts or self.facts
        if time.monotonic() - self.shown >= self.EVERY:
            self.shown = time.monotonic()
            self.show("")

    def end(self) -> None:
        if self.task is not None:
            if sys.exc_info()[0] is None:  # of work that failed the error tells
                self.show("  done" if self.total is None or self.done >= self.total else "")
            self.task = None

    def show(self, ending: str) -> None:
        whole = f" of {self.total:.0f}" if self.total is not None else ""
        amount = f"{self.done:.0f}{whole} {self.unit}".strip() if self.done or self.total else ""
        seconds = f"{time.monotonic() - self.started:.1f} s"
        words = (f"{self.task}:", amount, format_facts(self.facts), seconds)
        self.note("  ".join(word for word in words if word) + ending)
