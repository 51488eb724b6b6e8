"""Pictures as vectors: the same whether they come from the network or from the cache."""

from dataclasses import replace

import numpy as np
import pytest
from keras import ops
from PIL import Image

from imgnn.data import feature_cache
from imgnn.data.spread import cores, spread
from imgnn.errors import InputError, UnknownNameError, WeightsError
from imgnn.images.files import load_image
from imgnn.images.preprocess import classifier_crops, preprocess
from imgnn.images.preprocessing import Preprocessing
from imgnn.jobs import picture_features
from imgnn.jobs.picture_features import FeatureExtractor, extractor_of, feature_extractor, rounded
from imgnn.networks.files import save_network
from imgnn.runs import Silent, Stopped
from tests.training.small import SIZE, small_network

LAYERS = ("conv1", "mix/output")


@pytest.fixture
def network(tmp_path):
    return str(save(tmp_path / "small.keras"))


@pytest.fixture
def pictures(tmp_path, random):
    """Seven pictures of noise, of the size that the network takes."""
    paths = [tmp_path / f"{number}.png" for number in range(7)]
    for path in paths:
        Image.fromarray(random.integers(0, 256, (*SIZE, 3), dtype="uint8")).save(path)
    return paths


@pytest.fixture
def seen(monkeypatch):
    """How many pictures the network was shown at once."""
    counts, own = [], FeatureExtractor.vectors

    def watched(self, pixels, batch):
        counts.append(len(pixels))
        return own(self, pixels, batch)

    monkeypatch.setattr(FeatureExtractor, "vectors", watched)
    return counts


def save(path, **options):
    save_network(small_network(**options), path)
    return path


def extractor(network, layers=LAYERS, **options):
    return feature_extractor(network, layers, **{"precision": "float32", **options})


class Listener(Silent):
    def __init__(self):
        self.notes, self.tasks = [], []

    def note(self, message):
        self.notes.append(message)

    def begin(self, task, total, unit=""):
        self.tasks.append((task, total, unit))


# Values


def test_a_vector_is_what_the_network_gives_of_the_whole_picture(network, pictures, tmp_path, random):
    wide = tmp_path / "wide.png"
    Image.fromarray(random.integers(0, 256, (30, 50, 3), dtype="uint8")).save(wide)
    made = extractor(network)
    found = made.extract([*pictures, wide])
    assert (found.values.shape, found.values.dtype, found.bad) == ((8, 18), np.float16, {})
    whole = Preprocessing(SIZE, scale=(1 / 60,) * 3, crop="caffe", resize=12)
    crops = np.concatenate([classifier_crops(load_image(path), whole) for path in [*pictures, wide]])
    expected = ops.convert_to_numpy(made.network.model(preprocess(crops, whole)))
    np.testing.assert_allclose(found.values, expected, rtol=2e-3, atol=1e-4)


def test_a_picture_alone_has_the_vector_that_it_has_among_others(network, pictures, home, monkeypatch, tmp_path):
    together = extractor(network).extract(pictures).values
    monkeypatch.setenv("IMGNN_HOME", str(tmp_path / "another"))
    made = extractor(network)
    for path, expected in zip(pictures, together, strict=True):
        np.testing.assert_allclose(made.extract([path]).values[0], expected, rtol=2e-3, atol=1e-4)


def test_many_pictures_keep_their_order(network, pictures, monkeypatch, tmp_path):
    expected = extractor(network).extract(pictures).values
    monkeypatch.setattr(picture_features, "BATCH", 2)
    monkeypatch.setattr(picture_features, "TOGETHER", 3)
    monkeypatch.setenv("IMGNN_HOME", str(tmp_path / "another"))
    for _ in range(2):  # computed, and kept
        np.testing.assert_allclose(extractor(network).extract(pictures).values, expected, rtol=2e-3, atol=1e-4)


def test_a_mirrored_picture_is_that_of_a_mirrored_file(network, pictures, tmp_path):
    flipped = [tmp_path / f"flipped_{path.name}" for path in pictures]
    for path, other in zip(pictures, flipped, strict=True):
        Image.fromarray(load_image(path)[:, ::-1]).save(other)
    made = extractor(network)
    straight, mirrored = made.extract(pictures).values, made.extract(pictures, mirrored=True).values
    np.testing.assert_allclose(mirrored, made.extract(flipped).values, rtol=2e-3, atol=1e-4)
    assert not np.allclose(mirrored, straight, rtol=1e-2)
    np.testing.assert_array_equal(made.extract(pictures, mirrored=True).values, mirrored)


def test_without_layers_it_looks_at_those_that_the_network_names_for_features(tmp_path):
    network = small_network()
    save_network(replace(network, roles=replace(network.roles, features=("mix/output",))), tmp_path / "named.keras")
    made = feature_extractor(str(tmp_path / "named.keras"))
    assert (made.spec.layers, made.spec.size) == (("mix/output",), 12)
    assert feature_extractor(str(tmp_path / "named.keras"), size=24).spec.size == 24


def test_a_value_too_large_for_float16_is_the_largest(network, pictures):
    made = extractor(network)
    made.network.model.get_layer("conv1").weights[0].assign(np.full((3, 3, 3, 8), 1e5, "float32"))
    assert np.isfinite(made.extract(pictures).values).all()


def test_numbers_are_rounded_to_the_next_of_float16_and_stay_in_its_range():
    found = rounded(np.array([1 + 2**-11 + 2**-20, -7e4, np.inf, 0.1], "float32"))
    assert found.dtype == np.float16
    assert found.tolist() == [1 + 2**-10, -65504, 65504, 0.0999755859375]  # of IEEE 754's binary16


# The cache


def test_a_picture_is_looked_at_once(network, pictures, seen):
    fresh = extractor(network).extract(pictures)
    assert sum(seen) == len(pictures)
    seen.clear()
    again = extractor(network).extract(pictures[::-1])
    np.testing.assert_array_equal(again.values[::-1], fresh.values)
    assert seen == []


def test_only_what_is_not_known_is_looked_at(network, pictures, seen):
    made = extractor(network)
    made.extract(pictures[:3])
    seen.clear()
    listener = Listener()
    extractor(network, reporter=listener).extract(pictures, task="features (train)")
    assert seen == [4]
    assert listener.tasks == [("features (train)", 4, "pictures")]


def test_a_picture_under_another_name_is_known_and_one_that_was_changed_is_not(network, pictures, tmp_path, seen):
    made = extractor(network)
    before = made.extract(pictures[:2]).values
    moved = tmp_path / "moved.png"
    moved.write_bytes(pictures[0].read_bytes())
    seen.clear()
    np.testing.assert_array_equal(made.extract([moved]).values, before[:1])
    assert seen == []
    pictures[0].write_bytes(pictures[1].read_bytes())
    np.testing.assert_array_equal(made.extract(pictures[:1]).values, before[1:])


@pytest.mark.parametrize("other", [{"layers": ("conv1",)}, {"size": 16}, {"precision": "bfloat16"}], ids=str)
def test_another_kind_of_feature_is_computed_anew(network, pictures, seen, other):
    extractor(network).extract(pictures)
    seen.clear()
    extractor(network, **other).extract(pictures)
    assert sum(seen) == len(pictures)


def test_a_network_with_other_weights_is_asked_anew(network, pictures, seen, tmp_path):
    before = extractor(network).extract(pictures).values
    after = extractor(str(save(tmp_path / "small.keras", seed=4))).extract(pictures).values
    assert sum(seen) == 2 * len(pictures)
    assert not np.allclose(before, after)


def test_without_a_cache_it_is_the_same(network, pictures, monkeypatch):
    expected = extractor(network).extract(pictures).values
    monkeypatch.setenv("IMGNN_HOME", str(pictures[0]))  # a file
    listener = Listener()
    np.testing.assert_array_equal(extractor(network, reporter=listener).extract(pictures).values, expected)
    assert len(listener.notes) == 1


# What cannot be read


def test_pictures_that_cannot_be_read_are_named(network, pictures, tmp_path):
    pictures[2].write_text("no picture")
    pictures[4] = tmp_path / "missing.png"
    whole = pictures[5].read_bytes()
    pictures[5].write_bytes(whole[: len(whole) // 2])
    made = extractor(network)
    for _ in range(2):
        found = made.extract(pictures)
        assert found.bad.keys() == {2, 4, 5}
        for number in (2, 4, 5):
            assert str(pictures[number]) in found.bad[number]
            assert not found.values[number].any()
        assert all(found.values[number].any() for number in (0, 1, 3, 6))


def test_nothing_at_all_can_be_read(network, tmp_path):
    found = extractor(network).extract([tmp_path / "a.png", tmp_path / "b.png"])
    assert found.bad.keys() == {0, 1}
    assert extractor(network).extract([]).values.shape == (0, 18)


def test_what_was_seen_before_a_stop_is_kept(network, pictures, seen, monkeypatch):
    monkeypatch.setattr(picture_features, "BATCH", 2)
    made = extractor(network)
    made.cache.digests(pictures)  # hashing asks, too
    steps = iter([False, False, True])
    with pytest.raises(Stopped):
        made.extract(pictures, stop=lambda: next(steps))
    seen.clear()
    extractor(network).extract(pictures)
    assert sum(seen) == len(pictures) - 3


def test_hashing_stops_before_the_network_looks(network, pictures, seen):
    with pytest.raises(Stopped):
        extractor(network).extract(pictures, stop=lambda: True)
    assert seen == []


@pytest.mark.parametrize(("workers", "threads"), [(3, 3), (None, min(4, cores()))])
def test_workers_are_the_threads_that_hash_and_decode(network, pictures, monkeypatch, workers, threads):
    asked = []

    def watched(*args, workers, **options):
        asked.append(workers)
        return spread(*args, workers=workers, **options)

    monkeypatch.setattr(picture_features, "spread", watched)
    monkeypatch.setattr(feature_cache, "spread", watched)
    made = extractor(network, workers=workers)
    made.extract(pictures)
    assert asked == [threads, threads]
    assert extractor_of(made.spec, workers=workers).workers == threads


# The network of a model


def test_the_extractor_of_a_model_gives_its_very_vectors(network, pictures):
    for made in (extractor(network), feature_extractor(network, precision="float32")):
        expected = made.extract(pictures).values
        again = extractor_of(made.spec, precision="float32")
        assert again.spec == made.spec
        np.testing.assert_array_equal(again.extract(pictures).values, expected)


def test_a_network_that_was_moved_is_named_by_hand(network, tmp_path):
    spec = extractor(network).spec
    moved = (tmp_path / "small.keras").rename(tmp_path / "moved.keras")
    with pytest.raises(InputError, match=r"small\.keras"):
        extractor_of(spec)
    assert extractor_of(spec, network=str(moved)).spec == replace(spec, network=str(moved))


def test_other_weights_are_refused(network, tmp_path):
    spec = extractor(network).spec
    save(tmp_path / "small.keras", seed=4)
    with pytest.raises(WeightsError, match="with other weights") as caught:
        extractor_of(spec)
    assert spec.weights[:12] in str(caught.value)
    assert caught.value.hint == "--network FILE names the very network"


def test_a_network_that_takes_pictures_otherwise_is_refused(network, tmp_path):
    spec = extractor(network).spec
    save(tmp_path / "small.keras", preprocessing=Preprocessing(SIZE, scale=(1 / 50,) * 3))
    with pytest.raises(WeightsError, match="prepared otherwise"):
        extractor_of(spec)


def test_a_layer_that_is_missing_now_is_told(network):
    spec = replace(extractor(network).spec, layers=("fc7",))
    with pytest.raises(WeightsError, match=r"was trained on .*small.keras: no layer is called 'fc7'"):
        extractor_of(spec)


def test_of_features_that_came_from_a_file_only_the_numbers_are_compared(network):
    spec = replace(extractor(network).spec, weights="", preprocessing={})
    listener = Listener()
    assert extractor_of(spec, reporter=listener).spec.numbers == 18
    assert len(listener.notes) == 1
    with pytest.raises(WeightsError, match=r"trained on features of 4,096 numbers; conv1, mix/output of .* gives 18"):
        extractor_of(replace(spec, numbers=4096))


# Networks that cannot be asked


def test_a_layer_named_twice_is_looked_at_once(network):
    made = extractor(network, ("conv1", "conv1"))
    assert (made.spec.layers, made.spec.numbers) == (("conv1",), 8)


def test_networks_and_layers_that_are_not_there_are_told(network, tmp_path):
    with pytest.raises(UnknownNameError, match="no network is called 'nothing'"):
        feature_extractor("nothing")
    with pytest.raises(UnknownNameError, match="no layer is called 'fc7'"):
        extractor(network, ("fc7",))
    with pytest.raises(InputError, match="takes no pictures of 16 x 16 pixels"):
        extractor(network, ("fc2",), size=16)
    bare = replace(small_network(), preprocessing=None)
    save_network(bare, tmp_path / "bare.keras")
    with pytest.raises(InputError, match=r"bare\.keras does not say how a picture becomes its input"):
        feature_extractor(str(tmp_path / "bare.keras"))


def test_a_network_that_names_no_layers_wants_some(tmp_path):
    silent = small_network()
    silent = replace(silent, roles=replace(silent.roles, head=(), features=()))
    save_network(silent, tmp_path / "silent.keras")
    with pytest.raises(InputError, match="does not say which layers to look at") as caught:
        feature_extractor(str(tmp_path / "silent.keras"))
    assert "--layers A,B" in caught.value.hint
