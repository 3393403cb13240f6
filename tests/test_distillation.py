"""Distillation losses, the Distiller and the controls."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import rel_entr
from scipy.special import softmax as scipy_softmax

from qkdlib.circuits import angle_encoding, hardware_efficient_ansatz, z_observables
from qkdlib.distillation import (
    Distiller,
    Student,
    compare,
    cross_entropy,
    decisions_only,
    distillation_gradient,
    distillation_loss,
    distilled,
    divergence,
    label_smoothing,
    longer_training,
    no_teacher,
    scaled_logits,
    shuffled_teacher,
    softened,
    standard_conditions,
    uniform_teacher,
)
from qkdlib.models import QNN

from qkdlib._tensorflow import keras, tf  # isort: skip

logit = st.floats(-20, 20)
pairs = st.integers(2, 6).flatmap(lambda c: st.tuples(*[hnp.arrays(float, (3, c), elements=logit)] * 2))
temperatures = st.floats(0.1, 50)


@given(pairs, temperatures)
def test_divergence_is_scipys(pair, temperature):
    teacher, student = pair
    p, q = (scipy_softmax(z / temperature, axis=1) for z in pair)
    np.testing.assert_allclose(
        divergence(teacher, student, temperature), rel_entr(p, q).sum(axis=1), atol=1e-9
    )
    np.testing.assert_allclose(
        divergence(teacher, student, temperature, "reverse"), rel_entr(q, p).sum(axis=1), atol=1e-9
    )
    np.testing.assert_allclose(softened(teacher, temperature), p, atol=1e-12)


def test_a_value_worked_by_hand():
    # Two classes, T = 2: teacher logits differ by ln 9, so softened 3 : 1; student's are equal.
    teacher, student = [[np.log(9.0), 0.0]], [[0.0, 0.0]]
    kl = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    assert divergence(teacher, student, 2.0)[0] == pytest.approx(kl)
    loss = distillation_loss(teacher, student, [1], temperature=2.0, alpha=0.3)
    assert loss[0] == pytest.approx(0.3 * 4 * kl + 0.7 * np.log(2))


@given(pairs, st.floats(-5, 5), temperatures)
def test_adding_a_constant_to_the_logits_changes_nothing(pair, constant, temperature):
    teacher, student = pair
    before = distillation_loss(teacher, student, [0, 1, 0], temperature=temperature, alpha=0.6)
    after = distillation_loss(
        teacher + constant, student - constant, [0, 1, 0], temperature=temperature, alpha=0.6
    )
    np.testing.assert_allclose(before, after, rtol=1e-8, atol=1e-8)
    options = {"temperature": temperature, "alpha": 0.6}
    np.testing.assert_allclose(
        distillation_gradient(teacher, student, [0, 1, 0], **options),
        distillation_gradient(teacher + constant, student - constant, [0, 1, 0], **options),
        atol=1e-8 * temperature,
    )


@given(pairs, temperatures, st.floats(0, 1), st.sampled_from(["forward", "reverse"]))
def test_gradients_are_finite_differences(pair, temperature, alpha, direction):
    teacher, student = (z / 5 for z in pair)
    options = {"temperature": temperature, "alpha": alpha, "direction": direction}
    gradient = distillation_gradient(teacher, student, [0, 1, 1], **options)
    step = 1e-5
    for c in range(student.shape[1]):
        shift = np.zeros_like(student)
        shift[:, c] = step
        ends = [distillation_loss(teacher, student + s, [0, 1, 1], **options) for s in (shift, -shift)]
        np.testing.assert_allclose(
            gradient[:, c], (ends[0] - ends[1]) / (2 * step), rtol=1e-4, atol=2e-5
        )


@given(pairs)
def test_high_temperature_is_logit_matching(pair):
    teacher, student = pair
    n_classes = student.shape[1]
    centred = [z - z.mean(axis=1, keepdims=True) for z in pair]
    expected = ((centred[0] - centred[1]) ** 2).sum(axis=1) / (2 * n_classes)
    loss = distillation_loss(teacher, student, [0, 0, 0], temperature=1e5, alpha=1.0)
    np.testing.assert_allclose(loss, expected, rtol=2e-3, atol=1e-5)
    gradient = distillation_gradient(teacher, student, [0, 0, 0], temperature=1e5, alpha=1.0)
    np.testing.assert_allclose(gradient, (centred[1] - centred[0]) / n_classes, rtol=2e-3, atol=2e-3)


@given(pairs, temperatures)
def test_limits_of_alpha_and_of_equal_logits(pair, temperature):
    teacher, student = pair
    labels = [0, 1, 1]
    np.testing.assert_array_equal(
        distillation_loss(teacher, student, labels, temperature=temperature, alpha=0.0),
        cross_entropy(labels, student),
    )
    for direction in ("forward", "reverse"):
        assert divergence(student, student, temperature, direction).max() <= 1e-12
        same = distillation_gradient(
            student, student, labels, temperature=temperature, alpha=1.0, direction=direction
        )
        np.testing.assert_array_equal(same, 0)


@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0, 10.0, 100.0])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_saturated_logits_stay_finite(temperature, direction):
    teacher, student = np.array([[1e3, -1e3, 0.0]]), np.array([[-1e3, 1e3, 0.0]])
    options = {"temperature": temperature, "alpha": 0.5, "direction": direction}
    assert np.isfinite(distillation_loss(teacher, student, [0], **options)).all()
    assert np.isfinite(distillation_gradient(teacher, student, [0], **options)).all()


def task(n_samples=60, n_qubits=2):
    rng = np.random.default_rng(0)
    features = rng.uniform(0, 1, (n_samples, n_qubits))
    return angle_encoding(n_qubits).angles(features), (features[:, 0] > 0.5).astype(int)


def qnn(seed=0, engine="adjoint", n_layers=1, **options):
    ansatz = hardware_efficient_ansatz(2, n_layers)
    return QNN(angle_encoding(2), ansatz, z_observables(2, 2), engine=engine, seed=seed, **options)


def distiller(student, teacher, **options):
    model = Distiller(student, teacher, **{"temperature": 2.0, "alpha": 0.7, **options})
    model.compile(optimizer=keras.optimizers.Adam(0.1))
    return model


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_the_distillers_loss_is_eq_7(direction):
    x, y = task()
    student, teacher = qnn(0), qnn(1)
    model = distiller(student, teacher, direction=direction)
    logits = student.predict(x, verbose=0)
    history = model.fit(x, y, batch_size=60, epochs=1, verbose=0).history
    options = {"temperature": 2.0, "alpha": 0.7, "direction": direction}
    taught = teacher.predict(x, verbose=0)
    expected = distillation_loss(taught, logits, y, **options).mean()
    assert history["loss"][0] == pytest.approx(expected, rel=1e-4)
    assert history["distillation_loss"][0] == pytest.approx(
        4 * divergence(taught, logits, 2.0, direction).mean(), rel=1e-4
    )
    assert history["student_loss"][0] == pytest.approx(cross_entropy(y, logits).mean(), rel=1e-4)
    assert history["accuracy"][0] == pytest.approx((logits.argmax(1) == y).mean())


def test_training_leaves_the_teacher_alone_and_moves_the_student():
    x, y = task()
    student, teacher = qnn(0), qnn(1, n_layers=2)
    before = teacher.theta.numpy().copy(), student.theta.numpy().copy()
    model = distiller(student, teacher)
    model.fit(x, y, epochs=3, verbose=0)
    np.testing.assert_array_equal(teacher.theta.numpy(), before[0])
    assert np.abs(student.theta.numpy() - before[1]).max() > 0.01
    assert len(model.trainable_variables) == 1


def test_an_array_of_logits_teaches_as_its_model_does():
    x, y = task()
    teacher = qnn(1)
    ends = []
    for source in (teacher, teacher.predict(x, verbose=0)):
        student = qnn(0)
        distiller(student, source).fit(x, y, epochs=3, shuffle=False, verbose=0)
        ends.append(student.theta.numpy())
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-6)


def first_two(width):
    """A teacher whose logits are its first two inputs."""
    model = keras.Sequential([keras.Input((width,)), keras.layers.Dense(2, use_bias=False)])
    model.layers[0].set_weights([np.eye(width)[:, :2]])
    return model


@pytest.mark.parametrize("kind", ["array", "model"])
def test_cached_logits_follow_their_samples_through_shuffling(kind):
    x, _ = task(64)
    y = np.arange(64) % 2
    seen = []

    class Spy(Distiller):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            tf.py_function(lambda a, b: seen.append((a.numpy(), b.numpy())), [x, y["teacher"]], [])
            return super().compute_loss(x, y, y_pred, sample_weight, training)

    teacher = x[:, :2] if kind == "array" else first_two(x.shape[1])
    model = Spy(qnn(0), teacher, temperature=1.0, alpha=1.0)
    model.compile(run_eagerly=True)
    model.fit(x, y, epochs=2, batch_size=16, shuffle=True, verbose=0)
    assert len(seen) == 8
    order = np.concatenate([inputs[:, 0] for inputs, _ in seen[:4]])
    assert not np.allclose(order, x[:, 0])
    for inputs, logits in seen:
        np.testing.assert_allclose(inputs, logits, atol=1e-6)


def test_the_teacher_is_asked_once():
    x, y = task()
    teacher = qnn(1)
    calls = []
    original = teacher.predict
    teacher.predict = lambda *a, **k: calls.append(1) or original(*a, **k)
    model = distiller(qnn(0), teacher)
    model.fit(x, y, epochs=3, verbose=0)
    model.fit(x, y, epochs=2, verbose=0)
    assert len(calls) == 1
    model.fit(x[:30], y[:30], epochs=1, verbose=0)
    assert len(calls) == 2


def test_teacher_and_student_may_read_different_inputs():
    x, y = task()
    wide = np.hstack([x, x[:, ::-1]])
    teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model = distiller(qnn(0), teacher)
    model.fit(x, y, teacher_inputs=wide, epochs=1, verbose=0)
    np.testing.assert_allclose(model.teacher_logits(wide), teacher.predict(wide, verbose=0))


@pytest.mark.parametrize("shuffle", [False, True])
def test_resumed_training_equals_uninterrupted_training(shuffle):
    x, y = task()
    ends = []
    for stops in ([4], [2, 4]):
        student, begin = qnn(0), 0
        model = distiller(student, qnn(1))
        for stop in stops:
            model.fit(x, y, initial_epoch=begin, epochs=stop, shuffle=shuffle, verbose=0)
            begin = stop
        ends.append(student.theta.numpy())
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-6)


def test_training_goes_on_from_saved_weights_as_if_never_stopped(tmp_path):
    x, y = task()
    whole = distiller(qnn(0), qnn(1))
    whole.fit(x, y, epochs=4, verbose=0)
    first = distiller(qnn(0), qnn(1))
    first.fit(x, y, epochs=2, verbose=0)
    first.save_weights(tmp_path / "half.weights.h5")
    second = distiller(qnn(5), qnn(1), seed=0)  # other weights, the order of before
    second.optimizer.build(second.trainable_variables)
    second.load_weights(tmp_path / "half.weights.h5")  # Adam's moments among them
    second.fit(x, y, initial_epoch=2, epochs=4, verbose=0)
    np.testing.assert_allclose(second.student.theta.numpy(), whole.student.theta.numpy(), atol=1e-6)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_both_engines_are_distilled_alike_step_by_step(direction):
    from qkdlib.simulation import tfq_available

    if not tfq_available():
        pytest.skip("TensorFlow Quantum has no wheel here")
    x, y = task()
    paths = []
    for engine in ("tfq", "adjoint"):
        model, path = distiller(qnn(0, engine), qnn(1, engine), direction=direction), []
        # Not Adam: it blows up the rounding errors of weights that have no influence.
        model.compile(optimizer=keras.optimizers.SGD(0.5))
        keep = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs, m=model, p=path: p.append(
                [logs["loss"], *m.student.theta.numpy()]
            )
        )
        model.fit(x, y, batch_size=20, epochs=3, callbacks=[keep], verbose=0)
        paths.append(path)
    assert len(paths[0]) == 9
    assert np.sum(np.ptp(paths[0], axis=0) > 0.01) > 6  # the loss and most of the weights move
    np.testing.assert_allclose(paths[0], paths[1], atol=1e-5)


def test_evaluation_and_validation_report_the_labels():
    x, y = task()
    model = distiller(qnn(0), qnn(1))
    history = model.fit(x, y, validation_data=(x, y), epochs=1, verbose=0).history
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    assert float(history["val_accuracy"][0]) == pytest.approx(float(found["accuracy"]))
    logits = model.predict(x, verbose=0)
    assert float(found["loss"]) == pytest.approx(cross_entropy(y, logits).mean(), rel=1e-4)
    assert float(found["accuracy"]) == pytest.approx((logits.argmax(1) == y).mean())


def comparison(conditions, seeds=3, **options):
    encoding, ansatz = angle_encoding(2), hardware_efficient_ansatz(2, 1)
    student = Student.of(encoding, ansatz, z_observables(2, 2), iterations=15, batch_size=32)
    x, y = task()
    teacher = np.stack([y, 1 - y], axis=1) * -4.0
    return compare(
        student,
        (x, y),
        (x, y),
        conditions,
        seeds=seeds,
        teacher_logits=teacher,
        progress=False,
        **options,
    )


def test_compare_returns_a_tidy_table_that_repeats():
    conditions = standard_conditions(2.0, 0.9)
    a, b = comparison(conditions), comparison(conditions)
    assert len(a.table) == 7 * 3
    assert list(a.table.columns) == [
        "condition", "role", "seed", "train_loss", "train_accuracy", "test_accuracy",
    ]  # fmt: skip
    assert a.table.equals(b.table)
    summary = a.summary()
    assert list(summary.index) == [c.name for c in conditions]
    assert summary["difference"].isna().sum() == 1
    assert (summary["low"] <= summary["mean"]).all()
    assert (summary["mean"] <= summary["high"]).all()
    wide = a.table.pivot(index="seed", columns="condition", values="test_accuracy")
    paired = (wide["distilled"] - wide["no teacher"]).mean()
    assert summary.loc["distilled", "difference"] == pytest.approx(paired)


def test_each_seed_may_have_data_of_its_own():
    x, y = task()
    encoding, ansatz = angle_encoding(2), hardware_efficient_ansatz(2, 1)
    student = Student.of(encoding, ansatz, z_observables(2, 2), iterations=8)
    run = partial(compare, student, test=(x, y), conditions=[no_teacher()], progress=False)
    halves = {0: (x[:30], y[:30]), 1: (x[30:], y[30:])}
    table = run(halves, seeds=[0, 1]).table.set_index("seed")
    for seed, half in halves.items():
        alone = run(half, seeds=[seed, 7]).table.set_index("seed")
        assert table.loc[seed, "test_accuracy"] == alone.loc[seed, "test_accuracy"]
        assert table.loc[seed, "train_loss"] == alone.loc[seed, "train_loss"]
    assert table.loc[0, "train_loss"] != table.loc[1, "train_loss"]
    with pytest.raises(ValueError, match="train must have an entry for each seed; none for 2"):
        run(halves, seeds=[0, 2])


def test_joined_comparisons_are_one_comparison():
    first, more = [no_teacher(), scaled_logits(5.0)], [distilled(1.0, 0.9, name="kd")]
    whole = comparison(first + more)
    joined = comparison(first).joined(comparison(more))
    assert joined.table.equals(whole.table)
    assert joined.summary().equals(whole.summary())
    assert comparison(first).joined(comparison(first[:1] + more)).table.equals(whole.table)
    with pytest.raises(ValueError, match="same seeds"):
        comparison(first).joined(comparison(more, seeds=4))
    with pytest.raises(ValueError, match="other names of conditions, got .*scaled logits"):
        comparison(first).joined(comparison(first[1:]))


def test_decisions_only_keeps_decisions_and_the_average_confidence():
    rng = np.random.default_rng(0)
    teacher, labels = rng.normal(size=(20, 3)), rng.integers(0, 3, 20)
    values, rows = rng.uniform(-1, 1, (20, 3)), np.arange(20)
    top = teacher.argmax(axis=1)
    gap = np.mean([row[k] - np.delete(row, k).mean() for row, k in zip(teacher, top, strict=True)])
    flat = gap * np.eye(3)[top]
    expected = distillation_loss(flat, values, labels, temperature=2.0, alpha=0.7).mean()
    found = decisions_only(2.0, 0.7).loss(labels, teacher, 3, 0)(values, rows)[0]
    assert found == pytest.approx(expected)
    # A teacher that has only decisions is not changed by it.
    again = distilled(2.0, 0.7).loss(labels, flat, 3, 0)(values, rows)[0]
    assert decisions_only(2.0, 0.7).loss(labels, flat, 3, 0)(values, rows)[0] == pytest.approx(again)
    assert decisions_only(2.0, 0.7).named("flat").name == "flat"


def test_a_uniform_teacher_is_label_smoothing():
    rng = np.random.default_rng(0)
    labels, values, rows = rng.integers(0, 4, 9), rng.normal(size=(9, 4)), np.arange(9)
    uniform = uniform_teacher(1.0, 0.9).loss(labels, np.ones((9, 4)), 4, 0)(values, rows)
    smooth = label_smoothing(0.9).loss(labels, None, 4, 0)(values, rows)
    np.testing.assert_allclose(uniform[1], smooth[1], atol=1e-12)


def test_compare_over_processes_gives_the_same_table():
    conditions = [no_teacher(), distilled(1.0, 0.9), shuffled_teacher(1.0, 0.9)]
    assert comparison(conditions).table.equals(comparison(conditions, processes=2).table)


def test_conditions_do_what_they_say():
    labels, values = np.array([0, 1, 1]), np.array([[0.5, -0.2], [0.1, 0.3], [-0.4, 0.6]])
    teacher, rows = np.array([[3.0, -1.0], [-2.0, 2.0], [0.0, 1.0]]), np.arange(3)

    def run(condition, seed=0):
        return condition.loss(labels, teacher, 2, seed)(values, rows)

    kd = {"temperature": 3.0, "alpha": 0.8}
    assert run(distilled(3.0, 0.8))[0] == pytest.approx(
        distillation_loss(teacher, values, labels, **kd).mean()
    )
    assert run(uniform_teacher(3.0, 0.8))[0] == pytest.approx(
        distillation_loss(np.zeros((3, 2)), values, labels, **kd).mean()
    )
    assert run(scaled_logits(5.0))[0] == pytest.approx(cross_entropy(labels, 5 * values).mean())
    assert run(label_smoothing(0.3))[0] == pytest.approx(
        cross_entropy(labels, values, label_smoothing=0.3).mean()
    )
    assert longer_training(4).budget == 4
    shuffled = {run(shuffled_teacher(3.0, 0.8), seed)[0] for seed in range(8)}
    assert len(shuffled) > 2
    assert distilled(1.0, 0.0).role == "student"
    for condition in [distilled(3.0, 0.8, logit_scale=2.0), scaled_logits(3.0), no_teacher()]:
        slope = run(condition)[1]
        for index in np.ndindex(values.shape):
            shift = np.zeros_like(values)
            shift[index] = 1e-6
            function = condition.loss(labels, teacher, 2, 0)
            ends = [function(values + s, rows)[0] for s in (shift, -shift)]
            assert slope[index] == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature must be a finite number"),
        ({"temperature": -1.0}, "temperature must be a finite number"),
        ({"temperature": np.inf}, "temperature must be a finite number"),
        ({"temperature": np.nan}, "temperature must be a finite number"),
        ({"alpha": 1.1}, "alpha must be a finite number"),
        ({"alpha": -0.1}, "alpha must be a finite number"),
        ({"alpha": np.nan}, "alpha must be a finite number"),
        ({"direction": "both"}, "direction must be one of"),
    ],
)
def test_the_distiller_names_bad_settings(options, message):
    with pytest.raises(ValueError, match=message):
        distiller(qnn(0), qnn(1), **options)


def test_the_distiller_names_bad_teachers_and_students():
    x, y = task()
    same = qnn(0)
    with pytest.raises(ValueError, match="must not share layers"):
        distiller(same, same)
    with pytest.raises(ValueError, match="must not share layers"):
        wrapped = keras.Sequential([keras.Input((2,)), same])
        distiller(wrapped, same)
    with pytest.raises(TypeError, match="student must be a Keras model"):
        distiller(np.zeros((3, 2)), same)
    with pytest.raises(ValueError, match="row of logits for each of the 60 samples, got 5"):
        distiller(qnn(0), np.zeros((5, 2))).fit(x, y)
    with pytest.raises(ValueError, match="same number of classes, got 3 and 2"):
        distiller(qnn(0), np.zeros((60, 3))).fit(x, y)
    with pytest.raises(ValueError, match="teacher must be finite, but row 1"):
        distiller(qnn(0), np.array([[0.0, 1.0], [np.nan, 0.0]]))
    with pytest.raises(ValueError, match="teacher's logits must be finite"):
        broken = first_two(2)
        broken.layers[0].set_weights([np.full((2, 2), np.nan)])
        distiller(qnn(0), broken).fit(x, y)
    with pytest.raises(ValueError, match="same number of classes, got 3 and 2"):
        wide = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        distiller(qnn(0), wide).fit(x, y)
    with pytest.raises(ValueError, match="row of logits for each of the 60 samples, got 59"):
        distiller(qnn(0), qnn(1)).fit(x, y, teacher_inputs=x[:59])
    with pytest.raises(ValueError, match="loss must not be given"):
        Distiller(qnn(0), qnn(1), temperature=1.0, alpha=0.5).compile(loss="mse")
    with pytest.raises(ValueError, match=r"y must lie in \[0, 2\)"):
        distiller(qnn(0), qnn(1)).fit(x, y + 1)


ONE = ([[0.0, 1.0]], [[0.5, 1.0]], [1])  # a teacher's logits, a student's, a label


def against(teacher):
    """A comparison under the given teacher's logits, for 60 samples and two classes."""
    student = Student.of(angle_encoding(2), hardware_efficient_ansatz(2, 1), z_observables(2, 2))
    conditions = [distilled(1.0, 0.5)]
    return compare(student, task(), task(), conditions, seeds=2, teacher_logits=teacher, progress=False)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: comparison([]), "conditions must be one or more"),
        (lambda: comparison([no_teacher(), no_teacher()]), "with different names"),
        (lambda: comparison([no_teacher()], seeds=1), "seeds must be two or more"),
        (lambda: comparison([no_teacher()], baseline="x"), "baseline must be one of"),
        (lambda: divergence([[0.0, 1.0]], [[0.0, 1.0, 2.0]]), "must have the same shape"),
        (lambda: divergence([[np.nan, 1.0]], [[0.0, 1.0]]), "teacher_logits must be finite"),
        (lambda: divergence([[0.0, 1.0]], [[np.inf, 1.0]]), "student_logits must be finite"),
        (lambda: divergence([[0.0, 1.0]], [[0.0, 1.0]], 0.0), "temperature must be"),
        (lambda: softened([0.0, 1.0], np.nan), "temperature must be"),
        (lambda: distillation_loss(*ONE, temperature=1.0, alpha=1.5), "alpha must be"),
        (lambda: distillation_gradient(*ONE, temperature=1.0, alpha=-0.5), "alpha must be"),
        (lambda: distillation_loss(*ONE, temperature=-2.0, alpha=0.5), "temperature must be"),
        (lambda: distilled(0.0, 0.5), "temperature must be"),
        (lambda: uniform_teacher(1.0, 2.0), "alpha must be"),
        (lambda: cross_entropy([2], [[0.0, 1.0]]), r"labels must lie in \[0, 2\)"),
        (lambda: against(None), "teacher_logits must be given"),
        (lambda: against(np.zeros((59, 2))), r"teacher_logits must have shape \[60, 2\], got \(59, 2\)"),
        (lambda: against(np.zeros((60, 3))), r"teacher_logits must have shape \[60, 2\], got \(60, 3\)"),
        (lambda: against(np.full((60, 2), np.nan)), "teacher_logits must be finite"),
        (lambda: label_smoothing(1.5), "amount must be"),
        (lambda: scaled_logits(0.0), "logit_scale must be"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_a_conditions_loss_is_eq_7_and_its_gradient(direction):
    rng = np.random.default_rng(3)
    teacher, values = rng.normal(size=(9, 3)), rng.uniform(-1, 1, (4, 3))
    labels, rows = rng.integers(0, 3, 9), np.array([2, 7, 7, 0])
    condition = distilled(0.3, 0.7, logit_scale=2.5, direction=direction)
    loss, slope = condition.loss(labels, teacher, 3, 0)(values, rows)
    inputs = (teacher[rows], 2.5 * values, labels[rows])
    settings = {"temperature": 0.3, "alpha": 0.7, "direction": direction}
    assert loss == pytest.approx(distillation_loss(*inputs, **settings).mean(), rel=1e-12)
    expected = 2.5 * distillation_gradient(*inputs, **settings) / 4
    assert slope == pytest.approx(expected, rel=1e-10, abs=1e-13)
