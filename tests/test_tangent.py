"""The tangent kernel against finite differences, and against a small step of training."""

import numpy as np
import pytest

from qkdlib.circuits import angle_encoding, hardware_efficient_ansatz, z_observables
from qkdlib.simulation.program import Program
from qkdlib.simulation.tangent import jacobian, tangent_kernel


@pytest.fixture
def model():
    encoding, ansatz = angle_encoding(3), hardware_efficient_ansatz(3, 2)
    return {
        "circuit": encoding.circuit + ansatz.circuit,
        "weight_symbols": ansatz.symbols,
        "data_symbols": encoding.symbols,
        "observables": z_observables(2, 3),
        "qubits": ansatz.qubits,
    }


@pytest.fixture
def weights(model):
    return np.random.default_rng(1).uniform(0, 2 * np.pi, len(model["weight_symbols"]))


def values(model, weights, inputs):
    kind = "states" if np.iscomplexobj(inputs) else "data"
    return Program(*list(model.values())[:4], qubits=model["qubits"]).expectation(
        weights, **{kind: inputs}
    )


@pytest.mark.parametrize("states", [False, True])
def test_jacobian_is_the_slope_of_the_values(model, weights, states):
    rng = np.random.default_rng(2)
    inputs = rng.uniform(0, np.pi, (5, 3))
    if states:
        model |= {"circuit": hardware_efficient_ansatz(3, 2).circuit, "data_symbols": ()}
        inputs = rng.normal(size=(5, 8)) + 1j * rng.normal(size=(5, 8))
        inputs /= np.linalg.norm(inputs, axis=1, keepdims=True)
    found = jacobian(**model, weights=weights, inputs=inputs)
    step = 1e-2
    for k in range(len(weights)):
        move = step * np.eye(len(weights))[k]
        rise = values(model, weights + move, inputs) - values(model, weights - move, inputs)
        # every weight turns one rotation, so that the values are sinusoids in it
        assert found[:, :, k] == pytest.approx(rise / (2 * np.sin(step)), abs=1e-4)


def test_kernel_predicts_a_small_step_of_gradient_descent(model, weights):
    inputs = np.random.default_rng(3).uniform(0, np.pi, (4, 3))
    slopes = jacobian(**model, weights=weights, inputs=inputs)
    kernel = tangent_kernel(slopes)
    before = values(model, weights, inputs)
    residual = before - 0.5
    rate = 1e-3
    after = values(model, weights - rate * np.einsum("xik,xi->k", slopes, residual), inputs)
    predicted = -rate * (kernel @ residual.ravel()).reshape(before.shape)
    assert after - before == pytest.approx(predicted, rel=0.05, abs=2e-5)
    assert np.abs(predicted).max() > 1e-3


def test_kernel_is_symmetric_and_has_the_rank_of_the_jacobian(model, weights):
    inputs = np.random.default_rng(4).uniform(0, np.pi, (20, 3))
    slopes = jacobian(**model, weights=weights, inputs=inputs)
    kernel = tangent_kernel(slopes)
    eigenvalues = np.linalg.eigvalsh(kernel)
    assert kernel.shape == (40, 40)
    assert np.array_equal(kernel, kernel.T)
    assert eigenvalues.min() > -1e-9 * eigenvalues.max()
    assert (eigenvalues > 1e-5 * eigenvalues.max()).sum() <= len(weights)


def test_bad_arguments_are_named(model, weights):
    with pytest.raises(ValueError, match=r"weights must have shape \[27\], got \(26,\)"):
        jacobian(**model, weights=weights[1:], inputs=np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"slopes must have shape"):
        tangent_kernel(np.zeros((2, 3)))
