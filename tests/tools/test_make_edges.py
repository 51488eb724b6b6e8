"""The small net in Caffe's files that comes with imgnn: made again, it is the same, and sees what it says."""

import sys

import numpy as np
import pytest

from imgnn.caffe.net import read_net
from imgnn.home import ASSETS
from tools import make_edges


def test_it_is_made_again_as_it_lies_in_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["make_edges.py", str(tmp_path)])
    make_edges.main()
    kept = ASSETS / "examples"
    assert (tmp_path / "edges.prototxt").read_bytes() == (kept / "edges.prototxt").read_bytes()
    made, packaged = (
        {layer.name: layer.blobs for layer in read_net(None, folder / "edges.caffemodel").layers if layer.blobs}
        for folder in (tmp_path, kept)
    )
    assert list(made) == list(packaged) == ["edges", "contours"]
    for name, blobs in made.items():
        for one, other in zip(blobs, packaged[name], strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)  # another NumPy rounds otherwise


@pytest.mark.parametrize("index", range(8))
def test_a_bar_is_seen_best_by_the_kernel_of_its_direction(index):
    y, x = np.mgrid[-3:4, -3:4]
    angle = make_edges.ANGLES[index]
    bar = np.exp(-((x * np.cos(angle) + y * np.sin(angle)) ** 2))
    seen = [(kernel * bar).sum() for kernel in make_edges.edges()[:8]]
    assert np.argmax(seen) == index


def test_a_plain_picture_is_no_edge():
    np.testing.assert_allclose(make_edges.edges().sum((2, 3)), 0, atol=1e-6)
