"""TensorFlow Quantum as this book uses it: one circuit with data symbols, Adjoint differentiator."""

from peers._cirq_circuit import circuit
from peers._tensorflow_step import make_step
from peers.tfq_pqc import version  # noqa: F401
from qkdlib._tensorflow import tf
from qkdlib.core import Model
from qkdlib.models import create_engine


def setup(problem):
    if problem.inputs == "states":
        return None
    engine = create_engine("tfq", Model(*circuit(problem)))
    inputs = tf.constant(problem.data)
    return make_step(lambda weights: engine.expectation(weights, inputs), problem)
