"""`imgnn serve` as one types it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
import requests

from imgnn.web.server import bind
from imgnn.web.studio import command_of
from tests.web.made_server import make_run, paint


@pytest.fixture
def serve(tmp_path):
    """Start it on a free port: `with serve("--requests-per-minute", 3) as (process, address)`."""
    from contextlib import contextmanager

    @contextmanager
    def started(*words):
        command = [sys.executable, "-m", "imgnn", "serve", "--port", "0", "--folder", tmp_path / "page", *words]
        process = subprocess.Popen(
            [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            yield process, process.stdout.readline().strip()
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    return started


def test_it_prints_one_address_and_ends_cleanly_with_ctrl_c(serve, tmp_path):
    with serve() as (process, address):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
        assert requests.get(address, timeout=20).status_code == 200
        state = requests.get(f"{address}api/state", timeout=20).json()
        assert (state["problem"], state["token"], state["networks"]["style"]) == (None, False, ["mini", "random"])
        assert [(model["network"], model["packaged"]) for model in state["models"]] == [("mini", True)]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (0, "", "Ctrl-C ends it.\n")
    assert (tmp_path / "page").is_dir()


def started_style(address, photo, until):
    """A job of the studio that is running and so far."""
    form = {"kind": "style", "size": "256", "iterations": "300"}
    files = [("content", ("x", photo)), ("styles", ("y", photo))]
    job = requests.post(f"{address}api/studio", data=form, files=files, timeout=20).json()
    deadline = time.monotonic() + 60
    while not until(job) and time.monotonic() < deadline:
        time.sleep(0.1)
        job = requests.get(f"{address}api/studio/{job['id']}", timeout=20).json()
    assert job["state"] == "running"
    return job


def test_the_end_takes_the_studio_s_child_along(serve, tmp_path):
    photo = paint(tmp_path / "x.jpg", 1).read_bytes()
    with serve() as (process, address):
        job = started_style(address, photo, lambda job: job["step"])
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=40)
    folder = tmp_path / "page" / "studio" / job["id"]
    assert sorted(path.name for path in folder.iterdir()) == ["job.json", "result.png"]
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(folder) not in running


def test_two_servers_do_not_share_a_folder(serve, tmp_path):
    with serve() as (process, address):
        with serve() as (second, other):
            assert (address != "", other) == (True, "")
            assert (second.wait(20), second.stderr.read()) == (
                1,
                f"Error: another imgnn serve, process {process.pid}, has the folder {tmp_path / 'page'}\n"
                "Try: imgnn serve --folder ANOTHER\n",
            )
        process.kill()
        process.wait()
    with serve() as (process, address):
        assert requests.get(address, timeout=20).status_code == 200


def test_after_a_server_was_killed_the_next_one_ends_its_child(serve, tmp_path):
    photo = paint(tmp_path / "x.jpg", 1).read_bytes()
    with serve() as (process, address):
        job = started_style(address, photo, lambda job: job["picture"])
        process.kill()
        process.wait()
    folder = tmp_path / "page" / "studio" / job["id"]
    child = json.loads((folder / "job.json").read_text())["pid"]
    assert str(folder) in command_of(child), "it goes on"
    with serve() as (_, address):
        assert command_of(child) == ""
        found = requests.get(f"{address}api/studio/{job['id']}", timeout=20).json()
        assert (found["state"], requests.get(address + found["picture"][1:], timeout=20).status_code) == (
            "cancelled",
            200,
        )
    assert sorted(path.name for path in folder.iterdir()) == ["job.json", "result.png"]


def test_for_other_machines_it_prints_a_token_that_is_needed(serve):
    with serve("--host", "0.0.0.0") as (_, address):
        found = re.fullmatch(r"http://([^/:]+):(\d+)/\?token=([\w-]{43})", address)
        assert found, address
        here = f"http://127.0.0.1:{found[2]}"
        assert requests.get(f"{here}/api/state", timeout=20).status_code == 401
        session = requests.Session()
        assert session.get(f"{here}/?token={found[3]}", timeout=20).status_code == 200
        assert session.get(f"{here}/api/state", timeout=20).json()["token"] is True


def test_a_port_that_is_taken_is_one_line(cli, tmp_path):
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        result = cli("serve", "--port", port, "--folder", tmp_path)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == (f"Error: port {port} of 127.0.0.1 is taken\nTry: imgnn serve --port {port + 1}\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--model", "NONE"], "Error: no such folder"),
        (["-m", "RUN", "-m", "RUN"], "are both runs of boke; the page has one of each kind"),
        (["--host", "203.0.113.7"], "Error: cannot listen on 203.0.113.7, port 0"),
        (["--folder", "FILE"], "Error: cannot make the folder"),
        (["--folder", "DAMAGED"], "ratings.jsonl, line 1, is damaged"),
    ],
    ids=str,
)
def test_what_cannot_be_served_is_one_line(cli, tmp_path, words, told):
    (tmp_path / "file").write_text("x")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "ratings.jsonl").write_text("{\n")
    names = {"NONE": "none", "RUN": "run", "FILE": "file", "DAMAGED": "damaged"}
    make_run(tmp_path / "run")
    result = cli("serve", "--port", 0, *(tmp_path / names[word] if word in names else word for word in words))
    assert (result.exit_code, result.stdout) == (1, "")
    assert told in result.stderr
    assert "Traceback" not in result.stderr


def test_without_the_extra_it_says_what_to_install():
    code = (
        "import sys; sys.modules['uvicorn'] = None; sys.argv = ['imgnn', 'serve']\n"
        "from imgnn.__main__ import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "Error: the page needs uvicorn, which is not installed\nTry: pip install 'imgnn[web]'\n"


def test_ratings_are_in_imgnn_s_home(monkeypatch, tmp_path):
    from imgnn.web.server import default_folder

    monkeypatch.setenv("IMGNN_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "page"
    monkeypatch.delenv("IMGNN_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    if os.name == "posix" and sys.platform != "darwin":
        assert default_folder() == tmp_path / "data" / "imgnn" / "page"


def test_a_name_in_the_network_is_bound_as_its_address():
    with bind("localhost", 0) as bound:
        assert bound.getsockname()[0] in ("127.0.0.1", "::1")
        assert bound.type == socket.SOCK_STREAM
