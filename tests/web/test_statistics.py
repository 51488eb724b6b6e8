"""What is told of a run's data."""

import json

import pytest

from imgnn.web import statistics as module
from imgnn.web.statistics import bars, data_of
from imgnn.web.voices import Run
from tests.web.made_server import make_run


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run")


def test_bars_are_as_wide_as_their_labels_say():
    found = bars((1, 2, 3, 6, 11), [5, 1, 2, 3, 4, 5, 6, 7], [0, 0, 1])
    # At index i, how often there is i: 5 zeros, 1 one, 2 twos, ... 7 sevens.
    assert [(bar.label, bar.train, bar.val) for bar in found] == [
        ("1", 6, 0),  # with the zeros
        ("2", 2, 1),
        ("3-5", 3 + 4 + 5, 0),
        ("6-10", 6 + 7, 0),
    ]
    assert bars((1, 2), [], []) == []
    assert [bar.label for bar in bars((1, 2), [0, 0, 0, 1], [])] == ["1", "2+"]


def test_where_nobody_was_asked_there_are_no_stars(run):
    lines = [json.loads(line) for line in (run / "pictures.jsonl").read_text().splitlines()]
    for line in lines:
        line["stars"] = [None] * len(line["stars"])
    (run / "pictures.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert data_of(Run.open(run)).stars == []


def test_a_training_that_goes_on_is_read_as_far_as_it_is(run):
    with (run / "log.jsonl").open("a") as file:
        file.write('{"kind": "step", "step": 3}\nnull\n{"kind": "epoch", "epo')
    (run / "average_loss.log").write_text('{"average_loss": [6.7')
    data = data_of(Run.open(run))
    assert (len(data.epochs), data.average_loss, data.average_loss_floor) == (10, [], None)


def test_texts_are_counted_once_and_logs_read_anew(run, monkeypatch):
    counted, statistics = [], module.statistics
    monkeypatch.setattr(module, "statistics", lambda *given: counted.append(1) or statistics(*given))
    opened = Run.open(run)
    before = data_of(opened)
    with (run / "log.jsonl").open("a") as file:
        file.write('{"kind": "epoch", "loss": 0.5}\n')
    after = data_of(opened)
    assert (len(counted), len(before.epochs), len(after.epochs)) == (1, 10, 11)
    assert after.lengths == before.lengths
    data_of(Run.open(run))
    assert len(counted) == 2, "of another run"


def test_a_run_that_tells_no_losses_has_none(run):
    (run / "log.jsonl").unlink()
    (run / "average_loss.log").unlink()
    data = data_of(Run.open(run))
    assert (data.epochs, data.average_loss) == ([], [])


def test_the_floor_of_the_average_loss_is_the_last_epoch_s(run):
    (run / "log.jsonl").write_text('{"kind": "epoch", "loss": 2.5, "average_loss_floor": 1.25}\n')
    data = data_of(Run.open(run))
    assert (data.average_loss_floor, data.epochs[0].loss, data.epochs[0].val_loss) == (1.25, 2.5, None)
