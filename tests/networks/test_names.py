"""What is read off a model's graph."""

import keras
import pytest

from imgnn.networks import layers as L
from imgnn.networks.names import guess_roles


@pytest.mark.parametrize("side", [32, None])
def test_roles_are_the_last_layers_of_each_resolution_whether_the_size_is_fixed_or_not(side):
    x = image = keras.Input((side, side, 3))
    for block in (1, 2, 3):
        x = L.relu(L.conv(x, 4, 3, name=f"conv{block}", pad=1), name=f"relu{block}")
        x = L.conv(x, 4, 3, name=f"down{block}", stride=2, pad=1)
    roles = guess_roles(keras.Model(image, x))
    assert roles.style == ("relu1", "relu2", "relu3")
    assert (roles.content, roles.dream, roles.features, roles.classifier) == (
        ("relu3",), ("relu3",), ("conv3",), ("down3",),
    )  # fmt: skip


def test_what_has_no_height_and_width_has_no_role():
    x = image = keras.Input((16, 16, 3))
    x = L.relu(L.conv(x, 4, 3, name="conv", stride=2, pad=1), name="relu")
    moved = keras.layers.Permute((1, 3, 2), name="moved")(x)
    roles = guess_roles(keras.Model(image, [L.flatten(moved, name="flat"), x]))  # through flat__nchw
    assert (roles.style, roles.content) == (("relu",), ("relu",))
