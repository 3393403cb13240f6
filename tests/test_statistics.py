"""Intervals against textbook values, and how often they hold the truth."""

import numpy as np
import pytest
from scipy import stats

from qkdlib.statistics import bootstrap, mean_interval


def test_mean_interval_is_students():
    # Student 1908 by way of any table: 2.776 is the 97.5 % quantile with four degrees of freedom.
    interval = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    half = 2.7764451 * np.sqrt(2.5 / 5)
    assert interval == pytest.approx((3, 3 - half, 3 + half))
    samples = np.random.default_rng(0).normal(1, 2, 9)
    error = samples.std(ddof=1) / 3
    expected = stats.t.interval(0.8, 8, loc=samples.mean(), scale=error)
    assert mean_interval(samples, level=0.8)[1:] == pytest.approx(expected)
    assert mean_interval([5, 5]) == (5, 5, 5)


@pytest.mark.parametrize("n_samples", [2, 5, 10])
def test_mean_interval_holds_the_truth_as_often_as_it_says_where_bootstrap_does_not(n_samples):
    rng = np.random.default_rng(n_samples)
    intervals = [mean_interval(rng.normal(size=n_samples)) for _ in range(2000)]
    share = np.mean([i.low < 0 < i.high for i in intervals])
    assert share == pytest.approx(0.95, abs=0.02)
    if n_samples < 10:
        drawn = [rng.normal(size=n_samples) for _ in range(200)]
        found = [bootstrap(d, seed=0, n_resamples=200) for d in drawn]
        assert np.mean([i.low < 0 < i.high for i in found]) < 0.9


def test_bootstrap_interval_of_a_mean_is_the_textbook_one():
    samples = np.random.default_rng(2).normal(3, 2, 400)
    interval = bootstrap(samples, seed=0, n_resamples=4000)
    assert interval.value == pytest.approx(samples.mean())
    half = 1.96 * samples.std() / 20
    assert interval.low == pytest.approx(samples.mean() - half, abs=0.15 * half)
    assert interval.high == pytest.approx(samples.mean() + half, abs=0.15 * half)
    assert bootstrap(samples, seed=0, n_resamples=50) == bootstrap(samples, seed=0, n_resamples=50)
    assert bootstrap([5.0, 5.0], seed=1, n_resamples=10) == (5, 5, 5)
    assert f"{bootstrap([5.0, 5.0], seed=1, n_resamples=10):.1f}" == "5.0 [5.0, 5.0]"


def test_bootstrap_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        found = bootstrap(rng.normal(size=60), seed=seed, n_resamples=300)
        hits += found.low < 0 < found.high
    assert 175 <= hits <= 199


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: bootstrap([1.0], seed=0), ValueError, "samples must have at least 2 rows"),
        (lambda: bootstrap([1.0, np.inf], seed=0), ValueError, "samples must be finite"),
        (lambda: bootstrap([1.0, 2.0], seed=0, level=1.0), ValueError, "level must be below 1"),
        (lambda: bootstrap([1.0, 2.0], seed=-1), ValueError, "seed must be from 0 to"),
        (lambda: bootstrap([1.0, 2.0], seed=None), TypeError, "seed must be an integer, got None"),
        (lambda: bootstrap([1.0, 2.0], 3, seed=0), TypeError, "statistic must be a function, got 3"),
        (lambda: bootstrap(["a", "b"], seed=0), TypeError, "samples must be real numbers"),
        (lambda: mean_interval([1.0]), ValueError, "samples must have at least 2 rows"),
        (lambda: mean_interval([1.0, np.nan]), ValueError, "samples must be finite"),
        (lambda: mean_interval(np.ones((3, 2))), ValueError, r"samples must have shape \[n_samples\]"),
        (lambda: mean_interval([1.0, 2.0], level=0), ValueError, "level must be a finite number in"),
        (lambda: mean_interval(None), (TypeError, ValueError), "samples must"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_seeds_may_be_numpy_integers():
    samples = [1.0, 2.0, 4.0]
    assert bootstrap(samples, seed=np.int64(3)) == bootstrap(samples, seed=3)
