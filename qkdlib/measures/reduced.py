"""The infidelity of a few qubits: a regulariser that looks at reduced states.

It compares Pauli vectors, so it needs no state vectors and a device could measure it.
"""

import itertools
from dataclasses import dataclass
from functools import cache

import cirq
import numpy as np

from qkdlib._checks import check_count
from qkdlib.core.regularisers import Regulariser

# Eigenvalues below this are rounding errors of reduced states that are pure or nearly so, where the
# slope of the fidelity has no bound.
_SMALLEST = 1e-6


@dataclass(frozen=True)
class ReducedInfidelity(Regulariser):
    """1 - mean_j F(rho_j, rho) of the reduced states of a few qubits, in [0, 1].

    F is the fidelity of mixed states, (Tr sqrt(sqrt(rho_j) rho sqrt(rho_j)))^2. One qubit with Bloch
    vectors r_j and r has F = (1 + r_j.r + sqrt((1 - |r_j|^2) (1 - |r|^2))) / 2. The slope grows without
    bound where one state is pure and the other not; it is cut off there. Outputs are Pauli vectors, the
    expectation values of `pauli_strings`, [batch, 4**k - 1].

    Args:
        qubits: Positions in each student's register, one to three.
    """

    qubits: tuple[int, ...]

    compares = "observables"

    def __post_init__(self):
        qubits = (self.qubits,) if np.ndim(self.qubits) == 0 else tuple(self.qubits)
        qubits = tuple(check_count("an entry of qubits", q, minimum=0) for q in qubits)
        if not 1 <= len(qubits) <= 3 or len(set(qubits)) < len(qubits):
            raise ValueError(f"qubits must be one to three different positions, got {qubits}")
        object.__setattr__(self, "qubits", qubits)

    def observables(self, model):
        if max(self.qubits) >= model.n_qubits:
            raise ValueError(
                f"qubits must be positions in every student's register of {model.n_qubits} or more "
                f"qubits, got {self.qubits}"
            )
        return pauli_strings([model.qubits[q] for q in self.qubits])

    def __call__(self, own, peers):
        own, peers = np.asarray(own, float), np.stack(peers).astype(float)
        fidelity = _bloch_fidelity if own.shape[1] == 3 else _mixed_fidelity
        values, slopes = fidelity(own, peers)
        return np.clip(1 - values, 0.0, 1.0), -slopes


def pauli_strings(qubits):
    """All Pauli strings on the given `cirq` qubits but the identity, 4**k - 1 of them.

    Their expectation values are the coordinates of the reduced state: rho = (1 + sum_i p_i P_i) / 2^k.
    """
    letters = itertools.product((cirq.I, cirq.X, cirq.Y, cirq.Z), repeat=len(qubits))
    next(letters)  # the identity
    return [
        cirq.PauliString({q: p for q, p in zip(qubits, letter, strict=True) if p != cirq.I})
        for letter in letters
    ]


def _bloch_fidelity(own, peers):
    """Mean fidelity of one qubit's states by their Bloch vectors, and its derivative by `own`."""
    room_own = np.maximum(1 - np.vecdot(own, own), 0.0)
    room_peers = np.maximum(1 - np.vecdot(peers, peers), 0.0)
    values = 1 + np.vecdot(peers, own) + np.sqrt(room_own * room_peers)
    steepness = np.sqrt(room_peers / np.maximum(room_own, _SMALLEST)).sum(axis=0)
    slopes = peers.sum(axis=0) - steepness[:, None] * own
    return values.sum(axis=0) / (2 * len(peers)), slopes / (2 * len(peers))


def _mixed_fidelity(own, peers):
    """Mean fidelity of mixed states by their Pauli vectors, and its derivative by `own`.

    With M = sqrt(rho_j) rho sqrt(rho_j): F = (Tr sqrt M)^2, dF/drho = sqrt(F) sqrt(rho_j) M^(-1/2)
    sqrt(rho_j).
    """
    basis = _pauli_matrices(own.shape[-1])
    root = _root(_density(peers))
    values, vectors = np.linalg.eigh(root @ _density(own) @ root)
    roots = np.sqrt(np.maximum(values, 0.0))
    total = roots.sum(axis=-1)
    half = root @ vectors
    # an eigenvalue of zero has no finite slope; where rho_j is pure `half` has no such column
    inverse = np.where(values > _SMALLEST**2, 1 / np.maximum(roots, _SMALLEST), 0.0)
    slope = ((half * (total[..., None] * inverse)[..., None, :]) @ _dagger(half)).mean(axis=0)
    # Tr(slope P), a product of rows: P is its own conjugate transpose
    by_pauli = slope.reshape(len(own), -1) @ basis.reshape(len(basis), -1).conj().T
    return (total**2).mean(axis=0), by_pauli.real / basis.shape[-1]


def _density(paulis):
    """Density matrices [..., 2**k, 2**k] from Pauli vectors [..., 4**k - 1]."""
    basis = _pauli_matrices(np.shape(paulis)[-1])
    size = basis.shape[-1]
    return (np.eye(size) + np.tensordot(np.asarray(paulis, float), basis, axes=1)) / size


def _root(density):
    values, vectors = np.linalg.eigh(density)
    return (vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]) @ _dagger(vectors)


def _dagger(matrices):
    return matrices.conj().swapaxes(-1, -2)


@cache
def _pauli_matrices(n_paulis):
    """Matrices of `pauli_strings`: complex128 [4**k - 1, 2**k, 2**k]."""
    n_qubits = {3: 1, 15: 2, 63: 3}[n_paulis]
    qubits = cirq.LineQubit.range(n_qubits)
    return np.stack([string.matrix(qubits) for string in pauli_strings(qubits)])
