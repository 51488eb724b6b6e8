"""Real models behind the page, and what is read of a run before its model is."""

import asyncio
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import replace

import pytest
from starlette.exceptions import HTTPException

from imgnn.data.known_pictures import KnownPicture, KnownPictures
from imgnn.errors import InputError
from imgnn.training.run_folder import packaged_model
from imgnn.web.voices import LoadedVoices, Run, Worker, open_runs
from tests.jobs.made_boke import KNOWN, make_boke_model
from tests.jobs.made_captions import make_model, paint_halves
from tests.web.made_server import make_run

TABLES = ("features", "files")  # of the cache of features


@pytest.fixture
def models(tmp_path):
    """A run of captions and one of boke, whose known pictures are there."""
    boke = make_boke_model(tmp_path / "boke")
    pictures = [
        KnownPicture(
            name, str(paint_halves(tmp_path / name, *(int(255 * each) for each in halves))), "val", *both(said)
        )
        for name, halves, said in KNOWN
    ]
    KnownPictures(tuple(pictures), KnownPictures.load(boke).features).save(boke)
    return [make_model(tmp_path / "captions"), boke]


def both(said):
    return tuple(said), tuple(said.values())


def test_real_models_answer(start, models, tmp_path):
    files = {"picture": ("x.png", paint_halves(tmp_path / "mine.png", 255, 51).read_bytes())}
    with start(models=models, load=LoadedVoices) as client:
        while client.get("/api/state").json()["status"] == "loading":
            time.sleep(0.1)
        for mode in ("model", "mismatch", "retrieve"):
            form = {"n": 2, "beam": 4, "mode": mode}
            answer = client.post("/api/playground", files=files, data=form)
            played = answer.json()
            assert answer.status_code == 200, played
            assert played["captions"][0]["log_prob"] >= played["captions"][1]["log_prob"]
            assert {line["mode"] for line in played["boke"]} == {mode}
            assert all((line["donor"] is None) == (mode == "model") for line in played["boke"])
            assert client.post("/api/playground", files=files, data=form).json() == played, "the seed decides"
        made = client.post("/api/generate", json={"count": 12, "mode": "retrieve", "n": 1}).json()
        assert [item["references"][0]["stars"] for item in made["items"]] == [3, 7, 2, 4, 5]
        # Each is lent the best sentence of the picture that is most like it, and never its own.
        for item, (name, _, said) in zip(made["items"], KNOWN, strict=True):
            (line,) = item["boke"]
            assert line["text"] not in said
            assert line["donor"]["name"] != name
            assert client.get(line["donor"]["image"]).status_code == 200


def test_nothing_of_an_upload_is_kept_and_known_pictures_are_looked_at_once(start, models, tmp_path, home):
    def kept():
        found = 0
        for path in (home / "features").glob("*.sqlite"):
            with closing(sqlite3.connect(path)) as database:
                found += sum(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES)
        return found

    files = {"picture": ("x.png", paint_halves(tmp_path / "mine.png", 255, 51).read_bytes())}
    with start(models=models, load=LoadedVoices) as client:
        while client.get("/api/state").json()["status"] == "loading":
            time.sleep(0.1)
        before = kept()
        assert client.post("/api/playground", files=files, data={"n": 1}).status_code == 200
        assert kept() == before
        assert client.post("/api/generate", json={"count": 12, "n": 1}).status_code == 200
        assert kept() == before + len(TABLES) * len(KNOWN)
        assert client.post("/api/playground", files=files, data={"n": 1, "seed": 2}).status_code == 200
        assert kept() == before + len(TABLES) * len(KNOWN)


def test_a_run_of_captions_from_before_pictures_were_kept_speaks_for_itself(start, tmp_path):
    captions = make_model(tmp_path / "captions")
    files = {"picture": ("x.png", paint_halves(tmp_path / "mine.png", 255, 51).read_bytes())}
    with start(models=[captions], load=LoadedVoices) as client:
        while client.get("/api/state").json()["status"] == "loading":
            time.sleep(0.1)
        played = client.post("/api/playground", files=files, data={"n": 2}).json()
        assert [line["mode"] for line in played["boke"]] == ["model"] * 2
        assert [line["novel"] for line in played["boke"]] == [None] * 2, "what it learnt is not known"


def test_the_model_that_came_with_imgnn_answers(start, photo):
    """Which sentences they are depends on its weights; that there are some, and whose, does not."""
    with start(models=[packaged_model()], load=LoadedVoices) as client:
        while (state := client.get("/api/state").json())["status"] == "loading":
            time.sleep(0.1)
        assert state["problem"] is None
        for mode in state["modes"]:
            form = {"n": 2, "beam": 2, "mode": mode}
            played = client.post("/api/playground", files={"picture": ("x.jpg", photo)}, data=form).json()
            assert len(played["captions"]) == 2
            assert played["boke"] or played["note"]
            for line in played["boke"]:
                assert (line["mode"], line["novel"], line["nearest"]) == (mode, None, None)
                assert (line["donor"] is None) == (mode == "model")


def test_what_comes_or_waits_when_the_server_ends_is_told_so():
    async def crowd():
        worker = Worker()
        running, waiting = (asyncio.create_task(worker.do(lambda gone: gone.wait(10))) for _ in range(2))
        await asyncio.sleep(0.2)
        worker.close()
        late = asyncio.create_task(worker.do(lambda _: None))
        return await asyncio.gather(running, waiting, late, return_exceptions=True), worker.waiting

    (running, *others), left = asyncio.run(crowd())
    assert running is True, "what runs was told that nobody waits"
    assert left == set()
    for each in others:
        assert isinstance(each, HTTPException)
        assert (each.status_code, each.detail) == (503, "the server ends")


def test_the_two_kinds_come_in_one_order(models):
    assert (
        [run.kind for run in open_runs(models)] == [run.kind for run in open_runs(models[::-1])] == ["boke", "caption"]
    )


def test_two_runs_of_a_kind_are_refused(tmp_path):
    runs = [make_run(tmp_path / name) for name in ("one", "two")]
    with pytest.raises(InputError, match=r"one and .*two are both runs of boke; the page has one of each kind"):
        open_runs(runs)


def test_what_is_no_run_is_refused_before_the_server_starts(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        open_runs([tmp_path / "none"])
    make_run(tmp_path / "run", "classifier")
    with pytest.raises(InputError, match="is a run of imgnn finetune"):
        open_runs([tmp_path / "run"])


def test_a_run_that_keeps_no_pictures_can_only_make_its_own(tmp_path):
    run = make_run(tmp_path / "run")
    (run / "pictures.jsonl").unlink()
    shutil.rmtree(run / "pictures")
    opened = Run.open(run)
    assert (opened.modes, opened.pictures, opened.count("train")) == (("model",), (), 0)


def test_a_run_that_keeps_no_sentences_cannot_retrieve_one(tmp_path):
    run = make_run(tmp_path / "run")
    known = KnownPictures.load(run)
    pictures = [replace(each, sentences=(), stars=()) for each in known.pictures]
    KnownPictures(tuple(pictures), known.features).save(run)
    assert Run.open(run).modes == ("model", "mismatch")
    assert not Run.open(run).packaged
    assert Run.open(packaged_model()).packaged
