"""Yan et al., Table 1 and Fig. 4: phases of the ZXZ chain, on 7 and on 15 qubits."""

import itertools
from dataclasses import dataclass
from functools import cache

import cirq
import numpy as np

from experiments.readings import CIRCUIT, CODE, PHASES, TEACHING, TRAINING
from experiments.runner import Task
from experiments.training import (
    CONDITIONS,
    ansatz_model,
    circuit_of,
    conditions,
    learn,
    percent,
    seeds_of,
    untaught,
)
from qkdlib import core as kd
from qkdlib.data import load_zxz, zxz_energy, zxz_labels
from qkdlib.measures import CosineDecay, code_fidelity, train_encoder

N_TEST = 200
SEVEN = TEACHING | TRAINING | CIRCUIT | PHASES | CODE
# Fifteen qubits: the open chain, CZ gates along it, so that a student sees a few sites only (`seen`).
FIFTEEN = TRAINING | {
    "rotations": CIRCUIT["rotations"],
    "entangler": ("cz",),
    "topology": ("chain",),
    "final_rotations": CIRCUIT["final_rotations"],
    "readout": ("first two", "middle two"),
    "h1": ((0.1, 1.9), (0.1, 3.0)),  # below 0.1 the ground state is nearly degenerate
}


@dataclass(frozen=True)
class SevenQubits(Task):
    """A teacher of 2 layers, student (1) on 2 qubits and 2 layers, student (2) on 7 qubits and 1 layer.

    Attributes:
        reading: Pairs (setting, value) of `SEVEN`.
        seed: Draws states, teacher, and students; each seed has a teacher of its own.
        validate: Whether the accuracies on validation states are recorded too.
    """

    reading: tuple
    seed: int
    validate: bool = False

    @classmethod
    def columns(cls, validate=False):
        """Names of the numbers of `run`, in per cent but for the fidelity."""
        parts = ("test", "validation")[: 1 + validate]
        students = itertools.product(("(2)", "(1)"), CONDITIONS, parts)
        names = [f"teacher {p}" for p in parts] + [f"{s} {c} {p}" for s, c, p in students]
        return [*names, "fidelity"]

    def run(self):
        r = dict(self.reading)
        _, teacher_seed, student_seed = seeds_of(self.seed, 3)
        train, parts = seven_qubits(tuple(r["h1"]), r["boundary"], r["n_train"], self.seed)
        parts, circuit, n_steps = parts[: 1 + self.validate], circuit_of(r), 50
        teacher = ansatz_model(7, 2, circuit)
        weights = learn(teacher, train, untaught(r), r, teacher_seed, n_steps=n_steps)
        said, found = teacher.logits(weights, train[0]), percent(teacher, weights, *parts)
        encode, fidelity = encoder(
            tuple(r["h1"]), r["boundary"], r["n_train"], self.seed, r["code_layers"], r["code_steps"]
        )
        coded = [(encode(states), labels) for states, labels in (train, *parts)]
        for model, (own, *tested) in (
            (ansatz_model(7, 1, circuit), (train, *parts)),
            (ansatz_model(2, 2, circuit, register=7), coded),
        ):
            for condition in conditions(r):
                weights = learn(model, own, condition, r, student_seed, said, n_steps)
                found += percent(model, weights, *tested)
        return [*found, round(fidelity, 4)]


SCARCE = ("few", "noisy", "missing")


@dataclass(frozen=True)
class ScarceLabels(Task):
    """Student (2) where labels are scarce and the teacher has seen all of them.

    Attributes:
        reading: Pairs (setting, value) of `SEVEN`.
        seed: As in `SevenQubits`.
        labels: "few": eight states with labels are all that the student sees. "noisy": a fifth of its
            labels is wrong. "missing": it sees all states, eight labels, and hears its teacher only.
    """

    reading: tuple
    seed: int
    labels: str

    @classmethod
    def columns(cls):
        """Names of the numbers of `run`, in per cent."""
        parts = ("test", "validation")
        students = itertools.product(CONDITIONS, parts)
        return [f"teacher {p}" for p in parts] + [f"{c} {p}" for c, p in students]

    def run(self):
        r = dict(self.reading)
        _, teacher_seed, student_seed = seeds_of(self.seed, 3)
        (states, y), parts = seven_qubits(tuple(r["h1"]), r["boundary"], r["n_train"], self.seed)
        circuit, rng = circuit_of(r), np.random.default_rng([self.seed, 5])
        teacher, student = ansatz_model(7, 2, circuit), ansatz_model(7, 1, circuit)
        weights = learn(teacher, (states, y), untaught(r), r, teacher_seed)
        said, found = teacher.logits(weights, states), percent(teacher, weights, *parts)
        few = np.concatenate([rng.choice(np.flatnonzero(y == c), 4, replace=False) for c in (0, 1)])
        everything, wrong = np.arange(len(y)), rng.random(len(y)) < 0.2
        known = {"few": (few, few), "noisy": (everything,) * 2, "missing": (few, everything)}
        labels = np.where(wrong, 1 - y, y) if self.labels == "noisy" else y
        if self.labels == "missing":
            r |= {"alpha": 1.0}
        for condition in conditions(r):
            rows = known[self.labels][condition.needs_teacher]
            own = (states[rows], labels[rows])
            weights = learn(student, own, condition, r, student_seed, said[rows])
            found += percent(student, weights, *parts)
        return found


@cache
def seven_qubits(h1, boundary, n_train, seed):
    """((states, labels) to train on, [test, validation]) of a seed; states in the sites' order."""
    data = load_zxz(
        7, n_train=n_train, n_validation=N_TEST, n_test=N_TEST, h1_interval=h1, boundary=boundary,
        seed=seed, cache=False,
    )  # fmt: skip
    parts = [(getattr(data, name).states, getattr(data, f"y_{name}")) for name in ("test", "validation")]
    return (data.train.states, data.y_train), parts


@cache
def encoder(h1, boundary, n_train, seed, n_layers, n_steps):
    """The autoencoder 7 -> 2 of a seed's states: (what encodes, mean fidelity on test states)."""
    (states, _), ((test, _), _) = seven_qubits(h1, boundary, n_train, seed)
    ansatz = kd.hardware_efficient_ansatz(7, n_layers)
    model = kd.Model.of(None, ansatz, (), qubits=ansatz.qubits)
    rate = CosineDecay(0.1, n_steps)
    weights = train_encoder(model, states, 2, n_steps=n_steps, learning_rate=rate, seed=seed).weights

    def encode(inputs):
        return model.output_states(weights, inputs)

    return encode, float(code_fidelity(encode(test), 2)[0].mean())


@dataclass(frozen=True)
class LongChain(Task):
    """A teacher of 10 layers and students of 1 to 3 on a long chain, under several teachings.

    Attributes:
        reading: Pairs (setting, value) of `FIFTEEN`.
        teachings: Several readings of `TEACHING`, pairs each: they share teacher and untaught students.
        seed: Draws which states are for what, teacher, and students.
        validate: As in `SevenQubits`.
        n_qubits: Length of the chain, at least 8.
    """

    reading: tuple
    teachings: tuple
    seed: int
    validate: bool = False
    n_qubits: int = 15

    @classmethod
    def columns(cls, validate=False):
        """Names of the numbers of each row of `run`, a row a teaching."""
        parts = ("test", "validation")[: 1 + validate]
        students = itertools.product((1, 2, 3), CONDITIONS, parts)
        return [f"teacher {p}" for p in parts] + [f"{n} {c} {p}" for n, c, p in students]

    def run(self):
        r = dict(self.reading)
        _, teacher_seed, student_seed = seeds_of(self.seed, 3)
        states = pool(self.n_qubits)[1]
        labels, rows = split(self.n_qubits, tuple(r["h1"]), self.seed)
        circuit, rows = circuit_of(r), rows[: 2 + self.validate]
        teacher = ansatz_model(self.n_qubits, 10, circuit)
        own = (states[rows[0]], labels[rows[0]])
        weights = learn(teacher, own, untaught(r), r, teacher_seed)
        said = teacher.logits(weights, own[0])
        right = percent(teacher, weights, *((states[part], labels[part]) for part in rows[1:]))
        found = [list(right) for _ in self.teachings]
        for n_layers in (1, 2, 3):
            model, seen = student_of_cone(self.n_qubits, n_layers, circuit)
            parts, once = [(seen[part], labels[part]) for part in rows], {}
            for row, teaching in zip(found, self.teachings, strict=True):
                for condition in conditions(dict(teaching)):
                    if condition not in once:
                        weights = learn(model, parts[0], condition, r, student_seed, said)
                        once[condition] = percent(model, weights, *parts[1:])
                    row += once[condition]
        return found


@cache
def pool(n_qubits):
    """1,000 ground states of a chain, h1 from 0.1 to 3, computed once and cached: (h1, states).

    Raises:
        RuntimeError: An energy is not that of free fermions.
    """
    data = load_zxz(n_qubits, n_train=998, n_validation=1, n_test=1, h1_interval=(0.1, 3.0), seed=0)
    parts = (data.train, data.validation, data.test)
    h1, energies = (np.concatenate([getattr(p, name) for p in parts]) for name in ("h1", "energies"))
    off = np.abs(energies - [zxz_energy(n_qubits, h)[0] for h in h1]).max()
    if off > 1e-6:
        raise RuntimeError(
            f"ground states of {n_qubits} sites: an energy is off by {off:.1e}; delete the cache"
        )
    return h1, np.concatenate([p.states for p in parts])


@cache
def split(n_qubits, interval, seed):
    """(labels of the pool, [rows to train on, to test on, to validate on]) of a seed."""
    h1, _ = pool(n_qubits)
    inside = np.flatnonzero((h1 >= interval[0]) & (h1 <= interval[1]))
    order = np.random.default_rng(seed).permutation(inside)
    return zxz_labels(h1), np.split(order[:600], (300, 300 + N_TEST))


RANK = 16


@cache
def student_of_cone(n_qubits, n_layers, circuit):
    """A student on the chain, reduced to what its logits see: (`Model`, the states of the pool for it).

    Behind a few layers of CZ gates along the chain the logits see a block of sites. A state is written
    in Schmidt form, block against rest, and four qubits that carry the `RANK` largest terms take the
    place of the rest: the same logits, on 7 to 12 qubits. What is cut off weighs less than 1e-3
    (`lost_weight`).
    """
    first, n_seen = block(n_qubits, n_layers, circuit)
    wide = ansatz_model(n_seen, n_layers, (*circuit[:-1], None))
    where = {"first two": (0, 1), "middle two": (n_layers, n_layers + 1)}[circuit[-1]]
    observables = [kd.pauli_string(f"Z{i}", n_seen) for i in where]
    register = cirq.LineQubit.range(n_seen + RANK.bit_length() - 1)
    model = kd.Model(wide.circuit, wide.weight_symbols, (), observables, register)
    parts = np.split(pool(n_qubits)[1], 20)
    return model, np.concatenate([_schmidt(part, first, n_seen)[0] for part in parts])


def block(n_qubits, n_layers, circuit):
    """(first site, number of sites) that logits behind so many layers see."""
    if circuit[-1] == "first two":
        return 0, n_layers + 2
    return n_qubits // 2 - 1 - n_layers, 2 * n_layers + 2


def _schmidt(states, first, n_seen):
    """States with the rest of the chain in its `RANK` largest Schmidt terms, and the weight lost."""
    matrices = states.reshape(len(states), 2**first, 2**n_seen, -1).transpose(0, 2, 1, 3)
    left, sizes, _ = np.linalg.svd(matrices.reshape(len(states), 2**n_seen, -1), full_matrices=False)
    left, sizes = left[:, :, :RANK], sizes[:, :RANK]
    kept = np.zeros((len(states), 2**n_seen, RANK), np.complex64)
    kept[:, :, : sizes.shape[1]] = left * sizes[:, None]
    weight = (sizes.astype(float) ** 2).sum(axis=1)
    kept /= np.sqrt(weight)[:, None, None]
    return kept.reshape(len(states), -1), 1 - weight


def lost_weight(n_qubits, n_layers, circuit):
    """The largest weight that the reduction of `student_of_cone` cuts off, over the pool."""
    where = block(n_qubits, n_layers, circuit)
    return max(float(_schmidt(part, *where)[1].max()) for part in np.split(pool(n_qubits)[1], 20))
