"""Where TensorFlow Quantum or TensorFlow has no wheel, the rest works and says what is missing."""

import json
import os
import platform
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
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


def run_without(blocked, *code):
    """Runs code in a fresh Python that cannot import the given packages; returns what it printed."""
    # find_spec of a missing package returns None, where an import raises.
    patch = """
import importlib.util
_find = importlib.util.find_spec
importlib.util.find_spec = lambda n, p=None: None if n.split(".")[0] in BLOCKED else _find(n, p)
"""
    code = "".join(map(textwrap.dedent, code))
    script = BLOCK.replace("{blocked}", repr(set(blocked))) + patch + code
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="no wheel of TFQ here"
)
def test_where_tfq_has_a_wheel_it_is_installed():
    # Other tests are skipped without it; here that would hide them.
    assert tfq_available()


MODEL = """
from toys import toy_data, toy_model
x, y = toy_data(64)
"""


@pytest.mark.slow
def test_without_tfq_a_qnn_trains_on_the_other_engine():
    out = run_without(
        ["tensorflow_quantum"],
        MODEL,
        """
        from qkdlib.engine import default_engine
        from qkdlib.models import QNN, recipe

        qnn = QNN(toy_model(), seed=0)
        qnn.compile(**recipe())
        loss = qnn.fit(x, y, epochs=4, verbose=0).history["loss"]
        assert loss[-1] < loss[0]
        print(default_engine(), qnn.engine_name)
        """,
    )
    assert out == "adjoint adjoint"


@pytest.mark.slow
def test_without_tfq_its_engine_says_so_in_one_sentence():
    out = run_without(
        ["tensorflow_quantum"],
        MODEL,
        """
        from qkdlib.models import QNN

        try:
            QNN(toy_model(), engine="tfq", seed=0)
        except ImportError as error:
            print(error)
        """,
    )
    assert out == (
        'engine "tfq" needs TensorFlow Quantum, which is published for Linux on x86-64 with '
        'Python 3.10 to 3.12 only; choose engine="adjoint" here'
    )


OPEN_CODE = """
import cirq, numpy as np, sympy
import tensorflow as tf
import tensorflow_quantum as tfq

a, b = cirq.LineQubit.range(2)
circuit = cirq.Circuit(
    cirq.ry(sympy.Symbol("x"))(a), cirq.CZ(a, b), cirq.rx(2 * sympy.Symbol("w"))(a), cirq.CNOT(a, b))
program, names = tfq.convert_to_tensor([circuit]), tf.constant(["x", "w"])
z = tfq.convert_to_tensor([[1.0 * cirq.Z(a), cirq.PauliSum() + 0.5 * cirq.X(a) * cirq.X(b)]])
for kind in (tfq.differentiators.Adjoint, tfq.differentiators.ParameterShift):
    expect = kind().generate_differentiable_op(analytic_op=tfq.get_expectation_op())
    w, x = tf.Variable([0.3]), tf.constant([[0.1], [0.7], [2.0]])
    with tf.GradientTape() as tape:
        values = tf.concat([x, tf.repeat(w[None], 3, 0)], axis=1)
        found = expect(tf.repeat(program, 3), names, values, tf.tile(z, (3, 1)))
        total = tf.reduce_sum(found ** 2)
    print(np.round([*found.numpy().ravel(), *tape.gradient(total, w).numpy()], 4).tolist())
"""


@pytest.mark.slow
def test_the_open_code_of_chapters_runs_without_tfq_and_gives_the_same():
    stand_in = "from qkdlib.models import QNN, stand_in_for_tfq\nstand_in_for_tfq()\n"
    with_tfq = run_without([], stand_in, OPEN_CODE).splitlines()
    checks = """
    from qkdlib.engine import default_engine, tfq_available
    assert not tfq_available() and default_engine() == "adjoint"
    other = tfq.convert_to_tensor([circuit, circuit + cirq.X(a)])
    try:
        expect(other, names, tf.zeros((2, 2)), tf.tile(z, (2, 1)))
    except ValueError as error:
        print(error)
    """
    without = run_without(["tensorflow_quantum"], stand_in, OPEN_CODE, checks).splitlines()
    assert without[0].startswith("TensorFlow Quantum has no wheel for this machine")
    assert without[-1].startswith("programs must be the same for all rows")
    for ours, theirs in zip(without[1:3], with_tfq, strict=True):
        np.testing.assert_allclose(json.loads(ours), json.loads(theirs), atol=2e-4)


@pytest.mark.slow
def test_without_tensorflow_the_numpy_path_works_and_models_say_so():
    out = run_without(
        ["tensorflow", "keras", "tensorflow_quantum"],
        MODEL,
        """
        from qkdlib.core import Divergence, NoTeacher, Schedule, codistill, compare

        model = toy_model(logit_scale=5.0)
        found = compare(model, (x, y), (x, y), [NoTeacher()], seeds=2, n_steps=150, progress=False)
        assert found.runs("no teacher").min() > 0.9
        codistill(model, (x, y), regulariser=Divergence(), schedule=Schedule(0.5), n_steps=2, seed=0)
        import qkdlib.book, qkdlib.data, qkdlib.explore, qkdlib.measures
        try:
            import qkdlib.models
        except ImportError as error:
            print(error)
        """,
    )
    assert out.startswith("qkdlib.models needs TensorFlow, which is not installed here")
    assert "\n" not in out
