"""The examples in every command's --help are run as they are written, on the files that `imgnn demo` writes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from imgnn.cli.app import app

# Those that make what others read come first.
ORDER = ("label", "mean", "finetune", "train caption", "train boke")
# What cannot be had without a network, a server or a file of Caffe's.
ELSEWHERE = ("imgnn fetch", "imgnn convert", "imgnn serve", "imgnn demo")
ONLINE = (
    "imgnn dream --class goldfish",  # mini knows no classes
    "imgnn classify cat.jpg holiday/ --top 3",
    "find . -name '*.jpg' | imgnn classify - --json > classes.jsonl",
    "imgnn evaluate classify photos/ --network googlenet --oversample --json",
    "imgnn caption photos/ --network googlenet -n 5 --json > captions.jsonl",
    "imgnn evaluate caption captions_val2017.json --results others.json",
    "imgnn evaluate caption Flickr8k.token.txt --json",
)


def commands(group, before=()):
    """Every command with its words: `("train", "caption")`."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*before, name))
        else:
            yield (*before, name), command


def examples():
    """Every example, those first that others go on from."""
    found = {}
    for words, command in commands(typer.main.get_command(app)):
        text = re.split(r"Examples?:", command.help or "")[-1]
        found[" ".join(words)] = [line.strip() for line in text.splitlines() if "imgnn " in line]
    places = {name: place for place, name in enumerate(ORDER)}
    for name in sorted(found, key=lambda name: places.get(name, len(places))):
        yield from found[name]


def test_every_command_has_an_example():
    lines = list(examples())
    for words, _ in commands(typer.main.get_command(app)):
        assert any(f"imgnn {' '.join(words)}" in line for line in lines), words


def test_what_is_not_run_is_an_example_still():
    assert set(ONLINE) <= set(examples())


@pytest.mark.slow
def test_examples_run_offline_as_they_are_written(cli, tmp_path):
    folder = tmp_path / "try"
    assert cli("demo", folder, "--only-files").exit_code == 0
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    failed = []
    for line in examples():
        if line.startswith(ELSEWHERE) or line in ONLINE:
            continue
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=folder,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            failed.append(f"{line}: exit {done.returncode}\n{done.stderr[-600:]}")
    assert not failed, "\n\n".join(failed)
