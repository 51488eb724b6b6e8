"""The arrows of docs/architecture.md are those of the imports."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "imgnn"
FOUNDATION = {"errors", "runs", "options", "home", "start", "__version__"}


def levels():
    """The folders of the drawing, from left to right; those of one level stand beside each other."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    drawing = next(line for line in page.splitlines() if line.startswith("    cli -> "))
    return [set(level.split(" | ")) for level in drawing.strip().removesuffix(" -> Keras").split(" -> ")]


def parts_imported(file):
    """Part -> line: the folders and modules of imgnn that a file imports, also inside its functions."""
    found = {}
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module == "imgnn":
            names = [f"imgnn.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if match := re.match(r"imgnn\.(\w+)", name or ""):
                found.setdefault(match[1], node.lineno)
    return found


def backward(part, file, order):
    """The imports of a file of `part` that do not go to the right."""
    right = set().union(*order[next(n for n, level in enumerate(order) if part in level) + 1 :])
    return [
        f"{file.relative_to(ROOT)}:{line} imports {other}"
        for other, line in parts_imported(file).items()
        if other not in right | FOUNDATION | {part}
    ]


PARTS = sorted(set().union(*levels()))


@pytest.mark.parametrize("part", PARTS)
def test_a_folder_imports_from_those_to_its_right_alone(part):
    files = sorted((PACKAGE / part).rglob("*.py")) or [PACKAGE / f"{part}.py"]
    assert [told for file in files for told in backward(part, file, levels())] == []


def test_every_folder_is_in_the_drawing():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders <= set(PARTS)


# A command's file is called as the command is: cli/ tells of the others alone.
@pytest.mark.parametrize("part", sorted({path.parent.name for path in PACKAGE.glob("*/__init__.py")} - {"cli"}))
def test_a_folder_tells_of_each_of_its_modules(part):
    told = ast.get_docstring(ast.parse((PACKAGE / part / "__init__.py").read_text("utf-8"))) or ""
    files = {path.name for path in (PACKAGE / part).glob("*.py")} - {"__init__.py"}
    assert [name for name in sorted(files) if name not in told] == []


def test_the_foundation_imports_nothing_but_itself():
    for name in FOUNDATION - {"__version__"}:
        assert set(parts_imported(PACKAGE / f"{name}.py")) <= FOUNDATION


def test_an_import_against_the_arrows_is_seen(tmp_path, monkeypatch):
    file = tmp_path / "thief.py"
    file.write_text(
        "def steal():\n    from imgnn.jobs import style\n    from imgnn import cli\n    import imgnn.images\n"
    )
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    assert backward("networks", file, [{"cli"}, {"jobs"}, {"networks"}, {"images"}]) == [
        "thief.py:2 imports jobs",
        "thief.py:3 imports cli",
    ]
