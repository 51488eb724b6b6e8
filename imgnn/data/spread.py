"""The same function over many things: by threads here, or by the workers of a Dask cluster."""

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, TypeVar

from imgnn import __version__
from imgnn.errors import ImgnnError, InputError

T = TypeVar("T")
R = TypeVar("R")


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(
    function: Callable[[T], R],
    things: Iterable[T],
    *,
    workers: int | None = None,
    ahead: int | None = None,
    processes: bool = False,
    dask: str | None = None,
    folder: Path | None = None,
) -> Iterator[tuple[T, R]]:
    """Every thing with what the function makes of it, in the order of the things.

    Args:
        function: with `dask`, one that can be sent to another machine: of a module, or a `functools.partial` of one.
        things: taken one by one, never more than `ahead` before the results are.
        workers: threads; None: as many as there are cores. Pillow, NumPy and SQLite let go of Python's lock while
            they work.
        ahead: how many results may wait to be taken; None: twice the workers.
        processes: let processes take the threads' place: for work of many small NumPy calls, each of which would wait
            for the lock. They take half a second to start. The function must be one that can be sent, as with `dask`.
        dask: the address of a scheduler ("tcp://10.0.0.5:8786") whose workers take the threads' place. What a worker
            that is lost was doing is done again by another.
        folder: with `dask`, what every worker must see under the same path.

    Raises:
        InputError: the cluster cannot be reached, runs another version of imgnn, or does not see `folder`; a process
            was killed.
    """
    if dask is not None:
        yield from spread_by_dask(function, things, address=dask, ahead=ahead, folder=folder)
        return
    workers = workers or cores()
    waiting: deque[tuple[T, Any]] = deque()
    with process_pool(workers) if processes and workers > 1 else ThreadPoolExecutor(workers) as pool:
        try:
            for thing in things:
                waiting.append((thing, pool.submit(function, thing)))
                if len(waiting) > (ahead or 2 * workers):
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        except BrokenProcessPool as error:
            raise InputError(
                "a process that read pictures was killed: perhaps there is not enough memory", hint="fewer --workers"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # whoever stops early does not wait for the rest


def process_pool(workers: int) -> Executor:
    """Processes that begin empty: a copy of this one could hold a lock that nobody opens any more."""
    return ProcessPoolExecutor(workers, get_context("spawn"), begin_process)


def begin_process() -> None:
    """What a process does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the first process's business
    threading.Thread(target=end_with_parent, daemon=True).start()
    # glibc gives memory back as soon as it is free, and gets it again page by page; once a large block was freed, it
    # keeps more. A fifth of the time.
    bytearray(24 << 20)


def end_with_parent() -> None:
    """End this process when the one that began it does: one that is killed cannot say so."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


def spread_by_dask(
    function: Callable[[T], R], things: Iterable[T], *, address: str, ahead: int | None, folder: Path | None
) -> Iterator[tuple[T, R]]:
    """The part of `spread` that knows Dask."""
    with connected(address, folder) as client:
        waiting: deque[tuple[T, Any]] = deque()
        most = ahead or 4 * sum(client.nthreads().values())
        for thing in things:
            waiting.append((thing, client.submit(function, thing, pure=False)))
            if len(waiting) > most:
                first, future = waiting.popleft()
                yield first, result_of(future)
        while waiting:
            first, future = waiting.popleft()
            yield first, result_of(future)


def connected(address: str, folder: Path | None) -> Any:
    """A client of the scheduler, after its workers were looked at; a context manager.

    Raises:
        InputError: as of `spread`.
    """
    try:
        from distributed import Client
    except ImportError:
        raise InputError("--dask needs the package distributed", hint="pip install 'imgnn[distributed]'") from None
    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(f"no Dask scheduler answers at {address}: {error}", hint="dask scheduler") from error
    try:
        seen = client.run(look_around, str(folder.resolve()) if folder else None)
        if not seen:
            raise InputError(f"the scheduler at {address} has no workers", hint=f"dask worker {address}")
        for worker, (version, sees) in seen.items():
            if version != __version__:
                raise InputError(f"the worker {worker} runs imgnn {version}; this is {__version__}")
            if not sees:
                raise InputError(
                    f"the worker {worker} does not see {folder}: a folder that all machines share is wanted"
                )
    except ImportError as error:
        client.close()
        raise InputError(
            f"a worker of {address} has no imgnn: {error}", hint="pip install imgnn, on every worker"
        ) from error
    except BaseException:
        client.close()
        raise
    return client


def look_around(folder: str | None) -> tuple[str, bool]:
    """On a worker: its version of imgnn, and whether it sees the folder."""
    return __version__, folder is None or Path(folder).is_dir()


def result_of(future: Any) -> Any:
    """A task's result.

    Raises:
        InputError: every worker that took the task was lost.
        ImgnnError: what the task itself raised.
    """
    try:
        return future.result()
    except ImgnnError:
        raise
    except Exception as error:
        if type(error).__name__ != "KilledWorker":
            raise
        raise InputError(f"workers were lost again and again at the same piece of work: {error}") from error
