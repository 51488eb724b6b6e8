"""`imgnn train boke`, as it is typed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgnn.cli.train_boke import FORMS
from imgnn.data import boke
from imgnn.networks.files import save_network
from imgnn.training.run_folder import read_config
from tests.training.made import COLOURS, make_network

QUICK = (
    "--layers", "conv1", "--minimum", 1, "--hidden", 8, "--embedding", 8, "--epochs", 2, "--batch", 8,
    "--learning-rate", 0.02, "--precision", "float32",
)  # fmt: skip
LINES = {"red": ("赤いやつ", "怒ったか"), "green": ("緑の狸だ", "芝生です"), "blue": ("海が近い", "寒いねえ")}


def write_data(folder):
    """boke.jsonl with 12 pictures to train on and 6 to judge by, two boke each, of four characters."""
    random, records = np.random.default_rng(3), []
    for split, count in (("train", 4), ("val", 2)):
        for colour, values in COLOURS.items():
            for number in range(count):
                name = f"{split}_{colour}_{number}.png"
                noisy = np.array(values) * 0.6 + 50 + random.normal(0, 30, (24, 24, 3))
                Image.fromarray(np.clip(noisy, 0, 255).astype("uint8")).save(folder / name)
                for star, line in enumerate(LINES[colour]):
                    records.append({"boke": line, "star": 90 * star, "images": [{"path": name}], "split": split})
    path = folder / "boke.jsonl"
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The file of a small network."""
    path = tmp_path_factory.mktemp("network") / "colours.keras"
    save_network(make_network(), path)
    return str(path)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """In this folder: boke.jsonl and its pictures."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return write_data(tmp_path)


@pytest.fixture
def look(cli, data):
    """`imgnn train boke` on it."""

    def run(*words, **options):
        return cli("train", "boke", "boke.jsonl", *words, **options)

    return run


def test_a_run_is_named_after_its_data_and_summed_up(look, small, cli):
    result = look("--network", small, *QUICK)
    assert result.exit_code == 0, result.stderr
    for words in ("nats per token; at least", "boke_run/average_loss.log"):
        assert words in result.stdout
    assert result.stdout.endswith("\nboke_run\n")
    assert "Next: imgnn boke photo.jpg --model boke_run\n" in result.stderr
    assert f"Next: imgnn evaluate boke {Path('boke.jsonl').resolve()} --model boke_run\n" in result.stderr
    assert max(len(line) for line in result.stdout.splitlines()) <= 80
    assert read_config("boke_run", "boke")["data"]["train"] == {"pictures": 12, "boke": 24}
    again = cli("train", "boke", "--resume", "boke_run", "--json")
    told = json.loads(again.stdout)
    assert (told["path"], told["epochs"], told["skipped"]) == ("boke_run", 2, [])
    assert told["floor"] == pytest.approx(np.log(2) / 5)


def test_check_tells_what_is_there_and_trains_nothing(look, tmp_path):
    result = look("--check")
    assert result.exit_code == 0
    for words in ("boke.jsonl  (butsugiri)", "chars", "Pictures", "stars", "0: 18   1-9: 0   10-99: 18"):
        assert words in result.stdout
    assert json.loads(look("--check", "--json").stdout)["statistics"]["splits"]["train"]["boke"] == 24
    assert not (tmp_path / "boke_run").exists()


def test_check_ends_with_an_error_where_nothing_can_be_trained_on(look, data):
    for picture in data.parent.glob("*.png"):
        picture.write_bytes(b"no picture")
    result = look("--check")
    assert result.exit_code == 1
    assert "cannot be trained on as it is" in result.stderr


def test_the_experiment_is_a_table_and_a_figure(look, small):
    result = look("--network", small, *QUICK, "--experiment", "-o", "experiment")
    assert result.exit_code == 0, result.stderr
    for words in ("many", "one", "few", "experiment/experiment.png"):
        assert words in result.stdout
    assert max(len(line) for line in result.stdout.splitlines()) <= 80
    Image.open("experiment/experiment.png").verify()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--resume", "run"), "--resume does not go with DATA"),
        (("--experiment", "--pairing", "one"), "--experiment does not go with --pairing"),
        (("--shortest", 9, "--longest", 3), "--shortest 9 and --longest 3 leave no boke"),
        (("--check", "--epochs", 3), "does not go with --epochs"),
        (("--pairing", "two"), "'two' is not one of"),
        (("--form", "xml"), "'xml' is not one of"),
        (("--layers", "a,,b"), "names with commas between them"),
    ],
)
def test_options_that_do_not_go_together_are_a_usage_error(look, words, told):
    result = look(*words)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--ng", "none.txt"), "none.txt"),
        (("--epochs", 1, "-o", "no/folder/run"), "there is no folder no/folder"),
    ],
)
def test_a_failure_is_one_line_and_leaves_nothing(look, small, tmp_path, words, told):
    before = set(tmp_path.iterdir())
    result = look("--network", small, *words)
    assert result.exit_code == 1
    assert told in result.stderr
    assert "Traceback" not in result.stderr
    assert set(tmp_path.iterdir()) == before


def test_data_that_are_not_there_are_told_before_keras_wakes(cli):
    result = cli("train", "boke", "nowhere.jsonl")
    assert (result.exit_code, result.stderr.splitlines()[0]) == (1, "Error: no such file or folder: nowhere.jsonl")


def test_every_form_can_be_asked_for():
    assert FORMS.__args__ == boke.FORMS


def test_check_and_help_wake_nothing_heavy(data):
    for words in ("['train', 'boke', '--help']", "['train', 'boke', 'boke.jsonl', '--check']"):
        code = f"import sys; from imgnn.cli.app import app; app({words}, standalone_mode=False)"
        found = subprocess.run(
            [sys.executable, "-c", code + "; print([m for m in ('keras', 'tensorflow') if m in sys.modules])"],
            capture_output=True,
            text=True,
            cwd=data.parent,
        )
        assert found.stdout.splitlines()[-1] == "[]", found.stderr
