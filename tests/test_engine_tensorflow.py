"""The engines in TensorFlow: "adjoint" eager, traced, persistent, interleaved, threaded; both held to
the reference."""

from concurrent.futures import ThreadPoolExecutor

import cirq
import numpy as np
import pytest
import sympy
from test_engine_program import chain, random_inputs

from qkdlib._tensorflow import tf
from qkdlib.core import Model
from qkdlib.engine import Program, reference, tfq_available
from qkdlib.models.adjoint import AdjointEngine

needs_tfq = pytest.mark.skipif(not tfq_available(), reason="TensorFlow Quantum has no wheel here")
MODES = [pytest.param(lambda f: f, id="eager"), pytest.param(tf.function, id="traced")]


def small(n_qubits=3, n_layers=1, batch=20):
    circuit, weights, data, qubits = chain(n_qubits, n_layers, cirq.CNOT)
    observables = [cirq.Z(qubits[0]) * 1.0, cirq.X(qubits[1]) * cirq.Z(qubits[0])]
    w, x = random_inputs(weights, data, batch)
    engine = AdjointEngine(Model(circuit, weights, data, observables))
    return engine, tf.constant(w, tf.float32), tf.constant(x, tf.float32)


def random_states(batch, n_qubits, seed=0):
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(batch, 2**n_qubits)) + 1j * rng.normal(size=(batch, 2**n_qubits))
    return (states / np.linalg.norm(states, axis=1, keepdims=True)).astype(np.complex64)


def loss(values):
    return tf.reduce_sum(tf.sin(3 * values) * tf.range(1, 3, dtype=tf.float32))


@pytest.mark.parametrize("mode", MODES)
def test_gradients_of_weights_and_data(mode):
    engine, w, x = small()

    @mode
    def step(w, x):
        with tf.GradientTape() as tape:
            tape.watch([w, x])
            value = loss(engine.expectation(w, x))
        return value, *tape.gradient(value, [w, x])

    value, dw, dx = step(w, x)
    assert value.dtype == tf.float32

    def slope(values):
        return 3 * np.cos(3 * values) * [1, 2]

    values, expected = engine.program.value_and_grad(w.numpy(), x.numpy(), cotangent=slope)
    np.testing.assert_allclose(value, (np.sin(3 * values) * [1, 2]).sum(), rtol=1e-5)
    np.testing.assert_allclose(dw, expected.weights, atol=1e-5)
    np.testing.assert_allclose(dx, expected.data, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_gradients_of_input_states(mode):
    engine, w, x = small()
    states = tf.constant(random_states(20, 3))

    @mode
    def step(w, x, states):
        with tf.GradientTape() as tape:
            tape.watch([w, states])
            value = loss(engine.expectation(w, (x, states)))
        return tape.gradient(value, [w, states])

    dw, dstates = step(w, x, states)
    circuit, weights, data, qubits = chain(3, 1, cirq.CNOT)
    observables = [cirq.Z(qubits[0]) * 1.0, cirq.X(qubits[1]) * cirq.Z(qubits[0])]
    values = np.hstack([np.repeat(w.numpy()[None], 20, 0), x.numpy()])
    problem = circuit, weights + data, values, observables
    cotangent = 3 * np.cos(3 * reference.expectation(*problem, qubits, states)) * [1, 2]
    by_symbols, by_states = reference.gradient(*problem, cotangent, qubits, states)
    np.testing.assert_allclose(dstates, by_states, atol=3e-5)
    np.testing.assert_allclose(dw, by_symbols[:, : len(weights)].sum(axis=0), atol=2e-5)


@pytest.mark.parametrize("mode", MODES)
def test_the_gradient_of_a_fidelity_between_output_states(mode):
    """What codistillation needs."""
    circuit, weights, data, qubits = chain(3, 1)
    engine = AdjointEngine(Model(circuit, weights, data, [cirq.Z(qubits[0])]))
    w, x = random_inputs(weights, data, 4)
    target = random_states(4, 3)

    @mode
    def step(w, x):
        with tf.GradientTape() as tape:
            tape.watch(w)
            overlap = tf.reduce_sum(tf.math.conj(target) * engine.output_states(w, x), axis=1)
            fidelity = tf.reduce_sum(tf.abs(overlap) ** 2)
        return fidelity, tape.gradient(fidelity, w)

    fidelity, gradient = step(tf.constant(w, tf.float32), tf.constant(x, tf.float32))

    values = np.hstack([np.repeat(w[None], 4, 0), x])
    states = reference.output_states(circuit, weights + data, values, qubits)
    overlap = (target.conj() * states).sum(axis=1)
    assert fidelity.numpy() == pytest.approx((np.abs(overlap) ** 2).sum(), abs=1e-5)
    slope = 2 * overlap[:, None] * target  # of the fidelity by the output states
    by_symbols, _ = reference.pull_back(circuit, weights + data, values, slope, qubits)
    expected = by_symbols[:, : len(weights)].sum(axis=0)
    np.testing.assert_allclose(gradient, expected, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_persistent_tapes_and_interleaved_calls(mode):
    """Backward calls find their own forward call, or run the circuit again."""
    engine, w, x = small()
    other, w2, x2 = small(n_layers=2, batch=7)

    @mode
    def tangled(w, w2):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([w, w2])
            a = loss(engine.expectation(w, x))
            b = loss(other.expectation(w2, x2))
            c = loss(engine.expectation(2 * w, x))
        return [tape.gradient(v, t) for v, t in ((a, w), (c, w), (b, w2), (a, w))]

    @mode
    def alone(call, w):
        with tf.GradientTape() as tape:
            tape.watch(w)
            value = loss(call(w))
        return tape.gradient(value, w)

    a, c, b, a_again = tangled(w, w2)
    np.testing.assert_array_equal(a, a_again)
    expected = alone(lambda w: engine.expectation(w, x), w)
    np.testing.assert_allclose(a, expected, atol=1e-6)
    expected = alone(lambda w: engine.expectation(2 * w, x), w)
    np.testing.assert_allclose(c, expected, atol=1e-6)
    expected = alone(lambda w: other.expectation(w, x2), w2)
    np.testing.assert_allclose(b, expected, atol=1e-6)


def test_any_batch_size_through_one_trace():
    engine, w, _ = small()
    traced = tf.function(
        engine.expectation,
        input_signature=[tf.TensorSpec([None]), tf.TensorSpec([None, 3])],
    )
    x = np.random.default_rng(0).normal(size=(70, 3)).astype(np.float32)
    whole = traced(w, x)
    assert whole.shape == (70, 2)
    for size in (1, 15, 16, 17):
        np.testing.assert_array_equal(traced(w, x[:size]), whole[:size])


def test_a_thread_pool_calls_two_programs_at_once():
    problems = [small(), small(n_qubits=4, n_layers=2, batch=33)]
    expected = [e.program.value_and_grad(w.numpy(), x.numpy()) for e, w, x in problems]

    def work(i):
        engine, w, x = problems[i % 2]
        with tf.GradientTape() as tape:
            tape.watch(w)
            values = engine.expectation(w, x)
        gradient = tape.gradient(values, w)
        return i % 2, values.numpy(), gradient.numpy()

    with ThreadPoolExecutor(8) as pool:
        for which, values, gradient in pool.map(work, range(60)):
            np.testing.assert_array_equal(values, expected[which][0])
            np.testing.assert_array_equal(gradient, expected[which][1].weights)


@needs_tfq
def test_both_engines_are_held_to_the_reference():
    from qkdlib.models.tfq import TFQEngine

    qubits = cirq.LineQubit.range(4)
    w, x = sympy.symbols("w0:6"), sympy.symbols("x0:2")
    circuit = cirq.Circuit(
        (cirq.H(q) for q in qubits),
        cirq.rx(x[0])(qubits[0]),
        cirq.ry(x[1])(qubits[2]),
        cirq.XPowGate(exponent=w[0])(qubits[1]),
        cirq.HPowGate(exponent=w[1])(qubits[0]),
        cirq.CXPowGate(exponent=w[2])(qubits[0], qubits[3]),
        cirq.SwapPowGate(exponent=w[3])(qubits[1], qubits[2]),
        cirq.ISwapPowGate(exponent=0.4 * w[4])(qubits[2], qubits[0]),
        cirq.PhasedXPowGate(phase_exponent=w[0], exponent=w[5])(qubits[3]),
        cirq.FSimGate(w[1], w[2])(qubits[3], qubits[1]),
        cirq.ZZPowGate(exponent=w[5])(qubits[0], qubits[1]),
        cirq.ControlledGate(cirq.YPowGate(exponent=w[3]))(qubits[2], qubits[3]),
    )
    observables = [cirq.Z(q) * 1.0 for q in qubits] + [cirq.X(qubits[0]) * cirq.Y(qubits[3]) * 0.5]
    names = [[str(s) for s in group] for group in (w, x)]
    rng = np.random.default_rng(0)
    weights = tf.constant(rng.uniform(0, 2, 6), tf.float32)
    data = tf.constant(rng.uniform(0, 2, (20, 2)), tf.float32)
    values = np.hstack([np.repeat(weights.numpy()[None], 20, 0), data.numpy()])
    problem = circuit, names[0] + names[1], values, observables
    expected = reference.expectation(*problem, qubits)
    by_symbols, _ = reference.gradient(*problem, 2 * expected, qubits)
    # TensorFlow Quantum's own gradients are less precise for some gates.
    for kind, tolerance in ((TFQEngine, 2e-4), (AdjointEngine, 2e-5)):
        engine = kind(Model(circuit, *names, observables))
        with tf.GradientTape() as tape:
            tape.watch([weights, data])
            found = engine.expectation(weights, data)
            total = tf.reduce_sum(found * found)
        by_weights, by_data = tape.gradient(total, [weights, data])
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_allclose(
            by_weights, by_symbols[:, :6].sum(axis=0), rtol=1e-4, atol=tolerance
        )
        np.testing.assert_allclose(by_data, by_symbols[:, 6:], rtol=1e-4, atol=tolerance)


def test_complex_inputs_to_a_program_that_wants_data_are_refused():
    engine, w, _ = small()
    with pytest.raises(ValueError, match=r"data must have shape \[batch, 3\]"):
        engine.expectation(w, random_states(2, 3))


def test_programs_and_engines_agree_on_their_types():
    engine, w, x = small()
    assert isinstance(engine.program, Program)
    assert engine.accepts_states
    assert engine.name == "adjoint"
    assert engine.expectation(w, x).shape == (20, 2)
