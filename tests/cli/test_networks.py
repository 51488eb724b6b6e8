"""`imgnn networks`, as it is typed."""

import json
import subprocess
import sys

import pytest
from rich.console import Console
from rich.table import Table

from imgnn.cli import console
from imgnn.networks import applications, registry


def test_the_list_shows_every_network_in_80_columns(cli, home):
    result = cli("networks", env={"COLUMNS": "80"})
    assert result.exit_code == 0
    assert all(any(line.split()[:1] == [name] for line in result.stdout.splitlines()) for name in registry.names())
    table = [line for line in result.stdout.splitlines() if str(home) not in line]
    assert max(map(len, table)) <= 80


def test_the_list_says_what_is_on_this_machine(cli, home):
    (home / "networks").mkdir()
    (home / "networks" / "vgg16.keras").write_bytes(b"")
    table = cli("networks").stdout.partition("Of keras")[0]
    lines = {line.split()[0]: line for line in table.splitlines() if line.strip()}
    assert lines["mini"].rstrip().endswith("in the package")
    assert lines["vgg16"].rstrip().endswith("here")
    assert lines["vgg19"].rstrip().endswith("575 MB to get")
    assert lines["resnet50"].rstrip().endswith("by hand")


def test_the_networks_of_keras_are_listed_and_those_that_are_here_marked(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    path = applications.find("vgg19").weights_path()
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    words = cli("networks").stdout.partition("keras:NAME")[2].split()
    assert "vgg19*" in words and "vgg16" in words and "convnext_xlarge" in words
    states = {each["name"]: each["state"] for each in json.loads(cli("networks", "--json").stdout)}
    assert (states["keras:vgg19"], states["keras:vgg16"]) == ("here", "download")


def test_the_head_of_a_table_says_where_the_network_comes_from(cli):
    head = " ".join(cli("networks", "vgg19").stdout.partition("Layer")[0].split())
    assert "paper: Very Deep Convolutional Networks" in head
    assert "licence: CC BY 4.0" in head
    assert "published: top-5 92.5 %" in head
    assert "weights: 575 MB to get from http://www.robots.ox.ac.uk" in head
    assert "to get by hand" in cli("networks", "resnet50").stdout
    packaged = " ".join(cli("networks", "mini").stdout.partition("Layer")[0].split())
    assert "licence: Apache-2.0" in packaged
    assert "weights: in the package" in packaged


def test_the_list_wakes_no_keras():
    code = "import sys; from imgnn.cli.networks import networks; networks(); print('keras' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "False"


def test_the_longest_names_fit_into_80_columns(cli):
    result = cli("networks", "googlenet", env={"COLUMNS": "80"})
    lines = result.stdout.splitlines()
    # An address is not broken, so that it can be copied.
    assert max(len(line) for line in lines if "http" not in line) <= 80
    row = next(line for line in lines if line.startswith("inception_5b/relu_3x3_reduce"))
    assert row.split()[1:3] == ["ReLU", "7x7x192"]
    assert "143 layers, 6,998,552 parameters, 1.6G MACs" in result.stdout


def test_a_row_tells_window_receptive_field_and_cost(cli):
    rows = {line.split()[0]: line.split() for line in cli("networks", "vgg19").stdout.splitlines() if line.strip()}
    assert rows["conv1_1"] == ["conv1_1", "Convolution", "224x224x64", "3x3+1", "3", "1.8k", "86.7M"]
    assert rows["pool5"] == ["pool5", "Pooling", "MAX", "7x7x512", "2x2/2", "268", "-", "-"]


def test_a_size_that_does_not_fit_is_said(cli):
    result = cli("networks", "vgg19", "--size", "300x400")
    assert result.exit_code == 0
    assert "fc6 wants 7 x 7 x 512 and would get 10 x 13 x 512" in " ".join(result.stdout.split())


def test_roles_of_layers_that_the_size_leaves_out_are_not_shown(cli):
    whole, small = cli("networks", "vgg19").stdout, cli("networks", "vgg19", "--size", 4).stdout
    assert "classifier: fc8" in whole
    assert "features: fc7" in whole
    assert "fc7" not in small
    assert "classifier:" not in small
    assert "content: relu4_2" in small


def test_a_plus_after_an_accuracy_is_explained(cli):
    assert '80.3+ is "80.3 % or more"' in cli("networks").stdout


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_long_name_loses_its_middle_on_a_narrow_screen_and_nothing_in_a_pipe(is_terminal, monkeypatch, capsys):
    monkeypatch.setattr(console, "out", Console(width=40, force_terminal=is_terminal, color_system=None))
    table = Table("Layer", "Type", box=None)
    table.add_row(console.Name("convnext_tiny_stage_0_block_1_pointwise_conv_2"), "InnerProduct")
    console.print_table(table)
    name = capsys.readouterr().out.splitlines()[1].split()[0]
    assert name == ("convnex…pointwise_conv_2" if is_terminal else "convnext_tiny_stage_0_block_1_pointwise_conv_2")


def test_json_of_the_list_and_of_a_table(cli):
    listed = json.loads(cli("networks", "--json").stdout)
    assert [each["name"] for each in listed] == [*registry.names(), *applications.names()]
    assert all(each.keys() == listed[0].keys() for each in listed)
    told = json.loads(cli("networks", "squeezenet", "--size", "300", "--json").stdout)
    assert (told["name"], told["size"], told["parameters"]) == ("squeezenet-v1.1", [300, 300], 1_235_496)
    assert told["layers"][1]["kernel"] == [3, 3]


@pytest.mark.parametrize("words", [["vgg19", "--size", "tall"], ["vgg19", "--size", "0x4"], ["--size", "300"]])
def test_a_size_that_is_none_is_a_usage_mistake(cli, words):
    result = cli("networks", *words)
    assert result.exit_code == 2
    assert "--size" in result.stderr


def test_an_unknown_network_is_one_line(cli):
    result = cli("networks", "vgg18")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: no network is called 'vgg18'; did you mean 'vgg1")


def test_a_folder_is_no_network(cli, tmp_path, tiny_image):
    for words in (["networks", tmp_path], ["classify", tiny_image, "--network", tmp_path]):
        assert cli(*words).stderr == f"Error: {tmp_path} is a folder, not the file of a network\n"
