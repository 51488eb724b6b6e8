import json
import re

import numpy as np
import pytest

from imgnn.cli.parsing import parse_seconds
from imgnn.images.files import load_image, read_settings
from imgnn.runs import Onward

QUICK = ("--network", "random", "--size", 48, "--iterations", 2, "--style-layers", "relu1,relu2=2")


def test_style_prints_the_path_of_the_picture(cli, tiny_image, tmp_path):
    out = tmp_path / "out.jpg"
    result = cli("style", tiny_image, tiny_image, *QUICK, "-o", out)
    assert (result.exit_code, result.stdout) == (0, f"{out}\n")
    assert "random, 32 x 48 pixels (height x width); 2 steps on the " in result.stderr
    assert list(read_settings(out)["style_factors"]) == ["relu1", "relu2"]


def test_style_names_its_output_after_both_pictures(cli, tiny_image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli("style", tiny_image, tiny_image, *QUICK).stdout == "tiny-tiny.png\n"
    assert (tmp_path / "tiny-tiny.png").is_file()


def test_style_gives_its_result_as_json(cli, tiny_image, tmp_path):
    out = tmp_path / "out.png"
    found = json.loads(cli("style", tiny_image, tiny_image, *QUICK, "-o", out, "--json").stdout)
    assert found.pop("loss") > 0
    assert found.pop("seconds") > 0
    assert set(found.pop("parts")) == {"content", "style", "tv"}
    assert found == {"path": str(out), "size": [32, 48], "network": "random", "steps": 2, "planned": 2, "ended": "done"}


def test_several_styles_are_blended(cli, tiny_image, tmp_path):
    out = tmp_path / "out.png"
    assert cli("style", tiny_image, tiny_image, tiny_image, *QUICK, "--style-blend", "3,1", "-o", out).exit_code == 0
    assert read_settings(out)["shares"] == [0.75, 0.25]


def test_pictures_on_the_way_are_kept(cli, tiny_image, tmp_path):
    assert cli("style", tiny_image, tiny_image, *QUICK, "--keep-every", 1, "-o", tmp_path / "out.png").exit_code == 0
    assert sorted(path.name for path in tmp_path.glob("out_*")) == ["out_0001.png", "out_0002.png"]


def test_ctrl_c_saves_exits_130_and_resume_goes_on(cli, tiny_image, tmp_path, monkeypatch):
    out, words = tmp_path / "out.png", ("style", tiny_image, tiny_image, *QUICK, "--iterations", 30)
    advance = Onward.advance

    def interrupted(self, done, **facts):
        advance(self, done, **facts)
        if done == 12:
            raise KeyboardInterrupt

    monkeypatch.setattr(Onward, "advance", interrupted)
    result = cli(*words, "-o", out)
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.endswith(
        f"Interrupted: stopped at step 12 of 30; the best picture so far was saved to {out}\n"
        "Try: the same command with --resume goes on from here\n"
    )
    assert out.is_file()
    monkeypatch.setattr(Onward, "advance", advance)
    assert cli(*words, "-o", out, "--resume").stdout == f"{out}\n"
    assert read_settings(out)["steps"] == 30


def test_rerun_does_again_what_made_a_picture_and_changes_what_is_asked(cli, tiny_image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cli("style", tiny_image, tiny_image, *QUICK, "--seed", 4, "--init", "random", "-o", "first.png")
    assert cli("style", "--rerun", "first.png").stdout == "first-again.png\n"
    np.testing.assert_array_equal(load_image("first.png"), load_image("first-again.png"))
    cli("style", "--rerun", "first.png", "--size", 60, "-o", "larger.png")
    settings = read_settings("larger.png")
    assert (settings["size"], settings["seed"], list(settings["style_factors"])) == (60, 4, ["relu1", "relu2"])
    tiny_image.write_bytes(tiny_image.read_bytes() + b" ")
    assert "is not the file that it was when first.png was made" in cli("style", "--rerun", "first.png").stderr


def test_rerun_wants_a_picture_of_style(cli, tiny_image):
    result = cli("style", "--rerun", tiny_image)
    assert result.exit_code == 1
    assert "it is not a picture of imgnn style" in result.stderr


def test_a_dry_run_says_what_it_would_take_and_writes_nothing(cli, tiny_image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = cli("style", tiny_image, tiny_image, *QUICK, "--dry-run")
    assert result.exit_code == 0
    assert "32 x 48: 2 steps" in result.stdout
    assert "of memory" in result.stdout
    assert json.loads(cli("style", tiny_image, tiny_image, *QUICK, "--dry-run", "--json").stdout)["steps"] == [2]
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.png"]


def test_every_step_is_logged_and_a_resumed_run_goes_on_in_the_same_file(cli, tiny_image, tmp_path, monkeypatch):
    words = ("style", tiny_image, tiny_image, *QUICK, "-o", tmp_path / "out.png", "--log", tmp_path / "steps.jsonl")
    (tmp_path / "steps.jsonl").write_text("{}\n")
    advance = Onward.advance

    def interrupted(self, done, **facts):
        advance(self, done, **facts)
        raise KeyboardInterrupt

    monkeypatch.setattr(Onward, "advance", interrupted)
    cli(*words)
    monkeypatch.setattr(Onward, "advance", advance)
    cli(*words, "--resume")
    lines = [json.loads(line) for line in (tmp_path / "steps.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "step" in line]
    assert [line["step"] for line in steps] == [1, 1, 2], "the step in which Ctrl-C came is made again"
    assert [line for line in lines if line not in steps] == [lines[0], lines[2]] == [{"steps": 2}] * 2
    for line in steps:
        assert line["loss"] == pytest.approx(line["content"] + line["style"] + line["tv"], rel=1e-5)
    assert cli(*words[:-1], tmp_path / "no" / "steps.jsonl").stderr.startswith("Error: cannot write")
    assert cli(*words[:-1], tiny_image).stderr.startswith(f"Error: {tiny_image} would be replaced, and is no log")
    assert load_image(tiny_image).shape == (40, 60, 3)


def test_grid_draws_a_sheet(cli, tiny_image, tmp_path):
    out = tmp_path / "sheet.png"
    assert cli("style", tiny_image, tiny_image, *QUICK, "-o", out, "--grid", "tv-weight=0,1").stdout == f"{out}\n"
    assert (tmp_path / "sheet_tv-weight=1.png").is_file()


def test_verbose_gives_the_weights_in_gatys_units(cli, tiny_image, tmp_path):
    """relu1 has 32 channels: 4 w / 32²; the content layer relu2 16 x 24 positions: 2 w / (32 * 16 * 24)."""
    said = cli("style", tiny_image, tiny_image, *QUICK, "-o", tmp_path / "out.png", "-v").stderr
    own, gatys = re.search(r"style relu1: weight (\S+); in Gatys' units (\S+)", said).groups()
    assert float(gatys) == pytest.approx(4 * float(own) / 32**2, rel=1e-3)
    own, gatys = re.search(r"content relu2: weight (\S+); in Gatys' units (\S+)", said).groups()
    assert float(gatys) == pytest.approx(2 * float(own) / (32 * 16 * 24), rel=1e-3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no.jpg", "no.jpg"], "Error: no such file: no.jpg"),
        (["TINY", "TINY", "--network", "vgg99"], "Error: no network is called 'vgg99'"),
        (["TINY", "TINY", *QUICK, "--content-layers", "relu9"], "Error: no layer is called 'relu9'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_input_is_one_line(cli, tiny_image, words, message):
    result = cli("style", *(tiny_image if word == "TINY" else word for word in words))
    assert (result.exit_code, result.stdout) == (1, "")
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert errors[0].startswith(message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "out.xyz"], "pictures are written as"),
        ([*QUICK, "--style-blend", "1,2"], "1 style picture takes 1 number"),
        (["--average", 2], "--average is a number from 0 to below 1"),
    ],
)
def test_what_is_wrong_in_the_command_line_alone_is_a_usage_error(cli, tiny_image, words, message):
    result = cli("style", tiny_image, tiny_image, *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    "words",
    [
        ["--size", 0],
        ["--iterations", 0],
        ["--tv-weight", -1],
        ["--content-weight", "nan"],
        ["--style-weight", "inf"],
        ["--style-blend", "much"],
        ["--style-layers", "a,,b"],
        ["--style-layers", "a=much"],
        ["--max-time", "soon"],
        ["--grid", "style-weight"],
        ["--grid", "style-layers=a,b"],
        ["--grid", "size=large,larger"],
        ["--grid", "size=20,30", "--grid", "size=40"],
        ["--grid", "size=20,30", "--dry-run"],
        ["--grid", "size=20,30", "-v"],
        ["--dry-run", "--resume"],
        ["--dry-run", "--log", "steps.jsonl"],
        ["--dream-weight", 1],
    ],
    ids=str,
)
def test_a_bad_option_is_a_usage_error(cli, tiny_image, words):
    assert cli("style", tiny_image, tiny_image, *words).exit_code == 2


def test_a_style_is_expected(cli, tiny_image):
    result = cli("style", tiny_image)
    assert result.exit_code == 2
    assert "CONTENT and at least one STYLE are expected" in result.stderr


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("1.5h", 5400), ("2 min", 120)])
def test_times_have_units(text, seconds):
    assert parse_seconds(text) == seconds
