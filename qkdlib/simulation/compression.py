"""Training an encoder that squeezes states into fewer qubits, from NumPy alone (Yan et al., II.3).

`qkdlib.models.QuantumAutoencoder` is the same thing as a Keras model. This one is for sweeps over depths
and seeds and for sliders: with seven qubits and twelve layers a step takes less than a millisecond.
"""

import math

import numpy as np

from qkdlib._checks import check_choice, check_count, check_number
from qkdlib.simulation.density import check_states
from qkdlib.simulation.optimise import Adam


def code_scores(outputs, n_kept):
    """Fidelity and trash score of each state, from the encoder's output.

    Args:
        outputs: Encoder's output states U|psi>, complex [batch, 2**n_qubits]; the first `n_kept`
            qubits are the code.
        n_kept: Qubits of the code, from 1 to n_qubits - 1.

    Returns:
        (fidelity, trash), float64 [batch] each: F, the fidelity of psi with its decoded code (Eq. 10),
        and P, the probability to find all other qubits in |0>. P**2 <= F <= P.
    """
    phi = _matrices(check_states("outputs", outputs).astype(complex), n_kept)
    kept = phi[:, :, 0]
    overlaps = np.einsum("xa,xab->xb", kept.conj(), phi)
    return (np.abs(overlaps) ** 2).sum(axis=1), (np.abs(kept) ** 2).sum(axis=1)


def train_encoder(
    program,
    weights,
    states,
    n_kept,
    *,
    cost="fidelity",
    n_steps=2000,
    batch_size=16,
    learning_rate=0.1,
    decay=True,
    seed,
    on_step=None,
):
    """Trains the weights of an encoder by Adam.

    Args:
        program: A `Program` of the encoder, without data symbols; its first `n_kept` qubits are the
            code.
        weights: Initial weights, [n_weights], in radians.
        states: Training states, complex [n_samples, 2**n_qubits].
        n_kept: Qubits of the code, from 1 to n_qubits - 1.
        cost: "fidelity" maximises the mean F of Eq. 10, "trash" the mean P, "local_trash" the mean
            probability of a single trash qubit to be in |0>.
        n_steps: Number of steps.
        batch_size: Samples a step, drawn without replacement; at most all of them.
        learning_rate: Adam's, positive.
        decay: Whether it falls to zero along half a cosine.
        seed: Seed of the batches.
        on_step: Called as `on_step(step, weights)` after each step, step from 1; returning True ends
            the training.

    Returns:
        The trained weights, float32 [n_weights].

    Raises:
        TypeError, ValueError: A bad argument, named.
    """
    check_choice("cost", cost, tuple(_COTANGENTS))
    check_count("n_steps", n_steps)
    states = check_states("states", states, program.n_qubits)
    check_count("n_kept", n_kept, 1, program.n_qubits - 1)
    batch_size = min(check_count("batch_size", batch_size), len(states))
    rate = check_number("learning_rate", learning_rate, 0, open_minimum=True)
    rng = np.random.default_rng(check_count("seed", seed, minimum=0))

    def scheduled(step):
        return rate * (1 + math.cos(math.pi * step / n_steps)) / 2 if decay else rate

    def cotangent(outputs):
        phi = _matrices(outputs, n_kept)
        slope = _COTANGENTS[cost](phi) / len(phi)
        return -slope.reshape(outputs.shape).astype(np.complex64)

    optimiser = Adam(scheduled)
    weights = np.array(weights, np.float64)
    for step in range(n_steps):
        rows = rng.choice(len(states), batch_size, replace=False)
        _, gradients = program.output_states_and_grad(
            weights, states=states[rows], cotangent=cotangent, wrt=("weights",)
        )
        weights = optimiser.step(weights, gradients.weights.astype(np.float64))
        if on_step is not None and on_step(step + 1, weights):
            break
    return weights.astype(np.float32)


# Slopes of the summed scores by the output states, dRe + i dIm, for Phi [batch, code, rest].


def _fidelity_slope(phi):
    kept = phi[:, :, 0]
    overlaps = np.einsum("xa,xab->xb", kept.conj(), phi)  # F = sum_b |overlap_b|^2
    slope = 2 * kept[:, :, None] * overlaps[:, None, :]
    slope[:, :, 0] += 2 * np.einsum("xab,xb->xa", phi, overlaps.conj())
    return slope


def _trash_slope(phi):
    slope = np.zeros_like(phi)
    slope[:, :, 0] = 2 * phi[:, :, 0]
    return slope


def _local_trash_slope(phi):
    rest = phi.shape[2]
    n_trash = rest.bit_length() - 1
    zeros = n_trash - np.bitwise_count(np.arange(rest))
    return 2 * phi * (zeros / n_trash)


_COTANGENTS = {
    "fidelity": _fidelity_slope,
    "trash": _trash_slope,
    "local_trash": _local_trash_slope,
}


def _matrices(states, n_kept):
    n_qubits = states.shape[1].bit_length() - 1
    return states.reshape(len(states), 2 ** check_count("n_kept", n_kept, 1, n_qubits - 1), -1)
