"""How Keras and TensorFlow start: without a word, and without what no command uses. Imports neither."""

import contextlib
import functools
import gc
import importlib.abc
import importlib.util
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def quiet() -> None:
    """Keep what TensorFlow and its friends log from the user; call it before Keras is imported.

    `TF_CPP_MIN_LOG_LEVEL` alone is not enough: TensorFlow 2.21 still writes "All log messages before
    absl::InitializeLog()..." and two notices, from C++, while it is imported. So its import, and nothing
    else, runs with the process's stderr turned into a file, which is shown if the import fails.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for logger in ("tensorflow", "absl", "jax"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    _import_within("tensorflow", _hushed_stderr)


def lean(beside: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext) -> None:
    """Let Keras start without what a command line never asks of it; call it before Keras is imported.

    Where they are installed, Keras imports `NEVER_USED` for functions of its own that draw plots or take tables, and
    Python's garbage collector goes through the million objects of TensorFlow's start again and again: together
    a third of the import (benchmarks/start.py).

    Args:
        beside: a context for the time of the import: something to look at.
    """

    @contextlib.contextmanager
    def both() -> Iterator[None]:
        with beside(), leanly():
            yield

    _import_within("keras", both)


NEVER_USED = ("IPython", "cv2", "huggingface_hub", "matplotlib", "pandas", "sklearn")


def _import_within(module: str, context: Callable[[], contextlib.AbstractContextManager[None]]) -> None:
    """Have a module, once it is imported, run within a context; one that is there already is left as it is."""
    known = (finder.module for finder in sys.meta_path if isinstance(finder, _Within))
    if module not in sys.modules and module not in known:
        sys.meta_path.insert(0, _Within(module, context))


class _Within(importlib.abc.MetaPathFinder):
    """Finds a module as always, and lets it run within a context."""

    def __init__(self, module: str, context: Callable[[], contextlib.AbstractContextManager[None]]) -> None:
        self.module, self.context = module, context

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.module:
            return None
        # Whoever asks may only want to know whether it is there (Torch does), so this stays until it is imported.
        place = sys.meta_path.index(self)
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            sys.meta_path.insert(place, self)
        if spec is not None and spec.loader is not None:
            run = functools.partial(self.run, spec.loader.exec_module)
            spec.loader.exec_module = run  # type: ignore[method-assign]
        return spec

    def run(self, exec_module: Callable[[ModuleType], None], module: ModuleType) -> None:
        with self.context():
            exec_module(module)


@contextlib.contextmanager
def leanly() -> Iterator[None]:
    """No garbage is collected, and `NEVER_USED` cannot be imported; what is alive at the end is no garbage later."""
    absent: dict[str, Any] = {name: None for name in NEVER_USED if name not in sys.modules}
    sys.modules.update(absent)
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collecting:
            gc.enable()
        for name in absent:
            sys.modules.pop(name, None)


@contextlib.contextmanager
def _hushed_stderr() -> Iterator[None]:
    """Turn file descriptor 2 into a file for a while; Python's own `sys.stderr` (a progress bar) is left in peace."""
    try:
        real = os.dup(2)
    except OSError:  # the process was started without a stderr
        yield
        return
    with tempfile.TemporaryFile() as sink, os.fdopen(real, "w", buffering=1) as stderr:
        before = sys.stderr
        sys.stderr = stderr if _is_descriptor_2(before) else before
        os.dup2(sink.fileno(), 2)
        try:
            yield
        except Exception:
            sink.seek(0)
            os.write(real, sink.read())
            raise
        finally:
            os.dup2(real, 2)
            sys.stderr = before


def _is_descriptor_2(stream: Any) -> bool:
    try:
        return stream.fileno() == 2
    except (AttributeError, OSError, ValueError):  # closed, or not a file: a test's buffer
        return False
