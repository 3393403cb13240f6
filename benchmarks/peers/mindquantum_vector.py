"""MindQuantum, mqvector simulator, its own adjoint gradient, complex64."""

import mindquantum as mq
import numpy as np
from mindquantum.core.circuit import Circuit
from mindquantum.core.gates import RX, RY, RZ, Z
from mindquantum.core.operators import Hamiltonian, QubitOperator
from mindquantum.simulator import Simulator
from problem import cross_entropy

GATES = {"x": RX, "y": RY, "z": RZ}


def version():
    return f"MindQuantum {mq.__version__}"


def setup(problem):
    if problem.inputs == "states":
        return None
    encoder, ansatz = Circuit(), Circuit()
    for qubit in range(problem.n_qubits):
        encoder += RX(f"x{qubit}").on(qubit)
    for kind, *rest in problem.rotations():
        if kind == "cz":
            ansatz += Z.on(rest[1], rest[0])
        else:
            axis, qubit, weight = rest
            ansatz += GATES[axis](f"w{weight}").on(qubit)
    simulator = Simulator("mqvector", problem.n_qubits, dtype=mq.complex64)
    hamiltonians = [Hamiltonian(QubitOperator(f"Z{k}"), dtype=mq.complex64) for k in (0, 1)]
    operation = simulator.get_expectation_with_grad(
        hamiltonians, encoder.as_encoder() + ansatz.as_ansatz(), parallel_worker=1
    )

    def step(weights):
        values, _, slopes = operation(problem.data, weights)
        loss, slope = cross_entropy(values.real, problem.labels)
        return loss, np.einsum("bk,bkp->p", slope, slopes.real)

    return step
