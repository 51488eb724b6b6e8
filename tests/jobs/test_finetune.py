"""A whole run, on pictures in three kinds of coloured stripes and a network of four convolutions."""

import csv
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from imgnn.data.lists import Entry, write_list
from imgnn.errors import DivergedError, ImgnnError, InputError, InterruptedRun
from imgnn.images.preprocessing import Preprocessing
from imgnn.jobs.classify import classify_images
from imgnn.jobs.finetune import finetune, resume
from imgnn.jobs.finetune_run import START
from imgnn.jobs.load import load_network
from imgnn.jobs.mean import compute_mean
from imgnn.networks.files import save_network
from imgnn.networks.layers import concat, conv, dropout, global_average_pool, max_pool, relu, softmax
from imgnn.networks.network import Network
from imgnn.networks.registry import LayerRoles
from imgnn.options import ClassifyOptions, FinetuneOptions, MeanOptions
from imgnn.runs import Silent
from imgnn.training.checkpoint import load_checkpoint
from imgnn.training.run_folder import BEST, LAST, PREDICTIONS, REPORT, SKIPPED, options_from
from imgnn.training.run_log import read_log

CLASSES = ("across", "checks", "down")
SIZE = 24  # pixels


def stripes(name: str, random: np.random.Generator) -> np.ndarray:
    """A noisy picture of a class: uint8 (30, 40, 3)."""
    rows, columns = np.mgrid[:30, :40]
    period, shift = random.integers(6, 9), random.integers(8)
    down = (columns + shift) // (period // 2) % 2
    across = (rows + shift) // (period // 2) % 2
    pattern = {"across": across, "down": down, "checks": across ^ down}[name]
    tint = np.roll((1.0, 0.6, 0.4), CLASSES.index(name)) * random.uniform(0.6, 1, 3)
    picture = 255 * pattern[..., None] * tint + random.normal(0, 20, (30, 40, 3))
    return np.clip(picture, 0, 255).astype("uint8")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """train/CLASS and val/CLASS: 12 and 4 pictures of each class."""
    folder, random = tmp_path_factory.mktemp("stripes"), np.random.default_rng(1)
    for part, count in (("train", 12), ("val", 4)):
        for name in CLASSES:
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                Image.fromarray(stripes(name, random)).save(folder / part / name / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def network(tmp_path_factory) -> str:
    """The file of a network with seeded random filters, of the kind that sees edges."""
    random = np.random.default_rng(0)
    data = x = keras.Input((SIZE, SIZE, 3), name="data")
    x = relu(conv(x, 8, 3, pad=1, name="conv1"), name="relu1")
    x = max_pool(x, 2, stride=2, name="pool1")
    left = relu(conv(x, 8, 3, pad=1, name="conv2a"), name="relu2a")
    right = relu(conv(x, 8, 5, pad=2, name="conv2b"), name="relu2b")
    x = dropout(concat([left, right], name="both"), 0.5, name="drop")
    x = relu(conv(x, 7, 1, name="conv3"), name="relu3")
    model = keras.Model(data, softmax(global_average_pool(x, name="pool3"), name="prob"))
    for variable in model.weights:
        if len(variable.shape) > 1:
            deviation = np.sqrt(2 / np.prod(variable.shape[:-1])) / (60 if variable.path.startswith("conv1/") else 1)
            variable.assign(random.normal(0, deviation, variable.shape))
    names = [layer.name for layer in model.layers[1:]]
    made = Network(
        "edges",
        model,
        Preprocessing((SIZE, SIZE), mean=(100.0, 100.0, 100.0), resize=28),
        layers=dict(zip(names, names, strict=True)),
        blobs={**{name: (name, 0) for name in ("pool1", "both")}, "conv1": ("relu1", 0)},
        roles=LayerRoles(
            style=("conv1",), content=("pool1",), dream=("both",), features=("both",), classifier=("conv3",),
            head=("pool1", "both"),
        ),
    )  # fmt: skip
    path = tmp_path_factory.mktemp("network") / "edges.keras"
    save_network(made, path)
    return str(path)


@pytest.fixture
def options(network) -> FinetuneOptions:
    """Quick, and the same on every machine."""
    return FinetuneOptions(
        network=network, size=SIZE, batch=8, head_epochs=15, epochs=2, precision="float32", report=False
    )


class Heard(Silent):
    """Keeps what is said, and can press Ctrl-C at a step."""

    def __init__(self, stop_at: int | None = None, task: str = "") -> None:
        self.notes: list[str] = []
        self.stop_at, self.task, self.now, self.steps = stop_at, task, "", 0

    def note(self, message: str) -> None:
        self.notes.append(message)

    def begin(self, task: str, total: float | None, unit: str = "") -> None:
        self.now = task

    def advance(self, done: float, **facts: float) -> None:
        if self.now == self.task:
            self.steps += 1
            if self.steps == self.stop_at:
                os.kill(os.getpid(), signal.SIGINT)


def log_of(folder: Path) -> list[dict]:
    """The log without what differs from run to run."""
    clock = ("time", "seconds", "images_per_second")
    return [{key: value for key, value in row.items() if key not in clock} for row in read_log(folder / "log.jsonl")]


def weights_of(folder: Path) -> dict[str, np.ndarray]:
    arrays, _ = load_checkpoint(folder / LAST)
    return arrays


# What comes out


@pytest.mark.parametrize("recipe", ["head", "svm", "gradual", "one-cycle"])
def test_recipes_learn_what_they_are_shown(recipe, options, pictures, tmp_path):
    epochs = 30 if recipe == "head" else 2
    lengths = {"epochs": None, "head_epochs": 40} if recipe == "svm" else {"epochs": epochs, "head_epochs": 30}
    done = finetune(pictures, tmp_path / "run", replace(options, recipe=recipe, **lengths))
    assert done.scores.accuracy >= 0.8  # by chance 0.33
    assert done.classes == CLASSES


def test_a_network_from_scratch_learns(options, pictures, tmp_path, monkeypatch):
    from imgnn.jobs import finetune as job

    monkeypatch.setattr(job.names, "network_of", lambda spec, **_: load_network(options.network))
    wanted = replace(
        options,
        network="caffenet",
        from_scratch=True,
        head_epochs=40,
        epochs=25,
        learning_rate=0.02,
        schedule="one-cycle",
        dropout=0.0,
    )
    done = finetune(pictures, tmp_path / "run", wanted)
    assert done.scores.accuracy >= 0.6


def test_the_predictions_are_those_of_classify_run(options, pictures, tmp_path):
    finetune(pictures, tmp_path / "run", options)
    with (tmp_path / "run" / PREDICTIONS).open() as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    for result in classify_images(list(rows), ClassifyOptions(network=str(tmp_path / "run"), top=3)):
        row, probs = rows[str(result.path)], {each.words: each.prob for each in result.predictions}
        assert max(probs, key=probs.get) == row["predicted"]
        assert probs[row["label"]] == pytest.approx(float(row["prob"]), abs=1e-5)


def test_what_is_frozen_keeps_its_weights(options, pictures, tmp_path):
    finetune(pictures, tmp_path / "run", replace(options, recipe="one-cycle", freeze="pool1"))
    before, after = load_network(options.network).model, load_network(tmp_path / "run").model
    same = [
        np.array_equal(*(model.get_layer(name).get_weights()[0] for model in (before, after)))
        for name in ("conv1", "conv2a", "conv2b")
    ]
    assert same == [True, False, False]


def test_the_network_kept_is_free_of_what_training_did_to_it(options, pictures, tmp_path):
    options = replace(options, recipe="one-cycle", freeze="pool1", precision="bfloat16", save_every=0.0)
    finetune(pictures, tmp_path / "run", options)
    layers = keras.saving.load_model(tmp_path / "run" / BEST).layers
    assert {layer.dtype_policy.name for layer in layers} == {"float32"}
    assert all(layer.trainable for layer in layers)


def test_a_run_has_all_its_files(options, pictures, tmp_path):
    finetune(pictures, tmp_path / "run", replace(options, report=True))
    found = {path.name for path in (tmp_path / "run").iterdir()}
    assert found == {
        "config.json", "log.jsonl", "log.csv", "events", "curves.png", BEST, LAST, PREDICTIONS, REPORT,
    }  # fmt: skip
    assert json.loads((tmp_path / "run" / "config.json").read_text())["classes"] == list(CLASSES)


def test_the_network_of_a_run_can_be_finetuned_again(options, pictures, tmp_path):
    finetune(pictures, tmp_path / "first", options)
    again = replace(options, network=str(tmp_path / "first"), recipe="one-cycle")
    assert finetune(pictures, tmp_path / "second", again).scores.accuracy >= 0.8


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(options, pictures, tmp_path):
    options = replace(options, recipe="one-cycle", dropout=0.3, mixup=0.2)
    runs = {name: tmp_path / name for name in "abc"}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        finetune(pictures, runs[name], replace(options, seed=seed))
    a, b, c = (weights_of(runs[name]) for name in "abc")
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert not all(np.array_equal(a[name], c[name]) for name in a)


# Stopped and resumed


@pytest.mark.parametrize(
    ("task", "step"), [("features", 1), ("head", 7), ("head", 60), ("all", 1), ("all", 6), ("all", 8)]
)
def test_a_resumed_run_ends_where_an_unbroken_one_ends(task, step, options, pictures, tmp_path):
    options = replace(options, recipe="one-cycle", epochs=3, dropout=0.3, cutmix=0.5, colour=0.2, optimizer="adam")
    finetune(pictures, tmp_path / "whole", options)
    with pytest.raises(InterruptedRun):
        finetune(pictures, tmp_path / "broken", options, Heard(step, task))
    resume(tmp_path / "broken")
    whole, broken = weights_of(tmp_path / "whole"), weights_of(tmp_path / "broken")
    assert whole.keys() == broken.keys()
    assert [name for name in whole if not np.array_equal(whole[name], broken[name])] == []
    assert log_of(tmp_path / "whole") == log_of(tmp_path / "broken")
    assert (tmp_path / "whole" / PREDICTIONS).read_bytes() == (tmp_path / "broken" / PREDICTIONS).read_bytes()


def test_an_interrupt_tells_where_it_stopped_and_how_to_go_on(options, pictures, tmp_path):
    with pytest.raises(InterruptedRun) as caught:
        finetune(pictures, tmp_path / "run", replace(options, recipe="one-cycle"), Heard(2, "all"))
    assert caught.value.exit_code == 130
    assert str(caught.value) == f"saved at step 2 of epoch 16, stage all, in {tmp_path / 'run'}"
    assert caught.value.hint == f"imgnn finetune --resume {tmp_path / 'run'}"


def test_a_run_that_is_done_is_only_summed_up_again(options, pictures, tmp_path):
    first = finetune(pictures, tmp_path / "run", options)
    again = resume(tmp_path / "run")
    assert again.scores.accuracy == first.scores.accuracy
    assert again.epochs == first.epochs


def test_resume_refuses_other_pictures(options, pictures, tmp_path):
    moved = tmp_path / "pictures"
    subprocess.run(["cp", "-r", pictures, moved], check=True)
    finetune(moved, tmp_path / "run", options)
    (moved / "train" / "down" / "0.png").unlink()
    with pytest.raises(InputError, match=r"are not those that .*run was begun with"):
        resume(tmp_path / "run")


KILLED = """
import sys
from pathlib import Path
from imgnn import start
start.quiet()
from imgnn.jobs.finetune import finetune, resume
from imgnn.options import FinetuneOptions
from imgnn.training.run_folder import options_from
import json
if sys.argv[1] == "resume":
    resume(Path(sys.argv[2]))
else:
    finetune(Path(sys.argv[3]), Path(sys.argv[2]), options_from(json.loads(sys.argv[4]), FinetuneOptions))
"""


@pytest.mark.slow
def test_a_run_killed_anywhere_ends_where_an_unbroken_one_ends(options, pictures, tmp_path, random):
    from dataclasses import asdict

    options = replace(options, recipe="one-cycle", epochs=40, save_every=0.2, dropout=0.2)
    words = [str(pictures), json.dumps(asdict(options), default=str)]
    finetune(pictures, tmp_path / "whole", options)
    broken = tmp_path / "broken"
    for _ in range(12):
        mode = "resume" if any((broken / name).exists() for name in (START, BEST)) else "new"
        if mode == "new":
            subprocess.run(["rm", "-rf", broken], check=True)
        process = subprocess.Popen([sys.executable, "-c", KILLED, mode, broken, *words])
        try:
            process.wait(random.uniform(4, 12))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    resume(broken)
    whole, ended = weights_of(tmp_path / "whole"), weights_of(broken)
    assert [name for name in whole if not np.array_equal(whole[name], ended[name])] == []
    assert log_of(tmp_path / "whole") == log_of(broken)


class Weighed(Silent):
    """Notes how much memory the process holds whenever an epoch of pictures begins, MB."""

    def __init__(self) -> None:
        self.epoch, self.held = 0.0, []

    def advance(self, done: float, **facts: float) -> None:
        if facts.get("epoch", self.epoch) != self.epoch:
            self.epoch = facts["epoch"]
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.held.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)


@pytest.mark.slow
def test_memory_does_not_grow_from_epoch_to_epoch(options, pictures, tmp_path):
    weighed = Weighed()
    options = replace(options, recipe="one-cycle", head_epochs=0, epochs=120, mixup=0.2, colour=0.2)
    finetune(pictures, tmp_path / "run", options, weighed)
    assert len(weighed.held) == 120
    assert weighed.held[-1] - weighed.held[40] < 10  # 36 pictures and 80 epochs; a frame is 2 kB, a batch 14 kB


# Pictures and lists


def test_pictures_that_cannot_be_read_are_named_and_left_out(options, pictures, tmp_path):
    some = tmp_path / "pictures"
    subprocess.run(["cp", "-r", pictures, some], check=True)
    (some / "train" / "down" / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    (some / "val" / "checks" / "0.png").write_bytes((some / "val" / "checks" / "0.png").read_bytes()[:200])
    for recipe in ("head", "one-cycle"):
        heard = Heard()
        done = finetune(some, tmp_path / recipe, replace(options, recipe=recipe), heard)
        assert len(done.skipped) == 2
        assert len([note for note in heard.notes if note.startswith("Skipped: ")]) == 2
        lines = (tmp_path / recipe / SKIPPED).read_text().splitlines()
        assert {Path(line.split("\t")[0]).name for line in lines} == {"bad.jpg", "0.png"}
        assert len(done.scores.files) == 11


def test_a_mean_of_other_pictures_is_refused_and_the_right_one_travels_along(options, pictures, tmp_path):
    files = sorted((pictures / "train").rglob("*.png"))
    entries = [Entry(str(path.relative_to(pictures)), CLASSES.index(path.parent.name)) for path in files]
    write_list(tmp_path / "a.txt", entries)
    write_list(tmp_path / "b.txt", entries[:-1])
    compute_mean(tmp_path / "a.txt", tmp_path / "a_mean", MeanOptions(root=pictures, size=(28, 28), crop="caffe"))
    options = replace(options, root=pictures, mean=tmp_path / "a_mean.json", layers=(), recipe="one-cycle")
    done = finetune(tmp_path / "a.txt", tmp_path / "run", replace(options, val_share=0.25))
    assert done.scores is not None
    assert load_network(tmp_path / "run").mean_image.shape == (3, 28, 28)
    with pytest.raises(InputError, match="is the mean of another list"):
        finetune(tmp_path / "b.txt", tmp_path / "other", options)


def test_a_batch_larger_than_the_set_holds_all_of_it(options, pictures, tmp_path):
    heard = Heard()
    finetune(pictures, tmp_path / "run", replace(options, batch=500), heard)
    assert any("pictures only: all in one batch, in place of 500" in note for note in heard.notes)


# What goes wrong


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"colour": 0.2}, "--colour changes nothing in head: it looks at every picture once"),
        (
            {"recipe": "svm", "head_epochs": 40, "epochs": None, "learning_rate": 0.1},
            "--learning-rate changes nothing in svm: it is solved in one go",
        ),
        ({"recipe": "one-cycle", "head_epochs": 0, "epochs": 0}, "nothing would be trained"),
        ({"ungrouped": True}, "--ungrouped goes with --from-scratch"),
        ({"from_scratch": True, "head_epochs": 40, "freeze": "pool1"}, "--freeze does not go with --from-scratch"),
        ({"rates": (("conf*", 2.0),)}, "no layer is called 'conf*'"),
        ({"recipe": "one-cycle", "freeze": "conv9"}, "no layer is called 'conv9'"),
    ],
)
def test_options_that_do_not_fit_are_refused(wanted, told, options, pictures, tmp_path):
    with pytest.raises(ImgnnError) as caught:
        finetune(pictures, tmp_path / "run", replace(options, **wanted))
    assert told in str(caught.value)


def test_a_run_is_not_written_over(options, pictures, tmp_path):
    finetune(pictures, tmp_path / "run", options)
    before = (tmp_path / "run" / BEST).read_bytes()
    with pytest.raises(InputError, match="holds a run already"):
        finetune(pictures, tmp_path / "run", options)
    assert (tmp_path / "run" / BEST).read_bytes() == before


def test_a_folder_that_cannot_be_written_is_told_before_anything_else(options, pictures, tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        finetune(pictures, tmp_path / "nowhere" / "run", options)


def test_a_full_disk_leaves_the_last_checkpoint(options, pictures, tmp_path, monkeypatch):
    from imgnn.training import checkpoint

    saves, real = [], np.savez

    def full(*arguments, **arrays):
        saves.append(1)
        if len(saves) > 2:
            raise OSError(28, "No space left on device")
        real(*arguments, **arrays)

    monkeypatch.setattr(checkpoint.np, "savez", full)
    with pytest.raises(InputError, match=r"last\.npz: No space left on device"):
        finetune(pictures, tmp_path / "run", replace(options, recipe="one-cycle"))
    monkeypatch.undo()
    assert resume(tmp_path / "run").scores.accuracy >= 0.5


def test_a_loss_that_runs_away_is_told_with_the_epoch(options, pictures, tmp_path):
    wild = replace(options, recipe="caffe", head_epochs=40, learning_rate=1e12, layers=())
    with pytest.raises(DivergedError, match=r"no longer finite, at step \d of epoch 1") as caught:
        finetune(pictures, tmp_path / "run", wild)
    assert "--learning-rate" in caught.value.hint


def test_a_head_that_cannot_learn_is_told_after_a_few_steps(options, pictures, tmp_path):
    heard = Heard()
    done = finetune(
        pictures,
        tmp_path / "run",
        replace(options, recipe="caffe", head_epochs=40, layers=(), learning_rate=0.0, epochs=8),
        heard,
    )
    assert any("the loss does not fall" in warning for warning in done.warnings)
    assert any("the loss does not fall" in note for note in heard.notes)


# Other devices and backends

TWO = """
import json, sys
from pathlib import Path
from imgnn import start
start.quiet()
import tensorflow as tf
count = int(sys.argv[1])
if count > 1:
    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * count)
from imgnn.jobs.finetune import finetune
from imgnn.options import FinetuneOptions
from imgnn.training.run_folder import options_from
finetune(Path(sys.argv[3]), Path(sys.argv[2]), options_from(json.loads(sys.argv[4]), FinetuneOptions))
"""


def test_two_devices_give_the_loss_curve_of_one(options, pictures, tmp_path):
    from dataclasses import asdict

    options = replace(options, recipe="one-cycle", devices="all", dropout=0.0)
    for count in (1, 2):
        words = [str(count), tmp_path / str(count), pictures, json.dumps(asdict(options), default=str)]
        subprocess.run([sys.executable, "-c", TWO, *words], check=True, timeout=300)
    one, two = (
        [row["loss"] for row in log_of(tmp_path / name) if row["kind"] == "step" and row["stage"] == "all"]
        for name in "12"
    )
    np.testing.assert_allclose(one, two, rtol=1e-4)
    assert json.loads((tmp_path / "2" / "config.json").read_text())["machine"].startswith(f"{os.uname().machine}, 2 x")


def test_options_come_back_from_the_config(options):
    from dataclasses import asdict

    wanted = replace(options, val=Path("/x/val"), layers=("a", "b"), rates=(("conv*", 2.0),), freeze="pool1")
    assert options_from(json.loads(json.dumps(asdict(wanted), default=str)), FinetuneOptions) == wanted


# Between two files


@pytest.mark.parametrize("which", [1, 2, 3, 4, 5, 6])
def test_a_run_killed_between_two_files_ends_as_if_it_had_not(which, options, pictures, tmp_path, monkeypatch):
    from imgnn.training import training_run

    options = replace(options, recipe="gradual", epochs=1, head_epochs=4, dropout=0.3, optimizer="adam")
    finetune(pictures, tmp_path / "whole", options)
    saves, real = [], training_run.save_checkpoint

    def killed(*arguments):
        saves.append(1)
        if len(saves) == which:
            raise KeyboardInterrupt  # best.keras is written already
        real(*arguments)

    monkeypatch.setattr(training_run, "save_checkpoint", killed)
    with pytest.raises(KeyboardInterrupt):
        finetune(pictures, tmp_path / "broken", options)
    monkeypatch.undo()
    resume(tmp_path / "broken")
    whole, broken = weights_of(tmp_path / "whole"), weights_of(tmp_path / "broken")
    assert [name for name in whole if not np.array_equal(whole[name], broken[name])] == []
    assert log_of(tmp_path / "whole") == log_of(tmp_path / "broken")


def test_a_run_of_a_relative_path_is_resumed_from_anywhere(options, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(pictures)
    with pytest.raises(InterruptedRun):
        finetune(Path("train"), tmp_path / "run", options, Heard(3, "head"))  # a part is held out
    monkeypatch.chdir(tmp_path)
    assert resume(tmp_path / "run").epochs == 2


def test_resume_refuses_when_there_is_a_validation_list_that_was_not_there(options, pictures, tmp_path):
    files = sorted((pictures / "train").rglob("*.png"))
    entries = [Entry(str(path.relative_to(pictures)), CLASSES.index(path.parent.name)) for path in files]
    write_list(tmp_path / "a_train.txt", entries)
    options = replace(options, root=pictures, val_share=0.0)
    finetune(tmp_path / "a_train.txt", tmp_path / "run", options)
    write_list(tmp_path / "a_val.txt", entries[:3])
    with pytest.raises(InputError, match="are not those that"):
        resume(tmp_path / "run")


def test_one_corrupt_picture_with_batches_of_one_keeps_its_place(options, pictures, tmp_path):
    some = tmp_path / "pictures"
    subprocess.run(["cp", "-r", pictures, some], check=True)
    (some / "train" / "down" / "5.png").write_bytes(b"no picture")
    options = replace(options, recipe="one-cycle", batch=1, epochs=2, head_epochs=0)
    finetune(some, tmp_path / "whole", options)
    with pytest.raises(InterruptedRun):
        finetune(some, tmp_path / "broken", options, Heard(40, "all"))
    resume(tmp_path / "broken")
    assert log_of(tmp_path / "whole") == log_of(tmp_path / "broken")


def test_a_run_that_diverges_keeps_its_best_network(options, pictures, tmp_path, monkeypatch):
    from imgnn.training.trainer import Trainer

    real, steps = Trainer.step, []

    def step(self, *arguments):
        steps.append(1)
        if len(steps) > 40:
            raise DivergedError("the loss is no longer finite")
        return real(self, *arguments)

    monkeypatch.setattr(Trainer, "step", step)
    with pytest.raises(DivergedError, match=r"at step \d+ of epoch \d+, in .*run"):
        finetune(pictures, tmp_path / "run", replace(options, epochs=30))
    assert (tmp_path / "run" / BEST).is_file()
