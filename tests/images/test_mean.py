import numpy as np
import pytest
from PIL import Image

from imgnn.errors import InputError
from imgnn.images.mean import channel_mean, load_mean


@pytest.mark.parametrize(
    ("stored", "shape"), [((3,), (1, 1, 3)), ((3, 4, 5), (4, 5, 3)), ((4, 5, 3), (4, 5, 3)), ((1, 4, 5), (4, 5, 1))]
)
def test_an_array_comes_out_channels_last(tmp_path, stored, shape):
    np.save(tmp_path / "mean.npy", np.arange(np.prod(stored), dtype="float64").reshape(stored))
    mean = load_mean(tmp_path / "mean.npy")
    assert (mean.shape, mean.dtype) == (shape, np.float32)


def test_caffe_s_order_is_kept(tmp_path):
    np.save(tmp_path / "mean.npy", np.array([104.0, 117.0, 123.0])[:, None, None] * np.ones((3, 6, 5)))
    assert channel_mean(load_mean(tmp_path / "mean.npy")) == (104.0, 117.0, 123.0)


def test_a_picture_is_turned_to_bgr(tmp_path):
    Image.new("RGB", (5, 4), (123, 117, 104)).save(tmp_path / "mean.png")
    assert channel_mean(load_mean(tmp_path / "mean.png")) == (104.0, 117.0, 123.0)


def test_a_pickle_is_refused(tmp_path):
    np.save(tmp_path / "mean.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(InputError, match=r"is no \.npy array of numbers"):
        load_mean(tmp_path / "mean.npy")


@pytest.mark.parametrize("array", [np.zeros((2, 2)), np.zeros((4, 5, 2)), np.array(["x"])])
def test_other_arrays_are_refused(tmp_path, array):
    np.save(tmp_path / "mean.npy", array)
    with pytest.raises(InputError, match=r"expected|a mean is"):
        load_mean(tmp_path / "mean.npy")


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_mean(tmp_path / "mean.npy")
