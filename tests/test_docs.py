import importlib.util
from pathlib import Path

import pytest

from imgnn.cli.app import app

ROOT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location("write_cli_docs", ROOT / "tools" / "write_cli_docs.py")
tool = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tool)
COMMANDS = list(tool.commands(app))
PICTURES = {".jpg", ".png", ".gif", ".svg", ".webp"}


def test_the_page_of_all_commands_says_what_they_say():
    assert tool.PAGE.read_text(encoding="utf-8") == tool.page(), "python tools/write_cli_docs.py"


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_has_an_example_and_a_page(name, command):
    assert f"  imgnn {name} " in command.__doc__
    assert f"imgnn {name}" in (ROOT / "docs" / f"{name.partition(' ')[0]}.md").read_text(encoding="utf-8")


def test_the_commands_of_groups_are_among_them():
    assert {"classify", "evaluate classify"} <= dict(COMMANDS).keys()


@pytest.mark.parametrize("page", [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in (part.partition(")")[0] for part in text.split("](")[1:]):
        if "://" not in target:
            assert (page.parent / target.partition("#")[0]).exists(), target


def test_pictures_of_the_docs_are_small():
    shown = [path for folder in ("docs", "examples") for path in (ROOT / folder).rglob("*") if path.suffix in PICTURES]
    assert shown
    assert {path.name: path.stat().st_size for path in shown if path.stat().st_size > 300_000} == {}
    assert sum(path.stat().st_size for path in shown) <= 6_000_000
