import threading

import keras
import numpy as np
import pytest
from PIL import Image

from imgnn.errors import InputError, UnknownNameError
from imgnn.images.preprocessing import Preprocessing
from imgnn.jobs import classify as job
from imgnn.jobs.classify import classify_images
from imgnn.networks.files import save_network
from imgnn.networks.network import Network
from imgnn.options import ClassifyOptions
from imgnn.runs import Silent

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.fixture
def network(tmp_path_factory):
    """A file with a network that says whether a picture is red, green or blue."""
    colour = [keras.layers.GlobalAveragePooling2D(), keras.layers.Rescaling(1 / 255)]
    model = keras.Sequential([keras.Input((8, 8, 3)), *colour, keras.layers.Activation("sigmoid")])
    model = keras.Model(model.inputs, model.outputs)
    preprocessing = Preprocessing((8, 8), mean=(0.0,) * 3, channel_order="RGB", resize=10)
    path = tmp_path_factory.mktemp("networks") / "colours.keras"
    save_network(Network("colours", model, preprocessing, {}, {}, words=("red", "green", "blue")), path)
    return str(path)


@pytest.fixture
def photos(tmp_path):
    """Twelve pictures: red, green, blue, red, ..."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(12):
        Image.new("RGB", (20 + number, 30), COLOURS[number % 3]).save(folder / f"{number}.png")
    return folder


class Recorder(Silent):
    def __init__(self):
        self.notes, self.begun, self.done = [], [], []

    def begin(self, task, total, unit=""):
        self.begun.append((task, total, unit))

    def advance(self, done, **facts):
        self.done.append(done)


def words(results):
    return [each.predictions[0].words if each.predictions else None for each in results]


@pytest.mark.parametrize("batch", [1, 5, 16])
@pytest.mark.parametrize("oversample", [False, True])
def test_a_folder_is_classified_in_its_order(network, photos, batch, oversample):
    options = ClassifyOptions(network, top=2, batch=batch, oversample=oversample)
    results = list(classify_images([photos], options))
    assert [each.path.name for each in results] == [f"{number}.png" for number in range(12)]
    assert words(results) == ["red", "green", "blue"] * 4
    assert {len(each.predictions) for each in results} == {2}
    assert results[0].predictions[0].prob == pytest.approx(sigmoid(1.0))


def test_a_bad_file_costs_only_itself(network, photos, tmp_path):
    page = tmp_path / "page.jpg"
    page.write_text("<html>gone</html>")
    paths = [photos / "0.png", page, photos / "1.png", tmp_path / "missing.png"]
    results = list(classify_images(paths, ClassifyOptions(network, batch=2)))
    assert words(results) == ["red", None, "green", None]
    assert [str(each.error) for each in results if each.error] == [
        f"{page} is not a picture: it is an HTML page",
        f"no such file: {tmp_path / 'missing.png'}",
    ]


def test_the_only_picture_raises_its_own_error(network, tmp_path):
    (tmp_path / "page.jpg").write_text("<html>gone</html>")
    with pytest.raises(InputError, match="it is an HTML page"):
        list(classify_images([tmp_path / "page.jpg"], ClassifyOptions(network)))


def test_no_network_is_woken_for_files_that_are_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(job, "load_network", lambda *_, **__: pytest.fail("the network was loaded"))
    with pytest.raises(InputError, match=r"no such file: .*a\.jpg"):
        classify_images([tmp_path / "a.jpg", tmp_path / "b.jpg"])
    with pytest.raises(InputError, match="no picture was named"):
        classify_images([])


def test_results_come_before_all_files_were_read(network, photos, monkeypatch):
    read = []
    load = job.load_image
    monkeypatch.setattr(job, "load_image", lambda path: read.append(path.name) or load(path))
    results = classify_images([photos], ClassifyOptions(network, batch=2))
    assert next(results).path.name == "0.png"
    assert len(read) <= 2 + 2 * 2 + 1  # the batch, and what may be in front
    results.close()
    assert threading.active_count() < 20


def test_progress_counts_pictures(network, photos):
    reporter = Recorder()
    list(classify_images([photos], ClassifyOptions(network, batch=5), reporter))
    assert reporter.begun[-1] == ("classifying", 12, "pictures")
    assert reporter.done[-12:] == list(range(1, 13))


def test_an_unknown_network_is_told(photos):
    with pytest.raises(UnknownNameError, match="squeezenet"):
        classify_images([photos], ClassifyOptions("squeezenett"))


def test_ten_crops_are_averaged_as_numpy_averages_them(network, tmp_path, random):
    noise = random.integers(0, 256, (10, 10, 3), dtype="uint8")
    Image.fromarray(noise).save(tmp_path / "noise.png")
    [result] = classify_images([tmp_path / "noise.png"], ClassifyOptions(network, oversample=True))
    corners = [(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)]
    # The mean colour of a view is that of its mirror image.
    wanted = np.mean([sigmoid(noise[y : y + 8, x : x + 8].mean(axis=(0, 1)) / 255) for y, x in corners], axis=0)
    found = {each.class_index: each.prob for each in result.predictions}
    np.testing.assert_allclose([found[index] for index in range(3)], wanted, atol=1e-5)


def test_the_cat_by_a_caffemodel(shared):
    options = ClassifyOptions(str(shared / "weights" / "squeezenet_v1.1.caffemodel"), top=3)
    [result] = classify_images([shared / "photos" / "cat.jpg"], options)
    found = [(each.wnid, each.words.partition(",")[0]) for each in result.predictions]
    assert found == [("n02123045", "tabby"), ("n02123159", "tiger cat"), ("n02119789", "kit fox")]
    # OpenCV 4.14's Caffe importer on the same crop.
    np.testing.assert_allclose([each.prob for each in result.predictions], [0.418, 0.318, 0.109], atol=0.002)
