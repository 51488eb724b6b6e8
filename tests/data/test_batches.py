"""Batches come in the same order and look the same, however many threads read them and wherever a run began."""

import threading

import numpy as np
import pytest
from PIL import Image

from imgnn.data.batches import Pictures, all_batches, epoch_order, training_batches

BAD = 3


@pytest.fixture
def files(tmp_path):
    """Ten pictures, each in the colour of its number; the one numbered 3 is damaged."""
    made = [tmp_path / f"{number}.png" for number in range(10)]
    for number, file in enumerate(made):
        Image.new("RGB", (4, 4), (10 * number, 0, 0)).save(file)
    made[BAD].write_bytes(b"no picture")
    return made


def small(image):
    return image[:2, :2]


def noisy(frame, random):
    return frame + random.random(frame.shape).astype("float32")


def batches(files, *, workers=1, first=0, epoch=0, seed=7, batch=3):
    return list(
        training_batches(
            Pictures(files, small), noisy, batch=batch, seed=seed, epoch=epoch, first=first, workers=workers
        )
    )


def same(one, other):
    return len(one) == len(other) and all(
        a.step == b.step and all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("indices", "views", "weights"))
        for a, b in zip(one, other, strict=True)
    )


def test_an_epoch_shows_no_picture_twice(files):
    seen = np.concatenate([batch.indices for batch in batches(files)])
    assert len(seen) == len(set(seen)) == 9  # three batches of three; one picture waits for another epoch


def test_every_epoch_has_an_order_of_its_own(files):
    orders = [tuple(epoch_order(10, seed, epoch)) for seed, epoch in ((7, 0), (7, 1), (8, 0), (7, 0))]
    assert orders[0] == orders[3]
    assert len(set(orders)) == 3


def test_the_views_of_a_picture_differ_from_epoch_to_epoch(files):
    views = []
    for epoch in (0, 1):
        views += [b.views[list(b.indices).index(5)] for b in batches(files, epoch=epoch, batch=10)]
    assert not np.array_equal(*views)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_batches_are_the_same_with_any_number_of_threads(files, workers):
    assert same(batches(files, workers=workers), batches(files))


@pytest.mark.parametrize("workers", [1, 4])
def test_an_epoch_goes_on_in_the_middle_as_if_it_had_never_stopped(files, workers):
    whole = batches(files)
    assert same(batches(files, first=1, workers=workers), whole[1:])
    assert batches(files, first=3) == []


def test_a_view_is_of_the_picture_that_its_index_tells(files):
    for batch in batches(files):
        for index, view, weight in zip(batch.indices, batch.views, batch.weights, strict=True):
            assert np.floor(view[0, 0, 0]) == (10 * index if weight else 0)


def test_a_picture_that_cannot_be_read_is_black_and_weighs_nothing(files):
    (batch,) = batches(files, batch=10)
    weights = dict(zip(batch.indices.tolist(), batch.weights.tolist(), strict=True))
    assert weights == {number: float(number != BAD) for number in range(10)}
    assert not batch.views[list(batch.indices).index(BAD)].any()


def test_a_picture_that_cannot_be_read_is_tried_and_named_once(files):
    pictures = Pictures(files, small)
    assert pictures.frame(BAD) is None
    assert list(pictures.bad) == [BAD]
    assert str(files[BAD]) in pictures.bad[BAD]
    files[BAD].write_bytes(files[0].read_bytes())
    assert pictures.frame(BAD) is None  # it was said to be left out, and is


def test_a_batch_of_nothing_but_bad_pictures_weighs_nothing(files):
    pictures = Pictures([files[BAD]] * 2, small)
    (batch,) = all_batches(pictures, batch=2)
    assert batch.weights.tolist() == [0, 0]
    assert len(batch.views) == 2


def test_no_more_frames_are_kept_than_there_is_room_for(files):
    read = []
    pictures = Pictures(files, lambda image: read.append(1) or small(image).copy(), room=3 * 12 + 5)
    for _ in range(2):
        for index in (0, 1, 2, 4, 5):
            pictures.frame(index)
    assert sorted(pictures.kept) == [0, 1, 2]
    assert sum(frame.nbytes for frame in pictures.kept.values()) == 36
    assert len(read) == 5 + 2  # those two that are not kept, once more


def test_threads_that_read_one_picture_at_once_count_it_once(files):
    barrier = threading.Barrier(4)

    def wait(image):
        barrier.wait(timeout=10)
        return small(image).copy()

    pictures = Pictures(files, wait, room=100)
    threads = [threading.Thread(target=pictures.frame, args=(0,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pictures.room == 100 - 12


def test_all_batches_show_every_picture_once_in_order(files):
    seen = list(all_batches(Pictures(files, small), batch=4, workers=3))
    assert [batch.indices.tolist() for batch in seen] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [batch.step for batch in seen] == [0, 1, 2]
    assert np.concatenate([batch.weights for batch in seen]).sum() == 9
    assert list(all_batches(Pictures([], small), batch=4)) == []
