"""The package's copy of a run: the model, and nothing of the people and pictures that it was made of."""

import json
import sys

import numpy as np
import pytest

from imgnn.data.known_pictures import KnownPictures
from imgnn.jobs.sentence_model import load_sentence_model
from imgnn.jobs.train_caption import train_caption
from imgnn.options import TrainCaptionOptions
from imgnn.training.checkpoint import load_checkpoint
from imgnn.web.voices import Run
from tests.jobs.made_captions import paint_halves
from tools import package_captions

GREYS = {"night": (0, 0), "dusk": (40, 200), "day": (230, 240)}


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A run on drawn pictures, through mini, and its copy with five donors: `(run, copy)`."""
    folder = tmp_path_factory.mktemp("packed")
    lines = []
    for split in ("train", "val"):
        for name, (left, right) in GREYS.items():
            for number in range(3):
                file = f"{split}/secret_{name}_{number}.png"
                paint_halves(folder / "data" / file, left + number, right + number)
                captions = [f"The sky of {name}, as Alice saw it.", f"Quite a {name}!"]
                lines.append(json.dumps({"image": file, "split": split, "captions": captions}) + "\n")
    (folder / "data" / "captions.jsonl").write_text("".join(lines))
    options = TrainCaptionOptions(
        size=32, minimum=1, hidden=6, embedding=5, batch=8, epochs=1, learning_rate=0.02, precision="float32"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMGNN_HOME", str(folder / "home"))
        train_caption(folder / "data" / "captions.jsonl", folder / "run", options)
        patch.setattr(sys, "argv", ["package_captions.py", str(folder / "run"), str(folder / "copy"), "--donors", "5"])
        package_captions.main()
    return folder / "run", folder / "copy"


def test_matrices_are_rounded_to_float16_and_vectors_are_not(packed):
    (own, _), (kept, _) = (load_checkpoint(folder / "best.npz") for folder in packed)
    assert kept.keys() == own.keys()
    for name, array in own.items():
        assert kept[name].dtype == ("float16" if array.ndim > 1 else "float32"), name
        np.testing.assert_array_equal(kept[name], array.astype(kept[name].dtype))
    assert {array.ndim for array in own.values()} >= {1, 2}


def test_it_is_a_run_that_speaks_as_the_first_one_does(packed):
    one, other = (load_sentence_model(folder, "caption") for folder in packed)
    assert (one.vocabulary.words, one.feature, one.tokenizer.name) == (
        other.vocabulary.words,
        other.feature,
        other.tokenizer.name,
    )
    for name, array in one.decoder.weights().items():
        np.testing.assert_allclose(other.decoder.weights()[name], array, atol=1e-3)


def test_it_lends_and_cannot_retrieve(packed):
    run, copy = map(Run.open, packed)
    assert (run.modes, copy.modes) == (("mismatch", "model", "retrieve"), ("mismatch", "model"))
    assert copy.pictures == ()
    known = KnownPictures.load(packed[1])
    assert [each.name for each in known.pictures] == [f"photo {number}" for number in range(1, 6)]
    np.testing.assert_array_equal(known.features, KnownPictures.load(packed[0]).features[:5])


def test_no_caption_no_name_of_a_file_and_no_folder_is_kept(packed):
    assert sorted(path.name for path in packed[1].iterdir()) == [
        "best.npz", "config.json", "metrics.json", "pictures.jsonl", "pictures.npz", "vocabulary.json",
    ]  # fmt: skip
    for path in packed[1].iterdir():
        content = path.read_bytes()
        for told in (b"secret", b"as Alice", b"Quite a", b"captions.jsonl", str(packed[0].parent).encode()):
            assert told not in content, path.name
    _, facts = load_checkpoint(packed[1] / "best.npz")  # packed: its bytes tell nothing
    assert "secret" not in json.dumps(facts) and str(packed[0].parent) not in json.dumps(facts)
