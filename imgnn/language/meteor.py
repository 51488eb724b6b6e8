"""METEOR 1.5, which is a Java program: of no use without `java` and pycocoevalcap, which brings it."""

import importlib.util
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from imgnn.errors import ImgnnError
from imgnn.language.metrics import Tokens, check


def missing() -> str | None:
    """What METEOR lacks here, in words; None if it can run."""
    if shutil.which("java") is None:
        return "METEOR needs Java, and there is no java"
    if find_program() is None:
        return "METEOR needs pycocoevalcap: pip install pycocoevalcap"
    return None


def find_program() -> Path | None:
    """The program, where pycocoevalcap has it."""
    package = importlib.util.find_spec("pycocoevalcap")
    for folder in (package and package.submodule_search_locations) or ():
        program = Path(folder, "meteor", "meteor-1.5.jar")
        if program.is_file():
            return program
    return None


def meteor(hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> float | None:
    """How well the words of hypotheses can be aligned with those of a reference: the same, of one stem, synonyms,
    paraphrases.

    Returns:
        Of all images together, 0..1; None if it cannot run here, and `missing` says why.

    Raises:
        InputError: an image has no reference or no hypothesis, or there is none.
        ImgnnError: the program failed; it wants 2 GB of memory.

    Source: Denkowski & Lavie 2014, Meteor Universal; called as coco-caption does.
    """
    check(hypotheses, references)
    program = find_program()
    if missing() or program is None:
        return None
    command = ["java", "-Xmx2G", "-jar", str(program), "-", "-", "-stdio", "-l", "en", "-norm"]
    pipe = subprocess.PIPE
    try:
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, encoding="utf-8") as process:
            questions, answers = process.stdin, process.stdout
            assert questions is not None and answers is not None  # noqa: S101  mypy does not see it

            def ask(*parts: str) -> str:
                questions.write(" ||| ".join(parts) + "\n")
                questions.flush()
                return answers.readline().strip()

            counts = [
                ask("SCORE", *(" ".join(tokens) for tokens in (*refs, hypothesis)))
                for hypothesis, refs in zip(hypotheses, references, strict=True)
            ]
            ask("EVAL", *counts)  # answers with a line for each image, and one for all
            return float([answers.readline() for _ in counts][-1])
    except (OSError, ValueError) as error:
        raise ImgnnError(f"METEOR failed: {' '.join(command)}", hint="java needs 2 GB of memory") from error
