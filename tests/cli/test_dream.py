import json

import numpy as np
import pytest
from PIL import Image

from imgnn.images.files import load_image, read_settings
from imgnn.jobs import channels, class_picture
from imgnn.jobs.channels import ChannelsResult, FiringChannel
from imgnn.jobs.class_picture import ClassPictureResult, Verdict
from imgnn.runs import Onward

QUICK = ("--network", "random", "--octaves", 2, "--iterations", 2)


def test_dream_prints_the_path_of_the_picture(cli, tiny_image, tmp_path):
    out = tmp_path / "out.jpg"
    result = cli("dream", tiny_image, *QUICK, "--layers", "relu1:3=0.5,relu2", "-o", out)
    assert (result.exit_code, result.stdout) == (0, f"{out}\n")
    assert "random, relu1:3=0.5, relu2: 40 x 60 pixels (height x width), by way of 29 x 43; 4 steps" in result.stderr
    assert "relu1:3: " in result.stderr
    assert read_settings(out)["steps"] == 4


def test_dream_names_its_output_after_the_picture(cli, tiny_image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli("dream", tiny_image, *QUICK).stdout == "tiny-dream.png\n"
    assert cli("dream", tiny_image, *QUICK, "--zoom", 2).stdout == "tiny-dream.webp\n"
    assert (tmp_path / "tiny-dream.png").is_file()
    with Image.open(tmp_path / "tiny-dream.webp") as film:
        assert film.n_frames == 2


def test_dream_gives_its_result_as_json(cli, tiny_image, tmp_path):
    found = json.loads(cli("dream", tiny_image, *QUICK, "-o", tmp_path / "out.png", "--json").stdout)
    assert found.pop("seconds") > 0
    assert found.pop("before")["relu3"] < found.pop("after")["relu3"]
    assert found == {
        "path": str(tmp_path / "out.png"),
        "size": [40, 60],
        "network": "random",
        "layers": ["relu3"],
        "steps": 4,
    }


def test_every_option_of_a_dream_arrives(cli, tiny_image, tmp_path):
    words = {
        "size": 30,
        "seed": 5,
        "layers": "relu1=2",
        "objective": "enhance",
        "gain": 1.5,
        "tv-weight": 0.2,
        "octaves": 1,
        "octave-scale": 1.2,
        "iterations": 1,
        "optimizer": "adam",
        "step-size": 2.5,
        "jitter": 3,
        "laplacian": 2,
        "smooth": 0.7,
        "precision": "float32",
        "network": "random",
    }
    typed = [text for name, value in words.items() for text in (f"--{name}", value)]
    assert cli("dream", tiny_image, *typed, "-o", tmp_path / "out.png").exit_code == 0
    settings = read_settings(tmp_path / "out.png")
    wanted = {**words, "layers": [{"name": "relu1", "channel": None, "weight": 2.0}]}
    assert {name: settings[name.replace("-", "_")] for name in words} == wanted
    assert cli("dream", tiny_image, *QUICK, "--guide", tiny_image, "-o", tmp_path / "guided.png").exit_code == 0
    assert read_settings(tmp_path / "guided.png")["guide"] == str(tiny_image)


def test_ctrl_c_saves_and_exits_130(cli, tiny_image, tmp_path, monkeypatch):
    from imgnn.cli.console import LineReporter

    def interrupted(self, done, **facts):
        if done == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(LineReporter, "advance", interrupted)
    out = tmp_path / "out.png"
    result = cli("dream", tiny_image, *QUICK, "-o", out)
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.endswith(f"Interrupted: stopped at step 3 of 4; the picture so far was saved to {out}\n")
    assert load_image(out).shape == (40, 60, 3)


def test_zoom_stopped_leaves_a_film_and_exits_130(cli, tiny_image, tmp_path, monkeypatch):
    advance = Onward.advance

    def interrupted(self, done, **facts):
        advance(self, done, **facts)
        if self.before == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(Onward, "advance", interrupted)
    film = tmp_path / "film.gif"
    result = cli("dream", tiny_image, *QUICK, "--zoom", 5, "--zoom-scale", 0.2, "-o", film)
    assert (result.exit_code, result.stdout) == (130, "")
    assert f"Interrupted: stopped in frame 2 of 5; the one before is in {film}\n" in result.stderr
    with Image.open(film) as frames:
        assert frames.size == (60, 40)


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """What the jobs of class pictures are asked for; they draw nothing."""
    calls = []

    def draw_class(output, options, reporter):
        calls.append((output, options))
        verdict = Verdict("judge", 9.0, 0.75, 1, "goldfish")
        return ClassPictureResult(output, (8, 8), "net", options.target, 1, 12.5, verdict, verdict, 3, 0.5)

    def draw_channels(photo, output, count, layer, network_name, reporter, *, seed):
        calls.append((photo, output, count, layer, network_name, seed))
        return ChannelsResult(output, "net", (FiringChannel("relu1", 7, 3.25, 4.0, (2, 5)),), 0.5)

    monkeypatch.setattr(class_picture, "draw_class", draw_class)
    monkeypatch.setattr(channels, "draw_channels", draw_channels)
    monkeypatch.chdir(tmp_path)
    return calls


def test_class_and_neuron_draw_from_nothing(cli, asked):
    result = cli("dream", "--class", "goldfish", "--preset", "C", "--judge", "nin", "--seed", 4, "--size", 96)
    assert (result.exit_code, result.stdout) == (0, "goldfish-dream.png\n"), result.stderr
    assert "judge: 75.0 % goldfish, rank 1" in result.stderr
    options = asked[0][1]
    assert (options.target, options.preset, options.judge, options.seed, options.size, options.iterations) == (
        "goldfish",
        "C",
        "nin",
        4,
        96,
        None,
    )
    result = cli("dream", "--neuron", "inception_4c/output:11", "--iterations", 7, "--network", "googlenet")
    assert result.stdout == "inception_4c-output-11-dream.png\n"
    assert (asked[1][1].target, asked[1][1].iterations) == ("inception_4c/output:11", 7)
    assert json.loads(cli("dream", "--class", "1", "--json").stdout)["judge"]["prob"] == 0.75


def test_top_channels_asks_for_a_sheet(cli, asked, tiny_image):
    words = ("dream", tiny_image, "--top-channels", 5, "--layers", "relu1", "--network", "random", "--seed", 2)
    result = cli(*words)
    assert (result.exit_code, result.stdout) == (0, "tiny-channels.png\n"), result.stderr
    assert "relu1:7  3.25, most at row 2, column 5" in result.stderr
    photo, output, *rest = asked[0]
    assert (photo, output.name, *rest) == (tiny_image, "tiny-channels.png", 5, "relu1", "random", 2)
    cli("dream", tiny_image, "--top-channels", 5)
    assert asked[1][3] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "IMAGE is expected, the picture to dream on; only --class and --neuron need none"),
        (["--top-channels", 3], "IMAGE is expected"),
        (["TINY", "--class", "goldfish"], "IMAGE does not go with --class"),
        (["--class", "goldfish", "--octaves", 3], "--octaves does not go with --class"),
        (["--class", "goldfish", "--neuron", "a:1"], "--neuron does not go with --class"),
        (["TINY", "--preset", "A"], "--preset goes with --class or --neuron"),
        (["TINY", "--zoom-scale", 0.1], "--zoom-scale goes with --zoom"),
        (["TINY", "--zoom", 2, "--preview", 1], "--preview does not go with --zoom"),
        (["TINY", "--gain", 3], "--gain goes with --objective enhance"),
        (["TINY", "--top-channels", 3, "--layers", "a,b"], "--top-channels looks at one layer: --layers LAYER"),
        (["TINY", "--layers", "a,"], "a layer is written LAYER, LAYER:CHANNEL or LAYER=WEIGHT, not ''"),
        (["TINY", "--smooth", "inf"], "a number, 0 or more, is expected, not 'inf'"),
        (["TINY", "-o", "out.xyz"], "pictures are written as"),
        (["TINY", "--zoom", 2, "-o", "out.jpg"], "films are written as"),
        (["TINY", "--octave-scale", 0.5], "--octave-scale is a number above 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_go_together_is_a_usage_error(cli, tiny_image, words, message):
    result = cli("dream", *(tiny_image if each == "TINY" else each for each in words))
    told = " ".join(result.stderr.replace("│", " ").split())
    assert result.exit_code == 2
    assert message in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no.jpg"], "Error: no such file: no.jpg"),
        (["TINY", "--network", "vgg99"], "Error: no network is called 'vgg99'"),
        (["TINY", *QUICK, "--layers", "relu9"], "Error: no layer is called 'relu9'; did you mean"),
        (["TINY", *QUICK, "--layers", "relu1:99"], "Error: layer relu1 of random has channels 0 to 31, not 99"),
        (["TINY", *QUICK, "-o", "TINY"], "Error: TINY would be replaced"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_input_is_one_line(cli, tiny_image, words, message):
    result = cli("dream", *(tiny_image if each == "TINY" else each for each in words))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(message.replace("TINY", str(tiny_image)))


def test_help_tells_defaults_that_are_not_numbers(cli):
    told = " ".join(cli("dream", "--help", env={"COLUMNS": "200"}).stdout.split())
    assert "[default: the network's own]" in told
    assert "imgnn dream --class goldfish" in told


def test_the_same_command_makes_the_same_picture(cli, tiny_image, tmp_path):
    for name in ("a.png", "b.png"):
        cli("dream", tiny_image, *QUICK, "-o", tmp_path / name)
    np.testing.assert_array_equal(load_image(tmp_path / "a.png"), load_image(tmp_path / "b.png"))
