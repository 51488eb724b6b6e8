"""A decoder in training: it learns by heart, its loss is what NumPy says, and a restart changes nothing."""

import numpy as np
import pytest
from keras import ops

from imgnn.errors import DivergedError
from imgnn.language.beam import BeamOptions, beam_search
from imgnn.language.decoder import Decoder, DecoderSpec
from imgnn.language.sample import SampleOptions, sample
from imgnn.language.steps import DeviceStep
from imgnn.training.sentence_trainer import SentenceTrainer
from imgnn.training.sentences import SentenceBatch, Sentences
from tests.language.decoders import drawn, log_softmax, logits
from tests.training.backends import told_by

SAID = [[3, 4, 5, 6], [4, 3], [3, 4, 6, 6, 5], [5, 5, 3]]  # of four pictures
PICTURES = np.eye(4, dtype="float32")
BATCH = ("rows", "tokens", "targets", "weights")
FORM = {"vocabulary": 8, "feature": 4}


def batch_of(rows=range(4), *, size=None, longest=5):
    """Some of the sentences as one batch of `size`, what is missing filled up."""
    data = Sentences(list(rows), [SAID[row] for row in rows], longest=longest, lengths=(6,))
    (batch,) = data.all(size or len(rows))
    return batch


def train(trainer, batches, rate=0.01):
    return [trainer.step(PICTURES[batch.rows], batch, rate) for batch in batches]


def costs(decoder, batch):
    """-log of every token's probability, `(n, t, vocabulary)`, by the formulas."""
    return -log_softmax(logits(decoder.spec, decoder.weights(), PICTURES[batch.rows], batch.tokens))


def of_targets(values, batch):
    return np.take_along_axis(values, batch.targets[..., None], axis=-1)[..., 0]


# Learning


@pytest.mark.parametrize("form", [{}, {"cell": "gru", "inject": "add"}, {"layers": 2, "tied": True}], ids=str)
def test_a_decoder_learns_four_sentences_by_heart_and_says_them(form):
    decoder = Decoder(DecoderSpec(**FORM, embedding=16, hidden=16, **form), seed=1)
    trainer, data = SentenceTrainer(decoder), Sentences(range(4), SAID, longest=5, lengths=(4, 6))
    for epoch in range(150):
        losses = train(trainer, data.epoch(batch=2, seed=1, epoch=epoch), 0.02)
    assert max(losses) < 0.05

    step = DeviceStep(decoder.step, list(decoder.variables().values()))
    begun = decoder.begin(ops.convert_to_tensor(PICTURES))
    beams = beam_search(step, begun, images=4, options=BeamOptions(beam_width=2))
    assert [list(beam[0].tokens) for beam in beams] == SAID
    drawn_ones = sample(step, begun, images=4, options=SampleOptions(temperature=0.2), keys=range(4))
    assert [list(beam[0].tokens) for beam in drawn_ones] == SAID
    batch = batch_of()
    expected = -(of_targets(costs(decoder, batch), batch) * batch.weights).sum(axis=1)
    np.testing.assert_allclose([beams[row][0].log_prob for row in batch.rows], expected, atol=1e-4)


def test_search_speaks_with_the_weights_of_the_moment():
    decoder = drawn(1, **FORM)
    step = DeviceStep(decoder.step, list(decoder.variables().values()))

    def first():
        log_prob, _ = step.log_prob(np.zeros(4, "int32"), decoder.begin(ops.convert_to_tensor(PICTURES)))
        return log_prob

    before = first()
    train(SentenceTrainer(decoder), [batch_of()])
    after = first()
    assert not np.allclose(before, after)
    batch = batch_of()
    np.testing.assert_allclose(after[batch.rows], -costs(decoder, batch)[:, 0], atol=1e-5)


# The loss


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_the_loss_is_that_of_the_formula(smoothing):
    """Each target's certainty is spread: (1 - s) of it stays, s goes to all tokens alike."""
    decoder, batch = drawn(2, **FORM), batch_of()
    each = costs(decoder, batch)
    smooth = (1 - smoothing) * of_targets(each, batch) + smoothing * each.mean(axis=-1)
    expected = (smooth * batch.weights).sum() / batch.weights.sum()
    assert train(SentenceTrainer(decoder, smoothing=smoothing), [batch]) == [pytest.approx(expected, rel=1e-5)]


def test_each_step_tells_its_own_loss_whatever_the_length():
    decoder = drawn(2, **FORM)
    trainer = SentenceTrainer(decoder)
    for length, rows in ((6, range(4)), (3, [1]), (6, [2]), (3, [1])):
        (batch,) = Sentences(list(rows), [SAID[row] for row in rows], longest=5, lengths=(length,)).all(len(rows))
        expected = (of_targets(costs(decoder, batch), batch) * batch.weights).sum() / batch.weights.sum()
        assert train(trainer, [batch]) == [pytest.approx(expected, rel=1e-5)]


def test_with_a_usual_number_of_tokens_a_batch_counts_by_its_own():
    """A batch of half as many moves the mean of gradients by half as much; the loss it tells is that of a token."""
    batch = batch_of()
    share = float(batch.weights.sum()) / 100
    plain, by_tokens = (SentenceTrainer(drawn(1, **FORM), clip=None, tokens=tokens) for tokens in (None, 100.0))
    assert train(by_tokens, [batch])[0] == pytest.approx(train(plain, [batch])[0], rel=1e-5)
    one, other = ({k: v for k, v in each.state().items() if k.startswith("optimizer/")} for each in (plain, by_tokens))
    ratios = [
        np.linalg.norm(other[name]) / np.linalg.norm(one[name])
        for name in one
        if one[name].ndim and np.linalg.norm(one[name])
    ]
    means = [ratio for ratio in ratios if ratio == pytest.approx(share, rel=1e-4)]
    squares = [ratio for ratio in ratios if ratio == pytest.approx(share**2, rel=1e-4)]
    assert means and len(means) == len(squares) == len(ratios) / 2


def test_sentences_that_weigh_nothing_change_nothing():
    states, losses = [], []
    for size in (3, 7):
        trainer = SentenceTrainer(drawn(3, **FORM), clip=None)
        losses.append(train(trainer, [batch_of([0, 1, 2], size=size)]))
        states.append(trainer.state())
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    for name, values in states[0].items():
        np.testing.assert_allclose(values, states[1][name], atol=1e-6, err_msg=name)


def test_what_follows_the_end_changes_nothing():
    batch = batch_of([1])
    other = SentenceBatch(
        batch.rows,
        np.where(np.arange(6) > 2, 6, batch.tokens).astype("int32"),
        np.where(batch.weights > 0, batch.targets, 7).astype("int32"),
        batch.weights,
    )
    ends = [SentenceTrainer(drawn(3, **FORM)) for _ in range(2)]
    assert train(ends[0], [batch]) == pytest.approx(train(ends[1], [other]), rel=1e-6)
    for name, values in ends[0].state().items():
        np.testing.assert_allclose(values, ends[1].state()[name], atol=1e-6, err_msg=name)


def test_the_first_step_of_adam_is_as_long_as_the_learning_rate_says():
    """Adam's first step is the learning rate times the gradient's sign; AdamW's decay comes beside it."""
    decoder, other = drawn(4, **FORM), drawn(4, **FORM)
    before = decoder.weights()["picture/kernel"]
    train(SentenceTrainer(decoder), [batch_of()], 0.001)
    train(SentenceTrainer(other, weight_decay=0.5), [batch_of()], 0.001)
    moved = decoder.weights()["picture/kernel"] - before
    np.testing.assert_allclose(np.abs(moved), 0.001, rtol=5e-2)  # but for epsilon beside small gradients
    decayed = other.weights()["picture/kernel"] - before
    np.testing.assert_allclose(decayed - moved, -0.001 * 0.5 * before, atol=2e-6)


def test_the_features_scale_is_not_trained():
    decoder = drawn(4, **FORM)
    before = decoder.weights()
    train(SentenceTrainer(decoder, weight_decay=0.1), [batch_of()] * 2)
    changed = {name for name, values in decoder.weights().items() if not np.array_equal(values, before[name])}
    assert changed == before.keys() - {"standard/mean", "standard/scale"}


def test_a_loss_that_is_no_number_ends_the_training():
    decoder = drawn(4, **FORM)
    decoder.output.bias.assign(np.full(8, np.nan, "float32"))
    with pytest.raises(DivergedError, match="no longer finite"):
        train(SentenceTrainer(decoder), [batch_of()])


# Going on


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_restart_goes_on_as_if_nothing_had_happened(cell):
    def start(seed):
        spec = DecoderSpec(**FORM, embedding=4, hidden=4, layers=2, cell=cell)
        return SentenceTrainer(Decoder(spec, dropout=0.4, seed=seed), weight_decay=0.01, smoothing=0.1)

    batches = list(Sentences(range(4), SAID, longest=5, lengths=(4, 6)).epoch(batch=2, seed=1, epoch=0))
    assert len({batch.tokens.shape for batch in batches}) > 1
    unbroken = start(1)
    train(unbroken, batches)
    halfway = unbroken.state()
    copied = {name: values.copy() for name, values in halfway.items()}
    expected = train(unbroken, batches)
    for name, values in halfway.items():
        np.testing.assert_array_equal(values, copied[name], err_msg=f"{name} was taken, and is not to change")

    again = start(2)
    again.restore(halfway)
    assert train(again, batches) == expected
    for name, values in unbroken.state().items():
        np.testing.assert_array_equal(again.state()[name], values, err_msg=name)


def test_a_state_of_another_training_is_refused():
    one, other = SentenceTrainer(drawn(1, **FORM)), SentenceTrainer(drawn(1, **FORM, layers=2))
    with pytest.raises(KeyError):
        other.restore(one.state())
    with pytest.raises(ValueError, match="shape"):
        SentenceTrainer(drawn(1, vocabulary=9, feature=4)).restore(one.state())


# Drawing


def test_tokens_are_drawn_as_often_as_they_are_probable(random):
    decoder = drawn(5, **FORM)
    batch = batch_of([2])
    many = SentenceBatch(*(np.repeat(getattr(batch, each), 4000, axis=0) for each in BATCH))
    said = SentenceTrainer(decoder).draw(PICTURES[many.rows], many, random)
    assert (said.shape, said.dtype) == ((4000, 6), np.int32)
    seen = np.stack([(said == token).mean(axis=0) for token in range(8)], axis=-1)
    np.testing.assert_allclose(seen, np.exp(-costs(decoder, batch)[0]), atol=0.03)  # four deviations


# Other backends


def story():
    """Losses of steps of several lengths, some of them twice, and what is said afterwards."""
    decoder = drawn(6, size=0.3, **FORM, layers=2)
    trainer = SentenceTrainer(decoder, weight_decay=0.01, smoothing=0.1)
    data = Sentences(range(4), SAID, longest=5, lengths=(4, 6))
    losses = [loss for epoch in (0, 1) for loss in train(trainer, data.epoch(batch=2, seed=1, epoch=epoch))]
    halfway = trainer.state()
    losses += train(trainer, data.epoch(batch=2, seed=1, epoch=2))
    trainer.restore(halfway)
    losses += train(trainer, data.epoch(batch=2, seed=1, epoch=2))
    trainer.draw(PICTURES, batch_of(), np.random.default_rng(1))
    step = DeviceStep(decoder.step, list(decoder.variables().values()))
    begun = decoder.begin(ops.convert_to_tensor(PICTURES))
    beams = beam_search(step, begun, images=4, options=BeamOptions(beam_width=2, max_length=5))
    return losses, [[list(each.tokens) for each in beam] for beam in beams]


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_every_backend_trains_alike_and_says_the_same(backend):
    losses, said = told_by(backend, __name__)
    expected, sentences = story()
    np.testing.assert_allclose(losses, expected, atol=1e-4)
    assert said == sentences
    assert losses[4:6] == losses[6:8]
