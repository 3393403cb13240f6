"""One order of batches, one optimiser, one loop."""

from itertools import islice

import numpy as np
import pytest
from toys import toy_data, toy_model

from qkdlib.core import (
    LEARNING_RATE,
    Adam,
    Model,
    StepDecay,
    Supervised,
    batches,
    cross_entropy,
    distillation_loss,
    hardware_efficient_ansatz,
    minimise,
    squared_error,
    train,
    with_targets,
    z_observables,
)

MODEL, (X, Y) = toy_model(logit_scale=5.0), toy_data(40)
LOSS = with_targets(cross_entropy, Y)
START = MODEL.initial_weights(seed=1)
TEACHER = np.random.default_rng(3).normal(size=(40, 2))


def run(**changes):
    options = {"weights": START, "n_steps": 12, "batch_size": 16, "learning_rate": 0.1, "seed": 0}
    return train(MODEL, X, LOSS, **options | changes)


def test_an_epoch_visits_every_sample_once_in_a_new_order():
    first, second = (list(islice(batches(10, 4, seed=3), 6)) for _ in range(2))
    assert [len(rows) for rows in first] == [4, 4, 2] * 2
    epochs = [np.concatenate(first[:3]), np.concatenate(first[3:])]
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(10))
    assert (epochs[0] != epochs[1]).any()
    for rows, again in zip(first, second, strict=True):
        np.testing.assert_array_equal(rows, again)
    assert (np.concatenate(list(islice(batches(10, 4, seed=4), 3))) != epochs[0]).any()


@pytest.mark.parametrize(
    "loss",
    [
        LOSS,
        with_targets(distillation_loss, TEACHER, Y, temperature=2.0, alpha=0.6),
        with_targets(squared_error, TEACHER),
    ],
    ids=["cross-entropy", "Eq. 7", "squared error"],
)
def test_the_gradient_of_a_batch_is_that_of_its_loss(loss):
    rows = np.array([3, 17, 17, 30])
    task = Supervised(MODEL, X, loss, l2=0.02)
    weights = START.astype(float)
    value, gradient = task(weights, rows)

    def by_hand(weights):
        return loss(MODEL.logits(weights, X[rows]), rows)[0].mean() + 0.02 * (weights**2).sum()

    assert value == pytest.approx(by_hand(weights), rel=1e-6)
    # float32 values: a wide step
    steps = 5e-3 * np.eye(len(weights))
    expected = [(by_hand(weights + s) - by_hand(weights - s)) / 1e-2 for s in steps]
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(gradient, expected, atol=2e-3)


def test_training_learns_and_repeats_with_its_seed():
    found = run(n_steps=150)
    assert MODEL.accuracy(found.weights, X, Y) >= 0.95
    assert found.losses.shape == (150,)
    assert found.losses[-10:].mean() < 0.5 * found.losses[:10].mean()
    again, other = run(n_steps=150), run(n_steps=150, seed=1)
    np.testing.assert_array_equal(found.weights, again.weights)
    np.testing.assert_array_equal(found.losses, again.losses)
    assert np.abs(found.weights - other.weights).max() > 0


def test_the_seed_draws_initial_weights_where_none_are_given():
    drawn = run(weights=None, n_steps=0, seed=5)
    np.testing.assert_array_equal(drawn.weights, MODEL.initial_weights(seed=5))
    assert len(drawn.losses) == 0
    given = run(weights=MODEL.initial_weights(seed=5), seed=5)
    np.testing.assert_array_equal(run(weights=None, seed=5).weights, given.weights)


def test_states_are_inputs_where_there_are_no_data_symbols():
    model = Model.of(None, hardware_efficient_ansatz(2, 1), z_observables(2, 2), logit_scale=5.0)
    states, labels = np.eye(4)[[0, 3, 0, 3]], np.array([0, 1, 0, 1])
    loss = with_targets(cross_entropy, labels)
    found = train(model, states, loss, n_steps=200, learning_rate=0.1, seed=0)
    assert model.accuracy(found.weights, states, labels) == 1


def test_the_callback_is_told_each_step_and_can_end_the_training():
    seen = []

    def stop_at_three(step, weights, loss):
        seen.append((step, weights.copy(), loss))
        return step == 3

    found = run(callback=stop_at_three)
    assert [step for step, _, _ in seen] == [1, 2, 3]
    np.testing.assert_array_equal(found.losses, [loss for _, _, loss in seen])
    np.testing.assert_array_equal(found.weights, seen[-1][1].astype(np.float32))
    np.testing.assert_array_equal(found.losses, run().losses[:3])


def test_the_learning_rate_falls_in_steps():
    rates = StepDecay(0.1, 0.5, 10)
    assert [rates(step) for step in (0, 9, 10, 25)] == [0.1, 0.1, 0.05, 0.025]
    assert StepDecay(0.05, 0.9, 50) == LEARNING_RATE
    asked = []
    by_step = run(learning_rate=lambda step: asked.append(step) or 0.1)
    assert asked == list(range(12))
    np.testing.assert_array_equal(by_step.weights, run(learning_rate=0.1).weights)


def descend(weights, batch):
    """A task: the distance to the batch's number."""
    return float(((weights - batch) ** 2).sum()), 2 * (weights - batch)


def test_the_first_step_of_adam_has_the_length_of_the_rate():
    found = minimise(descend, np.zeros(2), [np.array([3.0, -4.0])], n_steps=1, learning_rate=0.1)
    np.testing.assert_allclose(found.weights, [0.1, -0.1], rtol=1e-6)
    np.testing.assert_allclose(found.losses, [25.0])


def test_adam_finds_the_minimum_and_goes_on_where_it_stands():
    target = np.array([0.3, -0.2])
    order = [target] * 400
    whole = minimise(descend, np.zeros(2), order, n_steps=400, learning_rate=0.01)
    np.testing.assert_allclose(whole.weights, target, atol=1e-3)
    adam, halves = Adam(0.01), []
    weights = np.zeros(2)
    for part in (order[:40], order[40:80]):
        minimise(descend, weights, part, n_steps=40, learning_rate=adam,
                 callback=lambda step, w, loss: halves.append(w))  # fmt: skip
        weights = halves[-1]
    straight = minimise(descend, np.zeros(2), order, n_steps=80, learning_rate=0.01)
    np.testing.assert_array_equal(weights.astype(np.float32), straight.weights)


def mean_loss(logits, rows):
    """A loss of the first edition's kind: the mean, and the slopes of it."""
    values, slopes = LOSS(logits, rows)
    return values.mean(), slopes / len(rows)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: run(n_steps=-1), "n_steps must be at least 0, got -1"),
        (lambda: run(n_steps=1.5), "n_steps must be an integer"),
        (lambda: run(batch_size=0), "batch_size must be at least 1"),
        (lambda: run(batch_size=1.5), "batch_size must be an integer"),
        (lambda: run(learning_rate=-1), "learning_rate must be a finite number"),
        (lambda: run(learning_rate="fast"), "learning_rate must be a real number"),
        (lambda: run(learning_rate=StepDecay(-1.0)), "learning_rate must be a finite number"),
        (lambda: run(learning_rate=StepDecay(every=0)), "every must be at least 1"),
        (lambda: run(learning_rate=lambda step: np.nan), "learning_rate must be a finite number"),
        (lambda: run(learning_rate=lambda step: "a"), "learning_rate must be a real number"),
        (lambda: run(l2=-1), "l2 must be a finite number"),
        (lambda: run(seed=None), "seed must be an integer"),
        (lambda: run(seed=-1), "seed must be from 0"),
        (lambda: run(weights=[0.0]), r"weights must have shape \[12\], got \(1,\)"),
        (lambda: run(weights=np.full(12, np.nan)), "weights must be finite"),
        (lambda: run(weights="abc"), "weights must be real numbers, got 'abc'"),
        (lambda: run(callback=3), "callback must be a function, got 3"),
        (lambda: train("model", X, LOSS, seed=0), "model must be of class Model, got 'model'"),
        (lambda: train(MODEL, X, "loss", seed=0), "loss must be a function, got 'loss'"),
        (lambda: train(MODEL, X, mean_loss, seed=0), r"loss must return values and slopes of shapes"),
        (lambda: train(MODEL, X, lambda z, rows: 0.5, seed=0), r"loss must return .* got 0.5"),
        (lambda: train(MODEL, X[:9], LOSS, seed=0), "a target for each of 9 inputs, has 40"),
        (lambda: train(MODEL, X[:0], LOSS, seed=0), "inputs must hold at least one sample, got none"),
        (lambda: train(MODEL, None, LOSS, seed=0), r"inputs must have shape \[batch, 2\]"),
        (lambda: train(MODEL, X * np.nan, LOSS, seed=0), "inputs must be finite, but row 0"),
        (lambda: next(batches(0, 4, 0)), "at least one sample"),
        (lambda: next(batches(4, 0, 0)), "batch_size must be at least 1"),
        (lambda: Adam(0.0), "learning_rate must be a finite number"),
        (lambda: Adam(beta_1=1), "beta_1 must be below 1"),
        (lambda: Adam(beta_2=1.0), "beta_2 must be below 1"),
        (lambda: Adam(epsilon=-1), "epsilon must be a finite number"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
