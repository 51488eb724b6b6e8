"""The studio: its queue, its child processes, its gallery."""

import io
import json
import re
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from imgnn.errors import InputError
from imgnn.images.files import load_image, read_settings
from imgnn.web import studio as module
from imgnn.web.routes import picture_of
from imgnn.web.studio import Job, Studio, command_of, complaint, networks_here
from tests.web.made_server import paint

OVER = ("done", "failed", "cancelled")


def order(client, photo, **data):
    """Ask for a picture; a dream if nothing is said."""
    data = {"kind": "dream", **data}
    files = [("content", ("my holiday.jpg", photo, "image/jpeg"))]
    if data["kind"] == "style":
        files += [("styles", (f"{number}.jpg", photo, "image/jpeg")) for number in range(data.pop("styles", 1))]
    return client.post("/api/studio", files=files, data=data)


def wait(client, id, until=lambda job: job["state"] in OVER, seconds=20.0):
    """The job, once it is so."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        job = client.get(f"/api/studio/{id}").json()
        if until(job):
            return job
        time.sleep(0.05)
    raise AssertionError(job)


def test_a_job_goes_its_way_and_its_picture_is_watched(start, photo):
    with start(steps=20, pause=0.05) as client:
        answer = order(client, photo, size=128, seed=3)
        job = answer.json()
        assert (answer.status_code, job["state"] in ("waiting", "running"), job["step"]) == (201, True, 0)
        seen = wait(client, job["id"], lambda job: job["picture"])
        assert (seen["state"], seen["steps"]) == ("running", 20)
        shown = client.get(seen["picture"])
        assert (shown.status_code, shown.headers["Content-Type"]) == (200, "image/png")
        assert shown.headers["Cache-Control"] == "no-store"
        done = wait(client, job["id"])
        assert (done["state"], done["step"], done["loss"], done["error"]) == ("done", 20, 1000.0 / 20, None)
        assert done["picture"] != seen["picture"], "another address, so that no cache answers"
        picture = Image.open(io.BytesIO(client.get(done["picture"]).content))
        assert picture.size == (120, 90)
        assert done["command"] == (
            "imgnn dream content.png -o result.png --size=128 --network=googlenet --seed=3 --octaves=4"
        )
        folder = client.server.folder / "studio" / job["id"]
        assert json.loads((folder / "job.json").read_text())["pid"] is None, "its number may be another's now"
        assert sorted(path.name for path in folder.iterdir()) == ["job.json", "result.png"], "uploads are deleted"


def test_jobs_are_made_one_at_a_time_in_their_order(start, photo):
    with start(steps=5, pause=0.05) as client:
        ids = [order(client, photo).json()["id"] for _ in range(3)]
        jobs = client.get("/api/studio").json()["jobs"]
        assert [job["id"] for job in jobs] == ids[::-1], "the newest first"
        assert [job["place"] for job in jobs][:2] == [2, 1]
        assert sum(job["state"] == "running" for job in jobs) <= 1
        for id in ids:
            assert wait(client, id)["state"] == "done"


def test_a_full_queue_says_when_to_come_again(start, photo):
    with start(steps=1000, pause=0.05) as client:
        codes = [order(client, photo).status_code for _ in range(9)]
        assert codes == [201] * 8 + [503]
        refused = order(client, photo)
        assert (refused.json()["detail"], refused.headers["Retry-After"]) == ("8 pictures wait already", "30")


def test_a_full_gallery_has_to_be_cleared(start, photo, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 1)
    with start(steps=1, pause=0) as client:
        id = order(client, photo).json()["id"]
        wait(client, id)
        assert order(client, photo).status_code == 409
        assert client.delete(f"/api/studio/{id}").status_code == 204
        assert order(client, photo).status_code == 201


def test_cancel_stops_a_running_job_and_keeps_its_picture(start, photo):
    with start(steps=1000, pause=0.02) as client:
        id = order(client, photo).json()["id"]
        wait(client, id, lambda job: job["step"] > 5)
        assert client.delete(f"/api/studio/{id}").status_code == 200
        job = wait(client, id)
        assert (job["state"], job["error"], 5 < job["step"] < 1000) == ("cancelled", None, True)
        assert client.get(job["picture"]).status_code == 200


def test_cancel_of_one_that_waits_needs_no_waiting(start, photo):
    with start(steps=1000, pause=0.02) as client:
        first, second = (order(client, photo).json()["id"] for _ in range(2))
        assert client.delete(f"/api/studio/{second}").json()["state"] == "cancelled"
        assert client.get(f"/api/studio/{second}/picture").status_code == 404
        assert client.get(f"/api/studio/{first}").json()["state"] == "running"


def test_one_that_does_not_listen_is_killed(start, photo, monkeypatch):
    monkeypatch.setattr(module, "GRACE", 0.3)
    deaf = (
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    with start(program=(sys.executable, "-c", deaf)) as client:
        id = order(client, photo).json()["id"]
        wait(client, id, lambda job: job["seconds"] > 0.5)
        client.delete(f"/api/studio/{id}")
        assert wait(client, id, seconds=5)["state"] == "cancelled"


def test_the_last_preview_of_one_that_was_killed_is_its_picture(start, photo, monkeypatch):
    monkeypatch.setattr(module, "GRACE", 0.3)
    deaf = (
        "import shutil, signal, sys, time; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "shutil.copy(sys.argv[2], sys.argv[4].replace('result.png', 'result.preview.png')); time.sleep(60)"
    )
    with start(program=(sys.executable, "-c", deaf)) as client:
        id = order(client, photo).json()["id"]
        seen = client.get(wait(client, id, lambda job: job["picture"])["picture"]).content
        client.delete(f"/api/studio/{id}")
        job = wait(client, id, seconds=5)
        assert (job["state"], client.get(job["picture"]).content == seen) == ("cancelled", True)


def leave_behind(folder, program):
    """A job's folder as a server that was killed leaves it, and its process, which goes on."""
    job = Job(folder / "studio" / "0123456789abcdef", "dream", {}, 0, 0.0, state="running")
    job.folder.mkdir(parents=True)
    for name in ("content.png", "result.preview.png"):
        paint(job.folder / name, 1, (64, 48))
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", *program(job)])
    while not command_of(process.pid):  # the system is about to begin it
        time.sleep(0.01)
    job.pid = process.pid
    job.save()
    return job, process


def test_what_a_server_that_was_killed_left_at_work_is_ended(tmp_path):
    job, process = leave_behind(tmp_path, lambda job: job.words(f"{job.folder}/"))
    try:
        studio = Studio(tmp_path)
        studio.close()
        assert process.wait(5) == -9
        [found] = studio.jobs.values()
        assert (found.state, found.error, found.pid) == ("cancelled", None, None)
        assert sorted(path.name for path in job.folder.iterdir()) == ["job.json", "result.png"], "the last preview"
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("own", [["-o", "result.png"], ["0123456789abcdef"], []])
def test_another_process_of_that_number_is_left_alone(tmp_path, own):
    _, process = leave_behind(tmp_path, lambda _: own)
    try:
        Studio(tmp_path).close()
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_a_process_that_is_over_is_not_waited_for(tmp_path):
    _, process = leave_behind(tmp_path, lambda job: job.words(f"{job.folder}/"))
    process.kill()  # and not waited for: as long as nobody does, it has its number
    time.sleep(0.2)
    began = time.monotonic()
    Studio(tmp_path).close()
    assert time.monotonic() - began < 5
    process.wait()


def test_one_that_takes_too_long_is_stopped_and_says_so(start, photo, monkeypatch):
    monkeypatch.setattr(module, "LONGEST", 0.6)
    with start(steps=1000, pause=0.02) as client:
        job = wait(client, order(client, photo).json()["id"])
        assert (job["state"], job["error"]) == ("cancelled", "stopped after 0 minutes")


def test_one_that_fails_shows_its_last_line_without_paths(start, photo):
    with start() as client:
        job = wait(client, order(client, photo, seed=13).json()["id"])
        assert (job["state"], job["error"], job["picture"]) == ("failed", "13 brings bad luck: content.png", None)
        assert wait(client, order(client, photo).json()["id"])["state"] == "done", "the next has its turn"


def test_a_job_fetches_nothing(start, photo, monkeypatch):
    monkeypatch.delenv("IMGNN_OFFLINE")
    tells = "import os, sys; sys.exit(f\"Error: offline is {os.environ.get('IMGNN_OFFLINE')}\")"
    with start(program=(sys.executable, "-c", tells)) as client:
        assert wait(client, order(client, photo).json()["id"])["error"] == "offline is 1"


def test_the_end_of_the_server_is_the_end_of_the_job_and_its_picture_is_kept(start, photo):
    with start(steps=100_000, pause=0.02) as client:
        running = order(client, photo).json()["id"]
        waiting = order(client, photo).json()["id"]
        wait(client, running, lambda job: job["step"] > 5)
        thread, folder = client.server.site.studio.thread, client.server.folder / "studio"
    assert not thread.is_alive()
    left = {path.name for path in folder.glob("*/*")}
    assert left == {"job.json", "result.png"}, "no upload stays, not even of the one that waited"
    with start() as client:
        jobs = {job["id"]: job for job in client.get("/api/studio").json()["jobs"]}
        assert jobs[running]["state"] == "cancelled"
        assert client.get(jobs[running]["picture"]).status_code == 200
        assert (jobs[waiting]["state"], jobs[waiting]["error"]) == ("failed", "the server ended")


def test_the_gallery_survives_a_restart_without_what_is_damaged(start, photo):
    with start(steps=2, pause=0) as client:
        ids = [order(client, photo, kind="style", styles=2, style_weight=50).json()["id"] for _ in range(2)]
        before = [wait(client, id) for id in ids]
        folder = client.server.folder / "studio"
    (folder / "damaged").mkdir()
    (folder / "damaged" / "job.json").write_text("{")
    (folder / "0000000000000000").mkdir()
    with start() as client:
        after = client.get("/api/studio").json()["jobs"]
        assert after == before[::-1]
        assert after[0]["settings"]["style_weight"] == 50
        assert client.delete(f"/api/studio/{ids[0]}").status_code == 204
        assert not (folder / ids[0]).exists()
        assert [job["id"] for job in client.get("/api/studio").json()["jobs"]] == ids[1:]


@pytest.mark.parametrize(
    ("data", "code", "told"),
    [
        ({"kind": "paint"}, 422, "kind: "),
        ({"kind": "style", "styles": 0}, 422, "styles: a picture to paint it like is expected"),
        ({"kind": "style", "styles": 5}, 422, "styles: "),
        ({"size": 4096}, 422, "size: "),
        ({"size": 16}, 422, "size: "),
        ({"network": "vgg19"}, 409, "the weights of vgg19 are not on this machine; there are googlenet"),
        ({"network": "../../x.keras"}, 422, "network: "),
        ({"network": "-o"}, 422, "network: "),
        ({"layers": "a b; rm"}, 422, "layers: "),
        ({"layers": "a\n"}, 422, "layers: "),
        ({"iterations": 10_000}, 422, "iterations: "),
        ({"init": "/etc/passwd"}, 422, "init: "),
        ({"output": "/tmp/x.png"}, 422, "output: "),
        ({"octaves": 100}, 422, "octaves: "),
    ],
    ids=str,
)
def test_what_is_not_allowed_is_not_started(client, photo, data, code, told):
    answer = order(client, photo, **data)
    assert (answer.status_code, answer.json()["detail"].startswith(told)) == (code, True), answer.json()
    assert client.get("/api/studio").json() == {"jobs": []}


def test_no_setting_is_taken_for_an_option(tmp_path):
    job = Job(tmp_path, "dream", {"layers": "--output=/tmp/x", "size": 64}, 0, 0.0)
    assert job.words("/f/") == [
        "dream",
        "/f/content.png",
        "-o",
        "/f/result.png",
        "--layers=--output=/tmp/x",
        "--size=64",
    ]


def test_a_style_has_its_iterations_at_every_size(tmp_path):
    job = Job(tmp_path, "style", {"iterations": 7}, 2, 0.0)
    assert job.command == (
        "imgnn style content.png style1.png style2.png -o result.png --iterations=7 --initial-iterations=7"
    )


@pytest.mark.parametrize("id", ["0123456789abcdef", "x" * 16, "0123456789ABCDEF", "0123456789abcdef%0a", "%2e%2e%2f"])
@pytest.mark.parametrize("rest", ["", "/picture"])
def test_only_ids_of_jobs_are_jobs(client, id, rest):
    assert client.get(f"/api/studio/{id}{rest}").status_code in (404, 422)
    assert client.delete(f"/api/studio/{id}").status_code in (404, 422)


def test_what_failed_is_told_by_its_error_or_its_last_line():
    assert complaint("a note\nError: no such layer: x\nTry: imgnn networks\n", "/f") == "no such layer: x"
    assert complaint("a note\nTraceback\nValueError: 3\n\n", "/f") == "ValueError: 3"
    assert complaint("Error: cannot read /f/content.png\n", "/f") == "cannot read content.png"
    assert complaint("Error: /home/me/x.keras is damaged\n", "/f") == "x.keras is damaged"
    assert complaint("", "/f") == "it ended without a word"


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    own = Studio(tmp_path)
    try:
        monkeypatch.setattr(module, "save_image", lambda *_: (_ for _ in ()).throw(OSError(28, "full", "/home/me/x")))
        with pytest.raises(InputError, match=r"^the picture cannot be kept: full$"):
            own.add("dream", {}, np.zeros((4, 4, 3), "uint8"), [])
        assert (own.jobs, list(own.folder.iterdir())) == ({}, [])
    finally:
        own.close()


def test_a_full_disk_is_told_without_its_paths(start, photo, monkeypatch):
    def full(path, _):
        raise InputError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(module, "save_image", full)
    with start() as client:
        answer = order(client, photo)
        assert answer.status_code == 409
        told = re.sub("[0-9a-f]{16}", "ID", answer.json()["detail"])
        assert told == "cannot write page/studio/ID/content.png: No space left on device"


def test_a_preview_that_is_replaced_while_it_is_read_is_read_again(tmp_path, monkeypatch):
    found = [tmp_path / "result.preview.png", paint(tmp_path / "result.png", 1, (8, 8))]
    monkeypatch.setattr(Job, "picture", lambda _: found.pop(0))
    job = Job(tmp_path, "dream", {}, 0, 0.0)
    assert picture_of(job) == (tmp_path / "result.png").read_bytes()
    monkeypatch.setattr(Job, "picture", lambda _: tmp_path / "gone.png")
    assert picture_of(job) is None


def test_networks_are_those_that_are_here(monkeypatch, home):
    """The one in the package comes first, whatever there is besides; the random filters need no weights."""
    assert networks_here() == {"style": ["mini", "random"], "dream": ["mini", "random"]}
    (home / "networks").mkdir()
    (home / "networks" / "googlenet.keras").write_bytes(b"")
    assert networks_here()["dream"] == ["mini", "googlenet", "random"]


@pytest.mark.parametrize("kind", ["style", "dream"])
def test_a_real_job_comes_to_its_end(start, photo, kind):
    """`python -m imgnn` itself, with the network in the package."""
    program = (sys.executable, "-m", "imgnn")
    with start(program=program, networks=networks_here()) as client:
        settings = {"size": 64, "iterations": 6, "seed": 2, **({"octaves": 2} if kind == "dream" else {})}
        job = wait(client, order(client, photo, kind=kind, **settings).json()["id"], seconds=120)
        assert (job["state"], job["error"]) == ("done", None)
        assert (job["steps"], job["step"]) == ((6, 6) if kind == "style" else (12, 12))
        assert job["loss"] > 0
        path = client.server.folder / "studio" / job["id"] / "result.png"
        assert load_image(path).shape == (48, 64, 3)
        made = read_settings(path)
        assert (made["command"], made["network"], made["iterations"], made["seed"]) == (kind, "mini", 6, 2)
        assert sorted(each.name for each in path.parent.iterdir()) == ["job.json", "result.png"]


def test_a_real_job_that_is_cancelled_keeps_its_picture(start, photo):
    program = (sys.executable, "-m", "imgnn")
    with start(program=program, networks=networks_here()) as client:
        id = order(client, photo, kind="style", size=256, iterations=300).json()["id"]
        seen = wait(client, id, lambda job: job["picture"], seconds=120)
        assert client.get(seen["picture"]).status_code == 200
        client.delete(f"/api/studio/{id}")
        job = wait(client, id, seconds=60)
        assert (job["state"], job["error"], 0 < job["step"] < job["steps"]) == ("cancelled", None, True)
        assert Image.open(io.BytesIO(client.get(job["picture"]).content)).size == (256, 192)
