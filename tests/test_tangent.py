"""The Jacobian against the reference, and the tangent kernel against a small step of training."""

import numpy as np
import pytest

from qkdlib.core import Model, angle_encoding, hardware_efficient_ansatz, z_observables
from qkdlib.engine import reference
from qkdlib.measures import jacobian


def model_of(encoding=None):
    # The slopes are those of expectation values: the logits' scale does not enter.
    return Model.of(encoding, hardware_efficient_ansatz(3, 2), z_observables(2, 3), logit_scale=3.0)


@pytest.fixture
def model():
    return model_of(angle_encoding(3))


@pytest.fixture
def weights(model):
    return np.random.default_rng(1).uniform(0, 2 * np.pi, model.n_weights)


def values(model, weights, inputs):
    return model.logits(weights, inputs) / model.logit_scale


@pytest.mark.parametrize("states", [False, True])
def test_jacobian_is_the_references_slope_of_the_values(model, weights, states):
    rng = np.random.default_rng(2)
    inputs, start = rng.uniform(0, np.pi, (5, 3)), None
    if states:
        model = model_of()
        start = rng.normal(size=(5, 8)) + 1j * rng.normal(size=(5, 8))
        start /= np.linalg.norm(start, axis=1, keepdims=True)
        inputs = np.zeros((5, 0))
    found = jacobian(model, weights, inputs if start is None else start)
    assert found.shape == (5, 2, 27)
    symbols = model.weight_symbols + model.data_symbols
    points = np.hstack([np.tile(weights, (5, 1)), inputs])
    for i in range(2):
        cotangent = np.tile(np.eye(2)[i], (5, 1))
        problem = model.circuit, symbols, points, model.observables, cotangent, model.qubits, start
        slopes, _ = reference.gradient(*problem)
        np.testing.assert_allclose(found[:, i], slopes[:, :27], atol=1e-5)


def test_kernel_predicts_a_small_step_of_gradient_descent(model, weights):
    inputs = np.random.default_rng(3).uniform(0, np.pi, (4, 3))
    slopes = jacobian(model, weights, inputs)
    flat = slopes.reshape(-1, len(weights))
    kernel = flat @ flat.T
    before = values(model, weights, inputs)
    residual = before - 0.5
    rate = 1e-3
    after = values(model, weights - rate * np.einsum("xik,xi->k", slopes, residual), inputs)
    predicted = -rate * (kernel @ residual.ravel()).reshape(before.shape)
    assert after - before == pytest.approx(predicted, rel=0.05, abs=2e-5)
    assert np.abs(predicted).max() > 1e-3


def test_bad_arguments_are_named(model, weights):
    with pytest.raises(ValueError, match=r"weights must have shape \[27\], got \(26,\)"):
        jacobian(model, weights[1:], np.zeros((2, 3)))
    with pytest.raises(ValueError, match="weights must be finite, but hold NaN or infinity"):
        jacobian(model, weights * np.nan, np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"inputs must have shape \[batch, 3\], got \(2, 4\)"):
        jacobian(model, weights, np.zeros((2, 4)))
    with pytest.raises(TypeError, match="model must be of class Model, got cirq.Circuit"):
        jacobian(model.circuit, weights, np.zeros((2, 3)))
