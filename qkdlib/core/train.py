"""Training: one order of batches, one optimiser, one loop, for every kind of training in this book."""

import itertools
from typing import NamedTuple

import numpy as np

from qkdlib._checks import (
    check_count,
    check_finite,
    check_function,
    check_number,
    check_seed,
    check_type,
)
from qkdlib.core.model import Model


class StepDecay(NamedTuple):
    """The paper's learning rate: `rate`, times `factor` after every `every` steps (section III)."""

    rate: float = 0.05
    factor: float = 0.9
    every: int = 50

    def __call__(self, step):
        """The rate at a step, counted from 0."""
        return self.rate * self.factor ** (step // check_count("every", self.every))


LEARNING_RATE = StepDecay()
"""The one default. The values that the paper states were lost from the text that we have."""


class Trained(NamedTuple):
    """Weights after the last step, float32 [n_weights], and the loss of each step's batch."""

    weights: np.ndarray
    losses: np.ndarray


class Adam:
    """Adam (Kingma and Ba, algorithm 1), with the defaults of Keras.

    `learning_rate` is a positive number, or a function from the step (0, 1, ...) to one; `beta_1` and
    `beta_2`, the decay rates of the moments, lie in [0, 1).
    """

    def __init__(self, learning_rate=LEARNING_RATE, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
        if not callable(learning_rate):
            check_number("learning_rate", learning_rate, 0, open_minimum=True)
        for name, beta in (("beta_1", beta_1), ("beta_2", beta_2)):
            if check_number(name, beta, 0, 1) == 1:
                raise ValueError(f"{name} must be below 1, got {beta}")
        self.learning_rate, self.beta_1, self.beta_2 = learning_rate, beta_1, beta_2
        self.epsilon, self.steps = check_number("epsilon", epsilon, 0), 0
        self._mean = self._square = 0.0

    def step(self, weights, gradient):
        """The weights after one step against the gradient."""
        rate = self.learning_rate
        rate = check_number("learning_rate", rate(self.steps), 0) if callable(rate) else rate
        self.steps += 1
        self._mean = self.beta_1 * self._mean + (1 - self.beta_1) * gradient
        self._square = self.beta_2 * self._square + (1 - self.beta_2) * gradient**2
        mean = self._mean / (1 - self.beta_1**self.steps)
        square = self._square / (1 - self.beta_2**self.steps)
        return weights - rate * mean / (np.sqrt(square) + self.epsilon)


def batches(n_samples, batch_size, seed):
    """Rows of one batch after the other, without end: the order of samples in every training.

    An epoch visits all samples in a new order; its last batch may be smaller.
    """
    if n_samples < 1:
        raise ValueError("there must be at least one sample to train on, got none")
    check_count("batch_size", batch_size)
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(n_samples)
        for first in range(0, n_samples, batch_size):
            yield order[first : first + batch_size]


def minimise(task, weights, batches, *, n_steps, learning_rate=LEARNING_RATE, callback=None):
    """The training loop.

    Args:
        task: Function (weights float64 [n_weights], batch) -> (loss, its gradient [n_weights]).
        weights: Initial weights [n_weights].
        batches: What the task is given at each step, e.g. rows of `batches`.
        n_steps: Number of steps, at least 0.
        learning_rate: Adam's; an `Adam` goes on where it stands.
        callback: Called as callback(step, weights, loss) after each step, step from 1; returning True
            ends the training.

    Returns:
        A `Trained`; its losses may be rows, where a task's loss is one.
    """
    check_count("n_steps", n_steps, minimum=0)
    adam = learning_rate if isinstance(learning_rate, Adam) else Adam(learning_rate)
    weights, losses = check_finite("weights", weights), []
    if callback is not None:
        check_function("callback", callback)
    for step, batch in enumerate(itertools.islice(batches, n_steps), start=1):
        loss, gradient = task(weights, batch)
        weights = adam.step(weights, gradient)
        losses.append(loss)
        if callback is not None and callback(step, weights, loss):
            break
    return Trained(weights.astype(np.float32), np.array(losses))


class Supervised:
    """A task for `minimise`: the mean loss of a model's logits on a batch, and its gradient.

    Args:
        model: A `Model`.
        inputs: Its inputs, all samples.
        loss: Function (logits [batch, n_classes], rows [batch]) -> (values [batch], slopes [batch,
            n_classes]), see `qkdlib.core.losses.with_targets`.
        l2: Coefficient of the penalty l2 * sum(weights**2), at least 0; it is part of the loss.
    """

    def __init__(self, model, inputs, loss, l2=0.0):
        self.model, self.loss = check_type("model", model, Model), check_function("loss", loss)
        self.inputs, self.l2 = model.check_inputs("inputs", inputs), check_number("l2", l2, 0)
        if getattr(loss, "n_samples", len(self.inputs)) != len(self.inputs):
            raise ValueError(
                f"loss must have a target for each of {len(self.inputs)} inputs, has {loss.n_samples}"
            )
        self._program = model.program()

    def __call__(self, weights, rows):
        run = self._program.start(weights, **self.model.arguments(self.inputs[rows]))
        loss, slopes = self.loss_and_slopes(run.values(), rows)
        gradient = run.pull_values(slopes, ("weights",)).weights.astype(np.float64)
        run.release()
        return loss + self.l2 * float(np.sum(weights**2)), gradient + 2 * self.l2 * weights

    def loss_and_slopes(self, expectations, rows):
        """The mean loss on a batch, and its slopes by the circuit's expectation values."""
        scale = self.model.logit_scale
        found, shapes = self.loss(scale * expectations, rows), [rows.shape, expectations.shape]
        if not isinstance(found, tuple) or list(map(np.shape, found)) != shapes:
            raise ValueError(f"loss must return values and slopes of shapes {shapes}, got {found!r:.60}")
        values, slopes = found
        return float(values.mean()), scale / len(rows) * slopes


def train(
    model, inputs, loss, *, weights=None, n_steps=50, batch_size=64, learning_rate=LEARNING_RATE, l2=0.0,
    seed, callback=None,
):  # fmt: skip
    """Trains a model on a loss of its logits.

    Args:
        model, inputs, loss, l2: As in `Supervised`.
        weights: Initial weights [n_weights]; by default drawn from U[0, 2 pi) by the seed.
        n_steps, learning_rate, callback: As in `minimise`.
        batch_size: Samples a step, at most.
        seed: Seed of the initial weights and of the order of the samples.

    Returns:
        A `Trained`.

    Raises:
        TypeError, ValueError: A bad argument, named.

    Example:
        >>> from qkdlib.core import *
        >>> encoding = angle_encoding(2)
        >>> model = Model.of(encoding, hardware_efficient_ansatz(2, 1), z_observables(2, 2))
        >>> x, labels = encoding.angles([[0.1, 0.2], [0.9, 0.8]]), np.array([0, 1])
        >>> found = train(model, x, with_targets(cross_entropy, labels), n_steps=60, seed=0)
        >>> model.accuracy(found.weights, x, labels)
        1.0
    """
    task, options = Supervised(model, inputs, loss, l2), {"n_steps": n_steps, "callback": callback}
    order = batches(len(task.inputs), batch_size, check_seed("seed", seed))
    if weights is None:
        weights = model.initial_weights(seed=seed)
    return minimise(task, weights, order, learning_rate=learning_rate, **options)
