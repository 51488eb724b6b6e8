"""Whatever the bytes: one clear error, no crash, and no more memory than the file has bytes."""

import os
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgnn.caffe import wire
from imgnn.caffe.net import read_net
from imgnn.caffe.prototxt import parse_prototxt, read_prototxt
from imgnn.caffe.wire import blob_array, read_binaryproto, read_caffemodel
from imgnn.errors import ImgnnError, InputError, WeightsError
from tests.caffe.encode import encode_net, length_delimited, tag, varint

NET = """
input: "data"
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 2 kernel_size: 1 } }
"""
WEIGHTS = encode_net(NET, {"conv": [np.ones((2, 3, 1, 1), "f4"), np.ones(2, "f4")]})
FEW = 64 << 10  # bytes that any reading may take


def field(number: int, body: bytes) -> bytes:
    return length_delimited(number, body)


def shaped(*dims: int, data: bytes = b"") -> bytes:
    """A net whose one blob has this shape and these bytes."""
    return field(100, field(7, field(7, field(1, b"".join(map(varint, dims)))) + field(5, data)))


@pytest.fixture
def file(tmp_path):
    def file(data: bytes, name: str = "net.caffemodel"):
        path = tmp_path / name
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        return path

    return file


def read_all(path) -> None:
    """Read the structure and every array."""
    net = read_caffemodel(path)
    for layer in [*net.layer, *net.layers]:
        for blob in layer.blobs:
            blob_array(blob)


OTHERS = {
    b"": "found an empty file",
    b"<!DOCTYPE html>\n<html><title>404</title>": "found an HTML page",
    b"\n\n  <HTML>": "found an HTML page",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n": "found a Git LFS pointer",
    b"\x89HDF\r\n\x1a\n\0\0": "found an HDF5 file",
    b"PK\x03\x04rest": "found a zip archive",
    b"\x1f\x8b\x08rest": "found a gzip archive",
    b'name: "net"\nlayer {\n}\n': "found text",
}


@pytest.mark.parametrize("data", OTHERS)
def test_what_is_no_caffemodel_is_said(file, data):
    for reader in (read_caffemodel, read_binaryproto):
        with pytest.raises(WeightsError) as caught:
            reader(file(data))
        assert OTHERS[data] in str(caught.value) and "net.caffemodel" in str(caught.value)
        assert caught.value.hint


def test_what_is_no_prototxt_is_said(file):
    for data, found in {**OTHERS, WEIGHTS: "found binary data", b"\0\1": "found binary data"}.items():
        if found != "found text":
            with pytest.raises(InputError) as caught:
                read_prototxt(file(data, "net.prototxt"))
            assert found in str(caught.value) and "net.prototxt" in str(caught.value)


def test_a_missing_file_and_a_folder_are_said(tmp_path):
    for read, kind in ((read_caffemodel, WeightsError), (read_binaryproto, WeightsError), (read_prototxt, InputError)):
        with pytest.raises(InputError, match="no such file: "):
            read(tmp_path / "none")
        with pytest.raises(kind, match="is not a file"):
            read(tmp_path)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("version", [1, 2])
def test_a_file_cut_anywhere_is_told_or_ends_between_two_layers(file, version, packed):
    text = NET + NET.replace("input", "#").replace('name: "conv"', 'name: "conv2"')
    blobs = {name: [np.ones((2, 3, 1, 1), "f4"), np.ones(2, "f4")] for name in ("conv", "conv2")}
    data = encode_net(text, blobs, version=version, packed=packed)
    whole = set()
    for size in range(len(data)):
        try:
            read_all(file(data[:size]))
            whole.add(size)
        except WeightsError as error:
            assert "net.caffemodel" in str(error)
    assert len(whole) == 1  # behind the first layer; the missing weights are told when they are loaded


def test_a_cut_names_the_bytes_that_are_missing(file):
    with pytest.raises(WeightsError, match=r"NetParameter.layer wants \d+ bytes, found \d+, at byte 9 of 40: .*net"):
        read_caffemodel(file(WEIGHTS[:40]))


BOMBS = {
    "a length of 2^63": field(1, b"x") + tag(100, 2) + varint(2**63 - 1),
    "a length of 2^64 - 1": tag(100, 2) + varint(2**64 - 1),
    "a number that does not end": tag(1, 2) + b"\xff" * 20,
    "field 0": b"\0" * 100,
    "wire type 7": tag(1, 7),
    "a group that is not opened": field(100, tag(9, 4)),
    "a group that is not closed": field(100, tag(900, 3)),
    "groups in groups": tag(900, 3) * 5000 + tag(900, 4) * 5000,
    "groups closed in another order": tag(900, 3) + tag(901, 3) + tag(900, 4) + tag(901, 4),
    "layers in layers": field(100, field(100, field(100, b"")))[:-1] + b"\xff",
    "a string where the layers should be": tag(100, 0) + varint(5),
    "an iteration count (.solverstate)": tag(1, 0) + varint(10000) + field(2, b"x.caffemodel"),
    "data of 7 bytes": field(100, field(7, field(5, b"1234567"))),
    "layers too many": field(100, b"") * 5001,
    "fields too many": field(100, (tag(900, 0) + b"\1") * 5001),
    "dims too many": shaped(*[1] * 5001),
    "strings too many": field(100, field(3, b"") * 5001),
    "a name of megabytes": field(100, field(1, b"\xff" * (2 << 20))),
    "no layer": field(1, b"net\1"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_told(file, monkeypatch, name):
    monkeypatch.setattr(wire, "MAX_FIELDS", 5000)  # a fortieth of what it is: tracing is slow
    path = file(BOMBS[name])
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError) as caught:
            read_caffemodel(path)
        assert tracemalloc.get_traced_memory()[1] < 50e6 / 40
    finally:
        tracemalloc.stop()
    assert "net.caffemodel" in str(caught.value) and len(str(caught.value)) < 400


def test_millions_of_layers_are_refused_before_they_are_made(file):
    with pytest.raises(WeightsError, match="at most 200,000 fields, found more"):
        read_caffemodel(file(field(100, b"") * 3_000_000))


SHAPES = {
    "a product beyond the data": shaped(1000, 1000, data=b"1234" * 5),
    "a product beyond 64 bits": shaped(2**31 - 1, 2**31 - 1, 2**31 - 1, data=b"1234"),
    "a product that is right modulo 2^64": shaped(2**31 - 1, 2**31 - 1, 3, 2, data=b"1234"),
    "an axis beyond 31 bits": shaped(2**32, data=b""),
    "a negative axis": shaped(-1, -4, data=b"1234" * 4),
    "too many axes": shaped(*[1] * 33, data=b"1234"),
    "no shape": field(100, field(7, field(5, b"1234" * 4))),
    "no data": shaped(3, 3),
    "no numbers, but axes beyond NumPy": shaped(0, *[2**31 - 1] * 31),
    "raw data of integers": field(100, field(7, tag(10, 0) + varint(3) + field(12, b"1234") + field(7, b""))),
    "raw data of half a number": field(100, field(7, tag(10, 0) + varint(2) + field(12, b"123") + field(7, b""))),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_is_never_believed(file, name):
    path = file(SHAPES[name])
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError):
            read_all(path)
        assert tracemalloc.get_traced_memory()[1] < FEW
    finally:
        tracemalloc.stop()


def test_ten_megabytes_of_noise_are_refused_at_once(file, random):
    for head in (b"", b"\x0a\x03net", WEIGHTS):
        path = file(head + random.bytes(10_000_000))
        start = time.perf_counter()
        for read in (read_caffemodel, read_binaryproto, read_prototxt):
            with pytest.raises(ImgnnError):
                read(path)
        assert time.perf_counter() - start < 2


def test_a_large_file_is_read_in_milliseconds_and_few_bytes(tmp_path):
    # 600 MB that take no room on the disk: holes read as zeros.
    numbers = 150_000_000
    blob = field(7, field(1, varint(numbers))) + tag(5, 2) + varint(4 * numbers)
    layer = field(1, b"fc6") + tag(7, 2) + varint(len(blob) + 4 * numbers) + blob
    path = tmp_path / "large.caffemodel"
    with path.open("wb") as out:
        out.write(tag(100, 2) + varint(len(layer) + 4 * numbers) + layer)
        out.truncate(out.tell() + 4 * numbers)
    tracemalloc.start()
    try:
        start = time.perf_counter()
        (found,) = read_caffemodel(path).layer
        array = blob_array(found.blobs[0])
        assert time.perf_counter() - start < 0.5
        assert tracemalloc.get_traced_memory()[1] < FEW
    finally:
        tracemalloc.stop()
    assert array.shape == (numbers,) and array[-1] == 0


def test_unpacked_numbers_take_no_memory_either(file):
    data = np.zeros(1_000_000, dtype=[("tag", "u1"), ("value", "<f4")])
    data["tag"], data["value"] = 5 << 3 | 5, np.arange(1_000_000)
    path = file(field(100, field(7, field(7, field(1, varint(1_000_000))) + data.tobytes())))
    tracemalloc.start()
    try:
        array = blob_array(read_caffemodel(path).layer[0].blobs[0])
        assert tracemalloc.get_traced_memory()[1] < data.nbytes / 2
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(array, np.arange(1_000_000))


def test_text_is_never_believed(file):
    deep = 'layer { name: "a" ' + "deep { " * 5000
    with pytest.raises(InputError, match="at most 100 braces"):
        parse_prototxt(deep)
    with pytest.raises(InputError, match="at most 100 braces"):
        parse_prototxt("layer { " * 5000)  # a layer in a layer is a field that Caffe has not
    with pytest.raises(InputError, match="at most 200,000 fields, found more: <text>, line 200001"):
        parse_prototxt("layer {}\n" * 200_001)
    with pytest.raises(InputError, match="at most 200,000 fields"):
        parse_prototxt(f"layer {{ loss_weight: [{'1,' * 200_001}] }}")
    with pytest.raises(InputError, match="end of the string"):
        parse_prototxt('layer { name: "' + "a" * 1_000_000)
    with pytest.raises(InputError, match="end of the string"):
        parse_prototxt('layer { name: "' + "\\a" * 1_000_000)
    with pytest.raises(InputError, match="whole number"):
        parse_prototxt("input_dim: " + "9" * 100_000)
    with pytest.raises(InputError, match="expected a field of a prototxt, found '999"):
        parse_prototxt("input_dim: " + "9" * 1_000_000 + "x")
    with pytest.raises(InputError, match="at most 67,108,864 bytes"):
        path = file(b"", "large.prototxt")
        os.truncate(path, 1 << 30)
        read_prototxt(path)


def test_thousands_of_losses_cost_no_time(file):
    loss = 'layer {{ name: "l{0}" type: "SoftmaxWithLoss" bottom: "a" top: "l{0}" }}\n'
    path = file(('input: "a"\n' + "".join(map(loss.format, range(6_000)))).encode(), "net.prototxt")
    start = time.process_time()
    assert len(read_net(path, None).layers) == 6_000
    assert time.process_time() - start < 4  # 4,000 took 5 seconds when every layer was asked for each


def test_whatever_a_field_is_called_an_error_is_one_line():
    # A sign and its word may stand on two lines, and so may the brackets of an extension.
    with pytest.raises(InputError, match=r"^expected the name of a field, found '-': <text>, line 1$"):
        parse_prototxt("-\nlayer { }")
    with pytest.raises(InputError, match=r"^expected a value for \[x.y\], found ';': <text>, line 3$"):
        parse_prototxt("[\nx.y\n]: ;")
    assert [each.name for each in parse_prototxt("layer { } [ x.y ]: 3").unknown] == ["[x.y]"]


def test_the_second_file_is_the_first_mixed_up(file):
    prototxt, caffemodel = file(NET.encode(), "a.prototxt"), file(WEIGHTS, "b.caffemodel")
    assert read_net(prototxt, caffemodel).layers
    with pytest.raises(WeightsError, match=r"expected a .caffemodel or .binaryproto, found text: .*a.prototxt"):
        read_net(prototxt, prototxt)
    with pytest.raises(InputError, match=r"expected a prototxt, found binary data: .*b.caffemodel"):
        read_net(caffemodel, caffemodel)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_our_errors(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("noise") / "noise"
    path.write_bytes(data)
    for read in (read_all, read_binaryproto, read_prototxt, lambda path: read_net(None, path)):
        try:
            read(path)
        except ImgnnError as error:
            assert "noise" in str(error)


@given(st.integers(0, len(WEIGHTS) - 1), st.integers(0, 255))
def test_no_damaged_byte_raises_anything_but_our_errors(tmp_path_factory, at, byte):
    data = bytearray(WEIGHTS)
    data[at] = byte
    path = tmp_path_factory.mktemp("damage") / "damaged"
    path.write_bytes(data)
    try:
        read_net(None, path)
    except ImgnnError as error:
        assert "damaged" in str(error)
