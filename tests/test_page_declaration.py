"""What Python declares to the page's engine; `browser/test_page_engine.py` tests the engine."""

import base64
import itertools
import json
import os
import shutil

import cirq
import numpy as np
import pytest
import sympy

from qkdlib import core
from qkdlib.core import Model
from qkdlib.data.zxz import zxz_ground_states
from qkdlib.explore.page import (
    build,
    declare,
    declare_array,
    declare_condition,
    declare_data,
    declare_images,
    declare_orders,
    declare_samples,
    declare_training,
    page_script,
    script,
)

LIMIT = 30_000  # bytes of the engine, and of its kernels


def classifier(n_qubits, n_layers, states=False):
    ansatz = core.hardware_efficient_ansatz(n_qubits, n_layers)
    encoding = None if states else core.angle_encoding(n_qubits)
    return Model.of(encoding, ansatz, core.z_observables(2, n_qubits))


def weight_of(value):
    """Bytes of a value as a page holds it."""
    return len(json.dumps(value, separators=(",", ":")))


# --- The script ---------------------------------------------------------------------------------


def test_the_engine_and_its_kernels_are_small():
    kernels = build.TARGET.read_text()
    engine = page_script().removeprefix(kernels)
    assert engine.startswith("function qkdEngine(")
    assert len(engine.encode()) <= LIMIT
    assert len(kernels.encode()) <= LIMIT
    assert "</" not in page_script()
    assert "http" not in page_script()


def test_comments_and_spaces_go_but_not_from_texts():
    source = '// One.\nconst a = "x = { y }",\n    b = `${a} + c`;  // two\n\nreturn a * b;\n'
    assert script.compact(source) == 'const a="x = { y }",b=`${a} + c`;return a*b;\n'


def test_the_kernels_are_those_of_their_source():
    head = build.TARGET.read_text().splitlines()[0]
    assert head.endswith(f"kernels.ts {build.digest()}"), "run python -m qkdlib.explore.page.build"
    assert build.VERSION in head


def test_building_the_kernels_again_gives_the_same_bytes():
    if not (os.environ.get("ASC") or shutil.which("asc")):
        pytest.skip("no AssemblyScript compiler; set ASC to the path of asc to compare")
    os.environ.setdefault("ASC", "asc")
    assert base64.b64encode(build.compiled()).decode() in build.TARGET.read_text()


# --- Models ---------------------------------------------------------------------------------------


def replay(declared, weights, data, state):
    """The output state of what was declared, step by step: what engine.js does, without its tricks."""
    values = [*weights, *data]
    blocks = {number: block for number, *block in itertools.chain.from_iterable(
        item[1] for item in declared["items"] if item[0] == "sweep")}  # fmt: skip

    def at(angle):
        if not isinstance(angle, list):
            return angle
        symbol, scale, shift = [*angle, *(1, 0)[len(angle) - 1 :]]
        return scale * values[symbol] + shift

    def rotation(axis, angle):
        sigma = axis[0] * cirq.unitary(cirq.X) + axis[1] * cirq.unitary(cirq.Y)
        sigma = sigma + axis[2] * cirq.unitary(cirq.Z)
        return np.cos(angle / 2) * np.eye(2) - 1j * np.sin(angle / 2) * sigma

    def block_unitary(number):
        found = np.eye(2)
        for axis, angle in blocks[number][2]:
            found = rotation(axis, at(angle)) @ found
        return found

    def euler(number):
        u = block_unitary(number)
        beta = 2 * np.arctan2(abs(u[1, 0]), abs(u[0, 0]))
        total, rest = 2 * np.angle(u[1, 1]), 2 * np.angle(u[1, 0])
        return (total + rest) / 2, beta, (total - rest) / 2

    rows = np.arange(len(state))
    for kind, *item in declared["items"]:
        if kind == "turn":
            phases, ends = item
            for mask, value, angle in phases:
                state = np.where((rows & mask) == value, np.exp(1j * angle), 1) * state
            for bit, number, end in ends:
                angle = euler(number)[{"alpha": 0, "gamma": 2}[end]]
                state = np.where(rows & bit, np.exp(1j * angle), 1) * state
        elif kind == "sweep":
            for number, bit, is_real, _ in item[0]:
                u = block_unitary(number) if is_real else rotation((0, 1, 0), euler(number)[1])
                other = state[rows ^ bit]
                ones, zeros = u[1, 1] * state + u[1, 0] * other, u[0, 0] * state + u[0, 1] * other
                state = np.where(rows & bit, ones, zeros)
        else:
            bits, mask, value, matrix, *angle = item
            re, im = (*declared["matrices"][matrix], 0)[:2]
            u = (np.array(re) + 1j * np.array(im)).reshape(1 << len(bits), -1)
            if angle:
                turn = at(angle[0])
                u = np.eye(len(u)) + (np.cos(turn) - 1) * u @ u + 1j * np.sin(turn) * u
            new = state.copy()
            places = [sum(b for b, one in zip(bits, index, strict=True) if one)
                      for index in itertools.product((0, 1), repeat=len(bits))]  # fmt: skip
            for row in rows[((rows & sum(bits)) == 0) & ((rows & mask) == value)]:
                new[row + np.array(places)] = u @ state[row + np.array(places)]
            state = new
    return state


def expectations(declared, state):
    rows, found = np.arange(len(state)), np.zeros(declared["classes"])
    for flips, terms in declared["observables"]:
        for k, signs, part, read, _ in terms:
            parity = np.array([bin(row & signs).count("1") % 2 for row in rows ^ flips])
            product = np.sum(state.conj() * (1 - 2 * parity) * state[rows ^ flips])
            found[k] += read * (product.imag if part else product.real)
    return found


def entangled_model(states):
    """A circuit with all kinds of items: several axes, data, controls, pairs, constants, phases."""
    q, (a, b, c), x = cirq.LineQubit.range(4), sympy.symbols("a b c"), sympy.Symbol("x")
    circuit = cirq.Circuit(
        cirq.H.on_each(*q), cirq.ry(0.3 if states else x)(q[2]), cirq.ry(a)(q[0]), cirq.ry(-b)(q[1]),
        cirq.CZ(q[0], q[1]), cirq.CZ(q[2], q[3]) ** b, cirq.rx(a)(q[1]), cirq.rz(0.4 * c + 0.2)(q[1]),
        cirq.CX(q[3], q[0]), cirq.ISWAP(q[1], q[3]) ** c, cirq.rz(a)(q[3]), cirq.XX(q[0], q[2]) ** b,
        cirq.ControlledGate(cirq.rx(c), control_values=[0])(q[1], q[2]), cirq.CSWAP(q[0], q[1], q[2]),
        cirq.MatrixGate(cirq.testing.random_unitary(4, random_state=1))(q[3], q[1]), cirq.S(q[0]),
        cirq.ry(a)(q[2]), cirq.H(q[2]),
    )  # fmt: skip
    observables = [cirq.Z(q[0]), 0.5 * cirq.X(q[1]) * cirq.Y(q[2]) - 2 * cirq.Y(q[3]) * cirq.Y(q[0])]
    return Model(circuit, ("a", "b", "c"), () if states else ("x",), observables)


@pytest.mark.parametrize("states", [False, True])
def test_a_declaration_says_what_the_circuit_does(states):
    model, rng = entangled_model(states), np.random.default_rng(0)
    weights, data = rng.uniform(0, 6, 3), [] if states else [0.7]
    start = np.eye(1, 16)[0].astype(complex)
    if states:
        start = rng.normal(size=16) + 1j * rng.normal(size=16)
        start /= np.linalg.norm(start)
    declared = json.loads(json.dumps(declare(model)))
    kinds = {item[0] for item in declared["items"]}
    assert kinds == {"turn", "sweep", "gate"}
    found = expectations(declared, replay(declared, weights, data, start))
    given = start[None].astype(np.complex64) if states else np.array([data])
    np.testing.assert_allclose(found, model.logits(weights, given)[0], atol=1e-5)


def test_output_states_are_declared_whole():
    model = classifier(5, 1, states=True)
    assert declare(model)["items"] != declare(model, output_states=True)["items"]
    start = np.zeros(32, complex)
    start[3] = 1
    weights = model.initial_weights(seed=0)
    found = replay(declare(model, output_states=True), weights, [], start)
    wanted = model.output_states(weights, start[None].astype(np.complex64))[0]
    assert abs(np.vdot(found, wanted)) == pytest.approx(1, abs=1e-5)


def test_declarations_are_small_and_leave_out_what_nobody_sees():
    whole = declare(classifier(10, 4))
    assert whole["qubits"] == 6  # Z0 and Z1 see four more qubits
    assert weight_of(whole) < 2500
    assert weight_of(declare(classifier(10, 4, states=True))) < 2500


# --- Samples --------------------------------------------------------------------------------------


def decoded(array):
    dtype = {"f4": "<f4", "f2": "<f2", "u1": "u1"}[array["type"]]
    values = np.frombuffer(base64.b64decode(array["data"]), dtype).astype(float)
    return array.get("scale", 1) * values.reshape(array["shape"]) + array.get("shift", 0)


@pytest.mark.parametrize(("kind", "error"), [("float32", 1e-6), ("float16", 2e-3), ("uint8", 7e-3)])
def test_arrays_come_back_within_their_precision(kind, error):
    values = np.random.default_rng(0).uniform(0, np.pi, (20, 4))
    assert np.abs(decoded(declare_array(values, kind)) - values).max() < error
    assert np.abs(decoded(declare_data(values, kind=kind)["angles"]) - values).max() < error


@pytest.mark.parametrize("error", [1e-2, 1e-3, 1e-4])
def test_states_along_a_line_become_a_basis_and_coefficients(error):
    states = zxz_ground_states(7, np.linspace(0.05, 2, 150)).states
    declared = declare_data(states, error=error)
    basis, coefficients = decoded(declared["states"]), decoded(declared["coefficients"])
    assert basis.shape[0] <= 8
    assert np.linalg.norm(coefficients @ basis - states, axis=1).max() <= 1.01 * error
    assert weight_of(declared) < 0.12 * weight_of(declare_data(states))


def test_complex_states_keep_their_imaginary_part():
    rng = np.random.default_rng(0)
    states = rng.normal(size=(6, 8)) + 1j * rng.normal(size=(6, 8))
    states /= np.linalg.norm(states, axis=1, keepdims=True)
    for error in (None, 1e-6):
        found = declare_data(states, error=error)
        again = decoded(found["states"]) + 1j * decoded(found["imaginary"])
        if error is not None:
            again = decoded(found["coefficients"]) @ again
        np.testing.assert_allclose(again, states, atol=1e-6)


@pytest.mark.parametrize("error", [2e-2, 2e-3, 1e-3, 1e-5])
def test_samples_are_short_and_precise_enough(error):
    line = zxz_ground_states(5, np.linspace(0.05, 2, 60)).states
    found = declare_samples(line, error)
    again = decoded(found["states"])
    if "coefficients" in found:
        again = decoded(found["coefficients"]) @ again
    again /= np.linalg.norm(again, axis=1, keepdims=True)
    assert np.linalg.norm(again - line, axis=1).max() <= error
    assert weight_of(found) <= weight_of(declare_data(line))
    angles = np.random.default_rng(0).uniform(0, np.pi, (30, 4))
    found = declare_samples(angles, error)
    assert np.abs(decoded(found["angles"]) - angles).max() <= error
    kinds = {2e-2: "u1", 2e-3: "f2", 1e-3: "f4", 1e-5: "f4"}
    assert found["angles"]["type"] == kinds[error]


def test_images_are_bytes():
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4), dtype=np.uint8)
    assert declare_images(images)["states"]["type"] == "u1"
    angles = decoded(declare_images(images, angle=np.pi)["angles"])
    np.testing.assert_allclose(angles, images.reshape(5, 16) * np.pi / 255)
    with pytest.raises(TypeError, match=r"images must be bytes \(uint8\), got dtype float64"):
        declare_images(images / 255)


# --- Trainings ------------------------------------------------------------------------------------


def test_conditions_are_those_of_the_library():
    reverse = core.reverse_kl_divergence
    assert declare_condition(core.NoTeacher()) == {"scale": 1.0, "budget": 1, "smoothing": 0.0}
    assert declare_condition(core.ScaledLogits(10))["scale"] == 10
    assert declare_condition(core.LabelSmoothing(0.1))["smoothing"] == 0.1
    assert declare_condition(core.LongerTraining(3))["budget"] == 3
    found = declare_condition(core.Distilled(2.0, 0.9, divergence=reverse, logit_scale=4))
    wanted = {"teacher": "given", "temperature": 2.0, "alpha": 0.9, "reverse": True}
    assert found == wanted | {"scale": 4, "budget": 1}
    shuffled = core.ShuffledTeacher(1.0, 0.5)
    order = declare_condition(shuffled, n_samples=9, seed=3)["order"]
    logits = np.random.default_rng(0).normal(size=(9, 2))
    np.testing.assert_array_equal(logits[order], shuffled.said(logits, 3))


def test_conditions_that_the_page_does_not_know_are_named():
    class Doubtful(core.Distilled):
        pass

    with pytest.raises(TypeError, match="condition must be one that the page knows, got Doubtful"):
        declare_condition(Doubtful(1.0, 0.5))
    with pytest.raises(ValueError, match="compare by one of kl_divergence, .*, got <function squared"):
        declare_condition(core.Distilled(1.0, 0.5, divergence=core.squared_error))


def test_orders_are_those_of_the_library():
    orders = declare_orders(10, 7, 4, seed=5)
    rows = [epoch[k : k + 4] for epoch in orders for k in range(0, 10, 4)]
    wanted = itertools.islice(core.batches(10, 4, 5), 7)
    assert rows[:7] == [batch.tolist() for batch in wanted]


def test_a_training_goes_through_json():
    model, rng = classifier(2, 1), np.random.default_rng(0)
    inputs, labels = rng.uniform(0, 3, (6, 2)), np.array([0, 1, 0, 1, 0, 1])
    found = declare_training(
        model, (inputs, labels), condition=core.Distilled(1.0, 0.5), watch={"all": (inputs, labels)},
        learning_rate=0.1, teacher={"logits": [[0, 0]] * 6},
    )  # fmt: skip
    assert json.loads(json.dumps(found)) == found
    assert found["labels"] == labels.tolist()
    assert found["watch"]["all"]["labels"] == labels.tolist()
    assert (found["steps"], found["batch"], found["rate"], found["seed"]) == (50, 64, 0.1, 0)
