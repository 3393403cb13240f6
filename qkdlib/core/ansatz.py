"""The hardware-efficient ansatz: layers of one-qubit rotations and of entangling gates (Figure 2 of
Yan et al.)."""

from dataclasses import dataclass
from itertools import pairwise

import cirq
import numpy as np
import sympy

from qkdlib._checks import check_choice, check_count, check_seed, check_vector
from qkdlib.core.encoding import bind_symbols, symbol_names

_ROTATIONS = {"x": cirq.rx, "y": cirq.ry, "z": cirq.rz}
_ENTANGLERS = {"cz": cirq.CZ, "cnot": cirq.CNOT}


@dataclass(frozen=True)
class Ansatz:
    """A circuit with weights.

    Attributes:
        n_qubits: Number of qubits.
        n_layers: Number of layers.
        circuit: A `cirq.Circuit` on `cirq.LineQubit.range(n_qubits)`.
        symbols: Names of the weights, one rotation each, in circuit order.
    """

    n_qubits: int
    n_layers: int
    circuit: cirq.Circuit
    symbols: tuple[str, ...]

    @property
    def qubits(self):
        """The qubits, in order."""
        return cirq.LineQubit.range(self.n_qubits)

    @property
    def n_weights(self):
        """Number of weights."""
        return len(self.symbols)

    def initial_weights(self, *, seed):
        """Weights drawn from U[0, 2 pi), as in section III of Yan et al.: float32 [n_weights]."""
        return initial_weights(self.n_weights, seed=seed)

    def bind(self, weights):
        """The circuit with its weights [n_weights] filled in."""
        values = check_vector("weights", weights, self.n_weights)
        return bind_symbols(self.circuit, self.symbols, values)


def initial_weights(n_weights, *, seed):
    """Weights drawn from U[0, 2 pi): float32 [n_weights]. The same seed gives the same numbers."""
    n_weights = check_count("n_weights", n_weights, minimum=0)
    rng = np.random.default_rng(check_seed("seed", seed))
    return rng.uniform(0, 2 * np.pi, n_weights).astype(np.float32)


def hardware_efficient_ansatz(
    n_qubits, n_layers, *, rotations="xyz", entangler="cz", topology="chain", final_rotations=True
):
    """Builds the ansatz.

    A layer turns every qubit by one weight per letter of `rotations`, then couples neighbours.

    Args:
        n_qubits: Number of qubits, at least 1.
        n_layers: Number of layers, at least 1.
        rotations: Axes of the rotations in the order in which they act, e.g. "xyz", "y" or "zx".
        entangler: "cz" or "cnot" (control on the lower qubit).
        topology: "chain" couples (0,1), (1,2), ...; "ring" closes it for three or more qubits.
        final_rotations: Whether a layer of rotations follows the last entanglers. Without it the last
            CZ layer is invisible to observables that are diagonal in the computational basis.

    Returns:
        An `Ansatz`, its weights named w000, w001, ... in circuit order.

    Raises:
        TypeError, ValueError: A count that is not a positive integer, an unknown option.
    """
    n_qubits = check_count("n_qubits", n_qubits)
    n_layers = check_count("n_layers", n_layers)
    if not isinstance(rotations, str) or not rotations or set(rotations) - set("xyz"):
        raise ValueError(f"rotations must be letters of 'xyz', e.g. 'xyz' or 'y', got {rotations!r}")
    gate = _ENTANGLERS[check_choice("entangler", entangler, tuple(_ENTANGLERS))]
    check_choice("topology", topology, ("chain", "ring"))

    qubits = cirq.LineQubit.range(n_qubits)
    n_weights = n_qubits * len(rotations) * (n_layers + bool(final_rotations))
    symbols = symbol_names("w", n_weights)
    names = iter(symbols)

    def rotation_layer():
        for qubit in qubits:
            for axis in rotations:
                yield _ROTATIONS[axis](sympy.Symbol(next(names)))(qubit)

    pairs = list(pairwise(qubits))
    if topology == "ring" and n_qubits > 2:
        pairs.append((qubits[-1], qubits[0]))
    circuit = cirq.Circuit()
    for _ in range(n_layers):
        circuit.append(rotation_layer())
        circuit.append(gate(a, b) for a, b in pairs)
    if final_rotations:
        circuit.append(rotation_layer())
    return Ansatz(n_qubits, n_layers, circuit, symbols)
