"""Overlaps against closed forms, alignment against its definition."""

import cirq
import numpy as np
import pytest

from qkdlib.core import amplitude_encoding, angle_encoding, basis_encoding, phase_encoding
from qkdlib.measures import centred_alignment, encoded_states, fidelity_kernel


@pytest.fixture
def features():
    return np.random.default_rng(0).uniform(0, 1, (7, 3))


@pytest.mark.parametrize("build", [angle_encoding, phase_encoding, amplitude_encoding])
def test_encoded_states_are_what_cirq_computes(build, features):
    encoding = build(3)
    states = encoded_states(encoding, features)
    assert states.shape == (7, 8)
    for sample, state in zip(features, states, strict=True):
        expected = cirq.final_state_vector(encoding.bind(sample), qubit_order=encoding.qubits)
        np.testing.assert_allclose(abs(np.vdot(expected, state)), 1, atol=1e-5)


@pytest.mark.parametrize("build", [angle_encoding, phase_encoding])
def test_angle_and_phase_encoding_share_a_product_kernel(build, features):
    # Closed form: prod_i cos^2(pi (x_i - y_i) / 2), whatever the axis.
    kernel = fidelity_kernel(encoded_states(build(3), features))
    difference = features[:, None] - features
    np.testing.assert_allclose(kernel, np.cos(np.pi * difference / 2).prod(axis=2) ** 2, atol=1e-6)


@pytest.mark.parametrize("build", [basis_encoding, phase_encoding, angle_encoding])
def test_different_bits_are_orthogonal(build):
    bits = (np.arange(8)[:, None] >> np.arange(3)) & 1
    kernel = fidelity_kernel(encoded_states(build(3), bits))
    np.testing.assert_allclose(kernel, np.eye(8), atol=1e-6)


def test_amplitude_kernel_is_the_squared_cosine_and_blind_to_the_sign(features):
    encoding = amplitude_encoding(2)
    kernel = fidelity_kernel(encoded_states(encoding, features), encoded_states(encoding, -3 * features))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    np.testing.assert_allclose(kernel, (unit @ unit.T) ** 2, atol=1e-6)
    np.testing.assert_allclose(np.diag(kernel), 1, atol=1e-6)


def test_alignment_of_the_ideal_kernel_is_one_and_ignores_offset_and_scale():
    labels = np.array([0, 0, 1, 1, 1, 2])
    ideal = (labels[:, None] == labels).astype(float)
    assert centred_alignment(ideal, labels) == pytest.approx(1)
    assert centred_alignment(5 + 0.1 * ideal, labels) == pytest.approx(1)
    assert centred_alignment(1 - ideal, labels) == pytest.approx(-1)


def test_alignment_follows_its_definition():
    rng = np.random.default_rng(1)
    root = rng.normal(size=(9, 4))
    kernel, labels = root @ root.T, rng.integers(0, 2, 9)
    signs = 2 * labels - 1
    centring = np.eye(9) - 1 / 9
    left = centring @ kernel @ centring
    right = centring @ np.outer(signs, signs) @ centring
    expected = np.trace(left @ right) / np.sqrt(np.trace(left @ left) * np.trace(right @ right))
    assert centred_alignment(kernel, labels) == pytest.approx(expected)


def test_alignment_of_a_kernel_that_knows_nothing_is_small():
    rng = np.random.default_rng(2)
    states = rng.normal(size=(200, 8)) + 1j * rng.normal(size=(200, 8))
    states /= np.linalg.norm(states, axis=1, keepdims=True)
    assert abs(centred_alignment(fidelity_kernel(states), rng.integers(0, 2, 200))) < 0.05


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fidelity_kernel([[1, 1]]), "states must have norm 1, but row 0"),
        (lambda: fidelity_kernel([[1, 0]], [[1, 0, 0, 0]]), r"others must have shape \[batch, 2\]"),
        (lambda: fidelity_kernel([[np.nan, 0]]), "states must be finite"),
        (lambda: centred_alignment([[1, 0], [1, 1]], [0, 1]), "kernel must be a symmetric"),
        (lambda: centred_alignment(np.eye(3), [0, 1]), r"labels must have shape \[3\]"),
        (lambda: centred_alignment(np.eye(2), [1, 1]), "labels must hold at least two classes"),
        (lambda: centred_alignment(np.ones((2, 2)), [0, 1]), "kernel must not be constant"),
        (lambda: encoded_states(basis_encoding(2), [[0.5, 1]]), "must be 0 or 1"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_encoding_must_be_one():
    with pytest.raises(TypeError, match="encoding must be of class Encoding, got cirq.Circuit"):
        encoded_states(cirq.Circuit(), [[0.5, 1]])
