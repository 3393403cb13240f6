"""Encodings, ansatz and observables against Cirq's simulator and closed forms."""

import cirq
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qkdlib.core import (
    amplitude_encoding,
    angle_encoding,
    basis_encoding,
    hardware_efficient_ansatz,
    initial_weights,
    pauli_string,
    phase_encoding,
    z_observables,
)
from qkdlib.engine import reference

reals = st.floats(-1e6, 1e6, allow_nan=False, allow_subnormal=False)


def state_of(circuit, n_qubits):
    simulator = cirq.Simulator(dtype=np.complex128)
    return simulator.simulate(
        circuit, qubit_order=cirq.LineQubit.range(n_qubits)
    ).final_state_vector


@given(st.lists(st.integers(0, 1), min_size=1, max_size=6))
def test_basis_encoding_prepares_the_basis_state_of_its_bits(bits):
    state = state_of(basis_encoding(len(bits)).bind(bits), len(bits))
    assert abs(state[int("".join(map(str, bits)), 2)]) == pytest.approx(1)


@given(hnp.arrays(float, st.integers(1, 5), elements=st.floats(-10, 10)), st.sampled_from("xy"))
def test_angle_encoding_is_a_product_of_rotations(features, axis):
    encoding = angle_encoding(len(features), axis=axis, scale=0.7)
    half = 0.35 * features
    off = np.sin(half) * (1 if axis == "y" else -1j)
    expected = cirq.kron(*np.stack([np.cos(half), off], axis=1)).reshape(-1)
    np.testing.assert_allclose(
        state_of(encoding.bind(features), len(features)), expected, atol=1e-7
    )


@given(hnp.arrays(float, st.integers(1, 5), elements=st.floats(-10, 10)))
def test_phase_encoding_turns_each_feature_into_a_phase(features):
    encoding = phase_encoding(len(features))
    pairs = np.stack([np.ones(len(features)), np.exp(1j * np.pi * features)], axis=1) / np.sqrt(2)
    np.testing.assert_allclose(
        state_of(encoding.bind(features), len(features)), cirq.kron(*pairs).reshape(-1), atol=1e-6
    )


def test_phase_encoding_of_bits_gives_plus_and_minus():
    state = state_of(phase_encoding(2).bind([0, 1]), 2)
    np.testing.assert_allclose(state, np.array([1, -1, 1, -1]) / 2, atol=1e-7)


@given(st.integers(1, 5).flatmap(lambda n: hnp.arrays(float, 2**n, elements=reals)))
def test_amplitude_encoding_prepares_any_real_vector(vector):
    if not np.any(vector):
        return
    n_qubits = len(vector).bit_length() - 1
    state = state_of(amplitude_encoding(n_qubits).bind(vector), n_qubits)
    np.testing.assert_allclose(state, vector / np.linalg.norm(vector), atol=2e-7)


@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_amplitude_encoding_prepares_any_complex_vector_up_to_global_phase(n_qubits, seed):
    rng = np.random.default_rng(seed)
    vector = rng.normal(size=2**n_qubits) + 1j * rng.normal(size=2**n_qubits)
    vector *= rng.integers(0, 2, 2**n_qubits)  # some amplitudes exactly zero
    if not np.any(vector):
        return
    encoding = amplitude_encoding(n_qubits, complex_amplitudes=True)
    overlap = np.vdot(vector / np.linalg.norm(vector), state_of(encoding.bind(vector), n_qubits))
    assert abs(overlap) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1.0, 1e200])
def test_amplitude_encoding_does_not_care_for_the_length_of_the_vector(scale):
    encoding = amplitude_encoding(2)
    vector = np.array([3.0, -4.0, 0.0, 1.0])
    np.testing.assert_allclose(encoding.angles(scale * vector), encoding.angles(vector))


def test_amplitude_encoding_pads_short_vectors_with_zeros():
    state = state_of(amplitude_encoding(3).bind([1, 1, 1, 1, 1]), 3)
    np.testing.assert_allclose(state, [5**-0.5] * 5 + [0] * 3, atol=1e-7)


@pytest.mark.parametrize("n_qubits", range(1, 7))
def test_amplitude_encoding_costs_what_its_docstring_says(n_qubits):
    def count(encoding, gate_type):
        return sum(isinstance(op.gate, gate_type) for op in encoding.circuit.all_operations())

    real, both = amplitude_encoding(n_qubits), amplitude_encoding(n_qubits, complex_amplitudes=True)
    assert count(real, cirq.Ry) == 2**n_qubits - 1
    assert count(real, cirq.CXPowGate) == 2**n_qubits - 2
    assert len(list(both.circuit.all_operations())) == 2 * len(list(real.circuit.all_operations()))


def test_encodings_encode_a_batch_row_by_row():
    rng = np.random.default_rng(0)
    for encoding in (angle_encoding(3), phase_encoding(3), amplitude_encoding(3)):
        batch = rng.normal(size=(4, encoding.n_features))
        angles = encoding.angles(batch)
        assert angles.shape == (4, len(encoding.symbols))
        for sample, row in zip(batch, angles, strict=True):
            np.testing.assert_array_equal(encoding.angles(sample)[0], row)


def test_symbols_sort_as_strings_in_their_own_order():
    for symbols in (amplitude_encoding(7).symbols, hardware_efficient_ansatz(15, 30).symbols):
        assert list(symbols) == sorted(symbols)


@pytest.mark.parametrize("make", [basis_encoding, angle_encoding, phase_encoding])
def test_encodings_name_what_is_wrong(make):
    with pytest.raises(ValueError, match="n_qubits must be at least 1, got 0"):
        make(0)
    with pytest.raises(TypeError, match="n_qubits must be an integer, got 2.0"):
        make(2.0)
    encoding = make(2)
    with pytest.raises(ValueError, match=r"features must have shape \[batch, 2\], got \(1, 3\)"):
        encoding.angles([[0, 1, 0]])
    with pytest.raises(ValueError, match="row 1 holds NaN or infinity"):
        encoding.angles([[0, 1], [np.nan, 1]])
    with pytest.raises(TypeError, match="features must be an array"):
        encoding.angles([["a", "b"]])
    with pytest.raises(TypeError, match="features must be an array"):
        encoding.angles(np.array([[1j, 0]]))


def test_amplitude_encoding_names_what_is_wrong():
    encoding = amplitude_encoding(2)
    with pytest.raises(ValueError, match=r"must not be a zero vector \(row 1\)"):
        encoding.angles([[1, 0, 0, 0], [0, 0, 0, 0]])
    with pytest.raises(ValueError, match="at most 2\\*\\*n_qubits = 4 columns, got 5"):
        encoding.angles(np.ones(5))
    with pytest.raises(ValueError, match="row 0 holds NaN"):
        encoding.angles([np.inf, 1])
    with pytest.raises(TypeError, match="features must be an array"):
        encoding.angles(np.array([1j, 0]))


def test_basis_encoding_refuses_what_is_no_bit():
    with pytest.raises(ValueError, match="must be 0 or 1, got 0.5"):
        basis_encoding(2).angles([0, 0.5])


@given(
    st.integers(1, 5),
    st.integers(1, 4),
    st.sampled_from(["xyz", "y", "zx", "zyz"]),
    st.sampled_from(["cz", "cnot"]),
    st.sampled_from(["chain", "ring"]),
    st.booleans(),
)
def test_ansatz_has_the_gates_that_its_options_ask_for(n, layers, rotations, gate, topology, final):
    ansatz = hardware_efficient_ansatz(
        n, layers, rotations=rotations, entangler=gate, topology=topology, final_rotations=final
    )
    assert ansatz.n_weights == n * len(rotations) * (layers + final)
    operations = list(ansatz.circuit.all_operations())
    entanglers = [op for op in operations if len(op.qubits) == 2]
    per_layer = n if topology == "ring" and n > 2 else n - 1
    assert len(entanglers) == layers * per_layer
    expected = {"cz": cirq.CZ, "cnot": cirq.CNOT}[gate]
    assert all(op.gate == expected for op in entanglers)
    assert len(operations) == len(entanglers) + ansatz.n_weights
    assert cirq.is_unitary(cirq.unitary(ansatz.bind(ansatz.initial_weights(seed=1))))


def test_ansatz_is_the_circuit_of_the_paper_written_out_by_hand():
    ansatz = hardware_efficient_ansatz(3, 1, rotations="xy")
    w = np.arange(1.0, 13.0) / 10
    q = cirq.LineQubit.range(3)
    by_hand = cirq.Circuit(
        [(cirq.rx(w[2 * i])(q[i]), cirq.ry(w[2 * i + 1])(q[i])) for i in range(3)],
        cirq.CZ(q[0], q[1]),
        cirq.CZ(q[1], q[2]),
        [(cirq.rx(w[6 + 2 * i])(q[i]), cirq.ry(w[7 + 2 * i])(q[i])) for i in range(3)],
    )
    np.testing.assert_allclose(
        state_of(ansatz.bind(w), 3), state_of(by_hand, 3), atol=1e-7
    )


def test_initial_weights_follow_their_seed():
    ansatz = hardware_efficient_ansatz(4, 20)
    a, b, c = (ansatz.initial_weights(seed=s) for s in (3, 3, 4))
    np.testing.assert_array_equal(a, b)
    assert (a != c).all()
    assert a.min() >= 0
    assert a.max() < 2 * np.pi
    assert a.mean() == pytest.approx(np.pi, abs=0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_qubits": 0}, "n_qubits must be at least 1"),
        ({"n_layers": 0}, "n_layers must be at least 1"),
        ({"rotations": ""}, "rotations must be letters"),
        ({"rotations": "xq"}, "rotations must be letters"),
        ({"entangler": "swap"}, "entangler must be one of 'cz', 'cnot', got 'swap'"),
        ({"topology": "star"}, "topology must be one of"),
    ],
)
def test_ansatz_names_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        hardware_efficient_ansatz(**{"n_qubits": 2, "n_layers": 1, **arguments})


@given(st.integers(2, 5), st.integers(0, 10**6))
def test_pauli_strings_have_cirqs_expectation_values(n_qubits, seed):
    rng = np.random.default_rng(seed)
    letters = {i: rng.choice(list("XYZ")) for i in rng.permutation(n_qubits)[:2]}
    observable = pauli_string(" ".join(f"{p}{i}" for i, p in letters.items()), n_qubits)
    ansatz = hardware_efficient_ansatz(n_qubits, 1)
    weights = ansatz.initial_weights(seed=seed)
    matrix = cirq.kron(
        *(cirq.unitary(getattr(cirq, letters[i])) if i in letters else np.eye(2)
          for i in range(n_qubits))
    )
    state = state_of(ansatz.bind(weights), n_qubits)
    got = reference.expectation(
        ansatz.circuit, ansatz.symbols, weights, [observable], ansatz.qubits
    )
    assert got[0, 0] == pytest.approx(np.vdot(state, matrix @ state).real, abs=1e-6)


@pytest.mark.parametrize("text", ["", "Z", "W0", "Z0Z1", "Z0 Z0", "Z3", "z0", "Z-1"])
def test_pauli_strings_refuse_other_text(text):
    with pytest.raises(ValueError, match="a Pauli string must"):
        pauli_string(text, 3)


def test_z_observables_need_a_qubit_per_class():
    assert len(z_observables(3, 3)) == 3
    with pytest.raises(ValueError, match="n_classes must be from 1 to 2, got 3"):
        z_observables(3, 2)


ANSATZ = hardware_efficient_ansatz(2, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ANSATZ.bind([1.0, 2.0]), r"weights must have shape \[12\], got \(2,\)"),
        (lambda: ANSATZ.bind(np.zeros((2, 12))), r"weights must have shape \[12\], got \(2, 12\)"),
        (lambda: ANSATZ.bind("abc"), "weights must be real numbers, got 'abc'"),
        (lambda: ANSATZ.bind(None), "weights must be real numbers, got None"),
        (lambda: ANSATZ.bind(np.full(12, np.nan)), "weights must be finite"),
        (lambda: angle_encoding(2).bind([[0, 1], [1, 0]]), "sample must be one sample .* got 2 rows"),
        (lambda: angle_encoding(2).bind(None), r"features must have shape \[batch, 2\]"),
        (lambda: angle_encoding(2, axis="z"), "axis must be one of 'x', 'y', got 'z'"),
        (lambda: angle_encoding(2, scale=np.nan), "scale must be a finite number"),
        (lambda: amplitude_encoding(20), "n_qubits must be from 1 to 14, got 20"),
        (lambda: initial_weights(-1, seed=0), "n_weights must be at least 0, got -1"),
        (lambda: initial_weights(3, seed=None), "seed must be an integer, got None"),
        (lambda: initial_weights(3, seed=-1), "seed must be from 0 to"),
        (lambda: initial_weights(3, seed=2**63), "seed must be from 0 to"),
        (lambda: pauli_string(3, 2), "a Pauli string must be text"),
        (lambda: z_observables(2.5, 2), "n_classes must be an integer"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_seeds_may_be_large():
    assert initial_weights(3, seed=2**33).shape == (3,)
