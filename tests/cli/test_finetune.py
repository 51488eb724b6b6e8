import json
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from imgnn.cli.finetune import run_name
from imgnn.errors import DivergedError, InterruptedRun
from imgnn.jobs.finetune_run import Training
from imgnn.runs import Stopped
from imgnn.training.run_folder import read_config
from tests.training.made import COLOURS
from tests.training.painted import paint_classes, save_small, write_lines

QUICK = ("--batch", 8, "--head-epochs", 4, "--precision", "float32")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The file of a small network."""
    return save_small(tmp_path_factory.mktemp("network") / "small.keras")


@pytest.fixture(scope="module")
def painted(tmp_path_factory):
    """Ten pictures of each of three colours, in class folders."""
    return paint_classes(tmp_path_factory.mktemp("data") / "colours")


@pytest.fixture
def finetune(cli, small, painted, tmp_path, monkeypatch):
    """`imgnn finetune` on the coloured pictures and the small network, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words, source=painted):
        return cli("finetune", *([] if source is None else [source]), "--network", small, *QUICK, *words)

    return run


@pytest.fixture(scope="module")
def trained(small, painted, tmp_path_factory):
    """A run that is done, with its report; and what the command said."""
    from typer.testing import CliRunner

    from imgnn.cli.app import app

    run = tmp_path_factory.mktemp("runs") / "colours_run"
    words = ["finetune", painted, "--network", small, *QUICK, "-o", run]
    return run, CliRunner().invoke(app, [str(word) for word in words])


def test_a_run_tells_what_it_trains_what_came_of_it_and_what_to_type_next(trained):
    run, result = trained
    assert result.exit_code == 0, result.stderr
    assert "conv1 ... fc2" in result.stderr
    assert "frozen" in result.stderr
    assert "head: 4 epochs of adam, rate 0.03, cosine; on features" in result.stderr
    for words in ("accuracy", "Recall", "blue", "by epoch", f"report    {run}/report.html"):
        assert words in result.stdout
    assert result.stdout.splitlines()[-1] == str(run)
    assert f"Next: imgnn classify --run {run} PHOTO\nNext: imgnn evaluate classify LIST --run {run}\n" in result.stderr
    assert {"best.keras", "log.csv", "curves.png", "predictions.csv", "report.html"} <= {
        file.name for file in run.iterdir()
    }


def test_the_command_is_kept_in_the_run(trained):
    assert read_config(trained[0])["command"] == shlex.join(["imgnn", *sys.argv[1:]])


def test_the_network_of_a_run_names_its_classes(cli, trained, painted):
    result = cli("classify", painted / "red" / "0.png", "--run", trained[0], "--json")
    assert {each["words"] for each in json.loads(result.stdout)["predictions"]} == set(COLOURS)


def test_the_result_as_json_is_one_object(finetune, small):
    result = finetune("--json", "--no-report", "-o", "run")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told.pop("seconds") > 0
    assert 0 <= told.pop("accuracy") <= 1
    assert 1 <= told.pop("epoch") <= 4
    classes = told.pop("classes")
    assert [(each["class_index"], each["words"]) for each in classes] == [(0, "blue"), (1, "green"), (2, "red")]
    assert all(0 <= each["recall"] <= 1 for each in classes)
    assert told == {
        "path": "run",
        "network": "small",
        "recipe": "head",
        "epochs": 4,
        "pictures": 24,
        "skipped": [],
        "warnings": [],
    }
    assert not Path("run/report.html").exists()


def test_without_pictures_to_judge_by_there_is_no_accuracy(finetune):
    result = finetune("--val-share", 0, "--no-report")
    assert result.exit_code == 0, result.stderr
    assert "there are no pictures to judge by" in result.stdout
    told = json.loads(finetune("--val-share", 0, "--no-report", "--json").stdout)
    assert [told["accuracy"], *(each["recall"] for each in told["classes"])] == [None] * 4


def test_a_run_is_named_after_its_list_and_does_not_replace_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_name(Path("photos/flowers_train.txt")) == Path("flowers_run")
    assert run_name(Path("photos/flowers/")) == Path("flowers_run")
    (tmp_path / "flowers_run").mkdir()
    (tmp_path / "flowers_run_2").touch()
    assert run_name(Path("flowers.txt")) == Path("flowers_run_3")
    assert run_name(Path()).name == f"{tmp_path.name}_run"


def test_every_option_of_training_arrives(finetune):
    words = [
        "--recipe", "caffe", "--epochs", 1, "--layers", "mix/output,fc2", "--dropout", 0.1, "--freeze", "conv1",
        "--optimizer", "adam", "--learning-rate", 0.001, "--schedule", "constant", "--layer-rate", "mix/*=2",
        "--layer-rate", "fc*=0.5", "--weight-decay", 0, "--smoothing", 0.1, "--balance", "--crop", "random",
        "--no-mirror", "--colour", 0.2, "--mixup", 0.2, "--cutmix", 1, "--seed", 4,
        "--patience", 0, "--save-every", "5m", "--workers", 1,
        "--memory", 0.1, "--val-share", 0.3, "--devices", "one", "--no-report", "-o", "run",
    ]  # fmt: skip
    result = finetune(*words)
    assert result.exit_code == 0, result.stderr
    kept = read_config("run")["options"]
    wanted = {
        "recipe": "caffe", "epochs": 1, "layers": ["mix/output", "fc2"], "dropout": 0.1, "freeze": "conv1",
        "optimizer": "adam", "learning_rate": 0.001, "schedule": "constant", "rates": [["mix/*", 2.0], ["fc*", 0.5]],
        "weight_decay": 0.0, "smoothing": 0.1, "balance": True, "crop": "random", "mirror": False, "colour": 0.2,
        "mixup": 0.2, "cutmix": 1.0, "seed": 4, "patience": None, "save_every": 300.0, "workers": 1, "memory": 0.1,
        "val_share": 0.3, "devices": "one", "report": False, "batch": 8, "head_epochs": 4, "precision": "float32",
    }  # fmt: skip
    assert {name: kept[name] for name in wanted} == wanted
    assert "× 2" in result.stderr, "the factors are shown before training"


def test_features_own_is_the_networks_own_head(finetune):
    assert finetune("--layers", "own", "--no-report", "-o", "run").exit_code == 0
    assert read_config("run")["options"]["layers"] == []


# Resume


def test_ctrl_c_is_130_and_resume_goes_on(finetune, cli, monkeypatch):
    end_epoch = Training.end_epoch

    def interrupted(self, *given):
        end_epoch(self, *given)
        if self.position.epochs == 2:
            raise Stopped

    monkeypatch.setattr(Training, "end_epoch", interrupted)
    result = finetune("-o", "run", "--no-report")
    assert (result.exit_code, result.stdout) == (InterruptedRun.exit_code, "")
    assert result.stderr.splitlines()[-1] == "Try: imgnn finetune --resume run"
    monkeypatch.setattr(Training, "end_epoch", end_epoch)
    result = cli("finetune", "--resume", "run", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["epochs"] == 4


def test_resume_wants_a_run(cli, painted):
    result = cli("finetune", "--resume", painted)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is no run of imgnn" in result.stderr
    assert cli("finetune", "--resume", "nowhere").stderr.startswith("Error: no such folder: nowhere\n")


@pytest.mark.parametrize("words", [["--epochs", 3], ["--dry-run"], ["--lr-find"], ["--no-mirror"], ["-o", "other"]])
def test_resume_goes_with_no_other_option(cli, words):
    result = cli("finetune", "--resume", "run", *words)
    assert result.exit_code == 2
    assert "does not go with" in result.stderr


def test_resume_knows_its_list(cli, painted):
    result = cli("finetune", painted, "--resume", "run")
    assert result.exit_code == 2
    assert "--resume does not go with LIST" in result.stderr


# The dry run, and the learning rate


def test_a_dry_run_says_what_it_would_take_and_writes_nothing(finetune, tmp_path):
    result = finetune("--dry-run", "--recipe", "one-cycle", "--epochs", 2)
    assert result.exit_code == 0, result.stderr
    for words in (
        "24 to train on, 6 to judge by; 3 classes",
        "mix/output, fc2",
        "about ",
        "memory",
        "disk",
        "pictures",
    ):
        assert words in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_as_json(finetune, tmp_path):
    told = json.loads(finetune("--dry-run", "--json").stdout)
    assert [(stage["name"], stage["epochs"], stage["cached"]) for stage in told["stages"]] == [("head", 4, True)]
    assert told["classes"][0] == {"class_index": 0, "words": "blue", "train": 8, "val": 2}
    assert list(tmp_path.iterdir()) == []


def test_the_learning_rate_test_draws_and_tells_a_rate(finetune):
    result = finetune("--lr-find")
    assert result.exit_code == 0, result.stderr
    assert Path("lr_find.png").read_bytes().startswith(b"\x89PNG")
    assert result.stdout.startswith(" learning rate  ")
    assert result.stdout.endswith("lr_find.png\n")
    told = json.loads(finetune("--lr-find", "--json", "-o", "other.png").stdout)
    assert 1e-5 < told["learning_rate"] < 10
    assert len(told["rates"]) == len(told["losses"])
    assert told["path"] == "other.png"


def test_where_no_rate_lowers_the_loss_it_says_so(finetune, monkeypatch):
    from imgnn.training.trainer import Trainer

    monkeypatch.setattr(Trainer, "step", lambda self, x, targets, weights, rate: (1.5, 0.0))
    result = finetune("--lr-find")
    assert result.exit_code == 1
    assert "no learning rate lowers the loss" in result.stderr
    assert "lr_find.png" in result.stdout


# What can go wrong


def test_a_list_is_expected(cli):
    result = cli("finetune")
    assert result.exit_code == 2
    assert "LIST is expected" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["--dropout", 1],
        ["--dropout", "nan"],
        ["--smoothing", -0.1],
        ["--colour", 1.5],
        ["--val-share", 1],
        ["--memory", 2],
        ["--mixup", -1],
        ["--epochs", 0],
        ["--head-epochs", -1],
        ["--batch", 0],
        ["--seed", -1],
        ["--learning-rate", 0],
        ["--weight-decay", "much"],
        ["--save-every", "soon"],
        ["--recipe", "best"],
        ["--devices", 0],
        ["--devices", "both"],
        ["--layers", "a,,b"],
        ["--layer-rate", "conv1"],
        ["--layer-rate", "conv1=fast"],
        ["--dry-run", "--lr-find"],
        ["--lr-find", "-o", "rates.jpg"],
        ["--recipe", "svm", "--layers", "own"],
        ["--ungrouped"],
        ["--recipe", "svm", "--lr-find"],
    ],
    ids=lambda words: " ".join(map(str, words)),
)
def test_a_bad_option_is_a_usage_error(finetune, words):
    result = finetune(*words)
    assert (result.exit_code, result.stdout) == (2, ""), result.stderr


def refused(result, message):
    """Whether it failed with one line."""
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert (result.exit_code, len(errors)) == (1, 1), (result.exception, result.stderr)
    assert message in errors[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--freeze", "conv9", "--recipe", "one-cycle"], "no layer is called 'conv9'; did you mean 'conv1'"),
        (["--layers", "mix/outputs"], "no layer is called 'mix/outputs'; did you mean 'mix/output'"),
        (["--network", "googlenot"], "no network is called 'googlenot'"),
        (["--val", "nowhere.txt"], "nowhere.txt"),
        (["--lr-find", "-o", "no/rates.png"], "there is no folder no"),
        (["-o", "no/run"], "there is no folder no"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_one_line(finetune, words, message):
    refused(finetune(*words), message)


def test_a_list_with_wrong_labels_is_one_line(finetune, painted, tmp_path):
    shutil.copytree(painted, tmp_path / "colours")
    for label_of, message in (
        (lambda name: "red", "label"),
        (lambda name: -1, "label"),
        (lambda name: "", ""),
        (lambda name: 1000 if name == "red" else 0, "labels go up to 1000, but only 2 of them occur"),
        (lambda name: 0, "one class only"),
    ):
        source = write_lines(tmp_path / "list.txt", tmp_path / "colours", label_of)
        refused(finetune(source=source), message)
    refused(finetune(source=tmp_path / "no.txt"), "no.txt")
    source.write_text("")
    refused(finetune(source=source), "list.txt")
    source.write_text("colours/no.png 0\ncolours/not.png 1\n")
    refused(finetune(source=source), "none of the pictures of")


def test_a_class_without_a_picture_is_told(finetune, painted, tmp_path):
    shutil.copytree(painted, tmp_path / "colours")
    label_of = {"blue": 0, "green": 1, "red": 3}.get
    result = finetune("--no-report", source=write_lines(tmp_path / "list.txt", tmp_path / "colours", label_of))
    assert result.exit_code == 0, result.stderr
    assert "No picture is trained on of" in result.stderr


def test_pictures_that_cannot_be_read_are_told_and_left_out(finetune, tmp_path):
    folder = paint_classes(tmp_path / "colours", {"red": 6, "blue": 6})
    (folder / "red" / "3.png").write_bytes(b"no picture")
    result = finetune("--no-report", "-o", tmp_path / "run", source=folder)
    assert result.exit_code == 0, result.stderr
    assert "skipped   1" in result.stdout
    assert "3.png\t" in (tmp_path / "run" / "skipped.txt").read_text()
    for file in folder.rglob("*.png"):
        file.write_bytes(b"no picture")
    refused(finetune(source=folder), "could be read")
    refused(finetune("--dry-run", source=folder), "could be read")


def test_a_batch_larger_than_the_set_is_all_of_it(finetune):
    result = finetune("--batch", 500, "--recipe", "caffe", "--epochs", 1, "--no-report")
    assert result.exit_code == 0, result.stderr
    assert "There are 24 pictures only" in result.stderr


def test_a_run_is_not_trained_over(finetune, trained, tmp_path):
    refused(finetune("-o", trained[0]), "holds a run already")
    (tmp_path / "notes.txt").touch()
    refused(finetune("-o", "notes.txt"), "is a file")
    refused(finetune("-o", tmp_path), "is not empty")


def test_a_loss_that_runs_away_is_one_line(finetune, monkeypatch):
    from imgnn.training.trainer import Trainer

    def diverged(self, *given):
        raise DivergedError("the loss is no longer finite", hint="a smaller --learning-rate")

    monkeypatch.setattr(Trainer, "step", diverged)
    result = finetune("--no-report")
    refused(result, "the loss is no longer finite, at step 1 of epoch 1")
    assert "Try: a smaller --learning-rate" in result.stderr
