"""The NumPy path of the autoencoder against the Keras model and against finite differences."""

import importlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from qkdlib.circuits import hardware_efficient_ansatz
from qkdlib.data import load_zxz
from qkdlib.models import QuantumAutoencoder
from qkdlib.simulation import Program
from qkdlib.simulation.compression import code_scores, train_encoder

from qkdlib._tensorflow import keras, tf  # isort: skip


def random_states(n_states, n_qubits, seed):
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(n_states, 2**n_qubits)) + 1j * rng.normal(size=(n_states, 2**n_qubits))
    return (states / np.linalg.norm(states, axis=1, keepdims=True)).astype(np.complex64)


def encoder(n_qubits=4, n_layers=2):
    ansatz = hardware_efficient_ansatz(n_qubits, n_layers)
    return ansatz, Program(ansatz.circuit, ansatz.symbols, qubits=ansatz.qubits)


@pytest.mark.parametrize("n_kept", [1, 2, 3])
def test_scores_are_the_models(n_kept):
    ansatz, program = encoder()
    qae, states = QuantumAutoencoder(ansatz, n_kept, seed=3), random_states(7, 4, 1)
    f, p = code_scores(program.output_states(qae.theta.numpy(), states=states), n_kept)
    np.testing.assert_allclose(f, qae.fidelity(states), atol=1e-6)
    np.testing.assert_allclose(p, qae.trash(states), atol=1e-6)


@pytest.mark.parametrize("cost", ["fidelity", "trash", "local_trash"])
@pytest.mark.parametrize("n_kept", [1, 2])
def test_the_first_step_of_adam_follows_the_models_gradient(cost, n_kept):
    """Adam's first step is -rate * g / (|g| + epsilon): its signs are the gradient's."""
    ansatz, program = encoder()
    qae = QuantumAutoencoder(ansatz, n_kept, cost=cost, engine="adjoint", seed=5)
    states, start = random_states(6, 4, 2), qae.theta.numpy()
    with tf.GradientTape() as tape:
        loss = qae.compute_loss(y_pred=qae(states))
    gradient = tape.gradient(loss, qae.theta).numpy()
    options = {"cost": cost, "n_steps": 1, "batch_size": 6, "learning_rate": 0.1, "seed": 0}
    step = train_encoder(program, start, states, n_kept, **options) - start
    clear = np.abs(gradient) > 1e-5
    assert clear.sum() > len(gradient) / 2
    np.testing.assert_allclose(step[clear], -0.1 * np.sign(gradient[clear]), rtol=0.03)


@pytest.mark.parametrize("cost", ["fidelity", "trash", "local_trash"])
def test_it_trains_as_the_keras_model_does(cost):
    ansatz, program = encoder(3, 2)
    states = random_states(8, 3, 4)
    qae = QuantumAutoencoder(ansatz, 1, cost=cost, engine="adjoint", seed=1)
    options = {"cost": cost, "n_steps": 25, "batch_size": 8, "learning_rate": 0.05, "decay": False}
    weights = train_encoder(program, qae.theta.numpy(), states, 1, seed=0, **options)
    qae.compile(optimizer=keras.optimizers.Adam(0.05), jit_compile=False)
    qae.fit(states, epochs=25, batch_size=8, shuffle=False, verbose=0)
    # Scores, not weights: Adam magnifies the rounding of gradients that are zero.
    trained = program.output_states(weights, states=states)
    np.testing.assert_allclose(code_scores(trained, 1)[1], qae.trash(states), atol=2e-3)
    np.testing.assert_allclose(code_scores(trained, 1)[0], qae.fidelity(states), atol=2e-3)


def test_training_finds_a_code_for_two_states_and_follows_its_seed():
    ansatz, program = encoder(3, 3)
    states = random_states(2, 3, 7).repeat(8, axis=0)
    start, steps = ansatz.initial_weights(seed=0), []
    runs = [
        train_encoder(
            program, start, states, 1, n_steps=400, batch_size=4, seed=seed, on_step=on_step
        )
        for seed, on_step in [(0, lambda s, w: steps.append(s)), (0, None), (1, None)]
    ]
    fidelity, _ = code_scores(program.output_states(runs[0], states=states), 1)
    assert fidelity.mean() > 0.98
    assert steps == list(range(1, 401))
    np.testing.assert_array_equal(runs[0], runs[1])
    assert np.abs(runs[0] - runs[2]).max() > 1e-6


def test_a_callback_can_end_the_training():
    ansatz, program = encoder(3, 1)
    seen = []

    def stop_at_three(step, weights):
        seen.append(step)
        return step == 3

    start = ansatz.initial_weights(seed=0)
    train_encoder(program, start, random_states(4, 3, 0), 1, seed=0, on_step=stop_at_three)
    assert seen == [1, 2, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_kept": 4}, "n_kept must be from 1 to 3, got 4"),
        ({"cost": "swap"}, "cost must be one of"),
        ({"states": np.ones((2, 16))}, "states must have norm 1"),
        ({"states": random_states(2, 3, 0)}, r"states must have shape \[batch, 16\]"),
        ({"learning_rate": 0.0}, "learning_rate must be"),
        ({"batch_size": 0}, "batch_size must be"),
    ],
)
def test_bad_arguments_are_named(change, message):
    ansatz, program = encoder()
    arguments = {"states": random_states(3, 4, 0), "n_kept": 2, "seed": 0} | change
    with pytest.raises(ValueError, match=message):
        train_encoder(program, ansatz.initial_weights(seed=0), **arguments)


def test_the_recorded_recipes_are_those_of_the_script(monkeypatch):
    """Settings, seeds and bounds agree with the script, and one short run comes out again."""
    folder = Path(__file__).parent.parent / "experiments"
    monkeypatch.syspath_prepend(str(folder))
    script = importlib.import_module("autoencoder_recipes")
    record = json.loads(script.RESULT.read_text())
    recorded = {json.dumps(r["changed"], sort_keys=True): r for r in record["recipes"]}
    recipes = [recipe for group in script.GROUPS.values() for recipe in group]
    default = asdict(script.Recipe())
    for recipe in recipes:
        changed = {k: v for k, v in asdict(recipe).items() if v != default[k]}
        assert len(recorded[json.dumps(changed, sort_keys=True)]["test"]) == len(script.SEEDS)
    assert len(recorded) == len(recipes)
    found = script.train(script.Recipe(n_layers=1), load_zxz(7, seed=0), seed=0)
    again = recorded['{"n_layers": 1}']
    # The optimum of one layer; its last digits depend on the machine's rounding.
    np.testing.assert_allclose(found, [again["validation"][0], again["test"][0]], atol=1e-3)
