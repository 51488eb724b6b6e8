"""The examples in every command's --help are run as they are written, on the files that `imgnn demo` writes."""

import pytest
import typer

from imgnn.cli.app import app
from tests.command_lines import failures, offline

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
    environment = offline(tmp_path)
    failed = failures([line for line in examples() if line not in ELSEWHERE], folder, environment)
    assert failed == [], "\n\n".join(failed)
    assert not (tmp_path / "home" / "networks").exists(), "a network was converted"
