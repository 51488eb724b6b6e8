"""Many addresses at once: which is asked when, what is tried again, when a host is left alone.

No more than a few requests go to one host at a time; one that says 429 gets fewer, and none before the time that it
names; one that never answers is given up. The pictures are decoded by threads while the next ones come.
"""

import asyncio
import heapq
import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from imgnn.data.download import Downloader, Failed
from imgnn.data.items import Result, Waiting
from imgnn.data.keeping import Keeping, keep_all
from imgnn.data.outcomes import OUTCOMES
from imgnn.data.spread import cores
from imgnn.errors import DownloadError, InputError

BUNDLE = 16  # answers that a thread looks at in one go, at most
WINDOW = 10_000  # addresses that wait in memory: enough that no single host fills it in most lists
BATCH, EVERY = 500, 0.5  # results, and seconds, after which they go into the journal
GIVEN_UP = 10  # requests to a host without any answer, in a row
RECOVERY = 20  # answers after which a host that was asked too much is asked by one more at a time
OFFLINE = 5  # hosts without an address, and none with one: it is this machine
LONGEST_PAUSE = 30.0  # seconds, the most that a robots.txt may ask for between two requests


class Offline(DownloadError):
    """No name leads anywhere: nothing can be said of the addresses."""


@dataclass(frozen=True)
class Pace:
    """How fast, and how patiently; the defaults are those of `FetchOptions`.

    Attributes:
        concurrency: requests at once.
        per_host: of them, to one host.
        retries: further tries of what may pass.
        longest_wait: seconds; a host that asks for more is left alone.
        backoff: seconds before the first further try, doubled before each other.
    """

    concurrency: int
    per_host: int
    retries: int
    longest_wait: float
    backoff: float = 1.0


@dataclass
class Host:
    """One host and what is known of it."""

    name: str
    limit: int
    queue: deque[Waiting] = field(default_factory=deque)
    active: int = 0
    started: float = 0.0  # the last request; the loop's clock
    not_before: float = 0.0
    listed: bool = False  # whether it is among those that can be asked
    streak: int = 0  # requests in a row without an answer
    answers: int = 0
    seconds: float = 0.0  # of all requests
    closed: tuple[str, str] | None = None  # the outcome and words for everything that still waits


@dataclass(frozen=True)
class Progress:
    """How far a crawl is.

    Attributes:
        counts: outcome -> how many in this run.
        bytes: of pictures and of everything else.
        seconds: since it began.
        hosts: the slowest that are being asked: name, seconds for an answer, requests at once, addresses that wait,
            seconds of pause.
    """

    counts: dict[str, int]
    bytes: int
    seconds: float
    running: int
    hosts: list[tuple[str, float, int, int, float]]


class Crawl:
    """One run.

    Args:
        take: gives the next addresses, at most so many; none when there are no more for now.
        settle: is handed results, in batches, and keeps them. Gives the changes of the counts, as `Journal.settle`.
        watch: is told every half second how far it is.
        deadline: seconds after which no new address is begun; None: none.
    """

    def __init__(
        self,
        downloader: Downloader,
        keeping: Keeping,
        pace: Pace,
        *,
        take: Callable[[int], Sequence[Waiting]],
        settle: Callable[[Sequence[Result]], Sequence[tuple[str, str, int]]],
        watch: Callable[[Progress], None] = lambda _: None,
        deadline: float | None = None,
    ) -> None:
        self.downloader, self.keeping, self.pace = downloader, keeping, pace
        self.take, self.settle, self.watch, self.deadline = take, settle, watch, deadline
        self.hosts: dict[str, Host] = {}
        self.ready: deque[Host] = deque()
        self.later: list[tuple[float, int, Host | Waiting]] = []  # a heap: when, to break ties, what
        self.ticket = itertools.count()
        self.tasks: set[asyncio.Task[None]] = set()
        self.waiting = 0  # addresses in queues and in `later`
        self.results: list[Result] = []
        self.held: list[Result] = []  # names that led nowhere, until one is known to lead somewhere
        self.counts: Counter[str] = Counter()
        self.bytes = 0
        self.flushed = 0.0
        self.reached = False  # whether any host was found
        self.lost = 0  # hosts that were not
        self.raw: deque[Any] = deque()  # answers that no thread looks at yet
        self.judging = 0  # threads that look at some
        self.fatal: BaseException | None = None

    async def run(self) -> None:
        """Until nothing waits, or the deadline, or an interrupt; what was done is settled in any case.

        Raises:
            Offline: no host name leads anywhere.
            InputError: the pictures cannot be written.
        """
        self.loop, self.wake = asyncio.get_running_loop(), asyncio.Event()
        self.began = self.flushed = self.loop.time()
        self.threads = cores()
        self.pool = ThreadPoolExecutor(self.threads)
        try:
            while await self.turn():
                pass
        finally:
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
            self.raw.clear()
            self.pool.shutdown(cancel_futures=True)
            self.flush()

    async def turn(self) -> bool:
        """One round of the loop; whether there is another."""
        if self.fatal is not None:
            raise self.fatal
        if self.held and not self.reached and (self.lost >= OFFLINE or not self.tasks):
            await self.look_offline()
        if not self.over():
            self.refill()
        self.start_what_can()
        if self.loop.time() - self.flushed >= EVERY or len(self.results) >= BATCH or not self.tasks:
            settled = self.flush()
            if not self.tasks and settled:
                return True  # what was settled may make room for more of its class
            if not self.tasks and (self.over() or not self.waiting):
                return False
        timeout = max(0.0, self.flushed + EVERY - self.loop.time())
        if self.later:
            timeout = min(timeout, max(0.0, self.later[0][0] - self.loop.time()))
        # Not asyncio.timeout: where no time is left, it takes an interrupt that came before it for its own end.
        alarm = self.loop.call_later(timeout, self.wake.set)
        try:
            await self.wake.wait()
        finally:
            alarm.cancel()
        self.wake.clear()
        return True

    def over(self) -> bool:
        """Whether the time is up."""
        return self.deadline is not None and self.loop.time() - self.began >= self.deadline

    def refill(self) -> None:
        """Take more addresses while there is room."""
        if self.waiting > WINDOW // 2:
            return
        for row in self.take(WINDOW - self.waiting):
            self.put(row)

    def put(self, row: Waiting) -> None:
        """An address into the queue of its host."""
        name = urlsplit(row.url).netloc
        host = self.hosts.get(name)
        if host is None:
            # One request, and with it robots.txt, comes first: it may ask for a pause.
            host = self.hosts[name] = Host(name, 1)
        if host.closed is not None:
            self.finish(Result(row.id, *host.closed, tries=row.tries))
            return
        host.queue.append(row)
        self.waiting += 1
        self.enlist(host)

    def enlist(self, host: Host) -> None:
        """A host among those that can be asked, if it can."""
        if not host.listed and host.queue and host.active < host.limit:
            host.listed = True
            self.ready.append(host)

    def start_what_can(self) -> None:
        """Begin as many requests as there may be, in turn from every host."""
        now = self.loop.time()
        while self.later and self.later[0][0] <= now:
            _, _, what = heapq.heappop(self.later)
            if isinstance(what, Host):
                what.listed = False
                self.enlist(what)
            else:
                self.waiting -= 1
                self.put(what)
        while self.ready and len(self.tasks) < self.pace.concurrency and not self.over():
            host = self.ready.popleft()
            if host.queue and host.not_before > now:  # it stays listed until then
                heapq.heappush(self.later, (host.not_before, next(self.ticket), host))
                continue
            host.listed = False
            if not host.queue or host.active >= host.limit:
                continue
            if pause := min(self.downloader.pause_of(host.queue[0].url), LONGEST_PAUSE):
                host.limit = 1
                if host.started + pause > now:
                    host.not_before = host.started + pause
                    self.enlist(host)
                    continue
            row = host.queue.popleft()
            self.waiting -= 1
            host.active += 1
            host.started = now
            task = asyncio.create_task(self.ask(row, host))
            self.tasks.add(task)
            task.add_done_callback(self.done)
            self.enlist(host)

    async def ask(self, row: Waiting, host: Host) -> None:
        """One try of one address."""
        began = self.loop.time()
        try:
            try:
                if row.url.startswith("file:"):
                    data, status, final = local_file(row.url), None, row.url
                else:
                    answer = await self.downloader.fetch(row.url)
                    data, status, final = answer.data, answer.status, answer.final
            finally:
                seconds = self.loop.time() - began
                host.active -= 1
                host.answers += 1
                host.seconds += seconds
                if host.answers == 1:
                    host.limit = self.pace.per_host
            self.heard(host)
            kept = await self.kept(data, row)
            place = final if final != row.url else None
            self.finish(replace(kept, status=status, final_url=place, tries=row.tries + 1, seconds=seconds))
        except Failed as failed:
            self.failed(row, host, failed, seconds)
        except OSError as error:  # what is written here: the network's errors are `Failed`
            self.fatal = InputError(f"cannot write {self.keeping.parts}: {error.strerror or error}")
        except Exception as error:
            self.fatal = error
        finally:
            self.enlist(host)
            idle = not host.queue and not host.active and not host.listed and host.closed is None
            if idle and host.limit == self.pace.per_host and not self.downloader.pause_of(row.url):
                self.hosts.pop(host.name, None)  # nothing is known of it that is worth the room

    async def kept(self, data: bytes | Path, row: Waiting) -> Result:
        """What is found in an answer, by one of the threads."""
        future: asyncio.Future[Result] = self.loop.create_future()
        self.raw.append((data, row.id, row.url, future))
        self.hand_out()
        return await future

    def hand_out(self) -> None:
        """Answers to threads that have nothing to do; several at once where several wait, for threads that often talk
        to each other wait for each other."""
        while self.raw and self.judging < self.threads:
            bundle = [self.raw.popleft() for _ in range(min(BUNDLE, len(self.raw)))]
            self.judging += 1
            work = self.loop.run_in_executor(self.pool, keep_all, [each[:3] for each in bundle], self.keeping)
            work.add_done_callback(partial(self.judged, bundle=bundle))

    def judged(self, work: asyncio.Future[list[Result | Exception]], bundle: list[Any]) -> None:
        """A thread is ready with a bundle."""
        self.judging -= 1
        if work.cancelled():
            return
        for (*_, future), found in zip(bundle, work.result(), strict=True):
            if future.cancelled():
                continue
            if isinstance(found, Exception):
                future.set_exception(found)
            else:
                future.set_result(found)
        self.hand_out()

    def done(self, task: asyncio.Task[None]) -> None:
        """A try is over."""
        self.tasks.discard(task)
        self.wake.set()

    def failed(self, row: Waiting, host: Host, failed: Failed, seconds: float) -> None:
        """Try again, later, or not at all."""
        outcome, detail, now = failed.outcome, failed.detail, self.loop.time()
        wait = self.pace.backoff * 2**row.tries if failed.wait is None else failed.wait
        if urlsplit(failed.place).netloc == host.name:  # else it is the fault of a host that it redirected to
            self.blame(host, failed, wait)
        self.reached = self.reached or outcome != "dns"
        if host.closed is not None:
            outcome, detail = host.closed
        elif (
            failed.again
            and OUTCOMES[outcome].repeated
            and row.tries < self.pace.retries
            and wait <= self.pace.longest_wait
        ):
            self.waiting += 1
            heapq.heappush(self.later, (now + wait, next(self.ticket), replace(row, tries=row.tries + 1)))
            return
        place = failed.place if failed.place != row.url else None
        self.finish(Result(row.id, outcome, detail, failed.status, place, tries=row.tries + 1, seconds=seconds))

    def blame(self, host: Host, failed: Failed, wait: float) -> None:
        """What a failure says of its host: it is to rest, or not to be asked any more."""
        if failed.status is not None:
            self.heard(host)
        elif failed.outcome in ("timeout", "connection", "tls"):
            host.streak += 1
        if failed.outcome == "rate_limited":
            host.limit = max(1, host.limit // 2)
            host.not_before = max(host.not_before, self.loop.time() + min(wait, self.pace.longest_wait))
            if wait > self.pace.longest_wait:
                self.close(host, "rate_limited", f"{failed.detail}: {host.name} asks to wait {wait:.0f} s")
        elif failed.outcome == "dns":
            self.lost += 1
            self.close(host, "dns", failed.detail)
        elif host.streak >= GIVEN_UP:
            words = f"{failed.detail}; {GIVEN_UP} requests to {host.name} in a row had no answer"
            self.close(host, failed.outcome, words)

    def close(self, host: Host, outcome: str, detail: str) -> None:
        """Ask a host no more in this run."""
        host.closed = (outcome, detail)
        self.waiting -= len(host.queue)
        for row in host.queue:
            self.finish(Result(row.id, outcome, detail, tries=row.tries))
        host.queue.clear()

    def heard(self, host: Host) -> None:
        """A host answered, whatever it said."""
        host.streak, self.reached = 0, True
        if host.limit < self.pace.per_host and host.answers % RECOVERY == 0:
            host.limit += 1

    def finish(self, result: Result) -> None:
        """A result on its way into the journal."""
        result = replace(result, finished=time.time())
        self.bytes += result.bytes or 0
        if result.outcome == "dns" and not self.reached:
            self.held.append(result)
        else:
            self.results.append(result)

    async def look_offline(self) -> None:
        """Do not blame the addresses for a cable that is not plugged in.

        Raises:
            Offline: it is not.
        """
        if not await self.downloader.resolver.is_online():
            self.held.clear()
            raise Offline(
                f"no host name leads to an address ({self.lost} were tried): this machine seems to be offline",
                hint="the same command again, when it is online",
            )
        self.reached = True

    def flush(self) -> int:
        """Results into the journal; how many."""
        if self.reached:
            self.results += self.held
            self.held.clear()
        results, self.results = self.results, []
        if results:
            for outcome, _, change in self.settle(results):
                self.counts[outcome] += change
        self.flushed = self.loop.time()
        self.watch(self.progress())
        return len(results)

    def progress(self) -> Progress:
        """How far it is."""
        now = self.loop.time()
        asked = [host for host in self.hosts.values() if host.answers and (host.queue or host.active)]
        slowest = heapq.nlargest(5, asked, key=lambda host: (host.not_before > now, host.seconds / host.answers))
        hosts = [
            (host.name, host.seconds / host.answers, host.active, len(host.queue), max(0.0, host.not_before - now))
            for host in slowest
        ]
        return Progress(dict(+self.counts), self.bytes, now - self.began, len(self.tasks), hosts)


def local_file(url: str) -> bytes | Path:
    """A picture that its list brought along.

    Raises:
        Failed: it is not there.
    """
    try:
        return Path(unquote(urlsplit(url).path)).read_bytes()
    except OSError as error:
        raise Failed("gone", f"{error.strerror}: {error.filename}") from error
