"""The one place that knows TensorFlow from JAX from Torch. Imports none of them, nor Keras, before it is asked to."""

import contextlib
import functools
import importlib.abc
import importlib.util
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Tensor = Any  # of whichever backend Keras runs on
Parts = Mapping[str, Tensor]
Function = Callable[[Tensor], tuple[Tensor, Parts]]
Evaluate = Callable[[Tensor], tuple[Tensor, Parts, Tensor]]


def name() -> str:
    """The backend Keras runs on: "tensorflow", "jax" or "torch" (`KERAS_BACKEND`)."""
    import keras

    return keras.backend.backend()


def device() -> str:
    """Where Keras computes: "cpu", "gpu", "mps", "tpu"."""
    if name() == "tensorflow":
        import tensorflow as tf

        return "gpu" if tf.config.list_physical_devices("GPU") else "cpu"
    if name() == "jax":
        import jax

        return jax.default_backend()
    import keras

    return {"cuda": "gpu"}.get(kind := keras.ops.zeros(()).device.type, kind)


@contextlib.contextmanager
def standard() -> Iterator[None]:
    """Keras as it comes, float32 and channels last, whatever ~/.keras/keras.json says: networks are built in it."""
    from keras import config

    floatx, order, policy = config.floatx(), config.image_data_format(), config.dtype_policy()
    config.set_floatx("float32")
    config.set_image_data_format("channels_last")
    config.set_dtype_policy("float32")
    try:
        yield
    finally:
        config.set_floatx(floatx)
        config.set_image_data_format(order)
        config.set_dtype_policy(policy)


def memory() -> int | None:
    """Bytes of main memory in this machine; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not a Unix
        return None


def value_and_grad(function: Function) -> Evaluate:
    """What a loss is at `x`, and which way it rises there: compiled once, then fast.

    Args:
        function: `x -> (loss, parts)`, built of `keras.ops` and Keras layers; `loss` a scalar, `parts`
            whatever scalars one wants to see, by name.

    Returns:
        `x -> (loss, parts, gradient)`; `gradient` has the shape of `x`. All stay on the device.
    """
    return {"tensorflow": _tensorflow_value_and_grad, "jax": _jax_value_and_grad, "torch": _torch_value_and_grad}[
        name()
    ](function)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function of tensors, traced once where the backend can (Torch runs it as it is)."""
    if name() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, autograph=False)
    if name() == "jax":
        import jax

        return jax.jit(function)
    return function


def _tensorflow_value_and_grad(function: Function) -> Evaluate:
    import tensorflow as tf

    @tf.function(autograph=False)  # there is no `if` or `while` on tensors to be found in it
    def evaluate(x: Tensor) -> tuple[Tensor, Parts, Tensor]:
        # The picture alone: the network's weights, thousands of times more numbers, are not watched.
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            loss, parts = function(x)
        return loss, parts, tape.gradient(loss, x)

    return evaluate


def _jax_value_and_grad(function: Function) -> Evaluate:
    import jax

    graded = jax.jit(jax.value_and_grad(function, has_aux=True))

    def evaluate(x: Tensor) -> tuple[Tensor, Parts, Tensor]:
        (loss, parts), gradient = graded(x)
        return loss, parts, gradient

    return evaluate


def _torch_value_and_grad(function: Function) -> Evaluate:
    import torch

    def evaluate(x: Tensor) -> tuple[Tensor, Parts, Tensor]:
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            loss, parts = function(x)
        (gradient,) = torch.autograd.grad(loss, x)
        return loss.detach(), {key: part.detach() for key, part in parts.items()}, gradient

    return evaluate


def quiet() -> None:
    """Keep what TensorFlow and its friends log from the user; call it before Keras is imported.

    `TF_CPP_MIN_LOG_LEVEL` alone is not enough: TensorFlow 2.21 still writes "All log messages before
    absl::InitializeLog()..." and two notices, from C++, while it is imported. So its import, and nothing
    else, runs with the process's stderr turned into a file, which is shown if the import fails.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for logger in ("tensorflow", "absl", "jax"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    if "tensorflow" not in sys.modules and not any(isinstance(finder, _Hushed) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Hushed())


class _Hushed(importlib.abc.MetaPathFinder):
    """Finds TensorFlow as always, and lets nothing be seen of what its import writes."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "tensorflow":
            return None
        # Whoever asks may only want to know whether it is there (Torch does), so this stays until it is imported.
        place = sys.meta_path.index(self)
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            sys.meta_path.insert(place, self)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = functools.partial(_run_hushed, spec.loader.exec_module)  # type: ignore[method-assign]
        return spec


def _run_hushed(exec_module: Callable[[ModuleType], None], module: ModuleType) -> None:
    with _hushed_stderr():
        exec_module(module)


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
