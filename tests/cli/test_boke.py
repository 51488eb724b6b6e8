"""`imgnn boke` with the model of tests/jobs/made_boke.py."""

import csv
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from imgnn.cli import console
from imgnn.cli.boke import show
from imgnn.jobs import boke as job
from imgnn.jobs.boke import BokeImage, Joke, Nearest
from imgnn.jobs.boke_donors import Donor
from tests.jobs.made_boke import make_boke_model
from tests.jobs.made_captions import make_model, paint_halves

PHOTO = "photos/[bold]x[1].png"


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A folder to work in, with a run and two pictures, one of whose names asks for trouble."""
    monkeypatch.chdir(tmp_path)
    make_boke_model(tmp_path / "run")
    paint_halves(Path(PHOTO), 255, 51)
    paint_halves(Path("photos/grüße.png"), 51, 255)
    return tmp_path


@pytest.fixture
def boke(cli, there):
    """`imgnn boke ... --model run`, in float32."""

    def run(*words, **options):
        quick = ("--precision", "float32", "--no-repeat-ngram", 1, "--min-length", 1)
        return cli("boke", *words, "--model", "run", *quick, **options)

    return run


def test_in_a_pipe_each_boke_is_a_line(boke):
    result = boke("photos", "-n", 1, "--mode", "mismatch")
    assert (result.exit_code, result.stdout) == (0, f"{PHOTO}\tright\nphotos/grüße.png\tleft\n")
    assert boke(PHOTO, "-n", 2).stdout == f"{PHOTO}\tleft right\n{PHOTO}\tleft right dark\n"
    assert boke("-", "-n", 1, "--mode", "mismatch", input=PHOTO).stdout == f"{PHOTO}\tright\n"


def test_on_a_screen_each_boke_has_its_origin_below(monkeypatch, capsys):
    monkeypatch.setattr(console, "out", Console(width=60, force_terminal=True, color_system=None))
    nearest = Nearest("a cat", 0.75, "cat.jpg", 12)
    show(
        BokeImage(
            Path("[b].jpg"),
            (
                Joke("吾輩は猫である", ("吾輩",), "model", -1.0, True, nearest._replace(similarity=0.2)),
                Joke("a cat!", ("a",), "model", -1.0, True, nearest),
                Joke("a cat", ("a",), "mismatch", -1.0, False, nearest, Donor("dog.jpg", None, 1.25)),
                Joke("a cat", ("a",), "retrieve", None, False, nearest, Donor("cat.jpg", None, 0.5)),
            ),
        )
    )
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "[b].jpg",
        "   1  吾輩は猫である",
        "   2  a cat!",
        "      75 % “a cat” of cat.jpg ★12",
        "   3  a cat",
        "      meant for dog.jpg, distance 1.25; known from cat.jpg",
        "      ★12",
        "   4  a cat",
        "      said of cat.jpg, distance 0.50 ★12",
    ]


def test_json_is_an_object_a_line_with_donor_and_nearest(boke):
    result = boke("photos", "-n", 1, "--mode", "mismatch", "--json")
    assert result.stdout == boke("photos", "-n", 1, "--mode", "mismatch", "--format", "jsonl").stdout
    first = json.loads(result.stdout.splitlines()[0])
    [found] = first.pop("boke")
    assert first == {"file": PHOTO, "models": ["run"]}
    assert found.pop("log_prob") == pytest.approx(2 * found.pop("log_prob_per_token"), abs=1e-3)
    assert found.pop("donor").keys() == {"name", "file", "distance"}
    assert found == {
        "boke": "right",
        "mode": "mismatch",
        "novel": False,
        "tokens": ["right"],
        "nearest": {"text": "right", "similarity": 1.0, "picture": "right.jpg", "stars": 5},
    }


def test_a_table_has_a_row_for_each_boke(boke, there):
    result = boke(PHOTO, "-n", 2, "--mode", "retrieve", "-o", "boke.csv")
    assert result.stdout == "boke.csv\n"
    rows = list(csv.DictReader(io.StringIO((there / "boke.csv").read_text(encoding="utf-8"))))
    assert [(row["file"], row["rank"], row["boke"], row["novel"], row["log_prob"]) for row in rows] == [
        (PHOTO, "1", "left", "0", ""),
        (PHOTO, "2", "it is left", "0", ""),
    ]
    assert [(row["donor_name"], row["nearest_stars"], row["nearest_similarity"]) for row in rows] == [
        ("left.jpg", "3", "1.0"),
        ("leftish.jpg", "7", "1.0"),
    ]
    assert None not in rows[0]  # no value without a column


def test_that_nothing_is_left_is_told(boke, there):
    (there / "ng.txt").write_text("left\nright\ndark\n", encoding="utf-8")
    result = boke(PHOTO, "--ng", "ng.txt", "--json")
    assert json.loads(result.stdout)["boke"] == []
    assert f"{PHOTO}: 0 of 5 boke; left out: " in result.stderr
    assert "with an NG word" in json.loads(result.stdout)["note"]


def test_a_bad_picture_is_told_and_the_others_have_boke(boke):
    result = boke(PHOTO, "missing.png", "photos/grüße.png", "--json", "-o", "x.json")
    assert (result.exit_code, result.stdout) == (1, "x.json\n")
    assert "Skipped: no such file: missing.png\n" in result.stderr
    assert result.stderr.endswith("Error: 1 of 3 pictures could not be read\n")
    told = json.loads(Path("x.json").read_text(encoding="utf-8"))
    assert [each["file"] for each in told] == [PHOTO, "missing.png", "photos/grüße.png"]
    assert told[1]["error"] == "no such file: missing.png"


def test_what_was_made_before_an_interrupt_is_kept(boke, monkeypatch):
    def interrupted(self, files, options):
        yield next(results(self, files, options))
        raise KeyboardInterrupt

    results = job.BokeMaker.results
    whole = boke(PHOTO, "--json").stdout
    monkeypatch.setattr(job.BokeMaker, "results", interrupted)
    assert boke("photos", "--json", "-o", "kept.jsonl").exit_code == 130
    assert Path("kept.jsonl").read_text(encoding="utf-8") == whole


def test_a_run_that_knows_no_pictures_is_one_line(cli, there):
    make_model(there / "captions")
    result = cli("boke", PHOTO, "-m", "captions")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "Error: captions does not know its pictures: there is no pictures.jsonl in it\n"
        "Try: --donors FOLDER: pictures that lend in place of the run's own\n"
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--model", "run"], "IMAGE"),
        (["x.png", "-m", "run", "-n", 60], "--candidates"),
        (["x.png", "-m", "run", "--blend", 0], "--blend"),
        (["x.png", "-m", "run", "--mode", "model", "--blend", 0.5], "--mode mismatch"),
        (["x.png", "-m", "run", "--mode", "retrieve", "--top-k", 5], "--mode model"),
        (["x.png", "-m", "run", "--mode", "funny"], "funny"),
        (["x.png", "-m", "run", "--json", "--format", "csv"], "--json"),
        (["x.png", "-m", "run", "-o", "boke.txt"], "--output"),
    ],
)
def test_options_that_do_not_go_together_are_usage_errors(cli, words, told):
    result = cli("boke", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr


def test_options_reach_the_job(cli, there, monkeypatch):
    seen = []
    monkeypatch.setattr(job, "make_boke", lambda files, options, *_: seen.append(options) or ())
    Path("ng.txt").touch()
    words = ("--donors", "a", "--donors", "b", "--blend", "75%", "--distance", "middle", "--contrast", 0.5, "--seed", 3)
    assert cli("boke", PHOTO, "-m", "run", "--ng", "ng.txt", *words).exit_code == 0
    options = seen[0]
    assert (options.donors, options.blend, options.distance) == ((Path("a"), Path("b")), 0.75, "middle")
    assert (options.contrast, options.seed, options.mode, options.ng) == (0.5, 3, None, Path("ng.txt"))
