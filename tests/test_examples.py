"""The scripts in examples/ do what they say."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from imgnn.data.lists import read_list
from imgnn.home import ASSETS
from imgnn.images.files import load_image
from tests.data import site as web
from tests.data.site import picture, site

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_lists_of_addresses_become_a_list_to_train_with_and_a_mean(tmp_path):
    with site() as server:
        for index, name in enumerate(("cats", "dogs")):
            server.answers |= {f"/{name}/{n}.jpg": web.sends(picture(100 * index + n, (40, 48))) for n in range(10)}
            lines = [f"{server.url}/{name}/{n}.jpg" for n in range(12)]
            (tmp_path / f"{name}.txt").write_text("\n".join(lines))
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "IMGNN_OFFLINE": "",
            "FETCH": "--allow-private",
        }
        words = [EXAMPLES / "dataset.sh", "pets", "cats.txt", "dogs.txt"]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    train, val = (read_list(tmp_path / f"pets_{part}.txt") for part in ("train", "val"))
    assert (len(train.entries), len(val.entries), dict(train.words)) == (16, 4, {0: "cats", 1: "dogs"})
    used = [np.asarray(load_image(train.file(entry)), "float64") for entry in train.entries]
    mean = np.load(tmp_path / "pets_train_mean.npy")
    # Pictures of 40 x 48 are enlarged to 256 x 256: the mean over all pixels stays nearly what it was.
    np.testing.assert_allclose(mean.mean((1, 2))[::-1], np.mean(used, axis=(0, 1, 2)), atol=1.5)
    assert {path.name for path in (tmp_path / "pets_train_sheets").iterdir()} == {"0_cats.png", "1_dogs.png"}


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
