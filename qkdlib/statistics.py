"""Intervals for the book's claims: an estimate, and how far it might be off."""

from typing import NamedTuple

import numpy as np

from qkdlib._checks import check_count, check_number


class Interval(NamedTuple):
    """An estimate and the two ends of its interval."""

    value: float
    low: float
    high: float

    def __format__(self, spec):
        """`f"{interval:.2f}"` gives "0.91 [0.88, 0.93]"."""
        spec = spec or ".3g"
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


def bootstrap(samples, statistic=np.mean, *, seed, level=0.95, n_resamples=2000):
    """Bootstrap interval of a statistic (percentile method).

    The samples are drawn again with replacement, `n_resamples` times, and the statistic is computed
    each time; the interval holds the middle `level` of what comes out. With a handful of samples it
    is too narrow: five seeds are a hint, not a measurement.

    Args:
        samples: Array [n_samples, ...], n_samples at least 2; rows are independent of each other.
        statistic: Function called as `statistic(samples, axis=0)`, e.g. `numpy.mean`, `numpy.var`;
            what it returns is averaged to one number if the samples have more than one axis.
        seed: Seed of the resampling.
        level: Probability that the interval aims at, in (0, 1).
        n_resamples: Number of resamplings.

    Returns:
        An `Interval`: the statistic of the samples as they are, and the interval's ends.

    Raises:
        TypeError, ValueError: A bad argument.
    """
    samples = np.asarray(samples, dtype=float)
    if samples.ndim < 1 or len(samples) < 2:
        raise ValueError(f"samples must have at least 2 rows, got shape {samples.shape}")
    if not np.isfinite(samples).all():
        raise ValueError("samples must be finite, got NaN or infinity among them")
    level = check_number("level", level, 0, 1, open_minimum=True)
    if level == 1:
        raise ValueError("level must be below 1, got 1.0")
    n_resamples = check_count("n_resamples", n_resamples)
    rng = np.random.default_rng(check_count("seed", seed, minimum=0))
    drawn = [
        np.mean(statistic(samples[rng.integers(len(samples), size=len(samples))], axis=0))
        for _ in range(n_resamples)
    ]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(np.mean(statistic(samples, axis=0))), float(low), float(high))
