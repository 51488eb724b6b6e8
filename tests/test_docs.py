import importlib.util
from pathlib import Path

import pytest

from imgnn.cli.app import app

ROOT = Path(__file__).parents[1]
COMMANDS = [command.callback for command in app.registered_commands]


def test_the_page_of_all_commands_says_what_they_say():
    spec = importlib.util.spec_from_file_location("write_cli_docs", ROOT / "tools" / "write_cli_docs.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.PAGE.read_text(encoding="utf-8") == tool.page(), "python tools/write_cli_docs.py"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_every_command_has_an_example_and_a_page(command):
    assert f"  imgnn {command.__name__} " in command.__doc__
    assert f"imgnn {command.__name__}" in (ROOT / "docs" / f"{command.__name__}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in (part.partition(")")[0] for part in text.split("](")[1:]):
        if "://" not in target:
            assert (page.parent / target.partition("#")[0]).exists(), target
