"""A server with made pictures and a model that only pretends, in a thread: `with made_server(folder) as server`.

`python -m tests.web.made_server` runs one until Ctrl-C, to look at the page.
"""

import contextlib
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from imgnn.data.known_pictures import KnownPicture, KnownPictures
from imgnn.errors import InputError
from imgnn.images.files import load_image
from imgnn.language.vocabulary import build_vocabulary
from imgnn.training.run_folder import write_config
from imgnn.web.api import Settings
from imgnn.web.ratings import Ratings
from imgnn.web.server import bind, build_server
from imgnn.web.site import Site
from imgnn.web.studio import Studio
from imgnn.web.voices import Run, Voices, open_runs

PAINTED = 12  # pictures of the made run, the last four of them val
LINES = (
    "会議で一番偉い人が来た",
    "猫の手も借りたいと言ったら本当に来た",
    "the printer has seen things",
    "月曜日の私",
    "nobody told the cactus about the party",
    "傘を忘れた日に限って",
)
HUES = ("#d1495b", "#edae49", "#66a182", "#2e4057", "#8d96a3", "#7768ae")


def paint(path: Path, number: int, size: tuple[int, int] = (480, 360)) -> Path:
    """A picture that one can tell from the others: a landscape of two colours with a moon, `size` (width, height)."""
    width, height = size
    picture = Image.new("RGB", size, HUES[number % len(HUES)])
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, height * 2 // 3, width, height), fill=HUES[(number + 2) % len(HUES)])
    left = width * (1 + number % 5) // 7
    draw.ellipse((left, height // 5, left + height // 4, height // 5 + height // 4), fill="#f7f3e3")
    picture.save(path)
    return path


def make_run(folder: Path, kind: str = "boke") -> Path:
    """A run's folder as far as the server reads it before the model: no weights in it."""
    folder.mkdir()
    (folder / "pictures").mkdir()
    write_config(folder, {"kind": kind, "feature": {"network": "googlenet"}, "tokenizer": {"name": "chars"}})
    pictures = []
    for number in range(PAINTED):
        file = paint(folder / "pictures" / f"{number}.jpg", number)
        texts = tuple(LINES[(number + each) % len(LINES)] for each in range(1 + number % 3))
        stars = tuple(None if number == 0 else 120 // (1 + number * place) for place in range(len(texts)))
        split = "val" if number >= PAINTED - 4 else "train"
        pictures.append(KnownPicture(f"made/{number}.jpg", str(file), split, texts, stars))
    KnownPictures(tuple(pictures), np.eye(PAINTED, 16, dtype="float16")).save(folder)
    build_vocabulary([list(text) for text in LINES], 1).save(folder / "vocabulary.json")
    losses = [6.77 * 0.7**epoch + 0.2 for epoch in range(10)]
    (folder / "average_loss.log").write_text(json.dumps({"average_loss": losses}))
    rows = [
        {"kind": "epoch", "epoch": 1 + place, "loss": loss / 2, "val_loss": 2 + loss / 3, "floor": 0.6}
        for place, loss in enumerate(losses)
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@dataclass(frozen=True)
class Said:
    """What stands for `imgnn.jobs.boke`'s Joke, Nearest and Donor and `imgnn.jobs.caption`'s Caption."""

    text: str
    mode: str = "model"
    log_prob: float | None = -12.5
    per_token: float | None = -1.25
    novel: bool | None = True
    nearest: "Near | None" = None
    donor: "Lender | None" = None


@dataclass(frozen=True)
class Near:
    text: str
    similarity: float
    picture: str
    stars: int | None


@dataclass(frozen=True)
class Lender:
    name: str
    file: Path | None
    distance: float


@dataclass(frozen=True)
class Spoken:
    """What stands for BokeImage and CaptionedImage."""

    path: Path
    boke: tuple[Said, ...] = ()
    captions: tuple[Said, ...] = ()
    error: InputError | None = None
    note: str | None = None


class Pretended:
    """Voices without a model: what they say depends on settings and the picture's colours.

    Args:
        seconds: that a sentence takes.
    """

    def __init__(self, run: Run, seconds: float = 0.0) -> None:
        self.run, self.seconds = run, seconds
        self.asked: list[tuple[list[Path], Settings]] = []
        self.spoken = 0  # pictures

    def boke(self, files: Sequence[Path], settings: Settings, *, uploaded: bool = False) -> Iterator[Spoken]:
        self.asked.append((list(files), settings))
        mode = settings.mode or self.run.modes[0]
        for file in files:
            time.sleep(self.seconds)
            self.spoken += 1
            key = int(load_image(file).mean()) + settings.seed
            said = []
            for number in range(settings.n):
                text = f"{LINES[(key + number) % len(LINES)]} {settings.seed or ''}".strip()
                known = self.run.pictures
                lender = known[(key + number) % PAINTED] if known else KnownPicture("photo 12", "", "train", (), ())
                said.append(
                    Said(
                        text,
                        mode,
                        None if mode == "retrieve" else -12.5 - number,
                        None if mode == "retrieve" else round(-1.25 - number / 10, 3),
                        (mode == "model" and number % 2 == 0) if known else None,
                        Near(LINES[0], 0.4, lender.name, 120) if known and number % 2 == 0 else None,
                        Lender(lender.name, Path(lender.file), 1.1) if mode != "model" else None,
                    )
                )
            yield Spoken(file, tuple(said))

    def captions(self, file: Path, settings: Settings) -> Spoken:
        said = [Said(f"a moon over a field, said with {settings.beam}", log_prob=-6.4, per_token=-0.8)]
        return Spoken(file, captions=tuple(said[: settings.n]))


# Instead of `python -m imgnn`: takes a style's or dream's words, paints STEPS steps, minds Ctrl-C.
PROGRAM = """
import json, sys, time
from pathlib import Path
from PIL import Image
words = sys.argv[1:]
output = Path(words[words.index("-o") + 1])
log = Path(words[words.index("--log") + 1])
steps, pause = STEPS, PAUSE
log.write_text(json.dumps({"steps": steps}) + "\\n")
if "--seed=13" in words:
    print("Error: 13 brings bad luck: " + str(output.parent / "content.png"), file=sys.stderr)
    sys.exit(1)
picture = Image.open(words[1]).convert("RGB")
def paint(step, path):
    aside = path.with_name("." + path.name)
    Image.blend(picture, Image.new("RGB", picture.size, "#7768ae"), 0.8 * step / steps).save(aside)
    aside.replace(path)
step = 0
try:
    for step in range(1, steps + 1):
        time.sleep(pause)
        with log.open("a") as file:
            file.write(json.dumps({"step": step, "seconds": step * pause, "loss": 1000.0 / step}) + "\\n")
        if step % 5 == 0:
            paint(step, output.with_name(output.stem + ".preview" + output.suffix))
except KeyboardInterrupt:
    paint(step, output)
    print("Interrupted: stopped", file=sys.stderr)
    sys.exit(130)
paint(steps, output)
"""


@dataclass
class MadeServer:
    """A server that runs.

    Attributes:
        address: "http://127.0.0.1:PORT".
        voices: what was asked of them.
        folder: of ratings and studio.
    """

    address: str
    site: Site
    folder: Path
    voices: Pretended


@contextlib.contextmanager
def made_server(
    folder: Path,
    *,
    kinds: Sequence[str] = ("boke", "caption"),
    models: Sequence[Path] | None = None,
    load: Callable[[Sequence[Run]], Voices] | None = None,
    token: str | None = None,
    rate: int = 0,
    host: str = "127.0.0.1",
    port: int = 0,
    seconds: float = 0.0,
    loading: float = 0.0,
    steps: int = 20,
    pause: float = 0.05,
    program: Sequence[str] | None = None,
    networks: dict[str, list[str]] | None = None,
) -> Iterator[MadeServer]:
    """A server on a free port of this machine, until the block ends.

    Args:
        folder: of its runs (made if they are not there), ratings and studio.
        kinds: of models that it has; `models`: their folders instead, `load`: what loads them.
        seconds: that a boke takes; `loading`: that the models take.
        steps, pause: of a job of the studio that is pretended; `program`: what makes them instead.
    """
    if models is None:
        models = [folder / f"{kind}_run" for kind in kinds]
        for kind, model in zip(kinds, models, strict=True):
            if not model.exists():
                make_run(model, kind)
    runs = open_runs(models)
    voices = Pretended(runs[0], seconds)
    kept = folder / "page"
    kept.mkdir(exist_ok=True)
    pretended = PROGRAM.replace("STEPS", str(steps)).replace("PAUSE", str(pause))

    def pretend(_: Sequence[Run]) -> Voices:
        time.sleep(loading)
        return voices

    site = Site(
        runs,
        Studio(kept, program or (sys.executable, "-c", pretended)),
        Ratings(kept),
        networks or {"style": ["squeezenet-v1.1", "googlenet"], "dream": ["googlenet"]},
        load or pretend,
        token=token is not None,
    )
    bound = bind(host, port)
    server = build_server(site, bound, host, token=token, rate=rate)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield MadeServer(f"http://127.0.0.1:{bound.getsockname()[1]}", site, kept, voices)
    finally:
        server.should_exit = True
        thread.join(30)
        bound.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made, made_server(Path(made), port=8000, seconds=0.2, pause=0.2) as running:
        print(running.address)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(1)
