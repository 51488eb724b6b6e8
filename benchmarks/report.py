"""What becomes of measurements: the result file, and of it the tables and the figure of docs/performance.md.

In the page a table stands between `<!-- benchmarks: PART -->` and `<!-- end -->`, and the machine between those of
`machine`; what stands there is replaced, the rest of the page is written by hand.
"""

import datetime
import importlib.metadata
import json
import os
import platform
import re
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import growth
from benchmarks.comparison import Row

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE, FIGURE = ROOT / "docs" / "performance.md", ROOT / "docs" / "images" / "growth.png"
BLOCK = re.compile(r"(<!-- benchmarks: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
TITLES = {"python": "Python", "tensorflow": "TensorFlow", "keras": "Keras", "torch": "PyTorch"}


@dataclass(frozen=True)
class Result:
    """A result file.

    Attributes:
        machine: "processor", "cores", "memory", and the versions of what computes.
        note: what else the machine had to do.
        parts: part -> "date", "rounds", "seconds" (of all rounds), "load" (before each), "notes" (what was skipped),
            "rows": "what", "unit", "peer", "size", "of"; "ours" and "theirs" with a number for each round.
    """

    machine: Mapping[str, Any]
    note: str
    parts: Mapping[str, Mapping[str, Any]]


def as_facts(
    rounds: Sequence[Sequence[Row]], notes: Sequence[str], seconds: float, loads: Sequence[float]
) -> dict[str, Any]:
    """What the file has of a part."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for rows in rounds:
        names = [(row.what, row.unit, row.size) for row in rows]
        assert len(set(names)) == len(names), f"two rows have one name: {sorted(map(str, names))}"
        for row in rows:
            own = found.setdefault(
                (row.what, row.unit, row.size),
                {
                    "what": row.what,
                    "unit": row.unit,
                    "peer": row.peer,
                    "size": row.size,
                    "of": row.of,
                    "ours": [],
                    "theirs": [],
                },
            )
            own["ours"].append(rounded(row.ours))
            if row.theirs is not None:
                own["theirs"].append(rounded(row.theirs))
    return {
        "date": str(datetime.date.today()),
        "rounds": len(rounds),
        "seconds": round(seconds),
        "load": [round(load, 1) for load in loads],
        "notes": list(notes),
        "rows": [{name: value for name, value in row.items() if value not in (None, "", [])} for row in found.values()],
    }


def rounded(value: float) -> float:
    """Four digits."""
    return float(f"{value:.4g}")


def machine(peer_python: str) -> dict[str, Any]:
    """What computes."""
    from benchmarks import peers

    found: dict[str, Any] = {
        "processor": peers.machine().rpartition(f", {os.cpu_count()} cores")[0],
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "python": platform.python_version(),
    }
    found |= {name: importlib.metadata.version(name) for name in ("tensorflow", "keras")}
    command = [peer_python, "-c", "import torch; print(torch.__version__)"]
    if version := subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip():
        found["torch"] = version
    return found


def slug() -> str:
    """The processor and its cores, fit for a file's name."""
    processor = machine_name()
    return re.sub(r"[^a-z0-9]+", "-", f"{processor} {os.cpu_count()} cores".lower()).strip("-")


def machine_name() -> str:
    """The processor, without its units."""
    from benchmarks import peers

    return re.split(r" ?\(|@", peers.machine())[0].strip() or platform.machine()


def save(result: Result, path: Path) -> None:
    """Write the file; parts that it has, and that were not measured, stay."""
    older = load(path).parts if path.is_file() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    # A row is a line: numbers of a list would else be a line each.
    text = json.dumps(asdict(Result(result.machine, result.note, {**older, **result.parts})), indent=1)
    text = re.sub(r"\[([^\[\]{}]*)\]", lambda found: f"[{' '.join(found[1].split())}]", text)
    path.write_text(text + "\n", encoding="utf-8")


def load(path: Path) -> Result:
    """Read it."""
    return Result(**json.loads(path.read_text(encoding="utf-8")))


def newest() -> Path:
    """The file of the last run."""
    return max(RESULTS.glob("*.json"))


# Tables


def tables(result: Result) -> dict[str, str]:
    """Part -> its table, and what is to be known of it, in Markdown; and the machine of all."""
    return {"machine": sentence(result)} | {name: table(facts) for name, facts in result.parts.items()}


def sentence(result: Result) -> str:
    """The machine, what computed, and what else there was to do."""
    own = result.machine
    versions = ", ".join(f"{title} {own[name]}" for name, title in TITLES.items() if name in own)
    return f"{own['processor']}, {own['cores']} cores, {own['memory_gb']} GB; {versions}. {result.note}".rstrip()


def table(facts: Mapping[str, Any]) -> str:
    """The table of a part."""
    notes = [f"{note[:1].upper()}{note[1:]}." for note in facts["notes"]]
    if not facts["rounds"]:
        return "\n".join(notes)
    curves = [row for row in facts["rows"] if "size" in row]
    lines = growth.table(curves) if curves else comparison(facts["rows"])
    rounds = facts["rounds"]
    loads = dict.fromkeys(f"{load:.1f}" for load in (min(facts["load"]), max(facts["load"])))
    told = f"Medians of {rounds} rounds (and their range)" if rounds > 1 else "One round"
    told += f"; {facts['date']}, load {' to '.join(loads)}."
    return "\n".join([*lines, "", " ".join([told, *notes])])


def comparison(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each figure; the peer's columns are left out where no row has one."""
    beside = any(row.get("peer") for row in rows)
    lines = (
        ["| | imgnn | beside | | of the peer's |", "|---|---|---|---|---|"] if beside else ["| | imgnn |", "|---|---|"]
    )
    for row in rows:
        cells = [row["what"], spread(row["ours"], row["unit"])]
        if beside:
            theirs = row.get("theirs", [])
            there = spread(theirs, row["unit"]) if theirs else "skipped" if row.get("peer") else ""
            cells += [row.get("peer", ""), there, f"{share(row):.2f}" if theirs else ""]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def share(row: Mapping[str, Any]) -> float:
    """Our time or memory as a share of the peer's: the median over the rounds."""
    pairs = list(zip(row["ours"], row["theirs"], strict=True))
    if row["unit"].endswith("/s"):
        pairs = [(theirs, ours) for ours, theirs in pairs]
    return statistics.median(ours / theirs for ours, theirs in pairs)


def spread(values: Sequence[float], unit: str) -> str:
    """The median, with its unit, and the range if there were several rounds."""
    middle = f"{digits(statistics.median(values))} {unit}"
    return f"{middle} ({digits(min(values))} to {digits(max(values))})" if len(values) > 1 else middle


def digits(value: float) -> str:
    """Three digits, or all that are before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")


# The page


def write_page(result: Result) -> None:
    """Replace the tables of the page, and draw the figure."""
    PAGE.write_text(put(PAGE.read_text(encoding="utf-8"), tables(result)), encoding="utf-8")
    curves = [row for facts in result.parts.values() for row in facts["rows"] if "size" in row]
    if curves:
        growth.draw(curves, FIGURE)


def put(page: str, found: Mapping[str, str]) -> str:
    """The page with these tables between its markers; a part without one keeps what stands there."""

    def block(match: re.Match[str]) -> str:
        return f"{match[1]}{found[match[2]]}\n{match[3]}" if match[2] in found else match[0]

    return BLOCK.sub(block, page)


def blocks(page: str) -> dict[str, str]:
    """Part -> what stands between its markers."""
    return {match[2]: match[0].partition("\n")[2].rpartition("\n")[0] for match in BLOCK.finditer(page)}
