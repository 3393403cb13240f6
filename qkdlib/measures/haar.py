"""How close the states of a circuit come to states drawn at random from all there are.

Two random states have a fidelity whose distribution is known in closed form. *Expressibility* is how far
an ansatz is from it (Sim et al. 2019).
"""

import numpy as np

from qkdlib._checks import check_count, check_finite, check_seed, check_states


def haar_states(n_states, n_qubits, *, seed):
    """States drawn uniformly (by the Haar measure) from all states of a register.

    A vector of independent complex normal numbers has no preferred direction; normalised, it is a
    Haar-random state.

    Args:
        n_states: Number of states, at least 1.
        n_qubits: Number of qubits, at least 1.
        seed: Seed of the draw.

    Returns:
        complex64 array [n_states, 2**n_qubits], rows of norm 1.
    """
    shape = (check_count("n_states", n_states), 2 ** check_count("n_qubits", n_qubits, maximum=20))
    rng = np.random.default_rng(check_seed("seed", seed))
    states = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    return (states / np.linalg.norm(states, axis=1, keepdims=True)).astype(np.complex64)


def fidelities(left, right):
    """Fidelities |<left_i|right_i>|^2 of pairs of pure states.

    Args:
        left, right: Normalised states, complex [n_pairs, 2**n_qubits].

    Returns:
        float64 array [n_pairs], in [0, 1].
    """
    left, right = unit_rows("left", left), unit_rows("right", right)
    if left.shape != right.shape:
        raise ValueError(f"left and right must have one shape, got {left.shape} and {right.shape}")
    return np.minimum(np.abs(np.einsum("br,br->b", left.conj(), right)) ** 2, 1.0)


def haar_fidelity_mass(edges, n_qubits):
    """Probability that two Haar-random states have a fidelity between neighbouring edges.

    Its density is P(F) = (N - 1) (1 - F)**(N - 2) with N = 2**n_qubits, so the mass between a and b
    is (1 - a)**(N - 1) - (1 - b)**(N - 1).

    Args:
        edges: Increasing numbers in [0, 1], [n_bins + 1].
        n_qubits: Number of qubits, at least 1.

    Returns:
        float64 array [n_bins].
    """
    return np.exp(_log_haar_mass(_edges(edges), check_count("n_qubits", n_qubits)))


def expressibility(fidelities, n_qubits, n_bins=75):
    """Distance of an ansatz from Haar-random states, by the fidelities of pairs (Sim et al. 2019).

        D_KL(P || P_Haar) = sum_b P_b log(P_b / P_Haar,b)

    over `n_bins` equal bins of [0, 1], in nats. Zero would be as good as Haar; an ansatz that
    always prepares one state gets the largest value, (2**n_qubits - 1) log(n_bins).

    A histogram of M pairs is never exactly its distribution, so M pairs of true Haar states do
    not get zero either but about (occupied bins - 1) / (2 M). Compare with that floor.

    Args:
        fidelities: Fidelities of pairs of states at independent random weights, [n_pairs].
        n_qubits: Number of qubits, at least 1.
        n_bins: Number of bins; 75 is the choice of Sim et al.

    Returns:
        The divergence, a float, at least 0.
    """
    fidelities = check_finite("fidelities", fidelities)
    if fidelities.ndim != 1 or not len(fidelities):
        raise ValueError(f"fidelities must have shape [n_pairs], got {fidelities.shape}")
    if not ((fidelities >= 0) & (fidelities <= 1 + 1e-6)).all():
        raise ValueError("fidelities must lie in [0, 1], got a value outside")
    edges = np.linspace(0, 1, check_count("n_bins", n_bins, minimum=2) + 1)
    counts, _ = np.histogram(np.minimum(fidelities, 1), edges)
    seen = counts > 0
    mass = counts[seen] / len(fidelities)
    log_haar = _log_haar_mass(edges, check_count("n_qubits", n_qubits))[seen]
    # Rounding can leave -1e-17 where the two agree.
    return max(0.0, float(np.sum(mass * (np.log(mass) - log_haar))))


def _log_haar_mass(edges, n_qubits):
    # In logarithms: with ten qubits the last of 75 bins has mass 75**-1023.
    power = 2.0**n_qubits - 1
    with np.errstate(divide="ignore"):
        log_tail = power * np.log1p(-edges)
    return log_tail[:-1] + np.log(-np.expm1(log_tail[1:] - log_tail[:-1]))


def _edges(edges):
    edges = check_finite("edges", edges)
    inside = edges.ndim == 1 and len(edges) > 1 and edges[0] >= 0 and edges[-1] <= 1
    if not inside or not (np.diff(edges) > 0).all():
        raise ValueError("edges must be two or more increasing numbers in [0, 1]")
    return edges


def unit_rows(name, states):
    """States as complex128 of norm 1: single precision leaves norms off by 1e-7, which sums show."""
    states = check_states(name, states).astype(complex)
    return states / np.linalg.norm(states, axis=1, keepdims=True)
