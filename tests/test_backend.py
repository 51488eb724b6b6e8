import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from keras import ops

from imgnn import backend


def test_value_and_grad_is_that_of_the_formula():
    # f = sum(a x³): f' = 3 a x²
    a, x = np.array([1.0, -2.0, 0.5], "float32"), np.array([3.0, 1.0, -4.0], "float32")

    def function(values):
        loss = ops.sum(ops.convert_to_tensor(a) * values**3)
        return loss, {"whole": loss}

    loss, parts, gradient = backend.value_and_grad(function)(ops.convert_to_tensor(x))
    assert float(loss) == float(parts["whole"]) == -7.0
    np.testing.assert_allclose(ops.convert_to_numpy(gradient), 3 * a * x**2)


def test_device_has_a_plain_name():
    assert backend.device() in ("cpu", "gpu", "mps", "tpu")


def run(code, **environment):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("TF_")}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**clean, **environment})


def test_quiet_keeps_what_tensorflow_writes_to_itself():
    result = run(
        "from imgnn import start; start.quiet()\n"
        "import keras, sys\n"
        "keras.layers.Conv2D(2, 3)(keras.ops.zeros((1, 8, 8, 3)))\n"
        "print('still heard', file=sys.stderr)"
    )
    assert (result.returncode, result.stderr) == (0, "still heard\n")


def test_quiet_stays_when_somebody_only_asks_for_tensorflow():
    result = run(
        "from imgnn import start; start.quiet()\n"
        "import importlib.util as u; assert u.find_spec('tensorflow')\n"
        "import tensorflow"
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_networks_are_float32_and_channels_last_whatever_the_user_s_keras_json_says(tmp_path):
    (tmp_path / "keras.json").write_text('{"floatx": "float16", "image_data_format": "channels_first"}')
    result = run(
        "from imgnn import start; start.quiet()\n"
        "from imgnn.networks.applications import load\n"
        "from imgnn.networks.names import network_of\n"
        "import keras\n"
        "for network in (network_of('random'), load('keras:mobilenet', weights=None)):\n"
        "    print({layer.compute_dtype for layer in network.model.layers}, network.model.input_shape)\n"
        "print(keras.config.floatx(), keras.config.image_data_format(), keras.config.dtype_policy().name)",
        KERAS_HOME=str(tmp_path),
    )
    assert result.stdout.splitlines() == [
        "{'float32'} (None, 256, 256, 3)",
        "{'float32'} (None, 224, 224, 3)",
        "float16 channels_first float16",
    ], result.stderr


def test_quiet_shows_why_an_import_failed(tmp_path):
    (tmp_path / "tensorflow.py").write_text("import os\nos.write(2, b'from C++')\nraise ImportError('broken')")
    result = run(
        "from imgnn import start; start.quiet()\nimport tensorflow",
        PYTHONPATH=os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1])]),
    )
    assert "from C++" in result.stderr
    assert result.stderr.endswith("ImportError: broken\n")


def test_quiet_imports_nothing():
    result = run(
        "import sys; from imgnn import start; start.quiet(); print([m for m in sys.modules if m in "
        "('tensorflow', 'keras', 'numpy', 'jax', 'torch')])"
    )
    assert result.stdout == "[]\n"


def test_a_lean_start_leaves_out_what_no_command_uses_and_gives_it_back(tmp_path):
    for name in ("matplotlib", "pandas"):
        (tmp_path / f"{name}.py").write_text("print('imported', __name__)")
    result = run(
        "from imgnn import start; start.lean(); start.lean()\n"
        "import gc, sys, keras\n"
        "print(gc.isenabled(), gc.get_freeze_count() > 100_000, set(start.NEVER_USED) & set(sys.modules))\n"
        "import matplotlib",
        PYTHONPATH=os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1])]),
    )
    assert result.stdout.splitlines() == ["True True set()", "imported matplotlib"], result.stderr
