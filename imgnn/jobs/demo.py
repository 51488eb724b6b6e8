"""`imgnn demo`: the files that it works on, and the page of what came out."""

import html
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgnn.errors import InputError
from imgnn.home import ASSETS
from imgnn.runs import duration, is_folder, write_aside

EXAMPLES = ASSETS / "examples"  # pictures drawn by examples/draw.py, and a net of Caffe's by tools/make_edges.py
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
        note: what one should know about the result.
    """

    title: str
    line: str
    output: str
    seconds: float
    pictures: tuple[str, ...]
    note: str = ""


def write_files(folder: Path) -> list[Path]:
    """Put into a folder what the examples in every command's `--help` are run on.

    photo.jpg, painting.jpg, ...   the package's pictures
    holiday/                       those of them that are contents, not styles
    photos/                        class folders of small drawn pictures
    captions.jsonl, boke.jsonl     what is seen on these, and what is funny about them
    boke_can/                      some of that in the form of ボケ缶
    boat.jpg                       another one of them
    edges.caffemodel, .prototxt    a small net in Caffe's files

    Returns:
        What was written: files and folders.

    Raises:
        InputError: there is something in the folder already, or it cannot be written.
    """
    # NumPy is not for --help, which reads this module, to wait for.
    from imgnn.data.drawn_classes import write_boke, write_can, write_captions, write_classes, write_drawn

    if folder.exists() and (not is_folder(folder) or any(folder.iterdir())):
        raise InputError(f"{folder} is there already, and not empty", hint="imgnn demo ANOTHER_FOLDER")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = [Path(shutil.copy(each, folder)) for each in sorted(EXAMPLES.iterdir())]
        (folder / "holiday").mkdir()
        for name in CONTENTS:
            shutil.copy(folder / name, folder / "holiday")
        drawn = write_classes(folder / "photos")
        write_captions(folder / "captions.jsonl", drawn)
        write_boke(folder / "boke.jsonl", drawn)
        write_can(folder / "boke_can", drawn[::8])
        write_drawn(folder / "boat.jpg", "boats", seed=1)
    except OSError as error:
        raise InputError(f"cannot write into {folder}: {error.strerror or error}") from error
    made = ("boat.jpg", "holiday", "photos", "captions.jsonl", "boke.jsonl", "boke_can")
    return [*written, *(folder / name for name in made)]


def write_page(folder: Path, performed: Sequence[Performed], seconds: float, *, planned: int) -> Path:
    """The results as a page that a browser opens from the folder; it needs no network.

    Args:
        planned: how many commands there would have been.

    Raises:
        InputError: it cannot be written.
    """
    style = (ASSETS / "report.css").read_text(encoding="utf-8")
    body = "\n".join(section(each) for each in performed)
    page = folder / PAGE
    of = "" if len(performed) == planned else f"{len(performed)} of "  # Ctrl-C, or one of them failed
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
<p>{of}{planned} commands in {duration(seconds)}, offline, with what comes with imgnn.</p>
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
.row figure { margin: 0; max-width: 100%; }
.row img { display: block; border-radius: 6px; height: 220px; width: auto; max-width: 100%; object-fit: contain; }
pre { margin: 0 0 14px; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem; }
pre.line::before { content: "$ "; color: var(--soft); }
pre.output { margin: 14px 0 0; color: var(--soft); tab-size: 24; }
p.note { margin: 10px 0 0; color: var(--soft); }
h2 small { font-weight: 400; color: var(--soft); }
"""


def section(done: Performed) -> str:
    """One command on the page."""
    figures = "".join(figure(name) for name in done.pictures)
    said = "\n".join(line.rstrip() for line in done.output.splitlines()).strip("\n")
    told = said and said not in done.pictures  # the path of the picture stands below it
    output = f'<pre class="output">{linked(html.escape(said))}</pre>\n' if told else ""
    note = f'<p class="note">{html.escape(done.note)}</p>\n' if done.note else ""
    return f"""<section>
<h2>{html.escape(done.title)} <small>{duration(done.seconds)}</small></h2>
<pre class="line">{html.escape(done.line)}</pre>
<div class="row">{figures}</div>
{output}{note}</section>"""


def linked(text: str) -> str:
    """Text of a page, in which the names of other pages lead there."""
    return re.sub(r"\S+\.html\b", lambda name: f'<a href="{name[0]}">{name[0]}</a>', text)


def figure(name: str) -> str:
    """A picture with its name."""
    known = html.escape(name, quote=True)
    return f'<figure><img src="{known}" alt="{known}" loading="lazy"><figcaption>{known}</figcaption></figure>'


def shown(folder: Path, names: Iterable[str]) -> tuple[str, ...]:
    """Those of the pictures that are there: a command that was stopped may have made none."""
    return tuple(name for name in names if (folder / name).is_file())
