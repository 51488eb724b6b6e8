"""Pictures to train on and to judge by: where each is looked for, and what is refused."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from imgnn.data.labelled import class_weights, read_training
from imgnn.errors import InputError
from imgnn.runs import Silent


class Listener(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def paint(folder, name, count):
    """Pictures of a class, in a folder of its own; their paths, as a list in `folder` would have them."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("RGB", (2, 2)).save(folder / name / f"{number}.png")
    return [f"{name}/{number}.png" for number in range(count)]


def write_list(path, *classes):
    """A list with the paths of class 0, class 1..."""
    lines = [f"{file} {label}\n" for label, files in enumerate(classes) for file in files]
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def listed(tmp_path):
    """A list of ten cats and five dogs."""
    return write_list(tmp_path / "pets.txt", paint(tmp_path, "cat", 10), paint(tmp_path, "dog", 5))


def read(source, *, val=None, share=0.2, root=None, seed=0, reporter=None):
    return read_training(source, val=val, share=share, root=root, seed=seed, reporter=reporter or Silent())


def names(labelled):
    return [f"{file.parent.name}/{file.name}" for file in labelled.files]


# Where they come from


def test_a_list_tells_pictures_and_labels(listed):
    train, val = read(listed, share=0)
    assert val is None
    assert names(train)[9:11] == ["cat/9.png", "dog/0.png"]
    assert train.labels == (0,) * 10 + (1,) * 5
    assert train.classes == ("0", "1")


def test_class_words_beside_a_list_name_the_classes(listed):
    listed.with_name("pets_class_def.txt").write_text("0 cat\n1 dog\n2 owl\n", encoding="utf-8")
    reporter = Listener()
    assert read(listed, share=0, reporter=reporter)[0].classes == ("cat", "dog", "owl")
    assert reporter.notes == ["No picture is trained on of owl: the network will not know it"]


def test_class_folders_are_classes(tmp_path):
    for name in ("b", "A", "c"):
        paint(tmp_path, name, 2)
    train, _ = read(tmp_path, share=0)
    assert train.classes == ("A", "b", "c")
    assert names(train) == ["A/0.png", "A/1.png", "b/0.png", "b/1.png", "c/0.png", "c/1.png"]
    assert train.labels == (0, 0, 1, 1, 2, 2)


def test_the_folders_train_and_val_are_what_they_are_called(tmp_path):
    for part, count in (("Train", 3), ("validation", 1)):
        for name in ("cat", "dog"):
            paint(tmp_path / part, name, count)
    train, val = read(tmp_path)
    assert (len(train), len(val)) == (6, 2)
    assert train.classes == val.classes == ("cat", "dog")


def test_a_class_may_be_called_train(tmp_path):
    for name in ("plane", "train", "bus"):
        paint(tmp_path, name, 3)
    assert read(tmp_path, share=0)[0].classes == ("bus", "plane", "train")


def test_the_list_of_validation_is_found_beside_that_of_training(tmp_path):
    cats, dogs = paint(tmp_path, "cat", 4), paint(tmp_path, "dog", 4)
    source = write_list(tmp_path / "pets_train.txt", cats[:3], dogs[:3])
    write_list(tmp_path / "pets_val.txt", cats[3:], dogs[3:])
    train, val = read(source)
    assert (names(val), val.labels) == (["cat/3.png", "dog/3.png"], (0, 1))
    assert len(train) == 6


def test_what_the_user_names_comes_before_what_lies_beside(tmp_path):
    cats, dogs = paint(tmp_path, "cat", 5), paint(tmp_path, "dog", 5)
    source = write_list(tmp_path / "pets_train.txt", cats[:3], dogs[:3])
    write_list(tmp_path / "pets_val.txt", cats[3:4], dogs[3:4])
    other = write_list(tmp_path / "mine.txt", cats[4:], dogs[4:])
    assert names(read(source, val=other)[1]) == ["cat/4.png", "dog/4.png"]


def test_folders_judge_by_the_names_of_their_classes(tmp_path):
    for name in ("cat", "dog", "owl"):
        paint(tmp_path / "pets", name, 2)
    for name in ("dog", "owl"):
        paint(tmp_path / "others", name, 1)
    _, val = read(tmp_path / "pets", val=tmp_path / "others")
    assert val.labels == (1, 2)  # where dog is 0 of two classes
    paint(tmp_path / "others", "bee", 1)
    with pytest.raises(InputError, match=r"the class bee of .*others is none of .*pets's"):
        read(tmp_path / "pets", val=tmp_path / "others")


def test_the_paths_of_a_list_start_where_the_user_says(tmp_path):
    source = write_list(tmp_path / "pets.txt", paint(tmp_path / "far", "cat", 2), paint(tmp_path / "far", "dog", 2))
    with pytest.raises(InputError, match=r"none of the pictures of .* is there") as raised:
        read(source)
    assert raised.value.hint == "--root FOLDER"
    assert len(read(source, root=tmp_path / "far", share=0)[0]) == 4


# A part that is held out


def test_a_share_of_each_class_is_held_out(listed):
    reporter = Listener()
    train, val = read(listed, share=0.2, reporter=reporter)
    assert Counter(val.labels) == {0: 2, 1: 1}
    assert Counter(train.labels) == {0: 8, 1: 4}
    assert not set(train.files) & set(val.files)
    assert reporter.notes == ["3 of 15 pictures are kept for validation"]


def test_the_same_seed_holds_out_the_same_pictures_in_whatever_order_they_are_listed(listed):
    lines = listed.read_text(encoding="utf-8").splitlines(keepends=True)
    first = read(listed)[1]
    listed.write_text("".join(reversed(lines)), encoding="utf-8")
    again, other = read(listed)[1], read(listed, seed=1)[1]
    assert set(first.files) == set(again.files) != set(other.files)


def test_the_digest_tells_other_pictures_and_other_labels(listed, tmp_path):
    cats, dogs = (sorted(f"{name}/{n}.png" for n in range(count)) for name, count in (("cat", 10), ("dog", 5)))
    digests = [read(listed, share=0.2)[0].digest, read(listed, share=0.2)[0].digest]
    digests.append(read(listed, share=0.2, seed=3)[0].digest)
    digests.append(read(write_list(tmp_path / "pets.txt", dogs, cats), share=0.2)[0].digest)
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_a_picture_that_is_trained_on_and_judged_by_is_told(tmp_path):
    cats, dogs = paint(tmp_path, "cat", 4), paint(tmp_path, "dog", 4)
    source, reporter = write_list(tmp_path / "pets.txt", cats, dogs), Listener()
    read(source, val=write_list(tmp_path / "other.txt", cats[3:], dogs[2:]), reporter=reporter)
    assert reporter.notes == ["3 pictures are trained on and judged by: the validation will flatter"]


def test_two_pictures_cannot_be_held_out_of_two(tmp_path):
    source = write_list(tmp_path / "pets.txt", paint(tmp_path, "cat", 1), paint(tmp_path, "dog", 1))
    with pytest.raises(InputError, match="2 pictures cannot be split into 2 lists: val would have none"):
        read(source)


# What is refused


def test_one_class_is_none(tmp_path):
    source = write_list(tmp_path / "cats.txt", paint(tmp_path, "cat", 3))
    with pytest.raises(InputError, match="has one class only, 0: two or more"):
        read(source)


def test_pictures_without_class_folders_are_refused(tmp_path):
    paint(tmp_path, "", 3)
    with pytest.raises(InputError, match="lie in no class folders"):
        read(tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="no picture in the folder"):
        read(empty)


def test_a_label_without_a_name_is_refused(listed):
    listed.with_name("pets_class_def.txt").write_text("0 cat\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"the class words name 0 to 0; label 1 of dog/0\.png is none of them"):
        read(listed)


@pytest.mark.parametrize("label", ["-1", "two", "1.5", ""])
def test_a_label_that_is_no_number_is_refused_with_its_line(listed, label):
    listed.write_text(f"cat/0.png 0\ndog/0.png {label}\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 2"):
        read(listed)


def test_labels_that_do_not_count_from_0_are_refused(tmp_path):
    cats, dogs = paint(tmp_path, "cat", 3), paint(tmp_path, "dog", 3)
    source = write_list(tmp_path / "pets.txt", [], [], [], [], cats, dogs)
    with pytest.raises(InputError, match="labels go up to 5, but only 2 of them occur") as raised:
        read(source)
    assert raised.value.hint == "imgnn label makes a list from class folders"


def test_a_validation_list_need_not_have_every_class(tmp_path):
    classes = [paint(tmp_path, name, 2) for name in "abcdef"]
    source = write_list(tmp_path / "train.txt", *classes)
    _, val = read(source, val=write_list(tmp_path / "other.txt", [], [], [], [], [], classes[5]))
    assert val.labels == (5, 5)
    assert val.classes == ("0", "1", "2", "3", "4", "5")


def test_a_label_that_training_does_not_know_is_refused(listed, tmp_path):
    other = write_list(tmp_path / "other.txt", ["cat/0.png"], ["dog/0.png"], ["cat/1.png"])
    with pytest.raises(InputError, match=r"other\.txt has the label 2; .*pets\.txt has the classes 0 to 1"):
        read(listed, val=other)


@pytest.mark.parametrize("folders", [False, True])
def test_names_that_contradict_each_other_are_refused(listed, tmp_path, folders):
    source = listed
    listed.with_name("pets_class_def.txt").write_text("0 cat\n1 dog\n", encoding="utf-8")
    if folders:
        source = tmp_path / "folders"
        for name in ("cat", "dog"):
            paint(source, name, 2)
    other = write_list(tmp_path / "other.txt", ["dog/0.png"], ["cat/0.png"])
    (tmp_path / "other_class_def.txt").write_text("0 dog\n1 cat\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"class 0 is cat in .*, and dog in .*other\.txt"):
        read(source, val=other)


def test_more_names_than_training_has_classes_do_not_matter_unless_a_picture_has_one(tmp_path):
    cats, dogs = paint(tmp_path, "cat", 2), paint(tmp_path, "dog", 2)
    source = write_list(tmp_path / "train.txt", cats, dogs)
    other = write_list(tmp_path / "other.txt", cats, dogs)
    (tmp_path / "other_class_def.txt").write_text("0 cat\n1 dog\n2 owl\n", encoding="utf-8")
    assert read(source, val=other)[1].labels == (0, 0, 1, 1)


# Weights


def test_with_balance_every_class_weighs_the_same():
    labels = [0] * 8 + [1] * 2 + [3] * 2
    weights = class_weights(labels)
    totals = [weights[label] * labels.count(label) for label in (0, 1, 3)]
    np.testing.assert_allclose(totals, 4)  # 12 pictures of 3 classes that there are
    assert np.mean([weights[label] for label in labels]) == pytest.approx(1)
