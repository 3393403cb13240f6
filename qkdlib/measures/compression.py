"""How much of a state survives in fewer qubits, and training an encoder for it (Yan et al., II.3).

The register is split into A, the first `n_kept` qubits, and B, the rest. Write the encoder's output
U|psi> as a matrix Phi [2**n_kept, 2**(n - n_kept)], rows A, columns B, and Phi_0 for its first column
(B in |0...0>). Then

    encoded state   rho_A = Phi Phi^dagger                                    (Eq. 8)
    fidelity        F     = Phi_0^dagger rho_A Phi_0                          (Eqs. 9 and 10, pure psi)
    trash           P     = ||Phi_0||^2, the probability to find B in |0...0>

so P**2 <= F <= P: the trash score is cheaper (one observable) and pins the fidelity from both sides.
Each score is a function of the output states that returns its value and its slope, as a loss does.
"""

import math
from typing import NamedTuple

import numpy as np

from qkdlib._checks import check_count, check_seed, check_states
from qkdlib.core import LEARNING_RATE, batches, minimise


def code_fidelity(outputs, n_kept):
    """F of each state with its decoded code (Eq. 10), and its slope.

    Args:
        outputs: The encoder's output states U|psi>, complex [batch, 2**n_qubits].
        n_kept: Qubits of the code, from 1 to n_qubits - 1; the first ones.

    Returns:
        (values [batch] in [0, 1], slopes dF/dRe + i dF/dIm, like `outputs`).
    """
    phi = _matrices(outputs, n_kept)
    kept = phi[:, :, 0]
    overlaps = np.einsum("xa,xab->xb", kept.conj(), phi)  # F = sum_b |overlap_b|^2
    slopes = 2 * kept[:, :, None] * overlaps[:, None, :]
    slopes[:, :, 0] += 2 * np.einsum("xab,xb->xa", phi, overlaps.conj())
    return (np.abs(overlaps) ** 2).sum(axis=1), slopes.reshape(outputs.shape)


def trash(outputs, n_kept):
    """P, the probability to find all other qubits in |0>, and its slope; as `code_fidelity`."""
    phi = _matrices(outputs, n_kept)
    slopes = np.zeros_like(phi)
    slopes[:, :, 0] = 2 * phi[:, :, 0]
    return (np.abs(phi[:, :, 0]) ** 2).sum(axis=1), slopes.reshape(outputs.shape)


def local_trash(outputs, n_kept):
    """The mean probability of one other qubit to be in |0>, and its slope; as `code_fidelity`.

    Its gradient does not vanish in wide registers as that of `trash` does.
    """
    phi = _matrices(outputs, n_kept)
    rest = phi.shape[2]
    n_trash = rest.bit_length() - 1
    share = (n_trash - np.bitwise_count(np.arange(rest))) / n_trash
    values = (np.abs(phi) ** 2 * share).sum(axis=(1, 2))
    return values, (2 * phi * share).reshape(outputs.shape)


class Compression:
    """A task for `minimise`: 1 - the mean score of an encoder on a batch, and its gradient.

    Args:
        model: A `Model` of the encoder, without data symbols.
        states: States to be encoded, complex [n_samples, 2**n_qubits], of norm one.
        n_kept: Qubits of the code; the first of the model's register.
        cost: `code_fidelity`, `trash` or `local_trash`, or a function like them.
    """

    def __init__(self, model, states, n_kept, cost=code_fidelity):
        if not callable(cost):
            raise TypeError(f"cost must be a function such as code_fidelity, got {cost!r}")
        self.n_kept = check_count("n_kept", n_kept, 1, model.n_qubits - 1)
        self.states = check_states("states", states, model.n_qubits)
        self.cost, self._program = cost, model.program()

    def __call__(self, weights, rows):
        run = self._program.start(weights, states=self.states[rows], output=True)
        scores, slopes = self.cost(run.outputs(), self.n_kept)
        slopes = (-slopes / len(rows)).astype(np.complex64)
        gradient = run.pull_outputs(slopes, ("weights",)).weights.astype(np.float64)
        run.release()
        return 1 - float(scores.mean()), gradient


class CosineDecay(NamedTuple):
    """A learning rate that falls from `rate` to zero along half a cosine, in `n_steps`."""

    rate: float
    n_steps: int

    def __call__(self, step):
        return self.rate * (1 + math.cos(math.pi * step / self.n_steps)) / 2


def train_encoder(
    model,
    states,
    n_kept,
    *,
    cost=code_fidelity,
    weights=None,
    n_steps=2000,
    batch_size=16,
    learning_rate=LEARNING_RATE,
    seed,
    callback=None,
):
    """Trains the weights of an encoder.

    Args:
        model, states, n_kept, cost: As in `Compression`.
        weights: Initial weights [n_weights]; by default drawn from U[0, 2 pi) by the seed.
        n_steps, learning_rate, callback: As in `qkdlib.core.minimise`; `CosineDecay` serves encoders.
        batch_size: Samples a step, at most.
        seed: Seed of the initial weights and of the order of the samples.

    Returns:
        A `Trained`.

    Raises:
        TypeError, ValueError: A bad argument, named.
    """
    task, seed = Compression(model, states, n_kept, cost), check_seed("seed", seed)
    weights = model.initial_weights(seed=seed) if weights is None else weights
    order = batches(len(task.states), check_count("batch_size", batch_size), seed)
    return minimise(
        task, weights, order, n_steps=n_steps, learning_rate=learning_rate, callback=callback
    )


def _matrices(outputs, n_kept):
    n_qubits = outputs.shape[1].bit_length() - 1
    return outputs.reshape(len(outputs), 2 ** check_count("n_kept", n_kept, 1, n_qubits - 1), -1)
