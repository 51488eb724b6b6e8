"""Boke of a model whose probabilities are computed by hand: tests/jobs/made_boke.py."""

import json
import math
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from imgnn import backend
from imgnn.errors import InputError
from imgnn.jobs import boke as job
from imgnn.jobs.boke import BokeMaker, make_boke
from imgnn.jobs.boke_donors import Lenders, directions_of
from imgnn.jobs.boke_writer import BokeWriter
from imgnn.jobs.sentence_model import load_sentence_model
from imgnn.language.beam import BeamOptions
from imgnn.language.decoder import Decoder
from imgnn.language.steps import DeviceStep
from imgnn.options import BokeOptions
from tests.jobs.made_boke import END, KNOWN, know, make_boke_model
from tests.jobs.made_captions import MARKS, log_prob_of, make_decoder, make_model, paint_halves
from tests.jobs.test_caption import Recorder

QUICK = {"min_length": 1, "no_repeat_ngram": 1, "max_length": 4, "precision": "float32"}


@pytest.fixture
def run(tmp_path):
    return str(make_boke_model(tmp_path / "run"))


@pytest.fixture
def photo(tmp_path):
    """Its left half is white, the other one dark grey: the same as no known picture's."""
    return paint_halves(tmp_path / "photos" / "photo.png", 255, 51)


def boke(files, run=None, reporter=None, **options):
    files = [files] if isinstance(files, Path) else files
    return list(make_boke(files, BokeOptions(run, **{**QUICK, **options}), reporter))


def texts(results):
    return [[each.text for each in result.boke] for result in results]


def log_prob_by_hand(tokens, left, right):
    known = log_prob_of(left, right, END)
    return sum(known[token] for token in (*tokens, "END"))


# Mode model


@pytest.mark.parametrize(("gain", "second"), [(0.0, "left dark"), (5.0, "left right")])
def test_boke_are_ordered_by_probability_and_by_what_the_picture_adds_to_it(run, photo, monkeypatch, gain, second):
    monkeypatch.setattr(job, "GAIN", gain)
    maker = BokeMaker(BokeOptions(run, n=9, candidates=300, temperature=3.0, top_p=1.0, copies=True, **QUICK))
    dark = 3.0  # is said of any picture, the mean one too, which is black for this decoder
    maker.model.decoder.output.bias.assign([-30.0, END, -30.0, 0.0, 0.0, dark])
    [result] = maker.make([photo])

    def by_hand(tokens, left, right):
        known = log_prob_of(left, right, END)
        known["dark"] += dark
        total = math.log(sum(map(math.exp, known.values())))
        return sum(known[token] - total for token in (*tokens, "END"))

    scores = []
    for each in result.boke:
        own, anyway = by_hand(each.tokens, 1.0, 0.2), by_hand(each.tokens, 0.0, 0.0)
        assert each.log_prob == pytest.approx(own, abs=5e-3)
        assert each.per_token == pytest.approx(own / (len(each.tokens) + 1), abs=5e-3)
        scores.append((own + gain * (own - anyway)) / (len(each.tokens) + 1))
    assert all(before > after - 1e-2 for before, after in pairwise(scores))
    assert len(scores) == 9
    in_pairs = [each.text for each in result.boke if len(each.tokens) == 2 and each.tokens[0] == "left"]
    assert in_pairs[0] == second


def test_what_a_training_text_says_is_shown_only_if_it_may(run, photo):
    many = {"candidates": 200, "temperature": 2.0, "top_p": 1.0, "n": 20}
    new, all_of_them = boke(photo, run, **many)[0], boke(photo, run, copies=True, **many)[0]
    assert "left" not in texts([new])[0]
    assert {each.text for each in all_of_them.boke if each.novel is False} == {"left", "right"}
    assert all(each.novel for each in new.boke)
    assert all_of_them.boke[0].nearest == ("left", 1.0, "left.jpg", 3)
    assert "copied" in new.note


def test_an_ng_word_is_in_no_boke_of_any_mode(run, photo, tmp_path):
    (tmp_path / "ng.txt").write_text("Right\n", encoding="utf-8")
    for mode in ("model", "mismatch", "retrieve"):
        with_it, without = (
            boke(photo, run, mode=mode, n=50, copies=True, ng=ng)[0] for ng in (None, tmp_path / "ng.txt")
        )
        assert any("right" in each.text.split() for each in with_it.boke)
        assert not any("right" in each.text.split() for each in without.boke)
        assert "with an NG word" in without.note


def test_no_boke_comes_twice_and_why_there_are_few_is_told(run, photo):
    [result] = boke(photo, run, n=50, candidates=50)
    found = texts([result])[0]
    assert len(set(found)) == len(found) < 50
    counts = [int(word) for word in result.note.replace(";", "").split() if word.isdigit()]
    assert counts[:2] == [len(found), 50]
    assert sum(counts[2:]) == 50 - len(found)
    assert boke(photo, run, n=1)[0].note is None


def test_what_is_drawn_depends_on_the_picture_and_the_seed_alone(run, photo, tmp_path):
    others = [
        paint_halves(tmp_path / "photos" / f"{number}.png", *each) for number, each in enumerate([(9, 99), (70, 0)])
    ]
    elsewhere = tmp_path / "elsewhere.png"
    shutil.copy(photo, elsewhere)
    for mode in ("model", "mismatch"):
        options = {"mode": mode, "temperature": 2.0, "top_p": 1.0, "candidates": 5, "n": 2}
        alone = texts(boke(elsewhere, run, **options))[0]
        assert texts(boke([*others, photo], run, **options))[2] == alone
        assert texts(boke([*others, photo], run, batch=2, **options))[2] == alone
    drawn = {tuple(texts(boke(photo, run, **{**options, "mode": "model", "seed": seed}))[0]) for seed in range(5)}
    assert len(drawn) > 1


def test_a_maker_that_is_kept_says_the_same_as_a_new_one_and_traces_once(run, photo, monkeypatch):
    rows, log_prob = set(), DeviceStep.log_prob

    def spy(self, tokens, state):
        rows.add(len(tokens))
        return log_prob(self, tokens, state)

    monkeypatch.setattr(DeviceStep, "log_prob", spy)
    maker = BokeMaker(BokeOptions(run, **QUICK))
    for changed in ({"n": 3}, {"n": 1, "temperature": 2.0}, {"seed": 4, "top_p": 0.5}):
        options = replace(maker.options, **changed)
        assert texts(maker.make([photo], options)) == texts(boke(photo, run, **changed))
    assert rows == {50}  # of the candidates, whatever is shown of them
    step = maker.writer.speaker.step.step
    assert getattr(step, "experimental_get_tracing_count", lambda: 1)() == 1


def test_contrast_leaves_the_probabilities_those_of_the_model(run, photo):
    for mode, halves in (("model", (1.0, 0.2)), ("mismatch", None)):
        [result] = boke(photo, run, mode=mode, contrast=0.7, copies=True, n=2)
        assert result.boke
        for each in result.boke:
            seen = halves or {name: at for name, at, _ in KNOWN}[each.donor.name]
            assert each.log_prob == pytest.approx(log_prob_by_hand(each.tokens, *seen), abs=5e-3)


@pytest.mark.skipif(backend.name() == "torch", reason="it traces nothing")
def test_another_contrast_is_another_number_and_no_new_function(run, monkeypatch):
    traced, step = [], Decoder.step
    monkeypatch.setattr(Decoder, "step", lambda *given: traced.append(1) or step(*given))
    decoder = load_sentence_model(run).decoder
    seen, other = np.float32([[1, 0.2]]), np.float32([[0.5, 0.5]])

    def probable(writer, weight):
        [[best]] = writer.search(seen, other, weight, BeamOptions(n=1, max_length=4))
        return best.log_prob

    writer = BokeWriter(decoder)
    found = [probable(writer, 0.5)]
    before = len(traced)
    found += [probable(writer, weight) for weight in (0.9, 0.5, 0.7)]
    assert len(traced) == before
    assert found == [probable(BokeWriter(decoder), weight) for weight in (0.5, 0.9, 0.5, 0.7)]
    assert len(set(found)) == 3


def test_japanese_is_joined_without_spaces(tmp_path, photo):
    run = make_boke_model(tmp_path / "ja", (*MARKS, "犬", "猫", "。"), tokenizer="chars")
    [result] = boke(photo, str(run), n=3, min_length=2)
    assert all(each.text == "".join(each.tokens) and len(each.text) >= 2 for each in result.boke)
    assert result.boke[0].text[0] == "犬"


# Mode mismatch


def lenders_at(angles):
    """Pictures whose directions make these angles with (1, 0)."""
    features = np.array([(math.cos(math.radians(each)), math.sin(math.radians(each))) for each in angles], "float16")
    names = [str(each) for each in angles]
    return Lenders(names, [Path(each) for each in names], features, directions_of(features, make_decoder()))


@pytest.mark.parametrize(
    ("distance", "least", "chosen"),
    [("far", 1, {80, 90}), ("middle", 1, {40, 50}), ("far", 3, {70, 80, 90}), ("middle", 99, set(range(10, 100, 10)))],
)
def test_donors_are_of_the_farthest_fifth_or_the_middle_one(distance, least, chosen):
    lenders = lenders_at([*range(10, 100, 10), 0])  # the last is the picture itself
    found = lenders.donors(np.array([1.0, 0.0], "float32"), distance, least, (0, 0))
    assert {int(lenders.names[number]) for number, _ in found} == chosen
    for number, each in found:
        assert each == pytest.approx(1 - math.cos(math.radians(int(lenders.names[number]))), abs=1e-3)
    orders = {tuple(lenders.donors(np.array([1.0, 0.0]), "middle", 99, (seed, 0))) for seed in range(5)}
    assert len(orders) == 5


def test_directions_are_those_that_the_decoder_sees():
    decoder = make_decoder()
    decoder.standardise(np.array([[1.0, 10.0], [3.0, 30.0]]))  # mean 2 and 20, deviation 1 and 10
    found = directions_of(np.array([[2.0, 50.0], [5.0, -20.0], [2.0, 20.0]]), decoder)
    np.testing.assert_allclose(found, [[0, 1], [3 / 5, -4 / 5], [0, 0]], atol=1e-6)


def test_mismatch_says_what_is_true_of_another_picture(run, photo):
    [result] = boke(photo, run, mode="mismatch", n=1)
    [found] = result.boke
    assert (found.text, found.novel, found.mode) == ("right", False, "mismatch")
    assert (found.donor.name, found.donor.file) == ("right.jpg", None)
    assert found.donor.distance == pytest.approx(1 - 0.2 / math.hypot(1, 0.2), abs=1e-3)
    assert found.log_prob == pytest.approx(log_prob_by_hand(["right"], 0.0, 1.0), abs=5e-3)


def test_what_is_true_of_the_picture_itself_is_no_mismatch(run, photo):
    [result] = boke(photo, run, mode="mismatch", n=5)  # all pictures may lend then
    assert "left" not in texts([result])[0]
    assert "said before" in result.note


def test_a_blend_is_a_mixture_of_both_features(run, photo):
    [found] = boke(photo, run, mode="mismatch", n=1, blend=0.75)[0].boke
    assert found.donor.name == "right.jpg"
    assert found.log_prob == pytest.approx(log_prob_by_hand(found.tokens, 0.25, 0.75 + 0.25 * 0.2), abs=5e-3)


def test_named_pictures_lend_in_place_of_those_of_the_run(tmp_path, photo):
    run = make_model(tmp_path / "captions", end=END)  # of captions, and knows no pictures
    paint_halves(tmp_path / "lent" / "white.png", 0, 255)
    (tmp_path / "lent" / "bad.png").write_bytes(b"no picture")
    reporter = Recorder()
    [result] = boke(photo, str(run), reporter, donors=(tmp_path / "lent",), n=1)
    [found] = result.boke
    assert (found.text, found.mode, found.novel, found.nearest) == ("right", "mismatch", None, None)
    assert found.donor[:2] == (str(tmp_path / "lent" / "white.png"), tmp_path / "lent" / "white.png")
    told = "\n".join(reporter.notes)
    assert "No donor: " in told and "bad.png" in told
    assert "What is copied cannot be told" in told


def test_a_run_that_knows_no_pictures_says_what_helps(tmp_path, photo):
    run = str(make_model(tmp_path / "captions"))
    with pytest.raises(InputError, match=r"there is no pictures\.jsonl") as found:
        boke(photo, run)
    assert found.value.hint.startswith("--donors FOLDER")
    with pytest.raises(InputError, match=r"there is no pictures\.jsonl") as found:
        boke(photo, run, mode="retrieve")
    assert found.value.hint == "imgnn train caption makes a run that does"


# Mode retrieve


def test_retrieve_gives_the_best_liked_sentences_of_the_nearest_pictures(run, photo):
    [result] = boke(photo, run, mode="retrieve", n=4)
    assert texts([result]) == [["left", "it is left", "both", "write"]]  # by 0.02, 0.04, 0.17 and 0.39
    second = result.boke[1]
    assert second.nearest == ("it is left", 1.0, "leftish.jpg", 7)
    assert (second.log_prob, second.per_token, second.novel, second.mode) == (None, None, False, "retrieve")
    distance = 1 - (1.0 + 0.5 * 0.2) / (math.hypot(1, 0.5) * math.hypot(1, 0.2))
    assert second.donor.distance == pytest.approx(distance, abs=1e-3)


def test_a_known_picture_does_not_answer_itself(run, tmp_path):
    itself = paint_halves(tmp_path / "left.png", 255, 0)
    assert texts(boke(itself, run, mode="retrieve", n=1)) == [["it is left"]]


# All modes


def test_a_model_of_captions_lends_and_one_of_boke_thinks_for_itself(run, photo, tmp_path):
    captions = make_model(tmp_path / "captions", end=END)
    know(captions)
    assert {each.mode for each in boke(photo, str(captions))[0].boke} == {"mismatch"}
    assert {each.mode for each in boke(photo, run)[0].boke} == {"model"}
    other = paint_halves(tmp_path / "other.png", 0, 255)
    assert {each.mode for each in boke(photo, run, donors=(photo, other))[0].boke} == {"mismatch"}
    assert {each.mode for each in boke(photo, str(captions), mode="model")[0].boke} == {"model"}


def test_without_a_model_the_one_in_the_package_lends_and_knows_no_sentences(photo):
    [result] = boke(photo)
    assert result.boke or "left out" in result.note
    for each in result.boke:
        assert (each.mode, each.novel, each.nearest, each.donor.file) == ("mismatch", None, None, None)
    with pytest.raises(InputError, match="does not have what people said of its pictures"):
        boke(photo, mode="retrieve")


def test_in_a_row_tokens_do_not_come_twice_in_lengths_that_suit_them(run, tmp_path):
    for folder, wanted in ((run, 3), (make_boke_model(tmp_path / "ja", tokenizer="chars"), 6)):
        maker = BokeMaker(BokeOptions(str(folder), precision="float32"))
        assert maker.settled(maker.options).no_repeat_ngram == wanted
        assert maker.settled(replace(maker.options, no_repeat_ngram=0)).no_repeat_ngram == 0


@pytest.mark.parametrize("mode", ["model", "mismatch", "retrieve"])
def test_a_bad_picture_is_a_result_and_alone_an_error(run, photo, tmp_path, mode):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    reporter = Recorder()
    results = boke([bad, photo], run, reporter, mode=mode, n=1)
    assert ["bad.png" in str(each.error) for each in results] == [True, False]
    assert texts(results) == [[], texts(boke(photo, run, mode=mode, n=1))[0]]
    assert reporter.begun == [("writing boke", 2, "pictures")]
    with pytest.raises(InputError, match=r"bad\.png"):
        boke(bad, run, mode=mode)


def test_a_picture_that_is_asked_for_again_is_looked_up(run, photo):
    maker = BokeMaker(BokeOptions(run, **QUICK))
    maker.extractor.vectors = None  # not to be called
    boke(photo, run)
    assert next(iter(maker.make([photo]))).boke


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"n": 60}, "--candidates 50"),
        ({"top_p": 0.0}, "--top-p"),
        ({"blend": 0.0}, "--blend"),
        ({"blend": 1.5}, "--blend"),
        ({"min_length": 4}, "--max-length 4"),
        ({"mode": "model", "donors": (Path("x"),)}, "--donors"),
    ],
)
def test_options_that_do_not_go_together_are_refused(run, photo, options, told):
    with pytest.raises(InputError, match=told):
        boke(photo, run, **options)


def test_a_run_of_a_classifier_is_refused(tmp_path, photo, run):
    config = Path(run) / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text(encoding="utf-8")), "kind": "classifier"}))
    with pytest.raises(InputError, match="imgnn train boke or imgnn train caption is wanted"):
        boke(photo, run)
