"""qkdlib's adjoint engine inside a `tf.function`, one thread, light cone off."""

import qkdlib
from peers._cirq_circuit import circuit
from peers._tensorflow_step import make_step
from qkdlib._tensorflow import tf
from qkdlib.core import Model
from qkdlib.models import create_engine


def version():
    return f"qkdlib {qkdlib.__version__}, TensorFlow {tf.__version__}"


def setup(problem):
    engine = create_engine("adjoint", Model(*circuit(problem)), light_cone=False, threads=1)
    inputs = tf.constant(problem.data if problem.inputs == "angles" else problem.states)
    return make_step(lambda weights: engine.expectation(weights, inputs), problem)
