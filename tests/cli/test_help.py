"""`--help` of all commands: one voice."""

import re

import pytest
from typer.main import get_command

from imgnn.cli.app import app


def walk(command, name="imgnn"):
    """The commands below, each with its context."""
    for word, each in command.commands.items():
        if hasattr(each, "commands"):
            yield from walk(each, f"{name} {word}")
        else:
            yield f"{name} {word}", each


COMMANDS = dict(walk(get_command(app)))


def options(command):
    """Its options, without --help."""
    return [each for each in command.params if each.param_type_name == "option"]


every_command = pytest.mark.parametrize("name", COMMANDS)


@every_command
def test_help_fits_80_columns_and_speaks_no_python(cli, name):
    shown = cli(*name.split()[1:], "--help", env={"COLUMNS": "80"}).stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert not re.search(r"<(bool|str|int|float|path|file|dir|list|\w+ range)", shown)
    assert [line for line in shown.splitlines() if re.search(r"<[^<>]*\|", line) and ">" not in line] == []
    assert "[default: (" not in shown


@every_command
def test_every_option_has_a_panel_words_and_a_default_written_once(name):
    for option in options(COMMANDS[name]):
        assert option.rich_help_panel, option.name
        assert option.help and not option.help.startswith("\\["), option.name
        assert not isinstance(option.show_default, str), option.name


def test_the_same_option_is_called_alike_everywhere():
    seen = {}
    for command in COMMANDS.values():
        for option in options(command):
            for short in (each for each in option.opts if not each.startswith("--")):
                seen.setdefault(short, set()).add(max(option.opts, key=len))
    assert seen == {
        "-o": {"--output"}, "-n": {"--number"}, "-m": {"--model"}, "-l": {"--list"}, "-v": {"--verbose"},
    }  # fmt: skip


@pytest.mark.parametrize("name", ["--output", "--json", "--network", "--precision", "--workers", "--run", "--dask"])
def test_the_same_option_stands_in_the_same_panel(name):
    panels = {each.rich_help_panel for command in COMMANDS.values() for each in options(command) if name in each.opts}
    assert len(panels) == 1


def test_help_begins_with_the_result_and_ends_with_help(cli):
    shown = cli("style", "--help").stdout
    panels = re.findall(r"╭─ (.+?) ─", shown)
    assert (panels[:2], panels[-1]) == (["Arguments", "The result"], "Help")
