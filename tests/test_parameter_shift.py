"""The parameter-shift rule against derivatives that were not made by shifting.

The derivative of a gate's matrix is its generator times the matrix; the generator is the logarithm
of a small power of the gate, taken from its matrix alone. Nothing here knows a gate's eigenvalues.
"""

import cirq
import numpy as np
import pytest
import scipy.linalg
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from qkdlib.core import hardware_efficient_ansatz, pauli_string
from qkdlib.engine import reference
from qkdlib.measures import parameter_shift_gradient, shift_rule, shift_terms

QUBITS = cirq.LineQubit.range(3)
A, B, C = QUBITS
OBSERVABLES = [pauli_string("Z0", 3), pauli_string("X1 Y2", 3), pauli_string("Z0 X1 Y2", 3)]
T, U = sympy.symbols("t u")


def evaluate(circuit):
    return reference.expectation(circuit, (), np.zeros((1, 0)), OBSERVABLES, qubits=QUBITS)[0]


def by_shifts(circuit, values, symbol="t"):
    return parameter_shift_gradient(circuit, [symbol], values, evaluate)[0]


def by_generators(circuit, values, symbol="t"):
    """Sum over gates of 2 Re <psi| O |d psi>: float64 [n_observables]."""
    operations = list(circuit.all_operations())
    matrices = [_matrix(op, values) for op in operations]
    psi = _product(matrices)
    total = np.zeros(len(OBSERVABLES))
    for i, op in enumerate(operations):
        if symbol in cirq.parameter_names(op):
            changed = [*matrices[:i], _generator(op, values, symbol) @ matrices[i], *matrices[i + 1 :]]
            image = _product(changed)
            total += [2 * np.real(psi.conj() @ o.matrix(QUBITS) @ image) for o in OBSERVABLES]
    return total


def _product(matrices):
    state = np.eye(8, dtype=complex)[0]
    for matrix in matrices:
        state = matrix @ state
    return state


def _matrix(op, values):
    resolved = cirq.resolve_parameters(op, values)
    return cirq.Circuit(resolved).unitary(qubit_order=QUBITS, qubits_that_should_be_present=QUBITS)


def _generator(op, values, symbol):
    gate = op.gate.sub_gate if isinstance(op.gate, cirq.ControlledGate) else op.gate
    slope = float(sympy.diff(gate.exponent, sympy.Symbol(symbol)))
    offset = float(sympy.sympify(gate.exponent).subs({**values, symbol: 0.0}))
    power = 1 / 16  # its logarithm is the principal one
    small = _matrix(op, {**values, symbol: (power - offset) / slope})
    triangle, basis = scipy.linalg.schur(small, output="complex")
    logarithm = basis @ np.diag(np.log(np.diag(triangle))) @ basis.conj().T
    return slope / power * logarithm


def surrounded(*operations):
    """The operations between fixed layers, so that every observable depends on every gate."""
    before = [cirq.ry(0.4 + q.x)(q) for q in QUBITS] + [cirq.CZ(A, B), cirq.CNOT(B, C)]
    after = [cirq.CNOT(C, A), cirq.rx(1.1)(A), cirq.ry(0.7)(B), cirq.ISWAP(B, C) ** 0.3]
    return cirq.Circuit(before, operations, after)


ONE_FREQUENCY = {
    "rx": cirq.rx(T)(A),
    "ry": cirq.ry(T)(A),
    "rz": cirq.rz(T)(A),
    "X**t": cirq.X(B) ** T,
    "Z**(2t+1)": cirq.Z(B) ** (2 * T + 1),
    "H**t": cirq.H(A) ** T,
    "CZ**t": cirq.CZ(A, C) ** T,
    "CNOT**(-t/3)": cirq.CNOT(A, C) ** (-T / 3),
    "SWAP**t": cirq.SWAP(A, B) ** T,
    "XX**t": cirq.XX(A, B) ** T,
    "ZZ with global shift": cirq.ZZPowGate(exponent=T, global_shift=-0.5)(A, B),
    "PhasedX": cirq.PhasedXPowGate(phase_exponent=0.3, exponent=T)(C),
    "PhasedX, other symbol in its phase": cirq.PhasedXPowGate(phase_exponent=U, exponent=T)(C),
    "CCZ**t": cirq.CCZ(A, B, C) ** T,
    "controlled Z**t": cirq.ControlledGate(cirq.Z**T)(A, B),
    "controlled PhasedX": cirq.PhasedXPowGate(phase_exponent=0.3, exponent=T).controlled()(A, B),
}
TWO_FREQUENCIES = {
    "controlled rx": cirq.rx(T).controlled()(A, B),
    "controlled ry, operation": cirq.ry(T)(B).controlled_by(A),
    "rz on control value 0": cirq.ControlledGate(cirq.rz(T), control_values=[0])(A, B),
    "doubly controlled ry": cirq.ry(T).controlled(2)(A, B, C),
    "ISWAP**t": cirq.ISWAP(A, B) ** T,
    "PhasedISWAP": cirq.PhasedISwapPowGate(phase_exponent=0.2, exponent=T)(A, B),
    "controlled ZZ with global shift": cirq.ControlledGate(
        cirq.ZZPowGate(exponent=T, global_shift=-0.5)
    )(C, A, B),
}


@pytest.mark.parametrize("name", [*ONE_FREQUENCY, *TWO_FREQUENCIES])
@pytest.mark.parametrize("t", [0.0, 0.83, -2.4])
def test_each_gate_agrees_with_its_generator(name, t):
    op = {**ONE_FREQUENCY, **TWO_FREQUENCIES}[name]
    circuit = surrounded(op)
    values = {"t": t, "u": 0.6}
    expected = by_generators(circuit, values)
    assert np.abs(expected).max() > 1e-3  # the derivative is there to be missed
    np.testing.assert_allclose(by_shifts(circuit, values), expected, atol=1e-10)


@pytest.mark.parametrize("name", ONE_FREQUENCY)
def test_one_frequency_costs_two_circuits(name):
    assert len(shift_terms(surrounded(ONE_FREQUENCY[name]), "t")) == 2


@pytest.mark.parametrize("name", TWO_FREQUENCIES)
def test_two_frequencies_cost_four_circuits(name):
    assert len(shift_terms(surrounded(TWO_FREQUENCIES[name]), "t")) == 4


def test_rotation_gives_the_equation_of_the_paper():
    up, down = shift_terms(cirq.Circuit(cirq.rx(T)(A)), "t")
    assert (up.coefficient, down.coefficient) == (pytest.approx(0.5), pytest.approx(-0.5))
    for term, angle in ((up, np.pi / 2), (down, -np.pi / 2)):
        bound = cirq.resolve_parameters(term.circuit, {"t": 0.2})
        expected = cirq.unitary(cirq.rx(0.2 + angle))
        np.testing.assert_allclose(cirq.unitary(bound), expected, atol=1e-12)


def test_two_term_rule_would_be_wrong_for_a_controlled_rotation():
    circuit = surrounded(TWO_FREQUENCIES["controlled rx"])
    plus, minus = (
        evaluate(cirq.resolve_parameters(circuit, {"t": 0.83 + s})) for s in (np.pi / 2, -np.pi / 2)
    )
    assert np.abs((plus - minus) / 2 - by_generators(circuit, {"t": 0.83})).max() > 0.01


def test_symbol_that_drives_several_gates():
    circuit = surrounded(
        cirq.rx(T)(A), cirq.CZ(A, B), cirq.ry(2 * T)(B), cirq.ry(T).controlled()(B, C),
        cirq.rx(0.5 - T)(A), cirq.ZZ(A, C) ** (T / 3),
    )
    assert len(shift_terms(circuit, "t")) == 2 + 2 + 4 + 2 + 2
    for t in (0.0, 1.3):
        np.testing.assert_allclose(
            by_shifts(circuit, {"t": t}), by_generators(circuit, {"t": t}), atol=1e-10
        )


def test_shared_symbol_in_closed_form():
    circuit = cirq.Circuit(cirq.rx(T)(A), cirq.rx(T)(A))  # <Z0> = cos 2t
    assert by_shifts(circuit, {"t": 0.3})[0] == pytest.approx(-2 * np.sin(0.6), abs=1e-12)


GATES = st.sampled_from([*ONE_FREQUENCY.values(), *TWO_FREQUENCIES.values()])
FIXED = st.sampled_from([cirq.H(A), cirq.CZ(A, B), cirq.CNOT(C, B), cirq.T(C), cirq.ry(0.9)(B)])


@settings(max_examples=40, deadline=None)
@given(
    operations=st.lists(st.one_of(GATES, FIXED), min_size=1, max_size=7),
    t=st.floats(-7, 7),
    u=st.floats(-2, 2),
)
def test_random_circuits(operations, t, u):
    circuit = surrounded(*operations, cirq.rx(T)(B))
    values = {"t": t, "u": u}
    np.testing.assert_allclose(
        by_shifts(circuit, values), by_generators(circuit, values), atol=1e-9
    )


def test_gradient_of_an_ansatz_has_a_row_a_symbol():
    ansatz = hardware_efficient_ansatz(3, 2)
    values = dict(zip(ansatz.symbols, ansatz.initial_weights(seed=4).astype(float), strict=True))
    gradient = parameter_shift_gradient(ansatz.circuit, ansatz.symbols, values, evaluate)
    assert gradient.shape == (ansatz.n_weights, len(OBSERVABLES))
    assert gradient.dtype == np.float64
    for symbol in (ansatz.symbols[0], ansatz.symbols[13], ansatz.symbols[-2]):
        np.testing.assert_allclose(
            gradient[ansatz.symbols.index(symbol)],
            by_generators(ansatz.circuit, values, symbol),
            atol=1e-10,
        )


def test_tags_and_other_gates_stay_where_they_are():
    circuit = cirq.Circuit(cirq.rx(T)(A).with_tags("trained"), cirq.rx(T)(B), cirq.CZ(A, B))
    terms = shift_terms(circuit, "t")
    assert len(terms) == 4
    for term in terms:
        assert len(term.circuit) == len(circuit)
        assert [moment.qubits for moment in term.circuit] == [moment.qubits for moment in circuit]
    assert terms[0].circuit.operation_at(A, 0).tags == ("trained",)
    assert circuit == cirq.Circuit(
        cirq.rx(T)(A).with_tags("trained"), cirq.rx(T)(B), cirq.CZ(A, B)
    )  # the argument is not changed


def test_frozen_circuit_is_a_circuit():
    assert len(shift_terms(cirq.Circuit(cirq.rx(T)(A)).freeze(), "t")) == 2


# ---- shift_rule --------------------------------------------------------------------------------

FREQUENCIES = st.lists(st.integers(1, 40), min_size=1, max_size=4, unique=True).map(
    lambda quarters: [q / 4 for q in quarters]
)


@settings(max_examples=100, deadline=None)
@given(frequencies=FREQUENCIES, seed=st.integers(0, 2**31), t=st.floats(-5, 5))
def test_rule_differentiates_every_trigonometric_polynomial(frequencies, seed, t):
    rng = np.random.default_rng(seed)
    omega = np.array(frequencies)
    cosines, sines = rng.normal(size=(2, len(omega)))

    def f(x):
        return 0.7 + cosines @ np.cos(omega * x) + sines @ np.sin(omega * x)

    derivative = omega @ (sines * np.cos(omega * t) - cosines * np.sin(omega * t))
    rule = shift_rule(frequencies)
    assert len(rule) == 2 * len(frequencies)
    noise = 1e-12 * sum(abs(c) for c, _ in rule) * (1 + np.abs([cosines, sines]).sum())
    assert sum(c * f(t + s) for c, s in rule) == pytest.approx(derivative, abs=1e-9 + noise)


def test_rule_for_one_frequency():
    (c, s), (d, r) = shift_rule([1.0])
    assert (c, s, d, r) == pytest.approx((0.5, np.pi / 2, -0.5, -np.pi / 2))


@pytest.mark.parametrize("frequencies", [[1, 4], [1, 2, 4, 8], [0.25, 1.0, 1.25]])
def test_rule_where_equidistant_shifts_are_singular_or_costly(frequencies):
    # Bernstein: the sum of |coefficients| is at least the largest frequency; stay within reach.
    cost = sum(abs(c) for c, _ in shift_rule(frequencies))
    assert max(frequencies) - 1e-9 <= cost < 4 * max(frequencies)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_rule_for_equidistant_frequencies_costs_the_least_possible(n):
    frequencies = 0.5 * np.arange(1, n + 1)
    assert sum(abs(c) for c, _ in shift_rule(frequencies)) == pytest.approx(0.5 * n)


# ---- bad input -----------------------------------------------------------------------------------


def test_unknown_symbol_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"symbol must be one of \['t'\], got 'v'"):
        shift_terms(cirq.Circuit(cirq.rx(T)(A)), "v")


def test_circuit_must_be_a_circuit():
    with pytest.raises(TypeError, match="circuit must be a cirq.Circuit, got int"):
        shift_terms(3, "t")


@pytest.mark.parametrize(
    ("op", "words"),
    [
        (cirq.FSimGate(T, 0.1)(A, B), ["no shift rule", "FSim", "LineQubit(1)"]),
        (cirq.rx(T**2)(A), ["number times 't'", "Rx", "LineQubit(0)"]),
        (cirq.rx(T * U)(A), ["number times 't'", "Rx", "LineQubit(0)"]),
        (cirq.PhasedXPowGate(phase_exponent=T)(A), ["'t'", "PhX", "otherwise"]),
        (
            cirq.PhasedISwapPowGate(phase_exponent=T, exponent=0.5)(A, B),
            ["'t'", "PhasedISWAP", "otherwise"],
        ),
        (
            cirq.PhasedXPowGate(phase_exponent=T, exponent=T)(A),
            ["'t'", "PhX", "otherwise"],
        ),
        (cirq.rx(T)(A).with_classical_controls("m"), ["no shift rule", "LineQubit(0)"]),
        (
            cirq.CircuitOperation(cirq.FrozenCircuit(cirq.rx(T)(A)), use_repetition_ids=False),
            ["no shift rule", "Rx"],
        ),
    ],
)
def test_gate_without_a_rule_is_named(op, words):
    with pytest.raises(ValueError) as caught:
        shift_terms(cirq.Circuit(cirq.H(A), op), "t")
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "frequencies", [[], [0.0], [-1.0], [np.inf], [np.nan], [1.0, 1.0], [[1.0, 2.0]]]
)
def test_rule_refuses_bad_frequencies(frequencies):
    with pytest.raises(ValueError, match="frequencies must be"):
        shift_rule(frequencies)


@pytest.mark.parametrize("frequencies", [["fast"], 1.0, None])
def test_rule_refuses_what_is_no_list_of_numbers(frequencies):
    with pytest.raises(TypeError, match="frequencies must be a list of numbers"):
        shift_rule(frequencies)


def test_rule_refuses_frequencies_it_cannot_tell_apart():
    with pytest.raises(ValueError, match="too close"):
        shift_rule([1.0, 1.0 + 1e-12])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"symbols": "t"}, "symbols must be a list of names, got 't'"),
        ({"symbols": None}, "symbols must be a list of names, got None"),
        ({"values": [0.2]}, r"values must be of class Mapping, got \[0.2\]"),
        ({"expectation": None}, "expectation must be a function, got None"),
    ],
)
def test_arguments_of_the_wrong_type_are_named(change, message):
    arguments = {"symbols": ["t"], "values": {"t": 0.2}, "expectation": evaluate} | change
    with pytest.raises(TypeError, match=message):
        parameter_shift_gradient(cirq.Circuit(cirq.rx(T)(A)), **arguments)
