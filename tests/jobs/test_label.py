import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgnn.data.items import Listed, Result, file_stem, part_name
from imgnn.data.journal import Journal
from imgnn.data.lists import contents_digest, file_digest, read_list, read_words, staleness
from imgnn.errors import InputError, InterruptedRun
from imgnn.images.files import load_image
from imgnn.jobs import label
from imgnn.jobs.label import label_pictures
from imgnn.jobs.label_sheets import draw_sheets
from imgnn.options import LabelOptions
from imgnn.runs import Silent

THIRDS = (0.5, 0.25, 0.25)


def noise(path, seed, size=(40, 48)):
    """A picture like no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype="uint8")
    Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def fill(folder, **classes):
    """Class folders with so many pictures each: `fill(path, cats=3)` makes cats/0.png to cats/2.png."""
    for name, count in classes.items():
        for number in range(count):
            noise(folder / name / f"{number}.png", hash_of(f"{name}{number}"))
    return folder


def hash_of(text):
    return int.from_bytes(text.encode()[-7:], "big")


def lines(path):
    return path.read_text(encoding="utf-8").splitlines()


def kinds(result):
    return Counter(finding.kind for finding in result.findings)


# Folders


def test_folders_are_classes_by_mlimages_rules(tmp_path):
    pets = tmp_path / "pets"
    for name in ("bird/2.png", "Ant/old/1.png", "cat/3.png", "loose.png", ".hidden/4.png", "cat/.thumb.png"):
        noise(pets / name, hash_of(name))
    label_pictures([pets])
    assert lines(tmp_path / "pets.txt") == ["Ant/old/1.png 0", "bird/2.png 1", "cat/3.png 2", "loose.png 3"]
    assert lines(tmp_path / "pets_class_def.txt") == ["0 Ant", "1 bird", "2 cat", "3 ROOT"]


def test_the_list_can_be_read_and_its_pictures_found(tmp_path):
    label_pictures([fill(tmp_path / "pets", **{"my cats": 2, "dogs": 1})], tmp_path / "sub.txt")
    listed = read_list(tmp_path / "sub.txt")
    assert [listed.name(entry.label) for entry in listed.entries] == ["dogs", "my cats", "my cats"]
    assert all(listed.file(entry).is_file() for entry in listed.entries)


def test_a_folder_without_pictures_is_no_class(tmp_path):
    pets = fill(tmp_path / "pets", cats=3, dogs=3)
    (pets / "a").mkdir()
    result = label_pictures([pets])
    assert [each.name for each in result.classes] == ["cats", "dogs"]
    assert kinds(result) == {"empty_class": 1}


def test_a_class_that_loses_its_pictures_keeps_its_label(tmp_path):
    pets = fill(tmp_path / "pets", ants=0, cats=3, dogs=3)
    noise(pets / "ants/tiny.png", 1, size=(9, 9))
    result = label_pictures([pets])
    assert [(each.label, each.name, each.counts) for each in result.classes] == [
        (0, "ants", (0,)),
        (1, "cats", (3,)),
        (2, "dogs", (3,)),
    ]
    assert kinds(result) == {"tiny": 1, "empty_class": 1}


@pytest.mark.parametrize(("folder", "expected"), [("pets", "pets.txt"), ("pets/", "pets.txt"), (".", "../{}.txt")])
def test_the_list_lies_beside_the_folder(tmp_path, monkeypatch, folder, expected):
    monkeypatch.chdir(fill(tmp_path / "here", **{"pets/cats": 1}))
    (path,) = label_pictures([Path(folder)]).lists
    assert path.samefile(expected.format("here"))


def test_all_pictures_may_have_one_label(tmp_path):
    label_pictures([fill(tmp_path / "pets", a=1, b=1)], options=LabelOptions(label=7))
    assert lines(tmp_path / "pets.txt") == ["a/0.png 7", "b/0.png 7"]
    assert lines(tmp_path / "pets_class_def.txt") == ["7 pets"]


def test_paths_may_start_from_a_folder_above(tmp_path):
    pets = fill(tmp_path / "data" / "pets", a=1)
    label_pictures([pets], tmp_path / "x.txt", LabelOptions(root=tmp_path / "data"))
    assert lines(tmp_path / "x.txt") == ["pets/a/0.png 0"]
    with pytest.raises(InputError, match=r"paths in the list start from .*other; .*pets does not lie there"):
        label_pictures([pets], tmp_path / "x.txt", LabelOptions(root=tmp_path / "other"))


def test_bad_pictures_are_in_the_quarantine_list_and_stay_where_they_are(tmp_path):
    pets = fill(tmp_path / "pets", cats=3)
    whole = (pets / "cats/0.png").read_bytes()
    (pets / "cats/copy.png").write_bytes(whole)
    (pets / "cats/cut.png").write_bytes(whole[:-99])
    (pets / "cats/page.jpg").write_text("<html>")
    before = sorted(pets.rglob("*"))
    result = label_pictures([pets])
    assert lines(tmp_path / "pets_quarantine.txt") == [
        "cats/copy.png\tduplicate\tcats/0.png",
        next(
            line for line in lines(tmp_path / "pets_quarantine.txt") if line.startswith("cats/cut.png\ttruncated\t\t")
        ),
        "cats/page.jpg\tnot_image\t\tnot a picture: it is an HTML page",
    ]
    assert result.left_out == 3
    assert sorted(pets.rglob("*")) == before


def test_what_is_only_told_is_in_the_notes(tmp_path):
    pets = fill(tmp_path / "pets", cats=3)
    (pets / "cats/0.png").rename(pets / "cats/0.gif")
    label_pictures([pets])
    assert lines(tmp_path / "pets_notes.txt") == ["cats/0.gif\twrong_extension\t\tPNG, with .gif"]
    assert lines(tmp_path / "pets_quarantine.txt") == []


def test_without_checks_nothing_is_decoded(tmp_path):
    pets = fill(tmp_path / "pets", cats=3)
    (pets / "cats/page.jpg").write_text("<html>")
    result = label_pictures([pets], options=LabelOptions(check=False))
    assert (len(lines(tmp_path / "pets.txt")), result.checked) == (4, False)
    assert json.loads((tmp_path / "pets.json").read_text())["contents"] is None


def test_when_nothing_is_left_there_are_no_files(tmp_path):
    pets = tmp_path / "pets"
    noise(pets / "a/0.png", 0, size=(9, 9))
    with pytest.raises(InputError, match=r"no picture is left of 1 in .*pets: 1 tiny") as caught:
        label_pictures([pets])
    assert caught.value.hint == "--keep tiny"
    assert [path.name for path in tmp_path.iterdir()] == ["pets"]


def test_an_interrupt_writes_nothing(tmp_path):
    class Stop(Silent):
        def advance(self, done, **facts):
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRun):
        label_pictures([fill(tmp_path / "pets", cats=3)], reporter=Stop())
    assert [path.name for path in tmp_path.iterdir()] == ["pets"]


# The record


def test_the_record_tells_what_the_lists_were_made_of(tmp_path):
    pets = fill(tmp_path / "pets", cats=8, dogs=8)
    label_pictures([pets], options=LabelOptions(split=THIRDS, seed=3))
    record = json.loads((tmp_path / "pets.json").read_text())
    assert record["root"] == "pets"
    assert record["lists"] == {name: file_digest(tmp_path / name) for name in record["lists"]}
    assert record["counts"] == {"pets_train.txt": 8, "pets_val.txt": 4, "pets_test.txt": 4}
    assert record["classes"] == [
        {"label": 0, "name": "cats", "counts": [4, 2, 2]},
        {"label": 1, "name": "dogs", "counts": [4, 2, 2]},
    ]
    assert (record["options"]["seed"], record["options"]["split"]) == (3, [0.5, 0.25, 0.25])
    paths = [line.rpartition(" ")[0] for line in lines(tmp_path / "pets_val.txt")]
    assert record["contents"]["pets_val.txt"] == contents_digest((each, file_digest(pets / each)) for each in paths)


def test_a_list_whose_folder_was_changed_is_stale(tmp_path):
    pets = fill(tmp_path / "pets", cats=3)
    label_pictures([pets])
    assert staleness(read_list(tmp_path / "pets.txt")) is None
    noise(pets / "cats/new.png", 99)
    assert "3 pictures then, 4 now" in staleness(read_list(tmp_path / "pets.txt"))


def shuffled_walk(*words, walk=os.walk, **options):
    """`os.walk` on a file system with another order."""
    for inside, folders, names in walk(*words, **options):
        folders.reverse(), names.reverse()
        yield inside, folders, names


def test_the_same_folder_gives_the_same_bytes(tmp_path, monkeypatch):
    def files(work, workers):
        fill(work / "pets", cats=9, dogs=7)
        (work / "pets/cats/copy.png").write_bytes((work / "pets/cats/1.png").read_bytes())
        label_pictures([work / "pets"], options=LabelOptions(split=THIRDS, workers=workers))
        return {path.name: path.read_bytes() for path in work.glob("pets*.*")}

    once = files(tmp_path / "a", workers=1)
    monkeypatch.setattr(os, "walk", shuffled_walk)
    assert files(tmp_path / "b", workers=3) == once


# The split


def test_every_picture_is_in_one_list_and_copies_are_on_one_side(tmp_path):
    pets = fill(tmp_path / "pets", cats=20, dogs=12)
    for number in range(6):  # nearly the same
        Image.open(pets / f"cats/{number}.png").resize((80, 96)).save(pets / f"cats/near{number}.jpg", quality=90)
    result = label_pictures([pets], options=LabelOptions(split=THIRDS))
    assert kinds(result) == {"near_duplicate": 6}
    parts = {
        line.split()[0]: part for part in ("train", "val", "test") for line in lines(tmp_path / f"pets_{part}.txt")
    }
    assert len(parts) == sum(result.lists.values()) == 38
    assert all(parts[f"cats/{number}.png"] == parts[f"cats/near{number}.jpg"] for number in range(6))
    assert [each.counts for each in result.classes] == [(13, 7, 6), (6, 3, 3)]


def test_many_pictures_that_hang_together_are_remarked_on(tmp_path):
    class Listener(Silent):
        notes = ()

        def note(self, message):
            self.notes += (message,)

    for number in range(25):  # one picture in 25 sizes
        noise(tmp_path / "pets" / "cats" / f"{number}.png", 1, size=(200 + number, 200))
    listener = Listener()
    label_pictures([tmp_path / "pets"], options=LabelOptions(near=12), reporter=listener)
    assert listener.notes[0].startswith("25 of 25 pictures are nearly the same, and stay together in a split")


def test_lists_of_an_earlier_split_are_taken_away(tmp_path):
    pets = fill(tmp_path / "pets", cats=8)
    label_pictures([pets], options=LabelOptions(split=THIRDS))
    label_pictures([pets])
    assert sorted(path.name for path in tmp_path.glob("*.txt")) == [
        "pets.txt",
        "pets_class_def.txt",
        "pets_notes.txt",
        "pets_quarantine.txt",
    ]


# What is there already


def test_nothing_of_others_is_replaced(tmp_path):
    pets = fill(tmp_path / "pets", cats=3)
    (tmp_path / "pets.txt").write_text("my own\n")
    with pytest.raises(InputError, match=r"pets.txt would be replaced, and is none of imgnn label's"):
        label_pictures([pets])
    (tmp_path / "pets.txt").unlink()
    (tmp_path / "pets.json").write_text("{}")
    with pytest.raises(InputError, match=r"pets.json would be replaced, and is no record of a list"):
        label_pictures([pets])
    (tmp_path / "pets.json").unlink()
    label_pictures([pets])
    label_pictures([pets])  # its own files are
    with (tmp_path / "pets.txt").open("a") as file:
        file.write("by/hand.png 7\n")
    with pytest.raises(InputError, match=r"pets.txt would be replaced, and was changed since imgnn label wrote it"):
        label_pictures([pets])


def test_pictures_are_added_to_a_list(tmp_path):
    pets = fill(tmp_path / "pets", bees=1, cats=2)
    label_pictures([pets])
    before = lines(tmp_path / "pets.txt")
    fill(pets, ants=1, cats=3)
    label_pictures([pets], options=LabelOptions(add=True))
    assert lines(tmp_path / "pets.txt") == [*before, "cats/2.png 1", "ants/0.png 2"]
    assert lines(tmp_path / "pets_class_def.txt") == ["0 bees", "1 cats", "2 ants"]


def test_folders_with_one_label_each_make_one_list(tmp_path):
    pets = fill(tmp_path / "pets", x=1, y=1)
    output = tmp_path / "pets.txt"
    label_pictures([pets / "x"], output, LabelOptions(label=0, root=pets))
    label_pictures([pets / "y"], output, LabelOptions(label=4, add=True))
    assert lines(output) == ["x/0.png 0", "y/0.png 4"]
    assert lines(tmp_path / "pets_class_def.txt") == ["0 x", "4 y"]


def test_a_list_of_somebody_else_is_added_to(tmp_path):
    pets = fill(tmp_path / "pets", cats=2, dogs=1)
    (tmp_path / "pets.txt").write_text("dogs/0.png 5\n")
    label_pictures([pets], options=LabelOptions(add=True))
    assert lines(tmp_path / "pets.txt") == ["dogs/0.png 5", "cats/0.png 6", "cats/1.png 6"]
    assert lines(tmp_path / "pets_class_def.txt") == ["5 dogs", "6 cats"]


def test_added_pictures_leave_the_others_on_their_side(tmp_path):
    pets = fill(tmp_path / "pets", cats=12, dogs=12)
    label_pictures([pets], options=LabelOptions(split=THIRDS))
    before = {part: lines(tmp_path / f"pets_{part}.txt") for part in ("train", "val", "test")}
    fill(pets, cats=40)
    result = label_pictures([pets], options=LabelOptions(add=True, seed=8))
    for part, had in before.items():
        assert lines(tmp_path / f"pets_{part}.txt")[: len(had)] == had
    assert result.classes[0].counts == (20, 10, 10)


def test_what_cannot_be_added_to_is_told(tmp_path):
    pets = fill(tmp_path / "pets", cats=4)
    with pytest.raises(InputError, match=r"there is no list .*pets.txt to add to"):
        label_pictures([pets], options=LabelOptions(add=True))
    label_pictures([pets])
    with pytest.raises(InputError, match=r"pets.txt is not split; 3 parts were asked for"):
        label_pictures([pets], options=LabelOptions(add=True, split=THIRDS))
    others = fill(tmp_path / "others", cats=1)
    with pytest.raises(InputError, match=r"paths in the list start from .*pets; .*others does not lie there"):
        label_pictures([others], tmp_path / "pets.txt", LabelOptions(add=True))


# Lists


@pytest.fixture
def pets(tmp_path):
    """Three cats, three dogs, and nothing else."""
    return fill(tmp_path / "pets", cats=3, dogs=3)


def written(pets, name, text):
    path = pets / name
    path.write_text(text)
    return path


def test_a_sound_list_has_no_findings(pets):
    path = written(
        pets,
        "a.txt",
        "".join(f"{name}/{n}.png {label}\n" for label, name in enumerate(("cats", "dogs")) for n in range(3)),
    )
    result = label_pictures([path])
    assert (result.findings, result.lists, result.others) == ((), {path: 6}, ())


def test_what_caffe_stumbles_over_is_found_and_mended(pets):
    (pets / "cats/1.png").rename(pets / "cats/with space.png")
    text = "cats/0.png 1 \ncats/with space.png 1\ncats/gone.png 1\ncats/2.png 1\ncats/2.png 1\n"
    text += "cats/0.png 4\ndogs/0.png 4\r\n"
    path = written(pets, "a.txt", text)
    result = label_pictures([path], pets / "b.txt")
    assert [(each.kind, each.path) for each in result.findings] == [
        ("trailing_blanks", "a.txt"),
        ("conflict", "cats/0.png"),
        ("spaces", "cats/with space.png"),
        ("missing", "cats/gone.png"),
        ("repeated", "cats/2.png"),
        ("conflict", "cats/0.png"),
        ("few", "1"),
        ("few", "4"),
        ("labels_from_1", "1 to 4"),
        ("label_gap", "1 to 4"),
    ]
    assert lines(pets / "b.txt") == ["cats/with space.png 1", "cats/2.png 1", "dogs/0.png 4"]


def test_a_label_that_is_a_word_is_named(pets):
    path = written(pets, "a.txt", "cats/0.png 0\ndogs/0.png dog\n")
    with pytest.raises(InputError, match=r"a.txt, line 2: .* found the label 'dog'"):
        label_pictures([path])


def test_the_same_picture_in_two_lists_is_a_leak(pets):
    (pets / "cats/again.png").write_bytes((pets / "cats/1.png").read_bytes())
    train = written(pets, "a_train.txt", "cats/0.png 0\ncats/1.png 0\ncats/2.png 0\ndogs/0.png 1\n")
    val = written(pets, "a_val.txt", "cats/again.png 0\ndogs/0.png 1\ndogs/1.png 1\n")
    result = label_pictures([train, val], pets / "b.txt")
    assert [(each.kind, each.path, each.other) for each in result.findings if each.left_out] == [
        ("leak", "cats/1.png", "cats/again.png"),
        ("leak", "dogs/0.png", "dogs/0.png"),
    ]
    assert lines(pets / "b_train.txt") == ["cats/0.png 0", "cats/2.png 0"]
    assert lines(pets / "b_val.txt") == lines(val)


def test_a_list_is_split(pets):
    path = written(
        pets,
        "a.txt",
        "".join(f"{name}/{n}.png {label}\n" for label, name in enumerate(("cats", "dogs")) for n in range(3)),
    )
    result = label_pictures([path], pets / "b.txt", LabelOptions(split=(0.67, 0.33)))
    assert [each.counts for each in result.classes] == [(2, 1), (2, 1)]
    with pytest.raises(InputError, match="the parts of a list are written to another name"):
        label_pictures([path], options=LabelOptions(split=THIRDS))


def test_a_list_is_never_replaced_by_what_is_made_of_it(pets):
    path = written(pets, "a.txt", "cats/0.png 0\n")
    with pytest.raises(InputError, match=r"a.txt would be replaced by what is made of it"):
        label_pictures([path], path)
    label_pictures([pets], pets / "b.txt", LabelOptions(split=(0.5, 0.5)))
    with pytest.raises(InputError, match=r"b_train.txt would be replaced by what is made of it"):
        label_pictures([pets / "b_train.txt"], pets / "b.txt")  # which would take the older split away


def test_a_list_whose_pictures_are_elsewhere_asks_for_the_root(pets, tmp_path):
    path = written(tmp_path, "a.txt", "cats/0.png 0\n")
    with pytest.raises(InputError, match=r"none of the pictures of .*a.txt is there: .*0.png") as caught:
        label_pictures([path])
    assert caught.value.hint == "--root FOLDER"
    assert label_pictures([path], options=LabelOptions(root=pets)).lists == {path: 1}


@pytest.mark.parametrize(
    ("sources", "output", "options", "message"),
    [
        (["missing"], None, {}, "no such file or folder"),
        (["pets", "pets"], None, {}, "one folder, or one or more lists"),
        (["pets/a.txt"], None, {"label": 1}, "--label is for a folder"),
        (["pets/a.txt"], None, {"add": True}, "--add adds the pictures of a folder"),
        (["pets"], None, {"keep": ("truncated",)}, "what can be kept is placeholder, tiny, .* found truncated"),
        (["pets"], "pets", {}, "the list is a text, as flowers.txt; found"),
        (["pets"], "a.json", {}, "the list is a text, as flowers.txt; found"),
        (["pets"], "no/such/a.txt", {}, "there is no folder"),
        (["empty"], None, {}, "no picture in the folder"),
    ],
)
def test_what_does_not_go_together_is_refused(pets, tmp_path, sources, output, options, message):
    (tmp_path / "empty").mkdir()
    written(pets, "a.txt", "cats/0.png 0\n")
    with pytest.raises(InputError, match=message):
        label_pictures([tmp_path / each for each in sources], output and tmp_path / output, LabelOptions(**options))


# Sheets


def test_each_class_has_a_sheet(pets, tmp_path):
    label_pictures([pets])
    sheets = draw_sheets(tmp_path / "pets.txt")
    assert [path.relative_to(tmp_path) for path in sheets.files] == [
        Path("pets_sheets/0_cats.png"),
        Path("pets_sheets/1_dogs.png"),
    ]
    assert (sheets.pictures, sheets.skipped) == (6, ())
    assert load_image(sheets.files[0]).shape[0] > 160


def test_a_copy_is_shown_beside_its_original(tmp_path):
    for path, colour in (("a/0.png", "red"), ("a/1.png", "red"), ("a/2.png", "blue")):
        noise(tmp_path / "pets" / path, 0)
        picture = Image.new("RGB", (99, 99), colour)
        picture.paste("black", (0, 0, 40, 40))
        picture.save(tmp_path / "pets" / path)
    label_pictures([tmp_path / "pets"])
    (sheet,) = draw_sheets(tmp_path / "pets_quarantine.txt", tmp_path / "out").files
    pixels = load_image(sheet)
    assert sheet == tmp_path / "out" / "duplicate.png"
    red = (pixels == (255, 0, 0)).all(-1).any(0)  # columns
    assert red[:170].any()
    assert red[190:].any()


def test_of_many_pictures_some_are_drawn_by_the_seed(tmp_path):
    (tmp_path / "a.txt").write_text("".join(f"{number}.png 0\n" for number in range(60)))
    for number in range(60):
        noise(tmp_path / f"{number}.png", number)
    assert draw_sheets(tmp_path / "a.txt").pictures == 48


def test_what_cannot_be_read_is_skipped(pets):
    (pets / "bad.png").write_text("bad")
    path = written(pets, "a.txt", "cats/0.png 0\nbad.png 0\nmissing.png 0\n")
    sheets = draw_sheets(path)
    assert (sheets.pictures, [path.name for path, _ in sheets.skipped]) == (1, ["bad.png", "missing.png"])
    assert "no such file" in sheets.skipped[1][1]
    with pytest.raises(InputError, match=r"none of the pictures of .*b.txt can be shown"):
        draw_sheets(written(pets, "b.txt", "bad.png 0\n"))


def test_findings_without_a_record_ask_for_the_root(pets):
    path = written(pets, "a_quarantine.txt", "cats/0.png\ttiny\n")
    with pytest.raises(InputError, match="no record lies beside it"):
        draw_sheets(path)
    assert draw_sheets(path, options=LabelOptions(root=pets)).pictures == 1


def test_an_empty_quarantine_has_no_sheets(pets, tmp_path):
    label_pictures([pets])
    with pytest.raises(InputError, match=r"there is no picture in .*pets_quarantine.txt"):
        draw_sheets(tmp_path / "pets_quarantine.txt")


def fetched(folder, files):
    """A folder as `imgnn fetch` leaves it: pictures, and a journal that tells their parts."""
    folder.mkdir(exist_ok=True)
    with Journal(folder / "fetch.sqlite") as journal:
        listed = [
            Listed(f"http://x/{number}.png", number, name.partition("/")[0], part)
            for number, (name, part) in enumerate(files.items(), 1)
        ]
        journal.add_source("list.csv", "digest", listed)
        results = []
        for number, _ in enumerate(files, 1):
            part = part_name(number, f"{file_stem(f'http://x/{number}.png')}.png")
            noise(journal.parts / part, seed=number)
            results.append(Result(number, "ok", sha256=str(number), part=part, suffix=".png"))
        journal.settle(results, many=0)


def test_the_parts_that_a_fetched_list_names_can_be_taken_over(tmp_path):
    fetched(tmp_path / "style", {"0/a": "train", "0/b": "test", "1/c": "train", "1/d": "valid"})
    label_pictures([tmp_path / "style"], options=LabelOptions(given_split=True))
    parts = {name: lines(tmp_path / f"style_{name}.txt") for name in ("train", "val", "test")}
    assert {name: [line.rpartition(" ")[2] for line in found] for name, found in parts.items()} == {
        "train": ["0", "1"],
        "val": ["1"],
        "test": ["0"],
    }


def test_a_list_without_parts_is_told(tmp_path):
    fetched(tmp_path / "style", {"0/a": None, "0/b": None})
    with pytest.raises(InputError, match="have no column `split`"):
        label_pictures([tmp_path / "style"], options=LabelOptions(given_split=True))


def test_folders_that_are_numbers_are_in_their_order(tmp_path):
    for name in ("10", "2", "0", "1"):
        noise(tmp_path / "digits" / name / "a.png", seed=int(name))
    label_pictures([tmp_path / "digits"])
    assert read_words(tmp_path / "digits_class_def.txt") == {0: "0", 1: "1", 2: "2", 3: "10"}


def test_a_list_is_stale_when_more_was_fetched(tmp_path):
    fetched(tmp_path / "style", {"0/a": None})
    label_pictures([tmp_path / "style"])
    assert staleness(read_list(tmp_path / "style.txt")) is None
    with Journal(tmp_path / "style/fetch.sqlite") as journal:
        journal.db.execute("UPDATE urls SET sha256 = 'another'")  # the same name and size, other bytes
    assert "before imgnn fetch was there again" in staleness(read_list(tmp_path / "style.txt"))


def test_what_is_made_of_a_list_in_the_folder_is_no_picture_of_it(tmp_path):
    folder = fill(tmp_path / "pets", cats=3, dogs=3)
    label_pictures([folder], folder / "pets.txt")
    for name in ("pets_mean.png", "pets_mean_classes.png", "pets_train_sheets/0_cats.png"):
        noise(folder / name, hash_of(name))
    noise(folder / "other_mean.png", 7)  # somebody's picture
    assert staleness(read_list(folder / "pets.txt")) is not None  # which came afterwards
    label_pictures([folder], folder / "pets.txt")
    assert lines(folder / "pets.txt")[-1] == "other_mean.png 2"
    assert len(lines(folder / "pets.txt")) == 7


def test_a_list_of_a_few_pictures_watches_their_folders_alone(tmp_path):
    root = fill(tmp_path / "all", cats=2, dogs=2, owls=2)
    path = written(tmp_path, "some.txt", "cats/0.png 0\ndogs/1.png 1\n")
    label_pictures([path], tmp_path / "new.txt", LabelOptions(root=root))
    noise(root / "owls/9.png", 9)
    assert staleness(read_list(tmp_path / "new.txt")) is None
    noise(root / "dogs/9.png", 9)
    assert "4 pictures then, 5 now" in staleness(read_list(tmp_path / "new.txt"))


def test_a_picture_that_comes_while_the_others_are_read_makes_the_list_stale(tmp_path, monkeypatch):
    pets = fill(tmp_path / "pets", cats=3)
    inspect = label.inspect

    def meanwhile(*words):
        noise(pets / "cats/late.png", 99)
        return inspect(*words)

    monkeypatch.setattr(label, "inspect", meanwhile)
    label_pictures([pets])
    assert "3 pictures then, 4 now" in staleness(read_list(tmp_path / "pets.txt"))


@pytest.mark.parametrize("stopped_at", [1, 2])
def test_label_that_was_killed_while_it_wrote_can_be_run_again(tmp_path, monkeypatch, stopped_at):
    pets = fill(tmp_path / "pets", cats=4, dogs=4)
    label_pictures([pets], options=LabelOptions(split=(0.5, 0.5)))
    write, count = label.write_list, iter(range(9))

    def stops(path, entries):
        if next(count) == stopped_at:
            raise KeyboardInterrupt
        write(path, entries)

    monkeypatch.setattr(label, "write_list", stops)
    with pytest.raises(KeyboardInterrupt):
        label_pictures([pets], options=LabelOptions(split=THIRDS, seed=5))
    monkeypatch.undo()
    label_pictures([pets], options=LabelOptions(split=THIRDS, seed=5))
    assert sum(len(lines(tmp_path / f"pets_{part}.txt")) for part in ("train", "val", "test")) == 8
