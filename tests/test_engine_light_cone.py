"""The light cone is exact, and as small as it should be."""

import cirq
import numpy as np
import pytest
import sympy
from test_engine_program import chain, random_inputs

from qkdlib.core import hardware_efficient_ansatz, pauli_string
from qkdlib.engine import Program, reference


def test_observables_at_one_end_of_a_long_chain_need_six_qubits():
    circuit, weights, data, qubits = chain(15, 4)
    program = Program(circuit, weights, data, [cirq.Z(qubits[0]), cirq.Z(qubits[1])])
    assert program._plan("product").tables.n == 6


@pytest.mark.parametrize("entangler", [cirq.CZ, cirq.CNOT, cirq.SWAP**0.5])
@pytest.mark.parametrize("final", [True, False])
def test_it_changes_no_value_and_no_gradient(entangler, final):
    circuit, weights, data, qubits = chain(8, 2, entangler, final)
    observables = [cirq.Z(qubits[0]), cirq.X(qubits[1]) * cirq.Z(qubits[0])]
    w, x = random_inputs(weights, data, 7)
    results = [
        Program(circuit, weights, data, observables, light_cone=on).value_and_grad(w, x)
        for on in (True, False)
    ]
    np.testing.assert_allclose(results[0][0], results[1][0], atol=1e-6)
    np.testing.assert_allclose(results[0][1].weights, results[1][1].weights, atol=5e-6)
    np.testing.assert_allclose(results[0][1].data, results[1][1].data, atol=2e-6)


def test_weights_outside_it_have_gradient_zero():
    circuit, weights, data, qubits = chain(6, 1)
    w, x = random_inputs(weights, data, 4)
    program = Program(circuit, weights, data, [cirq.Z(qubits[0])])
    _, gradients = program.value_and_grad(w, x)
    # Two of three layers of CZ and rotations reach qubit 0: its own, and its neighbour's first.
    reached = {*range(0, 6), 18, 19}
    seen = {i for i, g in enumerate(gradients.weights) if g != 0}
    assert seen <= reached
    assert {3, 18, 19} <= seen
    assert np.all(gradients.data[:, 2:] == 0)
    assert np.all(gradients.data[:, :2] != 0)


def test_a_last_layer_of_cz_is_invisible_to_z():
    circuit, weights, data, qubits = chain(5, 1, cirq.CZ, final=False)
    program = Program(circuit, weights, data, [cirq.Z(qubits[2])])
    assert program._plan("product").tables.n == 1
    program = Program(circuit, weights, data, [cirq.X(qubits[2])])
    assert program._plan("product").tables.n == 3


def test_a_ring_of_cz_reaches_only_neighbours():
    qubits = cirq.LineQubit.range(9)
    circuit = cirq.Circuit(cirq.ry(0.3)(q) for q in qubits)
    circuit.append(cirq.CZ(q, qubits[(q.x + 1) % 9]) for q in qubits)
    circuit.append(cirq.ry(0.5)(q) for q in qubits)
    program = Program(circuit, (), (), [cirq.Z(qubits[0])])
    assert program._plan("product").tables.n == 3
    full = Program(circuit, (), (), [cirq.Z(qubits[0])], light_cone=False)
    np.testing.assert_allclose(program.expectation([]), full.expectation([]), atol=1e-6)


def test_it_leaves_output_states_alone():
    circuit, weights, data, qubits = chain(4, 1)
    w, x = random_inputs(weights, data, 3)
    states = [
        Program(circuit, weights, data, [cirq.Z(qubits[0])], light_cone=on).output_states(w, x)
        for on in (True, False)
    ]
    assert states[0].shape == (3, 16)
    np.testing.assert_array_equal(*states)


def test_an_observable_that_sees_nothing_is_a_constant():
    qubits = cirq.LineQubit.range(2)
    circuit = cirq.Circuit(cirq.ry(0.3)(qubits[0]))
    program = Program(circuit, (), (), [cirq.Z(qubits[1]) * 0.5, cirq.PauliSum() + 2.0])
    np.testing.assert_allclose(program.expectation([]), [[0.5, 2.0]], atol=1e-6)


# --- Told in Cirq's terms -------------------------------------------------------------------------


def light_cone(ansatz, observables):
    observables = observables if isinstance(observables, list) else [observables]
    return Program(ansatz.circuit, ansatz.symbols, (), observables).light_cone()


@pytest.mark.parametrize("entangler", ["cz", "cnot"])
@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_light_cone_of_the_first_qubit_grows_by_one_a_layer(n_layers, entangler):
    ansatz = hardware_efficient_ansatz(6, n_layers, entangler=entangler)
    cone = light_cone(ansatz, pauli_string("Z0", 6))
    assert cone.qubits == frozenset(cirq.LineQubit.range(n_layers + 1))


def test_light_cone_of_czs_is_the_same_from_both_ends():
    # Gates of a CZ layer commute, so the order in which they were written must not matter.
    ansatz = hardware_efficient_ansatz(6, 2)
    last = light_cone(ansatz, pauli_string("Z5", 6))
    assert last.qubits == frozenset(cirq.LineQubit.range(3, 6))
    middle = light_cone(ansatz, pauli_string("Z3", 6))
    assert middle.qubits == frozenset(cirq.LineQubit.range(1, 6))


def test_light_cone_of_a_cnot_staircase_reaches_everything_from_its_end():
    ansatz = hardware_efficient_ansatz(6, 1, entangler="cnot")
    cone = light_cone(ansatz, pauli_string("Z5", 6))
    assert cone.qubits == frozenset(ansatz.qubits)


def test_light_cone_of_several_observables_is_their_union():
    ansatz = hardware_efficient_ansatz(5, 1)
    both = light_cone(ansatz, [pauli_string("Z0", 5), pauli_string("X4", 5)])
    assert both.qubits == frozenset(ansatz.qubits[i] for i in (0, 1, 3, 4))
    total = light_cone(ansatz, pauli_string("Z0", 5) + pauli_string("X4", 5))
    assert total == both


def test_diagonal_gates_before_a_diagonal_observable_are_outside():
    ansatz = hardware_efficient_ansatz(3, 1, final_rotations=False)
    cone = light_cone(ansatz, pauli_string("Z1", 3))
    assert cone.qubits == {cirq.LineQubit(1)}
    # Of RX, RY, RZ on qubit 1 the last is a turn about the measured axis.
    assert cone.symbols == {ansatz.symbols[3], ansatz.symbols[4]}
    assert sum(cone.inside) == 2
    x = light_cone(ansatz, pauli_string("X1", 3))
    assert x.qubits == frozenset(ansatz.qubits)


@pytest.mark.parametrize("text", ["Z0", "Z2", "X4", "Z1 Y3"])
@pytest.mark.parametrize("entangler", ["cz", "cnot"])
def test_weights_outside_the_light_cone_have_gradient_exactly_zero(text, entangler):
    ansatz = hardware_efficient_ansatz(5, 2, entangler=entangler)
    observable = pauli_string(text, 5)
    cone = light_cone(ansatz, observable)
    outside = [i for i, name in enumerate(ansatz.symbols) if name not in cone.symbols]
    inside = [i for i, name in enumerate(ansatz.symbols) if name in cone.symbols]
    assert outside
    # By the reference simulator, which knows of no light cone: a shift by pi changes nothing.
    weights = np.random.default_rng(0).uniform(0, 2 * np.pi, (1, ansatz.n_weights))
    shifts = np.vstack([np.zeros(ansatz.n_weights), np.pi * np.eye(ansatz.n_weights)])
    values = reference.expectation(
        ansatz.circuit, ansatz.symbols, weights + shifts, [observable], ansatz.qubits
    )[:, 0]
    change = np.abs(values[1:] - values[0])
    assert change[outside].max() < 1e-12
    # The cone is not too wide either: most of what is inside matters.
    assert np.mean(change[inside] > 1e-6) > 0.8


def test_global_phases_and_identities_are_outside_and_data_symbols_are_symbols():
    a, b = cirq.LineQubit.range(2)
    x, w = sympy.symbols("x w")
    circuit = cirq.Circuit(cirq.I(a), cirq.rx(x)(a), cirq.X(b) ** w, cirq.global_phase_operation(1j))
    cone = Program(circuit, ["w"], ["x"], [cirq.Z(a)], light_cone=False).light_cone()
    inside = [op for op, seen in zip(circuit.all_operations(), cone.inside, strict=True) if seen]
    assert inside == [cirq.rx(x)(a)]
    assert (cone.qubits, cone.symbols) == ({a}, {"x"})
    nothing = Program(circuit, ["w"], ["x"]).light_cone()
    assert (nothing.qubits, nothing.symbols, any(nothing.inside)) == (set(), set(), False)
