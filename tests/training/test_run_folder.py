import json
from dataclasses import fields
from pathlib import Path

import pytest

from imgnn.errors import InputError
from imgnn.options import FinetuneOptions, TrainBokeOptions, TrainCaptionOptions
from imgnn.training.run_folder import (
    CONFIG,
    as_network,
    is_run,
    options_from,
    read_config,
    stored_options,
    write_config,
)


def test_a_config_comes_back_as_it_was_written(tmp_path):
    config = {"kind": "classifier", "classes": ["daisy", "ひまわり"], "val": None}
    write_config(tmp_path, config)
    assert read_config(tmp_path) == {"format": "imgnn run", "version": 1, **config}
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    assert is_run(tmp_path) and is_run(str(tmp_path))


def test_a_config_that_cannot_be_written_leaves_the_old_one(tmp_path):
    write_config(tmp_path, {"kind": "classifier"})
    with pytest.raises(TypeError):
        write_config(tmp_path, {"kind": object()})
    assert read_config(tmp_path)["kind"] == "classifier"
    with pytest.raises(InputError, match="cannot write"):
        write_config(tmp_path / "nowhere", {})


@pytest.mark.parametrize("kind", [FinetuneOptions, TrainCaptionOptions, TrainBokeOptions])
def test_options_come_back_from_a_config_with_their_paths_and_tuples(tmp_path, kind):
    given = {each.name: Path("/data", each.name) for each in fields(kind) if "Path" in str(each.type)}
    given |= {"layers": ("a", "b")} | ({"rates": (("conv*", 2.0),)} if kind is FinetuneOptions else {})
    options = kind(**given)
    write_config(tmp_path, {"kind": "classifier", "options": stored_options(options)})
    assert options_from(read_config(tmp_path)["options"], kind) == options


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"format": "imgnn ru', r"config\.json is damaged: "),
        ("\xff", "is no run of imgnn|is damaged"),
        ("[]", r"is no run of imgnn: its config\.json belongs to something else"),
        ('{"model_type": "bert"}', r"its config\.json belongs to something else"),
        ('{"format": "imgnn run"}', r"its config\.json belongs to something else"),
        ('{"format": "imgnn run", "version": 2}', "is a run of version 2, this imgnn reads up to 1"),
    ],
)
def test_what_is_no_run_is_told_in_one_line(tmp_path, content, message):
    (tmp_path / CONFIG).write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=message) as caught:
        read_config(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_a_file_and_nothing_are_told_apart(tmp_path):
    (tmp_path / "best.keras").write_bytes(b"")
    for path, message in (
        (tmp_path, rf"{tmp_path} is no run of imgnn: there is no config\.json in it"),
        (tmp_path / "best.keras", r"best\.keras is a file, not a run"),
        (tmp_path / "nowhere", r"no such folder: .*nowhere"),
    ):
        assert not is_run(path)
        with pytest.raises(InputError, match=message):
            read_config(path)


def test_a_run_of_a_later_imgnn_is_a_run_nevertheless(tmp_path):
    (tmp_path / CONFIG).write_text(json.dumps({"format": "imgnn run", "version": 99}))
    assert is_run(tmp_path)


def test_a_run_of_another_kind_is_told_with_its_maker(tmp_path):
    write_config(tmp_path, {"kind": "caption"})
    with pytest.raises(InputError, match="is a run of imgnn train caption; one of imgnn finetune is wanted"):
        read_config(tmp_path, "classifier")
    assert read_config(tmp_path, "caption") == read_config(tmp_path)


def test_a_run_that_is_called_like_a_network_is_still_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("googlenet", "flowers"):
        (tmp_path / name).mkdir()
        write_config(tmp_path / name, {"kind": "classifier"})
    assert as_network("googlenet").replace("\\", "/") == "./googlenet"
    assert as_network("flowers") == "flowers"
    assert as_network(tmp_path / "googlenet") == str(tmp_path / "googlenet")
