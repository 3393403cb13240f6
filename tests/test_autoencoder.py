"""The quantum autoencoder under Keras, against Cirq's density-matrix simulator and the NumPy path."""

import cirq
import numpy as np
import pytest

from qkdlib.core import Model, amplitude_encoding, hardware_efficient_ansatz, z_observables
from qkdlib.engine import reference, tfq_available
from qkdlib.measures import code_fidelity, encoded_density, haar_states, local_trash, purify, trash
from qkdlib.models import (
    QNN,
    QuantumAutoencoder,
    adam,
    local_trash_observable,
    trash_observable,
)

needs_tfq = pytest.mark.skipif(not tfq_available(), reason="TensorFlow Quantum has no wheel here")
SCORES = {trash_observable: trash, local_trash_observable: local_trash}


def autoencoder(n_qubits=4, n_kept=2, n_layers=2, **options):
    ansatz = hardware_efficient_ansatz(n_qubits, n_layers)
    return QuantumAutoencoder(ansatz, n_kept, **{"seed": 3, "engine": "adjoint", **options})


def test_the_whole_code_is_cirqs_circuit_with_a_reset():
    qae, states = autoencoder(), haar_states(3, 4, seed=1)
    q = cirq.LineQubit.range(4)
    bound = hardware_efficient_ansatz(4, 2).bind(qae.theta.numpy())
    circuit = bound + cirq.Circuit(cirq.reset_each(*q[2:])) + cirq.inverse(bound)
    simulator = cirq.DensityMatrixSimulator(dtype=np.complex128)
    decoded = qae.decode(qae.encode(states))
    states = states.astype(complex)
    states /= np.linalg.norm(states, axis=1, keepdims=True)
    for state, density, score in zip(states, decoded, qae.fidelity(states), strict=True):
        expected = simulator.simulate(circuit, initial_state=state).final_density_matrix
        np.testing.assert_allclose(density, expected, atol=2e-6)
        assert score == pytest.approx(np.vdot(state, expected @ state).real, abs=2e-6)


@pytest.mark.parametrize("score", SCORES)
def test_outputs_are_the_scores_of_the_numpy_path(score):
    qae, states = autoencoder(score=score), haar_states(20, 4, seed=2)
    expected = SCORES[score](qae.output_states(states), 2)[0]
    np.testing.assert_allclose(qae.predict(states, verbose=0), expected, atol=1e-5)
    np.testing.assert_allclose(qae.fidelity(states), code_fidelity(qae.output_states(states), 2)[0])


@pytest.mark.parametrize("score", SCORES)
def test_trash_observables_have_their_largest_value_where_all_trash_is_zero(score):
    matrix = score(4, 2).matrix(cirq.LineQubit.range(4))
    diagonal = np.diag(matrix).real
    assert np.abs(matrix - np.diag(diagonal)).max() == 0
    np.testing.assert_array_equal(np.flatnonzero(diagonal == 1), [0, 4, 8, 12])


def test_the_encoder_followed_by_its_inverse_is_the_identity():
    qae, states = autoencoder(n_layers=3), haar_states(4, 4, seed=12)
    ansatz = hardware_efficient_ansatz(4, 3)
    encoded = qae.output_states(states)
    assert np.abs(encoded - states).max() > 0.1
    back = cirq.inverse(ansatz.bind(qae.theta.numpy()))
    returned = reference.output_states(back, [], [[]], ansatz.qubits, encoded)
    np.testing.assert_allclose(returned, states, atol=1e-5)


def test_an_encoder_that_does_nothing_keeps_product_states():
    qae = autoencoder(3, 1)  # two CZ layers cancel
    qae.theta.assign(np.zeros(qae.theta.shape, np.float32))
    kept = np.zeros((1, 8), complex)
    kept[0, [0, 4]] = 0.6, 0.8  # (0.6 |0> + 0.8 |1>) |00>
    assert qae.fidelity(kept)[0] == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(qae.encode(kept)[0], [[0.36, 0.48], [0.48, 0.64]], atol=1e-6)
    decoded = qae.decode(qae.encode(kept))[0]
    np.testing.assert_allclose(decoded, np.outer(kept[0], kept[0].conj()), atol=1e-6)


@pytest.mark.parametrize("score", SCORES)
def test_training_raises_the_score_and_follows_its_seed(score):
    states = haar_states(2, 3, seed=5).repeat(16, axis=0)
    scores = []
    for _ in range(2):
        qae = autoencoder(3, 1, score=score)
        before = qae.fidelity(states).mean()
        qae.compile(optimizer=adam(0.1), jit_compile=False)
        loss = qae.fit(states, epochs=60, batch_size=32, verbose=0).history["loss"]
        scores.append(qae.fidelity(states).mean())
        assert loss[-1] < 0.5 * loss[0]
        assert scores[-1] > before
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)


@needs_tfq
def test_engines_agree_on_the_trash_score_and_its_training():
    states = np.abs(haar_states(6, 3, seed=8))
    states /= np.linalg.norm(states, axis=1, keepdims=True)
    encoding, ansatz, curves = amplitude_encoding(3), hardware_efficient_ansatz(3, 1), []
    for engine in ("tfq", "adjoint"):
        qae = QuantumAutoencoder(ansatz, 1, engine=engine, encoding=encoding, seed=2)
        qae.compile(optimizer=adam(0.05), jit_compile=False)
        history = qae.fit(encoding.angles(states), epochs=5, shuffle=False, verbose=0).history
        curves.append([*history["loss"], qae.fidelity(states).mean()])
    np.testing.assert_allclose(curves[0], curves[1], atol=1e-4)


def test_a_student_reads_a_mixed_state_alike_by_every_way():
    qae, states = autoencoder(), haar_states(5, 4, seed=9)
    density, student = qae.encode(states), hardware_efficient_ansatz(2, 2)
    observables = z_observables(2, 2)
    model = Model.of(None, student, observables, qubits=cirq.LineQubit.range(4))
    unitary = cirq.unitary(student.bind(student.initial_weights(seed=6)))
    moved = unitary @ density @ unitary.conj().T
    matrices = [(cirq.PauliSum() + o).matrix(cirq.LineQubit.range(2)) for o in observables]
    by_density = np.stack([np.einsum("xab,ba->x", moved, m).real for m in matrices], axis=1)
    qnn = QNN(model, engine="adjoint", seed=6)
    np.testing.assert_allclose(qnn.predict(purify(density), verbose=0), by_density, atol=1e-5)
    # The encoder's output is a purification of its own.
    np.testing.assert_allclose(qnn.predict(qae.output_states(states), verbose=0), by_density, atol=1e-5)


@needs_tfq
def test_tfq_reads_a_mixed_state_through_its_purification():
    states = purify(encoded_density(haar_states(2, 2, seed=4), 1))
    encoding = amplitude_encoding(2, complex_amplitudes=True)
    student, wide = hardware_efficient_ansatz(1, 1), hardware_efficient_ansatz(2, 1).qubits
    observables = z_observables(1, 2)
    circuit = encoding.circuit + student.circuit
    by_angles = Model(circuit, student.symbols, encoding.symbols, observables, tuple(wide))
    tfq = QNN(by_angles, engine="tfq", seed=1)
    fast = QNN(Model.of(None, student, observables, qubits=wide), engine="adjoint", seed=1)
    np.testing.assert_allclose(
        tfq.predict(encoding.angles(states), verbose=0), fast.predict(states, verbose=0), atol=1e-5
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: autoencoder(n_kept=4), ValueError, "n_kept must be from 1 to 3, got 4"),
        (lambda: autoencoder(n_kept=0), ValueError, "n_kept must be from 1 to 3, got 0"),
        (lambda: autoencoder(initial_scale=np.nan), ValueError, "initial_scale must be"),
        (lambda: autoencoder().encode(np.ones((1, 16))), ValueError, "must have norm 1"),
        (lambda: autoencoder().encode(np.eye(8)), ValueError, r"must have shape \[batch, 16\]"),
        (lambda: autoencoder().fit(np.eye(16), np.zeros(16)), ValueError, "y must be None"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


@needs_tfq
def test_tfq_without_an_encoding_is_refused():
    with pytest.raises(ValueError, match="takes no state vectors: prepare"):
        autoencoder(engine="tfq")
