"""The scripts in examples/ do what they say."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from imgnn.data.lists import read_list
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
