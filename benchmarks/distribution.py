"""What codistillation in processes costs and gains: `python benchmarks/distribution.py`.

Two students, full-state infidelity, from one process and from two, for several sizes of circuit and s,
the steps between two exchanges. A step's time is taken between exchanges of a running training, so that
the start of the processes does not count; it is reported apart. Runs take turns, and the median over
them is reported. One process spreads a batch over threads where circuits are large enough, in chunks of
16 samples: a batch of 64 can use four cores, one of 16 only one.

Prints a table. A run takes some minutes, and needs a machine with nothing else to do.
"""

import statistics
import time

import numpy as np

from qkdlib.circuits import angle_encoding, hardware_efficient_ansatz, z_observables
from qkdlib.distillation import Regulariser, Schedule, Student, codistill

# qubits, layers, batch
SIZES = ((4, 2, 64), (10, 4, 64), (13, 6, 64), (10, 4, 16), (13, 6, 16))
INTERVALS = (1, 10, 50)
STEPS = 100
PLACES = {
    "one process": {},
    "weights": {"processes": 2, "exchange": "weights"},
    "outputs": {"processes": 2, "exchange": "outputs"},
}
ROUNDS = 3


def main():
    """Measures all and prints the table."""
    rows = [row for size in SIZES for row in measure(*size)]
    for row in rows:
        print(
            f"{row['n_qubits']:3} qubits, {row['n_layers']} layers, batch {row['batch_size']}, "
            f"s = {row['every']:2}, {row['place']:11}  {row['ms_per_step']:7.2f} ms a step, "
            f"{row['ratio']:4.2f} of one process, {row['start_s']:4.1f} s to the first exchange, "
            f"{row['bytes_per_step']:9.0f} B a step"
        )


def measure(n_qubits, n_layers, batch_size):
    """Rows of one size of circuit."""
    encoding, ansatz = angle_encoding(n_qubits), hardware_efficient_ansatz(n_qubits, n_layers)
    student = Student.of(
        encoding, ansatz, z_observables(2, n_qubits), iterations=STEPS, batch_size=batch_size
    )
    angles = np.random.default_rng(0).uniform(0, np.pi, (320, n_qubits))
    train = angles, (angles[:, 0] > np.pi / 2).astype(int)
    for every in INTERVALS:
        schedule = Schedule(0.5, exchange_every=every)
        found = {place: [] for place in PLACES}
        for _ in range(ROUNDS):
            for place, options in PLACES.items():
                found[place].append(timed([student, student], train, schedule, options))
        base = statistics.median(seconds for seconds, _, _ in found["one process"])
        for place, runs in found.items():
            seconds, start, size = (statistics.median(column) for column in zip(*runs, strict=True))
            yield {
                "n_qubits": n_qubits, "n_layers": n_layers, "batch_size": batch_size,
                "every": every, "place": place,
                "ms_per_step": 1e3 * seconds, "ratio": seconds / base, "start_s": start,
                "bytes_per_step": size,
            }


def timed(students, train, schedule, options):
    """(seconds a step, seconds to the first exchange, bytes a step) of a run."""
    ends, begin = {}, time.perf_counter()

    def callback(step, weights):
        ends[step] = time.perf_counter()

    regulariser = Regulariser("infidelity")
    run = codistill(
        students, train, regulariser=regulariser, schedule=schedule, seed=0, callback=callback, **options
    )
    first, last = schedule.exchange_every, max(ends)
    seconds = (ends[last] - ends[first]) / (last - first)
    return seconds, ends[first] - begin, run.bytes_exchanged / last


if __name__ == "__main__":
    main()
