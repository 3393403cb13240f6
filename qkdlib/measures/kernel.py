"""The kernel picture of an encoding: overlaps of encoded samples, and what they say about labels.

A QNN's output is linear in the density matrix of the encoded sample, so whatever it can learn about
two samples is bounded by the overlap of their states (Schuld 2021).
"""

import numpy as np

from qkdlib._checks import check_labels, check_matrix, check_states, check_type
from qkdlib.core import Encoding
from qkdlib.engine import Program


def encoded_states(encoding, features):
    """The states that an encoding prepares.

    Args:
        encoding: An `Encoding` of `qkdlib.core`.
        features: Samples as `encoding.angles` takes them, [batch, n_features].

    Returns:
        complex64 [batch, 2**n_qubits], qubit 0 in the most significant bit.

    Raises:
        TypeError, ValueError: As `encoding.angles`.
    """
    check_type("encoding", encoding, Encoding)
    program = Program(encoding.circuit, data_symbols=encoding.symbols, qubits=encoding.qubits)
    return program.output_states(np.zeros(0, np.float32), encoding.angles(features))


def fidelity_kernel(states, others=None):
    """The overlaps |<a|b>|^2 of pure states.

    Args:
        states: complex [n, 2**n_qubits], each of norm 1.
        others: complex [m, 2**n_qubits]; by default `states` themselves.

    Returns:
        float64 [n, m] with entries in [0, 1]; the diagonal is 1 where `others` is None.

    Raises:
        ValueError: Arrays of the wrong shape, entries that are not finite, states without norm 1.
    """
    states = check_states("states", states).astype(complex)
    if others is not None:
        n_qubits = states.shape[1].bit_length() - 1
        others = check_states("others", others, n_qubits).astype(complex)
    others = states if others is None else others
    return np.abs(states.conj() @ others.T) ** 2


def centred_alignment(kernel, labels):
    """How far a kernel already groups samples as their labels do (Cortes et al. 2012).

    The cosine between the kernel and the ideal one, which is 1 for two samples of one class and 0
    for others, both centred: a constant added to all overlaps changes nothing.

    Args:
        kernel: Symmetric matrix [n, n].
        labels: Classes, integers of 0 or more, [n]; at least two different ones.

    Returns:
        A float; 1 where the kernel is the ideal one, about 0 where it knows nothing of the labels.

    Raises:
        TypeError, ValueError: A kernel that is not symmetric or that is constant, labels of one
            class or of another length.
    """
    kernel = check_matrix("kernel", kernel)
    is_square = len(kernel) > 1 and kernel.shape[0] == kernel.shape[1]
    if not is_square or not np.allclose(kernel, kernel.T, atol=1e-6):
        raise ValueError(f"kernel must be a symmetric square matrix, got shape {kernel.shape}")
    labels = check_labels("labels", labels, np.inf, len(kernel))
    if len(np.unique(labels)) < 2:
        raise ValueError(f"labels must hold at least two classes, got only {np.unique(labels)}")
    ideal = _centred(labels[:, None] == labels)
    centred = _centred(kernel)
    norm = np.linalg.norm(centred)
    if norm <= 1e-12 * max(1.0, np.linalg.norm(kernel)):
        raise ValueError("kernel must not be constant: it does not tell any sample from another")
    return float(np.sum(centred * ideal) / (norm * np.linalg.norm(ideal)))


def _centred(matrix):
    """The matrix in coordinates whose origin is the samples' mean."""
    matrix = np.asarray(matrix, float)
    return matrix - matrix.mean(axis=0) - matrix.mean(axis=1, keepdims=True) + matrix.mean()
