"""Ratings are a data set."""

import json

import pytest

from imgnn.data.boke import read_boke
from imgnn.errors import InputError
from imgnn.web import ratings as module
from imgnn.web.ratings import Ratings
from tests.web.made_server import paint


def test_what_was_liked_can_be_trained_on(tmp_path):
    ratings = Ratings(tmp_path)
    pictures = [str(paint(tmp_path / f"{number}.jpg", number, (64, 48))) for number in range(3)]
    for number, path in enumerate(pictures):
        ratings.rate(path, f"面白い {number}", 1, "model", "run")
    ratings.rate(pictures[0], "つまらない", -1, "mismatch", "run")
    ratings.rate(None, "of an upload", 1, "retrieve", "run")
    found = read_boke([tmp_path / "ratings.jsonl"])
    texts = {each.name.rpartition("/")[2]: [boke.text for boke in each.boke] for each in found.odai}
    assert texts == {f"{number}.jpg": [f"面白い {number}"] for number in range(3)}
    assert all(boke.star == 1 for each in found.odai for boke in each.boke)


@pytest.mark.parametrize("told", [True, False])
def test_a_rated_picture_stays_in_the_split_that_it_has(tmp_path, told):
    """What is liked of a validation picture is judged by, and never trained on."""
    lines = []
    for number in range(10):
        paint(tmp_path / f"{number}.jpg", number, (64, 48))
        split = {"split": "val" if number < 3 else "train"} if told else {}
        lines.append({"boke": f"first {number}", "images": [{"path": f"{number}.jpg"}], **split})
    data = tmp_path / "boke.jsonl"
    data.write_text("".join(json.dumps(line) + "\n" for line in lines))
    before = {each.name: each.split for each in read_boke([data], val_share=0.3).odai}
    assert sorted(before.values()) == ["train"] * 7 + ["val"] * 3
    (tmp_path / "page").mkdir()
    ratings = Ratings(tmp_path / "page")
    for name in list(before)[::-1]:
        ratings.rate(str(tmp_path / name), f"liked {name}", 1, "model", "run")
    found = read_boke([data, ratings.path], val_share=0.3).odai
    assert {each.name: each.split for each in found} == before
    assert all(f"liked {each.name}" in [boke.text for boke in each.boke] for each in found)


def test_the_last_of_a_picture_and_a_text_counts(tmp_path):
    ratings = Ratings(tmp_path)
    for value, path, told in (
        (1, "a", (1, 0)),
        (1, "b", (2, 0)),
        (-1, "a", (1, 1)),
        (0, "b", (0, 1)),
        (0, "c", (0, 1)),
    ):
        assert ratings.rate(path, "x", value, "model", "run") == told
    assert [Ratings(tmp_path).of(path, "x") for path in ("a", "b", None)] == [-1, 0, 0]
    assert [json.loads(line)["star"] for line in (tmp_path / "ratings.jsonl").read_text().splitlines()] == [-1]


def test_a_full_disk_loses_no_rating_that_is_there(tmp_path, monkeypatch):
    ratings = Ratings(tmp_path)
    ratings.rate("a", "x", 1, "model", "run")
    before = ratings.path.read_text()
    monkeypatch.setattr(module.json, "dumps", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(InputError, match="No space left"):
        ratings.rate("b", "y", 1, "model", "run")
    assert (ratings.path.read_text(), ratings.of("b", "y")) == (before, 0)


def test_a_full_file_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST", 1)
    ratings = Ratings(tmp_path)
    ratings.rate("a", "x", 1, "model", "run")
    ratings.rate("a", "x", -1, "model", "run")
    with pytest.raises(InputError, match="1 ratings are all that is kept"):
        ratings.rate("b", "x", 1, "model", "run")


@pytest.mark.parametrize(
    "line",
    [b"{", b"[]", b"null", b'{"boke": "x"}', b'{"boke": "x", "star": "many", "images": []}', b'{"boke": "\xff"}'],
)
def test_a_damaged_file_is_one_line_and_stays(tmp_path, line):
    (tmp_path / "ratings.jsonl").write_bytes(line + b"\n")
    with pytest.raises(InputError, match=r"ratings\.jsonl, line 1, is damaged"):
        Ratings(tmp_path)
    assert (tmp_path / "ratings.jsonl").read_bytes() == line + b"\n"


def test_a_line_break_of_unicode_within_a_boke_is_no_end_of_a_line(tmp_path):
    Ratings(tmp_path).rate("a", "x\u2028y\x85z", 1, "model", "run")
    assert Ratings(tmp_path).of("a", "x\u2028y\x85z") == 1
