"""The quantum neural tangent kernel (QNTK): how a circuit's outputs move when its weights do.

With f_i(x; w) = <O_i> and a small step of gradient flow on a loss L of the outputs,

    df_i(x)/dt = - sum_{x', j} K[(x, i), (x', j)] dL/df_j(x'),   K = J J^T,   J = df/dw .

As long as K hardly changes during training, its eigenvectors decay apart from each other, each at the
rate of its eigenvalue; the smallest decides when all are learnt (Liu et al. 2022, 2023).
"""

import numpy as np

from qkdlib.simulation.program import Program


def jacobian(circuit, weight_symbols, data_symbols, observables, weights, inputs, *, qubits=None):
    """Derivatives of every sample's expectation values by the weights.

    Each sample gets its own copy of the weights, as further data symbols: one sweep back per observable
    then gives the derivatives of all samples.

    Args:
        circuit, weight_symbols, data_symbols, observables, qubits: As for `Program`.
        weights: Real [n_weights].
        inputs: Values of the data symbols [n_samples, n_data]; or states, complex
            [n_samples, 2**n_qubits], for a circuit without data symbols.

    Returns:
        float64 [n_samples, n_observables, n_weights].
    """
    weights, inputs = np.asarray(weights, float), np.asarray(inputs)
    if weights.shape != (len(weight_symbols),):
        raise ValueError(f"weights must have shape [{len(weight_symbols)}], got {weights.shape}")
    every = (*data_symbols, *weight_symbols)
    program = Program(circuit, (), every, observables, qubits=qubits)
    copies = np.tile(weights, (len(inputs), 1))
    if np.iscomplexobj(inputs):
        given = {"states": inputs, "data": copies}
    else:
        given = {"data": np.hstack([inputs, copies])}
    found = np.empty((len(inputs), len(observables), len(weights)))
    for i in range(len(observables)):
        cotangent = np.zeros((len(inputs), len(observables)), np.float32)
        cotangent[:, i] = 1
        _, gradients = program.value_and_grad(
            np.zeros(0), **given, cotangent=cotangent, wrt=("data",)
        )
        found[:, i] = gradients.data[:, len(data_symbols) :]
    return found


def tangent_kernel(slopes):
    """K = J J^T over all samples and observables.

    Args:
        slopes: What `jacobian` returns, [n_samples, n_observables, n_weights].

    Returns:
        float64 [m, m], m = n_samples n_observables, observables of a sample next to each other;
        symmetric, without negative eigenvalues, of rank at most n_weights.
    """
    slopes = np.asarray(slopes, float)
    if slopes.ndim != 3:
        raise ValueError(
            f"slopes must have shape [n_samples, n_observables, n_weights], got {slopes.shape}"
        )
    flat = slopes.reshape(-1, slopes.shape[2])
    return flat @ flat.T
