"""What comparing students costs: a step of K = 4 against four plain steps, on the fast engine.

    python benchmarks/codistillation.py [--rounds 15] [--steps 40]

Plain steps are those of `qkdlib.core.train`. All take turns on the same circuits and data,
and the smallest processor time of all rounds is reported for each: other work on the machine only adds.

A plain step leaves out what two classes' observables cannot see; the infidelity of full states sees all
of the circuit. "whole" is the plain step of all of the circuit.
"""

import argparse
import time

import numpy as np

from qkdlib import core as kd
from qkdlib.measures import ReducedInfidelity

N_STUDENTS, N_LAYERS, BATCH_SIZE = 4, 2, 64
COMPARED = {
    "kl": kd.Divergence(),
    "infidelity": kd.Infidelity(),
    "1 qubit": ReducedInfidelity((0,)),
    "2 qubits": ReducedInfidelity((0, 1)),
}


class Whole(kd.Model):
    """A model that also computes what its observables cannot see."""

    def program(self, **options):
        return super().program(light_cone=False, **options)


PLAIN = {"plain": kd.Model, "whole": Whole}


def measure(n_qubits, n_steps, n_rounds):
    """Milliseconds a step of all students by kind, {name: [n_rounds]}."""
    parts = (
        kd.angle_encoding(n_qubits), kd.hardware_efficient_ansatz(n_qubits, N_LAYERS),
        kd.z_observables(2, n_qubits),
    )
    models = {name: kind.of(*parts) for name, kind in PLAIN.items()}
    rng = np.random.default_rng(0)
    angles = rng.uniform(0, np.pi, (4 * BATCH_SIZE, n_qubits))
    train = angles, (angles[:, 0] > angles[:, 1]).astype(int)
    times = {name: [] for name in (*PLAIN, *COMPARED)}
    for number in range(n_rounds + 1):
        found = {name: N_STUDENTS * plain(m, train, n_steps, number) for name, m in models.items()}
        for name, regulariser in COMPARED.items():
            found[name] = compared(models["plain"], train, regulariser, n_steps, number)
        if number > 0:  # the first round compiles and warms up
            for name, value in found.items():
                times[name].append(value)
    return times


def plain(model, train, n_steps, seed):
    """Milliseconds a step of one student alone."""
    clock, loss = Clock(), kd.with_targets(kd.cross_entropy, train[1])
    kd.train(
        model, train[0], loss, n_steps=n_steps, batch_size=BATCH_SIZE, seed=seed, callback=clock
    )
    return clock.milliseconds()


def compared(model, train, regulariser, n_steps, seed):
    """Milliseconds a step of all students together."""
    clock = Clock()
    kd.codistill(
        [model] * N_STUDENTS, train, regulariser=regulariser, schedule=kd.Schedule(0.5),
        n_steps=n_steps, batch_size=BATCH_SIZE, seed=seed, callback=clock,
    )
    return clock.milliseconds()


class Clock:
    """A callback that reads the processor time after each step."""

    def __init__(self):
        self._marks = []

    def __call__(self, *arguments):
        self._marks.append(time.process_time())

    def milliseconds(self):
        """Mean of the steps after the first: building programs is no part of a step."""
        return 1e3 * (self._marks[-1] - self._marks[0]) / (len(self._marks) - 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    print(f"{N_LAYERS} layers, batch {BATCH_SIZE}, K = {N_STUDENTS}: processor time in ms a step, ratio")
    for n_qubits in (4, 6, 7):
        times = measure(n_qubits, options.steps, options.rounds)
        least = {name: min(values) for name, values in times.items()}
        found = [f"{name} {v:.2f} ({v / least['plain']:.2f}x)" for name, v in least.items()]
        print(f"{n_qubits} qubits: " + " · ".join(found))
        print(f"    infidelity against whole: {least['infidelity'] / least['whole']:.2f}x")


if __name__ == "__main__":
    main()
