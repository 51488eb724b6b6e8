import csv
import io
import json

import pytest
from PIL import Image

from imgnn.cli import console
from imgnn.images.files import check_readable
from imgnn.jobs import classify as job
from imgnn.jobs.classify import Classified
from imgnn.networks.predict import Prediction
from tests.training.made import make_run, paint

TABBY = Prediction(281, 0.41769, "n02123045", "tabby, tabby cat")
OWN_CLASS = Prediction(3, 0.25)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Two pictures whose names ask for trouble, and a job that sees a cat in each."""
    paths = [tmp_path / "[bold]x[1].png", tmp_path / "grüße.png"]
    for path in paths:
        Image.new("RGB", (4, 4)).save(path)
    monkeypatch.setattr(job, "load_network", lambda name, reporter: name)
    monkeypatch.setattr(job, "classify_images", see_cats)
    return paths


def see_cats(paths, options, reporter):
    see_cats.options = options
    for path in job.find_images(paths):
        try:
            check_readable(path)
            yield Classified(path, (TABBY, OWN_CLASS)[: options.top])
        except job.InputError as error:
            yield Classified(path, error=error)


def test_in_a_pipe_each_class_is_a_row(cli, photos):
    result = cli("classify", *photos)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "".join(f"{path}\t0.418\ttabby, tabby cat\n{path}\t0.250\tclass 3\n" for path in photos)


def test_pictures_come_from_patterns_and_lists(cli, photos, tmp_path):
    (tmp_path / "list.txt").write_text("\n".join(map(str, photos)), encoding="utf-8")
    each = cli("classify", *photos, "--top", 1).stdout
    assert cli("classify", tmp_path / "*.png", "--top", 1).stdout == each
    assert cli("classify", "--list", tmp_path / "list.txt", "--top", 1).stdout == each


def test_a_table_has_a_row_for_each_class(cli, photos, tmp_path):
    result = cli("classify", *photos, "-o", tmp_path / "cats.csv")
    assert result.stdout == f"{tmp_path / 'cats.csv'}\n"
    rows = list(csv.DictReader(io.StringIO((tmp_path / "cats.csv").read_text(encoding="utf-8"))))
    assert [(row["file"], row["rank"], row["class_index"], row["words"]) for row in rows[1:3]] == [
        (str(photos[0]), "2", "3", ""),
        (str(photos[1]), "1", "281", "tabby, tabby cat"),
    ]
    listed = json.loads(cli("classify", *photos, "--format", "json").stdout)
    assert [each["file"] for each in listed] == [str(path) for path in photos]


def test_json_is_one_object_a_line(cli, photos):
    result = cli("classify", photos[0].parent, "--json", "--top", 1, "--network", "vgg16")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["file"] for line in lines] == [str(path) for path in photos]
    assert lines[0] == {
        "file": str(photos[0]),
        "network": "vgg16",
        "predictions": [{"class_index": 281, "prob": 0.41769, "wnid": "n02123045", "words": "tabby, tabby cat"}],
    }


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\0"])
def test_a_list_may_come_on_standard_input(cli, photos, ending):
    result = cli("classify", "-", "--json", input=ending.join(map(str, photos)) + ending)
    assert [json.loads(line)["file"] for line in result.stdout.splitlines()] == [str(path) for path in photos]


def test_a_bad_picture_is_told_and_the_others_are_seen(cli, photos, tmp_path):
    result = cli("classify", photos[0], tmp_path / "missing.png", photos[1])
    assert result.exit_code == 1
    assert result.stdout.count("tabby, tabby cat") == 2
    assert result.stderr.splitlines() == [
        f"Skipped: no such file: {tmp_path / 'missing.png'}",
        "Error: 1 of 3 pictures could not be read",
    ]
    lines = cli("classify", photos[0], tmp_path / "missing.png", photos[1], "--json").stdout.splitlines()
    missing = str(tmp_path / "missing.png")
    assert json.loads(lines[1]) == {"file": missing, "error": f"no such file: {missing}"}


def test_a_list_without_lines_is_told(cli):
    result = cli("classify", "-", input="\n")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: no picture was named\n"


def test_no_picture_at_all_is_a_usage_error(cli):
    assert cli("classify").exit_code == 2
    assert cli("classify", "a.png", "--top", 0).exit_code == 2


def test_options_reach_the_job(cli, photos):
    cli("classify", photos[0], "--oversample", "--batch", 3, "--network", "googlenet")
    options = see_cats.options
    assert (options.network, options.top, options.oversample, options.batch) == ("googlenet", 5, True, 3)


def test_long_words_are_cut_on_a_screen(cli, photos, monkeypatch, capsys):
    from rich.console import Console

    from imgnn.cli.classify import show

    long = Classified(photos[0], (Prediction(7, 0.5, "n00000007", "word " * 30),))
    monkeypatch.setattr(console, "out", Console(width=60, force_terminal=True, color_system=None))
    show(long)
    line = capsys.readouterr().out.splitlines()[-1]
    assert len(line) == 60
    assert line.endswith("…  (n00000007, 7)")


def test_a_name_that_is_no_utf8_is_shown(cli, tmp_path, photos):
    bad = bytes(tmp_path) + b"/caf\xe9.png"
    try:
        with open(bad, "wb"):  # noqa: PTH123  a name of bytes
            pass
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    result = cli("classify", "-", input=bad + b"\n")
    assert result.exit_code == 0
    assert result.stdout.split("\t")[0].endswith("/caf\ufffd.png")


def test_a_run_is_its_best_network(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "colours_run")
    paint(tmp_path / "sky.png", (0, 0, 255))
    lines = {option: cli("classify", "sky.png", option, "colours_run") for option in ("--run", "--network")}
    assert lines["--run"].stdout == lines["--network"].stdout
    # e⁴ / (e⁴ + 2), and 1 / (e⁴ + 2)
    assert lines["--run"].stdout == "sky.png\t0.965\tblue\nsky.png\t0.018\tred\nsky.png\t0.018\tgreen\n"
    assert json.loads(cli("classify", "sky.png", "--run", "colours_run", "--json").stdout)["network"] == "colours_run"


def test_a_run_and_a_network_are_one_too_many(cli, photos):
    result = cli("classify", photos[0], "--run", "somewhere", "--network", "googlenet")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--run" in result.stderr


def test_a_run_that_is_not_there_is_one_line(cli, photos, tmp_path):
    result = cli("classify", photos[0], "--run", tmp_path / "nowhere")
    assert (result.exit_code, result.stderr.splitlines()) == (
        1,
        [f"Error: no such folder: {tmp_path / 'nowhere'}", "Try: the folder that imgnn finetune wrote"],
    )


def test_a_run_that_has_no_network_yet_says_how_it_gets_one(cli, tmp_path, tiny_image):
    run = make_run(tmp_path / "run", trained=False)
    result = cli("classify", tiny_image, "--run", run)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[1] == f"Try: imgnn finetune --resume {run}"
