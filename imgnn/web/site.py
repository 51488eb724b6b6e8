"""All that the routes of the page use, made once."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Literal

import anyio
from starlette.exceptions import HTTPException

from imgnn.errors import ImgnnError, InputError
from imgnn.runs import lock
from imgnn.web.api import StudioKind
from imgnn.web.guard import without_paths
from imgnn.web.pictures import Catalogue
from imgnn.web.ratings import Ratings
from imgnn.web.studio import Studio, networks_here
from imgnn.web.voices import LoadedVoices, Run, Voices, Worker

LOCK = "lock"  # a file that the server of a folder has locked; in it, its process
DECODING = 2  # pictures at once: an upload may take 150 MB while it is


@dataclass
class Site:
    """All that the routes use.

    Attributes:
        runs: the models' folders, the one that makes boke first; at least one.
        networks: for each kind of the studio's pictures those that may be asked for.
        load: loads their models; in the worker's thread.
        token: whether one is needed.
        voices: what `load` gave; `problem`: why it could not.
    """

    runs: Sequence[Run]
    studio: Studio
    ratings: Ratings
    networks: Mapping[StudioKind, Sequence[str]]
    load: Callable[[Sequence[Run]], Voices] = LoadedVoices
    token: bool = False
    worker: Worker = field(default_factory=Worker)
    voices: Voices | None = None
    problem: str | None = None

    def __post_init__(self) -> None:
        self.catalogue = Catalogue([(run.kind, run.pictures) for run in self.runs])
        self.decoding = anyio.CapacityLimiter(DECODING)

    @property
    def status(self) -> Literal["loading", "ready", "failed"]:
        """Of the models."""
        if self.problem is not None:
            return "failed"
        return "loading" if self.voices is None else "ready"

    async def wake(self) -> None:
        """Load the models; until then they are asked in vain."""

        def work(_: Event) -> Voices:
            return self.load(self.runs)

        try:
            self.voices = await self.worker.do(work, forever=True)
        except ImgnnError as error:
            self.problem = self.told(error) + (f" (Try: {without_paths(error.hint)})" if error.hint else "")
        except Exception as error:  # whatever it is, the page can say it and the studio works
            self.problem = f"{type(error).__name__}: {self.told(error)}"
            logging.getLogger("uvicorn.error").exception("the models cannot be loaded")

    def told(self, error: Exception) -> str:
        """What a client is told of an error."""
        return without_paths(str(error), [*(run.folder for run in self.runs), self.studio.folder.parent])

    def speaking(self) -> Voices:
        """The models.

        Raises:
            HTTPException: 503 "loading"; 409, they could not be loaded.
        """
        if self.voices is not None:
            return self.voices
        if self.problem is not None:
            raise HTTPException(409, self.problem)
        raise HTTPException(503, "loading", {"Retry-After": "2"})


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Make a folder and keep it for this server: a second one would undo what the first one writes.

    The system gives it back when the process ends, however it ends.

    Raises:
        InputError: it cannot be made, or another server has it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    with file:
        if not lock(file):
            file.seek(0)
            raise InputError(
                f"another imgnn serve, process {file.read(20)}, has the folder {folder}",
                hint="imgnn serve --folder ANOTHER",
            )
        with contextlib.suppress(OSError):  # a full disk
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
        yield


def open_site(runs: Sequence[Run], folder: Path, *, token: bool = False) -> Site:
    """A site whose ratings and pictures are in a folder, which is `held`.

    Raises:
        InputError: a file in it is damaged, or it may not be written.
    """
    return Site(runs, Studio(folder), Ratings(folder), networks_here(), token=token)
