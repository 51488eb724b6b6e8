"""A whole run on pictures in three colours with several boke each, and a network that sees the mean colour."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imgnn.data.known_pictures import KnownPictures
from imgnn.errors import InputError, InterruptedRun
from imgnn.jobs import boke_experiment
from imgnn.jobs.boke_experiment import run_experiment
from imgnn.jobs.boke_run import BokeTraining
from imgnn.jobs.boke_texts import read_texts
from imgnn.jobs.sentence_model import load_caption_model, load_sentence_model
from imgnn.jobs.train_boke import resume_boke, train_boke
from imgnn.language.decoder import Decoder, DecoderSpec
from imgnn.options import TrainBokeOptions
from imgnn.runs import Silent
from imgnn.training.checkpoint import load_checkpoint
from imgnn.training.run_folder import (
    AVERAGE_LOSS,
    CONFIG,
    DECODER,
    LAST,
    METRICS,
    VOCABULARY,
    read_config,
)
from tests.jobs.test_finetune import Heard
from tests.jobs.test_train_caption import log_of, network, painted, write_lines

__all__ = ["network", "painted"]  # fixtures

LINES = {  # for each colour; of two lengths, since each is traced
    "red": ("赤いやつ", "トマトの裏側", "怒ってません"),
    "green": ("緑の狸だ", "芝生です"),
    "blue": ("海が近い", "寒いねえ", "青すぎるぞ空", "塗りすぎたね"),
}


def records(folder: Path, split: str, *, alone: bool = False):
    for path in sorted((folder / split).glob("*.png")):
        lines = LINES[path.name.partition("_")[0]]
        for star, line in enumerate(lines[:1] if alone else lines):
            said = f"{line}{path.stem[-1]}" if alone else line
            yield {"boke": said, "star": 10 * star, "images": [{"path": f"{split}/{path.name}"}], "split": split}


def all_records(folder: Path):
    return [*records(folder, "train"), *records(folder, "val")]


@pytest.fixture(scope="session")
def boke(painted) -> Path:
    return write_lines(painted / "boke.jsonl", all_records(painted))


@pytest.fixture(scope="session")
def paired(painted) -> Path:
    """One boke to each picture."""
    return write_lines(painted / "one.jsonl", [*records(painted, "train", alone=True), *records(painted, "val")])


@pytest.fixture
def options(network) -> TrainBokeOptions:
    """Quick, and the same on every machine."""
    return TrainBokeOptions(
        network=network, layers=("conv1",), minimum=1, hidden=16, embedding=16, dropout=0.1, batch=4, epochs=2,
        learning_rate=0.02, precision="float32", save_every=0.0,
    )  # fmt: skip


@pytest.fixture
def train(boke, tmp_path, options):
    """Train in tmp_path / "run", or another folder of it."""

    def run(name="run", reporter=None, sources=None, **changed):
        return train_boke(sources or [boke], tmp_path / name, replace(options, **changed), reporter)

    return run


def epochs_of(folder):
    return [row for row in log_of(folder) if row["kind"] == "epoch"]


# What comes out


@pytest.fixture(scope="session")
def learnt(boke, network, tmp_path_factory):
    """A run that is done, and its result."""
    folder = tmp_path_factory.mktemp("boke") / "run"
    options = TrainBokeOptions(
        network=network, layers=("conv1",), minimum=1, hidden=32, embedding=32, dropout=0.0, batch=4, epochs=14,
        learning_rate=0.02, precision="float32", patience=None,
    )  # fmt: skip
    heard = Heard()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMGNN_HOME", str(folder.parent / "home"))
        done = train_boke([boke], folder, options, heard, command="imgnn train boke x")
    return folder, done, heard.notes


def test_a_run_has_all_its_files(learnt):
    assert {path.name for path in learnt[0].iterdir()} == {
        CONFIG, VOCABULARY, DECODER, LAST, METRICS, AVERAGE_LOSS, "curves.png", "log.csv", "log.jsonl", "events",
        "pictures.jsonl", "pictures.npz",
    }  # fmt: skip


def test_it_learns_what_is_said_of_which_picture(learnt):
    folder, done, _ = learnt
    rows = epochs_of(folder)
    assert done.val_loss == min(row["val_loss"] for row in rows) == rows[done.epoch - 1]["val_loss"]
    assert done.image_gain > 0.3
    assert done.perplexity == pytest.approx(math.exp(done.val_loss))
    assert (done.loss, done.average_loss, done.epochs) == (rows[-1]["loss"], rows[-1]["average_loss"], 14)
    assert (done.pictures, done.skipped, done.warnings) == (6, {}, ())


def test_the_last_epoch_is_kept_if_one_wants_it(train, tmp_path, monkeypatch):
    """Where the first one is the best."""
    losses = BokeTraining.losses
    monkeypatch.setattr(
        BokeTraining, "losses", lambda self, x: {**losses(self, x), "val_loss": 1.0 + self.position.epoch}
    )
    best, last = train("best"), train("last", keep="last")
    assert (best.epoch, best.val_loss, last.epoch, last.val_loss) == (1, 1.0, 2, 2.0)
    weights = [load_checkpoint(tmp_path / name / DECODER)[0]["output/bias"] for name in ("best", "last")]
    assert not np.array_equal(*weights)


def test_the_loss_comes_down_to_its_floor_and_not_below(learnt):
    """Pictures of one colour are not told apart, each has the same lines: what is left is the choice among them."""
    folder, done, _ = learnt
    count = {colour: len(lines) for colour, lines in LINES.items()}
    tokens = sum(len(line) + 1 for lines in LINES.values() for line in lines)
    floor = sum(number * math.log(number) for number in count.values()) / tokens
    assert done.floor == pytest.approx(floor)
    assert done.floor < done.loss < 1.3 * done.floor
    assert all(row["floor"] == done.floor for row in epochs_of(folder))


def test_the_average_loss_is_that_of_the_batches_by_the_texts(learnt):
    """One batch for each length and four texts, so that nats of a batch by its texts, all together, by all texts."""
    folder, done, _ = learnt
    losses = json.loads((folder / AVERAGE_LOSS).read_text())["average_loss"]
    assert losses == [row["average_loss"] for row in epochs_of(folder)]
    texts = 6 * sum(map(len, LINES.values()))
    steps = epochs_of(folder)[0]["step"]
    tokens = sum(len(line) + 1 for lines in LINES.values() for line in lines) / sum(map(len, LINES.values()))
    assert losses[-1] == pytest.approx(done.loss * tokens * steps / texts, rel=0.05)  # as if all batches were alike
    assert done.average_loss_floor < losses[-1] < losses[0]


def test_the_decoder_is_that_of_butsugiri(learnt):
    """Characters as tokens; the picture added to START's embedding, one layer."""
    config = read_config(learnt[0], "boke")
    assert config["decoder"]["inject"] == "add" and config["decoder"]["layers"] == 1
    assert config["tokenizer"]["name"] == "chars"
    assert config["data"]["train"] == {"pictures": 18, "boke": 54}
    assert config["floor"]["per_token"] == learnt[1].floor
    model = load_sentence_model(learnt[0])
    assert (model.kind, model.tokenizer.detokenize(["赤", "い"])) == ("boke", "赤い")
    with pytest.raises(InputError, match="is a run of imgnn train boke; one of imgnn train caption is wanted"):
        load_caption_model(learnt[0])


def test_the_run_knows_its_pictures_and_their_lines_the_best_first(learnt):
    known = KnownPictures.load(learnt[0])
    assert len(known.pictures) == len(known.features) == 24
    blue = next(each for each in known.pictures if "blue" in each.name and each.split == "train")
    assert (blue.sentences, blue.stars) == (LINES["blue"][::-1], (30, 20, 10, 0))
    assert Path(blue.file).is_file()


def test_a_decoder_with_what_is_added_reads_the_picture_at_start_alone():
    """Beside START the picture counts as if it were a word's embedding; at later words it does not."""
    decoder = Decoder(DecoderSpec(vocabulary=6, feature=3, embedding=4, hidden=5, inject="add"), seed=1)
    weights = decoder.weights()
    x = np.array([[1.0, -2.0, 0.5]], "float32")
    tokens = np.array([[0, 3, 4]], "int32")
    told = decoder.model(3)([x, tokens])
    moved = {
        **weights,
        "words/embeddings": weights["words/embeddings"].copy(),
        "picture/kernel": 0 * weights["picture/kernel"],
    }
    moved["words/embeddings"][0] += x[0] @ weights["picture/kernel"]
    decoder.assign(moved)
    np.testing.assert_allclose(decoder.model(3)([x, tokens]), told, atol=1e-6)


# Pairings


def texts_seen(folder):
    return sum(read_config(folder)["data"]["train"].values())


def test_one_and_best_leave_nothing_to_choose_between(train, tmp_path):
    for pairing in ("one", "best"):
        assert train(pairing, pairing=pairing).floor < train(f"{pairing}_many").floor


def test_a_boke_of_each_picture_is_drawn_anew_in_each_epoch(train, tmp_path):
    done = train(pairing="sampled", epochs=2)
    rows = epochs_of(tmp_path / "run")
    # 18 pictures in an epoch: batches of 4 texts of one length are 5 or 6, and of all 54 texts 14.
    assert all(5 <= row["step"] / row["epoch"] < 14 for row in rows)
    assert done.floor > 0


def test_boke_with_many_stars_count_more(train, tmp_path):
    """By their weights the choice between the boke of a colour is another one: 0, 10, 20 and 30 stars."""
    done = train("stars", pairing="stars", epochs=1)
    weights = np.log([2, 12, 22, 32])
    each = [(weights[: len(lines)], [len(line) + 1 for line in lines]) for lines in LINES.values()]
    cost = sum((weight * np.log(weight.sum() / weight)).sum() for weight, _ in each)
    assert done.floor == pytest.approx(cost / sum(weight @ length for weight, length in each))
    assert done.loss != train("many", epochs=1).loss


# Data


def test_boke_that_are_too_short_or_long_or_have_a_word_of_the_list_are_left_out(train, tmp_path):
    (tmp_path / "ng.txt").write_text("トマト\n", encoding="utf-8")
    heard = Heard()
    train(reporter=heard, ng=tmp_path / "ng.txt", shortest=5, longest=6)
    said = {line for each in KnownPictures.load(tmp_path / "run").pictures for line in each.sentences}
    assert said == {"怒ってません", "青すぎるぞ空", "塗りすぎたね"}
    assert any("8 boke have a word of" in note for note in heard.notes)  # of 8 red pictures
    assert any("do not have 5 to 6 tokens" in note for note in heard.notes)


def test_tokens_that_come_with_the_data_are_taken(painted, train, tmp_path):
    lines = [
        {**each, "parsed": ["<BOS>", each["boke"][:2], each["boke"][2:], "<EOS>"]} for each in records(painted, "train")
    ]
    lines += [{**each, "parsed": [each["boke"]]} for each in records(painted, "val")]
    train(sources=[write_lines(tmp_path / "parsed.jsonl", lines)], images=painted)
    assert read_config(tmp_path / "run")["tokenizer"]["name"] == "given"
    words = json.loads((tmp_path / "run" / VOCABULARY).read_text(encoding="utf-8"))["words"]
    assert "赤い" in words and "やつ" in words and "赤" not in words
    known = KnownPictures.load(tmp_path / "run").pictures
    assert ("赤い", "やつ") in {tokens for each in known for tokens in each.tokens}


def test_one_boke_without_tokens_is_told(painted, train, tmp_path):
    lines = [*records(painted, "train"), *records(painted, "val")]
    lines = [{**line, "parsed": [*line["boke"]]} for line in lines[1:]] + lines[:1]
    heard = Heard()
    train(sources=[write_lines(tmp_path / "parsed.jsonl", lines)], images=painted, reporter=heard, epochs=1)
    assert "1 of 72 boke come without tokens: all are made into chars instead" in heard.notes


def test_nothing_to_train_on_is_told(train):
    with pytest.raises(InputError, match="has no boke of the split train to be used"):
        train(shortest=30, longest=40)
    with pytest.raises(InputError, match="--shortest 5 and --longest 2 leave no boke"):
        train(shortest=5, longest=2)


# Going on


@pytest.mark.parametrize("pairing", ["many", "sampled", "stars"])
@pytest.mark.parametrize(("done", "epoch", "step"), [(3, 1, 3), (9, 2, None)])
def test_a_resumed_run_ends_where_an_unbroken_one_ends(train, tmp_path, pairing, done, epoch, step):
    """Three epochs, so that the second one is never the last; "sampled" has five steps in an epoch or more."""
    changed = {"pairing": pairing, "epochs": 3, "batch": 8 if pairing != "sampled" else 4}
    train("whole", **changed)
    with pytest.raises(InterruptedRun, match=rf"saved at step {step or '[0-9]+'} of epoch {epoch}, in ") as caught:
        train("broken", reporter=Heard(done, "training"), **changed)
    assert caught.value.hint == f"imgnn train boke --resume {tmp_path / 'broken'}"
    resume_boke(tmp_path / "broken")
    for name in (LAST, DECODER):
        whole, broken = (load_checkpoint(tmp_path / run / name)[0] for run in ("whole", "broken"))
        assert whole.keys() == broken.keys()
        assert [key for key in whole if not np.array_equal(whole[key], broken[key])] == []
    assert log_of(tmp_path / "whole") == log_of(tmp_path / "broken")
    assert (tmp_path / "whole" / AVERAGE_LOSS).read_bytes() == (tmp_path / "broken" / AVERAGE_LOSS).read_bytes()


def test_resume_goes_on_with_the_same_boke_only(painted, train, tmp_path):
    data = shutil.copy(painted / "boke.jsonl", tmp_path / "boke.jsonl")
    train(sources=[Path(data)], images=painted)
    text = Path(data).read_text()
    Path(data).write_text(text.replace(json.dumps(LINES["red"][0])[1:-1], "abc", 1))
    with pytest.raises(InputError, match=r"the boke of .*, or the tokens they are made into, are not those that .*run"):
        resume_boke(tmp_path / "run")


# The experiment


def for_experiment(network, **changed) -> TrainBokeOptions:
    usual = {"epochs": 12, "learning_rate": 0.02, "precision": "float32", "hidden": 32, "embedding": 32, "batch": 4}
    return TrainBokeOptions(network=network, layers=("conv1",), **{**boke_experiment.DEFAULTS, **usual, **changed})


@pytest.fixture(scope="session")
def compared(boke, network, tmp_path_factory):
    """The experiment on a few pictures: nine of each arm."""
    folder, options = tmp_path_factory.mktemp("compared") / "experiment", for_experiment(network)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMGNN_HOME", str(folder.parent / "home"))
        patch.setattr(boke_experiment, "FEW", 9)
        arms = run_experiment([boke], folder, options, Silent())
        again = run_experiment([boke], folder, options, Silent())
    return folder, {arm.name: arm for arm in arms}, {arm.name: arm for arm in again}


def test_the_arms_are_as_many_boke_of_more_and_of_fewer_pictures(compared):
    _, arms, _ = compared
    assert {name: (arm.boke, arm.pictures) for name, arm in arms.items()} == {
        "many": (54, 18), "one": (9, 9), "few": (9, 3),
    }  # fmt: skip


def test_one_boke_to_a_picture_falls_below_where_several_have_to_stay(compared):
    """The pictures of a colour look alike, and so "one" has three different lines for each colour at most."""
    _, arms, _ = compared
    assert arms["few"].result.floor > 0
    assert arms["few"].result.loss >= arms["few"].result.floor
    assert arms["many"].first > arms["many"].result.average_loss > arms["many"].result.average_loss_floor


def test_the_experiment_leaves_a_table_a_figure_and_its_runs(compared):
    folder, arms, again = compared
    assert {path.name for path in folder.iterdir()} == {
        "many", "one", "few", "many.jsonl", "one.jsonl", "few.jsonl", "experiment.json", "experiment.png",
    }  # fmt: skip
    assert [row["name"] for row in json.loads((folder / "experiment.json").read_text())] == ["many", "one", "few"]
    # The same command again trains nothing: it sums up.
    assert [arm.result.loss for arm in again.values()] == [arm.result.loss for arm in arms.values()]


def test_the_form_of_the_data_is_not_that_of_the_arms(painted, options, tmp_path, monkeypatch):
    """These are read as what they are, and their boke are cut as those of all arms."""
    lines = [f"{each['images'][0]['path']},{each['boke']},{each['split']}" for each in all_records(painted)]
    (tmp_path / "boke.csv").write_text("\n".join(["image,text,split", *lines]), encoding="utf-8")
    read = []

    def train_nothing(sources, folder, options, reporter, **_):
        read.append(read_texts(sources, options, reporter))
        raise InterruptedRun("enough")

    monkeypatch.setattr(boke_experiment, "train_boke", train_nothing)
    asked = replace(options, form="csv", images=painted)
    with pytest.raises(InterruptedRun, match="enough"):
        run_experiment([tmp_path / "boke.csv"], tmp_path / "experiment", asked)
    assert (len(read[0].boke), read[0].tokenizer.name, read[0].boke.form) == (24, "chars", "butsugiri")


def test_an_experiment_goes_on_with_the_same_options_only(compared, boke, network):
    """With others it would sum up runs that were made otherwise than asked for."""
    folder, _, _ = compared
    before = (folder / "many.jsonl").read_bytes()
    with pytest.raises(InputError, match="many was begun with --epochs 12, not 13"):
        run_experiment([boke], folder, for_experiment(network, epochs=13))
    assert (folder / "many.jsonl").read_bytes() == before


def test_where_every_picture_has_one_boke_there_is_nothing_to_compare(paired, options, tmp_path):
    with pytest.raises(InputError, match=r"every picture of .* has one boke: there is nothing to compare"):
        run_experiment([paired], tmp_path / "experiment", options)
    assert not (tmp_path / "experiment").exists()
