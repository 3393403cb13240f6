"""Training an encoder from NumPy: scores and their slopes; the recorded recipes."""

import importlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from toys import differences, random_states

from qkdlib.core import Model, hardware_efficient_ansatz
from qkdlib.data import load_zxz
from qkdlib.measures import (
    Compression,
    CosineDecay,
    code_fidelity,
    encoded_density,
    local_trash,
    train_encoder,
    trash,
)

COSTS = [code_fidelity, trash, local_trash]


def encoder(n_qubits=4, n_layers=2):
    return Model.of(None, hardware_efficient_ansatz(n_qubits, n_layers), [])


@pytest.mark.parametrize("n_kept", [1, 2, 3])
def test_scores_are_those_of_density_matrices(n_kept):
    outputs = random_states(7, 4, 1)
    phi = outputs.reshape(7, 2**n_kept, -1)[:, :, 0]
    rho = encoded_density(outputs, n_kept)
    expected = np.einsum("xa,xab,xb->x", phi.conj(), rho, phi).real
    np.testing.assert_allclose(code_fidelity(outputs, n_kept)[0], expected, atol=1e-6)
    qubits = np.abs(outputs.reshape(-1, *[2] * 4)) ** 2
    zero = qubits[(..., *[0] * (4 - n_kept))].reshape(7, -1).sum(axis=1)
    np.testing.assert_allclose(trash(outputs, n_kept)[0], zero, atol=1e-6)
    each = [qubits.take(0, axis=1 + i).reshape(7, -1).sum(axis=1) for i in range(n_kept, 4)]
    np.testing.assert_allclose(local_trash(outputs, n_kept)[0], np.mean(each, axis=0), atol=1e-6)


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("n_kept", [1, 2])
def test_slopes_are_finite_differences(cost, n_kept):
    outputs = random_states(5, 3, 2)
    parts = np.stack([outputs.real, outputs.imag], axis=-1).reshape(5, -1)

    def values(parts):
        return cost(parts.reshape(5, -1, 2) @ [1, 1j], n_kept)[0]

    slopes = cost(outputs, n_kept)[1]
    found = np.stack([slopes.real, slopes.imag], axis=-1).reshape(5, -1)
    np.testing.assert_allclose(found, differences(values, parts), atol=1e-8)


@pytest.mark.parametrize("cost", COSTS)
def test_the_gradient_of_a_batch_is_that_of_its_score(cost):
    model, states, rows = encoder(), random_states(6, 4, 2), np.array([1, 4, 4])
    task, weights = Compression(model, states, 2, cost), model.initial_weights(seed=5).astype(float)

    def loss(weights):
        return 1 - cost(model.output_states(weights, states[rows]), 2)[0].mean()

    value, gradient = task(weights, rows)
    assert value == pytest.approx(loss(weights), abs=1e-6)
    steps = 5e-3 * np.eye(len(weights))  # float32 states: a wide step
    expected = [(loss(weights + s) - loss(weights - s)) / 1e-2 for s in steps]
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(gradient, expected, atol=5e-4)


def test_training_finds_a_code_for_two_states_and_follows_its_seed():
    model, states = encoder(3, 3), random_states(2, 3, 7).repeat(8, axis=0)
    options = {"n_steps": 400, "batch_size": 4, "learning_rate": CosineDecay(0.05, 400)}
    start = model.initial_weights(seed=0)
    runs = [train_encoder(model, states, 1, weights=start, seed=s, **options) for s in (0, 0, 1)]
    fidelity, _ = code_fidelity(model.output_states(runs[0].weights, states), 1)
    assert fidelity.mean() > 0.98
    assert runs[0].losses.shape == (400,)
    assert runs[0].losses[-20:].mean() < 0.1 * runs[0].losses[:20].mean()
    np.testing.assert_array_equal(runs[0].weights, runs[1].weights)
    assert np.abs(runs[0].weights - runs[2].weights).max() > 1e-6
    drawn = train_encoder(model, states, 1, seed=0, **options)
    np.testing.assert_array_equal(drawn.weights, runs[0].weights)


def test_the_rate_falls_along_half_a_cosine_to_zero():
    rate = CosineDecay(0.2, 10)
    assert [rate(step) for step in (0, 5, 10)] == pytest.approx([0.2, 0.1, 0.0])


def test_a_callback_can_end_the_training():
    seen = []

    def stop_at_three(step, weights, loss):
        seen.append(step)
        return step == 3

    found = train_encoder(encoder(3, 1), random_states(4, 3, 0), 1, seed=0, callback=stop_at_three)
    assert seen == [1, 2, 3]
    assert len(found.losses) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_kept": 4}, "n_kept must be from 1 to 3, got 4"),
        ({"cost": "swap"}, "cost must be a function"),
        ({"states": np.ones((2, 16))}, "states must have norm 1"),
        ({"states": random_states(2, 3, 0)}, r"states must have shape \[batch, 16\]"),
        ({"states": random_states(2, 4, 0)[:0]}, "at least one sample"),
        ({"learning_rate": 0.0}, "learning_rate must be"),
        ({"learning_rate": CosineDecay(-0.1, 5)}, "learning_rate must be a finite number"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"n_steps": -1}, "n_steps must be"),
        ({"seed": None}, "seed must be an integer"),
        ({"weights": [0.0, 1.0]}, r"weights must have shape \[36\], got \(2,\)"),
    ],
)
def test_bad_arguments_are_named(change, message):
    arguments = {"states": random_states(3, 4, 0), "n_kept": 2, "seed": 0, "n_steps": 2} | change
    with pytest.raises((TypeError, ValueError), match=message):
        train_encoder(encoder(), **arguments)


@pytest.mark.slow
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
