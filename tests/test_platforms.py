"""Where TensorFlow Quantum or TensorFlow has no wheel, the rest works and says what is missing."""

import platform
import subprocess
import sys
import textwrap

import pytest

from qkdlib.engine import tfq_available

BLOCK = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

BLOCKED = {blocked}
sys.meta_path.insert(0, Blocker())
"""


def run_without(blocked, code):
    """Runs code in a fresh Python that cannot import the given packages; returns what it printed."""
    # find_spec of a missing package returns None, where an import raises.
    patch = """
import importlib.util
_find = importlib.util.find_spec
importlib.util.find_spec = lambda n, p=None: None if n.split(".")[0] in BLOCKED else _find(n, p)
"""
    script = BLOCK.replace("{blocked}", repr(set(blocked))) + patch + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="no wheel of TFQ here"
)
def test_where_tfq_has_a_wheel_it_is_installed():
    # Other tests are skipped without it; here that would hide them.
    assert tfq_available()


@pytest.mark.slow
def test_without_tfq_a_qnn_trains_on_the_other_engine():
    out = run_without(
        ["tensorflow_quantum"],
        """
        import numpy as np
        from qkdlib.core import Model, angle_encoding, hardware_efficient_ansatz, z_observables
        from qkdlib.engine import default_engine
        from qkdlib.models import QNN, recipe

        encoding, ansatz = angle_encoding(2), hardware_efficient_ansatz(2, 1)
        qnn = QNN(Model.of(encoding, ansatz, z_observables(2, 2)), seed=0)
        qnn.compile(**recipe())
        x = np.random.default_rng(0).uniform(0, 1, (32, 2))
        loss = qnn.fit(encoding.angles(x), (x[:, 0] > 0.5).astype(int), epochs=4, verbose=0)
        assert loss.history["loss"][-1] < loss.history["loss"][0]
        print(default_engine(), qnn.engine_name)
        """,
    )
    assert out == "adjoint adjoint"


@pytest.mark.slow
def test_without_tfq_its_engine_says_so_in_one_sentence():
    out = run_without(
        ["tensorflow_quantum"],
        """
        from qkdlib.core import Model, angle_encoding, hardware_efficient_ansatz, z_observables
        from qkdlib.models import QNN

        ansatz = hardware_efficient_ansatz(2, 1)
        try:
            QNN(Model.of(angle_encoding(2), ansatz, z_observables(2, 2)), engine="tfq", seed=0)
        except ImportError as error:
            print(error)
        """,
    )
    assert out == (
        'engine "tfq" needs TensorFlow Quantum, which is published for Linux on x86-64 with '
        'Python 3.10 to 3.12 only; choose engine="adjoint" here'
    )


def test_without_tensorflow_the_numpy_path_works_and_models_say_so():
    out = run_without(
        ["tensorflow", "keras", "tensorflow_quantum"],
        """
        import numpy as np
        from qkdlib.core import (
            Model, angle_encoding, cross_entropy, hardware_efficient_ansatz, train, with_targets,
            z_observables,
        )

        encoding = angle_encoding(2)
        model = Model.of(encoding, hardware_efficient_ansatz(2, 1), z_observables(2, 2), logit_scale=5)
        x = np.random.default_rng(0).uniform(0, 1, (64, 2))
        angles, labels = encoding.angles(x), (x[:, 0] > 0.5).astype(int)
        loss = with_targets(cross_entropy, labels)
        found = train(model, angles, loss, n_steps=150, learning_rate=0.1, seed=0)
        assert model.accuracy(found.weights, angles, labels) > 0.9
        import qkdlib.data, qkdlib.explore, qkdlib.measures
        try:
            import qkdlib.models
        except ImportError as error:
            print(error)
        """,
    )
    assert out.startswith("qkdlib.models needs TensorFlow, which is not installed here")
    assert "\n" not in out
