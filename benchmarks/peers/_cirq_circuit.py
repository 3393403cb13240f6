"""The problem as a Cirq circuit, for the libraries that read one."""

import cirq
import sympy

ROTATIONS = {"x": cirq.rx, "y": cirq.ry, "z": cirq.rz}


def circuit(problem):
    """(circuit, weight names, data names, observables)."""
    qubits = cirq.LineQubit.range(problem.n_qubits)
    operations, data = [], []
    if problem.inputs == "angles":
        data = [f"x{i:02d}" for i in range(problem.n_qubits)]
        operations = [cirq.rx(sympy.Symbol(s))(q) for s, q in zip(data, qubits, strict=True)]
    weights = [f"w{i:03d}" for i in range(len(problem.weights))]
    for kind, *rest in problem.rotations():
        if kind == "cz":
            operations.append(cirq.CZ(qubits[rest[0]], qubits[rest[1]]))
        else:
            axis, qubit, weight = rest
            operations.append(ROTATIONS[axis](sympy.Symbol(weights[weight]))(qubits[qubit]))
    observables = [cirq.Z(qubits[0]) * 1.0, cirq.Z(qubits[1]) * 1.0]
    return cirq.Circuit(operations), weights, data, observables
