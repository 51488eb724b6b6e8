"""Evidence for words that owe everything to one half of the picture."""

import numpy as np
import pytest

from imgnn.jobs.caption_explain import Evidence, draw, explain
from imgnn.jobs.picture_features import extractor_of
from imgnn.jobs.sentence_model import Speaker, load_caption_model
from tests.jobs.made_captions import LEFT, RIGHT, log_prob_of, make_model, paint_halves


@pytest.fixture
def evidence(tmp_path):
    """Of "left right left" for a white picture."""
    model = load_caption_model(make_model(tmp_path / "run"))
    photo = paint_halves(tmp_path / "white.png", 255, 255, (16, 16))
    extractors = [extractor_of(model.feature, precision="float32")]
    return explain(Speaker([model.decoder]), extractors, model.vocabulary, photo, [LEFT, RIGHT, LEFT])


def test_the_evidence_for_a_word_is_where_the_word_comes_from(evidence):
    assert evidence.words == ("left", "right", "left")
    assert evidence.maps.shape == (3, 8, 8)
    # The column beside the middle has patches that reach into the other half.
    for word, own, other in ((0, slice(0, 3), slice(5, 8)), (1, slice(5, 8), slice(0, 3))):
        assert evidence.maps[word][:, own].min() > 0.05
        assert evidence.maps[word][:, other].max() == 0
    np.testing.assert_allclose(evidence.maps[2], evidence.maps[0], atol=1e-6)  # the same word for the same reason


def test_its_nats_are_those_computed_by_hand(evidence):
    # A patch covers 4 x 4 of the left half's 16 x 8 pixels; at the corner nothing but one patch does.
    wanted = log_prob_of(1, 1)["left"] - log_prob_of(1 - 16 / 128, 1)["left"]
    assert evidence.maps[0][0, 0] == pytest.approx(wanted, abs=2e-3)  # features are kept in float16
    assert evidence.nats[0] == evidence.maps[0].max() == pytest.approx(wanted, abs=2e-3)


def test_what_two_models_say_together_is_explained_by_both(tmp_path):
    model = load_caption_model(make_model(tmp_path / "run"))
    photo = paint_halves(tmp_path / "white.png", 255, 255)
    extractors = [extractor_of(model.feature, precision="float32")]
    alone = explain(Speaker([model.decoder]), extractors, model.vocabulary, photo, [LEFT])
    twice = explain(Speaker([model.decoder] * 2), extractors * 2, model.vocabulary, photo, [LEFT])
    np.testing.assert_allclose(twice.maps, alone.maps, atol=1e-5)


def test_the_sheet_shows_the_picture_and_a_tile_for_each_word(evidence):
    sheet = draw(evidence, "left right left")
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] > 4 * 160  # the picture and three words, side by side
    nothing = Evidence(evidence.image, (), np.zeros((0, 8, 8), "float32"), np.zeros(0, "float32"))
    assert draw(nothing, "").shape[1] < 2 * 160 + 40


def test_a_word_of_much_evidence_is_hot_where_it_is_and_one_of_little_nowhere():
    image = np.full((160, 160, 3), 200, "uint8")
    maps = np.zeros((2, 8, 8), "float32")
    maps[0, :, 0], maps[1, :, 0] = 3.0, 0.01
    sheet = draw(Evidence(image, ("much", "little"), maps, maps.max(axis=(1, 2))), "much little").astype(int)
    much, little = sheet[80, 172:332], sheet[80, 338:498]  # a line of pixels; between two tiles lie 6 white ones
    colourful = [np.ptp(pixel) for pixel in (much[3], much[150], little[3])]
    assert colourful[0] > 50 > 20 > max(colourful[1:])
