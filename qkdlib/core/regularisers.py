"""What pulls students towards each other: KL divergence of predictions, infidelity of states.

Oh et al. (2025) are known to us by their abstract; the formulas are reconstructed. Each student k of K
minimises its own loss plus `weight` times a distance to the others j != k, which are constants in its
gradient:

    QCD    R_k = T^2 KL( mean_j softmax(z_j / T) || softmax(z_k / T) )
    QICD   R_k = 1 - mean_j |<psi_j|psi_k>|^2 = 1 - <psi_k| mean_j |psi_j><psi_j| |psi_k>

For pure states the mean of the pairwise infidelities *is* the infidelity to the ensemble's mixed state,
so "the ensemble knowledge of the others" has one reading there. On a subsystem it has two; the mean of
the pairwise infidelities of the reduced states is used (`qkdlib.measures.ReducedInfidelity`).
"""

from dataclasses import dataclass

import numpy as np

from qkdlib._checks import check_number
from qkdlib.core.losses import kl_divergence, softened


class Regulariser:
    """A distance of a student to its peers: a small class with `compares` and `__call__`.

    `compares` says what of each student is compared, its *output*: "logits" [batch, n_classes];
    "states", complex [batch, 2**n_qubits]; or "observables", expectation values of `observables(model)`.
    """

    compares = "logits"

    def observables(self, model):
        """The observables whose expectation values are compared, a list; where it compares these."""
        raise NotImplementedError

    def __call__(self, own, peers):
        """The distance per sample, and its derivative by the student's own output.

        Args:
            own: The student's output [batch, ...].
            peers: The peers' outputs, a sequence of at least one array like `own`.

        Returns:
            (values, slopes): float64 [batch], and an array like `own`, for states dR/dRe + i dR/dIm.
        """
        raise NotImplementedError

    def check(self, models):
        """ValueError unless these models can be compared."""
        sizes = [model.n_qubits for model in models]
        if self.compares == "states" and len(set(sizes)) > 1:
            raise ValueError(
                "models must have registers of the same size for a comparison of full states, got "
                f"{sizes} qubits; compare a subsystem"
            )
        if self.compares == "observables":
            for model in models:
                self.observables(model)


@dataclass(frozen=True)
class Divergence(Regulariser):
    """QCD: the divergence of the peers' mean softened probabilities from the student's.

    Args:
        temperature: T, positive.
    """

    temperature: float = 1.0

    def __post_init__(self):
        check_number("temperature", self.temperature, 0, open_minimum=True)

    def __call__(self, own, peers):
        said = np.mean(softened(np.stack(peers), self.temperature), axis=0)
        wanted = np.log(np.maximum(said, np.finfo(float).tiny))  # 0 log 0 = 0
        values, slopes = kl_divergence(self.temperature * wanted, own, self.temperature)
        return self.temperature**2 * values, self.temperature**2 * slopes


@dataclass(frozen=True)
class Infidelity(Regulariser):
    """QICD: 1 - mean_j |<peer_j|state>|^2 of the students' output states, in [0, 1].

    A peer's global phase changes neither value nor slope; that of the state turns the slope along.
    """

    compares = "states"

    def __call__(self, own, peers):
        peers = np.stack(peers, axis=1)  # [batch, n_peers, size]
        overlaps = np.vecdot(peers, own[:, None])  # <peer|state>
        n_peers = peers.shape[1]
        values = 1 - np.vecdot(overlaps, overlaps).real.astype(float) / n_peers
        values = np.minimum(np.maximum(values, 0.0), 1.0)  # np.clip takes four times as long
        factors = overlaps * overlaps.dtype.type(-2 / n_peers)
        return values, (factors[:, None] @ peers)[:, 0]
