"""`imgnn fetch`."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imgnn.cli import console
from imgnn.cli.fetch_show import Screen, as_json, show, told
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
from imgnn.data.outcomes import FAILURES, PASSING
from imgnn.errors import offer
from imgnn.options import FetchOptions, FileFormat, ResizeMode, option_name

if TYPE_CHECKING:
    from imgnn.data.sources import Source

LIST, MANNERS, KEPT, JOURNAL = "The list", "Manners", "What is kept", "The journal"


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
        others := [*modes[1:], *(["LIST"] if sources else []), *(["--retry-failed"] if retry_failed else [])]
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
    from imgnn.jobs.fetch_journal import stories_of

    stories = stories_of(output, what)
    if json:
        console.print_json(stories)
        return
    for story in stories:
        for line in told(story):
            console.out.print(line, soft_wrap=True, highlight=False)


def write_export(output: Path, path: Path, json: bool) -> None:
    """--export."""
    from imgnn.jobs.fetch_journal import export_journal

    files = export_journal(output, path, console.reporter())
    if json:
        console.print_json({"files": [console.shown(file) for file in files]})
    else:
        for file in files:
            console.show_path(file)
