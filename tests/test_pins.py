"""The first edition's numbers, for fixed seeds: what was rebuilt since must give them still.

`data/pins.json` was written by the first edition. What is not pinned follows an order of batches or a
learning rate that was unified since: the encoder's batches, and classifiers longer than 50 steps.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from qkdlib import core as kd
from qkdlib import measures as ms
from qkdlib.core import Model, angle_encoding, hardware_efficient_ansatz, z_observables
from qkdlib.engine import tfq_available

PINS = json.loads((Path(__file__).parent / "data" / "pins.json").read_text())
CONSTANT = 0.05  # learning rate

ENCODING, ANSATZ = angle_encoding(4), hardware_efficient_ansatz(4, 2)
MODEL = Model.of(ENCODING, ANSATZ, z_observables(2, 4))
RNG = np.random.default_rng(7)
FEATURES = RNG.uniform(0, 1, (96, 4))
LABELS = (FEATURES[:, 0] > FEATURES[:, 1]).astype(int)
INPUTS = ENCODING.angles(FEATURES)
TEACHER = RNG.uniform(-1, 1, (96, 2))
DRAWN = RNG.normal(size=(2, 6, 3))
WEIGHTS = ANSATZ.initial_weights(seed=3)
RUN = {"batch_size": 32, "learning_rate": CONSTANT}


def check(name, found, atol=1e-6):
    np.testing.assert_allclose(np.ravel(np.asarray(found, float)), PINS[name], atol=atol, err_msg=name)


def test_training():
    check("expectation", MODEL.logits(WEIGHTS, INPUTS)[:8])
    loss = kd.with_targets(kd.cross_entropy, LABELS)
    found = kd.train(MODEL, INPUTS, loss, weights=WEIGHTS, n_steps=30, l2=0.001, seed=5, **RUN)
    check("fit.weights", found.weights)
    check("fit.losses", found.losses)


def test_comparison():
    conditions = [
        kd.NoTeacher(),
        kd.Distilled(2.0, 0.7, name="distilled"),
        kd.Distilled(0.5, 0.5, divergence=kd.reverse_kl_divergence, name="reverse"),
        kd.UniformTeacher(2.0, 0.7),
        kd.ShuffledTeacher(2.0, 0.7),
        kd.DecisionsOnly(2.0, 0.7),
        kd.ScaledLogits(8),
        kd.LabelSmoothing(0.2),
        kd.LongerTraining(2),
    ]
    found = kd.compare(
        MODEL, (INPUTS, LABELS), (INPUTS[:40], LABELS[:40]), conditions, seeds=3,
        teacher_logits=TEACHER, n_steps=30, progress=False, **RUN,
    )
    for name, rows in found.table.groupby("condition", sort=False):
        columns = ["train_loss", "train_accuracy", "test_accuracy"]
        check(f"compare.{name}", rows[columns].to_numpy(), 2e-6)


@pytest.mark.parametrize(
    ("name", "regulariser"),
    [
        ("kl", kd.Divergence(2.0)),
        ("infidelity", kd.Infidelity()),
        ("qubit", ms.ReducedInfidelity((0,))),
    ],
)
@pytest.mark.parametrize(
    ("when", "schedule"),
    [
        ("fresh", kd.Schedule(0.8, warm_up=5)),
        ("stale", kd.Schedule(0.8, exchange_every=3, staleness=1)),
    ],
)
def test_codistillation(name, regulariser, when, schedule):
    found = kd.codistill(
        [MODEL.scaled(3.0)] * 3, (INPUTS, LABELS), regulariser=regulariser, schedule=schedule,
        n_steps=30, seed=11, **RUN,
    )
    sums = [found.task_losses.sum(axis=1), found.distances.sum(axis=1)]
    check(f"codistill.{name}.{when}", sums, 5e-6)
    check(f"codistill.{name}.{when}.weights", np.stack(found.weights).sum(axis=1), 5e-5)


def test_private_shards():
    shards = [(INPUTS[i::3], LABELS[i::3]) for i in range(3)]
    found = kd.codistill(
        [MODEL] * 3, shards, regulariser=kd.Divergence(), schedule=kd.Schedule(0.5),
        shared=INPUTS[::2], n_steps=30, seed=2, **RUN,
    )
    check("codistill.private", np.stack(found.weights).sum(axis=1), 5e-5)


def test_measures():
    states, ansatz = ms.haar_states(24, 3, seed=1), hardware_efficient_ansatz(3, 3)
    encoder, weights = Model.of(None, ansatz, []), ansatz.initial_weights(seed=2)
    outputs = encoder.output_states(weights, states)
    check("code_scores", [ms.code_fidelity(outputs, 1)[0], ms.trash(outputs, 1)[0]])
    for name, cost in (
        ("fidelity", ms.code_fidelity), ("trash", ms.trash), ("local_trash", ms.local_trash)
    ):
        task = ms.Compression(encoder, states, 1, cost)
        check(f"autoencoder.slope.{name}", task(weights, np.arange(24))[1])
    check("best_subspace", ms.best_subspace(states, 1)[0])
    check("purity", ms.purity(ms.encoded_density(states, 2)))
    check("purify", np.abs(ms.purify(ms.encoded_density(states[:4], 1))))
    pairs = [ms.random_states(ansatz, 200, seed=seed) for seed in (0, 1)]
    check("expressibility", ms.expressibility(ms.fidelities(*pairs), 3))
    check("meyer_wallach", ms.meyer_wallach(states))
    gradients = ms.random_gradients(ansatz, z_observables(1, 3)[0], 50, seed=4)
    check("random_gradients", gradients.std(axis=0))
    kernel = ms.fidelity_kernel(ms.encoded_states(ENCODING, FEATURES))
    check("kernel", kernel[0])
    check("alignment", ms.centred_alignment(kernel, LABELS))
    check("jacobian", ms.jacobian(MODEL, WEIGHTS, INPUTS[:3]).sum(axis=(0, 1)))


def test_losses():
    teacher, logits = DRAWN
    labels = np.array([0, 1, 2, 0, 1, 2])
    for name, divergence in (("forward", kd.kl_divergence), ("reverse", kd.reverse_kl_divergence)):
        settings = {"temperature": 1.7, "alpha": 0.6, "divergence": divergence}
        values, slopes = kd.distillation_loss(teacher, labels, logits, **settings)
        check(f"eq7.{name}", values)
        check(f"eq7.{name}.slope", slopes)
    check("cross_entropy", kd.cross_entropy(kd.smoothed_labels(labels, 3, 0.1), logits)[0])


@pytest.mark.parametrize("engine", ["adjoint", *(["tfq"] if tfq_available() else [])])
def test_keras(engine):
    """Steps in float32: losses agree to 1e-5, weights as rounding goes, which Adam magnifies where
    TensorFlow Quantum's gradient of a weight is zero but for rounding."""
    from qkdlib.models import QNN, Codistiller, Distiller, adam, recipe

    atol = 2e-5 if engine == "adjoint" else 5e-4
    qnn = QNN(MODEL.scaled(2.0), engine=engine, l2=0.001, seed=6)
    qnn.compile(**recipe())
    loss = qnn.fit(INPUTS, LABELS, batch_size=32, epochs=6, verbose=0).history["loss"]
    check(f"qnn.{engine}.loss", loss, 1e-5)
    check(f"qnn.{engine}.weights", qnn.theta.numpy(), atol)
    student = QNN(MODEL, engine=engine, seed=6)
    distiller = Distiller(student, TEACHER, kd.Distilled(2.0, 0.7), seed=1)
    distiller.compile(optimizer=adam())
    loss = distiller.fit(INPUTS, LABELS, batch_size=32, epochs=4, verbose=0).history["loss"]
    check(f"distiller.{engine}.loss", loss, 1e-5)
    check(f"distiller.{engine}.weights", student.theta.numpy(), atol)
    school = Codistiller(
        [QNN(MODEL, engine=engine, seed=k) for k in range(2)], kd.Infidelity(), weight=0.7, seed=0
    )
    school.compile(optimizer=adam(CONSTANT))
    school.fit(INPUTS[:64], LABELS[:64], batch_size=32, epochs=2, verbose=0)
    found = np.concatenate([student.theta.numpy() for student in school.students])
    check(f"codistiller.{engine}", found, atol)
