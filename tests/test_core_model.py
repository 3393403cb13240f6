"""The model: what an encoding, an ansatz and observables make, against the reference."""

import pickle

import cirq
import numpy as np
import pytest
import sympy
from toys import random_states, toy_data

from qkdlib.core import Model, angle_encoding, hardware_efficient_ansatz, z_observables
from qkdlib.engine import reference

ENCODING, ANSATZ, OBSERVABLES = angle_encoding(2), hardware_efficient_ansatz(2, 1), z_observables(2, 2)
MODEL = Model.of(ENCODING, ANSATZ, OBSERVABLES, logit_scale=2.5)
OF_STATES = Model.of(None, ANSATZ, OBSERVABLES)
WEIGHTS = ANSATZ.initial_weights(seed=4)
X, Y = toy_data(9)


def test_logits_are_the_references_times_their_scale():
    values = np.hstack([X, np.tile(WEIGHTS, (9, 1))])
    names = [*ENCODING.symbols, *ANSATZ.symbols]
    expected = reference.expectation(ENCODING.circuit + ANSATZ.circuit, names, values, OBSERVABLES)
    found = MODEL.logits(WEIGHTS, X)
    np.testing.assert_allclose(found, 2.5 * expected, atol=1e-5)
    assert found.dtype == np.float32


def test_states_are_inputs_where_there_are_no_data_symbols():
    states = random_states(5, 2, 0)
    expected = reference.output_states(ANSATZ.circuit, ANSATZ.symbols, WEIGHTS, ANSATZ.qubits, states)
    np.testing.assert_allclose(OF_STATES.output_states(WEIGHTS, states), expected, atol=1e-6)
    values = reference.expectation(
        ANSATZ.circuit, ANSATZ.symbols, WEIGHTS, OBSERVABLES, ANSATZ.qubits, states
    )
    np.testing.assert_allclose(OF_STATES.logits(WEIGHTS, states), values, atol=1e-6)
    # real amplitudes are states, too
    basis = OF_STATES.logits(np.zeros(12), np.eye(4))
    np.testing.assert_allclose(basis, [[1, 1], [1, -1], [-1, 1], [-1, -1]], atol=1e-6)


def test_a_model_knows_its_sizes():
    sizes = (MODEL.n_qubits, MODEL.n_weights, MODEL.n_data, MODEL.n_classes, MODEL.takes_states)
    assert sizes == (2, 12, 2, 2, False)
    assert OF_STATES.takes_states
    np.testing.assert_array_equal(MODEL.initial_weights(seed=4), WEIGHTS)


def test_a_register_may_be_wider_than_the_circuit():
    wide = Model.of(None, ANSATZ, OBSERVABLES, qubits=cirq.LineQubit.range(3))
    states = random_states(4, 3, 1)
    halves = states.reshape(4, 4, 2).swapaxes(1, 2)  # the last qubit is not touched
    weight = (np.abs(halves) ** 2).sum(axis=2)
    parts = [OF_STATES.logits(WEIGHTS, h / np.sqrt(w)[:, None]) * w[:, None]
             for h, w in zip(halves.swapaxes(0, 1), weight.T, strict=True)]  # fmt: skip
    np.testing.assert_allclose(wide.logits(WEIGHTS, states), parts[0] + parts[1], atol=1e-5)


def test_scaled_and_observing_change_one_thing():
    scaled = MODEL.scaled(5.0)
    np.testing.assert_allclose(scaled.logits(WEIGHTS, X), 2 * MODEL.logits(WEIGHTS, X), rtol=1e-6)
    assert scaled.program() is MODEL.program()
    assert MODEL.logit_scale == 2.5
    one = MODEL.observing(OBSERVABLES[1:])
    np.testing.assert_allclose(one.logits(WEIGHTS, X), MODEL.logits(WEIGHTS, X)[:, 1:], atol=1e-6)


def test_a_pickled_model_gives_the_same_logits():
    before = MODEL.logits(WEIGHTS, X)  # its program exists now, and is not sent
    sent = pickle.dumps(MODEL)
    assert b"Program" not in sent
    np.testing.assert_array_equal(pickle.loads(sent).logits(WEIGHTS, X), before)


def test_accuracy_is_the_share_of_largest_logits():
    logits = MODEL.logits(WEIGHTS, X)
    assert MODEL.accuracy(WEIGHTS, X, Y) == pytest.approx((logits.argmax(axis=1) == Y).mean())
    assert MODEL.accuracy(WEIGHTS, X, logits.argmax(axis=1)) == 1


def test_any_circuit_makes_a_model():
    q, (w, x) = cirq.LineQubit.range(2), sympy.symbols("w x")
    circuit = cirq.Circuit(cirq.ry(x)(q[0]), cirq.CNOT(*q), cirq.rz(w)(q[1]), cirq.H(q[1]))
    model = Model(circuit, ["w"], ["x"], [cirq.X(q[1])])
    assert model.qubits == tuple(q)
    found = model.logits([0.3], [[0.4]])
    expected = reference.expectation(circuit, ["x", "w"], [[0.4, 0.3]], [cirq.X(q[1])])
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Model.of(None, None, []), "ansatz must be an Ansatz, got NoneType"),
        (lambda: Model.of("angle", ANSATZ, []), "encoding must be an Encoding or None, got str"),
        (lambda: Model.of(angle_encoding(3), ANSATZ, []), "same number of qubits, got 3 and 2"),
        (lambda: Model.of(ENCODING, ANSATZ, None), "observables must be a list of cirq.PauliString"),
        (lambda: Model.of(ENCODING, ANSATZ, "Z0"), "observables must be a list of cirq.PauliString"),
        (lambda: Model.of(ENCODING, ANSATZ, OBSERVABLES[0]), "observables must be a list of cirq.Pauli"),
        (lambda: Model.of(ENCODING, ANSATZ, [np.nan * OBSERVABLES[0]]), "must have finite coefficients"),
        (lambda: Model.of(ENCODING, ANSATZ, z_observables(3, 3)), r"qubits lacks q\(2\), which is used"),
        (lambda: Model.of(None, ANSATZ, [], qubits=ANSATZ.qubits[:1]), r"qubits lacks q\(1\)"),
        (lambda: Model.of(None, ANSATZ, [], logit_scale=0), "logit_scale must be a finite number"),
        (lambda: Model.of(None, ANSATZ, [], logit_scale="2"), "logit_scale must be a real number"),
        (lambda: Model("abc"), "circuit must be a cirq.Circuit, got str"),
        (lambda: Model(ANSATZ.circuit, "w000"), "weight_symbols must be a list of names, got 'w000'"),
        (lambda: Model(ANSATZ.circuit, ANSATZ.symbols, ["w000"]), "must not repeat a name"),
        (lambda: Model(ANSATZ.circuit), "uses the symbol 'w000'"),
        (lambda: MODEL.scaled(np.nan), "logit_scale must be a finite number"),
        (lambda: MODEL.initial_weights(seed=None), "seed must be an integer, got None"),
        (lambda: MODEL.logits(np.zeros(3), X), r"weights must have shape \[12\], got \(3,\)"),
        (lambda: MODEL.logits(None, X), "weights must be real numbers"),
        (lambda: MODEL.logits(WEIGHTS, X[:, :1]), r"data must have shape \[batch, 2\], got \(9, 1\)"),
        (lambda: MODEL.logits(WEIGHTS, random_states(2, 2, 0)), "data must be real numbers"),
        (lambda: OF_STATES.logits(WEIGHTS, np.eye(8)), r"states must have shape \[batch, 4\]"),
        (lambda: OF_STATES.logits(WEIGHTS, 2 * np.eye(4)), "states must have norm 1, but row 0"),
        (lambda: MODEL.accuracy(WEIGHTS, X, Y[:3]), r"labels must have shape \[9\], got \(3,\)"),
        (lambda: MODEL.accuracy(WEIGHTS, X, Y + 1), r"labels must lie in \[0, 2\)"),
        (lambda: MODEL.accuracy(WEIGHTS, X[:0], Y[:0]), "inputs must hold at least one sample"),
        (lambda: MODEL.accuracy(WEIGHTS, None, Y), r"inputs must have shape \[batch, 2\]"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
