"""What comparing students costs: a step of K = 4 against four plain steps, on the fast engine.

    python benchmarks/codistillation.py [--rounds 15] [--steps 40]

Plain steps are those of `qkdlib.simulation.optimise.fit`. All take turns on the same circuits and data,
and the smallest processor time of all rounds is reported for each: other work on the machine only adds.

A plain step leaves out what two classes' observables cannot see; the infidelity of full states sees all
of the circuit. "whole" is the plain step of all of the circuit.
"""

import argparse
import time

import numpy as np

from qkdlib.circuits import angle_encoding, hardware_efficient_ansatz, z_observables
from qkdlib.circuits.ansatz import initial_weights
from qkdlib.distillation import Regulariser, Schedule, Student, codistill
from qkdlib.simulation import Program
from qkdlib.simulation.optimise import cross_entropy, fit

N_STUDENTS, N_LAYERS, BATCH_SIZE = 4, 2, 64
PLAIN = {"plain": True, "whole": False}  # name -> light_cone
COMPARED = {
    "kl": Regulariser("kl"),
    "infidelity": Regulariser("infidelity"),
    "1 qubit": Regulariser("infidelity", qubits=(0,)),
    "2 qubits": Regulariser("infidelity", qubits=(0, 1)),
}


def measure(n_qubits, n_steps, n_rounds):
    """Milliseconds a step of all students by kind, {name: [n_rounds]}."""
    student = Student.of(
        angle_encoding(n_qubits), hardware_efficient_ansatz(n_qubits, N_LAYERS),
        z_observables(2, n_qubits), iterations=n_steps, batch_size=BATCH_SIZE,
    )
    rng = np.random.default_rng(0)
    angles = rng.uniform(0, np.pi, (4 * BATCH_SIZE, n_qubits))
    train = angles, (angles[:, 0] > angles[:, 1]).astype(int)
    times = {name: [] for name in (*PLAIN, *COMPARED)}
    for number in range(n_rounds + 1):
        found = {name: N_STUDENTS * plain(student, train, cone, number) for name, cone in PLAIN.items()}
        found |= {name: compared(student, train, r, number) for name, r in COMPARED.items()}
        if number > 0:  # the first round compiles and warms up
            for name, value in found.items():
                times[name].append(value)
    return times


def plain(student, train, light_cone, seed):
    """Milliseconds a step of one student alone."""
    program = Program(
        student.circuit, student.weight_symbols, student.data_symbols, student.observables,
        qubits=student.qubits, light_cone=light_cone,
    )
    clock = Clock()
    fit(
        program, initial_weights(len(student.weight_symbols), seed=seed), train[0],
        cross_entropy(train[1]), iterations=student.iterations, batch_size=BATCH_SIZE, seed=seed,
        callback=clock,
    )
    return clock.milliseconds()


def compared(student, train, regulariser, seed):
    """Milliseconds a step of all students together."""
    clock = Clock()
    codistill(
        [student] * N_STUDENTS, train, regulariser=regulariser, schedule=Schedule(0.5), seed=seed,
        callback=clock,
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
