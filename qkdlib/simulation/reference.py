"""A quantum simulator to read: NumPy, complex128, no tricks.

This file is the specification. The fast engines are tested against it, and a reader who
understands it understands what they compute. A batch of states is an array of shape
[batch, 2, 2, ..., 2]: one axis of length two per qubit, qubit 0 first, so that flattening the
qubit axes puts qubit 0 in the most significant bit, as Cirq does.
"""

import cirq
import numpy as np


def output_states(circuit, symbols, values, qubits=None, states=None):
    """Runs a circuit on a batch of parameter values.

    Args:
        circuit: a `cirq.Circuit` of unitary gates; its exponents may contain symbols.
        symbols: names of the symbols, in the order of the columns of `values`.
        values: parameter values, shape [batch, n_symbols]; one row serves every input state.
        qubits: the qubits and their order; by default the circuit's, sorted.
        states: initial states, shape [batch, 2**n_qubits]; by default |0...0>.

    Returns:
        The output states, complex128, shape [batch, 2**n_qubits].
    """
    qubits = sorted(circuit.all_qubits()) if qubits is None else list(qubits)
    values = np.atleast_2d(np.asarray(values, dtype=float))
    if states is None:
        states = np.zeros((1, 2 ** len(qubits)))
        states[:, 0] = 1
    states = np.atleast_2d(np.asarray(states, dtype=np.complex128))
    batch = max(len(values), len(states))
    values = np.broadcast_to(values, (batch, values.shape[1]))
    psi = np.broadcast_to(states, (batch, states.shape[1])).reshape([batch] + [2] * len(qubits))
    for operation in circuit.all_operations():
        unitaries = _unitaries(operation, list(symbols), values)
        psi = _apply(unitaries, psi, [1 + qubits.index(q) for q in operation.qubits])
    return psi.reshape(batch, -1)


def expectation(circuit, symbols, values, observables, qubits=None, states=None):
    """Expectation values of observables in the circuit's output states.

    Args:
        circuit, symbols, values, qubits, states: as in `output_states`.
        observables: a list of `cirq.PauliString` or `cirq.PauliSum`.

    Returns:
        <psi| O |psi> for every sample and observable, float64, shape [batch, n_observables].
    """
    sums = [cirq.PauliSum.wrap(observable) for observable in observables]
    used = circuit.all_qubits().union(*(s.qubits for s in sums))
    qubits = sorted(used) if qubits is None else list(qubits)
    psi = output_states(circuit, symbols, values, qubits, states)
    result = np.zeros((len(psi), len(sums)))
    for column, pauli_sum in enumerate(sums):
        for term in pauli_sum:
            image = psi.reshape([-1] + [2] * len(qubits))
            for qubit, pauli in term.items():
                image = _apply(cirq.unitary(pauli)[None], image, [1 + qubits.index(qubit)])
            overlap = np.einsum("br,br->b", psi.conj(), image.reshape(psi.shape))
            result[:, column] += (term.coefficient * overlap).real
    return result


def _unitaries(operation, symbols, values):
    """The operation's matrix for every sample; equal parameters share one call to Cirq."""
    columns = [symbols.index(name) for name in sorted(cirq.parameter_names(operation))]
    rows, which = np.unique(values[:, columns], axis=0, return_inverse=True)
    values = [{symbols[c]: x for c, x in zip(columns, row, strict=True)} for row in rows]
    resolved = [cirq.unitary(cirq.resolve_parameters(operation, value)) for value in values]
    return np.stack(resolved)[which.reshape(-1)]


def _apply(unitaries, psi, axes):
    """Multiplies the matrices [batch or 1, 2**k, 2**k] onto the k given axes of the states."""
    front = list(range(1, 1 + len(axes)))
    moved = np.moveaxis(psi, axes, front)
    product = unitaries @ moved.reshape(len(psi), unitaries.shape[-1], -1)
    return np.moveaxis(product.reshape(moved.shape), front, axes)
