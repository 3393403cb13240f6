"""What the tasks share: a reading's six conditions, circuits by their settings, one way to train."""

from functools import cache

import cirq
import numpy as np

from qkdlib import core as kd
from qkdlib.core.losses import reverse_kl_divergence

CONDITIONS = ("no teacher", "distilled", "scaled logits", "uniform", "shuffled", "constant")
CONTROLS = CONDITIONS[2:]


def conditions(r):
    """The six conditions of a reading, in the order of `CONDITIONS`.

    Without the factor T squared Eq. 7 is, but for a factor that Adam's steps do not see, Eq. 7 with
    another alpha: alpha / (alpha + T^2 (1 - alpha)).
    """
    alpha, t = r["alpha"], r["temperature"]
    if not r["t_squared"]:
        alpha = alpha / (alpha + t**2 * (1 - alpha))
    towards = {"teacher || student": kd.kl_divergence, "student || teacher": reverse_kl_divergence}
    options = {"divergence": towards[r["direction"]]}
    taught = (kd.Distilled, kd.UniformTeacher, kd.ShuffledTeacher, kd.ConstantTeacher)
    distilled, *known_nothing = (kind(t, alpha, **options) for kind in taught)
    return [kd.NoTeacher(), distilled, kd.ScaledLogits(r["scale"]), *known_nothing]


def untaught(r):
    """What a reading's teacher is trained under."""
    return kd.ScaledLogits(r["teacher_scale"])


@cache
def readout(name, n_qubits):
    """Two observables, one a class, on a register."""
    middle = n_qubits // 2
    if name == "plus and minus the middle":
        z = cirq.Z(cirq.LineQubit(middle))
        return [1.0 * z, -1.0 * z]
    pairs = {"first two": (0, 1), "middle two": (middle - 1, middle), "both ends": (0, n_qubits - 1)}
    return [kd.pauli_string(f"Z{i}", n_qubits) for i in pairs[name]]


@cache
def ansatz_model(n_qubits, n_layers, circuit, register=None, encoding=None):
    """The `Model` of a circuit's settings, see `circuit_of`."""
    rotations, entangler, topology, final, logits = circuit
    ansatz = kd.hardware_efficient_ansatz(
        n_qubits, n_layers,
        rotations=rotations, entangler=entangler, topology=topology, final_rotations=final,
    )  # fmt: skip
    observables = readout(logits, n_qubits) if logits else ()
    encoding = encoding and encoding(n_qubits)
    return kd.Model.of(encoding, ansatz, observables, qubits=cirq.LineQubit.range(register or n_qubits))


def circuit_of(r):
    """A reading's circuit as the key of `ansatz_model`."""
    return tuple(
        r[name] for name in ("rotations", "entangler", "topology", "final_rotations", "readout")
    )


def learn(model, data, condition, r, seed, said=None, n_steps=50, callback=None):
    """Weights of a student under a condition and a reading's way of training.

    Args:
        data: (inputs, labels).
        said: The teacher's logits on these inputs, where the condition needs one.
        seed: Of the initial weights and of the order of the samples.
        callback: As in `qkdlib.core.train`.
    """
    start = np.random.default_rng(seed).uniform(0, r["start"], model.n_weights)
    return kd.train(
        model.scaled(condition.logit_scale),
        data[0],
        condition.loss(data[1], said, model.n_classes, seed),
        weights=start,
        n_steps=n_steps,
        batch_size=64,
        learning_rate=kd.StepDecay(r["learning_rate"], r["decay"], r["decay_every"]),
        l2=r["weight_decay"],
        seed=seed,
        callback=callback,
    ).weights


def percent(model, weights, *parts):
    """Accuracy on each part, (inputs, labels), in per cent with one digit."""
    return [round(100 * model.accuracy(weights, *part), 1) for part in parts]


def seeds_of(seed, n):
    """n independent seeds of one: of teacher, student, data, ..."""
    return [int(s) for s in np.random.SeedSequence(seed).generate_state(n)]
