"""What commands leave behind when they are killed, or the disk, the memory or the clock fails: docs/reliability.md."""

import contextlib
import csv
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgnn.caffe.wire import read_binaryproto
from imgnn.data.findings import NOTES_SUFFIX, QUARANTINE_SUFFIX, read_findings
from imgnn.data.lists import WORDS_SUFFIX, read_list, read_words
from imgnn.jobs.demo import write_files
from imgnn.training.run_folder import LOG

pytestmark = pytest.mark.slow

TRIES = 5  # moments at which each command is killed


@dataclass(frozen=True)
class Trial:
    """A command line, run where the demo's files are.

    Attributes:
        words: OUT in them is the folder that everything goes into.
        result: the file or folder in OUT that is there when it is done.
        again: the words with which it goes on after it was killed; None: the same ones.
    """

    words: str
    result: str
    again: str | None = None


TRIALS = {
    "style": Trial("style photo.jpg painting.jpg --size 128 --iterations 20 -o OUT/out.png", "out.png"),
    "dream": Trial("dream sky.jpg --octaves 2 -o OUT/dream.png", "dream.png"),
    "caption": Trial("caption holiday/ -o OUT/said.csv", "said.csv"),
    "boke": Trial("boke holiday/ -o OUT/boke.csv", "boke.csv"),
    "label": Trial("label photos -o OUT/photos.txt", "photos.txt"),
    "mean": Trial("mean photos/ -o OUT/mean", "mean.npy"),
    "convert": Trial("convert edges.caffemodel edges.prototxt -o OUT/edges.keras", "edges.keras"),
    "fetch": Trial("fetch boke_can -o OUT/fetched", "fetched"),
    "finetune": Trial(
        "finetune photos/ --size 64 --head-epochs 20 --no-report -o OUT/run",
        "run/best.keras",
        "finetune --resume OUT/run",
    ),
    "train caption": Trial(
        "train caption captions.jsonl --epochs 4 -o OUT/run", "run/best.npz", "train caption --resume OUT/run"
    ),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The demo's files."""
    folder = tmp_path_factory.mktemp("reliability") / "files"
    write_files(folder)
    return folder


def start(trial, place, out, words=None, **options):
    """The command in a process of its own."""
    line = (words or trial.words).replace("OUT", str(out))
    environment = {
        **os.environ,
        "IMGNN_HOME": str(place.parent / "home"),
        "IMGNN_OFFLINE": "1",
        "PYTHONPATH": str(Path(__file__).parents[1]),
        **options.pop("environment", {}),
    }
    wrapped = options.pop("wrapper", [])
    return subprocess.Popen(
        [*wrapped, sys.executable, "-m", "imgnn", *line.split()],
        cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def damaged(folder):
    """The files under a folder that bear their final names and are not whole; temporary ones, or the folder that they
    are in, begin with a dot."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    final = [path for path in files if not any(part[0] == "." for part in path.relative_to(folder).parts)]
    return [str(path) for path in final if not is_whole(path)]


def is_whole(path):
    """Whether a file can be read to its end, by the reader of its form."""
    try:
        READERS[form_of(path)](path)
    except Exception:
        return False
    return True


def form_of(path):
    """The part of a file's name that tells how it is read: a KeyError of `READERS` is a form that is not known here."""
    return next((end for end in READERS if path.name.endswith(end)), path.suffix)


def read_picture(path):
    with Image.open(path) as image:
        image.load()


def read_archive(path):
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None


def read_text(path):
    """Its lines, of which the last, too, has its end."""
    text = path.read_text("utf-8")
    assert not text or text.endswith("\n")
    return text.splitlines()


def read_table(path):
    read_text(path)
    with path.open(newline="", encoding="utf-8") as file:
        assert len({len(row) for row in csv.reader(file)}) <= 1


def read_json_lines(path):
    for line in read_text(path):
        json.loads(line)


def read_log(path):
    """A run's log grows line by line, and is read without a last one that was cut."""
    *whole, _ = path.read_text("utf-8").split("\n")
    for line in whole:
        json.loads(line)


def read_listed(path):
    read_text(path)
    read_list(path)


def read_journal(path):
    """A copy, so that what a killed process left of a transaction is still there for the next one."""
    with tempfile.TemporaryDirectory() as folder:
        for each in path.parent.glob(f"{path.name}*"):
            shutil.copy(each, folder)
        with contextlib.closing(sqlite3.connect(Path(folder) / path.name)) as journal:
            assert journal.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def read_page(path):
    assert path.read_text("utf-8").rstrip().endswith("</html>")


# By the end of a name, the longer ones first.
READERS = {
    WORDS_SUFFIX: lambda path: (read_text(path), read_words(path)),
    QUARANTINE_SUFFIX: lambda path: (read_text(path), list(read_findings(path))),
    NOTES_SUFFIX: lambda path: (read_text(path), list(read_findings(path))),
    LOG: read_log,
    ".png": read_picture,
    ".jpg": read_picture,
    ".keras": read_archive,
    ".npz": read_archive,
    ".npy": np.load,
    ".binaryproto": read_binaryproto,
    ".json": lambda path: json.loads(path.read_text("utf-8")),
    ".jsonl": read_json_lines,
    ".csv": read_table,
    ".txt": read_listed,
    ".html": read_page,
    ".sqlite": read_journal,
    # Read with the journal that they belong to.
    ".sqlite-wal": Path.stat,
    ".sqlite-shm": Path.stat,
    ".sqlite-journal": Path.stat,
    # TensorBoard's events grow as the log does; whoever reads them stops at a record that was cut.
    ".imgnn": Path.stat,
}


@pytest.mark.parametrize(
    ("name", "text", "cut"),
    [
        ("photos.txt", "a.jpg 0\nb.jpg 12\n", 1),
        ("photos_class_def.txt", "0 cats\n1 dogs\n", 2),
        ("photos_quarantine.txt", "a.jpg\tunreadable\t\tcut\n", 1),
        ("said.jsonl", '{"a": 1}\n{"b": 2}\n', 3),
        ("log.jsonl", '{"a": 1}\n{"b": 2}\n', 12),
        ("page.html", "<html><p>all</p></html>\n", 4),
        ("other.form", "what nobody knows", 0),
    ],
)
def test_a_file_that_was_cut_is_no_whole_one(name, text, cut, tmp_path):
    path = tmp_path / name
    path.write_text(text)
    assert is_whole(path) is (path.suffix != ".form")
    path.write_text(text[: len(text) - cut])
    assert damaged(tmp_path) == ([] if name == "log.jsonl" else [str(path)])


def test_a_journal_with_a_page_overwritten_is_no_whole_one(tmp_path):
    path = tmp_path / "fetch.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as journal, journal:
        journal.execute("CREATE TABLE addresses (url TEXT PRIMARY KEY)")
        journal.executemany("INSERT INTO addresses VALUES (?)", [(f"http://{number}" * 20,) for number in range(200)])
    assert damaged(tmp_path) == []
    data = bytearray(path.read_bytes())
    data[8192:12288] = bytes(4096)
    path.write_bytes(data)
    assert damaged(tmp_path) == [str(path)]


def said_in_lines(error):
    """Whether the last of what a command said is one line that begins with Error, and perhaps one with Try."""
    lines = error.strip().splitlines()
    told = [line for line in lines if line.startswith(("Error: ", "Try: "))]
    return "Traceback" not in error and bool(told) and lines[-1] in told


@pytest.mark.parametrize("name", TRIALS)
def test_killed_at_any_moment_nothing_is_half_written_and_it_can_be_done_again(name, place, tmp_path):
    trial, draw = TRIALS[name], random.Random(name)
    began = time.monotonic()
    unbroken = start(trial, place, tmp_path)
    _, error = unbroken.communicate()
    assert unbroken.returncode == 0, error
    seconds = time.monotonic() - began
    assert (tmp_path / trial.result).exists()
    for number in range(TRIES):
        out = tmp_path / f"try{number}"
        out.mkdir()
        process = start(trial, place, out)
        time.sleep(seconds * draw.uniform(0.3, 1))
        process.kill()
        process.communicate()
        assert damaged(out) == []
        begun = trial.again and (out / "run" / "config.json").is_file()
        if not begun:
            shutil.rmtree(out / "run", ignore_errors=True)
        process = start(trial, place, out, trial.again if begun else None)
        _, error = process.communicate()
        assert process.returncode == 0, error
        assert (out / trial.result).exists()
        assert damaged(out) == []


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="a small disk wants root")
@pytest.mark.parametrize("name", TRIALS)
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(name, place, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", disk], check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        (disk / ".other").write_bytes(bytes(12_000))
        process = start(TRIALS[name], place, disk)
        _, error = process.communicate()
        if process.returncode == 0:  # what it writes is smaller
            assert name in ("caption", "boke", "label")
        else:
            assert (process.returncode, said_in_lines(error)) == (1, True), error
        assert damaged(disk) == []
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv is not installed")
@pytest.mark.parametrize("name", TRIALS)
def test_a_folder_that_may_not_be_written_is_one_line(name, place, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    wrapper = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]
    process = start(TRIALS[name], place, locked, wrapper=wrapper if os.geteuid() == 0 else [])
    _, error = process.communicate()
    assert (process.returncode, said_in_lines(error)) == (1, True), error
    assert list(locked.iterdir()) == []


@pytest.mark.parametrize("gigabytes", [1, 2, 3])
@pytest.mark.parametrize("name", ["label", "mean", "caption", "style", "finetune"])
def test_little_memory_is_no_traceback_and_leaves_nothing_half_written(name, place, tmp_path, gigabytes):
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (gigabytes << 30, gigabytes << 30))

    process = start(TRIALS[name], place, tmp_path, preexec_fn=limit)
    _, error = process.communicate()
    # Below some GB TensorFlow itself, or the loader of its libraries, gives up: that no command can tell.
    assert process.returncode in (0, 1, -signal.SIGABRT, -signal.SIGSEGV), error
    if process.returncode == 1:
        assert said_in_lines(error), error
    assert damaged(tmp_path) == []


@pytest.mark.skipif(not shutil.which("faketime"), reason="faketime is not installed")
@pytest.mark.parametrize("start_at", ["-400d", "+400d"])
@pytest.mark.parametrize("name", ["label", "mean", "fetch", "finetune", "train caption"])
def test_a_run_that_was_begun_at_another_time_goes_on(name, place, tmp_path, start_at):
    trial = TRIALS[name]
    process = start(trial, place, tmp_path, wrapper=["faketime", "-f", start_at], start_new_session=True)
    if trial.again:
        while process.poll() is None and not (tmp_path / "run" / "config.json").is_file():
            time.sleep(0.1)
        time.sleep(2)
        os.killpg(process.pid, signal.SIGINT)  # faketime, and the command that it started
    _, error = process.communicate()
    assert "Traceback" not in error
    if "Interrupted: " in error:
        process = start(trial, place, tmp_path, trial.again)
        _, error = process.communicate()
        assert process.returncode == 0, error
    assert (tmp_path / trial.result).exists()


@pytest.mark.parametrize("name", ["caption", "boke", "style", "finetune", "convert"])
def test_two_at_once_in_one_home_come_to_the_same(name, place, tmp_path):
    home = tmp_path / "home"
    outs = [tmp_path / "one", tmp_path / "two"]
    for out in outs:
        out.mkdir()
    both = [start(TRIALS[name], place, out, environment={"IMGNN_HOME": str(home)}) for out in outs]
    for process in both:
        _, error = process.communicate()
        assert process.returncode == 0, error
    one, two = (out / TRIALS[name].result for out in outs)
    if one.suffix == ".png":  # it tells how long it took
        with Image.open(one) as first, Image.open(two) as second:
            assert first.tobytes() == second.tobytes()
    elif one.suffix != ".keras":  # so does this one
        assert one.read_bytes() == two.read_bytes()
    assert damaged(tmp_path) == []
