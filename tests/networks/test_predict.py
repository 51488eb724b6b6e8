from dataclasses import replace

import keras
import numpy as np
import pytest

from imgnn.caffe.graph import build_graph
from imgnn.caffe.net import read_net
from imgnn.errors import InputError
from imgnn.images.files import load_image
from imgnn.images.preprocess import classifier_crops, preprocess
from imgnn.images.preprocessing import Preprocessing
from imgnn.networks.network import Network
from imgnn.networks.predict import ClassNames, compute_prob, top_classes
from imgnn.networks.registry import class_words

RAW = Preprocessing((4, 4), mean=(0.0,) * 3, channel_order="RGB")


def mean_colour(*layers: keras.layers.Layer, size=(4, 4), preprocessing=RAW) -> Network:
    """A network whose three classes are how red, green and blue a picture is, and what `layers` make of it."""
    model = keras.Sequential([keras.Input((*size, 3)), keras.layers.GlobalAveragePooling2D(), *layers])
    return Network("colours", model, preprocessing, {}, {})


@keras.saving.register_keras_serializable(package="tests")
def logarithm(x):
    return keras.ops.log(x + 1e-9)


@pytest.fixture
def to_share():
    """The softmax of logarithms is each one's share."""
    return [keras.layers.Activation(logarithm), keras.layers.Softmax()]


def picture(*colour) -> np.ndarray:
    return np.full((1, 4, 4, 3), colour, "uint8")


def test_the_most_probable_class_comes_first(to_share):
    [prob] = compute_prob(mean_colour(*to_share), picture(51, 204, 0))
    first, second = top_classes(prob, None, 2)
    assert (first.class_index, second.class_index) == (1, 0)
    assert (first.prob, second.prob) == pytest.approx((0.8, 0.2), abs=1e-6)


def test_no_more_classes_than_there_are():
    assert [each.class_index for each in top_classes(np.array([0.1, 0.3, 0.6]), None, 10)] == [2, 1, 0]


def test_equal_classes_keep_their_order():
    assert [each.class_index for each in top_classes(np.array([0.25, 0.5, 0.25]), None, 3)] == [1, 0, 2]


def test_x_is_taken_as_it_is(to_share):
    x = np.full((1, 4, 4, 3), [0.1, 0.2, 0.7], "float32")
    np.testing.assert_allclose(compute_prob(mean_colour(*to_share), x), [[0.1, 0.2, 0.7]], atol=1e-6)


def test_logits_get_their_softmax():
    x = np.full((1, 4, 4, 3), np.log([0.2, 0.3, 0.5]), "float32")
    np.testing.assert_allclose(compute_prob(mean_colour(), x), [[0.2, 0.3, 0.5]], atol=1e-6)


def test_logits_that_look_like_probabilities_get_their_softmax_alone_and_in_company():
    small, large = (np.full((1, 4, 4, 3), each, "float32") for each in ([0.2, 0.9, 0.1], [3.0, -1.0, 0.0]))
    alone, together = (compute_prob(mean_colour(), x) for x in (small, np.concatenate([small, large])))
    np.testing.assert_allclose(alone[0], np.exp([0.2, 0.9, 0.1]) / np.exp([0.2, 0.9, 0.1]).sum(), atol=1e-6)
    np.testing.assert_allclose(together[0], alone[0], atol=1e-6)


def test_the_mean_image_is_taken_away_from_a_classifiers_picture():
    ramp = np.arange(3 * 6 * 6, dtype="float32").reshape(3, 6, 6)
    network = replace(mean_colour(), mean_image=ramp)
    received = np.log(compute_prob(network, picture(9, 9, 9))[0])
    expected = 9 - ramp[:, 1:5, 1:5].mean(axis=(1, 2))  # the middle, as Caffe cuts it when it tests
    np.testing.assert_allclose(received - received[0], expected - expected[0], atol=1e-4)


def test_views_of_one_picture_are_averaged(to_share):
    views = np.concatenate([picture(255, 0, 0), picture(0, 255, 0), picture(0, 0, 255), picture(0, 0, 255)])
    both = compute_prob(mean_colour(*to_share), views, views=2)
    np.testing.assert_allclose(both, [[0.5, 0.5, 0], [0, 0, 1]], atol=1e-6)
    with pytest.raises(InputError, match="4 pictures are not a multiple of 3 views"):
        compute_prob(mean_colour(*to_share), views, views=3)


def test_batches_change_nothing(to_share, random):
    network = mean_colour(*to_share)
    pictures = random.integers(0, 256, (7, 4, 4, 3), dtype="uint8")
    whole = compute_prob(network, pictures, batch=7)
    assert whole.shape == (7, 3)
    np.testing.assert_allclose(compute_prob(network, pictures, batch=3), whole, atol=1e-6)


def test_a_map_of_one_pixel_is_a_row_of_scores(to_share):
    network = mean_colour(*to_share, keras.layers.Reshape((1, 1, 3)))
    assert compute_prob(network, picture(0, 255, 0))[0] == pytest.approx([0, 1, 0], abs=1e-6)


@pytest.mark.parametrize(
    ("words", "wnid", "said"),
    [
        (None, None, None),
        (("red", "green", "blue"), None, "green"),
        (("n00000000 r", "n02123045 tabby, tabby cat", "n00000000 b"), "n02123045", "tabby, tabby cat"),
        (tuple(map(str, class_words("imagenet")[:3])), "n01443537", "goldfish, Carassius auratus"),
        (("only one",), None, None),
    ],
)
def test_a_class_has_the_words_that_are_known(words, wnid, said):
    [best] = top_classes(np.array([0.0, 1.0, 0.0]), words, 1)
    assert (best.wnid, best.words) == (wnid, said)


def test_what_is_no_classifier_is_told():
    image = keras.Input((4, 4, 3))
    maps = Network("maps", keras.Model(image, keras.layers.ReLU(name="relu")(image)), RAW, {}, {})
    with pytest.raises(
        InputError, match="maps is no classifier: expected one row of scores for a picture, found 4 x 4 x 3 values"
    ):
        compute_prob(maps, picture(0, 0, 0))
    row = keras.layers.GlobalAveragePooling2D()(image)
    heads = Network("heads", keras.Model(image, [row, keras.layers.ReLU()(row)]), RAW, {}, {})
    with pytest.raises(InputError, match="found 3 and 3 values"):
        compute_prob(heads, picture(0, 0, 0))


def test_a_picture_of_another_size_is_told(to_share):
    with pytest.raises(InputError, match=r"wants pictures of the form \(None, 4, 4, 3\); \(1, 5, 4, 3\) was received"):
        compute_prob(mean_colour(*to_share), np.zeros((1, 5, 4, 3), "uint8"))


def test_a_network_without_preprocessing_wants_x(to_share):
    network = mean_colour(*to_share, preprocessing=None)
    with pytest.raises(InputError, match="does not say how a picture becomes its input"):
        compute_prob(network, picture(0, 0, 0))
    assert compute_prob(network, picture(0, 0, 255).astype("float32"))[0] == pytest.approx([0, 0, 1], abs=1e-6)


# OpenCV 4.14's own Caffe importer on Caffe's example picture: class and probability, the first five.
CAT = {
    "bvlc_googlenet": (224, {282: 0.468, 281: 0.305, 285: 0.160, 287: 0.018, 283: 0.018}),
    "squeezenet_v1.1": (227, {281: 0.418, 282: 0.318, 278: 0.109, 285: 0.049, 277: 0.045}),
}


@pytest.mark.parametrize("name", CAT)
def test_the_cat_is_seen_as_opencv_saw_it(shared, name):
    size, seen = CAT[name]
    net = read_net(shared / "weights" / f"{name}.prototxt", shared / "weights" / f"{name}.caffemodel")
    network = build_graph(net)
    crops = classifier_crops(load_image(shared / "photos" / "cat.jpg"), Preprocessing((size, size)))
    [prob] = compute_prob(network, preprocess(crops, Preprocessing((size, size))))
    predictions = top_classes(prob, network.words, 5)
    # The two that are equal to three digits may change places.
    assert [each.class_index for each in predictions[:3]] == list(seen)[:3]
    assert {each.class_index: each.prob for each in predictions} == pytest.approx(seen, abs=0.002)


def test_x_of_the_cat_is_opencv_s(shared):
    cv2 = pytest.importorskip("cv2")
    stored = cv2.imread(str(shared / "photos" / "cat.jpg"))[:, 60:420]  # 360 x 480: the centre square
    blob = cv2.dnn.blobFromImage(stored, 1.0, (224, 224), (104, 117, 123), swapRB=False)
    settings = Preprocessing((224, 224))
    x = preprocess(classifier_crops(load_image(shared / "photos" / "cat.jpg"), settings), settings)
    # Two JPEG decoders, of which either may round the other way.
    assert np.abs(x - blob.transpose(0, 2, 3, 1)).max() <= 2
    assert (x != blob.transpose(0, 2, 3, 1)).mean() < 0.01


def test_a_synset_is_found_by_id_by_a_word_and_by_its_whole_line():
    lines = ("n02012849 crane", "n03126707 crane", "n02123045 tabby, tabby cat", "daisy")
    names = ClassNames(lines)
    assert names.find("n02123045") == names.find("Tabby Cat") == names.find("n02123045 tabby") == [2]
    assert names.find("tabby, tabby cat") == [2]
    assert names.find("crane") == [0, 1]
    assert names.find("n03126707 crane") == [1]
    assert names.find("daisy ") == [3]
    assert names.find("rose") == []
