import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def pets(tmp_path, monkeypatch):
    """Four cats and four dogs; one cat is a copy of another. The folder above is the current one."""
    monkeypatch.chdir(tmp_path)
    for label, name in enumerate(("cats", "dogs")):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(4):
            pixels = np.random.default_rng(10 * label + number).integers(0, 256, (6, 6, 3), dtype="uint8")
            Image.fromarray(pixels).resize((48, 48)).save(tmp_path / "pets" / name / f"{number}.png")
    (tmp_path / "pets/cats/3.png").write_bytes((tmp_path / "pets/cats/1.png").read_bytes())
    return tmp_path / "pets"


def words(text):
    """The lines of a table as lists of words."""
    return [line.split() for line in text.splitlines() if line.strip()]


def test_what_was_found_and_written_is_told(cli, pets):
    result = cli("label", "pets")
    assert result.exit_code == 0
    rows = words(result.stdout)
    assert rows[0] == ["Finding", "Count", "The", "first"]
    assert rows[2] == ["duplicate", "1", "left", "out", "cats/3.png"]
    assert ["0", "cats", "3"] in rows
    assert ["all", "7"] in rows
    assert result.stdout.splitlines()[-6:] == [
        "8 pictures, 2 classes, 1 left out",
        "pets.txt",
        "pets_class_def.txt",
        "pets_quarantine.txt",
        "pets_notes.txt",
        "pets.json",
    ]
    assert result.stderr.startswith("Inspecting:  8 of 8 pictures")


def test_the_table_has_a_column_for_each_list(cli, pets):
    rows = words(cli("label", "pets", "--split", "0.5/0.25/0.25").stdout)
    assert ["Class", "train", "val", "test"] in rows
    assert ["1", "dogs", "2", "1", "1"] in rows


def test_of_many_classes_the_largest_and_the_smallest_are_shown(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for label in range(30):
        (tmp_path / f"{label:02}").mkdir()
        for number in range(label + 1):
            (tmp_path / f"{label:02}" / f"{number}.png").touch()
    cli("label", ".", "-o", "many.txt", "--no-check")
    shown = words(cli("label", "many.txt", "--no-check").stdout)
    assert [row[0] for row in shown if row[0].isdecimal() and len(row) == 3] == [
        *map(str, range(29, 19, -1)),
        *map(str, range(9, -1, -1)),
    ]
    assert ["and", "10", "between", "…"] in shown


def test_json_has_every_finding(cli, pets):
    result = json.loads(cli("label", "pets", "--json").stdout)
    assert result["lists"] == {"pets.txt": 7}
    assert result["classes"] == [
        {"class_index": 0, "words": "cats", "counts": [3]},
        {"class_index": 1, "words": "dogs", "counts": [4]},
    ]
    assert result["findings"] == [
        {"kind": "duplicate", "path": "cats/3.png", "left_out": True, "other": "cats/1.png", "detail": ""}
    ]
    assert (result["pictures"], result["left_out"]) == (8, 1)


def test_lists_are_looked_through_and_nothing_is_written(cli, pets, tmp_path):
    cli("label", "pets", "--keep", "duplicate", "--split", "0.5/0.5")
    before = sorted(tmp_path.iterdir())
    result = cli("label", "pets_train.txt", "pets_val.txt")
    assert result.exit_code == 0
    assert result.stderr.endswith("Nothing was written; -o NAME.txt writes what is left.\n")
    assert sorted(tmp_path.iterdir()) == before


def test_sheets_are_named(cli, pets):
    cli("label", "pets")
    assert cli("label", "--show", "pets.txt").stdout == "pets_sheets/0_cats.png\npets_sheets/1_dogs.png\n"
    result = cli("label", "--show", "pets_quarantine.txt", "--json", "-o", "out")
    assert json.loads(result.stdout) == {"files": ["out/duplicate.png"], "pictures": 1, "skipped": []}


def test_without_checks_it_is_said(cli, pets):
    shown = cli("label", "pets", "--no-check").stdout
    assert "8 pictures, 2 classes; not decoded: copies and damage were not looked for\n" in shown


@pytest.mark.parametrize(
    "options",
    [
        ("--split", "0.8"),
        ("--split", "0.8/0.3"),
        ("--split", "1/0"),
        ("--split", "a/b"),
        ("--split", "nan/1"),
        ("--label", "-1"),
        ("--seed", "-1"),
        ("--min-side", "0"),
        ("--near", "13"),
        ("--show", "other.txt"),
    ],
)
def test_a_usage_error(cli, pets, options):
    assert cli("label", "pets", *options).exit_code == 2


@pytest.mark.parametrize("shares", ["0.8/0.1/0.1", "80/10/10"])
def test_shares_may_be_hundredths(shares):
    from imgnn.cli.label import parse_shares

    assert parse_shares(shares) == pytest.approx((0.8, 0.1, 0.1))


def test_a_failure_is_one_line(cli, pets):
    result = cli("label", "missing")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: no such file or folder: missing\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("pets", "--dask", "tcp://127.0.0.1:1", "--keep", "duplicat"), "did you mean 'duplicate'?"),
        (("--show", "pets.txt", "--label", 3), "--show does not go with --label"),
        (("--show", "pets.txt", "--split", "0.5/0.5"), "--show does not go with --split"),
    ],
)
def test_what_is_wrong_in_the_command_line_alone_is_a_usage_error(cli, pets, words, told):
    result = cli("label", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in " ".join(result.stderr.replace("│", " ").split())


def test_no_network_is_woken(pets):
    code = "import sys; from imgnn.cli.app import app; app(['label', 'pets'], standalone_mode=False)\n"
    code += "print([name for name in ('tensorflow', 'keras', 'h5py') if name in sys.modules], file=sys.stderr)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr.splitlines()[-1] == "[]"
