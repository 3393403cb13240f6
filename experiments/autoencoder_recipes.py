"""How to train a seven-qubit autoencoder: depth, entangler, start, schedule, restarts (chapter 5).

Every recipe trains encoders from the same seeds on the same states. What a recipe is worth is read off
the validation states; the test states are scored once, for the restart that validation chose. Run from
the repository's root (twenty minutes on two cores; JOBS processes share the runs, two by default)::

    python experiments/autoencoder_recipes.py [JOBS]
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from qkdlib.core import Model, hardware_efficient_ansatz
from qkdlib.data import load_zxz
from qkdlib.measures import (
    CosineDecay,
    best_subspace,
    code_fidelity,
    local_trash,
    train_encoder,
    trash,
)
from qkdlib.parallel import run_jobs
from qkdlib.progress import Bar

RESULT = Path(__file__).parent / "results" / "autoencoder-recipes.json"
N_QUBITS = 7
COSTS = {"fidelity": code_fidelity, "trash": trash, "local_trash": local_trash}


@dataclass(frozen=True)
class Recipe:
    """One way to train; the defaults are what the chapter uses."""

    n_layers: int = 12
    n_kept: int = 2
    rotations: str = "xyz"
    entangler: str = "cz"
    topology: str = "chain"
    kept: tuple[int, ...] | None = None  # which sites form the code; by default the first
    initial_scale: float | None = None  # standard deviation of the weights; None: U[0, 2 pi)
    cost: str = "fidelity"  # one of `COSTS`
    first_cost: str | None = None  # cost of the first half of the steps
    growth: tuple[int, ...] = ()  # depths that are trained one after the other, in equal shares
    n_steps: int = 2000
    batch_size: int = 16
    learning_rate: float = 0.1


GROUPS = {
    "depth": [Recipe(n_layers=n) for n in (1, 2, 3, 5, 8, 12, 16, 20)],
    "learning rate": [Recipe(learning_rate=r) for r in (0.003, 0.01, 0.03, 0.3, 1.0)],
    "steps": [Recipe(n_steps=n) for n in (500, 1000, 4000)],
    "batch": [Recipe(batch_size=n) for n in (4, 64)],
    "start": [Recipe(initial_scale=s) for s in (0.01, 0.1, 0.3, 1.0)],
    "entangler": [
        Recipe(entangler="cnot"),
        Recipe(topology="ring"),
        Recipe(entangler="cnot", topology="ring"),
        Recipe(n_layers=8, entangler="cnot"),
    ],
    "rotations": [Recipe(rotations=r) for r in ("y", "zx", "yz")],
    "which qubits": [Recipe(kept=k) for k in ((0, 6), (2, 3), (2, 4))],
    "cost": [Recipe(cost="trash"), Recipe(cost="local_trash"), Recipe(first_cost="local_trash")],
    "layer by layer": [
        Recipe(growth=(2, 4, 6, 8, 10, 12)),
        Recipe(growth=(4, 8, 12)),
        Recipe(growth=tuple(range(1, 13))),
    ],
    "together": [Recipe(n_layers=14, initial_scale=0.3, learning_rate=0.2, n_steps=3000)],
    "code size": [Recipe(n_kept=k) for k in (1, 3, 4, 5)],
}
SEEDS = tuple(range(12))
N_RESTARTS = 4


def move(states, kept):
    """The states with the sites `kept` in front, the others in order behind them."""
    sites = [*kept, *(i for i in range(N_QUBITS) if i not in kept)]
    shape = (-1, *[2] * N_QUBITS)
    moved = states.reshape(shape).transpose(0, *(1 + i for i in sites))
    return np.ascontiguousarray(moved.reshape(states.shape)), sites


def train(recipe, data, seed):
    """Trains one encoder; returns its mean fidelity on validation and on test states."""
    parts = {name: getattr(data, name).states for name in ("train", "validation", "test")}
    sites = list(range(N_QUBITS))
    if recipe.kept is not None:
        for name, states in parts.items():
            parts[name], sites = move(states, recipe.kept)
    rng = np.random.default_rng(seed)
    weights, depths = np.zeros(0), recipe.growth or (recipe.n_layers,)
    stages = [(depth, recipe.cost) for depth in depths]
    if recipe.first_cost:
        stages = [(recipe.n_layers, recipe.first_cost), *stages]
    for depth, cost in stages:
        ansatz = hardware_efficient_ansatz(
            N_QUBITS,
            depth,
            rotations=recipe.rotations,
            entangler=recipe.entangler,
            topology=recipe.topology,
        )
        model = Model.of(None, ansatz, (), qubits=[ansatz.qubits[i] for i in sites])
        if len(weights):  # new layers start at zero
            weights = np.pad(weights, (0, ansatz.n_weights - len(weights)))
        elif recipe.initial_scale is None:
            weights = ansatz.initial_weights(seed=seed)
        else:
            weights = rng.normal(0, recipe.initial_scale, ansatz.n_weights)
        n_steps = recipe.n_steps // len(stages)
        weights = train_encoder(
            model,
            parts["train"],
            recipe.n_kept,
            cost=COSTS[cost],
            weights=weights,
            n_steps=n_steps,
            batch_size=recipe.batch_size,
            learning_rate=CosineDecay(recipe.learning_rate, n_steps),
            seed=seed,
        ).weights
    outputs = [model.output_states(weights, parts[name]) for name in ("validation", "test")]
    return [float(code_fidelity(states, recipe.n_kept)[0].mean()) for states in outputs]


def timed(recipe, data, seed):
    """`train`, and the seconds that it took."""
    started = time.perf_counter()
    return *train(recipe, data, seed), time.perf_counter() - started


def summary(group, recipe, found):
    """What JSON keeps of a recipe: its settings, every run, and the mean over restarts."""
    validation, test, seconds = np.array(found).T
    starts = range(0, len(found) - N_RESTARTS + 1, N_RESTARTS)
    best = [i + int(validation[i : i + N_RESTARTS].argmax()) for i in starts]
    default = asdict(Recipe())
    return {
        "group": group,
        "changed": {k: v for k, v in asdict(recipe).items() if v != default[k]},
        "validation": [round(v, 5) for v in validation.tolist()],
        "test": [round(v, 5) for v in test.tolist()],
        "best_of_restarts_test": [round(float(test[i]), 5) for i in best],
        "seconds_per_run": round(float(seconds.mean()), 2),
    }


def run(groups=GROUPS, seeds=SEEDS, n_jobs=2):
    """Trains all recipes from all seeds; returns a dict that JSON can hold."""
    data = load_zxz(N_QUBITS, seed=0)
    recipes = [(group, recipe) for group, of_group in groups.items() for recipe in of_group]
    jobs = [(recipe, data, seed) for _, recipe in recipes for seed in seeds]
    names = [f"{recipe}, seed {seed}" for recipe, _, seed in jobs]
    bar = Bar("autoencoders", len(jobs), "runs")
    found = run_jobs(timed, jobs, names=names, n_jobs=n_jobs, done=lambda i, run: bar.advance())
    found = [found[i : i + len(seeds)] for i in range(0, len(found), len(seeds))]
    train_states = data.train.states
    return {
        "data": {"n_qubits": N_QUBITS, "seed": 0, "n_train": len(train_states)},
        "default": asdict(Recipe()),
        "seeds": list(seeds),
        "n_restarts": N_RESTARTS,
        "bounds": {
            part: [round(best_subspace(getattr(data, part).states, k)[0], 7) for k in range(1, 6)]
            for part in ("train", "validation", "test")
        },
        "recipes": [summary(*key, runs) for key, runs in zip(recipes, found, strict=True)],
    }


if __name__ == "__main__":
    record = run(n_jobs=int(sys.argv[1]) if len(sys.argv) > 1 else 2)
    RESULT.parent.mkdir(exist_ok=True)
    unfinished = RESULT.with_suffix(".new")
    unfinished.write_text(json.dumps(record, indent=1) + "\n")
    unfinished.replace(RESULT)
    for entry in record["recipes"]:
        mean = np.mean(entry["validation"])
        print(
            f"{entry['group']:15} {entry['changed']} {mean:.4f}, "
            f"best of {N_RESTARTS}: {np.mean(entry['best_of_restarts_test']):.4f}"
        )
