"""The QNN: an ordinary Keras model, on TensorFlow Quantum and on the adjoint engine."""

import cirq
import numpy as np
import pytest
import sympy
from toys import ENGINES, needs_tfq, random_states, toy_data, toy_model

from qkdlib.core import (
    LEARNING_RATE,
    Model,
    amplitude_encoding,
    hardware_efficient_ansatz,
    phase_encoding,
    z_observables,
)
from qkdlib.engine import reference
from qkdlib.measures import CosineDecay, parameter_shift_gradient
from qkdlib.models import QNN, create_engine, recipe

from qkdlib._tensorflow import keras, tf  # isort: skip

X, Y = toy_data(40)


def toy_qnn(engine="adjoint", *, seed=0, logit_scale=1.0, **options):
    return QNN(toy_model(logit_scale=logit_scale), engine=engine, seed=seed, **options)


def compiled(qnn, rate=0.1):
    qnn.compile(**recipe(rate))
    return qnn


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "encoding", [phase_encoding(3), amplitude_encoding(3), amplitude_encoding(3, True)],
    ids=["phase", "amplitude", "complex"],
)  # fmt: skip
def test_logits_are_the_reference_simulators(engine, encoding):
    rng = np.random.default_rng(1)
    ansatz = hardware_efficient_ansatz(3, 2, topology="ring")
    model = Model.of(encoding, ansatz, z_observables(3, 3), logit_scale=2.5)
    qnn = QNN(model, engine=engine, seed=4)
    angles = encoding.angles(rng.normal(size=(5, encoding.n_features)))
    values = np.hstack([angles, np.tile(qnn.theta.numpy(), (5, 1))])
    symbols = [*model.data_symbols, *model.weight_symbols]
    expected = reference.expectation(model.circuit, symbols, values, model.observables)
    found = qnn.predict(angles, verbose=0)
    np.testing.assert_allclose(found, 2.5 * expected, atol=2e-5)
    np.testing.assert_allclose(found, model.logits(qnn.theta.numpy(), angles), atol=2e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_gradients_are_the_parameter_shift_rules(engine):
    ansatz = hardware_efficient_ansatz(2, 1, entangler="cnot")
    model = Model.of(phase_encoding(2), ansatz, z_observables(2, 2))
    built = create_engine(engine, model)
    weights = tf.constant(ansatz.initial_weights(seed=2))
    inputs = tf.constant([[0.3, 1.9]], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch([weights, inputs])
        value = built.expectation(weights, inputs)[0, 0]
    by_weights, by_inputs = tape.gradient(value, [weights, inputs])
    symbols = [*model.data_symbols, *model.weight_symbols]
    values = dict(zip(symbols, [*inputs[0].numpy(), *weights.numpy()], strict=True))
    expected = parameter_shift_gradient(
        model.circuit, symbols, values,
        lambda bound: reference.expectation(bound, [], [[]], model.observables)[0],
    )[:, 0]  # fmt: skip
    # TensorFlow Quantum's float32 sweep is off by up to 1.4e-5 here.
    np.testing.assert_allclose(by_inputs[0], expected[:2], atol=3e-5)
    np.testing.assert_allclose(by_weights, expected[2:], atol=3e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_training_learns_and_follows_its_seed(engine):
    histories = []
    for seed in (0, 0, 1):
        qnn = compiled(toy_qnn(engine, seed=seed, logit_scale=5.0))
        histories.append(qnn.fit(X, Y, epochs=12, batch_size=20, verbose=0).history["loss"])
        assert histories[-1][-1] < 0.8 * histories[-1][0]
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-4)
    assert not np.allclose(histories[0], histories[2], rtol=1e-2)


def test_the_order_of_the_samples_follows_the_seed_and_no_global_generator():
    losses = []
    for seed, noise in ((0, 1), (0, 2), (5, 1)):
        keras.utils.set_random_seed(noise)
        qnn = compiled(toy_qnn(seed=seed))
        qnn.theta.assign(np.linspace(0, 3, 12, dtype=np.float32))
        losses.append(qnn.fit(X, Y, epochs=3, batch_size=16, verbose=0).history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert not np.allclose(losses[0], losses[2], rtol=1e-5)


def test_a_training_goes_on_where_it_stopped():
    ends = []
    for stops in ([4], [2, 4]):
        qnn, begin = compiled(toy_qnn()), 0
        for stop in stops:
            qnn.fit(X, Y, initial_epoch=begin, epochs=stop, batch_size=16, verbose=0)
            begin = stop
        ends.append(qnn.theta.numpy())
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-6)
    assert compiled(toy_qnn()).fit(X, Y, epochs=0, verbose=0).history == {}


@pytest.mark.parametrize("engine", ENGINES)
def test_predict_takes_any_batch_size_and_batching_changes_nothing(engine):
    qnn = toy_qnn(engine)
    whole = qnn.predict(X[:7], verbose=0)
    for batch_size in (1, 3, 64):
        found = qnn.predict(X[:7], batch_size=batch_size, verbose=0)
        np.testing.assert_allclose(found, whole, atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_saved_qnn_loads_with_its_weights_and_options(engine, tmp_path):
    qnn = compiled(toy_qnn(engine, logit_scale=3.0, l2=1e-3))
    qnn.fit(X, Y, epochs=1, verbose=0)
    qnn.save(tmp_path / "qnn.keras")
    loaded = keras.models.load_model(tmp_path / "qnn.keras")
    np.testing.assert_allclose(loaded.predict(X, verbose=0), qnn.predict(X, verbose=0), atol=1e-6)
    assert (loaded.model.logit_scale, loaded.l2, loaded.engine_name) == (3.0, 1e-3, engine)
    # it goes on training: optimiser and loss come along
    both = [one.fit(X, Y, epochs=2, verbose=0).history["loss"] for one in (qnn, loaded)]
    np.testing.assert_allclose(both[0], both[1], rtol=1e-5)


@needs_tfq
def test_weights_move_between_engines(tmp_path):
    a, b = toy_qnn("tfq", seed=0), toy_qnn("adjoint", seed=9)
    a.save_weights(tmp_path / "w.weights.h5")
    b.load_weights(tmp_path / "w.weights.h5")
    np.testing.assert_allclose(a.predict(X, verbose=0), b.predict(X, verbose=0), atol=1e-5)


def test_l2_adds_its_penalty_to_the_loss():
    losses = []
    for l2 in (0.0, 0.01):
        qnn = compiled(toy_qnn(l2=l2))
        losses.append(qnn.evaluate(X, Y, verbose=0)[0])
    expected = 0.01 * float(np.sum(qnn.theta.numpy() ** 2))
    assert losses[1] - losses[0] == pytest.approx(expected, rel=1e-4)


def test_lists_tensors_and_data_sets_are_inputs_too():
    qnn = compiled(toy_qnn())
    expected = qnn.evaluate(X, Y, verbose=0)
    pairs = tf.data.Dataset.from_tensor_slices((X.astype(np.float32), Y)).batch(16)
    for given in ((X.tolist(), Y.tolist()), (tf.constant(X), Y), (pairs,)):
        np.testing.assert_allclose(qnn.evaluate(*given, verbose=0), expected, rtol=1e-5)
    history = qnn.fit(pairs, validation_data=pairs, epochs=1, verbose=0).history
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} == history.keys()


def test_the_recipe_falls_as_the_librarys_rate():
    config = recipe()["optimizer"].get_config()
    rate = keras.optimizers.schedules.deserialize(config["learning_rate"])
    for step in (0, 49, 50, 120):
        assert float(rate(step)) == pytest.approx(LEARNING_RATE(step), rel=1e-6)


def test_two_classes_with_unscaled_logits_never_pass_the_ceiling():
    probabilities = keras.ops.softmax(toy_qnn().predict(X, verbose=0))
    assert float(probabilities.numpy().max()) <= np.e / (np.e + 1 / np.e) + 1e-6


OF_STATES = Model.of(None, hardware_efficient_ansatz(2, 1), z_observables(2, 2))


def of_states():
    return compiled(QNN(OF_STATES, engine="adjoint", seed=0))


def fit(x=X, y=Y, **options):
    return compiled(toy_qnn()).fit(x, y, verbose=0, **options)


SPOILED = X.copy()
SPOILED[4, 1] = np.inf


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit(X[:, :1]), r"x must have shape \[batch, 2\], got \(40, 1\)"),
        (lambda: fit(SPOILED), "x must be finite, but row 4"),
        (lambda: fit(X[:0], Y[:0]), "x must hold at least one sample, got none"),
        (lambda: fit(None), r"x must be an array \[n_samples, ...\], got None"),
        (lambda: fit("abc"), r"x must be an array \[n_samples, ...\], got 'abc'"),
        (lambda: fit(random_states(40, 2, 0)), "x must be an array of float64 numbers"),
        (lambda: fit(y=None), r"y must be labels \[n_samples\], got None"),
        (lambda: fit(y=Y[:5]), r"y must have shape \[40\], got \(5,\)"),
        (lambda: fit(y=np.eye(2)[Y]), r"y must have shape \[40\], got \(40, 2\)"),  # one-hot
        (lambda: fit(y=3), r"y must have shape \[40\], got \(\)"),
        (lambda: fit(X[:3], [0, 1, 7]), r"y must lie in \[0, 2\), but entry 2 is 7"),
        (lambda: fit(X[:2], [0.5, 1.0]), "y must be integer class labels"),
        (lambda: fit(epochs=-1), "epochs must be at least 0, got -1"),
        (lambda: fit(epochs=1.5), "epochs must be an integer"),
        (lambda: fit(initial_epoch=-1), "initial_epoch must be at least 0"),
        (lambda: fit(batch_size=0), "batch_size must be at least 1"),
        (lambda: fit(validation_data=X), "validation_data must be a pair"),
        (lambda: fit(validation_data=(X,)), "validation_data must be a pair"),
        (lambda: fit(validation_data=(X[:2], [0, 2])), "y must lie in"),
        (lambda: fit(validation_data=(X[:0], Y[:0])), "x must hold at least one sample"),
        (lambda: toy_qnn().fit(X, Y), "You must call `compile\\(\\)` before"),
        (lambda: toy_qnn().predict(X[:0]), "x must hold at least one sample"),
        (lambda: toy_qnn().predict(None), "x must be an array"),
        (lambda: compiled(toy_qnn()).evaluate(X), "y must be labels"),
        (lambda: compiled(toy_qnn()).evaluate(X, Y[:5]), r"y must have shape \[40\]"),
        (lambda: of_states().fit(2 * np.eye(4), [0, 1, 0, 1]), "x must have norm 1, but row 0"),
        (lambda: of_states().predict(np.eye(8)), r"x must have shape \[batch, 4\]"),
    ],
)
def test_bad_data_are_named_before_training(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: QNN("model", seed=0), "model must be of class Model, got 'model'"),
        (lambda: QNN(None, seed=0), "model must be of class Model, got None"),
        (lambda: QNN(OF_STATES.observing([]), seed=0), "an observable for each class, got none"),
        (lambda: toy_qnn("fast"), "engine must be one of 'tfq', 'adjoint', got 'fast'"),
        (lambda: toy_qnn(l2=-1), "l2 must be a finite number"),
        (lambda: toy_qnn(seed=None), "seed must be an integer, got None"),
        (lambda: toy_qnn(seed=-1), "seed must be from 0"),
        (lambda: recipe(-1.0), "learning_rate must be a finite number"),
        (lambda: recipe(CosineDecay(0.1, 10)), "learning_rate must be a number or a StepDecay"),
        (lambda: recipe(beta_1=1), "beta_1 must be below 1, got 1"),
        (lambda: recipe(beta_2=1.5), "beta_2 must be a finite number"),
        (lambda: create_engine("adjoint", "model"), "model must be of class Model"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_seeds_may_be_large():
    compiled(toy_qnn(seed=2**40)).fit(X, Y, verbose=0)


@needs_tfq
def test_tfq_says_what_it_cannot_do():
    q, observables = cirq.LineQubit.range(3), z_observables(2, 3)
    rx = cirq.rx(sympy.Symbol("w"))(q[0])
    data = [cirq.ry(sympy.Symbol("x"))(q[1])]
    toffoli = Model(cirq.Circuit(data, rx, cirq.CCX(*q)), ["w"], ["x"], observables)
    with pytest.raises(ValueError, match=r"TOFFOLI on .*LineQubit\(0\).* cannot\s+serialize"):
        QNN(toffoli, engine="tfq", seed=0)
    with pytest.raises(ValueError, match="takes no state vectors: prepare them with"):
        QNN(OF_STATES, engine="tfq", seed=0)
    with pytest.raises(ValueError, match="differentiator must not be 'adjoint' with repetitions"):
        toy_qnn("tfq", engine_options={"repetitions": 10})


@needs_tfq
def test_shots_scatter_around_the_exact_value():
    exact = toy_qnn("tfq").predict(X[:3], verbose=0)
    options = {"repetitions": 400, "differentiator": "parameter_shift"}
    noisy = toy_qnn("tfq", engine_options=options)
    runs = np.stack([noisy.predict(X[:3], verbose=0) for _ in range(30)])
    spread = np.sqrt((1 - exact**2) / 400)
    assert np.abs(runs.mean(axis=0) - exact).max() < 5 * spread.max() / np.sqrt(30)
    np.testing.assert_allclose(runs.std(axis=0), spread, rtol=0.6)


@needs_tfq
def test_complex_states_reach_tfq_through_their_template_circuit():
    states, encoding = random_states(3, 3, 11), amplitude_encoding(3, complex_amplitudes=True)
    ansatz, observables = hardware_efficient_ansatz(3, 1), z_observables(2, 3)
    tfq = QNN(Model.of(encoding, ansatz, observables), engine="tfq", seed=0)
    fast = QNN(Model.of(None, ansatz, observables), engine="adjoint", seed=0)
    weights = tfq.theta.numpy()
    expected = reference.expectation(
        ansatz.circuit, ansatz.symbols, weights, observables, ansatz.qubits, states
    )
    angles = encoding.angles(states)
    np.testing.assert_allclose(tfq.predict(angles, verbose=0), expected, atol=1e-5)
    np.testing.assert_allclose(fast.predict(states, verbose=0), expected, atol=1e-5)
