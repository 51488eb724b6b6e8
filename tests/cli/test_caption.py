"""`imgnn caption` with the model of tests/jobs/made_captions.py."""

import csv
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from imgnn.cli import console
from imgnn.jobs import caption as job
from tests.jobs.made_captions import log_prob_of, make_model, paint_halves


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A folder to work in, with a run and two pictures, one of whose names asks for trouble."""
    monkeypatch.chdir(tmp_path)
    make_model(tmp_path / "run", end=2.0)
    paint_halves(Path("photos/[bold]x[1].png"), 255, 0)
    paint_halves(Path("photos/grüße.png"), 0, 255)
    return tmp_path


LINES = "photos/[bold]x[1].png\tleft\nphotos/grüße.png\tright\n"


@pytest.fixture
def caption(cli, there):
    """`imgnn caption ... --model run`, in float32."""

    def run(*words, **options):
        return cli("caption", *words, "--model", "run", "--precision", "float32", "--no-repeat-ngram", 1, **options)

    return run


def test_in_a_pipe_each_caption_is_a_line(caption):
    result = caption("photos")
    assert (result.exit_code, result.stdout) == (0, LINES)
    assert [line.split("\t")[1] for line in caption("photos/grüße.png", "-n", 2).stdout.splitlines()] == ["right", ""]


def test_on_a_screen_captions_stand_below_the_picture_and_long_ones_are_wrapped_there(monkeypatch, capsys):
    from imgnn.cli.caption import show
    from imgnn.jobs.caption import Caption, CaptionedImage

    monkeypatch.setattr(console, "out", Console(width=30, force_terminal=True, color_system=None))
    words = ("a", "man", "and", "a", "dog", "on", "a", "beach")
    show(CaptionedImage(Path("[b].jpg"), (Caption(" ".join(words), words, (-1.5,) * 8, False),)))
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "[b].jpg",
        "  -12.00  a man and a dog on a",
        "          beach …",
    ]


def test_pictures_come_from_patterns_lists_and_standard_input(caption, there):
    paths = ["photos/[bold]x[1].png", "photos/grüße.png"]
    (there / "list.txt").write_text("\r\n".join(paths) + "\r\n", encoding="utf-8")
    assert caption("--list", "list.txt").stdout == LINES
    assert caption("-", input="\n".join(paths)).stdout == LINES
    assert caption("photos/*.png").stdout == LINES
    missing = caption("-l", "nowhere.txt")
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert missing.stderr == "Error: no such file: nowhere.txt\n"


def test_json_is_an_object_a_line_with_all_numbers(caption):
    result = caption("photos", "--json")
    assert result.stdout == caption("photos", "--format", "jsonl").stdout
    assert json.loads(caption("photos", "--format", "json").stdout) == [
        json.loads(line) for line in result.stdout.splitlines()
    ]
    first = json.loads(result.stdout.splitlines()[0])
    known = log_prob_of(1.0, 0.0, 2.0)
    [found] = first.pop("captions")
    assert first == {"file": "photos/[bold]x[1].png", "models": ["run"]}
    assert found.pop("log_prob") == pytest.approx(known["left"] + known["END"], abs=5e-3)
    assert found.pop("log_prob_per_token") == pytest.approx((known["left"] + known["END"]) / 2, abs=5e-3)
    assert found.pop("token_log_probs") == pytest.approx([known["left"], known["END"]], abs=5e-3)
    assert found == {"caption": "left", "finished": True, "tokens": ["left"]}


def test_a_table_has_a_row_for_each_caption(caption, there):
    result = caption("photos", "-n", 2, "-o", "captions.csv")
    assert result.stdout == "captions.csv\n"
    rows = list(csv.DictReader(io.StringIO((there / "captions.csv").read_text(encoding="utf-8"))))
    assert [(row["file"], row["rank"], row["caption"], row["finished"]) for row in rows] == [
        ("photos/[bold]x[1].png", "1", "left", "1"),
        ("photos/[bold]x[1].png", "2", "", "1"),
        ("photos/grüße.png", "1", "right", "1"),
        ("photos/grüße.png", "2", "", "1"),
    ]
    assert caption("photos", "-n", 2, "--format", "csv").stdout == (there / "captions.csv").read_text(encoding="utf-8")


def test_a_result_file_is_one_that_scorers_read(caption, there):
    from imgnn.data.caption_files import read_results

    paint_halves(Path("photos/COCO_val2014_000000391895.png"), 0, 0)
    assert caption("photos", "--format", "coco", "-o", "results.json").stdout == "results.json\n"
    wanted = {391895: "", "[bold]x[1]": "left", "grüße": "right"}
    assert read_results(there / "results.json") == wanted
    printed = json.loads(caption("photos", "--format", "coco").stdout)
    assert {each["image_id"]: each["caption"] for each in printed} == wanted
    paint_halves(Path("others/grüße.jpg"), 0, 0)
    twice = caption("photos", "others", "--format", "coco")
    assert (twice.exit_code, twice.stdout) == (1, "")
    assert "the same id in a result file: grüße" in twice.stderr


def test_sidecars_are_written_beside_the_pictures_and_not_over_others(caption):
    Path("photos/grüße.txt").write_text("mine\n", encoding="utf-8")
    result = caption("photos", "--format", "sidecar")
    assert result.stdout == "photos/[bold]x[1].txt\n"
    assert "Kept: 1 of 2 pictures have a text already; --overwrite replaces it" in result.stderr
    assert Path("photos/[bold]x[1].txt").read_text(encoding="utf-8") == "left\n"
    assert Path("photos/grüße.txt").read_text(encoding="utf-8") == "mine\n"
    assert caption("photos", "--format", "sidecar").stdout == ""
    caption("photos", "--format", "sidecar", "--overwrite", "-n", 2)
    assert Path("photos/grüße.txt").read_text(encoding="utf-8") == "right\n\n"


def test_two_pictures_do_not_share_a_sidecar(caption):
    paint_halves(Path("photos/grüße.jpg"), 0, 0)
    result = caption("photos", "--format", "sidecar")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "both write photos/grüße.txt" in result.stderr
    assert not list(Path("photos").glob("*.txt"))


def test_explanations_are_named_in_the_result(caption):
    result = caption("photos/grüße.png", "--explain", "why", "--json")
    assert json.loads(result.stdout)["explained"] == "why/grüße.png"
    assert Path("why/grüße.png").is_file()


def test_a_bad_picture_is_told_and_the_others_are_captioned(caption):
    result = caption("photos/[bold]x[1].png", "missing.png", "photos/grüße.png", "--json", "-o", "x.json")
    assert (result.exit_code, result.stdout) == (1, "x.json\n")
    assert "Skipped: no such file: missing.png\n" in result.stderr
    assert result.stderr.endswith("Error: 1 of 3 pictures could not be read\n")
    told = json.loads(Path("x.json").read_text(encoding="utf-8"))
    assert [each["file"] for each in told] == ["photos/[bold]x[1].png", "missing.png", "photos/grüße.png"]
    assert told[1] == {"file": "missing.png", "error": "no such file: missing.png"}


@pytest.mark.parametrize("form", ["csv", "json", "jsonl", "coco"])
def test_what_was_captioned_before_an_interrupt_is_kept(caption, monkeypatch, form):
    def interrupted(self, files, explain_in=None):
        yield next(results(self, files, explain_in))
        raise KeyboardInterrupt

    results = job.Captioner.results
    whole = caption("photos/[bold]x[1].png", "--format", form).stdout
    monkeypatch.setattr(job.Captioner, "results", interrupted)
    result = caption("photos", "--format", form, "-o", "kept")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (130, "Interrupted: 1 of 2 pictures are done")
    assert Path("kept").read_text(encoding="utf-8").replace("\r", "") == whole


def test_a_file_is_not_replaced_by_nothing(caption, monkeypatch):
    Path("kept.csv").write_text("mine\n", encoding="utf-8")
    assert caption("missing.png", "-o", "kept.csv").exit_code == 1
    monkeypatch.setattr(job.Captioner, "results", lambda *_: iter(()))
    caption("photos", "-o", "kept.csv")
    assert Path("kept.csv").read_text(encoding="utf-8") == "mine\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--model", "run"], "which pictures"),
        (["x.png", "-m", "run", "--beam", 3, "--temperature", 1], "--beam"),
        (["x.png", "-m", "run", "--beam", 5, "--groups", 2], "--groups"),
        (["x.png", "-m", "run", "--beam", 2, "-n", 3], "--number 3"),
        (["x.png", "-m", "run", "--weights", "1,2"], "--weights"),
        (["x.png", "-m", "run", "--json", "--format", "csv"], "--json"),
        (["x.png", "-m", "run", "-o", "captions.txt"], "--output"),
        (["x.png", "-m", "run", "--format", "sidecar", "-o", "x.csv"], "--output"),
        (["x.png", "-m", "run", "--json", "-o", "x.csv"], "--json does not go with --output"),
        (["x.png", "-m", "run", "--format", "coco", "-n", 2], "coco"),
        (["x.png", "-m", "run", "--overwrite"], "--overwrite goes with --format sidecar"),
        (["x.png", "-m", "run", "--diversity", 1], "--diversity goes with --groups"),
        (["x.png", "-m", "run", "--seed", 1], "--seed goes with --temperature"),
    ],
)
def test_options_that_do_not_go_together_are_usage_errors(cli, words, told):
    result = cli("caption", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr


@pytest.mark.parametrize(("words", "temperature"), [(["--top-p", 1], 1.0), (["--top-k", 0], 1.0), ([], None)])
def test_whoever_names_top_p_or_top_k_wants_captions_drawn(cli, there, monkeypatch, words, temperature):
    seen = []
    monkeypatch.setattr(job, "caption_images", lambda files, options, *_, **__: seen.append(options) or ())
    assert cli("caption", "photos", "-m", "run", "-m", "./run", "--weights", "2,1", *words).exit_code == 0
    assert (seen[0].temperature, seen[0].models, seen[0].weights) == (temperature, ("run", "./run"), (2.0, 1.0))
