"""What `pip install` brings."""

import glob
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_file_of_the_package_that_is_no_code_is_installed_with_it():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    package, patterns = ROOT / "imgnn", settings["package-data"]["imgnn"]
    # As setuptools looks for them; of Path.glob, ** is folders alone before Python 3.13.
    brought = {name for each in patterns for name in glob.glob(each, root_dir=package, recursive=True)}  # noqa: PTH207
    there = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    assert {name for name in there if not name.endswith((".py", ".pyc"))} <= brought
    assert {"assets/mini.npz", "assets/captions-mini/best.npz"} <= brought


def test_the_sdist_has_every_folder_that_the_tests_need():
    grafted = re.findall(r"^graft (\w+)", (ROOT / "MANIFEST.in").read_text("utf-8"), flags=re.MULTILINE)
    passing = (".", "imgnn", "build", "dist")  # the package, and what pip leaves
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(passing)}
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py"))
    named = {name for name in folders if re.search(rf"(from|import) {name}\b|\"{name}\"|{name}/", tests)}
    assert {"tests", "fuzz", "benchmarks", "tools", "examples", "docs"} <= named
    assert named <= set(grafted)
