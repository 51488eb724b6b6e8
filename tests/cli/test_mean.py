import json

import numpy as np
import pytest
from PIL import Image

from imgnn.errors import InterruptedRun
from imgnn.jobs import mean as job


@pytest.fixture
def listed(tmp_path):
    """A list of a red and a blue picture."""
    for name, colour in (("red", (200, 0, 0)), ("blue", (0, 0, 100))):
        Image.new("RGB", (8, 8), colour).save(tmp_path / f"{name}.png")
    (tmp_path / "two.txt").write_text("red.png 0\nblue.png 1\n")
    return tmp_path / "two.txt"


def test_the_numbers_and_the_files_are_shown(cli, listed):
    result = cli("mean", listed, "--size", 8)
    assert result.exit_code == 0
    shown = [line.split() for line in result.stdout.splitlines()]
    assert shown[:3] == [
        ["blue", "green", "red"],
        ["mean", "50.00", "0.00", "100.00"],
        ["deviation", "50.00", "0.00", "100.00"],
    ]
    assert "2 of 2 pictures, 8 x 8, caffe" in result.stdout
    assert result.stdout.splitlines()[-1] == str(listed.parent / "two_mean.json")
    assert "pictures" in result.stderr


def test_json_is_the_record(cli, listed):
    result = cli("mean", listed, "--json", "-o", listed.parent / "other_mean.npy", "--size", "8x4", "--crop", "square")
    record = json.loads(result.stdout)
    assert (record["size"], record["crop"], record["bgr"]["mean"]) == ([8, 4], "square", [50.0, 0.0, 100.0])
    assert record.pop("path") == str(listed.parent / "other_mean.json")
    assert record == json.loads((listed.parent / "other_mean.json").read_text())


def test_parts_are_made_and_merged(cli, listed):
    for number in (1, 2):
        part = cli("mean", listed, "--shard", f"{number}/2", "-o", listed.parent / f"part{number}")
        assert part.stdout == f"{listed.parent / f'part{number}.npz'}\n"
    parts = [listed.parent / f"part{number}.npz" for number in (2, 1)]
    merged = cli("mean", "--merge", *parts, "-o", listed.parent / "two_mean", "--json")
    assert json.loads(merged.stdout)["used"]["pictures"] == 2
    lost = cli("mean", "--merge", parts[0], "-o", listed.parent / "two_mean")
    assert (lost.exit_code, lost.stdout) == (1, "")
    assert lost.stderr == "Error: part 1 of 2 is missing\nTry: imgnn mean two.txt --shard 1/2 writes it\n"


def test_dropped_pictures_are_a_note_and_no_failure(cli, listed):
    (listed.parent / "red.png").write_text("<html>")
    result = cli("mean", listed)
    assert result.exit_code == 0
    assert f"dropped 1 not image: see {listed.parent / 'two_dropped_from_mean.txt'}" in result.stderr


def test_a_missing_list_is_one_line(cli, tmp_path):
    result = cli("mean", tmp_path / "no.txt")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"Error: no such file: {tmp_path / 'no.txt'}\n"


@pytest.mark.parametrize(
    "words",
    [
        ("a.txt", "b.txt"),
        ("a.txt", "--size", "0"),
        ("a.txt", "--size", "big"),
        ("a.txt", "--shard", "4/3"),
        ("a.npz", "--merge"),
        ("a.npz", "--merge", "-o", "x", "--shard", "1/2"),
        ("a.npz", "--merge", "-o", "x", "--size", "32"),
        ("a.txt", "--crop", "round"),
        ("a.txt", "--workers", "0"),
    ],
)
def test_a_mistyped_command_is_a_usage_error(cli, words):
    assert cli("mean", *words).exit_code == 2


def test_an_interrupted_pass_says_how_to_go_on(cli, listed, monkeypatch):
    def interrupted(*_, **__):
        raise InterruptedRun("64 of 100 pictures were read", hint="the same command goes on from there")

    monkeypatch.setattr(job, "read_pictures", interrupted)
    result = cli("mean", listed)
    assert result.exit_code == 130
    assert result.stderr == "Interrupted: 64 of 100 pictures were read\nTry: the same command goes on from there\n"


def test_parts_are_merged_in_the_folder_that_holds_the_pictures(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(4):
        (tmp_path / "big").mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype="uint8")
        Image.fromarray(pixels).save(tmp_path / "big" / f"{number}.png")
    (tmp_path / "big.txt").write_text("".join(f"big/{number}.png 0\n" for number in range(4)))
    for part in (1, 2):
        cli("mean", "big.txt", "--size", "8", "--shard", f"{part}/2", "-o", f"part{part}")
    result = cli("mean", "--merge", "part1.npz", "part2.npz", "-o", "big_mean")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "big_mean.npy").is_file()
