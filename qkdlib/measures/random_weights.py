"""A circuit before it has learnt anything: its states and gradients at random weights."""

import numpy as np

from qkdlib._checks import check_count, check_seed, check_type
from qkdlib.core import Ansatz
from qkdlib.engine import Program


def random_states(ansatz, n_states, *, seed):
    """States that an ansatz prepares from |0...0> at weights drawn from U[0, 2 pi).

    Args:
        ansatz: An `Ansatz`.
        n_states: Number of states, each with weights of its own.
        seed: Seed of the weights.

    Returns:
        complex64 array [n_states, 2**n_qubits].
    """
    weights = _random_weights(ansatz, "n_states", n_states, seed)
    program = _program(ansatz, [])
    return program.output_states(np.zeros(0), data=weights)


def random_gradients(ansatz, observable, n_samples, *, seed):
    """Gradients of an expectation value at weights drawn from U[0, 2 pi), from |0...0>.

    Args:
        ansatz: An `Ansatz`.
        observable: A `cirq.PauliString` or `cirq.PauliSum`.
        n_samples: Number of draws.
        seed: Seed of the weights.

    Returns:
        float32 array [n_samples, n_weights], d<observable>/d(weight), columns as `ansatz.symbols`.
    """
    weights = _random_weights(ansatz, "n_samples", n_samples, seed)
    program = _program(ansatz, [observable])
    _, gradients = program.value_and_grad(np.zeros(0), data=weights, wrt=["data"])
    return gradients.data


def _random_weights(ansatz, name, count, seed):
    shape = (check_count(name, count), check_type("ansatz", ansatz, Ansatz).n_weights)
    rng = np.random.default_rng(check_seed("seed", seed))
    return rng.uniform(0, 2 * np.pi, shape)


def _program(ansatz, observables):
    # The weights play the part of data: every sample has its own.
    return Program(
        ansatz.circuit, data_symbols=ansatz.symbols, observables=observables, qubits=ansatz.qubits
    )
