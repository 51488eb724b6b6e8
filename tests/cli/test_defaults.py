"""What commands use when neither a network nor a model is named: what is in the package, and nothing else."""

import json

import pytest

from imgnn.data.drawn_classes import write_classes
from imgnn.images.files import read_settings
from imgnn.options import (
    ClassifyOptions,
    ClassPictureOptions,
    DreamOptions,
    FinetuneOptions,
    StyleOptions,
    TrainBokeOptions,
    TrainCaptionOptions,
)
from imgnn.training.run_folder import PACKAGED

STYLE = ("--size", 48, "--initial-iterations", 1, "--iterations", 1)
DREAM = ("--octaves", 1, "--iterations", 1)
FINER = "Made with mini, the network in the package. Finer: --network"


@pytest.fixture
def furnished(home):
    """An IMGNN_HOME with files where other networks would be: whoever opens one fails."""
    (home / "networks").mkdir()
    for name in ("squeezenet-v1.1", "googlenet", "vgg19"):
        (home / "networks" / f"{name}.keras").write_bytes(b"nothing")
    return home


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """An IMGNN_HOME that is not there and cannot be made, even by root."""
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("IMGNN_HOME", str(tmp_path / "file" / "home"))


def test_every_job_that_needs_no_classes_has_mini():
    jobs = (StyleOptions, DreamOptions, FinetuneOptions, TrainCaptionOptions, TrainBokeOptions)
    assert {job.network for job in jobs} == {"mini"}
    assert (ClassifyOptions.network, ClassPictureOptions.network) == ("squeezenet-v1.1", "googlenet")


def test_style_and_dream_do_not_mind_which_networks_are_here(cli, furnished, tiny_image, tmp_path):
    for words in (("style", tiny_image, tiny_image, *STYLE), ("dream", tiny_image, *DREAM)):
        result = cli(*words, "-o", tmp_path / "out.png")
        assert (result.exit_code, read_settings(tmp_path / "out.png")["network"]) == (0, "mini"), result.stderr
        finer = "vgg19" if words[0] == "style" else "googlenet"
        assert f"{FINER} {finer} (it is on this machine)\n" in result.stderr


def test_caption_and_boke_take_the_model_in_the_package(cli, furnished, tiny_image):
    """What it says depends on its weights; that its network fits it does not."""
    captions, boke = cli("caption", tiny_image, "--json"), cli("boke", tiny_image, "--json", "-n", 2)
    assert (captions.exit_code, boke.exit_code) == (0, 0), captions.stderr + boke.stderr
    said, funny = json.loads(captions.stdout), json.loads(boke.stdout)
    assert (said["models"], len(said["captions"])) == ([str(PACKAGED["mini"])], 1)
    assert funny["models"] == [str(PACKAGED["mini"])]
    assert funny["boke"] or "0 of 2 boke" in funny["note"]
    for each in funny["boke"]:
        assert (each["mode"], each["novel"], each["nearest"], each["donor"]["file"]) == ("mismatch", None, None, None)
    assert FINER not in captions.stderr + boke.stderr  # whoever asks for JSON is a program


def test_the_model_in_the_package_is_judged_by_the_name_of_its_network(cli, furnished, tiny_image):
    data = tiny_image.with_name("captions.jsonl")
    data.write_text(json.dumps({"image": tiny_image.name, "split": "test", "captions": ["a dark square", "a square"]}))
    result = cli("evaluate", "caption", data, "--network", "mini", "--limit", 1, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["models"] == [str(PACKAGED["mini"])]


@pytest.mark.parametrize(
    "words", [("style", "TINY", "TINY", *STYLE), ("dream", "TINY", *DREAM), ("caption", "TINY"), ("boke", "TINY")],
    ids=lambda words: words[0],
)  # fmt: skip
def test_offline_without_a_home_it_works_and_one_line_tells_what_is_finer(cli, locked, tiny_image, tmp_path, words):
    output = ("-o", tmp_path / "out.png") if words[0] in ("style", "dream") else ()
    result = cli(*(tiny_image if word == "TINY" else word for word in words), *output)
    assert result.exit_code == 0, result.stderr
    told = [line for line in result.stderr.splitlines() if "Finer" in line]
    finer = "vgg19 (575 MB to get)" if words[0] == "style" else "googlenet (54 MB to get)"
    assert told == [f"{FINER} {finer}"]


def test_a_network_for_own_classes_is_made_of_mini_offline(cli, locked, tmp_path):
    write_classes(tmp_path / "photos", count=5)
    words = ("finetune", tmp_path / "photos", "-o", tmp_path / "run", "--head-epochs", 2, "--no-report")
    result = cli(*words)
    assert result.exit_code == 0, result.stderr
    assert f"{FINER} googlenet (54 MB to get)\n" in result.stderr
    assert json.loads((tmp_path / "run" / "config.json").read_text())["network"] == "mini"
    assert FINER not in cli(*words[:-1], "-o", tmp_path / "other", "--json").stderr


def test_who_names_a_network_or_does_something_again_is_told_nothing(cli, tiny_image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words in (
        ("style", tiny_image, tiny_image, *STYLE, "--network", "mini", "-o", "out.png"),
        ("style", tiny_image, tiny_image, *STYLE, "-o", "out.json.png", "--json"),
        ("style", "--rerun", "out.png", "-o", "again.png"),
        ("dream", tiny_image, *DREAM, "--network", "mini"),
        ("dream", tiny_image, *DREAM, "--json"),
        ("caption", tiny_image, "--network", "mini"),
        ("boke", tiny_image, "--model", PACKAGED["mini"]),
    ):
        result = cli(*words)
        assert (result.exit_code, "Finer" in result.stderr) == (0, False), result.stderr


@pytest.mark.parametrize("command", ["caption", "boke"])
@pytest.mark.parametrize(
    ("network", "error", "hint"),
    [
        (
            "vgg19",
            "no model of captions on vgg19 came with imgnn; there are some on mini and googlenet",
            "--model RUN; imgnn train caption DATA --network vgg19 makes one",
        ),
        (
            "./googlenet.keras",
            "which model looks through ./googlenet.keras? Without --model, --network is mini or googlenet",
            "--model RUN; imgnn convert takes a .caffemodel in, and then --network finds it by its name",
        ),
        ("googlnet", "no network is called 'googlnet'; did you mean 'googlenet'?", "imgnn networks lists them"),
    ],
    ids=["another", "file", "mistyped"],
)
def test_a_network_without_a_model_in_the_package_is_one_line(cli, tiny_image, command, network, error, hint):
    result = cli(command, tiny_image, "--network", network)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"Error: {error}\nTry: {hint}\n"


def test_what_people_said_cannot_be_retrieved_from_the_model_in_the_package(cli, tiny_image):
    result = cli("boke", tiny_image, "--mode", "retrieve")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "does not have what people said of its pictures" in result.stderr
    assert "Try: --model RUN" in result.stderr
