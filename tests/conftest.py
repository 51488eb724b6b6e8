"""What every test may use: the folder of real weights and photos, a quiet backend, the command line."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("JAX_ENABLE_X64", "1")  # gradients are checked in float64

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real weights, photos and prototxts that are not ours to ship: `IMGNN_SHARED`, or `../shared`."""
    folder = Path(os.environ.get("IMGNN_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not (folder / "weights").is_dir():
        pytest.skip(f"no shared files at {folder}")
    return folder


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch) -> Path:
    """An empty IMGNN_HOME, and no way out to the network by accident."""
    folder = tmp_path_factory.mktemp("imgnn-home")
    monkeypatch.setenv("IMGNN_HOME", str(folder))
    monkeypatch.setenv("IMGNN_OFFLINE", "1")
    monkeypatch.delenv("IMGNN_WEIGHTS_URL", raising=False)
    return folder


@pytest.fixture
def random() -> np.random.Generator:
    """The same numbers in every run."""
    return np.random.default_rng(20261121)


@pytest.fixture
def tiny_image(tmp_path, random) -> Path:
    """A 40 x 60 picture of noise."""
    path = tmp_path / "tiny.png"
    Image.fromarray(random.integers(0, 256, (40, 60, 3), dtype="uint8")).save(path)
    return path


@pytest.fixture
def cli():
    """Run `imgnn` in this process: `cli("style", path, "--size", 64)` gives exit_code, stdout, stderr."""
    from typer.testing import CliRunner

    from imgnn.cli.app import app

    def run(*words, **options):
        return CliRunner().invoke(app, [str(word) for word in words], **options)

    return run
