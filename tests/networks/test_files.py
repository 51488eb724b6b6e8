"""One file holds a network and all that is known of it; damaged or foreign files are told from it in words."""

import json
import shutil
import zipfile
from dataclasses import replace

import keras
import numpy as np
import pytest

from imgnn.errors import InputError, WeightsError
from imgnn.images.preprocessing import Preprocessing
from imgnn.networks import files, layers
from imgnn.networks.files import load_network_file, read_facts, read_mean_image, save_network, unallocated
from imgnn.networks.network import Network
from imgnn.networks.registry import LayerRoles
from imgnn.runs import Silent


def build_model() -> keras.Model:
    """A layer of every kind that has weights."""
    data = x = keras.Input((12, 10, 3), name="data")
    x = layers.conv(x, 4, 3, name="conv1", stride=2, pad=1)
    x = layers.prelu(x, name="relu1")
    x = layers.conv(x, 6, 3, name="conv2/3x3", group=2, bias=False)
    x = layers.batch_norm(x, name="bn")
    x = layers.scale(x, name="scale")
    x = layers.lrn(x, name="norm")
    x = layers.deconv(x, 2, 2, name="up", stride=2)
    x = layers.max_pool(x, 3, name="pool", stride=2)
    x = layers.inner_product(x, 5, name="fc")
    x = layers.dropout(x, 0.5, name="drop")
    return keras.Model(data, layers.softmax(x, name="prob"), name="tiny")


def network(model: keras.Model) -> Network:
    return Network(
        name="tiny",
        model=model,
        preprocessing=Preprocessing((12, 10), mean=(1.0, 2.0, 3.0), scale=(0.5, 0.5, 0.5)),
        layers={"conv1": "conv1", "conv2/3x3": "conv2__3x3"},
        blobs={"conv1": ("relu1", 0)},
        words=("cat", "dog", "größer", "fish", "bird"),
        roles=LayerRoles(style=("conv1",), classifier=("fc",)),
        source={"file": "tiny.caffemodel", "sha256": "ab" * 32},
    )


@pytest.fixture
def saved(tmp_path, random):
    """The file, and the network that was saved, with weights that are not the initial ones."""
    own = network(build_model())
    own.model.set_weights([random.random(w.shape, "float32") for w in own.model.weights])
    save_network(own, tmp_path / "tiny.keras")
    return tmp_path / "tiny.keras", own


def test_a_layer_may_be_called_as_its_network_is(tmp_path, random):
    own = build_model()
    clash = keras.Model(own.inputs, own.outputs, name="fc")
    clash.set_weights([random.random(w.shape, "float32") for w in clash.weights])
    save_network(network(clash), tmp_path / "fc.keras")
    for model in (load_network_file(tmp_path / "fc.keras").model, keras.saving.load_model(tmp_path / "fc.keras")):
        for kept, weights in zip(clash.weights, model.weights, strict=True):
            np.testing.assert_array_equal(kept, weights)


class Listener(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_what_was_saved_is_loaded(saved):
    path, own = saved
    loaded = load_network_file(path)
    for mine, theirs in zip(own.model.get_weights(), loaded.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for name in ("name", "preprocessing", "layers", "blobs", "words", "roles", "source"):
        assert getattr(loaded, name) == getattr(own, name)


def test_plain_keras_opens_the_file_and_trains(saved, random):
    path, own = saved
    model = keras.saving.load_model(path)
    x = random.random((2, 12, 10, 3), "float32")
    np.testing.assert_array_equal(model.predict_on_batch(x), own.model.predict_on_batch(x))
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, np.array([0, 1]), verbose=0)


def test_weights_go_from_their_source_to_the_file_without_a_model_in_memory(tmp_path):
    def write():
        model = build_model()
        save_network(
            network(model),
            tmp_path / "a.keras",
            fill=lambda put: [put(w, np.full(w.shape, 7.0)) for w in model.weights],
        )

    unallocated(write)
    assert all((w == 7.0).all() for w in load_network_file(tmp_path / "a.keras").model.get_weights())


def test_weights_that_nobody_gives_are_written_with_their_initial_values(tmp_path):
    model = build_model()
    save_network(network(model), tmp_path / "a.keras", fill=lambda put: put(model.get_layer("fc").bias, np.ones(5)))
    loaded = load_network_file(tmp_path / "a.keras").model
    np.testing.assert_array_equal(loaded.get_layer("fc").bias, np.ones(5))
    np.testing.assert_array_equal(loaded.get_layer("conv1").kernel, model.get_layer("conv1").kernel)


def test_models_built_unallocated_leave_nothing_behind():
    unallocated(build_model)
    after = build_model()  # would fail if Keras went on to initialise the others, or no longer initialised at all
    assert np.abs(after.get_layer("conv1").kernel).max() > 0


def test_the_mean_image_is_kept_beside(saved, tmp_path, random):
    mean = random.random((3, 8, 8), "float32")
    save_network(replace(saved[1], mean_image=mean), tmp_path / "b.keras")
    np.testing.assert_array_equal(read_mean_image(tmp_path / "b.keras"), mean)
    np.testing.assert_array_equal(load_network_file(tmp_path / "b.keras").mean_image, mean)
    assert read_mean_image(saved[0]) is None


def test_facts_are_read_without_the_model(saved):
    facts = read_facts(saved[0])
    assert (facts["name"], facts["source"]["sha256"]) == ("tiny", "ab" * 32)


def test_an_archive_that_was_packed_again_still_loads(saved, tmp_path):
    path, own = saved
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "b.keras", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    loaded = load_network_file(tmp_path / "b.keras")
    np.testing.assert_array_equal(loaded.model.get_layer("fc").kernel, own.model.get_layer("fc").kernel)


def test_a_write_that_fails_leaves_the_old_file(saved):
    path, own = saved
    before = path.read_bytes()

    def fail(put):
        raise WeightsError("no such blob")

    with pytest.raises(WeightsError, match="no such blob"):
        save_network(own, path, fill=fail)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_is_missing_is_said(saved, tmp_path):
    with pytest.raises(InputError, match=r"cannot write .*nowhere"):
        save_network(saved[1], tmp_path / "nowhere" / "a.keras")


# Damaged files, and files of others.


def test_a_file_that_was_cut_is_damaged(saved):
    path, _ = saved
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=r"is damaged, or not a \.keras file"):
        load_network_file(path)


def test_a_changed_byte_among_the_weights_is_found(saved):
    path, _ = saved
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"bytes of model\.weights\.h5 have changed"):
        load_network_file(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x.h5", "is a Keras 2 HDF5 file; imgnn reads .keras and .caffemodel"),
        ("x.pth", "is a PyTorch file"),
        ("x.prototxt", "is a Caffe definition without weights"),
        ("x.keras", "is damaged, or not a .keras file"),
    ],
)
def test_another_kind_of_file_is_told(name, message, tmp_path):
    (tmp_path / name).write_bytes(b"something else")
    with pytest.raises((InputError, WeightsError), match=message):
        load_network_file(tmp_path / name)


def test_missing_files_folders_and_other_archives_are_told(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_network_file(tmp_path / "x.keras")
    with pytest.raises(InputError, match="is a folder"):
        load_network_file(tmp_path)
    with zipfile.ZipFile(tmp_path / "y.keras", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(WeightsError, match="not of a Keras model"):
        load_network_file(tmp_path / "y.keras")


def test_a_file_of_a_newer_imgnn_is_refused(saved, monkeypatch):
    monkeypatch.setattr(files, "VERSION", 0)
    with pytest.raises(WeightsError, match="is of version 1, this imgnn reads up to 0"):
        load_network_file(saved[0])


def test_facts_that_are_no_json_are_damage(saved, tmp_path):
    shutil.copy(saved[0], tmp_path / "b.keras")
    with zipfile.ZipFile(saved[0]) as old, zipfile.ZipFile(tmp_path / "b.keras", "w") as new:
        for name in old.namelist():
            new.writestr(name, b"{" if name == files.FACTS else old.read(name))
    with pytest.raises(WeightsError, match="is damaged"):
        read_facts(tmp_path / "b.keras")


def without(*keys):
    return lambda facts: {key: value for key, value in facts.items() if key not in keys}


def prepared(**changed):
    return lambda facts: {**facts, "preprocessing": {**facts["preprocessing"], **changed}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda facts: [], "not ours"),
        (without("preprocessing"), "'preprocessing' is missing"),
        (without("layers"), "'layers' is missing"),
        (lambda facts: {**facts, "roles": {"taste": []}}, "'taste'"),
        (lambda facts: {**facts, "blobs": {"data": 3}}, "are damaged"),
        (prepared(channel_order="XYZ"), "channel_order is one of RGB, BGR, GREY, not 'XYZ'"),
        (prepared(crop="round"), "crop is square or caffe"),
        (prepared(size=[224]), "are damaged"),
        (prepared(mean=[1.0, 2.0]), "wants 3 numbers as mean"),
        (prepared(mean=["a", "b", "c"]), "are damaged"),
        (prepared(scale=[0.0] * 3), "a scale of 0"),
        (prepared(mean=[float("nan")] * 3), "are to be numbers"),
    ],
)
def test_facts_that_make_no_sense_are_damage(saved, tmp_path, change, message):
    def changed(name, content):
        return json.dumps(change(json.loads(content))).encode() if name == files.FACTS else content

    with pytest.raises(WeightsError, match=message):
        load_network_file(rewritten(saved[0], tmp_path / "b.keras", changed))


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        ("model.weights.h5", None, r"model\.weights\.h5 is missing"),
        ("config.json", b"[]", "cannot be rebuilt"),
        ("config.json", b"{}", "cannot be rebuilt"),
    ],
)
def test_members_that_are_missing_or_empty_are_damage(saved, tmp_path, member, content, message):
    path = rewritten(saved[0], tmp_path / "b.keras", lambda name, old: content if name == member else old)
    with pytest.raises(WeightsError, match=message):
        load_network_file(path)


def rewritten(source, target, change):
    """The archive with other contents; a member whose content is None is left out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            if (content := change(name, old.read(name))) is not None:
                new.writestr(name, content)
    return target


def foreign(tmp_path, *layers_, shape=(32, 40, 3)):
    """A file that Keras wrote."""
    model = keras.Sequential([keras.Input(shape), *layers_], name="foreign")
    model.save(tmp_path / "foreign.keras")
    return tmp_path / "foreign.keras"


def test_of_a_foreign_file_the_facts_are_guessed_and_told(tmp_path):
    path = foreign(tmp_path, keras.layers.Conv2D(4, 3, name="first"), keras.layers.GlobalAveragePooling2D())
    listener = Listener()
    loaded = load_network_file(path, reporter=listener)
    assert loaded.name == "foreign"
    assert loaded.preprocessing == Preprocessing((32, 40), (0.0,) * 3, "RGB", (1.0,) * 3, resize=46)
    assert loaded.tensor("first").shape == (None, 30, 38, 4)
    assert listener.notes == [
        "foreign.keras does not say how a picture is prepared: taken as RGB, 0..255, no mean, 32x40"
    ]


def test_a_model_inside_a_model_is_refused(tmp_path):
    inner = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)], name="inner")
    data = keras.Input((8, 8, 3))
    keras.Model(data, inner(data)).save(tmp_path / "nested.keras")
    with pytest.raises(InputError, match=r"a model inside a model \(inner\)"):
        load_network_file(tmp_path / "nested.keras")


def test_a_model_without_a_picture_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"takes \[\(None, 7\)\], not one picture"):
        load_network_file(foreign(tmp_path, keras.layers.Dense(2), shape=(7,)))


def test_a_layer_that_keras_does_not_know_is_told(saved, tmp_path):
    with zipfile.ZipFile(saved[0]) as old, zipfile.ZipFile(tmp_path / "b.keras", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                config["config"]["layers"][1]["class_name"] = "Unheard"
                content = json.dumps(config).encode()
            if name != files.FACTS:
                new.writestr(name, content)
    with pytest.raises(WeightsError, match="Keras cannot rebuild"):
        load_network_file(tmp_path / "b.keras")
