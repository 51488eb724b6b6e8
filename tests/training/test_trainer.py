"""A network in training: what is frozen stays, what is trained goes where NumPy says, and a restart changes nothing."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from imgnn.errors import DivergedError
from imgnn.images.preprocess import preprocess
from imgnn.images.preprocessing import Preprocessing
from imgnn.networks.files import load_network_file, save_network
from imgnn.training.optimizers import Pace
from imgnn.training.trainer import Prepare, Trainer, cross_entropy, divide, every_layer
from tests.training.small import SIZE, pixels, targets_of, with_head

LABELS = [0, 1, 2, 3, 3, 2, 1, 1]
ONES = np.ones(8, "float32")


def numpy_of(tensor):
    return ops.convert_to_numpy(tensor)


def weights_of(model):
    return {variable.path: numpy_of(variable.value).copy() for variable in model.weights}


def train(trainer, steps=3, rate=0.05, x=None):
    x = pixels() if x is None else x
    return [trainer.step(x, targets_of(LABELS), ONES, rate)[0] for _ in range(steps)]


def whole_trainer(network=None, trained=None, **options):
    return Trainer(divide(network or with_head(), trained).whole, **options)


# Pixels


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(SIZE),
        Preprocessing(SIZE, mean=(103.9, 116.8, 123.7), scale=(0.5, 0.25, 2.0)),
        Preprocessing(SIZE, mean=(127.5,) * 3, channel_order="RGB", scale=(1 / 127.5,) * 3),
        Preprocessing(SIZE, mean=(33.0,), channel_order="GREY", scale=(1 / 255,)),
    ],
    ids=["BGR", "BGR scaled", "RGB", "grey"],
)
def test_pixels_are_prepared_on_the_device_as_in_memory(preprocessing):
    x = numpy_of(Prepare(preprocessing)(pixels()))
    np.testing.assert_allclose(x, preprocess(pixels(), preprocessing), rtol=1e-5, atol=1e-4)


def test_a_grey_network_is_trained_on_pictures_in_colour():
    grey = Preprocessing(SIZE, mean=(110.0,), channel_order="GREY", scale=(1 / 60,))
    parts = divide(with_head(preprocessing=grey), ("fc3",))
    assert parts.whole.input.shape == (None, *SIZE, 3)
    assert numpy_of(parts.whole(pixels())).shape == (8, 4)


# Where a network is divided


@pytest.mark.parametrize(
    ("on", "trained"),
    [
        ((), ("fc3",)),
        ((), ("fc2", "fc3")),
        ((), ("mix__1x1", "fc3")),
        (("mix/output",), ("fc3",)),
        (("mix/output", "fc2"), ("fc3",)),
        (("conv1", "mix/output"), ("mix__3x3", "fc3")),
    ],
)
def test_the_frozen_part_and_the_trained_one_are_the_whole(on, trained):
    network = with_head(on=on)
    parts = divide(network, trained)
    x = preprocess(pixels(), network.preprocessing)
    expected = numpy_of(keras.Model(network.model.input, network.model.layers[-1].input)(x, training=False))
    np.testing.assert_allclose(numpy_of(parts.whole(pixels(), training=False)), expected, atol=1e-6)
    halfway = parts.below(pixels(), training=False)
    np.testing.assert_allclose(numpy_of(parts.above(halfway, training=False)), expected, atol=1e-6)


def test_a_network_that_is_trained_from_its_first_layer_on_has_no_frozen_part():
    for trained in (None, ("conv1", "fc3")):
        parts = divide(with_head(), trained)
        assert parts.below is None
        assert parts.above is None


def test_what_is_trained_is_what_was_asked_for_without_batch_normalisation():
    assert [layer.name for layer in divide(with_head(), ("bn1", "fc3")).trained] == ["fc3"]
    every = [layer.name for layer in divide(with_head(), None).trained]
    assert every == ["conv1", "mix__1x1", "mix__3x3", "fc2", "fc3"]


def test_a_second_stage_is_divided_anew():
    network = with_head()
    divide(network, ("fc3",))
    assert [layer.name for layer in divide(network, ("fc2", "fc3")).trained] == ["fc2", "fc3"]


def test_dropout_varies_in_training_and_belongs_to_the_trained_part():
    parts = divide(with_head(drops=0.5), ("fc3",))
    assert [layer.name for layer in parts.above.layers if isinstance(layer, keras.layers.Dropout)] == ["drop1", "drop2"]
    halfway = parts.below(pixels(), training=True)
    first, second = (numpy_of(parts.above(halfway, training=True)) for _ in range(2))
    assert not np.allclose(first, second)
    first, second = (numpy_of(parts.above(halfway, training=False)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_what_lies_below_gives_the_same_while_training():
    parts = divide(with_head(drops=0.5), ("fc3",))
    still, training = (numpy_of(parts.below(pixels(), training=each)) for each in (False, True))
    np.testing.assert_array_equal(still, training)


def test_without_dropout_only_the_classifier_is_above():
    parts = divide(with_head(drops=0.0), ("fc3",))
    assert parts.below.outputs[0].shape == (None, 16)


# What changes


@pytest.mark.parametrize("cached", [False, True])
def test_only_what_is_trained_changes(cached):
    network = with_head()
    before, parts = weights_of(network.model), divide(network, ("fc2", "fc3"))
    trainer = Trainer(parts.above if cached else parts.whole, weight_decay=0.1, coupled=True)
    train(trainer, x=numpy_of(parts.below(pixels())) if cached else None)
    changed = {path for path, value in weights_of(network.model).items() if not np.array_equal(value, before[path])}
    assert changed == {"fc2/kernel", "fc2/bias", "fc3/kernel", "fc3/bias"}


def test_the_statistics_of_batch_normalisation_stay_and_are_what_is_used():
    network = with_head(drops=0.0)
    before, trainer = weights_of(network.model), whole_trainer(network)
    expected = cross_entropy(trainer.logits(pixels()), np.array(LABELS)).mean()
    loss, _ = trainer.step(pixels(), targets_of(LABELS), ONES, 0.05)
    assert loss == pytest.approx(expected, rel=1e-5)  # by the batch's own mean and variance it would be another
    for name in ("bn1/moving_mean", "bn1/moving_variance"):
        np.testing.assert_array_equal(weights_of(network.model)[name], before[name])


def test_the_cached_part_is_trained_as_the_whole_is():
    trained = []
    for cached in (True, False):
        network = with_head(drops=0.0)
        parts = divide(network, ("fc3",))
        x = numpy_of(parts.below(pixels())) if cached else pixels()
        train(Trainer(parts.above if cached else parts.whole), x=x)
        trained.append(weights_of(network.model)["fc3/kernel"])
    np.testing.assert_allclose(*trained, atol=1e-6)


def test_a_head_on_several_cut_tensors_is_trained_on_a_list():
    parts = divide(with_head(drops=0.0), ("mix__1x1", "fc3"))
    x = [numpy_of(each) for each in parts.below(pixels())]
    losses = train(Trainer(parts.above), steps=10, x=x)
    assert losses[-1] < losses[0]


def test_every_variable_has_its_pace():
    network = with_head(drops=0.0)
    before = weights_of(network.model)
    trainer = whole_trainer(network, ("fc2", "fc3"), paces={"fc2/kernel": Pace(0.0), "fc2/bias": Pace(0.0)})
    train(trainer)
    now = weights_of(network.model)
    np.testing.assert_array_equal(now["fc2/kernel"], before["fc2/kernel"])
    assert not np.array_equal(now["fc3/kernel"], before["fc3/kernel"])


# Loss


def smoothed(labels, smoothing):
    """Targets that spread a share over all classes: Rethinking the Inception Architecture, section 7."""
    return (1 - smoothing) * targets_of(labels) + smoothing / 4


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_cross_entropy_of_the_batch_before_the_step(smoothing):
    trainer = whole_trainer(with_head(drops=0.0), smoothing=smoothing)
    for _ in range(3):
        logits = trainer.logits(pixels()).astype("float64")
        expected = -(smoothed(LABELS, smoothing) * log_softmax(logits)).sum(axis=1).mean()
        loss, accuracy = trainer.step(pixels(), targets_of(LABELS), ONES, 0.05)
        assert loss == pytest.approx(expected, rel=1e-5)
        assert accuracy == (logits.argmax(axis=1) == LABELS).mean()


def test_a_step_goes_down_the_slope_that_numpy_finds():
    network = with_head(drops=0.0)
    parts = divide(network, ("fc3",))
    x = numpy_of(parts.below(pixels())).astype("float64")
    before = weights_of(network.model)
    prob = np.exp(log_softmax(x @ before["fc3/kernel"] + before["fc3/bias"]))
    slope = (prob - targets_of(LABELS)) / 8
    train(Trainer(parts.above), steps=1, rate=0.5, x=x.astype("float32"))
    now = weights_of(network.model)
    np.testing.assert_allclose(now["fc3/kernel"], before["fc3/kernel"] - 0.5 * x.T @ slope, atol=1e-5)
    np.testing.assert_allclose(now["fc3/bias"], before["fc3/bias"] - 0.5 * slope.sum(axis=0), atol=1e-5)


def test_pictures_without_weight_do_not_count():
    weights = np.array([1, 1, 1, 1, 0, 0, 0, 0], "float32")
    found = []
    for garbage in (0.0, 200.0):
        network = with_head(drops=0.0)
        trainer, x = whole_trainer(network), pixels()
        x[4:] = garbage
        loss, accuracy = trainer.step(x, targets_of(LABELS), weights, 0.05)
        found.append((loss, accuracy, weights_of(network.model)["conv1/kernel"]))
    (loss, accuracy, kernel), (other_loss, other_accuracy, other_kernel) = found
    assert (loss, accuracy) == (pytest.approx(other_loss, rel=1e-6), other_accuracy)
    np.testing.assert_allclose(kernel, other_kernel, atol=1e-6)
    expected = whole_trainer(with_head(drops=0.0)).step(pixels()[:4], targets_of(LABELS[:4]), ONES[:4], 0.05)
    assert loss == pytest.approx(expected[0], rel=1e-5)


def test_weights_weigh_the_mean_of_the_losses():
    trainer, weights = whole_trainer(with_head(drops=0.0)), np.arange(8, dtype="float32")
    losses = cross_entropy(trainer.logits(pixels()), np.array(LABELS))
    loss, _ = trainer.step(pixels(), targets_of(LABELS), weights, 0.05)
    assert loss == pytest.approx((weights * losses).sum() / weights.sum(), rel=1e-5)


def test_a_batch_without_a_picture_changes_nothing():
    network = with_head()
    trainer, before = whole_trainer(network), weights_of(network.model)
    loss, accuracy = trainer.step(np.zeros((8, 1, 1, 3)), targets_of(LABELS), 0 * ONES, 0.05)
    assert math.isnan(loss)
    assert math.isnan(accuracy)
    for path, value in weights_of(network.model).items():
        np.testing.assert_array_equal(value, before[path])


def test_a_convolution_that_answers_at_1x1_is_trained_on_flat_targets():
    data = keras.Input((*SIZE, 3), name="data")
    x = keras.layers.Conv2D(4, 1, name="conv10")(data)
    model = keras.Model(data, keras.layers.GlobalAveragePooling2D(keepdims=True)(x))
    trainer = Trainer(model)
    assert trainer.logits(pixels()).shape == (8, 4)
    x = (pixels() - 128) / 60
    losses = train(trainer, steps=5, x=x)
    assert losses[-1] < losses[0]


def test_cross_entropy_of_sure_answers_is_finite():
    found = cross_entropy(np.array([[1000.0, 0.0], [0.0, 1000.0]]), np.array([0, 0]))
    np.testing.assert_array_equal(found, [0, 1000])


def test_a_loss_that_is_no_number_stops_the_training():
    trainer = whole_trainer()
    with pytest.raises(DivergedError, match="no longer finite") as raised:
        train(trainer, steps=30, rate=1e12)
    assert "--lr-find" in raised.value.hint


# A restart


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_after_a_restart_the_next_steps_are_the_same_to_the_last_bit(tmp_path, optimizer):
    options = {"optimizer": optimizer, "weight_decay": 0.01, "coupled": optimizer == "sgd"}
    network = with_head(drops=0.5)
    trainer = whole_trainer(network, ("fc2", "fc3"), **options)
    save_network(network, tmp_path / "start.keras")
    train(trainer)
    state = {name: value.copy() for name, value in trainer.state().items()}
    losses = train(trainer)

    other = load_network_file(tmp_path / "start.keras")
    again = whole_trainer(other, ("fc2", "fc3"), **options)
    again.restore(state)
    assert train(again) == losses
    for path, value in weights_of(network.model).items():
        np.testing.assert_array_equal(weights_of(other.model)[path], value)


def test_the_state_has_every_variable_that_a_step_changes():
    network = with_head(drops=0.5)
    trainer = whole_trainer(network, ("fc2", "fc3"), optimizer="adam")
    before = {name: value.copy() for name, value in trainer.state().items()}
    train(trainer, steps=1)
    changed = {name for name, value in trainer.state().items() if not np.array_equal(value, before[name])}
    weights = {"fc2/kernel", "fc2/bias", "fc3/kernel", "fc3/bias"}
    assert {name for name in changed if not name.startswith("optimizer/")} == weights | {"random/0", "random/1"}
    assert sum(name.startswith("optimizer/") for name in changed) == 2 + 2 * 4  # step, rate; two moments of each


def test_the_state_of_another_training_is_refused():
    state = whole_trainer(trained=("fc3",)).state()
    with pytest.raises((KeyError, ValueError)):
        whole_trainer(trained=("fc2", "fc3")).restore(state)


# Precision


def test_in_bfloat16_a_network_is_trained_nearly_as_in_float32():
    losses, logits = {}, {}
    for precision in ("float32", "bfloat16"):
        trainer = whole_trainer(with_head(drops=0.0), precision=precision)
        with trainer.computing():
            losses[precision] = train(trainer, steps=5)
            logits[precision] = trainer.logits(pixels())
    np.testing.assert_allclose(losses["bfloat16"], losses["float32"], rtol=0.02)
    assert not np.array_equal(logits["bfloat16"], logits["float32"])


def test_weights_stay_in_float32_and_the_precision_is_put_back():
    network = with_head()
    trainer = whole_trainer(network, precision="bfloat16")
    with trainer.computing():
        train(trainer, steps=1)
        assert {variable.dtype for variable in network.model.weights} == {"float32"}
    assert {layer.dtype_policy.compute_dtype for layer in network.model.layers} == {"float32"}


def test_from_the_classifier_on_all_is_computed_in_float32():
    data = keras.Input((*SIZE, 3), name="data")
    x = keras.layers.Conv2D(4, 1, name="conv10")(keras.layers.Conv2D(4, 1, name="conv1")(data))
    model = keras.Model(data, keras.layers.GlobalAveragePooling2D(keepdims=True, name="pool10")(x))
    trainer = Trainer(model, precision="bfloat16")
    with trainer.computing():
        kinds = {layer.name: layer.dtype_policy.compute_dtype for layer in every_layer(trainer.model)}
    assert kinds["conv1"] == "bfloat16"
    assert kinds["conv10"] == kinds["pool10"] == "float32"
