"""The model of tests/jobs/made_captions.py as one of boke, with pictures that it knows."""

from pathlib import Path

import numpy as np

from imgnn.data.known_pictures import KnownPicture, KnownPictures
from imgnn.training.run_folder import write_config
from tests.jobs.made_captions import WORDS, make_model

END = 1.0  # its logit: a bright half is more probable, and a dark one less
KNOWN = (  # name, how bright the halves are, what was said of it and how many liked it
    ("left.jpg", (1.0, 0.0), {"left": 3}),
    ("leftish.jpg", (1.0, 0.5), {"leave": 1, "it is left": 7}),
    ("both.jpg", (1.0, 1.0), {"both": 2}),
    ("rightish.jpg", (0.5, 1.0), {"write": 4}),
    ("right.jpg", (0.0, 1.0), {"right": 5, "alright": 5}),
)


def make_boke_model(folder: Path, words: tuple[str, ...] = WORDS, *, tokenizer: str = "words") -> Path:
    """The folder of a run of boke, which knows KNOWN; the files of these pictures are not there."""
    make_model(folder, words, end=END)
    write_config(folder, {"kind": "boke", "tokenizer": {"name": tokenizer}})
    know(folder)
    return folder


def know(folder: Path) -> None:
    """Let a run know the pictures of KNOWN."""
    pictures = tuple(
        KnownPicture(name, f"/gone/{name}", "train", tuple(said), tuple(said.values())) for name, _, said in KNOWN
    )
    KnownPictures(pictures, np.array([halves for _, halves, _ in KNOWN], "float16")).save(folder)
