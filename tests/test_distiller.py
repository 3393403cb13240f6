"""Training under a teacher as a Keras model; its steps are those of `compare` (test_keras_steps.py)."""

import numpy as np
import pytest
from toys import toy_data, toy_model

from qkdlib.core import Distilled, NoTeacher, cross_entropy
from qkdlib.models import QNN, Distiller

from qkdlib._tensorflow import keras  # isort: skip

X, Y = toy_data(60)
KD = Distilled(2.0, 0.7)
TEACHER = np.random.default_rng(2).normal(size=(60, 2))


def toy_qnn(seed=0, n_layers=1):
    return QNN(toy_model(n_layers), engine="adjoint", seed=seed)


def distiller(student=None, teacher=TEACHER, condition=KD, **options):
    model = Distiller(student or toy_qnn(), teacher, condition, **options)
    model.compile(optimizer=keras.optimizers.Adam(0.1))
    return model


def first_two(width):
    """A teacher whose logits are its first two inputs."""
    model = keras.Sequential([keras.Input((width,)), keras.layers.Dense(2, use_bias=False)])
    model.layers[0].set_weights([np.eye(width)[:, :2]])
    return model


def test_training_leaves_the_teacher_alone_and_moves_the_student():
    student, teacher = toy_qnn(), toy_qnn(1, n_layers=2)
    before = teacher.theta.numpy().copy(), student.theta.numpy().copy()
    model = distiller(student, teacher)
    model.fit(X, Y, epochs=3, verbose=0)
    np.testing.assert_array_equal(teacher.theta.numpy(), before[0])
    assert np.abs(student.theta.numpy() - before[1]).max() > 0.01
    assert len(model.trainable_variables) == 1


def test_an_array_of_logits_teaches_as_its_model_does():
    teacher, ends = toy_qnn(1), []
    for source in (teacher, teacher.predict(X, verbose=0)):
        student = toy_qnn()
        distiller(student, source).fit(X, Y, epochs=3, shuffle=False, verbose=0)
        ends.append(student.theta.numpy())
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-6)


@pytest.mark.parametrize("kind", ["array", "model"])
def test_the_teachers_logits_follow_their_samples_through_shuffling(kind):
    seen = []

    class Spy(Distilled):
        def loss(self, labels, teacher_logits, n_classes, seed):
            inner = super().loss(labels, teacher_logits, n_classes, seed)
            return lambda logits, rows: seen.append((rows, teacher_logits[rows])) or inner(logits, rows)

    class Pupil(Distiller):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            found = super().compute_loss(x, y, y_pred, sample_weight, training)
            seen[-1] += (x.numpy(), y["labels"].numpy())
            return found

    teacher = X[:, :2] if kind == "array" else first_two(2)
    model = Pupil(toy_qnn(), teacher, Spy(1.0, 1.0))
    model.compile(run_eagerly=True)
    model.fit(X, Y, epochs=2, batch_size=16, shuffle=True, verbose=0)
    assert len(seen) == 8
    for epoch in (seen[:4], seen[4:]):
        order = np.concatenate([rows for rows, *_ in epoch])
        assert (order != np.arange(60)).any()
        np.testing.assert_array_equal(np.sort(order), np.arange(60))
    for rows, logits, inputs, labels in seen:
        np.testing.assert_allclose(inputs, X[rows], atol=1e-6)
        np.testing.assert_allclose(logits, X[rows], atol=1e-6)
        np.testing.assert_array_equal(labels, Y[rows])


def test_the_teacher_is_asked_once():
    teacher, calls = toy_qnn(1), []
    original = teacher.predict
    teacher.predict = lambda *a, **k: calls.append(1) or original(*a, **k)
    model = distiller(toy_qnn(), teacher)
    model.fit(X, Y, epochs=3, verbose=0)
    model.fit(X, Y, epochs=2, verbose=0)
    assert len(calls) == 1
    model.fit(X[:30], Y[:30], epochs=1, verbose=0)
    assert len(calls) == 2


def test_teacher_and_student_may_read_different_inputs():
    wide = np.hstack([X, X[:, ::-1]])
    teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model = distiller(toy_qnn(), teacher)
    model.fit(X, Y, teacher_inputs=wide, epochs=1, verbose=0)
    np.testing.assert_allclose(model.teacher_logits(wide), teacher.predict(wide, verbose=0))


def test_any_keras_model_can_be_the_student():
    keras.utils.set_random_seed(0)  # of its initial weights
    student = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model = distiller(student, np.stack([1 - 2 * Y, 2 * Y - 1], axis=1) * 3.0)
    history = model.fit(X, Y, epochs=30, verbose=0).history
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    assert model.evaluate(X, Y, verbose=0, return_dict=True)["accuracy"] > 0.8
    with pytest.raises(ValueError, match="x must hold at least one sample"):
        model.fit(X[:0], Y[:0])
    with pytest.raises(ValueError, match=r"y must lie in \[0, 2\)"):
        model.fit(X, Y + 1)


@pytest.mark.parametrize("shuffle", [False, True])
def test_resumed_training_equals_uninterrupted_training(shuffle):
    ends = []
    for stops in ([4], [2, 4]):
        student, begin = toy_qnn(), 0
        model = distiller(student)
        for stop in stops:
            model.fit(X, Y, initial_epoch=begin, epochs=stop, shuffle=shuffle, verbose=0)
            begin = stop
        ends.append(student.theta.numpy())
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-6)


def test_training_goes_on_from_saved_weights_as_if_never_stopped(tmp_path):
    whole = distiller()
    whole.fit(X, Y, epochs=4, verbose=0)
    first = distiller()
    first.fit(X, Y, epochs=2, verbose=0)
    first.save_weights(tmp_path / "half.weights.h5")
    second = distiller(toy_qnn(5), seed=0)  # other weights, the order of before
    second.optimizer.build(second.trainable_variables)
    second.load_weights(tmp_path / "half.weights.h5")  # Adam's moments among them
    second.fit(X, Y, initial_epoch=2, epochs=4, verbose=0)
    np.testing.assert_allclose(second.student.theta.numpy(), whole.student.theta.numpy(), atol=1e-6)


def test_evaluation_and_validation_report_the_labels():
    model = distiller()
    history = model.fit(X, Y, validation_data=(X, Y), epochs=1, verbose=0).history
    assert history.keys() == {"loss", "accuracy", "val_loss", "val_accuracy"}
    found = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert float(history["val_accuracy"][0]) == pytest.approx(float(found["accuracy"]))
    logits = model.predict(X, verbose=0)
    np.testing.assert_array_equal(logits, model.student.predict(X, verbose=0))
    assert float(found["loss"]) == pytest.approx(cross_entropy(Y, logits)[0].mean(), rel=1e-4)
    assert float(found["accuracy"]) == pytest.approx((logits.argmax(1) == Y).mean())
    split = distiller().fit(X, Y, validation_split=0.5, epochs=1, verbose=0).history
    assert "val_accuracy" in split


def test_a_condition_without_a_teacher_needs_none():
    history = distiller(teacher=None, condition=NoTeacher()).fit(X, Y, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()


def fit(x=X, y=Y, teacher=TEACHER, **options):
    return distiller(teacher=teacher).fit(x, y, verbose=0, **options)


def broken():
    teacher = first_two(2)
    teacher.layers[0].set_weights([np.full((2, 2), np.nan)])
    return teacher


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit(X[:0], Y[:0]), "x must hold at least one sample, got none"),
        (lambda: fit(X[:, :1]), r"x must have shape \[batch, 2\], got \(60, 1\)"),
        (lambda: fit(X * np.nan), "x must be finite"),
        (lambda: fit(None), r"x must have shape \[batch, 2\]"),
        (lambda: fit(y=None), "y must be labels"),
        (lambda: fit(y=np.eye(2)[Y]), r"y must have shape \[60\], got \(60, 2\)"),
        (lambda: fit(y=Y + 1), r"y must lie in \[0, 2\)"),
        (lambda: fit(epochs=-1), "epochs must be at least 0"),
        (lambda: fit(batch_size=0), "batch_size must be at least 1"),
        (lambda: fit(validation_data=(X, Y + 3)), r"y must lie in \[0, 2\)"),
        (lambda: fit(validation_data=(X, Y[:3])), r"y must have shape \[60\]"),
        (lambda: fit(teacher=TEACHER[:5]), r"row of 2 logits for each of the 60 samples, got \(5, 2\)"),
        (lambda: fit(teacher=np.zeros((60, 3))), r"row of 2 logits .* got \(60, 3\)"),
        (lambda: fit(teacher=toy_qnn(1), teacher_inputs=X[:59]), r"60 samples, got \(59, 2\)"),
        (lambda: fit(teacher=broken()), "teacher's logits must be finite"),
        (lambda: distiller().evaluate(X, Y + 3), r"y must lie in \[0, 2\)"),
        (lambda: distiller().evaluate(X), "y must be labels"),
        (lambda: distiller().predict(X[:0]), "x must hold at least one sample"),
        (lambda: Distiller(toy_qnn(), TEACHER, KD).fit(X, Y), "You must call `compile\\(\\)` before"),
        (lambda: distiller().compile(loss="mse"), "loss must not be given"),
    ],
)
def test_bad_data_are_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


SAME = toy_qnn()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Distiller(np.zeros((3, 2)), SAME, KD), "student must be a Keras model, got ndarray"),
        (lambda: Distiller(SAME, SAME, KD), "student must not share layers with teacher"),
        (
            lambda: Distiller(keras.Sequential([keras.Input((2,)), SAME]), SAME, KD),
            "student must not share layers with teacher",
        ),
        (lambda: Distiller(SAME, None, KD), "teacher must be given with the condition 'distilled"),
        (lambda: Distiller(SAME, "logits", KD), "teacher must be an array of float32 numbers"),
        (lambda: Distiller(SAME, np.array([[0, 1], [np.nan, 0]]), KD), "teacher must be finite"),
        (lambda: Distiller(SAME, TEACHER, "kd"), "condition must be of class Condition, got 'kd'"),
        (lambda: Distiller(SAME, TEACHER, Distilled), "condition must be of class Condition"),
        (lambda: Distiller(SAME, TEACHER, KD, seed=-1), "seed must be from 0"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_a_graph_asks_the_condition_too():
    """What trains inside TensorFlow's graph is the condition's own function, called with rows."""
    rows_seen = []

    class Spy(Distilled):
        def loss(self, labels, teacher_logits, n_classes, seed):
            inner = super().loss(labels, teacher_logits, n_classes, seed)
            return lambda logits, rows: rows_seen.append(rows) or inner(logits, rows)

    distiller(condition=Spy(1.0, 0.5)).fit(X, Y, batch_size=20, epochs=2, verbose=0)
    assert [len(rows) for rows in rows_seen] == [20] * 6
