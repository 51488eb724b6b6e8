"""Every comparison with the peers, in one go.

    python -m benchmarks [PART ...] [--rounds 3] [--quick] [--peer-python VENV/bin/python] [--photos FOLDER]

Each round measures each part once, imgnn and the peer in turn, so that both meet the same moods of the machine; a
figure is the median of its rounds. On two cores with much other work a round took 21 minutes. Inputs are the package's
pictures, pictures that are drawn, and random numbers: networks have random weights, which cost the same time as trained
ones. A peer that is not installed is skipped, in words.

A run of all parts writes benchmarks/results/DATE-MACHINE.json, and of it the tables and the figure of
docs/performance.md. Of some parts, or with --quick, the tables are printed and nothing is written, but for --out FILE:
there the parts that were measured take the place of older ones; each part keeps its own machine and note. `--render
FILE` writes the page of a file. Ctrl-C ends a run: rounds that are finished count.
"""

import argparse
import datetime
import itertools
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import report
from benchmarks.comparison import Row, Setting, Skipped, find_missing
from benchmarks.parts import PARTS, Part
from imgnn import start


@dataclass
class Record:
    """What was measured of a part: rows of each round, seconds of all, the load before each, and what went wrong."""

    rounds: list[list[Row]] = field(default_factory=list)
    seconds: float = 0.0
    loads: list[float] = field(default_factory=list)
    trouble: str = ""

    def measure(self, part: Part, setting: Setting) -> None:
        """One round. A part that cannot run does not stop the others: half an hour is not thrown away."""
        began, load = time.perf_counter(), os.getloadavg()[0]
        try:
            self.rounds.append(list(part.rows(setting)))
            self.loads.append(load)
            self.seconds += time.perf_counter() - began
        except Skipped as reason:
            self.trouble = f"skipped: {reason}"
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            self.trouble = f"failed: {error}"


def measure(
    parts: Mapping[str, Part], setting: Setting, rounds: int, machine: Mapping[str, Any], meanwhile: str = ""
) -> dict[str, dict[str, Any]]:
    """Run all parts in turn, several times; Ctrl-C ends it, and what is measured by then is kept.

    Args:
        machine: what computes (`report.machine`).
        meanwhile: what else it has to do.

    Returns:
        Part -> what the result file has of it (`report.as_facts`). A part that cannot run is not tried again.
    """
    records = {name: Record() for name in parts}
    try:
        for number, name in itertools.product(range(1, rounds + 1), parts):
            if not records[name].trouble and not (parts[name].once and number > 1):
                print(f"round {number} of {rounds}: {name}", file=sys.stderr, flush=True)
                records[name].measure(parts[name], setting)
    except KeyboardInterrupt:
        print("ended; what is measured is kept", file=sys.stderr)
    facts = {}
    for name, record in records.items():
        missing = [f"skipped: {setting.missing[peer]}" for peer in parts[name].peers if peer in setting.missing]
        notes = [record.trouble] if record.trouble else missing
        loads = [] if parts[name].once else record.loads
        own = report.as_facts(record.rounds, notes, record.seconds, loads)
        facts[name] = {"machine": dict(machine), "meanwhile": meanwhile, **own}
    return facts


def loaded(parser: argparse.ArgumentParser, path: Path) -> report.Result:
    """A result file; one that is not there, or is none, is a usage error."""
    try:
        return report.load(path)
    except (OSError, ValueError) as error:
        parser.error(str(error))


def main(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="default: all")
    parser.add_argument("--list", action="store_true", help="the parts, and what each needs")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--quick", action="store_true", help="little of everything, once: whether it works")
    parser.add_argument("--peer-python", default=sys.executable, metavar="PYTHON", help="a Python that has PyTorch")
    parser.add_argument("--photos", type=Path, metavar="FOLDER", help="JPEGs of your own in place of the package's")
    parser.add_argument("--note", default="", help="a sentence for the file: what else the machine has to do")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the result file")
    parser.add_argument("--render", type=Path, metavar="FILE", help="write the page of this file; measure nothing")
    given = parser.parse_args(words)
    if given.list:
        for name, part in PARTS.items():
            beside = ", ".join(part.peers) or "no peer"
            print(f"{name:10} {part.about} ({beside})")
        return
    if given.rounds < 1:
        parser.error("--rounds: at least 1")
    if given.render:
        report.write_page(loaded(parser, given.render))
        return
    out: Path = given.out or report.RESULTS / f"{datetime.date.today()}-{report.slug()}.json"
    if out.exists():
        loaded(parser, out)  # not after half an hour of measuring
    if not shutil.which(given.peer_python):
        parser.error(f"--peer-python: there is no program {given.peer_python}")
    if unknown := sorted(set(given.parts) - set(PARTS)):
        parser.error(f"there is no part {', '.join(unknown)}; the parts are {', '.join(PARTS)}")
    photos = sorted(given.photos.rglob("*.jpg")) if given.photos else []
    if given.photos and not photos:
        parser.error(f"there are no .jpg in {given.photos}")
    parts = {name: part for name, part in PARTS.items() if not given.parts or name in given.parts}
    start.quiet()
    with tempfile.TemporaryDirectory(prefix="imgnn-benchmarks-") as work:
        # The machine's own networks and what it knows of pictures are not to be met.
        os.environ["IMGNN_HOME"] = str(Path(work) / "home")
        Path(work).chmod(0o755)  # nginx serves from it, as another user
        setting = Setting(Path(work), given.peer_python, find_missing(given.peer_python), photos, given.quick)
        rounds, machine = 1 if given.quick else given.rounds, report.machine(given.peer_python)
        facts = measure(parts, setting, rounds, machine, given.note)
    whole = (
        len(parts) == len(PARTS) and not given.quick and all(each["rounds"] or each["notes"] for each in facts.values())
    )
    result = report.Result(facts)
    for name, text in report.tables(result).items():
        print(f"\n## {name}\n\n{text}")
    failed = any(note.startswith("failed") for each in facts.values() for note in each["notes"])
    if whole or given.out:
        report.save(result, out)
    if whole and not failed:
        report.write_page(report.load(out))
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
