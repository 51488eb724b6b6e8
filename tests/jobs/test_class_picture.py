import math
import re

import keras
import numpy as np
import pytest
from keras import ops
from scipy.ndimage import map_coordinates

from imgnn.errors import DivergedError, InputError, InterruptedRun, UnknownNameError
from imgnn.images.files import load_image, read_settings, save_image
from imgnn.images.preprocess import preprocess
from imgnn.images.preprocessing import Preprocessing
from imgnn.jobs import channels
from imgnn.jobs import class_picture as job
from imgnn.jobs.channels import draw_channels, light, strongest
from imgnn.jobs.class_picture import class_scores, draw_class, find_goal, look_of, same_class, verdict
from imgnn.jobs.drawing import first_alive, resampling
from imgnn.networks.files import save_network
from imgnn.networks.network import Network
from imgnn.networks.predict import compute_prob
from imgnn.optimize.fourier import Fourier
from imgnn.options import ClassPictureOptions
from imgnn.runs import Silent

MEAN = (123.0, 117.0, 104.0)  # B, G, R
WORDS = ("n00000001 red, crimson", "n00000002 green, crane", "n00000003 blue, crane")
GAIN = 0.05


def colours(words=WORDS, order=(2, 1, 0), size=(12, 16), name="colours"):
    """A network that says whether a picture is red, green or blue; `order`: of the classes, as channels of BGR."""
    data = x = keras.Input((*size, 3), name="data")
    kernel = np.zeros((1, 1, 3, 3), "float32")
    for index, channel in enumerate(order):
        kernel[..., channel, index] = GAIN
    conv = keras.layers.Conv2D(3, 1, name="maps")
    x = conv(x)
    conv.set_weights([kernel, np.zeros(3, "float32")])
    x = keras.layers.ReLU(name="relu_maps")(x)
    x = keras.layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
    x = keras.layers.Softmax(name="prob")(x)
    model = keras.Model(data, x)
    layers = {layer.name: layer.name for layer in model.layers[1:]}
    return Network(name, model, Preprocessing(size, mean=MEAN), layers, {"maps": ("relu_maps", 0)}, words=words)


class Recorder(Silent):
    """Remembers what it is told; presses Ctrl-C at one step."""

    def __init__(self, stop=None):
        self.notes, self.losses, self.stop = [], [], stop

    def note(self, message):
        self.notes.append(message)

    def advance(self, done, **facts):
        self.losses += [facts["loss"]] if facts else []
        if done == self.stop:
            raise KeyboardInterrupt


@pytest.fixture
def network(tmp_path):
    """`colours`, as a file."""
    path = tmp_path / "colours.keras"
    save_network(colours(), path)
    return str(path)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.png"


def quick(network, target="red", **options):
    return ClassPictureOptions(target, **{"network": network, "iterations": 40, **options})


@pytest.mark.parametrize("preset", ["A", "B", "C", "D", "fourier"])
def test_the_picture_of_a_class_has_its_colour(network, out, preset):
    result = draw_class(out, quick(network, preset=preset), recorder := Recorder())
    red, green, blue = load_image(out).mean(axis=(0, 1))
    assert red > max(green, blue) + 10
    assert (result.path, result.size, result.target, result.class_index) == (out, (12, 16), "red, crimson", 0)
    assert (result.steps, len(recorder.losses), result.own.rank, result.own.best) == (40, 40, 1, "red, crimson")
    assert recorder.losses[-1] < recorder.losses[0]


def test_the_score_is_the_mean_of_the_map_before_its_relu_on_the_picture_saved(network, out):
    result = draw_class(out, quick(network, "green"))
    assert result.score == pytest.approx(GAIN * (load_image(out)[..., 1].astype(float).mean() - MEAN[1]), rel=1e-3)


def test_a_channel_is_raised_where_it_is(network, out):
    result = draw_class(out, quick(network, "maps@raw:2"))
    assert (result.target, result.class_index, result.own, result.judge) == ("maps@raw:2", None, None, None)
    assert result.score == pytest.approx(GAIN * (load_image(out)[..., 2].astype(float).mean() - MEAN[0]), rel=1e-3)


def test_the_same_seed_makes_the_same_picture_and_another_seed_another(network, tmp_path):
    pictures = []
    for number, seed in enumerate((1, 1, 2)):
        draw_class(tmp_path / f"{number}.png", quick(network, seed=seed))
        pictures.append(load_image(tmp_path / f"{number}.png"))
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert (pictures[0] != pictures[2]).mean() > 0.1


def test_every_setting_is_in_the_file(network, out):
    result = draw_class(out, quick(network, seed=3))
    settings = read_settings(out)
    assert (settings["command"], settings["seed"], settings["preset"]) == ("dream", 3, "fourier")
    assert (settings["target"], settings["class_index"], settings["score"]) == ("red", 0, result.score)
    assert (settings["drawn"], settings["judge"]) == ("red, crimson", None)
    assert settings["own"] == vars(result.own)


def test_a_second_network_judges_the_same_class_by_its_own_number(network, out, tmp_path):
    other = colours((WORDS[2], WORDS[0], WORDS[1]), order=(0, 2, 1), size=(8, 8), name="other")
    save_network(other, tmp_path / "other.keras")
    result = draw_class(out, quick(network, judge=str(tmp_path / "other.keras")))
    assert (result.judge.network, result.judge.rank, result.judge.best) == ("other", 1, "red, crimson")


def test_without_a_second_network_it_is_said(network, out):
    assert draw_class(out, quick(network), recorder := Recorder()).judge is None
    assert any("no second network" in note for note in recorder.notes)


def test_a_judge_that_does_not_know_the_class_says_nothing(network, out, tmp_path):
    save_network(colours(("cat", "dog", "cow"), name="other"), tmp_path / "other.keras")
    result = draw_class(out, quick(network, judge=str(tmp_path / "other.keras")), recorder := Recorder())
    assert result.judge is None
    assert recorder.notes[-1] == "other has no class that is red, crimson: it does not judge the picture"


@pytest.mark.parametrize("target", ["red", "CRIMSON", "red, crimson", "n00000001", "0"])
def test_a_class_is_found_by_word_wnid_or_index(target):
    assert find_goal(colours(), target).class_index == 0


def test_a_name_of_two_classes_is_told_with_both():
    with pytest.raises(InputError, match=r"'crane' is the name of 2 classes: 1 \(n00000002 .*\) and 2 \(n") as caught:
        find_goal(colours(), "crane")
    assert caught.value.hint == "the number instead: 1"


@pytest.mark.parametrize(
    ("target", "kind", "message"),
    [
        ("gren", UnknownNameError, "no class is called 'gren'; did you mean 'green'"),
        ("7", InputError, "colours has the classes 0 to 2, not 7"),
        ("maps:3", InputError, "maps of colours has no channel 3: its output is"),
        ("mops:0", UnknownNameError, "no layer is called 'mops'; did you mean"),
        ("maps", InputError, "maps is a layer of colours: LAYER:CHANNEL is expected"),
    ],
)
def test_names_that_nothing_has_are_told(target, kind, message):
    with pytest.raises(kind, match=message):
        find_goal(colours(), target)


def test_without_words_a_class_is_a_number():
    assert find_goal(colours(None), "2").name == "class 2"
    with pytest.raises(InputError, match="a number from 0 to 2 was expected, not 'red'"):
        find_goal(colours(None), "red")


def test_scores_come_before_softmax_and_relu_and_mean():
    network = colours()
    assert class_scores(network) is network.model.get_layer("maps").output


def test_the_logits_of_a_dense_layer_with_softmax_are_those_before_it(random):
    data = keras.Input((4, 4, 3))
    flat = keras.layers.Flatten()(data)
    dense = keras.layers.Dense(5, activation="softmax", name="predictions")
    network = Network("one", keras.Model(data, dense(flat)), Preprocessing((4, 4), scale=(1 / 64,) * 3), {}, {})
    image = random.integers(0, 256, (4, 4, 3), dtype="uint8")
    kernel, bias = (np.asarray(each) for each in dense.get_weights())
    logits = preprocess(image, network.preprocessing).reshape(1, -1) @ kernel + bias
    told = verdict(network, look_of(network, (4, 4)), image, 3)
    assert told.logit == pytest.approx(logits[0, 3], rel=1e-3, abs=1e-3)
    assert told.prob == pytest.approx(np.exp(logits[0, 3]) / np.exp(logits).sum(), rel=1e-2, abs=1e-6)
    assert class_scores(network).shape == (None, 5)


def test_of_a_map_of_classes_the_mean_is_looked_at(random):
    """As NIN gives it for a picture larger than its own; softmax of it is no longer the network's output."""
    data = keras.Input((None, None, 3))
    pooled = keras.layers.AveragePooling2D(4)(keras.layers.Conv2D(5, 1, name="classes")(data))
    model = keras.Model(data, keras.layers.Softmax(name="prob")(pooled))
    network = Network("one", model, Preprocessing((4, 4), scale=(1 / 64,) * 3), {}, {})
    image = random.integers(0, 256, (8, 8, 3), dtype="uint8")
    kernel, bias = (np.asarray(each) for each in model.get_layer("classes").get_weights())
    wanted = preprocess(image, network.preprocessing).mean((0, 1, 2)) @ kernel[0, 0] + bias
    told = verdict(network, look_of(network, (8, 8)), image, 2)
    assert told.logit == pytest.approx(wanted[2], rel=1e-4)
    assert told.best == str(wanted.argmax())


def test_a_verdict_is_what_the_classifier_says(random):
    network, image = colours(), random.integers(0, 256, (12, 16, 3), dtype="uint8")
    prob = compute_prob(network, image[None])[0]
    for index in range(3):
        told = verdict(network, look_of(network, (12, 16)), image, index)
        assert told.prob == pytest.approx(prob[index], rel=1e-4)
        assert told.rank == 1 + sorted(-prob).index(-prob[index])


def test_classes_are_the_same_by_wnid_then_by_words_then_by_number():
    network = colours()
    assert same_class(network, 1, colours(("n00000002 vert", "n00000001 rouge", "n00000003 bleu"))) == 0
    assert same_class(network, 0, colours(("cow", "red, crimson", "cat"))) == 1
    assert same_class(network, 0, colours(("cow", "dog", "cat"))) is None
    assert same_class(network, 1, colours(None)) == 1


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (1.05, 3.3), (0.95, -2.5), (1.0, 14.0)])
def test_resampling_is_scipys_linear_interpolation_with_mirrored_ends(random, scale, shift):
    row = random.normal(size=9)
    position = (np.arange(9) - 4) / scale + 4 + shift
    wanted = map_coordinates(row, position[None], order=1, mode="reflect")
    np.testing.assert_allclose(resampling(9, scale, shift) @ row, wanted, atol=1e-5)


def test_it_starts_where_a_way_leads_up():
    def evaluate(values):
        return 0.0, {}, ops.relu(values - 1.5)

    starts = [np.full(2, level, "float32") for level in (1, 2, 3)]
    for given, wanted in ((starts, (2, True)), (starts[:1], (1, False))):
        values, alive = first_alive(given, evaluate)
        assert (float(values[0]), alive) == wanted


def test_a_channel_that_fires_on_nothing_is_told(tmp_path, out):
    dead = colours()
    dead.model.get_layer("maps").set_weights([np.zeros((1, 1, 3, 3), "float32"), np.full(3, -1.0, "float32")])
    save_network(dead, tmp_path / "dead.keras")
    with pytest.raises(InputError, match="maps:0 of colours fires on nothing that a picture starts from"):
        draw_class(out, quick(str(tmp_path / "dead.keras"), "maps:0", preset="C"))
    assert not out.exists()


def test_another_size_goes_where_no_layer_is_fully_connected(network, out):
    assert draw_class(out, quick(network, size=20)).size == (20, 20)
    assert load_image(out).shape == (20, 20, 3)


def test_a_fully_connected_network_names_the_size_it_wants(tmp_path, out):
    data = keras.Input((8, 8, 3))
    model = keras.Model(data, keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(data)))
    save_network(Network("whole", model, Preprocessing((8, 8)), {}, {}, words=WORDS), tmp_path / "whole.keras")
    with pytest.raises(InputError, match="for this, whole wants a picture of 8 x 8 pixels, not 20 x 20") as caught:
        draw_class(out, quick(str(tmp_path / "whole.keras"), size=20))
    assert caught.value.hint.startswith("leave out --size")


def test_a_picture_that_does_not_fit_the_memory_is_told(network, out, monkeypatch):
    def starts(self, seed):
        raise MemoryError

    monkeypatch.setattr(Fourier, "start", starts)
    with pytest.raises(InputError, match="20 x 20 pixels of colours do not fit into the memory") as caught:
        draw_class(out, quick(network, size=20))
    assert caught.value.hint == "a smaller --size"


@pytest.mark.parametrize("preset", ["C", "fourier"])
def test_ctrl_c_saves_the_picture_so_far(network, out, preset):
    with pytest.raises(
        InterruptedRun, match=re.escape(f"stopped at step 2 of 9; the picture so far was saved to {out}")
    ):
        draw_class(out, quick(network, iterations=9, preset=preset), Recorder(stop=2))
    assert (load_image(out).shape, read_settings(out)["steps"]) == ((12, 16, 3), 2)


def test_a_score_that_runs_away_is_told_and_the_last_good_picture_saved(network, out, monkeypatch):
    def ends_badly(run, evaluate, optimizer, *_):
        run.values = optimizer.step(run.values, evaluate)[0] * math.nan
        run.steps, run.found, run.ended = 2, 1, "diverged"
        return run

    monkeypatch.setattr(job, "minimise", ends_badly)
    with pytest.raises(DivergedError, match="the score ran away at step 2 of 40; the best picture before") as caught:
        draw_class(out, quick(network))
    assert caught.value.hint == "--iterations 1, or another --preset"
    assert load_image(out).std() < 5, "the start, faint noise"


def test_a_score_that_is_not_finite_from_the_start_is_told(tmp_path, out):
    broken = colours()
    broken.model.get_layer("maps").set_weights([np.full((1, 1, 3, 3), math.nan, "float32"), np.zeros(3, "float32")])
    save_network(broken, tmp_path / "broken.keras")
    with pytest.raises(DivergedError, match="not finite at the first step; nothing was saved"):
        draw_class(out, quick(str(tmp_path / "broken.keras")))
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iterations": 0}, "--iterations is at least 1, not 0"),
        ({"size": -5}, "--size is at least 1, not -5"),
        ({"preset": "E"}, "no preset is called 'E'"),
        ({"judge": "nonesuch"}, "no network is called 'nonesuch'"),
    ],
    ids=str,
)
def test_options_that_cannot_be_meant_are_refused(network, out, options, message):
    with pytest.raises((InputError, UnknownNameError), match=message):
        draw_class(out, quick(network, **options), recorder := Recorder())
    assert recorder.losses == []


# The channels of a photo


def test_channels_are_ranked_by_what_they_give_beyond_noise(random):
    activations = random.uniform(0, 1, (4, 5, 3))
    activations[2, 4, 1] = 30.0
    noise = np.array([0.0, 0.3, 5.0])
    first, second, third = strongest("conv", activations, noise, 3, (40, 100))
    means = activations.mean(axis=(0, 1)) - noise
    assert [each.channel for each in (first, second, third)] == list(np.argsort(-means))
    assert (first.strength, first.peak) == (pytest.approx(means[1]), 30.0)
    assert first.place == (25, 90)  # the middle of the third of four rows, the last of five columns


def test_light_falls_where_the_channel_fires():
    # 0.2 of the picture where it is silent, all of it at the peak, the root of the share between: 0.2 + 0.8 * sqrt(1/4)
    lit = light(np.full((8, 8, 3), 200, "uint8"), np.kron([[0.0, 1.0], [0.0, 4.0]], np.ones((4, 4))))
    assert (lit[0, 0, 0], lit[0, 7, 0], lit[7, 7, 0]) == (24, 68, 200)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(channels, "CHANNEL_SIDE", 24)
    monkeypatch.setattr(channels, "CHANNEL_STEPS", 2)


@pytest.fixture
def red_photo(tmp_path):
    photo = np.zeros((30, 40, 3), "uint8")
    photo[:15, 20:, 0] = 255
    save_image(tmp_path / "red.png", photo)
    return tmp_path / "red.png"


def test_the_channels_of_a_photo_come_with_a_sheet(network, red_photo, out, small):
    result = draw_channels(red_photo, out, 2, "maps", network)
    first, second = result.channels
    assert (first.layer, first.channel, result.network) == ("maps", 0, "colours")
    assert first.strength > second.strength
    assert first.place[0] < 15 and first.place[1] >= 20
    assert load_image(out).shape[1] > 2 * 240
    assert read_settings(out)["channels"][0]["channel"] == 0


def test_the_sheet_never_takes_the_place_of_the_photo(network, red_photo):
    with pytest.raises(InputError, match="would be replaced by what is made of it"):
        draw_channels(red_photo, red_photo, 1, "maps", network)


def test_ctrl_c_keeps_the_sheet_without_the_small_pictures_that_are_missing(network, red_photo, out, small):
    with pytest.raises(InterruptedRun, match=re.escape(f"stopped at channel 2 of 3; the sheet was saved to {out}")):
        draw_channels(red_photo, out, 3, "maps", network, Recorder(stop=2))
    assert load_image(out).shape[1] > 3 * 240


@pytest.mark.parametrize(
    ("count", "layer", "message"),
    [
        (0, "maps", "at least 1 channel"),
        (4, "maps", "maps of colours has 3 channels; 4 were asked for"),
        (1, None, "does not say which of its layers"),
        (1, "mops", "no layer is called 'mops'"),
    ],
)
def test_channels_that_there_are_not_are_told(network, red_photo, out, count, layer, message):
    with pytest.raises((InputError, UnknownNameError), match=message):
        draw_channels(red_photo, out, count, layer, network)
    assert not out.exists()
