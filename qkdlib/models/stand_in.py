"""What stands in for TensorFlow Quantum where it has no wheel: the chapters' open code runs there."""

import sys
from functools import lru_cache
from types import ModuleType, SimpleNamespace

import cirq

from qkdlib._tensorflow import tf
from qkdlib.core import Model
from qkdlib.engine import tfq_available
from qkdlib.models.adjoint import AdjointEngine


def stand_in_for_tfq():
    """Lets `import tensorflow_quantum` succeed on every machine.

    Does nothing where TensorFlow Quantum is installed. Elsewhere it says so in a line, and the import
    finds the calls that the chapters make, on the engine "adjoint": `convert_to_tensor`, and
    `differentiators.Adjoint` or `ParameterShift` with `generate_differentiable_op` of
    `get_expectation_op()`. All rows of a batch must have the same circuit and observables.
    """
    if tfq_available():
        return
    module = ModuleType("tensorflow_quantum")
    module.convert_to_tensor, module.get_expectation_op = _convert_to_tensor, lambda: _expectation
    module.differentiators = SimpleNamespace(Adjoint=_Differentiator, ParameterShift=_Differentiator)
    sys.modules["tensorflow_quantum"] = module
    print("TensorFlow Quantum has no wheel for this machine; qkdlib's engine takes its place.")


def _convert_to_tensor(items):
    """Circuits [n], or observables [n, n_observables], as strings."""
    return tf.constant([
        [cirq.to_json(one) for one in item] if isinstance(item, (list, tuple)) else cirq.to_json(item)
        for item in items
    ])  # fmt: skip


@lru_cache(maxsize=8)
def _engine(circuit, names, observables):
    read = [cirq.read_json(json_text=text) for text in (circuit, *observables)]
    return AdjointEngine(Model(read[0], (), [name.decode() for name in names], read[1:]))


def _expectation(programs, names, values, observables):
    """Expectation values [batch, n_observables], differentiable by `values` [batch, n_names]."""
    for name, rows in (("programs", programs), ("observables", observables)):
        if not bool(tf.reduce_all(rows == rows[:1])):
            raise ValueError(f"{name} must be the same for all rows where TensorFlow Quantum is missing")
    texts = programs[0].numpy(), tuple(names.numpy()), tuple(observables[0].numpy())
    return _engine(*texts).expectation(tf.zeros([0]), tf.cast(values, tf.float32))


class _Differentiator:
    def generate_differentiable_op(self, *, analytic_op):
        return analytic_op

