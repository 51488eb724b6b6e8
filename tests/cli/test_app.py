import io
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console
from typer.main import get_command

from imgnn import __version__
from imgnn.cli import app as application
from imgnn.cli import console
from imgnn.errors import InputError

COMMANDS = sorted(get_command(application.app).commands)
HEAVY = ("tensorflow", "keras", "numpy", "scipy", "PIL", "h5py", "requests", "cv2")


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)], ids=lambda words: " ".join(words) or "imgnn")
def test_help_wakes_nothing_heavy(words):
    code = (
        "import sys; sys.argv = ['imgnn', *sys.argv[1:]]\n"
        "from imgnn.__main__ import main\n"
        "try: main()\n"
        f"finally: print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code, *words, "--help"], capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "[]"
    assert "Usage" in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_and_a_page(name, cli):
    shown = cli(name, "--help").stdout
    assert re.search(rf"imgnn {name}", shown.split("Example", 1)[1])
    assert (Path(__file__).parents[2] / "docs" / f"{name}.md").read_text().startswith("# ")


def test_version(cli):
    assert cli("--version").stdout == f"imgnn {__version__}\n"


def test_a_mistyped_command_is_a_usage_error_with_the_near_one(cli):
    result = cli("stile")
    assert result.exit_code == 2
    assert "Did you mean 'style'" in result.stderr


def test_an_error_is_one_line_without_markup(capsys):
    console.show_error(InputError("no such file: photos[1]/[bold]x.jpg " + "long " * 60, hint="ls [x]"))
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("Error: no such file: photos[1]/[bold]x.jpg long")
    assert second == "Try: ls [x]"


def test_what_the_system_refuses_is_one_line(cli, tiny_image, tmp_path):
    long = "x" * 300
    for words in (
        ("style", f"{long}.jpg", tiny_image, "-o", tmp_path / "o.png"),
        ("style", tiny_image, tiny_image, "-o", f"{long}.png"),
        ("classify", tiny_image, "--network", long),
        ("networks", long),
        ("convert", f"{long}.caffemodel"),
    ):
        result = cli(*map(str, words))
        assert (result.exit_code, result.stdout) == (1, ""), result.exception
        assert result.stderr.startswith("Error: ")


def test_a_backend_that_is_not_there_is_one_line(tiny_image):
    words = [sys.executable, "-m", "imgnn", "style", str(tiny_image), str(tiny_image), "-o", "o.png"]
    result = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": "foo"})
    assert result.returncode == 1
    assert result.stderr.startswith("Error: Keras cannot start: Unable to import backend : foo\nTry: KERAS_BACKEND")


def test_memory_that_does_not_suffice_is_one_line(cli, tiny_image, monkeypatch):
    class ResourceExhaustedError(Exception):
        """As TensorFlow's."""

    def fail(*_, **__):
        raise ResourceExhaustedError("OOM when allocating tensor")

    monkeypatch.setattr("imgnn.jobs.caption.caption_images", fail)
    result = cli("caption", tiny_image)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "Error: the memory does not suffice\nTry: a smaller --batch or --size, or a smaller network\n"
    )


def test_ctrl_c_is_one_line(cli, tiny_image, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("imgnn.jobs.classify.classify_images", interrupt)
    result = cli("classify", tiny_image)
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr == "Interrupted: stopped before it was done\n"


def test_ctrl_c_while_modules_are_read_is_one_line():
    code = (
        "import sys; from importlib.abc import MetaPathFinder\n"
        "class Pressed(MetaPathFinder):\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'imgnn.cli.app': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Pressed())\n"
        "from imgnn.__main__ import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (130, "Interrupted: stopped before it began\n")


def test_debug_is_understood_before_and_after_the_command(cli, monkeypatch):
    monkeypatch.setenv("IMGNN_DEBUG", "0")
    for words in (["--debug", "style", "no.jpg", "no.jpg"], ["style", "no.jpg", "no.jpg", "--debug"]):
        assert isinstance(cli(*words).exception, InputError)  # goes on to the traceback
        monkeypatch.setenv("IMGNN_DEBUG", "0")
    assert "no such file: --debug" in cli("style", "--", "--debug", "no.jpg").stderr


def test_python_m_imgnn_is_the_same_command():
    result = subprocess.run([sys.executable, "-m", "imgnn", "--version"], capture_output=True, text=True, check=True)
    assert result.stdout == f"imgnn {__version__}\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("style", "a.jpg", "b.jpg", "--size", "big"), "a whole number is expected"),
        (("style", "a.jpg", "b.jpg", "--size", "0"), "1 or more is expected"),
        (("dream", "a.jpg", "--octave-scale", "x"), "a number is expected"),
        (("boke", "a.jpg", "--mode", "funny"), "'funny' is not one of"),
    ],
)
def test_a_value_that_is_none_is_told_in_our_words(cli, words, told):
    result = cli(*words)
    assert result.exit_code == 2
    assert told in result.stderr and "Input should" not in result.stderr and "Value error" not in result.stderr


def test_on_a_screen_a_line_tells_that_keras_starts_and_is_gone_afterwards(monkeypatch):
    screen = Console(file=io.StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr(console, "err", screen)
    with console.waiting_for_keras():
        deadline = time.monotonic() + 20  # a thread draws it
        while "Starting Keras" not in screen.file.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert "Starting Keras" in screen.file.getvalue()
    assert screen.file.getvalue().endswith("\x1b[1A\x1b[2K")


def test_elsewhere_nothing_is_told_of_it(monkeypatch):
    pipe = Console(file=io.StringIO())
    monkeypatch.setattr(console, "err", pipe)
    with console.waiting_for_keras():
        pass
    assert pipe.file.getvalue() == ""
