"""Codes of fewer qubits: scores, their slopes, and training an encoder from NumPy alone."""

import importlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from qkdlib.core import Model, hardware_efficient_ansatz
from qkdlib.data import load_zxz
from qkdlib.measures import (
    Compression,
    CosineDecay,
    best_subspace,
    code_fidelity,
    haar_states,
    local_trash,
    train_encoder,
    trash,
)

COSTS = [code_fidelity, trash, local_trash]


def encoder(n_qubits=4, n_layers=2):
    return Model.of(None, hardware_efficient_ansatz(n_qubits, n_layers), [])


@pytest.mark.parametrize("n_kept", [1, 2, 3])
def test_scores_are_what_the_module_says(n_kept):
    outputs = haar_states(20, 4, seed=1)
    f, p, local = (cost(outputs, n_kept)[0] for cost in COSTS)
    phi = outputs.reshape(20, 2**n_kept, -1)
    kept = phi[:, :, 0]
    code = np.einsum("xab,xcb->xac", phi, phi.conj())
    np.testing.assert_allclose(f, np.einsum("xa,xab,xb->x", kept.conj(), code, kept).real, atol=1e-6)
    np.testing.assert_allclose(p, (np.abs(kept) ** 2).sum(axis=1), atol=1e-6)
    assert (f <= p + 1e-6).all()
    assert (f >= p**2 - 1e-6).all()
    zero = [
        np.abs(outputs.reshape(-1, *[2] * 4).take(0, axis=1 + i)) ** 2 for i in range(n_kept, 4)
    ]
    np.testing.assert_allclose(local, np.mean([z.sum((1, 2, 3)) for z in zero], axis=0), atol=1e-6)


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("n_kept", [1, 2])
def test_slopes_are_the_scores_derivatives(cost, n_kept):
    outputs = haar_states(3, 3, seed=2).astype(complex)
    values, slopes = cost(outputs, n_kept)
    step = 1e-6
    for direction in (1, 1j):
        for column in range(8):
            moved = outputs.copy()
            moved[:, column] += step * direction
            found = (cost(moved, n_kept)[0] - values) / step
            wanted = (np.conj(direction) * slopes[:, column]).real
            np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("cost", COSTS)
def test_the_gradient_of_an_encoder_is_that_of_its_score(cost):
    task = Compression(encoder(), haar_states(6, 4, seed=2), 2, cost)
    weights = encoder().initial_weights(seed=5).astype(float)
    rows = np.arange(6)
    _, gradient = task(weights, rows)
    for i in range(0, len(weights), 7):
        step = np.zeros(len(weights))
        step[i] = 1e-2
        slope = (task(weights + step, rows)[0] - task(weights - step, rows)[0]) / 2e-2
        assert gradient[i] == pytest.approx(slope, abs=2e-4)


def test_training_finds_a_code_for_two_states_and_follows_its_seed():
    model, steps = encoder(3, 3), []
    states = haar_states(2, 3, seed=7).repeat(8, axis=0)
    runs = [
        train_encoder(
            model, states, 1, weights=model.initial_weights(seed=0), n_steps=400, batch_size=4,
            learning_rate=CosineDecay(0.1, 400), seed=seed, callback=callback,
        ).weights
        for seed, callback in [(0, lambda s, w, loss: steps.append(s)), (0, None), (1, None)]
    ]
    assert code_fidelity(model.output_states(runs[0], states), 1)[0].mean() > 0.98
    assert steps == list(range(1, 401))
    np.testing.assert_array_equal(runs[0], runs[1])
    assert np.abs(runs[0] - runs[2]).max() > 1e-6


def test_a_callback_can_end_the_training():
    found = train_encoder(
        encoder(3, 1), haar_states(4, 3, seed=0), 1, seed=0, callback=lambda step, w, loss: step == 3
    )
    assert len(found.losses) == 3


def test_no_code_beats_the_best_subspace():
    states = haar_states(6, 4, seed=3)
    for n_kept in (1, 2, 3):
        bound, basis = best_subspace(states, n_kept)
        np.testing.assert_allclose(basis.conj().T @ basis, np.eye(2**n_kept), atol=1e-10)
        model = encoder()
        outputs = model.output_states(model.initial_weights(seed=n_kept), states)
        f, p = code_fidelity(outputs, n_kept)[0], trash(outputs, n_kept)[0]
        assert f.mean() <= p.mean() + 1e-6 <= bound + 2e-6


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n_kept": 4}, ValueError, "n_kept must be from 1 to 3, got 4"),
        ({"cost": "swap"}, TypeError, "cost must be a function such as code_fidelity, got 'swap'"),
        ({"states": np.ones((2, 16))}, ValueError, "states must have norm 1"),
        ({"states": haar_states(2, 3, seed=0)}, ValueError, r"states must have shape \[batch, 16\]"),
        ({"learning_rate": 0.0}, ValueError, "learning_rate must be"),
        ({"batch_size": 0}, ValueError, "batch_size must be"),
        ({"seed": None}, TypeError, "seed must be"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    arguments = {"states": haar_states(3, 4, seed=0), "n_kept": 2, "seed": 0} | change
    with pytest.raises(error, match=message):
        train_encoder(encoder(), **arguments)


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
