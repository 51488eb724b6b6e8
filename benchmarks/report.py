"""What becomes of measurements: the result file, and of it the tables and the figure of docs/performance.md.

In the page a table stands between `<!-- benchmarks: PART -->` and `<!-- end -->`, and between those of `machine` what
computed, in how many rounds, and what else it did; what stands there is replaced, the rest of the page is written by
hand.
"""

import datetime
import importlib.metadata
import json
import os
import platform
import re
import statistics
import subprocess
from collections.abc import Iterable, Mapping, Sequence
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
    """A result file; its parts may be of several runs.

    Attributes:
        parts: part -> "machine": "processor", "cores", "memory_gb", and the versions of what computes;
            "meanwhile": what else the machine had to do;
            "date", "rounds", "seconds" (of all rounds), "load" (before each), "notes" (what was skipped),
            "rows": "what", "unit", "peer", "size", "of"; "ours" and "theirs" with a number for each round.
    """

    parts: Mapping[str, Mapping[str, Any]]


def as_facts(
    rounds: Sequence[Sequence[Row]], notes: Sequence[str], seconds: float, loads: Sequence[float]
) -> dict[str, Any]:
    """What the file has of a part, but for the machine.

    Args:
        loads: before each round; none of what is the same whatever else the machine does.
    """
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
    """Write the file; parts that it has, and that were not measured, stay, with their own machine."""
    older = load(path).parts if path.is_file() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    # Numbers of a list, and facts of a machine, would else be a line each.
    text = json.dumps(asdict(Result({**older, **result.parts})), indent=1)
    text = re.sub(r"([\[{])\s*([^\[\]{}]*?)\s*([\]}])", lambda found: "".join(map(one_line, found.groups())), text)
    path.write_text(text + "\n", encoding="utf-8")


def one_line(text: str) -> str:
    """Without its line ends."""
    return " ".join(text.split())


def load(path: Path) -> Result:
    """Read it.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no result file.
    """
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict) or set(found) != {"parts"}:
        raise ValueError(f"{path} is no file of results")
    return Result(**found)


def newest() -> Path:
    """The file of the last run."""
    return max(RESULTS.glob("*.json"))


# Tables


def tables(result: Result) -> dict[str, str]:
    """Part -> its table, and what is to be known of it, in Markdown; and "machine", those of all runs."""
    return {"machine": runs(result.parts)} | {name: table(facts) for name, facts in result.parts.items()}


def runs(parts: Mapping[str, Mapping[str, Any]]) -> str:
    """A line for each machine and note: the parts, what computed, the rounds and loads, what else there was to do."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, facts in parts.items():
        found.setdefault((machine_of(facts["machine"]), facts["meanwhile"]), []).append(name)
    lines = []
    for (computed, meanwhile), names in found.items():
        own = [parts[name] for name in names]
        told = ", ".join(unique(facts["date"] for facts in own))
        if loads := [load for facts in own for load in facts["load"]]:
            counts = sorted(unique(str(facts["rounds"]) for facts in own if facts["load"]))
            told += f", rounds: {' or '.join(counts)}, load {span(loads)}"
        lines.append(f"- {', '.join(names)}: {computed}; {told}. {meanwhile}".rstrip())
    return "\n".join(lines)


def machine_of(facts: Mapping[str, Any]) -> str:
    """What computed, in words."""
    versions = ", ".join(f"{title} {facts[name]}" for name, title in TITLES.items() if name in facts)
    return f"{facts['processor']}, {facts['cores']} cores, {facts['memory_gb']} GB; {versions}"


def unique(words: Iterable[str]) -> list[str]:
    """Each once."""
    return list(dict.fromkeys(words))


def span(loads: Sequence[float]) -> str:
    """From the lowest to the highest."""
    return " to ".join(unique(f"{load:.1f}" for load in (min(loads), max(loads))))


def table(facts: Mapping[str, Any]) -> str:
    """The table of a part."""
    notes = [f"{note[:1].upper()}{note[1:]}." for note in facts["notes"]]
    if not facts["rounds"]:
        return "\n".join(notes)
    curves = [row for row in facts["rows"] if "size" in row]
    lines = growth.table(curves) if curves else comparison(facts["rows"])
    rounds = facts["rounds"]
    told = f"{facts['date']}."
    if facts["load"]:
        counted = f"Medians of {rounds} rounds (and their range)" if rounds > 1 else "One round"
        told = f"{counted}; {facts['date']}, load {span(facts['load'])}."
    return "\n".join([*lines, "", " ".join([told, *notes])])


def comparison(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each figure; the peer's columns are left out where no row has one."""
    beside = any(row.get("peer") for row in rows)
    # A rate's share is that of the time.
    shared = "time or memory" if any(row.get("peer") and row["unit"] == "MB" for row in rows) else "time"
    lines = [f"| | imgnn | beside | | {shared}, of the peer's |", "|---|---|---|---|---|"]
    if not beside:
        lines = ["| | imgnn |", "|---|---|"]
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
