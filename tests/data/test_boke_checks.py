"""What is found out about a boke data set: numbers, tokens, stars, pictures."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgnn.data.boke import Boke, BokeSet, Odai, read_boke
from imgnn.data.boke_checks import check_boke, star_bins, statistics
from imgnn.data.caption_checks import QUANTILES
from imgnn.language.vocabulary import build_vocabulary
from imgnn.runs import Silent


class Spaces:
    """A tokenizer."""

    name, version = "spaces", "1"

    def tokenize(self, text):
        return text.split()

    def detokenize(self, tokens):
        return " ".join(tokens)


class Listed:
    """Words that are not to be there."""

    def __init__(self, *words):
        self.words = words

    def found(self, text):
        return next((word for word in self.words if word in text), None)


def odai(name, split, *boke):
    """A picture with boke, given as their text or as (text, star)."""
    made = tuple(Boke(each) if isinstance(each, str) else Boke(each[0], star=each[1]) for each in boke)
    return Odai(name, made, split, (None,) * len(made))


def check(*pictures, root=Path("nowhere"), left_out=None, **options):
    found = BokeSet(Path("x.jsonl"), root, pictures, "butsugiri", False, left_out or {})
    return check_boke(found, Spaces(), Silent(), **options)


def findings(report):
    return {finding.kind: (finding.severity, finding.message) for finding in report.findings}


# Numbers


def test_boke_pictures_and_tokens_are_counted_by_split():
    found = statistics(
        [
            odai("a", "train", ("cat on the roof", 3), ("the roof is on fire", 0)),
            odai("b", "train", ("the cat", 40)),
            odai("c", "val", ("the dog", None)),
        ],
        str.split,
    )
    assert (found.vocabulary, found.words) == (6, 6)  # cat on the roof is fire
    train, val = found.splits["train"], found.splits["val"]
    assert (train.images, train.boke, train.tokens) == (2, 3, 4 + 5 + 2)
    assert (train.per_image, train.lengths) == ((0, 1, 1), (0, 0, 1, 0, 1, 1))
    assert train.mean_length == pytest.approx(11 / 3)
    assert (train.stars, train.unrated) == ({"0": 1, "1-9": 1, "10-99": 1}, 0)
    assert (train.unknown, train.unseen) == (0, 0)
    assert (val.images, val.boke, val.stars, val.unrated) == (1, 1, {}, 1)
    assert (val.unknown, val.unseen) == (0.5, 1)  # dog
    assert "test" not in found.splits


def test_lengths_have_the_quantiles_that_numpy_gives(random):
    lengths = random.integers(1, 40, 999)
    found = statistics([odai(str(n), "train", "w " * length) for n, length in enumerate(lengths)], str.split)
    assert found.splits["train"].lengths == tuple(np.bincount(lengths))
    expected = np.quantile(lengths, QUANTILES, method="inverted_cdf")
    assert found.splits["train"].quantiles == tuple(expected)


def test_the_vocabulary_of_a_model_tells_what_is_unknown():
    pictures = [odai("a", "train", "one two two"), odai("b", "val", "two three")]
    vocabulary = build_vocabulary([["two", "two"]], minimum=1)
    found = statistics(pictures, str.split, vocabulary)
    assert (found.vocabulary, found.words) == (4, 2)  # with START, END and UNK
    assert [facts.unknown for facts in found.splits.values()] == pytest.approx([1 / 3, 1 / 2])


def test_tokens_that_came_with_a_boke_are_not_made_again():
    given = Odai("a", (Boke("猫の会議"), Boke("x y")), "train", (("猫", "の", "会議"), None))
    found = statistics([given], str.split)
    assert (found.words, found.splits["train"].lengths) == (5, (0, 0, 1, 1))


@pytest.mark.parametrize(
    ("stars", "expected"),
    [
        ([], {}),
        ([None], {}),
        ([0], {"0": 1}),
        ([9, 10, 99, 100], {"0": 0, "1-9": 1, "10-99": 2, "100-999": 1}),
        ([0, 1, None, 1000], {"0": 1, "1-9": 1, "10-99": 0, "100-999": 0, "1000-9999": 1}),
    ],
)
def test_stars_are_counted_by_their_digits(stars, expected):
    assert star_bins(Counter(stars)) == expected


def test_stars_are_counted_as_numpy_counts_them(random):
    stars = (10 ** random.uniform(0, 5, 500)).astype(int)
    counts, _ = np.histogram(stars, bins=[0, 1, 10, 100, 1000, 10_000, 100_000])
    assert list(star_bins(Counter(stars.tolist())).values()) == counts[: len(str(stars.max())) + 1].tolist()


def test_there_may_be_no_boke():
    assert statistics([], str.split).splits == {}
    assert statistics([Odai("a", (), "train", ())], str.split).splits["train"].lengths == (0,)


# What is said


def test_texts_that_pictures_share_are_told():
    report = check(*(odai(str(n), "train", "at last", f"only {n}") for n in range(3)), odai("4", "val", "at least"))
    assert report.statistics.common == (("at last", 3),)
    assert findings(report)["common"] == ("warning", "3 of 4 pictures have the same boke: 'at last'")


def test_what_is_wrong_with_the_texts_is_said_with_the_worst_first():
    report = check(
        odai("a", "train", "one two", ("three", 1)),
        odai("b", "train", "w " * 41),
        left_out={"empty": 2, "rated_down": 1},
        minimum=50,
    )
    assert [(finding.severity, finding.kind) for finding in report.findings] == [
        ("error", "vocabulary"),
        ("warning", "missing"),
        ("warning", "val"),
        ("note", "per_image"),
        ("note", "empty"),
        ("note", "rated_down"),
        ("note", "unrated"),
        ("note", "long"),
    ]
    said = findings(report)
    assert said["vocabulary"][1] == "no token occurs 50 times in train"
    assert said["per_image"][1] == (
        "pictures of train have 1.5 boke on average, at most 2: as one picture has several answers, the loss cannot "
        "fall to 0"
    )
    assert said["rated_down"][1] == "boke with less than 0 stars, which are left out: 1"
    assert said["unrated"][1] == "boke whose stars are not known: 2 of 3"
    assert said["long"][1] == "boke of more than 40 tokens, which training leaves out (--longest): 1"


def test_tokens_that_are_too_rare_are_unknown():
    report = check(odai("a", "train", "one two two"), odai("b", "val", "two four four"), minimum=2)
    assert (report.statistics.vocabulary, report.statistics.words) == (1, 2)
    unknown = [finding.message for finding in report.findings if finding.kind == "unknown"]
    assert unknown == [
        "33.3 % of the tokens of train are not in the vocabulary",
        "66.7 % of the tokens of val are not in the vocabulary",
    ]
    assert findings(report)["unseen"] == ("note", "tokens of val that never occur in train: 1")


def test_boke_with_words_of_a_list_are_counted():
    pictures = odai("a", "train", "bad idea", "a worse one", "good"), odai("b", "val", "bad")
    report = check(*pictures, ng=Listed("bad", "worse"))
    assert (report.ng, report.ng_words) == (3, (("bad", 2), ("worse", 1)))
    assert findings(report)["ng"] == ("warning", "boke with a word of the list: 3, most often 'bad': 2")
    assert (check(*pictures).ng, "ng" in findings(check(*pictures, ng=Listed("x")))) == (None, False)


def test_a_report_is_json():
    report = check(odai("a", "train", ("one two", 5)), left_out={"empty": 1})
    data = json.loads(json.dumps(asdict(report)))
    assert data["statistics"]["splits"]["train"]["stars"] == {"0": 0, "1-9": 1}
    assert (data["left_out"], data["tokenizer"]) == ({"empty": 1}, "spaces")


# Pictures


def paint(path, random):
    fields = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype="uint8"))
    fields.resize((64, 64), Image.Resampling.NEAREST).save(path)


def test_pictures_are_looked_at(tmp_path, random):
    for name in ("a.png", "b.png"):
        paint(tmp_path / name, random)
    (tmp_path / "copy.png").write_bytes((tmp_path / "a.png").read_bytes())
    Image.open(tmp_path / "b.png").resize((48, 48)).save(tmp_path / "small.jpg", quality=80)
    (tmp_path / "text.jpg").write_text("<html>not found</html>")
    splits = {"a.png": "train", "copy.png": "val", "b.png": "train", "small.jpg": "test", "text.jpg": "train"}
    pictures = [odai(name, split, "x y") for name, split in {**splits, "gone.jpg": "train"}.items()]
    report = check(*pictures, root=tmp_path)
    assert (report.looked, report.missing) == (True, ("gone.jpg",))
    assert [each[:2] for each in report.broken] == [("text.jpg", "not_image")]
    assert report.same == (("a.png", "copy.png"),)
    assert [each[:2] for each in report.near] == [("b.png", "small.jpg")]
    said = findings(report)
    assert said["missing"] == ("error", "1 of 6 pictures are not there: the first is gone.jpg")
    assert said["leak"][1] == "pictures with the same bytes as one of another split: 1, as copy.png (a.png)"
    assert said["near_leak"][1] == "pictures nearly like one of another split: 1, as small.jpg (b.png)"
    assert findings(check(*pictures, root=tmp_path, skip_missing=True))["missing"][0] == "warning"


# Real data


def test_the_texts_of_the_contest_are_counted(shared):
    source = shared / "data/boke/nishika_text.tsv"
    found = statistics(read_boke([source], need_images=False, val_share=0).odai, list)
    lines = [line.split("\t") for line in source.read_text(encoding="utf-8").splitlines()]
    characters = Counter(character for line in lines for character in " ".join(line[2].split()))
    train = found.splits["train"]
    assert (train.images, train.boke, found.words, train.tokens) == (
        len({line[0] for line in lines}),
        len(lines),
        len(characters),
        characters.total(),
    )
    assert found.common[0][1] == Counter(line[2] for line in lines).most_common(1)[0][1]
    assert train.stars == dict(
        zip(("0", "1-9"), (Counter(line[1] for line in lines)[flag] for flag in "01"), strict=True)
    )
