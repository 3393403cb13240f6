"""Training a classifier from NumPy alone: for sweeps over seeds and for sliders.

The same loss, optimiser and schedule as `QNN` under `recipe`, without TensorFlow: a circuit is ready as
soon as its `Program` is built, and a step costs what the program costs.
"""

import numpy as np

from qkdlib._checks import check_count, check_labels, check_matrix, check_number

_EPSILON = 1e-7  # Keras' default for Adam


def train_classifier(
    program,
    weights,
    inputs,
    labels,
    *,
    logit_scale=1.0,
    n_steps=120,
    batch_size=64,
    learning_rate=0.05,
    decay_rate=0.9,
    decay_steps=50,
    l2=0.0,
    seed,
    on_step=None,
):
    """Trains the weights of a program by Adam on softmax cross-entropy (Eqs. 3 and 4 of Yan et al.).

    Logits are logit_scale * <O_i>, one observable a class; an epoch visits the samples in a new random
    order, and its last batch may be smaller, as in Keras.

    Args:
        program: A `Program` with one observable per class.
        weights: Initial weights, [n_weights].
        inputs: Values of the data symbols, [n_samples, n_data], in radians; or, for a program without
            data symbols, states, complex [n_samples, 2**n_qubits].
        labels: Integers in [0, n_classes), [n_samples].
        logit_scale: Factor of the logits, positive.
        n_steps: Number of steps of the optimiser.
        batch_size: Samples a step, at most.
        learning_rate, decay_rate, decay_steps: As in `qkdlib.models.recipe`.
        l2: Coefficient of the penalty l2 * sum(weights**2), at least 0.
        seed: Seed of the order of the samples.
        on_step: Called as `on_step(step, weights, loss)` after each step, step from 1.

    Returns:
        The trained weights, float64 [n_weights].

    Raises:
        TypeError, ValueError: A bad argument.
    """
    weights = np.array(weights, float)
    states = program.n_data == 0
    inputs = check_matrix("inputs", inputs, dtype=complex if states else float)
    labels = check_labels("labels", labels, program.n_observables, len(inputs))
    scale = check_number("logit_scale", logit_scale, 0, open_minimum=True)
    rate = check_number("learning_rate", learning_rate, 0, open_minimum=True)
    decay_rate = check_number("decay_rate", decay_rate, 0, 1, open_minimum=True)
    check_count("decay_steps", decay_steps)
    batches = _batches(
        len(inputs),
        check_count("batch_size", batch_size),
        np.random.default_rng(check_count("seed", seed, minimum=0)),
    )
    l2 = check_number("l2", l2, 0)
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, check_count("n_steps", n_steps) + 1):
        batch = next(batches)
        loss, gradient = _loss_and_gradient(
            program, weights, inputs[batch], labels[batch], scale, states
        )
        gradient += 2 * l2 * weights
        first += 0.1 * (gradient - first)
        second += 0.001 * (gradient**2 - second)
        size = rate * decay_rate ** ((step - 1) // decay_steps)
        size *= np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        weights -= size * first / (np.sqrt(second) + _EPSILON)
        if on_step is not None:
            on_step(step, weights, loss + l2 * np.sum(weights**2))
    return weights


def accuracy(program, weights, inputs, labels):
    """Fraction of the samples whose largest expectation value is that of their class."""
    states = {"states": inputs} if program.n_data == 0 else {"data": inputs}
    values = program.expectation(weights, **states)
    return float(np.mean(values.argmax(axis=1) == np.asarray(labels)))


def cross_entropy(logits, labels):
    """Softmax cross-entropy of a batch and its gradient.

    Args:
        logits: [batch, n_classes].
        labels: Integers, [batch].

    Returns:
        (mean loss, gradient of the mean with respect to the logits [batch, n_classes]).
    """
    shifted = logits - logits.max(axis=1, keepdims=True)
    p = np.exp(shifted)
    total = p.sum(axis=1, keepdims=True)
    p /= total
    rows = np.arange(len(labels))
    loss = float(np.mean(np.log(total[:, 0]) - shifted[rows, labels]))
    p[rows, labels] -= 1
    return loss, p / len(labels)


def _loss_and_gradient(program, weights, inputs, labels, scale, states):
    found = {}

    def cotangent(values):
        found["loss"], slope = cross_entropy(scale * values, labels)
        return scale * slope

    named = {"states": inputs} if states else {"data": inputs}
    _, gradients = program.value_and_grad(weights, **named, cotangent=cotangent, wrt=["weights"])
    return found["loss"], gradients.weights.astype(float)


def _batches(n_samples, size, rng):
    while True:
        order = rng.permutation(n_samples)
        for start in range(0, n_samples, size):
            yield order[start : start + size]
