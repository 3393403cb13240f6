"""A new teacher, loss or regulariser is one small class, and trains wherever the library's own do."""

from dataclasses import dataclass

import numpy as np
import pytest
from toys import ENGINES, differences, needs_tfq, random_states, toy_data

from qkdlib.core import (
    Condition,
    Distilled,
    Model,
    NoTeacher,
    Regulariser,
    Schedule,
    angle_encoding,
    codistill,
    compare,
    hardware_efficient_ansatz,
    pauli_string,
    smoothed_labels,
    softened,
    train,
    with_targets,
    z_observables,
)
from qkdlib.models import QNN, Codistiller, Distiller, adam, differentiable

X, Y = toy_data(20)
TEACHER = np.random.default_rng(5).normal(size=(20, 2))
MODEL = Model.of(
    angle_encoding(2), hardware_efficient_ansatz(2, 1, rotations="y"), z_observables(2, 2),
    logit_scale=2.0,
)  # fmt: skip
RUN = {"n_steps": 9, "batch_size": 8, "learning_rate": 0.1}


class Doubtful(Distilled):
    """A teacher: of every other sample it says nothing."""

    def said(self, logits, seed):
        return logits * (np.arange(len(logits)) % 2)[:, None]


def brier(labels, logits):
    """A loss: the squared distance of the probabilities to the label."""
    p = softened(logits)
    error = p - smoothed_labels(labels, p.shape[1])
    return (error**2).sum(axis=1), 2 * p * (error - (p * error).sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class Brier(Condition):
    """A condition: the loss above."""

    title = "Brier score"

    def loss(self, labels, teacher_logits, n_classes, seed):
        return with_targets(brier, labels)


class Mean(Regulariser):
    """A regulariser: squared distance to the peers' mean output."""

    def __call__(self, own, peers):
        error = own - np.mean(peers, axis=0)
        return (np.abs(error) ** 2).sum(axis=1), 2 * error


class Correlation(Mean):
    """The same of an expectation value that is no logit."""

    compares = "observables"

    def observables(self, model):
        return [pauli_string("X0 Z1", model.n_qubits)]


class Amplitudes(Mean):
    """The same of output states."""

    compares = "states"


def test_the_new_slopes_are_right():
    logits = np.random.default_rng(1).normal(size=(20, 2))
    expected = differences(lambda z: brier(Y, z)[0], logits)
    np.testing.assert_allclose(brier(Y, logits)[1], expected, atol=1e-8)


def test_they_train_by_numpy():
    by_loss = train(MODEL, X, with_targets(brier, Y), seed=1, **RUN)
    conditions = [NoTeacher(), Brier(), Doubtful(1.0, 0.9, name="doubtful")]
    found = compare(
        MODEL, (X, Y), (X, Y), conditions, seeds=2, teacher_logits=TEACHER, progress=False, **RUN
    )
    assert found.runs("Brier score", "train_loss")[1] == pytest.approx(by_loss.losses.mean())
    losses = [found.runs(condition.name, "train_loss")[0] for condition in conditions]
    assert len(set(losses)) == 3


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("condition", [Brier(), Doubtful(1.0, 0.9)], ids=["loss", "teacher"])
def test_conditions_train_under_keras(condition, engine):
    student = QNN(MODEL, engine=engine, seed=1)
    distiller = Distiller(student, TEACHER if condition.needs_teacher else None, condition)
    distiller.compile(optimizer=adam(0.1), run_eagerly=True)
    distiller.fit(X, Y, batch_size=8, epochs=3, verbose=0)
    found = train(MODEL, X, condition.loss(Y, TEACHER, 2, 1), seed=1, **RUN)
    np.testing.assert_allclose(student.theta.numpy(), found.weights, atol=2e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_loss_trains_a_qnn(engine):
    qnn = QNN(MODEL, engine=engine, seed=1)
    qnn.compile(optimizer=adam(0.1), loss=lambda y, z: differentiable(brier, y, z), jit_compile=False)
    qnn.fit(X, Y, batch_size=8, epochs=3, verbose=0)
    found = train(MODEL, X, with_targets(brier, Y), seed=1, **RUN)
    np.testing.assert_allclose(qnn.theta.numpy(), found.weights, atol=2e-4)


def school(regulariser, engine, model=MODEL, x=X):
    students = [QNN(model, engine=engine, seed=k) for k in range(3)]
    start = [student.theta.numpy() for student in students]
    found = Codistiller(students, regulariser, weight=0.8, seed=2)
    found.compile(optimizer=adam(0.1), run_eagerly=True)
    found.fit(x, Y, batch_size=8, epochs=3, verbose=0)
    options = {"regulariser": regulariser, "schedule": Schedule(0.8), "weights": start, "seed": 2}
    expected = codistill([model] * 3, (x, Y), **options, **RUN)
    for student, weights in zip(students, expected.weights, strict=True):
        np.testing.assert_allclose(student.theta.numpy(), weights, atol=2e-4)
    assert expected.distances.min() > 1e-4


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("regulariser", [Mean(), Correlation()], ids=["logits", "observables"])
def test_regularisers_train_on_both_engines(regulariser, engine):
    school(regulariser, engine)


def test_regularisers_of_states_train_on_the_engine_that_has_states():
    school(Amplitudes(), "adjoint")
    of_states = Model.of(None, hardware_efficient_ansatz(2, 2, rotations="y"), z_observables(2, 2))
    school(Amplitudes(), "adjoint", of_states, random_states(20, 2, 0))


@needs_tfq
def test_the_other_engine_says_that_it_has_none():
    with pytest.raises(ValueError, match="regulariser must not compare states with engine 'tfq'"):
        Codistiller([QNN(MODEL, engine="tfq", seed=k) for k in range(2)], Amplitudes(), weight=1.0)
