"""Mixed states against Cirq's partial trace and closed forms."""

import cirq
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qkdlib.measures import best_subspace, encoded_density, haar_states, purify, purity


def random_density(n_states, n_qubits, seed):
    return encoded_density(haar_states(n_states, 2 * n_qubits, seed=seed), n_qubits)


@settings(max_examples=15)
@given(st.integers(2, 5), st.integers(0, 10**6))
def test_encoding_is_cirqs_partial_trace(n_qubits, seed):
    states = haar_states(3, n_qubits, seed=seed)
    n_kept = 1 + seed % (n_qubits - 1)
    for state, density in zip(states, encoded_density(states, n_kept), strict=True):
        full = np.outer(state, state.conj()).reshape([2] * (2 * n_qubits))
        expected = cirq.partial_trace(full, range(n_kept)).reshape(2**n_kept, 2**n_kept)
        np.testing.assert_allclose(density, expected, atol=1e-6)


@settings(max_examples=15)
@given(st.integers(1, 3), st.integers(0, 10**6))
def test_purifications_have_the_mixed_state_as_their_part(n_qubits, seed):
    density = random_density(3, n_qubits, seed)
    states = purify(density)
    np.testing.assert_allclose(np.linalg.norm(states, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(encoded_density(states, n_qubits), density, atol=1e-6)


def test_purity_of_known_states():
    zero, mixed = np.diag([1.0, 0]), np.eye(2) / 2
    np.testing.assert_allclose(purity(np.stack([zero, mixed])), [1, 0.5])
    density = random_density(4, 2, 0)
    eigenvalues = np.linalg.eigvalsh(density)
    np.testing.assert_allclose(purity(density), (eigenvalues**2).sum(axis=1))
    assert encoded_density(np.zeros((0, 8)), 2).shape == (0, 4, 4)


@pytest.mark.parametrize("n_states", [1, 3, 40])
def test_the_best_subspace_holds_the_largest_eigenvalues_of_the_mean_state(n_states):
    states = haar_states(n_states, 3, seed=n_states)
    mean = np.einsum("xa,xb->ab", states, states.conj()).astype(complex) / n_states
    for n_kept in (1, 2, 3):
        bound, basis = best_subspace(states, n_kept)
        assert bound == pytest.approx(np.linalg.eigvalsh(mean)[-(2**n_kept) :].sum(), abs=1e-6)
        np.testing.assert_allclose(basis.conj().T @ basis, np.eye(2**n_kept), atol=1e-6)
        weight = np.linalg.norm(states @ basis.conj(), axis=1) ** 2
        assert weight.mean() == pytest.approx(bound, abs=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: purity([[1, 1], [0, 0]]), "density must be Hermitian"),
        (lambda: purity(np.eye(2)), "density must have trace 1"),
        (lambda: purity(np.diag([2.0, -1.0])), "density must have no negative eigenvalue"),
        (lambda: purify(np.ones((2, 3, 3))), "density must have shape"),
        (lambda: purify(np.diag([np.nan, 1])), "density must be finite"),
        (lambda: encoded_density(np.ones((1, 4)), 1), "states must have norm 1, but row 0 has norm 2"),
        (lambda: encoded_density(np.eye(4), 3), "n_kept must be from 1 to 2, got 3"),
        (lambda: best_subspace(np.zeros((0, 4)), 1), "states must hold at least one state, got none"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_text_is_no_density():
    with pytest.raises(TypeError, match="density must be an array of complex numbers"):
        purity([["a", "b"], ["c", "d"]])
