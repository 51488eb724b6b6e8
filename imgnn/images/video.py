"""Films of what a recipe makes: frames in, one file (or a folder of pictures) out."""

import importlib.util
import itertools
import math
import os
import secrets
import shlex
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
from PIL import Image

from imgnn.errors import ImgnnError, InputError, OptionError
from imgnn.images.files import save_image
from imgnn.runs import check_folder, is_file, is_folder, write_aside

INSTALL = 'pip install "imgnn[video]"'


class FrameWriter:
    """Writes a film frame by frame, to be used in a `with` block.

    The file appears whole when the block is left: by its end, or with the frames so far by Ctrl-C
    (`KeyboardInterrupt`) or an `ImgnnError`. Another exception, or a block without a frame, leaves nothing. A folder
    is filled frame by frame, and keeps what it has.

    Args:
        path: .mp4 (H.264; wants imageio-ffmpeg), .gif (256 colours a frame), .webp; without a suffix a folder of
            0001.png, 0002.png, ... GIF and WebP are put together in memory: 1 and 4 bytes for each pixel of each
            frame. They leave out a frame that is like the one before, which is shown longer instead.
        fps: frames per second, above 0.

    Raises:
        InputError: see `check_video`; or `fps` is not above 0.
    """

    def __init__(self, path: str | Path, fps: float = 12.0) -> None:
        self.path = Path(path)
        check_video(self.path)
        if not 0 < fps < math.inf:
            raise InputError(f"a film has more than 0 frames per second; {fps} was given")
        self.size: tuple[int, int] | None = None
        self.film: Film = FILMS[self.path.suffix.lower()](self.path, fps)

    def __enter__(self) -> "FrameWriter":
        return self

    def write(self, image: np.ndarray) -> None:
        """Add a frame: uint8 `(height, width, 3)`, as large as the first.

        Raises:
            InputError: it has another form or size, or cannot be written (the disk is full).
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise InputError(f"a frame is uint8 (height, width, 3), not {image.dtype} {image.shape}")
        height, width, _ = image.shape
        self.size = self.size or (height, width)
        if self.size != (height, width):
            raise InputError(
                f"the frames of {self.path} are {self.size[0]} x {self.size[1]} pixels (height x width); "
                f"one of {height} x {width} was received"
            )
        self.film.add(image)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.size and (kind is None or issubclass(kind, KeyboardInterrupt | ImgnnError)):
            self.film.finish()
        else:
            self.film.discard()


def check_video(path: str | Path) -> None:
    """See to it that a `FrameWriter` will be able to write `path`: to be called before long work.

    Raises:
        InputError: no kind of film has this suffix, imageio-ffmpeg is needed and not there, the folder is missing or
            may not be written, or (of a folder to be filled) holds pictures already.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in FILMS:
        known = ", ".join(filter(None, FILMS))
        raise OptionError(
            f"films are written as {known}, or without suffix as a folder; {suffix!r} was received: {path}"
        )
    if suffix and is_folder(path):
        raise InputError(f"{path} is a folder; the name of a film is expected")
    if suffix == ".mp4":
        ffmpeg()
    check_folder(path)
    if not suffix:
        check_frames(path)


def check_frames(folder: Path) -> None:
    """Refuse a folder in which old frames would be mixed with new ones.

    Raises:
        InputError: it holds pictures, may not be written, or is a file.
    """
    if is_file(folder):
        raise InputError(f"{folder} is a file; a folder for the frames, or a name with a suffix, is expected")
    if not is_folder(folder):
        return
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise InputError(f"cannot write {folder}: the folder may not be written")
    if next(folder.glob("*.png"), None):
        raise InputError(
            f"{folder} holds pictures already: they would be mixed with the new frames",
            hint=f"another name, or: rm {shlex.quote(str(folder))}/*.png",
        )


class Film(Protocol):
    """One way to write frames."""

    def __init__(self, path: Path, fps: float) -> None: ...

    def add(self, image: np.ndarray) -> None:
        """Take a frame: uint8 `(height, width, 3)`."""

    def finish(self) -> None:
        """Write the frames so far; there is at least one."""

    def discard(self) -> None:
        """Leave nothing."""


class Frames:
    """A folder of numbered pictures."""

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.count = path, 0

    def add(self, image: np.ndarray) -> None:
        try:
            self.path.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write {self.path}: {error.strerror or error}") from error
        self.count += 1
        save_image(self.path / f"{self.count:04d}.png", image)

    def finish(self) -> None: ...

    def discard(self) -> None: ...


class Animation:
    """A GIF or WebP, which Pillow writes in one go."""

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.fps = path, fps
        self.kind = path.suffix[1:].upper()
        self.frames: list[Image.Image] = []

    def add(self, image: np.ndarray) -> None:
        frame = Image.fromarray(image)
        self.frames.append(frame.quantize(256) if self.kind == "GIF" else frame.copy())

    def finish(self) -> None:
        tick = 10 if self.kind == "GIF" else 1  # ms, the unit in which the format counts
        # Rounded where each frame ends, not how long it lasts: 12 frames make a second.
        ends = [round(1000 * end / self.fps / tick) * tick for end in range(len(self.frames) + 1)]
        durations = [end - start for start, end in itertools.pairwise(ends)]
        options = {} if self.kind == "GIF" else {"quality": 90, "method": 4}
        with write_aside(self.path) as aside:
            self.frames[0].save(
                aside, self.kind, save_all=True, append_images=self.frames[1:], duration=durations, loop=0, **options
            )

    def discard(self) -> None:
        self.frames.clear()


class Mp4:
    """H.264 with a quarter of the colour (yuv420p), which every player and browser shows.

    Colours are those of BT.709 and say so: without the mark, players take a small film for BT.601 and a large one
    for BT.709.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.fps = path, fps
        self.file = path.with_name(f".{secrets.token_hex(4)}.mp4")
        self.process: subprocess.Popen[bytes] | None = None

    def add(self, image: np.ndarray) -> None:
        # Both sides are even in yuv420p: the last row or column is repeated.
        image = np.pad(image, ((0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0)), "edge")
        if self.process is None:
            self.process = self.start(image.shape[0], image.shape[1])
        assert self.process.stdin is not None  # noqa: S101 - a pipe
        try:
            self.process.stdin.write(image.tobytes())
        except OSError as error:  # it has ended
            raise self.failure() from error

    def start(self, height: int, width: int) -> "subprocess.Popen[bytes]":
        """ffmpeg, waiting for frames of this size."""
        read = f"-f rawvideo -pixel_format rgb24 -video_size {width}x{height} -framerate {self.fps:.6f} -i -"
        colours = "-vf scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int"
        marks = "-colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv"
        write = "-c:v libx264 -pix_fmt yuv420p -crf 18 -movflags +faststart"
        words = f"-v error {read} {colours} {marks} {write}".split()
        self.said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `discard`; a pipe could fill up
        # In a session of its own: Ctrl-C is ours, and ffmpeg shall finish the film.
        return subprocess.Popen(
            [ffmpeg(), *words, f"file:{self.file}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self.said,
            start_new_session=True,
        )

    def finish(self) -> None:
        assert self.process is not None  # noqa: S101 - there was a frame
        try:
            self.process.communicate()
            if self.process.returncode != 0:
                raise self.failure()
            with write_aside(self.path) as aside:
                self.file.replace(aside)
        finally:
            self.discard()

    def discard(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.said.close()
        self.file.unlink(missing_ok=True)

    def failure(self) -> InputError:
        """What ffmpeg said last."""
        self.said.seek(0)
        told = self.said.read().decode(errors="replace").strip().splitlines()
        return InputError(f"cannot write {self.path}: {told[-1] if told else 'ffmpeg ended without a word'}")


FILMS: dict[str, type[Film]] = {".mp4": Mp4, ".gif": Animation, ".webp": Animation, "": Frames}


def ffmpeg() -> str:
    """The program that imageio-ffmpeg brings along, or finds.

    Raises:
        InputError: it is not installed, or finds none.
    """
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        raise InputError("an .mp4 wants imageio-ffmpeg, which is not installed", hint=INSTALL)
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise InputError(f"an .mp4 wants ffmpeg: {error}", hint=INSTALL) from error
