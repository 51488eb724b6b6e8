"""The decoder against formulas in NumPy, against Keras's own layers, and against itself, a word at a time."""

import keras
import numpy as np
import pytest
from keras import ops

from imgnn.errors import InputError, WeightsError
from imgnn.language.decoder import Decoder, DecoderSpec
from imgnn.language.vocabulary import START
from imgnn.training.sentence_trainer import SmoothedEntropy
from tests.language.decoders import TINY, drawn, log_softmax, logits

FORMS = [
    {"cell": cell, "layers": layers, "inject": inject, "tied": tied}
    for cell in ("lstm", "gru")
    for layers, tied in ((1, False), (2, False), (2, True))
    for inject in ("first", "add")
]
forms = pytest.mark.parametrize("form", FORMS, ids=lambda form: " ".join(str(each) for each in form.values()))
TOKENS = np.array([[START, 5, 3, 6, 1], [START, 4, 4, 2, 3], [START, 3, 5, 1, 1]], "int32")


@pytest.fixture
def features(random):
    return random.normal(0, 1, (len(TOKENS), 3)).astype("float32")


def numpy_of(tensor):
    return ops.convert_to_numpy(tensor)


def taught(decoder, features, tokens=TOKENS, **options):
    """The logits after all words at once."""
    return numpy_of(decoder.model(tokens.shape[1])([features, tokens], **options))


def word_by_word(decoder, features, tokens=TOKENS):
    """log-probabilities, one step after the other, and the last state."""
    state, said = decoder.begin(ops.convert_to_tensor(features)), []
    for column in tokens.T:
        log_prob, state = decoder.step(ops.convert_to_tensor(column), state)
        said.append(numpy_of(log_prob))
    return np.stack(said, axis=1), state


# What it computes


@forms
def test_the_logits_are_those_of_the_formulas(form, features):
    decoder = drawn(**form)
    expected = logits(decoder.spec, decoder.weights(), features, TOKENS)
    np.testing.assert_allclose(taught(decoder, features), expected, atol=1e-5)


@forms
def test_word_by_word_it_says_what_it_says_of_all_words_at_once(form, features):
    decoder = drawn(**form)
    expected = log_softmax(logits(decoder.spec, decoder.weights(), features, TOKENS))
    np.testing.assert_allclose(word_by_word(decoder, features)[0], expected, atol=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_recurrent_layer_is_that_of_keras(cell, random):
    layer = drawn(cell=cell, hidden=5).recurrent[0]
    kernel, recurrent, bias = (numpy_of(each) for each in (layer.kernel, layer.recurrent, layer.bias))
    if cell == "lstm":
        other = keras.layers.LSTM(5, return_sequences=True)
    else:
        other = keras.layers.GRU(5, return_sequences=True, reset_after=True)
        bias = np.stack([bias, numpy_of(layer.recurrent_bias)])
    x = random.normal(0, 1, (3, 6, 4)).astype("float32")
    other.build(x.shape)
    other.set_weights([kernel, recurrent, bias])
    np.testing.assert_allclose(numpy_of(layer(x)), numpy_of(other(x)), atol=1e-5)


@pytest.mark.parametrize("inject", ["first", "add"])
def test_a_sentence_says_the_same_whatever_length_it_is_padded_to(inject, features):
    decoder = drawn(inject=inject)
    whole = taught(decoder, features)
    for length in (1, 3):
        np.testing.assert_allclose(taught(decoder, features, TOKENS[:, :length]), whole[:, :length], atol=1e-6)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_in_bfloat16_it_is_near_and_its_states_and_answers_are_float32(cell, tied, features):
    exact, near = (drawn(cell=cell, layers=2, tied=tied, precision=each) for each in ("float32", "bfloat16"))
    assert {str(each.dtype) for each in near.weights().values()} == {"float32"}
    expected, found = taught(exact, features), taught(near, features)
    assert found.dtype == np.float32
    assert 1e-4 < np.abs(found - expected).max() < 1e-1, "eight bits of mantissa"
    stepped, state = word_by_word(near, features)
    np.testing.assert_allclose(stepped, log_softmax(found), atol=2e-2)
    assert {str(numpy_of(each).dtype) for layer in state for each in layer} == {"float32"}


def test_biases_are_not_rounded_in_bfloat16(features):
    """That of the output is a logarithm of word counts, up to ten or so: a hundredth of a nat would be lost."""
    decoder = drawn(precision="bfloat16", size=0.0)
    bias = np.array([-10.03, -1.003, -4.009, -5.013, -6.017, -7.021, -8.027], "float32")
    decoder.output.bias.assign(bias)
    np.testing.assert_array_equal(taught(decoder, features), np.broadcast_to(bias, (3, 5, 7)))


@pytest.mark.parametrize("form", [FORMS[0], FORMS[5], FORMS[6], FORMS[11]], ids=str)
def test_gradients_are_those_of_finite_differences(form, features):
    """A step of plain gradient descent, against the formulas' loss in float64 with each weight a little changed."""
    decoder = drawn(**form, size=0.4)
    spec, before = decoder.spec, {name: each.astype("float64") for name, each in decoder.weights().items()}
    targets = np.roll(TOKENS, -1, axis=1)
    model = decoder.model(TOKENS.shape[1])
    model.compile(keras.optimizers.SGD(1.0), loss=SmoothedEntropy())
    model.train_on_batch([features, TOKENS], targets)
    after = decoder.weights()

    def loss():
        said = log_softmax(logits(spec, before, features, TOKENS))
        return -np.take_along_axis(said, targets[..., None], axis=-1).sum()

    for name, values in before.items():
        expected = np.zeros(values.shape)
        if not name.startswith("standard/"):  # not trained
            for place in np.ndindex(values.shape):
                own, sides = values[place], []
                for side in (own + 1e-5, own - 1e-5):
                    values[place] = side
                    sides.append(loss())
                values[place] = own
                expected[place] = (sides[0] - sides[1]) / 2e-5
        np.testing.assert_allclose(values - after[name], expected, atol=2e-5, err_msg=name)


# Dropout


def test_in_training_values_are_dropped_and_in_decoding_never(features):
    decoder = drawn(layers=2, dropout=0.5)
    first, second = (taught(decoder, features, training=True) for _ in range(2))
    assert not np.allclose(first, second)
    expected = logits(decoder.spec, decoder.weights(), features, TOKENS)
    np.testing.assert_allclose(taught(decoder, features, training=False), expected, atol=1e-5)
    np.testing.assert_allclose(word_by_word(decoder, features)[0], log_softmax(expected), atol=1e-5)


def test_the_same_seed_drops_the_same(features):
    def dropped(seed):
        decoder = Decoder(DecoderSpec(**TINY), dropout=0.5, seed=seed)
        return [taught(decoder, features, training=True) for _ in range(2)]

    np.testing.assert_array_equal(dropped(3), dropped(3))
    assert not np.allclose(dropped(3), dropped(4))


# Before training


def test_the_same_seed_draws_the_same_weights_and_no_two_layers_share_them():
    one, same, other = (Decoder(DecoderSpec(**TINY, layers=2), seed=seed).weights() for seed in (1, 1, 2))
    for name, values in one.items():
        np.testing.assert_array_equal(values, same[name])
        constant = name.endswith("bias") or name.startswith("standard/")
        assert constant or not np.allclose(values, other[name]), name
    for part in ("kernel", "recurrent_kernel"):
        assert not np.allclose(one[f"recurrent_0/{part}"], one[f"recurrent_1/{part}"])


def test_the_forget_gates_are_open_at_first():
    weights = Decoder(DecoderSpec(**TINY)).weights()
    np.testing.assert_array_equal(weights["recurrent_0/bias"].reshape(4, -1)[:, 0], [0, 1, 0, 0])
    recurrent = weights["recurrent_0/recurrent_kernel"]
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(4), atol=1e-6)


def test_the_first_loss_is_the_entropy_of_the_counts(random):
    counts = np.array([0, 500, 30, 400, 300, 200, 70])
    decoder = Decoder(DecoderSpec(**{**TINY, "hidden": 32}))
    decoder.begin_with(counts)
    decoder.output.kernel.assign(np.zeros((32, 7), "float32"))  # what the words add is small, and another thing
    share = counts / counts.sum()
    entropy = -sum(each * np.log(each) for each in share if each)
    tokens = random.choice(7, p=share, size=(500, 6)).astype("int32")
    said = log_softmax(taught(decoder, random.normal(0, 1, (500, 3)).astype("float32"), tokens))
    np.testing.assert_allclose(np.exp(said[0, 0]), share, atol=1e-4)
    assert -(share * said[0, 0]).sum() == pytest.approx(entropy, abs=1e-3)


def test_features_are_looked_at_in_units_of_their_deviation(random):
    features = (random.normal(0, 1, (500, 3)) * [1, 50, 0.01] + [0, 300, -2]).astype("float16")
    decoder = drawn()
    decoder.standardise(features)
    seen = numpy_of(decoder.standard(features.astype("float32")))
    np.testing.assert_allclose(seen.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(seen.std(axis=0), 1, atol=1e-3)


def test_a_number_that_is_the_same_in_all_pictures_tells_nothing_of_another_one():
    features = np.array([[0, 0.3, 1], [0, 0.3, 2], [0, 0.3, 3]], "float16")
    decoder = drawn()
    decoder.standardise(features)
    seen = numpy_of(decoder.standard(np.array([[4, 0.4, 2]], "float32")))
    np.testing.assert_allclose(seen, [[0, 0, 0]], atol=1e-6)


def test_a_tied_embedding_wants_as_many_numbers_as_units():
    with pytest.raises(InputError, match="as many numbers as there are units: 4 is not 5"):
        Decoder(DecoderSpec(**{**TINY, "hidden": 5}, tied=True))


# Weights


@forms
def test_weights_go_into_another_decoder(form, features):
    one, other = drawn(1, **form), drawn(2, **form)
    expected = taught(one, features)
    assert not np.allclose(taught(other, features), expected)
    other.assign(one.weights())
    np.testing.assert_array_equal(taught(other, features), expected)


def test_all_weights_have_a_name_and_a_shared_one_has_one():
    assert set(drawn(layers=2).weights()) == {
        "standard/mean", "standard/scale", "picture/kernel", "picture/bias", "words/embeddings", "output/kernel",
        "output/bias", *(f"recurrent_{n}/{each}" for n in (0, 1) for each in ("kernel", "recurrent_kernel", "bias")),
    }  # fmt: skip
    tied = drawn(tied=True)
    assert "output/kernel" not in tied.weights()
    assert [name for name in tied.weights() if "embeddings" in name] == ["words/embeddings"]


def test_values_that_were_taken_do_not_change_with_the_decoder():
    decoder = drawn()
    taken = decoder.weights()["output/bias"]
    before = taken.copy()
    model = decoder.model(5)
    model.compile(keras.optimizers.SGD(1.0), loss=SmoothedEntropy())
    model.train_on_batch([np.ones((3, 3), "float32"), TOKENS], TOKENS)
    np.testing.assert_array_equal(taken, before)
    assert not np.array_equal(decoder.weights()["output/bias"], before)


def test_weights_that_do_not_fit_are_named_and_nothing_is_changed():
    decoder = drawn()
    before = decoder.weights()
    others = {name: values + 1 for name, values in before.items()}
    missing = {name: values for name, values in others.items() if name != "output/kernel"}
    with pytest.raises(WeightsError, match=r"output/kernel is missing in the decoder's weights"):
        decoder.assign(missing)
    with pytest.raises(WeightsError, match=r"output/bias wants \(7,\); found \(8,\)"):
        decoder.assign({**others, "output/bias": np.zeros(8)})
    with pytest.raises(WeightsError, match=r"recurrent_1/bias has no place in this decoder"):
        decoder.assign({**others, "recurrent_1/bias": np.zeros(16)})
    for name, values in decoder.weights().items():
        np.testing.assert_array_equal(values, before[name])


def test_models_of_all_lengths_train_the_same_variables_in_the_same_order():
    for inject in ("first", "add"):
        decoder = drawn(layers=2, inject=inject)
        own = [id(each) for each in decoder.trainable]
        for length in (2, 5):
            assert [id(each) for each in decoder.model(length).trainable_variables] == own
