"""Command lines as one types them, run in a shell: for the examples in --help, those of docs/, and examples/*.sh."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import requests

ROOT = Path(__file__).parents[1]


def offline(folder):
    """The environment of a machine that has just installed imgnn, and has no network; its files are in a folder."""
    (folder / "home").mkdir(parents=True, exist_ok=True)
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),  # this imgnn, not one that is installed
        "IMGNN_HOME": str(folder / "home"),
        "IMGNN_OFFLINE": "1",
        "XDG_DATA_HOME": str(folder / "data"),
        "BROWSER": "true",  # of --open; it does nothing
        # Whoever goes out all the same is refused.
        **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9"),
    }


def failures(lines, folder, environment):
    """What those of the lines said that failed, each with its exit code; how long each one took is printed."""
    failed = []
    for line in lines:
        began = time.perf_counter()
        code, said = (serve if line.startswith("imgnn serve") else run)(line, folder, environment)
        print(f"{time.perf_counter() - began:6.1f} s  {line}", flush=True)
        if code:
            failed.append(f"{line}: exit {code}\n{said[-600:]}")
    return failed


def run(line, folder, environment):
    """The exit code, and what stood on stderr."""
    words = ["sh", "-c", line]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def serve(line, folder, environment):
    """The same, of a server that is ended by Ctrl-C as soon as it answers."""
    words = ["sh", "-c", f"exec {line} --port 0"]  # 8000 may be taken
    with subprocess.Popen(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            if found := re.match(r"http://[^/]+:(\d+)/", process.stdout.readline()):
                requests.get(f"http://127.0.0.1:{found[1]}/", timeout=60)
                process.send_signal(signal.SIGINT)
            return process.wait(60), process.stderr.read()
        finally:
            process.kill()
