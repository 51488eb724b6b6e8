"""Pictures made on order: `imgnn style` and `imgnn dream` as child processes, one at a time, and what they made.

A job is a folder, so that the gallery is there again after the server was:

    FOLDER/studio/<id>/job.json            what was asked for, and how it went
                      /result.png          the picture, once it is done or was stopped
                      /content.png, style1.png, result.preview.png, log.jsonl, said.txt    while it runs
"""

import contextlib
import json
import os
import platform
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from threading import Condition, Event, Thread

import numpy as np

from imgnn.errors import ImgnnError, InputError
from imgnn.images.files import save_image
from imgnn.jobs.networks import list_networks
from imgnn.options import DreamOptions, StyleOptions
from imgnn.runs import check_folder, is_file, is_folder, write_json
from imgnn.web.api import QUEUE, JobState, StudioKind
from imgnn.web.guard import without_paths

FACTS, RESULT, PREVIEW, LOG, SAID = "job.json", "result.png", "result.preview.png", "log.jsonl", "said.txt"
KEPT = 500  # pictures of the gallery; more have to be removed first
LONGEST = 1800.0  # seconds that a job may take
GRACE = 20.0  # seconds in which a job that is stopped saves its picture
LOOK = 0.2  # seconds between two looks at a job
PREVIEW_EVERY = 5  # steps
ENDED = "the server ended"  # why a job failed whose turn did not come, or that was killed with it
INTERRUPTED = 130  # what imgnn exits with after Ctrl-C, its work saved

# The settings that each kind has, by the names of `StudioForm` and of the options.
SETTINGS: Mapping[StudioKind, tuple[str, ...]] = {
    "style": (
        "size",
        "network",
        "seed",
        "iterations",
        "style_weight",
        "content_weight",
        "style_scale",
        "colours",
        "init",
    ),
    "dream": ("size", "network", "seed", "iterations", "layers", "octaves"),
}


class Busy(ImgnnError):
    """The queue is full."""


def networks_here() -> dict[StudioKind, list[str]]:
    """The networks whose weights are on this machine, for each kind those with layers for it; the usual one first."""
    found: dict[StudioKind, list[str]] = {"style": [], "dream": []}
    usual: dict[StudioKind, str] = {"style": StyleOptions.network, "dream": DreamOptions.network}
    for each in list_networks():
        if each.state not in ("download", "by hand"):
            roles = each.spec.roles
            for kind, layers in (("style", roles.style), ("dream", roles.dream)):
                if layers:
                    found[kind].append(each.spec.name)  # type: ignore[index]
    return {kind: sorted(names, key=lambda name: name != usual[kind]) for kind, names in found.items()}


@dataclass
class Job:
    """One picture, asked for.

    Attributes:
        folder: its own; its name is the job's id.
        settings: those of `SETTINGS` that were chosen.
        styles: how many pictures it is painted like.
        made: seconds since 1970; `seconds` of work; `loss` of the last `step`.
        pid: of the process that makes it.
        stop: somebody asked it to stop.
    """

    folder: Path = field(repr=False)
    kind: StudioKind
    settings: dict[str, str | int | float]
    styles: int
    made: float
    state: JobState = "waiting"
    seconds: float = 0.0
    step: int = 0
    steps: int | None = None
    loss: float | None = None
    error: str | None = None
    pid: int | None = None
    stop: Event = field(default_factory=Event, repr=False, compare=False)

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def over(self) -> bool:
        """Whether nothing more will become of it."""
        return self.state not in ("waiting", "running")

    def words(self, folder: str = "") -> list[str]:
        """What is typed after `imgnn`, with the pictures in a folder: "" or one that ends with a slash."""
        pictures = ["content.png", *(f"style{number}.png" for number in range(1, self.styles + 1))]
        words = [self.kind, *(folder + name for name in pictures), "-o", folder + RESULT]
        for name, value in self.settings.items():
            words.append(f"--{name.replace('_', '-')}={value}")  # never an option of its own, whatever the value is
            if self.kind == "style" and name == "iterations":
                words.append(f"--initial-iterations={value}")
        return words

    @property
    def command(self) -> str:
        """The same, as one types it in a folder with pictures of one's own."""
        return shlex.join(["imgnn", *self.words()])

    def picture(self) -> Path | None:
        """The picture as far as it is."""
        names = (RESULT,) if self.over else (PREVIEW, RESULT)
        return next((self.folder / name for name in names if is_file(self.folder / name)), None)

    def save(self) -> None:
        """Write what is known of it.

        Raises:
            InputError: it cannot be written.
        """
        facts = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in ("folder", "stop")}
        write_json(self.folder / FACTS, facts)

    @classmethod
    def load(cls, folder: Path) -> "Job | None":
        """Read what `save` wrote; None if it is not that."""
        try:
            facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
            job = cls(folder=folder, **facts)
        except (OSError, ValueError, TypeError):
            return None
        if not job.over:  # the server was killed in the midst of it
            job.kill()
            job.state, job.error = ("cancelled", None) if job.keep() else ("failed", ENDED)
        return job

    def kill(self) -> None:
        """End its process, which goes on if the server that began it was killed. It may have a later one's number."""
        deadline = time.monotonic() + GRACE
        while self.pid is not None and f"{self.id}{os.sep}{RESULT}" in command_of(self.pid):
            if time.monotonic() > deadline:
                break
            with contextlib.suppress(OSError):  # it has just ended
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.05)
        self.pid = None

    def keep(self) -> bool:
        """Whether there is a picture; of one that was killed before it saved it, the last preview is."""
        if not is_file(self.folder / RESULT):
            with contextlib.suppress(OSError):
                (self.folder / PREVIEW).replace(self.folder / RESULT)
        return is_file(self.folder / RESULT)

    def clear(self) -> None:
        """Delete what was only needed while it ran: the uploads above all."""
        for path in self.folder.iterdir():
            if path.name not in (FACTS, RESULT):
                path.unlink(missing_ok=True)


class Studio:
    """The queue, the gallery, and the one job that runs.

    Args:
        folder: of the page; the jobs' folder is made in it.
        program: what runs `imgnn`.

    Raises:
        InputError: the folder cannot be made.
    """

    def __init__(self, folder: Path, program: Sequence[str] = (sys.executable, "-m", "imgnn")) -> None:
        self.folder, self.program = folder / "studio", program
        with contextlib.suppress(FileExistsError):
            self.folder.mkdir()
        check_folder(self.folder / FACTS)
        found = (Job.load(path) for path in self.folder.iterdir() if is_folder(path))
        loaded = sorted((job for job in found if job is not None), key=lambda job: job.made)
        for job in loaded:
            job.clear()
        self.jobs = {job.id: job for job in loaded}  # in the order in which they were asked for
        self.changed, self.closing = Condition(), Event()
        self.thread = Thread(target=self.work, name="imgnn-studio", daemon=True)
        self.thread.start()

    # What is asked for

    def add(
        self,
        kind: StudioKind,
        settings: dict[str, str | int | float],
        content: np.ndarray,
        styles: Sequence[np.ndarray],
    ) -> Job:
        """Put a job at the end of the queue.

        Raises:
            Busy: too many wait already.
            InputError: the gallery is full, or nothing can be written.
        """
        with self.changed:
            if sum(not job.over for job in self.jobs.values()) >= QUEUE:
                raise Busy(f"{QUEUE} pictures wait already")
            if len(self.jobs) >= KEPT:
                raise InputError(f"the gallery is full with {KEPT} pictures: some have to be removed")
            job = Job(self.folder / secrets.token_hex(8), kind, settings, len(styles), time.time())
            try:
                job.folder.mkdir()
                save_image(job.folder / "content.png", content)
                for number, image in enumerate(styles, 1):
                    save_image(job.folder / f"style{number}.png", image)
                job.save()
            except BaseException as error:
                shutil.rmtree(job.folder, ignore_errors=True)
                if isinstance(error, OSError):
                    raise InputError(f"the picture cannot be kept: {error.strerror or error}") from error
                raise
            self.jobs[job.id] = job
            self.changed.notify_all()
        return job

    def place(self, job: Job) -> int | None:
        """Where a job is in the queue, from 1 on; None if it does not wait."""
        waiting = [each for each in list(self.jobs.values()) if each.state == "waiting"]
        return waiting.index(job) + 1 if job in waiting else None

    def cancel(self, job: Job) -> None:
        """Ask a job to stop: one that waits does at once, one that runs when it has saved its picture."""
        with self.changed:
            job.stop.set()
            if job.state == "waiting":
                self.end(job, "cancelled")

    def remove(self, job: Job) -> None:
        """Take a job that is over out of the gallery, picture and all."""
        with self.changed:
            self.jobs.pop(job.id, None)
            shutil.rmtree(job.folder, ignore_errors=True)

    def close(self) -> None:
        """Stop; the job that runs saves its picture first, and no upload of those that wait stays behind."""
        with self.changed:
            self.closing.set()
            for job in self.jobs.values():
                if job.state == "waiting":
                    self.end(job, "failed", ENDED)
            self.changed.notify_all()
        self.thread.join(GRACE + 5)

    # The thread

    def work(self) -> None:
        """Run one job after the other, until `close`."""
        while True:
            with self.changed:
                job = next((each for each in self.jobs.values() if each.state == "waiting"), None)
                if self.closing.is_set():
                    return
                if job is None:
                    self.changed.wait()
                    continue
                job.state = "running"
            try:
                self.run(job)
            except Exception as error:  # the next job is to have its turn
                self.end(job, "failed", without_paths(str(error), [job.folder]) or type(error).__name__)

    def run(self, job: Job) -> None:
        """Run a job to its end."""
        words = job.words(f"{job.folder}{os.sep}")
        words += ["--preview", str(PREVIEW_EVERY), "--log", str(job.folder / LOG)]
        # What is not on this machine is not fetched on a client's word; Ctrl-C at the server is not the child's.
        environment = {**os.environ, "IMGNN_OFFLINE": "1", "IMGNN_DEBUG": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
        began = time.monotonic()
        with (job.folder / SAID).open("wb") as said:
            process = subprocess.Popen(
                [*self.program, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                env=environment,
                start_new_session=True,
            )
            try:
                job.pid = process.pid
                with contextlib.suppress(InputError):  # a full disk
                    job.save()
                asked = self.follow(job, process, began)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        self.look(job, began)
        late = asked and not job.stop.is_set() and not self.closing.is_set()
        if process.returncode == 0:
            self.end(job, "done")
        elif asked or process.returncode == INTERRUPTED:
            job.keep()
            self.end(job, "cancelled", f"stopped after {LONGEST / 60:.0f} minutes" if late else None)
        else:
            self.end(job, "failed", complaint(read_text(job.folder / SAID), str(job.folder)))

    def follow(self, job: Job, process: "subprocess.Popen[bytes]", began: float) -> bool:
        """Watch a job until it ends; ask it to stop when that is wanted. Whether it was asked."""
        asked = 0.0
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LOOK)
                return bool(asked)
            self.look(job, began)
            now = time.monotonic()
            if asked and now - asked > GRACE:
                process.kill()
            elif not asked and (job.stop.is_set() or self.closing.is_set() or now - began > LONGEST):
                asked = now
                process.send_signal(signal.SIGINT)

    def look(self, job: Job, began: float) -> None:
        """Note how far a job is."""
        job.seconds = round(time.monotonic() - began, 1)
        last = read_text(job.folder / LOG, 4096).rstrip("\n").rpartition("\n")[2]
        with contextlib.suppress(ValueError, TypeError, LookupError):
            facts = json.loads(last)
            loss = facts["loss"] if "loss" in facts else facts["objective"]
            job.step, job.loss = int(facts["step"]), float(loss)
        if job.steps is None:
            with contextlib.suppress(ValueError, TypeError, LookupError):
                job.steps = int(json.loads(read_text(job.folder / LOG).partition("\n")[0])["steps"])

    def end(self, job: Job, state: JobState, error: str | None = None) -> None:
        """Delete what was uploaded for a job, and note how it ended."""
        with self.changed:
            with contextlib.suppress(OSError):
                job.clear()
            job.state, job.error, job.pid = state, error, None
            with contextlib.suppress(InputError):  # a full disk; it is still known until the server ends
                job.save()


def complaint(said: str, folder: str) -> str:
    """What a program said last of why it failed, without the server's paths."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    last = (errors or lines or ["it ended without a word"])[-1]
    return without_paths(last.replace(folder + os.sep, ""))[:500]


def command_of(pid: int) -> str:
    """The words that a process was started with; nothing if there is none, or it is over."""
    try:
        if platform.system() == "Linux":
            return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes())
        return subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True).stdout
    except OSError:  # it is not there; Windows has no ps
        return ""


def read_text(path: Path, last: int = 65_536) -> str:
    """The last bytes of a file as text; nothing if it is not there."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - last))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
