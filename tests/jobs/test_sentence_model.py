"""A trained caption model in its folder, and what one or several of them say."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from imgnn.errors import InputError, WeightsError
from imgnn.jobs.picture_features import FeatureSpec
from imgnn.jobs.sentence_model import KIND, Speaker, load_caption_model, save_decoder
from imgnn.language.beam import BeamOptions
from imgnn.language.sample import SampleOptions
from imgnn.language.vocabulary import END, MARKS, START, UNK, Vocabulary
from imgnn.training.checkpoint import load_checkpoint, save_checkpoint
from imgnn.training.run_folder import CONFIG, DECODER, NETWORK, VOCABULARY, write_config
from tests.language.decoders import drawn, log_softmax, logits

WORDS = Vocabulary((*MARKS, "a", "cat", "dog", "runs"), (0, 9, 1, 9, 4, 5, 3))
FEATURE = FeatureSpec("small.keras", "12ab" * 16, ("conv1", "fc2"), 224, {"mean": [1.0, 2.0, 3.0]}, 3)


def make(folder, decoder=None, feature=FEATURE):
    folder.mkdir(exist_ok=True)
    write_config(folder, {"kind": KIND, "network": "small.keras"})
    WORDS.save(folder / VOCABULARY)
    save_decoder(folder / DECODER, decoder or drawn(1), feature, WORDS, {"epochs": [3], "metrics": {}})
    return folder


@pytest.fixture
def run(tmp_path):
    return make(tmp_path / "run")


@pytest.fixture
def features(random):
    return random.normal(0, 1, (3, 3)).astype("float16")


# The folder


@pytest.mark.parametrize("form", [{}, {"cell": "gru", "layers": 2, "inject": "add", "tied": True}], ids=str)
def test_a_model_is_written_and_read(tmp_path, features, form):
    decoder = drawn(1, **form)
    found = load_caption_model(make(tmp_path / "run", decoder))
    assert (found.decoder.spec, found.feature, found.vocabulary) == (decoder.spec, FEATURE, WORDS)
    assert found.config["kind"] == KIND
    for name, values in decoder.weights().items():
        np.testing.assert_array_equal(found.decoder.weights()[name], values)
    beams = [Speaker([each]).search([features], BeamOptions()) for each in (decoder, found.decoder)]
    assert beams[0] == beams[1]


def test_a_network_that_was_trained_along_lies_in_the_folder_wherever_that_is(tmp_path):
    run = make(tmp_path / "run", feature=replace(FEATURE, network=NETWORK))
    moved = run.rename(tmp_path / "moved")
    assert load_caption_model(moved).feature.network == str(moved / NETWORK)


def test_another_folder_is_told_in_words(tmp_path, run):
    with pytest.raises(InputError, match="no such folder"):
        load_caption_model(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="is no run of imgnn") as caught:
        load_caption_model(tmp_path / "empty")
    assert caught.value.hint == "the folder that imgnn train caption wrote"
    write_config(run, {"kind": "classifier"})
    with pytest.raises(InputError, match="is a run of imgnn finetune; one of imgnn train caption is wanted"):
        load_caption_model(run)


def test_a_run_without_a_decoder_can_be_resumed(run):
    (run / DECODER).unlink()
    with pytest.raises(InputError, match="has no trained decoder yet") as caught:
        load_caption_model(run)
    assert caught.value.hint == f"imgnn train caption --resume {run}"


@pytest.mark.parametrize("words", [(*WORDS.words, "bee"), (*MARKS, "a", "dog", "cat", "runs")], ids=str)
def test_a_vocabulary_of_other_words_is_told(run, words):
    Vocabulary(words, (1,) * len(words)).save(run / VOCABULARY)
    with pytest.raises(
        WeightsError, match=rf"on other words than those of vocabulary.json .*: 7 of them, here {len(words)}"
    ):
        load_caption_model(run)


def test_a_decoder_that_does_not_fit_itself_is_told(run):
    arrays, facts = load_checkpoint(run / DECODER)
    save_checkpoint(run / DECODER, arrays, {**facts, "decoder": {**facts["decoder"], "layers": 2}})
    with pytest.raises(WeightsError, match=r"best.npz .*: recurrent_1/\w+ is missing"):
        load_caption_model(run)
    save_checkpoint(run / DECODER, arrays, {**facts, "decoder": {**facts["decoder"], "hidden": 5}})
    with pytest.raises(WeightsError, match=r"best.npz .* wants .*; found"):
        load_caption_model(run)


def test_a_decoder_of_another_imgnn_is_told(run):
    arrays, facts = load_checkpoint(run / DECODER)
    for other in (
        {key: value for key, value in facts.items() if key != "feature"},
        {**facts, "decoder": {**facts["decoder"], "heads": 8}},
        {**facts, "feature": {"network": "x", "layers": ["y"]}},
    ):
        save_checkpoint(run / DECODER, arrays, other)
        with pytest.raises(InputError, match=r"best.npz is of another imgnn"):
            load_caption_model(run)


def test_a_damaged_or_missing_file_is_told(run, tmp_path):
    for name in (DECODER, VOCABULARY, CONFIG):
        other = shutil.copytree(run, tmp_path / f"without {name}")
        (other / name).write_bytes(b"{")
        with pytest.raises(InputError, match=name):
            load_caption_model(other)
        (other / name).unlink()
        with pytest.raises(InputError, match=name):
            load_caption_model(other)


def test_what_is_kept_is_text_and_numbers_alone(run):
    with np.load(run / DECODER, allow_pickle=False) as archive:
        facts = json.loads(str(archive["facts"]))
        assert {str(archive[name].dtype) for name in archive.files if name != "facts"} == {"float32"}
    assert facts["decoder"]["hidden"] == 4
    assert facts["feature"]["layers"] == ["conv1", "fc2"]
    assert facts["epochs"] == [3]


# What it says


def mean_log_prob(decoders, features, tokens, shares):
    """Of every word after the tokens, by the formulas: log of the mean of the probabilities."""
    said = [log_softmax(logits(each.spec, each.weights(), features, tokens)) for each in decoders]
    return np.log(sum(share * np.exp(each) for share, each in zip(shares, said, strict=True)))


def check(beams, decoders, features, shares):
    """The log-probability of every sentence is that of the formulas."""
    for picture, beam in enumerate(beams):
        assert beam
        for each in beam:
            ids = [*each.tokens, END] if each.finished else list(each.tokens)
            tokens = np.array([[START, *ids[:-1]]])
            log_prob = mean_log_prob(decoders, features[picture : picture + 1], tokens, shares)
            expected = sum(log_prob[0, place, word] for place, word in enumerate(ids))
            assert each.log_prob == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("form", [{}, {"cell": "gru", "inject": "add", "layers": 2}], ids=str)
def test_the_probability_of_a_caption_is_that_of_the_formulas(form, features):
    decoder = drawn(3, **form)
    speaker = Speaker([decoder])
    options = {"max_length": 6, "ban": ()}
    check(speaker.search([features], BeamOptions(beam_width=4, **options)), [decoder], features, [1])
    check(speaker.sample([features], SampleOptions(**options), range(3)), [decoder], features, [1])


@pytest.mark.parametrize("weights", [None, (1.0, 3.0)])
def test_several_models_say_the_mean_of_their_probabilities(weights, features):
    decoders = [drawn(3), drawn(4, cell="gru", inject="add", layers=2)]
    shares = [0.5, 0.5] if weights is None else [0.25, 0.75]
    speaker = Speaker(decoders, weights)
    options = {"max_length": 5, "ban": ()}
    check(speaker.search([features] * 2, BeamOptions(beam_width=3, **options)), decoders, features, shares)
    check(speaker.sample([features] * 2, SampleOptions(**options), range(3)), decoders, features, shares)


def test_a_model_twice_says_what_it_says_alone(features):
    decoder, options = drawn(3), BeamOptions(beam_width=3, max_length=6, ban=(UNK,))
    alone = Speaker([decoder]).search([features], options)
    twice = Speaker([decoder, decoder]).search([features] * 2, options)
    assert [[each.tokens for each in beam] for beam in alone] == [[each.tokens for each in beam] for beam in twice]


def test_a_picture_is_captioned_alone_as_it_is_among_others(features):
    speaker, options = Speaker([drawn(3)]), BeamOptions(beam_width=3, max_length=6)
    together = speaker.search([features], options)
    for picture, beam in enumerate(together):
        (alone,) = speaker.search([features[picture : picture + 1]], options)
        assert [each.tokens for each in alone] == [each.tokens for each in beam]
