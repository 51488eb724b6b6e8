"""All that the routes of the page use, made once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Literal

import anyio
from starlette.exceptions import HTTPException

from imgnn.errors import ImgnnError, InputError
from imgnn.web.api import StudioKind
from imgnn.web.pictures import Catalogue
from imgnn.web.ratings import Ratings
from imgnn.web.studio import Studio, networks_here
from imgnn.web.voices import LoadedVoices, Run, Voices, Worker

DECODING = 2  # pictures at once: an upload may take 150 MB while it is


@dataclass
class Site:
    """All that the routes use.

    Attributes:
        runs: the models' folders, the one that makes boke first.
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
    def status(self) -> Literal["none", "loading", "ready", "failed"]:
        """Of the models."""
        if not self.runs:
            return "none"
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
            self.problem = str(error) + (f" (Try: {error.hint})" if error.hint else "")
        except Exception as error:  # whatever it is, the page can say it and the studio works
            self.problem = f"{type(error).__name__}: {error}"
            raise

    def speaking(self) -> Voices:
        """The models.

        Raises:
            HTTPException: 503 "loading"; 409, there are none.
        """
        if self.voices is not None:
            return self.voices
        if self.status == "loading":
            raise HTTPException(503, "loading", {"Retry-After": "2"})
        raise HTTPException(409, self.problem or "the server has no model")


def open_site(runs: Sequence[Run], folder: Path, *, token: bool = False) -> Site:
    """A site whose ratings and pictures are in a folder.

    Raises:
        InputError: the folder cannot be made, or a file in it is damaged.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    return Site(runs, Studio(folder), Ratings(folder), networks_here(), token=token)
