"""A decoder that says which half of a picture is bright, judged on three pictures by hand."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.io import savemat

from imgnn.data.caption_files import read_captions
from imgnn.errors import InputError, WeightsError
from imgnn.images.files import load_image
from imgnn.jobs import evaluate_caption_models
from imgnn.jobs.evaluate_caption import evaluate_captions
from imgnn.jobs.evaluate_caption_files import Outputs
from imgnn.jobs.evaluate_caption_models import nearest_rows
from imgnn.language.metrics import CiderD, DocumentFrequency, bleu, rouge_l
from imgnn.networks.files import save_network
from imgnn.options import CaptionOptions, EvaluateCaptionOptions
from imgnn.runs import Silent
from imgnn.training.likelihood import other_pictures
from imgnn.training.run_folder import read_config, write_config
from tests.jobs.made_captions import log_prob_of, make_model, make_network, paint_halves

LEFT, RIGHT = (255, 0), (0, 255)
# name, split, halves, captions. The decoder says left, right, left of those that are judged: the last is wrong.
PICTURES = (
    ("l.png", "test", LEFT, ("Left.", "left dark")),
    ("r.png", "test", RIGHT, ("right", "dark right")),
    ("m.png", "test", LEFT, ("Right!",)),
    ("v.png", "val", RIGHT, ("right", "right dark")),
    ("a.png", "train", LEFT, ("left left", "left")),
    ("b.png", "train", RIGHT, ("dark right", "right dark")),
)
END = 2.0  # logit of END: after one word the sentence ends
WRITING = CaptionOptions(models=(), no_repeat_ngram=1, max_length=4, precision="float32")


class Recorder(Silent):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


def write_data(path, pictures=PICTURES):
    records = [{"image": name, "split": split, "captions": texts} for name, split, _, texts in pictures]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture
def data(tmp_path):
    for name, _, halves, _ in PICTURES:
        paint_halves(tmp_path / name, *halves)
    return write_data(tmp_path / "captions.jsonl")


@pytest.fixture
def run(tmp_path):
    return str(make_model(tmp_path / "run", end=END))


def evaluate(data, *runs, reporter=None, outputs=None, weights=None, network=None, **options):
    writing = replace(WRITING, models=runs, weights=weights, network=network) if runs else None
    return evaluate_captions(data, EvaluateCaptionOptions(**options), writing, reporter, outputs=outputs)


def results(path, *pairs):
    path.write_text(json.dumps([{"image_id": key, "caption": text} for key, text in pairs]))
    return path


# Scores


def test_the_scores_are_those_computed_by_hand(data, run):
    found = evaluate(data, run)
    judged = found.rows[0]
    assert (judged.name, found.split, found.references) == ("model", "test", 5)
    assert [image.name for image in found.images] == ["l.png", "r.png", "m.png"]
    assert found.said.captions == ("left", "right", "left")
    # Two of three words are right, and as many as in the closest references.
    assert judged.bleu[0] == pytest.approx(2 / 3)
    assert judged.rouge_l == pytest.approx(2 / 3)
    # Of three pictures "left" is in one's references, "right" and "dark" in two's; a caption of one word has one
    # order of four, and misses a reference of two words by one pair.
    rare, common = math.log(3), math.log(3 / 2)
    first = 1 + rare / math.hypot(rare, common) * math.exp(-1 / 72)
    second = 1 + common / math.hypot(common, common) * math.exp(-1 / 72)
    np.testing.assert_allclose(judged.each[:, 0], [10 / 4 * first / 2, 10 / 4 * second / 2, 0])
    assert judged.cider_d == pytest.approx(10 / 8 * (first + second) / 3)
    assert (judged.distinct, judged.words, judged.mean_length, judged.images) == (2, 2, 1.0, 3)
    assert judged.novel == pytest.approx(1 / 3)  # "left" is a training caption
    assert (judged.div(1), judged.div(2), judged.ends_badly) == (pytest.approx(2 / 3), 0, 0)


def test_the_references_cost_what_the_decoder_says_of_them(data, run):
    left, right = log_prob_of(1, 0, END), log_prob_of(0, 1, END)
    shown = [
        (left, ["left"]), (left, ["left", "dark"]), (right, ["right"]), (right, ["dark", "right"]), (left, ["right"])
    ]  # fmt: skip
    tokens = 5 + 2 + 5  # words of one caption each, two second words, ENDs

    def nats(pairs):
        return -sum(said[word] for said, words in pairs for word in [*words, "END"]) / tokens

    fit = evaluate(data, run).said.fit
    assert fit.nats == pytest.approx(nats(shown), rel=1e-4)
    assert fit.perplexity == pytest.approx(math.exp(nats(shown)), rel=1e-3)
    # In a circle of three the other picture of each is the next one, or of each the one before.
    shift = other_pictures(3)[0]
    by_picture = [left, right, left]
    other = [by_picture[(picture + shift) % 3] for picture in (0, 0, 1, 1, 2)]
    assert fit.image_gain == pytest.approx(
        nats([(other[n], words) for n, (_, words) in enumerate(shown)]) - nats(shown), rel=1e-3
    )
    assert fit.words == 3


def test_log_probs_are_those_of_the_captions(data, run):
    left = log_prob_of(1, 0, END)
    assert evaluate(data, run).said.log_probs == pytest.approx([left["left"] + left["END"]] * 3, rel=1e-4)


def test_retrieval_says_the_first_caption_of_the_nearest_training_picture(data, run):
    row = evaluate(data, run).rows[1]
    assert (row.name, row.novel) == ("retrieval", 0)
    assert [" ".join(tokens) for tokens in row.tokens] == ["left left", "dark right", "left left"]


def test_people_are_judged_by_each_other(data, run):
    row = evaluate(data, run).rows[2]
    said = [["left"], ["right"]], [[["left", "dark"]], [["dark", "right"]]]  # m.png has one caption
    assert (row.name, row.bleu, row.rouge_l) == ("people", bleu(*said)[0], rouge_l(*said)[0])
    assert (row.cider_d, row.images) == (CiderD(said[1]).score(said[0]).mean(), 2)
    assert [" ".join(tokens) for tokens in row.tokens] == ["left", "right"]


def test_without_baselines_the_sentences_stand_alone(data, run):
    assert [row.name for row in evaluate(data, run, baselines=False).rows] == ["model"]


@pytest.mark.parametrize("at_once", [1, 2, 4096])
def test_nearest_is_by_angle_of_what_the_decoder_looks_at(monkeypatch, at_once):
    monkeypatch.setattr(evaluate_caption_models, "AT_ONCE", at_once)
    features = np.array([[3, 1], [1, 9]], "float16")
    # Minus the mean, times the scale: (2, 0), (0, 0.8); others (8, 0.1), (-1, 0.5), (0, -0.9).
    others = np.array([[9, 2], [0, 6], [1, -8]], "float16")
    assert nearest_rows(features, others, np.array([1, 1]), np.array([1, 0.1])).tolist() == [0, 1]
    assert nearest_rows(features, others, np.array([1, 1]), np.array([1, -0.1])).tolist() == [0, 1]
    assert nearest_rows(np.array([[1, 1]]), np.array([[5, 0], [-1, -1]]), np.array([2, 2]), np.ones(2)).tolist() == [1]


def test_two_models_speak_together(data, run, tmp_path):
    other = make_model(tmp_path / "other", end=8.0)
    found = evaluate(data, run, str(other), weights=(3, 1))
    assert found.said.captions == ("left", "right", "left")
    probs = [log_prob_of(1, 0, END), log_prob_of(1, 0, 8.0)]
    mixed = {word: math.log(0.75 * math.exp(probs[0][word]) + 0.25 * math.exp(probs[1][word])) for word in probs[0]}
    assert found.said.log_probs[0] == pytest.approx(mixed["left"] + mixed["END"], rel=1e-4)


def test_a_sentence_that_is_broken_off_is_counted(data, tmp_path):
    file = results(tmp_path / "r.json", ("l", "a left"), ("r", "the right of a"), ("m", "left and"))
    assert evaluate(data, results=file).rows[0].ends_badly == pytest.approx(2 / 3)


def test_document_frequencies_of_another_corpus_are_used_and_written(data, run, tmp_path):
    outputs = Outputs(document_frequency=tmp_path / "df.json.gz")
    own = evaluate(data, run, outputs=outputs).rows
    again = evaluate(data, run, document_frequency=tmp_path / "df.json.gz").rows
    assert again[0].cider_d == own[0].cider_d and again[2].images == 3
    DocumentFrequency(1000, {("left",): 1000}).save(tmp_path / "df.json")
    other = evaluate(data, run, document_frequency=tmp_path / "df.json").rows[0]
    assert other.images == 1000
    assert other.each[0, 0] == 0  # a word that is everywhere tells nothing


def test_few_pictures_are_warned_of_unless_frequencies_are_given(data, run, tmp_path):
    recorder = Recorder()
    evaluate(data, run, reporter=recorder, outputs=Outputs(document_frequency=tmp_path / "df.json"))
    assert any("over 3 pictures: of fewer than 100" in note for note in recorder.notes)
    recorder = Recorder()
    evaluate(data, run, reporter=recorder, document_frequency=tmp_path / "df.json")
    assert not any("fewer than" in note for note in recorder.notes)


def test_meteor_that_cannot_run_is_told_of(data, monkeypatch):
    monkeypatch.setattr("imgnn.language.meteor.find_program", lambda: None)
    recorder = Recorder()
    assert evaluate(data, reporter=recorder, meteor=True).rows[0].meteor is None
    assert any(note.startswith("METEOR needs") for note in recorder.notes)


# What is judged


def test_without_a_test_split_val_is_judged(data, run):
    write_data(data, [(name, "val" if split == "test" else split, *rest) for name, split, *rest in PICTURES])
    recorder = Recorder()
    found = evaluate(data, run, reporter=recorder)
    assert (found.split, len(found.images)) == ("val", 4)
    assert any("no split test: val is judged, by which" in note for note in recorder.notes)
    with pytest.raises(InputError, match="no pictures of the split test"):
        evaluate(data, run, split="test")


def test_splits_are_drawn_as_they_were_for_training(data, run):
    texts = [{"image": name, "captions": captions} for name, _, _, captions in PICTURES]
    data.write_text("".join(json.dumps(record) + "\n" for record in texts))
    for seed in (3, 4, 5):
        captions = read_captions(data, val_share=0.5, seed=seed)
        facts = {"options": {"val_share": 0.5, "seed": seed}, "data": {"sha256": captions.digest}}
        write_config(data.parent / "run", {**read_config(run), **facts})
        recorder = Recorder()
        assert evaluate(data, run, reporter=recorder).images == captions.part("val").images
        assert not any("other captions" in note for note in recorder.notes)
    write_data(data)
    recorder = Recorder()
    evaluate(data, run, reporter=recorder)
    assert any(note.startswith(f"{run} was trained on other captions") for note in recorder.notes)


def test_the_data_of_a_run_are_read_as_they_were_for_its_training(data, run, tmp_path):
    def trained(**options):
        stored = {"seed": 0, "images": str(tmp_path / "away"), "skip_missing": True, "form": "jsonl", **options}
        facts = {"options": stored, "source": str(data.resolve())}
        write_config(data.parent / "run", {**read_config(run), **facts})

    trained()
    (tmp_path / "away").mkdir()
    for name in "lmvab":
        (tmp_path / f"{name}.png").rename(tmp_path / "away" / f"{name}.png")
    assert [image.name for image in evaluate(data, run).images] == ["l.png", "m.png"]
    paint_halves(tmp_path / "here" / "r.png", *RIGHT)
    assert [image.name for image in evaluate(data, run, images=tmp_path / "here").images] == ["r.png"]
    other = tmp_path / "other.jsonl"
    other.write_text(data.read_text())
    with pytest.raises(InputError, match=r"5 of 6 pictures of .* are not in"):
        evaluate(other, run)
    trained(skip_missing=False)
    with pytest.raises(InputError, match=r"1 of 6 pictures of .* are not in"):
        evaluate(data, run)


@pytest.mark.parametrize(("split", "names"), [("val", "v"), ("train", "ab"), ("all", "lrmvab"), ("test", "lrm")])
def test_a_split_is_judged_and_no_picture_is_its_own_neighbour(data, run, split, names):
    recorder = Recorder()
    found = evaluate(data, run, split=split, reporter=recorder)
    assert "".join(image.name[0] for image in found.images) == names
    assert ("retrieval" in [row.name for row in found.rows]) == (split in ("val", "test"))
    assert any("no training pictures" in note for note in recorder.notes) == (split in ("train", "all"))


def test_the_first_pictures_alone_may_be_judged(data, run):
    assert evaluate(data, run, limit=2).rows[0].bleu[0] == pytest.approx(1)


def test_one_picture_has_no_image_gain(data, run):
    assert evaluate(data, run, limit=1).said.fit.image_gain is None


def test_a_picture_that_cannot_be_read_is_left_out(data, run):
    (data.parent / "r.png").write_bytes(b"no picture")
    (data.parent / "a.png").write_bytes(b"no picture")
    recorder = Recorder()
    found = evaluate(data, run, reporter=recorder)
    assert [path.name for path, _ in found.said.skipped] == ["r.png"]
    assert (found.said.captions, found.references) == (("left", "left"), 3)
    assert [" ".join(tokens) for tokens in found.rows[1].tokens] == ["dark right", "dark right"]
    assert any("1 training pictures cannot be read" in note for note in recorder.notes)
    for name in "lm":
        (data.parent / f"{name}.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"none of the 3 pictures can be read: .*l.png"):
        evaluate(data, run)


def test_features_of_a_file_take_the_place_of_pictures(tmp_path):
    pictures = [
        {"filename": f"{n}.png", "imgid": n, "split": split, "sentences": [{"raw": text}]}
        for n, (split, text) in enumerate((("test", "left"), ("test", "right"), ("val", "left"), ("train", "dark")))
    ]
    (tmp_path / "dataset.json").write_text(json.dumps({"images": pictures}))
    savemat(tmp_path / "feats.mat", {"feats": np.array([[0.0, 1, 1, 1], [1, 0, 0, 1]])})
    run = str(make_model(tmp_path / "run", end=END, from_file=True))
    found = evaluate(tmp_path / "dataset.json", run, features=tmp_path / "feats.mat")
    assert found.said.captions == ("right", "left")
    assert [row.name for row in found.rows] == ["model", "retrieval"]
    facts = {"source": str(tmp_path / "dataset.json"), "options": {"features": str(tmp_path / "feats.mat")}}
    write_config(tmp_path / "run", {**read_config(run), **facts})
    assert evaluate(tmp_path / "dataset.json", run).said.captions == ("right", "left")
    with pytest.raises(InputError, match=r"pictures of .* were not found"):  # a network is to look at them
        evaluate(tmp_path / "dataset.json", run, network=str(tmp_path / "halves.keras"))
    savemat(tmp_path / "feats.mat", {"feats": np.ones((3, 4))})
    with pytest.raises(InputError, match=r"3 numbers for a picture; .*run was trained on 2"):
        evaluate(tmp_path / "dataset.json", run, features=tmp_path / "feats.mat")


def test_a_caption_without_a_word_is_no_reference(data, run):
    write_data(data, [("l.png", "test", LEFT, ("left", "...")), *PICTURES[1:]])
    assert evaluate(data, run).references == 4
    write_data(data, [("l.png", "test", LEFT, ("...",)), *PICTURES[1:]])
    with pytest.raises(InputError, match="1 of 3 images have no reference"):
        evaluate(data, run)


# Result files, and people alone


def test_a_result_file_is_judged_as_a_model_is(data, run, tmp_path):
    for name, *_ in PICTURES[3:]:
        (tmp_path / name).unlink()  # no picture is looked at
    file = results(tmp_path / "r.json", ("m", "left"), ("r", "Right."), ("l", "left"))
    found = evaluate(data, results=file)
    assert [row.name for row in found.rows] == ["results", "people"]
    assert found.said.captions == ("left", "Right.", "left")
    assert found.rows[0].bleu[0] == pytest.approx(2 / 3)
    assert found.said.fit is None and found.said.log_probs == ()


def test_a_result_file_has_to_fit(data, tmp_path):
    file = results(tmp_path / "r.json", ("l", "left"), ("x", "left"), ("y", "left"))
    with pytest.raises(InputError, match=r"r.json: 2 of 3 ids are no picture of .*, the first 'x' .*such as 'l'"):
        evaluate(data, results=file)
    file = results(tmp_path / "r.json", ("l", "left"), ("a", "left"))
    with pytest.raises(InputError, match=r"2 of 3 pictures have no sentence, the first 'r'") as error:
        evaluate(data, results=file)
    assert error.value.hint.startswith("--partial")
    recorder = Recorder()
    found = evaluate(data, results=file, partial=True, reporter=recorder)
    assert [image.name for image in found.images] == ["l.png"]
    assert any(note.startswith("2 of 3 pictures have no sentence") for note in recorder.notes)
    assert any(note.startswith("1 of 2 sentences") for note in recorder.notes)
    with pytest.raises(InputError, match="3 of 3 pictures have no sentence"):
        evaluate(data, results=results(tmp_path / "r.json", ("a", "left")), partial=True)


def test_people_alone_need_no_picture(data):
    for name, *_ in PICTURES:
        (data.parent / name).unlink()
    found = evaluate(data)
    assert (found.said, [row.name for row in found.rows]) == (None, ["people"])
    write_data(data, [(*facts, texts[:1]) for *facts, texts in PICTURES])
    with pytest.raises(InputError, match=r"every picture of .* has one caption"):
        evaluate(data)


def test_people_agree_as_they_do_for_coco_caption(shared, tmp_path):
    # Measured with pycocoevalcap 1.2: caption 0 of the first thousand pictures of Flickr8k against captions 1 to 4.
    lines = (shared / "data" / "flickr8k_text" / "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines()[:5000]
    (tmp_path / "some.token.txt").write_text("\n".join(lines), encoding="utf-8")
    (row,) = evaluate(tmp_path / "some.token.txt", split="all").rows
    np.testing.assert_allclose(row.bleu, (0.63877, 0.44739, 0.30797, 0.20894), atol=1e-5)
    assert (row.rouge_l, row.cider_d) == (pytest.approx(0.49359, abs=1e-5), pytest.approx(0.76588, abs=1e-5))


# What is written


def test_sentences_are_written_as_a_table_as_results_and_as_a_sheet(data, run, tmp_path):
    outputs = Outputs(table=tmp_path / "p.csv", results=tmp_path / "r.json", sheet=tmp_path / "s.png")
    found = evaluate(data, run, outputs=outputs)
    rows = list(csv.DictReader((tmp_path / "p.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["picture"], row["caption"], row["references"]) for row in rows] == [
        ("l.png", "left", "Left. | left dark"),
        ("r.png", "right", "right | dark right"),
        ("m.png", "left", "Right!"),
    ]
    np.testing.assert_allclose([float(row["cider_d"]) for row in rows], found.rows[0].each[:, 0], rtol=1e-5)
    assert [float(row["rouge_l"]) for row in rows] == [1, 1, 0]
    assert float(rows[0]["log_prob"]) == pytest.approx(found.said.log_probs[0], rel=1e-5)
    again = evaluate(data, results=tmp_path / "r.json")
    assert (again.said.captions, again.rows[0].cider_d) == (found.said.captions, found.rows[0].cider_d)
    assert load_image(tmp_path / "s.png").shape[1] > 3 * 320


def test_of_the_sheet_what_cannot_be_read_is_left_out(data, tmp_path):
    (tmp_path / "l.png").unlink()
    file = results(tmp_path / "results.json", ("l", "left"), ("r", "right"), ("m", "left"))
    recorder = Recorder()
    evaluate(data, results=file, outputs=Outputs(sheet=tmp_path / "s.png"), reporter=recorder)
    assert any(note.startswith("Not on the sheet: no such file") for note in recorder.notes)
    assert (tmp_path / "s.png").exists()


# What is refused


def test_a_model_of_another_network_is_refused(data, run):
    save_network(make_network(gain=2.0), data.parent / "double.keras")
    with pytest.raises(WeightsError, match=r"double\.keras"):
        evaluate(data, run, network=str(data.parent / "double.keras"))


def test_models_of_other_words_do_not_speak_together(data, run, tmp_path):
    other = make_model(tmp_path / "other", ("<START>", "<END>", "<UNK>", "left", "up", "dark"))
    with pytest.raises(InputError, match="'right' and 'up'"):
        evaluate(data, run, str(other))


def test_options_that_do_not_go_together_are_refused(data, run, tmp_path):
    with pytest.raises(InputError, match="not of both"):
        evaluate(data, run, results=tmp_path / "r.json")
    with pytest.raises(InputError, match="nothing would be judged"):
        evaluate(data, baselines=False)
    with pytest.raises(InputError, match="no sentences to be written"):
        evaluate(data, outputs=Outputs(table=tmp_path / "p.csv"))
    with pytest.raises(InputError, match="at least 1 picture"):
        evaluate(data, limit=0)
    with pytest.raises(InputError, match="would be replaced"):
        evaluate(data, run, outputs=Outputs(table=data))
    with pytest.raises(InputError, match="would be replaced"):
        evaluate(tmp_path, run, outputs=Outputs(table=data))  # the file that the folder stands for
    with pytest.raises(InputError, match="there is no folder"):
        evaluate(data, run, outputs=Outputs(sheet=tmp_path / "none" / "s.png"))
    with pytest.raises(InputError, match="beam search"):
        evaluate_captions(data, None, replace(WRITING, models=(run,), temperature=1.0))
