import json
import subprocess
import sys

import pytest

from imgnn.home import ASSETS

CAT, INK = (str(ASSETS / "examples" / name) for name in ("cat.jpg", "ink.jpg"))
MODEL = str(ASSETS / "captions-mini")  # of captions
# What is typed, the exit code, and what the line says.
MISTAKES = [
    (("style", "foto.jpg", INK), 1, "no such file: foto.jpg"),
    (("style", CAT, "tinte.jpg"), 1, "no such file: tinte.jpg"),
    (("style", CAT, INK, "--mask", "maske.png"), 1, "no such file: maske.png"),
    (("style", CAT, INK, "-o", "out.gif"), 2, "'.gif' was received"),
    (("style", CAT, INK, "-o", "nowhere/out.png"), 1, "nowhere"),
    (("style", CAT, INK, "--init", "foto.jpg"), 1, "no such file: foto.jpg"),
    (("style", CAT, INK, "--content-weight", "0", "--style-weight", "0"), 2, "are both 0"),
    (("dream", CAT, "--objective", "mean", "--guide", INK), 2, "--guide has an objective of its own"),
    (("dream", "--class", "goldfish", "--judge", "vgg99"), 1, "no network is called 'vgg99'"),
    (("dream", "foto.jpg"), 1, "no such file: foto.jpg"),
    (("dream", CAT, "--guide", "foto.jpg"), 1, "no such file: foto.jpg"),
    (("dream", CAT, "--network", "mine.h5"), 1, "no such file: mine.h5"),
    (("classify", "foto.jpg"), 1, "no such file: foto.jpg"),
    (("classify", CAT, "--network", "vgg99"), 1, "no network is called 'vgg99'"),
    (("classify", CAT, "--network", "keras:vgg99"), 1, "no network of keras.applications is called 'keras:vgg99'"),
    (("classify", CAT, "--run", "cat_run"), 1, "no such folder: cat_run"),
    (("caption", "foto.jpg"), 1, "no such file: foto.jpg"),
    (("caption", CAT, "--model", "said_run"), 1, "no such folder: said_run"),
    (("boke", "foto.jpg"), 1, "no such file: foto.jpg"),
    (("boke", CAT, "--model", "said_run"), 1, "no such folder: said_run"),
    (("boke", CAT, "--temperature", "2"), 2, "--temperature goes with --mode model"),
    (("boke", CAT, "--ng", "words.txt"), 1, "no such file: words.txt"),
    (("convert", "mine.caffemodel"), 1, "no such file: mine.caffemodel"),
    (("networks", "vgg99"), 1, "no network is called 'vgg99'"),
    (("evaluate", "classify", "val.txt", "--network", "mini"), 1, "no such file or folder: val.txt"),
    (("evaluate", "caption", "val.jsonl"), 1, "no such file or folder: val.jsonl"),
    (("evaluate", "boke", "boke.jsonl", "--model", "boke_run"), 1, "no such file or folder: boke.jsonl"),
    (("evaluate", "boke", str(ASSETS), "--model", "boke_run"), 1, "no such folder: boke_run"),
    (("evaluate", "boke", str(ASSETS), "--model", MODEL), 1, "one of imgnn train boke is wanted"),
    (("finetune", "photos"), 1, "no such file or folder: photos"),
    (("finetune", str(ASSETS), "--network", "vgg99"), 1, "no network is called 'vgg99'"),
    (("finetune", str(ASSETS), "--recipe", "svm", "--epochs", "3"), 2, "--epochs changes nothing in svm"),
    (("train", "caption", str(ASSETS), "--network-rate", "1"), 2, "--network-rate goes with --finetune-after"),
    (("train", "boke", str(ASSETS), "--shortest", "9", "--longest", "3"), 2, "leave no boke"),
    (("train", "caption", "said.jsonl"), 1, "no such file or folder: said.jsonl"),
    (("train", "caption", str(ASSETS), "--network", "vgg99"), 1, "no network is called 'vgg99'"),
    (("train", "boke", "boke.jsonl"), 1, "no such file or folder: boke.jsonl"),
]
TYPE_THEM = """
import contextlib, io, json, sys
from imgnn.cli import console
from imgnn.cli.app import app
for words in json.loads(sys.stdin.read()):
    console.err.file = io.StringIO()
    with contextlib.redirect_stderr(console.err.file), contextlib.redirect_stdout(io.StringIO()):
        try:
            app(words)
        except SystemExit as left:
            code = left.code
    print(json.dumps([code, console.err.file.getvalue(), "keras" in sys.modules]), flush=True)
"""


@pytest.fixture(scope="module")
def typed(tmp_path_factory):
    """What becomes of each mistake: exit code, stderr, and whether Keras was imported."""
    result = subprocess.run(
        [sys.executable, "-c", TYPE_THEM],
        input=json.dumps([words for words, _, _ in MISTAKES]),
        capture_output=True,
        text=True,
        cwd=tmp_path_factory.mktemp("typed"),
        timeout=120,
    )
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(lines) == len(MISTAKES), result.stderr
    return dict(zip([words for words, _, _ in MISTAKES], lines, strict=True))


@pytest.mark.parametrize(("words", "code", "told"), MISTAKES, ids=[" ".join(words) for words, _, _ in MISTAKES])
def test_a_mistake_is_told_before_keras_starts(typed, words, code, told):
    left, stderr, keras = typed[words]
    assert (left, keras) == (code, False)
    assert told in stderr


# What some command needs: curves of a run, fetch, boke, serve, Parquet, --dask, Japanese, --verify, films.
OWN = "matplotlib aiohttp bs4 regex fastapi pyarrow distributed sudachipy cv2 imageio_ffmpeg"


@pytest.mark.parametrize("words", [("caption", CAT), ("dream", CAT, "--size", "64", "--iterations", "1")])
def test_a_command_loads_nothing_that_others_need(tmp_path, words):
    code = (
        "import sys; from imgnn.cli.app import app\n"
        "try:\n    app(sys.argv[2:])\n"
        "except SystemExit as left:\n    assert not left.code, left.code\n"
        "print('loaded:', *(set(sys.argv[1].split()) & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, f"{OWN} keras", *words], capture_output=True, text=True, cwd=tmp_path
    )
    assert result.stdout.splitlines()[-1] == "loaded: keras", result.stderr
