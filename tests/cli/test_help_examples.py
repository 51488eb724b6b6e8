"""The examples in every command's --help are run as they are written, on the files that `imgnn demo` writes."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
import typer

from imgnn.cli.app import app

# Those that make what others read come first.
ORDER = ("label", "mean", "finetune", "train", "train caption", "train boke", "convert")
# test_demo.py runs the whole demo.
ELSEWHERE = ("imgnn demo", "imgnn demo try/ --open")


def commands(group, before=()):
    """Every command and group with its words: `("train", "caption")`."""
    for name, command in group.commands.items():
        yield (*before, name), command
        if hasattr(command, "commands"):
            yield from commands(command, (*before, name))


def examples_of(command):
    """The lines of its example; of those under a comment none: it tells what they take that is not there."""
    lines = iter((command.help or "").splitlines())
    for line in lines:
        if line.strip() in ("Example:", "Examples:"):
            break
    for line in lines:
        if line.lstrip().startswith("#"):
            break
        if line.strip():
            yield line.strip()


def examples():
    """Every example once, those first that others go on from."""
    places = {name: place for place, name in enumerate(ORDER)}
    found = sorted(
        ((" ".join(words), command) for words, command in commands(typer.main.get_command(app))),
        key=lambda each: places.get(each[0], len(places)),
    )
    return list(dict.fromkeys(line for _, command in found for line in examples_of(command)))


@pytest.mark.parametrize(
    ("words", "command"), [pytest.param(*each, id=" ".join(each[0])) for each in commands(typer.main.get_command(app))]
)
def test_every_command_has_an_example_of_itself_that_takes_nothing_else(words, command):
    assert any(f"imgnn {' '.join(words)}" in line for line in examples_of(command))


@pytest.mark.parametrize(
    ("words", "command"), [pytest.param(*each, id=" ".join(each[0])) for each in commands(typer.main.get_command(app))]
)
def test_no_line_of_an_example_is_folded_on_80_columns(words, command, cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = [line.strip() for line in cli(*words, "--help").stdout.splitlines()]
    assert set(examples_of(command)) <= set(shown)


@pytest.mark.slow
def test_examples_run_offline_as_they_are_written(cli, tmp_path):
    folder = tmp_path / "try"
    assert cli("demo", folder, "--only-files").exit_code == 0
    (tmp_path / "home").mkdir()
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parents[2]),  # this imgnn, not one that is installed
        "IMGNN_HOME": str(tmp_path / "home"),
        "IMGNN_OFFLINE": "1",
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "BROWSER": "true",  # of --open; it does nothing
        # Whoever goes out all the same is refused.
        **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9"),
    }
    failed = []
    for line in examples():
        if line in ELSEWHERE:
            continue
        began = time.perf_counter()
        code, said = (serve if line.startswith("imgnn serve") else run)(line, folder, environment)
        print(f"{time.perf_counter() - began:6.1f} s  {line}", flush=True)
        if code:
            failed.append(f"{line}: exit {code}\n{said[-600:]}")
    assert not failed, "\n\n".join(failed)
    assert not (tmp_path / "home" / "networks").exists(), "a network was converted"


def run(line, folder, environment):
    """The exit code, and what stood on stderr."""
    done = subprocess.run(["sh", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def serve(line, folder, environment):
    """The same, of a server that is ended by Ctrl-C as soon as it answers."""
    words = ["sh", "-c", f"exec {line} --port 0"]  # 8000 may be taken
    with subprocess.Popen(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            if found := re.match(r"http://[^/]+:(\d+)/", process.stdout.readline()):
                requests.get(f"http://127.0.0.1:{found[1]}/", timeout=60)
                process.send_signal(signal.SIGINT)
            return process.wait(60), process.stderr.read()
        finally:
            process.kill()
