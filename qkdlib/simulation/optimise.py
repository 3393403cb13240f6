"""Training without TensorFlow: Adam on a `Program`, for explorers that retrain as a slider moves."""

from typing import NamedTuple

import numpy as np

from qkdlib._checks import check_count, check_labels, check_matrix, check_number


class Fit(NamedTuple):
    """Result of `fit`: weights, float32 [n_weights], and the loss of each iteration's batch."""

    weights: np.ndarray
    losses: np.ndarray


class Adam:
    """Adam (Kingma and Ba, algorithm 1) with the defaults of Keras.

    Args:
        learning_rate: a positive number, or a function from the iteration (0, 1, ...) to one.
        beta_1, beta_2: decay rates of the moments, in [0, 1).
        epsilon: added to the root of the second moment.
    """

    def __init__(self, learning_rate=0.05, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
        if not callable(learning_rate):
            check_number("learning_rate", learning_rate, 0, open_minimum=True)
        self.learning_rate, self.beta_1, self.beta_2 = learning_rate, beta_1, beta_2
        self.epsilon = epsilon
        self.iteration = 0
        self._mean = self._square = 0.0

    def step(self, weights, gradient):
        """The weights after one step against the gradient."""
        rate = self.learning_rate
        rate = rate(self.iteration) if callable(rate) else rate
        self.iteration += 1
        self._mean = self.beta_1 * self._mean + (1 - self.beta_1) * gradient
        self._square = self.beta_2 * self._square + (1 - self.beta_2) * gradient**2
        mean = self._mean / (1 - self.beta_1**self.iteration)
        square = self._square / (1 - self.beta_2**self.iteration)
        return weights - rate * mean / (np.sqrt(square) + self.epsilon)


def cross_entropy(targets, *, logit_scale=1.0, n_classes=None):
    """Softmax cross-entropy of scaled expectation values, as a loss for `fit`.

    Args:
        targets: integer labels [n_samples], or probabilities [n_samples, n_classes].
        logit_scale: factor of the logits, positive.
        n_classes: number of observables; only for labels, by default the highest label plus one.

    Returns:
        A function (values [batch, n_classes], rows [batch]) -> (mean loss in nats, its derivative
        by the values [batch, n_classes]).
    """
    check_number("logit_scale", logit_scale, 0, open_minimum=True)
    targets = np.asarray(targets)
    if targets.ndim == 1:
        n_classes = int(targets.max()) + 1 if n_classes is None else n_classes
        targets = np.eye(n_classes)[check_labels("targets", targets, n_classes)]
    targets = check_matrix("targets", targets)

    def loss(values, rows):
        wanted = targets[rows]
        log_probabilities = log_softmax(logit_scale * values)
        mean = -(wanted * log_probabilities).sum(axis=1).mean()
        total = wanted.sum(axis=1, keepdims=True)
        slope = np.exp(log_probabilities) * total - wanted
        return mean, logit_scale * slope / len(rows)

    return loss


def log_softmax(logits):
    """Logarithms of softmax probabilities along the last axis, safe for large logits."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def fit(
    program,
    weights,
    inputs,
    loss,
    *,
    iterations,
    batch_size=64,
    optimiser=None,
    l2=0.0,
    seed,
    callback=None,
):
    """Minimises a loss of the expectation values by stochastic gradient steps.

    Args:
        program: a `Program`.
        weights: initial weights [n_weights].
        inputs: values of the data symbols, real [n_samples, n_data], or states, complex
            [n_samples, 2**n_qubits].
        loss: function (values [batch, n_observables], rows [batch]) -> (loss, derivative by the
            values); `rows` are the indices of the batch's samples. See `cross_entropy`.
        iterations: number of steps.
        batch_size: samples a step; an epoch visits all samples in a new order, and its last batch may
            be smaller, as in Keras.
        optimiser: an object with `step(weights, gradient)`; by default `Adam()`.
        l2: coefficient of the penalty l2 * sum(weights**2), at least 0; it is part of the loss.
        seed: seed of the order of the samples.
        callback: called as callback(iteration, loss, weights) after each step; returning True ends
            the training.

    Returns:
        A `Fit`.
    """
    check_count("iterations", iterations, minimum=0)
    check_count("batch_size", batch_size)
    l2 = check_number("l2", l2, 0)
    inputs = np.asarray(inputs)
    is_states = np.iscomplexobj(inputs)
    rng = np.random.default_rng(check_count("seed", seed, minimum=0))
    optimiser = Adam() if optimiser is None else optimiser
    weights = np.array(weights, np.float64)
    losses = []
    batches = _batches(len(inputs), batch_size, rng)
    for iteration in range(iterations):
        rows = next(batches)
        batch = {"states" if is_states else "data": inputs[rows]}

        def cotangent(values, rows=rows, weights=weights):
            value, slope = loss(values, rows)
            losses.append(float(value + l2 * np.sum(weights**2)))
            return slope

        _, gradients = program.value_and_grad(
            weights, **batch, cotangent=cotangent, wrt=("weights",)
        )
        gradient = gradients.weights.astype(np.float64) + 2 * l2 * weights
        weights = optimiser.step(weights, gradient)
        if callback is not None and callback(iteration, losses[-1], weights):
            break
    return Fit(weights.astype(np.float32), np.array(losses))


def _batches(n_samples, batch_size, rng):
    if n_samples < 1:
        raise ValueError("inputs must hold at least one sample")
    while True:
        order = rng.permutation(n_samples)
        for first in range(0, n_samples, batch_size):
            yield order[first : first + batch_size]
