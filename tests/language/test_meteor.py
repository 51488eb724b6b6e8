"""METEOR where it can run, and a reason where it cannot."""

import json
from pathlib import Path

import pytest

from imgnn.errors import ImgnnError, InputError
from imgnn.language import meteor as module
from imgnn.language.meteor import meteor, missing


def test_without_java_the_reason_is_told(monkeypatch):
    monkeypatch.setattr(module.shutil, "which", lambda _: None)
    assert meteor([["a"]], [[["a"]]]) is None
    assert missing() == "METEOR needs Java, and there is no java"


def test_without_pycocoevalcap_the_reason_is_told(monkeypatch):
    monkeypatch.setattr(module.shutil, "which", lambda _: "/usr/bin/java")
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: None)
    assert meteor([["a"]], [[["a"]]]) is None
    assert missing() == "METEOR needs pycocoevalcap: pip install pycocoevalcap"


def test_a_program_that_stops_is_one_line(monkeypatch, tmp_path):
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(module, "find_program", lambda: tmp_path / "meteor-1.5.jar")
    with pytest.raises(ImgnnError, match="METEOR failed: java -Xmx2G") as raised:
        meteor([["a"]] * 3, [[["a"]]] * 3)
    assert raised.value.hint == "java needs 2 GB of memory"


def test_every_image_needs_a_reference():
    with pytest.raises(InputError, match="1 of 1 images have no reference"):
        meteor([["a"]], [[]])


def test_the_score_is_that_of_coco_caption():
    if reason := missing():
        pytest.skip(reason)
    golden = json.loads((Path(__file__).parents[1] / "golden" / "captions.json").read_text(encoding="utf-8"))
    hypotheses = [hypothesis.split() for hypothesis, _ in golden["captions"]]
    references = [[reference.split() for reference in references] for _, references in golden["captions"]]
    assert meteor(hypotheses, references) == pytest.approx(golden["meteor"])
