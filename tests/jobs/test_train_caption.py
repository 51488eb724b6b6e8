"""A whole run, on pictures in three colours whose captions name them, and a network that sees the mean colour."""

import csv
import json
import math
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from imgnn.data.caption_files import read_captions, read_results
from imgnn.errors import DivergedError, InputError, InterruptedRun, WeightsError
from imgnn.images.files import load_image
from imgnn.jobs.caption_data import prepare_material, read_data, tokens_of, words_of
from imgnn.jobs.caption_run import CaptionTraining
from imgnn.jobs.picture_features import FeatureExtractor, extractor_of
from imgnn.jobs.sentence_model import load_caption_model
from imgnn.jobs.sentence_sources import CachedSource, PictureSource
from imgnn.jobs.train_caption import resume_caption, train_caption
from imgnn.language.decoder import Decoder, DecoderSpec
from imgnn.networks.files import save_network
from imgnn.options import TrainCaptionOptions
from imgnn.runs import Silent
from imgnn.training import training_run
from imgnn.training.checkpoint import load_checkpoint
from imgnn.training.joint_trainer import JointTrainer
from imgnn.training.run_folder import (
    CAPTIONS,
    CONFIG,
    DECODER,
    LAST,
    METRICS,
    NETWORK,
    SKIPPED,
    VOCABULARY,
    options_from,
    read_config,
)
from imgnn.training.run_log import read_log
from imgnn.training.sentence_trainer import SentenceTrainer
from tests.jobs.test_finetune import Heard
from tests.training.made import COLOURS, make_network

SIDE = 8  # pixels, as the network takes them: nothing is scaled
CLOCK = ("time", "seconds", "tokens_per_second")
SPLITS = {"train": 6, "val": 2}  # pictures of each colour


def says(colour):
    return [f"A {colour} picture.", f"all of it is {colour}"]


def write_lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture(scope="session")
def painted(tmp_path_factory) -> Path:
    """captions.jsonl and its pictures: 18 to train on and 6 to judge by, each with two captions."""
    folder, random = tmp_path_factory.mktemp("colours"), np.random.default_rng(3)
    records = []
    for split, count in SPLITS.items():
        (folder / split).mkdir()
        for colour, values in COLOURS.items():
            for number in range(count):
                name = f"{split}/{colour}_{split[0]}{number}.png"
                noisy = np.array(values) * 0.6 + 50 + random.normal(0, 30, (SIDE, SIDE, 3))
                Image.fromarray(np.clip(noisy, 0, 255).astype("uint8")).save(folder / name)
                records.append({"image": name, "split": split, "captions": says(colour)})
    write_lines(folder / "captions.jsonl", records)
    return folder


@pytest.fixture
def data(painted, tmp_path) -> Path:
    """A copy of it that may be changed."""
    return shutil.copytree(painted, tmp_path / "data") / "captions.jsonl"


@pytest.fixture(scope="session")
def network(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("network") / "colours.keras"
    save_network(make_network(), path)
    return str(path)


@pytest.fixture
def options(network) -> TrainCaptionOptions:
    """Quick, and the same on every machine."""
    return TrainCaptionOptions(
        network=network, layers=("conv1",), minimum=1, hidden=16, embedding=16, dropout=0.1, batch=8, epochs=2,
        learning_rate=0.02, precision="float32", save_every=0.0,
    )  # fmt: skip


@pytest.fixture
def train(painted, tmp_path, options):
    """Train in tmp_path / "run", or another folder of it."""

    def run(name="run", reporter=None, source=None, **changed):
        folder = tmp_path / name
        return train_caption(source or painted / "captions.jsonl", folder, replace(options, **changed), reporter)

    return run


def log_of(folder):
    """The log without what differs from run to run."""
    return [{key: value for key, value in row.items() if key not in CLOCK} for row in read_log(folder / "log.jsonl")]


def epochs_of(folder):
    return [row for row in log_of(folder) if row["kind"] == "epoch"]


def check_same_end(one, other):
    """Whether two runs came to the same bits."""
    for name in (LAST, DECODER):
        whole, broken = (load_checkpoint(folder / name)[0] for folder in (one, other))
        assert whole.keys() == broken.keys()
        assert [key for key in whole if not np.array_equal(whole[key], broken[key])] == []
    assert log_of(one) == log_of(other)
    for name in (CAPTIONS, VOCABULARY):
        assert (one / name).read_bytes() == (other / name).read_bytes()


# What comes out


@pytest.fixture(scope="session")
def learnt(painted, network, tmp_path_factory):
    """A run that is done, its result, and what was said."""
    heard, folder = Heard(), tmp_path_factory.mktemp("runs") / "run"
    options = TrainCaptionOptions(
        network=network, layers=("conv1",), minimum=1, hidden=16, embedding=16, dropout=0.1, batch=8, epochs=8,
        learning_rate=0.02, precision="float32",
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMGNN_HOME", str(folder.parent / "home"))
        done = train_caption(painted / "captions.jsonl", folder, options, heard, command="imgnn train caption x")
    return folder, done, heard.notes


def test_it_learns_to_name_what_it_sees(learnt):
    folder, done, _ = learnt
    rows = epochs_of(folder)
    assert len(rows) == done.epochs == 8
    assert done.cider_d == max(row["cider_d"] for row in rows) == rows[done.epoch - 1]["cider_d"]
    assert done.cider_d > rows[0]["cider_d"]
    assert rows[-1]["val_loss"] < rows[0]["val_loss"] and rows[-1]["loss"] < rows[0]["loss"]
    assert done.image_gain > 0.2
    assert (done.distinct, done.pictures, done.skipped, done.warnings) == (3, 6, {}, ())
    assert done.perplexity == pytest.approx(math.exp(rows[done.epoch - 1]["val_loss"]))
    assert done.tokens_per_second > 0 and done.seconds > 0
    for name, caption in read_results(folder / CAPTIONS).items():
        colour = name.partition("_")[0]
        assert set(caption.lower().rstrip(".").split()) & COLOURS.keys() == {colour}


def test_an_image_gain_is_what_the_colours_name_costs_beside_another_picture(learnt):
    """Once the colour is read off the picture, a wrong one costs; of 9 tokens of a picture two are the colour."""
    rows = epochs_of(learnt[0])
    assert rows[0]["image_gain"] < rows[-1]["image_gain"]


def test_a_run_has_all_its_files(learnt):
    assert {path.name for path in learnt[0].iterdir()} == {
        CONFIG, VOCABULARY, DECODER, LAST, METRICS, CAPTIONS, "curves.png", "log.csv", "log.jsonl", "events",
        "pictures.jsonl", "pictures.npz",
    }  # fmt: skip


def test_the_config_says_what_was_trained_of_what(learnt, network, painted):
    config = read_config(learnt[0])
    assert (config["kind"], config["command"]) == ("caption", "imgnn train caption x")
    assert config["feature"] | {"weights": 0, "preprocessing": 0} == {
        "network": network, "weights": 0, "layers": ["conv1"], "size": SIDE, "preprocessing": 0, "numbers": 3,
    }  # fmt: skip
    assert len(config["feature"]["weights"]) == 64
    assert config["feature"]["preprocessing"]["channel_order"] == "RGB"
    assert config["decoder"] == asdict(DecoderSpec(vocabulary=12, feature=3, embedding=16, hidden=16))
    assert config["source"] == str(painted / "captions.jsonl")
    assert len(config["data"].pop("sha256")) == 64
    assert config["data"] == {
        "form": "jsonl",
        "train": {"pictures": 18, "captions": 36},
        "val": {"pictures": 6, "captions": 12},
        "test": {"pictures": 0, "captions": 0},
    }
    assert (config["precision"], config["options"]["epochs"]) == ("float32", 8)


def test_the_vocabulary_counts_the_words_of_training(learnt):
    model = load_caption_model(learnt[0])
    counts = dict(zip(model.vocabulary.words, model.vocabulary.counts, strict=True))
    words = dict.fromkeys(("a", "all", "is", "it", "of", "picture"), 18) | dict.fromkeys(COLOURS, 12)
    assert {word: count for word, count in counts.items() if not word.startswith("<")} == words


def test_the_log_has_a_row_for_steps_and_epochs(learnt):
    folder = learnt[0]
    rows = read_log(folder / "log.jsonl")
    steps = [row for row in rows if row["kind"] == "step"]
    known = {"kind", "time", "epoch", "stage", "step", "loss", "learning_rate", "tokens_per_second"}
    judged = {"val_loss", "perplexity", "image_gain", "cider_d", "bleu_4", "distinct", "novel", "seconds"}
    assert steps[0].keys() == known
    assert next(row for row in rows if row["kind"] == "epoch").keys() == known | judged
    assert [row["step"] for row in steps] == list(range(1, len(steps) + 1))
    with (folder / "log.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [float(row["cider_d"]) for row in table] == [row["cider_d"] for row in rows if row["kind"] == "epoch"]
    assert table[0].keys() == (known | judged) - {"kind", "time"}
    assert {row["stage"] for row in rows} == {"decoder"}
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert next((folder / "events").iterdir()).stat().st_size > 1000


def test_an_epoch_is_told_in_a_line_of_a_narrow_screen(learnt):
    lines = [note for note in learnt[2] if note.startswith("epoch ")]
    assert len(lines) == 8
    assert max(map(len, lines)) <= 80
    assert lines[-1].endswith(" 3 distinct")


def test_the_first_loss_is_the_entropy_of_the_words(train, tmp_path):
    """Of 9 tokens of a picture's captions two are END, two a colour of three, each other word is once."""
    train(epochs=1, learning_rate=1e-9, dropout=0.0, clip=0.0)
    shares = [2 / 10, 2 / 10 / 3, 2 / 10 / 3, 2 / 10 / 3, *[1 / 10] * 6]
    (row,) = epochs_of(tmp_path / "run")
    assert row["loss"] == pytest.approx(-sum(share * math.log(share) for share in shares), abs=0.15)


def test_the_best_epoch_is_what_is_kept(train, tmp_path, monkeypatch):
    said, scores = [], iter([0.1, 0.9, 0.5])
    monkeypatch.setattr(CaptionTraining, "judge", judged(said, scores))
    done = train(epochs=3)
    assert (done.cider_d, done.epoch, done.epochs, done.averaged) == (0.9, 2, 3, 0)
    kept, facts = load_checkpoint(tmp_path / "run" / DECODER)
    assert facts["epochs"] == [2] and facts["metrics"]["cider_d"] == 0.9
    assert all(np.array_equal(kept[name], said[1][name]) for name in kept)


def judged(weights, scores):
    """`CaptionTraining.judge` that keeps the weights it met and says these CIDEr-Ds, one after the other."""
    judge = CaptionTraining.judge

    def judge_so(self):
        weights.append(self.decoder.weights())
        facts, said = judge(self)
        return facts | {"cider_d": next(scores)}, said

    return judge_so


def test_patience_ends_a_run_that_gets_no_better(train, tmp_path, monkeypatch):
    heard = Heard()
    monkeypatch.setattr(CaptionTraining, "judge", judged([], iter([0.1, 0.3, 0.2, 0.29])))
    done = train(epochs=20, patience=2, reporter=heard)
    assert (done.epoch, done.epochs, done.cider_d) == (2, 4, 0.3)
    assert "No better CIDEr-D in 2 epochs: training ends" in heard.notes
    monkeypatch.undo()
    assert resume_caption(tmp_path / "run").epochs == 4


def test_the_smaller_loss_is_better_where_no_caption_is_right_yet(train, tmp_path, monkeypatch):
    monkeypatch.setattr(CaptionTraining, "judge", judged([], iter([0.0] * 4)))
    done = train(epochs=4, patience=2)
    losses = [row["val_loss"] for row in epochs_of(tmp_path / "run")]
    assert losses == sorted(losses, reverse=True)
    assert (done.epoch, done.epochs) == (4, 4)


@pytest.mark.parametrize(("score", "averaged"), [(0.6, 2), (0.45, 0)])
def test_the_mean_of_the_best_epochs_is_taken_if_it_is_better(train, tmp_path, monkeypatch, score, averaged):
    weights = []
    monkeypatch.setattr(CaptionTraining, "judge", judged(weights, iter([0.1, 0.5, 0.4, 0.2, score])))
    done = train(epochs=4, average=2)
    assert (done.averaged, done.cider_d, done.epoch) == (averaged, max(0.5, score), 2)
    kept, facts = load_checkpoint(tmp_path / "run" / DECODER)
    assert facts["epochs"] == ([2, 3] if averaged else [2])
    for name, values in kept.items():
        mean = (weights[1][name] + weights[2][name]) / 2
        np.testing.assert_allclose(values, mean if averaged else weights[1][name], atol=1e-6, err_msg=name)
    assert not (tmp_path / "run" / "epochs").exists()


@pytest.mark.slow
def test_a_caption_of_each_of_159_photos_is_learnt_by_heart(shared, tmp_path):
    """The seed's first experiment; here the photos that it is judged by are eight of the same."""
    captions, records = read_captions(shared / "data" / "coco_mini"), []
    for image in captions.images:
        shutil.copy(captions.file(image), tmp_path)
        records.append({"image": Path(image.name).name, "split": "train", "captions": image.captions[:1]})
    assert len(records) == 159
    for record in records[:8]:  # to be judged by: the same photos again
        shutil.copy(tmp_path / record["image"], tmp_path / f"again_{record['image']}")
    again = [record | {"image": f"again_{record['image']}", "split": "val"} for record in records[:8]]
    options = TrainCaptionOptions(
        network=str(shared / "weights" / "squeezenet_v1.1.caffemodel"), minimum=1, dropout=0.0, mirror=False,
        patience=None, epochs=50, batch=32, learning_rate=0.003,
    )  # fmt: skip
    done = train_caption(write_lines(tmp_path / "captions.jsonl", records + again), tmp_path / "run", options)
    assert epochs_of(tmp_path / "run")[-1]["loss"] < 0.2  # nats per token
    assert done.distinct == 8


# Stopped and resumed

WORTH = {"dropout": 0.3, "scheduled_sampling": 0.5, "epochs": 3, "weight_decay": 0.01}
STEPS = 6  # of an epoch: 18 captions of 3 words and of 5, 8 in a batch
PICTURE_STEPS = 5  # 18 pictures, 4 in a batch with two captions each


@pytest.fixture(scope="session")
def unbroken(painted, network, tmp_path_factory):
    """Runs that were never stopped, by the epoch after which the network was trained, too."""
    made = {}

    def run(options):
        key = options.finetune_after
        if key not in made:
            made[key] = tmp_path_factory.mktemp("whole") / "run"
            train_caption(painted / "captions.jsonl", made[key], options)
        return made[key]

    return run


@pytest.mark.parametrize(
    ("done", "epoch", "step", "joint"),
    [
        (2, 1, 2, None),
        (2 * STEPS, 2, STEPS, None),  # the last one of the epoch: it is not judged yet
        (2 * STEPS + 1, 3, 1, None),
        (4, 1, 4, 1),
        (STEPS + 1, 2, 1, 1),
        (STEPS + PICTURE_STEPS + 2, 3, 2, 1),
        (1, 1, 1, 0),
    ],
)
def test_a_resumed_run_ends_where_an_unbroken_one_ends(done, epoch, step, joint, train, tmp_path, options, unbroken):
    changed = WORTH | ({"average": 2} if joint is None else {"finetune_after": joint, "network_rate": 0.003})
    whole, broken = unbroken(replace(options, **changed)), tmp_path / "run"
    with pytest.raises(InterruptedRun) as caught:
        train(reporter=Heard(done, "training"), **changed)
    assert f"saved at step {step} of epoch {epoch}, in {broken}" in str(caught.value)
    assert caught.value.hint == f"imgnn train caption --resume {broken}"
    resume_caption(broken)
    check_same_end(whole, broken)


@pytest.mark.parametrize("which", [1, 5, STEPS + 1, STEPS + 2, STEPS + 4])
def test_a_run_that_is_killed_anywhere_ends_where_an_unbroken_one_ends(
    which, train, tmp_path, options, unbroken, monkeypatch
):
    """Killed as it begins to write a checkpoint, one after each step: at 1 there is none."""
    saves, real = [], training_run.save_checkpoint

    def killed(*arguments):
        saves.append(1)
        if len(saves) == which:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(training_run, "save_checkpoint", killed)
    with pytest.raises(KeyboardInterrupt):
        train(**WORTH, average=2)
    monkeypatch.undo()
    assert (tmp_path / "run" / LAST).exists() == (which > 1)
    resume_caption(tmp_path / "run")
    check_same_end(unbroken(replace(options, **WORTH, average=2)), tmp_path / "run")


def test_a_run_that_is_done_is_only_summed_up_again(learnt, monkeypatch, tmp_path):
    folder, done, _ = learnt
    copy = shutil.copytree(folder, tmp_path / "copy")
    monkeypatch.setattr(SentenceTrainer, "step", lambda *_: pytest.fail("it trains"))
    again = resume_caption(copy)
    assert replace(again, folder=folder, seconds=done.seconds) == done
    assert log_of(copy) == log_of(folder)


def test_resume_goes_on_with_the_same_captions_and_network_only(train, data, tmp_path, network, options):
    copied = shutil.copy(network, tmp_path / "mine.keras")
    train(source=data, network=str(copied))
    save_network(make_network(("x", "y", "z", "w")), Path(copied))  # its conv1 is the same
    resume_caption(tmp_path / "run")
    other = make_network()
    other.model.get_layer("conv1").bias.assign([1.0, 0.0, 0.0])
    save_network(other, Path(copied))
    with pytest.raises(InputError, match=r"mine.keras has other weights than when .*run was begun"):
        resume_caption(tmp_path / "run")
    lines = data.read_text().splitlines()
    data.write_text("\n".join([lines[0].replace("all of it", "none of it"), *lines[1:]]))
    with pytest.raises(InputError, match=r"the captions of .* are not those that .*run was begun with") as caught:
        resume_caption(tmp_path / "run")
    assert caught.value.hint == "imgnn train caption without --resume begins anew"


def test_resume_wants_a_run_of_captions(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(InputError, match="is no run of imgnn"):
        resume_caption(tmp_path / "run")
    (tmp_path / "run" / CONFIG).write_text('{"format": "imgnn run", "version": 1, "kind": "classifier"}')
    with pytest.raises(InputError, match="is a run of imgnn finetune; one of imgnn train caption is wanted"):
        resume_caption(tmp_path / "run")


def test_a_run_goes_on_in_another_folder(data, network, tmp_path, options, monkeypatch):
    """Captions and network are named from here; the run and the shell are elsewhere when it goes on."""
    monkeypatch.chdir(data.parent)
    shutil.copy(network, "colours.keras")
    wanted = replace(options, network="colours.keras")
    with pytest.raises(InterruptedRun):
        train_caption(Path("captions.jsonl"), Path("run"), wanted, Heard(STEPS + 2, "training"))
    moved = shutil.move("run", tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    assert resume_caption(Path(moved)).epochs == 2
    assert extractor_of(load_caption_model(moved).feature).spec.numbers == 3


def test_options_come_back_from_the_config(options):
    wanted = replace(
        options, images=Path("/x"), features=Path("/y.mat"), patience=None, finetune_after=3, layers=None, clip=0.0
    )
    assert options_from(json.loads(json.dumps(asdict(wanted), default=str)), TrainCaptionOptions) == wanted
    with pytest.raises(InputError, match="are of another imgnn"):
        options_from({"heads": 8}, TrainCaptionOptions)


# The network, trained along


def means_by_hand(folder, files):
    """The mean over all places of relu(kernel x pixel + bias), with the weights of the last checkpoint."""
    arrays, _ = load_checkpoint(folder / LAST)
    kernel, bias = arrays["network/0"][0, 0], arrays["network/1"]
    pixels = np.stack([load_image(file) for file in files]).astype("float64")
    return np.maximum(pixels @ kernel + bias, 0).mean(axis=(1, 2))


def test_a_network_that_was_trained_along_is_kept_and_used(train, painted, network, tmp_path, cli, monkeypatch):
    monkeypatch.setattr(CaptionTraining, "judge", judged([], iter([0.1, 0.2, 0.3])))  # the last one is the best
    train(epochs=3, finetune_after=1, network_rate=0.003)
    assert [row["stage"] for row in epochs_of(tmp_path / "run")] == ["decoder", "joint", "joint"]
    model = load_caption_model(tmp_path / "run")
    assert (model.feature.network, model.feature.layers) == (str(tmp_path / "run" / NETWORK), ("feature",))
    assert model.feature.weights != read_config(tmp_path / "run")["feature"]["weights"]
    files = sorted((painted / "val").iterdir())
    found = extractor_of(model.feature, precision="float32").extract(files).values
    np.testing.assert_allclose(found, means_by_hand(tmp_path / "run", files), atol=1e-3)
    unchanged = np.stack([load_image(file).mean(axis=(0, 1)) / 255 for file in files])
    assert np.abs(found - unchanged).max() > 0.01
    layers = keras.saving.load_model(tmp_path / "run" / NETWORK).layers
    assert {layer.dtype_policy.name for layer in layers} == {"float32"}

    moved = (tmp_path / "run").rename(tmp_path / "moved")
    words = ("--model", moved, "--precision", "float32", "--beam", 3, "--json")
    result = cli("caption", *files, *words)
    assert result.exit_code == 0, result.stderr
    told = [json.loads(line)["captions"][0]["caption"] for line in result.stdout.splitlines()]
    assert told == [read_results(moved / CAPTIONS)[file.stem] for file in files]


def test_before_the_network_is_trained_the_models_own_is_used(train, network, tmp_path, monkeypatch):
    monkeypatch.setattr(CaptionTraining, "judge", judged([], iter([0.3, 0.2])))  # it gets worse with it
    train(epochs=2, finetune_after=1)
    assert load_caption_model(tmp_path / "run").feature.network == network
    assert not (tmp_path / "run" / NETWORK).exists()


def test_a_network_kept_with_older_weights_is_refused_in_words(train, tmp_path, network, monkeypatch):
    monkeypatch.setattr(CaptionTraining, "judge", judged([], iter([0.1])))
    train(epochs=1, finetune_after=0)
    save_network(make_network(), tmp_path / "run" / NETWORK)
    with pytest.raises(WeightsError):
        extractor_of(replace(load_caption_model(tmp_path / "run").feature, layers=("conv1",)))


# Where batches come from


@pytest.fixture
def sources(data, options):
    """The sources of a data set of these numbers of captions, and its material."""

    def build(counts, **changed):
        records = [json.loads(line) for line in data.read_text().splitlines()]
        some = [
            {**record, "captions": [f"{number} a" for number in range(count)]}
            for record, count in zip(records, counts, strict=False)
        ]
        write_lines(data, [*some, records[-1]])
        wanted = replace(options, **changed)
        captions = read_data(data, wanted, Silent())
        tokens = tokens_of(captions)
        vocabulary = words_of(captions, tokens, 1)
        material = prepare_material(captions, tokens, vocabulary, wanted, Silent(), lambda: False)
        decoder = Decoder(DecoderSpec(vocabulary=len(material.vocabulary), feature=3, embedding=4, hidden=4))
        assert material.extractor is not None
        trainer = JointTrainer(decoder, material.extractor.network, pace=0.1, precision="float32")
        return CachedSource(material, wanted), PictureSource(material, wanted, trainer, room=10**6), material

    return build


def words_in(batch, vocabulary):
    """Of each row that counts, its picture and its number."""
    rows = batch.weights.sum(axis=1) > 0
    return [
        (int(row), int(vocabulary.words[tokens[1]]))
        for row, tokens in zip(batch.rows[rows], batch.tokens[rows], strict=True)
    ]


def test_every_caption_comes_once_an_epoch_whatever_pictures_have(sources):
    counts = [1, 2, 2, 1, 2, 1, 2, 1]
    cached, pictured, material = sources(counts, batch=8)
    wanted = sorted((row, number) for row, count in enumerate(counts) for number in range(count))
    seen = [pair for _, _, batch, _ in cached.epoch(0, 0) for pair in words_in(batch, material.vocabulary)]
    assert sorted(seen) == wanted
    frames = {load_image(material.captions.file(each)).tobytes(): row for row, each in enumerate(material.train.images)}
    frames |= {
        load_image(material.captions.file(each))[:, ::-1].tobytes(): row
        for row, each in enumerate(material.train.images)
    }
    seen, steps = [], []
    for step, pixels, batch, _ in pictured.epoch(0, 0):
        assert (pixels.shape, pixels.dtype) == ((4, SIDE, SIDE, 3), np.uint8)
        steps.append(step)
        seen += [(frames[pixels[row].tobytes()], number) for row, number in words_in(batch, material.vocabulary)]
    assert sorted(seen) == wanted
    assert steps == list(range(pictured.steps)) == [0, 1]


def test_of_more_captions_than_fit_some_come_and_others_in_another_epoch(sources):
    _, pictured, material = sources([5, 5, 5], batch=2)
    assert pictured.steps == 3  # a picture a step
    seen = set()
    for epoch in range(12):
        for _, pixels, batch, _ in pictured.epoch(epoch, 0):
            assert pixels.shape == (1, SIDE, SIDE, 3)
            found = words_in(batch, material.vocabulary)
            assert len(found) == 2
            seen |= {number for _, number in found}
    assert seen == set(range(5))


def test_an_epoch_goes_on_with_the_very_batches_that_are_left(sources):
    for source in sources([1, 4, 2, 2, 3, 1, 2, 1], batch=4)[:2]:
        whole = list(source.epoch(3, 0))
        for first in (1, 2):
            rest = list(source.epoch(3, first))
            assert len(rest) == len(whole) - first
            for (step, x, batch, random), (step_too, x_too, batch_too, random_too) in zip(
                whole[first:], rest, strict=True
            ):
                assert step == step_too
                np.testing.assert_array_equal(x, x_too)
                np.testing.assert_array_equal(batch.tokens, batch_too.tokens)
                np.testing.assert_array_equal(batch.rows, batch_too.rows)
                assert random.bit_generator.state == random_too.bit_generator.state


def test_a_picture_that_vanishes_while_it_trains_is_left_out_and_steps_keep_their_numbers(sources):
    _, pictured, material = sources([2, 2, 2, 2], batch=2)
    material.captions.file(material.train.images[1]).unlink()
    steps = [step for step, *_ in pictured.epoch(0, 0)]
    assert len(steps) == 3 and set(steps) < set(range(4))
    expected = [step for step in steps if step >= 2]
    assert [step for step, *_ in pictured.epoch(0, 2)] == expected
    material.captions.file(material.val.images[0]).unlink()
    assert pictured.val_features()[0].tolist() == [0, 0, 0]


def test_half_of_the_pictures_are_mirrored_if_they_may_be(sources, options, data):
    draw = np.random.default_rng(1)
    for path in (data.parent / "train").iterdir():
        Image.fromarray(draw.integers(0, 256, (SIDE, SIDE, 3)).astype("uint8")).save(path)
    for mirror in (True, False):
        _, pictured, material = sources([1] * 18, batch=18, mirror=mirror)
        assert (material.train.mirrored is not None) == mirror
        frames = [load_image(material.captions.file(each)) for each in material.train.images]
        turned = []
        for _, pixels, batch, _ in pictured.epoch(0, 0):
            for place, _ in words_in(batch, material.vocabulary):
                plain = any(np.array_equal(pixels[place], frame) for frame in frames)
                assert plain or any(np.array_equal(pixels[place], frame[:, ::-1]) for frame in frames)
                turned.append(not plain)
        assert (2 < sum(turned) < 16) if mirror else not any(turned)


# Features from a file


@pytest.fixture
def published(tmp_path, painted):
    """dataset.json and feats.mat, in which the column of a picture is its imgid; there are no pictures."""
    draw, images = np.random.default_rng(5), []
    lines = (painted / "captions.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    numbers = draw.permutation(len(records))
    feats = np.zeros((3, len(records)))
    for imgid, record in zip(numbers.tolist(), records, strict=True):
        colour = Path(record["image"]).name.partition("_")[0]
        feats[:, imgid] = np.array(COLOURS[colour]) / 255 + draw.normal(0, 0.1, 3)
        sentences = [{"raw": text, "tokens": text.lower().rstrip(".").split()} for text in record["captions"]]
        name = Path(record["image"]).name
        images.append({"filename": name, "imgid": imgid, "split": record["split"], "sentences": sentences})
    (tmp_path / "dataset.json").write_text(json.dumps({"dataset": "colours", "images": images}))
    savemat(tmp_path / "feats.mat", {"feats": feats})
    return tmp_path / "dataset.json", tmp_path / "feats.mat", feats, numbers


def test_features_of_a_file_belong_to_the_pictures_by_karpathys_number(train, published, tmp_path):
    source, mat, feats, numbers = published
    given = {"features": mat, "network": "vgg16", "layers": ("fc7",), "size": None}
    options = TrainCaptionOptions(minimum=1, **given)
    captions = read_data(source, options, Silent())
    tokens = tokens_of(captions)
    vocabulary = words_of(captions, tokens, 1)
    material = prepare_material(captions, tokens, vocabulary, options, Silent(), lambda: False)
    np.testing.assert_allclose(material.train.features, feats.T[numbers[:18]], atol=1e-3)
    np.testing.assert_allclose(material.val.features, feats.T[numbers[18:]], atol=1e-3)

    done = train(source=source, epochs=8, **given)
    assert done.distinct == 3 and done.image_gain > 0.2
    feature = load_caption_model(tmp_path / "run").feature
    assert (feature.network, feature.layers, feature.weights, feature.numbers) == ("vgg16", ("fc7",), "", 3)


def test_features_of_too_few_pictures_are_refused(train, published):
    source, mat, feats, _ = published
    savemat(mat, {"feats": feats[:, :20]})
    with pytest.raises(InputError, match=r"feats.mat holds features of 20 pictures; \w+\.png is none of them"):
        train(source=source, features=mat)
    with pytest.raises(InputError, match="--features does not go with --finetune-after"):
        train(source=source, features=mat, finetune_after=1)


# Pictures and captions that are not what they should be


def test_pictures_that_cannot_be_read_are_told_and_left_out(train, data, tmp_path):
    (data.parent / "train" / "red_t1.png").write_bytes(b"no picture")
    (data.parent / "val" / "blue_v0.png").write_bytes(b"\x89PNG\r\n")
    heard = Heard()
    done = train(source=data, reporter=heard)
    assert (len(done.skipped), done.pictures) == (2, 5)
    assert len([note for note in heard.notes if note.startswith("Skipped: ")]) == 2
    lines = [line.split("\t") for line in (tmp_path / "run" / SKIPPED).read_text().splitlines()]
    assert [name for name, _ in lines] == ["train/red_t1.png", "val/blue_v0.png"]
    assert all(reason for _, reason in lines)
    assert len(read_results(tmp_path / "run" / CAPTIONS)) == 5


def test_where_no_picture_can_be_read_one_of_the_split_is_named(train, data):
    (data.parent / "train" / "red_t1.png").write_bytes(b"no picture")
    for path in (data.parent / "val").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"none of the 6 pictures of val can be read: .*val.red_v0\.png"):
        train(source=data)


def test_no_word_that_is_seen_often_enough_is_an_error(train):
    with pytest.raises(InputError, match=r"no word is seen 50 times in the training captions of .*jsonl") as caught:
        train(minimum=50)
    assert caught.value.hint == "--minimum 1"


def test_there_must_be_pictures_to_train_on_and_to_judge_by(train, data):
    records = [json.loads(line) for line in data.read_text().splitlines()]
    for record in records:
        del record["split"]
    write_lines(data, records)
    with pytest.raises(InputError, match="has no pictures of the split val") as caught:
        train(source=data, val_share=0.0)
    assert caught.value.hint == "--val-share 0.1"
    write_lines(data, [record | {"split": "val"} for record in records])
    with pytest.raises(InputError, match="has no pictures of the split train") as caught:
        train(source=data)
    assert caught.value.hint is None


def test_ctrl_c_while_features_are_computed_keeps_them(train, tmp_path, monkeypatch):
    with pytest.raises(InterruptedRun) as caught:
        train(reporter=Heard(5, "features (train)"))
    assert "the features so far are kept" in str(caught.value)
    assert not (tmp_path / "run").exists()
    asked, compute = [], FeatureExtractor.compute

    def counted(self, files, wanted, mirrored):
        asked.append(len(wanted))
        return compute(self, files, wanted, mirrored)

    monkeypatch.setattr(FeatureExtractor, "compute", counted)
    train()
    assert asked == [18 - 5, 18, 6]  # train, mirrored, val


def test_a_decoder_that_cannot_see_is_told_of(train, data):
    for path in data.parent.rglob("*.png"):
        Image.new("RGB", (SIDE, SIDE), (90, 90, 90)).save(path)
    heard = Heard()
    done = train(source=data, reporter=heard, epochs=4)
    (warning,) = done.warnings
    assert warning.startswith("the right picture saves 0.000 nats per token over another")
    assert heard.notes.count(f"Warning: {warning}") == 3  # of the first three epochs
    assert done.distinct == 1


def test_a_single_picture_to_judge_by_has_no_other(train, data):
    records = [json.loads(line) for line in data.read_text().splitlines()]
    write_lines(data, records[:19])
    assert train(source=data).warnings == ()


def test_options_that_do_not_go_together_are_refused(train):
    with pytest.raises(InputError, match="--epochs 0"):
        train(epochs=0)
    with pytest.raises(InputError, match="--tied wants --embedding and --hidden to be the same, not 16 and 32"):
        train(tied=True, hidden=32)


# The folder


def test_a_folder_that_cannot_hold_the_run_is_told_before_anything_else(train, learnt, tmp_path, painted, options):
    def refused(folder, message):
        with pytest.raises(InputError, match=message) as caught:
            train_caption(painted / "nothing.jsonl", folder, options)
        return caught.value.hint

    assert refused(learnt[0], "holds a run already") == f"imgnn train caption --resume {learnt[0]}; or another -o"
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").touch()
    assert refused(tmp_path / "notes", "is not empty") == "another -o"
    refused(tmp_path / "notes" / "a.txt", "is a file; a folder for the run is wanted")
    refused(tmp_path / "no" / "run", "there is no folder")


def test_a_run_that_was_killed_before_its_config_can_begin_again(train, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / VOCABULARY).write_text("{}")
    assert train(epochs=1).epochs == 1


# A loss that runs away


def test_a_loss_that_runs_away_leaves_the_last_good_checkpoint(train, tmp_path, monkeypatch):
    step, steps = SentenceTrainer.step, []

    def diverged(self, *given):
        steps.append(1)
        if len(steps) == STEPS + 3:
            raise DivergedError("the loss is no longer finite", hint="a smaller --learning-rate")
        return step(self, *given)

    monkeypatch.setattr(SentenceTrainer, "step", diverged)
    with pytest.raises(DivergedError, match=r"no longer finite, at step 3 of epoch 2, in .*run") as caught:
        train()
    assert caught.value.hint == "a smaller --learning-rate"
    _, facts = load_checkpoint(tmp_path / "run" / LAST)
    assert (facts["position"]["epoch"], facts["position"]["step"]) == (1, 2)
    assert load_caption_model(tmp_path / "run").decoder is not None
    assert (tmp_path / "run" / "curves.png").exists()


@pytest.mark.parametrize("batch", [8, 64])
def test_weights_that_run_away_are_neither_kept_nor_judged(train, tmp_path, batch):
    """With 64 captions in a step there are two of an epoch."""
    with pytest.raises(DivergedError, match=r"no longer finite, at step \d of epoch 1, in .*run"):
        train(learning_rate=1e38, schedule="constant", batch=batch, save_every=60.0)
    assert not (tmp_path / "run" / DECODER).exists()
    assert not (tmp_path / "run" / LAST).exists()
