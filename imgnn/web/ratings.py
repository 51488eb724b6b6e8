"""What people thought of boke, in the form that `imgnn train boke` reads."""

import json
import time
from pathlib import Path
from threading import Lock
from typing import Any

from imgnn.errors import InputError
from imgnn.runs import is_file, write_aside
from imgnn.web.api import Mode, Value

FILE = "ratings.jsonl"
MOST = 100_000  # ratings; more nobody gives by hand


class Ratings:
    """The ratings in a folder's file. Of a picture and a text the last one counts.

    A line is `{"boke", "star": 1 or -1, "images": [{"path"}], "mode", "model", "time"}`, butsugiri/bokete's with three
    fields more; a boke for a picture that was uploaded, and is not kept, has no images. No split is written: a picture
    has the one of the data that are read with the ratings, drawn or told, and a few that say "val" would stop the draw.

    Raises:
        InputError: the file that is there cannot be read, or is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self.lock = folder / FILE, Lock()
        self.lines: dict[tuple[str | None, str], dict[str, Any]] = {}
        if not is_file(self.path):
            return
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read {self.path}: {error.strerror or error}") from error
        for number, line in enumerate(content.splitlines(), 1):
            try:
                rated = json.loads(line)
                path = rated["images"][0]["path"] if rated["images"] else None
                self.lines[path, rated["boke"]] = {**rated, "star": int(rated["star"])}
            except (ValueError, LookupError, TypeError) as error:
                raise InputError(f"{self.path}, line {number}, is damaged: {error}") from error

    def of(self, path: str | None, text: str) -> Value:
        """What was thought of a text for a picture; 0: nothing."""
        rated = self.lines.get((path, text))
        return 0 if rated is None else 1 if rated["star"] > 0 else -1

    def rate(self, path: str | None, text: str, value: Value, mode: Mode, model: str) -> tuple[int, int]:
        """Keep what is thought, in place of what was thought before; 0 takes it back.

        Args:
            path: of the picture; None: it was an upload.

        Returns:
            How many are liked, and how many are not.

        Raises:
            InputError: the file cannot be written, or is full.
        """
        with self.lock:
            lines = {**self.lines}
            lines.pop((path, text), None)
            if value:
                if len(lines) >= MOST:
                    raise InputError(f"{MOST:,} ratings are all that is kept: {FILE} has to be moved elsewhere")
                images = [] if path is None else [{"path": path}]
                lines[path, text] = {
                    "boke": text,
                    "star": value,
                    "images": images,
                    "mode": mode,
                    "model": model,
                    "time": round(time.time(), 1),
                }
            with write_aside(self.path) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(json.dumps(each, ensure_ascii=False) + "\n" for each in lines.values())
            self.lines = lines
            liked = sum(each["star"] > 0 for each in lines.values())
            return liked, len(lines) - liked
