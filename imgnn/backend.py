"""The one place that knows TensorFlow from JAX from Torch. Imports none of them, nor Keras, before it is asked to."""

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from imgnn.errors import InputError

Tensor = Any  # of whichever backend Keras runs on
Parts = Mapping[str, Tensor]
Precision = Literal["float32", "bfloat16"]
Function = Callable[..., tuple[Tensor, Parts]]
Evaluate = Callable[..., tuple[Tensor, Parts, Tensor]]


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


@contextlib.contextmanager
def computing_in(layers: Sequence[Any], precision: str) -> Iterator[None]:
    """What Keras layers compute in while they are called: "float32" or "bfloat16"; their weights stay float32."""
    policy = {"bfloat16": "mixed_bfloat16"}.get(precision, precision)
    before = [layer.dtype_policy for layer in layers]
    for layer in layers:
        layer.dtype_policy = policy
    try:
        yield
    finally:
        for layer, own in zip(layers, before, strict=True):
            layer.dtype_policy = own


def precision_of(wanted: str) -> Precision:
    """What a network is to compute in: as asked for, or, of "auto", what is faster here."""
    if wanted == "auto":
        return "bfloat16" if fast_bfloat16() else "float32"
    return "bfloat16" if wanted == "bfloat16" else "float32"


def fast_bfloat16() -> bool:
    """Whether bfloat16 is faster than float32 here: a GPU of its generation, or a CPU with instructions for it.

    On a CPU, TensorFlow and Torch hand convolutions to oneDNN, which uses AVX512-BF16 and AMX; XLA, which JAX uses,
    turns them into float32.
    """
    kind = device()
    if kind == "cpu":
        return name() != "jax" and bool({"avx512_bf16", "amx_bf16"} & processor_flags())
    if kind != "gpu":
        return kind == "tpu"
    if name() == "tensorflow":
        import tensorflow as tf

        card = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
        return card.get("compute_capability", (0, 0)) >= (8, 0)
    if name() == "torch":
        import torch

        return torch.cuda.is_bf16_supported()
    import jax

    return float(getattr(jax.devices()[0], "compute_capability", 0)) >= 8.0


@functools.cache
def processor_flags() -> frozenset[str]:
    """The instruction sets of this CPU, as Linux names them; empty on other systems."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    return frozenset(next((line for line in text.splitlines() if line.startswith("flags")), "").split())


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a backend (or NumPy) says by this error that memory did not suffice."""
    told = f"{type(error).__name__}: {error}"
    return isinstance(error, MemoryError) or any(
        word in told
        for word in (
            *("ResourceExhausted", "RESOURCE_EXHAUSTED", "OutOfMemory", "can't allocate memory"),
            *("failed to map segment", "Cannot allocate memory"),  # of libraries that are loaded
        )
    )


def memory() -> int | None:
    """Bytes of main memory that this process may have, by the machine or its container; None where nobody tells."""
    try:
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (AttributeError, ValueError, OSError):  # not a Unix
        return None
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # no container, or "max"
            found.append(int(Path(limit).read_text(encoding="ascii")))
    return min(found)


def peak_memory() -> int:
    """Bytes of main memory that this process has had at most; 0 on Windows, where nobody tells."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def value_and_grad(function: Function, *, any_size: bool = False) -> Evaluate:
    """What a loss is at `x`, and which way it rises there: compiled once, then fast.

    Args:
        function: `(x, *data) -> (loss, parts)`, built of `keras.ops` and Keras layers; `loss` a scalar, `parts`
            whatever one wants to see, by name.
        any_size: `x`, and data of four axes, come in several heights and widths. TensorFlow, which takes about a
            second to trace a network, then does it once for all of them, and `function` meets sizes that are not
            known.

    Returns:
        `(x, *data) -> (loss, parts, gradient)`; `gradient` has the shape of `x`, `data` are tensors, or dicts of
            them, that change from call to call. All stay on the device.
    """
    if name() == "tensorflow":
        return _tensorflow_value_and_grad(function, any_size)
    return {"jax": _jax_value_and_grad, "torch": _torch_value_and_grad}[name()](function)


def forward_only() -> contextlib.AbstractContextManager[None]:
    """What is computed in it is not going to be differentiated: Torch would remember it all."""
    if name() != "torch":
        return contextlib.nullcontext()
    import torch

    return torch.no_grad()


def compiled(function: Callable[..., Any], variables: Sequence[Any] = ()) -> Callable[..., Any]:
    """The same function of tensors, traced once where the backend can (Torch runs it as it is); not differentiable.

    Args:
        variables: of Keras, that the function reads and that may change: JAX takes others as they are when it traces.
    """
    if name() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, autograph=False)
    if name() == "jax":
        import jax
        import keras

        @jax.jit
        def with_values(values: Sequence[Any], *given: Any) -> Any:
            with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
                return function(*given)

        return lambda *given: with_values([variable.value for variable in variables], *given)

    def run(*given: Any) -> Any:
        with forward_only():
            return function(*given)

    return run


def jitted() -> bool:
    """Whether Keras is to hand a training step to XLA: on a processor TensorFlow is several times faster without."""
    return name() == "jax" or (name() == "tensorflow" and device() != "cpu")


def answering(model: Any) -> Callable[[Any], Any]:
    """The function that gives what a model answers, float32, with the weights that it has when it is asked."""
    from keras import ops

    if name() != "jax":
        return compiled(lambda x: ops.cast(model(x, training=False), "float32"))
    import jax

    # What a jitted function reads besides its arguments is read once, when it is traced.
    @jax.jit
    def answer(trainable: Any, others: Any, x: Any) -> Any:
        return ops.cast(model.stateless_call(trainable, others, x, training=False)[0], "float32")

    def ask(x: Any) -> Any:
        trainable = [variable.value for variable in model.trainable_variables]
        return answer(trainable, [variable.value for variable in model.non_trainable_variables], x)

    return ask


def train_on_batch(model: Any, x: Any, targets: Any, weights: Any, devices: "Devices | None" = None) -> dict[str, Any]:
    """One step of a compiled Keras model, on one device or spread over several; its metrics of this batch."""
    if devices is None or devices.strategy is None:
        return model.train_on_batch(x, targets, sample_weight=weights, return_dict=True)
    model.make_train_function()
    model.reset_metrics()
    return model.train_function(iter([devices.spread((x, targets, weights))]))


def apply_adam(
    variable: Any,
    momentum: Any,
    velocity: Any,
    gradient: Tensor,
    *,
    steps: Tensor,
    learning_rate: Tensor,
    betas: tuple[float, float],
    epsilon: float,
) -> None:
    """TensorFlow's own step of Adam.

    Args:
        variable: of TensorFlow; `momentum`, `velocity`: of Keras, as large.
        steps: of the optimiser, this one included.

    Source: arXiv:1412.6980, the form before section 2.1: epsilon is added to the root that is not corrected.
    """
    import tensorflow as tf

    kind = variable.dtype
    count = tf.cast(steps, kind)
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=momentum.value.handle,
        v=velocity.value.handle,
        beta1_power=tf.cast(betas[0], kind) ** count,
        beta2_power=tf.cast(betas[1], kind) ** count,
        lr=tf.cast(learning_rate, kind),
        beta1=tf.cast(betas[0], kind),
        beta2=tf.cast(betas[1], kind),
        epsilon=tf.cast(epsilon, kind),
        grad=tf.cast(tf.convert_to_tensor(gradient), kind),
    )


def why_no_gpu() -> str:
    """Why Keras computes on the processor, as far as that can be told."""
    if name() == "tensorflow":
        import tensorflow as tf

        if not tf.test.is_built_with_gpu_support():
            return "this TensorFlow is built without GPU support (pip install 'tensorflow[and-cuda]' has it)"
    if not Path("/proc/driver/nvidia/version").exists() and sys.platform == "linux":
        return "there is no NVIDIA driver on this machine"
    return f"{name()} sees no GPU"


def place(precision: str, kind: str | None = None, count: int = 1) -> str:
    """What computes, as a part of a sentence: "on the processor, in bfloat16", "on 2 x GPU, in float32".

    Args:
        kind: as `device` has it; None: the one there is.
    """
    kind = kind or device()
    name = "processor" if kind == "cpu" else kind.upper()
    return f"on {f'{count} x' if count > 1 else 'the'} {name}, in {precision}"


def where(precision: str, devices: int = 1) -> str:
    """The same as a sentence, and why no GPU: "On the processor, in bfloat16: there is no NVIDIA driver here"."""
    told = place(precision, count=devices)
    told = told[0].upper() + told[1:]
    return f"{told}: {why_no_gpu()}" if device() == "cpu" else told


class Devices:
    """Several devices that train one model together, each on its share of every batch.

    TensorFlow keeps a copy of the variables on each (`tf.distribute.MirroredStrategy`), JAX spreads the arrays
    (`keras.distribution.DataParallel`). Models have to be made within `scope()`.

    Args:
        names: of the devices, as TensorFlow lists them; with one there is nothing to spread.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.strategy: Any = None
        if len(names) > 1 and name() == "tensorflow":
            import tensorflow as tf

            # NCCL, which is taken otherwise, knows GPUs only.
            across = None if device() == "gpu" else tf.distribute.ReductionToOneDevice()
            self.strategy = tf.distribute.MirroredStrategy(list(names), cross_device_ops=across)
        elif len(names) > 1 and name() == "jax":
            import keras

            keras.distribution.set_distribution(keras.distribution.DataParallel(devices=list(names)))

    def __len__(self) -> int:
        return len(self.names)

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Where models are made."""
        return self.strategy.scope() if self.strategy is not None else contextlib.nullcontext()

    def spread(self, batch: Any) -> Any:
        """Arrays of `(n, ...)`, n a multiple of the devices, cut into one piece for each."""
        import tensorflow as tf

        def piece(value: Any) -> Any:
            pieces = [tf.convert_to_tensor(each) for each in tf.split(value, len(self.names))]
            return self.strategy.experimental_distribute_values_from_function(
                lambda context: pieces[context.replica_id_in_sync_group]
            )

        return tf.nest.map_structure(piece, batch)


def devices(wanted: str) -> list[str]:
    """The devices that `--devices` means: "one", "all", or a number of them; GPUs if there are any.

    Of processors a machine has one, unless several logical ones were set up (`tf.config`, or `XLA_FLAGS` of JAX).

    Raises:
        InputError: there are not so many, or Keras's backend trains on one only.
    """
    if name() == "tensorflow":
        import tensorflow as tf

        kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
        found = [each.name.replace("/device:", "/").lstrip("/") for each in tf.config.list_logical_devices(kind)]
    elif name() == "jax":
        import keras

        found = keras.distribution.list_devices()
    else:
        found = [device()]
    if wanted == "all":
        return found
    count = 1 if wanted == "one" else int(wanted)
    if count > len(found):
        more = "; Keras trains on several with TensorFlow and JAX" if name() == "torch" else ""
        raise InputError(f"--devices {count} are wanted; {name()} sees {len(found)}: {', '.join(found)}{more}")
    return found[:count]


def be_deterministic() -> None:
    """Let every operation give the same bits each time, where that costs speed: on a GPU, in TensorFlow."""
    if name() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    elif name() == "torch":
        import torch

        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # CUDA's matrix products want it
        torch.use_deterministic_algorithms(True)
    else:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true".strip()


def _tensorflow_value_and_grad(function: Function, any_size: bool) -> Evaluate:
    import tensorflow as tf

    @tf.function(autograph=False)  # there is no `if` or `while` on tensors to be found in it
    def evaluate(x: Tensor, *data: Any) -> tuple[Tensor, Parts, Tensor]:
        # The picture alone: the network's weights, thousands of times more numbers, are not watched.
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            loss, parts = function(x, *data)
        return loss, parts, tape.gradient(loss, x)

    traced = False

    def traced_first(x: Tensor, *data: Any) -> tuple[Tensor, Parts, Tensor]:
        nonlocal traced
        if not traced:
            evaluate.get_concrete_function(*tf.nest.map_structure(of_any_size, (x, *data)))
            traced = True
        return evaluate(x, *data)

    def of_any_size(value: Any) -> Any:
        value = tf.convert_to_tensor(value)
        batch, *size, channels = value.shape if len(value.shape) == 4 else (None, None)
        return tf.TensorSpec([batch, None, None, channels] if size else value.shape, value.dtype)

    return traced_first if any_size else evaluate


def _jax_value_and_grad(function: Function) -> Evaluate:
    import jax

    graded = jax.jit(jax.value_and_grad(function, has_aux=True))

    def evaluate(x: Tensor, *data: Any) -> tuple[Tensor, Parts, Tensor]:
        (loss, parts), gradient = graded(x, *data)
        return loss, parts, gradient

    return evaluate


def _torch_value_and_grad(function: Function) -> Evaluate:
    import torch

    def evaluate(x: Tensor, *data: Any) -> tuple[Tensor, Parts, Tensor]:
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            loss, parts = function(x, *data)
        (gradient,) = torch.autograd.grad(loss, x)
        return loss.detach(), {key: part.detach() for key, part in parts.items()}, gradient

    return evaluate
