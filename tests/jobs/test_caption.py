"""Captions of a model whose probabilities are computed by hand: tests/jobs/made_captions.py."""

import itertools
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest

from imgnn.errors import InputError, WeightsError
from imgnn.images.files import load_image
from imgnn.jobs.caption import caption_images
from imgnn.jobs.picture_features import FeatureExtractor
from imgnn.jobs.sentence_model import Speaker
from imgnn.networks.files import save_network
from imgnn.options import CaptionOptions
from imgnn.runs import Silent
from tests.jobs.made_captions import WORDS, log_prob_of, make_model, make_network, paint_halves

END = 2.0  # its logit: a bright half is more probable, a dark one less


class Recorder(Silent):
    def __init__(self):
        self.notes, self.begun, self.done = [], [], []

    def note(self, message):
        self.notes.append(message)

    def begin(self, task, total, unit=""):
        self.begun.append((task, total, unit))

    def advance(self, done, **facts):
        self.done.append(done)


@pytest.fixture
def run(tmp_path):
    return str(make_model(tmp_path / "run", end=END))


@pytest.fixture
def photos(tmp_path):
    """Seven pictures, no two with the same halves, and none with halves alike."""
    greys = ((30, 60), (60, 120), (120, 255), (255, 30), (120, 30), (60, 30), (255, 0))
    return [paint_halves(tmp_path / "photos" / f"{number}.png", *each) for number, each in enumerate(greys)]


def caption(paths, *models, reporter=None, explain_in=None, **options):
    options = {"no_repeat_ngram": 1, "precision": "float32", **options}
    return list(caption_images(paths, CaptionOptions(models, **options), reporter, explain_in=explain_in))


def said(results):
    return [[each.tokens for each in result.captions] for result in results]


@pytest.mark.parametrize(("left", "right", "words"), [(255, 0, ["left"]), (0, 255, ["right"]), (0, 0, [])])
def test_a_caption_is_the_most_probable_one_with_the_probabilities_computed_by_hand(run, tmp_path, left, right, words):
    [result] = caption([paint_halves(tmp_path / "x.png", left, right)], run)
    [found] = result.captions
    assert (found.tokens, found.text, found.finished) == (tuple(words), " ".join(words), True)
    known = log_prob_of(left / 255, right / 255, END)
    wanted = [known[word] for word in (*words, "END")]
    np.testing.assert_allclose(found.log_probs, wanted, atol=2e-3)  # features are kept in float16
    assert found.log_prob == pytest.approx(sum(wanted), abs=5e-3)
    assert found.per_token == pytest.approx(np.mean(wanted), abs=5e-3)


def test_several_captions_come_the_best_first(run, tmp_path):
    photo = paint_halves(tmp_path / "x.png", 255, 120)
    [result] = caption([photo], run, n=4, length_penalty=0.0)
    known = log_prob_of(1.0, 120 / 255, END)
    sentences = itertools.chain.from_iterable(itertools.permutations(("left", "right", "dark"), n) for n in range(4))
    wanted = sorted((sum(known[word] for word in (*each, "END")) for each in sentences), reverse=True)
    np.testing.assert_allclose([each.log_prob for each in result.captions], wanted[:4], atol=1e-2)
    assert len({each.text for each in result.captions}) == 4


def test_a_caption_that_is_cut_off_is_not_finished(tmp_path):
    run = make_model(tmp_path / "endless", end=-20.0)
    [result] = caption([paint_halves(tmp_path / "x.png", 255, 120)], str(run), max_length=2)
    assert (result.captions[0].text, result.captions[0].finished) == ("left right", False)


def test_unk_is_said_only_if_it_may(tmp_path):
    run = str(make_model(tmp_path / "run", end=-20.0))
    photo = paint_halves(tmp_path / "x.png", 0, 0)
    known = caption([photo], run, beam=1, max_length=5)[0].captions[0]
    assert sorted(known.tokens) == ["dark", "left", "right"]  # all equally probable
    any_word = caption([photo], run, beam=1, max_length=5, min_length=4, unk=True)[0].captions[0]
    assert any_word.tokens[-1] == any_word.text.split()[-1] == "<UNK>"


@pytest.mark.parametrize("batch", [1, 3, 7, 128])
def test_batches_of_any_size_say_the_same_and_have_one_shape(run, photos, monkeypatch, batch):
    alone = [caption([photo], run, n=2)[0] for photo in photos]
    shapes, search = set(), Speaker.search

    def spy(self, features, options):
        shapes.add(features[0].shape)
        return search(self, features, options)

    monkeypatch.setattr(Speaker, "search", spy)
    together = caption(photos, run, n=2, batch=batch)
    assert said(together) == said(alone)
    assert shapes == {(min(batch, len(photos)), 2)}


def test_a_bad_picture_is_a_result_and_alone_an_error(run, photos, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    missing = tmp_path / "missing.png"
    results = caption([photos[0], tmp_path / "bad.png", photos[6], missing], run, batch=2)
    assert [each.error is not None for each in results] == [False, True, False, True]
    assert "bad.png" in str(results[1].error)
    assert said(results)[2] == said(caption([photos[6]], run))[0]
    for path in (tmp_path / "bad.png", missing):
        with pytest.raises(InputError, match=path.name):
            caption([path], run)


def test_drawn_captions_depend_on_the_picture_and_the_seed_alone(run, photos, tmp_path):
    drawing = {"n": 5, "temperature": 1.5}
    together = said(caption(photos, run, batch=3, **drawing))
    elsewhere = shutil.copy(photos[4], tmp_path / "elsewhere.png")
    assert said(caption([elsewhere], run, **drawing))[0] == together[4]
    assert said(caption(photos, run, seed=1, **drawing)) != together
    assert said(caption(photos, run, top_p=0.999, n=5)) == said(caption(photos, run, top_p=0.999, temperature=1.0, n=5))


def test_temperature_0_says_what_greedy_search_says(run, photos):
    assert said(caption(photos, run, temperature=0.0)) == said(caption(photos, run, beam=1))


# Several models


@pytest.mark.parametrize(("weights", "shares"), [(None, (0.5, 0.5)), ((3.0, 1.0), (0.75, 0.25))])
def test_several_models_are_the_mean_of_their_probabilities(tmp_path, weights, shares):
    runs = [str(make_model(tmp_path / name, end=end)) for name, end in (("a", 0.0), ("b", END))]
    photo = paint_halves(tmp_path / "x.png", 255, 0)
    [found] = caption([photo], *runs, weights=weights)[0].captions
    known = [log_prob_of(1.0, 0.0, end) for end in (0.0, END)]
    wanted = [
        math.log(sum(share * math.exp(each[word]) for share, each in zip(shares, known, strict=True)))
        for word in ("left", "END")
    ]
    assert found.tokens == ("left",)
    np.testing.assert_allclose(found.log_probs, wanted, atol=2e-3)


def test_models_of_one_feature_look_once(tmp_path, photos, monkeypatch):
    runs = [str(make_model(tmp_path / name)) for name in "ab"]
    looks, look = [], FeatureExtractor.extract
    monkeypatch.setattr(FeatureExtractor, "extract", lambda self, files: looks.append(len(files)) or look(self, files))
    caption(photos, *runs, batch=4)
    assert looks == [4, 3]


def test_models_of_two_networks_look_one_after_the_other(tmp_path, photos):
    runs = [make_model(tmp_path / name / "run", gain=gain) for name, gain in (("a", 1.0), ("b", 0.0))]
    [result] = caption(photos[6:], *map(str, runs))
    # The second network sees nothing: each word is as probable as any other.
    known = [log_prob_of(*halves) for halves in ((1.0, 0.0), (0.0, 0.0))]
    wanted = [math.log(sum(math.exp(each[word]) for each in known) / 2) for word in ("left", "END")]
    np.testing.assert_allclose(result.captions[0].log_probs, wanted, atol=2e-3)
    reporter = Recorder()
    caption(photos, *map(str, runs), reporter=reporter, batch=4)
    assert reporter.done == sorted(reporter.done)


def test_models_of_other_words_are_refused(run, photos, tmp_path):
    other = make_model(tmp_path / "other", (*WORDS[:4], "rechts", "dark"))
    with pytest.raises(InputError, match=r"number 4 is 'right' and 'rechts'"):
        caption(photos, run, str(other))
    longer = make_model(tmp_path / "longer", (*WORDS, "bright"))
    with pytest.raises(InputError, match=r"number 6 is none and 'bright'"):
        caption(photos, run, str(longer))


def test_a_folder_that_is_no_run_of_captions_is_refused(photos, tmp_path):
    with pytest.raises(InputError, match="no run of imgnn") as told:
        caption(photos, str(tmp_path))
    assert "imgnn train caption" in told.value.hint


def test_without_a_model_the_one_in_the_package_is_taken_and_there_is_none_on_every_network(photos):
    assert [len(each.captions) for each in caption(photos[:2])] == [1, 1]
    with pytest.raises(InputError, match="no model of captions on vgg19 came with imgnn") as told:
        caption(photos, network="vgg19")
    assert told.value.hint == "--model RUN; imgnn train caption DATA --network vgg19 makes one"


# The network


def test_another_network_is_refused_and_a_moved_one_is_not(run, photos, tmp_path):
    (tmp_path / "halves.keras").rename(tmp_path / "moved.keras")
    with pytest.raises((InputError, WeightsError), match=r"halves\.keras"):
        caption(photos, run)
    assert caption(photos, run, network=str(tmp_path / "moved.keras"))[0].captions
    save_network(make_network(gain=2.0), tmp_path / "twice.keras")
    with pytest.raises(WeightsError, match=r"not on .*twice\.keras") as told:
        caption(photos, run, network=str(tmp_path / "twice.keras"))
    assert "--network" in told.value.hint


def test_pictures_prepared_otherwise_are_refused(run, photos, tmp_path):
    made = make_network()
    assert made.preprocessing is not None
    save_network(replace(made, preprocessing=replace(made.preprocessing, channel_order="BGR")), tmp_path / "bgr.keras")
    with pytest.raises(WeightsError, match="prepared otherwise"):
        caption(photos, run, network=str(tmp_path / "bgr.keras"))


def test_features_of_a_file_are_believed_to_be_those_of_the_network(run, photos, tmp_path):
    believed = make_model(tmp_path / "believed", end=END, from_file=True)
    reporter = Recorder()
    assert said(caption(photos, str(believed), reporter=reporter)) == said(caption(photos, run))
    assert [note for note in reporter.notes if "believed, not checked" in note and "halves" in note]
    with pytest.raises(InputError, match=r"no .*nowhere\.keras"):
        caption(photos, str(believed), network=str(tmp_path / "nowhere.keras"))


# Options, paths, progress


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"beam": 3, "temperature": 1.0}, "--beam"),
        ({"groups": 2, "top_k": 5}, "--groups"),
        ({"beam": 5, "groups": 2}, "--groups 2"),
        ({"beam": 3, "n": 5}, "--number 5"),
        ({"min_length": 24}, "--max-length 24"),
        ({"weights": (1.0, 2.0)}, "2 numbers for 1 models"),
    ],
)
def test_options_that_do_not_go_together_are_refused(run, photos, options, told):
    with pytest.raises(InputError, match=told):
        caption(photos, run, **options)


@pytest.mark.parametrize(
    ("options", "width"),
    [({}, 3), ({"n": 2}, 20), ({"n": 30}, 30), ({"beam": 7}, 7), ({"groups": 2}, 4), ({"n": 2, "groups": 3}, 21)],
)
def test_the_beam_is_3_wide_or_20_for_several_captions(options, width):
    assert CaptionOptions(("run",), **options).width == width


def test_progress_goes_on_from_batch_to_batch(run, photos):
    reporter = Recorder()
    caption(photos, run, reporter=reporter, batch=3)
    assert reporter.begun == [("captioning", 7, "pictures")]
    assert reporter.done == sorted(reporter.done)
    assert reporter.done[-1] == 7


def test_explanations_are_sheets_in_a_folder_of_their_own(run, photos, tmp_path):
    why = tmp_path / "why"
    results = caption(photos[2:3], run, explain_in=why)
    assert results[0].explained == why / "2.png"
    assert load_image(why / "2.png").shape[1] > 2 * 160
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        caption(photos, run, explain_in=tmp_path / "file")
    with pytest.raises(InputError, match="there is no folder"):
        caption(photos, run, explain_in=tmp_path / "nowhere" / "why")
    with pytest.raises(InputError, match="folder of their own"):
        caption(photos, run, explain_in=photos[0].parent)
    twin = paint_halves(tmp_path / "others" / "2.png", 0, 0)
    with pytest.raises(InputError, match=r"both write .*why/2\.png"):
        caption([photos[2], twin], run, explain_in=why)
