import json

import pytest

from imgnn.images.files import read_settings
from imgnn.optimize import loop

QUICK = ("--network", "random", "--size", 48, "--iterations", 2, "--style-layers", "relu1,relu2")


def test_style_prints_the_path_of_the_picture(cli, tiny_image, tmp_path):
    out = tmp_path / "out.jpg"
    result = cli("style", tiny_image, tiny_image, *QUICK, "-o", out)
    assert (result.exit_code, result.stdout) == (0, f"{out}\n")
    assert "random, 32 x 48 pixels (height x width), 2 steps on the " in result.stderr
    assert read_settings(out)["style_layers"] == ["relu1", "relu2"]


def test_style_names_its_output_after_both_pictures(cli, tiny_image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli("style", tiny_image, tiny_image, *QUICK).stdout == "tiny-tiny.png\n"
    assert (tmp_path / "tiny-tiny.png").is_file()


def test_style_gives_its_result_as_json(cli, tiny_image, tmp_path):
    out = tmp_path / "out.png"
    found = json.loads(cli("style", tiny_image, tiny_image, *QUICK, "-o", out, "--json").stdout)
    assert found.pop("loss") > 0
    assert found.pop("seconds") > 0
    assert found == {"path": str(out), "size": [32, 48], "network": "random", "steps": 2}


def test_several_styles_are_blended(cli, tiny_image, tmp_path):
    out = tmp_path / "out.png"
    assert cli("style", tiny_image, tiny_image, tiny_image, *QUICK, "--style-blend", "3,1", "-o", out).exit_code == 0
    assert read_settings(out)["style_blend"] == [0.75, 0.25]


def test_ctrl_c_saves_and_exits_130(cli, tiny_image, tmp_path, monkeypatch):
    out = tmp_path / "out.png"

    def interrupted(start, evaluate, optimizer, steps, reporter):
        return loop.Outcome(start, 0.5, 118, 120, "interrupted")

    monkeypatch.setattr("imgnn.jobs.style.minimise", interrupted)
    result = cli("style", tiny_image, tiny_image, *QUICK, "--iterations", 300, "-o", out)
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.endswith(
        f"Interrupted: stopped at step 120 of 300; the best picture so far, of step 118, saved to {out}\n"
    )
    assert out.is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no.jpg", "no.jpg"], "Error: no such file: no.jpg"),
        (["TINY", "TINY", "-o", "out.xyz"], "Error: pictures are written as"),
        (["TINY", "TINY", "--network", "vgg99"], "Error: no network is called 'vgg99'"),
        (["TINY", "TINY", *QUICK, "--content-layers", "relu9"], "Error: no layer is called 'relu9'"),
        (["TINY", "TINY", *QUICK, "--style-blend", "1,2"], "Error: 1 style picture takes 1 number"),
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
    "words",
    [
        ["--size", 0],
        ["--iterations", 0],
        ["--tv-weight", -1],
        ["--content-weight", "nan"],
        ["--style-weight", "inf"],
        ["--style-blend", "much"],
        ["--style-layers", "a,,b"],
    ],
    ids=str,
)
def test_a_bad_option_is_a_usage_error(cli, tiny_image, words):
    assert cli("style", tiny_image, tiny_image, *words).exit_code == 2
