"""How steep a loss is at random weights: the variance of gradients, and barren plateaus."""

from qkdlib._checks import check_count


def two_design_gradient_variance(n_qubits):
    """Variance of a derivative of a Pauli string's expectation value deep in a random circuit.

    If what stands before and what stands after a rotation both are 2-designs (their second moments
    are those of Haar-random unitaries), then with N = 2**n_qubits

        Var d<P>/dtheta = N**2 / (2 (N + 1) (N**2 - 1)),

    about 1 / (2 N): half as large with every further qubit. This is the barren plateau of
    McClean et al. 2018, with its constant.
    """
    size = 2.0 ** check_count("n_qubits", n_qubits)
    return size**2 / (2 * (size + 1) * (size**2 - 1))
