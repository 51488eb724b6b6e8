"""A network that names the strongest colour, on pictures whose answers are counted by hand."""

import csv
import math

import keras
import numpy as np
import pytest

from imgnn.data.lists import Entry, write_list, write_words
from imgnn.errors import InputError, UnknownNameError
from imgnn.images.preprocessing import Preprocessing
from imgnn.jobs.classify import classify_images
from imgnn.jobs.evaluate import evaluate_classifier
from imgnn.networks.files import save_network
from imgnn.networks.network import Network
from imgnn.options import ClassifyOptions, EvaluateOptions
from imgnn.runs import Silent
from tests.training.made import COLOURS, make_run, paint, prob_of

RED, GREEN, BLUE = COLOURS.values()
# path, label, colour: of three red pictures one is green, of two green ones one is blue; the blue one is blue.
PICTURES = (
    ("a/1.png", 0, RED),
    ("a/2.png", 0, (200, 100, 0)),
    ("a/3.png", 0, GREEN),
    ("b/1.png", 1, GREEN),
    ("b/2.png", 1, (0, 120, 130)),
    ("c/1.png", 2, BLUE),
)


class Recorder(Silent):
    def __init__(self):
        self.notes, self.begun = [], []

    def note(self, message):
        self.notes.append(message)

    def begin(self, task, total, unit=""):
        self.begun.append((task, total, unit))


@pytest.fixture
def run(tmp_path):
    return str(make_run(tmp_path / "run"))


@pytest.fixture
def listed(tmp_path):
    """The list of the six pictures."""
    for name, _, colour in PICTURES:
        paint(tmp_path / name, colour)
    write_list(tmp_path / "val.txt", [Entry(name, label) for name, label, _ in PICTURES])
    return tmp_path / "val.txt"


def evaluate(source, run, **options):
    return evaluate_classifier([source], EvaluateOptions(run, **options))


@pytest.mark.parametrize("batch", [1, 4, 16])
def test_the_confusion_matrix_is_the_one_counted_by_hand(run, listed, batch):
    scores = evaluate(listed, run, batch=batch).scores
    assert scores.confusion.tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert scores.accuracy == pytest.approx(4 / 6)
    np.testing.assert_allclose(scores.recall, [2 / 3, 1 / 2, 1])
    np.testing.assert_allclose(scores.precision, [1, 1 / 2, 1 / 2])
    assert scores.most_confused(5) == [(0, 1, 1), (1, 2, 1)]


def test_the_loss_is_that_of_numpy(run, listed):
    wanted = [-math.log(prob_of(colour)[label]) for _, label, colour in PICTURES]
    result = evaluate(listed, run)
    np.testing.assert_allclose(result.scores.losses, wanted, rtol=1e-5)
    assert result.scores.loss == pytest.approx(np.mean(wanted), rel=1e-5)
    assert result.scores.classes == ("red", "green", "blue")


@pytest.mark.parametrize("oversample", [False, True])
def test_it_is_right_as_often_as_classify_is_line_by_line(run, tmp_path, random, oversample):
    from PIL import Image

    entries = []
    for number in range(40):
        Image.fromarray(random.integers(0, 256, (14, 12, 3), dtype="uint8")).save(tmp_path / f"{number}.png")
        entries.append(Entry(f"{number}.png", int(random.integers(3))))
    write_list(tmp_path / "noise.txt", entries)
    scores = evaluate(tmp_path / "noise.txt", run, oversample=oversample).scores
    seen = list(
        classify_images([tmp_path / each.path for each in entries], ClassifyOptions(run, oversample=oversample))
    )
    first = [each.predictions[0].class_index for each in seen]
    assert scores.accuracy == np.mean([found == entry.label for found, entry in zip(first, entries, strict=True)])
    assert scores.files == tuple(str(each.path) for each in seen)
    for row, each in zip(scores.prob, seen, strict=True):
        np.testing.assert_array_equal(row[[one.class_index for one in each.predictions]], [
            one.prob for one in each.predictions
        ])  # fmt: skip


@pytest.mark.parametrize(("top", "wanted"), [(1, 4 / 6), (2, 1.0), (3, None), (5, None)])
def test_top_k_looks_among_the_k_most_probable(run, listed, top, wanted):
    # The green picture that is said to be red: red and blue are equally improbable, and red comes first. The green one
    # that looks blue is nearly as green.
    assert evaluate(listed, run, top=top).top_accuracy == (None if wanted is None else pytest.approx(wanted))


def test_top_5_is_the_one_of_the_scores(tmp_path, listed):
    run = make_run(tmp_path / "seven", [*COLOURS, "c3", "c4", "c5", "c6"])
    result = evaluate(listed, str(run), top=5)
    assert result.top_accuracy == result.scores.top5 == 1.0


def test_class_folders_are_found_by_name(run, tmp_path):
    # In another order than the network's, at any depth, in other letters.
    for name, colour in (("Blue/1.png", BLUE), ("green/deep/1.png", GREEN), ("green/2.png", RED), ("red/1.png", RED)):
        paint(tmp_path / "photos" / name, colour)
    scores = evaluate(tmp_path / "photos", run).scores
    assert scores.confusion.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]


def test_lists_and_folders_are_put_together(run, listed, tmp_path):
    paint(tmp_path / "photos" / "blue" / "1.png", BLUE)
    result = evaluate_classifier([listed, tmp_path / "photos"], EvaluateOptions(run))
    assert result.scores.confusion.tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 2]]


def test_a_folder_that_is_no_class_is_told_with_the_near_one(run, tmp_path):
    paint(tmp_path / "photos" / "greens" / "1.png", GREEN)
    with pytest.raises(UnknownNameError, match=r"no class of .*run is called 'greens'; did you mean 'green'") as caught:
        evaluate(tmp_path / "photos", run)
    assert caught.value.hint == "a folder for one of: red, green, blue"


def test_pictures_in_no_class_folder_are_told(run, tmp_path):
    paint(tmp_path / "photos" / "1.png", GREEN)
    with pytest.raises(InputError, match=r"the pictures of .*photos lie in no class folders"):
        evaluate(tmp_path / "photos", run)
    paint(tmp_path / "photos" / "green" / "1.png", GREEN)
    with pytest.raises(InputError, match=r"pictures lie right in .*photos; a folder for each class is expected"):
        evaluate(tmp_path / "photos", run)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no picture in the folder .*empty"):
        evaluate(tmp_path / "empty", run)


def test_a_list_with_other_numbers_goes_by_name_and_that_is_said(run, listed):
    write_words(listed.with_name("val_class_def.txt"), {0: "green", 1: "blue", 2: "red"})
    reporter = Recorder()
    scores = evaluate_classifier([listed], EvaluateOptions(run), reporter).scores
    assert reporter.notes == [
        f"class 0 is green in {listed.with_name('val_class_def.txt')}, and red in {run}: classes are matched by name"
    ]
    # Rows move: what the list calls 0 is the network's 1.
    assert scores.confusion.tolist() == [[0, 0, 1], [2, 1, 0], [0, 1, 1]]


def test_names_that_agree_are_not_spoken_of(run, listed):
    write_words(listed.with_name("val_class_def.txt"), {0: "Red", 1: "green", 2: "blue"})
    reporter = Recorder()
    evaluate_classifier([listed], EvaluateOptions(run), reporter)
    assert reporter.notes == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({0: "red", 1: "yellow", 2: "blue"}, r"class 1 is yellow in .*val_class_def\.txt, and green in .*run"),
        ({0: "red", 1: "green", 2: "blue", 3: "grey"}, r"class 3 is grey in .*val_class_def\.txt, and .*run ends at 2"),
    ],
)
def test_a_name_that_the_network_lacks_is_told(run, listed, words, message):
    with listed.open("a") as file:
        file.write(f"a/1.png {max(words)}\n")
    write_words(listed.with_name("val_class_def.txt"), words)
    with pytest.raises(InputError, match=message) as caught:
        evaluate(listed, run)
    assert caught.value.hint == "no val_class_def.txt beside the list, if its numbers are right"


def test_a_label_that_the_network_lacks_is_told(run, listed):
    with listed.open("a") as file:
        file.write("b/1.png 3\nb/2.png 4\n")
    with pytest.raises(InputError, match=r"b/1\.png has the label 3; .*run has the classes 0 to 2"):
        evaluate(listed, run)


def test_bad_pictures_cost_only_themselves(run, listed, tmp_path):
    (tmp_path / "a" / "3.png").write_text("<html>gone</html>")
    (tmp_path / "b" / "2.png").unlink()
    result = evaluate(listed, run)
    assert result.scores.accuracy == 1.0
    assert result.scores.confusion.sum() == 4
    assert [(path.name, str(error).replace(str(tmp_path), "")) for path, error in result.skipped] == [
        ("3.png", "/a/3.png is not a picture: it is an HTML page"),
        ("2.png", "no such file: /b/2.png"),
    ]


def test_a_list_whose_pictures_are_elsewhere_is_told_before_the_network_wakes(listed, tmp_path, monkeypatch):
    monkeypatch.setattr("imgnn.jobs.evaluate.load_network", lambda *_, **__: pytest.fail("the network was loaded"))
    moved = tmp_path / "moved" / "val.txt"
    moved.parent.mkdir()
    listed.rename(moved)
    with pytest.raises(InputError, match=r"none of the pictures of .*val\.txt is there") as caught:
        evaluate(moved, "random")
    assert caught.value.hint == "--root FOLDER"
    with pytest.raises(InputError, match=r"no such file: .*no\.txt"):
        evaluate(tmp_path / "no.txt", "random")


def test_the_root_may_be_given(run, listed, tmp_path):
    (tmp_path / "moved").mkdir()
    moved = listed.rename(tmp_path / "moved" / "val.txt")
    assert evaluate(moved, run, root=tmp_path).scores.accuracy == pytest.approx(4 / 6)


def test_if_no_picture_can_be_read_there_are_no_numbers(run, listed, tmp_path):
    for name, _, _ in PICTURES:
        (tmp_path / name).write_text("<html>gone</html>")
    with pytest.raises(InputError, match=r"none of 6 pictures could be read; the first: .*a/1\.png is not a picture"):
        evaluate(listed, run)


def test_the_table_has_a_row_for_each_picture(run, listed, tmp_path):
    evaluate_classifier([listed], EvaluateOptions(run), output=tmp_path / "predictions.csv")
    with (tmp_path / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["label"], row["predicted"]) for row in rows] == [
        ("red", "red"), ("red", "red"), ("red", "green"), ("green", "green"), ("green", "blue"), ("blue", "blue"),
    ]  # fmt: skip
    assert [row["path"] for row in rows] == [str(tmp_path / name) for name, _, _ in PICTURES]
    np.testing.assert_allclose(
        [float(row["prob"]) for row in rows], [prob_of(colour)[label] for _, label, colour in PICTURES], rtol=1e-4
    )


def test_a_table_takes_the_place_of_no_list_and_wants_a_folder(run, listed, tmp_path):
    before = listed.read_bytes()
    with pytest.raises(InputError, match="would be replaced"):
        evaluate_classifier([listed], EvaluateOptions(run), output=listed)
    assert listed.read_bytes() == before
    with pytest.raises(InputError, match="there is no folder"):
        evaluate_classifier([listed], EvaluateOptions(run), output=tmp_path / "nowhere" / "x.csv")


def test_a_network_without_words_counts_its_classes(tmp_path, listed):
    data = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(data))
    model = keras.Model(data, keras.layers.Softmax()(x))
    path = tmp_path / "colours.keras"
    save_network(Network("colours", model, Preprocessing((8, 8), (0.0,) * 3, "RGB", resize=10), {}, {}), path)
    write_words(listed.with_name("val_class_def.txt"), {0: "rot", 1: "grün", 2: "blau"})  # nothing to compare with
    result = evaluate(listed, str(path))
    assert result.scores.confusion.tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert result.names == ("0", "1", "2")
    paint(tmp_path / "photos" / "2" / "1.png", BLUE)
    assert evaluate(tmp_path / "photos", str(path)).scores.accuracy == 1.0


def test_a_run_that_was_trained_on_numbers_is_compared_by_number(tmp_path, listed):
    run = make_run(tmp_path / "run", ("0", "1", "2"))
    write_words(listed.with_name("val_class_def.txt"), {0: "rot", 1: "grün", 2: "blau"})
    assert evaluate(listed, str(run)).scores.accuracy == pytest.approx(4 / 6)


def test_a_folder_with_the_name_of_two_classes_is_told(tmp_path):
    run = make_run(tmp_path / "run", ("n00000001 crane", "n00000002 crane", "n00000003 tabby"))
    paint(tmp_path / "photos" / "crane" / "1.png", BLUE)
    with pytest.raises(InputError, match=r"2 classes of .*run are called so: n00000001 crane and n00000002 crane"):
        evaluate(tmp_path / "photos", str(run))
    (tmp_path / "photos" / "crane").rename(tmp_path / "photos" / "n00000002")
    result = evaluate(tmp_path / "photos", str(run))
    assert result.scores.confusion[1, 2] == 1
    assert result.names == ("crane", "crane", "tabby")


def test_progress_counts_pictures(run, listed):
    reporter = Recorder()
    evaluate_classifier([listed], EvaluateOptions(run, batch=2), reporter)
    assert reporter.begun[-1] == ("evaluating", 6, "pictures")
