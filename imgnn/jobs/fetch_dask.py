"""`imgnn fetch --dask`: the workers of a cluster ask, the journal stays with whoever started it.

A piece of work is some addresses; its result is what became of them, their pictures lying among the journal's parts, in
a folder that all machines share. So a piece may be done twice, when its worker is lost, without any harm.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from imgnn.data.crawl import Crawl, Pace, Progress
from imgnn.data.download import Downloader, Manners
from imgnn.data.journal import Result, Waiting
from imgnn.data.keeping import Keeping
from imgnn.data.spread import connected, result_of

PIECE = 200  # addresses
WINDOW = 20_000  # addresses that wait here


def ask_piece(rows: Sequence[Waiting], manners: Manners, keeping: Keeping, pace: Pace) -> list[Result]:
    """On a worker: ask for some addresses."""
    results: list[Result] = []
    left = deque(rows)

    def take(count: int) -> list[Waiting]:
        return [left.popleft() for _ in range(min(count, len(left)))]

    def settle(batch: Sequence[Result]) -> list[tuple[str, str, int]]:
        results.extend(batch)
        return []

    async def work() -> None:
        async with Downloader(manners, keeping.parts) as downloader:
            await Crawl(downloader, keeping, pace, take=take, settle=settle).run()

    asyncio.run(work())
    return results


class Pieces:
    """Addresses that wait, as pieces for workers. No host is in two pieces at once: so its limit holds for all."""

    def __init__(self) -> None:
        self.hosts: OrderedDict[str, deque[Waiting]] = OrderedDict()
        self.busy: Counter[str] = Counter()
        self.waiting = 0

    def add(self, rows: Sequence[Waiting]) -> None:
        for row in rows:
            self.hosts.setdefault(urlsplit(row.url).netloc, deque()).append(row)
        self.waiting += len(rows)

    def next(self) -> list[Waiting]:
        """A piece of hosts that nobody asks now; empty if there is none."""
        piece: list[Waiting] = []
        for host in [name for name in self.hosts if name not in self.busy]:
            queue = self.hosts[host]
            while queue and len(piece) < PIECE:
                piece.append(queue.popleft())
            if not queue:
                del self.hosts[host]
            self.busy[host] += 1
            if len(piece) >= PIECE:
                break
        self.waiting -= len(piece)
        return piece

    def done(self, piece: Sequence[Waiting]) -> None:
        """The hosts of a piece may be asked again."""
        for host in {urlsplit(row.url).netloc for row in piece}:
            del self.busy[host]


def crawl_by_dask(
    address: str,
    folder: Path,
    ask: partial[list[Result]],
    *,
    take: Callable[[int], Sequence[Waiting]],
    settle: Callable[[Sequence[Result]], Sequence[tuple[str, str, int]]],
    watch: Callable[[Progress], None],
    deadline: float | None,
) -> None:
    """`Crawl.run` with workers; the arguments as there.

    Args:
        folder: the journal's, which every worker must see.
        ask: `ask_piece`, but for the addresses.

    Raises:
        InputError: the cluster cannot be used, or loses its workers again and again.
        Offline: no host name leads anywhere.
    """
    from distributed import wait

    began, counts, size = monotonic(), Counter[str](), 0
    pieces, running = Pieces(), dict[Any, list[Waiting]]()
    with connected(address, folder) as client, client.as_current():
        while True:
            over = deadline is not None and monotonic() - began >= deadline
            if not over and pieces.waiting < WINDOW // 2:
                pieces.add(take(WINDOW - pieces.waiting))
            # Two pieces for each thread: one in work, one that waits beside it.
            while not over and len(running) < 2 * sum(client.nthreads().values()) and (piece := pieces.next()):
                running[client.submit(ask, piece, pure=False)] = piece
            if not running:
                break
            done = wait(list(running), return_when="FIRST_COMPLETED").done
            for future in done:
                piece = running.pop(future)
                results = result_of(future)
                pieces.done(piece)
                size += sum(result.bytes or 0 for result in results)
                for outcome, _, change in settle(results):
                    counts[outcome] += change
            watch(Progress(dict(+counts), size, monotonic() - began, len(running), []))
