import numpy as np

from imgnn.caffe.mean import write_binaryproto
from imgnn.caffe.wire import read_binaryproto
from tests.caffe.encode import encode_blob


def test_a_mean_comes_back_as_it_was_written(tmp_path, random):
    mean = random.random((3, 4, 300)) * 255
    write_binaryproto(tmp_path / "mean.binaryproto", mean)
    np.testing.assert_array_equal(read_binaryproto(tmp_path / "mean.binaryproto"), mean.astype("float32"))


def test_the_bytes_are_those_of_the_form_with_num_channels_height_width(tmp_path, random):
    mean = random.random((3, 4, 300)).astype("float32")
    write_binaryproto(tmp_path / "mean.binaryproto", mean)
    assert (tmp_path / "mean.binaryproto").read_bytes() == encode_blob(mean, legacy_shape=True)


def test_caffe_s_own_mean_is_written_again_byte_for_byte(tmp_path, shared):
    original = shared / "data" / "imagenet" / "imagenet_mean.binaryproto"
    write_binaryproto(tmp_path / "mean.binaryproto", read_binaryproto(original))
    assert (tmp_path / "mean.binaryproto").read_bytes() == original.read_bytes()
