"""Compiles the kernels, once per machine: `python -m qkdlib.engine.warm`.

`make` runs it when it sets the environment up, Binder when it builds its image, so that no chapter
and no slider waits for the compiler. Run again, it finds everything compiled and takes a second.
"""

import time

import cirq
import numpy as np
import sympy

from qkdlib.engine import kernels
from qkdlib.engine.caching import cache_folder
from qkdlib.engine.program import Program


def warm():
    """Runs every entry point of the kernels once; returns how many had to be compiled."""
    a, b = cirq.LineQubit.range(2)
    circuit = cirq.Circuit(cirq.rx(sympy.Symbol("x"))(a), cirq.ry(sympy.Symbol("w"))(b))
    program = Program(circuit, ["w"], ["x"], [cirq.Z(a), cirq.Z(b)], light_cone=False)
    states = np.eye(4, dtype=np.complex64)[:1]
    program.value_and_grad([0.1], [[0.2]], states)
    program.output_states_and_grad([0.1], [[0.2]], states, states)
    entries = (kernels.prepare, kernels.forward, kernels.backward, kernels.chain)
    return sum(sum(entry.stats.cache_misses.values()) for entry in entries)


def main():
    """Compiles and says where the result is kept."""
    start = time.perf_counter()
    compiled = warm()
    seconds = time.perf_counter() - start
    state = f"compiled in {seconds:.0f} s" if compiled else f"found compiled ({seconds:.1f} s)"
    print(f"simulation kernels {state}, kept in {cache_folder()}")


if __name__ == "__main__":
    main()
