"""TensorFlow Quantum as its PQC layer works: one circuit per sample, Adjoint differentiator."""

import cirq

from peers._cirq_circuit import circuit
from peers._tensorflow_step import make_step
from qkdlib._tensorflow import import_tfq, tf

tfq = import_tfq()


def version():
    return f"TensorFlow Quantum {tfq.__version__}"


def setup(problem):
    if problem.inputs == "states":
        return None
    whole, weights, data, observables = circuit(problem)
    batch = len(problem.data)
    encoders = [
        cirq.resolve_parameters(whole[:1], dict(zip(data, row, strict=True)))
        for row in problem.data
    ]
    samples = tfq.convert_to_tensor(encoders)
    ansatz = tf.repeat(tfq.convert_to_tensor([whole[1:]]), batch)
    operators = tf.repeat(tfq.convert_to_tensor([[cirq.PauliSum() + o for o in observables]]),
                          batch, axis=0)
    names = tf.constant(weights)
    from tensorflow_quantum.core.ops.tfq_utility_ops import append_circuit

    rule = tfq.differentiators.Adjoint()
    expectation = rule.generate_differentiable_op(analytic_op=tfq.get_expectation_op())

    def values(w):
        tiled = tf.tile(w[None], [batch, 1])
        return expectation(append_circuit(samples, ansatz), names, tiled, operators)

    return make_step(values, problem)
