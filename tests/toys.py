"""Small models, data and checks that several tests share."""

import numpy as np
import pytest

from qkdlib.core import Model, angle_encoding, hardware_efficient_ansatz, z_observables
from qkdlib.engine import tfq_available

needs_tfq = pytest.mark.skipif(not tfq_available(), reason="TensorFlow Quantum has no wheel here")
ENGINES = [pytest.param("tfq", marks=needs_tfq), "adjoint"]


def toy_model(n_layers=1, *, n_qubits=2, n_classes=2, logit_scale=1.0):
    """Angle encoding, the paper's ansatz, Z on the first qubits."""
    ansatz = hardware_efficient_ansatz(n_qubits, n_layers)
    observables = z_observables(n_classes, n_qubits)
    return Model.of(angle_encoding(n_qubits), ansatz, observables, logit_scale=logit_scale)


def toy_data(n_samples=60, *, n_qubits=2, seed=0):
    """(inputs [n_samples, n_qubits], labels [n_samples]) of two classes that a model can learn."""
    features = np.random.default_rng(seed).uniform(0, 1, (n_samples, n_qubits))
    return angle_encoding(n_qubits).angles(features), (features[:, 0] > 0.5).astype(int)


def random_states(n_states, n_qubits, seed):
    """Random states, complex128 [n_states, 2**n_qubits]."""
    parts = np.random.default_rng(seed).normal(size=(2, n_states, 2**n_qubits))
    states = parts[0] + 1j * parts[1]
    return states / np.linalg.norm(states, axis=1, keepdims=True)


def differences(function, values, step=1e-5):
    """Central differences of a function [batch, width] -> [batch], sample by sample: [batch, width]."""
    columns = []
    for column in range(values.shape[1]):
        shift = np.zeros_like(values)
        shift[:, column] = step
        columns.append((function(values + shift) - function(values - shift)) / (2 * step))
    return np.stack(columns, axis=1)
