"""The table of layers, against published parameter counts, receptive fields and operations."""

import keras
import pytest

from imgnn.errors import InputError
from imgnn.networks import applications, registry
from imgnn.networks.files import unallocated
from imgnn.networks.names import network_of
from imgnn.networks.network import Network
from imgnn.networks.table import fitting_sizes, layer_table
from tests.networks.prototxts import NETWORKS, deploy


@pytest.fixture(scope="module")
def network():
    """A network by its name, built once; only the shapes of its weights count here."""
    built: dict[str, Network] = {}

    def get(name: str) -> Network:
        if name not in built:
            built[name] = unallocated(lambda: network_of(name))
        return built[name]

    return get


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # VGG: the authors' page and keras.io; AlexNet: BVLC's file of 243.86 MB; the next two: their .caffemodel files.
        ("vgg19", 143_667_240),
        ("caffenet", 60_965_224),
        ("googlenet", 6_998_552),
        ("squeezenet-v1.1", 1_235_496),
        ("squeezenet-v1.0", 1_248_424),  # torchvision's squeezenet1_0
        ("resnet50", 25_557_032 + 64),  # torchvision's resnet50, and the bias that Caffe's conv1 has
    ],
)
def test_parameters_are_the_published_ones(name, parameters, network):
    assert layer_table(network(name)).parameters == parameters
    assert registry.find(name).parameters == parameters


@pytest.mark.parametrize(
    ("name", "giga"),
    [
        ("vgg19", 19.6),  # arXiv:1512.03385, section 3.3: 19.6 billion multiply-adds
        ("resnet50", 3.8),  # the same, table 1: 3.8 billion
        ("googlenet", 1.5),  # arXiv:1409.4842, section 1: "1.5 billion multiply-adds" at inference, a design goal
        ("squeezenet-v1.0", 1.72 / 2),  # DeepScale/SqueezeNet: 1.72 GFLOPS a picture, two to a multiply-add
    ],
)
def test_macs_are_the_published_ones(name, giga, network):
    assert layer_table(network(name)).macs / 1e9 == pytest.approx(giga, rel=0.06 if name == "googlenet" else 0.02)


@pytest.mark.parametrize(
    ("name", "layer", "pixels"),
    [
        # Computing Receptive Fields of Convolutional Neural Networks, Araujo et al., Distill 2019
        ("caffenet", "pool5", 195),
        ("resnet50", "res5c", 483),
        ("vgg19", "relu5_1", 156),
        ("vgg19", "relu1_1", 3),
        ("squeezenet-v1.1", "conv1", 3),
    ],
)
def test_receptive_fields_are_the_published_ones(name, layer, pixels, network):
    assert layer_table(network(name)).row(layer).receptive_field == (pixels, pixels)


def test_receptive_field_of_vgg16_is_the_published_one():
    vgg16 = unallocated(lambda: network_of("vgg16"))
    assert layer_table(vgg16).row("pool5").receptive_field == (212, 212)  # Araujo et al.


def test_table_of_a_network_of_keras_applications():
    table = layer_table(unallocated(lambda: applications.load("keras:mobilenet", weights=None)))
    assert table.row("conv_pw_13_relu").receptive_field == (315, 315)  # Araujo et al.
    assert table.macs / 1e6 == pytest.approx(569, rel=0.01)  # arXiv:1704.04861, table 4: 569 million


@pytest.mark.parametrize("name", ["caffenet", "googlenet", "squeezenet-v1.1", "nin", "resnet50"])
@pytest.mark.parametrize("size", [None, (211, 320)], ids=str)
def test_shapes_are_those_of_caffes_formulas(name, size, network):
    table = layer_table(network(name), size)
    expected = deploy(name, size or registry.find(name).preprocessing.size)
    assert len(table.rows) > 15
    for row in table.rows[1:]:
        channels, *sides = expected.shapes[expected.tops[row.name]]
        assert row.shape == (*sides, channels), row.name


def test_a_row_tells_window_and_roles(network):
    row = layer_table(network("googlenet")).row("conv1/7x7_s2")
    assert (row.type, row.shape) == ("Convolution", (112, 112, 64))
    assert (row.kernel, row.stride, row.pad) == ((7, 7), (2, 2), (3, 3))
    assert (row.parameters, row.macs) == (7 * 7 * 3 * 64 + 64, 112 * 112 * 7 * 7 * 3 * 64)
    assert row.roles == ("style",)
    assert row.jump == (2, 2)


def test_grouped_convolution_costs_half(network):
    row = layer_table(network("caffenet")).row("conv2")
    assert (row.parameters, row.macs) == (5 * 5 * 48 * 256 + 256, 27 * 27 * 5 * 5 * 48 * 256)


def test_rows_come_in_the_order_of_the_prototxt(network):
    rows = layer_table(network("googlenet")).rows
    assert [row.name for row in rows[1:]] == list(deploy("googlenet", (224, 224)).tops)


@pytest.mark.parametrize(
    ("name", "fits"),
    [("vgg19", "193 to 224"), ("caffenet", "199 to 230"), ("googlenet", "223 to 254"), ("resnet50", "195 to 226")],
)
def test_sizes_that_fit_are_those_whose_last_map_is_the_same(name, fits, network):
    assert [str(sizes) for sizes in fitting_sizes(network(name))] == [fits, fits]
    smallest, largest = (int(side) for side in fits.split(" to "))
    last = {"vgg19": "pool5", "caffenet": "pool5", "googlenet": "inception_5b/output", "resnet50": "res5c"}[name]

    def side(pixels: int) -> int:  # Caffe's own formula
        return deploy(name, (pixels, pixels), None).shapes[last][1]

    native = side(registry.find(name).preprocessing.size[0])
    assert side(smallest) == side(largest) == native
    assert side(smallest - 1) < native < side(largest + 1)


def test_a_size_that_does_not_fit_ends_before_the_classifier_and_is_explained(network):
    table = layer_table(network("vgg19"), (300, 400))
    assert table.rows[-1].name == "pool5"
    assert table.rows[-1].shape == (10, 13, 512)
    assert table.notes[0].startswith("fc6 wants 7 x 7 x 512 and would get 10 x 13 x 512 from a picture of 300 x 400")
    assert "heights of 193 to 224 and widths of 193 to 224 fit" in table.notes[0]


def test_a_picture_too_small_for_the_classifier_alone_ends_before_it(network):
    table = layer_table(network("googlenet"), (100, 300))
    assert table.rows[-1].name == "inception_5b/output"
    assert table.notes[0].startswith("pool5/7x7_s1 wants 7 x 7 x 1024 and would get 3 x 9 x 1024")


def test_a_fully_convolutional_network_takes_any_size(network):
    table = layer_table(network("squeezenet-v1.1"), (300, 400))
    assert (table.rows[-1].name, table.notes) == ("prob", ())
    assert [str(sizes) for sizes in fitting_sizes(network("squeezenet-v1.1"))] == ["17 or more"] * 2


def test_a_picture_too_small_for_a_layer_is_an_error(network):
    with pytest.raises(InputError, match=r"9 x 9 is too small for squeezenet.*: nothing is left for") as caught:
        layer_table(network("squeezenet-v1.1"), (9, 9))
    assert caught.value.hint == "from 17 x 17 on it works"


def test_table_of_a_plain_keras_model():
    data = x = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", name="first")(x)
    x = keras.layers.UpSampling2D(2, name="up")(x)
    x = keras.layers.Conv2DTranspose(4, 4, strides=2, name="out")(x)
    table = layer_table(Network("mine", keras.Model(data, x), None, {}, {}))
    assert [(row.name, row.shape) for row in table.rows[1:]] == [
        ("first", (16, 16, 8)),
        ("up", (32, 32, 8)),
        ("out", (66, 66, 4)),
    ]
    assert [row.jump for row in table.rows] == [(1, 1), (2, 2), (1, 1), (0.5, 0.5)]
    assert table.row("out").macs == 32 * 32 * 4 * 4 * 8 * 4


def test_table_of_a_network_that_takes_no_picture():
    data = keras.Input((10,), name="data")
    model = keras.Model(data, keras.layers.Dense(4, name="fc")(data))
    row = layer_table(Network("numbers", model, None, {}, {})).row("fc")
    assert (row.shape, row.parameters, row.macs, row.receptive_field) == ((4,), 44, 40, None)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_in_the_registry_are_those_of_the_model(name, network):
    assert layer_table(network(name)).parameters == registry.find(name).parameters
