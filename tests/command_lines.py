"""Command lines as one types them, run in a shell: for the examples in --help, those of docs/, and examples/*.sh."""

import os
import re
import signal
import subprocess
import sys
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
