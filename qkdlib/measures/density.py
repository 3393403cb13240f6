"""Mixed states: partial traces, purity, purifications, and the optimal linear code."""

import numpy as np

from qkdlib._checks import check_count, check_states


def check_density(name, density, *, tolerance=1e-4):
    """Returns `density` as complex128 [batch, d, d]; Hermitian, trace one, not negative."""
    try:
        array = np.asarray(density, complex)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be an array of complex numbers: {error}") from None
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or array.shape[1] != array.shape[2] or array.shape[1] & (array.shape[1] - 1):
        raise ValueError(f"{name} must have shape [batch, 2**k, 2**k], got {np.shape(density)}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite")
    if np.abs(array - array.conj().transpose(0, 2, 1)).max() > tolerance:
        raise ValueError(f"{name} must be Hermitian")
    if np.abs(np.trace(array, axis1=1, axis2=2) - 1).max() > tolerance:
        raise ValueError(f"{name} must have trace 1")
    if np.linalg.eigvalsh(array).min() < -tolerance:
        raise ValueError(f"{name} must have no negative eigenvalue")
    return array


def encoded_density(states, n_kept):
    """State of the first `n_kept` qubits (Eq. 8 of Yan et al.).

    Args:
        states: Pure states, complex [batch, 2**n_qubits].
        n_kept: Qubits that stay, from 1 to n_qubits.

    Returns:
        complex128 [batch, 2**n_kept, 2**n_kept].
    """
    states = check_states("states", states).astype(complex)
    n_qubits = states.shape[1].bit_length() - 1
    size = 2 ** check_count("n_kept", n_kept, 1, n_qubits)
    phi = states.reshape(len(states), size, 2**n_qubits // size)
    return np.einsum("xab,xcb->xac", phi, phi.conj())


def purity(density):
    """Tr rho^2 of density matrices [batch, d, d]: float64 [batch], from 1/d to 1."""
    density = check_density("density", density)
    return np.einsum("xab,xba->x", density, density).real


def purify(density):
    """Pure states of 2k qubits whose first k qubits are in the given mixed states.

    With the eigenvectors |v_j> and eigenvalues p_j of rho, the state is sum_j sqrt(p_j) |v_j>|j>. It
    lets any engine take a mixed state: the circuit acts on the first k qubits and leaves the others.

    Args:
        density: Density matrices [batch, 2**k, 2**k].

    Returns:
        complex64 [batch, 4**k].
    """
    density = check_density("density", density)
    values, vectors = np.linalg.eigh(density)
    states = vectors * np.sqrt(np.maximum(values, 0))[:, None, :]
    states = states.reshape(len(states), -1)
    return (states / np.linalg.norm(states, axis=1, keepdims=True)).astype(np.complex64)


def best_subspace(states, n_kept):
    """The subspace of dimension 2**n_kept that holds most of the states, on average.

    No code of the QAE's form can have a higher average fidelity on these states than the weight of
    this subspace: F <= P for every state, and the mean of P is the weight of the subspace that the
    encoder maps to B = |0...0>, at most the sum of the largest eigenvalues of the mean state.

    Args:
        states: complex [n_samples, 2**n_qubits], at least one.
        n_kept: Qubits of the code, from 1 to n_qubits.

    Returns:
        (bound, basis): the weight, a float in (0, 1], and an orthonormal basis, complex128
        [2**n_qubits, 2**n_kept].
    """
    states = check_states("states", states).astype(complex)
    if not len(states):
        raise ValueError("states must hold at least one state, got none")
    n_qubits = states.shape[1].bit_length() - 1
    size = 2 ** check_count("n_kept", n_kept, 1, n_qubits)
    _, singular, vectors = np.linalg.svd(states, full_matrices=False)
    bound = float((singular[:size] ** 2).sum() / (singular**2).sum())
    basis = vectors[:size].T
    if basis.shape[1] < size:  # fewer states than dimensions: any completion will do
        full, _ = np.linalg.qr(np.hstack([basis, np.eye(len(basis))]))
        basis = full[:, :size]
    return bound, basis
