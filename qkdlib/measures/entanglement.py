"""How much a circuit entangles."""

import numpy as np

from qkdlib.measures.haar import unit_rows


def meyer_wallach(states):
    """Meyer-Wallach entanglement of pure states: 2 (1 - mean over qubits of Tr rho_k^2).

    Twice the average impurity of a single qubit: 0 for a product state, 1 when every qubit by
    itself is maximally mixed, as in a GHZ state. Haar-random states have (N - 2) / (N + 1) on
    average, N = 2**n_qubits (Meyer and Wallach 2002, in the form of Brennen 2003).

    Args:
        states: Normalised states, complex [batch, 2**n_qubits].

    Returns:
        float64 array [batch], in [0, 1].
    """
    states = unit_rows("states", states)
    n_qubits = states.shape[1].bit_length() - 1
    purity = np.zeros(len(states))
    for k in range(n_qubits):
        halves = states.reshape(len(states), 2**k, 2, 2 ** (n_qubits - 1 - k))
        rho = np.einsum("biaj,bicj->bac", halves, halves.conj())
        purity += np.sum(np.abs(rho) ** 2, axis=(1, 2))
    return np.clip(2 * (1 - purity / n_qubits), 0, 1)
