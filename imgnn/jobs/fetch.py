"""`imgnn fetch`: lists of addresses -> checked picture files, and a journal of what became of every address."""

import asyncio
import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from imgnn.data.crawl import Crawl, Pace, Progress
from imgnn.data.download import Downloader, Failed, Manners
from imgnn.data.items import Listed, Result, Waiting, safe_name
from imgnn.data.journal import NAME, Journal, find_journal
from imgnn.data.keeping import Keeping, sha256_of
from imgnn.data.merge import journals_of, merge
from imgnn.data.outcomes import FAILURES, OK, OUTCOMES
from imgnn.data.sources import Reading, Source
from imgnn.data.synsets import descendants, read_words
from imgnn.errors import DownloadError, ImgnnError, InputError, InterruptedRun, OptionError, UnknownNameError
from imgnn.images.decode import describe
from imgnn.jobs.fetch_dask import ask_piece, crawl_by_dask
from imgnn.options import FetchOptions
from imgnn.runs import Reporter, Silent, is_file, is_set, lock, percent, write_aside

BOKE = "boke.jsonl"
WHOLE = (1, 1)  # the only part of one


@dataclass(frozen=True)
class Fetched:
    """How a fetch ended.

    Attributes:
        folder: where the pictures are.
        counts: outcome -> how many, of the whole journal; "waiting" for those not asked.
        run: the same of this run alone.
        classes: label -> outcome -> how many.
        repeats: lines that named an address a second time, and how many of them under another class.
        lost: pictures that were kept and are not there any more; only `look` looks.
        seconds: that the run took.
        boke: the JSON Lines of pictures and lines, if the source was one of boke.
        stopped: why it ended before its end; None if it did not.
        failed: why it is a failure although it came to its end: not one picture, or fewer than `min_success`.
    """

    folder: Path
    counts: Mapping[str, int]
    run: Mapping[str, int] = field(default_factory=dict)
    classes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    repeats: tuple[int, int] = (0, 0)
    lost: int = 0
    seconds: float = 0.0
    boke: Path | None = None
    stopped: ImgnnError | None = None
    failed: ImgnnError | None = None

    @property
    def success(self) -> float:
        """The share of pictures among the addresses that were asked; duplicates count on neither side."""
        asked = sum(self.counts.values()) - self.counts.get("waiting", 0) - self.counts.get("duplicate", 0)
        return self.counts.get(OK, 0) / asked if asked else 0.0


def fetch_pictures(
    sources: Sequence[Source | str],
    folder: Path,
    options: FetchOptions | None = None,
    reporter: Reporter | None = None,
    *,
    watch: Callable[[Progress, int], None] | None = None,
    again: Sequence[str] = (),
) -> Fetched:
    """Fetch what lists name into a folder, one folder within it for each class.

    What the folder's journal knows already is not asked again, so the same call goes on where an earlier one stopped.

    Args:
        sources: lists, or addresses of lists or pages; none: what the journal knows of and was not asked yet.
        reporter: hears of the lists as they are read; and of the pictures, without `watch`.
        watch: is told twice a second how far it is, and how many addresses wait.
        again: outcomes whose addresses are asked again.

    Returns:
        Also when it was stopped (an interrupt, no network, no time): the reason is in `stopped`; or when too few
        pictures came: it is in `failed`.

    Raises:
        InputError: a list cannot be read, the folder cannot be written, or holds pictures of another size; there is
            neither a list nor a journal.
    """
    options, reporter = options or FetchOptions(), reporter or Silent()
    check(options, again)
    name = f"fetch-{options.shard[0]}-of-{options.shard[1]}.sqlite" if options.shard else NAME
    if not sources and not is_file(folder / name):
        raise nothing_to_do(folder)
    reading = reading_of(options)
    for source in sources:
        if isinstance(source, Source):
            source.digest(reading)  # what is not there is told before a folder is made
    made_folder(folder)
    with locked(folder):
        fresh = not is_file(folder / name)
        with Journal(folder / name) as journal:
            try:
                keep_settings(journal, options)
                take_in(journal, sources, reading, options, reporter)
            except ImgnnError:
                if fresh and not journal.counts():
                    journal.path.unlink()  # nothing was begun
                raise
            journal.set_fact("limit", options.limit)
            if options.words:
                tell_nameless(journal, reading, reporter)
            if again:
                reporter.note(f"{journal.ask_again(again):,} addresses are asked again")
            return crawl(journal, options, reporter, watch)


def check(options: FetchOptions, again: Sequence[str]) -> None:
    """What can be told before anything is begun.

    Raises:
        InputError, UnknownNameError: an option is not what it should be.
    """
    for name in again:
        if name not in FAILURES:
            raise UnknownNameError("outcome that can be asked again", name, FAILURES)
    if options.limit is not None and options.shard is not None:
        raise OptionError(
            "--limit counts the pictures of a class in all parts, and --shard knows but one", hint="either"
        )
    if options.is_a and not options.wnid:
        raise OptionError("--is-a tells what is a kind of --wnid, which is missing", hint="--wnid n02121808")


def nothing_to_do(folder: Path) -> InputError:
    """What to say where there is neither a list nor a journal."""
    hint = "imgnn fetch LIST"
    if parts := sorted(folder.glob("fetch-*-of-*.sqlite")):
        _, part, _, count = parts[0].stem.split("-")
        hint = f"imgnn fetch -o {folder} --shard {part}/{count}"
    return InputError(f"no list was named, and {folder} holds no journal of an earlier fetch", hint=hint)


def made_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror or error}") from error


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time.

    Raises:
        InputError: another one is at work, or the folder may not be written.
    """
    try:
        file = (folder / ".fetch-lock").open("a")
    except OSError as error:
        raise InputError(f"cannot write into {folder}: {error.strerror or error}") from error
    with file:
        if not lock(file):
            hint = f"imgnn fetch -o {folder} --status"
            raise InputError(f"another imgnn fetch is at work in {folder}", hint=hint)
        yield  # the file stays: a lock on one that is removed is none


def keep_settings(journal: Journal, options: FetchOptions) -> None:
    """See to it that all pictures of a folder are kept in the same form.

    Raises:
        InputError: they were kept in another.
    """
    names = ("resize", "resize_mode", "only_if_bigger", "format", "quality")
    plain = options.resize is None and options.format is None
    now = json.dumps({} if plain else {name: getattr(options, name) for name in names})
    then = journal.fact("form")
    if then is None:
        journal.set_fact("form", now)
    elif then != now:
        raise InputError(
            f"{journal.folder} holds pictures kept as {told_form(then)}; now they would be kept as {told_form(now)}",
            hint="the same options as before, or another folder with -o",
        )


def told_form(form: str) -> str:
    """Settings in words."""
    found = json.loads(form)
    if not found:
        return "they came"
    size = f"{found['resize']} pixels ({found['resize_mode']})" if found["resize"] else "of any size"
    return f"{size}, {found['format'] or 'jpg'}"


def tell_nameless(journal: Journal, reading: Reading, reporter: Reporter) -> None:
    """Say so if words were given that name some classes and not others."""
    nameless = [label for label in journal.counts_by_class() if label and label not in set(reading.words.values())]
    if nameless:
        reporter.note(f"--words has no name for {len(nameless):,} classes, the first is {nameless[0]}")


def merge_journals(
    places: Sequence[Path], folder: Path, options: FetchOptions | None = None, reporter: Reporter | None = None
) -> Fetched:
    """Take the journals of other folders, and of parts, with their pictures into one; see `data/merge.py`.

    Raises:
        InputError: as of `merge`, or the folder cannot be written.
    """
    options, reporter = options or FetchOptions(), reporter or Silent()
    journals = journals_of(places)
    made_folder(folder)
    with locked(folder), Journal(folder / NAME) as journal:
        merge(journal, journals, reporter, many=options.placeholder_after)
        for missing in journal.missing_parts():
            reporter.note(f"missing is {missing}")
        return replace(ended(journal), boke=write_boke(journal))


def look(folder: Path) -> Fetched:
    """How a folder stands.

    Raises:
        InputError: nothing was fetched into it.
    """
    with Journal(find_journal(folder), read_only=True) as journal:
        return replace(ended(journal), lost=len(journal.lost_files()))


def reading_of(options: FetchOptions) -> Reading:
    """How the lists are read.

    Raises:
        InputError: the words or the kinds of synsets cannot be read.
    """
    synsets = frozenset({options.wnid} if options.wnid else ())
    return Reading(
        url_column=options.url_column,
        label_column=options.label_column,
        label=options.label,
        words=read_words(options.words) if options.words else {},
        synsets=descendants(options.wnid, options.is_a) if options.wnid and options.is_a else synsets,
    )


def take_in(
    journal: Journal, sources: Sequence[Source | str], reading: Reading, options: FetchOptions, reporter: Reporter
) -> None:
    """Every list into the journal, that is not in it yet.

    Raises:
        InputError, DownloadError: one cannot be read or fetched.
    """
    with tempfile.TemporaryDirectory(prefix="imgnn-") as scratch:
        for number, source in enumerate(sources):
            if isinstance(source, str):
                source = fetched_source(source, Path(scratch), number, options)
            digest = source.digest(reading)
            if journal.knows_source(digest, options.shard or WHOLE):
                continue
            reporter.begin(f"reading {source.name}", None, "lines")
            what = f"no address of {options.wnid}" if options.wnid else "no address"
            lines = counted(source.lines(reading), reporter, f"{source.name} names {what}")
            journal.add_source(source.name, digest, lines, options.shard or WHOLE)
            reporter.end()


def counted(lines: Iterator[Listed], reporter: Reporter, empty: str) -> Iterator[Listed]:
    """The same lines, told of.

    Raises:
        InputError: there is none; it says `empty`.
    """
    count = 0
    for count, line in enumerate(lines, 1):
        yield line
        if count % 1000 == 0:
            reporter.advance(count)
    if not count:
        raise InputError(empty)


def fetched_source(address: str, scratch: Path, number: int, options: FetchOptions) -> Source:
    """A list or a page that is on the web; of a picture, a list that names it.

    Raises:
        DownloadError: it cannot be fetched.
    """
    check_online(address)

    async def ask() -> tuple[bytes, str]:
        async with Downloader(manners_of(options), scratch) as downloader:
            answer = await downloader.fetch(address, pictures=False)
            data = answer.data.read_bytes() if isinstance(answer.data, Path) else answer.data
            return data, answer.final

    try:
        data, final = asyncio.run(ask())
    except Failed as failed:
        raise DownloadError(f"cannot fetch {address}: {OUTCOMES[failed.outcome].meaning}: {failed.detail}") from failed
    name = Path(final.partition("?")[0]).name
    if describe(data[:512]).endswith(" picture"):
        data, name = address.encode() + b"\n", ""
    path = scratch / str(number) / (safe_name(name, 100) or "page")  # its class is called as it is
    path.parent.mkdir()
    path.write_bytes(data)
    return Source(path, address, final, "" if not name else None)


def check_online(what: str) -> None:
    """See to it that the network may be used.

    Raises:
        DownloadError: IMGNN_OFFLINE forbids it.
    """
    if is_set("IMGNN_OFFLINE"):
        raise DownloadError(f"IMGNN_OFFLINE forbids the network: {what}", hint="unset IMGNN_OFFLINE")


def manners_of(options: FetchOptions) -> Manners:
    return Manners(
        timeout=options.timeout,
        deadline=options.deadline,
        max_bytes=options.max_bytes,
        robots=options.robots,
        allow_private=options.allow_private,
        allow_renames=options.allow_renames,
        contact=options.contact,
    )


def pace_of(options: FetchOptions) -> Pace:
    return Pace(
        concurrency=options.concurrency,
        per_host=options.per_host,
        retries=options.retries,
        longest_wait=options.longest_wait,
    )


def keeping_of(options: FetchOptions, parts: Path) -> Keeping:
    return Keeping(
        parts,
        min_side=options.min_side,
        max_pixels=options.max_pixels,
        max_aspect=options.max_aspect,
        size=options.resize,
        mode=options.resize_mode,
        only_if_bigger=options.only_if_bigger,
        format=options.format,
        quality=options.quality,
        known=frozenset(map(sha256_of, options.placeholders)),
    )


class Supply:
    """What a journal still has to give: its addresses in their order, of each class no more than are wanted.

    With a limit, only so many addresses of a class are out as pictures are still missing: so those that are kept are
    the first of the list that can be had, however fast the servers answer.
    """

    def __init__(self, journal: Journal, limit: int | None) -> None:
        self.journal, self.limit = journal, limit
        counts = journal.counts_by_class()
        self.have = {label: found.get(OK, 0) for label, found in counts.items()}
        self.cursor = dict.fromkeys(self.have, 0)
        self.out: dict[int, str] = {}  # id -> label of those that are being asked
        self.asked = dict.fromkeys(self.have, 0)  # how many those are, of each class
        # Classes that may want more; one that has enough out is looked at again when one of them comes back.
        self.wanting = {label: None for label, found in counts.items() if "waiting" in found}
        self.last, self.left = 0, sum(found.get("waiting", 0) for found in counts.values())

    def take(self, count: int) -> list[Waiting]:
        """The next addresses, at most so many."""
        if not self.wanting:
            return []
        if self.limit is None:
            rows = self.journal.waiting(self.last, count)
            self.last = rows[-1].id if rows else self.last
            if len(rows) < count:
                self.wanting.clear()
            return rows
        taken: list[Waiting] = []
        for label in list(self.wanting):
            missing = min(self.limit - self.have[label] - self.asked[label], count - len(taken))
            if missing <= 0 and len(taken) == count:
                break
            del self.wanting[label]
            rows = self.journal.waiting(self.cursor[label], missing, label) if missing > 0 else []
            if rows:
                self.cursor[label] = rows[-1].id
                self.asked[label] += len(rows)
                self.out.update((row.id, label) for row in rows)
                taken += rows
        return taken

    def settle(self, results: Sequence[Result], many: int) -> list[tuple[str, str, int]]:
        """Results into the journal; what they free may be taken next."""
        changes = self.journal.settle(results, many=many)
        for outcome, label, change in changes:
            if outcome == OK:
                self.have[label] = self.have.get(label, 0) + change
        for result in results:
            if result.id in self.out:
                label = self.out.pop(result.id)
                self.asked[label] -= 1
                self.wanting[label] = None
        self.left -= len(results)
        return changes


def crawl(
    journal: Journal, options: FetchOptions, reporter: Reporter, watch: Callable[[Progress, int], None] | None
) -> Fetched:
    """Ask everything that waits."""
    supply = Supply(journal, options.limit)
    run: dict[str, int] = {}
    seconds = 0.0
    stopped: ImgnnError | None = None

    def told(progress: Progress) -> None:
        nonlocal run, seconds
        run, seconds = progress.counts, progress.seconds
        if watch is None:
            reporter.advance(sum(run.values()), **{name: count for name, count in run.items() if count})
        else:
            watch(progress, supply.left)

    manners, keeping, pace = manners_of(options), keeping_of(options, journal.parts.resolve()), pace_of(options)
    ends: dict[str, Any] = {
        "take": supply.take,
        "settle": lambda results: supply.settle(results, options.placeholder_after),
        "watch": told,
        "deadline": options.max_time,
    }

    async def work() -> None:
        async with Downloader(manners, journal.parts) as downloader:
            await Crawl(downloader, keeping, pace, **ends).run()

    if watch is None:
        reporter.begin("fetching", supply.left, "addresses")
    try:
        if supply.left:
            if journal.needs_network():
                check_online(f"{supply.left:,} addresses wait in {journal.path}")
            if options.dask is None:
                asyncio.run(work())
            else:
                ask = partial(ask_piece, manners=manners, keeping=keeping, pace=pace)
                crawl_by_dask(options.dask, journal.folder, ask, **ends)
    except KeyboardInterrupt:
        stopped = InterruptedRun(
            f"what was fetched is in {journal.folder}; {supply.left:,} addresses wait", hint="the same command again"
        )
    except DownloadError as error:
        stopped = error
    finally:
        reporter.end()
    found = replace(ended(journal), run=run, seconds=seconds, boke=write_boke(journal), stopped=stopped)
    return replace(found, failed=failure_of(found, options.min_success))


def failure_of(found: Fetched, least: float) -> DownloadError | None:
    """What there is to say when too few pictures came.

    Args:
        least: share of the addresses that are to be pictures, 0..1.
    """
    hint = f"imgnn fetch -o {found.folder} --status; --retry-failed asks again"
    if "blocked_address" in found.counts:
        hint = f"imgnn fetch -o {found.folder} --retry-failed --allow-private, if these addresses are yours"
    asked = sum(found.counts.values()) - found.counts.get("waiting", 0)
    if asked and not found.counts.get(OK):
        return DownloadError(f"not one picture of {asked:,} addresses could be had", hint=hint)
    if found.success < least:
        return DownloadError(f"{percent(found.success)} are pictures, less than {percent(least)}", hint=hint)
    return None


def ended(journal: Journal) -> Fetched:
    """What a journal says as a whole."""
    return Fetched(journal.folder, journal.counts(), classes=journal.counts_by_class(), repeats=journal.repeats())


def write_boke(journal: Journal) -> Path | None:
    """The pictures that came with the lines under them, as JSON Lines; None if the sources were none of boke.

    The fields are those of butsugiri/bokete: `boke`, `star`, `images` (`path`, `url`) and `image_url`; and ours:
    `number`, `category`, `credit`, `page`.
    """
    if journal.db.execute("SELECT 1 FROM boke LIMIT 1").fetchone() is None:
        return None
    path = journal.folder / BOKE
    with write_aside(path) as aside, aside.open("w", encoding="utf-8") as file:
        for row in journal.db.execute(
            "SELECT b.text, b.star, b.number, b.category, b.credit, b.page, u.url, u.file FROM boke b "
            "JOIN urls u ON u.id = b.url WHERE u.outcome = 'ok' ORDER BY u.id, b.number, b.text"
        ):
            line = {
                "boke": row["text"],
                "star": row["star"],
                "images": [{"path": row["file"], "url": row["url"]}],
                "image_url": row["url"],
                **{name: row[name] for name in ("number", "category", "credit", "page") if row[name] is not None},
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return path
