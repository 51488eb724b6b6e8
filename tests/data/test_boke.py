"""Boke data sets as files: what each form is read as, how several are joined, and what is refused."""

import contextlib
import json
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imgnn.data.boke import FORMS, Boke, BokeSet, Odai, read_boke
from imgnn.errors import InputError
from imgnn.runs import Silent


class Listener(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def write(path, *content):
    """A text, or objects as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (
        content if isinstance(content[0], str) else (json.dumps(each, ensure_ascii=False) + "\n" for each in content)
    )
    path.write_text("".join(lines), encoding="utf-8", newline="")
    return path


def paint(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(path)


def read(*sources, **options):
    """The text of data sets, none of it held out."""
    return read_boke(sources, **{"need_images": False, "val_share": 0, **options})


def rows(boke):
    return [(odai.name, each.text, each.star) for odai in boke.odai for each in odai.boke]


def refusal(source, **options):
    with pytest.raises(InputError) as raised:
        read(source, **options)
    message = str(raised.value)
    assert "\n" not in message
    return message


def seed(text, star, name, **more):
    """A line as butsugiri/bokete has it."""
    address = f"http://boke.example/{name}"
    return {
        "boke": text,
        "star": star,
        "images": [{"path": f"full/{name}", "url": address}],
        "image_url": address,
        **more,
    }


CAN = "id,odai_id,odai_photo_url,odai_photo_by,boke_user_id,text,category,posted_at,rate_sum,rate_count,labels\n"


# What each form is read as


def test_lines_of_butsugiri_with_their_tokens(tmp_path):
    first = seed("猫の会議", 12, "a.jpg", parsed=["<BOS>", "猫", "の", "会議", "<EOS>"])
    source = write(tmp_path / "items.json", first, seed("late  again", None, "a.jpg"), seed("はい", 0, "b.jpg"))
    found = read(source)
    assert (found.form, found.root, len(found)) == ("butsugiri", tmp_path, 2)
    assert found.odai == (
        Odai(
            "full/a.jpg",
            (Boke("猫の会議", star=12), Boke("late again")),
            "train",
            (("猫", "の", "会議"), None),
        ),
        Odai("full/b.jpg", (Boke("はい", star=0),), "train", (None,)),
    )


@pytest.mark.parametrize("source", ["data/toy", "data/toy/train.json"])
def test_the_files_of_a_folder_are_its_splits_and_pictures_lie_beside_it(tmp_path, source):
    write(tmp_path / "data/toy/train.json", seed("one", 1, "a.jpg"), seed("two", 2, "b.jpg"))
    write(tmp_path / "data/toy/dev.json", seed("three", 3, "c.jpg"))
    paint(tmp_path / "data/images/full", "a.jpg", "b.jpg", "c.jpg")
    found = read_boke([tmp_path / source])
    assert [(odai.name, odai.split) for odai in found.odai] == [
        ("full/a.jpg", "train"),
        ("full/b.jpg", "train"),
        ("full/c.jpg", "val"),
    ]
    assert [found.file(odai).is_file() for odai in found.odai] == [True] * 3
    assert [odai.name for odai in found.part("val").odai] == ["full/c.jpg"]


def test_the_file_with_tokens_is_read_in_place_of_the_one_without(tmp_path):
    write(tmp_path / "train.json", seed("one", 1, "a.jpg"))
    write(tmp_path / "train.json.parsed", seed("one", 1, "a.jpg", parsed=["<BOS>", "one", "<EOS>"]))
    assert read(tmp_path).odai[0].tokens == (("one",),)
    write(tmp_path / "other/train.json", seed("one", 1, "a.jpg"))
    write(tmp_path / "other/train.csv", "image,text\na.jpg,one\n")
    assert "train.json and train.csv: which one is the data set?" in refusal(tmp_path / "other")


def test_what_imgnn_fetch_writes(tmp_path):
    line = {
        "boke": "帰りたい",
        "star": 7,
        "images": [{"path": "a-0123456789ab.jpg", "url": "http://x/a.jpg"}],
        "image_url": "http://x/a.jpg",
        "number": "55",
        "category": "シュール",
        "credit": "somebody",
        "page": "hot.html",
    }
    write(tmp_path / "boke.jsonl", line)
    paint(tmp_path, "a-0123456789ab.jpg")
    found = read_boke([tmp_path], val_share=0)
    assert found.odai[0].boke == (Boke("帰りたい", "55", 7, "シュール", "somebody"),)
    assert found.file(found.odai[0]) == tmp_path / "a-0123456789ab.jpg"


def test_a_can_whose_texts_have_line_breaks(tmp_path):
    text = (
        CAN
        + '1,9,/images/x.jpg,anna,3,"one\ntwo, three",バカ,2019,1234,9,犬/空\n'
        + "2,9,/images/x.jpg,anna,4,four,,2019,0,0,\n"
    )
    write(tmp_path / "can/boke.csv", text)
    paint(tmp_path / "can/images", "x.jpg")
    for source in (tmp_path / "can", tmp_path / "can/boke.csv"):
        found = read_boke([source], val_share=0)
        assert found.form == "can"
        assert found.odai == (
            Odai(
                "images/x.jpg",
                (Boke("one two, three", "1", 1234, "バカ", "anna"), Boke("four", "2", 0, None, "anna")),
                "train",
                (None, None),
            ),
        )


def test_a_folder_of_several_cans(tmp_path):
    for can, star in (("blue_000", 0), ("red_000", 2000)):
        write(tmp_path / can / "boke.csv", CAN + f"1,9,/photo/400/x.jpg,,3,text of {can},,,{star},,\n")
        paint(tmp_path / can / "images", "x.jpg")
    found = read_boke([tmp_path], val_share=0)
    assert rows(found) == [
        ("blue_000/images/x.jpg", "text of blue_000", 0),
        ("red_000/images/x.jpg", "text of red_000", 2000),
    ]
    assert found.file(found.odai[1]) == tmp_path / "red_000/images/x.jpg"


def test_lines_of_hairhair(tmp_path):
    line = {
        "number": "4711",
        "image_urls": ["https://boke.example/a.jpg"],
        "images": [{"path": "full/0a.jpg", "url": "https://boke.example/a.jpg", "checksum": "1"}],
        "bokes": [{"text": "one", "star": "1,024", "number": "1"}, {"text": "two", "star": "3", "number": "2"}],
    }
    bare = {"number": "9", "image_urls": ["https://boke.example/b%20c.jpg?x=1"], "bokes": [{"text": "x", "star": "1"}]}
    found = read(write(tmp_path / "odai.jl", line, bare))
    assert (found.form, rows(found)) == (
        "hairhair",
        [("full/0a.jpg", "one", 1024), ("full/0a.jpg", "two", 3), ("b c.jpg", "x", 1)],
    )


def test_numbered_files_of_yryo1005(tmp_path):
    for number in (12, 7):
        data = {"image_link": "https://x/y.jpg", "bokes": [{"boke": f"b{number}", "star": number, "date": "2024"}]}
        write(tmp_path / f"boke_data/{number}.json", data)
    paint(tmp_path / "boke_image", "7.jpg", "12.jpg")
    for source in (tmp_path, tmp_path / "boke_data"):
        found = read_boke([source], val_share=0)
        assert (found.form, sorted(rows(found))) == ("yryo1005", [("12.jpg", "b12", 12), ("7.jpg", "b7", 7)])
        assert found.root.resolve() == tmp_path / "boke_image"
    assert rows(read(tmp_path / "boke_data/7.json")) == [("7.jpg", "b7", 7)]


def test_shards_of_boketedb(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")

    def shard(name, **columns):
        parquet.write_table(arrow.table(columns), tmp_path / name)

    shard("odai_0.parquet", id=[5, 6], largeUrl=["https://x/photo/five.jpg", None], bokeCount=[2, 1])
    shard(
        "boke_0.parquet",
        id=[1, 2, 3, 4],
        odaiId=[5, 5, 6, 6],
        text=["one", "bad", "three", None],
        isNG=[False, True, False, False],
        rateSum=[10, 11, 12, 13],
        category=["バカ", None, None, None],
    )
    found = read(tmp_path)
    assert found.form == "boketedb"
    assert rows(found) == [("five.jpg", "one", 10), ("6.jpg", "three", 12)]
    assert found.left_out == {"marked": 1, "empty": 1}
    assert found.odai[0].boke[0] == Boke("one", "1", 10, "バカ")
    shard("mine.parquet", image=["a.jpg"], text=["hi"], star=[3])
    assert rows(read(tmp_path / "mine.parquet")) == [("a.jpg", "hi", 3)]
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "boke_0.parquet").read_bytes()[:-9])
    assert refusal(tmp_path / "cut.parquet").startswith(f"cannot read {tmp_path / 'cut.parquet'}: ")


def test_without_pyarrow_one_line_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "boke_0.parquet").write_bytes(b"PAR1PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match="needs pyarrow") as raised:
        read(tmp_path / "boke_0.parquet")
    assert raised.value.hint == "pip install 'imgnn[parquet]'"


def test_pages_of_teratsyk_in_a_table(tmp_path):
    two = "[{'url': 'http://x/a.jpg', 'path': 'full/a.jpg'}, {'url': 'http://x/b.jpg', 'path': 'full/b.jpg'}]"
    one = "[{'url': 'http://x/c.jpg', 'path': 'full/c.jpg'}]"
    text = f'image_urls,images,txt\nx,"{two}","one,two"\nx,"{one}","three,four"\nx,"{two}","with,a,comma"\nx,[],lost\n'
    found = read(write(tmp_path / "items.csv", text))
    assert (found.form, rows(found)) == (
        "teratsyk",
        [
            ("full/a.jpg", "one", None),
            ("full/b.jpg", "two", None),
            ("full/c.jpg", "three", None),
            ("full/c.jpg", "four", None),
        ],
    )
    assert found.left_out == {"unpaired": 3, "no_picture": 1}


@pytest.mark.parametrize(
    "text",
    [
        "id,odai_photo_file_name,text,is_laugh\nq1,a.jpg,あは,1\nq2,b.jpg,うーん,0\n",
        "a.jpg\t1\tあは\nb.jpg\t0\tうーん\n",
    ],
)
def test_the_contest_of_nishika_with_a_header_or_without(tmp_path, text):
    found = read(write(tmp_path / "train.csv", text))
    assert (found.form, rows(found)) == ("nishika", [("a.jpg", "あは", 1), ("b.jpg", "うーん", 0)])


def test_quotes_of_lines_without_a_header_stay(tmp_path):
    assert rows(read(write(tmp_path / "x.tsv", 'a.jpg\t1\t"hi"\tyou\n'))) == [("a.jpg", '"hi" you', 1)]


PAGE = """<!DOCTYPE html><html><body><div id="content">{}</div></body></html>"""
ENTRY = """<div class="boke-entry"><div class="photo"><img src="//img.example/photo/{}"></div>
<p class="boke_read">{}</p><input class="boke-id" value="{}"><h4 class="accordion-header"><em>{}</em></h4></div>"""


def test_saved_pages_whose_pictures_lie_beside_them(tmp_path):
    write(tmp_path / "hot.html", PAGE.format(ENTRY.format("a_400.jpg", "one", 11, "1,234")))
    write(
        tmp_path / "old.html",
        PAGE.format(ENTRY.format("b_400.jpg", "two", 12, "5") + ENTRY.format("a_400.jpg", "x", 3, "1")),
    )
    paint(tmp_path / "hot_files", "a_400.jpg")
    paint(tmp_path, "b_400.jpg")
    found = read_boke([tmp_path], val_share=0)
    assert (found.form, rows(found)) == (
        "page",
        [("hot_files/a_400.jpg", "one", 1234), ("hot_files/a_400.jpg", "x", 1), ("b_400.jpg", "two", 5)],
    )
    assert found.odai[0].boke[0].number == "11"


def test_a_page_in_a_folder_of_captions_is_none_of_the_data(tmp_path):
    write(tmp_path / "readme.html", PAGE.format("about"))
    write(tmp_path / "captions.txt", "image,caption\na.jpg,A dog\n")
    assert rows(read(tmp_path)) == [("a.jpg", "A dog", None)]
    assert "is a web page without a boke" in refusal(tmp_path, form="page")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.csv", "image,text,star,split\nin/a.jpg,ha ha,3,dev\n"),
        ("x.tsv", "Boke\tFile_Name\tLikes\tSubset\nha ha\tin/a.jpg\t3\tval\n"),
        ("x.csv", '"photo";"caption";"score";"set"\n"in\\a.jpg";"ha\nha";"3.0";"valid"\n'),
        ("x.jsonl", '{"image": "in/a.jpg", "text": "ha ha", "star": 3, "split": "val"}\n'),
        ("x.json", '[{"Picture": "in/a.jpg",\n"boke": "ha ha", "stars": "3", "split": "val"}]'),
        ("x.json", '{"image_path": "in/a.jpg", "captions": ["ha ha"], "score": 3.0, "partition": "dev"}\n'),
    ],
)
def test_columns_and_keys_are_found_by_their_names(tmp_path, name, text):
    found = read(write(tmp_path / name, text))
    assert (rows(found), found.odai[0].split) == ([("in/a.jpg", "ha ha", 3)], "val")


def test_captions_of_any_form_are_boke_without_stars(tmp_path):
    data = {"images": [{"filename": "a.jpg", "split": "test", "sentences": [{"raw": "A dog."}, {"raw": " "}]}]}
    found = read(write(tmp_path / "one/dataset.json", data))
    assert (found.form, rows(found), found.odai[0].split) == ("karpathy", [("a.jpg", "A dog.", None)], "test")
    assert found.left_out == {"empty": 1}
    assert rows(read(write(tmp_path / "two/x.token.txt", "a.jpg#0\tA dog\na.jpg#1\tA cat\n"))) == [
        ("a.jpg", "A dog", None),
        ("a.jpg", "A cat", None),
    ]
    paint(tmp_path / "three", "a.png")
    write(tmp_path / "three/a.txt", "a small cat\n")
    found = read_boke([tmp_path / "three"], val_share=0)
    assert (found.form, rows(found)) == ("folder", [("a.png", "a small cat", None)])


def test_captions_too_are_of_the_split_that_their_file_is_called_by(tmp_path):
    for number, name in enumerate(("train.json", "val.json")):
        annotations = [{"image_id": number, "caption": "x"}]
        write(tmp_path / name, {"images": [{"id": number, "file_name": f"{number}.jpg"}], "annotations": annotations})
    found = read(tmp_path)
    assert (found.form, [odai.split for odai in found.odai]) == ("coco", ["train", "val"])


def test_a_form_may_be_forced(tmp_path):
    source = write(tmp_path / "x.json", {"boke": "one", "images": [{"path": "a.jpg"}], "image": "b.jpg"})
    assert rows(read(source)) == [("a.jpg", "one", None)]
    assert rows(read(source, form="jsonl")) == [("b.jpg", "one", None)]
    assert "`bokes` is expected" in refusal(source, form="hairhair")
    assert refusal(source, form="xml").startswith("no form of boke files is called 'xml'; there are butsugiri, can,")


# What is left out


def test_what_is_left_out_is_counted_and_told(tmp_path):
    source = write(
        tmp_path / "x.jsonl",
        seed("one", 1, "a.jpg"),
        seed("one", 5, "a.jpg"),
        seed("one ", None, "a.jpg"),
        seed("one", 2, "b.jpg"),
        seed("　", 2, "b.jpg"),
        seed(None, 2, "b.jpg"),
        seed("boo", -1, "b.jpg"),
        {"boke": "of an upload", "star": 1, "images": []},
    )
    reporter = Listener()
    found = read(source, reporter=reporter)
    assert rows(found) == [("full/a.jpg", "one", 5), ("full/b.jpg", "one", 2)]
    assert found.left_out == {"repeated": 2, "empty": 2, "rated_down": 1, "no_picture": 1}
    assert reporter.notes == [
        "6 boke are left out: 2 without a text, 2 that their picture has already, 1 with less than 0 stars, "
        "1 without a picture"
    ]


def test_what_was_rated_down_elsewhere_is_left_out(tmp_path):
    data = write(tmp_path / "x.csv", "image,text\na.jpg,dull\na.jpg,good\n")
    ratings = write(tmp_path / "y.csv", "image,text,star\na.jpg,dull,-1\na.jpg,good,1\n")
    found = read(data, ratings)
    assert rows(found) == [("a.jpg", "good", 1)]
    assert found.left_out == {"repeated": 2, "rated_down": 1}


@pytest.mark.parametrize(
    ("written", "star"),
    [("3", 3), ("1,024", 1024), ("", None), ("4.0", 4), ("nan", None), (" 7 ", 7), ("-2.0", None)],
)
def test_stars_are_written_in_many_ways(tmp_path, written, star):
    found = read(write(tmp_path / "x.csv", f'image,text,star\na.jpg,one,"{written}"\na.jpg,two,0\n'))
    expected = [("a.jpg", "one", star)] if written != "-2.0" else []
    assert rows(found) == [*expected, ("a.jpg", "two", 0)]


# Splits and several sources


def test_a_share_of_the_pictures_is_held_out(tmp_path):
    text = "image,text\n" + "".join(f"{n}.jpg,one\n{n}.jpg,two\n" for n in range(20))
    source, reporter = write(tmp_path / "x.csv", text), Listener()
    found = read(source, val_share=0.1, reporter=reporter)
    assert Counter(odai.split for odai in found.odai) == {"train": 18, "val": 2}
    assert {len(odai.boke) for odai in found.odai} == {2}
    assert reporter.notes == ["2 of 20 pictures are kept for validation"]
    assert found.digest == read(source, val_share=0.1).digest != read(source, val_share=0.1, seed=1).digest


def test_a_picture_of_two_splits_stays_in_the_first(tmp_path):
    write(tmp_path / "train.json", seed("one", 1, "a.jpg"), seed("two", 1, "b.jpg"))
    write(tmp_path / "dev.json", seed("three", 1, "a.jpg"), seed("four", 1, "c.jpg"))
    reporter = Listener()
    found = read(tmp_path, reporter=reporter)
    assert [(odai.name, odai.split, len(odai.boke)) for odai in found.odai] == [
        ("full/a.jpg", "train", 2),
        ("full/b.jpg", "train", 1),
        ("full/c.jpg", "val", 1),
    ]
    assert reporter.notes == ["pictures in two splits, which stay in the first: 1, as full/a.jpg"]


def test_ratings_are_joined_by_the_place_of_the_picture(tmp_path):
    write(tmp_path / "toy/train.json", seed("one", 1, "a.jpg"), seed("two", 2, "b.jpg"))
    write(tmp_path / "toy/dev.json", seed("three", 3, "c.jpg"))
    paint(tmp_path / "toy/images/full", "a.jpg", "b.jpg", "c.jpg", "new.jpg")
    paint(tmp_path / "far", "d.jpg")
    images = tmp_path / "toy/images/full"
    ratings = write(
        tmp_path / "ratings.jsonl",
        {"boke": "one", "star": 9, "images": [{"path": str(images / "a.jpg")}]},
        {"boke": "more", "star": 1, "images": [{"path": str(images / "c.jpg")}]},
        {"boke": "else", "star": 1, "images": [{"path": str(tmp_path / "far/d.jpg")}]},
    )
    found = read_boke([tmp_path / "toy", ratings, tmp_path / "toy/train.json"])  # the last was read already
    assert rows(found) == [
        ("full/a.jpg", "one", 9),
        ("full/b.jpg", "two", 2),
        ("full/c.jpg", "three", 3),
        ("full/c.jpg", "more", 1),
        (str(tmp_path / "far/d.jpg"), "else", 1),
    ]
    assert [odai.split for odai in found.odai] == ["train", "train", "val", "train"]
    assert all(found.file(odai).is_file() for odai in found.odai)
    assert found.left_out == {"repeated": 1}


def test_pictures_of_two_folders_with_the_same_name_are_two(tmp_path):
    for folder in ("one", "two"):
        write(tmp_path / folder / "boke.csv", CAN + f"1,9,/images/x.jpg,,3,text of {folder},,,1,,\n")
        paint(tmp_path / folder / "images", "x.jpg")
    found = read_boke([tmp_path / "one", tmp_path / "two"], val_share=0)
    assert [odai.name for odai in found.odai] == ["images/x.jpg", str(tmp_path / "two/images/x.jpg")]
    assert all(found.file(odai).is_file() for odai in found.odai)


def test_whole_paths_are_used_as_they_are_where_pictures_lie_flat(tmp_path):
    paint(tmp_path / "photos", "a.jpg")
    paint(tmp_path / "far", "b.jpg")
    other = {"boke": "two", "star": 1, "images": [{"path": str(tmp_path / "far/b.jpg")}]}
    source = write(tmp_path / "x.jsonl", seed("one", 1, "a.jpg"), other)
    found = read_boke([source], images=tmp_path / "photos", val_share=0)
    assert [found.file(odai) for odai in found.odai] == [tmp_path / "photos/a.jpg", tmp_path / "far/b.jpg"]


def test_pictures_that_are_not_there_are_told_or_left_out(tmp_path):
    source, reporter = write(tmp_path / "x.csv", "image,text\na.jpg,one\na.jpg,two\nb.jpg,x\n"), Listener()
    with pytest.raises(InputError, match=r"the pictures of .*x\.csv were not found: a\.jpg is not in ") as raised:
        read_boke([source])
    assert raised.value.hint == "--images FOLDER"
    paint(tmp_path, "b.jpg")
    with pytest.raises(InputError, match=r"1 of 2 pictures of .*x\.csv are not in .*: the first is a\.jpg"):
        read_boke([source])
    found = read_boke([source], skip_missing=True, val_share=0, reporter=reporter)
    assert (rows(found), found.left_out) == ([("b.jpg", "x", None)], {"missing": 2})
    assert len(read(source)) == 2


def test_the_digest_knows_the_same_data_in_another_order(tmp_path):
    def digest(*odai):
        return BokeSet(tmp_path, tmp_path, odai, "csv", False, {}).digest

    one, two = (Odai(name, (Boke("x", star=1),), "train", (None,)) for name in ("a", "b"))
    assert digest(one, two) == digest(two, one)
    for changed in (
        Odai("a", (Boke("x", star=2),), "train", (None,)),
        Odai("a", (Boke("x", star=1),), "val", (None,)),
        Odai("a", (Boke("y", star=1),), "train", (None,)),
        Odai("a", (Boke("x", star=1),), "train", (("x",),)),
    ):
        assert digest(changed, two) != digest(one, two)


# What is refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("hello world\n", "is no file of boke: columns image and text are expected, it begins 'hello world'"),
        ("\x00\x01", "is no file of boke: it is of no format known here"),
        ('{"a": 1}\n', "is no file of boke: an object with the keys a"),
        ("[]", "is no file of boke: objects with a picture and boke are expected"),
        ("[1]", "is no file of boke: objects with a picture and boke are expected"),
        ('{"boke": 3, "images": []}\n', "line 1: a boke is to be a text; found 3"),
        ('{"boke": "x", "images": 3}\n', "line 1: `images` is to be a list of objects; found 3"),
        ('{"boke": "x", "images": [{"path": 3}]}\n', "line 1: the name of a picture is to be a text; found 3"),
        ('{"boke": "x", "images": [], "star": "many"}\n', "line 1: stars are a number; found 'many'"),
        ('{"boke": "x", "images": [], "star": [1]}\n', r"line 1: stars are a number; found \[1\]"),
        ('{"boke": "x", "images": [], "star": 1e99}\n', r"line 1: stars are a number; found 1e\+99"),
        (
            '{"boke": "x", "images": [{"path": "a"}], "parsed": "x"}\n',
            "line 1: `parsed` is to be a list of texts; found",
        ),
        ('{"boke": "x", "images": [{"path": "a"}], "split": "old"}\n', "line 1: a split is train, val or test"),
        ('{"boke": "x", "images": []}\n{"boke": \n', "line 2: broken JSON"),
        ('{"boke": "x", "images": []}\n[1]\n', r"line 2: an object with a picture and boke is expected; found \[1\]"),
        ('{"boke": "x", "images": []}\n{"a": 1}\n', "line 2: an object with the keys a; `boke` and `images` are"),
        ('{"boke": "x", "images": []}\n', "no boke in .*: 1 without a picture"),
        ('{"bokes": 1, "image_link": ""}\n', "`bokes` is to be a list of objects"),
        ('{"image": "a", "text": [3]}\n', "line 1: a caption is to be a text; found 3"),
        (
            '{"image": "a", "text": "x"}\n{"image": 3, "text": "x"}\n',
            "line 2: an object with the keys image, text; `im",
        ),
        ("image,text\na.jpg,one, two\n", "line 2: 3 columns; the header has 2"),
        ('image,text\na.jpg,"one\n', "line 2: broken quotes"),
        ('"x,image,text"\na\n', "columns image and text are expected"),
        ("image,text,star\na.jpg,one,lots\n", "line 2: stars are a number; found 'lots'"),
        ("a.jpg\t1\tx\nb.jpg\t2\ty\n", "columns image and text are expected"),
        ("a.jpg\t1\tx\n" * 5 + "b.jpg\n", "line 6: `picture<TAB>0 or 1<TAB>text` is expected; found 'b.jpg'"),
        ("txt,images\none,[3\n", r"line 2: `images` is to be a list of objects; found '\[3'"),
        ("txt,images\none,[3]\n", r"line 2: `images` is to be a list of objects; found \[3\]"),
        ("txt,images\none,3\n", "line 2: `images` is to be a list of objects; found '3'"),
        ("<!DOCTYPE html><html></html>", "is a web page without a boke"),
        (
            PAGE.format(ENTRY.format("[", "one", 1, "2")).replace("img.example/photo/", ""),
            "is no page that can be read",
        ),
        ("image,text\na.jpg,\n", "no boke in .*: 1 without a text"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as raised:
        read(write(tmp_path / "x.json", text))
    assert "\n" not in str(raised.value)
    assert str(tmp_path / "x.json") in str(raised.value)


def test_other_files_and_folders_are_refused(tmp_path):
    assert refusal(tmp_path / "x.json") == f"no such file: {tmp_path / 'x.json'}"
    assert refusal(tmp_path).startswith(f"no captions in the folder {tmp_path}")
    source = tmp_path / "x.csv"
    source.write_bytes(b"image,text\na.jpg,caf\xe9\n")
    assert "is no text in UTF-8" in refusal(source)
    with pytest.raises(InputError, match="no boke data set is named"):
        read()


KEYS = st.sampled_from(
    [
        *("boke", "star", "images", "path", "url", "image_url", "parsed", "split", "image", "text", "number"),
        *("bokes", "image_link", "image_urls", "captions", "annotations", "sentences", "filename", "odaiId"),
    ]
)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["http://[", "val"]),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(KEYS, inside, max_size=4),
    max_leaves=12,
)
FORCED = st.sampled_from([None, *FORMS])


@settings(max_examples=300, deadline=None)
@given(data=st.lists(ANYTHING, min_size=1, max_size=3), lines=st.booleans(), form=FORCED)
def test_whatever_json_there_is_it_is_read_or_refused(tmp_path_factory, data, lines, form):
    text = "\n".join(map(json.dumps, data)) if lines else json.dumps(data)
    source = write(tmp_path_factory.mktemp("any") / "x.json", text)
    with contextlib.suppress(InputError):
        assert len(read(source, form=form))


HEADS = ["image,text,star\n", "txt,images\n", CAN, "a.jpg\t1\t", '{"boke": "x", "images": [', "PAR1", "<html>", ""]


@settings(max_examples=300, deadline=None)
@given(head=st.sampled_from(HEADS), rest=st.binary(max_size=60) | st.text(max_size=60).map(str.encode), form=FORCED)
def test_whatever_bytes_there_are_they_are_read_or_refused(tmp_path_factory, head, rest, form):
    source = tmp_path_factory.mktemp("any") / "x.bin"
    source.write_bytes(head.encode() + rest)
    with contextlib.suppress(InputError):
        assert len(read(source, form=form))


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"boke":' * 100_000, '{"boke": "x", "images": ' + "[" * 100_000 + "\n"]
)
def test_a_thousand_brackets_are_refused(tmp_path, text):
    assert str(tmp_path) in refusal(write(tmp_path / "x.json", text))


def test_a_huge_cell_is_read(tmp_path):
    found = read(write(tmp_path / "x.csv", f"image,text\na.jpg,{'ha ' * 100_000}\nb.jpg,{'w' * 1_000_000}\n"))
    assert [len(odai.boke[0].text) for odai in found.odai] == [299_999, 1_000_000]


# Real data


def test_the_texts_of_the_contest_are_read_whole(shared):
    source: Path = shared / "data/boke/nishika_text.tsv"
    found = read(source)
    lines = [line.split("\t") for line in source.read_text(encoding="utf-8").splitlines()]
    assert found.form == "nishika"
    assert len(lines) == 24_962 == sum(len(odai.boke) for odai in found.odai) + sum(found.left_out.values())
    assert rows(found)[0] == (lines[0][0], lines[0][2], int(lines[0][1]))
    assert Counter(star for _, _, star in rows(found)) == Counter(int(line[1]) for line in lines)


@pytest.mark.parametrize("name", ["hot_success", "legend_success", "popular_success", "user_boke", "user_success"])
def test_saved_pages_are_read_completely(shared, name):
    found = read(shared / "data/boke/pages" / f"{name}.html")
    assert found.form == "page"
    assert sum(len(odai.boke) for odai in found.odai) == 10
    assert (found.odai[0].boke[0].star is None) == name.startswith("user")
