"""A published file arrives whole or not at all, whatever the server does."""

import errno
import hashlib
import multiprocessing
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from imgnn.errors import DownloadError, WeightsError
from imgnn.images.preprocessing import Preprocessing
from imgnn.networks import registry, weights
from imgnn.networks.registry import LayerRoles, NetworkSpec, PublishedWeights
from imgnn.runs import Silent
from tests.networks import server as answers
from tests.networks.server import serving

CONTENT = b"\x0a\x05VGG19" + bytes(range(256)) * 40  # 10,247 bytes, not all alike
PATIENCE = weights.Patience(attempts=3, pause=0.01, longest_pause=0.05, connect=2, read=0.3, slowest=1000, window=0.2)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(CONTENT) as running:
        yield running


@pytest.fixture
def published(server) -> PublishedWeights:
    return PublishedWeights(
        url=f"{server.url}/models/vgg.caffemodel",
        size=len(CONTENT),
        licence="test",
        sha1=hashlib.sha1(CONTENT).hexdigest(),
    )


class Listener(Silent):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.begun: list[tuple[str, float | None, str]] = []
        self.done: list[float] = []

    def note(self, message: str) -> None:
        self.notes.append(message)

    def begin(self, task: str, total: float | None, unit: str = "") -> None:
        self.begun.append((task, total, unit))

    def advance(self, done: float, **facts: float) -> None:
        self.done.append(done)


def get(published: PublishedWeights, folder: Path, **options: object) -> Path:
    return weights.download(published, folder / "vgg.caffemodel", patience=PATIENCE, **options)


def test_a_download_arrives_and_is_counted(server, published, tmp_path):
    listener = Listener()
    path = get(published, tmp_path, reporter=listener)
    assert path.read_bytes() == CONTENT
    assert listener.begun == [("downloading vgg.caffemodel", len(CONTENT), "bytes")]
    assert listener.done[-1] == len(CONTENT)
    assert server.seen[0][1]["User-Agent"].startswith("imgnn/")


def test_what_is_there_is_not_fetched_again(server, published, tmp_path):
    get(published, tmp_path)
    get(published, tmp_path)
    assert len(server.seen) == 1


def test_nothing_else_is_left_in_the_folder(published, tmp_path):
    get(published, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {"vgg.caffemodel", ".vgg.caffemodel.lock"}


@pytest.mark.parametrize(
    "script",
    [
        [answers.cuts(4000), answers.honest],
        [answers.cuts(0), answers.cuts(1), answers.honest],
        [answers.cut_at_once, answers.honest],
        [answers.cuts(4000), answers.ignores_range],
        [answers.cuts(4000), answers.sends_other_range, answers.honest],
        [answers.stalls(4000, 1.0), answers.honest],
        [answers.drips(0.01), answers.honest],
        [answers.busy(503), answers.busy(429, Retry_After=1), answers.honest],
        [answers.says_length(len(CONTENT) + 5000), answers.honest],
        [answers.says_length(len(CONTENT) - 5000), answers.honest],
        [answers.no_length],
        [answers.chunked],
        [answers.redirects("/elsewhere"), answers.honest],
    ],
    ids=lambda script: " ".join(each.__qualname__.partition(".")[0] for each in script),
)
def test_the_file_is_whole_although_the_server(script, server, published, tmp_path):
    server.script = script
    assert get(published, tmp_path).read_bytes() == CONTENT


def test_after_a_cut_only_the_rest_is_asked_for(server, published, tmp_path):
    server.script = [answers.cuts(4000), answers.honest]
    get(published, tmp_path)
    assert server.ranges() == [None, "bytes=4000-"]
    assert server.seen[1][1]["If-Range"] == '"one"'


def test_another_run_continues_where_the_first_one_stopped(server, published, tmp_path):
    server.script = [answers.cuts(4000), answers.cut_at_once]
    with pytest.raises(DownloadError, match="tried 3 times"):
        get(published, tmp_path)
    server.script = [answers.honest]
    assert get(published, tmp_path).read_bytes() == CONTENT
    assert server.ranges()[-1] == "bytes=4000-"


def test_a_file_that_changed_in_between_begins_again(server, published, tmp_path):
    (tmp_path / "vgg.caffemodel.part").write_bytes(b"old bytes")
    (tmp_path / "vgg.caffemodel.part.version").write_text('"zero"')
    assert get(published, tmp_path).read_bytes() == CONTENT


def test_a_part_that_is_longer_than_the_file_begins_again(server, published, tmp_path):
    (tmp_path / "vgg.caffemodel.part").write_bytes(b"x" * 20000)
    assert get(published, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("kind", ["sha256", "sha1", "git_blob"])
def test_wrong_bytes_are_refused_and_removed(kind, server, tmp_path):
    wrong = PublishedWeights(
        url=f"{server.url}/vgg.caffemodel",
        size=len(CONTENT),
        licence="test",
        **{kind: "ab" * (32 if kind == "sha256" else 20)},
    )
    with pytest.raises(
        WeightsError,
        match=f"{kind.replace('_', ' ')} expected abab.*, found {weights.digest_of([CONTENT], len(CONTENT), kind)}",
    ):
        get(wrong, tmp_path)
    assert not list(tmp_path.glob("vgg*"))


def test_a_web_page_is_no_model(server, published, tmp_path):
    server.script = [answers.sends(b"<!DOCTYPE html><p>Please log in</p>", Content_Type="text/html")]
    with pytest.raises(DownloadError, match="gives a web page, not a caffemodel"):
        get(published, tmp_path)


def test_not_found_is_not_tried_again(server, published, tmp_path):
    server.script = [answers.sends(b"gone", 404)]
    with pytest.raises(DownloadError, match="404 Not Found") as caught:
        get(published, tmp_path)
    assert len(server.seen) == 1
    assert "IMGNN_WEIGHTS_URL" in caught.value.hint


def test_a_redirect_loop_ends(server, published, tmp_path):
    server.script = [answers.redirects("")]
    with pytest.raises(DownloadError, match="redirected without end"):
        get(published, tmp_path)


def test_a_redirect_out_of_the_web_is_refused(server, published, tmp_path):
    server.script = [answers.redirects("file:///etc/passwd")]
    with pytest.raises(DownloadError, match="redirected to what is no web address"):
        get(published, tmp_path)


def test_a_server_that_never_stops_is_left(server, published, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "SPARE", 100_000)
    server.script = [answers.endless]
    with pytest.raises(DownloadError, match="sends without end"):
        get(published, tmp_path)


def test_a_server_that_stays_silent_is_left(server, published, tmp_path):
    server.script = [answers.stalls(0, 1.0)]
    with pytest.raises(DownloadError, match="does not answer; tried 3 times"):
        get(published, tmp_path)


def test_a_full_disk_is_said(published, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1000, 990, 10))
    with pytest.raises(DownloadError, match=r"10 kB more are needed in .*, and 10 bytes are free"):
        get(published, tmp_path)


def test_a_disk_that_fills_up_on_the_way_is_said():
    error = weights.disk_error(OSError(errno.ENOSPC, "No space left on device"), Path("x.part"))
    assert str(error) == "the disk is full: x.part"


def test_nobody_there_is_said(tmp_path, published, server):
    server.server_close()
    with pytest.raises(
        DownloadError, match=r"127\.0\.0\.1:\d+ cannot be reached \(Connection refused\); tried 3 times"
    ):
        get(published, tmp_path)


def test_each_try_is_one_short_line(tmp_path, published, server):
    server.server_close()
    listener = Listener()
    with pytest.raises(DownloadError):
        get(published, tmp_path, reporter=listener)
    assert [re.sub(r"[\d.]+ s$", "N s", note) for note in listener.notes] == [
        f"{server.url.removeprefix('http://')} cannot be reached; try {number} of 3 in N s" for number in (2, 3)
    ]


def test_without_a_published_hash_the_first_download_is_remembered(server, tmp_path):
    unknown = PublishedWeights(url=f"{server.url}/vgg.caffemodel", size=len(CONTENT), licence="test")
    path = get(unknown, tmp_path)
    assert path.with_name("vgg.caffemodel.sha256").read_text().split() == [
        hashlib.sha256(CONTENT).hexdigest(),
        "vgg.caffemodel",
    ]
    path.unlink()
    server.content = CONTENT + b"more"
    listener = Listener()
    get(unknown, tmp_path, reporter=listener)
    assert any("vgg.caffemodel has changed since it was first downloaded here" in note for note in listener.notes)


def test_git_blob_is_what_git_hash_object_prints():
    # printf 'hello\n' | git hash-object --stdin
    assert weights.digest_of([b"hello\n"], 6, "git_blob") == "ce013625030ba8dba906f756967f9e9ca394464a"


def fetch_in_a_process(published: PublishedWeights, folder: Path) -> None:
    """Patiently: four processes on a busy machine may wait longer for the first byte than the other tests allow."""
    weights.download(published, folder / "vgg.caffemodel")


def test_two_processes_at_once_fetch_it_once(server, published, tmp_path):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=fetch_in_a_process, args=(published, tmp_path)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert (tmp_path / "vgg.caffemodel").read_bytes() == CONTENT
    assert len(server.seen) == 1


# Where a network's file is taken from.


@pytest.fixture
def spec(published) -> NetworkSpec:
    return NetworkSpec(
        name="vgg19", title="VGG-19", builder="none:none", paper="", preprocessing=Preprocessing((224, 224)),
        roles=LayerRoles(), weights=published,
    )  # fmt: skip


def test_offline_the_error_names_the_two_ways_out(spec):
    with pytest.raises(WeightsError) as caught:
        weights.obtain(spec)
    assert str(caught.value).startswith("no weights for 'vgg19' on this machine")
    assert "imgnn convert vgg.caffemodel" in caught.value.hint
    assert "IMGNN_WEIGHTS_URL" in caught.value.hint


def test_without_a_network_it_is_the_same_error(spec, server, monkeypatch):
    monkeypatch.delenv("IMGNN_OFFLINE")
    server.server_close()
    with pytest.raises(WeightsError, match=r"no weights for 'vgg19' on this machine: .* cannot be reached") as caught:
        weights.obtain(spec, patience=PATIENCE)
    assert "imgnn convert vgg.caffemodel" in caught.value.hint


def test_a_name_that_is_not_found_is_not_asked_for_again(published, tmp_path):
    listener = Listener()
    nowhere = replace(published, url="http://nowhere.invalid/vgg.caffemodel")
    with pytest.raises(DownloadError, match=r"^nowhere\.invalid cannot be reached \([^;]*\)$"):
        get(nowhere, tmp_path, reporter=listener)
    assert listener.notes == []


def test_a_download_goes_to_imgnn_home(spec, home, monkeypatch):
    monkeypatch.delenv("IMGNN_OFFLINE")
    assert weights.obtain(spec, patience=PATIENCE) == home / "downloads" / "vgg.caffemodel"


def test_a_mirror_gets_the_name_of_the_file(spec, server, monkeypatch):
    monkeypatch.delenv("IMGNN_OFFLINE")
    monkeypatch.setenv("IMGNN_WEIGHTS_URL", f"{server.url}/mirror/")
    weights.obtain(spec, patience=PATIENCE)
    assert server.seen[0][0] == "/mirror/vgg.caffemodel"


@pytest.mark.parametrize("named", ["folder", "file", "file url"])
def test_a_local_copy_is_taken_even_offline(named, spec, tmp_path, monkeypatch):
    file = tmp_path / "vgg.caffemodel"
    file.write_bytes(CONTENT)
    monkeypatch.setenv(
        "IMGNN_WEIGHTS_URL", {"folder": str(tmp_path), "file": str(file), "file url": file.as_uri()}[named]
    )
    assert weights.obtain(spec) == file


def test_a_local_copy_of_other_bytes_is_taken_and_said(spec, tmp_path, monkeypatch):
    (tmp_path / "vgg.caffemodel").write_bytes(b"repacked")
    monkeypatch.setenv("IMGNN_WEIGHTS_URL", str(tmp_path))
    listener = Listener()
    weights.obtain(spec, reporter=listener)
    assert "is not the file that the authors published (sha1 expected" in listener.notes[0]


def test_a_local_copy_that_is_not_there_is_said(spec, tmp_path, monkeypatch):
    monkeypatch.setenv("IMGNN_WEIGHTS_URL", str(tmp_path / "nowhere"))
    with pytest.raises(WeightsError, match=r"no weights for 'vgg19' on this machine: .*there is no such file"):
        weights.obtain(spec)


def test_every_network_of_the_registry_has_a_file_name():
    for name in registry.names():
        spec = registry.find(name)
        assert spec.weights is None or weights.file_name(spec.weights)
