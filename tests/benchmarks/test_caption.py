"""What the benchmark of captions counts, and that its slow search is a beam search."""

import itertools
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from benchmarks import caption, peers
from imgnn.jobs.sentence_model import Speaker
from imgnn.language.beam import BeamOptions
from imgnn.language.decoder import Decoder, DecoderSpec
from imgnn.language.tokens import tokenize


def test_work_of_a_step_is_what_tensorflow_counts_in_its_matrix_products():
    form = DecoderSpec(vocabulary=20, feature=6, embedding=5, hidden=7)
    model = Decoder(form).model(4)

    @tf.function(autograph=False)
    def gradients(x, tokens):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(model([x, tokens], training=True))
        return tape.gradient(total, [variable.value for variable in model.trainable_variables])

    graph = gradients.get_concrete_function(tf.TensorSpec((3, 6)), tf.TensorSpec((3, 4), "int32")).graph
    assert {each.type for each in graph.get_operations() if "MatMul" in each.type} == {"MatMul"}
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    wanted = builder(builder.float_operation()).with_node_names(show_name_regexes=[".*MatMul.*"]).with_empty_output()
    counted = tf.compat.v1.profiler.profile(graph, options=wanted.build()).total_float_ops
    assert caption.work_of_training(form, batch=3, length=4) == counted


def test_an_epoch_has_the_captions_and_words_of_flickr8k():
    lengths = caption.drawn_lengths()
    assert len(lengths) == 30_000
    # Its training captions have 323,667 tokens, of which 114 are beyond the 26th.
    assert lengths.sum() == 323_667 - 114
    assert caption.drawn_lengths(20).mean() == pytest.approx(lengths.mean(), abs=0.01)


def test_lengths_are_those_of_flickr8k(shared):
    folder = shared / "data" / "flickr8k_text"
    pictures = set((folder / "Flickr_8k.trainImages.txt").read_text(encoding="utf-8").split())
    rows = [line.split("\t") for line in (folder / "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines()]
    found = Counter(min(26, len(tokenize(text))) for name, text in rows if name.partition("#")[0] in pictures)
    assert [found[length] for length in range(2, 27)] == list(caption.FLICKR8K)


def test_a_search_by_rows_with_room_for_all_sentences_finds_the_best_of_them():
    table = np.log(np.random.default_rng(3).dirichlet(np.ones(4), size=4))  # of the word after each word

    def step(word, state):
        return table[word], state

    def total(words):
        return sum(table[pair] for pair in itertools.pairwise((0, *words)))

    found = peers.search_by_rows(step, None, width=4**2, length=3)
    best = sorted(itertools.product(range(4), repeat=3), key=total, reverse=True)
    assert [tuple(words) for words, _ in found] == best[: 4**2]
    assert [log_prob for _, log_prob in found] == pytest.approx([total(words) for words in best[: 4**2]])


def test_both_searches_find_the_same_sentences():
    decoder = Decoder(DecoderSpec(vocabulary=12, feature=4, embedding=8, hidden=8), seed=1)
    decoder.assign(caption.outspoken(decoder.weights()))
    features = np.eye(2, 4, dtype="float32")

    def step(word, state):
        log_prob, state = decoder.step(ops.convert_to_tensor([word], "int32"), state)
        return ops.convert_to_numpy(log_prob)[0], state

    ours = caption.told(Speaker([decoder]).search([features], BeamOptions(beam_width=4, max_length=5)))
    theirs = [peers.search_by_rows(step, decoder.begin(row[None]), width=4, length=5) for row in features]
    assert caption.difference(ours, theirs) < 1e-5
    assert all(len(words) == 5 and min(words) > 2 for beam in ours for words, _ in beam)


def test_beams_with_another_sentence_are_infinitely_apart():
    beam = [([3, 4], -2.0), ([4, 3], -4.0)]
    assert caption.difference([beam], [[([3, 4], -2.0), ([4, 3], -4.4)]]) == pytest.approx(1 / 11)
    assert caption.difference([beam], [beam[::-1]]) == float("inf")


def test_the_batch_has_captions_of_as_many_tokens_as_are_said(tmp_path):
    caption.prepare_decoder(files := caption.Files(tmp_path), 12, 4, 8, 6, 5)
    assert caption.decoder_of(files.decoder, "float32").spec == DecoderSpec(12, feature=4, embedding=8, hidden=8)
    batch = np.load(files.batch)
    assert batch["tokens"].shape == (6, 5)
    assert (batch["weights"] == 1).all()
    assert (batch["targets"][:, :-1] == batch["tokens"][:, 1:]).all()
