"""A network comes by name, by file, and from the net; the second time from IMGNN_HOME."""

import hashlib
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from imgnn.errors import InputError, UnknownNameError, WeightsError
from imgnn.home import ASSETS
from imgnn.images.files import load_image, read_settings
from imgnn.jobs import load
from imgnn.jobs.classify import classify_images
from imgnn.jobs.dream import dream_picture
from imgnn.jobs.load import load_network
from imgnn.jobs.networks import describe_network, origin
from imgnn.jobs.style import stylise
from imgnn.networks import registry, weights
from imgnn.networks.files import save_network
from imgnn.networks.head import replace_head
from imgnn.options import ClassifyOptions, DreamOptions, StyleOptions
from tests.caffe.encode import encode_net
from tests.networks import prototxts
from tests.networks import server as answers
from tests.networks.server import serving
from tests.training.made import make_network, make_run, paint

NAME = "squeezenet-v1.1"


@pytest.fixture(scope="session")
def published() -> bytes:
    """What a server gives: SqueezeNet v1.1 with random numbers."""
    net = prototxts.deploy(NAME, (227, 227), 1000)
    return encode_net(net.text, prototxts.random_blobs(net, np.random.default_rng(1)))


@pytest.fixture
def server(published, monkeypatch):
    """The registry's address is this server's, and its hash is that of the random file."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("IMGNN_OFFLINE")
    with serving(published) as running:
        spec = registry.SPECS[NAME]
        own = replace(
            spec.weights, url=f"{running.url}/w.caffemodel", size=len(published), file="w.caffemodel", git_blob=None,
            sha1=hashlib.sha1(published).hexdigest(),
        )  # fmt: skip
        monkeypatch.setattr(registry, "SPECS", {**registry.SPECS, NAME: replace(spec, weights=own)})
        yield running


def test_the_first_use_downloads_and_converts_and_the_second_only_loads(server, home):
    first = load_network(NAME)
    assert first.source["file"] == "w.caffemodel"
    assert (home / "networks" / f"{NAME}.keras").is_file()
    assert not (home / "downloads" / "w.caffemodel").exists()  # the converted file holds the same numbers
    second = load_network("SqueezeNet")
    np.testing.assert_array_equal(first.model.get_layer("conv1").kernel, second.model.get_layer("conv1").kernel)
    assert len(server.seen) == 1


def test_a_download_that_is_cut_goes_on(server):
    server.script = [answers.cuts(1_000_000), answers.honest]
    load_network(NAME)
    assert server.ranges() == [None, "bytes=1000000-"]


def test_wrong_bytes_are_not_converted(server, home):
    server.content = server.content[:-1] + b"?"
    with pytest.raises(WeightsError, match="does not give the published file: sha1 expected"):
        load_network(NAME)
    assert not (home / "networks" / f"{NAME}.keras").exists()


IN_A_PROCESS = f"""
import sys
from dataclasses import replace
from imgnn.networks import registry
spec = registry.SPECS["{NAME}"]
own = replace(spec.weights, url=sys.argv[1], file="w.caffemodel", git_blob=None, sha1=sys.argv[2])
registry.SPECS = {{**registry.SPECS, "{NAME}": replace(spec, weights=own)}}
from imgnn.jobs.load import load_network
print(load_network("{NAME}").model.count_params())
"""


@pytest.mark.slow
def test_two_processes_at_once_fetch_it_once_and_get_the_same(server, published, home):
    words = [sys.executable, "-c", IN_A_PROCESS, f"{server.url}/w.caffemodel", hashlib.sha1(published).hexdigest()]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0].strip() for process in both] == ["1235496", "1235496"]
    assert len(server.seen) == 1
    assert [path.name for path in (home / "networks").glob("*.keras")] == [f"{NAME}.keras"]


def test_a_local_folder_replaces_the_address(published, tmp_path, monkeypatch, home):
    (tmp_path / "squeezenet_v1.1.caffemodel").write_bytes(published)
    monkeypatch.setenv("IMGNN_WEIGHTS_URL", str(tmp_path))
    assert load_network(NAME).name == NAME
    assert (tmp_path / "squeezenet_v1.1.caffemodel").is_file()  # the user's own file stays


def test_without_weights_the_error_names_the_two_ways_out():
    with pytest.raises(WeightsError) as caught:
        load_network("vgg19")
    assert str(caught.value).startswith("no weights for 'vgg19' on this machine")
    assert "imgnn convert VGG_ILSVRC_19_layers.caffemodel" in caught.value.hint
    assert "IMGNN_WEIGHTS_URL" in caught.value.hint


def test_weights_that_their_authors_give_by_hand_are_said_to_be_so(monkeypatch):
    monkeypatch.delenv("IMGNN_OFFLINE")
    with pytest.raises(WeightsError, match="its authors give no address") as caught:
        load_network("resnet50")
    assert "https://github.com/KaimingHe/deep-residual-networks" in caught.value.hint


def test_random_filters_need_no_file():
    assert load_network("random").model.count_params() > 0


def test_mini_has_the_numbers_of_its_file_and_needs_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("IMGNN_HOME", str(tmp_path / "file" / "home"))  # not there, and cannot be made, even by root
    network = load_network("mini")
    with np.load(ASSETS / "mini.npz") as stored:
        assert len(stored.files) == 26
        for layer in network.model.layers:
            for kind, weight in zip(("kernel", "bias"), layer.get_weights(), strict=False):
                np.testing.assert_array_equal(weight, stored[f"{layer.name}/{kind}"].astype("float32"))
    assert origin("mini", network)["weights"] == f"in the package: {ASSETS / 'mini.npz'}"


def lack_a_layer(path):
    with np.load(path) as stored:
        arrays = {name: array for name, array in stored.items() if name != "conv3_2/kernel"}
    np.savez(path, **arrays)


def hold_another_shape(path):
    with np.load(path) as stored:
        arrays = {name: array[..., :-1] for name, array in stored.items()}
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda path: path.unlink(), "No such file"),
        (lambda path: path.write_bytes(b""), ""),
        (lambda path: path.write_bytes(b"no archive"), ""),
        (lambda path: path.write_bytes(path.read_bytes()[:100_000]), "not a zip file"),
        (lack_a_layer, "conv3_2/kernel"),
        (hold_another_shape, "shape"),
    ],
    ids=["missing", "empty", "other", "cut", "layer", "shape"],
)
def test_a_packaged_file_that_is_not_whole_is_one_line(harm, told, tmp_path, monkeypatch, cli, tiny_image):
    (tmp_path / "assets").mkdir()
    path = Path(shutil.copy(ASSETS / "mini.npz", tmp_path / "assets"))
    harm(path)
    monkeypatch.setattr(load, "ASSETS", path.parent)
    result = cli("dream", tiny_image, "-o", tmp_path / "out.png")
    assert (result.exit_code, result.stdout) == (1, "")
    error, hint = result.stderr.splitlines()[-2:]
    assert error.startswith(f"Error: {path}, which came with imgnn, cannot be read: ")
    assert told in error
    assert hint == "Try: pip install --force-reinstall imgnn"


def test_a_caffemodel_is_converted_and_not_kept(published, tmp_path, home):
    (tmp_path / "own.caffemodel").write_bytes(published)
    network = load_network(tmp_path / "own.caffemodel")
    assert network.name == NAME
    assert network.preprocessing == registry.find(NAME).preprocessing
    assert not weights.converted_path(NAME).exists()


def test_any_keras_file_may_be_a_network(tmp_path):
    keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Conv2D(2, 3, name="c")]).save(tmp_path / "own.keras")
    assert load_network(str(tmp_path / "own.keras")).tensor("c").shape == (None, 14, 14, 2)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("vgg91", UnknownNameError, "no network is called 'vgg91'; did you mean 'vgg19'"),
        ("nowhere/vgg19", InputError, "no such file: nowhere/vgg19"),
        ("nowhere.keras", InputError, "no such file: nowhere.keras"),
        ("nowhere.caffemodel", InputError, "no such file: nowhere.caffemodel"),
        ("nowhere.h5", InputError, "no such file: nowhere.h5"),
        ("keras:inception_v33", UnknownNameError, "did you mean 'keras:inception_v3'"),
    ],
)
def test_a_name_that_means_nothing_is_told(name, error, message):
    with pytest.raises(error, match=message.replace(".", r"\.")):
        load_network(name)


def test_a_run_means_its_best_network(tmp_path):
    run = make_run(tmp_path / "flowers_run")
    network = load_network(run)
    assert network.words == ("red", "green", "blue")
    assert network.file == str(run)
    assert network.layers_command == f"imgnn networks {run}"


def test_a_network_of_the_registry_goes_before_a_run_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "random")
    assert load_network("random").name == "random"
    assert load_network("./random").name == "colours"


def test_a_run_without_a_network_names_the_command_that_makes_one(tmp_path):
    run = make_run(tmp_path / "my run", trained=False)
    with pytest.raises(InputError, match=r"my run has no trained network yet: there is no best\.keras in it") as caught:
        load_network(run)
    assert caught.value.hint == f"imgnn finetune --resume '{run}'"


def test_a_folder_that_is_no_run_is_told(tmp_path):
    with pytest.raises(InputError, match="is a folder, not the file of a network"):
        load_network(tmp_path)


def test_dream_and_style_find_the_layers_of_a_run(tmp_path):
    run, photo = make_run(tmp_path / "run"), paint(tmp_path / "photo.png", (200, 40, 90))
    dream = DreamOptions(network=str(run), octaves=1, iterations=2, size=32, jitter=0, precision="float32")
    dream_picture(photo, tmp_path / "dream.png", dream)
    style = StyleOptions(network=str(run), size=32, initial_iterations=10, precision="float32")
    stylise(photo, [paint(tmp_path / "style.png", (10, 200, 90))], tmp_path / "styled.png", style)
    dreamt, styled = (read_settings(tmp_path / name) for name in ("dream.png", "styled.png"))
    assert dreamt["raised"] == ["conv1"] and dreamt["after"]["conv1"] > dreamt["before"]["conv1"]
    assert list(styled["content_factors"]) == list(styled["style_factors"]) == ["conv1"]
    before, painted = (load_image(path).mean((0, 1)) for path in (photo, tmp_path / "styled.png"))
    assert painted[0] < before[0] and painted[1] > before[1]  # less red, more green


def test_a_head_on_descriptors_hinders_nothing(tmp_path):
    run, photo = make_run(tmp_path / "run", trained=False), paint(tmp_path / "photo.png", (200, 40, 90))
    save_network(replace_head(make_network(), ("warm", "cold"), layers=("conv1",)), run / "best.keras")
    _, table = describe_network(str(run))
    assert [row.name for row in table][-3:] == ["conv1/descriptor", "fc", "prob"]
    [result] = classify_images([photo], ClassifyOptions(str(run)))
    assert {each.words for each in result.predictions} == {"warm", "cold"}
    options = DreamOptions(network=str(run), octaves=1, iterations=1, size=32, precision="float32")
    dream_picture(photo, tmp_path / "dream.png", options)
    assert read_settings(tmp_path / "dream.png")["raised"] == ["conv1"]


def test_a_run_is_described_layer_by_layer(tmp_path):
    run = make_run(tmp_path / "run")
    network, table = describe_network(str(run))
    assert [row.name for row in table] == ["data", "conv1", "relu1", "pool", "fc", "prob"]
    assert table.parameters == 2 * (3 * 3 + 3)  # of conv1 and of fc: weights and biases
    assert origin(str(run), network)["weights"] == f"here: {run}"
