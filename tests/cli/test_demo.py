"""`imgnn demo`: the commands, on files of its own, and a page."""

import html
import json
import re
from html.parser import HTMLParser

import pytest
from rich.console import Console

from imgnn.cli import console, demo
from imgnn.cli.demo import ACTS, Act
from imgnn.jobs.demo import CONTENTS

QUICK = (
    Act("Class folders to lists", "imgnn label photos --split 0.8/0.2"),
    Act("Their mean", "imgnn mean photos_train.txt --size 32", ("boat.jpg", "photos_train_mean.png")),
)


class Sources(HTMLParser):
    """The files that a page shows."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found += [value for name, value in attributes if name == "src"]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(demo, "ACTS", QUICK)


def test_commands_are_run_and_stand_on_the_page_with_their_pictures(cli, quick, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = cli("demo", "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert [each["command"] for each in told["commands"]] == [act.line for act in QUICK]
    assert (told["path"], told["planned"], told["exit_code"]) == ("demo_run/index.html", 2, 0)
    text = (tmp_path / told["path"]).read_text("utf-8")
    assert Sources(text).found == ["boat.jpg", "photos_train_mean.png"]
    assert all((tmp_path / "demo_run" / name).is_file() for name in Sources(text).found)
    assert [html.unescape(line) for line in re.findall(r'<pre class="line">(.*?)</pre>', text)] == [
        act.line for act in QUICK
    ]
    assert "http" not in text  # nothing is fetched
    assert "2 commands in" in text and "photos_class_def.txt" in text


def test_what_a_command_says_on_a_screen_is_text_on_the_page(cli, quick, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console, "out", Console(force_terminal=True, color_system="standard"))
    cli("demo")
    page = (tmp_path / "demo_run" / "index.html").read_text("utf-8")
    assert "photos_train.txt" in page and "\x1b" not in page


def test_only_files_writes_what_the_examples_are_run_on(cli, tmp_path):
    result = cli("demo", tmp_path / "try", "--only-files")
    assert (result.exit_code, result.stdout.strip()) == (0, str(tmp_path / "try"))
    there = {path.name for path in (tmp_path / "try").iterdir()}
    assert {*CONTENTS, "painting.jpg", "boat.jpg", "photos", "holiday", "captions.jsonl", "boke_can"} <= there
    assert {"edges.caffemodel", "edges.prototxt"} <= there
    assert len(list((tmp_path / "try" / "photos").rglob("*.jpg"))) == 96
    assert {path.name for path in (tmp_path / "try" / "holiday").iterdir()} == set(CONTENTS)


def test_a_folder_with_something_in_it_is_left_alone(cli, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    result = cli("demo", tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "not empty" in result.stderr and len(result.stderr.strip().splitlines()) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_second_demo_gets_a_folder_of_its_own(cli, quick, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pages = [cli("demo").stdout.strip() for _ in range(2)]
    assert pages == ["demo_run/index.html", "demo_run_2/index.html"]


def test_the_demo_ends_at_a_command_that_fails_and_shows_the_others(cli, tmp_path, monkeypatch):
    acts = (QUICK[0], Act("", "imgnn mean nothing.txt"), Act("", "imgnn networks"))
    monkeypatch.setattr(demo, "ACTS", acts)
    result = cli("demo", tmp_path / "try")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nothing.txt" in result.stderr
    assert result.stderr.endswith(f"Error: 1 of 3 commands were done; they are on {tmp_path / 'try' / 'index.html'}\n")
    text = (tmp_path / "try" / "index.html").read_text("utf-8")
    assert "imgnn label photos" in text and "imgnn networks" not in text
    assert "2 of 3 commands in" in text


def test_ctrl_c_ends_the_demo_and_shows_what_was_done(cli, quick, tmp_path, monkeypatch):
    from imgnn.jobs import mean

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(mean, "compute_mean", interrupt)
    result = cli("demo", tmp_path / "try")
    assert (result.exit_code, result.stdout) == (130, "")
    page = tmp_path / "try" / "index.html"
    assert result.stderr.endswith(f"Interrupted: 1 of 2 commands were done; they are on {page}\n")
    text = (tmp_path / "try" / "index.html").read_text("utf-8")
    assert all(act.line in text for act in QUICK)
    assert (tmp_path / "try" / "photos_train.txt").is_file()


def test_the_whole_demo_makes_every_picture_that_it_promises(cli, tmp_path):
    result = cli("demo", tmp_path / "try", "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert len(told["commands"]) == len(ACTS)
    assert "in common" not in result.stderr  # the drawn pictures have no frame, and no horizon, at the same place
    text = (tmp_path / "try" / "index.html").read_text("utf-8")
    assert Sources(text).found == [name for act in ACTS for name in act.pictures]
    assert all((tmp_path / "try" / name).stat().st_size > 1000 for name in Sources(text).found)
