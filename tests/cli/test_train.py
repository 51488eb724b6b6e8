"""`imgnn train caption`, as it is typed."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgnn.cli.train_options import run_name
from imgnn.data.caption_files import read_captions
from imgnn.errors import DivergedError, InterruptedRun
from imgnn.jobs.caption_run import CaptionTraining
from imgnn.networks.files import save_network
from imgnn.runs import Stopped
from imgnn.training.run_folder import read_config
from imgnn.training.sentence_trainer import SentenceTrainer
from tests.training.made import COLOURS, make_network

QUICK = (
    "--layers", "conv1", "--minimum", 1, "--hidden", 8, "--embedding", 8, "--epochs", 2, "--batch", 8,
    "--learning-rate", 0.02, "--precision", "float32",
)  # fmt: skip


def write_data(folder):
    """captions.jsonl with 12 pictures to train on and 6 to judge by; every caption names its picture's colour."""
    random, records = np.random.default_rng(3), []
    for split, count in (("train", 4), ("val", 2)):
        for colour, values in COLOURS.items():
            for number in range(count):
                name = f"{split}_{colour}_{number}.png"
                noisy = np.array(values) * 0.6 + 50 + random.normal(0, 30, (24, 24, 3))
                Image.fromarray(np.clip(noisy, 0, 255).astype("uint8")).save(folder / name)
                records.append({"image": name, "split": split, "captions": [f"a {colour} one", f"it is {colour}"]})
    path = folder / "captions.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The file of a small network."""
    path = tmp_path_factory.mktemp("network") / "colours.keras"
    save_network(make_network(), path)
    return str(path)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """In this folder: captions.jsonl and its pictures."""
    monkeypatch.chdir(tmp_path)
    return write_data(tmp_path)


@pytest.fixture
def train(cli, small, data):
    """`imgnn train caption` on it, with the small network."""

    def run(*words, **options):
        return cli("train", "caption", "captions.jsonl", "--network", small, *QUICK, *words, **options)

    return run


@pytest.fixture
def look(cli, data):
    """`imgnn train caption` on it, without a network."""

    def run(*words, **options):
        return cli("train", "caption", "captions.jsonl", *words, **options)

    return run


@pytest.fixture(scope="module")
def trained(small, tmp_path_factory):
    """A run that is done; and what the command said on a screen of 80 columns."""
    from typer.testing import CliRunner

    from imgnn.cli.app import app

    folder = tmp_path_factory.mktemp("runs")
    data = write_data(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMGNN_HOME", str(folder / "home"))
        patch.chdir(folder)
        words = ["train", "caption", data, "--network", small, *QUICK, "--epochs", 12, "-o", "my run"]
        result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "80"})
    return folder / "my run", result


def usage(result, *told):
    """Whether it is a usage error that says so."""
    assert (result.exit_code, result.stdout) == (2, ""), (result.stderr, result.exception)
    shown = " ".join(result.stderr.replace("│", " ").split())
    for words in told:
        assert words in shown


def refused(result, message, hint=None):
    """Whether it failed with one line, and one for the hint."""
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert (result.exit_code, result.stdout, len(errors)) == (1, "", 1), (result.exception, result.stderr)
    assert message in errors[0]
    if hint is not None:
        assert result.stderr.splitlines()[-1] == f"Try: {hint}"


# What it shows


def test_a_run_tells_what_came_of_it_and_what_to_type_next(trained):
    run, result = trained
    assert result.exit_code == 0, result.stderr
    *lines, folder = result.stdout.splitlines()
    assert [line[:12].strip() for line in lines] == [
        "CIDEr-D", "by epoch", "perplexity", "image gain", "captions", "trained", "curves",
    ]  # fmt: skip
    assert max(map(len, lines)) <= 80
    for words in ("of 12, 6 pictures of val)", "nats per token)", "different, for 6 pictures", "my run/curves.png"):
        assert words in result.stdout
    assert folder == "my run"
    assert "Next: imgnn caption photo.jpg --model 'my run'\n" in result.stderr
    assert f"Next: imgnn evaluate caption {run.parent / 'captions.jsonl'} --model 'my run'\n" in result.stderr


def test_progress_is_told_epoch_by_epoch_on_the_other_stream(trained):
    lines = trained[1].stderr.splitlines()
    assert [line.partition(":")[0] for line in lines if line.startswith("Features")] == [
        "Features (train)", "Features (mirrored)", "Features (val)",
    ]  # fmt: skip
    told = [line.partition(":")[0] for line in lines if line.startswith(("epoch", "Training"))]
    assert told == [*(f"epoch {number}" for number in range(1, 13)), "Training"]


def test_what_it_says_next_can_be_typed(cli, trained, monkeypatch):
    monkeypatch.chdir(trained[0].parent)
    for words in (("caption", "val_red_0.png"), ("evaluate", "caption", "captions.jsonl")):
        result = cli(*words, "--model", "my run")
        assert result.exit_code == 0, result.stderr


def test_the_command_is_kept_in_the_run(trained):
    assert read_config(trained[0])["command"].split()[0] == "imgnn"


def test_the_result_as_json_is_one_object(train):
    result = train("--json", "-o", "run")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    for name in ("cider_d", "bleu_4", "image_gain", "perplexity", "seconds", "tokens_per_second"):
        assert isinstance(told.pop(name), float | int)
    assert told.pop("epoch") in (1, 2)
    assert 1 <= told.pop("distinct") <= 6
    assert isinstance(told.pop("warnings"), list)
    assert told == {"path": "run", "pictures": 6, "averaged": 0, "epochs": 2, "skipped": []}


def test_every_option_of_training_arrives(train):
    words = [
        "--cell", "gru", "--depth", 2, "--tied", "--schedule", "one-cycle", "--dropout", 0.2, "--clip", 0,
        "--weight-decay", 0.01, "--smoothing", 0.1, "--scheduled-sampling", "25%", "--average", 0, "--finetune-after",
        1, "--network-rate", 0.0001, "--longest", 7, "--no-mirror", "--size", 16, "--seed", 4, "--patience", 0,
        "--save-every", "5m", "--workers", 1, "--val-share", 0.3, "--form", "jsonl", "--images", ".", "-o", "run",
    ]  # fmt: skip
    result = train(*words)
    assert result.exit_code == 0, result.stderr
    kept = read_config("run")["options"]
    wanted = {
        "cell": "gru", "depth": 2, "tied": True, "schedule": "one-cycle", "dropout": 0.2, "clip": 0.0,
        "weight_decay": 0.01, "smoothing": 0.1, "scheduled_sampling": 0.25, "average": 0, "finetune_after": 1,
        "network_rate": 0.0001, "longest": 7, "mirror": False, "size": 16, "seed": 4, "patience": None,
        "save_every": 300.0, "workers": 1, "val_share": 0.3, "form": "jsonl", "images": str(Path.cwd()), "hidden": 8,
        "embedding": 8, "epochs": 2, "batch": 8, "learning_rate": 0.02, "precision": "float32", "minimum": 1,
        "layers": ["conv1"], "features": None, "skip_missing": False,
    }  # fmt: skip
    assert {name: kept[name] for name in wanted} == wanted
    assert kept.keys() == wanted.keys() | {"network"}


def test_help_wakes_nothing_heavy():
    code = "import sys; from imgnn.cli.app import app; app(standalone_mode=False); print([*sys.modules])"
    words = ("train", "caption", "--help")
    result = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    for module in ("keras", "tensorflow", "numpy"):
        assert f"'{module}'" not in result.stdout


def test_a_run_is_named_after_its_captions_and_does_not_replace_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_name(Path("photos/Flickr8k.token.txt")) == Path("Flickr8k_run")
    (tmp_path / "photos").mkdir()
    assert run_name(Path("photos/")) == Path("photos_run")
    (tmp_path / "photos_run").mkdir()
    (tmp_path / "photos_run_2").touch()
    assert run_name(Path("photos")) == Path("photos_run_3")
    assert run_name(Path()).name == f"{tmp_path.name}_run"


def test_without_a_name_the_run_is_called_after_the_captions(train):
    assert train("--epochs", 1).exit_code == 0
    assert read_config("captions_run")["kind"] == "caption"


# Only to look


def test_check_tells_what_is_in_the_data(look):
    result = look("--check", "--minimum", 1, env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "captions captions.jsonl (jsonl)" in lines
    # red, green, blue, and a, one, it, is
    assert "vocabulary 7 words seen 1 times or more in train, of 7" in lines
    assert "train 12 24 2.0 3 3 3 3 0.0 %" in lines
    assert "val 6 12 2.0 3 3 3 3 0.0 %" in lines
    assert any(line.startswith("said of 4 pictures: a ") or "6 pictures: " in line for line in lines)


def test_check_as_json_is_one_object(look):
    told = json.loads(look("--check", "--json", "--minimum", 1).stdout)
    assert (told["form"], told["vocabulary"], told["splits"]["train"]["captions"]) == ("jsonl", 7, 24)
    assert all(each["severity"] != "error" for each in told["findings"])


def test_check_ends_with_1_if_there_is_an_error(look, data):
    for path in data.parent.glob("*.png"):
        path.write_bytes(b"no picture")
    result = look("--check")
    assert result.exit_code == 1
    assert "Error" in result.stdout
    assert result.stderr.splitlines()[-1].startswith("Error: captions.jsonl cannot be trained on as it is: ")
    result = look("--check", "--json")
    assert result.exit_code == 1
    assert any(each["severity"] == "error" for each in json.loads(result.stdout)["findings"])


def test_check_wakes_no_keras(data):
    code = "import sys; from imgnn.cli.app import app; app(standalone_mode=False); print([*sys.modules])"
    words = ("train", "caption", str(data), "--check", "--json")
    result = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert "'keras'" not in result.stdout and "'tensorflow'" not in result.stdout


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("x.jsonl", None), ("x.json", None), ("x.json", "coco"), ("x.json", "neuraltalk2"), ("x.csv", None),
        ("x.tsv", None), ("x.token.txt", None),
    ],
    ids=str,
)  # fmt: skip
def test_captions_are_written_in_other_forms_and_read_again(look, data, name, form):
    result = look("--write", name, *(["--write-form", form] if form else []))
    assert (result.exit_code, result.stdout) == (0, f"{name}\n"), result.stderr
    one, other = read_captions(data), read_captions(Path(name))
    assert other.digest == one.digest


def test_what_has_no_split_is_written_without_one(look, data):
    records = [json.loads(line) for line in data.read_text().splitlines()]
    data.write_text(
        "".join(json.dumps({"image": each["image"], "captions": each["captions"]}) + "\n" for each in records)
    )
    assert look("--write", "x.csv").exit_code == 0
    with Path("x.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 36
    assert {row["split"] for row in rows} == {"train"}


def test_a_form_that_is_not_known_by_its_suffix_is_refused(look):
    refused(look("--write", "x.xml"), "found the suffix '.xml'")


# Resume


def test_ctrl_c_is_130_and_resume_goes_on(train, cli, monkeypatch):
    end_epoch = CaptionTraining.end_epoch

    def interrupted(self, *given):
        end_epoch(self, *given)
        if self.position.epoch == 1:
            raise Stopped

    monkeypatch.setattr(CaptionTraining, "end_epoch", interrupted)
    result = train("-o", "run")
    assert (result.exit_code, result.stdout) == (InterruptedRun.exit_code, "")
    assert result.stderr.splitlines()[-2:] == [
        "Interrupted: saved at step 0 of epoch 2, in run", "Try: imgnn train caption --resume run",
    ]  # fmt: skip
    monkeypatch.setattr(CaptionTraining, "end_epoch", end_epoch)
    result = cli("train", "caption", "--resume", "run", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["epochs"] == 2


def test_resume_wants_a_run(cli, tmp_path):
    refused(
        cli("train", "caption", "--resume", tmp_path), "is no run of imgnn", "the folder that imgnn train caption wrote"
    )
    refused(cli("train", "caption", "--resume", "nowhere"), "no such folder: nowhere")


# What does not go together


@pytest.mark.parametrize("words", [["--epochs", 3], ["--check"], ["--no-mirror"], ["-o", "other"], ["--minimum", 2]])
def test_resume_goes_with_no_other_option(cli, words):
    usage(
        cli("train", "caption", "--resume", "run", *words),
        "--resume",
        f"does not go with {words[0].replace('-o', '--output').replace('--no-mirror', '--mirror')}",
    )


def test_resume_knows_its_captions(look):
    usage(look("--resume", "run"), "--resume does not go with DATA")


@pytest.mark.parametrize("alone", [["--check"], ["--write", "x.csv"]])
@pytest.mark.parametrize("words", [["--epochs", 3], ["-o", "run"], ["--network", "googlenet"], ["--features", "x.mat"]])
def test_looking_goes_with_no_option_of_training(look, alone, words):
    usage(look(*alone, *words), "does not go with --")


def test_a_form_to_write_goes_with_write(look):
    usage(look("--write-form", "coco"), "--write-form goes with --write")


@pytest.mark.parametrize(
    "words",
    [
        ["--layers", "a,,b"],
        ["--layers", ""],
        ["--epochs", 0],
        ["--batch", 0],
        ["--dropout", 1],
        ["--dropout", "nan"],
        ["--smoothing", -0.1],
        ["--val-share", 1],
        ["--clip", -1],
        ["--clip", "inf"],
        ["--learning-rate", 0],
        ["--network-rate", 0],
        ["--scheduled-sampling", 2],
        ["--patience", -1],
        ["--finetune-after", -1],
        ["--minimum", 0],
        ["--longest", 0],
        ["--size", 8],
        ["--cell", "rnn"],
        ["--form", "xml"],
        ["--schedule", "step"],
        ["--save-every", "soon"],
        ["--seed", -1],
    ],
    ids=lambda words: " ".join(map(str, words)),
)
def test_a_bad_option_is_a_usage_error(look, words):
    usage(look(*words))


def test_captions_are_expected(cli):
    usage(cli("train", "caption"), "DATA is expected")
    assert "train caption" in " ".join(cli("train").stderr.split() + cli("train").stdout.split())


# What can go wrong


def test_what_is_not_there_is_one_line(cli, train, look):
    refused(cli("train", "caption", "nowhere.jsonl"), "no such file or folder: nowhere.jsonl")
    refused(train("-o", "no/run"), "there is no folder no")
    refused(train("--layers", "conv9"), "no layer is called 'conv9'; did you mean 'conv1'")
    refused(look("--network", "googlenot"), "no network is called 'googlenot'")
    refused(train("--features", "no.mat"), "no such file: no.mat")
    usage(train("--tied", "--hidden", 16), "--tied wants --embedding and --hidden to be the same")
    refused(train("--minimum", 100), "the vocabulary is empty", "--minimum 1")


def test_pictures_that_are_not_there_are_left_out_if_they_may_be(train, data):
    (data.parent / "train_red_0.png").unlink()
    refused(train(), "1 of 18 pictures of captions.jsonl are not in", "--skip-missing leaves them out")
    result = train("--skip-missing", "-o", "run")
    assert result.exit_code == 0, result.stderr
    assert "1 of 18 pictures are not in" in result.stderr


def test_pictures_that_cannot_be_read_are_told_and_left_out(train, data):
    (data.parent / "train_red_0.png").write_bytes(b"no picture")
    result = train("-o", "run")
    assert result.exit_code == 0, result.stderr
    assert "skipped    1  that could not be read: run/skipped.txt" in result.stdout
    assert "Skipped: " in result.stderr


def test_a_run_is_not_trained_over(train, trained, data):
    refused(
        train("-o", trained[0]), "holds a run already", f"imgnn train caption --resume '{trained[0]}'; or another -o"
    )
    refused(train("-o", data), "is a file")
    refused(train("-o", data.parent), "is not empty")


def test_a_loss_that_runs_away_is_one_line(train, monkeypatch):
    def diverged(self, *given):
        raise DivergedError("the loss is no longer finite", hint="a smaller --learning-rate")

    monkeypatch.setattr(SentenceTrainer, "step", diverged)
    refused(
        train("-o", "run"), "the loss is no longer finite, at step 1 of epoch 1, in run", "a smaller --learning-rate"
    )


def test_what_a_training_warns_of_is_told_as_it_happens_and_in_the_end(train, data):
    for path in data.parent.glob("*.png"):
        Image.new("RGB", (20, 20), (90, 90, 90)).save(path)
    result = train()
    assert "Warning: the right picture saves 0.000 nats per token" in result.stderr
    assert " Warning the right picture saves 0.000 nats per token" in result.stdout
