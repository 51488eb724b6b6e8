"""The log of a run: a line for each step and each epoch, and what is drawn of them."""

import csv
import io
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from imgnn.runs import is_file, write_aside
from imgnn.training.curves import draw_curves
from imgnn.training.events import FILE, append_events, write_events
from imgnn.training.run_folder import CURVES, EVENTS, LOG, LOG_CSV

Row = dict[str, Any]
COLUMNS = (
    "epoch", "stage", "step", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "images_per_second",
    "seconds",
)  # fmt: skip


class RunLog:
    """Writes log.jsonl line by line; log.csv and curves.png anew, and what is new of events/, when they are asked for.

    Args:
        folder: of the run. Lines that are there are kept, but for those after `step`: a run that was killed after its
            last checkpoint does these steps again.
        step: of the checkpoint; 0: the log begins anew.
        columns: of log.csv.
        curves: draws curves.png of the rows.
    """

    def __init__(
        self,
        folder: Path,
        *,
        step: int = 0,
        epochs: int = 0,
        columns: Sequence[str] = COLUMNS,
        curves: Callable[[Sequence[Row], Path], None] = draw_curves,
    ) -> None:
        self.folder, self.columns, self.curves = folder, columns, curves
        self.rows = [
            row
            for row in read_log(folder / LOG)
            if (row["step"] <= step if row["kind"] == "step" else row["epoch"] <= epochs)
        ]
        with write_aside(folder / LOG) as aside:
            aside.write_text("".join(map(line_of, self.rows)), encoding="utf-8")
        self.shown = 0  # rows that events/ has; those of an earlier process may go on after the checkpoint

    def add(self, kind: str, **facts: Any) -> None:
        """One more line; what is no number, or infinite, is null: JSON knows neither."""
        row = {"kind": kind, **facts, "time": round(time.time(), 3)}
        row = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in row.items()
        }
        self.rows.append(row)
        with (self.folder / LOG).open("a", encoding="utf-8") as file:
            file.write(line_of(row))

    @property
    def epochs(self) -> list[Row]:
        """The lines of epochs."""
        return [row for row in self.rows if row["kind"] == "epoch"]

    def draw(self) -> None:
        """Write log.csv and curves.png of all lines so far, and the events of those that came since the last time."""
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, self.columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.epochs)
        with write_aside(self.folder / LOG_CSV) as aside:
            aside.write_text(table.getvalue(), encoding="utf-8")
        if self.epochs:
            self.curves(self.rows, self.folder / CURVES)
        if self.shown and is_file(self.folder / EVENTS / FILE):
            append_events(self.folder / EVENTS, self.rows[self.shown :])
        else:
            write_events(self.folder / EVENTS, self.rows)
        self.shown = len(self.rows)


def line_of(row: Mapping[str, Any]) -> str:
    """A row as a line of JSON."""
    return json.dumps(row) + "\n"


def read_log(path: Path) -> list[Row]:
    """The rows of log.jsonl; a last line that was cut by a kill is left out."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    rows = []
    for line in lines:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows
