"""What a test module tells with another of Keras's backends, which one process cannot change."""

import importlib.util
import json
import os
import subprocess
import sys
from typing import Any

import pytest

RUN = """
import importlib
import json
import sys
from imgnn import backend

print(json.dumps([backend.name(), *importlib.import_module(sys.argv[1]).story()]))
"""


def told_by(backend: str, module: str) -> list[Any]:
    """What the module's `story()` gives in a process of its own; skips where the backend is not installed."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend, "JAX_ENABLE_X64": "0"}
    done = subprocess.run([sys.executable, "-c", RUN, module], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    name, *told = json.loads(done.stdout.splitlines()[-1])
    assert name == backend
    return told
