import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from imgnn.errors import InputError
from imgnn.training.report import ReportPicture, report_picture, write_report
from imgnn.training.scores import Scores

CONFIG = {
    "imgnn": "0.1.0",
    "command": "imgnn finetune 'flowers & more/train.txt' --network googlenet",
    "network": "googlenet",
    "recipe": "head",
    "classes": ["daisy", "<b>rose</b>", "tulip"],
    "options": {"epochs": 2, "layers": ["pool5", "fc7"], "dropout": None},
    "train": {"list": "train.txt", "pictures": 1300, "sha256": "ab12"},
    "val": {"list": "val.txt", "pictures": 6, "sha256": "cd34"},
    "machine": "a machine",
    "precision": "float32",
}
ROWS = [
    {"kind": "step", "step": 1, "epoch": 1, "stage": "head", "loss": 2.0, "learning_rate": 0.1},
    {"kind": "epoch", "step": 9, "epoch": 1, "stage": "head", "loss": 1.5, "accuracy": 0.5, "seconds": 60.0}
    | {"val_loss": 1.25, "val_accuracy": 0.875, "learning_rate": 0.1},
    {"kind": "epoch", "step": 18, "epoch": 2, "stage": "head", "loss": 1.0, "accuracy": 0.75, "seconds": 65.0}
    | {"val_loss": 1.5, "val_accuracy": 0.75, "learning_rate": 0.1},
]
VOID = {"meta", "img", "source", "br"}


class Page(HTMLParser):
    """A page as a browser takes it: its words, its tables, and every address on it."""

    def __init__(self, path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.open, self.tags, self.words, self.links, self.tables = [], [], [], [], []
        self.feed(self.source)
        assert self.open == [], "a tag was not closed"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "srcset", "href")]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def scores():
    prob = np.array([[8, 1, 1], [1, 8, 1], [1, 7, 2], [1, 6, 3], [0, 1, 9], [5, 3, 2]], "float32") / 10
    files = tuple(f"{name}.jpg" for name in "abcdef")
    return Scores(files, np.array([0, 1, 2, 2, 2, 1]), prob, tuple(CONFIG["classes"]))


@pytest.fixture
def pictures(scores):
    rows, columns = np.mgrid[0:300, 0:480]
    image = np.stack([rows / 2, columns / 2, rows * 0], axis=-1).astype("uint8")
    return [report_picture(scores, index, image, np.eye(7)) for index in scores.top_losses(2)]


def test_a_page_needs_nothing_but_itself(tmp_path, scores, pictures):
    write_report(tmp_path / "report.html", CONFIG, ROWS, scores, pictures)
    page = Page(tmp_path / "report.html")
    assert "script" not in page.tags
    assert all(link.startswith("data:image/") for link in page.links)
    assert "url(" not in page.source
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_the_headline_tells_the_best_epoch(tmp_path, scores):
    write_report(tmp_path / "report.html", CONFIG, ROWS, scores, [])
    text = Page(tmp_path / "report.html").text
    for words in ("googlenet recipe head", "87.5 % val accuracy best, at epoch 1 of 2", "1.250 val loss", "3 classes"):
        assert words in text
    assert "1,300 pictures 6 more for validation" in text
    assert "2 min 5 s training a machine" in text


def test_the_confusion_matrix_has_true_classes_in_its_rows(tmp_path, scores):
    write_report(tmp_path / "report.html", CONFIG, [], scores, [])
    page = Page(tmp_path / "report.html")
    assert page.tables[0] == [
        ["true \\ predicted", "daisy", "<b>rose</b>", "tulip"],
        ["daisy", "1", "", ""],
        ["<b>rose</b>", "1", "1", ""],
        ["tulip", "", "2", "1"],
    ]
    assert page.tables[1] == [["tulip taken for <b>rose</b>", "2 of 3"], ["<b>rose</b> taken for daisy", "1 of 2"]]
    assert "3 of 6 val pictures were taken for another class." in page.text


def test_the_worst_class_comes_first(tmp_path, scores):
    write_report(tmp_path / "report.html", CONFIG, [], scores, [])
    rows = Page(tmp_path / "report.html").tables[2][1:]
    assert [[cell.replace("\xa0", " ") for cell in row] for row in rows] == [
        ["tulip", "33.3 % of 3", "100.0 % of 1"],
        ["<b>rose</b>", "50.0 % of 2", "33.3 % of 3"],
        ["daisy", "100.0 % of 1", "50.0 % of 2"],
    ]


def test_a_class_without_pictures_is_told_and_comes_last(tmp_path, scores):
    none = Scores(scores.files[:1], scores.labels[:1], scores.prob[:1], scores.classes)
    write_report(tmp_path / "report.html", CONFIG, [], none, [])
    page = Page(tmp_path / "report.html")
    assert page.tables[1][-1] == ["tulip", "no pictures", "no pictures"]
    assert "All 1 val pictures were found." in page.text


def test_a_picture_stands_beside_what_spoke_for_its_class(tmp_path, scores, pictures):
    write_report(tmp_path / "report.html", CONFIG, [], scores, pictures)
    page = Page(tmp_path / "report.html")
    jpegs = [base64.b64decode(link.split(",")[1]) for link in page.links if link.startswith("data:image/jpeg")]
    images = [np.asarray(Image.open(io.BytesIO(data))).astype(int) for data in jpegs]
    assert [image.shape for image in images] == [(150, 240, 3)] * 4
    for image, own in zip(images[:2], (pictures[0].thumbnail, pictures[0].overlay), strict=True):
        assert np.abs(image - own).mean() < 5
    assert "tulip 20.0 %, taken for <b>rose</b> 70.0 % c.jpg" in page.text
    assert "Grad-CAM" in page.text


def test_a_picture_without_heat_stands_alone(tmp_path, scores):
    picture = report_picture(scores, 0, np.zeros((40, 20, 3), "uint8"), None)
    assert (picture.label, picture.predicted, picture.prob) == ("daisy", "daisy", pytest.approx(0.8))
    write_report(tmp_path / "report.html", CONFIG, [], scores, [picture])
    page = Page(tmp_path / "report.html")
    assert sum(link.startswith("data:image/jpeg") for link in page.links) == 1
    assert "Grad-CAM" not in page.text


def test_names_cannot_break_out_of_the_page(tmp_path):
    evil = '"><script>alert(1)</script>'
    scores = Scores((evil, "b"), np.array([1, 0]), np.array([[0.9, 0.1], [0.8, 0.2]], "float32"), (evil, f"{evil}2"))
    config = dict.fromkeys(("command", "network", "recipe", "machine", "precision", "imgnn"), evil)
    config |= {"classes": scores.classes, "options": {evil: evil}, "train": {"list": evil, "pictures": 2}}
    picture = ReportPicture(*[np.zeros((4, 4, 3), "uint8")] * 2, evil, evil, "other", 0.1, 0.9)
    rows = [{**row, "stage": evil if row["epoch"] > 1 else "head"} for row in ROWS]
    write_report(tmp_path / "report.html", config, rows, scores, [picture], skipped=[(evil, evil)])
    page = Page(tmp_path / "report.html")
    assert "script" not in page.tags
    assert page.text.count("alert(1)") > 10


@pytest.mark.parametrize("count", [24, 25, 102, 1000])
def test_many_classes_are_shown_where_most_mistakes_are(tmp_path, count):
    labels = np.repeat(np.arange(count), 3)
    prob = np.full((len(labels), count), 0.5 / count, "float32")
    prob[np.arange(len(labels)), labels] += 0.5
    prob[labels == 20, 7] = 0.9  # all of class 20 are taken for class 7
    names = tuple(f"class{index:04d}" for index in range(count))
    scores = Scores(tuple(f"{index}.jpg" for index in range(len(labels))), labels, prob, names)
    write_report(tmp_path / "report.html", {**CONFIG, "classes": names}, [], scores, [])
    page = Page(tmp_path / "report.html")
    assert len(page.tables[0]) == 25
    assert {"class0007", "class0020"} <= set(page.tables[0][0])
    row = next(row for row in page.tables[0] if row[0] == "class0020")
    assert row[page.tables[0][0].index("class0007")] == "3"
    pngs = [link for link in page.links if link.startswith("data:image/png")]
    assert len(pngs) == (count > 24), "the whole of a matrix that does not fit is a picture"
    if pngs:
        dots = np.asarray(Image.open(io.BytesIO(base64.b64decode(pngs[0].split(",")[1]))))
        side = len(dots)
        assert 400 < side <= 500
        red = np.argwhere((dots[..., 0] > dots[..., 2]) & (dots[..., 3] > 0))
        middle = (red.mean(axis=0) + 0.5) / side * count
        np.testing.assert_allclose(middle, (20.5, 7.5), atol=1)
    assert len(list(tmp_path.iterdir())) == 1
    assert (tmp_path / "report.html").stat().st_size < 3e6


def test_what_was_skipped_and_how_it_was_made_stand_at_the_end(tmp_path):
    skipped = [(f"{number}.jpg", "truncated") for number in range(40)]
    write_report(tmp_path / "report.html", CONFIG, [], None, [], skipped=skipped)
    page = Page(tmp_path / "report.html")
    assert "Skipped pictures (40)" in page.text
    assert "The other 10" in page.text
    assert "imgnn finetune 'flowers & more/train.txt' --network googlenet" in page.text
    assert ["layers", '["pool5", "fc7"]'] in page.tables[-1]
    assert "null" not in str(page.tables[-1])  # what nobody said is told by the stages
    assert "Confusion" not in page.text


def test_a_run_of_which_little_is_known_has_a_page(tmp_path):
    write_report(tmp_path / "report.html", {}, [], None, [])
    write_report(
        tmp_path / "report.html", {**CONFIG, "val": None}, [{"kind": "epoch", "epoch": 1, "step": 1}], None, []
    )
    assert "nothing validated" in Page(tmp_path / "report.html").text


def test_a_file_name_that_is_no_utf8_does_not_hinder(tmp_path):
    write_report(tmp_path / "report.html", CONFIG, [], None, [], skipped=[("caf\udce9.jpg", "damaged")])
    assert "caf?.jpg" in Page(tmp_path / "report.html").text


def test_it_is_light_or_dark_and_wide_or_narrow(tmp_path):
    write_report(tmp_path / "report.html", CONFIG, ROWS, None, [])
    page = Page(tmp_path / "report.html")
    sizes = [Image.open(io.BytesIO(base64.b64decode(link.split(",")[1]))).size for link in page.links]
    assert sizes == [(528, 888), (528, 888), (960, 1032), (960, 1032)]
    assert re.search(r'name="viewport" content="width=device-width', page.source)
    assert page.source.count("prefers-color-scheme: dark") == 3  # two of the curves, one of the style


def test_a_missing_folder_is_told_in_one_line(tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        write_report(tmp_path / "missing" / "report.html", CONFIG, [], None, [])
