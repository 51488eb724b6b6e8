"""`imgnn fetch`."""

import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from imgnn.cli import console
from imgnn.cli.parsing import (
    MACHINES,
    NUMBER,
    RESULT,
    SECONDS,
    SHARE,
    UNSAID,
    Dask,
    Json,
    option,
    options_of,
    parse_positive,
    parse_shard,
    refuse_together,
    refuse_without,
    was_given,
)
from imgnn.data.outcomes import FAILURES, OK, OUTCOMES, PASSING
from imgnn.errors import InputError, offer
from imgnn.options import FetchOptions, FileFormat, ResizeMode, option_name
from imgnn.runs import amount, duration, percent

if TYPE_CHECKING:
    from imgnn.data.crawl import Progress
    from imgnn.data.journal import Journal
    from imgnn.data.sources import Source
    from imgnn.jobs.fetch import Fetched

LIST, MANNERS, KEPT, JOURNAL = "The list", "Manners", "What is kept", "The journal"
CLASSES = 12  # rows of the table of classes; of more, the first and the last


def parse_outcomes(text: str) -> tuple[str, ...]:
    """`timeout,rate_limited` -> outcomes. Another word is a usage error."""
    names = tuple(word.strip() for word in text.split(",") if word.strip())
    for name in names:
        if name not in FAILURES:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(FAILURES)}{offer(name, FAILURES)}")
    return names


def parse_bytes(text: str) -> int:
    """`500k`, `20M`, `1G` -> bytes. Anything else is a usage error."""
    units = {"k": 10**3, "m": 10**6, "g": 10**9}
    unit = units.get(text[-1:].lower(), 1)
    return int(parse_positive(text[:-1] if unit > 1 else text) * unit)


def fetch(
    context: typer.Context,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="LIST",
            help="Lists of addresses, pages, or - for standard input; with --merge, folders. None: what is left.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path,
        option(
            RESULT,
            "The folder of the pictures and of the journal.",
            "--output",
            "-o",
            metavar="FOLDER",
            file_okay=False,
        ),
    ] = Path("images"),
    json: Json = False,
    min_success: Annotated[
        Any, option(RESULT, "Fail (exit 1) below this share of pictures.", **SHARE)
    ] = f"{FetchOptions.min_success:g}",
    url_column: Annotated[
        str | None, option(LIST, "Of tables: the column of addresses.", metavar="NAME")
    ] = FetchOptions.url_column,
    label_column: Annotated[
        str | None, option(LIST, "Of tables: the column of classes.", metavar="NAME")
    ] = FetchOptions.label_column,
    label: Annotated[str | None, option(LIST, "The class of every picture.", metavar="NAME")] = FetchOptions.label,
    words: Annotated[
        Path | None, option(LIST, "The names of classes: words.txt, synset_words.txt.", metavar="FILE", dir_okay=False)
    ] = FetchOptions.words,
    wnid: Annotated[
        str | None, option(LIST, "Of ImageNet's lists: this synset alone.", metavar="WNID")
    ] = FetchOptions.wnid,
    is_a: Annotated[
        Path | None,
        option(LIST, "wordnet.is_a.txt: --wnid and all that is a kind of it.", metavar="FILE", dir_okay=False),
    ] = FetchOptions.is_a,
    limit: Annotated[
        int | None, option(LIST, "Pictures kept of each class: the first that can be had.", metavar="N", min=1)
    ] = FetchOptions.limit,
    concurrency: Annotated[int, option(MANNERS, "Requests at once.", metavar="N", min=1, max=1000)] = (
        FetchOptions.concurrency
    ),
    per_host: Annotated[
        int, option(MANNERS, "Requests at once to one host.", metavar="N", min=1, max=1000)
    ] = FetchOptions.per_host,
    retries: Annotated[
        int, option(MANNERS, "Further tries of what may pass, as a timeout.", metavar="N", min=0, max=20)
    ] = FetchOptions.retries,
    timeout: Annotated[
        Any, option(MANNERS, "Longest time to connect, and without a byte.", **SECONDS)
    ] = f"{FetchOptions.timeout:g}s",
    deadline: Annotated[
        Any, option(MANNERS, "Longest time for one try, all in all.", **SECONDS)
    ] = f"{FetchOptions.deadline:g}s",
    longest_wait: Annotated[
        Any, option(MANNERS, "A host that asks to wait longer is left alone.", **SECONDS)
    ] = f"{FetchOptions.longest_wait:g}s",
    max_time: Annotated[Any, option(MANNERS, "Begin nothing after this.", **SECONDS, **UNSAID)] = FetchOptions.max_time,
    robots: Annotated[bool, option(MANNERS, "Honour robots.txt and X-Robots-Tag.")] = FetchOptions.robots,
    allow_private: Annotated[
        bool, option(MANNERS, "Ask addresses of private networks too.", "--allow-private")
    ] = FetchOptions.allow_private,
    contact: Annotated[
        str, option(MANNERS, "A mail or web address, for the servers' logs.", metavar="WHO")
    ] = FetchOptions.contact,
    max_bytes: Annotated[
        Any, option(KEPT, "The largest answer: 500k, 20M.", parser=parse_bytes, metavar="BYTES")
    ] = f"{FetchOptions.max_bytes // 10**6}M",
    max_pixels: Annotated[
        Any, option(KEPT, "The largest picture: 20M.", parser=parse_bytes, metavar="PIXELS")
    ] = f"{FetchOptions.max_pixels // 10**6}M",
    min_side: Annotated[
        int, option(KEPT, "The shorter side, at least.", metavar="PIXELS", min=1)
    ] = FetchOptions.min_side,
    max_aspect: Annotated[
        Any, option(KEPT, "Long side by short side; 0: any.", **NUMBER)
    ] = f"{FetchOptions.max_aspect:g}",
    placeholder_after: Annotated[
        int,
        option(
            KEPT,
            "The same bytes from so many addresses stand for a picture that is gone; 0: never.",
            metavar="N",
            min=0,
        ),
    ] = FetchOptions.placeholder_after,
    placeholder: Annotated[
        list[Path] | None, option(KEPT, "A picture that stands for one that is gone.", metavar="IMAGE", **UNSAID)
    ] = None,
    allow_renames: Annotated[
        bool, option(KEPT, "A redirect to another file name may bring the picture.", "--allow-renames")
    ] = FetchOptions.allow_renames,
    resize: Annotated[
        int | None,
        option(
            KEPT,
            "Write pictures of this side. \\[default: the bytes as they came]",
            metavar="PIXELS",
            min=1,
            max=16000,
            **UNSAID,
        ),
    ] = FetchOptions.resize,
    resize_mode: Annotated[
        ResizeMode,
        option(KEPT, "border (whole, on white), keep_ratio, keep_ratio_largest, center_crop.", metavar="MODE"),
    ] = FetchOptions.resize_mode,
    only_if_bigger: Annotated[
        bool, option(KEPT, "Do not enlarge small ones.", "--only-if-bigger")
    ] = FetchOptions.only_if_bigger,
    format: Annotated[
        FileFormat | None,
        option(KEPT, "What pictures are written as. \\[default: as they came; resized, jpg]", **UNSAID),
    ] = FetchOptions.format,
    quality: Annotated[
        int, option(KEPT, "The quality of JPEG and WebP.", metavar="N", min=1, max=100)
    ] = FetchOptions.quality,
    retry_failed: Annotated[bool, option(JOURNAL, "Ask again what failed and may pass.", "--retry-failed")] = False,
    only: Annotated[
        Any,
        option(
            JOURNAL,
            f"With --retry-failed: these outcomes, whatever they are. \\[default: {', '.join(PASSING)}]",
            parser=parse_outcomes,
            metavar="A,B",
            **UNSAID,
        ),
    ] = None,
    status: Annotated[bool, option(JOURNAL, "Show what became of all addresses.", "--status")] = False,
    why: Annotated[str | None, option(JOURNAL, "Show what became of one.", metavar="FILE|URL")] = None,
    export: Annotated[
        Path | None,
        option(
            JOURNAL,
            "Write the journal as .csv, .json, .jsonl, .parquet; or the pictures as .tar (webdataset).",
            metavar="FILE",
        ),
    ] = None,
    shard: Annotated[
        Any,
        option(
            MACHINES, "Ask part I of N alone, with a journal of its own.", parser=parse_shard, metavar="I/N", **UNSAID
        ),
    ] = None,
    merge: Annotated[
        bool, option(MACHINES, "Put the parts of --shard, or other folders, together.", "--merge")
    ] = False,
    dask: Dask = FetchOptions.dask,
) -> None:
    """Fetch the pictures that lists of addresses name, and tell what became of each.

    A list is a text with an address on each line, a table (CSV, TSV, JSON,
    Parquet), a list of ImageNet, a page or a can of boke. The same command again
    goes on where it stopped.

    \b
    Example:
      imgnn fetch boke_can/ -o odai
      imgnn fetch -o odai --status
      # from the web
      imgnn fetch cats.txt dogs.txt -o pets --limit 500
      imgnn fetch flickr_style.csv.gz -o style --words style_names.txt
      imgnn fetch -o pets --retry-failed --only timeout,rate_limited
      imgnn fetch -o pets --why pets/cats/tom-0123456789ab.jpg
    """
    modes = [name for name, given in (("--status", status), ("--why", why), ("--export", export)) if given]
    if modes and (
        others := [*modes[1:], *(["SOURCE"] if sources else []), *(["--retry-failed"] if retry_failed else [])]
    ):
        refuse_together(modes[0], others[0])
    for name in ("retry_failed", "limit", "dask", "shard") if merge else ():
        if context.params[name]:
            refuse_together("--merge", option_name(name))
    for name in ("resize_mode", "only_if_bigger") if resize is None else ():
        if was_given(context, name):
            refuse_without(option_name(name), "--resize")
    if was_given(context, "quality") and format == "png":
        refuse_together("--quality", "--format png")
    if was_given(context, "quality") and resize is None and format is None:
        refuse_without("--quality", "--resize or --format")
    if only and not retry_failed:
        refuse_without("--only", "--retry-failed")
    if status:
        show_status(output, json)
    elif why:
        show_story(output, why, json)
    elif export:
        write_export(output, export, json)
    else:
        options = options_of(FetchOptions, context, placeholders=tuple(placeholder or ()))
        # What was refused by an option that is given otherwise now is asked again with the rest.
        allowed = (*(["blocked_address"] if allow_private else []), *([] if robots else ["opted_out"]))
        again = (only or (*PASSING, *allowed)) if retry_failed else ()
        run(sources or [], output, options, again, merge, json)


def run(words: list[str], output: Path, options: FetchOptions, again: tuple[str, ...], merge: bool, json: bool) -> None:
    """The fetch itself."""
    from imgnn.data.sources import Source  # aiohttp and Pillow wake here, not at --help
    from imgnn.jobs.fetch import fetch_pictures, merge_journals

    reporter = console.reporter()
    if merge:
        if not words:
            raise typer.BadParameter("the folders to merge are missing", param_hint="--merge")
        ended = merge_journals([Path(word) for word in words], output, options, reporter)
    else:
        with named(words, Source) as lists:
            if console.err.is_terminal:
                with Screen() as screen:
                    ended = fetch_pictures(lists, output, options, reporter, watch=screen.show, again=again)
            else:
                ended = fetch_pictures(lists, output, options, reporter, again=again)
    if json:
        console.print_json(as_json(ended))
    else:
        show(ended)
    if failure := ended.stopped or ended.failed:
        raise failure


@contextmanager
def named(words: list[str], kind: type["Source"]) -> Iterator[list[Any]]:
    """The lists that are meant: files, addresses, and `-` for standard input, which is put into a file first."""
    with tempfile.TemporaryDirectory(prefix="imgnn-") as scratch:
        lists: list[Any] = []
        for word in words:
            if word == "-":
                path = Path(scratch, "stdin")
                with path.open("wb") as file:
                    shutil.copyfileobj(sys.stdin.buffer, file)
                lists.append(kind(path, "standard input", stem=""))
            elif word.startswith(("http://", "https://")):
                lists.append(word)
            else:
                lists.append(kind(Path(word)))
        yield lists


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


def show_status(output: Path, json: bool) -> None:
    """--status."""
    from imgnn.jobs.fetch import look

    ended = look(output)
    if json:
        console.print_json(as_json(ended))
    else:
        show(ended)


def show_story(output: Path, what: str, json: bool) -> None:
    """--why."""
    with opened(output, what) as (journal, name):
        stories = journal.story(name) or journal.story(as_address(name))
    if not stories:
        raise InputError(
            f"{journal.path} knows neither an address nor a file {what}", hint=f"imgnn fetch -o {output} --status"
        )
    if json:
        console.print_json(stories)
        return
    for story in stories:
        for line in told(story):
            console.out.print(line, soft_wrap=True, highlight=False)


def as_address(what: str) -> str:
    """An address as the journal has it, of one as a list has it."""
    from imgnn.data.addresses import parse_url

    try:
        return str(parse_url(what))
    except ValueError:
        return what


@contextmanager
def opened(output: Path, what: str) -> Iterator[tuple["Journal", str]]:
    """The journal that knows of a file or an address, and what it calls it: a file's own, if there is one above it."""
    from imgnn.data.journal import NAME, Journal, find_journal

    path = Path(what)
    for folder in path.absolute().parents if "://" not in what else ():
        if (folder / NAME).is_file():
            with Journal(folder / NAME, read_only=True) as journal:
                yield journal, path.absolute().relative_to(folder).as_posix()
            return
    with Journal(find_journal(output), read_only=True) as journal:
        yield journal, what


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


def write_export(output: Path, path: Path, json: bool) -> None:
    """--export."""
    from imgnn.data.export import export
    from imgnn.data.journal import Journal, find_journal

    with Journal(find_journal(output), read_only=True) as journal:
        files = list(export(journal, path, console.reporter()))
    if json:
        console.print_json({"files": [console.shown(file) for file in files]})
    else:
        for file in files:
            console.show_path(file)
