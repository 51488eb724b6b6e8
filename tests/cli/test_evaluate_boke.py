"""`imgnn evaluate boke`, as it is typed."""

import json
import math
import subprocess
import sys

import pytest

from tests.jobs.made_boke import make_boke_model
from tests.jobs.made_captions import paint_halves


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """In this folder: run/, and boke.jsonl with three pictures to be judged by, of which the last has two boke."""
    monkeypatch.chdir(tmp_path)
    make_boke_model(tmp_path / "run")
    lines = []
    for name, halves, text, star in (
        ("l", (255, 0), "left", 3),
        ("r", (0, 255), "right dark", 1),
        ("m", (255, 0), "left dark", 4),
        ("m", (255, 0), "right", 2),
    ):
        paint_halves(tmp_path / f"{name}.png", *halves)
        lines.append(json.dumps({"image": f"{name}.png", "split": "test", "text": text, "star": star}))
    (tmp_path / "boke.jsonl").write_text("\n".join(lines))
    return tmp_path


@pytest.fixture
def evaluate(cli, folder):
    def run(*words, **options):
        return cli("evaluate", "boke", "boke.jsonl", "--model", "run", "--precision", "float32", *words, **options)

    return run


def lines_of(shown):
    return [" ".join(line.split()) for line in shown.splitlines() if line.strip()]


def test_what_boke_cost_stands_beside_that_of_other_pictures_and_of_a_unigram(evaluate, folder):
    (folder / "ng.txt").write_text("right\n")
    result = evaluate("--ng", "ng.txt", env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80
    lines = lines_of(result.stdout)
    assert lines[0] == "nats/token perplexity"
    assert [line.split()[0] for line in lines[2:5]] == ["model", "shuffled", "unigram"]
    costs = [float(line.split()[1]) for line in lines[2:5]]
    assert costs[0] < costs[1]
    gain = float(lines[5].removeprefix("image gain ").split()[0])
    assert gain == pytest.approx(costs[1] - costs[0], abs=2e-3)
    assert lines[6].startswith("own picture ") and lines[6].endswith(
        "suit their boke better than another (chance 50 ± 50 %)"
    )
    assert lines[7] == "more stars 100.0 % the better of two is more probable (chance 50 ± 50 %)"
    assert lines[8].endswith("of 3 boke that it wrote, one a picture")
    assert lines[9] == "copied 0 of them it knows from its training"
    assert lines[10] == "banned 1 of them have a word of ng.txt"
    assert lines[-2:] == ["3 pictures (test), 4 boke, 10 tokens", "Tokens: words"]


def test_json_has_every_number(evaluate):
    found = json.loads(evaluate("--json").stdout)
    baselines, written, nats = found.pop("baselines"), found.pop("written"), found.pop("nats_per_token")
    assert list(baselines) == ["shuffled", "unigram"]
    assert all(list(each) == ["nats_per_token", "perplexity"] for each in baselines.values())
    assert found.pop("perplexity") == math.exp(nats)
    assert found.pop("image_gain") == baselines["shuffled"]["nats_per_token"] - nats
    own = found.pop("own_picture")
    assert (0 <= own["share"] <= 1, own["pictures"]) == (True, 3)
    assert [each["file"] for each in written] == ["l.png", "r.png", "m.png"]
    assert found.pop("distinct") == len({each["boke"] for each in written})
    assert found == {
        "data": ["boke.jsonl"],
        "models": ["run"],
        "split": "test",
        "pictures": 3,
        "boke": 4,
        "tokens": 10,
        "tokenizer": "words",
        "more_stars": {"share": 1.0, "pictures": 1},
        "copied": 0,
        "banned": None,
        "skipped": [],
    }


def test_nothing_need_be_written(evaluate, folder):
    result = evaluate("--sentences", 0)
    assert "more stars" in result.stdout and "different" not in result.stdout
    assert "Writing" not in result.stderr
    (folder / "ng.txt").write_text("right\n")
    found = json.loads(evaluate("--sentences", 0, "--ng", "ng.txt", "--json").stdout)
    assert [found[name] for name in ("written", "distinct", "copied", "banned")] == [[], None, None, None]


def test_pictures_that_cannot_be_read_are_named_and_the_exit_code_tells(evaluate, folder):
    (folder / "m.png").write_bytes(b"no picture")
    result = evaluate("--json")
    assert result.exit_code == 1
    assert result.stderr.count("Skipped: m.png") == 1
    assert result.stderr.endswith("Error: 1 of 3 pictures could not be read\n")
    found = json.loads(result.stdout)
    assert ([each["file"] for each in found["skipped"]], found["pictures"]) == (["m.png"], 2)


def test_a_model_has_to_be_named(cli, folder):
    result = cli("evaluate", "boke", "boke.jsonl")
    assert result.exit_code == 2
    assert "--model" in result.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--split", "val"), "Error: boke.jsonl has no boke of the split val\nTry: --split all judges every one\n"),
        (("--ng", "ng.txt"), "Error: no such file: ng.txt\n"),
    ],
)
def test_what_is_wrong_with_the_data_is_told_before_keras_starts(folder, words, told):
    code = (
        "import sys; from imgnn.cli.app import app\n"
        "try:\n    app()\n"
        "except SystemExit as left:\n    print(left.code, 'keras' in sys.modules)"
    )
    command = [sys.executable, "-c", code, "evaluate", "boke", "boke.jsonl", "--model", "run", *words]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.stdout == "1 False\n"
    assert result.stderr.endswith(told)


def test_help_wakes_nothing_heavy():
    code = "import sys; from imgnn.cli.app import app; app(standalone_mode=False); print([*sys.modules])"
    words = ("evaluate", "boke", "--help")
    result = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert "'keras'" not in result.stdout and "'numpy'" not in result.stdout
