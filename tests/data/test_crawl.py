"""The loop that asks: what ends it."""

import asyncio
import itertools

import pytest

from imgnn.data import crawl
from imgnn.data.items import Waiting


class Silent:
    """A downloader whose hosts never answer."""

    def pause_of(self, url):
        return 0.0

    async def fetch(self, url):
        await asyncio.Event().wait()


@pytest.mark.parametrize("moment", [0, 1, 7])
def test_an_interrupt_ends_the_crawl_also_when_there_is_no_time_to_wait(moment, monkeypatch):
    """It comes while Python works, not while it waits: Ctrl-C cancels the task then, as `asyncio.run` has it."""
    monkeypatch.setattr(crawl, "EVERY", 0.0)  # each round tells how far it is, and its time is up
    rounds, addresses = itertools.count(), iter([Waiting(1, "http://silent.example/1.jpg", "cat")])

    async def work():
        task = asyncio.current_task()

        def watch(progress):
            now = next(rounds)
            assert now < 100, "the interrupt was lost"
            if now == moment:
                task.cancel()

        pace = crawl.Pace(concurrency=2, per_host=2, retries=0, longest_wait=1.0)
        await crawl.Crawl(
            Silent(), None, pace, take=lambda count: list(itertools.islice(addresses, count)),
            settle=lambda results: [], watch=watch,
        ).run()  # fmt: skip

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(work())
    assert next(rounds) == moment + 2  # the last one is told when it ends
