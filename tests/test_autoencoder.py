"""The quantum autoencoder and mixed states against Cirq's density-matrix simulator."""

import cirq
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qkdlib.circuits import Ansatz, amplitude_encoding, hardware_efficient_ansatz, z_observables
from qkdlib.models import QNN
from qkdlib.models.autoencoder import QuantumAutoencoder, grow, trash_observable
from qkdlib.simulation import reference, tfq_available
from qkdlib.simulation.density import (
    best_subspace,
    check_density,
    encoded_density,
    fidelity,
    purify,
    purity,
)

from qkdlib._tensorflow import keras  # isort: skip

needs_tfq = pytest.mark.skipif(not tfq_available(), reason="TensorFlow Quantum has no wheel here")


def random_states(n_states, n_qubits, seed):
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(n_states, 2**n_qubits)) + 1j * rng.normal(size=(n_states, 2**n_qubits))
    return states / np.linalg.norm(states, axis=1, keepdims=True)


def random_density(n_states, n_qubits, seed):
    return encoded_density(random_states(n_states, 2 * n_qubits, seed), n_qubits)


def autoencoder(n_qubits=4, n_kept=2, n_layers=2, **options):
    ansatz = hardware_efficient_ansatz(n_qubits, n_layers)
    return QuantumAutoencoder(ansatz, n_kept, **{"seed": 3, **options})


@settings(max_examples=15)
@given(st.integers(2, 5), st.integers(0, 10**6))
def test_encoding_is_cirqs_partial_trace(n_qubits, seed):
    states = random_states(3, n_qubits, seed)
    n_kept = 1 + seed % (n_qubits - 1)
    for state, density in zip(states, encoded_density(states, n_kept), strict=True):
        full = np.outer(state, state.conj()).reshape([2] * (2 * n_qubits))
        expected = cirq.partial_trace(full, range(n_kept)).reshape(2**n_kept, 2**n_kept)
        np.testing.assert_allclose(density, expected, atol=1e-6)


def test_the_whole_code_is_cirqs_circuit_with_a_reset():
    qae, states = autoencoder(), random_states(3, 4, 1)
    q = cirq.LineQubit.range(4)
    bound = qae.ansatz.bind(qae.theta.numpy())
    circuit = bound + cirq.Circuit(cirq.reset_each(*q[2:])) + cirq.inverse(bound)
    simulator = cirq.DensityMatrixSimulator(dtype=np.complex128)
    decoded = qae.decode(qae.encode(states))
    for state, density, score in zip(states, decoded, qae.fidelity(states), strict=True):
        expected = simulator.simulate(circuit, initial_state=state).final_density_matrix
        np.testing.assert_allclose(density, expected, atol=2e-6)
        assert score == pytest.approx(np.vdot(state, expected @ state).real, abs=2e-6)


def test_scores_are_what_the_module_says():
    qae, states = autoencoder(), random_states(20, 4, 2)
    f, p = qae.fidelity(states), qae.trash(states)
    assert (f <= p + 1e-6).all()
    assert (f >= p**2 - 1e-6).all()
    np.testing.assert_allclose(qae.predict(states, verbose=0), f, atol=1e-5)
    trash = autoencoder(cost="trash", engine="adjoint")
    np.testing.assert_allclose(trash.predict(states, verbose=0), p, atol=1e-5)
    local = autoencoder(cost="local_trash", engine="adjoint").predict(states, verbose=0)
    output = qae.output_states(states)
    zero = [np.abs(output.reshape(-1, *[2] * 4).take(0, axis=1 + i)) ** 2 for i in (2, 3)]
    np.testing.assert_allclose(local, np.mean([z.sum((1, 2, 3)) for z in zero], axis=0), atol=1e-5)


@pytest.mark.parametrize("cost", ["trash", "local_trash"])
def test_trash_observables_have_their_largest_value_where_all_trash_is_zero(cost):
    observable = trash_observable(4, 2, cost)
    matrix = observable.matrix(cirq.LineQubit.range(4))
    diagonal = np.diag(matrix).real
    assert np.abs(matrix - np.diag(diagonal)).max() == 0
    np.testing.assert_array_equal(np.flatnonzero(diagonal == 1), [0, 4, 8, 12])


def test_the_encoder_followed_by_its_inverse_is_the_identity():
    qae, states = autoencoder(n_layers=3), random_states(4, 4, 12)
    back = cirq.inverse(qae.ansatz.bind(qae.theta.numpy()))
    encoded = qae.output_states(states)
    assert np.abs(encoded - states).max() > 0.1
    returned = reference.output_states(back, [], [[]], qae.ansatz.qubits, encoded)
    np.testing.assert_allclose(returned, states, atol=1e-5)


def test_an_encoder_that_does_nothing_keeps_product_states():
    ansatz = hardware_efficient_ansatz(3, 2)  # two CZ layers cancel
    qae = QuantumAutoencoder(ansatz, 1, seed=0)
    qae.theta.assign(np.zeros(ansatz.n_weights, np.float32))
    kept = np.zeros((1, 8), complex)
    kept[0, [0, 4]] = 0.6, 0.8  # (0.6 |0> + 0.8 |1>) |00>
    assert qae.fidelity(kept)[0] == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(qae.encode(kept)[0], [[0.36, 0.48], [0.48, 0.64]], atol=1e-6)
    np.testing.assert_allclose(
        qae.decode(qae.encode(kept))[0], np.outer(kept[0], kept[0].conj()), atol=1e-6
    )


@settings(max_examples=15)
@given(st.integers(2, 4), st.integers(0, 10**6))
def test_no_code_beats_the_best_subspace(n_qubits, seed):
    n_kept = 1 + seed % (n_qubits - 1)
    states = random_states(6, n_qubits, seed)
    bound, basis = best_subspace(states, n_kept)
    np.testing.assert_allclose(basis.conj().T @ basis, np.eye(2**n_kept), atol=1e-10)
    weight = (np.abs(states.astype(np.complex64) @ basis.conj()) ** 2).sum(axis=1).mean()
    assert weight == pytest.approx(bound, abs=1e-5)
    ansatz = hardware_efficient_ansatz(n_qubits, 2)
    qae = QuantumAutoencoder(ansatz, n_kept, seed=seed)
    assert qae.fidelity(states).mean() <= qae.trash(states).mean() + 1e-6 <= bound + 2e-6


@pytest.mark.parametrize("cost", ["fidelity", "trash", "local_trash"])
def test_training_raises_the_score_and_follows_its_seed(cost):
    states = random_states(4, 3, 5)[[0, 1]].repeat(16, axis=0).astype(np.complex64)
    scores = []
    for _ in range(2):
        qae = autoencoder(3, 1, cost=cost, engine="adjoint")
        before = qae.fidelity(states).mean()
        qae.compile(optimizer=keras.optimizers.Adam(0.1), jit_compile=False)
        loss = qae.fit(states, epochs=60, batch_size=32, verbose=0).history["loss"]
        scores.append(qae.fidelity(states).mean())
        assert loss[-1] < 0.5 * loss[0]
        assert scores[-1] > before
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)


@needs_tfq
def test_engines_agree_on_the_trash_cost_and_its_training():
    states = np.abs(random_states(6, 3, 8))
    states /= np.linalg.norm(states, axis=1, keepdims=True)
    encoding, ansatz = amplitude_encoding(3), hardware_efficient_ansatz(3, 1)
    curves = []
    for engine in ("tfq", "adjoint"):
        qae = QuantumAutoencoder(ansatz, 1, cost="trash", engine=engine, encoding=encoding, seed=2)
        qae.compile(optimizer=keras.optimizers.Adam(0.05), jit_compile=False)
        history = qae.fit(encoding.angles(states), epochs=5, shuffle=False, verbose=0).history
        curves.append([*history["loss"], qae.fidelity(states).mean()])
    np.testing.assert_allclose(curves[0], curves[1], atol=1e-4)


def test_a_grown_autoencoder_starts_with_the_old_layers():
    small = autoencoder(3, 1, n_layers=1)
    large = grow(small, hardware_efficient_ansatz(3, 2))
    np.testing.assert_array_equal(large.theta.numpy()[: small.ansatz.n_weights], small.theta.numpy())
    assert not large.theta.numpy()[small.ansatz.n_weights :].any()


@given(st.integers(1, 3), st.integers(0, 10**6))
@settings(max_examples=15)
def test_purifications_have_the_mixed_state_as_their_part(n_qubits, seed):
    density = random_density(3, n_qubits, seed)
    states = purify(density)
    assert states.shape == (3, 4**n_qubits)
    np.testing.assert_allclose(encoded_density(states, n_qubits), density, atol=1e-6)


def test_a_student_reads_a_mixed_state_alike_by_every_way():
    qae, states = autoencoder(n_kept=2), random_states(5, 4, 9).astype(np.complex64)
    density = qae.encode(states)
    student = hardware_efficient_ansatz(2, 2)
    observables = z_observables(2, 2)
    unitary = cirq.unitary(student.bind(student.initial_weights(seed=6)))
    by_density = np.stack(
        [
            np.einsum(
                "xab,ba->x",
                unitary @ density @ unitary.conj().T,
                o.matrix(cirq.LineQubit.range(2)),
            ).real
            for o in (cirq.PauliSum() + o for o in observables)
        ],
        axis=1,
    )
    wide = Ansatz(4, 2, student.circuit, student.symbols)
    qnn = QNN(None, wide, observables, engine="adjoint", seed=6)
    np.testing.assert_allclose(qnn.predict(purify(density), verbose=0), by_density, atol=1e-5)
    # The encoder's output is a purification of its own.
    by_output = qnn.predict(qae.output_states(states), verbose=0)
    np.testing.assert_allclose(by_output, by_density, atol=1e-5)


@needs_tfq
def test_tfq_reads_a_mixed_state_through_its_purification():
    density = random_density(2, 1, 4)
    states, encoding = purify(density), amplitude_encoding(2, complex_amplitudes=True)
    student = hardware_efficient_ansatz(1, 1)
    wide = Ansatz(2, 1, student.circuit, student.symbols)
    options = {"seed": 1}
    tfq = QNN(encoding, wide, z_observables(1, 2), engine="tfq", **options)
    fast = QNN(None, wide, z_observables(1, 2), engine="adjoint", **options)
    np.testing.assert_allclose(
        tfq.predict(encoding.angles(states), verbose=0), fast.predict(states, verbose=0), atol=1e-5
    )


def test_fidelity_and_purity_of_known_states():
    zero, one, mixed = np.diag([1.0, 0]), np.diag([0, 1.0]), np.eye(2) / 2
    np.testing.assert_allclose(
        fidelity(np.stack([zero, zero, zero, mixed]), np.stack([zero, one, mixed, mixed])),
        [1, 0, 0.5, 1], atol=1e-9,
    )
    np.testing.assert_allclose(purity(np.stack([zero, mixed])), [1, 0.5])
    a, b = random_density(4, 2, 0), random_density(4, 2, 1)
    np.testing.assert_allclose(fidelity(a, b), fidelity(b, a), atol=1e-9)
    pure = random_states(4, 2, 2)
    outer = np.einsum("xa,xb->xab", pure, pure.conj())
    np.testing.assert_allclose(
        fidelity(outer, b), np.einsum("xa,xab,xb->x", pure.conj(), b, pure).real, atol=1e-6
    )


@needs_tfq
def test_complex_states_reach_tfq_through_their_template_circuit():
    states = random_states(3, 3, 11).astype(np.complex64)
    encoding, ansatz = amplitude_encoding(3, complex_amplitudes=True), hardware_efficient_ansatz(3, 1)
    observables = z_observables(2, 3)
    tfq = QNN(encoding, ansatz, observables, engine="tfq", seed=0)
    fast = QNN(None, ansatz, observables, engine="adjoint", seed=0)
    expected = reference.expectation(
        ansatz.circuit, ansatz.symbols, tfq.theta.numpy(), observables, ansatz.qubits, states
    )
    np.testing.assert_allclose(
        tfq.predict(encoding.angles(states), verbose=0), expected, atol=1e-5
    )
    np.testing.assert_allclose(fast.predict(states, verbose=0), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: autoencoder(n_kept=4), "n_kept must be from 1 to 3, got 4"),
        (lambda: autoencoder(n_kept=0), "n_kept must be from 1 to 3, got 0"),
        (lambda: autoencoder(cost="swap"), "cost must be one of"),
        (lambda: autoencoder(engine="tfq"), "cost must not be 'fidelity' with engine 'tfq'"),
        (lambda: autoencoder(engine="tfq", cost="trash"), "encoding must be given"),
        (lambda: autoencoder().encode(np.ones((1, 16))), "must have norm 1, but row 0 has norm 4"),
        (lambda: autoencoder().encode(np.eye(8)), r"must have shape \[batch, 16\], got \(8, 8\)"),
        (lambda: autoencoder().fit(np.eye(16), np.zeros(16)), "y must be None"),
        (lambda: check_density("density", [[1, 1], [0, 0]]), "must be Hermitian"),
        (lambda: check_density("density", np.eye(2)), "must have trace 1"),
        (lambda: check_density("density", np.diag([2.0, -1.0])), "no negative eigenvalue"),
        (lambda: check_density("density", np.ones((2, 3, 3))), "must have shape"),
        (lambda: check_density("density", np.diag([np.nan, 1])), "must be finite"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
