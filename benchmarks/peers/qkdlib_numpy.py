"""qkdlib's adjoint engine from NumPy, one thread, light cone off."""

from problem import cross_entropy

import qkdlib
from peers._cirq_circuit import circuit
from qkdlib.engine import Program

OPTIONS = {"light_cone": False, "threads": 1}


def version():
    return f"qkdlib {qkdlib.__version__}"


def setup(problem):
    program = Program(*circuit(problem), **OPTIONS)
    data = problem.data if problem.inputs == "angles" else None

    def step(weights):
        losses = []

        def cotangent(values):
            loss, slope = cross_entropy(values, problem.labels)
            losses.append(loss)
            return slope

        _, gradients = program.value_and_grad(
            weights, data, problem.states, cotangent, wrt=("weights",)
        )
        return losses[0], gradients.weights

    return step
