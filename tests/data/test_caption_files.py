"""Caption data sets as files: what each form is read as, what is refused, and that what is written is read again."""

import contextlib
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imgnn.data.caption_files import (
    read_captions,
    read_results,
    write_captions,
    write_results,
)
from imgnn.data.captions import Captioned, CaptionSet
from imgnn.errors import InputError
from imgnn.runs import Silent


class Listener(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def write(path, content):
    """A text, or anything as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def paint(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(path)


def read(source, **options):
    """The text of a data set, none of it held out."""
    return read_captions(source, **{"need_images": False, "val_share": 0, **options})


def rows(captions):
    return [(image.name, image.split, *image.captions) for image in captions.images]


def refusal(source, **options):
    with pytest.raises(InputError) as raised:
        read(source, **options)
    message = str(raised.value)
    assert "\n" not in message
    return message


KARPATHY = {
    "dataset": "coco",
    "images": [
        {
            "filepath": "val2014",
            "filename": "COCO_val2014_000000391895.jpg",
            "imgid": 0,
            "split": "restval",
            "sentids": [770337],
            "cocoid": 391895,
            "sentences": [
                {
                    "tokens": ["a", "man"],
                    "raw": "A man with a red helmet on a small moped. ",
                    "imgid": 0,
                    "sentid": 770337,
                },
                {"tokens": ["cloud", "wreathed"], "imgid": 0, "sentid": 771687},
            ],
        },
        {"filename": "x.jpg", "imgid": 1, "split": "test", "sentences": [{"raw": "An x."}]},
    ],
}
COCO = {
    "info": {},
    "images": [{"id": 9, "file_name": "000000000009.jpg"}, {"id": 25, "file_name": "000000000025.jpg"}],
    "annotations": [
        {"image_id": 25, "id": 1, "caption": "A giraffe."},
        {"image_id": 9, "id": 2, "caption": "Bread."},
        {"image_id": 25, "id": 3, "caption": "Two\ngiraffes. "},
    ],
}
TOKENS = "a.jpg#0\tA child .\na.jpg#1\tA girl , going .\nb.jpg#0\tTwo dogs\n"


# What each form is read as


def test_karpathys_json(tmp_path):
    found = read(write(tmp_path / "dataset.json", KARPATHY))
    assert found.form == "karpathy"
    assert found.images == (
        Captioned(
            "val2014/COCO_val2014_000000391895.jpg",
            ("A man with a red helmet on a small moped.", "cloud wreathed"),
            "train",
            391895,
            0,
        ),
        Captioned("x.jpg", ("An x.",), "test", None, 1),
    )


def test_cocos_captions_are_joined_by_the_number_of_the_picture(tmp_path):
    found = read(write(tmp_path / "captions_val2017.json", COCO))
    assert found.form == "coco"
    assert found.images == (
        Captioned("val2017/000000000009.jpg", ("Bread.",), "val", 9),
        Captioned("val2017/000000000025.jpg", ("A giraffe.", "Two giraffes."), "val", 25),
    )


@pytest.mark.parametrize("source", ["coco", "coco/annotations/captions_train2017.json"])
def test_cocos_two_files_are_one_data_set(tmp_path, source):
    other = {"images": [{"id": 7, "file_name": "7.jpg"}], "annotations": [{"image_id": 7, "caption": "Seven."}]}
    write(tmp_path / "coco/annotations/captions_train2017.json", COCO)
    write(tmp_path / "coco/annotations/captions_val2017.json", other)
    write(tmp_path / "coco/annotations/instances_val2017.json", "[")
    paint(tmp_path / "coco", "train2017/000000000009.jpg", "train2017/000000000025.jpg", "val2017/7.jpg")
    found = read_captions(tmp_path / source)
    assert [(image.split, image.key) for image in found.images] == [("train", 9), ("train", 25), ("val", 7)]
    assert all(found.file(image).is_file() for image in found.images)


def test_a_file_of_cocos_with_another_name_has_no_split(tmp_path):
    found = read(write(tmp_path / "mine.json", COCO))
    assert [image.name for image in found.images] == ["000000000009.jpg", "000000000025.jpg"]


def test_flickrs_tokens(tmp_path):
    found = read(write(tmp_path / "results_20130124.token", TOKENS))
    assert found.form == "flickr"
    assert rows(found) == [("a.jpg", "train", "A child .", "A girl , going ."), ("b.jpg", "train", "Two dogs")]


def test_flickrs_tokens_may_come_with_a_space_and_in_any_order(tmp_path):
    text = "a.jpg#1 A girl going .\nb c.jpg#0  we are #1 today\na.jpg#0 A child .\n"
    assert rows(read(write(tmp_path / "x.txt", text))) == [
        ("a.jpg", "train", "A child .", "A girl going ."),
        ("b c.jpg", "train", "we are #1 today"),
    ]


def test_a_stray_key_of_flickr8k_goes_to_its_picture(tmp_path):
    text = "a.jpg#1\tsecond\na.jpg.1#0\tfirst\n"
    assert rows(read(write(tmp_path / "x.token", text))) == [("a.jpg", "train", "first", "second")]


def test_lists_beside_flickrs_tokens_are_its_splits(tmp_path):
    source = write(tmp_path / "Flickr8k.token.txt", TOKENS + "c.jpg#0\tA cat\nd.jpg#0\tA bird\n")
    write(tmp_path / "Flickr_8k.trainImages.txt", "a.jpg\n")
    write(tmp_path / "Flickr_8k.devImages.txt", "b.jpg\n")
    write(tmp_path / "Flickr_8k.testImages.txt", "c\n")
    reporter = Listener()
    found = read(source, reporter=reporter)
    assert [(image.name, image.split) for image in found.images] == [
        ("a.jpg", "train"),
        ("b.jpg", "val"),
        ("c.jpg", "test"),
    ]
    assert reporter.notes == ["1 of 4 pictures are in no split, and are left out"]


def test_lists_of_other_pictures_are_nothing_to_a_file_beside(tmp_path):
    write(tmp_path / "Flickr_8k.trainImages.txt", "z.jpg\n")
    assert len(read(write(tmp_path / "x.token", TOKENS))) == 2


def test_of_several_lists_those_that_are_called_as_the_file_are_its_splits(tmp_path):
    source = write(tmp_path / "x.token.txt", TOKENS)
    write(tmp_path / "1.trainImages.txt", "a.jpg\n")
    write(tmp_path / "2.trainImages.txt", "b.jpg\n")
    assert "1.trainImages.txt and 2.trainImages.txt: which one goes with x.token.txt?" in refusal(source)
    write(tmp_path / "x.trainImages.txt", "b.jpg\n")
    write(tmp_path / "1.devImages.txt", "a.jpg\n")
    assert rows(read(source)) == [("b.jpg", "train", "Two dogs")]


def test_a_picture_is_in_one_list_alone(tmp_path):
    source = write(tmp_path / "x.token.txt", TOKENS)
    write(tmp_path / "x.trainImages.txt", "a.jpg\n")
    write(tmp_path / "x.devImages.txt", "b.jpg\na.jpg\n")
    assert refusal(source).endswith("x.devImages.txt, line 2: a.jpg is in train too")


def test_kaggles_captions(tmp_path):
    text = 'image,caption\na.jpg,"A child , in pink ."\na.jpg,"She says ""hi"""\nb.jpg,Dogs\n'
    found = read(write(tmp_path / "captions.txt", text))
    assert found.form == "csv"
    assert rows(found) == [("a.jpg", "train", "A child , in pink .", 'She says "hi"'), ("b.jpg", "train", "Dogs")]


def test_kaggles_results_with_the_bar_that_is_missing(tmp_path):
    text = (
        "image_name| comment_number| comment\n"
        '1000092795.jpg| 0| Two young guys with "shaggy" hair , outside .\n'
        "2199200615.jpg| 3| A dog .\n"
        "2199200615.jpg| 4   A dog runs across the grass .\n"
    )
    assert rows(read(write(tmp_path / "results.csv", text))) == [
        ("1000092795.jpg", "train", 'Two young guys with "shaggy" hair , outside .'),
        ("2199200615.jpg", "train", "A dog .", "A dog runs across the grass ."),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Split,File Name,Caption\nval,a.jpg,two words\n".replace("File Name", "file_name"),
        "caption\timage\tsplit\ntwo words\ta.jpg\tval\n",
        '"filename";"caption";"set"\n"a.jpg";"two\nwords";"dev"\n',
        "\ufeffpath,sentence,split\na.jpg,two  words,validation\n",
        'file\tcomment\tsplit\na.jpg\t"two words"\tval\n',
    ],
)
def test_columns_are_found_by_their_names(tmp_path, text):
    assert rows(read(write(tmp_path / "x.csv", text))) == [("a.jpg", "val", "two words")]


def test_quotes_between_tabs_are_what_they_look_like(tmp_path):
    text = 'image\tcaption\na.jpg\t"Open" says the sign\na.jpg\t"no end\nb.jpg\t"a ""b"" c"\n'
    assert rows(read(write(tmp_path / "x.tsv", text))) == [
        ("a.jpg", "train", '"Open" says the sign', '"no end'),
        ("b.jpg", "train", 'a "b" c'),
    ]


def test_neuraltalk2s_list(tmp_path):
    data = [{"file_path": "path/a.jpg", "captions": ["one", "two"], "id": 4}, {"file_path": "b.jpg", "captions": ["x"]}]
    found = read(write(tmp_path / "x.json", data))
    assert found.form == "neuraltalk2"
    assert found.images == (Captioned("path/a.jpg", ("one", "two"), "train", 4), Captioned("b.jpg", ("x",), "train"))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            {"image": "a.jpg", "captions": ["one", "two"], "split": "val"},
            {"image": "b.jpg", "caption": "x", "split": "val"},
        ),
        ({"file": "a.jpg", "caption": "one", "split": "dev"}, {"file": "b.jpg", "caption": "x", "split": "dev"}),
        ({"file_name": "a.jpg", "text": "one", "split": "val"}, {"file_name": "b.jpg", "text": "x", "split": "val"}),
        (
            {"path": "a.jpg", "sentences": [{"raw": "one"}, {"tokens": ["two"]}], "split": "val"},
            {"path": "b.jpg", "sentences": "x", "split": "val"},
        ),
    ],
)
def test_json_lines(tmp_path, first, second):
    later = {**first, "caption": "two"} if "caption" in first else {"file": "a.jpg", "caption": "two"}
    lines = [first, second] if len(first.get("captions", first.get("sentences", ""))) == 2 else [first, second, later]
    found = read(write(tmp_path / "x.jsonl", "".join(json.dumps(line) + "\n\n" for line in lines)))
    assert (found.form, rows(found)) == ("jsonl", [("a.jpg", "val", "one", "two"), ("b.jpg", "val", "x")])


def test_one_line_is_json_lines_too(tmp_path):
    assert read(write(tmp_path / "x.jsonl", {"image": "a.jpg", "caption": "one"})).form == "jsonl"


def test_texts_beside_pictures(tmp_path):
    paint(tmp_path, "a.jpg", "in/b.png", "c.jpg")
    write(tmp_path / "a.txt", "a cat\n\na small cat\n")
    write(tmp_path / "in/b.txt", "a bird")
    reporter = Listener()
    found = read_captions(tmp_path, val_share=0, reporter=reporter)
    assert (found.form, found.root) == ("folder", tmp_path)
    assert rows(found) == [("a.jpg", "train", "a cat", "a small cat"), ("in/b.png", "train", "a bird")]
    assert reporter.notes == ["1 pictures have no caption, and are left out"]


@pytest.mark.parametrize("name", ["dataset.json", "dataset_flickr8k.json"])
def test_the_file_is_found_in_a_folder(tmp_path, name):
    write(tmp_path / name, KARPATHY)
    write(tmp_path / "captions.txt", "image,caption\na,b\n")
    assert read(tmp_path).form == "karpathy"
    assert read(tmp_path, form="csv").form == "csv"


def test_empty_captions_are_counted_and_left_out(tmp_path):
    data = [{"image": "a.jpg", "captions": ["one", " ", ""]}, {"image": "b.jpg", "captions": []}]
    reporter = Listener()
    found = read(write(tmp_path / "x.json", data), reporter=reporter)
    assert (rows(found), found.empty) == ([("a.jpg", "train", "one")], 2)
    assert reporter.notes == ["2 captions are empty, and are left out", "1 pictures have no caption, and are left out"]


def test_half_a_character_becomes_a_question_mark(tmp_path):
    assert rows(read(write(tmp_path / "x.json", '[{"image": "a.jpg", "caption": "caf\\ud83d é"}]')))[0][2] == "caf? é"


# Splits and pictures


def test_a_share_of_pictures_without_splits_is_held_out(tmp_path):
    text = "image,caption\n" + "".join(f"{n}.jpg,one\n{n}.jpg,two\n" for n in range(20))
    source, reporter = write(tmp_path / "x.csv", text), Listener()
    found = read(source, val_share=0.1, reporter=reporter)
    assert Counter(image.split for image in found.images) == {"train": 18, "val": 2}
    assert all(image.captions == ("one", "two") for image in found.images)
    assert reporter.notes == ["2 of 20 pictures are kept for validation"]
    assert found.digest == read(source, val_share=0.1).digest
    assert found.digest != read(source, val_share=0.1, seed=1).digest


def test_val_is_drawn_from_train_where_there_is_none(tmp_path):
    text = "image,caption,split\n" + "".join(f"{n}.jpg,x,{'train' if n else 'test'}\n" for n in range(11))
    found = read(write(tmp_path / "x.csv", text), val_share=0.2)
    assert Counter(image.split for image in found.images) == {"train": 8, "val": 2, "test": 1}


def test_one_picture_cannot_be_split(tmp_path):
    source = write(tmp_path / "x.csv", "image,caption\na.jpg,one\na.jpg,two\n")
    assert refusal(source, val_share=0.1) == "1 picture cannot be split into train and val"


@pytest.mark.parametrize("folder", ["", "images", "Images", "Flicker8k_Dataset", "../images"])
def test_pictures_are_looked_for_near_the_file(tmp_path, folder):
    source = write(tmp_path / "in/x.token", TOKENS)
    paint(tmp_path / "in" / folder, "a.jpg", "b.jpg")
    assert read_captions(source, val_share=0).root.resolve() == (tmp_path / "in" / folder).resolve()


def test_the_user_may_name_the_folder_of_pictures(tmp_path):
    source = write(tmp_path / "in/dataset.json", KARPATHY)
    with pytest.raises(
        InputError, match=r"pictures of .* were not found: val2014/.*895.jpg is not in .*/in, "
    ) as raised:
        read_captions(source, val_share=0)
    assert raised.value.hint == "--images FOLDER"
    paint(tmp_path / "far", "COCO_val2014_000000391895.jpg", "x.jpg")
    found = read_captions(source, images=tmp_path / "far", val_share=0)
    assert [found.file(image).name for image in found.images] == ["COCO_val2014_000000391895.jpg", "x.jpg"]
    assert found.digest == read(source).digest  # wherever they are


def test_pictures_that_are_not_there_are_told_or_left_out(tmp_path):
    source, reporter = write(tmp_path / "x.token", TOKENS), Listener()
    paint(tmp_path, "b.jpg")
    with pytest.raises(InputError, match=r"1 of 2 pictures of .*x\.token are not in .*: the first is a\.jpg"):
        read_captions(source, val_share=0)
    found = read_captions(source, val_share=0, skip_missing=True, reporter=reporter)
    assert [image.name for image in found.images] == ["b.jpg"]
    assert reporter.notes == [f"1 of 2 pictures are not in {tmp_path}, and are left out"]
    with pytest.raises(InputError, match="1 picture cannot be split"):  # nothing is drawn from those that are gone
        read_captions(source, skip_missing=True)
    assert len(read(source)) == 2


# What is refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ('{"images": [\n{"filename": "a.jpg"\n"split": 1}]}', "line 3, column 1: broken JSON: Expecting ',' delimiter"),
        ('{"a": 1, "b": 2}', "is no file of captions: an object with the keys a, b and no list `images`"),
        ('{"images": []}', "no caption in "),
        ('{"images": [1]}', "`images` is to be a list of objects"),
        ('{"images": [{"a": 1}]}', r"images\[0\] has no `filename` and `sentences`: an object with the keys a"),
        ('{"images": [{"filename": "a", "sentences": [3]}]}', r"images\[0\]: a caption is to be a text; found 3"),
        ('{"images": [], "annotations": [{"bbox": []}]}', "annotations, but no captions: objects with the keys bbox"),
        (
            '{"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 2, "caption": "x"}]}',
            "1 captions are of no picture in it: the first image_id is 2",
        ),
        ("[]", "it is not a list of objects with pictures and captions"),
        ('[{"image_id": 1, "caption": "x"}]', "is a result file of COCO's"),
        ('[{"a": 1}]', "is no file of captions: a list of objects with the keys a"),
        ('[{"image": "a.jpg", "size": 3}]', "item 0: an object with the keys image, size; `image` and `captions` are"),
        ('[{"image": " ", "caption": "x"}]', "item 0: a picture without a name"),
        ('{"image": "a", "caption": "x"}\n{"image": \n', "line 2: broken JSON: Expecting value"),
        ('{"image": "a", "caption": "x"}\n[1]\n', r"line 2: an object with a picture .*; found \[1\]"),
        ('{"image": "a", "caption": "x", "split": "old"}\n', "line 1: a split is train, val or test .*; found 'old'"),
        (
            '{"image": "a", "caption": "x", "split": "val"}\n{"image": "a", "caption": "x", "split": "test"}\n',
            "line 2: a is in test, and in val before",
        ),
        ('[{"image": "a", "caption": "x", "split": "val"}, {"image": "b", "caption": "x"}]', "1 pictures .*: b"),
        ("a.jpg#0\tone\n\nb.jpg two\n", "line 3: `name.jpg#0<TAB>caption` is expected; found 'b.jpg two'"),
        (f"a.jpg#0\tone\na.jpg#{'9' * 5_000}\ttwo\n", "line 2: `name.jpg#0<TAB>caption` is expected; found 'a.jpg#9"),
        ("image,words\na.jpg,b\n", "columns image and caption are expected, it begins 'image,words'"),
        ("image,caption\na.jpg,one, two\n", "line 2: 3 columns; the header has 2"),
        ("image\tcaption\na.jpg\n", "line 2: 1 columns; the header has 2"),
        ('image,caption\na.jpg,"one\nb.jpg,two\n', "line 3: broken quotes"),
        ("image,caption\na.jpg,\n", "no caption in .*: it has 1 pictures, 1 empty captions"),
        ("\x00\x01", "is no file of captions: it is of no format known here"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as raised:
        read(write(tmp_path / "x.json", text))
    assert "\n" not in str(raised.value)
    assert str(tmp_path / "x.json") in str(raised.value)


IMAGE_KEYS = ["images", "filename", "file_name", "filepath", "image", "id", "split", "cocoid"]
CAPTION_KEYS = ["annotations", "image_id", "sentences", "raw", "tokens", "caption"]
KEYS = st.sampled_from([*IMAGE_KEYS, *CAPTION_KEYS])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(KEYS, inside, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(data=ANYTHING, form=st.sampled_from([None, "karpathy", "coco", "neuraltalk2", "jsonl"]))
def test_whatever_json_there_is_it_is_read_or_refused(tmp_path_factory, data, form):
    source = write(tmp_path_factory.mktemp("any") / "x.json", json.dumps(data))
    with contextlib.suppress(InputError):
        assert len(read(source, form=form))


def test_other_files_and_folders_are_refused(tmp_path):
    assert refusal(tmp_path / "x.json") == f"no such file: {tmp_path / 'x.json'}"
    assert refusal(tmp_path).startswith(f"no captions in the folder {tmp_path}: neither a file of a usual name")
    assert refusal(tmp_path, form="coco") == f"no coco file of a usual name in the folder {tmp_path}"
    assert refusal(tmp_path, form="xml").startswith("no form of caption files is called 'xml'; there are karpathy,")
    source = write(tmp_path / "x.csv", "image,caption\na,b\n")
    assert "is no folder" in refusal(source, form="folder")
    assert "line 1, column 1: broken JSON" in refusal(source, form="karpathy")
    assert "line 1: `name.jpg#0<TAB>caption` is expected" in refusal(source, form="flickr")
    source.write_bytes(b"image,caption\na.jpg,caf\xe9\n")
    assert "is no text in UTF-8" in refusal(source)


def test_of_several_files_the_user_has_to_name_one(tmp_path):
    for year in ("2014", "2017"):
        write(tmp_path / f"annotations/captions_train{year}.json", COCO)
    assert "several caption files" in refusal(tmp_path)
    assert len(read(tmp_path / "annotations/captions_train2014.json")) == 2


# Writing

FORMS = {
    "karpathy": "x.json",
    "coco": "x.json",
    "neuraltalk2": "x.json",
    "jsonl": "x.jsonl",
    "csv": "x.csv",
    "tsv": "x.tsv",
    "flickr": "x.token.txt",
}
# Whatever a file may be called but for what ends a line or a cell, and sentences with all that there is.
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\\\t\r\n\0\ufeff"), max_size=9).map(
    lambda text: f"a{text}.jpg"
)
CAPTIONS = st.text(st.one_of(st.sampled_from(" ,\"'\n\t|#1\u2028"), st.characters())).map(lambda text: f"x {text}")
IMAGES = st.lists(
    st.tuples(NAMES, st.lists(CAPTIONS, min_size=1, max_size=3), st.sampled_from(["train", "val", "test"])),
    min_size=1,
    max_size=4,
    unique_by=lambda each: each[0],
)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=60, deadline=None)
@given(found=IMAGES)
def test_what_is_written_is_read_again(tmp_path_factory, form, found):
    source = tmp_path_factory.mktemp("captions")
    records = [{"image": name, "captions": texts, "split": split} for name, texts, split in found]
    captions = read(write(source / "source.json", records))
    path = source / FORMS[form]
    write_captions(captions, path, None if form == "tsv" else form)
    again = read(path)
    assert again.form == ("csv" if form == "tsv" else form)
    assert rows(again) == rows(captions)
    assert rows(captions) == [
        (
            name,
            split,
            *(" ".join(text.encode("utf-8", "replace").decode().replace("\0", " ").split()) for text in texts),
        )
        for name, texts, split in found
    ]


def test_ids_are_kept_where_the_form_has_a_place_for_them(tmp_path):
    captions = read(write(tmp_path / "dataset.json", KARPATHY))
    for form, ids in (("karpathy", [391895, None]), ("coco", [391895, "x"]), ("neuraltalk2", [391895, None])):
        write_captions(captions, tmp_path / "x.json", form)
        assert [image.image_id for image in read(tmp_path / "x.json").images] == ids


def test_karpathys_json_has_all_that_his_programs_read(tmp_path):
    captions = read(write(tmp_path / "x.jsonl", {"image": "in/a.jpg", "captions": ["A cloud-wreathed hill.", "Two"]}))
    write_captions(captions, tmp_path / "y.json")
    assert json.loads((tmp_path / "y.json").read_text())["images"] == [
        {
            "filepath": "in",
            "filename": "a.jpg",
            "imgid": 0,
            "split": "train",
            "sentids": [0, 1],
            "sentences": [
                {
                    "tokens": ["a", "cloud", "wreathed", "hill"],
                    "raw": "A cloud-wreathed hill.",
                    "imgid": 0,
                    "sentid": 0,
                },
                {"tokens": ["two"], "raw": "Two", "imgid": 0, "sentid": 1},
            ],
        }
    ]


def test_a_split_that_has_no_picture_any_more_loses_its_old_list(tmp_path):
    captions = read(write(tmp_path / "s.csv", "image,caption,split\na.jpg,x,train\nb.jpg,y,val\n"))
    write_captions(captions, tmp_path / "x.token.txt")
    write_captions(captions.part("train"), tmp_path / "x.token.txt")
    assert rows(read(tmp_path / "x.token.txt")) == [("a.jpg", "train", "x")]


def test_what_cannot_be_written_is_told(tmp_path):
    def captions(name):
        return CaptionSet(tmp_path, tmp_path, (Captioned(name, ("x",), "train"),), "csv")

    with pytest.raises(InputError, match=r"captions are written as karpathy, .*; found the suffix '\.xml'"):
        write_captions(captions("a.jpg"), tmp_path / "x.xml")
    with pytest.raises(InputError, match="found the form 'folder'"):
        write_captions(captions("a.jpg"), tmp_path / "x.csv", "folder")
    with pytest.raises(InputError, match="a name with a line break or tab has no place in csv"):
        write_captions(captions("a\n.jpg"), tmp_path / "x.csv")
    with pytest.raises(InputError, match="has no place in flickr"):
        write_captions(captions("a.jpg.1"), tmp_path / "x.txt")
    for name in ("x.csv", "x.json", "x.jsonl"):
        with pytest.raises(InputError, match="is no Unicode"):
            write_captions(captions("caf\udce9.jpg"), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


# Results


def test_results_are_what_cocos_scorers_read(tmp_path):
    path = tmp_path / "results.json"
    write_results(path, [(404464, "black and white photo"), ("x", "a café")])
    assert json.loads(path.read_text(encoding="utf-8")) == [
        {"image_id": 404464, "caption": "black and white photo"},
        {"image_id": "x", "caption": "a café"},
    ]
    assert read_results(path) == {404464: "black and white photo", "x": "a café"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"a": 1}, "a result file is to be a list of objects"),
        ([{"caption": "x"}], "item 0: {'image_id', 'caption'} is expected; found {'caption': 'x'}"),
        ([{"image_id": 1}], "item 0: {'image_id', 'caption'} is expected"),
        ([{"image_id": 1, "caption": "x"}] * 2, "item 1: the picture 1 has two sentences"),
    ],
)
def test_what_is_wrong_with_results_is_told(tmp_path, data, message):
    with pytest.raises(InputError, match=message):
        read_results(write(tmp_path / "x.json", data))


def test_a_picture_cannot_be_given_two_sentences(tmp_path):
    with pytest.raises(InputError, match="item 1: the picture 1 has two sentences"):
        write_results(tmp_path / "x.json", [(1, "a"), (1, "b")])
    assert list(tmp_path.iterdir()) == []


# Real data


def test_real_data_sets_are_read_whole(shared):
    data: Path = shared / "data"
    for name, form, expected, captions in (
        ("captions_en", "jsonl", {"train": 4716, "val": 467, "test": 580}, 24_581),
        ("ucm_captions", "karpathy", {"train": 1680, "val": 210, "test": 210}, 10_500),
        ("coco_mini", "coco", {"train": 80, "val": 79}, 795),
    ):
        found = read_captions(data / name)
        assert (found.form, Counter(image.split for image in found.images)) == (form, expected)
        assert sum(len(image.captions) for image in found.images) == captions


def test_flickr8k_is_read_without_its_pictures(shared):
    source = shared / "data/flickr8k_text"
    found = read(source)
    assert Counter(image.split for image in found.images) == {"train": 6000, "val": 1000, "test": 1000}
    lines = (source / "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines()
    first = found.images[0]
    assert list(first.captions) == [line.split("\t")[1] for line in lines if line.startswith(first.name)]
