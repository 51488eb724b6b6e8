"""What imgnn writes it reads as it was: files that one part leaves for another."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imgnn.caffe.mean import write_binaryproto
from imgnn.caffe.wire import read_binaryproto
from imgnn.data.lists import Entry, is_listable, read_list, read_words, write_list, write_words
from imgnn.images.mean import load_mean, save_mean
from imgnn.language.vocabulary import MARKS, Vocabulary
from imgnn.options import FinetuneOptions, TrainBokeOptions, TrainCaptionOptions
from imgnn.training.checkpoint import load_checkpoint, save_checkpoint
from imgnn.training.run_folder import options_from, stored_options

MANY = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
TEXT = st.text(st.characters(codec="utf-8"), min_size=1)
LABELS = st.integers(0, 2**31 - 1)
NAMES = TEXT.map(lambda text: " ".join(text.split())).filter(lambda name: name and name.isprintable())
FACTS = st.dictionaries(TEXT, st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT)
MEANS = hnp.arrays(
    "float32", st.tuples(st.integers(4, 9), st.integers(4, 9), st.just(3)), elements=st.floats(0, 255, width=32)
)


@MANY
@given(st.lists(st.tuples(TEXT.filter(is_listable), LABELS), min_size=1, max_size=20))
def test_a_list(tmp_path, entries):
    entries = [Entry(path, label) for path, label in entries]
    write_list(tmp_path / "list.txt", entries)
    assert list(read_list(tmp_path / "list.txt", tmp_path).entries) == entries


@MANY
@given(st.dictionaries(st.integers(0, 10**6), NAMES, min_size=1))
def test_class_words(tmp_path, words):
    write_words(tmp_path / "words.txt", words)
    assert read_words(tmp_path / "words.txt") == dict(sorted(words.items()))


@MANY
@given(MEANS)
def test_a_mean_as_npy(tmp_path, mean):
    save_mean(tmp_path / "mean.npy", mean)
    np.testing.assert_array_equal(load_mean(tmp_path / "mean.npy"), mean[..., ::-1])


@MANY
@given(MEANS)
def test_a_mean_as_binaryproto(tmp_path, mean):
    mean = mean.transpose(2, 0, 1)
    write_binaryproto(tmp_path / "mean.binaryproto", mean)
    np.testing.assert_array_equal(read_binaryproto(tmp_path / "mean.binaryproto"), mean)


@MANY
@given(st.dictionaries(TEXT.filter(lambda word: word not in MARKS), st.integers(1)))
def test_a_vocabulary(tmp_path, counts):
    words = Vocabulary((*MARKS, *counts), (0,) * len(MARKS) + tuple(counts.values()))
    words.save(tmp_path / "vocabulary.json")
    assert Vocabulary.load(tmp_path / "vocabulary.json") == words


@MANY
@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9/_]{0,20}", fullmatch=True).filter(lambda name: name not in ("facts", "file")),
        hnp.arrays(st.sampled_from(["float32", "int64", "uint8", "bool"]), hnp.array_shapes(min_side=0, max_side=4)),
        max_size=5,
    ),
    FACTS,
)
def test_a_checkpoint(tmp_path, arrays, facts):
    facts.pop("version", None)
    save_checkpoint(tmp_path / "last.npz", arrays, facts)
    found, told = load_checkpoint(tmp_path / "last.npz")
    assert {key: value for key, value in told.items() if key != "version"} == facts
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


@pytest.mark.parametrize("kind", [FinetuneOptions, TrainCaptionOptions, TrainBokeOptions])
@MANY
@given(data=st.data())
def test_the_options_of_a_run(kind, data, tmp_path_factory):
    root = tmp_path_factory.getbasetemp().resolve()
    st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
    st.register_type_strategy(Path, st.sampled_from([root / "a", root / "b c", root / "ü"]))
    drawn = data.draw(st.builds(kind, **{field.name: ... for field in dataclasses.fields(kind)}))
    assert options_from(json.loads(json.dumps(stored_options(drawn))), kind) == drawn
