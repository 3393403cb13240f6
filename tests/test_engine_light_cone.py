"""The light cone is exact, and as small as it should be."""

import cirq
import numpy as np
import pytest
from test_engine_program import chain, random_inputs

from qkdlib.engine import Program


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
