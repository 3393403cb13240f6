"""Measures what a distillation step costs beside a plain one: `python benchmarks/distillation.py`.

The same student, batches and optimiser, once under `QNN.fit` and once under `Distiller.fit` with a
teacher of two layers more, on both engines. Epochs of both take turns, so that a disturbance meets
both; a row gives medians and their ratio, with the quartiles of the ratios of neighbours. The teacher
is asked before the clock runs, as it is asked once a data set in training, too; the last column says
what that took, in steps.
"""

import argparse
import statistics
import time

import numpy as np

from qkdlib.core import Distilled, Model, angle_encoding, hardware_efficient_ansatz, z_observables
from qkdlib.engine import tfq_available
from qkdlib.models import QNN, Distiller, adam, recipe

SIZES = ((2, 2), (7, 2))  # (qubits, layers) of the student
BATCH = 64
STEPS = {"adjoint": 100, "tfq": 10}  # an epoch's; a round is an epoch of each


def main():
    """Measures and prints a row per engine and size."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="epochs of each kind that are timed")
    rounds = parser.parse_args().rounds
    engines = ["adjoint", *(["tfq"] if tfq_available() else [])]
    print("engine   qubits  layers  plain step  distillation step  ratio  quartiles     teacher")
    for engine in engines:
        for size in SIZES:
            print(row(engine, *size, rounds), flush=True)


def row(engine, n_qubits, n_layers, rounds):
    """One line of the table: milliseconds a step, the ratio, the teacher's cost in plain steps."""
    plain, distiller, x, y, asked = models(engine, n_qubits, n_layers)
    times = {"plain": [], "distilled": []}
    for turn in range(rounds + 2):  # the first two compile and warm up
        for name, model in (("plain", plain), ("distilled", distiller)):
            started = time.perf_counter()
            model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)
            if turn >= 2:
                times[name].append(1000 * (time.perf_counter() - started) / STEPS[engine])
    base, taught = (statistics.median(times[name]) for name in times)
    neighbours = [t / p for p, t in zip(times["plain"], times["distilled"], strict=True)]
    low, _, high = statistics.quantiles(neighbours, n=4)
    return (
        f"{engine:8} {n_qubits:6} {n_layers:7} {base:8.2f} ms {taught:15.2f} ms {taught / base:6.2f}"
        f"  {low:.2f} to {high:.2f} {1000 * asked / base:7.1f}"
    )


def models(engine, n_qubits, n_layers):
    """A compiled student, a Distiller around its twin, data, and the seconds that the teacher took."""
    encoding, observables = angle_encoding(n_qubits), z_observables(2, n_qubits)
    rng = np.random.default_rng(0)
    features = rng.uniform(0, 1, (BATCH * STEPS[engine], n_qubits))
    x = encoding.angles(features).astype(np.float32)
    y = (features[:, 0] > features[:, 1]).astype(np.int64)

    def qnn(layers, seed):
        ansatz = hardware_efficient_ansatz(n_qubits, layers)
        return QNN(Model.of(encoding, ansatz, observables), engine=engine, seed=seed)

    plain = qnn(n_layers, seed=0)
    plain.compile(**recipe())
    teacher = qnn(n_layers + 2, seed=1)
    distiller = Distiller(qnn(n_layers, seed=0), teacher, Distilled(2.0, 0.9))
    distiller.compile(optimizer=adam())
    teacher.predict(x[:BATCH], verbose=0)  # compiles
    started = time.perf_counter()
    distiller.teacher_logits(x)
    return plain, distiller, x, y, time.perf_counter() - started


if __name__ == "__main__":
    main()
