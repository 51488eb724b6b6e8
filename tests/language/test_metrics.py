"""BLEU, ROUGE-L, CIDEr-D and diversity, by hand and beside other programs."""

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest
import sacrebleu

from imgnn.errors import InputError
from imgnn.language.metrics import (
    CiderD,
    DocumentFrequency,
    bleu,
    distinct,
    div_n,
    novel,
    perplexity,
    rouge_l,
    share_of_own,
    share_of_stars,
    unigram_nats,
)
from imgnn.language.tokens import tokenize

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "captions.json").read_text(encoding="utf-8"))
HYPOTHESES = [hypothesis.split() for hypothesis, _ in GOLDEN["captions"]]
REFERENCES = [[reference.split() for reference in references] for _, references in GOLDEN["captions"]]


def cider_d(hypotheses, references, corpus=None):
    """The mean over the images, and each, as `bleu` and `rouge_l` give them."""
    scores = CiderD(references, corpus).score(hypotheses)
    return scores.mean(), scores


def words(text):
    return text.split()


@pytest.fixture(scope="module")
def flickr8k(shared):
    """The captions of the first thousand images."""
    images = {}
    for line in (shared / "data" / "flickr8k_text" / "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines():
        key, caption = line.split("\t")
        images.setdefault(key.partition("#")[0], []).append(tokenize(caption))
    return list(images.values())[:1000]


# Beside coco-caption


def test_scores_are_those_of_coco_caption():
    for found, of_all, of_each in (
        (bleu(HYPOTHESES, REFERENCES), "bleu", "bleu_of_each"),
        (rouge_l(HYPOTHESES, REFERENCES), "rouge_l", "rouge_l_of_each"),
        (cider_d(HYPOTHESES, REFERENCES), "cider_d", "cider_d_of_each"),
    ):
        np.testing.assert_allclose(found[0], GOLDEN[of_all], rtol=1e-9)
        np.testing.assert_allclose(found[1], GOLDEN[of_each], rtol=1e-9, atol=1e-15)


def test_people_judged_by_each_other_get_what_coco_caption_gives_them(flickr8k):
    # Measured with pycocoevalcap 1.2: caption 0 of each image against its captions 1 to 4.
    first, others = [refs[0] for refs in flickr8k], [refs[1:] for refs in flickr8k]
    np.testing.assert_allclose(bleu(first, others)[0], (0.63877, 0.44739, 0.30797, 0.20894), atol=1e-5)
    assert rouge_l(first, others)[0] == pytest.approx(0.49359, abs=1e-5)
    assert cider_d(first, others)[0] == pytest.approx(0.76588, abs=1e-5)


# BLEU


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_bleu_is_that_of_sacrebleu(n):
    columns = [[" ".join(refs[k]) if k < len(refs) else None for refs in REFERENCES] for k in range(3)]
    other = sacrebleu.BLEU(tokenize="none", smooth_method="none", max_ngram_order=n)
    expected = other.corpus_score([" ".join(tokens) for tokens in HYPOTHESES], columns).score / 100
    assert bleu(HYPOTHESES, REFERENCES, n)[0][-1] == pytest.approx(expected, rel=1e-7)


def test_a_word_is_right_as_often_as_one_reference_has_it():
    # The example of the paper: "the" is in the first reference twice, in the second once.
    references = [words("the cat is on the mat"), words("there is a cat on the mat")]
    assert bleu([["the"] * 7], [references])[0][0] == pytest.approx(2 / 7)


def test_a_short_hypothesis_is_judged_by_the_closest_length_and_of_two_the_shorter():
    hypothesis = words("a b c d")
    assert bleu([hypothesis], [[[*hypothesis, "e"], [*hypothesis, "e", "f"]]])[0][0] == pytest.approx(
        math.exp(1 - 5 / 4)
    )
    assert bleu([hypothesis], [[[*hypothesis, "e", "f"], ["a", "b"]]])[0][0] == pytest.approx(1)  # 6 and 2 are as close


def test_bleu_of_nothing_is_nothing():
    assert bleu([[]], [[["a", "dog"]]])[0] == (0, 0, 0, 0)


# ROUGE-L


def test_precision_and_recall_are_each_the_best_of_the_references():
    # Common with the first: a c (2 of 4 and of 2); with the second: a b d (3 of 4 and of 6).
    hypothesis, references = words("a b c d"), [words("a c"), words("a x b y z d")]
    precision, recall = 3 / 4, 2 / 2
    expected = (1 + 1.2**2) * precision * recall / (recall + 1.2**2 * precision)
    assert rouge_l([hypothesis], [references])[0] == pytest.approx(expected)


def test_a_common_subsequence_keeps_the_order():
    assert rouge_l([["b", "a"]], [[["a", "b"]]])[0] == pytest.approx(0.5)
    assert rouge_l([["a"], []], [[["b"]], [["a"]]])[0] == 0


# CIDEr-D


def test_words_of_all_images_do_not_count_and_a_copy_gets_10():
    references = [[words("a b c d e")], [words("a f g h i")]]
    np.testing.assert_allclose(cider_d([words("a b c d e"), ["a"]], references)[1], [10, 0])


def test_repeating_a_word_of_a_reference_gains_nothing():
    # One word in a reference, so that only pairs of length 0 count: cosine 1 of 4 orders; another image for the idf.
    once, twice = (CiderD([[["a"]], [["b"]]]).score([tokens, ["b"]])[0] for tokens in (["a"], ["a", "a"]))
    assert once == pytest.approx(10 / 4)
    # min(2, 1) * 1 / (2 * 1), and a length of one pair more.
    assert twice == pytest.approx(10 / 4 / 2 * math.exp(-1 / 72))


def test_one_image_tells_nothing_unless_a_corpus_does():
    hypothesis, references = HYPOTHESES[0], REFERENCES[0]
    assert cider_d([hypothesis], [references])[0] == 0
    corpus = DocumentFrequency.of(REFERENCES)
    expected = GOLDEN["cider_d_of_each"][0]
    assert cider_d([hypothesis], [references], corpus)[0] == pytest.approx(expected)


@pytest.mark.parametrize("keep", [False, True])
def test_references_are_judged_by_again_and_again_and_kept_only_if_asked(keep):
    scorer = CiderD(REFERENCES, keep=keep)
    for hypotheses in (HYPOTHESES[::-1], HYPOTHESES):
        found = scorer.score(hypotheses)
    np.testing.assert_allclose(found, GOLDEN["cider_d_of_each"], rtol=1e-9, atol=1e-15)
    assert (scorer.kept is not None) == keep


# Document frequencies


def test_a_document_is_an_image_however_many_of_its_references_have_a_word():
    corpus = DocumentFrequency.of([[["a", "dog"], ["a", "dog"]], [["a", "cat"]], [["a", "dog"]]])
    assert corpus == DocumentFrequency(3, {("a",): 3, ("dog",): 2, ("a", "dog"): 2})  # and cat, like all others, 1


@pytest.mark.parametrize("name", ["df.json", "df.json.gz"])
def test_document_frequencies_are_read_back(tmp_path, name):
    corpus = DocumentFrequency.of([[["où", "'s"]], [["où", "'s", '"x"']]])
    corpus.save(tmp_path / name)
    assert DocumentFrequency.load(tmp_path / name) == corpus
    first = (tmp_path / name).read_bytes()
    corpus.save(tmp_path / name)
    assert (tmp_path / name).read_bytes() == first


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[1]", b'{"format": "imgnn list"}', b"\xff\xfe", gzip.compress(b"{}" * 99)[:-9], b"\x1f\x8b\x08x"],
)
def test_another_file_is_refused(tmp_path, data):
    (tmp_path / "df.json.gz").write_bytes(data)
    with pytest.raises(InputError, match=r"df\.json\.gz holds no document frequencies"):
        DocumentFrequency.load(tmp_path / "df.json.gz")


def test_a_missing_file_and_that_of_a_later_imgnn_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        DocumentFrequency.load(tmp_path / "df.json")
    (tmp_path / "df.json").write_text('{"format": "imgnn document frequencies", "version": 9}', encoding="utf-8")
    with pytest.raises(InputError, match="of version 9, this imgnn reads up to 1"):
        DocumentFrequency.load(tmp_path / "df.json")


# What is refused


@pytest.mark.parametrize("metric", [bleu, rouge_l, cider_d])
def test_every_image_needs_a_hypothesis_and_a_reference(metric):
    with pytest.raises(InputError, match="2 sentences are to be judged by the references of 1 images"):
        metric([["a"], ["b"]], [[["a"]]])
    with pytest.raises(InputError, match="1 of 2 images have no reference"):
        metric([["a"], ["b"]], [[["a"]], []])
    with pytest.raises(InputError, match="no image"):
        metric([], [])


# Diversity


def test_diversity_counts_distinct_n_grams_for_each_word():
    captions = [words("a dog runs"), words("a dog sits")]
    assert div_n(captions, 1) == pytest.approx(4 / 6)  # a dog runs sits
    assert div_n(captions, 2) == pytest.approx(3 / 6)  # a-dog dog-runs dog-sits
    assert div_n([], 1) == 0


def test_captions_that_are_not_in_training_are_new():
    captions = [["a", "dog"], ["a", "dog"], ["a", "cat"]]
    assert distinct(captions) == 2
    assert novel(captions, {("a", "dog"), ("cat",)}) == pytest.approx(1 / 3)
    assert novel([], set()) == 0


# What a model finds probable


def test_perplexity_is_how_many_equally_probable_tokens_would_be_as_hard_and_stays_a_number():
    assert perplexity(math.log(7)) == pytest.approx(7)
    assert perplexity(1e9) == perplexity(math.inf) == math.exp(50)


def test_a_unigram_costs_what_the_training_has_seldom_and_what_it_never_had_as_a_tenth():
    assert unigram_nats([[0, 0], [2]], (6, 3, 0)) == pytest.approx(-2 * math.log(6 / 9.1) - math.log(0.1 / 9.1))


def test_whoever_is_surer_of_the_own_picture_counts_and_a_tie_counts_half():
    share = share_of_own(np.array([0, 0, 1, 2, 3]), np.array([2.0, -1.0, -0.5, 0.0, 1.0]))
    assert (share.value, share.pictures) == ((1 + 0 + 0.5 + 1) / 4, 4)
    assert (share.chance, share_of_own(np.zeros(1, int), np.ones(1)).chance) == (0.5, 0.5)
    assert share_of_own(np.arange(100), np.ones(100)).chance == pytest.approx(0.1)


def test_stars_are_compared_on_one_picture_alone():
    rows, cost = np.array([0, 0, 0, 1, 1, 2, 3, 3]), np.array([1.0, 2.0, 3.0, 5.0, 4.0, 0.0, 1.0, 1.0])
    # On the first the cheapest has the most stars, of three pairs two are right; on the second the dearer has more.
    share = share_of_stars(rows, cost, [9, 1, 4, 7, 0, 8, 2, 1])
    assert (share.value, share.pictures) == (pytest.approx((2 / 3 + 0 + 0.5) / 3), 3)
    assert share_of_stars(rows, cost, [None] * 8) is None
    assert share_of_stars(rows, cost, [1, 1, 1, 2, None, 3, 4, 4]) is None
