"""What `imgnn fetch` shows: the table that lives while pictures come, how it ended, the story of an address."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from imgnn.cli import console
from imgnn.data.outcomes import OK, OUTCOMES
from imgnn.runs import amount, duration, percent

if TYPE_CHECKING:
    from imgnn.data.crawl import Progress
    from imgnn.jobs.fetch import Fetched

CLASSES = 12  # rows of the table of classes; of more, the first and the last


class Screen:
    """The table that lives while pictures come: outcomes, rate, the slowest hosts, the time left."""

    def __init__(self) -> None:
        self.live = Live(console=console.err, transient=True, auto_refresh=False)
        self.recent: list[tuple[float, int]] = []  # seconds, addresses done: the rate is that of the last 15 seconds

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *error: object) -> None:
        self.live.stop()

    def show(self, progress: "Progress", left: int) -> None:
        """One look."""
        if not self.live.is_started:
            self.live.start()
        done = sum(progress.counts.values())
        self.recent = [each for each in self.recent if progress.seconds - each[0] < 15] + [(progress.seconds, done)]
        span, many = progress.seconds - self.recent[0][0], done - self.recent[0][1]
        rate = many / span if span > 0 else 0.0
        self.live.update(self.drawn(progress, left, done, rate), refresh=True)

    def drawn(self, progress: "Progress", left: int, done: int, rate: float) -> Group:
        share = done / max(1, done + left)
        width = 20
        bar = Text.assemble(("━" * round(width * share), "cyan"), ("━" * (width - round(width * share)), "grey37"))
        remaining = f"{clock(left / rate)} left" if rate else ""
        head = Text.assemble(
            bar, f"  {done:,} of {done + left:,}  ", (f"{rate:,.0f}/s", "cyan"), f"  {amount(progress.bytes)}  ",
            f"{clock(progress.seconds)}  {remaining}",
        )  # fmt: skip
        counts = Text("  ").join(
            # \u00a0: a line is broken between outcomes, not between a number and its name.
            Text.assemble((f"{progress.counts[name]:,}\u00a0", "bold green" if name == OK else "bold"), name)
            for name in OUTCOMES
            if progress.counts.get(name)
        )
        parts: list[Any] = [head, counts]
        if progress.hosts:
            table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
            for name in ("slowest hosts", "s", "at once", "waiting", ""):
                table.add_column(name, justify="left" if name in ("slowest hosts", "") else "right")
            for host, seconds, active, waiting, pause in progress.hosts:
                told = f"pauses {pause:.0f} s" if pause > 0 else ""
                table.add_row(console.Name(host), f"{seconds:.2f}", str(active), f"{waiting:,}", Text(told, "dim"))
            parts.append(table)
        return Group(*parts)


def clock(seconds: float) -> str:
    """`1:02:03`, `2:03`."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def as_json(ended: "Fetched") -> dict[str, Any]:
    """The fields of `--json`; docs/fetch.md describes them."""
    return {
        "path": console.shown(ended.folder),
        "counts": ended.counts,
        "run": ended.run,
        "classes": ended.classes,
        "repeats": ended.repeats[0],
        "repeats_of_another_class": ended.repeats[1],
        "lost": ended.lost,
        "success": round(ended.success, 6),
        "seconds": round(ended.seconds, 1),
        "boke": console.shown(ended.boke) if ended.boke else None,
        "stopped": str(ended.stopped) if ended.stopped else None,
    }


def show(ended: "Fetched") -> None:
    """The tables, and a line that sums them up."""
    console.print_table(outcomes_table(ended.counts))
    if any(ended.classes):
        console.print_table(classes_table(ended.classes))
    if ended.repeats[0]:
        note = f"addresses that were named before: {ended.repeats[0]:,}"
        console.note(
            note
            + (f", {ended.repeats[1]:,} of them under another class (the first counts)" if ended.repeats[1] else "")
        )
    if ended.lost:
        console.note(f"kept pictures that are not there any more: {ended.lost:,} (--retry-failed --only lost)")
    done = sum(ended.run.values())
    if done:
        rate = f", {done / ended.seconds:,.0f} a second" if ended.seconds > 0.5 else ""
        console.note(f"{done:,} addresses in {duration(ended.seconds)}{rate}")
    console.show_path(ended.folder)
    if ended.boke:
        console.show_path(ended.boke)


def outcomes_table(counts: Mapping[str, int]) -> Table:
    """A row for each outcome that occurs."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("outcome")
    table.add_column("count", justify="right")
    table.add_column("share", justify="right")
    table.add_column("means", style="dim", overflow="fold")
    whole = sum(counts.values())
    for name in (*OUTCOMES, "waiting"):
        if count := counts.get(name):
            meaning = OUTCOMES[name].meaning if name in OUTCOMES else "not asked yet"
            table.add_row(Text(name, "green" if name == OK else ""), f"{count:,}", percent(count / whole), meaning)
    return table


def classes_table(classes: Mapping[str, Mapping[str, int]]) -> Table:
    """A row for each class, or for the first and the last of many."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("class")
    for name in (OK, "failed", "waiting"):
        table.add_column(name, justify="right")
    rows = list(classes.items())
    shortened = len(rows) > CLASSES
    for index, (name, counts) in enumerate(rows):
        if shortened and CLASSES // 2 <= index < len(rows) - CLASSES // 2:
            if index == CLASSES // 2:
                rest: Counter[str] = Counter()
                for _, each in rows[CLASSES // 2 : len(rows) - CLASSES // 2]:
                    rest.update(each)
                add_class(table, Text(f"… {len(rows) - CLASSES:,} more", "dim"), rest)
            continue
        add_class(table, console.Name(name or "(no class)"), counts)
    return table


def add_class(table: Table, name: Any, counts: Mapping[str, int]) -> None:
    ok, waiting = counts.get(OK, 0), counts.get("waiting", 0)
    table.add_row(name, f"{ok:,}", f"{sum(counts.values()) - ok - waiting:,}", f"{waiting:,}")


def told(story: Mapping[str, Any]) -> Iterator[Text]:
    """One address, line by line."""
    outcome = story["outcome"] or "waiting"
    meaning = OUTCOMES[outcome].meaning if outcome in OUTCOMES else "not asked yet"
    yield Text(story["url"], "bold")
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(story["finished"])) if story["finished"] else None
    size = (
        f"{story['height']} x {story['width']} {story['format']}, {story['bytes']:,} bytes" if story["width"] else None
    )
    facts = {
        "outcome": f"{outcome}: {meaning}",
        "detail": story["detail"],
        "answer": story["status"],
        "from": story["final_url"],
        "tries": f"{story['tries']}, the last on {when}, {story['seconds']:.2f} s" if when else None,
        "listed": f"{story['list']}, line {story['line']}",
        "class": story["label"] or None,
        "split": story["split"],
        "picture": size,
        "sha256": story["sha256"],
        "file": story["file"],
        "again": "; ".join(f"{name}, line {line} ({label})" for name, line, label in story["repeats"]) or None,
        "boke": "; ".join(text + (f" ★{star:,}" if star is not None else "") for text, star in story["boke"]) or None,
    }
    for name, value in facts.items():
        if value is not None:
            yield Text.assemble((f"  {name:9}", "dim"), str(value))
