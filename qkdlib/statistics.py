"""Intervals for the book's claims: an estimate, and how far it might be off."""

from typing import NamedTuple

import numpy as np

from qkdlib._checks import check_count, check_finite, check_function, check_number, check_seed


class Interval(NamedTuple):
    """An estimate and the two ends of its interval."""

    value: float
    low: float
    high: float

    def __format__(self, spec):
        """`f"{interval:.2f}"` gives "0.91 [0.88, 0.93]"."""
        spec = spec or ".3g"
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


def mean_interval(samples, *, level=0.95):
    """Student's t interval of a mean.

    It holds the true mean with probability `level` if the samples are normally distributed, however
    few they are; for other distributions that is an approximation, rough where they are few.

    Args:
        samples: Independent measurements, e.g. one a seed, [n_samples], n_samples at least 2.
        level: Probability that the interval aims at, in (0, 1).

    Returns:
        An `Interval`: the mean, and the mean minus and plus t s / sqrt(n_samples), with s the samples'
        standard deviation and t the quantile of Student's distribution with n_samples - 1 degrees of
        freedom.

    Raises:
        TypeError, ValueError: A bad argument.
    """
    from scipy.special import stdtrit

    samples, level = _samples(samples), _level(level)
    if samples.ndim != 1:
        raise ValueError(f"samples must have shape [n_samples], got {samples.shape}")
    mean, error = samples.mean(), samples.std(ddof=1) / np.sqrt(len(samples))
    half = stdtrit(len(samples) - 1, (1 + level) / 2) * error
    return Interval(float(mean), float(mean - half), float(mean + half))


def bootstrap(samples, statistic=np.mean, *, seed, level=0.95, n_resamples=2000):
    """Bootstrap interval of a statistic (percentile method).

    The samples are drawn again with replacement, `n_resamples` times, and the statistic is computed
    each time; the interval holds the middle `level` of what comes out. With a handful of samples it
    is too narrow: take `mean_interval` there.

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
    samples, level = _samples(samples), _level(level)
    n_resamples = check_count("n_resamples", n_resamples)
    check_function("statistic", statistic)
    rng = np.random.default_rng(check_seed("seed", seed))
    drawn = [
        np.mean(statistic(samples[rng.integers(len(samples), size=len(samples))], axis=0))
        for _ in range(n_resamples)
    ]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(np.mean(statistic(samples, axis=0))), float(low), float(high))


def _samples(samples):
    samples = check_finite("samples", samples)
    if samples.ndim < 1 or len(samples) < 2:
        raise ValueError(f"samples must have at least 2 rows, got shape {samples.shape}")
    return samples


def _level(level):
    level = check_number("level", level, 0, 1, open_minimum=True)
    if level == 1:
        raise ValueError("level must be below 1, got 1.0")
    return level
