"""Expectation values from counts, and gradients made of them."""

import numpy as np
import pytest
from toys import toy_data, toy_model

from qkdlib.core import Supervised, cross_entropy, with_targets
from qkdlib.measures import OnShots, counted

MODEL, (INPUTS, LABELS) = toy_model(2, logit_scale=3.0), toy_data(20)
LOSS, ROWS = with_targets(cross_entropy, LABELS), np.arange(12)


def test_a_mean_of_outcomes_is_right_on_average_and_off_by_their_spread():
    values, rng = np.array([-1.0, -0.4, 0.0, 0.9, 1.0]), np.random.default_rng(0)
    for shots in (1, 7, 100):
        found = np.array([counted(values, shots, rng) for _ in range(4000)])
        spread = np.sqrt((1 - values**2) / shots)
        np.testing.assert_allclose(found.mean(axis=0), values, atol=4 / np.sqrt(4000 * shots))
        np.testing.assert_allclose(found.std(axis=0), spread, atol=0.05 * spread.max())
    assert set(np.unique(counted(values, 1, rng))) <= {-1.0, 1.0}


def test_the_gradient_is_right_on_average_over_outcomes():
    weights = MODEL.initial_weights(seed=3).astype(float)
    loss, gradient = Supervised(MODEL, INPUTS, LOSS)(weights, ROWS)
    many = OnShots(MODEL, INPUTS, LOSS, 10**9, seed=0)(weights, ROWS)
    assert many[0] == pytest.approx(loss, abs=1e-3)
    np.testing.assert_allclose(many[1], gradient, atol=1e-3)
    few = [OnShots(MODEL, INPUTS, LOSS, 50, seed=seed)(weights, ROWS)[1] for seed in range(40)]
    assert np.std(few, axis=0).max() > 0.02


def test_the_same_seed_gives_the_same_outcomes():
    weights = MODEL.initial_weights(seed=3)
    one, two, other = (OnShots(MODEL, INPUTS, LOSS, 5, seed=s)(weights, ROWS)[1] for s in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("shots", [0, -3, 2.5, "many"])
def test_shots_are_counted(shots):
    with pytest.raises((TypeError, ValueError), match="shots must be"):
        OnShots(MODEL, INPUTS, LOSS, shots, seed=0)
