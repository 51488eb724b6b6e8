"""`imgnn evaluate classify`, as it is typed."""

import json

import numpy as np
import pytest
from rich.console import Console

from imgnn.cli import console
from imgnn.cli.evaluate import show_matrix
from imgnn.data.lists import Entry, write_list
from tests.training.made import COLOURS, make_run, paint

RED, GREEN, BLUE = COLOURS.values()
CAPTION = "Confusion: a row for each class, a column for what its pictures were taken for"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """In this folder: run/, and val.txt with a red, a green that is called red, a green and a blue picture."""
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "run")
    for number, colour in enumerate((RED, GREEN, GREEN, BLUE)):
        paint(tmp_path / f"{number}.png", colour)
    write_list(tmp_path / "val.txt", [Entry(f"{n}.png", label) for n, label in enumerate((0, 0, 1, 2))])
    return tmp_path


def test_the_numbers_the_classes_the_matrix_and_the_mistakes_are_shown(cli, folder):
    result = cli("evaluate", "classify", "val.txt", "--run", "run", env={"COLUMNS": "80"})
    assert (result.exit_code, result.stderr) == (0, "")
    assert [line.split() for line in result.stdout.splitlines() if line.strip()] == [
        ["accuracy", "75.0", "%"],
        # -log p of the true class, p = e⁴ / (e⁴ + 2) three times and 1 / (e⁴ + 2) once.
        ["loss", "1.0360"],
        ["pictures", "4"],
        ["Class", "Pictures", "Recall", "Precision"],
        ["─" * 42],
        ["0", "red", "2", "50.0", "%", "100.0", "%"],
        ["1", "green", "1", "100.0", "%", "50.0", "%"],
        ["2", "blue", "1", "100.0", "%", "100.0", "%"],
        CAPTION.split(),
        ["red", "green", "blue"],
        ["─" * 30],
        ["0", "red", "1", "1", "·"],
        ["1", "green", "·", "1", "·"],
        ["2", "blue", "·", "·", "1"],
        ["Most", "confused"],
        ["1", "of", "2", "red", "taken", "for", "green"],
    ]


def test_json_has_every_number(cli, folder):
    found = json.loads(cli("evaluate", "classify", "val.txt", "--run", "run", "--json", "--top", 2).stdout)
    assert found.pop("loss") == pytest.approx(1.03599, abs=1e-4)
    assert found == {
        "network": "run",
        "pictures": 4,
        "accuracy": 0.75,
        "top": 2,
        "top_accuracy": 1.0,
        "classes": [
            {"class_index": 0, "words": "red", "pictures": 2, "recall": 0.5, "precision": 1.0},
            {"class_index": 1, "words": "green", "pictures": 1, "recall": 1.0, "precision": 0.5},
            {"class_index": 2, "words": "blue", "pictures": 1, "recall": 1.0, "precision": 1.0},
        ],
        "confusion": [[1, 1, 0], [0, 1, 0], [0, 0, 1]],
        "most_confused": [{"true": 0, "predicted": 1, "count": 1}],
        "skipped": [],
        "path": None,
    }


def test_a_class_without_pictures_has_no_recall(cli, folder):
    write_list(folder / "val.txt", [Entry("0.png", 0)])
    classes = json.loads(cli("evaluate", "classify", "val.txt", "--run", "run", "--json").stdout)["classes"]
    assert [(each["recall"], each["precision"]) for each in classes] == [(1.0, 1.0), (None, None), (None, None)]
    rows = cli("evaluate", "classify", "val.txt", "--run", "run").stdout.splitlines()
    assert next(row.split() for row in rows if "green" in row) == ["1", "green", "0", "-", "-"]


def test_bad_pictures_are_named_and_the_exit_code_tells(cli, folder):
    (folder / "3.png").unlink()
    result = cli("evaluate", "classify", "val.txt", "--run", "run")
    assert result.exit_code == 1
    assert "3, 1 skipped" in result.stdout
    assert result.stderr == "Skipped: no such file: 3.png\nError: 1 of 4 pictures could not be read\n"
    found = json.loads(cli("evaluate", "classify", "val.txt", "--run", "run", "--json").stdout)
    assert found["skipped"] == [{"file": "3.png", "reason": "no such file: 3.png"}]


def test_of_many_bad_pictures_some_are_named(cli, folder):
    write_list(folder / "val.txt", [Entry("0.png", 0), *(Entry(f"gone{n}.png", 0) for n in range(12))])
    lines = cli("evaluate", "classify", "val.txt", "--run", "run").stderr.splitlines()
    assert len(lines) == 10 + 2
    assert lines[-2:] == ["and 2 more; --json names them all", "Error: 12 of 13 pictures could not be read"]


def test_the_table_is_named_last(cli, folder):
    result = cli("evaluate", "classify", "val.txt", "--run", "run", "-o", "predictions.csv")
    assert result.stdout.splitlines()[-1] == "predictions.csv"
    head, first = (folder / "predictions.csv").read_text().splitlines()[:2]
    assert head == "path,label,predicted,prob,loss"
    assert first.startswith("0.png,red,red,0.964663,0.03597")


def test_of_many_classes_the_worst_are_shown_and_no_matrix(cli, folder):
    make_run(folder / "wide", [*COLOURS, *(f"class {n}" for n in range(3, 40))])
    write_list(folder / "wide.txt", [Entry(f"{n % 4}.png", n) for n in range(40)])
    shown = cli("evaluate", "classify", "wide.txt", "--run", "wide").stdout
    assert "The 15 of 40 classes that are found least often; --json has all" in shown
    assert "Confusion" not in shown and "top-5" in shown
    rows = [line.split() for line in shown.partition("─ ")[2].partition("The 15")[0].splitlines()]
    # The red picture of class 0 and the green one of class 1 are found, none of the others.
    assert [row[0] for row in rows if row] == [str(n) for n in range(2, 17)]


def test_classes_of_which_there_are_no_pictures_are_counted(cli, folder):
    make_run(folder / "wide", [*COLOURS, *(f"class {n}" for n in range(3, 40))])
    shown = cli("evaluate", "classify", "val.txt", "--run", "wide").stdout
    assert "37 more classes have no picture here" in shown
    assert "class 3" not in shown


def test_ten_classes_fit_on_80_columns(cli, folder):
    make_run(folder / "ten", [*COLOURS, *(f"a class with a long name {n}" for n in range(3, 10))])
    shown = cli("evaluate", "classify", "val.txt", "--run", "ten", env={"COLUMNS": "80"}).stdout
    heading = shown.partition("taken for\n")[2].splitlines()[1]
    assert heading.split() == [str(n) for n in range(10)]
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(("count", "fits"), [(999, True), (99_999, False)])
def test_a_matrix_that_is_too_wide_is_left_out_and_not_cut(monkeypatch, capsys, count, fits):
    monkeypatch.setattr(console, "out", Console(width=80, force_terminal=True, color_system=None))
    show_matrix(np.full((10, 10), count), [f"a class with a long name {n}" for n in range(10)])
    shown = capsys.readouterr().out
    assert shown.count(f"{count:,}") == (100 if fits else 0)
    assert ("does not fit on this screen; --json has it" in shown) is not fits
    assert max(map(len, shown.splitlines())) <= 80


def test_one_network_is_to_be_named(cli, folder):
    for words in ((), ("--run", "run", "--network", "googlenet")):
        result = cli("evaluate", "classify", "val.txt", *words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "--run" in result.stderr and "--network" in result.stderr


def test_network_takes_a_run_too(cli, folder):
    names = ("--run", "--network")
    by_run, by_network = (cli("evaluate", "classify", "val.txt", name, "run").stdout for name in names)
    assert by_run == by_network


def test_what_is_no_run_is_one_line(cli, folder):
    (folder / "other").mkdir()
    result = cli("evaluate", "classify", "val.txt", "--run", "other")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: other is no run of imgnn: there is no config.json in it\n")


def test_the_group_has_help_and_no_other_command(cli):
    shown = cli("evaluate", "--help").stdout
    assert "classify" in shown.partition("Commands")[2]
    result = cli("evaluate", "clasify")
    assert result.exit_code == 2 and "Did you mean 'classify'" in result.stderr
