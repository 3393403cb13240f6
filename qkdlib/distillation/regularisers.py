"""What pulls students towards each other: KL divergence of predictions, infidelity of states.

Oh et al. (2025) are known to us by their abstract; the formulas are reconstructed. Each student k of K
minimises its own loss plus `weight` times a distance to the others j != k, which are constants in its
gradient:

    QCD    R_k = T^2 KL( mean_j softmax(z_j / T) || softmax(z_k / T) )
    QICD   R_k = 1 - mean_j |<psi_j|psi_k>|^2 = 1 - <psi_k| mean_j |psi_j><psi_j| |psi_k>

For pure states the mean of the pairwise infidelities *is* the infidelity to the ensemble's mixed state,
so "the ensemble knowledge of the others" has one reading there. On a subsystem it has two; the mean of
the pairwise infidelities of the reduced states is used.
"""

import itertools
from dataclasses import dataclass
from functools import cache

import cirq
import numpy as np

from qkdlib._checks import check_choice, check_count
from qkdlib.distillation.losses import check_temperature

KINDS = ("kl", "infidelity")
# Eigenvalues below this are rounding errors of reduced states that are pure or nearly so, where the
# slope of the fidelity has no bound.
_SMALLEST = 1e-6


@dataclass(frozen=True)
class Regulariser:
    """A distance of a student to its peers.

    Attributes:
        kind: "kl" or "infidelity".
        temperature: T of the divergence, positive; not used by the infidelity.
        qubits: Positions in each student's register whose reduced states are compared; None for the
            full register. Only for the infidelity.

    What it compares is called a student's output: logits [batch, n_classes]; states, complex [batch,
    2**n_qubits]; or expectation values of all Pauli strings but the identity on `qubits`, in the order
    of `pauli_strings`, [batch, 4**k - 1].
    """

    kind: str
    temperature: float = 1.0
    qubits: tuple[int, ...] | None = None

    def __post_init__(self):
        check_choice("regulariser", self.kind, KINDS)
        check_temperature(self.temperature)
        if self.qubits is not None:
            if self.kind == "kl":
                raise ValueError("qubits must be None with regulariser 'kl', which compares logits")
            object.__setattr__(self, "qubits", check_subsystem(self.qubits))

    @property
    def output(self):
        """Which output of a student it compares: "logits", "states" or "paulis"."""
        if self.kind == "kl":
            return "logits"
        return "states" if self.qubits is None else "paulis"

    def __call__(self, own, peers):
        """The distance per sample, and its derivative by the student's own output.

        Args:
            own: The student's output, [batch, ...].
            peers: The peers' outputs, a sequence of at least one array [batch, ...].

        Returns:
            (values, gradient): float64 [batch], for the infidelity in [0, 1]; and an array like `own`,
            for states dR/dRe + i dR/dIm.
        """
        if self.kind == "kl":
            return _divergence(own, peers, self.temperature)
        return (infidelity if self.qubits is None else reduced_infidelity)(own, peers)


def check_subsystem(qubits):
    """Returns positions of qubits as a tuple: one to three, all different."""
    qubits = (qubits,) if isinstance(qubits, int) else tuple(qubits)
    qubits = tuple(check_count("an entry of qubits", q, minimum=0) for q in qubits)
    if not 1 <= len(qubits) <= 3 or len(set(qubits)) < len(qubits):
        raise ValueError(f"qubits must be one to three different positions, got {qubits}")
    return qubits


def infidelity(states, peers):
    """1 - mean_j |<peer_j|state>|^2 of pure states, and its derivative by the state.

    Args:
        states: complex [batch, 2**n_qubits], of norm one.
        peers: The peers' states, n_peers arrays of the same shape.

    Returns:
        (values, gradient): float64 [batch] in [0, 1], and dR/dRe + i dR/dIm, an array like `states`.
        A peer's global phase changes neither; that of `states` turns the gradient along.
    """
    peers = np.stack(peers, axis=1)  # [batch, n_peers, size]
    overlaps = np.vecdot(peers, states[:, None])  # <peer|state>
    n_peers = peers.shape[1]
    values = 1 - np.vecdot(overlaps, overlaps).real.astype(float) / n_peers
    factors = overlaps * overlaps.dtype.type(-2 / n_peers)
    return _clipped(values), (factors[:, None] @ peers)[:, 0]


def reduced_infidelity(paulis, peers):
    """1 - mean_j F(rho_j, rho) of reduced states, and its derivative by the Pauli vector of rho.

    F is the fidelity of mixed states, (Tr sqrt(sqrt(rho_j) rho sqrt(rho_j)))^2. One qubit with Bloch
    vectors r_j and r has F = (1 + r_j.r + sqrt((1 - |r_j|^2) (1 - |r|^2))) / 2. The slope grows without
    bound where one state is pure and the other not; it is cut off there.

    Args:
        paulis: Expectation values of the Pauli strings, float [batch, 4**k - 1].
        peers: The peers', a sequence of arrays of the same shape.

    Returns:
        (values, gradient): float64 [batch] in [0, 1], and float64 [batch, 4**k - 1].
    """
    own, peers = np.asarray(paulis, float), np.stack(peers).astype(float)
    fidelity = _bloch_fidelity if own.shape[1] == 3 else _mixed_fidelity
    values, slopes = fidelity(own, peers)
    return _clipped(1 - values), -slopes


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


def density_of(paulis):
    """Density matrices from Pauli vectors [..., 4**k - 1]: complex128 [..., 2**k, 2**k]."""
    basis = _pauli_matrices(np.shape(paulis)[-1])
    size = basis.shape[-1]
    return (np.eye(size) + np.tensordot(np.asarray(paulis, float), basis, axes=1)) / size


def _clipped(values):
    return np.minimum(np.maximum(values, 0.0), 1.0)  # np.clip takes four times as long


def _divergence(own, peers, temperature):
    # classes first: sums over a short last axis are slow
    logits = np.stack([own.T, *[peer.T for peer in peers]], axis=1) / float(temperature)
    logits = logits - logits.max(axis=0)
    powers = np.exp(logits)
    totals = powers.sum(axis=0)
    probabilities = powers / totals
    target = probabilities[:, 1:].sum(axis=1) / len(peers)
    log_p = logits[:, 0] - np.log(totals[0])
    log_target = np.log(np.maximum(target, np.finfo(float).tiny))  # 0 log 0 = 0
    values = np.maximum((target * (log_target - log_p)).sum(axis=0), 0.0)
    return temperature**2 * values, temperature * (probabilities[:, 0] - target).T


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
    root = _root(density_of(peers))
    values, vectors = np.linalg.eigh(root @ density_of(own) @ root)
    roots = np.sqrt(np.maximum(values, 0.0))
    total = roots.sum(axis=-1)
    half = root @ vectors
    # an eigenvalue of zero has no finite slope; where rho_j is pure `half` has no such column
    inverse = np.where(values > _SMALLEST**2, 1 / np.maximum(roots, _SMALLEST), 0.0)
    slope = ((half * (total[..., None] * inverse)[..., None, :]) @ _dagger(half)).mean(axis=0)
    # Tr(slope P), a product of rows: P is its own conjugate transpose
    by_pauli = slope.reshape(len(own), -1) @ basis.reshape(len(basis), -1).conj().T
    return (total**2).mean(axis=0), by_pauli.real / basis.shape[-1]


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
