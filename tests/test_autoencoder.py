"""The quantum autoencoder as a Keras model, against Cirq's density-matrix simulator."""

import cirq
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import needs_tfq, random_states

from qkdlib.core import (
    Model,
    amplitude_encoding,
    angle_encoding,
    bind_symbols,
    hardware_efficient_ansatz,
    z_observables,
)
from qkdlib.engine import reference
from qkdlib.measures import best_subspace, code_fidelity, purify, trash
from qkdlib.models import QNN, QuantumAutoencoder, local_trash_observable, trash_observable

from qkdlib._tensorflow import keras, tf  # isort: skip


def autoencoder(n_qubits=4, n_kept=2, n_layers=2, **options):
    ansatz = hardware_efficient_ansatz(n_qubits, n_layers)
    return QuantumAutoencoder(ansatz, n_kept, **{"seed": 3, "engine": "adjoint"} | options)


def bound(qae):
    """The encoder's circuit with its weights."""
    model = qae.encoder
    return bind_symbols(model.circuit, model.weight_symbols, qae.theta.numpy().astype(float))


def test_the_whole_code_is_cirqs_circuit_with_a_reset():
    qae, states = autoencoder(), random_states(3, 4, 1)
    circuit = bound(qae)
    q = cirq.LineQubit.range(4)
    circuit = circuit + cirq.Circuit(cirq.reset_each(*q[2:])) + cirq.inverse(circuit)
    simulator = cirq.DensityMatrixSimulator(dtype=np.complex128)
    decoded = qae.decode(qae.encode(states))
    for state, density, score in zip(states, decoded, qae.fidelity(states), strict=True):
        expected = simulator.simulate(circuit, initial_state=state).final_density_matrix
        np.testing.assert_allclose(density, expected, atol=2e-6)
        assert score == pytest.approx(np.vdot(state, expected @ state).real, abs=2e-6)


def test_scores_are_what_the_docstrings_say():
    qae, states = autoencoder(), random_states(20, 4, 2)
    output = qae.output_states(states)
    f, p = qae.fidelity(states), trash(output, 2)[0]
    assert (f <= p + 1e-6).all()
    assert (f >= p**2 - 1e-6).all()
    np.testing.assert_array_equal(f, code_fidelity(output, 2)[0])
    np.testing.assert_allclose(qae.predict(states, verbose=0), p, atol=1e-5)
    local = autoencoder(score=local_trash_observable).predict(states, verbose=0)
    zero = [np.abs(output.reshape(-1, *[2] * 4).take(0, axis=1 + i)) ** 2 for i in (2, 3)]
    np.testing.assert_allclose(local, np.mean([z.sum((1, 2, 3)) for z in zero], axis=0), atol=1e-5)


@pytest.mark.parametrize("observable", [trash_observable, local_trash_observable])
def test_trash_observables_have_their_largest_value_where_all_trash_is_zero(observable):
    matrix = observable(4, 2).matrix(cirq.LineQubit.range(4))
    diagonal = np.diag(matrix).real
    assert np.abs(matrix - np.diag(diagonal)).max() == 0
    np.testing.assert_array_equal(np.flatnonzero(diagonal == 1), [0, 4, 8, 12])
    assert diagonal.min() == 0
    assert diagonal.max() == 1


def test_the_encoder_followed_by_its_inverse_is_the_identity():
    qae, states = autoencoder(n_layers=3), random_states(4, 4, 12)
    encoded = qae.output_states(states)
    assert np.abs(encoded - states).max() > 0.1
    back = cirq.inverse(bound(qae))
    returned = reference.output_states(back, [], [[]], qae.encoder.qubits, encoded)
    np.testing.assert_allclose(returned, states, atol=1e-5)


def test_an_encoder_that_does_nothing_keeps_product_states():
    qae = autoencoder(3, 1)  # two CZ layers cancel
    qae.theta.assign(np.zeros(qae.encoder.n_weights, np.float32))
    kept = np.zeros((1, 8), complex)
    kept[0, [0, 4]] = 0.6, 0.8  # (0.6 |0> + 0.8 |1>) |00>
    assert qae.fidelity(kept)[0] == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(qae.encode(kept)[0], [[0.36, 0.48], [0.48, 0.64]], atol=1e-6)
    decoded = qae.decode(qae.encode(kept))[0]
    np.testing.assert_allclose(decoded, np.outer(kept[0], kept[0].conj()), atol=1e-6)


@settings(max_examples=15)
@given(st.integers(2, 4), st.integers(0, 10**6))
def test_no_code_beats_the_best_subspace(n_qubits, seed):
    n_kept = 1 + seed % (n_qubits - 1)
    states = random_states(6, n_qubits, seed)
    limit, _ = best_subspace(states, n_kept)
    qae = autoencoder(n_qubits, n_kept, seed=seed)
    scores = trash(qae.output_states(states), n_kept)[0]
    assert qae.fidelity(states).mean() <= scores.mean() + 1e-6 <= limit + 2e-6


@pytest.mark.parametrize("score", [trash_observable, local_trash_observable])
def test_training_raises_the_score_and_follows_its_seed(score):
    states = random_states(4, 3, 5)[[0, 1]].repeat(16, axis=0)
    scores = []
    for _ in range(2):
        qae = autoencoder(3, 1, score=score)
        before = qae.fidelity(states).mean()
        qae.compile(optimizer=keras.optimizers.Adam(0.1), jit_compile=False)
        loss = qae.fit(states, epochs=60, batch_size=32, verbose=0).history["loss"]
        scores.append(qae.fidelity(states).mean())
        assert loss[-1] < 0.5 * loss[0]
        assert scores[-1] > before
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)
    found = qae.evaluate(states, verbose=0)
    assert found == pytest.approx(1 - qae.predict(states, verbose=0).mean(), abs=1e-5)


def test_initial_weights_may_be_small():
    qae = autoencoder(initial_scale=0.01)
    assert 0 < np.abs(qae.theta.numpy()).max() < 0.1
    np.testing.assert_array_equal(qae.theta.numpy(), autoencoder(initial_scale=0.01).theta.numpy())
    assert not autoencoder(initial_scale=0.0).theta.numpy().any()


def test_a_student_reads_a_mixed_state_alike_by_every_way():
    qae, states = autoencoder(n_kept=2), random_states(5, 4, 9)
    density = qae.encode(states)
    ansatz, observables = hardware_efficient_ansatz(2, 2), z_observables(2, 2)
    unitary = cirq.unitary(ansatz.bind(ansatz.initial_weights(seed=6)))
    turned = unitary @ density @ unitary.conj().T
    matrices = [(cirq.PauliSum() + o).matrix(ansatz.qubits) for o in observables]
    by_density = np.stack([np.einsum("xab,ba->x", turned, m).real for m in matrices], axis=1)
    student = Model.of(None, ansatz, observables, qubits=cirq.LineQubit.range(4))
    qnn = QNN(student, engine="adjoint", seed=6)
    np.testing.assert_allclose(qnn.predict(purify(density), verbose=0), by_density, atol=1e-5)
    # The encoder's output is a purification of its own.
    by_output = qnn.predict(qae.output_states(states), verbose=0)
    np.testing.assert_allclose(by_output, by_density, atol=1e-5)


@needs_tfq
def test_tfq_reads_a_mixed_state_through_its_purification():
    density = autoencoder(3, 1).encode(random_states(2, 3, 4))
    states, encoding = purify(density), amplitude_encoding(2, complex_amplitudes=True)
    ansatz, observables = hardware_efficient_ansatz(1, 1), z_observables(1, 2)
    qubits = cirq.LineQubit.range(2)
    circuit = encoding.circuit + ansatz.circuit
    of_angles = Model(circuit, ansatz.symbols, encoding.symbols, observables, qubits)
    tfq = QNN(of_angles, engine="tfq", seed=1)
    fast = QNN(Model.of(None, ansatz, observables, qubits=qubits), engine="adjoint", seed=1)
    np.testing.assert_allclose(
        tfq.predict(encoding.angles(states), verbose=0), fast.predict(states, verbose=0), atol=1e-5
    )


STATES = random_states(6, 4, 0)


def fit(x=STATES, y=None, **options):
    qae = autoencoder()
    qae.compile(optimizer="adam", jit_compile=False)
    return qae.fit(x, y, verbose=0, **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: QuantumAutoencoder(None, 1, seed=0), "ansatz must be an Ansatz, got NoneType"),
        (lambda: autoencoder(n_kept=4), "n_kept must be from 1 to 3, got 4"),
        (lambda: autoencoder(n_kept=0), "n_kept must be from 1 to 3, got 0"),
        (lambda: autoencoder(n_kept="a"), "n_kept must be an integer"),
        (lambda: autoencoder(score="trash"), "score must be a function, got 'trash'"),
        (lambda: autoencoder(encoding=angle_encoding(3)), "same number of qubits, got 3 and 4"),
        (lambda: autoencoder(initial_scale=np.nan), "initial_scale must be a finite number"),
        (lambda: autoencoder(initial_scale=-1), "initial_scale must be a finite number"),
        (lambda: autoencoder(seed=None), "seed must be an integer"),
        (lambda: fit(None), r"x must be an array \[n_samples, ...\], got None"),
        (lambda: fit("abc"), "x must be an array"),
        (lambda: fit(STATES[:0]), "x must hold at least one sample"),
        (lambda: fit(2 * STATES), "x must have norm 1, but row"),
        (lambda: fit(STATES[:, :8]), r"x must have shape \[batch, 16\]"),
        (lambda: fit(y=np.zeros(6)), "y must be None"),
        (lambda: fit(epochs=-1), "epochs must be at least 0"),
        (lambda: fit(validation_data=(STATES[:0], None)), "x must hold at least one sample"),
        (lambda: autoencoder().fit(STATES), "You must call `compile\\(\\)` before"),
        (lambda: autoencoder().predict(STATES[:0]), "x must hold at least one sample"),
        (lambda: autoencoder().encode(np.ones((1, 16))), "must have norm 1, but row 0 has norm 4"),
        (lambda: autoencoder().encode(np.eye(8)), r"must have shape \[batch, 16\], got \(8, 8\)"),
        (lambda: autoencoder().fidelity(STATES[:0]), "states must hold at least one sample"),
        (lambda: autoencoder().decode(np.eye(2)[None] / 2), r"shape \[batch, 4, 4\], got \(1, 2, 2\)"),
        (lambda: autoencoder().decode(np.eye(4)), "density must have trace 1"),
        (lambda: trash_observable(3, 3), "n_kept must be from 1 to 2"),
        (lambda: local_trash_observable(2.5, 1), "n_qubits must be an integer"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


@needs_tfq
def test_tfq_needs_an_encoding():
    with pytest.raises(ValueError, match="takes no state vectors"):
        autoencoder(engine="tfq")


def test_lists_and_tensors_are_inputs_too():
    qae = autoencoder()
    expected = qae.predict(STATES, verbose=0)
    for states in (STATES.tolist(), tf.constant(STATES.astype(np.complex64))):
        np.testing.assert_allclose(qae.predict(states, verbose=0), expected, atol=1e-6)
