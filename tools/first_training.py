"""The training on the first page: two qubits learn to tell inside from outside as it opens."""

from __future__ import annotations

import numpy as np

DEPTHS = range(1, 7)
SIDE = 28  # cells a side of the plane that is drawn
REACH = 3.0


def points(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(places [n, 2], labels [n]): a disc, 0, and a ring around it, 1."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    radius = np.where(labels == 0, rng.uniform(0, 1.2, n), rng.uniform(1.6, 2.7, n))
    angle = rng.uniform(0, 2 * np.pi, n)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), labels


def circuit(n_layers: int):
    """The model: each layer turns by the place once more, then by weights (data re-uploading)."""
    import cirq
    import sympy

    from qkdlib.core import Model, z_observables

    qubits, weights, steps = cirq.LineQubit.range(2), [], []

    def turn(qubit):
        for gate in (cirq.rz, cirq.ry):
            weights.append(f"w{len(weights)}")
            yield gate(sympy.Symbol(weights[-1]))(qubit)

    for _ in range(n_layers):
        steps.append([cirq.ry(sympy.Symbol(f"x{k + 1}"))(q) for k, q in enumerate(qubits)])
        steps += [[*turn(q)] for q in qubits] + [cirq.CZ(*qubits)]
    steps += [[*turn(q)] for q in qubits]
    observables = z_observables(2, 2)
    return Model(cirq.Circuit(steps), tuple(weights), ("x1", "x2"), observables, logit_scale=5.0)


def explorer():
    """The explorer of the first page."""
    from qkdlib.explore import Circuits, DeclaredTraining, Field, Slider

    models = {n: circuit(n) for n in DEPTHS}
    (x, y), nodes = points(60, 0), (np.arange(SIDE) + 0.5) / SIDE * 2 * REACH - REACH
    plane = np.stack([np.tile(nodes, SIDE), np.repeat(-nodes, SIDE)], axis=1)
    declared = DeclaredTraining(
        models[3], (x, y), points(200, 1), n_steps=150, batch_size=20, learning_rate=0.1, every=10,
        options={"n_layers": {n: {"model": model} for n, model in models.items()}}, error=2e-3, now=True,
        views=[Field("What it says of every place", plane, (-REACH, REACH), x, y, ("x₁", "x₂"))],
    )  # fmt: skip
    drawn = Circuits(
        lambda: models[1].circuit, title="A layer, and the turns at the end", over=(), half=True,
        data_symbols=("x1", "x2"),
    )  # fmt: skip
    return declared.explorer(
        "Inside or outside?", [Slider("n_layers", [*DEPTHS], label="Layers", start=3)],
        panels=[drawn], curves=False,
    )  # fmt: skip
