"""Keras' `fit` takes the steps of `train`, `compare`, `codistill` and `train_encoder`, on both engines.

Same initial weights, same order of samples, same losses, same weights after each step. Adam turns
what is left of a vanishing gradient, its rounding, into steps; so most of this follows plain descent.
"""

import numpy as np
import pytest
from toys import ENGINES, random_states, toy_data

from qkdlib.core import (
    Adam,
    ConstantTeacher,
    DecisionsOnly,
    Distilled,
    Divergence,
    Infidelity,
    LabelSmoothing,
    LongerTraining,
    Model,
    NoTeacher,
    ScaledLogits,
    Schedule,
    ShuffledTeacher,
    StepDecay,
    UniformTeacher,
    amplitude_encoding,
    angle_encoding,
    codistill,
    cross_entropy,
    hardware_efficient_ansatz,
    reverse_kl_divergence,
    train,
    with_targets,
    z_observables,
)
from qkdlib.measures import ReducedInfidelity, local_trash, train_encoder, trash
from qkdlib.models import (
    QNN,
    Codistiller,
    Distiller,
    QuantumAutoencoder,
    adam,
    local_trash_observable,
    recipe,
    trash_observable,
)

from qkdlib._tensorflow import keras, tf  # isort: skip

X, Y = toy_data(20)
TEACHER = np.random.default_rng(5).normal(size=(20, 2))
DECAY = StepDecay(0.1, 0.5, 4)  # within the few steps


class Descent(Adam):
    """Plain descent."""

    def step(self, weights, gradient):
        return weights - self.learning_rate * gradient


RATE = Descent(0.2)
STEPS = {"batch_size": 8, "learning_rate": RATE}  # batches of 8, 8 and 4 samples


def model(n_layers=1, logit_scale=2.0, rotations="xyz"):
    ansatz = hardware_efficient_ansatz(2, n_layers, rotations=rotations)
    return Model.of(angle_encoding(2), ansatz, z_observables(2, 2), logit_scale=logit_scale)


def compiled(trained, graph):
    """A Keras model with plain descent; step by step in Python unless its graph is wanted, which takes
    longer to build than these few steps to run."""
    options = {"jit_compile": False} if isinstance(trained, QuantumAutoencoder) else {}
    trained.compile(optimizer=keras.optimizers.SGD(0.2), run_eagerly=not graph, **options)
    return trained


class Path(keras.callbacks.Callback):
    """The weights after each step."""

    def __init__(self, *students):
        super().__init__()
        self.students, self.weights = students, []

    def on_train_batch_end(self, batch, logs=None):
        self.weights.append(np.concatenate([student.theta.numpy() for student in self.students]))


def epochs_of(losses, sizes=(8, 8, 4)):
    """Mean losses of epochs from those of steps [..., n_steps], as Keras reports them."""
    by_epoch = np.reshape(losses, (*np.shape(losses)[:-1], -1, len(sizes)))
    return np.average(by_epoch, axis=-1, weights=sizes)


def follow(path, history, weights, losses, atol=1e-4):
    """Keras' steps are these, to the rounding of float32."""
    assert len(path.weights) == len(weights)
    np.testing.assert_allclose(path.weights, weights, atol=atol)
    np.testing.assert_allclose(history, epochs_of(losses), atol=atol)
    assert np.ptp(weights, axis=0).max() > 0.05


@pytest.mark.parametrize("engine", ENGINES)
def test_a_qnns_fit_takes_the_steps_of_train(engine):
    whole = model(2, rotations="y")  # every weight has an effect
    qnn = QNN(whole, engine=engine, l2=0.01, seed=4)
    qnn.compile(**recipe(DECAY))
    path = Path(qnn)
    history = qnn.fit(X, Y, epochs=3, batch_size=8, callbacks=[path], verbose=0).history
    weights = []
    found = train(
        whole, X, with_targets(cross_entropy, Y), n_steps=9, l2=0.01, seed=4, batch_size=8,
        learning_rate=DECAY, callback=lambda step, w, loss: weights.append(w),
    )  # fmt: skip
    follow(path, history["loss"], weights, found.losses)
    np.testing.assert_array_equal(found.weights, np.float32(weights[-1]))


CONDITIONS = [
    NoTeacher(),
    ScaledLogits(5.0),
    LabelSmoothing(0.2),
    LongerTraining(2),
    Distilled(2.0, 0.7, logit_scale=1.5, name="distilled"),
    Distilled(0.5, 0.4, divergence=reverse_kl_divergence, name="reverse"),
    UniformTeacher(2.0, 0.7),
    ConstantTeacher(2.0, 0.7),
    ShuffledTeacher(2.0, 0.7),
    DecisionsOnly(2.0, 0.7),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda c: c.name)
def test_a_distillers_fit_takes_the_steps_of_compare(condition, engine):
    student = QNN(model(), engine=engine, seed=4)
    distiller = Distiller(student, TEACHER if condition.needs_teacher else None, condition)
    compiled(distiller, graph=condition.name == "distilled")
    path = Path(student)
    history = distiller.fit(X, Y, epochs=2, batch_size=8, callbacks=[path], verbose=0).history
    weights, scale = [], model().logit_scale * condition.logit_scale
    loss = condition.loss(Y, TEACHER, 2, 4)
    found = train(
        model(logit_scale=scale), X, loss, n_steps=6 * condition.budget, seed=4,
        callback=lambda step, w, loss: weights.append(w), **STEPS,
    )  # fmt: skip
    follow(path, history["loss"], weights, found.losses)


REGULARISERS = [Divergence(2.0), Infidelity(), ReducedInfidelity((1,)), ReducedInfidelity((0, 1))]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("shared", [False, True], ids=["own batch", "shared"])
@pytest.mark.parametrize("regulariser", REGULARISERS, ids=str)
def test_a_codistillers_fit_takes_the_steps_of_codistill(regulariser, shared, engine):
    where = toy_data(14, seed=1)[0] if shared else None
    models = [model(depth) for depth in (1, 2, 1)]
    students = [QNN(m, engine=engine, seed=k) for k, m in enumerate(models)]
    start = [student.theta.numpy() for student in students]
    school = Codistiller(students, regulariser, weight=0.5, warm_up=3, seed=3)
    compiled(school, graph=regulariser == Infidelity())
    path = Path(*students)
    history = school.fit(X, Y, shared=where, epochs=2, batch_size=8, callbacks=[path], verbose=0).history
    weights, schedule = [], Schedule(0.5, warm_up=3)
    found = codistill(
        models, (X, Y), regulariser=regulariser, schedule=schedule, shared=where, weights=start,
        n_steps=6, seed=3, callback=lambda step, w, loss: weights.append(np.concatenate(w)), **STEPS,
    )  # fmt: skip
    pulls = np.array([schedule.weight_at(step) for step in range(6)])
    for k in range(3):
        losses = epochs_of(found.task_losses[k] + pulls * found.distances[k])
        np.testing.assert_allclose(history[f"loss_{k}"], losses, atol=2e-5)
    np.testing.assert_allclose(path.weights, weights, atol=5e-5)
    np.testing.assert_allclose(np.exp(school.predict(X, verbose=0)), found.ensemble(X), atol=1e-4)
    assert found.distances[:, 1:].max() > 1e-3


@pytest.mark.parametrize(
    ("score", "cost"), [(trash_observable, trash), (local_trash_observable, local_trash)]
)
@pytest.mark.parametrize("engine", ENGINES)
def test_an_autoencoders_fit_takes_the_steps_of_train_encoder(engine, score, cost):
    ansatz, encoding = hardware_efficient_ansatz(3, 1), amplitude_encoding(3)
    states = np.abs(random_states(20, 3, 4))
    options = {"score": score, "engine": engine, "seed": 1}
    encoded = encoding if engine == "tfq" else None
    qae = QuantumAutoencoder(ansatz, 1, encoding=encoded, **options)
    compiled(qae, graph=score is trash_observable)
    path, given = Path(qae), states if encoded is None else encoding.angles(states)
    history = qae.fit(given, epochs=2, batch_size=8, callbacks=[path], verbose=0).history
    weights = []
    found = train_encoder(
        Model.of(None, ansatz, []), states, 1, cost=cost, n_steps=6, seed=1,
        callback=lambda step, w, loss: weights.append(w), **STEPS,
    )  # fmt: skip
    follow(path, history["loss"], weights, found.losses)


@pytest.mark.parametrize("beta_1", [0.9, 0.0])
def test_adam_is_keras_adam(beta_1):
    gradients = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
    ours, theirs = Adam(DECAY, beta_1, 0.99), adam(DECAY, beta_1=beta_1, beta_2=0.99)
    weights, variable = np.ones(5), keras.Variable(np.ones(5, np.float32))
    for gradient in gradients:
        weights = ours.step(weights, gradient.astype(float))
        theirs.apply_gradients([(tf.constant(gradient), variable)])
        np.testing.assert_allclose(variable.numpy(), weights, atol=2e-6)
    assert np.abs(weights - 1).max() > 0.1


def test_weights_of_samples_weigh_the_conditions_loss():
    student = QNN(model(), engine="adjoint", seed=4)
    distiller = Distiller(student, TEACHER, Distilled(2.0, 0.7))
    distiller.compile(optimizer=keras.optimizers.SGD(1e-9))
    weigh = np.arange(20.0)
    history = distiller.fit(X, Y, batch_size=20, sample_weight=weigh, verbose=0).history
    values, _ = Distilled(2.0, 0.7).loss(Y, TEACHER, 2, 4)(
        model().logits(student.theta.numpy(), X), np.arange(20)
    )
    assert history["loss"][0] == pytest.approx((weigh * values).mean(), rel=1e-5)
