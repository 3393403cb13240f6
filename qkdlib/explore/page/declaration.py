"""What engine.js reads: models, samples and trainings, as values for JSON.

    declare(model)              the circuit, joined to what the engine sweeps over
    declare_data(inputs)        samples, small
    declare_training(...)       a training, with the names and defaults of `qkdlib.core.train`

A circuit comes as the primitives that the light cone leaves (`Program.primitives`), joined to three
kinds of items: *turns* (diagonal: constant phases, a table), *sweeps* (blocks of one-qubit rotations)
and *gates* (anything else). Bits are masks, qubit 0 the highest; an angle is a number or [symbol,
scale, shift], where symbols count weights first, then data.
"""

import base64
import itertools
from dataclasses import dataclass, field

import numpy as np

from qkdlib import core
from qkdlib._checks import check_choice, check_count, check_matrix, check_number
from qkdlib.engine import lowering
from qkdlib.measures import PullAlone, teacher_pull

_PAULIS = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
_SWAP = np.eye(4)[[0, 2, 1, 3]]


# --- Models ------------------------------------------------------------------------------------


def declare(model, *, output_states=False):
    """A model for the page.

    Args:
        model: A `qkdlib.core.Model`, or an object with its attributes.
        output_states: Whether its output states are compared (infidelity): nothing is left out then.

    Returns:
        A dict for JSON; of 7 qubits and 4 layers about 2 kB.
    """
    kind = "output" if output_states else "states" if model.takes_states else "product"
    primitives, n_qubits, terms, coefficients = model.program().primitives(kind)
    join = _Joiner(n_qubits, model.n_weights)
    join.all(primitives)
    if kind != "output" and not terms[:, 0].any() and join.items and join.items[-1][0] == "turn":
        join.items.pop()  # phases do not show in diagonal observables
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
        if not isinstance(primitive, lowering.Rotation) or primitive.controls:
            return False
        return primitive.angle.symbol < self.n_weights  # a weight or a constant

    def _write(self, primitive):
        mask = sum(self._bit(q) for q, _ in primitive.controls)
        value = sum(self._bit(q) for q, v in primitive.controls if v)
        if isinstance(primitive, lowering.Phase):
            self._phase(mask, value, primitive.angle)
            return
        if isinstance(primitive, lowering.Rotation):
            matrix, angle = np.tensordot(primitive.axis, _PAULIS, 1), primitive.angle.times(-0.5)
        elif isinstance(primitive, lowering.Pair):  # exp(i angle H): H^3 = H, or (2 H)^3 = 2 H
            twice = 1 + (primitive.generator == "exchange")
            matrix = twice * lowering.GENERATORS[primitive.generator]
            angle = primitive.angle.times(1 / twice)
        elif isinstance(primitive, lowering.Flip):
            matrix, angle = _PAULIS[0] if len(primitive.qubits) == 1 else _SWAP, None
        elif isinstance(primitive, lowering.Matrix):
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
            rotations = [[list(map(_number, one.axis)), _angle(one.angle)] for one in run]
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


def _number(value):
    """A float that JSON writes shortly: ten digits are more than float32 holds."""
    rounded = float(f"{float(value):.10g}")
    return int(rounded) if rounded.is_integer() else rounded


# --- Samples -----------------------------------------------------------------------------------


def declare_array(values, kind="float32"):
    """An array [rows, columns] as base64.

    Args:
        values: Real numbers; uint8 arrays stay bytes.
        kind: "float32"; "float16"; or "uint8", 256 levels from the smallest to the largest value.
    """
    values = np.asarray(values)
    check_choice("kind", kind, ("float32", "float16", "uint8"))
    found = {"shape": list(values.shape)}
    if kind == "uint8" and values.dtype != np.uint8:
        low, high = float(values.min()), float(values.max())
        step = (high - low) / 255 or 1.0
        found |= {"scale": step, "shift": low}
        values = np.rint((values - low) / step)
    kind = "uint8" if values.dtype == np.uint8 else kind
    dtype = np.dtype({"float32": "<f4", "float16": "<f2", "uint8": "u1"}[kind])
    data = base64.b64encode(np.ascontiguousarray(values, dtype).tobytes()).decode()
    return found | {"type": dtype.str[1:], "data": data}


def declare_data(inputs, *, kind="float32", error=None):
    """Samples for the page.

    Args:
        inputs: Of a `Model`: angles, real [n_samples, n_data], or states, complex [n_samples,
            2**n_qubits].
        kind: See `declare_array`.
        error: Only for states: how far each may be off (norm of the difference). They are then written
            as real coefficients of as few basis states as that takes, and the engine runs the basis in
            place of the samples. States along a line span few directions.

    Returns:
        A dict for JSON.
    """
    inputs = np.asarray(inputs)
    if not np.iscomplexobj(inputs):
        return {"angles": declare_array(check_matrix("inputs", inputs), kind)}
    states = check_matrix("inputs", inputs, dtype=complex)
    found = {}
    if error is not None:
        check_number("error", error, 0, open_minimum=True)
        states, coefficients = _basis(states, error)
        fine = "float16" if kind == "float16" else "float32"
        found["coefficients"] = declare_array(coefficients, fine)
    found["states"] = declare_array(states.real, kind)
    if states.imag.any():
        found["imaginary"] = declare_array(states.imag, kind)
    return found


def declare_samples(inputs, error):
    """Samples for the page, see `declare_data`, in the shortest form that is precise enough.

    Args:
        inputs: Of a `Model`.
        error: How far each may be off: states by the norm of the difference, angles in radians.
    """
    states = np.iscomplexobj(inputs)
    parts, size = np.stack([inputs.real, inputs.imag]), np.sqrt(inputs.shape[1]) if states else 1.0
    off = {"uint8": np.ptp(parts) / 510 * size, "float16": np.abs(parts).max() / 2048 * size}
    kind = next((kind for kind in off if off[kind] <= error), "float32")
    forms = [declare_data(inputs, kind=kind)]
    if states:  # half of the error for what is left out, half for the numbers' precision
        kind = "float16" if error / 2 > 2**-11 else "float32"
        forms.append(declare_data(inputs, kind=kind, error=error / 2))
    return min(forms, key=lambda form: len(str(form)))


def declare_images(images, *, angle=None):
    """Images as bytes.

    Args:
        images: Of dtype uint8, [n_samples, ...].
        angle: Radians of the value 255, for angles; None where the pixels are a state's amplitudes.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise TypeError(f"images must be bytes (uint8), got dtype {images.dtype}")
    found = declare_array(images.reshape(len(images), -1), "uint8")
    if angle is None:
        return {"states": found}
    return {"angles": found | {"scale": check_number("angle", angle) / 255}}


def _basis(states, error):
    """Basis [rank, size] of norm one and real coefficients [n_samples, rank]."""
    size = states.shape[1]
    flat = np.concatenate([states.real, states.imag], axis=1)
    left, values, right = np.linalg.svd(flat, full_matrices=False)
    coefficients = left * values
    rest = np.cumsum((coefficients**2)[:, ::-1], axis=1)[:, ::-1]  # what is lost from each rank on
    enough = np.append(np.sqrt(rest.max(axis=0)), 0.0) <= error
    rank = max(1, int(np.argmax(enough)))
    basis = right[:rank, :size] + 1j * right[:rank, size:]
    basis.imag[np.abs(basis.imag) < 1e-12] = 0
    return basis, coefficients[:, :rank]


# --- Trainings ---------------------------------------------------------------------------------

_TEACHERS = {
    core.Distilled: "given",
    core.UniformTeacher: "uniform",
    core.ConstantTeacher: "constant",
    core.ShuffledTeacher: "shuffled",
    core.DecisionsOnly: "decisions",
    PullAlone: "given",
}


def declare_condition(condition, *, n_samples=None, seed=None):
    """One of the conditions of `qkdlib.core`.

    Args:
        condition: An object of one of the library's own classes.
        n_samples, seed: For a `ShuffledTeacher` who deals its answers as the library does.
    """
    found = {"scale": condition.logit_scale, "budget": condition.budget}
    if isinstance(condition, core.NoTeacher):
        return found | {"smoothing": condition.smoothing}
    if type(condition) not in _TEACHERS:
        raise TypeError(f"condition must be one that the page knows, got {type(condition).__name__}")
    kinds = {core.kl_divergence: {}, core.reverse_kl_divergence: {"reverse": True}}
    kinds[teacher_pull] = {"pull": True}
    if condition.divergence not in kinds:
        known = ", ".join(one.__name__ for one in kinds)
        raise ValueError(f"condition must compare by one of {known}, got {condition.divergence!r}")
    found |= {"temperature": condition.temperature, "alpha": condition.alpha}
    found |= {"teacher": _TEACHERS[type(condition)], **kinds[condition.divergence]}
    if n_samples is not None and isinstance(condition, core.ShuffledTeacher):
        found["order"] = np.random.default_rng([seed, 1]).permutation(n_samples).tolist()
    return found


def declare_orders(n_samples, n_steps, batch_size, seed):
    """The orders of the library's epochs, [n_epochs][n_samples], for as many steps."""
    n_batches = -(-check_count("n_samples", n_samples) // check_count("batch_size", batch_size))
    rows = core.batches(n_samples, batch_size, seed)
    epochs = -(-check_count("n_steps", n_steps, minimum=0) // n_batches)
    return [np.concatenate(list(itertools.islice(rows, n_batches))).tolist() for _ in range(epochs)]


def declare_training(
    model,
    train,
    *,
    condition=None,
    watch=None,
    n_steps=50,
    batch_size=64,
    learning_rate=None,
    seed=0,
    **more,
):
    """A training, under the names of `qkdlib.core.train` and with its defaults.

    Args:
        model: A `Model`, or what `declare` made of one.
        train: (inputs, labels); the inputs may be declared already.
        condition: See `declare_condition`, or a dict; by default no teacher.
        watch: {name: (inputs, labels or None)}: what the page wants the logits of.
        n_steps, batch_size, seed: As there.
        learning_rate: A constant; None is the library's default, which decays.
        **more: Entries of the engine's own, e.g. weights, orders, teacher, students, pull, shards,
            shared, seeds, conditions; see `engine.js`.

    Returns:
        A dict for JSON.
    """

    def samples(pair):
        inputs, labels = pair
        inputs = inputs if isinstance(inputs, dict) else declare_data(inputs)
        return {"inputs": inputs} | ({} if labels is None else {"labels": np.asarray(labels).tolist()})

    if condition is not None and not isinstance(condition, dict):
        condition = declare_condition(condition, n_samples=len(train[1]), seed=seed)
    found = {
        "model": model if isinstance(model, dict) else declare(model),
        **samples(train),
        "watch": {name: samples(pair) for name, pair in (watch or {}).items()},
        "steps": n_steps,
        "batch": batch_size,
        "rate": learning_rate,
        "seed": seed,
    }
    return found | ({} if condition is None else {"condition": condition}) | more
