import importlib.util
import re
import shutil
from pathlib import Path

import pytest

from imgnn.cli.app import app
from tests.command_lines import failures, offline, run
from tests.docs_commands import GENERATED, PAGES, REASONS, Line, blocks, commands, mentions, mistakes, programs

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


every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


@every_page
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in (part.partition(")")[0] for part in text.split("](")[1:]):
        if "://" not in target:
            name, _, anchor = target.partition("#")
            assert (page.parent / name).exists(), target
            assert not anchor or anchor in anchors(page.parent / name if name else page), target


def anchors(page):
    """The names by which GitHub knows the headings of a page."""
    heads = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_the_table_of_contents_names_every_page_once():
    contents = ROOT / "docs" / "README.md"
    named = re.findall(r"\]\(([\w-]+\.md)\)", contents.read_text(encoding="utf-8"))
    assert sorted(named) == sorted(page.name for page in contents.parent.glob("*.md") if page != contents)


def test_a_page_of_a_command_tells_what_can_go_wrong():
    names = {name.partition(" ")[0] for name, _ in COMMANDS}
    silent = {name for name in names if "What can go wrong" not in (ROOT / "docs" / f"{name}.md").read_text("utf-8")}
    assert silent == set()


@every_page
def test_every_command_of_a_page_is_one_that_imgnn_takes(page):
    wrong = {}
    for line in [*commands(page), *mentions(page)]:
        if said := list(mistakes(line)):
            wrong[f"{page.name}:{line.number}: {line.text}"] = said
    assert wrong == {}


@pytest.mark.parametrize(
    ("text", "mention"),
    [
        ("imgnn paint photo.jpg", False),
        ("imgnn style photo.jpg painting.jpg --sise 3", False),
        ("imgnn style photo.jpg painting.jpg --size large", False),
        ("imgnn evaluate caption", False),
        ("cat list.txt | imgnn classify - --tops 3", False),
        ("imgnn dream IMAGE --octave 3", True),
        ("imgnn networks vgg19 vgg16", True),
    ],
)
def test_a_command_that_imgnn_does_not_take_is_seen(text, mention):
    assert list(mistakes(Line(1, text, mention=mention)))


@every_page
def test_commands_stand_in_blocks_of_sh(page):
    outside = [
        f"{page.name}:{number}: {line}"
        for language, first, inside in blocks(page)
        for number, line in enumerate(inside, first)
        if language != "sh" and page != GENERATED and re.match(r"(imgnn|pip|python3?) ", line)
    ]
    assert outside == []


@every_page
def test_what_is_not_run_says_why(page):
    """Of a block's lines below a comment; the rule is in docs_commands.py."""
    reasons = {line.lacks for line in commands(page) if line.lacks}
    assert {reason for reason in reasons if not any(word in reason for word in REASONS)} == set()


@every_page
def test_scripts_of_this_folder_that_a_page_runs_are_there_with_their_options(page):
    lines = re.findall(r"^ *python3? ((?:tools|benchmarks|examples)/.*)", page.read_text("utf-8"), re.MULTILINE)
    for line in lines:
        script, *words = line.split("#")[0].split()
        text = (ROOT / script).read_text(encoding="utf-8")
        assert [word for word in words if word.startswith("--") and f'"{word}"' not in text] == [], line


def test_pictures_of_the_docs_are_small():
    shown = [path for folder in ("docs", "examples") for path in (ROOT / folder).rglob("*") if path.suffix in PICTURES]
    assert shown
    assert {path.name: path.stat().st_size for path in shown if path.stat().st_size > 300_000} == {}
    assert sum(path.stat().st_size for path in shown) <= 6_000_000


# What pages go on from that is made elsewhere; the others make all that they take.
BEFORE = {
    "boke.md": ("boke_run",),
    "caption.md": ("captions_run",),
    "classify.md": ("photos_run",),
    "evaluate.md": ("boke_run", "captions_run"),
    "serve.md": ("boke_run", "captions_run"),
}
MADE_BY = {
    "photos_run": "imgnn finetune photos --size 160 -o photos_run",
    "captions_run": "imgnn train caption captions.jsonl --learning-rate 0.004 --epochs 4 -o captions_run",
    "boke_run": "imgnn train boke boke.jsonl --epochs 20 -o boke_run",
}
# The whole demo is run by test_demo.py; its files are there.
DEMO = ("imgnn demo", "imgnn demo try/ --open", "cd demo_run")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A function that gives the folder of a run, which it makes when it is asked for it first."""
    folder = tmp_path_factory.mktemp("made") / "files"
    environment = offline(folder.parent)
    assert run(f"imgnn demo {folder} --only-files", folder.parent, environment)[0] == 0

    def make(name):
        if not (folder / name).exists():
            code, said = run(MADE_BY[name], folder, environment)
            assert code == 0, said
        return folder / name

    return make


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(not line.lacks for line in commands(page) if line.text not in DEMO)],
    ids=lambda page: page.name,
)
def test_commands_of_a_page_run_offline_as_they_are_written(page, made, tmp_path):
    folder, environment = tmp_path / "demo_run", offline(tmp_path)
    assert run("imgnn demo demo_run --only-files", tmp_path, environment)[0] == 0
    for name in BEFORE.get(page.name, ()):
        shutil.copytree(made(name), folder / name)
    lines = [line.text for line in commands(page) if not line.lacks and line.text not in DEMO]
    lines += [f"python - <<'END'\n{program}\nEND" for program in programs(page)]
    assert (failed := failures(lines, folder, environment)) == [], "\n\n".join(failed)
    assert not (tmp_path / "home" / "networks").exists(), "a network was converted"
