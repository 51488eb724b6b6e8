"""mini: its file in the package, and the graph that the file is for. What its numbers are worth, docs/mini.md tells."""

import numpy as np
import pytest

from imgnn.home import ASSETS
from imgnn.networks import registry
from imgnn.networks.names import network_of
from imgnn.networks.table import layer_table

MAXIMUM = 5_000_000  # bytes: it travels with every install


@pytest.fixture(scope="module")
def packaged():
    with np.load(ASSETS / registry.find("mini").packaged, allow_pickle=False) as file:
        return dict(file)


def test_the_file_is_small_and_of_float16(packaged):
    assert (ASSETS / registry.find("mini").packaged).stat().st_size < MAXIMUM
    assert {array.dtype for array in packaged.values()} == {np.dtype("float16")}
    assert all(np.isfinite(array).all() for array in packaged.values())


def test_the_file_has_the_layers_of_the_graph_and_no_others(packaged):
    model = registry.find("mini").build()
    shapes = {
        f"{layer.name}/{kind}": tuple(weight.shape)
        for layer in model.layers
        for kind, weight in zip(("kernel", "bias"), layer.weights, strict=False)
    }
    assert {name: array.shape for name, array in packaged.items()} == shapes
    assert sum(array.size for array in packaged.values()) == registry.find("mini").parameters


def test_its_roles_name_layers_of_it():
    model, roles = registry.find("mini").build(), registry.find("mini").roles
    used = {*roles.style, *roles.content, *roles.dream, *roles.features, *roles.head}
    assert used <= {layer.name for layer in model.layers}


def test_a_place_of_the_last_stage_sees_196_pixels():
    row = layer_table(network_of("mini"), (224, 224)).row("relu5_3")
    assert (row.receptive_field, row.shape) == ((196, 196), (14, 14, 256))


def test_it_takes_any_size():
    assert registry.find("mini").build(input_shape=(None, None, 3)).output.shape == (None, None, None, 256)
