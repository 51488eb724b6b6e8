"""The scripts in examples/ do what they say."""

import csv
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgnn.data.drawn_classes import write_drawn
from imgnn.data.lists import read_list
from imgnn.home import ASSETS
from imgnn.images.files import load_image
from tests.command_lines import offline
from tests.data import site as web
from tests.data.site import site
from tests.docs_commands import Line, mistakes

EXAMPLES = Path(__file__).parents[1] / "examples"


SCRIPTS = sorted(EXAMPLES.glob("*.sh"))
every_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)


def perform(script, *words, folder, **settings):
    """What a script prints, run in a folder, offline."""
    words = [EXAMPLES / script, *words]
    environment = offline(folder) | settings
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(table):
    return list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))


@every_script
def test_a_script_has_nothing_that_shellcheck_warns_of(script):
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@every_script
def test_a_script_tells_what_it_needs_and_makes_and_stops_at_the_first_failure(script):
    lines = script.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert os.access(script, os.X_OK)
    head = "\n".join(itertools.takewhile(lambda line: line.startswith("#"), lines))
    assert all(f"\n# {word} " in head for word in ("Needs", "Makes", "Takes")), head
    assert lines[head.count("\n") + 1] == "set -euo pipefail"


@every_script
def test_a_script_without_a_word_tells_its_usage(script, tmp_path):
    done = subprocess.run([script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"usage: {script} NAME ")


@every_script
def test_a_script_takes_only_words_that_imgnn_knows(script):
    """Options that there are, values that they take; what the shell fills in is left out."""
    text = script.read_text(encoding="utf-8").replace("\\\n", "")
    text = re.sub(r'"\$\{(fetch|finetune|train)\[@\]\}"', "", text).replace('"$@"', "WORD")
    text = re.sub(r'"?\$\{?(size|frames)\}?"?', "16", text)
    lines = [line for line in text.splitlines() if re.match(r"\s*(\[.*\|\| |! )?imgnn ", line)]
    assert len(lines) >= 4
    wrong = {line: list(mistakes(Line(1, line.split("|| ")[-1].rstrip(" |")))) for line in lines}
    assert not any(wrong.values()), wrong


@pytest.mark.slow
def test_lists_of_addresses_become_a_classifier(tmp_path):
    with site() as server:
        for name in ("boats", "fish"):
            for n in range(24):
                write_drawn(drawn := tmp_path / "drawn.jpg", name, seed=n)
                server.answers[f"/{name}/{n}.jpg"] = web.sends(drawn.read_bytes())
            # Three that are gone.
            (tmp_path / f"{name}.txt").write_text("\n".join(f"{server.url}/{name}/{n}.jpg" for n in range(27)))
        words = ("sea", "boats.txt", "fish.txt")
        # It may ask this machine, and no other.
        settings = {"IMGNN_OFFLINE": "", "FETCH": "--allow-private", "FINETUNE": "--size 160 --epochs 10"}
        settings["no_proxy"] = "127.0.0.1"
        said = perform("classifier.sh", *words, folder=tmp_path, **settings)
        asked = server.asked.total()
        again = perform("classifier.sh", *words, folder=tmp_path, **settings)
    assert said.splitlines()[-1] == again.splitlines()[-1] == "open sea_run/report.html"
    assert (tmp_path / "sea_run" / "report.html").is_file()
    assert server.asked.total() == asked, "a second time, addresses are asked anew"
    train, val, test = (read_list(tmp_path / f"sea_{part}.txt") for part in ("train", "val", "test"))
    assert [len(each.entries) for each in (train, val, test)] == [34, 8, 6]
    assert dict(train.words) == {0: "boats", 1: "fish"}
    used = [np.asarray(load_image(train.file(entry)), "float64") for entry in train.entries]
    mean = np.load(tmp_path / "sea_train_mean.npy")
    # Enlarged to 256 x 256, the mean over all pixels stays nearly what it was.
    np.testing.assert_allclose(mean.mean((1, 2))[::-1], np.mean(used, axis=(0, 1, 2)), atol=1.5)
    assert {path.name for path in (tmp_path / "sea_train_sheets").iterdir()} == {"0_boats.png", "1_fish.png"}
    answers = [json.loads(line) for line in (tmp_path / "sea_classes.jsonl").read_text().splitlines()]
    best = {answer["file"]: answer["predictions"][0]["words"] for answer in answers}
    assert best == {file: Path(file).parent.name for file in best}, "drawn boats and fish are easy to tell apart"
    assert len(best) == 6
    assert "accuracy  100.0 %" in said
    assert (tmp_path / "sea_truth.csv").read_text().startswith("path,label,predicted,prob,loss\n")


@pytest.mark.slow
def test_captions_become_a_model_its_captions_boke_and_scores(tmp_path):
    said = perform("captions.sh", "try", folder=tmp_path, TRAIN="--epochs 3 --hidden 128 --batch 16")
    captions, boke = (rows(tmp_path / f"try_{name}.csv") for name in ("captions", "boke"))
    pictures = ["try/boat.jpg", *(f"try/photos/fish/{n:03}.jpg" for n in range(24))]
    assert [row["file"] for row in captions] == [row["file"] for row in boke] == pictures
    # Three epochs are enough to name the thing, and for words of another thing.
    assert "boat" in captions[0]["caption"]
    assert "boat" not in boke[0]["boke"]
    scores = json.loads((tmp_path / "try_scores.json").read_text())
    assert scores["scores"]["model"]["cider_d"] > 0.5
    assert (tmp_path / "try_scores.png").is_file()
    assert said.count("==>") == 2


@pytest.mark.slow
def test_a_caffemodel_becomes_pictures_and_a_film(tmp_path):
    said = perform("pictures.sh", "try", folder=tmp_path, SIZE="128", FRAMES="4")
    dreamed, painted = (load_image(tmp_path / f"try_{name}.png") for name in ("dream", "style"))
    assert dreamed.shape == painted.shape == (96, 128, 3)
    assert np.abs(dreamed.astype(int) - painted).mean() > 10
    with Image.open(tmp_path / "try_fall.webp") as film:
        assert (film.size, film.n_frames) == ((128, 96), 4)
    assert (tmp_path / "try.keras").is_file()
    assert "against OpenCV" in said


@pytest.mark.parametrize("name", ["still_life.jpg", "sky.jpg"])
def test_a_picture_is_drawn_again_as_it_lies_in_the_package(tmp_path, name):
    words = [sys.executable, EXAMPLES / "draw.py", Path(name).stem, "--folder", tmp_path]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, [str(tmp_path / name)]), done.stderr
    drawn, kept = (load_image(folder / name).astype("float32") for folder in (tmp_path, ASSETS / "examples"))
    # Equal here; another NumPy, SciPy or JPEG library may round a little otherwise.
    assert drawn.shape == kept.shape == (384, 512, 3)
    assert abs(drawn - kept).mean() < 1


def test_a_name_that_no_picture_has_is_a_mistake_of_usage(tmp_path):
    words = [sys.executable, EXAMPLES / "draw.py", "harbor", "--folder", tmp_path]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert "no such picture: harbor" in done.stderr
