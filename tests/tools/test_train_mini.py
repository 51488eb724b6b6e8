"""A training of mini on drawn pictures, whose teachers are small, random and quick; its numbers mean nothing."""

import csv
import json
import shutil
import sys
from argparse import Namespace

import keras
import numpy as np
import pytest
from PIL import Image

from imgnn.home import ASSETS
from imgnn.images.preprocessing import Preprocessing
from imgnn.networks.network import Network
from imgnn.training.checkpoint import load_checkpoint
from tools import train_mini

SIDE, BATCH, STEPS = 32, 2, 4
KINDS = ("circle", "square", "stripe")


def make_teacher(name: str) -> Network:
    """What has the layers of a teacher that are asked for: seeded filters on means of the picture, as coarse as mini's
    layer that is to give the same."""
    data = keras.Input((None, None, 3), name="data")
    wanted = {each.blob: (2 ** (int(each.layer[4]) - 1), 4) for each in train_mini.HINTS if each.teacher == name}
    if name == "googlenet":
        wanted[train_mini.DESCRIPTION] = (16, 1024)
    blobs, outputs = {}, []
    for number, (blob, (stride, channels)) in enumerate(wanted.items()):
        x = keras.layers.AveragePooling2D(stride)(data) if stride > 1 else data
        initial = keras.initializers.GlorotUniform(number)
        layer = keras.layers.Conv2D(channels, 1, activation="relu", kernel_initializer=initial, name=f"layer{number}")
        outputs.append(layer(x))
        blobs[blob] = (layer.name, 0)
    if name == "googlenet":
        x = keras.layers.GlobalAveragePooling2D()(outputs[-1])
        initial = keras.initializers.GlorotUniform(99)
        outputs.append(keras.layers.Dense(1000, kernel_initializer=initial, name="loss3__classifier")(x))
    model = keras.Model(data, outputs)
    return Network(
        name, model, Preprocessing((224, 224)), {keras_name: keras_name for keras_name, _ in blobs.values()}, blobs
    )


def draw(path, kind: int, random: np.random.Generator) -> str:
    """A 40 x 48 picture with a bright shape on noise."""
    pixels = random.integers(0, 100, (40, 48, 3), dtype="uint8")
    rows, columns = np.mgrid[:40, :48]
    shape = ((rows - 20) ** 2 + (columns - 24) ** 2 < 150, abs(rows - 20) + 0 * columns < 12, columns % 12 < 5)[kind]
    pixels[shape] += random.integers(60, 150, 3, dtype="uint8")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path.name


@pytest.fixture
def words(tmp_path, random) -> list[str]:
    """The command's words but for the run: captions of nine pictures to train on and four held out, and two classes."""
    lines = []
    for number in range(13):
        name = draw(tmp_path / "data" / f"{number}.png", number % 3, random)
        split = "train" if number < 9 else "val"
        lines.append({"image": name, "split": split, "captions": [f"a {KINDS[number % 3]} in the dark"]})
    (tmp_path / "data" / "captions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for number in range(4):
        draw(tmp_path / "classes" / KINDS[number % 2] / f"{number}.png", number % 2, random)
    data = ["--captions", tmp_path / "data" / "captions.jsonl", "--classes", tmp_path / "classes"]
    return [
        str(word) for word in (*data, "--side", SIDE, "--batch", BATCH, "--steps", STEPS, "--vgg19", "own.caffemodel")
    ]


@pytest.fixture
def train(tmp_path, words, monkeypatch):
    """Train in a folder of tmp_path; what was kept at each checkpoint is beside it, as 2.npz and 4.npz."""
    named = {"own.caffemodel": "vgg19"}
    monkeypatch.setattr(train_mini, "load_network", lambda source: make_teacher(named.get(source, source)))
    monkeypatch.setattr(train_mini.backend, "precision_of", lambda _: "float32")
    for name, value in {"EVERY": 2, "TOLD": 2, "SEEN": 2}.items():
        monkeypatch.setattr(train_mini, name, value)
    keep = train_mini.keep

    def keep_each(student, options, step, seconds):
        keep(student, options, step, seconds)
        shutil.copy(options.run / "checkpoint.npz", options.run / f"{step}.npz")

    monkeypatch.setattr(train_mini, "keep", keep_each)

    def run(name):
        monkeypatch.setattr(sys, "argv", ["train_mini.py", str(tmp_path / name), *words])
        policy = keras.config.dtype_policy()
        try:
            train_mini.main()
        finally:
            keras.config.set_dtype_policy(policy)
        return tmp_path / name

    return run


def test_a_run_that_was_stopped_ends_where_an_unbroken_one_ends(train, tmp_path):
    whole = train("whole")
    (tmp_path / "broken").mkdir()
    shutil.copy(whole / "2.npz", tmp_path / "broken" / "checkpoint.npz")
    shutil.copy(whole / "log.csv", tmp_path / "broken")  # it went on after the checkpoint, and was killed then
    broken = train("broken")
    for name in ("checkpoint.npz", "mini.npz"):
        with np.load(whole / name) as one, np.load(broken / name) as other:
            assert one.files == other.files
            different = [key for key in one.files if not np.array_equal(one[key], other[key])]
            assert [key for key in different if key != "facts"] == []  # these tell the seconds
    assert json.loads((whole / "figures.json").read_text()) == json.loads((broken / "figures.json").read_text())

    (before, _), (after, facts) = (load_checkpoint(whole / name) for name in ("2.npz", "4.npz"))
    assert facts["step"] == STEPS
    assert sum(not np.array_equal(before[name], after[name]) for name in before) > len(before) / 2, "it moves"
    with np.load(whole / "mini.npz") as made, np.load(ASSETS / "mini.npz") as packaged:
        assert {name: made[name].shape for name in made.files} == {
            name: packaged[name].shape for name in packaged.files
        }
        assert all(made[name].dtype == "float16" and np.isfinite(made[name]).all() for name in made.files)
    with (broken / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "4"]
    assert all(np.isfinite(float(value)) for value in rows[0].values())


def test_a_run_with_other_options_is_not_gone_on_with(tmp_path):
    train_mini.save_checkpoint(tmp_path / "checkpoint.npz", {}, {"step": 2, "options": {"seed": "1", "steps": "4"}})
    with pytest.raises(SystemExit, match=r"is of a run with --steps 4, not 6"):
        train_mini.restore(None, Namespace(run=tmp_path, seed=1, steps=6))


def test_what_a_step_sees_depends_on_seed_and_step_alone(words, tmp_path, monkeypatch):
    monkeypatch.setattr(train_mini, "SEEN", 2)
    options = Namespace(
        captions=[tmp_path / "data" / "captions.jsonl"], classes=[], share=0.3, seed=1, batch=3, side=SIDE
    )
    photos, held_out = train_mini.read_photos(options)
    assert (len(photos.images), len(held_out), photos.vocabulary) == (9, 4, sorted(KINDS))
    (one, said), (again, _), (other, _) = (train_mini.batch_of(photos, step, options) for step in (5, 5, 6))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    assert (one.shape, said.sum(axis=1).tolist()) == ((3, SIDE, SIDE, 3), [1.0] * 3)
