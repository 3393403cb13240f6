"""What engine.js reads: a model, its samples and a training, as values for JSON.

A circuit comes as the primitives that the light cone leaves (`Program.primitives`), joined to three kinds
of items: *turns* (diagonal: constant phases, a table), *sweeps* (blocks of one-qubit rotations) and *gates*
(anything else). Bits are masks, qubit 0 the highest; an angle is a number or [symbol, scale, shift], where
symbols count weights first, then data.
"""

import base64
from dataclasses import dataclass, field

import numpy as np

from qkdlib._checks import check_choice, check_number
from qkdlib.engine.lowering import GENERATORS, Flip, Matrix, Pair, Phase, Rotation

_PAULIS = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
_SWAP = np.eye(4)[[0, 2, 1, 3]]


# --- Models ------------------------------------------------------------------------------------


def declare(model, *, output_states=False):
    """A model for the page.

    Args:
        model: A `qkdlib.core.Model`, or an object with its attributes.
        output_states: Whether its output states are compared (infidelity): nothing is left out then.

    Returns:
        A dict for JSON; of 7 qubits and 4 layers about 3 kB.
    """
    kind = "output" if output_states else "states" if model.takes_states else "product"
    primitives, n_qubits, terms, coefficients = model.program().primitives(kind)
    join = _Joiner(n_qubits, model.n_weights)
    join.all(primitives)
    return {
        "qubits": n_qubits,
        "weights": model.n_weights,
        "data": model.n_data,
        "classes": model.n_classes,
        "scale": _number(model.logit_scale),
        "observables": _observables(terms, coefficients),
        "matrices": join.matrices,
        "items": join.items,
    }


def _observables(terms, coefficients):
    """[[flips, [[observable, signs, part, read, write], ...]], ...].

    A string with y letters Y is i^y times signs and flips: `read` and `part` (0 real, 1 imaginary) say
    what it takes of conj(psi) psi' for its value, `write` what its derivative adds to psi'.
    """
    groups = {}
    for (flips, signs, n_y), row in zip(terms.tolist(), coefficients, strict=True):
        for column in np.flatnonzero(row):
            c = float(row[column])
            read, write = c * (1, -1, -1, 1)[n_y % 4], 2 * c * (1, 1, -1, -1)[n_y % 4]
            term = [int(column), signs, n_y % 2, _number(read), _number(write)]
            groups.setdefault(flips, []).append(term)
    return [[flips, found] for flips, found in groups.items()]


@dataclass
class _Joiner:
    """Joins primitives to items, layer by layer however the circuit's moments were packed.

    In rounds: one takes every primitive that can act before the rotations that wait, and puts the others
    off together with all that follows on their bits; then the rotations are written.
    """

    n: int
    n_weights: int
    items: list = field(default_factory=list)
    matrices: list = field(default_factory=list)

    def __post_init__(self):
        self._parts, self._ends, self._diagonal = [], [], 0  # a turn that is not yet written
        self._n_blocks, self._known = 0, {}

    def all(self, primitives):
        """Joins all primitives, in order of time."""
        waiting = primitives
        while waiting:
            runs, later, blocked, running = {}, [], 0, 0
            for primitive in waiting:
                bits = self._touches(primitive)
                alone = self._is_block(primitive)
                if bits & blocked or (bits & running and not alone):
                    later.append(primitive)
                    blocked |= bits
                elif alone:
                    runs.setdefault(bits, []).append(primitive)
                    running |= bits
                else:
                    self._write(primitive)
            self._write_runs(runs)
            waiting = later
        self._flush(-1)

    def _bit(self, qubit):
        return 1 << (self.n - 1 - qubit)

    def _touches(self, primitive):
        qubits = (*primitive.qubits, *(q for q, _ in primitive.controls))
        return sum(map(self._bit, qubits))

    def _is_block(self, primitive):
        if not isinstance(primitive, Rotation) or primitive.controls:
            return False
        return primitive.angle.symbol < self.n_weights  # a weight or a constant

    def _write(self, primitive):
        mask = sum(self._bit(q) for q, _ in primitive.controls)
        value = sum(self._bit(q) for q, v in primitive.controls if v)
        if isinstance(primitive, Phase):
            self._phase(mask, value, primitive.angle)
            return
        if isinstance(primitive, Rotation):
            matrix, angle = np.tensordot(primitive.axis, _PAULIS, 1), primitive.angle.times(-0.5)
        elif isinstance(primitive, Pair):  # exp(i angle H): H^3 = H, or (2 H)^3 = 2 H
            twice = 1 + (primitive.generator == "exchange")
            matrix = twice * GENERATORS[primitive.generator]
            angle = primitive.angle.times(1 / twice)
        elif isinstance(primitive, Flip):
            matrix, angle = _PAULIS[0] if len(primitive.qubits) == 1 else _SWAP, None
        elif isinstance(primitive, Matrix):
            matrix, angle = primitive.unitary, None
        self._flush(self._touches(primitive))
        bits = [self._bit(q) for q in primitive.qubits]
        self._gate(bits, mask, value, matrix, angle)

    def _gate(self, bits, mask, value, matrix, angle):
        last = [] if angle is None else [_angle(angle)]
        self.items.append(["gate", bits, mask, value, self._matrix(matrix), *last])

    def _phase(self, mask, value, angle):
        """A constant joins the table; another commutes with it and needs no flush."""
        if angle.symbol < 0:
            self._parts.append([mask, value, _number(angle.shift)])
            self._diagonal |= mask
        else:
            self._gate([], mask, value, np.eye(1), angle)

    def _write_runs(self, runs):
        blocks = []
        for bit, run in sorted(runs.items(), reverse=True):
            axes = {tuple(np.abs(rotation.axis)) for rotation in run}
            if axes == {(0, 0, 1)}:
                for rotation in run:
                    self._phase(bit, bit, rotation.angle.times(rotation.axis[2]))
                continue
            rotations = [[_axis(rotation.axis), _angle(rotation.angle)] for rotation in run]
            blocks.append([self._n_blocks, bit, int(axes == {(0, 1, 0)}), rotations])
            self._n_blocks += 1
        if blocks:
            self._turn_ends(blocks, "gamma")
            self._flush(sum(bit for _, bit, _, _ in blocks))
            self.items.append(["sweep", blocks])
            self._turn_ends(blocks, "alpha")

    def _turn_ends(self, blocks, end):
        for number, bit, is_real, _ in blocks:
            if not is_real:
                self._ends.append([bit, number, end])
                self._diagonal |= bit

    def _flush(self, bits):
        if self._diagonal & bits:
            self.items.append(["turn", self._parts, self._ends])
            self._parts, self._ends, self._diagonal = [], [], 0

    def _matrix(self, matrix):
        flat = np.asarray(matrix, complex).reshape(-1)
        parts = [flat.real] if not flat.imag.any() else [flat.real, flat.imag]
        entry = [[_number(x) for x in part] for part in parts]
        found = self._known.setdefault(str(entry), len(self.matrices))
        if found == len(self.matrices):
            self.matrices.append(entry)
        return found


def _angle(angle):
    if angle.symbol < 0:
        return _number(angle.shift)
    if angle.shift:
        return [angle.symbol, _number(angle.scale), _number(angle.shift)]
    return [angle.symbol] if angle.scale == 1 else [angle.symbol, _number(angle.scale)]


def _axis(axis):
    named = {(1.0, 0.0, 0.0): "x", (0.0, 1.0, 0.0): "y", (0.0, 0.0, 1.0): "z"}
    return named.get(tuple(axis), [_number(x) for x in axis])


def _number(value):
    """A float that JSON writes shortly: ten digits are more than float32 holds."""
    rounded = float(f"{float(value):.10g}")
    return int(rounded) if rounded.is_integer() else rounded
