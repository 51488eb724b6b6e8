"""A decoder in training together with its network: which weights move, how far, and that pixels serve as features."""

import keras
import numpy as np
import pytest

from imgnn.errors import InputError
from imgnn.images.preprocessing import Preprocessing
from imgnn.networks.feature_network import feature_network
from imgnn.networks.network import Network
from imgnn.training.joint_trainer import JointTrainer
from imgnn.training.sentence_trainer import SentenceTrainer
from imgnn.training.sentences import Sentences
from tests.language.decoders import drawn
from tests.training.backends import told_by
from tests.training.small import SIZE, pixels, small_network

# Of three pictures with 2, 1 and 3 captions.
ROWS = [0, 0, 1, 2, 2, 2]
SAID = [[3, 4, 5, 6], [4, 3], [3, 4, 6, 6, 5], [5, 5, 3], [6], [3]]
BATCH = 8  # the last two rows weigh nothing
RATE = 0.001


def build(pace, **options):
    """A trainer of a decoder and the small network, which has a batch normalisation."""
    network = feature_network(small_network(), ("fc2",), SIZE)
    decoder = drawn(1, size=0.3, vocabulary=8, feature=int(network.model.outputs[0].shape[-1]))
    return JointTrainer(decoder, network, pace=pace, precision="float32", **options)


def pictures():
    return pixels(3).astype("uint8")


def batches():
    data = Sentences(ROWS, SAID, longest=5, lengths=(3, 6))
    return list(data.all(BATCH))


def train(trainer, times=1, rate=RATE):
    with trainer.computing():
        return [trainer.step(pictures(), batch, rate) for _ in range(times) for batch in batches()]


def parts_of(trainer):
    """The weights of the network, and of the decoder."""
    network = {each.path: keras.ops.convert_to_numpy(each) for each in trainer.network.model.weights}
    return network, trainer.decoder.weights()


def changes(before, after):
    return {name for name, values in before.items() if not np.array_equal(values, after[name])}


def first_moves(trainer):
    """How far the first step moves each weight, at most: of the network, and of the decoder."""
    before = parts_of(trainer)
    with trainer.computing():
        trainer.step(pictures(), batches()[1], RATE)
    return [
        {name: np.abs(values - old[name]).max() for name, values in new.items()}
        for old, new in zip(before, parts_of(trainer), strict=True)
    ]


def test_two_steps_lower_the_loss():
    trainer = build(1.0)
    losses = train(trainer, times=3, rate=0.01)
    assert losses[2] < losses[0] and losses[3] < losses[1] and losses[4] < losses[2]


def test_the_loss_is_that_of_the_decoder_on_the_networks_features():
    trainer = build(0.0)
    alone = SentenceTrainer(drawn(1, size=0.3, vocabulary=8, feature=trainer.decoder.spec.feature))
    features = keras.ops.convert_to_numpy(trainer.look(pictures().astype("float32")))
    expected = [alone.step(features[batch.rows], batch, RATE) for _ in range(2) for batch in batches()]
    assert train(trainer, times=2) == pytest.approx(expected, rel=1e-4)


def test_a_network_with_no_pace_stays_as_it_is():
    trainer = build(0.0)
    network, decoder = parts_of(trainer)
    train(trainer, times=2)
    assert changes(network, parts_of(trainer)[0]) == set()
    assert changes(decoder, parts_of(trainer)[1]) == decoder.keys() - {"standard/mean", "standard/scale"}


def test_the_network_goes_at_its_own_pace():
    """Adam's first step is the learning rate in each weight, whatever the gradient is."""
    for pace in (0.1, 0.5):
        network, decoder = first_moves(build(pace, clip=None))
        assert network["fc2/kernel"] == pytest.approx(RATE * pace, rel=1e-2)
        assert decoder["picture/kernel"] == pytest.approx(RATE, rel=1e-2)


@pytest.mark.parametrize("name", ["picture", "output"])
def test_a_layer_called_like_one_of_the_decoder_does_not_slow_it(name):
    data = keras.Input((*SIZE, 3))
    model = keras.Model(data, keras.layers.Dense(4, name=name)(keras.layers.Flatten()(data)))
    network = Network("alike", model, Preprocessing(SIZE, scale=(1 / 60,) * 3), {name: name}, {name: (name, 0)})
    decoder = drawn(1, size=0.3, vocabulary=8, feature=4)
    looking = feature_network(network, (name,), SIZE)
    network, decoder = first_moves(JointTrainer(decoder, looking, pace=0.1, precision="float32", clip=None))
    assert network[f"{name}/kernel"] == pytest.approx(RATE * 0.1, rel=1e-2)
    assert decoder[f"{name}/kernel"] == pytest.approx(RATE, rel=1e-2)


def test_batch_normalisation_stays_as_it_is():
    trainer = build(1.0)
    network, _ = parts_of(trainer)
    train(trainer, times=2)
    changed = changes(network, parts_of(trainer)[0])
    assert {name for name in network if name.startswith("bn1/")} & changed == set()
    assert {name.partition("/")[0] for name in changed} >= {"conv1", "fc2"}


def test_a_restart_goes_on_as_if_nothing_had_happened():
    unbroken = build(0.5, weight_decay=0.01)
    train(unbroken)
    halfway = unbroken.state()
    expected = train(unbroken)
    again = build(0.5, weight_decay=0.01)
    again.restore(halfway)
    assert train(again) == expected
    for name, values in unbroken.state().items():
        np.testing.assert_array_equal(again.state()[name], values, err_msg=name)
    assert {name.partition("/")[0] for name in halfway} == {"weights", "network", "optimizer"}


def test_what_it_draws_comes_of_the_pictures():
    trainer, random = build(0.1), np.random.default_rng(1)
    (_, batch) = batches()
    said = trainer.draw(pictures(), batch, random)
    assert said.shape == batch.tokens.shape and said.max() < 8


def test_a_network_without_weights_has_nothing_to_train():
    data = keras.Input((*SIZE, 3))
    model = keras.Model(data, keras.layers.GlobalAveragePooling2D(name="mean")(data))
    network = Network(
        "mean", model, Preprocessing(SIZE, mean=(0.0,) * 3, resize=12), {"mean": "mean"}, {"mean": ("mean", 0)}
    )
    with pytest.raises(InputError, match="mean has no weights that could be trained"):
        JointTrainer(drawn(1, feature=3), feature_network(network, ("mean",), SIZE), pace=1.0, precision="float32")


# Other backends


def story():
    """Losses of steps of two lengths, again after a restart, and a number of what the network gives then."""
    trainer = build(0.1, weight_decay=0.01, smoothing=0.1)
    losses = train(trainer)
    halfway = trainer.state()
    losses += train(trainer)
    trainer.restore(halfway)
    losses += train(trainer)
    features = keras.ops.convert_to_numpy(trainer.look(pictures().astype("float32")))
    return losses, float(features.astype("float64").sum())


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_every_backend_trains_alike(backend):
    losses, total = told_by(backend, __name__)
    expected, features = story()
    np.testing.assert_allclose(losses, expected, atol=1e-4)
    assert total == pytest.approx(features, rel=1e-3)
    assert losses[2:4] == losses[4:6]
