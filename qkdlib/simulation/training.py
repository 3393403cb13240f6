"""Training a classifier from NumPy alone: for sweeps over seeds and for sliders.

The same loss, optimiser and schedule as `QNN` under `recipe`, without TensorFlow: a circuit is ready as
soon as its `Program` is built, and a step costs what the program costs.
"""

import numpy as np

from qkdlib._checks import check_count, check_labels, check_matrix, check_number
from qkdlib.simulation.optimise import Adam, cross_entropy, fit


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
        The trained weights, float32 [n_weights].

    Raises:
        TypeError, ValueError: A bad argument.
    """
    decay_rate = check_number("decay_rate", decay_rate, 0, 1, open_minimum=True)
    rate = check_number("learning_rate", learning_rate, 0, open_minimum=True)
    check_count("decay_steps", decay_steps)
    check_count("n_steps", n_steps)
    states = program.n_data == 0
    inputs = check_matrix("inputs", inputs, dtype=complex if states else float)
    labels = check_labels("labels", labels, program.n_observables, len(inputs))

    def report(iteration, loss, weights):
        if on_step is not None:
            on_step(iteration + 1, weights, loss)

    return fit(
        program,
        weights,
        inputs,
        cross_entropy(labels, logit_scale=logit_scale, n_classes=program.n_observables),
        iterations=n_steps,
        batch_size=batch_size,
        optimiser=Adam(lambda step: rate * decay_rate ** (step // decay_steps)),
        l2=l2,
        seed=seed,
        callback=report,
    ).weights


def accuracy(program, weights, inputs, labels):
    """Fraction of the samples whose largest expectation value is that of their class."""
    states = {"states": inputs} if program.n_data == 0 else {"data": inputs}
    values = program.expectation(weights, **states)
    return float(np.mean(values.argmax(axis=1) == np.asarray(labels)))
