import contextlib
import io
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
from PIL import Image

from imgnn.data import addresses, download, keeping
from imgnn.data.items import Waiting
from imgnn.data.journal import Journal
from imgnn.data.outcomes import PASSING
from imgnn.data.sources import Source
from imgnn.errors import InputError
from imgnn.images.files import load_image
from imgnn.jobs.fetch import fetch_pictures, keeping_of, manners_of, merge_journals, pace_of
from imgnn.jobs.fetch_dask import Asked, Pieces, ask_piece
from imgnn.options import FetchOptions
from tests.data import site as web
from tests.data.site import picture, site

QUICK = {
    "allow_private": True,
    "timeout": 1.0,
    "deadline": 2.0,
    "longest_wait": 3.0,
    "retries": 1,
    "max_bytes": 2_000_000,
}


@pytest.fixture(autouse=True)
def online(monkeypatch):
    monkeypatch.delenv("IMGNN_OFFLINE")
    known = socket.getaddrinfo

    def ask(host, *rest, **more):
        """Only this machine's own names lead anywhere."""
        if host not in ("localhost", "127.0.0.1", "::1") and not str(host)[:1].isdecimal():
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return known(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", ask)


@pytest.fixture
def server():
    with site() as running:
        yield running


def listed(tmp_path: Path, *lines: str, name: str = "cats.txt") -> list[Source]:
    path = tmp_path / name
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return [Source(path)]


def fetched(tmp_path, *lines, name="cats.txt", **options):
    return fetch_pictures(listed(tmp_path, *lines, name=name), tmp_path / "out", FetchOptions(**{**QUICK, **options}))


def outcomes(folder: Path) -> dict[str, str]:
    """Path of the address -> outcome."""
    with Journal(folder / "fetch.sqlite", read_only=True) as journal:
        return {row["url"].split("/", 3)[-1]: row["outcome"] for row in journal.rows()}


CERTIFICATE = Path(__file__).parents[1] / "data" / "nobody.pem"


def test_every_way_in_which_the_web_fails_has_its_name(tmp_path, server):
    loop = f"{server.url}/round"
    ways = {
        "good.jpg": (web.sends(picture(1)), "ok"),
        "page.jpg": (web.sends(b"<!DOCTYPE html><html>gone</html>"), "not_image"),
        "empty.jpg": (web.sends(b""), "not_image"),
        "lost.jpg": (web.says(404), "gone"),
        "removed.jpg": (web.says(410), "gone"),
        "secret.jpg": (web.says(403), "forbidden"),
        "odd.jpg": (web.says(418), "forbidden"),
        "busy.jpg": (web.first(1, web.says(429, Retry_After=1), web.sends(picture(2))), "ok"),
        "too-busy.jpg": (web.says(429), "rate_limited"),
        "flaky.jpg": (web.first(1, web.says(500), web.sends(picture(3))), "ok"),
        "broken.jpg": (web.says(500), "server_error"),
        "silent.jpg": (web.sleeps, "timeout"),
        "drip.jpg": (web.drips, "timeout"),
        "drip-headers.jpg": (web.drips_headers, "timeout"),
        "endless.jpg": (web.endless, "too_large"),
        "bomb.jpg": (web.gzip_bomb, "too_large"),
        "zipped.jpg": (web.zipped(picture(4)), "ok"),
        "brotli.jpg": (web.sends(b"....", Content_Encoding="br"), "not_image"),
        "cut.jpg": (web.cut, "truncated"),
        "half.jpg": (web.sends(picture(5)[:500]), "truncated"),
        "rotten.png": (web.sends(b"\x89PNG\r\n\x1a\n" + bytes(100)), "damaged"),
        "mistyped.jpg": (web.sends(picture(6, form="PNG"), Content_Type="text/html"), "ok"),
        "huge.png": (web.sends(bomb()), "too_large"),
        "round": (web.redirects(loop), "redirects"),
        "inward.jpg": (web.redirects("http://[::1]:9/inward.jpg"), "connection"),
        "file.jpg": (web.redirects("file:///etc/passwd"), "bad_url"),
        "moved.jpg": (web.redirects("/imageNotFound.gif"), "placeholder"),
        "imageNotFound.gif": (web.sends(picture(7, form="GIF")), "ok"),
        "same-name.jpg": (web.redirects("/elsewhere/same-name.jpg", 301), "ok"),
        "asks-not.jpg": (web.sends(picture(9), X_Robots_Tag="noai"), "opted_out"),
        "private/a.jpg": (web.sends(picture(10)), "opted_out"),
        "hangs-up.jpg": (web.hangs_up, "connection"),
        "nonsense.jpg": (web.nonsense, "connection"),
        "film.jpg": (web.sends(b"\0\0\0\x18ftypmp42" + bytes(600)), "not_image"),
    }  # fmt: skip
    server.answers = {f"/{path}": answer for path, (answer, _) in ways.items()}
    web.bomb()  # which takes a moment
    server.answers["/elsewhere/same-name.jpg"] = web.sends(picture(8))
    server.answers["/robots.txt"] = web.sends(b"User-agent: *\nDisallow: /private/\n")
    with site(CERTIFICATE) as secure:
        began = time.monotonic()
        ended = fetched(
            tmp_path,
            *(f"{server.url}/{path}" for path in ways),
            f"{secure.url}/tls.jpg",
            "ftp://example.com/a.jpg",
            "http://no-such-host.invalid/a.jpg",
            per_host=24,
        )
        seconds = time.monotonic() - began
    expected = {path: outcome for path, (_, outcome) in ways.items()}
    expected |= {"tls.jpg": "tls", "a.jpg": "dns"}
    found = outcomes(tmp_path / "out")
    assert {path: found[path] for path in expected} == expected
    assert ended.stopped is None
    # The longest: two tries of two seconds each, and a pause between them.
    assert seconds < 20


def bomb() -> bytes:
    """A PNG of a few bytes that says it has 30,000 x 30,000 pixels."""
    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def test_the_same_command_again_asks_nothing_twice(tmp_path, server):
    server.answers = {f"/{n}.jpg": web.sends(picture(n)) for n in range(5)}
    lines = [f"{server.url}/{n}.jpg" for n in range(6)]
    fetched(tmp_path, *lines)
    before = dict(server.asked)
    again = fetched(tmp_path, *lines)
    assert dict(server.asked) == before
    assert (again.counts, again.run) == ({"ok": 5, "gone": 1}, {})


def test_new_lines_of_a_list_are_fetched_and_old_ones_are_not(tmp_path, server):
    server.answers = {f"/{n}.jpg": web.sends(picture(n)) for n in range(5)}
    fetched(tmp_path, f"{server.url}/0.jpg")
    fetched(tmp_path, f"{server.url}/0.jpg", f"{server.url}/1.jpg")
    assert server.asked["/0.jpg"] == server.asked["/1.jpg"] == 1


def test_failed_addresses_are_asked_again_on_request_alone(tmp_path, server):
    server.answers = {"/a.jpg": web.first(2, web.says(500), web.sends(picture(1)))}
    lines = [f"{server.url}/a.jpg", f"{server.url}/gone.jpg"]
    assert fetched(tmp_path, *lines).counts == {"server_error": 1, "gone": 1}
    options = FetchOptions(**QUICK)
    assert fetch_pictures([], tmp_path / "out", options, again=["server_error"]).counts == {"ok": 1, "gone": 1}
    assert server.asked["/gone.jpg"] == 1
    fetch_pictures([], tmp_path / "out", options, again=["gone"])
    assert server.asked["/gone.jpg"] == 2


def test_gone_and_forbidden_and_opted_out_are_asked_once(tmp_path, server):
    server.answers = {"/no.jpg": web.says(403), "/asks.jpg": web.sends(picture(), X_Robots_Tag="imgnn: noindex")}
    fetched(tmp_path, *(f"{server.url}/{name}.jpg" for name in ("no", "asks", "lost")), retries=5)
    assert [server.asked[f"/{name}.jpg"] for name in ("no", "asks", "lost")] == [1, 1, 1]


def test_too_few_pictures_are_told_with_the_rest_of_the_result(tmp_path, server):
    server.answers = {f"/{n}.jpg": web.sends(picture(n)) for n in range(3)}
    lines = [f"{server.url}/{n}.jpg" for n in range(4)]
    ended = fetched(tmp_path, *lines, min_success=0.8)
    assert str(ended.failed) == "75.0 % are pictures, less than 80.0 %"
    assert (ended.stopped, ended.success) == (None, 0.75)
    assert fetched(tmp_path, *lines, min_success=0.75).failed is None


def test_a_host_that_says_429_is_left_in_peace_until_the_time_it_names(tmp_path, server):
    times = []

    def busy(handler):
        times.append(time.monotonic())
        (web.says(429, Retry_After=2) if len(times) == 1 else web.sends(picture(len(times))))(handler)

    server.answers = {f"/{n}.jpg": busy for n in range(4)}
    ended = fetched(tmp_path, *(f"{server.url}/{n}.jpg" for n in range(4)), per_host=1)
    assert ended.counts == {"ok": 4}
    assert times[1] - times[0] >= 1.9


def test_a_host_that_asks_to_wait_too_long_is_given_up_without_waiting(tmp_path, server):
    server.answers = {f"/{n}.jpg": web.says(429, Retry_After=3600) for n in range(40)}
    began = time.monotonic()
    ended = fetched(tmp_path, *(f"{server.url}/{n}.jpg" for n in range(40)), per_host=2)
    assert ended.counts == {"rate_limited": 40}
    assert time.monotonic() - began < 5
    assert sum(server.asked.values()) < 10


def test_a_host_that_was_given_up_is_not_waited_for(tmp_path, server):
    server.answers = {"/0.jpg": web.sends(picture()), "/1.jpg": web.says(429, Retry_After=3600)}
    began = time.monotonic()
    # One at a time, so that the host stands in the row for its next turn when it is given up.
    ended = fetched(tmp_path, *(f"{server.url}/{n}.jpg" for n in range(3)), concurrency=1, longest_wait=30.0)
    assert ended.counts == {"ok": 1, "rate_limited": 2}
    assert time.monotonic() - began < 5


def test_a_host_that_never_answers_is_given_up(tmp_path):
    ended = fetched(tmp_path, *(f"http://127.0.0.1:9/{n}.jpg" for n in range(500)), retries=0)
    assert ended.counts == {"connection": 500}
    with Journal(tmp_path / "out/fetch.sqlite", read_only=True) as journal:
        assert "10 requests to 127.0.0.1:9 in a row had no answer" in next(reversed(list(journal.rows())))["detail"]


def test_no_more_requests_go_to_a_host_at_once_than_allowed(tmp_path, server):
    server.answers = {f"/{n}.jpg": web.slow(0.03, web.sends(picture(n))) for n in range(30)}
    fetched(tmp_path, *(f"{server.url}/{n}.jpg" for n in range(30)), per_host=3)
    assert server.most <= 3


@pytest.mark.parametrize("per_host", [1, 4])
def test_a_site_that_asks_for_a_pause_gets_it(tmp_path, server, per_host):
    server.answers = {f"/{n}.jpg": web.sends(picture(n)) for n in range(4)}
    server.answers["/robots.txt"] = web.sends(b"User-agent: imgnn\nCrawl-delay: 0.3\n")
    began = time.monotonic()
    fetched(tmp_path, *(f"{server.url}/{n}.jpg" for n in range(4)), per_host=per_host)
    assert time.monotonic() - began >= 0.9
    assert server.asked["/robots.txt"] == 1


def test_a_site_whose_robots_txt_fails_is_not_asked(tmp_path, server):
    server.answers = {"/a.jpg": web.sends(picture()), "/robots.txt": web.says(503)}
    assert fetched(tmp_path, f"{server.url}/a.jpg").counts == {"server_error": 1}
    assert server.asked["/a.jpg"] == 0
    server.answers["/robots.txt"] = web.says(404)
    assert fetch_pictures([], tmp_path / "out", FetchOptions(**QUICK), again=PASSING).counts == {"ok": 1}


def test_robots_are_not_asked_when_told_so(tmp_path, server):
    server.answers = {"/a.jpg": web.sends(picture(), X_Robots_Tag="noai"), "/robots.txt": web.says(503)}
    assert fetched(tmp_path, f"{server.url}/a.jpg", robots=False).counts == {"ok": 1}


def test_the_user_agent_says_who_asks(tmp_path, server):
    fetched(tmp_path, f"{server.url}/a.jpg", contact="mailto:me@example.org")
    assert all(agent.startswith("imgnn/") and "me@example.org" in agent for agent in server.agents)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1", "0.0.0.0"]
)
def test_private_addresses_are_not_asked(tmp_path, server, host):
    port = server.url.rpartition(":")[2]
    ended = fetched(tmp_path, f"http://{host}:{port}/a.jpg", allow_private=False)
    assert ended.counts == {"blocked_address": 1}
    assert not server.asked


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1"])
def test_addresses_in_disguise_are_no_addresses(tmp_path, server, host):
    port = server.url.rpartition(":")[2]
    assert fetched(tmp_path, f"http://{host}:{port}/a.jpg").counts == {"bad_url": 1}
    assert not server.asked


def test_the_same_bytes_belong_to_the_first_address(tmp_path, server):
    server.answers = {
        "/late.jpg": web.slow(0.3, web.sends(picture(1))),
        "/soon.jpg": web.sends(picture(1)),
        "/other.jpg": web.sends(picture(2)),
    }
    fetched(tmp_path, *(f"{server.url}/{name}.jpg" for name in ("late", "soon", "other")))
    assert outcomes(tmp_path / "out") == {"late.jpg": "ok", "soon.jpg": "duplicate", "other.jpg": "ok"}
    assert sorted(path.name.partition("-")[0] for path in (tmp_path / "out/cats").iterdir()) == ["late", "other"]


def test_the_same_bytes_from_many_addresses_stand_for_a_picture_that_is_gone(tmp_path, server):
    server.answers = {f"/{n}.jpg": web.sends(picture(1 if n < 5 else n)) for n in range(7)}
    ended = fetched(tmp_path, *(f"{server.url}/{n}.jpg" for n in range(7)))
    assert ended.counts == {"placeholder": 5, "ok": 2}
    assert len(list((tmp_path / "out/cats").iterdir())) == 2


def test_a_placeholder_that_the_user_names_is_known(tmp_path, server):
    (tmp_path / "gone.jpg").write_bytes(picture(1))
    server.answers = {"/a.jpg": web.sends(picture(1))}
    assert fetched(tmp_path, f"{server.url}/a.jpg", placeholders=(tmp_path / "gone.jpg",)).counts == {"placeholder": 1}


def test_a_real_placeholder_is_known_by_its_hash(tmp_path, server, shared):
    server.answers = {"/a.gif": web.sends((shared / "data/imageNotFound.gif").read_bytes())}
    assert fetched(tmp_path, f"{server.url}/a.gif").counts == {"placeholder": 1}


def test_the_bytes_are_kept_as_they_came_under_the_name_that_fits_them(tmp_path, server):
    server.answers = {"/Tom%20%26%20co.jpeg": web.sends(picture(1, form="PNG"))}
    fetched(tmp_path, f"{server.url}/Tom%20%26%20co.jpeg?size=1,2")
    (path,) = (tmp_path / "out/cats").iterdir()
    assert path.read_bytes() == picture(1, form="PNG")
    assert (path.name.startswith("Tom _ co-"), path.suffix) == (True, ".png")


def test_two_addresses_with_the_same_name_are_two_files(tmp_path, server):
    server.answers = {"/a/1.jpg": web.sends(picture(1)), "/b/1.jpg": web.sends(picture(2))}
    fetched(tmp_path, f"{server.url}/a/1.jpg", f"{server.url}/b/1.jpg")
    assert len(list((tmp_path / "out/cats").iterdir())) == 2


def test_a_limit_counts_pictures_and_takes_the_first_that_can_be_had(tmp_path, server):
    server.answers = {f"/{n}.jpg": web.slow(0.02 * (10 - n), web.sends(picture(n))) for n in range(1, 10) if n != 2}
    fetched(tmp_path, *(f"{server.url}/{n}.jpg" for n in range(10)), limit=3)
    found = outcomes(tmp_path / "out")
    assert [name for name, outcome in found.items() if outcome == "ok"] == ["1.jpg", "3.jpg", "4.jpg"]
    assert [name for name, outcome in found.items() if outcome == "waiting"] == [
        "5.jpg",
        "6.jpg",
        "7.jpg",
        "8.jpg",
        "9.jpg",
    ]


def test_small_pictures_and_strips_are_told(tmp_path, server):
    server.answers = {
        "/dot.png": web.sends(picture(1, (8, 8), "PNG")),
        "/bar.png": web.sends(picture(2, (40, 400), "PNG")),
    }
    ended = fetched(tmp_path, f"{server.url}/dot.png", f"{server.url}/bar.png", min_side=16, max_aspect=5.0)
    assert ended.counts == {"too_small": 2}


def test_pictures_of_another_form_do_not_get_into_the_same_folder(tmp_path, server):
    server.answers = {"/a.jpg": web.sends(picture())}
    fetched(tmp_path, f"{server.url}/a.jpg")
    with pytest.raises(InputError, match="kept as they came; now they would be kept as 64 pixels"):
        fetched(tmp_path, f"{server.url}/a.jpg", resize=64)


def test_a_folder_is_one_process_at_a_time(tmp_path, server):
    fcntl = pytest.importorskip("fcntl")
    (tmp_path / "out").mkdir()
    with (tmp_path / "out/.fetch-lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another imgnn fetch is at work"):
            fetched(tmp_path, f"{server.url}/a.jpg")


def test_a_machine_that_is_offline_is_not_blamed_on_the_addresses(tmp_path):
    ended = fetched(tmp_path, *(f"http://host{n}.invalid/{m}.jpg" for m in range(3) for n in range(20)))
    assert ended.counts == {"waiting": 60}
    assert "this machine seems to be offline" in str(ended.stopped)


def test_one_dead_name_among_hosts_that_answer_is_its_own_fault(tmp_path, server):
    server.answers = {"/a.jpg": web.sends(picture())}
    ended = fetched(tmp_path, *(f"http://host{n}.invalid/a.jpg" for n in range(8)), f"{server.url}/a.jpg")
    assert ended.counts == {"dns": 8, "ok": 1}


def test_the_time_that_was_given_ends_the_run_and_the_rest_waits(tmp_path, server):
    server.answers = {f"/{n}.jpg": web.slow(0.2, web.sends(picture(n))) for n in range(30)}
    ended = fetched(tmp_path, *(f"{server.url}/{n}.jpg" for n in range(30)), per_host=2, max_time=0.5)
    assert 0 < ended.counts["ok"] < 12
    assert ended.counts["ok"] + ended.counts["waiting"] == 30


def test_parts_that_are_put_together_are_the_whole(tmp_path, server):
    server.answers = {f"/{n}.jpg": web.sends(picture(n % 13)) for n in range(20)}
    lines = [f"{server.url}/{n}.jpg" for n in range(22)]
    whole = fetched(tmp_path, *lines)
    parts = []
    for part in (3, 1, 2):
        folder = tmp_path / f"part{part}"
        fetch_pictures(listed(tmp_path, *lines), folder, FetchOptions(**{**QUICK, "shard": (part, 3)}))
        parts.append(folder)
    merged = merge_journals(parts, tmp_path / "merged", FetchOptions(**QUICK))
    assert merged.counts == whole.counts == {"ok": 13, "duplicate": 7, "gone": 2}
    assert state(tmp_path / "merged") == state(tmp_path / "out")


def test_what_was_merged_is_not_asked_again(tmp_path, server):
    server.answers = {f"/{n}.jpg": web.sends(picture(n)) for n in range(8)}
    lines = [f"{server.url}/{n}.jpg" for n in range(8)]
    fetch_pictures(listed(tmp_path, *lines), tmp_path / "part", FetchOptions(**{**QUICK, "shard": (1, 2)}))
    merge_journals([tmp_path / "part"], tmp_path / "out")
    ended = fetched(tmp_path, *lines)
    assert (ended.counts, ended.repeats) == ({"ok": 8}, (0, 0))
    assert {server.asked[f"/{n}.jpg"] for n in range(8)} == {1}


@pytest.mark.filterwarnings("default")  # distributed's own
def test_a_cluster_that_loses_a_worker_ends_as_one_machine(tmp_path):
    distributed = pytest.importorskip("distributed")
    with contextlib.ExitStack() as stack:
        sites = [stack.enter_context(site()) for _ in range(4)]
        for index, each in enumerate(sites):
            each.answers = {f"/{n}.jpg": web.slow(0.01, web.sends(picture(n + index))) for n in range(60)}
        lines = [f"{each.url}/{n}.jpg" for n in range(61) for each in sites]
        alone = fetched(tmp_path, *lines, placeholder_after=0)
        cluster = stack.enter_context(
            distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
        )
        killed = []

        def watch(progress, left):
            if not killed:
                killed.append(next(iter(cluster.workers.values())).pid)
                os.kill(killed[0], signal.SIGKILL)

        together = fetch_pictures(
            listed(tmp_path, *lines),
            tmp_path / "together",
            FetchOptions(**{**QUICK, "placeholder_after": 0, "dask": cluster.scheduler_address}),
            watch=watch,
        )
    assert killed
    assert together.counts == alone.counts == {"ok": 63, "duplicate": 177, "gone": 4}
    assert state(tmp_path / "together") == state(tmp_path / "out")


def state(folder: Path) -> tuple[list[tuple], dict[str, bytes]]:
    """What the journal says, but for times and tries; and every file with its bytes."""
    names = ("url", "label", "outcome", "status", "file", "sha256", "bytes", "height", "width", "format")
    with Journal(folder / "fetch.sqlite", read_only=True) as journal:
        rows = [tuple(row[name] for name in names) for row in journal.rows()]
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    return rows, {name: data for name, data in files.items() if not name.startswith(("fetch", ".fetch"))}


def killed_run(folder: Path, source: Path, after: float) -> bool:
    """A run that is killed after so many seconds; whether it was."""
    words = ["fetch", str(source), "-o", str(folder), "--allow-private", "--timeout", "5", "--per-host", "4"]
    process = subprocess.Popen(
        [sys.executable, "-m", "imgnn", *words], env={**os.environ, "IMGNN_OFFLINE": ""},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    assert process.returncode == 0
    return False


def kills(tmp_path: Path, server, count: int, times: int) -> None:
    """See to it that a run of so many addresses ends the same, however often it is killed."""
    pictures = {n: picture(n % (count * 9 // 10)) for n in range(count)}
    server.answers = {f"/{n}.jpg": web.slow(0.002, web.sends(data)) for n, data in pictures.items() if n % 20}
    source = tmp_path / "many.txt"
    source.write_text("".join(f"{server.url}/{n}.jpg\n" for n in range(count)))
    assert not killed_run(tmp_path / "unbroken", source, 120)
    dice = random.Random(20261121)
    killed = sum(killed_run(tmp_path / "broken", source, dice.uniform(0.5, 1.2)) for _ in range(times))
    assert not killed_run(tmp_path / "broken", source, 120)
    assert killed >= times // 4
    assert state(tmp_path / "broken") == state(tmp_path / "unbroken")


def test_a_run_that_is_killed_ends_as_an_unbroken_one(tmp_path, server):
    kills(tmp_path, server, 240, 4)


@pytest.mark.slow
def test_a_run_that_is_killed_twenty_times_ends_as_an_unbroken_one(tmp_path, server):
    kills(tmp_path, server, 2000, 20)


def test_a_limit_is_kept_for_each_class_and_made_up_for_failures_and_copies(tmp_path, server):
    lists = []
    for name in ("cats", "dogs", "owls"):
        path = tmp_path / f"{name}.txt"
        path.write_text("".join(f"{server.url}/{name}/{n}.jpg\n" for n in range(30)))
        lists.append(Source(path))
        for n in range(30):
            # Every third is missing, and the first six that are there are two pictures, three times each.
            server.answers[f"/{name}/{n}.jpg"] = web.says(404) if n % 3 == 0 else web.sends(picture(hash_of(name, n)))
    ended = fetch_pictures(lists, tmp_path / "out", FetchOptions(**QUICK, limit=7))
    assert {label: counts["ok"] for label, counts in ended.classes.items()} == {"cats": 7, "dogs": 7, "owls": 7}
    assert all(counts["waiting"] > 5 for counts in ended.classes.values())


def hash_of(name: str, n: int) -> int:
    return zlib.crc32(f"{name}{n % 2 if n < 9 else n}".encode())


# What redirects lead to is another host's affair


def test_a_dead_end_of_one_redirect_is_not_the_fault_of_the_host(tmp_path, server):
    server.answers = {f"/{n}.jpg": web.sends(picture(n)) for n in range(30)}
    server.answers["/0.jpg"] = web.redirects("http://nowhere.invalid/0.jpg")
    ended = fetched(tmp_path, *(f"{server.url}/{n}.jpg" for n in range(30)), per_host=2)
    assert ended.counts == {"dns": 1, "ok": 29}


def test_many_redirects_to_a_dead_host_do_not_close_the_one_that_redirects(tmp_path, server):
    server.answers = {f"/{n}.jpg": web.redirects(f"http://127.0.0.1:9/{n}.jpg") for n in range(15)}
    server.answers |= {f"/{n}.jpg": web.sends(picture(n)) for n in range(15, 25)}
    ended = fetched(tmp_path, *(f"{server.url}/{n}.jpg" for n in range(25)), per_host=2, retries=0)
    assert ended.counts == {"connection": 15, "ok": 10}


def test_a_redirect_to_a_host_that_wants_peace_leaves_the_first_one_open(tmp_path, server):
    with site() as busy:
        busy.answers["/0.jpg"] = web.says(429, Retry_After=3600)
        server.answers = {f"/{n}.jpg": web.sends(picture(n)) for n in range(20)}
        server.answers["/0.jpg"] = web.redirects(f"{busy.url}/0.jpg")
        ended = fetched(tmp_path, *(f"{server.url}/{n}.jpg" for n in range(20)), per_host=1)
    assert ended.counts == {"rate_limited": 1, "ok": 19}


# Names


def test_slow_dead_names_do_not_keep_living_ones_from_being_looked_up(tmp_path, server, monkeypatch):
    ask = socket.getaddrinfo

    def slow(host, *rest, **more):
        if str(host).endswith(".invalid"):
            time.sleep(1.5)
        return ask("127.0.0.1" if host == "good.example" else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    server.answers = {f"/{n}.jpg": web.sends(picture(n)) for n in range(5)}
    port = server.url.rpartition(":")[2]
    lines = [f"http://dead{n}.invalid/a.jpg" for n in range(30)] + [
        f"http://good.example:{port}/{n}.jpg" for n in range(5)
    ]
    assert fetched(tmp_path, *lines, deadline=6.0, timeout=4.0).counts == {"dns": 30, "ok": 5}


@pytest.mark.parametrize("hosts", [1, 4])
def test_also_a_list_of_few_hosts_waits_when_the_machine_is_offline(tmp_path, hosts):
    ended = fetched(tmp_path, *(f"http://host{n % hosts}.invalid/{n}.jpg" for n in range(20)))
    assert ended.counts == {"waiting": 20}
    assert "seems to be offline" in str(ended.stopped)


def test_dead_names_before_living_ones_do_not_end_a_limit(tmp_path, server, monkeypatch):
    monkeypatch.setattr(addresses, "CANARY", "localhost")  # this machine is online
    server.answers = {f"/{n}.jpg": web.sends(picture(n)) for n in range(5)}
    lines = [f"http://dead{n}.invalid/a.jpg" for n in range(3)] + [f"{server.url}/{n}.jpg" for n in range(5)]
    assert fetched(tmp_path, *lines, limit=3).counts == {"dns": 3, "ok": 3, "waiting": 2}


# What is kept


@pytest.mark.parametrize(("mode", "size"), [("border", (64, 64)), ("keep_ratio", (64, 128)), ("center_crop", (64, 64)),
                                            ("keep_ratio_largest", (32, 64))])  # fmt: skip
def test_pictures_are_scaled_in_the_modes_of_img2dataset(tmp_path, server, mode, size):
    server.answers = {"/a.png": web.sends(picture(1, (200, 400), "PNG"))}
    fetched(tmp_path, f"{server.url}/a.png", resize=64, resize_mode=mode)
    (path,) = (tmp_path / "out/cats").iterdir()
    assert (load_image(path).shape[:2], path.suffix) == (size, ".jpg")


def test_the_border_is_white_and_the_picture_in_its_middle(tmp_path, server):
    server.answers = {"/a.png": web.sends(plain((100, 200), (200, 30, 30)))}
    fetched(tmp_path, f"{server.url}/a.png", resize=64, format="png")
    (path,) = (tmp_path / "out/cats").iterdir()
    image = load_image(path)
    assert {tuple(pixel) for pixel in image[:16].reshape(-1, 3)} == {(255, 255, 255)}
    assert {tuple(pixel) for pixel in image[16:48].reshape(-1, 3)} == {(200, 30, 30)}


def test_the_middle_is_cut_before_it_is_scaled(tmp_path, server):
    # Scaled first, this would be 64 x 640,000 pixels.
    server.answers = {"/a.png": web.sends(plain((2, 20_000), (9, 9, 9)))}
    assert fetched(tmp_path, f"{server.url}/a.png", resize=64, resize_mode="center_crop").counts == {"ok": 1}


def test_a_strip_that_would_become_huge_is_told(tmp_path, server):
    server.answers = {"/a.png": web.sends(plain((2, 20_000), (9, 9, 9)))}
    ended = fetched(tmp_path, f"{server.url}/a.png", resize=256, resize_mode="keep_ratio")
    assert ended.counts == {"too_small": 1}


def test_a_picture_that_a_format_cannot_hold_is_told_and_its_neighbours_are_kept(tmp_path, server):
    server.answers = {f"/{n}.png": web.sends(picture(n, form="PNG")) for n in range(6)}
    server.answers["/wide.png"] = web.sends(plain((2, 20_000), (9, 9, 9)))
    ended = fetched(tmp_path, *(f"{server.url}/{n}.png" for n in (0, 1, 2, "wide", 3, 4, 5)), format="webp")
    assert ended.counts == {"ok": 6, "damaged": 1}


def plain(size: tuple[int, int], colour: tuple[int, int, int]) -> bytes:
    """A PNG of one colour."""
    file = io.BytesIO()
    Image.new("RGB", size[::-1], colour).save(file, "PNG")
    return file.getvalue()


def test_a_fault_of_the_program_is_not_hidden(tmp_path, server, monkeypatch):
    def breaks(*_):
        raise ZeroDivisionError("one of ours")

    monkeypatch.setattr(keeping, "keep", breaks)
    server.answers = {"/a.jpg": web.sends(picture())}
    with pytest.raises(ZeroDivisionError):
        fetched(tmp_path, f"{server.url}/a.jpg")


def test_a_full_disk_is_told_as_such(tmp_path):
    with pytest.raises(InputError, match=r"cannot write .*answer: No such file or directory"):
        download.append(tmp_path / "no-folder/answer", bytearray(b".."))


# Sites and proxies


def test_a_robots_txt_of_any_length_counts_as_far_as_it_is_read(tmp_path, server):
    rules = b"User-agent: *\nDisallow: /private/\n" + b"# and so on, and so on, and so on\n" * 20_000
    server.answers = {"/private/a.jpg": web.sends(picture()), "/robots.txt": web.sends(rules)}
    assert fetched(tmp_path, f"{server.url}/private/a.jpg").counts == {"opted_out": 1}


def test_a_robots_txt_that_does_not_answer_forbids_everything_for_now(tmp_path, server):
    server.answers = {f"/{n}.jpg": web.sends(picture(n)) for n in range(5)}
    server.answers["/robots.txt"] = web.sleeps
    assert fetched(tmp_path, *(f"{server.url}/{n}.jpg" for n in range(5))).counts == {"timeout": 5}
    assert not any(server.asked[f"/{n}.jpg"] for n in range(5))


def test_a_proxy_on_this_machine_is_no_way_into_it(tmp_path, server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    ended = fetched(tmp_path, f"{server.url}/a.jpg", "http://127.0.0.1:9/a.jpg", allow_private=False)
    assert ended.counts == {"blocked_address": 2}
    assert not server.asked


def test_a_redirect_into_a_private_network_is_not_followed(tmp_path, server, monkeypatch):
    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1")  # all but the server is private
    ask, port = socket.getaddrinfo, server.url.rpartition(":")[2]
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **more: ask(host.replace("inner.example", "127.0.0.2"), *rest, **more),
    )
    server.answers = {
        "/a.jpg": web.redirects(f"http://127.0.0.2:{port}/secret/a.jpg"),
        "/b.jpg": web.redirects(f"http://inner.example:{port}/secret/b.jpg"),
        "/c.jpg": web.redirects(f"{server.url}/there/c.jpg"),
        "/there/c.jpg": web.sends(picture()),
        "/secret/a.jpg": web.sends(picture(1)),
        "/secret/b.jpg": web.sends(picture(2)),
    }
    fetched(tmp_path, *(f"{server.url}/{name}.jpg" for name in "abc"), allow_private=False)
    assert outcomes(tmp_path / "out") == {"a.jpg": "blocked_address", "b.jpg": "blocked_address", "c.jpg": "ok"}
    assert not any(path.startswith("/secret") for path in server.asked)


# Parts and clusters


def test_a_limit_and_a_part_do_not_go_together(tmp_path, server):
    with pytest.raises(InputError, match="--limit counts the pictures of a class in all parts"):
        fetched(tmp_path, f"{server.url}/a.jpg", limit=3, shard=(1, 2))


def test_copies_in_parts_of_one_folder_are_taken_away_when_they_are_merged(tmp_path, server):
    server.answers = {f"/{n}.jpg": web.sends(picture(n % 6)) for n in range(18)}
    lines = [f"{server.url}/{n}.jpg" for n in range(18)]
    for part in (1, 2, 3):
        fetched(tmp_path, *lines, shard=(part, 3))
    ended = merge_journals([tmp_path / "out"], tmp_path / "out", FetchOptions(**QUICK))
    assert ended.counts == {"ok": 6, "duplicate": 12}
    assert len(list((tmp_path / "out/cats").iterdir())) == 6


def test_a_piece_of_a_cluster_tells_which_hosts_are_to_be_left_alone(tmp_path, server):
    server.answers = {"/0.jpg": web.says(429, Retry_After=3600), "/1.jpg": web.sends(picture())}
    options = FetchOptions(**QUICK)
    asked = ask_piece(
        [Waiting(1, f"{server.url}/0.jpg", "")], None,
        manners=manners_of(options), keeping=keeping_of(options, tmp_path), pace=pace_of(options),
    )  # fmt: skip
    host = server.url.removeprefix("http://")
    assert asked.closed[host][0] == "rate_limited"
    pieces = Pieces()
    pieces.add([Waiting(n, f"{server.url}/{n}.jpg", "") for n in range(2, 500)])
    piece = pieces.next()
    assert (len(piece), pieces.next()) == (200, [])  # the host is in one piece at a time
    told = pieces.done(piece, asked)
    assert (len(told), {each.outcome for each in told}, pieces.waiting) == (298, {"rate_limited"}, 0)


def test_a_host_that_rests_is_in_no_piece(tmp_path):
    pieces = Pieces()
    pieces.add([Waiting(n, f"http://h/{n}.jpg", "") for n in range(250)])
    piece = pieces.next()
    pieces.done(piece, Asked([], {}, {"h": 30.0}))
    assert pieces.next() == []
    assert 25 < pieces.shortest_rest() <= 30
