"""The QNN: an ordinary Keras model, on TensorFlow Quantum and on the adjoint engine."""

import cirq
import numpy as np
import pytest
import sympy

from qkdlib.core import (
    Ansatz,
    Model,
    StepDecay,
    amplitude_encoding,
    angle_encoding,
    hardware_efficient_ansatz,
    phase_encoding,
    z_observables,
)
from qkdlib.engine import reference, tfq_available
from qkdlib.models import QNN, ProgressBar, create_engine, recipe

from qkdlib._tensorflow import keras, tf  # isort: skip

needs_tfq = pytest.mark.skipif(not tfq_available(), reason="TensorFlow Quantum has no wheel here")
ENGINES = [pytest.param("tfq", marks=needs_tfq), "adjoint"]


def small_qnn(engine="adjoint", seed=0, n_qubits=3, logit_scale=1.0, **options):
    encoding = angle_encoding(n_qubits)
    ansatz = hardware_efficient_ansatz(n_qubits, 1)
    model = Model.of(encoding, ansatz, z_observables(2, n_qubits), logit_scale=logit_scale)
    return QNN(model, engine=engine, seed=seed, **options)


def toy_data(n_samples=96, n_features=3):
    x = np.random.default_rng(5).uniform(0, 1, (n_samples, n_features))
    return angle_encoding(n_features).angles(x), (x[:, 0] > x[:, 1]).astype(int)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "encoding", [phase_encoding(3), amplitude_encoding(3), amplitude_encoding(3, True)],
    ids=["phase", "amplitude", "complex"],
)
def test_logits_are_the_reference_simulators(engine, encoding):
    rng = np.random.default_rng(1)
    ansatz = hardware_efficient_ansatz(3, 2, topology="ring")
    observables = z_observables(3, 3)
    model = Model.of(encoding, ansatz, observables, logit_scale=2.5)
    qnn = QNN(model, engine=engine, seed=4)
    angles = encoding.angles(rng.normal(size=(5, encoding.n_features)))
    circuit = encoding.circuit + ansatz.circuit
    values = np.hstack([angles, np.tile(qnn.theta.numpy(), (5, 1))])
    expected = reference.expectation(
        circuit, [*encoding.symbols, *ansatz.symbols], values, observables
    )
    np.testing.assert_allclose(qnn.predict(angles, verbose=0), 2.5 * expected, atol=2e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_gradients_are_the_parameter_shift_rules(engine):
    from qkdlib.measures import parameter_shift_gradient

    encoding, ansatz = phase_encoding(2), hardware_efficient_ansatz(2, 1, entangler="cnot")
    circuit = encoding.circuit + ansatz.circuit
    symbols = [*encoding.symbols, *ansatz.symbols]
    observables = z_observables(2, 2)
    built = create_engine(engine, Model.of(encoding, ansatz, observables))
    weights = tf.constant(ansatz.initial_weights(seed=2))
    inputs = tf.constant([[0.3, 1.9]], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch([weights, inputs])
        value = built.expectation(weights, inputs)[0, 0]
    by_weights, by_inputs = tape.gradient(value, [weights, inputs])
    values = dict(zip(symbols, [*inputs[0].numpy(), *weights.numpy()], strict=True))
    expected = parameter_shift_gradient(
        circuit, symbols, values,
        lambda bound: reference.expectation(bound, [], [[]], observables)[0],
    )[:, 0]
    # TensorFlow Quantum's float32 sweep is off by up to 1.4e-5 here.
    np.testing.assert_allclose(by_inputs[0], expected[:2], atol=3e-5)
    np.testing.assert_allclose(by_weights, expected[2:], atol=3e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_training_learns_and_follows_its_seed(engine):
    histories = []
    for seed in (0, 0, 1):
        x, y = toy_data()
        qnn = small_qnn(engine, seed=seed, logit_scale=5.0)
        qnn.compile(**recipe(0.1))
        history = qnn.fit(x, y, epochs=12, batch_size=32, shuffle=False, verbose=0).history
        histories.append(history["loss"])
        assert history["loss"][-1] < 0.8 * history["loss"][0]
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-4)
    assert not np.allclose(histories[0], histories[2], rtol=1e-2)


def test_the_order_of_the_samples_follows_the_seed_and_no_global_generator():
    x, y = toy_data()
    losses = []
    for seed, noise in ((0, 1), (0, 2), (5, 1)):
        keras.utils.set_random_seed(noise)
        qnn = small_qnn(seed=seed)
        qnn.theta.assign(np.linspace(0, 3, qnn.model.n_weights, dtype=np.float32))
        qnn.compile(**recipe(0.1))
        losses.append(qnn.fit(x, y, epochs=3, batch_size=16, verbose=0).history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert not np.allclose(losses[0], losses[2], rtol=1e-5)


@needs_tfq
def test_both_engines_train_alike():
    x, y = toy_data()
    losses = []
    for engine in ("tfq", "adjoint"):
        qnn = small_qnn(engine)
        qnn.compile(**recipe())
        losses.append(
            qnn.fit(x, y, epochs=3, batch_size=32, shuffle=False, verbose=0).history["loss"]
        )
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_predict_takes_any_batch_size_and_batching_changes_nothing(engine):
    x, _ = toy_data(7)
    qnn = small_qnn(engine)
    whole = qnn.predict(x, verbose=0)
    for batch_size in (1, 3, 64):
        np.testing.assert_allclose(
            qnn.predict(x, batch_size=batch_size, verbose=0), whole, atol=1e-6
        )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_saved_qnn_loads_with_its_weights_and_options(engine, tmp_path):
    x, y = toy_data()
    qnn = small_qnn(engine, logit_scale=3.0, l2=1e-3)
    qnn.compile(**recipe())
    qnn.fit(x, y, epochs=1, verbose=0)
    qnn.save(tmp_path / "qnn.keras")
    loaded = keras.models.load_model(tmp_path / "qnn.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), qnn.predict(x, verbose=0), atol=1e-6)
    assert (loaded.model.logit_scale, loaded.l2, loaded.engine_name) == (3.0, 1e-3, engine)


@needs_tfq
def test_weights_move_between_engines(tmp_path):
    x, _ = toy_data()
    a, b = small_qnn("tfq", seed=0), small_qnn("adjoint", seed=9)
    a.save_weights(tmp_path / "w.weights.h5")
    b.load_weights(tmp_path / "w.weights.h5")
    np.testing.assert_allclose(a.predict(x, verbose=0), b.predict(x, verbose=0), atol=1e-5)


def test_l2_adds_its_penalty_to_the_loss():
    x, y = toy_data()
    losses = []
    for l2 in (0.0, 0.01):
        qnn = small_qnn(l2=l2)
        qnn.compile(**recipe())
        losses.append(qnn.evaluate(x, y, verbose=0)[0])
    expected = 0.01 * float(np.sum(qnn.theta.numpy() ** 2))
    assert losses[1] - losses[0] == pytest.approx(expected, rel=1e-4)


def test_the_learning_rate_falls_in_steps():
    config = recipe(StepDecay(0.1, 0.5, 10))["optimizer"].get_config()
    rate = keras.optimizers.schedules.deserialize(config["learning_rate"])
    assert [round(float(rate(step)), 6) for step in (0, 9, 10, 25)] == [0.1, 0.1, 0.05, 0.025]


def test_two_classes_with_unscaled_logits_never_pass_the_ceiling():
    x, _ = toy_data()
    probabilities = keras.ops.softmax(small_qnn().predict(x, verbose=0))
    assert float(probabilities.numpy().max()) <= np.e / (np.e + 1 / np.e) + 1e-6


def test_bad_inputs_are_named_before_training():
    x, y = toy_data()
    qnn = small_qnn()
    qnn.compile(**recipe())
    with pytest.raises(ValueError, match=r"x must have shape \[batch, 3\], got \(96, 2\)"):
        qnn.fit(x[:, :2], y, verbose=0)
    with pytest.raises(ValueError, match="x must be finite, but row 4"):
        spoiled = x.copy()
        spoiled[4, 1] = np.inf
        qnn.predict(spoiled, verbose=0)
    with pytest.raises(ValueError, match=r"y must lie in \[0, 2\), but entry 2 is 7"):
        qnn.fit(x[:3], [0, 1, 7], verbose=0)
    with pytest.raises(ValueError, match=r"y must have shape \[96\], got \(5,\)"):
        qnn.evaluate(x, y[:5], verbose=0)
    with pytest.raises(TypeError, match="y must be integer class labels"):
        qnn.fit(x[:2], [0.5, 1.0], verbose=0)
    with pytest.raises(ValueError, match=r"y must lie in"):
        qnn.fit(x, y, validation_data=(x[:2], [0, 2]), verbose=0)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="logit_scale must be a finite number"):
        small_qnn(logit_scale=0.0)
    with pytest.raises(ValueError, match="engine must be one of 'tfq', 'adjoint', got 'fast'"):
        small_qnn("fast")
    with pytest.raises(ValueError, match="same number of qubits, got 2 and 3"):
        Model.of(angle_encoding(2), hardware_efficient_ansatz(3, 1), z_observables(2, 3))
    with pytest.raises(ValueError, match="learning_rate must be"):
        recipe(-1.0)


@needs_tfq
def test_tfq_says_what_it_cannot_do():
    q = cirq.LineQubit.range(3)
    toffoli = Ansatz(3, 1, cirq.Circuit(cirq.rx(sympy.Symbol("w"))(q[0]), cirq.CCX(*q)), ("w",))
    with pytest.raises(ValueError, match=r"TOFFOLI on .*LineQubit\(0\).* cannot\s+serialize"):
        QNN(Model.of(angle_encoding(3), toffoli, z_observables(2, 3)), engine="tfq", seed=0)
    with pytest.raises(ValueError, match="takes no state vectors: prepare"):
        QNN(Model.of(None, hardware_efficient_ansatz(2, 1), z_observables(2, 2)), engine="tfq", seed=0)
    with pytest.raises(ValueError, match="differentiator must not be 'adjoint' with repetitions"):
        small_qnn("tfq", engine_options={"repetitions": 10})


@needs_tfq
def test_shots_scatter_around_the_exact_value():
    x, _ = toy_data(3)
    exact = small_qnn("tfq").predict(x, verbose=0)
    options = {"repetitions": 400, "differentiator": "parameter_shift"}
    noisy = small_qnn("tfq", engine_options=options)
    runs = np.stack([noisy.predict(x, verbose=0) for _ in range(30)])
    spread = np.sqrt((1 - exact**2) / 400)
    assert np.abs(runs.mean(axis=0) - exact).max() < 5 * spread.max() / np.sqrt(30)
    np.testing.assert_allclose(runs.std(axis=0), spread, rtol=0.6)


def test_progress_bar_reports_loss_and_accuracy(capsys):
    x, y = toy_data(32)
    qnn = small_qnn()
    qnn.compile(**recipe())
    qnn.fit(x, y, epochs=2, verbose=0, callbacks=[ProgressBar("a <student>")])
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "a <student>: 2/2 epochs" in line
    assert "loss" in line
    assert "accuracy" in line


def test_progress_bar_escapes_its_label_in_html():
    from qkdlib.progress import Picture

    page = Picture("a <b>", 1, 2, "loss < 1")._repr_html_()
    assert "<b>" not in page
    assert 'value="1" max="2"' in page
