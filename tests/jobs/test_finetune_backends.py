"""A short whole run with each of Keras's backends, in a process of its own; one that is not installed is skipped."""

import csv
import importlib.util
import json
import os
import subprocess
import sys

import pytest

from imgnn.training.run_folder import PREDICTIONS
from imgnn.training.run_log import read_log
from tests.training.painted import paint_classes, save_small

RUN = """
import json
import sys
from pathlib import Path
from imgnn import backend
from imgnn.jobs.finetune import finetune
from imgnn.options import FinetuneOptions

pictures, folder, options = sys.argv[1:]
finetune(Path(pictures), Path(folder), FinetuneOptions(**json.loads(options)))
print(backend.name())
"""


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> str:
    return save_small(tmp_path_factory.mktemp("network") / "small.keras")


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_every_backend_trains_and_judges_the_weights_of_the_moment(backend, network, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    pictures, folder = paint_classes(tmp_path / "colours"), tmp_path / "run"
    options = {
        "network": network, "recipe": "one-cycle", "head_epochs": 3, "epochs": 4, "batch": 8, "val_share": 0.4,
        "precision": "float32", "report": False,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", RUN, pictures, folder, json.dumps(options)],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": backend, "JAX_ENABLE_X64": "0"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == backend

    epochs = [row for row in read_log(folder / "log.jsonl") if row["kind"] == "epoch"]
    assert [row["stage"] for row in epochs] == ["head"] * 3 + ["all"] * 4
    for stage in ("head", "all"):
        judged = [row["val_loss"] for row in epochs if row["stage"] == stage]
        assert len(set(judged)) == len(judged), "each epoch has other weights"
    assert len({row["val_accuracy"] for row in epochs}) > 1
    assert max(row["val_accuracy"] for row in epochs) >= 0.8  # by chance 0.33

    # The best network was judged once more, when it was read from its file.
    best = max(epochs, key=lambda row: (row["val_accuracy"], -row["val_loss"]))
    with (folder / PREDICTIONS).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(row["label"] == row["predicted"] for row in rows) / len(rows) == pytest.approx(best["val_accuracy"])
    assert sum(float(row["loss"]) for row in rows) / len(rows) == pytest.approx(best["val_loss"], rel=1e-3)
