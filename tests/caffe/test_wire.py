"""The wire reader against OpenCV's importer, protobuf's own rules, and the published mean image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imgnn.caffe.wire import blob_array, read_binaryproto, read_caffemodel
from imgnn.errors import WeightsError
from tests.caffe.encode import encode_blob, encode_net, length_delimited, tag, varint

NET = """
name: "small"
input: "data" input_shape { dim: 1 dim: 2 dim: 5 dim: 5 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 3 kernel_size: 3 pad: 1 } }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc" inner_product_param { num_output: 4 } }
"""
REAL = {
    "caffe_samples/det1.caffemodel": ("det1.prototxt", 6_632),
    "caffe_samples/det2.caffemodel": ("det2.prototxt", 101_468),
    "caffe_samples/lenet_iter_10000.caffemodel": ("lenet.prototxt", 431_080),
    "caffe_samples/upconv_7_rgb_scale2.0x.caffemodel": ("upconv_7_rgb_scale2.0x.prototxt", 293_155),
    "weights/squeezenet_v1.1.caffemodel": ("squeezenet_v1.1.prototxt", 1_235_496),
    "weights/vgg19_conv1_to_conv3.caffemodel": ("vgg19_conv1_to_conv3.prototxt", 2_325_568),
    "weights/bvlc_googlenet.caffemodel": ("bvlc_googlenet.prototxt", 6_998_552),
}


@pytest.fixture
def blobs(random) -> dict[str, list[np.ndarray]]:
    """Halves and quarters: exact in float16, so that every encoding holds the same numbers."""

    def numbers(*shape):
        return (random.integers(-64, 64, shape) / 4).astype("float32")

    return {"conv": [numbers(3, 2, 3, 3), numbers(3)], "fc": [numbers(4, 75), numbers(4)]}


@pytest.fixture
def read(tmp_path):
    """Read bytes as a .caffemodel: layer name -> its arrays."""

    def read(data: bytes) -> dict[str, list[np.ndarray]]:
        path = tmp_path / "net.caffemodel"
        path.write_bytes(data)
        net = read_caffemodel(path)
        return {each.name: [blob_array(blob) for blob in each.blobs] for each in [*net.layer, *net.layers]}

    return read


@pytest.fixture
def read_with_opencv():
    """OpenCV's importer, the second opinion; OpenCV 5 has none any more."""
    cv2 = pytest.importorskip("cv2", exc_type=ImportError)
    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        pytest.skip("OpenCV 5 has no Caffe importer")
    return cv2.dnn.readNetFromCaffe


def same(found, wanted) -> bool:
    return found.keys() == wanted.keys() and all(
        np.array_equal(a, b) and a.dtype == np.float32
        for name in wanted
        for a, b in zip(found[name], wanted[name], strict=True)
    )


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("numbers", ["float", "double", "float16"])
def test_every_encoding_of_a_net_gives_the_same_arrays(read, blobs, version, packed, numbers):
    assert same(read(encode_net(NET, blobs, version=version, packed=packed, numbers=numbers)), blobs)


def test_legacy_dims_give_four_axes(read, blobs):
    found = read(encode_net(NET, blobs, legacy_shape=True))
    assert [each.shape for each in found["conv"] + found["fc"]] == [
        (3, 2, 3, 3),
        (1, 1, 1, 3),
        (1, 1, 4, 75),
        (1, 1, 1, 4),
    ]
    assert all(np.array_equal(found[name][0].ravel(), blobs[name][0].ravel()) for name in blobs)


def test_floats_are_views_of_the_file(read, blobs):
    for packed in (True, False):
        for each in read(encode_net(NET, blobs, packed=packed))["conv"]:
            assert each.base is not None and not each.flags.owndata and not each.flags.writeable


@pytest.mark.parametrize("version", [1, 2])
def test_opencv_reads_what_the_writer_writes(read_with_opencv, blobs, version):
    for packed in (True, False):
        weights = np.frombuffer(encode_net(NET, blobs, version=version, packed=packed), "uint8")
        net = read_with_opencv(np.frombuffer(NET.encode(), "uint8"), weights)
        for name, arrays in blobs.items():
            for index, array in enumerate(arrays):
                np.testing.assert_array_equal(net.getParam(name, index).ravel(), array.ravel())


@pytest.mark.parametrize("file", REAL)
def test_a_real_file_holds_what_opencv_finds(shared, read_with_opencv, file):
    path = shared / file
    prototxt, parameters = REAL[file]
    opencv = read_with_opencv(str(path.with_name(prototxt)), str(path))
    known = set(opencv.getLayerNames())
    net = read_caffemodel(path)
    count = 0
    for layer in [*net.layer, *net.layers]:
        for index, blob in enumerate(layer.blobs):
            array = blob_array(blob)
            count += array.size
            if layer.name in known:  # the prototxts leave a training head out
                assert opencv.getParam(layer.name, index).tobytes() == array.tobytes(), f"{layer.name}, blob {index}"
    assert count == parameters


def test_the_imagenet_mean_has_its_published_pixel(shared):
    mean = read_binaryproto(shared / "data/imagenet/imagenet_mean.binaryproto")
    assert mean.shape == (3, 256, 256)
    # BGR; Caffe's ilsvrc_2012_mean.npy averages to these, known everywhere as 104, 117, 123.
    np.testing.assert_allclose(mean.mean((1, 2)), [104.00699, 116.66877, 122.67892], atol=1e-4)


def test_a_block_in_several_pieces_is_one_array(read):
    # protobuf: packed and unpacked parts of one field follow each other in any mixture.
    data = np.arange(6, dtype="<f4")
    pieces = length_delimited(5, data[:2].tobytes()) + tag(5, 5) + data[2:3].tobytes() + tag(5, 5) + data[3:4].tobytes()
    blob = length_delimited(7, length_delimited(1, varint(6))) + pieces + length_delimited(5, data[4:].tobytes())
    layer = length_delimited(1, b"conv") + length_delimited(7, blob)
    np.testing.assert_array_equal(read(length_delimited(100, layer))["conv"][0], data)


def test_fields_of_a_fork_are_passed_over_and_named(tmp_path):
    extra = tag(900, 0) + varint(7) + length_delimited(901, b"fork") + tag(902, 5) + b"\0" * 4 + tag(903, 1) + b"\0" * 8
    group = tag(904, 3) + tag(1, 0) + varint(5) + tag(904, 4)
    path = tmp_path / "fork.caffemodel"
    path.write_bytes(length_delimited(100, length_delimited(1, b"conv") + extra + extra + group))
    (layer,) = read_caffemodel(path).layer
    assert layer.name == "conv"
    assert [each.name for each in layer.unknown] == [f"field {number}" for number in range(900, 905)]


def test_a_number_that_a_fork_gave_to_another_field_is_unknown(tmp_path):
    path = tmp_path / "fork.caffemodel"  # lrn_param as a number
    path.write_bytes(length_delimited(100, length_delimited(1, b"norm") + tag(118, 0) + varint(3)))
    (layer,) = read_caffemodel(path).layer
    assert not layer.has("lrn_param") and layer.unknown[0].name == "field 118"


def test_scalars_are_what_the_prototxt_says(tmp_path):
    text = """
    layer { name: "n" type: "LRN" lrn_param { alpha: 1e-4 beta: 0.75 norm_region: WITHIN_CHANNEL local_size: 3 } }
    layer { name: "s" type: "Slice" slice_param { axis: -1 slice_point: 2 slice_point: 300 } loss_weight: 0.3 }
    """
    path = tmp_path / "net.caffemodel"
    path.write_bytes(encode_net(text))
    norm, slices = read_caffemodel(path).layer
    param = norm.lrn_param
    assert (param.alpha, param.beta, param.norm_region, param.local_size) == (1e-4, 0.75, "WITHIN_CHANNEL", 3)
    assert (param.k, param.has("k")) == (1.0, False)
    assert (slices.slice_param.axis, slices.slice_param.slice_point, slices.loss_weight) == (-1, [2, 300], [0.3])


def test_a_field_that_caffe_has_not_is_a_programming_error(tmp_path):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(encode_net(NET))
    with pytest.raises(AttributeError, match="LayerParameter has no field 'convolution'"):
        _ = read_caffemodel(path).layer[0].convolution


def test_a_shape_that_does_not_fit_names_the_blob(tmp_path):
    blob = length_delimited(7, length_delimited(1, varint(3) + varint(5))) + length_delimited(5, b"\0" * 56)
    path = tmp_path / "net.caffemodel"
    path.write_bytes(length_delimited(100, length_delimited(7, blob)))
    (layer,) = read_caffemodel(path).layer
    with pytest.raises(WeightsError, match=r"the shape \(3, 5\) wants 15 numbers, found 14: blob 0 of layer conv1"):
        blob_array(layer.blobs[0], "blob 0 of layer conv1")


def test_a_double_beyond_float32_becomes_infinite(read):
    huge = np.array([1e300, -1e300, 0.1])
    found = read(encode_net(NET, {"conv": [huge]}, numbers="double"))["conv"][0]
    np.testing.assert_array_equal(found, np.array([np.inf, -np.inf, 0.1], "f4"))


@given(
    hnp.arrays("<f4", hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)),
    st.booleans(),
)
def test_any_array_survives_the_trip(tmp_path_factory, array, packed):
    path = tmp_path_factory.mktemp("trip") / "net.caffemodel"
    path.write_bytes(length_delimited(100, length_delimited(7, encode_blob(array, packed=packed))))
    (layer,) = read_caffemodel(path).layer
    found = blob_array(layer.blobs[0])
    assert found.shape == array.shape
    assert found.tobytes() == array.tobytes()  # NaN and -0.0 too
