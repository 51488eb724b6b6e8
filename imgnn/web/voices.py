"""The models that speak on the page, in one thread of their own: a backend has no use for several at once."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from starlette.exceptions import HTTPException

from imgnn.data.known_pictures import FEATURES, SENTENCES, KnownPicture, load_sentences
from imgnn.errors import InputError
from imgnn.options import BokeOptions, CaptionOptions
from imgnn.runs import Silent, is_file
from imgnn.training.run_folder import PACKAGED, read_config
from imgnn.web.api import Kind, Mode, Settings, Split

if TYPE_CHECKING:
    from imgnn.jobs.boke import BokeImage
    from imgnn.jobs.caption import CaptionedImage

WAITING = 64  # pieces of work at most, the one that runs among them
ENDS = "the server ends"
PATIENCE = 120.0  # seconds after which an answer is given up

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)  # by identity, so that what is counted of one can be kept
class Run:
    """A trained run, as far as it is known without its model.

    Attributes:
        pictures: that can be shown; of a model that came with imgnn none.
        lends: whether it knows what its pictures look like, so that they can lend.
        retrieves: whether it knows what people said of them, too.
    """

    folder: Path
    kind: Kind
    config: Mapping[str, Any]
    pictures: tuple[KnownPicture, ...]
    lends: bool
    retrieves: bool

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """Look at a run's folder.

        Raises:
            InputError: it holds no run of boke or captions, or a damaged one.
        """
        config = read_config(folder, "boke", "caption")
        known = load_sentences(folder) if is_file(folder / SENTENCES) else []
        lends = bool(known) and is_file(folder / FEATURES)
        retrieves = lends and any(each.sentences for each in known)
        return cls(folder, config["kind"], config, tuple(each for each in known if each.file), lends, retrieves)

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.folder.resolve().name

    @property
    def network(self) -> str:
        """What looks at pictures for it."""
        return str(self.config.get("feature", {}).get("network", ""))

    @property
    def tokenizer(self) -> str:
        """What its tokens were made by."""
        return str(self.config.get("tokenizer", {}).get("name", "ptb"))

    def split_of(self, picture: KnownPicture) -> Split:
        """Where a picture counts: what is not for val was trained on."""
        return "val" if picture.split == "val" else "train"

    def count(self, split: Split) -> int:
        """Known pictures of a split."""
        return sum(self.split_of(each) == split for each in self.pictures)

    @property
    def modes(self) -> tuple[Mode, ...]:
        """What it is able to; the first is what it does when nothing is said."""
        if not self.lends:
            return ("model",)
        own: tuple[Mode, ...] = ("model", "mismatch") if self.kind == "boke" else ("mismatch", "model")
        return (*own, "retrieve") if self.retrieves else own

    @property
    def packaged(self) -> bool:
        """Whether it came with imgnn: without its pictures and what people said of them."""
        return self.folder.resolve() in [each.resolve() for each in PACKAGED.values()]


def open_runs(folders: Sequence[Path]) -> list[Run]:
    """The runs in folders, boke first.

    Raises:
        InputError: a folder holds none, or two are of one kind.
    """
    runs: dict[Kind, Run] = {}
    for folder in folders:
        run = Run.open(folder)
        if run.kind in runs:
            raise InputError(
                f"{runs[run.kind].folder} and {folder} are both runs of {run.kind}; the page has one of each kind"
            )
        runs[run.kind] = run
    return sorted(runs.values(), key=lambda run: run.kind)


class Voices(Protocol):
    """Loaded models."""

    def boke(self, files: Sequence[Path], settings: Settings, *, uploaded: bool = False) -> "Iterator[BokeImage]":
        """Boke for pictures; of those that were uploaded nothing stays."""

    def captions(self, file: Path, settings: Settings) -> "CaptionedImage":
        """Sentences that describe a picture that was uploaded; asked only where there is a run of captions."""


class LoadedVoices:
    """The models of runs.

    Raises:
        ImgnnError: one cannot be loaded.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        from imgnn.jobs.boke import BokeMaker
        from imgnn.jobs.caption import Captioner

        # The first run makes boke; one of captions also says what is in the picture.
        self.mode = runs[0].modes[0]
        self.maker = BokeMaker(BokeOptions(str(runs[0].folder)), Silent())
        described = [run for run in runs if run.kind == "caption"]
        self.captioner = Captioner(CaptionOptions((str(described[0].folder),)), Silent()) if described else None
        for extractor in self.captioner.extractors if self.captioner else ():
            extractor.cache.keeping = False  # it sees uploads alone

    def boke(self, files: Sequence[Path], settings: Settings, *, uploaded: bool = False) -> "Iterator[BokeImage]":
        self.maker.extractor.cache.keeping = not uploaded
        own = self.maker.options
        wanted = replace(
            own,
            mode=settings.mode or self.mode,
            n=settings.n,
            temperature=settings.temperature,
            top_p=settings.top_p,
            distance=settings.distance,
            contrast=settings.contrast,
            seed=settings.seed,
        )
        return self.maker.make(files, wanted)

    def captions(self, file: Path, settings: Settings) -> "CaptionedImage":
        if self.captioner is None:
            raise InputError("there is no model of captions")
        wanted = replace(self.captioner.options, n=settings.n, beam=max(settings.beam, settings.n))
        return next(self.captioner.results([file], options=wanted))


class Worker:
    """One thread, and a queue of bounded length before it."""

    def __init__(self) -> None:
        self.thread = ThreadPoolExecutor(1, "imgnn-voices")
        self.lock = Lock()
        self.closed: bool = False
        self.waiting: set[Event] = set()  # of each piece of work, the one that runs among them

    async def do(self, work: Callable[[Event], Result], forever: bool = False) -> Result:
        """The result of a piece of work, done in the thread.

        Args:
            work: is given an event that is set when nobody waits for it any more.
            forever: wait for it however long it takes.

        Raises:
            HTTPException: 503, too many wait, it took too long, or the server ends.
            Whatever `work` raises.
        """
        gone = Event()
        with self.lock:
            if len(self.waiting) >= WAITING:
                raise HTTPException(503, "too many wait already", {"Retry-After": "5"})
            if self.closed:
                raise HTTPException(503, ENDS)
            self.waiting.add(gone)
            future = self.thread.submit(work, gone)
        future.add_done_callback(lambda _: self.leave(gone))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), None if forever else PATIENCE)
        except TimeoutError:
            raise HTTPException(503, f"no answer within {PATIENCE:.0f} seconds", {"Retry-After": "30"}) from None
        except asyncio.CancelledError:
            if future.cancelled() and self.has_closed():  # its turn did not come
                raise HTTPException(503, ENDS) from None
            raise
        finally:
            gone.set()

    def leave(self, gone: Event) -> None:
        with self.lock:
            self.waiting.discard(gone)

    def has_closed(self) -> bool:
        """Whether it has come to its end in the meantime."""
        return self.closed

    def close(self) -> None:
        """Begin nothing new; what runs is told that nobody waits."""
        with self.lock:
            self.closed = True
            for gone in self.waiting:
                gone.set()
        self.thread.shutdown(wait=False, cancel_futures=True)
