"""A decoder that says which half of a picture is bright, judged by boke on three pictures, by hand."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from imgnn.data.known_pictures import SENTENCES, KnownPicture, KnownPictures
from imgnn.errors import InputError, OptionError, WeightsError
from imgnn.jobs.boke import make_boke
from imgnn.jobs.evaluate_boke import evaluate_boke
from imgnn.jobs.sentence_model import load_sentence_model, save_decoder
from imgnn.language.vocabulary import Vocabulary
from imgnn.networks.files import save_network
from imgnn.options import BokeOptions, EvaluateBokeOptions
from imgnn.training.likelihood import other_pictures
from imgnn.training.run_folder import DECODER, METRICS, VOCABULARY, read_config, write_config
from tests.jobs.made_boke import END, make_boke_model
from tests.jobs.made_captions import WORDS, log_prob_of, make_model, make_network, paint_halves
from tests.jobs.test_evaluate_caption import Recorder
from tests.jobs.test_train_boke import boke, network, options, painted, records, train, write_lines

__all__ = ["boke", "network", "options", "painted", "train"]  # fixtures

LEFT, RIGHT = (255, 0), (0, 255)
# name, split, halves, boke and their stars
PICTURES = (
    ("l.png", "test", LEFT, {"left": 5, "Dark left!": 1}),
    ("r.png", "test", RIGHT, {"right": 3}),
    ("m.png", "test", LEFT, {"right right": None}),
    ("v.png", "val", RIGHT, {"right": 2}),
    ("a.png", "train", LEFT, {"left left": 0}),
    ("b.png", "train", RIGHT, {"dark right": 0}),
)


def write_data(path, pictures=PICTURES):
    return write_lines(
        path,
        [
            {"image": name, "text": text, "star": star, "split": split}
            for name, split, _, said in pictures
            for text, star in said.items()
        ],
    )


@pytest.fixture
def data(tmp_path):
    for name, _, halves, _ in PICTURES:
        paint_halves(tmp_path / name, *halves)
    return write_data(tmp_path / "boke.jsonl")


@pytest.fixture
def run(tmp_path):
    return make_boke_model(tmp_path / "run")


@pytest.fixture
def evaluate(data, run):
    def evaluate(reporter=None, **changed):
        told = EvaluateBokeOptions(model=str(run), sentences=0, precision="float32")
        return evaluate_boke([data], replace(told, **changed), reporter)

    return evaluate


# What it costs

# The pictures of the split test, the tokens of their boke; "!" is not known.
SHOWN = ((1, 0), (0, 1), (1, 0))
SAID = (
    (0, ["left", "END"]),
    (0, ["dark", "left", "UNK", "END"]),
    (1, ["right", "END"]),
    (2, ["right", "right", "END"]),
)
TOKENS = 11


def nats(pictures):
    """What SAID costs, each by hand, where the picture of a row is `pictures[row]` of SHOWN."""
    costs = []
    for row, words in SAID:
        said = log_prob_of(*SHOWN[pictures[row]], END)
        # UNK has a logit of -30, and START too: nothing but in its own place.
        costs.append(-sum(said.get(word, said["dark"] - 30) for word in words))
    return np.array(costs)


def test_boke_cost_what_the_decoder_says_of_them(evaluate):
    found = evaluate()
    assert (found.split, found.pictures, found.boke, found.tokens, found.tokenizer) == ("test", 3, 4, TOKENS, "words")
    assert found.costs["model"].nats == pytest.approx(nats([0, 1, 2]).sum() / TOKENS, rel=1e-4)
    assert found.costs["model"].perplexity == pytest.approx(math.exp(nats([0, 1, 2]).sum() / TOKENS), rel=1e-3)


def test_the_loss_is_that_of_a_softmax_in_numpy(evaluate, run, random):
    """The weights are random; the decoder's own logits are taken, and the rest is done by hand."""
    model = load_sentence_model(run)
    weights = {
        name: value if name.startswith("standard") else random.normal(0, 1, value.shape).astype("float32")
        for name, value in model.decoder.weights().items()
    }
    model.decoder.assign(weights)
    save_decoder(run / DECODER, model.decoder, model.feature, model.vocabulary, {})
    total = 0.0
    for row, words in SAID:
        ids = [{"END": 1, "UNK": 2, "left": 3, "right": 4, "dark": 5}[word] for word in words]
        shown = np.array([SHOWN[row]], "float32")
        logits = np.asarray(model.decoder.model(len(ids))([shown, np.array([[0, *ids[:-1]]])]))[0].astype("float64")
        log_prob = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        total -= log_prob[np.arange(len(ids)), ids].sum()
    assert evaluate().costs["model"].nats == pytest.approx(total / TOKENS, rel=1e-4)


def test_the_image_gain_is_what_other_pictures_cost_more(evaluate):
    found, others = evaluate(), other_pictures(3)
    own, other = nats([0, 1, 2]), nats(others)
    assert found.image_gain == pytest.approx((other - own).sum() / TOKENS, rel=1e-3)
    gains = np.bincount([0, 0, 1, 2], other - own).round(6)
    assert found.own_picture.value == pytest.approx(((gains > 0) + (gains == 0) / 2).mean())
    assert found.own_picture.pictures == 3
    assert evaluate() == found  # the shuffling is the same each time


def test_a_model_that_ignores_pictures_gains_nothing(data, tmp_path):
    save_network(make_network(gain=0.0), tmp_path / "halves.keras")
    blind = EvaluateBokeOptions(model=str(make_boke_model(tmp_path / "blind")), sentences=0)
    found = evaluate_boke([data], blind)
    assert (found.image_gain, found.own_picture.value) == (0, 0.5)


@pytest.mark.parametrize(
    ("left", "right", "share"), [("left", "right", 1), ("right", "left", 0), ("dark", "dark", 0.5)]
)
def test_a_picture_suits_its_boke_better_than_another(evaluate, data, left, right, share):
    write_data(data, [("l.png", "test", LEFT, {left: 1}), ("r.png", "test", RIGHT, {right: 1})])
    assert evaluate().own_picture.value == share


def test_one_picture_has_no_other(evaluate):
    found = evaluate(limit=1)
    assert (found.pictures, found.image_gain, found.own_picture) == (1, None, None)
    assert list(found.costs) == ["model", "unigram"]


def test_a_unigram_says_tokens_as_often_as_the_training(evaluate, run):
    Vocabulary(WORDS, (0, 4, 1, 6, 3, 2)).save(run / VOCABULARY)  # END, UNK, left, right, dark
    # START is not said in training, and counts a tenth; "!" is unknown.
    often = {"END": 4, "UNK": 1, "left": 6, "right": 3, "dark": 2}
    cost = -sum(math.log(often[word] / 16.1) for _, words in SAID for word in words)
    assert evaluate().costs["unigram"].nats == pytest.approx(cost / TOKENS)


def test_of_two_boke_the_one_with_more_stars_is_the_more_probable_by_its_tokens(evaluate, data):
    # END is improbable: the longer one is the less probable, but each of its tokens is the more so.
    write_data(data, [("l.png", "test", LEFT, {"left left left": 5, "left": 1}), *PICTURES[1:]])
    found = evaluate().more_stars
    assert (found.value, found.pictures) == (1, 1)


def test_weights_without_a_number_are_told_of(evaluate, run):
    model = load_sentence_model(run)
    model.decoder.output.bias.assign(model.decoder.output.bias.value * math.nan)
    save_decoder(run / DECODER, model.decoder, model.feature, model.vocabulary, {})
    with pytest.raises(WeightsError, match="its weights hold nan"):
        evaluate()


# What is judged


def test_val_of_a_training_costs_what_its_metrics_say(painted, tmp_path, train):
    lines = [{name: each[name] for name in ("boke", "star", "images")} for each in records(painted, "train")]
    data = write_lines(tmp_path / "boke.jsonl", lines)
    (tmp_path / "ng.txt").write_text("芝生\n")
    train(sources=[data], images=painted, val_share=0.3, seed=5, longest=5, ng=tmp_path / "ng.txt")
    metrics = json.loads((tmp_path / "run" / METRICS).read_text())
    told, recorder = EvaluateBokeOptions(model=str(tmp_path / "run"), sentences=0, precision="float32"), Recorder()
    found = evaluate_boke([data], told, recorder)
    assert found.split == "val"
    assert found.costs["model"].nats == pytest.approx(metrics["val_loss"], rel=1e-5)
    assert found.image_gain == pytest.approx(metrics["image_gain"], rel=1e-3)
    assert not any("other boke" in note for note in recorder.notes)
    (tmp_path / "ng.txt").unlink()
    recorder = Recorder()
    assert evaluate_boke([data], told, recorder).ng is None
    assert any(note.endswith(f"are no longer there: {tmp_path / 'ng.txt'}") for note in recorder.notes)


def test_without_a_test_split_val_is_judged(evaluate, data):
    write_data(data, [(name, "val" if split == "test" else split, *rest) for name, split, *rest in PICTURES])
    recorder = Recorder()
    found = evaluate(recorder)
    assert (found.split, found.pictures) == ("val", 4)
    assert any("no split test: val is judged, by which" in note for note in recorder.notes)
    with pytest.raises(InputError, match="no boke of the split test"):
        evaluate(split="test")


@pytest.mark.parametrize(("split", "pictures"), [("val", 1), ("train", 2), ("all", 6), ("test", 3)])
def test_a_split_is_judged(evaluate, split, pictures):
    assert evaluate(split=split).pictures == pictures


def test_data_may_have_a_test_split_alone(evaluate, data):
    write_data(data, PICTURES[:3])
    assert evaluate().pictures == 3


def test_other_boke_than_those_of_the_training_are_told_of(evaluate, run):
    recorder = Recorder()
    evaluate(recorder)
    assert any(note.startswith(f"{run} was trained on other boke") for note in recorder.notes)


def test_a_picture_that_cannot_be_read_is_left_out(evaluate, data):
    (data.parent / "l.png").write_bytes(b"no picture")
    found = evaluate(sentences=9)
    assert [path.name for path, _ in found.skipped] == ["l.png"]
    assert (found.pictures, found.boke, found.more_stars) == (2, 2, None)
    assert [each.picture.name for each in found.written] == ["r.png", "m.png"]
    assert [each.picture.name for each in evaluate(sentences=1).written] == ["r.png"]
    for name in "rm":
        (data.parent / f"{name}.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"none of the 3 pictures can be read: .*l.png"):
        evaluate()


def test_boke_too_long_for_its_training_are_not_judged(evaluate, run):
    write_config(run, {**read_config(run), "options": {"longest": 2}})
    recorder = Recorder()
    assert evaluate(recorder).boke == 3
    assert any(note.startswith("1 boke do not have 1 to 2 tokens") for note in recorder.notes)


def test_tokens_are_those_of_the_model(evaluate, tmp_path):
    found = evaluate(model=str(make_boke_model(tmp_path / "signs", tokenizer="chars")), limit=1)
    assert (found.tokenizer, found.tokens) == ("chars", len("left") + len("Dark left!") + 2)


# What it writes


def test_it_writes_as_imgnn_boke_does(evaluate, data, run):
    said = BokeOptions(model=str(run), n=1, copies=True, precision="float32")
    expected = [each.boke[0].text for each in make_boke([data.parent / f"{name}.png" for name in "lrm"], said)]
    found = evaluate(sentences=9)
    assert [each.text for each in found.written] == expected
    assert found.distinct == len(set(expected))
    assert [each.picture.name for each in evaluate(sentences=2).written] == ["l.png", "r.png"]


def test_copies_of_the_training_alone_are_counted(evaluate, run):
    left, right, _ = (each.text for each in evaluate(sentences=9).written)
    assert left != right
    known = (("train", f"{left.upper()}!"), ("val", right))
    pictures = tuple(KnownPicture(split, "/gone", split, (text,), (None,)) for split, text in known)
    KnownPictures(pictures, np.zeros((2, 2), "float16")).save(run)
    found = evaluate(sentences=9)
    assert [each.copied for each in found.written] == [True, False, True]  # m.png is as l.png
    assert found.copied == 2


def test_without_the_boke_of_the_training_copies_are_not_counted(evaluate, run):
    (run / SENTENCES).unlink()
    recorder = Recorder()
    assert evaluate(recorder, sentences=9).copied is None
    assert any(note.startswith("What is copied cannot be told") for note in recorder.notes)


def test_words_that_are_not_to_be_said_are_counted(evaluate, tmp_path):
    (tmp_path / "ng.txt").write_text("Right\n", encoding="utf-8")
    found = evaluate(sentences=9, ng=tmp_path / "ng.txt")
    assert [each.banned for each in found.written] == [
        ("Right" if "right" in each.text else None) for each in found.written
    ]
    assert found.banned == 1
    assert evaluate(sentences=9).banned is None


# What is refused


def test_a_model_of_captions_is_refused(evaluate, tmp_path):
    with pytest.raises(InputError, match=r"is a run of imgnn train caption; one of imgnn train boke is wanted"):
        evaluate(model=str(make_model(tmp_path / "captions")))


def test_a_model_of_another_network_is_refused(evaluate, tmp_path):
    save_network(make_network(gain=2.0), tmp_path / "double.keras")
    with pytest.raises(WeightsError, match=r"double\.keras"):
        evaluate(network=str(tmp_path / "double.keras"))


@pytest.mark.parametrize("changed", [{"limit": 0}, {"sentences": -1}])
def test_options_that_make_no_sense_are_refused(evaluate, changed):
    with pytest.raises(OptionError):
        evaluate(**changed)
