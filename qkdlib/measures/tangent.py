"""The quantum neural tangent kernel (QNTK): how a circuit's outputs move when its weights do.

With f_i(x; w) = <O_i> and a small step of gradient flow on a loss L of the outputs,

    df_i(x)/dt = - sum_{x', j} K[(x, i), (x', j)] dL/df_j(x'),   K = J J^T,   J = df/dw .

As long as K hardly changes during training, its eigenvectors decay apart from each other, each at the
rate of its eigenvalue; the smallest decides when all are learnt (Liu et al. 2022, 2023).
"""

import numpy as np

from qkdlib._checks import check_type, check_vector
from qkdlib.core import Model
from qkdlib.engine import Program


def jacobian(model, weights, inputs):
    """Derivatives of every sample's expectation values by the weights.

    Each sample gets its own copy of the weights, as further data symbols: one sweep back per observable
    then gives the derivatives of all samples.

    Args:
        model: A `qkdlib.core.Model`.
        weights: Real [n_weights].
        inputs: Values of the data symbols [n_samples, n_data]; or states, complex
            [n_samples, 2**n_qubits], for a model without data symbols.

    Returns:
        float64 [n_samples, n_classes, n_weights], d<O_i>/dw; not multiplied by the model's logit_scale.

    Raises:
        TypeError, ValueError: A bad argument, named.
    """
    check_type("model", model, Model)
    weights = check_vector("weights", weights, model.n_weights)
    inputs = model.check_inputs("inputs", inputs)
    symbols = (*model.data_symbols, *model.weight_symbols)
    program = Program(model.circuit, (), symbols, model.observables, qubits=model.qubits)
    copies = np.tile(weights, (len(inputs), 1))
    if model.takes_states:
        given = {"states": inputs, "data": copies}
    else:
        given = {"data": np.hstack([inputs, copies])}
    run = program.start((), **given)
    found = np.empty((len(inputs), model.n_classes, model.n_weights))
    for i, cotangent in enumerate(np.eye(model.n_classes, dtype=np.float32)):
        slopes = run.pull_values(np.tile(cotangent, (len(inputs), 1)), ("data",)).data
        found[:, i] = slopes[:, model.n_data :]
    run.release()
    return found
