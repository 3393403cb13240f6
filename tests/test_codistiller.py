"""Students trained together as a Keras model; its steps are `codistill`'s (test_keras_steps.py)."""

import cirq
import numpy as np
import pytest
from toys import ENGINES, needs_tfq, random_states, toy_data, toy_model

from qkdlib.core import Divergence, Infidelity, softened
from qkdlib.measures import ReducedInfidelity
from qkdlib.models import QNN, Codistiller, CrossEntropy

from qkdlib._tensorflow import keras, tf  # isort: skip

DEPTHS = (1, 2, 1)
X, Y = toy_data(20)


def qnns(engine="adjoint", depths=DEPTHS, **options):
    return [
        QNN(toy_model(depth, logit_scale=2.0), engine=engine, seed=k, **options)
        for k, depth in enumerate(depths)
    ]


def codistiller(students, *arguments, rate=0.05, sgd=False, **options):
    model = Codistiller(students, *arguments, **{"seed": 3} | options)
    model.compile(optimizer=keras.optimizers.SGD(rate) if sgd else keras.optimizers.Adam(rate))
    return model


def thetas(students):
    return [student.theta.numpy() for student in students]


def cirq_states(model, weights, x):
    """Output states by Cirq's simulator: complex128 [batch, 2**n_qubits]."""
    simulator = cirq.Simulator(dtype=np.complex128)
    names = [*model.data_symbols, *model.weight_symbols]
    rows = [dict(zip(names, map(float, [*row, *weights]), strict=True)) for row in x]
    return np.stack([
        simulator.simulate(model.circuit, row, model.qubits).final_state_vector for row in rows
    ])


def cirq_distance(states, peers, qubits):
    """Mean infidelity by Cirq: [batch]."""
    if qubits is None:
        return 1 - np.mean([np.abs((p.conj() * states).sum(axis=1)) ** 2 for p in peers], axis=0)
    shape = (2,) * len(qubits)

    def reduced(state):
        whole = np.outer(state, state.conj()).reshape((2,) * 4)
        return cirq.partial_trace(whole, qubits).reshape(2 ** len(qubits), -1)

    return np.array([
        1 - np.mean([cirq.fidelity(reduced(p[b]), reduced(own), qid_shape=shape) for p in peers])
        for b, own in enumerate(states)
    ])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("qubits", [None, (1,), (0, 1)])
def test_gradients_are_differences_of_cirqs_infidelity(engine, qubits):
    x, y = X[:3], Y[:3]
    regulariser = Infidelity() if qubits is None else ReducedInfidelity(qubits)
    steps = []
    for weight in (0.0, 1.0):
        students = qnns(engine)
        before = thetas(students)
        model = codistiller(students, regulariser, weight=weight, rate=1.0, sgd=True)
        history = model.fit(x, y, batch_size=3, verbose=0).history
        steps.append((thetas(students)[1], history["loss_1"][0]))
    gradient = steps[0][0] - steps[1][0]  # of student 1, by the distance alone
    states = [cirq_states(s.model, w, x) for s, w in zip(students, before, strict=True)]

    def distance(weights):
        own = cirq_states(students[1].model, weights, x)
        return cirq_distance(own, [states[0], states[2]], qubits).mean()

    assert steps[1][1] - steps[0][1] == pytest.approx(distance(before[1]), abs=1e-5)
    shifts = 1e-4 * np.eye(len(before[1]))
    slopes = [(distance(before[1] + s) - distance(before[1] - s)) / 2e-4 for s in shifts]
    assert np.abs(slopes).max() > 0.01
    np.testing.assert_allclose(gradient, slopes, atol=5e-5)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("depths", [DEPTHS, (2,)], ids=["weight-0", "one-student"])
def test_students_that_see_nobody_train_as_they_would_alone(engine, depths):
    weight = 0.0 if len(depths) > 1 else 1.0
    model = codistiller(qnns(engine, depths), Infidelity(), weight=weight)
    together = model.fit(X, Y, batch_size=8, epochs=3, verbose=0).history
    for k, student in enumerate(qnns(engine, depths)):
        student.seed = 3  # of the order of samples; the weights were drawn by the first
        student.compile(optimizer=keras.optimizers.Adam(0.05), loss=CrossEntropy(), jit_compile=False)
        alone = student.fit(X, Y, batch_size=8, epochs=3, verbose=0).history
        np.testing.assert_array_equal(model.students[k].theta, student.theta)
        np.testing.assert_allclose(together[f"loss_{k}"], alone["loss"], rtol=1e-6)


def test_the_weight_grows_in_equal_parts():
    # a rate of 0 leaves cross-entropy and distance as they are
    model = codistiller(qnns(), Infidelity(), weight=2.0, warm_up=4, rate=0.0)
    history = model.fit(X, Y, batch_size=20, epochs=6, verbose=0).history
    grown = np.array(history["loss_0"]) - history["loss_0"][0]
    np.testing.assert_allclose(grown / grown[-1], [0.0, 0.25, 0.5, 0.75, 1.0, 1.0], atol=1e-5)


def test_penalties_of_students_are_part_of_their_losses():
    plain, penalised = (
        codistiller(qnns(l2=l2), Divergence(), weight=1.0, rate=0.0) for l2 in (0.0, 0.01)
    )
    histories = [model.fit(X, Y, verbose=0).history for model in (plain, penalised)]
    for k, theta in enumerate(thetas(plain.students)):
        added = histories[1][f"loss_{k}"][0] - histories[0][f"loss_{k}"][0]
        assert added == pytest.approx(0.01 * (theta**2).sum(), rel=1e-4)


def test_the_ensemble_is_the_mean_of_probabilities():
    model = codistiller(qnns(), Divergence(), weight=1.0)
    history = model.fit(X, Y, epochs=2, validation_data=(X, Y), verbose=0).history
    logits = np.stack([student.predict(X, verbose=0) for student in model.students])
    probabilities = softened(logits).mean(axis=0)
    np.testing.assert_allclose(model.predict(X, verbose=0), np.log(probabilities), atol=1e-5)
    found = model.evaluate(X, Y, verbose=0, return_dict=True)
    accuracies = (logits.argmax(axis=2) == Y).mean(axis=1)
    assert found["accuracy"] == pytest.approx((probabilities.argmax(axis=1) == Y).mean())
    assert [found[f"accuracy_{k}"] for k in range(3)] == pytest.approx(list(accuracies))
    assert found["loss"] == pytest.approx(np.mean([found[f"loss_{k}"] for k in range(3)]))
    assert found == pytest.approx({k[4:]: v[-1] for k, v in history.items() if k[:4] == "val_"})
    assert {"accuracy", "accuracy_2", "loss_2"} <= history.keys()


def test_a_training_goes_on_where_it_stopped():
    ends = []
    for stops in ([4], [2, 4]):
        model, begin = codistiller(qnns(), Infidelity(), weight=1.0, warm_up=9), 0
        for stop in stops:
            model.fit(X, Y, batch_size=8, initial_epoch=begin, epochs=stop, verbose=0)
            begin = stop
        ends.append(np.concatenate(thetas(model.students)))
    np.testing.assert_array_equal(ends[0], ends[1])


def test_training_goes_on_from_saved_weights_as_if_never_stopped(tmp_path):
    first, second = (codistiller(qnns(), Divergence(), weight=1.0, warm_up=9) for _ in range(2))
    first.fit(X, Y, batch_size=8, epochs=2, verbose=0)
    first.save_weights(tmp_path / "students.weights.h5")
    second.optimizer.build([student.theta for student in second.students])
    second.load_weights(tmp_path / "students.weights.h5")  # the step of the warm-up among them
    for model in (first, second):
        model.fit(X, Y, batch_size=8, initial_epoch=2, epochs=4, verbose=0)
    for ours, theirs in zip(thetas(first.students), thetas(second.students), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_values_and_states_come_from_one_run():
    student = qnns()[1]
    engine, theta, x = student.engine_for(student.model), tf.constant(student.theta), X[:5]
    x = tf.constant(x.astype(np.float32))
    pull = tf.constant(random_states(5, 2, 0).astype(np.complex64))

    def gradient(forward):
        with tf.GradientTape() as tape:
            tape.watch([theta, x])
            values, states = forward(theta, x)
            loss = tf.reduce_sum(values**2) + tf.reduce_sum(tf.math.real(states * pull))
        return [values, states, *tape.gradient(loss, [theta, x])]

    apart = gradient(lambda w, d: (engine.expectation(w, d), engine.output_states(w, d)))
    for together in (gradient, tf.function(gradient)):
        for ours, theirs in zip(together(engine.expectation_and_states), apart, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


def other_register():
    return QNN(toy_model(n_qubits=3), engine="adjoint", seed=9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Codistiller([]), "students must be one or more"),
        (lambda: Codistiller(None), r"students\[0\] must be of class QNN, got None"),
        (lambda: Codistiller([keras.Sequential()]), r"students\[0\] must be of class QNN"),
        (lambda: Codistiller(qnns()[:1] * 2), r"students must not share weights, but students\[1\]"),
        (lambda: Codistiller(qnns(), Divergence(), weight=-0.1), "weight must be a finite number in"),
        (lambda: Codistiller(qnns(), Divergence(), weight=1.0, warm_up=-1), "warm_up must be at"),
        (lambda: Codistiller(qnns(), Divergence(), seed=-1), "seed must be from 0"),
        (lambda: Codistiller(qnns(), "kl", weight=1.0), "regulariser must be of class Regulariser"),
        (lambda: Codistiller(qnns(), weight=1.0), "regulariser must be given with weight"),
        (lambda: Codistiller(qnns(), ReducedInfidelity((0, 3)), weight=1.0), "qubits must be positions"),
        (
            lambda: Codistiller([*qnns(), other_register()], Infidelity(), weight=1.0),
            "models must have registers of the same size",
        ),
        (lambda: Codistiller(qnns()).compile(loss="mse"), "loss must not be given"),
        (lambda: Codistiller(qnns()).fit(X, Y), "You must call `compile\\(\\)` before"),
    ],
)
def test_a_codistiller_says_what_is_wrong(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


SCHOOL = codistiller(qnns(), Divergence(), weight=1.0)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((X[:0], Y[:0]), {}, "x must hold at least one sample, got none"),
        ((X, Y[:-1]), {}, r"y must have shape \[20\]"),
        ((X[:, :1], Y), {}, r"x must have shape \[batch, 2\]"),
        ((X, Y + 1), {}, "y must lie in"),
        ((X, None), {}, "y must be labels"),
        ((X, np.eye(2)[Y]), {}, r"y must have shape \[20\], got \(20, 2\)"),
        ((None, Y), {}, r"x must be an array \[n_samples, ...\], got None"),
        (("abc", Y), {}, r"x must be an array \[n_samples, ...\], got 'abc'"),
        ((X, Y), {"shared": X[:, :1]}, r"shared must have shape \[batch, 2\]"),
        ((X, Y), {"shared": X[:0]}, "shared must hold at least one sample"),
        ((X, Y), {"shared": "abc"}, "shared must be an array"),
        ((X, Y), {"sample_weight": Y}, "sample_weight is not an argument"),
        ((X, Y), {"shuffle": False}, "shuffle is not an argument"),
        ((X, Y), {"batch_size": 0}, "batch_size must be at least 1"),
        ((X, Y), {"epochs": -1}, "epochs must be at least 0"),
        ((X, Y), {"epochs": 1.5}, "epochs must be an integer"),
        ((X, Y), {"initial_epoch": -1}, "initial_epoch must be at least 0"),
        ((X, Y), {"validation_data": (X, Y + 4)}, "y must lie in"),
        ((X, Y), {"validation_data": X}, "validation_data must be a pair"),
    ],
)
def test_fit_says_what_is_wrong(arguments, options, message):
    before = thetas(SCHOOL.students)
    with pytest.raises((TypeError, ValueError), match=message):
        SCHOOL.fit(*arguments, verbose=0, **options)
    for ours, theirs in zip(before, thetas(SCHOOL.students), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_evaluate_and_predict_say_what_is_wrong():
    with pytest.raises(ValueError, match="x must hold at least one sample"):
        SCHOOL.predict(X[:0])
    with pytest.raises(ValueError, match="y must be labels"):
        SCHOOL.evaluate(X)
    with pytest.raises(ValueError, match="y must lie in"):
        SCHOOL.evaluate(X, Y + 4)


@needs_tfq
def test_students_are_on_one_engine():
    with pytest.raises(ValueError, match="students must be on one engine, got adjoint and tfq"):
        Codistiller([*qnns("tfq", (1,)), *qnns("adjoint", (1,))])
