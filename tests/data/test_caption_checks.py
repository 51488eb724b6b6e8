"""What is found out about a caption data set: numbers, words, pictures."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgnn.data.caption_checks import LONG, QUANTILES, check_captions, quantile
from imgnn.data.caption_files import read_captions
from imgnn.data.captions import Captioned, CaptionSet
from imgnn.runs import Silent


class Listener(Silent):
    def __init__(self) -> None:
        self.said: list[tuple] = []

    def begin(self, task, total, unit="") -> None:
        self.said.append((task, total, unit))

    def advance(self, done, **facts) -> None:
        self.said.append((done,))


def check(*images, root=Path("nowhere"), empty=0, reporter=None, **options):
    """The report on pictures given as (name, split, caption, caption...)."""
    found = tuple(Captioned(name, tuple(captions), split) for name, split, *captions in images)
    captions = CaptionSet(Path("x.json"), root, found, "karpathy", empty=empty)
    return check_captions(captions, str.split, reporter or Silent(), **options)


def findings(report):
    return {finding.kind: (finding.severity, finding.message) for finding in report.findings}


# Words


def test_words_are_counted_by_split():
    report = check(
        ("a.jpg", "train", "a dog runs", "a dog sits"),
        ("b.jpg", "train", "the cat runs"),
        ("c.jpg", "val", "a dog barks loudly"),
        minimum=2,
    )
    assert (report.words, report.vocabulary) == (6, 3)  # a dog runs, of a cat dog runs sits the
    train, val = report.splits["train"], report.splits["val"]
    assert (train.images, train.captions, train.tokens, train.unseen) == (2, 3, 9, 0)
    assert train.unknown == pytest.approx(3 / 9)  # sits the cat
    assert (val.tokens, val.unseen) == (4, 2)  # barks loudly
    assert val.unknown == pytest.approx(2 / 4)
    assert train.per_image == (0, 1, 1)
    assert val.lengths == (0, 0, 0, 0, 1)
    assert train.mean_length == 3


def test_lengths_have_the_quantiles_that_numpy_gives(random):
    lengths = random.integers(0, 40, 999)
    counts = np.bincount(lengths)
    expected = np.quantile(lengths, QUANTILES, method="inverted_cdf")
    assert [quantile(counts, share) for share in QUANTILES] == list(expected)


def test_without_train_there_is_no_vocabulary():
    report = check(("a.jpg", "val", "a dog runs"))
    assert (report.words, report.vocabulary, report.splits["val"].unknown, report.splits["val"].unseen) == (
        0,
        0,
        None,
        None,
    )
    assert findings(report)["train"][0] == "note"


def test_sentences_that_pictures_share_are_told():
    report = check(
        ("a.jpg", "train", "it is a field", "it is a field"),
        ("b.jpg", "train", "it is a field", "a pond is there"),
        ("c.jpg", "val", "it is a field", "a pond is there"),
        ("d.jpg", "val", "a lone house", "x y z"),
    )
    assert report.common == (("it is a field", 3), ("a pond is there", 2))
    assert findings(report)["common"] == ("warning", "3 of 4 pictures have the same sentence: 'it is a field'")


def test_very_short_and_very_long_captions_are_told():
    report = check(
        ("a.jpg", "train", "A", "one two"),
        ("b.jpg", "train", "one two three", "w " * LONG),
        ("c.jpg", "val", "w " * (LONG + 1), "x y z"),
    )
    assert (report.short, report.shortest) == (2, (("a.jpg", "A"), ("a.jpg", "one two")))
    assert (report.long, report.longest) == (1, (("c.jpg", "w " * (LONG + 1)),))
    assert findings(report)["short"] == ("note", "captions of fewer than 3 tokens: 2, as 'A' of a.jpg")
    assert findings(report)["long"] == ("note", "captions of more than 30 tokens: 1, the longest is of c.jpg")


def test_what_is_wrong_with_the_words_is_said_with_the_worst_first():
    report = check(
        ("a/1.jpg", "train", "a dog runs", "one two three"), ("b/1.jpg", "train", "x y z"), empty=2, minimum=9
    )
    assert [(finding.severity, finding.kind) for finding in report.findings] == [
        ("error", "vocabulary"),
        ("warning", "missing"),
        ("warning", "val"),
        ("warning", "ids"),
        ("note", "captions"),
        ("note", "empty"),
    ]
    said = findings(report)
    assert said["vocabulary"][1] == "no word occurs 9 times in train"
    assert said["captions"][1] == "pictures have 1 to 2 captions"
    assert said["empty"][1] == "captions without a word, which are left out: 2"
    assert report.same_keys == 2


def test_many_unknown_words_are_told():
    report = check(("a.jpg", "train", "a dog runs"), ("b.jpg", "val", "a dog barks"), minimum=1)
    assert findings(report)["unknown"] == ("warning", "33.3 % of the words of val are not in the vocabulary")
    assert findings(report)["unseen"] == ("note", "words of val that never occur in train: 1")


def test_there_may_be_nothing_to_say(tmp_path, random):
    pictures = [paint(tmp_path / f"{number}.png", random) for number in range(2)]
    report = check(
        *((path.name, split, "a dog runs") for path, split in zip(pictures, ("train", "val"), strict=True)),
        root=tmp_path,
        minimum=1,
    )
    assert report.findings == ()


def test_a_report_is_json():
    report = check(("a.jpg", "train", "a dog runs"))
    assert json.loads(json.dumps(asdict(report)))["splits"]["train"]["lengths"] == [0, 0, 0, 1]


def test_progress_is_told():
    listener = Listener()
    check(*((f"{number}.jpg", "train", "a dog runs") for number in range(2500)), reporter=listener)
    assert listener.said == [("reading captions", 2500, "pictures"), (1000,), (2000,), (2500,)]


# Pictures


def paint(path, random, size=(64, 64)):
    """A picture of a few coloured fields."""
    fields = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype="uint8"))
    fields.resize(size, Image.Resampling.NEAREST).save(path)
    return path


def test_pictures_that_are_missing_or_broken_are_named(tmp_path, random):
    paint(tmp_path / "a.png", random)
    (tmp_path / "b.jpg").write_text("<html>not found</html>")
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes()[:-60])
    images = [(name, "train", "x y z") for name in ("a.png", "b.jpg", "c.png", "d.jpg")]
    report = check(*images, root=tmp_path)
    assert report.looked
    assert report.missing == ("d.jpg",)
    assert [broken[:2] for broken in report.broken] == [("b.jpg", "not_image"), ("c.png", "truncated")]
    said = findings(report)
    assert said["missing"] == ("error", "1 of 4 pictures are not there: the first is d.jpg")
    assert said["broken"] == ("warning", "files that are no pictures to work with: 2, as b.jpg (not_image)")
    # What training leaves out is no error, as long as something is left.
    assert findings(check(*images, root=tmp_path, skip_missing=True))["missing"][0] == "warning"
    assert findings(check(*images[1:], root=tmp_path))["broken"][0] == "error"


def test_copies_count_only_across_splits(tmp_path, random):
    for name in ("a.png", "b.png"):
        paint(tmp_path / name, random)
    for name in ("a_val.png", "a_train.png", "a_test.png"):
        (tmp_path / name).write_bytes((tmp_path / "a.png").read_bytes())
    report = check(
        ("a_val.png", "val", "x y z"),
        ("a.png", "train", "x y z"),
        ("a_train.png", "train", "x y z"),
        ("a_test.png", "test", "x y z"),
        ("b.png", "val", "x y z"),
        root=tmp_path,
    )
    assert report.same == (("a.png", "a_val.png"), ("a.png", "a_test.png"))
    assert report.near == ()
    assert findings(report)["leak"] == (
        "warning",
        "pictures with the same bytes as one of another split: 2, as a_val.png (a.png)",
    )


def test_pictures_that_look_alike_in_two_splits_are_told(tmp_path, random):
    paint(tmp_path / "a.png", random)
    paint(tmp_path / "b.png", random)
    Image.open(tmp_path / "a.png").resize((48, 48)).save(tmp_path / "small.jpg", quality=80)
    blank = [tmp_path / "white.png", tmp_path / "paper.png"]  # of which the look tells nothing
    for path, level in zip(blank, (255, 254), strict=True):
        Image.new("RGB", (64, 64), (level, level, level)).save(path)
    report = check(
        ("small.jpg", "test", "x y z"),
        ("a.png", "train", "x y z"),
        ("b.png", "val", "x y z"),
        ("white.png", "train", "x y z"),
        ("paper.png", "val", "x y z"),
        root=tmp_path,
    )
    ((one, other, bits),) = report.near
    assert (one, other) == ("a.png", "small.jpg")
    assert bits <= 6
    assert findings(report)["near_leak"] == (
        "warning",
        "pictures nearly like one of another split: 1, as small.jpg (a.png)",
    )


def test_a_set_without_its_pictures_is_judged_by_its_words():
    report = check(("a.jpg", "train", "x y z"))
    assert (report.looked, report.missing) == (False, ())
    assert findings(report)["missing"] == (
        "warning",
        "no picture is there: only the sentences were looked at; training needs pictures or --features",
    )


# Real data


def test_the_words_of_flickr8k_are_those_that_are_counted_by_hand(shared):
    source = shared / "data/flickr8k_text"
    captions = read_captions(source, need_images=False)
    report = check_captions(captions, lambda text: text.lower().split(), Silent())
    train = set((source / "Flickr_8k.trainImages.txt").read_text(encoding="utf-8").split())
    lines = [line.split("\t") for line in (source / "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines()]
    words = Counter(word for key, text in lines if key.partition("#")[0] in train for word in text.lower().split())
    assert report.words == len(words)
    assert report.vocabulary == sum(count >= 5 for count in words.values())
    assert report.splits["train"].tokens == words.total()
    assert report.splits["train"].per_image == (0, 0, 0, 0, 0, 6000)
