"""A quantum simulator to read: NumPy, complex128, no tricks.

This file is the specification. The fast engines are tested against it, and a reader who
understands it understands what they compute. A batch of states is an array of shape
[batch, 2, 2, ..., 2]: one axis of length two per qubit, qubit 0 first, so that flattening the
qubit axes puts qubit 0 in the most significant bit, as Cirq does.

Gradients are by adjoint differentiation. Let |psi> = U_m ... U_1 |in> be the output state and
|lam> = dL/dRe psi + i dL/dIm psi the slope of a loss L by it; for L = sum_o c_o <psi| O_o |psi> it is
2 sum_o c_o O_o |psi>. Then a parameter x of the gate U_k has

    dL/dx = Re <lam_k| dU_k/dx |psi_k>,   |psi_k> = U_(k-1) ... U_1 |in>,
                                          |lam_k> = U_(k+1)^dagger ... U_m^dagger |lam>.

Each pair comes from the pair of the gate behind it by inverse gates: a single sweep back through the
circuit gives the derivative by every parameter, and at its end |lam_0> is the slope by |in>.
"""

import cirq
import numpy as np
import sympy


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
    qubits = _register(circuit, observables, qubits)
    psi = output_states(circuit, symbols, values, qubits, states)
    images = [_observe(observable, psi, qubits) for observable in observables]
    overlaps = [np.einsum("br,br->b", psi.conj(), image).real for image in images]
    return np.stack(overlaps, axis=1) if overlaps else np.zeros((len(psi), 0))


def gradient(circuit, symbols, values, observables, cotangent, qubits=None, states=None):
    """Derivatives of sum(cotangent * expectation values).

    Args:
        circuit, symbols, values, observables, qubits, states: as in `expectation`.
        cotangent: weights of the sum, shape [batch, n_observables].

    Returns:
        (by the symbols, float64 [batch, n_symbols]; by the initial states, dL/dRe + i dL/dIm,
        complex128 [batch, 2**n_qubits]).
    """
    qubits = _register(circuit, observables, qubits)
    psi = output_states(circuit, symbols, values, qubits, states)
    columns = np.asarray(cotangent, dtype=float).T
    pairs = zip(columns, observables, strict=True)
    slope = sum(2 * column[:, None] * _observe(o, psi, qubits) for column, o in pairs)
    return pull_back(circuit, symbols, values, slope, qubits, states)


def pull_back(circuit, symbols, values, cotangent, qubits=None, states=None):
    """Derivatives of a loss of the output states: the sweep back.

    Args:
        circuit, symbols, values, qubits, states: as in `output_states`.
        cotangent: dL/dRe + i dL/dIm of the output states, shape [batch, 2**n_qubits].

    Returns:
        As `gradient`.
    """
    qubits = sorted(circuit.all_qubits()) if qubits is None else list(qubits)
    circuit = cirq.Circuit(cirq.decompose(circuit, keep=_is_power))
    symbols = list(symbols)
    psi = output_states(circuit, symbols, values, qubits, states)
    values = np.broadcast_to(np.atleast_2d(values), (len(psi), len(symbols)))
    psi = psi.reshape([-1] + [2] * len(qubits))
    lam = np.reshape(cotangent, psi.shape)
    by_symbols = np.zeros(values.shape)
    for operation in reversed(list(circuit.all_operations())):
        axes = [1 + qubits.index(q) for q in operation.qubits]
        inverse = _unitaries(operation, symbols, values).conj().swapaxes(1, 2)
        psi = _apply(inverse, psi, axes)  # before the gate
        for name in cirq.parameter_names(operation):
            image = _apply(_slopes(operation, name, symbols, values), psi, axes)
            overlap = (lam.conj() * image).real.reshape(len(psi), -1).sum(axis=1)
            by_symbols[:, symbols.index(name)] += overlap
        lam = _apply(inverse, lam, axes)
    return by_symbols, lam.reshape(len(lam), -1)


def _is_power(operation):
    """Whether an operation is a constant or a power of one, perhaps controlled.

    Cirq writes every other gate with symbols as a product of powers.
    """
    gate = operation.gate
    while isinstance(gate, cirq.ControlledGate):
        gate = gate.sub_gate
    is_power = isinstance(gate, cirq.EigenGate) and not cirq.parameter_names(gate**0)
    return is_power or not cirq.is_parameterized(operation)


def _slope(gate, name, values):
    """Derivative of the matrix of a power by a symbol in its exponent t.

    A power is U(t) = sum_k exp(i pi t s_k) P_k with projectors P_k: its derivative by t is the same
    sum with the factors i pi s_k. Where a control does not match, U is the identity: no slope.
    """
    if isinstance(gate, cirq.ControlledGate):
        matches = np.zeros(2 ** gate.num_controls())
        for bits in gate.control_values.expand():
            matches[cirq.big_endian_bits_to_int(bits)] = 1
        return np.kron(np.diag(matches), _slope(gate.sub_gate, name, values))
    t = float(cirq.ParamResolver(values).value_of(gate.exponent))
    by_symbol = cirq.ParamResolver(values).value_of(sympy.diff(gate.exponent, sympy.Symbol(name)))
    rates = [(1j * np.pi * (s + gate.global_shift), p) for s, p in gate._eigen_components()]
    return float(by_symbol) * sum(rate * np.exp(rate * t) * p for rate, p in rates)


def _register(circuit, observables, qubits):
    """The qubits in order; by default those of the circuit and the observables, sorted."""
    sums = [cirq.PauliSum.wrap(observable) for observable in observables]
    used = circuit.all_qubits().union(*(s.qubits for s in sums))
    return sorted(used) if qubits is None else list(qubits)


def _observe(observable, psi, qubits):
    """O |psi>: complex128 [batch, 2**n_qubits]."""
    total = np.zeros(psi.shape, complex)
    for term in cirq.PauliSum.wrap(observable):
        image = psi.reshape([-1] + [2] * len(qubits))
        for qubit, pauli in term.items():
            image = _apply(cirq.unitary(pauli)[None], image, [1 + qubits.index(qubit)])
        total += term.coefficient * image.reshape(psi.shape)
    return total


def _unitaries(operation, symbols, values):
    """The operation's matrix for every sample, [batch, 2**k, 2**k]."""
    return _by_sample(
        lambda row: cirq.unitary(cirq.resolve_parameters(operation, row)), operation, symbols, values
    )


def _slopes(operation, name, symbols, values):
    """The derivative of the operation's matrix by a symbol, for every sample."""
    return _by_sample(lambda row: _slope(operation.gate, name, row), operation, symbols, values)


def _by_sample(matrix, operation, symbols, values):
    """Stacks matrix(values of the operation's symbols); samples of equal values share a call."""
    columns = [symbols.index(name) for name in sorted(cirq.parameter_names(operation))]
    rows, which = np.unique(values[:, columns], axis=0, return_inverse=True)
    rows = [{symbols[c]: x for c, x in zip(columns, row, strict=True)} for row in rows]
    return np.stack([matrix(row) for row in rows])[which.reshape(-1)]


def _apply(unitaries, psi, axes):
    """Multiplies the matrices [batch or 1, 2**k, 2**k] onto the k given axes of the states."""
    front = list(range(1, 1 + len(axes)))
    moved = np.moveaxis(psi, axes, front)
    product = unitaries @ moved.reshape(len(psi), unitaries.shape[-1], -1)
    return np.moveaxis(product.reshape(moved.shape), front, axes)
