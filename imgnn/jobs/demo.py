"""`imgnn demo`: the files that it works on, and the page of what came out."""

import html
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgnn.errors import InputError
from imgnn.home import ASSETS
from imgnn.runs import duration, is_folder, write_aside

PICTURES = ASSETS / "examples"  # drawn by examples/draw.py
CONTENTS = ("photo.jpg", "still_life.jpg", "sky.jpg", "flowers.jpg", "cat.jpg")
PAGE = "index.html"


@dataclass(frozen=True)
class Performed:
    """One command of the demo, and what came of it.

    Attributes:
        title: what it shows, for the page.
        line: the command as one types it.
        output: what it wrote to stdout.
        seconds: it took.
        pictures: names of files in the demo's folder: what went in, then what came out.
    """

    title: str
    line: str
    output: str
    seconds: float
    pictures: tuple[str, ...]


def write_files(folder: Path) -> list[Path]:
    """Put into a folder what the examples in every command's `--help` are run on.

    photo.jpg, painting.jpg, ...   the package's pictures
    holiday/                       those of them that are contents, not styles
    photos/                        class folders of small drawn pictures
    captions.jsonl, boke.jsonl     what is seen on these, and what is funny about them
    boat.jpg                       another one of them

    Returns:
        What was written: files and folders.

    Raises:
        InputError: there is something in the folder already, or it cannot be written.
    """
    # NumPy is not for --help, which reads this module, to wait for.
    from imgnn.data.drawn_classes import write_boke, write_captions, write_classes, write_drawn

    if folder.exists() and (not is_folder(folder) or any(folder.iterdir())):
        raise InputError(f"{folder} is there already, and not empty", hint="imgnn demo ANOTHER_FOLDER")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = [Path(shutil.copy(each, folder)) for each in sorted(PICTURES.glob("*.jpg"))]
        (folder / "holiday").mkdir()
        for name in CONTENTS:
            shutil.copy(folder / name, folder / "holiday")
        drawn = write_classes(folder / "photos")
        write_captions(folder / "captions.jsonl", drawn)
        write_boke(folder / "boke.jsonl", drawn)
        write_drawn(folder / "boat.jpg", "boats", seed=1)
    except OSError as error:
        raise InputError(f"cannot write into {folder}: {error.strerror or error}") from error
    return [*written, *(folder / name for name in ("boat.jpg", "holiday", "photos", "captions.jsonl", "boke.jsonl"))]


def write_page(folder: Path, performed: Sequence[Performed], seconds: float) -> Path:
    """The results as a page that a browser opens from the folder; it needs no network.

    Raises:
        InputError: it cannot be written.
    """
    style = (ASSETS / "report.css").read_text(encoding="utf-8")
    body = "\n".join(section(each) for each in performed)
    page = folder / PAGE
    text = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>imgnn demo</title>
<style>{style}{OWN}</style>
</head>
<body>
<main>
<header>
<h1>imgnn demo</h1>
<p>{len(performed)} commands in {duration(seconds)}, offline, with what comes with imgnn.</p>
</header>
{body}
</main>
</body>
</html>
"""
    with write_aside(page) as aside:
        aside.write_text(text, encoding="utf-8")
    return page


OWN = """
.row { display: flex; flex-wrap: wrap; gap: 12px; align-items: flex-start; }
.row figure { flex: 1 1 220px; max-width: 420px; }
.row figure:last-child { flex-grow: 1.6; }
.row img { display: block; border-radius: 6px; }
pre { margin: 0 0 14px; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem; }
pre.line::before { content: "$ "; color: var(--soft); }
pre.output { margin: 14px 0 0; color: var(--soft); tab-size: 24; }
h2 small { font-weight: 400; color: var(--soft); }
"""


def section(done: Performed) -> str:
    """One command on the page."""
    figures = "".join(figure(name) for name in done.pictures)
    said = done.output.strip("\n")
    output = f'<pre class="output">{html.escape(said)}</pre>\n' if said else ""
    return f"""<section>
<h2>{html.escape(done.title)} <small>{duration(done.seconds)}</small></h2>
<pre class="line">{html.escape(done.line)}</pre>
<div class="row">{figures}</div>
{output}</section>"""


def figure(name: str) -> str:
    """A picture with its name."""
    known = html.escape(name, quote=True)
    return f'<figure><img src="{known}" alt="{known}" loading="lazy"><figcaption>{known}</figcaption></figure>'


def shown(folder: Path, names: Iterable[str]) -> tuple[str, ...]:
    """Those of the pictures that are there: a command that was stopped may have made none."""
    return tuple(name for name in names if (folder / name).is_file())
