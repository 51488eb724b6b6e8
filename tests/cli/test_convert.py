"""`imgnn convert`, as it is typed."""

import json
import sys

import pytest

from tests.caffe.encode import encode_net
from tests.jobs.test_convert import BLOBS, NET, PLAIN


@pytest.fixture
def little(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "little.caffemodel").write_bytes(encode_net(PLAIN, BLOBS))
    return tmp_path / "little.caffemodel"


def test_each_layer_has_a_line_and_the_end_says_where_it_is(cli, little):
    result = cli("convert", little)
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines() if line.strip()]
    assert ["conv", "4x3x3x3,", "4", "3x3x3x4,", "4", "loaded"] in lines
    assert lines[-1] == ["little.keras"]
    assert "Next: imgnn networks little.keras" in result.stderr


def test_a_published_network_can_be_used_at_once(cli, shared, home):
    result = cli("convert", shared / "weights" / "squeezenet_v1.1.caffemodel")
    *table, path = result.stdout.splitlines()
    assert table[-1].endswith("is SqueezeNet v1.1")
    assert path == str(home / "networks" / "squeezenet-v1.1.keras")
    assert "Next: imgnn style content.jpg style.jpg -o out.png --network squeezenet-v1.1\n" in result.stderr
    assert max(map(len, table)) <= 80


def test_json_holds_the_whole_table(cli, little, tiny_image):
    result = cli("convert", little, "--json", "--verify", tiny_image)
    told = json.loads(result.stdout)
    assert told["layers"][0] == {
        "layer": "conv", "status": "loaded", "blobs": [[4, 3, 3, 3], [4]], "keras": [[3, 3, 3, 4], [4]], "why": None,
    }  # fmt: skip
    assert told["verification"]["ok"] is True
    assert [row["blob"] for row in told["verification"]["blobs"]] == ["conv", "conv", "fc"]


def test_verify_prints_each_blob_beside_the_second_opinion(cli, shared, tmp_path):
    samples = shared / "caffe_samples"
    result = cli(
        "convert", samples / "det1.caffemodel", samples / "det1.prototxt", "-o", tmp_path / "det1.keras",
        "--verify", shared / "photos" / "cat.jpg",
    )  # fmt: skip
    assert result.exit_code == 0
    rows = [line.split()[:3] for line in result.stdout.splitlines() if line.strip()]
    assert ["conv1", "Convolution", "1x10x10x10"] in rows  # each of the two that write the blob conv1
    assert ["PReLU1", "PReLU", "1x10x10x10"] in rows
    assert "against OpenCV 4" in result.stdout or "against NumPy reference" in result.stdout


def test_googlenets_comparison_fits_into_80_columns_with_whole_names(cli, shared):
    cat = shared / "photos" / "cat.jpg"
    result = cli("convert", shared / "weights" / "bvlc_googlenet.caffemodel", "--verify", cat, env={"COLUMNS": "80"})
    lines = result.stdout.partition("Output of")[2].splitlines()
    row = next(line for line in lines if line.startswith("inception_5b/relu_3x3_reduce "))
    assert row.split()[1:3] == ["ReLU", "1x192x7x7"]
    assert max(len(line) for line in lines if "googlenet.keras" not in line) <= 80


def test_without_opencv_it_is_said_how_to_get_it(cli, little, tiny_image, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)  # as if it were not installed
    result = cli("convert", little, "--verify", tiny_image)
    assert "against NumPy reference (OpenCV is not installed)" in result.stdout
    assert "pip install 'opencv-python-headless<5'" in result.stderr


def test_a_failure_is_told_without_the_notes_before_it(cli, little):
    (little.parent / "other.prototxt").write_text(PLAIN.replace("num_output: 4", "num_output: 6"))
    result = cli("convert", little, "other.prototxt")
    assert (result.exit_code, result.stdout) == (1, "")
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["Error", "Try"]


def test_a_blob_that_differs_is_a_failure(cli, little, tiny_image, monkeypatch):
    from imgnn.caffe.verify import Verification

    monkeypatch.setattr(Verification, "ok", lambda self, tolerance=0.0: False)
    result = cli("convert", little, "--verify", tiny_image)
    assert result.exit_code == 1
    assert "differs from" in result.stderr
    assert "the file was written nevertheless: little.keras" in result.stderr


def test_an_unknown_layer_is_one_line_and_a_hint(cli, little):
    little.write_bytes(encode_net(NET, BLOBS))
    result = cli("convert", little)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: layer odd (Odd")
    assert cli("convert", little, "--until", "odd").exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.caffemodel"], "Error: no such file: nowhere.caffemodel"),
        (["."], "Error: . is a folder, not a .caffemodel file"),
        (["little.caffemodel", "-o", "nowhere/a.keras"], "Error: cannot write nowhere/a.keras: there is no folder"),
        (["little.caffemodel", "--verify", "nowhere.jpg"], "Error: no such file: nowhere.jpg"),
        (["little.caffemodel", "--network", "vgg91"], "Error: no network is called 'vgg91'; did you mean 'vgg19'"),
        (["little.caffemodel", "--mean", "a,b,c"], "Error: --mean takes numbers, as 104,117,123, or a file; 'a,b,c'"),
    ],
)
def test_mistakes_are_one_line(cli, little, words, message):
    result = cli("convert", *words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-2 if "Try: " in result.stderr else -1].startswith(message)


@pytest.mark.parametrize(
    ("words", "told"),
    [(["-o", "a.h5"], "the converted file is a .keras file"), (["--scale", 0], "--scale is a factor other than 0")],
)
def test_what_is_wrong_in_the_command_line_alone_is_a_usage_error(cli, little, words, told):
    result = cli("convert", "little.caffemodel", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in " ".join(result.stderr.replace("│", " ").split())
