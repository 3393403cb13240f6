"""How steep a loss is at random weights: the variance of gradients, and barren plateaus."""

import numpy as np

from qkdlib._checks import check_count, check_finite
from qkdlib.statistics import bootstrap


def gradient_variance(gradients, *, seed, level=0.95, n_resamples=1000):
    """Variance of gradients over random weights, with a bootstrap interval.

    Args:
        gradients: Derivatives at independent random weights, [n_samples] for one weight or
            [n_samples, n_weights]; variances of several weights are averaged.
        seed: Seed of the bootstrap.
        level: Probability that the interval aims at, in (0, 1).
        n_resamples: Number of resamplings.

    Returns:
        A `qkdlib.statistics.Interval`.
    """
    gradients = check_finite("gradients", gradients)
    if gradients.ndim not in (1, 2) or len(gradients) < 2 or not gradients.size:
        raise ValueError(
            "gradients must have shape [n_samples] or [n_samples, n_weights] with at least "
            f"2 samples, got {gradients.shape}"
        )
    moments = np.stack([gradients, gradients**2]).reshape(2, len(gradients), -1)

    def variance(rows, axis):
        # `rows` are positions of samples; how often each was drawn gives all weights at once.
        drawn = np.bincount(rows.astype(int), minlength=len(gradients)) / len(rows)
        mean, square = drawn @ moments
        return square - mean**2

    rows = np.arange(len(gradients))
    return bootstrap(rows, variance, seed=seed, level=level, n_resamples=n_resamples)


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
