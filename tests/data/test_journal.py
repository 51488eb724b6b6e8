import csv
import json
import os
import sqlite3
import tarfile

import pytest

from imgnn.data.export import export
from imgnn.data.items import Listed, Result, file_stem, part_name, safe_name
from imgnn.data.journal import Journal, find_journal, is_turn_of
from imgnn.errors import InputError


def listed(*urls, label="cats"):
    return [Listed(url, number, label) for number, url in enumerate(urls, 1)]


def ok(journal, id, data=b"..", suffix=".jpg"):
    """A result with a picture among the parts."""
    (url,) = journal.db.execute("SELECT url FROM urls WHERE id = ?", (id,)).fetchone()
    part = part_name(id, file_stem(url) + suffix)
    (journal.parts / part).write_bytes(data)
    return Result(id, "ok", sha256=data.hex(), bytes=len(data), height=2, width=3, part=part, suffix=suffix)


@pytest.fixture
def journal(tmp_path):
    (tmp_path / "out").mkdir()
    with Journal(tmp_path / "out/fetch.sqlite") as opened:
        yield opened


@pytest.mark.parametrize(
    ("label", "folder"),
    [
        ("tabby cat", "tabby cat"),
        ("a/b", "a_b"),
        ("../..", "_"),
        ("CON", "_CON"),
        ("ボケ", "ボケ"),
        ("x" * 300, "x" * 80),
    ],
)
def test_names_of_folders_are_such_as_every_file_system_takes(label, folder):
    assert safe_name(label, 80) == folder


def test_a_name_is_cut_between_letters():
    assert safe_name("ボ" * 50, 80) == "ボ" * 26


def test_classes_whose_names_become_alike_keep_their_own_folders(journal):
    labels = ("a/b", "a_b", "A_B", "", "..")
    assert [journal.class_folder(label) for label in labels] == ["a_b/", "a_b-2/", "A_B-3/", "", "class/"]
    assert journal.class_folder("A_B") == "A_B-3/"


def test_a_list_is_taken_in_whole_or_not_at_all(journal):
    def breaks():
        yield Listed("http://a/1.jpg", 1)
        raise InputError("the list ends here")

    with pytest.raises(InputError):
        journal.add_source("x", "digest", breaks())
    assert journal.counts() == {}
    assert not journal.knows_source("digest")


def test_an_address_that_is_named_twice_is_told_and_asked_once(journal):
    journal.add_source(
        "x", "1", [*listed("http://a/1.jpg"), Listed("http://a/1.jpg", 2, "dogs"), *listed("http://a/2.jpg")]
    )
    assert journal.counts() == {"waiting": 2}
    assert journal.repeats() == (1, 1)
    (story,) = journal.story("http://a/1.jpg")
    assert story["repeats"] == [("x", 2, "dogs")]


def test_parts_hold_every_address_once_in_the_order_of_the_whole(tmp_path):
    urls = [f"http://a/{n}.jpg" for n in range(50)]
    found = []
    for part in (1, 2, 3):
        with Journal(tmp_path / f"fetch-{part}-of-3.sqlite") as journal:
            journal.add_source("x", "1", listed(*urls), (part, 3))
            found += [(row.id, row.url) for row in journal.waiting(0, 100)]
            assert 8 <= len(journal.waiting(0, 100)) <= 26
    assert [url for _, url in sorted(found)] == urls
    assert {is_turn_of((1, 1), url) for url in urls} == {True}


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
def test_copies_belong_to_the_first_of_the_list_in_whatever_order_they_come(journal, order):
    journal.add_source("x", "1", listed(*(f"http://a/{n}.jpg" for n in (1, 2, 3))))
    changes = [change for id in order for change in journal.settle([ok(journal, id)], many=5)]
    assert journal.counts() == {"ok": 1, "duplicate": 2}
    assert journal.db.execute("SELECT id FROM urls WHERE outcome = 'ok'").fetchone()[0] == 1
    assert len(list((journal.folder / "cats").iterdir())) == 1
    assert sum(change for outcome, _, change in changes if outcome == "ok") == 1


@pytest.mark.parametrize("batches", [[(1, 2, 3)], [(1, 2), (3,)], [(3,), (1, 2)], [(1,), (2,), (3,)]])
def test_as_many_copies_as_that_are_placeholders_all_of_them(journal, batches):
    journal.add_source("x", "1", listed(*(f"http://a/{n}.jpg" for n in (1, 2, 3, 4))))
    for batch in batches:
        journal.settle([ok(journal, id) for id in batch], many=3)
    journal.settle([ok(journal, 4)], many=3)
    assert journal.counts() == {"placeholder": 4}
    assert not list((journal.folder / "cats").glob("*"))


def test_a_process_that_dies_before_it_moves_its_pictures_loses_none(journal, monkeypatch):
    journal.add_source("x", "1", listed("http://a/1.jpg", "http://a/2.jpg"))
    monkeypatch.setattr(Journal, "move", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        journal.settle([ok(journal, 1, b"one")], many=0)
    monkeypatch.undo()
    (journal.parts / "2-stray.jpg").write_bytes(b"half")  # never settled
    with Journal(journal.path) as again:
        (file,) = (again.folder / "cats").iterdir()
        assert file.read_bytes() == b"one"
        assert not list(again.parts.iterdir())


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device", "x")])
def test_an_interruption_between_writing_down_and_moving_loses_no_picture(tmp_path, monkeypatch, error):
    def stops(*_):
        raise error

    with pytest.raises((KeyboardInterrupt, InputError)), Journal(tmp_path / "fetch.sqlite") as journal:
        journal.add_source("x", "1", listed("http://a/1.jpg"))
        with monkeypatch.context() as patched:
            patched.setattr(Journal, "move", stops)
            journal.settle([ok(journal, 1, b"one")], many=0)
    (file,) = (tmp_path / "cats").iterdir()
    assert file.read_bytes() == b"one"


def test_a_class_that_is_called_as_our_own_files_has_another_folder(journal):
    assert journal.class_folder("fetch.sqlite") == "_fetch.sqlite/"
    assert journal.class_folder("Boke.jsonl") == "_Boke.jsonl/"


def test_a_list_that_has_grown_tells_no_repeats(journal):
    journal.add_source("x", "1", listed("http://a/1.jpg", "http://a/2.jpg"))
    journal.add_source("x", "2", listed("http://a/1.jpg", "http://a/2.jpg", "http://a/3.jpg"))
    assert journal.repeats() == (0, 0)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_journal_can_be_looked_at_in_a_folder_that_may_not_be_written(journal):
    journal.add_source("x", "1", listed("http://a/1.jpg"))
    journal.close()
    journal.folder.chmod(0o500)
    try:
        with Journal(journal.path, read_only=True) as again:
            assert again.counts() == {"waiting": 1}
    finally:
        journal.folder.chmod(0o700)


def test_a_journal_that_was_closed_is_one_file(tmp_path):
    with Journal(tmp_path / "fetch.sqlite") as journal:
        journal.add_source("x", "1", listed("http://a/1.jpg"))
    assert [path.name for path in tmp_path.iterdir()] == ["fetch.sqlite"]


def test_a_file_that_is_no_journal_is_told(tmp_path):
    path = tmp_path / "fetch.sqlite"
    path.write_bytes(b"hello" * 1000)
    with pytest.raises(InputError, match="is no journal of imgnn fetch, or is damaged"):
        Journal(path)
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE recipes (name)")
    other.close()
    with pytest.raises(InputError, match="it has other tables"):
        Journal(path)


def test_a_journal_of_a_later_version_is_told(journal):
    journal.set_fact("version", 2)
    with pytest.raises(InputError, match="a journal of version 2; this imgnn knows 1"):
        Journal(journal.path, read_only=True)


def test_a_folder_without_a_journal_is_told(tmp_path):
    with pytest.raises(InputError, match=r"holds no fetch\.sqlite"):
        find_journal(tmp_path)
    for part in (1, 2):
        Journal(tmp_path / f"fetch-{part}-of-2.sqlite").close()
    with pytest.raises(InputError, match="the journals of 2 parts") as failed:
        find_journal(tmp_path)
    assert "--merge" in failed.value.hint


def test_the_digest_is_that_of_the_pictures_alone(journal):
    journal.add_source("x", "1", listed("http://a/1.jpg", "http://a/2.jpg"))
    journal.settle([ok(journal, 1)], many=0)
    before = journal.digest()
    journal.settle([Result(2, "gone")], many=0)
    assert journal.digest() == before
    journal.settle([ok(journal, 2, b"two")], many=0)
    assert journal.digest() != before


# Exports


@pytest.fixture
def filled(journal):
    journal.add_source("x", "1", [Listed("http://a/1.jpg", 1, "dogs", "train"), Listed("http://a/2,3.jpg", 2, "Cats")])
    journal.add_source("y", "2", listed("http://a/4.jpg"))
    journal.settle([ok(journal, 1, b"one"), ok(journal, 2, b"two", ".png"), Result(3, "gone", "404")], many=0)
    return journal


def test_every_table_has_a_row_for_each_address(filled, tmp_path):
    pyarrow = pytest.importorskip("pyarrow.parquet")
    tables = {}
    for form in ("csv", "json", "jsonl", "parquet"):
        (path,) = export(filled, tmp_path / f"journal.{form}")
        if form == "csv":
            with path.open(encoding="utf-8", newline="") as file:
                tables[form] = list(csv.DictReader(file))
        elif form == "parquet":
            tables[form] = pyarrow.read_table(path).to_pylist()
        else:
            text = path.read_text(encoding="utf-8")
            tables[form] = json.loads(text) if form == "json" else [json.loads(line) for line in text.splitlines()]
    assert tables["json"] == tables["jsonl"] == tables["parquet"]
    assert [row["outcome"] for row in tables["csv"]] == ["ok", "ok", "gone"]
    assert [row["url"] for row in tables["csv"]] == [row["url"] for row in tables["json"]]
    assert tables["json"][0]["split"] == "train"


def test_a_tar_is_what_webdataset_reads(filled, tmp_path):
    (path,) = export(filled, tmp_path / "data.tar")
    with tarfile.open(path) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}
    assert {name: data for name, data in members.items() if not name.endswith(".json")} == {
        "000000000.jpg": b"one",
        "000000000.cls": b"1",
        "000000001.png": b"two",
        "000000001.cls": b"0",
    }
    assert json.loads(members["000000001.json"])["url"] == "http://a/2,3.jpg"


def test_classes_in_a_tar_have_the_numbers_that_label_gives_them(journal, tmp_path):
    lines = [Listed(f"http://a/{name}.jpg", number, name) for number, name in enumerate(("10", "2", "0", "7"), 1)]
    journal.add_source("x", "1", lines)
    journal.settle([*(ok(journal, id, bytes([id])) for id in (1, 2, 3)), Result(4, "gone")], many=0)
    (path,) = export(journal, tmp_path / "data.tar")
    with tarfile.open(path) as tar:
        numbers = [tar.extractfile(f"{index:09d}.cls").read() for index in range(3)]
    assert numbers == [b"2", b"1", b"0"]


def test_many_pictures_become_several_tars_with_the_same_bytes_every_time(filled, tmp_path):
    paths = export(filled, tmp_path / "data.tar", per_tar=1)
    assert [path.name for path in paths] == ["data-000000.tar", "data-000001.tar"]
    before = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in export(filled, tmp_path / "data.tar", per_tar=1)] == before


def test_a_picture_that_is_missing_stops_the_tar_and_leaves_nothing(filled, tmp_path):
    next((filled.folder / "dogs").iterdir()).unlink()
    with pytest.raises(InputError, match="is in the journal, and cannot be read"):
        export(filled, tmp_path / "data.tar")
    assert not list(tmp_path.glob("*.tar"))


def test_another_form_is_told(filled, tmp_path):
    with pytest.raises(InputError, match=r"exported as \.csv, \.json, \.jsonl, \.parquet, \.tar, not \.xlsx"):
        export(filled, tmp_path / "journal.xlsx")
