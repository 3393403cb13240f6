"""The NumPy trainer against finite differences and against Keras."""

import numpy as np
import pytest

from qkdlib.circuits import angle_encoding, hardware_efficient_ansatz, z_observables
from qkdlib.simulation import Program
from qkdlib.simulation.optimise import cross_entropy
from qkdlib.simulation.training import accuracy, train_classifier


@pytest.fixture
def task():
    rng = np.random.default_rng(0)
    features = rng.uniform(0, 1, (40, 3))
    labels = (features[:, 0] > 0.5).astype(int)
    encoding, ansatz = angle_encoding(3), hardware_efficient_ansatz(3, 1)
    observables = z_observables(2, 3)
    program = Program(encoding.circuit + ansatz.circuit, ansatz.symbols, encoding.symbols, observables)
    return encoding, ansatz, observables, program, encoding.angles(features), labels


def test_cross_entropy_and_its_gradient():
    values, rows = np.array([[1.0, -1.0], [0.0, 3.0]]), np.array([0, 1])
    function = cross_entropy([0, 0], logit_scale=2.0, n_classes=2)
    loss, slope = function(values, rows)
    assert loss == pytest.approx((np.log1p(np.exp(-4)) + np.log1p(np.exp(6))) / 2)
    for index in np.ndindex(2, 2):
        step = np.zeros((2, 2))
        step[index] = 1e-6
        ends = [function(values + s, rows)[0] for s in (step, -step)]
        assert slope[index] == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-8)
    assert np.isfinite(cross_entropy([1])(np.array([[1e4, 0.0]]), np.array([0]))[0])


def test_full_batches_take_the_same_path_as_keras(task):
    from qkdlib.models import QNN, recipe

    encoding, ansatz, observables, program, angles, labels = task
    qnn = QNN(encoding, ansatz, observables, engine="adjoint", logit_scale=5.0, l2=0.01, seed=4)
    start = np.array(qnn.theta)
    qnn.compile(**recipe(learning_rate=0.1, decay_rate=0.5, decay_steps=4))
    qnn.fit(angles, labels, epochs=10, batch_size=40, verbose=0)
    found = train_classifier(
        program, start, angles, labels, logit_scale=5.0, n_steps=10, batch_size=40,
        learning_rate=0.1, decay_rate=0.5, decay_steps=4, l2=0.01, seed=0,
    )  # fmt: skip
    np.testing.assert_allclose(found, np.array(qnn.theta), atol=2e-3)
    assert np.abs(found - start).max() > 0.2


def test_training_learns_what_it_can_and_repeats_with_its_seed(task):
    _, ansatz, _, program, angles, labels = task
    losses = []

    def run(seed):
        return train_classifier(
            program, ansatz.initial_weights(seed=1), angles, labels, logit_scale=5, n_steps=150,
            batch_size=16, learning_rate=0.1, seed=seed,
            on_step=lambda step, weights, loss: losses.append(loss),
        )  # fmt: skip

    weights = run(0)
    assert accuracy(program, weights, angles, labels) >= 0.95
    assert len(losses) == 150
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])
    np.testing.assert_array_equal(weights, run(0))
    assert np.abs(weights - run(1)).max() > 0


def test_states_are_inputs_where_there_are_no_data_symbols():
    ansatz = hardware_efficient_ansatz(2, 1)
    program = Program(ansatz.circuit, ansatz.symbols, (), z_observables(2, 2))
    states, labels = np.eye(4, dtype=complex)[[0, 3, 0, 3]], [0, 1, 0, 1]
    start = ansatz.initial_weights(seed=0)
    trained = train_classifier(
        program, start, states, labels, logit_scale=5, n_steps=200, learning_rate=0.1, seed=0
    )
    assert accuracy(program, trained, states, labels) == 1


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"labels": [0] * 39}, ValueError, "labels"),
        ({"labels": [2] * 40}, ValueError, "labels"),
        ({"logit_scale": 0}, ValueError, "logit_scale"),
        ({"n_steps": 0}, ValueError, "n_steps"),
        ({"batch_size": 1.5}, TypeError, "batch_size"),
        ({"learning_rate": -1}, ValueError, "learning_rate"),
        ({"l2": -1}, ValueError, "l2"),
        ({"seed": None}, TypeError, "seed"),
        ({"inputs": np.full((40, 3), np.nan)}, ValueError, "inputs"),
        ({"weights": [0.0]}, ValueError, "weights"),
    ],
)
def test_bad_input_is_named(task, change, error, message):
    _, ansatz, _, program, angles, labels = task
    weights = ansatz.initial_weights(seed=0)
    arguments = {"weights": weights, "inputs": angles, "labels": labels, "seed": 0, **change}
    with pytest.raises(error, match=message):
        train_classifier(program, **arguments)
