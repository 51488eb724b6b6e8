import keras
import numpy as np
import pytest
from keras import ops

from imgnn.images.preprocessing import Preprocessing
from imgnn.networks.features import cut, look
from imgnn.networks.layers import LRN
from imgnn.networks.names import network_of
from imgnn.networks.network import Network
from imgnn.networks.table import reach
from imgnn.optimize.evaluate import Tiled, Whole, build_picture
from imgnn.optimize.objectives import content_loss, dream_loss, gram_matrix, style_loss, tv_loss
from imgnn.optimize.parameters import to_x
from imgnn.optimize.tiles import cut_tiles
from imgnn.options import LayerChoice

LAYERS = {
    "random": ("relu1", "relu2", "relu4"),
    "squeezenet-v1.1": ("conv1", "fire2/concat", "fire5/concat"),
    "squeezenet-v1.0": ("conv1", "fire3/concat", "fire5/concat"),
    "vgg19": ("relu1_1", "relu2_1", "relu3_2"),
    "googlenet": ("conv1/7x7_s2", "conv2/3x3", "inception_3a/output"),
    "alexnet": ("conv1", "conv3"),
    "caffenet": ("conv1", "conv3"),
    "nin": ("relu0", "relu7"),
    "resnet50": ("conv1", "res2c", "res3a"),
    "loose": ("first", "within", "pooled"),
}


def loosely_padded():
    """What Keras pads by itself, by more or less in front; a window within a channel; padding in a layer of its own."""
    data = keras.Input((None, None, 3))
    first = keras.layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="first")(data)
    within = LRN(13, alpha=5.0, within=True, name="within")(first)
    pooled = keras.layers.MaxPooling2D(3, 2, name="pooled")(keras.layers.ZeroPadding2D(1)(within))
    layers = {name: name for name in ("first", "within", "pooled")}
    return Network("loose", keras.Model(data, pooled), Preprocessing((64, 64)), layers, {})


@pytest.mark.parametrize("size", [(150, 203), (162, 120), (160, 200)], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_tiles_give_the_loss_and_the_gradient_of_the_whole(name, size, random):
    """Also with odd sides, where the layers round: float32 adds in another order, nothing more."""
    keras.utils.set_random_seed(1)
    network, layers = loosely_padded() if name == "loose" else network_of(name), LAYERS[name]
    photo, pixels = (ops.convert_to_tensor(random.uniform(0, 255, (1, *size, 3)).astype("float32")) for _ in "ab")
    see = look(network, layers, size)
    of_pixels = lambda see: lambda pixels: see(to_x(pixels, network.preprocessing))  # noqa: E731
    features = of_pixels(see)(photo)
    regions = random.random((1, *features[layers[0]].shape[1:3], 2), dtype="float32")
    grams = {layers[0]: ops.concatenate([gram_matrix(features[layers[0]]), 2 * gram_matrix(features[layers[0]])])}
    objective = (
        content_loss({layers[-1]: features[layers[-1]]})
        + style_loss(grams, None, (0.7, 0.3))
        + 1e-3 * dream_loss([LayerChoice(layers[1], 1), LayerChoice(layers[-1], weight=0.5)])
        + 1e-6 * tv_loss()
    )
    scene = {f"regions:{layers[0]}": regions}
    whole = Whole(of_pixels(see), objective, {key: ops.convert_to_tensor(each) for key, each in scene.items()})
    tiles = cut_tiles(size, reach(network, layers, size), 128)
    assert len(tiles) > 1
    window = tuple(each.stop - each.start for each in (tiles[0].down, tiles[0].across))
    sizes = {layer: each.shape[1:3] for layer, each in cut(network, layers, window).output.items()}
    scene[f"photo:{layers[-1]}"] = ops.convert_to_numpy(features[layers[-1]])
    tiled = Tiled(of_pixels(look(network, layers, window)), objective, tiles, sizes, scene)
    (loss, parts, gradient), (own, own_parts, slope) = whole(pixels), tiled(pixels)
    assert float(own) == pytest.approx(float(loss), rel=1e-4)
    assert {name: float(part) for name, part in own_parts.items()} == pytest.approx(
        {name: float(part) for name, part in parts.items()}, rel=1e-4
    )
    gradient, slope = ops.convert_to_numpy(gradient), ops.convert_to_numpy(slope)
    np.testing.assert_allclose(slope, gradient, atol=1e-4 * np.abs(gradient).max())


def test_an_early_layer_that_sees_further_than_one_that_skips_is_minded(random):
    """conv 9x9, then 1x1 with stride 8: what the first sees reaches beyond what the second stands for."""
    entry = keras.Input((None, None, 3), name="data")
    first = keras.layers.Conv2D(4, 9, padding="same", name="wide")(entry)
    model = keras.Model(entry, keras.layers.Conv2D(4, 1, strides=8, name="sparse")(first))
    names = {"wide": "wide", "sparse": "sparse"}
    network = Network("two", model, Preprocessing((64, 64)), names, {})
    size, layers = (160, 208), ("wide", "sparse")
    photo, pixels = (ops.convert_to_tensor(random.uniform(0, 255, (1, *size, 3)).astype("float32")) for _ in "ab")

    def see(names, size):
        features = look(network, names, size)
        return lambda pixels: features(to_x(pixels, network.preprocessing))

    features = see(layers, size)(photo)
    objective = content_loss({"wide": features["wide"]}) + style_loss({n: gram_matrix(features[n]) for n in layers})
    whole = build_picture(network, layers, size, see, objective)(pixels)
    scene = {"photo:wide": ops.convert_to_numpy(features["wide"])}
    tiled = build_picture(network, layers, size, see, objective, scene, tile=64)(pixels)
    assert float(tiled[0]) == pytest.approx(float(whole[0]), rel=1e-4)
    wanted = ops.convert_to_numpy(whole[2])
    np.testing.assert_allclose(ops.convert_to_numpy(tiled[2]), wanted, atol=1e-4 * np.abs(wanted).max())


def test_windows_have_one_size_and_every_position_is_one_tiles_own():
    network, layers = network_of("squeezenet-v1.1"), ("conv1", "fire5/concat")
    for size in [(512, 700), (333, 1000), (257, 258)]:
        tiles = cut_tiles(size, reach(network, layers, size), 256)
        assert len({(t.down.stop - t.down.start, t.across.stop - t.across.start) for t in tiles}) == 1
        for name, each in cut(network, layers, size).output.items():
            seen = np.zeros(each.shape[1:3])
            window = tuple(s.stop - s.start for s in (tiles[0].down, tiles[0].across))
            own = cut(network, layers, window).output[name].shape[1:3]
            for tile in tiles:
                seen[tile.of_layer(name, own)[1:3]] += tile.counts(name, own)[0, :, :, 0]
            np.testing.assert_array_equal(seen, 1)


def test_a_factor_of_the_scene_scales_its_term(random):
    pixels = ops.convert_to_tensor(random.uniform(0, 255, (1, 8, 8, 3)).astype("float32"))
    whole = Whole(lambda pixels: {"a": pixels}, 1.0 * content_loss({"a": 0 * pixels}) + 1.0 * tv_loss())
    _, parts, _ = whole(pixels)
    _, scaled, _ = whole(pixels, {"factor:content": ops.convert_to_tensor(3.0), "factor:tv": ops.zeros(())})
    assert float(scaled["content"]) == pytest.approx(3 * float(parts["content"]), rel=1e-6)
    assert float(scaled["tv"]) == 0.0
