"""The problem that every library is given: numbers only, so that each writes it in its own words.

    RX(x_i) on qubit i                                  the sample
    n_layers times: RX, RY, RZ on every qubit, CZ on (0,1), (1,2), ...
    RX, RY, RZ on every qubit
    logits <Z_0>, <Z_1>; loss = mean softmax cross-entropy over the batch

Weights are in the order of the gates. The loss and its gradient by the weights make a step.
"""

from typing import NamedTuple

import numpy as np

SIZES = ((2, 2), (4, 2), (7, 2), (10, 4), (15, 4), (15, 10))  # (qubits, layers)
BATCH = 64


class Problem(NamedTuple):
    """One size. inputs: "angles" (data) or "states" (states, in place of the RX(x_i))."""

    n_qubits: int
    n_layers: int
    inputs: str
    weights: np.ndarray  # float32 [3 * n_qubits * (n_layers + 1)]
    data: np.ndarray  # float32 [batch, n_qubits]
    states: np.ndarray | None  # complex64 [batch, 2**n_qubits]
    labels: np.ndarray  # int64 [batch]

    def rotations(self):
        """Yields ("rotation", axis, qubit, weight) and ("cz", qubit, next) in order."""
        weight = 0
        for layer in range(self.n_layers + 1):
            for qubit in range(self.n_qubits):
                for axis in "xyz":
                    yield "rotation", axis, qubit, weight
                    weight += 1
            if layer < self.n_layers:
                for qubit in range(self.n_qubits - 1):
                    yield "cz", qubit, qubit + 1


def make(n_qubits, n_layers, inputs="angles", batch=BATCH, seed=0):
    """The problem of one size; the same numbers for every library."""
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0, 2 * np.pi, 3 * n_qubits * (n_layers + 1)).astype(np.float32)
    data = rng.uniform(-np.pi, np.pi, (batch, n_qubits)).astype(np.float32)
    labels = rng.integers(0, 2, batch)
    states = None
    if inputs == "states":
        states = rng.normal(size=(2, batch, 2**n_qubits))
        states = states[0] + 1j * states[1]
        states = (states / np.linalg.norm(states, axis=1, keepdims=True)).astype(np.complex64)
    return Problem(n_qubits, n_layers, inputs, weights, data, states, labels)


def cross_entropy(values, labels):
    """Loss, and its derivative by the values [batch, 2]; for libraries without a loss of their own."""
    shifted = values - values.max(axis=1, keepdims=True)
    probabilities = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    slope = probabilities.copy()
    slope[rows, labels] -= 1
    return -np.log(probabilities[rows, labels]).mean(), slope / len(labels)
