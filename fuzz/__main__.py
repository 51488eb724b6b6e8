"""Feed readers with bytes: python -m fuzz TARGET... --runs N --seconds S; "all" for every reader.

What libFuzzer runs is a process of its own, so that a crash of a decoder is a finding like any other.
"""

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from fuzz.targets import ROOT, TARGETS, Target, scratch
from fuzz.watch import Watch

HANG = 60  # seconds after which libFuzzer gives a hang up
PROCESS = 2048  # megabytes of the whole process


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="+", choices=[*TARGETS, "all"], metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--runs", type=int, default=-1, help="inputs for each target; -1: as many as there is time for")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--seed", type=int, default=1, help="the same inputs again, as far as libFuzzer can")
    parser.add_argument("--corpus", type=Path, help="a folder that keeps what reaches new branches, to go on from")
    parser.add_argument(
        "--findings", type=Path, help="a folder that is not there yet; default: one for temporary files"
    )
    parser.add_argument("--input", type=Path, help="read this file once, and show what happens")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each target")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = list(TARGETS) if "all" in options.targets else options.targets
    if options.input:
        TARGETS[names[0]].read(options.input.read_bytes())
        return 0
    if importlib.util.find_spec("atheris") is None:
        parser.error("atheris is not installed: pip install 'imgnn[fuzz]' (Linux on x86-64, Python 3.11 to 3.14)")
    if options.child:
        feed(TARGETS[names[0]], options)
    options.findings = (options.findings or Path(tempfile.mkdtemp(prefix="imgnn-findings-"))).resolve()
    options.corpus = options.corpus and options.corpus.resolve()  # the processes start elsewhere
    results = [start(name, options) for name in names]
    return int(any(result["findings"] for result in results))


def start(name: str, options: argparse.Namespace) -> dict:
    """One target in a process of its own; tells what came of it."""
    folder = options.findings / name
    folder.mkdir(parents=True)  # what lies in an older one is not of this run
    words = [f"--runs={options.runs}", f"--seconds={options.seconds}", f"--seed={options.seed}", f"--findings={folder}"]
    words += [f"--corpus={options.corpus / name}"] if options.corpus else []
    command = [sys.executable, "-m", "fuzz", name, "--child", *words]
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a file for each input
    with tempfile.TemporaryDirectory(prefix="imgnn-fuzz-", dir=memory) as scratch_folder:
        ran = subprocess.run(command, cwd=ROOT, env={**os.environ, "TMPDIR": scratch_folder}, stderr=subprocess.PIPE)
    log = ran.stderr.decode("utf-8", "replace")
    done = re.search(r"Done (\d+) runs in (\d+) second", log)
    progress = re.findall(r"^#(\d+)\s.*?cov: (\d+)", log, re.MULTILINE)
    findings = sorted(file.name for file in folder.iterdir() if file.suffix not in (".txt", ".json"))
    if not done and not findings:
        (folder / "stopped").write_text(log[-4000:], encoding="utf-8")
        findings = ["stopped"]
    most = folder / "most.json"
    result = {
        "target": name,
        "inputs": int(done[1] if done else progress[-1][0] if progress else 0),
        "seconds": int(done[2]) if done else None,
        "edges": int(progress[-1][1]) if progress else 0,
        "findings": findings,
        **(json.loads(most.read_text(encoding="utf-8")) if most.exists() else {}),
    }
    if options.json:
        print(json.dumps(result), flush=True)
    else:
        told = ", ".join(f"{folder / each}" for each in findings) or "nothing found"
        print(
            f"{name}: {result['inputs']:,} inputs in {result['seconds']} s, {result['edges']} edges: {told}", flush=True
        )
    return result


def feed(target: Target, options: argparse.Namespace) -> None:
    """Run libFuzzer here; it ends the process."""
    import atheris

    seeds = scratch() / "seeds"
    seeds.mkdir()
    watch = Watch(target.read, target.raises, target.floor, options.findings)
    with atheris.instrument_imports(include=list(target.watched)):
        for number, seed in enumerate(target.seeds()):
            (seeds / str(number)).write_bytes(seed)
            watch.once(seed)  # which imports everything that is to be watched
    arguments = [f"-runs={options.runs}", f"-max_total_time={options.seconds}", f"-seed={options.seed}"]
    arguments += [f"-max_len={target.longest}", f"-timeout={HANG}", f"-rss_limit_mb={PROCESS}", "-print_final_stats=1"]
    # Decoders talk of each input; what is slow is told by `Watch`, which does not count the time of other processes.
    arguments += [f"-artifact_prefix={options.findings}/", "-close_fd_mask=3", f"-report_slow_units={HANG}"]
    if target.words:
        words = scratch() / "words"
        words.write_text("".join(f'"{quoted(word)}"\n' for word in target.words), encoding="ascii")
        arguments.append(f"-dict={words}")
    folders = [str(seeds)]
    if options.corpus:
        options.corpus.mkdir(parents=True, exist_ok=True)
        folders.insert(0, str(options.corpus))  # the first is written to
    atheris.Setup([sys.argv[0], *arguments, *folders], watch)
    atheris.Fuzz()


def quoted(word: str | bytes) -> str:
    """As libFuzzer's dictionaries have it."""
    return "".join(f"\\x{byte:02x}" for byte in (word.encode() if isinstance(word, str) else word))


if __name__ == "__main__":
    sys.exit(main())
