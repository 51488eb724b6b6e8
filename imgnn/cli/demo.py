"""`imgnn demo`."""

import contextlib
import io
import shlex
import time
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.text import Text

from imgnn.cli import console
from imgnn.cli.parsing import RESULT, Json, free_run, option
from imgnn.errors import ImgnnError, InterruptedRun
from imgnn.jobs.demo import CONTENTS


class Act(NamedTuple):
    """A command that is shown.

    Attributes:
        pictures: what the page shows beside it: what goes in, then what comes out.
        note: what one should know about the result.
    """

    title: str
    line: str
    pictures: tuple[str, ...] = ()
    note: str = ""


ACTS = (
    Act(
        "A photo, painted like another picture",
        "imgnn style photo.jpg painting.jpg -o out.png --size 320",
        ("photo.jpg", "painting.jpg", "out.png"),
    ),
    Act("What the network sees in clouds", "imgnn dream sky.jpg --octaves 3", ("sky.jpg", "sky-dream.png")),
    Act(
        "What is in a picture",
        "imgnn caption holiday/",
        tuple(f"holiday/{name}" for name in sorted(CONTENTS)),
        "The model learnt from photos; these are drawings, and it says what photos they are like.",
    ),
    Act(
        "What is funny about it",
        "imgnn boke cat.jpg -n 3",
        ("cat.jpg",),
        "What the model says of completely different photos: the picture makes it a joke, or not.",
    ),
    Act("Class folders to lists", "imgnn label photos --split 0.8/0.2"),
    Act("Their mean", "imgnn mean photos_train.txt", ("photos_train_mean.png",)),
    Act("A network for them", "imgnn finetune photos_train.txt -o photos_run", ("photos_run/curves.png",)),
    Act("What it says of one", "imgnn classify boat.jpg --run photos_run", ("boat.jpg",)),
)


def demo(
    context: typer.Context,
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="FOLDER", help="Where everything goes. \\[default: demo_run, in this folder]", show_default=False
        ),
    ] = None,
    only_files: Annotated[
        bool,
        option(
            RESULT,
            "Only write the files that the examples in every --help are run on; "
            "those of label, finetune and train come first.",
            "--only-files",
        ),
    ] = False,
    open_page: Annotated[bool, option(RESULT, "Open the page in the browser.", "--open")] = False,
    json: Json = False,
) -> None:
    """Show what imgnn does, on pictures that come with it: in a minute, and offline.

    FOLDER gets the pictures, what the commands make of them, and a page, index.html.

    \b
    Example:
      imgnn demo
      imgnn demo try/ --open
      imgnn demo files/ --only-files
    """
    from imgnn.jobs.demo import Performed, shown, write_files, write_page

    folder = folder or free_run("demo")
    written = write_files(folder)
    if only_files:
        console.print_json({"files": [console.shown(each) for each in written]}) if json else console.show_path(folder)
        return
    began, performed, code = time.perf_counter(), [], 0
    with contextlib.chdir(folder):
        for act in ACTS:
            console.err.print(Text.assemble(("\n$ ", "dim"), (act.line, "bold")), soft_wrap=True)
            started = time.perf_counter()
            code, output = perform(act.line)
            console.err.print(Text(output.rstrip("\n"), style="cyan"), soft_wrap=True)
            seconds = time.perf_counter() - started
            performed.append(Performed(act.title, act.line, output, seconds, shown(Path(), act.pictures), act.note))
            if code:
                break
    took = time.perf_counter() - began
    page = write_page(folder, performed, took, planned=len(ACTS))
    if json:
        steps = [{"command": each.line, "seconds": round(each.seconds, 1)} for each in performed]
        told = {"path": console.shown(page), "seconds": round(took, 1), "commands": steps, "planned": len(ACTS)}
        console.print_json(told | {"exit_code": code})
    elif not code:
        console.show_path(page)
    if code:
        done = f"{len(performed) - 1} of {len(ACTS)} commands were done; they are on {page}"
        raise InterruptedRun(done) if code == InterruptedRun.exit_code else ImgnnError(done)
    if open_page:
        typer.launch(page.resolve().as_uri())


def perform(line: str) -> tuple[int, str]:
    """Run a command line of imgnn in this process: its exit code, and what it wrote to stdout."""
    from imgnn.cli.app import app

    command = typer.main.get_command(app)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = command.main(shlex.split(line)[1:], prog_name="imgnn", standalone_mode=False)
    # On a screen that Rich knows by its environment (TERM, FORCE_COLOR), it colours what goes into a file, too.
    return int(code or 0), Text.from_ansi(said.getvalue()).plain
