import numpy as np
import pytest
from PIL import Image

from imgnn.data import moments
from imgnn.data.lists import Entry
from imgnn.data.moments import (
    Measured,
    Moments,
    View,
    block_sums,
    load_measured,
    measure,
    save_measured,
    shrink_for,
)
from imgnn.errors import InputError

VIEW = View((6, 8), "caffe")


@pytest.fixture
def entries(tmp_path, random):
    """Five pictures of noise, in the size that is wanted, of the classes 0, 0, 1, 1, 1."""
    for number in range(5):
        Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype="uint8")).save(tmp_path / f"{number}.png")
    return [Entry(f"{number}.png", int(number > 1)) for number in range(5)]


def pixels(folder, entries):
    return np.stack([np.asarray(Image.open(folder / entry.path)) for entry in entries]).astype("float64")


def test_mean_and_deviation_are_numpy_s(tmp_path, entries):
    found = measure(entries, str(tmp_path), VIEW).moments
    wanted = pixels(tmp_path, entries)
    np.testing.assert_array_equal(found.mean(), wanted.mean(axis=0))
    mean, deviation = found.channels()
    np.testing.assert_allclose(mean, wanted.mean(axis=(0, 1, 2)), rtol=1e-14)
    np.testing.assert_allclose(deviation, wanted.std(axis=(0, 1, 2)), rtol=1e-14)
    np.testing.assert_array_equal(found.class_mean(1), wanted[2:].mean(axis=0))


def test_sums_are_the_same_in_any_order(tmp_path, entries):
    whole = measure(entries, str(tmp_path), VIEW).moments
    added = Moments.none(VIEW)
    for entry in (entries[3], entries[0], entries[4], entries[2], entries[1]):
        added.add(measure([entry], str(tmp_path), VIEW).moments)
    np.testing.assert_array_equal(added.pixels, whole.pixels)
    np.testing.assert_array_equal(added.squares, whole.squares)
    assert added.channels() == whole.channels()
    for label in (0, 1):
        np.testing.assert_array_equal(added.classes[label].pixels, whole.classes[label].pixels)
        np.testing.assert_array_equal(added.classes[label].squares, whole.classes[label].squares)


def test_what_cannot_be_read_is_a_problem_and_not_the_end(tmp_path, entries):
    (tmp_path / "1.png").write_text("<html>gone</html>")
    (tmp_path / "2.png").write_bytes((tmp_path / "2.png").read_bytes()[:60])
    found = measure([*entries, Entry("no.png", 0)], str(tmp_path), VIEW)
    assert found.problems[1] == ("not_image", "1.png is not a picture: it is an HTML page")
    assert found.problems[2][0] == "truncated"
    assert found.problems[5] == ("missing", "no such file: no.png")
    assert found.moments.count == 3
    np.testing.assert_array_equal(found.moments.mean(), pixels(tmp_path, [entries[i] for i in (0, 3, 4)]).mean(axis=0))
    assert list(found.bytes[[1, 5]]) == [17, -1]


def test_a_million_white_pictures_do_not_overflow():
    whole = Moments.none(View((2, 2), "caffe"))
    whole.pixels[:] = 255 * 10**6 * 5000
    whole.squares[:] = 255**2 * 4 * 10**6 * 5000
    assert moments.channel_moments(whole.pixels, whole.squares, 4 * 10**6 * 5000) == ((255.0,) * 3, (0.0,) * 3)


def test_many_classes_are_kept_smaller():
    assert [shrink_for((256, 256), classes) for classes in (1, 80, 102, 1000, 20_000)] == [1, 1, 2, 4, 16]
    # What is left at the end makes a smaller block, and counts as one.
    array = np.arange(15, dtype="uint64").reshape(3, 5, 1)
    np.testing.assert_array_equal(block_sums(array, 2)[..., 0], [[12, 20, 13], [21, 25, 14]])


def test_a_small_class_mean_is_the_mean_of_its_blocks(tmp_path, entries):
    found = measure(entries, str(tmp_path), View((6, 8), "caffe", shrink=4)).moments
    wanted = pixels(tmp_path, entries[:2]).mean(axis=0)
    np.testing.assert_allclose(found.class_mean(0)[0, 1], wanted[:4, 4:].mean(axis=(0, 1)))
    np.testing.assert_allclose(found.class_mean(0)[1, 1], wanted[4:, 4:].mean(axis=(0, 1)))


def test_sums_come_back_from_a_file(tmp_path, entries):
    entries.append(Entry("no.png", 0))
    found = measure(entries, str(tmp_path), VIEW)
    save_measured(tmp_path / "part.npz", {"what": "grüße"}, found)
    head, back = load_measured(tmp_path / "part.npz")
    assert head["what"] == "grüße"
    assert back.problems == found.problems
    whole = Measured.nothing(VIEW, 6)
    whole.put(range(6), back)
    assert whole.moments.channels() == found.moments.channels()
    np.testing.assert_array_equal(whole.hashes, found.hashes)
    np.testing.assert_array_equal(whole.thumbs, found.thumbs)


@pytest.mark.parametrize("damage", ["text", "cut", "other", "pickle", "shape"])
def test_a_file_of_something_else_is_one_line(tmp_path, entries, damage):
    path = tmp_path / "part.npz"
    save_measured(path, {}, measure(entries, str(tmp_path), VIEW))
    arrays = dict(np.load(path))
    if damage == "text":
        path.write_text("hello")
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-3000])
    if damage == "other":
        np.savez(path, a=np.zeros(3))
    if damage == "pickle":
        np.savez(path, **{**arrays, "labels": np.array([{}, {}])})
    if damage == "shape":
        np.savez(path, **{**arrays, "pixels": arrays["pixels"][:2]})
    with pytest.raises(InputError, match="is no part of a mean, or damaged") as caught:
        load_measured(path)
    assert "\n" not in str(caught.value)


def test_a_missing_part_is_told(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_measured(tmp_path / "part.npz")
