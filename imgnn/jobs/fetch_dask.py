"""`imgnn fetch --dask`: the workers of a cluster ask, the journal stays with whoever started it.

A piece of work is some addresses; its result is what became of them, their pictures lying among the journal's parts, in
a folder that all machines share. So a piece may be done twice, when its worker is lost, without any harm.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit

from imgnn.data.crawl import Crawl, Pace, Progress
from imgnn.data.download import Downloader, Manners
from imgnn.data.items import Result, Waiting
from imgnn.data.keeping import Keeping
from imgnn.data.spread import connected, result_of

PIECE = 200  # addresses
WINDOW = 20_000  # addresses that wait here


@dataclass(frozen=True)
class Asked:
    """What became of a piece.

    Attributes:
        results: of its addresses; those that are missing were not begun in time.
        closed: hosts that are not to be asked any more -> outcome and words.
        rests: hosts that want to be left in peace -> seconds.
    """

    results: list[Result]
    closed: dict[str, tuple[str, str]]
    rests: dict[str, float]


def ask_piece(
    rows: Sequence[Waiting], deadline: float | None, *, manners: Manners, keeping: Keeping, pace: Pace
) -> Asked:
    """On a worker: ask for some addresses, beginning none after so many seconds."""
    results: list[Result] = []
    left = deque(rows)

    def take(count: int) -> list[Waiting]:
        return [left.popleft() for _ in range(min(count, len(left)))]

    def settle(batch: Sequence[Result]) -> list[tuple[str, str, int]]:
        results.extend(batch)
        return []

    async def work() -> Asked:
        async with Downloader(manners, keeping.parts) as downloader:
            crawl = Crawl(downloader, keeping, pace, take=take, settle=settle, deadline=deadline)
            await crawl.run()
        hosts, now = crawl.hosts.values(), asyncio.get_running_loop().time()
        return Asked(
            results,
            {host.name: host.closed for host in hosts if host.closed},
            {host.name: host.not_before - now for host in hosts if host.not_before > now},
        )

    return asyncio.run(work())


class Pieces:
    """Addresses that wait, as pieces for workers. No host is in two pieces at once: so its limit holds for all."""

    def __init__(self) -> None:
        self.hosts: dict[str, deque[Waiting]] = {}
        self.busy: set[str] = set()
        self.rests: dict[str, float] = {}  # host -> until when, by `monotonic`
        self.closed: dict[str, tuple[str, str]] = {}
        self.waiting = 0

    def add(self, rows: Sequence[Waiting]) -> list[Result]:
        """Take addresses in; gives the results of those whose host is not asked any more."""
        done: list[Result] = []
        for row in rows:
            host = urlsplit(row.url).netloc
            if host in self.closed:
                done.append(Result(row.id, *self.closed[host], tries=0))
            else:
                self.hosts.setdefault(host, deque()).append(row)
                self.waiting += 1
        return done

    def next(self) -> list[Waiting]:
        """A piece of hosts that can be asked now; empty if there is none."""
        piece: list[Waiting] = []
        for host in [name for name in self.hosts if name not in self.busy and self.rest_of(name) <= 0]:
            queue = self.hosts[host]
            while queue and len(piece) < PIECE:
                piece.append(queue.popleft())
            if not queue:
                del self.hosts[host]
            self.busy.add(host)
            if len(piece) >= PIECE:
                break
        self.waiting -= len(piece)
        return piece

    def rest_of(self, host: str) -> float:
        """Seconds that a host is still to be left in peace."""
        return self.rests.get(host, 0.0) - monotonic()

    def shortest_rest(self) -> float | None:
        """Seconds until a host can be asked that waits for nothing else; None if there is none."""
        return min((self.rest_of(host) for host in self.hosts if host not in self.busy), default=None)

    def done(self, piece: Sequence[Waiting], asked: Asked) -> list[Result]:
        """A piece has come back; gives the results of addresses that need not be asked any more."""
        self.busy -= {urlsplit(row.url).netloc for row in piece}
        self.rests |= {host: monotonic() + seconds for host, seconds in asked.rests.items()}
        self.closed |= asked.closed
        gone = [row for host in asked.closed for row in self.hosts.pop(host, ())]
        self.waiting -= len(gone)
        return self.add(gone)


def crawl_by_dask(
    address: str,
    folder: Path,
    ask: partial[Asked],
    *,
    take: Callable[[int], Sequence[Waiting]],
    settle: Callable[[Sequence[Result]], Sequence[tuple[str, str, int]]],
    watch: Callable[[Progress], None],
    deadline: float | None,
) -> None:
    """`Crawl.run` with workers; the arguments as there.

    Args:
        folder: the journal's, which every worker must see.
        ask: `ask_piece`, but for the addresses and the time.

    Raises:
        InputError: the cluster cannot be used, or loses its workers again and again.
        Offline: no host name leads anywhere.
    """
    from distributed import wait

    began, counts, size = monotonic(), Counter[str](), 0
    pieces, running = Pieces(), dict[Any, list[Waiting]]()

    def keep(results: Sequence[Result]) -> None:
        nonlocal size
        size += sum(result.bytes or 0 for result in results)
        for outcome, _, change in settle(results):
            counts[outcome] += change

    with connected(address, folder) as client, client.as_current():
        while (left := None if deadline is None else began + deadline - monotonic()) is None or left > 0:
            if pieces.waiting < WINDOW // 2:
                keep(pieces.add(take(WINDOW - pieces.waiting)))
            # Two pieces for each thread: one in work, one that waits beside it.
            while len(running) < 2 * sum(client.nthreads().values()) and (piece := pieces.next()):
                running[client.submit(ask, piece, left, pure=False)] = piece
            rest = pieces.shortest_rest()
            if not running and rest is None:
                break
            if running:
                take_back(wait(list(running), timeout=None, return_when="FIRST_COMPLETED").done, running, pieces, keep)
            else:
                sleep(max(0.0, rest or 0.0))
            watch(Progress(dict(+counts), size, monotonic() - began, len(running), []))
        if running:
            take_back(wait(list(running)).done, running, pieces, keep)
            watch(Progress(dict(+counts), size, monotonic() - began, 0, []))


def take_back(
    done: set[Any], running: dict[Any, list[Waiting]], pieces: Pieces, keep: Callable[[Sequence[Result]], None]
) -> None:
    """Pieces that came back."""
    for future in done:
        piece = running.pop(future)
        asked: Asked = result_of(future)
        keep([*asked.results, *pieces.done(piece, asked)])
